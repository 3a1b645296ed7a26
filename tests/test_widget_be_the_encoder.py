"""Be the encoder: ELBOs against Gauss–Hermite quadrature of the model itself, every control, what stays hidden."""

import base64
import io
import math

import numpy as np
import pytest
import torch
from browser import mount, update
from PIL import Image
from traitlets import TraitError

from course_lib.metrics import grid
from course_lib.widgets import BeTheEncoder

browser = pytest.mark.browser
LIMIT, CELLS, NOISE = 4.0, 96, 0.3
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(120)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def ring(z):
    """The plane bent around a ring with a soft hole: posteriors are bananas."""
    return 2 * z / (z.square().sum(-1, keepdim=True) + 0.3).sqrt() + z / 6


def folded(z):
    """z1 and −z1 give almost the same x: posteriors have two humps."""
    return torch.stack([z[..., 0] ** 2 / 1.5, z[..., 1] + 0.5 * torch.sin(2 * z[..., 0])], -1)


def log_joint(x, z, g):
    """log p(x, z), (B, G), with z ~ N(0, I) and x|z ~ N(g(z), NOISE² I)."""
    distance = (x[:, None] - g(z)).square().sum(-1)
    log_normal = -2 * math.log(2 * math.pi) - 2 * math.log(NOISE)
    return log_normal - distance / (2 * NOISE**2) - z.square().sum(-1) / 2


def truth(x, mean, sd, g):
    """E_q[log p(x, z)] + entropy by 120 × 120 Gauss–Hermite nodes, nats. No table."""
    nodes = np.stack(np.meshgrid(mean[0] + sd[0] * NODES, mean[1] + sd[1] * NODES, indexing="ij"), -1)
    values = log_joint(x[None], torch.tensor(nodes.reshape(-1, 2)), g).reshape(120, 120).numpy()
    return WEIGHTS @ values @ WEIGHTS + math.log(2 * math.pi * math.e) + math.log(sd[0] * sd[1])


