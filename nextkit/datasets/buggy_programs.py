"""Buggy programs for one problem: a model's own wrong programs first, then edits of the correct one.

A program is taken when it parses, defines what the tests call, ends on every test, fails a shown one, and is not, but for
layout and comments, one that was seen before. Edits are drawn by kind, as `nextkit.datasets.mutate` weighs them, but for
variables taken for modules or functions; a double edit is a single one that failed, edited again.

    found = find_bugs(problem, 25, sandbox=sandbox, seed=0)
    found.bugs[0].program
"""

import ast
import random
import symtable
from collections import Counter
from functools import partial

from nextkit.datasets.found import Bug, Found
from nextkit.datasets.mutate import CATALOGUE, all_edits, random_edit
from nextkit.parsing import parse
from nextkit.prompting import shape

ENDLESS = ("timeout", "killed")
HANGS = 3  # a kind of edit that hung so often on a problem is not drawn for it again: each costs the whole timeout
TRIES = 360  # double edits tried before a problem counts as exhausted


def find_bugs(problem, wanted, *, sandbox, seed=0, samples=(), single=0.7, timeout=0.5):
    """The Found of a Problem: up to `wanted` buggy programs, those of `samples` (source texts) first.

    single: the share of single edits among the edits. timeout: seconds a program, all its tests together. The same
    arguments give the same programs; fewer wanted gives the first of them.
    """
    oracle, status = _reference(problem, sandbox, timeout)
    if oracle is None:
        return Found(problem.number, wanted, left_out=status, exhausted=True)
    how = dict(setup=problem.setup, oracle=oracle, timeout=timeout)
    hidden = [t for t in problem.challenge if sandbox.check(problem.reference, [t], **how).status == "passed"]
    judge = partial(judge_bug, sandbox, tests=problem.tests, hidden=hidden, **how)
    search = _Search(problem.reference, judge, needed=_called(problem))
    for program in samples:
        if len(search.bugs) < wanted:
            search.offer(program, "sample")
    exhausted = _mutate(search, wanted, single, random.Random(f"{seed}/{problem.number}"))
    bugs, refused = tuple(search.bugs), dict(sorted(search.refused.items()))
    return Found(problem.number, wanted, "", oracle, tuple(hidden), bugs, refused, exhausted)


def judge_bug(sandbox, program, tests, hidden=(), **how):
    """The status of a program's verdict on the shown tests, or "timeout" or "killed" if any test ends so.

    how: what `Sandbox.check` takes besides.
    """
    verdict = sandbox.check(program, tests, **how)
    status, rest = verdict.status, (*tests, *hidden)
    while verdict.status in ("failed", "error") and verdict.test >= 0 and rest[verdict.test + 1 :]:
        rest = rest[verdict.test + 1 :]  # a verdict speaks of the first test that fails: the others must end as well
        verdict = sandbox.check(program, rest, **how)
    return verdict.status if verdict.status in ENDLESS else status


def _reference(problem, sandbox, timeout):
    """(oracle, "") by which the reference passes the shown tests, or (None, its status)."""
    for oracle in ("exact", "equal"):
        verdict = sandbox.check(problem.reference, problem.tests, setup=problem.setup, oracle=oracle, timeout=timeout)
        if verdict.status == "passed":
            return oracle, ""
    return None, verdict.status


class _Search:
    """The bugs of a problem so far; whatever was seen is not judged again. needed: names that a program must define."""

    def __init__(self, reference, judge, needed):
        self.reference, self.judge, self.needed, self.seen = reference, judge, needed, {shape(reference)}
        self.bugs, self.refused, self.hung = [], Counter(), Counter()

    def offer(self, program, source, *operators):
        """Take the program if it is a new bug; returns whether it was."""
        status = self._status(program)
        if status in ("failed", "error"):
            self.bugs.append(Bug(program, source, operators, status))
            return True
        self.refused[status] += 1
        if status in ENDLESS:
            self.hung.update(operators[-1:])
        return False

    def _status(self, program):
        form = shape(program)
        if form in self.seen:
            return "seen before"
        self.seen.add(form)
        status = self.judge(program)
        missing = status == "error" and not self.needed <= _defined(program)
        return "defines not what is tested" if missing else status


def _called(problem):
    """The names that the reference defines and the tests use."""
    used = {node.id for test in problem.tests for node in ast.walk(parse(test)) if isinstance(node, ast.Name)}
    return used & _defined(problem.reference)


def _defined(program):
    """The names that a program, which parses, binds on its top level."""
    symbols = symtable.symtable(program, "<program>", "exec").get_symbols()
    return {symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()}


def _mutate(search, wanted, single, rng):
    """Offer single and double edits until there are `wanted` bugs; returns whether the problem has no more."""
    tools = _tools(search.reference)
    edits = [edit for edit in all_edits(search.reference) if _is_likely(edit, tools)]
    singles, firsts = _by_weight(edits, rng), []
    given, tries = len(search.bugs), TRIES
    while len(search.bugs) < wanted:
        few_singles = len(firsts) <= single * (len(search.bugs) - given)
        if singles and (few_singles or not firsts or not tries):
            edit = singles.pop()
            if search.hung[edit.kind] < HANGS and search.offer(edit.program, "mutate", edit.kind):
                firsts.append(edit)
        elif firsts and tries:
            tries -= 1
            first = rng.choice(firsts)
            second = random_edit(first.program, rng, weights=CATALOGUE)
            if second and search.hung[second.kind] < HANGS and _is_likely(second, _tools(first.program)):
                search.offer(second.program, "mutate", first.kind, second.kind)
        else:
            return True
    return False


def _is_likely(edit, tools):
    """Whether people make such a mistake: nobody takes a variable for a module or for a function."""
    return edit.kind != "variable" or _tools(edit.program) == tools


def _tools(program):
    """How often a program names what it imports, and what it calls."""
    nodes = list(ast.walk(parse(program)))
    imports = [node for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    imported = {alias.asname or alias.name for node in imports for alias in node.names}
    called = [node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    return Counter(called), Counter(node.id for node in nodes if isinstance(node, ast.Name) and node.id in imported)


def _by_weight(edits, rng):
    """The edits, the last one to be taken first: each time a kind is drawn by weight, then one of its edits."""
    groups, drawn = {}, []
    for edit in edits:
        groups.setdefault(edit.kind, []).append(edit)
    while groups:
        kind = rng.choices(list(groups), [CATALOGUE[kind] for kind in groups])[0]
        group = groups[kind]
        drawn.append(group.pop(rng.randrange(len(group))))
        if not group:
            del groups[kind]
    return drawn[::-1]
