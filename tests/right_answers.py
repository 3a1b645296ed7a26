"""Right answers in other styles than the course's own: each must pass. Exercise id → functions."""

import itertools
import math
from fractions import Fraction

import numpy as np
import torch
from scipy.linalg import subspace_angles
from scipy.special import ndtri
from torch.distributions import Bernoulli, Exponential, Independent, MultivariateNormal, Normal, kl_divergence
from torch.nn import functional as F


def kl_by_loops(mu, log_var):
    out = []
    for m, s in zip(mu, log_var, strict=True):
        total = 0.0
        for d in range(len(m)):
            total = total + 0.5 * (m[d] ** 2 + torch.exp(s[d]) - 1 - s[d])
        out.append(total)
    return torch.stack(out)


def kl_by_einsum(mu, log_var):
    ones = torch.ones(mu.shape[1], dtype=mu.dtype)
    return (torch.einsum("bd,bd->b", mu, mu) + (log_var.exp() - log_var) @ ones - mu.shape[1]) / 2


def kl_by_distributions(mu, log_var):
    prior = Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1)
    return kl_divergence(Independent(Normal(mu, torch.sqrt(log_var.exp())), 1), prior)


def kl_printing(mu, log_var):
    print("working on", mu.shape)
    return torch.sum(-0.5 * (1 + log_var - mu.pow(2) - log_var.exp()), dim=1)


def sample_by_full_covariance(mu, log_var, eps):
    root = MultivariateNormal(mu, torch.diag_embed(log_var.exp())).scale_tril
    return mu + torch.einsum("bij,bj->bi", root, eps)


def bernoulli_by_loops(x, logits):
    rows = []
    for image, a in zip(x, logits, strict=True):
        rows.append(sum(-F.softplus(-ai) if xi == 1 else -F.softplus(ai) for xi, ai in zip(image, a, strict=True)))
    return torch.stack(rows)


def gaussian_by_log_sigma(x, mean, sigma):
    log_sigma = torch.log(sigma).expand_as(x)
    per_pixel = (x - mean) ** 2 / torch.exp(2 * log_sigma) + 2 * log_sigma + math.log(2 * math.pi)
    return -0.5 * torch.einsum("bp->b", per_pixel)


def negative_elbo_by_distributions(x, logits, mu, log_var):
    rec = Independent(Bernoulli(logits=logits), 1).log_prob(x)
    return -(rec - kl_by_distributions(mu, log_var)).mean()


def negative_elbo_in_one(x, logits, mu, log_var):
    bce = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + log_var - mu**2 - log_var.exp())
    return (bce + kl) / x.shape[0]


def negative_elbo_by_loops(x, logits, mu, log_var):
    return torch.stack(
        [negative_elbo_in_one(*(v[n : n + 1] for v in (x, logits, mu, log_var))) for n in range(len(x))]
    ).mean()


def bound_by_loops(elbos, dataset_size):
    total = 0
    for e in elbos:
        total = total + e
    return total * dataset_size / len(elbos)


def quantiles_by_bisection(n):
    out = []
    for level in np.linspace(0.05, 0.95, n):
        low, high = -10.0, 10.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if 0.5 * (1 + math.erf(middle / 2**0.5)) < level else (low, middle)
        out.append(middle)
    return torch.tensor(out)


def score_by_autograd(f, mu, sigma, eps):
    mean = torch.full_like(eps, mu, requires_grad=True)
    z = mu + sigma * eps
    return f(z) * torch.autograd.grad(Normal(mean, sigma).log_prob(z).sum(), mean)[0]


def score_by_loops(f, mu, sigma, eps):
    z = [mu + sigma * e for e in eps]
    return torch.stack([f(v) * (v - mu) / sigma**2 for v in z])


def path_by_loops(df, mu, sigma, eps):
    slopes = [df(mu + sigma * e) for e in eps]
    return torch.stack(slopes), torch.stack([s * e for s, e in zip(slopes, eps, strict=True)])


def path_with_a_copy_for_each(df, mu, sigma, eps):
    m, s = torch.full_like(eps, mu, requires_grad=True), torch.full_like(eps, sigma, requires_grad=True)
    z = m + s * eps
    return torch.autograd.grad(z, [m, s], df(z.detach()))


def variance_by_moments(mu, sigma, k):
    a, moments = mu - k, [1, 0, 1, 0, 3, 0, 15]
    terms = np.polynomial.Polynomial([a, sigma]) ** 4 * np.polynomial.Polynomial([0, 0, 1 / sigma**2])
    return float(sum(c * m for c, m in zip(terms.coef, moments, strict=True)) - 4 * a**2)


