"""Transfer: how many combinations of parts must a model have read to repair programs made of others?

    python benchmarks/transfer.py        # hours on two cores; resumes; writes its section of README.md and transfer.svg

Networks of the proxy's size read as many tokens each, 85 % of the repairs right, of corpora in which only a share of the
combinations occurs. Then each repairs tasks made of combinations that all of them have read, tasks whose combinations
none has read (the test set), and tasks of families that none has read.
"""

import random
import shutil
import statistics
from dataclasses import replace
from pathlib import Path

from sections import write_section

from nextkit.evaluation import interval, pass_rates
from nextkit.offline.corpus import Mixture
from nextkit.offline.pretraining import pretrain
from nextkit.offline.recipes import RECIPES, Phase
from nextkit.offline.repairs import draw_task
from nextkit.runs import Run
from nextkit.selftraining import SelfTrainingSettings, evaluate_model
from nextkit.tasks import DATA, load_tasks

SHARES = (0.04, 0.2, 1.0)
DOCUMENTS, TOKENS, TASKS = 20_000, 6_000_000, 100
OUT = Path("runs/transfer")


def main():
    """Train and measure a network a share; write the table and the figure."""
    sets = {
        "combinations read by all": seen_tasks(),
        "combinations read by none": load_tasks("test"),
        "families read by none": load_tasks("unseen"),
    }
    found = {share: [rates(trained(share), tasks[:TASKS]) for tasks in sets.values()] for share in SHARES}
    write_section("Transfer", written(found, list(sets)))
    draw(found, list(sets))


def trained(share):
    """Settings whose model has read this share of the combinations."""
    phase = Phase(DOCUMENTS, TOKENS, 3e-3, Mixture(0.85, variety=share))
    folder = OUT / f"model-{share:g}"
    if not (folder / "model.safetensors").exists():
        pretrain(begun(folder), replace(RECIPES["proxy"], phases=(phase,)))
    return SelfTrainingSettings(model=str(folder))


def written(found, names):
    """The section: a row a share."""
    rows = [f"| {100 * share:g} % | {' | '.join(cell(*of) for of in row)} |" for share, row in found.items()]
    return "\n".join(
        [
            f"{TASKS} tasks x {SelfTrainingSettings.eval_samples} samples, pass@1 in %; a network of the proxy's size a row, "
            f"{TOKENS // 10**6} million tokens of {DOCUMENTS:,} documents each, seed 0\n",
            f"| share of combinations | {' | '.join(names)} |",
            "| --- " * (1 + len(names)) + "|",
            *rows,
            "",
        ]
    )


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

    plt.rcParams["svg.hashsalt"] = OUT.name  # the same figure is the same file
    _, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    shares = [100 * share for share in found]
    for number, name in enumerate(names):
        percent = [[100 * value for value in row[number]] for row in found.values()]
        means, lows, highs = zip(*percent, strict=True)
        axes.plot(shares, means, marker="o", label=f"tasks of {name}")
        axes.fill_between(shares, lows, highs, alpha=0.2)
    axes.set(xscale="log", ylim=(0, 70), xlabel="combinations of parts that the corpus holds, %", ylabel="pass@1, %")
    axes.set_xticks(shares, [f"{share:g}" for share in shares])
    axes.minorticks_off()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper right")
    axes.figure.savefig(Path(__file__).with_suffix(".svg"), metadata=dict(Date=None))


if __name__ == "__main__":
    main()
