"""strokes(): drawn digits do what their factors say, and stand in for MNIST."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

import course_lib
from course_lib.data import STROKE_FACTORS, digits, handwriting, measure, strokes

REAL = Path(os.environ.get("COURSE_DATA") or Path(course_lib.ROOT).parent / "shared/data/mnist")
STILL = {"wobble": 0, "bend": 0, "pressure": 0, "rotation": 0, "slant": 0, "dx": 0, "dy": 0}


def draw(*args, **kwargs):
    return strokes(*args, device="cpu", **kwargs)


def moments(images):
    """Mass, centre and covariance of the ink; x to the right and y down, from the middle, in pixels."""
    images = images.reshape(-1, 28, 28).double()
    pixel = torch.arange(28, dtype=torch.float64) - 14
    mass = images.sum((1, 2))
    x, y = images.sum(1) @ pixel / mass, images.sum(2) @ pixel / mass
    dx, dy = pixel - x[:, None], pixel - y[:, None]
    xx = (images.sum(1) * dx**2).sum(1) / mass
    yy = (images.sum(2) * dy**2).sum(1) / mass
    xy = torch.einsum("nij,ni,nj->n", images, dy, dx) / mass
    return mass, x, y, xx, yy, xy


def bare_ones(n, **fixed):
    """The first way of writing a 1 is a straight line, about which everything is known."""
    x, _, factors = draw(n, seed=5, labels=1, **{**STILL, **fixed})
    lines = factors["way"] == factors["way"].min()
    return x[lines], {name: values[lines] for name, values in factors.items()}


def test_shapes_and_ranges():
    x, y, factors = draw(500)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((500, 784), torch.float32, (500,), torch.int64)
    assert set(factors) == {*STROKE_FACTORS, "way"}
    assert all(values.shape == (500,) and values.dtype == torch.float32 for values in factors.values())
    for name, law in STROKE_FACTORS.items():
        assert factors[name].min() >= np.float32(law.low)
        assert factors[name].max() <= np.float32(law.high)
    assert x.min() == 0
    assert x.max() <= 1
    assert (x.amax(1) > 0.8).float().mean() > 0.98
    assert set(y.tolist()) == set(range(10))


def test_a_seed_draws_the_same_again():
    first, again, other = draw(300, seed=3), draw(300, seed=3), draw(300, seed=4)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.labels, again.labels)
    assert all(torch.equal(first.factors[name], again.factors[name]) for name in first.factors)
    assert torch.cdist(first.images, other.images).min() > 1
    assert torch.equal(draw(5, seed=(1, 2)).images, draw(5, seed=(1, 2)).images)


def test_drawing_leaves_the_global_generators_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    draw(10)
    assert torch.equal(before, torch.get_rng_state())


def test_labels_and_factors_can_be_set():
    labels = torch.arange(10).repeat(5)
    slant = torch.linspace(-20, 40, 50)
    free = draw(50, seed=1, labels=labels)
    fixed = draw(50, seed=1, labels=labels, slant=slant, thickness=2)
    assert torch.equal(fixed.labels, labels)
    assert torch.allclose(fixed.factors["slant"], slant)
    assert (fixed.factors["thickness"] == 2).all()
    for name in set(free.factors) - {"slant", "thickness"}:  # the others stay as they were drawn
        assert torch.equal(fixed.factors[name], free.factors[name])
    assert (draw(7, labels=4).labels == 4).all()


def test_the_same_hand_under_several_slants():
    upright, leaning = draw(1, seed=7, labels=4, slant=0), draw(1, seed=7, labels=4, slant=1)
    assert 0 < (upright.images - leaning.images).abs().mean() < 0.03


@pytest.mark.parametrize("factor", ["dx", "dy"])
def test_the_centre_of_mass_is_where_the_factors_say(factor):
    for shift in (0, 3):
        x, _, factors = draw(300, seed=2, scale=0.7, **{factor: shift})
        _, cx, cy, *_ = moments(x)
        assert (cx - factors["dx"]).abs().mean() < 0.3
        assert (cy - factors["dy"]).abs().mean() < 0.3
        assert (cx - factors["dx"]).mean().abs() < 0.05
        assert (cy - factors["dy"]).mean().abs() < 0.05


@pytest.mark.parametrize("factor", ["slant", "rotation"])
@pytest.mark.parametrize("degrees", [-25, 0, 15, 40])
def test_a_line_leans_by_its_angle(factor, degrees):
    x, _ = bare_ones(200, thickness=2, **{factor: degrees})
    *_, yy, xy = moments(x)
    angle = torch.rad2deg(torch.atan(-(xy / yy).mean())).item()  # right of upright; y points down
    assert angle == pytest.approx(degrees, abs=2)


@pytest.mark.parametrize("thickness", [1.5, 2.5, 4])
def test_a_line_has_the_area_of_its_thickness(thickness):
    x, _ = bare_ones(100, thickness=thickness, ink=1, scale=1)
    mass, *_ = moments(x)
    area = (20 - thickness) * thickness + np.pi * thickness**2 / 4  # a stroke with round ends, 20 px over all
    assert mass.mean().item() == pytest.approx(area, rel=0.1)


@pytest.mark.parametrize("scale", [0.6, 1])
def test_the_longer_side_fills_the_box(scale):
    x, _, _ = draw(300, seed=6, scale=scale, thickness=2.5, **{k: STILL[k] for k in ("dx", "dy", "pressure")})
    inked = x.reshape(-1, 28, 28) > 0.5
    sides = torch.stack([inked.any(1).sum(1), inked.any(2).sum(1)]).amax(0)
    assert sides.float().mean().item() == pytest.approx(20 * scale, abs=1)


def test_ink_is_the_grey_of_a_full_stroke():
    x, _, _ = draw(100, ink=0.5, thickness=3)
    assert x.amax(1).mean().item() == pytest.approx(0.5, abs=0.01)


def test_drawn_digits_have_the_statistics_of_mnist():
    """The training set's averages (data/README.md): ink 102.8 ± 34.3, rms extent 3.78 and 5.47 px, 10 % grey pixels."""
    mass, _, _, xx, yy, _ = moments(draw(3000, seed=9).images)
    assert mass.mean().item() == pytest.approx(102.8, rel=0.08)
    assert mass.std().item() == pytest.approx(34.3, rel=0.15)
    assert xx.sqrt().mean().item() == pytest.approx(3.78, rel=0.08)
    assert yy.sqrt().mean().item() == pytest.approx(5.47, rel=0.08)


