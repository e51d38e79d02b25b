"""The RationaleReviewer in a real JupyterLab, and as an exported file without a network."""

import pytest

CELL = """
from dataclasses import replace
from nextkit.sampling import Sample
from nextkit.sandbox import Verdict
from nextkit.tasks import RepairTask
from nextkit.tracing import trace_in_process
from nextkit.widgets.rationale_reviewer import RationaleReviewer

BUGGY, FIXED = "def f(x):\\n    return x - 1", "def f(x):\\n    return x + 1"
SAID = "It returns 0, not 3. <img src=x onerror=alert(1)>"

def sample(rationale, fix):
    return Sample("t/0", "the prompt", f" {rationale}\\n# Fix:\\n{fix}", rationale, fix, 9, "stop")

task = RepairTask("t/0", "Add one.", BUGGY, ("assert f(1) == 2",))
tasks = [replace(task, task_id=f"t/{n}") for n in range(3)]
found = trace_in_process(BUGGY, "assert f(1) == 2")
base = [sample(SAID, FIXED), sample("No idea.", BUGGY), sample("None.", "")]
tuned = [sample("It raises KeyError.", FIXED)] * 2
status = lambda *names: [Verdict("t/0", name, 0, message=f"it {name}") for name in names]
w = RationaleReviewer.of_run(
    tasks, [base] * 3, [status("passed", "failed", "unparseable")] * 3, traces=[found] * 3,
    others=([tuned] * 3, [status("passed", "passed"), status("failed", "passed"), status("passed", "passed")]),
)
w
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    names = {}
    exec(CELL, names)
    return names["w"].to_html(tmp_path_factory.mktemp("export") / "reviewer.html")


@pytest.fixture
def exported(offline, file):
    return offline(file)


def seen(page, selector):
    return [text.strip() for text in page.locator(selector).all_inner_texts()]


def test_it_is_driven_by_keys_and_clicks_in_jupyterlab_and_python_follows(notebook):
    page = notebook(CELL)
    card = page.locator(".rv-card")
    card.wait_for()
    assert "It returns 0" in card.inner_text() and page.locator(".rv-card img").count() == 0
    assert [claim.get_attribute("title") for claim in page.locator(".rv-rationale .rv-claim").all()] == [
        "result, true",
        "result, false",
    ]

    page.locator(".rv-rationale .rv-claim").first.click()
    page.wait_for_function("() => document.querySelector('.rv-claim[aria-pressed=true]')")
    assert page.becomes("w.step", "1")

    page.locator(".rv").focus()
    page.keyboard.press("ArrowRight")
    page.get_by_text("No idea.").first.wait_for()
    assert page.becomes("w.index, w.step", "1 None")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("f")
    page.locator(".rv-position", has_text="1 of 2").wait_for()
    assert page.becomes("w.task_index, w.status, w.index", "1 passed 0")

    page.get_by_label("beside").select_option("3")
    page.locator(".rv-card >> nth=1").wait_for()
    assert page.becomes("w.other", "3")

    page.run("w.task_index, w.status, w.label = 2, 'all', 'tuned'")
    page.wait_for_function("() => document.querySelectorAll('.rv-card').length === 1")
    page.locator(".rv-card strong", has_text="#3 tuned").wait_for()
    assert seen(page, ".rv-position") == ["1 of 2"]
    page.run("w.status = 'perfect'")
    page.get_by_text("no sample has the status 'perfect'").wait_for()
    assert page.locator(".rv").evaluate("root => root === document.activeElement")
    assert page.console_errors == []


def test_an_exported_file_shows_the_sample_without_a_network(exported):
    assert seen(exported, ".rv-position") == ["1 of 5"]
    assert seen(exported, ".rv-verdict strong") == ["✓ passed"] and exported.locator("img").count() == 0
    assert seen(exported, ".rv-removed") + seen(exported, ".rv-added") == ["-    return x - 1", "+    return x + 1"]
    assert exported.console_errors == []


def test_keys_turn_samples_and_tasks_and_filter_in_an_exported_file(exported):
    exported.locator(".rv").focus()
    exported.keyboard.press("ArrowDown")
    exported.keyboard.press("ArrowRight")
    assert seen(exported, ".rv-card strong") == ["#1 base", "✗ failed"]
    exported.keyboard.press("f")
    assert seen(exported, ".rv-position") == ["1 of 2"] and exported.locator(".rv-search").input_value() == "t/1"
    exported.keyboard.press("ArrowUp")
    assert seen(exported, ".rv-position") == ["1 of 3"] and exported.console_errors == []


def test_a_sample_is_chosen_by_its_sign(exported):
    exported.get_by_label("sample 2, unparseable").click()
    assert "No program was found" in exported.locator(".rv-fix").inner_text()


def test_two_samples_stand_side_by_side_in_an_exported_file(exported):
    exported.get_by_label("beside").select_option("4")
    assert seen(exported, ".rv-card header strong") == ["#0 base", "#4 tuned"]


def test_a_task_is_found_by_a_part_of_its_name(exported):
    exported.get_by_label("task", exact=True).fill("/2")
    exported.keyboard.press("Enter")
    assert exported.get_by_text("3 of 3").count() == 1


def test_what_is_unfolded_stays_so_at_the_next_sample(exported):
    exported.get_by_text("What the model saw").click()
    exported.get_by_label("next sample").click()
    assert exported.locator("details[open] pre").inner_text() == "the prompt"


def test_a_filter_that_nothing_passes_says_what_to_do(exported):
    exported.get_by_label("verdict").select_option("unparseable")
    exported.get_by_label("from").select_option("tuned")
    assert exported.get_by_text("No sample of this task passes the filters").count() == 1
