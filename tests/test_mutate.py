"""The catalogue of bugs: what an edit may and may not do."""

import ast
import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextkit.datasets.mutate import CATALOGUE, SOURCES, WEIGHTS, all_edits, random_edit

PROGRAM = """def f(xs, n):
    t = 0
    for x in xs:
        if x > 2 and x % 2 == 0:
            t += abs(x) * 2
        else:
            t -= 1
    for i in range(n + 1):
        t = max(t, i)
    return t"""


def test_every_edit_parses_and_differs_from_the_program():
    programs = [edit.program for edit in all_edits(PROGRAM)]
    assert all(ast.parse(program) for program in programs)
    assert PROGRAM not in programs


def test_no_two_edits_give_the_same_program():
    programs = [edit.program for edit in all_edits(PROGRAM)]
    assert len(programs) == len(set(programs)) > 50


@pytest.mark.parametrize("kind", sorted(set(WEIGHTS) - {"missing"}))
def test_the_catalogue_finds_an_edit_of_each_kind(kind):
    assert kind in {edit.kind for edit in all_edits(PROGRAM)}


def test_a_statement_can_go_missing_when_its_block_keeps_another():
    edits = all_edits("def f(t):\n    t += 1\n    return t")
    assert "def f(t):\n    return t" in {edit.program for edit in edits if edit.kind == "missing"}


def test_a_random_edit_is_one_of_the_catalogue():
    known = {edit.program for edit in all_edits(PROGRAM)}
    rng = random.Random(0)
    assert {random_edit(PROGRAM, rng).program for _ in range(50)} <= known


def test_the_same_seed_draws_the_same_edits():
    draws = [[random_edit(PROGRAM, rng).program for _ in range(5)] for rng in (random.Random(3), random.Random(3))]
    assert draws[0] == draws[1]


def test_programs_to_avoid_do_not_come_out():
    edits = [edit.program for edit in all_edits("x = 1")]
    assert random_edit("x = 1", random.Random(0), avoid=edits) is None


def test_a_program_without_anything_to_edit_gives_none():
    assert random_edit("pass", random.Random(0)) is None


# One example or more of each kind: what the program says, and what an edit of that kind makes of it.
EXAMPLES = [
    ("initial-value", "t = 0\nfor x in xs:\n    t += x", "t = 1\nfor x in xs:\n    t += x"),
    ("initial-value", "m = xs[0]\nwhile f(m):\n    m = g(m)", "m = 0\nwhile f(m):\n    m = g(m)"),
    ("initial-value", "r = []\nfor x in xs:\n    g(r)", "r = [0]\nfor x in xs:\n    g(r)"),
    (
        "early-return",
        "def f(xs):\n    for x in xs:\n        g(x)\n    return x",
        "def f(xs):\n    for x in xs:\n        g(x)\n        return x\n    return x",
    ),
    (
        "early-return",
        "def f(xs):\n    for x in xs:\n        if x:\n            g(x)\n    return x",
        "def f(xs):\n    for x in xs:\n        if x:\n            g(x)\n            return x\n    return x",
    ),
    (
        "removed-statement",
        "def f(n):\n    if n < 0:\n        return 0\n    return n",
        "def f(n):\n    return n",
    ),
    ("removed-statement", "if a:\n    b()\nelse:\n    c()", "if a:\n    b()"),
    ("removed-statement", "def f(n):\n    n = abs(n)\n    return n", "def f(n):\n    return n"),
    ("arguments", "f(a, b)", "f(b, a)"),
    ("index", "xs[0]", "xs[-1]"),
    ("index", "for i in range(9):\n    f(xs[i])", "for i in range(9):\n    f(xs[i + 1])"),
    ("index", "for i in range(9):\n    f(xs[i])", "for i in range(9):\n    f(xs[i - 1])"),
    ("index", "f(xs[i][j])", "f(xs[j][i])"),
    ("slice", "xs[:k]", "xs[:k - 1]"),
    ("slice", "xs[k:]", "xs[k:-1]"),
    ("slice", "xs[::-1]", "xs[::1]"),
    ("slice", "xs[::2]", "xs[:]"),
    ("condition", "if a < b:\n    f()", "if a >= b:\n    f()"),
    ("condition", "while a(b):\n    f()", "while not a(b):\n    f()"),
    ("condition", "f(a and b and c)", "f(a and c)"),
    ("condition", "[x for x in xs if x > 1]", "[x for x in xs]"),
    ("return-value", "def f(a, b):\n    return (a, b)", "def f(a, b):\n    return (b, a)"),
    ("return-value", "def f(a, b):\n    return (a, b)", "def f(a, b):\n    return b"),
    ("return-value", "def f(a, b):\n    return any(a)", "def f(a, b):\n    return not any(a)"),
    ("loop", "while i < n:\n    f()", "while i < n - 1:\n    f()"),
    ("loop", "for x in xs:\n    f(x)", "for x in xs[1:]:\n    f(x)"),
    ("loop", "for i in range(1, n):\n    f(i)", "for i in range(n):\n    f(i)"),
    ("loop", "for i in range(k + 1, n):\n    f(i)", "for i in range(k + 2, n):\n    f(i)"),
    ("loop", "for i in range(n):\n    break", "for i in range(n):\n    continue"),
    ("call", "r.append(x)", "r.extend(x)"),
    ("call", "r.add(x)", "r.discard(x)"),
    ("call", "xs.sort(reverse=True)", "xs.sort()"),
    ("call", "f(sorted(xs))", "f(sorted(xs, reverse=True))"),
    ("call", "round(x, 2)", "round(x)"),
    ("string", "' '.join(xs)", "''.join(xs)"),
    ("string", "f('{:.2f}')", "f('{:.3f}')"),
    ("string", "f('^a+$')", "f('a+$')"),
]


