"""Models and objectives against closed forms, quadrature and torch's own densities."""

import math

import pytest
import torch
from torch import nn
from torch.distributions import Bernoulli, MultivariateNormal

from course_lib import distributions, metrics, models, nets, objectives

F64 = torch.float64


def small(kind=models.VAE, pixels=6, d=2, seed=0, **more):
    torch.manual_seed(seed)
    return kind(nets.mlp(pixels, 8, 2 * d), nets.mlp(d, 8, pixels), d, **more).double()


def exact_linear(pixels=12, d=3, variance=0.3):
    """A linear VAE whose q(z|x) is the exact posterior, and the exact density of x."""
    torch.manual_seed(0)
    model = models.LinearVAE(pixels, d, sigma=variance**0.5).double()
    with torch.no_grad():
        w = torch.linalg.qr(torch.randn(pixels, d, dtype=F64))[0] * torch.tensor([2.0, 1.0, 0.5], dtype=F64)
        precision = 1 + w.square().sum(0) / variance  # orthogonal columns: a diagonal posterior
        model.dec.weight.copy_(w)
        model.enc.weight.copy_(w.T / variance / precision[:, None])
        model.enc.bias.copy_(-model.enc.weight @ model.dec.bias)
        model.log_var.copy_(-precision.log())
        model.log_sigma.fill_(0.5 * math.log(variance))  # in float64: the constructor's was float32
    return model, MultivariateNormal(model.dec.bias.detach(), w @ w.T + variance * torch.eye(pixels, dtype=F64))


def test_with_the_exact_posterior_every_single_sample_gives_log_px():
    model, truth = exact_linear()
    x = truth.sample((5,))
    t = model(x, k=7)
    torch.testing.assert_close(t.rec - t.log_ratio, truth.log_prob(x).expand(7, -1), rtol=0, atol=1e-9)


def test_elbo_of_a_linear_model_matches_its_closed_form():
    model, truth = exact_linear()
    x = truth.sample((4,))
    with torch.no_grad():
        model.log_var.add_(0.7)  # a posterior that is too wide
    w, mu = model.dec.weight.detach(), model.q_z(x).mean
    variance, s2 = model.log_sigma.exp() ** 2, model.log_var.exp()
    error = (x - model.dec(mu)).square().sum(-1) + (w.square() * s2).sum()
    rec = -0.5 * error / variance - 6 * torch.log(2 * math.pi * variance)
    kl = 0.5 * (mu**2 + s2 - 1 - s2.log()).sum(-1)
    t = model(x, k=200_000)
    torch.testing.assert_close(t.kl, kl)
    standard_error = t.rec.std(0) / t.rec.shape[0] ** 0.5
    assert ((t.rec.mean(0) - rec).abs() < 4 * standard_error).all()
    assert (rec - kl < truth.log_prob(x)).all()


def test_terms_have_the_shapes_of_the_contract():
    t = small()(torch.ones(4, 6, dtype=F64), k=3)
    assert [tuple(v.shape) for v in t] == [(3, 4), (3, 4), (4,), (3, 4, 2)]


def test_bounds_are_ordered_and_below_log_px():
    model = small(d=2)
    x = torch.bernoulli(torch.full((6, 6), 0.5, dtype=F64))
    log_px = metrics.log_px_grid(model, x, n=400, limit=7.0).mean()
    torch.manual_seed(1)
    t = model(x, k=20_000)
    bounds = [objectives.elbo(t)]
    for k in (5, 50):
        groups = objectives.Terms(
            *(v.reshape(-1, k, *v.shape[1:]).transpose(0, 1).flatten(1, 2) for v in t[:2]), None, None
        )
        bounds.append(objectives.importance_weighted_bound(groups))
    assert bounds[0] < bounds[1] < bounds[2] < log_px + 1e-3
    assert objectives.elbo(t, beta=2.0) == (t.rec.mean(0) - 2 * t.kl).mean()


def test_closed_form_kl_is_the_mean_of_the_log_ratio():
    t = small()(torch.ones(3, 6, dtype=F64), k=100_000)
    assert ((t.log_ratio.mean(0) - t.kl).abs() < 4 * t.log_ratio.std(0) / 100_000**0.5).all()


