"""Mbpp-R: reading MBPP, and what a task made from it is."""

import ast
import gzip
import json
import os
import sys
from pathlib import Path

import huggingface_hub
import pandas as pd
import pytest

from nextkit.datasets import __main__ as command
from nextkit.datasets import mbpp_r as building
from nextkit.datasets.buggy_programs import find_bugs, judge_bug
from nextkit.datasets.found import Found, FoundStore
from nextkit.datasets.mbpp import Problem, load_mbpp
from nextkit.datasets.mbpp_r import mbpp_r
from nextkit.prompting import same_program
from nextkit.sandbox import Sandbox
from nextkit.tasks import load_tasks

DATA = Path(os.environ.get("NEXTKIT_DATA", "")) / "mbpp.jsonl"
needs_data = pytest.mark.skipif(not DATA.is_file(), reason="NEXTKIT_DATA names no folder with mbpp.jsonl")

TOTAL = "def total(xs, k):\n    t = 0\n    for x in xs:\n        if x > k:\n            t += x * 2\n    return t"
HALVED = "def halved(n):\n    steps = 0\n    while n > 1:\n        n = n // 2\n        steps += 1\n    return steps"
WORDS = "def words(text):\n    return ' '.join(sorted(text.split(' ')))"
GREATEST = "def greatest(xs):\n    best = xs[0]\n    for x in xs[1:]:\n        best = max(best, x)\n    return best"
TESTS = {
    TOTAL: ("assert total([1, 5, 9], 4) == 28", "assert total([], 0) == 0", "assert total([3], 3) == 0"),
    HALVED: ("assert halved(8) == 3", "assert halved(1) == 0", "assert halved(5) == 2"),
    WORDS: ("assert words('b a') == 'a b'", "assert words('x') == 'x'", "assert words('c b a') == 'a b c'"),
    GREATEST: ("assert greatest([1, 3, 2]) == 3", "assert greatest([-1]) == -1", "assert greatest([4, 1]) == 4"),
}


def problem(number, reference, split="train", tests=None, **fields):
    return Problem(number, "Do it.", reference, tests or TESTS[reference], split=split, **fields)


SETTINGS = dict(timeout=0.25, progress=False)  # a short time for what hangs: most of the time goes there
PROBLEMS = [problem(601, TOTAL), problem(602, HALVED), problem(511, WORDS, "validation"), problem(603, GREATEST)]


@pytest.fixture(scope="module")
def built(tmp_path_factory, sandbox):
    """(folder, training tasks, development tasks) of a small build."""
    folder = tmp_path_factory.mktemp("built")
    return folder, *mbpp_r(PROBLEMS, out=folder, train=36, dev=6, **SETTINGS, sandbox=sandbox)


def row(**fields):
    """A row as MBPP has them."""
    common = dict(text="Do it.", code="def f():\r\n\treturn 1", test_list=["assert f() == 1"], test_setup_code="")
    return common | dict(task_id=601, challenge_test_list=[]) | fields


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["mbpp.jsonl", "mbpp.jsonl.gz"])
def test_a_file_of_mbpp_is_read(tmp_path, name):
    with (gzip.open if name.endswith("gz") else open)(tmp_path / name, "wt") as file:
        file.write(json.dumps(row()) + "\n")
    (found,) = load_mbpp(tmp_path / name)
    assert found == Problem(601, "Do it.", "def f():\n\treturn 1", ("assert f() == 1",), split="train")


def test_the_sanitized_edition_is_read_as_well(tmp_path):
    fields = row(prompt="Do that.", test_imports=["import math", "import re"])
    del fields["text"], fields["test_setup_code"]
    (tmp_path / "mbpp.jsonl").write_text(json.dumps(fields))
    (found,) = load_mbpp(tmp_path / "mbpp.jsonl")
    assert (found.description, found.setup) == ("Do that.", "import math\nimport re")


