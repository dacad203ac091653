"""State dicts through files of every format, and what is not a state dict."""

from __future__ import annotations

import os
import pickle
import stat
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

import pycnn
from pycnn.dtypes import bfloat16
from pycnn.serialization import FORMATS, pth, safetensors

torch = pytest.importorskip("torch")

SUFFIXES = [suffix for known in FORMATS.values() for suffix in known.suffixes]


def values() -> dict[str, np.ndarray]:
    """An array of every dtype, of odd shapes and layouts."""
    rng = np.random.default_rng()
    found = {
        name: rng.integers(0, 2 if name == "bool" else 100, (2, 3)).astype(name)
        for name in (
            "float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool",
        )
    }  # fmt: skip
    found["layer.bfloat16"] = rng.standard_normal((3, 2)).astype(bfloat16)
    found["scalar"] = np.array(7, np.int64)
    found["empty"] = np.zeros((0, 3), np.float32)
    found["channels_last"] = rng.standard_normal((2, 5, 5, 3)).transpose(0, 3, 1, 2)
    found["reversed"] = rng.standard_normal(9)[::-2]
    found["größe"] = np.arange(3.0)
    return found


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_saved_comes_back(tmp_path, suffix):
    arrays = values()
    path = tmp_path / f"state{suffix}"
    pycnn.save({name: pycnn.from_numpy(a.copy()) for name, a in arrays.items()}, path)
    found = pycnn.load(path)
    assert sorted(found) == sorted(arrays)
    for name, a in arrays.items():
        assert same(found[name]._data, a), name
        assert found[name]._data.flags.writeable
    assert os.listdir(tmp_path) == [path.name]
    assert stat.S_IMODE(path.stat().st_mode) & 0o400


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth"])
def test_a_network_loads_what_another_saved(tmp_path, suffix):
    first, second = (pycnn.models.resnet18(width=0.125, num_classes=3) for _ in range(2))
    pycnn.save(first.state_dict(), tmp_path / f"net{suffix}")
    second.load_state_dict(pycnn.load(tmp_path / f"net{suffix}"))
    for name, value in first.state_dict().items():
        assert np.array_equal(second.state_dict()[name].numpy(), value.numpy()), name


def test_torch_reads_what_we_write(tmp_path):
    arrays = values()
    pycnn.save(arrays, tmp_path / "state.pth")
    found = torch.load(tmp_path / "state.pth", weights_only=True)
    assert list(found) == list(arrays)
    for name, a in arrays.items():
        t = found[name]
        assert tuple(t.shape) == a.shape
        got = t.view(torch.uint16).numpy() if t.dtype == torch.bfloat16 else t.numpy()
        assert got.tobytes() == a.tobytes(), name


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("inside", [None, "state_dict", "model"])
def test_we_read_what_torch_writes(tmp_path, zipped, inside):
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last),
        torch.nn.BatchNorm2d(4),
        torch.nn.Linear(4, 2).half(),
        torch.nn.Linear(2, 2).bfloat16(),
    )
    state = net.state_dict()
    state["shared"] = state["0.weight"][1:, :, ::2]
    state["parameter"] = net[0].bias
    saved = state if inside is None else {inside: state, "epoch": 3}
    path = tmp_path / "net.pth"
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)
    found = pycnn.load(path)
    assert list(found) == list(state)
    for name, t in state.items():
        t = t.detach()
        got = found[name]._data
        assert got.shape == tuple(t.shape)
        assert got.astype(np.float64).tobytes() == t.double().contiguous().numpy().tobytes(), name


