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
    """One call of the learner's function: what came back, what it raised, what it printed and overwrote."""

    value: Any = None
    error: BaseException | None = None
    printed: str = ""
    overwritten: str = ""


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
            given, run, start = copy.deepcopy(arguments), Run(), out.tell()
            try:
                run.value = function(*given.values())
            except BaseException as error:  # sys.exit() in an answer must not pass for an answer
                run.error = error
            run.printed = out.getvalue()[start:]
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


def same(a: Any, b: Any) -> bool:
    return a.shape == b.shape and torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b
