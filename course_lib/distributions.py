"""The densities of the course: torch.distributions objects over whole vectors.

Each `log_prob` gives one number per example, summed over the last axis. Parameters come out of networks and are not
validated: a NaN there has to reach the loss, where `training.fit` reports it in words. Pixels are.
"""

import torch
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Distribution,
    Independent,
    MixtureSameFamily,
    Normal,
)
from torch.distributions import kl_divergence as closed_form_kl
from torch.nn import functional as F


def normal(mu: Tensor, sigma: Tensor) -> Independent:
    """N(mu, diag(sigma²)) over the last axis of `mu` (..., D); `sigma` broadcasts."""
    return Independent(Normal(mu, sigma, validate_args=False), 1, validate_args=False)


def gaussian(params: Tensor) -> Independent:
    """N(mu, diag(exp(log_var))) over (D,) from params (..., 2D) = mu | log_var, the encoder's output."""
    if params.shape[-1] % 2:
        raise ValueError(f"params: got a last axis of {params.shape[-1]}, wanted an even one, mu beside log_var")
    mu, log_var = params.chunk(2, -1)
    return normal(mu, torch.exp(0.5 * log_var))


def mixture(log_weights: Tensor, params: Tensor) -> MixtureSameFamily:
    """Σ_c softmax(log_weights)_c N(mu_c, diag(exp(log_var_c))): log_weights (C,), params (C, 2D)."""
    return MixtureSameFamily(
        Categorical(logits=log_weights, validate_args=False), gaussian(params), validate_args=False
    )


def product(q: Independent, p: Independent) -> Independent:
    """The Gaussian proportional to q(z) p(z): precisions add, means are weighted by them (arXiv:1602.02282, eq. 10)."""
    a, b = q.variance.reciprocal(), p.variance.reciprocal()
    return normal((a * q.mean + b * p.mean) / (a + b), (a + b).rsqrt())


def kl(q: Distribution, p: Distribution, log_ratio: Tensor) -> Tensor:
    """KL(q‖p) in nats, (B,): the closed form where torch knows one, else the mean of log_ratio (K, B) over samples."""
    try:
        return closed_form_kl(q, p)
    except NotImplementedError:
        return log_ratio.mean(0)


class BinaryPixels(Independent):
    """Black-and-white pixels: a Bernoulli for each logit (..., X). Raises ValueError on a pixel that is not 0 or 1."""

    def __init__(self, logits: Tensor):
        super().__init__(Bernoulli(logits=logits, validate_args=False), 1, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        self.check(value)
        # from logits, not probabilities: log of a sigmoid that rounds to 0 or 1 would be −inf
        return -F.binary_cross_entropy_with_logits(
            *torch.broadcast_tensors(self.base_dist.logits, value), reduction="none"
        ).sum(-1)

    def check(self, value: Tensor) -> None:
        squares = value.clamp(0, 1).square()
        if not torch.equal(value, squares):  # only 0 and 1 are their own squares; infinity is too, but for the clamp
            worst = value[value != squares][0].item()
            raise ValueError(
                f"x: got a pixel of {worst:.4g}, and a Bernoulli gives probability to 0 and 1 only. Draw black and "
                "white with torch.bernoulli(x) (in training: fit(..., transform=torch.bernoulli), fresh at every "
                "step), or take models.GreyVAE, which says what the loss means on grey pixels"
            )


class GreyPixels(BinaryPixels):
    """Cross-entropy x log p + (1 − x) log(1 − p) for pixels in [0, 1].

    No density of grey images: it is the mean of `BinaryPixels.log_prob(b)` over black-and-white draws b ~ Bernoulli(x).
    Raises ValueError on a pixel outside [0, 1].
    """

    def check(self, value: Tensor) -> None:
        _check_unit(value)


class UnitPixels(Independent):
    """Grey pixels in [0, 1] with a density there: the continuous Bernoulli of each logit (arXiv:1907.06845).

    Raises ValueError on a pixel outside [0, 1].
    """

    def __init__(self, logits: Tensor):
        super().__init__(ContinuousBernoulli(logits=logits, validate_args=False), 1, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        _check_unit(value)
        return super().log_prob(value)


def _check_unit(value: Tensor) -> None:
    low, high = torch.stack(value.aminmax()).tolist()  # one wait for the device, not two
    if not (low >= 0 and high <= 1):  # so that NaN fails, too
        raise ValueError(f"x: got pixels from {low:.4g} to {high:.4g}, wanted [0, 1]")
