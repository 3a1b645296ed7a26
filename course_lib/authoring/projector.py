"""Figures a second time, for a projector: the same figure with text that the last row can read.

`install()` in a kernel makes every figure leave, beside its PNG, a JSON output of type MIME for slides: the picture,
its size on a slide of 1280 × 720, and its title apart, so that the slide can set it in type.
"""

import base64
import io
import itertools
from contextlib import contextmanager

import numpy as np
from IPython import get_ipython
from IPython.core.formatters import BaseFormatter
from matplotlib.figure import Figure
from matplotlib.patches import BoxStyle
from matplotlib.text import Annotation, Text
from traitlets import ObjectName, Unicode

MIME = "application/vnd.elbo-room.slide+json"
WIDE, SQUARE = (1184, 510), (640, 600)  # room for a figure: under the slide's title, or beside its text
SMALLEST = 21  # px on the slide
CIRCLE = BoxStyle.get_styles()["circle"]
SHARP = 1.5  # image pixels per slide pixel


def install() -> None:
    formatter = get_ipython().display_formatter
    formatter.formatters[MIME] = ProjectorFormatter(parent=formatter)


class ProjectorFormatter(BaseFormatter):
    format_type = Unicode(MIME)
    print_method = ObjectName("_repr_slide_")

    def __call__(self, shown):  # no printer registered for Figure: matplotlib's inline backend clears those
        return on_a_slide(shown) if isinstance(shown, Figure) else None


def on_a_slide(figure: Figure) -> dict:
    """{png, width, height, text, title, square}: sizes in slide pixels, `text` that of the smallest letters."""
    width, height = (float(inches) for inches in figure.get_size_inches())
    square = width / height < 1.5
    room = SQUARE if square else WIDE
    scale = min(room[0] / width, room[1] / height)  # slide pixels per inch
    with larger_text(figure, 72 * SMALLEST / scale) as title:
        png = io.BytesIO()
        figure.savefig(png, format="png", facecolor="white", dpi=scale * SHARP)
    return {
        "png": base64.b64encode(png.getvalue()).decode(),
        "width": round(width * scale),
        "height": round(height * scale),
        "text": SMALLEST if any(text.get_text() for text in figure.findobj(Text) if text.get_visible()) else 0,
        "title": title,
        "square": square,
    }


@contextmanager
def larger_text(figure: Figure, points: float):
    """No text below `points`, an index not either; gives the title where there is one, which is then not drawn."""
    titles = [axis for axis in figure.axes if axis.get_title(loc="left") or axis.get_title()]
    title = ""
    for axis in figure.axes:
        axis.tick_params(labelsize=max(points, *(t.get_fontsize() for t in _ticks(axis))))
    before = [(text, text.get_text(), text.get_fontsize()) for text in figure.findobj(Text) if text.get_text()]
    for text, content, size in before:
        indexed = "$" in content and ("_" in content or "^" in content)
        text.set_fontsize(max(size, points / 0.7 if indexed else points))
    places = [(label, label.get_position()) for axis in figure.axes for label in _discs(axis)]
    _apart(figure)
    if len(titles) == 1:
        title = titles[0].get_title(loc="left") or titles[0].get_title()
        for place in ("left", "center"):
            titles[0].set_title("", loc=place)
    try:
        yield title
    finally:
        for text, content, size in before:
            text.set(text=content, fontsize=size)
        for label, place in places:
            label.set_position(place)


def _apart(figure: Figure) -> None:
    """Labels in discs that cover each other are pushed apart until each can be read."""
    figure.draw_without_rendering()
    for axis in figure.axes:
        labels = _discs(axis)
        at = np.array([axis.transData.transform(label.get_position()) for label in labels])
        size = [max(label.get_bbox_patch().get_window_extent().size) / 2 for label in labels]
        for _ in range(100):
            pairs = [
                (i, j, gap)
                for i, j in itertools.combinations(range(len(labels)), 2)
                if (gap := size[i] + size[j] - np.linalg.norm(at[i] - at[j])) > 0.5
            ]
            for i, j, gap in pairs:
                away = at[i] - at[j] if np.any(at[i] != at[j]) else np.array([1.0, 0.0])
                push = away / np.linalg.norm(away) * gap / 2
                at[i], at[j] = at[i] + push, at[j] - push
            if not pairs:
                break
        for label, place in zip(labels, at, strict=True):
            label.set_position(axis.transData.inverted().transform(place))


def _discs(axis) -> list[Text]:
    """Its labels in discs, which stand at places of the data."""
    discs = [t for t in axis.texts if t.get_bbox_patch() and isinstance(t.get_bbox_patch().get_boxstyle(), CIRCLE)]
    return [t for t in discs if isinstance(t, Annotation) and t.anncoords == "data"]


def _ticks(axis):
    return [*axis.get_xticklabels(), *axis.get_yticklabels(), Text(fontsize=1)]
