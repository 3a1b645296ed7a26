# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 03 · Reparameterization
#
# **How does a gradient pass through a random draw, and with how much noise?**
#
# At the end you can differentiate an expectation in three ways, say when each of them is right, and compute or measure how noisy it is before you train with it.
#
# ![Training curves of one network with three estimators of its encoder's gradient: pathwise lowest, the score function with a baseline next, without one far above](figures/03_training.png)
#
# The same network, the same images, the same number of draws. Only the estimator of the encoder's gradient differs. You build all three here.
#
# *70 minutes for sections 1 to 9, and 45 for the rest, which can wait · builds on lesson 02 (encoder, ELBO) · seven exercises*

# %% [markdown] slide="notes"
# *For the lecturer: sections 2 to 4 belong on the blackboard, 6 to 9 are live (start with the widget of section 7), 10 and 11 are one hour on discrete variables. Section 12 stands alone and can be homework.*

# %% slide="skip"
import math

import torch
from scipy import special, stats
from torch.nn import functional as F

from course_lib import data, estimators, models, nets, objectives, plots, training
from course_lib.exercises import check, hint, solution
from course_lib.widgets import EstimatorVariance

x, _ = data.digits("train")  # (N, 784) grey values, for section 9
x_test, _ = data.digits("test")
torch.manual_seed(0)
x_test = torch.bernoulli(x_test)
print(f"{len(x):,} training images, on {x.device}")

# %% [markdown]
# ## 1 · The parameter under the expectation
#
# Lesson 02 left you with a bound to climb, $\mathbb E_{q_\phi(z\mid x)}[\log p_\theta(x\mid z)] - \mathrm{KL}$. It has two kinds of parameters. Write $f_\theta(z)$ for what stands in the brackets:
#
# $$L(\theta,\phi)=\mathbb E_{z\sim q_\phi}\big[f_\theta(z)\big],\qquad
# \nabla_\theta L=\mathbb E_{z\sim q_\phi}\big[\nabla_\theta f_\theta(z)\big],\qquad \nabla_\phi L=\;?$$
#
# For the decoder's $\theta$, draw some $z$ and average the gradients. The encoder's $\phi$ sits *under* the expectation: it decides which $z$ are drawn, and a draw is a number that has forgotten where it came from.
#
# Take the smallest case that has everything: $z\sim\mathcal N(\mu,\sigma^2)$ and $f(z)=(z-k)^2$. Here all is known:
#
# $$\mathbb E f=(\mu-k)^2+\sigma^2,\qquad \frac{\partial}{\partial\mu}\mathbb E f=2(\mu-k),\qquad \frac{\partial}{\partial\sigma}\mathbb E f=2\sigma .$$
#
# Pretend not to know it, and estimate the first derivative by nudging: average $f$ over 1000 draws at $\mu+h$, over 1000 draws at $\mu$, divide the difference by $h=0.01$.
# Do it once with fresh draws, and once with the *same* noise $\epsilon\sim\mathcal N(0,1)$ in both, $z=\mu+\sigma\epsilon$. **Predict:** the exact answer is 2. How far off is each?

# %% says="The same noise in both, and a nudge becomes a good estimate"
torch.manual_seed(0)
mu, sigma, k, h = 1.0, 1.0, 0.0, 0.01
f = lambda z: (z - k) ** 2
for name in ("fresh draws", "same noise"):
    slopes = []
    for _ in range(200):
        eps = torch.randn(1000)
        other = torch.randn(1000) if name == "fresh draws" else eps
        slopes.append((f(mu + h + sigma * eps).mean() - f(mu + sigma * other).mean()) / h)
    slopes = torch.stack(slopes)
    print(f"{name}: slope {slopes.mean():6.2f}, one try is off by about {slopes.std():.2f}")

# %% [markdown]
# The same noise turns a useless estimate into a good one: with fresh draws, $h$ divides the noise of two means; with the same $\epsilon$ nearly all of it cancels, because a draw at $\mu+h$ is then **the same draw, moved**.
# That is the whole idea of this lesson; what remains is to let $h$ go to 0, and to see when one may.

# %% [markdown]
# ## 2 · Two places for the gradient to go
#
# A derivative is a limit, and an expectation is an integral, a limit too. To get something that can be sampled, you want the derivative *inside*. There are two ways in:
#
# $$\text{the density moves:}\quad \nabla_\phi\int q_\phi(z)\,f(z)\,dz \overset{?}{=}\int \nabla_\phi q_\phi(z)\;f(z)\,dz$$
#
# $$\text{the draw moves:}\quad \nabla_\phi\,\mathbb E_{\epsilon}\big[f(g_\phi(\epsilon))\big]\overset{?}{=}\mathbb E_{\epsilon}\big[\nabla_\phi f(g_\phi(\epsilon))\big],\qquad z=g_\phi(\epsilon).$$
#
# For a finite sum both hold as soon as each term has a derivative: the derivative of a sum is the sum of the derivatives. For an integral, look at the difference quotient under it, $D_h$. The theorem of **dominated convergence** says: if $D_h$ has a limit for almost every
# $\epsilon$ (or $z$), and if $|D_h|\le G$ for all small $h$, with **one** $G$ whose integral is finite, then the limit of the integrals is the integral of the limits.
#
# For the parabola and a draw that moves, $D_h=\frac1h[(z+h-k)^2-(z-k)^2]=2(z-k)+h$. Its size is below $2|z-k|+1$ for every $|h|<1$, and that has a finite mean: allowed. Now take a step, $f(z)=1$ if $z>c$, else 0. A draw's $D_h$ is 0, unless the nudge carries it over the edge;
# then it is $1/h$. **Predict:** what happens to the mean of $D_h$, and what to each single $D_h$, as $h\to0$?

# %% says="For a step, the limit of the means is not the mean of the limits"
torch.manual_seed(0)
c = 2.0
step = lambda z: (z > c).to(z)
z = mu + sigma * torch.randn(10_000_000)
truth = torch.distributions.Normal(mu, sigma).log_prob(torch.tensor(c)).exp()  # ∂/∂μ P(z > c): the density at c
print("      h   mean of D_h ± error    draws with D_h ≠ 0   their D_h")
for h in (1.0, 0.1, 0.01, 0.001):
    quotient = (step(z + h) - step(z)) / h
    error = quotient.std() / len(z) ** 0.5
    print(f"{h:7}   {quotient.mean():.4f} ± {error:.4f} {(quotient != 0).float().mean():19.3%} {quotient.max():14,.0f}")
print(f"  limit   of the means: {truth:.4f}      of each draw: 0, almost surely")

# %% [markdown]
# The mean goes to 0.2420, the right answer. Each draw's quotient goes to 0: ever fewer draws carry ever larger values. No fixed $G$ stays above them all: it would need $G(z)\ge\sup_h D_h=1/(c-z)$ just left of the edge, and
# $\int\frac{dz}{c-z}$ up to $c$ has no finite value. So the second swap gives 0 where the truth is 0.2420. The first swap is fine: in $\int\nabla_\phi q_\phi(z)f(z)dz$ the function is never differentiated. It is the density's quotients that need a bound,
# times $|f|$; and those of a Gaussian stay below one fixed bell.
#
# > **From the notes** (000, lines 109–121 and 405–417). *When may the two limits be swapped? Is it that there are finitely many hidden variables?* The condition is the bound $G$. A finite number of **values** makes the integral a sum and the first swap free; how many variables
# > there are is irrelevant. A Gaussian $q$ satisfies the first with any $f$ that grows no faster than a polynomial; for the second, $f$ must have no jumps, and slopes that grow no faster than one. (An expectation is not *defined* by $\frac1n\sum_i X_i$; that the mean, with its index $i$, tends to it is the law of large numbers.) And a legal swap is
# > not yet enough: "$p$ can be differentiated, so we can sample" does not follow. $\int\nabla q\,f$ is no expectation. Section 3 repairs that.
#
# > **From the notes** (000, lines 419–427). *"The exchange is allowed when the variable is discrete, so the condition holds."* It is the other way round for the draw that moves. A discrete $z$ makes the **first** swap free; but a discrete draw is a step function of $\phi$,
# > so the **second** gives 0. And the condition is about $f$ and $g$, not about whether $\epsilon$ is Gaussian. A coin shows it: $z=1$ if $u<p$, else 0, with $u$ uniform. Then $\mathbb E z=p$, whose derivative is 1.

