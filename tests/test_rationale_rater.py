"""The RationaleRater, driven from Python alone."""

import json
from dataclasses import replace

import pytest

from nextkit.ratings import Rating, read_events, read_ratings
from nextkit.tracing import Step, Trace
from nextkit.widgets import RationaleRater
from nextkit.widgets.rationale_rater import MOST_CHARACTERS, MOST_ITEMS


@pytest.fixture
def samples(sample):
    return [replace(sample(f"fix {n}"), rationale=f"rationale {n}") for n in range(6)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ratings.jsonl"


@pytest.fixture
def rater(task, samples, path):
    return RationaleRater([task], samples, path, rater="ann")


def order(rater):
    return [item["id"] for item in rater.payload["items"]]


def test_a_rating_is_stored_and_the_next_item_comes(rater, path):
    first = rater.item["id"]
    rater.rate(explains=4, suggests=2)
    (found,) = read_ratings(path)
    assert found == Rating("ann", first, "t/1", 4, 2, False, found.time) and rater.item["id"] == order(rater)[1]


def test_undo_brings_the_last_item_back_and_the_file_keeps_both_lines(rater, path):
    first = rater.item["id"]
    rater.rate(explains=4, suggests=2)
    rater.undo()
    assert rater.item["id"] == first and read_ratings(path) == []
    assert [event["event"] for event in read_events(path)] == ["rate", "undo"]


def test_undo_goes_back_as_far_as_there_is_something(rater):
    for _ in range(3):
        rater.skip()
    for _ in range(5):
        rater.undo()
    assert rater.item["id"] == order(rater)[0] and len(rater.events) == 6


def test_a_skipped_item_has_no_rating_and_does_not_come_again(rater, path):
    rater.skip()
    assert read_ratings(path) == [] and rater.item["id"] == order(rater)[1]


def test_all_done_is_said_and_nothing_more_is_taken(rater):
    while not rater.done:
        rater.skip()
    assert "all done" in rater.text()
    with pytest.raises(ValueError, match="nothing is left"):
        rater.rate(explains=1, suggests=1)


def test_the_same_path_goes_on_where_the_rater_stopped(rater, task, samples, path):
    rater.rate(explains=4, suggests=2)
    again = RationaleRater([task], samples, path, rater="ann")
    assert again.item == rater.item
    again.undo()
    assert again.item["id"] == order(rater)[0]


def test_the_order_follows_the_seed_and_not_the_order_of_the_samples(task, samples, tmp_path):
    orders = [order(RationaleRater([task], given, tmp_path / "r", rater="ann", seed=seed))
              for given, seed in ((samples, 0), (samples[::-1], 0), (samples, 1))]  # fmt: skip
    assert orders[0] == orders[1] != orders[2]


def test_who_goes_on_keeps_the_seed_they_began_with(rater, task, samples, path):
    rater.skip()
    again = RationaleRater([task], samples, path, rater="ann", seed=5)
    assert again.seed == 0 and order(again) == order(rater)


def test_two_raters_share_a_file_and_each_begins_at_the_start(rater, task, samples, path):
    rater.rate(explains=4, suggests=2)
    ben = RationaleRater([task], samples, path, rater="ben")
    assert ben.item["id"] == order(rater)[0]
    ben.rate(explains=5, suggests=5)
    assert [(r.rater, r.explains) for r in read_ratings(path)] == [("ann", 4), ("ben", 5)]


def test_a_count_takes_the_first_of_the_order(rater, task, samples, tmp_path):
    few = RationaleRater([task], samples, tmp_path / "other", rater="ann", count=2)
    assert order(few) == order(rater)[:2]


def test_a_half_written_last_line_costs_that_line_only(rater, task, samples, path):
    rater.skip()
    rater.skip()
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.warns(RuntimeWarning, match="line 2"):
        again = RationaleRater([task], samples, path, rater="ann")
    again.skip()
    assert again.item["id"] == order(rater)[2]


def test_equal_samples_are_rated_once_and_empty_rationales_never(task, sample, path):
    rater = RationaleRater([task], [[sample("x"), sample("x")], [replace(sample("y"), rationale=" ")]], path, rater="a")
    assert [item["fix"] for item in rater.payload["items"]] == ["x"]


def test_neither_prompt_nor_model_nor_verdict_is_sent_to_the_view(rater):
    known = {"id", "task_id", "description", "program", "tests", "failing", "rationale", "fix"}
    assert set(rater.item) == known and "prompt" not in json.dumps(rater.payload)


def test_a_trace_shows_its_failing_test_with_what_came_out(task, samples, path):
    trace = Trace("t/1", task.buggy, task.tests[1], (Step(0, 1, "f", 1, (), "call"),), "failed", got="-1", expected="1")
    rater = RationaleRater([task], samples, path, rater="ann", traces=[trace])
    assert rater.item["tests"] == ["assert f(0) == 1  # got -1"] and rater.item["failing"]


def test_whether_the_fix_was_seen_is_kept_and_begins_anew(rater, path):
    rater.fix_shown = True
    rater.rate(explains=1, suggests=1)
    rater.rate(explains=1, suggests=1)
    assert [r.fix_seen for r in read_ratings(path)] == [True, False]


@pytest.mark.parametrize("answers", [dict(explains=6, suggests=1), dict(explains=1), dict(explains=1, suggests=1, x=1)])
def test_answers_that_do_not_fit_are_refused(rater, path, answers):
    with pytest.raises(ValueError, match="answer|give a number"):
        rater.rate(**answers)
    assert not path.exists()


def test_an_event_of_the_view_is_stored_like_one_of_python(rater, path):
    event = dict(rater="ann", event="rate", item=rater.item["id"], answers=dict(explains=3, suggests=3), time=1.0)
    rater.set_state(dict(events=[event]))
    assert [r.explains for r in read_ratings(path)] == [3]


@pytest.mark.parametrize("change", [dict(item="another"), dict(rater="ben"), dict(answers={}), dict(event="erase")])
def test_an_event_of_the_view_that_cannot_be_is_refused_inside(rater, path, change):
    event = dict(rater="ann", event="rate", item=rater.item["id"], answers=dict(explains=3, suggests=3)) | change
    rater.set_state(dict(events=[event]))
    assert rater.error.startswith("not saved") and rater.events == [] and not path.exists()


def test_a_view_that_is_behind_does_not_overwrite_what_is_stored(rater, path):
    rater.skip()
    late = [dict(rater="ann", event="skip", item=item) for item in order(rater)[1:3]]
    rater.set_state(dict(events=late))
    assert "behind" in rater.error and len(rater.events) == 1 == len(read_events(path))


def test_what_is_stored_cannot_be_dropped_from_the_events(rater):
    rater.skip()
    rater.events = []
    assert "behind" in rater.error and len(rater.events) == 1


def test_what_cannot_be_written_is_said_and_not_taken_as_rated(task, samples, tmp_path):
    (tmp_path / "file").write_text("")
    rater = RationaleRater([task], samples, tmp_path / "there", rater="ann")
    rater.path = tmp_path / "file" / "ratings.jsonl"
    with pytest.raises(OSError, match="not saved"):
        rater.skip()
    assert rater.error.startswith("not saved") and rater.events == [] and rater.item["id"] == order(rater)[0]


def test_long_texts_are_cut_and_too_many_items_are_refused(task, sample, tmp_path):
    rater = RationaleRater([task], [sample("x" * 9999)], tmp_path / "r", rater="ann")
    assert len(rater.item["fix"]) < MOST_CHARACTERS + 50 and "cut off" in rater.item["fix"]
    many = [sample(str(n)) for n in range(MOST_ITEMS + 1)]
    with pytest.raises(ValueError, match=f"1 to {MOST_ITEMS}"):
        RationaleRater([task], many, tmp_path / "r", rater="ann")


def test_nothing_to_rate_a_missing_task_and_a_rater_without_a_name_are_refused(task, sample, tmp_path):
    for tasks, samples, rater, message in (
        ([task], [], "ann", "0 rationales"),
        ([], [sample("x")], "ann", "'t/1' of a sample is not among"),
        ([task], [sample("x")], "", "needs a rater"),
    ):
        with pytest.raises(ValueError, match=message):
            RationaleRater(tasks, samples, tmp_path / "r", rater=rater)


def test_the_text_shows_the_item_and_the_scale(rater):
    text = rater.text()
    assert "Add one." in text and rater.item["rationale"] in text and "1 = not at all" in text and "ann: 0 of 6" in text


def test_the_exported_file_needs_nothing_and_holds_no_markup_of_a_sample(task, sample, tmp_path):
    rater = RationaleRater([task], [sample("</script><script>alert(1)</script>")], tmp_path / "r", rater="ann")
    page = rater.to_html(tmp_path / "rater.html").read_text()
    assert "<script>alert" not in page and "http" not in page.replace("http://www.w3.org", "")
