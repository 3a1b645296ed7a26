"""Runs one answer at a time in a cage of its own (Linux). Stands alone, since it runs where the course cannot be read.

Three processes: `serve` has loaded torch, reads nothing, and forks; `watch` makes the cage, and ends what outlives its
time or says too much; inside, `evaluate` alone runs a learner's code. Each answer is a fresh process that knows nothing
of the ones before it.
"""

import contextlib
import os
import select
import shutil
import signal
import socket
import time

MOST_RESULT = 32 * 2**20  # bytes
REFUSED = 70  # exit status: rights that could not be given up


def serve(control: socket.socket, settings: dict, evaluate, use) -> None:
    """One cage for each socket that comes in, until nobody holds the other end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    settings["mapped"] = use.limits.mapped()
    while True:
        told, handed, _, _ = socket.recv_fds(control, 1, 1)
        if not told:
            return
        if os.fork() == 0:
            try:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.close()
                watch(socket.socket(fileno=handed[0]), settings, evaluate, use)
            finally:
                os._exit(0)
        os.close(handed[0])


def watch(client: socket.socket, settings: dict, evaluate, use) -> None:
    """Reads a request, has it evaluated in a cage, and hands on what came out behind a report of its own."""
    with client.makefile("rb") as f:
        request = next(use.wire.unpack(f.read(), formulas=True))
    identity, scratch = 1_000_000_000 + os.getpid(), os.path.join(settings["scratch"], str(os.getpid()))
    os.mkdir(scratch)
    tasks = use.limits.TASKS
    if os.geteuid():
        tasks += use.linux.tasks_of_this_user()  # the limit counts them all where there is no namespace
    missing = _cage(settings, scratch, identity, use)
    if "leftovers" not in missing:
        tasks = use.limits.TASKS
    values = use.limits.wanted(settings["mapped"], request["seconds"], tasks)
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        client.detach()
        try:
            _shut(writable)
            use.limits.set_limits(values)
            use.linux.nobody(identity)
        except OSError:
            os._exit(REFUSED)
        evaluate(request, 3)
        os._exit(0)
    os.close(writable)
    outcome, result = _drained(readable, client, pid, request["seconds"])
    if "leftovers" in missing:
        _end_all_of(identity, use)
    shutil.rmtree(scratch, ignore_errors=True)
    with contextlib.suppress(OSError):  # the grader has gone
        client.sendall(use.wire.pack({"outcome": outcome, "missing": missing}) + result)


def _cage(settings: dict, scratch: str, identity: int, use) -> list[str]:
    """Locks this process in, for the one that it forks next; says what could not be locked."""
    missing = ["leftovers", "network", "files"]
    readable = [p for p in settings["readable"] if os.path.exists(p)]
    with contextlib.suppress(OSError):
        if "namespaces" not in settings["without"]:
            use.linux.new_namespaces()
            missing = ["files"]
            use.linux.new_root(scratch, readable, settings["hidden"])
            return []
    os.chmod(scratch, 0o700)
    if os.geteuid() == 0:
        os.chown(scratch, identity, identity)
    os.chdir(scratch)
    within = [h for h in settings["hidden"] for p in readable if h.startswith(p + "/") and os.path.exists(h)]
    with contextlib.suppress(OSError):
        if "landlock" not in settings["without"] and not within:  # it cannot hide what lies inside something readable
            tcp = use.linux.landlock(readable, scratch)
            missing.remove("files")
            if tcp and "network" in missing:
                missing[missing.index("network")] = "udp"
    return missing


def _shut(writable: int) -> None:
    """A session of its own, and no file open but the way out, as number 3."""
    os.setsid()
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(writable, 200)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.dup2(200, 3)
    os.closerange(4, 65536)


def _drained(readable: int, client: socket.socket, pid: int, seconds: float) -> tuple[str, bytes]:
    """What the process wrote, and how it ended: "exit 0", "signal 9", "time" or "too much". It is gone afterwards."""
    result, outcome, ended = bytearray(), None, False
    deadline = time.monotonic() + seconds
    poll = select.poll()
    poll.register(readable, select.POLLIN)
    poll.register(client, 0)  # says when the grader hangs up
    while outcome is None:
        left = deadline - time.monotonic()
        events = dict(poll.poll(0 if ended else min(50, max(0, 1000 * left))))
        if readable in events:
            chunk = os.read(readable, 2**16)
            result += chunk
            if not chunk:
                break
            if len(result) > MOST_RESULT:
                outcome = "too much"
        elif client.fileno() in events or left < 0:
            outcome = "time"
        elif ended:  # and somebody whom it started holds the pipe
            break
        else:
            ended = _has_ended(pid)
    patience = time.monotonic() + (1 if outcome is None else 0)  # it has closed the pipe, and should be going
    while not _has_ended(pid) and time.monotonic() < patience:
        time.sleep(0.001)
    for kill in (os.kill, os.killpg):
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    how = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
    return outcome or how, bytes(result)


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_all_of(identity: int, use) -> None:
    """Without a namespace: ends what still runs under an answer's identity. Only root gives it one."""
    if os.geteuid() == 0 and (pid := os.fork()) == 0:
        with contextlib.suppress(OSError):
            use.linux.nobody(identity)
            if os.geteuid() == identity:
                os.kill(-1, signal.SIGKILL)
        os._exit(0)
    elif os.geteuid() == 0:
        os.waitpid(pid, 0)
