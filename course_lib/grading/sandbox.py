"""Runs answers in other processes, and trusts nothing that comes back: see `child.py` and `cage.py` for the other side.

    with sandbox(preload=["import torch"], hidden=[folder]) as box:
        outcome = box.run(request)

A request is a dict of plain data and tensors (`wire.py`); what it must hold is what `child.evaluate` reads.
"""

import contextlib
import importlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import torch

from course_lib import ROOT
from course_lib.grading import limits, wire
from course_lib.grading.cage import MOST_RESULT

MISSING = {  # protections that a system may lack, in words for a report
    "files": "an answer can do with this computer's files what you can, and read the course's solutions",
    "network": "an answer can reach the network",
    "udp": "an answer can send UDP packets (TCP is cut)",
    "leftovers": "a process that an answer starts and hides may live on",
    "memory": "an answer may take all memory",
    "processes": "an answer may start any number of processes",
    "own process": "the answers of one learner share a process",
}
START, PATIENCE = 120.0, 5.0  # seconds: for torch on a slow disk; beyond an answer's own time
LOADED = tuple(f"course_lib.{n}" for n in ("exercises.formula", "exercises.running", "grading.wire", "grading.limits"))
LOADED_ON_LINUX = ("course_lib.grading.linux", "course_lib.grading.cage")


class Outcome(NamedTuple):
    """How the process ended ("exit 0", "signal 9", "time", "too much", "spoiled", "broken") and what it sent before."""

    ended: str
    messages: list[dict]
    missing: frozenset[str]


def sandbox(preload: list[str], hidden: list[Path], without: tuple[str, ...] = ()) -> "Sandbox":
    """The best sandbox of this system. `without` leaves some out, for tests: "cage", "namespaces", "landlock"."""
    return (Caged if sys.platform == "linux" and "cage" not in without else Uncaged)(preload, hidden, without)


class Sandbox:
    """A process that has loaded torch, and what is needed to start another one when it breaks."""

    modules: tuple[str, ...] = LOADED

    def __init__(self, preload: list[str], hidden: list[Path], without: tuple[str, ...] = ()):
        self.scratch = tempfile.TemporaryDirectory(prefix="grading-", ignore_cleanup_errors=True)
        here = str(Path(torch.__file__).resolve().parents[1])
        site = [p for p in sys.path if p.endswith(("site-packages", "dist-packages")) and os.path.isdir(p)]
        site = list(dict.fromkeys([*site, here]))
        standard = [p for p in sys.path if p and os.path.isdir(p) and Path(p).is_relative_to(sys.base_prefix)]
        self.settings = {
            "site": site,
            "load": {name: importlib.util.find_spec(name).origin for name in self.modules},
            "preload": preload,
            "hidden": [*(str(Path(h).resolve()) for h in (ROOT, *hidden)), *(f"{p}/course_lib" for p in site)],
            "readable": list(dict.fromkeys([*standard, *site])),
            "scratch": self.scratch.name,
            "without": without,
            "control": None,
            "limits": {},
        }
        self.process: subprocess.Popen | None = None
        self.closed = False

    def run(self, request: dict) -> Outcome:
        raise NotImplementedError

    def end_of_learner(self) -> None:
        """Nothing of the last answers is left for the next."""

    def end(self) -> None:
        """Ends the process and whatever it has started; `run` starts another."""
        process, self.process = self.process, None  # two threads may come here at once
        if process is not None:
            with contextlib.suppress(OSError):
                if os.name == "posix":
                    os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()

    def close(self) -> None:
        """Ends it for good; what is asked meanwhile, or later, is an OSError."""
        self.closed = True
        self.end()

    def _make_way(self) -> None:
        self.end()
        if self.closed:
            raise OSError("the sandbox is closed")

    def _start(self, **more) -> None:
        one = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
        kept = {k: os.environ[k] for k in ("SYSTEMROOT", "TEMP", "LD_LIBRARY_PATH") if k in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("child.py")), json.dumps(self.settings)],
            env={**kept, **dict.fromkeys(one, "1"), "LANG": "C.UTF-8"},
            cwd=self.scratch.name,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            **more,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        self.scratch.cleanup()


