"""The latent traversal: its Python side directly, its ES module on an offline page with a stand-in for the kernel."""

import base64
import io
import subprocess
import sys
import threading
import warnings

import nbformat
import numpy as np
import pytest
import torch
from browser import mount, no_browser, update
from PIL import Image
from torch import nn
from traitlets import TraitError

from course_lib.models import AE, VAE, ContinuousBernoulliVAE, GaussianVAE
from course_lib.nets import mlp
from course_lib.widgets import LatentTraversal
from course_lib.widgets.traversal import Point

browser = pytest.mark.browser


class Model(nn.Module):
    """The course's contract and nothing else; contrasts are high, so that a wrong pixel shows."""

    def __init__(self, d=2, pixels=784, hidden=32, activation=nn.Tanh):
        super().__init__()
        torch.manual_seed(d)
        self.d = d
        self.dec = nn.Sequential(nn.Linear(d, hidden), activation(), nn.Linear(hidden, pixels))
        nn.init.normal_(self.dec[2].weight, std=0.7)

    def encode(self, x):
        return x[:, : self.d] * 4 - 2

    def decode(self, z):
        return torch.sigmoid(self.dec(z))


class Convolutional(Model):
    """A decoder that the browser does not know."""

    def __init__(self, d=2):
        super().__init__(d)
        self.dec = nn.Sequential(self.dec, nn.Unflatten(-1, (1, 28, 28)), nn.Conv2d(1, 1, 3, padding=1), nn.Flatten())


@pytest.fixture
def examples():
    generator = torch.Generator().manual_seed(1)
    return torch.rand(200, 784, generator=generator), torch.arange(200) % 10


GREY = """(selector) => {
  const canvas = document.querySelector(selector), { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
  return Array.from(data.filter((_, i) => i % 4 === 0));
}"""


def grey(page, selector="canvas.screen"):
    """The red channel of a canvas."""
    return torch.tensor(page.evaluate(GREY, selector), dtype=torch.int)


def agree(page, widget, z):
    """Whether the page shows what torch decodes at z, to one grey level."""
    want = widget.decode(torch.tensor([z], dtype=torch.float32))[0].int()
    return (grey(page) - want).abs().max() <= 1


def frames(page):
    """Lets pending animation frames run."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def z_of(page):
    return page.evaluate("model.get('z')")


def at(page, u, v, limit=3.0):
    """The place on the page of the point (u, v) of the pad's plane; its margins are 46 and 10 pixels."""
    box = page.locator("canvas.pad").bounding_box()
    side = box["width"] - 56
    return box["x"] + 46 + (u + limit) / (2 * limit) * side, box["y"] + 10 + (limit - v) / (2 * limit) * side


# --- the decoder in the browser -------------------------------------------------------------------


ACTIVATIONS = [
    nn.ReLU(),
    nn.LeakyReLU(0.2),
    nn.Tanh(),
    nn.Sigmoid(),
    nn.Softplus(beta=2.0, threshold=3.0),
    nn.SiLU(),
    nn.GELU(),
    nn.GELU(approximate="tanh"),
]
JS_DECODE = """(points) => {
  const { buffer, byteOffset, byteLength } = model.get('weights');
  const decode = module.decoder(model.get('decoder'), buffer.slice(byteOffset, byteOffset + byteLength));
  return points.map((z) => Array.from(decode(z)));
}"""


@browser
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_browser_decodes_as_torch(page, activation):
    model = Model(d=3, pixels=49)
    hidden = [nn.Linear(3, 37), activation, nn.Dropout(0.5), nn.Sequential(nn.Linear(37, 30, bias=False), activation)]
    model.dec = nn.Sequential(*hidden, nn.Identity(), nn.Linear(30, 49))
    for layer in (m for m in model.modules() if isinstance(m, nn.Linear)):
        nn.init.normal_(layer.weight, std=0.6)
    widget = LatentTraversal(model.train(), shape=(7, 7))
    assert widget.decoder["link"] == "sigmoid"
    z = torch.randn(100, 3) * 2
    mount(page, widget)
    got = torch.tensor(page.evaluate(JS_DECODE, z.tolist()))
    assert (got - widget.decode(z).int()).abs().max() <= 1
    assert got.float().std() > 20, "the test's images have contrast"


@browser
@pytest.mark.parametrize(
    ("kind", "link"),
    [(VAE, "sigmoid"), (ContinuousBernoulliVAE, "continuous"), (GaussianVAE, "identity"), (AE, "identity")],
)
def test_each_model_of_the_course_decodes_in_the_browser(page, kind, link):
    torch.manual_seed(0)
    model = kind(mlp(784, 16, 2 if kind is AE else 4), mlp(2, 64, 784), 2)
    nn.init.normal_(model.dec[2].weight, std=0.7)
    widget = LatentTraversal(model, torch.rand(20, 784))
    assert widget.decoder["link"] == link
    assert widget.frame["prior"] == (kind is not AE)
    mount(page, widget)
    z = torch.randn(100, 2) * 2
    assert (torch.tensor(page.evaluate(JS_DECODE, z.tolist())) - widget.decode(z).int()).abs().max() <= 1


