"""`strokes`: digits drawn as a pen draws them, for a course that must also run where MNIST is not at hand.

A random mix of hand-drawn poses, wobbled and bent, becomes a smooth pen path; it is slanted, turned, fitted into
20 pixels with its centre of mass in the middle, as MNIST was prepared, and inked. What drew a digit is known.
"""

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from course_lib.arguments import the_device, whole_number

PIXELS = 28
BOX = 20  # px: the longer side of the ink, as in MNIST
NIB = 0.65  # px: how softly neighbouring pen positions melt into one line
EDGE = 1.25  # px: from full ink to none
MIX = 0.15  # Dirichlet concentration: small, so that one pose leads and the others colour it
CHUNK = 128  # images at a time: their pen positions stay in the processor's cache


class Law(NamedTuple):
    """A factor's distribution, a method of numpy's generator with its two parameters, and the range it may take."""

    kind: str
    a: float
    b: float
    low: float
    high: float
    unit: str


STROKE_FACTORS = {
    "slant": Law("normal", 9, 13, -30, 45, "degrees, right of upright"),
    "rotation": Law("normal", 0, 5, -180, 180, "degrees, clockwise"),
    "scale": Law("normal", 1, 0.03, 0.3, 1.3, "of 20 px"),
    "aspect": Law("lognormal", 0.06, 0.2, 0.3, 3, "width stretched by"),
    "thickness": Law("lognormal", 0.9, 0.25, 1, 5, "px"),
    "wobble": Law("uniform", 0.6, 1.3, 0, 3, "px, standard deviation of each control point"),
    "bend": Law("uniform", 0.005, 0.02, 0, 0.05, "1/px, quadratic warp of the whole digit"),
    "pressure": Law("uniform", 0.1, 0.4, 0, 1, "drift of the thickness along the path"),
    "ink": Law("uniform", 0.97, 1, 0, 1, "grey level of full ink"),
    "dx": Law("uniform", -0.5, 0.5, -8, 8, "px, to the right"),
    "dy": Law("uniform", -0.5, 0.5, -8, 8, "px, down"),
}


class Strokes(NamedTuple):
    """Drawn digits: images (n, 784) float32 in [0, 1], labels (n,) int64, factors {name: (n,) float32}."""

    images: Tensor
    labels: Tensor
    factors: dict[str, Tensor]


def strokes(
    n: int, seed: int | Sequence[int] = 0, labels=None, device: torch.device | str | None = None, **fixed
) -> Strokes:
    """Draws n digits with their labels and the factors that drew them; the same n and seed draw the same digits.

    labels: 0 to 9, one for all or one for each (n,); drawn uniformly where None. `fixed` sets factors by name, to one
    number or one for each (n,): strokes(9, labels=3, slant=torch.linspace(-30, 30, 9)). Fixing one leaves the draws
    of all others as they were, so strokes(1, seed=7, slant=s) is the same hand at every s. Names, laws, ranges and
    units stand in STROKE_FACTORS; "way" tells which way of writing a digit was taken, as a number within poses.txt.
    On `device`, by default the GPU where there is one.

    Raises ValueError for an n, seed, label, factor or device that cannot be.
    """
    n, device = whole_number("n", n, 1), the_device(device)
    try:
        rng = np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        raise ValueError(f"seed: got {seed!r}, wanted a whole number from 0 upwards, or several") from error
    y = rng.integers(0, 10, n)
    if labels is not None:
        given = _per_image("labels", labels, n, 0, 9)
        y = given.astype(np.int64)
        if (y != given).any():
            raise ValueError(f"labels: got {given[y != given][0]}, wanted whole numbers from 0 to 9")
    if unknown := fixed.keys() - STROKE_FACTORS.keys():
        raise ValueError(f"factor: got {', '.join(sorted(unknown))}, wanted some of {', '.join(STROKE_FACTORS)}")
    factors = {}
    for name, law in STROKE_FACTORS.items():  # drawn even when fixed, so that the other draws stay as they were
        drawn = getattr(rng, law.kind)(law.a, law.b, n).clip(law.low, law.high)
        given = _per_image(name, fixed[name], n, law.low, law.high) if name in fixed else drawn
        factors[name] = given.astype(np.float32)
    shares = np.array([[way.share * (way.digit == digit) for way in _ways()] for digit in range(10)])
    chosen = (rng.random((n, 1)) >= shares.cumsum(1)[y] / shares.sum(1)[y, None]).sum(1)  # (n,)

    images = np.empty((n, PIXELS, PIXELS), np.float32)
    for number, way in enumerate(_ways()):
        mine = np.flatnonzero(chosen == number)
        for i in np.split(mine, range(CHUNK, len(mine), CHUNK)):
            if len(i):
                images[i] = _draw(rng, way, {name: values[i, None] for name, values in factors.items()})
    factors["way"] = chosen.astype(np.float32)
    return Strokes(
        torch.from_numpy(images.reshape(n, -1)).to(device),
        torch.from_numpy(y).to(device),
        {name: torch.from_numpy(values).to(device) for name, values in factors.items()},
    )


