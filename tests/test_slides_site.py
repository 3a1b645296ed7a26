"""Slides and site: what a slide shows of a lesson, and every deck and page in a real browser with the network off."""

import copy
import itertools
import json
import math
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from browser import no_browser, watched
from matplotlib.figure import Figure
from matplotlib.text import Text
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from course_lib import ROOT
from course_lib.authoring import packages
from course_lib.authoring.build import build, sources
from course_lib.authoring.deck import fold, in_lines, squeeze
from course_lib.authoring.execute import _key, executed
from course_lib.authoring.faces import blocks, length, sentences
from course_lib.authoring.formulas import Formulas
from course_lib.authoring.page import STATE, Page
from course_lib.authoring.projector import SMALLEST, SQUARE, on_a_slide
from course_lib.authoring.site import write_site
from course_lib.authoring.slides import write_deck
from course_lib.plots import codes

SOURCES = sources()
MNIST = ROOT.parent / "shared" / "data" / "mnist"
lessons = pytest.mark.parametrize("source", SOURCES, ids=[s.stem for s in SOURCES])
in_browser = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

# What is wrong with the slide that is shown, as a list of sentences.
WRONG = """() => {
  const slide = Reveal.getCurrentSlide(), frame = slide.querySelector(".frame"), wrong = [];
  const up = (node) => node.parentElement ?? node.getRootNode().host; // out of a widget's shadow root, too
  const above = function* (node) { for (let n = node; n && n !== slide; n = up(n)) yield n; };
  const all = function* (root) {
    for (const node of root.querySelectorAll("*")) { yield node; if (node.shadowRoot) yield* all(node.shadowRoot); }
  };
  const style = (node) => getComputedStyle(node), scrolls = (node) => /auto|scroll/.test(style(node).overflow);
  const hidden = (node) => [...above(node)].some((n) => n.className === "spoken" || style(n).display === "none"
    || style(n).visibility === "hidden" || style(n).opacity === "0");
  const called = (node) => `${node.tagName}.${node.className} “${node.textContent.trim().slice(0, 40)}”`;
  let shown = 0;
  for (const node of all(frame)) {
    const drawn = node.closest("svg");
    if ((drawn && node !== drawn && node.tagName !== "path") || ["OPTION", "STYLE"].includes(node.tagName)) continue;
    if (node.closest(".widget.live") && node.tagName === "IMG" || hidden(node)) continue;
    if (node.tagName === "path") {
      const size = Math.abs(node.getScreenCTM().a) * 1000; // MathJax draws 1000 units to the em
      if (size < 20) wrong.push(`${size.toFixed(1)} px in $${node.closest(".formula").getAttribute("aria-label")}$`);
      continue;
    }
    const box = node.getBoundingClientRect(), held = [...above(up(node))].some(scrolls);
    if (box.width && !held && (box.left < 0 || box.top < 0 || box.right > 1280.5 || box.bottom > 720.5))
      wrong.push(`${called(node)} leaves the slide: ${[box.left, box.top, box.right, box.bottom].map(Math.round)}`);
    const text = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data).join("").trim();
    if (text) {
      const size = parseFloat(style(node).fontSize) * (node.currentCSSZoom ?? 1) * Reveal.getScale();
      if (size < 20) wrong.push(`${size.toFixed(1)} px in ${called(node)}`);
      if (!node.closest("pre, code") && /\\$|\\\\\\(|\\*\\*/.test(text)) wrong.push(`not drawn: ${text}`);
    }
    if (node.tagName === "IMG") {
      if (!node.complete || !node.naturalWidth) wrong.push(`${node.src} is not there`);
      const size = box.width / node.getAttribute("width") * node.dataset.text;
      if (node.dataset.text && !(size >= 20)) wrong.push(`${size} px in ${called(node)}`);
    }
    if (!node.closest("header") && (text || ["IMG", "CANVAS", "svg"].includes(node.tagName))) shown++;
    const cut = node.matches(".print, .code, .widget") && node.scrollWidth > node.clientWidth + 1;
    if (cut) wrong.push(`${called(node)} is cut`);
  }
  if (!shown) wrong.push("nothing but a heading");
  for (const part of [frame, ...frame.querySelectorAll(":scope > .body, :scope > .beside")])
    if (part.scrollHeight > part.clientHeight + 1) wrong.push(`${called(part)} is too tall: ${part.scrollHeight} px`);
  const header = frame.querySelector("header")?.getBoundingClientRect();
  const body = frame.querySelector(":scope > .body > *")?.getBoundingClientRect();
  if (header && !frame.matches(".as-side") && body.top < header.bottom - 1) wrong.push("the heading is covered");
  return wrong;
}"""
PIXELS = "canvas => canvas.toDataURL()"