def test_what_the_browser_cannot_run_stays_in_the_kernel():
    class Other(nn.Linear):
        def forward(self, z):
            return super().forward(z).sin()

    model = Model()
    assert LatentTraversal(model).decoder
    assert not LatentTraversal(Convolutional()).decoder
    model.dec[2] = Other(32, 784)
    assert not LatentTraversal(model).decoder, "a subclass of Linear may compute anything"
    model = Model()
    model.decode = lambda z: torch.sigmoid(2 * model.dec(z))
    assert not LatentTraversal(model).decoder, "no known link fits"
    model = Model()
    model.dec = model.dec[2]
    model.d = 32
    assert LatentTraversal(model).decoder, "one linear layer is a decoder too"


# --- moving ---------------------------------------------------------------------------------------


@browser
def test_drag_draws_every_move_and_ends_with_the_button(page, examples):
    widget = LatentTraversal(Model(), *examples, limit=3)
    mount(page, widget)
    assert agree(page, widget, [0, 0])
    page.mouse.move(*at(page, 1, 1))
    assert agree(page, widget, [0, 0]), "hovering moves nothing"
    page.mouse.down()
    for k in range(12):
        page.mouse.move(*at(page, 0.1 * k, 1 - 0.2 * k))
        u, v = z_of(page)
        assert (u, v) == (pytest.approx(0.1 * k, abs=0.02), pytest.approx(1 - 0.2 * k, abs=0.02))
        assert agree(page, widget, [u, v])
    assert page.locator(".readout").inner_text() == f"z = ({u:.2f}, {v:.2f})".replace("-", "−")
    page.mouse.move(900, 5)
    assert z_of(page) == [3, 3], "the pointer is captured, the point stays on the pad"
    page.mouse.up()
    page.mouse.move(*at(page, 0, 0))
    assert z_of(page) == [3, 3]
    page.mouse.click(*at(page, -1, -1), button="right")
    assert z_of(page) == [3, 3]
    frames(page)
    assert 1 <= page.evaluate("model.saved") <= 16, "the kernel hears of a drag at most once a frame"


@browser
def test_a_finger_drags_the_pad_and_not_the_page(page):
    widget = LatentTraversal(Model())
    mount(page, widget)
    page.evaluate("() => { document.body.style.height = '3000px'; }")
    session = page.context.new_cdp_session(page)

    def touch(kind, *place):
        points = [{"x": place[0], "y": place[1]}] if place else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", *at(page, 0, 0))
    for k in range(1, 6):
        touch("touchMove", *at(page, 0.2 * k, 0.4 * k))
        frames(page)
        assert agree(page, widget, z_of(page))
    touch("touchEnd")
    assert z_of(page) == [pytest.approx(1, abs=0.02), pytest.approx(2, abs=0.02)]
    assert page.evaluate("window.scrollY") == 0


@browser
def test_keys(page):
    widget = LatentTraversal(Model())
    mount(page, widget)
    page.evaluate(
        """() => {
          document.body.style.height = '3000px';
          window.heard = 0;
          addEventListener('keydown', (event) => { heard += event.key !== 'Shift'; });
        }"""
    )
    page.locator("canvas.pad").focus()
    for key, want in (
        ("ArrowRight", [0.1, 0]),
        ("ArrowUp", [0.1, 0.1]),
        ("Shift+ArrowUp", [0.1, 0.6]),
        ("Shift+ArrowLeft", [-0.4, 0.6]),
        ("ArrowDown", [-0.4, 0.5]),
    ):
        page.keyboard.press(key)
        assert z_of(page) == want
        assert agree(page, widget, want)
    page.wait_for_function("document.querySelector('[aria-live=polite]').textContent === 'z = (−0.40, 0.50)'")
    page.keyboard.press("Home")
    assert z_of(page) == [0, 0]
    for _ in range(8):
        page.keyboard.press("Shift+ArrowRight")
    assert z_of(page) == [3, 0], "the pad's edge"
    assert page.evaluate("[window.scrollY, heard]") == [0, 0], "neither the page nor the notebook took them"
    page.keyboard.press("x")
    assert page.evaluate("heard") == 1, "other keys go where they went"
    page.get_by_role("button", name="Back to 0").click()
    assert z_of(page) == [0, 0]


