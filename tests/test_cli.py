"""`python -m pycnn`: every command, its exit status, and its words for mistakes."""

import os
import subprocess
import sys

import numpy as np
import pytest

import pycnn

pytest.importorskip("click")
pytest.importorskip("rich")

from click.testing import CliRunner

from pycnn.cli import main
from pycnn.study import cubins, toolkit


def run(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_help_lists_every_command():
    result = run("--help")
    assert result.exit_code == 0
    for command in ("check", "models", "summary", "config", "explain", "demo"):
        assert command in result.output
        assert run(command, "--help").exit_code == 0


def test_models_lists_names_and_parameters():
    result = run("models")
    assert result.exit_code == 0
    assert "xception" in result.output
    assert "22,855,952" in result.output


def test_summary_and_config():
    result = run("summary", "lenet5")
    assert result.exit_code == 0
    assert "61,706" in result.output
    assert "reference" in run("config").output


@pytest.mark.parametrize("command", ["check", "summary", "explain"])
def test_an_unknown_model_is_refused_with_a_hint(command):
    result = run(command, "resnet5")
    assert result.exit_code == 2
    assert "resnet50" in result.output


def test_bad_options_are_refused():
    for arguments in (["--width", 0], ["--size", 0], ["--batch", 0], ["--width", "wide"]):
        assert run("check", "lenet5", *arguments).exit_code == 2
    result = run("check", "lenet5", "--provider", "abacus")
    assert result.exit_code == 2
    assert "no provider is called 'abacus'; there are reference, native" in result.output


def test_a_size_that_does_not_fit_is_one_sentence():
    pytest.importorskip("torch")
    result = run("check", "lenet5", "--size", 40)
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert "Error: --size 40 where lenet5 is made for 32: " in result.output


def test_check_passes_and_shows_the_rows():
    pytest.importorskip("torch")
    result = run("check", "lenet5", "--all", "--provider", "reference", "--batch", 3)
    assert result.exit_code == 0, result.output
    for words in ("float64", "c1.weight", "logits", "lenet5 equals PyTorch"):
        assert words in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("deep_clustering", "--width", 0.25),  # clusters and an image
        ("unet", "--width", 0.0625, "--size", 188),  # a map
        ("fast_rcnn_caffenet", "--width", 0.0625, "--size", 200),  # an image and its regions
    ],
)
def test_check_of_networks_that_are_no_classifiers(arguments):
    pytest.importorskip("torch")
    result = run("check", *arguments)
    assert result.exit_code == 0, result.output
    assert f"{arguments[0]} equals PyTorch" in result.output


def test_check_fails_on_a_wrong_network(monkeypatch):
    pytest.importorskip("torch")
    tanh = pycnn.functional.tanh
    monkeypatch.setattr(pycnn.functional, "tanh", lambda x: tanh(x) * (1 + 1e-7))
    result = run("check", "lenet5")
    assert result.exit_code == 1
    assert "FAILS" in result.output
    assert "DIFFERS FROM PyTorch" in result.output


def test_explain_a_model_and_a_primitive():
    result = run("explain", "lenet5", "--provider", "reference")
    assert result.exit_code == 0, result.output
    assert "-> reference/" in result.output
    assert "in c1" in result.output
    for primitive in ("conv2d_fprop", "conv2d_dgrad", "conv2d_wgrad"):
        assert primitive in result.output
    only = run("explain", "conv2d_wgrad", "--model", "lenet5")
    assert only.exit_code == 0
    assert "conv2d_fprop" not in only.output
    assert "in c5" in only.output
    unused = run("explain", "resize2d_fprop", "--model", "lenet5")
    assert unused.exit_code == 0
    assert "makes no call of resize2d_fprop" in unused.output


def test_it_runs_as_a_module_outside_the_checkout(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pycnn", "explain", "lenet5", "--forward-only"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "conv2d_fprop" in done.stdout


def test_missing_requirements_are_one_sentence(tmp_path):
    (tmp_path / "click.py").write_text("raise ImportError('no click', name='click')\n")
    path = os.pathsep.join([str(tmp_path), os.path.dirname(os.path.dirname(pycnn.__file__))])
    done = subprocess.run(
        [sys.executable, "-m", "pycnn", "models"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("python -m pycnn needs click, which is not installed")
    assert "Traceback" not in done.stderr


def test_a_narrow_demo(tmp_path):
    for module in ("torch", "skimage", "PIL", "matplotlib"):
        pytest.importorskip(module)
    from PIL import Image

    out = tmp_path / "new" / "folder"
    result = run("demo", "--out", out, "--width", 0.125, "--size", 75, "--rounds", 1)
    assert result.exit_code == 0, result.output
    assert "Xception equals PyTorch" in result.output
    assert "conv2d_wgrad" in result.output
    assert sorted(p.name for p in out.iterdir()) == ["kernels.txt", "xception.png"]
    picture = np.asarray(Image.open(out / "xception.png"))
    assert picture.shape[0] > 500
    assert picture.shape[1] > 800
    assert "PyTorch" in (out / "kernels.txt").read_text()


# --- inspect: Triton's part needs a process of its own --------------------------------------------


def inspect_cuda(*arguments):
    return run("inspect", *arguments, "--provider", "cuda")


@pytest.mark.skipif(cubins.why_not() is not None, reason=str(cubins.why_not()))
def test_inspect_shows_a_cuda_kernel():
    result = inspect_cuda("add_activation", "--arch", "sm_80", "--dtype", "float32")
    assert result.exit_code == 0, result.output
    assert (
        "sm_80, CUDA " in result.output and "add_activation_vector_kernel<float>" in result.output
    )
    assert "Float16" not in result.output and "double" not in result.output
    result = inspect_cuda("add_activation", "--arch", "80", "--dtype", "float64", "--sass")
    assert "// add_activation.add_activation_vector_kernel<double> on sm_80" in result.output
    assert "STG.E.128" in result.output
    assert ".target sm_80\n" in inspect_cuda("add_activation", "--arch", "80", "--ptx").output
    assert "no CUDA kernel is called 'softmin'; there are add_" in inspect_cuda("softmin").output
    result = inspect_cuda("add_activation", "--layer", "vgg.c3_2")
    assert result.exit_code == 1
    assert "no CUDA kernel of 'add_activation' runs vgg.c3_2 in float16" in result.output


def test_inspect_says_why_it_cannot(monkeypatch):
    monkeypatch.setattr(toolkit, "find_nvcc", lambda: (None, "nvcc was not found"))
    result = inspect_cuda("add_activation")
    assert result.exit_code == 1 and "Error: CUDA: nvcc was not found\n" in result.output
    assert inspect_cuda("add_activation", "--arch", "hopper").exit_code == 2
