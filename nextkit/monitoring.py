"""Monitoring: how a run is doing, read from what it tells in its folder, also while another process writes it.

    status("runs/mine")["work"]["state"]      # going on, ended, stopped, died, or silent
    print(*summary(status("runs/mine")), sep="\\n")

Nothing is written to the folder. How long the rest takes is a guess, and called so.
"""

import os
import re
import socket
import time
from pathlib import Path

from nextkit.records import parse_object
from nextkit.runs import read_events

MOST_STAGES, MOST_TUNINGS, MOST_POINTS = 200, 40, 300  # the last ones; points of a loss curve
SILENT = (
    120  # seconds without a word, and three times the longest part, after which a run of another machine is doubted
)
_ADAPTER = re.compile(r"adapter-(\d+)")


def status(folder):
    """What a run folder tells, as plain data; times are seconds since 1970.

    folder, read (when), started, changed (the last event), worked (seconds of all stages).
    work: dict(state, why, rounds, controls, control) of the last work begun; state is "going on", "ended", "stopped"
    (why says by what), "died" (its process is gone), "silent" (no word for long from another machine), or "unknown".
    stages, oldest first, each with label, control, state ("done", "going on", "left unfinished"), parts, rows, expected
    rows (None: not known), seconds, begun; earlier: how many older ones are left out; now: the stage that is worked on,
    or None. tunings: round, control, examples, steps, seconds, points of the loss. rates: pass@k of each evaluation.
    left: a guess of when what ends, dict(of, until), or None. Raises FileNotFoundError where there is no folder.
    """
    folder, read = Path(folder), time.time()
    if not folder.is_dir():
        raise FileNotFoundError(f"no run folder at {str(folder)!r}: check the path; it appears when the run begins")
    events = [dict(control="") | event for event in read_events(folder)]
    times = [event["time"] for event in events]
    found = dict(folder=str(folder), read=read, started=min(times, default=None), changed=max(times, default=None))
    found["work"] = _work(events, read)
    stages = _stages(folder, events, going_on=found["work"]["state"] in ("going on", "unknown"))
    found["worked"] = sum(stage["seconds"] for stage in stages)
    found["now"] = next((stage for stage in stages if stage["state"] == "going on"), None)
    found["tunings"] = [_tuning(folder, stage) for stage in stages if stage["round"]][-MOST_TUNINGS:]
    found["rates"] = [_rates(event) for event in events if "evaluation" in event]
    found["left"] = _left(found, stages, events) if found["work"]["state"] in ("going on", "unknown") else None
    return found | dict(stages=stages[-MOST_STAGES:], earlier=max(0, len(stages) - MOST_STAGES))


def summary(found):
    """The status in words, a line at a time."""
    yield f"run {found['folder']}"
    if found["started"] is None:
        yield "nothing here yet: the first stage appears when the run begins"
        return
    ago = [span(found["read"] - found[name]) for name in ("started", "changed")]
    yield f"begun {ago[0]} ago, last change {ago[1]} ago; work: {said_of(found['work'])}"
    if found["now"]:
        yield f"now: {found['now']['label']}, {found['now']['rows']} of {found['now']['expected'] or '?'}"
    if found["left"]:
        yield f"left of {found['left']['of']}: about {span(max(0, found['left']['until'] - found['read']))} (a guess)"
    for tuning in found["tunings"]:
        last = f"loss {tuning['points'][-1][1]:.3f}" if tuning["points"] else "no loss yet"
        made = tuning["points"][-1][0] if tuning["points"] else 0
        steps = tuning["steps"] if tuning["seconds"] else f"{made} of {tuning['steps'] or '?'}"
        yield f"{named(tuning)}: {tuning['examples']} examples, {steps} steps, {last}"
    for tasks in dict.fromkeys(rate["of"] for rate in found["rates"]):
        of = [rate for rate in found["rates"] if rate["of"] == tasks]
        yield f"passed, of {of[0]['tasks']} tasks:"
        for rate in of:
            yield f"  {named(rate)}: " + ", ".join(f"pass@{at['k']} {100 * at['value']:.1f} %" for at in rate["ks"])


def said_of(work):
    """The state of the work in words."""
    doubts = dict(died="its process is gone", silent="no word for long, from another machine")
    why = work["why"] or doubts.get(work["state"], "")
    return f"{work['state']} ({why})" if why else work["state"]


def named(record):
    """The model of a tuning or an evaluation: the control, if there are several, and the round."""
    model = f"round {record['round']}" if record["round"] else record.get("adapter") or "base"
    return ", ".join(dict.fromkeys(filter(None, (record["control"], model))))


