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
# # 00 · Start here
#
# **Which kinds of deep generative model exist, and which probability do I need for the rest?**
#
# At the end you can place any generative model on a map, and you hold the ten tools that the other lessons use, each tried on a case whose answer is known.
#
# ![A tree of model families: explicit ones with an exact, a bounded or a sampled density, implicit ones with samples only](figures/00_families.png)
#
# *60 minutes; skip what you know, but not the exercises · builds on school calculus, averages, and some Python · five exercises*

# %% [markdown] slide="notes"
# *For the lecturer: section 2 is one slide and ten minutes of talk. Sections 3 to 5 are a review that a class with statistics can skip; 6, 7 and 8 are not.*

# %% [markdown]
# Run the cells from the top with Shift+Enter. Where a cell says *Exercise*, replace the last line of the function with your own code, run it, and run the check below it: it tells you whether you are right, and if not, what is likely wrong.
# `hint("00.1")` gives the next of three hints, `solution("00.1")` the course's answer. The lesson goes on either way.
#
# Before an experiment you are asked to **predict**. Do: a surprise teaches more than a confirmation. Boxes that begin **From the notes** set right what the lecture notes behind this course ask or get wrong; they are good questions without the notes, too.
#
# ## 1 · Is everything here?

# %%
import math

import torch
from torch.nn import functional as F

from course_lib import plots, ready
from course_lib.exercises import check, hint, solution
from course_lib.family_tree import family_tree
from course_lib.widgets import TwoDivergences

ready.report()

# %% [markdown]
# And a widget. If the next cell shows two curves and a hump that you can drag, this page is alive; section 7 says what they mean. If it shows a still picture, open the lesson in JupyterLab with `make lab`.

# %%
TwoDivergences()

# %% [markdown]
# Some letters recur in all lessons. The notes use others:
#
# | course | notes | meaning |
# |---|---|---|
# | $x$ | E, evidence | what is observed: an image |
# | $z$ | H, hidden | the latent: what is not observed, but would explain $x$ |
# | $\theta$, $\phi$ | $\theta$, $\phi$ | the weights of the model, and of the network that guesses $z$ |
# | $\log$, nats | $\ln$ | natural logarithm; its unit is the nat, 1.44 bits |

# %% [markdown]
# ## 2 · The map
#
# A **generative model** is a distribution $p_\theta(x)$ over images, sounds, texts, whose weights $\theta$ are fitted to examples, and which can be sampled. There are not so many ways to build one:

# %% figure="00_families"
family_tree()

# %% [markdown]
# - **Explicit** models give $p_\theta(x)$ a formula. It may be *exact*: as a product of conditionals, pixel after pixel (section 6 builds one), or by bending a Gaussian with invertible functions (flows). It may hide an integral over latents, so that one trains a *lower bound* of it:
#   the VAE, this course's subject, and diffusion models, which are its grandchildren with a thousand layers and a fixed encoder. Or it may have a normalising constant that nobody can sum, and a *Markov chain* has to estimate its gradient (Boltzmann machines).
# - **Implicit** models only have samples: noise in, image out. GANs train the generator against a classifier that tells real from made. Generative stochastic networks (GSN) learn the steps of a Markov chain.
#
# **What died, and why?** Both branches with a Markov chain inside. A chain must forget where it started; with several separate kinds of images it hardly ever crosses from one to the next, so both training and sampling are slow or wrong. What lives needs one pass, or a fixed number of passes, for a sample.
# GANs draw sharply but cover the data badly and give no number to compare; today their classifier mostly serves as an extra loss inside other models, lesson 07 uses the same trick. VAEs draw softly, but they have what the others lack: a **code**. That is why diffusion models for large images run inside a VAE's latent space.
#
# > **From the notes** (000, lines 7–11). "Likelihood-free" and "implicit" nearly say the same: without a formula for $p_\theta(x)$ there is no likelihood to train by. A VAE is *explicit*, and trained on a bound of its likelihood. The two models with a **Markov chain** differ: a GSN is implicit, a Boltzmann machine explicit and approximate.