# %% says="A coin: the density can move, the draw can't"
torch.manual_seed(0)
p, u = 0.3, torch.rand(1_000_000)
z = (u < p).float()
score = z / p - (1 - z) / (1 - p)  # ∂ log of the coin's probability
turned = ((u < p + 1e-6) != (u < p)).sum()
print(f"density moves: ∂ E z is {(z * score).mean():.3f} ± {(z * score).std() / 1000:.3f}, exact 1")
print(f"draw moves: a nudge of a millionth turns {turned} of a million coins")

# %% [markdown]
# The few coins that turn jump from 0 to 1; the derivative of every coin that does not is 0.

# %% [markdown]
# ## 3 · The density moves: the score function
#
# The first way leaves $\int\nabla_\phi q_\phi(z)\,f(z)\,dz$. To sample it, it must be an expectation over $q_\phi$: multiply and divide by $q_\phi(z)$, and use $\nabla q/q=\nabla\log q$:
#
# $$\nabla_\phi\,\mathbb E_{q_\phi}[f(z)]=\int q_\phi(z)\,\frac{\nabla_\phi q_\phi(z)}{q_\phi(z)}\,f(z)\,dz=\mathbb E_{q_\phi}\big[f(z)\,\nabla_\phi\log q_\phi(z)\big].$$
#
# $\nabla_\phi\log q_\phi(z)$ is the **score**. Read it as a vote: each draw says in which direction $\phi$ must go to make this draw more probable, and $f(z)$ is the weight of its vote. $f$ is never differentiated; it may have jumps, or be a black box.
# (Reinforcement learning calls this estimator REINFORCE: [Williams 1992](https://doi.org/10.1007/BF00992696).)
#
# For $q=\mathcal N(\mu,\sigma^2)$, $\log q=-\frac{(z-\mu)^2}{2\sigma^2}-\log\sigma-\frac12\log2\pi$. Its derivative with respect to $\mu$ is $\frac{z-\mu}{\sigma^2}$, with respect to $\sigma$ it is $\frac{(z-\mu)^2}{\sigma^3}-\frac1\sigma$.

# %% [markdown]
# ### Exercise 03.1 · Votes
# ●●○○○ · 10 min · used in the next cells

# %% exercise="03.1"
def score_function_gradient(f, mu, sigma, eps):
    """Score-function estimates of ∂/∂μ E[f(z)], z ~ N(mu, sigma²), one for each draw z = mu + sigma·eps.

    f: a function of a tensor, number by number; mu, sigma: numbers; eps: (n,), standard normal. Returns (n,).
    """
    ### BEGIN SOLUTION
    return f(mu + sigma * eps) * eps / sigma
    ### END SOLUTION


# %%
score_function_gradient = check("03.1", score_function_gradient)

# %% says="Right for the parabola, and for the step"
torch.manual_seed(0)
eps = torch.randn(1_000_000)
rows = {
    "parabola, ∂μ": (score_function_gradient(f, mu, sigma, eps), 2 * (mu - k)),
    "parabola, ∂σ": (f(mu + sigma * eps) * (eps**2 - 1) / sigma, 2 * sigma),  # (z − μ)²/σ³ − 1/σ, in ε
    "step, ∂μ": (score_function_gradient(step, mu, sigma, eps), truth),
}
for name, (estimates, exact) in rows.items():
    print(f"{name:12}: exact {exact:.4f}, a million draws {estimates.mean():.4f} ± {estimates.std() / 1000:.4f}")

# %% [markdown]
# All within two standard errors, the step included.
#
# > **From the notes** (000, lines 433–465). *How does one put a distribution that can't be differentiated into a network?* As a node that samples; this lesson shows the ways of getting a gradient past it. $\nabla w=w\,\nabla\log w$ is the log-derivative **identity**; the score-function
# > **estimator** is what you get when you use it under an expectation. It needs $\log q_\phi$ differentiable in $\phi$, and nothing of $f$. If $f$ depends on $\phi$, too, add $\mathbb E[\nabla_\phi f]$: a term that is easily forgotten in an ELBO, where $f$ contains $\log q_\phi$.
# > (There its mean is 0: it is the score itself.)
# > Lines 433–439 use the identity on importance weights $w_k(\theta)$: $\nabla\log\frac1K\sum_kw_k=\sum_k\tilde w_k\nabla\log w_k$, and these $\tilde w_k=w_k/\sum_jw_j$ sum to 1 (lesson 09).

# %% [markdown]
# ## 4 · The draw moves: reparameterization
#
# The second way: write the draw as a function of noise whose distribution knows nothing of $\phi$,
#
# $$\epsilon\sim\mathcal N(0,1),\qquad z=g_\phi(\epsilon)=\mu+\sigma\epsilon,\qquad \nabla_\phi\,\mathbb E[f(z)]=\mathbb E_\epsilon\big[f'(z)\,\nabla_\phi g_\phi(\epsilon)\big].$$
#
# Now the chain rule does the rest. This is the **pathwise** estimator; the rewriting is the **reparameterization trick** ([Kingma & Welling 2014](https://arxiv.org/abs/1312.6114), [Rezende et al. 2014](https://arxiv.org/abs/1401.4082)).

# %% [markdown]
# ### Exercise 03.2 · Moving draws
# ●●○○○ · 5 min · used in the next cells

# %% exercise="03.2"
def pathwise_gradient(df, mu, sigma, eps):
    """Pathwise estimates of ∂/∂μ and ∂/∂σ of E[f(z)], one for each draw z = mu + sigma·eps.

    df: the derivative of f; mu, sigma: numbers; eps: (n,), standard normal. Returns two tensors (n,): for μ, for σ.
    """
    ### BEGIN SOLUTION
    slope = df(mu + sigma * eps)
    return slope, slope * eps
    ### END SOLUTION


# %%
pathwise_gradient = check("03.2", pathwise_gradient)

# %% [markdown]
# An exact answer, a million draws, and a second opinion from torch, whose `rsample` is this trick:

# %% says="Exact, a million draws, and torch's own: the same"
by_mu, by_sigma = pathwise_gradient(lambda z: 2 * (z - k), mu, sigma, eps)
print(f"∂μ: exact {2 * (mu - k):.4f}, a million draws {by_mu.mean():.4f} ± {by_mu.std() / 1000:.4f}")
print(f"∂σ: exact {2 * sigma:.4f}, a million draws {by_sigma.mean():.4f} ± {by_sigma.std() / 1000:.4f}")

m, s = torch.tensor(mu, requires_grad=True), torch.tensor(sigma, requires_grad=True)
torch.manual_seed(0)  # the same noise as above
f(torch.distributions.Normal(m, s).rsample((1_000_000,))).mean().backward()
print(f"torch, same noise: {m.grad:.4f} and {s.grad:.4f}")

# %% [markdown]
# > **From the notes** (000, lines 83–107 and 123–133; 002, lines 70–76). *How can a network with stochastic variables be trained?* This way, or with section 3's. (Such networks were trained before, too: Boltzmann machines, the wake-sleep algorithm.)
# > The trick is not SGVB: that is the estimator of the ELBO which is built with it. The noise is not "fixed": it is drawn afresh at every step; what is fixed is its **distribution**. It does enter the chain rule, as $\partial z/\partial\sigma=\epsilon$.
# > The draw $z$ stays random; what is deterministic is the map $(\phi,x,\epsilon)\mapsto z$. What is learned is $\theta$ and $\phi$; $x$ is data. That data come in does not make inference amortized, a shared $\phi$ does (lesson 02). The prior has no weights,
# > but it sets the KL, and through it $\phi$ and $\theta$. And it is $q(z\mid x)$ that is Gaussian, not $p(z\mid x)$; sampling it was never the problem. Differentiating *through* the sample was.
#
# > **From the notes** (004, line 121). The notes write $z=\mu+\sigma^2\epsilon$. Then $z$ has variance $\sigma^4$, and every gradient is that of another model. Ask for $\sigma=\frac12$ and look:

# %% says="With σ² in place of σ, the draws have another variance"
for name, scale in (("μ + σ ε ", 0.5), ("μ + σ² ε", 0.5**2)):
    print(f"{name}: variance {(mu + scale * eps).var():.4f}, wanted 0.25")

