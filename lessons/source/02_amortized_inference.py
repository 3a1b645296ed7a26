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
# # 02 · Amortized inference
#
# **How does a network replace per-datapoint inference, and what does that cost?**
#
# At the end you can find an approximate posterior in three ways, by formulas, by gradient, and by a network, and split what the last one loses into two gaps, in nats.
#
# ![Four exact posteriors over the place of a lamp, two of them with two humps, and on each the best factorised Gaussian, the best Gaussian, and the network's](figures/02_three_gaussians.png)
#
# Blue is the truth, known here to eight digits. The ellipses are three attempts to say it with a Gaussian; one of them took a network a fraction of a millisecond. You make all four.
#
# *75 minutes · builds on lesson 00 (Bayes, KL, ELBO) and the encoder of lesson 01 · six exercises*

# %% [markdown] slide="notes"
# *For the lecturer: sections 2 and 3 belong on the blackboard, 4 to 7 are live (let the class play section 6 before you show section 5's table). Section 9 stands alone and can be homework.*

# %% slide="skip"
import bisect
import math
import time

import torch
from torch.distributions import MultivariateNormal, Normal

from course_lib import metrics, nets, plots
from course_lib.exercises import check, hint, solution
from course_lib.widgets import BeTheEncoder

# %% [markdown]
# ## 1 · Ask the prior?
#
# Lesson 01 ended with two wishes: codes from a known distribution, and images that come from codes with a probability. Together they are a **latent variable model**. First draw the latent, then what is seen:
#
# $$z\sim p(z),\qquad x\sim p(x\mid z),\qquad p(x)=\int p(x\mid z)\,p(z)\,dz .$$
#
# Everything hangs on that integral: the probability of $x$, and the **posterior** $p(z\mid x)=p(z)\,p(x\mid z)/p(x)$, which says what could be behind it. An average over the prior, so draw from the prior? Lesson 00 did so in one dimension, and it worked.
#
# Take a case with a known answer: $z\sim\mathcal N(0,I)$ in $D$ dimensions, and $x\mid z\sim\mathcal N(z,\tfrac14 I)$: the latent, seen through a little noise. Then $x\sim\mathcal N(0,\tfrac54I)$. The weights are $w=p(x\mid z)$; the **effective sample size**
# $(\sum w)^2/\sum w^2$ says how many of $n$ draws count: $n$ if all weights are equal, and 1 if a single one is all. **Predict:** of 10,000 draws, how many count for $D=1$, for $D=10$, for $D=40$?

# %% says="Draws from the prior: in ten dimensions few count, in forty one"
torch.manual_seed(0)
n, noise = 10_000, 0.5
dimensions, measured, exact_size = [1, 2, 4, 6, 8, 10, 15, 20, 30, 40], [], []
print(" D    effective draws: measured, exact    log p(x): estimate is off by (largest of 20 x)")
for d in dimensions:
    sizes, off, exact = [], [], []
    for _ in range(20):
        x = (1 + noise**2) ** 0.5 * torch.randn(d)
        log_w = Normal(x, noise).log_prob(torch.randn(n, d)).sum(-1)
        sizes.append((2 * log_w.logsumexp(0) - (2 * log_w).logsumexp(0)).exp())
        log_px = Normal(0.0, (1 + noise**2) ** 0.5).log_prob(x).sum()
        off.append((log_w.logsumexp(0) - math.log(n) - log_px).abs())
        log_w2 = (Normal(0.0, (1 + noise**2 / 2) ** 0.5).log_prob(x) - 0.5 * math.log(4 * math.pi * noise**2)).sum()
        exact.append(n * (2 * log_px - log_w2).exp())  # n (E w)² / E w²
    measured.append(torch.stack(sizes).median().item())
    exact_size.append(torch.stack(exact).median().item())
    print(f"{d:2} {measured[-1]:19,.1f} {exact_size[-1]:12,.3g} {max(off):24.2f}")

# %% says="Each dimension costs a factor"
figure, axis = plots.picture(size=(7.5, 4.2), alt="Effective draws against the dimension: a straight line downwards on a log axis, until a single draw is left")
axis.semilogy(dimensions, measured, "o-", label="measured, median of 20 x")
axis.semilogy(dimensions, exact_size, "--", color="black", label="$n\\,(E w)^2/E w^2$, exact")
axis.set(xlabel="dimensions of z", ylabel="draws that count, of 10,000", ylim=(1e-7, 2e4), title="Every dimension costs about the same factor")
axis.legend()
figure

# %% [markdown]
# With more dimensions, the draws that explain $x$ fill an ever smaller share of the prior: each dimension divides the draws that count by about the same factor. Already where a few dozen are expected, the worst of 20 estimates is off by nats. And the measured number is no warning: it can't fall below 1, whatever the exact one is.
# ($\mathbb E w=p(x)$, and $\mathbb E w^2$ is a Gaussian integral, too: that is the dashed line.)
#
# > **From the notes** (003, lines 80–97; 002, lines 8–13). *How can one generate something meaningful from a random variable, and how is this solved?* By a prior, a decoder, and maximum likelihood; the trouble is this integral. It is not that *all* $z$ must be summed: for a linear decoder and Gaussians the integral has a closed form
# > (above it was $\mathcal N(0,\tfrac54I)$). It is the nonlinear decoder that takes it away, and the many dimensions that make draws from the prior useless. One needs draws that depend on $x$: a second distribution, $q(z\mid x)$.

