"""Two divergences: numbers against quadrature by scipy, every control at both ends, and where the rolls end."""

import base64
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from browser import mount, update
from PIL import Image
from scipy.integrate import quad
from traitlets import TraitError

from course_lib.widgets import TwoDivergences

browser = pytest.mark.browser


def log_q(z, mu, sigma):
    return -0.5 * ((z - mu) / sigma) ** 2 - np.log(sigma * np.sqrt(2 * np.pi))


def log_p(z, humps):
    return np.logaddexp(log_q(z, -humps, 1), log_q(z, humps, 1)) - np.log(2)


def truth(mu, sigma, humps=3.0):
    """KL(q‖p) and KL(p‖q) by adaptive quadrature."""
    qp = quad(
        lambda z: np.exp(log_q(z, mu, sigma)) * (log_q(z, mu, sigma) - log_p(z, humps)),
        *(mu - 12 * sigma, mu + 12 * sigma),
        points=sorted({mu, 0.0 if abs(mu) < 12 * sigma else mu}),
        limit=500,
        epsabs=1e-10,
    )[0]
    pq = quad(
        lambda z: np.exp(log_p(z, humps)) * (log_p(z, humps) - log_q(z, mu, sigma)),
        *(-humps - 12, humps + 12),
        points=sorted({-humps, 0.0, humps}),
        limit=500,
        epsabs=1e-10,
    )[0]
    return qp, pq


