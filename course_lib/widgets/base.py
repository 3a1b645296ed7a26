"""What every widget of the course shares: its files, its still picture, and errors that reach the learner."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anywidget
import traitlets

FOLDER = Path(__file__).parent


def files(*names: str) -> str:
    """The named files of this folder, one after the other: one ES module or one style sheet without a bundler."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def one_line(error: BaseException) -> str:
    """An exception as one line that fits under a widget."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__


class CourseWidget(anywidget.AnyWidget):
    """A widget that also leaves a picture and a sentence where no front end can draw it.

    A subclass sets `_esm = files("common.js", ..., "name.js")` and `_css`, the sentence `what`, and `still`.
    `message` is the widget's line of text; `failed` says that it is an error, `error` keeps the exception itself.
    """

    what = "an interactive figure"
    message = traitlets.Unicode("").tag(sync=True)
    failed = traitlets.Bool(False).tag(sync=True)
    error: BaseException | None = None

    def still(self) -> bytes:
        """The widget as a PNG picture, for print, slides and pages without widgets."""
        raise NotImplementedError

    def say(self, message: str, error: BaseException | None = None) -> None:
        """Shows one line in the widget; with `error`, as an error, kept in `self.error`."""
        self.error = error
        with self.hold_sync():
            self.failed, self.message = error is not None, message

    @contextmanager
    def errors_shown(self, doing: str) -> Iterator[None]:
        """An exception in a callback would vanish in the kernel's log: shows it in the widget instead."""
        try:
            yield
        except (Exception, KeyboardInterrupt) as error:
            self.say(f"{doing} stopped: {one_line(error)}", error)

    def _repr_mimebundle_(self, **kwargs):
        # A front end takes the richest form it can draw: the live widget, else the picture, else the sentence.
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        data["text/plain"] = f"{self.what}: live in JupyterLab with anywidget installed, elsewhere a still picture"
        with self.errors_shown("the still picture"):  # a model broken meanwhile still shows its widget
            data["image/png"] = base64.b64encode(self.still()).decode("ascii")
        return data, metadata