# %% [markdown]
# ## 2 · A bound with a known gap
#
# Take any density $q(z)$. Lesson 00 found the bound for a sum, by Jensen. Here is the bound with its gap at once. Divide and multiply by $q$ under the logarithm, as $p(x)=p(x,z)/p(z\mid x)$ for *every* $z$:
#
# $$\log p(x)=\log\frac{p(x,z)}{q(z)}+\log\frac{q(z)}{p(z\mid x)} .$$
#
# The left side does not depend on $z$. Average the right side over $q$:
#
# $$\log p(x)=\underbrace{\mathbb E_q\big[\log p(x,z)-\log q(z)\big]}_{\text{ELBO}(q)}+\underbrace{\mathrm{KL}\big(q(z)\,\Vert\,p(z\mid x)\big)}_{\text{gap}\ \ge\ 0} .$$
#
# The gap is 0 for $q=p(z\mid x)$ only. The ELBO needs $p(x,z)=p(x\mid z)\,p(z)$, which the model gives, and no integral of the model. So: **raise the ELBO over $q$, and you find the posterior without ever computing $p(x)$.** That is **variational inference**.
#
# Split $\log p(x,z)=\log p(x\mid z)+\log p(z)$ and put the second part with $\log q$: then $\text{ELBO}=\mathbb E_q[\log p(x\mid z)]-\mathrm{KL}(q\Vert p(z))$, how well the latents explain $x$, less how far they stray from the prior.
#
# Try it where all is known. One latent $z\sim\mathcal N(0,1)$, $D$ numbers $x\mid z\sim\mathcal N(wz,\,s_x^2I)$ with a given vector $w\in\mathbb R^D$ (no weight, here), and $q=\mathcal N(m,s^2)$. Under $q$, $\mathbb E\lVert x-wz\rVert^2=\lVert x-wm\rVert^2+s^2\lVert w\rVert^2$, as in lesson 00's KL:
#
# $$\text{ELBO}=-\frac{\lVert x-wm\rVert^2+s^2\lVert w\rVert^2}{2s_x^2}-\frac D2\log(2\pi s_x^2)-\mathrm{KL}\big(\mathcal N(m,s^2)\,\Vert\,\mathcal N(0,1)\big).$$

# %% [markdown]
# ### Exercise 02.1 · A bound in closed form
# ●●●○○ · 10 min · used in the next cells

# %% exercise="02.1"
def elbo_linear_gaussian(x, w, noise, m, s):
    """The ELBO, in nats, of one datapoint x: z ~ N(0, 1), x|z ~ N(w z, noise² I), q(z) = N(m, s²).

    x, w: (D,); noise, m, s: scalar tensors, noise and s standard deviations above 0. Returns a scalar tensor.
    """
    ### BEGIN SOLUTION
    squares = ((x - w * m) ** 2).sum() + s**2 * (w**2).sum()
    rec = -squares / (2 * noise**2) - len(x) / 2 * torch.log(2 * math.pi * noise**2)
    kl = 0.5 * (m**2 + s**2 - 1 - torch.log(s**2))
    return rec - kl
    ### END SOLUTION


# %%
elbo_linear_gaussian = check("02.1", elbo_linear_gaussian)

# %% [markdown]
# And the posterior: $\log p(z\mid x)=-\frac12z^2-\frac{1}{2s_x^2}\lVert x-wz\rVert^2+\dots$ is a parabola in $z$, so it is a Gaussian. The factor of $-\frac12z^2$ is its **precision**, one over its variance; collect it, then complete the square.

# %% [markdown]
# ### Exercise 02.2 · Where the bound is tight
# ●●○○○ · 10 min · used in the next cell

# %% exercise="02.2"
def exact_posterior(x, w, noise):
    """Mean and variance of p(z|x) for z ~ N(0, 1), x|z ~ N(w z, noise² I).

    x, w: (D,); noise: scalar tensor, a standard deviation above 0. Returns (mean, variance), two scalar tensors.
    """
    ### BEGIN SOLUTION
    precision = 1 + (w**2).sum() / noise**2
    return (w * x).sum() / noise**2 / precision, 1 / precision
    ### END SOLUTION


# %%
exact_posterior = check("02.2", exact_posterior)

# %% [markdown]
# Now both sides of the equation, each by itself: $\log p(x)$ by an integral over $z$, the gap by another, the ELBO by your formula.

# %% says="ELBO + gap = log p(x), to ten digits"
x, w, noise = torch.tensor([1.2, -0.3, 0.8]).double(), torch.tensor([1.0, -0.5, 0.7]).double(), torch.tensor(0.6).double()
z = torch.linspace(-12, 12, 400_001, dtype=torch.float64)
log_joint = Normal(0.0, 1.0).log_prob(z) + Normal(w * z[:, None], noise).log_prob(x).sum(-1)
log_px = torch.trapezoid(log_joint.exp(), z).log()
mean, variance = exact_posterior(x, w, noise)
for name, m, s in (("the prior", 0.0, 1.0), ("a guess", 0.5, 0.3), ("posterior", mean.item(), variance.sqrt().item())):
    m, s = torch.tensor([m, s]).double()
    log_q = Normal(m, s).log_prob(z)
    gap = torch.trapezoid(log_q.exp() * (log_q - (log_joint - log_px)), z)
    bound = elbo_linear_gaussian(x, w, noise, m, s)
    print(f"q = {name:10} ELBO {bound:.6f} + gap {gap:.6f} = {bound + gap:.6f}; log p(x) {log_px:.6f}, apart by {abs(bound + gap - log_px):.0e}")

# %% [markdown]
# > **From the notes** (002, lines 38–46; 003, line 125). "To infer $x$ given $z$" is what the decoder does; **inference** goes the other way, from $x$ to $z$. And $\log p(x)$ may be put under an average over $q$ because it does not depend on $z$: that was the step above.

