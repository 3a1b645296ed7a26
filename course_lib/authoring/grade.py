"""Grades a folder of learners' notebooks: a table learner × exercise, and a report for each learner.

    python -m course_lib.authoring.grade FOLDER [--csv FILE] [--reports FOLDER] [--jobs N] [--seconds S]

It believes nothing but the answer cells, and runs them where they can reach neither the solutions nor each other.
lessons/TEACHING.md says how, and what a class needs a container for.

Exit codes: 0 everything was graded, 1 something could not be, 2 the command makes no sense, 130 stopped by Ctrl+C.
"""

import argparse
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from course_lib.exercises.source import lesson_imports, lesson_names
from course_lib.grading.marking import Marked, mark
from course_lib.grading.report import Class, plain, table, write_csv, write_reports
from course_lib.grading.sandbox import MISSING, sandbox
from course_lib.grading.submissions import find, read

SECONDS = 10.0  # as the check in the notebook allows


def grade(
    folder: Path,
    jobs: int = 1,
    seconds: float = SECONDS,
    say: Callable[[str], None] = lambda line: None,
    without: tuple[str, ...] = (),
) -> list[Marked]:
    """Marks every notebook below `folder`, in order; `say` is told of each as it is done.

    Ctrl+C ends what runs, and is raised again.
    """
    folder = Path(folder)
    waiting: queue.Queue[tuple] = queue.Queue()
    for found in enumerate(find(folder)):
        waiting.put(found)
    total, done, boxes = waiting.qsize(), {}, []
    say(f"Grading {total} notebook{'s' * (total != 1)}; the first waits until torch is loaded.")

    def work() -> None:
        with sandbox(_preload(), [folder], without) as box:
            boxes.append(box)
            while True:
                try:
                    number, (learner, path) = waiting.get_nowait()
                except queue.Empty:
                    return
                start = time.monotonic()
                try:
                    marked = mark(read(learner, path, folder), box, seconds)
                except Exception as error:  # one notebook must not stop the others
                    marked = Marked(read(learner, path, folder), [])
                    marked.submission.problem = f"the grader failed on it, {type(error).__name__}: {error}"
                box.end_of_learner()
                marked.seconds = time.monotonic() - start
                done[number] = marked
                say(_line(len(done), total, marked))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(jobs, total))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        waiting.queue.clear()
        for box in boxes:
            box.close()
        raise
    return [done[n] for n in sorted(done)]


def _preload() -> list[str]:
    """What answers import, loaded once for all: the lessons' own imports, and what is slow in torch."""
    lines = {line for lesson in lesson_names() for line in lesson_imports(lesson)}
    return [*sorted(lines), "import torch.distributions"]


def _line(number: int, total: int, marked: Marked) -> str:
    s = marked.submission
    what = f"not graded: {s.problem}" if s.problem else f"{marked.right} of {len(marked.marks)} right"
    return plain(f"[{number}/{total}] {s.learner}, lesson {s.lesson or '?'}: {what} ({marked.seconds:.1f} s)")


def _named(text: str) -> Path:
    """A path; `make grade` without FOLDER gives an empty one, which would mean this folder."""
    if not text:
        raise argparse.ArgumentTypeError("got '', wanted a folder of notebooks: make grade FOLDER=handed-in")
    return Path(text)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m course_lib.authoring.grade", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=_named, help="learners' notebooks, at any depth")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write the table there")
    parser.add_argument("--reports", type=Path, metavar="FOLDER", help="write a page for each learner there")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="notebooks at once")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="time for an answer (default: 10)")
    given = parser.parse_args(arguments)
    if not given.folder.is_dir():
        parser.error(f"folder: got {str(given.folder)!r}, wanted a folder of notebooks")
    if given.jobs < 1:
        parser.error(f"--jobs: got {given.jobs}, wanted 1 or more")
    if not 0 < given.seconds <= 3600:
        parser.error(f"--seconds: got {given.seconds:g}, wanted more than 0, at most 3600")
    if given.reports and given.reports.exists() and not given.reports.is_dir():
        parser.error(f"--reports: got {str(given.reports)!r}, wanted a folder")
    if not find(given.folder):
        parser.error(f"folder: got {str(given.folder)!r}, which holds no notebook")
    try:  # now, not when an hour of grading is to be kept
        if given.csv:
            given.csv.parent.mkdir(parents=True, exist_ok=True)
            given.csv.open("a").close()
        if given.reports:
            given.reports.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"{error.filename} cannot be written: {error.strerror}")
    sys.stdout.reconfigure(errors="backslashreplace")
    try:
        marked = grade(given.folder, given.jobs, given.seconds, lambda line: print(line, file=sys.stderr, flush=True))
    except KeyboardInterrupt:
        print("Stopped; no table and no report is written.", file=sys.stderr)
        return 130
    group = Class(marked)
    for name in group.missing:
        print(f"Graded without a protection: {MISSING[name]}.")
    print(table(group))
    for m in marked:
        if not m.complete:
            ids = ", ".join(mark.id for mark in m.marks if mark.status == "ungraded")
            print(plain(f"Not graded: {m.submission.path.relative_to(given.folder)}: {m.submission.problem or ids}"))
    if given.csv:
        write_csv(group, given.csv)
    if given.reports:
        write_reports(group, given.reports)
    return 0 if all(m.complete for m in marked) else 1


if __name__ == "__main__":
    sys.exit(main())
