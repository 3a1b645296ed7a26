"""A decoder small enough to travel: its layers as a list and its weights as bytes, for `mlp.js` to run."""

import torch
from torch import Tensor, nn

from course_lib.training import evaluating

MOST_WEIGHTS = 4_000_000  # 16 MB as float32; above that a kernel round trip is quicker than the browser anyway

# One entry per layer that mlp.js knows. Types are compared exactly: a subclass may compute something else.
ACTIVATIONS = {
    nn.ReLU: lambda m: {"op": "relu"},
    nn.LeakyReLU: lambda m: {"op": "leaky", "slope": m.negative_slope},
    nn.Tanh: lambda m: {"op": "tanh"},
    nn.Sigmoid: lambda m: {"op": "sigmoid"},
    nn.Softplus: lambda m: {"op": "softplus", "beta": m.beta, "threshold": m.threshold},
    nn.SiLU: lambda m: {"op": "silu"},
    nn.GELU: lambda m: {"op": "gelu" if m.approximate == "none" else "gelu_tanh"},
}
NOTHING = (nn.Identity, nn.Dropout)  # do nothing when a model is evaluated

# What may stand between the decoder's output and pixel means: identity (clamped), Bernoulli, continuous Bernoulli.
LINKS = {
    "identity": lambda out: out.clamp(0, 1),
    "sigmoid": torch.sigmoid,
    "continuous": lambda out: torch.distributions.ContinuousBernoulli(logits=out, validate_args=False).mean,
}


def flat(module: nn.Module) -> list[nn.Module]:
    """The layers of a Sequential, also of one inside another."""
    return [m for child in module for m in flat(child)] if type(module) is nn.Sequential else [module]


def portable(model, z: Tensor) -> tuple[dict, bytes] | None:
    """({"layers", "link"}, float32 weights) if the browser can decode as `model.decode` does, else None.

    z (n, D) are points to probe: the link is the one for which link(dec(z)) and decode(z) agree at all of them.
    """
    layers, weights = [], []
    for module in flat(model.dec):
        if type(module) is nn.Linear:
            layers.append({"op": "linear", "from": module.in_features, "to": module.out_features})
            bias = torch.zeros(module.out_features) if module.bias is None else module.bias
            weights += [module.weight, bias]
        elif type(module) in ACTIVATIONS:
            layers.append(ACTIVATIONS[type(module)](module))
        elif type(module) not in NOTHING:
            return None
    if not weights or layers[0]["op"] != "linear" or sum(w.numel() for w in weights) > MOST_WEIGHTS:
        return None
    with evaluating(model):
        out, pixels = model.dec(z), model.decode(z).clamp(0, 1)
    for link, function in LINKS.items():
        # a quarter of a grey level: what is left for the browser's own rounding
        if out.shape == pixels.shape and (function(out) - pixels).abs().max() < 0.25 / 255:
            numbers = torch.cat([w.detach().flatten().float().cpu() for w in weights])
            return {"layers": layers, "link": link}, numbers.numpy().tobytes()
    return None
