"""sprites(): areas, places and turns against geometry that the renderer does not use."""

import math

import numpy as np
import pytest
import torch

from course_lib.data import (
    SPRITE_FACTORS,
    SPRITE_SHAPES,
    measure,
    render_sprites,
    sample_sprites,
    shapes,
    sprite_factors,
    sprite_index,
    sprite_values,
    sprites,
)

SQUARE, ELLIPSE, HEART = range(3)


def centres(images):
    """Mass in pixels and centre of mass as shares of the side: x to the right, y down."""
    size = images.shape[-1]
    pixel = (torch.arange(size, dtype=images.dtype) + 0.5) / size
    mass = images.sum((1, 2))
    return mass, images.sum(1) @ pixel / mass, images.sum(2) @ pixel / mass


def heart_by_numbers(n=3000):
    """Area and centre of mass of a heart of half-width 1, by counting points: two bars and the discs at their ends."""
    grid = np.linspace(-3, 3, n)
    u, v = np.meshgrid(grid, grid)
    lobe = shapes.LOBE
    right = (u > -1) & (u < lobe) & (abs(v) < 1) | ((u - lobe) ** 2 + v**2 < 1)
    left = (v > -1) & (v < lobe) & (abs(u) < 1) | (u**2 + (v - lobe) ** 2 < 1)
    inside = right | left
    return inside.mean() * 36, u[inside].mean(), v[inside].mean()


def areas():
    a, b = shapes.ELLIPSE
    return [(2 * shapes.SQUARE) ** 2, math.pi * a * b, heart_by_numbers()[0] * shapes.HEART**2]


