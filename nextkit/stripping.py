"""Stripping: a naturalized text without its comments, so that program and test stand as they were.

    strip_trace(naturalize(trace)) == f"{trace.program}\n{trace.test}"

A program has comments of its own, and they may look like the trace's. What is taken off must read like a state or an
outcome in every detail; what reads exactly like one cannot be told apart, from the text alone.
"""

import ast
import builtins
import io
import re
import tokenize
import warnings

_QUOTED = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_PATH = rf"[^\W\d]\w*(?:\.[^\W\d]\w*|\[(?:{_QUOTED}|[^\]'\"])+\])*"
_WORDS = (
    r"(?!(?:nan|inf|int|float|str|bytes|bool|list|tuple|set|dict|type|object)\b)[a-z]+(?: |$)"  # no value's beginning
)
# A comment of ours begins so: a change, what was returned or printed, or an exception, whose name may be cut.
_STATE = re.compile(
    rf"  # \(\d+\) (?:(?:{_PATH}=|return |yield )(?![=\s]|{_WORDS})|prints ['\"]|"
    r"(?P<raised>[^\W\d]\w*)(?P<then>: |:?\.\.\.|; | in |$))"
)
_OUTCOME = re.compile(
    rf"  # (?:got (?P<got>(?!{_WORDS}).+)|raised (?P<raised>[^\W\d]\w*)(?P<then>: .*|:?\.\.\..*|)|"
    r"stopped after \d+ steps)$"
)
_IN_QUOTES = re.compile(rf"(?<!\w)b?{_QUOTED}")
_NAMED_SO = re.compile(r"\w*(?:Error|Exception|Warning|Exit|Interrupt)|[A-Z][a-z0-9]+[A-Z]\w*")


def strip_trace(text):
    """A naturalized text (inline or concise) without its comments: program and test as they were.

    Comments of the program's own stay, unless they read exactly like the trace's and none of those stands behind them.
    """
    lines = text.split("\n")
    if lines[-1].startswith("# left out: "):
        lines.pop()
    starts = _comment_starts(lines)
    states = {row: _state_start(lines[row], max(0, column - 2), text) for row, column in starts.items()}
    states = {row: start for row, start in states.items() if start is not None}
    below = [row for row in starts if row > max(states, default=-1)]  # the test stands below all states
    for row in sorted(below, reverse=True):
        start = _outcome_start(lines[row], max(0, starts[row] - 2), text)
        if start is not None:
            states[row] = start
            break
    for row, start in states.items():
        lines[row] = lines[row][:start]
    return "\n".join(lines)


def _state_start(line, begin, text):
    """Where the trace's states begin on a line: the last place that looks so and is not in a text that they show."""
    cut = None
    for found in _STATE.finditer(line, begin):
        if found["raised"] and not _is_exception(found, text):
            continue
        if not _is_quoted(line, begin if cut is None else cut, found.start()):
            cut = found.start()
    return cut


def _outcome_start(line, begin, text):
    """Where the comment begins that tells how the test ended, or None: its value must read like one."""
    for place in (place for place in range(len(line), begin - 1, -1) if line.startswith("  # ", place)):
        found = _OUTCOME.match(line, place)
        if not found or (found["got"] and not _is_value(found["got"])):
            continue
        if not found["raised"] or _is_exception(found, text):
            return place
    return None


def _is_exception(found, text):
    """Whether a name is an exception's: one of Python's, one named like them, one that the program names, or one cut."""
    name, then = found["raised"], found["then"]
    if then.lstrip(":").startswith("..."):
        return name[0].isupper()
    known = getattr(builtins, name, None)
    is_known = isinstance(known, type) and issubclass(known, BaseException)
    is_named = re.search(rf"\b(?:class|except|raised?) [^\n]*\b{name}\b", text)
    return is_known or bool(_NAMED_SO.fullmatch(name) or is_named)


def _is_quoted(line, begin, place):
    """Whether a place stands inside a text in quotes that begins after `begin`."""
    return any(found.start() < place < found.end() for found in _IN_QUOTES.finditer(line, begin))


def _is_value(text):
    """Whether a text could be a value as the trace writes it, not words."""
    if "..." in text or text[0] in "<'\"":
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in what somebody wrote
            return bool(ast.parse(text, mode="eval"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "<" in text  # an object that has no literal


def _comment_starts(lines):
    """row -> column where its comment begins, from 0; what Python cannot read is searched from the line's start."""
    found, row = {}, 0
    for token in tokens("\n".join(lines)):
        row = token.end[0]
        if token.type == tokenize.COMMENT:
            found[token.start[0] - 1] = token.start[1]
    return found | {rest: 0 for rest in range(row, len(lines))}


def tokens(program):
    """The tokens of a program up to where it stops being Python."""
    try:
        yield from tokenize.generate_tokens(io.StringIO(program).readline)
    except (tokenize.TokenError, SyntaxError):
        return
