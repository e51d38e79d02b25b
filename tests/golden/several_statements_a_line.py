def f(n):
    a = 1; b = [n]; b += [a]
    while n > 0: n -= 1; a *= 2
    if a > 4: a, b = b, a
    return a, b
#---
assert f(3) == ([3, 1], 1)
