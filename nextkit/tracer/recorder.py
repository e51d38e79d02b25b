"""The recorder: turns the events of a running program into steps.

Its methods are the events of `sys.monitoring`; `nextkit.tracer.events` calls them, there or from `sys.settrace`. A
step is finished when the next event of its frame arrives: only then can it be seen what the line changed. What was
seen goes into `nextkit.tracer.columns`.
"""

import collections
import contextlib
import inspect
import sys
import time

from nextkit.tracer.changes import alike, differences
from nextkit.tracer.columns import Columns
from nextkit.tracer.contents import ATOMS
from nextkit.tracer.plan import LIVE, Code, Line
from nextkit.tracer.values import (
    CODE,
    LITTLE,
    LITTLE_BELOW,
    SMALL,
    Shot,
    Text,
    contains,
    describe_exception,
    freeze,
    literal,
    render,
    same,
)

PROGRAM = "<program>"
MISSING = object()
NOTHING = Text("")
QUIET = Line(0)
HUGE = 1 << 200_000
HUGE_BELOW = -HUGE
BIG = 10_000_000  # elements
RESERVE = 120  # frames of the stack that are there for the recorder, beyond those that the program may use
SCANNED = 10_000_000  # elements of long containers that are looked through in one run
ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
FORGET = 1000  # steps after which those that are not kept are forgotten


class Stop(BaseException):
    """Ends a program that reached a limit; not an Exception, so that `except Exception` lets it pass."""


class Frame:
    """A running function: its variables as last seen, those of them that can change in place, its current step.

    number: its place among the frames that the recorder tells of; first: the same, of a generator where it began.
    step: the number of a step; None before the first.
    """

    __slots__ = ("caller", "code", "depth", "first", "frame", "known", "line", "number", "seen", "step", "watched")


