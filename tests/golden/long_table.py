def paths(n):
    table = [[1] * n for _ in range(n)]
    for i in range(1, n):
        for j in range(1, n):
            table[i][j] = table[i - 1][j] + table[i][j]
    return table[-1][-1]
#---
assert paths(10) == 48620
