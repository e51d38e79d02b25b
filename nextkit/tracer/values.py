"""Values: what a variable holds, kept so that it can be compared and written down later.

Nothing of the program's own runs here: no `__eq__`, `__repr__`, `__getattr__` or property. Containers and objects are
copied shallowly into a Shot, whose elements are compared by identity: `1`, `True` and `1.0` differ, a numpy array is
never asked whether it is equal. Atoms cannot change, so they are kept as they are.
"""

import array
import collections
import datetime
import decimal
import enum
import fractions
import re
import types
from operator import is_

ATOMS = frozenset(
    {int, float, bool, str, bytes, complex, type(None), type(...), range, decimal.Decimal, fractions.Fraction}
    | {datetime.date, datetime.datetime, datetime.time, datetime.timedelta}
)
PLAIN_KINDS = frozenset({list, tuple, dict})
SHORT = frozenset({int, float, bool, str, type(None)})
PLAIN = PLAIN_KINDS | SHORT
CODE = frozenset({types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType, type})
SEQUENCES = frozenset(
    {list, tuple, set, frozenset, collections.deque, array.array, bytearray, type({}.keys()), type({}.values())}
)
DICTS = frozenset({dict, collections.defaultdict, collections.OrderedDict, collections.Counter})
DATA = ATOMS | SEQUENCES | DICTS
BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}
DEEPEST = 25  # levels of nesting that are followed
LONG_INT = 10**60
SMALL = 64  # elements; a bigger container is watched where the program names what it changes, see `plan`


class Text(str):
    """A value that is written down already."""

    __slots__ = ()


CUT = Text("...")


class Shot:
    """A container or object at one moment.

    kind: its type. keys: of a dict, the names of an object's attributes, or None. items: its elements, the same
    objects. kinds: their types. parts: position -> Shot or Text of each element that can itself change. size: elements
    at all levels. own: whether objects of the program's classes are inside. shared: whether an element occurs at two
    places.
    """

    __slots__ = ("items", "keys", "kind", "kinds", "own", "parts", "shared", "size")

    def __init__(self, kind, keys, items, kinds, parts, size, own, shared=False):
        self.kind, self.keys, self.items, self.kinds, self.parts = kind, keys, items, kinds, parts
        self.size, self.own, self.shared = size, own, shared


def freeze(value, above=()):
    """A value at this moment: itself if it is an atom, a Shot of what has contents, a Text of all else.

    above: identities of the containers around it, so that one that contains itself ends.
    """
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind is list:
        keys, items, own = None, value[:], False
    else:
        found = _contents(value, kind)
        if found is None:
            return _opaque(value, kind)
        keys, items, own = found
    kinds = {*map(type, items)}
    if kinds <= ATOMS:
        return Shot(kind, keys, items, kinds, None, len(items), own)
    if id(value) in above or len(above) >= DEEPEST:
        return CUT
    above, size, parts = (*above, id(value)), len(items), {}
    shared = False
    for place, item in enumerate(items):
        if type(item) not in ATOMS:
            part = parts[place] = freeze(item, above)
            if type(part) is Shot:
                size, own, shared = size + part.size, own or part.own, shared or part.shared
    shared = shared or len({id(items[place]) for place in parts}) < len(parts)
    return Shot(kind, keys, items, kinds, parts, size, own, shared)


def same(value, shot):
    """Whether a value is still what its Shot or Text says."""
    if type(shot) is not Shot:
        return shot is CUT or freeze(value) == shot
    if type(value) is not shot.kind:  # an object can be given another class
        return False
    if shot.kind is list:
        items = value
    else:
        keys, items, _ = _contents(value, shot.kind)
        if keys is not None and not _identical(keys, shot.keys):
            return False
    if not _identical(items, shot.items):
        return False
    return shot.parts is None or all(same(shot.items[place], part) for place, part in shot.parts.items())


def literal(value, limit=200):
    """A value as a Python literal of about `limit` characters at most; never runs code of the value's own."""
    return render(_short(value), limit)


def render(frozen, limit=200):
    """What `freeze` returned, as a Python literal of about `limit` characters; a longer one loses its middle."""
    kind = type(frozen)
    if kind is int and -LONG_INT < frozen < LONG_INT:
        return repr(frozen)
    if kind is Text:
        return frozen if len(frozen) <= limit else frozen[: max(1, limit - 3)] + "..."
    if kind is not Shot:
        return _atom(frozen, kind, limit)
    if frozen.size <= SMALL and not frozen.own:
        text = _at_once(frozen, limit)
        if text is not None and len(text) <= limit:
            return text
    return _container(frozen, limit)


def differences(name, old, new, whole=40, most=3):
    """What changed from one Shot of a container to the next: pairs (path, frozen value), paths as in Python source.

    A container whose literal has up to `whole` characters is written whole, and so is one where more than `most`
    elements changed; of an object, only attributes are written.
    """
    if type(old) is not Shot or type(new) is not Shot or old.kind is not new.kind:
        return [(name, new)]
    if not _is_object(new.kind):
        text = render(new, 4 * whole)
        if len(text) <= whole:
            return [(name, Text(text))]
    places = _changed(old, new)
    if not places or (len(places) > most and not _is_object(new.kind)):
        return [(name, new)]
    found = []
    for place, earlier in places:
        known = earlier is not None and old.items[earlier] is new.items[place]
        before = _part(old, earlier) if known else None
        found += differences(_path(name, new, place), before, _part(new, place), whole, most)
    return found


