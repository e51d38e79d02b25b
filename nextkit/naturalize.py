"""Naturalizing: a trace written into the program as comments, so that it reads like the code does.

    def separate(lst):  # (0) lst=[1, 2, 3]
        odd = []  # (1) odd=[]
        for n in lst:  # (2) n=1; (4) n=2; ...; (8) n=3
            if n % 2 == 0:
                odd.append(n)  # (6) odd=[2]
        return odd  # (10) return [2]
    assert separate([1, 2, 3]) == [1, 3]  # got [2]

`(k)` counts executed lines. A line that ran many times keeps its first two states and its last; a line without a
comment changed nothing, or never ran. The layout is ours; the paper's figure differs in details.
"""

import io
import re
import tokenize

STYLES = ("inline", "concise", "scratchpad")
_COMMENT = re.compile(r"  # (?:\(\d+\) .*|got .*|raised .*|stopped after \d+ steps)$")


def naturalize(trace, *, style="inline", visits=(2, 1), max_value=32):
    """The traced program with its trace as comments, and the test below it with what came out; as one text.

    style: "inline" (NExT's: states at the end of each line), "concise" (only the first and the last state of a
    line), "scratchpad" (program and test, then every step on a line of its own). visits: how many first and last
    states of a line are kept. max_value: characters a value. Raises ValueError for another style.
    """
    if style not in STYLES:
        raise ValueError(f"style {style!r} is not known: choose one of {', '.join(STYLES)}")
    if style == "scratchpad":
        return _scratchpad(trace, max_value)
    first, last = (1, 1) if style == "concise" else visits
    comments = _comments(trace, first, last, max_value)
    lines = trace.program.strip("\n").splitlines()
    offset = _leading_lines(trace.program)
    commented = [_with_comment(line, comments.get(number + offset)) for number, line in enumerate(lines, 1)]
    return "\n".join([*commented, _with_comment(trace.test.strip(), _outcome(trace, max_value))])


def strip_trace(text):
    """A naturalized text (inline or concise) without its comments: program and test as they were."""
    return "\n".join(_COMMENT.sub("", line) for line in text.split("\n"))


def shorten(literal, limit):
    """A literal in at most about `limit` characters: its beginning, dots, and its end."""
    if len(literal) <= limit:
        return literal
    end = max(1, limit // 3)
    return f"{literal[: limit - end - 3]}...{literal[-end:]}"


def _comments(trace, first, last, max_value):
    """line -> comment, for lines that can carry one."""
    safe = _commentable(trace.program)
    states = {}
    for step in trace.steps:
        if state := _state(step, max_value):
            states.setdefault(safe.get(step.line, step.line), []).append(f"({step.index}) {state}")
    return {line: _thinned(shown, first, last) for line, shown in states.items() if line}


def _state(step, max_value):
    """What one step did, as text: its changes, then what it returned or raised; empty if there is nothing to say."""
    parts = [f"{name}={shorten(value, max_value)}" for name, value in step.changes]
    if step.event == "return":
        parts.append(f"return {shorten(step.value, max_value)}")
    elif step.event == "exception":
        parts.append(shorten(step.value, 2 * max_value))
    return "; ".join(parts).replace("\n", "\\n")


def _thinned(states, first, last):
    if len(states) > first + last:
        states = [*states[:first], "...", *states[-last:]]
    return "; ".join(states)


def _outcome(trace, max_value):
    if trace.outcome == "failed":
        return f"got {shorten(trace.got, 2 * max_value)}"
    if trace.outcome == "error":
        return f"raised {shorten(trace.exception, 2 * max_value)}".replace("\n", "\\n")
    return f"stopped after {len(trace.steps)} steps" if trace.outcome == "timeout" else ""


def _with_comment(line, comment):
    return f"{line}  # {comment}" if comment else line


def _leading_lines(program):
    """How many empty lines stand before the program's first one; steps count them, the text does not show them."""
    return len(program) - len(program.lstrip("\n"))


def _commentable(program):
    """line -> the line where its comment goes: the end of the logical line that it belongs to."""
    ends, start = {}, None
    try:
        for token in tokenize.generate_tokens(io.StringIO(program).readline):
            if token.type in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
                continue
            start = start or token.start[0]
            if token.type == tokenize.NEWLINE:
                ends |= {line: token.start[0] for line in range(start, token.start[0] + 1)}
                start = None
    except (tokenize.TokenError, IndentationError):
        pass
    return ends


def _scratchpad(trace, max_value):
    """Program and test as they are, then every step with a change as a line of its own."""
    lines = trace.program.splitlines()
    shown = [(step, _state(step, max_value)) for step in trace.steps]
    steps = [f"# ({step.index}) {lines[step.line - 1].strip()} -> {state}" for step, state in shown if state]
    test = _with_comment(trace.test.strip(), _outcome(trace, max_value))
    return "\n".join([trace.program.strip("\n"), *steps, test])
