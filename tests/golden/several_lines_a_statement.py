def f(a,
      b):
    total = (a +
             b)
    text = """one
two"""
    pairs = dict(
        first=total,
        second=[
            a,
            b,
        ],
    )
    return max(
        pairs["second"]
    )
#---
assert f(1, 2) == 3
