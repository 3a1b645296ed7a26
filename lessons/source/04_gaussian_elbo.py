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
# Each picture above is a *decision* of one network: two numbers go in, 784 pixels come out. You build that network here.
#
# *75 minutes · builds on lesson 02 (encoder, posterior) and lesson 03 (reparameterization) · seven exercises*

# %% [markdown] slide="notes"
# For the lecturer: sections 2 to 5 are one blackboard hour, 7 to 10 the live part, 12 the point that most courses leave
# out. Sections 13 to 15 stand alone and can be homework.

# %% [markdown]
# Run the cells from the top. Where a cell says *Exercise*, replace the last line of the function with your own code, run it, and run the check below it. Stuck? `hint("04.1")`
# gives the next of three hints, `solution("04.1")` the course's answer. The lesson goes on either way.

# %%
import math

import torch
from torch import nn
from torch.nn import functional as F

from course_lib import data, metrics, models, nets, plots, training
from course_lib.exercises import check, hint, solution
from course_lib.widgets import LatentTraversal

x, y = data.digits("train")  # (N, 784) grey values in [0, 1]; (N,) labels, used for colours only
x_test, y_test = data.digits("test")
print(f"{len(x):,} training images and {len(x_test):,} test images, {x.shape[1]} pixels each, on {x.device}")

# %% [markdown]
# ## 1 · One unit for everything
#
# Most confusion about VAEs is about units. Here is the agreement, once and for all:
#
# - **Everything is in nats per image.** A nat is what $-\log p$ measures with the natural logarithm; 1 nat is 1.44 bits.
# - Sum over pixels. Sum over latents. Mean over the images of a batch.
#
# | symbol | shape | meaning | in the notes |
# |---|---|---|---|
# | $x$ | $(B, 784)$ | the observed image | E, evidence |
# | $z$ | $(B, D)$ | its latent code, $D$ numbers | H, hidden |
# | $p(z) = \mathcal N(0, I)$ | | the prior over codes | P(H) |
# | $p_\theta(x\mid z)$ | | the decoder: what an image looks like, given its code | P(E\|H) |
# | $q_\phi(z\mid x) = \mathcal N(\mu, \operatorname{diag}\sigma^2)$ | $\mu, \log\sigma^2$: $(B, D)$ | the encoder: which codes explain this image | q(H\|E) |
#
# The images are black and white for now: each pixel is drawn once, white with a probability equal to its grey value.
# Section 13 asks what happens if you don't.

# %%
torch.manual_seed(0)
x_test = torch.bernoulli(x_test)  # drawn once, so that all test numbers refer to the same images
plots.images(
    {"grey": x[:12], "black and white": torch.bernoulli(x[:12])},
    "One draw of black and white per image",
    alt="Twelve digits in grey, and the same twelve as pure black and white draws",
)

# %% [markdown]
# ## 2 · The bound, and what it leaves out
#
# You want $\log p_\theta(x)$, the log-probability that the model gives to an image. It hides an integral over all codes:
#
# $$p_\theta(x) = \int p_\theta(x\mid z)\,p(z)\,dz .$$
#
# Take any density $q(z\mid x)$. Since $\log p_\theta(x)$ does not depend on $z$, averaging it over $q$ changes nothing. Put
# Bayes' rule in, and multiply and divide by $q$:
#
# $$\log p_\theta(x) = \mathbb E_q\!\left[\log\frac{p_\theta(x\mid z)\,p(z)}{p_\theta(z\mid x)}\right]
# = \underbrace{\mathbb E_q[\log p_\theta(x\mid z)] - \mathrm{KL}\big(q(z\mid x)\,\|\,p(z)\big)}_{\text{ELBO}}
# + \underbrace{\mathrm{KL}\big(q(z\mid x)\,\|\,p_\theta(z\mid x)\big)}_{\text{gap}\;\ge\;0} .$$
#
# The ELBO is a lower bound because the gap is never negative. Is the equation true? Take a model so small that
# everything can be integrated: $z\sim\mathcal N(0,1)$, $x\mid z\sim\mathcal N(z, \tfrac12)$, one observation $x=1.5$, and a
# $q=\mathcal N(0.8, \tfrac12)$ that is not the posterior.

# %%
def log_normal(v, mean, variance):
    return -0.5 * ((v - mean) ** 2 / variance + math.log(2 * math.pi * variance))


z = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
log_q, log_prior, log_lik = log_normal(z, 0.8, 0.5), log_normal(z, 0, 1), log_normal(1.5, z, 0.5)


def integral(f):
    return torch.trapezoid(f, z).item()


log_px = math.log(integral((log_lik + log_prior).exp()))
log_posterior = log_lik + log_prior - log_px  # Bayes
elbo = integral(log_q.exp() * log_lik) - integral(log_q.exp() * (log_q - log_prior))
gap = integral(log_q.exp() * (log_q - log_posterior))
print(f"ELBO {elbo:.6f} + gap {gap:.6f} = {elbo + gap:.6f}")
print(f"log p(x) by the closed form N(1.5; 0, 1.5) = {log_normal(1.5, 0, 1.5):.6f}")
print(f"they differ by {abs(elbo + gap - log_normal(1.5, 0, 1.5)):.1e}")

