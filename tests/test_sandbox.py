"""The sandbox: verdicts, and attacks of which none passes and none harms."""

import os
import time

import pytest

from nextkit.sandbox import ASSERTED, COMPARED, Sandbox, parse_test

TEST = ["assert f(1) == 2"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="privileges are only dropped where the kit runs as root")


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
    verdict = sandbox.check("def f(x): return [x]", ["assert len(f(1)) == 1"])
    assert (verdict.status, verdict.how) == ("passed", ASSERTED)


def test_a_false_assertion_inside_fails(sandbox):
    assert status(sandbox, "def f(x): return []", ["assert len(f(1)) == 1"]) == "failed"


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


def test_a_tuple_is_not_a_list(sandbox):
    assert status(sandbox, "def f(x): return (1, 2)", ["assert f(1) == [1, 2]"]) == "failed"


def test_setup_code_runs_before_the_program(sandbox):
    assert status(sandbox, "def f(x): return x + ONE", setup="ONE = 1") == "passed"


def test_literal_calls_are_told_from_other_assertions():
    assert parse_test("assert f([1], k=-2) == {3}") == ("call", "f([1], k=-2)", {3})
    assert parse_test("assert f(g(1)) == 2")[0] == parse_test("assert f(1)")[0] == "assert"


def test_a_value_that_equals_everything_does_not_pass(sandbox):
    liar = "class A(int):\n    def __eq__(self, o): return True\ndef f(x): return A()"
    assert status(sandbox, liar) == "failed"


@pytest.mark.parametrize(
    "ending",
    ["import os; os._exit(0)", "raise SystemExit(0)", "import os; os.abort()", "import os; os.kill(os.getpid(), 9)"],
)
def test_a_program_that_ends_the_process_does_not_pass(sandbox, ending):
    assert status(sandbox, ending) in ("killed", "error")


def test_an_endless_loop_costs_its_timeout_and_nothing_else(sandbox):
    verdict = sandbox.check("while True: pass", TEST, timeout=0.3)
    assert verdict.status == "timeout" and verdict.seconds < 1


def test_a_program_that_catches_everything_is_stopped_all_the_same(sandbox):
    assert (
        status(sandbox, "while True:\n    try:\n        while True: pass\n    except BaseException: pass", timeout=0.3)
        == "timeout"
    )


def test_a_memory_bomb_does_not_pass(sandbox):
    assert status(sandbox, "x = bytearray(10 ** 10)\ndef f(x): return 2") in ("error", "killed")


def test_patched_builtins_do_not_pass(sandbox):
    patch = "import builtins, json\nbuiltins.repr = lambda v: '2'\njson.dumps = lambda v, **k: '2'\ndef f(x): return 1"
    assert status(sandbox, patch) != "passed"


def test_printed_success_does_not_pass(sandbox):
    assert status(sandbox, "print('passed')\ndef f(x): print('{\"test\": 0}'); return 1") == "failed"


def test_atexit_and_threads_that_never_end_do_not_hold_the_judge(sandbox):
    program = "import threading, atexit, time\natexit.register(time.sleep, 60)\nthreading.Thread(target=time.sleep, args=(60,)).start()\ndef f(x): return x + 1"
    verdict = sandbox.check(program, TEST)
    assert verdict.status == "passed" and verdict.seconds < 1


def test_a_segmentation_fault_is_a_kill(sandbox):
    assert status(sandbox, "import ctypes\ndef f(x): ctypes.string_at(0)") in ("killed", "error")


def test_reading_stdin_gets_nothing(sandbox):
    assert status(sandbox, "def f(x): return input() or 2") == "error"


def test_the_environment_is_not_inherited(sandbox, monkeypatch):
    monkeypatch.setenv("SECRET", "2")
    assert status(sandbox, "import os\ndef f(x): return int(os.environ.get('SECRET', 0))") == "failed"


def test_a_daemon_does_not_outlive_its_check(sandbox, tmp_path):
    mark = tmp_path / "alive"
    tmp_path.chmod(0o777)
    program = f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1)\n    open({str(mark)!r}, 'w')\ndef f(x): return x + 1"
    status(sandbox, program)
    time.sleep(1.5)
    assert not mark.exists()


def test_killing_the_server_does_not_stop_the_judge(sandbox):
    status(sandbox, "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\ndef f(x): return 2")
    assert status(sandbox, "def f(x): return x + 1") == "passed"


@needs_root
def test_the_users_files_cannot_be_deleted(sandbox, tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("keep")
    status(sandbox, f"import os\nos.remove({str(mine)!r})\ndef f(x): return 2")
    assert mine.read_text() == "keep"


@needs_root
def test_the_network_is_not_reached_where_the_kernel_allows_it(sandbox):
    if "no network" not in sandbox.isolation:
        pytest.skip("this kernel grants no network namespace")
    program = (
        "import socket\ndef f(x):\n    s = socket.socket(); s.settimeout(0.2); s.connect(('127.0.0.1', 1)); return 2"
    )
    assert "unreachable" in sandbox.check(program, TEST).message


def test_two_workers_judge_from_two_threads():
    from concurrent.futures import ThreadPoolExecutor

    with Sandbox(workers=2) as pair, ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda k: status(pair, f"def f(x): return {k}"), [1, 2] * 10))
    assert found == ["failed", "passed"] * 10


def test_a_closed_sandbox_starts_again_when_used():
    box = Sandbox()
    assert status(box, "def f(x): return 2") == "passed"
    box.close()
    assert status(box, "def f(x): return 2") == "passed"
    box.close()
