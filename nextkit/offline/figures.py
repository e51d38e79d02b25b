"""Programs that work out two or three figures in one loop and return one of them; nothing in words tells which.

    def f(xs):
        t = 0
        u = 0
        for x in xs:
            t += x
            u = max(u, x)
        return t

Where such a program returns the wrong one, neither its description nor its code tells which is right: the one that
comes to what the tests expect. One must run it, or read a trace.
"""

from dataclasses import dataclass

from nextkit.offline.parts import CONDITIONS, SOURCES
from nextkit.offline.programs import draw_slots, filled, finished, indented, weighted

FAMILY = "figures"


@dataclass(frozen=True)
class Figure:
    """What is worked out. In `update`, {t} is its variable, {e} the element, {c} a condition, {k} a constant."""

    name: str
    start: int
    update: str


FIGURES = [
    Figure("sum", 0, "{t} += {e}"),
    Figure("squares", 0, "{t} += {e} ** 2"),
    Figure("scaled", 0, "{t} += {e} * {k}"),
    Figure("lifted", 0, "{t} += {e} + {k}"),
    Figure("less", 20, "{t} -= {e}"),
    Figure("away", 0, "{t} = {e} - {t}"),
    Figure("doubled", 1, "{t} = {t} * 2 - {e}"),
    Figure("largest", 0, "{t} = max({t}, {e})"),
    Figure("smallest", 99, "{t} = min({t}, {e})"),
    Figure("last", 0, "{t} = {e}"),
    Figure("count", 0, "if {c}:\n    {t} += 1"),
    Figure("sumif", 0, "if {c}:\n    {t} += {e}"),
    Figure("lastif", 0, "if {c}:\n    {t} = {e}"),
]
WORDS = (
    "Return the figure that is wanted.",
    "Work out the figures and return the right one.",
    "Go through {n} and return the figure that is asked for.",
)


def draw_figures(rng, counts):
    """A random Program, and the sources that return another of its figures: each of them a bug of it.

    counts: how many figures it may have; of two, the one that is not returned is the right one, so three are needed to
    hide it.
    """
    source = weighted(rng, [source for source in SOURCES if source.kind == "int"])
    figures = rng.sample(FIGURES, rng.choice(counts))
    variables = "tuz"[: len(figures)]
    updates = [line for pair in zip(variables, figures, strict=True) for line in _update(rng, source, *pair)]
    starts = [f"{variable} = {figure.start}" for variable, figure in zip(variables, figures, strict=True)]
    loop = [*source.loop, *indented([*source.inner, *updates, *source.after], len(source.loop))]
    wanted = rng.choice(variables)
    body = [*starts, *source.before, *loop, f"return {wanted}"]
    code = "\n".join([f"def f({', '.join(source.params)}):", *indented(body)])
    key = "|".join(
        [FAMILY, source.name, *sorted(figure.name for figure in figures), figures[variables.index(wanted)].name]
    )
    words = rng.choice(WORDS).replace("{n}", source.noun)
    program = finished(rng, words, code, source.params, key=key, family=FAMILY)
    return program, _others(program, len(figures))


def _update(rng, source, variable, figure):
    """The lines that keep a figure up to date."""
    condition = rng.choice([one for one in CONDITIONS if one.kind == "int" and not one.needs])
    asked, _ = filled(rng, condition, draw_slots(rng), source.element)
    element = f"({source.element})" if " " in source.element else source.element
    text = figure.update.format(t=variable, e=element, c=asked, k=rng.randint(2, 6))
    return text.split("\n")


def _others(program, count):
    """The program once for each figure that it does not return."""
    head, _, wanted = program.code.rpartition("return ")
    variables = [line.split()[0] for line in program.code.split("\n")[1 : count + 1]]
    return tuple(f"{head}return {variable}" for variable in variables if variable != wanted)