@pytest.mark.parametrize(
    ("number", "split"),
    [
        (1, "prompt"),
        (10, "prompt"),
        (11, "test"),
        (510, "test"),
        (511, "validation"),
        (600, "validation"),
        (974, "train"),
    ],
)
def test_the_number_of_a_problem_tells_its_split(tmp_path, number, split):
    (tmp_path / "mbpp.jsonl").write_text(json.dumps(row(task_id=number)))
    assert load_mbpp(tmp_path / "mbpp.jsonl")[0].split == split


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: '{' is no JSON object: write one a line"),
        ("[1]", "line 2: '[1]' is no JSON object"),
        (row(code=None), "line 2: code is 'None': give it as str"),
        ({"task_id": 602}, "line 2: text is 'None': it is missing"),
        (row(task_id=975), "line 2: task_id is '975': MBPP has problems 1 to 974"),
        (row(task_id="602"), "line 2: task_id is '602': give it as int"),
        (row(task_id=601), "line 2: task_id is '601': it occurs twice"),
        (row(task_id=602, test_list=[]), "line 2: test_list is '[]': give a list of assert statements"),
        (row(task_id=602, test_list=[7]), "line 2: test_list is '[7]': give a list of assert statements"),
    ],
)
def test_a_malformed_file_is_refused_with_file_line_field_value_and_mend(tmp_path, line, said):
    path = tmp_path / "mbpp.jsonl"
    path.write_text(json.dumps(row()) + "\n" + (line if isinstance(line, str) else json.dumps(line)))
    with pytest.raises(ValueError) as raised:
        load_mbpp(path)
    assert str(raised.value).startswith(f"{path}, {said}")


def test_a_file_that_is_not_there_is_asked_for():
    with pytest.raises(FileNotFoundError, match="give the path of the data set's file, or 'hub'"):
        load_mbpp("no/such.jsonl")


def test_the_hub_gives_the_same_problems(tmp_path, monkeypatch):
    numbers = {"prompt": 1, "test": 11, "validation": 511, "train": 601}
    asked = []

    def download(repository, name, repo_type):
        asked.append((repository, repo_type))
        return name

    def read_parquet(name):
        split = Path(name).name.split("-")[0]
        return pd.DataFrame([row(task_id=numbers[split])]).map(
            lambda v: pd.array(v).to_numpy() if isinstance(v, list) else v
        )

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(pd, "read_parquet", read_parquet)
    assert [(found.number, found.split, found.tests) for found in load_mbpp("hub")] == [
        (number, split, ("assert f() == 1",)) for split, number in numbers.items()
    ]
    assert set(asked) == {("google-research-datasets/mbpp", "dataset")}