# %% [markdown]
# ## 3 · Bayes
#
# You have hypotheses $k=1,\dots,K$, how much you believed each before (the **prior** $p(k)$), and how probable the data $x$ are under each (the **likelihood** $p(x\mid k)$). How much do you believe each now? Both must happen, the hypothesis and the data: $p(k)\,p(x\mid k)$. Given the data, these must sum to 1:
#
# $$p(k\mid x)=\frac{p(k)\,p(x\mid k)}{p(x)},\qquad p(x)=\sum_j p(j)\,p(x\mid j).$$
#
# $p(k\mid x)$ is the **posterior**; $p(x)$, with the hypotheses summed out, is the **evidence** or *marginal likelihood*.

# %% [markdown]
# ### Exercise 00.1 · What to believe now
# ●○○○○ · 5 min · used in the next cell and in section 8

# %% exercise="00.1"
def posterior(prior, likelihood):
    """p(k|x) for each of K hypotheses.

    prior: (K,), p(k); likelihood: (K,), p(x|k). Returns (K,), sums to 1.
    """
    ### BEGIN SOLUTION
    joint = prior * likelihood
    return joint / joint.sum()
    ### END SOLUTION


# %%
posterior = check("00.1", posterior)

# %% [markdown]
# A test for a rare disease (1 in 1000) finds 99 % of the sick and wrongly alarms 2 % of the healthy. It is positive. **Predict:** how probable is the disease? And after a second, independent positive test?

# %%
belief = torch.tensor([0.001, 0.999])
for test in (1, 2):
    belief = posterior(belief, torch.tensor([0.99, 0.02]))
    print(f"after {test} positive test{'s' * (test > 1)}: {belief[0]:.1%}")
crowd = torch.rand(2_000_000) < 0.001
alarm = torch.where(crowd, torch.rand(len(crowd)) < 0.99, torch.rand(len(crowd)) < 0.02)
print(f"in a crowd of two million: {(crowd & alarm).sum() / alarm.sum():.1%} of the {alarm.sum()} alarmed are sick")

# %% [markdown]
# The posterior of the first test is the prior of the second. In this course $k$ becomes a latent $z$, continuous and of many dimensions, and the sum in $p(x)$ becomes an integral that nobody can do. Everything after this lesson is about that integral.
#
# > **From the notes** (003, lines 208–216; line 78). Bayesian probability is about degrees of belief, and Bayes' rule is how data change them. (The product sign in that line belongs to nothing.) And $p(x,z)=p(z)\,p(x\mid z)$ holds **always**: it is the chain rule, it needs no independence, and a Gaussian does not need any either.
# > If $x$ and $z$ *were* independent, $p(x\mid z)$ would equal $p(x)$, and the latent would explain nothing.

# %% [markdown]
# ## 4 · Density, likelihood, Gaussian
#
# For a number that can take any value, the probability of each single value is 0. A **density** $p(x)$ says how much probability there is *per unit of length*; a probability is an area, $P(a<x<b)=\int_a^b p(x)\,dx$. The **Gaussian** with mean $\mu$ and standard deviation $\sigma$:
#
# $$\mathcal N(x;\mu,\sigma^2)=\frac{1}{\sigma\sqrt{2\pi}}\exp\Big(-\frac{(x-\mu)^2}{2\sigma^2}\Big).$$
#
# Its variable can be *standardised*: $\epsilon=(x-\mu)/\sigma$ has mean 0 and standard deviation 1. (Read backwards, $x=\mu+\sigma\epsilon$, this is the trick of lesson 03.)

# %% [markdown]
# ### Exercise 00.2 · The log of a Gaussian
# ●●○○○ · 5 min · used in the next cells

# %% exercise="00.2"
def gaussian_log_density(x, mu, sigma):
    """log N(x; mu, sigma²) in nats, number by number.

    x: any shape; mu, sigma: scalar tensors, sigma a standard deviation. Returns a tensor like x.
    """
    ### BEGIN SOLUTION
    return -0.5 * ((x - mu) / sigma) ** 2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)
    ### END SOLUTION


# %%
gaussian_log_density = check("00.2", gaussian_log_density)

