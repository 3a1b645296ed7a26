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
# ![A map of model families with two axes: explicit models with an exact, bounded or chain-estimated likelihood, and implicit ones with samples only](figures/00_families.png)
#
# *75 minutes; skip what you know, but not the exercises · builds on school calculus, averages, and some Python · five exercises*

# %% [markdown] slide="notes"
# *For the lecturer: section 2 is one slide and ten minutes of talk. Sections 3 to 5 are a review that a class with statistics can skip; 6, 7 and 8 are not.*

# %% [markdown] slide="skip"
# Run the cells from the top with Shift+Enter. Where a cell says *Exercise*, replace the last line of the function with your own code, run it, and run the check below it: it tells you whether you are right, and if not, what is likely wrong.
# `hint("00.1")` gives the next of three hints, `solution("00.1")` the course's answer. The lesson goes on either way. Later, in a terminal, `make progress LESSON=00` lists which of your saved answers are right, in seconds.
#
# Before an experiment you are asked to **predict**. Do: a surprise teaches more than a confirmation. Boxes that begin **From the notes** set right what the lecture notes behind this course ask or get wrong; they are good questions without the notes, too.

# %% [markdown]
# ## 1 · Is everything here?

# %% says="Is everything here?"
import math

import torch
from torch.nn import functional as F

from course_lib import plots, ready
from course_lib.exercises import check, hint, solution
from course_lib.family_tree import family_tree
from course_lib.widgets import TwoDivergences

ready.report()

# %% [markdown]
# And a widget. If the next cell shows a curve that you can drag, this page is alive; section 7 says what the curve means. If it shows a still picture, open the lesson in JupyterLab with `make lab` (the README has the commands for a machine without make).

# %% slide="notes"
TwoDivergences()

# %% [markdown]
# ### How formulas are read
#
# A few signs recur in all lessons. The lecture notes write some of them differently:
#
# | here | in the notes | read |
# |---|---|---|
# | $x$ | E, evidence | what is observed: an image |
# | $z$ | H, hidden | the latent: not observed, but it would explain $x$ |
# | $p(x)$, $p(x\mid z)$ | P(E), P(E\|H) | how probable $x$ is; the same once $z$ is known, "$x$ given $z$" |
# | $p_\theta$, $q_\phi$ | the same | a distribution with adjustable numbers, its *weights* $\theta$: the model; $\phi$: of the network that guesses $z$ |
# | $x\sim p$ | | $x$ is drawn at random from $p$ |
# | $\mathbb E_p[f(x)]$ | E | the average of $f(x)$ over draws from $p$: $\sum_x p(x)f(x)$ |
# | $\log$, nats | $\ln$ | the natural logarithm; its unit is the nat, 1.44 bits |

# %% [markdown]
# ## 2 · The map
#
# A **generative model** is a distribution $p_\theta(x)$ over images, sounds or texts that one can draw from, with weights fitted to examples. Two questions sort the kinds that exist. Does the model have a **formula** for $p_\theta(x)$, or only a way to draw? And is it trained **by likelihood**, which is to say: are its weights moved until the
# examples are probable?

# %% figure="00_families"
family_tree()

# %% [markdown]
# ### Four ways to a distribution
#
# - **Exact** formulas: one pixel after another, each given those before it (FVBN, PixelCNN, language models; section 6 builds one), or noise bent by an invertible function (flows).
# - A **lower bound**, where the formula contains a sum over all latents that nobody can do: the VAE, this course's subject, and diffusion models, which are VAEs with up to a thousand latent layers and an encoder that is not learned.
# - A **Markov chain**, images that change at random step by step, where the formula lacks a factor that nobody can compute and the chain must estimate the gradient: Boltzmann machines. The RBM is the best known.
# - **Implicit** models only draw. A GAN turns noise into an image, and a classifier that tells real from made teaches it. A generative stochastic network (GSN) learns one step of a Markov chain of images.
#
# **What died out, and why?** The two columns with a **Markov chain**. Its images are good for something only when the chain has forgotten where it began, and where there are several separate kinds of images, it hardly ever crosses from one to the next. Section 6 measures how long you would wait. All the others draw in a number of steps that is known beforehand: one for a VAE, a flow, a GAN, one per pixel
# for PixelCNN, some fixed number for diffusion.
#
# **GANs** draw sharply, but often only part of what is in the data ([Arora & Zhang 2017](https://arxiv.org/abs/1706.08224)), and have no $p(x)$ to compare models by. Their classifier lives on as one term in the loss of other models; lesson 07 puts the same trick to another use.
#
# **VAEs** draw softly, but give each image a **short code** and come with a network that finds it. So many of today's large diffusion models do not work on pixels but on the codes of an autoencoder, a VAE or a relative of it, which in turn has a GAN's classifier in its loss ([Rombach et al. 2022](https://arxiv.org/abs/2112.10752)).
#
# > **From the notes** (000, lines 7–11). The notes propose two axes, explicit or implicit and likelihood or "likelihood-free". They nearly coincide: the upper right of the map is empty, for without a formula there is no likelihood to train by. The lower left is not, but few live there alone: the loss of diffusion models is a bound with its terms
# > reweighted, and it can be read as score matching, too ([Ho et al. 2020](https://arxiv.org/abs/2006.11239)). A VAE is *explicit*, trained on a bound of its likelihood. And the notes' two models with a **Markov chain** differ: the GSN is implicit, a Boltzmann machine (RBM) explicit and approximate.

