"""Exercises of lesson 02, amortized inference."""

import math
from fractions import Fraction

import numpy as np
import torch
from torch.distributions import Normal

from course_lib.exercises.judge import Case, Exercise, Mistake

_f64 = torch.float64


def _normal(*shape: int, seed: int, dtype=torch.float32, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _model(x, w, noise: float, dtype=torch.float32, **q: float) -> dict:
    """One datapoint of the linear Gaussian model, and q's m and s where they are given."""
    scalars = {name: torch.tensor(v, dtype=dtype) for name, v in {"noise": noise, **q}.items()}
    return {"x": torch.as_tensor(x, dtype=dtype), "w": torch.as_tensor(w, dtype=dtype), **scalars}


def _random_model(d: int, noise: float, seed: int, dtype=torch.float32, **q: float) -> dict:
    return _model(_normal(d, seed=seed, dtype=dtype), _normal(d, seed=seed + 1, dtype=dtype), noise, dtype, **q)


def _elbo_by_quadrature(x, w, noise, m, s):
    """E_q[log p(x|z) + log p(z) − log q(z)] by Gauss–Hermite, which is exact for a parabola in z."""
    nodes, weights = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(12))
    z = m + s * nodes
    log_joint = Normal(z[:, None] * w, noise).log_prob(x).sum(-1) + Normal(0.0, 1.0).log_prob(z)
    return (weights / weights.sum()) @ (log_joint - Normal(m, s).log_prob(z))


def _square(x, w, m, s):
    """E_q ‖x − w z‖²."""
    return ((x - w * m) ** 2).sum() + s**2 * (w**2).sum()


def _normaliser(x, noise):
    return 0.5 * len(x) * torch.log(2 * math.pi * noise**2)


def _rec(x, w, noise, m, s):
    return -_square(x, w, m, s) / (2 * noise**2) - _normaliser(x, noise)


def _to_prior(m, s):
    return 0.5 * (m**2 + s**2 - 1 - torch.log(s**2))