def test_kl_falls_back_to_samples_where_no_closed_form_exists():
    torch.manual_seed(0)
    q = distributions.gaussian(torch.zeros(3, 4))
    p = distributions.mixture(torch.zeros(2), torch.randn(2, 4))
    log_ratio = torch.randn(5, 3)
    torch.testing.assert_close(distributions.kl(q, p, log_ratio), log_ratio.mean(0))


def test_log_px_by_importance_sampling_agrees_with_the_grid():
    model = small(d=2)
    x = torch.bernoulli(torch.full((7, 6), 0.5, dtype=F64))
    torch.manual_seed(0)
    estimate, size = metrics.log_px(model, x, k=20_000, batch=3)
    torch.testing.assert_close(estimate, metrics.log_px_grid(model, x, n=300, limit=7.0), rtol=0, atol=0.03)
    assert ((size > 1) & (size <= 20_000)).all()


def test_the_grid_gives_the_linear_models_log_px():
    torch.manual_seed(0)
    model = models.LinearVAE(5, 2, sigma=0.7).double()
    w, m = model.dec.weight.detach(), model.dec.bias.detach()
    truth = MultivariateNormal(m, w @ w.T + 0.49 * torch.eye(5, dtype=F64))
    x = truth.sample((8,))
    got = metrics.log_px_grid(model, x, n=200, limit=7.0)
    torch.testing.assert_close(got, truth.log_prob(x), rtol=0, atol=1e-6)
    log_joint, cell = metrics.joint_on_grid(model, x, n=100, limit=0.5, centre=(0.3, -0.2))
    assert cell == pytest.approx(1e-4)
    assert metrics.grid(100, 0.5, (0.3, -0.2)).mean(0).tolist() == pytest.approx([0.3, -0.2], abs=1e-6)
    assert log_joint.shape == (10_000, 8)


@pytest.mark.parametrize(
    "density",
    [
        distributions.gaussian(torch.tensor([0.3, -0.5, -0.4, 0.2], dtype=F64)),
        distributions.mixture(
            torch.tensor([0.2, -0.5, 0.0], dtype=F64),
            torch.tensor([[1, 1, -1, 0], [-1, 0, 0, -1], [0, -1, 0.5, 0.5]], dtype=F64),
        ),
        distributions.product(
            distributions.gaussian(torch.tensor([1.0, 0.0, -1.0, 0.3], dtype=F64)),
            distributions.gaussian(torch.tensor([-1.0, 0.5, 0.0, 0.0], dtype=F64)),
        ),
    ],
)
def test_a_density_integrates_to_one_and_matches_its_sampler(density):
    z = metrics.grid(600, 10.0, dtype=F64)
    p = density.log_prob(z).exp() * (20 / 600) ** 2
    assert p.sum().item() == pytest.approx(1, abs=1e-6)
    torch.manual_seed(0)
    draws = density.sample((200_000,))
    assert draws.shape == (200_000, 2)
    mean = (p[:, None] * z).sum(0)
    assert ((draws.mean(0) - mean).abs() < 5 * draws.std(0) / 200_000**0.5).all()
    torch.testing.assert_close((p[:, None] * z**2).sum(0), (draws**2).mean(0), rtol=0.02, atol=0)


def test_product_is_the_product_of_densities():
    a = distributions.gaussian(torch.tensor([1.0, 0.0, -1.0, 0.3], dtype=F64))
    b = distributions.gaussian(torch.tensor([-1.0, 0.5, 0.0, 0.0], dtype=F64))
    z = metrics.grid(50, 3.0, dtype=F64)
    difference = a.log_prob(z) + b.log_prob(z) - distributions.product(a, b).log_prob(z)
    torch.testing.assert_close(difference, difference[:1].expand_as(difference))


def test_pixel_densities_match_torch_and_their_claims():
    torch.manual_seed(0)
    logits, grey = 3 * torch.randn(5, 9, dtype=F64), torch.rand(5, 9, dtype=F64)
    black_white = torch.bernoulli(grey)
    torch.testing.assert_close(
        distributions.BinaryPixels(logits).log_prob(black_white), Bernoulli(logits=logits).log_prob(black_white).sum(-1)
    )
    b = torch.bernoulli(grey.expand(100_000, 5, 9))
    draws = Bernoulli(logits=logits).log_prob(b).sum(-1)
    error = distributions.GreyPixels(logits).log_prob(grey) - draws.mean(0)
    assert (error.abs() < 4 * draws.std(0) / 100_000**0.5).all()
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=F64)] * 9)
    total = distributions.BinaryPixels(logits[0]).log_prob(every).exp().sum()
    assert total.item() == pytest.approx(1)