def every_turn(shape, scale=1.0, x=0.5, y=0.5, n=37):
    turns = torch.linspace(0, 2 * math.pi, n)
    return torch.stack([torch.tensor([shape, scale, turn, x, y]) for turn in turns]).double()


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("scale", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("shape", range(3))
def test_pixels_add_up_to_the_area(shape, scale, size):
    mass, _, _ = centres(render_sprites(every_turn(shape, scale, x=0.503, y=0.471), size))
    expected = areas()[shape] * scale**2 * size**2
    assert mass.mean().item() == pytest.approx(expected, abs=0.7)  # px: soft corners add a little
    assert mass.std() < 0.01 * expected + 0.2


def test_areas_are_alike():
    assert max(areas()) / min(areas()) < 1.06


def test_the_heart_turns_about_its_centre_of_mass():
    _, u, v = heart_by_numbers()
    assert u == pytest.approx(shapes.OFF, abs=2e-3)
    assert v == pytest.approx(shapes.OFF, abs=2e-3)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("shape", range(3))
def test_the_centre_of_mass_is_the_position(shape, size):
    grid = torch.arange(32)
    for axis in (3, 4):
        indices = torch.tensor([[shape, 3, 7, 11, 20]]).repeat(32, 1)
        indices[:, axis] = grid
        _, x, y = centres(sprites(indices, size, "cpu").reshape(-1, size, size))
        moving, still = (x, y) if axis == 3 else (y, x)
        assert torch.allclose(moving, 0.2 + 0.6 * grid / 31, atol=2e-3)  # linear in the index
        assert torch.allclose(still, 0.2 + 0.6 * torch.tensor((20 if axis == 3 else 11) / 31), atol=2e-3)


@pytest.mark.parametrize("shape", range(3))
def test_a_quarter_turn_is_a_quarter_turn(shape):
    turns = torch.tensor([0.0, 0.3, 1.1], dtype=torch.float64)
    values = torch.stack([torch.tensor([shape, 0.9, turn, 0.5, 0.5], dtype=torch.float64) for turn in turns])
    turned = values + torch.tensor([0, 0, math.pi / 2, 0, 0], dtype=torch.float64)
    images = render_sprites(values, 64)
    assert torch.allclose(render_sprites(turned, 64), torch.rot90(images, 1, (1, 2)), atol=1e-9)  # counter-clockwise
    moved = (images - torch.rot90(images, 1, (1, 2))).abs().amax((1, 2))
    assert (moved > 0.5).all() if shape != SQUARE else (moved < 1e-9).all()


def test_symmetries():
    square, ellipse, heart = (render_sprites(every_turn(shape, n=2)[:1], 64)[0] for shape in range(3))
    for image in (square, ellipse):
        assert torch.allclose(image, image.flip(0))
        assert torch.allclose(image, image.flip(1))
    assert torch.allclose(heart, heart.flip(1))
    rows = heart.sum(1)
    assert (heart[:, 32] > 0.5).nonzero()[0] > (heart.amax(1) > 0.5).nonzero()[0] + 1  # a notch at the top, upright
    assert rows[rows > 0][-1] < rows.max() / 5  # and a tip below
    assert ellipse.sum(0).gt(0).sum() > ellipse.sum(1).gt(0).sum() + 6  # the long axis lies across


def test_nothing_is_clipped():
    """At every corner position and rotation the picture in a larger frame has no more mass."""
    for shape in range(3):
        for x in (0.2, 0.8):
            for y in (0.2, 0.8):
                values = every_turn(shape, 1.0, x, y, n=40)
                framed = values.clone()  # the same picture with a margin of 16 pixels around a frame of 32
                framed[:, 1] /= 2
                framed[:, 3:] = 0.25 + values[:, 3:] / 2
                plain, wide = render_sprites(values, 32), render_sprites(framed, 64)
                assert torch.allclose(wide[:, 16:48, 16:48], plain, atol=1e-9)
                assert torch.allclose(wide.sum((1, 2)), plain.sum((1, 2)))


def test_pictures_are_sharp_in_the_middle_and_soft_at_the_rim():
    images = sample_sprites(300, size=32, device="cpu").images
    assert images.min() == 0
    assert images.max() == 1
    assert (images.amax(1) == 1).all()
    grey = ((images > 0) & (images < 1)).sum(1) / (images > 0).sum(1)
    assert 0.1 < grey.mean() < 0.6
    centre = render_sprites(every_turn(ELLIPSE, x=32.5 / 64, y=32.5 / 64), 64)  # on a pixel: where the slope vanishes
    assert (centre[:, 32, 32] == 1).all()


def test_the_grid_is_that_of_dsprites():
    assert SPRITE_FACTORS == {"shape": 3, "scale": 6, "rotation": 40, "x": 32, "y": 32}
    assert SPRITE_SHAPES == ("square", "ellipse", "heart")
    every = torch.arange(737_280)
    assert torch.equal(sprite_index(sprite_factors(every)), every)
    sizes = tuple(SPRITE_FACTORS.values())
    some = torch.tensor([0, 1, 31, 32, 40_959, 245_760, 737_279])
    assert torch.equal(sprite_factors(some), torch.tensor(np.stack(np.unravel_index(some.numpy(), sizes), 1)))
    assert sprite_factors([1]).tolist() == [[0, 0, 0, 0, 1]]  # y changes fastest
    values = sprite_values([[0, 0, 0, 0, 0], [2, 5, 39, 31, 31]])
    assert torch.allclose(values, torch.tensor([[0, 0.5, 0, 0.2, 0.2], [2, 1, 2 * math.pi, 0.8, 0.8]]))


def test_images_follow_the_indices():
    indices = torch.tensor([[2, 1, 5, 3, 30], [0, 4, 9, 20, 1], [2, 0, 0, 0, 0], [1, 5, 39, 31, 31]])
    images = sprites(indices, 32, "cpu")
    assert (images.shape, images.dtype) == ((4, 1024), torch.float32)
    for i, row in enumerate(indices):
        assert torch.allclose(sprites(row[None], 32, "cpu")[0], images[i], atol=1e-6)
    assert torch.equal(sprites(indices.tolist(), 32, "cpu"), images)
    assert torch.equal(sprites(indices.numpy().astype(np.int32), 32, "cpu"), images)
    assert sprites(indices, device="cpu").shape == (4, 4096)
    assert sprites(indices[:0], 32, "cpu").shape == (0, 1024)
    many = sample_sprites(500, seed=1, size=32, device="cpu")  # more than a chunk
    assert torch.equal(sprites(many.factors, 32, "cpu"), many.images)


def test_samples():
    first, again, other = (sample_sprites(1000, seed=seed, size=16, device="cpu") for seed in (0, 0, 1))
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.factors, other.factors)
    assert first.factors.dtype == torch.int64
    for column, count in zip(first.factors.T, SPRITE_FACTORS.values(), strict=True):
        assert column.min() == 0
        assert column.max() == count - 1
    fixed = sample_sprites(1000, size=16, device="cpu", scale=2, x=31).factors
    assert (fixed[:, 1] == 2).all()
    assert (fixed[:, 3] == 31).all()
    assert torch.equal(fixed[:, [0, 2, 4]], first.factors[:, [0, 2, 4]])  # the others stay as they were drawn
    torch.manual_seed(0)
    before = torch.get_rng_state()
    sample_sprites(3, size=16)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sprites([[0, 0, 0, 0, 32]]), "indices: got y = 32 in row 0, wanted 0 to 31"),
        (lambda: sprites([[0, 0, 0, 0, 0], [0, 6, 0, 0, 0]]), "indices: got scale = 6 in row 1, wanted 0 to 5"),
        (lambda: sprites([[-1, 0, 0, 0, 0]]), "indices: got shape = -1"),
        (lambda: sprites([0, 0, 0, 0, 0]), "indices: got shape .5,., wanted .N, 5."),
        (lambda: sprites([[0, 0, 0, 0]]), "indices: got shape .1, 4., wanted .N, 5."),
        (lambda: sprites([[0.0, 0, 0, 0, 0]]), "indices: got dtype torch.float32, wanted whole numbers"),
        (lambda: sprites("heart"), "indices: got 'heart'"),
        (lambda: sprites([[0] * 5], size=4), "size: got 4, wanted a whole number from 8 to 1024"),
        (lambda: sprites([[0] * 5], device="gpu"), "device: got 'gpu'"),
        (lambda: sprite_index([[3, 0, 0, 0, 0]]), "indices: got shape = 3"),
        (lambda: sprite_values([[0, 0, 40, 0, 0]]), "indices: got rotation = 40"),
        (lambda: sprite_factors([737_280]), "flat: got 737280, wanted whole numbers .N,. from 0 to 737279"),
        (lambda: sprite_factors([-1]), "flat: got -1"),
        (lambda: sprite_factors(5), "flat: got shape"),
        (lambda: render_sprites(torch.zeros(2, 4), 32), "values: got torch.float32 .2, 4., wanted floats .N, 5."),
        (lambda: sample_sprites(0), "n: got 0"),
        (lambda: sample_sprites(3, seed=-1), "seed: got -1"),
        (lambda: sample_sprites(3, colour=0), "factor: got colour, wanted some of shape, scale"),
        (lambda: sample_sprites(3, x=32), "x: got 32, wanted a whole number from 0 to 31"),
        (lambda: sample_sprites(3, x=0.5), "x: got 0.5"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_speed():
    """Measured 160 000 images/s (data/README.md), half of it beside a busy neighbour; the course needs 50 000."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    speed = measure.sprites_per_second(10_000)
    torch.set_num_threads(threads)
    assert speed > 30_000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_sprites_on_the_gpu():
    there, here = sample_sprites(5000, seed=2, size=32), sample_sprites(5000, seed=2, size=32, device="cpu")
    assert there.images.is_cuda
    assert torch.equal(there.factors.cpu(), here.factors)
    assert torch.allclose(there.images.cpu(), here.images, atol=1e-4)
    assert sprites(here.factors, 32).is_cuda
