"""The sandbox: running programs that nobody has read.

A model's samples are hostile until proven otherwise. They never run in the notebook's process: a small fork server
beside it (`nextkit.sandbox_server`) forks a child for each program, limits it, and ends it.

**A verdict cannot be talked into passing.** For a test of the form `f(literals) == literal`, which is nearly every
test there is, the child gets the program and the call, and sends the returned value back as plain data; the expected
value never leaves this process, and this process compares (`nextkit.comparing`). Other assertions run inside the
child, where a program that goes looking can fake their success; a Verdict says in `how` which of the two it was.

**It does not depend on chance**: hashes, and so the order of sets, and `random` begin alike for each program. A failure of
the sandbox itself is a SandboxError, never a Verdict.

**Contained on Linux** (`nextkit.isolation`; `Sandbox().isolation` says what is in force): no network; nothing outside
a scratch folder in memory can be written, made or removed; other processes are neither seen nor signalled; none
outlives its check. **Contained everywhere**: a process and session of its own, ended at the timeout; limits on CPU,
memory (not on macOS), file size, open files and processes; stdin, stdout, descriptors and environment taken away.

**Not contained**: reading files that the user may read (but there is no way to send them anywhere, save as the value
returned); memory of 64 processes at a time, each up to the limit (the kernel then ends these before the notebook); sockets
in the file system outside /tmp, /run and the like; a hole in the kernel. Where the kernel refuses namespaces, as in
many containers: sockets everywhere, and one sandbox's children may signal another's. Where it has no Landlock either (before
Linux 5.13), and on macOS: everything that the user may do. For programs that were *written* to attack, use a machine
that can be lost.
"""

import atexit
import contextlib
import itertools
import os
import queue
import secrets
import select
import subprocess
import sys
import threading
import warnings
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

from nextkit.asserts import parse_test
from nextkit.comparing import check_oracle, matches, show
from nextkit.parallel import cores
from nextkit.sandbox_server import read_frame, write_frame
from nextkit.tracer import rows

COMPARED, ASSERTED = "compared outside", "asserted inside"
TRACED = dict(
    outcome=str,
    got=str,
    expected=str,
    exception=str,
    test_line=int,
    steps=dict,
    executed=int,
    truncated=list,
    stdout=str,
)
SPARE_STEPS = 100  # of a trace, beyond the first ones and the last of each line
LONGEST_NAME = 1000  # characters of a function's
LOST = "the sandbox server was lost twice"
_EMPTY = dict(op="check", program="0", setup="", tests=[], token="", timeout=5.0, memory=2**29)
_START = "import sys; sys.path.insert(0, sys.argv[1]); from nextkit.sandbox_server import serve; serve()"
_NEEDED = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # to start Python; nothing else of the environment is passed on
_ALIKE = {"PYTHONHASHSEED": "0"}  # the order of a set must not depend on the server
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


class SandboxError(RuntimeError):
    """The sandbox itself failed, so nothing is known of the program."""


