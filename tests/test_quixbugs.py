"""QuixBugs: its layout, read into repair tasks. The programs here are our own."""

import pytest

from nextkit.datasets.__main__ import main
from nextkit.datasets.quixbugs import quixbugs
from nextkit.filtering import check_program
from nextkit.tasks import load_tasks

FILES = {
    "python_programs/double.py": 'def double(x):\n    return x + 1\n\n"""\nTwice a number.\n"""\n',
    "correct_python_programs/double.py": "def double(x):\n    return x * 2\n",
    "json_testcases/double.json": "[[1], 2]\n[[5], 10]\n[[0], 0]\n[7, 14]\n[[2], 5]\n",
    "python_programs/upto.py": "def upto(n):\n    yield from range(n)\n",
    "correct_python_programs/upto.py": "def upto(n):\n    yield from range(n + 1)\n",
    "json_testcases/upto.json": "[[2], [0, 1, 2]]\n[[0], [0]]\n",
    "python_programs/pair.py": "def pair(x):\n    return (x, x)\n",
    "correct_python_programs/pair.py": "def pair(x):\n    return (x, -x)\n",
    "json_testcases/pair.json": "[[3], [3, -3]]\n",
    "python_programs/sqrt.py": "def sqrt(x, eps):\n    return x / 2\n",
    "correct_python_programs/sqrt.py": "def sqrt(x, eps):\n    return x ** 0.5\n",
    "json_testcases/sqrt.json": "[[9, 0.1], 3]\n[[2, 0.01], 1.41421356237]\n",
    "python_programs/length.py": "def length(node):\n    return 0\n",
    "correct_python_programs/length.py": "def length(node):\n    return 1 + length(node.successor) if node else 0\n",
    "python_programs/node.py": "class Node:\n    def __init__(self, successor=None):\n        self.successor = successor",
    "python_testcases/test_length.py": (
        "import pytest\nimport math\nfrom node import Node\nif pytest.use_correct:\n    from correct_python_programs.length import length\n"
        "else:\n    from python_programs.length import length\n\n\nlast = Node()\n\n\ndef test1():\n    '''Two nodes.'''\n"
        "    first = Node(last)\n    assert length(first) == math.floor(2.5)\n\n\ndef test2():\n    assert length(None) == 0\n"
    ),
    "python_programs/length_test.py": "from .node import Node\n",
    "correct_python_programs/length_test.py": "from .node import Node\n",
    "correct_python_programs/node.py": "class Node:\n    pass\n",
    "python_programs/__init__.py": "",
    "correct_python_programs/__init__.py": "",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def tasks(folder, sandbox):
    return {task.task_id: task for task in quixbugs(folder, sandbox=sandbox)}


def test_every_program_with_a_correct_one_is_a_task(tasks):
    assert list(tasks) == ["quixbugs/double", "quixbugs/length", "quixbugs/pair", "quixbugs/sqrt", "quixbugs/upto"]


def test_every_buggy_program_fails_a_shown_test_and_every_correct_one_passes_all(tasks, sandbox):
    for task in tasks.values():
        assert check_program(task, task.buggy, sandbox=sandbox).status != "passed"
        assert check_program(task, task.reference, hidden=True, sandbox=sandbox).status == "passed"


def test_the_text_at_the_end_of_a_program_describes_it_and_is_no_part_of_it(tasks):
    task = tasks["quixbugs/double"]
    assert (task.description, task.buggy) == ("Twice a number.", "def double(x):\n    return x + 1\n")


def test_a_case_of_json_becomes_an_assert(tasks):
    task = tasks["quixbugs/double"]
    assert "assert double(5) == 10" in task.tests and "assert double(7) == 14" in (*task.tests, *task.hidden_tests)


def test_a_case_that_the_correct_program_does_not_pass_is_left_out_and_counted(tasks):
    assert tasks["quixbugs/double"].meta["left_out"] == 1


def test_generators_are_read_as_lists(tasks):
    assert tasks["quixbugs/upto"].tests[0] == "assert list(upto(2)) == [0, 1, 2]"


def test_a_list_of_json_is_a_tuple_where_the_program_returns_one(tasks):
    assert tasks["quixbugs/pair"].tests == ("assert pair(3) == (3, -3)",)


def test_an_approximation_may_be_as_far_off_as_its_finest_test_says(tasks):
    assert tasks["quixbugs/sqrt"].tolerance == 0.01


def test_programs_on_nodes_bring_their_own_tests(tasks):
    task = tasks["quixbugs/length"]
    assert task.tests == ("first = Node(last)\nassert length(first) == math.floor(2.5)", "assert length(None) == 0")
    assert "class Node" in task.setup and "last = Node()" in task.setup and "pytest" not in task.setup


def test_the_first_test_that_fails_is_shown(folder, sandbox):
    (folder / "json_testcases/double.json").write_text("[[1], 2]\n" * 6 + "[[5], 10]\n")
    task = next(task for task in quixbugs(folder, shown=3, sandbox=sandbox) if task.task_id == "quixbugs/double")
    assert task.tests[-1] == "assert double(5) == 10" and len(task.tests) == 3 and len(task.hidden_tests) == 4


def test_a_case_that_is_none_is_named_with_file_and_line(folder, sandbox):
    (folder / "json_testcases/pair.json").write_text("[[1], [1, -1]]\n{oops\n")
    with pytest.raises(ValueError, match=r"pair\.json, line 2.*oops.*\[arguments, expected value\]"):
        quixbugs(folder, sandbox=sandbox)


def test_a_folder_that_is_no_clone_is_named(tmp_path, sandbox):
    with pytest.raises(FileNotFoundError, match="clone of jkoppel/QuixBugs"):
        quixbugs(tmp_path, sandbox=sandbox)


def test_a_program_without_tests_is_named(folder, sandbox):
    (folder / "json_testcases/pair.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"no tests for 'pair'"):
        quixbugs(folder, sandbox=sandbox)


def test_the_command_writes_a_task_file(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["datasets", "quixbugs", str(folder), "--out", str(tmp_path / "q.jsonl")])
    main()
    assert len(load_tasks(tmp_path / "q.jsonl")) == 5 and "5 tasks in" in capsys.readouterr().out