# %% [markdown]
# ## 3 · Inference before networks
#
# With more than one latent, the classical recipe assumes that $q$ is a product, $q(z)=\prod_iq_i(z_i)$. That is the **mean-field** assumption. Keep all factors but one. As a function of that one, the ELBO is
#
# $$\text{ELBO}=\mathbb E_{q_i}\big[g_i(z_i)\big]-\mathbb E_{q_i}[\log q_i(z_i)]+\text{const},\qquad g_i(z_i)=\mathbb E_{q_j,\,j\ne i}\big[\log p(x,z)\big],$$
#
# which is $-\mathrm{KL}(q_i\Vert e^{g_i}/c)$ up to a constant, with $c=\int e^{g_i}$. A KL is smallest where both are equal: the best factor is $q_i\propto e^{g_i}$. Go round, one factor at a time; each update raises the ELBO.
#
# For a Gaussian posterior $\mathcal N(\mu,\Lambda^{-1})$ with precision matrix $\Lambda$, $\log p(x,z)=-\frac12(z-\mu)^\top\Lambda(z-\mu)+\dots$, and what depends on $z_i$ is
#
# $$g_i(z_i)=-\tfrac12\Lambda_{ii}(z_i-\mu_i)^2-(z_i-\mu_i)\sum_{j\ne i}\Lambda_{ij}(m_j-\mu_j)+\text{const},\qquad m_j=\mathbb E_{q_j}[z_j].$$
#
# A parabola again, so $q_i$ is a Gaussian. Its variance is one over the factor $\Lambda_{ii}$; its mean is where the slope is 0.

# %% [markdown]
# ### Exercise 02.3 · How wide are the factors?
# ●●○○○ · 5 min · used in the next cells

# %% exercise="02.3"
def mean_field_variances(precision):
    """Variances of the factorised Gaussian q that minimises KL(q‖p), for the target p = N(·, precision⁻¹).

    precision: (D, D), symmetric, positive definite. Returns (D,).
    """
    ### BEGIN SOLUTION
    return 1 / precision.diagonal()
    ### END SOLUTION


# %%
mean_field_variances = check("02.3", mean_field_variances)

# %% [markdown]
# ### Exercise 02.4 · One factor at a time
# ●●●○○ · 10 min · used in the next cells

# %% exercise="02.4"
def coordinate_update(m, mu, precision, i):
    """The mean of factor i that minimises KL(q‖p) while the other means stay, for the target p = N(mu, precision⁻¹).

    m, mu: (D,), the means of q and of p; precision: (D, D), symmetric, positive definite; i: a whole number, 0 … D − 1.
    Returns the new m_i, a scalar tensor; m itself is not changed.
    """
    ### BEGIN SOLUTION
    others = torch.arange(len(m)) != i
    return mu[i] - precision[i, others] @ (m - mu)[others] / precision[i, i]
    ### END SOLUTION


# %%
coordinate_update = check("02.4", coordinate_update)

# %% [markdown]
# A model without any network: a line $y=z_1+z_2t$ through six points with noise of standard deviation $s_y=0.8$, with prior $\mathcal N(0,I)$ on intercept and slope. Its posterior is Gaussian, with $\Lambda=I+T^\top T/s_y^2$ and $\mu=\Lambda^{-1}T^\top y/s_y^2$, where the rows of $T$ are $(1,t)$.
#
# The ELBO has an expectation over two Gaussians. In two dimensions that is a sum over a few fixed points with weights (**Gauss–Hermite** quadrature; exact for a parabola, and nearly so where the function is close to a polynomial over the width of $q$). Lesson 03 will need draws because there are too many dimensions for that; here you need none.

# %% says="Each update raises the ELBO; what is left is the price of factors"
torch.manual_seed(0)
t = 0.6 * torch.arange(6.0).double()
design = torch.stack([torch.ones(6).double(), t], 1)  # T, (6, 2)
y = 1 - 0.5 * t + 0.8 * torch.randn(6).double()
precision = torch.eye(2).double() + design.T @ design / 0.8**2
mu = torch.linalg.solve(precision, design.T @ y / 0.8**2)
log_py = MultivariateNormal(torch.zeros(6).double(), design @ design.T + 0.8**2 * torch.eye(6)).log_prob(y)

eps, weight = metrics.normal_nodes(4, dtype=torch.float64)  # 16 points of N(0, I), and their weights


def line_elbo(m, sd):
    z = m + sd * eps
    log_p = Normal(0.0, 1.0).log_prob(z).sum(-1) + Normal(z @ design.T, 0.8).log_prob(y).sum(-1)
    return weight @ (log_p - Normal(m, sd).log_prob(z).sum(-1))


m, sd = torch.tensor([0.1, 0.7]).double(), mean_field_variances(precision).sqrt()
path, bounds = [m.clone()], [line_elbo(m, sd)]
for _ in range(20):
    for i in (0, 1):
        m[i] = coordinate_update(m, mu, precision, i)
        path, bounds = [*path, m.clone()], [*bounds, line_elbo(m, sd)]
print("ELBO after each update:", ", ".join(f"{b:.3f}" for b in bounds[:8]), f"… {bounds[-1]:.6f}")
print(f"it never fell: {all(b >= a - 1e-12 for a, b in zip(bounds, bounds[1:]))}; means {m[0]:.4f} {m[1]:.4f}, exact {mu[0]:.4f} {mu[1]:.4f}")
rho = precision[0, 1] / (precision[0, 0] * precision[1, 1]).sqrt()
print(f"log p(y) {log_py:.6f}, gap {log_py - bounds[-1]:.6f}; by theory −½ log(1 − ρ²) = {-0.5 * torch.log(1 - rho**2):.6f}")

