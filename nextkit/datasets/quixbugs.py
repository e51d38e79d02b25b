"""QuixBugs: 40 classic algorithms, each with a bug of one line; the Python half, read from a clone of its repository.

    python_programs/NAME.py             the buggy program, its description as a text at the end
    correct_python_programs/NAME.py     the correct one
    json_testcases/NAME.json            a line a test: [arguments, expected value]
    python_testcases/test_NAME.py       for programs on graphs and linked lists, which JSON cannot say
    python_programs/node.py             the Node of those

(jkoppel/QuixBugs, MIT; nothing of it ships with nextkit.) What a JSON test expects must be what the correct program
returns, as JSON would write it: there, a tuple is a list. Generators are read as lists.
"""

import ast
import json
from dataclasses import replace
from pathlib import Path

from nextkit.asserts import parse_test
from nextkit.comparing import close
from nextkit.datasets.expected import write_tests
from nextkit.datasets.files import refuse
from nextkit.filtering import check_program
from nextkit.parallel import in_order
from nextkit.parsing import parse
from nextkit.sandbox import default_sandbox
from nextkit.tasks import RepairTask

APPROXIMATE = {"sqrt"}  # its last argument says how near is near enough
CLOSE = 1e-6
HARNESS = {"pytest", "load_testdata", "node", "python_programs", "correct_python_programs"}


def quixbugs(folder, *, shown=4, sandbox=None):
    """The RepairTasks of a clone of QuixBugs, in the order of their names; with a progress bar.

    shown: how many of the tests are shown, the first that the buggy program fails among them; the others are hidden.
    meta of a task: how many tests were left_out because the correct program does not pass them. Raises
    FileNotFoundError naming what is missing, and ValueError naming file, line, field, value and mend.
    """
    folder, sandbox = Path(folder), sandbox or default_sandbox()
    if not (folder / "python_programs").is_dir():
        raise FileNotFoundError(f"no folder python_programs in {str(folder)!r}: give a clone of jkoppel/QuixBugs")
    names = [path.stem for path in sorted((folder / "python_programs").glob("*.py"))]
    names = [name for name in names if _has_tests(folder, name)]
    return in_order(
        lambda name: _task(folder, name, shown, sandbox), names, workers=sandbox.workers, desc="quixbugs", unit="task"
    )


def _has_tests(folder, name):
    """Whether it is one of the set's programs; drivers, such as `bitcount_test.py`, lie beside them."""
    return (folder / "correct_python_programs" / f"{name}.py").exists() and not name.endswith(("node", "_test", "__"))


def _task(folder, name, shown, sandbox):
    buggy, description = _program(folder / "python_programs" / f"{name}.py")
    reference, _ = _program(folder / "correct_python_programs" / f"{name}.py")
    setup, cases = "", folder / "json_testcases" / f"{name}.json"
    if cases.exists():
        tests, given = _json_tests(cases, name, reference, sandbox)
    else:
        setup, tests, given = _own_tests(folder, name, reference, sandbox)
    if not tests:
        refuse(folder / "json_testcases", name, given, "the correct program passes none of its tests: mend them")
    task = RepairTask(
        f"quixbugs/{name}", description or name, buggy, tuple(tests), (), setup, reference, "quixbugs",
        dict(left_out=given - len(tests)), "equal", _tolerance(name, tests),
    )  # fmt: skip
    return _shown(task, shown, sandbox)


def _program(path):
    """(program, description): a text that stands alone in the module describes it, and is taken out."""
    tree = parse(path.read_text(encoding="utf-8"), str(path))
    texts = [node for node in tree.body if _is_text(node)]
    tree.body = [node for node in tree.body if not _is_text(node)]
    return ast.unparse(tree) + "\n", "\n".join(node.value.value.strip() for node in texts)


def _is_text(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _json_tests(path, name, reference, sandbox):
    """(tests, how many cases there are): the cases whose value the correct program returns."""
    cases = [_case(f"{path}, line {number}", line) for number, line in enumerate(_lines(path), 1) if line.strip()]
    tests = []
    for arguments, expected in cases:
        for wrap in ("", "list"):
            written, _ = write_tests(reference, name, [arguments], sandbox=sandbox, wrap=wrap)
            if written and close(_as_json(parse_test(written[0]).expected), expected, CLOSE, exact=False):
                tests += written
                break
    return tests, len(cases)


def _lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def _case(where, line):
    """(arguments, expected); a single argument may stand without a list around it."""
    try:
        case = json.loads(line)
    except ValueError:
        case = None
    if not isinstance(case, list) or len(case) != 2:
        refuse(where, "the test", line.strip(), "write [arguments, expected value]")
    return case[0] if isinstance(case[0], list) else [case[0]], case[1]


def _as_json(value):
    """A value as JSON would give it back."""
    if isinstance(value, list | tuple):
        return list(map(_as_json, value))
    return {str(key): _as_json(item) for key, item in value.items()} if isinstance(value, dict) else value


def _own_tests(folder, name, reference, sandbox):
    """(setup, tests, how many there are): the test functions of a program on graphs, each as one test."""
    path = folder / "python_testcases" / f"test_{name}.py"
    if not path.exists():
        raise FileNotFoundError(f"no tests for {name!r}: neither {path} nor json_testcases/{name}.json is there")
    body = parse(path.read_text(encoding="utf-8"), str(path)).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")]
    node_class = folder / "python_programs" / "node.py"
    parts = [node_class.read_text(encoding="utf-8")] if node_class.exists() else []
    setup = "\n".join([*parts, *(ast.unparse(node) for node in body if _is_helper(node, functions))])
    tests = [_body(function) for function in functions]
    passed = [t for t in tests if sandbox.check(reference, [t], setup=setup).status == "passed"]
    return setup, passed, len(tests)


def _is_helper(node, functions):
    """Whether a test function may need it: all but what pytest and the choice of the program to test are there for."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return not {alias.name.split(".")[0] for alias in node.names} & HARNESS and _package(node) not in HARNESS
    return isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Assign) and node not in functions


def _package(node):
    return (getattr(node, "module", None) or "").split(".")[0]


def _body(function):
    return "\n".join(ast.unparse(node) for node in function.body if not _is_text(node))


def _tolerance(name, tests):
    """For a program that approximates, the finest of the accuracies that its tests ask for."""
    return min(parse_test(test).arguments[-1] for test in tests) if name in APPROXIMATE else CLOSE


def _shown(task, shown, sandbox):
    """The task with its first `shown` tests shown, and the first one that fails among them."""
    first = check_program(task, task.buggy, sandbox=sandbox).test
    order = [*range(len(task.tests))]
    if first >= shown:
        order.insert(shown - 1, order.pop(first))
    tests = tuple(task.tests[place] for place in order)
    return replace(task, tests=tests[:shown], hidden_tests=tests[shown:])
