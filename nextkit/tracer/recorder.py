"""The recorder: turns the events of a running program into steps.

Its methods are the events of `sys.monitoring`; `nextkit.tracer.events` calls them, there or from `sys.settrace`. A
step is finished when the next event of its frame arrives: only then can it be seen what the line changed. What was
seen is kept as it is and written down at the end, because most of it is never shown.
"""

import collections
import contextlib
import inspect
import sys
import time

from nextkit.tracer.plan import LIVE, Code, Line
from nextkit.tracer.values import (
    ATOMS,
    CODE,
    LONG_BELOW,
    LONG_INT,
    SMALL,
    Shot,
    Text,
    alike,
    contains,
    describe_exception,
    differences,
    freeze,
    literal,
    render,
    same,
)

PROGRAM = "<program>"
MISSING = object()
NOTHING = Text("")
QUIET = Line(0)
TAIL = 40  # the last steps of a run are kept, however long it is
HUGE = 1 << 200_000
HUGE_BELOW = -HUGE
BIG = 10_000_000  # elements
RESERVE = 120  # frames of the stack that are there for the recorder, beyond those that the program may use
SCANNED = 10_000_000  # elements of long containers that are looked through in one run
ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
INDEX, LINE, FUNCTION, DEPTH, CHANGES, EVENT, VALUE, WHERE, OUTPUT = range(9)


class Stop(BaseException):
    """Ends a program that reached a limit; not an Exception, so that `except Exception` lets it pass."""


class Frame:
    """A running function: its variables as last seen, those of them that can change in place, its current step."""

    __slots__ = ("caller", "code", "depth", "frame", "known", "line", "name", "seen", "step", "watched")


