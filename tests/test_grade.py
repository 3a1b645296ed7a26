"""Grading: right answers are right, wrong ones get their hint, and no submission fools, stops or harms the grader."""

import contextlib
import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
import right_answers
import torch

from course_lib import ROOT
from course_lib.authoring import grade as command
from course_lib.authoring import nbgrader
from course_lib.authoring.build import build, sources, write
from course_lib.authoring.grade import grade
from course_lib.exercises import judge
from course_lib.exercises.judge import exercise
from course_lib.exercises.source import course_functions, solved_cells, stub_cells
from course_lib.grading import limits, wire
from course_lib.grading.marking import mark
from course_lib.grading.report import Class, report, table, write_csv, write_reports
from course_lib.grading.sandbox import MISSING, sandbox
from course_lib.grading.submissions import MOST_BYTES, MOST_SOURCE, find, read

LESSONS = [source.name[:2] for source in sources()]
IDS = [id for lesson in LESSONS for id in solved_cells(lesson)]
KL, SAMPLE = solved_cells("04")["04.1"], solved_cells("04")["04.2"]
WRONG_KL = KL.replace("return ", "return 2 * ")
SECONDS, SOON = 10.0, 0.5  # for an answer; for one that will not end
IMPORT = re.compile(r"^(?:import|from) (?!course_lib).*", re.M)


def with_imports(*paths: Path) -> list[str]:
    """What these files import, once each: loaded before the cages, not in each of them."""
    return sorted({line for path in paths for line in IMPORT.findall(path.read_text(encoding="utf-8"))})


@pytest.fixture(scope="module")
def box():
    own = [ROOT / "course_lib" / "exercises" / f"lesson_{lesson}.py" for lesson in LESSONS]
    with sandbox(with_imports(Path(right_answers.__file__), *own), []) as box:
        yield box


@pytest.fixture
def shared(box, monkeypatch):
    """`grade` uses the box that is there, where the test is not about how it makes one."""
    monkeypatch.setattr(command, "sandbox", lambda *_: contextlib.nullcontext(box))


def notebook(*answers: tuple[str, str], **more) -> dict:
    """A notebook of these (cell id, source)."""
    cells = [
        {"cell_type": "code", "id": id, "metadata": {}, "outputs": [], "execution_count": None, "source": source}
        for id, source in answers
    ]
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells, **more}


def handed_in(tmp_path: Path, content, name: str = "04_gaussian_elbo.ipynb") -> Path:
    path = tmp_path / "learner" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.fixture
def marked(box, tmp_path):
    """Marks one notebook: give it as bytes, as JSON, or as the text of the answer to 04.1."""

    def run(content, id: str = "04.1", seconds: float = SECONDS):
        if isinstance(content, str):
            content = notebook((f"exercise-{id.replace('.', '-')}", content))
        path = handed_in(tmp_path, content)
        return mark(read("learner", path, tmp_path), box, seconds)

    return run


@pytest.fixture
def first(marked):
    """The mark of one answer, given as its cell's text."""

    def run(source: str, id: str = "04.1"):
        done = marked(source, id)
        return next(m for m in done.marks if m.id == id)

    return run


def protected(done, *names: str) -> None:
    for name in names:
        if name in done.missing:
            pytest.skip(f"this system lacks a protection: {MISSING[name]}")


# Right answers and wrong ones


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_courses_own_answers_are_graded_right(lesson, tmp_path, box):
    source = next(s for s in sources() if s.name.startswith(lesson))
    path = tmp_path / f"ada_{source.stem}.ipynb"
    write(build(source, solved=True), path)
    ((learner, found),) = find(tmp_path)
    done = mark(read(learner, found, tmp_path), box, SECONDS)
    assert learner == "ada"
    assert {m.id: (m.status, m.message) for m in done.marks} == {
        id: ("right", judge(id, course_functions(lesson)[exercise(id).name]).message) for id in solved_cells(lesson)
    }


@pytest.mark.parametrize(("id", "number"), [(id, n) for id in IDS for n in range(len(right_answers.RIGHT[id]))])
def test_right_answers_in_another_style_are_graded_right(first, id, number):
    text = Path(right_answers.__file__).read_text(encoding="utf-8")
    answer = first(f"{text}\n{exercise(id).name} = RIGHT[{id!r}][{number}]\n", id)
    assert answer.status == "right", answer.message


STAND_INS = """
from typing import NamedTuple
class Case(NamedTuple):
    what: str
    arguments: dict
class Mistake(NamedTuple):
    hint: str
    function: object
class Exercise:
    def __init__(self, **fields):
        self.__dict__.update(fields)
def Formula(text):
    return text
"""


def with_mistakes(lesson: str) -> str:
    """The text of a lesson's exercises as a learner's cell could hold it: with it, any mistake is an answer."""
    text = (ROOT / "course_lib" / "exercises" / f"lesson_{lesson}.py").read_text(encoding="utf-8")
    return STAND_INS + "\n".join(line for line in text.splitlines() if not line.startswith("from course_lib"))


@pytest.mark.parametrize("id", IDS)
def test_every_wrong_answer_gets_what_the_notebook_says(box, tmp_path, id):
    text = with_mistakes(id[:2])

    def graded(number: int):
        pick = f"next(e for e in EXERCISES if e.id == {id!r}).mistakes[{number}].function"
        content = notebook((f"exercise-{id.replace('.', '-')}", f"{text}\n{exercise(id).name} = {pick}\n"))
        done = mark(read("learner", handed_in(tmp_path, content, f"{number}.ipynb"), tmp_path), box, SECONDS)
        return next(m for m in done.marks if m.id == id)

    mistakes = exercise(id).mistakes
    with ThreadPoolExecutor(2) as pool:  # the first one starts what all share
        answers = [graded(0), *pool.map(graded, range(1, len(mistakes)))]
    for mistake, answer in zip(mistakes, answers, strict=True):
        said = judge(id, mistake.function)
        assert (answer.status, answer.hint) == ("wrong", mistake.hint)
        assert answer.message == said.message


