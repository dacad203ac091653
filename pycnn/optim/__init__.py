"""Optimizers, with torch.optim's names, arguments, defaults and numbers."""

from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Optimizer"]
