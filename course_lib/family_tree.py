"""The families of deep generative models as a picture for a slide."""

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from course_lib.plots import COLOURS, picture

# How a family stands today: the colour of its box's edge, and of its inside.
STANDING = {
    "in use": (COLOURS[0], "#e7f1fb"),
    "mostly a part of other models": (COLOURS[1], "#fff3dc"),
    "hardly used any more": ("0.55", "#ececec"),
}
IN_USE, INSIDE, RARE = STANDING

# Everything below is in inches on a picture of 13.1 × 5.7; 17 points are still above 20 px on a slide.
SIZE, BOX, TEXT = (13.1, 5.7), (2.14, 0.86), 17
COLUMNS = {"exact": 2.85, "lower bound": 5.07, "Markov chain": 7.29, "one pass": 9.71, "Markov chain ": 11.93}
ROWS = {"trained by\nlikelihood": (1.97, 3.98), "trained\nwithout": (0.6, 1.83)}  # foot and head of the panels
KINDS = {  # panel's left and right, the columns in it
    "explicit: there is a formula for p(x)": (1.70, 8.44, ("exact", "lower bound", "Markov chain")),
    "implicit: only samples": (8.56, 13.08, ("one pass", "Markov chain ")),
}
FAMILIES = [  # column, height of the centre, name, how it stands
    ("exact", 3.47, "FVBN, PixelCNN,\nlanguage model", IN_USE),
    ("exact", 2.48, "normalizing\nflow", IN_USE),
    ("lower bound", 3.47, "VAE", IN_USE),
    ("lower bound", 2.48, "diffusion\nmodel", IN_USE),
    ("Markov chain", 2.97, "Boltzmann\nmachine, RBM", RARE),
    ("one pass", 1.21, "GAN", INSIDE),
    ("Markov chain ", 1.21, "GSN", RARE),
]
ASIDES = [  # where no family lives
    (10.82, 2.97, "nothing: no formula,\nno likelihood"),
    (5.07, 1.21, "rules that need no likelihood, such as\nscore matching: they fit the slope of log p(x)"),
]
ALT = (
    "A map with two axes. Explicit models, trained by likelihood: exact (FVBN, PixelCNN, language model, normalizing "
    "flow), by a lower bound (VAE, diffusion model), by a Markov chain (Boltzmann machine, RBM: hardly used any more). "
    "Implicit models, trained without: GAN, one pass, mostly a part of other models; GSN, by a Markov chain, hardly "
    "used any more. Explicit without likelihood: rules such as score matching. Implicit with likelihood: nothing."
)


def family_tree() -> Figure:
    """The models on two axes: is there a formula for p(x), are they trained by likelihood; and which are in use."""
    figure, axis = picture(size=SIZE, alt=ALT)

    def write(x, y, text, **more):
        axis.text(x, y, text, **{"ha": "center", "va": "center", "fontsize": TEXT, "linespacing": 1.15, **more})

    for kind, (left, right, columns) in KINDS.items():
        for foot, head in ROWS.values():
            axis.add_patch(Rectangle((left, foot), right - left, head - foot, fc="0.975", ec="0.8", lw=1))
        middle, ends = (left + right) / 2, [COLUMNS[name] for name in columns]
        write(middle, 5.13, kind, weight="bold")
        axis.plot([middle, middle], [4.92, 4.75], color="0.5", lw=1.5)
        axis.plot([ends[0], ends[-1]], [4.75, 4.75], color="0.5", lw=1.5)
        for name, x in zip(columns, ends, strict=True):
            axis.plot([x, x], [4.75, 4.58], color="0.5", lw=1.5)
            write(x, 4.27, name.strip(), va="baseline")
    for row, (foot, head) in ROWS.items():
        write(0.85, (foot + head) / 2, row, weight="bold")
    for column, y, name, standing in FAMILIES:
        x, (edge, inside) = COLUMNS[column], STANDING[standing]
        corner, style = (x - BOX[0] / 2, y - BOX[1] / 2), "round,pad=0,rounding_size=0.08"
        dashes = "--" if standing is RARE else "-"
        axis.add_patch(FancyBboxPatch(corner, *BOX, boxstyle=style, fc=inside, ec=edge, lw=2.5, ls=dashes))
        write(x, y, name, color="0.3" if standing is RARE else "black")
    for x, y, text in ASIDES:
        write(x, y, text, color="0.35", style="italic")
    for standing, (edge, inside) in STANDING.items():
        axis.plot([], [], "s", ms=15, mfc=inside, mec=edge, mew=2.5, label=standing)
    axis.legend(loc="lower center", bbox_to_anchor=(0.5, -0.02), ncols=3, fontsize=TEXT, handletextpad=0.3)
    axis.set_title("Two questions sort the models; Markov chains nearly died out", fontsize=TEXT)
    axis.set(xlim=(0, SIZE[0]), ylim=(0, 5.4))
    axis.axis("off")
    return figure
