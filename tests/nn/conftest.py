"""What the tests of modules share: one comparison of a module with PyTorch's, in float64."""

import numpy as np
import pytest
import torch

import pycnn


def _arrays(result):
    return [t for t in (result if isinstance(result, tuple) else (result,)) if t is not None]


def _close(ours, theirs, what, tolerance=1e-9):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape, what
    scale = max(1.0, abs(theirs).max(initial=0))
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs, tolerance, tolerance * scale, err_msg=what, strict=True
    )


def _compare(ours, theirs, *inputs, calls=1, gradient_tolerance=1e-9):
    """Same state, `calls` forward and backward passes: outputs, gradients, state all equal."""
    theirs = theirs.double()
    ours = ours.double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in theirs.parameters():
            # norms start at 1 and 0, which would hide a mistake
            parameter.add_(torch.rand(parameter.shape, generator=generator, dtype=torch.float64))
    assert list(ours.state_dict()) == list(theirs.state_dict())
    keys = ours.load_state_dict({name: t.numpy() for name, t in theirs.state_dict().items()})
    assert keys.missing_keys == keys.unexpected_keys == []
    assert [name for name, _ in ours.named_parameters()] == [
        name for name, _ in theirs.named_parameters()
    ]
    for _ in range(calls):
        our_inputs = [pycnn.tensor(x, requires_grad=x.dtype == np.float64) for x in inputs]
        their_inputs = [torch.tensor(x, requires_grad=x.dtype == np.float64) for x in inputs]
        our_outputs, their_outputs = _arrays(ours(*our_inputs)), _arrays(theirs(*their_inputs))
        assert len(our_outputs) == len(their_outputs)
        our_loss, their_loss = 0.0, 0.0
        for a, b in zip(our_outputs, their_outputs, strict=True):
            _close(a, b, "output")
            if b.requires_grad:
                weight = torch.rand(b.shape, generator=generator, dtype=torch.float64)
                our_loss = our_loss + (a * pycnn.from_numpy(weight.numpy())).sum()
                their_loss = their_loss + (b * weight).sum()
        if not isinstance(their_loss, float):
            our_loss.backward()
            their_loss.backward()
        for i, (a, b) in enumerate(zip(our_inputs, their_inputs, strict=True)):
            assert (a.grad is None) == (b.grad is None), f"gradient of input {i}"
            if a.grad is not None:
                _close(a.grad, b.grad, f"gradient of input {i}", gradient_tolerance)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        _close(a.grad, b.grad, f"gradient of {name}")
    for (name, a), b in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        _close(a, b, name)


@pytest.fixture
def against_torch():
    """compare(ours, theirs, *inputs, calls=1, gradient_tolerance=1e-9): AssertionError where two
    modules differ."""
    return _compare
