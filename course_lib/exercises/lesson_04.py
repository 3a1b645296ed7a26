"""Exercises of lesson 04, the Gaussian ELBO."""

import math

import numpy as np
import scipy.stats
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn import functional as F

from course_lib.exercises.judge import Case, Exercise, Mistake

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def _normal(*shape: int, seed: int, dtype=torch.float32, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _black_and_white(*shape: int, seed: int, dtype=torch.float32) -> torch.Tensor:
    return (_normal(*shape, seed=seed) > 0.5).to(dtype)


def _posteriors(**more: bool) -> list[Case]:
    """mu and log_var (and eps where asked): one example first, then shapes in which no two axes agree."""

    def case(what, mu, log_var, seed):
        noise = {"eps": _normal(*mu.shape, seed=seed, dtype=mu.dtype)} if more.get("eps") else {}
        return Case(what, {"mu": mu, "log_var": log_var, **noise})

    f64 = torch.float64
    quarter = torch.tensor([[0.25, 2.25]], dtype=f64).log()
    return [
        case("one example, two latents", torch.tensor([[0.5, -1.0]], dtype=f64), quarter, 1),
        case("a posterior equal to the prior", torch.zeros(1, 3), torch.zeros(1, 3), 2),
        case("three examples, two latents", _normal(3, 2, seed=3), _normal(3, 2, seed=4), 5),
        case("two examples, five latents", _normal(2, 5, seed=6, dtype=f64), _normal(2, 5, seed=7, dtype=f64), 8),
        case("log-variances of −10 and 10", _normal(2, 3, seed=9), torch.tensor([[-10.0, 10, 0], [10, -10, -10]]), 10),
        case("means far from 0", 100 * _normal(4, 3, seed=11), _normal(4, 3, seed=12), 13),
    ]


def _kl_oracle(mu, log_var):
    q = Independent(Normal(mu, (0.5 * log_var).exp()), 1)
    return kl_divergence(q, Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1))


KL = Exercise(
    id="04.1",
    name="gaussian_kl",
    cases=_posteriors(),
    oracle=_kl_oracle,
    gradient=("mu", "log_var"),
    mistakes=[
        Mistake(
            "Your answer is twice the KL. Which factor stands before the sum?",
            lambda mu, log_var: (mu**2 + log_var.exp() - 1 - log_var).sum(-1),
        ),
        Mistake(
            "log_var is used as if it were σ. The network gives log σ², so σ² = exp(log_var) and log σ² is log_var.",
            lambda mu, log_var: 0.5 * (mu**2 + log_var**2 - 1 - (log_var**2).log()).sum(-1),
        ),
        Mistake(
            "log_var is used as if it were log σ: then σ² would be exp(2·log_var). It is log σ² already.",
            lambda mu, log_var: 0.5 * (mu**2 + (2 * log_var).exp() - 1 - 2 * log_var).sum(-1),
        ),
        Mistake(
            "The KL is averaged over the latents. Independent latents add: sum over the last axis.",
            lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var).mean(-1),
        ),
        Mistake(
            "The −1 is counted once. It belongs to every latent, so it stands inside the sum.",
            lambda mu, log_var: 0.5 * ((mu**2 + log_var.exp() - log_var).sum(-1) - 1),
        ),
        Mistake(
            "This is log det diag(σ) where log det diag(σ²) belongs, the slip of the notes: with it a KL can be negative.",
            lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - 0.5 * log_var).sum(-1),
        ),
        Mistake(
            "Only the sign is wrong: this is −KL. A KL is never negative.",
            lambda mu, log_var: 0.5 * (1 + log_var - mu**2 - log_var.exp()).sum(-1),
        ),
        Mistake(
            "One number came back for the whole batch, wanted one per example: sum over the last axis only.",
            lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(),
        ),
        Mistake(
            "One number came back for the whole batch, wanted one per example: leave the mean over the batch to the loss.",
            lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1).mean(),
        ),
        Mistake(
            "The sum runs over the batch. Sum over the latents, the last axis.",
            lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(0),
        ),
        Mistake(
            "The latents are still there. Independent latents add: sum over the last axis.",
            lambda mu, log_var: 0.5 * (mu**2 + log_var.exp() - 1 - log_var),
        ),
    ],
    hints=(
        "Both Gaussians are diagonal. What is the KL of one latent, and what happens to it when latents are independent?",
        "Write E_q[log q(z) − log p(z)] for one latent. You need E_q[z²], which is μ² + σ², and nothing else.",
        "Per latent it is ½ (μ² + σ² − 1 − log σ²). You hold log σ² as `log_var`; add up over the last axis.",
    ),
)

