"""Grounding: is what a rationale says true?"""

from dataclasses import replace

import pytest

from nextkit.grounding import agreement, faithful, truth
from nextkit.tracing import trace

SAID = "It returns 0, not 2. In `return x - 1` change `-` to `+`."


@pytest.fixture
def said(task, sample):
    """said(rationale) -> a Sample with the right fix."""
    return lambda rationale: replace(sample(task.reference), rationale=rationale)


def test_agreement_counts_fixes_that_do_what_is_said(task, said):
    assert agreement([task], [[said(SAID), said("because")]]) == 0.5


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
