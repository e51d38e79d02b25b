"""HeFix+: the 164 programs of HumanEvalFix, judged by EvalPlus' tests; the paper's second, harder evaluation set.

HumanEvalPack (bigcode/humanevalpack, MIT) has a buggy version of each HumanEval program; HumanEval+ (EvalPlus,
Apache-2.0) has many more inputs for each, and correct programs that say what is expected. Neither ships with nextkit.

    tasks = hefix_plus("humanevalpack.jsonl", "HumanEvalPlus.jsonl.gz")     # or hefix_plus("hub", "hub")

HumanEval's own inputs are the shown tests, EvalPlus' are the hidden ones. Values are compared as EvalPlus does: by ==,
floats within a tolerance (1e-6 where the data names none), and `find_zero` by whether it is a root.
"""

import urllib.request
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

from nextkit.asserts import parse_test
from nextkit.datasets.expected import write_tests
from nextkit.datasets.files import field, from_hub, read_rows, refuse
from nextkit.filtering import check_program
from nextkit.parallel import in_order
from nextkit.records import whole
from nextkit.sandbox import default_sandbox
from nextkit.tasks import RepairTask

PACK = "bigcode/humanevalpack", "data/python/data/humanevalpack.jsonl"
PLUS = "https://github.com/evalplus/humanevalplus_release/releases/download/v0.1.10/HumanEvalPlus.jsonl.gz"
CACHE = Path.home() / ".cache" / "nextkit"
ROOT_FINDER = "find_zero"
TOLERANCE = 1e-6  # EvalPlus' own, for floats where a problem has none


def hefix_plus(humanevalpack, humanevalplus, *, sandbox=None):
    """The RepairTasks of HeFix+, in the order of HumanEvalPack; with a progress bar.

    humanevalpack, humanevalplus: files of JSON lines, plain or .gz, or "hub" to fetch them (HumanEval+ from EvalPlus'
    release). meta of a task: its bug_type, the seconds that the reference took, and how many inputs were left_out (see
    `write_tests`). Raises FileNotFoundError, OSError without a network, and ValueError naming file, line, field, value
    and mend; warns of a buggy program that passes everything.
    """
    sandbox = sandbox or default_sandbox()
    pack = read_rows(from_hub(*PACK) if humanevalpack == "hub" else humanevalpack)
    plus = {_number(where, row): (where, row) for where, row in read_rows(_release(humanevalplus))}
    pairs = {}
    for where, row in pack:
        if pairs.setdefault(_number(where, row), (where, row, *_partner(where, row, plus)))[0] != where:
            refuse(where, "task_id", row["task_id"], "it occurs twice: leave one of the two out")
    work = partial(_task, sandbox=sandbox)
    return in_order(
        lambda pair: work(*pair), list(pairs.values()), workers=sandbox.workers, desc="hefix-plus", unit="task"
    )


def _release(path):
    """The path of HumanEval+, fetched once where it is asked for by "hub"."""
    if path != "hub":
        return path
    kept = CACHE / PLUS.rsplit("/", 1)[1]
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            with whole(kept) as partial_file:
                urllib.request.urlretrieve(PLUS, partial_file)
        except OSError as error:
            raise OSError(
                f"{PLUS} could not be fetched: {error}: without a network give the path of the file"
            ) from error
    return kept


def _number(where, row):
    """The number of the problem in "Python/12" or "HumanEval/12"."""
    task_id = field(where, row, "task_id", str)
    name, _, number = task_id.rpartition("/")
    if name not in ("Python", "HumanEval") or not number.isdigit():
        refuse(where, "task_id", task_id, "give one of Python's, such as 'Python/12'")
    return int(number)


def _partner(where, row, plus):
    number = _number(where, row)
    if number not in plus:
        refuse(where, "task_id", row["task_id"], f"HumanEval+ has no problem {number}: give its whole file")
    return plus[number]


def _task(where, row, plus_where, plus, sandbox):
    entry = field(where, row, "entry_point", str)
    reference = field(plus_where, plus, "prompt", str) + field(plus_where, plus, "canonical_solution", str)
    tests, hidden, left_out = [], [], 0
    for name, group in (("base_input", tests), ("plus_input", hidden)):
        inputs = field(plus_where, plus, name, list)
        if not all(isinstance(arguments, list) for arguments in inputs):
            refuse(plus_where, name, inputs, "give a list of lists of arguments")
        written, fewer = write_tests(reference, entry, inputs, sandbox=sandbox)
        group += written
        left_out += fewer
    if not tests:
        refuse(plus_where, "canonical_solution", reference, "it returns nothing for the inputs of HumanEval: mend it")
    task = RepairTask(
        f"hefix-plus/{_number(where, row)}",
        field(where, row, ("docstring", "text", "instruction"), str).strip(),
        (field(where, row, "declaration", str) + field(where, row, "buggy_solution", str)).strip() + "\n",
        tuple(tests),
        tuple(hidden),
        reference=reference,
        split="hefix-plus",
        meta=dict(bug_type=field(where, row, "bug_type", str, ""), left_out=left_out),
        oracle="root" if entry == ROOT_FINDER else "equal",
        tolerance=float(field(plus_where, plus, "atol", (int, float), 0)) or _tolerance((*tests, *hidden)),
    )
    return _with_failing_test(_timed(task, sandbox), sandbox)


def _tolerance(tests):
    return TOLERANCE if any(_is_floats(parse_test(test).expected) for test in tests) else 0.0


def _is_floats(value):
    """Whether it is a float, or a list or tuple of nothing else: EvalPlus' condition for a tolerance."""
    return type(value) is float or (type(value) in (list, tuple) and bool(value) and {*map(type, value)} == {float})


def _timed(task, sandbox):
    """The task with the seconds that its reference takes, by which candidates are timed."""
    verdict = check_program(task, task.reference, hidden=True, sandbox=sandbox, timeout=60)
    if verdict.status != "passed":
        warnings.warn(f"{task.task_id}: the reference does not pass: {verdict.message}", stacklevel=2)
        return task
    return replace(task, meta=task.meta | dict(seconds=round(verdict.seconds, 3)))


def _with_failing_test(task, sandbox):
    """The task with a shown test that the buggy program fails, where only a hidden one does."""
    verdict = check_program(task, task.buggy, hidden=True, sandbox=sandbox)
    if verdict.status == "passed":
        warnings.warn(f"{task.task_id}: the buggy program passes every test", stacklevel=2)
        return task
    place = verdict.test - len(task.tests)
    if place < 0:
        return task
    shown, hidden = (
        (*task.tests, task.hidden_tests[place]),
        (*task.hidden_tests[:place], *task.hidden_tests[place + 1 :]),
    )
    return replace(task, tests=shown, hidden_tests=hidden)