REPARAMETERIZE = Exercise(
    id="04.2",
    name="reparameterize",
    cases=_posteriors(eps=True),
    oracle=lambda mu, log_var, eps: Normal(mu, (0.5 * log_var).exp()).icdf(Normal(0.0, 1.0).cdf(eps)),
    gradient=("mu", "log_var"),
    mistakes=[
        Mistake(
            "ε is scaled by the variance, the slip of the notes: then z has variance σ⁴. Scale it by σ.",
            lambda mu, log_var, eps: mu + log_var.exp() * eps,
        ),
        Mistake(
            "log_var is used as σ. Turn it into σ first: it is log σ².",
            lambda mu, log_var, eps: mu + log_var * eps,
        ),
        Mistake(
            "½ log σ² is log σ; the exponential is missing.",
            lambda mu, log_var, eps: mu + 0.5 * log_var * eps,
        ),
        Mistake(
            "This is (μ + ε)·σ: the mean is scaled too. Scale the noise first, then shift.",
            lambda mu, log_var, eps: (mu + eps) * (0.5 * log_var).exp(),
        ),
        Mistake(
            "The mean comes back without noise. A sample needs ε.",
            lambda mu, log_var, eps: mu + 0 * eps,
        ),
        Mistake(
            "ε is not scaled: every posterior would have σ = 1.",
            lambda mu, log_var, eps: mu + eps,
        ),
        Mistake(
            "ε is divided by σ. A wide posterior must spread its samples, not gather them.",
            lambda mu, log_var, eps: mu + eps * (-0.5 * log_var).exp(),
        ),
    ],
    hints=(
        "ε has mean 0 and variance 1. What must be done to it so that it has mean μ and variance σ²?",
        "A factor multiplies the standard deviation, not the variance. How do you get σ from log σ²?",
        "z = μ + σ ε with σ = exp(½ log_var), number by number.",
    ),
)

_f64 = torch.float64
_PIXELS = [
    Case(
        "one image of three pixels",
        {"x": torch.tensor([[1.0, 0, 1]], dtype=_f64), "logits": torch.tensor([[0.0, -1, 2]], dtype=_f64)},
    ),
    Case("two images, three pixels", {"x": _black_and_white(2, 3, seed=1), "logits": _normal(2, 3, seed=2)}),
    Case(
        "three images, seven pixels",
        {"x": _black_and_white(3, 7, seed=3, dtype=_f64), "logits": _normal(3, 7, seed=4, dtype=_f64)},
    ),
    Case(
        "logits of −200 and 200",
        {
            "x": torch.tensor([[1.0, 1, 0, 0], [0, 1, 0, 1]]),
            "logits": torch.tensor([[-200.0, 200, 200, -200], [200, -200, -200, 200]]),
        },
    ),
    Case(
        "logits of −200 and 200, in float64",
        {
            "x": torch.tensor([[1.0, 1, 0, 0]], dtype=_f64),
            "logits": torch.tensor([[-200.0, 200, 200, -200]], dtype=_f64),
        },
    ),
    Case("five digits", {"x": _black_and_white(5, 784, seed=5), "logits": _normal(5, 784, seed=6, scale=3)}),
]


def _log_p(x, logits):
    return x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)


