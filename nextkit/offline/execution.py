"""Running generated programs in this process, with a limit on executed lines.

Only for programs that the generator itself made, which import nothing and open nothing, and for functions of Python's
standard library that stand alone (`nextkit.offline.library`). A bug may make them loop or grow without end. Everything
that a model writes runs in the sandbox instead.
"""

import copy
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

TOO_BIG = 10**6
MEMORY = 2**30  # bytes that a program may add to what this process holds


class _Stop(BaseException):
    """Raised inside a program that executed too many lines or made too big a value."""


def run(code, entry, argument_lists, *, lines=300):
    """What `entry` of the program `code` returns for each tuple of arguments: a list of (ended well, value or error name)."""
    namespace = {}
    try:
        exec(compile(code, "<generated>", "exec"), namespace)
    except Exception as error:
        return [(False, type(error).__name__)] * len(argument_lists)
    with little_memory():
        return [_call(namespace[entry], copy.deepcopy(arguments), lines) for arguments in argument_lists]


@contextmanager
def little_memory():
    """What runs here gets a MemoryError where it grows beyond MEMORY: one line may compute a number that fills a machine.

    Does nothing where the system does not say how much the process holds.
    """
    pages = Path("/proc/self/statm")
    before, most = resource.getrlimit(resource.RLIMIT_AS)
    if pages.exists():
        limit = int(pages.read_text().split()[0]) * resource.getpagesize() + MEMORY
        limit = min(each for each in (limit, before, most) if each != resource.RLIM_INFINITY)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (before, most))


def _call(function, arguments, lines):
    sys.settrace(_limiter(lines))
    try:
        return True, function(*arguments)
    except _Stop:
        return False, "Timeout"
    except Exception as error:
        return False, type(error).__name__
    finally:
        sys.settrace(None)


def _limiter(lines):
    left = [lines]

    def local(frame, event, _):
        left[0] -= 1
        # A value that grows explodes long before the limit on lines is reached.
        if left[0] < 0 or any(_big(value) for value in frame.f_locals.values()):
            raise _Stop
        return local

    return lambda frame, event, _: local if frame.f_code.co_filename == "<generated>" else None


def _big(value):
    return abs(value) > TOO_BIG if isinstance(value, int) else isinstance(value, (str, list)) and len(value) > 300
