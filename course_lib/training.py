"""The training loop that all lessons share, and its counterpart that measures."""

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from course_lib.arguments import whole_number
from course_lib.objectives import Terms, elbo

History = dict[str, list[float]]


def fit(
    model: nn.Module,
    x: Tensor,
    *y: Tensor,
    objective: Callable[[Terms], Tensor] = elbo,
    epochs: int = 10,
    batch: int = 128,
    lr: float = 1e-3,
    schedule: Callable[[float], float] | None = None,
    k: int = 1,
    transform: Callable[[Tensor], Tensor] | None = None,
    test: Tensor | tuple[Tensor, ...] | None = None,
    watch: Callable[[History], None] | None = None,
    seed: int | None = 0,
) -> History:
    """Maximises objective(model(x, *y, k=k)) by Adam over minibatches; returns the history, one entry an epoch.

    x (N, X) and each y (N, ...) already lie on the device; the model is moved there. `transform` maps each minibatch
    of x before the model sees it: torch.bernoulli draws black and white afresh at every step. `schedule` maps the
    share of training done, 0 to 1, to a factor on `lr` (see `one_cycle`). `test` is measured after each epoch.
    `watch(history)` is called after each epoch. `seed` fixes order and noise without touching the caller's generator;
    None goes on with the caller's.

    History: "epoch", "objective", "rec", "kl" (training means, nats per example), and with `test` "test_objective",
    "test_rec", "test_kl". An interrupt (the stop button, Ctrl-C) returns the history so far. A loss that is no number
    raises FloatingPointError, with the model as it was after the last good epoch and `.history` on the error.
    """
    epochs, batch, k = (whole_number(*v, 1) for v in (("epochs", epochs), ("batch", batch), ("k", k)))
    if not lr > 0:
        raise ValueError(f"lr: got {lr!r}, wanted a positive number")
    _check_data("x", model, x, *y)
    held_out = test if isinstance(test, tuple) else (test,)
    if test is not None:
        if len(held_out) != 1 + len(y):
            raise ValueError(f"test: got {len(held_out)} tensors, wanted {1 + len(y)}, as in training: x and every y")
        _check_data("test", model, *held_out)
        if held_out[0].shape[1:] != x.shape[1:] or held_out[0].device != x.device:
            came, wanted = (f"{tuple(v.shape)} on {v.device}" for v in (held_out[0], x))
            raise ValueError(f"test: got {came}, wanted examples like x, {wanted}")
    device = x.device
    model.to(device).train()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr, maximize=True, fused=True)
    steps = -(-len(x) // batch)
    history: History = {}
    with (
        seeded(seed, device),
        tqdm(total=epochs * steps, unit="step", leave=False, disable=not _somebody_watches()) as bar,
    ):
        try:
            for epoch in range(epochs):
                before = {name: v.clone() for name, v in model.state_dict().items()}
                sums = torch.zeros(3, device=device)  # objective, rec, kl: added up on the device, read once an epoch
                for step, i in enumerate(torch.randperm(len(x), device=device).split(batch)):
                    if schedule is not None:
                        for group in optimizer.param_groups:
                            group["lr"] = lr * schedule((epoch + step / steps) / epochs)
                    part = x.index_select(0, i)
                    t = model(part if transform is None else transform(part), *(v[i] for v in y), k=k)
                    bound = objective(t)
                    optimizer.zero_grad()
                    bound.backward()
                    optimizer.step()
                    with torch.no_grad():
                        sums += len(i) * torch.stack([bound, t.rec.mean(), t.kl.mean()])
                    if step % 20 == 19:
                        bar.update(20)
                bar.update(steps % 20)
                row = dict(zip(("objective", "rec", "kl"), (sums / len(x)).tolist(), strict=True))
                if not (sums.isfinite().all() and all(p.isfinite().all() for p in model.parameters())):
                    model.load_state_dict(before)
                    raise _not_a_number(epoch, row, lr, history)
                if test is not None:
                    measured = evaluate(model, *held_out, objective=objective, k=k)
                    row |= {f"test_{name}": value for name, value in measured.items()}
                for name, value in {"epoch": epoch + 1, **row}.items():
                    history.setdefault(name, []).append(value)
                bar.set_postfix({name: f"{value:.2f}" for name, value in row.items() if "kl" not in name})
                if watch is not None:
                    watch(history)
        except KeyboardInterrupt:
            done = len(history.get("epoch", []))
            print(f"Stopped in epoch {done + 1} of {epochs}. The history holds the {done} finished ones.")
    return history


def evaluate(
    model: nn.Module,
    x: Tensor,
    *y: Tensor,
    objective: Callable[[Terms], Tensor] = elbo,
    k: int = 1,
    batch: int = 1000,
    seed: int | None = 0,
) -> dict[str, float]:
    """Means over x of the objective, of log p(x|z) and of the KL: {"objective", "rec", "kl"}, nats per example.

    With `k` samples, `batch` / k examples at a time. The model is evaluated: no gradients, no dropout.
    """
    batch, k = whole_number("batch", batch, 1), whole_number("k", k, 1)
    _check_data("x", model, x, *y)
    if (p := next(model.parameters(), x)).device != x.device:
        raise ValueError(f"x: lies on {x.device}, the model on {p.device}: move one of them")
    sums = torch.zeros(3, dtype=torch.float64)
    with evaluating(model), seeded(seed, x.device):
        for parts in zip(*(v.split(max(1, batch // k)) for v in (x, *y)), strict=True):
            t = model(*parts, k=k)
            sums += len(parts[0]) * torch.stack([objective(t), t.rec.mean(), t.kl.mean()]).cpu().double()
    return dict(zip(("objective", "rec", "kl"), (sums / len(x)).tolist(), strict=True))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """No gradients, no dropout; every module is handed back in the mode it was in."""
    modes = [(m, m.training) for m in model.modules()] if isinstance(model, nn.Module) else []
    try:
        if modes:
            model.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def one_cycle(progress: float, warm_up: float = 0.1, last: float = 0.01) -> float:
    """A factor on the learning rate: rises linearly to 1 over `warm_up`, then falls along a cosine to `last`."""
    if progress < warm_up:
        return 0.04 + 0.96 * progress / warm_up
    falling = math.cos(math.pi * (progress - warm_up) / (1 - warm_up))
    return last + (1 - last) * (1 + falling) / 2


def start_at_mean(model: nn.Module, x: Tensor) -> None:
    """Sets the decoder's last bias to the logits of the mean image: no step is spent on finding it.

    For pixels in [0, 1] under a Bernoulli. Raises ValueError unless `model.dec` ends in a linear layer onto the pixels.
    """
    last = [layer for layer in model.dec.modules() if not list(layer.children())][-1]
    if not isinstance(last, nn.Linear) or last.bias is None or last.bias.shape != x.shape[1:]:
        raise ValueError(f"model: its decoder ends in {last}, wanted a linear layer with {x.shape[1]} biases")
    with torch.no_grad():
        last.bias.copy_(x.mean(0).clamp(0.001, 0.999).logit())


@contextmanager
def seeded(seed: int | None, device: torch.device) -> Iterator[None]:
    """The generators of the CPU and of `device` start at `seed` and are handed back as they were; None: as they are."""
    cuda = device.type == "cuda"
    with torch.random.fork_rng([device] if cuda else [], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)  # torch.manual_seed would reach every GPU
            if cuda:
                with torch.cuda.device(device):
                    torch.cuda.manual_seed(seed)
        yield


def _somebody_watches() -> bool:
    """A progress bar is for a terminal or a notebook; in a log file it is noise."""
    ipython = sys.modules.get("IPython")
    return sys.stderr.isatty() or hasattr(ipython and ipython.get_ipython(), "kernel")


def _not_a_number(epoch: int, row: dict, lr: float, history: History) -> FloatingPointError:
    bad = ", ".join(f"{name} = {value}" for name, value in row.items())
    error = FloatingPointError(
        f"the loss is no finite number in epoch {epoch + 1}: {bad}. Look for log or division of 0, exp of a large "
        f"log-variance, or a learning rate that is too high (lr = {lr}). The model is as it was before that epoch."
    )
    error.history = history
    return error


def _check_data(name: str, model: nn.Module, x: Tensor, *y: Tensor) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        came = f"dtype {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"{name}: got {came}, wanted a tensor of floats, (N, X)")
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"{name}: got shape {tuple(x.shape)}, wanted (N, X) with at least one example")
    for v in y:
        if len(v) != len(x) or v.device != x.device:
            raise ValueError(f"y: got {len(v)} rows on {v.device}, wanted {len(x)} on {x.device} as {name} has")
    dtype = next((p.dtype for p in model.parameters()), x.dtype)
    if dtype != x.dtype:
        raise ValueError(f"{name}: got dtype {x.dtype}, the model computes in {dtype}: convert one of them")
