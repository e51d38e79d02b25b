"""Bugs by mutation: every single edit of a program's syntax tree that the catalogue knows.

Repair tasks need buggy programs. `random_edit` makes one from a correct program; the same edits, made blindly on a
buggy program, are the control that every repair rate must beat (on small programs a blind edit is right surprisingly
often). The catalogue, by kind:

    kind               what goes wrong                                     for example
    comparison         another comparison                                  a < b            a <= b
    operator           another operator, or a function's counterpart       max(xs)          min(xs)
    constant           a number one or two off, False, a shorter word      x % 3            x % 2
    boundary           the end of a range one off                          range(n + 1)     range(n)
    variable           one variable of the program for another             t += x           t += n
    part               the outer part of an expression forgotten           abs(x)           x
    placement          a return moved into or out of a block               return t         (now in the loop)
    missing            an update or a call taken out                       t += x           (gone)
    branch             the two sides of an if swapped                      if p: a else: b  if p: b else: a
    initial-value      a variable starts a loop with something else        best = xs[0]     best = 0
    early-return       returned in the first round or branch already       t += x           t += x; return t
    removed-statement  any other statement, or an else, taken out          if n < 0: ...    (gone)
    arguments          two arguments of a call swapped                     f(a, b)          f(b, a)
    index              one off, from the other end, two indices swapped    xs[i]            xs[i + 1]
    slice              a bound one off, added or dropped, another step     xs[:k]           xs[:k - 1]
    condition          asked the other way round, a part of it dropped     if a and b:      if a:
    return-value       the opposite answer, or a part of the answer        return (a, b)    return a
    loop               a round too many or too few, break for continue     for x in xs:     for x in xs[1:]:
    call               a relative of the function, a flag or option        math.floor(x)    math.ceil(x)
    string             another separator, decimals, a pattern's sign       ' '.join(xs)     ''.join(xs)

No edit makes a power or a permutation where there was none: one such line can run for hours. An exponent that is there
can become a larger one, as when n ** k becomes n ** n. Docstrings are left alone.
"""

import ast
import builtins
from collections import Counter
from dataclasses import dataclass

from nextkit.datasets import bugs_in_calls, bugs_in_expressions, bugs_in_statements
from nextkit.parsing import parse

# How often each kind is drawn when it applies: about as often as people make such mistakes in short programs. What
# ships in data/ was drawn with WEIGHTS, so they stay as they are.
WEIGHTS = dict(
    comparison=3, operator=3, constant=3, variable=2.2, boundary=2.5, part=2, placement=1.2, missing=2, branch=2.5
)
CATALOGUE = WEIGHTS | {
    "initial-value": 2, "early-return": 1.5, "removed-statement": 1.5, "arguments": 1.2, "index": 2, "slice": 2,
    "condition": 2, "return-value": 1.5, "loop": 2, "call": 1.5, "string": 1,
}  # fmt: skip

# Who finds the sites of which kinds.
TRIES = 8  # of drawing an edit that is not to be avoided
SOURCES = (
    (bugs_in_expressions.operator_edits, {"comparison", "operator"}),
    (bugs_in_expressions.constant_edits, {"constant"}),
    (bugs_in_expressions.name_edits, {"variable", "operator"}),
    (bugs_in_expressions.boundary_edits, {"boundary"}),
    (bugs_in_expressions.part_edits, {"part"}),
    (bugs_in_statements.block_edits, {"missing", "branch", "placement"}),
    (bugs_in_statements.removal_edits, {"removed-statement"}),
    (bugs_in_statements.start_edits, {"initial-value"}),
    (bugs_in_statements.early_return_edits, {"early-return"}),
    (bugs_in_statements.condition_edits, {"condition"}),
    (bugs_in_statements.return_value_edits, {"return-value"}),
    (bugs_in_statements.loop_edits, {"loop"}),
    (bugs_in_calls.argument_edits, {"arguments"}),
    (bugs_in_calls.call_edits, {"call"}),
    (bugs_in_calls.index_edits, {"index"}),
    (bugs_in_calls.slice_edits, {"slice"}),
    (bugs_in_calls.string_edits, {"string"}),
)


