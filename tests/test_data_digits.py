"""digits(): where the files come from, what is refused, and that nothing hangs. No test leaves this machine."""

import contextlib
import gzip
import hashlib
import http.server
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import course_lib
from course_lib.data import DamagedFile, NoMNIST, digits, digits_source, mirrors, mnist, splits

REAL = Path(os.environ.get("COURSE_DATA") or Path(course_lib.ROOT).parent / "shared/data/mnist")
needs_mnist = pytest.mark.skipif(
    not all((REAL / f"{name}.gz").is_file() or (REAL / name).is_file() for name in mnist.FILES),
    reason="the real MNIST files are not here; set COURSE_DATA to their folder",
)
MIRRORS = mnist.MIRRORS
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(array):
    return b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def tiny_mnist():
    """The four files in small: 30 training and 10 test images."""
    rng = np.random.default_rng(0)
    files = {}
    for split, n in (("train", 30), ("t10k", 10)):
        files[f"{split}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (n, 28, 28), dtype=np.uint8))
        files[f"{split}-labels-idx1-ubyte"] = idx(rng.integers(0, 10, n, dtype=np.uint8))
    return {name: files[name] for name in mnist.FILES}


TINY = tiny_mnist()


@pytest.fixture(autouse=True)
def new_session(monkeypatch, tmp_path):
    """As if the kernel had just started, with an empty cache and no mirror."""
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setattr(mnist, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(mnist, "MIRRORS", ())
    for cached in (splits._auto, splits._mnist):
        cached.cache_clear()
    yield
    for cached in (splits._auto, splits._mnist):
        cached.cache_clear()


@pytest.fixture
def tiny(monkeypatch):
    """The hash table knows the tiny files, so that the loader can be tried in milliseconds."""
    monkeypatch.setattr(mnist, "FILES", {name: hashlib.sha256(data).hexdigest() for name, data in TINY.items()})


def put(folder, files, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data) if packed else data)
    return folder


# ---- the real files


@needs_mnist
@pytest.mark.parametrize("split", ["train", "test"])
def test_real_mnist(monkeypatch, split):
    monkeypatch.setenv("COURSE_DATA", str(REAL))
    x, y = digits(split, source="mnist", device="cpu")
    n = {"train": 60_000, "test": 10_000}[split]
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((n, 784), torch.float32, (n,), torch.int64)
    assert x.min() == 0
    assert x.max() == 1
    assert ((x > 0) & (x < 1)).float().mean() > 0.05  # grey stays grey
    mean = {"train": 0.1307, "test": 0.1325}[split]  # the figures that everybody normalises with
    assert x.mean().item() == pytest.approx(mean, abs=1e-4)
    first = {"train": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], "test": [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]}[split]
    assert y[:10].tolist() == first
    assert digits_source() == "mnist"
    few, _ = digits(split, 7, device="cpu")
    assert torch.equal(few, x[:7])


@needs_mnist
def test_real_mnist_loads_fast_unpacked_and_packed(monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(REAL))
    files = {name: mnist.verified(name, mnist.find(name).read_bytes(), name) for name in mnist.FILES}
    unpacked = put(tmp_path / "unpacked", files, packed=False)
    for folder in (REAL, unpacked):
        monkeypatch.setenv("COURSE_DATA", str(folder))
        times = []
        for _ in range(3):
            splits._mnist.cache_clear()
            start = time.process_time()
            digits("train", source="mnist", device="cpu")
            times.append(time.process_time() - start)
        assert min(times) < 1


# ---- folders


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("place", ["COURSE_DATA", "cache"])
def test_files_are_found(tiny, monkeypatch, tmp_path, capsys, place, packed):
    folder = put(tmp_path / place, TINY, packed)
    if place == "COURSE_DATA":
        monkeypatch.setenv("COURSE_DATA", str(folder))
    x, y = digits("train", device="cpu")
    raw = np.frombuffer(TINY[IMAGES], np.uint8, offset=16).reshape(30, 784)
    assert torch.equal(x, torch.tensor(raw).float() / 255)
    assert y.tolist() == list(TINY[LABELS][8:])
    assert len(digits("test", device="cpu")[0]) == 10
    assert digits_source() == "mnist"
    assert capsys.readouterr().out == ""


