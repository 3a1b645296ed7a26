"""Which exercises are right, in your saved notebooks.

    python -m course_lib.progress [LESSON]        or `make progress`, or progress() in a notebook

Only the answer cells are run, in a process of their own, so no lesson is run and a loop that never ends is stopped.
"""

import argparse
import sys
from pathlib import Path

from course_lib import ROOT

SECONDS = 3.0  # for an answer


def progress(lesson: str | None = None, folder: str | Path | None = None) -> None:
    """Prints a table of the lessons and their exercises, and what to do next. Save your notebook first (Ctrl+S)."""
    from course_lib.exercises.source import lesson_imports, lesson_names
    from course_lib.grading.marking import mark
    from course_lib.grading.report import SIGN
    from course_lib.grading.sandbox import sandbox
    from course_lib.grading.submissions import read

    folder = Path(folder or ROOT / "lessons")
    names = {
        n: name for n, name in lesson_names().items() if lesson in (None, n) and (folder / f"{name}.ipynb").exists()
    }
    if not names:
        wanted = ", ".join(lesson_names())
        raise ValueError(f"lesson: got {lesson!r}, and {folder} holds no such notebook; wanted one of {wanted}")
    rows, width = [], max(map(len, names.values()))
    imports = {line for n in names for line in lesson_imports(n)}
    with sandbox(sorted(imports), []) as box:
        for name in names.values():
            done = mark(read("you", folder / f"{name}.ipynb", folder), box, SECONDS)
            signs = "  ".join(f"{m.id} {SIGN[m.status]}" for m in done.marks)
            right = f"{done.right} of {len(done.marks)}"
            print(f"{name:{width}}  {right:>7}   {done.submission.problem or signs}", flush=True)
            rows += [(name, m) for m in done.marks]
    right = sum(m.status == "right" for _, m in rows)
    print(f"\n{right} of {len(rows)} right   (✓ right  ✗ wrong  ! error  ○ not solved  – not there  ? two versions)")
    print(_next(rows))


def _next(rows: list) -> str:
    """The first answer that is there and not right; else the first that is not there, in the lesson begun last."""
    tried = [(name, m) for name, m in rows if m.status in ("wrong", "error", "ungraded")]
    begun = {name for name, m in rows if m.status == "right"}
    empty = [(name, m) for name, m in rows if m.status in ("unsolved", "missing")]
    left = tried or [row for row in empty if row[0] in begun] or empty
    if not left:
        return "All of them are right. Well done!" if rows else ""
    name, m = left[0]
    lines = [f"Next: {m.id} in {name}.ipynb", "", m.message, *([f"  Hint: {m.hint}"] * bool(m.hint)), m.note]
    return (
        "\n".join(lines).rstrip() if tried else f'Next: {m.id} in {name}.ipynb. Stuck? hint("{m.id}") in the notebook'
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m course_lib.progress", description=__doc__.splitlines()[0])
    parser.add_argument("lesson", nargs="?", help='one lesson, "04"; all when left out')
    given = parser.parse_args()
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        progress(given.lesson)
    except ValueError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
