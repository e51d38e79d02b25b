"""Bugs in calls, indices, slices and texts: how a library and its sequences are misused.

Sites as in `nextkit.datasets.bugs_in_expressions`.
"""

import ast
import re

from nextkit.datasets.bugs_in_expressions import children, plus, replaced

# What people take for each other. Not combinations for permutations: one such call can run for hours.
RELATIVES = dict(
    append="extend", extend="append", add="discard", find="rfind", rfind="find", strip="lstrip", lstrip="rstrip",
    rstrip="lstrip", floor="ceil", ceil="floor", union="intersection", intersection="union", issubset="issuperset",
    difference="symmetric_difference", keys="values", values="keys", search="match", match="search", fullmatch="match",
    nlargest="nsmallest", nsmallest="nlargest", bisect_left="bisect_right", bisect_right="bisect_left",
    isalnum="isalpha", title="capitalize", capitalize="title", popleft="pop", appendleft="append",
    permutations="combinations",
)  # fmt: skip
OPTIONAL = {"round", "enumerate", "int", "get", "most_common", "split", "sum", "log"}  # the last argument is
SEPARATORS = {"": " ", " ": "", ", ": ",", ",": " ", "_": " ", "-": "", "\n": " "}
UNSWAPPED = {"max", "min", "gcd", "pow"}  # pow: the larger one might become the exponent


def argument_edits(node, names):
    """arguments: two neighbours swapped."""
    if not isinstance(node, ast.Call) or _name(node) in UNSWAPPED:
        return
    for place, (one, other) in enumerate(zip(node.args, node.args[1:], strict=False)):
        yield "arguments", node, "args", [*node.args[:place], other, one, *node.args[place + 2 :]]


def call_edits(node, names):
    """call: a relative of the function, a flag or an optional argument forgotten or added."""
    if not isinstance(node, ast.Call):
        return
    name = _name(node)
    if name in RELATIVES:
        yield "call", node.func, "id" if isinstance(node.func, ast.Name) else "attr", RELATIVES[name]
    for place, keyword in enumerate(node.keywords):
        if keyword.arg in ("key", "reverse", "start", "default"):
            yield "call", node, "keywords", replaced(node.keywords, place)
    if name in ("sort", "sorted") and "reverse" not in {keyword.arg for keyword in node.keywords}:
        yield "call", node, "keywords", [*node.keywords, ast.keyword("reverse", ast.Constant(True))]
    if name in OPTIONAL and len(node.args) > 1:
        yield "call", node, "args", node.args[:-1]
    if name == "pop" and len(node.args) < 2:
        yield "call", node, "args", [] if node.args else [ast.Constant(0)]


def index_edits(node, names):
    """index: one off, from the other end, or two indices swapped."""
    for child, field, put in children(node):
        if _is_index(child) and _is_index(child.value):
            turned = ast.Subscript(child.value.value, child.slice, child.value.ctx)
            yield "index", node, field, put(ast.Subscript(turned, child.value.slice, child.ctx))
    if not _is_index(node):
        return
    index = node.slice
    if isinstance(index, ast.Constant) and index.value == 0 and not isinstance(index.value, bool):
        yield "index", node, "slice", ast.Constant(-1)
    elif _is_minus_one(index):
        yield "index", node, "slice", ast.Constant(0)
    elif isinstance(index, ast.Name) and index.id in names.counters:
        yield from (("index", node, "slice", plus(index, amount)) for amount in (-1, 1))


def slice_edits(node, names):
    """slice: a bound one off, added or dropped; the step dropped or turned round."""
    if not isinstance(node, ast.Slice):
        return
    for bound in ("lower", "upper"):
        value = getattr(node, bound)
        if value is None:
            yield "slice", node, bound, ast.Constant(1) if bound == "lower" else _minus_one()
        else:
            yield "slice", node, bound, None
            if not isinstance(value, ast.Constant):  # constants have a kind of their own
                yield from (("slice", node, bound, plus(value, amount)) for amount in (-1, 1))
    if node.step is not None:
        yield "slice", node, "step", None
        is_turned = isinstance(node.step, ast.UnaryOp)
        yield "slice", node, "step", node.step.operand if is_turned else ast.UnaryOp(ast.USub(), node.step)


def string_edits(node, names):
    """string: another separator, other decimals, an anchor or a quantifier of a pattern."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from (("string", node, "value", other) for other in _slips(node.value))


def _slips(text):
    if text in SEPARATORS:
        yield SEPARATORS[text]
    if len(text) > 1 and text.startswith("^"):
        yield text[1:]
    if len(text) > 1 and text.endswith("$"):
        yield text[:-1]
    for old, new in (("+", "*"), ("*", "+")):
        if old in text[1:]:
            yield text[0] + text[1:].replace(old, new, 1)
    if found := re.search(r"\.(\d)f", text):
        yield text.replace(found[0], f".{(int(found[1]) + 1) % 4}f", 1)


def _name(call):
    """What is called, without the object it belongs to; "" where that has no name."""
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def _is_index(node):
    return isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice)


def _minus_one():
    return ast.UnaryOp(ast.USub(), ast.Constant(1))


def _is_minus_one(node):
    return ast.dump(node) == ast.dump(_minus_one())
