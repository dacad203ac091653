"""pycnn.config: what it reports, and how it tells a source tree from an installation."""

import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

import pycnn
from pycnn import array, config

ROOT = Path(pycnn.__file__).resolve().parent.parent


@pytest.fixture
def forgetful():
    """Lets config ask its questions anew, before and after."""
    cached = (config.extension_status, config.cuda_status, config.warn_without_native)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


@pytest.fixture
def without_native(forgetful, monkeypatch):
    """A pycnn whose extension cannot be imported; call it to say what setup.py recorded."""
    monkeypatch.setitem(sys.modules, "pycnn._native", None)

    def recorded(state, reason="", python=sys.implementation.cache_tag):
        info = SimpleNamespace(NATIVE=state, REASON=reason, PYTHON=python, CMAKE=None)
        monkeypatch.setattr(config, "_build_info", lambda: info if state else None)

    return recorded


@pytest.mark.smoke
def test_show_config_prints_every_row(capsys):
    pycnn.show_config()
    printed = capsys.readouterr().out
    rows = config.config_dict()
    for row in rows:
        assert f"\n{row}" in f"\n{printed}"
    assert [name for name, _, _ in rows["providers"]] == ["reference", "native", "triton", "cuda"]
    for name, available, note in rows["providers"]:
        assert f"  {name:<10} {'yes' if available else 'no':<4} {note}\n" in printed
    assert rows["pycnn"].startswith(pycnn.__version__)


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        (("skipped", "no C++ compiler was found"), "^no C\\+\\+ compiler was found$"),
        (("off", "it was left out"), "^it was left out$"),
        (("built",), "^it was built, but cannot be imported: "),
        (("built", "", "cpython-27"), "^it was built for cpython-27, not .*: reinstall pycnn$"),
        ((None,), "^it was never built: install pycnn"),
    ],
)
def test_the_report_says_why_the_extension_is_missing(without_native, recorded, reason, capsys):
    without_native(*recorded)
    module, why = config.native_status()
    assert module is None
    with pytest.raises(ValueError, match=reason):
        raise ValueError(why)
    pycnn.show_config()
    assert f"\nextension    none: {why}\n" in capsys.readouterr().out
    assert config.get_num_threads() == 1
    with pytest.raises(
        RuntimeError, match="threads are the native provider's, and it is missing: "
    ):
        config.set_num_threads(2)


def test_an_extension_of_another_version_is_not_used(forgetful, monkeypatch):
    other = SimpleNamespace(__file__=config.__file__, version=lambda: "0.0.9")
    monkeypatch.setitem(sys.modules, "pycnn._native", other)
    expected = f"it was built for pycnn 0.0.9, not {pycnn.__version__}: reinstall pycnn"
    assert config.native_status() == (None, expected)


@pytest.fixture
def made_up_cuda(forgetful, monkeypatch):
    """A pycnn with kernels for GPUs; call it to say what GPU there is."""
    monkeypatch.setattr(config, "_build_info", lambda: SimpleNamespace(
        NATIVE="built", REASON="", PYTHON=sys.implementation.cache_tag, CMAKE=None,
        CUDA="built", CUDA_REASON="", NVCC="nvcc 13.0", CUDA_ARCHS=["80", "90a"],
    ))  # fmt: skip
    module = SimpleNamespace(__file__=config.__file__, version=lambda: pycnn.__version__)
    monkeypatch.setitem(sys.modules, "pycnn._cuda", module)

    def gpu(capability, status=None):
        device = lambda: SimpleNamespace(compute_capability=capability, id=0)
        cupy = SimpleNamespace(cuda=SimpleNamespace(Device=device))
        monkeypatch.setattr(array, "gpu_status", lambda: status)
        monkeypatch.setattr(array, "import_cupy", lambda: cupy)
        monkeypatch.setattr(array, "gpu_name", lambda: "made up")
        return module

    return gpu


def test_kernels_for_gpus_count_where_a_gpu_answers(made_up_cuda):
    module = made_up_cuda("90")
    assert config.cuda_status() == (module, "")
    assert config.cuda_modules()["cuda"] is module
    assert config.config_dict()["cuda"] == "built by nvcc 13.0 for sm_80, sm_90a"


