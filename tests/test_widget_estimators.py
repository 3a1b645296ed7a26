"""The estimator widget: its numbers against course_lib.estimators, its page under pointer, keys and both themes."""

import base64
import io
import math
import re

import numpy as np
import pytest
import torch
from browser import mount, update
from PIL import Image
from traitlets import TraitError

from course_lib import estimators
from course_lib.widgets import EstimatorVariance
from course_lib.widgets.functions import BUILT_IN, GRID

browser = pytest.mark.browser
F64 = torch.float64
SMOOTH = ("quadratic", "sine", "rare event", "fast wiggle")
GAUSSIAN = ["score function", "leave-one-out baseline", "best baseline", "pathwise", "measure-valued"]
DISCRETE = ["score function", "leave-one-out baseline", "Gumbel-softmax", "straight-through"]

# The pure functions of the ES module, on the tables that the widget sent.
TOOLS = """() => {
  const { buffer, byteOffset, byteLength } = model.get('tables'), frame = model.get('frame'), n = 2 * frame.points;
  const all = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  window.f = (name) => {
    const k = frame.functions.findIndex((f) => f.name === name);
    return module.table(all.subarray(n * k, n * (k + 1)), frame);
  };
  window.f32 = (list) => Float32Array.from(list);
}"""


@pytest.fixture
def maths(page):
    """page.evaluate with the module's functions, f(name) and f32(list) at hand."""
    mount(page, EstimatorVariance())
    page.evaluate(TOOLS)
    return page.evaluate


def frames(page, n=2):
    """Lets pending animation frames run."""
    for _ in range(n):
        page.evaluate("() => new Promise((done) => requestAnimationFrame(done))")


def get(page, name):
    return page.evaluate("(name) => model.get(name)", name)


def put(page, **values):
    page.evaluate("(values) => model.update(values)", values)
    frames(page)


def table(page) -> dict[str, list[str]]:
    """The rows of the visible table by estimator: the texts of their visible cells, and of the flag at the end."""
    frames(page)
    rows = page.evaluate("""() => [...document.querySelectorAll('table.results:not([hidden]) tbody tr')].map((tr) => [
      tr.querySelector('label').textContent,
      [...tr.querySelectorAll('td:not([hidden])')].map((td) => td.textContent),
      tr.querySelector('.flag').textContent])""")
    return {name: [*texts, flag] for name, texts, flag in rows}


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def flags(page) -> dict[str, str]:
    return {name: texts[-1] for name, texts in table(page).items()}


# --- the same noise, the same estimates -----------------------------------------------------------


def close(got, want, tolerance=1e-5):
    want = want.to(F64)
    scale = want.abs().max().clamp(min=1e-12)
    assert (torch.tensor(got, dtype=F64) - want).abs().max() <= tolerance * scale


