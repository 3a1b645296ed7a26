"""Exercises of lesson 00, start here."""

import math

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch.distributions import Normal, kl_divergence

from course_lib.exercises.judge import Case, Exercise, Mistake

_f64 = torch.float64


def _normal(*shape: int, seed: int, dtype=torch.float32, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _beliefs(prior, likelihood, dtype=_f64) -> dict:
    return {"prior": torch.tensor(prior, dtype=dtype), "likelihood": torch.tensor(likelihood, dtype=dtype)}


def _by_counting(prior, likelihood):
    joint = [p * q for p, q in zip(prior.tolist(), likelihood.tolist(), strict=True)]
    return torch.tensor([j / math.fsum(joint) for j in joint], dtype=_f64)


POSTERIOR = Exercise(
    id="00.1",
    name="posterior",
    cases=[
        Case("two hypotheses", _beliefs([0.01, 0.99], [0.9, 0.05])),
        Case("three hypotheses, a flat prior", _beliefs([1 / 3, 1 / 3, 1 / 3], [0.2, 0.5, 0.1], torch.float32)),
        Case("five hypotheses", _beliefs([0.1, 0.2, 0.3, 0.25, 0.15], [0.7, 0.1, 0.4, 0.05, 0.9])),
        Case("densities as likelihoods, above 1", _beliefs([0.5, 0.3, 0.2], [3.9, 0.02, 12.0], torch.float32)),
        Case("tiny likelihoods", _beliefs([0.6, 0.4], [1e-30, 3e-30])),
        Case("a hypothesis ruled out beforehand", _beliefs([0.0, 0.25, 0.75], [0.9, 0.3, 0.2])),
    ],
    oracle=_by_counting,
    mistakes=[
        Mistake(
            "The products are there, but they do not sum to 1. Divide by their sum, the evidence.", lambda p, q: p * q
        ),
        Mistake("The prior is ignored: this is the likelihood, scaled to sum to 1.", lambda p, q: q / q.sum()),
        Mistake("The likelihood is ignored: this is the prior.", lambda p, q: p / p.sum()),
        Mistake("Prior and likelihood are added. Both must hold: multiply.", lambda p, q: (p + q) / (p + q).sum()),
        Mistake(
            "A softmax exponentiates. These are probabilities already, not their logs.",
            lambda p, q: (p * q).softmax(-1),
        ),
        Mistake("The largest is scaled to 1. It is the sum that must be 1.", lambda p, q: p * q / (p * q).max()),
        Mistake(
            "The likelihood divides. A hypothesis that explains the data well must gain.",
            lambda p, q: (p / q) / (p / q).sum(),
        ),
        Mistake(
            "This is the evidence, one number: p(x). The posterior has one number for each hypothesis.",
            lambda p, q: (p * q).sum(),
        ),
    ],
    hints=(
        "How probable is it that hypothesis k holds *and* the data come out as they did?",
        "The joint probabilities are prior · likelihood. Given the data, they must sum to 1.",
        "Multiply number by number, then divide by the sum of the products.",
    ),
)


def _points(x, mu, sigma, dtype=torch.float32) -> dict:
    return {
        "x": torch.as_tensor(x, dtype=dtype),
        "mu": torch.tensor(mu, dtype=dtype),
        "sigma": torch.tensor(sigma, dtype=dtype),
    }


def _log_density(x, mu, sigma):
    return -0.5 * ((x - mu) / sigma) ** 2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)