# %%
x = torch.linspace(-30, 30, 600_001, dtype=torch.float64)
for sigma in (2.0, 0.1):
    density = gaussian_log_density(x, torch.tensor(0.0), torch.tensor(sigma)).exp()
    inside = density[x.abs() <= 2 * sigma].sum() * 1e-4
    print(f"σ = {sigma}: highest density {density.max():.3f}, area {torch.trapezoid(density, x):.6f}, within 2σ {inside:.4f}")

# %% [markdown]
# A density of 3.99 is no mistake: it is 3.99 *per unit*, over a stretch much shorter than a unit. So a log-density may be positive, and it changes when you measure $x$ in other units. A log-probability may not and does not.
#
# The **likelihood** is the same formula, read the other way: $x$ is given, and it is a function of the parameter. Then nothing makes it integrate to 1. Seven heads in ten throws of a coin with unknown $p$:

# %%
p = torch.linspace(0, 1, 100_001, dtype=torch.float64)
likelihood = math.comb(10, 7) * p**7 * (1 - p) ** 3
print(f"all results, p = 0.7: probabilities sum to {sum(math.comb(10, k) * 0.7**k * 0.3 ** (10 - k) for k in range(11)):.6f}")
print(f"all p, seven heads:   likelihoods integrate to {torch.trapezoid(likelihood, p):.6f} = 1/11, largest at p = {p[likelihood.argmax()]:.2f}")

# %% [markdown]
# > **From the notes** (003, lines 71–75 and 221–235). $p_\theta(x)$ of a real-valued image is a density; to be a probability it would need an area. A likelihood is the same function read in $\theta$. And a Gaussian is not equal to 1, its *integral* is.

# %% [markdown]
# ## 5 · The best parameter
#
# **Maximum likelihood** (MLE) takes the parameter under which the data are most probable: $\arg\max_\theta\sum_i\log p(x_i\mid\theta)$. The log turns the product over independent observations into a sum. **MAP** (maximum a posteriori) adds a prior:
#
# $$\arg\max_\theta\Big[\sum_i\log p(x_i\mid\theta)+\log p(\theta)\Big].$$
#
# Take $n$ measurements $x_i\sim\mathcal N(m,\sigma^2)$ of an unknown $m$, with prior $m\sim\mathcal N(0,\tau^2)$. The MLE is the plain mean: set the derivative $\sum_i(x_i-m)/\sigma^2$ to 0.

# %% [markdown]
# ### Exercise 00.3 · A prior pulls
# ●●○○○ · 10 min · used in the next cell

# %% exercise="00.3"
def gaussian_mean_map(x, sigma, tau):
    """The m that maximises log p(x|m) + log p(m), for x_i ~ N(m, sigma²) and m ~ N(0, tau²).

    x: (n,); sigma, tau: numbers. Returns a scalar tensor.
    """
    ### BEGIN SOLUTION
    return x.sum() / (len(x) + sigma**2 / tau**2)
    ### END SOLUTION


# %%
gaussian_mean_map = check("00.3", gaussian_mean_map)

# %%
torch.manual_seed(0)
truth, sigma, tau = 2.0, 3.0, 1.5
print("  n    MLE is off by    MAP is off by    (root mean square over 2000 repetitions)")
for n in (1, 3, 10, 100):
    samples = truth + sigma * torch.randn(2000, n)
    by_mle = samples.mean(1) - truth
    by_map = torch.stack([gaussian_mean_map(row, sigma, tau) for row in samples]) - truth
    print(f"{n:3} {by_mle.square().mean().sqrt():12.3f} {by_map.square().mean().sqrt():16.3f}")

# %% [markdown]
# With few data the prior helps, though it pulls to 0 and the truth is 2: it trades a little bias for much variance. With many it stops mattering, for it counts like $\sigma^2/\tau^2=4$ observations, however many there are. **Play:** set `truth` to 6, far from what the prior expects.
#
# > **From the notes** (003, lines 304–316, left half empty). MAP is the line above; with a flat prior it is the MLE. The MLE does not "set the samples to their mean": for a *Gaussian's* mean, the plain mean happens to be the answer. The sum of logs needs independent observations, and it is $\ell=\log L$, not $L$.

