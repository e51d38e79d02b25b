"""The fork server: a small process beside the notebook that runs each untrusted program in a child of its own.

Started as `python -I` by `nextkit.sandbox`, which explains what is contained. It imports the standard library only,
so that a fork costs about two milliseconds. Requests and replies are frames on stdin and stdout: four bytes of
length, then JSON. A child writes its findings to a pipe, one JSON object a line, and never sees an expected value.
"""

import collections
import contextlib
import ctypes
import importlib
import json
import os
import resource
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback

from nextkit.tracer import describe_exception, run_traced

NOBODY = 65534
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
CLONE_NEWNET = 0x40000000
# Loaded before any fork: candidates import these at no cost, and even where an unprivileged user may not read the
# interpreter's own files.
PRELOADED = """
abc array base64 bisect calendar cmath collections copy dataclasses datetime decimal enum fractions functools hashlib
heapq itertools json math numbers operator pathlib queue random re socket statistics string struct textwrap threading
time types typing unicodedata
""".split()  # noqa: SIM905
# Loaded when a program first names them, for the same reasons; they are slow to load and many programs need neither.
ON_DEMAND = ("numpy", "pandas")
DICTS = (dict, collections.Counter, collections.defaultdict, collections.OrderedDict)
DONE = b'{"done": true}\n'
MAX_REPLY = 8_000_000  # bytes of findings; a child that writes more is ended


def serve():
    """Answer requests until stdin closes. The first frame sent tells what isolation is in force."""
    requests, replies = sys.stdin.buffer, sys.stdout.buffer
    for name in PRELOADED:
        importlib.import_module(name)
    isolation, scratch = _isolate(), tempfile.mkdtemp(prefix="nextkit-")
    try:
        write_frame(replies, dict(isolation=isolation))
        while (request := read_frame(requests)) is not None:
            _load_libraries(request.get("arguments", request))
            write_frame(replies, _in_child(request, scratch))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_frame(stream):
    """The next frame as an object, or None at the end of the stream."""
    header = stream.read(4)
    return json.loads(stream.read(struct.unpack(">I", header)[0])) if len(header) == 4 else None


def write_frame(stream, content):
    """Send one object as a frame."""
    body = json.dumps(content).encode()
    stream.write(struct.pack(">I", len(body)) + body)
    stream.flush()


def encode(value, depth=0):
    """A value as nested lists [tag, content] that keep its exact type; anything but plain data is ["opaque", type].

    Sets and dicts are sorted, so that equal values have equal codes. Subclasses count as opaque: their idea of
    equality is their own.
    """
    kind = type(value)
    if depth > 200:
        return ["opaque", "nested too deep"]
    if value is None or kind in (bool, str):
        return [kind.__name__, value]
    if kind is int:
        return ["int", hex(value)]
    if kind in (float, complex):
        return [kind.__name__, repr(value)]
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind in (list, tuple):
        return [kind.__name__, [encode(item, depth + 1) for item in value]]
    if kind in (set, frozenset):
        return [kind.__name__, sorted((encode(item, depth + 1) for item in value), key=json.dumps)]
    if kind in DICTS:
        items = [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]
        return ["dict", sorted(items, key=json.dumps)]
    return ["opaque", kind.__name__]


def _isolate():
    """Apply once what all children inherit; returns the names of what the kernel granted."""
    granted = ["process", "limits"]
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if libc.prctl(PR_SET_CHILD_SUBREAPER, 1) == 0:
            granted.append("no escapees")
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
            granted.append("no new privileges")
    if os.geteuid() == 0 and hasattr(libc, "unshare") and libc.unshare(CLONE_NEWNET) == 0:
        granted.append("no network")
    if os.geteuid() == 0:
        granted.append("unprivileged user")
    return granted


def _load_libraries(given):
    """Import what a program names, here in the server, so that its child has it; only packages that are trusted."""
    for name in ON_DEMAND:
        if (name in given["program"] or name in given["setup"]) and name not in sys.modules:
            os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads do not survive a fork
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def _in_child(request, scratch):
    """Fork, run the request, and return the child's findings with how the child ended."""
    reading, writing = os.pipe()
    private = tempfile.mkdtemp(dir=scratch)
    os.chmod(scratch, 0o711)
    if os.geteuid() == 0:
        os.chown(private, NOBODY, NOBODY)
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(request, writing, private)
    os.close(writing)
    data, ended = _collect(reading, started + request["timeout"])
    os.close(reading)
    status = _end(child)
    seconds = time.monotonic() - started
    shutil.rmtree(private, ignore_errors=True)
    return dict(findings=_lines(data), ended=ended, signal=status, seconds=seconds)


def _collect(reading, deadline):
    """All that the child writes until it closes the pipe ("closed"), time is up ("timeout") or it wrote too much."""
    data = b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            part = os.read(reading, 65536)
            data += part
            if not part or data.endswith(DONE):
                return data, "closed"
            if len(data) > MAX_REPLY:
                return data, "flooded"
    return data, "timeout"


def _end(child):
    """Kill the child, its group and whatever escaped from it; returns the signal that ended it (0 for an exit)."""
    done, status = os.waitpid(child, os.WNOHANG)
    for target in (-child, child):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(target, signal.SIGKILL)
    if not done:
        _, status = os.waitpid(child, 0)
    for _ in range(200):
        orphans = _children()
        for orphan in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            break
        time.sleep(0.001)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _children():
    try:
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _lines(data):
    findings = []
    for line in data.split(b"\n"):
        with contextlib.suppress(ValueError):
            findings.append(json.loads(line))
    return [finding for finding in findings if isinstance(finding, dict)]


def _child(request, writing, private):
    """Everything from here on runs in the child and never returns."""
    try:
        _confine(request, writing, private)
        with os.fdopen(writing, "w", encoding="utf-8", errors="replace") as pipe:
            (_trace if request["op"] == "trace" else _check)(request, pipe)
            pipe.write(DONE.decode())
    except BaseException:
        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        os.kill(os.getpid(), signal.SIGKILL)  # past atexit handlers and threads that never end


def _confine(request, writing, private):
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.closerange(3, writing)
    os.closerange(writing + 1, 256)
    os.chdir(private)
    os.environ.clear()
    os.environ |= {"HOME": private, "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"}
    seconds = int(request["timeout"]) + 2
    limits = dict(CPU=seconds, AS=request["memory"], FSIZE=1_000_000, NOFILE=32, CORE=0)
    if os.geteuid() == 0:
        limits["NPROC"] = 64
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    sys.stdin = open(os.devnull)  # noqa: SIM115
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def _trace(request, pipe):
    """Write the trace; where the request asks for it, also every step as it ends, for a program that may hang."""

    def tell(steps):
        pipe.write(json.dumps(dict(steps=steps)) + "\n")
        pipe.flush()

    result = run_traced(**request["arguments"], alarm=True, tell=tell if request["stepwise"] else None)
    pipe.write(json.dumps(result) + "\n")


def _check(request, pipe):
    """Run the program once, then each test in order; a line is written as each ends, so that a hang is located."""
    token, tests, setup, program = (request.pop(name) for name in ("token", "tests", "setup", "program"))
    namespace = {"__name__": "__main__"}

    def tell(**finding):
        pipe.write(json.dumps(finding) + "\n")
        pipe.flush()

    try:
        exec(compile(setup, "<setup>", "exec"), namespace)
        exec(compile(program, "<program>", "exec"), namespace)
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