# %% [markdown]
# ## 3 · Bayes
#
# You have **hypotheses** $k=1,\dots,K$. You know how much you believed each before (the **prior** $p(k)$), and how probable the data $x$ are under each (the **likelihood** $p(x\mid k)$). How much do you believe each now? Both must happen, the hypothesis and then the data: $p(k,x)=p(k)\,p(x\mid k)$. This is the **chain rule**, and it always holds.
# Now that $x$ is known, what you believe must sum to 1:
#
# $$p(k\mid x)=\frac{p(k)\,p(x\mid k)}{p(x)},\qquad p(x)=\sum_{j=1}^K p(j)\,p(x\mid j).$$
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
# A test for a **rare disease** (1 person in 1000 has it) finds 99 % of the sick and wrongly alarms 2 % of the healthy. It is positive. **Predict:** how probable is the disease? And after a second positive test, whose errors have nothing to do with the first one's?

# %% says="A good test for a rare disease is mostly wrong when it alarms"
belief = torch.tensor([0.001, 0.999])  # sick, healthy
for test in (1, 2):
    belief = posterior(belief, torch.tensor([0.99, 0.02]))
    print(f"after {test} positive test{'s' * (test > 1)}: {belief[0]:.1%}")
torch.manual_seed(0)
sick = torch.rand(2_000_000) < 0.001
alarm = torch.where(sick, torch.rand(len(sick)) < 0.99, torch.rand(len(sick)) < 0.02)
share, n = (sick & alarm).sum() / alarm.sum(), alarm.sum()
print(f"p(positive) = {0.001 * 0.99 + 0.999 * 0.02:.3f}, p(positive given sick) = 0.99")
error = (share * (1 - share) / n).sqrt()
print(f"in a crowd of two million, {share:.1%} ± {error:.1%} of the {n:,} alarmed are sick")

# %% [markdown]
# Among 1000 people there is 1 sick one, who is found, and 20 healthy ones are alarmed: hence 1 in 21. (What stands after ± is a standard error, how far off chance may have put the number; section 8 says more.) The posterior of the first test is the prior of the second.
#
# In this course $k$ becomes a latent $z$ of many dimensions, any real numbers, and the sum in $p(x)$ becomes an integral that nobody can do. Everything after this lesson is about that integral.
#
# > **From the notes** (003, lines 208–216; line 78). Bayesian probability is about degrees of belief, and Bayes' rule is how data change them. (The product sign in that line belongs to nothing.) *Is $p(z)\,p(x\mid z)$ a product of independent events, and does a normal distribution need independence?* No, twice: the chain rule holds for all
# > events, and a Gaussian assumes nothing of the kind. If $x$ and $z$ *were* independent, $p(x\mid z)$ would equal $p(x)$, and the latent would explain nothing. In the cell above, $p(\text{positive}\mid\text{sick})$ is 0.99 and $p(\text{positive})$ 0.021: they are anything but independent.

# %% [markdown]
# ## 4 · Density, likelihood, Gaussian
#
# What is the probability that a person is *exactly* 1.7 metres tall? For a number that can take any value, that of each single value is 0. A **density** $p(x)$ says how much probability there is *per unit of length*. A probability is an area, and an average an integral:
#
# $$P(a<x<b)=\int_a^b p(x)\,dx,\qquad \mathbb E_p[f(x)]=\int p(x)\,f(x)\,dx .$$
#
# The **Gaussian**, or normal distribution, has two parameters, its mean $\mu=\mathbb E[x]$ and its standard deviation $\sigma$; $\sigma^2=\mathbb E[(x-\mu)^2]$ is its **variance**:
#
# $$\mathcal N(x;\mu,\sigma^2)=\frac{1}{\sigma\sqrt{2\pi}}\exp\Big(-\frac{(x-\mu)^2}{2\sigma^2}\Big).$$
#
# It is often easier to compute with its logarithm.

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

# %% [markdown]
# **Predict:** can a density be larger than 1?

# %% says="A density may exceed 1; its area may not"
line = torch.linspace(-30, 30, 600_001, dtype=torch.float64)
for sigma in (2.0, 0.1):
    density = gaussian_log_density(line, torch.tensor(0.0), torch.tensor(sigma)).exp()
    near = line.abs() < 2 * sigma + 1e-6
    area, part = torch.trapezoid(density, line), torch.trapezoid(density[near], line[near])  # areas below the curve
    print(f"σ = {sigma}: highest density {density.max():.3f}, area {area:.6f}, within 2σ of the mean {part:.4f}")
for unit, size in (("metres", 1), ("centimetres", 100)):  # the heights of a crowd
    mean, sd = torch.tensor(1.7 * size), torch.tensor(0.1 * size)
    tall = torch.linspace(1.6, 1.8, 100_001, dtype=torch.float64) * size
    log_density = gaussian_log_density(tall, mean, sd)
    part = torch.trapezoid(log_density.exp(), tall)
    print(f"in {unit:11}: highest log-density {log_density.max():7.4f}, P(1.6 m < height < 1.8 m) = {part:.4f}")

# %% [markdown]
# A density of 3.989 is no mistake: it is 3.989 *per unit*, over a stretch much shorter than a unit. So a **log-density may be positive**, and it changes when you measure in other units, here by $\log 100=4.605$. A probability does not, and its log can't be above 0.
#
# The share within 2σ is the same for both widths. Any Gaussian becomes the same one when you *standardise* it: $\epsilon=(x-\mu)/\sigma$ has mean 0 and standard deviation 1. (Read backwards, $x=\mu+\sigma\epsilon$, this is the trick of lesson 03.)
#
# The **likelihood** is the same formula read the other way: $x$ is given, and it is a function of the parameter. A coin shows heads with an unknown probability $r$, and falls on heads seven times in ten. **Predict:** do the likelihoods of all $r$ together make 1, as the probabilities of all results do?

