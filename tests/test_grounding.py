"""Grounding: is what a rationale says true?"""

import functools
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextkit.grounding import agreement, check_claims, claims_table, faithful, grounded, truth
from nextkit.offline.rationales import write_rationale
from nextkit.offline.repairs import draw_task, failing_trace
from nextkit.sandbox import Verdict
from nextkit.tracing import trace, trace_in_process

SAID = "It returns 0, not 2. In `return x - 1` change `-` to `+`."


@pytest.fixture
def said(task, sample):
    """said(rationale) -> a Sample with the right fix."""
    return lambda rationale: replace(sample(task.reference), rationale=rationale)


def test_agreement_counts_fixes_that_do_what_is_said(task, said):
    assert agreement([task], [[said(SAID), said("because")]]) == 0.5


def test_where_no_rationale_speaks_the_offline_models_language_there_is_no_share(task, said, sandbox):
    samples = [[said("The result is off."), said("because")]]
    assert math.isnan(agreement([task], samples)) and math.isnan(truth(samples, [trace(task, sandbox=sandbox)]))


def test_truth_counts_true_quotes_of_all_samples(task, said, sandbox):
    samples = [said(SAID), said(SAID.replace("returns 0", "returns 7")), said("because"), said(SAID)]
    assert truth([samples], [trace(task, sandbox=sandbox)]) == 0.5


@pytest.mark.parametrize(
    "rationale, expected",
    [(SAID, True), (SAID.replace("returns 0", "returns 7"), False), (SAID.replace("`+`", "`*`"), False),
     ("In `return x - 1` change `-` to `+`.", False), ("It returns 0, not 2.", False)],
)  # fmt: skip
def test_a_faithful_sample_does_what_it_says_and_quotes_what_is_true(task, said, sandbox, rationale, expected):
    assert faithful(task, said(rationale), trace(task, sandbox=sandbox)) is expected


SEPARATE = "def separate(lst):\n    odd = []\n    for n in lst:\n        if n % 2 == 0:\n            odd.append(n)\n    return odd"
GREET = "def greet(name):\n    if not name:\n        return 'nobody'\n    for letter in name:\n        last = letter\n    return [last, name]"


@functools.cache
def run(program=SEPARATE, test="assert separate([1, 2, 3]) == [1, 3]", **limits):
    return trace_in_process(program, test, **limits)


def claims(rationale, trace=None, fix=None):
    """(words, kind, holds, step) of each claim."""
    found = check_claims(rationale, trace or run(), fix)
    return [(claim.text, claim.kind, claim.holds, claim.step) for claim in found]


@functools.cache
def real_trace(seed):
    """A failing trace of a random program."""
    rng = random.Random(seed)
    return failing_trace(next(filter(None, (draw_task(rng) for _ in range(100)))))


@pytest.mark.parametrize(
    "rationale, expected",
    [
        ("It returns [2], not [1, 3].", [("returns [2]", "result", True, 10), ("not [1, 3]", "result", True, None)]),
        ("Expected [1,3], got [2].", [("got [2]", "result", True, 10)]),
        ("The test expected [1,3] but the function returns `[1]`.",
         [("expected [1,3]", "result", True, None), ("returns `[1]`", "result", False, 10)]),
        ("It should return [2].", [("should return [2]", "result", False, None)]),
        ("`separate([1, 2, 3])` returns [2]", [("returns [2]", "result", True, 10)]),
        ("It never terminates.", [("never terminates", "result", False, None)]),
        ("It raises an IndexError.", [("raises an IndexError", "exception", False, 10)]),
        ("(4) n=2; odd=[2]", [("(4) n=2", "value", True, 4), ("odd=[2]", "value", False, 4)]),
        ("See (10) return [2].", [("(10) return [2]", "value", True, 10)]),
        ("At step 5, n is 2.", [("At step 5, n is 2", "value", True, 5)]),
        ("`n` becomes 3 and then n = 4.", [("`n` becomes 3", "value", True, 7), ("n = 4", "value", False, 7)]),
        ("lst[1] is 2 at step 6", [("lst[1] is 2 at step 6", "value", True, 6)]),
        ("The result is an empty list.", [("result is an empty list", "result", False, 10)]),
        ("Line 5 never runs; line 6 runs once.", [("Line 5 never runs", "line", False, 6), ("line 6 runs once", "line", True, 10)]),
        ("The loop runs 3 times.", [("The loop runs 3 times", "line", True, 8)]),
    ],
)  # fmt: skip
def test_what_is_said_of_a_run_is_found_and_checked(rationale, expected):
    assert claims(rationale) == expected