class Caged(Sandbox):
    """Linux: a process of its own for each request, forked from one that has loaded torch."""

    modules = LOADED + LOADED_ON_LINUX

    def run(self, request: dict) -> Outcome:
        if self.process is None or self.process.poll() is not None:
            self._make_way()
            self.control, theirs = socket.socketpair()
            self.settings["control"] = theirs.fileno()
            self._start(pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            theirs.close()
            patience = START
        else:
            patience = PATIENCE
        try:
            data = self._exchange(wire.pack(request), request["seconds"] + patience)
            told = wire.unpack(data)
            report = next(told)
            ended, missing = str(report["outcome"]), frozenset(report["missing"])
        except (OSError, ValueError, KeyError, StopIteration):
            self.end()
            return Outcome("broken", [], frozenset())
        return _checked(ended, told, missing)

    def _exchange(self, data: bytes, seconds: float) -> bytes:
        ours, theirs = socket.socketpair()
        deadline, got = time.monotonic() + seconds, bytearray()
        with ours:
            with theirs:
                socket.send_fds(self.control, [b"+"], [theirs.fileno()])
            ours.settimeout(seconds)
            ours.sendall(data)
            ours.shutdown(socket.SHUT_WR)
            while chunk := ours.recv(2**18):
                got += chunk
                if len(got) > MOST_RESULT + 2**20:
                    raise OSError("more than the cage lets through")
                ours.settimeout(max(0.001, deadline - time.monotonic()))
        return bytes(got)

    def end(self) -> None:
        if self.process is not None:
            self.control.close()
        super().end()


class Uncaged(Sandbox):
    """Where there is no cage: a process that a learner's answers share until one breaks it."""

    def end_of_learner(self) -> None:
        self.end()

    def run(self, request: dict) -> Outcome:
        missing = frozenset(MISSING) - {"udp"}
        try:
            if self.process is None or self.process.poll() is not None:
                self._make_way()
                self._begin()
            self.process.stdin.write(wire.pack(request))
            self.process.stdin.flush()
            ended, data = self._heard(wire.pack({"part": "end"}), request["seconds"])
        except OSError:
            ended, data = "broken", b""
        if ended != "exit 0":
            self.end()
        return _checked(ended, wire.unpack(data), missing)

    def _begin(self) -> None:
        self.settings["limits"] = limits.wanted(mapped=None)
        self._start(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.chunks: queue.Queue[bytes] = queue.Queue(maxsize=16)  # a flood waits in the pipe
        threading.Thread(target=_pump, args=(self.process.stdout, self.chunks), daemon=True).start()
        if self._heard(wire.pack({"part": "ready"}), START)[0] != "exit 0":
            raise OSError("the process for the answers did not start")

    def _heard(self, last: bytes, seconds: float) -> tuple[str, bytes]:
        """All that comes up to the message `last`, and how it ended."""
        got, deadline = bytearray(), time.monotonic() + seconds
        while not got.endswith(last):
            try:
                chunk = self.chunks.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return "time", bytes(got)
            got += chunk
            if not chunk:
                return "exit", bytes(got)
            if len(got) > MOST_RESULT:
                return "too much", bytes(got)
        return "exit 0", bytes(got)


def _pump(pipe, chunks: queue.Queue) -> None:
    chunk = b"+"
    while chunk:
        try:
            chunk = os.read(pipe.fileno(), 2**16)
        except (OSError, ValueError):  # closed on our side
            chunk = b""
        chunks.put(chunk)


def _checked(ended: str, told, missing: frozenset[str]) -> Outcome:
    messages = []
    try:
        for message in told:
            messages.append(message)
    except ValueError:
        ended = "spoiled" if ended.startswith("exit") else ended
    return Outcome(ended, messages, missing)
