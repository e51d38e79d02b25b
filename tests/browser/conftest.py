"""A real JupyterLab in a headless Chromium, for widgets; skipped, with its reason, where there is none."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from jupyter_client import BlockingKernelClient

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
ROOT = Path(__file__).resolve().parent.parent.parent


def pytest_collection_modifyitems(items):
    here = [item for item in items if Path(item.fspath).parent == Path(__file__).parent]
    for item in here:
        item.add_marker(pytest.mark.browser)
        if CHROMIUM is None:
            item.add_marker(pytest.mark.skip(reason="no Chromium: apt-get install chromium"))


@pytest.fixture(scope="session")
def browser():
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """(address, folder, runtime folder) of a JupyterLab that serves the folder."""
    folder, home, port = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home"), _free_port()
    runtime = home / "runtime"
    env = os.environ | dict(JUPYTER_CONFIG_DIR=str(home), JUPYTER_RUNTIME_DIR=str(runtime), PYTHONPATH=str(ROOT))
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1",
               "--IdentityProvider.token=", "--ServerApp.password=", f"--ServerApp.root_dir={folder}",
               "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None"]  # fmt: skip
    with (home / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/api", home / "lab.log")
        yield address, folder, runtime
        server.terminate()
        server.wait(20)


@pytest.fixture
def notebook(lab, browser, tmp_path):
    """notebook(*cells, theme="light") opens a notebook in JupyterLab, runs its cells, and returns its Page.

    `page.console_errors`: what the console said. `page.run(code)`: run code in its kernel; what that printed.
    `page.becomes(code, expected)`: wait until an expression prints that; the view is ahead of Python by some messages.
    """
    address, folder, runtime = lab
    pages = []

    def open_notebook(*cells, theme="light"):
        name = f"{tmp_path.name}-{len(pages)}.ipynb"
        (folder / name).write_text(json.dumps(_notebook(cells)))
        page = browser.new_page(viewport=dict(width=1280, height=1000))
        pages.append(page)
        page.console_errors, before = [], set(runtime.glob("kernel-*.json"))
        page.on("console", lambda message: message.type == "error" and page.console_errors.append(message.text))
        page.set_default_timeout(90_000)
        page.goto(f"{address}/lab/workspaces/{tmp_path.name}-{len(pages)}/tree/{name}")
        page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )
        command(page, "apputils:change-theme", dict(theme=f"JupyterLab {theme.title()}"))
        command(page, "application:toggle-left-area")
        command(page, "notebook:run-all-cells")
        page.wait_for_timeout(500)
        (connection,) = set(runtime.glob("kernel-*.json")) - before
        page.run = lambda code: _run(connection, code)
        page.becomes = lambda code, expected: _becomes(page, code, expected)
        page.run("")  # waits for the cells before it
        page.wait_for_timeout(500)
        return page

    yield open_notebook
    for page in pages:
        command(page, "kernelmenu:shutdown")
        page.close()


def command(page, name, arguments=None):
    """Execute one of JupyterLab's commands."""
    page.evaluate(
        "([name, given]) => window.jupyterapp.commands.execute(name, given).then(() => null)", [name, arguments or {}]
    )


@pytest.fixture
def offline(browser):
    """offline(path) opens a file with the network off and returns its Page, with `console_errors`."""
    context = browser.new_context(viewport=dict(width=1280, height=1000), offline=True)

    def open_file(path):
        page = context.new_page()
        page.console_errors = []
        page.on("console", lambda message: message.type == "error" and page.console_errors.append(message.text))
        page.on("pageerror", lambda error: page.console_errors.append(str(error)))
        page.goto(Path(path).absolute().as_uri())
        return page

    yield open_file
    context.close()


def _notebook(cells):
    code = [dict(cell_type="code", id=f"cell-{n}", metadata={}, execution_count=None, outputs=[], source=cell)
            for n, cell in enumerate(cells)]  # fmt: skip
    kernel = dict(display_name="Python 3", language="python", name="python3")
    return dict(cells=code, metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)


def _run(connection, code):
    """Run code in a kernel; returns what it printed. Raises AssertionError with the traceback where it failed."""
    client, printed = BlockingKernelClient(), []
    client.load_connection_file(str(connection))
    client.start_channels()
    try:
        reply = client.execute_interactive(
            code, timeout=120, output_hook=lambda message: printed.append(message["content"].get("text", ""))
        )
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(printed)
    finally:
        client.stop_channels()


def _becomes(page, code, expected):
    """True, or AssertionError with what it still is after some seconds."""
    for _ in range(30):
        printed = page.run(f"print({code})").strip()
        if printed == expected:
            return True
        page.wait_for_timeout(100)
    raise AssertionError(f"{code} is {printed}, not {expected}")


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _wait_for(address, log):
    for _ in range(120):
        try:
            return urllib.request.urlopen(address, timeout=1)
        except OSError:
            time.sleep(0.5)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text()[-2000:]}")
