"""`sprites`: one white shape on black, its five factors on the grid of dSprites, rendered on demand.

dSprites (Matthey, Higgins, Hassabis and Lerchner 2017) has 737 280 images: 3 shapes × 6 scales × 40 rotations × 32 × 32
positions. The grid and its order are theirs; shapes, sizes and renderer are our own, and edges are anti-aliased, since
at 32×32 a step in position is less than a pixel.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.arguments import the_device, whole_number

SPRITE_FACTORS = {"shape": 3, "scale": 6, "rotation": 40, "x": 32, "y": 32}  # slowest to fastest in the flat index
SPRITE_SHAPES = ("square", "ellipse", "heart")

# Lengths as shares of the image's side, at scale 1. Every shape's rim stays within RADIUS of its centre of mass and
# within the image at every position, and the three areas are alike.
RADIUS = 12 / 64
SQUARE = RADIUS / math.sqrt(2)  # half a side
ELLIPSE = (RADIUS, 0.64 * RADIUS)  # half-axes, across and up at rotation 0
# Two bars of half-width 1 set at a right angle, their far ends round about points LOBE from where their axes cross.
# The centre of mass lies OFF from there along both axes (square + two ends of bars + two half-discs, over the area).
LOBE = 1.3
OFF = (LOBE**2 - 1 + math.pi * LOBE / 2 + 2 / 3) / (4 * LOBE + math.pi)
HEART = RADIUS / (math.sqrt(2) * (1 + OFF))  # half a bar's width: the tip, at (−1, −1), is the farthest point


class Sprites(NamedTuple):
    """Rendered sprites: images (N, size²) float32 in [0, 1], factors (N, 5) int64 indices."""

    images: Tensor
    factors: Tensor


def sprites(indices, size: int = 64, device: torch.device | str | None = None) -> Tensor:
    """Images (N, size²) float32 in [0, 1] of the factor indices (N, 5): shape, scale, rotation, x, y.

    SPRITE_FACTORS tells how many values each has; `sprite_values` turns indices into the values themselves. A grey
    pixel is partly covered. On `device`, by default the GPU where there is one.

    Raises ValueError for indices that are no whole numbers, have another shape or lie outside the grid.
    """
    size, device = whole_number("size", size, 8, 1024), the_device(device)
    values = sprite_values(_on_grid(indices).to(device))
    images = torch.empty(len(values), size * size, device=device)
    step = max(1, (2**18 if device.type == "cpu" else 2**25) // size**2)  # a chunk stays in the processor's cache
    for i in range(0, len(values), step):
        images[i : i + step] = render_sprites(values[i : i + step], size).flatten(1)
    return images


def sample_sprites(
    n: int, seed: int = 0, size: int = 64, device: torch.device | str | None = None, **fixed: int
) -> Sprites:
    """n random sprites with their factor indices; `fixed` holds factors at one index, as in sample_sprites(9, x=16).

    The same seed gives the same sprites on every device. Raises ValueError for an n, factor, index or size that
    cannot be.
    """
    n, seed = whole_number("n", n, 1), whole_number("seed", seed, 0)
    if unknown := fixed.keys() - SPRITE_FACTORS.keys():
        raise ValueError(f"factor: got {', '.join(sorted(unknown))}, wanted some of {', '.join(SPRITE_FACTORS)}")
    generator = torch.Generator().manual_seed(seed)
    columns = []
    for name, count in SPRITE_FACTORS.items():  # drawn even when fixed, so that the others stay as they were
        drawn = torch.randint(count, (n,), generator=generator)
        columns.append(drawn.fill_(whole_number(name, fixed[name], 0, count - 1)) if name in fixed else drawn)
    indices = torch.stack(columns, 1)
    return Sprites(sprites(indices, size, device), indices.to(the_device(device)))


def sprite_index(indices) -> Tensor:
    """Factor indices (N, 5) to flat indices (N,), 0 to 737 279, in dSprites' order: y changes fastest."""
    indices = _on_grid(indices)
    flat = torch.zeros_like(indices[:, 0])
    for column, count in zip(indices.T, SPRITE_FACTORS.values(), strict=True):
        flat = flat * count + column
    return flat


def sprite_factors(flat) -> Tensor:
    """Flat indices (N,) to factor indices (N, 5); the inverse of `sprite_index`."""
    counts = tuple(SPRITE_FACTORS.values())
    rest = _whole("flat", flat)
    wanted = f"wanted whole numbers (N,) from 0 to {math.prod(counts) - 1}"
    if rest.ndim != 1:
        raise ValueError(f"flat: got shape {tuple(rest.shape)}, {wanted}")
    if len(bad := rest[(rest < 0) | (rest >= math.prod(counts))]):
        raise ValueError(f"flat: got {int(bad[0])}, {wanted}")
    columns = []
    for count in reversed(counts):
        columns.append(rest % count)
        rest = rest // count
    return torch.stack(columns[::-1], 1)


