def f(xs, i, j):
    try:
        t = xs[i] + xs[j]
    except IndexError:
        t = -1
    d = {"a": t}
    return d["a"] * d["b"]
#---
assert f([1, 2], 0, 5) == 1
