"""Run folders: computed once, whole or not at all."""

import pytest

from nextkit.records import whole
from nextkit.runs import Run
from nextkit.sandbox import Verdict

ROWS = [[Verdict("a", "passed")], [Verdict("b", "failed", 1)]]


def test_a_stage_is_computed_once(tmp_path):
    calls = []
    make = lambda: calls.append(1) or ROWS  # noqa: E731
    found = [Run(tmp_path).records("v", dict(n=1), make, Verdict) for _ in range(2)]
    assert found == [ROWS, ROWS] and len(calls) == 1


def test_other_parameters_are_another_stage(tmp_path):
    run = Run(tmp_path)
    run.records("v", dict(n=1), lambda: ROWS, Verdict)
    assert run.records("v", dict(n=2), lambda: ROWS[:1], Verdict) == ROWS[:1]


def test_a_stage_that_broke_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError):
        Run(tmp_path).records("v", {}, lambda: (_ for _ in ()).throw(RuntimeError), Verdict)
    assert Run(tmp_path).records("v", {}, lambda: ROWS, Verdict) == ROWS


def test_two_who_compute_the_same_stage_at_once_both_have_it_and_it_is_whole(tmp_path):
    def make():  # while one is at it, the other begins and ends
        assert Run(tmp_path).records("v", {}, lambda: ROWS, Verdict) == ROWS
        return ROWS

    assert Run(tmp_path).records("v", {}, make, Verdict) == ROWS
    assert [path.name for path in tmp_path.glob("*/*")].count("records.jsonl") == 1
    assert not list(tmp_path.glob("*/*.partial"))


def test_a_file_whose_event_was_lost_is_told_of_when_it_is_read(tmp_path):
    run = Run(tmp_path)
    run.parts("v", {}, [0], lambda items, number: ROWS, Verdict, 1)
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    (tmp_path / "events.jsonl").write_text(lines[0] + "\n")  # killed after the file was there, before its event
    for _ in range(2):
        assert Run(tmp_path).parts("v", {}, [0], lambda *_: 1 / 0, Verdict, 1) == ROWS
    assert [event["rows"] for event in run.events() if "file" in event] == [len(ROWS)]


def test_an_event_that_was_cut_short_costs_itself_alone(tmp_path):
    run = Run(tmp_path)
    run.log(stage="a")
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"time": 1, "stage": "b')  # killed here
    run.log(stage="c")
    assert [event["stage"] for event in run.events()] == ["a", "c"]


def test_events_are_kept_in_order(tmp_path):
    run = Run(tmp_path)
    run.log(stage="a")
    run.log(stage="b")
    assert [event["stage"] for event in Run(tmp_path).events()] == ["a", "b"]


@pytest.mark.parametrize("folder", [False, True])
def test_what_is_written_whole_is_there_whole_or_not_at_all(tmp_path, folder):
    def write(path, text):
        path = path / "file" if folder else path
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    for text in ("one", "two"):
        with whole(tmp_path / "x") as partial:
            write(partial, text)
    with pytest.raises(KeyboardInterrupt), whole(tmp_path / "x") as partial:
        write(partial, "half")
        raise KeyboardInterrupt
    read = tmp_path / "x" / "file" if folder else tmp_path / "x"
    assert read.read_text() == "two" and list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_stored_file_that_is_not_whole_is_named_with_the_mend(tmp_path):
    Run(tmp_path).records("v", {}, lambda: ROWS, Verdict)
    path = next(tmp_path.glob("v-*/records.jsonl"))
    path.write_text(path.read_text()[:-9])
    with pytest.raises(ValueError, match=r"records\.jsonl, line \d+ is not whole.*delete the file"):
        Run(tmp_path).records("v", {}, lambda: ROWS, Verdict)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"no run can be kept in '.*file/run' \(Not a directory.*give another folder"):
        Run(tmp_path / "file" / "run")
