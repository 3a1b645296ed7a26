"""python -m course_lib.data measure | sheets | fetch: numbers and pictures of data/README.md; MNIST in advance."""

import argparse
from pathlib import Path

import torch

from course_lib import ROOT
from course_lib.data import digits, measure, mnist, sample_sprites, strokes


def measured(seeds: list[int]) -> None:
    torch.set_num_threads(1)
    print(f"strokes: {measure.strokes_per_second():,.0f} images/s on one core")
    print(f"sprites: {measure.sprites_per_second():,.0f} images/s at 32×32, one core")
    print(f"sprites: {measure.sprites_per_second(size=64):,.0f} images/s at 64×64, one core")
    real = digits("test", source="mnist", device="cpu")
    for seed in seeds:
        drawn = strokes(60_000, seed=seed, device="cpu")
        net = measure.reader(drawn.images, drawn.labels, seed=seed)
        read = (net(real[0]).argmax(1) == real[1]).float()
        halves = read.reshape(10, 2, 500).mean((0, 2))  # blocks of 500, alternating: tuned on the first, not the second
        print(
            f"seed {seed}: {measure.share_read(net, *real):.2%} of the 10 000 MNIST test digits read "
            f"({halves[0]:.2%} of the half that was tuned on, {halves[1]:.2%} of the other)"
        )


def sheets(folder: Path) -> None:
    """strokes.png: a row for each digit. sprites.png: two rows for each shape, the lower at full scale."""
    drawn = strokes(200, labels=torch.arange(10).repeat_interleave(20), device="cpu").images
    _write(folder / "strokes.png", drawn.reshape(10, 20, 28, 28))
    rows = [
        sample_sprites(16, seed=shape, shape=shape, device="cpu", **scale).images.reshape(16, 64, 64)
        for shape in range(3)
        for scale in ({}, {"scale": 5})
    ]
    _write(folder / "sprites.png", torch.stack(rows))


def _write(path: Path, images: torch.Tensor) -> None:
    """A grid of (rows, columns, side, side) images, two pixels for one, with grey lines between."""
    from matplotlib.image import imsave

    rows, columns, side, _ = images.shape
    framed = torch.nn.functional.pad(images, (1, 1, 1, 1), value=0.35)
    grid = framed.transpose(1, 2).reshape(rows * (side + 2), columns * (side + 2))
    imsave(path, grid.repeat_interleave(2, 0).repeat_interleave(2, 1).numpy(), cmap="gray", vmin=0, vmax=1)
    print(path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m course_lib.data", description="The course's data.")
    commands = parser.add_subparsers(dest="command", required=True)
    with_seeds = commands.add_parser("measure", help="share of real MNIST read by a net trained on strokes, and speeds")
    with_seeds.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    with_folder = commands.add_parser("sheets", help="contact sheets of strokes and sprites")
    with_folder.add_argument("--to", type=Path, default=ROOT / "data")
    commands.add_parser("fetch", help="MNIST into data/cache, before a class")
    chosen = parser.parse_args(arguments)
    if chosen.command == "measure":
        measured(chosen.seeds)
    elif chosen.command == "sheets":
        sheets(chosen.to)
    else:
        try:
            mnist.load()
        except OSError as error:
            raise SystemExit(str(error)) from None
        places = {str(path.parent) for name in mnist.FILES if (path := mnist.find(name))}
        print(f"MNIST is here and whole: {', '.join(sorted(places)) or 'but it could not be kept'}")


if __name__ == "__main__":
    main()
