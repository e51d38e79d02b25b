class Counter:
    step = 2

    def __init__(self, start):
        self.v = start
        self.log = []

    def up(self, n=1):
        self.v += n * self.step
        self.log.append(self.v)
        return self


def run(n):
    c = Counter(n)
    c.up().up(3)
    return c.v, c.log
#---
assert run(1) == (9, [3, 8])
