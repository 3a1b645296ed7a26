"""Makes build/site: the lessons as web pages with figures, live widgets and folded solutions, and an index.

    python -m course_lib.authoring.site

Plain files: open build/site/index.html, or put the folder on any web server. Nothing is asked from another host.
"""

import html
import re
import shutil
import sys
import time
from pathlib import Path

from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode

from course_lib import ROOT
from course_lib.authoring.build import LESSONS, build, sources
from course_lib.authoring.execute import executed, figures
from course_lib.authoring.faces import PICTURE, blocks
from course_lib.authoring.packages import MissingTool
from course_lib.authoring.page import Page, copy_web

FOLDER = ROOT / "build" / "site"
TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="stylesheet" href="assets/code.css">
<link rel="stylesheet" href="assets/site.css">
</head>
<body>
<nav class="top"><a href="index.html">ELBO Room</a>{places}</nav>
<div class="columns">
{contents}
<main>
{body}
</main>
</div>
<nav class="turn">{turn}</nav>
<template class="in-widgets"><link rel="stylesheet" href="assets/in-pages.css"></template>
{scripts}
</body>
</html>
"""


def write_site(found: list[Path], folder: Path = FOLDER) -> list[Path]:
    """The pages of the given lessons and their index, into `folder`, which is emptied before."""
    shutil.rmtree(folder, ignore_errors=True)
    copy_web(folder, "site.css", "in-pages.css", "widgets.js", dark=True)
    shutil.copytree(LESSONS / "figures", folder / "figures")
    learners = {source: build(source) for source in found}
    cards = [_card(source, learners[source]) for source in found]
    pages = []
    for i, source in enumerate(found):
        start = time.monotonic()
        around = {"previous": cards[i - 1] if i else None, "next": cards[i + 1] if i + 1 < len(cards) else None}
        pages.append(_write_lesson(source, learners[source], folder, around))
        print(f"{pages[-1].stem} (made in {time.monotonic() - start:.0f} s)")
    return [_write_index(cards, folder), *pages]


# --- a lesson -----------------------------------------------------------------------------------------------------


def _write_lesson(source: Path, learners: NotebookNode, folder: Path, around: dict[str, dict | None]) -> Path:
    notebook = executed(source)
    page = Page(notebook, folder, source.stem)
    for name, png in figures(notebook).items():  # as this run made them
        (folder / "figures" / f"{name}.png").write_bytes(png)
    stubs = {cell.id: cell.source for cell in learners.cells}
    body = "\n".join(filter(None, (_cell(cell, stubs, page) for cell in notebook.cells)))
    contents = []

    def anchor(match):
        id = re.sub(r"[^a-z0-9]+", "-", re.sub(r"<[^>]*>", "", match[2]).lower()).strip("-")
        if match[1] == "2":
            contents.append(f'<li><a href="#{id}">{match[2]}</a></li>')
        return f'<h{match[1]} id="{id}">{match[2]}</h{match[1]}>'

    body = re.sub(r"<h([23])>(.*?)</h\1>", anchor, body)
    listed = f"<ol>{''.join(contents)}</ol>"
    turn = "".join(
        f'<a class="{way}" href="{card["page"]}"><small>{way}</small>{page.inline(card["title"])}</a>'
        for way, card in around.items()
        if card
    )
    text = TEMPLATE.format(
        title=html.escape(_card(source, learners)["title"]) + " · ELBO Room",
        places='<a href="index.html">all lessons</a>',
        contents=f'<details class="contents" open><summary>In this lesson</summary>{listed}</details>',
        body=body,
        turn=turn,
        scripts=page.scripts(),
    )
    path = folder / f"{source.stem}.html"
    path.write_text(text, encoding="utf-8")
    return path


def _cell(cell: NotebookNode, stubs: dict[str, str], page: Page) -> str:
    if cell.source.startswith("*For the lecturer"):
        return ""
    if cell.cell_type == "markdown":
        text = re.sub(r"\]\((\d\d_\w+)\.ipynb", r"](\1.html", cell.source)
        return f'<section class="text">{page.markdown(text)}</section>'
    if cell.id.startswith("exercise-"):
        solution = f"<details><summary>Solution</summary>{page.code(cell.source)}</details>"
        return f'<section class="exercise">{page.code(stubs[cell.id])}{solution}</section>'
    if cell.id.startswith("check-"):
        return ""  # its verdict is about the solution
    shown = "".join(_output(data, page) for data in page.outputs(cell))
    return f'<section class="cell">{page.code(cell.source)}{shown}</section>'


def _output(data: dict, page: Page) -> str:
    if widget := page.widget(data):
        return f'<figure class="live">{widget}</figure>'
    if "image/png" in data:
        return f"<figure>{page.picture(data['image/png'], data.get('text/plain', ''))}</figure>"
    if "text/html" in data:
        return f'<div class="wide">{data["text/html"]}</div>'
    return f'<pre class="print">{html.escape(data["text/plain"].rstrip())}</pre>'


# --- the index ----------------------------------------------------------------------------------------------------


def _card(source: Path, notebook: NotebookNode) -> dict:
    """What the index says of a lesson, from its first cell: {page, title, question, promise, picture, alt}."""
    first = blocks(notebook.cells[0].source)

    def text(kind: str) -> str:
        return next((block.text for block in first if block.kind == kind), "")

    alt, picture = found.groups() if (found := PICTURE.match(text("picture"))) else ("", "")
    return {
        "page": f"{source.stem}.html",
        "title": text("heading").lstrip("# "),
        "question": text("text").replace("**", ""),
        "promise": text("said"),
        "picture": picture,
        "alt": alt,
    }


def _write_index(cards: list[dict], folder: Path) -> Path:
    page = Page(NotebookNode(cells=[], metadata={}), folder, "assets")
    rows = [
        f'<li><a class="card" href="{card["page"]}">'
        + (f'<img src="{card["picture"]}" alt="{html.escape(card["alt"])}">' if card["picture"] else "<span></span>")
        + f"<div><h2>{page.inline(card['title'])}</h2><p class='question'>{page.inline(card['question'])}</p>"
        f"<p>{page.inline(card['promise'])}</p></div></a></li>"
        for card in cards
    ]
    body = (
        "<h1>ELBO Room</h1>\n<p class='question'>A course on variational autoencoders. Every formula is run, every "
        "claim is measured.</p>\n<p>These pages show the lessons as they come out when all is solved; what you can "
        "drag is live. To run them yourself and have your answers checked, open the notebooks in JupyterLab: "
        f"<code>make lab</code>.</p>\n<ol class='map'>{''.join(rows)}</ol>"
    )
    text = TEMPLATE.format(title="ELBO Room", places="", contents="", body=body, turn="", scripts="")
    path = folder / "index.html"
    path.write_text(text, encoding="utf-8")
    return path


def main() -> None:
    try:
        print(f"Open {write_site(sources())[0].relative_to(ROOT)}")
    except (CellControlSignal, DeadKernelError) as error:  # it raised, ran for too long, or ended its kernel
        sys.exit(f"site: a cell of a lesson failed\n{error}")
    except (MissingTool, ValueError) as error:
        sys.exit(f"site: {error}")


if __name__ == "__main__":
    main()