# %% [markdown]
# ## 5 · How noisy is each?
#
# Both estimators have the same mean. Training sees one draw, or a few, so what counts is the variance. With $a=\mu-k$, one score-function estimate for the parabola is $(a+\sigma\epsilon)^2\,\epsilon/\sigma$. Its mean is $2a$. For its mean square, expand
#
# $$(a+\sigma\epsilon)^4\,\epsilon^2/\sigma^2=\big(a^4\epsilon^2+4a^3\sigma\epsilon^3+6a^2\sigma^2\epsilon^4+4a\sigma^3\epsilon^5+\sigma^4\epsilon^6\big)/\sigma^2 .$$
#
# Odd powers of $\epsilon$ have mean 0; the even ones have $\mathbb E\epsilon^2=1$, $\mathbb E\epsilon^4=3$, $\mathbb E\epsilon^6=15$. The pathwise estimate is $2(a+\sigma\epsilon)$: its variance is $4\sigma^2$.

# %% [markdown]
# ### Exercise 03.3 · The price of a vote
# ●●●○○ · 10 min · used in the next cell

# %% exercise="03.3"
def score_variance(mu, sigma, k):
    """The exact variance of one score-function estimate of ∂/∂μ E[(z − k)²], z ~ N(mu, sigma²).

    mu, sigma, k: numbers. Returns a number.
    """
    ### BEGIN SOLUTION
    a = mu - k
    return a**4 / sigma**2 + 14 * a**2 + 15 * sigma**2
    ### END SOLUTION


# %%
score_variance = check("03.3", score_variance)

# %% says="The narrower the Gaussian, the further votes and moves are apart"
def error_of_variance(v):
    """The standard error of v.var()."""
    return ((v - v.mean()) ** 2).std() / len(v) ** 0.5


torch.manual_seed(0)
eps = torch.randn(1_000_000, dtype=torch.float64)
print(f"{'variance of':15} the score function, exact {'the pathwise one, exact':>34} {'ratio':>11}")
for m, s in ((1.0, 1.0), (1.0, 0.1), (1.0, 0.01), (3.0, 1.0), (0.0, 1.0)):
    votes = score_function_gradient(f, m, s, eps)
    moves, _ = pathwise_gradient(lambda z: 2 * (z - k), m, s, eps)
    exact = score_variance(m, s, k), 4 * s**2
    print(f"μ = {m:.0f}, σ = {s:<5g} {votes.var():8.2f} ± {error_of_variance(votes):5.2f} {exact[0]:9.2f}"
          f" {moves.var():15.6f} ± {error_of_variance(moves):.6f} {exact[1]:9.6f} {exact[0] / exact[1]:11,.0f}")

# %% [markdown]
# Every measured variance lies within two of its standard errors of the exact one. Look at the second and third row: $f$ stays the same and $\sigma$ shrinks. **Pathwise becomes exact, and the score function's variance grows like $1/\sigma^2$**: the draws are nearly equal, and their votes differ only by noise. Training makes an encoder's Gaussians narrower. Does it end in that row? Keep your guess for section 9.
#
# > **From the notes** (000, line 135). "If the value of H is stochastic, H itself has a variance, and that brings an enormous variance to the whole model." The enormous variance belongs to this *gradient estimator*, not to $z$: the rows above share the same $z$.

# %% [markdown]
# ## 6 · Calmer votes
#
# The score has mean 0: $\mathbb E[\nabla\log q]=\int\nabla q=\nabla\int q=\nabla 1=0$. So any constant $b$, a **baseline**, may be subtracted from $f$ without changing the mean:
#
# $$\mathbb E\big[(f(z)-b)\,s(z)\big]=\mathbb E\big[f(z)\,s(z)\big],\qquad s=\nabla_\phi\log q_\phi .$$
#
# The variance does change. As the mean does not depend on $b$, **it is enough to minimise the mean square**.

# %% [markdown]
# ### Exercise 03.4 · The best constant
# ●●○○○ · 10 min · used in the next cell

# %% exercise="03.4"
def optimal_baseline(f_values, score):
    """The number b that makes the mean of ((f_values − b) · score)² over these draws as small as possible.

    f_values, score: (n,). Returns a scalar tensor.
    """
    ### BEGIN SOLUTION
    return (f_values * score**2).mean() / (score**2).mean()
    ### END SOLUTION


# %%
optimal_baseline = check("03.4", optimal_baseline)

# %% [markdown]
# For the parabola the expansion of section 5 holds with $A=a^2-b$ in place of the term $a^2$ of $f$:
#
# $$\mathrm{Var}=\frac{A^2}{\sigma^2}+6A+8a^2+15\sigma^2,\qquad\text{smallest for } A=-3\sigma^2,\ \text{that is } b=a^2+3\sigma^2 .$$

# %% says="The mean of f is a good baseline, not the best"
torch.manual_seed(0)
eps = torch.randn(1_000_000, dtype=torch.float64)
values, score, a = f(mu + sigma * eps), eps / sigma, mu - k
baselines = {"none": 0.0, "E f = a² + σ²": values.mean(), "best": optimal_baseline(values, score)}
for (name, b), formula in zip(baselines.items(), (0, a**2 + sigma**2, a**2 + 3 * sigma**2)):
    estimates, A = (values - b) * score, a**2 - formula
    exact = A**2 / sigma**2 + 6 * A + 8 * a**2 + 15 * sigma**2
    print(f"{name:13} b = {b:.3f}   variance {estimates.var():.2f} ± {error_of_variance(estimates):.2f}, exact {exact:.0f}")

# %% [markdown]
# The mean of $f$ is not the best baseline: the draws that make the noise are those with a large score, so they count more.
#
# There is a trap. If $b$ is the mean of the *same* $L$ draws, each draw's $f$ is subtracted from itself with weight $\frac1L$, and **the estimate shrinks by the factor $1-\frac1L$**. Compare each draw with the mean of the **others** (leave-one-out), and it is unbiased again:

# %% says="A baseline from the same draws shrinks the gradient"
torch.manual_seed(0)
print("means of 200,000 estimates, from L draws each; the gradient is 2")
for draws in (2, 5, 20):
    eps = torch.randn(200_000, draws)
    for name, exact in (("mean", 2 * (1 - 1 / draws)), ("leave-one-out", 2)):
        estimate = estimators.score_function(f, mu, sigma, eps, baseline=name).mu.mean(-1)
        error = estimate.std() / len(estimate) ** 0.5
        print(f"L = {draws:2}, {name:13}: {estimate.mean():.3f} ± {error:.3f}, exact {exact:.3f}")

# %% [markdown]
# From here on the lesson uses `course_lib.estimators`, which is what you wrote, for many estimates at once. It holds a third kind, too. The derivative of the Gaussian's density with respect to $\mu$ has a positive half right of $\mu$ and a negative one left of it, and each
# is a multiple of a density:
#
# $$\frac{\partial}{\partial\mu}\,\mathcal N(z;\mu,\sigma^2)=\frac{1}{\sigma\sqrt{2\pi}}\big(p_+(z)-p_-(z)\big),\qquad p_\pm:\ z=\mu\pm\sigma W,\quad W\ge0\text{ with density } w\,e^{-w^2/2}.$$
#
# So $\nabla_\mu\mathbb E f=\frac{1}{\sigma\sqrt{2\pi}}\,\mathbb E[f(\mu+\sigma W)-f(\mu-\sigma W)]$: a difference of two values of $f$, no slope, no vote. This is the **measure-valued** estimator; with the same $W$ on both sides it is called coupled.
# For the parabola that difference is $4a\sigma W$; and $\mathrm{Var}\,W=2-\frac\pi2$, so the variance is $\frac{16a^2}{2\pi}(2-\frac\pi2)=(\frac{16}\pi-4)\,a^2$.

# %% says="A difference of two values of f: near the minimum the quietest of all"
torch.manual_seed(0)
z = torch.linspace(-6, 8, 100_001, dtype=torch.float64)
w = (z - mu) / sigma
halves = w.clamp(min=0) * torch.exp(-(w**2) / 2) / sigma, (-w).clamp(min=0) * torch.exp(-(w**2) / 2) / sigma  # p₊, p₋
density = torch.exp(-(w**2) / 2) / (sigma * math.sqrt(2 * math.pi))
difference = (density * w / sigma - (halves[0] - halves[1]) / (sigma * math.sqrt(2 * math.pi))).abs().max()
print(f"p₊ integrates to {torch.trapezoid(halves[0], z):.6f}; the two sides of the formula differ by at most {difference:.0e}")
noise = torch.randn(7, 1_000_000)
for m in (1.0, 3.0):
    e = estimators.measure_valued(f, m, sigma, noise).mu
    variance = f"{e.var():.3f} ± {error_of_variance(e):.3f}, exact {(16 / math.pi - 4) * (m - k) ** 2:.3f}"
    print(f"μ = {m:.0f}: mean {e.mean():.3f} ± {e.std() / 1000:.3f}, variance {variance} (pathwise {4 * sigma**2:.0f})")

