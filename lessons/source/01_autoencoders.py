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
# # 01 · Autoencoders
#
# **What does a bottleneck keep, and why can't an autoencoder generate?**
#
# At the end you can say what a code of $k$ numbers keeps and what it costs, tell when straight lines are enough, and show with three measurements why a good autoencoder is not yet a generative model.
#
# ![What an autoencoder makes of ten digits with codes of 1, 2, 8 and 32 numbers, and the originals below: from a blur to nearly the original](figures/01_widths.png)
#
# Each row is drawn from fewer numbers than the one below it: a single one at the top, 32 for 784 pixels just above the originals. You find out what each row paid.
#
# *60 minutes · builds on lesson 00 (average, Gaussian) and linear algebra (projection, eigenvalues) · four exercises*

# %% [markdown] slide="notes"
# *For the lecturer: sections 2 and 4 belong on the blackboard, 5 and 7 are live. Section 6 stands alone and can be homework; 8 is what the next lessons answer, so don't skip it.*

# %% slide="skip"
import math
import time

import torch
from torch import nn

from course_lib import data, metrics, models, nets, plots, training
from course_lib.exercises import check, hint, solution
from course_lib.widgets import Bottleneck, LatentTraversal

x, y = data.digits("train")  # (N, 784) grey values in [0, 1]; (N,) labels, for colours and for section 6
x_test, y_test = data.digits("test")
print(f"{len(x):,} training images and {len(x_test):,} test images of {x.shape[1]} pixels, on {x.device}")

# %% [markdown]
# ## 1 · A code, and what it loses
#
# An **autoencoder** is two networks in a row. The **encoder** squeezes an image $x$ of 784 pixels into a **code** $z$ of $k$ numbers, the **decoder** makes an image $\hat x$ of them:
#
# $$x\in\mathbb R^{784}\ \xrightarrow{\ \text{enc}\ }\ z\in\mathbb R^{k}\ \xrightarrow{\ \text{dec}\ }\ \hat x\in\mathbb R^{784},\qquad \text{error}(x)=\lVert x-\hat x\rVert^2=\sum_{i=1}^{784}(x_i-\hat x_i)^2 .$$
#
# Both are trained so that the error is small on average. There are no labels; the image is its own. As in every lesson: sum over pixels, mean over images.
#
# The error decides what "lost" means, so look at it first. Here is a digit with a black hole of 4 × 4 pixels where its ink is thickest, and the same digit moved by one pixel. **Predict:** which of the two has the smaller error?

# %% says="Squared error prefers a hole to a shift"
def with_hole(images, side=4):
    """Black squares of side × side pixels, where an image has the most ink."""
    grey = images.reshape(-1, 1, 28, 28)
    ink = nn.functional.avg_pool2d(grey, side, stride=1)  # (N, 1, 29 − side, 29 − side)
    place = nn.functional.one_hot(ink.flatten(1).argmax(1), ink[0].numel()).reshape(ink.shape).to(grey)
    square = torch.ones(1, 1, side, side, device=grey.device)
    return (grey * (1 - nn.functional.conv_transpose2d(place, square))).flatten(1)


def error(a, b):
    return (a - b).square().sum(-1)  # (N,)


hole, shifted = with_hole(x_test), x_test.reshape(-1, 28, 28).roll(1, dims=2).flatten(1)
print(f"mean error with a hole {error(hole, x_test).mean():.1f}, shifted {error(shifted, x_test).mean():.1f}")
print(f"the hole is the smaller error in {(error(hole, x_test) < error(shifted, x_test)).float().mean():.1%} of the test images")
plots.images(
    {"original": x_test[:8], "with a hole": hole[:8], "shifted by one pixel": shifted[:8]},
    "Which is the better copy? By squared error, the one with the hole",
    alt="Eight digits, the same with a black square in the stroke, and the same moved one pixel to the right",
)

# %% [markdown]
# The error compares pixel with pixel. It has no idea that a stroke moved aside is still the same stroke, and pays for it twice: where it was and where it is. When a decoder does not know the exact place, the answer that costs least is in between: grey. That is the blur of the figure on top.
#
# > **From the notes** (003, lines 10–21). An autoencoder needs no labels; whether one calls that unsupervised or self-supervised is a matter of taste. Its code holds the images' **variation** ("variational" is another word, and lesson 02's).
# > An exact copy is not the aim: with $k=784$ both networks may do nothing at all, the error is 0, and nothing was learned.

