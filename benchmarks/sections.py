"""Sections: where README.md keeps what the benchmarks beside it write."""

from pathlib import Path

PATH = Path(__file__).with_name("README.md")
END = "<!-- end -->\n"


def write_section(title, text):
    """Put the text under its title, in place of what an earlier run wrote there."""
    old, begin = PATH.read_text(), f"## {title}\n"
    if begin in old:
        before, after = old.split(begin)
        old = before + after.split(END, 1)[1].lstrip("\n")
    PATH.write_text(f"{old.rstrip()}\n\n{begin}\n{text}{END}")