# %% says="Right mean, too narrow: the factors can't lean"
covariance = torch.linalg.inv(precision)
side = metrics.grid(200, 1.8, (0.7, -0.4), dtype=torch.float64)
density = MultivariateNormal(mu, covariance).log_prob(side).exp().reshape(200, 200)
figure, axis = plots.picture(size=(7, 5.6), alt="A slanted exact posterior, the path of the updates as a staircase, and the factorised q, an upright small ellipse")
axis.imshow(density.T, origin="lower", extent=(-1.1, 2.5, -2.2, 1.4), cmap="Blues", aspect="auto")
axis.plot(*torch.stack(path).T, "o-", color="black", ms=4, lw=1.5, label="updates of the mean, one factor at a time")
axis.add_patch(plots.Ellipse(m.tolist(), *(4 * sd).tolist(), fill=False, color=plots.COLOURS[2], lw=2.5, label="q at two σ"))
axis.set(xlabel="intercept $z_1$", ylabel="slope $z_2$", title="Right mean, too narrow: factors can't lean")
axis.legend()
figure

# %% [markdown]
# The mean is right. The variances are one over the diagonal of $\Lambda$, less than the posterior's own, $1/\Lambda_{ii}$ is the variance of $z_i$ while the others are held still: the width of the slanted ellipse along a line through its middle, not that of its shadow on the axis, $(\Lambda^{-1})_{ii}$. That price has a formula, with the correlation $\rho$ of the precision matrix; the last line printed it.
#
# > **From the notes** (000, lines 27–43). *What are structure and "genetic process"? Is $P(H\mid E)$ not based on data?* The word is **generative** process: the order in which the model draws, $p(z)$, then $p(x\mid z)$. The structure is which variable depends on which. These two give the update *formulas*, like that of exercise 02.4, before any data is there.
# > The *values* need $x$: $\mu$ is made of $y$. So inference is based on data in the classical case, too, one datapoint at a time. (EM and losses are algorithms, not structure.)

# %% [markdown]
# ## 4 · A lamp in the dark
#
# Now a model with a nonlinear decoder, small enough that everything about it can be known. A lamp stands somewhere on a table, at $z\sim\mathcal N(0,I)$ in the plane. Five light sensors lie in a row across it, a little slanted. Each reads the brightness at its place $s_i$, with noise:
#
# $$x_i\mid z\sim\mathcal N\Big(e^{-\lVert z-s_i\rVert^2/(2\cdot1.5^2)},\ 0.1^2\Big),\qquad i=1,\dots,5 .$$
#
# You see the five readings. Where is the lamp? **Predict** what the posterior looks like. (Which places give the same five readings?)

# %% says="Two places on either side of the row give the same readings"
sensor_noise = 0.1
along = torch.tensor([math.cos(math.pi / 6), math.sin(math.pi / 6)]).double()  # the direction of the row
row = torch.linspace(-2, 2, 5).double()[:, None] * along  # (5, 2), the sensors


def light(z):
    """The five readings without noise, (..., 5), of a lamp at z (..., 2)."""
    return torch.exp(-(z[..., None, :] - row).square().sum(-1) / (2 * 1.5**2))


def log_joint(x, z):
    """log p(x, z) in nats: readings x (B, 5) and places z (..., B, 2) give (..., B)."""
    return Normal(light(z), sensor_noise).log_prob(x).sum(-1) + Normal(0.0, 1.0).log_prob(z).sum(-1)


def draw(n):
    """n lamps, (n, 2), and what the sensors read, (n, 5)."""
    z = torch.randn(n, 2).double()
    return z, light(z) + sensor_noise * torch.randn(n, 5).double()


torch.manual_seed(1)
lamps, readings = draw(100)
off = lamps - (lamps @ along)[:, None] * along  # from the row to the lamp
b = off.norm(dim=1).argsort()[70]
table = log_joint(readings[b : b + 1], metrics.grid(300, 4.0, dtype=torch.float64)[:, None])
figure, axes = plots.picture(1, 2, size=(11, 4.6), alt="Five readings as bars, and the posterior over the plane: two humps, one on each side of the row of sensors")
axes[0].bar(range(1, 6), readings[b])
axes[0].set(xlabel="sensor", ylabel="reading", title="What you see")
axes[1].imshow(table.softmax(0).reshape(300, 300).T, origin="lower", extent=(-4, 4, -4, 4), cmap="Blues")
axes[1].plot(*row.T, "s", color="black", label="sensors")
axes[1].plot(*lamps[b], "*", ms=16, color=plots.COLOURS[1], label="the lamp")
axes[1].set(xlabel="$z_1$", ylabel="$z_2$", title="and what could be behind it", xlim=(-3, 3), ylim=(-3, 3))
axes[1].legend()
figure

# %% [markdown]
# A lamp and its mirror image in the row give the same readings, and the prior favours neither. So the posterior has two equal humps when the lamp is well off the row, and one when it is near it.
#
# With two latents the integral is a sum over the cells of a grid. How exact?

# %% says="log p(x) on a grid: exact to eight digits"
def exact_log_px(x, n=240, limit=6.0):
    z = metrics.grid(n, limit, dtype=torch.float64)[:, None]
    return torch.cat([log_joint(part, z).logsumexp(0) for part in x.split(20)]) + 2 * math.log(2 * limit / n)


log_px = exact_log_px(readings)
print(f"mean log p(x) of 100 datapoints: {log_px.mean():.6f} nats")
print(f"300² cells instead of 240² move it by {(exact_log_px(readings, 300) - log_px).abs().max():.0e} at most, "
      f"a plane half as wide again by {(exact_log_px(readings, 360, 9.0) - log_px).abs().max():.0e}")

# %% [markdown]
# ## 5 · By gradient, and by network
#
# **By gradient, for each datapoint.** No formula for an update exists here, but the ELBO can be computed: the expectation over a Gaussian $q$ with mean $m$ and root $R$ (covariance $RR^\top$) is a sum over fixed points $z_g=m+R\epsilon_g$, and a Gaussian's entropy, in two dimensions, is $\log(2\pi e)+\log|\det R|$. So climb it, separately for each $x$.
# A diagonal $R$ is mean-field; a triangular one allows every covariance.

