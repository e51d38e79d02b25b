"""What all widgets share: state in Python, a thin view in one small JavaScript module, and a file that needs neither.

A widget's class holds traits; those tagged `sync=True` are its state, and both sides may set them. What is shown and
does not change is in `payload`, plain data with stated caps. The view is `NAME.js` beside the class, after
`shared.js`, with `style.css` and `NAME.css`; it runs in JupyterLab, VS Code and Colab, and the same text is written
into the file that `to_html` makes.
"""

import html
import json
from pathlib import Path

import anywidget
import traitlets

from nextkit.records import whole

FOLDER = Path(__file__).parent
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>{page_style}
{style}</style></head>
<body><main class="nextkit-page"><h1>{title}</h1><div id="widget"></div></main>
<script type="application/json" id="state">{state}</script>
<script type="module">
{code}
const state = JSON.parse(document.getElementById("state").textContent);
widget.render({{ model: standalone(state), el: document.getElementById("widget") }});
</script></body></html>
"""
PAGE_STYLE = """body{margin:0;background:#fff;color:#1f2328;font:15px/1.5 system-ui,sans-serif}
.nextkit-page{max-width:76rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.15rem;font-weight:600}
@media(prefers-color-scheme:dark){body{background:#16181c;color:#e6e6e6}}"""


class Widget(anywidget.AnyWidget):
    """A widget of nextkit. Subclasses name their JavaScript file in `view`, and say in `text()` what they show."""

    view = ""
    payload = traitlets.Dict().tag(sync=True)
    error = traitlets.Unicode("").tag(sync=True)

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if "view" in vars(cls):  # anywidget makes subclasses of its own, whose traits must not be written over
            cls._esm, cls._css = module(cls.view), style(cls.view)

    def state(self):
        """The synced traits as plain data: what the view is drawn from."""
        names = self.traits(sync=True)
        return {name: getattr(self, name) for name in names if not name.startswith("_")}

    def text(self):
        """What is shown, as plain text, where no front end is."""
        raise NotImplementedError

    def to_html(self, path, title="nextkit"):
        """Write one file that shows this widget, still interactive, with no kernel and no network; returns its Path.

        The file appears whole or not at all.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial:
            partial.write_text(self.page(title), encoding="utf-8")
        return path

    def page(self, title="nextkit"):
        """The text of that file."""
        state = {name: value for name, value in self.state().items() if name not in OF_THE_LIBRARY}
        return PAGE.format(
            title=html.escape(writable(title)),
            page_style=PAGE_STYLE,
            style=self._css,
            state=as_script(state),
            code=module(self.view),
        )

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        data, *rest = bundle if isinstance(bundle, tuple) else (bundle,)
        data = dict(data or {}) | {"text/plain": writable(self.text()), "text/html": self._repr_html_()}
        return (data, *rest) if rest else data

    def _repr_html_(self):
        return f'<pre style="white-space:pre-wrap">{html.escape(writable(self.text()))}</pre>'


OF_THE_LIBRARY = {"layout", "tabbable", "tooltip", "comm", "keys", "log"}


def module(name):
    """The JavaScript of a widget: what all share, then its own; one text without imports."""
    if not name:
        return "export default { render() {} };"
    return "\n".join((FOLDER / f"{part}.js").read_text(encoding="utf-8") for part in ("shared", name))


def style(name):
    """The style sheet of a widget: what all share, then its own, where it has one."""
    files = (FOLDER / f"{part}.css" for part in ("style", name))
    return "\n".join(file.read_text(encoding="utf-8") for file in files if file.exists())


def writable(text):
    """The text as UTF-8 can hold it: half of a surrogate pair, which a program may print, becomes its escape."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def as_script(data):
    """JSON that may stand inside a script element: nothing in it can end the element."""
    text = writable(json.dumps(data, ensure_ascii=False))  # JSON escapes a surrogate as Python does
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
