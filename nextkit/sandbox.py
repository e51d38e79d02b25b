"""The sandbox: running programs that nobody has read.

A model's samples are hostile until proven otherwise. They never run in the notebook's process: a small fork server
beside it (`nextkit.sandbox_server`) forks a child for each program, limits it, and ends it.

**A verdict cannot be talked into passing.** For a test of the form `f(literals) == literal`, which is nearly every
test there is, the child gets the program and the call, and sends the returned value back as plain data; the expected
value never leaves this process, and this process compares. Other assertions run inside the child, where a program
that goes looking can fake their success; a Verdict says in `how` which of the two it was.

**Contained**: each program in a process and session of its own, ended with all its descendants at the timeout; limits
on CPU, memory, file size, open files; stdin, stdout, descriptors and environment taken away; a scratch folder that is
removed. Where the kit runs as root: also an unprivileged user, so no signals to other processes and no writing outside
the scratch folder and world-writable places, and, where the kernel grants it, no network.

**Not contained**: reading files that everyone may read; and when the kit runs as an ordinary user, everything that this
user may do: writing or deleting files, the network, signals (a server that is killed is started again and the
request tried once more). Linux only for orphans and privileges. `Sandbox().isolation` lists what is in force.
"""

import ast
import atexit
import contextlib
import os
import queue
import secrets
import select
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from nextkit.sandbox_server import read_frame, write_frame

COMPARED, ASSERTED = "compared outside", "asserted inside"
_START = "import sys; sys.path.insert(0, sys.argv[1]); from nextkit.sandbox_server import serve; serve()"
_PARENT = str(Path(__file__).resolve().parent.parent)


@dataclass(frozen=True)
class Verdict:
    """What became of one program.

    status: "passed", "failed" (a wrong value), "error" (raised), "timeout", "killed" (ended by a limit, a signal or
    itself) or "unparseable". test: the test that decided, -1 for the program itself. got, expected: literals.
    message: in words. seconds: wall-clock of the whole check. how: "compared outside" or "asserted inside".
    """

    task_id: str
    status: str
    test: int = -1
    got: str = ""
    expected: str = ""
    message: str = ""
    seconds: float = 0.0
    how: str = ""


class Sandbox:
    """A pool of fork servers; thread-safe; use it as a context manager or close() it.

    workers: how many programs run at once. timeout: seconds a program, all its tests together. memory_mb: address
    space of a program.
    """

    def __init__(self, workers=1, timeout=1.0, memory_mb=512):
        self.workers, self.timeout, self.memory = workers, timeout, memory_mb * 2**20
        self._idle = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(_Server())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def isolation(self):
        """Names of what is in force, such as "no network"."""
        with self._server() as server:
            return tuple(server.started().isolation)

    def check(self, program, tests, *, setup="", task_id="", timeout=None):
        """The Verdict on a program (source text) by assert statements; the first test that does not pass decides.

        Raises ValueError for a test that is not Python.
        """
        problem = _syntax_problem(program)
        if problem:
            return Verdict(task_id, "unparseable", message=problem)
        parsed = [parse_test(test) for test in tests]
        token = secrets.token_hex(16)
        sent = [(form, source) for form, source, _ in parsed]
        request = dict(op="check", program=program, setup=setup, tests=sent, token=token)
        return _verdict(task_id, parsed, token, self._ask(request, timeout))

    def trace(self, **arguments):
        """What `nextkit.tracer.run_traced` returns for these arguments, run in a child.

        A program that could not be stopped from inside (one endless line, memory used up) is killed, and run once
        more with its steps told as they happen: the trace then ends where it hangs, outcome "timeout" or "error".
        """
        timeout = arguments.get("timeout", self.timeout) + 1
        reply = self._ask(dict(op="trace", arguments=arguments, stepwise=False), timeout)
        for finding in reply["findings"]:
            if "outcome" in finding:
                return finding
        told = self._ask(dict(op="trace", arguments=arguments, stepwise=True), timeout)
        steps = {step[0]: step for finding in told["findings"] for step in finding.get("steps", ())}
        hung = reply["ended"] == "timeout"
        return dict(
            steps=list(steps.values()),
            outcome="timeout" if hung else "error",
            exception="" if hung else "the process was killed, or ended itself",
            truncated=["seconds" if hung else "killed"],
            executed=len(steps),
        )

    def close(self):
        """End all servers; the sandbox starts new ones if it is used again."""
        for server in list(self._idle.queue):
            server.kill()

    def _ask(self, request, timeout):
        request |= dict(timeout=timeout or self.timeout, memory=self.memory)
        with self._server() as server:
            return server.ask(request)

    @contextlib.contextmanager
    def _server(self):
        server = self._idle.get()
        try:
            yield server
        finally:
            self._idle.put(server)


def default_sandbox():
    """The sandbox that the other rooms use when none is given: one worker a core, made when first needed."""
    if _shared.get("process") != os.getpid():  # a forked process must not talk to its parent's servers
        _shared.update(process=os.getpid(), sandbox=Sandbox(workers=os.cpu_count() or 1))
        atexit.register(_shared["sandbox"].close)
    return _shared["sandbox"]