# %% [markdown]
# ## 2 · The best straight code
#
# Start with the simplest encoder and decoder: linear ones. Whatever they are, every $\hat x$ lies in one flat of $k$ dimensions (a line, a plane, …), and the nearest point of a flat is the perpendicular projection onto it. So ask for the flat.
# It should pass through the mean image $\bar x$ (moving it there lowers the *mean* error by the square of its distance from $\bar x$). Let the columns of $V$, $784\times k$, be perpendicular directions of length 1 in it. Then
#
# $$z=V^\top(x-\bar x),\qquad \hat x=\bar x+Vz,\qquad \mathbb E\lVert x-\hat x\rVert^2=\mathbb E\lVert x-\bar x\rVert^2-\mathbb E\lVert V^\top(x-\bar x)\rVert^2=\operatorname{tr}S-\operatorname{tr}V^\top SV,$$
#
# by Pythagoras, with the covariance $S=\mathbb E[(x-\bar x)(x-\bar x)^\top]$ and tr, the sum of the diagonal ($\mathbb E\lVert y\rVert^2=\operatorname{tr}\mathbb E[yy^\top]$). Which $V$ makes $\operatorname{tr}V^\top SV$ large? Write $S=\sum_i\lambda_iu_iu_i^\top$ with eigenvalues $\lambda_1\ge\lambda_2\ge\dots$ and perpendicular $u_i$:
#
# $$\operatorname{tr}V^\top SV=\sum_i\lambda_i\,w_i,\qquad w_i=\lVert V^\top u_i\rVert^2,\qquad 0\le w_i\le1,\quad \sum_iw_i=k .$$
#
# ($w_i\le1$, because a projection shortens $u_i$, which has length 1; and $\sum_iw_i=\operatorname{tr}V^\top V=k$.) $k$ units of weight, at most 1 each: put them on the $k$ largest $\lambda_i$. So $V=(u_1,\dots,u_k)$, and what is left is the sum of the others, $\sum_{i>k}\lambda_i$. This is **principal component analysis**, PCA. In practice one takes the $u_i$ from the singular value
# decomposition of the centred data, whose squared singular values are $N\lambda_i$.

# %% [markdown]
# ### Exercise 01.1 · There and back
# ●●○○○ · 10 min · used in the next cell and in section 5

# %% exercise="01.1"
def pca_reconstruct(x, k):
    """The rows of x, put through the best linear code of k numbers and back.

    x: (N, D); k: a whole number from 1 to min(N, D). Returns (N, D).
    """
    ### BEGIN SOLUTION
    mean = x.mean(0)
    _, _, v = torch.linalg.svd(x - mean, full_matrices=False)
    return mean + (x - mean) @ v[:k].T @ v[:k]
    ### END SOLUTION


# %%
pca_reconstruct = check("01.1", pca_reconstruct)

# %% [markdown]
# Two claims in one cell: the error is the sum of the dropped eigenvalues; no other flat does better, here against 200 random ones and 200 that differ from the best by a small turn.

# %% says="What is dropped is what is lost; no other flat does better"
some = x[:5000].double()
mean = some.mean(0)
eigenvalues, u = torch.linalg.eigh((some - mean).T @ (some - mean) / len(some))
eigenvalues, u = eigenvalues.flip(0), u.flip(1)  # largest first
lost = error(pca_reconstruct(some, 8), some).mean().item()
print(f"k = 8: error {lost:.6f}, dropped eigenvalues {eigenvalues[8:].sum():.6f}, apart by {abs(lost - eigenvalues[8:].sum().item()):.0e}")

torch.manual_seed(0)
for name, start in (("random flats", 0 * u[:, :8]), ("the best, turned a little", 500 * u[:, :8])):
    others = []
    for _ in range(200):
        v = torch.linalg.qr(start + torch.randn(784, 8).double()).Q
        others.append((eigenvalues.sum() - ((u.T @ v).square().sum(1) * eigenvalues).sum()).item())
    print(f"{name:26}: the best of 200 loses {min(others):.3f}, which is {min(others) - lost:.3f} more")

# %% [markdown]
# ## 3 · What a code costs
#
# A layer that maps $n$ numbers to $m$ has an $m\times n$ matrix and $m$ **biases**, the numbers that it adds. To apply it to one image takes $n\cdot m$ multiplications and about as many additions: $2nm$ floating-point operations.

# %% [markdown]
# ### Exercise 01.2 · Count what is learned
# ●○○○○ · 5 min · used in the next cells

