"""Ablations: what could explain a gain away, measured on the same tasks and seeds.

    table = compare(settings, Run("runs/controls"), train, dev, held_out)
    print(read(table))

Each control changes one thing: what is shown of the run, whether a rationale is written, what is learnt from, or what
the tuned model is shown at test time. All are tuned alike, from the same base, in as many rounds.
"""

from dataclasses import dataclass, field, replace
from functools import partial

from nextkit.evaluation import blind_edit, evaluate, no_op_rate, paired_difference
from nextkit.filtering import judge_all
from nextkit.runs import Run
from nextkit.sampling import LocalSampler
from nextkit.selftraining import evaluate_model, self_train

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
    "trace removed at test": Control("does it still need the trace?", at_test=dict(shown="nothing")),
    "concise trace": Control("does the layout matter?", dict(style="concise")),
    "scratchpad trace": Control("does the layout matter?", dict(style="scratchpad")),
    "faithful only": Control("what does honesty cost?", dict(kept="faithful")),
}


def compare(settings, run, train, dev, held_out, *, names=tuple(CONTROLS), sampler=None, executor=None):
    """A DataFrame: the blind edit, the base, NExT and the named controls on `held_out`, a row for each and k.

    Columns: model, asks, k, pass_at_k with low and high; over_base and over_next, differences paired by task, with
    _low and _high each; no_op, agreement, truth; kept examples, seconds of tuning, tokens of the evaluation; tasks,
    samples, seed. Of the tuned rounds the one that is best on `dev` counts. Every stage resumes from the run folder.
    sampler, executor: as in `self_train`. Raises ValueError for an unknown name.
    """
    import pandas as pd

    names, run = [names] if isinstance(names, str) else names, run if isinstance(run, Run) else Run(run)
    unknown = set(names) - set(CONTROLS)
    if unknown:
        raise ValueError(f"no control {sorted(unknown)[0]!r}: choose from {', '.join(CONTROLS)}")
    names = list(dict.fromkeys((BASE, NEXT, *names)))
    means = dict(sampler=sampler or LocalSampler(settings.model), executor=executor)
    with run.working(controls=names):
        measure = partial(_measure, settings, train=train, dev=dev, held_out=held_out, means=means)
        found = {name: measure(CONTROLS[name], run.of(name)) for name in names}
    others = dict(over_base=found[BASE][0].verdicts, over_next=found[NEXT][0].verdicts)
    tables = [_blind(settings, held_out, others)]
    for name, (evaluation, cost) in found.items():
        table = evaluation.table(model=name, asks=CONTROLS[name].about).assign(**cost, tokens=evaluation.tokens)
        tables.append(_compared(table, evaluation.verdicts, others))
    return pd.concat(tables).reset_index(drop=True).assign(seed=settings.seed)


def _measure(settings, control, run, *, train, dev, held_out, means):
    """(Evaluation on the held-out tasks, what the tuning cost)."""
    changed, adapter, cost = replace(settings, **control.changes), None, {}
    if control.tuned:
        rounds = self_train(changed, run, train, dev, **means).rounds
        best = max(rounds[1:], key=lambda r: r.dev_pass_at_1)  # never the base: a control must show its harm
        adapter, cost = best.adapter, dict(kept=best.kept, seconds=best.adapter.seconds)
    return evaluate_model(replace(changed, **control.at_test), run, held_out, adapter=adapter, **means), cost


def _blind(settings, tasks, others):
    samples = blind_edit(tasks, settings.eval_samples, settings.seed)
    verdicts = judge_all(tasks, samples, hidden=True)
    table = evaluate(verdicts, model=BLIND, asks="is it luck?", no_op=no_op_rate(tasks, samples))
    return _compared(table, verdicts, others)


def _compared(table, verdicts, others):
    """The table with the paired differences from the others."""
    for name, other in others.items():
        differences = [paired_difference(verdicts, other, k) for k in table.k]
        for ending, column in zip(("", "_low", "_high"), zip(*differences, strict=True), strict=True):
            table = table.assign(**{name + ending: column})
    return table


def read(table, k=1):
    """What the table says of pass@k, a sentence a row, whatever it says.

    A gain is one if its interval over the base lies above zero, and the rate above the blind edit's interval.
    """
    rows = table[table.k == k].set_index("model")
    sentences = [_sentence(name, row, rows.loc[BLIND]) for name, row in rows.drop(index=[BASE, BLIND]).iterrows()]
    start = f"{BASE}: {_points(rows.loc[BASE].pass_at_k)} %, {BLIND}: {_points(rows.loc[BLIND].pass_at_k)} %."
    return "\n".join([start, *sentences])


def _sentence(name, row, blind):
    gain = "a gain" if row.over_base_low > 0 else "a loss" if row.over_base_high < 0 else "no clear difference"
    if gain == "a gain" and row.low <= blind.high:
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
