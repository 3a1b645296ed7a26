"""Exercises of lesson 01, autoencoders."""

import math
from itertools import pairwise

import numpy as np
import scipy.linalg
import torch
from sklearn.decomposition import PCA
from torch import nn

from course_lib.exercises.judge import Case, Exercise, Mistake

_f64 = torch.float64


def _normal(*shape: int, seed: int, dtype=torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def _cloud(n: int, d: int, k: int, seed: int, dtype=torch.float32, offset: float = 0.0, grow: float = 1.0) -> dict:
    """n rows of d numbers, columns 1.5 times narrower each and means that differ; row sizes from 1 to `grow`."""
    widths, sizes = 3 * 1.5 ** -torch.arange(d, dtype=dtype), torch.logspace(0, math.log10(grow), n, dtype=dtype)
    turn = torch.linalg.qr(_normal(d, d, seed=seed + 1, dtype=_f64)).Q.to(dtype)
    rows = sizes[:, None] * (_normal(n, d, seed=seed, dtype=dtype) * widths) @ turn
    return {"x": rows + offset + torch.linspace(-4, 6, d, dtype=dtype), "k": k}


_ROWS = [
    Case(
        "three points in the plane, k = 1",
        {"x": torch.tensor([[1.0, 2.0], [3.0, 3.0], [5.0, 7.0]], dtype=_f64), "k": 1},
    ),
    Case("five rows of three numbers, k = 2", _cloud(5, 3, 2, 10)),
    Case("seven rows of four numbers, k = 1, far from 0", _cloud(7, 4, 1, 20, _f64, offset=1000)),
    Case("as many components as columns", _cloud(6, 3, 3, 30, _f64)),
    Case("fewer rows than columns: 4 × 9, k = 2", _cloud(4, 9, 2, 40)),
    Case("the last row 1000 times the first, k = 3", _cloud(8, 5, 3, 50, _f64, grow=1000)),
    Case("fifty rows of twenty numbers, k = 6", _cloud(50, 20, 6, 60)),
]


def _directions(x, whole=False):
    """Principal directions as rows, without centring."""
    return torch.linalg.svd(x, full_matrices=whole).Vh


def _through(x, rows):
    return x @ rows.T @ rows


def _centred(x):
    return x - x.mean(0)


def _pca(x, k, mean):
    return mean + _through(x - mean, _directions(x - mean)[:k])


def _by_columns_of_vh(x, k):
    v = _directions(_centred(x), whole=True)[:, :k]
    return x.mean(0) + _through(_centred(x), v.T)


def _by_smallest_of_eigh(x, k):
    v = torch.linalg.eigh(_centred(x).T @ _centred(x)).eigenvectors[:, :k]
    return x.mean(0) + _through(_centred(x), v.T)


def _without_singular_values(x, k):
    u, _, v = torch.linalg.svd(_centred(x), full_matrices=False)
    return x.mean(0) + u[:, :k] @ v[:k]


def _standardized(x, k):
    width = x.std(0)
    return x.mean(0) + width * _through(_centred(x) / width, _directions(_centred(x) / width)[:k])


def _by_sklearn(x, k):
    pca = PCA(k, svd_solver="full").fit(x.numpy())
    return torch.from_numpy(pca.inverse_transform(pca.transform(x.numpy())))


RECONSTRUCT = Exercise(
    id="01.1",
    name="pca_reconstruct",
    cases=_ROWS,
    oracle=_by_sklearn,
    mistakes=[
        Mistake(
            "Nothing is centred: the first direction then points at the mean, and one of k numbers is spent on it.",
            lambda x, k: _through(x, _directions(x)[:k]),
        ),
        Mistake(
            "The mean is not added back: the reconstructions lie around 0, the data do not.",
            lambda x, k: _through(_centred(x), _directions(_centred(x))[:k]),
        ),
        Mistake(
            "The directions are right, but x itself is projected on them, and its mean is added on top: the mean is there twice.",
            lambda x, k: x.mean(0) + _through(x, _directions(_centred(x))[:k]),
        ),
        Mistake(
            "The directions are right, but x itself is projected on them. They describe how rows differ from the mean: centre before you project.",
            lambda x, k: _through(x, _directions(_centred(x))[:k]),
        ),
        Mistake(
            "The directions come from x as it is: they are those of the centred rows that you want.",
            lambda x, k: x.mean(0) + _through(_centred(x), _directions(x)[:k]),
        ),
        Mistake(
            "The last k directions are kept, along which the rows differ least. The SVD sorts from large to small.",
            lambda x, k: x.mean(0) + _through(_centred(x), _directions(_centred(x))[-k:]),
        ),
        Mistake(
            "These are eigenvectors of the smallest eigenvalues: eigh sorts from small to large.", _by_smallest_of_eigh
        ),
        Mistake(
            "These are the codes, k numbers a row. Go back to D numbers.",
            lambda x, k: _centred(x) @ _directions(_centred(x))[:k].T,
        ),
        Mistake(
            "Each row is centred by its own mean. Centre each column: the mean is a row of D numbers, an average image.",
            lambda x, k: _pca(x, k, x.mean(1, keepdim=True)),
        ),
        Mistake(
            "One mean is taken over all numbers. Each column has its own.",
            lambda x, k: _pca(x, k, x.mean()),
        ),
        Mistake("One component too few: k − 1 are kept.", lambda x, k: _pca(x, k - 1, x.mean(0))),
        Mistake("One component too many: k + 1 are kept.", lambda x, k: _pca(x, k + 1, x.mean(0))),
        Mistake(
            "The directions are read from the wrong axis: torch.linalg.svd gives Vᵀ, so each *row* is a direction.",
            _by_columns_of_vh,
        ),
        Mistake(
            "U and V are there, but nothing between them: the singular values say how far the rows reach along each direction.",
            _without_singular_values,
        ),
        Mistake(
            "The columns are divided by their standard deviations first. Then another error is made small, not the plain squared one.",
            _standardized,
        ),
        Mistake(
            "This is what is lost, x less its reconstruction.",
            lambda x, k: x - _pca(x, k, x.mean(0)),
        ),
        Mistake("Every row is the mean: its code is not used.", lambda x, k: x.mean(0).expand(x.shape)),
        Mistake("This is x itself: nothing is lost, so nothing is compressed.", lambda x, k: x.clone()),
    ],
    hints=(
        "A plane that fits a cloud of points best goes through one point for certain. Which one, and in which directions does it extend?",
        "Centre the columns. torch.linalg.svd of the centred rows, with full_matrices=False, gives the directions as the rows of its third result, the most important first.",
        "Code: (x − mean) times the first k directions, transposed. Back: the code times these directions, plus the mean.",
    ),
)


def _by_layers(sizes):
    """Counts the numbers in real layers; on "meta" they take no memory and draw no random numbers."""
    layers = [nn.Linear(m, n, device="meta") for m, n in pairwise(sizes)]
    return sum(p.numel() for p in nn.Sequential(*layers).parameters())


def _weights(sizes):
    return sum(m * n for m, n in pairwise(sizes))


def _count(sizes):
    return _weights(sizes) + sum(sizes[1:])


PARAMETERS = Exercise(
    id="01.2",
    name="mlp_parameter_count",
    cases=[
        Case("one layer, from 2 numbers to 3", {"sizes": [2, 3]}),
        Case("two layers", {"sizes": [3, 5, 2]}),
        Case("three layers, the narrowest first", {"sizes": [1, 4, 6, 5]}),
        Case("four layers with a bottleneck of 1", {"sizes": [7, 4, 1, 4, 7]}),
        Case("a linear decoder", {"sizes": [8, 784]}),
        Case("the encoder of a digit", {"sizes": [784, 256, 2]}),
        Case("an autoencoder of digits", {"sizes": [784, 256, 2, 256, 784]}),
    ],
    oracle=_by_layers,
    mistakes=[
        Mistake("The biases are left out: each layer adds a bias to every number that it gives.", _weights),
        Mistake(
            "The input counts as a layer with biases. Nothing is added to the input.", lambda s: _weights(s) + sum(s)
        ),
        Mistake(
            "A bias is counted for each number that goes into a layer. It is added to what comes out.",
            lambda s: _weights(s) + sum(s[:-1]),
        ),
        Mistake("One bias is counted for a whole layer.", lambda s: _weights(s) + len(s) - 1),
        Mistake("Only the last layer has biases here. Hidden layers have them, too.", lambda s: _weights(s) + s[-1]),
        Mistake("Only the first layer has biases here. Every layer has them.", lambda s: _weights(s) + s[1]),
        Mistake("One bias is counted for the whole network.", lambda s: _weights(s) + 1),
        Mistake("All sizes are multiplied. Layers stand one after the other, so their counts add.", math.prod),
        Mistake(
            "All sizes are multiplied, and the biases added. Layers stand one after the other, so their weights add, too.",
            lambda s: math.prod(s) + sum(s[1:]),
        ),
        Mistake(
            "Only the first and the last size count here, as if one layer led straight through.",
            lambda s: (s[0] + 1) * s[-1],
        ),
        Mistake(
            "Only the weights from the first to the last size count here: no hidden layer, no bias.",
            lambda s: s[0] * s[-1],
        ),
        Mistake("These are the biases alone. The weights are missing.", lambda s: sum(s[1:])),
        Mistake("These are the units, not what connects them.", sum),
        Mistake("The last layer is missing: n sizes make n − 1 layers.", lambda s: _count(s[:-1])),
        Mistake("The first layer is missing: n sizes make n − 1 layers.", lambda s: _count(s[1:])),
        Mistake(
            "A mirrored decoder is counted, too. Count the layers in sizes and no more.",
            lambda s: _count(s + s[-2::-1]),
        ),
        Mistake(
            "A constant unit is added to both sides of each layer. It belongs to what goes in only: nothing computes it.",
            lambda s: sum((m + 1) * (n + 1) for m, n in pairwise(s)),
        ),
    ],
    hints=(
        "A layer that turns m numbers into n is a matrix and a vector. How many numbers do they hold?",
        "n sizes make n − 1 layers: each size with the next.",
        "Add up over neighbouring sizes m, n: m·n weights and n biases.",
    ),
)


def _dropped_eigenvalues(x, k):
    """From the covariance of the columns: its eigenvalues are sorted from small to large."""
    values = np.linalg.eigvalsh(np.cov(x.numpy(), rowvar=False, bias=True))
    return torch.tensor(values[: len(values) - k].clip(min=0).sum(), dtype=_f64)


def _values(x):
    return torch.linalg.svdvals(_centred(x))


FLOOR = Exercise(
    id="01.3",
    name="best_linear_error",
    cases=_ROWS,
    oracle=_dropped_eigenvalues,
    mistakes=[
        Mistake(
            "The sum is divided by N − 1. That makes a variance unbiased; a mean over N rows divides by N.",
            lambda x, k: (_values(x)[k:] ** 2).sum() / (len(x) - 1),
        ),
        Mistake(
            "The singular values are not squared. They are lengths; a squared error adds up their squares.",
            lambda x, k: _values(x)[k:].sum() / len(x),
        ),
        Mistake(
            "The sum is squared. Errors along different directions are at right angles: square each, then add.",
            lambda x, k: _values(x)[k:].sum() ** 2 / len(x),
        ),
        Mistake(
            "The error is averaged over the columns, too. Sum over an image's pixels, average over images.",
            lambda x, k: (_values(x)[k:] ** 2).sum() / x.numel(),
        ),
        Mistake(
            "The sum is divided by D, the number of columns. The mean runs over rows.",
            lambda x, k: (_values(x)[k:] ** 2).sum() / x.shape[1],
        ),
        Mistake(
            "This is what the k directions keep. The error is in those that are dropped.",
            lambda x, k: (_values(x)[:k] ** 2).sum() / len(x),
        ),
        Mistake(
            "x is not centred. The code has a bias, so the mean costs nothing.",
            lambda x, k: (torch.linalg.svdvals(x)[k:] ** 2).sum() / len(x),
        ),
        Mistake(
            "Each row is centred by its own mean. Centre each column.",
            lambda x, k: (torch.linalg.svdvals(x - x.mean(1, keepdim=True))[k:] ** 2).sum() / len(x),
        ),
        Mistake(
            "One mean is taken over all numbers. Each column has its own.",
            lambda x, k: (torch.linalg.svdvals(x - x.mean())[k:] ** 2).sum() / len(x),
        ),
        Mistake(
            "This is the error of all rows together. Wanted is the mean per row.",
            lambda x, k: (_values(x)[k:] ** 2).sum(),
        ),
        Mistake(
            "A root is taken of the mean squared error. Leave it squared.",
            lambda x, k: ((_values(x)[k:] ** 2).sum() / len(x)).sqrt(),
        ),
        Mistake(
            "This is the length of the whole error, neither squared nor a mean per row.",
            lambda x, k: (_values(x)[k:] ** 2).sum().sqrt(),
        ),
        Mistake(
            "The root is taken row by row, before the mean. Average the squared lengths.",
            lambda x, k: (x - _pca(x, k, x.mean(0))).norm(dim=1).mean(),
        ),
        Mistake(
            "The k-th direction is counted as lost. A code of k numbers keeps it: which index has the first one that is dropped?",
            lambda x, k: (_values(x)[k - 1 :] ** 2).sum() / len(x),
        ),
        Mistake(
            "One direction too many is kept, k + 1.",
            lambda x, k: (_values(x)[k + 1 :] ** 2).sum() / len(x),
        ),
        Mistake(
            "This is a mean over the directions that are dropped. Their errors add; the mean runs over rows.",
            lambda x, k: (_values(x)[k:] ** 2).mean(),
        ),
        Mistake(
            "Only the first direction that is dropped counts here. All of them are lost.",
            lambda x, k: (_values(x)[k : k + 1] ** 2).sum() / len(x),
        ),
        Mistake(
            "This is the share of the variance that is lost. Wanted is the error itself.",
            lambda x, k: (_values(x)[k:] ** 2).sum() / (_values(x) ** 2).sum(),
        ),
        Mistake(
            "There is a factor ½, as in a Gaussian's log-density. The squared error has none.",
            lambda x, k: 0.5 * (_values(x)[k:] ** 2).sum() / len(x),
        ),
    ],
    hints=(
        "The best linear code of k numbers is PCA's. Which part of a row does it lose?",
        "In the coordinates that the SVD of the centred rows gives, the squared singular values say how much squared length lies along each direction. Which of them are lost?",
        "Add up the squares of the centred x's singular values from the (k + 1)-th on, and divide by the number of rows.",
    ),
)


def _spaces(d: int, angles: list[float], seed: int, dtype=torch.float32, stretch: float = 1.0) -> dict:
    """Bases of two k-dimensional spaces with these k principal angles; neither is orthonormal.

    The columns of a grow in length by a factor `stretch`, those of b shrink.
    """
    k, theta = len(angles), torch.tensor(angles, dtype=_f64)
    frame = torch.linalg.qr(_normal(d, 2 * k, seed=seed, dtype=_f64)).Q
    turned = frame[:, :k] * theta.cos() + frame[:, k:] * theta.sin()
    # small enough to leave float32 its accuracy
    mix_a, mix_b = (torch.eye(k) + 0.4 * _normal(k, k, seed=seed + i).clamp(-1, 1) for i in (1, 2))
    lengths = torch.logspace(0, math.log10(stretch), k, dtype=_f64)
    a, b = 2 * frame[:, :k] @ mix_a.double() * lengths, 3 * turned @ mix_b.double() * lengths.flip(0)
    return {"a": a.to(dtype), "b": b.to(dtype)}


def _bases(a: list, b: list, dtype=_f64) -> dict:
    return {"a": torch.tensor(a, dtype=dtype), "b": torch.tensor(b, dtype=dtype)}


def _cosines(a, b):
    """Cosines of the principal angles, from large to small."""
    return torch.linalg.svdvals(torch.linalg.qr(a).Q.T @ torch.linalg.qr(b).Q).clamp(max=1)


def _angle(a, b):
    """Exact near 0, where acos is not: the sine and the cosine of the largest angle."""
    q, r = torch.linalg.qr(a).Q, torch.linalg.qr(b).Q
    return torch.atan2(torch.linalg.matrix_norm(r - q @ (q.T @ r), 2), _cosines(a, b).min())


def _units(a):
    return a / a.norm(dim=0)


ANGLE = Exercise(
    id="01.4",
    name="largest_principal_angle",
    # Near 0 an acos, and near π/2 an asin, is off by up to 8e-4 in float32: these cases are in float64. Where a cosine
    # or a sine is 1, QR has nothing to round, so that an answer without a clamp is not nan on one machine and right on
    # another.
    cases=[
        Case("two lines in the plane", _bases([[2.0], [0.0]], [[3.0], [4.0]])),
        Case(
            "two lines in space, with arrows more than 90° apart",
            _bases([[1.0], [0.5], [2.0]], [[-2.0], [1.0], [-1.5]], torch.float32),
        ),
        Case(
            "two planes in space, which share a line",
            _bases([[2.0, 1.0], [0.0, 3.0], [0.0, 0.0]], [[3.0, 3.0], [0.0, 8.0], [0.0, 6.0]]),
        ),
        Case(
            "one plane, two bases",
            _bases([[2.0, 1.0], [0.0, 3.0], [0.0, 0.0], [0.0, 0.0]], [[0.0, 5.0], [4.0, 3.0], [0.0, 0.0], [0.0, 0.0]]),
        ),
        Case(
            "a right angle and a smaller one",
            _bases(
                [[2.0, 1.0], [0.0, 3.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]],
                [[0.0, 4.0], [0.0, 0.0], [5.0, 1.0], [0.0, 3.0], [0.0, 0.0]],
            ),
        ),
        Case("angles of 0.001 and less", _spaces(6, [0.001, 0.0004], 40, _f64)),
        Case("three dimensions of seven", _spaces(7, [1.1, 0.6, 0.2], 50)),
        Case("columns 100 times longer than others", _spaces(9, [0.9, 0.8, 0.5, 0.3], 60, stretch=100)),
        Case("five components of 784 pixels", _spaces(784, [0.4, 0.35, 0.3, 0.2, 0.1], 70)),
    ],
    oracle=lambda a, b: torch.tensor(scipy.linalg.subspace_angles(a.numpy(), b.numpy())[0], dtype=_f64),
    mistakes=[
        Mistake(
            "The bases are not orthonormal, so their products are no cosines. Which decomposition makes a basis orthonormal?",
            lambda a, b: torch.linalg.svdvals(a.T @ b).min().clamp(max=1).acos(),
        ),
        Mistake(
            "acos gives nan: a product of bases that are not orthonormal can be above 1. Make them orthonormal first.",
            lambda a, b: torch.linalg.svdvals(a.T @ b).min().acos(),
        ),
        Mistake(
            "The columns have length 1, but they are not at right angles to each other. A basis must be both.",
            lambda a, b: torch.linalg.svdvals(_units(a).T @ _units(b)).min().clamp(max=1).acos(),
        ),
        Mistake(
            "This is the smallest angle. The largest angle has the smallest cosine.",
            lambda a, b: _cosines(a, b).max().acos(),
        ),
        Mistake("These are degrees. Return radians.", lambda a, b: _angle(a, b).rad2deg()),
        Mistake("This is the cosine of the angle.", lambda a, b: _cosines(a, b).min()),
        Mistake("This is the sine of the angle.", lambda a, b: _angle(a, b).sin()),
        Mistake("This is π/2 less the angle: which function undoes a cosine?", lambda a, b: math.pi / 2 - _angle(a, b)),
        Mistake(
            "These are the first columns alone. A space has more directions: which two, one of each, are farthest apart?",
            lambda a, b: (_units(a)[:, 0] @ _units(b)[:, 0]).abs().clamp(max=1).acos(),
        ),
        Mistake(
            "This is the angle between two arrows, the first columns. Lines have no sign, and a space has more directions.",
            lambda a, b: (_units(a)[:, 0] @ _units(b)[:, 0]).clamp(-1, 1).acos(),
        ),
        Mistake(
            "Columns are compared in pairs, first with first. Another basis of the same space would give another answer.",
            lambda a, b: (torch.linalg.qr(a).Q * torch.linalg.qr(b).Q).sum(0).abs().clamp(max=1).acos().max(),
        ),
        Mistake(
            "The matrices are compared like two long vectors. Another basis of the same space would give another answer.",
            lambda a, b: ((a * b).sum() / (a.norm() * b.norm())).clamp(-1, 1).acos(),
        ),
        Mistake("The angles are added up. Return the largest.", lambda a, b: _cosines(a, b).acos().sum()),
        Mistake("The angles are averaged. Return the largest.", lambda a, b: _cosines(a, b).acos().mean()),
        Mistake(
            "This is the root of the sum of the squared angles. Return the largest.",
            lambda a, b: _cosines(a, b).acos().norm(),
        ),
        Mistake("There is one angle for each dimension. Return the largest alone.", lambda a, b: _cosines(a, b).acos()),
        Mistake(
            "This is the Frobenius norm, the root of the sum of all squared sines. Which norm is the largest singular value alone?",
            lambda a, b: _cosines(a, b).acos().sin().norm().clamp(max=1).asin(),
        ),
        Mistake(
            "asin gives nan, as its argument is above 1. The Frobenius norm adds up the squared sines of all angles.",
            lambda a, b: _cosines(a, b).acos().sin().norm().asin(),
        ),
        Mistake(
            "These are the row spaces. The spaces are spanned by columns: with fewer columns than rows, all row spaces are the same.",
            lambda a, b: _angle(a.T, b.T),
        ),
        Mistake(
            "All angles are 0 but for rounding: these are the row spaces. The spaces are spanned by columns.",
            lambda a, b: _cosines(a.T, b.T).min().acos(),
        ),
        Mistake(
            "The product is D × D: with D > k it always has singular values of 0. Multiply the other way round, to k × k.",
            lambda a, b: torch.linalg.svdvals(torch.linalg.qr(a).Q @ torch.linalg.qr(b).Q.T).min().acos(),
        ),
        Mistake(
            "The cosine is squared before acos: the eigenvalues of MᵀM are squares of the singular values of M.",
            lambda a, b: (_cosines(a, b).min() ** 2).acos(),
        ),
    ],
    hints=(
        "For two lines through 0, unit vectors along them have the cosine as their product. What takes the place of a unit vector for a plane?",
        "torch.linalg.qr makes an orthonormal basis, Q, of a space. The singular values of QaᵀQb are the cosines of the principal angles. Which one belongs to the largest angle?",
        "acos of the smallest singular value of QaᵀQb, held at 1 or below. More accurate for small angles: the largest singular value of Qb − Qa(QaᵀQb) is the sine of the same angle.",
    ),
)

EXERCISES = [RECONSTRUCT, PARAMETERS, FLOOR, ANGLE]
