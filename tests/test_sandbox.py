"""The sandbox: verdicts on programs that mean well. Those that do not are in test_attacks.py."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nextkit.asserts import parse_test
from nextkit.sandbox import ASSERTED, COMPARED, Sandbox, SandboxError

TEST = ["assert f(1) == 2"]


def status(sandbox, program, tests=TEST, **options):
    return sandbox.check(program, tests, **options).status


def test_a_right_program_passes_and_is_compared_outside(sandbox):
    verdict = sandbox.check("def f(x): return x + 1", TEST)
    assert (verdict.status, verdict.how) == ("passed", COMPARED)


def test_a_wrong_value_fails_with_got_and_expected(sandbox):
    verdict = sandbox.check("def f(x): return x", [*TEST, "assert f(5) == 6"])
    assert (verdict.status, verdict.test, verdict.got, verdict.expected) == ("failed", 0, "1", "2")


def test_the_first_test_that_does_not_pass_decides(sandbox):
    assert sandbox.check("def f(x): return 2", [*TEST, "assert f(5) == 6"]).test == 1


def test_other_assertions_run_inside_and_say_so(sandbox):
    verdict = sandbox.check("def f(x): return [x]", ["assert f(1)[0] == 1"])
    assert (verdict.status, verdict.how) == ("passed", ASSERTED)


def test_a_false_assertion_inside_fails(sandbox):
    assert status(sandbox, "def f(x): return [2]", ["assert f(1)[0] == 1"]) == "failed"


def test_an_exception_is_an_error_with_its_message(sandbox):
    verdict = sandbox.check("def f(x): return x[0]", TEST)
    assert verdict.status == "error" and verdict.message.startswith("TypeError")


@pytest.mark.parametrize("program", ["def f(", "", "\0"])
def test_what_is_not_a_program_is_unparseable(sandbox, program):
    assert status(sandbox, program) == "unparseable"


def test_a_test_that_is_not_python_is_refused(sandbox):
    with pytest.raises(ValueError, match="assert f\\("):
        sandbox.check("x = 1", ["assert f("])


@pytest.mark.parametrize("value", ["[1, (2, 'a')]", "{'k': {1, 2}}", "-1.5", "None", "b'x'", "float('inf') - 1e308"])
def test_plain_data_of_every_kind_comes_back(sandbox, value):
    expected = repr(eval(value))
    if "inf" not in expected:
        assert status(sandbox, f"def f(x): return {value}", [f"assert f(1) == {expected}"]) == "passed"


def test_setup_code_runs_before_the_program(sandbox):
    assert status(sandbox, "def f(x): return x + ONE", setup="ONE = 1") == "passed"


def test_literal_calls_are_told_from_other_assertions():
    assert parse_test("assert f([1], k=-2) == {3}") == ("call", "f([1], k=-2)", {3}, ([1],))
    assert parse_test("assert f(g(1)) == 2").form == parse_test("assert f(1)").form == "assert"


def test_a_call_inside_list_or_len_is_compared_outside_too(sandbox):
    tests = ["assert list(f(3)) == [0, 1, 2]", "assert len(sorted(f(2), reverse=True)) == 2"]
    assert sandbox.check("def f(n): yield from range(n)", tests).how == COMPARED
    assert parse_test(tests[1]).arguments == (2,)


def test_values_too_long_for_one_reply_come_in_several(sandbox):
    tests = [f"assert f({n}) == {'x' * n!r}" for n in (3_000_000, 3_000_001, 3_000_002, 3_000_003, 1)]
    assert sandbox.check("def f(n): return 'x' * n", tests, timeout=5).status == "passed"
    assert sandbox.check("def f(n): return 'x' * (n + (n == 1))", tests, timeout=5).test == 4


def test_a_value_too_long_to_send_does_not_pass(sandbox):
    assert status(sandbox, "def f(x): return 'x' * 20_000_000", timeout=5) == "killed"


def test_values_end_with_the_first_call_that_gives_none(sandbox):
    assert sandbox.values("def f(x): return 1 // x", ["f(1)", "f(0)", "f(1)"]) == [["int", "0x1"]]


@pytest.mark.parametrize("name", ["csv", "concurrent.futures", "xml.dom.minidom", "numpy", "encodings.idna"])
def test_libraries_can_be_imported(sandbox, name):
    assert status(sandbox, f"import {name}\ndef f(x): return 2", timeout=5) == "passed"


@pytest.mark.parametrize("name", ["this", "antigravity", "idlelib.idle", "test.__main__", "nosuchmodule", "os.path.x"])
def test_a_library_that_does_more_than_define_does_it_in_the_child(sandbox, name):
    status(sandbox, f"import {name}\ndef f(x): return 2")
    assert status(sandbox, "def f(x): return 2") == "passed"


def test_two_workers_judge_from_two_threads():
    with Sandbox(workers=2) as pair, ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda k: status(pair, f"def f(x): return {k}"), [1, 2] * 10))
    assert found == ["failed", "passed"] * 10


def test_a_closed_sandbox_starts_again_when_used():
    box = Sandbox()
    assert status(box, "def f(x): return 2") == "passed"
    box.close()
    assert status(box, "def f(x): return 2") == "passed"
    box.close()


def test_numbers_of_another_type_are_another_value(sandbox):
    assert status(sandbox, "def f(x): return 2.0") == "failed"
    assert status(sandbox, "def f(x): return 2.0", oracle="equal") == "passed"


def test_a_tolerance_forgives_small_differences(sandbox):
    program = "def f(x): return [0.1 + 0.2]"
    assert status(sandbox, program, ["assert f(1) == [0.3]"]) == "failed"
    assert status(sandbox, program, ["assert f(1) == [0.3]"], tolerance=1e-6) == "passed"


def test_an_unknown_oracle_is_refused(sandbox):
    with pytest.raises(ValueError, match="'nearly'.*exact, equal, root"):
        sandbox.check("x = 1", TEST, oracle="nearly")


def test_what_is_in_force_can_be_asked(sandbox):
    assert {"process", "limits"} <= set(sandbox.isolation)


def test_a_server_that_dies_is_reported_and_the_program_judged_again():
    with Sandbox() as box:
        with box._server() as server:
            server.started().process.kill()
            server.process.stdout.read()  # to its end: then what ran behind it is gone as well
            server.process.poll = lambda: None  # it dies after it was looked at
        with pytest.warns(RuntimeWarning, match="started again"):
            assert status(box, "def f(x): return 2") == "passed"


INTERRUPTED = """
import time
from nextkit.filtering import judge_all
from nextkit.sampling import Sample
from nextkit.sandbox import Sandbox
from nextkit.tasks import RepairTask
task = RepairTask("t", "", "x = 1", ("assert f(1) == 2",))
samples = [Sample("t", "", "", "", f"while True: {k}", 1, "stop") for k in range(4)]
print("ready", flush=True)
judge_all([task] * 20, [samples] * 20, sandbox=Sandbox(workers=2, timeout=2))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupting_or_killing_the_notebook_leaves_no_process_behind(number):
    command = [sys.executable, "-c", INTERRUPTED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as notebook:
        assert notebook.stdout.readline() == "ready\n"
        time.sleep(1)
        family = descendants(notebook.pid)
        assert len(family) >= 4  # two servers and their children
        notebook.send_signal(number)
        notebook.wait(20)
    time.sleep(0.5)
    assert not [pid for pid in family if alive(pid)]


def descendants(pid):
    children = Path(f"/proc/{pid}/task/{pid}/children")
    direct = [int(child) for thread in children.parents[1].glob("*/children") for child in thread.read_text().split()]
    return direct + [each for child in direct for each in descendants(child)]


def alive(pid):
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.mark.parametrize("drawn", ["list(set('abcdefgh'))", "__import__('random').random()"])
def test_what_the_order_of_a_set_or_chance_decides_is_the_same_on_every_server(drawn):
    values = []
    for _ in range(3):
        with Sandbox() as fresh:
            values.append(fresh.values(f"def f(): return {drawn}", ["f()"]))
    assert values[0] == values[1] == values[2] and values[0]


@pytest.mark.parametrize(
    "line",
    [
        "import math, secrets",
        "import os; import csv",
        "try: import numpy\nfinally: pass",
        "from xml.dom import minidom",
    ],
)
def test_a_library_is_found_wherever_an_import_stands(line):
    with Sandbox(timeout=5) as fresh:  # nothing has been imported there by another program
        assert status(fresh, f"{line}\ndef f(x): return x + 1") == "passed"


@pytest.mark.parametrize("module", ["pandas.tests.window.test_numba", "unittest.__main__", "asyncio.__main__"])
def test_no_import_ends_the_server(module, recwarn):
    with Sandbox(timeout=5) as fresh:
        fresh.check(f"import {module}", TEST)
        assert status(fresh, "def f(x): return x + 1") == "passed"
    assert not [warning for warning in recwarn if "sandbox server" in str(warning.message)]


def test_a_program_without_tests_must_end(sandbox):
    assert status(sandbox, "x = 1", []) == "passed"
    assert status(sandbox, "while True: pass", [], timeout=0.2) == "timeout"


@pytest.mark.filterwarnings("ignore:the sandbox server")
def test_a_sandbox_that_does_not_work_is_no_verdict_on_a_program(monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/true")
    with pytest.raises(SandboxError, match="nothing was judged"):
        Sandbox().check("def f(x): return x + 1", TEST)


def test_a_program_that_could_not_be_confined_is_no_verdict_on_it(monkeypatch):
    reply = dict(isolation=[], ended="unconfined", problem="ValueError: no")
    monkeypatch.setattr("nextkit.sandbox._Server._receive", lambda *_: reply)
    with pytest.raises(SandboxError, match="not run: ValueError: no"):
        Sandbox().check("def f(x): return x + 1", TEST)


@pytest.mark.parametrize("limit", ["-f 500", "-t 2", "-n 20"])
def test_programs_are_judged_under_lower_limits_of_the_users_own(limit):
    check = f"from nextkit.sandbox import Sandbox; print(Sandbox().check('def f(x): return x + 1', {TEST}).status)"
    command = ["bash", "-c", f'ulimit {limit}; exec "$0" -c "$1"', sys.executable, check]
    assert subprocess.run(command, capture_output=True, text=True).stdout == "passed\n"


def test_a_process_that_holds_many_files_open_can_judge():
    check = (
        "import os, resource; resource.setrlimit(resource.RLIMIT_NOFILE, (1500, 1500)); "
        "files = [os.open(os.devnull, os.O_RDONLY) for _ in range(1200)]; from nextkit.sandbox import Sandbox; "
        f"print(Sandbox().check('def f(x): return x + 1', {TEST}).status)"
    )
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout == "passed\n"


@pytest.mark.parametrize("wrong", [dict(workers=0), dict(timeout=0), dict(timeout=-1), dict(memory_mb=0)])
def test_a_sandbox_of_nothing_is_refused(wrong):
    with pytest.raises(ValueError, match="more than 0"):
        Sandbox(**wrong)