# %% [markdown]
# > **From the notes** (004, lines 58–91). The notes write $\log p(x) + \mathrm{KL}(q\|p(z\mid x)) = \mathbb E_q[\log p(z\mid x)] - \mathrm{KL}(q\|p(z))$.
# > Two slips: the KL on the left carries a **minus** (it is what the bound lacks), and the expectation is over $\log p(x\mid z)$, not
# > $\log p(z\mid x)$. The supremum argument then reads $\sup_q [\log p(x) - \mathrm{KL}] = \log p(x) - \inf_q \mathrm{KL} = \log p(x)$; with a plus it
# > would be infinite. And "reconstruction plus KL" is no misunderstanding: for fixed $\theta$ both readings are the same number, as the cell above shows.
# > (004, lines 97–102) What approximates what: $q_\phi(z\mid x)$ approximates the **posterior** $p_\theta(z\mid x)$, not the prior.
#
# > **From the notes** (002, lines 46 and 64; 001, line 16). "Entropy = KL + bound" should say **log evidence** = KL + bound. Raising the ELBO raises a lower bound of
# > $\log p(x)$; it is maximum likelihood only if the gap stays 0. A Monte-Carlo estimate of the ELBO is unbiased for the *ELBO*, not for $\log p(x)$.

# %% [markdown]
# ## 3 · The KL in closed form
#
# The second term compares the encoder's Gaussian with the prior. The latents are independent under both, so the KL is a sum over latents.
# For one latent,
#
# $$\mathrm{KL} = \mathbb E_q[\log q(z) - \log p(z)]
# = \mathbb E_q\!\Big[-\tfrac12\log\sigma^2 - \tfrac{(z-\mu)^2}{2\sigma^2} + \tfrac12 z^2\Big],$$
#
# the two $\tfrac12\log 2\pi$ cancel. Under $q$ you know $\mathbb E[(z-\mu)^2] = \sigma^2$ and $\mathbb E[z^2] = \mu^2+\sigma^2$. So
#
# $$\mathrm{KL}\big(\mathcal N(\mu,\operatorname{diag}\sigma^2)\,\|\,\mathcal N(0,I)\big) = \tfrac12\sum_{d=1}^{D}\big(\mu_d^2+\sigma_d^2-1-\log\sigma_d^2\big).$$
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
# A formula deserves a second opinion. The definition is an average over $q$, so draw from $q$ and average:

# %%
torch.manual_seed(0)
mu, log_var = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.25, 2.25]]).log()
q = torch.distributions.Normal(mu, (0.5 * log_var).exp())
prior = torch.distributions.Normal(0.0, 1.0)
draws = q.sample((100_000,))
log_ratio = (q.log_prob(draws) - prior.log_prob(draws)).sum(-1)
exact, error = gaussian_kl(mu, log_var).item(), log_ratio.std().item() / len(draws) ** 0.5
print(f"closed form {exact:.6f}   100 000 draws {log_ratio.mean():.4f} ± {error:.4f}")
print(f"they differ by {abs(log_ratio.mean().item() - exact) / error:.1f} standard errors")

# %% [markdown]
# > **From the notes** (004, line 142). The last term is printed as $-\log\det\operatorname{diag}(\sigma)$. It must be $-\log\det\operatorname{diag}(\sigma^2)$.
# > You can see it without algebra: the slip gives a negative KL.

# %%
variance = torch.tensor([0.25])
print("with σ :", (0.5 * (variance - 1 - variance.sqrt().log())).item(), "← negative, so no KL")
print("with σ²:", (0.5 * (variance - 1 - variance.log())).item())

# %% [markdown]
# ## 4 · A sample that a gradient can pass
#
# The first term is $\mathbb E_{q_\phi}[\log p_\theta(x\mid z)]$. You estimate it with a draw $z\sim q_\phi$. But the draw depends on $\phi$, and a random number
# generator has no derivative. Lesson 03's answer: draw the noise from a law without parameters, and make the sample a function,
#
# $$\epsilon\sim\mathcal N(0, I),\qquad z = \mu + \sigma\odot\epsilon,\qquad \frac{\partial z}{\partial\mu} = 1,\quad \frac{\partial z}{\partial\sigma}=\epsilon .$$

# %% [markdown]
# ### Exercise 04.2 · The sample as a function
# ●○○○○ · 5 min · used in the next cell and in your VAE

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

# %% [markdown]
# > **From the notes** (004, line 121). The notes write $z=\mu+\sigma^2\epsilon$. Ask for a standard deviation of ½ both ways and measure the variance that comes out.
# > (line 123) The trick is not there because a Gaussian is hard to sample. It is there because a sample must be **differentiable** in $\mu$ and $\sigma$.

# %%
eps = torch.randn(1_000_000, 1)
wanted = torch.full_like(eps, 0.25)  # σ² = 0.25, σ = 0.5
print(f"μ + σ ε  has variance {reparameterize(0 * eps, wanted.log(), eps).var():.4f}, wanted 0.25")
print(f"μ + σ² ε has variance {(wanted * eps).var():.4f} = σ⁴")

