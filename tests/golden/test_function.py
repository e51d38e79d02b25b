def double(x):
    if x > 2:
        return x + x + 1
    return x + x
#---
def check(candidate):
    assert candidate(1) == 2
    assert candidate(3) == 6, "three"
    assert candidate(4) == 8


check(double)
