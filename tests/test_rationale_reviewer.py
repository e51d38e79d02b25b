"""The RationaleReviewer, driven from Python alone."""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from nextkit.prompting import parse_completion
from nextkit.sampling import Sample
from nextkit.sandbox import Verdict
from nextkit.tracing import trace_in_process
from nextkit.widgets import RationaleReviewer
from nextkit.widgets.sample_view import MAX_TEXT, diff, extraction, sample_view


def judged(*statuses):
    return [Verdict("t", status) for status in statuses]


@pytest.fixture
def reviewer(task, sample):
    samples = [sample(task.buggy), sample(task.reference), sample("<script>")]
    return RationaleReviewer(task, samples, judged("failed", "passed", "unparseable"))


@pytest.fixture
def compared(task, sample):
    """Two base and two tuned samples of a task."""
    base, tuned = [sample(task.buggy)] * 2, [sample(task.reference)] * 2
    return RationaleReviewer(
        task, base, judged("failed", "failed"), others=(tuned, judged("passed", "failed")), labels=("base", "round 1")
    )


@pytest.fixture
def run(task, sample):
    """Three tasks of two samples each; in the second one nothing passed."""
    tasks = [replace(task, task_id=f"t/{n}") for n in range(3)]
    verdicts = [judged("passed", "failed"), judged("failed", "failed"), judged("failed", "passed")]
    return RationaleReviewer.of_run(tasks, [[sample(task.reference), sample(task.buggy)]] * 3, verdicts)


@pytest.fixture
def explained(task, sample):
    """A sample with two claims, and the trace that decides them."""
    said = replace(sample(task.reference), rationale="It returns 0, not 3.", text="It returns 0, not 3.\n# Fix:\nx")
    return said, trace_in_process(task.buggy, task.tests[0], task_id=task.task_id)


def written(text):
    answer = parse_completion(text)
    return Sample("t", "", text, answer.rationale, answer.fix, 9, "stop")


def test_filtering_by_verdict_shows_only_those_samples(reviewer):
    reviewer.status = "passed"
    assert [v.status for _, v in reviewer.shown] == ["passed"]


def test_samples_without_their_verdicts_are_refused(task, sample):
    with pytest.raises(ValueError, match="1 samples and 0 verdicts"):
        RationaleReviewer(task, [sample("x")], [])


def test_a_task_without_samples_is_refused(task):
    with pytest.raises(ValueError, match="0 samples and 0 verdicts"):
        RationaleReviewer(task, [], [])


def test_lists_of_different_length_are_refused(task, sample):
    with pytest.raises(ValueError, match="2 tasks, 1 lists of samples and 1 of verdicts"):
        RationaleReviewer.of_run([task, task], [[sample("x")]], [judged("failed")])


def test_an_index_outside_is_brought_inside(reviewer):
    reviewer.index = 99
    assert reviewer.index == 2 and reviewer.number == 2


def test_another_filter_begins_at_its_first_sample(reviewer):
    reviewer.index = 2
    reviewer.status = "failed"
    assert (reviewer.index, reviewer.number) == (0, 0)


def test_a_filter_that_nothing_passes_shows_nothing(compared):
    compared.status, compared.label = "passed", "base"
    assert compared.shown == [] and "no sample passes" in compared.text()


def test_an_unknown_status_is_an_error_that_is_shown(reviewer):
    reviewer.status = "perfect"
    assert "'perfect': there are passed, failed, unparseable" in reviewer.error
    reviewer.status = "all"
    assert reviewer.error == ""


def test_filtering_by_label_shows_only_samples_that_come_from_there(compared):
    compared.label = "round 1"
    assert [v.status for _, v in compared.shown] == ["passed", "failed"]


def test_samples_of_several_rounds_are_told_apart_by_their_labels(task, sample):
    others = {f"round {n}": ([sample("x")], judged("failed")) for n in (1, 2)}
    assert RationaleReviewer(task, [sample("x")], judged("failed"), others=others).labels == [
        "base",
        "round 1",
        "round 2",
    ]


def test_each_label_has_its_own_pass_at_k(compared):
    (task,) = compared.content["tasks"]
    assert [(row["label"], row["at"]) for row in task["rates"]] == [("base", [(1, 0.0)]), ("round 1", [(1, 0.5)])]


def test_two_samples_stand_side_by_side(compared):
    compared.other = 2
    assert set(compared.content["samples"]) == {"0/0", "0/2"}


def test_a_sample_to_compare_with_that_is_not_there_is_an_error_that_is_shown(compared):
    compared.other = 4
    assert "'t/1' has no sample 4: it has 4" in compared.error


def test_turning_to_another_task_shows_its_first_sample_alone(run):
    run.index = run.other = 1
    run.task_index = 2
    assert (run.task.task_id, run.index, run.other) == ("t/2", 0, None)


