"""Makes build/slides: for each lesson a deck to present, from the same source, that needs no network.

    python -m course_lib.authoring.slides 04

deck.py decides what is on a slide, web/slides.css how it looks; reveal.js turns the pages. Everything that a deck loads
lies beside it, so the folder may be copied to a stick. S opens the speaker's view, with notes and a clock.
"""

import argparse
import html
import itertools
import shutil
import sys
import time
from pathlib import Path

from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode

from course_lib import ROOT
from course_lib.authoring.build import LESSONS, build, sources
from course_lib.authoring.deck import Deck, Slide
from course_lib.authoring.execute import executed
from course_lib.authoring.packages import MissingTool, package
from course_lib.authoring.page import Page, copy_web

FOLDER = ROOT / "build" / "slides"
REVEAL = ("dist/reset.css", "dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js")
TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="assets/reset.css">
<link rel="stylesheet" href="assets/reveal.css">
<link rel="stylesheet" href="assets/code.css">
<link rel="stylesheet" href="assets/slides.css">
</head>
<body>
<div class="reveal"><div class="slides">
{stacks}
</div></div>
<script src="assets/reveal.js"></script>
<script src="assets/notes.js"></script>
<template class="in-widgets"><link rel="stylesheet" href="assets/in-slides.css"></template>
{widgets}
<script src="assets/slides.js"></script>
</body>
</html>
"""


def write_deck(
    notebook: NotebookNode, learners: NotebookNode, name: str, folder: Path = FOLDER
) -> tuple[Path, list[Slide]]:
    """The deck of a solved, executed lesson as folder/name.html, and its slides."""
    shutil.rmtree(folder / name, ignore_errors=True)
    page = Page(notebook, folder, name)
    deck = Deck(notebook, learners, page)
    copy_web(folder, "slides.css", "slides.js", "in-slides.css", "widgets.js")
    for file in REVEAL:
        shutil.copy(package("reveal.js") / file, folder / "assets" / Path(file).name)
    shutil.copytree(LESSONS / "figures", folder / "figures", dirs_exist_ok=True)
    stacks = itertools.groupby(deck.slides, key=lambda slide: slide.section)
    start, parts = 0.0, []
    for section, group in stacks:
        slides = list(group)
        if slides[0].minutes is not None:
            _stretch(slides, 60 * float(slides[0].minutes))
        end = start + sum(slide.seconds for slide in slides)
        clock = f"**{section}** · {_minutes(start)} to {_minutes(end)}, {(end - start) / 60:.0f} minutes"
        parts.append(
            "<section>" + "\n".join(_slide(s, page, clock if s is slides[0] else "") for s in slides) + "</section>"
        )
        start = end
    text = TEMPLATE.format(title=html.escape(deck.slides[0].title), stacks="\n".join(parts), widgets=page.scripts())
    path = folder / f"{name}.html"
    path.write_text(text, encoding="utf-8")
    return path, deck.slides


def _slide(slide: Slide, page: Page, clock: str) -> str:
    notes = page.markdown("\n\n".join(filter(None, [clock, *slide.notes])))
    above = f'<p class="section">{page.inline(slide.section)}</p>' if slide.says else ""
    header = "" if slide.kind == "opening" else f"<header>{above}<h2>{page.inline(slide.title)}</h2></header>"
    body = f'<div class="body">{"".join(slide.body)}</div>'
    aside = f'<div class="beside">{"".join(slide.aside)}</div>' if slide.aside else ""
    return (
        f'<section data-timing="{slide.seconds:.0f}"><div class="frame as-{slide.kind}">{header}{body}{aside}</div>'
        f'<aside class="notes">{notes}</aside></section>'
    )


def _stretch(slides: list[Slide], seconds: float) -> None:
    """To an author's own time for a section; exercises keep theirs where that leaves the others any."""
    fixed = sum(s.seconds for s in slides if s.kind == "exercise")
    free = [s for s in slides if s.kind != "exercise"] if fixed < seconds else slides
    wanted = seconds - fixed if fixed < seconds else seconds
    factor = wanted / sum(s.seconds for s in free)
    for slide in free:
        slide.seconds *= factor


def _minutes(seconds: float) -> str:
    return f"{seconds // 3600:.0f}:{seconds % 3600 // 60:02.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lesson", nargs="?", help='one lesson, "04"; all when left out')
    try:
        found = sources(parser.parse_args().lesson)
        for source in found:
            start = time.monotonic()
            path, slides = write_deck(executed(source), build(source), source.stem)
            minutes, took = sum(slide.seconds for slide in slides) / 60, time.monotonic() - start
            print(f"{path.relative_to(ROOT)}: {len(slides)} slides, {minutes:.0f} minutes (made in {took:.0f} s)")
    except (CellControlSignal, DeadKernelError) as error:  # it raised, ran for too long, or ended its kernel
        sys.exit(f"slides: a cell of a lesson failed\n{error}")
    except (MissingTool, ValueError) as error:
        sys.exit(f"slides: {error}")


if __name__ == "__main__":
    main()
