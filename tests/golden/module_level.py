import math

LIMIT = 3
cache = {}
calls = 0


def f(n):
    global calls
    calls += 1
    if n not in cache:
        cache[n] = math.factorial(min(n, LIMIT))
    return cache[n]
#---
assert f(2) == 2
assert f(9) == 9
