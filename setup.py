"""Builds pycnn: setuptools for the Python, CMake for the C++ extensions. Metadata: pyproject.toml.

Without a C++ compiler the extensions are left out, pycnn runs on its reference provider, and
pycnn.show_config() says why. With one, an error in the build is an error of the installation. The
CUDA kernels for GPUs, pycnn._cuda, are built where there is nvcc beside it, and a driver.

    PYCNN_NATIVE=auto   build the extensions if the machine has what that takes (the default)
    PYCNN_NATIVE=1      build them or fail
    PYCNN_NATIVE=0      leave them out
    PYCNN_CUDA=auto     build the CUDA kernels for GPUs if the machine has what that takes, and a
                        driver (the default)
    PYCNN_CUDA=1        build them or fail; a machine without a GPU can
    PYCNN_CUDA=0        leave them out
    PYCNN_CUDA_ARCHS=80,90a   the GPU architectures to build them for (these are the default)
    PYCNN_WERROR=1      compiler warnings are errors
    PYCNN_ISAS=avx512   build kernels for these instruction sets and the baseline only
    PYCNN_SANITIZE=...  build with sanitizers: address,undefined or thread
    PYCNN_BUILD_TYPE=.. CMake's build type, Release where it is empty
    PYCNN_MODULES=...   build these modules of it only: _native,_emulated
"""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent


def environment_choice(name, choices):
    """The value of an environment variable, the first choice where it is unset."""
    value = os.environ.get(name) or choices[0]
    if value not in choices:
        raise SystemExit(f"{name} is {value!r}; accepted: {', '.join(choices)}")
    return value


def find_program(name):
    """A program beside this Python (an environment's own), or else on PATH."""
    here = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    return shutil.which(name, path=here)


def find_compiler():
    """(the C++ compiler's command, "") or (None, why there is none)."""
    asked = os.environ.get("CXX")
    if asked:
        command = shlex.split(asked)
        if shutil.which(command[0]):
            return command, ""
        return None, f"CXX is {asked!r}, and there is no such program"
    for name in ("c++", "g++", "clang++"):
        if shutil.which(name):
            return [shutil.which(name)], ""
    return None, "no C++ compiler was found (c++, g++ or clang++ on PATH, or CXX)"


def missing_prerequisite():
    """Why the extension cannot be built here, or None."""
    compiler, reason = find_compiler()
    if compiler is None:
        return reason
    if not find_program("cmake"):
        return "CMake was not found (pip install cmake)"
    for name in ("pybind11", "numpy"):
        if importlib.util.find_spec(name) is None:
            return f"{name} was not found (pip install {name})"
    headers = sysconfig.get_path("include")
    if not Path(headers, "Python.h").exists():
        return f"Python's C headers were not found (no Python.h in {headers})"
    return None


