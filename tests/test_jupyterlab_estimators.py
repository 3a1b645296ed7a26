"""The estimator widget in real JupyterLab with a real kernel: quick under a drag, read and set by cells, no pile."""

import statistics
import time

import pytest
from browser import IDLE, open_notebook, printed, run_cell

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

CELLS = (
    "from course_lib.widgets import EstimatorVariance",
    "w = EstimatorVariance(lambda z: (z - 0.5) ** 2)\nw",
    "print(w.mu, w.draws)",
    "w.mu, w.tab = -2, 'discrete'",
)

# Watches both pictures in every animation frame: when did the pointer move, when did pixels change?
WATCH = """() => {
  const canvases = ['density', 'histograms'].map((name) => document.querySelector(`canvas.${name}`));
  const small = Object.assign(document.createElement('canvas'), { width: 160, height: 120 });
  const g = small.getContext('2d', { willReadFrequently: true });
  const sign = (canvas) => {
    g.clearRect(0, 0, 160, 120);
    g.drawImage(canvas, 0, 0, 160, 120);
    return g.getImageData(0, 0, 160, 120).data.reduce((hash, v) => (hash * 31 + v) | 0, 7);
  };
  window.seen = { inputs: [], changes: [], last: canvases.map(sign) };
  window.addEventListener('pointermove', (e) => { if (e.buttons) seen.inputs.push(e.timeStamp); }, true);
  const tick = () => {
    const now = canvases.map(sign);
    if (now.every((v, k) => v !== seen.last[k])) { seen.last = now; seen.changes.push(performance.now()); }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}"""


@pytest.fixture
def notebook(lab, lab_page):
    return open_notebook(lab, lab_page, "estimators.ipynb", CELLS[:3], "canvas.histograms")


def test_estimators_in_jupyterlab(notebook):
    page = notebook
    assert page.locator(".jp-OutputArea-output canvas.histograms").count() == 1, (
        "the live widget, not the still picture"
    )
    panel = page.locator("canvas.density")
    panel.scroll_into_view_if_needed()
    box = panel.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    # Latency: from the pointer event's own time stamp to the first frame in which both pictures are others.
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(WATCH)
    waits = []
    for k in range(30):
        n = page.evaluate("() => { seen.inputs.length = 0; return seen.changes.length; }")
        page.mouse.move(x + 3 * (k % 15 - 7) + k % 2 + 1, y)
        page.wait_for_function(f"seen.changes.length > {n}", timeout=3000)
        waits.append(page.evaluate(f"seen.changes[{n}] - seen.inputs[0]"))

    # A drag of 20 moves a second.
    page.evaluate("() => { seen.inputs.length = seen.changes.length = 0; }")
    start = time.perf_counter()
    for k in range(40):
        time.sleep(max(0, start + k / 20 - time.perf_counter()))
        page.mouse.move(x + 2 * (k % 30) - 30, y)
    page.wait_for_timeout(150)
    moves, drawn = page.evaluate("[seen.inputs.length, seen.changes.length]")
    page.mouse.up()
    median, worst = statistics.median(waits), max(waits)
    print(f"pointer to pixels: median {median:.1f} ms, worst {worst:.1f} ms; {drawn} of {moves} moves drawn")
    assert median < 150
    assert drawn >= moves / 2

    # The kernel knows where it stands, and keys reach the widget rather than the notebook.
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_label("L, draws per estimate").press("ArrowRight")
    page.wait_for_timeout(100)
    assert printed(page, 2) == "0.6 2"
    assert "= 0.2000." in page.locator(".sentence").inner_text()

    # A cell moves the page: in place of the last one's source, so that the notebook keeps its cells.
    page.evaluate(
        "(code) => jupyterapp.shell.currentWidget.content.model.cells.get(2).sharedModel.setSource(code)", CELLS[3]
    )
    run_cell(page, 2)
    page.locator("canvas.simplex").wait_for()
    page.wait_for_function("document.querySelector('.sentence').textContent.startsWith('∂/∂l₁')")
    page.get_by_role("tab", name="N(μ, σ²)").click()
    page.wait_for_function("document.querySelector('.sentence').textContent.includes('= −5.000.')")

    # Running the cell again leaves one live widget, and nothing printed below it.
    run_cell(page, 1)
    page.wait_for_function(IDLE)
    assert page.locator("canvas.histograms").count() == 1
    assert page.locator(".jp-Cell").nth(1).locator(".jp-OutputArea-child").count() == 1
    page.get_by_label("μ, mean of z").press("ArrowRight")
    page.wait_for_function("document.querySelector('.sentence').textContent.includes('= 1.200.')")

    # What is saved with the notebook: the widget, and a picture for pages without one.
    data = page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(1).outputs.get(0).data")
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(data)
