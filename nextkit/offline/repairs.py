"""Repair tasks of the offline world: a random program, one edit of it that its tests show, and the split it belongs to.

Splits are made once, by the hash of a task's key, and the ten unseen families are in no other split.

Of most bugs the description tells what the code should do. Of an untold one it does not: one of the program's branches is
wrong, and the run tells which, see `nextkit.offline.branches`.
"""

import ast
import functools
import hashlib
import random
import re
from dataclasses import replace

from nextkit.datasets.mutate import Edit, random_edit
from nextkit.offline.branches import FAMILY, draw_branches
from nextkit.offline.execution import little_memory, run
from nextkit.offline.programs import draw_argument, draw_names, draw_program, draw_unseen, rename
from nextkit.offline.rationales import state_edit
from nextkit.prompting import build_prompt
from nextkit.tasks import RepairTask
from nextkit.tracing import trace_in_process

SHOWN, HIDDEN = 3, 6
SPLITS = {"pretrain": 0.76, "train": 0.10, "dev": 0.07, "test": 0.07}
LONGEST = 800  # characters of a task's prompt
UNTOLD = {"untold": "test", "untold-train": "train", "untold-dev": "dev"}  # set of untold tasks -> split of its keys
WHOLE = ("assembled", FAMILY)  # their program's key is the task's; a family's is its name, so the bug is needed too


def split_of(key):
    """The split that tasks of this key belong to; a function of the key alone, so keys never cross."""
    place = _place(key)
    for split, share in SPLITS.items():
        place -= share
        if place < 0:
            return split
    return "test"


def occurs(key, variety):
    """Whether a key is among the share `variety` of those of pretraining; what is in a share is in every larger one."""
    return _place(key) < variety * SPLITS["pretrain"]


def _place(key):
    """A number from 0 to 1 that a key always has."""
    return int(hashlib.sha256(key.encode()).hexdigest()[:8], 16) / 16**8


def draw_task(rng, *, unseen=False, variety=None, untold=False):
    """A random repair task of the offline world, or None when the draw came to nothing (no bug that a test shows).

    variety: draw only what is among this share of the keys of pretraining, see `occurs`; None: of whatever split.
    untold: one that neither description nor code tells how to mend.
    """
    program, others = draw_branches(rng) if untold else ((draw_unseen if unseen else draw_program)(rng), ())
    if variety and program.family in WHOLE and not occurs(program.key, variety):
        return None  # before its tests are run, which takes most of the time
    tests, expected = _tests(rng, program)
    if len(tests) < SHOWN + HIDDEN or len({repr(value) for value in expected[:SHOWN]}) < 2:
        return None
    edit = Edit("operator", rng.choice(others)) if untold else random_edit(program.code, rng)
    if edit is None:
        return None
    key = program.key if program.family in WHOLE else f"{program.key}|{_shape(edit.program)}"
    if (variety and not occurs(key, variety)) or state_edit(edit.program, program.code) is None:
        return None
    task = _task(program, edit, tests, key, "unseen" if unseen else split_of(key))
    return task if failing_trace(task) else None


def _task(program, edit, tests, key, split):
    name = hashlib.sha256(f"{key}{edit.program}{tests}".encode()).hexdigest()[:8]
    meta = dict(family=program.family, key=key, bug=edit.kind)
    shown, hidden = tests[:SHOWN], tests[SHOWN:]
    return RepairTask(
        f"offline/{name}", program.description, edit.program, shown, hidden, "", program.code, split, meta
    )


def draw_tasks(count, split, seed):
    """`count` distinct tasks of one split, the same for the same seed.

    split: "pretrain", "train", "dev", "test", "unseen", or one of UNTOLD.
    """
    rng, found = random.Random(f"{split}/{seed}"), {}
    drawn = UNTOLD.get(split, split)
    while len(found) < count:
        task = draw_task(rng, unseen=split == "unseen", untold=split in UNTOLD)
        if task and task.split == drawn and len(build_prompt(task, failing_trace(task)).text) < LONGEST:
            found.setdefault((task.meta["key"], task.buggy), replace(task, split=split))
    return list(found.values())


def rename_task(rng, task):
    """The same task with a new name for all that its program defines."""
    names = draw_names(rng, task.reference)
    return replace(
        task,
        description=re.sub(r"`(\w+)`", lambda found: f"`{names.get(found[1], found[1])}`", task.description),
        buggy=rename(task.buggy, names),
        reference=rename(task.reference, names),
        tests=tuple(rename(test, names) for test in task.tests),
        hidden_tests=tuple(rename(test, names) for test in task.hidden_tests),
    )


def _tests(rng, program):
    """Distinct tests of a correct program: (assert statements, expected values)."""
    drawn = {}
    for _ in range(4 * (SHOWN + HIDDEN)):
        arguments = tuple(draw_argument(rng, kind) for _, kind in program.params)
        drawn.setdefault(repr(arguments), arguments)
    results = run(program.code, program.entry, list(drawn.values()))
    usable = [
        (a, v) for a, (ok, v) in zip(drawn.values(), results, strict=True) if ok and v is not None and len(repr(v)) < 45
    ]
    usable = usable[: SHOWN + HIDDEN]
    calls = tuple(f"assert {program.entry}({', '.join(map(repr, a))}) == {v!r}" for a, v in usable)
    return calls, [value for _, value in usable]


def _shape(code):
    """The program with its identifiers numbered in order of appearance: equal programs but for names are equal."""
    tree, numbers = ast.parse(code), {}
    for node in ast.walk(tree):
        for name in ("id", "arg", "name"):
            if isinstance(getattr(node, name, None), str):
                setattr(node, name, numbers.setdefault(getattr(node, name), f"v{len(numbers)}"))
    return ast.unparse(tree)


def failing_trace(task):
    """The trace of the first shown test that the buggy program does not pass (trusted, so run in process), or None.

    None as well where it takes seconds, since a bug may square a number for ever: what is seen of such a run depends on
    the machine. Main thread only: an alarm ends it.
    """
    return _failing_trace(task.buggy, task.tests, task.task_id)


@functools.lru_cache(maxsize=1)  # the bug is looked for with it, and then told by it
def _failing_trace(program, tests, task_id):
    for test in tests:
        with little_memory():
            trace = trace_in_process(program, test, task_id=task_id, alarm=True)
        if trace.outcome != "passed":
            return None if "seconds" in trace.truncated else trace
    return None