@dataclass(frozen=True)
class Edit:
    """One edit of a program. kind: see the catalogue. program: the whole edited program, as source text."""

    kind: str
    program: str


def random_edit(program, rng, *, avoid=(), weights=WEIGHTS):
    """One random single edit of `program` (source text), the kind drawn by weight; None when nothing can be edited.

    rng: a random.Random. avoid: programs that must not come out. weights: of the kinds that may be drawn, such as
    CATALOGUE for all of them. Raises SyntaxError if `program` is not Python.
    """
    tree = parse(program)
    before = ast.unparse(tree)
    by_kind = {}
    for site in _sites(tree, weights):
        by_kind.setdefault(site[0], []).append(site)
    for _ in range(TRIES if by_kind else 0):
        kind = rng.choices(list(by_kind), [weights[kind] for kind in by_kind])[0]
        after = _applied(tree, *rng.choice(by_kind[kind])[1:])
        if after not in (before, None, *avoid):
            return Edit(kind, after)
    return None


def all_edits(program, kinds=None):
    """Every single edit of `program`, as a list of distinct Edits. Raises SyntaxError if it is not Python.

    kinds: names of the catalogue, such as WEIGHTS for those that `random_edit` draws; None for all.
    """
    tree = parse(program)
    found = {ast.unparse(tree): None}
    for kind, *change in _sites(tree, CATALOGUE if kinds is None else kinds):
        after = _applied(tree, *change)
        if after is not None:
            found.setdefault(after, Edit(kind, after))
    return [edit for edit in found.values() if edit]


def _applied(tree, parent, field, value):
    """The program with `parent.field` set to `value`, for as long as it takes to write it down."""
    kept = getattr(parent, field)
    setattr(parent, field, value)
    try:
        text = ast.unparse(ast.fix_missing_locations(tree))
        parse(text)
        return text
    except (SyntaxError, ValueError, AttributeError):
        return None
    finally:
        setattr(parent, field, kept)


@dataclass(frozen=True)
class _Names:
    """The names of a program. variables: sorted. assigned: how often each. counters: those that may count places."""

    variables: list
    assigned: Counter
    counters: set


def _sites(tree, kinds):
    """Where the tree can be edited: tuples (kind, parent, field, new value), of these kinds."""
    names = _names(tree)
    sources = [source for source, makes in SOURCES if makes & set(kinds)]
    nodes = list(ast.walk(tree))
    docstrings = {id(n.value) for n in nodes if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)}
    for node in nodes:
        for source in sources if id(node) not in docstrings else ():
            yield from (site for site in source(node, names) if site[0] in kinds)


def _names(tree):
    nodes = list(ast.walk(tree))
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    arguments = [node.arg for node in nodes if isinstance(node, ast.arg)]
    every = {node.id for node in nodes if isinstance(node, ast.Name)} | {*arguments}
    assigned = Counter(arguments)
    assigned.update(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    return _Names(sorted(every - functions - set(dir(builtins))), assigned, set(_counters(nodes)))


def _counters(nodes):
    """Names that go through a range, are numbered by enumerate, or are counted up or down."""
    for node in nodes:
        if isinstance(node, (ast.For, ast.comprehension)) and bugs_in_expressions.is_call_of(node.iter, "range"):
            yield from _stored(node.target)
        elif isinstance(node, (ast.For, ast.comprehension)) and bugs_in_expressions.is_call_of(node.iter, "enumerate"):
            yield from _stored(node.target.elts[0]) if isinstance(node.target, ast.Tuple) else ()
        elif isinstance(node, ast.AugAssign):
            yield from _stored(node.target)


def _stored(target):
    return [target.id] if isinstance(target, ast.Name) else []
