"""Formulas drawn as SVG when a page is built, by MathJax in node: the page needs no script, no font and no network."""

import html
import json
import subprocess
from dataclasses import dataclass

from course_lib.authoring.packages import WEB, package, tool


@dataclass(frozen=True)
class Formula:
    """An SVG whose sizes are in em of the formula's font."""

    tex: str
    svg: str
    width: float
    height: float
    depth: float

    def html(self, display: bool = False) -> str:
        style = f"width:{self.width}em;height:{self.height}em;vertical-align:{self.depth}em"
        drawing = self.svg[self.svg.index("viewBox") :]
        kind = "display" if display else "inline long" if self.width > 12 else "inline"
        return (
            f'<span class="formula {kind}" role="img" aria-label="{html.escape(self.tex)}">'
            f'<svg aria-hidden="true" style="{style}" {drawing}</span>'
        )


class Formulas:
    """Draws formulas and remembers them. `prepare` many at once: each call of node takes a third of a second."""

    def __init__(self):
        self._drawn: dict[tuple[str, bool], Formula] = {}

    def prepare(self, wanted: list[tuple[str, bool]]) -> None:
        """Draws (TeX, display) pairs. Raises ValueError with the formula that MathJax does not understand."""
        new = list(dict.fromkeys(pair for pair in wanted if pair not in self._drawn))
        if not new:
            return
        command = [tool("node"), str(WEB / "formulas.js"), str(package("mathjax"))]
        done = subprocess.run(command, input=json.dumps(new), capture_output=True, text=True, encoding="utf-8")
        if done.returncode:
            raise RuntimeError(f"MathJax in node stopped: {done.stderr.strip()[-500:]}")
        for (tex, display), drawn in zip(new, json.loads(done.stdout), strict=True):
            if error := drawn.pop("error"):
                raise ValueError(f"formula ${tex}$: {error}")
            self._drawn[tex, display] = Formula(tex, **drawn)

    def __call__(self, tex: str, display: bool = False) -> Formula:
        self.prepare([(tex, display)])
        return self._drawn[tex, display]
