"""What a run tells of itself, read by monitoring."""

import json
import os
import shutil
import time
from contextlib import suppress
from functools import partial
from itertools import count

import pytest

from nextkit import monitoring as module
from nextkit.monitoring import status, summary
from nextkit.runs import Run
from nextkit.tracing import Trace

TASKS = [f"t{n}" for n in range(5)]


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def stage(run, name="samples", upto=99, **parameters):
    """A stage in parts of two tasks, breaking off after `upto` of them, as a kill would."""

    def make(some, number):
        if number >= upto:
            raise KeyboardInterrupt
        return [[Trace(task, "", "", (), "failed")] for task in some]

    with suppress(KeyboardInterrupt):
        run.parts(name, parameters, TASKS, make, Trace, 2)


def tuned(run, number, losses=(0.5, 0.25), seconds=30.0, done=True):
    folder = run.stage(f"adapter-{number}", dict(number=number))
    run.begin(folder, examples=7)
    lines = [json.dumps(dict(step=n, steps=len(losses), loss=loss)) for n, loss in enumerate(losses, 1)]
    (folder / "adapter.losses.jsonl").write_text("\n".join(lines))
    if done:
        run.stored(folder / "adapter", seconds=seconds, steps=len(losses))
    return folder.name


def evaluated(run, adapter=None, rate=0.25, of="dev"):
    rates = [[1, rate, rate - 0.1, rate + 0.1], [8, 1.0, 1.0, 1.0]]
    run.log(evaluation=f"{adapter} {rate}", adapter=adapter, of=of, tasks=5, samples=8, rates=rates)


def test_stages_come_in_the_order_in_which_they_were_begun_with_rows_and_seconds(run):
    stage(run, "traces")
    stage(run, adapter=None)
    adapter = tuned(run, 1)
    stage(run, adapter=adapter)
    stage(run, "verdicts", hidden=True)
    found = status(run.folder)["stages"]
    labels = ["traces", "samples, base", "tuning, round 1", "samples, round 1", "verdicts by all tests"]
    assert [stage["label"] for stage in found] == labels
    assert [stage["rows"] for stage in found] == [5, 5, 2, 5, 5] and {stage["state"] for stage in found} == {"done"}
    assert found[2]["seconds"] == 30


def test_a_stage_that_goes_on_says_how_many_rows_are_stored_and_expected(run):
    with run.working(rounds=1):
        stage(run, upto=1)
        now = status(run.folder)["now"]
    assert (now["label"], now["rows"], now["expected"]) == ("samples, base", 2, 5)


def test_an_interrupted_stage_that_was_begun_again_counts_once(run):
    stage(run, upto=1)
    stage(run)
    (found,) = status(run.folder)["stages"]
    assert (found["rows"], found["parts"], found["state"]) == (5, 3, "done")


def test_a_stage_that_is_gone_on_with_is_the_one_at_work_though_others_were_begun_since(run):
    stage(run, upto=1)
    stage(run, "traces")
    with run.working(rounds=1):
        stage(run, upto=2)
        now = status(run.folder)["now"]
    assert (now["label"], now["rows"]) == ("samples, base", 4)


def test_what_is_left_does_not_count_the_rounds_of_earlier_work(run):
    with run.working(rounds=1):
        tuned(run, 1, seconds=500.0)
    with run.working(rounds=3):
        tuned(run, 2, seconds=30.0)
        found = status(run.folder)
    assert found["left"]["until"] == pytest.approx(found["changed"] + 30, abs=1)


def test_a_stage_that_was_left_for_another_is_called_unfinished(run):
    stage(run, upto=1)
    stage(run, other=True)
    assert [stage["state"] for stage in status(run.folder)["stages"]] == ["left unfinished", "done"]


def test_the_end_of_the_work_is_known_from_its_interruption_and_from_its_loss(run):
    with run.working(rounds=2):
        stage(run)
        assert status(run.folder)["work"]["state"] == "going on"
    assert status(run.folder)["work"]["state"] == "ended"
    with pytest.raises(RuntimeError), run.working(rounds=2):
        raise RuntimeError("no more disk")
    work = status(run.folder)["work"]
    assert (work["state"], work["why"]) == ("stopped", "RuntimeError: no more disk")


def test_work_that_stopped_before_its_first_stage_says_why(run):
    with pytest.raises(RuntimeError), run.working(rounds=2):
        raise RuntimeError("no such model")
    assert "stopped (RuntimeError: no such model)" in "\n".join(summary(status(run.folder)))
    run.log(work="begun", process=2**22 + 1, host=module.socket.gethostname())  # no machine has so many
    assert status(run.folder)["work"]["state"] == "died"


def test_work_on_another_machine_is_doubted_when_it_says_nothing_for_long(run, monkeypatch):
    run.log(work="begun", process=1, host="elsewhere")
    assert status(run.folder)["work"]["state"] == "going on"
    later = time.time() + 10_000
    monkeypatch.setattr(module.time, "time", lambda: later)
    assert status(run.folder)["work"]["state"] == "silent"


def test_work_within_work_tells_nothing(run):
    with run.working(controls=["a", "b"]), run.of("b").working(rounds=2):
        run.of("b").log(note=1)
        work = status(run.folder)["work"]
    assert (work["controls"], work["control"], work["rounds"]) == (["a", "b"], "b", None)


