"""Estimators of the gradient of an expectation, for many draws at once, and the exact gradients they are held against.

∂μ and ∂σ of E[f(z)] for z = μ + σε, ε ~ N(0, 1), and ∂logits of E[f(z)] for z one of K classes. An estimator takes
noise (..., L) and gives one estimate a draw, (..., L): its mean over the last axis estimates the gradient from L draws,
and its variance is what the estimators differ in. `f` maps a tensor to one of the same shape, number by number.
(Mohamed, Rosca, Figurnov & Mnih 2020, arXiv:1906.10652.)
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]


class Gradients(NamedTuple):
    mu: Tensor  # (..., L) estimates of ∂/∂μ E f(z), one a draw
    sigma: Tensor  # (..., L) estimates of ∂/∂σ E f(z)


# --- Gaussian -----------------------------------------------------------------------------------------------


def score_function(f: Function, mu: float, sigma: float, eps: Tensor, baseline: str = "none") -> Gradients:
    """(f(z) − b) ∂ log N(z; μ, σ²): the scores are ε/σ for μ and (ε² − 1)/σ for σ. Needs no gradient of f.

    baseline b, from the same L draws: "none"; "mean" of f, which biases an estimate by the factor 1 − 1/L;
    "leave-one-out", the mean of the other draws, unbiased; "optimal", E[f s²]/E[s²] for each score s as measured.
    """
    value, scores = f(mu + sigma * eps), (eps / sigma, (eps**2 - 1) / sigma)
    if baseline == "none":
        return Gradients(*(value * s for s in scores))
    if baseline == "mean":
        b = value.mean(-1, keepdim=True)
        return Gradients(*((value - b) * s for s in scores))
    if baseline == "leave-one-out":
        n = eps.shape[-1]
        if n < 2:
            raise ValueError(f"eps: got {n} draw for an estimate, wanted at least 2: leave-one-out needs another one")
        b = (value.sum(-1, keepdim=True) - value) / (n - 1)
        return Gradients(*((value - b) * s for s in scores))
    if baseline == "optimal":
        squares = [s**2 for s in scores]
        bs = [(value * w).mean(-1, keepdim=True) / w.mean(-1, keepdim=True) for w in squares]
        return Gradients(*((value - b) * s for b, s in zip(bs, scores, strict=True)))
    raise ValueError(f'baseline: got {baseline!r}, wanted "none", "mean", "leave-one-out" or "optimal"')


def pathwise(f: Function, mu: float, sigma: float, eps: Tensor) -> Gradients:
    """f'(z) for μ and f'(z) ε for σ, with f' by one backward pass for all draws (arXiv:1312.6114).

    Wrong without warning where f jumps: its derivative does not know of the jump.
    """
    z = (mu + sigma * eps).detach().requires_grad_()
    with torch.enable_grad():
        value = f(z)
        slope = torch.autograd.grad(value.sum(), z)[0] if value.requires_grad else torch.zeros_like(z)
    return Gradients(slope, slope * eps)


def measure_valued(f: Function, mu: float, sigma: float, noise: Tensor, coupled: bool = True) -> Gradients:
    """Differences of f under the two halves of the derivative of the density; needs no gradient of f.

    ∂μ: (f(μ + σW) − f(μ − σW')) / (σ√2π) with W, W' Rayleigh; ∂σ: (f(μ + σM) − f(μ + σuM')) / σ with M double-sided
    Maxwell, u uniform. `noise` (7, ..., L) is standard normal. Coupled: W' = W and M' = M; else independent.
    """
    if noise.shape[0] != 7:
        raise ValueError(f"noise: got {noise.shape[0]} tensors of normals, wanted 7, shape (7, ..., L)")
    w = _length(*noise[:2])
    m = _length(*noise[2:5]) * noise[4].sign()
    other_w = w if coupled else _length(*noise[5:7])
    # uM' is standard normal: coupled through a uniform made of two spare normals, or a spare normal itself
    inner = m * torch.exp(-0.5 * (noise[5] ** 2 + noise[6] ** 2)) if coupled else noise[5]
    up, down = f(mu + sigma * w), f(mu - sigma * other_w)
    return Gradients(
        (up - down) / (sigma * math.sqrt(2 * math.pi)), (f(mu + sigma * m) - f(mu + sigma * inner)) / sigma
    )


def _length(*parts: Tensor) -> Tensor:
    return sum(v**2 for v in parts).sqrt()  # a hundred times as fast as norm(dim=0)


class Exact(NamedTuple):
    """By quadrature over ε, in float64: the gradients, and the variances of one draw of each estimator."""

    mu: float
    sigma: float
    variances: dict[str, tuple[float, float]]  # estimator → (∂μ, ∂σ)


def exact(f: Function, mu: float, sigma: float, cells: int = 400_000, limit: float = 12.0) -> Exact:
    """Gradients of E f(z), and the variance of each estimator's single draw, by the midpoint rule over |ε| < limit.

    Works for functions with jumps: it uses E[f s], which needs no derivative. Keys: "score function", with the best
    constant baseline "score function, optimal baseline", with the mean "score function, mean baseline", "pathwise".
    """
    eps = (torch.arange(cells, dtype=torch.float64) + 0.5) * (2 * limit / cells) - limit
    p = torch.exp(-0.5 * eps**2) * (2 * limit / cells) / math.sqrt(2 * math.pi)

    def mean(v: Tensor) -> float:
        return (p * v).sum().item()

    value, scores = f(mu + sigma * eps).double(), (eps / sigma, (eps**2 - 1) / sigma)
    truth = [mean(value * s) for s in scores]
    slopes = pathwise(f, mu, sigma, eps)

    def score_variance(baselines: list[float]) -> tuple[float, float]:
        squares = [mean((value - b) ** 2 * s**2) for b, s in zip(baselines, scores, strict=True)]
        return tuple(a - t**2 for a, t in zip(squares, truth, strict=True))

    best = [mean(value * s**2) / mean(s**2) for s in scores]
    return Exact(
        *truth,
        {
            "score function": score_variance([0.0, 0.0]),
            "score function, mean baseline": score_variance([mean(value)] * 2),
            "score function, optimal baseline": score_variance(best),
            "pathwise": tuple(mean(g.double() ** 2) - mean(g.double()) ** 2 for g in slopes),
        },
    )


# --- Categorical --------------------------------------------------------------------------------------------
# logits (K,); f maps (..., K), a one-hot vector or a softened one, to (...). Estimates are (N, K), one a draw.


def gumbel(shape: tuple[int, ...], **to) -> Tensor:
    """Gumbel(0, 1) noise: −log(−log u)."""
    return -torch.empty(shape, **to).exponential_().log()


def gumbel_max(logits: Tensor, noise: Tensor) -> Tensor:
    """argmax of logits + noise: classes (N,) with exactly the probabilities softmax(logits)."""
    return (logits + noise).argmax(-1)


def categorical_score_function(f: Function, logits: Tensor, noise: Tensor, baseline: bool = False) -> Tensor:
    """(f(z) − b) (z − softmax(logits)), z one-hot from Gumbel noise (N, K); b: the mean of the other draws."""
    z = torch.eye(logits.shape[-1]).to(logits)[gumbel_max(logits, noise)]
    value = f(z)
    if baseline:
        value = value - (value.sum() - value) / (len(value) - 1)
    return value[:, None] * (z - logits.softmax(-1))


def gumbel_softmax(f: Function, logits: Tensor, noise: Tensor, tau: float, straight_through: bool = False) -> Tensor:
    """∂ f(softmax((logits + noise)/τ)): another function's gradient, biased for τ > 0 (arXiv:1611.01144, 1611.00712).

    With `straight_through`, f sees the one-hot argmax and the gradient goes through the softened vector.
    """
    if not tau > 0:
        raise ValueError(f"tau: got {tau!r}, wanted a positive temperature")
    copies = logits.expand(noise.shape).detach().clone().requires_grad_()
    with torch.enable_grad():
        sums = ((copies + noise) / tau).movedim(-1, 0).contiguous()  # softmax over a short last axis is slow
        z = soft = sums.softmax(0)
        if straight_through:
            hard = torch.zeros_like(soft).scatter_(0, soft.max(0, keepdim=True).indices, 1.0)  # argmax(0) is slow
            z = hard - soft.detach() + soft
        return torch.autograd.grad(f(z.movedim(0, -1)).sum(), copies)[0]


def exact_categorical(f: Function, logits: Tensor) -> Tensor:
    """∂ Σ_k π_k f(e_k) = π ⊙ (f(e) − E f), by enumeration: (K,)."""
    pi = logits.softmax(-1)
    value = f(torch.eye(len(logits)).to(logits))
    return pi * (value - pi @ value)
