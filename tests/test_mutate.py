"""The catalogue of bugs: what an edit may and may not do."""

import ast
import random

import pytest

from nextkit.datasets.mutate import WEIGHTS, all_edits, random_edit

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
