"""Events: where the recorder gets them from.

Python 3.12 and later have `sys.monitoring`: events are switched on for the program's own code only, so that libraries
run at full speed. Before, `sys.settrace` tells of every call anywhere; its events are translated.
"""

import dis
import inspect
import sys
import threading

from nextkit.tracer.recorder import PROGRAM

RETURN, YIELD, RAISE, RESUME = map(dis.opmap.get, ("RETURN_VALUE", "YIELD_VALUE", "RAISE_VARARGS", "RESUME"))
RESTS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR  # code that may stop and go on
GET_ANEXT, CACHE = dis.opmap.get("GET_ANEXT"), dis.opmap.get("CACHE", 0)
NEXT = {dis.opmap.get("FOR_ITER"), dis.opmap.get("SEND")}  # where StopIteration is the way things end, not an error


def recording(recorder):
    """A context manager: while it is open, the recorder hears what the program does."""
    if hasattr(sys, "monitoring"):
        return _Monitoring(recorder)
    return _settrace(recorder)


def followed(code, recorder):
    """Whether a code object is a function, class or module of the program; comprehensions belong to their line."""
    if code.co_filename != PROGRAM or not (recorder.plan.replaces or id(code) in recorder.codes):
        return False  # the second: a generator of a program traced before, closed only now
    name = code.co_name
    return name[0] != "<" or name == "<module>" or (name == "<lambda>" and code.co_firstlineno in recorder.plan.lambdas)


