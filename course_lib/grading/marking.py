"""Marks one learner's notebook, exercise by exercise, each in a process of its own (`sandbox.py`).

What an answer gives back is judged here, where it cannot reach, by the same rules as in the notebook (`judge.verdict`).
As in the lesson, later exercises use the learner's earlier functions where these are right, else the course's own; the
course's are handed out only after the answer to the same exercise has been marked.
"""

import hashlib
import threading
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from course_lib.exercises.judge import (
    ERROR,
    RIGHT,
    UNSOLVED,
    WRONG,
    Answer,
    Case,
    Exercise,
    Verdict,
    case_dtype,
    exercises,
    not_a_function,
    out_of_time,
    unsolved_message,
    verdict,
)
from course_lib.exercises.running import Run, same
from course_lib.exercises.source import lesson_imports, solved_cells, stub_cells
from course_lib.grading.sandbox import Outcome, Sandbox
from course_lib.grading.submissions import Submission

MISSING, UNGRADED = "missing", "ungraded"
ONLY_ANSWERS = (
    "Only the answer cells are run: a helper function belongs into the answer cell, and course_lib is not there."
)
_judging = threading.Lock()  # judging redirects print, which all threads share


class Mark(NamedTuple):
    """One exercise of one learner: status "right", "wrong", "error", "unsolved", "missing" or "ungraded"."""

    id: str
    status: str
    message: str
    hint: str = ""
    note: str = ""


@dataclass
class Marked:
    submission: Submission
    marks: list[Mark]
    missing: frozenset[str] = frozenset()  # protections that were not there: keys of sandbox.MISSING
    seconds: float = 0.0

    @property
    def right(self) -> int:
        return sum(m.status == RIGHT for m in self.marks)

    @property
    def complete(self) -> bool:
        return not self.submission.problem and all(m.status != UNGRADED for m in self.marks)


def mark(submission: Submission, box: Sandbox, seconds: float) -> Marked:
    """Marks every exercise of the submission's lesson; each answer may take `seconds`."""
    done = Marked(submission, [])
    earlier: list[dict] = []
    for e in exercises(submission.lesson) if not submission.problem else []:
        answer = submission.answers[e.id]
        if answer.source is None:
            status = UNGRADED if answer.ambiguous else MISSING
            done.marks.append(Mark(e.id, status, f"– {e.id} {e.name}: {answer.note}"))
        elif answer.source.rstrip() == stub_cells(submission.lesson)[e.id]:
            done.marks.append(Mark(e.id, UNSOLVED, unsolved_message(e), "", answer.note))
        else:
            outcome = box.run(_request(e, answer.source, earlier, seconds))
            if outcome.ended == "broken":  # once more, in a new process
                outcome = box.run(_request(e, answer.source, earlier, seconds))
            with _judging:
                try:
                    found = _judged(e, outcome, answer.source, seconds)
                except Exception as error:  # what came back is of a kind that the judge has never met
                    found = Mark(
                        e.id, ERROR, f"✗ {e.id} {e.name}: its result cannot be judged ({type(error).__name__})"
                    )
            note = ONLY_ANSWERS if "NameError" in found.message or "No module named" in found.message else ""
            done.marks.append(found._replace(note=" ".join(filter(None, (answer.note, note)))))
            done.missing |= outcome.missing
        ran = done.marks[-1].status in (RIGHT, WRONG)  # else its cell might not end, or stop what comes after it
        is_right = done.marks[-1].status == RIGHT
        earlier.append({"name": e.name, "source": answer.source if ran else "", "by_course": not is_right})
    return done


def _request(e: Exercise, source: str, earlier: list[dict], seconds: float) -> dict:
    lesson = e.id[:2]
    by_course = [i for i, cell in enumerate(earlier) if cell["by_course"]]
    calls = [case.arguments for case in e.cases]
    return {
        "imports": list(lesson_imports(lesson)),
        "course": list(solved_cells(lesson).values())[: by_course[-1] + 1] if by_course else [],
        "earlier": earlier,
        "name": e.name,
        "source": source,
        "calls": calls + [case.arguments for case in _varied(e, source)],
        "gradient": list(e.gradient),
        "gradient_calls": _with_gradient(e),
        "seconds": seconds,
    }


def _with_gradient(e: Exercise) -> list[int]:
    """The cases, from 0, whose gradients the judge will ask for."""
    return [i for i, case in enumerate(e.cases) if e.gradient and case_dtype(case) == torch.float64]


