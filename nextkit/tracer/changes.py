"""Changes: what became of a value, told as paths in Python source: `a[0][1]`, `self.left`."""

from nextkit.tracer.contents import identical, is_object
from nextkit.tracer.values import Shot, Text, literal, part_at, render, same_text

WHOLE, FEW = 40, 3
MANY = 16  # paths of changes, after which a container that stands at several places is told at one of them


def differences(name, old, new):
    """What changed from one Shot of a container to the next: pairs (path, frozen value), paths as in Python source.

    A container whose literal has up to WHOLE characters is written whole, and so is one where more than FEW
    elements changed; of an object, only attributes are written.
    """
    found = []
    _differ(name, old, new, found, {})
    return found


def alike(before, now):
    """Whether two frozen values would be written alike, also in the types of their elements."""
    return type(before) is type(now) and _equal(before, now, {})


def _differ(name, old, new, found, known):
    """Adds to `found`. known: see `_equal`; also ("told", identity) of each Shot that was told."""
    if type(old) is not Shot or type(new) is not Shot or old.kind is not new.kind:
        return found.append((name, new))
    if not is_object(new.kind):
        text = render(new, 4 * WHOLE)
        if len(text) <= WHOLE:
            return found.append((name, Text(text)))
    places = _changed(old, new, known)
    if not places or (len(places) > FEW and not is_object(new.kind)):
        return found.append((name, new))
    for place, earlier in places:
        alike = earlier is not None and old.items[earlier] is new.items[place]
        before, now = part_at(old, earlier) if alike else None, part_at(new, place)
        if len(found) < MANY or type(now) is not Shot or ("told", id(now)) not in known:
            known["told", id(now)] = True
            _differ(_path(name, new, place), before, now, found, known)
    return None


def _path(name, shot, place):
    if is_object(shot.kind):
        return f"{name}.{shot.keys[place]}"
    return f"{name}[{place if shot.keys is None else literal(shot.keys[place], 40)}]"


def _changed(old, new, known):
    """(place in new, place in old or None) of each element that differs, or None where the two do not line up."""
    if issubclass(new.kind, (set, frozenset)) or len(new.items) < len(old.items):
        return None
    if is_object(new.kind):
        earlier = {name: place for place, name in enumerate(old.keys)}
        pairs = [(place, earlier.get(name)) for place, name in enumerate(new.keys)]
    elif new.keys is not None and not identical(new.keys[: len(old.keys)], old.keys):
        return None
    else:
        pairs = ((place, place if place < len(old.items) else None) for place in range(len(new.items)))
    return [
        (place, before) for place, before in pairs if before is None or not _same_part(old, before, new, place, known)
    ]


def _same_part(old, earlier, new, place, known):
    before, now = part_at(old, earlier), part_at(new, place)
    return before is now or (type(before) is type(now) and _equal(before, now, known))


def _equal(before, now, known):
    """Whether two frozen values of one type are alike, also in the types of their elements.

    known: pairs of identities -> the answer for two Shots that were compared already, if there are ways to meet again.
    """
    if type(now) is not Shot:
        return _equal_atoms(before, now)
    if before.kind is not now.kind or len(before.items) != len(now.items):
        return False
    pair = (id(before), id(now)) if now.shared else None
    if pair in known:
        return known[pair]
    keys = before.keys is now.keys or identical(before.keys, now.keys)
    answer = keys and all(_same_part(before, place, now, place, known) for place in range(len(now.items)))
    if pair:
        known[pair] = answer
    return answer


def _equal_atoms(before, now):
    if type(now) is int:
        return before == now
    if type(now) is Text:
        return same_text(before, now)
    try:
        return repr(before) == repr(now)  # 0.0 is not -0.0, and nan is nan
    except ValueError:  # there is an integer of thousands of digits in it
        return before == now
