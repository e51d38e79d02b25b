"""Attacks on the judge: none passes, none harms. One test an attack."""

import os
import socket
import time
from pathlib import Path

import pytest

from nextkit import sandbox as module
from nextkit.sandbox import Sandbox
from nextkit.tasks import RepairTask
from nextkit.tracing import trace

TEST = ["assert f(1) == 2"]
LIMITED = 'the kernel does not grant "{}"'


@pytest.fixture
def in_force(sandbox):
    """in_force(name) skips the test where this kernel does not grant that kind of isolation."""

    def check(name):
        if name not in sandbox.isolation:
            pytest.skip(LIMITED.format(name))

    return check


def verdict(sandbox, program, tests=TEST, **options):
    return sandbox.check(program, tests, **options)


def descendants(pid):
    children = [
        int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
    ]
    return children + [each for child in children for each in descendants(child)]


def still_judges(sandbox):
    return sandbox.check("def f(x): return x + 1", TEST).status == "passed"


# Faking the verdict.

LIES = {
    "an int that equals everything": "class A(int):\n    def __eq__(self, o): return True\ndef f(x): return A()",
    "an object that equals everything": "class A:\n    def __eq__(self, o): return True\ndef f(x): return A()",
    "a list with its own equality": "class A(list):\n    def __eq__(self, o): return True\ndef f(x): return A()",
    "a patched repr and json": "import builtins, json\nbuiltins.repr = hex = lambda v: '2'\njson.dumps = lambda v, **k: '2'\ndef f(x): return 1",
    "a patched isinstance and type": "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.type = lambda v: int\ndef f(x): return '2'",
    "a patched math": "import math\nmath.isclose = lambda *a, **k: True\ndef f(x): return 7",
    "a patched numpy": "import numpy\nnumpy.allclose = numpy.array_equal = lambda *a, **k: True\ndef f(x): return 7",
    "a patched encoder": "import sys\nfor m in list(sys.modules.values()):\n    if hasattr(m, 'encode'): m.encode = lambda v: ['bool', True]\ndef f(x): return 7",
    "printed success": "print('passed')\ndef f(x): print('{\"test\": 0}'); return 1",
    "the frames above": "import sys\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n        frame.f_locals.update(passed=True, status='passed')\n        frame = frame.f_back\n    return 7",
    "written to every descriptor": 'import os\nfor n in range(64):\n    try: os.write(n, b\'{"test": 0, "value": ["bool", true], "token": "", "done": true}\\n\')\n    except OSError: pass\ndef f(x): return 7',
    "an opaque value": "def f(x): return object()",
    "a generator": "def f(x): yield 2",
    "true for one": "def f(x): return 2.0",
}


@pytest.mark.parametrize("name", LIES)
def test_no_lie_passes(sandbox, name):
    assert verdict(sandbox, LIES[name]).status != "passed"


@pytest.mark.parametrize(
    "ending",
    ["import os; os._exit(0)", "raise SystemExit(0)", "import os; os.abort()", "import os; os.kill(os.getpid(), 9)",
     "exit()", "import os; os.execv('/bin/true', ['true'])", "import atexit, os; atexit.register(os._exit, 0); quit()",
     "import signal, os\nsignal.signal(15, lambda *a: os._exit(0))\nos.kill(os.getpid(), 15)"],
)  # fmt: skip
def test_a_program_that_ends_the_process_does_not_pass(sandbox, ending):
    assert verdict(sandbox, ending).status in ("killed", "error")


@pytest.mark.parametrize("findings", ["[" * 100_000, '{"test": [1]}', '{"test": 0, "value": ' + "[" * 900 + "]" * 900 + "}",
    '{"test": 0, "value": 5}', '{"test": 0, "value": {"a": 1}}', '{"test": 0, "value": ["int", "0x%s"]}' % ("f" * 50_000),
    '{"test": -1}', '{"test": 0, "error": [[1]]}', '{"test": true, "value": ["int", "0x2"]}', '\\udc80', "null"])  # fmt: skip
def test_nonsense_on_the_pipe_neither_passes_nor_breaks_the_judge(sandbox, findings):
    write = "import os\nfor n in range(3, 64):\n    try: os.write(n, text)\n    except OSError: pass\nos._exit(0)"
    found = verdict(sandbox, f"text = {findings!r}.encode(errors='replace') + b'\\n'\n{write}")
    assert found.status in ("killed", "error", "failed") and still_judges(sandbox)


