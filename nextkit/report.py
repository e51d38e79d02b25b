"""The report: a run's table and figures as one HTML file that needs no kernel and no network."""

import base64
import html
import io
from dataclasses import asdict

STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}td,th{padding:.25rem .5rem;text-align:right;white-space:nowrap;
border-bottom:1px solid #ddd}td:first-child,th:first-child{text-align:left}
pre{white-space:pre-wrap}img{max-width:100%}code{background:#f4f4f4}"""
WARNING = """The base model is weak by design: half of the repairs that it read last are deliberately wrong, and right
ones mostly explain themselves by what the run shows, so that a filter has something to find. What these numbers show
is that the method works as described; they say nothing about how much a real model would gain."""


def write_report(run, settings, table, blind, said):
    """Write report.html, rounds.png and table.csv into the run folder. said: the result in words."""
    import matplotlib

    matplotlib.use("Agg")
    from nextkit.plotting import plot_comparison, plot_rounds

    rounds = table[table.model.str.fullmatch(r"base|round \d+")]
    figures = [plot_rounds(rounds, blind=blind), plot_comparison(table)]
    figures[0].figure.savefig(run.folder / "rounds.png", dpi=150)
    table.to_csv(run.folder / "table.csv", index=False)
    shown = f"{in_percent(table).to_html(index=False, border=0)}<p>{counted(table)}</p>"
    body = f"<h1>NExT, one run</h1><p>{html.escape(said)}</p>{''.join(map(_image, figures))}{shown}<p>{WARNING}</p>"
    settings = f"<h2>Settings</h2><pre>{html.escape(str(asdict(settings)))}</pre>"
    page = f"<!doctype html><meta charset=utf-8><title>NExT run</title><style>{STYLE}</style>{body}{settings}"
    (run.folder / "report.html").write_text(page, encoding="utf-8")


def in_percent(table):
    """What of a table people read, as a DataFrame of texts: a row a model, percent with 95 % intervals."""
    import pandas as pd

    return pd.DataFrame([_row(model, rows.set_index("k")) for model, rows in table.groupby("model", sort=False)])


def counted(table):
    """What a table was measured on, in words."""
    first = table.iloc[0]
    return f"n = {first.tasks:.0f} tasks x {first.samples:.0f} samples; all tests decide, hidden ones included"


def _row(model, rows):
    rates = {
        f"pass@{k}": f"{_percent(r.pass_at_k)} [{_percent(r.low)}, {_percent(r.high)}]" for k, r in rows.iterrows()
    }
    names = {"shown@1": "shown", "no-op": "no_op", "does as said": "agreement"}
    return dict(model=model) | rates | {name: _percent(rows.iloc[0][column]) for name, column in names.items()}


def _percent(value):
    return "-" if value != value else f"{100 * value:.1f}"


def _image(axes):
    buffer = io.BytesIO()
    axes.figure.savefig(buffer, format="png", dpi=150)
    return f'<p><img alt="figure" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"></p>'
