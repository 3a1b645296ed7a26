"""Judges a learner's function against an oracle, case by case, and names the likely mistake.

An exercise holds cases, an oracle that is no copy of the solution, and wrong answers, each with its hint. A learner's
answer that agrees with a wrong answer on all cases gets that hint.
"""

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from course_lib.exercises.running import Run, gradients, kind, run_all

RIGHT, WRONG, UNSOLVED, ERROR = "right", "wrong", "unsolved", "error"
TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-4}  # relative, and absolute below 1


class Case(NamedTuple):
    what: str  # said to the learner: "three images, five latents"
    arguments: dict[str, Any]  # passed by position, so that a learner may rename them


class Mistake(NamedTuple):
    hint: str
    function: Callable


@dataclass(frozen=True)
class Exercise:
    id: str
    name: str
    cases: list[Case]  # smallest first: the first that fails is shown
    oracle: Callable  # an independent truth, called in float64
    mistakes: list[Mistake]
    hints: tuple[str, str, str]  # from a question to the formula's structure
    gradient: tuple[str, ...] = ()  # arguments that training reaches through the answer: compared in float64


class Verdict(NamedTuple):
    """What `judge` returns. `status` is "right", "wrong", "unsolved" or "error"; `hint` is "" where there is none."""

    id: str
    status: str
    message: str
    hint: str


def exercises(lesson: str) -> list[Exercise]:
    """The exercises of lesson "04", in order; none for a lesson that the course does not have."""
    if not re.fullmatch(r"\d\d", lesson):
        return []
    module = f"course_lib.exercises.lesson_{lesson}"
    try:
        return importlib.import_module(module).EXERCISES
    except ModuleNotFoundError as error:
        if error.name != module:  # a package that the lesson's exercises need
            raise
        return []


def exercise(id: str) -> Exercise:
    """The exercise with this id, "04.1". Raises ValueError when the course has none."""
    known = exercises(str(id)[:2])
    for e in known:
        if e.id == id:
            return e
    raise ValueError(f"id: got {id!r}, wanted an exercise of the course" + "".join(f", {e.id}" for e in known))


def right_message(e: Exercise) -> str:
    return f"✓ {e.id} {e.name} is right: {len(e.cases)} cases{', values and gradients' if e.gradient else ''}."


@dataclass(frozen=True)
class Answer:
    """What an answer does with an exercise's cases: called here and now, or recorded in another process.

    `gradient` and `again` give the run of a case, counted from 1: its gradients, a second call. None: it did not end.
    """

    runs: list[Run]  # one a case, up to the first that raised or did not end
    gradient: Callable[[int], Run | None]
    again: Callable[[int], Run | None]
    stopped: tuple[str, str]  # why there is no further run, and a hint


def judge(id: str, function: Callable, limit: float = 10.0) -> Verdict:
    """Runs `function` on the cases of exercise `id`, at most `limit` seconds, and as long again for its gradients.

    Never raises on a bad answer.
    """
    e = exercise(id)
    if not callable(function):
        return not_a_function(e, kind(function))

    def once(f: Callable, number: int) -> Run | None:
        return next(iter(_run(f, [e.cases[number - 1]], limit)), None)

    return verdict(
        e,
        Answer(
            runs=_run(function, e.cases, limit),
            gradient=lambda n: once(gradients(function, tuple(e.cases[n - 1].arguments), e.gradient), n),
            again=lambda n: once(function, n),
            stopped=out_of_time(limit),
        ),
    )


def verdict(e: Exercise, answer: Answer) -> Verdict:
    """The verdict on what an answer did. It looks at data only, and calls nothing of the learner's but `answer`."""
    runs = answer.runs
    if runs and runs[0].stub:
        return Verdict(e.id, UNSOLVED, unsolved_message(e), "")
    for number, (case, run) in enumerate(zip(e.cases, runs, strict=False), 1):
        if run.error is not None:
            return _failed(e, number, run, ERROR, f"  it raised {run.error}", "")
        if fault := _fault(case, run, _oracle(e, case)):
            text, form = fault
            hint = _likely(e, runs) or _random(case, run, answer.again, number) or form
            return _failed(e, number, run, WRONG, text, hint)
    if len(runs) < len(e.cases):
        return _failed(e, len(runs) + 1, Run(), ERROR, *answer.stopped)
    if e.gradient:
        for number, case in enumerate(e.cases, 1):
            if case_dtype(case) == torch.float64 and (fault := _gradient_fault(e, case, answer.gradient(number))):
                return _failed(e, number, runs[number - 1], WRONG, *fault)
    return Verdict(e.id, RIGHT, right_message(e), "")


