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
# # 04 · The Gaussian ELBO
#
# **What is the VAE's loss, term by term, and does it train?**
#
# At the end you can write the loss of a variational autoencoder from memory, train one in seconds, walk through what it
# has learned, and say in nats how far its bound lies below the truth.
#
# ![Digits decoded from a grid over a two-dimensional latent plane: neighbours look alike, and one digit turns into the next](figures/04_manifold.png)
#
# Each picture above is what one network draws for one pair of numbers. You build that network here. (Yours will be folded differently.)
#
# *75 minutes for sections 1 to 10, and 45 for the rest, which can wait · builds on lesson 02 (encoder, posterior) and lesson 03 (reparameterization) · seven exercises*

# %% [markdown] slide="notes"
# *For the lecturer: sections 2 to 5 belong on the blackboard, 6 to 10 are live, 12 shows the gap as a number. Sections 11 to 15 stand alone and can be homework.*

# %% [markdown] slide="skip"
# Run the cells from the top. Where a cell says *Exercise*, replace the last line of the function with your own code, run it, and run the check below it. Stuck? `hint("04.1")`
# gives the next of three hints, `solution("04.1")` the course's answer. The lesson goes on either way.
#
# Boxes that begin **From the notes** set right what the lecture notes behind this course ask or get wrong. If you don't use the notes, the boxes are still good questions.

# %% slide="skip"
import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from course_lib import data, metrics, models, nets, plots, training
from course_lib.exercises import check, hint, solution
from course_lib.widgets import LatentTraversal

x, y = data.digits("train")  # (N, 784) grey values in [0, 1]; (N,) labels, used for colours only
x_test, y_test = data.digits("test")
print(f"{len(x):,} training images and {len(x_test):,} test images of {x.shape[1]} pixels, on {x.device}")

# %% [markdown]
# ## 1 · One unit for everything
#
# Much confusion about VAEs is about units. In this course:
#
# - **Everything is in nats per image.** A nat is what $-\log p$ measures with the natural logarithm; 1 nat is 1.44 bits.
# - Sum over pixels. Sum over latents. Mean over the images of a batch.
#
# | symbol | shape | meaning | in the notes |
# |---|---|---|---|
# | $x$ | $(B, 784)$ | the observed images, $B$ of them | E, evidence |
# | $z$ | $(B, D)$ | their latent codes, $D$ numbers each | H, hidden |
# | $p(z) = \mathcal N(0, I)$ | | the prior over codes | P(H) |
# | $p_\theta(x\mid z)$ | | the decoder, with weights $\theta$: what an image looks like, given its code | P(E\|H) |
# | $q_\phi(z\mid x) = \mathcal N(\mu, \operatorname{diag}\sigma^2)$ | $\mu$ and $\log\sigma^2$: $(B, D)$ | the encoder, with weights $\phi$: which codes explain this image | q(H\|E) |
# | $\mathrm{KL}(q\,\Vert\,p)=\mathbb E_q[\log q-\log p]$ | $(B,)$ | how far $q$ is from $p$: never negative, 0 only if they are equal (lesson 00) | |
# | ELBO | $(B,)$ | evidence lower bound: a number below $\log p_\theta(x)$ | |
#
# The images are black and white for now. A pixel is drawn white with a probability equal to its grey value: once for the test images, so that all test numbers refer to
# the same pictures, and anew at every step in training. Section 13 asks what happens if you don't.

# %%
torch.manual_seed(0)
x_test = torch.bernoulli(x_test)
plots.images(
    {"grey": x[:12], "black and white": torch.bernoulli(x[:12])},
    "One draw of black and white per image",
    alt="Twelve digits in grey, and the same twelve as pure black and white draws",
)

# %% [markdown]
# ## 2 · The bound, and what it leaves out
#
# You want $\log p_\theta(x)=\log\int p_\theta(x\mid z)\,p(z)\,dz$, the log-probability that the model gives to an image. Lesson 02 found, for any density $q(z\mid x)$,
#
# $$\log p_\theta(x) = \mathbb E_q\big[\log p_\theta(x,z)-\log q(z\mid x)\big] + \mathrm{KL}\big(q(z\mid x)\,\Vert\,p_\theta(z\mid x)\big).$$
#
# and with $\log p_\theta(x,z)=\log p_\theta(x\mid z)+\log p(z)$ put in,
#
# $$\log p_\theta(x) = \underbrace{\mathbb E_q[\log p_\theta(x\mid z)] - \mathrm{KL}\big(q(z\mid x)\,\Vert\,p(z)\big)}_{\text{ELBO}}
# + \underbrace{\mathrm{KL}\big(q(z\mid x)\,\Vert\,p_\theta(z\mid x)\big)}_{\text{gap}\;\ge\;0} .$$
#
# Two terms to learn, and a gap. Check it on a model so small that everything is known: $z\sim\mathcal N(0,1)$, $x\mid z\sim\mathcal N(z, \tfrac12)$
# (the second argument is the variance), one observation $x=1.5$. Then $x\sim\mathcal N(0,\tfrac32)$ and $z\mid x\sim\mathcal N(1,\tfrac13)$ in closed form. Three integrals, one sum:

# %% says="Bound and gap add up to the truth"
def log_normal(v, mean, variance):
    return -0.5 * ((v - mean) ** 2 / variance + math.log(2 * math.pi * variance))


z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
log_prior, log_likelihood = log_normal(z, 0, 1), log_normal(1.5, z, 1 / 2)
log_posterior, log_px = log_normal(z, 1, 1 / 3), log_normal(1.5, 0, 3 / 2)


def elbo_and_gap(mean, variance):
    log_q = log_normal(z, mean, variance)
    expect = lambda f: torch.trapezoid(log_q.exp() * f, z).item()
    return expect(log_likelihood) - expect(log_q - log_prior), expect(log_q - log_posterior)


elbo, gap = elbo_and_gap(mean=0.8, variance=0.5)
print(f"ELBO {elbo:.6f} + gap {gap:.6f} = {elbo + gap:.6f}")
print(f"log p(x)                     {log_px:.6f}, apart by {abs(elbo + gap - log_px):.0e}")

