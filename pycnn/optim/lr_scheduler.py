"""Learning-rate schedules: each sets its optimizer's rates to a function of the epoch's number.

The rates follow from the epoch and the groups' initial rates alone, so that a loaded schedule
continues exactly. Call `step()` after each epoch.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .optimizer import Optimizer


class LRScheduler:
    """Base of the schedules. A subclass defines `rate(initial, epoch, group)`.

    `last_epoch` is the epoch whose rates are set: -1 starts afresh, with the groups' rates as the
    initial ones. KeyError if it is another and a group has no "initial_lr"."""

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming a "
                    f"schedule with last_epoch={last_epoch}"
                )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.step()

    def rate(self, initial: float, epoch: int, group: int) -> float:
        """The learning rate in `epoch` of the group with that number and `initial` rate."""
        raise NotImplementedError(f"{type(self).__name__} defines no rate")

    def step(self) -> None:
        """Go to the next epoch and set its rates."""
        self.last_epoch += 1
        groups = zip(self.optimizer.param_groups, self.base_lrs, strict=True)
        for number, (group, initial) in enumerate(groups):
            group["lr"] = self.rate(initial, self.last_epoch, number)

    def get_last_lr(self) -> list[float]:
        """The current rate of each group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Every attribute but the optimizer, and functions."""
        return {
            key: value
            for key, value in self.__dict__.items()
            if key not in ("optimizer", "lr_lambdas")
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; rates change at the next `step`."""
        self.__dict__.update(state_dict)


class StepLR(LRScheduler):
    """The rate is multiplied by `gamma` every `step_size` epochs."""

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        if step_size < 1:
            raise ValueError(f"step_size must be at least 1, but got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int, group: int) -> float:
        return initial * self.gamma ** (epoch // self.step_size)


class MultiStepLR(LRScheduler):
    """The rate is multiplied by `gamma` at each epoch in `milestones`."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = sorted(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int, group: int) -> float:
        return initial * self.gamma ** bisect_right(self.milestones, epoch)


class ExponentialLR(LRScheduler):
    """The rate is multiplied by `gamma` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int, group: int) -> float:
        return initial * self.gamma**epoch


class CosineAnnealingLR(LRScheduler):
    """Half a cosine from the initial rate to `eta_min` in `T_max` epochs, and back in as many."""

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        if T_max < 1:
            raise ValueError(f"T_max must be at least 1, but got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int, group: int) -> float:
        fraction = (1 + math.cos(math.pi * epoch / self.T_max)) / 2
        return self.eta_min + (initial - self.eta_min) * fraction


class LambdaLR(LRScheduler):
    """The initial rate times `lr_lambda(epoch)`; a list gives each group its own function."""

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        count = len(optimizer.param_groups)
        if callable(lr_lambda):
            self.lr_lambdas = [lr_lambda] * count
        else:
            self.lr_lambdas = list(lr_lambda)
        if len(self.lr_lambdas) != count:
            raise ValueError(f"Expected {count} lr_lambdas, but got {len(self.lr_lambdas)}")
        super().__init__(optimizer, last_epoch)

    def rate(self, initial: float, epoch: int, group: int) -> float:
        return initial * self.lr_lambdas[group](epoch)