def test_continuous_bernoulli_is_a_density_on_the_unit_interval():
    model = small(models.ContinuousBernoulliVAE, pixels=1)
    x = (torch.arange(2000, dtype=F64)[:, None] + 0.5) / 2000
    for z in (torch.zeros(2, dtype=F64), 30 * torch.ones(2, dtype=F64)):
        assert model.p_x(z).log_prob(x).exp().mean().item() == pytest.approx(1, abs=1e-3)


def test_gaussian_sigma_is_learned_only_when_it_is_not_given():
    assert small(models.GaussianVAE).log_sigma.requires_grad
    assert not small(models.GaussianVAE, sigma=0.1).log_sigma.requires_grad
    with pytest.raises(ValueError, match="sigma: got 0"):
        small(models.GaussianVAE, sigma=0)


def test_grey_pixels_under_a_bernoulli_are_an_error_that_says_what_to_do():
    with pytest.raises(ValueError, match=r"x: got a pixel of 0\.5.*torch.bernoulli.*GreyVAE"):
        small()(torch.full((2, 6), 0.5, dtype=F64))
    with pytest.raises(ValueError, match=r"x: got a pixel of 0\.5"):
        metrics.log_px_grid(small(), torch.full((2, 6), 0.5, dtype=F64))
    small(models.GreyVAE)(torch.full((2, 6), 0.5, dtype=F64))
    with pytest.raises(ValueError, match=r"x: got pixels from -1 to 1, wanted \[0, 1\]"):
        small(models.GreyVAE)(torch.tensor([[-1.0, 1, 0, 0, 0, 0]], dtype=F64))


def test_wrong_shapes_name_the_argument():
    with pytest.raises(ValueError, match=r"enc: gives 4 numbers an example, wanted 2·d = 6"):
        models.VAE(nn.Linear(6, 4), nn.Linear(3, 6), 3)(torch.ones(2, 6))
    with pytest.raises(ValueError, match=r"x: has shape \(2, 6\), wanted \(B, 5\)"):
        models.VAE(nn.Linear(6, 4), nn.Linear(2, 5), 2)(torch.ones(2, 6))
    with pytest.raises(ValueError, match="enc: gives 4 numbers an example, wanted d = 3"):
        models.AE(nn.Linear(6, 4), nn.Linear(3, 6), 3)(torch.ones(2, 6))
    with pytest.raises(ValueError, match="params: got a last axis of 3"):
        distributions.gaussian(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="model: has 3 latents, wanted 2"):
        metrics.log_px_grid(small(d=3), torch.ones(1, 6, dtype=F64))
    for sizes in ((4,), (4, 0), (4, 2.0), ()):
        with pytest.raises(ValueError, match="sizes: got"):
            nets.mlp(*sizes)


def test_sampling_does_not_depend_on_train_or_eval_mode():
    model, x = small(), torch.ones(3, 6, dtype=F64)
    drawn = []
    for mode in (True, False):
        model.train(mode)
        torch.manual_seed(0)
        drawn.append(model(x).z)
    assert torch.equal(*drawn)
    assert not torch.equal(model(x).z, model(x).z)


def test_log_px_draws_exactly_k(monkeypatch):
    model, drawn = small(), []
    forward = type(model).forward

    def counting(self, x, *y, k=1):
        drawn.append(k)
        return forward(self, x, *y, k=k)

    monkeypatch.setattr(type(model), "forward", counting)
    estimate, size = metrics.log_px(model, torch.ones(3, 6, dtype=F64), k=120)
    assert drawn == [50, 50, 20]
    assert estimate.shape == size.shape == (3,)