# %% says="The same formula, read in the data or in the parameter"
r = torch.linspace(0, 1, 100_001, dtype=torch.float64)
likelihood = math.comb(10, 7) * r**7 * (1 - r) ** 3
total = sum(math.comb(10, k) * 0.7**k * 0.3 ** (10 - k) for k in range(11))
print(f"r = 0.7, all eleven results: probabilities sum to {total:.6f}")
print(f"seven heads, all r: likelihoods integrate to {torch.trapezoid(likelihood, r):.6f} = 1/11")
print(f"the likelihood is largest at r = {r[likelihood.argmax()]:.2f}")

# %% [markdown]
# > **From the notes** (003, lines 71–75 and 220–243). $p_\theta(x)$ of a real-valued image is a density; to be a probability it would need an area. For things that can be counted, the likelihood is a probability of the data; it is never one of the parameter. A Gaussian is not equal to 1, its *integral* is. And one table of $\mathcal N(0,1)$ was enough for every
# > Gaussian because of the standardisation: within 2σ always lies the same share.

# %% [markdown]
# ## 5 · The best parameter
#
# Which parameter fits the data best? **Maximum likelihood** (MLE) takes the parameter under which the data are most probable. For independent observations $x_1,\dots,x_n$ (none tells you anything about another, once $\theta$ is known) the probability is a product, and its log a sum. "arg max" is the place of the largest value:
#
# $$\hat\theta_\text{MLE}=\arg\max_\theta\sum_{i=1}^n\log p(x_i\mid\theta),\qquad
# \hat\theta_\text{MAP}=\arg\max_\theta\Big[\sum_{i=1}^n\log p(x_i\mid\theta)+\log p(\theta)\Big].$$
#
# **MAP** (maximum a posteriori) adds the log of a prior: it is the highest point of the posterior, for the evidence does not depend on $\theta$.
#
# Take $n$ measurements $x_i\sim\mathcal N(m,\sigma^2)$ of an unknown $m$, with prior $m\sim\mathcal N(0,\tau^2)$. For the MLE, set the derivative $\sum_i(x_i-m)/\sigma^2$ to 0: the answer is the plain mean. What does the prior change?

# %% [markdown]
# ### Exercise 00.3 · A prior pulls
# ●●○○○ · 10 min · used in the next cells

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

# %% says="Two peaks, by looking and by formula"
sigma, tau, three = 3.0, 1.5, torch.tensor([0.5, 4.0, 3.0])  # three measurements
m = torch.linspace(-4, 6, 10_001, dtype=torch.float64)
log_likelihood = sum(gaussian_log_density(m, x_i, torch.tensor(sigma)) for x_i in three)  # symmetric in x and m
log_prior = gaussian_log_density(m, torch.tensor(0.0), torch.tensor(tau))
curves = {"log-likelihood": log_likelihood, "log-prior": log_prior, "their sum": log_likelihood + log_prior}
print(f"MLE: highest at m = {m[log_likelihood.argmax()]:.3f}, the plain mean is {three.mean():.3f}")
peak = m[curves["their sum"].argmax()]
print(f"MAP: highest at m = {peak:.3f}, your formula says {gaussian_mean_map(three, sigma, tau):.3f}")
figure, axis = plots.picture(size=(7.5, 3.8), alt="Three parabolas: the sum's peak lies between the other two")
for name, values in curves.items():
    axis.plot(m, values - values.max(), label=name)
axis.set(ylim=(-4, 0.3), xlabel="m", ylabel="log, highest at 0", title="The prior pulls the peak towards its own")
axis.legend(loc="lower center")
figure

# %% [markdown]
# Is the pull any good? Let the truth be 2, the prior still centred on 0. The mean squared error of a guess is the square of its *bias*, how far it is off on average, plus its variance. For MAP and a truth of 2 that is
#
# $$\frac{(2c)^2}{(n+c)^2}+\frac{n\sigma^2}{(n+c)^2}\quad\text{with}\quad c=\frac{\sigma^2}{\tau^2}.$$
#
# **Predict:** with how many measurements is MAP better than MLE?

# %% says="With few data the prior helps, with many it hardly matters"
torch.manual_seed(0)
truth, c = 2.0, sigma**2 / tau**2
print("root mean square error of the MLE           of MAP             bias")
print("   n     10000 runs  exact     10000 runs  exact     of MAP")
for n in (1, 3, 10, 100):
    samples = truth + sigma * torch.randn(10_000, n)
    by_mle = samples.mean(1) - truth
    by_map = torch.stack([gaussian_mean_map(row, sigma, tau) for row in samples]) - truth
    measured = [by.square().mean().sqrt().item() for by in (by_mle, by_map)]
    bias, variance = -truth * c / (n + c), n * sigma**2 / (n + c) ** 2
    exact = sigma / n**0.5, (bias**2 + variance) ** 0.5
    print(f"{n:4} {measured[0]:13.3f} {exact[0]:7.3f} {measured[1]:14.3f} {exact[1]:7.3f} {bias:10.3f}")