def test_poses_fit_together():
    ways = handwriting._ways()
    assert sorted({way.digit for way in ways}) == list(range(10))
    for digit in range(10):
        assert sum(way.share for way in ways if way.digit == digit) == pytest.approx(1)
    for way in ways:
        assert way.poses.shape[2] == len(way.stroke) == way.path.shape[1]
        # A spline through its control points: sums of weights 1 for positions and 0 for steps.
        np.testing.assert_allclose(way.path.sum(1), 1, atol=1e-5)
        np.testing.assert_allclose(way.step.sum(1), 0, atol=1e-5)
        # Pen positions so near each other that the ink has no gaps, and steps that add up to the path.
        for pose in way.poses:
            gaps = np.linalg.norm(way.step @ pose.T, axis=1)
            assert gaps.max() < 2.2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n: got 0, wanted a whole number from 1 upwards"),
        ({"n": 1.5}, "n: got 1.5"),
        ({"seed": -1}, "seed: got -1"),
        ({"seed": "a"}, "seed: got 'a'"),
        ({"labels": 10}, "labels: got 10.0, wanted one number or 3 of them, from 0 to 9"),
        ({"labels": [1, 2]}, "labels: got shape .2,., wanted one number or 3"),
        ({"labels": [1, 2, 2.5]}, "labels: got 2.5, wanted whole numbers"),
        ({"labels": "7x"}, "labels: got '7x'"),
        ({"lean": 3}, "factor: got lean, wanted some of slant, rotation"),
        ({"slant": 80}, "slant: got 80.0, wanted one number or 3 of them, from -30 to 45"),
        ({"slant": float("nan")}, "slant: got nan"),
        ({"thickness": [1, 2]}, "thickness: got shape .2,."),
        ({"device": "gpu"}, "device: got 'gpu'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        strokes(**{"n": 3, **arguments})


def test_every_factor_at_both_ends_draws():
    for name, law in STROKE_FACTORS.items():
        for value in (law.low, law.high):
            x = draw(40, seed=1, **{name: value}).images
            assert torch.isfinite(x).all()
            assert x.min() >= 0
            assert x.max() <= 1


def test_speed():
    """Measured 58 000 images/s (data/README.md); a busy or an old machine may take twice the time and more."""
    assert measure.strokes_per_second(10_000) > 20_000


@pytest.mark.slow
@pytest.mark.skipif(not any(REAL.glob("t10k-images-idx3-ubyte*")), reason="the real MNIST files are not here")
def test_a_net_that_saw_drawn_digits_only_reads_mnist(monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(REAL))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several are slower on a busy machine, and need not give the same numbers
    net = measure.reader(*digits("train", source="strokes", device="cpu"))
    torch.set_num_threads(threads)
    assert measure.share_read(net, *digits("test", source="mnist", device="cpu")) >= 0.95
    assert measure.share_read(net, *digits("test", source="strokes", device="cpu")) >= 0.97


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_strokes_on_the_gpu():
    drawn = strokes(20)
    assert drawn.images.is_cuda
    assert drawn.labels.is_cuda
    assert drawn.factors["slant"].is_cuda
    assert torch.equal(drawn.images.cpu(), draw(20).images)
    slant = torch.linspace(0, 9, 20, device="cuda")
    assert torch.allclose(strokes(20, slant=slant).factors["slant"], slant)