def damaged():
    good = TINY[IMAGES]
    packed = gzip.compress(good)
    return {
        "truncated gzip": (".gz", packed[: len(packed) // 2]),
        "truncated": ("", good[:-1]),
        "swapped": ("", TINY["t10k-images-idx3-ubyte"]),
        "tampered": ("", good[:500] + bytes([good[500] ^ 1]) + good[501:]),
        "garbled gzip": (".gz", packed[:200] + bytes(50) + packed[250:]),
        "web page": (".gz", b"<html>please log in</html>"),
        "empty": (".gz", b""),
    }


@pytest.mark.parametrize("source", ["auto", "mnist"])
@pytest.mark.parametrize("place", ["COURSE_DATA", "cache"])
@pytest.mark.parametrize("kind", damaged())
def test_a_damaged_file_is_named_and_never_loaded(tiny, monkeypatch, tmp_path, kind, place, source):
    folder = put(tmp_path / place, {name: data for name, data in TINY.items() if name != IMAGES})
    if place == "COURSE_DATA":
        monkeypatch.setenv("COURSE_DATA", str(folder))
    suffix, data = damaged()[kind]
    bad = folder / (IMAGES + suffix)
    bad.write_bytes(data)
    for split in ("train", "test"):  # no session with half of MNIST either
        with pytest.raises(DamagedFile) as error:
            digits(split, source=source)
        message = str(error.value)
        assert str(bad) in message
        assert mnist.FILES[IMAGES] in message
        assert hashlib.sha256(mnist.unpack(data)).hexdigest() in message
        assert ("those of t10k-images" in message) == (kind == "swapped")
    digits("train", 5, source="strokes")  # asks for no file


# ---- mirrors


@pytest.fixture
def server(monkeypatch):
    """Mirrors on the loopback: /good/, /truncated/, ... ; `server.asked` lists what they were asked for."""
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            _, kind, file = self.path.split("/")
            self.server.asked.append(self.path)
            if kind == "flaky":  # the connection breaks at the first try of each file
                kind = "good" if self.server.asked.count(self.path) > 1 else "truncated"
            body = gzip.compress(TINY[file.removesuffix(".gz")])
            if kind == "missing":
                return self.send_error(404)
            if kind == "silent":
                return over.wait(20)
            if kind == "forged":
                body = gzip.compress(TINY[file.removesuffix(".gz")][:-1] + b"?")
            if kind == "short":
                body = body[:-20]
            self.send_response(200)
            if kind == "endless":
                self.end_headers()
                while not over.wait(0.05):
                    self.wfile.write(bytes(2**15))
            if kind == "encoded":  # some hosts declare the .gz as a content encoding: the client gets it unpacked
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if kind == "trickle":
                for byte in body:
                    if over.wait(0.02):
                        return None
                    self.wfile.write(bytes([byte]))
            self.wfile.write(body[: len(body) // 2] if kind == "truncated" else body)

        def log_message(self, *args):
            pass

        def handle(self):
            with contextlib.suppress(OSError):  # the client hung up, as it should
                super().handle()

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.daemon_threads = True
    running.asked = []
    running.use = lambda *kinds: monkeypatch.setattr(
        mnist, "MIRRORS", tuple(f"http://127.0.0.1:{running.server_port}/{kind}/" for kind in kinds)
    )
    monkeypatch.setattr(mirrors, "SILENT_S", 0.4)
    monkeypatch.setattr(mnist, "TOTAL_S", 1.5)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield running
    over.set()
    running.shutdown()
    running.server_close()
    thread.join()


def kept():
    return sorted(path.name for path in mnist.CACHE.glob("*"))


def refused():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{closed.getsockname()[1]}/"


@pytest.mark.parametrize("kind", ["good", "encoded"])
def test_a_download_is_checked_and_kept(tiny, server, capsys, kind):
    server.use(kind)
    x, _ = digits("train", device="cpu")
    assert len(x) == 30
    assert "done." in capsys.readouterr().out
    assert kept() == sorted(TINY)
    assert all((mnist.CACHE / name).read_bytes() == data for name, data in TINY.items())
    assert len(server.asked) == 4
    splits._mnist.cache_clear()  # the next session finds them
    assert len(digits("test", source="mnist", device="cpu")[0]) == 10
    assert len(server.asked) == 4


BAD = ["truncated", "short", "forged", "missing", "silent", "trickle", "endless"]


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_mirror_is_passed_over(tiny, server, kind):
    server.use(kind, "good")
    start = time.monotonic()
    assert len(digits("train", source="mnist", device="cpu")[0]) == 30
    assert time.monotonic() - start < 5
    assert kept() == sorted(TINY)
    assert all((mnist.CACHE / name).read_bytes() == data for name, data in TINY.items())


@pytest.mark.parametrize("kind", BAD)
def test_only_bad_mirrors_leave_nothing_behind(tiny, server, kind):
    server.use(kind)
    start = time.monotonic()
    with pytest.raises(NoMNIST) as error:
        digits("train", source="mnist")
    assert time.monotonic() - start < 5
    message = str(error.value)
    assert "COURSE_DATA" in message  # what to do
    assert str(mnist.CACHE) in message
    assert f"/{kind}/" in message
    if kind in ("short", "forged"):
        name = next(iter(TINY))
        assert mnist.FILES[name] in message
    assert kept() == []


def test_a_silent_mirror_costs_nothing_where_another_answers(tiny, server, monkeypatch):
    monkeypatch.setattr(mirrors, "SILENT_S", 4)
    monkeypatch.setattr(mnist, "TOTAL_S", 8)
    server.use("silent", "missing", "good")
    start = time.monotonic()
    digits("train", source="mnist")
    assert time.monotonic() - start < 3


def test_a_mirror_that_sends_too_much_is_cut_off(tiny, server, monkeypatch):
    monkeypatch.setattr(mirrors, "LARGEST", 100_000)
    server.use("endless")
    with pytest.raises(NoMNIST, match="more than 100000 bytes"):
        digits("train", source="mnist")


def test_an_interrupted_download_starts_afresh(tiny, server):
    server.use("flaky")
    with pytest.raises(NoMNIST):
        digits("train", source="mnist")
    assert kept() == []
    for name in TINY:  # each file breaks once; what was complete stays
        if name != list(TINY)[-1]:
            with pytest.raises(NoMNIST):
                digits("train", source="mnist")
    assert len(digits("train", source="mnist", device="cpu")[0]) == 30
    assert kept() == sorted(TINY)


def test_only_missing_files_are_asked_for(tiny, server, monkeypatch, tmp_path):
    monkeypatch.setenv("COURSE_DATA", str(put(tmp_path / "own", {IMAGES: TINY[IMAGES]})))
    server.use("good", "missing")
    digits("test", source="mnist")
    assert not any(IMAGES in path for path in server.asked)
    assert kept() == sorted(set(TINY) - {IMAGES})


def test_a_cache_that_cannot_be_written(tiny, server, capsys, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(mnist, "CACHE", tmp_path / "file")
    server.use("good")
    assert len(digits("train", device="cpu")[0]) == 30
    assert "not kept" in capsys.readouterr().out


def test_a_full_disk_leaves_no_part(tiny, server, monkeypatch):
    def full(self, goal):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    server.use("good")
    digits("train", source="mnist")
    assert kept() == []


# ---- the fallback


def test_auto_falls_back_once_with_one_line(tiny, server, capsys):
    server.use("missing")
    start = time.monotonic()
    x, _ = digits("train", 50, device="cpu")
    assert time.monotonic() - start < 5
    notice = capsys.readouterr().out
    assert len(notice.strip().splitlines()) == 1
    assert "strokes" in notice
    assert "COURSE_DATA" in notice
    asked = len(server.asked)
    test_x, _ = digits("test", 50, device="cpu")
    server.use("good")  # too late: both splits of a session come from one source
    assert torch.equal(digits("train", 50, device="cpu")[0], x)
    assert capsys.readouterr().out == ""
    assert len(server.asked) == asked
    assert digits_source() == "strokes"
    assert torch.equal(x, digits("train", 50, source="strokes", device="cpu")[0])
    assert torch.equal(test_x, digits("test", 50, source="strokes", device="cpu")[0])


@pytest.mark.parametrize("network", ["refused", "no name", "silent name server"])
def test_auto_without_a_network_is_quick(monkeypatch, capsys, network):
    over, look_up = threading.Event(), socket.getaddrinfo

    def name_server(host, *args, **kwargs):  # nothing is asked outside this machine
        if host == "127.0.0.1":
            return look_up(host, *args, **kwargs)
        if network == "silent name server":
            over.wait(20)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", name_server)
    monkeypatch.setattr(mirrors, "SILENT_S", 1)
    monkeypatch.setattr(mnist, "MIRRORS", (refused(),) if network == "refused" else MIRRORS)
    start = time.monotonic()
    digits("test", 5)
    assert time.monotonic() - start < 3
    over.set()
    notice = capsys.readouterr().out
    assert len(notice.strip().splitlines()) == 1
    assert "strokes" in notice


def test_mirrors_are_several_and_encrypted():
    assert len(MIRRORS) > 1
    assert all(mirror.startswith("https://") and mirror.endswith("/") for mirror in MIRRORS)


def test_a_course_data_that_holds_nothing_is_told(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "nowhere"))
    digits("test", 5)
    assert f"COURSE_DATA ({tmp_path / 'nowhere'}) does not hold all of it" in capsys.readouterr().out


def test_auto_tells_of_a_forged_download(tiny, server, capsys):
    server.use("forged")
    digits("test", 5)
    notice = capsys.readouterr().out
    assert len(notice.strip().splitlines()) == 1
    name, data = next(iter(TINY.items()))
    assert mnist.FILES[name] in notice
    assert hashlib.sha256(data[:-1] + b"?").hexdigest() in notice


def test_mnist_never_falls_back():
    with pytest.raises(NoMNIST, match="COURSE_DATA"):
        digits("train", source="mnist")


# ---- the stand-in behind digits, and arguments


@pytest.mark.parametrize("split", ["train", "test"])
def test_drawn_digits_are_like_mnist(split):
    x, y = digits(split, source="strokes", device="cpu")
    n = {"train": 60_000, "test": 10_000}[split]
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((n, 784), torch.float32, (n,), torch.int64)
    assert x.min() == 0
    assert x.max() == 1
    assert torch.equal((x * 255).round() / 255, x)  # 256 grey levels
    assert y.bincount().min() / n > 0.09
    assert y.bincount().max() / n < 0.11
    for few in (1, 1999, 2001):
        a, b = digits(split, few, source="strokes", device="cpu")
        assert torch.equal(a, x[:few])
        assert torch.equal(b, y[:few])


def test_train_and_test_are_different_drawings():
    train, test = (digits(split, 100, source="strokes", device="cpu")[0] for split in ("train", "test"))
    assert torch.cdist(train, test).min() > 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "valid"}, "split: got 'valid', wanted one of 'train', 'test'"),
        ({"split": None}, "split: got None"),
        ({"split": ["train"]}, "split: got .'train'."),
        ({"source": "MNIST"}, "source: got 'MNIST', wanted one of 'auto', 'mnist', 'strokes'"),
        ({"n": 0}, "n: got 0, wanted a whole number from 1 to 60000"),
        ({"n": -3}, "n: got -3"),
        ({"n": 60_001}, "n: got 60001, wanted a whole number from 1 to 60000"),
        ({"split": "test", "n": 10_001}, "from 1 to 10000 .the test split."),
        ({"n": 2.5}, "n: got 2.5"),
        ({"n": True}, "n: got True"),
        ({"n": "10"}, "n: got '10'"),
        ({"device": "gpu"}, "device: got 'gpu', wanted one that works here: cpu"),
        ({"device": 1.5}, "device: got 1.5"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        digits(**{"split": "train", "source": "strokes", "n": 10, **arguments})


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_digits_on_the_gpu():
    x, y = digits("test", 100, source="strokes")
    assert x.is_cuda
    assert y.is_cuda
    assert torch.allclose(x.cpu(), digits("test", 100, source="strokes", device="cpu")[0], atol=1e-6)


def test_import_is_light():
    heavy = ("matplotlib", "pandas", "sklearn", "scipy", "pooch", "requests")
    code = f"import sys, course_lib.data; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