class Runs:
    def __init__(self, call, *arguments):
        self.reduced = (call, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_reading_runs_nothing(tmp_path, zipped):
    path, witness = tmp_path / "evil.pth", tmp_path / "witness"
    for evil in (Runs(os.mkdir, str(witness)), Runs(eval, "1"), Runs(getattr, OrderedDict, "pop")):
        torch.save({"weight": evil}, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(ValueError, match="which is not a part of a state dict"):
            pycnn.load(path)
    assert not witness.exists()


def described(size, stride, offset=0, count=4, key="0"):
    """A .pth pickle with one tensor."""
    text = lambda s: b"X" + len(s).to_bytes(4, "little") + s.encode()
    number = lambda n: pickle.dumps(n, protocol=2)[2:-1]
    several = lambda ns: b"(" + b"".join(map(number, ns)) + b"t"
    identity = text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + number(count)
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n((" + identity + b"tQ" + number(offset)
    tensor += several(size) + several(stride) + b"\x89}tR"
    return b"\x80\x02}" + text("w") + tensor + b"s."


@pytest.mark.parametrize(
    "size, stride, offset, count",
    [
        ((5,), (1,), 0, 4),
        ((2,), (4,), 0, 4),
        ((2,), (1,), 3, 4),
        ((2,), (1,), -1, 4),
        ((2,), (-1,), 3, 4),
        ((2, 2), (1,), 0, 4),
        ((2**62,), (2**62,), 0, 4),
        ((1,), (1,), 0, 5),
        ((1,), (1,), 0, -1),
    ],
)
def test_tensors_stay_inside_their_storage(tmp_path, size, stride, offset, count):
    path = tmp_path / "w.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", described(size, stride, offset, count))
        archive.writestr("x/data/0", bytes(16))
    with pytest.raises(ValueError, match="w.pth is not a .pth file"):
        pycnn.load(path)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    whole = {}
    for suffix in (".pth", ".npz", ".safetensors"):
        pycnn.save({"w": np.arange(50.0)}, tmp_path / f"a{suffix}")
        whole[suffix] = (tmp_path / f"a{suffix}").read_bytes()
    torch.save({"w": torch.arange(50.0)}, tmp_path / "l.pth", _use_new_zipfile_serialization=False)
    whole["legacy.pth"] = (tmp_path / "l.pth").read_bytes()
    for suffix, data in whole.items():
        path = tmp_path / f"cut{suffix if suffix[0] == '.' else '.pth'}"
        for size in (0, 1, 7, 9, 40, len(data) // 2, len(data) - 8, len(data) - 1):
            path.write_bytes(data[:size])
            with pytest.raises(ValueError, match="cut"):
                pycnn.load(path)


@pytest.mark.parametrize("content", [[1, 2], {}, {"a": 1}, {"a": {"b": torch.zeros(1)}}])
def test_other_contents_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x\.pth is not a \.pth file with a state dict"):
        pycnn.load(tmp_path / "x.pth")


def test_a_failed_save_leaves_what_was_there(tmp_path):
    path = tmp_path / "w.npz"
    pycnn.save({"w": np.ones(3)}, path)
    before = path.read_bytes()
    with pytest.raises(TypeError, match=r"state_dict\['v'\] must be a Tensor or a NumPy array"):
        pycnn.save({"w": np.zeros(3), "v": [1]}, path)
    with pytest.raises(ValueError, match="metadata: an .npz file holds none"):
        pycnn.save({"w": np.zeros(3)}, path, metadata={"a": "b"})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["w.npz"]
    for suffix in ("pth", "safetensors"):
        with pytest.raises(TypeError, match=r"state_dict\['w'\]: .* cannot hold complex64"):
            pycnn.save({"w": np.zeros(3, np.complex64)}, tmp_path / f"c.{suffix}")
    assert os.listdir(tmp_path) == ["w.npz"]


def test_a_suffix_names_a_format(tmp_path):
    for call in (
        lambda: pycnn.load(tmp_path / "a.txt"),
        lambda: pycnn.save({}, tmp_path / "a.txt"),
    ):
        with pytest.raises(ValueError, match=r"ends in '.txt'; accepted: .safetensors, .npz, .pth"):
            call()
    for suffix in (".pth", ".npz", ".safetensors"):
        with pytest.raises(FileNotFoundError):
            pycnn.load(tmp_path / f"none{suffix}")


def test_metadata_of_safetensors(tmp_path):
    path = tmp_path / "w.safetensors"
    pycnn.save({"w": np.ones(3)}, path, metadata={"format": "pt", "model": "resnet18"})
    assert safetensors.metadata(path) == {"format": "pt", "model": "resnet18"}
    pycnn.save({"w": np.ones(3)}, path)
    assert safetensors.metadata(path) == {}


def test_the_names_a_pickle_may_call_are_harmless():
    for (module, name), function in pth._CALLABLES.items():
        assert module in ("collections", "torch", "torch._utils"), name
        assert function in (OrderedDict, tuple) or function.__module__ == pth.__name__