# %% says="The best Gaussian of each datapoint, found by climbing"
fine, coarse = (metrics.normal_nodes(n, dtype=torch.float64) for n in (14, 6))  # 196 and 36 points


def elbo(x, mean, root, nodes=fine):
    """The ELBO, (B,), of Gaussians with mean (B, 2) and root (B, 2, 2)."""
    eps, weight = nodes
    z = mean + torch.einsum("bij,gj->gbi", root, eps)  # (G, B, 2)
    return weight @ log_joint(x, z) + math.log(2 * math.pi * math.e) + root.diagonal(dim1=1, dim2=2).log().sum(-1)


def unpack(params):
    """Mean and root from 4 or 5 numbers: mean, log of the diagonal, and what is below it."""
    root = torch.diag_embed(params[:, 2:4].exp())
    if params.shape[1] == 5:
        root = root + params[:, 4, None, None] * torch.tensor([[0, 0], [1, 0]])
    return params[:, :2], root


def best_gaussian(x, start):
    """Climbs the ELBO of every datapoint from start (B, 4 or 5): params and ELBO of each."""
    params = start.clone().requires_grad_()
    climber = torch.optim.LBFGS([params], max_iter=120, history_size=30, line_search_fn="strong_wolfe", tolerance_grad=1e-7)

    def loss():
        climber.zero_grad()
        value = -elbo(x, *unpack(params)).sum()
        value.backward()
        return value

    climber.step(loss)
    return params.detach(), elbo(x, *unpack(params)).detach()

# %% [markdown]
# Climbing may end on the lesser hill, so start twice: narrow, at the posterior's peak, and wide, on the row between the two humps. Keep the better one.

# %% says="Factors, full covariance: the better of two starts"
plane = metrics.grid(100, 4.0, dtype=torch.float64)


def better_of_two(x, extra=0):
    """The best params and ELBO of each datapoint, from two starts, and which start it was."""
    peak = plane[log_joint(x, plane[:, None]).argmax(0)]
    between = (peak @ along)[:, None] * along
    tries = []
    for place, log_width in ((peak, -1.5), (between, -0.5)):
        start = torch.cat([place, torch.full_like(place, log_width), torch.zeros(len(x), extra).double()], 1)
        tries.append(best_gaussian(x, start))
    wide = tries[1][1] > tries[0][1]
    return torch.where(wide[:, None], tries[1][0], tries[0][0]), torch.maximum(tries[0][1], tries[1][1]), wide


best = {}
for family, extra in (("factorised", 0), ("full covariance", 1)):
    *best[family], wide = better_of_two(readings, extra)
    gap = log_px - best[family][1]
    print(f"best {family:15}: gap median {gap.median():.3f}, from {gap.min():.3f} to {gap.max():.3f} nats; wide start won {wide.sum()} times")
print(f"log 2 = {math.log(2):.3f}")

# %% [markdown]
# Many gaps of the factorised $q$ lie near $\log2$ or above. $\log2$ is the price of one hump out of two: where $q$ stands on one hump and equals it, the posterior is half of it, $\mathrm{KL}=\log\frac{1}{1/2}$. Where the humps lie far apart no Gaussian can do better; only another family of $q$ could.
#
# **By a network, for all datapoints.** Finding $(m,R)$ for a datapoint is a function of $x$, so let a network be that function: the **encoder** $q_\phi(z\mid x)$, with *one* set of weights $\phi$ for all $x$, trained to raise the average ELBO, here on fresh draws of the model. It gives four numbers: its $q$ is factorised. A new $x$ then costs one pass. That is **amortized inference**.

# %% says="The encoder learns to answer, one set of weights for all"
def new_encoder(seed=0, steps=1500, batch=128, lr=5e-3):
    """An encoder 5–64–64–4 (mean beside log σ), trained on fresh draws of the model."""
    torch.manual_seed(seed)
    encoder = nets.mlp(5, 64, 64, 4).double()
    optimizer = torch.optim.Adam(encoder.parameters(), lr=lr)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))
        _, x = draw(batch)
        loss = -elbo(x, *unpack(encoder(x)), nodes=coarse).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return encoder.requires_grad_(False)


start = time.perf_counter()
encoder = new_encoder()
train_seconds = time.perf_counter() - start
bound = elbo(readings, *unpack(encoder(readings)))
print(f"trained in {train_seconds:.1f} s; gap on datapoints it never saw: median {(log_px - bound).median():.3f}, "
      f"from {(log_px - bound).min():.3f} to {(log_px - bound).max():.3f} nats")

# %% [markdown]
# The gap of the encoder has two parts. Even the best $q$ of its family misses: the **approximation gap**. And the encoder misses the best $q$: the **amortization gap** ([Cremer et al. 2018](https://arxiv.org/abs/1801.03558)).

# %% [markdown]
# ### Exercise 02.5 · Two gaps
# ●○○○○ · 5 min · used in the next cells

# %% exercise="02.5"
def inference_gaps(log_px, elbo_best, elbo_encoder):
    """Splits log p(x) − ELBO of the encoder into what the family of q costs and what the encoder adds, in nats.

    log_px, elbo_best (the best q of the family), elbo_encoder: (B,), one number a datapoint.
    Returns (approximation, amortization), two tensors (B,). A search that stops too early gives a negative gap: leave it.
    """
    ### BEGIN SOLUTION
    return log_px - elbo_best, elbo_best - elbo_encoder
    ### END SOLUTION


# %%
inference_gaps = check("02.5", inference_gaps)

