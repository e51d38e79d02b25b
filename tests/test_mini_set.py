"""The kit's own teaching set: tasks written by hand, small enough to read on a screen."""

from collections import Counter

import pytest

from nextkit.asserts import parse_test
from nextkit.tasks import load_tasks

KINDS = (
    "aliasing", "boundary", "comparison", "constant", "early-return", "exception", "index", "infinite-loop",
    "initial-value", "missing-case", "missing-update", "operator", "recursion", "removed-statement", "scope", "slice",
    "swapped-arguments", "swapped-branch", "type", "wrong-condition", "wrong-function", "wrong-order", "wrong-variable",
)  # fmt: skip


@pytest.fixture(scope="module")
def tasks():
    return load_tasks("mini")


def test_the_set_has_at_least_120_tasks(tasks):
    assert len(tasks) >= 120


def test_every_reference_passes_all_of_its_tests(tasks, sandbox):
    verdicts = [sandbox.check(t.reference, (*t.tests, *t.hidden_tests), task_id=t.task_id) for t in tasks]
    assert [v for v in verdicts if v.status != "passed"] == []


def test_every_buggy_program_fails_a_shown_test(tasks, sandbox):
    verdicts = [sandbox.check(t.buggy, t.tests, task_id=t.task_id, timeout=0.3) for t in tasks]
    assert [v for v in verdicts if v.status not in ("failed", "error", "timeout")] == []


def test_every_test_compares_outside(tasks):
    tests = [test for t in tasks for test in (*t.tests, *t.hidden_tests)]
    assert [test for test in tests if parse_test(test)[0] != "call"] == []


def test_every_task_shows_three_to_five_tests_and_hides_two_to_four(tasks):
    assert [t for t in tasks if not (3 <= len(t.tests) <= 5 and 2 <= len(t.hidden_tests) <= 4)] == []


def test_every_kind_of_bug_occurs_at_least_three_times(tasks):
    counts = Counter(t.meta["bug"] for t in tasks)
    assert [kind for kind in KINDS if counts[kind] < 3] == []


def test_no_kind_of_bug_is_unheard_of(tasks):
    assert {t.meta["bug"] for t in tasks} <= set(KINDS)


def test_no_task_id_occurs_twice(tasks):
    assert len({t.task_id for t in tasks}) == len(tasks)


def test_no_program_occurs_twice(tasks):
    programs = [program for t in tasks for program in (t.buggy, t.reference)]
    assert len(set(programs)) == len(programs)
