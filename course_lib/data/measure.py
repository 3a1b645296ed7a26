"""How well `strokes` stands in for MNIST: the share of real digits that a net reads which has seen drawn ones only."""

import time

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from course_lib.data.handwriting import strokes
from course_lib.data.shapes import sample_sprites, sprites
from course_lib.nets import mlp


def reader(x: Tensor, y: Tensor, seed: int = 0, epochs: int = 8, batch: int = 128, lr: float = 2e-3) -> nn.Module:
    """A plain 784-256-10 perceptron trained on x (N, 784) and y (N,); the learning rate falls linearly to 0."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = mlp(784, 256, 10).to(x.device)
        optimizer = torch.optim.Adam(net.parameters(), lr=lr, fused=True)
        steps = epochs * -(-len(x) // batch)
        schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
        for _ in range(epochs):
            for i in torch.randperm(len(x)).to(x.device).split(batch):
                optimizer.zero_grad()
                cross_entropy(net(x[i]), y[i]).backward()
                optimizer.step()
                schedule.step()
    return net


@torch.inference_mode()
def share_read(net: nn.Module, x: Tensor, y: Tensor) -> float:
    return (net(x).argmax(1) == y).float().mean().item()


def strokes_per_second(n: int = 20_000, repeats: int = 3) -> float:
    return n / _quickest(lambda: strokes(n, device="cpu"), repeats)


def sprites_per_second(n: int = 20_000, size: int = 32, repeats: int = 3) -> float:
    indices = sample_sprites(n, size=8, device="cpu").factors
    return n / _quickest(lambda: sprites(indices, size, "cpu"), repeats)


def _quickest(work, repeats: int) -> float:
    """Seconds of process CPU time: what other programs do at the same time counts less."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)