def span(seconds):
    """Seconds in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _work(events, read):
    """What is known of the last work that was begun."""
    begun = next((event for event in reversed(events) if event.get("work") == "begun"), None)
    if begun is None:
        return dict(state="unknown", why="", rounds=None, controls=[], control="")
    ends = [e for e in events[events.index(begun) :] if e.get("work") in ("ended", "stopped")]
    state = ends[-1]["work"] if ends else _alive(begun, events, read)
    why, control = ends[-1].get("why", "") if ends else "", events[-1]["control"]
    return dict(state=state, why=why, rounds=begun.get("rounds"), controls=begun.get("controls", []), control=control)


def _alive(begun, events, read):
    """Whether work that has not told its end goes on."""
    if begun["host"] != socket.gethostname():
        longest = max((event.get("seconds", 0) for event in events), default=0)
        return "silent" if read - events[-1]["time"] > max(SILENT, 3 * longest) else "going on"
    try:
        os.kill(begun["process"], 0)
    except ProcessLookupError:
        return "died"
    except PermissionError:
        pass  # it is somebody else's, so it is there
    return "going on"


def _stages(folder, events, going_on):
    """The stages of which the events tell, in the order in which they were begun."""
    by_folder = {}
    for event in events:
        if "folder" in event:
            by_folder.setdefault(event["folder"], []).append(event)
    at_work = next(
        (event["folder"] for event in reversed(events) if "folder" in event), None
    )  # it may be an old one again
    stages = [_stage(folder, some) for some in by_folder.values()]
    for stage in stages:
        last = going_on and stage["folder"] == at_work
        stage["state"] = "done" if stage.pop("complete") else "going on" if last else "left unfinished"
    return stages


def _stage(folder, events):
    """A stage, from its events. An interrupted one was begun more than once; of equal files the last counts."""
    first, name = events[0], events[0]["stage"]
    files = list({event["file"]: event for event in events if "file" in event}.values())
    adapter = _ADAPTER.fullmatch(name)
    found = dict(folder=first["folder"], name=name, control=first["control"], begun=first["time"])
    found |= dict(
        round=int(adapter[1]) if adapter else 0, label=_label(folder / first["folder"], name), parts=len(files)
    )
    found |= dict(seconds=round(sum(file["seconds"] for file in files), 1), ended=files[-1]["time"] if files else None)
    if adapter:
        return found | _tuned(folder / first["folder"], first, files)
    rows, expected = sum(file["rows"] for file in files), first.get("items")
    return found | dict(rows=rows, expected=expected, complete=rows >= expected if expected else bool(files))


def _tuned(folder, begun, files):
    """The part of a stage that a tuning has: its steps are its rows."""
    losses = _losses(folder)
    steps = files[0]["steps"] if files else losses[-1]["steps"] if losses else None
    rows = steps if files else len(losses)
    return dict(rows=rows, expected=steps, complete=bool(files), examples=begun.get("examples"))


def _losses(folder):
    """The losses of a tuning so far, as it writes them: dicts with step, steps and loss."""
    path = folder / "adapter.losses.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [entry for entry in map(parse_object, lines) if "loss" in entry]


def _label(folder, name):
    """What a stage does, in words."""
    parameters = parse_object((folder / "parameters.json").read_text()) if (folder / "parameters.json").exists() else {}
    if name == "samples":
        adapter = parameters.get("adapter")
        return f"samples, {f'round {_round(adapter)}' if _round(adapter) else adapter or 'base'}"
    if name == "verdicts":
        return f"{parameters.get('of', 'verdicts')} by {'all' if parameters.get('hidden') else 'shown'} tests"
    return name.replace("adapter-", "tuning, round ") if _ADAPTER.fullmatch(name) else name


def _round(adapter):
    """The round of an adapter by its folder's name: 0 for the base, None for an adapter from elsewhere."""
    found = _ADAPTER.match(adapter or "adapter-0")
    return int(found[1]) if found else None


def _tuning(folder, stage):
    """A tuning with its loss, of which at most about MOST_POINTS points."""
    losses = _losses(folder / stage["folder"])
    every = -(-len(losses) // MOST_POINTS) or 1
    points = [
        [entry["step"], entry["loss"]] for n, entry in enumerate(losses) if n % every == 0 or n == len(losses) - 1
    ]
    told = {name: stage[name] for name in ("round", "control", "folder", "examples", "state")}
    return told | dict(steps=stage["expected"], seconds=stage["seconds"] or None, points=points)


def _rates(event):
    """An evaluation: its model and its pass@k, each with a 95 % interval."""
    ks = [dict(k=int(k), value=value, low=low, high=high) for k, value, low, high in event["rates"]]
    told = {name: event[name] for name in ("adapter", "control", "tasks", "of")}
    return told | dict(round=_round(event["adapter"]), samples=event["samples"], ks=ks)


def _left(found, stages, events):
    """A guess of when the run ends, if its rounds are known and one is done, else the stage: dict(of, until); or None.

    It does not depend on when it is asked, so that nothing changes while nothing happens.
    """
    begun = max((n for n, event in enumerate(events) if event.get("work") == "begun"), default=0)
    events = events[begun:]  # of earlier work in this folder nothing follows
    rounds, tuned = found["work"]["rounds"], [n for n, e in enumerate(events) if "steps" in e]
    seconds = found["now"] and _whole(found["now"], [stage for stage in stages if stage["state"] == "done"])
    until = seconds and (found["now"]["ended"] or found["now"]["begun"]) + seconds
    if rounds and tuned:
        each = sum(event.get("seconds", 0) for event in events[: tuned[-1] + 1]) / len(tuned)
        since = sum(event.get("seconds", 0) for event in events[tuned[-1] + 1 :])
        to_do = rounds - int(_ADAPTER.fullmatch(events[tuned[-1]]["stage"])[1])
        return dict(of="the run", until=max(until or 0, found["changed"] + max(0, each * to_do - since)))
    return until and dict(of="this stage", until=until)


def _whole(now, done):
    """A guess of the seconds that the rest of a stage takes: by itself so far, else by the last one of its kind."""
    like = (
        now if now["rows"] and now["seconds"] else next((s for s in reversed(done) if s["label"] == now["label"]), None)
    )
    if like is None or not now["expected"] or not like["rows"]:
        return None
    return like["seconds"] / like["rows"] * (now["expected"] - now["rows"])
