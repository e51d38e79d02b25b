"""Executors: tracing and judging give the same on other processes, and leave nothing behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import psutil
import pytest

from nextkit.filtering import judge, judge_all
from nextkit.parallel import in_order, processes
from nextkit.tracing import trace, trace_all

RIGHT = "def f(x):\n    return x + 1"
SLOW = "import time\ntime.sleep(0.4)\n" + RIGHT


@contextmanager
def dask(count):
    """The executor of a Dask cluster of so many processes on this machine."""
    from distributed import Client, LocalCluster

    how = dict(n_workers=count, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0")
    with LocalCluster(**how) as cluster, Client(cluster) as client:
        yield client.get_executor()


KINDS = pytest.mark.parametrize("kind", [processes, dask], scope="module", ids=["processes", "dask"])


@pytest.fixture(scope="module")
def executor(kind):
    with kind(2) as pool:
        yield pool


@pytest.fixture
def tasks(task):
    """Four tasks of which each ends in its own way."""
    others = [
        "def f(x):\n    return [x][x]",
        "def f(x):\n    for x in range(3):\n        x += 1\n    return x",
        "def f(",
    ]
    return [task, *(replace(task, task_id=f"t/{n}", buggy=buggy) for n, buggy in enumerate(others, 2))]


class Recorder(Executor):
    """Another executor, whose futures are kept; interrupts this process when the first is done."""

    def __init__(self, executor):
        self.executor, self.futures = executor, []

    def submit(self, function, /, *arguments, **options):
        self.futures.append(self.executor.submit(function, *arguments, **options))
        if len(self.futures) == 1:
            self.futures[0].add_done_callback(interrupt)
        return self.futures[-1]


def interrupt(_):
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


def timeless(verdicts):
    return [replace(verdict, seconds=0.0) for verdict in verdicts]


def workers_servers():
    """Sandbox servers of worker processes: those that belong to no sandbox of this process."""
    below = {p.pid: p for p in psutil.Process().children(recursive=True) if is_server(p)}
    return {pid for pid, p in below.items() if p.ppid() not in {*below, os.getpid()}}


def is_server(process):
    try:
        return any("sandbox_server" in word for word in process.cmdline())
    except psutil.Error:  # it has just ended
        return False


def all_gone(pids, seconds=10):
    end = time.monotonic() + seconds
    while (left := [pid for pid in pids if psutil.pid_exists(pid)]) and time.monotonic() < end:
        time.sleep(0.05)
    return not left


@KINDS
def test_traces_are_the_same(executor, tasks):
    assert trace_all(tasks, executor, keep=9) == [trace(task, keep=9) for task in tasks]
    assert trace(tasks[0], executor, program=RIGHT, test=(0, 1)) == trace(tasks[0], program=RIGHT, test=(0, 1))


@KINDS
def test_verdicts_are_the_same_but_for_the_seconds(executor, tasks, sample):
    fixes = ("def f(x): return {0: 1, 1: 2}[x]", RIGHT)
    rows = [[sample(fix, task.task_id) for fix in (RIGHT, task.buggy, *fixes)] for task in tasks]
    for hidden in (False, True):
        away, here = judge_all(tasks, rows, executor, hidden=hidden), judge_all(tasks, rows, hidden=hidden)
        assert list(map(timeless, away)) == list(map(timeless, here))
        one = judge(tasks[0], rows[0], executor, hidden=hidden)
        assert timeless(one) == timeless(here[0])


@KINDS
def test_what_goes_wrong_in_a_worker_is_said_here(executor, task, sample):
    with pytest.raises(ValueError, match=r"task 't/1' has no test 9: it shows 2"):
        trace_all([task], executor, test=9)
    with pytest.raises(ValueError, match="'nearly'"):
        judge_all([replace(task, oracle="nearly")], [[sample(RIGHT)]], executor)


@pytest.mark.parametrize("work", [judge, judge_all, trace])
def test_a_sandbox_cannot_be_given_beside_an_executor(work, task):
    given = [task] if work is trace else [[], []] if work is judge_all else [task, []]
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="does not travel .* give one of the two"):
        work(*given, executor=pool, sandbox=object())


@KINDS
def test_a_worker_keeps_its_sandbox_from_task_to_task(executor, tasks, sample):
    trace_all(tasks * 2, executor)
    before = workers_servers()
    judge_all(tasks * 3, [[sample(RIGHT, task.task_id)] for task in tasks] * 3, executor)
    assert before and workers_servers() >= before and len(workers_servers()) <= 2


@KINDS
def test_an_interrupt_cancels_what_has_not_begun(executor, task, sample):
    recorder, tasks = Recorder(executor), [replace(task, task_id=f"t/{n}") for n in range(30)]
    with pytest.raises(KeyboardInterrupt):
        judge_all(tasks, [[sample(SLOW, each.task_id)] for each in tasks], recorder)
    assert sum(future.cancelled() for future in recorder.futures) >= 20
    assert judge(task, [sample(RIGHT)], executor)[0].status == "passed"  # and the executor goes on


@KINDS
def test_no_sandbox_outlives_its_worker(kind, task):
    before = workers_servers()
    with kind(1) as pool:
        assert trace(task, pool).outcome == "failed"
        servers = workers_servers() - before
    assert servers and all_gone(servers)


def test_no_sandbox_outlives_a_worker_that_is_killed(task):
    before = workers_servers()
    with processes(1) as pool:
        trace(task, pool)
        servers = workers_servers() - before
        for pid in {psutil.Process(pid).ppid() for pid in servers}:
            os.kill(pid, signal.SIGKILL)
        assert servers and all_gone(servers)
        with pytest.raises(RuntimeError, match="terminated abruptly"):
            trace(task, pool)


def test_an_interrupt_while_work_is_handed_out_cancels_it_too():
    class Interrupted(Executor):
        futures = []  # noqa: RUF012

        def submit(self, function, /, *arguments):
            if len(self.futures) == 2:
                raise KeyboardInterrupt
            self.futures.append(Future())
            return self.futures[-1]

    with pytest.raises(KeyboardInterrupt):
        in_order(abs, range(9), workers=1, desc="", unit="", executor=Interrupted())
    assert all(future.cancelled() for future in Interrupted.futures)


INTERRUPTED = f"""
from nextkit.filtering import judge, judge_all
from nextkit.parallel import processes
from nextkit.sampling import Sample
from nextkit.tasks import RepairTask

task = RepairTask("t/1", "Add one.", "def f(x): return x", ("assert f(1) == 2",), meta=dict(seconds=0.5))
endless, right = (Sample("t/1", "", fix, "", fix, 5, "stop") for fix in ("while True: pass", {RIGHT!r}))
with processes(2) as pool:
    judge_all([task] * 2, [[right]] * 2, pool)
    try:
        print("begun", flush=True)
        judge(task, [endless], pool)  # by one of two: the other is idle
    except KeyboardInterrupt:
        print("stopped", judge(task, [right], pool)[0].status)
"""


def test_an_interrupt_of_the_whole_process_group_leaves_the_pool_at_work():
    how = dict(stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED], **how) as process:
        try:
            assert process.stdout.readline() == "begun\n"
            time.sleep(0.5)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does, and Jupyter
            assert process.communicate(timeout=15)[0] == "stopped passed\n"
        finally:
            process.kill()
