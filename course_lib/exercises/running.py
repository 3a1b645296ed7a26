"""Runs a learner's function, which may raise, print, overwrite its arguments, or never end."""

import contextlib
import copy
import ctypes
import io
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass
class Run:
    """One call of the learner's function: what came back, what it raised, what it printed and overwrote.

    Errors are kept as text, so that a run can also come from another process (see `course_lib.grading`).
    """

    value: Any = None
    error: str | None = None  # "KeyError: 'mu'"
    stub: bool = False  # the answer itself said NotImplementedError
    printed: str = ""
    overwritten: str = ""


@dataclass(frozen=True)
class Foreign:
    """Stands for a value of a kind that does not travel between processes: only what it is called is known."""

    kind: str  # "a numpy.ndarray"


class TimeIsUp(BaseException):
    """Raised inside a learner's function that outlasts its limit."""


def run_all(function: Callable, calls: list[dict[str, Any]], limit: float) -> list[Run]:
    """One run a call (argument name → value, passed by position), up to the first that raises; at most `limit` seconds.

    The calls run in a thread of their own, so that an endless loop can be ended on every system.
    """
    runs: list[Run] = []
    out = io.StringIO()

    def work():
        for arguments in calls:
            given = copy.deepcopy(arguments)
            run = run_one(function, given, out)
            run.overwritten = ", ".join(n for n, v in given.items() if not same(v, arguments[n]))
            runs.append(run)
            if run.error is not None:
                return

    thread = threading.Thread(target=work, daemon=True)
    with contextlib.redirect_stdout(out):
        thread.start()
        try:
            thread.join(limit)
        finally:
            done = list(runs)
            if thread.is_alive():  # end it: a forgotten loop would slow the rest of the lesson down
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(TimeIsUp))
    return done


def run_one(function: Callable, given: dict[str, Any], out: io.StringIO) -> Run:
    """One call with these values; `out` is where print goes by now."""
    run, start = Run(), out.tell()
    try:
        run.value = function(*given.values())
    except BaseException as error:  # sys.exit() in an answer must not pass for an answer
        run.error, run.stub = described(error), _is_stub(error)
    run.printed = out.getvalue()[start:]
    return run


def gradients(function: Callable, names: tuple[str, ...], wanted: tuple[str, ...]) -> Callable:
    """A function of the same arguments, here called `names`: the gradients of a weighted sum of what comes back.

    One gradient for each of the `wanted` arguments; None where none of them reaches the answer.
    """

    def at(*values):
        leaves = {n: v.clone().requires_grad_() for n, v in zip(names, values, strict=True) if n in wanted}
        out = function(*(leaves.get(n, v) for n, v in zip(names, values, strict=True)))
        if not out.requires_grad:
            return None
        weights = torch.linspace(0.5, 1.5, out.numel(), dtype=out.dtype).reshape(out.shape)
        grads = torch.autograd.grad((out * weights).sum(), list(leaves.values()), allow_unused=True)
        return tuple(torch.zeros_like(v) if g is None else g for g, v in zip(grads, leaves.values(), strict=True))

    return at


def kind(v: Any) -> str:
    return (
        v.kind if isinstance(v, Foreign) else f"a {type(v).__module__}.{type(v).__qualname__}".replace("builtins.", "")
    )


def described(error: BaseException) -> str:
    text = ""
    with contextlib.suppress(Exception):  # an exception's own text may raise
        text = str(error).strip()[:300]
    return f"{type(error).__name__}: {text or 'no message'}"


def _is_stub(error: BaseException) -> bool:
    """Whether the answer itself says NotImplementedError; torch says it, too, deeper down."""
    frames = error.__traceback__.tb_next  # the first frame is ours
    return type(error) is NotImplementedError and not error.args and frames is not None and frames.tb_next is None


def same(a: Any, b: Any) -> bool:
    return a.shape == b.shape and torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b