# %% [markdown]
# ## 7 · The laboratory
#
# Put your own function in the cell, then run the next one. Every picture is made of fresh draws; the upright line is the exact gradient.

# %%
def mine(z):
    return torch.sin(2 * z) + 0.5 * z


# %% says="Move μ and σ: who is biased, who is noisy?"
EstimatorVariance(mine)

# %% [markdown]
# **Play**, and before each: predict.
#
# 1. *quadratic*, μ = 1, σ = 1: which estimator is the quietest? (You have seen the numbers.) Then pull σ to its smallest. Who is it now, and how many times noisier are the votes?
# 2. *step*: pathwise stands at 0, without any noise. A small variance is worth nothing on the wrong line.
# 3. *fast wiggle*, μ = 1, σ = 1: an $f$ with small values and steep slopes. Who comes last now?
# 4. *rare event*, one draw per estimate, and μ = −1: hardly any draw reaches the event. Hold the score function's *measured* variance against the *exact* one. Which would you have believed?
# 5. *quadratic* again. The noise is frozen: move μ, and the estimates move smoothly. Section 1 used exactly that. Now thaw it.
# 6. Set μ and σ back to 1 and L to 2, then raise L: all variances fall like $1/L$, so their ratios to the pathwise one stay. Except one: which, and why?
#
# <details><summary>What there is to see</summary>
#
# 1. Measure-valued, then pathwise; at σ = 0.2 it is pathwise, and the plain votes have 248 times its variance, with the best baseline still 51.5 times.
# 3. Pathwise: 400 times the score function's variance.
# 4. The measured one is smaller by many powers of ten, and so would be a standard error made from it: nearly all draws are almost 0. (The table's ± takes the exact variance.)
# 6. The leave-one-out baseline gets better itself with more draws: from 7 times the pathwise variance at L = 2 to 4.5 times, the value for $b=\mathbb E f$.
#
# </details>

# %% [markdown]
# So is pathwise the best? Take a narrow Gaussian first. Across it, $f$ is nearly a straight line, $f(z)\approx f_0+f'\sigma\epsilon$. The score function's best baseline is then $f_0$, and it leaves $f'\epsilon^2$: variance $2f'^2$, however narrow the Gaussian. The pathwise estimate is
# $f'+f''\sigma\epsilon$: variance $(f''\sigma)^2$, which goes to 0. A wide Gaussian is another matter. Exact variances of one draw's ∂/∂μ, by quadrature, at $\mu=1$:

# %% says="Pathwise wins where f looks straight across the Gaussian"
functions = {
    "z²": lambda z: z**2,
    "sin z": torch.sin,
    "sin(20 z)/10": lambda z: 0.1 * torch.sin(20 * z),
    "sigmoid(z − 1.1)": lambda z: torch.sigmoid(z - 1.1),
    "sigmoid(50 (z − 1.1))": lambda z: torch.sigmoid(50 * (z - 1.1)),
    "sigmoid(500 (z − 1.1))": lambda z: torch.sigmoid(500 * (z - 1.1)),
    "1 if z > 1.1, a step": lambda z: (z > 1.1).to(z),
}
print(f"{'with best baseline':22} σ = 0.1: score, pathwise        σ = 1: score, pathwise")
for name, function in functions.items():
    cells = ""
    for s in (0.1, 1.0):
        v = estimators.exact(function, mu, s).variances
        score, path = v["score function, optimal baseline"][0], v["pathwise"][0]
        winner = "biased" if path == 0 else "pathwise" if path < score else "score"
        cells += f"{score:11.4f} {path:9.4f} {winner:9}"
    print(f"{name:22}{cells}")

# %% [markdown]
# For a narrow Gaussian pathwise wins wherever $f$ looks straight across it. For a wide one it may lose even to a plain sine. Where slopes are steep and values small it loses both times, and on the way to a step it gets worse and worse until, at the step, it is quiet and wrong.
# So in one dimension neither is best for every $f$. What decides for VAEs is that they have more than one.

# %% [markdown]
# ## 8 · Many dimensions
#
# An encoder gives not one number but $D$. Let $z\in\mathbb R^D$, $f(z)=\sum_i z_i^2$, all $\mu_i=\sigma_i=1$, and look at the estimate of **one** coordinate's gradient. **Predict:** how does its variance grow with $D$, for each estimator?

# %% says="Four estimators of one coordinate's gradient, measured and exact"
torch.manual_seed(0)
dimensions = [1, 2, 4, 8, 16, 32, 64, 128, 256]
variance = {"score function": [], "with b = E f": [], "pathwise": [], "measure-valued": []}
for d in dimensions:
    eps = torch.randn(100_000, d)
    z, w = 1 + eps, torch.randn(100_000, 2).norm(dim=-1)  # w is Rayleigh
    value, others = z.square().sum(-1), z[:, 1:].square().sum(-1)
    pair = (others + (1 + w) ** 2) - (others + (1 - w) ** 2)
    draws = value * eps[:, 0], (value - 2 * d) * eps[:, 0], 2 * z[:, 0], pair / math.sqrt(2 * math.pi)
    for curve, estimate in zip(variance.values(), draws):
        curve.append(estimate.var().item())
exact = {  # m, v: mean and variance of what the other coordinates add to f
    "score function": lambda m, v: 30 + 8 * m + m**2 + v, "with b = E f": lambda m, v: 18 + v,
    "pathwise": lambda m, v: 4, "measure-valued": lambda m, v: 16 / math.pi - 4,
}
print("".ljust(14) + "".join(f"{f'D = {d}, exact':>25}" for d in (1, 16, 256)))
for name, curve in variance.items():
    cells = (f"{curve[dimensions.index(d)]:13,.2f} {exact[name](2 * (d - 1), 6 * (d - 1)):11,.2f}" for d in (1, 16, 256))
    print(f"{name:14}" + "".join(cells))

# %%
figure, axis = plots.picture(size=(7.5, 4.2), alt="Variance against the dimension on log axes: pathwise and measure-valued flat, with a baseline slope 1, score function slope 2")
for name, curve in variance.items():
    axis.loglog(dimensions, curve, "o-", label=name, base=2)
axis.set(xlabel="dimensions D", ylabel="variance of the estimate", title="Votes drown in the other coordinates, moving draws do not")
axis.legend()
figure

# %% [markdown]
# The vote of coordinate 1 is weighted with the *whole* $f$. Call the others' part $R$, with mean $m=2(D-1)$ and variance $v=6(D-1)$; it knows nothing of $z_1$. The estimate $(z_1^2+R)\,\epsilon_1$ has the mean square
# $\mathbb E[z_1^4\epsilon_1^2]+2m\,\mathbb E[z_1^2\epsilon_1^2]+(m^2+v)=34+8m+m^2+v$, and its mean is 2: variance $30+8m+m^2+v$. Without a baseline $m$ is squared: slope 2 on these axes. A baseline removes $m$; the variance $v$ stays: slope 1.
# **The slope of $f$ along $z_1$ does not see the others at all.** That is so for a sum; in $(\sum_iz_i)^2$ it is $2\sum_iz_i$, and its variance $4D$ grows, too.
#
# Measure-valued estimates stay flat as well, in both values of $f$ the others are the same. But each coordinate needs two values of its own: $2D$ decoder passes for one gradient.

# %% [markdown]
# ## 9 · In a real encoder
#
# Now a VAE: lesson 04 takes it apart, here only this matters. An encoder gives $\mu$ and $\log\sigma^2$ of $q_\phi(z\mid x)$ for each image, a decoder gives $\log p_\theta(x\mid z)$ for a draw. `models.VAE` computes the pathwise gradient.
# For the score function, write the bound so that its *value* is unchanged and its gradient is the vote: `vote * (log_q − log_q.detach())` is 0 with gradient `vote · ∇log q`.

