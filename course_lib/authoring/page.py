"""What slides and site share: Markdown, code and outputs as HTML, widgets without a kernel, the files beside it."""

import base64
import hashlib
import html
import json
import re
import shutil
import struct
from pathlib import Path

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_lib.authoring.formulas import Formulas
from course_lib.authoring.packages import WEB

WIDGET, STATE = "application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json"


class Page:
    """Turns one executed notebook into pieces of HTML; its pictures and widgets become files in `assets`."""

    def __init__(self, notebook: NotebookNode, folder: Path, assets: str, formulas: Formulas | None = None):
        self.folder, self.assets, self.formulas = folder, assets, formulas or Formulas()
        self.states = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {})
        self.used: list[str] = []  # models of the widgets on the page
        (folder / assets).mkdir(parents=True, exist_ok=True)
        found: list[tuple[str, bool]] = []
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                MarkdownWithMath(_Collects(found)).render(cell.source)
        self.formulas.prepare(found)

    def markdown(self, text: str) -> str:
        drawn = MarkdownWithMath(_Draws(self.formulas)).render(text).strip()
        return re.sub(r"(<table>.*?</table>)", r'<div class="wide">\1</div>', drawn, flags=re.S)

    def inline(self, text: str) -> str:
        """One line of Markdown without a paragraph around it."""
        return re.sub(r"\A<p>(.*)</p>\Z", r"\1", self.markdown(text), flags=re.S)

    def code(self, source: str) -> str:
        return highlight(source.strip("\n"), PythonLexer(), HtmlFormatter(cssclass="code", wrapcode=True))

    def file(self, data: bytes, suffix: str) -> str:
        """Keeps the bytes beside the page; the file's address, named by what is in it."""
        name = f"{self.assets}/{hashlib.sha256(data).hexdigest()[:12]}{suffix}"
        (self.folder / name).write_bytes(data)
        return name

    def picture(self, png: str, alt: str, **attributes: object) -> str:
        data = base64.b64decode(png)
        address = self.file(data, ".png")
        if "width" not in attributes:
            attributes["width"], attributes["height"] = struct.unpack(">II", data[16:24])  # as every PNG begins
        rest = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
        return f'<img src="{address}" alt="{html.escape(alt)}"{rest}>'

    def widget(self, data: dict) -> str | None:
        """A place for the widget of an output, with its still picture until it lives; None where it is none."""
        if WIDGET not in data:
            return None
        id = data[WIDGET]["model_id"]
        if id not in self.used:
            self.used.append(id)
        still = self.picture(data["image/png"], data.get("text/plain", "")) if "image/png" in data else ""
        return f'<div class="widget" data-widget="{id}" data-prevent-swipe>{still}</div>'

    def outputs(self, cell: NotebookNode) -> list[dict]:
        """What a cell shows, in order: data by MIME type. Prints become one text; no progress bars, no warnings."""
        shown: list[dict] = []
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stdout":
                data = {"text/plain": output.text}
            elif output.output_type in ("display_data", "execute_result") and self._is_of_use(output.data):
                data = dict(output.data)
            else:
                continue
            if shown and list(data) == list(shown[-1]) == ["text/plain"]:
                shown[-1]["text/plain"] += data["text/plain"]
            elif list(data) != ["text/plain"] or data["text/plain"].strip():
                shown.append(data)
        return shown

    def _is_of_use(self, data: dict) -> bool:
        return WIDGET not in data or "_esm" in self._state(data)

    def _state(self, data: dict) -> dict:
        return self.states.get(data[WIDGET]["model_id"], {}).get("state", {})

    def scripts(self) -> str:
        """The script tags for the widgets used so far: classic scripts, which a page opened from a stick may load."""
        if not self.used:
            return ""
        kept = {}
        for id in self.used:
            model = self.states[id]
            kept[id] = {"state": model["state"], "buffers": model.get("buffers", [])}
        script = f"const WIDGETS = {json.dumps(kept, ensure_ascii=False, separators=(',', ':'))};"
        address = self.file(script.encode(), ".js")
        return f'<script src="{address}"></script>\n<script src="assets/widgets.js"></script>'


class _Collects(IPythonRenderer):
    """Notes every formula that it meets."""

    def __init__(self, found: list[tuple[str, bool]]):
        super().__init__(escape=False, exclude_anchor_links=True)
        self.found = found

    def inline_math(self, body):
        self.found.append((body.strip(), False))
        return ""

    def block_math(self, body):
        self.found.append((body.strip(), True))
        return ""


class _Draws(IPythonRenderer):
    def __init__(self, formulas: Formulas):
        super().__init__(escape=False, exclude_anchor_links=True)
        self.formulas = formulas

    def inline_math(self, body):
        return self.formulas(body.strip()).html()

    def block_math(self, body):
        return f'<div class="wide">{self.formulas(body.strip(), display=True).html(display=True)}</div>'


def copy_web(folder: Path, *names: str, dark: bool = False) -> None:
    """Copies the named files of web/ into the assets beside the pages, and writes the colours of code there."""
    assets = folder / "assets"
    assets.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(WEB / name, assets / name)
    colours = _colours("friendly")
    if dark:
        colours += f"\n@media (prefers-color-scheme: dark) {{\n{_colours('github-dark')}\n}}\n"
    (assets / "code.css").write_text(colours, encoding="utf-8")


def _colours(style: str) -> str:
    """Of the words of code; the page says what lies behind them."""
    rules = HtmlFormatter(style=style).get_style_defs(".code").split("\n")
    return "\n".join(rule for rule in rules if re.match(r"\.code \.\w+ ", rule))
