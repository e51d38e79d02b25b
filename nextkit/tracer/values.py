"""Values: what a variable holds, kept so that it can be compared and written down later.

Nothing of the program's own runs here: no `__eq__`, `__repr__`, `__getattr__` or property. Containers and objects are
copied shallowly into a Shot, whose elements are compared by identity: `1`, `True` and `1.0` differ, a numpy array is
never asked whether it is equal. Atoms cannot change, so they are kept as they are.
"""

import enum
import fractions
import re
import types

from nextkit.tracer.contents import ATOMS, BUFFERS, contents, defined_by_program, identical, is_object, of_type

PLAIN_KINDS = frozenset({list, tuple, dict})
NUMBERS = frozenset({int, float, bool})
SHORT = frozenset({int, float, bool, str, type(None)})
PLAIN = PLAIN_KINDS | SHORT
SYNTAX = frozenset({SyntaxError, IndentationError, TabError})
CODE = frozenset({types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type})
BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}
DEEPEST = 25  # levels of nesting that are followed
LITTLE, LITTLE_BELOW = 2**30 - 1, -(2**30) + 1  # between these, Python compares fastest
LONG_INT = 10**60
LONG_BELOW = -LONG_INT
SMALL = 64  # elements; a bigger container is watched where the program names what it changes, see `plan`
FLOAT = 24  # characters; no float's literal is longer
FLOOR = 8  # characters; a container that has no more than this to be written in is written as `[...]`
DIGESTED = 2**18  # bytes; a bigger numpy array is compared by what is written of it
WITHIN_ERROR = "error"  # stands for the containers around an exception, see `_error`


class Text(str):
    """A value that is written down already. digest, if it has one: tells values apart that are written alike."""

    __slots__ = ("digest",)


CUT = Text("...")


class Shot:
    """A container or object at one moment.

    kind: its type. keys: of a dict, the names of an object's attributes, or None. items: its elements, the same
    objects. kinds: their types. parts: position -> Shot or Text of each element that can itself change. size: elements
    at all levels, those of a Shot that occurs at two places once; of a buffer, eight bytes count as one. own: whether
    objects of the program's classes are inside. shared: whether a Shot occurs at two places.
    """

    __slots__ = ("items", "keys", "kind", "kinds", "own", "parts", "shared", "size")

    def __init__(self, kind, keys, items, kinds, parts, size, own, shared=False):
        self.kind, self.keys, self.items, self.kinds, self.parts = kind, keys, items, kinds, parts
        self.size, self.own, self.shared = size, own, shared


def freeze(value, above=(), known=None):
    """A value at this moment: itself if it is an atom, a Shot of what has contents, a Text of all else.

    above: identities of the containers around it, so that one that contains itself ends. known: level -> identity ->
    what was made of an element on that level, so that one that many paths lead to is copied once. A Shot found on
    another level is no good: it was followed to another depth.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is list:
        keys, items, own = None, value[:], False
    elif kind in BUFFERS:
        return Shot(kind, None, value[:], {*map(type, value[:1])}, None, memoryview(value).nbytes // 8, False)
    else:
        found = contents(value, kind)
        if found is None:
            return _opaque(value, kind, above)
        keys, items, own = found
    kinds = {type(item) for item in items}
    if kinds <= ATOMS:
        return Shot(kind, keys, items, kinds, None, len(items), own)
    if id(value) in above or len(above) >= DEEPEST:
        return CUT
    return _parts_frozen(Shot(kind, keys, items, kinds, {}, len(items), own), (*above, id(value)), known)


def _parts_frozen(shot, above, known):
    """The Shot, with the parts that its elements are."""
    known = {} if known is None else known
    parts, level = shot.parts, known.setdefault(len(above), {})
    for place, item in enumerate(shot.items):
        if type(item) not in ATOMS:
            part = parts[place] = level.get(id(item))
            if part is None:
                part = parts[place] = freeze(item, above, known)
                if part is CUT:  # it may not be so on another path
                    continue
                level[id(item)] = part
                if type(part) is Shot:
                    shot.size += part.size
                    shot.own, shot.shared = shot.own or part.own, shot.shared or part.shared
            elif type(part) is Shot:
                shot.own, shot.shared = shot.own or part.own, True
    return shot


def same(value, shot, known=None):
    """Whether a value is still what its Shot or Text says. known: identities of the parts that were looked at."""
    if type(shot) is not Shot:
        return shot is CUT or same_text(freeze(value), shot)
    if type(value) is not shot.kind:  # an object can be given another class
        return False
    if shot.kind is list:
        items = value
    elif shot.kind in BUFFERS:
        return bytes(value) == bytes(shot.items)
    else:
        keys, items, _ = contents(value, shot.kind)
        if keys is not None and not identical(keys, shot.keys):
            return False
    if not identical(items, shot.items):
        return False
    return shot.parts is None or _same_parts(shot, known)


def _same_parts(shot, known):
    if shot.shared and known is None:
        known = set()
    for place, part in shot.parts.items():
        if shot.shared:
            if id(part) in known:
                continue
            known.add(id(part))
        if not same(shot.items[place], part, known):
            return False
    return True


def literal(value, limit=200):
    """A value as a Python literal of about `limit` characters at most; never runs code of the value's own."""
    return render(_short(value), limit)


