"""Expected values: tests written from inputs and a reference program, which says in the sandbox what is right.

EvalPlus publishes thousands of inputs and no outputs; QuixBugs writes tuples as lists. Each test becomes one assert
statement, `assert f(1, [2]) == 3`, so that it can be read, traced, and compared outside the child.
"""

import ast
import re

from nextkit.comparing import decode

LONGEST = 20_000  # characters of a test; a few inputs of EvalPlus ask for texts of millions
SECONDS = 60.0  # for a reference on all its inputs; candidates get a multiple of what it took, see `check_program`


def write_tests(program, entry, inputs, *, sandbox, wrap=""):
    """(tests, how many inputs were left out): what `entry` of a reference program returns for each input, as asserts.

    inputs: lists of arguments, plain data. wrap: a function around the call, such as "list" for generators. An input
    is left out where the program raises, does not end, or returns what no literal can say, and where the test would
    have more than 20,000 characters.
    """
    calls = [call for call in (_call(entry, arguments, wrap) for arguments in inputs) if call]
    tests = []
    for call, code in zip(calls, _codes(program, calls, sandbox), strict=True):
        expected = None if code is None else literal_source(code)
        test = f"assert {call} == {expected}"
        if expected is not None and len(test) <= LONGEST:
            tests.append(test)
    return tests, len(inputs) - len(tests)


def literal_source(code):
    """Source text that `ast.literal_eval` reads back as an encoded value, or None where there is none."""
    try:
        return _checked(decode(code))
    except ValueError:
        return None


def _checked(value):
    """repr, with infinity as a number that overflows. Raises ValueError where that says something else."""
    text = repr(value)
    for source in (text, re.sub(r"\binf\b", "1e999", text)):
        try:
            read = ast.literal_eval(source)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if read == value and type(read) is type(value):
            return source
    raise ValueError(f"{text[:80]} cannot be written as a literal")


def _call(entry, arguments, wrap):
    """The source of a call, or None where it is too long or an argument cannot be written."""
    try:
        call = f"{entry}({', '.join(map(_checked, arguments))})"
    except ValueError:
        return None
    return None if len(call) > LONGEST else f"{wrap}({call})" if wrap else call


def _codes(program, calls, sandbox):
    """What each call returned, encoded; None for one that gave nothing."""
    codes = []
    while len(codes) < len(calls):
        codes += sandbox.values(program, calls[len(codes) :], timeout=SECONDS)
        if len(codes) < len(calls):
            codes.append(None)  # this one ended the run; the others have another
    return codes
