"""Limits of a process that a system sets by itself. Stands alone, since it runs where the course is not."""

import contextlib
import os

try:
    import resource
except ImportError:  # Windows
    resource = None

MEMORY = 2**30  # bytes, beyond what torch itself maps
FILE, FILES = 16 * 2**20, 64  # bytes of a file; files open at once
TASKS = 4  # processes and threads


def mapped() -> int | None:
    """Bytes that this process maps; None where the system does not say."""
    with contextlib.suppress(OSError), open("/proc/self/statm") as f:
        return int(f.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return None


def wanted(mapped: int | None, seconds: float | None = None, tasks: int | None = None) -> dict[str, int | None]:
    """The limits of an answer, by the names of `resource`; None: not to be set."""
    return {
        "AS": mapped and mapped + MEMORY,
        "NPROC": tasks,
        "CPU": seconds and int(seconds) + 5,  # the clock comes first, but for several threads
        "FSIZE": FILE,
        "NOFILE": FILES,
        "CORE": 0,
    }


def set_limits(values: dict[str, int | None]) -> None:
    for name, value in values.items():
        if resource is not None and value is not None:
            with contextlib.suppress(AttributeError, ValueError, OSError):  # macOS knows some by name only
                resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
