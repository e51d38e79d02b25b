def twice(xs):
    xs.append(xs[0])
    return len(xs)


def count(n):
    xs = [n]
    same = xs
    size = twice(same)
    return xs, size
#---
assert count(5) == ([5], 1)
