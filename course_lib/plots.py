"""The pictures of the lessons: functions take tensors and return a figure that shows itself once, with its alt text.

One style for all: Petroff's ten colours (arXiv:2107.02270), told apart with any kind of colour vision, text that the
last row can read, and a title that says what to see.
"""

import io
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from torch import Tensor

plt.style.use(
    [
        "petroff10",
        {
            "figure.dpi": 100,
            "figure.constrained_layout.use": True,
            "font.size": 13,
            "axes.titlesize": 14,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.alpha": 0.3,
            "lines.linewidth": 2.2,
            "legend.frameon": False,
            "image.cmap": "gray",
        },
    ]
)
COLOURS = plt.rcParams["axes.prop_cycle"].by_key()["color"]


class Picture(Figure):
    """A figure that a notebook shows when it is a cell's last value, as a PNG with `alt` as its text."""

    alt = ""

    def _repr_mimebundle_(self, include=None, exclude=None):
        png = io.BytesIO()
        self.savefig(png, format="png", facecolor="white")
        return {"image/png": png.getvalue(), "text/plain": self.alt}, {"image/png": {"alt": self.alt}}


def picture(rows: int = 1, columns: int = 1, size: tuple[float, float] | None = None, alt: str = "", **kwargs):
    """(figure, axes) as plt.subplots gives, in the course's style; return the figure or end a cell with it."""
    size = size or (5.5 * columns, 3.8 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, FigureClass=Picture, **kwargs)
    plt.close(figure)  # or the notebook would draw it a second time
    figure.alt = alt
    return figure, axes


def images(
    rows: Tensor | Mapping[str, Tensor], title: str = "", alt: str = "", shape: tuple[int, int] = (28, 28), scale=0.75
) -> Figure:
    """Images side by side: (R, C, X) or {row's name: (C, X)}, pixels in [0, 1], white on black."""
    names = list(rows) if isinstance(rows, Mapping) else []
    table = torch.stack(list(rows.values())) if names else torch.as_tensor(rows)
    if table.ndim != 3 or table.shape[-1] != shape[0] * shape[1]:
        raise ValueError(f"rows: got shape {tuple(table.shape)}, wanted (rows, columns, {shape[0] * shape[1]})")
    n_rows, n_columns, _ = table.shape
    figure, axis = picture(size=(scale * n_columns + 1.6 * bool(names), scale * n_rows + 0.5 * bool(title)), alt=alt)
    sheet = table.detach().cpu().reshape(n_rows, n_columns, *shape).transpose(1, 2)
    axis.imshow(sheet.reshape(n_rows * shape[0], n_columns * shape[1]).numpy(), vmin=0, vmax=1, interpolation="nearest")
    axis.set(xticks=[], title=title)
    axis.set_yticks([(i + 0.5) * shape[0] for i in range(len(names))], names)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    axis.grid(False)
    return figure


def lines(
    x: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    xlabel: str,
    ylabel: str,
    title: str = "",
    alt: str = "",
    marker: str = "o",
) -> Figure:
    """Curves over x with a legend, {name: values}."""
    figure, axis = picture(size=(7.5, 4.2), alt=alt)
    for name, values in curves.items():
        axis.plot(x, values, marker=marker, label=name)
    axis.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if len(x) <= 8:
        axis.set_xticks(list(x))
    if len(curves) > 1:
        axis.legend()
    return figure


def history(h: Mapping[str, Sequence[float]], epochs: int | None = None) -> Figure:
    """The three curves of a training run, as `training.fit` returns them: loss, −log p(x|z) and KL over epochs."""
    figure, axes = picture(1, 3, size=(13, 3.8), alt="Training curves: −ELBO, −log p(x|z) and KL against the epoch.")
    for axis, name, sign, label in zip(
        axes, ("objective", "rec", "kl"), (-1, -1, 1), ("−ELBO", "−log p(x|z)", "KL"), strict=True
    ):
        drawn = {p: [sign * v for v in h[p + name]] for p in ("", "test_") if p + name in h}
        highest = max(drawn, key=lambda p: drawn[p][-1])
        for prefix, values in drawn.items():
            (line,) = axis.plot(h["epoch"], values, marker="o", label="test" if prefix else "training")
            place = {"va": "bottom" if prefix == highest else "top", "color": line.get_color()}
            axis.annotate(f" {values[-1]:.1f}", (h["epoch"][-1], values[-1]), **place)
        axis.set(xlabel="epoch", title=f"{label}, nats per image")
        axis.set_xlim(0.8, (epochs or h["epoch"][-1]) + 0.8)
    axes[0].legend()
    return figure


