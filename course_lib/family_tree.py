"""The families of deep generative models as a picture for a slide."""

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from course_lib.plots import COLOURS, picture

# name: (x, y, text, how it stands today); a leaf's text says how it gets at p(x)
ALIVE, INSIDE, RARE = "in use", "lives on inside other models", "of the past"
BRANCHES = {
    "root": (5.6, 7.3, "A model of data: what is $p_\\theta(x)$?"),
    "explicit": (4.2, 6.0, "explicit: there is a formula"),
    "implicit": (10.05, 6.0, "implicit: there are only samples"),
    "exact": (1.25, 4.6, "exact"),
    "bound": (4.65, 4.6, "a lower bound"),
    "chain": (7.2, 4.6, "a Markov chain"),
}
LEAVES = {
    "autoregressive": (0.4, 2.9, "autoregressive\nFVBN, PixelCNN,\nlanguage model", "exact", ALIVE),
    "flow": (2.1, 2.9, "normalizing\nflow", "exact", ALIVE),
    "vae": (3.8, 2.9, "VAE", "bound", ALIVE),
    "diffusion": (5.5, 2.9, "diffusion:\na VAE of\nmany layers", "bound", ALIVE),
    "boltzmann": (7.2, 2.9, "Boltzmann\nmachine,\nRBM", "chain", RARE),
    "gan": (9.2, 2.9, "GAN: one pass,\njudged by a\nclassifier", "implicit", INSIDE),
    "gsn": (10.9, 2.9, "GSN: a\nMarkov chain\nof samples", "implicit", RARE),
}
LINES = [
    ("root", "explicit"),
    ("root", "implicit"),
    ("explicit", "exact"),
    ("explicit", "bound"),
    ("explicit", "chain"),
]


def family_tree() -> Figure:
    """Explicit and implicit models, how each gets at p(x), and which are still in use."""
    alt = (
        "A tree. Explicit models: exact (autoregressive, flow), a lower bound (VAE, diffusion), a Markov chain "
        "(Boltzmann machine). Implicit models: GAN, GSN. Boltzmann machines and GSN are marked as of the past."
    )
    figure, axis = picture(size=(13, 6.2), alt=alt)
    colours = {ALIVE: COLOURS[0], INSIDE: COLOURS[1], RARE: "0.6"}
    places = {**BRANCHES, **LEAVES}
    for a, b in [*LINES, *((leaf[3], name) for name, leaf in LEAVES.items())]:
        (x0, y0), (x1, y1) = places[a][:2], places[b][:2]
        axis.plot([x0, x1], [y0 - 0.3, y1 + (0.75 if b in LEAVES else 0.3)], color="0.7", lw=1.8, zorder=0)
    for x, y, text in BRANCHES.values():
        axis.text(x, y, text, ha="center", va="center", fontsize=16, bbox={"fc": "white", "ec": "none", "pad": 3})
    for x, y, text, _, standing in LEAVES.values():
        colour = colours[standing]
        box = FancyBboxPatch((x - 0.77, y - 0.72), 1.54, 1.44, boxstyle="round,pad=0.02", fc="white", ec=colour, lw=2.5)
        axis.add_patch(box)
        axis.text(x, y, text, ha="center", va="center", fontsize=13)
    for standing, colour in colours.items():
        axis.plot([], [], "s", ms=12, mfc="white", mec=colour, mew=2.5, label=standing)
    axis.legend(loc="lower center", ncols=3, fontsize=14)
    axis.set(xlim=(-0.5, 11.8), ylim=(1.3, 7.7))
    axis.axis("off")
    return figure