# %% [markdown]
# **Play:** change `mean` and `variance`. Which $q$ makes the gap 0? Predict first; the text above the cell has named it.
#
# > **From the notes** (004, lines 58–91). The notes write $\log p(x) + \mathrm{KL}(q\Vert p(z\mid x)) = \mathbb E_q[\log p(z\mid x)] - \mathrm{KL}(q\Vert p(z))$.
# > The KL on the left carries a **minus**, it is what the bound lacks; and the expectation is over $\log p(x\mid z)$. Then
# > $\sup_q [\log p(x) - \mathrm{KL}] = \log p(x) - \inf_q \mathrm{KL} = \log p(x)$, for fixed $\theta$ and a $q$ that can be anything; with a plus the supremum would be infinite.
# > To read the loss as "reconstruction plus KL" is no misunderstanding: for fixed $\theta$ both readings are the same number, as the cell shows.
#
# > **From the notes** (004, lines 97–102 and 147; 001, lines 74–91). What approximates what? $q_\phi(z\mid x)$, the encoder, approximates the **posterior** $p_\theta(z\mid x)$, not the prior. It is a density over $z$.
# > To maximise the ELBO over $\phi$ is to minimise the KL to the posterior, within the family of $q$; a KL is no distance. The ELBO is *maximised*; reconstruction *error* + KL is what one minimises.
#
# > **From the notes** (003, lines 129–151 and 281–294). *What is the marginal likelihood?* It is $p_\theta(x)$, with $z$ integrated out; "evidence" is another word for it. A *lower bound* is a number that is never above it (not
# > the lower_bound of a binary search). "ELBO up, KL to the posterior down" holds only for fixed $\theta$.
#
# > **From the notes** (002, lines 25, 46, 64–70; 001, line 16). $\int p(z)\,p(x\mid z)$, with its missing $dz$, is the evidence, not the prior; and "entropy = KL + bound" should say **log evidence** = KL + bound. To raise the ELBO is maximum likelihood only
# > if the gap does not change with $\theta$. To flip the sign of a loss is no dual problem. A Monte-Carlo estimate of the ELBO is unbiased for the ELBO, not for $\log p(x)$.

# %% [markdown]
# ## 3 · The KL in closed form
#
# The second term compares the encoder's Gaussian with the prior. The latents are independent under both, so the KL is a sum over latents.
# For one latent,
#
# $$\mathrm{KL} = \mathbb E_q[\log q(z) - \log p(z)]
# = \mathbb E_q\!\Big[-\tfrac12\log\sigma^2 - \tfrac{(z-\mu)^2}{2\sigma^2} + \tfrac12 z^2\Big];$$
#
# the two $\tfrac12\log 2\pi$ cancel. Under $q$ you know $\mathbb E[(z-\mu)^2] = \sigma^2$ and $\mathbb E[z^2] = \mu^2+\sigma^2$. So
#
# $$\mathrm{KL}\big(\mathcal N(\mu,\operatorname{diag}\sigma^2)\,\Vert\,\mathcal N(0,I)\big) = \tfrac12\sum_{d=1}^{D}\big(\mu_d^2+\sigma_d^2-1-\log\sigma_d^2\big).$$
#
# The network gives $\log\sigma^2$ and not $\sigma$: any real number is then a valid output, and no variance is ever 0.

# %% [markdown]
# ### Exercise 04.1 · KL to the prior
# ●●○○○ · 10 min · used in the next cell, in 04.5 and in your VAE

# %% exercise="04.1"
def gaussian_kl(mu, log_var):
    """KL(N(mu, diag(exp(log_var))) ‖ N(0, I)) in nats.

    mu, log_var: (batch, D). Returns (batch,).
    """
    ### BEGIN SOLUTION
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)
    ### END SOLUTION


# %%
gaussian_kl = check("04.1", gaussian_kl)

# %% [markdown]
# A formula deserves a second opinion. The definition is an average over $q$, so draw from $q$ and average. (Three standard errors apart would be a reason to worry.)

# %% says="A million draws agree with the closed form"
torch.manual_seed(0)
mu, log_var = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.25, 2.25]]).log()
q = torch.distributions.Normal(mu, (0.5 * log_var).exp())
prior = torch.distributions.Normal(0.0, 1.0)
draws = q.sample((1_000_000,))
log_ratio = (q.log_prob(draws) - prior.log_prob(draws)).sum(-1)
exact, error = gaussian_kl(mu, log_var).item(), log_ratio.std().item() / len(draws) ** 0.5
print(f"closed form {exact:.6f}   a million draws {log_ratio.mean():.4f} ± {error:.4f}")
print(f"apart by {abs(log_ratio.mean().item() - exact) / error:.1f} standard errors")

# %% [markdown]
# > **From the notes** (004, line 142). The last term is printed as $-\log\det\operatorname{diag}(\sigma)$. It must be $-\log\det\operatorname{diag}(\sigma^2)$.
# > You can see it without algebra: with the slip a KL can be negative.

# %% says="With the slip, a KL can be negative"
variance = torch.tensor(0.25)
print(f"with σ : {0.5 * (variance - 1 - variance.sqrt().log()):.6f}  ← negative, so it is no KL")
print(f"with σ²: {0.5 * (variance - 1 - variance.log()):.6f}")

# %% [markdown]
# ## 4 · A sample that a gradient can pass
#
# The first term is $\mathbb E_{q_\phi}[\log p_\theta(x\mid z)]$. You estimate it with a draw $z\sim q_\phi$. But the draw depends on $\phi$, and a random number
# generator has no derivative. Lesson 03's answer, and there you saw how little noise it makes: draw the noise from a distribution without parameters, and make the sample a function,
#
# $$\epsilon\sim\mathcal N(0, I),\qquad z = \mu + \sigma\odot\epsilon,\qquad \frac{\partial z}{\partial\mu} = 1,\quad \frac{\partial z}{\partial\sigma}=\epsilon .$$

# %% [markdown]
# ### Exercise 04.2 · The sample as a function
# ●○○○○ · 5 min · used in the next cells and in your VAE

# %% exercise="04.2"
def reparameterize(mu, log_var, eps):
    """A sample of N(mu, diag(exp(log_var))) made from standard normal noise eps.

    mu, log_var, eps: (batch, D). Returns (batch, D).
    """
    ### BEGIN SOLUTION
    return mu + (0.5 * log_var).exp() * eps
    ### END SOLUTION


# %%
reparameterize = check("04.2", reparameterize)

# %% says="A gradient passes through the function, not through the draw"
mu, sigma = torch.tensor([[1.0]], requires_grad=True), torch.tensor([[0.5]], requires_grad=True)
drawn = torch.distributions.Normal(mu, sigma).sample()
eps = torch.randn(1, 1)
z = reparameterize(mu, 2 * sigma.log(), eps)
by_mu, by_sigma = torch.autograd.grad(z, [mu, sigma])
print(f"a plain sample knows where it came from: {drawn.requires_grad}")
print(f"∂z/∂μ = {by_mu.item():.4f}   ∂z/∂σ = {by_sigma.item():.4f}   ε = {eps.item():.4f}")

# %% [markdown]
# ## 5 · What a decoder says about pixels
#
# $p_\theta(x\mid z)$ is a distribution over images, not an image. For black-and-white pixels the decoder gives one **logit** $a$ per pixel, white has
# probability $p=\operatorname{sigmoid}(a)$, and pixels are independent given $z$:
#
# $$\log p_\theta(x\mid z)=\sum_{i=1}^{784} x_i\log p_i+(1-x_i)\log(1-p_i).$$
#
# A product of probabilities became a **sum** over pixels. To average here instead would divide this term by 784 and leave the KL as it is; section 15 shows what that does.

# %% [markdown]
# ### Exercise 04.3 · Black and white
# ●●○○○ · 10 min · used in 04.5 and in your VAE

# %% exercise="04.3"
def bernoulli_log_likelihood(x, logits):
    """log p(x|z) of black-and-white images in nats, safe for large logits.

    x: (batch, pixels) of 0 and 1; logits: (batch, pixels). Returns (batch,).
    """
    ### BEGIN SOLUTION
    return -F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    ### END SOLUTION


