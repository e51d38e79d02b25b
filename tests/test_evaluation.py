"""pass@k, its intervals, and the controls."""

from itertools import combinations
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextkit.evaluation import (
    blind_edit,
    evaluate,
    interval,
    no_op_rate,
    paired_difference,
    pass_at_k,
    proxy_evaluate,
)
from nextkit.sandbox import Verdict


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


def test_a_table_has_a_row_for_each_k_that_the_samples_allow():
    table = evaluate(verdicts([1, 0], [0, 0]), ks=(1, 2, 8), model="m")
    assert list(table.k) == [1, 2] and list(table.pass_at_k) == [0.25, 0.5] and set(table.tasks) == {2}


def test_a_difference_is_paired_by_task():
    gain, low, high = paired_difference(verdicts([1], [1], [0]), verdicts([0], [0], [0]))
    assert gain == pytest.approx(2 / 3) and 0 <= low <= gain <= high <= 1


def test_blind_edits_change_the_program_and_follow_the_seed(task):
    draws = [blind_edit([task], 20, seed) for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]
    assert no_op_rate([task], draws[0]) == 0


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
