"""Prompts and answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextkit.naturalize import count_tokens
from nextkit.prompting import build_prompt, format_answer, parse_completion, same_program, shape
from nextkit.sampling import as_fix
from nextkit.tracing import trace_in_process


def test_a_prompt_holds_description_trace_and_all_tests_and_ends_where_the_rationale_begins(task):
    text = build_prompt(task, trace_in_process(task.buggy, task.tests[1])).text
    assert task.description in text and "# (0) x=0" in text and text.endswith("# Why:")
    assert all(test in text for test in task.tests)


def test_a_prompt_without_a_trace_does_not_tell_what_came_out(task):
    text = build_prompt(task).text
    assert "got" not in text and "# (0)" not in text


def test_hidden_tests_and_reference_are_never_shown(task):
    text = build_prompt(task, trace_in_process(task.buggy, task.tests[0])).text
    assert task.hidden_tests[0] not in text and task.reference not in text


def test_few_shot_examples_stand_in_front(task):
    text = build_prompt(task, few_shot=["EXAMPLE"], instruction="Fix it.").text
    assert text.startswith("Fix it.\n\nEXAMPLE\n\n# Task:")


def test_a_trace_is_shrunk_until_its_prompt_has_room(task):
    buggy = "def f(x):\n    for i in range(40):\n        x = x * 3 + i\n    return x"
    found = trace_in_process(buggy, task.tests[0])
    whole = build_prompt(task, found, style="scratchpad").text
    fitted = build_prompt(task, found, style="scratchpad", room=300).text
    assert count_tokens(fitted) <= 300 < count_tokens(whole) and "# left out:" in fitted and "# got" in fitted
    assert build_prompt(task, found, style="scratchpad", room=10**6).text == whole


def test_a_prompt_that_cannot_have_room_is_refused(task):
    with pytest.raises(ValueError, match="too small"):
        build_prompt(task, trace_in_process(task.buggy, task.tests[0]), room=20)


@given(
    st.text(alphabet="ab `.", min_size=1).map(str.strip).filter(bool),
    st.sampled_from(["x = 1", "def f():\n    return 2"]),
)
def test_an_answer_survives_formatting_and_parsing(rationale, fix):
    answer = parse_completion(format_answer(rationale, fix))
    assert (answer.rationale, answer.fix) == (rationale, fix)


@given(st.text())
def test_parsing_never_raises(text):
    parse_completion(text)


@pytest.mark.parametrize(
    "head",
    [
        "<think>\nMaybe\n# Fix:\nx = 9\n</think>\n\n",
        "Maybe\n# Fix:\nx = 9\n</think>\n",
        "<think></think>",
        "<think>x.</think> ",
    ],
)
def test_what_a_model_thinks_to_itself_is_no_part_of_its_answer(head):
    assert parse_completion(f"{head}so\n# Fix:\nx = 1") == parse_completion("so\n# Fix:\nx = 1")


def test_a_mark_of_thoughts_within_or_behind_an_answer_ends_none():
    for text in ("so\n# Fix:\nx = '</think>'", "so\n# Fix:\nx = 1\n</think>\n"):
        assert parse_completion(text).rationale == "so"


def test_thoughts_that_were_cut_off_hold_no_answer():
    assert parse_completion("<think>\nMaybe\n# Fix:\nx = 9").fix == ""


def test_a_fenced_program_is_found_without_the_mark():
    answer = parse_completion("It is off by one.\n```python\nx = 1\n```")
    assert (answer.rationale, answer.fix) == ("It is off by one.", "x = 1")


@pytest.mark.parametrize(
    "opening", ["```", "```python3", "```python ", "``` python", "```py\r", "````c++", "Fix: ```py", "Fix:```py"]
)
@pytest.mark.parametrize("mark", ["", "# Fix:\n"])
def test_a_fence_may_be_opened_in_many_ways(mark, opening):
    assert parse_completion(f"Why.\n{mark}{opening}\nx = 1\n```\nThat is all.").fix == "x = 1"


def test_without_the_mark_the_last_fenced_block_is_the_program():
    answer = parse_completion("The line\n```\nreturn a\n```\nis wrong:\n```python\nx = 1\n```\nDone.")
    assert answer.rationale.endswith("is wrong:") and answer.fix == "x = 1"


def test_after_the_mark_the_first_fenced_block_is_the_program():
    assert parse_completion("Why.\n# Fix:\n```\nx = 1\n```\nFor example:\n```\nprint(x)\n```").fix == "x = 1"


def test_a_fenced_program_that_was_cut_off_goes_to_the_end():
    assert parse_completion("Why.\n```python\nx = 1\ny =").fix == "x = 1\ny ="


def test_a_fence_with_nothing_in_it_is_no_program_where_there_is_another():
    assert parse_completion("```\nx = 1\n```\n```\n").fix == "x = 1"


def test_code_fenced_within_a_line_is_no_program():
    answer = parse_completion("It uses ```a```\nand should be:\n```\nx = 1\n```\n")
    assert (answer.rationale, answer.fix) == ("It uses ```a```\nand should be:", "x = 1")


@pytest.mark.parametrize("text", ["x = 1\n", "```python\nx = 1\n```", "Here it is:\n```\nx = 1\n```\nIt was 2."])
def test_an_answer_that_is_a_program_alone_is_a_fix_without_a_rationale(sample, text):
    fix = as_fix(sample(text))
    assert (fix.rationale, fix.fix, fix.text) == ("", "x = 1", text)


@pytest.mark.parametrize("text", ["def f(", "x = '\0'", "-" * 7000, "(" * 7000, "\ud83d"])
def test_text_that_does_not_parse_is_its_own_shape(text):
    assert shape(f"{text}\n") == text


def test_programs_are_the_same_up_to_layout():
    assert same_program("x=1  # a", "x = 1") and not same_program("x = 1", "x = 2")


def test_odd_programs_are_compared_without_a_warning(recwarn):
    assert same_program("x = 1if y else 2", "x = 1 if y else 2") and same_program("x = '\\d'", r"x = '\\d'")
    assert not recwarn.list


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        (
            "It subtracts.\n```python\ndef f(x):\n    # Fix: add\n    return x + 1\n```",
            "def f(x):\n    # Fix: add\n    return x + 1",
        ),
        ("So.\n```python\n# Fix: add\ndef f(x):\n    return x + 1\n```", "# Fix: add\ndef f(x):\n    return x + 1"),
        ("So.\n```python\nx = 1  # Fix: was 2\n```\nDone.", "x = 1  # Fix: was 2"),
        ("So.\n# Fix:\n```python\nx = 1\n```", "x = 1"),
        (
            '# Fix:\ndef f(x):\n    """\n    ```\n    f(1)\n    ```\n    """\n    return x',
            'def f(x):\n    """\n    ```\n    f(1)\n    ```\n    """\n    return x',
        ),
    ],
)
def test_the_mark_of_a_fix_is_told_from_a_comment_and_a_program_from_its_docstring(text, fix):
    assert parse_completion(text).fix == fix


def test_a_trace_of_another_task_is_refused(task):
    found = trace_in_process(task.buggy, task.tests[0], task_id="t/9")
    with pytest.raises(ValueError, match="trace is of task 't/9', the task is 't/1'"):
        build_prompt(task, found)


@pytest.mark.parametrize("head", ["## Fix:", "### Fix:", "- # Fix:", "> # Fix:", "    # Fix:", "It adds. # Fix:"])
def test_a_mark_may_be_a_heading_or_an_item(head):
    assert parse_completion(f"So.\n{head}\n```python\nx = 1\n```\nTry:\n```python\nprint(x)\n```").fix == "x = 1"
