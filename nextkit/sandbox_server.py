"""The fork server: a small process beside the notebook that runs each untrusted program in a child of its own.

Started by `nextkit.sandbox`, which explains what is contained. It imports the standard library only,
so that a fork costs about two milliseconds. Requests and replies are frames on stdin and stdout: four bytes of
length, then JSON. A child writes its findings to a pipe, one JSON object a line, and never sees an expected value.
"""

import ast
import contextlib
import gc
import importlib
import json
import os
import random
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback
import warnings

from nextkit.comparing import encode
from nextkit.isolation import become_nobody, isolate, owner
from nextkit.tracer import describe_exception, run_traced

# Loaded before any fork: candidates import these at no cost, and even where an unprivileged user may not read the
# interpreter's own files.
PRELOADED = """
abc array base64 bisect calendar cmath collections copy dataclasses datetime decimal encodings.idna enum fractions
functools hashlib heapq itertools json math numbers operator pathlib queue random re socket statistics string struct
textwrap threading time types typing unicodedata
""".split()  # noqa: SIM905
# Loaded when a program first names them, for the same reasons: the rest of the standard library, but for what does
# more than define when it is imported, and these two.
ON_DEMAND = (sys.stdlib_module_names | {"numpy", "pandas"}) - set(
    "__main__ antigravity ensurepip idlelib lib2to3 pip test this tkinter turtle turtledemo venv".split()  # noqa: SIM905
)
CONFINED = b'{"confined": true}\n'  # written before the program runs: without it, nothing ran
DONE = b'{"done": true}\n'
MAX_REPLY = 8_000_000  # bytes of findings; a child that writes more is ended


def serve():
    """Answer requests until stdin closes. The first frame sent tells what isolation is in force."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a child could send it
    for name in PRELOADED:
        importlib.import_module(name)
    isolation, scratch = isolate()
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    os.chown(scratch, owner(), -1)
    os.environ.clear()  # here and not in the child, where it would take a tenth of the whole time
    os.environ |= {"HOME": scratch, "TMPDIR": scratch, "PATH": "/usr/bin:/bin"}
    gc.freeze()  # what is there stays shared between server and children
    try:
        write_frame(replies, dict(isolation=isolation))
        while (request := read_frame(requests)) is not None:
            problem = _compile(request) if request["op"] == "check" else ""
            if problem:
                reply = dict(findings=[], ended="unparseable", problem=problem, seconds=0.0)
            else:
                _load_libraries(request.get("arguments", request))
                reply = _in_child(request, scratch)
            write_frame(replies, reply)
    finally:
        with contextlib.suppress(OSError):  # it is empty, and vanishes anyway where it is a mount of our own
            os.rmdir(scratch)


def read_frame(stream):
    """The next frame as an object, or None at the end of the stream."""
    header = stream.read(4)
    return json.loads(stream.read(struct.unpack(">I", header)[0])) if len(header) == 4 else None


def write_frame(stream, content):
    """Send one object as a frame."""
    body = json.dumps(content).encode()
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


def _compile(request):
    """Compile the program of a request, here, so that what is no Python costs no child; returns what is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape in a string is the program's own affair
            request["code"] = compile(request["program"], "<program>", "exec", dont_inherit=True)
        return "" if request["program"].strip() else "the program is empty"
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"


def _load_libraries(given):
    """Import what a program names, here in the server, so that its child has it; only what is trusted."""
    for source in (given["setup"], given["program"]):
        for module, names in _imports(source):
            if _load(module) and hasattr(sys.modules[module], "__path__"):
                for name in names:  # `from xml import dom`: a name may be a module
                    if not hasattr(sys.modules[module], name):
                        _load(f"{module}.{name}")


def _imports(source):
    """(module, names taken from it) for each import that stands anywhere in a program."""
    nodes = ()
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        nodes = ast.walk(ast.parse(source)) if "import" in source else ()
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module, [alias.name for alias in node.names]


def _load(name):
    """Whether a module is loaded now. Parts that run something when they are imported, such as tests, are not trusted."""
    first, *rest = name.split(".")
    if name not in sys.modules and first in ON_DEMAND and not any("test" in part or part[:2] == "__" for part in rest):
        os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads do not survive a fork
        with contextlib.suppress(BaseException):  # whatever a module raises, the server goes on
            importlib.import_module(name)
    return name in sys.modules


def _in_child(request, scratch):
    """Fork, run the request in the folder `scratch`, and return the child's findings with how the child ended."""
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(request, writing, scratch)
    os.close(writing)
    data, ended = _collect(reading, started + request["timeout"])
    os.close(reading)
    _end(child)
    seconds = time.monotonic() - started
    _empty(scratch)
    if ended == "closed" and not data.startswith(CONFINED):
        return dict(findings=[], ended="unconfined", problem=data.decode(errors="replace"), seconds=seconds)
    return dict(findings=_lines(data.removeprefix(CONFINED)), ended=ended, seconds=seconds)


