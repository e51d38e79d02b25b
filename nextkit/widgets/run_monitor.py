"""RunMonitor: how a run is doing, read from its folder, also while another process writes it.

    monitor = RunMonitor("runs/mine")       # or a Run
    monitor.follow = True                   # reads again every two seconds, until it is closed
    status("runs/mine")["now"]              # the same as plain data

Nothing is written to the folder. What a run does not write down is inferred where that is safe, and otherwise not said:
a stage of parts is known to be done when its last part is short, or when it has as many rows as an earlier stage about
the same tasks or prompts. How long the rest takes is a guess, and called so.
"""

import functools
import json
import re
import threading
import time
from itertools import chain
from pathlib import Path

import traitlets

from nextkit.evaluation import interval, pass_at_k
from nextkit.records import from_dict
from nextkit.runs import digest
from nextkit.sampling import Sample
from nextkit.widgets.base import Widget

MOST_STAGES, MOST_TUNINGS, MOST_POINTS = 200, 40, 300  # in the view: the last ones; points of a loss curve
MOST_BYTES = 64 * 2**20  # of samples that are read to find out whose verdicts they are
KS = (1, 8)
QUIET = 120  # seconds without a change, and three times the longest part, after which a run may have stopped
_STAGE = re.compile(r"(.+)-[0-9a-f]{10}")
_ADAPTER = re.compile(r"adapter-(\d+)")


class RunMonitor(Widget):
    """A live view of a run folder: stages, what is worked on, tunings with their loss, pass@k, and time.

    run: a Run or a path. seconds: between two readings while `follow` is set. rounds: how many the run will have, if
    the whole time left is to be guessed; the folder does not say.
    Settable: follow; shown (which tuning's loss is drawn, -1 for the last). `payload` holds what `status` returns, of
    which at most MOST_STAGES stages and MOST_TUNINGS tunings. What cannot be read is told in `error`.
    """

    view = "run_monitor"
    follow = traitlets.Bool(False).tag(sync=True)
    seconds = traitlets.Float(2.0, min=0.2).tag(sync=True)
    shown = traitlets.Int(-1).tag(sync=True)
    read = traitlets.Float(0.0).tag(sync=True)
    asked = traitlets.Int(0).tag(sync=True)  # the view counts it up to have the folder read

    def __init__(self, run, seconds=2.0, rounds=None):
        self.folder, self.rounds, self._stop = Path(getattr(run, "folder", run)), rounds, threading.Event()
        super().__init__(seconds=seconds)
        self.refresh()

    def refresh(self):
        """Read the folder again; what goes wrong is told in `error`, and what was shown stays."""
        try:
            found = status(self.folder, rounds=self.rounds)
        except Exception as error:  # whatever stands in the folder, a notebook must not break over it
            self.error = str(error) or type(error).__name__
        else:
            self.error, self.read, self.payload = "", found.pop("read"), found

    def close(self):
        self.follow = False
        super().close()

    def text(self):
        if self.error or not self.payload:
            return self.error or "not read yet"
        return "\n".join(_lines(self.payload, self.read))

    @traitlets.observe("follow")
    def _follow(self, _):
        self._stop.set()
        if self.follow:
            self._stop = threading.Event()
            threading.Thread(target=self._poll, args=(self._stop,), daemon=True, name="nextkit run monitor").start()

    def _poll(self, stop):
        while not stop.wait(self.seconds):
            self.refresh()

    @traitlets.observe("asked")
    def _read_again(self, _):
        self.refresh()