def sprite_values(indices) -> Tensor:
    """Values (N, 5) float32 of factor indices: shape 0 to 2, scale 0.5 to 1, rotation 0 to 2π, x and y 0.2 to 0.8.

    Rotation is counter-clockwise; x runs to the right and y down, as shares of the image's side, at the shape's centre
    of mass. As in dSprites the 40 rotations include both 0 and 2π.
    """
    indices = _on_grid(indices)
    ends = ((0, 2), (0.5, 1), (0, 2 * math.pi), (0.2, 0.8), (0.2, 0.8))
    grids = [torch.linspace(*end, count) for end, count in zip(ends, SPRITE_FACTORS.values(), strict=True)]
    columns = [grid.to(i.device)[i] for grid, i in zip(grids, indices.T, strict=True)]
    return torch.stack(columns, 1)


def render_sprites(values: Tensor, size: int) -> Tensor:
    """Images (N, size, size) of factor values (N, 5), not bound to the grid; see `sprite_values` for the units.

    A pixel is as bright as the share of it that the shape covers, up to curvature: ½ − its distance from the rim, in
    pixels, negative inside, held within [0, 1].
    """
    if values.ndim != 2 or values.shape[1] != len(SPRITE_FACTORS) or not values.is_floating_point():
        raise ValueError(f"values: got {values.dtype} {tuple(values.shape)}, wanted floats (N, {len(SPRITE_FACTORS)})")
    shape, scale, rotation, x, y = values[:, :, None, None].unbind(1)  # (N, 1, 1)
    pixel = (torch.arange(size, device=values.device, dtype=values.dtype) + 0.5) / size
    right, up = (pixel - x) / scale, (y - pixel[:, None]) / scale  # (N, 1, size), (N, size, 1)
    images = values.new_empty(len(values), size, size)
    for number, distance in enumerate((_square, _ellipse, _heart)):
        mine = (shape[:, 0, 0] == number).nonzero()[:, 0]
        turn = rotation[mine]
        if number == 2:
            turn = turn + math.pi / 4  # its bars point up to the right and up to the left
        c, s = turn.cos(), turn.sin()
        u = c * right[mine] + s * up[mine]  # (n, size, size) in the shape's own axes
        v = c * up[mine] - s * right[mine]
        images[mine] = (0.5 - distance(u, v) * (size * scale[mine])).clamp_(0, 1)
    return images


def _square(u: Tensor, v: Tensor) -> Tensor:
    return torch.maximum(u.abs(), v.abs()) - SQUARE


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    """(r − 1)/|∇r| with r = √((u/a)² + (v/b)²): the distance to first order, exact on the rim."""
    p, q = u / ELLIPSE[0], v / ELLIPSE[1]
    squared = (p * p + q * q).clamp(min=1e-6)  # the centre has no slope: keep it inside
    slope = ((p / ELLIPSE[0]) ** 2 + (q / ELLIPSE[1]) ** 2).clamp(min=1e-12).sqrt()
    return (squared - squared.sqrt()) / slope


def _heart(u: Tensor, v: Tensor) -> Tensor:
    """The two bars mirror each other: of the two, the one along the larger coordinate is the nearer."""
    u, v = u + OFF * HEART, v + OFF * HEART
    along, across = torch.maximum(u, v), torch.minimum(u, v)
    beyond = (along - LOBE * HEART).clamp_(min=0)
    return (beyond * beyond + across * across).sqrt() - HEART


def _whole(name: str, value) -> Tensor:
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name}: got {value!r}, wanted whole numbers") from error
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"{name}: got dtype {tensor.dtype}, wanted whole numbers")
    return tensor.long()


def _on_grid(indices) -> Tensor:
    """The indices as an int64 tensor (N, 5), each within its factor's range; ValueError otherwise."""
    tensor, names = _whole("indices", indices), ", ".join(SPRITE_FACTORS)
    if tensor.ndim != 2 or tensor.shape[1] != len(SPRITE_FACTORS):
        raise ValueError(f"indices: got shape {tuple(tensor.shape)}, wanted (N, {len(SPRITE_FACTORS)}): {names}")
    counts = torch.tensor(list(SPRITE_FACTORS.values()), device=tensor.device)
    bad = ((tensor < 0) | (tensor >= counts)).nonzero()
    if len(bad):
        row, column = bad[0].tolist()
        name, count = list(SPRITE_FACTORS.items())[column]
        raise ValueError(f"indices: got {name} = {int(tensor[row, column])} in row {row}, wanted 0 to {count - 1}")
    return tensor
