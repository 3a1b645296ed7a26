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
