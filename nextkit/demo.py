"""The demonstration: NExT from start to end on the shipped model, with its controls, in one command.

    python -m nextkit.demo              # tuned on 500 untold tasks, measured on 60 others; 40 more choose the best round
    python -m nextkit.demo --fast       # a minute, too small to conclude anything from
    python -m nextkit.demo --split dev  # tuned and measured on tasks most of whose bugs the code tells

Prints a table, writes figures and an HTML report into the run folder, and resumes when it was interrupted.
"""

import argparse
import sys
import warnings
from dataclasses import replace
from functools import partial

from nextkit.evaluation import blind_edit, evaluate, no_op_rate, paired_difference, problems
from nextkit.filtering import judge_all
from nextkit.finetuning import LoraSettings
from nextkit.report import counted, in_percent, write_report
from nextkit.runs import Run
from nextkit.sampling import LocalSampler
from nextkit.selftraining import SelfTrainingSettings, evaluate_model, self_train
from nextkit.settings import switched_on
from nextkit.tasks import load_tasks

TOLD, UNTOLD = ("train", "dev"), ("untold-train", "untold-dev")
LEARNT_FROM = {"dev": TOLD, "test": TOLD, "unseen": TOLD, "untold": UNTOLD}  # held-out set -> to tune, to choose on
COLDER = 0.2
SIZES = {False: dict(train=500, held_out=60), True: dict(train=8, held_out=4)}
FAST = dict(rounds=1, samples=8, eval_samples=8, hard=1.0, max_tokens=160, lora=LoraSettings(max_steps=2, batch_size=6))


def main(arguments=None):
    """Command line: parse, run, print; Ctrl-C says how to go on."""
    parser = argparse.ArgumentParser(prog="python -m nextkit.demo", description=__doc__.split("\n")[0])
    parser.add_argument("--fast", action="store_true", default=switched_on("NEXTKIT_FAST"))
    parser.add_argument("--out", default=None, help="run folder; a run found there goes on")
    parser.add_argument("--split", default="untold", choices=LEARNT_FROM, help="the set to measure on")
    parser.add_argument("--tasks", type=int, default=None, help="how many held-out tasks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    warnings.filterwarnings("ignore", category=FutureWarning)
    settings = SelfTrainingSettings(seed=options.seed, **(FAST if options.fast else {}))
    run = Run(options.out or _folder(options))
    try:
        table, said = demonstrate(settings, run, *_tasks(options, parser.error))
    except KeyboardInterrupt:
        sys.exit(f"\ninterrupted; nothing is lost: the same command goes on from {run.folder}")
    print(f"\n{format_table(table)}\n\n{said}")
    print(f"\nreport: {run.folder / 'report.html'}   figure: {run.folder / 'rounds.png'}")


def _folder(options):
    """A run folder for each set of tasks, since a report stands in it."""
    split = "" if options.split == "untold" else f"-{options.split}"
    return f"runs/demo{split}{'-fast' if options.fast else ''}"


def _tasks(options, refuse):
    """Training tasks, development tasks to choose the best round on, and held-out tasks, which are none of those."""
    sizes = SIZES[options.fast]
    train, dev = map(load_tasks, LEARNT_FROM[options.split])
    count = sizes["held_out"] if options.tasks is None else max(0, options.tasks)
    held_out = load_tasks(options.split)[:count]
    dev = [task for task in dev if task not in held_out][: sizes["held_out"]]
    if not held_out or not dev:
        refuse(f"--tasks {options.tasks}: give at least 1, and leave a development task to choose the best round on")
    return train[: sizes["train"]], dev, held_out


def demonstrate(settings, run, train, dev, held_out):
    """Run everything in the run folder; returns (table, said).

    table: all models and controls on the held-out tasks. said: the gain, and which tasks it is of, in words.
    """
    import pandas as pd

    sampler = LocalSampler(settings.model)
    learn = partial(self_train, run=run, train=train, dev=dev, sampler=sampler)
    measure = partial(evaluate_model, run=run, tasks=held_out, sampler=sampler)
    result, unverified = learn(settings), learn(replace(settings, rounds=1, kept="random"))
    found = {_label(r.number): measure(settings, adapter=r.adapter) for r in result.rounds}
    base, best = (found[_label(number)] for number in (0, result.best.number))
    colder = replace(settings, temperature=COLDER)
    surer, best_surer = (measure(colder, adapter=of) for of in (None, result.best.adapter))
    found |= {
        f"base, temperature {COLDER}": surer,
        f"best, temperature {COLDER}": best_surer,
        "best, trace removed": measure(replace(settings, shown="nothing"), adapter=result.best.adapter),
        "tuned on random samples": measure(settings, adapter=unverified.rounds[1].adapter),
    }
    blind = blind_table(held_out, settings.eval_samples, settings.seed)
    table = pd.concat([blind, *(of.table(model=name) for name, of in found.items())]).reset_index(drop=True)
    gains = [
        paired_difference(one.verdicts, other.verdicts, clusters=problems(held_out))
        for one, other in ((best, base), (best_surer, surer))
    ]
    said = _said(result.best.number, gains, dev, held_out, settings.seed)
    write_report(run, settings, table, blind, said)
    return table, said


def blind_table(tasks, n, seed=0):
    """The blind-edit control on tasks, as a table."""
    samples = blind_edit(tasks, n, seed)
    found = evaluate(judge_all(tasks, samples, hidden=True), clusters=problems(tasks), model="blind edit")
    return found.assign(
        shown=float("nan"), no_op=no_op_rate(tasks, samples), agreement=float("nan"), truth=float("nan")
    )


def format_table(table):
    """The table as text for a terminal: one line a model, percent with 95 % intervals."""
    lines = in_percent(table)
    lines = lines.assign(model=lines.model.str.ljust(26)).rename(columns=dict(model="model".ljust(26)))
    return f"{lines.to_string(index=False, col_space=9)}\n{counted(table)}"


def _label(number):
    return f"round {number}" if number else "base"


def _said(number, gains, dev, held_out, seed):
    """Which tasks chose the round and which measured it, and what came out."""
    gain, surer = ("{:+.1f} points, 95 % interval {:+.1f} to {:+.1f}".format(*(100 * v for v in g)) for g in gains)
    other = "other " if dev[0].split == held_out[0].split else ""
    return (
        f"Measured on {len(held_out)} tasks of the {held_out[0].split} set, seed {seed}; the best round was chosen on "
        f"{len(dev)} {other}tasks of the {dev[0].split} set: {_label(number)}. Its paired gain over the base in pass@1: "
        f"{gain}; with both drawn at temperature {COLDER}, where each is surest of what it does: {surer}."
    )


if __name__ == "__main__":
    main()