# %% [markdown]
# By the exact columns MAP is better in every line, by much only in the first ones: it pulls to 0 though the truth is 2, which adds bias and takes away more variance. With many data it stops mattering, for it counts like $c=\sigma^2/\tau^2=4$ observations, however many there are.
#
# **Play:** set `truth` to 6, far from what the prior expects. Does MAP still win anywhere?
#
# > **From the notes** (003, lines 304–316; MAP is left empty). MAP is the formula above; with a flat prior it is the MLE. The MLE does not "set the samples to their mean": for a *Gaussian's* mean, the plain mean happens to be the answer. The sum of logs needs independent observations; and it is $\ell=\log L$ that is a sum, $L$ is the product.

# %% [markdown]
# ## 6 · One pixel after another
#
# How do you write down a distribution over images? Apply the chain rule again and again. For two pixels $p(x_1,x_2)=p(x_1)\,p(x_2\mid x_1)$, and for $n$ pixels the product
#
# $$p(x_1,\dots,x_n)=\prod_{i=1}^n p(x_i\mid x_1,\dots,x_{i-1}).$$
#
# A **fully visible belief network** (FVBN) gives each factor a little model of its own, here a logistic regression on the pixels before it: pixel $i$ is white ($x_i=1$) with probability
# $\operatorname{sigmoid}(b_i+\sum_{j<i}w_{ij}x_j)$, where $\operatorname{sigmoid}(a)=1/(1+e^{-a})$ turns any number into a probability. "Fully visible": there is no latent.
#
# Black-and-white images of 3 × 3 pixels come in $2^9=512$ kinds, so everything can be computed exactly, without any sample. The data: one row or one column is lit, and each pixel is then flipped with probability 5 %. Call their distribution $p_\text{data}$.

# %% says="A data distribution of which everything is known"
every_image = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * 9)  # (512, 9)
bars = torch.stack([F.one_hot(torch.tensor(i), 3).double()[:, None].expand(3, 3) for i in range(3)])
bars = torch.cat([bars, bars.mT]).flatten(1)  # (6, 9): three rows, three columns
flips = (every_image[:, None] - bars).abs().sum(-1)  # (512, 6): how many pixels differ from each bar
p_data = (0.05**flips * 0.95 ** (9 - flips)).mean(1)  # (512,), the exact probability of every image
print(f"{len(every_image)} images, whose probabilities sum to {p_data.sum():.6f}")
print(f"a clean bar has {p_data.max():.4f}, the least probable image {p_data.min():.0e}")

# %% [markdown]
# What is the loss? The average of $-\log p_\theta(x)$ over the data, so training is maximum likelihood. What is the best possible? It is reached when $p_\theta$ is the data's own distribution; this least value is called the **entropy** of the data, and section 7 says why nothing is below it. For comparison there is a model in which every pixel is drawn on its own, white as often as in the data.

# %% says="The belief network comes within 0.27 nats of the best possible"
earlier = torch.ones(9, 9, dtype=torch.float64).tril(-1)  # pixel i sees only the pixels j < i
w = torch.zeros(9, 9, dtype=torch.float64, requires_grad=True)
b = torch.zeros(9, dtype=torch.float64, requires_grad=True)


def log_p(x):
    """log p(x) of the belief network: a sum over pixels, each given those before it."""
    return -F.binary_cross_entropy_with_logits(x @ (w * earlier).T + b, x, reduction="none").sum(-1)


def loss():  # the exact average over the data distribution
    optimizer.zero_grad()
    value = -(p_data * log_p(every_image)).sum()
    value.backward()
    return value


optimizer = torch.optim.LBFGS([w, b], max_iter=500, line_search_fn="strong_wolfe")
optimizer.step(loss)  # downhill on the loss to its end
white, entropy = p_data @ every_image, -(p_data * p_data.log()).sum()  # white: how often each pixel is
alone = torch.distributions.Bernoulli(white).log_prob(every_image).sum(-1)  # log p of pixels on their own
print(f"all 512 probabilities of the network sum to {log_p(every_image).exp().sum():.10f}")
print(f"−log p per image: pixels on their own {-(p_data * alone).sum():.3f} nats")
print(f"                  belief network      {loss():.3f} nats")
print(f"                  the best possible   {entropy:.3f} nats, the entropy of the data")

# %% [markdown]
# It sums to 1 by construction, because each factor does; that is what **exact** means on the map. What is still lacking is due to the logistic factors. Take the third pixel. After two white ones it should be white (a row), after one white one black (a column), and after two black ones it is white in a third of the images. A logistic regression adds up, it can't say "both or none":

# %% says="A logistic factor can't say “both or none”"
by_three = p_data.view(2, 2, 2, -1).sum(-1)  # p(x1, x2, x3)
costs = 0.0
print("first two pixels   third is white: data   network")
for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
    data = by_three[i, j, 1] / by_three[i, j].sum()
    network = torch.sigmoid(b[2] + w[2, 0] * i + w[2, 1] * j).item()
    print(f"{i} {j} {data:34.3f} {network:9.3f}")
    excess = data * (data / network).log() + (1 - data) * ((1 - data) / (1 - network)).log()
    costs += by_three[i, j].sum() * excess
print(f"this pixel alone costs {costs:.3f} of the {loss().item() - entropy:.3f} nats that are lacking")

# %% [markdown]
# With a little neural network for each factor this would go away.
#
# **Sampling** goes one pixel after another, too.
#
# **Predict:** does the network, as poor as its factors are, draw bars?

# %%
torch.manual_seed(2)


def draw(n):
    x = torch.zeros(n, 9, dtype=torch.float64)
    for i in range(9):  # pixel i, given the pixels before it
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
    "The network draws bars more often than not, pixels on their own hardly ever",
    alt="Sixteen 3 by 3 images each: data and belief network mostly show bars, independent pixels do not",
    shape=(5, 5),
)