BERNOULLI = Exercise(
    id="04.3",
    name="bernoulli_log_likelihood",
    cases=_PIXELS,
    oracle=lambda x, logits: Independent(Bernoulli(logits=logits), 1).log_prob(x),
    gradient=("logits",),
    mistakes=[
        Mistake(
            "The pixels are averaged. An image's probability is a product over its pixels, so its log is a sum.",
            lambda x, logits: _log_p(x, logits).mean(-1),
        ),
        Mistake(
            "sigmoid has rounded to 0 or 1 before the log: inf or nan. Stay with the logits: log sigmoid(a) = −log(1 + e^−a).",
            lambda x, logits: (x * torch.sigmoid(logits).log() + (1 - x) * (1 - torch.sigmoid(logits)).log()).sum(-1),
        ),
        Mistake(
            "A small number inside the log hides the overflow, but a confident mistake then costs 18 nats instead of 200. "
            "Stay with the logits.",
            lambda x, logits: (
                x * (torch.sigmoid(logits) + 1e-8).log() + (1 - x) * (1 - torch.sigmoid(logits) + 1e-8).log()
            ).sum(-1),
        ),
        Mistake(
            "binary_cross_entropy on probabilities stops at 100 nats a pixel, since the sigmoid has rounded to 0 or 1. Stay with the logits.",
            lambda x, logits: -F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="none").sum(-1),
        ),
        Mistake(
            "The sign is that of a loss. A log-likelihood of pixels is never positive.",
            lambda x, logits: -_log_p(x, logits).sum(-1),
        ),
        Mistake(
            "x and 1 − x have changed places: white pixels are scored as black.",
            lambda x, logits: _log_p(1 - x, logits).sum(-1),
        ),
        Mistake(
            "Only the white pixels count here. Black pixels have a probability too: (1 − x) log(1 − p).",
            lambda x, logits: (x * F.logsigmoid(logits)).sum(-1),
        ),
        Mistake(
            "The logits are passed through the sigmoid twice: binary_cross_entropy_with_logits applies it itself.",
            lambda x, logits: _log_p(x, torch.sigmoid(logits)).sum(-1),
        ),
        Mistake(
            "One number came back for the whole batch, wanted one per image: sum over the last axis only.",
            lambda x, logits: _log_p(x, logits).sum(),
        ),
        Mistake(
            "The pixels are still there, wanted one number per image: sum over the last axis.",
            lambda x, logits: _log_p(x, logits),
        ),
    ],
    hints=(
        "A pixel is white with probability p = sigmoid(logit). What is the log-probability of the pixel that you see?",
        "x log p + (1 − x) log(1 − p) per pixel. Which function of PyTorch gives log sigmoid without overflow?",
        "Sum over the last axis of x·logsigmoid(a) + (1 − x)·logsigmoid(−a); or minus binary_cross_entropy_with_logits.",
    ),
)

_MEANS = [
    Case(
        "one image of two pixels",
        {
            "x": torch.tensor([[1.0, 0.5]], dtype=_f64),
            "mean": torch.tensor([[0.5, 0.5]], dtype=_f64),
            "sigma": torch.tensor(0.5, dtype=_f64),
        },
    ),
    Case(
        "two images, three pixels",
        {"x": _normal(2, 3, seed=1), "mean": _normal(2, 3, seed=2), "sigma": torch.tensor(2.0)},
    ),
    Case(
        "three images, seven pixels",
        {
            "x": _normal(3, 7, seed=3, dtype=_f64),
            "mean": _normal(3, 7, seed=4, dtype=_f64),
            "sigma": torch.tensor(0.3, dtype=_f64),
        },
    ),
    Case(
        "a σ for each of four pixels",
        {
            "x": _normal(2, 4, seed=5),
            "mean": _normal(2, 4, seed=6),
            "sigma": torch.tensor([0.1, 1.0, 2.0, 5.0]),
        },
    ),
    Case(
        "a σ for each pixel of each image",
        {
            "x": _normal(2, 3, seed=9, dtype=_f64),
            "mean": _normal(2, 3, seed=10, dtype=_f64),
            "sigma": _normal(2, 3, seed=11, dtype=_f64).exp(),
        },
    ),
    Case(
        "a σ of 0.001",
        {"x": _normal(2, 3, seed=7), "mean": _normal(2, 3, seed=8), "sigma": torch.tensor(0.001)},
    ),
]


