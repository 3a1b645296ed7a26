"""Progress: what is right in the saved notebooks, without running a lesson."""

import contextlib
import json
import subprocess
import sys
import time

import pytest

import course_lib.progress
from course_lib.authoring.build import LESSONS, build, sources, write
from course_lib.exercises import progress as progress_in_a_notebook
from course_lib.exercises.source import solved_cells
from course_lib.grading import sandbox
from course_lib.progress import main, progress

SOURCE = next(s for s in sources() if s.stem == "04_gaussian_elbo")


@pytest.fixture(scope="module")
def box():
    with sandbox.sandbox(["import torch", "import torch.distributions"], []) as box:
        yield box


@pytest.fixture(scope="module")
def solved():
    return build(SOURCE, solved=True)


@pytest.fixture
def lesson(tmp_path, solved, box, monkeypatch):
    """Lesson 04, solved, in a folder of its own; a function changes one answer. All tests share a sandbox."""
    monkeypatch.setattr(sandbox, "sandbox", lambda *_: contextlib.nullcontext(box))
    path = tmp_path / f"{SOURCE.stem}.ipynb"
    write(solved, path)

    def answer(id: str, source: str):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["id"] == f"exercise-{id.replace('.', '-')}":
                cell["source"] = source
        path.write_text(json.dumps(notebook), encoding="utf-8")
        return tmp_path

    answer.folder = tmp_path
    return answer


def test_all_right(lesson, capsys):
    progress(folder=lesson.folder)
    out = capsys.readouterr().out
    assert "04_gaussian_elbo   7 of 7   04.1 ✓  04.2 ✓" in out
    assert "All of them are right. Well done!" in out


def test_a_wrong_answer_is_shown_with_its_message_and_a_loop_does_not_hang(lesson, capsys, monkeypatch):
    assert course_lib.progress.SECONDS <= 3
    monkeypatch.setattr(course_lib.progress, "SECONDS", 1.0)
    wrong = solved_cells("04")["04.2"].replace("return", "return 2 *")
    lesson("04.2", wrong)
    start = time.monotonic()
    progress("04", lesson("04.6", "while True: pass"))
    assert time.monotonic() - start < 12
    out = capsys.readouterr().out
    assert "5 of 7   04.1 ✓  04.2 ✗  04.3 ✓  04.4 ✓  04.5 ✓  04.6 !  04.7 ✓" in out
    assert "Next: 04.2 in 04_gaussian_elbo.ipynb" in out
    assert "✗ 04.2 reparameterize is not right yet: case 1 of 6" in out


def test_what_is_next_is_the_first_empty_exercise_of_a_lesson_that_was_begun(lesson, capsys):
    progress(folder=lesson("04.3", "def bernoulli_log_likelihood(x, logits):\n    raise NotImplementedError"))
    assert 'Next: 04.3 in 04_gaussian_elbo.ipynb. Stuck? hint("04.3")' in capsys.readouterr().out


def test_a_notebook_that_cannot_be_read_is_named(lesson, capsys):
    (lesson.folder / f"{SOURCE.stem}.ipynb").write_text("{")
    progress(folder=lesson.folder)
    assert "it is no notebook" in capsys.readouterr().out


def test_an_unknown_lesson_is_named(lesson):
    with pytest.raises(ValueError, match=r"lesson: got '77'.*wanted one of .*04"):
        progress("77", lesson.folder)


def test_the_command_and_the_function_look_at_the_courses_own_folder(capsys, monkeypatch):
    """In seconds: the shipped lessons are unsolved, so nothing needs to be run."""
    lesson = sorted(LESSONS.glob("*.ipynb"))[0].stem
    progress_in_a_notebook(lesson[:2])
    assert lesson in capsys.readouterr().out
    start = time.monotonic()
    command = [sys.executable, "-m", "course_lib.progress", lesson[:2]]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert time.monotonic() - start < 30, "a lesson was run"
    assert done.returncode == 0
    assert lesson in done.stdout
    monkeypatch.setattr(sys, "argv", ["progress", "77"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "lesson: got '77'" in capsys.readouterr().err
