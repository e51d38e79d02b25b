def f():
    x = 1
    x = True
    x = 1.0
    x = "1"
    p = (1, 2)
    p = "(1, 2)"
    q = [1]
    q[0] = True
    q[0] = 1.0
    return [x, p, q]
#---
assert f() == ["1", (1, 2), [1]]