# %%
class ScoreVAE(models.VAE):
    """A VAE whose encoder learns by the score function; the decoder learns as ever."""

    leave_one_out = True

    def forward(self, x, k=2):
        q = self.q_z(x)
        z = q.sample((k,))  # (k, B, D), no path back
        log_p, log_q = self.p_x(z).log_prob(x), q.log_prob(z)  # (k, B) each
        others = (log_p.sum(0) - log_p) / (k - 1) if self.leave_one_out else 0
        vote = (log_p - others).detach()
        kl = torch.distributions.kl_divergence(q, self.p_z())  # closed form, as in every VAE here
        log_ratio = log_q - self.p_z().log_prob(z)
        return objectives.Terms(log_p + vote * (log_q - log_q.detach()), log_ratio.detach(), kl, z)


class PlainScoreVAE(ScoreVAE):
    leave_one_out = False


kinds = {"pathwise": models.VAE, "score function, leave-one-out": ScoreVAE, "score function": PlainScoreVAE}


def new_vae(kind, latents, seed=0):
    torch.manual_seed(seed)
    return kind(nets.mlp(784, 256, 2 * latents), nets.mlp(latents, 256, 784), latents).to(x.device)


# %% [markdown]
# First the noise. Take the first term of the bound, $\mathbb E[\log p_\theta(x\mid z)]$ over 100 images with two draws of $z$ for each, and estimate its gradient for the weights of the encoder's last layer. Do so sixty times: the mean over the tries is the **signal**,
# and what is left the **noise**, both measured as lengths over all those weights. In a fresh network and after 314 steps of training, with lesson 04's two latents and with twenty.
# **Predict:** how many times the pathwise variance has each? And what does training change, which makes $q$ narrow?

# %%
def gradients(model, kind, tries=60):
    """(tries, weights): estimates of ∇ E log p(x|z) for the encoder's last layer, this model's weights, this kind's way."""
    other = new_vae(kind, model.d)
    other.load_state_dict(model.state_dict())
    weights = other.enc[-1].weight
    draws = [torch.autograd.grad(other(x_test[:100], k=2).rec.mean(), weights)[0].flatten() for _ in range(tries)]
    return torch.stack(draws)


# %% says="Same mean; without a baseline nothing but noise; more latents, more noise"
recipe = {"schedule": training.one_cycle, "transform": torch.bernoulli, "lr": 2e-3, "k": 2}
print("                typical     noise ÷ signal:           leave-one-out ÷ pathwise:")
print("latents, seed      σ     pathwise  one-out  without    variance (weight by weight)   mean")
for latents in (2, 20):
    for seed in range(2):
        model = new_vae(models.VAE, latents, seed)
        for stage in ("fresh", "trained"):
            if stage == "trained":
                training.fit(model, x[:20_000], epochs=2, **recipe)
            path, vote, plain = (gradients(model, kind) for kind in kinds.values())
            mean = path.mean(0)
            signal = mean.square().sum() - path.var(0).sum() / len(path)
            noise = [(g.var(0).sum() / signal).sqrt() for g in (path, vote, plain)]
            each = vote.var(0) / path.var(0)
            low, high = each[path.var(0) > 0].quantile(torch.tensor([0.05, 0.95], device=x.device))
            along = torch.stack([vote, path]) @ mean / mean.square().sum()  # both, in units of the pathwise mean
            error = (along.var(1).sum() / len(path)).sqrt()
            sigmas = model.q_z(x_test[:100]).stddev
            print(f"{latents:2} {stage:8} {seed}{sigmas.median():10.2f}" + "{:9.2f} {:8.2f} {:8.0f}".format(*noise)
                  + f"{vote.var(0).sum() / path.var(0).sum():12.1f}  ({low:.0f} to {high:.0f})".ljust(29)
                  + f"{along[0].mean():.2f} ± {error:.2f}")

# %% [markdown]
# The last column is the test that both estimate the same thing: along the pathwise mean, the mean of the votes is 1, within three of its standard errors. Without a baseline each vote carries the whole $\log p_\theta(x\mid z)$, hundreds of nats, and most of it is the same for every draw: the noise is 25 to 150 times the signal.
# **A baseline takes that away. What is left has about 5 to 11 times the pathwise variance with two latents, and about 40 to 50 times with twenty**: section 8. Training changes little about that, although it narrows $q$ (first column). Section 5's row keeps $f$ and narrows $q$; training sharpens both, and question 3 at the end has the reason.
#
# Does the noise matter? Train, with equal budgets: the same images, steps, draws and learning rate. **Predict** the order, and whether the plain score function learns anything.

# %% says="Equal budgets: the estimator decides what is learned"
curves = {name: [] for name in kinds}
pixels = x[:8000].mean(0).clamp(1e-3, 1 - 1e-3)
no_code = F.binary_cross_entropy(pixels.expand(2000, -1), x_test[:2000], reduction="sum").item() / 2000
print(f"the average image as the answer to everything, no code at all: {no_code:.1f} nats")
for name, kind in kinds.items():
    for seed in range(3):
        model = new_vae(kind, latents=20, seed=seed)
        run = training.fit(model, x[:8000], epochs=5, test=x_test[:2000], **recipe)
        curves[name].append([-v for v in run["test_objective"]])
    last = torch.tensor([c[-1] for c in curves[name]])
    spread = f"three seeds from {last.min():.1f} to {last.max():.1f}"
    print(f"{name:30} −ELBO {last.mean():.1f} ({spread}), {no_code - last.mean():4.1f} below it")

# %% figure="03_training"
figure, axis = plots.picture(size=(8, 4.4), alt="Test −ELBO against the epoch, three seeds each: pathwise lowest, leave-one-out above, the plain score function far above")
for colour, (name, runs) in zip(plots.COLOURS, curves.items()):
    for i, curve in enumerate(runs):
        axis.plot(range(1, len(curve) + 1), curve, "o-", color=colour, label=name if i == 0 else None)
axis.set(xlabel="epoch", ylabel="−ELBO on test images, nats", title="Same network, same draws: the estimator decides how fast it learns")
axis.axhline(no_code, color="black", lw=1.5, ls="--")
axis.annotate("no code at all", (5, no_code), va="bottom", ha="right", fontsize=12)
axis.set_xticks(range(1, 6))
axis.legend()
figure

# %% [markdown]
# The decoder's gradient is a plain average in all three. Alone, it gets about as far as the dashed line; below it, the code must tell images apart. Pathwise gets furthest, the leave-one-out baseline most of that way. The plain score function does learn, for it is right on average, but little:
# its encoder hears mostly noise. That is the order with twenty latents, two draws an image and this learning rate. **Play:** halve `lr`, then double it. All numbers change; does the order?
#
# [Mnih & Gregor 2014](https://arxiv.org/abs/1402.0030) trained networks with discrete units by the score function, with baselines that are networks themselves: no path exists there. Which is where this lesson goes next.

# %% [markdown]
# ## 10 · A draw from classes, as a function of noise
#
# Let $z$ be one of $K$ classes with probabilities $\pi_k$. The score function works as it stands. But can such a draw be written as a function of parameters and noise? It can, and exactly: give each class its own noise $G_k$ from the **Gumbel** distribution and take the largest,
#
# $$z=\arg\max_k\,(\log\pi_k+G_k),\qquad G_k=-\log(-\log u_k),\quad u_k\text{ uniform}.$$
#
# **Theorem: $P(z=k)=\pi_k$**, for $\pi_k>0$. *Proof.* From $u=e^{-e^{-g}}$, the distribution function of $G$ is $e^{-e^{-g}}$ and its density $e^{-g}e^{-e^{-g}}$. Class $k$ wins with noise $g$ if every other $G_j$ is below $g+\log\pi_k-\log\pi_j$. The noises are independent, so multiply, and integrate over $g$:
#
# $$P(z=k)=\int e^{-g}e^{-e^{-g}}\prod_{j\ne k}\exp\!\Big(-e^{-g}\,\frac{\pi_j}{\pi_k}\Big)dg=\int e^{-g}\exp\!\Big(-e^{-g}\sum_j\frac{\pi_j}{\pi_k}\Big)dg=\int e^{-g}e^{-e^{-g}/\pi_k}dg .$$
#
# In the middle, the factor $e^{-e^{-g}}$ became the term $j=k$ of the sum; in the last step $\sum_j\pi_j=1$. Substitute $v=e^{-g}$, $dv=-e^{-g}dg$: the integral is $\int_0^\infty e^{-v/\pi_k}dv=\pi_k$. $\square$