def normals(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(F64)


@browser
@pytest.mark.parametrize("name", SMOOTH)
def test_gaussian_estimators_agree_draw_for_draw(maths, name):
    for mu, sigma in ((1.0, 1.0), (-3.0, 0.2), (3.0, 3.0)):
        agree_draw_for_draw(maths, name, mu, sigma)


def agree_draw_for_draw(maths, name, mu, sigma):
    f, noise = BUILT_IN[name].f, normals(7, 200)
    eps = noise[0]
    w, m = noise[:2].norm(dim=0), noise[2:5].norm(dim=0) * noise[4].sign()  # as measure_valued makes them
    inner = m * torch.exp(-0.5 * (noise[5] ** 2 + noise[6] ** 2))
    got = maths(
        """([name, mu, sigma, [eps, w, m, inner]]) => ['mu', 'sigma'].map((parameter) => {
          const table = f(name), noise = { eps: f32(eps), w: f32(w), m: f32(m), inner: f32(inner) };
          const value = module.at(table, table.value, mu, sigma, noise.eps);
          const s = module.scores(noise.eps, sigma, parameter);
          return {
            'score function': [...module.scoreFunction(value, s)],
            'leave-one-out baseline': [...module.leaveOneOut(value, s, 5)],
            'best baseline': [...module.scoreFunction(value, s, 0.7)],
            'pathwise': [...module.pathwise(module.at(table, table.slope, mu, sigma, noise.eps), noise.eps, parameter)],
            'measure-valued': [...module.measureValued(table, mu, sigma, noise, parameter)],
          };
        })""",
        [name, mu, sigma, [v.tolist() for v in (eps, w, m, inner)]],
    )
    plain = estimators.score_function(f, mu, sigma, eps)
    shifted = estimators.score_function(lambda z: f(z) - 0.7, mu, sigma, eps)
    others = estimators.score_function(f, mu, sigma, eps.view(40, 5), "leave-one-out")
    path, pairs = estimators.pathwise(f, mu, sigma, eps), estimators.measure_valued(f, mu, sigma, noise)
    for side in (0, 1):
        want = [plain[side], others[side].flatten(), shifted[side], path[side], pairs[side]]
        for estimator, value in zip(GAUSSIAN, want, strict=True):
            # straight lines between the table's points: a wiggle of 20 rad a unit bends 5e-5 away, its slope 3e-4
            close(got[side][estimator], value, 1e-3 if name in ("fast wiggle", "rare event") else 1e-4)


@browser
@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("tau", [0.05, 1.0, 10.0])
def test_discrete_estimators_agree_draw_for_draw(maths, name, tau):
    g, classes, logits = BUILT_IN[name].f, torch.tensor([-1.0, 0.5, 2.0], dtype=F64), torch.tensor([0.3, -1.0, 0.5])
    noise, values = -(-torch.rand(100, 3, generator=torch.Generator().manual_seed(1)).log()).log(), g(classes)
    logits, noise = logits.to(F64), noise.to(F64)
    slopes = estimators.pathwise(g, 0.0, 1.0, classes).mu
    got = maths(
        """([name, tau, classes, logits, values, slopes, noise]) => [0, 1, 2].map((j) => {
          const table = f(name), G = f32(noise), hard = module.gumbelMax(logits, G), pi = module.softmax(logits);
          const soft = module.soften(logits, G, tau), x = module.mix(classes, soft);
          const value = f32([...hard].map((k) => values[k])), s = f32([...hard].map((k) => (k === j) - pi[j]));
          return {
            'score function': [...module.scoreFunction(value, s)],
            'leave-one-out baseline': [...module.leaveOneOut(value, s, 100)],
            'Gumbel-softmax': [...module.throughSoft(module.at(table, table.slope, 0, 1, x), soft, x, classes, tau, j)],
            'straight-through': [...module.throughSoft(f32([...hard].map((k) => slopes[k])), soft, x, classes, tau, j)],
          };
        })""",
        [name, tau, *(v.tolist() for v in (classes, logits, values, slopes, noise.flatten()))],
    )

    def f(z):
        return g(z @ classes)

    def relaxed(through):
        return estimators.gumbel_softmax(f, logits, noise, tau, through) if name != "step" else torch.zeros(100, 3)

    want = [estimators.categorical_score_function(f, logits, noise, b) for b in (False, True)]
    want += [relaxed(False), relaxed(True)]
    for j in range(3):
        for estimator, value in zip(DISCRETE, want, strict=True):
            close(got[j][estimator], value[:, j], 1e-3)


@browser
def test_averages_and_summaries(maths):
    got = maths("() => [...module.averages(f32([1, 2, 3, 4, 5, 9]), 3)]")
    assert got == [2, 6]
    values = normals(1000)
    found = maths("(v) => module.summary(f32(v))", values.tolist())
    assert found["mean"] == pytest.approx(values.mean().item(), abs=1e-6)
    assert found["variance"] == pytest.approx(values.var().item(), rel=1e-5)


@browser
def test_the_noise_has_the_laws_it_should_have(maths):
    found = maths("""() => {
      const { eps, w, m, inner } = module.gaussianNoise(3, 200000), G = module.gumbelNoise(3, 60000, 3);
      const moments = (a) => [1, 2, 3, 4].map((p) => a.reduce((sum, v) => sum + v ** p, 0) / a.length);
      return [eps, w, m, inner, G].map(moments);
    }""")
    euler, root = 0.577216, math.sqrt(math.pi / 2)
    want = [
        [0, 1, 0, 3],  # standard normal
        [root, 2, 3 * root, 8],  # Rayleigh
        [0, 3, 0, 15],  # double-sided Maxwell
        [0, 1, 0, 3],  # u times Maxwell: standard normal again
        [euler, math.pi**2 / 6 + euler**2, None, None],  # Gumbel
    ]
    for got, moments in zip(found, want, strict=True):
        for p, moment in enumerate(moments):
            if moment is not None:
                assert got[p] == pytest.approx(moment, abs=(0.01, 0.03, 0.15, 0.9)[p])
    assert maths("() => [...module.gaussianNoise(3, 9).eps].join() === [...module.gaussianNoise(3, 9).eps].join()")
    correlation = maths("""() => {
      const [a, b] = [7, 8].map((seed) => module.gaussianNoise(seed, 100000).eps);
      return a.reduce((sum, v, i) => sum + v * b[i], 0) / a.length;
    }""")
    assert abs(correlation) < 4 / math.sqrt(1e5)


# --- what is known exactly ------------------------------------------------------------------------


EXACT = """([name, mu, sigma, draws]) => ['mu', 'sigma'].map((parameter) => {
  const exact = module.exactGaussian(f(name), mu, sigma, parameter);
  return { ...exact, variances: exact.variances(draws) };
})"""


@browser
@pytest.mark.parametrize("name", BUILT_IN)
def test_quadrature_agrees_with_the_library(maths, name):
    for mu, sigma in ((1.0, 1.0), (-3.0, 0.2), (0.37, 0.2), (3.0, 3.0), (-1.0, 2.0), (0.0, 1.0)):
        agree_exactly(maths, name, mu, sigma)


def agree_exactly(maths, name, mu, sigma):
    want = estimators.exact(BUILT_IN[name].f, mu, sigma)
    names = {"score function": "score function", "score function, optimal baseline": "best baseline"}
    for side, found in enumerate(maths(EXACT, [name, mu, sigma, 1])):
        assert found["gradient"] == pytest.approx(want[side], rel=2e-3, abs=1e-5)
        assert found["faithful"] == (name != "step" or abs(want[side]) < 1e-9)
        for theirs, values in want.variances.items():
            if ours := names.get(theirs, theirs if theirs == "pathwise" else None):
                assert found["variances"][ours] == pytest.approx(values[side], rel=2e-3, abs=1e-8)
        assert found["variances"]["leave-one-out baseline"] is None


@browser
def test_exact_variances_of_the_quadratic_are_the_closed_forms(maths):
    for d, s in ((1.0, 1.0), (2.0, 1.0), (0.0, 1.0), (1.5, 0.5), (-1.0, 2.0), (3.0, 3.0), (-3.0, 0.2)):
        agree_with_closed_forms(maths, d, s)


def agree_with_closed_forms(maths, d, s):
    pi, sides = math.pi, maths(EXACT, ["quadratic", d, s, 1])
    closed = {
        "score function": (d**4 / s**2 + 14 * d**2 + 15 * s**2, 2 * d**4 / s**2 + 60 * d**2 + 74 * s**2),
        "best baseline": (8 * d**2 + 6 * s**2, 40 * d**2 + 24 * s**2),
        "pathwise": (4 * s**2, 4 * d**2 + 8 * s**2),
        "measure-valued": ((16 / pi - 4) * d**2, 4 * d**2 + 4 * s**2),
    }
    for side, found in enumerate(sides):
        assert found["gradient"] == pytest.approx((2 * d, 2 * s)[side], rel=1e-6, abs=1e-6)
        for name, variances in closed.items():
            assert found["variances"][name] == pytest.approx(variances[side], rel=1e-4, abs=1e-5)


@browser
@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize("draws", [2, 5, 30])
def test_leave_one_out_and_measure_valued_variances_match_many_draws(maths, name, draws):
    f, n = BUILT_IN[name].f, 400_000 // draws
    noise = torch.randn(7, n, draws, generator=torch.Generator().manual_seed(2), dtype=F64)
    mu, sigma = (2.5, 1.0) if name == "rare event" else (0.8, 0.7)
    alone = estimators.score_function(f, mu, sigma, noise[0], "leave-one-out")
    pairs = estimators.measure_valued(f, mu, sigma, noise)
    for side, found in enumerate(maths(EXACT, [name, mu, sigma, draws])):
        for estimator, g in (("leave-one-out baseline", alone[side]), ("measure-valued", pairs[side])):
            squares = (g.mean(-1) - g.mean()) ** 2
            error = squares.std().item() / math.sqrt(n)
            assert found["variances"][estimator] == pytest.approx(squares.mean().item(), abs=4.5 * error)


@browser
def test_enumeration_agrees_with_the_library(maths):
    logits, classes = torch.tensor([0.3, -1.0, 0.5, 2.0], dtype=F64), torch.tensor([-1.0, 0.5, 2.0, 3.0], dtype=F64)
    want, pi, one_hot = (
        estimators.exact_categorical(lambda z: (z @ classes) ** 2, logits),
        logits.softmax(-1),
        torch.eye(4),
    )
    script = """([values, logits, j, draws]) => {
      const exact = module.exactCategorical(values, logits, j);
      return [exact.gradient, exact.variances(draws)];
    }"""
    for j in range(4):
        gradient, variances = maths(script, [(classes**2).tolist(), logits.tolist(), j, 5])
        assert gradient == pytest.approx(want[j].item(), abs=1e-12)
        each = classes**2 * (one_hot[j] - pi[j])
        assert variances["score function"] == pytest.approx((pi @ each**2 - want[j] ** 2).item() / 5)
    # leave-one-out, two draws of four classes: all sixteen pairs
    gradient, variances = maths(script, [(classes**2).tolist(), logits.tolist(), 1, 2])
    v, s = classes**2, one_hot[1] - pi[1]
    pairs = 0.5 * ((v[:, None] - v) * s[:, None] + (v - v[:, None]) * s)
    weight = pi[:, None] * pi
    assert (weight * pairs).sum().item() == pytest.approx(gradient)
    assert variances["leave-one-out baseline"] == pytest.approx((weight * pairs**2).sum().item() - gradient**2)


# --- verdicts -------------------------------------------------------------------------------------


@browser
def test_at_one_and_one_the_numbers_are_those_of_the_facts(page):
    mount(page, EstimatorVariance())
    rows = table(page)
    exact = {name: number(texts[3]) for name, texts in rows.items() if len(texts) > 2}
    assert exact == {"score function": 30, "best baseline": 14, "pathwise": 4, "measure-valued": 1.093}
    for texts in (rows[name] for name in exact):
        assert number(texts[2]) == pytest.approx(number(texts[3]), rel=0.06)
        assert number(texts[0]) == pytest.approx(2, abs=0.1)
    assert [rows[name][4] for name in exact] == ["7.50", "3.50", "1.00", "0.27"]
    assert [rows[name][5] for name in exact] == ["1 f", "1 f", "1 f'", "2 f"]
    assert rows["leave-one-out baseline"] == [
        "needs at least 2 draws per estimate: with one there is no other draw to average",
        "",
    ]
    assert page.locator(".sentence").inner_text() == (
        "∂/∂μ E f(z) = 2.000. Smallest variance without bias: measure-valued, 1.09. "
        "Score function: variance 30.0, 7.50 times the pathwise one’s."
    )
    put(page, parameter="sigma", draws=2)
    exact = {name: number(texts[3]) for name, texts in table(page).items()}
    best = {"score function": 68, "best baseline": 32, "pathwise": 6, "measure-valued": 4}
    # at L = 2: (E h²s² − g²)/2 + (E h² E s² + g²)/2 = (96 + 6 · 2 + 4)/2
    assert exact == {**best, "leave-one-out baseline": 56}


@browser
def test_pathwise_is_flagged_at_a_step_and_nothing_else_is(page):
    mount(page, EstimatorVariance(function="step", draws=5))
    for seed in range(8):
        put(page, seed=seed)
        assert flags(page) == {**dict.fromkeys(GAUSSIAN, ""), "pathwise": "biased"}
    rows = table(page)
    assert {texts[4] for texts in rows.values()} == {"—"}, "no ratio to a biased one's variance"
    assert "± 0.0" in rows["pathwise"][1]
    assert "Biased: pathwise (mean 0)." in page.locator(".sentence").inner_text()
    assert "times the pathwise" not in page.locator(".sentence").inner_text()
    put(page, parameter="sigma", mu=0.5)
    assert flags(page)["pathwise"] == "", "at its middle, widening changes nothing: 0 is right"


@browser
@pytest.mark.parametrize("name", [*SMOOTH, "step"])
def test_unbiased_estimators_are_never_called_biased(page, name):
    mount(page, EstimatorVariance(function=name, draws=2))
    for seed, (mu, sigma) in enumerate([(-3, 0.2), (3, 0.2), (0, 1), (3, 3), (-3, 3), (1.5, 0.6)]):
        for parameter in ("mu", "sigma"):
            put(page, seed=seed, mu=mu, sigma=sigma, parameter=parameter)
            said = flags(page)
            if name == "step":
                said.pop("pathwise")
            assert "biased" not in said.values()


@browser
def test_the_score_function_wins_at_the_fast_wiggle_and_a_constant_has_no_ratio(page):
    widget = EstimatorVariance(lambda z: 3 + 0 * z, name="constant")
    mount(page, widget)
    rows = table(page)
    assert [number(text) for text in rows["pathwise"][2:4]] == [0, 0]
    assert rows["pathwise"][4] == "—"
    assert rows["score function"][4] == "∞"
    put(page, function="fast wiggle", draws=2)
    said = page.locator(".sentence").inner_text()
    factor = float(re.search(r"([0-9.]+) times the pathwise", said)[1])
    assert factor < 0.01
    assert "Smallest variance without bias: pathwise" not in said


@browser
def test_relaxed_estimators_are_flagged_and_have_no_exact_variance(page):
    mount(page, EstimatorVariance(tab="discrete", tau=2.0, draws=2))
    put(page, logits=[1, 0, -1])
    for seed in range(5):
        put(page, seed=seed)
        rows = table(page)
        assert {name: texts[-1] for name, texts in rows.items()} == {
            **dict.fromkeys(DISCRETE, ""),
            "Gumbel-softmax": "biased",
            "straight-through": "biased",
        }
    assert [rows[name][3] == "—" for name in DISCRETE] == [False, False, True, True]
    assert "Biased: Gumbel-softmax" in page.locator(".sentence").inner_text()


@browser
@pytest.mark.parametrize(("tau", "relaxed", "through"), [(0.1, 0.025464, 0.029159), (1.0, 0.050724, 0.077716)])
def test_the_bias_of_a_bernoulli_is_that_of_the_facts(page, tau, relaxed, through):
    mount(page, EstimatorVariance(lambda z: (z - 0.45) ** 2, classes=(0, 1), tau=tau, tab="discrete"))
    put(page, logits=[0, math.log(4)], logit=1)
    assert "= 0.01600." in page.locator(".sentence").inner_text()
    rows = table(page)
    for name, mean in (("Gumbel-softmax", relaxed), ("straight-through", through)):
        error = number(rows[name][1].split("±")[1])
        assert number(rows[name][0]) == pytest.approx(mean, abs=4 * error)
    assert "rare draws" not in rows["score function"][-1]


# --- moving ---------------------------------------------------------------------------------------


SLIDERS = {  # label → (trait, low, high, one key press up from the low end)
    "μ, mean of z": ("mu", -3, 3, -2.9),
    "σ, standard deviation of z": ("sigma", 0.2, 3, 0.3),
    "L, draws per estimate": ("draws", 1, 1000, 2),
    "τ, temperature": ("tau", 0.05, 10, 0.0556),
    "logit of class 2, c = 0.5": ("logits", -4, 4, -3.9),
}


@browser
@pytest.mark.parametrize("label", SLIDERS)
def test_sliders_by_pointer_and_keys_at_both_ends_and_the_middle(page, label):
    trait, low, high, next_up = SLIDERS[label]
    mount(page, EstimatorVariance(tab="discrete" if trait in ("tau", "logits") else "Gaussian"))
    slider = page.get_by_label(label)

    def value():
        found = get(page, trait)
        return found[1] if trait == "logits" else found

    def fresh():
        frames(page)
        now = page.locator(".sentence").inner_text(), page.evaluate("document.querySelector('.histograms').toDataURL()")
        changed, fresh.before = now != fresh.before, now
        return changed

    fresh.before = None
    fresh()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    for part, want in ((0.999, high), (0.001, low)):
        page.mouse.click(box["x"] + part * box["width"], y)
        assert value() == want
        assert trait == "tau" or fresh()
    page.mouse.click(box["x"] + box["width"] / 2, y)
    assert low < value() < high
    fresh()
    slider.press("End")
    assert value() == high
    slider.press("ArrowRight")
    assert value() == high
    slider.press("Home")
    assert value() == low
    slider.press("ArrowDown")
    assert value() == low
    assert fresh()
    slider.press("ArrowUp")
    assert value() == pytest.approx(next_up)
    assert fresh()
    if trait != "draws":
        slider.press("Shift+ArrowRight")
        slider.press("Shift+ArrowLeft")
        assert value() == pytest.approx(next_up, abs=1e-3)


@browser
def test_dragging_the_density_moves_mu_and_keys_move_both(page):
    mount(page, EstimatorVariance())
    page.evaluate("() => { document.body.style.height = '3000px'; }")
    panel = page.locator("canvas.density")
    box = panel.bounding_box()

    def x(mu):
        return box["x"] + 52 + (mu + 8) / 16 * (box["width"] - 64)

    y = box["y"] + 100
    page.mouse.move(x(1), y)
    page.mouse.down()
    for mu in (0.5, -1, -2.2, 2.5):
        page.mouse.move(x(mu), y)
        assert get(page, "mu") == pytest.approx(mu, abs=0.05)
    page.mouse.move(x(7), y)
    assert get(page, "mu") == 3, "the slider's end"
    page.mouse.up()
    page.mouse.move(x(0), y)
    assert get(page, "mu") == 3
    for key, trait, want in (
        ("ArrowLeft", "mu", 2.9),
        ("Shift+ArrowLeft", "mu", 2.4),
        ("ArrowUp", "sigma", 1.1),
        ("Shift+ArrowDown", "sigma", 0.6),
        ("Shift+ArrowDown", "sigma", 0.2),
        ("Home", "mu", 0),
    ):
        page.keyboard.press(key)
        assert get(page, trait) == pytest.approx(want)
    frames(page)
    assert page.get_by_label("μ, mean of z").input_value() == "0"
    assert page.get_by_label("σ, standard deviation of z").get_attribute("aria-valuetext") == "0.20"
    assert page.evaluate("window.scrollY") == 0


@browser
def test_a_finger_drags_mu(page):
    mount(page, EstimatorVariance())
    box = page.locator("canvas.density").bounding_box()
    session, y = page.context.new_cdp_session(page), box["y"] + 80
    for kind, part in (("touchStart", 0.5), ("touchMove", 0.55), ("touchMove", 0.45), ("touchEnd", None)):
        points = [] if part is None else [{"x": box["x"] + part * box["width"], "y": y}]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    assert -3 < get(page, "mu") < 0


@browser
def test_tabs_radios_boxes_and_lists_by_pointer_and_keys(page):
    mount(page, EstimatorVariance())
    page.get_by_role("tab", name="z one of 3 classes").click()
    assert get(page, "tab") == "discrete"
    page.keyboard.press("ArrowLeft")
    assert get(page, "tab") == "Gaussian"
    frames(page)
    assert page.get_by_role("tab", selected=True).inner_text() == "z ~ N(μ, σ²)"
    page.get_by_label("σ", exact=True).check()
    assert get(page, "parameter") == "sigma"
    page.keyboard.press("ArrowLeft")
    assert get(page, "parameter") == "mu"
    page.get_by_label("function f").select_option("step")
    assert get(page, "function") == "step"
    page.get_by_role("checkbox", name="pathwise").press("Space")
    assert "pathwise" not in get(page, "shown")
    assert table(page)["pathwise"] == ["not shown", ""]
    assert "pathwise" not in page.locator(".sentence").inner_text()
    page.get_by_role("checkbox", name="pathwise").click()
    assert "pathwise" in get(page, "shown")
    for name in GAUSSIAN:
        page.get_by_role("checkbox", name=name).click()
    frames(page)
    assert page.locator(".sentence").inner_text() == "∂/∂μ E f(z) = 0.3521.", "nothing shown: only what is exact"
    put(page, tab="discrete")
    page.get_by_label("l₃", exact=True).check()
    assert get(page, "logit") == 2
    assert get(page, "tab") == "discrete"


@browser
def test_frozen_noise_gives_the_same_numbers_and_new_noise_others(page):
    mount(page, EstimatorVariance(draws=2))
    first = table(page)
    mu = page.get_by_label("μ, mean of z")
    mu.press("ArrowRight")
    assert table(page) != first
    mu.press("ArrowLeft")
    assert table(page) == first
    page.get_by_role("button", name="Draw again").click()
    second = table(page)
    assert second != first
    assert get(page, "seed") == 1
    page.get_by_label("Freeze the noise").uncheck()
    second = table(page)
    mu.press("ArrowRight")
    mu.press("ArrowLeft")
    assert table(page) != second
    assert get(page, "seed") == 3, "two moves"
    put(page, seed=0, frozen=True)
    assert table(page) == first


@browser
def test_every_setting_of_the_draws_keeps_enough_estimates(page):
    mount(page, EstimatorVariance())
    for draws, n in ((1, 100_000), (2, 50_000), (30, 3333), (300, 500), (1000, 500)):
        put(page, draws=draws)
        found = page.evaluate("""() => {
          const texts = [], all = CanvasRenderingContext2D.prototype, write = all.fillText;
          all.fillText = function (text, ...rest) { texts.push(text); write.call(this, text, ...rest); };
          return new Promise((done) => {
            model.fire('change:mu');
            requestAnimationFrame(() => requestAnimationFrame(() => { all.fillText = write; done(texts); }));
          });
        }""")
        text = f"{n:,}".replace(",", " ") if n >= 1000 else str(n)
        words = next(t for t in found if "estimates of" in t)
        assert words.replace(" ", " ").replace(" ", " ").startswith(f"{text} estimates of ∂/∂μ E f(z), {draws} draw")
        variances = {name: number(v[3]) for name, v in table(page).items() if len(v) > 2}
        assert variances["pathwise"] == pytest.approx(4 / draws, abs=5e-4)


@browser
def test_a_move_is_quick(page):
    mount(page, EstimatorVariance())

    def median():
        return page.evaluate("""async () => {
          const times = [];
          for (let k = 0; k < 25; k++) {
            const start = performance.now();
            model.set('mu', -1 + k / 20);
            const asked = performance.now();
            await new Promise((done) => requestAnimationFrame(() => { done(); }));
            times.push(performance.now() - start - (asked - start));
          }
          return times.sort((a, b) => a - b)[12];
        }""")

    frozen = median()
    print(f"a move, with its wait for the frame: {frozen:.1f} ms")
    assert frozen < 120


# --- axes and words -------------------------------------------------------------------------------


@browser
def test_histograms_count_everything_once(maths):
    values = (normals(5000) * 2).tolist() + [0.0] * 500 + [50.0, -50.0, 60.0]
    found = maths(
        """(v) => {
          const row = { estimates: f32(v), n: v.length, largest: 60 }, atom = module.atom(row);
          const axis = module.reach([row], 1, [atom]);
          const { counts, left, right } = module.histogram(row.estimates, axis, 80, atom.tiny);
          return { atom, axis, left, right, inside: counts.reduce((a, b) => a + b) };
        }""",
        values,
    )
    assert found["atom"]["count"] == 500
    assert found["inside"] + found["left"] + found["right"] == 5003
    assert found["left"] >= 1
    assert found["right"] >= 2
    assert -7 < found["axis"][0] < -3.5
    assert 3.5 < found["axis"][1] < 7
    alone = maths(
        """() => {
          const row = { estimates: new Float32Array(100), n: 100, largest: 0 }, atom = module.atom(row);
          return [atom, module.reach([row], 0.35, [atom]), module.reach([row], 0, [atom])];
        }"""
    )
    assert alone[0]["count"] == 100
    assert alone[1] == [0, 0.35]
    assert alone[2] == [-0.5, 0.5], "an axis even where everything is 0"


@browser
def test_numbers_stand_aligned_and_never_pretend_to_be_zero(maths):
    def texts(values, **options):
        script = "([v, o]) => { const text = module.column(v, o); return v.map((x) => text(x)); }"
        return maths(script, [values, options])

    assert texts([30.012, 4.0, 1.0931], digits=2, decent=3) == ["30.012", "4.000", "1.093"]
    assert texts([1234567.0, 0.001], digits=3, decent=3, below=True) == ["1234567", "< 1"]
    assert texts([0, 0.25], digits=2) == ["0.00", "0.25"]
    assert texts([-1e-7, 1e-7, 0.002], digits=1) == ["0.000000", "0.000000", "0.002000"], "no sign on a rounded 0"
    assert texts([2e-7, 3e-8], digits=3) == ["2.0·10⁻⁷", "3.0·10⁻⁸"]
    assert texts([0, 0], digits=3) == ["0.00", "0.00"]


@browser
def test_the_sentence_is_spoken_once_it_is_quiet(page):
    mount(page, EstimatorVariance())
    page.clock.install()
    spoken = page.locator("[aria-live=polite]")
    for mu in (0.5, 0.7, 2):
        page.evaluate("(mu) => model.set('mu', mu)", mu)
        page.clock.run_for(100)
        assert spoken.inner_text() == ""
    page.clock.run_for(700)
    assert spoken.inner_text() == page.locator(".sentence").inner_text()
    assert "= 4.000." in spoken.inner_text()
    assert "∂/∂μ E f(z) = 4.000" in page.locator("canvas.histograms").get_attribute("aria-label")


# --- a learner's own f ----------------------------------------------------------------------------


@browser
def test_a_learners_own_f_is_chosen_first_and_measured(page):
    widget = EstimatorVariance(lambda z: (z - 3) ** 2, name="mine")
    assert widget.function == "mine"
    mount(page, widget)
    assert page.get_by_label("function f").locator("option").first.inner_text() == "mine"
    assert "∂/∂μ E f(z) = −4.000." in page.locator(".sentence").inner_text()
    assert number(table(page)["score function"][3]) == pytest.approx(16 + 14 * 4 + 15, abs=0.01)
    put(page, tab="discrete")
    f, c = torch.tensor([16.0, 6.25, 1.0]), torch.zeros(3)
    want = estimators.exact_categorical(lambda z: z @ f, c)[0].item()
    assert number(re.search("= ([−0-9.]+)[.] ", page.locator(".sentence").inner_text())[1]) == pytest.approx(
        want, rel=1e-3
    )


def test_functions_of_any_kind_become_tables():
    layer = torch.nn.Parameter(torch.tensor(2.0))
    for f, slope_at_2 in (
        (torch.relu, 1),
        (lambda z: z > 0, 0),
        (lambda z: layer * z, 2),
        (lambda z: layer * (z > 9), 0),
    ):
        widget = EstimatorVariance(f)
        numbers = np.frombuffer(widget.tables, np.float32)[: 2 * len(GRID)]
        near = int((2 - GRID[0]) / (GRID[1] - GRID[0]))
        assert numbers[len(GRID) + near] == slope_at_2
        assert widget.still()
    assert layer.grad is None


def test_random_numbers_stay_as_they_were():
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    EstimatorVariance(torch.sin).still()
    EstimatorVariance(torch.sin, tab="discrete").still()
    assert torch.equal(torch.rand(3), want)


# --- looks ----------------------------------------------------------------------------------------


INK = """(selector) => {
  const canvas = document.querySelector(selector), { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
  let light = 0, dark = 0;
  for (let i = 0; i < data.length; i += 4) {
    const rgb = [...data.slice(i, i + 3)];
    if (data[i + 3] > 200 && Math.max(...rgb) - Math.min(...rgb) < 20) (rgb[0] > 128 ? light++ : dark++);
  }
  return [light, dark];
}"""


@browser
@pytest.mark.parametrize("tab", ["Gaussian", "discrete"])
def test_both_themes_and_a_switch(page, tab):
    mount(page, EstimatorVariance(tab=tab), dark=True)
    frames(page)
    canvas = "canvas.density" if tab == "Gaussian" else "canvas.simplex"
    assert page.evaluate("document.querySelector('.elbo').style.colorScheme") == "dark"
    light, dark = page.evaluate(INK, canvas)
    assert light > dark
    page.evaluate(
        """() => {
          document.body.style.cssText = 'background: #fff; color: #222';
          document.body.dataset.jpThemeLight = 'true';
        }"""
    )
    frames(page, 4)
    light, dark = page.evaluate(INK, canvas)
    assert dark > light
    sizes = page.evaluate(
        """[...document.querySelectorAll('.elbo *')].filter((node) => node.textContent)
          .map((node) => parseFloat(getComputedStyle(node).fontSize))"""
    )
    assert min(sizes) >= 13


@browser
@pytest.mark.parametrize("width", [600, 800, 1000, 1200])
@pytest.mark.parametrize("tab", ["Gaussian", "discrete"])
def test_nothing_sticks_out(page, width, tab):
    page.set_viewport_size({"width": width, "height": 900})
    mount(page, EstimatorVariance(tab=tab, draws=2, classes=range(8), function="step"))
    frames(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert (
        page.evaluate(
            "(() => { const n = document.querySelector('.numbers'); return n.scrollWidth - n.clientWidth; })()"
        )
        <= 0
    )
    wide = page.evaluate("[...document.querySelectorAll('canvas')].map((c) => c.clientWidth).filter(Boolean)")
    assert len(wide) == 2
    assert min(wide) >= 300


@browser
def test_the_triangle_is_drawn_for_three_classes_only(page):
    blue = """() => {
      const canvas = document.querySelector('canvas.simplex'), { width, height } = canvas;
      const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
      let blue = 0;
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] && data[i + 2] > data[i] + 60) blue++;
      return blue;
    }"""
    mount(page, EstimatorVariance(tab="discrete", tau=1.0))
    frames(page)
    spread = page.evaluate(blue)
    put(page, tau=10.0)
    assert 0 < page.evaluate(blue) < spread / 3, "a high temperature gathers the draws in the middle"
    mount(page, EstimatorVariance(tab="discrete", classes=(0, 1)))
    frames(page)
    assert page.evaluate(blue) == 0


@browser
def test_no_frame_is_empty_while_moving(page):
    """A canvas is cleared and drawn in one go: whenever the page is painted, both hold a picture."""
    mount(page, EstimatorVariance())
    frames(page)
    least = page.evaluate("""async () => {
      const filled = (canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
        .reduce((sum, v, i) => sum + (i % 4 === 3 && v > 0), 0);
      const canvases = ['density', 'histograms'].map((name) => document.querySelector(`canvas.${name}`));
      let least = Infinity;
      for (let k = 0; k < 20; k++) {
        model.set('mu', k / 10);
        await new Promise((done) => requestAnimationFrame(done));
        least = Math.min(least, ...canvases.map(filled));
      }
      return least;
    }""")
    assert least > 2000


# --- several views, pages without a kernel --------------------------------------------------------


@browser
def test_two_views_move_together_with_the_same_noise_and_one_may_close(page):
    mount(page, EstimatorVariance(frozen=False, draws=2))
    page.evaluate("async () => { window.second = await show(); }")
    page.get_by_label("μ, mean of z").first.press("ArrowRight")
    frames(page)
    texts = page.locator("table.results:visible").all_inner_texts()
    assert len(texts) == 2
    assert texts[0] == texts[1]
    page.get_by_label("σ", exact=True).nth(1).check()
    frames(page)
    assert page.locator("input[type=radio]:checked:visible").count() == 2, "each view has its own group of buttons"
    page.evaluate("() => first.cleanup()")
    put(page, mu=2)
    assert page.locator(".elbo").count() == 1
    assert "∂/∂σ" in page.locator(".sentence").inner_text()


@browser
@pytest.mark.parametrize("tab", ["Gaussian", "discrete"])
def test_a_closed_view_leaves_nothing_behind(page, tab):
    mount(page, EstimatorVariance(tab=tab))
    before, opened, closed = page.evaluate("""async () => {
      first.cleanup();
      const alive = { listeners: 0, observers: 0 }, add = EventTarget.prototype.addEventListener;
      EventTarget.prototype.addEventListener = function (name, callback, options) {
        if (!(this instanceof AbortSignal)) {
          alive.listeners++;
          if (options?.signal) add.call(options.signal, 'abort', () => alive.listeners--);
        }
        return add.call(this, name, callback, options);
      };
      for (const kind of [ResizeObserver, MutationObserver]) {
        const { observe, disconnect } = kind.prototype;
        kind.prototype.observe = function (...what) {
          if (!this.counted) alive.observers++;
          this.counted = true;
          return observe.apply(this, what);
        };
        kind.prototype.disconnect = function () { alive.observers--; return disconnect.call(this); };
      }
      const count = () => [model.listening(), alive.listeners, alive.observers, document.body.childElementCount];
      const before = count(), second = await show(), opened = count();
      model.set('mu', 2);
      second.cleanup();
      second.el.remove();
      return [before, opened, count()];
    }""")
    assert closed == before
    assert all(more > less for more, less in zip(opened, before, strict=True)), "a leak would be seen"


@browser
def test_the_page_needs_no_kernel_and_saves_once_a_frame(page):
    mount(page, EstimatorVariance())
    page.evaluate("() => { model.send = () => { throw new Error('no kernel'); }; }")
    for key in ("ArrowRight",) * 5:
        page.get_by_label("μ, mean of z").press(key)
    frames(page)
    assert get(page, "mu") == pytest.approx(1.5)
    assert "= 3.000." in page.locator(".sentence").inner_text()
    page.evaluate("() => { model.saved = 0; const { density } = {}; }")
    page.evaluate("""async () => {
      const slider = document.querySelector('input[aria-label^="μ"]');
      for (let k = 0; k < 50; k++) { slider.value = k / 50; slider.dispatchEvent(new Event('input')); }
      await new Promise(requestAnimationFrame);
    }""")
    assert page.evaluate("model.saved") <= 2


@browser
def test_a_message_is_shown_as_an_error(page):
    widget = EstimatorVariance()
    mount(page, widget)
    widget.say("the still picture stopped: ValueError: no", ValueError("no"))
    update(page, widget, "message", "failed")
    assert page.locator(".line.failed").inner_text() == "the still picture stopped: ValueError: no"


# --- as Python sees it ----------------------------------------------------------------------------


@browser
def test_a_cell_moves_the_page(page):
    widget = EstimatorVariance()
    mount(page, widget)
    widget.mu, widget.draws, widget.shown = torch.tensor(2.0), 10, ["pathwise", "score function"]
    update(page, widget, "mu", "draws", "shown")
    frames(page)
    assert "= 4.000." in page.locator(".sentence").inner_text()
    assert table(page)["measure-valued"] == ["not shown", ""]
    widget.tab, widget.logits, widget.logit = "discrete", torch.tensor([1.0, 0, -1]), 2
    update(page, widget, "tab", "logits", "logit")
    frames(page)
    assert page.get_by_label("logit of class 1, c = −1").input_value() == "1"
    assert "∂/∂l₃" in page.locator(".sentence").inner_text()


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("mu", 7, "a number from −3 to 3, as on the slider"),
        ("mu", "1", "a number from −3 to 3"),
        ("mu", float("nan"), "a number from −3 to 3"),
        ("sigma", 0, "a number from 0.2 to 3"),
        ("sigma", True, "a number from 0.2 to 3"),
        ("tau", 0.01, "a number from 0.05 to 10"),
        ("draws", 3, "1, 2, 5, 10, 30, 100, 300 or 1000"),
        ("parameter", "tau", "'mu' or 'sigma'"),
        ("function", "cubic", "'quadratic', 'sine', 'step', 'rare event' or 'fast wiggle'"),
        ("function", ["sine"], "'quadratic', "),
        ("tab", "Poisson", "'Gaussian' or 'discrete'"),
        ("shown", ["score"], "a list of names out of score function, "),
    ],
)
def test_bad_settings_are_named_at_the_start_and_later(name, value, wanted):
    message = "^" + re.escape(f"{name}: got ") + ".*wanted " + re.escape(wanted)
    with pytest.raises(ValueError, match=message):
        EstimatorVariance(**{name: value})
    widget = EstimatorVariance()
    before = getattr(widget, name)
    with pytest.raises(TraitError, match=message):
        setattr(widget, name, value)
    assert getattr(widget, name) == before