def _squares(x, mean, sigma):
    return ((x - mean) / sigma) ** 2


GAUSSIAN = Exercise(
    id="04.4",
    name="gaussian_log_likelihood",
    cases=_MEANS,
    oracle=lambda x, mean, sigma: Independent(Normal(mean, sigma.expand_as(mean)), 1).log_prob(x),
    gradient=("mean", "sigma"),
    mistakes=[
        Mistake(
            "This is the squared error alone: no σ, no normaliser. Then σ cannot be learned, and no bound is a bound.",
            lambda x, mean, sigma: -0.5 * ((x - mean) ** 2).sum(-1),
        ),
        Mistake(
            "This is minus the squared error, without ½, σ or a normaliser.",
            lambda x, mean, sigma: -((x - mean) ** 2).sum(-1),
        ),
        Mistake(
            "The normaliser is left out: the density would not integrate to 1. Each pixel pays log σ + ½ log 2π.",
            lambda x, mean, sigma: -0.5 * _squares(x, mean, sigma).sum(-1),
        ),
        Mistake(
            "log σ is left out. Without it, a larger σ would always look better.",
            lambda x, mean, sigma: (-0.5 * _squares(x, mean, sigma) - HALF_LOG_2PI).sum(-1),
        ),
        Mistake(
            "½ log 2π is left out, once for each pixel.",
            lambda x, mean, sigma: (-0.5 * _squares(x, mean, sigma) - torch.log(sigma)).sum(-1),
        ),
        Mistake(
            "The normaliser is counted once. Every pixel has its own.",
            lambda x, mean, sigma: (
                (-0.5 * _squares(x, mean, sigma)).sum(-1) - (torch.log(sigma) + HALF_LOG_2PI).expand_as(x).mean(-1)
            ),
        ),
        Mistake(
            "σ is used as a variance: divide the error by σ before you square it.",
            lambda x, mean, sigma: (-0.5 * (x - mean) ** 2 / sigma - 0.5 * torch.log(sigma) - HALF_LOG_2PI).sum(-1),
        ),
        Mistake(
            "The pixels are averaged. Independent pixels multiply, so their logs add.",
            lambda x, mean, sigma: (-0.5 * _squares(x, mean, sigma) - torch.log(sigma) - HALF_LOG_2PI).mean(-1),
        ),
        Mistake(
            "The sign is that of a loss.",
            lambda x, mean, sigma: (0.5 * _squares(x, mean, sigma) + torch.log(sigma) + HALF_LOG_2PI).sum(-1),
        ),
        Mistake(
            "The pixels are still there, wanted one number per image: sum over the last axis.",
            lambda x, mean, sigma: -0.5 * _squares(x, mean, sigma) - torch.log(sigma) - HALF_LOG_2PI,
        ),
        Mistake(
            "One number came back for the whole batch, wanted one per image: sum over the last axis only.",
            lambda x, mean, sigma: (-0.5 * _squares(x, mean, sigma) - torch.log(sigma) - HALF_LOG_2PI).sum(),
        ),
    ],
    hints=(
        "What is the log of the density of one pixel, N(x; m, σ²)? It has three parts.",
        "The three parts: the error in units of σ, squared; log σ; and a constant. How many pixels pay the last two?",
        "Sum over the last axis of −½ ((x − m)/σ)² − log σ − ½ log 2π.",
    ),
)


def _elbo_oracle(x, logits, mu, log_var):
    total = torch.zeros((), dtype=x.dtype)
    for n in range(len(x)):  # image by image, with torch's own densities
        rec = Bernoulli(logits=logits[n]).log_prob(x[n]).sum()
        total = total + rec - _kl_oracle(mu[n : n + 1], log_var[n : n + 1])[0]
    return -total / len(x)


def _rec(x, logits):
    return _log_p(x, logits).sum(-1)


