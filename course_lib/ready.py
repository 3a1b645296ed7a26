"""Is everything here that the lessons need? `report()` looks, and says what to do about what is missing."""

import importlib.util
import os
import sys
from importlib import metadata
from typing import NamedTuple

from course_lib import ROOT


class Finding(NamedTuple):
    what: str
    good: bool
    said: str  # what was found
    advice: str = ""  # what to do, where something is missing or second best


def look() -> list[Finding]:
    """What is here: Python, the pinned packages, the device, the digits, the widgets.

    Takes about three seconds, and once longer where MNIST is not here and its mirrors are asked.
    """
    return [_python(), _packages(), _device(), _digits(), _widgets()]


def report() -> None:
    """Prints the findings, a line each, and the advice below a line that needs it."""
    findings = look()
    for f in findings:
        print(f"{'✓' if f.good else '○'} {f.what:9} {f.said}" + (f"\n            → {f.advice}" if f.advice else ""))
    missing = sum(not f.good for f in findings)
    print("Everything is here." if not missing else f"{missing} of {len(findings)} need a look; the arrows say where.")


def _python() -> Finding:
    came = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    return Finding("Python", good, came, "" if good else "Python 3.11 or newer is needed: make lab PYTHON=python3.12")


def _packages() -> Finding:
    """The installed versions against the course's pins."""
    try:
        wanted = [line.split(";")[0].strip() for line in metadata.requires("elbo-room") or [] if "extra ==" not in line]
    except metadata.PackageNotFoundError:
        return Finding("packages", False, "the course is not installed", "run `make setup` in the course's folder")
    others = []
    for name, pin in (line.split("==") for line in wanted if "==" in line):
        try:
            came = metadata.version(name)
        except metadata.PackageNotFoundError:
            came = "missing"
        if came.split("+")[0] != pin:
            others.append(f"{name} {came} (wanted {pin})")
    if not others:
        return Finding("packages", True, f"all {len(wanted)} as pinned, torch {metadata.version('torch')}")
    advice = "run `make setup`; is this notebook's kernel the course's own environment?"
    return Finding("packages", False, ", ".join(others), advice)


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        try:
            (torch.ones(2, device="cuda") @ torch.ones(2, device="cuda")).item()
        except RuntimeError as error:
            text = str(error).splitlines()[0]
            advice = "set CUDA_VISIBLE_DEVICES to nothing before starting, and the lessons use the processor"
            return Finding("device", False, f"{name}, which fails: {text}", advice)
        return Finding("device", True, f"GPU, {name}")
    return Finding("device", True, f"processor, {os.cpu_count()} cores: enough for every lesson")


def _digits() -> Finding:
    from course_lib.data import DamagedFile, digits_source

    try:
        source = digits_source()
    except DamagedFile as error:
        return Finding("digits", False, "a file of MNIST is damaged", str(error))
    if source == "mnist":
        return Finding("digits", True, "MNIST")
    advice = f"fine to go on. For MNIST: put its four files into {ROOT / 'data' / 'cache'} (data/README.md)"
    return Finding("digits", True, "strokes, drawn by the course, because MNIST is not here", advice)


def _widgets() -> Finding:
    missing = [name for name in ("anywidget", "ipywidgets") if importlib.util.find_spec(name) is None]
    if missing:
        return Finding("widgets", False, f"{', '.join(missing)} missing", "run `make setup`, then restart the kernel")
    if "ipykernel" not in sys.modules:
        return Finding("widgets", True, "installed; this is no notebook, so none can be shown")
    return Finding("widgets", True, "installed; the next cell shows whether this page draws them")
