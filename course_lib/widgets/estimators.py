"""Gradient estimators of E f(z) side by side: distributions, biases, variances and costs, drawn by the browser."""

import math
from collections.abc import Callable, Sequence
from numbers import Real

import torch
import traitlets
from torch import Tensor

from course_lib.widgets.base import CourseWidget, files
from course_lib.widgets.functions import (
    BUILT_IN,
    LOW,
    POINTS,
    STEP,
    built_in_table,
    number_by_number,
    tabulate,
    value_and_slope,
)

DRAWS = (1, 2, 5, 10, 30, 100, 300, 1000)
RANGES = {"mu": (-3.0, 3.0), "sigma": (0.2, 3.0), "tau": (0.05, 10.0), "logits": (-4.0, 4.0)}
ESTIMATORS = {
    "Gaussian": ("score function", "leave-one-out baseline", "best baseline", "pathwise", "measure-valued"),
    "discrete": ("score function", "leave-one-out baseline", "Gumbel-softmax", "straight-through"),
}
NAMES = tuple(dict.fromkeys(ESTIMATORS["Gaussian"] + ESTIMATORS["discrete"]))


def _number(value, low: float, high: float) -> float | None:
    """`value` as a float within [low, high], else None."""
    if isinstance(value, Tensor) and value.ndim == 0:
        value = value.item()
    good = isinstance(value, Real) and not isinstance(value, bool) and low <= value <= high
    return float(value) if good else None


def _minus(value: float) -> str:
    return f"{value:g}".replace("-", "−")


class Between(traitlets.Float):
    """A number within the reach of its slider."""

    def validate(self, obj, value):
        low, high = RANGES[self.name]
        number = _number(value, low, high)
        if number is None:
            raise traitlets.TraitError(
                f"{self.name}: got {value!r}, wanted a number from {_minus(low)} to {_minus(high)}, as on the slider"
            )
        return number