# %% [markdown]
# Sixteen draws are few, but you have all probabilities. And do draws come as often as the formula says? Of $n$ draws the share of an image with probability $p$ is off by about its standard error, $\sqrt{p(1-p)/n}$.

# %% says="How many draws are bars, and do draws and formula agree?"
near = flips.min(1).values <= 1  # at most one pixel away from a bar
with torch.no_grad():
    models = {"data": p_data, "belief network": log_p(every_image).exp(), "pixels on their own": alone.exp()}
for name, p in models.items():
    print(f"{name:20} {p[near].sum():5.1%} of the images within one pixel of a bar")
codes = (draw(200_000) * 2.0 ** torch.arange(8, -1, -1)).sum(1).long()  # which of the 512
exact = models["belief network"]
off = (codes.bincount(minlength=512) / 200_000 - exact) / (exact * (1 - exact) / 200_000).sqrt()
print(f"shares of 200,000 draws are off by {off.square().mean().sqrt():.2f} standard errors (r.m.s.; 1 is right)")

# %% [markdown]
# Nearly three of four draws are a bar, up to one pixel, against one of five from pixels on their own. Training sees all pixels at once; **drawing** takes as many steps as there are pixels. Convolutions in place of nine regressions make this a PixelCNN, words in place of pixels a language model.
#
# > **From the notes** (003, lines 68 and 246–263). It is a **belief** network, and a VAE is *not* trained with one: autoregressive models are the contrast, they have no latent. Nor do they avoid maximum likelihood: they do it, exactly. An image is the vector of all its pixels. The chain rule ends in $p(x_2\mid x_3)\,p(x_3)$, and any order of the pixels will do.
#
# > **From the notes** (003, line 208, a heading without text). "u-law" is the **μ-law**: WaveNet ([van den Oord et al. 2016](https://arxiv.org/abs/1609.03499)), an FVBN of sound, draws each sample of the sound wave from 256 levels. Evenly spaced, they would drown quiet sounds in rounding; so a sample $x$ in $[-1,1]$ is first stretched near 0,
# > to $\operatorname{sign}(x)\,\log(1+\mu|x|)/\log(1+\mu)$ with $\mu=255$ (which here is no mean).

# %% says="μ-law: 256 levels are enough for quiet sounds, too"
def rounded(x):  # to the nearest of 256 levels in [-1, 1]
    return ((x + 1) / 2 * 255).round() / 255 * 2 - 1


def with_mu_law(x, mu=255):
    stretched = x.sign() * torch.log1p(mu * x.abs()) / math.log1p(mu)
    level = rounded(stretched)
    return level.sign() * torch.expm1(level.abs() * math.log1p(mu)) / mu  # and back


wave = torch.sin(torch.linspace(0, 200, 10_000))
for loud in (1.0, 0.1, 0.01):
    plain, mu_law = ((way(loud * wave) - loud * wave).std() / (loud * wave).std() for way in (rounded, with_mu_law))
    print(f"loudness {loud:4}: rounding error {plain:6.1%} of the sound, with the μ-law {mu_law:4.1%}")

# %% [markdown]
# ### Why the chains died out
#
# Section 2 claims that a Markov chain forgets slowly. On 512 images you can compute that, too. The **chain** (it is called Gibbs sampling): pick one of the nine pixels at random and draw it anew, given the other eight, from the data's own distribution. Nine such steps are a sweep. Start on a clean bar.
#
# **Predict:** what share of chains is at its first bar, still or again, after 10 sweeps? And what changes when the images are cleaner, with 1 % flips in place of 5 %?

# %% says="The cleaner the images, the longer a chain stays where it began"
image = torch.arange(512)
home = flips.argmin(1) == 0  # images whose nearest bar is the first
begin = flips[:, 0].argmin()
print("share of chains still nearest to the bar where they began, after so many sweeps")
print("flips " + "".join(f"{n:8}" for n in (1, 10, 100, 1000)) + "   all forgotten")
for noise in (0.05, 0.02, 0.01):
    p = (noise**flips * (1 - noise) ** (9 - flips)).mean(1)
    step = torch.zeros(512, 512, dtype=torch.float64)  # row: from, column: to
    for i in range(9):
        other = image ^ 2**i  # the same image with one pixel flipped
        step[image, other] += p[other] / (p + p[other]) / 9
        step[image, image] += p / (p + p[other]) / 9
    after = [torch.linalg.matrix_power(step, 9)]  # a sweep; then 10, 100 and 1000 of them
    for _ in range(3):
        after.append(torch.linalg.matrix_power(after[-1], 10))
    shares = "".join(f"{sweeps[begin, home].sum():8.3f}" for sweeps in after)
    print(f"{noise:4.0%}  {shares} {p[home].sum():11.3f}")

# %% [markdown]
# With 5 % flips a hundred sweeps are enough to forget, with 1 % a thousand are not quite. The more separate the kinds of images, the longer the wait, and for real images nobody can compute how long. The belief network needs nine draws, and then it is done.

# %% [markdown]
# ## 7 · How far apart are two distributions?
#
# First a tool. **Jensen's inequality**: for positive numbers $w$, the log of an average is at least the average of the logs,
#
# $$\log\mathbb E[w]\ge\mathbb E[\log w],$$
#
# with equality only if $w$ is constant. The reason is that the log is concave: it lies above the straight line between any two of its points.