# --- what is shown ------------------------------------------------------------------------------------------------


def test_a_slide_shows_formulas_with_their_lead_bold_sentences_lists_and_calls():
    source = (
        "## 2 · Bound\n\nSome words. It hides an integral over all of the codes that there are, one for each:\n\n"
        "$$\\int p(x\\mid z)\\,dz .$$\n\nMore words. This is a **density**. The end.\n\n"
        "Two models. **Predict:** which one wins? By how much?\n\n> **From the notes** (1). A slip.\n\n- one\n- two"
    )
    found = [(b.kind, b.text) for b in blocks(source) if b.kind != "said"]
    assert found == [
        ("heading", "## 2 · Bound"),
        ("formula", "$$\\int p(x\\mid z)\\,dz .$$"),
        ("text", "This is a **density**."),
        ("call", "Two models. **Predict:** which one wins? By how much?"),
        ("list", "- one\n- two"),
    ]
    assert [b.lead for b in blocks(source) if b.kind == "formula"] == [
        "It hides an integral over all of the codes that there are, one for each:"
    ]
    assert " ".join(b.text for b in blocks(source) if b.kind == "said") == (
        "Some words. More words. The end. > **From the notes** (1). A slip."
    )


@lessons
def test_every_word_of_a_lesson_is_shown_or_said(source):
    for cell in build(source).cells:
        if cell.cell_type == "markdown" and not cell.id.startswith("hints"):
            kept = " ".join(f"{b.lead} {b.text}" for b in blocks(cell.source))
            wanted = re.sub(r"</?(details|summary)>", " ", cell.source)
            assert sorted(kept.split()) == sorted(wanted.split())


def test_sentences_end_at_their_ends():
    text = "If $x = 1.5$. Then (see e.g. A. B.) it is `a. B`. Is it? **No.** The end"
    assert sentences(text) == ["If $x = 1.5$.", "Then (see e.g. A. B.) it is `a. B`.", "Is it?", "**No.**", "The end"]
    assert length(r"$\log p_\theta(x)$ and **bold**") < 18


def test_long_lines_of_code_are_folded_where_they_may():
    line = "    self.enc = nn.Sequential(nn.Linear(pixels, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latents))"
    folded = fold(line, 60).split("\n")
    assert all(len(part) <= 60 for part in folded)
    assert folded[0].endswith(",")
    assert folded[1].startswith(" " * 8 + "nn.")
    assert "".join(folded).replace(" ", "") == line.replace(" ", "")


def test_wide_tables_and_formulas_are_made_narrower():
    table = ["name          a           b", "long name     1           2"]
    assert squeeze(table, 100) == table
    assert squeeze(table, 20) == ["name        a b", "long name   1 2"] or max(map(len, squeeze(table, 16))) <= 16
    assert in_lines(r"P(z=k)=a_{x=1}=b") == r"\begin{aligned}P(z=k)&=a_{x=1}\\[.5em]&=b\end{aligned}"
    assert in_lines(r"a=1,\qquad b") == r"\begin{gathered}a=1,\\[.5em] b\end{gathered}"
    assert in_lines("a + b") == "a + b"