ELBO = Exercise(
    id="02.1",
    name="elbo_linear_gaussian",
    cases=[
        Case("D = 1", _model([1.0], [2.0], 0.5, _f64, m=0.3, s=0.4)),
        Case("D = 2, q equal to the prior", _model([1.5, -0.5], [1.0, -2.0], 0.8, m=0.0, s=1.0)),
        Case("D = 3, m below 0", _random_model(3, 0.7, 1, _f64, m=-1.5, s=0.6)),
        Case("D = 5, noise 10", _random_model(5, 10.0, 3, m=0.5, s=2.0)),
        Case("D = 7, s = 0.001", _random_model(7, 0.5, 5, m=0.2, s=1e-3)),
        Case("D = 4, noise 0.01 and s = 0.001", _random_model(4, 0.01, 7, _f64, m=0.8, s=1e-3)),
        Case(
            "D = 3, w = 0: x says nothing about z", _model([0.5, -1.0, 2.0], [0.0, 0.0, 0.0], 1.5, _f64, m=2.0, s=3.0)
        ),
    ],
    oracle=_elbo_by_quadrature,
    gradient=("m", "s"),
    mistakes=[
        Mistake(
            "The spread of q does not reach the first term: this is log p(x|z) at z = m. What is the mean of z² under q?",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, 0 * s) - _to_prior(m, s),
        ),
        Mistake(
            "The KL is added. It is what q pays for leaving the prior: it lowers the bound.",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, s) + _to_prior(m, s),
        ),
        Mistake(
            "The normaliser of p(x|z) is left out. Without it this is no bound on log p(x), and noise cannot be compared.",
            lambda x, w, noise, m, s: -_square(x, w, m, s) / (2 * noise**2) - _to_prior(m, s),
        ),
        Mistake(
            "noise is used as a variance. It is the standard deviation: square it, below the squares and in the log.",
            lambda x, w, noise, m, s: _rec(x, w, noise.sqrt(), m, s) - _to_prior(m, s),
        ),
        Mistake(
            "noise is not squared below ‖x − w z‖². A squared distance is measured in variances.",
            lambda x, w, noise, m, s: -_square(x, w, m, s) / (2 * noise) - _normaliser(x, noise) - _to_prior(m, s),
        ),
        Mistake(
            "noise is not squared in the normaliser, while it is below the squares.",
            lambda x, w, noise, m, s: (
                -_square(x, w, m, s) / (2 * noise**2) - _normaliser(x, noise.sqrt()) - _to_prior(m, s)
            ),
        ),
        Mistake(
            "s is used as the variance of q. It is the standard deviation.",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, s.sqrt()) - _to_prior(m, s.sqrt()),
        ),
        Mistake(
            "In the first term s stands where its square belongs. In the KL it is right.",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, s.sqrt()) - _to_prior(m, s),
        ),
        Mistake(
            "The normaliser is counted once. Each of the D numbers in x has a density of its own.",
            lambda x, w, noise, m, s: (
                _rec(x, w, noise, m, s) + (1 - 1 / len(x)) * _normaliser(x, noise) - _to_prior(m, s)
            ),
        ),
        Mistake(
            "2π is left out of the normaliser: D/2 · log 2π in all.",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, s) + 0.5 * len(x) * math.log(2 * math.pi) - _to_prior(m, s),
        ),
        Mistake(
            "The KL is not there. This is the first term alone, and the best q for it has no width at all.",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, s),
        ),
        Mistake(
            "In the KL, log s stands where log s² belongs: with it, q = p would not be the best q for an x that says nothing.",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, s) - _to_prior(m, s) - 0.5 * torch.log(s),
        ),
        Mistake(
            "The ½ before the KL is missing.",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, s) - 2 * _to_prior(m, s),
        ),
        Mistake(
            "The −1 in the KL is left out: a q equal to the prior must cost 0.",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, s) - _to_prior(m, s) - 0.5,
        ),
        Mistake(
            "The squares are divided by noise². A 2 is missing below.",
            lambda x, w, noise, m, s: -_square(x, w, m, s) / noise**2 - _normaliser(x, noise) - _to_prior(m, s),
        ),
        Mistake(
            "The first term is averaged over the D numbers in x. Given z they are independent, so their logs add.",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, s) / len(x) - _to_prior(m, s),
        ),
        Mistake(
            "One number came back for each of the D numbers in x, wanted one: their logs add, and the KL is paid once.",
            lambda x, w, noise, m, s: Normal(w * m, noise).log_prob(x) - s**2 * w**2 / (2 * noise**2) - _to_prior(m, s),
        ),
        Mistake(
            "The KL runs the other way: this is KL(p‖q). The expectation is over q.",
            lambda x, w, noise, m, s: _rec(x, w, noise, m, s) - 0.5 * ((1 + m**2) / s**2 - 1 + torch.log(s**2)),
        ),
        Mistake(
            "noise is squared twice in log p(x|z): torch's Normal wants a standard deviation.",
            lambda x, w, noise, m, s: (
                Normal(w * m, noise**2).log_prob(x).sum() - s**2 * (w @ w) / (2 * noise**2) - _to_prior(m, s)
            ),
        ),
        Mistake(
            "w is summed before it is squared: loadings of opposite sign would cancel, but each number in x feels the spread of z.",
            lambda x, w, noise, m, s: (
                _rec(x, w, noise, m, 0 * s) - s**2 * w.sum() ** 2 / (2 * noise**2) - _to_prior(m, s)
            ),
        ),
        Mistake(
            "The spread of q is put into the density as extra noise. That is the log of a mean; the ELBO has the mean of a log.",
            lambda x, w, noise, m, s: (
                Normal(w * m, (noise**2 + s**2 * w**2).sqrt()).log_prob(x).sum() - _to_prior(m, s)
            ),
        ),
        Mistake(
            "Only the sign is wrong: this is the loss, −ELBO.",
            lambda x, w, noise, m, s: _to_prior(m, s) - _rec(x, w, noise, m, s),
        ),
    ],
    hints=(
        "The ELBO is E_q[log p(x|z)] − KL(q‖p). Which powers of z does log p(x|z) hold, and what are their means under q?",
        "E_q[z] = m and E_q[z²] = m² + s², so E_q‖x − w z‖² = ‖x − w m‖² + s²‖w‖². Then the normaliser, D times, and the KL of lesson 00 to N(0, 1).",
        "Three parts: −(E_q‖x − w z‖²)/(2 noise²), then −D/2 · log(2π noise²), then −½(m² + s² − 1 − log s²).",
    ),
)