@pytest.mark.parametrize(
    "body",
    [
        "raise KeyError('mu')",
        "return None",
        "return (mu**2 + log_var).sum(-1).numpy()",
        "return [1.0]",
        "return mu, log_var",
        "return {'kl': mu}",
        "return (mu**2).sum(-1)[:, None]",
        "return (mu**2).sum(-1).float()",
        "return (mu**2).sum(-1).to_sparse()",
        "return (mu**2).sum(-1).to('meta')",
        "return float('nan')",
        "return mu.sum(-1) / 0",
        "print('hello', mu.shape); return 3 * 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)",
        "return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1).detach()",
        "return 0.5 * (mu.detach()**2 + log_var.exp() - 1 - log_var).sum(-1)",
        "mu *= 2; return 0.5 * (mu**2 / 4 + log_var.exp() - 1 - log_var).sum(-1)",
        "return torch.randn(len(mu), dtype=mu.dtype)",
        "return (x for x in mu)",
        "m = torch.from_numpy(mu.detach().numpy()); return 0.5 * (m**2 + log_var.exp() - 1 - log_var).sum(-1)",
    ],
)
def test_broken_answers_are_told_what_the_notebook_tells(first, body):
    import numpy as np

    source, names = f"def gaussian_kl(mu, log_var):\n    {body}\n", {"torch": torch, "np": np}
    exec(source, names)
    said, answer = judge("04.1", names["gaussian_kl"]), first(source)
    if "randn" in body:  # what was drawn differs
        assert (answer.status, answer.hint) == (said.status, said.hint)
    else:
        assert (answer.status, answer.message, answer.hint) == (said.status, said.message, said.hint)
    assert answer.status in ("wrong", "error")


def test_later_exercises_use_earlier_functions_as_in_the_lesson(marked):
    """With a wrong 04.1 and an empty 04.3, 04.5 is right, since the lesson goes on with the course's own."""
    uses = "def negative_elbo(x, logits, mu, log_var):\n    return (gaussian_kl(mu, log_var) - {}).mean()\n"
    own = "def my_helper(x, a):\n    return -(F.softplus(-a) * x + F.softplus(a) * (1 - x)).sum(-1)\n"
    answers = [("exercise-04-1", WRONG_KL), ("exercise-04-5", uses.format("bernoulli_log_likelihood(x, logits)"))]
    done = {m.id: m for m in marked(notebook(*answers)).marks}
    assert (done["04.1"].status, done["04.3"].status, done["04.5"].status) == ("wrong", "missing", "right")
    bernoulli = own + "def bernoulli_log_likelihood(x, logits):\n    return my_helper(x, logits)\n"
    answers = [("exercise-04-3", bernoulli), ("exercise-04-5", uses.format("my_helper(x, logits)"))]
    done = {m.id: m for m in marked(notebook(*answers)).marks}
    assert (done["04.3"].status, done["04.5"].status) == ("right", "right")


def test_a_helper_outside_the_answer_cells_is_explained(marked):
    done = marked(
        notebook(("mine", "def helper(): ..."), ("exercise-04-1", KL.replace("return", "helper()\n    return")))
    )
    assert done.marks[0].status == "error"
    assert "a helper function belongs into the answer cell" in done.marks[0].note


# Cheats. Each is a wrong answer dressed up, and must stay wrong.


def cheat(before: str = "", inside: str = "pass", after: str = "") -> str:
    lines = "\n".join("    " + line for line in inside.splitlines())
    return f"{before}\ndef gaussian_kl(mu, log_var):\n{lines}\n    return mu.sum(-1)\n{after}\n"


FIND = """
import gc
wanted = torch.tensor([1.1627], dtype=torch.float64)  # nobody knows it here; a cheat would look for any such
for o in gc.get_objects() + [v for o in gc.get_objects() if isinstance(o, (list, tuple)) for v in o][:100000]:
    if type(o) is torch.Tensor and o.shape == (1,) and o.dtype == torch.float64 and abs(o.item() - 1.1627) < 1e-3:
        found.append(o)
"""
CHEATS = {
    "patched torch": cheat(
        "torch.allclose = torch.equal = lambda *a, **k: True\ntorch.Tensor.__eq__ = lambda a, b: True\n"
        "torch.Tensor.isfinite = torch.Tensor.shape = None"
    ),
    "patched judge": cheat(
        "import sys, types\nfor n in ('course_lib', 'course_lib.exercises', 'course_lib.exercises.judge', 'judge'):\n"
        "    m = sys.modules[n] = types.ModuleType(n)\n    m.judge = m.check = m.verdict = lambda *a: 'right'"
    ),
    "patched runner": cheat(
        "import sys\nmain = sys.modules['__main__']\n"
        "for f in [v for v in vars(main).values() if callable(v)]:\n    print(f)\n"
        "main.evaluate = main.Capped = None"
    ),
    "own check": cheat(
        after="def check(id, f):\n    print('✓ 04.1 gaussian_kl is right: 6 cases')\n    return f\ncheck(0, 0)"
    ),
    "says it is right": cheat(
        inside="import os\nfor fd in range(3, 30):\n"
        '    try: os.write(fd, b\'{"status": "right"}\')\n    except OSError: pass'
    ),
    "equal to everything": cheat().replace(
        "return mu.sum(-1)",
        "return Yes()\nclass Yes:\n    def __eq__(self, other): return True\n"
        "    def __getattr__(self, n): return Yes()",
    ),
    "tensor subclass": cheat().replace(
        "return mu.sum(-1)",
        "return torch.zeros(len(mu), dtype=mu.dtype).as_subclass(Yes)\nclass Yes(torch.Tensor):\n"
        "    @classmethod\n    def __torch_function__(cls, f, types, args=(), kwargs=None): return True",
    ),
    "imports the judge": cheat(
        inside="from course_lib.exercises import judge\nfrom course_lib.exercises.source import course_functions\n"
        "return course_functions('04')['gaussian_kl'](mu, log_var)"
    ),
    "imports the library": cheat(inside="import course_lib.distributions as d\nreturn d.gaussian_kl(mu, log_var)"),
    "reads the source": cheat(
        inside=f"text = open({str(ROOT / 'lessons' / 'source' / '04_gaussian_elbo.py')!r}).read()\n"
        "i = text.index('def gaussian_kl')\nd = {'torch': torch}\nexec(text[i:text.index('# %%', i)], d)\n"
        "return d['gaussian_kl'](mu, log_var)"
    ),
    "runs a shell": cheat(
        inside=f"import subprocess\nsubprocess.run(['cat', {str(ROOT / 'README.md')!r}], check=True)"
    ),
    "looks up the frames": cheat(
        inside="import sys\nf = sys._getframe()\nwhile f:\n"
        "    for v in [*f.f_locals.values(), *f.f_globals.values()]:\n"
        "        if hasattr(v, 'oracle') or hasattr(v, 'cases'):\n"
        "            return v.oracle(mu, log_var)\n    f = f.f_back"
    ),
    "looks through memory": cheat("found = []" + FIND, "if found:\n    return found[0]"),
}