def test_a_figure_for_the_projector_has_large_letters_and_labels_that_do_not_cover_each_other():
    y = torch.arange(60) % 3
    figure = codes(
        0.01 * torch.randn(60, 2, generator=torch.Generator().manual_seed(0)), y, "All in one place", limit=4
    )
    labels = figure.axes[0].texts
    before = [(label.get_position(), label.get_fontsize()) for label in labels]
    spread = {}

    def look(*arguments, **more):
        figure.draw_without_rendering()
        boxes = [label.get_bbox_patch().get_window_extent() for label in labels]
        spread["gaps"] = [
            math.hypot(a.x0 + a.x1 - b.x0 - b.x1, a.y0 + a.y1 - b.y0 - b.y1) / 2 - (a.width + b.width) / 2
            for a, b in itertools.combinations(boxes, 2)
        ]
        spread["points"] = min(t.get_fontsize() for t in figure.findobj(Text) if t.get_text() and t.get_visible())
        Figure.savefig(figure, *arguments, **more)

    figure.savefig = look
    large = on_a_slide(figure)
    scale = min(SQUARE[0] / figure.get_size_inches()[0], SQUARE[1] / figure.get_size_inches()[1])
    assert (large["title"], large["square"], large["text"]) == ("All in one place", True, SMALLEST)
    assert spread["points"] * scale / 72 > SMALLEST - 1e-6
    assert len(spread["gaps"]) == 3
    assert min(spread["gaps"]) > -2  # px
    assert [(label.get_position(), label.get_fontsize()) for label in labels] == before


@lessons
def test_what_only_a_deck_reads_is_not_in_a_learners_notebook(source):
    for cell in build(source).cells:
        assert set(cell.metadata.get("slideshow", {})) <= {"slide_type"}
        assert not {"says", "minutes", "slide"} & set(cell.metadata)


def test_a_change_of_words_needs_no_new_run_and_a_change_of_code_does():
    notebook = build(SOURCES[0], solved=True)
    before = _key(notebook, "04")
    notebook.cells[0].source += " more"
    assert _key(notebook, "04") == before
    next(c for c in notebook.cells if c.cell_type == "code").source += "\n1"
    assert _key(notebook, "04") != before


# --- packages -----------------------------------------------------------------------------------------------------


def test_without_npm_one_line_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(packages, "CACHE", tmp_path / "npm")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(packages.MissingTool, match=r"npm is needed .* install Node.js"):
        packages.package("reveal.js")


def test_a_package_with_other_bytes_is_refused(tmp_path):
    (tmp_path / "x.tgz").write_bytes(b"not what was locked")
    with pytest.raises(ValueError, match="nothing was unpacked"):
        packages.verify(tmp_path / "x.tgz", packages.LOCK["mathjax"]["integrity"])


@pytest.fixture(scope="session")
def node():
    """npm and node are part of the check where a browser is."""
    for name in ("npm", "node"):
        if shutil.which(name) is None:
            no_browser(f"no {name}: slides and site are not built (install Node.js)")
    for name in packages.LOCK:
        packages.package(name)


def test_a_formula_that_mathjax_does_not_know_is_named(node):
    with pytest.raises(ValueError, match=r"formula .*Undefined control sequence"):
        Formulas()(r"\nosuchmacro{x}")
    drawn = Formulas()(r"\log p_\theta(x)")
    assert 2 < drawn.width < 5
    assert "merror" not in drawn.svg


# --- in a browser -------------------------------------------------------------------------------------------------


@pytest.fixture
def offline_page(chromium):
    """A page of 1280 × 720 without a network. Fails if anything was asked of another host, or went wrong."""
    context = chromium.new_context(offline=True, viewport={"width": 1280, "height": 720}, has_touch=True)
    page = watched(context)
    left = []
    context.on(
        "request", lambda r: None if r.url.startswith(("file:", "data:", "blob:", "about:")) else left.append(r.url)
    )
    gone = "net::ERR_ABORTED"  # the test went on to another page meanwhile
    page.on("requestfailed", lambda r: None if r.failure == gone else left.append(f"{r.url}: {r.failure}"))
    yield page
    context.close()
    assert not left
    assert not page.errors