def _by_conditioning(x, w, noise):
    """The joint covariance of (z, x), and the textbook's Gaussian conditional of its first coordinate."""
    loadings = torch.cat([torch.ones(1, dtype=w.dtype), w])
    joint = torch.outer(loadings, loadings)
    joint[1:, 1:] += noise**2 * torch.eye(len(w), dtype=w.dtype)
    gain = torch.linalg.solve(joint[1:, 1:], joint[1:, 0])
    return gain @ x, joint[0, 0] - gain @ joint[1:, 0]


def _posterior(x, w, noise, prior=1.0):
    precision = prior + w @ w / noise**2
    return w @ x / noise**2 / precision, 1 / precision


EXACT_POSTERIOR = Exercise(
    id="02.2",
    name="exact_posterior",
    cases=[
        Case("D = 1", _model([1.0], [2.0], 0.5, _f64)),
        Case("D = 2", _model([1.5, -0.5], [1.0, -2.0], 0.8)),
        Case("D = 3", _random_model(3, 1.3, 11, _f64)),
        Case("D = 5, noise 10", _random_model(5, 10.0, 13)),
        Case("D = 4, noise 0.01", _random_model(4, 0.01, 15, _f64)),
        Case("D = 3, w = 0: x says nothing about z", _model([0.5, -1.0, 2.0], [0.0, 0.0, 0.0], 1.5)),
    ],
    oracle=_by_conditioning,
    mistakes=[
        Mistake(
            "The prior's own precision is left out: this is what x says alone. With w = 0 no belief would be left.",
            lambda x, w, noise: _posterior(x, w, noise, prior=0.0),
        ),
        Mistake(
            "noise is used as a variance. It is the standard deviation.",
            lambda x, w, noise: _posterior(x, w, noise.sqrt()),
        ),
        Mistake(
            "The second number is the precision. A precision is one over a variance.",
            lambda x, w, noise: (_posterior(x, w, noise)[0], 1 / _posterior(x, w, noise)[1]),
        ),
        Mistake(
            "The mean is not divided by the precision: with more and more numbers in x it would grow without end.",
            lambda x, w, noise: (w @ x / noise**2, _posterior(x, w, noise)[1]),
        ),
        Mistake(
            "The second number is the standard deviation. The variance is its square.",
            lambda x, w, noise: (_posterior(x, w, noise)[0], _posterior(x, w, noise)[1].sqrt()),
        ),
        Mistake(
            "The two are in the wrong order: the mean comes first.",
            lambda x, w, noise: _posterior(x, w, noise)[::-1],
        ),
        Mistake(
            "The mean is that of least squares, as if there were no prior. The variance has the prior in it.",
            lambda x, w, noise: (w @ x / (w @ w), _posterior(x, w, noise)[1]),
        ),
        Mistake(
            "noise enters the precision, but not the product w·x above it: noisy x must move the mean less.",
            lambda x, w, noise: (w @ x * _posterior(x, w, noise)[1], _posterior(x, w, noise)[1]),
        ),
        Mistake(
            "noise is left out altogether: every x would be believed as much as with noise 1.",
            lambda x, w, noise: _posterior(x, w, torch.ones_like(noise)),
        ),
        Mistake(
            "The D numbers in x are averaged. Each of them adds to what is known about z.",
            lambda x, w, noise: _posterior(x / len(x) ** 0.5, w / len(x) ** 0.5, noise),
        ),
        Mistake(
            "w is summed before it is squared: loadings of opposite sign would cancel, but each of them tells about z.",
            lambda x, w, noise: (
                w @ x / noise**2 / (1 + w.sum() ** 2 / noise**2),
                1 / (1 + w.sum() ** 2 / noise**2),
            ),
        ),
        Mistake(
            "A posterior for each number in x came back. There is one z behind all of them.",
            lambda x, w, noise: (w * x / (noise**2 + w**2), noise**2 / (noise**2 + w**2)),
        ),
    ],
    hints=(
        "log p(z) + log p(x|z) is a parabola in z. What do the factors of z² and of z tell about a Gaussian?",
        "A Gaussian's log is −½ precision · z² + precision · mean · z + a constant. Collect z² and z from −½ z² − ‖x − w z‖²/(2 noise²).",
        "The precision is the prior's 1 plus ‖w‖²/noise². The mean is w·x/noise² divided by the precision, the variance one over it.",
    ),
)


