def f():
    a = [[0] * 2] * 2
    b = a[1]
    a[0][0] = 55
    b.sort()
    grid = {"x": [(1, [2])]}
    grid["x"][0][1].append(3)
    del a[1]
    return a, grid
#---
assert f() == ([[55, 0]], {})
