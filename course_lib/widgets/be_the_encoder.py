"""Be the encoder: a Gaussian dragged over the exact posterior of one datapoint, its ELBO computed by the browser."""

import io
import math
from collections.abc import Sequence
from numbers import Real

import torch
import traitlets
from torch import Tensor

from course_lib.widgets.base import CourseWidget, files

LEAST_SD = 0.01
MOST, FEWEST_CELLS, MOST_CELLS = 20, 16, 512
COLOURS = {"your q": "#c04f00", "network": "#832db6", "best": "#1a7a3c"}  # as in posterior_pad.js
DASHES = {"your q": "-", "network": (0, (5, 3)), "best": (0, (1.5, 2))}


class Pair(traitlets.List):
    """Two numbers within the reach of their sliders; tuples, arrays and tensors are converted."""

    def validate(self, obj, value):
        row = value.tolist() if hasattr(value, "tolist") else value
        low, high = (-obj.limit, obj.limit) if self.name == "mean" else (LEAST_SD, obj.limit)
        numbers = list(row) if isinstance(row, Sequence) and not isinstance(row, str) else []
        if len(numbers) != 2 or not all(_is_number(v) and low <= v <= high for v in numbers):
            ends = " to ".join(f"{v:g}".replace("-", "−") for v in (low, high))
            raise traitlets.TraitError(f"{self.name}: got {value!r}, wanted two numbers from {ends}, one per latent")
        return super().validate(obj, [float(v) for v in numbers])


class Index(traitlets.Int):
    """The number of a datapoint, from 0."""

    def validate(self, obj, value):
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < obj.count:
            raise traitlets.TraitError(
                f"index: got {value!r}, wanted a whole number from 0 to {obj.count - 1}, a datapoint"
            )
        return value


