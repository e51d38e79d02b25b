"""Ablations: what could explain a gain away, measured on the same tasks and seeds.

    table = compare(settings, Run("runs/controls"), train, dev, held_out)
    print(read(table))

Each control changes one thing: what is shown of the run, whether a rationale is written, what is learnt from, what
the tuned model is shown at test time, or how it is sampled then. All are tuned alike, from the same base, in as many
rounds. Tuning on what passed also makes a model surer of what it does, which a lower temperature does without tuning:
hence base and NExT at a lower one.
"""

import math
from dataclasses import dataclass, field, replace
from functools import partial

from nextkit.evaluation import blind_edit, evaluate, no_op_rate, paired_difference, problems
from nextkit.filtering import judge_all
from nextkit.runs import Run
from nextkit.sampling import LocalSampler
from nextkit.selftraining import evaluate_model, self_train
from nextkit.stages import NothingKeptError

BASE, NEXT, BLIND = "base", "NExT", "blind edit"


@dataclass(frozen=True)
class Control:
    """One row of the comparison. about: what it asks. changes: settings, against NExT's, while learning and after.

    tuned: False for the base. at_test: settings that change after learning only.
    """

    about: str
    changes: dict = field(default_factory=dict)
    tuned: bool = True
    at_test: dict = field(default_factory=dict)


CONTROLS = {
    BASE: Control("where it starts", tuned=False),
    NEXT: Control("the method"),
    "no trace": Control("are traces needed?", dict(shown="nothing")),
    "failing test only": Control("is the result enough?", dict(shown="outcome")),
    "fix only": Control("are rationales needed?", dict(rationale=False)),
    "random samples": Control("is it practice alone?", dict(kept="random")),
    "base at 0.2": Control("is it surer draws alone?", tuned=False, at_test=dict(temperature=0.2)),
    "NExT at 0.2": Control("does it add to surer draws?", at_test=dict(temperature=0.2)),
    "trace removed at test": Control("does it still need the trace?", at_test=dict(shown="nothing")),
    "concise trace": Control("does the layout matter?", dict(style="concise")),
    "scratchpad trace": Control("does the layout matter?", dict(style="scratchpad")),
    "faithful only": Control("what does honesty cost?", dict(kept="faithful")),
}


def compare(settings, run, train, dev, held_out, *, names=tuple(CONTROLS), sampler=None, executor=None):
    """A DataFrame: the blind edit, the base, NExT and the named controls on `held_out`, a row for each and k.

    Columns: model, asks, k, pass_at_k with low and high; over_base, over_blind and over_next, differences paired by
    task, with _low and _high each; no_op, agreement, truth; kept examples, seconds of tuning, tokens of the evaluation;
    tasks, samples, seed. Of the tuned rounds the one that is best on `dev` counts. A control that keeps nothing to
    learn from has kept=0 and no rates. Every stage resumes from the run folder. sampler, executor: as in `self_train`.
    Raises ValueError for an unknown name and for a control that does not go with the settings, before anything is
    computed; NothingKeptError where NExT itself keeps nothing.
    """
    import pandas as pd

    names, run = [names] if isinstance(names, str) else names, run if isinstance(run, Run) else Run(run)
    changed = {name: _changed(settings, name) for name in (BASE, NEXT, *names)}
    means = dict(sampler=sampler or LocalSampler(settings.model), executor=executor)
    with run.working(controls=list(changed)):
        measure = partial(_measure, train=train, dev=dev, held_out=held_out, means=means)
        found = {name: measure(name, *of, run.of(name)) for name, of in changed.items()}
    found = {BLIND: _blind(settings, held_out, executor), **found}
    others = dict(over_base=found[BASE][1], over_blind=found[BLIND][1], over_next=found[NEXT][1])
    compared = partial(_compared, others=others, clusters=problems(held_out))
    tables = [compared(*of) if of else _blank(name, found[BASE][0]) for name, of in found.items()]
    return pd.concat(tables).reset_index(drop=True).assign(seed=settings.seed)


