"""Still pictures of images in rows and columns, for places that show no widget."""

import io

from torch import Tensor

MARGIN, GAP, TEXT = 44, 1, 18


def grid_png(images: Tensor, title: str, across: list[str], down: list[str]) -> bytes:
    """images (R, C, H, W), uint8, as one grey PNG with a title, a label under each column and beside each row.

    An empty label leaves its place blank.
    """
    from PIL import Image, ImageDraw, ImageFont  # here, so that importing the widgets stays cheap

    rows, columns, height, width = images.shape
    left, top = MARGIN + 8, TEXT + 12
    size = (left + columns * (width + GAP) + 8, top + rows * (height + GAP) + TEXT + 12)
    try:
        font = ImageFont.load_default(size=TEXT - 3)
    except ImportError:  # a Pillow without FreeType has one small font
        font = ImageFont.load_default()
    size = (max(size[0], 8 + round(ImageDraw.Draw(Image.new("L", (1, 1))).textlength(title, font)) + 8), size[1])
    sheet = Image.new("L", size, 255)
    draw = ImageDraw.Draw(sheet)
    draw.text((8, 6), title, 0, font)
    for r in range(rows):
        draw.text((left - 8, top + (r + 0.5) * (height + GAP)), down[r], 0, font, anchor="rm")
        for c in range(columns):
            tile = Image.fromarray(images[r, c].numpy())
            sheet.paste(tile, (left + c * (width + GAP), top + r * (height + GAP)))
    for c, text in enumerate(across):
        draw.text((left + (c + 0.5) * (width + GAP), size[1] - TEXT - 6), text, 0, font, anchor="mt")
    out = io.BytesIO()
    sheet.save(out, "PNG", optimize=True)
    return out.getvalue()