def variance_in_tensors(mu, sigma, k):
    a = torch.tensor(float(mu - k), dtype=torch.float64)
    return a**4 / sigma**2 + 18 * a**2 + 15 * sigma**2 - (2 * a) ** 2


def baseline_by_numpy(f_values, score):
    return torch.tensor(np.average(f_values.numpy(), weights=score.numpy() ** 2), dtype=score.dtype)


def baseline_by_the_vertex(f_values, score):
    """The minimum of a parabola through three of its points."""
    at = [(((f_values - b) * score) ** 2).double().mean() for b in (-1.0, 0.0, 1.0)]
    return ((at[0] - at[2]) / (2 * (at[0] - 2 * at[1] + at[2]))).to(score.dtype)


def classes_by_loops(log_pi, u):
    out = []
    for row in u:
        sums = [p - math.log(-math.log(v)) for p, v in zip(log_pi.tolist(), row.tolist(), strict=True)]
        out.append(sums.index(max(sums)))
    return torch.tensor(out)


def classes_by_distribution(log_pi, u):
    return torch.argmax(torch.distributions.Gumbel(0.0, 1.0).icdf(u.double()) + log_pi, dim=1)


def soft_by_hand(log_pi, gumbel, tau):
    logits = (log_pi[None] + gumbel) / tau
    powers = torch.exp(logits - logits.max(dim=1, keepdim=True).values)
    return powers / powers.sum(dim=1, keepdim=True)


def soft_by_rows(log_pi, gumbel, tau):
    return torch.stack([F.softmax((log_pi + row) / tau, dim=0) for row in gumbel])


def posterior_by_loops(prior, likelihood):
    total = sum(a * b for a, b in zip(prior, likelihood, strict=True))
    return torch.stack([a * b / total for a, b in zip(prior, likelihood, strict=True)])


def map_by_newton(x, sigma, tau):
    """One Newton step is exact on a parabola."""
    m = torch.zeros((), dtype=x.dtype, requires_grad=True)
    value = ((x - m) ** 2).sum() / (2 * sigma**2) + m**2 / (2 * tau**2)
    slope = torch.autograd.grad(value, m, create_graph=True)[0]
    return (m - slope / torch.autograd.grad(slope, m)[0]).detach()


def kl_by_moments(mu_q, sigma_q, mu_p, sigma_p):
    ratio = (sigma_q / sigma_p) ** 2
    return 0.5 * (ratio - 1 - ratio.log() + ((mu_q - mu_p) / sigma_p).square())


def log_mean_exp_by_hand(log_w, dim):
    top = log_w.max(dim, keepdim=True).values
    return (log_w - top).exp().mean(dim).log() + top.squeeze(dim)


def elbo_below_the_evidence(x, w, noise, m, s):
    """log p(x) less KL(q‖p(z|x)), instead of the two terms; log p(x) by Bayes' rule at z = 0."""
    precision, zero = 1 + w @ w / noise**2, torch.zeros_like(noise)
    posterior = Normal(w @ x / noise**2 / precision, precision**-0.5)
    log_joint = Normal(0.0, noise).log_prob(x).sum() + Normal(0.0, 1.0).log_prob(zero)
    return log_joint - posterior.log_prob(zero) - kl_divergence(Normal(m, s), posterior)


def elbo_by_loops(x, w, noise, m, s):
    total = 0.5 * (1 + 2 * torch.log(s) - m * m - s * s)
    for a, b in zip(x, w, strict=True):
        total = total - ((a - b * m) ** 2 + (b * s) ** 2) / (2 * noise**2) - torch.log(noise * (2 * math.pi) ** 0.5)
    return total


def elbo_by_two_points(x, w, noise, m, s):
    """The mean of a parabola under q is its mean at m − s and m + s."""
    rec = torch.stack([Normal(w * z, noise).log_prob(x).sum() for z in (m - s, m + s)]).mean()
    return rec - kl_divergence(Normal(m, s), Normal(torch.zeros_like(m), torch.ones_like(s)))


def posterior_number_by_number(x, w, noise):
    """Each number in x makes the last posterior the next prior."""
    mean, variance = torch.zeros_like(noise), torch.ones_like(noise)
    for a, b in zip(x, w, strict=True):
        gain = variance * b / (b**2 * variance + noise**2)
        mean, variance = mean + gain * (a - b * mean), variance * (1 - gain * b)
    return mean, variance


