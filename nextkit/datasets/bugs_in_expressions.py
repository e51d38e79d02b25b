"""Bugs in expressions: the wrong comparison, operator, constant, name, bound or part.

Each function yields the sites of one node of a syntax tree as tuples (kind, parent, field, new value); the catalogue in
`nextkit.datasets.mutate` tells the kinds. `names` is that module's account of the program's names.
"""

import ast
from functools import partial

COMPARISONS = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq, ast.GtE),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS = {
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Add, ast.FloorDiv),  # never to a power: one such line can run for hours
    ast.FloorDiv: (ast.Mod, ast.Mult),
    ast.Div: (ast.FloorDiv, ast.Mult),
    ast.Mod: (ast.FloorDiv,),
    ast.Pow: (ast.Mult,),
}
COUNTERPARTS = dict(max="min", any="all", upper="lower", isupper="islower", isdigit="isalpha", startswith="endswith")
COUNTERPARTS |= {other: one for one, other in COUNTERPARTS.items()}
UNWRAPPED = {"abs", "sorted", "len", "sum", "max", "min", "str", "int", "set", "list", "tuple", "reversed"}


def operator_edits(node, names):
    """comparison and operator: another one of the same family."""
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            for other in COMPARISONS.get(type(op), ()):
                yield "comparison", node, "ops", replaced(node.ops, place, other())
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        for other in OPERATORS.get(type(node.op), ()):
            yield "operator", node, "op", other()
    if isinstance(node, ast.BoolOp):
        yield "operator", node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And()


def constant_edits(node, names):
    """constant: a number one or two off, the other truth value, a short word that lost a letter."""
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield "constant", node, "value", not value
    elif isinstance(value, int):
        yield from (("constant", node, "value", value + d) for d in (-2, -1, 1, 2) if value + d >= 0)
    elif isinstance(value, str) and 0 < len(value) <= 8 and value.isalpha():
        yield "constant", node, "value", value[1:] or ("e" if value != "e" else "a")


def name_edits(node, names):
    """variable: one of the program for another. operator: a function for its counterpart, such as max for min."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if node.id in names.variables:
            yield from (("variable", node, "id", other) for other in names.variables if other != node.id)
        elif node.id in COUNTERPARTS:
            yield "operator", node, "id", COUNTERPARTS[node.id]
    if isinstance(node, ast.Attribute) and node.attr in COUNTERPARTS:
        yield "operator", node, "attr", COUNTERPARTS[node.attr]


def boundary_edits(node, names):
    """boundary: the end of a range one off."""
    if not (is_call_of(node, "range") and node.args):
        return
    place = min(1, len(node.args) - 1)
    stop = node.args[place]
    if isinstance(stop, ast.BinOp) and isinstance(stop.right, ast.Constant) and stop.right.value == 1:
        others = [stop.left]
    else:
        others = [ast.BinOp(stop, op, ast.Constant(1)) for op in (ast.Sub(), ast.Add())]
    for other in others:
        yield "boundary", node, "args", replaced(node.args, place, other)


def part_edits(node, names):
    """part: an expression whose outer part is forgotten."""
    for child, field, put in children(node):
        inner = _inner(child)
        if inner is not None and not is_call_of(node, "range"):
            yield "part", node, field, put(inner)


def _inner(node):
    """What is left of an expression when its outer part is forgotten, or None where there is no such part."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in UNWRAPPED:
        return node.args[0] if len(node.args) == 1 else None
    if isinstance(node, ast.BinOp):
        return node.left
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return node.operand
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
        return node.value
    return None


def children(node):
    """Tuples (child, field, put) of the node; put(other) is the value of the field with `other` in the child's place."""
    for field, value in ast.iter_fields(node):
        if isinstance(value, list):
            yield from ((item, field, partial(replaced, value, place)) for place, item in enumerate(value))
        else:
            yield value, field, lambda other: other


def is_call_of(node, *functions):
    """Whether the node calls one of these functions by its plain name."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions


def replaced(items, place, *others):
    """A copy of the list with the item at `place` replaced by `others`: by none, it is taken out."""
    return [*items[:place], *others, *items[place + 1 :]]


def plus(node, amount):
    """The expression `node + amount` as people write it: n - 1 for n and -1, n for n - 1 and 1, 3 for 2 and 1."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        total = node.value + amount
        return ast.Constant(total) if total >= 0 else ast.UnaryOp(ast.USub(), ast.Constant(-total))
    is_sum = isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub))
    if is_sum and isinstance(node.right, ast.Constant) and isinstance(node.right.value, int):
        amount += node.right.value if isinstance(node.op, ast.Add) else -node.right.value
        node = node.left
    if amount == 0:
        return node
    return ast.BinOp(node, ast.Add() if amount > 0 else ast.Sub(), ast.Constant(abs(amount)))
