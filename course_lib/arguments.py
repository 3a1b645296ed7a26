"""Checks that functions share: a bad argument is named, with what came and what was wanted."""

import operator

import torch


def whole_number(name: str, value, low: int, high: int | None = None) -> int:
    """`value` as an int from `low` to `high`; ValueError if it is none."""
    try:
        number = operator.index(value)
        if not isinstance(value, bool) and low <= number and (high is None or number <= high):
            return number
    except TypeError:
        pass
    top = "" if high is None else f" to {high}"
    raise ValueError(f"{name}: got {value!r}, wanted a whole number from {low}{top or ' upwards'}")


def the_device(device: torch.device | str | None) -> torch.device:
    """The device by name; None is the GPU where there is one, else the CPU. ValueError if it cannot be used here."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, TypeError, AssertionError) as error:  # torch's own words differ between builds
        has = "cpu or cuda" if torch.cuda.is_available() else "cpu"
        raise ValueError(f"device: got {device!r}, wanted one that works here: {has}") from error
    return found
