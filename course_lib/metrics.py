"""What a trained model is worth: log p(x) by importance sampling, and by brute force where two latents allow it."""

import math

import torch
from torch import Tensor, nn

from course_lib.distributions import BinaryPixels
from course_lib.nets import mlp


@torch.inference_mode()
def log_px(model: nn.Module, x: Tensor, *y: Tensor, k: int = 1000, batch: int = 100) -> tuple[Tensor, Tensor]:
    """log p(x) ≈ log (1/k) Σ_i w_i with w_i = p(x, z_i)/q(z_i|x), z_i ~ q(z|x), and the effective sample size.

    Both (B,), nats. On average too low, and by a lot where the effective sample size (Σw)²/Σw² is near 1: a few
    samples carry the sum, and those that q hardly ever draws are missing (arXiv:1509.00519).
    """
    estimates, sizes = [], []
    for start in range(0, len(x), batch):
        part = [v[start : start + batch] for v in (x, *y)]
        logs, done = [], 0
        while done < k:  # at most 50 samples at a time: (50, 100, 784) floats are 16 MB
            t = model(*part, k=min(50, k - done))
            logs.append(t.rec - t.log_ratio)
            done += len(t.rec)
        log_w = torch.cat(logs)  # (k, B)
        estimates.append(log_w.logsumexp(0) - math.log(k))
        sizes.append((2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp())
    return torch.cat(estimates), torch.cat(sizes)


@torch.inference_mode()
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


@torch.inference_mode()
def joint_on_grid(
    model: nn.Module, x: Tensor, n: int = 192, limit: float = 5.0, centre: tuple[float, float] = (0.0, 0.0)
) -> tuple[Tensor, float]:
    """log p(x, z) at the midpoints of `grid`, (n², B), and the area of a cell. Its softmax over 0 is p(z|x)."""
    if model.d != 2:
        raise ValueError(f"model: has {model.d} latents, wanted 2: a grid over more has too many cells")
    z = grid(n, limit, centre, dtype=x.dtype, device=x.device)
    rows = [_log_likelihood(model, x, part) + model.p_z().log_prob(part)[:, None] for part in z.split(4096)]
    return torch.cat(rows), (2 * limit / n) ** 2


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
    axes = torch.linalg.eigvalsh(z.T.cov()).sqrt()
    widths = torch.stack([(torch.linalg.eigvalsh(z[y == c].T.cov()).log().mean() / 2).exp() for c in y.unique()])
    return {
        "distance of the mean from 0": z.mean(0).norm().item(),
        "longest / shortest axis": (axes[-1] / axes[0]).item(),
        "widest / narrowest class": (widths.max() / widths.min()).item(),
    }


def classifier(x: Tensor, y: Tensor, epochs: int = 5, seed: int = 0) -> nn.Module:
    """A multilayer perceptron (N, X) → (N, C) logits, trained by cross-entropy on images x and labels y."""
    with torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):
        torch.manual_seed(seed)
        net = mlp(x.shape[1], 256, int(y.max()) + 1).to(x.device)
        optimizer = torch.optim.Adam(net.parameters(), lr=2e-3, fused=True)
        for _ in range(epochs):
            for i in torch.randperm(len(x), device=x.device).split(128):
                loss = nn.functional.cross_entropy(net(x[i]), y[i])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return net


@torch.inference_mode()
def recognised(net: nn.Module, x: Tensor, level: float = 0.9) -> dict[str, float]:
    """What a classifier makes of images x: the share it is sure of, p ≥ level, and the share of the rarest class."""
    p = net(x).softmax(-1)
    counts = p.argmax(-1).bincount(minlength=p.shape[-1])
    return {
        "share recognised": (p.amax(-1) >= level).double().mean().item(),
        "share of the rarest class": (counts.min() / len(x)).item(),
    }
