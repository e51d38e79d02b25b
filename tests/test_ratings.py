"""Ratings: what counts of what raters wrote, how far they agree, and what it comes to."""

import json
import math
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nextkit.ratings import (
    QUESTIONS,
    SCALE,
    Rating,
    agreement_between,
    item_id,
    read_events,
    read_ratings,
    summary,
    verdicts_by_item,
)
from nextkit.records import append_jsonl, to_frame
from nextkit.sandbox import Verdict

PAIRS = st.lists(st.tuples(st.sampled_from(list(SCALE)), st.sampled_from(list(SCALE))), min_size=1, max_size=30)


def event(kind="rate", item="a", rater="ann", explains=4, suggests=2, **rest):
    answers = dict(answers=dict(explains=explains, suggests=suggests)) if kind == "rate" else {}
    return dict(time=1.0, rater=rater, event=kind, item=item, task_id="t") | answers | rest


@pytest.fixture
def written(tmp_path):
    """written(*events) -> the path of a file that holds them."""

    def write(*events):
        for each in events:
            append_jsonl(tmp_path / "ratings.jsonl", each)
        return tmp_path / "ratings.jsonl"

    return write


def ratings_of(pairs, question="explains"):
    other = dict.fromkeys(QUESTIONS, 1)
    return [Rating(name, str(n), "t", **other | {question: pair[who]})
            for n, pair in enumerate(pairs) for who, name in enumerate(("ann", "ben"))]  # fmt: skip


def test_a_rating_comes_back_as_it_was_written(written):
    assert read_ratings(written(event(fix_seen=True))) == [Rating("ann", "a", "t", 4, 2, True, 1.0)]


def test_ratings_are_a_table(written):
    frame = to_frame(read_ratings(written(event(), event(item="b"))))
    assert list(frame.item) == ["a", "b"] and list(frame.explains) == [4, 4]


def test_what_was_undone_does_not_count_but_stays_in_the_file(written):
    path = written(event(), event(item="b"), event("undo", item="b"))
    assert [r.item for r in read_ratings(path)] == ["a"] and len(read_events(path)) == 3


def test_what_was_skipped_is_no_rating(written):
    assert read_ratings(written(event("skip"))) == []


def test_of_two_ratings_of_an_item_the_last_counts(written):
    assert [r.explains for r in read_ratings(written(event(explains=1), event(explains=5)))] == [5]


def test_an_undo_of_one_rater_leaves_another_raters_rating(written):
    path = written(event(), event(rater="ben"), event("undo", rater="ben"))
    assert [r.rater for r in read_ratings(path)] == ["ann"]


def test_several_files_are_read_as_one(tmp_path):
    for name in ("ann", "ben"):
        append_jsonl(tmp_path / name, event(rater=name))
    assert [r.rater for r in read_ratings(tmp_path / "ann", tmp_path / "ben")] == ["ann", "ben"]


