"""The RunMonitor, from Python alone."""

import subprocess
import sys
import threading
import time

import pytest

from nextkit.runs import Run
from nextkit.sandbox import Verdict
from nextkit.widgets import RunMonitor


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


def work(run):
    run.records("verdicts", {}, lambda: [[Verdict("t", "passed")]], Verdict)


def test_a_folder_that_is_not_there_is_told_inside_and_seen_when_it_comes(tmp_path):
    monitor = RunMonitor(tmp_path / "later")
    assert "no run folder at" in monitor.error and "no run folder at" in monitor.text()
    work(Run(tmp_path / "later"))
    monitor.refresh()
    assert monitor.error == "" and len(monitor.payload["stages"]) == 1


def test_what_cannot_be_read_is_told_inside(run):
    run.log(evaluation="x", rates="nonsense")
    monitor = RunMonitor(run)
    assert monitor.error and monitor.text() == monitor.error


def test_nothing_new_in_the_folder_changes_nothing_but_the_time_of_reading(run):
    work(run)
    monitor = RunMonitor(run)
    before, read = monitor.payload, monitor.read
    monitor.refresh()
    assert monitor.payload == before and monitor.read > read


def test_the_text_is_the_summary(run):
    work(run)
    assert "work: unknown" in RunMonitor(run).text()


def wait_until(holds, seconds=5):
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.02)
    return holds()


def test_following_sees_what_another_writes_and_ends_with_the_flag(run):
    monitor = RunMonitor(run, seconds=0.2)
    monitor.follow = True
    work(run)
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


def test_the_exported_file_needs_no_network_and_no_markup_of_a_run_is_read(tmp_path):
    run = Run(tmp_path / "<script>alert(1)<")
    work(run)
    page = RunMonitor(run).to_html(tmp_path / "run.html").read_text()
    assert "<script>alert" not in page and "http" not in page.replace("http://www.w3.org", "")
