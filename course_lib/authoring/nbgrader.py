"""Writes the lessons as nbgrader's source notebooks: the same cells, with nbgrader's metadata and a hidden test each.

    python -m course_lib.authoring.nbgrader FOLDER      writes FOLDER/source/NN_name/NN_name.ipynb, and a
                                                        nbgrader_config.py where there is none

nbgrader itself is no part of this course. What it is told: an exercise is an autograded answer, worth one point, and
the cell behind it holds a hidden test that asks the course's judge. The test comes before the lesson's own check, which
would put the course's function in the place of a wrong one. lessons/TEACHING.md says what was tried with it.
"""

import argparse
import shutil
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course_lib.authoring.build import LESSONS, build, sources, write
from course_lib.exercises.judge import exercise
from course_lib.exercises.source import EXERCISE

TEST = """# Here {name} is graded: one point.
### BEGIN HIDDEN TESTS
from course_lib.exercises import judge

verdict = judge("{id}", {name})
assert verdict.status == "right", verdict.message
### END HIDDEN TESTS"""

CONFIG = """c = get_config()
c.Execute.timeout = 600  # seconds for a cell; nbgrader's own 30 are too few where a cell trains
"""


def for_nbgrader(source: Path) -> NotebookNode:
    """The lesson with its solutions between nbgrader's marks."""
    notebook = build(source)
    marked = {f"exercise-{n.replace('.', '-')}": (n, cell) for n, cell in EXERCISE.findall(source.read_text("utf-8"))}
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.id in marked:
            number, text = marked[cell.id]
            cell.source = text.rstrip()
            cell.metadata["nbgrader"] = _told(cell.id, solution=True, locked=False)
            test = new_code_cell(TEST.format(id=number, name=exercise(number).name))
            test.id = cell.id.replace("exercise", "grade")
            test.metadata["nbgrader"] = _told(test.id, grade=True, locked=True, points=1)
            cells.append(test)
    notebook.cells = cells
    return notebook


def _told(id: str, **fields) -> dict:
    """nbgrader's schema, version 3: exactly these fields, and points where there is a grade."""
    return {"schema_version": 3, "grade_id": id, "grade": False, "solution": False, "task": False, **fields}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m course_lib.authoring.nbgrader", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="nbgrader's course folder")
    given = parser.parse_args()
    for source in sources():
        folder = given.folder / "source" / source.stem
        write(for_nbgrader(source), folder / f"{source.stem}.ipynb")
        shutil.copytree(LESSONS / "figures", folder / "figures", dirs_exist_ok=True)
        print(folder)
    config = given.folder / "nbgrader_config.py"
    if not config.exists():
        config.write_text(CONFIG, encoding="utf-8")
        print(config)
    elif "Execute.timeout" not in config.read_text(encoding="utf-8"):
        print(f"{config} needs a line more:\n    {CONFIG.splitlines()[1]}")


if __name__ == "__main__":
    main()