class Recorder:
    """What has been seen so far. plan, source: of the program. output: where it prints. Limits as in `run_traced`.

    tell: called with each step as it ends, already written down, for a program that may never come back.
    """

    def __init__(self, plan, *, source, output, max_steps, keep, timeout, max_value, max_bytes, tell=None):
        self.plan, self.lines, self.codes, self.last_line = plan, plan.lines, plan.codes, len(plan.lines) - 1
        self.max_steps, self.keep, self.max_value, self.max_bytes = max_steps, keep, max_value, max_bytes
        self.source, self.output, self.tell = source, output, tell
        self.max_depth = sys.getrecursionlimit() - 15
        self.deadline = time.monotonic() + timeout
        self.steps, self.late, self.tail = [], {}, collections.deque(maxlen=TAIL)
        self.truncated, self.suspended, self.shared = [], {}, None
        self.at, self.count, self.pause, self.scanned = None, 0, 0 if tell else min(64, max_steps), 0
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
        at.caller, at.frame, at.code, at.name, at.line = caller, frame, code, code.name, QUIET
        known = at.known = {}
        at.watched = {}
        seen = at.seen = frame.f_locals if code.looks else None
        self.at = at
        if not code.is_function:
            at.step = None
            return
        if code.data and (self.shared is None or caller is None or not caller.code.is_function):
            self._share(frame)
        index = self.count
        if index >= self.pause:
            self._check(index)
        self.count = index + 1
        at.step = step = [index, code.line, code.name, depth, (), "call", NOTHING, "", ""]
        (self.steps if index < self.keep else self.tail).append(step)
        changes = []
        for name in code.parameters:
            try:
                value = seen[name]
            except KeyError:  # of a frame that began unseen, and has deleted it
                continue
            if type(value) is int and HUGE_BELOW < value < HUGE:
                known[name] = value
                changes.append((name, None, value))
            else:
                self._bind(at, name, value, MISSING, changes)
        for name in code.free:
            if name in seen:
                self._bind(at, name, seen[name], MISSING, [])
        if changes:
            step[CHANGES] = changes
            if index >= self.keep:
                self.late[code.line] = step

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
                self._bind(at, name, value, MISSING, [])
        self._begin(at, self.lines[min(frame.f_lineno, self.last_line)].start, "line")

    def resume(self, frame):
        """A generator or coroutine goes on where it stopped."""
        at = self.suspended.pop(frame)
        at.caller = self.at
        at.depth = self.at.depth + 1 if self.at is not None else 1
        self.at = at
        return self._begin(at, self.lines[min(frame.f_lineno, self.last_line)].start, "line")

    def line(self, code, number):
        """A line is about to run, so the one before it in this frame has ended."""
        at = self.at
        line = self.lines[number]
        if line.several and line.start == at.line.start and not self._begins_statement(at, code, line):
            return
        if at.line.busy:
            self.look(at)
        at.line = line
        index = self.count
        if index >= self.pause:
            self._check(index)
        self.count = index + 1
        at.step = step = [index, line.start, at.name, at.depth, (), "line", NOTHING, "", ""]
        if index < self.keep:
            self.steps.append(step)
        else:
            self.tail.append(step)

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
            at.step[EVENT:OUTPUT] = "exception", Text(text), where
            self._keep_late(at.step)
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
        line, changes = at.line, []
        if line.names:
            known, seen = at.known, at.seen if LIVE else at.frame.f_locals
            for name in line.names:
                value, before = seen.get(name, MISSING), known.get(name, MISSING)
                if value is not before:
                    if type(value) is int and type(before) is int and not line.grows:  # the commonest case, made quick
                        known[name] = value
                        if value != before:
                            changes.append((name, None, value))
                    else:
                        self._bind(at, name, value, before, changes)
                elif name in at.watched and not same(value, at.watched[name]):  # `a += [1]` binds the list it changed
                    self._mutations(at, QUIET, changes)
        if line.wild:
            if at.watched:
                self._mutations(at, line, changes)
            if at.code.elsewhere:
                self._elsewhere(at, changes)
            if self.output.fresh:
                self._print(at.step)
        if changes and (step := at.step) is not None:
            step[CHANGES] = [*step[CHANGES], *changes] if step[CHANGES] else changes
            if step[INDEX] >= self.keep:
                self.late[step[LINE]] = step

    def _bind(self, at, name, value, before, changes):
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
            changes.append((name, None, value))
        elif kind not in CODE and not issubclass(kind, type):
            self._watch(at, name, value, shot, changes)
        elif before is not MISSING and type(before) not in CODE:  # code is told only where data was told before
            changes.append((name, None, freeze(value)))

    def _watch(self, at, name, value, before, changes):
        """Bind a name to a value that can change in place; before: the Shot of what it held, if that could too."""
        frozen = at.watched[name] = freeze(value)
        if type(frozen) is Shot and frozen.size <= SMALL and before is not None and alike(before, frozen):
            return
        changes.append((name, None, self._storable(frozen)))
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

    def _mutations(self, at, line, changes):
        for name, shot in list(at.watched.items()):
            value = at.known[name]
            if type(shot) is Shot and shot.size > SMALL:
                if line.targets is not None:
                    self._targets(at, name, value, shot, line.targets, changes)
                    continue
                if not self._may_scan(shot):
                    continue
            if not same(value, shot):
                self._mutated(at, name, value, shot, changes)

    def _mutated(self, at, name, value, shot, changes):
        new = at.watched[name] = freeze(value)
        if type(new) is Shot and (new.own or new.size > SMALL):
            self.scanned += 10 * new.size  # about what it costs to copy and compare, against a look
            found = differences(name, shot, new)
            changes += [(path, None, Text(render(now, self.max_value))) for path, now in found]
            if new.size > BIG:
                self.stop("values")
        else:
            changes.append((name, shot, new))

    def _may_scan(self, shot):
        self.scanned += shot.size
        if self.scanned > SCANNED and "values" not in self.truncated:
            self.truncated.append("values")
        return self.scanned <= SCANNED

    def _targets(self, at, name, value, shot, targets, changes):
        """Look at those elements of a long list that the line names, or that it may change through another name."""
        for root, codes in targets:
            found = _element(at, at.known.get(root, MISSING), codes)
            if root == name and found is not None and _is_simple(shot, found):
                self._element_changed(name, shot, found, changes)
            elif found is None or root == name or found[0] is value or contains(shot, found[0]):
                if self._may_scan(shot) and not same(value, shot):
                    self._mutated(at, name, value, shot, changes)
                return

    def _element_changed(self, name, shot, found, changes):
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
        changes.append((path, None, Text(literal(holder[place], self.max_value))))

    def _elsewhere(self, at, changes):
        """Variables that live outside the frame's own: in cells that inner functions bind, and in the module."""
        seen = at.frame.f_locals if at.code.cells else {}
        for name in at.code.cells:
            value, before = seen.get(name, MISSING), at.known.get(name, MISSING)
            if value is not before and value is not MISSING:
                self._bind(at, name, value, before, changes)
        module = self.shared
        for name in at.code.data if at.code.is_function else ():
            value, before = module.seen.get(name, MISSING), module.known.get(name, MISSING)
            if value is not before and value is not MISSING:
                self._bind(module, name, value, before, changes)
            elif name in module.watched and not same(value, module.watched[name]):
                self._mutated(module, name, value, module.watched[name], changes)

    def _share(self, frame):
        """What the module's variables hold when a function that uses them is called from outside."""
        self.shared = module = Frame()
        module.seen, module.known, module.watched = frame.f_globals, {}, {}
        for name in self.plan.data:
            if name in module.seen:
                self._bind(module, name, module.seen[name], MISSING, [])

    def _print(self, step):
        if step is not None:
            step[OUTPUT] += self.output.taken()[: self.max_value]
            self._keep_late(step)

    # Steps: beginning and ending them, and the limits.

    def _begin(self, at, number, event):
        index = self.count
        if index >= self.pause:
            self._check(index)
        self.count = index + 1
        at.step = step = [index, number, at.name, at.depth, (), event, NOTHING, "", ""]
        (self.steps if index < self.keep else self.tail).append(step)
        return step

    def _end(self, at, event, value):
        step = at.step
        if step is None or step[EVENT] == "exception" or step[EVENT] == "yield":
            step = self._begin(at, step[LINE] if step else at.frame.f_lineno, "line")
        kind = type(value)
        if kind not in ATOMS:
            value = self._storable(freeze(value))
        elif kind is str and len(value) > self.max_value:
            value = self._bounded(value)
        step[EVENT], step[VALUE] = event, value
        if step[INDEX] >= self.keep:
            self._keep_late(step)

    def _keep_late(self, step):
        """Past the steps that are kept, each line keeps its last one that has something to say."""
        if step[INDEX] >= self.keep:
            self.late[step[LINE]] = step

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
        if self.tell is not None and index <= self.keep:
            self.pause = index + 1
            self.tell(self.written([list(step) for step in self.steps[-2:]]))

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
        """All kept steps in order, written down: lists [index, line, function, depth, changes, event, ...]."""
        while self.at is not None:  # a program that was stopped: its frames have not ended
            if self.at.line.busy and self.at.step is not None:
                with contextlib.suppress(Stop):
                    self.look(self.at)
            self.at = self.at.caller
        if self.count == len(self.steps):
            return self.written(self.steps)
        late = {step[INDEX]: step for step in (*self.late.values(), *self.tail)}
        if self.count > len(self.steps) + len(late):
            self.truncated.append("middle")
        return self.written([*self.steps, *(late[index] for index in sorted(late))])

    def written(self, steps):
        """The steps with their values as literals, each as long as the cap on bytes allows to all of them."""
        limit = self.max_value
        values = sum(1 + len(step[CHANGES]) for step in steps) if len(steps) > 64 else len(steps)
        if values * limit > self.max_bytes:
            limit = max(24, self.max_bytes // values)
            self.truncated += [] if "bytes" in self.truncated else ["bytes"]
        for step in steps:
            if step[CHANGES]:
                step[CHANGES] = _written(step[CHANGES], limit)
            if step[VALUE] is not NOTHING:
                step[VALUE] = render(step[VALUE], limit)
        return steps


def _written(changes, limit):
    """Pairs (path, literal) of what look() found: (name, earlier Shot or None, value) each."""
    pairs = []
    for name, old, new in changes:
        if old is not None:
            pairs += [(path, render(now, limit)) for path, now in differences(name, old, new)]
        elif type(new) is int and LONG_BELOW < new < LONG_INT:  # the commonest case, made quick
            pairs.append((name, repr(new)))
        else:
            pairs.append((name, render(new, limit)))
    return pairs


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
