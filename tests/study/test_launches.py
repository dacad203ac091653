"""What the CUDA launchers would launch for a named layer, noted without running it."""

from __future__ import annotations

import math
import re
import struct

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from click.testing import CliRunner

from pycnn import dispatch
from pycnn.cli import main
from pycnn.config import extension_status
from pycnn.geometry import elementwise_geometry
from pycnn.study import cubins, elf, launches

emulated = extension_status("_emulated")[0]
pytestmark = pytest.mark.skipif(launches.why_not() is not None, reason=str(launches.why_not()))


def add(out):
    x = np.ones(out.shape, np.float32)
    with dispatch.using("cuda"):
        dispatch.run("add_activation", x, x, out=out, geometry=elementwise_geometry("relu"))


def test_a_noted_kernel_does_not_run():
    out = np.full((3, 1000), 7, np.float32)
    (launch,) = emulated.launches(lambda: add(out))
    assert (out == 7).all()
    offset, grid, block, shared = launch
    assert math.prod(grid) * math.prod(block) * 4 >= out.size and shared == 0
    name = launches.symbols(emulated.__file__)[offset]
    assert name == "add_activation_vector_kernel<float>"
    add(out)
    assert (out == 2).all()


def test_an_error_ends_the_noting():
    out = np.empty((2, 8), np.float32)
    with pytest.raises(ZeroDivisionError):
        emulated.launches(lambda: 1 // 0)
    with pytest.raises(Exception, match="noted already"):
        emulated.launches(lambda: emulated.launches(lambda: add(out)))
    add(out)
    assert (out == 2).all()


def test_a_named_layer():
    (launch,) = launches.launches("add_activation", "float16", "rn50.l1.add")
    assert launch.kernel == "add_activation_vector_kernel<Float16>"
    assert (launch.primitive, launch.algorithm) == ("add_activation", "direct")
    per_thread = 8  # 16 bytes of halves
    assert math.prod(launch.grid) * launch.block[0] * per_thread == 32 * 256 * 56 * 56


def test_algorithms_and_what_they_leave_out():
    found = list(launches.launches("conv2d_depthwise", "float32"))
    assert {launch.layer.split()[0] for launch in found} == {"xcep.dw147", "xcep.dw19"}
    assert {launch.primitive for launch in found} == {
        "conv2d_fprop", "conv2d_dgrad", "conv2d_wgrad",
    }  # fmt: skip
    assert {launch.algorithm for launch in found} == {"depthwise"}
    assert not list(launches.launches("conv2d_depthwise", "float32", "vgg.c1_1"))


def test_tensor_cores_take_dynamic_shared_memory():
    found = list(launches.launches("conv2d_tensor_core", "float16", "vgg.c3_2"))
    assert any(launch.shared > 48 * 1024 for launch in found)
    assert all(launch.algorithm == "tensor_core" for launch in found)


@pytest.mark.skipif(not cubins.stems(), reason="an installation without the CUDA sources")
@pytest.mark.parametrize("stem", ["max_pool2d", "batch_norm", "conv2d_implicit_gemm", "softmax"])
def test_every_launch_has_a_kernel_of_the_sources(stem):
    sources = "".join(p.read_text() for p in (cubins.CSRC / "cuda").glob("*.cu*"))
    kernels = set(re.findall(r"\b(\w+_kernel)\(", sources))
    found = list(launches.launches(stem, "float32"))
    assert found
    for launch in found:
        assert launch.kernel.partition("<")[0] in kernels
        assert 1 <= math.prod(launch.block) <= 1024


def test_functions_are_read_from_the_elf_file():
    texts = b"\0f\0g\0"
    table = b"".join(
        struct.pack("<IBBHQQ", name, kind, 0, 1, address, 8)
        for name, kind, address in ((1, 0x12, 64), (3, 0x11, 96), (3, 0x02, 128), (1, 2, 0))
    )
    names = b"\0.symtab\0.strtab\0.shstrtab\0"
    at, headers, body = 64, b"", b""
    for name, content in ((1, table), (9, texts), (17, names)):
        headers += struct.pack("<2I4Q2I2Q", name, 1, 0, 0, at + len(body), len(content), 0, 0, 1, 0)
        body += content
    header = bytearray(64)
    header[:5] = b"\x7fELF\x02"
    struct.pack_into("<Q", header, 0x28, at + len(body))
    struct.pack_into("<3H", header, 0x3A, 64, 3, 2)
    file = bytes(header) + body + headers
    assert elf.functions(file) == {64: "f", 128: "g"}
    assert elf.functions(file.replace(b".symtab", b".notsym")) == {}


@pytest.mark.skipif(cubins.why_not() is not None, reason=str(cubins.why_not()))
def test_inspect_says_how_a_layer_fills_the_gpu():
    output = (
        CliRunner()
        .invoke(
            main,
            ["inspect", "add_activation", "--provider", "cuda", "--arch", "80", "--layer",
             "rn50.l1.add", "--sms", "100"],
            env={"COLUMNS": "200"},
        )
        .output
    )  # fmt: skip
    assert "add_activation_vector_kernel<Float16>" in output and "double" not in output
    (row,) = re.findall(r"^.*rn50\.l1\.add .*add_activation.*direct.*$", output, re.M)
    cells = [cell.strip() for cell in re.split("[│┃|]", row)]
    assert "12,544" in cells and "256" in cells  # 25.7 million elements, 8 a thread
    assert re.search(r"\d+\.\d\d", row) and "%" in row
