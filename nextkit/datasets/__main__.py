"""Build data sets from a shell: python -m nextkit.datasets mbpp-r PATH --out FOLDER (see --help)."""

import argparse
from pathlib import Path

from nextkit.datasets.mbpp import load_mbpp
from nextkit.datasets.mbpp_r import mbpp_r


def main():
    """Command line: `mbpp-r` makes Mbpp-R from MBPP."""
    parser = argparse.ArgumentParser(prog="python -m nextkit.datasets", description=__doc__)
    commands = parser.add_subparsers(required=True)
    building = commands.add_parser("mbpp-r", help="make Mbpp-R, repair tasks, from MBPP")
    building.add_argument("path", help="mbpp.jsonl, plain or .gz, or 'hub' to fetch MBPP")
    building.add_argument("--out", type=Path, required=True, help="folder for the tasks; a build found there goes on")
    building.add_argument("--seed", type=int, default=0)
    building.add_argument("--train", type=int, default=10_047, help="training tasks (default: %(default)s)")
    building.add_argument("--dev", type=int, default=1_468, help="development tasks (default: %(default)s)")
    building.set_defaults(run=_mbpp_r)
    arguments = parser.parse_args()
    arguments.run(arguments)


def _mbpp_r(arguments):
    counts = dict(train=arguments.train, dev=arguments.dev)
    train, dev = mbpp_r(load_mbpp(arguments.path), out=arguments.out, seed=arguments.seed, **counts)
    print(f"{len(train)} training and {len(dev)} development tasks in {arguments.out}; card.md tells about them")


if __name__ == "__main__":
    main()