@pytest.mark.parametrize("name", CHEATS)
def test_a_cheat_stays_wrong(marked, name):
    done = marked(CHEATS[name])
    if name in ("reads the source", "runs a shell"):
        protected(done, "files")
    assert done.marks[0].status in ("wrong", "error"), done.marks[0].message
    assert "did not end" not in done.marks[0].message, "it had no time to cheat"


def test_a_table_of_all_the_courses_cases_is_found_out(first):
    """Right on every case that is public, by looking it up: values and gradients alike."""
    e = exercise("04.1")
    known = [[v.tolist() for v in (*c.arguments.values(), e.oracle(*c.arguments.values()))] for c in e.cases]
    source = (
        f"known = {known!r}\ndef gaussian_kl(mu, log_var):\n    for m, s, kl in known:\n"
        "        if mu.shape == torch.tensor(m).shape and torch.allclose(mu, torch.tensor(m, dtype=mu.dtype)):\n"
        "            value = torch.tensor(kl, dtype=mu.dtype)\n"
        "            return Known.apply(mu, log_var, value)\n    return 0 * mu.sum(-1)\n"
        "class Known(torch.autograd.Function):\n"
        "    @staticmethod\n    def forward(ctx, mu, log_var, value):\n"
        "        ctx.save_for_backward(mu, log_var)\n        return value\n"
        "    @staticmethod\n    def backward(ctx, g):\n        mu, s = ctx.saved_tensors\n"
        "        return g[:, None] * mu, g[:, None] * 0.5 * (s.exp() - 1), None\n"
    )
    names = {"torch": torch}
    exec(source, names)
    assert judge("04.1", names["gaussian_kl"]).status == "right", "or the test shows nothing"
    answer = first(source)
    assert answer.status == "wrong"
    assert "is right on the course's cases, but not on others" in answer.message


def test_wrong_answers_do_not_learn_from_the_courses_own(marked):
    """The course's function is there for later exercises, and never for the one that it would solve."""
    spy = "def {}(*a):\n    raise ValueError([n for n in globals() if n in ('gaussian_kl', 'reparameterize')])\n"
    answers = [("exercise-04-1", spy.format("gaussian_kl")), ("exercise-04-2", spy.format("reparameterize"))]
    one, two = marked(notebook(*answers)).marks[:2]
    assert "ValueError: ['gaussian_kl']" in one.message  # its own
    assert "ValueError: ['gaussian_kl', 'reparameterize']" in two.message


# Harm. Each answer does it and then tries to go on; the grader must stand.


def says(done) -> str:
    return done.marks[0].message


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("import sys; sys.exit('bye')", "it raised SystemExit: bye"),
        ("import os; os._exit(0)", "it ended its process"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV); os.abort()", "its process was ended"),
        ("raise KeyboardInterrupt", "it raised KeyboardInterrupt"),
        ("raise MemoryError", "it raised MemoryError"),
        ("return gaussian_kl(mu, log_var)", "RecursionError"),
        ("while True: pass", "it did not end within 0.5 seconds"),
        ("import time; time.sleep(60)", "it did not end within 0.5 seconds"),
        ("x = bytearray(8 * 2**30)", "it raised MemoryError"),
        ("torch.ones(2**31)", "it raised RuntimeError"),
        ("x = []\nwhile True: x.append(torch.empty(2**26))", "it raised RuntimeError"),
        ("return torch.zeros(1).expand(10**12)", "a tensor of 1000000000000 numbers"),
        ("return torch.zeros(3 * 10**6)", "a tensor of 3000000 numbers"),
        ("return 10 ** 10**5", "an int of"),
        ("return 'x' * 10**10", "it raised MemoryError"),
        ("a = ()\nfor _ in range(10**4): a = (a,)\nreturn a", "a tuple"),
        ("return (x for x in mu)", "a generator"),
        ("return lambda: 1", "a function"),
    ],
)
def test_harm_ends_with_the_answer(marked, inside, expected):
    endless = "did not end" in expected
    start = time.monotonic()
    done = marked(cheat(inside=inside), seconds=SOON if endless else SECONDS)
    assert time.monotonic() - start < 6
    assert done.marks[0].status in ("error", "wrong")
    if "MemoryError" in expected:
        protected(done, "memory")
    assert expected in says(done)


@pytest.mark.parametrize("where", ["os.write(1, b'x' * 2**20)", "print('x' * 2**20)", "sys.stderr.write('x' * 2**20)"])
def test_gigabytes_of_output_go_nowhere(marked, where):
    done = marked(cheat("import os, sys", f"for _ in range(2000): {where}"), seconds=SOON)
    assert done.marks[0].status in ("wrong", "error")
    assert len(says(done)) < 2000