# %% [markdown]
# ## 6 · One pixel after another
#
# Any distribution is a product of conditionals: $p(x_1,\dots,x_n)=\prod_i p(x_i\mid x_1,\dots,x_{i-1})$, the **chain rule** again. A **fully visible belief network** (FVBN) gives each factor a little model, here a logistic regression on the pixels before it: pixel $i$ is white with probability
# $\operatorname{sigmoid}(b_i+\sum_{j<i}w_{ij}x_j)$. "Fully visible": there is no latent.
#
# Black-and-white images of 3 × 3 pixels come in $2^9=512$ kinds, so everything can be computed exactly. The data: one row or one column is lit, and each pixel is flipped with probability 5 %.

# %%
every_image = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 9)  # (512, 9)
bars = torch.stack([F.one_hot(torch.tensor(i), 3).double()[:, None].expand(3, 3) for i in range(3)])
bars = torch.cat([bars, bars.mT]).flatten(1)  # (6, 9): three rows, three columns
flips = (every_image[:, None] - bars).abs().sum(-1)  # (512, 6): pixels that differ
p_data = (0.05**flips * 0.95 ** (9 - flips)).mean(1)  # (512,), the exact probability of every image

earlier = torch.ones(9, 9, dtype=torch.float64).tril(-1)  # pixel i sees only j < i
w = torch.zeros(9, 9, dtype=torch.float64, requires_grad=True)
b = torch.zeros(9, dtype=torch.float64, requires_grad=True)


def log_p(x):
    """log p(x) of the belief network: a sum over pixels, each given those before it."""
    return -F.binary_cross_entropy_with_logits(x @ (w * earlier).T + b, x, reduction="none").sum(-1)


optimizer = torch.optim.LBFGS([w, b], max_iter=500, line_search_fn="strong_wolfe")


def loss():  # the exact expectation over the data distribution, no sampling
    optimizer.zero_grad()
    value = -(p_data * log_p(every_image)).sum()
    value.backward()
    return value


optimizer.step(loss)
white = p_data @ every_image  # how often each pixel is white
alone = -(white * white.log() + (1 - white) * (1 - white).log()).sum()
print(f"all 512 probabilities sum to {log_p(every_image).exp().sum():.10f}")
print(f"−log p per image: pixels on their own {alone:.3f}, belief network {loss().item():.3f}, "
      f"the best possible (entropy) {-(p_data * p_data.log()).sum():.3f} nats")

# %% [markdown]
# It sums to 1 by construction, because each factor does; that is what "exact" means on the map. What is left to the best possible is due to the logistic factors: whether a column is lit depends on *combinations* of pixels. Sampling goes one pixel after another:

# %%
torch.manual_seed(2)


def draw(n):
    x = torch.zeros(n, 9, dtype=torch.float64)
    for i in range(9):
        x[:, i] = torch.bernoulli(torch.sigmoid(x @ (w.detach() * earlier)[i] + b.detach()[i]))
    return x


def framed(x):  # a grey frame, so that neighbours don't run together
    return F.pad(x.view(-1, 3, 3), (1, 1, 1, 1), value=0.5).flatten(1)


rows = {
    "data": every_image[torch.multinomial(p_data, 16, replacement=True)],
    "belief network": draw(16),
    "pixels on their own": torch.bernoulli(white.expand(16, 9)),
}
plots.images(
    {name: framed(x) for name, x in rows.items()},
    "The network draws bars, pixels on their own do not",
    alt="Sixteen 3 by 3 images each: the data and the belief network show bars, independent pixels do not",
    shape=(5, 5),
)

# %%
samples = draw(200_000)
codes = (samples * 2.0 ** torch.arange(8, -1, -1)).sum(1).long()  # which of the 512
shares = codes.bincount(minlength=512) / len(codes)
print(f"shares of 200,000 draws and exact probabilities differ by at most {(shares - log_p(every_image).exp()).abs().max():.4f}")

# %% [markdown]
# Training sees all pixels at once; drawing takes as many steps as there are pixels. A network with shared weights in place of nine regressions makes this PixelCNN, and with words in place of pixels a language model.
#
# > **From the notes** (003, lines 68 and 246–262). It is a **belief** network, and a VAE is *not* trained with one: autoregressive models are the contrast, they have no latent. They do use maximum likelihood, exactly. An image is the vector of all its pixels. The chain rule reads $p(x_2\mid x_3)\,p(x_3)$ at its end, and any order of the pixels will do.