def alike(before, now):
    """Whether two frozen values would be written alike, also in the types of their elements."""
    return type(before) is type(now) and _equal(before, now)


def contains(shot, value):
    """Whether `value`, a container, is somewhere inside a Shot."""
    return (
        type(shot) is Shot
        and shot.parts is not None
        and any(shot.items[place] is value or contains(part, value) for place, part in shot.parts.items())
    )


def describe_exception(error, limit=200):
    """`Type: message`, or the type alone where there is no message; the program's own `__str__` is not called."""
    kind = type(error)
    message = ""
    if all(type(argument) in ATOMS for argument in error.args):
        own = any(
            "__str__" in _of_type(base, "__dict__") for base in _of_type(kind, "__mro__") if _defined_by_program(base)
        )
        try:
            message = BaseException.__str__(error) if own else str(error)
        except Exception:
            message = ""
    elif error.args:
        message = ", ".join(literal(argument, limit) for argument in error.args)
    return render(Text(f"{kind.__name__}: {message}" if message else kind.__name__), limit)


def _identical(one, other):
    return len(one) == len(other) and all(map(is_, one, other))


def _contents(value, kind):
    """(keys or None, elements, whether the program's own class) of a value that has contents, else None."""
    if kind in SEQUENCES:
        return None, value if kind is tuple else list(value), False
    if kind in DICTS:
        return list(dict.keys(value)), list(dict.values(value)), False
    if not _defined_by_program(kind) or issubclass(kind, (BaseException, enum.Enum, type, int, float, str, bytes)):
        return None
    if issubclass(kind, tuple):
        return _of_type(kind, "__dict__").get("_fields"), list(tuple.__iter__(value)), True
    for base in (list, set, frozenset):
        if issubclass(kind, base):
            return None, list(base.__iter__(value)), True
    if issubclass(kind, dict):
        return list(dict.keys(value)), list(dict.values(value)), True
    attributes = _attributes(value, kind)
    return list(attributes), list(attributes.values()), True


def _attributes(value, kind):
    """name -> value of an object's attributes: its class's data, slots, its own; properties are not asked."""
    found = {}
    for base in filter(_defined_by_program, reversed(_of_type(kind, "__mro__"))):
        for name, member in _of_type(base, "__dict__").items():
            if type(member) in DATA and not name.startswith("__"):
                found[name] = member
            elif type(member) is types.MemberDescriptorType:
                try:
                    found[name] = member.__get__(value, kind)
                except AttributeError:  # a slot that is still empty
                    continue
    if _of_type(kind, "__dictoffset__"):
        found |= object.__getattribute__(value, "__dict__")
    return found


def _defined_by_program(kind):
    return _of_type(kind, "__module__") == "__main__"


def _of_type(kind, name):
    """An attribute of a class, past what its metaclass may do."""
    return type.__getattribute__(kind, name)


def _is_object(kind):
    return _defined_by_program(kind) and not issubclass(kind, (list, tuple, set, frozenset, dict))


def _opaque(value, kind):
    """The Text of a value whose contents are not looked at, or are looked at through its library."""
    module, name = _of_type(kind, "__module__"), _of_type(kind, "__name__")
    if issubclass(kind, BaseException):
        return Text(f"{name}({', '.join(literal(argument, 80) for argument in value.args)})")
    if issubclass(kind, enum.Enum):
        return Text(f"{name}.{object.__getattribute__(value, '_name_')}")
    if issubclass(kind, type):
        return Text(_of_type(value, "__name__"))
    for base in (int, float, str, bytes):
        if issubclass(kind, base) and _defined_by_program(kind):
            return Text(f"{name}({base.__repr__(value)[:1000]})")
    if kind in CODE:
        return Text(f"<{name} {value.__name__}>")
    if kind is re.Match:
        return Text(repr(value))
    if isinstance(module, str) and module.split(".")[0] in ("numpy", "pandas"):
        return _of_library(value, name)
    return Text(f"<{name}>")


def _of_library(value, name):
    """numpy and pandas: their plain contents, written as the call that would make them."""
    if name == "ndarray":
        return Text(f"array({literal(value[:SMALL].tolist() if value.ndim else value.tolist(), 1000)})")
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        return Text(f"np.{name}({literal(value.item())})")
    if name == "DataFrame":
        return Text(f"DataFrame({literal(value.iloc[:SMALL].to_dict('list'), 1000)})")
    if hasattr(value, "tolist"):
        return Text(f"{name}({literal(value[:SMALL].tolist(), 1000)})")
    return Text(f"<{name}>")