def out_of_time(limit: float) -> tuple[str, str]:
    return f"  it did not end within {limit:g} seconds", "Is there a loop that never stops?"


def unsolved_message(e: Exercise) -> str:
    return f"○ {e.id} {e.name} is not solved yet."


def not_a_function(e: Exercise, what: str) -> Verdict:
    return Verdict(e.id, ERROR, f"✗ {e.id}: got {what}, wanted the function {e.name} itself.", "")


def _run(function: Callable, cases: list[Case], limit: float) -> list[Run]:
    return run_all(function, [case.arguments for case in cases], limit)


def _oracle(e: Exercise, case: Case) -> Any:
    """The truth in float64, whatever the case's dtype."""
    return e.oracle(*(v.double() if _is_float(v) else v for v in case.arguments.values()))


def _fault(case: Case, run: Run, want: Any) -> tuple[str, str] | None:
    """None when the run is right, else what to show and a hint on the form of the answer."""
    if run.overwritten:
        return f"  it overwrites {run.overwritten}", "Compute new tensors: changes in place reach the caller's data."
    got = run.value
    if _is_float(got) and not any(map(_is_float, case.arguments.values())):
        got = got.to(case_dtype(case))  # no argument sets a dtype, so any will do
    return _value_fault(got, want, case_dtype(case))


def _value_fault(got: Any, want: Any, dtype: torch.dtype) -> tuple[str, str] | None:
    if got is None:
        return "  it returns None", "Is the return missing?"
    if isinstance(want, tuple):
        if not isinstance(got, tuple) or len(got) != len(want):
            return f"  it returns {kind(got)}, wanted a tuple of {len(want)}", ""
        return next(filter(None, (_value_fault(a, b, dtype) for a, b in zip(got, want, strict=True))), None)
    if isinstance(want, Tensor):
        wanted = f"a torch.Tensor of shape {tuple(want.shape)} and dtype {_name(dtype)}"
        if not isinstance(got, Tensor):
            return f"  it returns {kind(got)}, wanted {wanted}", "Gradients flow through tensors only."
        if got.device != want.device or got.layout != want.layout:
            return f"  it returns a tensor on {got.device} ({got.layout}), wanted {wanted} on {want.device}", ""
        if got.shape != want.shape:
            return f"  it returns shape {tuple(got.shape)}, wanted {tuple(want.shape)}", ""
        if want.is_floating_point() and got.dtype != dtype:
            return f"  it returns {_name(got.dtype)}, wanted {_name(dtype)} as the input has", ""
    elif isinstance(got, bool) or not (isinstance(got, int | float) or (isinstance(got, Tensor) and got.numel() == 1)):
        return f"  it returns {kind(got)}, wanted a number", ""
    if not _close(got, want, dtype):
        text = f"  yours   {_show(got)}\n  wanted  {_show(want)}   (within {TOLERANCE[dtype]:.0e} relative)"
        return text, _pattern(got, want)
    return None


def _gradient_fault(e: Exercise, case: Case, run: Run | None) -> tuple[str, str] | None:
    if run is None or run.error is not None:
        return f"  its gradient {'did not end in time' if run is None else f'raised {run.error}'}", ""
    if run.value is None:
        text = f"  no gradient flows back to {', '.join(e.gradient)}"
        return text, "Compute with tensors all the way: .item(), .detach(), .data and numpy cut the gradient."
    with torch.inference_mode(False), torch.enable_grad():  # whatever the notebook has switched off
        truth = gradients(e.oracle, tuple(case.arguments), e.gradient)(*case.arguments.values())
    for name, got, want in zip(e.gradient, run.value, truth, strict=True):
        if got.shape != want.shape or not _close(got, want, torch.float64):
            return f"  the values agree, but not the gradient with respect to {name}", "Which step cuts the gradient?"
    return None


