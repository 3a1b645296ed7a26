"""Two divergences: a Gaussian dragged over a target with two humps, KL(q‖p) and KL(p‖q) computed by the browser."""

import io
import math
from numbers import Real

import traitlets

from course_lib.widgets.base import CourseWidget, files

RANGES = {"mu": (-8.0, 8.0), "sigma": (0.2, 6.0), "humps": (0.0, 5.0)}
COLOURS = {"KL(q‖p)": "#1f6fba", "KL(p‖q)": "#c04f00"}  # as in divergence_panels.js


class OnSlider(traitlets.Float):
    """A number within the reach of its slider; numpy's and torch's numbers are converted."""

    def validate(self, obj, value):
        low, high = RANGES[self.name]
        number = value.item() if hasattr(value, "item") and getattr(value, "ndim", 0) == 0 else value
        if not isinstance(number, Real) or isinstance(number, bool) or not low <= number <= high:
            ends = " to ".join(f"{v:g}".replace("-", "−") for v in (low, high))
            raise traitlets.TraitError(f"{self.name}: got {value!r}, wanted a number from {ends}, as on the slider")
        return float(number)


class TwoDivergences(CourseWidget):
    """A Gaussian q to drag over p = ½N(−humps, 1) + ½N(humps, 1), with both divergences and where they are paid.

    mu, sigma   mean and standard deviation of q at first, −8 to 8 and 0.2 to 6
    humps       where the humps of p are, 0 to 5

    All three can be read, set and observed. `best` has the lowest values found so far, {"qp": [KL(q‖p), mu, sigma],
    "pq": [KL(p‖q), mu, sigma], "humps": ...}; it starts anew when the humps move. Nothing runs in the kernel.
    """

    _esm = files("common.js", "pad.js", "controls.js", "two_humps.js", "divergence_panels.js", "divergences.js")
    _css = files("common.css", "divergences.css")

    what = "two divergences between a Gaussian and a density with two humps"
    mu = OnSlider(1.0).tag(sync=True)
    sigma = OnSlider(1.0).tag(sync=True)
    humps = OnSlider(3.0).tag(sync=True)
    best = traitlets.Dict().tag(sync=True)
    frame = traitlets.Dict().tag(sync=True)

    def __init__(self, mu: float = 1.0, sigma: float = 1.0, humps: float = 3.0):
        try:
            super().__init__(mu=mu, sigma=sigma, humps=humps, frame={"ranges": {n: list(r) for n, r in RANGES.items()}})
        except traitlets.TraitError as error:
            raise ValueError(str(error)) from None

    def still(self) -> bytes:
        """PNG: p and q as they stand, and beneath them where each divergence is paid."""
        import numpy as np  # here, so that importing the widgets stays cheap

        from course_lib.plots import picture

        z = np.linspace(-70, 70, 140_001)  # six σ around the widest q
        log_q = _log_gaussian(z, self.mu, self.sigma)
        log_p = np.logaddexp(_log_gaussian(z, -self.humps, 1), _log_gaussian(z, self.humps, 1)) - math.log(2)
        integrands = {
            "KL(q‖p)": np.exp(log_q) * (log_q - log_p),
            "KL(p‖q)": np.exp(log_p) * (log_p - log_q),
        }
        figure, (above, below) = picture(2, 1, (9, 5.6), sharex=True, height_ratios=(3, 2))
        above.fill_between(z, np.exp(log_p), color="black", alpha=0.22, lw=0, label="p")
        above.plot(z, np.exp(log_q), color="black", label="q")
        above.set(ylabel="density", ylim=(0, None), xlim=(-11, 11))
        above.legend()
        for (name, values), formula in zip(integrands.items(), ("q log (q/p)", "p log (p/q)"), strict=True):
            below.fill_between(z, values, color=COLOURS[name], alpha=0.45, lw=0, label=formula)
            below.plot(z, values, color=COLOURS[name], lw=1.5)
        numbers = ", ".join(f"{name} = {np.trapezoid(values, z):.3f}" for name, values in integrands.items())
        above.set_title(f"q has mean {self.mu:.2f}, standard deviation {self.sigma:.2f}: {numbers}".replace("-", "−"))
        below.set(xlabel="z", ylabel="nats per unit of z")
        below.legend()
        out = io.BytesIO()
        figure.savefig(out, format="png", facecolor="white")
        return out.getvalue()


def _log_gaussian(z, mean: float, sd: float):
    return -0.5 * ((z - mean) / sd) ** 2 - math.log(sd) - 0.5 * math.log(2 * math.pi)