def failing_expression(traceback, frame, source):
    """The source of the expression that raised, by the positions that Python keeps (PEP 657).

    The innermost frame of the program counts, so that one in a comprehension is found in it.
    """
    found, lasti = frame, frame.f_lasti
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == PROGRAM:
            found, lasti = traceback.tb_frame, traceback.tb_lasti
        traceback = traceback.tb_next
    positions = list(found.f_code.co_positions())[lasti // 2]
    return source_of(positions, source)


def source_of(positions, source):
    """The text between positions (line, end line, column, end column; columns in bytes), on one line and shortened."""
    line, end_line, column, end_column = positions
    if None in positions:
        return ""
    text = source.replace("\r\n", "\n").replace("\r", "\n")  # only these end a line for Python
    lines = [part.encode() for part in text.split("\n")[line - 1 : end_line]]
    if not lines:
        return ""
    lines[-1] = lines[-1][:end_column]
    lines[0] = lines[0][column:]
    text = " ".join(part.decode(errors="replace").strip() for part in lines)
    return text if len(text) <= 80 else text[:77] + "..."


def _settrace(recorder):
    start, line, returned, yielded = recorder.start, recorder.line, recorder.returned, recorder.yielded
    suspended, operations, thrown = recorder.suspended, {}, None

    def follow(frame, event, argument):
        nonlocal thrown
        if event == "line":
            line(frame.f_code, frame.f_lineno)
        elif event == "return":
            operation = _operation(operations, frame.f_code, frame.f_lasti)
            if operation == RETURN:
                returned(frame.f_code, 0, argument)
            elif operation == YIELD and recorder.at.step != thrown:
                yielded(frame.f_code, 0, argument)
            else:
                recorder.unwound()
        elif event == "exception":
            _, error, traceback = argument
            operation = _operation(operations, frame.f_code, frame.f_lasti)
            if operation == YIELD:  # thrown into a generator that rests there
                thrown = recorder.at.step
            if type(error) is not GeneratorExit and not _ends(error, frame.f_code, frame.f_lasti):
                where = failing_expression(traceback, frame, recorder.source)
                recorder.raising(error, where, operation == RAISE, traceback)
        return follow

    def enter(frame, event, _):
        code = frame.f_code
        if code.co_filename != PROGRAM or not followed(code, recorder):
            return None
        if not code.co_flags & RESTS:
            start(code, 0)
        elif frame in suspended:
            recorder.resume(frame)
        elif _goes_on(frame):
            recorder.adopt(frame)
        else:
            start(code, 0)
        return follow

    return _Settrace(enter)


def _goes_on(frame):
    """Whether a generator or coroutine has run before: it rests after a yield, or is at a RESUME with an argument."""
    operation, argument = frame.f_code.co_code[frame.f_lasti : frame.f_lasti + 2]
    return operation == YIELD or (operation == RESUME and argument > 0)


def _ends(error, code, offset):
    """Whether an exception is the way an iteration ends, and no error."""
    if not isinstance(error, StopIteration | StopAsyncIteration):
        return False
    operations = code.co_code
    while operations[offset] == CACHE:  # Python 3.13 points behind the operation
        offset -= 2
    if isinstance(error, StopAsyncIteration):  # `async for`: GET_ANEXT, LOAD_CONST, SEND
        return operations[offset] in NEXT and operations[max(offset - 4, 0)] == GET_ANEXT
    return operations[offset] in NEXT


def _operation(known, code, offset):
    key = id(code)  # code objects are slow to hash
    if key not in known:
        known[key] = code.co_code
    return known[key][offset]


class _Settrace:
    """Switches sys.settrace on and off; a generator would put a frame of its own on the stack."""

    def __init__(self, enter):
        self.enter = enter

    def __enter__(self):
        sys.settrace(self.enter)

    def __exit__(self, *_):
        sys.settrace(None)


class _Monitoring:
    """Switches sys.monitoring on and off, for the program's own code; translates the rare events."""

    def __init__(self, recorder):
        events = sys.monitoring.events
        self.recorder = recorder
        self.codes = [found.code for found in recorder.codes.values() if followed(found.code, recorder)]
        self.local = {
            events.PY_START: self.started if recorder.plan.replaces else recorder.start,
            events.PY_RESUME: self.resumed,
            events.LINE: recorder.line,
            events.PY_RETURN: recorder.returned,
            events.PY_YIELD: recorder.yielded,
        }
        # These three are told of all code or none.
        self.everywhere = {events.RAISE: self.raised, events.PY_UNWIND: self.unwound, events.PY_THROW: self.resumed}
        if any(line.loops for line in recorder.lines):
            self.local[events.JUMP] = self.jumped
        if recorder.plan.threaded:
            self.local = {event: _in_this_thread(callback) for event, callback in self.local.items()}
            self.everywhere = {event: _in_this_thread(callback) for event, callback in self.everywhere.items()}
        recorder.above = 1 + recorder.plan.threaded + recorder.plan.replaces

    def __enter__(self):
        monitoring = sys.monitoring
        self.tool = next(number for number in (2, 4, 3, 5, 1, 0) if monitoring.get_tool(number) is None)
        monitoring.use_tool_id(self.tool, "nextkit")
        for event, callback in {**self.local, **self.everywhere}.items():
            monitoring.register_callback(self.tool, event, callback)
        for code in self.codes:
            monitoring.set_local_events(self.tool, code, sum(self.local))
        starts = monitoring.events.PY_START if self.recorder.plan.replaces else 0
        monitoring.set_events(self.tool, sum(self.everywhere) | starts)

    def __exit__(self, *_):
        monitoring = sys.monitoring
        monitoring.set_events(self.tool, 0)
        if self.recorder.plan.replaces:
            monitoring.restart_events()  # what started() switched off
        for code in self.codes:
            monitoring.set_local_events(self.tool, code, 0)
        for event in (*self.local, *self.everywhere):
            monitoring.register_callback(self.tool, event, None)
        monitoring.free_tool_id(self.tool)

    def is_current(self, code):
        at = self.recorder.at
        return at is not None and code.co_filename == PROGRAM and _frame_of(code) is at.frame

    def started(self, code, offset):
        """Where functions may be given other code, every function that starts is asked whether it is the program's."""
        if not followed(code, self.recorder):
            return sys.monitoring.DISABLE
        if id(code) not in self.recorder.codes:
            self.recorder.learn(code)
            self.codes.append(code)
            sys.monitoring.set_local_events(self.tool, code, sum(self.local))
        return self.recorder.start(code, offset)

    def raised(self, code, offset, error):
        if self.is_current(code) and type(error) is not GeneratorExit and not _ends(error, code, offset):
            where = failing_expression(error.__traceback__, self.recorder.at.frame, self.recorder.source)
            self.recorder.raising(error, where, code.co_code[offset] == RAISE, error.__traceback__)

    def unwound(self, code, offset, error):
        if self.is_current(code):
            self.recorder.unwound()

    def resumed(self, code, offset, *_):
        if code.co_filename != PROGRAM or not followed(code, self.recorder):
            return
        frame = _frame_of(code)
        if frame in self.recorder.suspended:
            self.recorder.resume(frame)
        elif _goes_on(frame):
            self.recorder.adopt(frame)

    def jumped(self, code, offset, destination):
        """A loop on a single line goes round: that is a new step, but no event of the line."""
        if destination < offset and self.recorder.at.line.loops:
            self.recorder.line(code, self.recorder.at.line.start)


def _frame_of(code):
    """The innermost running frame of a code object."""
    frame = sys._getframe(2)
    while frame.f_code is not code:
        frame = frame.f_back
    return frame


def _in_this_thread(callback):
    """sys.monitoring tells of all threads; a trace is of one."""
    thread = threading.get_ident()
    return lambda *event: callback(*event) if threading.get_ident() == thread else None