@pytest.mark.parametrize(
    "rationale",
    ["If n is 3, it returns [3].", "It should not matter that n is 4", "n is not 3", "It returns 3 more than it should.",
     "Set n = 4 before the loop.", "`odd = []` comes first.", "With this fix, it returns [1, 3].", "the length of n is 3",
     "`len(odd)` returns 1", "It does not raise an IndexError: sorted(lst, n=3)", "It returns 1, 2", "n % 2 is 0", "a = 3",
     "Something is off in the loop, so I change it."],
)  # fmt: skip
def test_what_is_not_surely_said_of_this_run_is_no_claim(rationale):
    assert claims(rationale) == []


def test_an_exception_holds_at_the_step_that_raised_it():
    raised = run("def f(x):\n    return x[9]", "assert f([1]) == 1")
    assert claims("An `IndexError` is raised.", raised) == [("`IndexError` is raised", "exception", True, 1)]


def test_what_a_cut_trace_does_not_show_is_undecided():
    cut = run("def f():\n    n = 0\n    while True:\n        n += 1", "assert f() == 1", max_steps=50)
    assert [holds for *_, holds, _ in claims("n is 900. (900) n=5. line 4 runs 900 times.", cut)] == [None] * 3


def test_a_variable_belongs_to_its_call():
    calls = run("def g(n):\n    n += 1\n    return n\ndef f(n):\n    m = g(n)\n    return n", "assert f(1) == 2")
    assert [holds for *_, holds, _ in claims("at step 3 n is 2; at step 5 n is 1; at step 5 n is 2", calls)] == [
        True,
        True,
        False,
    ]


def test_a_part_that_changes_later_leaves_no_doubt_about_the_whole_before():
    grown = run("def f(n):\n    xs = [n] * 20\n    xs[0] += 1\n    return xs", "assert f(5) == 1")
    assert [claim.holds for claim in check_claims("At step 1 xs is [4]. At step 2 xs is [4].", grown)] == [False, None]


def test_a_value_shortened_with_dots_agrees_at_both_ends():
    long = run("def f(xs):\n    return xs", f"assert f({list(range(40))}) == 1")
    assert [holds for *_, holds, _ in claims("(0) xs=[0, 1,...39]; (0) xs=[0, 2,...39]", long)] == [True, False]


@pytest.mark.parametrize(
    "fix, holds", [(None, None), (SEPARATE.replace("==", "!="), True), (SEPARATE.replace("==", ">"), False)]
)
def test_an_edit_holds_if_the_fix_is_exactly_that_edit(fix, holds):
    assert claims("In `if n % 2 == 0:` change `==` to `!=`.", fix=fix)[0][1:3] == ("edit", holds)


def test_an_edit_of_code_that_is_not_there_is_false():
    assert [holds for *_, holds, _ in claims("Remove `print(n)`. Replace `n / 2` with `n`.")] == [False, False]


def test_the_summary_counts_true_false_and_undecided():
    assert grounded("It returns [2], not [1]. In `if n % 2 == 0:` change `==` to `!=`.", run()) == (1, 1, 1)


@given(st.integers(0, 10_000), st.data())
@settings(max_examples=60, deadline=None)
def test_a_claim_made_from_a_real_step_holds_there_and_with_another_value_does_not(seed, data):
    real = real_trace(seed)
    step = data.draw(st.sampled_from([step for step in real.steps if step.changes]))
    path, value = data.draw(st.sampled_from(step.changes))
    for form in ("({0}) {1}={2}", "At step {0}, `{1}` is {2}.", "We see that {1} is `{2}` at step {0}."):
        (claim,) = check_claims(form.format(step.index, path, value), real)
        (other,) = check_claims(form.format(step.index, path, "'another'"), real)
        assert (claim.holds, claim.step) == (True, step.index)
        assert other.holds is (None if "..." in value else False)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_outcome_as_the_offline_models_state_it_holds_and_another_does_not(seed):
    real = real_trace(seed)
    if real.outcome == "failed":
        assert grounded(f"It returns {real.got}, not {real.expected}.", real) == (2, 0, 0)
        other = (1, 0, 1) if "..." in real.got else (1, 1, 0)  # a value that the trace cut could be any
        assert grounded(f"It returns ['other'], not {real.expected}.", real) == other
    elif real.outcome == "error":
        assert grounded(f"It raises {real.exception.split(':')[0]}.", real) == (1, 0, 0)
        assert grounded("It raises OSError.", real) == (0, 1, 0)


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_all_that_a_true_rationale_of_the_offline_language_claims_is_borne_out(seed):
    rng = random.Random(seed)
    task = next(filter(None, (draw_task(rng) for _ in range(100))))
    said = write_rationale(rng, task.buggy, task.reference, failing_trace(task))
    true, false, undecided = grounded(said, failing_trace(task), task.reference)
    assert true and not false and not undecided, said