# %% [markdown]
# A table for single datapoints. $\log p(x)$ and the sum are exact; the split is as good as the search, for a better $q^*$ would move nats from the first gap to the second. The last column is the sum of the two gaps, computed in another way: as $\mathrm{KL}(q_\phi\Vert p(z\mid x))$, on a grid.

# %% says="Both gaps of single datapoints, and their sum by another way"
def kl_to_posterior(x, mean, root, n=240, limit=6.0):
    """KL(q‖p(z|x)) in nats, (B,), by a sum over the cells of a grid: no ELBO in it."""
    z = metrics.grid(n, limit, dtype=torch.float64)[:, None]
    log_q = MultivariateNormal(mean, scale_tril=root).log_prob(z)  # (n², B)
    return (log_q.exp() * (log_q - log_joint(x, z).log_softmax(0))).sum(0) * (2 * limit / n) ** 2 + 2 * math.log(2 * limit / n)


approximation, amortization = inference_gaps(log_px, best["factorised"][1], bound)
by_grid = torch.cat([kl_to_posterior(x, *unpack(encoder(x))) for x in readings.split(10)])
print("    log p(x)   best factorised   encoder   approximation + amortization = sum        KL on a grid")
for b in range(8):
    print(f"{log_px[b]:12.4f} {best['factorised'][1][b]:17.4f} {bound[b]:9.4f} {approximation[b]:15.4f} {amortization[b]:14.4f}"
          f" {approximation[b] + amortization[b]:12.6f} {by_grid[b]:14.6f}")
print(f"all 100: apart by {(approximation + amortization - by_grid).abs().max():.0e} nats at most")

# %% says="Here the family costs more than the network"
print("mean gaps, nats:      approximation   amortization    (three encoders)")
for seed in range(3):
    other = encoder if seed == 0 else new_encoder(seed)
    a, b = inference_gaps(log_px, best["factorised"][1], elbo(readings, *unpack(other(readings))))
    print(f"  encoder of seed {seed} {a.mean():15.3f} {b.mean():14.3f}    worst datapoint {b.max():.2f}")
print(f"  a full covariance would regain {(best['full covariance'][1] - best['factorised'][1]).mean():.3f} of the first")

# %% figure="02_three_gaussians" says="Truth in blue, three Gaussians on it"
chosen = approximation.argsort()[[2, 35, 70, 97]]
spots = metrics.grid(240, 3.2, dtype=torch.float64)
figure, axes = plots.picture(1, 4, size=(15, 4.4), alt="Four exact posteriors with one or two humps; on each three ellipses: factorised, full covariance, and the encoder's")
for axis, b in zip(axes, chosen.tolist()):
    density = log_joint(readings[b : b + 1], spots[:, None]).softmax(0).reshape(240, 240)
    axis.imshow(density.T, origin="lower", extent=(-3.2, 3.2, -3.2, 3.2), cmap="Blues")
    circle = torch.stack([f(torch.linspace(0, 2 * math.pi, 100).double()) for f in (torch.cos, torch.sin)])  # (2, 100)
    drawn = {"factorised": best["factorised"][0], "full covariance": best["full covariance"][0], "network": encoder(readings)}
    for (name, params), style, colour in zip(drawn.items(), ("-", "--", ":"), (*plots.COLOURS[1:3], "black")):
        mean, root = unpack(params[b : b + 1])
        axis.plot(*(mean[0, :, None] + 2 * root[0] @ circle), style, color=colour, label=name)
    axis.set(xlabel="$z_1$", title=f"gaps {approximation[b]:.2f} + {amortization[b]:.2f} nats")
    axis.grid(False)
axes[0].set_ylabel("$z_2$")
axes[0].legend(loc="lower left")
figure

# %% [markdown]
# Each ellipse is a $q$ at two standard deviations. Where the posterior is one hump, a full covariance regains what its slant costs. With two humps nobody wins: each has to pick a side and pays at least about $\log2$, the factorised one its slant on top.
# The network is mostly close to the best of its family, but not on every datapoint: its worst of 100 misses by more than half a nat.
#
# > **From the notes** (000, lines 53–63). *Does new data change all parameters, or only those of the new case?* Without amortization, only the new case's own $(m,R)$ is found, by a search; the model stays. With it, nothing is changed at all: the encoder answers. What defines amortized inference is that the weights are **shared**, $q(z\mid x)=q(z;f_\phi(x))$, not
# > "that there is a data set": classical inference uses data, too. Black-box variational inference is a way to estimate the ELBO's gradient, with draws from $q$; it may be amortized or not. (Draws from $q$ are plain Monte Carlo; MCMC is another thing.)
#
# > **From the notes** (000, lines 65–79). *Is it better than MCMC?* Faster, and biased: a Markov chain run for ever gets the two humps right, a Gaussian $q$ never does. And the encoder outputs the *result* of the updates, an $x$'s own $(m,R)$, not the update formula; networks that learn the update exist as well ([Marino et al. 2018](https://arxiv.org/abs/1807.09356)).

# %% [markdown]
# ## 6 · Be the encoder
#
# Six datapoints. Drag the Gaussian, pull its handles, and raise the ELBO. Then ask for the best and for the network's.

# %% says="Raise the ELBO by hand"
six = torch.cat([chosen, approximation.argsort()[[10, 85]]])
mean, root = unpack(best["factorised"][0][six])
guess, spread = unpack(encoder(readings[six]))
cells = metrics.grid(128, 4.0, dtype=torch.float64)[:, None]
BeTheEncoder(
    log_joint(readings[six], cells).T.reshape(6, 128, 128),
    log_px[six],
    (mean, root.diagonal(dim1=1, dim2=2)),
    (guess, spread.diagonal(dim1=1, dim2=2)),
    limit=4.0,
    images=readings[six].clamp(0, 1),
    shape=(1, 5),
)