def test_a_file_that_is_not_there_holds_nothing(tmp_path):
    assert read_ratings(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_half_written_last_line_is_left_out_and_writing_goes_on(written, cut):
    path = written(event(), event(item="b"))
    path.write_bytes(path.read_bytes()[: -cut - 1])
    written(event(item="c"))
    with pytest.warns(RuntimeWarning, match="line 2 was not written to its end"):
        assert [r.item for r in read_ratings(path)] == ["a", "c"]


def test_a_line_cut_within_a_letter_is_left_out(written):
    path = written(event())
    path.write_bytes(path.read_bytes() + b'{"rater": "J\xc3')
    with pytest.warns(RuntimeWarning, match="line 2"):
        assert len(read_ratings(path)) == 1


def test_a_line_separator_within_a_name_does_not_end_the_line(written):
    assert read_ratings(written(event(rater="a\u2028b")))[0].rater == "a\u2028b"


@pytest.mark.parametrize(
    "wrong", [[], {}, event("erase"), event(rater=""), event(explains=6), event(explains=True), event(answers={})]
)
def test_a_line_that_is_no_event_is_named(tmp_path, wrong):
    (tmp_path / "r.jsonl").write_text(json.dumps(event()) + "\n" + json.dumps(wrong) + "\n")
    with pytest.raises(ValueError, match=r"r.jsonl, line 2"):
        read_events(tmp_path / "r.jsonl")


def test_agreement_by_hand():
    # equal: 3 of 4. Chance of the same answer: 2/4 * 1/4 (of 1) + 1/4 * 2/4 (of 2) + 1/4 * 1/4 (of 5) = 5/16.
    found = agreement_between(ratings_of([(1, 1), (1, 2), (2, 2), (5, 5)]), "explains")
    assert (found.n, found.raters, found.agreement) == (4, ("ann", "ben"), 0.75)
    assert found.kappa == pytest.approx((3 / 4 - 5 / 16) / (1 - 5 / 16))


def test_weighted_agreement_by_hand():
    # Mean distance seen: (1 + 0) / 2. By chance, over the four pairs of 1, 3 with 2, 3: (1 + 2 + 1 + 0) / 4.
    found = agreement_between(ratings_of([(1, 2), (3, 3)]), "explains")
    assert found.weighted == pytest.approx(1 - (1 / 2) / ((1 + 2 + 1 + 0) / 4))


def test_the_textbook_table_gives_the_textbook_kappa():
    # 20 yes/yes, 5 yes/no, 10 no/yes, 15 no/no: agreement 0.7, chance 0.5, kappa 0.4.
    pairs = [(5, 5)] * 20 + [(5, 1)] * 5 + [(1, 5)] * 10 + [(1, 1)] * 15
    found = agreement_between(ratings_of(pairs, "suggests"), "suggests")
    assert (found.agreement, found.kappa) == (pytest.approx(0.7), pytest.approx(0.4))


@given(PAIRS)
def test_kappa_is_agreement_beyond_chance_by_definition(pairs):
    n, share = len(pairs), lambda who, answer: sum(pair[who] == answer for pair in pairs) / len(pairs)
    seen = sum(a == b for a, b in pairs) / n
    chance = sum(share(0, answer) * share(1, answer) for answer in SCALE)
    found = agreement_between(ratings_of(pairs), "explains")
    if chance == pytest.approx(1):
        assert math.isnan(found.kappa)
    else:
        assert found.kappa == pytest.approx((seen - chance) / (1 - chance))


@given(PAIRS)
def test_weighted_kappa_is_that_of_the_table_of_counts(pairs):
    table = [[sum(pair == (a, b) for pair in pairs) for b in SCALE] for a in SCALE]
    rows, columns = [sum(row) for row in table], [sum(column) for column in zip(*table, strict=True)]
    places = [(i, j) for i in range(5) for j in range(5)]
    credit = lambda i, j: 1 - abs(i - j) / 4  # noqa: E731
    seen = sum(credit(i, j) * table[i][j] for i, j in places) / len(pairs)
    chance = sum(credit(i, j) * rows[i] * columns[j] for i, j in places) / len(pairs) ** 2
    found = agreement_between(ratings_of(pairs), "explains").weighted
    if chance == pytest.approx(1):
        assert math.isnan(found)
    else:
        assert found == pytest.approx((seen - chance) / (1 - chance))


@given(PAIRS)
def test_agreement_does_not_ask_who_comes_first(pairs):
    one = agreement_between(ratings_of(pairs), "explains", ("ann", "ben"))
    other = agreement_between(ratings_of(pairs), "explains", ("ben", "ann"))
    numbers = ("n", "agreement", "kappa", "weighted")
    assert [asdict(one)[k] for k in numbers] == pytest.approx([asdict(other)[k] for k in numbers], nan_ok=True)


def test_only_what_both_rated_counts():
    ratings = [*ratings_of([(1, 1), (2, 3)]), Rating("ann", "alone", "t", 5, 5)]
    assert agreement_between(ratings, "explains").n == 2


def test_two_who_rated_nothing_in_common_cannot_be_compared():
    with pytest.raises(ValueError, match="nothing in common"):
        agreement_between([Rating("ann", "a", "t", 1, 1), Rating("ben", "b", "t", 1, 1)], "explains")


def test_of_three_raters_two_must_be_named():
    ratings = [Rating(name, "a", "t", 1, 1) for name in ("ann", "ben", "cat")]
    with pytest.raises(ValueError, match="not 3: name two"):
        agreement_between(ratings, "explains")
    assert agreement_between(ratings, "explains", ("ann", "cat")).n == 1


def test_an_unknown_question_is_refused():
    with pytest.raises(ValueError, match="choose one of explains, suggests"):
        agreement_between(ratings_of([(1, 1)]), "charm")


def test_a_summary_averages_the_raters_of_an_item_first():
    ratings = [Rating("ann", "a", "t", 1, 1), Rating("ben", "a", "t", 3, 1), Rating("ann", "b", "u", 5, 1)]
    row = summary(ratings).set_index("question").loc["explains"]
    assert (row["mean"], row.ratings, row["items"], row.tasks) == (3.5, 3, 2, 2)


def test_a_summary_with_verdicts_is_split_by_them(sample):
    good, bad = sample("good"), sample("bad")
    verdicts = verdicts_by_item([good, bad], [Verdict("t/1", "passed"), Verdict("t/1", "error")])
    ratings = [Rating("ann", item_id(good), "t/1", 5, 4), Rating("ann", item_id(bad), "t/1", 1, 2)]
    means = summary(ratings, verdicts).set_index(["question", "verdict"])["mean"]
    assert dict(means["explains"]) == {"all": 3, "passed": 5, "failed": 1}


def test_the_interval_holds_the_mean_and_is_wide_for_few_tasks():
    few = [Rating("ann", str(n), f"t{n % 2}", 1 + 4 * (n % 2), 3) for n in range(40)]
    many = [Rating("ann", str(n), f"t{n}", 1 + 4 * (n % 2), 3) for n in range(40)]
    (few, _), (many, _) = (summary(ratings).itertuples(index=False) for ratings in (few, many))
    assert few.low == 1 and few.high == 5 and few.low < many.low < many.mean < many.high < few.high


def test_a_rated_item_without_a_verdict_is_named():
    with pytest.raises(ValueError, match="item 'a' of task 't' has no verdict"):
        summary([Rating("ann", "a", "t", 1, 1)], {})


def test_a_summary_of_nothing_says_so_in_numbers():
    row = next(summary([]).itertuples())
    assert row.ratings == 0 and math.isnan(row.mean)


def test_an_item_is_named_by_its_task_rationale_and_fix(sample):
    assert item_id(sample("x")) == item_id(sample("x")) != item_id(sample("y"))
