def table(n):
    rows = [[i * j
             for j in range(n)]
            for i in range(n)]
    flat = {x: x % 2 for row in rows for x in row}
    odd = {x for x in flat if x % 2}
    return sorted(odd), sum(x for x in flat)
#---
assert table(3) == ([1], 8)