# %% [markdown]
# **Play:**
#
# 1. Get within 0.05 nats of the best on the first datapoint. What matters more, the place or the width?
# 2. On one with two humps: stand on one hump, then try to cover both. Which is dearer? (Lesson 00's widget told you.)
# 3. The best $q$ stops short of the log p(x) mark. By how much on each datapoint, and which gap is that?
# 4. Where the network is worse than you: on which side does it err?

# %% [markdown]
# ## 7 · What does a new datapoint cost?
#
# The search takes many steps for each $x$, the encoder one pass, after a training that has to be paid once. From how many datapoints on does it pay?

# %% [markdown]
# ### Exercise 02.6 · When does training pay?
# ●●○○○ · 5 min · used in the next cell

# %% exercise="02.6"
def break_even(train_cost, encoder_cost, svi_cost):
    """The smallest number n of datapoints for which train_cost + n · encoder_cost ≤ n · svi_cost.

    train_cost (above 0), encoder_cost and svi_cost (for each datapoint): numbers in one unit, say seconds.
    Returns a whole number, or math.inf when the encoder never pays.
    """
    ### BEGIN SOLUTION
    if encoder_cost >= svi_cost:
        return math.inf
    return math.ceil(train_cost / (svi_cost - encoder_cost))
    ### END SOLUTION


# %%
break_even = check("02.6", break_even)

# %% [markdown]
# One datapoint at a time, as it would arrive. The search (papers call it SVI, *stochastic* variational inference, though here nothing is random) starts at the prior and takes gradient steps until its ELBO is as good as the encoder's, or stops after 300.

# %% says="From how many datapoints on does training pay?"
def search(x, params, steps, lr=0.05, enough=math.inf):
    """Adam on one datapoint's, or a batch's, own params; the ELBO after each step, (steps, B)."""
    params, bounds = params.clone().requires_grad_(), []
    optimizer = torch.optim.Adam([params], lr=lr)
    for _ in range(steps):
        value = elbo(x, *unpack(params))
        optimizer.zero_grad()
        (-value.sum()).backward()
        optimizer.step()
        bounds.append(value.detach())
        if value.min() >= enough:
            break
    return torch.stack(bounds), params.detach()


seconds = {"search": [], "encoder": []}
steps = []
for b in range(20):
    x = readings[b : b + 1]
    start = time.perf_counter()
    bounds, _ = search(x, torch.zeros(1, 4).double(), 300, enough=bound[b].item())
    seconds["search"].append(time.perf_counter() - start)
    steps.append(len(bounds))
    start = time.perf_counter()
    encoder(x)
    seconds["encoder"].append(time.perf_counter() - start)
