def check(x, low):
    assert x >= low, "too low"
    return x


def f(x):
    y = check(x, 1)
    return check(y - 2, 0)
#---
assert f(1) == 1
