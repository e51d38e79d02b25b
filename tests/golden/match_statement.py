def area(shape):
    match shape:
        case ("circle", r):
            return 3 * r * r
        case ("box", w, *rest) if rest:
            h = rest[0]
            return w + h
        case {"side": s, **other}:
            return s ** 2 + len(other)
        case _:
            return None
#---
assert area(("box", 2, 3)) == 6
