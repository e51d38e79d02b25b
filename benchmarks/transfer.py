"""Transfer: how many combinations of parts must a model have read to repair programs made of others?

    python benchmarks/transfer.py        # hours on two cores; resumes; prints a table, draws runs/transfer.png

Networks of the proxy's size read as many tokens each, 85 % of the repairs right, of corpora in which only a share of the
combinations occurs. Then each repairs tasks made of combinations that all of them have read, tasks whose combinations
none has read (the test set), and tasks of families that none has read.
"""

import random
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

from nextkit.evaluation import interval, pass_rates
from nextkit.offline.corpus import draw_task
from nextkit.offline.pretraining import RECIPES, Phase, pretrain
from nextkit.runs import Run
from nextkit.selftraining import SelfTrainingSettings, evaluate_model
from nextkit.tasks import DATA, load_tasks

SHARES = (0.04, 0.2, 1.0)
DOCUMENTS, TOKENS, TASKS = 20_000, 6_000_000, 100
OUT = Path("runs/transfer")


def main():
    """Train and measure a network a share."""
    sets = {
        "read by all": seen_tasks(),
        "other combinations": load_tasks("test"),
        "other families": load_tasks("unseen"),
    }
    print(f"| share of combinations | {' | '.join(f'{name}, pass@1, %' for name in sets)} |")
    print("| --- " * (1 + len(sets)) + "|")
    found = {}
    for share in SHARES:
        phase = Phase(DOCUMENTS, TOKENS, 0.85, 3e-3, variety=share)
        model = pretrain(begun(OUT / f"model-{share:g}"), replace(RECIPES["proxy"], phases=(phase,)))
        settings = SelfTrainingSettings(model=str(model))
        found[share] = [rates(settings, tasks[:TASKS]) for tasks in sets.values()]
        print(f"| {100 * share:g} % | {' | '.join(cell(*of) for of in found[share])} |", flush=True)
    draw(found, list(sets))


def begun(folder):
    """The folder with the tokenizer of the shipped proxy, so that all networks read alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DATA / "offline-proxy" / name, folder)
    return folder


def seen_tasks():
    """Tasks whose combinations occur in every corpus; the tasks themselves are drawn anew."""
    rng, found = random.Random("transfer"), {}
    while len(found) < TASKS:
        if task := draw_task(rng, variety=min(SHARES)):
            found[task.task_id] = task
    return list(found.values())


def rates(settings, tasks):
    """(pass@1, low, high) on tasks."""
    values = pass_rates(evaluate_model(settings, Run(OUT / "run"), tasks).verdicts, 1)
    return statistics.mean(values), *interval(values)


def cell(mean, low, high):
    return f"{100 * mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def draw(found, names):
    """The figure: a line a set of tasks."""
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(figsize=(6, 3.5))
    for number, name in enumerate(names):
        means, lows, highs = zip(*(of[number] for of in found.values()), strict=True)
        axes.plot(found, means, marker="o", label=name)
        axes.fill_between(list(found), lows, highs, alpha=0.2)
    axes.set(xscale="log", ylim=0, xlabel="share of the combinations that occur in the corpus", ylabel="pass@1")
    axes.legend()
    axes.figure.tight_layout()
    axes.figure.savefig(OUT.with_suffix(".png"), dpi=150)


if __name__ == "__main__":
    main()
