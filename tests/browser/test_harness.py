"""The harness itself: a cell runs, what it prints comes back, a widget renders."""


def test_a_cell_runs_and_a_widget_renders(notebook):
    page = notebook("import ipywidgets\nx = 20\nipywidgets.IntSlider(value=x)")
    assert page.run("print(x + 22)").strip() == "42"
    assert page.locator(".widget-slider").count() == 1 and page.console_errors == []