def status(folder, *, rounds=None):
    """What a run folder holds, as plain data.

    folder, read (when); started, changed (the last change), worked (seconds of all stages), quiet (no change for so
    long that the run may have stopped); stages, oldest first, each with label, state ("done", "going on", "left
    unfinished"), parts, rows, expected rows (None: not known), seconds, begun; earlier: how many older ones are left
    out; now: the stage that is worked on, or None; left: a guess of when what ends, dict(of, until), or None; tunings;
    rates: pass@k of each evaluation. Times are seconds since 1970. Raises FileNotFoundError where there is no folder.
    """
    folder, read = Path(folder), time.time()
    if not folder.is_dir():
        raise FileNotFoundError(f"no run folder at {str(folder)!r}: check the path; it appears when the run begins")
    events = _events(folder / "events.jsonl")
    stages = _known([_stage(path, events) for path in _folders(folder)])
    times = [t for stage in stages for t in (stage["begun"], stage["ended"]) if t] + [e["time"] for e in events]
    found = dict(folder=str(folder), read=read, started=min(times, default=None), changed=max(times, default=None))
    found["worked"] = sum(stage["seconds"] or 0 for stage in stages)
    longest = max((event["seconds"] for event in events), default=0)
    found["quiet"] = bool(times) and read - found["changed"] > max(QUIET, 3 * longest)
    found["now"] = next((stage for stage in stages[-1:] if stage["state"] == "going on"), None)
    found["tunings"] = [_tuning(stage) for stage in stages if stage["round"] and stage["parts"]][-MOST_TUNINGS:]
    found["left"] = None if found["quiet"] else _left(found, stages, events, rounds)
    found["rates"] = _rates(stages)
    found |= dict(stages=stages[-MOST_STAGES:], earlier=max(0, len(stages) - MOST_STAGES))
    for stage in stages:
        stage.pop("files")
    return found


def _folders(folder):
    """The folders of stages, oldest first."""
    found = [path for path in folder.iterdir() if path.is_dir() and _STAGE.fullmatch(path.name)]
    return sorted(found, key=lambda path: (_begun(path), path.name))


def _begun(path):
    """When a stage was begun: its parameters are written first, and never again."""
    first = path / "parameters.json"
    return (first if first.exists() else path).stat().st_mtime


def _stage(path, events):
    """A stage by itself, as its folder shows it."""
    name, parameters = _STAGE.fullmatch(path.name)[1], _json(path / "parameters.json")
    adapter = _ADAPTER.fullmatch(name)
    files = (
        [path / "adapter" / "adapter.json"] if adapter else [path / "records.jsonl", *sorted(path.glob("part-*.jsonl"))]
    )
    files = [_version(file) for file in files if file.exists()]
    sizes = [] if adapter else [_lines_of(*file) for file in files]
    found = dict(folder=path.name, name=name, round=int(adapter[1]) if adapter else 0, parameters=parameters)
    found |= dict(files=files, parts=len(files), rows=sum(sizes), begun=_begun(path), label=_label(name, parameters))
    found["ended"] = max((modified / 1e9 for _, modified, _ in files), default=None)
    found["seconds"] = _json(files[0][0]).get("seconds") if adapter and files else _seconds(name, files, events)
    short = bool(sizes) and ("part" not in parameters or sizes[-1] < parameters["part"])
    return found | dict(complete=bool(files) if adapter else short)


def _label(name, parameters):
    """What a stage does, in words."""
    adapter = parameters.get("adapter")
    if name == "samples":
        return f"samples, {f'round {_round(adapter)}' if _round(adapter) else adapter or 'base'}"
    if name == "verdicts":
        return f"verdicts by {'all' if parameters.get('hidden') else 'shown'} tests"
    return name.replace("adapter-", "tuning, round ") if _ADAPTER.fullmatch(name) else name


def _round(adapter):
    """The round of an adapter by its folder's name: 0 for the base, None for an adapter from elsewhere."""
    found = _ADAPTER.match(adapter or "adapter-0")
    return int(found[1]) if found else None


