"""Occupancy: NVIDIA's published examples, and its own calculator where CUDA is installed."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest

from pycnn.study import toolkit
from pycnn.study.occupancy import LIMITS, REGISTERS, RESERVED, limits_of, occupancy, waves


def test_known_kernels():
    # 2048 threads in blocks of 256 with 32 registers: an A100 and an H100 are full
    assert occupancy(80, 256, 32, 0)[:3] == (8, 64, 64)
    assert occupancy(80, 256, 32, 0).share == 1.0
    # 128 registers: 65,536 / (128 * 32) = 16 warps
    assert occupancy(90, 128, 128, 0) == (4, 16, 64, "registers")
    # 168 registers of 384 threads, a warp-specialised product on Hopper: one block
    assert occupancy(90, 384, 168, 200 * 1024)[:2] == (1, 12)
    # the most shared memory a block may have, and one byte more
    assert occupancy(80, 256, 32, 163 * 1024) == (1, 8, 64, "shared memory")
    assert occupancy(80, 256, 32, 163 * 1024 + 1).blocks == 0
    assert occupancy(90, 256, 32, 227 * 1024).blocks == 1
    # 48 KiB and what the system keeps: 100 / 49 on sm_86, 228 / 49 on sm_90
    assert [occupancy(arch, 128, 16, 48 * 1024).blocks for arch in (86, 90)] == [2, 4]
    # small blocks stop at their number
    assert [occupancy(arch, 32, 16, 0).blocks for arch in (80, 86, 89)] == [32, 16, 24]
    assert occupancy(80, 32, 16, 0).limit == "blocks"
    # registers come in multiples of 8 a thread, per quarter of the multiprocessor
    assert occupancy(80, 256, 65, 0).blocks == occupancy(80, 256, 72, 0).blocks == 3
    assert occupancy(80, 1024, 72, 0).blocks == 0


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="sm_35, whose limits are not known; accepted: sm_80"):
        limits_of(35)
    with pytest.raises(ValueError, match="threads: got 2048, expected 1 to 1024"):
        occupancy(90, 2048, 32, 0)
    with pytest.raises(ValueError, match="registers, shared: got 32, -1"):
        occupancy(90, 128, 32, -1)


def test_waves():
    assert waves((264,), 2, 132) == (264, 1.0, 1.0)
    assert waves((133,), 1, 132) == (133, 133 / 132, 133 / 264)
    assert waves((11, 3, 2), 1, 132).efficiency == 0.5
    with pytest.raises(ValueError, match="got 0 blocks"):
        waves((1,), 0, 132)


PROGRAM = """
#include <cstdio>
#include "cuda_occupancy.h"
int main() {
    int major, minor, threads, registers, warps, blocks, shared, reserved;
    while (std::scanf("%d %d %d %d %d %d %d %d", &major, &minor, &threads, &registers, &shared,
                      &warps, &blocks, &reserved) == 8) {
        cudaOccDeviceProp p;
        p.computeMajor = major, p.computeMinor = minor, p.maxThreadsPerBlock = 1024;
        p.maxThreadsPerMultiprocessor = 32 * warps, p.regsPerBlock = 65536;
        p.regsPerMultiprocessor = 65536, p.warpSize = 32, p.sharedMemPerBlock = 48 * 1024;
        p.sharedMemPerMultiprocessor = blocks * 1024, p.numSms = 100;
        p.sharedMemPerBlockOptin = (blocks - 1) * 1024, p.reservedSharedMemPerBlock = reserved;
        cudaOccFuncAttributes f;
        f.maxThreadsPerBlock = 1024, f.numRegs = registers, f.sharedSizeBytes = 0;
        f.partitionedGCConfig = PARTITIONED_GC_OFF;
        f.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
        f.maxDynamicSharedSizeBytes = p.sharedMemPerBlockOptin;
        cudaOccDeviceState s;
        cudaOccResult r;
        const int failed = cudaOccMaxActiveBlocksPerMultiprocessor(&r, &p, &f, &s, threads, shared);
        std::printf("%d\\n", failed ? -1 : r.activeBlocksPerMultiprocessor);
    }
}
"""


def test_nvidias_calculator_agrees(tmp_path):
    nvcc, reason = toolkit.find_nvcc()
    compiler = shutil.which("g++")
    if nvcc is None or compiler is None:
        pytest.skip(reason or "there is no g++")
    text = subprocess.run([nvcc, "--dryrun", "-E", "-x", "cu", "/dev/null"], capture_output=True,
                          text=True, check=False).stderr  # fmt: skip
    top = next((line[7:] for line in text.splitlines() if line.startswith("#$ TOP=")), "")
    folders = [Path(top) / "include", *(Path(top) / "targets").glob("*/include")]
    header = next((f for f in folders if (f / "cuda_occupancy.h").exists()), None)
    if header is None:
        pytest.skip("the CUDA toolkit here has no cuda_occupancy.h")
    (tmp_path / "main.cpp").write_text(PROGRAM)
    command = [compiler, f"-I{header}", "main.cpp", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    cases = list(
        itertools.product(
            LIMITS,
            (32, 33, 96, 128, 160, 256, 384, 512, 1024),
            (8, 16, 24, 32, 33, 40, 63, 64, 65, 72, 96, 127, 128, 168, 232, 255),
            (0, 1, 100, 8192, 16 * 1024, 33000, 48 * 1024, 99 * 1024, 100 * 1024, 200_000, 300_000),
        )
    )
    lines = [
        f"{arch // 10} {arch % 10} {threads} {registers} {shared} "
        f"{LIMITS[arch].warps} {LIMITS[arch].shared} {RESERVED}"
        for arch, threads, registers, shared in cases
    ]
    done = subprocess.run([str(tmp_path / "main")], input="\n".join(lines), capture_output=True,
                          text=True, check=True)  # fmt: skip
    theirs = [int(word) for word in done.stdout.split()]
    assert REGISTERS == 65536 and len(theirs) == len(cases) and max(theirs) > 16
    assert theirs == [occupancy(*case).blocks for case in cases]