# %% says="Jensen: the log of the average is at least the average of the logs"
for weights in (torch.tensor([1.0, 9.0]), torch.tensor([4.0, 6.0]), torch.tensor([5.0, 5.0])):
    log_of_mean, mean_of_logs = weights.mean().log(), weights.log().mean()
    print(f"w = {weights.tolist()}: log of the average {log_of_mean:.4f}, average of the logs {mean_of_logs:.4f}")

# %% [markdown]
# The **Kullback–Leibler divergence** measures how far $p$ is from $q$, seen from $q$:
#
# $$\mathrm{KL}(q\Vert p)=\mathbb E_{q}\big[\log q(z)-\log p(z)\big]\ \ge\ 0 .$$
#
# Why not negative? Take $w=p(z)/q(z)$ with $z\sim q$. Its average is $\int q\,\frac pq\,dz=\int p\,dz$ over where $q>0$, so at most 1, and by Jensen $-\mathrm{KL}=\mathbb E_q[\log w]\le\log\mathbb E_q[w]\le\log1=0$. It is 0 **only if the two are equal**, for then $p/q$ is constant. It is **no distance**: in general $\mathrm{KL}(q\Vert p)\ne\mathrm{KL}(p\Vert q)$.
#
# For two Gaussians $q=\mathcal N(\mu_q,\sigma_q^2)$ and $p=\mathcal N(\mu_p,\sigma_p^2)$, put both log-densities in. Under $q$ you know $\mathbb E[(z-\mu_q)^2]=\sigma_q^2$ and $\mathbb E[(z-\mu_p)^2]=\sigma_q^2+(\mu_q-\mu_p)^2$.

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

# %% says="Never negative, 0 for equals, and not symmetric"
q, p = (torch.tensor(1.0), torch.tensor(0.5)), (torch.tensor(3.0), torch.tensor(2.0))  # mean and sigma
for name, first, second in (("KL(q‖p)", q, p), ("KL(p‖q)", p, q), ("KL(q‖q)", q, q)):
    log_ratio = gaussian_log_density(line, *first) - gaussian_log_density(line, *second)
    integral = torch.trapezoid(gaussian_log_density(line, *first).exp() * log_ratio, line)
    print(f"{name}: closed form {kl_gaussians(*first, *second):.4f}, by integration {integral:.4f}")
model = log_p(every_image).detach()
print(f"KL(data‖belief network) = {(p_data * (p_data.log() - model)).sum():.4f}")
print(f"loss − entropy          = {(loss() - entropy).item():.4f}")

# %% [markdown]
# The last two lines are section 6 again. The loss, the average of $-\log p_\theta$, is the entropy plus a KL:
#
# $$-\mathbb E_{p_\text{data}}[\log p_\theta(x)]=\underbrace{-\mathbb E_{p_\text{data}}[\log p_\text{data}(x)]}_{\text{entropy}}+\mathrm{KL}(p_\text{data}\Vert p_\theta).$$
#
# Nothing is below the entropy, because no KL is below 0. And **maximum likelihood makes $\mathrm{KL}(p_\text{data}\Vert p_\theta)$ small**, the data standing first.

# %% [markdown]
# ### Does the direction matter?
#
# Fit **one** Gaussian $q$ to a $p$ with two humps, $\tfrac12\mathcal N(-3,1)+\tfrac12\mathcal N(3,1)$: once by making $\mathrm{KL}(q\Vert p)$ small, once $\mathrm{KL}(p\Vert q)$. **Predict** where each ends, and whether it matters where the fit begins.

# %% says="Where each fit ends"
grid = torch.linspace(-30, 30, 6001, dtype=torch.float64)
humps = [gaussian_log_density(grid, torch.tensor(mean), torch.tensor(1.0)) for mean in (-3.0, 3.0)]
log_p_two = torch.logsumexp(torch.stack(humps), 0) - math.log(2)


def fit_gaussian(direction, start):
    at = torch.tensor([start, 0.0], dtype=torch.float64, requires_grad=True)  # mean, log σ
    optimizer = torch.optim.LBFGS([at], max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-14)

    def divergence():
        optimizer.zero_grad()
        log_q = gaussian_log_density(grid, at[0], at[1].exp())
        first, second = (log_q, log_p_two) if direction == "KL(q‖p)" else (log_p_two, log_q)
        value = torch.trapezoid(first.exp() * (first - second), grid)
        value.backward()
        return value

    optimizer.step(divergence)
    return at[0].detach(), at[1].detach().exp(), divergence().item()


fits = {}
for direction, start in (("KL(q‖p)", 2.0), ("KL(q‖p)", -2.0), ("KL(q‖p)", 0.1), ("KL(p‖q)", 2.0)):
    mean, sd, value = fit_gaussian(direction, start)
    fits.setdefault(direction, (mean, sd))
    print(f"{direction} from mean {start:+}: mean {mean:+z.4f}, variance {sd**2:.4f}, divergence {value:.4f}")

# %% says="One direction picks a hump, the other covers both"
figure, axes = plots.picture(
    1, 2, size=(12, 3.8), sharey=True, alt="Left: q sits on one hump. Right: q covers both and the empty middle."
)
titles = {"KL(q‖p)": "KL(q‖p): q picks one hump", "KL(p‖q)": "KL(p‖q): q covers both, and the gap"}
for axis, (direction, (mean, sd)) in zip(axes, fits.items()):
    axis.fill_between(grid, log_p_two.exp(), alpha=0.35, color="gray", label="p")
    axis.plot(grid, gaussian_log_density(grid, mean, sd).exp(), label="q")
    axis.set(xlim=(-9, 9), xlabel="z", title=titles[direction])
