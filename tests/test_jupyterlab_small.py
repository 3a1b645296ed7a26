"""The small widgets in real JupyterLab with a real kernel: a drag answers, the kernel knows, no pile, no error."""

import pytest
from browser import IDLE, open_notebook, printed, run_cell

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

ENCODER = """
import math
import torch
from course_lib.metrics import grid
from course_lib.widgets import BeTheEncoder

x, s2 = torch.tensor([[0.7, -1.2], [-2.0, 0.5]]), 0.25  # x = z + noise: the posterior is Gaussian
z = grid(96, 4.0)
square = ((x[:, None] - z) ** 2).sum(-1)
table = -square / (2 * s2) - z.square().sum(-1) / 2 - 2 * math.log(2 * math.pi) - math.log(s2)
log_px = -x.square().sum(-1) / (2 * (1 + s2)) - math.log(2 * math.pi * (1 + s2))
best = x / (1 + s2), torch.full_like(x, math.sqrt(s2 / (1 + s2)))
"""
WIDGETS = {
    "divergences": ("from course_lib.widgets import TwoDivergences", "w = TwoDivergences()\nw", "w.mu, w.sigma"),
    "encoder": (
        ENCODER,
        "w = BeTheEncoder(table.view(2, 96, 96), log_px, best, best, limit=4.0)\nw",
        "*w.mean, len(w.yours)",
    ),
}
CANVAS = {"divergences": "canvas.hills", "encoder": "canvas.posterior"}
BUTTON = {"divergences": "Roll downhill on KL(p‖q)", "encoder": "Ten steps"}


@pytest.mark.parametrize("name", WIDGETS)
def test_in_jupyterlab(lab, lab_page, name):
    imports, shows, values = WIDGETS[name]
    page = open_notebook(lab, lab_page, f"{name}.ipynb", (imports, shows, f"print({values})"), CANVAS[name])
    canvas = page.locator(CANVAS[name])

    def known():
        page.wait_for_timeout(300)
        return [float(v) for v in printed(page, 2).split()]

    # A drag answers in the browser and arrives in the kernel.
    canvas.scroll_into_view_if_needed()
    number, before = page.locator(".number output").first, known()
    shown, box = number.inner_text(), canvas.bounding_box()
    middle = box["x"] + 46 + (box["width"] - 58) / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1] - 30, steps=5)
    page.mouse.up()
    page.wait_for_function("(old) => document.querySelector('.number output').textContent !== old", arg=shown)
    dragged = known()
    assert dragged != before

    # Keys reach the widget rather than the notebook; a button animates; nothing comes back from the kernel to undo it.
    canvas.focus()
    page.keyboard.press("Shift+ArrowRight")
    assert known() != dragged
    page.get_by_role("button", name=BUTTON[name]).click()
    page.wait_for_timeout(1500)
    ended = known()
    want = [0, 10**0.5] if name == "divergences" else [0.56, -0.96]
    assert ended[:2] == pytest.approx(want, abs=0.01)
    page.wait_for_timeout(500)
    assert known() == ended

    # Running the cell again leaves one live widget. What is saved has a picture, too.
    run_cell(page, 1)
    page.wait_for_function(IDLE)
    canvas.wait_for()
    assert canvas.count() == 1
    data = page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(1).outputs.get(0).data")
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(data)


BOTTLENECK = """
import torch
from course_lib.widgets import Bottleneck

torch.manual_seed(0)
x, widths = torch.rand(12, 784), (1, 2, 4, 8, 16, 32)
rows = {name: {k: torch.rand(12, 784) for k in widths} for name in ("PCA", "autoencoder")}
errors = {name: {k: 50 / k for k in widths} for name in rows}
"""
SHEET = "document.querySelectorAll('.strip canvas')[1].toDataURL()"


def test_bottleneck_in_jupyterlab(lab, lab_page):
    shows = "w = Bottleneck(x, rows, errors)\nw"
    page = open_notebook(lab, lab_page, "bottleneck.ipynb", (BOTTLENECK, shows, "print(w.k)"), "canvas.curves")
    curves = page.locator("canvas.curves")

    def known():
        page.wait_for_timeout(300)
        return int(printed(page, 2))

    # A press on the curves answers in the browser and arrives in the kernel; keys reach the widget, not the notebook.
    curves.scroll_into_view_if_needed()
    assert known() == 8
    before, box = page.evaluate(SHEET), curves.bounding_box()
    page.mouse.click(box["x"] + box["width"] - 50, box["y"] + 40)
    page.wait_for_function(f"(old) => {SHEET} !== old", arg=before)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    page.wait_for_function("document.querySelector('.bottleneck .slider output').textContent === '4'")
    assert known() == 4

    # A cell moves the page. Running the cell again leaves one live widget; what is saved has a picture, too.
    page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(2).sharedModel.setSource('w.k = 1')")
    run_cell(page, 2)
    page.wait_for_function("document.querySelector('.bottleneck .slider output').textContent === '1'")
    run_cell(page, 1)
    page.wait_for_function(IDLE)
    curves.wait_for()
    assert curves.count() == 1
    data = page.evaluate("jupyterapp.shell.currentWidget.content.model.cells.get(1).outputs.get(0).data")
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(data)