def _known(stages):
    """The stages with what they tell about each other: how many rows a stage will have, and whether it is done."""
    sizes = {_about(stage): stage["rows"] for stage in stages if stage["complete"]}
    for before, stage in zip([None, *stages], stages, strict=False):
        stage["expected"] = None if stage["round"] else sizes.get(_about(stage)) or _rows_of_prompts(stage, before)
        stage["state"] = _state(stage, is_last=stage is stages[-1])
    return stages


def _rows_of_prompts(samples, before):
    """How many prompts are sampled from: they are made of traces, so it is as many as were traced just before."""
    follows = samples["name"] == "samples" and before and before["name"] == "traces"
    return before["rows"] if follows and before["state"] == "done" else None


def _state(stage, is_last):
    expected, some = stage["expected"], stage["parts"] > 0
    if stage["complete"] or (some and expected is not None and stage["rows"] >= expected):
        return "done"
    if is_last:
        return "going on"
    return "done" if some and expected is None else "left unfinished"  # a later stage began, so it was done


def _about(stage):
    """What stands for the tasks of a stage: stages that share it have as many rows."""
    parameters = stage["parameters"]
    return next(((key, parameters[key]) for key in ("prompts", "tasks") if key in parameters), stage["folder"])


def _seconds(name, files, events):
    """The seconds of a stage's files; an event names no folder, so it is the one of that moment. None: not known."""
    found = [_event_of(name, file, events) for file in files]
    return round(sum(e["seconds"] for e in found), 1) if found and all(found) else None


def _event_of(name, file, events):
    path, modified, _ = file
    near = [
        e for e in events if (e["stage"], e.get("file")) == (name, path.name) and abs(e["time"] - modified / 1e9) < 3
    ]
    return min(near, key=lambda e: abs(e["time"] - modified / 1e9), default=None)


