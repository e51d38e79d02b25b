"""Filtering: what is kept, what is not."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace

import pytest

from nextkit.filtering import (
    check_repairable,
    judge,
    judge_all,
    judge_buggy,
    keep,
    keep_random,
    of_shown_tests,
    unchanged,
    why,
)
from nextkit.sandbox import Verdict
from nextkit.tracing import trace_all

RIGHT = "def f(x):\n    return x + 1"


def verdict(status="passed"):
    return Verdict("t/1", status)


def test_samples_are_judged_in_their_order(task, sample, sandbox):
    found = judge(task, [sample(task.buggy), sample(RIGHT), sample("def f(")], sandbox=sandbox)
    assert [v.status for v in found] == ["failed", "passed", "unparseable"]


def test_hidden_tests_decide_only_when_asked(task, sample, sandbox):
    suits = sample("def f(x):\n    return {1: 2, 0: 1}.get(x)")
    assert judge(task, [suits], sandbox=sandbox)[0].status == "passed"
    assert judge(task, [suits], hidden=True, sandbox=sandbox)[0].status == "failed"


def test_equal_fixes_are_judged_once(task, sample, sandbox, monkeypatch):
    calls = []
    monkeypatch.setattr(sandbox, "check", lambda *a, **k: calls.append(a) or verdict())
    judge(task, [sample(RIGHT)] * 5, sandbox=sandbox)
    assert len(calls) == 1


def test_any_executor_will_do(task, sample):
    with ThreadPoolExecutor(1) as pool:
        assert judge(task, [sample(RIGHT)], pool)[0].status == "passed"


def test_the_task_says_how_values_are_compared(task, sample, sandbox):
    almost = sample("def f(x):\n    return x + 1.0000001")
    assert judge(task, [almost], sandbox=sandbox)[0].status == "failed"
    lenient = replace(task, tests=("assert f(1) == 2.0",), tolerance=1e-6)
    assert judge(lenient, [almost], sandbox=sandbox)[0].status == "passed"
    assert (
        judge(replace(task, oracle="equal"), [sample("def f(x): return x + 1.0")], sandbox=sandbox)[0].status
        == "passed"
    )


def test_other_processes_judge_and_trace_too(task, sample):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert judge_all([task], [[sample(RIGHT), sample(task.buggy)]], pool)[0][0].status == "passed"
        assert trace_all([task], pool)[0].outcome == "failed"


def test_many_tasks_come_back_in_order(task, sample, sandbox):
    found = judge_all([task, task], [[sample(RIGHT)], [sample(task.buggy)]], sandbox=sandbox)
    assert [[v.status for v in row] for row in found] == [["passed"], ["failed"]]


def test_only_what_passed_is_kept(sample):
    kept = keep([sample("a = 1"), sample("b = 1")], [verdict(), verdict("failed")])
    assert [e.completion for e in kept] == ["a = 1"]


@pytest.mark.parametrize("distinct, kept", [(False, 2), (True, 1)])
def test_a_fix_that_passes_twice_is_learnt_from_twice_or_once(sample, distinct, kept):
    assert len(keep([sample("a = 1"), sample("a  =  1  # same")], [verdict()] * 2, distinct=distinct)) == kept


def test_at_most_so_many_are_kept_a_task(sample):
    samples = [sample(f"a = {k}", task_id) for k in range(9) for task_id in ("t/1", "t/2")]
    kept = keep(samples, [verdict()] * 18, per_task=3)
    assert [e.task_id for e in kept] == ["t/1"] * 3 + ["t/2"] * 3


def test_lists_that_differ_in_length_are_named(task, sample, sandbox):
    samples = [sample("a = 1")]
    with pytest.raises(ValueError, match="1 samples but 0 verdicts: they belong together"):
        keep(samples, [])
    with pytest.raises(ValueError, match="1 samples but 2 verdicts: they belong together"):
        keep_random(samples, [verdict()] * 2, count=1)
    with pytest.raises(ValueError, match="2 tasks but 1 samples: they belong together"):
        judge_all([task] * 2, [samples], sandbox=sandbox)


def test_random_samples_ignore_the_verdict_and_follow_the_seed(sample):
    samples = [sample(f"a = {k}") for k in range(50)]
    verdicts = [verdict("failed")] * 50
    draws = [keep_random(samples, verdicts, count=9, seed=seed) for seed in (1, 1, 2)]
    assert len(draws[0]) == 9 and draws[0] == draws[1] != draws[2]


def test_a_fix_that_differs_in_layout_only_is_unchanged(task, sample):
    assert unchanged(task, sample("def f(x):  # fixed\n  return x - 1")) and not unchanged(task, sample(RIGHT))


def test_a_buggy_program_that_passes_its_tests_is_named(task, sandbox):
    with pytest.raises(ValueError, match="t/1.*nothing to repair"):
        check_repairable([replace(task, buggy=RIGHT)])


def test_tasks_are_checked_on_any_executor(task):
    with ThreadPoolExecutor(1) as pool:
        assert check_repairable([task], judge_buggy([task], pool)) == [task]
        with pytest.raises(ValueError, match="t/2.*nothing to repair"):
            tasks = [task, replace(task, task_id="t/2", buggy=RIGHT)]
            check_repairable(tasks, judge_buggy(tasks, pool))


def test_tasks_are_checked_with_a_progress_bar(task, sandbox, capsys):
    judge_buggy([task], sandbox=sandbox)
    assert "checking tasks: 100%" in capsys.readouterr().err


def test_a_fix_that_no_parser_can_take_is_a_fix_that_changes_something(task, sample):
    assert not unchanged(task, sample("-" * 7000))


@pytest.mark.parametrize(
    "program, reason",
    [(RIGHT, "passed"), ("def f(x):\n    return x", "wrong value"), ("def f(", "not Python"), ("f = 1", "TypeError"),
     ("import os\nos._exit(0)", "killed"), ("class E(Exception): pass\nraise E", "E")],
)  # fmt: skip
def test_the_reason_is_told_in_a_word_or_two(task, sample, sandbox, program, reason):
    assert why(judge(task, [sample(program)], sandbox=sandbox)[0]) == reason


@pytest.mark.parametrize(
    "program", [RIGHT, "def f(x):\n    return {1: 2, 0: 1}.get(x)", "def f(x):\n    return x", "f = 1", "def f("]
)
def test_a_verdict_by_all_tests_tells_what_the_shown_ones_say(task, sample, sandbox, program):
    shown, everything = (judge(task, [sample(program)], hidden=hidden, sandbox=sandbox)[0] for hidden in (False, True))
    assert replace(of_shown_tests(task, everything), seconds=0) == replace(shown, seconds=0)


def test_samples_of_another_task_are_not_judged(task, sample):
    with pytest.raises(ValueError, match="sample of task 't/9'.*judged by task 't/1'"):
        judge(task, [sample("x = 1", "t/9")])


def test_random_samples_may_be_equal_where_kept_ones_may(sample):
    samples, passed = [sample("x = 1")] * 3, [Verdict("t/1", "passed", 0)] * 3
    assert len(keep_random(samples, passed, count=3)) == 3
    assert len(keep_random(samples, passed, count=3, distinct=True)) == 1
