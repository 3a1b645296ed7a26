"""Latent traversal: a pad over the latent plane, the decoded image beside it, sliders and strips for every latent."""

import math
import threading
from collections.abc import Callable, Sequence

import torch
import traitlets
from torch import Tensor, nn

from course_lib.training import evaluating
from course_lib.widgets.base import CourseWidget, files
from course_lib.widgets.decoder import portable
from course_lib.widgets.pictures import grid_png

MOST_CODES = 3000  # points in the backdrop: more hide each other
STRIPS, TILES = 10, 9  # rows with a strip, images in a strip
LEVELS = 15  # the printed manifold is LEVELS x LEVELS images, and so is the grid for pages without a kernel
MOST_POINTS = 1024  # images in one request of the browser


class Point(traitlets.List):
    """A list of as many finite numbers as the widget has latents; tuples, arrays and tensors are converted."""

    def validate(self, obj, value):
        if isinstance(value, Tensor) or hasattr(value, "tolist"):
            value = value.tolist()
        numbers = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else None
        if numbers is None or len(numbers) != obj.d or not all(_is_finite(v) for v in numbers):
            raise traitlets.TraitError(f"z: got {value!r}, wanted a list of {obj.d} finite numbers, one per latent")
        return super().validate(obj, [float(v) for v in numbers])