def test_a_flood_where_results_are_read_is_cut_off(marked):
    done = marked(cheat("import os", "while True: os.write(3, b'\\0' * 2**16)"))
    protected(done, "own process")
    assert "it gives back more than can be judged" in says(done)


def test_garbage_where_results_are_read_cannot_be_right(marked):
    for garbage in (b"\0\0\0\4\0\0\0\0null", b"\xff" * 100, b"\0\0\x40\0\0\0\0\0" + b"[" * 0x4000):
        done = marked(cheat("import os", f"os.write(3, {garbage!r})"))
        assert done.marks[0].status == "error"


def test_a_process_that_keeps_forking_is_held(marked):
    """At most 50 children that live for half a second; a limit that root ignores would let all of them live."""
    fork = (
        "import os, time\nlived = 0\nfor _ in range(50):\n    try: pid = os.fork()\n    except OSError: break\n"
        "    if pid == 0: time.sleep(0.5); os._exit(0)\n    lived += 1\nraise ValueError(f'{lived} lived')"
    )
    done = marked(cheat(inside=fork))
    protected(done, "processes")
    number = int(says(done).split("ValueError: ")[1].split(" lived")[0])
    assert number < 8


def test_threads_are_held_and_end_with_the_answer(marked):
    many = (
        "from threading import Thread\nfor _ in range(50): Thread(target=time.sleep, args=(60,), daemon=True).start()"
    )
    start = time.monotonic()
    done = marked(cheat("import time", many))
    protected(done, "processes")
    assert "can't start new thread" in says(done)
    assert time.monotonic() - start < 5


def test_a_child_that_is_left_behind_ends_with_the_answer(marked, tmp_path):
    leave = (
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
        "    time.sleep(30); os._exit(0)\nraise ValueError(os.getuid())"
    )
    before = set(os.listdir("/proc")) if os.path.isdir("/proc") else set()
    done = marked(cheat(inside=leave))
    protected(done, "leftovers")
    uid = int(says(done).split("ValueError: ")[1].split()[0])
    time.sleep(0.2)
    for pid in set(os.listdir("/proc")) - before:
        if pid.isdigit() and os.path.exists(f"/proc/{pid}") and os.geteuid() == 0:
            assert os.stat(f"/proc/{pid}").st_uid != uid


PROBE = """
def tried(do):
    try: return do()
    except BaseException as error: return type(error).__name__
"""


def test_no_network(marked, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), 2).close()  # from here it can be reached
        ask = (
            f"import socket\nraise ValueError(tried(lambda: socket.create_connection(('127.0.0.1', {port}), 1)),"
            " tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 9))))"
        )
        done = marked(cheat(PROBE, ask))
    protected(done, "network", "udp")
    assert "('OSError', 'OSError')" in says(done)


def test_nothing_can_be_written_but_in_a_throw_away_folder(marked, tmp_path):
    target, lib = tmp_path / "planted", Path(torch.__file__).parent / "planted.py"
    ask = (
        f"w = lambda p: open(p, 'w').write('x')\nraise ValueError(tried(lambda: w({str(target)!r})), "
        f"tried(lambda: w({str(lib)!r})), tried(lambda: w('mine')))"
    )
    done = marked(cheat(PROBE, ask))
    protected(done, "files")
    assert "'OSError', 1)" in says(done)
    assert not target.exists()
    assert not lib.exists()
    again = marked(cheat(PROBE, "import os; raise ValueError(os.listdir('.'))"))
    assert "ValueError: []" in says(again)


