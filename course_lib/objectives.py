"""Objectives: functions of a model's terms, to be maximised. Their value is the bound itself, in nats per example."""

import math
from typing import NamedTuple

from torch import Tensor


class Terms(NamedTuple):
    """A model's bound, K samples, B examples, D latents; nats per example."""

    rec: Tensor  # (K, B)     log p(x|z)
    log_ratio: Tensor  # (K, B)     log q(z|x) − log p(z) at the samples
    kl: Tensor  # (B,)       its expectation: closed form where there is one, else the mean of log_ratio
    z: Tensor  # (K, B, D)  z ~ q(z|x)


def elbo(t: Terms, beta: float = 1.0) -> Tensor:
    """E_q[log p(x|z)] − beta KL(q(z|x)‖p(z)), mean over the batch (arXiv:1312.6114; beta: Higgins et al. 2017)."""
    return (t.rec.mean(0) - beta * t.kl).mean()


def importance_weighted_bound(t: Terms) -> Tensor:
    """log (1/K) Σ_k p(x, z_k)/q(z_k|x), mean over the batch: ELBO ≤ this ≤ log p(x) on average (arXiv:1509.00519)."""
    return ((t.rec - t.log_ratio).logsumexp(0) - math.log(len(t.rec))).mean()


def effective_beta(
    pixels: int, latents: int, rec: str = "sum", kl: str = "sum", weight: float = 1.0, squared_error: bool = False
) -> float:
    """The beta of `elbo` that has the same minimum as the loss rec + weight · kl with these reductions.

    `rec` and `kl` are "sum" or "mean": over pixels and over latents. With `squared_error` the reconstruction is
    Σ(x − m)², twice the Gaussian's −log p(x|z) at sigma = 1, and beta refers to that sigma.
    """
    for name, value in (("rec", rec), ("kl", kl)):
        if value not in ("sum", "mean"):
            raise ValueError(f'{name}: got {value!r}, wanted "sum" or "mean"')
    a = (2.0 if squared_error else 1.0) / (pixels if rec == "mean" else 1)
    return weight / (latents if kl == "mean" else 1) / a
