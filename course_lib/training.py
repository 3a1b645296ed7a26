"""The training loop that all lessons share, and its counterpart that measures."""

import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

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
    `watch(history)` is called after each epoch. `seed` fixes order and noise without touching the caller's generator.

    History: "epoch", "objective", "rec", "kl" (training means, nats per example), and with `test` "test_objective",
    "test_rec", "test_kl". An interrupt (the stop button, Ctrl-C) returns the history so far. A loss that is no number
    raises FloatingPointError, with the model as it was after the last good epoch and `.history` on the error.
    """
    _check(model, x, y, epochs, batch, lr)
    held_out = test if isinstance(test, tuple) else (test,)
    if test is not None and len(held_out) != 1 + len(y):
        raise ValueError(f"test: got {len(held_out)} tensors, wanted {1 + len(y)}, as in training: x and every y")
    device = x.device
    model.to(device).train()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr, maximize=True, fused=True)
    steps = -(-len(x) // batch)
    history: History = {}
    with (
        torch.random.fork_rng([device] if device.type == "cuda" else []),
        tqdm(total=epochs * steps, unit="step", leave=False, disable=not _somebody_watches()) as bar,
    ):
        if seed is not None:
            torch.manual_seed(seed)
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
                if not all(map(torch.isfinite, sums)):
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
    """Means over x of the objective, of log p(x|z) and of the KL: {"objective", "rec", "kl"}, nats per example."""
    _check(model, x, y, 1, batch, 1.0)
    sums = torch.zeros(3, dtype=torch.float64)
    with torch.inference_mode(), torch.random.fork_rng([x.device] if x.device.type == "cuda" else []):
        if seed is not None:
            torch.manual_seed(seed)
        for start in range(0, len(x), batch):
            part = [v[start : start + batch] for v in (x, *y)]
            t = model(*part, k=k)
            sums += len(part[0]) * torch.stack([objective(t), t.rec.mean(), t.kl.mean()]).double().cpu()
    return dict(zip(("objective", "rec", "kl"), (sums / len(x)).tolist(), strict=True))


def one_cycle(progress: float, warm_up: float = 0.1, last: float = 0.01) -> float:
    """A factor on the learning rate: rises linearly to 1 over `warm_up`, then falls along a cosine to `last`."""
    if progress < warm_up:
        return 0.04 + 0.96 * progress / warm_up
    falling = torch.tensor((progress - warm_up) / (1 - warm_up) * torch.pi)
    return last + (1 - last) * float(1 + falling.cos()) / 2


def start_at_mean(model: nn.Module, x: Tensor) -> None:
    """Sets the decoder's last bias to the logits of the mean image: no step is spent on finding it.

    For pixels in [0, 1] under a Bernoulli. Raises ValueError unless `model.dec` ends in a linear layer onto the pixels.
    """
    last = [layer for layer in model.dec.modules() if not list(layer.children())][-1]
    if not isinstance(last, nn.Linear) or last.bias is None or last.bias.shape != x.shape[1:]:
        raise ValueError(f"model: its decoder ends in {last}, wanted a linear layer with {x.shape[1]} biases")
    with torch.no_grad():
        last.bias.copy_(x.mean(0).clamp(0.001, 0.999).logit())


def _somebody_watches() -> bool:
    """A progress bar is for a terminal or a notebook; in a log file it is noise."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def _not_a_number(epoch: int, row: dict, lr: float, history: History) -> FloatingPointError:
    bad = ", ".join(f"{name} = {value}" for name, value in row.items())
    error = FloatingPointError(
        f"the loss is no finite number in epoch {epoch + 1}: {bad}. Look for log or division of 0, exp of a large "
        f"log-variance, or a learning rate that is too high (lr = {lr}). The model is as it was before that epoch."
    )
    error.history = history
    return error


def _check(model: nn.Module, x: Tensor, y: tuple[Tensor, ...], epochs: int, batch: int, lr: float) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        came = f"dtype {x.dtype}" if isinstance(x, Tensor) else type(x).__name__
        raise ValueError(f"x: got {came}, wanted a tensor of floats, (N, X)")
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"x: got shape {tuple(x.shape)}, wanted (N, X) with at least one example")
    for v in y:
        if len(v) != len(x) or v.device != x.device:
            raise ValueError(f"y: got {len(v)} rows on {v.device}, wanted {len(x)} on {x.device} as x has")
    dtype = next((p.dtype for p in model.parameters()), x.dtype)
    if dtype != x.dtype:
        raise ValueError(f"x: got dtype {x.dtype}, the model computes in {dtype}: convert one of them")
    for name, value in (("epochs", epochs), ("batch", batch)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}: got {value!r}, wanted a whole number of at least 1")
    if not lr > 0:
        raise ValueError(f"lr: got {lr!r}, wanted a positive number")