# %% [markdown]
# ### Exercise 03.5 · The loudest class
# ●●○○○ · 10 min · used in the next cells

# %% exercise="03.5"
def gumbel_max(log_pi, u):
    """Draws of a class by the Gumbel-max rule, one for each row of u.

    log_pi: (K,) log-probabilities; u: (n, K), uniform on (0, 1). Returns (n,), indices from 0 to K − 1.
    """
    ### BEGIN SOLUTION
    return (log_pi - torch.log(-torch.log(u))).argmax(-1)
    ### END SOLUTION


# %%
gumbel_max = check("03.5", gumbel_max)

# %% [markdown]
# A proof deserves a test that could fail. The χ² test asks whether counts fit probabilities; its p-value is below 0.01 once in a hundred times if they do. Beside your function, two rules that look just as good:

# %% says="Ten seeds of 100,000 draws: one rule passes, two fail"
log_pi = torch.tensor([0.5, 0.25, 0.15, 0.1], dtype=torch.float64).log()
rules = {
    "Gumbel noise": gumbel_max,
    "normal noise": lambda log_pi, u: (log_pi + torch.distributions.Normal(0.0, 1.28).icdf(u)).argmax(-1),  # same variance
    "Gumbel noise, subtracted": lambda log_pi, u: (log_pi + torch.log(-torch.log(u))).argmax(-1),
}
print("probabilities".ljust(26) + " ".join(f"{p:.4f}" for p in log_pi.exp()))
for name, rule in rules.items():
    p_values = []
    for seed in range(10):
        torch.manual_seed(seed)
        counts = rule(log_pi, torch.rand(100_000, 4, dtype=torch.float64)).bincount(minlength=4)
        p_values.append(stats.chisquare(counts.numpy(), 100_000 * log_pi.exp().numpy()).pvalue)
    shares = " ".join(f"{share:.4f}" for share in counts / 100_000)
    print(f"{name:25} {shares}   p-values from {min(p_values):.2g} to {max(p_values):.2g}")

# %% [markdown]
# Yours passes with every seed. Normal noise comes within about a percentage point and a half, and no seed lets it through.
#
# > **From the notes** (000, lines 491–505). *What does the Gumbel distribution mean, that this works? Is it found by experience, or proven?* Proven, above, and exact. The reason behind it: let each class have a clock that rings after an exponential time $E_k$ with rate $\pi_k$. Class $k$ rings first with probability
# > $\pi_k/\sum_j\pi_j$; and $-\log E_k$ is $\log\pi_k$ plus Gumbel noise, so the first clock is the largest sum. That also says why weights that don't sum to 1 will do. The formula $e^{-(x+e^{-x})}$ in the notes is the right density, normalised (below); but a distribution is not
# > *equal* to its density, and the $G_k$ must be independent.

# %% says="The density, the proof's integral, and a race of clocks"
torch.manual_seed(0)
g = torch.linspace(-10, 60, 1_000_001, dtype=torch.float64)
pi = log_pi.exp()
print(f"the density integrates to   {torch.trapezoid(torch.exp(-(g + torch.exp(-g))), g):.6f}")
integrals = [torch.trapezoid(torch.exp(-g - torch.exp(-g) / p), g) for p in pi]
print("the proof's last integral   " + " ".join(f"{v:.6f}" for v in integrals))
clocks = -torch.log(torch.rand(100_000, 4, dtype=torch.float64)) / pi
print("first clock to ring, shares " + " ".join(f"{v:.4f}" for v in clocks.argmin(-1).bincount() / 100_000))

# %% [markdown]
# Is that a reparameterization? The draw is a function of $\pi$ and noise. But **`argmax` is a step function: the swap of section 2 is not allowed, and the pathwise gradient is 0.** What works, and is unbiased, is the score function, $f(z)\,\nabla\log\pi_z$. For logits $l$ with $\pi=\operatorname{softmax}(l)$,
# $\partial\log\pi_z/\partial l_k$ is $1-\pi_k$ for $k=z$, and $-\pi_k$ else. Or one changes the function.

# %% [markdown]
# ## 11 · A soft draw
#
# Replace the argmax by a softmax at a temperature $\tau$ ([Jang et al. 2017](https://arxiv.org/abs/1611.01144), [Maddison et al. 2017](https://arxiv.org/abs/1611.00712)):
#
# $$z=\operatorname{softmax}\!\big((\log\pi+G)/\tau\big)\in\text{the simplex: } K\text{ shares that sum to }1 .$$

# %% [markdown]
# ### Exercise 03.6 · Gumbel-softmax
# ●●○○○ · 10 min · used in the next cells

# %% exercise="03.6"
def gumbel_softmax(log_pi, gumbel, tau):
    """Soft draws of a class: softmax of log-probabilities plus noise, at temperature tau.

    log_pi: (K,); gumbel: (n, K), Gumbel(0, 1) noise; tau: a positive number. Returns (n, K), rows that sum to 1.
    """
    ### BEGIN SOLUTION
    return ((log_pi + gumbel) / tau).softmax(-1)
    ### END SOLUTION


# %%
gumbel_softmax = check("03.6", gumbel_softmax)

# %% says="From the corners to one point"
torch.manual_seed(0)
log_pi = torch.tensor([0.5, 0.3, 0.2]).log()
gumbels = estimators.gumbel((800, 3))
corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 3**0.5 / 2]])
figure, axes = plots.picture(1, 4, size=(13, 3.4), alt="Soft draws in a triangle: at τ = 0.1 in the corners, at τ = 10 in the middle")
names = {0.1: ": corners", 0.5: "", 1.0: "", 10.0: ": one point"}
for axis, (tau, name) in zip(axes, names.items()):
    axis.plot(*corners[[0, 1, 2, 0]].T, color="black", lw=1.5)
    axis.scatter(*(gumbel_softmax(log_pi, gumbels, tau) @ corners).T, s=6, alpha=0.4, linewidths=0)
    for corner, share in zip(corners.tolist(), log_pi.exp().tolist()):
        low = corner[1] == 0
        axis.annotate(f"{share:.1f}", corner, (0, -4 if low else 3), ha="center", va="top" if low else "bottom",
                      textcoords="offset points", fontsize=13)
    axis.set(title=f"τ = {tau:g}{name}", aspect="equal", xlim=(-0.15, 1.15), ylim=(-0.15, 1.05))
    axis.axis("off")
figure

# %% [markdown]
# Two limits. As $\tau\to0$ each draw goes to a corner, and to each corner with its probability $\pi_k$: the Gumbel-max draw. As $\tau\to\infty$ each draw goes to the **point** $(\frac1K,\dots,\frac1K)$. In between, the mean is not $\pi$:

# %% says="Both limits; in between, the mean is not π"
torch.manual_seed(0)
gumbels = estimators.gumbel((1_000_000, 3))
for tau in (0.01, 0.1, 1.0, 10.0, 1000.0):
    z = gumbel_softmax(log_pi, gumbels, tau)
    mean, spread = (" ".join(f"{v:.4f}" for v in row) for row in (z.mean(0), z.std(0)))
    print(f"τ = {tau:<5g} mean {mean}   standard deviation {spread}")

# %% [markdown]
# > **From the notes** (000, line 517). "At $\tau\to\infty$ it has a uniform distribution." It has none: every draw is the same vector $(\frac1K,\dots,\frac1K)$, with standard deviation 0 (last line). A draw from a uniform categorical would still be a corner.
# >
# > (000, line 485.) "$g$ must be continuous" is half of it: $g$ must be differentiable in $\phi$ almost everywhere **and** free of jumps, and the noise's distribution free of $\phi$. The argmax is differentiable almost everywhere; it is the jumps that break it.
#
# The gradient through a soft draw is the exact gradient of *another* objective, $\mathbb E f(\text{soft})$. So against the one you wanted it has a **bias**, and to tell how much, you need the truth: with $K$ classes, a sum of $K$ terms, $\partial\,\mathbb E f/\partial l_k=\pi_k\,(f(k)-\mathbb E f)$.
# **Straight-through** is the mixture: $f$ sees the corner, the gradient pretends that it was soft. Here is $f(z)=(c\cdot z-0.45)^2$, values $c=(0,1)$, a coin with $P(1)=0.8$, and its gradient for the logit of 1.
# **Predict:** which has the smallest bias, and does a smaller $\tau$ always mean less of it?

