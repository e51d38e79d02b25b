def depth(tree):
    if not isinstance(tree, list):
        return 0
    best = 0
    for part in tree:
        best = max(best, depth(part))
    return best
#---
assert depth([1, [2]]) == 2
