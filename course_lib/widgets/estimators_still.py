"""The estimator widget on paper: the same rows and numbers by `course_lib.estimators`, drawn by matplotlib."""

import io

import torch
from torch import Tensor

from course_lib import estimators

N, SEED = 20_000, 0
COLOURS = {
    "score function": "#bd1f01",
    "leave-one-out baseline": "#c75400",
    "best baseline": "#96543f",
    "pathwise": "#2878c4",
    "measure-valued": "#832db6",
    "Gumbel-softmax": "#2878c4",
    "straight-through": "#717581",
}
MAY_BE_BIASED = ("pathwise", "Gumbel-softmax", "straight-through")


def still(widget) -> bytes:
    """PNG: one histogram a row for the estimators that `widget` shows, with bias and variance beside it."""
    from course_lib.plots import picture

    everything, truth, exact, what = (_gaussian if widget.tab == "Gaussian" else _discrete)(widget)
    rows = {name: g for name, g in everything.items() if name in widget.shown}
    n = max(1, len(rows))
    figure, axes = picture(n, 1, (9, 1.1 + 0.95 * n), sharex=True, squeeze=False, layout="none")
    figure.subplots_adjust(left=0.02, right=0.76, top=1 - 0.62 / (1.1 + 0.95 * n), bottom=0.1, hspace=0.45)
    draws = f"{widget.draws} draw{'s' if widget.draws > 1 else ''}"
    title = f"{what} = {truth:.4g} (black line), {draws} an estimate".replace("-", "−")
    figure.text(0.02, 0.99, title, fontsize=13, va="top")
    spread = torch.cat([g for g in rows.values() if g is not None] or [torch.tensor([truth - 1, truth + 1])])
    low, high = min(truth, spread.quantile(0.005).item()), max(truth, spread.quantile(0.995).item())
    room = 0.05 * (high - low) or 1.0
    for axis, (name, g) in zip(axes[:, 0], rows.items(), strict=False):
        axis.set(yticks=[], xlim=(low - room, high + room))
        axis.spines["left"].set_visible(False)
        axis.axvline(truth, color="black", lw=1.5)
        axis.set_title(name, fontsize=12, color=COLOURS[name], weight="bold", pad=2)
        text = "needs at least\n2 draws per estimate"
        if g is not None:
            axis.hist(g.numpy(), 120, range=axis.get_xlim(), histtype="stepfilled", color=COLOURS[name], alpha=0.65)
            mean, variance = g.mean().item(), g.var().item()
            axis.plot([mean], [0], marker="^", color=COLOURS[name], clip_on=False, zorder=3)
            error = (variance / len(g)) ** 0.5
            flag = (
                "biased: " if name in MAY_BE_BIASED and abs(mean - truth) > 4 * error + 1e-5 * abs(truth) else "bias "
            )
            known = f"\nexact {exact[name]:.3g}" if name in exact else ""
            text = f"{flag}{mean - truth:.2g} ± {error:.2g}\nvariance {variance:.3g}{known}"
        axis.text(1.01, 0.5, text.replace("-", "−"), transform=axis.transAxes, va="center", fontsize=11)
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor="white")
    return out.getvalue()


def _f(widget):
    """The function that is shown, with a slope for autograd even where it has none, like a step: 0."""
    f = widget.functions[widget.function]
    return lambda z: f(z) + 0 * z


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)


def _gaussian(widget) -> tuple[dict[str, Tensor | None], float, dict[str, float], str]:
    """Estimates (n,) by name, each the mean of `draws` draws; exact gradient; exact variances; a title."""
    f, mu, sigma, draws = _f(widget), widget.mu, widget.sigma, widget.draws
    n, side = max(500, N // draws), ("mu", "sigma").index(widget.parameter)
    normals = _noise(7, n, draws)
    eps = normals[0]
    # the best constant baseline is known beforehand here: E[f s²]/E[s²] over many draws of their own
    wide = torch.linspace(-8, 8, 20_001, dtype=torch.float64)
    weight = torch.exp(-0.5 * wide**2) * (wide if side == 0 else wide**2 - 1) ** 2
    best = (weight * f(mu + sigma * wide)).sum() / weight.sum()
    plain = estimators.score_function(f, mu, sigma, eps)
    score = estimators.score_function(lambda z: torch.ones_like(z), mu, sigma, eps)
    found = {
        "score function": plain,
        "leave-one-out baseline": estimators.score_function(f, mu, sigma, eps, "leave-one-out") if draws > 1 else None,
        "best baseline": [g - best * s for g, s in zip(plain, score, strict=True)],
        "pathwise": estimators.pathwise(f, mu, sigma, eps),
        "measure-valued": estimators.measure_valued(f, mu, sigma, normals),
    }
    estimates = {name: g[side].detach().double().mean(-1) if g is not None else None for name, g in found.items()}
    truth = estimators.exact(f, mu, sigma, cells=50_000)
    names = {"score function, optimal baseline": "best baseline"}
    exact = {names.get(name, name): v[side] / draws for name, v in truth.variances.items()}
    return estimates, truth[side], exact, f"{widget.function}, z ~ N({mu:g}, {sigma:g}²): ∂/∂{'μσ'[side]} E f(z)"


def _discrete(widget) -> tuple[dict[str, Tensor | None], float, dict[str, float], str]:
    g, classes = _f(widget), torch.tensor(widget.classes, dtype=torch.float64)
    logits, j, draws = torch.tensor(widget.logits, dtype=torch.float64), widget.logit, widget.draws
    n = max(500, N // draws)
    uniform = torch.rand(n * draws, widget.k, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    noise = -(-uniform.clamp(1e-12, 1 - 1e-12).log()).log()

    def f(z: Tensor) -> Tensor:
        return g(z @ classes)

    def relaxed(straight_through: bool) -> Tensor:
        return estimators.gumbel_softmax(f, logits, noise, widget.tau, straight_through)

    plain = estimators.categorical_score_function(f, logits, noise)
    value = f(torch.nn.functional.one_hot(estimators.gumbel_max(logits, noise), widget.k).double()).view(n, draws)
    score = estimators.categorical_score_function(lambda z: torch.ones_like(z[:, 0]), logits, noise)
    found = {"score function": plain, "leave-one-out baseline": None}
    if draws > 1:
        others = (value.sum(-1, keepdim=True) - value) / (draws - 1)
        found["leave-one-out baseline"] = plain - others.view(-1, 1) * score
    found |= {"Gumbel-softmax": relaxed(False), "straight-through": relaxed(True)}
    estimates = {k: v[:, j].detach().view(n, draws).mean(-1) if v is not None else None for k, v in found.items()}
    truth = estimators.exact_categorical(f, logits)[j].item()
    each, pi = torch.eye(widget.k, dtype=torch.float64), logits.softmax(-1)
    squares = (pi * (f(each) * (each[j] - pi[j])) ** 2).sum().item()
    what = f"{widget.function}, {widget.k} classes, τ = {widget.tau:g}: ∂/∂$l_{j + 1}$ E f(z)"
    return estimates, truth, {"score function": (squares - truth**2) / draws}, what
