"""What all widgets share."""

import json

import pytest

from nextkit.runs import Run
from nextkit.sampling import Sample
from nextkit.sandbox import Verdict
from nextkit.tasks import RepairTask
from nextkit.tracing import trace_in_process
from nextkit.widgets import RationaleRater, RationaleReviewer, RunMonitor, TraceInspector
from nextkit.widgets.base import as_script

EVIL = "</script><script>alert(1)</script>\u2028<!--"
TASK = RepairTask("t", EVIL, f"def f():\n    return {EVIL!r}", (f"assert f() == {EVIL + 'x'!r}",))
SAMPLES = [Sample("t", EVIL, EVIL, EVIL, TASK.buggy, 1, "stop")]


@pytest.fixture(params=["inspector", "reviewer", "rater", "monitor"])
def widget(request, tmp_path):
    if request.param == "inspector":
        return TraceInspector(trace_in_process(TASK.buggy, TASK.tests[0]))
    if request.param == "reviewer":
        return RationaleReviewer(TASK, SAMPLES, [Verdict("t", "failed", message=EVIL)])
    if request.param == "rater":
        return RationaleRater([TASK], SAMPLES, tmp_path / "ratings.jsonl", rater=EVIL)
    Run(tmp_path / "run").log(work="begun", process=1, host=EVIL)
    return RunMonitor(tmp_path / "run")


def test_without_a_front_end_a_widget_is_its_text(widget):
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == widget.text() and "application/vnd.jupyter.widget-view+json" in data
    assert "<script" not in data["text/html"]


def test_the_state_is_plain_data(widget):
    assert json.dumps({k: v for k, v in widget.state().items() if k == "payload"})


def test_an_exported_file_has_no_script_but_its_own_and_no_address(widget, tmp_path):
    page = widget.to_html(tmp_path / "w.html", title=EVIL).read_text()
    assert page.count("<script") == page.count("</script>") == 2 and "alert(1)</script>" not in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_an_exported_file_is_whole_or_not_there(widget, tmp_path, monkeypatch):
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        widget.to_html(tmp_path / "w.html")
    assert not (tmp_path / "w.html").exists()


def test_data_in_a_script_element_cannot_end_it_and_reads_back():
    assert "<" not in as_script([EVIL]) and "\u2028" not in as_script([EVIL])
    assert json.loads(as_script([EVIL])) == [EVIL]