def _per_image(name: str, value, n: int, low: float, high: float) -> np.ndarray:
    wanted = f"wanted one number or {n} of them, from {low} to {high}"
    try:
        values = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: got {value!r}, {wanted}") from error
    if values.shape not in ((), (n,)):
        raise ValueError(f"{name}: got shape {values.shape}, {wanted}")
    if (bad := values[~((values >= low) & (values <= high))]).size:  # nan is bad, too
        raise ValueError(f"{name}: got {bad[0]}, {wanted}")
    return np.broadcast_to(values, n)


class Way(NamedTuple):
    """One way of writing one digit: K poses with P control points each, and Q pen positions along the path."""

    digit: int
    share: float
    poses: np.ndarray  # (K, 2, P) x right, y down
    stroke: np.ndarray  # (P,)     the pen stroke that each control point belongs to
    smooth: np.ndarray  # (P, P)   noise @ smooth: neighbours on a stroke wobble together, each as much as before
    path: np.ndarray  # (Q, P)     path @ points = pen positions
    step: np.ndarray  # (Q, P)     step @ points = how far the pen moves at each


@cache
def _ways() -> tuple[Way, ...]:
    blocks = Path(__file__).with_name("poses.txt").read_text(encoding="utf-8").split("\n= ")[1:]
    ways = []
    for block in blocks:
        head, *poses = block.strip().splitlines()
        digit, share, _ = head.split(maxsplit=2)
        parsed = [_parse(pose) for pose in poses]
        points = np.stack([p[0].T for p in parsed])
        stroke = parsed[0][1]
        i = np.arange(len(stroke))
        smooth = np.exp(-0.5 * (i[:, None] - i) ** 2) * (stroke[:, None] == stroke)
        smooth = (smooth / np.linalg.norm(smooth, axis=0)).astype(np.float32)
        ways.append(Way(int(digit), float(share), points, stroke, smooth, *_spline(*parsed[0][::2])))
    return tuple(ways)


def _parse(pose: str) -> tuple[np.ndarray, np.ndarray, list[list[int]]]:
    """Control points (P, 2), the stroke (P,) that each belongs to, and the smooth spans as lists of point numbers."""
    points, stroke, spans = [], [], []
    for number, part in enumerate(pose.split("|")):
        spans.append([])
        for word in part.split():
            spans[-1].append(len(points))
            if word.endswith("*"):
                spans.append([len(points)])  # a corner ends one span and starts the next
            points.append(word.strip("*").split(","))
            stroke.append(number)
    return np.array(points, np.float32), np.array(stroke), spans


def _spline(points: np.ndarray, spans: list[list[int]], gap: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    """Catmull-Rom splines through the points, as matrices: Way.path and Way.step, about `gap` px apart."""
    basis = 0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])
    path, step = [], []
    for span in spans:
        e = np.eye(len(points))[span]
        e = np.vstack([2 * e[0] - e[1], e, 2 * e[-1] - e[-2]])  # the ends mirrored: a spline needs a point beyond
        for i, (start, end) in enumerate(pairwise(span)):
            k = max(2, int(np.ceil(np.linalg.norm(points[end] - points[start]) / gap)))
            t = ((np.arange(k) + 0.5) / k)[:, None]
            path.append(t ** [0, 1, 2, 3] @ basis @ e[i : i + 4])
            step.append(t ** [0, 0, 1, 2] * [0, 1, 2, 3] / k @ basis @ e[i : i + 4])
    return np.vstack(path).astype(np.float32), np.vstack(step).astype(np.float32)


