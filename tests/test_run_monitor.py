"""The RunMonitor and its model of a run folder, from Python alone."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

from nextkit.runs import Run, digest
from nextkit.sampling import Sample
from nextkit.sandbox import Verdict
from nextkit.tracing import Trace
from nextkit.widgets import RunMonitor
from nextkit.widgets import run_monitor as module
from nextkit.widgets.run_monitor import status

TASKS = [f"t{n}" for n in range(5)]
DEV = "of the dev tasks"


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def traces(run, tasks=TASKS, key=DEV):
    return run.parts(
        "traces", dict(tasks=key), tasks, lambda some, _: [[Trace(t, "", "", (), "failed")] for t in some], Trace, 2
    )


def samples(run, adapter=None, prompts="p", tasks=TASKS, upto=99):
    """Sample parts of two tasks each, breaking off after `upto` of them, as a kill would."""

    def make(some, number):
        if number >= upto:
            raise KeyboardInterrupt
        return [[Sample(task, "", "", f"{adapter}", str(n), 1, "stop") for n in range(8)] for task in some]

    parameters = dict(adapter=adapter, prompts=prompts, n=8)
    try:
        return run.parts("samples", parameters, tasks, make, Sample, 2)
    except KeyboardInterrupt:
        return None


def verdicts(run, drawn, passed, key=DEV, hidden=True):
    """Of each task's samples the first `passed` pass."""
    judge = lambda rows, _: [  # noqa: E731
        [Verdict(s.task_id, "passed" if place < passed else "failed") for place, s in enumerate(row)] for row in rows
    ]
    return run.parts(
        "verdicts", dict(samples=digest(sum(drawn, [])), tasks=key, hidden=hidden), drawn, judge, Verdict, 2
    )


def tuned(run, number, losses=(0.5, 0.25), seconds=30.0):
    folder = run.stage(f"adapter-{number}", dict(examples=number))
    (folder / "adapter").mkdir()
    stored = dict(path="", examples=7, steps=len(losses), losses=losses, seconds=seconds)
    (folder / "adapter" / "adapter.json").write_text(json.dumps(stored))
    run.log(stage=f"round {number}", kept=7, steps=len(losses), seconds=seconds)
    return folder.name


def whole(run):
    """Base on dev, one tuning, round 1 on dev."""
    traces(run)
    verdicts(run, samples(run), 2)
    adapter = tuned(run, 1)
    verdicts(run, samples(run, adapter, prompts="q"), 4)


def test_the_stages_come_in_their_order_with_rows_and_seconds(run):
    whole(run)
    found = status(run.folder)
    labels = [
        "traces",
        "samples, base",
        "verdicts by all tests",
        "tuning, round 1",
        "samples, round 1",
        "verdicts by all tests",
    ]
    assert [stage["label"] for stage in found["stages"]] == labels
    assert [stage["rows"] for stage in found["stages"]] == [5, 5, 5, 0, 5, 5]
    assert {stage["state"] for stage in found["stages"]} == {"done"} and found["now"] is None
    assert found["stages"][3]["seconds"] == 30 and found["stages"][1]["seconds"] is not None


def test_a_stage_in_parts_says_how_many_are_stored_and_expected(run):
    traces(run)
    samples(run, upto=1)
    now = status(run.folder)["now"]
    assert (now["label"], now["parts"], now["rows"], now["expected"]) == ("samples, base", 1, 2, 5)


def test_how_many_rows_are_expected_is_known_from_a_stage_with_the_same_prompts(run):
    samples(run, prompts="p")
    samples(run, "adapter-1-0123456789", prompts="p", upto=1)
    assert status(run.folder)["now"]["expected"] == 5


def test_where_nothing_tells_how_many_are_expected_nothing_is_said_and_nothing_guessed(run):
    samples(run, upto=1)
    found = status(run.folder)
    assert found["now"]["expected"] is None and found["left"] is None


def test_a_stage_that_was_left_for_another_is_called_unfinished(run):
    traces(run)
    samples(run, upto=1)
    samples(run, prompts="q")
    assert [stage["state"] for stage in status(run.folder)["stages"]] == ["done", "left unfinished", "done"]


def test_pass_at_k_belongs_to_the_model_whose_samples_were_judged(run):
    whole(run)
    rates = status(run.folder)["rates"]
    assert [(rate["round"], rate["tasks"], rate["samples"]) for rate in rates] == [(0, 5, 8), (1, 5, 8)]
    assert [[at["value"] for at in rate["ks"]] for rate in rates] == [[0.25, 1], [0.5, 1]]


def test_an_adapter_from_elsewhere_goes_by_its_name(run):
    verdicts(run, samples(run, "elsewhere"), 2)
    found = status(run.folder)
    assert found["stages"][0]["label"] == "samples, elsewhere" and found["rates"][0]["round"] is None


def test_verdicts_by_the_shown_tests_alone_are_no_evaluation(run):
    verdicts(run, samples(run), 2, hidden=False)
    assert status(run.folder)["rates"] == []


def test_a_tuning_says_what_it_kept_and_its_loss(run):
    tuned(run, 1, losses=(0.5, 0.25))
    (tuning,) = status(run.folder)["tunings"]
    assert (tuning["round"], tuning["examples"], tuning["steps"]) == (1, 7, 2)
    assert tuning["points"] == [[1, 0.5], [2, 0.25]]