class LiveHistory:
    """`fit(..., watch=LiveHistory(epochs))` redraws the training curves in place after each epoch."""

    def __init__(self, epochs: int | None = None):
        self.epochs, self.handle = epochs, None

    def __call__(self, h: Mapping[str, Sequence[float]]) -> None:
        from IPython.display import display

        figure = history(h, self.epochs)
        if self.handle is None:
            self.handle = display(figure, display_id=True)
        else:
            self.handle.update(figure)


def codes(z: Tensor, y: Tensor, title: str = "", alt: str = "", axis=None, limit: float | None = None) -> Figure:
    """Two-dimensional codes (N, 2), coloured by class y (N,); each class's digit stands where the class is at home."""
    figure = axis.figure if axis is not None else None
    if axis is None:
        figure, axis = picture(size=(6.4, 6), alt=alt)
    z, y = z.detach().float().cpu(), y.cpu()
    for c in y.unique().tolist():
        mine = z[y == c]
        axis.scatter(*mine.T, s=5, alpha=0.5, linewidths=0, color=COLOURS[c % len(COLOURS)])
        axis.annotate(
            str(c),
            _home(z, y, c),
            fontsize=18,
            weight="bold",
            ha="center",
            va="center",
            color="white",
            bbox={"boxstyle": "circle,pad=0.15", "color": COLOURS[c % len(COLOURS)]},
        )
    axis.set(xlabel="$z_1$", ylabel="$z_2$", title=title, aspect="equal")
    if limit is not None:
        axis.set(xlim=(-limit, limit), ylim=(-limit, limit))
    return figure


def _home(z: Tensor, y: Tensor, c: int) -> tuple[float, float]:
    """The centre of the cell where class c is at once dense and pure: medians of ten classes would lie in one heap."""
    low, high = z.quantile(0.01, 0).tolist(), z.quantile(0.99, 0).tolist()
    every, *edges = np.histogram2d(*z.T.numpy(), bins=16, range=list(zip(low, high, strict=True)))
    own = np.histogram2d(*z[y == c].T.numpy(), bins=edges)[0]
    if not own.any():  # the whole class lies further out
        return tuple(z[y == c].median(0).values.tolist())
    i, j = np.unravel_index((own**2 / (every + 1)).argmax(), own.shape)
    return edges[0][i : i + 2].mean(), edges[1][j : j + 2].mean()


def posteriors(panels: Mapping[str, tuple], alt: str = "", shape: tuple[int, int] = (28, 28)) -> Figure:
    """For each {title: (image (1, X), density (n, n), extent, q)}: the image, p(z|x) in blue, q at two σ an ellipse."""
    figure, axes = picture(1, 2 * len(panels), size=(7 * len(panels), 4), alt=alt, width_ratios=(1, 3) * len(panels))
    for (small, axis), (title, panel) in zip(axes.reshape(-1, 2), panels.items(), strict=True):
        image, density, extent, q = panel
        mean, sd = (v[0].detach().cpu() for v in (q.mean, q.stddev))
        axis.imshow(density.T.cpu().numpy(), origin="lower", extent=extent, cmap="Blues")
        axis.add_patch(Ellipse(mean.tolist(), *(4 * sd).tolist(), fill=False, color="black", lw=2))
        axis.set(xlabel="$z_1$", ylabel="$z_2$", title=title)
        small.imshow(image.reshape(shape).cpu().numpy())
        small.axis("off")
    return figure


def manifold(decoded: Tensor, title: str = "", alt: str = "", shape: tuple[int, int] = (28, 28)) -> Figure:
    """A sheet of n × n decoded images (n, n, X), decoded[i, j] at the i-th z_1 and the j-th z_2; z_2 points up."""
    return images(decoded.transpose(0, 1).flip(0), title, alt, shape, scale=0.48)