# %% [markdown]
# ## 7 · How far apart are two distributions?
#
# **Jensen's inequality**: the log is concave, it lies above its chords. So the log of an average is at least the average of the logs, $\log\mathbb E[w]\ge\mathbb E[\log w]$, with equality only if $w$ is constant.
#
# The **Kullback–Leibler divergence** measures how far $p$ is from $q$, seen from $q$:
#
# $$\mathrm{KL}(q\Vert p)=\mathbb E_{q}\big[\log q(z)-\log p(z)\big]\ \ge\ 0 .$$
#
# Why not negative? With $w=p/q$, Jensen says $-\mathrm{KL}=\mathbb E_q[\log w]\le\log\mathbb E_q[w]=\log\int p=\log 1=0$. And 0 only if $p/q$ is constant: if they are equal. It is **no distance**: $\mathrm{KL}(q\Vert p)\ne\mathrm{KL}(p\Vert q)$.
#
# For two Gaussians, put both log-densities in. Under $q$ you know $\mathbb E[(z-\mu_q)^2]=\sigma_q^2$ and $\mathbb E[(z-\mu_p)^2]=\sigma_q^2+(\mu_q-\mu_p)^2$.

# %% [markdown]
# ### Exercise 00.4 · Two Gaussians
# ●●○○○ · 10 min · used in the next cell

# %% exercise="00.4"
def kl_gaussians(mu_q, sigma_q, mu_p, sigma_p):
    """KL(N(mu_q, sigma_q²) ‖ N(mu_p, sigma_p²)) in nats.

    All four are scalar tensors; the sigmas are standard deviations. Returns a scalar tensor.
    """
    ### BEGIN SOLUTION
    return torch.log(sigma_p / sigma_q) + (sigma_q**2 + (mu_q - mu_p) ** 2) / (2 * sigma_p**2) - 0.5
    ### END SOLUTION


# %%
kl_gaussians = check("00.4", kl_gaussians)

# %%
one, other = (torch.tensor(1.0), torch.tensor(0.5)), (torch.tensor(3.0), torch.tensor(2.0))
for name, a, b_ in (("KL(q‖p)", one, other), ("KL(p‖q)", other, one), ("KL(q‖q)", one, one)):
    log_ratio = gaussian_log_density(x, *a) - gaussian_log_density(x, *b_)
    integral = torch.trapezoid(gaussian_log_density(x, *a).exp() * log_ratio, x)
    print(f"{name}: closed form {kl_gaussians(*a, *b_):.4f}, by quadrature {integral:.4f}")

# %% [markdown]
# Does the direction matter? Fit **one** Gaussian $q$ to a $p$ with two humps, $\tfrac12\mathcal N(-3,1)+\tfrac12\mathcal N(3,1)$: once by making $\mathrm{KL}(q\Vert p)$ small, once $\mathrm{KL}(p\Vert q)$. **Predict** where each ends.

# %%
grid = torch.linspace(-15, 15, 30_001, dtype=torch.float64)
log_p_two = torch.logsumexp(torch.stack([gaussian_log_density(grid, torch.tensor(m), torch.tensor(1.0)) for m in (-3.0, 3.0)]), 0) - math.log(2)


def fit_gaussian(direction, start):
    m, log_s = torch.tensor(start, dtype=torch.float64, requires_grad=True), torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([m, log_s], max_iter=200, line_search_fn="strong_wolfe")

    def divergence():
        optimizer.zero_grad()
        log_q = gaussian_log_density(grid, m, log_s.exp())
        a, b = (log_q, log_p_two) if direction == "KL(q‖p)" else (log_p_two, log_q)
        value = torch.trapezoid(a.exp() * (a - b), grid)
        value.backward()
        return value

    optimizer.step(divergence)
    return m.detach(), log_s.detach().exp(), divergence().item()


fits = {}
for direction, start in (("KL(q‖p)", 2.0), ("KL(q‖p)", -2.0), ("KL(q‖p)", 0.1), ("KL(p‖q)", 2.0)):
    m, s, value = fit_gaussian(direction, start)
    fits.setdefault(direction, (m, s))
    print(f"{direction} from {start:+}: mean {m:+.4f}, variance {s**2:.4f}, divergence {value:.4f}")