class OneOf(traitlets.TraitType):
    """One of obj.choices(name)."""

    def validate(self, obj, value):
        choices = obj.choices(self.name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value in choices:
            return value
        text = " or ".join(filter(None, [", ".join(map(repr, choices[:-1])), repr(choices[-1])]))
        raise traitlets.TraitError(f"{self.name}: got {value!r}, wanted {text}")


class Logits(traitlets.List):
    """As many numbers as there are classes; tuples, arrays and tensors are converted."""

    def validate(self, obj, value):
        row = value.tolist() if hasattr(value, "tolist") else value
        low, high = RANGES["logits"]
        numbers = [_number(v, low, high) for v in row] if isinstance(row, Sequence) and not isinstance(row, str) else []
        if len(numbers) != obj.k or None in numbers:
            raise traitlets.TraitError(
                f"logits: got {value!r}, wanted {obj.k} numbers from {_minus(low)} to {_minus(high)}, one per class"
            )
        return super().validate(obj, numbers)


class Names(traitlets.List):
    """Some of the estimators' names, each once."""

    def validate(self, obj, value):
        known = isinstance(value, list | tuple | set) and all(v in NAMES for v in value)
        if not known:
            raise traitlets.TraitError(f"shown: got {value!r}, wanted a list of names out of {', '.join(NAMES)}")
        return super().validate(obj, [name for name in NAMES if name in value])


class EstimatorVariance(CourseWidget):
    """Compares estimators of ∂ E f(z): z ~ N(μ, σ²), or z one of K classes. Nothing runs in the kernel.

    f        a function of yours, (n,) -> (n,), number by number, offered first under `name`
    function which f to start with: yours, "quadratic", "sine", "step", "rare event" or "fast wiggle"
    mu, sigma, parameter   z ~ N(mu, sigma²), and for which of them, "mu" or "sigma", the gradient is
    classes  2 to 8 numbers c_k: in the second tab z is one-hot, from `logits`, all 0 at first, and f sees Σ c_k z_k
    tau      temperature of the relaxed estimators there
    draws    L, draws per estimate: 1, 2, 5, 10, 30, 100, 300 or 1000
    tab      "Gaussian" or "discrete"
    shown    names of the estimators to show; None: all
    frozen   the same noise at every move; else new noise. `seed` says which.

    All of them but f, name and classes are attributes to read, to set and to observe, as are `logits` and `logit`, the
    index of the logit whose gradient is shown.
    """

    _esm = files(
        *("common.js", "pad.js", "noise.js", "gradients.js", "exact.js", "compare.js", "results.js"),
        *("histograms.js", "density.js", "simplex.js", "controls.js", "estimators.js"),
    )
    _css = files("common.css", "estimators.css")

    mu = Between(1.0).tag(sync=True)
    sigma = Between(1.0).tag(sync=True)
    parameter = OneOf("mu").tag(sync=True)
    draws = OneOf(1).tag(sync=True)
    function = OneOf("quadratic").tag(sync=True)
    tab = OneOf("Gaussian").tag(sync=True)
    logits = Logits().tag(sync=True)
    logit = OneOf(0).tag(sync=True)
    tau = Between(0.5).tag(sync=True)
    shown = Names().tag(sync=True)
    frozen = traitlets.Bool(True).tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)  # what the front end lays out: functions, classes, ranges, the tables' grid
    tables = traitlets.Bytes().tag(sync=True)  # float32: for each function its values, then its slopes, on the grid

    def __init__(
        self,
        f: Callable[[Tensor], Tensor] | None = None,
        *,
        name: str = "your f",
        mu: float = 1.0,
        sigma: float = 1.0,
        parameter: str = "mu",
        draws: int = 1,
        function: str | None = None,
        tab: str = "Gaussian",
        classes: Sequence[float] = (-1.0, 0.5, 2.0),
        tau: float = 0.5,
        shown: Sequence[str] | None = None,
        frozen: bool = True,
    ):
        self.classes = _classes(classes)
        self.k = len(self.classes)
        self.functions = {n: b.f for n, b in BUILT_IN.items()}
        formulas, tables = {n: b.formula for n, b in BUILT_IN.items()}, [built_in_table(n) for n in BUILT_IN]
        if f is not None:
            if not callable(f):
                raise ValueError(f"f: got {f!r}, wanted a function that takes a tensor and gives one of the same shape")
            if not isinstance(name, str) or not name.strip() or name in BUILT_IN:
                raise ValueError(f"name: got {name!r}, wanted a text, and none of {', '.join(BUILT_IN)}")
            tables.insert(0, tabulate(f))
            self.functions = {name: number_by_number(f), **self.functions}
        listed = []
        for n, g in self.functions.items():
            values, slopes = (v.tolist() for v in value_and_slope(g, torch.tensor(self.classes, dtype=torch.float64)))
            listed.append({"name": n, "formula": formulas.get(n, ""), "values": values, "slopes": slopes})
        self.what = "gradient estimators of E f(z) side by side"
        frame = {
            "functions": listed,
            "classes": self.classes,
            "draws": list(DRAWS),
            "ranges": {n: list(r) for n, r in RANGES.items()},
            "estimators": {n: list(e) for n, e in ESTIMATORS.items()},
            "low": LOW + STEP / 2,
            "step": STEP,
            "points": POINTS,
        }
        state = {"mu": mu, "sigma": sigma, "parameter": parameter, "draws": draws, "tab": tab, "tau": tau}
        state |= {"frozen": frozen, "shown": list(NAMES) if shown is None else shown, "logits": [0.0] * self.k}
        state["function"] = next(iter(self.functions)) if function is None else function
        try:
            super().__init__(frame=frame, tables=b"".join(tables), **state)
        except traitlets.TraitError as error:
            raise ValueError(str(error)) from None

    def choices(self, name: str) -> tuple:
        """What the attribute `name` may be."""
        return {
            "parameter": ("mu", "sigma"),
            "draws": DRAWS,
            "function": tuple(self.functions),
            "tab": tuple(ESTIMATORS),
            "logit": tuple(range(self.k)),
        }[name]

    def still(self) -> bytes:
        """PNG: histograms and numbers as they stand, by `course_lib.estimators`, from a fixed seed."""
        from course_lib.widgets.estimators_still import still  # here, so that importing the widgets stays cheap

        return still(self)


def _classes(classes) -> list[float]:
    row = classes.tolist() if hasattr(classes, "tolist") else classes
    numbers = [_number(c, LOW, -LOW) for c in row] if isinstance(row, Sequence) and not isinstance(row, str) else []
    if not 2 <= len(numbers) <= 8 or None in numbers or not all(map(math.isfinite, numbers)):
        raise ValueError(f"classes: got {classes!r}, wanted 2 to 8 numbers from −24 to 24, one per class")
    return numbers