EVERY_SLIDE = """async () => {
  const found = [], drawn = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  for (const [i, slide] of Reveal.getSlides().entries()) {
    const { h, v } = Reveal.getIndices(slide);
    for (const step of slide.querySelector(".swap") ? [-1, 99] : [99]) { // a stub and its answer take turns
      Reveal.slide(h, v, step);
      await drawn();
      for (const wrong of (WRONG)()) found.push(`slide ${i + 1}: ${wrong}`);
    }
  }
  return found;
}""".replace("WRONG", WRONG)


def open_deck(page, path: Path) -> None:
    page.goto(path.as_uri())
    page.wait_for_function("window.Reveal?.isReady()")
    page.wait_for_function("document.querySelectorAll('.widget:not(.live)').length === 0")
    page.add_style_tag(content="* { transition: none !important; }")


def wrong_on_slides(page, path: Path) -> list[str]:
    open_deck(page, path)
    return page.evaluate(EVERY_SLIDE)


def drag(page, canvas) -> None:
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + box["width"] / 5, y - box["height"] / 5, steps=4)
    page.mouse.up()


def reacts(page, widget) -> bool:
    """Whether a canvas of the widget changes when one is dragged over, or a slider moved."""
    pictures = widget.locator("canvas")
    for part in [*pictures.all(), *widget.locator("input[type=range]").all()]:
        if part.is_visible():
            before = [c.evaluate(PIXELS) for c in pictures.all()]
            part.scroll_into_view_if_needed()
            drag(page, part)
            page.wait_for_timeout(300)
            if [c.evaluate(PIXELS) for c in pictures.all()] != before:
                return True
    return False


def needs_a_kernel(page, source) -> None:
    """A button that needs a kernel is not there, and a sentence says where it is."""
    assert page.locator(".widget .train").count() == 0
    trains = "train=" in source.read_text(encoding="utf-8")
    assert (page.locator(".widget .without", has_text="open the notebook").count() > 0) == trains


def synthetic(*cells):
    """An executed lesson that no kernel ran."""
    notebook = new_notebook(cells=[new_markdown_cell("# 99 · A test\n\n**Does it fit?**"), *cells])
    notebook.metadata["widgets"] = {STATE: {"state": {}}}
    return notebook


def printed(text: str):
    return new_code_cell("1", outputs=[new_output("stream", name="stdout", text=text)])


@pytest.mark.browser
def test_what_is_long_is_split_so_that_every_slide_fits(node, offline_page, tmp_path):
    long = (
        "A sentence that is rather long, with $\\log p_\\theta(x\\mid z)$ in it, goes on and on until it is at its end"
    )
    notebook = synthetic(
        new_markdown_cell("## 1 · Lists\n\n" + "\n".join(f"- **{i}** {long}." for i in range(14))),
        new_markdown_cell("## 2 · Bold\n\n" + "\n\n".join(f"**{i}** {long}." for i in range(14))),
        new_markdown_cell(
            "## 3 · Formulas\n\n" + "\n\n".join(f"{long}:\n\n$$\\sum_{{i=1}}^D x_i^{i}$$" for i in range(9))
        ),
        new_markdown_cell("## 4 · Prints"),
        printed("\n".join(f"{i:3} a line of output that is about sixty letters wide, no more" for i in range(50))),
        printed("\n".join("x" * 98 for _ in range(3))),
        new_markdown_cell("## 5 · Code"),
        new_code_cell(
            "\n\n\n".join(f"def f{i}(x):\n" + "    x = x + 1\n" * 9 + "    return x" for i in range(5)),
            metadata={
                "slideshow": {"show": "code", "says": "A headline that is so long that it must take two lines of type"}
            },
        ),
        new_markdown_cell(
            "## 6 · A table\n\n| a | b |\n|---|---|\n" + "\n".join(f"| $x_{i}$ | {long} |" for i in range(12))
        ),
    )
    path, slides = write_deck(notebook, notebook, "99_test", tmp_path)
    assert not wrong_on_slides(offline_page, path)
    assert len(slides) > 20