def posterior_by_derivatives(x, w, noise):
    """One Newton step from 0 on log p(z) + log p(x|z), which is a parabola."""
    z = torch.zeros_like(noise).requires_grad_()
    value = Normal(0.0, 1.0).log_prob(z) + Normal(w * z, noise).log_prob(x).sum()
    slope = torch.autograd.grad(value, z, create_graph=True)[0]
    curvature = torch.autograd.grad(slope, z)[0]
    return -slope.detach() / curvature, -1 / curvature


def variances_by_newton(precision):
    """The minimum of ½ Λ_ii v − ½ log v, latent by latent, from below."""
    v = torch.full_like(precision[0], 1e-6)
    for _ in range(60):
        v = v * (2 - precision.diagonal() * v)
    return v


def update_by_loops(m, mu, precision, i):
    pull = 0.0
    for j in range(len(m)):
        if j != i:
            pull = pull + precision[i, j] * (m[j] - mu[j])
    return mu[i] - pull / precision[i, i]


def update_by_newton(m, mu, precision, i):
    """One Newton step on the energy, which is a parabola in m_i."""
    at = m.clone().requires_grad_()
    slope = torch.autograd.grad(0.5 * (at - mu) @ precision @ (at - mu), at)[0]
    return m[i] - slope[i] / precision[i, i]


def gaps_by_loops(log_px, elbo_best, elbo_encoder):
    rows = [(p - b, b - e) for p, b, e in zip(log_px, elbo_best, elbo_encoder, strict=True)]
    return tuple(torch.stack(column) for column in zip(*rows, strict=True))


def break_even_by_doubling(train_cost, encoder_cost, svi_cost):
    """Doubles n until it pays, then halves the interval."""
    low, high = 0, 1
    while train_cost + high * encoder_cost > high * svi_cost:
        low, high = high, 2 * high
        if high > 2**40:
            return math.inf
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if train_cost + middle * encoder_cost <= middle * svi_cost else (middle, high)
    return high


def break_even_in_fractions(train_cost, encoder_cost, svi_cost):
    saved = Fraction(svi_cost) - Fraction(encoder_cost)
    return float("inf") if saved <= 0 else math.ceil(Fraction(train_cost) / saved)


def pca_by_covariance(x, k):
    mean = x.mean(dim=0, keepdim=True)
    _, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    top = vectors[:, -k:]
    return torch.stack([mean[0] + top @ (top.T @ (row - mean[0])) for row in x])


def pca_by_rows(x, k):
    """From the N × N products of rows: the same projection, seen from the other side."""
    mean = torch.einsum("nd->d", x) / x.shape[0]
    u = torch.linalg.eigh((x - mean) @ (x - mean).T).eigenvectors.flip(1)[:, :k]
    return u @ u.T @ (x - mean) + mean


def pca_by_truncated_svd(x, k):
    u, s, vh = torch.linalg.svd(x - x.mean(0))
    return torch.einsum("nk,k,kd->nd", u[:, :k], s[:k], vh[:k]) + x.mean(0)


def parameters_by_loops(sizes):
    total = 0
    for i in range(1, len(sizes)):
        total += sizes[i - 1] * sizes[i]
        total += sizes[i]
    return total


def parameters_of_a_module(sizes):
    layers = [torch.nn.Linear(*pair) for pair in itertools.pairwise(sizes)]
    return sum(p.numel() for layer in layers for p in layer.parameters())


def linear_error_by_covariance(x, k):
    values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0))
    return values[: x.shape[1] - k].sum()


def linear_error_by_what_is_kept(x, k):
    c = x - x.mean(0, keepdim=True)
    kept = torch.linalg.svdvals(c)[:k].square().sum()
    return (c.square().sum() - kept) / x.shape[0]


def angle_by_acos(a, b):
    qa, _ = torch.linalg.qr(a)
    qb, _ = torch.linalg.qr(b)
    return torch.arccos(torch.clamp(torch.linalg.svdvals(qa.T @ qb), 0, 1)).max()


def angle_by_asin(a, b):
    qa, qb = torch.linalg.qr(a)[0], torch.linalg.qr(b)[0]
    return torch.asin(torch.linalg.matrix_norm(qb - qa @ (qa.T @ qb), ord=2).clamp(max=1))


def angle_by_projectors(a, b):
    pa, pb = (m @ torch.linalg.pinv(m) for m in (a, b))
    return torch.asin(torch.linalg.svdvals(pa - pb)[0].clamp(max=1))


