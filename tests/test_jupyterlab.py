"""The traversal widget in real JupyterLab with a real kernel: quick under a drag, and no pile after a second run."""

import statistics
import time

import pytest
from browser import IDLE, open_notebook, printed, run_cell

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

MODEL = """
import time
import torch
from torch import nn
from course_lib.widgets import LatentTraversal
from tqdm.auto import tqdm

class Model(nn.Module):
    d = 2
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.dec = nn.Sequential(nn.Linear(2, 256), nn.Tanh(), nn.Linear(256, 784))
        nn.init.normal_(self.dec[2].weight, std=0.5)
    def encode(self, x):
        return x[:, :2] * 4 - 2
    def decode(self, z):
        return torch.sigmoid(self.dec(z))

epochs = []
def train():
    for _ in tqdm(range(3)):
        print("training")
        time.sleep(0.1)
    nn.init.normal_(model.dec[2].weight, std=0.5)
    epochs.append(model)
    return f"epoch {len(epochs)}: −ELBO 152.3 nats"

model = Model()
x, y = torch.rand(500, 784), torch.arange(500) % 10
"""
WIDGET = "w = LatentTraversal(model, x, y, train=train)\nw"

# Watches the decoded image in every animation frame: when did the pointer move, when did pixels change?
WATCH = """() => {
  const screen = document.querySelector('canvas.screen'), g = screen.getContext('2d');
  const sign = () => g.getImageData(0, 0, 28, 28).data.reduce((hash, v) => (hash * 31 + v) | 0, 7);
  window.seen = { inputs: [], changes: [], last: sign() };
  window.addEventListener('pointermove', (e) => { if (e.buttons) seen.inputs.push(e.timeStamp); }, true);
  const tick = () => {
    const now = sign();
    if (now !== seen.last) { seen.last = now; seen.changes.push(performance.now()); }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
}"""


@pytest.fixture
def notebook(lab, lab_page):
    """lab_page with the notebook open, all cells run and the widget on the page."""
    return open_notebook(lab, lab_page, "traversal.ipynb", (MODEL, WIDGET, "print(w.z, len(epochs))"), "canvas.pad")


def middle(page) -> tuple[float, float]:
    pad = page.locator("canvas.pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_traversal_in_jupyterlab(notebook):
    page = notebook
    assert page.locator(".jp-OutputArea-output canvas.screen").count() == 1, "the live widget, not the still picture"
    assert page.locator(".Toastify__toast").count() == 0, "no news pop-up"

    # Latency: from the pointer event's own time stamp to the first frame with other pixels.
    x, y = middle(page)
    page.mouse.move(x, y)
    page.mouse.down()
    page.evaluate(WATCH)
    waits = []
    for k in range(30):
        n = page.evaluate("() => { seen.inputs.length = 0; return seen.changes.length; }")
        page.mouse.move(x + 3 * (k % 15 - 7) + k % 2, y + k % 15)
        page.wait_for_function(f"seen.changes.length > {n}", timeout=3000)
        waits.append(page.evaluate(f"seen.changes[{n}] - seen.inputs[0]"))

    # A drag of 30 moves a second: every move is drawn.
    page.evaluate("() => { seen.inputs.length = seen.changes.length = 0; }")
    start = time.perf_counter()
    for k in range(60):
        time.sleep(max(0, start + k / 30 - time.perf_counter()))
        page.mouse.move(x + 2 * (k % 30) - 30, y + k)
    page.wait_for_timeout(100)
    moves, drawn = page.evaluate("[seen.inputs.length, seen.changes.length]")
    page.mouse.up()
    median, worst = statistics.median(waits), max(waits)
    print(f"pointer to pixels: median {median:.1f} ms, worst {worst:.1f} ms; {drawn} of {moves} moves drawn")
    assert median <= 60  # 25 ms is the aim; the margin is for a busy machine
    assert moves >= 55  # a busy browser merges moves that it could not deliver in time
    assert drawn >= moves - 2

    # The kernel knows the point, and keys reach the pad rather than the notebook.
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    page.wait_for_timeout(100)
    assert printed(page, 2) == "[0.1, -0.5] 0"

    # Two clicks train one epoch.
    image = page.evaluate("seen.last")
    page.locator("button.train").dblclick()
    page.get_by_text("epoch 1: −ELBO 152.3 nats").wait_for()
    page.wait_for_function(f"seen.last !== {image}")
    assert page.locator("button.train").is_enabled()
    assert printed(page, 2) == "[0.1, -0.5] 1"
    assert page.locator(".jp-Cell").nth(1).locator(".jp-OutputArea-child").count() == 1, (
        "nothing printed below the widget"
    )

    # Running the cell again, the second time by Shift+Enter with the focus in the widget, leaves one live widget.
    run_cell(page, 1)
    page.wait_for_function(IDLE)
    page.locator("canvas.pad").click()
    count = "jupyterapp.shell.currentWidget.content.model.cells.get(1).executionCount"
    before = page.evaluate(count)
    page.keyboard.press("Shift+Enter")
    page.wait_for_function(f"{count} > {before}")
    page.wait_for_function(IDLE)
    assert page.locator("canvas.pad").count() == 1
    x, y = middle(page)
    page.mouse.click(x + 50, y)
    page.wait_for_function("document.querySelector('.readout').textContent !== 'z = (0.00, 0.00)'")

    # What is saved with the notebook: the widget, and a picture for pages without one.
    data = page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(1).outputs.get(0).data")
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(data)