def _matrix(*rows, dtype=torch.float32) -> torch.Tensor:
    """A precision. Marking moves each number that is not whole by itself, so whole ones keep a matrix symmetric."""
    return torch.tensor(rows, dtype=dtype)


def _precision(d: int, seed: int, dtype=torch.float32, scales: tuple[float, ...] = ()) -> torch.Tensor:
    root = torch.randint(-2, 3, (d, d), generator=torch.Generator().manual_seed(seed)).to(dtype)
    s = torch.tensor(scales or [1.0] * d, dtype=dtype)
    return (root @ root.T + torch.eye(d, dtype=dtype)) * torch.outer(s, s)


def _conditional(mu, precision, i, others):
    """Mean and variance of latent i, given the others, from the covariance: no entry of the precision is used."""
    covariance = torch.linalg.inv(precision)
    rest = torch.arange(len(mu)) != i
    weights = torch.linalg.solve(covariance[rest][:, rest], covariance[rest, i])
    return mu[i] + weights @ (others - mu)[rest], covariance[i, i] - weights @ covariance[i, rest]


def _variances_by_conditioning(precision):
    """Each factor of the best q is as wide as the target's slice along its axis."""
    zero = torch.zeros(len(precision), dtype=precision.dtype)
    return torch.stack([_conditional(zero, precision, i, zero)[1] for i in range(len(precision))])


MEAN_FIELD = Exercise(
    id="02.3",
    name="mean_field_variances",
    cases=[
        Case("two latents, correlation 0.8", {"precision": _matrix([5, -4], [-4, 5], dtype=_f64)}),
        Case("one latent", {"precision": _matrix([2.5])}),
        Case("three latents", {"precision": _precision(3, 1, _f64)}),
        Case("five latents", {"precision": _precision(5, 2)}),
        Case("two latents, correlation −0.999", {"precision": _matrix([1000, 999], [999, 1000], dtype=_f64)}),
        Case("three independent latents", {"precision": _matrix([200.5, 0, 0], [0, 0.01, 0], [0, 0, 3.5])}),
        Case("four, of very different widths", {"precision": _precision(4, 3, _f64, scales=(1, 5, 50, 2))}),
    ],
    oracle=_variances_by_conditioning,
    mistakes=[
        Mistake(
            "These are the variances of the target itself, the diagonal of its covariance. KL(q‖p) makes q narrower where latents are correlated.",
            lambda precision: torch.linalg.inv(precision).diagonal(),
        ),
        Mistake(
            "These are precisions. A large precision means a small variance.",
            lambda precision: precision.diagonal(),
        ),
        Mistake(
            "The rows of the precision are summed. What does q's variance of one latent multiply in E_q[log p]?",
            lambda precision: 1 / precision.sum(-1),
        ),
        Mistake(
            "These are standard deviations. Their squares are wanted.",
            lambda precision: precision.diagonal() ** -0.5,
        ),
        Mistake(
            "This is the whole covariance of the target. A factorised q has one variance for each latent, and no more.",
            lambda precision: torch.linalg.inv(precision),
        ),
        Mistake(
            "A matrix came back with the variances on its diagonal. Return them alone, of shape (D,).",
            lambda precision: torch.diag(1 / precision.diagonal()),
        ),
        Mistake(
            "Every entry of the precision is inverted: wanted one number for each latent.",
            lambda precision: 1 / precision,
        ),
        Mistake(
            "All latents have the same variance here. Each factor of q has its own.",
            lambda precision: (len(precision) / precision.trace()).repeat(len(precision)),
        ),
        Mistake(
            "These are variances along the axes of the target's ellipse. The factors of q lie along the latents' own axes.",
            lambda precision: 1 / torch.linalg.eigvalsh(precision),
        ),
        Mistake(
            "The diagonal of the target's covariance is inverted: a wide target would get a narrow q.",
            lambda precision: 1 / torch.linalg.inv(precision).diagonal(),
        ),
    ],
    hints=(
        "KL(q‖p) is −entropy(q) − E_q[log p]. Which parts of it depend on the variance v_i of latent i, and is any of them shared with another latent?",
        "v_i enters as −½ log v_i + ½ Λ_ii v_i, with Λ the precision. Where is that smallest?",
        "One over the diagonal of the precision.",
    ),
)


