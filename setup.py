"""Builds pycnn: setuptools for the Python, CMake for the C++ extension. Metadata: pyproject.toml.

Without a C++ compiler the extension is left out, pycnn runs on its reference provider, and
pycnn.show_config() says why. With one, an error in the build is an error of the installation.

    PYCNN_NATIVE=auto   build the extension if the machine has what that takes (the default)
    PYCNN_NATIVE=1      build it or fail
    PYCNN_NATIVE=0      leave it out
    PYCNN_WERROR=1      compiler warnings are errors
    PYCNN_ISAS=avx512   build kernels for these instruction sets and the baseline only
    PYCNN_SANITIZE=...  build with sanitizers: address,undefined or thread
    PYCNN_BUILD_TYPE=.. CMake's build type, Release where it is empty
    PYCNN_MODULES=...   build these modules of it only: _native,_emulated
"""

import importlib.util
import os
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

        if state == "built":
            info = self.build_with_cmake()
        else:
            print(f"pycnn: WITHOUT the C++ extension: {reason}", file=sys.stderr, flush=True)
            info = {"COMPILER": None, "CMAKE": None}
            self.remove_earlier_extensions()
            self.extensions = []
        super().run()
        self.write_build_info({"NATIVE": state, "REASON": reason or "", **info})

    def build_with_cmake(self):
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
        ]
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
        return {
            "COMPILER": first_line([*compiler, "--version"]),
            "CMAKE": first_line([cmake, "--version"]),
        }

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
                "PYCNN_NATIVE=0 installs without it"
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

    def remove_earlier_extensions(self):
        for ext in self.extensions:
            name = Path(self.get_ext_filename(ext.name)).name
            (self.package_folder() / name).unlink(missing_ok=True)

    def write_build_info(self, info):
        lines = ['"""Written by setup.py: how this pycnn was built."""', ""]
        lines += [f"{name} = {value!r}" for name, value in info.items()]
        lines += [f"PYTHON = {sys.implementation.cache_tag!r}", ""]
        write_atomically(self.package_folder() / "_build_info.py", "\n".join(lines))


setup(
    packages=["pycnn", *(f"pycnn.{name}" for name in find_packages("pycnn")), "pycnn.kernels"],
    package_dir={"pycnn": "pycnn", "pycnn.kernels": "kernels"},
    package_data={
        "pycnn": [f"**/*.{kind}" for kind in ("csv", "html", "jpg", "json", "png", "txt")]
        + ["py.typed"],
        "pycnn.kernels": ["*.json"],
    },
    include_package_data=False,
    ext_modules=[
        Extension("pycnn._native", sources=[]),
        Extension("pycnn._emulated", sources=[]),
    ],
    cmdclass={"build_ext": BuildExtensions},
)