WORDS = st.sampled_from(["returns", "(4)", "n", "is", "=", "`", "[", "]", "'", "3", "line 3", "runs twice", ",", "not",
                         "at step 3", "IndexError", "is raised", "In `x` change `y` to `z`.", "...", "\n", "\0"])  # fmt: skip


@given(st.text() | st.lists(WORDS).map(" ".join) | st.lists(WORDS).map("".join))
@settings(max_examples=150, deadline=None)
def test_any_text_is_read_and_spans_lie_within_it_without_overlap(rationale):
    place = 0
    for claim in check_claims(rationale, run(GREET, "assert greet('ab') == 1"), SEPARATE):
        assert place <= claim.start < claim.end <= len(rationale)
        assert claim.text == rationale[claim.start : claim.end]
        place = claim.end


PLUS = "def f(x):\n    y = x + 1\n    return y"


@pytest.mark.parametrize(
    "rationale",
    ["For the input 5 the function returns 6.", "With x = 5 it returns 6.", "Given x = 2, it returns 3.",
     "As long as x is 2, y is 3.", "Provided x is 2, y is 3.", "In case x is 2, y is 3.", "Take x = 2: y is 3.",
     "for x = 2 it returns 3", "With `x = 5` it returns 6.", "It returns 6, provided x = 5.",
     "Nothing raises a ValueError.", "Neither branch raises an IndexError.", "ValueError is raised nowhere",
     "Without a guard, it raises an IndexError.", "In the new version y is 3",
     "The fix: y = x + 2, so y is 3 and it returns 3.", "The docstring says it returns 3.",
     "The specification says y is 3."],
)  # fmt: skip
def test_what_is_said_of_another_run_or_denied_is_no_claim(rationale):
    assert claims(rationale, run(PLUS, "assert f(1) == 3")) == []


@pytest.mark.parametrize(
    "rationale, expected",
    [("For the input 1 the function returns 2.", True), ("For the input 1 the function returns 5.", False),
     ("It ends with y = 2.", True), ("Before the fix, it returns 2.", True), ("The given list is fine. It returns 5.", False),
     ("Without more ado. It raises a ValueError.", False), ("`f(1)` returns 2", True), ("f(1) returns 4.", False)],
)  # fmt: skip
def test_what_is_plainly_said_of_this_run_is_still_judged(rationale, expected):
    assert [holds for *_, holds, _ in claims(rationale, run(PLUS, "assert f(1) == 3"))] == [expected]


@pytest.mark.parametrize(
    "rationale, expected",
    [("f([1]) returns [].", []), ("The test expected [0].", [None]), ("The test expected [5].", [False]),
     ("f([0, 1]) returns [1].", [True]), ("The test expected [].", [True])],
)  # fmt: skip
def test_an_assertion_that_was_never_reached_decides_nothing(rationale, expected):
    stopped = run("def f(xs):\n    return xs[1:]", "assert f([0, 1]) == []\nassert f([1]) == [0]")
    assert [holds for *_, holds, _ in claims(rationale, stopped)] == expected


def test_a_generator_that_goes_on_does_not_enter_its_line_again():
    program = "def f(xs):\n    for x in xs:\n        yield x"
    resumed = run(program, "assert list(f([1, 2, 3])) == []")
    said = "The loop runs 3 times; the loop runs 6 times; line 3 runs 3 times."
    assert [holds for *_, holds, _ in claims(said, resumed)] == [True, False, True]


def test_how_often_a_with_is_entered_is_undecided():
    program = (
        "import contextlib\ndef f(xs):\n    for x in xs:\n        with contextlib.nullcontext():\n            y = x"
        "\n            y += 1\n    return y"
    )
    said = "The loop runs 3 times; line 4 runs 3 times; line 5 runs 3 times; line 4 never runs."
    found = claims(said, run(program, "assert f([1, 2, 3]) == 1"))
    assert [holds for *_, holds, _ in found] == [None, None, True, False]


@pytest.mark.parametrize(
    "rationale, expected",
    [("t[3] is 0 at first.", None), ("t[60] is 9", None), ("u[0] is [0]", None), ("t[3] is 5", True), ("a.v is 0", True), ("a.v is 2", True),
     ("a.v is 9", False)],
)  # fmt: skip
def test_a_part_of_a_value_is_judged_only_by_what_the_trace_shows_of_it(rationale, expected):
    program = (
        "class A:\n    def __init__(self):\n        self.v = 0\ndef f():\n    t = [0] * 100\n    t[3] = 5\n    u = [[0] * 600, 3]\n"
        "    t[60] = 5\n    a = A()\n    a.v = 2\n    return a"
    )
    found = claims(rationale, run(program, "assert f() == 1"))
    assert [holds for *_, holds, _ in found] == [expected]