def test_evaluations_and_tunings_name_their_control_and_round(run):
    evaluated(run)
    adapter = tuned(run.of("no trace"), 1)
    evaluated(run.of("no trace"), adapter, 0.5)
    evaluated(run, "elsewhere")
    found = status(run.folder)
    names = [(rate["control"], rate["round"], rate["ks"][0]["value"]) for rate in found["rates"]]
    assert names == [("", 0, 0.25), ("no trace", 1, 0.5), ("", None, 0.25)]
    assert list(map(module.named, found["rates"])) == ["base", "no trace, round 1", "elsewhere"]
    assert module.named(found["tunings"][0]) == "no trace, round 1"


def test_a_tuning_shows_its_loss_while_it_goes_on(run):
    with run.working(rounds=1):
        tuned(run, 1, done=False)
        found = status(run.folder)
    assert found["now"]["label"] == "tuning, round 1" and found["now"]["expected"] == 2
    (tuning,) = found["tunings"]
    assert (tuning["examples"], tuning["points"], tuning["seconds"]) == (7, [[1, 0.5], [2, 0.25]], None)


def test_the_summary_tells_the_steps_of_a_tuning_that_broke_off(run):
    folder = run.stage("adapter-1", dict(number=1))
    run.begin(folder, examples=7)
    line = json.dumps(dict(step=9, steps=40, loss=0.5))
    (folder / "adapter.losses.jsonl").write_text(line)
    assert any("7 examples, 9 of 40 steps" in said for said in summary(status(run.folder)))


def test_a_long_loss_curve_is_thinned_and_keeps_its_end(run):
    tuned(run, 1, losses=[n / 1000 for n in range(1000)])
    points = status(run.folder)["tunings"][0]["points"]
    assert len(points) <= module.MOST_POINTS + 1 and points[-1] == [1000, 0.999]


def test_what_is_left_of_a_stage_is_guessed_from_its_own_parts(run, monkeypatch):
    monkeypatch.setattr("nextkit.runs.time.monotonic", partial(next, count(0, 10)))
    with run.working():
        stage(run, upto=1)
        found = status(run.folder)
    assert found["left"]["of"] == "this stage"
    assert found["left"]["until"] - found["now"]["ended"] == pytest.approx(10 / 2 * 3)


def test_what_is_left_of_the_run_is_guessed_from_its_rounds(run):
    with run.working(rounds=3):
        tuned(run, 1, seconds=30.0)
        run.log(stage="samples", folder="samples-0", file="part-0000.jsonl", seconds=10.0, rows=5)
        found = status(run.folder)
    assert found["left"] == dict(of="the run", until=pytest.approx(found["changed"] + 30 * 2 - 10))


def test_the_evaluation_after_the_last_tuning_is_left_too(run, monkeypatch):
    monkeypatch.setattr("nextkit.runs.time.monotonic", partial(next, count(0, 10)))
    with run.working(rounds=1):
        tuned(run, 1, seconds=1.0)
        stage(run, upto=1)
        found = status(run.folder)
    assert found["left"] == dict(of="the run", until=pytest.approx(found["now"]["ended"] + 10 / 2 * 3))


def test_nothing_is_guessed_when_the_work_is_over(run):
    with run.working(rounds=3):
        tuned(run, 1)
    assert status(run.folder)["left"] is None


def test_a_copied_folder_tells_the_same(run, tmp_path):
    stage(run)
    evaluated(run, tuned(run, 1))
    shutil.copytree(run.folder, tmp_path / "copy", copy_function=shutil.copyfile)
    one, other = (
        {k: v for k, v in status(f).items() if k not in ("folder", "read")} for f in (run.folder, tmp_path / "copy")
    )
    assert one == other


def test_the_status_is_plain_data_and_reading_writes_nothing(run):
    stage(run)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    json.dumps(status(run.folder))
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


@pytest.mark.parametrize("broken", ["events.jsonl", "parameters.json", "adapter.losses.jsonl"])
def test_a_half_written_file_is_no_error(run, broken):
    stage(run)
    tuned(run, 1)
    for path in run.folder.rglob(broken):
        path.write_text(path.read_text()[:-4])
    assert len(status(run.folder)["stages"]) == 2


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no run folder at .*later"):
        status(tmp_path / "later")


def test_many_stages_are_capped_and_the_rest_is_counted(run, monkeypatch):
    for number in range(6):
        stage(run, number=number)
    monkeypatch.setattr(module, "MOST_STAGES", 2)
    found = status(run.folder)
    assert len(found["stages"]) == 2 and found["earlier"] == 4


def test_the_summary_says_what_is_known_in_words(run):
    assert "nothing here yet" in "\n".join(summary(status(run.folder)))
    with run.working(rounds=1):
        stage(run)
        evaluated(run)
        tuned(run, 1)
    text = "\n".join(summary(status(run.folder)))
    assert "work: ended" in text and "passed, of 5 tasks:\n  base: pass@1 25.0 %" in text
    assert "round 1: 7 examples, 2 steps, loss 0.250" in text


def test_a_process_of_somebody_else_is_alive(run, monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    run.log(work="begun", process=1, host=module.socket.gethostname())
    assert status(run.folder)["work"]["state"] == "going on"