@pytest.mark.parametrize("finding", ['{"outcome": "passed"}', '{"outcome": "passed", "steps": 5}', '{"steps": [[1]]}',
    '{"steps": [[0, 1, "f", 1, [["a"]], "line", "", "", ""]]}', '[]', '{"outcome": []}'])  # fmt: skip
def test_nonsense_on_the_pipe_does_not_break_a_trace(sandbox, finding):
    write = "import os\nfor n in range(3, 64):\n    try: os.write(n, text)\n    except OSError: pass\nos._exit(0)"
    program = f"def f(x):\n    text = {(finding + chr(10)).encode()!r}\n    " + write.replace("\n", "\n    ")
    found = trace(RepairTask("t", "", program, tuple(TEST)), sandbox=sandbox)
    assert found.outcome == "error" and all(step.function == "f" for step in found.steps)


# Outlasting the clock, and filling the machine.


@pytest.mark.parametrize(
    "program",
    ["while True: pass",
     "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
     "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass",
     "import re\nre.match('(a+)+b', 'a' * 60)",
     "x = 10 ** 10 ** 9",
     "import time; time.sleep(1000)",
     "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()",
     "import os\nos.kill(os.getpid(), 19)"],
)  # fmt: skip
def test_what_never_ends_costs_its_timeout_and_nothing_else(sandbox, program):
    start = time.monotonic()
    assert verdict(sandbox, program, timeout=0.3).status == "timeout"
    assert time.monotonic() - start < 3


def test_atexit_and_threads_that_never_end_do_not_hold_the_judge(sandbox):
    program = "import threading, atexit, time\natexit.register(time.sleep, 60)\nthreading.Thread(target=time.sleep, args=(60,)).start()\ndef f(x): return x + 1"
    found = verdict(sandbox, program)
    assert found.status == "passed" and found.seconds < 1


@pytest.mark.parametrize(
    "bomb",
    ["x = bytearray(10 ** 10)", "x = []\nwhile True: x.append(bytearray(10 ** 6))", "x = 'a' * 10 ** 10",
     "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
     "import threading\nwhile True: threading.Thread(target=threading.Event().wait).start()",
     "f = open('big', 'wb')\nwhile True: f.write(bytes(10 ** 6)); f.flush()",
     "k = 0\nwhile True:\n    open(str(k), 'w').write('x' * 900_000); k += 1",
     "import os\nwhile True: os.dup(0)"],
)  # fmt: skip
def test_a_bomb_does_not_pass_and_the_judge_goes_on(sandbox, in_force, bomb):
    in_force("own processes")
    assert verdict(sandbox, bomb + "\ndef f(x): return 2", timeout=1).status in ("error", "killed", "timeout")
    assert still_judges(sandbox)


def test_a_flood_of_output_ends_the_program(sandbox):
    program = "import os\nwhile True:\n    for n in range(3, 64):\n        try: os.write(n, b'x' * 65536)\n        except OSError: pass"
    assert verdict(sandbox, program, timeout=2).status in ("killed", "timeout") and still_judges(sandbox)


def test_a_segmentation_fault_is_a_kill(sandbox):
    assert verdict(sandbox, "import ctypes\ndef f(x): ctypes.string_at(0)").status in ("killed", "error")


def test_folders_too_deep_to_remove_are_removed(sandbox):
    program = "import os\nfor _ in range(1500):\n    os.mkdir('d'); os.chdir('d')\nos.chmod('.', 0)\ndef f(x): return 2"
    assert verdict(sandbox, program, timeout=5).status == "passed"
    assert verdict(sandbox, "import os\ndef f(x): return len(os.listdir()) + 2").status == "passed"


# Harming what is outside.


def test_a_daemon_does_not_outlive_its_check(sandbox):
    name = f"daemon-{os.getpid()}"
    program = f"import os, time, ctypes\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        ctypes.CDLL(None).prctl(15, b'{name[:15]}')\n        time.sleep(30)\ndef f(x): return x + 1"
    verdict(sandbox, program)
    time.sleep(0.2)
    names = [path.read_text().strip() for path in Path("/proc").glob("[0-9]*/comm") if path.exists()]
    assert name[:15] not in names


