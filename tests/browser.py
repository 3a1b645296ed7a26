"""Fixtures for widgets in a real browser: Chromium through Playwright, offline, and any error on the page fails."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import time
from urllib.parse import urlparse

import nbformat
import pytest

from course_lib import ROOT

NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ARGUMENTS = [
    "--no-sandbox",  # its sandbox needs rights that a container or root does not have
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# A stand-in for anywidget's model: what a widget's ES module may use of it, and a record of what it did.
HOST = """async ([esm, css, state, binary]) => {
  const view = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  const views = (texts) => Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, view(text)]));
  Object.assign(state, views(binary));
  const listeners = [];
  const model = {
    sent: [], saved: 0,
    get: (name) => state[name],
    set(name, value) { model.update({ [name]: value }); },
    update(values) {
      const changed = Object.keys(values).filter((name) => state[name] !== values[name]);
      Object.assign(state, values);
      for (const name of changed) model.fire(`change:${name}`);
    },
    receive: (values, binary) => model.update({ ...values, ...views(binary) }),
    save_changes() { model.saved++; },
    send(content) { model.sent.push(content); },
    answer: (content, buffers) => model.fire("msg:custom", content, buffers.map(view)),
    on: (name, callback) => listeners.push([name, callback]),
    off(name, callback) {
      const k = listeners.findIndex(([n, c]) => n === name && c === callback);
      if (k >= 0) listeners.splice(k, 1);
    },
    fire(name, ...values) { for (const [n, callback] of [...listeners]) if (n === name) callback(...values); },
    listening: () => listeners.length,
  };
  document.head.append(Object.assign(document.createElement("style"), { textContent: css }));
  window.model = model;
  window.module = await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })));
  window.show = async () => {
    const el = document.body.appendChild(document.createElement("div"));
    const cleanup = await module.default.render({ model, el });
    return { el, cleanup };
  };
  window.first = await show();
}"""


def encoded(state: dict) -> tuple[dict, dict]:
    """A widget's state as (JSON, base64 of its bytes)."""
    binary = {k: base64.b64encode(bytes(v)).decode() for k, v in state.items() if isinstance(v, bytes | memoryview)}
    plain = {k: v for k, v in state.items() if k not in binary and not k.startswith("_") and k != "layout"}
    return plain, binary


def mount(page, widget, *, dark: bool = False) -> None:
    """Shows `widget` on an empty page: window.model is the stand-in, window.first the view, show() makes another."""
    colours = "#111; --jp-content-font-color1: #eee; color: #eee" if dark else "#fff; color: #222"
    page.set_content(f"<!doctype html><body style='margin: 16px; background: {colours}'></body>")
    page.evaluate(HOST, [str(widget._esm), str(widget._css), *encoded(widget.get_state())])


def update(page, widget, *names: str) -> None:
    """Sends the named traits of `widget` to the page, as the kernel would: in one message."""
    page.evaluate("([values, binary]) => model.receive(values, binary)", list(encoded(widget.get_state(names))))


def no_browser(reason: str):
    """Skips where a browser is a convenience; fails where it is part of the check."""
    if os.environ.get("CI") or os.environ.get("COURSE_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium():
    """A headless Chromium from the system."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        no_browser(f"no browser: none of {', '.join(NAMES)} is on the PATH")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        no_browser("no browser: playwright is not installed (pip install .[test])")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


def watched(context):
    """A page that collects what went wrong on it in `page.errors`."""
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    return page


@pytest.fixture
def page(chromium):
    """An empty page without a network; errors of the page or on its console fail the test."""
    context = chromium.new_context(offline=True, viewport={"width": 1000, "height": 800}, has_touch=True)
    page = watched(context)
    yield page
    context.close()
    assert not page.errors


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A real JupyterLab on a loopback port: (URL of a notebook by name, folder that it serves). No news, no updates."""
    home = tmp_path_factory.mktemp("lab")
    served, config = home / "served", home / "config"
    served.mkdir()
    config.mkdir()
    settings = {
        "ServerApp": {"root_dir": str(served), "port": 0, "open_browser": False, "allow_root": True},
        "LabApp": {
            "expose_app_in_browser": True,  # window.jupyterapp, so that a test can run commands
            "extension_manager": "readonly",
        },
    }
    (config / "jupyter_lab_config.json").write_text(json.dumps(settings))
    (config / "labconfig").mkdir()
    shutil.copy(
        ROOT / "course_lib/authoring/default_setting_overrides.json", config / "labconfig"
    )  # as make setup does
    folders = {f"JUPYTER_{kind}_DIR": str(home / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    folders |= {f"JUPYTERLAB_{kind}_DIR": str(home / kind.lower()) for kind in ("SETTINGS", "WORKSPACES")}
    environment = {**os.environ, **folders, "IPYTHONDIR": str(home / "ipython"), "JUPYTER_PLATFORM_DIRS": "1"}
    log = (home / "log").open("w+")
    server = subprocess.Popen([sys.executable, "-m", "jupyterlab"], env=environment, stdout=log, stderr=log)
    try:
        for _ in range(300):  # the server writes its address once it listens
            found = list((home / "runtime").glob("jpserver-*.json"))
            if server.poll() is not None or (found and found[0].read_text().endswith("}")):
                break
            time.sleep(0.1)
        else:
            found = []
        if not found:
            pytest.fail(f"JupyterLab did not start:\n{(home / 'log').read_text()[-3000:]}")
        address = json.loads(found[0].read_text())
        yield lambda name: f"{address['url']}lab/tree/{name}?reset&token={address['token']}", served
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        log.close()


@pytest.fixture
def lab_page(chromium):
    """A page for JupyterLab; a request to anywhere but this machine is refused and fails the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    left = []

    def stay_home(route):
        if urlparse(route.request.url).hostname in ("127.0.0.1", "localhost", "::1"):
            return route.continue_()
        left.append(route.request.url)
        return route.abort()

    context.route(re.compile("^https?:"), stay_home)
    page = watched(context)
    yield page
    context.close()
    assert not left
    assert not page.errors


# --- a notebook in JupyterLab ---------------------------------------------------------------------

IDLE = "() => jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
READY = """async () => {
  const panel = jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
}"""


def open_notebook(lab, page, name: str, cells: tuple[str, ...], wait_for: str):
    """The page with a notebook of these cells, all run, and `wait_for`, a part of its output, on the page."""
    address, folder = lab
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}  # without it JupyterLab asks which
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells], metadata=kernel)
    nbformat.write(book, folder / name)
    page.goto(address(name))
    page.wait_for_function("window.jupyterapp?.shell.currentWidget?.sessionContext", timeout=60_000)
    page.evaluate(READY)
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
    page.locator(wait_for).wait_for(timeout=60_000)
    page.wait_for_function(IDLE)
    return page


def run_cell(page, index: int) -> None:
    page.evaluate(
        """async (k) => {
          jupyterapp.shell.currentWidget.content.activeCellIndex = k;
          await jupyterapp.commands.execute('notebook:run-cell');
        }""",
        index,
    )


def printed(page, index: int) -> str:
    """Runs a cell and reads what it prints."""
    run_cell(page, index)
    return page.locator(".jp-Cell").nth(index).locator(".jp-OutputArea-output").inner_text().strip()
