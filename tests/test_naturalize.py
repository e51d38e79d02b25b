"""Naturalizing: what the comments look like, and that they come off again."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextkit.naturalize import naturalize, shorten, strip_trace
from nextkit.offline.corpus import draw_task, failing_trace
from nextkit.tracing import trace_in_process

SEPARATE = "def separate(lst):\n    odd = []\n    for n in lst:\n        if n % 2 == 0:\n            odd.append(n)\n    return odd"
GOLDEN = """\
def separate(lst):  # (0) lst=[1, 2, 3]
    odd = []  # (1) odd=[]
    for n in lst:  # (2) n=1; (4) n=2; (7) n=3
        if n % 2 == 0:
            odd.append(n)  # (6) odd=[2]
    return odd  # (10) return [2]
assert separate([1, 2, 3]) == [1, 3]  # got [2]"""


def test_the_comments_look_as_in_the_method():
    assert naturalize(trace_in_process(SEPARATE, "assert separate([1, 2, 3]) == [1, 3]")) == GOLDEN


def test_a_line_that_ran_often_keeps_two_states_and_the_last():
    text = naturalize(
        trace_in_process("def f(n):\n    for i in range(n):\n        pass\n    return i", "assert f(9) == 1")
    )
    assert "# (1) i=0; (3) i=1; ...; (17) i=8" in text


def test_an_exception_stands_at_its_line_and_at_the_test():
    text = naturalize(trace_in_process("def f(x):\n    return x[9]", "assert f([1]) == 1"))
    assert text.count("IndexError: list index out of range") == 2 and "# raised IndexError" in text


def test_a_program_that_was_stopped_says_after_how_many_steps():
    text = naturalize(trace_in_process("def f():\n    while True:\n        pass", "assert f() == 1", max_steps=9))
    assert text.endswith("# stopped after 9 steps")


def test_a_passing_test_has_no_comment():
    assert naturalize(trace_in_process("def f():\n    return 1", "assert f() == 1")).endswith("assert f() == 1")


def test_a_statement_over_several_lines_has_its_comment_at_its_end():
    program = 'def f():\n    a = """x\ny"""\n    return (a +\n            "z")'
    text = naturalize(trace_in_process(program, "assert f() == 1"))
    assert 'y"""  # (1) a=' in text and strip_trace(text).startswith(program)


def test_long_values_keep_beginning_and_end():
    assert (
        shorten("[" + "1, " * 50 + "2]", 32)
        == "[1, 1, 1, 1, 1, 1, ...1, 1, 2]"[:19] + "..." + ("1, " * 50 + "2]")[-10:]
    )


def test_an_unknown_style_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"'prose'.*inline"):
        naturalize(trace_in_process(SEPARATE, "assert separate([1]) == [1]"), style="prose")


def test_a_scratchpad_is_longer_than_comments():
    trace = trace_in_process(SEPARATE, "assert separate([1, 2, 3] * 20) == [1, 3]")
    lengths = [len(naturalize(trace, style=style)) for style in ("concise", "inline", "scratchpad")]
    assert lengths == sorted(lengths) and lengths[2] > 3 * lengths[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_stripping_the_comments_gives_program_and_test_back(seed):
    if task := draw_task(random.Random(seed)):
        trace = failing_trace(task)
        assert strip_trace(naturalize(trace)) == f"{task.buggy}\n{trace.test}"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_order_numbers_rise_within_a_line_and_name_steps_of_that_line(seed):
    if task := draw_task(random.Random(seed)):
        trace = failing_trace(task)
        for number, line in enumerate(naturalize(trace).splitlines()[:-1], 1):
            indexes = [int(k) for k in re.findall(r"(?:# |; )\((\d+)\) ", line)]
            assert indexes == sorted(set(indexes))
            assert all(trace.steps[k].line == number for k in indexes)
