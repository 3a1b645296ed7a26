"""Functions of one number for the browser: tables of values and slopes that Python makes once, by torch."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from course_lib.widgets.base import one_line

# Points (i + 1/2) / 400 from -24 to 24. A draw lands outside once in 10^10 at the sliders' ends; and a jump at 0, at
# 0.5 or at any other multiple of 0.05 lies in the middle of a cell, so that straight lines keep its place.
LOW, STEP, POINTS = -24.0, 1 / 400, 19_200
GRID = LOW + (torch.arange(POINTS, dtype=torch.float64) + 0.5) * STEP


class Named(NamedTuple):
    formula: str
    f: Callable[[Tensor], Tensor]


BUILT_IN = {
    "quadratic": Named("z²", lambda z: z**2),
    "sine": Named("sin 3z", lambda z: torch.sin(3 * z)),
    "step": Named("1 if z > 0.5, else 0", lambda z: (z > 0.5).to(z.dtype)),
    "rare event": Named("sigmoid(20 (z − 4))", lambda z: torch.sigmoid(20 * (z - 4))),
    "fast wiggle": Named("0.1 sin 20z", lambda z: 0.1 * torch.sin(20 * z)),
}


def value_and_slope(f: Callable[[Tensor], Tensor], z: Tensor) -> tuple[Tensor, Tensor]:
    """f(z) and f'(z) of z (n,), both (n,) in float64; the slope by autograd, 0 where f has none."""
    z = z.detach().clone().requires_grad_()
    with torch.enable_grad():
        try:
            value = f(z)
        except Exception as error:
            raise ValueError(f"f: got {one_line(error)} for z of shape {tuple(z.shape)}, {z.dtype}") from error
        came = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        if not isinstance(value, Tensor) or value.shape != z.shape or value.is_complex():
            raise ValueError(f"f: got {came} from z of shape {tuple(z.shape)}, wanted the same shape, real numbers")
        slope = None
        if value.requires_grad:
            slope = torch.autograd.grad(value.sum(), z, allow_unused=True)[0]
    slope = torch.zeros_like(z) if slope is None else slope
    for what, numbers in (("f(z)", value), ("the slope of f", slope)):
        if not numbers.isfinite().all():
            where = z[~numbers.isfinite()][0].item()
            raise ValueError(f"f: got NaN or infinity as {what} at z = {where:.4g}, wanted finite numbers, −24 to 24")
    return value.detach().double().cpu(), slope.detach().double().cpu()


def number_by_number(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """f for tensors of any shape and precision: it gets them flat, in torch's default dtype."""

    def g(z: Tensor) -> Tensor:
        return f(z.flatten().to(torch.get_default_dtype())).view(z.shape).to(z.dtype)

    return g


def tabulate(f: Callable[[Tensor], Tensor], dtype: torch.dtype | None = None) -> bytes:
    """f and f' on GRID, float32, one after the other. ValueError if f is no function of one number."""
    z = GRID.to(dtype or torch.get_default_dtype())
    value, slope = value_and_slope(f, z)
    some = value_and_slope(f, z[::7])[0]
    if not torch.allclose(some, value[::7], rtol=1e-4, atol=1e-5 * value.abs().max().item()):
        raise ValueError("f: got other values for the same z, wanted a function of each number by itself, no chance")
    return torch.cat([value, slope]).float().numpy().tobytes()


@functools.cache
def built_in_table(name: str) -> bytes:
    """The table of a built-in function."""
    return tabulate(BUILT_IN[name].f, torch.float64)
