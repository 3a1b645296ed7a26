"""Every estimator against closed forms (f(z) = (z − k)²), quadrature or enumeration."""

import math

import pytest
import torch

from course_lib import estimators

N = 1_000_000
F64 = torch.float64
SETTINGS = [(1.0, 1.0), (2.0, 1.0), (0.0, 1.0), (1.5, 0.5), (-1.0, 2.0)]  # d = μ − k, σ


def square(z):
    return z**2


def step(z):
    return (z > 0.5).to(z.dtype)


def eps(seed=0, *shape):
    return torch.randn(shape or (N,), generator=torch.Generator().manual_seed(seed), dtype=F64)


def closed_forms(d, s):
    """Variance of one draw, (∂μ, ∂σ); derived by hand from Gaussian moments."""
    pi = math.pi
    return {
        "score function": (d**4 / s**2 + 14 * d**2 + 15 * s**2, 2 * d**4 / s**2 + 60 * d**2 + 74 * s**2),
        "score function, mean baseline": (8 * d**2 + 10 * s**2, 40 * d**2 + 56 * s**2),
        "score function, optimal baseline": (8 * d**2 + 6 * s**2, 40 * d**2 + 24 * s**2),
        "pathwise": (4 * s**2, 4 * d**2 + 8 * s**2),
        "measure-valued, coupled": ((16 / pi - 4) * d**2, 4 * d**2 + 4 * s**2),
        "measure-valued, independent": ((8 / pi - 2) * d**2 + 4 * s**2 / pi, 16 * d**2 + 8 * s**2),
    }


def draws(d, s):
    normal = eps(1)
    return {
        "score function": estimators.score_function(square, d, s, normal),
        "score function, mean baseline": estimators.score_function(square, d, s, normal, "mean"),
        "score function, optimal baseline": estimators.score_function(square, d, s, normal, "optimal"),
        "pathwise": estimators.pathwise(square, d, s, normal),
        "measure-valued, coupled": estimators.measure_valued(square, d, s, eps(2, 7, N)),
        "measure-valued, independent": estimators.measure_valued(square, d, s, eps(3, 7, N), coupled=False),
    }


def assert_mean(g, truth):
    assert abs(g.mean().item() - truth) < 4 * g.std().item() / N**0.5 + 1e-9


def assert_variance(g, truth):
    squares = (g - g.mean()) ** 2
    assert abs(squares.mean().item() - truth) < 4 * squares.std().item() / N**0.5 + 1e-9


@pytest.mark.parametrize(("d", "s"), SETTINGS)
def test_estimators_are_unbiased_and_have_the_variance_that_was_derived(d, s):
    expected = closed_forms(d, s)
    for name, g in draws(d, s).items():
        for estimate, truth, variance in zip(g, (2 * d, 2 * s), expected[name], strict=True):
            assert_mean(estimate, truth)
            assert_variance(estimate, variance)


@pytest.mark.parametrize(("d", "s"), SETTINGS)
def test_quadrature_agrees_with_the_closed_forms(d, s):
    found = estimators.exact(square, d, s)
    assert (found.mu, found.sigma) == pytest.approx((2 * d, 2 * s), abs=1e-9)
    for name, variances in found.variances.items():
        assert variances == pytest.approx(closed_forms(d, s)[name], rel=1e-7)


@pytest.mark.parametrize("f", [torch.sin, step, lambda z: torch.exp(-20 * (z - 2) ** 2)])
def test_estimators_without_a_gradient_are_unbiased_for_any_function(f):
    truth = estimators.exact(f, 0.3, 0.8)
    for g in (
        estimators.score_function(f, 0.3, 0.8, eps(4)),
        estimators.measure_valued(f, 0.3, 0.8, eps(5, 7, N)),
        estimators.measure_valued(f, 0.3, 0.8, eps(6, 7, N), coupled=False),
    ):
        assert_mean(g.mu, truth.mu)
        assert_mean(g.sigma, truth.sigma)
    assert_variance(estimators.score_function(f, 0.3, 0.8, eps(4)).mu, truth.variances["score function"][0])


def test_exact_gradient_of_a_step_is_the_density_at_the_step():
    truth = estimators.exact(step, 0.3, 0.8)
    density = math.exp(-0.5 * (0.2 / 0.8) ** 2) / (0.8 * math.sqrt(2 * math.pi))
    assert truth.mu == pytest.approx(density, abs=1e-4)
    assert truth.sigma == pytest.approx(density * 0.2 / 0.8, abs=1e-4)


def test_pathwise_is_zero_and_wrong_at_a_step():
    g = estimators.pathwise(step, 0.3, 0.8, eps(7))
    assert g.mu.abs().max() == g.sigma.abs().max() == 0
    assert estimators.exact(step, 0.3, 0.8).mu > 0.4


