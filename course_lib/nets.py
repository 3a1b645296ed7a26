"""Networks that lessons hand to a model."""

from itertools import pairwise

from torch import nn

from course_lib.arguments import whole_number


def mlp(*sizes: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Multilayer perceptron: `mlp(784, 400, 40)` maps (..., 784) to (..., 40) through one hidden layer of 400.

    The activation stands between layers, never after the last: what the output means is the model's affair.
    Raises ValueError unless there are at least two sizes, all of them positive whole numbers.
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes: got {sizes}, wanted at least two, as in mlp(784, 400, 40)")
    sizes = tuple(whole_number("sizes", n, 1) for n in sizes)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), activation()]
    return nn.Sequential(*layers[:-1])
