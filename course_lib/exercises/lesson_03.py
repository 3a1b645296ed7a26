"""Exercises of lesson 03, reparameterization."""

import math

import numpy as np
import torch
from torch.distributions import Exponential, Normal
from torch.nn.functional import one_hot

from course_lib.exercises.formula import Formula
from course_lib.exercises.judge import Case, Exercise, Mistake

_f64 = torch.float64


def _noise(*shape: int, seed: int, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _uniform(*shape: int, seed: int, dtype=torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _gaussian(which: str, square: str, sine: str, steep: str) -> list[Case]:
    """mu, sigma and noise for a function named `which`, given by three formulas."""

    def case(what, text, mu, sigma, eps):
        return Case(what, {which: Formula(text), "mu": mu, "sigma": sigma, "eps": eps})

    return [
        case("two draws, a parabola", square, 1.0, 0.5, torch.tensor([0.5, -1.0], dtype=_f64)),
        case("seven draws, a parabola, σ = 1", square, 2.0, 1.0, _noise(7, seed=1)),
        case("five draws, a sine, μ below 0", sine, -1.5, 2.0, _noise(5, seed=2, dtype=_f64)),
        case("a narrow Gaussian, σ = 0.01", square, 0.3, 0.01, _noise(4, seed=3, dtype=_f64)),
        case("a wide Gaussian, σ = 10", steep, 0.5, 10.0, _noise(6, seed=4)),
        case("one draw, far out", steep, 0.2, 3.0, torch.tensor([-6.0], dtype=_f64)),
    ]


def _score_oracle(f, mu, sigma, eps):
    """By torch's log-density and autograd."""
    z, means = mu + sigma * eps, torch.full_like(eps, mu, requires_grad=True)
    score = torch.autograd.grad(Normal(means, sigma).log_prob(z).sum(), means)[0]
    return f(z) * score


SCORE_FUNCTION = Exercise(
    id="03.1",
    name="score_function_gradient",
    cases=_gaussian("f", "(z - 3)**2", "torch.sin(z)", "torch.tanh(5 * z)"),
    oracle=_score_oracle,
    mistakes=[
        Mistake(
            "z − μ is divided by σ once. The score of N(μ, σ²) for μ is (z − μ)/σ²; written with ε, one σ is left below.",
            lambda f, mu, sigma, eps: f(mu + sigma * eps) * eps,
        ),
        Mistake(
            "ε is divided by σ². That is right for z − μ; but z − μ is σε already.",
            lambda f, mu, sigma, eps: f(mu + sigma * eps) * eps / sigma**2,
        ),
        Mistake(
            "f is left out: this is the score alone, whose mean is 0.",
            lambda f, mu, sigma, eps: eps / sigma,
        ),
        Mistake(
            "Only the sign is wrong. A draw above μ asks for a larger μ, so its score is positive.",
            lambda f, mu, sigma, eps: -f(mu + sigma * eps) * eps / sigma,
        ),
        Mistake(
            "f is asked at the noise. It wants the sample, z = μ + σε.",
            lambda f, mu, sigma, eps: f(eps) * eps / sigma,
        ),
        Mistake(
            "The score is multiplied by σ. A narrow Gaussian is the one whose density changes fast with μ.",
            lambda f, mu, sigma, eps: f(mu + sigma * eps) * eps * sigma,
        ),
        Mistake(
            "This is the estimate for σ. For μ, the derivative of log N(z; μ, σ²) is linear in ε.",
            lambda f, mu, sigma, eps: f(mu + sigma * eps) * (eps**2 - 1) / sigma,
        ),
        Mistake(
            "The noise is scaled by σ² in z: then z has variance σ⁴.",
            lambda f, mu, sigma, eps: f(mu + sigma**2 * eps) * eps / sigma,
        ),
        Mistake(
            "One number came back. Give one estimate a draw and leave the mean to the caller: the spread is what this lesson is about.",
            lambda f, mu, sigma, eps: (f(mu + sigma * eps) * eps / sigma).mean(),
        ),
    ],
    hints=(
        "What is log N(z; μ, σ²), and what is its derivative with respect to μ, while z stays where it is?",
        "The score is (z − μ)/σ². Put z = μ + σε in: how many σ are left?",
        "Three factors a draw: f at μ + σε, times ε, divided by σ.",
    ),
)


def _pathwise_oracle(df, mu, sigma, eps):
    """A copy of mu and sigma for each draw, and autograd through z."""
    mus, sigmas = (torch.full_like(eps, v, requires_grad=True) for v in (mu, sigma))
    z = mus + sigmas * eps
    return torch.autograd.grad(z, (mus, sigmas), grad_outputs=df(z.detach()))


PATHWISE = Exercise(
    id="03.2",
    name="pathwise_gradient",
    cases=_gaussian("df", "2 * (z - 3)", "torch.cos(z)", "5 / torch.cosh(5 * z.clamp(-10, 10))**2"),
    oracle=_pathwise_oracle,
    mistakes=[
        Mistake(
            "The estimate for μ is multiplied by ε, too. How much does z = μ + σε move when μ does?",
            lambda df, mu, sigma, eps: (df(mu + sigma * eps) * eps,) * 2,
        ),
        Mistake(
            "The estimate for σ lacks a factor. How much does z = μ + σε move when σ does?",
            lambda df, mu, sigma, eps: (df(mu + sigma * eps),) * 2,
        ),
        Mistake(
            "The noise is scaled by σ², the slip of the notes: then z has variance σ⁴.",
            lambda df, mu, sigma, eps: (df(mu + sigma**2 * eps), df(mu + sigma**2 * eps) * eps),
        ),
        Mistake(
            "The estimate for σ is that for σ²'s path: 2σε belongs to z = μ + σ²ε.",
            lambda df, mu, sigma, eps: (df(mu + sigma * eps), df(mu + sigma * eps) * eps * 2 * sigma),
        ),
        Mistake(
            "The slope is asked at the noise. It wants the sample, z = μ + σε.",
            lambda df, mu, sigma, eps: (df(eps), df(eps) * eps),
        ),
        Mistake(
            "Both are divided by σ, as in the score function. Nothing is divided here: the chain rule multiplies.",
            lambda df, mu, sigma, eps: (df(mu + sigma * eps) / sigma, df(mu + sigma * eps) * eps / sigma),
        ),
        Mistake(
            "The two are in the wrong order: μ comes first.",
            lambda df, mu, sigma, eps: (df(mu + sigma * eps) * eps, df(mu + sigma * eps)),
        ),
        Mistake(
            "The estimate for σ is multiplied by σε. The derivative of μ + σε with respect to σ is ε alone.",
            lambda df, mu, sigma, eps: (df(mu + sigma * eps), df(mu + sigma * eps) * sigma * eps),
        ),
        Mistake(
            "Two numbers came back. Give one estimate a draw, and leave the mean to the caller.",
            lambda df, mu, sigma, eps: (df(mu + sigma * eps).mean(), (df(mu + sigma * eps) * eps).mean()),
        ),
    ],
    hints=(
        "f(μ + σε) is a composition. What does the chain rule say about its derivative with respect to μ, and to σ?",
        "Both are f'(z) times how fast z moves: ∂z/∂μ and ∂z/∂σ for z = μ + σε.",
        "z moves by 1 with μ and by ε with σ. Return both, each of shape (n,), as a tuple.",
    ),
)


def _score_moments(mu: float, sigma: float, k: float) -> float:
    """By Gauss–Hermite quadrature, exact for polynomials of this degree."""
    eps, weights = np.polynomial.hermite_e.hermegauss(20)
    estimate = (mu + sigma * eps - k) ** 2 * eps / sigma
    mean, square = (np.sum(weights * v) / np.sum(weights) for v in (estimate, estimate**2))
    return float(square - mean**2)


def _variance(fourth=1.0, second=14.0, zeroth=15.0, below=2):
    def formula(mu, sigma, k):
        a = mu - k
        return fourth * a**4 / sigma**below + second * a**2 + zeroth * sigma**2

    return formula


SCORE_VARIANCE = Exercise(
    id="03.3",
    name="score_variance",
    cases=[
        Case("one off the minimum, σ = 1", {"mu": 1.0, "sigma": 1.0, "k": 0.0}),
        Case("at the minimum", {"mu": 2.0, "sigma": 3.0, "k": 2.0}),
        Case("left of the minimum", {"mu": -1.0, "sigma": 2.0, "k": 0.5}),
        Case("a narrow Gaussian", {"mu": 0.5, "sigma": 0.1, "k": -1.5}),
        Case("a very narrow one", {"mu": 1.0, "sigma": 0.001, "k": 3.0}),
        Case("a wide one, whole numbers", {"mu": 3, "sigma": 10, "k": 4}),
    ],
    oracle=_score_moments,
    mistakes=[
        Mistake(
            "This is the mean square of the estimates. A variance subtracts the squared mean, and the mean is the gradient, 2a.",
            _variance(second=18.0),
        ),
        Mistake(
            "The mean is subtracted, but not its square: (2a)², not 2a.",
            lambda mu, sigma, k: _variance(second=18.0)(mu, sigma, k) - 2 * (mu - k),
        ),
        Mistake("Check the sixth moment of a standard normal: 1, 3, 15 for ε², ε⁴, ε⁶.", _variance(zeroth=9.0)),
        Mistake(
            "Check the fourth moment of a standard normal, in the middle term: E ε⁴ is 3, and the term has a factor 6.",
            _variance(second=2.0),
        ),
        Mistake("a⁴ is not divided. Two powers of σ come from the score, 1/σ², and none from a.", _variance(below=0)),
        Mistake("a⁴ is divided by σ. The score is squared, so σ is, too.", _variance(below=1)),
        Mistake(
            "σ² is missing in the last term: (σε)⁴ ε²/σ² leaves σ².",
            lambda mu, sigma, k: (mu - k) ** 4 / sigma**2 + 14 * (mu - k) ** 2 + 15,
        ),
        Mistake(
            "The distance to the minimum is μ − k. Here it is μ + k.",
            lambda mu, sigma, k: _variance()(mu, sigma, -k),
        ),
        Mistake(
            "This is the variance of the pathwise estimate. The score function's comes from (a + σε)² ε/σ.",
            _variance(0, 0, 4),
        ),
        Mistake(
            "This is the standard deviation. The variance is its square.",
            lambda mu, sigma, k: math.sqrt(_variance()(mu, sigma, k)),
        ),
        Mistake(
            "k is left out: f(z) = (z − k)², so what counts is a = μ − k.",
            lambda mu, sigma, k: _variance()(mu, sigma, 0),
        ),
    ],
    hints=(
        "One estimate is (a + σε)² ε/σ with a = μ − k. A variance is the mean of the squares less the square of the mean: which of the two do you know already?",
        "Expand (a + σε)⁴ and multiply by ε²: only even powers of ε have a mean other than 0. E ε² = 1, E ε⁴ = 3, E ε⁶ = 15.",
        "The mean square is (a⁴ + 6a²σ²·3 + σ⁴·15)/σ². Subtract (2a)².",
    ),
)


def _least_squares(f_values, score):
    """The b for which b·s fits f·s best, by numpy's solver."""
    return torch.tensor(np.linalg.lstsq(score.numpy()[:, None], (f_values * score).numpy(), rcond=None)[0][0])


def _values(n: int, seed: int, dtype=torch.float32, offset: float = 0.0, scale: float = 1.0) -> dict:
    eps = _noise(n, seed=seed, dtype=dtype)
    return {"f_values": offset + (1 + eps) ** 2, "score": eps / scale}


BASELINE = Exercise(
    id="03.4",
    name="optimal_baseline",
    cases=[
        Case(
            "three draws",
            {
                "f_values": torch.tensor([1.0, 4.0, 2.0], dtype=_f64),
                "score": torch.tensor([-1.0, 2.0, 0.5], dtype=_f64),
            },
        ),
        Case("seven draws", _values(7, 1)),
        Case("nine draws, f far from 0", _values(9, 2, _f64, offset=500)),
        Case("five draws, scores of 100 and more", _values(5, 3, _f64, scale=0.01)),
        Case("six draws, small scores", _values(6, 4, scale=50.0)),
        Case("f the same at every draw", {"f_values": torch.full((4,), -3.0), "score": _noise(4, seed=5)}),
    ],
    oracle=_least_squares,
    mistakes=[
        Mistake(
            "This is the plain mean of f. Draws with a large score make the noise, so they must count more.",
            lambda f, s: f.mean(),
        ),
        Mistake(
            "The mean of f·s² is there, but nothing divides it: a weighted mean needs the mean of its weights below.",
            lambda f, s: (f * s**2).mean(),
        ),
        Mistake(
            "The weights are |s|. The variance is quadratic in the score, so the weights are, too.",
            lambda f, s: (f * s.abs()).mean() / s.abs().mean(),
        ),
        Mistake(
            "Above stands f·s, the gradient. The weight is the square of the score.",
            lambda f, s: (f * s).mean() / (s**2).mean(),
        ),
        Mistake(
            "The weights are the scores themselves. They have both signs and mean 0: square them.",
            lambda f, s: (f * s).mean() / s.mean(),
        ),
        Mistake(
            "This is the slope of a regression of f·s on s with an intercept. The mean of the score is known to be 0: nothing is to be subtracted from it.",
            lambda f, s: ((f * s - (f * s).mean()) * (s - s.mean())).mean() / ((s - s.mean()) ** 2).mean(),
        ),
        Mistake(
            "The weights are s⁴. How does b enter the mean of ((f − b) s)²?",
            lambda f, s: (f * s**4).mean() / (s**4).mean(),
        ),
        Mistake(
            "One number a draw came back. The baseline is one number for all draws.",
            lambda f, s: f * s**2 / (s**2).mean(),
        ),
    ],
    hints=(
        "The mean of ((f − b) s)² is a parabola in b. Where is its minimum?",
        "Differentiate with respect to b: −2 E[(f − b) s²] = 0. Solve for b.",
        "It is a weighted mean of f, with s² as the weights.",
    ),
)


def _classes(log_pi, n, k, seed, dtype=torch.float32):
    return {
        "log_pi": torch.as_tensor(log_pi, dtype=dtype),
        "u": _uniform(n, k, seed=seed, dtype=dtype).clamp(1e-6, 1 - 1e-6),
    }


def _race(log_pi, u):
    """First of exponential clocks with rates π: the same class, by another road, one row at a time."""
    rates = log_pi.double().exp().tolist()
    rows = [
        [-math.log(v) / r if r > 0 else math.inf for v, r in zip(row, rates, strict=True)]
        for row in u.double().tolist()
    ]
    return torch.tensor([row.index(min(row)) for row in rows])


GUMBEL_MAX = Exercise(
    id="03.5",
    name="gumbel_max",
    cases=[
        Case("one draw of three classes", _classes([math.log(0.7), math.log(0.2), math.log(0.1)], 1, 3, 1, _f64)),
        Case("forty draws of three classes", _classes([math.log(0.7), math.log(0.2), math.log(0.1)], 40, 3, 2)),
        Case("sixty draws of five classes", _classes([-1.0, 0.3, -0.5, 0.1, -2.0], 60, 5, 3, _f64)),
        Case("two classes, one of them almost impossible", _classes([0.0, -12.0], 30, 2, 4)),
        Case("log-weights that do not sum to 1", _classes([3.0, 4.0, 2.5, 3.3], 50, 4, 5, _f64)),
        Case("negative log-weights far from 0", _classes([-41.0, -40.0, -39.5], 50, 3, 6, _f64)),
    ],
    oracle=_race,
    mistakes=[
        Mistake(
            "One log is missing in the noise: −log u is exponential. Gumbel noise takes the log once more.",
            lambda log_pi, u: (log_pi - u.log()).argmax(-1),
        ),
        Mistake(
            "The noise is subtracted. A Gumbel distribution is lopsided, so its sign matters.",
            lambda log_pi, u: (log_pi + (-u.log()).log()).argmax(-1),
        ),
        Mistake(
            "π stands where log π belongs: what is added to noise must be a log-probability.",
            lambda log_pi, u: (log_pi.exp() - (-u.log()).log()).argmax(-1),
        ),
        Mistake(
            "The smallest wins here. That would be right for exponential clocks; of these sums, the largest wins.",
            lambda log_pi, u: (log_pi - (-u.log()).log()).argmin(-1),
        ),
        Mistake(
            "The uniform numbers are added as they are. Turn them into Gumbel noise first.",
            lambda log_pi, u: (log_pi + u).argmax(-1),
        ),
        Mistake(
            "There is no noise: every draw is the most probable class.",
            lambda log_pi, u: log_pi.expand(u.shape).argmax(-1),
        ),
        Mistake(
            "There is noise, but log π is left out: every class is equally probable.", lambda log_pi, u: u.argmax(-1)
        ),
        Mistake(
            "The largest is looked for among the draws, not among the classes: the classes lie along the last axis.",
            lambda log_pi, u: (log_pi - (-u.log()).log()).argmax(0),
        ),
        Mistake(
            "One-hot rows came back, wanted the index of the class.",
            lambda log_pi, u: one_hot((log_pi - (-u.log()).log()).argmax(-1), len(log_pi)),
        ),
        Mistake(
            "log π is divided by the noise or multiplied with it. It is added.",
            lambda log_pi, u: (log_pi * -(-u.log()).log()).argmax(-1),
        ),
    ],
    hints=(
        "A Gumbel(0, 1) variable has the distribution function exp(−e^−g). For which g is that equal to u?",
        "Solve exp(−e^−g) = u for g: two logs and two minus signs.",
        "Add g to log_pi, row by row, and return the index of the largest along the last axis.",
    ),
)


def _relaxed(log_pi, gumbel, tau):
    """Row by row, in float64, with the largest exponent taken out."""
    rows = []
    for g in gumbel:
        exponents = [(log_pi[k] + g[k]) / tau for k in range(len(g))]
        top = max(e.item() for e in exponents)
        powers = [torch.exp(e - top) for e in exponents]
        rows.append(torch.stack([p / sum(powers) for p in powers]))
    return torch.stack(rows)


def _tempered(log_pi, n, tau, seed, dtype=torch.float32):
    log_pi = torch.as_tensor(log_pi, dtype=dtype)
    return {
        "log_pi": log_pi,
        "gumbel": -torch.log(-torch.log(_uniform(n, len(log_pi), seed=seed, dtype=dtype).clamp(1e-6, 1 - 1e-6))),
        "tau": tau,
    }


GUMBEL_SOFTMAX = Exercise(
    id="03.6",
    name="gumbel_softmax",
    cases=[
        Case(
            "one draw of three classes, τ = 0.5",
            _tempered([math.log(0.7), math.log(0.2), math.log(0.1)], 1, 0.5, 1, _f64),
        ),
        Case("four draws of three classes, τ = 2", _tempered([-0.3, -1.6, -2.3], 4, 2.0, 2)),
        Case("two draws of five classes, τ = 1", _tempered([-1.0, 0.3, -0.5, 0.1, -2.0], 2, 1.0, 3, _f64)),
        Case("a low temperature, τ = 0.05", _tempered([0.5, -0.5, 0.1, 0.3], 6, 0.05, 4, _f64)),
        Case("a high temperature, τ = 50", _tempered([2.0, -3.0], 3, 50.0, 5)),
        Case("log-weights of −100 and 100", _tempered([-100.0, 100.0, 99.0], 4, 0.5, 6, _f64)),
    ],
    oracle=_relaxed,
    gradient=("log_pi",),
    mistakes=[
        Mistake(
            "τ multiplies. A temperature divides: a low one makes differences large.",
            lambda p, g, t: ((p + g) * t).softmax(-1),
        ),
        Mistake("Only the noise is divided by τ. Divide the sum.", lambda p, g, t: (p + g / t).softmax(-1)),
        Mistake("Only log π is divided by τ. Divide the sum.", lambda p, g, t: (p / t + g).softmax(-1)),
        Mistake("π stands where log π belongs.", lambda p, g, t: ((p.exp() + g) / t).softmax(-1)),
        Mistake(
            "The softmax runs over the draws. Each row is one draw: it must sum to 1.",
            lambda p, g, t: ((p + g) / t).softmax(0),
        ),
        Mistake("τ is left out.", lambda p, g, t: (p + g).softmax(-1)),
        Mistake(
            "The noise is left out: this is the vector of probabilities at temperature τ, no sample.",
            lambda p, g, t: (p / t).softmax(-1).expand(g.shape),
        ),
        Mistake(
            "The noise is subtracted. A Gumbel distribution is lopsided, so its sign matters.",
            lambda p, g, t: ((p - g) / t).softmax(-1),
        ),
        Mistake(
            "This is the hard argmax. The soft one lets a gradient through.",
            lambda p, g, t: one_hot((p + g).argmax(-1), len(p)).to(p),
        ),
        Mistake("These are the logs of the wanted numbers.", lambda p, g, t: ((p + g) / t).log_softmax(-1)),
        Mistake("The sums are right, but nothing makes them sum to 1.", lambda p, g, t: (p + g) / t),
        Mistake(
            "The softmax comes before the temperature: a row no longer sums to 1.",
            lambda p, g, t: (p + g).softmax(-1) / t,
        ),
    ],
    hints=(
        "Which function turns any K numbers into K positive numbers that sum to 1, and goes to the argmax when the numbers are made large?",
        "Take the sums whose argmax you took in 03.5, and let a temperature scale all of them before the softmax.",
        "softmax of (log π + Gumbel)/τ along the last axis.",
    ),
)


def _rates(rate, u, dtype=torch.float32):
    return {"rate": torch.tensor(rate, dtype=dtype), "u": torch.as_tensor(u, dtype=dtype)}


EXPONENTIAL = Exercise(
    id="03.7",
    name="exponential_sample",
    cases=[
        Case("the median, rate 2", _rates(2.0, [0.5], _f64)),
        Case("five levels, rate 0.5", _rates(0.5, [0.1, 0.25, 0.5, 0.75, 0.9], _f64)),
        Case("seven levels, rate 3", _rates(3.0, _uniform(7, seed=1))),
        Case("u = 0 and u near 1", _rates(1.5, [0.0, 0.999], _f64)),
        Case("a rate of 0.001", _rates(0.001, [0.2, 0.6, 0.95], _f64)),
        Case("a rate of 1000", _rates(1000.0, [0.3, 0.4])),
    ],
    oracle=lambda rate, u: Exponential(rate).icdf(u),
    gradient=("rate",),
    mistakes=[
        Mistake(
            "The log is multiplied by the rate. A high rate means short waits.", lambda rate, u: -torch.log1p(-u) * rate
        ),
        Mistake(
            "log u has the right distribution, but it is not the inverse at u: it falls where the distribution function rises, and u = 0 gives infinity.",
            lambda rate, u: -torch.log(u) / rate,
        ),
        Mistake("Only the sign is wrong: a waiting time is positive.", lambda rate, u: torch.log1p(-u) / rate),
        Mistake(
            "This is the distribution function itself. Its inverse is wanted.", lambda rate, u: 1 - torch.exp(-rate * u)
        ),
        Mistake(
            "This is the density. The inverse of the distribution function is wanted.",
            lambda rate, u: rate * torch.exp(-rate * u),
        ),
        Mistake("The rate is left out.", lambda rate, u: -torch.log1p(-u) + 0 * rate),
        Mistake(
            "Both are wrong: log u where log(1 − u) belongs, and the rate multiplies.",
            lambda rate, u: -torch.log(u) * rate,
        ),
    ],
    hints=(
        "F(z) = 1 − e^(−rate·z). For which z is F(z) = u?",
        "1 − u = e^(−rate·z): take the log of both sides.",
        "Solve log(1 − u) = −rate·z for z.",
    ),
)

EXERCISES = [SCORE_FUNCTION, PATHWISE, SCORE_VARIANCE, BASELINE, GUMBEL_MAX, GUMBEL_SOFTMAX, EXPONENTIAL]
