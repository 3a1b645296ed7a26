"""Marks as a table for the screen, as CSV, and as a page for each learner."""

import csv
import os
import re
import unicodedata
from pathlib import Path

from course_lib.exercises.judge import exercises
from course_lib.grading.marking import UNGRADED, Marked
from course_lib.grading.sandbox import MISSING

SIGN = {"right": "✓", "wrong": "✗", "error": "!", "unsolved": "○", "missing": "–", UNGRADED: "?"}
LEGEND = "✓ right   ✗ wrong   ! raised an error or did not end   ○ not solved   – not there   ? not graded"


class Class:
    """All that was handed in, by learner; of several notebooks of one lesson, the one with most right counts."""

    def __init__(self, marked: list[Marked]):
        self.marked = marked
        self.learners = sorted({m.submission.learner for m in marked}, key=str.casefold)
        self.lessons = sorted({m.submission.lesson for m in marked if m.submission.lesson})
        self.ids = [e.id for lesson in self.lessons for e in exercises(lesson)]
        self.missing = sorted(set().union(*(m.missing for m in marked)))

    def of(self, learner: str) -> list[Marked]:
        return [m for m in self.marked if m.submission.learner == learner]

    def status(self, learner: str) -> dict[str, str]:
        """Exercise id → status; without those of lessons that the learner did not hand in."""
        found = {}
        for m in sorted(self.of(learner), key=lambda m: m.right):
            found.update({mark.id: mark.status for mark in m.marks})
        return found

    def right(self, learner: str) -> int:
        return sum(status == "right" for status in self.status(learner).values())


def table(group: Class) -> str:
    """Learner × exercise, with totals."""
    names = {learner: plain(learner)[:30] for learner in group.learners}
    width = max([len("learner"), *map(len, names.values())])
    lines = [f"{'learner':{width}}  " + " ".join(group.ids) + "   right"]
    for learner in group.learners:
        status = group.status(learner)
        signs = " ".join(f"{SIGN.get(status.get(id, ''), ' '):^{len(id)}}" for id in group.ids)
        lines.append(f"{names[learner]:{width}}  {signs}   {group.right(learner)} of {len(group.ids)}")
    every = [sum(group.status(n).get(id) == "right" for n in group.learners) for id in group.ids]
    totals = " ".join(f"{n:^{len(id)}}" for n, id in zip(every, group.ids, strict=True))
    lines.append(f"{'right':{width}}  {totals}   {sum(every)} of {len(group.ids) * len(group.learners)}")
    return "\n".join([*lines, "", LEGEND])


def write_csv(group: Class, path: Path) -> None:
    """One line a learner: a status for each exercise, how many are right, and what could not be graded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="", errors="backslashreplace") as f:
        writer = csv.writer(f)
        writer.writerow(["learner", *group.ids, "right", "of", "not graded"])
        for learner in group.learners:
            status = group.status(learner)
            faults = "; ".join(f"{_name(m)}: {m.submission.problem}" for m in group.of(learner) if m.submission.problem)
            row = [learner, *(status.get(id, "") for id in group.ids), group.right(learner), len(group.ids), faults]
            writer.writerow([_no_formula(v) for v in row])


def _no_formula(v: object) -> object:
    """A learner's name must not be a formula to a spreadsheet."""
    return (
        f"'{plain(v)}" if isinstance(v, str) and v[:1] in tuple("=+-@\t\r") else plain(v) if isinstance(v, str) else v
    )


def write_reports(group: Class, folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for learner in group.learners:
        stem = re.sub(r"[^\w.-]+", "_", plain(learner)).strip("._")[:80] or "learner"
        taken, number = {p.name.casefold() for p in paths}, 1
        while (name := stem + (f"_{number}" if number > 1 else "") + ".md").casefold() in taken:
            number += 1
        paths.append(folder / name)
        paths[-1].write_text(report(group, learner), encoding="utf-8", errors="backslashreplace", newline="\n")
    return paths


def report(group: Class, learner: str) -> str:
    """A learner's page: what is right, and of each other answer what the learner's own check would say."""
    lines = [f"# {_inline(learner)}", "", f"{group.right(learner)} of {len(group.ids)} exercises right.", ""]
    lines += [f"Graded without a protection: {MISSING[m]}." for m in group.missing] + [""] * bool(group.missing)
    for m in group.of(learner):
        lines += [f"## {_inline(_name(m))}", ""]
        if m.submission.problem:
            lines += [f"Not graded: {_inline(m.submission.problem)}.", ""]
        for note in m.submission.notes:
            lines += [_inline(note), ""]
        for mark in m.marks:
            lines += [_block(mark.message)]
            lines += [_block(f"Hint: {mark.hint}", "  ")] * bool(mark.hint)
            lines += [""] + [f"{_inline(mark.note)}", ""] * bool(mark.note)
    return "\n".join(lines).rstrip() + "\n"


def _name(m: Marked) -> str:
    return os.path.basename(m.submission.path)


def _block(text: str, more: str = "") -> str:
    """As code by its indent: no text of a learner's can end it."""
    return "\n".join(f"    {more}{plain(line)}" for line in text.split("\n"))


def _inline(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|!&])", r"\\\1", plain(text))


def plain(text: str) -> str:
    """Without what moves a terminal's cursor or turns the direction of writing round."""
    return "".join(c if unicodedata.category(c)[0] != "C" else " " if c in "\t\r\n" else "�" for c in text)
