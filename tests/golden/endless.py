def f(n):
    steps = 0
    seen = []
    while n != 1:
        n = n // 2 if n % 2 else n + 1
        seen.append(n)
        steps += 1
    return steps
#---
assert f(2) == 1