# %%
figure, axes = plots.picture(1, 2, size=(12, 3.8), sharey=True, alt="Left: q sits on one hump. Right: q covers both and the empty middle.")
titles = {"KL(q‖p)": "KL(q‖p): q picks one hump", "KL(p‖q)": "KL(p‖q): q covers both, and the gap"}
for axis, (direction, (m, s)) in zip(axes, fits.items()):
    axis.fill_between(grid, log_p_two.exp(), alpha=0.35, color="gray", label="p")
    axis.plot(grid, gaussian_log_density(grid, m, s).exp(), label="q")
    axis.set(xlim=(-9, 9), xlabel="z", title=titles[direction])
axes[0].set_ylabel("density")
axes[1].legend()
figure

# %% [markdown]
# $\mathrm{KL}(q\Vert p)$ asks, at the places where **q** is: is there enough $p$? So it avoids the empty middle and settles on a hump; which one, the start decides. (From the middle it may also get stuck across both, a valley of its own but the higher one: third line.) $\mathrm{KL}(p\Vert q)$ asks, where **p** is: is there enough $q$? So it covers both, and takes mean and variance from $p$ (0 and 10).
# VAEs use the first for their latents, because it needs samples from $q$ only. Go back to the widget of section 1 and drag: find the place where both are bad.
#
# > **From the notes** (003, line 270). A KL says how far apart two distributions are, but it is not symmetric, so it is no measure of *similarity between* them; which one stands first matters as much as which one stands second.

# %% [markdown]
# ## 8 · Averages instead of integrals
#
# **Monte Carlo**: to get $\mathbb E[f(z)]$, draw and average. The law of large numbers says that the average arrives; the standard error, $\text{sd}/\sqrt n$, says how far it still is. **Predict:** how many times more draws for one more digit?

# %%
torch.manual_seed(0)
ns = [10, 100, 1000, 10_000, 100_000]
f = lambda z: torch.exp(-z) * (z > 0)  # E f under N(0, 1) has a closed form
exact = math.exp(0.5) * 0.5 * math.erfc(1 / 2**0.5)
errors, stated = [], []
for n in ns:
    values = f(torch.randn(200, n, dtype=torch.float64))
    errors.append((values.mean(1) - exact).square().mean().sqrt().item())  # over 200 repetitions
    stated.append(values[0].std().item() / n**0.5)  # what one run says of itself
figure = plots.lines(
    ns, {"error, root mean square of 200 runs": errors, "standard error that one run states": stated},
    "number of draws n", "error", "A hundred times the draws for one more digit", alt="Both errors fall with slope −½ on log axes",
)
figure.axes[0].set(xscale="log", yscale="log")
print(f"slope on log axes {math.log(errors[-1] / errors[0]) / math.log(ns[-1] / ns[0]):.3f}")
figure

# %% [markdown]
# Now the integral of section 3: $p(x)=\mathbb E_{p(z)}[p(x\mid z)]$ is an average of likelihoods. For an image with hundreds of pixels these are numbers like $e^{-500}$, which a computer rounds to 0. So compute with logs: the log of a mean of exponentials.

# %% [markdown]
# ### Exercise 00.5 · Adding tiny numbers
# ●●○○○ · 5 min · used in the next cell, and in every later lesson

# %% exercise="00.5"
def log_mean_exp(log_w, dim):
    """log of the mean of exp(log_w) along dim, safe for numbers far from 0.

    log_w: any shape; dim: a whole number. Returns log_w's shape without dim.
    """
    ### BEGIN SOLUTION
    return log_w.logsumexp(dim) - math.log(log_w.shape[dim])
    ### END SOLUTION


# %%
log_mean_exp = check("00.5", log_mean_exp)

# %% [markdown]
# Put the tools together. Five hypotheses with prior $p(k)$ and tiny likelihoods $p(x\mid k)$. Take any distribution $q(k)$ and multiply and divide by it under the sum; then Jensen:
#
# $$\log p(x)=\log\sum_k q(k)\,\frac{p(k)\,p(x\mid k)}{q(k)}\ \ge\ \sum_k q(k)\,\log\frac{p(k)\,p(x\mid k)}{q(k)}\;=\;\text{ELBO}(q).$$
#
# The **ELBO** is a lower bound of the log **e**vidence: it is never above it. **Predict:** for which $q$ is it equal?

