"""What 100 000 gradient draws cost: `course_lib.estimators`, all at once, against one backward call a draw.

python tests/bench_estimators.py            CPU seconds of this process on one thread, medians
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"  # read when torch is loaded

from collections.abc import Callable
from statistics import median
from time import process_time

import torch
from torch.distributions import Normal

from course_lib import estimators

N, K, IN_LOOP = 100_000, 8, 500  # draws at once, classes, draws in a loop (the rest is multiplied)


def milliseconds(work: Callable[[], object], times: int = 15) -> float:
    taken = []
    for _ in range(times + 2):
        start = process_time()
        work()
        taken.append(1e3 * (process_time() - start))
    return median(taken[2:])


def gaussian_loop(f: Callable, mu: float, sigma: float) -> None:
    """As it is commonly written: a draw, a backward call, a gradient read off."""
    for _ in range(IN_LOOP):
        m, s = torch.tensor(mu, requires_grad=True), torch.tensor(sigma, requires_grad=True)
        f(Normal(m, s).rsample()).backward()
        _ = m.grad.item(), s.grad.item()


def categorical_loop(f: Callable, logits: torch.Tensor, tau: float, hard: bool = False) -> None:
    for _ in range(IN_LOOP):
        leaf = logits.clone().requires_grad_()
        f(torch.nn.functional.gumbel_softmax(leaf, tau, hard=hard)).backward()
        _ = leaf.grad.tolist()


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    f, eps, seven = torch.square, torch.randn(N), torch.randn(7, N)
    logits, values = torch.randn(K), torch.linspace(-1, 1, K)
    g, noise = (lambda z: (z @ values - 0.45) ** 2), estimators.gumbel((N, K))
    rows = [
        ("score function", 5, lambda: estimators.score_function(f, 1.0, 1.0, eps)),
        ("score function, leave-one-out", 5, lambda: estimators.score_function(f, 1.0, 1.0, eps, "leave-one-out")),
        ("pathwise", 5, lambda: estimators.pathwise(f, 1.0, 1.0, eps)),
        ("measure-valued, coupled", 5, lambda: estimators.measure_valued(f, 1.0, 1.0, seven)),
        ("score function, 8 classes", 50, lambda: estimators.categorical_score_function(g, logits, noise, True)),
        ("Gumbel-softmax, 8 classes", 50, lambda: estimators.gumbel_softmax(g, logits, noise, 0.5)),
        ("straight-through, 8 classes", 50, lambda: estimators.gumbel_softmax(g, logits, noise, 0.5, True)),
    ]
    loops = {
        "Gaussian": milliseconds(lambda: gaussian_loop(f, 1.0, 1.0), 5) * N / IN_LOOP,
        "classes": milliseconds(lambda: categorical_loop(g, logits, 0.5), 5) * N / IN_LOOP,
        "straight": milliseconds(lambda: categorical_loop(g, logits, 0.5, hard=True), 5) * N / IN_LOOP,
    }
    print(f"{N:,} draws, noise given, torch {torch.__version__}, 1 thread")
    for name, target, work in rows:
        took, loop = (
            milliseconds(work),
            next(s for kind, s in reversed(loops.items()) if kind in name or kind == "Gaussian"),
        )
        met = f"   ≤ {target} ms and ≥ 1000 ×: {'met' if took <= target and loop >= 1000 * took else 'not met'}"
        print(f"{name:30} {took:7.2f} ms   a loop of backward calls: {loop / 1e3:5.1f} s, {loop / took:8,.0f} ×{met}")


if __name__ == "__main__":
    main()
