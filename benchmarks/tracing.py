"""How long tracing takes, against the plain run and against other tracers; and how long naturalized traces are.

    python benchmarks/tracing.py folder-with-mbpp.jsonl        # pip install pysnooper snoop hunter viztracer for peers

For each of 300 MBPP programs (drawn with seed 0) and its first test: the time of running the test plainly, and under
a tracer, in turn, five times; then the ratio of the medians. Compiling, and switching a tracer on, is not
counted; for nextkit, writing the values down is. The table goes to benchmarks/README.md, a section for each Python.
"""

import argparse
import contextlib
import io
import json
import linecache
import platform
import random
import re
import statistics
import sys
import time
import warnings
from pathlib import Path

from sections import write_section
from tqdm.auto import tqdm

from nextkit.naturalize import STYLES, count_tokens, naturalize
from nextkit.tracer import Assertions, Output, Traced, run_traced
from nextkit.tracer.events import recording
from nextkit.tracer.recorder import Recorder
from nextkit.tracing import trace_in_process

LONG = 5_000  # steps; peers are not run on longer programs, where some take minutes
clock = time.perf_counter


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder that holds mbpp.jsonl")
    parser.add_argument("--programs", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = [json.loads(line) for line in (options.data / "mbpp.jsonl").read_text().splitlines()]
    rows = [
        row for row in rows if row["task_id"] not in (367, 927)
    ]  # their setup, which runs first, uses a class of theirs
    drawn = random.Random(0).sample(rows, min(options.programs, len(rows)))
    text = f"{speed(drawn, options.repeats)}\n{sizes(rows)}"
    print(text)
    write_section(f"Tracing, Python {sys.version.split()[0]}", text)


def speed(rows, repeats):
    """The table of times: a row a tracer."""
    tracers = {"counting lines only": counting, "repr of all locals": repr_all, "nextkit": ours}
    tracers |= {"nextkit, no cap on steps": ours_uncapped, "nextkit, whole job": whole_job} | peers()
    pairs = {name: [] for name in tracers}
    programs = [Program(row) for row in rows]
    for name, tracer in tracers.items():  # a pass each, so that one does not spoil the caches of another
        for program in tqdm(programs, desc=name, unit="program"):
            if name not in PEERS or program.steps() <= LONG:
                plainly = plain_job if tracer is whole_job else plain
                pairs[name].append(program.compare(tracer, repeats, plainly))
    lines = ["| tracer | programs | median ratio | total ratio |", "| --- | --- | --- | --- |"]
    lines += [_row(name, [pair for pair in found if pair]) for name, found in pairs.items()]
    base = statistics.median(plain for plain, _ in pairs["nextkit"])
    about = f"{len(rows)} programs, {repeats} repeats, {platform.machine()}, median plain run {base * 1e6:.2f} µs"
    return "\n".join([about + "\n", *lines]) + "\n"


def _row(name, pairs):
    ratios = [q / p for p, q in pairs]
    total = sum(q for _, q in pairs) / sum(p for p, _ in pairs)
    return f"| {name} | {len(pairs)} | {statistics.median(ratios):.1f} | {total:.1f} |"


class Program:
    """An MBPP program with its first test."""

    def __init__(self, row):
        self.setup, self.source, self.test = row["test_setup_code"], row["code"].replace("\r", ""), row["test_list"][0]
        self.traced = Traced(self.source, self.test, self.setup)
        self.code, self.test_code = self.traced.code, compile(self.test, "<test>", "exec")
        defined = {name for name, value in self.namespace().items() if type(value) is type(main)}
        self.entry = next(name for name in re.findall(r"\w+", self.test) if name in defined)
        linecache.cache["<program>"] = len(self.source), None, self.source.splitlines(True), "<program>"

    def namespace(self):
        space = {"__name__": "__main__"}
        exec(self.setup, space)
        exec(self.code, space)
        return space

    def compare(self, tracer, repeats, plainly):
        """(median seconds plainly, median seconds under the tracer), in turn; None where it cannot trace this."""
        pairs = []
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            for _ in range(repeats):
                try:
                    pairs.append((plainly(self), tracer(self)))
                except Exception:  # the peer's, for the program runs
                    return None
        return tuple(map(statistics.median, zip(*pairs, strict=True)))

    def steps(self):
        if not hasattr(self, "_steps"):
            self._steps = run_traced(self.source, self.test, setup=self.setup, max_steps=10**9, timeout=600)["executed"]
        return self._steps


def timed(function, *arguments):
    start = clock()
    function(*arguments)
    return clock() - start


def plain(program):
    return timed(exec, program.test_code, program.namespace())


def ours(program, **limits):
    """The run of the test while it is recorded, and writing the values down."""
    limits = dict(max_steps=10_000, keep=1000, timeout=600, max_value=200, max_bytes=1_000_000) | limits
    space = program.namespace() | {Assertions.NAME: Assertions(200)}
    recorder = Recorder(program.traced.plan, source=program.source, output=Output(), **limits)
    with recording(recorder):
        start = clock()
        try:  # noqa: SIM105
            exec(program.traced.test, space)
        except BaseException:  # a cap may stop the program; suppress() would be timed too
            pass
        seconds = clock() - start
    return seconds + timed(recorder.finish)


def ours_uncapped(program):
    return ours(program, max_steps=10**9)


def plain_job(program):
    def job():
        space = {"__name__": "__main__"}
        for source in (program.setup, program.source, program.test):
            exec(compile(source, "<program>", "exec"), space)

    return timed(job)


def whole_job(program):
    return timed(lambda: run_traced(program.source, program.test, setup=program.setup))


def counting(program):
    """Nothing but an event a line: no tracer built on these events can be faster."""
    count, space = [0], program.namespace()

    def line(*_):
        count[0] += 1
        return line

    if hasattr(sys, "monitoring"):
        monitoring = sys.monitoring
        monitoring.use_tool_id(3, "counting")
        monitoring.register_callback(3, monitoring.events.LINE, line)
        monitoring.set_events(3, monitoring.events.LINE)
        seconds = timed(exec, program.test_code, space)
        monitoring.set_events(3, 0)
        monitoring.free_tool_id(3)
        return seconds
    return under_settrace(program, line, space)


def repr_all(program):
    """What a first tracer looks like: the repr of every local variable at every event, compared with the last."""
    known, steps = {}, []

    def follow(frame, event, _):
        seen, changed = known.setdefault(id(frame), {}), []
        for name, value in frame.f_locals.items():
            text = repr(value)
            if seen.get(name) != text:
                changed.append((name, text))
                seen[name] = text
        steps.append((frame.f_lineno, event, changed))
        return follow

    return under_settrace(program, follow, program.namespace())


def under_settrace(program, follow, space):
    sys.settrace(lambda frame, event, argument: follow if frame.f_code.co_filename == "<program>" else None)
    try:
        return timed(exec, program.test_code, space)
    finally:
        sys.settrace(None)


PEERS = ("PySnooper", "snoop", "hunter", "VizTracer, calls only")


def peers():
    """The tracers from PyPI that are installed, each set to tell variables where it can."""
    found = {}
    with contextlib.suppress(ImportError):
        import pysnooper

        found["PySnooper"] = lambda p: decorated(p, pysnooper.snoop(io.StringIO(), depth=50, color=False))
    with contextlib.suppress(ImportError):
        import snoop

        found["snoop"] = lambda p: decorated(p, snoop.Config(out=io.StringIO(), color=False).snoop(depth=50))
    with contextlib.suppress(ImportError):
        import hunter

        found["hunter"] = lambda p: with_hunter(p, hunter)
    with contextlib.suppress(ImportError):
        import viztracer

        tracer = viztracer.VizTracer(
            log_func_args=True, log_func_retval=True, verbose=0
        )  # one: they are not given back
        found["VizTracer, calls only"] = lambda p: with_viztracer(p, tracer)
    return found


def decorated(program, decorator):
    space = program.namespace()
    space[program.entry] = decorator(space[program.entry])
    return timed(exec, program.test_code, space)


def with_hunter(program, hunter):
    space = program.namespace()
    tracer = hunter.trace(filename="<program>", action=hunter.VarsSnooper(stream=io.StringIO()))
    try:
        return timed(exec, program.test_code, space)
    finally:
        tracer.stop()


def with_viztracer(program, tracer):
    space = program.namespace()
    tracer.start()
    seconds = timed(exec, program.test_code, space)
    tracer.stop()
    seconds += timed(tracer.parse)
    tracer.clear()
    return seconds


def sizes(rows):
    """The table of lengths: a row a style; of the program with its trace, and of that and the one test."""
    programs = [Program(row) for row in rows]
    with contextlib.redirect_stdout(io.StringIO()):
        traces = [trace_in_process(p.source, p.test, setup=p.setup, timeout=60) for p in programs]
    lines = [
        f"{len(traces)} programs; tokens of program and trace, then of these and the test\n",
        "| style | median | 95 % below | longest | up to 2,000 | median | longest | up to 2,000 |",
        "| --- " * 8 + "|",
    ]
    found = {"no trace": [f"{trace.program}\n{trace.test}" for trace in traces]}
    for style in STYLES:
        found[style] = [naturalize(trace, style=style) for trace in traces]
    found["inline, budget 500"] = [_within(trace, 500) for trace in traces]
    for name, texts in found.items():
        both = [count_tokens(text) for text in texts]
        alone = [count - count_tokens(trace.test) for count, trace in zip(both, traces, strict=True)]
        high = sorted(alone)[int(0.95 * len(alone))]
        lines.append(
            f"| {name} | {statistics.median(alone):.0f} | {high} | {_longest(alone)} | {statistics.median(both):.0f} | {_longest(both)} |"
        )
    return "\n".join(lines) + "\n"


def _longest(counts):
    """Two cells: the longest, and the share of those that have up to 2,000 tokens."""
    return f"{max(counts)} | {sum(count <= 2000 for count in counts) / len(counts):.1%}"


def _within(trace, budget):
    try:
        return naturalize(trace, budget=budget)
    except ValueError:  # the program alone is longer
        return naturalize(trace, style="concise", max_value=10)


if __name__ == "__main__":
    main()
