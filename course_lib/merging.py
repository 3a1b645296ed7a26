"""Merges a new version of a lesson with a learner's notebook, by cell id. Nothing that the learner wrote is left out.

- An answer cell keeps the learner's text; where the course's stub has changed, the new one stands beside it in a note.
- A cell that the learner edited stays as it is, and a cell that the learner added stays behind its neighbour.
- Everything else is the new version's. Cells that the learner deleted come back.

The id of a course's cell is made from its text (`authoring.build`), so an edited cell is known without the old version.
"""

import ast
import hashlib
import json
import re
from typing import Any

EXERCISE = re.compile(r"exercise-(\d\d-\d+)\Z")
OWN_TEXT = re.compile(r"(\d\d)-([0-9a-f]{8})\Z")
MADE = re.compile(r"(check|hints)-(\d\d)-(\d+)\Z")  # written by the builder for an exercise


def merge(mine: dict, new: dict, old: dict | None = None) -> dict:
    """`mine` is the learner's notebook, `new` the course's new version, `old` the version that the learner began with.

    Merging once more changes nothing. Raises ValueError for what is no notebook.
    """
    theirs, course = _cells(mine, "mine"), _cells(new, "new")
    before = {c["id"]: _text(c) for c in _cells(old, "old") if "id" in c} if old else {}
    known = {c["id"]: c for c in course}
    kept: dict[str, dict] = {}  # by the id of a cell of the new version
    after: dict[str | None, list[dict]] = {None: []}  # id of the neighbour before it → the learner's own cells
    notes: dict[str, dict] = {}
    taken, neighbour = set(known), None
    for cell in _named(theirs, known):
        id, text, edited = cell["id"], _text(cell), _is_edited(cell["id"], cell, before)
        course_text = _text(known[id]) if id in known else None
        if id in known and id not in kept and known[id]["cell_type"] == cell["cell_type"]:
            if edited or text == course_text:  # with its outputs
                metadata = {**cell.get("metadata", {}), **known[id]["metadata"]}
                kept[id] = {**known[id], **cell, "source": _lines(text), "metadata": metadata}
            if edited and EXERCISE.match(id) and course_text not in (text, before.get(id, course_text)):
                notes[id] = _note(id, known[id])
        elif edited and (id not in kept or text != _text(kept[id])):
            own = {**cell, "id": _fresh(cell, taken)}
            taken.add(own["id"])
            after.setdefault(neighbour, []).append(own)
        neighbour = id if id in known else neighbour
    cells = list(after[None])
    for cell in course:
        id = cell["id"]
        cells += [kept.get(id, cell), *([notes[id]] if id in notes and notes[id]["id"] not in taken else [])]
        cells += after.get(id, [])
    return {**new, "cells": cells, "metadata": {**mine.get("metadata", {}), **new["metadata"]}}


def is_worked_in(mine: dict, new: dict) -> bool:
    """Whether a lesson holds an answer, an edited cell or a cell of somebody's own. Outputs do not count."""
    texts = {cell["id"]: _text(cell) for cell in _cells(new, "new")}
    cells = [(str(cell.get("id", "")), cell) for cell in _cells(mine, "mine")]
    return any(_text(cell) != texts.get(id) and _is_edited(id, cell, {}) for id, cell in cells)


def is_answered(id: str, cell: dict) -> bool:
    """Whether an answer cell holds more than a stub, as far as can be seen without the stub that it was."""
    text = _text(cell)
    if not re.search(r"# YOUR CODE HERE\n\s*raise NotImplementedError\s*\Z", text) or text.count("#") > 1:
        return True
    try:
        return [type(n) for n in ast.parse(text).body] != [ast.FunctionDef]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True


def _cells(notebook: Any, name: str) -> list[dict]:
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list) or not all(isinstance(c, dict) and "cell_type" in c for c in cells):
        raise ValueError(f"{name}: no notebook of version 4")
    return cells


def _named(cells: list[dict], known: dict[str, dict]) -> list[dict]:
    """With ids put back where a program has dropped them: by the function of an exercise, or by the text."""
    if any(EXERCISE.match(str(c.get("id", ""))) for c in cells):
        return [{**c, "id": c["id"] if isinstance(c.get("id"), str) else ""} for c in cells]
    by_text = {_text(c): id for id, c in known.items()}
    by_function = {_function(c): id for id, c in known.items() if EXERCISE.match(id)}
    found = []
    for c in cells:
        exercise = by_function.get(_function(c)) if c["cell_type"] == "code" else None
        found.append({**c, "id": by_text.get(_text(c)) or exercise or str(c.get("id", ""))})
    return found


def _function(cell: dict) -> str:
    defined = re.search(r"^def (\w+)", _text(cell), re.M)
    return defined[1] if defined else "-"


def _made_for_the_course(id: str, cell: dict) -> bool:
    """Whether these are folded hints, or a check cell as the builder writes it."""
    m = MADE.match(id)
    if not m:
        return False
    return m[1] == "hints" or re.fullmatch(rf'(\w+) = check\("{m[2]}\.{m[3]}", \1\)', _text(cell)) is not None


def _is_edited(id: str, cell: dict, before: dict[str, str]) -> bool:
    """Whether the learner changed it, or made it."""
    text = _text(cell)
    if not text.strip():
        return False
    if id in before:
        return text != before[id]
    if EXERCISE.match(id):
        return is_answered(id, cell)
    if m := OWN_TEXT.match(id):
        return all(hashlib.sha256(f"{text}{salt}".encode()).hexdigest()[:8] != m[2] for salt in ("", *range(1, 99)))
    return not _made_for_the_course(id, cell)


def _note(id: str, cell: dict) -> dict:
    """The new stub, beside an answer to the old one."""
    number = EXERCISE.match(id)[1].replace("-", ".")
    text = f"**The course has changed exercise {number}.** Your answer is kept above. The new version begins so:\n\n"
    text += "\n".join("    " + line for line in _text(cell).splitlines())
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return {"cell_type": "markdown", "id": f"note-{digest}", "metadata": {}, "source": _lines(text)}


def _fresh(cell: dict, taken: set[str]) -> str:
    """Its own id, if that is a good one and free; else one that is made from its text, the same every time."""
    id = cell["id"]
    for salt in range(10_000):
        if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", id) and id not in taken:
            break
        id = "mine-" + hashlib.sha256(f"{_text(cell)}{salt}".encode("utf-8", "replace")).hexdigest()[:8]
    return id


def _text(cell: dict) -> str:
    source = cell.get("source", "")
    return ("".join(map(str, source)) if isinstance(source, list) else str(source)).replace("\r\n", "\n")


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def as_file(notebook: dict) -> str:
    """As Jupyter and the builder write it: an untouched lesson stays the same, byte by byte."""
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