# %% exercise="01.2"
def mlp_parameter_count(sizes):
    """How many numbers an MLP learns: the weights and biases of all its layers.

    sizes: a list of two or more widths, from input to output, like [784, 256, 2]. Returns an int.
    """
    ### BEGIN SOLUTION
    return sum(m * n + n for m, n in zip(sizes[:-1], sizes[1:]))
    ### END SOLUTION


# %%
mlp_parameter_count = check("01.2", mlp_parameter_count)

# %% [markdown]
# Count for two autoencoders: the linear one, and one with a hidden layer of 256 on either side. torch counts along: it watches one image pass and adds up the matrix products.

# %% says="With hidden layers, the code's width hardly changes the cost"
from torch.utils.flop_counter import FlopCounterMode

widths = [1, 2, 4, 8, 16, 32]


def sizes(kind, k):
    return ([784, k], [k, 784]) if kind == "linear" else ([784, 256, k], [k, 256, 784])


def cost(kind, k):
    """Parameters, and floating-point operations for one image."""
    networks = sizes(kind, k)
    with FlopCounterMode(display=False) as counter:
        nets.mlp(*networks[1])(nets.mlp(*networks[0])(torch.zeros(1, 784)))
    by_hand = sum(2 * m * n for network in networks for m, n in zip(network[:-1], network[1:]))
    assert counter.get_total_flops() == by_hand
    return sum(map(mlp_parameter_count, networks)), by_hand


costs = {kind: [cost(kind, k) for k in widths] for kind in ("linear", "nonlinear")}
print("code of k numbers     " + "".join(f"{k:>10}" for k in widths))
for kind, found in costs.items():
    for row, name in enumerate(("parameters", "operations")):
        print(f"{kind:10} {name:11}" + "".join(f"{c[row]:10,}" for c in found))

# %% [markdown]
# > **From the notes** (000, lines 17–23). *Which matters more, the loss of information or the size of the hidden layer?* Neither by itself. With a hidden layer of 256 the width hardly matters, 4 % more operations from 1 number to 32; the hidden layer is what costs, 32 times the linear code's operations at $k=8$. What a wide code gives up is shortness:
# > wide enough, it is the identity. What one wants is the *narrowest* code that keeps what matters, or a wide one that is kept from copying by something else: noise, or the KL of lesson 04.

# %% [markdown]
# ## 4 · Does gradient descent find PCA?
#
# PCA gives the best linear code in closed form. So a **linear autoencoder**, one matrix in and one out, trained by gradient descent, has a floor it can't get under, and a known place to go. Does it get there?

# %% [markdown]
# ### Exercise 01.3 · The floor
# ●●○○○ · 10 min · used in the next cells

# %% exercise="01.3"
def best_linear_error(x, k):
    """The smallest mean over rows of the summed squared error that a linear code of k numbers, with biases, can leave.

    x: (N, D); k: a whole number from 1 to min(N, D). Returns a scalar tensor, in squared units of x.
    """
    ### BEGIN SOLUTION
    singular_values = torch.linalg.svdvals(x - x.mean(0))
    return (singular_values[k:] ** 2).sum() / len(x)
    ### END SOLUTION


# %%
best_linear_error = check("01.3", best_linear_error)

# %% [markdown]
# How near are two flats? In a plane one angle says it. For two subspaces of $k$ dimensions there are $k$ **principal angles**: the smallest one between any two directions, one from each; then the smallest among directions perpendicular to those; and so on. The cosines are the singular values of
# $Q_a^\top Q_b$, where the columns of $Q_a$ and $Q_b$ are perpendicular directions of length 1 that span the two. If the *largest* angle is 0, they are the same subspace. (Near 0 a cosine is 1 up to rounding; there take the sine, the largest singular value of $Q_b-Q_aQ_a^\top Q_b$.)

# %% [markdown]
# ### Exercise 01.4 · How far from the same flat?
# ●●●○○ · 10 min · used in the next cells

# %% exercise="01.4"
def largest_principal_angle(a, b):
    """The largest principal angle between the spaces that the columns of a and of b span, from 0 to π/2.

    a, b: (D, k), with independent columns. Returns a scalar tensor, in radians.
    """
    ### BEGIN SOLUTION
    qa, qb = torch.linalg.qr(a).Q, torch.linalg.qr(b).Q
    overlap = qa.T @ qb
    cosine = torch.linalg.matrix_norm(overlap, -2)  # the smallest singular value
    sine = torch.linalg.matrix_norm(qb - qa @ overlap, 2)  # the largest: exact where a cosine near 1 is not
    return torch.atan2(sine, cosine)
    ### END SOLUTION


