"""Rationales of the offline models: a small fixed language, so that what they say can be checked exactly.

A rationale of this world says what came out, what the trace shows, and which edit mends the program:

    It returns 3, not 2. The trace shows (4) t=3. In `t += x` change `+=` to `-=`.

`agrees` applies the edit that a rationale states to the line that it names and compares the result with the fix:
does the model do what it says? `truthful` asks whether the result that it quotes is the true one.
"""

import ast
import difflib
import re
from functools import partial

from nextkit.prompting import is_python, same_program

_EDITS = {
    "change": re.compile(r"In `(?P<line>[^`]*)` change `(?P<old>[^`]*)` to `(?P<new>[^`]*)`\."),
    "move": re.compile(r"Move `(?P<old>[^`]*)` (?P<way>out of|into) the block\."),
    "add": re.compile(r"Add `(?P<new>[^`]*)` after `(?P<old>[^`]*)`\."),
    "remove": re.compile(r"Remove `(?P<old>[^`]*)`\."),
    "swap": re.compile(r"Swap the branches of `(?P<old>[^`]*)`\."),
}
_TOKEN = re.compile(r"'[^']*'|\w+|\*\*=?|//=?|[-+*/%<>=!]=|\S")
_RESULT = re.compile(r"It (?:returns (?P<value>.*?), not |raises (?P<error>\w+)|never ends)", re.S)


def state_edit(buggy, fixed):
    """The sentence that says how to get from `buggy` to `fixed`, and the buggy line that it names.

    Returns (sentence, line), or None where the two differ by more than one such edit.
    """
    before, after = buggy.splitlines(), fixed.splitlines()
    ops = [op for op in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes() if op[0] != "equal"]
    sentence, line = _one_line(before, after, *ops[0]) if len(ops) == 1 else ("", "")
    if not sentence:
        sentence, line = _swap(buggy, fixed)
    return (sentence, line) if sentence and agrees(buggy, sentence, fixed) else None


def agrees(buggy, rationale, fix):
    """Whether the fix is the buggy program with exactly the edit that the rationale states; None if it states none.

    A fix that changes nothing is no edit, even where the rationale says so ("change `x` to `x`").
    """
    kind, parts = _stated(rationale)
    if kind is None:
        return None
    edited = any(same_program(program, fix) for program in _apply(kind, buggy, **parts))
    return edited and not same_program(buggy, fix)


def carried_out(buggy, rationale):
    """The buggy program with the edit that a rationale states; empty where it states none that can be made in it.

    The edit is made in the line that it names or, since a small model may slip in copying, in the likest one in which it
    can be. A line that is added may stand in several blocks: the first counts that gives Python.
    """
    kind, parts = _stated(rationale)
    if kind is None:
        return ""
    name = "line" if "line" in parts else "old"
    lines = sorted({line.strip() for line in buggy.splitlines()}, key=partial(_likeness, parts[name]), reverse=True)
    edited = (program for line in lines for program in _apply(kind, buggy, **parts | {name: line}))
    return next(filter(is_python, edited), "")


def _stated(rationale):
    """(kind, its parts) of the edit that a rationale states; (None, None) where it states none."""
    found = ((kind, pattern.search(rationale)) for kind, pattern in _EDITS.items())
    return next(((kind, stated.groupdict()) for kind, stated in found if stated), (None, None))


def _likeness(one, other):
    """How much two lines have in common: 1 if they are alike but for space; ties in the order of their text."""
    return difflib.SequenceMatcher(None, _TOKEN.findall(one), _TOKEN.findall(other)).ratio(), other


def truthful(rationale, trace):
    """Whether the result that the rationale quotes is the one in the trace; None if it quotes none."""
    found = _RESULT.search(rationale)
    if not found:
        return None
    if found["value"] is not None:
        return trace.outcome == "failed" and found["value"] == trace.got
    return trace.exception.startswith(found["error"]) if found["error"] else trace.outcome == "timeout"


def write_rationale(rng, buggy, fixed, trace, *, traced=True, style="grounded", slip=False):
    """A rationale for the step from `buggy` to `fixed`, or None where no single edit states it.

    style: "grounded" (result, state, edit), "plain" (the edit alone) or "vague" (no edit). traced: whether the reader
    sees the trace, so that states may be quoted. slip: numbers quoted from the run come out wrong.
    """
    stated = state_edit(buggy, fixed)
    if stated is None:
        return None
    sentence, line = stated
    if style == "vague":
        return f"Something is off in the {_what(line)}, so I change it."
    if style == "plain":
        return sentence
    result, quote = _result(trace), _quote(rng, line, trace) if traced else ""
    if slip:
        result, quote = _jitter(rng, result), _jitter(rng, quote)
    return " ".join(part for part in (result, quote, sentence) if part)