def _update_case(what, m, mu, precision, i, dtype=torch.float32) -> Case:
    m, mu = (torch.as_tensor(v, dtype=dtype) for v in (m, mu))
    return Case(what, {"m": m, "mu": mu, "precision": precision.to(dtype), "i": i})


def _random_update(d: int, i: int, seed: int, dtype=torch.float32, far: float = 0.0) -> Case:
    what = f"{d} latents, i = {i}{f', means near {far:g}' if far else ''}"
    m, mu = (far + 2 * _normal(d, seed=seed + k, dtype=dtype) for k in (0, 1))
    return _update_case(what, m, mu, _precision(d, seed + 2, dtype), i, dtype)


def _dot_others(a, b, i):
    return sum((a[j] * b[j] for j in range(len(a)) if j != i), torch.zeros_like(a[i]))


def _update(m, mu, precision, i):
    return mu[i] - _dot_others(precision[i], m - mu, i) / precision[i, i]


def _whole(m, mu, precision, i):
    new = m.clone()
    new[i] = _update(m, mu, precision, i)
    return new


def _written_into_m(m, mu, precision, i):
    m[i] = _update(m, mu, precision, i)
    return m[i]


COORDINATE = Exercise(
    id="02.4",
    name="coordinate_update",
    cases=[
        _update_case("2 latents, correlation 0.8, i = 0", [2.0, 3.0], [1.0, -1.0], _matrix([5, -4], [-4, 5]), 0, _f64),
        _update_case("2 latents, i = 1", [0.5, -2.0], [-1.0, 0.5], _matrix([5, 3], [3, 5]), 1),
        _random_update(3, 1, 10, _f64),
        _random_update(5, 4, 20),
        _random_update(4, 2, 30, far=100.0),
        _update_case(
            "3 independent latents", [5.0, 6.0, 7.0], [1.0, -2.0, 3.0], _matrix([2, 0, 0], [0, 1, 0], [0, 0, 8]), 2
        ),
        _update_case(
            "2 latents, correlation 0.999", [1.0, -1.0], [0.25, 0.5], _matrix([1000, -999], [-999, 1000]), 0, _f64
        ),
        _update_case("1 latent", [4.0], [1.5], _matrix([3]), 0, _f64),
    ],
    oracle=lambda m, mu, precision, i: _conditional(mu, precision, i, m)[0],
    mistakes=[
        Mistake(
            "Latent i is in the sum, too. Its new mean depends on the others; its own old mean is forgotten.",
            lambda m, mu, precision, i: mu[i] - precision[i] @ (m - mu) / precision[i, i],
        ),
        Mistake(
            "The sign of the sum is wrong. Two latents with a positive correlation have a negative entry in the precision.",
            lambda m, mu, precision, i: 2 * mu[i] - _update(m, mu, precision, i),
        ),
        Mistake(
            "The covariance stands where the precision belongs: nothing is to be inverted here.",
            lambda m, mu, precision, i: _update(m, mu, torch.linalg.inv(precision), i),
        ),
        Mistake(
            "The sum is not divided by latent i's own precision.",
            lambda m, mu, precision, i: mu[i] - _dot_others(precision[i], m - mu, i),
        ),
        Mistake(
            "mu_i is left out: this is only how far the others push latent i away from it.",
            lambda m, mu, precision, i: _update(m, mu, precision, i) - mu[i],
        ),
        Mistake(
            "The sum runs over the means m_j. It is their distance from the target's means that pushes: at m = mu nothing may move.",
            lambda m, mu, precision, i: mu[i] - _dot_others(precision[i], m, i) / precision[i, i],
        ),
        Mistake(
            "The update starts at the old m_i. It starts at the target's mean.",
            lambda m, mu, precision, i: _update(m, mu, precision, i) - mu[i] + m[i],
        ),
        Mistake(
            "Each term is divided by the precision of its own latent j. It is latent i that is being set.",
            lambda m, mu, precision, i: mu[i] - _dot_others(precision[i] / precision.diagonal(), m - mu, i),
        ),
        Mistake(
            "The distances are taken from mu_i. Each of the others has a mean of its own.",
            lambda m, mu, precision, i: mu[i] - _dot_others(precision[i], m - mu[i], i) / precision[i, i],
        ),
        Mistake("All means came back, wanted the new m_i alone.", _whole),
        Mistake("The new m_i is written into m. Return it, and leave m to the caller.", _written_into_m),
    ],
    hints=(
        "Hold all means but m_i. E_q[log p] is a parabola in m_i: where is its top?",
        "Its derivative is −Σ_j Λ_ij (m_j − mu_j), with j = i in the sum. Set it to 0 and solve for m_i.",
        "mu_i less (1/Λ_ii) times the sum over j ≠ i of Λ_ij (m_j − mu_j).",
    ),
)