# %%
largest_principal_angle = check("01.4", largest_principal_angle)

# %% [markdown]
# First the loop that every lesson uses: minibatches of 128, Adam, a learning rate that rises and falls. `models.AE` takes any two networks, `training.fit` maximises minus the error. Four times through 20,000 images, a code of eight numbers. **Predict:** will the error come near the floor? And the angle near 0?

# %% says="The error is near the floor, the subspace is not"
part = x[:20_000].double()
floor = best_linear_error(part, 8).item()
u = torch.linalg.svd(part - part.mean(0), full_matrices=False)[2].T  # principal directions, in columns
for seed in range(3):
    torch.manual_seed(seed)
    linear = models.AE(nets.mlp(784, 8), nets.mlp(8, 784), 8)
    training.fit(linear, x[:20_000], epochs=4, lr=1e-2, schedule=training.one_cycle, seed=seed)
    left = -training.evaluate(linear, x[:20_000])["rec"]
    angle = largest_principal_angle(linear.dec[0].weight.detach().double(), u[:, :8])
    print(f"seed {seed}: error {left:.3f}, floor {floor:.3f}; largest angle to PCA's subspace {angle:.3f} of {math.pi / 2:.3f} rad")

# %% [markdown]
# The error is within two percent of the floor; the subspace is far from PCA's. How can both be? Turn the $k$-th principal direction by an angle $\alpha$ towards the next one, $u_{k+1}$. The variance that the flat catches changes from $\lambda_k$ to $\lambda_k\cos^2\alpha+\lambda_{k+1}\sin^2\alpha$, so the error rises by
#
# $$(\lambda_k-\lambda_{k+1})\,\sin^2\alpha .$$
#
# Even at a right angle that is only the difference of two neighbouring eigenvalues, and the slope that would turn it back is as small. The noise of the minibatches can drown it, and 628 steps are few. (Other directions are off a little, too: the excess above is more than one turn can cost.) So give it what it needs: all images in every step, and time.
# For all images at once, the mean error of a linear code with matrices $A$ ($k\times784$) and $B$ ($784\times k$), best biases included, needs nothing of them but $S$:
#
# $$\mathbb E\lVert (x-\bar x)-BA(x-\bar x)\rVert^2=\operatorname{tr}S-2\operatorname{tr}(ASB)+\operatorname{tr}(ASA^\top\,B^\top B).$$

# %% says="Two ways to the same error"
covariance = (part - part.mean(0)).T @ (part - part.mean(0)) / len(part)  # S, (784, 784)
eigenvalues = torch.linalg.eigvalsh(covariance).flip(0)


def linear_error(a, b, s):
    """The error of the linear code with matrices a (k, 784) and b (784, k), on all images at once."""
    a_s = a @ s
    return s.trace() - 2 * (a_s * b.T).sum() + ((a_s @ a.T) * (b.T @ b)).sum()


a, b = (layer.weight.detach().double() for layer in (linear.enc[0], linear.dec[0]))
centred = part - part.mean(0)
print(f"by the formula {linear_error(a, b, covariance):.6f}, image by image {error(centred @ a.T @ b.T, centred).mean():.6f}")
turn = 0.3
tilted = u[:, :8].clone()
tilted[:, 7] = math.cos(turn) * u[:, 7] + math.sin(turn) * u[:, 8]
rise = linear_error(tilted.T, tilted, covariance) - floor
print(f"one direction turned by 0.3 rad: the error rises by {rise:.6f}, by the formula {(eigenvalues[7] - eigenvalues[8]) * math.sin(turn) ** 2:.6f}")

# %% says="It arrives, but the angle takes hundreds of steps"
def train_linear(k, seed, lr=5e-3):
    """Adam on all images until the largest angle is below 0.05 rad. Returns A, B, [(step, error − floor, angle)]."""
    torch.manual_seed(seed)
    enc, dec = nn.Linear(784, k), nn.Linear(k, 784)  # for their fresh weights
    a, b, s = enc.weight, dec.weight, covariance.float()
    optimizer, track = torch.optim.Adam([a, b], lr=lr), []
    for step in range(1, 5001):
        loss = linear_error(a, b, s)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 25 == 0:
            wide = a.detach().double(), b.detach().double()
            angle = largest_principal_angle(wide[1], u[:, :k]).item()
            track.append((step, linear_error(*wide, covariance).item() - eigenvalues[k:].sum().item(), angle))
            if angle < 0.05:
                break
    return a.detach(), b.detach(), track