# %%
prior = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05], dtype=torch.float64)
log_likelihood = torch.tensor([-510.0, -508.0, -507.5, -506.0, -520.0], dtype=torch.float64)
log_joint = prior.log() + log_likelihood
log_evidence = log_mean_exp(log_joint, 0) + math.log(5)  # a sum is five times a mean
best = posterior(prior, (log_likelihood - log_likelihood.max()).exp())
for name, q in (("uniform", torch.full_like(prior, 0.2)), ("prior", prior), ("posterior", best)):
    elbo = (q * (log_joint - q.log())).sum()
    gap = (q * (q.log() - best.log())).sum()
    print(f"q = {name:9}: ELBO {elbo:.4f} + KL(q‖posterior) {gap:.4f} = {elbo + gap:.4f}, log p(x) = {log_evidence:.4f}")

# %% [markdown]
# Equal for the posterior; and what is missing is exactly $\mathrm{KL}(q\Vert\text{posterior})$. So one can find the posterior without ever knowing $p(x)$: climb the ELBO. That sentence is half of this course. (The other half: let a network do it.)
#
# > **From the notes** (003, lines 281–285). This *lower bound* is a number that stays below, not the lower_bound of a sorted list. The *marginal likelihood* is $p(x)$, with the latent summed out.

# %% [markdown]
# ## Recap
#
# | term | one line | section |
# |---|---|---|
# | Bayes, posterior | prior × likelihood, made to sum to 1 | 3 |
# | evidence | what it was divided by; the latent summed out | 3 |
# | density | probability per unit; may exceed 1 | 4 |
# | likelihood | the same formula, read in the parameter | 4 |
# | Gaussian | $-\frac12((x-\mu)/\sigma)^2-\log\sigma-\frac12\log2\pi$ | 4 |
# | MLE, MAP | the parameter that makes the data, or data and prior, most probable | 5 |
# | FVBN | chain rule, one small model a factor; exact, no latent | 6 |
# | KL | how far $p$ is from $q$, seen from $q$; not symmetric | 7 |
# | Monte Carlo | an average with a standard error that falls like $1/\sqrt n$ | 8 |
# | ELBO | below the log evidence by $\mathrm{KL}(q\Vert\text{posterior})$ | 8 |
#
# $$\boxed{\;\log p(x)=\text{ELBO}(q)+\mathrm{KL}\big(q(z)\,\Vert\,p(z\mid x)\big)\;}$$
#
# **Ask yourself**
#
# <details><summary>1. A model's average log p(x) on images is +1200 nats. Is that possible?</summary>
#
# Yes, if the pixels are real numbers: it is a density, and a density may be huge. With black-and-white pixels it would be a probability, and its log can't be above 0.
#
# </details>
# <details><summary>2. You average 50 log-weights instead of taking the log of their average. Too high or too low?</summary>
#
# Too low, by Jensen: the mean of the logs is at most the log of the mean. It is the ELBO of those weights.
#
# </details>
# <details><summary>3. Which KL would you minimise to find one good explanation, and which to be sure that none is missed?</summary>
#
# KL(q‖p) finds one and stays where p is large. KL(p‖q) misses nothing, and pays with mass in between.
#
# </details>
#
# **Next:** lesson 01 squeezes images through a bottleneck, and finds out why that is not yet a generative model.
#
# **References** · the map follows Goodfellow 2016, [arXiv:1701.00160](https://arxiv.org/abs/1701.00160) · FVBN: Frey, Hinton & Dayan 1996; van den Oord et al. 2016 (PixelRNN, PixelCNN), [arXiv:1601.06759](https://arxiv.org/abs/1601.06759) · diffusion: Ho et al. 2020, [arXiv:2006.11239](https://arxiv.org/abs/2006.11239) ·
# diffusion in a VAE's latent space: Rombach et al. 2022, [arXiv:2112.10752](https://arxiv.org/abs/2112.10752) · GSN: Bengio et al. 2014, [arXiv:1306.1091](https://arxiv.org/abs/1306.1091)