def example(g=ring, cells=CELLS, count=4):
    """(x, arguments of the widget); the best Gaussians by gradient ascent, the network's as bad ones."""
    generator = torch.Generator().manual_seed(2)
    noise = torch.randn(2, count, 2, generator=generator, dtype=torch.float64)
    x = g(noise[0]) + NOISE * noise[1]
    z = grid(cells, LIMIT, dtype=torch.float64)
    table = log_joint(x, z, g)
    log_px = table.logsumexp(1) + math.log((2 * LIMIT / cells) ** 2)
    p = table.softmax(1)
    peak = z[p.argmax(1)]
    mean, log_sd = peak.clone().requires_grad_(), torch.full_like(peak, -1.0).requires_grad_()
    t, weights = torch.tensor(NODES[40:80]), torch.tensor(WEIGHTS[40:80])
    nodes, weight = torch.cartesian_prod(t, t)[:, None], torch.outer(weights, weights).flatten()
    optimizer = torch.optim.LBFGS([mean, log_sd], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        at = mean + log_sd.exp() * nodes
        energy = (x - g(at)).square().sum(-1) / (2 * NOISE**2) + at.square().sum(-1) / 2
        value = (weight @ energy - log_sd.sum(-1)).sum()
        value.backward()
        return value

    optimizer.step(loss)
    best = mean.detach(), log_sd.detach().exp()
    network = best[0] + 0.1, best[1] * 1.3
    return x, (table.reshape(count, cells, cells), log_px, best, network)


EXAMPLE = {g: example(g) for g in (ring, folded)}


def widget_of(g=ring, **options):
    return BeTheEncoder(*EXAMPLE[g][1], limit=LIMIT, **options)


def frames(page):
    """Lets pending animation frames run."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def q_of(page):
    return page.evaluate("[model.get('mean'), model.get('sd')]")


def put(page, mean, sd):
    page.evaluate("([mean, sd]) => model.update({ mean, sd })", [mean, sd])
    frames(page)


def elbo_on(page):
    frames(page)
    return float(page.locator(".number output").inner_text().replace("−", "-"))


def unit(page):
    """Pixels per unit of z, when the whole plane is shown."""
    return (page.locator("canvas.posterior").bounding_box()["width"] - 56) / (2 * LIMIT)


def at(page, u, v):
    """The place on the page of a point of the plane: margins 46 at the left, 10 at the top."""
    box = page.locator("canvas.posterior").bounding_box()
    return box["x"] + 46 + (u + LIMIT) * unit(page), box["y"] + 10 + (LIMIT - v) * unit(page)


def drag(page, start, *places):
    page.mouse.move(*start)
    page.mouse.down()
    for place in places:
        page.mouse.move(*place)
    page.mouse.up()


def press(page, name):
    page.get_by_role("button", name=name).click()
    frames(page)


# --- numbers --------------------------------------------------------------------------------------


GAUSSIANS = [
    ((0, 0), (0.75, 0.75)),
    ((-1, 0.5), (0.02, 0.02)),
    ((1, 1), (0.01, 0.4)),
    ((0.03, -0.02), (0.05, 0.5)),
    ((1.7, -1.1), (0.35, 0.2)),
    ((-2.5, 2.5), (0.2, 0.1)),
]


@browser
@pytest.mark.parametrize("g", [ring, folded])
def test_the_elbo_agrees_with_quadrature_of_the_model(page, g):
    widget, (x, arguments) = widget_of(g), EXAMPLE[g]
    mount(page, widget)
    compute = """([b, q]) => {
      const all = model.get('table'), { n, limit } = model.get('frame');
      const table = new Float32Array(all.buffer, all.byteOffset + 4 * b * n * n, n * n);
      return module.elboOf(table, n, limit, q);
    }"""
    worst = 0
    fitted = list(zip(*(v[:3].tolist() for v in arguments[2]), strict=True))
    for b in range(3):
        for mean, sd in [*GAUSSIANS, fitted[b]]:
            want = truth(x[b], mean, sd, g)
            got = page.evaluate(compute, [b, {"mean": mean, "sd": sd}])
            assert got == pytest.approx(widget.elbo_of(b, mean, sd), abs=1e-9), "Python's is the browser's"
            worst = max(worst, abs(got - want))
            assert got == pytest.approx(want, abs=1e-3)
    got = widget.elbo_of(0, (0, 0), (1, 1))  # 6e-5 of it lies beyond the grid, where this model's energy is quartic
    assert got == pytest.approx(truth(x[0], (0, 0), (1, 1), g), rel=2e-3)
    print(f"{g.__name__}: worst error {worst:.1e} nats")


def test_a_gaussian_model_has_its_closed_form():
    """x = z + noise: log p(x), the best q and its ELBO are known, and the best has no gap."""
    x, s2 = torch.tensor([[0.7, -1.2]], dtype=torch.float64), 0.25
    z = grid(64, 4.0, dtype=torch.float64)
    table = -((x - z) ** 2).sum(-1) / (2 * s2) - z.square().sum(-1) / 2 - 2 * math.log(2 * math.pi) - math.log(s2)
    log_px = -x.square().sum(-1) / (2 * (1 + s2)) - math.log(2 * math.pi * (1 + s2))
    best = x / (1 + s2), torch.full_like(x, math.sqrt(s2 / (1 + s2)))
    widget = BeTheEncoder(table.view(1, 64, 64), log_px, best, best, limit=4)
    assert widget.elbo_of(0, *(v[0].tolist() for v in best)) == pytest.approx(log_px.item(), abs=1e-5)
    for mean, sd in (((5, 5), (1, 1)), ((8, 0), (3, 0.01))):
        likelihood = sum((m - v) ** 2 + s * s for m, v, s in zip(mean, x[0].tolist(), sd, strict=True)) / (2 * s2)
        assert math.isfinite(widget.elbo_of(0, mean, sd))
        assert widget.elbo_of(0, mean, sd) > -likelihood - 100
    falling = [widget.elbo_of(0, (m, 0), (0.1, 0.1)) for m in (3, 4, 5, 6, 8, 20)]
    assert falling == sorted(falling, reverse=True), "beyond the grid it falls"


@browser
def test_the_page_shows_elbo_identity_and_its_own_best(page):
    widget = widget_of()
    mount(page, widget)
    x, (_, log_px, *_) = EXAMPLE[ring]
    want = truth(x[0], (0, 0), (1, 1), ring)
    assert elbo_on(page) == pytest.approx(want, abs=1e-3)
    assert widget.elbo == pytest.approx(want, abs=1e-3)
    text = page.locator(".sum").inner_text().replace("−", "-")
    assert text == f"= log p(x) - KL(q‖p(z|x)) = {log_px[0]:.3f} - {log_px[0] - widget.elbo:.3f}"
    put(page, [1.7, 0.1], [0.4, 0.3])
    better = elbo_on(page)
    put(page, [-4, 4], [4, 0.01])
    assert elbo_on(page) < -50
    own = page.locator(".own").inner_text().removeprefix("your best here: ").removesuffix(" nats").replace("−", "-")
    assert float(own) == pytest.approx(max(better, want), abs=1e-3)
    assert page.evaluate("model.get('yours')[0][0]") == pytest.approx(max(better, want), abs=1e-3)


@browser
def test_finite_at_the_corners(page):
    mount(page, widget_of(folded))
    for mean in ([-4, -4], [4, 4], [0, 0]):
        for sd in ([0.01, 0.01], [4, 4], [0.01, 4]):
            put(page, mean, sd)
            assert math.isfinite(elbo_on(page))


# --- moving ---------------------------------------------------------------------------------------


@browser
def test_drag_the_middle(page):
    mount(page, widget_of())
    middle = at(page, 0, 0)
    page.mouse.move(*middle)
    assert q_of(page) == [[0, 0], [1, 1]], "hovering moves nothing"
    drag(page, at(page, 0.5, 0.5), at(page, 1, 1.5), at(page, 2, -1))
    assert q_of(page) == [[pytest.approx(1.5, abs=0.01), pytest.approx(-1.5, abs=0.01)], [1, 1]], "grabbed off centre"
    put(page, [0, 0], [0.3, 0.3])
    drag(page, at(page, 2, 2))
    assert q_of(page)[0] == [pytest.approx(2, abs=0.02)] * 2, "pressed far from q: it comes"
    drag(page, at(page, 2, 2), (1000, 3))
    assert q_of(page)[0] == [4, 4], "up to the edge"
    page.mouse.move(*at(page, 0, 0))
    assert q_of(page)[0] == [4, 4]
    page.mouse.click(*at(page, -1, -1), button="right")
    assert q_of(page)[0] == [4, 4]


@browser
def test_drag_the_handles(page):
    mount(page, widget_of())
    drag(page, at(page, 2, 0), at(page, 1, 0), at(page, 0.5, 3))
    assert q_of(page) == [[0, 0], [pytest.approx(0.25, abs=0.01), 1]], "the right handle moves σ1 alone"
    drag(page, at(page, 0, 2), at(page, 3, 3))
    assert q_of(page) == [[0, 0], [pytest.approx(0.25, abs=0.01), pytest.approx(1.5, abs=0.01)]]
    put(page, [1, 1], [0.02, 0.05])
    x, y = at(page, 1, 1)
    drag(page, (x - 26, y), (x - 26 - unit(page), y))
    assert q_of(page)[1] == [pytest.approx(0.52, abs=0.01), 0.05], "narrow ones too: the handle keeps its distance"
    drag(page, (x, y + 26), (x, y - 300))
    assert q_of(page) == [[1, 1], [pytest.approx(0.52, abs=0.01), 0.01]], "not below the least"
    x, y = at(page, 1 - 2 * q_of(page)[1][0], 1)
    drag(page, (x, y), (x - 900, y))
    assert q_of(page)[1] == [4, 0.01], "nor above the largest"


@browser
def test_a_finger_drags_q_and_not_the_page(page):
    mount(page, widget_of())
    page.evaluate("() => { document.body.style.height = '3000px'; }")
    session = page.context.new_cdp_session(page)

    def touch(kind, *place):
        points = [{"x": place[0], "y": place[1]}] if place else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", *at(page, 0, 0))
    for k in range(1, 5):
        touch("touchMove", *at(page, -0.25 * k, 0.5 * k))
        frames(page)
    touch("touchEnd")
    assert q_of(page)[0] == [pytest.approx(-1, abs=0.02), pytest.approx(2, abs=0.02)]
    assert page.evaluate("window.scrollY") == 0


@browser
def test_keys(page):
    mount(page, widget_of())
    page.evaluate(
        """() => {
          document.body.style.height = '3000px';
          window.heard = 0;
          addEventListener('keydown', (event) => { heard += event.key !== 'Shift'; });
        }"""
    )
    page.locator("canvas.posterior").focus()
    for key, want in (
        ("ArrowRight", [0.1, 0]),
        ("ArrowUp", [0.1, 0.1]),
        ("Shift+ArrowUp", [0.1, 0.6]),
        ("Shift+ArrowLeft", [-0.4, 0.6]),
        ("ArrowDown", [-0.4, 0.5]),
    ):
        page.keyboard.press(key)
        assert q_of(page) == [want, [1, 1]]
    for _ in range(10):
        page.keyboard.press("Shift+ArrowRight")
        page.keyboard.press("Shift+ArrowDown")
    assert q_of(page)[0] == [4, -4]
    page.keyboard.press("Home")
    assert q_of(page) == [[0, 0], [1, 1]]
    assert page.evaluate("[window.scrollY, heard]") == [0, 0], "neither the page nor the notebook took them"


@browser
def test_sliders_at_both_ends_and_the_middle(page):
    mount(page, widget_of())
    sliders = page.locator("input[type=range]")
    assert [s.get_attribute("aria-label")[:2] for s in sliders.all()] == ["μ₁", "μ₂", "σ₁", "σ₂"]
    for d in range(2):
        for value in (-4, 0, 4, 1.23):
            sliders.nth(d).fill(str(value))
            assert q_of(page)[0][d] == value
            assert math.isfinite(elbo_on(page))
        assert sliders.nth(d).get_attribute("aria-valuetext") == "1.23"
        sliders.nth(d).press("ArrowLeft")
        sliders.nth(d).press("ArrowLeft")
        assert q_of(page)[0][d] == pytest.approx(1.03), "two keys within a frame count twice"
        spread = sliders.nth(2 + d)
        spread.press("End")
        assert q_of(page)[1][d] == 4
        assert math.isfinite(elbo_on(page))
        spread.press("Home")
        assert q_of(page)[1][d] == 0.01
        spread.press("ArrowRight")
        assert q_of(page)[1][d] == pytest.approx(0.01 * 10**0.05, abs=1e-5)
        frames(page)
        assert spread.get_attribute("aria-valuetext") == "0.011"


# --- uphill ---------------------------------------------------------------------------------------


@browser
@pytest.mark.parametrize("g", [ring, folded])
def test_uphill_ends_at_the_best_gaussian(page, g):
    widget = widget_of(g)
    mount(page, widget)
    best = [v[0].tolist() for v in EXAMPLE[g][1][2]]
    seen = [elbo_on(page)]
    for _ in range(60):
        press(page, "One step uphill")
        seen.append(page.evaluate("model.get('yours')[0][0]"))
        if page.locator(".line").inner_text():
            break
    assert page.locator(".line").inner_text() == "On a top: no small step leads up."
    assert seen[1:-1] == sorted(seen[1:-1])
    mean, sd = q_of(page)
    assert mean == pytest.approx(best[0], abs=2e-3)
    assert sd == pytest.approx(best[1], rel=5e-3)
    assert widget.elbo_of(0, mean, sd) == pytest.approx(widget.elbo_of(0, *best), abs=1e-4)


@browser
def test_uphill_from_anywhere(page):
    widget = widget_of(folded)
    mount(page, widget)
    walk = """([b, q]) => {
      const all = model.get('table'), { n, limit } = model.get('frame');
      const table = new Float32Array(all.buffer, all.byteOffset + 4 * b * n * n, n * n), seen = [];
      const elbo = (at) => module.elboOf(table, n, limit, at);
      for (let k = 0; k < 300 && q; k++) { seen.push(elbo(q)); q = module.uphill(elbo, q); }
      return seen;
    }"""
    for b in range(4):
        best = widget.elbo_of(b, *(v[b].tolist() for v in EXAMPLE[folded][1][2]))
        for mean, sd in (((3, 3), (0.02, 0.02)), ((-3, 0), (0.05, 3)), ((0, -4), (4, 0.01))):
            seen = page.evaluate(walk, [b, {"mean": mean, "sd": sd}])
            assert np.diff(seen).min() > 0
            assert len(seen) < 300, "it ends"
            assert best - 0.7 < seen[-1] < best + 1e-4, "on one hump or the other"
    between = page.evaluate(walk, [2, {"mean": [0, 0], "sd": [1, 1]}])
    assert between[-1] < -7, "from the prior: over both humps, a top of its own that is far from the best"


@browser
def test_ten_steps_are_an_animation_that_gives_way(page):
    mount(page, widget_of())
    seen = page.evaluate(
        """async () => {
          const seen = [];
          model.on('change:mean', () => seen.push(model.get('mean')));
          [...document.querySelectorAll('button')].find((b) => b.textContent === 'Ten steps').click();
          const late = performance.now() + 5000;
          while (seen.length < 10 && performance.now() < late) await new Promise((done) => setTimeout(done, 20));
          await new Promise((done) => setTimeout(done, 150));
          return seen.length;
        }"""
    )
    assert seen == 10
    press(page, "Back to the prior")
    assert q_of(page) == [[0, 0], [1, 1]]
    page.get_by_role("button", name="Ten steps").click()
    page.locator("canvas.posterior").focus()
    page.keyboard.press("Home")
    page.wait_for_timeout(150)
    assert q_of(page) == [[0, 0], [1, 1]], "a key takes q from the walk"
    page.get_by_role("button", name="Ten steps").click()
    page.evaluate("model.update({ mean: [2, 2] })")
    page.wait_for_timeout(150)
    assert q_of(page)[0] == [2, 2], "so does a cell"


# --- what is hidden, and the strip ----------------------------------------------------------------


TEXTS = """() => {
  const texts = [], all = CanvasRenderingContext2D.prototype, write = all.fillText;
  all.fillText = function (text, ...rest) { texts.push(text); write.call(this, text, ...rest); };
  const ellipses = [], shape = Path2D.prototype.ellipse;
  Path2D.prototype.ellipse = function (...numbers) { ellipses.push(numbers); shape.call(this, ...numbers); };
  model.fire('change:yours');
  return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
    all.fillText = write;
    Path2D.prototype.ellipse = shape;
    done([texts, ellipses.length]);
  })));
}"""


@browser
def test_scores_and_ellipses_are_hidden_until_asked_for(page):
    widget = widget_of()
    mount(page, widget)
    _, (_, log_px, best, network) = EXAMPLE[ring]
    texts, ellipses = page.evaluate(TEXTS)
    assert ("network" in texts, "best diagonal Gaussian" in texts, ellipses) == (False, False, 2)
    row = page.locator("tr.network td")
    assert row.all_inner_texts() == ["", "?", "?", "?", "?"]
    everything = page.locator(".elbo").inner_text() + page.locator("canvas.identity").get_attribute("aria-label")
    gaps = {
        name: [log_px[b].item() - widget.elbo_of(b, m[b].tolist(), s[b].tolist()) for b in range(4)]
        for name, (m, s) in (("network", network), ("best", best))
    }
    for name in gaps:
        assert f"{gaps[name][0]:.3f}" not in everything
    press(page, "Show the network's")
    texts, ellipses = page.evaluate(TEXTS)
    assert ("network" in texts, "best diagonal Gaussian" in texts, ellipses) == (True, False, 4)
    assert row.all_inner_texts() == ["", f"{gaps['network'][0]:.2f}", "?", "?", "?"], "this datapoint's only"
    press(page, "Show the best")
    texts, ellipses = page.evaluate(TEXTS)
    assert ("network" in texts, "best diagonal Gaussian" in texts, ellipses) == (True, True, 6)
    assert f"Of the gap, {gaps['best'][0]:.3f} is the approximation gap" in page.locator(".sum").inner_text()
    assert page.evaluate("model.get('revealed')") == {"network": [0], "best": [0]}
    press(page, "Hide the network's")
    assert page.evaluate(TEXTS)[1] == 4
    press(page, "next datapoint")
    assert page.evaluate(TEXTS)[1] == 2, "one tries first at each"
    for _ in range(3):
        press(page, "Show the best")
        page.evaluate("document.querySelector('[aria-label=\"next datapoint\"]').click()")
        frames(page)
    assert page.locator("tr.best td").all_inner_texts() == [
        f"{v:.2f}" for v in [sum(gaps["best"]) / 4, *gaps["best"]]
    ], "the mean appears once all are known"


@browser
def test_datapoints_by_buttons(page):
    widget = widget_of()
    mount(page, widget)
    back, on = page.get_by_label("previous datapoint"), page.get_by_label("next datapoint")
    assert back.is_disabled()
    put(page, [1, 1], [0.5, 0.5])
    put(page, [-3, 3], [2, 2])
    kept = page.evaluate("model.get('yours')[0]")
    on.click()
    frames(page)
    assert page.locator(".title").inner_text() == "datapoint 2 of 4"
    assert q_of(page) == [[0, 0], [1, 1]], "a new datapoint starts at the prior"
    assert elbo_on(page) == pytest.approx(widget.elbo_of(1, (0, 0), (1, 1)), abs=6e-4)
    assert page.evaluate("model.get('yours')[0]") == kept
    back.click()
    frames(page)
    assert q_of(page) == kept[1:], "an old one at what was best"
    page.get_by_label("datapoint 4", exact=True).click()
    frames(page)
    assert on.is_disabled()
    assert page.evaluate("model.get('index')") == 3
    cells = page.locator("tr.yours td").all_inner_texts()
    log_px = EXAMPLE[ring][1][1]
    assert cells[1:] == [
        f"{log_px[0] - kept[0]:.2f}",
        f"{log_px[1] - widget.elbo_of(1, (0, 0), (1, 1)):.2f}",
        "–",
        f"{log_px[3] - widget.elbo_of(3, (0, 0), (1, 1)):.2f}",
    ]
    assert page.locator("[aria-current=true]").inner_text() == "4"


@browser
def test_python_moves_the_page_and_the_page_can_be_read(page):
    widget = widget_of()
    mount(page, widget)
    widget.index, widget.mean, widget.sd = 2, torch.tensor([0.5, -1.0]), (0.25, np.float64(0.5))
    update(page, widget, "index", "mean", "sd")
    assert elbo_on(page) == pytest.approx(widget.elbo, abs=6e-4)
    assert page.locator(".title").inner_text() == "datapoint 3 of 4"
    assert page.evaluate("model.get('yours')[2].slice(1)") == [[0.5, -1], [0.25, 0.5]]


# --- looks ----------------------------------------------------------------------------------------


RED_BLUE = """([x, y]) => {
  const canvas = document.querySelector('canvas.posterior'), box = canvas.getBoundingClientRect();
  const g = canvas.getContext('2d'), scale = canvas.width / box.width;
  return Array.from(g.getImageData((x - box.left) * scale, (y - box.top) * scale, 1, 1).data);
}"""


@browser
def test_the_posterior_is_where_it_is(page):
    mount(page, widget_of())
    table = EXAMPLE[ring][1][0]
    for b in range(4):
        page.evaluate("(b) => model.update({ index: b })", b)
        put(page, [-3.5, -3.5], [0.01, 0.01])
        k = table[b].flatten().argmax().item()
        peak = ((torch.tensor([k // CELLS, k % CELLS]) + 0.5) * 2 * LIMIT / CELLS - LIMIT).tolist()
        _, _, blue, alpha = page.evaluate(RED_BLUE, list(at(page, *peak)))
        assert alpha > 150
        assert blue > 150, "first latent to the right, second upwards"
        assert page.evaluate(RED_BLUE, list(at(page, *[-v for v in peak])))[3] < 40


@browser
def test_zoom_brings_the_posterior_near_and_drags_there(page):
    mount(page, widget_of())
    page.get_by_label("Zoom in on the posterior").check()
    frames(page)
    assert page.evaluate("model.get('zoom')")
    box = page.locator("canvas.posterior").bounding_box()
    drag(page, (box["x"] + 60, box["y"] + 20), (box["x"] + 46, box["y"] + 10))
    corner = q_of(page)[0]
    drag(page, (box["x"] + 46, box["y"] + 10), (box["x"] + box["width"] - 10, box["y"] + box["height"] - 46))
    other = q_of(page)[0]
    side = other[0] - corner[0]
    assert 0.3 < side < 7
    assert corner[1] - other[1] == pytest.approx(side, abs=0.03), "still a square"
    p = EXAMPLE[ring][1][0][0].flatten().softmax(0)
    centre = (p @ grid(CELLS, LIMIT, dtype=torch.float64)).tolist()
    assert corner[0] < centre[0] < other[0]
    assert other[1] < centre[1] < corner[1]


@browser
def test_both_themes_and_a_switch(page):
    mount(page, widget_of(), dark=True)
    ink = """() => {
      const canvas = document.querySelector('canvas.posterior'), g = canvas.getContext('2d');
      const { data } = g.getImageData(0, 0, canvas.width * 40 / canvas.clientWidth, canvas.height);
      let light = 0, dark = 0;
      for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 200) (data[i] > 128 ? light++ : dark++);
      return light > dark ? 'light' : 'dark';
    }"""
    assert page.evaluate(ink) == "light"
    frames(page)
    assert page.evaluate("document.querySelector('.elbo').style.colorScheme") == "dark"
    page.evaluate(
        """() => {
          document.body.style.cssText = 'background: #fff; color: #222';
          document.body.dataset.jpThemeLight = 'true';
        }"""
    )
    frames(page)
    assert page.evaluate(ink) == "dark"
    sizes = page.evaluate(
        """[...document.querySelectorAll('.elbo *')].filter((node) => node.textContent)
          .map((node) => parseFloat(getComputedStyle(node).fontSize))"""
    )
    assert min(sizes) >= 13


@browser
@pytest.mark.parametrize("width", [1200, 1000, 620, 380])
def test_nothing_sticks_out(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    table, log_px, best, network = EXAMPLE[ring][1]
    many = [v.repeat(5, *[1] * (v.ndim - 1)) for v in (table, log_px)]
    pairs = [tuple(v.repeat(5, 1) for v in pair) for pair in (best, network)]
    mount(page, BeTheEncoder(*many, *pairs, limit=LIMIT, images=torch.rand(20, 784)))
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@browser
def test_images_are_shown(page):
    images = torch.rand(4, 12, generator=torch.Generator().manual_seed(0))
    mount(page, widget_of(images=images, shape=(3, 4)))
    press(page, "next datapoint")
    got = page.evaluate(
        """() => {
          const canvas = document.querySelector('canvas.screen'), { width, height } = canvas;
          return [width, height, Array.from(canvas.getContext('2d').getImageData(0, 0, width, height).data)];
        }"""
    )
    assert got[:2] == [4, 3]
    assert got[2][::4] == (images[1] * 255).round().int().tolist()


@browser
def test_what_a_screen_reader_gets(page):
    widget = widget_of()
    mount(page, widget)
    start = "Datapoint 1 of 4. q has mean (0.00, 0.00), standard deviations (1.00, 1.00). ELBO "
    assert page.locator("canvas.posterior").get_attribute("aria-label").startswith(start)
    page.locator("canvas.posterior").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "document.querySelector('[aria-live=polite]').textContent.startsWith('Datapoint 1 of 4. q has mean (0.10')"
    )
    named = page.evaluate(
        "[...document.querySelectorAll('input, button, canvas')].map((n) => n.ariaLabel || n.innerText || n.labels)"
    )
    assert all(named)


# --- several views, and their ends ----------------------------------------------------------------


@browser
def test_two_views_move_together_and_a_closed_one_leaves_nothing(page):
    mount(page, widget_of())
    page.evaluate("async () => { window.before = model.listening(); window.second = await show(); }")
    page.locator("input[type=range]").first.fill("2.5")
    frames(page)
    assert page.locator("input[type=range]").nth(4).input_value() == "2.5"
    numbers = page.locator(".number output").all_inner_texts()
    assert numbers[0] == numbers[1]
    page.get_by_role("button", name="Ten steps").nth(1).click()
    page.evaluate("() => { second.cleanup(); second.el.remove(); }")
    q = q_of(page)
    page.wait_for_timeout(200)
    assert q_of(page) == q, "its walk ends with it"
    assert page.evaluate("model.listening() - before") == 0
    page.evaluate("() => { first.cleanup(); }")
    assert page.evaluate("model.listening()") == 0
    assert page.locator(".elbo").count() == 0


# --- Python ---------------------------------------------------------------------------------------


TABLE, LOG_PX, BEST, NETWORK = EXAMPLE[ring][1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_joint": TABLE[0]}, r"^log_joint: got shape \(96, 96\), torch.float64, wanted .*\(B, n, n\)"),
        ({"log_joint": TABLE[:, :50]}, r"^log_joint: got shape \(4, 50, 96\), wanted"),
        ({"log_joint": TABLE[:, :8, :8]}, r"^log_joint: got shape \(4, 8, 8\), wanted .* n from 16 to 512"),
        ({"log_joint": TABLE.repeat(6, 1, 1)}, r"^log_joint: got shape \(24, .*B from 1 to 20"),
        ({"log_joint": TABLE - math.inf}, r"^log_joint: got NaN or infinity"),
        ({"log_joint": "table"}, r"^log_joint: got str, wanted"),
        ({"log_px": LOG_PX[:3]}, r"^log_px: got shape \(3,\), torch.float64, wanted log p\(x_b\), \(4,\)"),
        ({"log_px": LOG_PX + 2}, r"^log_px: got .* for datapoint \d, wanted about .* Is limit = 4 the grid's"),
        ({"limit": 8.0}, r"^log_px: got .*Is limit = 8 the grid's"),
        ({"limit": 0}, r"^limit: got 0, wanted a number from 1"),
        ({"limit": "4"}, r"^limit: got '4', wanted"),
        ({"best": BEST[0]}, r"^best: got Tensor, wanted a pair \(mean, sd\), each \(4, 2\)"),
        ({"best": (BEST[0][:2], BEST[1])}, r"^best: got shape \(2, 2\), torch.float64, wanted a pair"),
        ({"encoder": (NETWORK[0], -NETWORK[1])}, r"^encoder: got a standard deviation of -.*, wanted positive ones"),
        ({"encoder": (NETWORK[0] / 0, NETWORK[1])}, r"^encoder: got NaN or infinity, wanted a pair"),
        ({"images": torch.rand(3, 4)}, r"^images: got shape \(3, 4\), torch.float32, wanted .*\(4, X\)"),
        ({"images": torch.rand(4, 4) * 255}, r"^images: got values .* wanted pixels in \[0, 1\]"),
        ({"images": torch.rand(4, 12)}, r"^shape: got \(3, 3\), wanted \(height, width\) of an image of 12 pixels"),
        ({"images": torch.rand(4, 12), "shape": 12}, r"^shape: got 12, wanted"),
        ({"shape": (3, 4)}, r"^shape: got \(3, 4\) without images"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"log_joint": TABLE, "log_px": LOG_PX, "best": BEST, "encoder": NETWORK, "limit": LIMIT} | change
    with pytest.raises(ValueError, match=message):
        BeTheEncoder(**arguments)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("index", 4, r"^index: got 4, wanted a whole number from 0 to 3"),
        ("index", -1, r"^index: got -1"),
        ("index", 1.0, r"^index: got 1.0"),
        ("mean", [0, 5], r"^mean: got \[0, 5\], wanted two numbers from −4 to 4"),
        ("mean", [0], r"^mean: got \[0\], wanted"),
        ("mean", "00", r"^mean: got .*'00'.*, wanted"),
        ("sd", [0, 1], r"^sd: got \[0, 1\], wanted two numbers from 0.01 to 4"),
        ("sd", [1, math.nan], r"^sd: got \[1, nan\], wanted"),
        ("sd", 1, r"^sd: got 1, wanted"),
    ],
)
def test_bad_values_are_named_and_change_nothing(name, value, message):
    widget = widget_of()
    with pytest.raises(TraitError, match=message):
        setattr(widget, name, value)
    assert (widget.index, widget.mean, widget.sd) == (0, [0, 0], [1, 1])


def test_output_holds_the_widget_a_picture_and_a_sentence():
    widget = widget_of()
    data, _ = widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).format == "PNG"
    assert data["text/plain"].startswith(
        "a Gaussian to drag over an exact posterior, with its ELBO: live in JupyterLab"
    )
    assert not widget.failed


def test_the_still_picture_hides_what_the_widget_hides():
    widget = widget_of()
    first = widget.still()
    widget.revealed = {"network": [1], "best": [1]}
    assert widget.still() == first, "another datapoint's"
    widget.revealed = {"network": [0], "best": [0]}
    assert widget.still() != first