NEGATIVE_ELBO = Exercise(
    id="04.5",
    name="negative_elbo",
    cases=[
        Case(
            f"{n} image{'s' * (n > 1)}, {pixels} pixels, {latents} latent{'s' * (latents > 1)}",
            {
                "x": _black_and_white(n, pixels, seed=seed, dtype=dtype),
                "logits": _normal(n, pixels, seed=seed + 1, dtype=dtype, scale=2),
                "mu": _normal(n, latents, seed=seed + 2, dtype=dtype),
                "log_var": _normal(n, latents, seed=seed + 3, dtype=dtype),
            },
        )
        for n, pixels, latents, seed, dtype in [
            (1, 3, 2, 10, _f64),
            (2, 5, 1, 20, torch.float32),
            (3, 7, 2, 30, _f64),
            (4, 784, 20, 40, torch.float32),
        ]
    ]
    + [
        Case(
            "logits of ±200, log-variances of ±10",
            {
                "x": torch.tensor([[1.0, 0, 1], [0, 0, 1]]),
                "logits": torch.tensor([[-200.0, 200, 200], [-200, 200, 0]]),
                "mu": torch.tensor([[0.0, 3], [1, -1]]),
                "log_var": torch.tensor([[-10.0, 10], [10, -10]]),
            },
        )
    ],
    oracle=_elbo_oracle,
    gradient=("logits", "mu", "log_var"),
    mistakes=[
        Mistake(
            "The KL has the wrong sign: this loss pushes posteriors away from the prior. −ELBO = −E log p(x|z) + KL.",
            lambda x, logits, mu, log_var: (-_rec(x, logits) - _kl_oracle(mu, log_var)).mean(),
        ),
        Mistake(
            "The pixels are averaged beside a summed KL: a hidden β, as large as the number of pixels (784 for digits).",
            lambda x, logits, mu, log_var: (-_log_p(x, logits).mean(-1) + _kl_oracle(mu, log_var)).mean(),
        ),
        Mistake(
            "The KL is averaged over the latents: a hidden β of 1/D.",
            lambda x, logits, mu, log_var: (-_rec(x, logits) + _kl_oracle(mu, log_var) / mu.shape[-1]).mean(),
        ),
        Mistake(
            "This is the ELBO itself. A loss is minimised: change the sign.",
            lambda x, logits, mu, log_var: (_rec(x, logits) - _kl_oracle(mu, log_var)).mean(),
        ),
        Mistake(
            "The batch is summed. Its mean makes losses of different batch sizes comparable.",
            lambda x, logits, mu, log_var: (-_rec(x, logits) + _kl_oracle(mu, log_var)).sum(),
        ),
        Mistake(
            "binary_cross_entropy on probabilities stops at 100 nats a pixel, since the sigmoid has rounded to 0 or 1. Stay with the logits.",
            lambda x, logits, mu, log_var: (
                F.binary_cross_entropy(torch.sigmoid(logits), x, reduction="none").sum(-1) + _kl_oracle(mu, log_var)
            ).mean(),
        ),
        Mistake(
            "The KL is not there: this is an autoencoder with noise.",
            lambda x, logits, mu, log_var: -_rec(x, logits).mean(),
        ),
        Mistake(
            "One number per image came back, wanted their mean.",
            lambda x, logits, mu, log_var: -_rec(x, logits) + _kl_oracle(mu, log_var),
        ),
        Mistake(
            "Everything is averaged over pixels, the KL too. The balance is right, but the value is no longer a bound.",
            lambda x, logits, mu, log_var: ((-_rec(x, logits) + _kl_oracle(mu, log_var)) / x.shape[-1]).mean(),
        ),
    ],
    hints=(
        "You have written both terms already. Which one do you want large, which one small, and what is minimised?",
        "Sum over pixels, sum over latents, mean over the batch. Two functions of yours do the first two.",
        "The mean over the batch of gaussian_kl(mu, log_var) − bernoulli_log_likelihood(x, logits).",
    ),
)


def _minibatch_oracle(elbos, dataset_size):
    total = torch.zeros((), dtype=elbos.dtype)
    for bound in elbos:  # each image of the batch stands for this many of the data set
        total = total + bound * (dataset_size / len(elbos))
    return total


