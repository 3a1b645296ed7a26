"""What a trained model is worth: log p(x) by importance sampling, and by brute force where two latents allow it."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from course_lib.arguments import whole_number
from course_lib.distributions import BinaryPixels
from course_lib.nets import mlp
from course_lib.training import evaluating, seeded


def log_px(model: nn.Module, x: Tensor, *y: Tensor, k: int = 1000, batch: int = 100) -> tuple[Tensor, Tensor]:
    """log p(x) ≈ log (1/k) Σ_i w_i with w_i = p(x, z_i)/q(z_i|x), z_i ~ q(z|x), and the effective sample size.

    Both (B,), nats. On average between the ELBO and log p(x) (arXiv:1509.00519). A small effective sample size
    (Σw)²/Σw² is a warning; a large one is no all-clear, since samples that all miss the posterior may agree.
    """
    k = whole_number("k", k, 1)
    estimates, sizes = [], []
    with evaluating(model):
        for parts in zip(*(v.split(batch) for v in (x, *y)), strict=True):
            chunks = [min(50, k - done) for done in range(0, k, 50)]  # (50, 100, 784) floats are 16 MB
            terms = [model(*parts, k=chunk) for chunk in chunks]
            log_w = torch.cat([t.rec - t.log_ratio for t in terms])  # (k, B)
            estimates.append(log_w.logsumexp(0) - math.log(k))
            sizes.append((2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp())
    return torch.cat(estimates), torch.cat(sizes)


def log_px_grid(model: nn.Module, x: Tensor, n: int = 192, limit: float = 5.0) -> Tensor:
    """log ∫ p(x|z) p(z) dz by the midpoint rule over n² cells of [−limit, limit]²: (B,), nats, for d = 2.

    Exact up to the grid: halve the cells and see how far the answer moves. The posterior of a sharp model is narrow,
    and a cell must be narrower.
    """
    log_joint, cell = joint_on_grid(model, x, n, limit)
    return log_joint.logsumexp(0) + math.log(cell)


def grid(n: int = 192, limit: float = 5.0, centre: tuple[float, float] = (0.0, 0.0), **to) -> Tensor:
    """Midpoints of n² cells over the square of half-width `limit` around `centre`: (n², 2), first latent slowest."""
    side = (torch.arange(n, **to) + 0.5) * (2 * limit / n) - limit
    return torch.cartesian_prod(side + centre[0], side + centre[1])


def normal_nodes(n: int, d: int = 2, **to) -> tuple[Tensor, Tensor]:
    """Gauss–Hermite points (n^d, d) and weights (n^d,): weights @ f(points) is E f(ε), ε ~ N(0, I_d).

    Exact where f is a polynomial of degree below 2n in each coordinate, and close where f is nearly one.
    """
    at, weight = (torch.as_tensor(v, **to) for v in np.polynomial.hermite_e.hermegauss(n))
    weight = torch.cartesian_prod(*[weight / weight.sum()] * d).reshape(-1, d).prod(-1)
    return torch.cartesian_prod(*[at] * d).reshape(-1, d), weight


def joint_on_grid(
    model: nn.Module, x: Tensor, n: int = 192, limit: float = 5.0, centre: tuple[float, float] = (0.0, 0.0)
) -> tuple[Tensor, float]:
    """log p(x, z) at the midpoints of `grid`, (n², B), and the area of a cell. Its softmax over 0 is p(z|x)."""
    if model.d != 2:
        raise ValueError(f"model: has {model.d} latents, wanted 2: a grid over more has too many cells")
    z = grid(n, limit, centre, dtype=x.dtype, device=x.device)
    with evaluating(model):
        rows = [_log_likelihood(model, x, part) + model.p_z().log_prob(part)[:, None] for part in z.split(4096)]
    return torch.cat(rows), (2 * limit / n) ** 2


def posterior_around(model: nn.Module, x: Tensor, n: int = 200) -> tuple[Tensor, list[float]]:
    """p(z|x) of one image x (1, X) on n² cells around its peak and around the mean of q: (n, n), z_1 first, and extent.

    The coarse grid finds the peak, a fine one is laid over both places: (left, right, bottom, top), sums to 1 there.
    """
    peak = grid(384, dtype=x.dtype, device=x.device)[joint_on_grid(model, x, 384)[0].argmax()]
    q = model.q_z(x)
    mean, sd = q.mean[0].detach(), q.stddev[0].detach()
    reach = (mean - peak).abs().max().item() + max(0.2, 4 * sd.max().item())
    centre = ((mean + peak) / 2).tolist()
    log_joint, _ = joint_on_grid(model, x, n, reach, tuple(centre))
    extent = [centre[0] - reach, centre[0] + reach, centre[1] - reach, centre[1] + reach]
    return log_joint.softmax(0).reshape(n, n), extent


def _log_likelihood(model: nn.Module, x: Tensor, z: Tensor) -> Tensor:
    """log p(x_b|z_g) for all pairs, (G, B)."""
    p = model.p_x(z)
    if isinstance(p, BinaryPixels):  # x·logits − Σ log(1 + e^logits): one matrix product instead of G·B images
        p.check(x)
        logits = p.base_dist.logits
        return logits @ x.T - nn.functional.softplus(logits).sum(-1, keepdim=True)
    return torch.stack([p.log_prob(image) for image in x], -1)


def code_cloud(z: Tensor, y: Tensor) -> dict[str, float]:
    """How far codes z (N, D) of classes y (N,) are from a standard normal cloud with equal room for every class.

    The distance of their mean from 0; the longest by the shortest axis of their covariance; the width of the largest
    class by that of the smallest, where a width is the geometric mean of the axes of the class's covariance.
    """
    few = [c.item() for c in y.unique() if (y == c).sum() <= z.shape[1]]
    if few:
        raise ValueError(f"y: got too few codes of class {few}, wanted more than {z.shape[1]} of each for a covariance")

    def axes_of(codes: Tensor) -> Tensor:
        return torch.linalg.eigvalsh(torch.atleast_2d(codes.T.cov())).sqrt()

    axes = axes_of(z)
    widths = torch.stack([axes_of(z[y == c]).log().mean().exp() for c in y.unique()])
    return {
        "distance of the mean from 0": z.mean(0).norm().item(),
        "longest / shortest axis": (axes[-1] / axes[0]).item(),
        "widest / narrowest class": (widths.max() / widths.min()).item(),
    }


def classifier(x: Tensor, y: Tensor, epochs: int = 5, seed: int = 0) -> nn.Module:
    """A multilayer perceptron (N, X) → (N, C) logits, trained by cross-entropy on images x and labels y."""
    with seeded(seed, x.device):
        net = mlp(x.shape[1], 256, int(y.max()) + 1).to(x.device)
        optimizer = torch.optim.Adam(net.parameters(), lr=2e-3, fused=True)
        for _ in range(epochs):
            for i in torch.randperm(len(x), device=x.device).split(128):
                loss = nn.functional.cross_entropy(net(x[i]), y[i])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return net


@torch.no_grad()
def recognised(net: nn.Module, x: Tensor, level: float = 0.9) -> dict[str, float]:
    """What a classifier makes of images x: the share it is sure of, p ≥ level, and the share of the rarest class."""
    p = net(x).softmax(-1)
    counts = p.argmax(-1).bincount(minlength=p.shape[-1])
    return {
        "share recognised": (p.amax(-1) >= level).double().mean().item(),
        "share of the rarest class": (counts.min() / len(x)).item(),
    }


@torch.no_grad()
def three_failures(model: nn.Module, x: Tensor, y: Tensor, reader: nn.Module, n: int = 5000) -> dict[str, float]:
    """What keeps `model` from generating images by decoding N(0, I), measured on images x (N, X) of classes y (N,).

    `code_cloud` of its codes (of draws from q(z|x), where the encoder gives a distribution); the share that `reader`
    recognises among their decodings, among n draws from a Gaussian with the codes' mean and covariance, and among n
    draws from N(0, I); and the share of the rarest class among those.
    """
    z = model(x).z[0]
    root = torch.linalg.cholesky(torch.atleast_2d(z.T.cov()))
    noise = torch.randn(n, model.d, dtype=z.dtype, device=z.device)
    decoded = {"codes of images": z, "a Gaussian fitted to them": z.mean(0) + noise @ root.T, "N(0, I)": noise}
    seen = {name: recognised(reader, model.decode(codes).clamp(0, 1)) for name, codes in decoded.items()}
    return (
        code_cloud(z, y)
        | {f"recognised, {name}": s["share recognised"] for name, s in seen.items()}
        | {"rarest class, N(0, I)": seen["N(0, I)"]["share of the rarest class"]}
    )