axes[0].set_ylabel("density")
axes[1].legend()
figure

# %% [markdown]
# $\mathrm{KL}(q\Vert p)$ asks, at the places where **q** is: is there enough $p$? So it avoids the empty middle and **settles on a hump**; which one, the start decides. From near the middle it gets stuck across both humps, in a valley of its own that is not the lowest: the third line. $\mathrm{KL}(p\Vert q)$ asks, where **p** is: is there enough $q$? So it **covers both**, and takes mean and variance from $p$: 0 and 10.
#
# VAEs meet both. For the latents they make the first small, because it is an average over $q$, from which one can draw; for the images, maximum likelihood makes the second small, with the data in the place of $p$.
#
# ### Play: drag q
#
# Drag the curve, or focus it and use the arrow keys.
#
# 1. Make KL(q‖p) as small as you can by hand, then KL(p‖q). The coloured strips show where each is paid.
# 2. Find a place where both are large.
# 3. Put q across the middle, wide, and roll downhill on KL(q‖p): it stays. Move it towards a hump and roll again. From where on does it let go?
# 4. Push the humps together with ±h, and roll from one side. From where on does KL(q‖p) no longer choose a hump?

# %% says="Drag q: where is each divergence paid?"
TwoDivergences(mu=0.0, sigma=2.5)

# %% [markdown]
# > **From the notes** (003, line 270). A KL says how far apart two distributions are, but it is not symmetric, so it is no measure of *similarity between* them; which one stands first matters as much as which one stands second.

# %% [markdown]
# ## 8 · Averages instead of integrals
#
# Most averages in this course have no formula. To get one by **Monte Carlo**, draw and average:
#
# $$\mathbb E_p[f(z)]\approx\frac1n\sum_{i=1}^n f(z_i),\quad z_i\sim p,\qquad\text{standard error}=\frac{\text{standard deviation of }f(z)}{\sqrt n}.$$
#
# The law of large numbers says that the average arrives; the **standard error** says how far off it still is, and about 95 % of averages lie within two of them. **Predict:** how many times more draws do you need for one more digit?

# %% says="With few draws a run does not know its own error"
torch.manual_seed(0)
ns, exact, sd = [10, 100, 1000, 10_000], math.exp(0.5), (math.e**2 - math.e) ** 0.5  # of exp(z), z ~ N(0, 1)
errors = []
print(f"E[exp(z)] = {exact:.4f}. 2000 runs, each with its own average and its own standard error:")
print(" draws    error (r.m.s.)    sd/√n    runs within two of their standard errors")
for n in ns:
    f = torch.randn(2000, n).exp()
    off = f.mean(1) - exact
    errors.append(off.square().mean().sqrt().item())
    hit = (off.abs() < 2 * f.std(1) / n**0.5).float().mean()
    print(f"{n:6,} {errors[-1]:14.4f} {sd / n**0.5:12.4f} {hit:13.1%} ± {(hit * (1 - hit) / 2000).sqrt():.1%}")
figure = plots.lines(
    ns,
    {"error of 2000 runs, root mean square": errors, "standard deviation / √n": [sd / n**0.5 for n in ns]},
    "number of draws n",
    "error",
    "A hundred times the draws for one more digit",
    alt="Both lines fall with slope −½ on log axes and lie on each other",
)
figure.axes[0].set(xscale="log", yscale="log", ylim=(0.01, 1))
figure.axes[0].lines[1].set(linestyle="--", marker="")
figure

# %% [markdown]
# A hundred times, and the number of dimensions does not matter for that (for the standard deviation it may). The last column is a warning: with ten draws a run does not know its own standard error well, for it takes rare large values to see the spread, and it states too small a one.
#
# Now the integral of section 3: the evidence $p(x)=\int p(z)\,p(x\mid z)\,dz=\mathbb E_{p(z)}[p(x\mid z)]$ is an average of likelihoods. For an image with hundreds of pixels these are numbers like $e^{-500}$, which a computer with 32-bit numbers rounds to 0. So keep the logs, and compute the log of a mean of exponentials.

# %% [markdown]
# ### Exercise 00.5 · Adding tiny numbers
# ●●○○○ · 5 min · used in the next cells, and in every later lesson

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
# Try it where the answer is known: $z\sim\mathcal N(0,1)$ and $x\mid z\sim\mathcal N(z,\tfrac12)$, so $x$ is a sum of two independent Gaussians and $p(x)=\mathcal N(x;0,\tfrac32)$. One observation, $x=1.5$, and 1000 runs for each number of draws:

# %% says="The evidence, as an average over the prior"
torch.manual_seed(0)
x = torch.tensor(1.5)
print(f"exact: log p(x) = {gaussian_log_density(x, torch.tensor(0.0), torch.tensor(1.5).sqrt()):.4f}")
for n in (10, 100, 1000, 10_000):
    z = torch.randn(1000, n)  # 1000 runs
    log_likelihood = gaussian_log_density(z, x, torch.tensor(0.5).sqrt())  # log N(x; z, ½), symmetric in x and z
    runs = log_mean_exp(log_likelihood, 1)
    error = runs.std() / 1000**0.5
    print(f"{n:6,} draws from the prior: {runs.mean():.4f} ± {error:.4f}, spread of the runs {runs.std():.4f}")