class Recorder:
    """What goes on. plan, source: of the program. output: where it prints. Limits as in `run_traced`.

    tell: called with each step as it ends, already written down, for a program that may never come back. frames, places
    and so on: the lists of `columns`. marks: how long `changes` was as each of the last steps began.
    """

    def __init__(self, plan, *, source, output, max_steps, keep, timeout, max_value, max_bytes, tell=None):
        self.plan, self.lines, self.codes, self.last_line = plan, plan.lines, plan.codes, len(plan.lines) - 1
        self.source, self.output, self.tell = source, output, tell
        self.max_steps, self.max_value, self.max_depth = max_steps, max_value, sys.getrecursionlimit() - 15
        self.deadline = time.monotonic() + timeout
        self.truncated, self.suspended, self.shared = [], {}, None
        self.columns = seen = Columns(keep, max_value, max_bytes, self.truncated)
        self.frames, self.places, self.whose = seen.frames, seen.places, seen.whose
        self.changes, self.ends, self.prints = seen.changes, seen.ends, seen.prints
        self.marks = collections.deque(maxlen=3)
        self.at, self.count, self.pause, self.scanned = None, 0, 0 if tell else min(64, max_steps), 0
        self.forget = seen.keep + FORGET  # the step before which to forget others
        self.told = {}  # id of an exception -> ids of the frames in which it was told or that it passed
        self._known_starts = {}
        self.above = 1 if hasattr(sys, "monitoring") else 2  # frames between an event and the program

    # The events: a function begins, goes on, reaches a line, yields, returns, raises, is left by an exception.

    def start(self, code, offset):
        """A frame of the program begins to run; its arguments are the changes of its first step."""
        frame, caller, at = sys._getframe(self.above), self.at, Frame()
        try:
            code = self.codes[id(code)]
        except KeyError:
            code = self.learn(code)
        at.depth = depth = caller.depth + 1 if caller is not None else 1
        if depth >= self.max_depth:
            self._too_deep(depth)
        at.caller, at.frame, at.code, at.line, at.step = caller, frame, code, QUIET, None
        at.number = at.first = number = len(self.frames)
        known = at.known = {}
        at.watched = {}
        seen = at.seen = frame.f_locals if code.looks else None
        self.at = at
        if not code.is_function:
            self.frames.append((number, code.name, depth, -1, number))
            return
        if code.data and (self.shared is None or caller is None or not caller.code.is_function):
            self._share(frame)
        index = self.count
        self.frames.append((number, code.name, depth, index, number))
        self._begin(at, code.line)
        for name in code.parameters:
            try:
                value = seen[name]
            except KeyError:  # of a frame that began unseen, and has deleted it
                continue
            if type(value) is int and LITTLE_BELOW < value < LITTLE:
                known[name] = value
                self.changes.extend((index, name, None, value))
            else:
                self._bind(at, name, value, MISSING, index)
        for name in code.free:
            if name in seen:
                self._bind(at, name, seen[name], MISSING, None)

    def learn(self, code):
        """The Code of a function that was given other code than it was compiled to, as `types.coroutine` does."""
        self.codes[id(code)] = found = Code(code, self.plan)
        return found

    def adopt(self, frame):
        """A generator goes on that began while nothing was recorded: told as a call, with what it holds by now."""
        above, self.above = self.above, 2
        while sys._getframe(self.above - 1) is not frame:
            self.above += 1
        try:
            self.start(frame.f_code, 0)
        finally:
            self.above = above
        at = self.at
        for name, value in frame.f_locals.items():
            if name not in at.known:
                self._bind(at, name, value, MISSING, None)
        self._begin(at, self.lines[min(frame.f_lineno, self.last_line)].start)

    def resume(self, frame):
        """A generator or coroutine goes on where it stopped."""
        at = self.suspended.pop(frame)
        at.caller = self.at
        depth = self.at.depth + 1 if self.at is not None else 1
        if depth != at.depth:
            at.depth, at.number = depth, len(self.frames)
            self.frames.append((at.number, at.code.name, depth, -1, at.first))
        self.at = at
        self._begin(at, self.lines[min(frame.f_lineno, self.last_line)].start)

    def line(self, code, number):
        """A line is about to run, so the one before it in this frame has ended."""
        at, line = self.at, self.lines[number]
        if line.several and line.start == at.line.start and not self._begins_statement(at, code, line):
            return
        if at.line.busy:
            self.look(at)
        at.line = line
        index = self.count
        if index >= self.pause:
            self._check(index)
        self.count = index + 1
        at.step = index
        self.places.append(line.start)
        self.whose.append(at.number)

    def returned(self, code, offset, value):
        """The current frame returns."""
        at = self.at
        if at.line.busy:
            self.look(at)
        if at.code.is_function and not at.code.flags & ASYNC:
            self._end(at, "return", value)
        self.at = at.caller

    def yielded(self, code, offset, value):
        """The current frame hands a value out and rests."""
        at = self.at
        if at.line.busy:
            self.look(at)
        if at.code.flags & inspect.CO_GENERATOR:
            self._end(at, "yield", value)
        self.suspended[at.frame] = at
        self.at = at.caller

    def raising(self, error, where, explicit, traceback):
        """An exception passes the current line; it is written where it was raised, not in every frame it passes.

        where: the source of the failing expression. explicit: whether this line is a `raise`.
        """
        if type(error) is Stop:  # ours, not the program's
            return
        at = self.at
        if at.line.busy:
            self.look(at)
        if at.step is not None and (explicit or not self._was_told(error, traceback)):
            self.told[id(error)] = set()
            text = describe_exception(error, self.max_value)
            if type(error) is AssertionError and not error.args:
                text += self._sides(at)
            self.ends[at.step] = "exception", Text(text), where
        if id(error) in self.told:
            self.told[id(error)].add(id(at.frame))

    def _was_told(self, error, traceback):
        """Whether an exception comes from a frame in which it was told.

        It is not kept to know that, which would keep alive all that its frames hold; and a later one may have its id.
        """
        frames = self.told.get(id(error), ())
        while frames and traceback is not None and (traceback := traceback.tb_next) is not None:
            if id(traceback.tb_frame) in frames:
                return True
        return False

    def _sides(self, at):
        """What the two sides of a failed assert of the program were, where that can be known without running anything."""
        if at.line.start not in self.plan.assertions:
            return ""
        frame, limit = at.frame, self.max_value // 2
        got, expected = (
            literal(eval(code, frame.f_globals, frame.f_locals), limit) for code in self.plan.assertions[at.line.start]
        )
        return f": got {got}, expected {expected}"

    def unwound(self):
        """An exception leaves the current frame."""
        at = self.at
        if at.line.busy:
            self.look(at)
        self.at = at.caller

    # Looking: what the line that has just ended changed.

    def look(self, at):
        """Write what the frame's last line changed into its step."""
        line, step = at.line, at.step
        if line.names:
            known, seen = at.known, at.seen if LIVE else at.frame.f_locals
            for name in line.names:
                value, before = seen.get(name, MISSING), known.get(name, MISSING)
                if value is not before:
                    if type(value) is int and type(before) is int and not line.grows:  # the commonest case, made quick
                        known[name] = value
                        if value != before and step is not None:
                            self.changes.extend((step, name, None, value))
                    else:
                        self._bind(at, name, value, before, step)
                elif name in at.watched and not same(value, at.watched[name]):  # `a += [1]` binds the list it changed
                    self._mutations(at, QUIET)
        if line.wild:
            if at.watched:
                self._mutations(at, line)
            if at.code.elsewhere:
                self._elsewhere(at)
            if self.output.fresh and step is not None:
                self.prints[step] = self.prints.get(step, "") + self.output.taken()[: self.max_value]

    def _say(self, step, path, value, before=None):
        """Keep what a step changed. before: the Shot of what changed in place, if the two are still to be compared."""
        if step is not None:  # the body of a class has no step before its first line
            self.changes.extend((step, path, before, value))

    def _bind(self, at, name, value, before, step):
        """A name is bound to another value. step: the one that did it; None if it is not to be told."""
        shot = at.watched.pop(name, None)
        if value is MISSING:
            del at.known[name]
            return
        at.known[name] = value
        kind = type(value)
        if kind in ATOMS:
            if kind is type(before) and kind is not float and value == before:
                return
            if kind is int:
                if not HUGE_BELOW < value < HUGE:
                    self.stop("values")
            elif (kind is str or kind is bytes) and len(value) > self.max_value:
                value = self._bounded(value)
            self._say(step, name, value)
        elif kind not in CODE and not issubclass(kind, type):
            self._watch(at, name, value, shot, step)
        elif before is not MISSING and type(before) not in CODE:  # code is told only where data was told before
            self._say(step, name, freeze(value))

    def _watch(self, at, name, value, before, step):
        """Bind a name to a value that can change in place; before: the Shot of what it held, if that could too."""
        frozen = at.watched[name] = freeze(value)
        if type(frozen) is Shot and frozen.size <= SMALL and before is not None and alike(before, frozen):
            return
        self._say(step, name, self._storable(frozen))
        if type(frozen) is Shot and frozen.size > BIG:
            self.stop("values")

    def _bounded(self, value):
        """A long text, cut at once: a thousand of them would fill the memory."""
        if len(value) > BIG:
            self.stop("values")
        return Text(literal(value, self.max_value))

    def _storable(self, frozen):
        """A frozen value that can wait: objects of the program's own are not kept alive, nor are long lists."""
        if type(frozen) is Shot and (frozen.own or frozen.size > SMALL):
            return Text(render(frozen, self.max_value))
        return frozen

    def _mutations(self, at, line):
        for name, shot in list(at.watched.items()):
            value = at.known[name]
            if type(shot) is Shot and shot.size > SMALL:
                if line.targets is not None:
                    self._targets(at, name, value, shot, line.targets)
                    continue
                if not self._may_scan(shot):
                    continue
            if not same(value, shot):
                self._mutated(at, name, value, shot, at.step)

    def _mutated(self, at, name, value, shot, step):
        new = at.watched[name] = freeze(value)
        if type(new) is Shot and (new.own or new.size > SMALL):
            self.scanned += 10 * new.size  # about what it costs to copy and compare, against a look
            for path, now in differences(name, shot, new):
                self._say(step, path, Text(render(now, self.max_value)))
            if new.size > BIG:
                self.stop("values")
        else:
            self._say(step, name, new, shot)

    def _may_scan(self, shot):
        self.scanned += shot.size
        if self.scanned > SCANNED and "values" not in self.truncated:
            self.truncated.append("values")
        return self.scanned <= SCANNED

    def _targets(self, at, name, value, shot, targets):
        """Look at those elements of a long list that the line names, or that it may change through another name."""
        for root, codes in targets:
            found = _element(at, at.known.get(root, MISSING), codes)
            if root == name and found is not None and _is_simple(shot, found):
                self._element_changed(at.step, name, shot, found)
            elif found is None or root == name or found[0] is value or contains(shot, found[0]):
                if self._may_scan(shot) and not same(value, shot):
                    self._mutated(at, name, value, shot, at.step)
                return

    def _element_changed(self, step, name, shot, found):
        holder, indexes = found
        for index in indexes[:-1]:
            shot = shot.parts[index]
        place, path = indexes[-1], name + "".join(f"[{index}]" for index in indexes)
        if place < len(shot.items) == len(holder) and shot.items[place] is holder[place]:
            return
        shot.items[place : place + 1] = [holder[place]]
        shot.kinds.add(type(holder[place]))
        if type(holder[place]) not in ATOMS:
            if shot.parts is None:
                shot.parts = {}
            shot.parts[place] = freeze(holder[place])
        self._say(step, path, Text(literal(holder[place], self.max_value)))

    def _elsewhere(self, at):
        """Variables that live outside the frame's own: in cells that inner functions bind, and in the module."""
        seen = at.frame.f_locals if at.code.cells else {}
        for name in at.code.cells:
            value, before = seen.get(name, MISSING), at.known.get(name, MISSING)
            if value is not before and value is not MISSING:
                self._bind(at, name, value, before, at.step)
        module = self.shared
        for name in at.code.data if at.code.is_function else ():
            value, before = module.seen.get(name, MISSING), module.known.get(name, MISSING)
            if value is not before and value is not MISSING:
                self._bind(module, name, value, before, at.step)
            elif name in module.watched and not same(value, module.watched[name]):
                self._mutated(module, name, value, module.watched[name], at.step)

    def _share(self, frame):
        """What the module's variables hold when a function that uses them is called from outside."""
        self.shared = module = Frame()
        module.seen, module.known, module.watched = frame.f_globals, {}, {}
        for name in self.plan.data:
            if name in module.seen:
                self._bind(module, name, module.seen[name], MISSING, None)

    # Steps: beginning and ending them, and the limits.

    def _begin(self, at, place):
        index = self.count
        if index >= self.pause:
            self._check(index)
        self.count = index + 1
        at.step = index
        self.places.append(place)
        self.whose.append(at.number)

    def _end(self, at, event, value):
        step = at.step
        if step is None or step in self.ends:  # it has raised or yielded
            self._begin(at, at.frame.f_lineno if step is None else self.places[step])
        kind = type(value)
        if kind not in ATOMS:
            value = self._storable(freeze(value))
        elif kind is str and len(value) > self.max_value:
            value = self._bounded(value)
        self.ends[at.step] = event, value, ""

    def _begins_statement(self, at, code, line):
        """Whether the line event is the beginning of a statement over several lines, not its second or third line."""
        return at.frame.f_lasti in self._starts(code, line.start)

    def _starts(self, code, start):
        key = id(code), start  # code objects are slow to hash
        if key not in self._known_starts:
            offsets, before = set(), None
            for place, (number, *_) in enumerate(code.co_positions()):
                now = self.lines[min(number, self.last_line)].start if number else before
                if now == start and before != start:
                    offsets.add(2 * place)
                before = now
            self._known_starts[key] = offsets
        return self._known_starts[key]

    def _check(self, index):
        """The limits, seen to every 64 steps; and each finished step is told where someone listens."""
        if index >= self.max_steps:
            self.stop("steps")
        if time.monotonic() > self.deadline:
            self.stop("seconds")
        self.pause = min(index + 64, self.max_steps)
        if index >= self.forget:
            self.columns.forget(self._open())
            self.forget = index + max(FORGET, self.columns.keep)
        if self.tell is not None and index <= self.columns.keep:
            self.pause = index + 1
            self.marks.append(len(self.changes))
            self.tell(self.columns.written([*range(max(0, index - 2), index)], since=self.marks[0]))

    def stop(self, limit):
        """End the program, which reached a limit; at every line again, should it catch this."""
        if limit not in self.truncated:
            self.truncated.append(limit)
        raise Stop

    def _too_deep(self, depth):
        """Ends a recursion where Python would soon do so: the recorder needs some of the stack for itself."""
        self.max_depth = sys.getrecursionlimit() - RESERVE - 15  # the program may have raised the limit
        if depth >= self.max_depth:
            if not hasattr(sys, "monitoring") and "depth" not in self.truncated:
                self.truncated.append("depth")  # sys.settrace is off after an error in it
            raise RecursionError("maximum recursion depth exceeded")

    def finish(self):
        """All steps that are kept, written down; see `Columns.written`."""
        while self.at is not None:  # a program that was stopped: its frames have not ended
            if self.at.line.busy and self.at.step is not None:
                with contextlib.suppress(Stop):
                    self.look(self.at)
            self.at = self.at.caller
        if self.count <= self.columns.keep:
            return self.columns.written()
        kept = self.columns.forget(self._open())
        if self.count > len(kept):
            self.truncated.append("middle")
        return self.columns.written(kept)

    def _open(self):
        """The frames that have not ended."""
        at = self.at
        while at is not None:
            yield at
            at = at.caller
        yield from self.suspended.values()


def _is_simple(shot, found):
    """Whether this element, alone, changed or was added: nothing of the list stands at two places in it."""
    holder, indexes = found
    if shot.shared:
        return False
    for index in indexes[:-1]:
        shot = shot.parts.get(index) if shot.parts else None
        if type(shot) is not Shot:
            return False
    place = indexes[-1]
    if place == len(shot.items) == len(holder) - 1:
        return type(holder[place]) in ATOMS or not any(item is holder[place] for item in shot.items)
    return type(holder[place]) in ATOMS and not (shot.parts and place in shot.parts)


def _element(at, value, codes):
    """(list, indexes) that a target names, its indexes evaluated on plain numbers; None if it is no list of lists."""
    seen, indexes = at.frame.f_locals, []
    for place, code in enumerate(codes):
        try:
            index = eval(code, at.frame.f_globals, seen)
        except Exception:
            return None
        if type(value) is not list or type(index) is not int or not -len(value) <= index < len(value):
            return None
        indexes.append(index % len(value))
        holder = value
        value = value[index] if place + 1 < len(codes) else value
    return holder, tuple(indexes)