def test_no_file_is_larger_than_allowed_and_no_disk_fills(marked):
    ask = "f = open('big', 'wb')\nraise ValueError(tried(lambda: [f.write(b'x' * 2**20) for _ in range(100)]))"
    done = marked(cheat(PROBE, ask))
    protected(done, "files")
    assert "OSError" in says(done) or "its process was ended" in says(done)


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A class in two sandboxes at once, by learner: three have solved lesson 04, Eve looks round."""
    folder = tmp_path_factory.mktemp("graded")
    source = next(s for s in sources() if s.name.startswith("04"))
    for name in ("ada", "bob", "cem"):
        write(build(source, solved=True), folder / name / f"{source.stem}.ipynb")
    ask = (
        f"import os\nraise ValueError([tried(lambda: os.listdir(p)) for p in ({str(folder)!r}, '/home', '/proc')], "
        f"[os.path.exists({str(ROOT)!r} + p) for p in ('/lessons', '/course_lib', '/tests', '/.git')])"
    )
    answers = {"eve": cheat(PROBE, ask), **{f"turn{n}": KL if n % 2 else WRONG_KL for n in range(6)}}
    for name, source in answers.items():
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook(("exercise-04-1", source))))
    said = []
    done = grade(folder, jobs=2, say=said.append)
    assert "the first waits until torch is loaded" in said[0]
    assert [line.split("]")[0] for line in said[1:]] == [f"[{n}/10" for n in range(1, 11)]
    return {m.submission.learner: m for m in done}


def test_no_other_learner_and_none_of_the_course_can_be_seen(graded):
    """Eve looks for the others, for herself, and for the course."""
    assert graded["ada"].marks[0].status == "right"
    eve = graded["eve"]
    protected(eve, "files")
    assert "['FileNotFoundError', 'FileNotFoundError', 'FileNotFoundError'], [False, False, False, False]" in says(eve)


def test_what_one_answer_breaks_stays_broken_for_nobody_else(marked):
    vandal = "import builtins\nbuiltins.len = torch.Tensor.sum = None\ntorch.set_default_dtype(torch.float16)\n"
    done = marked(notebook(("exercise-04-1", vandal + KL), ("exercise-04-2", SAMPLE)))
    assert done.marks[0].status in ("wrong", "error")
    protected(done, "own process")
    again = marked(KL)
    assert again.marks[0].status == "right"


# Submissions that are broken, strange, or not what they seem


def edited(cell_id: str = "exercise-04-1", **changes) -> dict:
    content = notebook((cell_id, KL))
    content["cells"][0].update(changes)
    return content


CHECKS = {"nbval-check-output": True, "tags": ["nbval-check-output"]}
STRANGE = {  # name → (content, status of 04.1)
    "edited expected outputs": (
        notebook(("exercise-04-1", WRONG_KL), ("check-04-1", 'gaussian_kl = check("04.1", gaussian_kl)'))
        | {"metadata": {"expected": {"04.1": "✓ right"}}},
        "wrong",
    ),
    "redefined check": (
        notebook(
            ("check-04-1", "def check(id, f):\n    return f"),
            ("exercise-04-1", WRONG_KL),
            ("x", "check = judge = print"),
        ),
        "wrong",
    ),
    "edited imports": (
        notebook(("04-648b0814", "import my_torch as torch\nraise SystemExit"), ("exercise-04-1", KL)),
        "right",
    ),
    "Windows line ends": (edited(source=KL.replace("\n", "\r\n")), "right"),
    "old Mac line ends": (edited(source=KL.replace("\n", "\r")), "right"),
    "source as lines": (edited(source=KL.splitlines(keepends=True)), "right"),
    "prints": (edited(source=KL.replace("return", "print(mu)\n    return")), "right"),
    "numpy in, numpy out": (
        edited(source="import numpy\ndef gaussian_kl(mu, log_var):\n    return numpy.sum(mu.numpy(), -1)"),
        "wrong",
    ),
    "magic lines": (edited(source="%%time\n!ls\n%matplotlib inline\n" + KL), "right"),
    "deleted cell": (notebook(("exercise-04-2", SAMPLE)), "missing"),
    "duplicated cell": (notebook(("exercise-04-1", KL), ("exercise-04-1", KL + "\n")), "right"),
    "duplicated id": (notebook(("exercise-04-1", KL), ("exercise-04-1", WRONG_KL)), "ungraded"),
    "no ids": ({**notebook(("", KL)), "nbformat_minor": 4}, "right"),
    "no ids, two cells": ({**notebook(("", KL), ("", WRONG_KL)), "nbformat_minor": 4}, "ungraded"),
    "new id": (notebook(("exercise-04-2", SAMPLE), ("abc", KL)), "right"),
    "version 3": (
        {"nbformat": 3, "worksheets": [{"cells": [{"cell_type": "code", "language": "python", "input": KL}]}]},
        "right",
    ),
    "answer in a text cell": (edited(cell_type="markdown"), "missing"),
    "another function": (edited(source="def something_else():\n    pass"), "error"),
    "not a function": (edited(source="gaussian_kl = 3"), "error"),
    "syntax error": (edited(source="def gaussian_kl(:\n"), "error"),
    "null byte": (edited(source="\0"), "error"),
    "lone surrogate": (edited(source="x = '\ud800'\n" + KL), "error"),
    "nested brackets": (edited(source="(" * 50_000), "error"),
    "enormous answer": (edited(source="#" * 200_000 + "\n" + KL), "missing"),
    "endless cell": (edited(source="while True: pass"), "error"),
    "stub": (edited(source=stub_cells("04")["04.1"]), "unsolved"),
    "stub, edited": (edited(source=stub_cells("04")["04.1"] + "  # later"), "unsolved"),
    "another version": (notebook(("exercise-04-1", KL), ("exercise-04-99", "x"), ("exercise-77-1", "y")), "right"),
    "cells of no kind": (notebook(("exercise-04-1", KL)) | {"cells": [None, 3, [], {}, *edited()["cells"]]}, "right"),
    "byte order mark": (b"\xef\xbb\xbf" + json.dumps(edited()).encode(), "right"),
    "UTF-16": (json.dumps(edited()).encode("utf-16"), "right"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_notebooks_are_graded_for_what_they_hold(marked, name):
    content, status = STRANGE[name]
    done = marked(content, seconds=SOON if name == "endless cell" else SECONDS)
    assert done.submission.problem == ""
    assert done.marks[0].status == status, done.marks[0].message
    assert done.complete == (status != "ungraded")
    if name == "another version":
        assert "exercise-04-99, exercise-77-1" in done.submission.notes[0]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty"),
        (b"{ not json", "it is no notebook (JSON: "),
        (bytes(range(256)) * 50, "no notebook"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "no notebook"),
        ("déjà".encode("latin-1"), "not text in UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"cells": ' + b"[" * 100_000, "nested too deeply"),
        (b"[]", "it has no cells"),
        (b'{"cells": 3}', "it has no cells"),
        (b'{"cells": []}', None),
        (b"7" * 10_000, "no notebook"),
    ],
)
def test_what_is_no_notebook_is_said_to_be_none(marked, content, problem):
    done = marked(content)
    if problem is None:  # named after a lesson, and empty
        assert {m.status for m in done.marks} == {"missing"}
    else:
        assert problem in done.submission.problem
        assert not done.complete


def test_200_mb_are_not_read(tmp_path):
    path = tmp_path / "big_04_gaussian_elbo.ipynb"
    with path.open("wb") as f:
        f.truncate(200 * 2**20)
    start = time.monotonic()
    assert "it has 200 MB" in read("big", path, tmp_path).problem
    assert time.monotonic() - start < 0.5
    assert MOST_BYTES < 200 * 2**20


def test_links_and_pipes_are_not_followed(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    (outside / "secret.ipynb").write_text(json.dumps(notebook(("exercise-04-1", KL))))
    try:
        (inside / "a.ipynb").symlink_to(outside / "secret.ipynb")
        (inside / "b").symlink_to(outside)
        (inside / "c.ipynb").symlink_to(inside / "c.ipynb")
        os.mkfifo(inside / "d.ipynb")
    except (OSError, AttributeError):
        pytest.skip("this system makes no links or pipes")
    problems = {learner: read(learner, path, inside).problem for learner, path in find(inside)}
    assert set(problems) == {"a", "c", "d"}
    assert "a link that leads out" in problems["a"]
    assert problems["c"]
    assert "no ordinary file" in problems["d"]


def test_a_notebook_of_another_lesson_is_graded_as_that_lesson(tmp_path, box):
    other = next(lesson for lesson in LESSONS if lesson != "04") if len(LESSONS) > 1 else pytest.skip("one lesson only")
    id = next(iter(solved_cells(other)))
    content = notebook((f"exercise-{id.replace('.', '-')}", solved_cells(other)[id]))
    done = mark(read("x", handed_in(tmp_path, content), tmp_path), box, SECONDS)
    assert (done.submission.lesson, done.marks[0].status) == (other, "right")
    strange = read("x", handed_in(tmp_path, notebook(("exercise-88-1", KL)), "notes.ipynb"), tmp_path)
    assert strange.problem == "it has no answer cell of this course, only exercise-88-1"


@pytest.mark.parametrize(
    ("path", "learner"),
    [
        ("ada/04_gaussian_elbo.ipynb", "ada"),
        ("Lovelace, Ada_123_file_/deep/er/x.ipynb", "Lovelace, Ada_123_file_"),
        ("ada_04_gaussian_elbo.ipynb", "ada"),
        ("04_gaussian_elbo-ada.ipynb", "ada"),
        ("04_gaussian_elbo (ada).ipynb", "ada"),
        ("04_gaussian_elbo.ipynb", "04_gaussian_elbo"),
        ("ada.IPYNB", "ada"),
    ],
)
def test_who_a_notebook_belongs_to(tmp_path, path, learner):
    for name in (path, ".ipynb_checkpoints/x.ipynb", "__MACOSX/y.ipynb", "ada/.hidden.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert [name for name, _ in find(tmp_path)] == [learner]


# The command


@pytest.fixture(scope="module")
def classroom(tmp_path_factory):
    """Ada is right, Bob wrong, Cem's notebook broken, and Dot's name a formula."""
    folder = tmp_path_factory.mktemp("class")
    answers = {"ada": KL, "bob": WRONG_KL + "    # ```\n", "=dot()": "while True: pass"}
    for name, source in answers.items():
        (folder / name).mkdir()
        content = notebook(("exercise-04-1", source), ("exercise-04-2", SAMPLE))
        (folder / name / "04_gaussian_elbo.ipynb").write_text(json.dumps(content))
    (folder / "cem").mkdir()
    (folder / "cem" / "lesson.ipynb").write_bytes(b"\xff\xfe\x00")
    return folder


def test_the_command_prints_a_table_and_writes_csv_and_reports(classroom, tmp_path):
    out = tmp_path / "out"
    options = ["--csv", out / "grades.csv", "--reports", out / "reports", "--jobs", "2", "--seconds", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "course_lib.authoring.grade", classroom, *options], capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr  # Cem's
    assert "[4/4]" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    lines = done.stdout.splitlines()
    assert next(line for line in lines if line.startswith("ada")).split()[1:3] == ["✓", "✓"]
    assert next(line for line in lines if line.startswith("bob")).split()[1:3] == ["✗", "✓"]
    assert next(line for line in lines if line.startswith("=dot")).split()[1:3] == ["!", "✓"]
    assert "Not graded: cem/lesson.ipynb: " in done.stdout.replace(os.sep, "/")
    rows = (out / "grades.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0].startswith("learner,04.1,04.2,")
    assert rows[0].endswith(",right,of,not graded")
    assert any(row.startswith("ada,right,right,missing") for row in rows)
    assert any(row.startswith("'=dot(),error,right") for row in rows)
    assert len(list((out / "reports").iterdir())) == 4
    assert "Your answer is twice the KL." in (out / "reports" / "bob.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([""], "folder: got '', wanted a folder of notebooks: make grade FOLDER=handed-in"),
        (["nowhere"], "folder: got 'nowhere', wanted a folder of notebooks"),
        ([".", "--jobs", "0"], "--jobs: got 0, wanted 1 or more"),
        ([".", "--seconds", "0"], "--seconds: got 0, wanted more than 0"),
        (["."], "which holds no notebook"),
        (["class", "--csv", "class/a.ipynb/g.csv"], "cannot be written"),
        (["class", "--csv", "class"], "class cannot be written: Is a directory"),
        (["class", "--reports", "class/a.ipynb"], "--reports: got 'class/a.ipynb', wanted a folder"),
    ],
)
def test_bad_usage_is_named(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "class":
        (tmp_path / "class").mkdir()
        (tmp_path / "class" / "a.ipynb").write_text("{}")
    with pytest.raises(SystemExit) as left:
        command.main(arguments)
    assert left.value.code == 2
    assert says in capsys.readouterr().err


def test_a_class_that_is_graded_whole_ends_with_0(shared, tmp_path, capsys):
    (tmp_path / "ada.ipynb").write_text(json.dumps(notebook(("exercise-04-1", KL))))
    assert command.main([str(tmp_path)]) == 0
    assert "1 of" in capsys.readouterr().out


def test_of_two_notebooks_of_a_lesson_the_better_one_counts(shared, tmp_path):
    (tmp_path / "ada").mkdir()
    for name, source in (("a", KL), ("b", WRONG_KL)):
        (tmp_path / "ada" / f"{name}.ipynb").write_text(json.dumps(notebook(("exercise-04-1", source))))
    group = Class(grade(tmp_path, seconds=SECONDS))
    assert group.status("ada")["04.1"] == "right"
    assert report(group, "ada").count("## ") == 2


def test_several_lessons_stand_side_by_side(shared, tmp_path):
    other = next((lesson for lesson in LESSONS if lesson != "04"), None) or pytest.skip("one lesson only")
    id, answer = next(iter(solved_cells(other).items()))
    theirs = (f"exercise-{id.replace('.', '-')}", answer)
    for path, cell in (("ada/x", theirs), ("ada/y", ("exercise-04-1", KL)), ("bob/z", ("exercise-04-1", KL))):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / f"{path}.ipynb").write_text(json.dumps(notebook(cell)))
    group = Class(grade(tmp_path, seconds=SECONDS))
    write_csv(group, tmp_path / "g.csv")
    with (tmp_path / "g.csv").open(encoding="utf-8", newline="") as f:
        ada, bob = csv.DictReader(f)
    ids = [id for lesson in sorted((other, "04")) for id in solved_cells(lesson)]
    assert list(ada) == ["learner", *ids, "right", "of", "not graded"]
    assert (ada[id], ada["04.1"], ada["right"], ada["of"]) == ("right", "right", "2", str(len(ids)))
    assert (bob[id], bob["04.1"], bob["right"], bob["of"]) == ("", "right", "1", str(len(ids)))
    totals = table(group).splitlines()[3].split()
    assert totals[0] == "right"
    assert totals[1 + ids.index(id)] == "1"
    assert totals[1 + ids.index("04.1")] == "2"
    assert totals[-3:] == ["3", "of", str(2 * len(ids))]


def test_no_text_of_a_learners_leaves_its_place(shared, tmp_path):
    """Line breaks, control characters, markup and spreadsheet formulas in names and messages."""
    evil = "def gaussian_kl(mu, log_var):\n    raise ValueError('so:\\n# You passed\\n```\\n\\x1b[2J\\u202e<script>')\n"
    name = "+cmd|' \x1b[31m" if os.name == "posix" else "+cmd"
    (tmp_path / name).mkdir()
    (tmp_path / name / "x.ipynb").write_text(json.dumps(notebook(("exercise-04-1", evil))))
    group = Class(grade(tmp_path, seconds=SECONDS))
    text = report(group, name)
    assert "\n# You passed" not in text
    assert "\n    # You passed" in text
    assert "\x1b" not in text + table(group)
    assert "\u202e" not in text
    write_csv(group, tmp_path / "g.csv")
    assert "\n'+cmd" in (tmp_path / "g.csv").read_text(encoding="utf-8")
    (path,) = write_reports(group, tmp_path / "reports")
    assert path.parent == tmp_path / "reports"


def test_the_grader_keeps_its_promise_of_time(graded):
    """At most 10 s a notebook, also for the first, which waits for torch; `python -m` above adds the course's own."""
    first, third = graded["ada"].seconds, graded["cem"].seconds
    print(f"first notebook {first:.1f} s, third {third:.1f} s")
    assert first < 10
    assert third < 5


