"""Exercises: `check` an answer, ask for a `hint`, see the `solution`; `judge` gives the verdict as data."""

from collections.abc import Callable

from course_lib.exercises.judge import RIGHT, Verdict, exercise, judge
from course_lib.exercises.source import course_functions, solved_cells

__all__ = ["Verdict", "check", "hint", "judge", "progress", "solution"]

_hints_given: dict[str, int] = {}


def check(id: str, function: Callable) -> Callable:
    """Prints whether `function` solves exercise `id`, and why not; never raises on a bad answer.

    Returns `function` when it is right, else the course's own, so that the lesson always goes on.
    """
    verdict = judge(id, function)
    print(verdict.message)
    if verdict.status == RIGHT:
        return function
    if verdict.hint:
        print(f"  Hint: {verdict.hint}")
    name = exercise(id).name
    print(f'  The lesson goes on with the course\'s own {name}. Stuck? hint("{id}")')
    return course_functions(id[:2])[name]


def hint(id: str, number: int | None = None) -> None:
    """Prints the next of an exercise's hints, or the one with this number."""
    hints = exercise(id).hints
    if number is None:
        number = _hints_given[id] = min(_hints_given.get(id, 0) + 1, len(hints))
    if number not in range(1, len(hints) + 1):
        raise ValueError(f"number: got {number!r}, wanted 1 to {len(hints)}")
    print(f"Hint {number} of {len(hints)} for {id}: {hints[number - 1]}")


def solution(id: str) -> None:
    """Prints the course's answer."""
    exercise(id)
    print(solved_cells(id[:2])[id])


def progress(lesson: str | None = None) -> None:
    """Prints which exercises are right in your saved notebooks, of one lesson or of all, and what to do next."""
    from course_lib.progress import progress  # which needs what a check does not

    progress(lesson)