def _changed(settings, name):
    """A control's settings while it learns, and after."""
    if name not in CONTROLS:
        raise ValueError(f"no control {name!r}: choose from {', '.join(CONTROLS)}")
    try:
        learning = replace(settings, **CONTROLS[name].changes)
        return learning, replace(learning, **CONTROLS[name].at_test)
    except ValueError as error:
        raise ValueError(f"control {name!r} does not go with these settings: {error}; or leave it out") from None


def _measure(name, learning, after, run, *, train, dev, held_out, means):
    """(table, Verdicts) on the held-out tasks; None for a control that keeps nothing to learn from."""
    adapter, cost = None, {}
    if CONTROLS[name].tuned:
        best = _best(name, learning, run, train, dev, means)
        if best is None:
            return None
        adapter, cost = best.adapter, dict(kept=best.kept, seconds=best.adapter.seconds)
    found = evaluate_model(after, run, held_out, adapter=adapter, **means)
    return found.table(model=name, asks=CONTROLS[name].about).assign(**cost, tokens=found.tokens), found.verdicts


def _best(name, settings, run, train, dev, means):
    """The best tuned Round on dev, never the base, since a control must show its harm; None where none was tuned."""
    rounds = []
    try:
        self_train(settings, run, train, dev, on_round=lambda result: rounds.append(result.rounds[-1]), **means)
    except NothingKeptError:
        if name == NEXT:
            raise
    return max(rounds[1:], key=lambda r: r.dev_pass_at_1, default=None)


def _blind(settings, tasks, executor):
    """(table, Verdicts) of the blind edit."""
    samples = blind_edit(tasks, settings.eval_samples, settings.seed)
    verdicts = judge_all(tasks, samples, executor, hidden=True)
    labels = dict(model=BLIND, asks="is it luck?", no_op=no_op_rate(tasks, samples))
    return evaluate(verdicts, clusters=problems(tasks), **labels), verdicts


def _blank(name, table):
    """The rows of a control that was not tuned, so that it is not missing."""
    return table[["k", "tasks", "samples"]].assign(model=name, asks=CONTROLS[name].about, kept=0)


def _compared(table, verdicts, others, clusters):
    """The table with the paired differences from the others."""
    for name, other in others.items():
        differences = [paired_difference(verdicts, other, k, clusters=clusters) for k in table.k]
        for ending, column in zip(("", "_low", "_high"), zip(*differences, strict=True), strict=True):
            table = table.assign(**{name + ending: column})
    return table


def read(table, k=1):
    """What the table says of pass@k, a sentence a row, whatever it says.

    A gain is one if the interval of the difference from the base lies above zero; that it is not clearly above blind
    edits is said unless the interval of the difference from them lies above zero as well. Raises ValueError for a k
    that the table does not have, or where it has several rows of one model.
    """
    rows = table[table.k == k].set_index("model")
    if not len(rows) or not rows.index.is_unique:
        there = ", ".join(map(str, sorted(set(table.k))))
        raise ValueError(
            f"pass@{k} has {len(rows)} rows of {rows.index.nunique()} models: there is k = {there}; give one run's table"
        )
    sentences = [_sentence(name, row) for name, row in rows.drop(index=[BASE, BLIND]).iterrows()]
    start = f"{BASE}: {_points(rows.loc[BASE].pass_at_k)} %, {BLIND}: {_points(rows.loc[BLIND].pass_at_k)} %."
    return "\n".join([start, *sentences])


def _sentence(name, row):
    if math.isnan(row.pass_at_k):
        return f"{name}: nothing was kept, so nothing was tuned."
    gain = "a gain" if row.over_base_low > 0 else "a loss" if row.over_base_high < 0 else "no clear difference"
    if gain == "a gain" and row.over_blind_low <= 0:
        gain += ", but not clearly above blind edits"
    said = f"{name}: {_points(row.pass_at_k)} %, {_span(row, 'over_base')} over the base: {gain}"
    if name == NEXT:
        return said + "."
    return f"{said}; {_span(row, 'over_next')} against {NEXT}."


def _span(row, name):
    low, high = (_points(row[name + ending], "+") for ending in ("_low", "_high"))
    return f"{_points(row[name], '+')} points [{low}, {high}]"


def _points(share, sign=""):
    return f"{100 * share:{sign}.1f}"