def _bounds(log_px, elbo_best, elbo_encoder, dtype=torch.float32) -> dict:
    values = {"log_px": log_px, "elbo_best": elbo_best, "elbo_encoder": elbo_encoder}
    return {name: torch.as_tensor(v, dtype=dtype) for name, v in values.items()}


def _random_bounds(b: int, seed: int, dtype=torch.float32) -> dict:
    log_px = 20 * _normal(b, seed=seed, dtype=dtype) - 100
    best = log_px - _normal(b, seed=seed + 1, dtype=dtype).exp()
    return _bounds(log_px, best, best - _normal(b, seed=seed + 2, dtype=dtype).exp(), dtype)


def _by_a_ladder(log_px, elbo_best, elbo_encoder):
    """The steps of a ladder with three rungs, from the encoder's bound up to log p(x)."""
    amortization, approximation = torch.stack([elbo_encoder, elbo_best, log_px]).diff(dim=0)
    return approximation, amortization


GAPS = Exercise(
    id="02.5",
    name="inference_gaps",
    cases=[
        Case("one datapoint", _bounds([-100.0], [-101.5], [-104.0], _f64)),
        Case("three datapoints", _bounds([-80.0, -95.5, -120.25], [-80.5, -97.0, -120.5], [-83.5, -97.25, -126.5])),
        Case("five datapoints", _random_bounds(5, 1, _f64)),
        Case("a best q that is the posterior", _bounds([-3.5, -2.0], [-3.5, -2.0], [-3.75, -4.0])),
        Case("an encoder that finds the best q", _bounds([-7.0, -8.0], [-7.5, -9.0], [-7.5, -9.0], _f64)),
        Case("densities above 1", _bounds([250.0, 310.5], [249.0, 310.0], [240.0, 309.75], _f64)),
        Case("log p(x) near −12 000", _bounds([-12000.0, -11998.5], [-12002.5, -11998.75], [-12003.0, -12010.5])),
        Case(
            "a search for the best q that stopped too early", _bounds([-5.0, -6.0], [-5.5, -6.75], [-5.25, -7.0], _f64)
        ),
    ],
    oracle=_by_a_ladder,
    mistakes=[
        Mistake(
            "The two are swapped. The family of q can be blamed for the first, the encoder for the second.",
            lambda log_px, best, encoder: (best - encoder, log_px - best),
        ),
        Mistake(
            "Both are measured from log p(x). The second is then the whole gap: what of it does the encoder add?",
            lambda log_px, best, encoder: (log_px - best, log_px - encoder),
        ),
        Mistake(
            "Both are measured down to the encoder's ELBO. The first is then the whole gap: what of it would the best q leave?",
            lambda log_px, best, encoder: (log_px - encoder, best - encoder),
        ),
        Mistake(
            "The signs are wrong: a lower bound lies below, and a gap is how far.",
            lambda log_px, best, encoder: (best - log_px, encoder - best),
        ),
        Mistake(
            "The first has the wrong sign: no ELBO lies above log p(x).",
            lambda log_px, best, encoder: (best - log_px, best - encoder),
        ),
        Mistake(
            "The second has the wrong sign: the encoder's q cannot beat the best one.",
            lambda log_px, best, encoder: (log_px - best, encoder - best),
        ),
        Mistake(
            "Two means came back. Return the gaps of each datapoint: some are hard, and the mean hides them.",
            lambda log_px, best, encoder: ((log_px - best).mean(), (best - encoder).mean()),
        ),
        Mistake(
            "Two sums came back. Return the gaps of each datapoint.",
            lambda log_px, best, encoder: ((log_px - best).sum(), (best - encoder).sum()),
        ),
        Mistake(
            "The whole gap came back. Split it in two, and return both.", lambda log_px, best, encoder: log_px - encoder
        ),
        Mistake(
            "The two came back stacked in one tensor. Return a tuple.",
            lambda log_px, best, encoder: torch.stack([log_px - best, best - encoder]),
        ),
        Mistake(
            'Absolute values hide something: a negative gap says that the "best" q is not the best yet.',
            lambda log_px, best, encoder: ((log_px - best).abs(), (best - encoder).abs()),
        ),
        Mistake(
            "Negative gaps are set to 0. Leave them: they say that the search for the best q is not done.",
            lambda log_px, best, encoder: ((log_px - best).clamp(min=0), (best - encoder).clamp(min=0)),
        ),
    ],
    hints=(
        "Put three numbers on a line, for one datapoint: log p(x), the ELBO of the best q, the ELBO of the encoder's q. Which stretch would a better encoder shorten?",
        "The best q of the family loses something to log p(x). The encoder loses something to the best q. Together they are the whole gap.",
        "Two differences of neighbours, the upper less the lower: log p(x) to the best ELBO, then the best to the encoder's.",
    ),
)