# %% [markdown]
# ## 5 · What a decoder says about pixels
#
# $p_\theta(x\mid z)$ is a distribution over images, not an image. For black-and-white pixels the decoder gives one **logit** $a$ per pixel, white has
# probability $p=\operatorname{sigmoid}(a)$, and pixels are independent given $z$:
#
# $$\log p_\theta(x\mid z)=\sum_{i=1}^{784} x_i\log p_i+(1-x_i)\log(1-p_i).$$
#
# A product of probabilities became a **sum** over pixels. Averaging here instead would multiply this term by 1/784 and leave the KL as it is; section 15
# shows how often that has happened.

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

# %%
every_image = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 9)  # (512, 9)
total = bernoulli_log_likelihood(every_image, torch.randn(9).expand(512, 9)).exp().sum()
print(f"all 512 images of 3 × 3 pixels together have probability {total:.6f}")
print(f"logits of 0 cost {-bernoulli_log_likelihood(x_test[:1], torch.zeros(1, 784)).item():.4f} nats = 784 log 2")

# %% [markdown]
# If a pixel is a real number, the decoder gives a mean $m$, and a standard deviation $\sigma$ says how far off it may be:
#
# $$\log p_\theta(x\mid z)=\sum_i -\tfrac12\Big(\frac{x_i-m_i}{\sigma}\Big)^2-\log\sigma-\tfrac12\log 2\pi .$$
#
# This is a **density**. It may be above 1, its log may be positive, and it can't be compared with the Bernoulli's numbers.

# %% [markdown]
# ### Exercise 04.4 · Grey values
# ●●○○○ · 10 min · used in section 13

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
# Which $\sigma$ is best for a given error? Set the derivative of the sum with respect to $\sigma$ to 0 and you get $\sigma^2=$ the mean squared error per pixel.
# Guess before you run: how much does the usual choice $\sigma=1$ cost on 784 pixels with a mean squared error of 0.05?

# %%
error = torch.full((1, 784), 0.05).sqrt()  # every pixel is off by √0.05
for sigma in (1.0, 0.5, 0.05**0.5, 0.1):
    cost = -gaussian_log_likelihood(error, torch.zeros(1, 784), torch.tensor(sigma)).item()
    print(f"σ = {sigma:.4f}: {cost:9.2f} nats" + ("   ← σ² = mean squared error" if sigma == 0.05**0.5 else ""))

# %% [markdown]
# > **From the notes** (004, lines 125–127, left empty). What to do with continuous outputs: learn $\sigma$ (its optimum is the line above), or use a density made for
# > $[0,1]$. A fixed $\sigma=1$ makes every error look cheap; the KL then isn't worth paying, and the latents go dead. Section 13 measures it.

# %% [markdown]
# ## 6 · Two estimators of one bound
#
# The ELBO can be estimated from a draw $z\sim q$ in two ways. Both are right on average:
#
# $$\text{A:}\quad \log p_\theta(x\mid z)-\big[\log q_\phi(z\mid x)-\log p(z)\big]\qquad\qquad
# \text{B:}\quad \log p_\theta(x\mid z)-\mathrm{KL}\big(q_\phi(z\mid x)\,\|\,p(z)\big).$$
#
# B puts an exact number where A has a noisy one. **Predict:** which has the smaller variance, and is that true of the *value* and of the *gradient*?
#
# `models.VAE` gives both: `rec` is $\log p(x\mid z)$ at the samples, `log_ratio` is A's bracket, `kl` is B's.

# %%
def new_vae(latents=2, kind=models.VAE, seed=0, **more):
    torch.manual_seed(seed)
    return kind(nets.mlp(784, 256, 2 * latents), nets.mlp(latents, 256, 784), latents, **more)


def estimators(t):
    return {"A": t.rec - t.log_ratio, "B": t.rec - t.kl}


def gradients(model, x, draws=100):
    """Draws of each estimator's gradient for the encoder's last layer, {name: (draws, P)}."""
    grads = {"A": [], "B": []}
    for _ in range(draws):
        for name, bound in estimators(model(x)).items():
            grads[name].append(torch.autograd.grad(bound.mean(), model.enc[-1].weight, retain_graph=True)[0].flatten())
    return {name: torch.stack(g) for name, g in grads.items()}


# %%
print("                    mean of        mean of       variance A / variance B")
print("seed  stage            A              B          of the value   of the gradient")
for seed in range(3):
    vae = new_vae(latents=20, seed=seed)
    for stage in ("fresh", "trained"):
        if stage == "trained":
            training.fit(vae, x[:20_000], epochs=2, lr=2e-3, transform=torch.bernoulli)
        with torch.no_grad():
            values = estimators(vae(x_test[:100], k=400))
        means = {name: f"{v.mean():.2f} ± {v.mean(1).std() / 20:.2f}" for name, v in values.items()}
        value = (values["A"].var(0).mean() / values["B"].var(0).mean()).item()
        noise = {name: g.var(0).sum().item() for name, g in gradients(vae, x_test[:100]).items()}
        print(f"{seed:4}  {stage:8} {means['A']:>14} {means['B']:>14} {value:11.2f} {noise['A'] / noise['B']:17.2f}")