begin = time.perf_counter()
runs = {k: [train_linear(k, seed) for seed in range(3)] for k in widths}
for k, found in runs.items():
    steps = ", ".join(str(track[-1][0]) for *_, track in found)
    least = min(excess for *_, track in found for _, excess, _ in track)
    angle = max(track[-1][2] for *_, track in found)
    print(f"k = {k:2}, λ_k − λ_(k+1) = {eigenvalues[k - 1] - eigenvalues[k]:.3f}: after {steps} steps (three seeds) the largest angle "
          f"is {angle:.3f} at most; never below the floor: least excess {least:.4f}")
print(f"all {3 * len(runs)} runs: {time.perf_counter() - begin:.0f} s")

# %% says="The error arrives long before the subspace does"
figure, axes = plots.picture(1, 2, size=(12, 4), alt="Excess error and largest angle against the step for codes of 4, 8 and 16 numbers: the error falls first")
for k in (4, 8, 16):
    steps, excess, angle = zip(*runs[k][0][2])
    axes[0].semilogy(steps, excess, "o-", ms=4, label=f"k = {k}")
    axes[1].semilogy(steps, angle, "o-", ms=4, label=f"k = {k}")
axes[0].set(xlabel="steps, all images in each", ylabel="error above the floor", title="The error is soon at its floor")
axes[1].set(xlabel="steps", ylabel="radians", title="the largest angle takes its time")
axes[1].axhline(0.05, color="black", lw=1.5, ls="--")
axes[0].legend()
figure

# %% [markdown]
# It arrives, for every $k$ and every seed, and never gets under the floor. The error goes first: look at $k=8$, where it is soon a few thousandths above the floor, and the angle still needs hundreds of steps. (Their number does not follow the gap alone: Adam takes larger steps where slopes are small, and the seed matters.)
# A step costs a few milliseconds, because $S$ stands for all 20,000 images.
#
# > **From the notes** (003, lines 26–31). A linear autoencoder with squared error finds PCA's **subspace**, not its axes: $B$ and $A$ may hide any invertible $k\times k$ matrix and its inverse between them. Single code numbers of it mean nothing, and they are not sorted by importance.

# %% says="The same subspace, other axes"
_, b, track = runs[4][0]
columns = torch.nn.functional.normalize(b.double(), dim=0)
print(f"largest angle between the subspaces: {track[-1][2]:.3f} rad")
print("cosines of the decoder's four columns with PCA's first four axes:")
for row in (columns.T @ u[:, :4]).tolist():
    print("  " + "  ".join(f"{v:+.2f}" for v in row))

# %% [markdown]
# ## 5 · Bent codes
#
# A hidden layer on both sides lets the flat bend: the set of all $\hat x$ is now a curved surface of $k$ dimensions. Same data, same $k$. **Predict:** for which $k$ does bending help most, as a share of the error?

# %% says="Bending saves most at middle widths"
def trained_ae(k, seed=0):
    torch.manual_seed(seed)
    model = models.AE(nets.mlp(784, 256, k), nets.mlp(k, 256, 784), k)
    training.fit(model, x[:20_000], epochs=5, lr=3e-3, schedule=training.one_cycle, seed=seed)
    return model


autoencoders = {k: trained_ae(k) for k in widths}
average, v = x[:20_000].mean(0), u.to(x)  # PCA, fitted on the same images
rows = {"PCA": {}, "autoencoder": {}}
errors = {"PCA": {}, "autoencoder": {}}
with torch.no_grad():
    for k, model in autoencoders.items():
        rows["PCA"][k] = average + (x_test - average) @ v[:, :k] @ v[:, :k].T
        rows["autoencoder"][k] = model.decode(model.encode(x_test))
        for name in rows:
            errors[name][k] = error(rows[name][k], x_test).mean().item()
        saved = 1 - errors["autoencoder"][k] / errors["PCA"][k]
        print(f"k = {k:2}: test error of PCA {errors['PCA'][k]:5.2f}, of the autoencoder {errors['autoencoder'][k]:5.2f}, {saved:.0%} less")

# %% [markdown]
# At 8 and 16 numbers, by a third. A single number can't draw much of a bend; with 32, PCA already keeps most of the image, and there is less left to save. (One seed each, five epochs: train longer, and the last row improves most.)

