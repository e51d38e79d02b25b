"""Evaluation: how often is a fix right, and how sure can one be?

pass@k is the chance that at least one of k samples passes; from n samples of which c pass it is estimated without
bias. Intervals come from resampling the tasks (bootstrap), since tasks differ far more than samples do; where many
tasks are made from one problem, problems differ far more than tasks do, and are resampled whole. Hidden tests decide,
where a task has them. Beside every number stand its controls: a blind edit and the no-op rate here, whether fixes do
what their rationales say in `nextkit.grounding`.

    evaluate(verdicts, clusters=problems(tasks))
"""

import random

from nextkit.datasets.mutate import CATALOGUE, WEIGHTS, random_edit
from nextkit.filtering import judge_all, unchanged
from nextkit.prompting import FIX, Prompt, build_prompt
from nextkit.sampling import Sample, as_fix


def pass_at_k(n, c, k):
    """The unbiased estimate of pass@k from n samples of which c passed: 1 - C(n - c, k) / C(n, k).

    Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    from math import comb

    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} of {c} passes in {n} samples: needs 0 <= c <= n and 1 <= k <= n; take more samples")
    return (comb(n, k) - comb(n - c, k)) / comb(n, k)  # so that 3 of 10 is 0.3, not a little more


def interval(values, *, clusters=None, level=0.95, resamples=2000, seed=0):
    """(low, high): the bootstrap interval of the mean of one value a task; (nan, nan) for no tasks.

    clusters: one hashable a value, equal for tasks that are alike, such as those of one problem; clusters are then drawn
    whole. None: each task by itself, as also where all are of one cluster, of which alone the interval then speaks.
    Raises ValueError when values and clusters differ in length.
    """
    import numpy as np

    values = np.asarray(values, dtype=float)
    places = _places(len(values), clusters)
    if not len(values):
        return float("nan"), float("nan")
    sums, sizes = np.bincount(places, values), np.bincount(places)
    draws = np.random.default_rng(seed).integers(0, len(sums), (resamples, len(sums)))
    tail = (1 - level) / 2
    low, high = np.quantile(sums[draws].sum(1) / sizes[draws].sum(1), [tail, 1 - tail])
    return float(low), float(high)


def problems(tasks):
    """The problem that each task was made from, as `clusters` of an interval; None unless all tasks name theirs."""
    found = [task.meta.get("problem") for task in tasks]
    return None if None in found else found


def pass_rates(verdicts, k):
    """pass@k of each task, from its list of Verdicts."""
    return [pass_at_k(len(row), sum(v.status == "passed" for v in row), k) for row in verdicts]


def evaluate(verdicts, ks=(1, 8), *, clusters=None, **labels):
    """A DataFrame with a row for each k: labels, k, pass_at_k, low, high, tasks, samples.

    verdicts: one list a task, of equal length. ks larger than that length are left out. clusters: as in `interval`.
    labels: further columns. Raises ValueError for lists of different length, and where no row is left.
    """
    import pandas as pd

    ks, lengths, rows = tuple(ks), {len(row) for row in verdicts}, []
    samples = min(lengths, default=0)
    if len(lengths) > 1 or not any(k <= samples for k in ks):
        told = f"from {samples} to {max(lengths)}" if len(lengths) > 1 else samples
        raise ValueError(f"pass@k for k in {ks} of {len(verdicts)} tasks with {told} samples each: give every task "
                         "equally many, and at least as many as the least k")  # fmt: skip
    for k in (k for k in ks if k <= samples):
        rates = pass_rates(verdicts, k)
        mean, low, high = _mean(rates, clusters)
        rows.append(labels | dict(k=k, pass_at_k=mean, low=low, high=high, tasks=len(rates), samples=samples))
    return pd.DataFrame(rows)


def paired_difference(verdicts, others, k=1, *, clusters=None):
    """(mean, low, high) of pass@k of `verdicts` minus that of `others` on the same tasks, in the same order.

    clusters: as in `interval`. Raises ValueError for lists of different length, and for no tasks at all.
    """
    if len(verdicts) != len(others):
        raise ValueError(f"{len(verdicts)} tasks against {len(others)}: give verdicts on the same ones, in one order")
    if not verdicts:
        raise ValueError("no tasks, so there is no difference: give the verdicts on at least one")
    pairs = zip(pass_rates(verdicts, k), pass_rates(others, k), strict=True)
    return _mean([one - other for one, other in pairs], clusters)


def _mean(values, clusters):
    """(mean, low, high); of equal values the mean can come out a last digit beyond the bounds, where it has no place."""
    mean, (low, high) = sum(values) / len(values), interval(values, clusters=clusters)
    return mean, min(low, mean), max(high, mean)


def blind_edit(tasks, n, seed=0, weights=None):
    """The control: n Samples a task, each one random edit of the buggy program by somebody who has read nothing.

    weights: of the kinds of edits. None: of all in the CATALOGUE of `nextkit.datasets.mutate`, but for a task of the
    offline world its WEIGHTS, since bugs there are of those kinds alone. What cannot be edited, a program that is not
    Python among it, stays as it is.
    """
    rng = random.Random(seed)
    return [[_blind(task, rng, weights or _weights(task)) for _ in range(n)] for task in tasks]


def no_op_rate(tasks, samples):
    """The share of all samples whose fix is the buggy program unchanged."""
    flags = [unchanged(task, sample) for task, row in zip(tasks, samples, strict=True) for sample in row]
    return sum(flags) / max(1, len(flags))


def proxy_evaluate(sampler, tasks, samples, *, n=1, temperature=0.8, max_tokens=256, seed=0, hidden=True):
    """Rationale quality through a second, smaller model: does the rationale help somebody else to fix the program?

    The proxy reads description, buggy program, tests and the rationale of each sample, but no trace, and writes only
    the fix. Returns its Verdicts: one list a task, n for each of the task's samples.
    """
    prompts, sizes = [], []
    for task, row in zip(tasks, samples, strict=True):
        blank = build_prompt(task)
        prompts += [Prompt(task.task_id, f"{blank.text} {sample.rationale}\n{FIX}\n") for sample in row]
        sizes.append(len(row))
    drawn = iter(sampler.sample(prompts, n, temperature=temperature, max_tokens=max_tokens, seed=seed))
    fixes = [[as_fix(sample) for _ in range(size) for sample in next(drawn)] for size in sizes]
    return judge_all(tasks, fixes, hidden=hidden)


def _blind(task, rng, weights):
    try:
        edit = random_edit(task.buggy, rng, weights=weights)
    except SyntaxError:
        edit = None
    program = edit.program if edit else task.buggy
    return Sample(task.task_id, "", program, "", program, 0, "stop")


def _weights(task):
    return WEIGHTS if task.task_id.startswith("offline/") else CATALOGUE


def _places(count, clusters):
    """The number of each value's cluster; a number for each value where there are not two clusters."""
    if clusters is None:
        return range(count)
    if len(clusters) != count:
        raise ValueError(f"{count} values but {len(clusters)} clusters: give one a value, in the same order")
    numbers = {}
    places = [numbers.setdefault(cluster, len(numbers)) for cluster in clusters]
    return places if len(numbers) > 1 else range(count)