# %% [markdown]
# Same mean, as promised. The variances tell two stories. For the **gradient**, which is what training uses, B is the quieter one, most of all in a fresh network.
# For the **value**, A is quieter as soon as the network has learned something: where $z$ lies far from $\mu$, both $\log p(x\mid z)$ and $\log q(z\mid x)$ fall, and
# in A they cancel. At the exact posterior they cancel completely, $\log p(x\mid z)+\log p(z)-\log q(z\mid x)=\log p(x)$ for *every* $z$, and A has no variance at all.
# So: train with B, and measure with A.
#
# > **From the notes** (000, lines 157–165; 001, line 101). "The closed-form KL stabilises the model": it steadies the gradient's *estimator*; the model is the same. And
# > drawing $\epsilon$ instead of $z$ does not make the samples any less variable, they have the same law. What changes is the gradient.

# %% [markdown]
# ## 7 · The VAE in one screen
#
# The pieces are all yours. One is left: put them together.

# %% [markdown]
# ### Exercise 04.5 · The loss
# ●●●○○ · 10 min · used in the next cells

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

# %%
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
        print(f"step {step:3}: −ELBO {loss.item():6.1f} nats per image")

# %% [markdown]
# That is a complete VAE: 404 244 numbers, a sample, a loss, a loop. The library's `models.VAE` is the same model around the same networks, and `training.fit` is the same
# loop with a progress bar and a history. Do they agree?

# %%
vae = models.VAE(tiny.enc, tiny.dec, d=2)
with torch.no_grad():
    mine = torch.stack([tiny(x_test[:2000]) for _ in range(100)])
    theirs = torch.stack([-training.elbo(vae(x_test[:2000])) for _ in range(100)])
error = (mine.var() / 100 + theirs.var() / 100).sqrt()
print(f"{sum(p.numel() for p in tiny.parameters()):,} parameters, the notes count 404,244")
print(f"yours {mine.mean():.3f}   the library's {theirs.mean():.3f}   apart by {(mine.mean() - theirs.mean()).abs() / error:.1f} standard errors")

# %% [markdown]
# > **From the notes** (001, lines 164–274). The Keras notebook stops after "Epoch 1/50" with `_SymbolicException`. Its loss takes `z_mean` and `z_log_var` as default arguments:
# > symbols of the graph under construction, which do not exist when a batch of real numbers comes. In `TinyVAE` the loss is computed in `forward`, from this batch's own tensors.
# > `latent_dim = 2` is the number of latents, not "mean and variance". The parameter counts of the notes are right: 201 988 + 202 256. The remark that the classes cluster well stands above
# > a cell that never ran; section 9 runs it.

# %% [markdown]
# ## 8 · Does it train?
#
# The same 784–256–2–256–784, on all training images, black and white drawn afresh at every step. The learning rate rises, then falls along a cosine (`one_cycle`).
#
# **Predict** before you run: the loss falls. Does the KL fall with it, or rise?

# %%
vae = new_vae(latents=2)
before = training.evaluate(vae, x_test)
run = training.fit(
    vae, x, epochs=8, lr=4e-3, schedule=training.one_cycle, transform=torch.bernoulli, test=x_test, watch=plots.LiveHistory(8)
)

# %%
last = {name: values[-1] for name, values in run.items()}
print(f"test −ELBO {-last['test_objective']:.2f} = −log p(x|z) {-last['test_rec']:.2f} + KL {last['test_kl']:.2f} nats per image")
print(f"before training it was {-before['objective']:.2f} = {-before['rec']:.2f} + {before['kl']:.2f}; logits of 0 cost {784 * math.log(2):.2f}")

# %% [markdown]
# The KL **rises** from almost 0 (and overshoots in the first epoch). It is the price in nats of telling images apart, and a fresh network tells nothing. The parts add up to the loss, on screen, in one unit.
#
# > **From the notes** (001, line 92; 002, line 52). "q is made a zero-mean Gaussian": the KL pulls each posterior towards the prior, and if all of them got there the code would say nothing: that is collapse,
# > not the aim. The high-variance gradient of the naive estimator is the one for $\phi$, not $\theta$.

# %% [markdown]
# ### One batch for a whole data set
#
# The bound of a data set of $N$ images is the sum of $N$ ELBOs. You see $M$ of them at a time.

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

# %%
with torch.no_grad():
    t = vae(x_test)
elbos = (t.rec - t.kl)[0]  # (N,)
batches = [minibatch_bound(elbos[torch.randint(len(elbos), (128,))], len(elbos)) for _ in range(2000)]
mean, error = torch.stack(batches).mean(), torch.stack(batches).std() / len(batches) ** 0.5
print(f"all {len(elbos):,} test images: {elbos.sum():,.0f} nats")
print(f"mean of 2000 estimates from batches of 128: {mean:,.0f} ± {error:,.0f}")

# %% [markdown]
# ## 9 · The latent plane
#
# Each test image becomes a point, the mean $\mu$ of its $q(z\mid x)$. The labels only choose colours; the model never saw them.

# %%
codes = vae.encode(x_test).detach()
plots.codes(codes, y_test, "Digits of one class gather without labels", alt="Scatter of 2-D codes coloured by digit; most classes form a lobe of their own", limit=4)

