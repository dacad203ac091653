"""What of a batch norm's gradient is compared, where signs are uncertain."""

import math

import numpy as np
import pytest

from pycnn.benchmarks import batch_norms, suites
from pycnn.benchmarks.problem import Key

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def found():
    """(the problem, the gradients in float64 with the numbers before the ReLU last)"""
    problem = suites.make(Key("batch norm + add + relu", "7x2048", "backward", 1))
    from pycnn.benchmarks.harness import Pool

    return problem, Pool(problem).truth(0)


def changed(truths, number, where, by=1.0):
    outputs = [t.copy() for t in truths[:-1]]
    outputs[number][where] += by * np.abs(truths[number]).max()
    return outputs


def test_the_truth_is_right_and_holds_what_a_relu_was_given(found):
    problem, truths = found
    assert len(truths) == 5 and truths[-1].shape == truths[0].shape
    assert problem.error([t.copy() for t in truths[:-1]], truths) == 0
    # the gradient passes where the number was positive
    assert ((truths[1] != 0) == (truths[-1] > 0)).all()


@pytest.mark.parametrize("number", [0, 1])
def test_every_element_counts_whose_sign_is_certain(found, number):
    problem, truths = found
    certain = np.unravel_index(np.abs(truths[-1]).argmax(), truths[-1].shape)
    assert problem.error(changed(truths, number, certain), truths) == pytest.approx(1)
    uncertain = [t.copy() for t in truths]
    uncertain[-1][certain] = 1e-7
    assert problem.error(changed(uncertain, number, certain), uncertain) == 0


@pytest.mark.parametrize("number", [2, 3])
def test_a_sum_that_is_far_off_is_infinite(found, number):
    problem, truths = found
    loose = batch_norms.LOOSE["float32"]
    assert problem.error(changed(truths, number, 5, loose / 2), truths) == 0
    assert problem.error(changed(truths, number, 5, 2 * loose), truths) == math.inf
    assert problem.error(changed(truths, number, 5, math.nan), truths) == math.inf