# %% [markdown]
# In one dimension this works. (With few draws it is too low on average: Jensen again, and lesson 09 makes something of it.) In many dimensions it does not, for hardly any draw from the prior explains the image; lesson 02 counts how many. So instead of estimating the evidence, bound it.
#
# ### The bound
#
# Put the tools together. There are five hypotheses, with prior $p(k)$ and tiny likelihoods $p(x\mid k)$. Take any distribution $q(k)$ that rules none out, multiply and divide by it under the sum, and use Jensen:
#
# $$\log p(x)=\log\sum_k q(k)\,\frac{p(k)\,p(x\mid k)}{q(k)}\ \ge\ \sum_k q(k)\,\log\frac{p(k)\,p(x\mid k)}{q(k)}\;=\;\text{ELBO}(q).$$
#
# The **ELBO**, evidence lower bound, is never above the log evidence. **Predict:** for which $q$ are the two equal? Jensen tells you.

# %% says="What the ELBO lacks is the KL to the posterior"
prior = torch.tensor([0.4, 0.3, 0.15, 0.1, 0.05], dtype=torch.float64)
log_likelihood = torch.tensor([-510.0, -508.0, -507.5, -506.0, -520.0], dtype=torch.float64)
log_joint = prior.log() + log_likelihood  # log p(k, x)
log_evidence = log_mean_exp(log_joint, 0) + math.log(5)  # a sum is five times a mean
best = posterior(prior, (log_likelihood - log_likelihood.max()).exp())  # a common factor cancels


def elbo(q):
    return (q * (log_joint - q.log())).sum()


print(f"log p(x) = {log_evidence:.4f}; without the logs, in 32 bits: {log_joint.float().exp().sum().log():.4f}")
for name, q in (("uniform", torch.full_like(prior, 0.2)), ("prior", prior), ("posterior", best)):
    gap = (q * (q.log() - best.log())).sum()
    print(f"q = {name:9}: ELBO {elbo(q):.4f} + KL(q‖posterior) {gap:.4f} = {elbo(q) + gap:.4f}")

# %% [markdown]
# Equal for the posterior: there $p(k)\,p(x\mid k)/q(k)=p(x)$ is constant. And for every $q$, what the ELBO lacks is exactly $\mathrm{KL}(q\Vert\text{posterior})$. So one can **find the posterior without knowing $p(x)$**: climb the ELBO.

# %% says="Uphill on the ELBO ends at the posterior"
a = torch.zeros(5, dtype=torch.float64, requires_grad=True)  # q = softmax(a): positive, and sums to 1
optimizer = torch.optim.Adam([a], lr=1.0)
for step_number in range(501):
    q = a.softmax(0)
    if step_number in (0, 1, 10, 500):
        print(f"step {step_number:3}: ELBO {elbo(q):.4f}, q = {' '.join(f'{v:.4f}' for v in q)}")
    optimizer.zero_grad()
    (-elbo(q)).backward()
    optimizer.step()
print(f"the posterior itself:         {' '.join(f'{v:.4f}' for v in best)}")

# %% [markdown]
# That is half of this course. The other half: let a network guess $q$, for any image at once.

# %% [markdown]
# ## Recap
#
# | term | one line | section |
# |---|---|---|
# | Bayes, posterior | prior × likelihood, made to sum to 1 | 3 |
# | evidence | what it was divided by; the latent summed out | 3 |
# | density | probability per unit; may exceed 1 | 4 |
# | likelihood | the same formula, read in the parameter | 4 |
# | Gaussian | $\log\mathcal N=-\frac12((x-\mu)/\sigma)^2-\log\sigma-\frac12\log2\pi$ | 4 |
# | MLE, MAP | the parameter that makes the data, or data and prior, most probable | 5 |
# | FVBN | chain rule, one small model a factor; exact, no latent | 6 |
# | KL | how far $p$ is from $q$, seen from $q$; not symmetric | 7 |
# | Monte Carlo | an average with a standard error that falls like $1/\sqrt n$ | 8 |
# | ELBO | below the log evidence by $\mathrm{KL}(q\Vert\text{posterior})$ | 8 |
#
# With a latent $z$ in place of the hypothesis $k$:
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
# Too low, by Jensen: the mean of the logs is at most the log of the mean. If the weights are p(z) p(x|z) / q(z) with z drawn from q, you have estimated the ELBO.
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
# **References** · the map follows Goodfellow 2016, [arXiv:1701.00160](https://arxiv.org/abs/1701.00160) · FVBN: Frey, Hinton & Dayan 1996 · PixelCNN: van den Oord et al. 2016, [arXiv:1601.06759](https://arxiv.org/abs/1601.06759) · WaveNet: van den Oord et al. 2016, [arXiv:1609.03499](https://arxiv.org/abs/1609.03499) ·
# flows: Rezende & Mohamed 2015, [arXiv:1505.05770](https://arxiv.org/abs/1505.05770) · VAE: Kingma & Welling 2014, [arXiv:1312.6114](https://arxiv.org/abs/1312.6114) · GAN: Goodfellow et al. 2014, [arXiv:1406.2661](https://arxiv.org/abs/1406.2661); Arora & Zhang 2017, [arXiv:1706.08224](https://arxiv.org/abs/1706.08224) ·
# diffusion: Ho et al. 2020, [arXiv:2006.11239](https://arxiv.org/abs/2006.11239); in an autoencoder's latent space: Rombach et al. 2022, [arXiv:2112.10752](https://arxiv.org/abs/2112.10752) · GSN: Bengio et al. 2014, [arXiv:1306.1091](https://arxiv.org/abs/1306.1091) · score matching: Hyvärinen 2005, JMLR 6
