"""Programs that work out a figure in a loop and then adjust it in one of four branches; nothing in words tells how.

    def f(xs):
        t = 0
        for x in xs:
            t += x * 2
        if t % 3 == 0:
            t -= 3
        elif t > 20:
            t += 7
        elif t % 2 == 0:
            t += 4
        else:
            t -= 5
        return t

Where one of them adds what it should take away, neither description nor code tells which: the one that ran where a test
fails. One must run the program, or read a trace, in which lines that never ran have no comment; or else do the sum, for
the result is off by twice the amount of that branch.
"""

from dataclasses import dataclass

from nextkit.offline.parts import SOURCES
from nextkit.offline.programs import finished, grouped, indented, weighted

FAMILY = "branches"
BRANCHES = 4


@dataclass(frozen=True)
class Figure:
    """What is worked out: the start of `t`, and what the loop does to it for each element {e}; {k} is a constant."""

    name: str
    start: int
    update: str


FIGURES = [
    Figure("sum", 0, "t += {e}"),
    Figure("squares", 0, "t += {e} ** 2"),
    Figure("scaled", 0, "t += {e} * {k}"),
    Figure("lifted", 0, "t += {e} + {k}"),
    Figure("less", 30, "t -= {e}"),
    Figure("away", 0, "t = {e} - t"),
    Figure("doubled", 1, "t = t * 2 - {e}"),
    Figure("largest", 0, "t = max(t, {e})"),
    Figure("last", 0, "t = {e}"),
]
CONDITIONS = {
    "above": "t > {k}",
    "below": "t < {k}",
    "even": "t % 2 == 0",
    "odd": "t % 2 == 1",
    "third": "t % 3 == 0",
    "onemore": "t % 3 == 1",
    "quarter": "t % 4 == 0",
    "fifth": "t % 5 == 0",
}
WORDS = (
    "Work out a figure and adjust it by the rules.",
    "Go through {n} and adjust the result as is right.",
    "Return the figure for {n}, adjusted as it should be.",
)
OTHER = {"+=": "-=", "-=": "+="}


def draw_branches(rng):
    """A random Program, and the sources in which one of its branches does the opposite: each of them a bug of it."""
    source = weighted(rng, [source for source in SOURCES if source.kind == "int"])
    figure, conditions = rng.choice(FIGURES), rng.sample(list(CONDITIONS), BRANCHES - 1)
    steps = [(rng.choice("+-") + "=", amount) for amount in rng.sample(range(2, 10), BRANCHES)]
    element = grouped(source.element, figure.update)
    update = figure.update.format(e=element, k=rng.randint(2, 6))
    loop = [*source.loop, *indented([*source.inner, update, *source.after], len(source.loop))]
    body = [f"t = {figure.start}", *source.before, *loop, *_chain(rng, conditions, steps), "return t"]
    code = "\n".join([f"def f({', '.join(source.params)}):", *indented(body)])
    key = "|".join([FAMILY, source.name, figure.name, *conditions])
    words = rng.choice(WORDS).replace("{n}", source.noun)
    program = finished(rng, words, code, source.params, key=key, family=FAMILY)
    return program, [_flipped(program.code, *step) for step in steps]


def _chain(rng, conditions, steps):
    """The lines of if, elif and else."""
    heads = [f"if {CONDITIONS[name].format(k=rng.randint(5, 25))}:" for name in conditions]
    heads = [heads[0], *(f"el{head}" for head in heads[1:]), "else:"]
    pairs = zip(heads, steps, strict=True)
    return [line for head, (sign, amount) in pairs for line in (head, f"    t {sign} {amount}")]


def _flipped(code, sign, amount):
    """The program with one step taken the other way; amounts differ, so a step is found by its own."""
    before, _, after = code.rpartition(f" {sign} {amount}\n")
    return f"{before} {OTHER[sign]} {amount}\n{after}"