def test_baselines_leave_one_out_is_unbiased_and_the_mean_is_not():
    few = eps(8, N // 2, 2)  # two draws an estimate: the bias of the mean is largest
    alone = estimators.score_function(square, 1.0, 1.0, few, "leave-one-out").mu.mean(-1)
    shared = estimators.score_function(square, 1.0, 1.0, few, "mean").mu.mean(-1)
    error = 4 * alone.std().item() / len(alone) ** 0.5
    assert abs(alone.mean().item() - 2) < error
    assert shared.mean().item() == pytest.approx(2 * (1 - 1 / 2), abs=error)


def test_no_estimator_wins_everywhere():
    at_one = closed_forms(1, 1)
    assert at_one["measure-valued, coupled"][0] < at_one["pathwise"][0] < at_one["score function"][0]
    wiggly = estimators.exact(lambda z: 0.01 * torch.sin(100 * z), 0.0, 1.0)  # a large slope, a small value
    assert wiggly.variances["score function"][0] < 0.01 * wiggly.variances["pathwise"][0]


LOGITS = torch.tensor([0.5, -0.3, 0.1, 1.2], dtype=F64)


def quadratic(z):
    return (z @ torch.tensor([0.1, 0.9, -0.4, 0.6], dtype=z.dtype) - 0.45) ** 2


def noise(seed, n=200_000):
    torch.manual_seed(seed)
    return estimators.gumbel((n, 4), dtype=F64)


def test_gumbel_max_has_the_right_probabilities():
    n = 200_000
    counts = estimators.gumbel_max(LOGITS, noise(0)).bincount(minlength=4).double()
    pi = LOGITS.softmax(-1)
    chi_square = ((counts - n * pi) ** 2 / (n * pi)).sum().item()
    assert chi_square < 16.27, "the 0.1 % point of chi-square with 3 degrees of freedom"
    assert noise(1).mean().item() == pytest.approx(0.577216, abs=0.01)
    assert noise(1).var().item() == pytest.approx(math.pi**2 / 6, rel=0.02)


def test_enumeration_is_the_gradient_of_the_expectation():
    logits = LOGITS.clone().requires_grad_()
    (logits.softmax(-1) @ quadratic(torch.eye(4, dtype=F64))).backward()
    torch.testing.assert_close(estimators.exact_categorical(quadratic, LOGITS), logits.grad)


@pytest.mark.parametrize("baseline", [False, True])
def test_categorical_score_function_is_unbiased(baseline):
    g = estimators.categorical_score_function(quadratic, LOGITS, noise(2), baseline)
    error = g.std(0) / len(g) ** 0.5
    assert ((g.mean(0) - estimators.exact_categorical(quadratic, LOGITS)).abs() < 4 * error).all()
    # the law of one draw is known: its variance by enumeration
    if not baseline:
        pi, e = LOGITS.softmax(-1), torch.eye(4, dtype=F64)
        each = quadratic(e)[:, None] * (e - pi)
        variance = (pi[:, None] * each**2).sum(0) - (pi[:, None] * each).sum(0) ** 2
        torch.testing.assert_close(g.var(0), variance, rtol=0.03, atol=0)


def test_gumbel_softmax_trades_bias_for_variance():
    truth = estimators.exact_categorical(quadratic, LOGITS)
    bias, variance = [], []
    for tau in (0.1, 0.5, 2.0):
        g = estimators.gumbel_softmax(quadratic, LOGITS, noise(3), tau)
        error = g.std(0).norm().item() / len(g) ** 0.5
        bias.append((g.mean(0) - truth).norm().item())
        variance.append(g.var(0).sum().item())
        if tau > 0.1:
            assert bias[-1] > 8 * error, "a bias that the draws can tell from noise"
    assert bias[0] < bias[1]
    assert variance == sorted(variance, reverse=True)


def bernoulli_truth(logit, tau, straight_through, t=0.45, cells=2_000_000):
    """The relaxed gradient of (b − t)² for one Bernoulli logit, by the midpoint rule over logistic noise."""
    u = (torch.arange(cells, dtype=F64) + 0.5) / cells
    noisy = logit + u.log() - (-u).log1p()
    soft = torch.sigmoid(noisy / tau)
    point = (noisy > 0).to(F64) if straight_through else soft
    return (2 * (point - t) * soft * (1 - soft) / tau).mean().item()


@pytest.mark.parametrize(("tau", "straight_through"), [(0.5, False), (1.0, False), (0.5, True), (1.0, True)])
def test_relaxed_gradients_have_the_bias_that_quadrature_gives(tau, straight_through):
    logit = math.log(0.8 / 0.2)
    torch.manual_seed(4)
    g = estimators.gumbel_softmax(
        lambda z: (z[..., 1] - 0.45) ** 2,
        torch.tensor([0.0, logit], dtype=F64),
        estimators.gumbel((N, 2), dtype=F64),
        tau,
        straight_through,
    )[:, 1]
    assert_mean(g, bernoulli_truth(logit, tau, straight_through))
    assert abs(g.mean().item() - 0.016) > 8 * g.std().item() / N**0.5  # the true gradient is p(1 − p)(1 − 2t) = 0.016


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: estimators.score_function(square, 0.0, 1.0, eps(0, 3), "best"), "baseline: got 'best'"),
        (lambda: estimators.score_function(square, 0.0, 1.0, eps(0, 5, 1), "leave-one-out"), "eps: got 1 draw"),
        (lambda: estimators.measure_valued(square, 0.0, 1.0, eps(0, 3, 9)), "noise: got 3 tensors"),
        (lambda: estimators.gumbel_softmax(quadratic, LOGITS, noise(0, 3), 0.0), "tau: got 0.0"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
