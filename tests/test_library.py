"""The standard library as a corpus: its functions, tasks made of them, and documents of the real corpus."""

import ast
import random

import pytest

from nextkit.offline import library
from nextkit.offline.corpus import Mixture, _edited, draw_document
from nextkit.offline.rationales import agrees, carried_out
from nextkit.prompting import FIX, parse_completion, same_program

MODULES = {"colorsys", "difflib", "email.utils", "statistics", "textwrap"}


@pytest.fixture(scope="module", autouse=True)
def five_modules():
    """The library is five of its modules here, so that looking through it takes a second."""
    paths = [(name, path) for name, path in library._paths() if name in MODULES]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "_paths", lambda: paths)
        library.code.cache_clear(), library.functions.cache_clear()
        yield
    library.code.cache_clear(), library.functions.cache_clear()


def test_functions_that_stand_alone_bring_what_they_need():
    for function in library.functions():
        names = {}
        exec(function.program, names)
        assert callable(names[function.entry]) and '"""' not in function.program


def test_what_uses_the_outside_or_a_name_from_elsewhere_does_not_stand_alone():
    module = "import os\nimport math\nA = 3\nB = other()\ndef f(x):\n    y = math.pi + A\n    return x + y\n"
    for line, stands in (("x", True), ("os.sep", False), ("B", False), ("open(x)", False), ("g(x)", False)):
        tree = ast.parse(f"{module.replace('return x', f'return {line}')}")
        assert [found.entry for found in library._alone("m", tree)] == (["f"] if stands else []), line


def test_the_functions_found_are_the_same_each_time():
    first = library.functions()
    library.functions.cache_clear()
    assert library.functions() == first and len(first) >= 5


def test_a_task_is_one_edit_of_a_function_that_passes_all_of_its_tests():
    rng = random.Random(0)
    tasks = [task for task in (library.draw_library_task(rng, 3, 6) for _ in range(30)) if task]
    assert len(tasks) >= 10 and {task.meta["family"] for task in tasks} == {"library"}
    for task in tasks:
        assert ast.dump(ast.parse(task.buggy)) != ast.dump(ast.parse(task.reference))
        for test in (*task.tests, *task.hidden_tests):
            exec(f"{task.reference}\n{test}", {})


def test_the_real_corpus_holds_repairs_of_both_worlds_and_plain_code():
    rng = random.Random(0)
    documents = [text for text in (draw_document(rng, Mixture(corpus="real")) for _ in range(150)) if text]
    entries = {function.entry for function in library.functions()}
    code = [text for text in documents if text.startswith("# Code:\n")]
    repairs = [text for text in documents if FIX in text]
    real = [text for text in repairs if any(f"def {entry}(" in text for entry in entries)]
    assert len(code) > 5 and len(real) > 3 and len(repairs) - len(real) > 10
    for text in code:
        ast.parse(text)


def test_a_repair_of_the_real_corpus_is_read_as_one():
    rng = random.Random(1)
    texts = (draw_document(rng, Mixture(1.0, corpus="real")) for _ in range(60))
    answers = [text.split("\n# Why:")[1] for text in texts if text and FIX in text]
    assert answers and all(parse_completion(answer).fix for answer in answers)


def test_an_edited_function_is_repaired_by_the_edit_that_the_rationale_states():
    rng = random.Random(0)
    texts = [text for text in (_edited(rng, Mixture(corpus="real")) for _ in range(30)) if text]
    assert len(texts) >= 15
    for text in texts:
        buggy, _, answer = text.partition("# Buggy:\n")[2].partition("\n# Why:")
        rationale, fix = answer.split(f"\n{FIX}\n")
        assert agrees(buggy, rationale, fix) and "assert" not in text.splitlines()[-1]


def test_an_answer_that_only_states_its_edit_is_mostly_carried_out_to_the_same_program():
    whole, stated = (
        [_edited(random.Random(n), Mixture(corpus=corpus)) for n in range(30)] for corpus in ("real", "stated")
    )
    pairs, same = [(one, other) for one, other in zip(whole, stated, strict=True) if other], 0
    for one, other in pairs:
        assert one.startswith(f"{other}\n") and other.endswith(f"\n{FIX}")
        buggy, _, answer = other.partition("# Buggy:\n")[2].partition("\n# Why:")
        same += same_program(carried_out(buggy, answer), one.partition(f"\n{FIX}\n")[2])
    assert len(pairs) >= 15 and same >= 0.9 * len(pairs)  # a line that is added may stand in several blocks


def test_what_only_states_edits_states_one_every_time():
    rng = random.Random(0)
    texts = list(filter(None, (draw_document(rng, Mixture(0.5, corpus="stated")) for _ in range(100))))
    assert len(texts) > 30 and all(text.endswith(("`.\n# Fix:", "block.\n# Fix:")) for text in texts)
