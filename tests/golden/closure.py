def make(n):
    count = 0
    seen = []

    def inner(x):
        nonlocal count
        count += x
        seen.append(count)
        return count

    inner(n)
    inner(n + 1)
    return count, seen
#---
assert make(2) == (5, [2])
