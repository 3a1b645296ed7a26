"""A download that cannot hang: several mirrors asked at once, each given up when it falls silent."""

import queue
import threading
import time
from collections.abc import Callable

CONNECT_S = 5  # to reach a mirror
SILENT_S = 8  # without a byte, name look-up included: the mirror is given up
LARGEST = 50_000_000  # bytes; no file of ours is larger


class NoAnswer(OSError):
    """No mirror sent the right bytes; `reasons` holds what was wrong with each, by URL."""

    def __init__(self, reasons: dict[str, str]):
        super().__init__("; ".join(f"{url}: {reason}" for url, reason in reasons.items()))
        self.reasons = reasons


def first_answer(urls: list[str], check: Callable[[bytes], bytes], end: float) -> tuple[str, bytes]:
    """The first URL whose bytes pass `check`, which raises OSError or returns what it made of them, and that.

    All are asked at once; nothing is written to disk. Raises NoAnswer when the last one is out, at the latest at
    `end`, a time.monotonic().
    """
    import pooch  # noqa: F401  loaded before the clock starts, and not at import: who has the files never waits for it

    answers: queue.Queue[tuple[str, str | None]] = queue.Queue()
    waiting, reasons = {url: Sink() for url in urls}, {}
    # In threads: a name look-up has no time limit of its own, and one byte a second never times out.
    for url, sink in waiting.items():
        threading.Thread(target=_fetch, args=(url, sink, answers), daemon=True).start()
    try:
        while waiting:
            try:
                url, trouble = answers.get(timeout=0.05)
                if url in waiting:
                    sink = waiting.pop(url)
                    if trouble is None:
                        return url, check(b"".join(sink.parts))
                    reasons[url] = trouble
            except queue.Empty:
                now = time.monotonic()
                for late in [u for u, sink in waiting.items() if now > end or now - sink.last > SILENT_S]:
                    reasons[late] = "took too long" if now > end else f"sent nothing for {SILENT_S} s"
                    waiting.pop(late).closed = True
            except OSError as error:  # from check
                reasons[url] = str(error)
    finally:
        for sink in waiting.values():
            sink.closed = True
    raise NoAnswer(reasons)


class Sink:
    """Where the transport writes; knows when it last did, and refuses when nobody waits for it any more."""

    def __init__(self):
        self.parts: list[bytes] = []
        self.size, self.last, self.closed = 0, time.monotonic(), False

    def write(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.closed or self.size > LARGEST:
            raise OSError(f"sent more than {LARGEST} bytes")
        self.parts.append(chunk)
        self.last = time.monotonic()

    def flush(self) -> None:
        """The transport calls it after every chunk."""


def _fetch(url: str, sink: Sink, answers: queue.Queue) -> None:
    import pooch

    responses = []  # the transport leaves a broken one open
    transport = pooch.HTTPDownloader(
        timeout=(CONNECT_S, SILENT_S),
        chunk_size=2**14,
        hooks={"response": lambda response, *args, **kwargs: responses.append(response)},
    )
    try:
        transport(url, sink, None)
        outcome = None
    except Exception as error:  # whatever it was, this mirror is out, and a thread has nobody to raise to
        outcome = _in_short(error)
    for response in responses:
        response.close()
    answers.put((url, outcome))


def _in_short(error: Exception) -> str:
    """One line for the libraries' chains of wrapped errors; our own are short already."""
    if (response := getattr(error, "response", None)) is not None:
        return f"answered {response.status_code}"
    return f"failed ({type(error).__name__})" if type(error).__module__.startswith("requests") else str(error)
