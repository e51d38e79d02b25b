"""Rebuild what ships in data/: python -m nextkit.offline tasks | corpus | pretrain (see --help)."""

import argparse
from dataclasses import replace
from pathlib import Path

from nextkit.offline.corpus import Mixture, draw_corpus
from nextkit.offline.pretraining import pretrain
from nextkit.offline.recipes import RECIPES
from nextkit.offline.repairs import draw_tasks
from nextkit.tasks import DATA, save_tasks

SETS = {"train": 600, "dev": 100, "test": 120, "unseen": 100, "untold": 100, "untold-train": 500, "untold-dev": 40}


def main():
    """Command line: `tasks` writes data/tasks, `corpus` prints documents, `pretrain` makes a model."""
    parser = argparse.ArgumentParser(prog="python -m nextkit.offline", description=__doc__)
    commands = parser.add_subparsers(required=True)
    tasks = commands.add_parser("tasks", help="draw the shipped task sets")
    tasks.add_argument("--out", type=Path, default=DATA / "tasks")
    tasks.set_defaults(run=_tasks)
    corpus = commands.add_parser("corpus", help="print a few documents of the corpus")
    corpus.add_argument("--count", type=int, default=5)
    corpus.add_argument("--corpus", choices=("offline", "real", "stated"), default="offline")
    corpus.set_defaults(run=_corpus)
    training = commands.add_parser("pretrain", help="pretrain a model")
    training.add_argument("model", choices=RECIPES)
    training.add_argument("--out", type=Path, required=True, help="folder for the model; a run found there goes on")
    training.add_argument("--seed", type=int, help="by default the recipe's")
    training.set_defaults(run=_pretrain)
    arguments = parser.parse_args()
    arguments.run(arguments)


def _tasks(arguments):
    for split, count in SETS.items():
        save_tasks(draw_tasks(count, split, seed=0), arguments.out / f"{split}.jsonl")
        print(f"{count} tasks in {arguments.out / split}.jsonl")


def _corpus(arguments):
    for text in draw_corpus(arguments.count, 0, Mixture(corpus=arguments.corpus), workers=1):
        print(text, end="\n\n" + "-" * 80 + "\n")


def _pretrain(arguments):
    settings = RECIPES[arguments.model]
    if arguments.seed is not None:
        settings = replace(settings, seed=arguments.seed)
    print("model in", pretrain(arguments.out, settings))


if __name__ == "__main__":
    main()
