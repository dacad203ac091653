"""Installing pycnn for real, from a copy of its sources, with and without what a build takes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pycnn
from pycnn.study import toolkit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(pycnn.__file__).resolve().parent.parent
SOURCES = ["CMakeLists.txt", "LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "setup.py"]

if not (ROOT / "setup.py").exists():
    pytest.skip("pycnn is not imported from its source tree", allow_module_level=True)


@pytest.fixture
def source(tmp_path):
    """A copy of the source tree, as a fresh clone has it."""
    copy = tmp_path / "source"
    left_behind = shutil.ignore_patterns("__pycache__", "*.so", "_build_info.py")
    for folder in ("pycnn", "kernels", "benchmarks", "csrc"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=left_behind)
    for name in SOURCES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy)
    return copy


class Installation:
    """What `pip install` of a source tree makes of it, in a folder of its own."""

    def __init__(self, source, **environment):
        self.source = source
        self.folder = source.parent / "installed"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYCNN_")}
        self.environment = {**inherited, **environment}
        pip = [sys.executable, "-m", "pip", "install", "-v", "--no-index", "--no-build-isolation"]
        done = subprocess.run(
            [*pip, "--no-deps", "--target", str(self.folder), str(source)],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
        )
        self.succeeded = done.returncode == 0
        self.log = done.stdout

    def python(self, code):
        """What Python code prints that imports this installation."""
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            env={**self.environment, "PYTHONPATH": str(self.folder)},
            cwd=self.source.parent,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def test_an_installation_has_all_of_pycnn(source):
    installed = Installation(source, PYCNN_NATIVE="1")
    assert installed.succeeded, installed.log
    code = "import pycnn, pycnn.kernels as k; print(k.__file__); print(pycnn._native.isa())"
    kernels, isa = installed.python(f"import pycnn._native\n{code}").splitlines()
    assert Path(kernels) == installed.folder / "pycnn" / "kernels" / "__init__.py"
    assert isa in ("baseline", "avx2", "avx512")

    def modules(folder):
        return {str(path.relative_to(folder)) for path in folder.rglob("*.py")}

    wanted = modules(source / "pycnn")
    for beside in ("kernels", "benchmarks"):
        wanted |= {f"{beside}/{module}" for module in modules(source / beside)}
        assert not (installed.folder / beside).exists()
    assert modules(installed.folder / "pycnn") == wanted | {"_build_info.py"}
    assert (installed.folder / f"pycnn-{pycnn.__version__}.dist-info" / "licenses").exists()


@pytest.mark.parametrize("how", ["an empty PATH", "CXX"])
def test_without_a_compiler(source, tmp_path, how):
    (tmp_path / "empty").mkdir()
    if how == "CXX":
        environment = {"CC": "/nonexistent", "CXX": "/nonexistent"}
        reason = "CXX is '/nonexistent', and there is no such program"
    else:
        environment = {"PATH": str(tmp_path / "empty"), "CXX": ""}
        reason = "no C++ compiler was found (c++, g++ or clang++ on PATH, or CXX)"
    stale = source / "pycnn" / Path(pycnn.config.native_status()[0].__file__).name
    stale.write_text("an extension of an earlier build")

    installed = Installation(source, **environment)
    assert installed.succeeded, installed.log
    assert f"pycnn: WITHOUT the C++ extension: {reason}" in installed.log
    assert not list(installed.folder.rglob("*.so"))
    code = """
import warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import pycnn
    y = pycnn.functional.conv2d(pycnn.ones(1, 1, 3, 3), pycnn.ones(1, 1, 2, 2))
    z = pycnn.functional.relu(y)
assert y.tolist() == [[[[4.0, 4.0], [4.0, 4.0]]]] == z.tolist()
print("; ".join(str(w.message) for w in caught if "reference provider" in str(w.message)))
pycnn.show_config()
"""
    warned, *report = installed.python(code).splitlines()
    assert warned.count(reason) == 1
    assert f"extension    none: {reason}" in report


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"PYCNN_NATIVE": "1", "CXX": "/nonexistent"},
            "PYCNN_NATIVE=1, but CXX is '/nonexistent', and there is no such program",
        ),
        ({"PYCNN_NATIVE": "maybe"}, "PYCNN_NATIVE is 'maybe'; accepted: auto, 1, 0"),
        ({"PYCNN_WERROR": "yes"}, "PYCNN_WERROR is 'yes'; accepted: 0, 1"),
        ({"PYCNN_CUDA": "yes"}, "PYCNN_CUDA is 'yes'; accepted: auto, 1, 0"),
        (
            {"PYCNN_CUDA": "1", "CUDACXX": "/nonexistent"},
            "PYCNN_CUDA=1, but CUDACXX is '/nonexistent', and there is no such program",
        ),
        (
            {"PYCNN_CUDA": "1", "PYCNN_NATIVE": "0"},
            "PYCNN_CUDA=1, but it was left out of this installation (PYCNN_NATIVE=0)",
        ),
        pytest.param(
            {"PYCNN_CUDA": "1", "PYCNN_CUDA_ARCHS": "80,hopper"},
            "PYCNN_CUDA_ARCHS is '80,hopper'; accepted: numbers of architectures, such as 80,90a",
            marks=pytest.mark.skipif(toolkit.find_nvcc()[0] is None, reason="nvcc was not found"),
        ),
    ],
)
def test_what_cannot_be_met_fails_the_installation(source, environment, message):
    installed = Installation(source, **environment)
    assert not installed.succeeded
    assert message in installed.log


def test_an_error_in_the_sources_fails_the_installation(source):
    broken = source / "csrc" / "cpu" / "threads.cpp"
    broken.write_text("#error broken on purpose\n" + broken.read_text())
    installed = Installation(source)
    assert not installed.succeeded
    assert "broken on purpose" in installed.log
    assert "PYCNN_NATIVE=0 installs without it" in installed.log

    installed = Installation(source, PYCNN_NATIVE="0")
    assert installed.succeeded, installed.log
    assert "it was left out of this installation (PYCNN_NATIVE=0)" in installed.log
    assert not list(installed.folder.rglob("*.so"))
    installed.python("import pycnn; pycnn.functional.relu(pycnn.ones(3))")  # without a warning