LOG_DENSITY = Exercise(
    id="00.2",
    name="gaussian_log_density",
    cases=[
        Case("one point, σ = 2", _points([1.0], 0.0, 2.0, _f64)),
        Case("three points, σ = 0.5", _points([-1.0, 0.5, 3.0], 1.0, 0.5)),
        Case("two rows of three points", _points(_normal(2, 3, seed=1, dtype=_f64), -2.0, 1.5, _f64)),
        Case("a narrow Gaussian, σ = 0.01", _points([0.0, 0.01, 0.02], 0.0, 0.01, _f64)),
        Case("far out, 60 σ", _points([60.0, -60.0], 0.0, 1.0)),
        Case("a wide Gaussian, σ = 1000", _points([500.0, -3000.0], 100.0, 1000.0)),
    ],
    oracle=lambda x, mu, sigma: Normal(mu, sigma).log_prob(x),
    gradient=("x", "mu", "sigma"),
    mistakes=[
        Mistake(
            "sigma is used as a variance. It is the standard deviation: the variance is sigma².",
            lambda x, mu, sigma: -0.5 * (x - mu) ** 2 / sigma - 0.5 * torch.log(sigma) - 0.5 * math.log(2 * math.pi),
        ),
        Mistake(
            "log σ is left out. It makes a narrow density tall, so that it still integrates to 1.",
            lambda x, mu, sigma: _log_density(x, mu, sigma) + torch.log(sigma),
        ),
        Mistake(
            "This is the density. Return its log, and compute it as a log: far out, the density rounds to 0.",
            lambda x, mu, sigma: _log_density(x, mu, sigma).exp(),
        ),
        Mistake("½ log 2π is left out.", lambda x, mu, sigma: _log_density(x, mu, sigma) + 0.5 * math.log(2 * math.pi)),
        Mistake(
            "The ½ before the square is missing.",
            lambda x, mu, sigma: _log_density(x, mu, sigma) - 0.5 * ((x - mu) / sigma) ** 2,
        ),
        Mistake(
            "The log of the density rounded to 0 is −infinity: write the log down before computing.",
            lambda x, mu, sigma: _log_density(x, mu, sigma).exp().log(),
        ),
        Mistake(
            "log σ² stands where log σ belongs: one factor 2 too many.",
            lambda x, mu, sigma: _log_density(x, mu, sigma) - torch.log(sigma),
        ),
        Mistake(
            "The points are added up. Return one number for each point.",
            lambda x, mu, sigma: _log_density(x, mu, sigma).sum(),
        ),
        Mistake("Only the sign is wrong: this is −log p.", lambda x, mu, sigma: -_log_density(x, mu, sigma)),
    ],
    hints=(
        "The density is exp(−½((x − μ)/σ)²) divided by σ√(2π). What does a log make of a quotient?",
        "Three terms: the square, the log of σ, and a constant.",
        "−½((x − μ)/σ)² − log σ − ½ log 2π, number by number.",
    ),
)


def _sample(x, sigma, tau, dtype=torch.float32) -> dict:
    return {"x": torch.as_tensor(x, dtype=dtype), "sigma": sigma, "tau": tau}


def _by_ridge(x, sigma, tau):
    """The same problem as a regression on a constant with a penalty, by scikit-learn."""
    fit = Ridge(alpha=sigma**2 / tau**2, fit_intercept=False).fit(np.ones((len(x), 1)), x.numpy())
    return torch.tensor(float(fit.coef_[0]), dtype=_f64)


def _shrunk(x, ratio):
    return x.sum() / (len(x) + ratio)


