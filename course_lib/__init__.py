"""ELBO Room's library: what the lessons import once they have derived it.

Submodules load on first use, so that `import course_lib` costs nothing beyond `import torch`
and a lesson without a plot never waits for matplotlib.
"""

import importlib
from pathlib import Path

__version__ = "0.1.0"

ROOT = Path(__file__).resolve().parents[1]  # the course's folder: lessons/, data/ and this library side by side
SUBMODULES = (
    "authoring",
    "data",
    "distributions",
    "estimators",
    "exercises",
    "metrics",
    "models",
    "nets",
    "objectives",
    "plots",
    "training",
    "widgets",
)


def __getattr__(name: str):
    if name in SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; its modules are {', '.join(SUBMODULES)}")


def __dir__():
    return sorted([*globals(), *SUBMODULES])
