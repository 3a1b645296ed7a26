"""A function as an argument of an exercise: shown to the learner as the formula that it is."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Formula:
    """f(z) by its text, as in Formula("(z - 1)**2"): two with the same text are equal, and a message can print one."""

    text: str

    def __call__(self, z: Tensor) -> Tensor:
        return eval(self.text, {"torch": torch, "z": z})

    def __str__(self) -> str:
        return f"z ↦ {self.text}"
