"""Bottleneck: the pixels of every row at every width, all ways to move k, both themes, shadow roots, bad arguments."""

import base64
import io
import json

import numpy as np
import pytest
import torch
from browser import encoded, mount, update
from PIL import Image
from traitlets import TraitError

from course_lib import ROOT
from course_lib.widgets import Bottleneck

browser = pytest.mark.browser
WEB = ROOT / "course_lib" / "authoring" / "web"

WIDTHS, SHAPE, NAMES = [1, 2, 4, 8, 16, 32], (5, 4), ["PCA", "linear autoencoder", "nonlinear autoencoder"]
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(14, 20, generator=GENERATOR)
ROWS = {name: {k: torch.rand(14, 20, generator=GENERATOR) for k in WIDTHS} for name in NAMES}
ERRORS = {name: {k: (50 - 3 * m) / k**0.5 for k in WIDTHS} for m, name in enumerate(NAMES)}


def widget_of(**changed):
    return Bottleneck(**{"images": IMAGES, "rows": ROWS, "errors": ERRORS, "shape": SHAPE} | changed)


def frames(page):
    """Lets pending animation frames run."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def pixels(page):
    """(rows, images, X), grey levels that the page shows: the originals, then the methods."""
    frames(page)
    rows = page.evaluate(
        """[...document.querySelectorAll('.strip canvas')].map((canvas) => {
          const { width, height } = canvas, { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
          return [height, width, Array.from(data)];
        })"""
    )
    sheets = [np.array(data).reshape(height, width, 4)[..., 0] for height, width, data in rows]
    return np.stack([[s[:, 5 * c : 5 * c + 4].ravel() for c in range((s.shape[1] + 1) // 5)] for s in sheets])


def wanted(k):
    return (torch.stack([IMAGES, *(ROWS[name][k] for name in NAMES)])[:, :12] * 255).round().numpy()


def k_of(page):
    return page.evaluate("model.get('k')")


def at(page, i):
    """The place on the page of the i-th width in the curves: 46 px at the left and 50 at the right are outside."""
    box = page.locator("canvas.curves").bounding_box()
    return box["x"] + 46 + i / 5 * (box["width"] - 96), box["y"] + box["height"] / 2


# --- what is shown --------------------------------------------------------------------------------


@browser
def test_slider_at_both_ends_and_the_middle_shows_the_pixels_and_errors_of_its_width(page):
    mount(page, widget_of())
    slider, line = page.get_by_label("k, numbers in the code"), page.locator(".bottleneck .line")
    assert k_of(page) == 8
    for i in (0, 3, 5, 1):
        slider.fill(str(i))
        k = WIDTHS[i]
        assert k_of(page) == k
        assert (pixels(page) == wanted(k)).all()
        assert page.locator(".number").all_inner_texts() == [f"{ERRORS[name][k]:.2f}" for name in NAMES]
        assert slider.get_attribute("aria-valuetext") == page.locator(".slider output").inner_text() == str(k)
        assert line.inner_text() == f"From 20 pixels to {k} number{'s' if k > 1 else ''} and back"
    assert page.locator(".strip canvas").evaluate_all("all => all.map((c) => c.width)") == [12 * 5 - 1] * 4


@browser
def test_the_thumb_stands_above_its_width_in_the_curves(page):
    mount(page, widget_of())
    box = page.get_by_label("k, numbers in the code").bounding_box()
    assert [box["x"] + 8, box["x"] + box["width"] - 8] == pytest.approx([at(page, 0)[0], at(page, 5)[0]], abs=1)


@browser
def test_one_width_one_image_and_errors_of_zero(page):
    rows, errors = {"PCA": {3: IMAGES[:1] * 4 - 2}}, {"PCA": {3: 0}}
    mount(page, widget_of(images=IMAGES[:1], rows=rows, errors=errors))
    page.get_by_label("k, numbers in the code").press("ArrowRight")
    page.mouse.click(*at(page, 5))
    assert k_of(page) == 3
    assert (pixels(page)[1] == (rows["PCA"][3].clamp(0, 1) * 255).round().numpy()).all()


# --- controls -------------------------------------------------------------------------------------


@browser
def test_drag_along_the_curves(page):
    mount(page, widget_of())
    page.mouse.move(*at(page, 4))
    assert k_of(page) == 8, "hovering moves nothing"
    page.mouse.down()
    for i in (4, 0, 2.4, 2.6):
        page.mouse.move(*at(page, i))
        assert k_of(page) == WIDTHS[round(i)]
        assert (pixels(page) == wanted(WIDTHS[round(i)])).all()
    for x, k in ((-500, 1), (3000, 32)):
        page.mouse.move(x, 10)
        assert k_of(page) == k, "the pointer is captured"
    page.mouse.up()
    page.mouse.move(*at(page, 0))
    assert k_of(page) == 32
    frames(page)
    assert page.evaluate("model.saved") <= 8, "the kernel hears of a drag at most once a frame"
    page.mouse.click(*at(page, 1))
    page.keyboard.press("ArrowRight")
    assert k_of(page) == 4, "keys go on from there"


@browser
def test_a_finger_moves_k_and_not_the_page(page):
    mount(page, widget_of())
    page.evaluate("() => { document.body.style.height = '3000px'; }")
    session = page.context.new_cdp_session(page)

    def touch(kind, *place):
        points = [{"x": place[0], "y": place[1]}] if place else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", *at(page, 5))
    for i in (4, 3, 2):
        touch("touchMove", *at(page, i))
        frames(page)
    touch("touchEnd")
    assert k_of(page) == 4
    slider = page.get_by_label("k, numbers in the code").bounding_box()
    page.touchscreen.tap(slider["x"] + slider["width"] - 8, slider["y"] + slider["height"] / 2)
    assert k_of(page) == 32
    assert page.evaluate("window.scrollY") == 0


@browser
def test_keys(page):
    mount(page, widget_of())
    page.evaluate("() => { window.heard = 0; addEventListener('keydown', (e) => { heard += e.key !== 'Shift'; }); }")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.type") == "range", "one stop of the Tab key"
    for key, k in (
        *(("ArrowRight", 16), ("ArrowUp", 32), ("ArrowRight", 32), ("ArrowLeft", 16), ("ArrowDown", 8)),
        *(("Shift+ArrowLeft", 2), ("Shift+ArrowLeft", 1), ("Shift+ArrowRight", 4), ("End", 32), ("Home", 1)),
    ):
        heard = page.evaluate("heard")
        page.keyboard.press(key)
        assert k_of(page) == k
        assert page.evaluate("heard") == heard or key in ("Home", "End"), "the notebook did not take it"
    assert page.evaluate("window.scrollY") == 0
    assert (pixels(page) == wanted(1)).all()


@browser
def test_while_an_image_is_held_its_original_takes_its_place_in_every_row(page):
    mount(page, widget_of())
    box = page.locator(".strip canvas").nth(2).bounding_box()
    place = box["x"] + box["width"] * 7.5 / 12, box["y"] + box["height"] / 2
    page.mouse.move(*place)
    page.mouse.down()
    held = wanted(8)
    held[:, 7] = held[0, 7]
    assert (pixels(page) == held).all()
    page.mouse.up()
    assert (pixels(page) == wanted(8)).all()
    page.mouse.down()
    page.mouse.move(place[0], box["y"] - 200)
    assert (pixels(page) == wanted(8)).all(), "leaving lets it go"
    page.mouse.up()
    assert k_of(page) == 8


# --- looks ----------------------------------------------------------------------------------------

INK = """() => {
  const canvas = document.querySelector('canvas.curves'), { width, height } = canvas;
  const { data } = canvas.getContext('2d').getImageData(0, height - 24, width, 24); // the widths
  let light = 0, dark = 0;
  for (let i = 0; i < data.length; i += 4)
    if (data[i + 3] > 200) (data[i] + data[i + 1] + data[i + 2] > 384 ? light++ : dark++);
  return light > dark ? 'light' : 'dark';
}"""
SMALLEST = """(root) => Math.min(...[...root.querySelectorAll('.elbo, .elbo *')]
  .filter((n) => [...n.childNodes].some((t) => t.nodeType === 3 && t.data.trim()))
  .filter((n) => n.className !== 'spoken' && n.getClientRects().length)
  .map((n) => parseFloat(getComputedStyle(n).fontSize) * n.currentCSSZoom))"""


@browser
def test_both_themes_and_a_switch(page):
    mount(page, widget_of(), dark=True)
    colour = "getComputedStyle(document.querySelector('.row:nth-child(2) .name')).color"
    assert page.evaluate(INK) == "light"
    assert page.evaluate(colour) == "rgb(116, 182, 245)"
    page.evaluate(
        """() => {
          document.body.style.cssText = 'background: #fff; color: #222';
          document.body.dataset.jpThemeLight = 'true';
        }"""
    )
    frames(page)
    assert page.evaluate(INK) == "dark"
    assert page.evaluate(colour) == "rgb(31, 111, 186)"
    assert page.evaluate(SMALLEST, page.query_selector("body")) >= 14


@browser
def test_narrow_pages_show_eight_images_and_nothing_sticks_out(page):
    for width, shown in ((1200, 12), (720, 12), (540, 12), (480, 8), (360, 8), (320, 8)):
        page.set_viewport_size({"width": width, "height": 900})
        mount(page, widget_of())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        part = page.evaluate(
            "(() => { const s = document.querySelector('.strip'), c = s.firstChild;"
            "return s.clientWidth / c.getBoundingClientRect().width; })()"
        )
        assert min(1, part) == pytest.approx((5 * shown - 1) / 59, rel=0.01), "no image is cut"


@browser
def test_in_a_shadow_root_at_the_zoom_of_a_slide(page):
    """As on a slide of 1280 × 720 with a headline of two lines: 829 × 346 px, enlarged from 14 px letters to 20."""
    state, binary = encoded(widget_of(images=torch.rand(12, 784), rows=square_rows(), shape=None).get_state())
    state |= {"_esm": str(Bottleneck._esm), "_css": str(Bottleneck._css)}
    buffers = [{"path": [name], "data": data} for name, data in binary.items()]
    page.set_viewport_size({"width": 1280, "height": 720})
    page.set_content(
        f"<template class='in-widgets'><style>{(WEB / 'in-slides.css').read_text()}</style></template>"
        f"<div class='widget' data-widget='a' style='width: 829px; zoom: {20 / 14}'></div>"
    )
    page.add_script_tag(content=f"const WIDGETS = {json.dumps({'a': {'state': state, 'buffers': buffers}})};")
    page.add_script_tag(content=(WEB / "widgets.js").read_text())
    page.locator(".widget.live").wait_for()
    root = page.evaluate_handle("document.querySelector('.widget').shadowRoot")
    assert page.evaluate(SMALLEST, root) >= 20 - 1e-6
    assert page.evaluate("document.querySelector('.widget').scrollHeight") <= 346
    before = page.locator(".number").all_inner_texts()
    page.mouse.click(*at_zoomed(page, 5))
    frames(page)
    assert page.locator(".slider output").inner_text() == "32"
    assert page.locator(".number").all_inner_texts() != before
    page.keyboard.press("ArrowLeft")
    frames(page)
    assert page.locator(".slider output").inner_text() == "16"


def square_rows():
    return {name: {k: torch.rand(12, 784) for k in WIDTHS} for name in NAMES}


def at_zoomed(page, i):
    box, zoom = page.locator("canvas.curves").bounding_box(), 20 / 14
    return box["x"] + 46 * zoom + i / 5 * (box["width"] - 96 * zoom), box["y"] + box["height"] / 2


@browser
def test_what_a_screen_reader_gets(page):
    mount(page, widget_of())
    assert page.locator("[aria-live=polite]").inner_text() == "", "nothing to say before anything moved"
    page.get_by_label("k, numbers in the code").press("Home")
    says = ", ".join(f"{name} {ERRORS[name][1]:.2f}" for name in NAMES)
    sentence = f"A code of 1 number. Squared error per image: {says}."
    page.wait_for_function("(text) => document.querySelector('[aria-live=polite]').textContent === text", arg=sentence)
    labels = page.locator("canvas").evaluate_all("all => all.map((c) => [c.getAttribute('role'), c.ariaLabel])")
    assert labels == [
        ["img", "12 original images"],
        *(["img", f"their reconstructions by {name}"] for name in NAMES),
        ["img", f"Error against k. {sentence}"],
    ]


# --- several views, and their ends ----------------------------------------------------------------


@browser
def test_two_views_move_together_and_a_closed_one_leaves_nothing(page):
    mount(page, widget_of())
    page.evaluate("async () => { window.before = model.listening(); window.second = await show(); }")
    page.get_by_label("k, numbers in the code").first.fill("0")
    frames(page)
    assert page.get_by_label("k, numbers in the code").nth(1).input_value() == "0"
    page.evaluate("() => { second.cleanup(); second.el.remove(); }")
    assert page.evaluate("model.listening() - before") == 0
    page.evaluate("() => { first.cleanup(); }")
    assert page.evaluate("model.listening()") == 0
    assert page.locator(".elbo").count() == 0


# --- Python ---------------------------------------------------------------------------------------


@browser
def test_python_moves_the_page(page):
    widget = widget_of()
    mount(page, widget)
    seen = []
    widget.observe(lambda change: seen.append(change.new), "k")
    for k in (np.int64(2), torch.tensor(32), 1):
        widget.k = k
        update(page, widget, "k")
        assert (pixels(page) == wanted(int(k))).all()
    assert seen == [2, 32, 1]


@pytest.mark.parametrize("value", [0, 3, 33, 8.0, True, "8", None])
def test_other_widths_are_refused_and_change_nothing(value):
    widget = widget_of()
    with pytest.raises(TraitError, match=r"^k: got .*, wanted one of 1, 2, 4, 8, 16, 32"):
        widget.k = value
    assert widget.k == 8


def swapped(table, name, k, value):
    return table | {name: table[name] | {k: value}}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": "x"}, r"^images: got str, wanted pixels \(N, X\), an image a row"),
        ({"images": IMAGES[0]}, r"^images: got shape \(20,\), torch.float32, wanted"),
        ({"images": IMAGES[:0]}, r"^images: got shape \(0, 20\)"),
        ({"images": IMAGES * 255}, r"^images: got .* to 25\d.*, wanted grey pixels in \[0, 1\]"),
        ({"images": IMAGES / 0}, r"^images: got NaN or infinity"),
        ({"shape": None}, r"^shape: got \(4, 4\), wanted \(height, width\) of an image of 20 pixels"),
        ({"shape": (5, 5)}, r"^shape: got \(5, 5\), wanted"),
        ({"shape": 20}, r"^shape: got 20, wanted"),
        ({"rows": IMAGES}, r"^rows: got Tensor, wanted \{name: \{k: \(N, X\), ...\}, ...\} of 1 to 4 methods"),
        ({"rows": {}}, r"^rows: got \{\}, wanted"),
        ({"rows": {"PCA": IMAGES}}, r"^rows: got \{'PCA': 'Tensor'\}, wanted \{name: "),
        ({"rows": {str(m): {1: IMAGES} for m in range(5)}}, r"^rows: got .*, wanted .* 1 to 4 methods"),
        ({"rows": {"PCA": {}}}, r"^rows: got 0 widths k, wanted 1 to 12"),
        ({"rows": {"PCA": {0: IMAGES}}}, r"^rows: a width k: got 0, wanted a whole number from 1 upwards"),
        ({"rows": {"PCA": {"8": IMAGES}}}, r"^rows: a width k: got '8', wanted a whole number"),
        (
            {"rows": {"PCA": {1: IMAGES, 2: IMAGES}, "b": {1: IMAGES}}},
            r"^rows: got \{'PCA': \[1, 2\], 'b': \[1\]\}, wanted widths \[1, 2\] for each of \['PCA', 'b'\]",
        ),
        (
            {"rows": swapped(ROWS, "PCA", 4, IMAGES[:3])},
            r"^rows\['PCA'\]\[4\]: got shape \(3, 20\), torch.float32, wanted pixels \(14, 20\), as images has",
        ),
        ({"rows": swapped(ROWS, "PCA", 4, IMAGES / 0)}, r"^rows\['PCA'\]\[4\]: got NaN or infinity"),
        ({"errors": 3.0}, r"^errors: got float, wanted widths \[1, 2, 4, 8, 16, 32\] for each of \['PCA', 'linear"),
        ({"errors": {"PCA": ERRORS["PCA"]}}, r"^errors: got \{'PCA': \[1, .*\]\}, wanted widths"),
        ({"errors": ERRORS | {"PCA": {1: 3.0}}}, r"^errors: got \{'PCA': \[1\], .*, wanted widths"),
        (
            {"errors": swapped(ERRORS, "PCA", 4, -1)},
            r"^errors: got -1 for 'PCA' at k = 4, wanted a squared error, a number from 0",
        ),
        ({"errors": swapped(ERRORS, "PCA", 4, float("nan"))}, r"^errors: got nan for 'PCA' at k = 4"),
        ({"errors": swapped(ERRORS, "PCA", 4, torch.ones(2))}, r"^errors: got tensor.* for 'PCA' at k = 4"),
    ],
)
def test_bad_arguments_are_named(changed, message):
    with pytest.raises(ValueError, match=message):
        widget_of(**changed)


def test_numbers_of_numpy_and_torch_are_taken_in_any_order():
    rows = {name: {np.int64(k): row[k].double().numpy() for k in reversed(WIDTHS)} for name, row in ROWS.items()}
    errors = {name: {k: torch.tensor(v) for k, v in ERRORS[name].items()} for name in reversed(NAMES)}
    widget = widget_of(images=IMAGES.requires_grad_(), rows=rows, errors=errors, shape=[5, 4])
    IMAGES.requires_grad_(False)
    assert widget.pictures == widget_of().pictures
    assert widget.frame["names"] == NAMES
    assert widget.frame["errors"][2] == pytest.approx(list(ERRORS[NAMES[2]].values()))
    json.dumps(widget.frame)


def test_output_holds_the_widget_a_picture_and_a_sentence():
    widget = widget_of()
    data, _ = widget._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).format == "PNG"
    assert data["text/plain"].startswith(
        "images through a code of 1 to 32 numbers, by PCA, linear autoencoder, nonlinear autoencoder: live in Jupyter"
    )
    assert not widget.failed
    first = widget.still()
    for k in (1, 32):
        widget.k = k
        assert widget.still() != first