@pytest.mark.parametrize(
    ("name", "value"), [("logits", [1, 2]), ("logits", [0, 0, 9]), ("logits", "abc"), ("logit", 3)]
)
def test_bad_logits_are_named(name, value):
    with pytest.raises(TraitError, match=f"^{name}: got .*wanted "):
        setattr(EstimatorVariance(), name, value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"f": 3}, "^f: got 3, wanted a function that takes a tensor"),
        ({"f": torch.sum}, r"^f: got shape \(\) from z of shape \(19200,\), wanted the same shape"),
        ({"f": lambda z: 3.0}, "^f: got float from z"),
        ({"f": lambda z: z[:5]}, r"^f: got shape \(5,\)"),
        ({"f": torch.log}, "^f: got NaN or infinity as f.z. at z = -24, wanted finite numbers"),
        (
            {"f": lambda z: (z - z.detach().round()).abs().sqrt() * 0 + z.abs().clamp(min=0).sub(0.00125).abs().sqrt()},
            "^f: ",
        ),
        ({"f": lambda z: z / z.sum()}, "^f: got other values for the same z"),
        ({"f": lambda z: z + torch.rand_like(z)}, "^f: got other values for the same z"),
        ({"f": lambda z: 1 / 0}, "^f: got ZeroDivisionError: division by zero for z of shape"),
        ({"f": torch.sin, "name": "step"}, "^name: got 'step', wanted a text, and none of quadratic"),
        ({"f": torch.sin, "name": ""}, "^name: got ''"),
        ({"classes": [1]}, r"^classes: got \[1\], wanted 2 to 8 numbers"),
        ({"classes": range(9)}, "^classes: got"),
        ({"classes": (0, 99)}, "^classes: got"),
        ({"classes": "01"}, "^classes: got"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        EstimatorVariance(**arguments)


def test_numbers_of_many_kinds_are_taken():
    widget = EstimatorVariance(mu=np.float32(0.5), sigma=torch.tensor(2.0), classes=torch.tensor([0.0, 1.0]), draws=5)
    assert (widget.mu, widget.sigma, widget.classes, widget.logits) == (0.5, 2, [0, 1], [0, 0])
    widget.logits = (1, np.float64(-1))
    assert widget.logits == [1, -1]


# --- where no front end can draw it ---------------------------------------------------------------


@pytest.mark.parametrize("tab", ["Gaussian", "discrete"])
@pytest.mark.parametrize("draws", [1, 5])
@pytest.mark.parametrize("function", ["step", "quadratic"])
def test_still_picture(tab, draws, function):
    widget = EstimatorVariance(tab=tab, draws=draws, function=function)
    png = widget.still()
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    assert picture.shape[1] == 900
    red = (picture[..., 0] > picture[..., 2] + 60).sum()
    assert red > 500, "the score function's row"
    assert widget.still() == png, "a fixed seed"
    widget.shown = ["pathwise", "straight-through"]
    assert Image.open(io.BytesIO(widget.still())).size[1] < picture.shape[0]


def test_output_holds_the_widget_a_picture_and_a_sentence():
    widget = EstimatorVariance()
    data, _ = widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).format == "PNG"
    assert data["text/plain"].startswith("gradient estimators of E f(z) side by side: live in JupyterLab")