def load_toolkit():
    """pycnn/study/toolkit.py, of a pycnn that cannot be imported yet."""
    path = ROOT / "pycnn" / "study" / "toolkit.py"
    spec = importlib.util.spec_from_file_location("pycnn_toolkit", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


toolkit = load_toolkit()


def cuda_archs():
    """The architectures of PYCNN_CUDA_ARCHS, as CMake takes them."""
    text = os.environ.get("PYCNN_CUDA_ARCHS") or "80;90a"
    archs = [arch.strip() for arch in re.split("[,;]", text) if arch.strip()]
    if not archs or not all(re.fullmatch(r"\d+[af]?", arch) for arch in archs):
        raise SystemExit(
            f"PYCNN_CUDA_ARCHS is {text!r}; accepted: numbers of architectures, such as 80,90a"
        )
    return archs


def plan_cuda(native, why_no_native):
    """(state, reason) of pycnn._cuda: built, skipped or off. `native` is the state of the rest."""
    wanted = environment_choice("PYCNN_CUDA", ("auto", "1", "0"))
    if wanted == "0":
        return "off", "it was left out of this installation (PYCNN_CUDA=0)"
    if native != "built":
        reason = why_no_native
    elif os.environ.get("PYCNN_SANITIZE"):
        reason = "sanitizers are for the code of the CPU (PYCNN_SANITIZE)"
    else:
        reason = toolkit.find_nvcc()[1]
    if wanted == "1" and reason:
        raise SystemExit(f"PYCNN_CUDA=1, but {reason}")
    if wanted == "auto" and not reason and not toolkit.has_driver():
        reason = (
            "NVIDIA's driver was not found (neither nvidia-smi nor libcuda.so.1); "
            "PYCNN_CUDA=1 builds without it"
        )
    return ("skipped", reason) if reason else ("built", "")


def first_line(command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")[0]


def write_atomically(path, text):
    """Replaces a file in one step, so that a running Python never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


class BuildExtensions(build_ext):
    """Builds all extensions in one CMake run and records in pycnn/_build_info.py what was built."""

    def run(self):
        wanted = environment_choice("PYCNN_NATIVE", ("auto", "1", "0"))
        reason = missing_prerequisite()
        if wanted == "1" and reason:
            raise SystemExit(f"PYCNN_NATIVE=1, but {reason}")
        if wanted == "0":
            state, reason = "off", "it was left out of this installation (PYCNN_NATIVE=0)"
        else:
            state = "skipped" if reason else "built"

        cuda, why_no_cuda = plan_cuda(state, reason)

        info = {"COMPILER": None, "CMAKE": None, "NVCC": None, "CUDA_ARCHS": []}
        if state == "built":
            self.leave_out(() if cuda == "built" else ("_cuda",))
            info |= self.build_with_cmake(cuda == "built")
        else:
            print(f"pycnn: WITHOUT the C++ extension: {reason}", file=sys.stderr, flush=True)
            self.leave_out(("_native", "_emulated", "_cuda"))
        super().run()
        states = {"NATIVE": state, "REASON": reason or ""}
        states |= {"CUDA": cuda, "CUDA_REASON": why_no_cuda}
        self.write_build_info(states | info)

    def build_with_cmake(self, with_cuda):
        compiler, _ = find_compiler()
        cmake = find_program("cmake")
        # In build/, not in setuptools' temporary folder: the next build compiles only what changed.
        self.cmake_dir = ROOT / "build" / f"cmake-{sys.implementation.cache_tag}"
        configure = [
            cmake,
            f"-S{ROOT}",
            f"-B{self.cmake_dir}",
            f"-DPython_EXECUTABLE={sys.executable}",
            f"-Dpybind11_DIR={self.pybind11_cmake_dir()}",
            f"-DCMAKE_CXX_COMPILER={';'.join([shutil.which(compiler[0]), *compiler[1:]])}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={self.cmake_dir / 'lib'}",
            f"-DPYCNN_WERROR={environment_choice('PYCNN_WERROR', ('0', '1'))}",
            f"-DPYCNN_ISAS={os.environ.get('PYCNN_ISAS', '').replace(',', ';')}",
            f"-DPYCNN_SANITIZE={os.environ.get('PYCNN_SANITIZE', '')}",
            f"-DCMAKE_BUILD_TYPE={os.environ.get('PYCNN_BUILD_TYPE', '')}",
            f"-DPYCNN_CUDA={'ON' if with_cuda else 'OFF'}",
        ]
        info = {
            "COMPILER": first_line([*compiler, "--version"]),
            "CMAKE": first_line([cmake, "--version"]),
        }
        if with_cuda:
            nvcc, _ = toolkit.find_nvcc()
            archs = cuda_archs()
            configure += [f"-DCMAKE_CUDA_COMPILER={nvcc}", f"-DPYCNN_CUDA_ARCHS={';'.join(archs)}"]
            info |= {"NVCC": f"nvcc {toolkit.nvcc_version(nvcc)}", "CUDA_ARCHS": archs}
        if find_program("ninja"):
            configure += ["-GNinja", f"-DCMAKE_MAKE_PROGRAM={find_program('ninja')}"]
        jobs = str(self.parallel or os.cpu_count() or 1)
        self.cmake_run(configure)
        chosen = os.environ.get("PYCNN_MODULES", "")
        if chosen:
            modules = {f"pycnn.{name}" for name in chosen.split(",")}
            self.extensions = [ext for ext in self.extensions if ext.name in modules]
        targets = [ext.name.removeprefix("pycnn.") for ext in self.extensions]
        self.cmake_run(
            [cmake, "--build", str(self.cmake_dir), "--parallel", jobs, "--target", *targets]
        )
        return info

    @staticmethod
    def pybind11_cmake_dir():
        import pybind11

        return pybind11.get_cmake_dir()

    @staticmethod
    def cmake_run(command):
        print("pycnn:", shlex.join(command), flush=True)
        if subprocess.run(command, check=False).returncode != 0:
            raise SystemExit(
                "pycnn: the C++ extension did not build (the compiler's messages are above); "
                "PYCNN_NATIVE=0 installs without it, PYCNN_CUDA=0 without the kernels for GPUs"
            )

    def build_extension(self, ext):
        """Moves what CMake built to where setuptools wants it."""
        target = Path(self.get_ext_fullpath(ext.name))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.cmake_dir / "lib" / target.name, target)

    def package_folder(self):
        """pycnn/ in the source tree for an editable installation, in the build otherwise."""
        if self.inplace:
            return Path(self.get_finalized_command("build_py").get_package_dir("pycnn"))
        return Path(self.build_lib, "pycnn")

    def leave_out(self, names):
        """Builds no extension of these names, and removes what an earlier build left of them."""
        for name in names:
            file = Path(self.get_ext_filename(f"pycnn.{name}")).name
            (self.package_folder() / file).unlink(missing_ok=True)
        unwanted = [f"pycnn.{name}" for name in names]
        self.extensions = [ext for ext in self.extensions if ext.name not in unwanted]

    def write_build_info(self, info):
        lines = ['"""Written by setup.py: how this pycnn was built."""', ""]
        lines += [f"{name} = {value!r}" for name, value in info.items()]
        lines += [f"PYTHON = {sys.implementation.cache_tag!r}", ""]
        write_atomically(self.package_folder() / "_build_info.py", "\n".join(lines))


# packages of pycnn whose folders stand beside it
ELSEWHERE = {"pycnn.kernels": "kernels", "pycnn.benchmarks": "benchmarks"}

setup(
    packages=["pycnn", *(f"pycnn.{name}" for name in find_packages("pycnn")), *ELSEWHERE],
    package_dir={"pycnn": "pycnn", **ELSEWHERE},
    package_data={
        "pycnn": [
            f"**/*.{kind}" for kind in ("css", "csv", "html", "jpg", "js", "json", "png", "txt")
        ]
        + ["py.typed"],
        "pycnn.kernels": ["*.json"],
    },
    include_package_data=False,
    ext_modules=[
        Extension("pycnn._native", sources=[]),
        Extension("pycnn._emulated", sources=[]),
        Extension("pycnn._cuda", sources=[]),  # where PYCNN_CUDA wants it
    ],
    cmdclass={"build_ext": BuildExtensions},
)