# %% [markdown]
# "Clusters well" is a claim, so put a number on it: let the ten nearest codes vote for the label.

# %%
from sklearn.neighbors import KNeighborsClassifier

knn = KNeighborsClassifier(10).fit(vae.encode(torch.bernoulli(x[:20_000])).detach().cpu(), y[:20_000].cpu())
accuracy = knn.score(codes.cpu(), y_test.cpu())
print(f"ten nearest codes name the digit in {accuracy:.1%} of the test images (guessing: 10%)")

# %% [markdown]
# Two numbers per image, and most digits are told apart, but not all: read off the scatter which pairs overlap.
#
# Now the other direction. To see what the decoder does with *every* part of the plane, step through it evenly, in **probability**: the prior has the same mass between any two neighbours.

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
plots.manifold(sheet, "One digit turns into the next", alt="15 by 15 decoded digits over the latent plane, neighbours alike")

# %%
with torch.no_grad():
    drawn = vae.decode(torch.randn(12, 2, device=x.device))
    again = vae.decode(vae.encode(x_test[:12]))
plots.images({"test image": x_test[:12], "reconstruction": again, "from the prior": drawn}, "Reconstructions are smooth; draws from the prior are digits, mostly",
             alt="Twelve test digits, their reconstructions, and twelve decoded prior draws")

# %% [markdown]
# What you see are the *means* of $p(x\mid z)$, in grey: the model's uncertainty about each pixel. Two numbers can't hold a digit's slant, width and style as well, so the strokes blur.
#
# > **From the notes** (003, lines 39–50). An exact copy is not the goal. An autoencoder of this size reconstructs better; the VAE **samples** better, since its training makes the plane under
# > the prior mean something. Section 11 measures both.

# %% [markdown]
# ## 10 · Play: walk through the plane
#
# Drag over the plane, or focus it and use the arrow keys. The picture on the right is decoded in your browser, at every move.
#
# 1. Find a place where a 4 becomes a 9. Does it jump, or pass through something that is both?
# 2. Walk outwards, beyond the last codes. What does the decoder draw where it was never asked?
# 3. Find two classes whose regions touch, and one that is cut in two.
# 4. Press **Train one more epoch** and watch the place where you stand.

# %%
def one_more_epoch():
    h = training.fit(vae, x, epochs=1, lr=5e-4, transform=torch.bernoulli, test=x_test)
    return f"test −ELBO {-h['test_objective'][-1]:.2f} nats"


walk = LatentTraversal(vae, x_test[:2000], y_test[:2000], train=one_more_epoch)
walk

# %% [markdown]
# ## 11 · What the autoencoder could not do
#
# Lesson 01 found three reasons why an autoencoder can't generate: its codes lie **off-centre and lopsided**, its classes take **very unequal room**, and between them are **gaps** where a decoded code is no digit.
# Here both models get the same networks, images and epochs. A classifier that reads digits judges 5000 draws from $\mathcal N(0,I)$: it recognises a picture when it gives one class at least 90 %.
#
# **Predict:** with two latents, who wins? With twenty?

# %%
reader = metrics.classifier(x[:20_000], y[:20_000])
pairs = {}
for d in (2, 20):
    torch.manual_seed(0)
    ae = models.AE(nets.mlp(784, 256, d), nets.mlp(d, 256, 784), d)
    training.fit(ae, x[:20_000], epochs=5, lr=2e-3, schedule=training.one_cycle)
    with_kl = new_vae(d)
    training.fit(with_kl, x[:20_000], epochs=5, lr=4e-3, schedule=training.one_cycle, transform=torch.bernoulli)
    pairs |= {f"AE, {d}": ae, f"VAE, {d}": with_kl}

# %%
torch.manual_seed(0)
report = {}
for name, model in pairs.items():
    with torch.no_grad():
        codes = model(x_test).z[0]  # a code, or a draw from q(z|x)
        drawn = model.decode(torch.randn(5000, model.d, device=x.device)).clamp(0, 1)
    report[name] = metrics.code_cloud(codes, y_test) | metrics.recognised(reader, drawn)
ideal = metrics.code_cloud(torch.randn(10_000, 20), torch.arange(10_000) % 10)
report["wanted"] = ideal | metrics.recognised(reader, x_test)
print(" " * 28, *(f"{name:>9}" for name in report))
for row in report["wanted"]:
    print(f"{row:28}", *(f"{values[row]:9.2f}" for values in report.values()))

# %%
torch.manual_seed(1)
z = torch.randn(12, 20, device=x.device)
with torch.no_grad():
    rows = {name: pairs[name].decode(z).clamp(0, 1) for name in ("AE, 20", "VAE, 20")}
plots.images(rows, "The prior decoded: the autoencoder was never asked about these codes",
             alt="Twelve decoded prior draws of a twenty-latent autoencoder, mostly scribbles, and twelve of a twenty-latent VAE")