def test_concurrent_notebooks_do_not_mix(graded):
    assert [graded[f"turn{n}"].marks[0].status for n in range(6)] == ["wrong", "right"] * 3
    assert all(m.status == "right" for name in ("ada", "bob", "cem") for m in graded[name].marks)


@pytest.mark.skipif(os.name != "posix", reason="no signal can be sent to a thread")
def test_ctrl_c_ends_it_at_once_and_writes_nothing(tmp_path, monkeypatch, capsys):
    for name, source in (("a", KL), ("b", "while True: pass")):
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(notebook(("exercise-04-1", source))))
    stopped = []

    def stop(*_):
        stopped.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return "one is done"

    monkeypatch.setattr(command, "_line", stop)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = command.main([str(tmp_path), "--jobs", "1", "--csv", str(tmp_path / "g.csv")])
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130
    assert time.monotonic() - stopped[0] < 3
    assert "Stopped; no table and no report is written." in capsys.readouterr().err
    assert (tmp_path / "g.csv").read_text() == ""


# Where a system has less to protect with


@pytest.mark.parametrize("without", [("namespaces",), ("namespaces", "landlock"), ("cage",)])
def test_what_protects_less_says_so_and_still_judges_elsewhere(tmp_path, without):
    """Eve's answers lie, do not end, and spoil what they can; Zoe reads the course's source, which Landlock guards."""
    spoils = (CHEATS["patched torch"] + CHEATS["patched judge"]).replace("gaussian_kl(mu, log_var)", "{}(mu, n)")
    eve = (
        ("exercise-04-1", CHEATS["equal to everything"]),
        ("exercise-04-2", SAMPLE),
        ("exercise-04-3", "while True: pass"),
        ("exercise-04-4", solved_cells("04")["04.4"]),
        ("exercise-04-6", spoils.replace("{}", exercise("04.6").name)),
    )
    class_of = {"ada": (("exercise-04-1", KL), ("exercise-04-2", SAMPLE)), "eve": eve}
    if without == ("namespaces",):
        class_of["zoe"] = (("exercise-04-1", CHEATS["reads the source"]),)
    for name, answers in class_of.items():
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(notebook(*answers)))
    done = grade(tmp_path, seconds=1, without=without)
    assert [m.status for m in done[0].marks[:2]] == ["right", "right"]
    wanted = {"04.1": False, "04.2": True, "04.3": False, "04.4": True, "04.6": False}
    assert {m.id: m.status == "right" for m in done[1].marks if m.id in wanted} == wanted
    assert all("leftovers" in m.missing for m in done)
    if "landlock" in without or "cage" in without:
        assert "files" in done[0].missing
    else:
        protected(done[0], "files")
        assert "PermissionError" in done[2].marks[0].message
    group = Class(done)
    assert "Graded without a protection: a process that an answer starts" in report(group, "ada")


