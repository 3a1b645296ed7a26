"""From an executed lesson to a list of slides: what is shown on each, what is said to it, how long that takes.

Sizes are those of a slide of 1280 × 720 and only decide what goes on the same slide; CSS places it.
"""

import html
import re
from dataclasses import dataclass, field

from nbformat import NotebookNode

from course_lib.authoring.faces import PICTURE, Block, blocks, items, lead_out, length
from course_lib.authoring.page import Page
from course_lib.authoring.projector import MIME

WIDTH, HEIGHT = 1184, 628  # of a slide without its margins
TEXT, SMALLEST = 30, 20  # px: sizes of letters
FORMULA, LEAST_FORMULA = 39, 28.6  # of a formula's, whose indices have 0.7 of that
CODE_LINES = 21
MARK = re.compile(r"^#+\s+")


@dataclass
class Slide:
    section: str
    title: str
    kind: str = "text"  # opening, text, figure, side (a figure with text beside it), code, exercise
    body: list[str] = field(default_factory=list)  # HTML
    aside: list[str] = field(default_factory=list)  # HTML beside a figure
    notes: list[str] = field(default_factory=list)  # Markdown
    room: float = 0.0  # px that are left in height
    width: float = WIDTH  # of a line of text
    stack: bool = False  # holds formulas, and the next one may join them
    words: int = 0
    minutes: float | None = None  # an author's word for the section that begins here
    seconds: float = 0.0

    @property
    def says(self) -> bool:
        """Whether its title is a sentence of its own: then the section's name stands above it."""
        return self.title != self.section