def _judged(e: Exercise, outcome: Outcome, source: str, seconds: float) -> Mark:
    if outcome.ended in ("broken", "exit 70"):
        what = "its process did not start" if outcome.ended == "broken" else "its process could not give up its rights"
        return Mark(e.id, UNGRADED, f"– {e.id} {e.name}: {what}")
    parts: dict[str, list[dict]] = {"cell": [], "value": [], "gradient": [], "again": []}
    for message in outcome.messages:
        parts.setdefault(str(message.get("part")), []).append(message)
    stopped = _stopped(outcome.ended, seconds)
    if not parts["cell"]:
        message = f"✗ {e.id} {e.name} is not right yet: its cell does not come to its end.\n{stopped[0]}"
        return Mark(e.id, ERROR, message, stopped[1])
    cell = parts["cell"][0]
    if isinstance(cell.get("error"), str):
        return Mark(e.id, ERROR, f"✗ {e.id} {e.name} is not right yet: its cell raised {cell['error'][:400]}")
    if cell.get("found") is not True:
        return Mark(e.id, ERROR, f"✗ {e.id}: the answer cell defines no function {e.name}.")
    if isinstance(cell.get("kind"), str):
        return _as_mark(not_a_function(e, cell["kind"][:200]))
    cases, more = e.cases, _varied(e, source)
    values = [_run(m, case) for m, case in zip(parts["value"], [*cases, *more], strict=False)]
    doubles = _with_gradient(e)
    gradients = {i: _gradient_run(m, e) for i, m in zip(doubles, parts["gradient"], strict=False)}
    again = dict(enumerate(_run(m, case) for m, case in zip(parts["again"], cases, strict=False)))

    def answer(runs: list[Run]) -> Answer:
        return Answer(runs, lambda n: gradients.get(n - 1), lambda n: again.get(n - 1), stopped)

    found = verdict(e, answer(values[: len(cases)]))
    if found.status == RIGHT and more:
        other = verdict(replace(e, cases=more, gradient=(), mistakes=[]), answer(values[len(cases) :]))
        if other.status != RIGHT:
            message = other.message.replace("is not right yet", "is right on the course's cases, but not on others", 1)
            return Mark(e.id, WRONG, message, "Compute the answer from the arguments, for whatever numbers they hold.")
    return _as_mark(found)


def _as_mark(v: Verdict) -> Mark:
    return Mark(v.id, v.status, v.message, v.hint)


def _stopped(ended: str, seconds: float) -> tuple[str, str]:
    """Why an answer did not come to its end, and a hint."""
    if ended == "time":
        return out_of_time(seconds)
    if ended == "too much":
        return "  it gives back more than can be judged", "How large is what you return?"
    if ended == "spoiled":
        return "  what it gives back cannot be read", ""
    if ended.startswith("signal"):
        return f"  its process was ended ({ended}): too much memory, or a crash", "Is some tensor far too large?"
    return "  it ended its process", "An answer returns its result; it does not exit."


def _run(message: dict, case: Case) -> Run:
    """One call as the answer's process tells it. What is not as it should be counts as an error of the answer."""
    error, after = message.get("error"), message.get("after")
    run = Run(value=message.get("value"), stub=message.get("stub") is True, printed=str(message.get("printed", "")))
    run.error = None if error is None else str(error)[:400]
    after = after if isinstance(after, dict) else {}
    tensors = {n: v for n, v in case.arguments.items() if isinstance(v, Tensor)}
    run.overwritten = ", ".join(n for n, v in tensors.items() if not same(after.get(n), v))
    return run


def _gradient_run(message: dict, e: Exercise) -> Run:
    error, value = message.get("error"), message.get("value")
    if error is not None:
        return Run(error=str(error)[:400])
    as_wanted = isinstance(value, tuple) and len(value) == len(e.gradient) and all(map(_is_cpu, value))
    return Run(value=value) if value is None or as_wanted else Run(error="ValueError: no tensor for each argument")


def _is_cpu(v: Any) -> bool:
    return isinstance(v, Tensor) and v.device.type == "cpu" and v.layout == torch.strided


def _varied(e: Exercise, source: str) -> list[Case]:
    """The cases again with slightly smaller numbers, which nobody could look up: they depend on the answer's own text.

    Whole numbers stay: counts, classes, pixels of 0 and 1.
    """
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()
    dice = torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))

    def other(v: Any) -> Any:
        if isinstance(v, Tensor) and v.is_floating_point() and not torch.equal(v, v.round()):
            return v * (1 - 0.01 * torch.rand(v.shape, generator=dice, dtype=v.dtype))
        if isinstance(v, float) and not v.is_integer():
            return v * (1 - 0.01 * torch.rand((), generator=dice).item())
        return v

    changed = [Case(f"{c.what}, with other numbers", {n: other(v) for n, v in c.arguments.items()}) for c in e.cases]
    pairs = zip(changed, e.cases, strict=True)
    return [new for new, old in pairs if not all(same(new.arguments[n], v) for n, v in old.arguments.items())]