# %% says="A coin whose gradient is known: biases and noise"
torch.manual_seed(0)
logits = torch.tensor([0.2, 0.8], dtype=torch.float64).log().requires_grad_()
f_class = lambda z: (z[..., 1] - 0.45) ** 2
expectation = logits.softmax(0) @ f_class(torch.eye(2, dtype=torch.float64))  # a sum of two terms
by_torch, logits = torch.autograd.grad(expectation, logits)[0][1], logits.detach()
exact = estimators.exact_categorical(f_class, logits)[1].item()
print(f"exact: by the formula {exact:.6f}, by autograd through the sum {by_torch:.6f}")
gumbels = estimators.gumbel((1_000_000, 2), dtype=torch.float64)
vote = estimators.categorical_score_function(f_class, logits, gumbels, baseline=True)[:, 1]
print(f"score function, leave-one-out: {vote.mean():.6f} ± {vote.std() / 1000:.6f}, sd of a draw {vote.std():.4f}")
taus = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0]
bias, spread = {"Gumbel-softmax": [], "straight-through": []}, {"Gumbel-softmax": [], "straight-through": []}
for tau in taus:
    for name in bias:
        e = estimators.gumbel_softmax(f_class, logits, gumbels, tau, straight_through=name == "straight-through")[:, 1]
        bias[name].append(e.mean().item() - exact)
        spread[name].append(e.std().item())
    print(f"τ = {tau:<4g} " + "   ".join(f"{n}: bias {bias[n][-1]:+.4f}, sd {spread[n][-1]:.4f}" for n in bias))

# %%
figure, axes = plots.picture(1, 2, size=(12, 4), alt="Bias and standard deviation against the temperature for both soft estimators and the score function")
for axis, curves, unbiased, title in (
    (axes[0], bias, 0.0, "Cold, the bias goes,"), (axes[1], spread, vote.std().item(), "and the noise comes"),
):
    for name, curve in curves.items():
        axis.plot(taus, curve, "o-", label=name)
    axis.axhline(unbiased, color="black", lw=1.5, ls="--", label="score function, leave-one-out")
    axis.set(xscale="log", xlabel="temperature τ", title=title)
axes[0].set_ylabel("bias of the gradient")
axes[1].set_ylabel("standard deviation of a draw")
axes[1].legend()
figure

# %% [markdown]
# **As $\tau\to0$ the bias goes, and the noise grows without end.** But a smaller $\tau$ does not always mean less bias: on the way down from 5 it first rises, peaks near $\tau=1$, and only then falls. Where Gumbel-softmax crosses 0 on that way is an accident; as $\tau\to\infty$ the soft gradient itself vanishes.
# Straight-through sees the right $f$ and is more biased still, at every $\tau$ here. On this coin the score function with a baseline has no bias, and less noise than either up to $\tau=2$.
#
# That straight-through's bias goes at all is owed to the parabola. When cold, it replaces the difference of $f$ between two corners by the mean of its slopes *at* the corners, times their distance: right for a parabola, wrong for most other $f$. The widget below shows one.
#
# Where soft estimators pay is many variables at once, for the reason of section 8. So take $M$ variables with three classes each and $f(z)=(\sum_m w_m\cdot z_m-\frac12)^2$, a parabola again. Its exact gradient is still known: the variables are independent, so
# $\mathbb E f$ is a variance plus a square. With $L$ draws an estimate is off by $\sqrt{\text{bias}^2+\text{variance}/L}$. **Predict:** who wins with 10 draws, and who with 100 000?

# %%
def off_by(M, seed, draws=(10, 1000, 100_000), n=5000):
    """Error of an estimate from L draws, as a multiple of the exact gradient's length: {estimator: [one for each L]}.

    Bias, variance, and the leave-one-out baseline are those of n draws.
    """
    torch.manual_seed(seed)
    logits, w = torch.randn(M, 3, dtype=torch.float64), torch.randn(M, 3, dtype=torch.float64) / M**0.5
    f = lambda z: ((z * w).sum((-1, -2)) - 0.5) ** 2
    copy = logits.clone().requires_grad_()
    pi = copy.softmax(-1)
    mean, spread = (pi * w).sum(), ((pi * w**2).sum(-1) - (pi * w).sum(-1) ** 2).sum()
    exact = torch.autograd.grad((mean - 0.5) ** 2 + spread, copy)[0]
    gumbels = estimators.gumbel((n, M, 3), dtype=torch.float64)
    z = F.one_hot((logits + gumbels).argmax(-1), 3).double()
    others = (f(z).sum() - f(z)) / (n - 1)
    found = {"leave-one-out": (f(z) - others)[:, None, None] * (z - pi.detach())}
    for tau, hard in ((0.5, False), (1.0, False), (0.5, True)):
        name = f"{'straight-through' if hard else 'Gumbel-softmax'}, τ = {tau:g}"
        found[name] = estimators.gumbel_softmax(f, logits, gumbels, tau, straight_through=hard)
    errors = {}
    for name, e in found.items():
        variance = e.var(0).sum()
        bias2 = 0 if name == "leave-one-out" else ((e.mean(0) - exact).square().sum() - variance / n).clamp(min=0)
        errors[name] = [((bias2 + variance / L).sqrt() / exact.norm()).item() for L in draws]
    return errors


# %% says="Many variables and few draws: soft wins. Many draws: the unbiased one"
for M in (1, 64):
    print(f"{M} variable{'s' if M > 1 else ''}: mean over 10 random problems (smallest to largest), and in how many it is best")
    print(" " * 27 + "10 draws".ljust(25) + "1000 draws".ljust(25) + "100 000 draws")
    problems = [off_by(M, seed) for seed in range(10)]
    errors = torch.tensor([list(p.values()) for p in problems])  # (problems, estimators, L)
    best = F.one_hot(errors.argmin(1), 4).sum(0).T  # (estimators, L)
    for name, columns, wins in zip(problems[0], errors.unbind(1), best):
        cells = (f"{c.mean():.2g} ({c.min():.2g}–{c.max():.2g}), {n}" for c, n in zip(columns.T, wins))
        print(f"{name:27}" + "".join(cell.ljust(25) for cell in cells).rstrip())

# %% [markdown]
# With one variable, the unbiased estimator is best in every problem from 1000 draws on. With 64 variables and 10 draws the soft ones are far ahead in every problem; with 100 000 the unbiased one has overtaken them all, because **a bias does not average out**.
# Training uses few draws a step but many steps, and those do not average a bias out either: start warm, then cool, is the usual recipe.

# %% says="Lower τ: is the bias gone, or hidden in the noise?"
EstimatorVariance(mine, tab="discrete", draws=10, tau=2.0)

# %% [markdown]
# **Play:** your $f$ here sees one of the three numbers $c$, or what lies between.
#
# 1. Lower τ until Gumbel-softmax is no longer marked as biased, and on to its smallest. What becomes of its variance, against the score function's?
# 2. Does straight-through follow? Look at the sign of its mean. Then choose *quadratic*, and lower τ again.
#
# <details><summary>What there is to see</summary>
#
# 1. Near τ = 0.5 the mark goes; there its variance is 7 times the score function's, and at 0.05 it is 94 times. (No mark means: less than four standard errors. It does not mean no bias.)
# 2. No. The gradient is −0.46, and as τ falls its mean goes to +0.08: the wrong way. For *quadratic*, at τ = 0.05, both are right within their errors.
#
# </details>

# %% [markdown]
# ## 12 · Beyond the Gaussian
#
# Which distributions can be reparameterized? **Shift and scale**, $z=\mu+\sigma\epsilon$, does it for every $\epsilon$ with a fixed distribution: Laplace, logistic, Student's t. **The inverse distribution function** does it in one dimension: with $u$ uniform,
# $z=F_\phi^{-1}(u)$ has the distribution function $F_\phi$. That is where the Gumbel noise came from.

# %% [markdown]
# ### Exercise 03.7 · Waiting times
# ●●○○○ · 5 min · used in the next cell

# %% exercise="03.7"
def exponential_sample(rate, u):
    """The inverse at u of the exponential distribution function F(z) = 1 − exp(−rate·z).

    rate: a scalar tensor; u: (n,), in [0, 1). Returns (n,).
    """
    ### BEGIN SOLUTION
    return -torch.log1p(-u) / rate
    ### END SOLUTION


