"""One owner for every version: the three files that install the kit agree."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def requirements():
    listed = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]
    return dict(re.match(r"([\w-]+)(.*)", line).groups() for line in listed)


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_every_requirement_is_pinned_within_its_range():
    from packaging.specifiers import SpecifierSet

    for name, allowed in requirements().items():
        assert pins()[name] in SpecifierSet(allowed), name


def test_torch_is_pinned_to_the_build_without_cuda_packages():
    assert pins()["torch"] == "2.13.0"


def test_the_conda_environment_installs_this_project_and_nothing_else():
    listed = re.findall(r"^ *- (.*)$", (ROOT / "environment.yml").read_text(), re.M)
    assert listed == [f"python{PROJECT['requires-python']}", "pip", "pip:", "-e .[dev]"]


def test_importing_the_package_loads_no_heavy_library():
    code = "import sys, nextkit, nextkit.tracing, nextkit.filtering; print([m for m in ('torch', 'pandas') if m in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_every_public_name_can_be_taken_from_the_package():
    import nextkit

    assert all(getattr(nextkit, name) is not None for name in nextkit.__all__)