@pytest.mark.parametrize(("kind", "before", "after"), EXAMPLES)
def test_each_new_kind_makes_the_bug_that_the_catalogue_promises(kind, before, after):
    assert after in {edit.program for edit in all_edits(before, kinds={kind})}


def test_every_kind_has_a_weight_and_a_source():
    assert (
        set(CATALOGUE) == set().union(*(kinds for _, kinds in SOURCES)) == {*WEIGHTS, *(kind for kind, *_ in EXAMPLES)}
    )


def test_an_assignment_that_the_program_needs_stays():
    edits = all_edits("def f(x):\n    y = x\n    return y", kinds={"removed-statement"})
    assert {edit.program for edit in edits} == {"def f(x):\n    y = x"}


def test_only_the_kinds_asked_for_are_made():
    assert {edit.kind for edit in all_edits(PROGRAM, kinds={"loop", "constant"})} == {"loop", "constant"}


def test_an_edit_by_default_is_of_one_of_the_kinds_that_made_the_shipped_data():
    rng = random.Random(0)
    assert {random_edit(PROGRAM, rng).kind for _ in range(300)} == set(WEIGHTS) - {"missing"}


def test_the_whole_catalogue_is_drawn_where_its_weights_are_given():
    rng = random.Random(0)
    assert {random_edit(PROGRAM, rng, weights=CATALOGUE).kind for _ in range(300)} - set(WEIGHTS)


def test_the_draws_that_made_the_shipped_data_come_out_again():
    rng = random.Random(5)
    drawn = repr([random_edit(PROGRAM, rng) for _ in range(200)])
    assert hashlib.sha256(drawn.encode()).hexdigest()[:16] == "b237693422411c2b"


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.integers(0, 3))
def test_all_edits_of_any_program_parse_differ_and_leave_no_trace(seed, steps):
    rng = random.Random(seed)
    program = rng.choice([PROGRAM, *(before for _, before, _ in EXAMPLES)])
    for _ in range(steps):
        edit = random_edit(program, rng, weights=CATALOGUE)
        program = edit.program if edit else program
    edits = all_edits(program)
    assert all(ast.dump(ast.parse(edit.program)) != ast.dump(ast.parse(program)) for edit in edits)
    assert len({edit.program for edit in edits}) == len(edits)
    assert all_edits(program) == edits


def test_a_docstring_is_not_edited():
    program = 'def f(x):\n    """a+b+"""\n    \'word\'\n    return x + \'word\''
    edits = all_edits(program, kinds={"constant", "string"})
    assert [edit.program for edit in edits] == [ast.unparse(ast.parse(program))[:-5] + "ord'"]
