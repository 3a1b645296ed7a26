"""What passes between the grader and the process that runs an answer: JSON and raw numbers, never a pickle.

A message is two lengths, a JSON text and a block of bytes that holds the numbers of its tensors. What is read here may
have been written by somebody who means harm: nothing in it is run, and whatever is not as it should be is a ValueError.
"""

import json
import math
import struct
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from course_lib.exercises.formula import Formula
from course_lib.exercises.running import Foreign, kind

DTYPES = {
    name: getattr(torch, name)
    for group in (
        ("float64", "float32", "float16", "bfloat16", "complex64", "complex128"),
        ("int64", "int32", "int16", "int8", "uint8", "bool"),
    )
    for name in group
}
LENGTHS = struct.Struct(">II")
MOST_TEXT = 2**20  # bytes of JSON in a message
MOST_NUMBERS = 2**21  # in a tensor
MOST_ITEMS, MOST_DEPTH = 1000, 4


def pack(message: dict) -> bytes:
    block = bytearray()
    text = json.dumps(encode(message, block)).encode("ascii")
    return LENGTHS.pack(len(text), len(block)) + text + block


def read_one(stream) -> bytes:
    """The bytes of the next message; fewer at the stream's end."""
    head = stream.read(LENGTHS.size)
    return head + stream.read(sum(LENGTHS.unpack(head))) if len(head) == LENGTHS.size else head


def unpack(data: bytes, formulas: bool = False) -> Iterator[dict]:
    """The messages in `data`, up to one that is cut off. Raises ValueError for one that is not well formed.

    `formulas` allows a `Formula`, which evaluates a text: for what the course itself sends.
    """
    at = 0
    while at + LENGTHS.size <= len(data):
        text, block = LENGTHS.unpack_from(data, at)
        start, at = at + LENGTHS.size, at + LENGTHS.size + text + block
        if text > MOST_TEXT:
            raise ValueError(f"message: got {text} bytes of text, wanted at most {MOST_TEXT}")
        if at > len(data):
            return
        try:
            message = decode(json.loads(data[start : start + text]), data[start + text : at], formulas)
        except (RecursionError, RuntimeError, TypeError, OverflowError) as error:  # torch's words, or nesting
            raise ValueError(f"message: not well formed ({type(error).__name__})") from error
        if not isinstance(message, dict):
            raise ValueError(f"message: got {kind(message)}, wanted a dict")
        yield message


def encode(v: Any, block: bytearray, depth: int = 0) -> Any:
    """As JSON. Numbers, texts, tensors and what holds them; of anything else only its kind."""
    if v is None or isinstance(v, bool) or type(v) is str:
        return v[: MOST_TEXT // 4] if type(v) is str else v
    if isinstance(v, int):
        v = int.__pos__(v)  # of a subclass, the number in it
        return v if v.bit_length() < 1000 else {"foreign": f"an int of {v.bit_length()} bits"}
    if isinstance(v, float):
        return {"float": repr(float.__pos__(v))}  # inf and nan are no JSON
    if isinstance(v, Tensor):
        return _encode_tensor(v, block)
    if isinstance(v, Formula):
        return {"formula": v.text}
    if isinstance(v, dict | list | tuple) and len(v) <= MOST_ITEMS and depth < MOST_DEPTH:
        if isinstance(v, dict):
            return {"dict": [[str(k), encode(w, block, depth + 1)] for k, w in v.items()]}
        return {"tuple" if isinstance(v, tuple) else "list": [encode(w, block, depth + 1) for w in v]}
    return {"foreign": kind(v)[:200]}


def _encode_tensor(v: Tensor, block: bytearray) -> dict:
    t = (v if type(v) is Tensor else v.as_subclass(Tensor)).detach()
    dtype, shape = str(t.dtype).removeprefix("torch."), list(t.shape)
    if t.numel() > MOST_NUMBERS:
        return {"foreign": f"a tensor of {t.numel()} numbers, too many to be judged"}
    if dtype not in DTYPES or t.device.type not in ("cpu", "meta") or t.layout not in (torch.strided, torch.sparse_coo):
        return {"foreign": f"a tensor ({t.dtype}, {t.device}, {t.layout})"}
    if t.device.type == "meta":
        return {"tensor": [dtype, shape, "meta", 0, 0]}
    form = "sparse" if t.layout == torch.sparse_coo else "dense"
    dense = t.to_dense().resolve_conj().resolve_neg().flatten().clone()  # a copy: no stride of 0
    raw = dense.view(torch.uint8).numpy().tobytes()
    block += raw
    return {"tensor": [dtype, shape, form, len(block) - len(raw), len(raw)]}


def decode(spec: Any, block: bytes, formulas: bool = False) -> Any:
    if spec is None or isinstance(spec, bool | int | str):
        return spec
    if not isinstance(spec, dict) or len(spec) != 1:
        raise ValueError("message: a value of no known form")
    ((tag, v),) = spec.items()
    if tag == "float" and isinstance(v, str):
        return float(v)
    if tag == "foreign" and isinstance(v, str):
        return Foreign(v[:200])
    if tag == "formula" and isinstance(v, str) and formulas:
        return Formula(v)
    if tag in ("list", "tuple") and isinstance(v, list):
        items = [decode(w, block, formulas) for w in v]
        return items if tag == "list" else tuple(items)
    if tag == "dict" and isinstance(v, list):
        return {str(k): decode(w, block, formulas) for k, w in v}
    if tag == "tensor" and isinstance(v, list):
        return _decode_tensor(block, *v)
    raise ValueError(f"message: a value of no known form, {tag[:20]!r}")


def _decode_tensor(block: bytes, dtype: str, shape: list[int], form: str, start: int, length: int) -> Tensor:
    known = DTYPES.get(dtype) if isinstance(dtype, str) else None
    if known is None or len(shape) > 16 or not all(type(n) is int and n >= 0 for n in [*shape, start, length]):
        raise ValueError("message: a tensor of no known form")
    if form == "meta":
        return torch.empty(shape, dtype=known, device="meta")
    if form not in ("dense", "sparse") or length != math.prod(shape) * known.itemsize or start + length > len(block):
        raise ValueError("message: a tensor whose numbers do not fit its shape")
    raw = bytearray(block[start : start + length])
    if known is torch.bool:
        raw = bytearray(bool(byte) for byte in raw)  # any other byte would be neither true nor false
    t = torch.frombuffer(raw, dtype=known) if raw else torch.empty(0, dtype=known)
    t = t.reshape(shape)
    return t.to_sparse() if form == "sparse" else t