def test_a_hub_that_cannot_be_reached_is_told_with_the_mend(monkeypatch):
    def download(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    with pytest.raises(OSError, match="could not be fetched: no route: without a network give the path"):
        load_mbpp("hub")


def test_as_many_tasks_as_were_wanted_are_made(built):
    _, train, dev = built
    assert (len(train), len(dev)) == (36, 6)


def test_every_buggy_program_fails_a_shown_test_and_ends_on_every_test(built, sandbox):
    for task in (*built[1], *built[2]):
        statuses = [sandbox.check(task.buggy, [test], timeout=0.5).status for test in task.tests]
        assert set(statuses) & {"failed", "error"} and not set(statuses) & {"timeout", "killed", "unparseable"}, task


def test_no_problem_is_in_both_sets(built):
    problems = [{task.meta["problem"] for task in tasks} for tasks in built[1:]]
    assert problems == [{601, 602, 603}, {511}]


def test_no_two_buggy_programs_of_a_problem_are_the_same_and_none_is_the_reference(built):
    for problem in (601, 602, 603):
        tasks = [task for task in built[1] if task.meta["problem"] == problem]
        assert len({ast.dump(ast.parse(task.buggy)) for task in tasks}) == len(tasks)
        assert not any(same_program(task.buggy, task.reference) for task in tasks)


def test_tasks_are_spread_evenly_and_any_first_part_is_diverse(built):
    numbers = [task.meta["problem"] for task in built[1]]
    assert [numbers.count(number) for number in (601, 602, 603)] == [12, 12, 12]
    assert numbers[:6] == [601, 602, 603] * 2


def test_a_task_says_where_it_comes_from(built):
    task = built[1][0]
    assert (task.task_id, task.split, task.tests) == ("mbpp-r/601/0", "train", TESTS[TOTAL])
    assert set(task.meta) == {"problem", "source", "operators", "status"}


def test_about_the_asked_share_of_edits_is_single(built):
    singles = [task for task in built[1] if len(task.meta["operators"]) == 1]
    assert 0.6 < len(singles) / 36 < 0.8


def test_what_is_written_reads_back_the_same(built):
    folder, train, dev = built
    assert load_tasks(folder / "train.jsonl") == train and load_tasks(folder / "dev.jsonl") == dev
    assert set(contents(folder)) == {"train.jsonl", "dev.jsonl", "card.md"}


def test_the_card_counts_what_is_there(built):
    card = (built[0] / "card.md").read_text()
    assert "seed=0" in card and "| tasks | 36 | 6 |" in card and "CC-BY-4.0" in card
    doubles = [sum(len(task.meta["operators"]) == 2 for task in tasks) for tasks in built[1:]]
    assert f"| double edit | {doubles[0]} | {doubles[1]} |" in card


def test_the_same_seed_gives_the_same_bytes_with_two_workers(built, tmp_path):
    with Sandbox(workers=2) as sandbox:
        mbpp_r(PROBLEMS, out=tmp_path, train=36, dev=6, **SETTINGS, sandbox=sandbox)
    assert contents(tmp_path) == contents(built[0])


def test_another_seed_gives_other_tasks(built, tmp_path, sandbox):
    train, _ = mbpp_r(PROBLEMS[:1], out=tmp_path, train=5, dev=0, seed=1, sandbox=sandbox, **SETTINGS)
    assert {task.buggy for task in train} != {task.buggy for task in built[1][:15:3]}


def test_a_build_that_was_interrupted_goes_on_and_ends_in_the_same_files(built, tmp_path, sandbox, monkeypatch):
    made = []

    def counted(problem, *arguments, **settings):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(problem.number)
        return find_bugs(problem, *arguments, **settings)

    monkeypatch.setattr(building, "find_bugs", counted)
    arguments = dict(out=tmp_path, train=36, dev=6, **SETTINGS, sandbox=sandbox)
    with pytest.raises(KeyboardInterrupt):
        mbpp_r(PROBLEMS, **arguments)
    (left,) = contents(tmp_path)
    assert left.startswith("unfinished-")
    made.append("resumed")
    mbpp_r(PROBLEMS, **arguments)
    assert len(made) == len(set(made)) and contents(tmp_path) == contents(built[0])


def test_a_line_that_was_cut_short_is_forgotten(tmp_path):
    store = FoundStore(tmp_path, "key")
    store.add(Found(601, 5, bugs=()))
    with store.path.open("a") as file:
        file.write('{"number": 602, "wan')
    again = FoundStore(tmp_path, "key")
    again.add(Found(603, 5))
    assert [FoundStore(tmp_path, "key").get(number, 5) is not None for number in (601, 602, 603)] == [True, False, True]


def test_other_arguments_start_afresh(tmp_path):
    FoundStore(tmp_path, dict(seed=0)).add(Found(601, 5))
    assert FoundStore(tmp_path, dict(seed=1)).get(601, 5) is None


def test_a_models_wrong_programs_are_used_first_and_its_right_ones_refused(tmp_path, sandbox, sample):
    wrong, other = TOTAL.replace("* 2", "* 3"), "def total(xs, k):\n    return 0"
    given = [("mbpp/601", wrong), (601, TOTAL + "  # right"), sample(other, "mbpp-r/601/4"), (601, wrong + "\n")]
    given += [(601, "def total(:"), (601, "-" * 7000), (601, "while True: pass"), (3, "pass")]
    given += [(601, "def sum_of(xs, k):\n    return 0"), (601, "total")]  # whatever they do, it is not what is tested
    train, _ = mbpp_r(PROBLEMS, out=tmp_path, train=12, dev=0, wrong_samples=given, sandbox=sandbox, **SETTINGS)
    assert [t.buggy for t in train if t.meta["source"] == "sample"] == [wrong, other]
    assert [t.task_id for t in train if t.meta["source"] == "sample"] == ["mbpp-r/601/0", "mbpp-r/601/1"]


def test_a_sample_that_names_no_problem_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"names 'humaneval/3': name a problem of MBPP, such as 'mbpp/601'"):
        mbpp_r(PROBLEMS, out=tmp_path, wrong_samples=[("humaneval/3", "pass")])


def test_a_program_that_hangs_after_the_test_that_it_fails_is_refused(sandbox):
    program = "def f(x):\n    while x > 1:\n        pass\n    return x"
    tests = ["assert f(0) == 1", "assert f(1) == 1", "assert f(2) == 1"]
    assert judge_bug(sandbox, program, tests[:2], timeout=0.2) == "failed"
    assert judge_bug(sandbox, program, tests, timeout=0.2) == "timeout"
    assert judge_bug(sandbox, program, tests[:2], tests[2:], timeout=0.2) == "timeout"