@pytest.fixture(scope="session")
def runs():
    """Executes a lesson, on MNIST where it lies beside the course; once, for all tests and for `make slides`.

    Once even where somebody edits the library meanwhile.
    """
    before = os.environ.get("COURSE_DATA")
    if MNIST.exists():
        os.environ["COURSE_DATA"] = str(MNIST)
    found = {}
    yield lambda source: copy.deepcopy(found[source] if source in found else found.setdefault(source, executed(source)))
    os.environ.pop("COURSE_DATA", None)
    if before is not None:
        os.environ["COURSE_DATA"] = before


class TestDecks:
    pytestmark = in_browser

    @lessons
    def test_a_deck_fits_reads_and_lives_without_a_network(self, source, runs, node, offline_page, tmp_path):
        notebook = runs(source)
        path, slides = write_deck(notebook, build(source), source.stem, tmp_path)
        wrong = wrong_on_slides(offline_page, path)
        assert not wrong, "\n".join(wrong)
        assert 20 <= len(slides) <= 90
        for number in offline_page.evaluate(
            "Reveal.getSlides().flatMap((s, i) => s.querySelector('.widget') ? [i] : [])"
        ):
            offline_page.evaluate(
                "(i) => { const p = Reveal.getIndices(Reveal.getSlides()[i]); Reveal.slide(p.h, p.v); }", number
            )
            assert reacts(offline_page, offline_page.locator("section.present:not(.stack) .widget"))
        needs_a_kernel(offline_page, source)
        minutes = sum(slide.seconds for slide in slides) / 60
        print(f"{source.stem}: {len(slides)} slides, {minutes:.0f} minutes")
        assert 15 <= minutes <= 200

    @lessons
    def test_the_speakers_view_opens_from_a_file_and_has_notes_and_times(
        self, source, runs, node, offline_page, tmp_path
    ):
        path, slides = write_deck(runs(source), build(source), source.stem, tmp_path)
        offline_page.goto(path.as_uri())
        offline_page.wait_for_function("window.Reveal?.isReady()")
        with offline_page.expect_popup() as opened:
            offline_page.keyboard.press("s")
        view = opened.value
        view.locator(".speaker-controls-notes .value", has_text="minutes").wait_for()
        assert "0:00 to" in view.locator(".speaker-controls-notes .value").inner_text()
        assert view.locator(".pacing").is_visible()
        assert not [slide.title for slide in slides if slide.seconds <= 0]

    @lessons
    def test_a_deck_moves_with_its_folder(self, source, runs, node, offline_page, tmp_path):
        write_deck(runs(source), build(source), source.stem, tmp_path / "here")
        shutil.move(tmp_path / "here", tmp_path / "a stick, ü")
        page = tmp_path / "a stick, ü" / f"{source.stem}.html"
        offline_page.goto(page.as_uri())
        offline_page.wait_for_function("window.Reveal?.isReady()")
        assert str(tmp_path) not in page.read_text(encoding="utf-8")
        assert "http://" not in page.read_text(encoding="utf-8").replace("http://www.w3.org", "")


@pytest.fixture(scope="session")
def site(runs, node, tmp_path_factory):
    return write_site(SOURCES, tmp_path_factory.mktemp("site"))


