"""Tasks: what there is to repair.

A repair task is (x, y~, T): a description x in natural language, a buggy program y~ and unit tests T. The tests that
a model is shown also filter its samples; hidden tests, where a task has them, decide at evaluation only, so that a
fix which merely suits the shown tests does not count.

    tasks = load_tasks("data/tasks/train.jsonl")
    tasks[0].buggy
"""

import ast
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nextkit.comparing import ORACLES
from nextkit.parsing import parse
from nextkit.records import read_jsonl, write_jsonl

DATA = Path(__file__).resolve().parent.parent / "data"


@dataclass(frozen=True)
class RepairTask:
    """One program to repair.

    task_id: unique in its set. description: x. buggy: y~, source text. tests: assert statements, shown in the prompt
    and used by the filter. hidden_tests: assert statements used only to evaluate. setup: code run before the
    program. reference: a correct program, for measuring only, never shown. split: which part of the data it is in.
    meta: where it comes from (family, kind of bug, ...). oracle: how a returned value is compared, a name of
    `nextkit.comparing`: "exact", also in its types, "equal", as Python's == would, or "root". tolerance: absolute,
    for numbers. Raises ValueError where the parts do not fit together, naming the task, the part and the mend.
    """

    task_id: str
    description: str
    buggy: str
    tests: tuple[str, ...]
    hidden_tests: tuple[str, ...] = ()
    setup: str = ""
    reference: str = ""
    split: str = ""
    meta: dict = field(default_factory=dict)
    oracle: str = "exact"
    tolerance: float = 0.0

    def __post_init__(self):
        for name in ("tests", "hidden_tests"):
            if not isinstance(tests := getattr(self, name), str | tuple) and isinstance(tests, Iterable):
                object.__setattr__(self, name, tuple(tests))
        _check(self)


def load_tasks(path, split=None):
    """The repair tasks of a JSON Lines file, or of data/tasks/NAME.jsonl for a bare name such as "train".

    split: only tasks of that split. Raises FileNotFoundError naming the sets there are, and ValueError naming the
    task, what is wrong with it, and the mend; also where there is no task, or none of that split.
    """
    path = _resolve(path)
    tasks = _all_different(read_jsonl(path, RepairTask), path)
    found = [task for task in tasks if split in (None, task.split)]
    if not found:
        splits = f" of the split {split!r}: it has {sorted({task.split for task in tasks})}" if tasks else ""
        raise ValueError(f"{path} holds no task{splits}")
    return found


def save_tasks(tasks, path):
    """Write repair tasks as JSON Lines. Raises ValueError for two of one id, which could not be read back."""
    write_jsonl(_all_different(tasks, path), path)


def _all_different(tasks, path):
    """The tasks as a list, if no two have the same id."""
    tasks = list(tasks)
    for task_id, count in Counter(task.task_id for task in tasks).items():
        if count > 1:
            raise ValueError(f"{path}: {count} tasks have the id {task_id!r}: give each an id of its own")
    return tasks


def _check(task):
    """Raises ValueError where the parts of a task do not fit together."""
    for name in ("task_id", "description", "buggy", "setup"):
        if not isinstance(getattr(task, name), str):
            raise ValueError(f"task {task.task_id!r}: {name} must be text, not {type(getattr(task, name)).__name__}")
    if not isinstance(task.tests, tuple) or not task.tests:
        found = f"; found one text, {task.tests!r}: put it into a list" if isinstance(task.tests, str) else ""
        raise ValueError(f"task {task.task_id!r}: tests must be a non-empty list of assert statements{found}")
    if not isinstance(task.hidden_tests, tuple) or not isinstance(task.meta, dict):
        raise ValueError(f"task {task.task_id!r}: hidden_tests must be a list of assert statements, and meta an object")
    if task.oracle not in ORACLES or not isinstance(task.tolerance, int | float) or task.tolerance < 0:
        raise ValueError(
            f"task {task.task_id!r}: oracle {task.oracle!r} with tolerance {task.tolerance!r}: give one of "
            f"{', '.join(ORACLES)}, and a number that is not negative"
        )
    for number, test in enumerate((*task.tests, *task.hidden_tests)):
        if not any(map(_can_fail, _parsed(task, f"test {number}", test))):
            raise ValueError(
                f"task {task.task_id!r}: test {number} asserts nothing, so every program passes it; found {test!r}: "
                "write it as 'assert f(1) == 2'"
            )


def _can_fail(statement):
    """Whether a statement of a test asserts something when it runs, or calls something that may."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return False
    calls = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    return calls or any(isinstance(node, ast.Assert | ast.Raise) for node in ast.walk(statement))


def _parsed(task, part, source):
    """The statements of a test."""
    try:
        return parse(source).body
    except (SyntaxError, TypeError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(
            f"task {task.task_id!r}: {part} is not valid Python: {error}; found {str(source)[:200]!r}: write it as one statement, "
            "such as 'assert f(1) == 2'"
        ) from None


def _resolve(path):
    path = Path(path)
    named = DATA / "tasks" / f"{path}.jsonl"
    if not path.exists() and not path.suffix and named.exists():
        return named
    if not path.exists():
        shipped = ", ".join(sorted(p.stem for p in (DATA / "tasks").glob("*.jsonl")))
        raise FileNotFoundError(
            f"no task file {str(path)!r}: give a path to a .jsonl file, or a shipped set: {shipped}"
        )
    return path
