"""Optimizers and schedules, with torch.optim's names, arguments, defaults and numbers."""

from . import lr_scheduler
from .optimizer import Optimizer
from .sgd import SGD

__all__ = ["SGD", "Optimizer", "lr_scheduler"]
