"""Schedules against PyTorch's, epoch by epoch."""

import pytest
import torch

import pycnn
from pycnn import nn, optim

CASES = [
    ("StepLR", (3, 0.5)),
    ("MultiStepLR", ([2, 5, 5, 9], 0.1)),
    ("ExponentialLR", (0.94,)),
    ("CosineAnnealingLR", (6, 0.01)),
    ("LambdaLR", (lambda epoch: 1 / (1 + epoch),)),
    ("LambdaLR", ([lambda epoch: 0.9**epoch, lambda epoch: 2.0 + epoch],)),
]


def _optimizers():
    ours = [nn.Parameter(pycnn.ones(1)) for _ in range(2)]
    theirs = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    return [
        module.SGD([{"params": [p]}, {"params": [q], "lr": 0.3}], lr=0.1)
        for module, (p, q) in ((optim, ours), (torch.optim, theirs))
    ]


@pytest.mark.parametrize("name, args", CASES, ids=[name for name, _ in CASES])
def test_rates_equal_torchs(name, args):
    a, b = _optimizers()
    ours = getattr(optim.lr_scheduler, name)(a, *args)
    theirs = getattr(torch.optim.lr_scheduler, name)(b, *args)
    for _ in range(14):
        assert ours.get_last_lr() == pytest.approx(theirs.get_last_lr(), rel=1e-12)
        assert [g["lr"] for g in a.param_groups] == ours.get_last_lr()
        assert ours.last_epoch == theirs.last_epoch
        b.step()
        ours.step()
        theirs.step()


def test_rate_is_the_one_the_next_step_uses():
    p = nn.Parameter(pycnn.zeros(1))
    optimizer = optim.SGD([p], lr=1.0)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for expected in (-1.0, -1.5, -1.75):
        p.grad = pycnn.ones(1)
        optimizer.step()
        schedule.step()
        assert p.item() == expected


def test_resuming():
    a, _ = _optimizers()
    schedule = optim.lr_scheduler.StepLR(a, 2)
    for _ in range(5):
        schedule.step()
    b, _ = _optimizers()
    again = optim.lr_scheduler.StepLR(b, 1)
    again.load_state_dict(schedule.state_dict())
    b.load_state_dict(a.state_dict())
    schedule.step()
    again.step()
    assert again.get_last_lr() == schedule.get_last_lr()
    third = optim.lr_scheduler.StepLR(a, 2, last_epoch=5)
    assert third.get_last_lr() == schedule.get_last_lr()


def test_refused():
    a, _ = _optimizers()
    schedules = optim.lr_scheduler
    with pytest.raises(TypeError, match="int is not an Optimizer"):
        schedules.ExponentialLR(3, 0.1)
    with pytest.raises(KeyError, match="initial_lr"):
        schedules.StepLR(a, 2, last_epoch=3)
    with pytest.raises(ValueError, match="step_size must be at least 1"):
        schedules.StepLR(a, 0)
    with pytest.raises(ValueError, match="T_max must be at least 1"):
        schedules.CosineAnnealingLR(a, 0)
    with pytest.raises(ValueError, match="Expected 2 lr_lambdas, but got 1"):
        schedules.LambdaLR(a, [lambda epoch: 1.0])
