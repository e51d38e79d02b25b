"""Naturalizing: what the comments look like, and that they come off again."""

import random
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nextkit.naturalize import STYLES, count_tokens, naturalize, shorten, strip_trace
from nextkit.offline.repairs import draw_task, failing_trace
from nextkit.tracing import trace_in_process

SEPARATE = "def separate(lst):\n    odd = []\n    for n in lst:\n        if n % 2 == 0:\n            odd.append(n)\n    return odd"
STATE = re.compile(r"(?:# |; )\((\d+)\) ")
GOLDEN = """\
def separate(lst):  # (0) lst=[1, 2, 3]
    odd = []  # (1) odd=[]
    for n in lst:  # (2) n=1; (4) n=2; (7) n=3
        if n % 2 == 0:
            odd.append(n)  # (6) odd=[2]
    return odd  # (10) return [2]
assert separate([1, 2, 3]) == [1, 3]  # got [2]"""


def test_the_comments_look_as_in_the_method():
    assert naturalize(trace_in_process(SEPARATE, "assert separate([1, 2, 3]) == [1, 3]")) == GOLDEN


def test_a_line_that_ran_often_keeps_two_states_and_the_last():
    text = naturalize(
        trace_in_process("def f(n):\n    for i in range(n):\n        pass\n    return i", "assert f(9) == 1")
    )
    assert "# (1) i=0; (3) i=1; ...; (17) i=8" in text


def test_an_exception_stands_at_its_line_and_at_the_test():
    text = naturalize(trace_in_process("def f(x):\n    return x[9]", "assert f([1]) == 1"))
    assert text.count("IndexError: list index out of range") == 2 and "# raised IndexError" in text


def test_a_program_that_was_stopped_says_after_how_many_steps():
    text = naturalize(trace_in_process("def f():\n    while True:\n        pass", "assert f() == 1", max_steps=9))
    assert text.endswith("# stopped after 9 steps")


def test_a_passing_test_has_no_comment():
    assert naturalize(trace_in_process("def f():\n    return 1", "assert f() == 1")).endswith("assert f() == 1")


def test_a_statement_over_several_lines_has_its_comment_at_its_end():
    program = 'def f():\n    a = """x\ny"""\n    return (a +\n            "z")'
    text = naturalize(trace_in_process(program, "assert f() == 1"))
    assert 'y"""  # (1) a=' in text and strip_trace(text).startswith(program)


def test_long_values_keep_beginning_and_end():
    assert (
        shorten("[" + "1, " * 50 + "2]", 32)
        == "[1, 1, 1, 1, 1, 1, ...1, 1, 2]"[:19] + "..." + ("1, " * 50 + "2]")[-10:]
    )


def test_an_unknown_style_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"'prose'.*inline"):
        naturalize(trace_in_process(SEPARATE, "assert separate([1]) == [1]"), style="prose")


def test_a_scratchpad_is_longer_than_comments():
    trace = trace_in_process(SEPARATE, "assert separate([1, 2, 3] * 20) == [1, 3]")
    lengths = [len(naturalize(trace, style=style)) for style in ("concise", "inline", "scratchpad")]
    assert lengths == sorted(lengths) and lengths[2] > 3 * lengths[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_stripping_the_comments_gives_program_and_test_back(seed):
    if task := draw_task(random.Random(seed)):
        trace = failing_trace(task)
        assert strip_trace(naturalize(trace)) == f"{task.buggy}\n{trace.test}"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_order_numbers_rise_within_a_line_and_name_steps_of_that_line(seed):
    if task := draw_task(random.Random(seed)):
        trace = failing_trace(task)
        lines = {step.index: step.line for step in trace.steps}
        for number, line in enumerate(naturalize(trace).splitlines()[:-1], 1):
            indexes = [int(k) for k in STATE.findall(line)]
            assert indexes == sorted(set(indexes))
            assert all(lines[k] == number for k in indexes)


def shown_values(text):
    """(step index, path or event, value as shown) of every state in a naturalized text."""
    for line in text.splitlines():
        for state in re.split(r"; (?=\(\d+\) )|; \.\.\.(?=; )", line.partition("  # ")[2]):
            if found := STATE.match("# " + state):
                yield from ((int(found[1]), part) for part in state[len(found[1]) + 3 :].split("; "))


def is_shortened(shown, value):
    """Whether `shown` is the value, or begins and ends as it does, with dots between; it may have dots of its own."""
    cuts = [(shown[: found.start()], shown[found.start() + 3 :]) for found in re.finditer(r"(?=\.\.\.)", shown)]
    return shown == value or any(value.startswith(begin) and value.endswith(end) for begin, end in cuts)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([32, 12]))
