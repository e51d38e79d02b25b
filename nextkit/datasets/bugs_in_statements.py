"""Bugs in statements: something missing, in the wrong place, asked the wrong way round, or ended too early.

Sites as in `nextkit.datasets.bugs_in_expressions`.
"""

import ast

from nextkit.datasets.bugs_in_expressions import children, is_call_of, plus, replaced
from nextkit.parsing import parse

LOOPS, ENDS = (ast.For, ast.While), (ast.Return, ast.Break, ast.Continue, ast.Raise)
INVERSES = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.In: ast.NotIn, ast.Is: ast.IsNot}
INVERSES |= {other: one for one, other in INVERSES.items()}
NEVER_MISSING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Expr)
OTHER_STARTS = {"0": ("1", "-1"), "1": ("0", "-1"), "None": ("0",), "[]": ("[0]",), "''": ("' '",), "{}": ("None",)}
NUMBERS = {"len", "max", "min", "int", "float", "sum", "abs"}
QUESTIONS = {"any", "all", "bool", "isinstance", "startswith", "endswith", "issubset"}


def block_edits(node, names):
    """missing: an update or a call. branch: the two sides of an if. placement: a return into or out of a block."""
    for field, block, place in _statements(node):
        statement, rest, last = block[place], replaced(block, place), place == len(block) - 1
        is_call = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        if rest and (isinstance(statement, ast.AugAssign) or is_call):
            yield "missing", node, field, rest
        if isinstance(statement, ast.If) and statement.orelse and not isinstance(statement.orelse[0], ast.If):
            swapped = ast.If(statement.test, statement.orelse, statement.body)
            yield "branch", node, field, replaced(block, place, swapped)
        if isinstance(statement, (*LOOPS, ast.If)) and not last and isinstance(block[place + 1], ast.Return):
            moved = _with_body(statement, [*statement.body, block[place + 1]])
            yield "placement", node, field, [*block[:place], moved, *block[place + 2 :]]
        if isinstance(statement, LOOPS) and last and isinstance(statement.body[-1], ast.Return):
            shorter = _with_body(statement, statement.body[:-1])
            if shorter.body:
                yield "placement", node, field, [*block[:place], shorter, statement.body[-1]]


def removal_edits(node, names):
    """removed-statement: any other statement, and the else of an if."""
    for field, block, place in _statements(node):
        rest = replaced(block, place)
        if any(not isinstance(other, ast.Expr) for other in rest) and _can_go(block[place], names):
            yield "removed-statement", node, field, rest
    if isinstance(node, ast.If) and node.orelse:
        yield "removed-statement", node, "orelse", []