class Sandbox:
    """A pool of fork servers; thread-safe; use it as a context manager or close() it.

    workers: how many programs run at once. timeout: seconds a program, all its tests together. memory_mb: address
    space of a program.
    """

    def __init__(self, workers=1, timeout=1.0, memory_mb=512):
        if not (isinstance(workers, Integral) and workers > 0 and timeout > 0 and memory_mb > 0):
            raise ValueError(
                f"Sandbox(workers={workers!r}, timeout={timeout!r}, memory_mb={memory_mb!r}): give a whole number of at "
                "least 1 as workers, and more than 0 as timeout and memory_mb"
            )
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

    def check(self, program, tests, *, setup="", task_id="", timeout=None, oracle="exact", tolerance=0.0):
        """The Verdict on a program (source text) by assert statements; the first test that does not pass decides.

        timeout: seconds, the sandbox's own by default. oracle, tolerance: how values are compared, see
        `nextkit.comparing`. Raises ValueError for a test that is not Python, and for an unknown oracle.
        """
        check_oracle(oracle)
        parsed = [parse_test(test) for test in tests]
        token = secrets.token_hex(16)
        sent = [(test.form, test.source) for test in parsed]
        reply = self._run(program, setup, sent, token, timeout)
        return _Judgement(task_id, parsed, reply, token, dict(oracle=oracle, tolerance=tolerance)).verdict()

    def values(self, program, calls, *, setup="", timeout=None):
        """What each call (source text) returned, encoded (`nextkit.comparing.decode`), in order; it ends with the first
        that gave no value. Used where a reference program, not a person, says what is expected."""
        findings = self._run(program, setup, [("call", call) for call in calls], "", timeout)["findings"]
        found = {finding.get("test"): finding["value"] for finding in findings if "value" in finding}
        return list(itertools.takewhile(lambda code: code is not None, map(found.get, range(len(calls)))))

    def trace(self, **arguments):
        """What `nextkit.tracer.run_traced` returns for these arguments, run in a child; the steps as rows.

        A program that could not be stopped from inside (one endless line, memory used up) is killed, and run once
        more with its steps told as they happen: the trace then ends where it hangs, outcome "timeout" or "error".
        """
        timeout = arguments.get("timeout", self.timeout) + 1
        reply = self._ask(dict(op="trace", arguments=arguments, stepwise=False), timeout)
        most = arguments.get("keep", 1000) + arguments["program"].count("\n") + SPARE_STEPS
        for finding in filter(_is_trace, reply["findings"]):
            if (steps := _steps_of(finding, most)) is not None:
                return finding | dict(steps=steps)
        told = self._ask(dict(op="trace", arguments=arguments, stepwise=True), timeout)
        steps = {step[0]: step for finding in told["findings"] for step in _steps_of(finding, most) or ()}
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

    def _run(self, program, setup, tests, token, timeout):
        """The reply on some tests; where their values are too long for one, the rest is run after the first part."""
        request, start, findings, seconds = dict(op="check", program=program, setup=setup, token=token), 0, [], 0.0
        timeout = timeout or self.timeout
        while True:
            reply = self._ask(request | dict(tests=tests[start:]), max(0.01, timeout - seconds))
            new = [finding for finding in reply["findings"] if type(finding.get("test")) is int]
            findings += [finding | dict(test=max(-1, finding["test"] + start)) for finding in new]
            seconds, start = seconds + reply["seconds"], start + len(new)
            if reply["ended"] != "flooded" or not new or start >= len(tests):
                return reply | dict(findings=findings, seconds=seconds)

    def _ask(self, request, timeout):
        request |= dict(timeout=timeout, memory=self.memory)
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
    """The sandbox that other modules use when none is given: one worker a core, made when first needed."""
    with _sharing:
        if _shared.get("process") != os.getpid():  # a forked process must not talk to its parent's servers
            _shared.update(process=os.getpid(), sandbox=Sandbox(workers=cores()))
            atexit.register(_shared["sandbox"].close)
        return _shared["sandbox"]


_shared, _sharing = {}, threading.Lock()
os.register_at_fork(after_in_child=_sharing._at_fork_reinit)


class _Server:
    """The client's end of one fork server."""

    def __init__(self):
        self.process, self.isolation = None, ()

    def started(self):
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, "-s", "-P", "-c", _START, _PARENT],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={name: os.environ[name] for name in _NEEDED if name in os.environ} | _ALIKE,
                start_new_session=True,  # an interrupt of the notebook must not tear a check in two
            )
            self.isolation = self._receive(20)["isolation"]
        return self

    def ask(self, request, tries=2):
        """Send a request and wait for its reply; a server that dies is started again and asked once more."""
        try:
            write_frame(self.started().process.stdin, request)
            reply = self._receive(request["timeout"] + 10)
        except (OSError, EOFError, ValueError) as error:
            self.kill()
            warnings.warn(
                f"{error}; {'it is started again' if tries > 1 else 'given up'}", RuntimeWarning, stacklevel=4
            )
            if tries > 1:
                return self.ask(request, tries - 1)
            self._check_health(error)
            return dict(findings=[], ended="closed", seconds=0.0, lost=True)
        except BaseException:  # interrupted between request and reply: the two would no longer match
            self.kill()
            raise
        if reply["ended"] == "unconfined":
            raise SandboxError(f"a program could not be confined here, so it was not run: {reply['problem']}")
        return reply

    def _check_health(self, error):
        """Raises SandboxError where not even an empty task comes back: then the fault is not the program's."""
        try:
            write_frame(self.started().process.stdin, _EMPTY)
            self._receive(20)
        except (OSError, EOFError, ValueError):
            self.kill()
            raise SandboxError(
                f"the sandbox does not work here: {error}; nothing was judged. Is there memory, and are there processes "
                "and open files left? See help('nextkit.sandbox')"
            ) from error

    def kill(self):
        """End the server: by closing its stdin, so that it tidies up; by force if it does not end soon."""
        if self.process is None:
            return
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process = None

    def _receive(self, timeout):
        waiting = select.poll()  # select() knows no descriptor beyond 1023
        waiting.register(self.process.stdout, select.POLLIN)
        if not waiting.poll(1000 * timeout):
            raise EOFError("the sandbox server does not answer")
        frame = read_frame(self.process.stdout)
        if frame is None:
            raise EOFError("the sandbox server has ended")
        return frame


