"""The RationaleRater in a real JupyterLab, and as a file."""

import json
from dataclasses import replace

import pytest

from nextkit.ratings import read_ratings
from nextkit.sampling import Sample
from nextkit.tasks import RepairTask
from nextkit.widgets import RationaleRater

MARKUP = "<img src=x onerror=\"console.error('read as HTML')\">"
SETUP = """
from dataclasses import replace
from nextkit.ratings import read_ratings
from nextkit.sampling import Sample
from nextkit.tasks import RepairTask
from nextkit.widgets import RationaleRater
task = RepairTask("t", "Add one.", "def f(x):\\n    return x - 1", ("assert f(1) == 2",))
one = Sample("t", "", "", "because of the `-`", "def f(x):\\n    return x + 1", 5, "stop")
samples = [replace(one, rationale=f"{one.rationale} {n}") for n in range(4)]
w = RationaleRater([task], samples, "FILE", rater="ann")
w
"""


@pytest.fixture
def page(notebook, tmp_path):
    page = notebook(SETUP.replace("FILE", str(tmp_path / "ratings.jsonl")))
    yield page
    assert page.console_errors == []


@pytest.fixture
def file(tmp_path):
    """An exported rater of two rationales, with markup in every text."""
    task = RepairTask("t", MARKUP, f"x = '''{MARKUP}'''", (f"assert x == '''{MARKUP}'''",))
    sample = Sample("t", "", "", MARKUP, MARKUP, 5, "stop")
    rater = RationaleRater([task], [sample, replace(sample, fix="")], tmp_path / "none", rater="ann")
    return rater.to_html(tmp_path / "rater.html")


def test_keys_answer_both_questions_and_go_on_and_the_file_has_it(page):
    page.locator(".rr").focus()
    for key in ("f", "4", "2", "Enter", "s", "3", "ArrowUp", "1", "5", "ArrowRight", "u"):
        page.keyboard.press(key)
    assert page.becomes("[e['event'] for e in w.events]", "['rate', 'skip', 'rate', 'undo']")
    ratings = "[(r.explains, r.suggests, r.fix_seen) for r in read_ratings(w.path)]"
    assert page.becomes(ratings, "[(4, 2, True)]")
    assert page.locator(".rr-count").inner_text() == "3 of 4"


def test_clicks_rate_and_python_drives_the_view(page):
    row = page.locator(".rr-scale")
    row.nth(0).locator("button").nth(4).click()
    assert page.get_by_role("button", name="Next").is_disabled()
    row.nth(1).locator("button").nth(0).click()
    page.get_by_role("button", name="Next").click()
    assert page.locator(".rr-count").inner_text() == "2 of 4"
    assert page.becomes("[(r.explains, r.suggests) for r in read_ratings(w.path)]", "[(5, 1)]")

    page.run("w.answers = dict(explains=3); w.question = 'suggests'; w.fix_shown = True")
    page.wait_for_selector(".rr-changed >> text=return x + 1")
    assert row.nth(0).locator("button").nth(2).get_attribute("aria-pressed") == "true"
    page.run("w.rate(explains=1, suggests=1); w.skip(); w.skip()")
    page.wait_for_selector("text=All done, thank you.")
    assert page.locator(".rr-done").inner_text().endswith("2 rated, 2 skipped.")
    page.run("w.error = 'not saved: the disk is full'")
    page.wait_for_selector(".nk-error >> text=the disk is full")


def test_the_exported_file_rates_offline_and_hands_out_the_lines(offline, file, tmp_path):
    page = offline(file)
    page.locator(".rr").focus()
    for key in ("4", "2", "Enter", "5", "5", "Enter", "u"):
        page.keyboard.press(key)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ratings").click()
    download.value.save_as(tmp_path / "ann.jsonl")
    assert [(r.rater, r.explains, r.suggests) for r in read_ratings(tmp_path / "ann.jsonl")] == [("ann", 4, 2)]
    assert len((tmp_path / "ann.jsonl").read_text().splitlines()) == 3 and page.console_errors == []


def test_markup_in_a_sample_is_text(offline, file):
    page = offline(file)
    page.locator(".rr").press("f")
    assert page.locator("blockquote").inner_text() == MARKUP and page.locator(".rr img").count() == 0
    assert json.dumps(page.console_errors) == "[]"