def test_a_claim_is_marked_in_the_rationale_with_what_decides_it(task, explained):
    view = RationaleReviewer(task, [explained[0]], judged("passed"), trace=explained[1]).content["samples"]["0/0"]
    assert view["rationale"] == [("It ", None), ("returns 0", 0), (", ", None), ("not 3", 1), (".", None)]
    assert [(claim["holds"], claim["seen"]) for claim in view["claims"]] == [
        (True, "(1) line 2: return 0"),
        (False, "got 0, expected 2"),
    ]


def test_the_step_of_a_claim_moves_the_inspector_there(task, explained):
    inspector = SimpleNamespace(trace=replace(explained[1], steps=explained[1].steps[1:]), step=None)
    reviewer = RationaleReviewer(task, [explained[0]], judged("passed"), trace=explained[1], inspector=inspector)
    reviewer.step = 1
    assert inspector.step == 0  # a place among the steps that it has


def test_a_diff_marks_the_part_of_a_line_that_differs(task):
    assert diff(task.buggy, task.reference) == [
        (" ", "def f(x):", "", ""),
        ("-", "    return x ", "-", " 1"),
        ("+", "    return x ", "+", " 1"),
    ]


def test_a_diff_of_the_buggy_program_with_itself_is_empty(task):
    assert diff(task.buggy, task.buggy + "\n") == []


@pytest.mark.parametrize(
    "text, parts",
    [
        (" why\n# Fix:\nx = 1", [("", " "), ("rationale", "why"), ("", "\n# Fix:\n"), ("fix", "x = 1")]),
        ("why\n```\nx\n```\nbye", [("rationale", "why"), ("", "\n```\n"), ("fix", "x"), ("", "\n```\nbye")]),
        ("only words", [("rationale", "only words")]),
        ("", []),
    ],
)
def test_what_was_read_as_rationale_and_as_fix_is_marked_in_the_completion(text, parts):
    assert extraction(written(text)) == parts


def test_the_parts_of_a_completion_are_all_of_it():
    text = "# Why: x\n# Fix:\n```python\nx\n```\n"
    assert "".join(part for _, part in extraction(written(text))) == text


def test_a_hidden_test_that_decided_is_named_as_one(task, sample):
    verdict = sample_view(task, sample("x"), Verdict("t", "failed", 2, "1", "8"))["verdict"]
    assert (verdict["test"], verdict["hidden"]) == ("assert f(7) == 8", True)


def test_each_test_has_a_sign_up_to_the_one_that_decided(task, sample):
    shown = replace(task, tests=("assert f(0)",) * 3, hidden_tests=("assert f(1)",) * 40)
    marks = lambda place: sample_view(shown, sample("x"), Verdict("t", "failed", place))["verdict"]["marks"]  # noqa: E731
    assert marks(1) == "✓ ✗ ·" and marks(3) == "✓✓✓ ✗ 39 ·"


def test_a_text_beyond_the_cap_is_cut_and_says_so(task, sample):
    long = replace(sample("x"), text="a" * (MAX_TEXT + 7), rationale="", fix="")
    assert sample_view(task, long, judged("failed")[0])["wrote"][0][1].endswith("[cut here: 7 more characters]")


def test_without_a_front_end_the_sample_is_text(reviewer):
    reviewer.index = 1
    assert reviewer.text() == (
        "task t/1 · sample #1 of 3\n✓ passed\n\nbecause\n\n  def f(x):\n-     return x - 1\n+     return x + 1"
    )


def test_what_a_model_wrote_cannot_end_the_exported_script(task, sample, tmp_path):
    hostile = replace(sample("</script><img src=x onerror=alert(1)>"), rationale="</script><b>")
    page = RationaleReviewer(task, [hostile], judged("failed")).to_html(tmp_path / "x.html").read_text()
    assert page.count("</script>") == 2 and "<img" not in page


def test_an_exported_file_holds_all_samples_of_a_small_run(run):
    run.task_index = 1
    kept = run.state()["payload"]["kept"]
    assert sorted(kept["samples"]) == ["0/0", "0/1", "1/0", "1/1", "2/0", "2/1"] and kept["prompts"] == ["prompt"]


def test_an_exported_file_of_a_large_run_holds_the_nearest_that_pass_the_filters(run, monkeypatch):
    monkeypatch.setattr("nextkit.widgets.rationale_reviewer.MAX_EXPORTED", 2)
    run.task_index, run.status = 2, "passed"
    state = run.state()
    assert sorted(state["payload"]["kept"]["samples"]) == ["0/0", "1/1"] and state["task_index"] == 1
    assert (state["payload"]["held"], state["payload"]["total"]) == (2, 6)


def test_ten_thousand_samples_open_in_under_a_second(task, sample):
    tasks = [replace(task, task_id=f"t/{n}") for n in range(625)]
    samples, verdicts = [[sample(task.reference)] * 16] * 625, [judged(*["passed", "failed"] * 8)] * 625
    started = time.perf_counter()
    reviewer = RationaleReviewer.of_run(tasks, samples, verdicts)
    assert time.perf_counter() - started < 1 and len(str(reviewer.payload)) < 50_000