def test_posterior_around_a_point_is_the_posterior():
    torch.manual_seed(0)
    model = models.LinearVAE(5, 2, sigma=0.4).double()
    x = torch.randn(1, 5, dtype=F64)
    w, m = model.dec.weight.detach(), model.dec.bias.detach()
    covariance = torch.linalg.inv(torch.eye(2, dtype=F64) + w.T @ w / model.log_sigma.exp() ** 2)
    mean = covariance @ w.T @ (x[0] - m).detach() / model.log_sigma.exp() ** 2
    density, (left, right, bottom, top) = metrics.posterior_around(model, x, n=300)
    cell = (right - left) / 300
    assert right - left == pytest.approx(top - bottom)
    z1 = left + cell * (torch.arange(300, dtype=F64) + 0.5)
    z2 = bottom + cell * (torch.arange(300, dtype=F64) + 0.5)
    found = torch.stack([density.sum(1) @ z1, density.sum(0) @ z2])
    torch.testing.assert_close(found, mean.detach(), rtol=0, atol=1e-3)
    variance = torch.stack([density.sum(1) @ z1**2, density.sum(0) @ z2**2]) - found**2
    torch.testing.assert_close(variance, covariance.diagonal().detach(), rtol=0.01, atol=0)


def test_infinite_logits_of_a_certain_pixel_cost_nothing_and_of_a_wrong_one_everything():
    p = distributions.BinaryPixels(torch.tensor([300.0, -300.0]))
    assert p.log_prob(torch.tensor([[1.0, 0.0], [0.0, 0.0]])).tolist() == [0.0, -300.0]


def test_nan_pixels_are_no_pixels():
    for kind in (models.VAE, models.GreyVAE, models.ContinuousBernoulliVAE):
        with pytest.raises(ValueError, match="x: got"):
            small(kind)(torch.full((1, 6), float("nan"), dtype=F64))


def test_code_cloud_measures_a_cloud_that_is_known():
    torch.manual_seed(0)
    y = torch.arange(60_000) % 2
    z = torch.randn(60_000, 2, dtype=F64) * torch.where(y[:, None] == 0, 1.0, 3.0) * torch.tensor([2.0, 1.0]) + 5.0
    found = metrics.code_cloud(z, y)
    assert found["distance of the mean from 0"] == pytest.approx(50**0.5, rel=0.01)
    assert found["longest / shortest axis"] == pytest.approx(2, rel=0.02)
    assert found["widest / narrowest class"] == pytest.approx(3, rel=0.02)
    assert metrics.code_cloud(z[:, :1], y)["longest / shortest axis"] == 1
    with pytest.raises(ValueError, match=r"y: got too few codes of class \[7\]"):
        metrics.code_cloud(z[:5], torch.tensor([1, 1, 1, 1, 7]))


def test_recognised_counts_sure_answers_and_the_rarest_class():
    def net(x):
        return x.log()

    p = torch.tensor([[0.9, 0.05, 0.05], [0.95, 0.05, 0.0], [0.2, 0.8, 0.0], [0.1, 0.6, 0.3]])
    assert metrics.recognised(net, p) == {"share recognised": 0.5, "share of the rarest class": 0.0}


def test_classifier_learns_what_can_be_learned_and_repeats_itself():
    torch.manual_seed(0)
    y = torch.arange(600) % 3
    x = torch.eye(3)[y].repeat(1, 4) + 0.3 * torch.randn(600, 12)
    nets_ = [metrics.classifier(x, y, seed=s) for s in (0, 0, 1)]
    assert (nets_[0](x).argmax(-1) == y).float().mean() > 0.95
    a, b, c = (net(x) for net in nets_)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_an_autoencoder_reports_its_squared_error():
    torch.manual_seed(0)
    model = models.AE(nets.mlp(6, 3, 2), nets.mlp(2, 3, 6), 2)
    x = torch.rand(4, 6)
    t = model(x, k=3)
    torch.testing.assert_close(-t.rec[1], torch.cdist(model.decode(model.encode(x)), x).diagonal() ** 2)
    assert t.kl.abs().sum() == 0
    assert t.z.shape == (3, 4, 2)