def _can_go(statement, names):
    """Whether the program still knows its names without this statement, and no other kind takes it out."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        return names.assigned[statement.targets[0].id] > 1
    return not isinstance(statement, (*NEVER_MISSING, ast.AugAssign, ast.Pass))


def start_edits(node, names):
    """initial-value: what a variable holds before a loop."""
    for field, block, place in _statements(node):
        statement = block[place]
        is_plain = isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)
        if is_plain and any(isinstance(later, LOOPS) for later in block[place + 1 :]):
            for other in _other_starts(statement.value):
                yield "initial-value", node, field, replaced(block, place, ast.Assign(statement.targets, other))


def _other_starts(value):
    """Other values to start from than this expression."""
    others = OTHER_STARTS.get(ast.unparse(value))
    if others is None and isinstance(value, ast.List):
        others = ("[]",)
    elif others is None and (isinstance(value, (ast.Constant, ast.Subscript)) or is_call_of(value, *NUMBERS)):
        others = ("0",)
    return [parse(other, mode="eval").body for other in others or ()]


def early_return_edits(node, names):
    """early-return: what a function returns after a loop is also returned inside it, in the first round or branch."""
    for field, block, place in _statements(node):
        loop, final = block[place], block[-1]
        if not (isinstance(loop, LOOPS) and isinstance(final, ast.Return)):
            continue
        if not isinstance(loop.body[-1], ENDS):
            yield "early-return", node, field, replaced(block, place, _with_body(loop, [*loop.body, final]))
        for spot, branch in enumerate(loop.body):
            if isinstance(branch, ast.If) and not isinstance(branch.body[-1], ENDS):
                ended = replaced(loop.body, spot, _with_body(branch, [*branch.body, final]))
                yield "early-return", node, field, replaced(block, place, _with_body(loop, ended))


def condition_edits(node, names):
    """condition: asked the other way round, or one part of it forgotten."""
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield "condition", node, "test", _negated(node.test)
    for child, field, put in children(node):
        for place in range(len(child.values) if isinstance(child, ast.BoolOp) else 0):
            first, *others = replaced(child.values, place)
            yield "condition", node, field, put(ast.BoolOp(child.op, [first, *others]) if others else first)
    if isinstance(node, ast.comprehension):
        for place, test in enumerate(node.ifs):
            yield "condition", node, "ifs", replaced(node.ifs, place)
            yield "condition", node, "ifs", replaced(node.ifs, place, _negated(test))


def _negated(test):
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return ast.Compare(test.left, [INVERSES[type(test.ops[0])]()], test.comparators)
    return ast.UnaryOp(ast.Not(), test)


def return_value_edits(node, names):
    """return-value: the opposite answer, one half of a sum or a tuple, the halves of a tuple swapped."""
    value = node.value if isinstance(node, ast.Return) else None
    if isinstance(value, (ast.Compare, ast.BoolOp)) or is_call_of(value, *QUESTIONS):
        yield "return-value", node, "value", _negated(value)
    elif isinstance(value, ast.BinOp) and not isinstance(value.right, ast.Constant):
        yield "return-value", node, "value", value.right  # the left half alone is a kind of its own: part
    elif isinstance(value, ast.Tuple) and value.elts:
        yield from (("return-value", node, "value", item) for item in value.elts)
        yield "return-value", node, "value", ast.Tuple(value.elts[::-1], ast.Load())


def loop_edits(node, names):
    """loop: a round too many or too few, break for continue."""
    if isinstance(node, ast.While) and isinstance(node.test, ast.Compare):
        *others, limit = node.test.comparators
        for amount in (-1, 1):
            shifted = ast.Compare(node.test.left, node.test.ops, [*others, plus(limit, amount)])
            yield "loop", node, "test", shifted
    elif is_call_of(node, "range") and node.args:
        yield from (("loop", node, "args", arguments) for arguments in _other_ranges(*node.args))
    elif isinstance(node, ast.For) and isinstance(node.iter, ast.Name):
        for bounds in (ast.Slice(ast.Constant(1)), ast.Slice(None, ast.UnaryOp(ast.USub(), ast.Constant(1)))):
            yield "loop", node, "iter", ast.Subscript(node.iter, bounds, ast.Load())
    for field, block, place in _statements(node):
        if isinstance(block[place], (ast.Break, ast.Continue)):
            other = ast.Continue() if isinstance(block[place], ast.Break) else ast.Break()
            yield from (("loop", node, field, replaced(block, place, new)) for new in (other, ast.Pass()))


def _other_ranges(first, stop=None, *step):
    """Arguments of a range that starts elsewhere, or without its step; where it stops has a kind of its own."""
    if stop is None:
        return [[ast.Constant(1), first]]
    others = [[plus(first, amount), stop, *step] for amount in (-1, 1)]
    return [*others, [first, stop] if step else [stop]]


def _statements(node):
    """Tuples (field, block, place): every statement in the blocks of the node."""
    for field in ("body", "orelse"):
        block = getattr(node, field, None)
        if isinstance(block, list):
            yield from ((field, block, place) for place in range(len(block)))


def _with_body(statement, body):
    fields = {name: value for name, value in ast.iter_fields(statement)}
    return type(statement)(**{**fields, "body": body})