def render(frozen, limit=200, done=None):
    """What `freeze` returned, as a Python literal of about `limit` characters; a longer one loses its middle.

    done: (identity, limit) -> literal of each Shot that was written on the way: all are asked for from the front and
    from the back of what they are in. Also identity -> frozen key.
    """
    kind = type(frozen)
    if kind is int and LONG_BELOW < frozen < LONG_INT:
        return repr(frozen)
    if kind is float and limit >= FLOAT:
        return repr(frozen)
    if kind is Text:
        return frozen if len(frozen) <= limit else frozen[: max(1, limit - 3)] + "..."
    if kind is not Shot:
        return _atom(frozen, kind, limit)
    if frozen.kind is list and frozen.kinds <= NUMBERS and frozen.size <= SMALL:
        text = _plain(frozen.items)
        if text and len(text) <= limit:
            return text
    if frozen.size <= SMALL and not frozen.own and (not frozen.shared or _spread(frozen) <= SMALL):
        text = _at_once(frozen, limit)
        if text is not None and len(text) <= limit:
            return text
    if limit <= FLOOR and frozen.parts:  # else each level would be written, however deep, and none to be read
        return _wrapped(frozen, "...")
    done, pair = {} if done is None else done, (id(frozen), limit)
    if pair not in done:
        done[pair] = _container(frozen, limit, done)
    return done[pair]


def contains(shot, value, known=None):
    """Whether `value`, a container, is somewhere inside a Shot. known: identities of Shots that were looked through."""
    if type(shot) is not Shot or shot.parts is None:
        return False
    known = set() if known is None else known
    for place, part in shot.parts.items():
        if shot.items[place] is value:
            return True
        if type(part) is Shot and part.parts is not None and id(part) not in known:
            known.add(id(part))
            if contains(part, value, known):
                return True
    return False


def describe_exception(error, limit=200):
    """`Type: message`, or the type alone where there is no message; the program's own `__str__` is not called."""
    kind = type(error)
    message = ""
    if kind in SYNTAX and type(error.msg) is str and type(error.lineno) is int and 0 < error.lineno < LONG_INT:
        message = f"{error.msg} (line {error.lineno})"
    elif all(type(argument) in ATOMS for argument in error.args):
        own = any(
            "__str__" in of_type(base, "__dict__") for base in of_type(kind, "__mro__") if defined_by_program(base)
        )
        try:
            message = BaseException.__str__(error) if own else str(error)
        except Exception:
            message = ""
    elif error.args:
        message = ", ".join(literal(argument, limit) for argument in error.args)
    return render(Text(f"{kind.__name__}: {message}" if message else kind.__name__), limit)


