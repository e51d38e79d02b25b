"""Build data sets from a shell: python -m nextkit.datasets mbpp-r PATH --out FOLDER (see --help)."""

import argparse
from pathlib import Path

from nextkit.datasets.hefix_plus import hefix_plus
from nextkit.datasets.mbpp import load_mbpp
from nextkit.datasets.mbpp_r import mbpp_r
from nextkit.datasets.quixbugs import quixbugs
from nextkit.tasks import save_tasks


def main():
    """Command line: `mbpp-r` makes Mbpp-R from MBPP, `hefix-plus` and `quixbugs` write what they read as task files."""
    parser = argparse.ArgumentParser(prog="python -m nextkit.datasets", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _mbpp_r(commands.add_parser("mbpp-r", help="make Mbpp-R, repair tasks, from MBPP"))
    _hefix_plus(commands.add_parser("hefix-plus", help="HumanEvalFix with EvalPlus' tests"))
    _quixbugs(commands.add_parser("quixbugs", help="the Python half of QuixBugs"))
    arguments = parser.parse_args()
    try:
        print(arguments.run(arguments))
    except (OSError, ValueError) as error:
        parser.error(str(error))


def _mbpp_r(command):
    command.add_argument("path", help="mbpp.jsonl, plain or .gz, or 'hub' to fetch MBPP")
    command.add_argument("--out", type=Path, required=True, help="folder for the tasks; a build found there goes on")
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--train", type=int, default=10_047, help="training tasks (default: %(default)s)")
    command.add_argument("--dev", type=int, default=1_468, help="development tasks (default: %(default)s)")

    def run(given):
        wanted = dict(train=given.train, dev=given.dev, seed=given.seed)
        train, dev = mbpp_r(load_mbpp(given.path), out=given.out, **wanted)
        return f"{len(train)} training and {len(dev)} development tasks in {given.out}; card.md tells about them"

    command.set_defaults(run=run)


def _hefix_plus(command):
    command.add_argument("humanevalpack", help="HumanEvalPack's Python file, or 'hub' to fetch it")
    command.add_argument("humanevalplus", help="HumanEvalPlus.jsonl.gz, or 'hub' to fetch it")
    command.add_argument("--out", type=Path, required=True, help="file for the tasks, .jsonl")
    command.set_defaults(run=lambda given: _saved(hefix_plus(given.humanevalpack, given.humanevalplus), given.out))


def _quixbugs(command):
    command.add_argument("folder", help="a clone of jkoppel/QuixBugs")
    command.add_argument("--out", type=Path, required=True, help="file for the tasks, .jsonl")
    command.set_defaults(run=lambda given: _saved(quixbugs(given.folder), given.out))


def _saved(tasks, path):
    save_tasks(tasks, path)
    return f"{len(tasks)} tasks in {path}"


if __name__ == "__main__":
    main()
