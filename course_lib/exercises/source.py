"""The one place where solutions live: lessons/source/NN_name.py, between nbgrader's marks."""

import ast
import functools
import math
import re
from collections.abc import Callable
from pathlib import Path

import torch

from course_lib import ROOT

SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n(.*?)^[ \t]*### END SOLUTION[ \t]*(?:\n|\Z)", re.M | re.S)
EXERCISE = re.compile(r'^# %%[^\n]*\bexercise="(\d\d\.\d+)"[^\n]*\n(.*?)(?=^# %%|\Z)', re.M | re.S)


def lesson_source(lesson: str) -> Path:
    """The source of lesson "04". Raises FileNotFoundError where the lessons are not beside the library."""
    found = sorted((ROOT / "lessons" / "source").glob(f"{lesson}_*.py"))
    if not found:
        raise FileNotFoundError(
            f"no lesson {lesson!r} in lessons/source beside course_lib: install the course from its own folder, "
            "as `make setup` does (pip install -e .)"
        )
    return found[0]


@functools.cache
def lesson_names() -> dict[str, str]:
    """Lesson "04" → "04_gaussian_elbo", in order."""
    return {p.stem[:2]: p.stem for p in sorted((ROOT / "lessons" / "source").glob("[0-9][0-9]_*.py"))}


@functools.cache
def lesson_imports(lesson: str) -> tuple[str, ...]:
    """The imports of the lesson's first code cell, those of the course's own library left out."""
    text = lesson_source(lesson).read_text(encoding="utf-8")
    first = re.search(r"^# %%(?![^\n]*\[markdown\])[^\n]*\n(.*?)(?=^# %%|\Z)", text, re.M | re.S)
    found = [n for n in ast.parse(first[1] if first else "").body if isinstance(n, ast.Import | ast.ImportFrom)]
    return tuple(line for line in map(ast.unparse, found) if "course_lib" not in line)


def as_stub(cell: str) -> str:
    """The cell as a learner gets it: the solution replaced by a NotImplementedError."""
    return SOLUTION.sub(r"\1# YOUR CODE HERE\n\1raise NotImplementedError\n", cell).rstrip("\n")


def as_solved(cell: str) -> str:
    """The cell with its solution, without the marks."""
    return SOLUTION.sub(r"\2", cell).rstrip("\n")


@functools.cache
def solved_cells(lesson: str) -> dict[str, str]:
    """Exercise id → its solved cell, in the order of the lesson."""
    text = lesson_source(lesson).read_text(encoding="utf-8")
    return {number: as_solved(cell) for number, cell in EXERCISE.findall(text)}


@functools.cache
def stub_cells(lesson: str) -> dict[str, str]:
    """Exercise id → the cell as learners get it."""
    text = lesson_source(lesson).read_text(encoding="utf-8")
    return {number: as_stub(cell) for number, cell in EXERCISE.findall(text)}


@functools.cache
def course_functions(lesson: str) -> dict[str, Callable]:
    """Function name → the course's own answer; later exercises see the functions of earlier ones, as in the lesson."""
    names: dict = {"torch": torch, "math": math, "F": torch.nn.functional}
    for number, cell in solved_cells(lesson).items():
        exec(compile(cell, f"<solution {number}>", "exec"), names)
    return {name: value for name, value in names.items() if not name.startswith("_") and callable(value)}