@pytest.mark.parametrize(
    ("reduction", "beta"),
    [
        ({"rec": "mean"}, 784),
        ({"rec": "mean", "kl": "mean"}, 784 / 5),
        ({"kl": "mean"}, 1 / 5),
        ({"weight": 3.0}, 3),
    ],
)
def test_effective_beta_gives_a_parallel_gradient(reduction, beta):
    assert objectives.effective_beta(784, 5, **reduction) == pytest.approx(beta)
    model = small(pixels=784, d=5)
    x = torch.bernoulli(torch.full((3, 784), 0.5, dtype=F64))

    def gradient(objective):
        torch.manual_seed(0)
        model.zero_grad()
        objective(model(x)).backward()
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    a = 784 if reduction.get("rec") == "mean" else 1
    b = reduction.get("weight", 1) / (5 if reduction.get("kl") == "mean" else 1)
    published = gradient(lambda t: (t.rec.mean(0) / a - b * t.kl).mean())
    ours = gradient(lambda t: objectives.elbo(t, objectives.effective_beta(784, 5, **reduction)))
    assert torch.cosine_similarity(published, ours, dim=0).item() == pytest.approx(1)


def test_effective_beta_of_a_squared_error_refers_to_sigma_one():
    model, x = small(models.GaussianVAE, sigma=1.0), torch.rand(3, 6, dtype=F64)
    beta = objectives.effective_beta(6, 2, squared_error=True, weight=4.0)
    torch.manual_seed(0)
    t = model(x)
    squared = (model.decode(t.z[0]) - x).square().sum(-1)
    published = (squared + 4.0 * t.kl).mean()
    constant = 6 * math.log(2 * math.pi)  # twice the normaliser of six pixels at sigma = 1
    assert published.item() == pytest.approx(-2 * objectives.elbo(t, beta).item() - constant)
    with pytest.raises(ValueError, match="rec: got 'batchmean'"):
        objectives.effective_beta(6, 2, rec="batchmean")


def test_normal_nodes_integrate_polynomials_exactly_and_smooth_functions_closely():
    points, weights = metrics.normal_nodes(6, dtype=F64)
    assert points.shape == (36, 2)
    assert weights.sum().item() == pytest.approx(1, abs=1e-14)
    moments = {(2, 0): 1, (4, 2): 3, (6, 4): 45, (3, 2): 0, (10, 0): 945}
    for (a, b), wanted in moments.items():
        assert (weights @ (points[:, 0] ** a * points[:, 1] ** b)).item() == pytest.approx(wanted, abs=1e-9)
    points, weights = metrics.normal_nodes(20, d=1, dtype=F64)
    assert points.shape == (20, 1)
    assert (weights @ points[:, 0].cos()).item() == pytest.approx(math.exp(-0.5), abs=1e-12)


def test_three_failures_are_those_of_the_codes_and_of_what_the_reader_sees():
    """Two classes of codes, far from 0: the reader is sure of pictures near the codes only."""
    torch.manual_seed(0)
    y = torch.arange(4000) % 2
    x = torch.stack([0.3 + 0.4 * y + 0.01 * torch.randn(4000), 0.5 + 0.02 * torch.randn(4000)], 1)
    identity = models.AE(torch.nn.Identity(), torch.nn.Identity(), 2)

    def reader(pictures):
        near = ((pictures - torch.tensor([0.5, 0.5])).abs() < torch.tensor([0.25, 0.1])).all(1)
        sides = torch.where(pictures[:, 0] > 0.5, 9.0, -9.0) * near
        return torch.stack([-sides, sides], 1)

    found = metrics.three_failures(identity, x, y, reader, n=20_000)
    assert found["distance of the mean from 0"] == pytest.approx(0.5**0.5, abs=0.01)
    assert found["longest / shortest axis"] == pytest.approx(0.2 / 0.02, rel=0.03)
    assert found["widest / narrowest class"] == pytest.approx(1, rel=0.06)
    assert found["recognised, codes of images"] == 1
    assert found["recognised, a Gaussian fitted to them"] == pytest.approx(math.erf(0.25 / 0.2 / 2**0.5), abs=0.02)
    assert found["recognised, N(0, I)"] == pytest.approx(0.1747 * 0.0703, abs=0.003)  # P(0.25 … 0.75) P(0.4 … 0.6)
    assert found["rarest class, N(0, I)"] == pytest.approx(0.0819 * 0.0703, abs=0.002)  # the right half of it