# %%
bernoulli_log_likelihood = check("04.3", bernoulli_log_likelihood)

# %% [markdown]
# Probabilities sum to 1. With 9 pixels there are 512 images, so you can add them all up. And a decoder that knows nothing, all logits 0, pays $784\log 2$:

# %% says="The probabilities of all images add up to 1"
every_image = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 9)  # (512, 9)
total = bernoulli_log_likelihood(every_image, torch.randn(9).expand(512, 9)).exp().sum()
nothing = -bernoulli_log_likelihood(torch.ones(1, 784).double(), torch.zeros(1, 784).double()).item()
print(f"all 512 images of 3 × 3 pixels together have probability {total:.6f}")
print(f"logits of 0 cost {nothing:.4f} nats, and 784 log 2 = {784 * math.log(2):.4f}")

# %% [markdown]
# If a pixel is a real number, the decoder gives a mean $m$, and a standard deviation $\sigma$ says how far off it may be:
#
# $$\log p_\theta(x\mid z)=\sum_i -\tfrac12\Big(\frac{x_i-m_i}{\sigma}\Big)^2-\log\sigma-\tfrac12\log 2\pi .$$
#
# This is a **density**. It may be above 1, its log may be positive, and it can't be compared with the Bernoulli's numbers.

# %% [markdown]
# ### Exercise 04.4 · Grey values
# ●●○○○ · 10 min · used in the next cell

# %% exercise="04.4"
def gaussian_log_likelihood(x, mean, sigma):
    """log N(x; mean, sigma² I) in nats.

    x, mean: (batch, pixels); sigma: a tensor that broadcasts to them. Returns (batch,).
    """
    ### BEGIN SOLUTION
    error = (x - mean) / sigma
    return (-0.5 * error**2 - torch.log(sigma) - 0.5 * math.log(2 * math.pi)).sum(-1)
    ### END SOLUTION


# %%
gaussian_log_likelihood = check("04.4", gaussian_log_likelihood)

# %% [markdown]
# Which $\sigma$ is best for a given error? Set the derivative with respect to $\sigma$ to 0: $\sum_i (x_i-m_i)^2/\sigma^3 - 784/\sigma = 0$, so $\sigma^2$ is the mean squared error per pixel.
# Guess before you run: how many nats does the usual choice $\sigma=1$ waste on 784 pixels with a mean squared error of 0.05? And how many would a *perfect* decoder then save?

# %% says="The best σ² is the mean squared error"
off = torch.full((1, 784), 0.05).sqrt()  # every pixel is off by √0.05
for sigma in (1.0, 0.5, 0.05**0.5, 0.1):
    cost = -gaussian_log_likelihood(off, 0 * off, torch.tensor(sigma)).item()
    perfect = -gaussian_log_likelihood(0 * off, 0 * off, torch.tensor(sigma)).item()
    best = "   ← σ² = mean squared error" if sigma == 0.05**0.5 else ""
    print(f"σ = {sigma:.4f}: {cost:8.2f} nats, without any error {cost - perfect:7.2f} less{best}")

# %% [markdown]
# Against the best σ, σ = 1 wastes 802 nats; a perfect decoder would save 20 of them.
#
# > **From the notes** (004, lines 125–127, left empty). What to do with continuous outputs: learn $\sigma$, whose optimum is the marked line, or use a density made for
# > $[0,1]$. A fixed $\sigma=1$ makes errors cheap: in the first line the whole error is worth 20 nats, so no code that costs more than that can pay. Section 13 shows what follows. ("Variance $\sigma$" in lines 151 and 157 is $\sigma^2$.)

# %% [markdown]
# ## 6 · The VAE in one screen
#
# The pieces are yours. One is left: put them together.

# %% [markdown]
# ### Exercise 04.5 · The loss
# ●●●○○ · 10 min · used in the next cell

# %% exercise="04.5"
def negative_elbo(x, logits, mu, log_var):
    """−ELBO in nats per image, from one sample z whose decoding is `logits`.

    x, logits: (batch, pixels); mu, log_var: (batch, D). Returns a scalar: the mean over the batch.
    """
    ### BEGIN SOLUTION
    return (gaussian_kl(mu, log_var) - bernoulli_log_likelihood(x, logits)).mean()
    ### END SOLUTION


# %%
negative_elbo = check("04.5", negative_elbo)

# %% slide="code" says="A complete VAE: two networks, a sample, a loss, a loop"
class TinyVAE(nn.Module):
    def __init__(self, pixels=784, hidden=256, latents=2):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latents))
        self.dec = nn.Sequential(nn.Linear(latents, hidden), nn.ReLU(), nn.Linear(hidden, pixels))

    def forward(self, x):
        mu, log_var = self.enc(x).chunk(2, -1)  # (B, D) each
        z = reparameterize(mu, log_var, torch.randn_like(mu))  # (B, D)
        return negative_elbo(x, self.dec(z), mu, log_var)  # nats per image


