"""The solved examples for general models."""

import pytest

from nextkit.few_shot import RATIONALES, TASKS, few_shot, instruction
from nextkit.grounding.claims import check_claims
from nextkit.prompting import FIX, WHY, Prompt, build_prompt, messages, parse_completion
from nextkit.tasks import load_tasks
from nextkit.tracing import trace

MINI = {task.task_id: task for task in load_tasks("mini")}


@pytest.mark.parametrize("name", TASKS)
def test_what_an_example_says_of_its_run_is_true(name):
    task = MINI[name]
    holds = [claim.holds for claim in check_claims(" ".join(RATIONALES[name]), trace(task), task.reference)]
    assert True in holds and False not in holds


def test_an_example_ends_in_an_answer_that_parses_into_the_right_program():
    for name, example in zip(TASKS, few_shot(3), strict=True):
        answer = parse_completion(example.partition(WHY)[2])
        assert (answer.rationale, answer.fix) == (" ".join(RATIONALES[name]), MINI[name].reference.strip())


def test_without_rationales_an_example_is_a_prompt_and_a_program():
    example = few_shot(1, rationale=False)[0]
    assert WHY not in example and example.endswith(f"{FIX}\n{MINI[TASKS[0]].reference.strip()}")


def test_examples_are_turns_for_a_model_that_is_talked_to():
    turns = messages(Prompt("t", "", "question", few_shot(2), instruction()))
    assert [turn["role"] for turn in turns] == ["system", *["user", "assistant"] * 2, "user"]


def test_more_examples_than_there_are_are_refused():
    with pytest.raises(ValueError, match="count is 4: there are 3 examples"):
        few_shot(4)


@pytest.mark.parametrize(
    "style, shown", [("inline", "# (1)"), ("scratchpad", "# (1) "), ("outcome", "# got [5, 10]"), (None, "")]
)
def test_examples_show_of_the_run_what_the_prompts_show(style, shown):
    example = few_shot(1, style=style)[0]
    seen = [mark for mark in ("# (1)", "# got [5, 10]") if mark in example]
    assert shown in example and len(seen) == {None: 0, "outcome": 1}.get(style, 2)


def test_who_sees_no_trace_is_shown_no_rationale_that_quotes_it():
    assert "it returns [5, 10]" in few_shot(1)[0]
    assert not any("returns" in few_shot(1, style=style)[0] for style in ("outcome", None))


def test_the_instruction_speaks_only_of_what_is_there():
    assert WHY in instruction() and WHY not in instruction(rationale=False)
    assert (
        "step" in instruction() and "step" not in instruction(style="outcome") and "ran" not in instruction(style=None)
    )


def test_notebooks_ask_a_general_model_with_instruction_and_examples(task, monkeypatch):
    from nextkit import notebook

    assert notebook.ask(task, trace(task)) == build_prompt(task, trace(task))
    monkeypatch.setattr(notebook, "SHIPPED", False)
    for found, style in ((trace(task), "inline"), (None, None)):
        prompt = notebook.ask(task, found)
        assert prompt.few_shot == few_shot(3, style=style) and prompt.instruction == instruction(style=style)
