"""Bugs by mutation: every single edit of a program's syntax tree that the catalogue knows.

Repair tasks need buggy programs. `random_edit` makes one from a correct program; the same edits, made blindly on a
buggy program, are the control that every repair rate must beat (on small programs a blind edit is right surprisingly
often). The catalogue, by kind:

    comparison  < for <=, == for !=, in for not in       variable   one variable of the program for another
    operator    + for -, and for or, max for min         part       abs(x) to x, x + 1 to x, not c to c, x[1:] to x
    constant    3 for 2, True for False, 'a' for 'e'     placement  a return moved into or out of a block
    boundary    range(n) for range(n + 1)                missing    a statement taken out
    branch      the two sides of an if swapped
"""

import ast
import builtins
from dataclasses import dataclass

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
BUILTINS = set(dir(builtins))

# How often each kind is drawn when it applies: about as often as people make such mistakes in short programs.
WEIGHTS = dict(
    comparison=3, operator=3, constant=3, variable=2.2, boundary=2.5, part=2, placement=1.2, missing=2, branch=2.5
)


@dataclass(frozen=True)
class Edit:
    """One edit of a program. kind: see the catalogue. program: the whole edited program, as source text."""

    kind: str
    program: str


def random_edit(program, rng, *, avoid=(), weights=WEIGHTS, tries=8):
    """One random single edit of `program` (source text), the kind drawn by weight; None when nothing can be edited.

    rng: a random.Random. avoid: programs that must not come out. Raises SyntaxError if `program` is not Python.
    """
    tree = ast.parse(program)
    before = ast.unparse(tree)
    by_kind = {}
    for site in _sites(tree):
        by_kind.setdefault(site[0], []).append(site)
    for _ in range(tries if by_kind else 0):
        kind = rng.choices(list(by_kind), [weights[kind] for kind in by_kind])[0]
        after = _applied(tree, *rng.choice(by_kind[kind])[1:])
        if after not in (before, None, *avoid):
            return Edit(kind, after)
    return None


def all_edits(program):
    """Every single edit of `program`, as a list of distinct Edits. Raises SyntaxError if it is not Python."""
    tree = ast.parse(program)
    found = {ast.unparse(tree): None}
    for kind, *change in _sites(tree):
        after = _applied(tree, *change)
        if after is not None:
            found.setdefault(after, Edit(kind, after))
    return [edit for edit in found.values() if edit]


def _applied(tree, parent, field, value):
    """The program with `parent.field` set to `value`, for as long as it takes to write it down."""
    kept = getattr(parent, field)
    setattr(parent, field, value)
    try:
        text = ast.unparse(ast.fix_missing_locations(tree))
        ast.parse(text)
        return text
    except (SyntaxError, ValueError, AttributeError):
        return None
    finally:
        setattr(parent, field, kept)


def _sites(tree):
    """Where the tree can be edited: tuples (kind, parent, field, new value)."""
    variables = _variables(tree)
    for node in ast.walk(tree):
        yield from _operator_edits(node)
        yield from _constant_edits(node)
        yield from _name_edits(node, variables)
        yield from _boundary_edits(node)
        yield from _part_edits(node)
        yield from _statement_edits(node)


def _variables(tree):
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    arguments = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return sorted((names | arguments) - functions - BUILTINS)


def _operator_edits(node):
    if isinstance(node, ast.Compare):
        for place, op in enumerate(node.ops):
            for other in COMPARISONS.get(type(op), ()):
                yield "comparison", node, "ops", [*node.ops[:place], other(), *node.ops[place + 1 :]]
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        for other in OPERATORS.get(type(node.op), ()):
            yield "operator", node, "op", other()
    if isinstance(node, ast.BoolOp):
        yield "operator", node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And()


def _constant_edits(node):
    if not isinstance(node, ast.Constant):
        return
    value = node.value
    if isinstance(value, bool):
        yield "constant", node, "value", not value
    elif isinstance(value, int):
        yield from (("constant", node, "value", value + d) for d in (-2, -1, 1, 2) if value + d >= 0)
    elif isinstance(value, str) and 0 < len(value) <= 8 and value.isalpha():
        yield "constant", node, "value", value[1:] or ("e" if value != "e" else "a")


def _name_edits(node, variables):
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        if node.id in variables:
            yield from (("variable", node, "id", other) for other in variables if other != node.id)
        elif node.id in COUNTERPARTS:
            yield "operator", node, "id", COUNTERPARTS[node.id]
    if isinstance(node, ast.Attribute) and node.attr in COUNTERPARTS:
        yield "operator", node, "attr", COUNTERPARTS[node.attr]


def _boundary_edits(node):
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and node.args):
        return
    place = min(1, len(node.args) - 1)
    stop = node.args[place]
    if isinstance(stop, ast.BinOp) and isinstance(stop.right, ast.Constant) and stop.right.value == 1:
        others = [stop.left]
    else:
        others = [ast.BinOp(stop, op, ast.Constant(1)) for op in (ast.Sub(), ast.Add())]
    for other in others:
        yield "boundary", node, "args", [*node.args[:place], other, *node.args[place + 1 :]]


def _part_edits(node):
    in_range = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range"
    for field, value in ast.iter_fields(node):
        if isinstance(value, list):
            for place, item in enumerate(value):
                inner = _inner(item)
                if inner is not None and not in_range:
                    yield "part", node, field, [*value[:place], inner, *value[place + 1 :]]
        elif (inner := _inner(value)) is not None:
            yield "part", node, field, inner


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


def _statement_edits(node):
    for field in ("body", "orelse"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield from _block_edits(node, field, block)


def _block_edits(node, field, block):
    for place, statement in enumerate(block):
        rest = [*block[:place], *block[place + 1 :]]
        is_call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        if rest and (isinstance(statement, ast.AugAssign) or is_call):
            yield "missing", node, field, rest
        if isinstance(statement, ast.If) and statement.orelse and not isinstance(statement.orelse[0], ast.If):
            swapped = ast.If(statement.test, statement.orelse, statement.body)
            yield "branch", node, field, [*block[:place], swapped, *block[place + 1 :]]
        last = place == len(block) - 1
        if isinstance(statement, (ast.For, ast.While, ast.If)) and not last:
            after = block[place + 1]
            if isinstance(after, ast.Return):
                moved = _with_body(statement, [*statement.body, after])
                yield "placement", node, field, [*block[:place], moved, *block[place + 2 :]]
        if isinstance(statement, (ast.For, ast.While)) and last and isinstance(statement.body[-1], ast.Return):
            shorter = _with_body(statement, statement.body[:-1])
            if shorter.body:
                yield "placement", node, field, [*block[:place], shorter, statement.body[-1]]


def _with_body(statement, body):
    fields = {name: value for name, value in ast.iter_fields(statement)}
    return type(statement)(**{**fields, "body": body})
