"""pass@k, its intervals, and the controls."""

import hashlib
import random
from dataclasses import replace
from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextkit.datasets.mutate import CATALOGUE, WEIGHTS
from nextkit.evaluation import (
    blind_edit,
    evaluate,
    interval,
    no_op_rate,
    paired_difference,
    pass_at_k,
    problems,
    proxy_evaluate,
)
from nextkit.sandbox import Verdict
from nextkit.tasks import load_tasks


def verdicts(*rows):
    return [[Verdict("t", "passed" if passed else "failed") for passed in row] for row in rows]


@given(st.integers(1, 7), st.data())
def test_pass_at_k_is_the_share_of_choices_of_k_that_hold_a_pass(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    outcomes = [1] * c + [0] * (n - c)
    assert pass_at_k(n, c, k) == pytest.approx(mean(max(choice) for choice in combinations(outcomes, k)))


@pytest.mark.parametrize(("n", "c", "k"), [(4, 5, 1), (4, 1, 5), (4, 1, 0)])
def test_impossible_counts_are_refused(n, c, k):
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(n, c, k)


def test_an_interval_holds_the_mean_and_narrows_with_more_tasks():
    few, many = interval([0, 1] * 10), interval([0, 1] * 500)
    assert few[0] < 0.5 < few[1] and many[1] - many[0] < few[1] - few[0]


def test_intervals_over_tasks_are_drawn_as_in_the_published_numbers():
    assert interval([k * k % 17 / 17 for k in range(60)]) == pytest.approx((0.3823529411764705, 0.5470833333333333))


def test_clusters_of_one_task_each_give_the_interval_over_tasks():
    values = [0, 1, 1, 0.25, 0.5] * 12
    assert interval(values, clusters=range(60)) == pytest.approx(interval(values), abs=0.03)


def test_tasks_of_one_cluster_alone_are_drawn_each_by_itself():
    assert interval([0, 1, 1], clusters="aaa") == interval([0, 1, 1])


def test_every_value_needs_its_cluster():
    with pytest.raises(ValueError, match="3 values but 2 clusters"):
        interval([0, 1, 1], clusters="ab")


def test_intervals_over_problems_cover_what_intervals_over_their_tasks_miss():
    rng, clusters = random.Random(0), [problem for problem in range(40) for _ in range(10)]
    whole = alone = 0
    for _ in range(300):
        chances = [rng.choice((0.1, 0.9)) for _ in range(40)]  # a problem is easy or hard, and so are all its tasks
        values = [rng.random() < chances[problem] for problem in clusters]
        spans = [interval(values, clusters=of, resamples=400) for of in (clusters, None)]
        whole, alone = (count + (low <= 0.5 <= high) for count, (low, high) in zip((whole, alone), spans, strict=True))
    assert 0.9 <= whole / 300 <= 0.98 and alone / 300 < 0.65


def test_tasks_of_one_problem_are_a_cluster_where_every_task_names_its_problem(task):
    named = [replace(task, meta=dict(problem=number)) for number in (7, 7, 8)]
    assert problems(named) == [7, 7, 8] and problems([*named, task]) is None


def test_a_table_has_a_row_for_each_k_that_the_samples_allow():
    table = evaluate(verdicts([1, 0], [0, 0]), ks=(1, 2, 8), model="m")
    assert list(table.k) == [1, 2] and list(table.pass_at_k) == [0.25, 0.5] and set(table.tasks) == {2}


def test_a_difference_is_paired_by_task():
    gain, low, high = paired_difference(verdicts([1], [1], [0]), verdicts([0], [0], [0]))
    assert gain == pytest.approx(2 / 3) and 0 <= low <= gain <= high <= 1


def test_tables_and_differences_resample_clusters_as_well():
    passed, failed, clusters = verdicts([1], [1], [0], [0]), verdicts([0], [0], [0], [0]), "aabb"
    row, difference = evaluate(passed, clusters=clusters).iloc[0], paired_difference(passed, failed, clusters=clusters)
    assert (row.low, row.high) == difference[1:] == interval([1, 1, 0, 0], clusters=clusters)


@pytest.mark.parametrize(
    ("first", "second", "said"), [([], [], "no tasks"), (verdicts([1], [1]), verdicts([1]), "2 tasks against 1")]
)
def test_a_difference_needs_the_same_tasks_and_at_least_one(first, second, said):
    with pytest.raises(ValueError, match=said):
        paired_difference(first, second)


def test_blind_edits_change_the_program_and_follow_the_seed(task):
    draws = [blind_edit([task], 20, seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert no_op_rate([task], draws[0]) == 0


def test_blind_edits_of_the_offline_tasks_are_drawn_as_in_the_published_numbers():
    drawn = [sample.fix for row in blind_edit(load_tasks("test")[:20], 4) for sample in row]
    assert hashlib.sha256(repr(drawn).encode()).hexdigest()[:16] == "b859f80e5e5e0ba7"


def test_blind_edits_are_of_all_kinds_but_in_the_offline_world(task):
    task = replace(task, buggy="def f(xs):\n    return ' '.join(xs)")
    offline = replace(task, task_id="offline/1")
    every, common = (blind_edit([task], 20, weights=weights) for weights in (CATALOGUE, WEIGHTS))
    assert blind_edit([task], 20) == every != common
    assert [s.fix for s in blind_edit([offline], 20)[0]] == [s.fix for s in common[0]]


def test_a_blind_edit_leaves_a_program_that_is_not_python_as_it_is(task):
    broken = replace(task, buggy="def f(x:")
    assert no_op_rate([broken], blind_edit([broken], 2)) == 1


def test_the_no_op_rate_counts_unchanged_fixes(task, sample):
    assert no_op_rate([task], [[sample(task.buggy), sample(task.reference)]]) == 0.5


def test_the_proxy_reads_the_rationale_but_no_trace_and_writes_only_the_fix(task, sample):
    seen = []

    class Proxy:
        def sample(self, prompts, n, **options):
            seen.extend(prompts)
            return [[sample(task.reference)] * n for _ in prompts]

    found = proxy_evaluate(Proxy(), [task], [[sample("x"), sample("y")]], n=3)
    assert [v.status for v in found[0]] == ["passed"] * 6
    assert seen[0].text.endswith("# Why: because\n# Fix:\n") and "# (0)" not in seen[0].text


def test_a_rate_of_three_in_ten_is_no_more_than_three_tenths():
    assert [pass_at_k(n, c, 1) for n, c in ((10, 3), (20, 6), (30, 9), (100, 30))] == [0.3] * 4


@pytest.mark.parametrize("lengths", [(2, 8), (0, 0), ()])
def test_tasks_of_different_or_no_samples_have_no_rates(lengths):
    with pytest.raises(ValueError, match="equally many"):
        evaluate([[Verdict("t", "passed", 0)] * length for length in lengths])


@pytest.mark.parametrize("tasks", range(1, 26))
def test_a_mean_of_equal_rates_lies_within_its_interval(tasks):
    rows = [[Verdict("t", status, 0) for status in ["passed"] + ["failed"] * 9]] * tasks
    row = evaluate(rows, (1,)).iloc[0]
    mean, low, high = paired_difference(rows, [[Verdict("t", "failed", 0)] * 10] * tasks)
    assert row.low <= row.pass_at_k <= row.high and low <= mean <= high
