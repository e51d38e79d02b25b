"""Contents: what is inside a container or an object, and what a class is, without running code of the program's own."""

import array
import collections
import datetime
import decimal
import enum
import fractions
import types
from operator import is_

ATOMS = frozenset(
    {int, float, bool, str, bytes, complex, type(None), type(...), range, decimal.Decimal, fractions.Fraction}
    | {datetime.date, datetime.datetime, datetime.time, datetime.timedelta}
)
SEQUENCES = frozenset({list, tuple, set, frozenset, collections.deque, type({}.keys()), type({}.values())})
BUFFERS = frozenset({array.array, bytearray})  # sequences of plain numbers, copied and compared as bytes
DICTS = frozenset({dict, collections.defaultdict, collections.OrderedDict, collections.Counter})
DATA = ATOMS | SEQUENCES | BUFFERS | DICTS


def contents(value, kind):
    """(keys or None, elements, whether the program's own class) of a value that has contents, else None."""
    if kind in SEQUENCES:
        return None, value if kind is tuple else list(value), False
    if kind in DICTS:
        return *_pairs(value, kind), False
    if not defined_by_program(kind) or issubclass(kind, (BaseException, enum.Enum, type, int, float, str, bytes)):
        return None
    if issubclass(kind, tuple):
        return of_type(kind, "__dict__").get("_fields"), list(tuple.__iter__(value)), True
    for base in (list, set, frozenset):
        if issubclass(kind, base):
            return None, list(base.__iter__(value)), True
    if issubclass(kind, dict):
        return *_pairs(value, kind), True
    attributes = _attributes(value, kind)
    return list(attributes), list(attributes.values()), True


def _pairs(value, kind):
    """The keys of a dict and its values, in its order."""
    if issubclass(kind, collections.OrderedDict) and all(map(_is_plain_key, dict.keys(value))):
        try:
            keys = list(collections.OrderedDict.keys(value))
            return keys, [dict.__getitem__(value, key) for key in keys]
        except (KeyError, RuntimeError):  # the program changed it by methods of dict
            pass
    return list(dict.keys(value)), list(dict.values(value))


def _is_plain_key(key):
    """Whether looking a key up runs nothing of the program's own; an OrderedDict looks up what it goes through."""
    return type(key) in ATOMS or (type(key) is tuple and all(map(_is_plain_key, key)))


def _attributes(value, kind):
    """name -> value of an object's attributes: its class's data, slots, its own; properties are not asked."""
    found = {}
    for base in filter(defined_by_program, reversed(of_type(kind, "__mro__"))):
        for name, member in of_type(base, "__dict__").items():
            if type(member) in DATA and not name.startswith("__"):
                found[name] = member
            elif type(member) is types.MemberDescriptorType:
                try:
                    found[name] = member.__get__(value, kind)
                except AttributeError:  # a slot that is still empty
                    continue
    if of_type(kind, "__dictoffset__"):
        found |= object.__getattribute__(value, "__dict__")
    return found


def is_object(kind):
    """Whether a class is the program's own, and no container with attributes."""
    return defined_by_program(kind) and not issubclass(kind, (list, tuple, set, frozenset, dict))


def defined_by_program(kind):
    """Whether the traced program made a class."""
    return of_type(kind, "__module__") == "__main__"


def of_type(kind, name):
    """An attribute of a class, past what its metaclass may do."""
    return type.__getattribute__(kind, name)


def identical(one, other):
    """Whether two sequences hold the same objects in the same order."""
    return len(one) == len(other) and all(map(is_, one, other))