MINIBATCH = Exercise(
    id="04.6",
    name="minibatch_bound",
    cases=[
        Case("two of six images", {"elbos": torch.tensor([-100.0, -50], dtype=_f64), "dataset_size": 6}),
        Case("one of ten images", {"elbos": torch.tensor([-80.0]), "dataset_size": 10}),
        Case("the whole data set", {"elbos": _normal(7, seed=1, dtype=_f64) - 100, "dataset_size": 7}),
        Case("128 of 60 000 images", {"elbos": 20 * _normal(128, seed=2) - 100, "dataset_size": 60_000}),
        Case("250 of 10 000 images", {"elbos": _normal(250, seed=3, dtype=_f64) - 90, "dataset_size": 10_000}),
    ],
    oracle=_minibatch_oracle,
    gradient=("elbos",),
    mistakes=[
        Mistake(
            "This is the batch's sum. A batch of M stands for N images: what factor makes it unbiased for all N?",
            lambda elbos, dataset_size: elbos.sum(),
        ),
        Mistake(
            "This is the mean per image. The bound of the whole data set is a sum over N images.",
            lambda elbos, dataset_size: elbos.mean(),
        ),
        Mistake(
            "The sum is multiplied by N without being divided by M.",
            lambda elbos, dataset_size: dataset_size * elbos.sum(),
        ),
        Mistake(
            "The factor is upside down: M/N shrinks the batch, N/M makes it stand for the whole.",
            lambda elbos, dataset_size: elbos.sum() * len(elbos) / dataset_size,
        ),
        Mistake(
            "The sign has changed: this is a bound to maximise, not a loss.",
            lambda elbos, dataset_size: -dataset_size * elbos.mean(),
        ),
    ],
    hints=(
        "If every image had the same ELBO, what would the bound of the whole data set be?",
        "The mean of a random batch is right on average for the mean over all N images. And their sum?",
        "N/M times the sum of the batch's ELBOs, with M the size of the batch.",
    ),
)

QUANTILES = Exercise(
    id="04.7",
    name="prior_quantiles",
    cases=[Case(f"n = {n}", {"n": n}) for n in (2, 3, 5, 15, 40)],
    oracle=lambda n: torch.from_numpy(scipy.stats.norm.ppf(np.linspace(0.05, 0.95, n))),
    mistakes=[
        Mistake(
            "Even steps in z, not in probability: the corners of the plane, which the prior hardly visits, get most room.",
            lambda n: torch.linspace(-1.6448536, 1.6448536, n),
        ),
        Mistake(
            "Even steps from −3 to 3: take even steps in probability and map them to z.",
            lambda n: torch.linspace(-3, 3, n),
        ),
        Mistake(
            "These are the levels. Which z has 5 % of the prior below it? That takes the inverse of the CDF.",
            lambda n: torch.linspace(0.05, 0.95, n),
        ),
        Mistake(
            "This is the CDF at the levels. The way from a probability to a z is its inverse.",
            lambda n: Normal(0.0, 1.0).cdf(torch.linspace(0.05, 0.95, n)),
        ),
        Mistake(
            "Levels of 0 and 1 lie at −∞ and ∞. Start at 0.05 and end at 0.95.",
            lambda n: Normal(0.0, 1.0).icdf(torch.linspace(0, 1, n)),
        ),
        Mistake(
            "The sign is turned round: the first level, 0.05, lies at a negative z.",
            lambda n: -Normal(0.0, 1.0).icdf(torch.linspace(0.05, 0.95, n)),
        ),
        Mistake(
            "The levels sit in the middle of n cells. Here the first is 0.05 and the last is 0.95.",
            lambda n: Normal(0.0, 1.0).icdf(0.05 + 0.9 * (torch.arange(n) + 0.5) / n),
        ),
    ],
    hints=(
        "Which z has a share u of the standard normal below it?",
        "n even levels u from 0.05 to 0.95, then one function that maps a level to its z.",
        "torch.distributions.Normal(0., 1.).icdf at torch.linspace(0.05, 0.95, n).",
    ),
)

EXERCISES = [KL, REPARAMETERIZE, BERNOULLI, GAUSSIAN, NEGATIVE_ELBO, MINIBATCH, QUANTILES]
