"""`digits`: one call for the images of every lesson, MNIST where it can be had, the drawn stand-in where not."""

import os
from functools import cache

import numpy as np
import torch
from torch import Tensor

from course_lib.arguments import the_device, whole_number
from course_lib.data import mnist
from course_lib.data.handwriting import strokes

SPLITS = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", 60_000),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte", 10_000),
}
SOURCES = ("auto", "mnist", "strokes")
BLOCK = 2000  # drawn digits at a time, each block from its own seed: the first n are the same for every n


def digits(
    split: str, n: int | None = None, source: str = "auto", device: torch.device | str | None = None
) -> tuple[Tensor, Tensor]:
    """x (N, 784) float32 in [0, 1], grey as it comes, and y (N,) int64: the first n digits of a split, or all.

    split: "train" (60 000) or "test" (10 000). source: "mnist"; "strokes", drawn digits; or "auto", MNIST from
    COURSE_DATA, data/cache or a mirror, else strokes, with a notice. "auto" decides once a session, so that training
    and test images never come from two sources. On `device`, by default the GPU where there is one.

    Raises ValueError for an argument that cannot be; DamagedFile for a file that is not MNIST's, whatever the
    source asked for but "strokes"; NoMNIST where source="mnist" and it is not to be had.
    """
    if split not in tuple(SPLITS):  # a tuple asks for no hash: a list gets the message, too
        raise ValueError(f"split: got {split!r}, wanted one of {', '.join(map(repr, SPLITS))}")
    images_name, labels_name, size = SPLITS[split]
    n, device = _at_most(n, split, size), the_device(device)
    if digits_source(source) == "mnist":
        files = _mnist(os.environ.get("COURSE_DATA"))
        images, labels = files[images_name], files[labels_name]
    else:
        blocks = [_block(split, number) for number in range(-(-n // BLOCK))]
        images, labels = (np.concatenate(arrays) for arrays in zip(*blocks, strict=True))
    # Bytes travel to the device, floats are made there: a quarter of the way.
    x = torch.tensor(images[:n], device=device).flatten(1).float().div_(255)
    return x, torch.tensor(labels[:n], device=device).long()


def digits_source(source: str = "auto") -> str:
    """Where `digits(..., source=source)` takes its images from: "mnist" or "strokes"."""
    if source not in SOURCES:
        raise ValueError(f"source: got {source!r}, wanted one of {', '.join(map(repr, SOURCES))}")
    return _auto(os.environ.get("COURSE_DATA")) if source == "auto" else source


@cache
def _auto(course_data: str | None) -> str:
    """Decided once a session and COURSE_DATA: a dead network is waited for once, both splits share a source."""
    try:
        _mnist(course_data)
    except mnist.NoMNIST:
        unused = f"COURSE_DATA ({course_data}) does not hold all of it. " if course_data else ""
        print(
            f"{unused}These digits are the drawn stand-in, strokes. For MNIST put its four files into data/cache or "
            f"set COURSE_DATA to their folder, then restart the kernel (data/README.md)."
        )
        return "strokes"
    return "mnist"


@cache
def _mnist(course_data: str | None) -> dict[str, np.ndarray]:
    return mnist.load()


@cache
def _block(split: str, number: int) -> tuple[np.ndarray, np.ndarray]:
    """BLOCK drawn digits in 256 grey levels, as MNIST has them: a quarter of the memory of floats."""
    drawn = strokes(BLOCK, seed=(list(SPLITS).index(split), number), device="cpu")
    return (drawn.images * 255).round().to(torch.uint8).numpy(), drawn.labels.numpy()


def _at_most(n: int | None, split: str, size: int) -> int:
    try:
        return size if n is None else whole_number("n", n, 1, size)
    except ValueError as error:
        raise ValueError(f"{error} (the {split} split), or None for all") from None
