"""The RunMonitor in a real JupyterLab, and as a file."""

import json

import pytest

from nextkit.runs import Run
from nextkit.sampling import Sample
from nextkit.widgets import RunMonitor


def tune(folder, number, losses=(0.5, 0.25)):
    run = Run(folder)
    stage = run.stage(f"adapter-{number}", dict(number=number))
    run.begin(stage, examples=number)
    lines = [json.dumps(dict(step=n, steps=len(losses), loss=loss)) for n, loss in enumerate(losses, 1)]
    (stage / "adapter.losses.jsonl").write_text("\n".join(lines))
    run.stored(stage / "adapter", seconds=3.0, steps=len(losses))


def draw(folder):
    rows = [[Sample("t", "", "", "", "", 1, "stop")]]
    Run(folder).parts("samples", dict(adapter=None), [0], lambda *_: rows, Sample, 2)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "run"
    draw(folder)
    tune(folder, 1)
    tune(folder, 2)
    return folder


@pytest.fixture
def page(notebook, folder):
    page = notebook(f"from nextkit.widgets import RunMonitor\nw = RunMonitor({str(folder)!r}, seconds=0.3)\nw")
    yield page
    page.run("w.close()")
    assert page.console_errors == []


def test_it_follows_what_another_process_writes(page, folder):
    assert page.locator(".rm-stages tbody tr").count() == 3
    page.locator(".rm").press("f")
    page.wait_for_selector("button[aria-pressed=true] >> text=Following")
    assert page.becomes("w.follow", "True")
    tune(folder, 3)
    page.wait_for_selector("tr[aria-current] >> text=round 3")
    page.get_by_role("button", name="Following").click()
    page.wait_for_selector("button[aria-pressed=false] >> text=Follow")
    assert page.becomes("w.follow", "False")


def test_keys_clicks_and_python_choose_a_tuning_and_read_again(page, folder):
    page.locator(".rm").press("ArrowUp")
    page.wait_for_selector("h4 >> text=Loss, round 1")
    assert page.becomes("w.shown", "0")
    page.locator(".rm-pick >> text=round 2").click()
    page.wait_for_selector("h4 >> text=Loss, round 2")
    assert page.becomes("w.shown", "1")
    page.run("w.shown = 0")
    page.wait_for_selector("h4 >> text=Loss, round 1")
    tune(folder, 3)
    page.get_by_role("button", name="Read again").click()
    page.wait_for_selector(".rm-pick >> text=round 3")
    page.run("w.folder = w.folder / 'none'; w.refresh()")
    page.wait_for_selector(".nk-error >> text=no run folder at")
    assert page.locator(".rm-pick").count() == 3


def test_the_exported_file_works_offline_and_reads_nothing_as_markup(offline, tmp_path):
    folder = tmp_path / "<img src=x>"
    draw(folder)
    tune(folder, 1)
    tune(folder, 2)
    page = offline(RunMonitor(folder).to_html(tmp_path / "run.html"))
    page.locator(".rm").press("ArrowUp")
    assert page.locator("h4 >> text=Loss, round 1").count() == 1 and page.locator(".rm svg polyline").count() == 1
    assert page.locator(".rm img").count() == 0 and page.locator("button").count() == 0 and page.console_errors == []
