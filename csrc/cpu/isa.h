// Which instruction set the CPU kernels use.
//
// Every kernel family (csrc/cpu/<stem>.cpp) is compiled once per instruction set into a namespace
// of that name, pycnn::baseline, pycnn::avx2 and pycnn::avx512; active_isa() says which one to
// call.
#pragma once

#include <string>
#include <vector>

namespace pycnn {

enum class Isa { baseline, avx2, avx512 };

// What one of those compilations was allowed to use.
struct IsaBuild {
    const char* name;
    int float_lanes;  // float32 values in a vector register
    bool fma;
};

const char* isa_name(Isa isa);

// The instruction sets this extension holds kernels for, slowest first.
std::vector<IsaBuild> isa_builds();

// The best one that both this build and this machine (processor and operating system) have, or the
// one that PYCNN_ISA names, until set_isa; throws ValueError if PYCNN_ISA's cannot run here.
Isa active_isa();

// Throws ValueError unless `name` is that of an instruction set that can run here.
void set_isa(const std::string& name);

}  // namespace pycnn