@browser
@pytest.mark.parametrize("d", [1, 2, 12])
def test_sliders_at_both_ends_and_the_middle(page, d):
    widget = LatentTraversal(Model(d))
    mount(page, widget)
    sliders = page.locator("input[type=range]")
    assert sliders.count() == d
    assert page.locator("canvas.pad").count() == (d > 1)
    assert page.locator(".strip canvas").count() == min(d, 10)
    for i in {0, d // 2, d - 1}:
        for value in (-3, 0, 3, 1.23):
            sliders.nth(i).fill(str(value))
            want = [0.0] * d
            want[i] = value
            assert z_of(page) == want
            assert agree(page, widget, want)
        assert page.locator(".row output").nth(i).inner_text() == "1.23"
        sliders.nth(i).press("ArrowLeft")
        assert z_of(page)[i] == 1.13
        sliders.nth(i).press("Shift+ArrowRight")
        assert z_of(page)[i] == 1.63
        sliders.nth(i).press("End")
        assert z_of(page)[i] == 3
        page.get_by_role("button", name="Back to 0").click()
    assert sliders.first.get_attribute("aria-label") == "latent z₁"


@browser
def test_strips_show_each_latent_with_the_others_where_they_are(page):
    widget = LatentTraversal(Model(5))
    mount(page, widget)
    page.evaluate("() => { model.set('z', [1, -2, 0.5, 0, 3]); }")
    page.wait_for_timeout(100)
    values = torch.linspace(-3, 3, 9)
    for i in range(5):
        points = torch.tensor([1, -2, 0.5, 0, 3]).repeat(9, 1)
        points[:, i] = values
        got = grey(page, f".row:nth-child({i + 1}) canvas").view(28, 9 * 29 - 1)
        for k, image in enumerate(widget.decode(points).view(9, 28, 28)):
            assert (got[:, 29 * k : 29 * k + 28] - image.int()).abs().max() <= 1
    box = page.locator(".strip canvas").nth(3).bounding_box()
    page.mouse.click(box["x"] + box["width"] * (6 * 29 + 14) / 260, box["y"] + 5)
    assert z_of(page) == [1, -2, 0.5, pytest.approx(1.5, abs=0.03), 3], "pressing the seventh image goes there"


@browser
def test_a_long_drag_starves_no_strip(page):
    mount(page, LatentTraversal(Model(6, hidden=600)))
    page.wait_for_function(
        """() => [...document.querySelectorAll('.strip canvas')].every(
          (canvas) => canvas.getContext('2d').getImageData(258, 27, 1, 1).data[3])"""
    )
    before = [grey(page, f".row:nth-child({i + 1}) canvas") for i in range(6)]
    page.evaluate("""async () => { for (let k = 0; k < 30; k++) {
      model.set('z', [k / 15, -k / 15, 1, 1, 1, 1]);
      await new Promise(requestAnimationFrame); } }""")
    for i, old in enumerate(before):
        assert (grey(page, f".row:nth-child({i + 1}) canvas") - old).abs().max() > 1


@browser
def test_selects_choose_the_pads_latents(page):
    widget = LatentTraversal(Model(4))
    mount(page, widget)
    across, up = page.get_by_label("across"), page.get_by_label("up")
    across.select_option("z₄")
    page.mouse.click(*at(page, 1, -1))
    assert [round(v, 1) for v in z_of(page)] == [0, -1, 0, 1]
    up.select_option("z₄")
    assert across.input_value() == "1", "both the same: they swap"
    page.get_by_role("button", name="Back to 0").click()
    page.mouse.click(*at(page, 1, -1))
    assert [round(v, 1) for v in z_of(page)] == [0, 1, 0, -1]


# --- looks ----------------------------------------------------------------------------------------


INK = """() => {
  const canvas = document.querySelector('canvas.pad'), { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
  let light = 0, dark = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 200) (data[i] + data[i + 1] + data[i + 2] > 384 ? light++ : dark++);
  return light > dark ? 'light' : 'dark';
}"""


@browser
def test_both_themes_and_a_switch(page):
    widget = LatentTraversal(Model(), limit=3)
    mount(page, widget, dark=True)
    assert page.evaluate(INK) == "light"
    frames(page)
    assert page.evaluate("document.querySelector('.elbo').style.colorScheme") == "dark"
    page.evaluate(
        """() => {
          document.body.style.cssText = 'background: #fff; color: #222';
          document.body.dataset.jpThemeLight = 'true';
        }"""
    )
    frames(page)
    assert page.evaluate(INK) == "dark"
    sizes = page.evaluate(
        """[...document.querySelectorAll('.elbo *')].filter((node) => node.textContent)
          .map((node) => parseFloat(getComputedStyle(node).fontSize))"""
    )
    assert min(sizes) >= 14, "readable on a projector"


@browser
def test_classes_are_named_not_only_coloured(page, examples):
    widget = LatentTraversal(Model(), *examples)
    mount(page, widget)
    assert page.get_by_label("classes").inner_text().split() == [str(c) for c in range(10)]
    texts = page.evaluate(
        """() => {
          const texts = [], all = CanvasRenderingContext2D.prototype, write = all.fillText;
          all.fillText = function (text, ...rest) { texts.push(text); write.call(this, text, ...rest); };
          model.fire('change:frame');
          all.fillText = write;
          return texts;
        }"""
    )
    assert {*map(str, range(10)), "z₁", "z₂", "−2"} <= set(texts)
    assert "1σ" not in texts, "no prior, no circles"


@browser
def test_a_narrow_page_wraps_and_nothing_sticks_out(page):
    page.set_viewport_size({"width": 380, "height": 900})
    mount(page, LatentTraversal(Model(4), train=lambda: None))
    assert page.evaluate("document.documentElement.scrollWidth") <= 380


# --- several views, and their ends ----------------------------------------------------------------


COUNT = """() => {
  window.alive = { listeners: 0, frames: new Set(), observers: 0 };
  const add = EventTarget.prototype.addEventListener;
  EventTarget.prototype.addEventListener = function (name, callback, options) {
    if (!(this instanceof AbortSignal)) {
      alive.listeners++;
      if (options?.signal) add.call(options.signal, 'abort', () => alive.listeners--);
    }
    return add.call(this, name, callback, options);
  };
  const ask = window.requestAnimationFrame, cancel = window.cancelAnimationFrame;
  window.requestAnimationFrame = (callback) => {
    const id = ask((time) => { alive.frames.delete(id); callback(time); });
    alive.frames.add(id);
    return id;
  };
  window.cancelAnimationFrame = (id) => { alive.frames.delete(id); cancel(id); };
  for (const kind of [ResizeObserver, MutationObserver]) {
    const { observe, disconnect } = kind.prototype;
    kind.prototype.observe = function (...what) {
      if (!this.counted) alive.observers++;
      this.counted = true;
      return observe.apply(this, what);
    };
    kind.prototype.disconnect = function () { alive.observers--; return disconnect.call(this); };
  }
}"""


@browser
def test_two_views_move_together_and_one_may_close(page, examples):
    widget = LatentTraversal(Model(), *examples, limit=3)
    mount(page, widget)
    page.evaluate("async () => { window.second = await show(); }")
    page.locator("input[type=range]").first.fill("1.5")
    assert page.locator(".readout").all_inner_texts() == ["z = (1.50, 0.00)"] * 2
    page.evaluate("() => { first.cleanup(); model.set('z', [2, 2]); }")
    assert page.locator(".elbo").count() == 1
    assert agree(page, widget, [2, 2])


@browser
@pytest.mark.parametrize("model", [Model(), Model(4), Convolutional()], ids=["plane", "rows", "kernel"])
def test_a_closed_view_leaves_nothing_behind(page, examples, model):
    mount(page, LatentTraversal(model, *examples, train=lambda: None))
    before, opened, closed = page.evaluate(
        f"""async () => {{
          first.cleanup();
          ({COUNT})();
          const count = () => [model.listening(), alive.listeners, alive.observers, alive.frames.size,
                               document.body.childElementCount];
          const before = count(), second = await show();
          model.set('z', model.get('z').map((_, i) => i));
          const opened = count();
          second.cleanup();
          second.el.remove();
          return [before, opened, count()];
        }}"""
    )
    assert closed == before
    assert all(more > less for more, less in zip(opened[:3], before, strict=False)), "a leak would be seen"


# --- training -------------------------------------------------------------------------------------


@browser
def test_train_button_is_busy_then_refreshes_in_place(page, examples):
    model = Model()

    def train():
        nn.init.normal_(model.dec[2].weight, std=0.7)
        return "epoch 11: −ELBO 152.3 nats"

    widget = LatentTraversal(model, *examples, train=train)
    mount(page, widget)
    button, before = page.locator("button.train"), grey(page)
    button.dblclick()
    assert page.evaluate("model.sent") == [{"do": "train", "after": 0}], "a second click does nothing"
    assert button.is_disabled()
    assert button.inner_text() == "Training…"
    widget.busy, widget.runs = True, 1
    update(page, widget, "busy", "runs")
    assert button.is_disabled()
    widget.busy, widget.runs = False, 0
    widget.train_once()
    update(page, widget, "busy", "runs", "message", "failed", "weights", "decoder", "codes", "frame")
    assert button.is_enabled()
    assert page.locator(".line").inner_text() == "epoch 11: −ELBO 152.3 nats"
    assert agree(page, widget, [0, 0])
    assert (grey(page) - before).abs().max() > 1
    button.click()
    assert page.evaluate("model.sent.at(-1)") == {"do": "train", "after": 1}
    widget.say("training stopped: ValueError: no", ValueError("no"))
    update(page, widget, "message", "failed")
    assert page.locator(".line.failed").inner_text() == "training stopped: ValueError: no"
    assert button.is_enabled()


@browser
def test_train_without_a_kernel_says_so(page):
    mount(page, LatentTraversal(Model(), train=lambda: None))
    page.clock.install()
    page.locator("button.train").click()
    page.clock.fast_forward(3100)
    assert "no answer from the kernel" in page.locator(".missing").inner_text()
    page.evaluate("() => { model.send = () => { throw new Error('closed'); }; model.update({ message: 'x' }); }")
    page.locator("button.train").click()
    assert page.locator(".missing").inner_text() == "no kernel: training needs one"


def test_no_button_without_train():
    assert not LatentTraversal(Model()).frame["train"]


def test_train_once():
    model, calls, busy = Model(), [], []
    widget = LatentTraversal(model, train=lambda: calls.append(widget.busy))
    widget.observe(lambda change: busy.append(change.new), "busy")
    weights = widget.weights
    with torch.no_grad():
        model.dec[0].weight.add_(1)
    widget._answer(widget, {"do": "train", "after": 0}, [])
    widget._answer(widget, {"do": "train", "after": 0}, [])
    assert calls == [True]
    assert busy == [True, False]
    assert widget.weights != weights
    assert widget.message == "one more epoch trained"
    widget._answer(widget, {"do": "train", "after": 1}, [])
    assert len(calls) == 2


def test_training_never_runs_twice_at_once():
    """JupyterLab delivers clicks on another thread than the cells'."""
    started, go_on, calls = threading.Event(), threading.Event(), []

    def train():
        calls.append(1)
        started.set()
        assert go_on.wait(10)

    widget = LatentTraversal(Model(), train=train)
    click = threading.Thread(target=widget._answer, args=(widget, {"do": "train", "after": 0}, []))
    click.start()
    assert started.wait(10)
    assert widget.busy
    widget.train_once()
    go_on.set()
    click.join()
    assert len(calls) == 1
    assert not widget.failed
    assert not widget.busy
    widget.train_once()
    assert len(calls) == 2


@pytest.mark.parametrize("error", [ValueError("two\nlines"), KeyboardInterrupt()])
def test_an_exception_in_train_is_shown_and_kept(error):
    def train():
        raise error

    widget = LatentTraversal(Model(), train=train)
    widget.train_once()
    assert widget.failed
    assert widget.error is error
    assert widget.message == f"training stopped: {type(error).__name__}" + (": two lines" if error.args else "")
    assert not widget.busy
    widget._train = lambda: "fine"
    widget.train_once()
    assert (widget.message, widget.failed, widget.error) == ("fine", False, None)


def test_weights_that_became_nan_are_named_and_the_old_picture_stays():
    model = Model()

    def train():
        with torch.no_grad():
            model.dec[0].bias[0] = torch.nan

    widget = LatentTraversal(model, train=train)
    weights, version = widget.weights, widget.frame["version"]
    widget.train_once()
    assert "dec.0.bias holds NaN" in widget.message
    assert (widget.weights, widget.frame["version"]) == (weights, version)
    with pytest.raises(ValueError, match=r"dec\.0\.bias holds NaN"):
        widget.refresh()


# --- decoding in the kernel -----------------------------------------------------------------------


def answer(page, widget, request):
    """What the kernel sends back, through the widget's own callback."""
    sent = []
    widget.send = lambda content, buffers: sent.append((content, buffers))
    widget._answer(widget, request, [])
    (content, buffers) = sent[0]
    page.evaluate("([c, b]) => model.answer(c, b)", [content, [base64.b64encode(b).decode() for b in buffers]])


@browser
def test_kernel_path_one_request_at_a_time_and_the_latest_wins(page):
    widget = LatentTraversal(Convolutional())
    mount(page, widget)
    sent = "model.sent"
    (first,) = page.evaluate(sent)
    assert (first["do"], first["points"]) == ("decode", [[0, 0]])
    assert agree(page, widget, [0, 0]), "the table has the middle"
    page.evaluate("() => { for (let k = 1; k < 6; k++) model.set('z', [k / 10, 0]); }")
    assert len(page.evaluate(sent)) == 1
    answer(page, widget, first)
    assert page.evaluate("model.sent[1].points") == [[0.5, 0]]
    answer(page, widget, page.evaluate("model.sent[1]"))
    assert agree(page, widget, [0.5, 0])
    answer(page, widget, first)
    assert agree(page, widget, [0.5, 0]), "an answer out of turn is dropped"
    page.wait_for_function("model.sent.length === 3")
    request = page.evaluate("model.sent[2]")
    assert len(request["points"]) == 18, "the strips, once the drag pauses"
    page.evaluate("model.set('z', [0.5, 1])")
    answer(page, widget, request)
    answer(page, widget, page.evaluate("model.sent[3]"))
    page.wait_for_function("model.sent.length === 5")
    request = page.evaluate("model.sent[4]")
    assert len(request["points"]) == 9, "z2 moved while they were on their way: the strip of z1 is out of date"
    answer(page, widget, request)
    points = torch.stack([torch.linspace(-3, 3, 9), torch.ones(9)], 1)
    got = grey(page, ".row:nth-child(1) canvas").view(28, 260)
    for k, image in enumerate(widget.decode(points).view(9, 28, 28)):
        assert (got[:, 29 * k : 29 * k + 28] - image.int()).abs().max() <= 1
    page.wait_for_timeout(400)
    assert len(page.evaluate(sent)) == 5, "nothing left to ask"


@browser
@pytest.mark.parametrize("d", [2, 4])
def test_without_a_kernel_the_nearest_precomputed_image_stands_in(page, d):
    widget = LatentTraversal(Convolutional(d))
    page.clock.install()
    mount(page, widget)
    rest = [0.0] * (d - 2)
    page.evaluate("(z) => model.set('z', z)", [1.3, 0.1, *rest])
    page.clock.fast_forward(2100)
    page.evaluate("(z) => model.set('z', z)", [1.4, 0.1, *rest])
    nearest = [6 * 10 / 14 - 3, 0] if d == 2 else [1.5, 0]
    assert agree(page, widget, nearest + rest)
    assert f"the nearest of {225 if d == 2 else 36} precomputed images" in page.locator(".missing").inner_text()
    assert len(page.evaluate("model.sent")) == 1, "nothing piles up for a kernel that is only busy"
    answer(page, widget, page.evaluate("model.sent[0]"))
    assert page.locator(".missing").inner_text() == ""
    answer(page, widget, page.evaluate("model.sent[1]"))
    assert agree(page, widget, [1.4, 0.1, *rest])


@browser
def test_a_closed_connection_and_an_error_in_the_kernel(page):
    model = Convolutional()
    widget = LatentTraversal(model)
    mount(page, widget)
    model.decode = lambda z: 1 / 0
    answer(page, widget, page.evaluate("model.sent[0]"))
    assert widget.message == "decoding stopped: ZeroDivisionError: division by zero"
    page.evaluate("() => { model.send = () => { throw new Error('closed'); }; model.set('z', [1, 1]); }")
    page.locator(".missing", has_text="no answer from the kernel").wait_for()


def test_a_request_that_makes_no_sense_becomes_a_message():
    widget, sent = LatentTraversal(Convolutional()), []
    widget.send = lambda content, buffers: sent.append((content["id"], buffers))
    widget._answer(widget, {"do": "decode", "id": 7, "points": [[1, 2, 3]]}, [])
    assert sent == [(7, [b""])]
    assert "decoding stopped" in widget.message


# --- z as Python sees it --------------------------------------------------------------------------


@browser
def test_two_views_of_a_kernel_decoder_do_not_mix_their_answers(page):
    widget = LatentTraversal(Convolutional())
    mount(page, widget)
    page.evaluate("async () => { first.cleanup(); await show(); await show(); }")
    ids = page.evaluate("model.sent.map((request) => request.id)")
    assert len(set(ids)) == 3


@browser
def test_z_from_python_moves_the_page(page):
    widget = LatentTraversal(Model())
    mount(page, widget)
    widget.z = (1.25, -2)
    update(page, widget, "z")
    assert agree(page, widget, [1.25, -2])
    assert page.locator("input[type=range]").nth(1).input_value() == "-2"
    widget.z = [7, 0]
    update(page, widget, "z")
    assert agree(page, widget, [7, 0]), "a point beyond the pad is decoded all the same"
    assert page.locator(".readout").inner_text() == "z = (7.00, 0.00)"


@pytest.mark.parametrize("value", [[1, 2], (1, 2), torch.tensor([1.0, 2.0]), np.array([1, 2]), range(1, 3)])
def test_z_takes_any_row_of_numbers(value):
    widget, seen = LatentTraversal(Model()), []
    widget.observe(lambda change: seen.append(change.new), "z")
    widget.z = value
    assert seen == [[1.0, 2.0]]


@pytest.mark.parametrize(
    "value", [[1], [1, 2, 3], [1, float("nan")], [1, float("inf")], "12", None, 3, [1, "2"], [[1, 2]]]
)
def test_z_refuses_anything_else(value):
    widget = LatentTraversal(Model())
    with pytest.raises(TraitError, match=r"^z: got .*, wanted a list of 2 finite numbers"):
        widget.z = value
    assert widget.z == [0, 0]
    assert isinstance(LatentTraversal.z, Point)


# --- arguments ------------------------------------------------------------------------------------


def broken(**change):
    model = Model()
    for name, value in change.items():
        setattr(model, name, value)
    return model


X, Y = torch.rand(6, 784), torch.arange(6)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((object(),), {}, r"^model: got object without d, dec, decode, wanted a model like models.VAE"),
        ((broken(d=0),), {}, r"^model: got d = 0, wanted a positive whole number"),
        ((broken(d=2.0),), {}, r"^model: got d = 2.0, wanted"),
        ((Model(), X[:, :700]), {}, r"^x: got shape \(6, 700\), torch.float32, wanted floats \(N, 784\)"),
        ((Model(), X.view(6, 1, 28, 28)), {}, r"^x: got shape \(6, 1, 28, 28\)"),
        ((Model(), (X * 255).to(torch.uint8)), {}, r"^x: got shape \(6, 784\), torch.uint8"),
        ((Model(), X[:0]), {}, r"^x: got shape \(0, 784\)"),
        ((Model(), X, Y[:5]), {}, r"^y: got shape \(5,\), torch.int64, wanted whole numbers \(6,\)"),
        ((Model(), X, Y.float()), {}, r"^y: got shape \(6,\), torch.float32, wanted whole numbers"),
        ((Model(), None, Y), {}, r"^x: got None beside y"),
        ((Model(), torch.rand(300, 784), torch.arange(300)), {}, r"^y: got 300 classes, wanted at most 256"),
        ((Model(),), {"shape": (28, 27)}, r"^shape: got \(28, 27\), 756 pixels, but model.decode gives \(1, 784\)"),
        ((Model(),), {"shape": 784}, r"^shape: got 784, wanted \(height, width\)"),
        ((Model(),), {"limit": 0}, r"^limit: got 0, wanted a positive number"),
        ((Model(),), {"limit": float("nan")}, r"^limit: got nan"),
        ((Model(),), {"train": 3}, r"^train: got int, wanted a function without arguments"),
        ((broken(decode=lambda z: z.new_full((len(z), 784), torch.nan)),), {}, r"^model: decode\(z\) gives NaN"),
        ((broken(encode=lambda x: x[:, :3]), X), {}, r"^model: encode\(x\) gives shape \(6, 3\), wanted .*\(6, 2\)"),
        ((broken(encode=lambda x: x[:, :2] / 0), X), {}, r"^model: encode\(x\) gives NaN or infinity"),
    ],
)
def test_bad_arguments_are_named(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        LatentTraversal(*arguments, **options)


def test_the_pad_reaches_the_codes():
    model = Model()
    model.encode = lambda x: x[:, :2] * 40
    widget = LatentTraversal(model, X)
    assert 35 <= widget.limit <= 40
    assert widget.frame["step"] == pytest.approx(widget.limit / 30, abs=0.1)
    assert LatentTraversal(model, X, limit=5).limit == 5
    assert LatentTraversal(model).limit == 3
    model.encode = lambda x: x[:, :2]
    widget.refresh()
    assert widget.limit >= 35, "an axis that shrinks between epochs would hide that the codes do"


def test_a_large_backdrop_is_thinned_evenly():
    x = torch.zeros(10_000, 784)
    x[:, 0] = torch.linspace(0, 1, 10_000)
    widget = LatentTraversal(Model(), x, torch.arange(10_000) // 1000)
    codes = np.frombuffer(widget.codes, np.float32).reshape(-1, 2)
    assert len(codes) == len(widget.labels) == 3000
    assert codes[[0, -1], 0].tolist() == [-2, 2]
    assert np.bincount(np.frombuffer(widget.labels, np.uint8)).tolist() == [300] * 10


def test_the_model_and_the_random_numbers_stay_as_they_were():
    model = Model(activation=nn.Dropout)
    model.dec[1].eval()
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    widget = LatentTraversal(model, X, Y)
    widget.still()
    assert torch.equal(torch.rand(3), want)
    assert model.training
    assert not model.dec[1].training
    assert all(p.grad is None for p in model.parameters())


def test_double_precision_models_work():
    widget = LatentTraversal(Model().double(), X, Y)
    assert len(widget.weights) == 4 * sum(p.numel() for p in widget.model.dec.parameters())


# --- where no front end can draw it ---------------------------------------------------------------


class Brightness(nn.Module):
    """The image at z is white as far as z2 is large; the left half also as far as z1 is."""

    def __init__(self, d):
        super().__init__()
        self.d, self.dec = d, nn.Linear(d, 784)

    def decode(self, z):
        return torch.sigmoid(2 * z[..., -1:] + 0.5 * z[..., :1]).expand(*z.shape[:-1], 784)


def tile(png, row, column):
    """The middle of one image in the still picture."""
    picture = np.asarray(Image.open(io.BytesIO(png)))
    return int(picture[30 + row * 29 + 14, 52 + column * 29 + 14])


def test_still_manifold_has_z2_upwards_and_z1_to_the_right():
    png = LatentTraversal(Brightness(2)).still()
    assert tile(png, 0, 7) > tile(png, 7, 7) > tile(png, 14, 7)
    assert tile(png, 7, 0) < tile(png, 7, 7) < tile(png, 7, 14)
    assert tile(png, 7, 7) == 128


def test_still_manifold_stands_at_the_quantiles_of_the_prior():
    model = VAE(mlp(784, 4), mlp(2, 784), 2)
    model.decode = Brightness(2).decode
    widget = LatentTraversal(model)
    quantile = torch.distributions.Normal(0, 1).icdf(torch.tensor(0.95)).item()
    assert tile(widget.still(), 0, 7) == widget.decode(torch.tensor([[0, quantile]]))[0, 0]


@pytest.mark.parametrize("d", [1, 3, 12])
def test_still_strips(d):
    png = LatentTraversal(Brightness(d)).still()
    last = min(d, 10) - 1
    assert tile(png, 0, 0) < tile(png, 0, 4) < tile(png, 0, 8)
    assert Image.open(io.BytesIO(png)).size[1] == 30 + 29 * (last + 1) + 30


def test_other_sizes_of_image():
    widget = LatentTraversal(Model(3, pixels=64 * 48), shape=(64, 48))
    assert Image.open(io.BytesIO(widget.still())).size[1] > 3 * 64


def test_output_holds_the_widget_a_picture_and_a_sentence():
    widget = LatentTraversal(Model())
    data, _ = widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).format == "PNG"
    assert data["text/plain"].startswith("latent traversal over 2 latents: live in JupyterLab with anywidget installed")
    assert "\n" not in data["text/plain"]


def test_a_model_broken_meanwhile_still_shows_its_widget():
    model = Model()
    widget = LatentTraversal(model)
    model.decode = lambda z: z.new_full((len(z), 784), torch.nan)
    data, _ = widget._repr_mimebundle_()
    assert sorted(data) == ["application/vnd.jupyter.widget-view+json", "text/plain"]
    assert "decode(z) gives NaN" in widget.message


def test_a_page_without_widgets_shows_the_picture():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from nbconvert import HTMLExporter

    data, metadata = LatentTraversal(Model())._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", data, metadata=metadata)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("w", outputs=[output])])
    html, _ = HTMLExporter(template_name="basic").from_notebook_node(book)
    assert data["image/png"][:60] in html
    assert "widget-view" not in html


def test_importing_the_widgets_is_cheap():
    code = "import sys, course_lib.widgets; print({'matplotlib', 'pandas', 'seaborn', 'PIL'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(("variable", "outcome"), [(None, pytest.skip.Exception), ("CI", pytest.fail.Exception)])
def test_without_a_browser_tests_skip_but_fail_where_they_count(monkeypatch, variable, outcome):
    for name in ("CI", "COURSE_REQUIRE_BROWSER"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    with pytest.raises(outcome, match="no browser"):
        no_browser("no browser: none found")


# --- limits and moves ---------------------------------------------------------------------------------------


def test_a_decoder_too_heavy_to_travel_stays_in_the_kernel(monkeypatch):
    monkeypatch.setattr("course_lib.widgets.decoder.MOST_WEIGHTS", 1000)
    assert LatentTraversal(Model()).decoder == {}


def test_one_request_decodes_no_more_points_than_allowed(monkeypatch):
    monkeypatch.setattr("course_lib.widgets.traversal.MOST_POINTS", 3)
    widget, sent = LatentTraversal(Convolutional()), []
    monkeypatch.setattr(widget, "send", lambda content, buffers: sent.append(buffers[0]))
    widget._answer(widget, {"do": "decode", "id": 1, "points": [[0, 0]] * 50}, [])
    assert len(sent[0]) == 3 * 784


def test_the_widget_follows_a_model_that_training_moved(examples):
    model = Model()
    widget = LatentTraversal(model, *examples)
    model.double()
    widget.refresh()
    assert widget.decode(torch.zeros(1, 2)).shape == (1, 784)


def test_a_training_that_exits_does_not_leave_the_button_busy():
    widget = LatentTraversal(Model(), train=lambda: sys.exit(1))
    with pytest.raises(SystemExit):
        widget.train_once()
    assert not widget.busy
