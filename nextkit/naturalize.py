"""Naturalizing: a trace written into the program as comments, so that it reads like the code does.

    def separate(lst):  # (0) lst=[1, 2, 3]
        odd = []  # (1) odd=[]
        for n in lst:  # (2) n=1; (4) n=2; (7) n=3
            if n % 2 == 0:
                odd.append(n)  # (6) odd=[2]
        return odd  # (10) return [2]
    assert separate([1, 2, 3]) == [1, 3]  # got [2]

`(k)` counts executed lines. A line that ran many times keeps its first two states and its last; a line without a
comment changed nothing, or never ran. The layout is ours; the paper's figure differs in details. Three styles:

    inline      as above: NExT's
    concise     only the first and the last state of a line:      for n in lst:  # (2) n=1; ...; (7) n=3
                and no argument that the test shows anyway
    scratchpad  the program as it is, then a line a step:         # (2) for n in lst: -> n=1

And one that is none, for comparison: `outcome` tells how the test ended and nothing of the way there.

`naturalize(trace, budget=200)` shrinks the trace until it fits; see there in which order.
"""

import ast
import contextlib
import functools
import re
import tokenize
from dataclasses import dataclass, replace

from nextkit.records import expect
from nextkit.stripping import strip_trace, tokens
from nextkit.tracing import Trace

__all__ = ["STYLES", "ambiguous", "commentable", "count_tokens", "naturalize", "shorten", "strip_trace"]
STYLES = ("inline", "concise", "scratchpad")
_TOKENS = re.compile(r"[A-Za-z_]+|\d|[^\w\s]|\n|  +")
_BREAKS = {ord(sign): repr(sign)[1:-1] for sign in "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"}  # all that end a line


def naturalize(trace, *, style="inline", visits=(2, 1), max_value=32, budget=None, length=None):
    """The traced program with its trace as comments, and the test below it with what came out; as one text.

    style: "inline", "concise", "scratchpad" or "outcome", see the module. visits: how many first and last states of a line are
    kept. max_value: characters a value.

    budget: how long the text may be, counted by length(text), by default `count_tokens`; pass a tokenizer's own count
    as `length=lambda text: len(tokenizer(text).input_ids)`. Until the text fits, there go, in this order: long values,
    middle states of a line, its early states, then states of whole lines, the earliest first, and at the very end
    exceptions that were caught, the earliest first. The failing assertion, the last exception, one that nothing caught
    and the last state always stay. A last comment says what was left out.

    Raises ValueError for another style, for no visits or no room for a value, and for a budget that even the least text
    exceeds; TypeError for what is no Trace.
    """
    expect(trace, Trace, "trace(task) makes one")
    if style not in (*STYLES, "outcome"):
        raise ValueError(f"style {style!r} is not known: choose one of {', '.join(STYLES)}, outcome")
    if max_value < 1 or not (isinstance(visits, tuple | list) and len(visits) == 2 and min(visits) >= 0):
        raise ValueError(f"max_value={max_value!r}, visits={visits!r}: give at least 1, and two numbers such as (2, 1)")
    length = length or count_tokens
    if style == "outcome":
        text = "\n".join([trace.program.strip("\n"), _test(trace, max_value)])
        return text if budget is None or length(text) <= budget else _refuse(budget, length(text))
    shown = _Shown(max_value, *visits)
    if style == "concise":
        shown = _Shown(max_value, 1, 1, arguments=False)
    write = _Scratchpad(trace) if style == "scratchpad" else _Inline(trace)
    if "depth" in trace.truncated:
        shown = shown.without("steps after the stack was used up")
    if budget is None:
        return _noted(write, shown)
    return _fitted(write, shown, budget, length)


def count_tokens(text):
    """Length in tokens, roughly as language models cut code: words, single digits, signs, line breaks, indents."""
    return len(_TOKENS.findall(text))