cost = {name: sorted(s)[len(s) // 2] for name, s in seconds.items()}
print(f"a new datapoint: search {1e3 * cost['search']:.1f} ms ({sorted(steps)[10]} steps), encoder {1e3 * cost['encoder']:.2f} ms, "
      f"{cost['search'] / cost['encoder']:,.0f} times less (medians of 20)")
print(f"training took {train_seconds:.1f} s: it pays from {break_even(train_seconds, cost['encoder'], cost['search']):,} datapoints on")

# %% [markdown]
# In training a VAE the bill is larger: each image is visited in every epoch, and its search would have to go on each time, because the decoder has moved.

# %% [markdown]
# ## 8 · Data that the encoder never saw
#
# The middle sensor breaks and reads 0. The model does not know; its posterior for such readings is still exact on the grid. **Predict:** which of the two gaps grows? And what do a few steps of search do, from the encoder's answer instead of from the prior?

# %% says="On strange data the amortization gap grows; a few steps close it"
broken = readings.clone()
broken[:, 2] = 0
floors, curves = {}, {}
for name, x in (("as in training", readings), ("middle sensor broken", broken)):
    truth = exact_log_px(x)
    a, b = inference_gaps(truth, better_of_two(x)[1], elbo(x, *unpack(encoder(x))))
    print(f"{name:21}: approximation {a.mean():.3f}, amortization {b.mean():.3f} on average, {b.max():.2f} at worst")
    for origin, params in (("the encoder's answer", encoder(x)), ("the prior", torch.zeros(100, 4).double())):
        curves[name, origin] = (truth - search(x, params, 60)[0]).mean(1)
    floors[name] = a.mean().item()

# %% says="A few steps from the encoder's answer are worth many from the prior"
figure, axes = plots.picture(1, 2, size=(12, 4.2), sharey=True, alt="Mean gap against search steps, from the encoder's answer and from the prior, for usual and for strange data")
for axis, (name, floor) in zip(axes, floors.items()):
    for origin, style in (("the encoder's answer", "-"), ("the prior", "--")):
        axis.semilogy(curves[name, origin], style, label=f"from {origin}")
    axis.axhline(floor, color="black", lw=1.5, ls=":", label="best factorised q")
    axis.set(xlabel="search steps", title=name)
axes[0].set_ylabel("mean gap, nats")
axes[0].legend()
figure

# %% [markdown]
# The encoder's weights were fitted to readings that the model produces; on others it guesses, and nothing warns you: a low ELBO may be a large gap or a rare $x$. What tells them apart is a few steps of search. If the ELBO climbs, the encoder missed. Both gaps grow here, the encoder's most. To search on from its answer, *semi-amortized* inference ([Kim et al. 2018](https://arxiv.org/abs/1802.02550)), is cheap and repairs most of it. So what has to be computed anew?
#
# | what is new | search | encoder |
# |---|---|---|
# | a datapoint | its own $(m,R)$, many steps | one pass |
# | a datapoint unlike the others | the same | one pass, then a few steps to see whether the ELBO climbs |
# | the model ($\theta$ has moved) | every datapoint's $(m,R)$ | the weights $\phi$, from where they are |

# %% [markdown]
# ## 9 · Where the word comes from
#
# To *amortize* is to spread one large cost over many uses. Computer science has **amortized analysis**: the total cost of a *sequence* of operations, divided by their number, and that for the **worst** sequence. No distribution of data comes in.
#
# A list that grows: it has room for some items, and when it is full it moves everything to a place twice as large. An append that triggers a move costs as many writes as there are items. **Predict:** the average cost of an append, over a million of them.

# %% says="Doubling: the worst append costs half a million writes, the average less than three"
def appends(n, grow):
    """Writes for n appends to a list that starts with room for 1: (total, largest of one append)."""
    room, total, largest = 1, 0, 0
    for items in range(n):
        writes = 1
        if items == room:
            room, writes = grow(room), 1 + items  # move all, then write
        total, largest = total + writes, max(largest, writes)
    return total, largest


for name, grow in (("doubling", lambda room: 2 * room), ("1000 places more", lambda room: room + 1000)):
    for n in (10_000, 100_000, 1_000_000):
        total, largest = appends(n, grow)
        print(f"{name:17} n = {n:9,}: worst append {largest:9,} writes, average {total / n:8.2f}")

# %% [markdown]
# Doubling: the moves cost $1+2+4+\dots<2n$ writes in all, so an append costs less than 3 on average, though one costs $O(n)$, a multiple of $n$. Amortized $O(1)$, whoever appends and whatever. With a fixed step the average grows with $n$.
#
# **Average-case** analysis is another thing: there the *input* is random. A search tree filled with keys in random order, against the same keys sorted:

# %% says="Average case: the distribution of the keys decides"
def comparisons(keys):
    """Comparisons to put the keys into a plain binary search tree: a key lands below the later of its two neighbours."""
    order, depth, total = [], {}, 0
    for key in keys:
        place = bisect.bisect(order, key)
        near = [depth[k] for k in order[max(place - 1, 0) : place + 1]]
        depth[key] = 1 + max(near, default=-1)
        total += depth[key]
        order.insert(place, key)
    return total / len(keys)


for n in (1000, 4000, 16_000):
    torch.manual_seed(0)
    shuffled = [comparisons(torch.randperm(n).tolist()) for _ in range(5)]
    print(f"{n:6,} keys: sorted {comparisons(range(n)):8.1f} comparisons a key, in random order {min(shuffled):.1f} to {max(shuffled):.1f}; "
          f"exact mean {2 * (1 + 1 / n) * sum(1 / i for i in range(1, n + 1)) - 4:.1f}")

# %% [markdown]
# > **From the notes** (000, lines 43–49). "Amortized analysis is the complexity when there is a data set", with a search tree under a known distribution of keys: that is **average-case** analysis. Amortized analysis assumes nothing about the data; and a worst-case $O(\cdot)$ without a data set means a lot. What amortized *inference* borrowed from it is the idea of section 7, one bill for many uses.
# > It did not borrow the guarantee: a doubling list never answers wrongly, an encoder may, as section 8 shows.

# %% [markdown]
# ## Recap
#
# 1. $p(x)$ is an integral over latents, and of draws from the prior fewer count, by a factor, with each dimension.
# 2. $\log p(x)=\text{ELBO}(q)+\mathrm{KL}(q\Vert p(z\mid x))$: raise the ELBO, and $q$ goes to the posterior, as far as its family lets it.
# 3. Classical inference solves for each datapoint, by formulas or by a search. For a Gaussian posterior, a factorised $q$ has the right mean and is too narrow; with two humps it takes one.
# 4. An encoder answers for all with one set of weights. What it misses is the approximation gap, its family's, plus the amortization gap, its own.
# 5. It pays from some number of datapoints on; on data unlike its training a few steps of search help.
#
# $$\boxed{\;\log p(x)-\text{ELBO}(q_\phi)=\underbrace{\log p(x)-\text{ELBO}(q^*)}_{\text{approximation}}+\underbrace{\text{ELBO}(q^*)-\text{ELBO}(q_\phi)}_{\text{amortization}}\;}$$
#
# **Ask yourself**
#
# <details><summary>1. You double the size of the encoder, and the gap hardly moves. What do you try?</summary>
#
# A richer family for $q$, or a look at the posterior. If the approximation gap dominates, as here with two humps, no encoder can help.
#
# </details>
# <details><summary>2. You may have one extra step for every test image. Where do you spend it?</summary>
#
# In a search from the encoder's answer, on the images where its first steps raise the ELBO most. A low ELBO alone may be an image with a low log p(x).
#
# </details>
# <details><summary>3. The best q has a smaller variance than the posterior. Is the search broken?</summary>
#
# No. KL(q‖p) punishes q for standing where p is small, so a q that can't lean comes out too narrow along each axis. Its mean may be right all the same.
#
# </details>
#
# **Next:** here an expectation was a sum over fixed points, which works in two dimensions. In twenty dimensions you have to draw, and the encoder's gradient has to get past the draw: lesson 03.
#
# **References** · Blei, Kucukelbir & McAuliffe 2017 (variational inference, a review), [arXiv:1601.00670](https://arxiv.org/abs/1601.00670) · Kingma & Welling 2014, [arXiv:1312.6114](https://arxiv.org/abs/1312.6114) · Cremer, Li & Duvenaud 2018, [arXiv:1801.03558](https://arxiv.org/abs/1801.03558) ·
# Marino, Yue & Mandt 2018, [arXiv:1807.09356](https://arxiv.org/abs/1807.09356) · Kim et al. 2018, [arXiv:1802.02550](https://arxiv.org/abs/1802.02550) · amortized analysis: Tarjan 1985, [doi:10.1137/0606031](https://doi.org/10.1137/0606031)
