def evens(n):
    for i in range(n):
        if i % 2 == 0:
            got = yield i
            if got:
                return


def total(n):
    t = 0
    for e in evens(n):
        t -= e
    return t
#---
assert total(4) == 2