# %% says="Less error for the same width, at a higher price"
errors["linear autoencoder"] = {}
for k, found in runs.items():
    a, b, _ = found[0]
    errors["linear autoencoder"][k] = error(average + (x_test - average) @ a.T.to(x) @ b.T.to(x), x_test).mean().item()
figure, axes = plots.picture(1, 3, size=(14, 4.2), alt="Test error, parameters and operations against the width of the code, for linear and nonlinear codes")
for name, style in (("PCA", "o-"), ("linear autoencoder", "x"), ("autoencoder", "o-")):
    axes[0].plot(list(errors[name]), list(errors[name].values()), style, ms=10 if style == "x" else 6, mew=2.5, label=name)
for kind, found in costs.items():
    axes[1].loglog(widths, [c[0] for c in found], "o-", label=kind)
    axes[2].loglog(widths, [c[1] for c in found], "o-", label=kind)
axes[0].set(xscale="log", ylabel="test error", title="Bent codes lose less")
axes[1].set(title="Parameters", ylim=(1e3, 1e6))
axes[2].set(title="Operations for an image", ylim=(1e3, 1e6))
for axis in axes:
    axis.set(xlabel="numbers in the code")
    axis.set_xticks(widths, widths)
    axis.minorticks_off()
axes[0].legend()
axes[1].legend()
figure

# %% [markdown]
# **Play:** move the width. At which $k$ can you first read every digit in the autoencoder's row? And in PCA's? Hold a picture to see its original.

# %% says="What survives a code of k numbers?"
shown = torch.stack([(y_test == c).nonzero()[0, 0] for c in range(10)])  # one of each class
Bottleneck(x_test[shown], {name: {k: r[shown] for k, r in found.items()} for name, found in rows.items()},
           {name: errors[name] for name in rows})

# %% figure="01_widths" says="Ten digits, squeezed through 1 to 32 numbers"
plots.images(
    {f"{k} number{'s' * (k > 1)}": rows["autoencoder"][k][shown] for k in (1, 2, 8, 32)} | {"original": x_test[shown]},
    "From one number to 32: a blur between digits, then the digit, at last its own shape",
    alt="Ten digits reconstructed from codes of 1, 2, 8 and 32 numbers, with the originals below",
)

# %% [markdown]
# > **From the notes** (003, lines 36–44). Encoder and decoder need not mirror each other; they do here because it is a fair default. And when $\hat x$ differs from $x$, a narrow code is one suspect among several: a decoder too weak for the bend, or too few steps of training, look the same. (Train the widest one for longer and see.)

# %% [markdown]
# ## 6 · A code as features
#
# You have 60,000 images and labels for only 100 of them. Is the code, learned without labels, a better place to learn from those 100 than the pixels? **Predict:** how many percentage points does it gain?
#
# The same classifier each time, logistic regression, and ten different draws of the 100 images. Two rows take the encoder's hidden layer, the 256 numbers before the code, trained and as it was before training. What stands after ± is the spread, the standard deviation, over the ten draws.

# %% says="A narrow code does as well as the pixels; the layer before it does better"
from sklearn.linear_model import LogisticRegression

ae = autoencoders[8]
torch.manual_seed(0)
untrained = models.AE(nets.mlp(784, 256, 8), nets.mlp(8, 256, 784), 8).to(x.device)
with torch.no_grad():
    features = {
        "784 pixels": lambda t: t,
        "8 PCA codes": lambda t: (t - average) @ v[:, :8],
        "8 autoencoder codes": ae.encode,
        "256, layer before the code": lambda t: ae.enc[0](t).relu(),
        "256, the same untrained": lambda t: untrained.enc[0](t).relu(),
    }
    found = {name: (f(x).cpu().numpy(), f(x_test[:5000]).cpu().numpy()) for name, f in features.items()}
labels, truth = y.cpu().numpy(), y_test[:5000].cpu().numpy()
accuracy = {name: [] for name in found}
for draw in range(10):
    chosen = torch.randperm(len(x), generator=torch.Generator().manual_seed(draw))[:100].numpy()
    for name, (train, test) in found.items():
        judge = LogisticRegression(max_iter=3000).fit(train[chosen], labels[chosen])
        accuracy[name].append(judge.score(test, truth))
accuracy = {name: torch.tensor(a) for name, a in accuracy.items()}
for name, a in accuracy.items():
    gain = a - accuracy["784 pixels"]
    print(f"{name:27} {a.mean():.1%} ± {a.std():.1%} correct   against pixels, draw by draw: {gain.mean():+.1%} ± {gain.std():.1%}")