torch.manual_seed(0)
tiny = TinyVAE().to(x.device)
optimizer = torch.optim.Adam(tiny.parameters(), lr=1e-3)
for step in range(301):
    loss = tiny(torch.bernoulli(x[torch.randint(len(x), (128,))]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 100 == 0:
        print(f"step {step:3}: −ELBO {loss.item():6.1f} nats per image, on this batch")

# %% [markdown]
# That is a complete VAE: two networks, a sample, a loss, a loop. From here on the lesson uses the library's version: `models.VAE` is the same model, `training.fit` the same loop with a progress bar and
# a history. Given images, `models.VAE` returns the terms of its bound: `rec` is $\log p_\theta(x\mid z)$ for each of $k$ draws, `kl` the closed form. Do they agree with yours?

# %% says="Your loss and the library's agree"
vae = models.VAE(tiny.enc, tiny.dec, d=2).to(x.device)  # around the same networks
with torch.no_grad():
    mine = torch.stack([tiny(x_test[:2000]) for _ in range(100)])
    theirs = [vae(x_test[:2000], k=1) for _ in range(100)]  # rec: (k, B), kl: (B,)
theirs = torch.stack([(t.kl - t.rec[0]).mean() for t in theirs])
error = (mine.var() / 100 + theirs.var() / 100).sqrt()
print(f"yours {mine.mean():.3f}   the library's {theirs.mean():.3f}   ± {error:.3f}")
print(f"{sum(p.numel() for p in tiny.parameters()):,} parameters; the notes count 404,244")

# %% [markdown]
# > **From the notes** (001, lines 164–274). The Keras notebook of the notes has this architecture and stops in "Epoch 1/50" with `_SymbolicException`: its loss holds on to `z_mean` and `z_log_var`
# > as default arguments, symbols from when the graph was built, and they mean nothing for a batch of real numbers. Compute the loss in `forward`, from this batch's own tensors, and it runs.
# > Two remarks: `latent_dim = 2` is the number of latents, not "mean and variance"; and that the classes cluster well is written above a cell that never ran. Section 9 runs it.

# %% [markdown]
# ## 7 · Does it train?
#
# The same 784–256–2–256–784 on all training images. The learning rate rises, then falls along a cosine (`one_cycle`).
#
# **Predict** before you run: the loss falls. Does the KL fall with it, or rise?

# %%
def new_vae(latents=2, kind=models.VAE, seed=0, **more):
    torch.manual_seed(seed)
    model = kind(nets.mlp(784, 256, 2 * latents), nets.mlp(latents, 256, 784), latents, **more)
    return model.to(x.device)


vae = new_vae(latents=2)
before = training.evaluate(vae, x_test)
recipe = {"schedule": training.one_cycle, "transform": torch.bernoulli}  # fresh black and white
run = training.fit(vae, x, epochs=7, lr=4e-3, test=x_test, watch=plots.LiveHistory(7), **recipe)

# %% says="The loss falls, and the KL rises"
after = {name: run[f"test_{name}"][-1] for name in ("objective", "rec", "kl")}
for when, terms in (("before", before), ("after", after)):
    elbo, rec, kl = (terms[name] for name in ("objective", "rec", "kl"))
    print(f"{when:6}: −ELBO {-elbo:.2f} = −log p(x|z) {-rec:.2f} + KL {kl:.2f}")

# %% [markdown]
# Training lies above test at first because it is a mean over the epoch, and test is measured at its end.
#
# The KL ends far above its start. Within the first epoch it leaps up and falls back, when codes that lie too wide for the prior are pulled in (the first training point averages over that); then it **rises** slowly.
# It pays for telling images apart: a fresh encoder gives every image nearly the same $q$ and pays nothing. The two parts add up to the loss, on screen, in one unit.
#
# > **From the notes** (001, line 92; 002, line 52). "q is made a zero-mean Gaussian": the KL pulls each posterior towards the prior, but if all of them arrived, the code would say nothing.
# > That is collapse, not the aim. And the naive gradient with the high variance is the one for $\phi$; for $\theta$ plain Monte Carlo is fine.

# %% [markdown]
# ## 8 · One bound, two estimators
#
# You have just trained with this estimate of the ELBO, call it B. There is another, A, that needs no closed form. For a draw $z\sim q$:
#
# $$\text{A:}\quad \log p_\theta(x\mid z)-\big[\log q_\phi(z\mid x)-\log p(z)\big]\qquad\qquad
# \text{B:}\quad \log p_\theta(x\mid z)-\mathrm{KL}\big(q_\phi(z\mid x)\,\Vert\,p(z)\big).$$
#
# Both are right on average. B puts an exact number where A has a noisy one. **Predict:** is B the less noisy one, as a value? As a gradient? In a fresh network, and in a trained one?
#
# `models.VAE` returns A's bracket as `log_ratio`, a number for each draw and image. The cell repeats the estimate many times and compares variances, with 20 latents and three seeds.

# %%
def estimators(t):
    return {"A": t.rec - t.log_ratio, "B": t.rec - t.kl}  # (k, images) each


def gradients(model, x, draws=60):
    """Draws of each estimator's gradient for the encoder's last layer, {name: (draws, P)}."""
    weights, grads = model.enc[-1].weight, {"A": [], "B": []}
    for _ in range(draws):
        for name, bound in estimators(model(x)).items():
            grads[name].append(torch.autograd.grad(bound.mean(), weights, retain_graph=True)[0].flatten())
    return {name: torch.stack(g) for name, g in grads.items()}


# %% says="The means agree; the variances tell two stories"
print("                mean of A         mean of B      variance of A / variance of B")
print("seed  stage                                      as a value    as a gradient")
for seed in range(3):
    model = new_vae(latents=20, seed=seed)
    for stage in ("fresh", "trained"):
        if stage == "trained":
            training.fit(model, x[:20_000], epochs=2, lr=2e-3, **recipe)
        with torch.no_grad():
            values = estimators(model(x_test[:100], k=400))
        a, b = (f"{v.mean():.2f} ± {v.mean(1).std() / 20:.2f}" for v in values.values())
        value = values["A"].var(0).mean() / values["B"].var(0).mean()
        noise = {name: g.var(0).sum() for name, g in gradients(model, x_test[:100]).items()}
        print(f"{seed:4}  {stage:8} {a:>16} {b:>17} {value:10.2f} {noise['A'] / noise['B']:15.2f}")

# %% [markdown]
# The means agree. The variances tell two stories.
#
# As a **value**, A is the quieter one as soon as the network has learned something. A draw far from $\mu$ lowers $\log p_\theta(x\mid z)$, and it lowers $\log q_\phi(z\mid x)$; in A the two partly cancel.
# If $q$ were the exact posterior they would cancel completely: $\log p_\theta(x\mid z)+\log p(z)-\log q(z\mid x)=\log p_\theta(x)$ for *every* $z$.
#
# As a **gradient**, which is what training uses, B is the quieter one, several times in a fresh network and a little in a trained one. Even at an exact posterior $\mathcal N(m, s^2)$, where A's value is constant, its gradient for $\mu$ has
# variance $1/s^2$, and B's has $(1/s-s)^2$: far less where $q$ is close to the prior ($s\approx1$), nearly the same once posteriors are narrow. (What is left in A has mean 0, and can be dropped: [Roeder et al. 2017](https://arxiv.org/abs/1703.09194).)
# So train with B.
#
# > **From the notes** (001, lines 4–25; 000, lines 105 and 157–165). *How does one learn with intractable posteriors and much data?* With three things that the notes mix up: reparameterization is the **trick**, SGVB is the **estimator** built with it
# > (A or B), AEVB is the **algorithm**: SGVB, an encoder, minibatches ([Kingma & Welling 2014](https://arxiv.org/abs/1312.6114)). And "the closed-form KL stabilises the model": what it steadies is the gradient's estimator.
#
# > **From the notes** (001, line 101). To draw $\epsilon$ instead of $z$ makes the samples no less variable, they have the same distribution. What changes is the gradient.

# %% [markdown]
# ### One batch for a whole data set
#
# The bound of a data set of $N$ images is the sum of $N$ ELBOs. A step of training sees $M$ of them.

# %% [markdown]
# ### Exercise 04.6 · A batch stands for all
# ●○○○○ · 5 min · used in the next cell

# %% exercise="04.6"
def minibatch_bound(elbos, dataset_size):
    """An unbiased estimate of the ELBO of the whole data set, in nats, from a random batch of it.

    elbos: (M,), the ELBO of each image of the batch; dataset_size: N. Returns a scalar tensor.
    """
    ### BEGIN SOLUTION
    return dataset_size * elbos.mean()
    ### END SOLUTION


# %%
minibatch_bound = check("04.6", minibatch_bound)

# %% says="A batch of 128 stands for all, without bias"
with torch.no_grad():
    t = vae(x_test)
elbos = (t.rec - t.kl)[0]  # (N,)
batches = [minibatch_bound(elbos[torch.randint(len(elbos), (128,))], len(elbos)) for _ in range(2000)]
mean, error = torch.stack(batches).mean(), torch.stack(batches).std() / len(batches) ** 0.5
print(f"all {len(elbos):,} test images: {elbos.sum():,.0f} nats")
print(f"mean of 2000 estimates from batches of 128: {mean:,.0f} ± {error:,.0f}")

# %% [markdown]
# The factor $N/M$ is the same at every step, so training leaves it out: it only scales the learning rate. It comes back as soon as a term that counts once for the whole data set joins the loss, such as a prior on $\theta$.

# %% [markdown]
# ## 9 · The latent plane
#
# Each test image becomes a point, the mean $\mu$ of its $q(z\mid x)$. The labels only choose colours; the model never saw them.

# %%
codes = vae.encode(x_test).detach()
plots.codes(
    codes,
    y_test,
    "Digits of one class gather, though nobody told them to",
    alt="Scatter of 2-D codes coloured by digit: some classes lie apart, others share the centre",
    limit=4,
)

# %% [markdown]
# "Clusters well" is a claim, so put numbers on it: let the ten nearest codes vote for the label, and see which pairs are mixed up.

# %% says="Far better than guessing, far from “well”"
from sklearn.metrics import confusion_matrix
from sklearn.neighbors import KNeighborsClassifier

voters = vae.encode(torch.bernoulli(x[:20_000])).detach().cpu()
named = KNeighborsClassifier(10).fit(voters, y[:20_000].cpu()).predict(codes.cpu())
confused = confusion_matrix(y_test.cpu(), named)
print(f"the ten nearest codes name the digit in {np.trace(confused) / len(named):.1%} of the test images (guessing: 10%)")
mixed = np.triu(confused + confused.T, 1)
for i in mixed.ravel().argsort()[::-1][:4]:
    print(f"  {i // 10} and {i % 10} are taken for each other {mixed.ravel()[i]} times")

# %% [markdown] slide="notes"
# So: far better than guessing, far from "well". Some classes stand apart, the pairs above share their room; two latents are too few for ten classes.
#
# Now the other direction. To see what the decoder does across the plane, step through it evenly, in **probability**: the prior has the same mass between any two neighbours.

# %% [markdown]
# ### Exercise 04.7 · Even steps under the prior
# ●●○○○ · 5 min · used in the next cell

# %% exercise="04.7"
def prior_quantiles(n):
    """The z below which N(0, 1) has n even levels of probability from 0.05 to 0.95. Returns (n,)."""
    ### BEGIN SOLUTION
    return torch.distributions.Normal(0.0, 1.0).icdf(torch.linspace(0.05, 0.95, n))
    ### END SOLUTION


# %%
prior_quantiles = check("04.7", prior_quantiles)

# %% figure="04_manifold"
steps = prior_quantiles(15).to(x)
with torch.no_grad():
    sheet = vae.decode(torch.cartesian_prod(steps, steps)).reshape(15, 15, 784)
plots.manifold(
    sheet,
    "$z_1$ to the right, $z_2$ up, from −1.64 to 1.64: one digit turns into the next",
    alt="15 by 15 decoded digits over the latent plane, neighbours alike",
)

# %% [markdown]
# The sheet covers the middle 0.9 × 0.9 = 81 % of the prior. Compare it with the scatter: which classes live mostly outside it?

# %%
with torch.no_grad():
    again = vae.decode(vae.encode(x_test[:12]))
    drawn = vae.decode(torch.randn(12, 2, device=x.device))
plots.images(
    {"test image": x_test[:12], "reconstruction": again, "from the prior": drawn},
    "Two numbers keep the rough shape, but not always the class",
    alt="Twelve test digits, their reconstructions, some as another digit, and twelve decoded prior draws",
)

# %% [markdown]
# The decoder shows means of $p_\theta(x\mid z)$: a grey pixel is a probability of white, so blur is doubt. Two numbers can't hold a digit's class, slant and width all at once; section 14 gives the model more.
#
# > **From the notes** (003, line 177). The encoder gives a mean and a variance; $z$ is a *sample*.

# %% [markdown]
# ## 10 · Play: walk through the plane
#
# Drag over the plane, or focus it and use the arrow keys. The picture is decoded in your browser, at every move.
#
# 1. Walk from the 0s to the 6s, and from the 7s to the 9s. Does the picture jump, or is there something in between that is both?
# 2. Walk outwards, beyond the last codes. What does the decoder draw where it was never asked?
# 3. Find two classes whose regions touch. Is any class cut in two?
# 4. Press **Train one more epoch** a few times. It trains on with a large step: does the plane fold differently, or only sharpen?

# %%
walker = copy.deepcopy(vae)  # so that the numbers below stay those of the model above


def one_more_epoch():
    h = training.fit(walker, x, epochs=1, lr=2e-3, transform=torch.bernoulli, test=x_test, seed=None)
    return f"test −ELBO {-h['test_objective'][-1]:.2f} nats"


LatentTraversal(walker, x_test[:2000], y_test[:2000], train=one_more_epoch)

# %% [markdown]
# ## 11 · Whose draws are digits?
#
# Lesson 01's table had three reasons why an autoencoder can't generate, and an empty column: codes **off-centre and lopsided**, classes with **very unequal room**, and **gaps** where a decoded code is no digit.
# Here autoencoders and VAEs with twenty latents get the same hidden layers, the same black-and-white images, the same steps; the autoencoder's loss is the squared error. Beside them stand your two-latent VAE, which fills the empty column, and two-latent autoencoders.
#
# **Predict:** of which model are most draws recognised? And is there a model that never draws some digit?

# %%
reader = metrics.classifier(x[:20_000], y[:20_000])


def trained(model, seed):
    training.fit(model, x[:20_000], epochs=5, lr=4e-3, seed=seed, **recipe)
    return model


def new_ae(latents, seed):
    torch.manual_seed(seed)
    return models.AE(nets.mlp(784, 256, latents), nets.mlp(latents, 256, 784), latents)

# %% says="The KL rounds the cloud; draw by draw neither model is good"
contestants = {
    "AE, 2": [trained(new_ae(2, seed), seed) for seed in range(3)],
    "VAE, 2": [vae],
    "AE, 20": [trained(new_ae(20, seed), seed) for seed in range(3)],
    "VAE, 20": [trained(new_vae(20, seed=seed), seed) for seed in range(3)],
}
torch.manual_seed(0)
table = {name: [metrics.three_failures(m, x_test, y_test, reader) for m in found] for name, found in contestants.items()}
wanted = metrics.code_cloud(torch.randn(10_000, 20), torch.arange(10_000) % 10)
real = metrics.recognised(reader, data.digits("test")[0])["share recognised"]  # what it makes of real images
print(f"{'mean ± spread over seeds':40}" + "".join(f"{name:>14}" for name in table) + "    wanted")
for row in table["VAE, 2"][0]:
    cells = [torch.tensor([found[row] for found in reports]) for reports in table.values()]
    spread = [f"± {c.std():.2f}" if len(c) > 1 else " " * 6 for c in cells]
    best = wanted.get(row, 0.1 if "rarest" in row else real)
    print(f"{row:40}" + "".join(f"{c.mean():7.2f} {s}" for c, s in zip(cells, spread)) + f"{best:10.2f}")

# %%
torch.manual_seed(1)
z = torch.randn(12, 20, device=x.device)
with torch.no_grad():
    rows = {name: contestants[name][0].decode(z).clamp(0, 1) for name in ("AE, 20", "VAE, 20")}
plots.images(
    rows,
    "The prior decoded: nobody taught the autoencoder these codes",
    alt="Twelve decoded prior draws of a twenty-latent autoencoder, and twelve of a twenty-latent VAE",
)

# %% [markdown]
# With twenty latents, the autoencoder's cloud lies off-centre and several times as long as wide, and at least one digit hardly ever comes out of the prior: nothing in its loss says where codes should be. In the VAE the KL does: its cloud is nearer
# to 0 and rounder, its classes have nearly equal room, and every digit appears. With two, the whole cloud is fine in both models, and the classes must fight for room in both.
#
# But draw by draw neither is good, and by this count the VAE is no better than the autoencoder. (Look at the pictures before you believe a classifier: it can be sure of a scrawl.) Why are so few recognised? Decoded codes of *images* are, so it is not the decoder. The prior's draws fall where no code lies. To pull each posterior
# towards the prior is not the same as to fill the prior, and lesson 07 returns to those holes. With two latents there are fewer holes to fall into, and the doubt is the decoder's own.
#
# > **From the notes** (000, line 101; 004, lines 42–53). The notes say the prior has no effect, having no parameters. It is inside the KL, and so it decides where every code goes: compare the columns. (004 writes $p(x)=\mathcal N(0,I)$
# > for $p(z)$, and $f(x;\phi)$ for the decoder $f(z;\theta)$.) That each latent stands for one independent factor is **not** what this loss asks for; lesson 06 does.

# %% [markdown]
# ## 12 · How large is the gap?
#
# The ELBO is below $\log p_\theta(x)$, but how far? With many latents nobody can say exactly. With two, the integral over $z$ is, nearly, a sum over the centres $z_g$ of a fine grid of cells with side $\Delta$, here $256^2$ cells over $[-5,5]^2$:
#
# $$\log p_\theta(x)\approx\log\sum_{g} p_\theta(x\mid z_g)\,p(z_g)\,\Delta^2 .$$
#
# The ELBO's expectation needs no random draws either: as in lesson 02, 24 × 24 fixed points with weights replace them.
#
# **Predict:** is the gap of a typical test image nearer to 0.1, 1 or 10 nats? And of the worst one among 300?

# %% says="A typical gap is about a nat; a few are very large"
def quadrature_elbo(model, x, nodes=24):
    """The ELBO of each image, (B,), with its expectation by Gauss–Hermite quadrature."""
    eps, weight = metrics.normal_nodes(nodes, dtype=x.dtype, device=x.device)
    q = model.q_z(x)
    rec = model.p_x(q.mean + q.stddev * eps[:, None]).log_prob(x)  # (nodes², B)
    return weight @ rec - torch.distributions.kl_divergence(q, model.p_z())


def exact_gaps(images):
    with torch.no_grad():
        log_p = metrics.log_px_grid(vae, images, n=256, limit=5.0)
        return log_p, log_p - torch.cat([quadrature_elbo(vae, part) for part in images.split(100)])


log_p, gap = exact_gaps(x_test[:300])
_, gap_train = exact_gaps(torch.bernoulli(x[:300]))
print(f"300 test images: log p(x) {log_p.mean():.2f}, ELBO {(log_p - gap).mean():.2f} on average")
for name, g in (("test", gap), ("training", gap_train)):
    mean = f"mean {g.mean():.2f} ± {g.std() / 300**0.5:.2f}"
    print(f"  gap, {name:8}: median {g.median():.2f}, {mean}, smallest {g.min():.3f}, largest {g.max():.1f}")

# %% [markdown]
# How exact is "exact"? A finer grid, or fewer points, should hardly move the numbers.

# %% says="A finer grid hardly moves the numbers"
some = x_test[:100]
with torch.no_grad():
    by_grid = (metrics.log_px_grid(vae, some, n=384) - log_p[:100]).abs()
    by_nodes = (quadrature_elbo(vae, some, nodes=16) - (log_p - gap)[:100]).abs()
print(f"384² cells instead of 256² move log p(x) by {by_grid.mean():.4f} on average, {by_grid.max():.3f} at most")
print(f"16² points instead of 24² move the ELBO by {by_nodes.mean():.4f} on average, {by_nodes.max():.3f} at most")

# %% [markdown]
# A typical gap is about a nat; the mean is larger because of a long tail. It is much the same on training images, so the encoder does not miss because an image is new to it. Look at the median image and at the worst: colour is the true $p_\theta(z\mid x)$ on a grid, the ellipse is $q_\phi(z\mid x)$ at two standard deviations.

# %% says="The ellipse should cover the colour; at worst it lies elsewhere"
order = gap.argsort()
chosen = {"median": order[150].item(), "worst": order[-1].item()}
panels = {}
for name, i in chosen.items():
    image = x_test[i : i + 1]
    title = f"{name} image: gap {gap[i]:.1f} nats"
    panels[title] = (image, *metrics.posterior_around(vae, image), vae.q_z(image))
plots.posteriors(
    panels,
    alt="For the median image the ellipse covers the posterior roughly, for the worst one it lies apart",
)

# %% [markdown]
# Is it the Gaussian that can't fit, or the encoder that missed? Take the ten images with the largest gaps, give each a $\mu$ and a $\log\sigma^2$ of its own, start at the encoder's and, a second time, at the posterior's peak, and move uphill on the ELBO. **Predict** how much of the gaps is left.

# %% says="Most of the worst gaps is the encoder's miss, not the Gaussian's"
ten = order[-10:]
encoders = vae.enc(x_test[ten]).detach()  # (10, 4): mu beside log_var
peaks = metrics.grid(256)[metrics.joint_on_grid(vae, x_test[ten], n=256)[0].argmax(0).cpu()].to(x)
params = torch.cat([encoders, torch.cat([peaks, encoders[:, 2:]], 1)]).requires_grad_()  # two starts
images = x_test[ten].repeat(2, 1)
optimizer = torch.optim.Adam([params], lr=0.05)
for _ in range(400):
    mu, log_var = params.chunk(2, -1)
    z = reparameterize(mu, log_var, torch.randn(8, 20, 2, device=x.device))  # 8 draws for each
    loss = (gaussian_kl(mu, log_var) - vae.p_x(z).log_prob(images).mean(0)).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
own = models.VAE(lambda x: params.detach(), vae.dec, d=2).to(x.device)  # its encoder knows these images
left = (log_p[ten].repeat(2) - quadrature_elbo(own, images).detach()).reshape(2, 10)
print("gap with the encoder's q:       ", " ".join(f"{g:5.1f}" for g in gap[ten]))
print("own q, uphill from the encoder's:", " ".join(f"{g:5.1f}" for g in left[0]))
print("own q, the better of two starts: ", " ".join(f"{g:5.1f}" for g in left.min(0).values))

# %% [markdown]
# What the best $q$ regains is the **amortization gap**, the price of one network for all images; what it leaves is the **approximation gap**, the price of the Gaussian. The last line is an upper bound on it, for uphill may end on the wrong hill: the
# second line shows where that happened. For lesson 02's lamp the family of $q$ cost more than the network; on these ten images the network costs more,
# and so it does in [Cremer et al. 2018](https://arxiv.org/abs/1801.03558).
#
# When there are too many latents for a grid, people estimate $\log p_\theta(x)$ by importance sampling ([Burda et al. 2016](https://arxiv.org/abs/1509.00519)), $\log\frac1k\sum_j w_j$ with $w_j = p_\theta(x\mid z_j)\,p(z_j)/q_\phi(z_j\mid x)$ and $z_j\sim q_\phi$. Where $q$ missed, so do the draws.
# The effective sample size, $(\sum w_j)^2/\sum w_j^2$, says how many of them count, as in lesson 02; when all of them miss, it does not know.

# %% says="Where all draws miss, more of them hardly help"
for k in (10, 100, 1000):
    estimate, size = metrics.log_px(vae, x_test[:200], k=k)
    short = estimate - log_p[:200]
    print(f"k = {k:4}: {short.mean():6.2f} nats from the grid on average, {short.min():7.2f} at worst; "
          f"effective sample size {size.median():.0f} (median)")

# %% [markdown]
# More draws help slowly on average, and hardly at all where all of them miss: which one then lies nearest is luck, and the effective sample size shows none of it.
#
# > **From the notes** (004, lines 34–36 and 111). "Measure the likelihood of a new image" is this section: a grid, importance sampling, or the bound. And what a Gaussian $q$ suffers from is a *posterior* with two humps, not such a prior.
#
# > **From the notes** (002, lines 61–76; 001, lines 47–49 and 130). $\phi$ belongs to the variational posterior and $\theta$ to the decoder; this prior has no parameters. $p(x)$ is hard because the integral is nonlinear and high-dimensional, not because
# > $z$ is unknown: in two dimensions a grid does it. And "Gaussian" is assumed of $q(z\mid x)$, not of the true posterior $p(z\mid x)$.

# %% [markdown]
# ## 13 · Grey pixels
#
# The images *are* grey, and a Bernoulli knows only 0 and 1. A lot of code passes grey values anyway. What does the loss mean then? It is linear in $x$, so it is an average:
#
# $$x\log p+(1-x)\log(1-p)=\mathbb E_{b\sim\text{Bernoulli}(x)}\big[b\log p+(1-b)\log(1-p)\big].$$
#
# It is about the **black-and-white draws** of the image, on average. About the grey image it says nothing, and a perfect reconstruction does not cost 0:

# %% says="A perfect reconstruction of a grey image still costs nats"
grey = data.digits("test")[0][:2000]
logits = vae.dec(vae.encode(grey)).detach()
cross_entropy = F.binary_cross_entropy_with_logits(logits[0], grey[0], reduction="sum")
draws = bernoulli_log_likelihood(torch.bernoulli(grey[:1].expand(10_000, -1)), logits[:1].expand(10_000, -1))
print(f"one image: cross-entropy {cross_entropy:.2f}, mean −log p of 10 000 draws {-draws.mean():.2f} ± {draws.std() / 100:.2f}")
floor = torch.distributions.Bernoulli(probs=grey.clamp(1e-6, 1 - 1e-6)).entropy().sum(-1).mean()
print(f"a perfect reconstruction of a grey test image would still cost {floor:.1f} nats")

# %% [markdown]
# If you want a density of grey images, choose one: a Gaussian, with $\sigma$ fixed or learned, or the *continuous Bernoulli* ([Loaiza-Ganem & Cunningham 2019](https://arxiv.org/abs/1907.06845)), which divides $p^x(1-p)^{1-x}$ by its
# integral over $[0,1]$, so that it is a density there. Its mean is no longer $p$.

# %% says="The grey loss is no density; the continuous Bernoulli is one"
from torch.distributions import ContinuousBernoulli

pixel = (torch.arange(10_000) + 0.5) / 10_000  # the midpoints of [0, 1]
print("logit    e^(−cross-entropy) integrates to  continuous Bernoulli   with mean")
for a in (0.0, -3.0, -10.0):
    grey_loss = torch.exp(pixel * F.logsigmoid(torch.tensor(a)) + (1 - pixel) * F.logsigmoid(torch.tensor(-a)))
    density = ContinuousBernoulli(logits=torch.tensor(a))
    print(f"{a:5} {grey_loss.mean():20.4f} {density.log_prob(pixel).exp().mean():26.4f} {density.mean:17.4f}")

# %% [markdown]
# Four decoders, twenty latents, the same training. **Predict:** which one uses the fewest latents?

# %% says="With σ = 1 most latents go dead"
kinds = {
    "cross-entropy": new_vae(20, models.GreyVAE),
    "Gaussian, σ = 1": new_vae(20, models.GaussianVAE, sigma=1.0),
    "Gaussian, σ learned": new_vae(20, models.GaussianVAE),
    "continuous Bernoulli": new_vae(20, models.ContinuousBernoulliVAE),
}
rows = {"test image": grey[:10]}
print("                                 latents with   mean squared error")
print("decoder                    KL     KL > 0.1      from μ      from a draw")
for name, model in kinds.items():
    training.fit(model, x[:8000], epochs=8, lr=3e-3, schedule=training.one_cycle)
    with torch.no_grad():
        q, rows[name] = model.q_z(grey), model.decode(model.encode(grey[:10])).clamp(0, 1)
        kl = 0.5 * (q.mean**2 + q.variance - 1 - q.variance.log()).mean(0)  # per latent
        errors = [(model.decode(z) - grey).square().mean() for z in (q.mean, q.sample())]
    learned = f"   σ² = {model.log_sigma.exp().item() ** 2:.4f}" if "learned" in name else ""
    print(f"{name:22} {kl.sum():6.1f} {(kl > 0.1).sum():9} {errors[0]:15.4f} {errors[1]:12.4f}{learned}")

# %%
plots.images(
    rows,
    "With σ = 1 the reconstructions are the blurriest",
    alt="Ten test digits and their reconstructions under four decoders",
)

# %% [markdown]
# The bounds of the four can't be compared: the first is about black and white, the others are densities. These columns can. With $\sigma=1$ an error costs so little that most latents are not worth their KL, and they
# go dead. In a linear VAE one can prove that the likelihood itself wants it so and the bound adds nothing ([Lucas et al. 2019](https://arxiv.org/abs/1911.02469), lesson 10); in a deep one it is the first suspect.
# Learned, $\sigma^2$ has come down from its start, 0.04, towards the mean squared error of draws, its optimum by section 5; the steps were too few to arrive. The continuous Bernoulli can't draw true black: its mean is about $1/|\text{logit}|$, hence the grey background.
#
# > **From the notes** (001, lines 246–257). The Keras code feeds grey values to a binary cross-entropy: the first row.

# %% [markdown]
# ## 14 · More latents
#
# Two latents make good pictures, not a good model. **Predict:** with 4000 training images and more and more latents, does the *test* bound get worse at some point?

# %% says="Spare latents cost on training images, too: no overfitting"
numbers, small = (2, 5, 10, 20, 50), x[:4000]
torch.manual_seed(1)
sets = {"training images": torch.bernoulli(small), "test images": x_test[:5000]}
curves = {name: [] for name in sets}
for d in numbers:
    model = new_vae(d)
    training.fit(model, small, epochs=16, lr=3e-3, **recipe)
    for name, images in sets.items():
        curves[name].append(-training.evaluate(model, images)["objective"])
    q = model.q_z(x_test[:5000])
    used = 0.5 * (q.mean**2 + q.variance - 1 - q.variance.log()).mean(0) > 0.1
    train, test = (values[-1] for values in curves.values())
    print(f"{d:3} latents, {used.sum():2} in use: −ELBO training {train:.1f}, test {test:.1f}, apart by {test - train:.1f}")
plots.lines(
    numbers,
    curves,
    "number of latents",
    "−ELBO, nats per image",
    "More latents help until they are enough; spare ones cost a little",
    alt="−ELBO against 2, 5, 10, 20, 50 latents for training and test images, side by side",
)

# %% [markdown]
# From 20 to 50 latents the test bound does get worse, but the training bound gets worse by as much: that is not overfitting. After so few steps most of the 50 latents are in use and not yet worth their KL; at the optimum a latent that helps
# nobody goes back to the prior and costs nothing. The distance between the curves is overfitting, of the decoder's weights, which no KL brakes. It stays within a few nats here; what makes it grow is *time* on so few images. Try 100 epochs.
#
# **Play:** here are twenty latents of section 11. Each strip moves one of them through the place where you stand. Which latents turn one digit into another, and which only lean or thicken it?

# %% says="Which latents turn one digit into another?"
LatentTraversal(contestants["VAE, 20"][0], x_test[:2000], y_test[:2000])

# %% [markdown]
#
# > **From the notes** (000, lines 177–179). The notes hope that with such small variance there are "no more worries about inference". There are: the gap of section 12, latents that die (lesson 10), latents that are discrete (lesson 03).

# %% [markdown]
# ## 15 · The β hidden in a mean
#
# A loss is known up to a factor: $a\sum_\text{pixels}(-\log p) + b\sum_\text{latents}\mathrm{KL}$ has the same minimiser as $-\log p_\theta(x\mid z) + \beta\,\mathrm{KL}$ with $\beta=b/a$.
# A mean over 784 pixels is $a=1/784$, a mean over $D$ latents is $b=1/D$. A squared error is, up to a constant, twice the Gaussian's $-\log p$ at $\sigma=1$: $a=2$. So every way of reducing a loss has a $\beta$ in *these* units:

# %% says="Every way of reducing a loss hides a β"
from course_lib.objectives import effective_beta

ways = {
    "mean over pixels, sum over latents": effective_beta(784, 2, rec="mean"),
    "mean over pixels, mean over latents": effective_beta(784, 2, rec="mean", kl="mean"),
    "784 × the mean over pixels, sum over latents (the notes' code)": effective_beta(784, 2),
    "squared error and KL, both summed (with σ = 1)": effective_beta(784, 2, squared_error=True),
    "mean squared error, 0.001 × the KL summed (with σ = 1)": effective_beta(
        784, 2, rec="mean", weight=0.001, squared_error=True
    ),
}
for way, beta in ways.items():
    print(f"β = {beta:6.4g}   {way}")

# %% [markdown]
# Is that a matter of taste? Train with the first line, a slip that is easy to make:

# %% says="With a hidden β of 784 the code says nothing"
def with_a_pixel_mean(t):
    return (t.rec.mean(0) / 784 - t.kl).mean()


hidden = new_vae(latents=2)
training.fit(hidden, x[:20_000], objective=with_a_pixel_mean, epochs=4, lr=4e-3, **recipe)
measured = training.evaluate(hidden, x_test)
print(f"KL {measured['kl']:.4f} nats, −ELBO {-measured['objective']:.1f}")
with torch.no_grad():
    rows = {"test image": x_test[:10]}
    for name, model in {"β = 1": vae, "β = 784": hidden}.items():
        rows[name] = model.decode(model.encode(x_test[:10]))
plots.images(
    rows,
    "With a hidden β of 784 every image gets the same answer",
    alt="Test digits, reconstructions with β = 1, and one identical blur for the hidden β of 784",
)

# %% [markdown]
# The reason in one line: $-\log p\ge 0$, so a code can save at most what the constant answer costs, the −ELBO printed above. At 784 a nat, the best KL is below that number divided by 784.
#
# ## Recap
#
# 1. $\log p(x) = \text{ELBO} + \mathrm{KL}(q\Vert p(z\mid x))$: what the bound lacks is the divergence of $q$ from the posterior.
# 2. The loss has two terms in one unit: sum over pixels, sum over latents, mean over images.
# 3. $z=\mu+\sigma\epsilon$ lets the gradient through; the closed-form KL makes it quieter.
# 4. The decoder is a distribution. Which one you choose decides what errors cost, and so which latents live.
# 5. With two latents the gap can be measured: a nat for most images, many for those that the encoder misses.
#
# With $\epsilon\sim\mathcal N(0,I)$, $z=\mu+\sigma\odot\epsilon$ and $p=\operatorname{sigmoid}(\operatorname{dec}(z))$, the loss of one image is
#
# $$\boxed{\;-\sum_{i} \big[x_i\log p_i+(1-x_i)\log(1-p_i)\big] +\tfrac12\sum_d\big(\mu_d^2+\sigma_d^2-1-\log\sigma_d^2\big)\;}$$
#
# **Ask yourself**
#
# <details><summary>1. Your loss is 0.21 and your KL is 0.003. What do you look at first?</summary>
#
# The units. 0.21 less the KL is a pixel mean of 0.207, which is 162 nats per image. If the KL beside it is summed over latents, its hidden weight is 784.
#
# </details>
# <details><summary>2. On your test images the ELBO is above importance sampling's log p(x). What went wrong?</summary>
#
# On average importance sampling lies between the ELBO and log p(x). So it is noise (few draws, few images), or the two saw different black-and-white draws, or there is a bug: the sign of log q, a mean for a sum, log k left out.
# Compute both from the same draws: the log of the mean weight can't be below the mean of the log weights.
#
# </details>
# <details><summary>3. Why not decode the mean μ in training, and save the noise?</summary>
#
# Then σ only appears in the KL, which sets it to 1 and leaves ½‖μ‖². The decoder can magnify, so the codes shrink towards 0 at no cost: an autoencoder with tiny codes, and no bound. It is the noise that makes room between codes matter.
#
# </details>
#
# **Next:** lesson 05 puts a label, or an unknown cluster, beside the latent.
#
# **References** · Kingma & Welling 2014, [arXiv:1312.6114](https://arxiv.org/abs/1312.6114) · Rezende, Mohamed & Wierstra 2014, [arXiv:1401.4082](https://arxiv.org/abs/1401.4082) ·
# Burda, Grosse & Salakhutdinov 2016, [arXiv:1509.00519](https://arxiv.org/abs/1509.00519) · Roeder, Wu & Duvenaud 2017, [arXiv:1703.09194](https://arxiv.org/abs/1703.09194) ·
# Cremer, Li & Duvenaud 2018, [arXiv:1801.03558](https://arxiv.org/abs/1801.03558) · Loaiza-Ganem & Cunningham 2019, [arXiv:1907.06845](https://arxiv.org/abs/1907.06845) ·
# Lucas, Tucker, Grosse & Norouzi 2019, [arXiv:1911.02469](https://arxiv.org/abs/1911.02469)