# %% [markdown]
# In two dimensions there is little room to get lost in, and the autoencoder does better: it spends no nats on noise, its strokes are sharper, its cloud happens to lie where the prior is. With twenty latents its cloud lies
# off-centre and several times as long as wide, and some digits hardly ever come out of the prior. Nothing in its loss says where codes should be. In the VAE the KL does: nearer to the centre, rounder, every class present.
# But look at the share recognised: the VAE's draws are still far from real digits. The KL pulls each posterior to the prior, which is not the same as filling the prior; lesson 07 returns to those holes.
#
# > **From the notes** (000, line 101; 004, lines 42–53). "The prior has no effect" since it has no parameters: it has none, but it sets the KL, and with it every number in the VAE's column. (The notes write $p(x)=\mathcal N(0,I)$
# > where $p(z)$ is meant, and $f(x;\phi)$ for the decoder $f(z;\theta)$.) That each latent stands for one independent factor is **not** what this loss asks for; lesson 06 does.

# %% [markdown]
# ## 12 · How large is the gap?
#
# The ELBO is below $\log p(x)$, but how far? Usually nobody knows. With two latents you can: the integral over $z$ is a sum over a fine grid,
#
# $$\log p_\theta(x)\approx\log\sum_{g} p_\theta(x\mid z_g)\,p(z_g)\,\Delta^2 .$$
#
# **Predict:** is the gap of a typical test image nearer to 0.1, 1 or 10 nats? Is it larger for training images or for test images?

# %%
import numpy as np


def exact_elbo(model, x, nodes=24):
    """The ELBO with its expectation by Gauss–Hermite quadrature instead of draws: (B,)."""
    at, weight = (torch.tensor(v).to(x) for v in np.polynomial.hermite_e.hermegauss(nodes))
    eps = torch.cartesian_prod(at, at)[:, None]  # (nodes², 1, 2)
    w = torch.cartesian_prod(weight, weight).prod(-1)
    q = model.q_z(x)
    rec = model.p_x(q.mean + q.stddev * eps).log_prob(x)  # (nodes², B)
    kl = torch.distributions.kl_divergence(q, model.p_z())
    return (w / w.sum()) @ rec - kl


def gaps(model, x):
    with torch.no_grad():
        return metrics.log_px_grid(model, x, n=384), exact_elbo(model, x)


log_p, bound = gaps(vae, x_test[:100])
coarse = metrics.log_px_grid(vae, x_test[:100], n=256)
train_p, train_bound = gaps(vae, torch.bernoulli(x[:100]))
print(f"100 test images:  log p(x) {log_p.mean():.2f}, ELBO {bound.mean():.2f}")
print(f"  the gap is {(log_p - bound).mean():.2f} nats on average, {(log_p - bound).median():.2f} for the middle image, {(log_p - bound).max():.1f} at most")
print(f"  ELBO ≤ log p(x) for {(bound <= log_p + 1e-3).sum().item()} of 100 images")
print(f"  a grid of 256² instead of 384² cells moves log p(x) by {(coarse - log_p).abs().median():.4f} (middle), {(coarse - log_p).abs().max():.3f} (most)")
print(f"100 training images: the gap is {(train_p - train_bound).mean():.2f} on average, {(train_p - train_bound).median():.2f} for the middle one")

# %% [markdown]
# Few images carry the mean. Look at the posterior of the middle image and of the worst one: colour is the true $p_\theta(z\mid x)$ on the grid, the ellipse is $q_\phi(z\mid x)$ at two standard deviations.

# %%
order = (log_p - bound).argsort()
chosen = {"middle": order[50].item(), "worst": order[-1].item()}
figure, axes = plots.picture(1, 2, size=(11, 5), alt="True posterior and encoder's ellipse for two images: close for the middle one, apart for the worst")
for axis, (name, i) in zip(axes, chosen.items()):
    image = x_test[i : i + 1]
    peak = metrics.grid(384)[metrics.joint_on_grid(vae, image, n=384)[0].argmax()]
    q = vae.q_z(image)
    mean, sd = q.mean[0].detach().cpu(), q.stddev[0].detach().cpu()
    centre, reach = ((mean + peak) / 2).tolist(), 0.3 + (mean - peak).abs().max().item()
    log_joint, _ = metrics.joint_on_grid(vae, image, 200, reach, centre)  # a fine grid around both
    extent = (centre[0] - reach, centre[0] + reach, centre[1] - reach, centre[1] + reach)
    axis.imshow(log_joint.softmax(0).reshape(200, 200).T.cpu(), origin="lower", extent=extent, cmap="Blues")
    axis.add_patch(plots.Ellipse(mean.tolist(), *(4 * sd).tolist(), fill=False, color="black", lw=2))
    axis.set(xlabel="$z_1$", ylabel="$z_2$", title=f"{name} image: gap {(log_p - bound)[i]:.1f} nats")
figure

# %% [markdown]
# Where the gap is large, the encoder *missed*: the posterior is narrow, and the ellipse lies beside it. Lesson 02 takes that apart: most of this gap is amortization, not the Gaussian family.
#
# When there are too many latents for a grid, people estimate $\log p(x)$ by importance sampling with $q$ as the proposal. It shares the encoder's blind spot: what $q$ never draws is never counted.

# %%
for k in (10, 100, 1000):
    estimate, size = metrics.log_px(vae, x_test[:100], k=k)
    print(f"{k:5} samples: {(estimate - log_p).mean():6.2f} nats from the grid on average, {(estimate - log_p).min():7.2f} at worst; effective sample size {size.median():.0f} (middle)")