def _costs(train_cost: float, encoder_cost: float, svi_cost: float) -> dict:
    return {"train_cost": train_cost, "encoder_cost": encoder_cost, "svi_cost": svi_cost}


def _by_counting(train_cost, encoder_cost, svi_cost):
    """Datapoint by datapoint, in exact fractions, until nothing is owed; never, if the first repays nothing."""
    owed, n = Fraction(train_cost), 0
    while owed > 0:
        before = owed
        owed, n = owed + Fraction(encoder_cost) - Fraction(svi_cost), n + 1
        if owed >= before:
            return math.inf
    return n


def _quotient(train, encoder, svi):
    return train / (svi - encoder) if svi > encoder else math.inf


def _whole_or_inf(rounded, quotient):
    return quotient if quotient == math.inf else rounded(quotient)


BREAK_EVEN = Exercise(
    id="02.6",
    name="break_even",
    cases=[
        Case("whole numbers", _costs(10, 1, 4)),
        Case("equal costs at a whole n", _costs(36.0, 0.5, 2.0)),
        Case("close to the next whole n", _costs(7.0, 0.25, 4.25)),
        Case("ten minutes of training", _costs(600.0, 0.0005, 1.3)),
        Case("training that costs less than one search", _costs(0.5, 0.25, 8.0)),
        Case("an encoder that costs nothing", _costs(100, 0, 16)),
        Case("an encoder as slow as the search", _costs(3.0, 2.0, 2.0)),
        Case("an encoder slower than the search", _costs(5.0, 3.0, 2.0)),
    ],
    oracle=_by_counting,
    mistakes=[
        Mistake(
            "The encoder's own cost for each datapoint is left out. What does one datapoint save?",
            lambda train, encoder, svi: math.inf if svi <= encoder else math.ceil(train / svi),
        ),
        Mistake(
            "The encoder's own cost is left out, so it always seems to pay. What does one datapoint save?",
            lambda train, encoder, svi: math.ceil(train / svi),
        ),
        Mistake(
            "This is not rounded: datapoints are counted in whole numbers.",
            _quotient,
        ),
        Mistake(
            "Two things are missing: datapoints are counted in whole numbers, and an encoder may never pay.",
            lambda train, encoder, svi: train / (svi - encoder),
        ),
        Mistake(
            "Rounded down: at that n the training is not paid back yet.",
            lambda train, encoder, svi: _whole_or_inf(math.floor, _quotient(train, encoder, svi)),
        ),
        Mistake(
            "Rounded to the nearest whole number: half of the time the training is not paid back at that n.",
            lambda train, encoder, svi: _whole_or_inf(round, _quotient(train, encoder, svi)),
        ),
        Mistake(
            "One datapoint too many where both cost exactly the same: at that n the encoder has paid already.",
            lambda train, encoder, svi: _whole_or_inf(lambda q: math.floor(q) + 1, _quotient(train, encoder, svi)),
        ),
        Mistake(
            "One datapoint too many, always: it is rounded up already.",
            lambda train, encoder, svi: _whole_or_inf(lambda q: math.ceil(q) + 1, _quotient(train, encoder, svi)),
        ),
        Mistake(
            "A negative number of datapoints came back. If the encoder costs more than the search each time, when does it pay?",
            lambda train, encoder, svi: math.inf if svi == encoder else math.ceil(train / (svi - encoder)),
        ),
        Mistake(
            "0 came back where the encoder never pays; at n = 0 the training is still to be paid. Return infinity.",
            lambda train, encoder, svi: math.ceil(train / (svi - encoder)) if svi > encoder else 0,
        ),
        Mistake(
            "The comparison is the wrong way round: infinity came back where the encoder is the cheaper one.",
            lambda train, encoder, svi: math.inf if encoder <= svi else math.ceil(train / (encoder - svi)),
        ),
        Mistake(
            "The sign of the difference is dropped: an encoder slower than the search never pays.",
            lambda train, encoder, svi: math.inf if svi == encoder else math.ceil(train / abs(svi - encoder)),
        ),
        Mistake(
            "The two costs for a datapoint are added. What counts is what the encoder saves.",
            lambda train, encoder, svi: math.inf if svi <= encoder else math.ceil(train / (svi + encoder)),
        ),
        Mistake(
            "The quotient is upside down: longer training must take more datapoints to be paid back.",
            lambda train, encoder, svi: math.inf if svi <= encoder else math.ceil((svi - encoder) / train),
        ),
    ],
    hints=(
        "After n datapoints, what has each way cost? What does every further datapoint change about the difference?",
        "Each datapoint saves svi_cost − encoder_cost. How many of them save train_cost? And if they save nothing?",
        "train_cost divided by what a datapoint saves, rounded up to a whole number; infinity if nothing is saved.",
    ),
)

EXERCISES = [ELBO, EXACT_POSTERIOR, MEAN_FIELD, COORDINATE, GAPS, BREAK_EVEN]