# %%
exponential_sample = check("03.7", exponential_sample)

# %% says="A gradient through an inverse distribution function"
torch.manual_seed(0)
rate = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
batches = []
for _ in range(100):  # ∂/∂rate E z², exactly −4/rate³
    z = exponential_sample(rate, torch.rand(10_000, dtype=torch.float64))
    batches.append(torch.autograd.grad(z.square().mean(), rate)[0])
batches = torch.stack(batches)
print(f"exact {-4 / rate.item() ** 3:.4f}, a million draws {batches.mean():.4f} ± {batches.std() / 10:.4f}")

# %% [markdown]
# For a Gamma, Beta or Dirichlet distribution the inverse has no formula. But the derivative needs no inverse. Hold $u$ fixed in $F_\phi(z)=u$, and differentiate both sides with respect to $\phi$, with $z$ moving along:
#
# $$\frac{\partial F_\phi(z)}{\partial\phi}+p_\phi(z)\,\frac{dz}{d\phi}=0\qquad\Longrightarrow\qquad \frac{dz}{d\phi}=-\frac{\partial F_\phi(z)/\partial\phi}{p_\phi(z)} .$$
#
# Draw $z$ in any way you like, then give it this derivative: **implicit reparameterization** ([Figurnov et al. 2018](https://arxiv.org/abs/1805.08498)). torch's `rsample` does so. Hold it against finite differences of the distribution function.
# (In a Dirichlet, share $i$ alone is $\text{Beta}(\alpha_i,\sum_{j\ne i}\alpha_j)$, and the others split $1-z_i$ in a way that does not depend on $\alpha_i$: when $z_i$ moves, they shrink in proportion.)

# %% says="Gamma, Beta, Dirichlet: torch's gradient against finite differences"
def moving(cdf, density, z, a, h=1e-5):
    """dz/da by the formula, with ∂F/∂a by a central difference."""
    return -(cdf(a * (1 + h), z) - cdf(a * (1 - h), z)) / (2 * h * a) / density


torch.manual_seed(0)
worst = {}
for a in (0.5, 1.0, 3.0, 20.0):
    copies = torch.full((2000,), a, dtype=torch.float64, requires_grad=True)
    draws = {"Gamma": torch.distributions.Gamma(copies, 1.0).rsample(), "Beta": torch.distributions.Beta(copies, 2.0).rsample()}
    cdfs = {"Gamma": special.gammainc, "Beta": lambda a, z: special.betainc(a, 2.0, z)}
    for name, density in (("Gamma", stats.gamma(a)), ("Beta", stats.beta(a, 2.0))):
        z = draws[name].detach().numpy()
        slopes = torch.autograd.grad(draws[name].sum(), copies)[0].numpy()
        wanted = moving(cdfs[name], density.pdf(z), z, a)
        worst.setdefault(name, []).append(abs(slopes / wanted - 1).max())

alpha = torch.tensor([0.7, 2.0, 4.0], dtype=torch.float64).expand(2000, 3).clone().requires_grad_()
z = torch.distributions.Dirichlet(alpha).rsample()
slopes = [torch.autograd.grad(z[:, j].sum(), alpha, retain_graph=True)[0][:, 0].numpy() for j in range(3)]  # dz_j/dα_0
first, second = z[:, 0].detach().numpy(), z[:, 1].detach().numpy()
wanted = moving(lambda a, v: special.betainc(a, 6.0, v), stats.beta(0.7, 6.0).pdf(first), first, 0.7)
worst["Dirichlet, the share itself"] = [abs(slopes[0] / wanted - 1).max()]
worst["Dirichlet, another share"] = [abs(slopes[1] / (-wanted * second / (1 - first)) - 1).max()]
for name, errors in worst.items():
    print(f"{name:27} torch's dz/da is off by at most {max(errors):.1e} of its value")

# %% [markdown]
# In 2000 draws for each $a$, off by a thousandth of its value at worst: torch uses approximations here.
#
# > **From the notes** (000, lines 143–149). *What if the distribution is not Gaussian: Gamma, Beta, Dirichlet?* This. Other roads: through the accept-or-reject step of a sampler ([Naesseth et al. 2017](https://arxiv.org/abs/1610.05683)), a mixture of both
# > estimators ([Ruiz et al. 2016](https://arxiv.org/abs/1610.02287)), or a distribution that looks alike and has an inverse: Weibull for Gamma, Kumaraswamy for Beta. The work on Dirichlet that the notes mean is the Dirichlet VAE ([Joo et al. 2019](https://arxiv.org/abs/1901.02739)).

# %% [markdown]
# ## Recap
#
# 1. A gradient gets under an expectation in two ways: the density moves, or the draw does. Each is a swap of limits with a condition of its own.
# 2. Score function: values of $f$ as votes. Always right where the density is smooth in $\phi$; noisy, and noisier with every dimension that votes along.
# 3. Pathwise: slopes of $f$. Quiet where $f$ is smooth on the scale of $\sigma$, wrong without warning where $f$ or the draw jumps.
# 4. A baseline costs hardly anything; in an encoder it is worth orders of magnitude. Not from the draw itself.
# 5. A class can be drawn exactly by Gumbel noise, but not differentiated. Made soft it can, at the price of a bias that vanishes with τ, while the noise grows. Straight-through may keep its bias at any τ.
#
# $$\boxed{\;\nabla_\phi\,\mathbb E_{q_\phi}[f(z)]=\mathbb E\big[(f(z)-b)\,\nabla_\phi\log q_\phi(z)\big]=\mathbb E_\epsilon\big[\nabla_z f\cdot\nabla_\phi g_\phi(\epsilon)\big]\;}$$
#
# (the second equality where $f\circ g$ has no jumps)
#
# **Ask yourself**
#
# <details><summary>1. Your reward is "the image is recognised", 0 or 1. Which estimator, and what do you do first against its noise?</summary>
#
# $f$ is a step: pathwise gives 0. The score function, with a leave-one-out baseline and several draws for each image. (Or a smooth stand-in for the reward, and then pathwise: biased for the reward you meant.)
#
# </details>
# <details><summary>2. Somebody reports that reparameterization reduced the variance of the samples. What do you answer?</summary>
#
# The samples have the same distribution in both cases. What has less variance is the estimate of the gradient.
#
# </details>
# <details><summary>3. Section 5 says that a narrow Gaussian favours pathwise. Why did training, which narrows q, hardly change the ratio?</summary>
#
# Because it sharpens $f$ as well. Where σ is best, the derivative of the bound with respect to $\sigma^2$ is 0. That of $\mathbb E f$ is $\frac12\mathbb E f''$ (by $\sigma$ it is $\mathbb E[f'\epsilon]$, section 4, and integration by parts makes that $\sigma\,\mathbb E f''$), that of −KL is $\frac12(\frac1{\sigma^2}-1)$. So $\mathbb E f''=-(\frac1{\sigma^2}-1)$:
# the narrower $q$, the more $f$ bends, and across $q$ it is never straight. In lesson 04's small model, $x\mid z\sim\mathcal N(z,\frac12)$, the posterior's variance is $\frac13$ and $f''=-2=-(3-1)$.
#
# </details>
#
# **Next:** lesson 04 puts the moving draw into a Gaussian VAE, and derives the rest of its loss.
#
# **References** · Williams 1992, [doi:10.1007/BF00992696](https://doi.org/10.1007/BF00992696) · Kingma & Welling 2014, [arXiv:1312.6114](https://arxiv.org/abs/1312.6114) · Rezende, Mohamed & Wierstra 2014, [arXiv:1401.4082](https://arxiv.org/abs/1401.4082) ·
# Mnih & Gregor 2014, [arXiv:1402.0030](https://arxiv.org/abs/1402.0030) · Jang, Gu & Poole 2017, [arXiv:1611.01144](https://arxiv.org/abs/1611.01144) · Maddison, Mnih & Teh 2017, [arXiv:1611.00712](https://arxiv.org/abs/1611.00712) ·
# Figurnov, Mohamed & Mnih 2018, [arXiv:1805.08498](https://arxiv.org/abs/1805.08498) · Mohamed, Rosca, Figurnov & Mnih 2020, [arXiv:1906.10652](https://arxiv.org/abs/1906.10652)