def _short(value):
    """A value frozen for writing only: of a long list both ends."""
    if type(value) in (list, tuple) and len(value) > 400:
        kind = type(value)
        ends = freeze([*value[:200], *value[-200:]])
        return Shot(kind, None, ends.items, ends.kinds, ends.parts, len(value), ends.own)
    return freeze(value)


def _atom(value, kind, limit):
    if kind in (str, bytes):
        return repr(value) if len(value) <= limit else repr(value[: limit * 2 // 3]) + "..."
    if kind is int and not -LONG_INT < value < LONG_INT:
        return _long_int(value, limit)
    text = repr(value)
    return text if len(text) <= limit else text[: max(1, limit - 3)] + "..."


def _long_int(value, limit):
    if value.bit_length() > 10_000:  # Python refuses to write integers of thousands of digits
        return f"<int of {value.bit_length()} bits>"
    text = repr(value)
    return text if len(text) <= limit else f"{text[: max(1, limit - 13)]}...{text[-10:]}"


def _at_once(shot, limit):
    """Python's own repr, which is fast, of what is all lists, tuples, dicts, numbers and short texts; else None."""
    try:
        return repr(_thawed(shot, limit))
    except ValueError:  # something else is in it, or a number has thousands of digits
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


def _container(shot, limit):
    """The literal of a container or object: as many elements from its front as fit, and the last ones."""
    order = _display_order(shot)
    front, used = [], 0
    for count, place in enumerate(order):
        piece = _piece(shot, place, max(8, limit - used))
        used += len(piece) + 2
        if used > limit and count:
            front = _both_ends(shot, order, [*front, piece], limit)
            break
        front.append(piece)
    return _wrapped(shot, ", ".join(front))


def _both_ends(shot, order, front, limit):
    back, used = [], 0
    while front and sum(len(piece) + 2 for piece in front) > limit * 2 // 3:
        front.pop()
    front = front or [_piece(shot, order[0], limit // 2)]
    for place in reversed(order[len(front) :]):
        piece = _piece(shot, place, max(8, limit // 3 - used))
        used += len(piece) + 2
        if used > limit // 3 and back:
            break
        back.append(piece)
    return [*front, "...", *reversed(back)]


def _piece(shot, place, limit):
    text = render(_part(shot, place), limit)
    if shot.keys is None:
        return text
    if _is_object(shot.kind) or (shot.own and issubclass(shot.kind, tuple)):
        return f"{shot.keys[place]}={text}"
    return f"{literal(shot.keys[place], limit)}: {text}"


def _wrapped(shot, inner):
    kind, name = shot.kind, _of_type(shot.kind, "__name__")
    if kind is tuple and len(shot.items) == 1:
        inner += ","
    if kind is frozenset or (kind is set and not shot.items):
        return f"{name}({f'{{{inner}}}' if shot.items else ''})"
    if kind in BRACKETS:
        return BRACKETS[kind][0] + inner + BRACKETS[kind][1]
    if kind is dict:
        return f"{{{inner}}}"
    if _is_object(kind) or (shot.own and shot.keys is not None and issubclass(kind, tuple)):
        return f"{name}({inner})"
    return f"{name}({{{inner}}})" if shot.keys is not None else f"{name}([{inner}])"


def _display_order(shot):
    """Positions in the order of writing: sets have none of their own, so equal atoms are sorted for the reader."""
    places = range(len(shot.items))
    if issubclass(shot.kind, (set, frozenset)) and {*map(type, shot.items)} in ({int}, {str}):
        return sorted(places, key=shot.items.__getitem__)
    return list(places)


def _part(shot, place):
    part = shot.parts.get(place) if shot.parts else None
    return shot.items[place] if part is None else part


def _path(name, shot, place):
    if _is_object(shot.kind):
        return f"{name}.{shot.keys[place]}"
    return f"{name}[{place if shot.keys is None else literal(shot.keys[place], 40)}]"


def _changed(old, new):
    """(place in new, place in old or None) of each element that differs, or None where the two do not line up."""
    if issubclass(new.kind, (set, frozenset)) or len(new.items) < len(old.items):
        return None
    if _is_object(new.kind):
        earlier = {name: place for place, name in enumerate(old.keys)}
        pairs = [(place, earlier.get(name)) for place, name in enumerate(new.keys)]
    elif new.keys is not None and not _identical(new.keys[: len(old.keys)], old.keys):
        return None
    else:
        pairs = [(place, place if place < len(old.items) else None) for place in range(len(new.items))]
    return [(place, before) for place, before in pairs if before is None or not _same_part(old, before, new, place)]


def _same_part(old, earlier, new, place):
    before, now = _part(old, earlier), _part(new, place)
    return before is now or (type(before) is type(now) and _equal(before, now))


def _equal(before, now):
    """Whether two frozen values of one type are alike, also in the types of their elements."""
    if type(now) is not Shot:
        return repr(before) == repr(now)
    if before.kind is not now.kind or len(before.items) != len(now.items):
        return False
    keys = before.keys is now.keys or _identical(before.keys, now.keys)
    return keys and all(_same_part(before, place, now, place) for place in range(len(now.items)))