MAP = Exercise(
    id="00.3",
    name="gaussian_mean_map",
    cases=[
        Case("one observation, σ = τ = 1", _sample([2.0], 1.0, 1.0, _f64)),
        Case("three observations", _sample([1.0, 2.0, 4.0], 2.0, 0.5)),
        Case("seven observations", _sample(3 + _normal(7, seed=1, dtype=_f64), 1.5, 3.0, _f64)),
        Case("a prior that hardly yields, τ = 0.01", _sample([5.0, 6.0], 1.0, 0.01, _f64)),
        Case("a prior that says nothing, τ = 1000", _sample([-5.0, -6.0, -4.5], 0.3, 1000.0)),
        Case("five exact observations, σ = 0.1", _sample([0.7, 0.8, 0.75, 0.71, 0.72], 0.1, 2.0)),
    ],
    oracle=_by_ridge,
    mistakes=[
        Mistake(
            "This is the maximum-likelihood answer, the plain mean: the prior is ignored.", lambda x, s, t: x.mean()
        ),
        Mistake("σ and τ are not squared. Precisions are one over variances.", lambda x, s, t: _shrunk(x, s / t)),
        Mistake(
            "The ratio is upside down: a narrow prior, small τ, must pull more.",
            lambda x, s, t: _shrunk(x, t**2 / s**2),
        ),
        Mistake(
            "The prior is counted once for every observation. It is there once, however many there are.",
            lambda x, s, t: _shrunk(x, len(x) * s**2 / t**2),
        ),
        Mistake(
            "The prior is counted as one more observation at 0. It counts σ²/τ² observations.",
            lambda x, s, t: _shrunk(x, 1),
        ),
        Mistake(
            "This is the variance of the posterior; its mean is wanted.",
            lambda x, s, t: torch.tensor(1 / (len(x) / s**2 + 1 / t**2), dtype=x.dtype),
        ),
        Mistake(
            "The observations are not added up: one number is wanted, not one for each.",
            lambda x, s, t: x / (1 + s**2 / t**2),
        ),
    ],
    hints=(
        "Write log p(x|m) + log p(m) as a function of the mean m, and drop what does not depend on it.",
        "Set the derivative to 0: Σ(x − m)/σ² − m/τ² = 0. Solve for m.",
        "m = Σx / (n + σ²/τ²): the prior counts like σ²/τ² observations at 0.",
    ),
)


def _pair(*values: float, dtype=_f64) -> dict:
    return dict(
        zip(("mu_q", "sigma_q", "mu_p", "sigma_p"), (torch.tensor(v, dtype=dtype) for v in values), strict=True)
    )


def _kl(mu_q, s_q, mu_p, s_p):
    return torch.log(s_p / s_q) + (s_q**2 + (mu_q - mu_p) ** 2) / (2 * s_p**2) - 0.5


KL = Exercise(
    id="00.4",
    name="kl_gaussians",
    cases=[
        Case("two different Gaussians", _pair(1.0, 0.5, 3.0, 2.0)),
        Case("the same Gaussian twice", _pair(-1.0, 3.0, -1.0, 3.0, dtype=torch.float32)),
        Case("equal means", _pair(2.0, 2.0, 2.0, 0.7)),
        Case("equal widths", _pair(-3.0, 1.3, 0.5, 1.3, dtype=torch.float32)),
        Case("q very narrow", _pair(0.2, 1e-4, 0.0, 1.0)),
        Case("q very wide", _pair(0.0, 50.0, 4.0, 0.5)),
    ],
    oracle=lambda mu_q, sigma_q, mu_p, sigma_p: kl_divergence(Normal(mu_q, sigma_q), Normal(mu_p, sigma_p)),
    gradient=("mu_q", "sigma_q", "mu_p", "sigma_p"),
    mistakes=[
        Mistake(
            "The arguments are swapped: this is KL(p‖q). The expectation is over q, the first.",
            lambda a, b, c, d: _kl(c, d, a, b),
        ),
        Mistake("The −½ is left out: two equal Gaussians must be 0 apart.", lambda a, b, c, d: _kl(a, b, c, d) + 0.5),
        Mistake("The sigmas are used as variances: square them.", lambda a, b, c, d: _kl(a, b.sqrt(), c, d.sqrt())),
        Mistake(
            "The log has the wrong sign: it is the log of the other ratio.",
            lambda a, b, c, d: _kl(a, b, c, d) - 2 * torch.log(d / b),
        ),
        Mistake("The log is left out.", lambda a, b, c, d: _kl(a, b, c, d) - torch.log(d / b)),
        Mistake(
            "The distance of the means is not squared.",
            lambda a, b, c, d: _kl(a, b, c, d) - (a - c) ** 2 / (2 * d**2) + (a - c) / (2 * d**2),
        ),
        Mistake("The distance of the means is left out.", lambda a, b, c, d: _kl(a, b, a, d)),
        Mistake(
            "The fraction divides by σ_p². A 2 is missing below.",
            lambda a, b, c, d: _kl(a, b, c, d) + (b**2 + (a - c) ** 2) / (2 * d**2),
        ),
        Mistake("Only the sign is wrong: a KL is never negative.", lambda a, b, c, d: -_kl(a, b, c, d)),
        Mistake(
            "This is the sum of both directions. KL(q‖p) is one of them.",
            lambda a, b, c, d: _kl(a, b, c, d) + _kl(c, d, a, b),
        ),
    ],
    hints=(
        "KL is E_q[log q(z) − log p(z)]. Write both logs down; which terms have an expectation that you know?",
        "Under q: E[(z − μ_q)²] = σ_q² and E[(z − μ_p)²] = σ_q² + (μ_q − μ_p)².",
        "log(σ_p/σ_q) + (σ_q² + (μ_q − μ_p)²)/(2σ_p²) − ½.",
    ),
)


