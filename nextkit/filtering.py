"""Filtering: what the model may learn from.

A sample is kept when its fix passes every shown test of its task; the rationale is kept with it, unread. That is all
the supervision NExT has (Algorithm 1, line 5): no one checks what the rationale says, only what the program does. A
fix that returns the buggy program unchanged can never be kept, because that program fails a shown test.

    verdicts = judge(task, samples)
    examples = keep(samples, verdicts, per_task=4)
"""

import functools
import random
from dataclasses import dataclass, replace
from itertools import groupby, islice

from nextkit.parallel import check_either, in_order
from nextkit.prompting import same_program, shape
from nextkit.records import expect
from nextkit.sandbox import default_sandbox
from nextkit.tasks import RepairTask


@dataclass(frozen=True)
class Example:
    """What one training step imitates: the prompt, and the completion (rationale and fix) that passed."""

    task_id: str
    prompt: str
    completion: str


def judge(task, samples, executor=None, *, hidden=False, sandbox=None):
    """One Verdict a sample, in order: its fix, run in the sandbox on the task's shown tests.

    hidden: the hidden tests decide as well (for evaluation; never for what is kept). Equal fixes are judged once.
    executor: any concurrent.futures executor to run on; its workers start a sandbox each, so that one cannot be given
    as well (ValueError, as for samples of another task).
    """
    check_either(executor, sandbox)
    _check_of(task, samples)
    if executor is not None:
        return executor.submit(judge, task, samples, hidden=hidden).result()
    verdicts = {fix: check_program(task, fix, hidden=hidden, sandbox=sandbox) for fix in _fixes(samples)}
    return [verdicts[sample.fix] for sample in samples]


def judge_all(tasks, samples, executor=None, *, hidden=False, sandbox=None):
    """`judge` for many tasks, with a progress bar: samples is one list a task, and so is the result.

    Raises ValueError when tasks and samples differ in length, and for samples of another task.
    """
    check_either(executor, sandbox)
    pairs = _pairs(tasks=tasks, samples=samples)
    for task, row in pairs:
        _check_of(task, row)
    if executor is not None:
        work = functools.partial(_judge_pair, hidden=hidden)
        return in_order(work, pairs, workers=None, desc="judging", unit="task", executor=executor)
    programs = [(task, fix) for task, row in pairs for fix in _fixes(row)]
    found = iter(_check_all(programs, hidden=hidden, sandbox=sandbox, desc="judging", unit="program"))
    rows = [{fix: next(found) for fix in _fixes(row)} for _, row in pairs]
    return [[verdicts[sample.fix] for sample in row] for verdicts, (_, row) in zip(rows, pairs, strict=True)]


def _check_of(task, samples):
    """Raises ValueError where samples are of another task, TypeError for a program instead of samples."""
    if isinstance(samples, str):
        raise TypeError("samples is a text: give a list of them; a program is judged by check_program(task, program)")
    for sample in samples:
        if sample.task_id != task.task_id:
            raise ValueError(
                f"a sample of task {sample.task_id!r} is to be judged by task {task.task_id!r}: give each task its own samples"
            )


def check_program(task, program, *, hidden=False, sandbox=None, timeout=None):
    """The Verdict on any program by a task's tests, compared as the task says. hidden: by its hidden tests as well.

    timeout: seconds; by default the sandbox's, and at least four times what the reference took where meta["seconds"]
    says so (EvalPlus' rule). Raises TypeError for a task that is no RepairTask, or a program that is no text.
    """
    expect(task, RepairTask, "first the task, then the program")
    expect(program, str, "give the program's source")
    sandbox = sandbox or default_sandbox()
    tests = (*task.tests, *task.hidden_tests) if hidden else task.tests
    timeout = timeout or max(sandbox.timeout, 4 * task.meta.get("seconds", 0))
    how = dict(setup=task.setup, oracle=task.oracle, tolerance=task.tolerance, timeout=timeout)
    return sandbox.check(program, tests, task_id=task.task_id, **how)


def _judge_pair(pair, hidden):
    return judge(*pair, hidden=hidden)


