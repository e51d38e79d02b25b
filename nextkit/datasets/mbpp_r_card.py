"""The data card of an Mbpp-R build: what is in it, counted."""

from collections import Counter

from nextkit.records import whole

CARD = """# Mbpp-R

Repair tasks made from MBPP (Austin et al. 2021, google-research-datasets/mbpp) by `nextkit.datasets.mbpp_r.mbpp_r` with
{settings}.
The paper's Mbpp-R has 10,047 training and 1,468 development tasks, with buggy programs that a model wrote.

{sets}

Training tasks come from MBPP's training problems (601-974), development tasks from its validation problems (511-600);
no problem is in both. Each buggy program parses, ends on every test within {timeout} s, fails a shown test, and is, but
for layout and comments, neither the reference nor another buggy program of its problem. Shown tests are MBPP's three;
hidden tests are the challenge tests that the reference passes. Where the reference passes only by Python's == (it
returns 240.0 for 240), the tasks have oracle "equal".

## Where the buggy programs come from

{sources}

Wrong samples of a model that were given: {given}. Programs that were tried and not taken:

{refused}

## Kinds of edits

Tasks with such an edit; a double edit counts once for each of its kinds. `nextkit.datasets.mutate` explains them.

{kinds}

## How the buggy programs fail

{statuses}

## Problems left out

Their reference does not pass its own tests in the sandbox: {left_out}.

## Licence

MBPP is licensed under CC-BY-4.0; descriptions, tests and references are MBPP's, and the buggy programs made by edits are
derived from its references: name MBPP when you pass these files on.
"""


def write_card(path, settings, sets, found, given):
    """Write the card, as Markdown; it appears whole or not at all.

    settings: arguments of the build. sets: its tasks, by split. found: its Founds, by split and number of the problem.
    given: how many wrong samples it was given.
    """
    with whole(path) as partial:
        partial.write_text(_card(settings, sets, found, given), encoding="utf-8")


def _card(settings, sets, found, given):
    out = [one for ones in found.values() for one in ones.values() if one.left_out]
    return CARD.format(
        settings=", ".join(f"{name}={value}" for name, value in settings.items()),
        timeout=settings["timeout"],
        given=given,
        sets=_table("", {split: _sizes(sets[split], found[split], settings[split]) for split in sets}),
        sources=_table("source", {split: Counter(map(_source, tasks)) for split, tasks in sets.items()}),
        refused=_table("why", {split: _refused(ones.values()) for split, ones in found.items()}),
        kinds=_table("kind", {split: _kinds(tasks) for split, tasks in sets.items()}),
        statuses=_table("status", {split: Counter(t.meta["status"] for t in tasks) for split, tasks in sets.items()}),
        left_out=", ".join(f"mbpp/{one.number} ({one.left_out})" for one in out) or "none",
    )


def _sizes(tasks, found, wanted):
    each = Counter(task.meta["problem"] for task in tasks).values()
    return {
        "tasks": len(tasks),
        "tasks wanted": wanted,
        "problems": len(each),
        "fewest tasks of a problem": min(each, default=0),
        "most tasks of a problem": max(each, default=0),
        "problems that have no more to give": sum(one.exhausted and not one.left_out for one in found.values()),
        "tasks with hidden tests": sum(bool(task.hidden_tests) for task in tasks),
        "tasks with oracle equal": sum(task.oracle == "equal" for task in tasks),
        "problems with oracle equal": len({task.meta["problem"] for task in tasks if task.oracle == "equal"}),
    }


def _source(task):
    if task.meta["source"] == "sample":
        return "a model's sample"
    return "single edit" if len(task.meta["operators"]) == 1 else "double edit"


def _kinds(tasks):
    return Counter(kind for task in tasks for kind in set(task.meta["operators"]))


def _refused(founds):
    return sum((Counter(one.refused) for one in founds), Counter())


def _table(title, columns):
    """A Markdown table, a column a split; the rows with the largest sums first, sizes in their own order."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    if title:
        names.sort(key=lambda name: (-sum(column.get(name, 0) for column in columns.values()), name))
    rows = [[title, *columns], ["---"] * (len(columns) + 1)]
    rows += [[name, *(column.get(name, 0) for column in columns.values())] for name in names]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