def _weights(log_w, dim, dtype=torch.float32) -> dict:
    return {"log_w": torch.as_tensor(log_w, dtype=dtype), "dim": dim}


LOG_MEAN_EXP = Exercise(
    id="00.5",
    name="log_mean_exp",
    cases=[
        Case("three numbers", _weights([0.0, math.log(2), math.log(6)], 0, _f64)),
        Case("three rows of four, over the rows", _weights(_normal(3, 4, seed=1), 0)),
        Case("three rows of five, along each row", _weights(_normal(3, 5, seed=2, dtype=_f64), 1, _f64)),
        Case("log-weights near −1000", _weights([[-1000.0, -1001.0, -1003.0], [-990.0, -1200.0, -995.0]], -1)),
        Case("log-weights near 1000", _weights([1000.0, 998.0], 0, _f64)),
        Case("2 × 3 × 4, along the middle", _weights(_normal(2, 3, 4, seed=3, dtype=_f64, scale=20), 1, _f64)),
    ],
    oracle=lambda log_w, dim: torch.from_numpy(
        np.asarray(np.logaddexp.reduce(log_w.detach().numpy(), axis=dim) - math.log(log_w.shape[dim]))
    ),
    mistakes=[
        Mistake(
            "exp rounds to 0 or to infinity here. Take the largest number out before exp, and add it back after log.",
            lambda w, dim: w.exp().mean(dim).log(),
        ),
        Mistake("log K is left out: this is the log of the sum, not of the mean.", lambda w, dim: w.logsumexp(dim)),
        Mistake(
            "This is the mean of the logs. It is smaller, by Jensen: take the log last.", lambda w, dim: w.mean(dim)
        ),
        Mistake(
            "log K is added. A mean is the sum divided by K: subtract it.",
            lambda w, dim: w.logsumexp(dim) + math.log(w.shape[dim]),
        ),
        Mistake(
            "K is counted over all numbers. It is the number along dim.",
            lambda w, dim: w.logsumexp(dim) - math.log(w.numel()),
        ),
        Mistake(
            "Divided by K after the log. A division before the log is a subtraction after it.",
            lambda w, dim: w.logsumexp(dim) / w.shape[dim],
        ),
        Mistake("This is the largest number: the others count, too.", lambda w, dim: w.amax(dim)),
        Mistake(
            "The axis is kept with length 1. Drop it, as mean(dim) does.",
            lambda w, dim: w.logsumexp(dim, keepdim=True) - math.log(w.shape[dim]),
        ),
        Mistake(
            "One number came back for everything: work along dim only.",
            lambda w, dim: w.flatten().logsumexp(0) - math.log(w.numel()),
        ),
    ],
    hints=(
        "exp(−1000) is 0 on a computer. What can you take out of all terms, so that the largest becomes exp(0)?",
        "torch has the log of a sum of exponentials. How do you get from a sum to a mean?",
        "logsumexp along dim, less log K, where K = log_w.shape[dim].",
    ),
)

EXERCISES = [POSTERIOR, LOG_DENSITY, MAP, KL, LOG_MEAN_EXP]
