"""Autoencoders and the clustering head: published sizes, mirrored decoders, assignments, losses."""

from __future__ import annotations

import numpy as np
import pytest

import pycnn
import pycnn.functional as F
from pycnn.models import get_model, kmeans_loss, target_distribution
from pycnn.testing import compare_torch

torch = pytest.importorskip("torch")

from pycnn.references import get_reference  # noqa: E402


def images(batch=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((batch, 1, 28, 28)).astype(np.float32)


@pytest.mark.parametrize("name", ["conv_autoencoder", "conv_autoencoder_unpool", "deep_clustering"])
def test_the_published_output_is_a_relu(name):
    torch.manual_seed(0)
    net, reference = (get(name, width=0.25) for get in (get_model, get_reference))
    compare_torch(net, reference, images(), float32_gradients=False).check()
    linear = get_model(name, width=0.25, output="linear")
    linear.load_state_dict(net.state_dict())
    x = pycnn.from_numpy(images().astype(np.float64))
    found = []
    for one in (net.double(), linear.double()):
        last = getattr(one, "autoencoder", one).deconv1
        last.bias.detach().sub_(
            float(reconstruction(one, x).mean())
        )  # positive here, negative there
        found.append(reconstruction(one, x))
    assert found[0].shape == (3, 1, 28, 28)
    assert found[0].min() == 0 > found[1].min()


def reconstruction(net, x):
    return getattr(net(x), "reconstruction", net(x)).detach().numpy()


def test_codes_have_their_published_lengths():
    x = pycnn.from_numpy(images(2))
    assert get_model("conv_autoencoder", width=0.25).encode(x).shape == (2, 32)
    code, places = get_model("conv_autoencoder_unpool").encode(x)
    assert code.shape == (2, 120, 1, 1)
    assert [p.shape for p in places] == [(2, 50, 12, 12), (2, 50, 4, 4)]
    assert get_model("mnist_autoencoder").encode(x).shape == (2, 30)


def test_the_head_vanishes_in_evaluation():
    net = get_model("deep_clustering", width=0.25)
    x = pycnn.from_numpy(images())
    outputs = net(x)
    assert outputs._fields == ("assignments", "reconstruction")
    alone = net.eval()(x).detach().numpy()
    np.testing.assert_array_equal(alone, outputs.assignments.detach().numpy())


def test_assignments_are_student_s_t_and_nearest_wins():
    head = get_model("deep_clustering", num_classes=3, width=0.25).clustering
    centres = np.zeros((3, 8), np.float32)
    centres[1, 0], centres[2, 1] = 3, 2
    head.clusters.detach().copy_(pycnn.from_numpy(centres))
    z = np.zeros((2, 8), np.float32)
    z[1, 0] = 2
    q = head(pycnn.from_numpy(z)).detach().numpy()
    weights = 1 / (1 + np.array([[0, 9, 4], [4, 1, 8]]))
    np.testing.assert_allclose(q, weights / weights.sum(1, keepdims=True), rtol=1e-6)
    np.testing.assert_array_equal(q.argmax(1), [0, 1])


def test_target_distribution_sharpens_and_weighs_by_cluster_size():
    q = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9]])
    found = target_distribution(pycnn.from_numpy(q).requires_grad_())
    assert not found.requires_grad
    expected = q**2 / q.sum(0)
    np.testing.assert_allclose(found.numpy(), expected / expected.sum(1, keepdims=True))
    assert found.numpy()[0, 0] > 0.8


def test_both_clustering_losses_and_their_gradients_equal_torch():
    rng = np.random.default_rng(2)
    z, centres = rng.standard_normal((6, 4)), rng.standard_normal((3, 4))

    def theirs_kmeans(z, mu):
        return (z[:, None] - mu).norm(dim=2).min(1).values.mean()

    def divergence(f):
        def loss(z, mu):
            apart = z.unsqueeze(1) - mu
            q = 1 / (1 + (apart * apart).sum(2))
            q = q / q.sum(1, keepdim=True)
            p = q.detach()
            p = p * p / p.sum(0)
            p = target_distribution(q) if f is F else p / p.sum(1, keepdim=True)
            return f.kl_div(q.log(), p, reduction="sum")

        return loss

    for ours, theirs in [
        (kmeans_loss, theirs_kmeans),
        (divergence(F), divergence(torch.nn.functional)),
    ]:
        compare_torch(ours, theirs, [z, centres], float32=False).check()


def test_joint_training_pulls_codes_to_their_centres():
    pycnn.manual_seed(0)
    net = get_model("deep_clustering", num_classes=2, width=0.25, output="linear")
    x = images(16, 1) * 0.1
    x[:8, :, :14] += 0.9
    x[8:, :, 14:] += 0.9
    x = pycnn.from_numpy(x)
    optimiser = pycnn.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    found = []
    for _ in range(30):
        q, image = net(x)
        error = ((image - x) ** 2).mean()
        loss = error + 0.1 * F.kl_div(q.log(), target_distribution(q), reduction="batchmean")
        found.append(float(error.detach().numpy()))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert found[-1] < 0.7 * found[0]
    z = net.autoencoder.encode(x).detach().numpy()
    within = z[:8].std(0).sum() + z[8:].std(0).sum()
    assert np.linalg.norm(z[:8].mean(0) - z[8:].mean(0)) > within / 4


def test_caffe_s_sparse_initialisation():
    """A weight is kept with probability 15 / outputs, then N(0, 1)."""
    pycnn.manual_seed(0)
    weight = get_model("mnist_autoencoder").encode1.weight.detach().numpy()
    kept = weight[weight != 0]
    assert abs(kept.size / weight.size - 15 / 1000) < 1e-3
    assert abs(kept.std() - 1) < 0.05


def test_wrong_outputs_are_named():
    with pytest.raises(ValueError, match="output must be .* got 'tanh'"):
        get_model("conv_autoencoder", output="tanh")