def angle_by_svd_bases(a, b):
    ua, ub = (torch.linalg.svd(m, full_matrices=False).U for m in (a, b))
    sine = torch.linalg.svdvals(ub - ua @ ua.T @ ub)[0]
    return torch.atan2(sine, torch.linalg.svdvals(ua.T @ ub)[-1])


RIGHT = {
    "00.1": [
        posterior_by_loops,
        lambda a, b: torch.softmax(a.log() + b.log(), dim=0),
        lambda a, b: F.normalize(a * b, p=1.0, dim=0, eps=0.0),
        lambda a, b: torch.einsum("k,k->k", a, b) / torch.dot(a, b),
    ],
    "00.2": [
        lambda x, mu, sigma: Normal(mu, sigma).log_prob(x),
        lambda x, mu, sigma: -0.5 * ((x - mu) ** 2 / sigma**2 + torch.log(2 * math.pi * sigma**2)),
        lambda x, m, s: -F.gaussian_nll_loss(m.expand_as(x), x, (s**2).expand_as(x), True, 1e-12, reduction="none"),
    ],
    "00.3": [
        map_by_newton,
        lambda x, s, t: (x.sum() / s**2) / (len(x) / s**2 + 1 / t**2),
        lambda x, s, t: x.mean() * len(x) * t**2 / (len(x) * t**2 + s**2),
    ],
    "00.4": [
        kl_by_moments,
        lambda a, b, c, d: kl_divergence(Normal(a, b), Normal(c, d)),
        lambda a, b, c, d: d.log() - b.log() + 0.5 * (b / d) ** 2 + 0.5 * ((a - c) / d) ** 2 - 0.5,
    ],
    "00.5": [
        log_mean_exp_by_hand,
        lambda w, dim: torch.logsumexp(w - math.log(w.shape[dim]), dim),
        lambda w, dim: torch.logsumexp(w, dim=dim) - torch.tensor(float(w.shape[dim]), dtype=w.dtype).log(),
    ],
    "01.1": [
        pca_by_covariance,
        pca_by_rows,
        pca_by_truncated_svd,
    ],
    "01.2": [
        parameters_by_loops,
        parameters_of_a_module,
        lambda sizes: sum((m + 1) * n for m, n in itertools.pairwise(sizes)),
        lambda sizes: int(np.dot(np.array(sizes[:-1]) + 1, sizes[1:])),
    ],
    "01.3": [
        linear_error_by_covariance,
        linear_error_by_what_is_kept,
        lambda x, k: (x - pca_by_truncated_svd(x, k)).pow(2).sum(1).mean(),
        lambda x, k: torch.linalg.svd(x - x.mean(0), full_matrices=False).S[k:].pow(2).sum() / x.shape[0],
    ],
    "01.4": [
        angle_by_acos,
        angle_by_asin,
        angle_by_projectors,
        angle_by_svd_bases,
        lambda a, b: torch.tensor(subspace_angles(a.numpy(), b.numpy()).max(), dtype=a.dtype),
    ],
    "02.1": [
        elbo_below_the_evidence,
        elbo_by_loops,
        elbo_by_two_points,
        lambda x, w, noise, m, s: (
            -(x @ x - 2 * m * (w @ x) + (m**2 + s**2) * (w @ w)) / (2 * noise**2)
            - len(x) * (torch.log(noise) + 0.5 * math.log(2 * math.pi))
            - (m**2 + s**2 - 1) / 2
            + s.log()
        ),
    ],
    "02.2": [
        posterior_number_by_number,
        posterior_by_derivatives,
        lambda x, w, noise: (w @ x / (noise**2 + w @ w), noise**2 / (noise**2 + w @ w)),
        lambda x, w, noise: tuple(torch.stack([x @ w, noise**2]) / (noise**2 + w.square().sum())),
    ],
    "02.3": [
        variances_by_newton,
        lambda precision: torch.stack([1 / precision[i, i] for i in range(len(precision))]),
        lambda precision: torch.einsum("ii->i", precision) ** -1,
        lambda precision: (torch.eye(len(precision), dtype=precision.dtype) / precision.diag()).sum(0),
    ],
    "02.4": [
        update_by_loops,
        update_by_newton,
        lambda m, mu, precision, i: m[i] - torch.dot(precision[:, i], m - mu) / precision[i, i],
        lambda m, mu, L, i: mu[i] - (L[i] @ (m - mu) - L[i, i] * (m[i] - mu[i])) / L[i, i],
    ],
    "02.5": [
        gaps_by_loops,
        lambda a, b, c: (torch.sub(a, b), torch.sub(b, c)),
        lambda a, b, c: (a - b, (a - c) - (a - b)),
        lambda a, b, c: tuple((torch.stack([a, b]) - torch.stack([b, c])).unbind()),
    ],
    "02.6": [
        break_even_by_doubling,
        break_even_in_fractions,
        lambda train, encoder, svi: -(-train // (svi - encoder)) if svi > encoder else np.inf,
        lambda train, encoder, svi: next((n for n in range(10**4) if train + n * encoder <= n * svi), math.inf),
    ],
    "03.1": [
        score_by_autograd,
        score_by_loops,
        lambda f, mu, sigma, eps: torch.einsum("n,n->n", f(mu + sigma * eps), eps) / sigma,
        lambda f, m, s, e: f(m + s * e) * ((m + s * e) - m) / s**2,
    ],
    "03.2": [
        path_by_loops,
        path_with_a_copy_for_each,
        lambda df, mu, sigma, eps: tuple(df(mu + sigma * eps) * d for d in (torch.ones_like(eps), eps)),
    ],
    "03.3": [
        variance_by_moments,
        variance_in_tensors,
        lambda mu, sigma, k: ((mu - k) ** 4 + 14 * (mu - k) ** 2 * sigma**2 + 15 * sigma**4) / sigma**2,
    ],
    "03.4": [
        baseline_by_numpy,
        baseline_by_the_vertex,
        lambda f, s: torch.einsum("n,n,n->", f, s, s) / torch.einsum("n,n->", s, s),
        lambda f, s: torch.linalg.lstsq(s[:, None], (f * s)[:, None]).solution.squeeze(),
    ],
    "03.5": [
        classes_by_loops,
        classes_by_distribution,
        lambda log_pi, u: torch.argmin(-torch.log(u) / log_pi.exp(), dim=-1),
    ],
    "03.6": [
        soft_by_hand,
        soft_by_rows,
        lambda p, g, t: torch.exp((p + g) / t - torch.logsumexp((p + g) / t, -1, keepdim=True)),
    ],
    "03.7": [
        lambda rate, u: Exponential(rate).icdf(u),
        lambda rate, u: -torch.log(1 - u) / rate,
        lambda rate, u: torch.stack([(1 / (1 - v)).log() / rate for v in u]),
    ],
    "04.1": [kl_by_loops, kl_by_einsum, kl_by_distributions, kl_printing],
    "04.2": [
        sample_by_full_covariance,
        lambda mu, log_var, eps: torch.addcmul(mu, torch.sqrt(torch.exp(log_var)), eps),
        lambda mu, log_var, eps: Normal(mu, (log_var / 2).exp()).loc + eps * Normal(mu, (log_var / 2).exp()).scale,
        lambda a, b, c: a + torch.exp(b * 0.5) * c,
    ],
    "04.3": [
        bernoulli_by_loops,
        lambda x, logits: Independent(Bernoulli(logits=logits), 1).log_prob(x),
        lambda x, logits: torch.einsum("bp,bp->b", x, logits) - F.softplus(logits).sum(1),
        lambda x, logits: (x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum(axis=1),
    ],
    "04.4": [
        gaussian_by_log_sigma,
        lambda x, mean, sigma: Normal(mean, sigma).log_prob(x).sum(-1),
        lambda x, mean, sigma: (
            -F.gaussian_nll_loss(mean, x, (sigma**2).expand_as(x), full=True, eps=1e-12, reduction="none").sum(-1)
        ),
    ],
    "04.5": [negative_elbo_by_distributions, negative_elbo_in_one, negative_elbo_by_loops],
    "04.6": [
        bound_by_loops,
        lambda elbos, dataset_size: elbos.mean() * dataset_size,
        lambda elbos, dataset_size: torch.einsum("m->", elbos) / elbos.numel() * dataset_size,
    ],
    "04.7": [
        quantiles_by_bisection,
        lambda n: torch.from_numpy(ndtri(np.linspace(0.05, 0.95, n))),
        lambda n: 2**0.5 * torch.erfinv(2 * torch.linspace(0.05, 0.95, n) - 1),
        lambda n: Normal(torch.zeros(n), torch.ones(n)).icdf(
            torch.tensor([0.05 + 0.9 * i / (n - 1) for i in range(n)])
        ),
    ],
}
