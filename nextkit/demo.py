"""The demonstration: NExT from start to end on the shipped model, with its controls, in one command.

    python -m nextkit.demo              # held-out development tasks
    python -m nextkit.demo --fast       # a minute, too small to conclude anything from

Prints a table, writes figures and an HTML report into the run folder, and resumes when it was interrupted.
"""

import argparse
import os
import sys
import warnings
from dataclasses import replace

from nextkit.evaluation import blind_edit, evaluate, no_op_rate, paired_difference
from nextkit.filtering import judge_all
from nextkit.finetuning import LoraSettings
from nextkit.report import write_report
from nextkit.runs import Run
from nextkit.sampling import LocalSampler
from nextkit.selftraining import SelfTrainingSettings, evaluate_model, self_train
from nextkit.tasks import load_tasks

SIZES = {False: dict(train=500, held_out=60), True: dict(train=24, held_out=10)}
FAST = dict(rounds=1, samples=8, eval_samples=8, hard=1.0, lora=LoraSettings(max_steps=6))


def main(arguments=None):
    """Command line: parse, run, print; Ctrl-C says how to go on."""
    parser = argparse.ArgumentParser(prog="python -m nextkit.demo", description=__doc__.split("\n")[0])
    parser.add_argument("--fast", action="store_true", default=bool(os.environ.get("NEXTKIT_FAST")))
    parser.add_argument("--out", default=None, help="run folder; a run found there goes on")
    parser.add_argument("--split", default="dev", choices=["dev", "test", "unseen"])
    parser.add_argument("--tasks", type=int, default=None, help="how many held-out tasks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", category=FutureWarning)
    run = Run(options.out or ("runs/demo-fast" if options.fast else "runs/demo"))
    try:
        table = demonstrate(run, fast=options.fast, split=options.split, count=options.tasks, seed=options.seed)
    except KeyboardInterrupt:
        sys.exit(f"\ninterrupted; nothing is lost: the same command goes on from {run.folder}")
    print("\n" + format_table(table))
    print(f"\nreport: {run.folder / 'report.html'}   figure: {run.folder / 'rounds.png'}")


def demonstrate(run, *, fast=False, split="dev", count=None, seed=0):
    """Run everything in the run folder; returns the table of all models and controls on the held-out tasks."""
    import pandas as pd

    settings = SelfTrainingSettings(seed=seed, **(FAST if fast else {}))
    train = load_tasks("train")[: SIZES[fast]["train"]]
    held_out = load_tasks(split)[: count or SIZES[fast]["held_out"]]
    dev = held_out if split == "dev" else load_tasks("dev")[: SIZES[fast]["held_out"]]
    sampler = LocalSampler(settings.model)
    result = self_train(settings, run, train, dev, sampler=sampler)
    adapter = result.best.adapter

    def tested(name, adapter, **changes):
        found = evaluate_model(replace(settings, **changes), run, held_out, adapter=adapter, sampler=sampler)
        return found, found.table(model=name)

    models = [tested("base" if r.number == 0 else f"round {r.number}", r.adapter) for r in result.rounds]
    random_run = self_train(replace(settings, rounds=1, kept="random"), run, train, dev, sampler=sampler)
    controls = [
        tested("best, trace removed", adapter, shown="nothing")[1],
        tested("tuned on random samples", random_run.rounds[1].adapter)[1],
    ]
    blind = blind_table(held_out, settings.eval_samples, seed)
    table = pd.concat([blind, *(t for _, t in models), *controls]).reset_index(drop=True)
    gain = paired_difference(models[result.best.number][0].verdicts, models[0][0].verdicts)
    write_report(run, settings, table, blind, gain, result, split)
    return table


def blind_table(tasks, n, seed=0):
    """The blind-edit control on tasks, as a table."""
    samples = blind_edit(tasks, n, seed)
    found = evaluate(judge_all(tasks, samples, hidden=True), model="blind edit")
    return found.assign(
        shown=float("nan"), no_op=no_op_rate(tasks, samples), agreement=float("nan"), truth=float("nan")
    )


def format_table(table):
    """The table as text for a terminal: one line a model, percent with 95 % intervals."""
    lines = [f"{'model':26}{'pass@1':>18}{'pass@8':>18}{'shown@1':>9}{'no-op':>8}{'does as said':>14}"]
    for model in table.model.unique():
        rows = table[table.model == model].set_index("k")
        cells = [f"{100 * r.pass_at_k:5.1f} [{100 * r.low:4.1f}, {100 * r.high:4.1f}]" for r in rows.itertuples()]
        first = rows.iloc[0]
        rest = [_percent(first[name]) for name in ("shown", "no_op", "agreement")]
        lines.append(f"{model:26}" + "".join(f"{c:>18}" for c in cells) + f"{rest[0]:>9}{rest[1]:>8}{rest[2]:>14}")
    first = table.iloc[0]
    lines.append(f"n = {first.tasks:.0f} tasks x {first.samples:.0f} samples; all tests decide, hidden ones included")
    return "\n".join(lines)


def _percent(value):
    return "-" if value != value else f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