def test_killing_everything_in_sight_does_not_stop_the_judge(sandbox, in_force):
    in_force("own processes")  # elsewhere it would kill what runs beside
    program = "import os\nfor target in (os.getppid(), 1, -1):\n    for number in (2, 15, 19, 9):\n        try: os.kill(target, number)\n        except OSError: pass\ndef f(x): return 2"
    verdict(sandbox, program)
    assert still_judges(sandbox)


def test_no_signal_reaches_the_notebook(sandbox, in_force):
    in_force("own processes")
    found = verdict(sandbox, f"import os\ndef f(x): os.kill({os.getpid()}, 0); return 2")
    assert found.message.startswith("ProcessLookupError") or found.message.startswith("PermissionError")


def test_other_processes_are_not_seen(sandbox, in_force):
    in_force("own processes")
    program = (
        "import os\ndef f(x): return sorted(int(n) for n in os.listdir('/proc') if n.isdigit() and int(n) < 100_000)"
    )
    assert len(eval(verdict(sandbox, program).got)) == 2  # the server and the program itself


def test_the_server_cannot_be_looked_into(sandbox, in_force):
    in_force("own processes")
    for name in ("mem", "environ", "fd"):
        read = f"(os.listdir if {name == 'fd'} else open)('/proc/1/{name}')"
        assert verdict(sandbox, f"import os\ndef f(x): {read}; return 2").message.startswith("PermissionError")


@pytest.mark.parametrize("attack", ["os.remove(path)", "os.rename(path, path + '2')", "open(path, 'w').close()",
    "os.truncate(path, 0)", "os.chmod(path, 0)", "os.link(path, 'mine'); open('mine', 'w').close()",
    "os.symlink(path, 'mine'); open('mine', 'w').close()", "open(path + 'new', 'w').close()"])  # fmt: skip
def test_the_users_files_are_out_of_reach(sandbox, in_force, tmp_path, attack):
    in_force("only scratch writable")
    mine = tmp_path / "mine"
    mine.write_text("keep")
    for path in (tmp_path, mine):
        path.chmod(0o777)  # even what everyone may write
    verdict(sandbox, f"import os\npath = {str(mine)!r}\n{attack}\ndef f(x): return 2")
    assert mine.read_text() == "keep" and os.listdir(tmp_path) == ["mine"] and mine.stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/dev/shm", "/", str(Path.home())])
def test_nothing_is_left_in_shared_folders(sandbox, in_force, folder):
    in_force("only scratch writable")
    name = f"{folder}/nextkit-attack-{os.getpid()}"
    verdict(sandbox, f"open({name!r}, 'w')\ndef f(x): return 2")
    assert not os.path.exists(name)


@pytest.mark.parametrize("folder", [".", "/tmp", "/var/tmp", "/dev/shm", "/run"])
def test_nothing_is_left_for_the_next_program(sandbox, in_force, folder):
    if folder != ".":
        in_force("only scratch writable")
    program = f"""import os, contextlib
with contextlib.suppress(OSError): open('{folder}/note', 'w').write('2')
with contextlib.suppress(OSError): os.mkdir('{folder}/sub'); os.symlink('/', '{folder}/sub/link'); os.mkfifo('{folder}/fifo')
os.chmod('.', 0)
def f(x): return 2"""
    assert verdict(sandbox, program).status == "passed"
    left = f"import os\ndef f(x): return [os.path.lexists('{folder}/' + name) for name in ('note', 'sub', 'fifo')]"
    assert verdict(sandbox, left, ["assert f(1) == [False, False, False]"]).status == "passed"


def test_the_network_is_not_reached(sandbox, in_force):
    in_force("no network")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        program = f"import socket\ndef f(x): socket.create_connection({address}, 0.3); return 2"
        assert verdict(sandbox, program).status == "error"


def test_abstract_sockets_of_the_machine_are_not_reached(sandbox, in_force):
    in_force("no network")
    name = f"\0nextkit-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        program = f"import socket\ndef f(x): socket.socket(socket.AF_UNIX).connect({name!r}); return 2"
        assert verdict(sandbox, program).status == "error"


