"""What training costs: `fit` against the loop as it is commonly written, and against the machine.

python tests/bench.py            about 2 minutes of CPU; --quick leaves out the ten epochs of the common loop

CPU seconds of this process on one thread. What is compared is measured in turns, so that a busy machine slows both.
784–400–20–400–784, grey digits, Adam.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read when torch is loaded

import argparse
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from course_lib.data import digits, digits_source
from course_lib.models import GreyVAE
from course_lib.nets import mlp
from course_lib.training import evaluate, fit, one_cycle, start_at_mean

PIXELS, HIDDEN, LATENTS, BATCH = 784, 400, 20, 128
SHAPES = ((PIXELS, HIDDEN), (HIDDEN, 2 * LATENTS), (LATENTS, HIDDEN), (HIDDEN, PIXELS))
PRECISIONS = ("highest", "medium")  # "medium" lets torch take the processor's short-float units where it has them
ROUNDS = 3
IMPORTS = "data, metrics, models, nets, objectives, training"


# The common loop: PyTorch's VAE example in its essentials, and per image the steps of torchvision's MNIST and ToTensor.
# torchvision is no dependency of the course, so they are written out. Checked once against torchvision 0.28 by itself:
# 29 µs an image there, 25 here, so the factors below are on the cautious side.


def to_tensor(picture: Image.Image) -> Tensor:
    kind = {"I": np.int32, "I;16": np.int16, "F": np.float32}.get(picture.mode, np.uint8)
    x = torch.from_numpy(np.array(picture, kind, copy=True))
    x = x.view(picture.size[1], picture.size[0], len(picture.getbands())).permute(2, 0, 1).contiguous()
    return x.to(torch.get_default_dtype()).div(255) if isinstance(x, torch.ByteTensor) else x


class PictureByPicture(Dataset):
    def __init__(self, images: Tensor, labels: Tensor):
        self.images, self.labels = images, labels  # (N, 28, 28) bytes

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        return to_tensor(Image.fromarray(self.images[i].numpy())), int(self.labels[i])


class CommonVAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.mu, self.log_var = (nn.Linear(*s) for s in (SHAPES[0], SHAPES[2][::-1], SHAPES[2][::-1]))
        self.up, self.out = nn.Linear(*SHAPES[2]), nn.Linear(*SHAPES[3])

    def forward(self, x):
        h = F.relu(self.hidden(x))
        mu, log_var = self.mu(h), self.log_var(h)
        std = torch.exp(0.5 * log_var)
        z = mu + torch.randn_like(std) * std
        return torch.sigmoid(self.out(F.relu(self.up(z)))), mu, log_var


def common_loss(model: CommonVAE, x: Tensor) -> Tensor:
    x = x.view(-1, PIXELS)
    p, mu, log_var = model(x)
    kl = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())
    return F.binary_cross_entropy(p, x, reduction="sum") + kl


def common_epoch(model: CommonVAE, optimizer: torch.optim.Optimizer, loader: DataLoader) -> float:
    model.train()
    total = 0.0
    for x, _ in loader:
        optimizer.zero_grad()
        loss = common_loss(model, x)
        loss.backward()
        total += loss.item()
        optimizer.step()
    return total / len(loader.dataset)


# The measurements.


def seconds(work: Callable[[], object]) -> float:
    start = process_time()
    work()
    return process_time() - start


def vae(seed: int = 0) -> GreyVAE:
    torch.manual_seed(seed)
    return GreyVAE(mlp(PIXELS, HIDDEN, 2 * LATENTS), mlp(LATENTS, HIDDEN, PIXELS), LATENTS)


def products() -> tuple[Callable[[], None], float]:
    """Forward and backward of one step reduced to its matrix products, and how many operations they are."""
    layers = [(torch.randn(BATCH, n), torch.randn(m, n), torch.randn(m), torch.randn(BATCH, m)) for n, m in SHAPES]

    def step() -> None:
        for x, w, b, _ in layers:
            torch.addmm(b, x, w.T)
        for i, (x, w, _, slope) in reversed(list(enumerate(layers))):
            slope.T @ x
            if i > 0:  # nobody asks for the slope in the pixels
                slope @ w

    return step, 2 * BATCH * (3 * sum(n * m for n, m in SHAPES) - PIXELS * HIDDEN)


def error_of_product() -> float:
    """Relative error (Frobenius) of a product as the first layer has it, under the current precision."""
    x, w = torch.randn(BATCH, PIXELS), torch.randn(PIXELS, HIDDEN)
    exact = x.double() @ w.double()
    return ((x @ w - exact).norm() / exact.norm()).item()


def import_seconds() -> tuple[float, float]:
    """CPU seconds that torch takes, and what the course adds: medians of three fresh processes."""
    code = (
        "from time import process_time as now; a = now(); import torch; b = now(); "
        f"import course_lib; from course_lib import {IMPORTS}; print(b - a, now() - b)"
    )
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(3)]
    torch_s, course_s = zip(*(map(float, run.stdout.split()) for run in runs), strict=True)
    return median(torch_s), median(course_s)


def processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="leave out the time to the quality of ten epochs")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    started = process_time()
    (x, labels), (test, _) = digits("train", device="cpu"), digits("test", device="cpu")
    loader = DataLoader(
        PictureByPicture((x * 255).round().byte().view(-1, 28, 28), labels), batch_size=BATCH, shuffle=True
    )
    steps = len(loader)
    torch.manual_seed(0)
    common = CommonVAE()
    optimizer = torch.optim.Adam(common.parameters(), lr=1e-3)
    step, operations = products()

    def common_test() -> float:
        with torch.no_grad():
            return common_loss(common, test).item() / len(test)

    common_s, common_elbo = [], []
    fit_s, product_s = {p: [] for p in PRECISIONS}, {p: [] for p in PRECISIONS}
    fit_elbo, error = {}, {}
    recipe_s, recipe_elbo = [], []
    for epoch in range(ROUNDS if quick else 10):
        torch.set_float32_matmul_precision("highest")
        common_s.append(seconds(lambda: common_epoch(common, optimizer, loader)))
        common_elbo.append(common_test())
        if epoch < ROUNDS:
            for precision in PRECISIONS:
                torch.set_float32_matmul_precision(precision)
                error[precision] = error_of_product()
                model = vae()
                fit_s[precision].append(seconds(lambda model=model: fit(model, x, epochs=1, batch=BATCH, lr=1e-3)))
                fit_elbo[precision] = -evaluate(model, test)["objective"]
                product_s[precision].append(seconds(lambda: [step() for _ in range(steps)]))
        elif epoch < 2 * ROUNDS:
            seed = epoch - ROUNDS
            model = vae(seed)

            def recipe(model=model, seed=seed) -> None:
                start_at_mean(model, x)
                fit(model, x, epochs=3, lr=8e-3, schedule=one_cycle, seed=seed)

            recipe_s.append(seconds(recipe))
            recipe_elbo.append(-evaluate(model, test)["objective"])

    rows = []  # figure, measured, target, and whether it is met, in words where it is not

    for precision in PRECISIONS:
        factor = median(c / f for c, f in zip(common_s, fit_s[precision], strict=False))
        a_step, in_products = (1e3 * median(s[precision]) / steps for s in (fit_s, product_s))
        room = 1e3 * median(common_s) / steps / 3
        why = (
            f"not met: {room:.1f} ms a step would be 3 ×, {a_step:.1f} are needed, {in_products:.1f} in products alone"
        )
        met = f"met, with products right to {error[precision]:.0e}" if factor >= 3 else why
        rows.append((f"fit, {precision}: × the common loop", f"{factor:.2f}", "≥ 3", met))
    for precision in PRECISIONS:
        gap = fit_elbo[precision] - common_elbo[0]
        met = "met" if abs(gap) <= 1 else "not met: this is another result, so the factor above compares nothing"
        rows.append((f"fit, {precision}: −ELBO after 1 epoch, nats off", f"{gap:+.2f}", "± 1", met))
    for precision in PRECISIONS:
        share = median(p / f for p, f in zip(product_s[precision], fit_s[precision], strict=True))
        met = "met" if share >= 0.4 else "not met: fast products, but Adam, pixels and bookkeeping cost what they did"
        rows.append((f"fit, {precision}: share of the product rate", f"{share:.0%}", "≥ 40 %", met))
    if not quick:
        part = median(recipe_s) / sum(common_s)
        target = common_elbo[-1]
        reached = sum(value <= target for value in recipe_elbo)
        why = f"not met: {reached} of {ROUNDS} seeds reach it" if reached < ROUNDS else "not met: too slow"
        met = "met" if part <= 1 / 6 and reached == ROUNDS else why
        rows.append(("3 epochs of one cycle: time of 10 common ones", f"1/{1 / part:.1f}", "≤ 1/6", met))
    torch_s, course_s = import_seconds()
    rows.append(
        ("import course_lib, on top of torch", f"{course_s:.2f} s", "≤ 0.3 s", "met" if course_s <= 0.3 else "not met")
    )

    print(f"{processor()}, torch {torch.__version__}, 1 thread, digits from {digits_source()}, CPU time throughout")
    for precision in PRECISIONS:
        rate = operations * steps / median(product_s[precision]) / 1e9
        print(f"matmul precision {precision!r}: products at {rate:.0f} GFLOP/s, relative error {error[precision]:.0e}")
    print()
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:3]]
    for figure, measured, target, met in rows:
        print(f"{figure:{widths[0]}}  {measured:>{widths[1]}}  {target:>{widths[2]}}  {met}")
    print(f"\nan epoch: common {median(common_s):.2f} s", end="")
    print("".join(f", fit {p} {median(fit_s[p]):.2f} s" for p in PRECISIONS), end="")
    print(f"; test −ELBO after one: {common_elbo[0]:.2f}", *(f"{fit_elbo[p]:.2f}" for p in PRECISIONS), sep=", ")
    if not quick:
        print(
            f"common, 10 epochs: test −ELBO {common_elbo[-1]:.2f} in {sum(common_s):.1f} s; one cycle, {ROUNDS} seeds:"
        )
        print(*(f"  {value:.2f} in {s:.1f} s" for value, s in zip(recipe_elbo, recipe_s, strict=True)), sep="\n")
    print(f"import torch {torch_s:.2f} s; this table {process_time() - started:.0f} s")


if __name__ == "__main__":
    main()
