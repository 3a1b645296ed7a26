"""Reads what learners handed in, and believes nothing but the text of the answer cells.

A notebook's learner is its folder, the first one below the folder that is graded: `ada/04_gaussian_elbo.ipynb`. A
notebook that lies in no folder names its learner itself: `ada_04_gaussian_elbo.ipynb` or `04_gaussian_elbo-ada.ipynb`.

An answer is the cell whose id says so, `exercise-04-1`. Programs that write an old format lose the ids; then it is the
only cell that defines the function at its top level. Everything else in the notebook is ignored.
"""

import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from course_lib.exercises.judge import Exercise, exercises
from course_lib.exercises.source import lesson_names

MOST_BYTES = 32 * 2**20  # a lesson saved with all its figures and widgets has 2 to 5 MB
MOST_SOURCE = 100_000  # characters of an answer
ANSWER = re.compile(r"exercise-(\d\d)-(\d+)\Z")


class Cell(NamedTuple):
    id: str
    source: str


class Answer(NamedTuple):
    source: str | None  # None: there is none to judge
    note: str = ""  # what a reader of the report must know about it
    ambiguous: bool = False


@dataclass
class Submission:
    """One learner's notebook. `problem` says why none of it can be graded, and is "" otherwise."""

    learner: str
    path: Path
    problem: str = ""
    lesson: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)  # exercise id → answer, in the lesson's order
    notes: list[str] = field(default_factory=list)


def find(folder: Path) -> list[tuple[str, Path]]:
    """(learner, path) of every notebook below `folder`, in order. Links to folders are not followed."""
    found = []
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        for name in sorted(files):
            if name.lower().endswith(".ipynb") and not name.startswith("."):
                path = Path(at, name)
                inside = path.relative_to(folder).parts
                found.append((inside[0] if len(inside) > 1 else _learner_in(path.stem), path))
    return found


def _learner_in(stem: str) -> str:
    for lesson in lesson_names().values():
        if lesson in stem:
            return stem.replace(lesson, "", 1).strip(" _-.()") or stem
    return stem


def read(learner: str, path: Path, folder: Path) -> Submission:
    """The answers in a notebook. Never raises for what it holds."""
    submission = Submission(learner, path)
    try:
        cells, others = _cells(_json(path, folder))
        submission.lesson = _lesson(path.stem, cells)
    except (ValueError, OSError, RuntimeError) as error:  # the last of a link to itself
        submission.problem = str(error)
        return submission
    own = exercises(submission.lesson)
    known = {_cell_id(e) for e in own}
    strange = sorted({c.id for c in cells if ANSWER.match(c.id) and c.id not in known})
    if strange:
        submission.notes.append(
            f"Cells of another lesson or version, not looked at: {', '.join(strange[:10])}"
            + (f" and {len(strange) - 10} more" if len(strange) > 10 else "")
        )
    for e in own:
        answer = _answer(e, cells, known)
        if answer.source is None and _cell_id(e) in others:
            answer = Answer(None, f"{_cell_id(e)} is no code cell any more")
        submission.answers[e.id] = answer
    return submission


def _json(path: Path, folder: Path) -> Any:
    """The notebook as data. ValueError or OSError with a reason that a teacher understands."""
    if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError("it is a link that leads out of the folder")
    fd = os.open(path.resolve(), os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(fd, "rb") as f:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("it is no ordinary file")
        if (size := os.fstat(fd).st_size) > MOST_BYTES:
            raise ValueError(f"it has {size / 2**20:.0f} MB, more than the {MOST_BYTES / 2**20:.0f} MB that are read")
        data = f.read(MOST_BYTES + 1)
    try:
        return json.loads(data)
    except UnicodeDecodeError:
        raise ValueError("it is not text in UTF-8, so no notebook") from None
    except RecursionError:
        raise ValueError("it is nested too deeply for a notebook") from None
    except ValueError as error:
        what = "it is empty" if not data.strip() else f"it is no notebook (JSON: {str(error)[:80]})"
        raise ValueError(what) from None


def _cells(notebook: Any) -> tuple[list[Cell], set[str]]:
    """The code cells, and the ids of the others."""
    found = notebook.get("cells") if isinstance(notebook, dict) else None
    if found is None and isinstance(notebook, dict):  # version 3
        sheets = notebook.get("worksheets")
        found = (
            [c for s in sheets if isinstance(s, dict) for c in s.get("cells", [])] if isinstance(sheets, list) else None
        )
    if not isinstance(found, list):
        raise ValueError("it is JSON, but no notebook: it has no cells")
    code, others = [], set()
    for cell in found:
        if not isinstance(cell, dict):
            continue
        id = cell.get("id") if isinstance(cell.get("id"), str) else ""
        if cell.get("cell_type") != "code":
            others.add(id)
            continue
        source = cell.get("source", cell.get("input", ""))
        source = "".join(map(str, source)) if isinstance(source, list) else source
        if isinstance(source, str):
            code.append(Cell(id, source.replace("\r\n", "\n").replace("\r", "\n")))
    return code, others


def _lesson(stem: str, cells: list[Cell]) -> str:
    """The lesson whose answer cells there are; without any, the one that the file is named after."""
    found: dict[str, set] = {}
    for cell in cells:
        if (m := ANSWER.match(cell.id)) and exercises(m[1]):
            found.setdefault(m[1], set()).add(cell.id)
    if found:
        return max(sorted(found), key=lambda lesson: len(found[lesson]))
    for lesson, name in lesson_names().items():
        if name in stem and exercises(lesson):
            return lesson
    ids = sorted({c.id for c in cells if ANSWER.match(c.id)})
    what = f"only {', '.join(ids[:3])}" if ids else "and its name is that of no lesson"
    raise ValueError(f"it has no answer cell of this course, {what}")


def _cell_id(e: Exercise) -> str:
    return f"exercise-{e.id.replace('.', '-')}"


def _answer(e: Exercise, cells: list[Cell], known: set[str]) -> Answer:
    with_id = [c.source for c in cells if c.id == _cell_id(e)]
    note = ""
    if not with_id:
        defines = re.compile(rf"^(?:async +)?def +{e.name} *\(|^{e.name} *= *lambda\b", re.M)
        with_id = [c.source for c in cells if c.id not in known and defines.search(c.source)]
        note = f"The cell {_cell_id(e)} is not there; judged is the cell that defines {e.name}."
    different = {source.rstrip() for source in with_id}
    if not different:
        return Answer(None, f"The cell {_cell_id(e)} is not in the notebook.")
    if len(different) > 1:
        what = f"{len(different)} different cells claim to be {_cell_id(e)}" + (
            " (by the function's name)" * bool(note)
        )
        return Answer(None, f"{what}: which one counts?", ambiguous=True)
    source = different.pop()
    if len(source) > MOST_SOURCE:
        return Answer(None, f"The answer has {len(source):,} characters, more than the {MOST_SOURCE:,} that are read.")
    return Answer(source, note)
