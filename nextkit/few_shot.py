"""Few-shot examples: what a general model is shown before its first answers (Algorithm 1 prompts the base so, in round 0).

The paper's own examples are not known. These are tasks of the shipped mini set with rationales written by hand; leave
`TASKS` out where a prompted model is measured on that set.

    settings = SelfTrainingSettings(model, few_shot=3, instruction=True)     # in the form that its prompts have
    build_prompt(task, trace, few_shot=few_shot(3), instruction=instruction())
"""

from nextkit.prompting import build_prompt, format_answer
from nextkit.tasks import load_tasks
from nextkit.tracing import trace

_COMMENTS = """Its comments show what happened when the failing test ran: `(k)` is the k-th step of the run, followed by \
what the line changed, returned or raised; a line without a comment changed nothing or never ran. """
_STEPS = """Below it stands what happened when the failing test ran, a step a line, with what the step changed, returned \
or raised. """
_SHOWN = dict(
    inline=_COMMENTS, concise=_COMMENTS, scratchpad=_STEPS, outcome="A comment tells how the failing test ended. "
)

# Each in two: what the run shows, and what is wrong. Who sees no trace is shown the second half alone.
RATIONALES = {
    "mini/multiples-between": (
        "The loop takes number up to 14 and never reaches 15, so 15 is missing: it returns [5, 10], not [5, 10, 15].",
        "`range` leaves its end out, but both ends are wanted. Change `high` to `high + 1` in the `range`.",
    ),
    "mini/class-averages": (
        "At step 3 values is [], so its length is 0 and the division raises ZeroDivisionError.",
        "A class without marks must get 0.0 and must not be divided. Compute the average only where there are marks.",
    ),
    "mini/all-different": (
        "The loop looks at the first item only: after `seen.add(item)` it returns True at step 5, and the second 'a' is "
        "never compared.",
        "The `return True` belongs after the loop, when all items have been seen.",
    ),
}
TASKS = tuple(RATIONALES)


def instruction(*, style="inline", rationale=True):
    """What a general model is told before the examples. style: of what it sees of the run, None for nothing of it."""
    ran = "what the run shows and what is wrong" if style else "what is wrong"
    told = f"Say after `# Why:` in a few sentences {ran}, then write `# Fix:` and the" if rationale else "Write the"
    return f"Each program below is wrong. {_SHOWN[style] if style else ''}{told} whole corrected program."


def few_shot(count=3, *, style="inline", rationale=True):
    """The first `count` solved examples, each the text of a prompt with its answer, in the form that tuning teaches.

    style: of the traces, None for none; rationale: whether the answer has one. Raises ValueError for a count that there
    is not.
    """
    if not 0 <= count <= len(TASKS):
        raise ValueError(f"count is {count}: there are {len(TASKS)} examples; add your own to the tuple for more")
    tasks = {task.task_id: task for task in load_tasks("mini")}
    return tuple(_example(tasks[name], style, rationale) for name in TASKS[:count])


def _example(task, style, rationale):
    how = dict(rationale=rationale) | (dict(style=style) if style else {})
    prompt = build_prompt(task, trace(task) if style else None, **how).text
    told = RATIONALES[task.task_id][0 if style and style != "outcome" else 1 :]
    return prompt + (format_answer(" ".join(told), task.reference) if rationale else f"\n{task.reference.strip()}")