# %% [markdown]
# > **From the notes** (002, lines 61–66; 001, lines 47–49, 130). $\phi$ belongs to the variational posterior and $\theta$ to the decoder; this prior has no parameters. $p(x)$ is hard because the integral is nonlinear and high-dimensional, not because
# > $z$ is unknown: in two dimensions a grid does it. That the posterior is Gaussian is assumed of $q$, not of the true posterior: see the pictures above.

# %% [markdown]
# ## 13 · Grey pixels
#
# The images *are* grey, and the Bernoulli knows only 0 and 1. Most code passes grey values anyway. What does the loss mean then? Cross-entropy is linear in $x$, so it is an average:
#
# $$x\log p+(1-x)\log(1-p)=\mathbb E_{b\sim\text{Bernoulli}(x)}\big[b\log p+(1-b)\log(1-p)\big].$$
#
# It bounds the average log-probability of **black-and-white draws** of the image. About grey images it says nothing, and a perfect reconstruction does not cost 0:

# %%
grey = data.digits("test")[0][:2000]
logits = vae.dec(vae.encode(grey)).detach()
cross_entropy = -F.binary_cross_entropy_with_logits(logits, grey, reduction="none").sum(-1)
drawn = torch.stack([bernoulli_log_likelihood(torch.bernoulli(grey[:200]), logits[:200]) for _ in range(200)])
z_score = (drawn.mean(0) - cross_entropy[:200]) / (drawn.std(0) / 200**0.5)
print(f"cross-entropy against the mean over 200 draws: apart by {z_score.abs().mean():.2f} standard errors on average (0.80 by chance)")
floor = torch.distributions.Bernoulli(probs=grey.clamp(1e-6, 1 - 1e-6)).entropy().sum(-1).mean()
print(f"a perfect reconstruction of a grey test image would still cost {floor:.1f} nats")

# %% [markdown]
# If you want a density of grey images, say so. Four decoders, twenty latents, the same training. **Predict:** which one uses the fewest latents?

# %%
kinds = {
    "cross-entropy": new_vae(20, models.GreyVAE),
    "Gaussian, σ = 1": new_vae(20, models.GaussianVAE, sigma=1.0),
    "Gaussian, σ learned": new_vae(20, models.GaussianVAE),
    "continuous Bernoulli": new_vae(20, models.ContinuousBernoulliVAE),
}
rows, columns = {"test image": grey[:10]}, []
print("decoder                 −ELBO      KL   latents in use   mean squared error")
for name, model in kinds.items():
    training.fit(model, x[:10_000], epochs=8, lr=3e-3, schedule=training.one_cycle)
    measured = training.evaluate(model, grey)
    with torch.no_grad():
        q, rows[name] = model.q_z(grey), model.decode(model.encode(grey[:10])).clamp(0, 1)
        kl = 0.5 * (q.mean**2 + q.variance - 1 - q.variance.log()).mean(0)  # per latent
        mse = (model.decode(q.mean) - grey).square().mean()
    sigma = f"   σ² = {model.log_sigma.exp().item() ** 2:.4f}" if "learned" in name else ""
    print(f"{name:22} {-measured['objective']:8.1f} {measured['kl']:7.2f} {(kl > 0.1).sum():10} {mse:21.4f}{sigma}")

# %%
plots.images(rows, "A fixed σ = 1 makes errors cheap: its reconstructions fall back on an average digit", alt="Ten test digits and their reconstructions under four decoders")

# %% [markdown]
# The −ELBOs of the four can't be compared: the first is about black and white, the others are densities (and may be negative). The other columns can. With $\sigma=1$ an error costs so little that most latents are not worth their KL, and they
# go dead; lesson 10 shows that this is the likelihood's doing, and that the bound is not to blame. Learned, $\sigma^2$ settles near the mean squared error, as the derivative said.
#
# > **From the notes** (001, lines 246–257). The Keras code feeds grey values to a binary cross-entropy. That is this section's first row: not a Bernoulli likelihood of what it was given.

# %% [markdown]
# ## 14 · More latents, no overfitting
#
# Two latents make good pictures, not a good model. **Predict:** with 5000 training images and more and more latents, does the test bound get worse at some point?

# %%
numbers = (2, 5, 10, 20)
small, curves = x[:5000], {"training images": [], "test images": []}
torch.manual_seed(1)
small_drawn = torch.bernoulli(small)
for d in numbers:
    model = new_vae(d)
    training.fit(model, small, epochs=20, lr=3e-3, schedule=training.one_cycle, transform=torch.bernoulli)
    for name, images in (("training images", small_drawn), ("test images", x_test[:5000])):
        curves[name].append(-training.evaluate(model, images)["objective"])
    print(f"{d:3} latents: −ELBO training {curves['training images'][-1]:.1f}, test {curves['test images'][-1]:.1f}, apart by {curves['test images'][-1] - curves['training images'][-1]:.1f} nats")
plots.lines(numbers, curves, "number of latents", "−ELBO, nats per image", "More latents help; the distance to the training images stays small",
            alt="−ELBO against 2, 5, 10, 20 latents for training and test images, both falling")