@pytest.mark.parametrize(
    ("capability", "status", "reason"),
    [
        ("90", "cupy is not installed", "cupy is not installed"),
        ("75", None, "the GPU is sm_75; the CUDA kernels are for sm_80 on"),
    ],
)
def test_kernels_for_gpus_that_cannot_run_say_why(made_up_cuda, capability, status, reason):
    made_up_cuda(capability, status)
    assert config.cuda_status() == (None, reason)
    assert "cuda" not in config.cuda_modules()
    assert config.config_dict()["cuda"].endswith(f"for sm_80, sm_90a, not usable: {reason}")


def test_kernels_for_gpus_that_were_not_built_say_why(made_up_cuda, monkeypatch):
    made_up_cuda("90")
    monkeypatch.setitem(sys.modules, "pycnn._cuda", None)
    info = SimpleNamespace(**vars(config._build_info()) | {"CUDA_REASON": "nvcc was not found"})
    monkeypatch.setattr(config, "_build_info", lambda: info)
    assert config.cuda_status() == (None, "nvcc was not found")
    assert config.config_dict()["cuda"] == "no kernels for GPUs: nvcc was not found"


def test_a_missing_compiler_is_warned_of_once(without_native):
    without_native("skipped", "no C++ compiler was found")
    with pytest.warns(RuntimeWarning, match="reference provider.*no C\\+\\+ compiler was found"):
        config.warn_without_native()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config.warn_without_native()


def test_who_left_the_extension_out_is_not_warned(without_native):
    without_native("off", "it was left out")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config.warn_without_native()


def test_a_wrong_setting_is_reported_and_not_raised(forgetful, monkeypatch):
    def refuse():
        raise ValueError("PYCNN_ISA is 'mmx'; accepted: baseline")

    native = SimpleNamespace(
        __file__=config.__file__,
        version=lambda: pycnn.__version__,
        compiler=lambda: "GCC",
        build_flags=lambda: "-O3",
        isa=refuse,
        isa_builds=lambda: {"baseline": {}},
        get_num_threads=lambda: 3,
    )
    monkeypatch.setitem(sys.modules, "pycnn._native", native)
    monkeypatch.setenv("PYCNN_ISA", "mmx")
    rows = config.config_dict()
    assert rows["isa"] == "error: PYCNN_ISA is 'mmx'; accepted: baseline (built for baseline)"
    assert "PYCNN_ISA=mmx" in rows["environment"]
    assert rows["threads"] == "3"


# --- source tree or installation ------------------------------------------------------------------


def run_python(folder, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, timeout=120
    )
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.mark.parametrize("isolation", [[], ["-S"]], ids=["beside an installation", "alone"])
def test_a_source_tree_that_is_not_installed_says_so(tmp_path, isolation):
    (tmp_path / "pycnn").mkdir()
    (tmp_path / "kernels").mkdir()
    shutil.copy(ROOT / "pycnn" / "config.py", tmp_path / "pycnn")
    shutil.copy(Path(pycnn.kernels.__file__), tmp_path / "kernels")
    check = "from . import config\nconfig.require_installed()\n"
    (tmp_path / "pycnn" / "__init__.py").write_text(check)
    status, output = run_python(tmp_path, *isolation, "-c", "import pycnn")
    assert status == 1
    last = output.splitlines()[-1]
    assert last.startswith(f"ImportError: {tmp_path / 'pycnn'} is a source tree that is not")

    shutil.move(tmp_path / "kernels", tmp_path / "pycnn" / "kernels")  # as an installation has it
    assert run_python(tmp_path, *isolation, "-c", "import pycnn") == (0, "")


def test_the_kernels_have_one_name(tmp_path):
    shutil.copytree(Path(pycnn.kernels.__file__).parent, tmp_path / "kernels")
    status, output = run_python(tmp_path, "-c", "import kernels")
    assert status == 1
    assert output.splitlines()[-1].startswith("ImportError: the kernels were imported as 'kernels'")


def test_the_check_for_an_installation_is_quick():
    def seconds():
        start = time.perf_counter()
        config.require_installed()
        return time.perf_counter() - start

    assert min(seconds() for _ in range(20)) < 1e-3