class BeTheEncoder(CourseWidget):
    """The exact posterior p(z|x) of a model with two latents, and a diagonal Gaussian q to drag over it.

    log_joint  (B, n, n), log p(x_b, z) at the midpoints of n × n cells over [−limit, limit]², first latent slowest, as
               `metrics.grid` orders them: joint_on_grid(model, x, n, limit)[0].T.reshape(B, n, n)
    log_px     (B,), exact log p(x_b), nats
    best       (mean (B, 2), sd (B, 2)) of the diagonal Gaussians with the highest ELBO
    encoder    (mean (B, 2), sd (B, 2)) of the network's
    images     (B, X), grey pixels in [0, 1], shown beside the plane; shape (height, width), or None for a square

    `index`, `mean` and `sd` say which datapoint is shown and where q stands: read, set or observe them. `elbo` is q's
    ELBO; `yours` the best q of each datapoint so far, [ELBO, mean, sd] or None. The prior is N(0, I): beyond the grid
    the likelihood is taken to stay as at the edge. Nothing runs in the kernel.
    """

    _esm = files(
        *("common.js", "pad.js", "controls.js", "elbo_table.js", "posterior_pad.js", "elbo_bar.js", "score_strip.js"),
        "be_the_encoder.js",
    )
    _css = files("common.css", "be_the_encoder.css")

    what = "a Gaussian to drag over an exact posterior, with its ELBO"
    index = Index(0).tag(sync=True)
    mean = Pair().tag(sync=True)
    sd = Pair().tag(sync=True)
    yours = traitlets.List().tag(sync=True)
    zoom = traitlets.Bool(False).tag(sync=True)  # the picture shows the part of the plane where the posterior is
    revealed = traitlets.Dict().tag(sync=True)  # {"network": [datapoints], "best": [datapoints]} that are shown
    frame = traitlets.Dict().tag(sync=True)  # what the front end lays out: count, n, limit, logPx, network, best, shape
    table = traitlets.Bytes().tag(sync=True)  # float32, (B, n, n)
    pictures = traitlets.Bytes().tag(sync=True)  # uint8, (B, X)

    def __init__(
        self,
        log_joint: Tensor,
        log_px: Tensor,
        best: tuple[Tensor, Tensor],
        encoder: tuple[Tensor, Tensor],
        *,
        limit: float,
        images: Tensor | None = None,
        shape: tuple[int, int] | None = None,
    ):
        if not _is_number(limit) or limit < 1:
            raise ValueError(f"limit: got {limit!r}, wanted a number from 1: the grid reaches from −limit to limit")
        self.limit = float(limit)
        self.log_joint = _table(log_joint)
        self.count = count = len(self.log_joint)
        self.log_px = _log_px(log_px, self.log_joint, self.limit)
        self.best, self.encoder = _gaussians("best", best, count), _gaussians("encoder", encoder, count)
        pixels, shape = _pixels(images, shape, count)
        frame = {
            "count": count,
            "n": self.log_joint.shape[1],
            "limit": self.limit,
            "least": LEAST_SD,
            "logPx": self.log_px.tolist(),
            "shape": list(shape),
        }
        for name, (mean, sd) in (("network", self.encoder), ("best", self.best)):
            frame[name] = [{"mean": m, "sd": s} for m, s in zip(mean.tolist(), sd.tolist(), strict=True)]
        super().__init__(
            mean=[0.0, 0.0],
            sd=[1.0, 1.0],
            yours=[None] * count,
            revealed={"network": [], "best": []},
            frame=frame,
            table=self.log_joint.numpy().tobytes(),
            pictures=pixels,
        )

    @property
    def elbo(self) -> float:
        """E_q[log p(x, z)] + entropy of q as they stand, nats."""
        return self.elbo_of(self.index, self.mean, self.sd)

    def elbo_of(self, index: int, mean: Sequence[float], sd: Sequence[float]) -> float:
        """The ELBO of N(mean, sd²) for a datapoint, by the table, as the browser computes it."""
        (rows, beyond), (columns, more) = (
            _weights(float(m), float(s), self.log_joint.shape[1], self.limit) for m, s in zip(mean, sd, strict=True)
        )
        expected = (rows @ self.log_joint[index].double() @ columns).item() - beyond - more
        return expected + math.log(2 * math.pi * math.e) + math.log(float(sd[0])) + math.log(float(sd[1]))

    def still(self) -> bytes:
        """PNG: the posterior and q, and what has been asked to see, with their ELBOs."""
        from matplotlib.patches import Ellipse  # here, so that importing the widgets stays cheap

        from course_lib.plots import picture

        b, limit = self.index, self.limit
        shown = {"your q": (self.mean, self.sd)}
        for name, (mean, sd) in (("network", self.encoder), ("best", self.best)):
            if b in self.revealed.get(name, []):
                shown[name] = (mean[b].tolist(), sd[b].tolist())
        figure, axis = picture(size=(7, 6.4))
        density = (self.log_joint[b] - self.log_joint[b].max()).exp()
        style = {"origin": "lower", "cmap": "Blues", "interpolation": "bilinear"}
        axis.imshow(density.T.numpy(), extent=(-limit, limit, -limit, limit), **style)
        for name, (mean, sd) in shown.items():
            for times in (1, 2):
                label = f"{name}: ELBO {self.elbo_of(b, mean, sd):.3f}".replace("-", "−") if times == 1 else None
                size = [2 * times * v for v in sd]
                style = {"color": COLOURS[name], "ls": DASHES[name], "lw": 3 - times / 2, "label": label}
                axis.add_patch(Ellipse(mean, *size, fill=False, **style))
        title = f"p(z|x) of datapoint {b + 1} of {self.count}, log p(x) = {self.log_px[b]:.3f}"
        axis.set(xlabel="$z_1$", ylabel="$z_2$", title=title.replace("-", "−"))
        axis.legend(loc="upper right", frameon=True)
        axis.grid(False)
        out = io.BytesIO()
        figure.savefig(out, format="png", facecolor="white")
        return out.getvalue()