# %% [markdown]
# Eight *learned* numbers do as well as 784 pixels: the difference is smaller than its spread. That is the point of a feature, it is *shorter*. PCA's eight lose several points. The layer before the bottleneck is the better place to look: the network has bent the images there, and has not yet thrown away what a code of eight must do without.
#
# > **From the notes** (003, lines 12–21). "Good features for small labelled sets": yes, within these limits. How much depends on the number of labels, on the classifier and on which layer you take; a number from one draw of the labels says little, as the ± shows.

# %% [markdown]
# ## 7 · The plane of an autoencoder
#
# With $k=2$ you can see the whole code. Every test image is a point; its label chooses the colour.

# %% says="The codes of an autoencoder, and what lies between them"
flat = autoencoders[2]
LatentTraversal(flat, x_test[:2000], y_test[:2000])

# %% [markdown]
# **Play:**
#
# 1. Where is the middle of the cloud? Is it where the axes cross?
# 2. Which digit owns the most room, which the least?
# 3. Stop between two colours. Is what you see a digit?
# 4. Walk out of the cloud. What does the decoder answer where it was never trained?

# %% [markdown]
# ## 8 · Why it can't generate
#
# The decoder turns any $k$ numbers into a picture. So draw numbers at random, and you have a generative model? Which numbers, though? Nothing in the loss says where codes lie. Try $z\sim\mathcal N(0,I)$, each number from its own standard Gaussian, and, a fairer try, a Gaussian with the codes' own mean and covariance.
#
# Three failures are said to stand in the way. Measure each, for codes of 2 and of 20 numbers:
#
# 1. **Off-centre and lopsided.** The distance of the codes' mean from 0; the longest axis of their covariance by the shortest.
# 2. **Unequal room.** A class's width is the geometric mean of the axes of its codes; take the widest class by the narrowest. (An axis is the standard deviation along a principal direction.)
# 3. **Gaps.** A classifier that reads digits looks at decoded draws, and *recognises* one if it gives a class at least 90 %. As a control, it looks at decoded codes of real test images, too.
#
# The column *wanted* is what draws of $\mathcal N(0,I)$ in 20 dimensions would have, with random classes; and for recognition, real images.
#
# **Predict:** where will the most pictures be recognised, and is it gaps that spoil the others?

# %% says="Three failures, in numbers"
reader = metrics.classifier(x[:20_000], y[:20_000])
contestants = {
    "AE, 2": [flat, *(trained_ae(2, seed) for seed in (1, 2))],
    "AE, 20": [trained_ae(20, seed) for seed in range(3)],
}
torch.manual_seed(0)
table = {name: [metrics.three_failures(m, x_test, y_test, reader) for m in found] for name, found in contestants.items()}
wanted = metrics.code_cloud(torch.randn(10_000, 20), torch.arange(10_000) % 10)
real = metrics.recognised(reader, x_test)["share recognised"]
print(f"{'mean ± spread over 3 seeds':40}" + "".join(f"{name:>14}" for name in table) + "    wanted    VAE, 2")
for row in table["AE, 2"][0]:
    cells = [torch.tensor([found[row] for found in reports]) for reports in table.values()]
    best = wanted.get(row, 0.1 if "rarest" in row else real)
    print(f"{row:40}" + "".join(f"{c.mean():7.2f} ± {c.std():4.2f}" for c in cells) + f"{best:10.2f} {'lesson 04':>9}")

# %% says="Codes of images make digits; random codes do not"
torch.manual_seed(1)
large = contestants["AE, 20"][0]
with torch.no_grad():
    z = large.encode(x_test)
    fitted = z.mean(0) + torch.randn(12, 20, device=z.device) @ torch.linalg.cholesky(z.T.cov()).T
    pictures = {
        "codes of images": large.decode(z[:12]),
        "fitted Gaussian": large.decode(fitted),
        "N(0, I)": large.decode(torch.randn(12, 20, device=z.device)),
    }
plots.images(
    {name: p.clamp(0, 1) for name, p in pictures.items()},
    "Twenty numbers: codes of images make digits, most random codes do not",
    alt="Decoded codes of test images are clear digits; decoded random codes are tangles of strokes",
)