PARTS = "def f(a, b, lst):\n    c = a - b\n    return c"
SUM = "def f(xs):\n    result = 0\n    for x in xs:\n        result += x\n    return result"
HELPED = "def even(n):\n    return n % 2 == 0\ndef f(n):\n    if even(n):\n        return n - 1\n    return n + 2"


@pytest.mark.parametrize(
    "said",
    ["a + b = 5.", "c = a - b = 3", "The sum of a and b is 5.", "a plus b is 5", "b minus a is 1",
     "The length of the list lst is 3", "The index of 5 in `lst` is 1", "The last element in lst is 6"],
)  # fmt: skip
def test_an_operand_is_not_the_whole(said):
    assert claims(said, run(PARTS, "assert f(2, 3, [1, 5, 6]) == 5")) == []


@pytest.mark.parametrize(
    "said",
    ["This ensures that it returns 8.", "Now it returns 8.", "After replacing it, it returns 8.", "My version returns 8.",
     "The updated code returns 8.", "By using -, n becomes 7.", "With `-`, n = 7.", "so that n = 7", "making n = 7",
     "The correct code:\n```python\nx = 1\n```\nThis returns 21."],
)  # fmt: skip
def test_what_holds_after_the_fix_is_not_of_this_run(said):
    assert claims(said, run(HELPED, "assert f(5) == 8")) == []


@pytest.mark.parametrize(
    "said",
    ["The `even` function returns True.", "The helper `even` incorrectly returns True", "The recursive call returns 4.",
     "First even(1) is called, and it returns True", "The sort method returns None.", "2 + 3 is computed. This gives 5.",
     "`f(6)` should return 9.", "For the test `f(6) == 9`, the function should return 9.", "For f(1), it returns 2.",
     "The test `f(1) == 3` expects 3, but the function returns 2.", "The second test expects 3.",
     "Otherwise, it returns 0.", "For an empty list, it returns 0.", "In all other cases, it returns 0.", "e.g., n = 7.",
     "Two changes: (1) return 15; (2) return 4", "It should be (9) return 20."],
)  # fmt: skip
def test_another_call_another_input_and_any_input_are_not_this_run(said):
    assert claims(said, run(HELPED, "assert f(5) == 8")) == []


@pytest.mark.parametrize(
    "said",
    ["`f(5)` should return 8.", "f(5) returns 7.", "The function incorrectly returns 7.", "The `f` function returns 7.",
     "The test fails with an AssertionError.", "The test `f(5) == 8` expects 8.", "The buggy function returns 7."],
)  # fmt: skip
def test_what_is_said_of_the_tested_function_is_of_this_run(said):
    ((_, _, holds, _),) = claims(said, run(HELPED, "assert f(5) == 8"))
    assert holds is True


@pytest.mark.parametrize(
    "said",
    ["The program does not work correctly:\n```\nx\n```\nIt returns [2].", "The existing function returns [2].",
     "With `[1, 2, 3]`, the function returns `[2]`.", "By checking `n % 2 == 0`, it returns [2]", "The function call returns [2].",
     "AssertionError: separate([1, 2, 3]) returned [2]", "This produces [2] instead of [1, 3].", "The last test returns [2]"],
)  # fmt: skip
def test_true_words_about_this_run_are_claims(said):
    assert claims(said)[0][1:3] == ("result", True)


def test_a_variable_called_result_is_a_variable():
    found = claims(
        "After the first iteration, the result is 1. The desired result is 20.", run(SUM, "assert f([1, 2]) == 20")
    )
    assert [(text, kind, holds) for text, kind, holds, _ in found] == [("result is 1", "value", True)]


def test_an_exception_is_also_of_the_kinds_that_its_type_belongs_to():
    trace = run("def f(xs):\n    return xs[5]", "assert f([1]) == 8")
    assert [holds for _, _, holds, _ in claims("It raises a LookupError. It raises KeyError.", trace)] == [True, False]


def test_of_several_stated_edits_none_is_false_because_it_is_not_the_whole():
    fix = SEPARATE.replace("== 0", "!= 0").replace("odd.append(n)", "odd.append(1)")
    said = "In `if n % 2 == 0:` change `==` to `!=`. In `odd.append(n)` change `n` to `1`."
    assert [holds for _, _, holds, _ in claims(said, fix=fix)] == [None, None]


def test_code_in_other_spacing_is_not_missing():
    assert claims("Replace `n%2==0` with `n%2==1`.")[0][2] is None
    assert claims("Do not change `n % 2` to `n % 3`.") == []


def test_a_table_without_claims_has_its_columns(task, sample, sandbox):
    table = claims_table([task], [[sample("x")]], [[Verdict("t/1", "failed", 0)]], [trace(task, sandbox=sandbox)])
    assert len(table) == 0 and {"task_id", "passed", "kind", "holds"} <= {*table.columns}
