"""Bottleneck: what is left of images that had to pass through k numbers, by several methods, with a slider over k."""

import io
import math
from collections.abc import Mapping
from numbers import Real

import torch
import traitlets
from torch import Tensor

from course_lib.arguments import whole_number
from course_lib.widgets.base import CourseWidget, files

MOST_IMAGES, MOST_METHODS, MOST_WIDTHS = 12, 4, 12


class Width(traitlets.Int):
    """One of the widths that were computed; numpy's and torch's whole numbers are converted."""

    def validate(self, obj, value):
        try:
            return obj.widths[obj.widths.index(whole_number("k", value, 1))]
        except ValueError:
            wanted = ", ".join(map(str, obj.widths))
            raise traitlets.TraitError(f"k: got {value!r}, wanted one of {wanted}") from None


class Bottleneck(CourseWidget):
    """A row of images and, for each method, a row of what it makes of them from a code of k numbers. k is a slider.

    images  (N, X), grey pixels in [0, 1], the originals; the first 12 are shown
    rows    {"PCA": {1: (N, X), 2: (N, X), ...}, ...}: reconstructions for each width k, one to four methods with the
            same widths; pixels beyond [0, 1] are shown as 0 or 1
    errors  {"PCA": {1: 45.2, ...}, ...}: squared error per image on the whole test set, summed over pixels
    shape   (height, width) of an image, or None for a square

    `k` is the width shown: read, set or observe it. It starts in the middle. Everything is computed beforehand: nothing
    runs in the kernel. Raises ValueError that names the argument.
    """

    _esm = files("common.js", "pad.js", "controls.js", "bottleneck.js")
    _css = files("common.css", "bottleneck.css")

    k = Width().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)  # names, widths, errors (method by width), digits, count, shape
    pictures = traitlets.Bytes().tag(sync=True)  # uint8: the originals, then each method's, width by width

    def __init__(
        self,
        images: Tensor,
        rows: Mapping[str, Mapping[int, Tensor]],
        errors: Mapping[str, Mapping[int, float]],
        shape: tuple[int, int] | None = None,
    ):
        originals = _pixels("images", images)
        if originals.min() < 0 or originals.max() > 1:
            raise ValueError(f"images: got {originals.min():g} to {originals.max():g}, wanted grey pixels in [0, 1]")
        self.shape = _shape(shape, originals.shape[1])
        self.names, self.widths = _methods(rows)
        _check_keys("errors", errors, self.names, self.widths)
        self.errors = [[_error(m, k, errors[m][k]) for k in self.widths] for m in self.names]
        made = [_pixels(f"rows[{m!r}][{k}]", rows[m][k], originals.shape) for m in self.names for k in self.widths]
        shown = torch.stack([originals, *made])[:, :MOST_IMAGES].clamp(0, 1)
        self._shown = (shown * 255).round().to(torch.uint8)  # (1 + methods · widths, images, X)
        least = min((v for row in self.errors for v in row if v > 0), default=1.0)
        self.digits = min(6, max(0, 2 - math.floor(math.log10(least))))  # three figures of the smallest error
        self.what = (
            f"images through a code of {self.widths[0]} to {self.widths[-1]} numbers, by {', '.join(self.names)}"
        )
        frame = {"names": self.names, "widths": self.widths, "errors": self.errors, "digits": self.digits}
        super().__init__(
            k=self.widths[len(self.widths) // 2],
            frame=frame | {"count": self._shown.shape[1], "shape": list(self.shape)},
            pictures=self._shown.numpy().tobytes(),
        )

    def still(self) -> bytes:
        """PNG: the rows at k as they stand, with their errors."""
        from course_lib import plots  # here, so that importing the widgets stays cheap

        at, shown = self.widths.index(self.k), self._shown / 255
        rows = {"originals": shown[0]}
        for m, (name, errors) in enumerate(zip(self.names, self.errors, strict=True)):
            rows[f"{name}\n{errors[at]:.{self.digits}f}"] = shown[1 + m * len(self.widths) + at]
        numbers = "1 number keeps" if self.k == 1 else f"{self.k} numbers keep"
        title = f"What {numbers} of {shown.shape[2]} pixels, and the squared error per image"
        out = io.BytesIO()
        plots.images(rows, title, shape=self.shape).savefig(out, format="png", facecolor="white")
        return out.getvalue()


def _pixels(name: str, value, shape: tuple | None = None) -> Tensor:
    """`value` as a finite float tensor (N, X) on the CPU, of just this shape when it is given."""
    wanted = f"pixels {tuple(shape)}, as images has" if shape else "pixels (N, X), an image a row"
    try:
        tensor = torch.as_tensor(value).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name}: got {type(value).__name__}, wanted {wanted}") from error
    if tensor.ndim != 2 or not tensor.numel() or tensor.is_complex() or (shape and tensor.shape != shape):
        raise ValueError(f"{name}: got shape {tuple(tensor.shape)}, {tensor.dtype}, wanted {wanted}")
    if not tensor.isfinite().all():
        raise ValueError(f"{name}: got NaN or infinity, wanted {wanted}, all finite")
    return tensor.float()


def _shape(shape, pixels: int) -> tuple[int, int]:
    pair = (math.isqrt(pixels),) * 2 if shape is None else shape
    good = isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(v, int) and v > 0 for v in pair)
    if not good or pair[0] * pair[1] != pixels:
        raise ValueError(f"shape: got {pair!r}, wanted (height, width) of an image of {pixels} pixels")
    return tuple(pair)


def _methods(rows) -> tuple[list[str], list[int]]:
    """The names of the methods, and the widths that they share, from small to large."""
    keys = _keys(rows)
    tables = isinstance(keys, dict) and all(isinstance(v, list) and isinstance(name, str) for name, v in keys.items())
    if not tables or not 1 <= len(keys) <= MOST_METHODS:
        wanted = f"{{name: {{k: (N, X), ...}}, ...}} of 1 to {MOST_METHODS} methods"
        raise ValueError(f"rows: got {keys}, wanted {wanted}")
    widths = sorted({whole_number("rows: a width k", k, 1) for row in keys.values() for k in row})
    if not 1 <= len(widths) <= MOST_WIDTHS:
        raise ValueError(f"rows: got {len(widths)} widths k, wanted 1 to {MOST_WIDTHS}")
    _check_keys("rows", rows, list(keys), widths)
    return list(keys), widths


def _keys(table) -> dict | str:
    """{method: [k, ...]} of a table, with the name of a type where something else came."""
    if not isinstance(table, Mapping):
        return type(table).__name__
    return {name: list(row) if isinstance(row, Mapping) else type(row).__name__ for name, row in table.items()}


def _check_keys(argument: str, table, names: list[str], widths: list[int]) -> None:
    keys = _keys(table)
    if not isinstance(keys, dict) or {n: set(row) for n, row in keys.items()} != {n: set(widths) for n in names}:
        raise ValueError(f"{argument}: got {keys}, wanted widths {widths} for each of {names}")


def _error(method: str, k: int, value) -> float:
    number = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
    if not isinstance(number, Real) or isinstance(number, bool) or not 0 <= number < math.inf:
        raise ValueError(f"errors: got {value!r} for {method!r} at k = {k}, wanted a squared error, a number from 0")
    return float(number)