# %% [markdown]
# Read the table by columns. With **20** numbers, decoded codes of images are mostly recognised, and draws are mostly not: the decoder is good, and random codes miss the places where it is. Those are gaps. The Gaussian with the right mean and covariance does not help: the codes fill only a part of their own cloud. (Look at the pictures, too, before you believe a classifier: it can be sure of a scrawl.)
# So failure 1 is there, 1.6 from 0 and nearly four times as long as wide, and it is not what hurts: the fitted Gaussian repairs it and gains nothing.
# With **2** numbers even codes of images are recognised only about as often as draws: what spoils these pictures is not gaps, but that two numbers are too few. The classes fight for room: the widest has several times the width of the narrowest. Failure 1 is hardly there. And in both, some digit hardly ever comes out of $\mathcal N(0,I)$.
#
# > **From the notes** (003, lines 47–64). The notes list these three, and conclude that a VAE reconstructs better. It is the other way round: an autoencoder, which is asked for nothing else, **reconstructs** better; what a VAE has is a place to draw from. Lesson 04 fills the last column from its own model.
#
# > (003, line 50.) *How should one choose points to generate from?* An autoencoder can't say: it has no density over codes, and none over images. You may fit one to the codes afterwards; a Gaussian did not do, so take a mixture of many. Then how good is it? Try:

# %% says="A better density for the codes helps, and still gives no log p(x)"
from sklearn.mixture import GaussianMixture

with torch.no_grad():
    codes = large.encode(x[:20_000]).double().cpu().numpy()
    print("components   test log p(z) of a code   recognised among 5000 draws")
    held_out = z[:2000].double().cpu().numpy()
    for components in (1, 10, 100):
        mixture = GaussianMixture(components, covariance_type="full", reg_covar=1e-3, max_iter=30, tol=1e-2, random_state=0).fit(codes)
        drawn = torch.tensor(mixture.sample(5000)[0]).to(x)
        share = metrics.recognised(reader, large.decode(drawn).clamp(0, 1))["share recognised"]
        print(f"{components:10} {mixture.score(held_out):22.2f} {share:24.2f}")

# %% [markdown]
# So drawing can be repaired after the fact, step by step, by learning where the codes are. What can't be repaired is the question "how probable is this image?": $\log p(x)$ needs a density on images, and the decoder gives a point. Both want the same thing: a model in which codes come from a **known** distribution, and images come from codes with a **probability**. Then the encoder's job changes,
# too: given an image, which codes could have made it? That is inference, and lesson 02.

# %% [markdown]
# ## Recap
#
# 1. An autoencoder squeezes $x$ through $k$ numbers; the error says what is lost. Squared error compares pixel with pixel, so doubt becomes blur.
# 2. Linear codes can't beat PCA: what they lose is the sum of the dropped eigenvalues. Gradient descent finds the subspace, long after the error is near its floor, and not the axes.
# 3. Bent codes lose less at the same width, for 8 to 256 times the operations. With hidden layers, the width itself costs almost nothing.
# 4. A code is a short feature; with few labels, the layer before it may serve better.
# 5. It can't generate: nothing says where codes lie, and nothing says how probable an image is.
#
# $$\boxed{\;\min_{\text{linear codes}}\ \mathbb E\lVert x-\hat x\rVert^2=\sum_{i>k}\lambda_i\;}$$
#
# **Ask yourself**
#
# <details><summary>1. Your linear autoencoder's error is 0.1 % above PCA's. Is its subspace PCA's?</summary>
#
# Not necessarily. If two eigenvalues at the cut are close, a direction may be turned far for so little: at $k=8$ here, by more than 0.7 rad. Measure the largest principal angle.
#
# </details>
# <details><summary>2. Somebody shows you an autoencoder with error 0. What do you ask?</summary>
#
# How wide the code is, and on which images. At 784 numbers the identity does it; on images it was trained on, a large network may have learned them by heart.
#
# </details>
# <details><summary>3. You decode random codes and see no digits. What do you decode next, to know whether gaps are to blame?</summary>
#
# The codes of test images. If those are fine, the decoder is good and the draws miss the codes. If not, the code or the decoder is too small, and gaps may have nothing to do with it.
#
# </details>
#
# **Next:** lesson 02 starts from the other end. Given a model that makes images from codes, which codes could have made this one?
#
# **References** · PCA as the optimum of a linear autoencoder: Baldi & Hornik 1989, [doi:10.1016/0893-6080(89)90014-2](https://doi.org/10.1016/0893-6080(89)90014-2) · autoencoders against PCA: Hinton & Salakhutdinov 2006, [doi:10.1126/science.1127647](https://doi.org/10.1126/science.1127647) ·
# principal angles, and how to compute small ones: Björck & Golub 1973, [doi:10.2307/2005662](https://doi.org/10.2307/2005662)