_shared = {}


def parse_test(test):
    """A test as (form, source to send, expected value): ("call", "f(1)", 2) where it is `f(literals) == literal`.

    Any other test comes back as ("assert", the test itself, None). Raises ValueError if it is not Python.
    """
    try:
        body = ast.parse(test).body
    except SyntaxError as error:
        raise ValueError(f"test {test!r} is not valid Python: {error}") from None
    with contextlib.suppress(ValueError, AttributeError, TypeError, IndexError):
        (statement,) = body
        compared = statement.test
        (operator,), (right,), call = compared.ops, compared.comparators, compared.left
        arguments = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg)]
        named = (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Name)
            and len(arguments) == len(call.args) + len(call.keywords)
        )
        if named and isinstance(operator, ast.Eq) and isinstance(statement, ast.Assert):
            for argument in arguments:
                ast.literal_eval(argument)
            return "call", ast.unparse(call), ast.literal_eval(right)
    return "assert", test, None


class _Server:
    """The client's end of one fork server."""

    def __init__(self):
        self.process, self.isolation = None, ()

    def started(self):
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-c", _START, _PARENT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # an interrupt of the notebook must not tear a check in two
            )
            self.isolation = self._receive(20)["isolation"]
        return self

    def ask(self, request, tries=2):
        """Send a request and wait for its reply; a server that dies is started again and asked once more."""
        try:
            write_frame(self.started().process.stdin, request)
            return self._receive(request["timeout"] + 10)
        except (OSError, EOFError):
            self.kill()
            if tries > 1:
                return self.ask(request, tries - 1)
            return dict(findings=[], ended="closed", signal=9, seconds=0.0, lost=True)
        except BaseException:  # interrupted between request and reply: the two would no longer match
            self.kill()
            raise

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def _receive(self, timeout):
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            raise EOFError("the sandbox server does not answer")
        frame = read_frame(self.process.stdout)
        if frame is None:
            raise EOFError("the sandbox server has ended")
        return frame


def _syntax_problem(program):
    try:
        compile(program, "<program>", "exec", dont_inherit=True)
        return "" if program.strip() else "the program is empty"
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"{type(error).__name__}: {error}"


def _verdict(task_id, parsed, token, reply):
    """Compare what the child found with what the tests expect; the first difference decides."""
    found = {finding.get("test"): finding for finding in reply["findings"]}
    how = ASSERTED if any(form == "assert" for form, _, _ in parsed) else COMPARED
    common = dict(seconds=reply["seconds"], how=how)
    if -1 in found:
        return Verdict(task_id, "error", message=str(found[-1].get("error")), **common)
    for number, (form, source, expected) in enumerate(parsed):
        finding = found.get(number)
        if finding is None:
            return _missing(task_id, number, reply, common)
        if "error" in finding:
            return Verdict(task_id, "error", number, message=str(finding["error"]), **common)
        if form == "call":
            code = finding.get("value")
            if not equal(code, expected):
                got = show(code)
                message = f"{source} returned {got}, expected {expected!r}"
                return Verdict(task_id, "failed", number, got, repr(expected), message, **common)
        elif finding.get("token") != token:
            return Verdict(task_id, "failed", number, message=f"{source}: {finding.get('failed', '')}", **common)
    return Verdict(task_id, "passed", len(parsed) - 1, **common)


def _missing(task_id, number, reply, common):
    if reply["ended"] == "timeout":
        return Verdict(task_id, "timeout", number, message=f"no result after {reply['seconds']:.1f} s", **common)
    message = "the sandbox server was lost twice" if reply.get("lost") else "the process ended without a result"
    return Verdict(task_id, "killed", number, message=message, **common)


def equal(code, expected):
    """Whether an encoded value equals `expected` by Python's == on plain data; an opaque value equals nothing."""
    try:
        return decode(code) == expected
    except (TypeError, ValueError, KeyError):
        return False


def decode(code):
    """The plain value that `encode` wrote. Raises ValueError for an opaque one."""
    tag, content = code
    readers = dict(int=lambda c: int(c, 16), float=float, complex=complex, bytes=bytes.fromhex)
    groups = dict(list=list, tuple=tuple, set=set, frozenset=frozenset)
    if tag in readers:
        return readers[tag](content)
    if tag in groups:
        return groups[tag](decode(item) for item in content)
    if tag == "dict":
        return {decode(key): decode(value) for key, value in content}
    if tag in ("NoneType", "bool", "str"):
        return content
    raise ValueError(f"a value of type {content} is not plain data")


def show(code, limit=200):
    """An encoded value as text for people, cut to `limit` characters."""
    try:
        text = repr(decode(code))
    except (ValueError, TypeError, KeyError, IndexError):
        text = f"<{code[1]}>" if isinstance(code, list) and len(code) == 2 else "nothing readable"
    return text if len(text) <= limit else text[: limit - 3] + "..."
