class Guard:
    def __enter__(self):
        return 7

    def __exit__(self, kind, error, traceback):
        return kind is KeyError


def f(d):
    out = []
    with Guard() as g:
        out.append(d["a"])
        out.append(d["b"])
    try:
        out.append(1 // d["zero"])
    except ZeroDivisionError as error:
        out.append(str(error))
    finally:
        out.append(g)
    return out
#---
assert f({"a": 1, "zero": 0}) == [1, 7]