def _opaque(value, kind, above):
    """The Text of a value whose contents are not looked at, or are looked at through its library."""
    module, name = of_type(kind, "__module__"), of_type(kind, "__name__")
    if issubclass(kind, BaseException):
        return _error(value, name, above)
    if issubclass(kind, enum.Enum):
        return Text(f"{name}.{object.__getattribute__(value, '_name_')}")
    if issubclass(kind, type):
        return Text(of_type(value, "__name__"))
    for base in (int, float, str, bytes):
        if issubclass(kind, base) and defined_by_program(kind):
            return Text(f"{name}({_own_atom(value, base)})")
    if kind in CODE:
        return Text(f"<{name} {value.__name__}>")
    if kind is re.Match:
        return Text(repr(value))
    if isinstance(module, str) and module.split(".")[0] in ("numpy", "pandas"):
        return _of_library(value, name)
    return Text(f"<{name}>")


def _own_atom(value, base):
    try:
        return base.__repr__(value)[:1000]
    except ValueError:  # Python refuses to write integers of thousands of digits
        return f"<int of {int.bit_length(value)} bits>"


def _error(value, name, above):
    """The Text of an exception. It depends on nothing around it: an exception is compared by what is written."""
    arguments = BaseException.args.__get__(value)
    if above[:1] != (WITHIN_ERROR,):
        arguments = [render(_short(argument, (WITHIN_ERROR, id(value))), 80) for argument in arguments]
    elif all(type(argument) in ATOMS for argument in arguments):
        arguments = [literal(argument, 80) for argument in arguments]
    else:  # an exception in an exception, which may go on like this and may lead back to the first
        arguments = ["..."]
    return Text(f"{name}({', '.join(arguments)})")


def _of_library(value, name):
    """The Text of a value of numpy or pandas, with a digest of all that is in an array."""
    try:
        text = Text(_library_literal(value, name))
        if name == "ndarray" and value.nbytes <= DIGESTED:
            text.digest = hash((value.tobytes(), value.shape, value.dtype.str))  # of objects: their identities
        return text
    except Exception:  # some of its types are not what they look like: a masked array may have no dimension
        return Text(f"<{name}>")


def _library_literal(value, name):
    """numpy and pandas: their plain contents, written as the call that would make them."""
    if name == "ndarray":
        return f"array({literal(value[:SMALL].tolist() if value.ndim else value.tolist(), 1000)})"
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        return f"np.{name}({literal(value.item())})"
    if name == "DataFrame":
        return f"DataFrame({literal(value.iloc[:SMALL].to_dict('list'), 1000)})"
    if hasattr(value, "tolist"):
        return f"{name}({literal(value[:SMALL].tolist(), 1000)})"
    return f"<{name}>"


def same_text(one, other):
    """Whether two Texts are of the same value."""
    return one == other and getattr(one, "digest", None) == getattr(other, "digest", None)


def _short(value, above=()):
    """A value frozen for writing only: of a long list both ends."""
    if type(value) in (list, tuple) and len(value) > 400:
        kind = type(value)
        ends = freeze([*value[:200], *value[-200:]], above)
        return Shot(kind, None, ends.items, ends.kinds, ends.parts, len(value), ends.own, ends.shared)
    return freeze(value, above)