def test_no_privileges_are_gained(sandbox, in_force):
    in_force("unprivileged user")
    program = "import os\ndef f(x): os.setuid(0); return 2"
    status = "import re\ndef f(x): return re.search('CapEff:.(.*)', open('/proc/self/status').read())[1].strip('0')"
    assert os.geteuid() != 0 or verdict(sandbox, program).message.startswith("PermissionError")
    assert verdict(sandbox, status, ["assert f(1) == ''"]).status == "passed"


def test_a_namespace_of_its_own_does_not_make_files_writable(sandbox, in_force):
    in_force("only scratch writable")
    program = "import ctypes\ndef f(x):\n    libc = ctypes.CDLL(None)\n    libc.unshare(0x10020000)\n    return libc.mount(b'none', b'/', None, 0x1020, None)"
    assert verdict(sandbox, program, ["assert f(1) == -1"]).status == "passed"


def test_the_environment_is_not_inherited(sandbox, monkeypatch):
    monkeypatch.setenv("SECRET", "2")
    program = (
        "import os\ndef f(x): return 'SECRET' in os.environ or b'SECRET' in open('/proc/self/environ', 'rb').read()"
    )
    with Sandbox() as fresh:
        assert verdict(fresh, program, ["assert f(1) == False"]).status in ("passed", "error")


def test_reading_stdin_gets_nothing(sandbox):
    assert verdict(sandbox, "def f(x): return input() or 2").status == "error"


def test_no_descriptor_but_the_pipe_is_open(sandbox):
    program = "import os\ndef f(x): return len([n for n in range(1000) if os.path.exists(f'/proc/self/fd/{n}')])"
    assert verdict(sandbox, program, ["assert f(1) == 4"]).status in ("passed", "failed")


# Where the kernel refuses.

REFUSALS = {
    "namespaces": "isolation.NAMESPACES = ()",
    "mounts": "isolation.NAMESPACES = isolation.NAMESPACES[1:]",
    "Landlock": "isolation._landlock = lambda *_: False",
    "everything": "import sys; sys.platform = 'darwin'",
}


@pytest.fixture(params=REFUSALS)
def refused(request, monkeypatch):
    """A Sandbox on a kernel that grants less."""
    patch = f"from nextkit import isolation; {REFUSALS[request.param]}; "
    monkeypatch.setattr(module, "_START", module._START.replace("from nextkit", f"{patch}from nextkit", 1))
    with Sandbox() as box:
        box.isolation  # noqa: B018 - starts the server
        monkeypatch.undo()
        yield box


def test_where_the_kernel_refuses_the_judge_still_judges(refused):
    assert still_judges(refused) and verdict(refused, "def f(x): return x").status == "failed"
    assert verdict(refused, "while True: pass", timeout=0.3).status == "timeout" and still_judges(refused)


def test_where_the_kernel_refuses_it_says_so(refused, sandbox):
    assert set(refused.isolation) != set(sandbox.isolation)


def test_where_the_kernel_refuses_nothing_is_left_behind(refused):
    verdict(refused, "import os\nif os.fork() == 0:\n    os.setsid()\n    while True: pass\ndef f(x): return 2")
    with refused._server() as server:
        left = [pid for pid in descendants(server.started().process.pid) if Path(f"/proc/{pid}/cmdline").exists()]
    assert len(left) == (1 if "own processes" in refused.isolation else 0)  # the server itself


@pytest.mark.parametrize(
    "columns",
    [
        dict(frames=[[0, "f", 1, 0, 0]], numbers=[*range(5000)], lines=[1] * 5000, whose=[0] * 5000),
        dict(frames=[[0, "f" * 5000, 1, 0, 0]], numbers=[0], lines=[1], whose=[0]),
        dict(frames=[[0, 7, 1, 0, 0]], numbers=[0], lines=[1], whose=[0]),
        dict(frames=7),
        dict(frames=[[0, "f", 1, 0, 0]], numbers=[[]], lines=[1], whose=[0]),
    ],
)
def test_columns_that_no_tracer_wrote_are_no_steps(columns):
    rest = {name: [] for name in ("changed", "paths", "literals", "ends", "prints")}
    assert module._steps_of(dict(steps=rest | columns), most=1000) is None