def _likely(e: Exercise, runs: list[Run]) -> str:
    """The hint of the wrong answer that agrees with the learner's on every case that ran."""
    for mistake in e.mistakes:
        theirs = _run(mistake.function, e.cases, limit=10.0)
        pairs = zip(e.cases, runs, theirs, strict=False)
        if len(theirs) >= len(runs) and all(_same_run(case, a, b) for case, a, b in pairs):
            return mistake.hint
    return ""


def _random(case: Case, run: Run, again: Callable[[int], Run | None], number: int) -> str:
    comparable = isinstance(run.value, float) or (isinstance(run.value, Tensor) and run.value.device.type == "cpu")
    second = again(number) if comparable else None
    if second is not None and not _same_run(case, second, run):
        return "Two calls with the same arguments differ: use what is passed in, and draw nothing yourself."
    return ""


def _same_run(case: Case, a: Run, b: Run) -> bool:
    if a.error is not None or b.error is not None:
        return a.error == b.error
    if a.overwritten != b.overwritten:
        return False
    return _same_value(a.value, b.value, case_dtype(case))


def _same_value(a: Any, b: Any, dtype: torch.dtype) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_same_value(x, y, dtype) for x, y in zip(a, b, strict=True))
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return a.shape == b.shape and a.device == b.device and _close(a.to_dense(), b.to_dense(), dtype)
    return isinstance(a, int | float) and isinstance(b, int | float) and _close(a, b, dtype)


def _failed(e: Exercise, number: int, run: Run, status: str, text: str, hint: str) -> Verdict:
    case = e.cases[number - 1]
    given = ", ".join(f"{name} = {_show(v)}" for name, v in case.arguments.items())
    said = f"\n  it printed {run.printed.strip()[:200]!r}" if run.printed.strip() else ""
    head = f"✗ {e.id} {e.name} is not right yet: case {number} of {len(e.cases)}, {case.what}."
    return Verdict(e.id, status, f"{head}\n  given   {given}\n{text}{said}", hint)


def _pattern(got: Any, want: Any) -> str:
    """A remark on numbers that are wrong in a regular way."""
    a, b = (torch.as_tensor(v, dtype=torch.float64).flatten() for v in (got, want))
    if not a.isfinite().all():
        return (
            "Your answer holds inf or nan: which step overflows, or takes the log of 0?" if b.isfinite().all() else ""
        )
    if torch.allclose(a, -b, rtol=1e-4):
        return "Only the sign is wrong."
    ratio = a / b
    if ratio.isfinite().all() and torch.allclose(ratio, ratio[:1].expand_as(ratio), rtol=1e-4):
        return f"Each number is {ratio[0].item():.4g} times the wanted one: a factor is missing, or too many."
    return ""


def _close(got: Any, want: Any, dtype: torch.dtype) -> bool:
    a, b = (torch.as_tensor(v).to(torch.float64) for v in (got, want))
    tolerance = TOLERANCE[dtype]
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def case_dtype(case: Case) -> torch.dtype:
    """The floats of a case share one dtype; a case of whole numbers is judged as float32, torch's default."""
    return next((v.dtype for v in case.arguments.values() if _is_float(v)), torch.float32)


def _is_float(v: Any) -> bool:
    return isinstance(v, Tensor) and v.is_floating_point()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _show(v: Any) -> str:
    if not isinstance(v, Tensor):
        return str(v)
    if v.numel() > 12:
        return f"a tensor of shape {tuple(v.shape)}, {_name(v.dtype)}, from {v.min():.4g} to {v.max():.4g}"
    if v.is_floating_point():
        return str(_rounded(v.detach().tolist()))
    return str(v.tolist())


def _rounded(v: Any) -> Any:
    return [_rounded(x) for x in v] if isinstance(v, list) else float(f"{v:.5g}")