@pytest.mark.skipif(sys.platform != "linux", reason="a system without namespaces")
def test_here_every_protection_works(marked):
    done = marked(KL)
    if os.environ.get("CI") and done.missing:
        print("missing:", done.missing)
    if done.missing:
        pytest.skip("; ".join(MISSING[m] for m in sorted(done.missing)))


def test_a_grader_whose_helper_dies_starts_another(box, marked):
    assert marked(KL).marks[0].status == "right"
    box.process.kill()
    box.process.wait()
    assert marked(KL).marks[0].status == "right"


def test_the_guide_for_teachers_states_the_limits_that_hold():
    """And the exit codes, the time, and what was tried of nbgrader with this JupyterLab."""
    guide = (ROOT / "lessons" / "TEACHING.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (.*?) \| (.*?) \|$", guide, re.M))
    assert rows["time"] == f"{command.SECONDS:.0f} s (`--seconds`)"
    assert rows["memory"].startswith(f"{limits.MEMORY / 2**30:.0f} GiB beyond")
    assert rows["processes and threads"].startswith(f"{limits.TASKS}; held for root, too")
    scratch = (ROOT / "course_lib" / "grading" / "linux.py").read_text(encoding="utf-8")  # Linux alone can import it
    room = re.search(r"size=(\d+)m", scratch)[1]
    assert rows["files"].startswith(f"{limits.FILE / 2**20:.0f} MB each, {limits.FILES} open; ")
    assert rows["files"].endswith(f" of {room} MB")
    assert rows["a notebook"].startswith(f"{MOST_BYTES / 2**20:.0f} MB are read, ")
    assert rows["a notebook"].endswith(f" {MOST_SOURCE:,} characters of an answer".replace(",", " "))
    assert {"0", "1", "2", "130"} <= set(rows)
    assert f"{limits.TASKS} × {limits.MEMORY / 2**30:.0f} GiB" in guide
    pinned = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for package, version in re.findall(r"(JupyterLab|nbconvert) ([\d.]+\d)", guide):
        assert f'"{package.lower()}=={version}"' in pinned, "try it again"