def _tuning(stage):
    """A finished tuning: its round, examples, steps, seconds and loss."""
    adapter = _json(stage["files"][0][0])
    losses = adapter.get("losses", [])
    every = -(-len(losses) // MOST_POINTS) or 1
    points = [[step + 1, loss] for step, loss in enumerate(losses) if step % every == 0 or step == len(losses) - 1]
    told = {name: adapter.get(name) for name in ("examples", "steps", "seconds")}
    return dict(round=stage["round"], folder=stage["folder"], points=points) | told


def _left(found, stages, events, rounds):
    """A guess of when the run ends, if its number of rounds is known, else the stage: dict(of, until); or None.

    It does not depend on when it is asked, so that nothing changes while nothing happens.
    """
    ended = [place for place, event in enumerate(events) if event["stage"].startswith("round ")]
    if rounds and ended and [tuning["round"] for tuning in found["tunings"]] == list(range(1, len(ended) + 1)):
        done, since = events[: ended[-1] + 1], events[ended[-1] + 1 :]
        each = sum(event["seconds"] for event in done) / len(ended)
        left = each * (rounds - len(ended)) - sum(event["seconds"] for event in since)
        return dict(of="the run", until=found["changed"] + max(0, left))
    now = found["now"]
    seconds = now and _whole(now, [stage for stage in stages if stage["state"] == "done"])
    return None if seconds is None else dict(of="this stage", until=(now["ended"] or now["begun"]) + seconds)


def _whole(now, done):
    """A guess of the seconds that what is left of a stage takes, by itself so far or by earlier ones of its kind."""
    if now["round"]:
        earlier = [stage["seconds"] for stage in done if stage["round"] and stage["seconds"]]
        return sum(earlier) / len(earlier) if earlier else None
    like = [now] if now["rows"] and now["seconds"] else [s for s in done if s["name"] == now["name"] and s["seconds"]]
    work = sum(stage["rows"] * stage["parameters"].get("n", 1) for stage in like)
    if not work or now["expected"] is None:
        return None
    rows = (now["expected"] - now["rows"]) * now["parameters"].get("n", 1)
    return sum(stage["seconds"] for stage in like) / work * rows


def _rates(stages):
    """pass@k of each evaluation, oldest first: model, round, tasks, samples, and for each k its value and interval."""
    rates = []
    samples = [stage for stage in stages if stage["name"] == "samples" and stage["state"] == "done"]
    for stage in stages:
        if stage["name"] == "verdicts" and stage["state"] == "done" and stage["parameters"].get("hidden"):
            rates += _rate(stage, next((s for s in samples if _are_of(stage, s)), None))
    return rates


def _are_of(verdicts, samples):
    """Whether these are the verdicts of these samples, whose hash is among their parameters."""
    small = sum(size for _, _, size in samples["files"]) <= MOST_BYTES
    return (
        verdicts["rows"] == samples["rows"]
        and small
        and _digest(*samples["files"]) == verdicts["parameters"].get("samples")
    )


def _rate(verdicts, samples):
    counts = tuple(chain.from_iterable(_passes(*file) for file in verdicts["files"]))
    n = min((n for n, _ in counts), default=0)
    if samples is None or not n:
        return []
    adapter = samples["parameters"].get("adapter")
    found = dict(adapter=adapter, round=_round(adapter), tasks=len(counts), samples=n)
    return [found | dict(set=verdicts["parameters"].get("tasks"), ks=[_at(counts, k) for k in KS if k <= n])]


@functools.lru_cache(1024)
def _at(counts, k):
    values = [pass_at_k(n, c, k) for n, c in counts]
    low, high = interval(values)
    return dict(k=k, value=sum(values) / len(values), low=low, high=high)


@functools.lru_cache(4096)
def _lines_of(path, modified, size):
    """How many rows a stored part has; asked again only when the file is another."""
    return path.read_bytes().count(b"\n")


@functools.lru_cache(1024)
def _passes(path, modified, size):
    """(samples, passed) of each task of a part of verdicts."""
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [(len(row), sum(verdict["status"] == "passed" for verdict in row)) for row in rows]


@functools.lru_cache(256)
def _digest(*files):
    """The hash of stored samples, as the stages compute it."""
    rows = [json.loads(line) for path, _, _ in files for line in path.read_bytes().splitlines()]
    return digest([from_dict(Sample, fields) for row in rows for fields in row])


def _version(path):
    found = path.stat()
    return path, found.st_mtime_ns, found.st_size


def _events(path):
    """The events so far; a line that is just being written is left for the next time."""
    found = [_parsed(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return [dict(seconds=0) | event for event in found if "time" in event and "stage" in event]


def _json(path):
    return _parsed(path.read_text(encoding="utf-8")) if path.exists() else {}


def _parsed(text):
    """The object in a text; {} where it is not, or not yet, whole."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _lines(found, read):
    """The status in words."""
    yield f"run {found['folder']}"
    if not found["stages"]:
        yield "nothing here yet: the first stage appears when the run begins"
        return
    yield f"begun {_span(read - found['started'])} ago, last change {_span(read - found['changed'])} ago"
    now = found["now"]
    if now:
        rows = f"{now['rows']} of {now['expected'] or '?'} rows"
        yield f"{'unfinished' if found['quiet'] else 'now'}: {now['label']}, {rows}"
    if found["quiet"]:
        yield "nothing has changed for long: it has ended, or stopped"
    if found["left"]:
        yield f"left of {found['left']['of']}: about {_span(max(0, found['left']['until'] - read))} (a guess)"
    for tuning in found["tunings"]:
        last = f"loss {tuning['points'][-1][1]:.3f}" if tuning["points"] else "no loss"
        yield f"round {tuning['round']}: {tuning['examples']} examples, {tuning['steps']} steps, {last}"
    for rate in found["rates"]:
        ks = ", ".join(f"pass@{at['k']} {100 * at['value']:.1f} %" for at in rate["ks"])
        model = f"round {rate['round']}" if rate["round"] else rate["adapter"] or "base"
        yield f"{model}: {ks} ({rate['tasks']} tasks)"


def _span(seconds):
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
