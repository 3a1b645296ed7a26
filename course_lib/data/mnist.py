"""MNIST's four files, found in a folder or downloaded, and used only where their SHA-256 holds.

Yann LeCun, Corinna Cortes, Christopher Burges: "The MNIST database of handwritten digits". Not redistributed here.
"""

import hashlib
import os
import time
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from course_lib import ROOT
from course_lib.data.mirrors import LARGEST, NoAnswer, first_answer

FILES = {  # SHA-256 of the unpacked bytes, so that any mirror's gzip will do; the smallest file first
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
}
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
CACHE = ROOT / "data" / "cache"
TOTAL_S = 120  # for the whole download: a class must not wait longer


class DamagedFile(OSError):
    """A file of MNIST's name whose bytes are not MNIST's."""


class NoMNIST(OSError):
    """MNIST is neither on this machine nor to be had from a mirror."""


def load() -> dict[str, np.ndarray]:
    """All four files as uint8 arrays by name: images (N, 28, 28), labels (N,).

    Looks in COURSE_DATA if set, then in data/cache, then asks the mirrors. Raises DamagedFile for a file that is
    there and not MNIST's, wherever it lies, and NoMNIST where one is not to be had.
    """
    paths = {name: find(name) for name in FILES}
    try:
        found = {name: verified(name, path.read_bytes(), path) for name, path in paths.items() if path}
    except DamagedFile as error:
        raise DamagedFile(f"{error}. Delete it or put a good one in its place, then run again.") from None
    missing = [name for name in FILES if name not in found]
    return {name: parse(data) for name, data in (found | download(missing)).items()}


def folders() -> list[Path]:
    own = os.environ.get("COURSE_DATA")
    return [Path(own).expanduser(), CACHE] if own else [CACHE]


def find(name: str) -> Path | None:
    candidates = (folder / file for folder in folders() for file in (name, f"{name}.gz"))
    return next((path for path in candidates if path.is_file()), None)


def verified(name: str, packed: bytes, where: Path | str) -> bytes:
    """The unpacked bytes, if they are the file's; DamagedFile with both hashes if not."""
    data = unpack(packed)
    came = hashlib.sha256(data).hexdigest()
    if came != FILES[name]:
        other = next((f" (they are those of {file})" for file, known in FILES.items() if known == came), "")
        raise DamagedFile(
            f"{where} is not MNIST's {name} and was not loaded: its {len(data)} unpacked bytes have SHA-256 {came}"
            f"{other}, wanted {FILES[name]}"
        )
    return data


def unpack(packed: bytes) -> bytes:
    """Without gzip, if there was any. A file that ends early gives what it holds, a garbled one stays packed."""
    if not packed.startswith(b"\x1f\x8b"):
        return packed
    try:
        return zlib.decompressobj(wbits=31).decompress(packed, LARGEST)
    except zlib.error:
        return packed


def parse(data: bytes) -> np.ndarray:
    """IDX: two zeros, the type (8 is uint8), the number of axes, their sizes as big-endian uint32, the bytes."""
    axes = data[3]
    shape = np.frombuffer(data, ">u4", axes, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * axes).reshape(shape)


def download(names: list[str]) -> dict[str, bytes]:
    """The named files from the mirrors, unpacked; each is kept in data/cache, moved there once its hash holds."""
    if not names:
        return {}
    print("digits: MNIST is not on this machine; asking its mirrors (11 MB) ...", end=" ", flush=True)
    end, mirrors, reasons, got, unkept = time.monotonic() + TOTAL_S, list(MIRRORS), {}, {}, ""
    for name in names:
        # The first small file is asked of all mirrors at once: dead ones cost their time together. Then one by one.
        together = not got and "labels" in name
        for group in [mirrors] if together else [[mirror] for mirror in mirrors]:
            try:
                check = partial(verified, name, where="what it sent")
                url, got[name] = first_answer([f"{m}{name}.gz" for m in group], check, end)
                break
            except NoAnswer as error:
                reasons |= error.reasons
        if name not in got:
            forged = "".join(f" ({url}: {reason})" for url, reason in reasons.items() if "SHA-256" in reason)
            print(f"no luck{forged}.", end=" ", flush=True)
            raise NoMNIST(_what_to_do(name, reasons))
        mirrors.sort(key=lambda mirror, url=url: not url.startswith(mirror))  # the one that answered comes first
        try:
            _keep(name, got[name])
        except OSError as error:  # a read-only installation: good for this session all the same
            unkept = f", but not kept ({error})"
    print(f"done{unkept}.")
    return got


def _keep(name: str, data: bytes) -> None:
    """Writes beside the goal and moves into place: no reader ever sees half a file."""
    CACHE.mkdir(parents=True, exist_ok=True)
    part = CACHE / f"{name}.{os.getpid()}.part"
    try:
        part.write_bytes(data)
        part.replace(CACHE / name)
    finally:
        part.unlink(missing_ok=True)


def _what_to_do(name: str, reasons: dict[str, str]) -> str:
    why = "; ".join(f"{url}: {reason}" for url, reason in reasons.items()) or "no mirror is known"
    return (
        f"MNIST's {name} is not in {' or '.join(map(str, folders()))}, and no mirror sent it: {why}. "
        f"Put the four files ({', '.join(FILES)}; as they are or as .gz) into {CACHE}, or set COURSE_DATA to their "
        f'folder, and run again. Without them, source="strokes" draws digits that need no download.'
    )