@example(19409, 12)
def test_every_value_shown_is_in_the_raw_trace_at_that_step(seed, max_value):
    if task := draw_task(random.Random(seed)):
        trace = failing_trace(task)
        raw = {step.index: step for step in trace.steps}
        for index, part in shown_values(naturalize(trace, max_value=max_value)):
            step = raw[index]
            values = [f"{path}={value}" for path, value in step.changes]
            values += [f"{step.event} {step.value}", step.value, f"{step.value} in {step.where}"]
            assert any(is_shortened(part, value) for value in values), (part, values)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(STYLES), st.integers(1, 400))
def test_a_budget_holds_and_the_end_of_the_story_stays(seed, style, budget):
    if not (task := draw_task(random.Random(seed))):
        return
    trace = failing_trace(task)
    try:
        text = naturalize(trace, style=style, budget=budget)
    except ValueError as error:
        assert f"budget {budget} is too small" in str(error)
        return
    whole = naturalize(trace, style=style)
    assert count_tokens(text) <= budget and (text == whole) == (count_tokens(whole) <= budget)
    last = max(step.index for step in trace.steps if step.changes or step.event in ("return", "exception"))
    outcome = {"failed": "# got ", "error": "# raised ", "timeout": "# stopped after "}[trace.outcome]
    assert outcome in text and f"({last}) " in text
    raised = [step.index for step in trace.steps if step.event == "exception"]
    assert all(f"({index}) " in text for index in (raised[-1:] if "caught exceptions" in text else raised))
    if style != "scratchpad":
        assert strip_trace(text) == f"{task.buggy}\n{trace.test}"


def test_a_budget_takes_long_values_first_then_middle_then_early_states():
    program = "def f(n):\n    s = 'some text that is quite long, is it not?'\n    for i in range(n):\n        s = s + str(i)\n    return s"
    trace = trace_in_process(program, "assert f(20) == 1")
    notes = []
    for budget in range(400, 60, -1):
        try:
            text = naturalize(trace, budget=budget)
        except ValueError:
            break
        note = text.rpartition("# left out: ")[2] if "# left out: " in text else ""
        notes += [note] if note not in notes else []
    assert notes == [
        "",
        "long values",
        "long values, middle states",
        "long values, middle states, early states",
        "long values, middle states, early states, early lines",
    ]


def test_any_tokenizers_length_can_be_the_measure():
    trace = trace_in_process(SEPARATE, "assert separate([1, 2, 3, 4, 5]) == [1]")
    assert len(naturalize(trace, budget=260, length=len)) <= 260


def test_a_budget_below_the_program_itself_is_an_error_that_says_the_least():
    for style in (*STYLES, "outcome"):
        with pytest.raises(ValueError, match=r"budget 10 is too small.* take \d+: raise the budget"):
            naturalize(trace_in_process(SEPARATE, "assert separate([1]) == [2]"), style=style, budget=10)


def test_comments_of_the_programs_own_stay_when_ours_come_off():
    program = "def f(x):  # note: (1) here\n    # got it\n    s = 'a  # (0) b'\n    return x  # raised?"
    text = naturalize(trace_in_process(program, "assert f(1) == 2"))
    assert strip_trace(text) == f"{program}\nassert f(1) == 2"


def test_the_failing_expression_is_named_only_where_its_line_leaves_a_doubt():
    one = naturalize(trace_in_process("def f(x):\n    return x[9]", "assert f([1]) == 1"))
    two = naturalize(trace_in_process("def f(x):\n    return x[0] + x[9]", "assert f([1]) == 1"))
    assert " in x[9]" not in one and "IndexError: list index out of range in x[9]" in two


def test_what_came_out_stands_at_the_assertion_that_failed():
    trace = trace_in_process("def f(x):\n    return x", "assert f(1) == 1\nassert f(2) == 3\nassert f(4) == 4")
    assert naturalize(trace).splitlines()[-2:] == ["assert f(2) == 3  # got 2", "assert f(4) == 4"]