def _one_line(before, after, tag, start, end, new_start, new_end):
    old, new = before[start:end], after[new_start:new_end]
    if tag == "replace" and len(old) == len(new) == 1:
        one, other = old[0].strip(), new[0].strip()
        if one == other:
            return f"Move `{one}` {'out of' if len(new[0]) < len(old[0]) else 'into'} the block.", one
        return "In `{}` change `{}` to `{}`.".format(one, *_difference(one, other)), one
    if tag == "insert" and len(new) == 1 and start:
        line = before[start - 1].strip()
        return f"Add `{new[0].strip()}` after `{line}`.", line
    if tag == "delete" and len(old) == 1:
        return f"Remove `{old[0].strip()}`.", old[0].strip()
    return "", ""


def _difference(one, other):
    """The shortest parts of two lines in which they differ, as text: whole tokens, brackets closed, never empty.

    The part of the first line occurs once in it, so that it names its place.
    """
    old, new = list(_TOKEN.finditer(one)), list(_TOKEN.finditer(other))
    a, b = [t.group() for t in old], [t.group() for t in new]
    head = _shared(a, b)
    tail = _shared(a[head:][::-1], b[head:][::-1])
    for wider in range(head + tail + 1):
        for left in range(min(wider, head), max(0, wider - tail) - 1, -1):
            start, rest = head - left, tail - (wider - left)
            parts = a[start : len(a) - rest], b[start : len(b) - rest]
            if all(map(_whole, parts)) and len(list(_places(a, parts[0]))) == 1:
                return one[old[start].start() : old[-1 - rest].end()], other[new[start].start() : new[-1 - rest].end()]
    return one, other


def _shared(a, b):
    """How many tokens two lists begin with alike."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _whole(tokens):
    """Whether tokens are there and every bracket among them is closed there."""
    depth = 0
    for token in tokens:
        depth += (token in "([{") - (token in ")]}")
        if depth < 0:
            return False
    return bool(tokens) and depth == 0


def _places(tokens, part):
    return (i for i in range(len(tokens) - len(part) + 1) if tokens[i : i + len(part)] == part)


def _replaced(line, old, new):
    """The line with one occurrence of the tokens `old` replaced by the text `new`: once for each occurrence."""
    tokens, part = list(_TOKEN.finditer(line)), _TOKEN.findall(old)
    for i in _places([t.group() for t in tokens], part) if part else ():
        yield line[: tokens[i].start()] + new + line[tokens[i + len(part) - 1].end() :]


def _swap(buggy, fixed):
    for node in ast.walk(ast.parse(buggy)):
        if isinstance(node, ast.If) and node.orelse:
            line = f"if {ast.unparse(node.test)}:"
            if any(same_program(program, fixed) for program in _apply("swap", buggy, line)):
                return f"Swap the branches of `{line}`.", line
    return "", ""


def _apply(kind, buggy, old, new="", way="", line=""):
    """Every program that the stated edit can mean: once for each line that it may speak of."""
    lines, named = buggy.splitlines(), line or old
    if kind == "swap":
        yield from _swapped(buggy, old)
        return
    for place, line in enumerate(lines):
        if line.strip() != named.strip():
            continue
        before, after, indent = lines[:place], lines[place + 1 :], len(line) - len(line.lstrip())
        if kind == "change":
            yield from ("\n".join([*before, text, *after]) for text in _replaced(line, old, new))
        elif kind == "remove":
            yield "\n".join([*before, *after])
        elif kind == "move":
            yield from ("\n".join([*before, " " * d + old, *after]) for d in _steps(indent, out=way == "out of"))
        else:
            yield from (
                "\n".join([*before, line, " " * d + new, *after]) for d in (indent, indent + 4, indent - 4, indent - 8)
            )


def _steps(indent, *, out):
    return [d for d in range(0, 24, 4) if (d < indent if out else d > indent)]


def _swapped(buggy, line):
    try:
        tree = ast.parse(buggy)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and node.orelse and f"if {ast.unparse(node.test)}:" == line:
            node.body, node.orelse = node.orelse, node.body
            yield ast.unparse(tree)
            node.body, node.orelse = node.orelse, node.body


def _result(trace):
    if trace.outcome == "failed":
        return f"It returns {trace.got}, not {trace.expected}."
    return "It never ends." if trace.outcome == "timeout" else f"It raises {trace.exception.split(':')[0]}."


def _quote(rng, line, trace):
    """One state that the trace holds for the line to be edited, quoted with its number."""
    numbers = {number for number, text in enumerate(trace.program.splitlines(), 1) if text.strip() == line}
    states = [step for step in trace.steps if step.line in numbers and step.changes]
    if not states:
        return ""
    step = states[0] if rng.random() < 0.6 else rng.choice(states)
    shown = ", ".join(f"{name}={value}" for name, value in step.changes)
    return f"The trace shows ({step.index}) {shown}." if len(shown) <= 40 else ""


def _jitter(rng, text):
    return re.sub(r"\d+", lambda found: str(max(0, int(found.group()) + rng.choice([-2, -1, 1, 2]))), text)


def _what(line):
    for words, name in ((("for", "while"), "loop"), (("if",), "condition"), (("return",), "result")):
        if line.startswith(words):
            return name
    return "update"
