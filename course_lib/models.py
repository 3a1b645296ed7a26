"""Models: what they assume about x and z. Each returns the terms of its bound, and variants differ by a line or two.

x (B, X) are B examples of X pixels, z (K, B, D) are K samples of D latents for each.
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import Independent

from course_lib.distributions import BinaryPixels, GreyPixels, UnitPixels, gaussian, kl, normal
from course_lib.objectives import Terms


class VAE(nn.Module):
    """p(z) = N(0, I), p(x|z) Bernoulli, q(z|x) diagonal Gaussian (arXiv:1312.6114).

    `enc` maps (B, X) to (B, 2D), mu beside log_var; `dec` maps (..., D) to (..., X), logits; `d` is D. x is 0 or 1.
    """

    def __init__(self, enc: nn.Module, dec: nn.Module, d: int):
        super().__init__()
        self.enc, self.dec, self.d = enc, dec, d
        self.register_buffer("standard", torch.zeros(2 * d), persistent=False)  # mu = 0, log_var = 0

    def q_z(self, x: Tensor) -> Independent:
        params = self.enc(x)
        if params.shape[-1] != 2 * self.d:
            raise ValueError(
                f"enc: gives {params.shape[-1]} numbers an example, wanted 2·d = {2 * self.d}, mu beside log_var"
            )
        return gaussian(params)

    def p_z(self) -> Independent:
        return gaussian(self.standard)

    def p_x(self, z: Tensor) -> Independent:
        return BinaryPixels(self.dec(z))

    def forward(self, x: Tensor, *y: Tensor, k: int = 1) -> Terms:
        q, p = self.q_z(x, *y), self.p_z()
        z = q.rsample((k,))  # (K, B, D)
        log_ratio = q.log_prob(z) - p.log_prob(z)
        likelihood = self.p_x(z, *y)
        if likelihood.event_shape != x.shape[1:]:
            raise ValueError(f"x: has shape {tuple(x.shape)}, wanted (B, {likelihood.event_shape[0]}) as dec gives")
        return Terms(likelihood.log_prob(x), log_ratio, kl(q, p, log_ratio), z)

    def encode(self, x: Tensor) -> Tensor:
        """The codes of x: (B, D), the mean of q(z|x)."""
        return self.q_z(x).mean

    def decode(self, z: Tensor) -> Tensor:
        """The images of z: (..., X), the mean of p(x|z)."""
        return self.p_x(z).mean


class GreyVAE(VAE):
    """The usual loss on grey pixels: cross-entropy, which is log p(b|z) averaged over black-and-white draws of x.

    So its ELBO bounds E_b log p(b) with an encoder that saw the grey image; it says nothing about grey x itself.
    """

    def p_x(self, z):
        return GreyPixels(self.dec(z))


class ContinuousBernoulliVAE(VAE):
    """p(x|z) a density on [0, 1]: the Bernoulli's form with its normaliser (Loaiza-Ganem & Cunningham, 1907.06845)."""

    def p_x(self, z):
        return UnitPixels(self.dec(z))


class GaussianVAE(VAE):
    """p(x|z) = N(dec(z), sigma² I), with sigma given, or learned as one number when it is None."""

    def __init__(self, enc, dec, d, sigma: float | None = None):
        super().__init__(enc, dec, d)
        if sigma is not None and not sigma > 0:
            raise ValueError(f"sigma: got {sigma}, wanted a positive number, or None to learn it")
        self.log_sigma = nn.Parameter(torch.tensor(math.log(sigma or 0.2)), requires_grad=sigma is None)

    def p_x(self, z):
        return normal(self.dec(z), self.log_sigma.exp())


class LinearVAE(GaussianVAE):
    """Both networks linear, one covariance for all x: its best ELBO is probabilistic PCA's likelihood (1911.02469)."""

    def __init__(self, n_pixels: int, d: int, sigma: float | None = None):
        super().__init__(nn.Linear(n_pixels, d), nn.Linear(d, n_pixels), d, sigma)
        self.log_var = nn.Parameter(torch.zeros(d))

    def q_z(self, x):
        return normal(self.enc(x), torch.exp(0.5 * self.log_var))


class AE(nn.Module):
    """Autoencoder: `rec` is minus the squared error summed over pixels. No density, so log_ratio and kl are 0.

    `enc` maps (B, X) to (B, D), `dec` maps (..., D) to (..., X), the reconstruction itself.
    """

    def __init__(self, enc: nn.Module, dec: nn.Module, d: int):
        super().__init__()
        self.enc, self.dec, self.d = enc, dec, d

    def forward(self, x: Tensor, k: int = 1) -> Terms:
        z = self.encode(x).expand(k, -1, -1)  # a code is a point: all K samples are the same
        rec = -(self.decode(z) - x).square().sum(-1)
        return Terms(rec, torch.zeros_like(rec), torch.zeros_like(rec[0]), z)

    def encode(self, x: Tensor) -> Tensor:
        code = self.enc(x)
        if code.shape[-1] != self.d:
            raise ValueError(f"enc: gives {code.shape[-1]} numbers an example, wanted d = {self.d}")
        return code

    def decode(self, z: Tensor) -> Tensor:
        return self.dec(z)
