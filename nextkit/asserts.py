"""Asserts: tests as they are written, `assert f(1, [2]) == 3`, and which of them can be compared outside the child.

Standard library only, because the sandbox's child uses it.
"""

import ast
import contextlib
import functools
from typing import NamedTuple

from nextkit.parsing import parse

WRAPPERS = frozenset({"list", "tuple", "set", "dict", "sorted", "len", "sum", "str", "round"})


class ParsedTest(NamedTuple):
    """A test as it is run. form: "call" for `f(literals) == literal`, else "assert". source: what the child gets.

    `list(f(literals))` is a call as well, and so it is with the other WRAPPERS: the child need not know what is
    expected. expected: the literal; arguments: of the call of f, positional ones only.
    """

    form: str
    source: str
    expected: object = None
    arguments: tuple = ()


@functools.lru_cache(maxsize=10_000)
def parse_test(test):
    """The ParsedTest of a test's source. Raises ValueError if it is not Python."""
    try:
        body = parse(test).body
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"test {test!r} is not valid Python: {error}") from None
    with contextlib.suppress(ValueError, AttributeError, TypeError, IndexError):
        (statement,) = body
        compared = statement.test
        (operator,), (right,), call = compared.ops, compared.comparators, compared.left
        if isinstance(operator, ast.Eq) and isinstance(statement, ast.Assert):
            return ParsedTest("call", ast.unparse(call), ast.literal_eval(right), literal_arguments(call))
    return ParsedTest("assert", test)


def literal_arguments(call):
    """The positional arguments of `f(literals)`, also inside `list(...)` and the like. Raises ValueError elsewhere."""
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or not all(k.arg for k in call.keywords):
        raise ValueError
    if call.func.id in WRAPPERS and call.args and isinstance(call.args[0], ast.Call):
        first, *rest = call.args
        arguments = literal_arguments(first)
    else:
        rest, arguments = call.args, tuple(map(ast.literal_eval, call.args))
    for other in (*rest, *(keyword.value for keyword in call.keywords)):
        ast.literal_eval(other)
    return arguments