def _collect(reading, deadline):
    """All that the child writes until it closes the pipe ("closed"), time is up ("timeout") or it wrote too much.

    Nothing is asked meanwhile: stdin can only close, when whoever asked is gone; then nobody waits ("left").
    """
    data = b""
    while (left := deadline - time.monotonic()) > 0:
        ready = select.select([reading, sys.stdin], [], [], left)[0]
        if sys.stdin in ready:
            return data, "left"
        if ready:
            part = os.read(reading, 65536)
            data += part
            if not part or data.endswith(DONE):
                return data, "closed"
            if len(data) > MAX_REPLY:
                return data, "flooded"
    return data, "timeout"


def _end(child):
    """Kill the child, its group and whatever escaped from it."""
    done, _ = os.waitpid(child, os.WNOHANG)
    everyone = [-1] if os.getpid() == 1 else [-child, child]
    for target in everyone:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(target, signal.SIGKILL)
    if not done:
        os.waitpid(child, 0)
    _reap()


def _reap():
    """Wait for orphans to end; as the first process of a namespace they are killed already, else they are sought."""
    with contextlib.suppress(ChildProcessError):
        while True:
            if os.getpid() == 1:
                os.waitpid(-1, 0)
                continue
            for orphan in _children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)
            if not os.waitpid(-1, os.WNOHANG)[0]:
                time.sleep(0.001)


def _children():
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _empty(folder):
    """Remove what a program has put into the folder: however deep it is, and whatever its permissions."""
    os.chmod(folder, 0o700)
    for path in (os.path.join(folder, name) for name in os.listdir(folder)):
        with contextlib.suppress(OSError):
            os.unlink(path)  # before it is looked into: to open a pipe would wait for ever
        with contextlib.suppress(RecursionError):
            shutil.rmtree(path, ignore_errors=True)
        if os.path.lexists(path):
            for command in (["chmod", "-R", "u+rwx", path], ["rm", "-rf", path]):
                subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _lines(data):
    findings = []
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError, RecursionError):
            findings.append(json.loads(line))
    return [finding for finding in findings if isinstance(finding, dict)]


def _child(request, writing, scratch):
    """Everything from here on runs in the child and never returns."""
    try:
        try:
            _confine(request, writing, scratch)
        except BaseException as error:
            os.write(writing, describe_exception(error).encode())
            raise
        os.write(writing, CONFINED)
        with os.fdopen(writing, "w", encoding="utf-8", errors="replace") as pipe:
            (_trace if request["op"] == "trace" else _check)(request, pipe)
            pipe.write(DONE.decode())
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        os.kill(os.getpid(), signal.SIGKILL)  # past atexit handlers and threads that never end


def _confine(request, writing, scratch):
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, writing)
    os.closerange(writing + 1, 65536)
    os.chdir(scratch)
    limits = dict(CPU=int(request["timeout"]) + 2, FSIZE=1_000_000, NOFILE=32, CORE=0)
    if sys.platform != "darwin":  # macOS refuses any limit on address space
        limits["AS"] = request["memory"]
    if os.getppid() == 1 or os.geteuid() == 0:  # elsewhere all processes of the user would count
        limits["NPROC"] = 64
    random.seed(0)  # a fork seeds it anew; a verdict must not depend on chance, as little as on the order of a set
    become_nobody()
    for name, value in limits.items():
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def _trace(request, pipe):
    """Write the trace; where the request asks for it, also every step as it ends, for a program that may hang."""

    def tell(steps):
        pipe.write(json.dumps(dict(steps=steps)) + "\n")
        pipe.flush()

    result = run_traced(**request["arguments"], alarm=True, tell=tell if request["stepwise"] else None)
    pipe.write(json.dumps(result) + "\n")


def _check(request, pipe):
    """Run the program once, then each test in order; a line is written as each ends, so that a hang is located."""
    token, tests, setup, code = (request.pop(name) for name in ("token", "tests", "setup", "code"))
    namespace = {"__name__": "__main__"}

    def tell(**finding):
        pipe.write(json.dumps(finding) + "\n")
        pipe.flush()

    try:
        exec(compile(setup, "<setup>", "exec"), namespace)
        exec(code, namespace)
    except BaseException as error:
        return tell(test=-1, error=describe_exception(error))
    for number, (form, source) in enumerate(tests):
        try:
            if form == "call":
                tell(test=number, value=encode(eval(compile(source, "<test>", "eval"), namespace)))
            else:
                exec(compile(source, "<test>", "exec"), namespace)
                tell(test=number, token=token)
        except AssertionError as error:
            return tell(test=number, failed=describe_exception(error))
        except BaseException as error:
            return tell(test=number, error=describe_exception(error))
    return None
