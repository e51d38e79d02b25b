"""The TraceInspector in a real JupyterLab, and its exported file."""

import pytest

from nextkit.tracing import trace_in_process
from nextkit.widgets import TraceInspector

PROGRAM = "def f(xs):\\n    t = 0\\n    for i in range(3):\\n        t += xs[i]\\n    return t"
CELL = f"""from nextkit.tracing import trace_in_process
from nextkit.widgets import TraceInspector
w = TraceInspector(trace_in_process("{PROGRAM}", "assert f([1, 2]) == 3"))
w"""


@pytest.fixture
def page(notebook):
    page = notebook(CELL)
    page.wait_for_selector(".ti-source")
    return page


def test_keys_and_clicks_move_it_and_python_follows(page):
    last = int(page.run("print(w.step)"))
    page.focus(".ti")
    page.keyboard.press("ArrowLeft")
    assert page.becomes("w.step", str(last - 1))
    page.keyboard.press("Home")
    assert page.becomes("w.step", "0")
    page.click('.ti-row[data-line="4"]')
    assert page.becomes("w.line", "4") and page.console_errors == []


def test_python_moves_it_and_the_view_follows(page):
    page.run("w.step = 2")
    page.wait_for_function("() => document.querySelector('.ti-count').textContent.startsWith('step 2 ')")
    assert page.locator('.ti-row[aria-current="step"]').get_attribute("data-line") == "3"


def test_the_failing_expression_is_marked_where_it_opens(page):
    assert page.locator(".ti-failing").inner_text() == "xs[i]"


def test_the_exported_file_steps_without_kernel_and_network(offline, tmp_path):
    found = trace_in_process(PROGRAM.encode().decode("unicode_escape"), "assert f([1, 2]) == 3")
    page = offline(TraceInspector(found).to_html(tmp_path / "trace.html"))
    page.focus(".ti")
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert page.locator(".ti-count").inner_text().startswith("step 1 ") and page.console_errors == []


def test_the_view_keeps_two_generators_of_one_function_apart(offline, tmp_path):
    program = "def g(n):\n    i = n\n    while True:\n        yield i\n        i += 1\ndef f():\n    a, b = g(0), g(10)\n    return [next(it) for it in (a, b, a, b)][-1]"
    found = trace_in_process(program, "assert f() == 12")
    page = offline(TraceInspector(found).to_html(tmp_path / "trace.html"))
    last = max(place for place, step in enumerate(found.steps) if step.changes == (("i", "1"),))
    page.focus(".ti")
    page.keyboard.press("Home")
    for _ in range(last):
        page.keyboard.press("ArrowRight")
    assert page.locator(".ti-section tr").all_inner_texts() == ["\tn\t0", "●\ti\t1was 0"] and page.console_errors == []
