# make demo and make test work as the first command on a machine with Python >= 3.10 and a C++
# compiler: each sets up the environment it needs. make help lists the rest.

PYTHON     ?= python3
VENV       ?= .venv
VENV_NEWER ?= .venv-newer
# The interpreter of make test-gpu: one that has CuPy, Triton and PyTorch for CUDA.
GPU_PYTHON ?= python3
# Test processes side by side.
JOBS       ?= 2

PY     = $(VENV)/bin/python
# One thread per test process: PyTorch's own threads would fight over the cores.
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest -n $(JOBS)

CPP           = -name '*.cpp' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh'
CSRC          = $(shell find csrc $(CPP))
CPP_SOURCES   = $(CSRC) $(shell find tests $(CPP))
BUILD_SOURCES = setup.py CMakeLists.txt csrc/cuda/CMakeLists.txt pyproject.toml constraints.txt \
                pycnn/study/toolkit.py $(CSRC)

.DELETE_ON_ERROR:
.PHONY: help setup demo test test-report test-slow test-newer test-sanitize test-full test-gpu cubins \
        bench bench-full lint format clean distclean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.installed ## the environment, .venv, with pycnn installed in it

demo: setup ## the main job: Xception on a photograph, checked against PyTorch; writes out/
	$(PY) -m pycnn demo

test: lint ## lint and every test that needs neither a GPU nor minutes
	$(PYTEST) -m "not gpu and not slow and not browser"

test-report: setup ## the report in headless Chromium, with screenshots in out/; needs the browser
	$(PY) -m pytest -m browser tests/study/report

test-slow: setup ## the slow tests
	$(PYTEST) -m "slow and not gpu"

test-newer: $(VENV_NEWER)/.installed ## the smoke tests with the newest numpy and triton
	OMP_NUM_THREADS=1 $(VENV_NEWER)/bin/python -m pytest -n $(JOBS) -m "smoke and not gpu"

test-sanitize: setup ## the C++ kernels' tests under the address, undefined and thread sanitizers
	$(PY) -m tests.sanitize address
	$(PY) -m tests.sanitize thread

cubins: setup ## the CUDA kernels built for GPUs and held to their budgets; needs nvcc, no GPU
	$(PY) -m tests.kernels.budgets.cuda
	$(PY) -m pytest -q tests/build/test_cuda_build.py

test-full: test test-newer test-sanitize cubins test-slow ## everything that needs no GPU or browser

test-gpu: ## the GPU tests, in the environment of GPU_PYTHON; builds the CUDA kernels
	PYCNN_CUDA=$(or $(PYCNN_CUDA),1) $(GPU_PYTHON) -m pip install -q --no-build-isolation --no-deps -e .
	$(GPU_PYTHON) -m pytest -m gpu

bench: setup ## times beside PyTorch's, some of every kind, and a report of them: out/bench, out/report
	$(PY) -m pycnn bench ops --suite smoke --out auto
	$(PY) -m pycnn bench nets --suite smoke --out auto
	$(PY) -m pycnn bench memory --suite smoke --out auto
	$(PY) -m pycnn report out/bench/ops.json out/bench/nets.json out/bench/memory.json

bench-full: setup ## all suites on an idle machine, hours: benchmarks/results and the tables in docs
	$(PY) -m pycnn bench ops --out auto
	$(PY) -m pycnn bench nets --out auto
	$(PY) -m pycnn bench memory --out auto
	$(PY) -m pycnn report --readme

lint: setup ## ruff, clang-format and mypy
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/clang-format --dry-run --Werror $(CPP_SOURCES)
	$(PY) -m mypy

format: setup ## lay out the sources as lint wants them
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .
	$(VENV)/bin/clang-format -i $(CPP_SOURCES)

clean: ## remove what a build, a test or the demo left
	rm -rf build dist out *.egg-info .mypy_cache .pytest_cache .ruff_cache
	rm -f pycnn/*.so pycnn/_build_info.py $(VENV)/.installed $(VENV_NEWER)/.installed
	find pycnn kernels benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove the environments
	rm -rf $(VENV) $(VENV_NEWER)

# --- environments ---------------------------------------------------------------------------------

# $(call install,environment,pip options): the build tools, PyTorch, then pycnn and its test tools.
#
# PyTorch comes first, in its CPU build where pip's indexes have one, so that nothing after it pulls
# another; torchvision (the release that goes with it) comes without its requirements, for the same
# reason.
define install
	$(1)/bin/python -m pip install -q $(2) setuptools wheel cmake ninja pybind11 numpy
	$(1)/bin/python -m pip install -q "torch==2.13.0+cpu" 2>$(1)/torch.log || { \
	    echo "pip's indexes hold no CPU build of PyTorch for this Python; taking the default build," ; \
	    echo "which on Linux brings several GB of CUDA libraries." ; \
	    $(1)/bin/python -m pip install torch==2.13.0 ; }
	$(1)/bin/python -m pip install -q --no-deps torchvision==0.28.0
	$(1)/bin/python -m pip install -q --no-build-isolation $(2) -e '.[test]'
	$(1)/bin/python -m compileall -q pycnn kernels benchmarks
	touch $@
endef

%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "$(PYTHON) is older than Python 3.10, which pycnn needs: make PYTHON=python3.x ..." ; \
	    exit 1 ; }
	$(PYTHON) -m venv $*

$(VENV)/.installed: $(BUILD_SOURCES) | $(VENV)/bin/python
	$(call install,$(VENV),-c constraints.txt)

$(VENV_NEWER)/.installed: $(BUILD_SOURCES) | $(VENV_NEWER)/bin/python
	$(call install,$(VENV_NEWER),)
