"""Data for the lessons, as tensors on the device: handwritten digits, drawn digits, sprites.

x, y = digits("train")                        # (60000, 784) in [0, 1], (60000,)
x, y, factors = strokes(1000, slant=0)        # drawn, with the factors that drew them
x, factors = sample_sprites(1000, size=32)
"""

from course_lib.data.handwriting import STROKE_FACTORS, Strokes, strokes
from course_lib.data.mnist import DamagedFile, NoMNIST
from course_lib.data.shapes import (
    SPRITE_FACTORS,
    SPRITE_SHAPES,
    Sprites,
    render_sprites,
    sample_sprites,
    sprite_factors,
    sprite_index,
    sprite_values,
    sprites,
)
from course_lib.data.splits import digits, digits_source

__all__ = [
    "SPRITE_FACTORS",
    "SPRITE_SHAPES",
    "STROKE_FACTORS",
    "DamagedFile",
    "NoMNIST",
    "Sprites",
    "Strokes",
    "digits",
    "digits_source",
    "render_sprites",
    "sample_sprites",
    "sprite_factors",
    "sprite_index",
    "sprite_values",
    "sprites",
    "strokes",
]