def _check_all(programs, executor=None, *, hidden=False, sandbox=None, **bar):
    """The Verdict on each pair (task, program), in order. bar: desc and unit of the progress bar."""
    sandbox = None if executor is not None else sandbox or default_sandbox()
    work = functools.partial(_check_pair, hidden=hidden, sandbox=sandbox)
    return in_order(work, programs, workers=sandbox and sandbox.workers, executor=executor, **bar)


def _check_pair(pair, hidden, sandbox):
    return check_program(*pair, hidden=hidden, sandbox=sandbox)


def _pairs(**two):
    """The pairs of two lists, given by name. Raises ValueError that names both where they differ in length."""
    (one, ones), (other, others) = ((name, list(items)) for name, items in two.items())
    if len(ones) != len(others):
        raise ValueError(f"{len(ones)} {one} but {len(others)} {other}: they belong together, one by one, in order")
    return list(zip(ones, others, strict=True))


def _fixes(samples):
    """The different fixes of some samples, in order."""
    return dict.fromkeys(sample.fix for sample in samples)


def keep(samples, verdicts, *, per_task=4, distinct=False):
    """The samples that passed, as training examples (Algorithm 1, line 5).

    samples, verdicts: equal length, same order. per_task: at most so many a task, the first ones (the paper's cap is
    not known; ours is 4; None for no cap). distinct: whether a program that passed twice counts once, with the rationale
    that came first; else what came often is learnt from often. Raises ValueError when the two differ in length.
    """
    passed = [s for s, v in _pairs(samples=samples, verdicts=verdicts) if v.status == "passed"]
    return _examples(_distinct(passed) if distinct else passed, per_task)


def keep_random(samples, verdicts, *, count, seed=0, distinct=False):
    """The control: `count` samples drawn at random from all that are Python, whether they passed or not.

    distinct: whether equal programs of a task are kept once. Raises ValueError when the two lists differ in length.
    """
    usable = [s for s, v in _pairs(samples=samples, verdicts=verdicts) if v.status != "unparseable"]
    random.Random(seed).shuffle(usable)
    return _examples((_distinct(usable) if distinct else usable)[:count], None)


def of_shown_tests(task, verdict):
    """What a Verdict by all tests says of the shown ones, which come first: passed, if it was a hidden one that failed."""
    if verdict.test >= len(task.tests):
        return replace(verdict, status="passed", test=len(task.tests) - 1, got="", expected="", message="")
    return verdict


def why(verdict):
    """Why a program was kept or not, in two words: "passed", "wrong value", the exception's name, "timeout", ..."""
    if verdict.status == "error":
        return verdict.message.split(":")[0] or "error"
    return {"failed": "wrong value", "unparseable": "not Python"}.get(verdict.status, verdict.status)


def unchanged(task, sample):
    """Whether the fix is the buggy program again, but for layout and comments: a no-op."""
    return same_program(task.buggy, sample.fix)


def judge_buggy(tasks, executor=None, *, sandbox=None):
    """The Verdict on each task's buggy program by its shown tests, with a progress bar; executor: as `judge` takes it."""
    check_either(executor, sandbox)
    programs = [(task, task.buggy) for task in tasks]
    return _check_all(programs, executor, sandbox=sandbox, desc="checking tasks", unit="task")


def check_repairable(tasks, verdicts=None):
    """The tasks themselves, if each buggy program fails a shown test; otherwise ValueError naming the first other.

    verdicts: of `judge_buggy`, which is asked where there are none.
    """
    verdicts = judge_buggy(tasks) if verdicts is None else verdicts
    for task, verdict in zip(tasks, verdicts, strict=True):
        if verdict.status == "passed":
            raise ValueError(
                f"task {task.task_id!r}: the buggy program passes all {len(task.tests)} shown tests, so there is "
                "nothing to repair: show a test that it fails, or leave the task out"
            )
    return tasks


def _distinct(samples):
    """The first sample of each program of each task."""
    seen = {}
    for sample in samples:
        seen.setdefault((sample.task_id, shape(sample.fix)), sample)
    return list(seen.values())


def _examples(samples, per_task):
    ordered = sorted(samples, key=lambda sample: sample.task_id)  # stable: the order within a task stays
    groups = (islice(group, per_task) for _, group in groupby(ordered, key=lambda sample: sample.task_id))
    return [Example(sample.task_id, sample.prompt, sample.text) for group in groups for sample in group]