def _atom(value, kind, limit):
    if kind in (str, bytes):
        return repr(value) if len(value) <= limit else repr(value[: limit * 2 // 3]) + "..."
    if kind is int and not LONG_BELOW < value < LONG_INT:
        return _long_int(value, limit)
    try:
        text = repr(value)
    except ValueError:  # there is an integer of thousands of digits in it
        return _too_long(value, kind)
    return text if len(text) <= limit else text[: max(1, limit - 3)] + "..."


def _long_int(value, limit):
    if value.bit_length() > 10_000:  # Python refuses to write integers of thousands of digits
        return f"<int of {value.bit_length()} bits>"
    text = repr(value)
    return text if len(text) <= limit else f"{text[: max(1, limit - 13)]}...{text[-10:]}"


def _too_long(value, kind):
    names = ("numerator", "denominator") if kind is fractions.Fraction else ("start", "stop", "step")
    return f"<{kind.__name__} of {sum(getattr(value, name, 0).bit_length() for name in names)} bits>"


def _spread(shot):
    """How many elements are written of a Shot, those of a shared one at each of its places; past SMALL not to the end."""
    if not shot.shared:
        return shot.size
    size = len(shot.items)
    for part in shot.parts.values():
        if size > SMALL:
            break
        if type(part) is Shot:
            size += _spread(part)
    return size


def _at_once(shot, limit):
    """Python's own repr, which is fast, of what is all lists, tuples, dicts, numbers and short texts; else None."""
    try:
        return _plain(_thawed(shot, limit))
    except ValueError:  # something else is in it
        return None


def _plain(value):
    """The repr of lists, tuples and dicts of numbers and texts; None where a number has thousands of digits."""
    try:
        return repr(value)
    except ValueError:
        return None


def _thawed(shot, limit):
    """The plain container that a Shot was taken of. Raises ValueError where it was none."""
    kind, items, keys, kinds = shot.kind, shot.items, shot.keys, shot.kinds
    if kind not in PLAIN_KINDS or not kinds <= (PLAIN if shot.parts else SHORT):
        raise ValueError
    if str in kinds and max([len(item) for item in items if type(item) is str]) > limit:
        raise ValueError
    if shot.parts:
        items = [*items]
        for place, part in shot.parts.items():
            if type(part) is not Shot:  # it contains itself
                raise ValueError
            items[place] = _thawed(part, limit)
    if keys is None:
        return items if kind is list else tuple(items)
    if not SHORT.issuperset(map(type, keys)):
        raise ValueError
    return dict(zip(keys, items, strict=True))


def _container(shot, limit, done):
    """The literal of a container or object: as many elements from its front as fit, and the last ones."""
    order = _display_order(shot)
    front, used = [], 0
    for count, place in enumerate(order):
        piece = _piece(shot, place, max(FLOOR, limit - used), done)
        used += len(piece) + 2
        if used > limit and count:
            front = _both_ends(shot, order, [*front, piece], limit, done)
            break
        front.append(piece)
    return _wrapped(shot, ", ".join(front))


def _both_ends(shot, order, front, limit, done):
    back, used = [], 0
    while front and sum(len(piece) + 2 for piece in front) > limit * 2 // 3:
        front.pop()
    front = front or [_piece(shot, order[0], limit // 2, done)]
    for place in reversed(order[len(front) :]):
        piece = _piece(shot, place, max(FLOOR, limit // 3 - used), done)
        used += len(piece) + 2
        if used > limit // 3 and back:
            break
        back.append(piece)
    return [*front, "...", *reversed(back)]


def _piece(shot, place, limit, done):
    text = render(part_at(shot, place), limit, done)
    if shot.keys is None:
        return text
    if is_object(shot.kind) or (shot.own and issubclass(shot.kind, tuple)):
        return f"{shot.keys[place]}={text}"
    return f"{_key(shot.keys[place], limit, done)}: {text}"


def _key(key, limit, done):
    """The literal of a key. One that leads further gets less room: to a dict, maybe, with such keys in turn."""
    if type(key) in ATOMS:
        return render(key, limit)
    if id(key) not in done:
        done[id(key)] = _short(key)
    frozen = done[id(key)]
    return render(frozen, limit // 2 if type(frozen) is Shot and frozen.parts else limit, done)


def _wrapped(shot, inner):
    kind, name = shot.kind, of_type(shot.kind, "__name__")
    if kind is tuple and len(shot.items) == 1:
        inner += ","
    if kind is frozenset or (kind is set and not shot.items):
        return f"{name}({f'{{{inner}}}' if shot.items else ''})"
    if kind in BRACKETS:
        return BRACKETS[kind][0] + inner + BRACKETS[kind][1]
    if kind is dict:
        return f"{{{inner}}}"
    if is_object(kind) or (shot.own and shot.keys is not None and issubclass(kind, tuple)):
        return f"{name}({inner})"
    return f"{name}({{{inner}}})" if shot.keys is not None else f"{name}([{inner}])"


def _display_order(shot):
    """Positions in the order of writing: sets have none of their own, so equal atoms are sorted for the reader."""
    places = range(len(shot.items))
    if issubclass(shot.kind, (set, frozenset)) and {*map(type, shot.items)} in ({int}, {str}):
        return sorted(places, key=shot.items.__getitem__)
    return places


def part_at(shot, place):
    """The element at a place of a Shot, frozen."""
    part = shot.parts.get(place) if shot.parts else None
    return shot.items[place] if part is None else part