def shorten(literal, limit):
    """A literal in at most about `limit` characters: its beginning, dots, and its end."""
    if len(literal) <= limit:
        return literal
    end = max(1, limit // 3)
    return f"{literal[: limit - end - 3]}...{literal[-end:]}"


@dataclass(frozen=True)
class _Shown:
    """How much is shown: characters a value, first and last states of a line, the earliest step; what is left out.

    arguments: whether also those of the call that the test makes, which stand in the test. caught: the earliest step
    whose exception is shown, though the program caught it; the last exception is shown anyway.
    """

    max_value: int
    first: int
    last: int
    earliest: int = 0
    arguments: bool = True
    caught: int = 0
    left_out: tuple[str, ...] = ()

    def without(self, what, **changes):
        return replace(self, left_out=tuple(dict.fromkeys((*self.left_out, what))), **changes)


def _fitted(write, shown, budget, length):
    """The text of the first of ever smaller views that fits."""
    sizes = []
    for smaller in _smaller(shown, write.last):
        text = _noted(write, smaller)
        sizes.append(length(text))
        if sizes[-1] <= budget:
            return text
    return _refuse(budget, min(sizes))


def _refuse(budget, least):
    raise ValueError(f"budget {budget} is too small: the least that can be shown would take {least}: raise the budget")


def _noted(write, shown):
    note = f"\n# left out: {', '.join(shown.left_out)}" if shown.left_out else ""
    return write(shown) + note


def _smaller(shown, last_step):
    yield shown
    for limit in (24, 16, 10):
        if limit < shown.max_value:
            shown = shown.without("long values", max_value=limit)
            yield shown
    while shown.first > 1 or shown.last > 1:
        shown = shown.without("middle states", first=min(1, shown.first), last=1)
        yield shown
    if shown.first:
        shown = shown.without("early states", first=0)
        yield shown
    gap = last_step
    while gap >= 1:
        gap //= 2
        shown = shown.without("early lines", earliest=last_step - gap)
        yield shown
    gap = last_step
    while gap >= 1:
        gap //= 2
        shown = shown.without("caught exceptions", caught=last_step - gap)
        yield shown


class _Inline:
    """Writes the states behind the lines that caused them. last: index of the last step that has a state."""

    def __init__(self, trace):
        self.trace, self.ambiguous = trace, ambiguous(trace)
        self.places = commentable(trace.program)
        self.last = max((step.index for step in trace.steps if _has_state(step)), default=0)

    def __call__(self, shown):
        trace, comments = self.trace, self.comments(shown)
        offset = _leading_lines(trace.program)
        lines = trace.program.strip("\n").split("\n")
        text = [_with_comment(line, comments.get(number + offset)) for number, line in enumerate(lines, 1)]
        return "\n".join([*text, _test(trace, shown.max_value)])

    def comments(self, shown):
        """line -> comment."""
        states = {}
        for step, state in self.states(shown):
            place = self.places.get(step.line, step.line)
            states.setdefault(place, []).append((self.is_kept(step, shown), f"({step.index}) {state}"))
        return {line: _thinned(found, shown.first, shown.last) for line, found in states.items()}

    @functools.cached_property
    def given(self):
        """Literals of the arguments that the test passes."""
        return _arguments(self.trace.test) if self.trace.steps else set()

    def states(self, shown):
        """(step, what it did as text) of each step that is shown."""
        for step in self.trace.steps:
            last = step.index == self.last
            if not shown.arguments and not last and step.event == "call" and step.depth == 1:
                step = replace(step, changes=tuple(pair for pair in step.changes if pair[1] not in self.given))
            if _has_state(step) and (last or step.index >= shown.earliest or self.is_kept(step, shown)):
                yield step, _state(step, shown.max_value, step.index in self.ambiguous)

    @functools.cached_property
    def raised(self):
        """Indexes of the exceptions that always stay: the last, and one that nothing caught."""
        found = [step for step in self.trace.steps if step.event == "exception"]
        uncaught = [step for step in found if step.value == self.trace.exception]
        return {step.index for step in (*found[-1:], *uncaught[-1:])}

    def is_kept(self, step, shown):
        """Whether a step stays for the exception that it raised."""
        return step.event == "exception" and (step.index >= shown.caught or step.index in self.raised)


class _Scratchpad(_Inline):
    """Writes program and test as they are, then every step with a state on a line of its own."""

    def __call__(self, shown):
        trace, lines = self.trace, self.trace.program.split("\n")
        steps, before = [], None
        thinned = self.kept(shown) if "middle states" in shown.left_out else None
        for step, state in self.states(shown):
            if thinned is None or step.index in thinned:
                steps.append(f"# ({step.index}) {_one_line(lines[step.line - 1].strip())} -> {state}")
            elif before is None or before.index in thinned:
                steps.append("# ...")
            before = step
        return "\n".join([trace.program.strip("\n"), *steps, _test(trace, shown.max_value)])

    def kept(self, shown):
        """Indexes of the first and last states of each line."""
        by_line = {}
        for step, _ in self.states(shown):
            by_line.setdefault(step.line, []).append(step.index)
        ends = [[*found[: shown.first], *found[len(found) - shown.last :]] for found in by_line.values()]
        raised = [step.index for step in self.trace.steps if self.is_kept(step, shown)]
        return {index for found in ends for index in found} | {*raised, self.last}


def _arguments(test):
    """Literals of the arguments that a test passes."""
    found = set()
    for node in ast.walk(ast.parse(test)):
        if isinstance(node, ast.Call):
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                with contextlib.suppress(ValueError, TypeError):
                    found.add(repr(ast.literal_eval(argument)))
    return found


def _has_state(step):
    return bool(step.changes or step.output or step.event in ("return", "yield", "exception"))


def _state(step, max_value, ambiguous=False):
    """What one step did, as text: its changes, what it printed, what it returned, yielded or raised."""
    parts = [f"{name}={shorten(value, max_value)}" for name, value in step.changes]
    if step.output:
        parts.append(f"prints {shorten(repr(step.output.removesuffix(chr(10))), max_value)}")
    if step.event in ("return", "yield"):
        parts.append(f"{step.event} {shorten(step.value, max_value)}")
    elif step.event == "exception":
        parts.append(shorten(step.value, 2 * max_value) + (f" in {step.where}" if ambiguous else ""))
    return _one_line("; ".join(parts))


def _thinned(states, first, last):
    """The first and last states, and every exception that stays; dots where some between are left out."""
    cut = len(states) - last
    shown, skipped = [], False
    for number, (stays, state) in enumerate(states):
        if number < first or number >= cut or stays:
            shown += ["...", state] if skipped and first else [state]
            skipped = False
        else:
            skipped = True
    return "; ".join(shown)


def _test(trace, max_value):
    """The test with what came out behind the assertion that failed, else behind its end."""
    lines = trace.test.strip().split("\n")
    line = trace.test_line - trace.test[: len(trace.test) - len(trace.test.lstrip())].count("\n")
    place = commentable(trace.test.strip()).get(line, len(lines)) if trace.test_line else len(lines)
    lines[place - 1] = _with_comment(lines[place - 1], _outcome(trace, max_value))
    return "\n".join(lines)


def _outcome(trace, max_value):
    if trace.outcome == "failed":
        return _one_line(f"got {shorten(trace.got, 2 * max_value)}")
    if trace.outcome == "error":
        return _one_line(f"raised {shorten(trace.exception, 2 * max_value)}")
    return f"stopped after {trace.executed} steps" if trace.outcome == "timeout" else ""


def _one_line(text):
    """The text without anything that ends a line: what the program names or says must not go on below as code."""
    return text.translate(_BREAKS)


def _with_comment(line, comment):
    return f"{line}  # {comment}" if comment else line


def _leading_lines(program):
    """How many empty lines stand before the program's first one; steps count them, the text does not show them."""
    return len(program) - len(program.lstrip("\n"))


def ambiguous(trace):
    """Indexes of exception steps that do not say which of several expressions of one kind on their line raised."""
    raised = [step for step in trace.steps if step.event == "exception" and step.where]
    raised = [step for step in raised if f"'{step.where}'" not in step.value]
    if not raised:
        return set()
    try:
        tree = ast.parse(trace.program)
    except (SyntaxError, ValueError):
        return set()
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    return {step.index for step in raised if _several(step, statements, trace.program)}


def _several(step, statements, program):
    nodes = [node for statement in statements if statement.lineno == step.line for node in ast.walk(statement)]
    nodes = [node for node in nodes if isinstance(node, ast.expr) and node.lineno == step.line]
    kinds = {type(node) for node in nodes if ast.get_source_segment(program, node) == step.where}
    return any(
        len({(n.lineno, n.col_offset, n.end_col_offset) for n in nodes if type(n) is kind}) > 1 for kind in kinds
    )


def commentable(program):
    """line -> the line where its comment goes: the end of the logical line that it belongs to."""
    ends, start = {}, None
    for token in tokens(program):
        if token.type in (tokenize.NL, tokenize.COMMENT, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
            continue
        start = start or token.start[0]
        if token.type == tokenize.NEWLINE:
            ends |= {line: token.start[0] for line in range(start, token.start[0] + 1)}
            start = None
    return ends