def test_a_long_loss_curve_is_thinned_and_keeps_its_end(run):
    tuned(run, 1, losses=[n / 1000 for n in range(1000)])
    points = status(run.folder)["tunings"][0]["points"]
    assert len(points) <= module.MOST_POINTS + 1 and points[-1] == [1000, 0.999]


def test_a_tuning_that_goes_on_is_what_is_worked_on(run):
    tuned(run, 1, seconds=30.0)
    run.stage("adapter-2", dict(examples=2))
    found = status(run.folder)
    assert found["now"]["label"] == "tuning, round 2"
    assert found["left"] == dict(of="this stage", until=pytest.approx(found["now"]["begun"] + 30))


def test_what_is_left_of_a_stage_is_guessed_from_its_own_parts(run, monkeypatch):
    traces(run)
    samples(run, upto=1)
    monkeypatch.setattr(module, "_seconds", lambda *_: 10.0)
    found = status(run.folder)
    assert found["left"]["until"] - found["now"]["ended"] == pytest.approx(10 / 2 * 3)


def test_what_is_left_of_the_run_is_guessed_where_its_rounds_are_told(run):
    tuned(run, 1, seconds=30.0)
    run.log(stage="samples", file="part-0000.jsonl", seconds=10.0, rows=5)
    found = status(run.folder, rounds=3)
    assert found["left"] == dict(of="the run", until=pytest.approx(found["changed"] + 30 * 2 - 10))


def test_a_run_in_which_nothing_changes_any_more_is_called_quiet_and_nothing_is_guessed(run):
    traces(run)
    samples(run, upto=1)
    long_ago = time.time() - 10_000
    for path in [*run.folder.rglob("*")]:
        os.utime(path, (long_ago, long_ago))
    (run.folder / "events.jsonl").unlink()
    found = status(run.folder)
    assert found["quiet"] and found["left"] is None


def test_a_copied_folder_still_tells_whose_verdicts_are_whose(run, tmp_path):
    whole(run)
    shutil.copytree(run.folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert [rate["ks"][0]["value"] for rate in status(tmp_path / "copy")["rates"]] in ([0.25, 0.5], [0.5, 0.25])


def test_the_status_is_plain_data_and_reading_writes_nothing(run):
    whole(run)
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    json.dumps(status(run.folder))
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


@pytest.mark.parametrize("broken", ["events.jsonl", "parameters.json", "adapter.json"])
def test_a_half_written_file_is_no_error(run, broken):
    whole(run)
    for path in run.folder.rglob(broken):
        path.write_text(path.read_text()[:-4])
    assert len(status(run.folder)["stages"]) == 6


def test_a_folder_that_is_not_there_is_told_inside_and_seen_when_it_comes(tmp_path):
    monitor = RunMonitor(tmp_path / "later")
    assert "no run folder at" in monitor.error and "no run folder at" in monitor.text()
    traces(Run(tmp_path / "later"))
    monitor.refresh()
    assert monitor.error == "" and len(monitor.payload["stages"]) == 1


def test_an_empty_folder_says_that_nothing_is_there_yet(run):
    assert "nothing here yet" in RunMonitor(run).text()


def test_other_files_in_the_folder_are_no_stages(run):
    (run.folder / "report.html").write_text("")
    (run.folder / "figures").mkdir()
    assert status(run.folder)["stages"] == []


def test_parts_that_are_no_records_are_told_inside(run):
    traces(run)
    verdicts(run, samples(run), 2)
    for path in run.folder.glob("verdicts-*/part-*.jsonl"):
        path.write_text("nonsense\n" * path.read_text().count("\n"))
    monitor = RunMonitor(run)
    assert monitor.error and monitor.text() == monitor.error


def test_nothing_new_in_the_folder_changes_nothing_but_the_time_of_reading(run):
    traces(run)
    samples(run, upto=1)
    monitor = RunMonitor(run)
    before, read = monitor.payload, monitor.read
    monitor.refresh()
    assert monitor.payload == before and monitor.read > read


def test_many_stages_are_capped_and_the_rest_is_counted(run, monkeypatch):
    whole(run)
    monkeypatch.setattr(module, "MOST_STAGES", 2)
    found = status(run.folder)
    assert len(found["stages"]) == 2 and found["earlier"] == 4


def wait_until(holds, seconds=5):
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def test_following_sees_what_another_writes_and_ends_with_the_flag(run):
    monitor = RunMonitor(run, seconds=0.2)
    monitor.follow = True
    traces(run)
    assert wait_until(lambda: len(monitor.payload["stages"]) == 1)
    monitor.follow = False
    assert wait_until(lambda: not followers())


def test_closing_ends_following(run):
    monitor = RunMonitor(run, seconds=0.2)
    monitor.follow = True
    monitor.close()
    assert wait_until(lambda: not followers())


def followers():
    return [thread for thread in threading.enumerate() if thread.name == "nextkit run monitor"]


def test_following_does_not_keep_the_interpreter(run):
    code = f"from nextkit.widgets import RunMonitor; RunMonitor({str(run.folder)!r}).follow = True"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_the_text_says_what_is_known_in_words(run):
    whole(run)
    text = RunMonitor(run).text()
    assert "round 1: 7 examples, 2 steps, loss 0.250" in text and "base: pass@1 25.0 %" in text


def test_the_exported_file_needs_no_network_and_no_markup_of_a_run_is_read(tmp_path):
    run = Run(tmp_path / "<script>alert(1)<")
    traces(run)
    page = RunMonitor(run).to_html(tmp_path / "run.html").read_text()
    assert "<script>alert" not in page and "http" not in page.replace("http://www.w3.org", "")