class LatentTraversal(CourseWidget):
    """Moves through the latent space of `model` and shows what the decoder makes of each point.

    `model` offers `d` latents, `dec`, `decode(z)`: (..., D) -> (..., X) pixel means, and `encode(x)`: (B, X) -> (B, D).
    An MLP decoder runs in the browser, any other in the kernel, with a coarse grid for pages without one.

    x, y    codes of x (N, X) lie behind the pad, coloured and numbered by the class y (N,) when it is given
    shape   (height, width) of an image
    limit   the pad and the sliders reach from -limit to limit; None: 3, or more where codes lie further out
    train   called without arguments by the button "Train one more epoch"; what it returns is shown as a line

    `z` is the point shown: read it in a later cell, observe it, or set it. `refresh()` after training elsewhere.
    """

    _esm = files(
        *("common.js", "pad.js", "mlp.js", "pictures.js", "strips.js", "backdrop.js", "training.js", "traversal.js")
    )
    _css = files("common.css", "traversal.css")

    z = Point().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)  # what the front end lays out: d, limit, step, shape, classes, ...
    decoder = traitlets.Dict().tag(sync=True)  # layers and link for mlp.js; empty: the kernel decodes
    weights = traitlets.Bytes().tag(sync=True)  # float32, layer by layer
    codes = traitlets.Bytes().tag(sync=True)  # float32, (n, D)
    labels = traitlets.Bytes().tag(sync=True)  # uint8, (n,), index into frame["classes"]
    table = traitlets.Bytes().tag(sync=True)  # float32 points (m, D), then uint8 images (m, X): without a kernel
    busy = traitlets.Bool(False).tag(sync=True)
    runs = traitlets.Int(0).tag(sync=True)  # how often the button's training was started

    def __init__(
        self,
        model: nn.Module,
        x: Tensor | None = None,
        y: Tensor | None = None,
        *,
        shape: tuple[int, int] = (28, 28),
        limit: float | None = None,
        train: Callable[[], object] | None = None,
    ):
        self.model, self.shape = model, _pair(shape)
        self.d = _latents(model, *(["encode"] if x is not None else []))
        if limit is not None and not (_is_finite(limit) and limit > 0):
            raise ValueError(f"limit: got {limit!r}, wanted a positive number, or None to choose one")
        if train is not None and not callable(train):
            raise ValueError(f"train: got {type(train).__name__}, wanted a function without arguments, or None")
        self.limit, self._fixed, self._train = float(limit or 3), limit is not None, train
        self._x, self._classes, labels = self._backdrop(x, y)
        self._training = threading.Lock()
        self.what = f"latent traversal over {self.d} latent{'s' if self.d > 1 else ''}"
        super().__init__(z=[0.0] * self.d, labels=labels)
        self.refresh()
        self.on_msg(self._answer)

    @property
    def _like(self) -> dict:
        """Where the model computes now: training may have moved it since the widget was made."""
        p = next(iter(self.model.parameters() if isinstance(self.model, nn.Module) else ()), torch.zeros(1))
        return {"device": p.device, "dtype": p.dtype}

    # --- what the model says ---------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Reads weights and codes from the model again. Raises ValueError, and changes nothing, if they are broken."""
        for name, value in getattr(self.model, "named_parameters", lambda: ())():
            if not value.isfinite().all():
                raise ValueError(f"model: parameter {name} holds NaN or infinity, wanted finite numbers: train it anew")
        codes = self._codes()
        limit = self.limit
        if not self._fixed and codes.numel():
            limit = max(limit, _round_up(codes.abs().flatten().quantile(0.99).item()))
        generator = torch.Generator().manual_seed(0)  # its own: the learner's random numbers stay as they were
        probe = torch.randn(64, self.d, generator=generator) * limit / 2
        self.decode(probe[:1])  # its shape is checked before anything is sent
        portable_decoder = portable(self.model, probe.to(**self._like))
        decoder, weights = portable_decoder or ({}, b"")
        with self.hold_sync():  # one message: weights, codes and limit change together
            self.limit = limit
            self.decoder, self.weights, self.codes = decoder, weights, codes.numpy().tobytes()
            self.table = b"" if decoder else self._table()
            self.frame = {
                "d": self.d,
                "limit": limit,
                "step": 0.1 * max(1, round(limit / 3)),
                "shape": list(self.shape),
                "classes": self._classes,
                "prior": _standard_prior(self.model),
                "strips": min(self.d, STRIPS),
                "tiles": TILES,
                "train": self._train is not None,
                "version": self.frame.get("version", 0) + 1,  # so that the front end always sees a change
            }

    def decode(self, z: Tensor) -> Tensor:
        """z (n, D) -> grey levels (n, X), uint8, on the CPU: what the widget shows at those points."""
        with evaluating(self.model):
            pixels = self.model.decode(z.to(**self._like))
        wanted = (len(z), self.shape[0] * self.shape[1])
        if tuple(pixels.shape) != wanted:
            raise ValueError(
                f"shape: got {self.shape}, {wanted[1]} pixels, but model.decode gives {tuple(pixels.shape)} for "
                f"{len(z)} point(s), wanted {wanted}"
            )
        if pixels.isnan().any():
            raise ValueError("model: decode(z) gives NaN, wanted pixel means in [0, 1]")
        return (pixels.float().clamp(0, 1) * 255).round().to(torch.uint8).cpu()

    def train_once(self, after: int | None = None) -> None:
        """Calls `train`, then refreshes; an exception becomes the widget's line. What the button does.

        `after` is the number of runs that the sender has seen: a second click meanwhile is out of date and ignored.
        """
        # JupyterLab delivers clicks on a thread of their own, beside a running cell: hence a lock.
        if self._train is None or not self._training.acquire(blocking=False):
            return
        try:
            if after is not None and after != self.runs:
                return
            self.runs += 1
            self.busy = True
            with self.errors_shown("training"):
                self.say("")
                text = self._train()
                self.refresh()
                self.say("one more epoch trained" if text is None else str(text))
        finally:
            self.busy = False
            self._training.release()

    def still(self) -> bytes:
        """PNG: for two latents the manifold, z2 upwards; else one strip per latent with the others at 0."""
        height, width = self.shape
        if self.d != 2:
            points, values = self._along_axes()
            rows = len(points) // TILES
            title = f"Each row moves one of {self.d} latents, the others stay at 0"
            across = [_label(v) if c % 4 == 0 else "" for c, v in enumerate(values)]
            down = [f"z{i + 1}" for i in range(rows)]
            return grid_png(self.decode(points).view(rows, TILES, height, width), title, across, down)
        if self.frame["prior"]:
            levels = torch.linspace(0.05, 0.95, LEVELS)
            values = math.sqrt(2) * torch.erfinv(2 * levels - 1)
            title = "Decoded plane: standard normal quantiles 0.05 to 0.95"
        else:
            values = torch.linspace(-self.limit, self.limit, LEVELS)
            title = f"Decoded plane, {-self.limit:g} to {self.limit:g}"
        across = [_label(v) if c % 7 == 0 else "" for c, v in enumerate(values.tolist())]
        down = across[::-1]
        across[3], down[3] = "z1", "z2"
        images = self.decode(_plane(values)).view(LEVELS, LEVELS, height, width)
        return grid_png(images.flip(0), title, across, down)  # row 0 is the top: the largest z2

    # --- what the front end asks -----------------------------------------------------------------------------

    def _answer(self, _, content, buffers) -> None:
        if content.get("do") == "train":
            self.train_once(content.get("after"))
        elif content.get("do") == "decode":
            pixels = b""
            with self.errors_shown("decoding"):
                points = torch.tensor(content["points"], dtype=torch.float32).reshape(-1, self.d)[:MOST_POINTS]
                pixels = self.decode(points).numpy().tobytes()
            self.send({"did": "decode", "id": content.get("id")}, buffers=[pixels])

    # --- parts -----------------------------------------------------------------------------------------------

    def _backdrop(self, x, y) -> tuple[Tensor | None, list[str], bytes]:
        """A part of x, the names of the classes, and each example's class as a byte."""
        pixels = self.shape[0] * self.shape[1]
        if x is None:
            if y is not None:
                raise ValueError("x: got None beside y, wanted the examples (N, X) that y belongs to")
            return None, [], b""
        x = torch.as_tensor(x)
        if x.ndim != 2 or x.shape[1] != pixels or not len(x) or not x.is_floating_point():
            raise ValueError(
                f"x: got shape {tuple(x.shape)}, {x.dtype}, wanted floats (N, {pixels}), an image of {self.shape} a row"
            )
        labels, classes, n = b"", [], len(x)
        chosen = torch.arange(n) if n <= MOST_CODES else torch.linspace(0, n - 1, MOST_CODES).long()
        if y is not None:
            y = torch.as_tensor(y).cpu()
            if tuple(y.shape) != (n,) or y.is_floating_point() or y.is_complex():
                raise ValueError(
                    f"y: got shape {tuple(y.shape)}, {y.dtype}, wanted whole numbers ({n},), one per row of x"
                )
            names, index = y.unique(return_inverse=True)
            if len(names) > 256:
                raise ValueError(f"y: got {len(names)} classes, wanted at most 256")
            classes, labels = [str(v) for v in names.tolist()], index[chosen].to(torch.uint8).numpy().tobytes()
        return x[chosen.to(x.device)], classes, labels

    def _codes(self) -> Tensor:
        if self._x is None:
            return torch.zeros(0, self.d)
        with evaluating(self.model):
            codes = self.model.encode(self._x.to(**self._like)).float().cpu()
        if tuple(codes.shape) != (len(self._x), self.d) or not codes.isfinite().all():
            came = f"shape {tuple(codes.shape)}" if codes.isfinite().all() else "NaN or infinity"
            raise ValueError(f"model: encode(x) gives {came}, wanted finite numbers ({len(self._x)}, {self.d})")
        return codes.contiguous()

    def _along_axes(self) -> tuple[Tensor, list[float]]:
        """Points (rows * TILES, D) for the strips through 0, and the values along a strip."""
        values = torch.linspace(-self.limit, self.limit, TILES)
        points = torch.zeros(min(self.d, STRIPS), TILES, self.d)
        for i in range(len(points)):
            points[i, :, i] = values
        return points.flatten(0, 1), values.tolist()

    def _table(self) -> bytes:
        plane = self.d == 2
        points = _plane(torch.linspace(-self.limit, self.limit, LEVELS)) if plane else self._along_axes()[0]
        return points.numpy().tobytes() + self.decode(points).numpy().tobytes()