def test_concise_leaves_out_arguments_that_the_test_shows_and_keeps_others():
    program = "def f(x, y=1):\n    x += y\n    return x"
    text = naturalize(trace_in_process(program, "assert f(71) == 2"), style="concise")
    assert text.splitlines()[0] == "def f(x, y=1):  # (0) y=1"


def test_a_scratchpad_writes_each_step_on_a_line():
    text = naturalize(trace_in_process("def f(x):\n    y = x\n    return y", "assert f(1) == 2"), style="scratchpad")
    assert text.splitlines()[3:] == [
        "# (0) def f(x): -> x=1",
        "# (1) y = x -> y=1",
        "# (2) return y -> return 1",
        "assert f(1) == 2  # got 1",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "x = 1  # (1) first set x",
        "x = 1  # (1) return early",
        "x = 1  # (1) note: x=1 here",
        "x = 7  # (1) x=3 is what it was",
        "x = 1  # (2) first, then (3) second",
        "x = 'a  # (1) b=2'  # (1) note",
        "x = 'a  # (1) b=2'",
        "d = {'a=b]': 1}",
        "d = {2: 1}; d[2] = 'it is  # (2) d=3'  # (1) ValueError was it",
    ],
)
@pytest.mark.parametrize("style", ["inline", "concise"])
def test_numbered_comments_of_the_programs_own_stay_when_ours_come_off(line, style):
    program = f"def f(x):\n    {line}\n    return x"
    text = naturalize(trace_in_process(program, "assert f(1) == 2"), style=style)
    assert strip_trace(text) == f"{program}\nassert f(1) == 2"


@pytest.mark.parametrize(
    "test",
    [
        "assert f(1) == 1  # got it right",
        "assert f(1) == 2\nassert f(1) == 1  # got it right...",
        "assert f(1) == 2  # got one  # raised?",
        "assert f('a  # got 2') == '  # got 2'",
        "assert f(0) == 2",
    ],
)
def test_comments_of_the_tests_own_stay_when_the_outcome_comes_off(test):
    program = "def f(x):\n    if not x:\n        raise Own(x)\n    return x\nclass Own(Exception):\n    pass"
    assert strip_trace(naturalize(trace_in_process(program, test))) == f"{program}\n{test}"


BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@pytest.mark.parametrize("style", [*STYLES, "outcome"])
@pytest.mark.parametrize("sign", BREAKS)
def test_nothing_that_a_program_names_goes_on_below_its_comment(sign, style):
    name = f"a{sign}import os"
    program = (
        f"def f():\n    o = type({name!r}, (), {{}})()\n    setattr(o, {name!r}, 5)\n    x = ValueError({name!r})\n"
    )
    for end in ("    return o", "    raise x", f"    class E(Exception): pass\n    E.__name__ = {name!r}\n    raise E"):
        text = naturalize(trace_in_process(program + end, "assert f() == 1"), style=style)
        assert not any(line.startswith("import os") for line in text.splitlines())


def test_what_came_out_stands_at_its_assertion_also_below_empty_lines():
    trace = trace_in_process("def f(x):\n    return x", "\n\nassert f(1) == 1\nassert f(2) == 3\nassert f(4) == 4")
    assert naturalize(trace).splitlines()[-3:] == ["assert f(1) == 1", "assert f(2) == 3  # got 2", "assert f(4) == 4"]


@pytest.mark.parametrize("style", STYLES)
def test_a_budget_takes_caught_exceptions_when_nothing_else_is_left_but_not_the_last(style):
    program = (
        "def f(n):\n    for i in range(n):\n        try:\n            {}[i]\n"
        "        except KeyError:\n            pass\n    return [0][n]"
    )
    trace = trace_in_process(program, "assert f(60) == 1")
    text = naturalize(trace, style=style, budget=150)
    assert text.endswith("early lines, caught exceptions") and "IndexError:" in text
    assert "KeyError: 0" not in text and "caught" not in naturalize(trace, style=style, budget=1800)


@pytest.mark.parametrize("wrong", [dict(max_value=0), dict(visits=3), dict(visits=(2, -1))])
def test_room_for_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="give at least 1"):
        naturalize(trace_in_process("def f():\n    return 1", "assert f() == 1"), **wrong)


def test_a_program_that_is_no_python_is_told_with_its_line():
    text = naturalize(trace_in_process("def f(x)\n    return x", "assert f(1) == 1"))
    assert text.endswith("# raised SyntaxError: expected ':' (line 1)")
