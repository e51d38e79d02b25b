"""Comparing: whether the value that a program returned is the one that was expected.

The program runs in the sandbox's child and cannot be trusted with the answer. The child writes the value down as plain
data (`encode`, here, but run there); this side, which alone knows what is expected, compares. Nothing that the
program wrote, its `__eq__` least of all, takes part in that.

    exact   the same value of the same type, at every level: `1`, `True` and `1.0` are three values
    equal   Python's ==, as the assert statement itself would have it: `240.0 == 240`
    root    any root of the polynomial that was the argument (HumanEval/32 asks for one, whichever it is)

A tolerance, where a data set has one, forgives numbers that differ by up to `tolerance + 1e-7 * abs(expected)`.
Standard library only, because the sandbox's child uses it.
"""

import cmath
import collections
import json

DICTS = (dict, collections.Counter, collections.defaultdict, collections.OrderedDict)
DEEPEST = 200  # levels of nesting
RELATIVE = 1e-7


def encode(value, depth=0):
    """A value as nested lists [tag, content] that keep its exact type; anything but plain data is ["opaque", type].

    Sets and dicts are sorted, so that equal values have equal codes. Subclasses count as opaque: their idea of
    equality is their own.
    """
    kind = type(value)
    if depth > DEEPEST:
        return ["opaque", "nested too deep"]
    if value is None or kind in (bool, str):
        return [kind.__name__, value]
    if kind is int:
        return ["int", hex(value)]
    if kind is float:
        return ["float", repr(value + 0.0)]  # -0.0 equals 0.0
    if kind is complex:
        return ["complex", repr(value)]
    if kind is bytes:
        return ["bytes", value.hex()]
    if kind in (list, tuple):
        return [kind.__name__, [encode(item, depth + 1) for item in value]]
    if kind in (set, frozenset):
        return [kind.__name__, sorted((encode(item, depth + 1) for item in value), key=json.dumps)]
    if kind in DICTS:
        items = [[encode(k, depth + 1), encode(v, depth + 1)] for k, v in value.items()]
        return ["dict", sorted(items, key=json.dumps)]
    return ["opaque", kind.__name__]


def decode(code):
    """The plain value that `encode` wrote. Raises ValueError for an opaque one, and for what `encode` never wrote."""
    try:
        tag, content = code
        return _DECODERS[tag](content)
    except (TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise ValueError("not plain data") from None


_DECODERS = dict(
    NoneType=lambda _: None,
    bool=bool,
    str=str,
    int=lambda content: int(content, 16),
    float=float,
    complex=complex,
    bytes=bytes.fromhex,
    list=lambda content: list(map(decode, content)),
    tuple=lambda content: tuple(map(decode, content)),
    set=lambda content: set(map(decode, content)),
    frozenset=lambda content: frozenset(map(decode, content)),
    dict=lambda content: {decode(key): decode(value) for key, value in content},
)


def matches(code, expected, *, oracle="exact", tolerance=0.0, arguments=()):
    """Whether an encoded value is what was expected; whatever a hostile child wrote instead of one is not.

    oracle: see the module. tolerance: absolute, for numbers. arguments: of the call, for the oracles that ask.
    """
    try:
        if oracle == "root":
            return _root(code, arguments, tolerance)
        wanted = encode(expected)
        if _size(code) != _size(wanted):  # first, because to build sets and dicts of a stranger's can take for ever
            return False
        return ORACLES[oracle](code, wanted, expected) or (
            tolerance > 0 and close(decode(code), expected, tolerance, oracle == "exact")
        )
    except (ValueError, TypeError, OverflowError, RecursionError):
        return False


def _size(code):
    """How many parts a code has: equal values have equally many."""
    return 1 + sum(map(_size, code)) if isinstance(code, list) else 1


def close(value, expected, tolerance, exact=True):
    """Whether two plain values are alike but for small differences between the floats inside.

    exact: whether an int may not stand for a float.
    """
    if not exact and type(value) is int and type(expected) is float:
        value = float(value)
    if type(value) is not type(expected):
        return False
    if isinstance(expected, list | tuple):
        pairs = zip(value, expected, strict=False)
        return len(value) == len(expected) and all(close(*pair, tolerance, exact) for pair in pairs)
    if isinstance(expected, dict):
        pairs = ((value[key], expected[key]) for key in expected if key in value)
        return value.keys() == expected.keys() and all(close(*pair, tolerance, exact) for pair in pairs)
    if isinstance(expected, float | complex):
        near = cmath.isfinite(expected) and abs(value - expected) <= tolerance + RELATIVE * abs(expected)
        return value == expected or near
    return value == expected


def _exact(code, wanted, expected):
    return code == wanted and decode(code) == expected  # an opaque value is no answer


def _equal(code, wanted, expected):
    return decode(code) == expected


def _root(code, arguments, tolerance):
    (coefficients,), (tag, _) = arguments, code
    if tag not in ("int", "float"):
        return False
    root = float(decode(code))
    return abs(sum(factor * root**power for power, factor in enumerate(coefficients))) <= tolerance


ORACLES = dict(exact=_exact, equal=_equal, root=_root)


def check_oracle(oracle):
    """Raises ValueError where there is no oracle of this name."""
    if oracle not in ORACLES:
        raise ValueError(f"there is no oracle {oracle!r}: choose one of {', '.join(ORACLES)}")


def show(code, limit=200):
    """An encoded value as text for people, cut to `limit` characters; nothing of it is built, so no value is too long."""
    text = ""
    try:
        for piece in _pieces(code):
            text += piece
            if len(text) > limit:
                return text[: limit - 3] + "..."
    except (ValueError, TypeError, RecursionError):
        text = f"<{code[1]}>" if isinstance(code, list) and len(code) == 2 else "nothing readable"
    return text if len(text) <= limit else text[: limit - 3] + "..."


_BRACKETS = dict(list="[]", tuple="()", set="{}", frozenset=("frozenset({", "})"), dict="{}")


def _pieces(code):
    """The literal of an encoded value, piece by piece."""
    tag, content = code
    if tag not in _BRACKETS:
        yield repr(decode(code))
        return
    if not content and tag in ("set", "frozenset"):
        yield f"{tag}()"
        return
    opening, closing = _BRACKETS[tag]
    yield opening
    for number, item in enumerate(content):
        yield ", " if number else ""
        if tag == "dict":
            key, item = item
            yield from _pieces(key)
            yield ": "
        yield from _pieces(item)
    yield "," + closing if tag == "tuple" and len(content) == 1 else closing
