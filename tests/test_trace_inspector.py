"""The TraceInspector, driven from Python alone."""

import pytest

from nextkit.inspection import failure
from nextkit.tracing import trace_in_process
from nextkit.widgets import TraceInspector


@pytest.fixture
def inspector():
    return TraceInspector(trace_in_process("def f(n):\n    a = n + 1\n    return '<b>'", "assert f(1) == 2"))


def test_the_inspector_opens_at_the_last_step(inspector):
    assert inspector.step == 2


def test_setting_the_step_moves_the_variables(inspector):
    inspector.step = 0
    assert inspector.variables == {"n": "1"}
    inspector.step = 1
    assert inspector.variables == {"n": "1", "a": "2"}


def test_a_step_out_of_range_is_brought_into_it(inspector):
    inspector.step = 99
    assert inspector.step == 2


RAISES = "def f(xs):\n    t = 0\n    for i in range(3):\n        t += xs[i]\n        print(t)\n    return t"
TURNS = "def g(n):\n    i = n\n    while True:\n        yield i\n        i += 1\ndef f():\n    a, b = g(0), g(10)\n    return [next(it) for it in (a, b, a, b)][-1]"
CALLS = "def g(n):\n    if n == 0:\n        return 0\n    return g(n - 1) + n\ndef f(n):\n    return g(n)"


def test_it_opens_where_the_run_failed():
    found = TraceInspector(trace_in_process(RAISES, "assert f([1, 2]) == 3"))
    assert found.trace.steps[found.step].event == "exception" and found.line == 4


def test_a_line_and_a_visit_of_it_can_be_gone_to():
    found = TraceInspector(trace_in_process(RAISES, "assert f([1, 2, 3]) == 0"))
    found.step = 0
    found.line = 5
    assert (found.line, found.visit, found.visits) == (5, 1, 3)
    found.visit = 3
    assert found.variables["t"] == "6" and found.output == "1\n3\n6\n"


def test_a_line_that_never_ran_is_refused():
    found = TraceInspector(trace_in_process(RAISES, "assert f([]) == 0"))
    with pytest.raises(ValueError, match="line 6 never ran"):
        found.line = 6


def test_the_variables_are_those_of_one_frame_where_two_generators_of_one_function_take_turns():
    found = TraceInspector(trace_in_process(TURNS, "assert f() == 11"))
    found.step = max(at for at, step in enumerate(found.trace.steps) if step.function == "g")
    assert found.variables == {"n": "10", "i": "11"}
    found.step = max(at for at in range(found.step) if found.trace.steps[at].changes == (("i", "1"),))
    assert found.variables == {"n": "0", "i": "1"}


def test_the_open_calls_are_told_from_the_outermost_on():
    found = TraceInspector(trace_in_process(CALLS, "assert f(2) == 0"))
    found.step = next(at for at, step in enumerate(found.trace.steps) if step.depth == 4)
    assert [name for name, _ in found.frames] == ["f", "g", "g", "g"]


def test_two_runs_open_where_they_part_and_step_together():
    one, other = (
        trace_in_process(RAISES.replace("t = 0", f"t = {start}"), "assert f([1, 1, 1]) == 3") for start in (1, 0)
    )
    both = TraceInspector(one, other)
    assert both.variables["t"] == "1" and both.step == both.step_fixed
    both.step += 2
    assert both.step_fixed == both.step


def test_a_variable_that_never_holds_a_number_is_not_drawn(inspector):
    inspector.watched = "a"
    assert (inspector.watched, inspector.error) == ("a", "")
    inspector.watched = "b"
    assert inspector.watched == "" and "never holds a number" in inspector.error


def test_a_trace_shows_itself_in_a_notebook():
    bundle = trace_in_process(RAISES, "assert f([1, 2]) == 3")._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert "application/vnd.jupyter.widget-view+json" in data and "IndexError" in data["text/plain"]


def test_a_long_run_is_shown_within_its_cap(tmp_path):
    program = "def f(n):\n    t = 0\n    for i in range(n):\n        t = (t * 31 + i) % 1009\n    return t"
    found = trace_in_process(program, "assert f(50_000) == 1", max_steps=10**6, keep=100_000, timeout=60)
    path = TraceInspector(found).to_html(tmp_path / "long.html")
    assert len(found.steps) > 99_000 and path.stat().st_size < 3_000_000


def test_a_program_cannot_end_the_script_of_its_page(tmp_path):
    program = "def f():\n    return '</script><img src=x onerror=alert(1)>'"
    text = TraceInspector(trace_in_process(program, "assert f() == 1")).to_html(tmp_path / "x.html").read_text()
    assert (
        text.count("</script>") == 2 and "<img" not in text and "http://" not in text.replace("http://www.w3.org", "")
    )


def test_a_trace_without_steps_is_refused():
    with pytest.raises(ValueError, match="no steps"):
        TraceInspector(trace_in_process("def f(): pass", "assert 1 == 2"))


@pytest.mark.parametrize("statement", ["print('\\ud83d</script>')", "raise ValueError('\\ud800</script>')"])
def test_half_of_a_surrogate_pair_is_shown_by_its_escape(statement, tmp_path):
    found = TraceInspector(trace_in_process(f"def f():\n    {statement}", "assert f() == 1"))
    page = found.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "\\ud8" in page and page.count("</script>") == TraceInspector(found.trace).page("").count("</script>") == 2
    assert str(found.payload).encode() and "\\ud8" in found._repr_html_()


def test_the_failure_is_the_step_that_raised_what_ended_the_run():
    program = "def f(x):\n    try:\n        return int(x)\n    except ValueError:\n        return None"
    found = trace_in_process(program, "assert f('a')[0] == 1")
    assert found.exception.startswith("TypeError") and failure(found) == len(found.steps) - 1
    caught = trace_in_process(program + "[0]", "assert f('a') == 1")
    assert caught.steps[failure(caught)].line == 5


def test_a_trace_without_steps_has_no_failure():
    with pytest.raises(ValueError, match="has no steps"):
        failure(trace_in_process("def f(", "assert f(1) == 1"))