# nbgrader


@pytest.mark.parametrize("source", sources(), ids=LESSONS)
def test_lessons_for_nbgrader_hold_what_nbgrader_asks_for(source):
    """Its rules for a cell's metadata, schema version 3, as its own validator has them; nbgrader is not needed here."""
    notebook = nbgrader.for_nbgrader(source)
    nbformat.validate(notebook)
    told = [(c, c.metadata["nbgrader"]) for c in notebook.cells if "nbgrader" in c.metadata]
    names = [m["grade_id"] for _, m in told]
    assert len(set(names)) == len(names) == 2 * len(solved_cells(source.name[:2]))
    for cell, m in told:
        assert cell.cell_type == "code"
        assert m["schema_version"] == 3
        assert set(m) == {"schema_version", "grade_id", "grade", "solution", "locked", "task"} | {"points"} & set(m)
        assert m["grade"] is not m["solution"]
        assert m["grade"] is m["locked"] is ("points" in m)
        assert not m["task"]
    for (answer, _), (test, m) in zip(told[::2], told[1::2], strict=True):
        assert "### BEGIN SOLUTION" in answer.source
        assert "### END SOLUTION" in answer.source
        seen, hidden = test.source.split("### BEGIN HIDDEN TESTS\n")
        assert "is graded: one point" in seen
        assert "judge" in hidden
        assert test.source.endswith("### END HIDDEN TESTS")
        assert m["points"] == 1
        number = answer.id.removeprefix("exercise-").replace("-", ".")
        after = notebook.cells[notebook.cells.index(test) + 1 :]
        assert any(f'check("{number}"' in c.source for c in after), "the test must see the learner's own function"
        names = dict.fromkeys([exercise(number).name], course_functions(number[:2])[exercise(number).name])
        exec(test.source, names)
        with pytest.raises(AssertionError, match=number):
            exec(test.source, {exercise(number).name: lambda *a: None})


def test_nbgrader_is_told_to_give_a_cell_time(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nbgrader", str(tmp_path)])
    monkeypatch.setattr(nbgrader, "sources", lambda: sources()[:1])
    config = tmp_path / "nbgrader_config.py"
    nbgrader.main()
    names = {}
    exec(config.read_text(), {"get_config": lambda: types.SimpleNamespace(Execute=types.SimpleNamespace())}, names)
    assert names["c"].Execute.timeout == 600
    assert (tmp_path / "source" / sources()[0].stem / f"{sources()[0].stem}.ipynb").exists()
    config.write_text("c = get_config()\n")
    nbgrader.main()
    assert config.read_text() == "c = get_config()\n"
    assert "needs a line more:\n    c.Execute.timeout = 600" in capsys.readouterr().out


# What travels between the processes


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 3, -(2**70), 2.5, "text", [1, [2.0]], (1, (2,)), torch.zeros(0, 3), torch.tensor(1.5)),
        *(torch.arange(6).reshape(2, 3), torch.tensor([True, False]), torch.randn(2, 3, dtype=torch.complex128)),
        *(torch.randn(4).bfloat16(), torch.randn(3, 4).T, torch.randn(3).conj(), torch.eye(3).to_sparse()),
        *(torch.tensor([1.5]).expand(1), torch.tensor([1.5]).expand(3)),
    ],
)
def test_values_travel_unchanged(value):
    (back,) = wire.unpack(wire.pack({"v": value}))
    if isinstance(value, torch.Tensor):
        assert (back["v"].dtype, back["v"].shape, back["v"].layout) == (value.dtype, value.shape, value.layout)
        assert torch.equal(back["v"].to_dense(), value.to_dense())
    else:
        assert back["v"] == value
        assert type(back["v"]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "[]",
            "null",
            "{",
            '{"v": 1}',
            '{"dict": 3}',
            '{"dict": [[1]]}',
            '{"formula": "print(1)"}',
            '{"pickle": "x"}',
        ),
        *(
            '{"tensor": []}',
            '{"tensor": ["float32", [2], "dense", 0, 4]}',
            '{"tensor": ["float32", [-1], "dense", 0, 4]}',
        ),
        *('{"tensor": ["float32", [1], "dense", 100, 4]}', '{"tensor": ["object", [1], "dense", 0, 8]}'),
        *('{"tensor": ["float32", 7, "dense", 0, 4]}', "[" * 5000, "9" * 5000, '{"float": "x"}', '{"tensor": null}'),
    ],
)
def test_what_is_not_well_formed_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011
        list(wire.unpack(wire.LENGTHS.pack(len(text), 8) + text.encode() + bytes(8)))


def test_a_saved_lesson_is_what_nbformat_calls_a_notebook():
    """The notebooks above are made by hand; this keeps them honest."""
    nbformat.validate(nbformat.from_dict(notebook(("exercise-04-1", KL))))