class Deck:
    """Reads a solved, executed lesson cell by cell, with the learner's notebook for its stubs. Gives `slides`."""

    def __init__(self, notebook: NotebookNode, learners: NotebookNode, page: Page):
        self.page, self.slides = page, []
        self.stubs = {cell.id: cell.source for cell in learners.cells}
        self.section = self.title = ""
        self.fresh = True  # a heading was read and no slide shows it yet
        self.waiting: list[str] = []  # said before the next slide is there
        self.lead = ""  # words that lead to the next cell's output
        self.minutes: float | None = None
        self.exercise = ""
        self.large = _large_figures(notebook)
        for cell in notebook.cells:
            marks = cell.metadata.get("slideshow", {})
            if marks.get("slide_type") == "skip" or cell.id.startswith("check-"):
                continue
            if cell.cell_type == "markdown":
                self._markdown(cell, marks)
            elif cell.id.startswith("exercise-"):
                self._exercise(cell)
            else:
                self._code(cell, marks)
        for slide in self.slides:
            _time(slide)

    # --- placing --------------------------------------------------------------------------------------------------

    def _new(self, kind: str = "text", title: str = "", width: float = WIDTH) -> Slide:
        title = title or (self.title if self.fresh else "") or self.section
        slide = Slide(self.section, title, kind, notes=self.waiting, width=width, minutes=self.minutes)
        size = 34 if kind == "side" else 40
        slide.room = HEIGHT - 54 * _lines(title, size, width) - (34 if slide.says else 0) - 16
        self.waiting, self.fresh, self.minutes = [], False, None
        self.slides.append(slide)
        return slide

    def _place(self, markup: str, height: float, words: str, title: str = "") -> None:
        """On the slide that is there if it fits, else on a new one."""
        slide = self.slides[-1] if self.slides else None
        if self.fresh or title or slide.kind not in ("text", "side") or slide.room < height:
            slide = self._new(title=title)
        target = slide.aside if slide.kind == "side" else slide.body
        target.append(f'<div class="fragment">{markup}</div>' if slide.body else markup)
        slide.room -= height
        slide.words += len(words.split())

    def _say(self, text: str) -> None:
        if text.strip():
            (self.waiting if self.fresh or not self.slides else self.slides[-1].notes).append(text)

    def _width(self) -> float:
        """Of a line of text where the next block would go."""
        return WIDTH if self.fresh or not self.slides or self.slides[-1].kind != "side" else self.slides[-1].width

    # --- cells ----------------------------------------------------------------------------------------------------

    def _markdown(self, cell: NotebookNode, marks: dict) -> None:
        if marks.get("slide_type") == "notes":
            return self._say(cell.source)
        found = blocks(cell.source)
        if not self._is_exercise(found):
            self.lead = lead_out(found)
        self.minutes = marks.get("minutes", self.minutes)
        if not self.slides and not self.section:
            return self._opening(found)
        if says := marks.get("says"):
            self._text(Block("text", says), new=True)
        for block in found:
            getattr(self, f"_{block.kind}")(block)
        self._say(self.lead)

    @staticmethod
    def _is_exercise(found: list[Block]) -> bool:
        return bool(found) and found[0].kind == "heading" and "Exercise" in found[0].text

    def _opening(self, found: list[Block]) -> None:
        """The lesson's first cell: name, question and picture on one slide, the rest is said."""
        self.section = self.title = MARK.sub("", next(b.text for b in found if b.kind == "heading"))
        slide = self._new("opening")
        number, _, name = self.title.rpartition(" · ")
        slide.body.append(f'<p class="section">Lesson {number}</p><h1>{self.page.inline(name)}</h1>')
        for block in found:
            if block.kind == "text":
                slide.body.append(f'<p class="question">{self.page.inline(block.text.replace("**", ""))}</p>')
            elif block.kind == "picture":
                self._opening_picture(slide, *PICTURE.match(block.text).groups())
            elif block.kind == "said":
                self.slides[-1].notes.append(block.text)

    def _opening_picture(self, slide: Slide, alt: str, target: str) -> None:
        """Drawn anew for the projector where a cell of this lesson makes it; a wide one gets a slide of its own."""
        data = self.large.get(target.rpartition("/")[2].removesuffix(".png"))
        if data and not data["square"]:
            self._figure({**data, "alt": alt}, "")
        elif data:
            slide.aside.append(self._drawn({**data, "alt": alt}))
        else:
            slide.aside.append(f'<img src="{target}" alt="{html.escape(alt)}">')

    def _drawn(self, large: dict) -> str:
        size = {"width": large["width"], "height": large["height"], "data_text": large["text"]}
        return self.page.picture(large["png"], large["alt"], **size)

    def _heading(self, block: Block) -> None:
        level, name = block.text.count("#", 0, 4), MARK.sub("", block.text)
        self.exercise = name if name.startswith("Exercise") else ""
        self.title, self.fresh = name, True
        if level < 3:
            self.section = name

    def _said(self, block: Block) -> None:
        self._say(block.text)

    def _text(self, block: Block, new: bool = False) -> None:
        if new and self.slides and self.slides[-1].kind in ("text", "side") and self.slides[-1].room < 200:
            self.fresh = True
        height = _lines(block.text, TEXT + 2, self._width()) * 1.4 * (TEXT + 2) + 26
        self._place(f'<p class="say">{self.page.inline(block.text)}</p>', height, block.text)

    def _call(self, block: Block) -> None:
        if not self.fresh and self.slides[-1].says and not block.text.startswith("**Play"):
            self.slides[-1].room = 0  # what is asked is no part of a headline that answers something else
        height = _lines(block.text, TEXT, self._width() - 70) * 1.4 * TEXT + 70
        self._place(f'<p class="call">{self.page.inline(block.text)}</p>', height, block.text)

    def _question(self, block: Block) -> None:
        if block.text.endswith("?"):
            self._text(Block("text", block.text))
        self._say(f"*{block.text}* {block.lead}")

    def _formula(self, block: Block) -> None:
        drawn = self.page.formulas(block.text.strip("$").strip(), display=True)
        if drawn.width > WIDTH / LEAST_FORMULA:
            drawn = self.page.formulas(in_lines(drawn.tex), display=True)
        size = min(FORMULA, WIDTH / drawn.width)
        lead = f'<p class="lead">{self.page.inline(block.lead)}</p>' if block.lead else ""
        height = _lines(block.lead, 28, WIDTH) * 1.4 * 28 + drawn.height * size + 60
        markup = f'{lead}<p class="line" style="font-size:{size:.1f}px">{drawn.html(display=True)}</p>'
        if not self.fresh and not self.slides[-1].stack:
            self.slides[-1].room = 0
        self._place(markup, height, block.lead)
        self.slides[-1].stack = True

    def _table(self, block: Block) -> None:
        head, rule, *rows = block.text.split("\n")
        heights = [31 * -(-length(row) // 85) + 13 for row in rows]
        start = 0
        while start < len(rows):  # as many rows as a slide holds, each time under the head
            slide, end = self._new(), start + 1
            while end < len(rows) and sum(heights[start : end + 1]) < HEIGHT - 130:
                end += 1
            part = "\n".join([head, rule, *rows[start:end]])
            slide.body.append(f'<div class="table">{self.page.markdown(part)}</div>')
            slide.room, start = 0, end
            slide.words += len(part.split())
        self._say(block.lead)

    def _picture(self, block: Block) -> None:
        alt, target = PICTURE.match(block.text).groups()
        self._new("figure").body.append(f'<img src="{target}" alt="{html.escape(alt)}">')

    def _list(self, block: Block) -> None:
        parts, start = items(block.text), 0
        heights = [_lines(item, TEXT, WIDTH - 60) * 1.4 * TEXT + 14 for item in parts]
        lead = f'<p class="lead">{self.page.inline(block.lead)}</p>' if block.lead else ""
        while start < len(parts):  # as many items as a slide holds
            free = self.slides[-1].room if self.slides and not self.fresh and not start else HEIGHT - 90
            end = start + 1
            while end < len(parts) and sum(heights[start : end + 1]) + 60 * bool(lead) <= free:
                end += 1
            part = "\n".join(parts[start:end])
            self._place(lead + self.page.markdown(part), sum(heights[start:end]) + 60 * bool(lead), part)
            start, lead = end, ""

    def _exercise(self, cell: NotebookNode) -> None:
        """Task and stub; then, as a step, the solution in its place. The line under the heading says how long."""
        line = next((text for text in self.waiting if "min" in text), "")
        slide = self._new("exercise", self.exercise)
        slide.notes = [text for text in slide.notes if text is not line]
        if found := re.search(r"(\d+) min", line):
            slide.seconds = 60 * int(found[1])
        stub, solved = (self.page.code(fold(text, 85)) for text in (self.stubs[cell.id], cell.source))
        slide.body = [
            f'<p class="lead">{self.page.inline(line)}</p>',
            f'<div class="swap"><div class="fragment fade-out" data-fragment-index="0">{stub}</div>'
            f'<div class="fragment" data-fragment-index="0">{solved}<p class="lead">One answer</p></div></div>',
        ]

    def _code(self, cell: NotebookNode, marks: dict) -> None:
        if len(self.slides) == 1 and self.section == self.slides[0].section and not marks:
            return  # before the first section: imports and data
        says, lead = marks.get("says", ""), self.lead
        if marks.get("show") == "code":
            for part in _screens(cell.source):
                self._new("code", says).body.append(self.page.code(part))
        if marks.get("slide_type") == "notes":
            return
        for data in self.page.outputs(cell):
            if list(data) == ["text/plain"]:
                self._print(data["text/plain"], says, lead)
                lead = ""
            elif widget := self.page.widget(data):
                self._new("widget", says).body.append(widget)
            elif MIME in data:
                self._figure({**data[MIME], "alt": data.get("text/plain", "")}, says)
            elif "image/png" in data:
                self._new("figure", says).body.append(self.page.picture(data["image/png"], data.get("text/plain", "")))
            elif "text/html" in data:
                self._new(title=says).body.append(f'<div class="table">{data["text/html"]}</div>')
        self.lead = ""

    def _print(self, text: str, says: str, lead: str) -> None:
        lines = squeeze(text.rstrip("\n").split("\n"), 94)
        widest = max(map(len, lines))
        bleed = " bleed" if widest > 99 else ""  # into the margins, before a line breaks
        pitch = (WIDTH + 54 if bleed else WIDTH - 52) / widest  # px for a letter
        size = max(SMALLEST, min(34, pitch / 0.602))
        tight = max(-0.7, min(0, pitch - 0.602 * size))
        most = int((HEIGHT - 150) / (1.4 * size))
        for start in range(0, len(lines), most):
            part = "\n".join(lines[start : start + most])
            before = f'<p class="lead">{self.page.inline(lead)}</p>' if lead and not start and not says else ""
            slide = self._new(title=says)
            style = f"font-size:{size:.1f}px;letter-spacing:{tight:.2f}px"
            slide.body.append(f'{before}<pre class="print{bleed}" style="{style}">{html.escape(part)}</pre>')
            slide.room -= (part.count("\n") + 1) * 1.4 * size + 70 + 64 * bool(before)

    def _figure(self, large: dict, says: str) -> None:
        title = large["title"] or says
        width = WIDTH - large["width"] - 40 if large["square"] else WIDTH
        slide = self._new("side" if large["square"] else "figure", title, width)
        slide.body.append(self._drawn(large))
        if not large["square"]:
            slide.room -= large["height"]


# --- measures -----------------------------------------------------------------------------------------------------


def _lines(text: str, size: float, width: float) -> int:
    return -(-length(text) // max(1, int(width / (0.47 * size)))) if text else 0


def _screens(source: str) -> list[str]:
    """Code in parts that fit on a slide, cut where two blank lines are."""
    parts: list[str] = []
    for piece in re.split(r"\n\n\n+", fold(source, 94)):
        if parts and len(parts[-1].split("\n")) + len(piece.split("\n")) + 2 <= CODE_LINES:
            parts[-1] += "\n\n\n" + piece
        else:
            parts.append(piece)
    return parts


def squeeze(lines: list[str], width: int) -> list[str]:
    """A table of prints with less room between its columns, as far as it takes to be that wide."""
    for gap in (3, 2, 1):
        widest = max(map(len, lines))
        if widest <= width:
            break
        padded = [line.ljust(widest) for line in lines]
        blank = [all(line[i] == " " for line in padded) for i in range(widest)]
        keep = [i for i in range(widest) if not (i >= gap and all(blank[i - gap : i + 1]))]
        lines = ["".join(line[i] for i in keep).rstrip() for line in padded]
    return lines


def in_lines(tex: str) -> str:
    """A wide formula in lines: one for each part set apart by \\qquad, else a new one at each = but the first."""
    depth, apart, equals = 0, [], []
    for token in re.finditer(r"\\(?:left|right|begin|end|qquad|[a-zA-Z]+|.)|[{}()\[\]=]", tex):
        if token[0] in ("{", "(", "[", r"\{", r"\begin"):
            depth += 1
        elif token[0] in ("}", ")", "]", r"\}", r"\end"):
            depth -= 1
        elif depth == 0 and token[0] == r"\qquad":
            apart.append(token.span())
        elif depth == 0 and token[0] == "=":
            equals.append(token.start())
    if apart:
        parts = [
            tex[a:b] for a, b in zip([0, *(end for _, end in apart)], [*(at for at, _ in apart), len(tex)], strict=True)
        ]
        return r"\begin{gathered}" + r"\\[.5em]".join(filter(str.strip, parts)) + r"\end{gathered}"
    if len(equals) > 1:
        parts = [tex[a:b] for a, b in zip(equals, [*equals[1:], len(tex)], strict=True)]
        return r"\begin{aligned}" + tex[: equals[0]] + r"\\[.5em]".join("&" + p for p in parts) + r"\end{aligned}"
    return tex


def fold(source: str, width: int) -> str:
    """Code whose lines are at most that wide: a docstring is cut between words, all else after a comma if it can."""
    lines, inside = [], False
    for line in source.split("\n"):
        within = inside or '"""' in line
        inside ^= line.count('"""') % 2 == 1
        indent = " " * (len(line) - len(line.lstrip()) + (0 if within else 4))
        while len(line) > width:
            comma = -1 if within else line.rfind(", ", len(indent), width)
            cut = comma + 1 or line.rfind(" ", len(indent), width)
            if cut < 0:
                break
            lines.append(line[:cut])
            line = indent + line[cut:].lstrip()
        lines.append(line)
    return "\n".join(lines)


def _large_figures(notebook: NotebookNode) -> dict[str, dict]:
    """Name in lessons/figures → the last figure of the cell that makes it, as for a projector."""
    return {
        cell.metadata["figure"]: output.data[MIME]
        for cell in notebook.cells
        if "figure" in cell.metadata
        for output in cell.outputs
        if MIME in output.get("data", {})
    }


def _time(slide: Slide) -> None:
    """An exercise takes what its line says; else a look at the slide, its words, and a third of what could be said."""
    if not slide.seconds:
        slide.seconds = 30 + slide.words / 2.5 + len(" ".join(slide.notes).split()) / 6
