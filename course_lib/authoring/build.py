"""Builds the notebooks that learners open from lessons/source/NN_name.py (jupytext py:percent).

    python -m course_lib.authoring.build                  lessons/*.ipynb, with stubs
    python -m course_lib.authoring.build --solved FOLDER  the same lessons with their solutions, into FOLDER

An exercise is a code cell `# %% exercise="04.1"` with nbgrader's solution marks, followed by a cell that calls
`check("04.1", ...)`. The builder makes the stub, adds the folded hints behind the check, names cells and sets the
slides. The same source gives the same bytes. A notebook in which somebody has worked is left alone. None is shipped
with an output: a "right" that nobody has earned yet would mislead, and what nbval is to expect of a check is known to
`course_lib.nbval_plugin`.
"""

import argparse
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from course_lib import ROOT
from course_lib.exercises.judge import exercise
from course_lib.exercises.source import as_solved, as_stub
from course_lib.merging import is_worked_in
from course_lib.nbval_plugin import CHECK

LESSONS = ROOT / "lessons"
KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def build(source: Path, solved: bool = False) -> NotebookNode:
    """The notebook of one source file: as learners get it, or with the solutions in place."""
    lesson = source.name[:2]
    cells, exercises = [], []
    for cell in jupytext.read(source).cells:
        cell.metadata.pop("lines_to_next_cell", None)
        if number := cell.metadata.pop("exercise", None):
            if as_stub(cell.source) == cell.source.rstrip("\n"):
                raise ValueError(f"{source.name}: exercise {number} has no ### BEGIN SOLUTION and ### END SOLUTION")
            exercises.append(number)
            cell.source = as_solved(cell.source) if solved else as_stub(cell.source)
            _name(cell, f"exercise-{number}", "exercise")
            cells.append(cell)
        elif cell.cell_type == "code" and (found := CHECK.search(cell.source)):
            number = found[1]
            if number not in exercises:
                raise ValueError(f"{source.name}: check {number} comes before its exercise")
            _name(cell, f"check-{number}", "nbval-check-output")
            cells += [cell, _hints(number)]
        else:
            cell.id = _steady_id(lesson, cell.source, {c.id for c in cells})
            cells.append(cell)
        _slide(cell, for_deck=solved)
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=KERNEL)
    nbformat.validate(notebook)
    return notebook


def write(notebook: NotebookNode, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8", newline="\n")


def sources(lesson: str | None = None) -> list[Path]:
    """The sources of all lessons, or of lesson "04". Raises ValueError where there is none."""
    found = sorted((LESSONS / "source").glob(f"{lesson or '??'}_*.py"))
    if not found:
        raise ValueError(f"lesson: got {lesson!r}, and lessons/source holds no such file")
    return found


def _hints(number: str) -> NotebookNode:
    folded = (
        f"<details><summary>Hint {i}</summary>\n\n{hint}\n\n</details>"
        for i, hint in enumerate(exercise(number).hints, 1)
    )
    cell = new_markdown_cell("\n".join(folded), metadata={"slideshow": {"slide_type": "skip"}})
    _name(cell, f"hints-{number}")
    return cell


def _name(cell: NotebookNode, id: str, *tags: str) -> None:
    cell.id = id.replace(".", "-")
    if tags:
        cell.metadata["tags"] = sorted({*cell.metadata.get("tags", []), *tags})


def _steady_id(lesson: str, source: str, taken: set[str]) -> str:
    """From the cell's text: a cell put in elsewhere changes no other cell's id."""
    for salt in ["", *range(1, 99)]:
        text = f"{source}{salt}"
        id = f"{lesson}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        if id not in taken:
            return id
    raise ValueError(f"lesson {lesson}: too many cells with the text {source[:40]!r}")


def _slide(cell: NotebookNode, for_deck: bool) -> None:
    """A heading opens a slide, a third-level heading one below it; `slide="..."` on a cell overrides.

    What only a deck reads (authoring/deck.py) stays out of the learners' notebooks: `slide="code"` shows the cell's
    code, `says="..."` is a slide's headline, `minutes=5` a section's time.
    """
    kind = cell.metadata.pop("slide", None)
    marks = {name: cell.metadata.pop(name) for name in ("says", "minutes") if name in cell.metadata}
    if kind == "code":
        kind, marks["show"] = None, "code"
    if kind is None and cell.cell_type == "markdown":
        kind = {"#": "slide", "##": "slide", "###": "subslide"}.get(re.split(r"\s", cell.source, maxsplit=1)[0])
    marks = marks if for_deck else {}
    if kind is not None:
        marks["slide_type"] = kind
    if marks:
        cell.metadata["slideshow"] = marks


def _is_worked_in(path: Path, notebook: NotebookNode) -> bool:
    try:
        return is_worked_in(json.loads(path.read_text(encoding="utf-8")), notebook)
    except ValueError:  # whatever it is, it is not ours
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lesson", nargs="?", help='one lesson, "04"; all when left out')
    parser.add_argument("--solved", type=Path, metavar="FOLDER", help="write solved lessons there instead")
    given = parser.parse_args()
    try:
        found = sources(given.lesson)
    except ValueError as error:
        parser.error(str(error))
    if given.solved:
        shutil.copytree(LESSONS / "figures", given.solved / "figures", dirs_exist_ok=True)
    kept = []
    for source in found:
        path = (given.solved or LESSONS) / f"{source.stem}.ipynb"
        notebook = build(source, solved=given.solved is not None)
        if given.solved is None and path.exists() and _is_worked_in(path, notebook):
            kept.append(path)
            continue
        write(notebook, path)
        print(path)
    if kept:
        sys.exit(f"left as they are, since somebody has worked in them; move them away: {', '.join(map(str, kept))}")


if __name__ == "__main__":
    main()
