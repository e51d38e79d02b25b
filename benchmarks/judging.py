"""How many programs a second are judged, against other judges; the caller holds a gigabyte, as with a model in it.

    python benchmarks/judging.py folder-with-mbpp.jsonl        # pip install evalplus for the peer

500 right programs of MBPP and 100 wrong ones (one random edit each, drawn with seed 0, none that never ends), each with
its three tests. Every judge sees all of them, or the first `--peer-programs`, in the same order; three passes in turn,
the median counts. The table goes to benchmarks/README.md.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sections import write_section
from tqdm.auto import tqdm

from nextkit.datasets.mutate import random_edit
from nextkit.sandbox import Sandbox

BALLAST = bytearray(os.urandom(1 << 20)) * 1024
TIMEOUT = 1.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds mbpp.jsonl")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peer-programs", type=int, default=60)
    options = parser.parse_args()
    with Sandbox(workers=1) as one, Sandbox(workers=2) as two:
        jobs = programs(options.data / "mbpp.jsonl", one)
        judges = {
            "nextkit, 1 worker": lambda some: in_sandbox(one, some),
            "nextkit, 2 workers": lambda some: in_sandbox(two, some),
            "python -I -c": interpreter,
        } | evalplus()
        text = speed(judges, jobs, options) + endless(one)
        text += f"\nIn force: {', '.join(one.isolation)}.\n"
    print(text)
    write_section("Judging", text)


def programs(path, sandbox):
    """(program, tests, setup, right) of 600 programs, the wrong ones spread among the right ones."""
    rng, found = random.Random(0), []
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = [
        row for row in rows if row["task_id"] not in (367, 927)
    ]  # their setup, which runs first, uses a class of theirs
    wanted = {True: 500, False: 100}
    for row in tqdm(rng.sample(rows, len(rows)), desc="choosing programs", unit="program"):
        source = row["code"].replace("\r", "")
        for right in wanted:
            edit = None if right else random_edit(source, rng)
            program = source if right else edit and edit.program
            if not program or not wanted[right]:
                continue
            verdict = sandbox.check(program, row["test_list"], setup=row["test_setup_code"], oracle="equal")
            if verdict.status in (("passed",) if right else ("failed", "error")):
                found.append((program, tuple(row["test_list"]), row["test_setup_code"], right))
                wanted[right] -= 1
    assert not any(wanted.values()), f"still wanted: {wanted}"
    return rng.sample(found, len(found))


def speed(judges, jobs, options):
    times, mistakes = {name: [] for name in judges}, {}
    for _ in range(options.repeats):
        for name, judge in judges.items():
            some = jobs if name.startswith("nextkit") else jobs[: options.peer_programs]
            start = time.perf_counter()
            found = judge(some)
            times[name].append(len(some) / (time.perf_counter() - start))
            mistakes[name] = sum(passed != job[-1] for passed, job in zip(found, some, strict=True))
    lines = [f"{len(jobs)} programs, {options.repeats} passes, caller holds {len(BALLAST) >> 20} MiB, "
             f"{platform.machine()}, Python {sys.version.split()[0]}\n"]  # fmt: skip
    lines += ["| judge | programs a second | slowest and fastest pass | wrong verdicts |", "| --- " * 4 + "|"]
    for name, rates in times.items():
        span = f"{min(rates):.0f} to {max(rates):.0f}"
        lines.append(f"| {name} | {statistics.median(rates):.0f} | {span} | {mistakes[name]} |")
    return "\n".join(lines) + "\n"


def endless(sandbox):
    """What an endless loop costs beyond its timeout."""
    start = time.perf_counter()
    verdict = sandbox.check("while True: pass", ("assert f(1) == 1",), timeout=TIMEOUT)
    beyond = time.perf_counter() - start - TIMEOUT
    return f"\nAn endless loop with a timeout of {TIMEOUT} s: {verdict.status}, {beyond * 1000:.1f} ms beyond the timeout.\n"


def in_sandbox(sandbox, jobs):
    def passes(job):
        return sandbox.check(job[0], job[1], setup=job[2], oracle="equal").status == "passed"

    with ThreadPoolExecutor(sandbox.workers) as pool:
        return list(pool.map(passes, jobs))


def interpreter(jobs):
    """A new interpreter a program: what most scripts do."""
    return [_exits_well("\n".join((setup, program, *tests))) for program, tests, setup, _ in jobs]


def _exits_well(source):
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run([sys.executable, "-I", "-c", source], timeout=TIMEOUT, capture_output=True)
        return done.returncode == 0
    return False


def evalplus():
    """EvalPlus' judge, where it is installed, on the same assertions as arguments and expected values."""
    try:
        from evalplus.eval import PASS, untrusted_check
    except ImportError:
        return {}
    from nextkit.asserts import parse_test

    def judge(jobs):
        found = []
        for program, tests, setup, _ in jobs:
            parsed = [parse_test(test) for test in tests]
            if any(test.form != "call" for test in parsed):
                found.append(_exits_well("\n".join((setup, program, *tests))))
                continue
            inputs, expected = [list(test.arguments) for test in parsed], [test.expected for test in parsed]
            status, _ = untrusted_check(
                "mbpp", f"{setup}\n{program}", inputs, parsed[0].source.split("(")[0], expected, 0, [0.1] * len(parsed)
            )
            found.append(status == PASS)
        return found

    return {"evalplus": judge}


if __name__ == "__main__":
    main()
