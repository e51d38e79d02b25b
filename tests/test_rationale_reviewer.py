"""The RationaleReviewer, driven from Python alone."""

import pytest

from nextkit.sandbox import Verdict
from nextkit.widgets import RationaleReviewer


@pytest.fixture
def reviewer(task, sample):
    samples = [sample(task.buggy), sample(task.reference), sample("<script>")]
    return RationaleReviewer(task, samples, [Verdict("t", s) for s in ("failed", "passed", "unparseable")])


def test_filtering_by_verdict_shows_only_those_samples(reviewer):
    reviewer.status = "passed"
    assert [v.status for _, v in reviewer.shown] == ["passed"]


def test_samples_without_their_verdicts_are_refused(task, sample):
    with pytest.raises(ValueError, match="1 samples and 0 verdicts"):
        RationaleReviewer(task, [sample("x")], [])