def test_where_there_are_not_enough_bugs_a_warning_and_the_card_say_so(tmp_path, sandbox):
    small = [problem(604, "def f(x):\n    return x + 1", tests=("assert f(3) == 4",))]
    with pytest.warns(UserWarning, match=r"train: 50 tasks were wanted, the problems give [1-9]"):
        train, _ = mbpp_r(small, out=tmp_path, train=50, dev=0, sandbox=sandbox, **SETTINGS)
    assert f"| tasks | {len(train)} | 0 |\n| tasks wanted | 50 | 0 |" in (tmp_path / "card.md").read_text()


def test_what_a_small_problem_cannot_give_the_others_do(tmp_path, sandbox):
    small = problem(604, "def f(x):\n    return x", tests=("assert f(3) == 3",))
    train, _ = mbpp_r([small, PROBLEMS[0]], out=tmp_path, train=24, dev=0, sandbox=sandbox, **SETTINGS)
    assert len(train) == 24


def test_a_problem_whose_reference_fails_is_left_out_and_the_card_names_it(tmp_path, sandbox):
    broken = problem(605, TOTAL, tests=("assert total([1], 0) == 7",))
    train, _ = mbpp_r([broken, PROBLEMS[0]], out=tmp_path, train=3, dev=0, sandbox=sandbox, **SETTINGS)
    assert {task.meta["problem"] for task in train} == {601}
    assert "mbpp/605 (failed)" in (tmp_path / "card.md").read_text()


def test_a_reference_that_is_right_only_by_equality_makes_tasks_judged_so(sandbox):
    half = problem(606, "def half(x):\n    return x / 2", tests=("assert half(4) == 2", "assert half(8) == 4"))
    assert find_bugs(half, 2, sandbox=sandbox).oracle == "equal"
    assert find_bugs(PROBLEMS[0], 2, sandbox=sandbox).oracle == "exact"


def test_hidden_tests_are_the_challenge_tests_that_the_reference_passes(sandbox):
    right, wrong = "assert total([9], 1) == 18", "assert total([9], 1) == 9"
    assert find_bugs(problem(607, TOTAL, challenge=(wrong, right)), 1, sandbox=sandbox).hidden == (right,)


def test_single_one_makes_single_edits_only(sandbox):
    found = find_bugs(PROBLEMS[0], 20, sandbox=sandbox, single=1)
    assert {len(bug.operators) for bug in found.bugs} == {1}


def test_no_variable_is_taken_for_a_module_or_a_function(sandbox):
    rooted = problem(
        608, "import math\ndef f(x, g):\n    return math.sqrt(g(x)) + x", tests=("assert f(4, abs) == 6.0",)
    )
    bugs = find_bugs(rooted, 60, sandbox=sandbox).bugs
    assert bugs and not any(wrong in bug.program for bug in bugs for wrong in ("x.sqrt", "g.sqrt", "x(x)", "g(math)"))


def test_fewer_wanted_are_the_first_of_more(sandbox):
    few, more = (find_bugs(PROBLEMS[0], wanted, sandbox=sandbox).bugs for wanted in (6, 12))
    assert few == more[:6]


def test_the_command_builds_what_the_function_builds(tmp_path, monkeypatch, capsys):
    (tmp_path / "mbpp.jsonl").write_text(json.dumps(row(code=TOTAL, test_list=TESTS[TOTAL])))
    words = f"mbpp-r {tmp_path / 'mbpp.jsonl'} --out {tmp_path / 'out'} --train 4 --dev 0 --seed 2"
    monkeypatch.setattr(sys, "argv", ["nextkit.datasets", *words.split()])
    command.main()
    assert len(load_tasks(tmp_path / "out" / "train.jsonl")) == 4
    assert "4 training and 0 development tasks" in capsys.readouterr().out


def test_the_command_names_a_file_that_is_not_there_and_nothing_else(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", f"nextkit.datasets mbpp-r {tmp_path / 'none.jsonl'} --out {tmp_path}".split())
    with pytest.raises(SystemExit):
        command.main()
    assert "none.jsonl" in capsys.readouterr().err.splitlines()[-1]


@needs_data
def test_real_problems_give_tasks(tmp_path, sandbox):
    problems = load_mbpp(DATA)
    assert len(problems) == 974
    few = [found for found in problems if found.number in (515, 602, 607, 927)]
    train, dev = mbpp_r(few, out=tmp_path, train=20, dev=8, sandbox=sandbox, **SETTINGS)
    assert (len(train), len(dev)) == (20, 8)
    trees = [task for task in train if task.meta["problem"] == 927]  # its tests need a class of the program
    assert trees and all("root = Node(1)" in task.tests[0] for task in trees)