def _plane(values: Tensor) -> Tensor:
    """(n * n, 2): row by row from the bottom, z1 fastest."""
    return torch.cartesian_prod(values, values).flip(1).contiguous()


def _is_finite(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _round_up(value: float) -> float:
    """The next number that makes a readable axis: 0.5, 1, 1.5, ... below 5, then steps of 1, 10, 100."""
    step = 0.5 if value < 5 else 10.0 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step


def _label(value: float) -> str:
    return f"{value:.1f}" if abs(value) > 0.04 else "0"


def _pair(shape) -> tuple[int, int]:
    if not (isinstance(shape, tuple | list) and len(shape) == 2 and all(isinstance(n, int) and n > 0 for n in shape)):
        raise ValueError(f"shape: got {shape!r}, wanted (height, width), two positive whole numbers")
    return tuple(shape)


def _latents(model, *more: str) -> int:
    missing = [name for name in ("d", "dec", "decode", *more) if not hasattr(model, name)]
    if missing:
        raise ValueError(
            f"model: got {type(model).__name__} without {', '.join(missing)}, wanted a model like models.VAE, with d, "
            "dec, decode(z) and, for a backdrop, encode(x)"
        )
    if not isinstance(model.d, int) or isinstance(model.d, bool) or model.d < 1:
        raise ValueError(f"model: got d = {model.d!r}, wanted a positive whole number of latents")
    return model.d


def _standard_prior(model) -> bool:
    """Whether p(z) is N(0, I), so that the circles of 1 and 2 sigma mean something."""
    p = model.p_z() if hasattr(model, "p_z") else None
    base = getattr(p, "base_dist", p)
    if not isinstance(base, torch.distributions.Normal):
        return False
    return bool((base.mean == 0).all() and (base.stddev == 1).all())
