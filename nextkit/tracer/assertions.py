"""Assertions of a test: rewritten so that both sides are known when one fails."""

import ast

from nextkit.asserts import literal_arguments
from nextkit.comparing import encode, matches
from nextkit.tracer.values import literal

COMPARISONS = {
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
    ast.In: "in", ast.NotIn: "not in", ast.Is: "is", ast.IsNot: "is not",
}  # fmt: skip


class Assertions:
    """Called where an assertion of the test has failed, with both of its sides."""

    NAME = "__nextkit_failed__"

    def __init__(self, limit, oracle="equal", tolerance=0.0):
        self.limit, self.comparison = limit, dict(oracle=oracle, tolerance=tolerance)
        self.error, self.got, self.expected, self.line = None, "", "", 0

    def matches(self, got, expected, call):
        """Whether the value of a call (source text) is the one that was expected, as the judge compares."""
        arguments = literal_arguments(ast.parse(call, mode="eval").body)
        return matches(encode(got), expected, arguments=arguments, **self.comparison)

    def __call__(self, line, got, expected, message=None):
        """expected: a tuple that holds the value, or source where there is none. message: of the assert statement."""
        self.line, self.got = line, literal(got, self.limit)
        self.expected = expected if type(expected) is str else literal(expected[0], self.limit)
        self.error = AssertionError(*([] if message is None else [message]))
        raise self.error


def watch_assertions(test, judged=False):
    """The syntax tree of a test in which each assertion, when it fails, tells both of its sides to Assertions.

    judged: `f(literals) == literal` is compared as the judge does, by an oracle; else every assertion as Python does.
    """
    return ast.fix_missing_locations(_Watched(judged).visit(ast.parse(test)))


class _Watched(ast.NodeTransformer):
    """Rewrites `assert left == right` so that both sides are evaluated once, in order, and known when it fails."""

    LEFT, RIGHT = "__nextkit_left__", "__nextkit_right__"

    def __init__(self, judged):
        self.judged = judged

    def visit_Assert(self, node):
        test, negated = node.test, False
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            left, right = self._named(self.LEFT, test.left), self._named(self.RIGHT, test.comparators[0])
            holds, operator = ast.Compare(left, test.ops, [right]), COMPARISONS[type(test.ops[0])]
            expected = ast.Constant(f"{operator} {ast.unparse(test.comparators[0])}")
            if operator == "==":
                expected = ast.Tuple([ast.Name(self.RIGHT, ast.Load())], ast.Load())
                holds = self._as_judged(test, holds) if self.judged else holds
        else:
            negated = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
            holds, expected = self._named(self.LEFT, test.operand if negated else test), ast.Constant(str(not negated))
        known = [
            ast.Constant(node.lineno),
            ast.Name(self.LEFT, ast.Load()),
            expected,
            *([node.msg] if node.msg else []),
        ]
        failed = ast.Expr(ast.Call(ast.Name(Assertions.NAME, ast.Load()), known, []))
        return ast.copy_location(ast.If(holds if negated else ast.UnaryOp(ast.Not(), holds), [failed], []), node)

    def _as_judged(self, test, holds):
        """The comparison by an oracle, where the judge would use it; else the comparison as it is."""
        try:
            ast.literal_eval(test.comparators[0])
            literal_arguments(test.left)
        except ValueError:
            return holds
        compare = ast.Attribute(ast.Name(Assertions.NAME, ast.Load()), "matches", ast.Load())
        return ast.Call(compare, [holds.left, *holds.comparators, ast.Constant(ast.unparse(test.left))], [])

    @staticmethod
    def _named(name, value):
        return ast.NamedExpr(ast.Name(name, ast.Store()), value)