def _weights(mean: float, sd: float, n: int, limit: float, taps: int = 6) -> tuple[Tensor, float]:
    """What each grid point of one latent weighs in E_q (n,), and what the prior falls beyond: see elbo_table.js."""
    t = torch.arange(-70, 71, dtype=torch.float64) / 10
    share = torch.exp(-0.5 * t**2)
    share /= share.sum()
    cell = 2 * limit / n
    edge = limit - cell / 2
    z = mean + sd * t
    inside = z.clamp(-edge, edge)
    place = (inside + edge) / cell
    start = (place.floor().long() - taps // 2 + 1).clamp(0, n - taps)
    weights = torch.zeros(n, dtype=torch.float64)
    for a in range(taps):
        parts = [(place - start - k) / (a - k) for k in range(taps) if k != a]
        weights.index_add_(0, start + a, share * torch.stack(parts).prod(0))
    return weights, (share * (z**2 - inside**2) / 2).sum().item()


def _is_number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _floats(name: str, value, shape: tuple, wanted: str) -> Tensor:
    """`value` as a tensor on the CPU whose shape fits `shape` (None: any) and which is finite."""
    try:
        tensor = torch.as_tensor(value).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name}: got {type(value).__name__}, wanted {wanted}") from error
    fits = tensor.ndim == len(shape) and all(s in (None, t) for s, t in zip(shape, tensor.shape, strict=True))
    if not fits or tensor.is_complex():
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, {tensor.dtype}, wanted {wanted}")
    if not tensor.isfinite().all():
        raise ValueError(f"{name}: got NaN or infinity, wanted {wanted}, all finite")
    return tensor.double()


def _table(value) -> Tensor:
    wanted = "log p(x_b, z) on a grid, (B, n, n)"
    table = _floats("log_joint", value, (None, None, None), wanted)
    count, n, m = table.shape
    if n != m or not 1 <= count <= MOST or not FEWEST_CELLS <= n <= MOST_CELLS:
        raise ValueError(
            f"log_joint: got shape {tuple(table.shape)}, wanted {wanted} with B from 1 to {MOST} and n from "
            f"{FEWEST_CELLS} to {MOST_CELLS}"
        )
    return table.float().contiguous()


def _log_px(value, table: Tensor, limit: float) -> Tensor:
    log_px = _floats("log_px", value, (len(table),), f"log p(x_b), ({len(table)},), one per row of log_joint")
    cell = (2 * limit / table.shape[1]) ** 2
    over_grid = table.double().flatten(1).logsumexp(1) + math.log(cell)
    worst = (over_grid - log_px).abs().argmax()
    if (over_grid - log_px)[worst].abs() > 0.5:
        raise ValueError(
            f"log_px: got {log_px[worst]:.3f} for datapoint {worst}, wanted about {over_grid[worst]:.3f}, what its "
            f"log_joint sums to over the grid. Is limit = {limit:g} the grid's, and is log_joint a log-density in nats?"
        )
    return log_px


def _gaussians(name: str, value, count: int) -> tuple[Tensor, Tensor]:
    wanted = f"(mean, sd), each ({count}, 2)"
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{name}: got {type(value).__name__}, wanted a pair {wanted}")
    mean, sd = (_floats(name, v, (count, 2), f"a pair {wanted}") for v in value)
    if (sd <= 0).any():
        raise ValueError(f"{name}: got a standard deviation of {sd.min().item():g}, wanted positive ones, {wanted}")
    return mean, sd


def _pixels(images, shape, count: int) -> tuple[bytes, tuple]:
    if images is None:
        if shape is not None:
            raise ValueError(f"shape: got {shape!r} without images, wanted None, or images (B, X) beside it")
        return b"", ()
    images = _floats("images", images, (count, None), f"grey pixels in [0, 1], ({count}, X)")
    if images.min() < 0 or images.max() > 1:
        raise ValueError(f"images: got values {images.min():g} to {images.max():g}, wanted pixels in [0, 1]")
    pixels = images.shape[1]
    if shape is None:
        shape = (math.isqrt(pixels), math.isqrt(pixels))
    good = isinstance(shape, tuple | list) and len(shape) == 2 and all(isinstance(v, int) and v > 0 for v in shape)
    if not good or shape[0] * shape[1] != pixels:
        raise ValueError(f"shape: got {shape!r}, wanted (height, width) of an image of {pixels} pixels")
    return (images * 255).round().to(torch.uint8).numpy().tobytes(), tuple(shape)