def frames(page):
    """Lets pending animation frames run."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def q_of(page):
    return page.evaluate("[model.get('mu'), model.get('sigma')]")


def shown(page):
    """Both numbers as the page shows them."""
    frames(page)
    return [float(text) for text in page.locator(".card .number output").all_inner_texts()]


def at(page, mu, sigma):
    """The place on the page of N(mu, sigma²): margins 46 and 12 across, 44 above the narrowest, 42 below the widest."""
    box = page.locator("canvas.hills").bounding_box()
    rank = np.log(sigma / 0.2) / np.log(6 / 0.2)
    x = box["x"] + 46 + (mu + 11) / 22 * (box["width"] - 58)
    return x, box["y"] + 44 + rank * (box["height"] - 86)


def roll(page, which):
    """Rolls downhill until the line tells where it ended."""
    page.get_by_role("button", name=f"Roll downhill on {which}").click()
    page.wait_for_function("document.querySelector('.divergences .line').textContent.includes('ends at')")
    return page.locator(".line").inner_text()


# --- numbers --------------------------------------------------------------------------------------


@browser
def test_both_divergences_agree_with_quadrature(page):
    mount(page, TwoDivergences())
    for humps in (0, 0.5, 3, 5):
        for mu in (-8, -2.984306, 0, 1, 8):
            for sigma in (0.2, 1, 3, 6):
                got = page.evaluate("(q) => module.divergences(q)", {"mu": mu, "sigma": sigma, "h": humps})
                assert (got["qp"], got["pq"]) == pytest.approx(truth(mu, sigma, humps), rel=1e-7, abs=1e-7)


@browser
def test_what_the_strips_show_integrates_to_the_divergences(page):
    mount(page, TwoDivergences())
    sums = """(q) => {
      let qp = 0, pq = 0;
      for (let z = -70; z <= 70; z += 0.002) {
        const each = module.paid(z, q);
        if (!Number.isFinite(each.qp + each.pq)) throw new Error(`NaN at ${z}`);
        qp += 0.002 * each.qp;
        pq += 0.002 * each.pq;
      }
      return [qp, pq];
    }"""
    for mu, sigma in ((1, 1), (-8, 0.2), (8, 6)):
        got = page.evaluate(sums, {"mu": mu, "sigma": sigma, "h": 3})
        assert got == pytest.approx(truth(mu, sigma), rel=1e-4)


@browser
def test_the_page_shows_the_numbers_and_finite_ones_at_the_sliders_ends(page):
    mount(page, TwoDivergences(mu=1, sigma=1))
    assert shown(page) == pytest.approx(truth(1, 1), abs=6e-4)
    for mu in (-8, 8):
        for sigma in (0.2, 6):
            for humps in (0, 5):
                page.evaluate("(q) => model.update(q)", {"mu": mu, "sigma": sigma, "humps": humps})
                assert shown(page) == pytest.approx(truth(mu, sigma, humps), rel=1e-3)
    page.evaluate("model.update({ mu: 0, sigma: 1, humps: 0 })")
    assert shown(page) == [0, 0]


# --- controls -------------------------------------------------------------------------------------


@browser
def test_drag_moves_mean_and_width(page):
    mount(page, TwoDivergences(mu=1, sigma=1))
    page.mouse.move(*at(page, 4, 2))
    assert q_of(page) == [1, 1], "hovering moves nothing"
    page.mouse.down()
    for mu, sigma in ((4, 2), (-3, 0.5), (0, 5), (7.5, 0.25)):
        page.mouse.move(*at(page, mu, sigma))
        assert q_of(page) == [pytest.approx(mu, abs=0.03), pytest.approx(sigma, rel=0.04)]
        assert shown(page) == pytest.approx(truth(*q_of(page)), rel=1e-3)
    page.mouse.move(2000, -100)
    assert q_of(page) == [8, 0.2], "the pointer is captured, q stays on the sliders"
    page.mouse.move(-50, 2000)
    assert q_of(page) == [-8, 6]
    page.mouse.up()
    page.mouse.move(*at(page, 0, 1))
    assert q_of(page) == [-8, 6]
    frames(page)
    assert 1 <= page.evaluate("model.saved") <= 16, "the kernel hears of a drag at most once a frame"


@browser
def test_a_finger_drags_q_and_not_the_page(page):
    mount(page, TwoDivergences())
    page.evaluate("() => { document.body.style.height = '3000px'; }")
    session = page.context.new_cdp_session(page)

    def touch(kind, *place):
        points = [{"x": place[0], "y": place[1]}] if place else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", *at(page, 0, 4))
    for k in range(1, 5):
        touch("touchMove", *at(page, k, 4 / 2**k))
        frames(page)
    touch("touchEnd")
    assert q_of(page) == [pytest.approx(4, abs=0.03), pytest.approx(0.25, rel=0.05)]
    assert page.evaluate("window.scrollY") == 0


@browser
def test_keys(page):
    mount(page, TwoDivergences())
    page.evaluate(
        """() => {
          document.body.style.height = '3000px';
          window.heard = 0;
          addEventListener('keydown', (event) => { heard += event.key !== 'Shift'; });
        }"""
    )
    page.locator("canvas.hills").focus()
    for key, want in (
        ("ArrowRight", [1.1, 1]),
        ("Shift+ArrowLeft", [0.6, 1]),
        ("ArrowUp", [0.6, 0.9]),
        ("ArrowUp", [0.6, 0.8]),
        ("Shift+ArrowDown", [0.6, 1.3]),
        ("Home", [0, 1]),
    ):
        page.keyboard.press(key)
        assert q_of(page) == want
    for _ in range(20):
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowUp")
    assert q_of(page) == [8, 0.2], "up to the ends"
    for _ in range(35):
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("Shift+ArrowDown")
    assert q_of(page) == [-8, 6]
    assert page.evaluate("[window.scrollY, heard]") == [0, 0], "neither the page nor the notebook took them"
    page.keyboard.press("x")
    assert page.evaluate("heard") == 1, "other keys go where they went"


@browser
def test_sliders_at_both_ends_and_the_middle(page):
    mount(page, TwoDivergences())
    for label, name, values in (
        ("μ, mean of q", "mu", (-8, 0, 8, 1.23)),
        ("σ, standard deviation of q", "sigma", (0.2, 3, 6, 1.23)),
        ("h: p has its humps at −h and h", "humps", (0, 2.5, 5, 1.23)),
    ):
        slider = page.get_by_label(label, exact=True)
        for value in values:
            slider.fill(str(value))
            assert page.evaluate(f"model.get('{name}')") == pytest.approx(value)
            q = page.evaluate("[model.get('mu'), model.get('sigma'), model.get('humps')]")
            assert shown(page) == pytest.approx(truth(*q), rel=2e-3, abs=1e-3)
        assert slider.get_attribute("aria-valuetext") == "1.23"
        slider.press("ArrowLeft")
        assert page.evaluate(f"model.get('{name}')") == pytest.approx(1.13)
        frames(page)
        slider.press("Shift+ArrowRight")
        assert page.evaluate(f"model.get('{name}')") == pytest.approx(1.63)
        slider.press("End")
        assert page.evaluate(f"model.get('{name}')") == values[2]
        slider.fill(str(values[1]))


# --- downhill -------------------------------------------------------------------------------------


@browser
@pytest.mark.parametrize(
    ("which", "start", "mean", "variance", "nats"),
    [
        ("KL(q‖p)", (0, 1), 0, 7.528270, 0.840621),  # a second valley, worse than the two at the sides
        ("KL(q‖p)", (1, 1), 0, 7.528270, 0.840621),
        ("KL(q‖p)", (2, 1), 2.984306, 1.047283, 0.688769),
        ("KL(q‖p)", (-8, 0.2), -2.984306, 1.047283, 0.688769),
        ("KL(q‖p)", (8, 6), 2.984306, 1.047283, 0.688769),
        ("KL(p‖q)", (0, 0.2), 0, 10, 0.461995),
        ("KL(p‖q)", (8, 0.2), 0, 10, 0.461995),
        ("KL(p‖q)", (-8, 6), 0, 10, 0.461995),
    ],
)
def test_downhill_ends_in_the_valley(page, which, start, mean, variance, nats):
    mount(page, TwoDivergences(*start))
    line = roll(page, which)
    minus = f"{mean:.4f}".replace("-", "−")
    assert line == f"Downhill on {which} ends at mean {minus}, variance {variance:.4f}: {nats:.4f} nats."
    mu, sigma = q_of(page)
    assert (mu, sigma**2) == (pytest.approx(mean, abs=5e-6), pytest.approx(variance, rel=5e-6))
    assert shown(page)[which == "KL(p‖q)"] == pytest.approx(nats, abs=6e-4)
    assert truth(mu, sigma)[which == "KL(p‖q)"] == pytest.approx(nats, abs=1e-6)


@browser
def test_the_way_leads_downhill_only_in_steps_too_small_to_see(page):
    mount(page, TwoDivergences())
    for which in ("qp", "pq"):
        for humps in (0, 0.7, 5):
            q = {"mu": 7, "sigma": 0.3, "h": humps}
            path = np.array(page.evaluate("([which, q]) => module.downhill(which, q)", [which, q]))
            values = page.evaluate(
                "([which, path, h]) => path.map(([mu, sigma]) => module.divergences({ mu, sigma, h })[which])",
                [which, path.tolist(), humps],
            )
            assert np.diff(values).max() <= 1e-12
            assert np.hypot(np.diff(path[:, 0]), np.diff(np.log(path[:, 1]))).max() < 0.031
            if which == "pq":
                assert path[-1] == pytest.approx([0, np.sqrt(1 + humps**2)], abs=1e-5)


@browser
def test_a_roll_takes_frames_and_gives_way(page):
    mount(page, TwoDivergences(-8, 0.2))
    button = page.get_by_role("button", name="Roll downhill on KL(p‖q)")
    seen = page.evaluate(
        """async () => {
          const seen = [];
          model.on('change:sigma', () => seen.push(model.get('mu')));
          document.querySelectorAll('.card button')[1].click();
          for (let k = 0; k < 60 && seen.length < 3; k++) await new Promise(requestAnimationFrame);
          return seen;
        }"""
    )
    assert len(seen) >= 3, "an animation, not a jump"
    assert seen[0] < seen[1] < -0.01
    page.locator("canvas.hills").focus()
    page.keyboard.press("ArrowRight")
    q = q_of(page)
    page.wait_for_timeout(100)
    assert q_of(page) == q, "a key takes q from the roll"
    assert page.locator(".line").inner_text() == ""
    button.click()
    frames(page)
    page.evaluate("model.update({ mu: -4, sigma: 2 })")
    page.wait_for_timeout(100)
    assert q_of(page) == [-4, 2], "so does a cell"
    roll(page, "KL(q‖p)")
    page.evaluate("() => { first.cleanup(); }")


@browser
def test_reduced_motion_jumps(page):
    page.emulate_media(reduced_motion="reduce")
    mount(page, TwoDivergences(5, 1))
    page.get_by_role("button", name="Roll downhill on KL(q‖p)").click()
    frames(page)
    assert q_of(page)[0] == pytest.approx(2.984306, abs=1e-5)


@browser
def test_best_is_kept_for_each_and_starts_anew_with_other_humps(page):
    mount(page, TwoDivergences(1, 1))
    best = page.evaluate("model.get('best')")
    assert (best["qp"], best["pq"]) == ([pytest.approx(truth(1, 1)[0]), 1, 1], [pytest.approx(truth(1, 1)[1]), 1, 1])
    page.evaluate("model.update({ mu: 3, sigma: 1 })")
    frames(page)
    page.evaluate("model.update({ mu: 0, sigma: 3 })")
    frames(page)
    page.evaluate("model.update({ mu: 6, sigma: 1 })")
    frames(page)
    best = page.evaluate("model.get('best')")
    assert (best["qp"][1:], best["pq"][1:]) == ([3, 1], [0, 3])
    texts = page.locator(".best").all_inner_texts()
    assert texts[0] == f"best so far {truth(3, 1)[0]:.3f} at μ 3.00, σ 1.00"
    mark = page.evaluate("[...document.querySelectorAll('.mark')].map((node) => parseFloat(node.style.left))")
    assert mark == pytest.approx([100 * truth(3, 1)[0] / 5, 100 * truth(0, 3)[1] / 5], abs=0.01)
    page.evaluate("model.update({ humps: 2 })")
    frames(page)
    best = page.evaluate("model.get('best')")
    assert (best["humps"], best["qp"][1:], best["pq"][1:]) == (2, [6, 1], [6, 1])


# --- looks ----------------------------------------------------------------------------------------


INK = """(selector) => {
  const canvas = document.querySelector(selector), { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
  let light = 0, dark = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 240) (data[i] + data[i + 1] + data[i + 2] > 384 ? light++ : dark++);
  return light > dark ? 'light' : 'dark';
}"""


@browser
def test_both_themes_and_a_switch(page):
    mount(page, TwoDivergences(), dark=True)
    assert page.evaluate(INK, "canvas.hills") == "light"
    frames(page)
    assert page.evaluate("document.querySelector('.elbo').style.colorScheme") == "dark"
    page.evaluate(
        """() => {
          document.body.style.cssText = 'background: #fff; color: #222';
          document.body.dataset.jpThemeLight = 'true';
        }"""
    )
    frames(page)
    assert page.evaluate(INK, "canvas.hills") == "dark"
    sizes = page.evaluate(
        """[...document.querySelectorAll('.elbo *')].filter((node) => node.textContent)
          .map((node) => parseFloat(getComputedStyle(node).fontSize))"""
    )
    assert min(sizes) >= 13


@browser
@pytest.mark.parametrize("width", [1200, 1000, 620, 380])
def test_nothing_sticks_out(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    mount(page, TwoDivergences(8, 0.2))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@browser
def test_what_a_screen_reader_gets(page):
    mount(page, TwoDivergences(-1, 2))
    qp, pq = truth(-1, 2)
    sentence = f"q has mean −1.00 and standard deviation 2.00: KL(q‖p) is {qp:.3f} nats, KL(p‖q) is {pq:.3f} nats."
    assert page.locator("canvas.hills").get_attribute("aria-label").startswith(sentence)
    assert page.locator("[aria-live=polite]").inner_text() == "", "nothing to say before anything moved"
    page.locator("canvas.hills").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('[aria-live=polite]').textContent.startsWith('q has mean −0.90')")
    named = page.evaluate(
        "[...document.querySelectorAll('input, button, canvas')].map((n) => n.ariaLabel ?? n.innerText)"
    )
    assert all(named)


# --- several views, and their ends ----------------------------------------------------------------


@browser
def test_two_views_move_together_and_a_closed_one_leaves_nothing(page):
    mount(page, TwoDivergences())
    page.evaluate("async () => { window.before = model.listening(); window.second = await show(); }")
    page.get_by_label("μ, mean of q").first.fill("2.5")
    frames(page)
    assert page.get_by_label("μ, mean of q").nth(1).input_value() == "2.5"
    page.get_by_role("button", name="Roll downhill on KL(p‖q)").nth(1).click()
    page.evaluate("() => { second.cleanup(); second.el.remove(); }")
    q = q_of(page)
    page.wait_for_timeout(200)
    assert q_of(page) == q, "its roll ends with it"
    assert page.evaluate("model.listening() - before") == 0
    assert page.locator(".elbo").count() == 1
    page.evaluate("() => { first.cleanup(); }")
    assert page.evaluate("model.listening()") == 0
    assert page.locator(".elbo").count() == 0


# --- Python ---------------------------------------------------------------------------------------


@browser
def test_python_moves_the_page(page):
    widget = TwoDivergences()
    mount(page, widget)
    widget.mu, widget.sigma, widget.humps = np.float64(-2), torch.tensor(0.5), 4
    update(page, widget, "mu", "sigma", "humps")
    assert shown(page) == pytest.approx(truth(-2, 0.5, 4), rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mu": 9}, r"^mu: got 9, wanted a number from −8 to 8, as on the slider"),
        ({"mu": float("nan")}, r"^mu: got nan, wanted"),
        ({"sigma": 0}, r"^sigma: got 0, wanted a number from 0.2 to 6"),
        ({"sigma": "1"}, r"^sigma: got '1', wanted"),
        ({"sigma": None}, r"^sigma: got None, wanted"),
        ({"humps": -1}, r"^humps: got -1, wanted a number from 0 to 5"),
        ({"humps": True}, r"^humps: got True, wanted"),
        ({"mu": [1, 2]}, r"^mu: got \[1, 2\], wanted"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        TwoDivergences(**arguments)
    widget = TwoDivergences()
    ((name, value),) = arguments.items()
    with pytest.raises(TraitError, match=message):
        setattr(widget, name, value)
    assert (widget.mu, widget.sigma, widget.humps) == (1, 1, 3)


def test_output_holds_the_widget_a_picture_and_a_sentence():
    widget = TwoDivergences()
    data, _ = widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).format == "PNG"
    assert data["text/plain"].startswith("two divergences between a Gaussian and a density with two humps: live in")
    assert not widget.failed


def test_the_still_picture_at_the_ends_has_no_warnings():
    first = TwoDivergences().still()
    for mu, sigma, humps in ((-8, 0.2, 0), (8, 6, 5), (8, 0.2, 5)):
        assert TwoDivergences(mu, sigma, humps).still() != first


def test_importing_the_widgets_is_cheap():
    code = "import sys, course_lib.widgets; print({'matplotlib', 'pandas', 'seaborn', 'PIL'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