class TestSite:
    pytestmark = in_browser

    def test_every_page_is_whole_on_every_width_and_theme(self, site, chromium):
        for scheme, width in (("light", 1280), ("dark", 360)):
            context = chromium.new_context(offline=True, viewport={"width": width, "height": 800}, color_scheme=scheme)
            page, left = watched(context), []
            context.on(
                "request",
                lambda r, left=left: None if r.url.startswith(("file:", "data:", "blob:")) else left.append(r.url),
            )
            for path in site:
                page.goto(path.as_uri())
                page.wait_for_function("document.querySelectorAll('.widget:not(.live)').length === 0")
                assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
                broken = "[...document.images].filter((i) => !i.complete || !i.naturalWidth).map((i) => i.src)"
                assert page.evaluate(broken) == []
                dark = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/\\d+/g)[0] < 100")
                assert dark == (scheme == "dark")
                words = page.evaluate(
                    "() => { const copy = document.body.cloneNode(true);"
                    "copy.querySelectorAll('pre, code, script').forEach((n) => n.remove()); return copy.textContent; }"
                )
                assert not re.search(r"\$|\\\(|\*\*", words), "not drawn"
            context.close()
            assert not left
            assert not page.errors

    def test_links_lead_somewhere(self, site, offline_page):
        for path in site:
            offline_page.goto(path.as_uri())
            for link in offline_page.evaluate("[...document.links].map((a) => a.getAttribute('href'))"):
                if link.startswith("http"):
                    continue
                target, _, anchor = link.partition("#")
                file = path.parent / target if target else path
                assert file.exists(), link
                if anchor:
                    assert f'id="{anchor}"' in file.read_text(encoding="utf-8"), link
        for source in SOURCES:
            offline_page.goto(site[0].as_uri())
            offline_page.locator(f'a[href="{source.stem}.html"]').click()
            assert offline_page.url.endswith(f"{source.stem}.html")

    @lessons
    def test_widgets_react_solutions_fold_and_no_page_is_too_heavy(self, source, site, offline_page):
        path = next(p for p in site if p.stem == source.stem)
        offline_page.goto(path.as_uri())
        offline_page.wait_for_function("document.querySelectorAll('.widget:not(.live)').length === 0")
        for widget in offline_page.locator(".widget").all():
            widget.scroll_into_view_if_needed()
            assert reacts(offline_page, widget)
        needs_a_kernel(offline_page, source)
        exercises = offline_page.locator(".exercise")
        assert exercises.count() == len([c for c in build(source).cells if c.id.startswith("exercise-")]) > 0
        solution = exercises.first.locator("details .code")
        assert not solution.is_visible()
        exercises.first.locator("summary").click()
        assert solution.is_visible()
        weight = path.stat().st_size + sum(f.stat().st_size for f in path.with_suffix("").glob("*"))
        print(f"{source.stem}: {weight / 1e6:.1f} MB")
        assert weight < 8e6

    @lessons
    def test_the_run_behind_the_pages_has_every_exercise_right(self, source, runs):
        """The one solved run, on MNIST where it is there, is a test of the lesson too."""
        for cell in runs(source).cells:
            if cell.id.startswith("check-"):
                assert cell.outputs[0].text.startswith("✓"), cell.outputs[0].text


def test_a_widget_that_is_none_of_ours_is_left_out():
    state = {"a": {"state": {"_esm": "export default {}"}, "buffers": []}, "bar": {"state": {}}}
    notebook = new_notebook(metadata={"widgets": {STATE: {"state": state}}})
    view = "application/vnd.jupyter.widget-view+json"
    cell = new_code_cell(
        "1",
        outputs=[
            new_output("stream", name="stdout", text="one\n"),
            new_output("display_data", {view: {"model_id": "bar"}, "text/plain": "100%"}),
            new_output("stream", name="stderr", text="a warning"),
            new_output("stream", name="stdout", text="two\n"),
            new_output("display_data", {view: {"model_id": "a"}, "text/plain": "live"}),
        ],
    )
    page = Page(notebook, Path(os.devnull).parent, ".", Formulas())
    shown = page.outputs(cell)
    assert [next(iter(data)) for data in shown] == ["text/plain", view]
    assert shown[0]["text/plain"] == "one\ntwo\n"
    assert 'data-widget="a"' in page.widget(shown[1])
    assert json.dumps(page.used) == '["a"]'
