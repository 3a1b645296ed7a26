"""Runs a solved lesson once and keeps its outputs under build/executed: slides, site and tests share that one run.

    python -m course_lib.authoring.execute 04     runs it if its code, the library or the data changed

The run is kept under a hash of the lesson's code, the library without other lessons' exercises, and whether MNIST is
there: a change of words needs no new run. Figures are kept twice, as the notebook shows them and for a projector.
"""

import argparse
import base64
import hashlib
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from course_lib import ROOT
from course_lib.authoring.build import LESSONS, build, sources, write
from course_lib.data import mnist

CACHE = ROOT / "build" / "executed"
LIBRARY = ROOT / "course_lib"
FOR_PROJECTOR = "from course_lib.authoring import projector; projector.install()"


def executed(source: Path) -> NotebookNode:
    """The solved lesson with its outputs and the state of its widgets. Raises nbclient's error where a cell fails."""
    notebook = build(source, solved=True)
    path = CACHE / f"{source.stem}-{_key(notebook, source.name[:2])}.ipynb"
    if not path.exists():
        _run(notebook, path)
    run = nbformat.read(path, 4)
    for cell, ran in zip(_code(notebook), _code(run), strict=True):
        cell.outputs, cell.execution_count = ran.outputs, ran.execution_count
    notebook.metadata.update(run.metadata)
    return notebook


def figures(notebook: NotebookNode) -> dict[str, bytes]:
    """The pictures of an executed lesson's cells marked `figure="name"`, as PNG."""
    return {
        cell.metadata["figure"]: base64.b64decode(output.data["image/png"])
        for cell in notebook.cells
        if "figure" in cell.metadata
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    }


def _run(notebook: NotebookNode, path: Path) -> None:
    run = nbformat.from_dict(notebook)
    run.cells.insert(0, new_code_cell(FOR_PROJECTOR))
    resources = {"metadata": {"path": LESSONS}}
    NotebookClient(run, timeout=600, kernel_name="python3", resources=resources).execute()
    del run.cells[0]
    unfinished = path.with_suffix(".part")
    write(run, unfinished)
    unfinished.rename(path)
    for old in sorted(CACHE.glob(f"{path.name[:2]}_*.ipynb"), key=lambda p: p.stat().st_mtime)[:-3]:
        old.unlink()


def _code(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _key(notebook: NotebookNode, lesson: str) -> str:
    """A hash of all that the outputs depend on."""
    data = "mnist" if all(mnist.find(name) for name in mnist.FILES) else "strokes"
    digest = hashlib.sha256("\0".join([data, FOR_PROJECTOR, *(cell.source for cell in _code(notebook))]).encode())
    for path in sorted(p for p in LIBRARY.rglob("*") if _matters(p, lesson)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _matters(path: Path, lesson: str) -> bool:
    folder = path.relative_to(LIBRARY).parts[0]
    if path.suffix not in (".py", ".js", ".css", ".txt") or folder in ("authoring", "grading"):
        return path.name == "projector.py"
    return not path.name.startswith("lesson_") or path.name == f"lesson_{lesson}.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lesson", nargs="?", help='one lesson, "04"; all when left out')
    for source in sources(parser.parse_args().lesson):
        executed(source)
        print(f"{source.stem}: its outputs are in {CACHE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