def _is_trace(finding):
    """Whether this is what `run_traced` returns: the program could have written something else on the pipe."""
    return finding.keys() == TRACED.keys() and all(map(isinstance, finding.values(), map(TRACED.get, finding)))


def _steps_of(finding, most):
    """The steps that a finding tells, as rows; None if it tells none, more than `most`, or something else.

    Few bytes of columns make many of rows, so they are counted before they are made.
    """
    try:
        columns = finding["steps"]
        if len(columns["lines"]) > most or any(len(name) > LONGEST_NAME for _, name, *_ in columns["frames"]):
            return None
        steps = rows(columns)
    except (KeyError, ValueError, TypeError):
        return None
    return steps if all(map(_is_step, steps)) else None


def _is_step(step):
    """[index, line, function, depth, changes, event, value, where, output, frame], changes being pairs of texts."""
    kinds = (int, int, str, int, list, str, str, str, str, int)
    if len(step) != len(kinds) or not all(map(isinstance, step, kinds)):
        return False
    return all([*map(type, pair)] == [str, str] for pair in step[4])


class _Judgement:
    """Compares what the child found with what the tests expect; nothing that the child wrote is trusted."""

    def __init__(self, task_id, parsed, reply, token, comparison):
        self.task_id, self.parsed, self.reply, self.token, self.comparison = task_id, parsed, reply, token, comparison
        self.how = ASSERTED if any(test.form == "assert" for test in parsed) else COMPARED

    def verdict(self):
        """The Verdict of the first test that did not pass, or of the last."""
        if self.reply["ended"] == "unparseable":
            return Verdict(self.task_id, "unparseable", message=self.reply["problem"])
        found = {finding["test"]: finding for finding in self.reply["findings"]}
        if not self.parsed and self.reply["ended"] != "closed":  # no test asks whether the program ended
            return self._missing(-1)
        if -1 in found:
            return self._of("error", -1, message=_text(found[-1].get("error")))
        for number, test in enumerate(self.parsed):
            if number not in found:
                return self._missing(number)
            verdict = self._of_test(number, test, found[number])
            if verdict is not None:
                return verdict
        return self._of("passed", len(self.parsed) - 1)

    def _of_test(self, number, test, finding):
        """The Verdict where this test did not pass, else None."""
        if "error" in finding:
            return self._of("error", number, message=_text(finding["error"]))
        if test.form == "assert":
            passed = finding.get("token") == self.token
            return (
                None if passed else self._of("failed", number, message=f"{test.source}: {_text(finding.get('failed'))}")
            )
        code = finding.get("value")
        if matches(code, test.expected, arguments=test.arguments, **self.comparison):
            return None
        got, expected = show(code), repr(test.expected)
        message = f"{test.source} returned {got}, expected {expected}"
        return self._of("failed", number, got=got, expected=expected, message=message)

    def _missing(self, number):
        seconds = self.reply["seconds"]
        if self.reply["ended"] == "timeout":
            return self._of("timeout", number, message=f"no result after {seconds:.1f} s")
        lost = self.reply.get("lost")
        return self._of("killed", number, message=LOST if lost else "the process ended without a result")

    def _of(self, status, number, **rest):
        return Verdict(self.task_id, status, number, seconds=self.reply["seconds"], how=self.how, **rest)


def _text(found, limit=500):
    return str(found or "")[:limit]