def _draw(rng: np.random.Generator, way: Way, f: dict[str, np.ndarray]) -> np.ndarray:
    """Images (m, 28, 28) of one way of writing; f holds (m, 1) values of each factor."""
    m = len(f["ink"])

    def normal(*size):
        return rng.standard_normal(size, np.float32)

    # The digit in its own coordinates, px: a mix of poses, stretched, wobbled and bent.
    mix = rng.standard_gamma(MIX, (m, len(way.poses))).astype(np.float32) + 1e-6
    p = np.tensordot(mix / mix.sum(1, keepdims=True), way.poses, 1)  # (m, 2, P)
    p -= way.poses.mean((0, 2))[:, None]
    p[:, 0] *= f["aspect"]
    p += f["wobble"][..., None] * (normal(*p.shape) @ way.smooth)
    p += 0.4 * normal(m, 2, way.stroke[-1] + 1)[..., way.stroke]  # each stroke sets down a little off
    x, y = p[:, 0], p[:, 1]  # (m, P)
    warp = rng.uniform(-1.7, 1.7, (m, 2, 3)).astype(np.float32)  # uniform: a normal law has freaks
    p = p + f["bend"][..., None] * warp @ np.stack([x * x, x * y, y * y], 1)
    shear, turn = np.tan(np.radians(f["slant"])), np.radians(f["rotation"])
    x, y = p[:, 0] - shear * p[:, 1], p[:, 1]  # y points down: the top leans right
    x, y = np.cos(turn) * x - np.sin(turn) * y, np.sin(turn) * x + np.cos(turn) * y
    p = np.stack([x, y], 1)

    # The pen path, its ink fitted into the box.
    pen, step = p @ way.path.T, p @ way.step.T  # (m, 2, Q)
    fit = (BOX * f["scale"] - f["thickness"]) / np.ptp(pen, 2).max(1, keepdims=True)  # (m, 1)
    pen *= fit[..., None]
    step = np.hypot(step[:, 0], step[:, 1]) * fit  # (m, Q)

    # Pressure drifts slowly along the path and adds to the squared half-width; a line never fades away.
    half = f["thickness"] / 2
    t = np.linspace(0, np.pi, pen.shape[2], dtype=np.float32)
    drift = 2 * half * f["pressure"] * (normal(m, 1) * np.cos(t) + normal(m, 1) * np.cos(2 * t))
    extra = np.maximum(drift, 0.45 - half**2)  # (m, Q)

    # The centre of mass in the middle; MNIST rounds it to whole pixels, hence dx and dy of up to half a pixel.
    mass = step * np.sqrt(half**2 + extra)
    centre = (pen @ mass[..., None])[..., 0] / mass.sum(1, keepdims=True)  # (m, 2)
    pen += (np.hstack([f["dx"], f["dy"]]) - centre)[..., None]
    pen += 0.12 * normal(*pen.shape)  # the hand's tremor
    return f["ink"][..., None] * _ink(pen, step * np.exp(extra / (2 * NIB**2)), half[..., None])


def _ink(pen: np.ndarray, weight: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Ink (m, 28, 28) where the soft distance to the pen positions (m, 2, Q) stays under `half` px.

    The field Σ_q weight_q exp(−|pixel − pen_q|²/2s²) falls with the distance d to the path as exp(−d²/2s²), so its
    logarithm gives d back. Each term is a product of one factor in x and one in y: the sum is a matrix product.
    """
    pixel = np.arange(PIXELS, dtype=np.float32) - PIXELS / 2
    near = pen[..., None] - pixel  # (m, 2, Q, 28)
    near *= near
    near *= np.float32(-0.5 / NIB**2)
    # No exponent under −40: that is no ink at all, and denormal numbers would make the product 40 times slower.
    near = np.exp(np.maximum(near, -40, out=near), out=near)
    near[:, 1] *= weight[..., None]
    field = near[:, 1].transpose(0, 2, 1) @ near[:, 0] + np.float32(1e-12)
    distance = NIB * np.sqrt(np.maximum(2 * np.log(NIB * np.float32(np.sqrt(2 * np.pi)) / field), 0))
    t = np.clip((half - distance) / EDGE + 0.5, 0, 1)
    return t * t * (3 - 2 * t)