# %% [markdown]
# A latent that helps no image costs nothing: its posterior goes back to the prior and its KL to 0. So the KL is a brake on the code, and unused latents do no harm. The decoder's weights can still overfit; the KL does not brake them.
#
# > **From the notes** (000, lines 177–179). "Variance very low, beats everything, no more worries about inference": section 12 measured the gap that remains, lesson 10 takes up the latents that die, and lesson 03 those that are discrete.

# %% [markdown]
# ## 15 · What β did that code really use?
#
# A loss is known up to a factor: $a\cdot\sum_\text{pixels}\text{rec} + b\cdot\sum_\text{latents}\text{KL}$ has the same minimum as $\text{rec} + \beta\,\text{KL}$ with $\beta=b/a$.
# A mean over 784 pixels is $a=1/784$, a mean over $D$ latents is $b=1/D$. So every published reduction has a $\beta$ in *these* units:

# %%
from course_lib.objectives import effective_beta

print(f"mean over pixels, sum over latents:           β = {effective_beta(784, 2, rec='mean'):.4g}")
print(f"mean over pixels, mean over latents:          β = {effective_beta(784, 2, rec='mean', kl='mean'):.4g}")
print(f"784 × the mean over pixels, sum over latents: β = {effective_beta(784, 2):.4g}  ← the notes' Keras code")
print(f"squared error summed, KL summed:              β = {effective_beta(784, 2, squared_error=True):.4g}  with σ = 1")

# %% [markdown]
# Is that a matter of taste? Train the first one, with its 784, as it stands in much published code:

# %%
hidden = new_vae(latents=2)
training.fit(hidden, x[:20_000], objective=lambda t: (t.rec.mean(0) / 784 - t.kl).mean(), epochs=4, lr=4e-3, schedule=training.one_cycle, transform=torch.bernoulli)
measured = training.evaluate(hidden, x_test)
with torch.no_grad():
    rows = {"test image": x_test[:10], "β = 1": vae.decode(vae.encode(x_test[:10])), "hidden β = 784": hidden.decode(hidden.encode(x_test[:10]))}
print(f"hidden β = 784: KL {measured['kl']:.4f} nats, −ELBO {-measured['objective']:.1f}")
plots.images(rows, "With a hidden β of 784 every image gets the same answer", alt="Test digits, reconstructions with β = 1, and one identical blur for the hidden β of 784")

# %% [markdown]
# ## Recap
#
# 1. $\log p(x) = \text{ELBO} + \mathrm{KL}(q\|p(z\mid x))$: the bound lacks exactly the distance from $q$ to the posterior.
# 2. The loss has two terms in one unit: sum over pixels, sum over latents, mean over images.
# 3. $z=\mu+\sigma\epsilon$ lets the gradient through; the closed-form KL makes the gradient quieter.
# 4. The decoder is a distribution. Which one you choose decides what errors cost, and so which latents live.
# 5. The gap can be measured where the latent is small; for most images it is small, for a few it is not.
#
# $$\boxed{\;-\mathcal L(x)=\underbrace{-\sum_i \big[x_i\log p_i+(1-x_i)\log(1-p_i)\big]}_{p\,=\,\operatorname{sigmoid}(\text{dec}(\mu+\sigma\epsilon))}
# +\tfrac12\sum_d\big(\mu_d^2+\sigma_d^2-1-\log\sigma_d^2\big)\;}$$
#
# **Ask yourself**
#
# <details><summary>1. Your loss is 0.21 and your KL is 0.003. What do you look at first?</summary>
#
# The units. A pixel mean of 0.21 is 165 nats per image. If the KL was summed over latents beside it, the weight on it was 784.
#
# </details>
# <details><summary>2. Your ELBO is above the log p(x) that importance sampling gives. Which one is wrong?</summary>
#
# Perhaps neither is miscomputed: importance sampling is too low on average, and by a lot where the encoder misses the posterior. Look at the effective sample size.
#
# </details>
# <details><summary>3. Why not decode the mean μ in training, and save the noise?</summary>
#
# Then nothing keeps neighbouring codes alike: σ would no longer matter to the reconstruction, the first term would ask for codes far apart, and you would have an autoencoder with a penalty on the size of its codes.
#
# </details>
#
# **Next:** lesson 05 puts a label, or an unknown cluster, beside the latent.
#
# **References** · Kingma & Welling 2014, [arXiv:1312.6114](https://arxiv.org/abs/1312.6114) · Rezende, Mohamed & Wierstra 2014, [arXiv:1401.4082](https://arxiv.org/abs/1401.4082) ·
# Burda, Grosse & Salakhutdinov 2016, [arXiv:1509.00519](https://arxiv.org/abs/1509.00519) · Roeder, Wu & Duvenaud 2017, [arXiv:1703.09194](https://arxiv.org/abs/1703.09194) ·
# Loaiza-Ganem & Cunningham 2019, [arXiv:1907.06845](https://arxiv.org/abs/1907.06845) · Cremer, Li & Duvenaud 2018, [arXiv:1801.03558](https://arxiv.org/abs/1801.03558)
