#include "cpu/isa.h"

#include <atomic>
#include <cstdlib>

#include "common/checks.h"

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace pycnn {

namespace baseline {
IsaBuild isa_build();
}
#ifdef PYCNN_HAS_AVX2
namespace avx2 {
IsaBuild isa_build();
}
#endif
#ifdef PYCNN_HAS_AVX512
namespace avx512 {
IsaBuild isa_build();
}
#endif

namespace {

#if defined(__x86_64__) || defined(__i386__)
// XCR0: which registers the operating system saves on a context switch.
unsigned saved_registers() {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

Isa machine_isa() {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return Isa::baseline;
    const unsigned fma_osxsave_avx_f16c = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29;
    if ((c & fma_osxsave_avx_f16c) != fma_osxsave_avx_f16c) return Isa::baseline;

    const unsigned saved = saved_registers();
    const unsigned xmm_ymm = 0x6, opmask_zmm = 0xe0;
    if ((saved & xmm_ymm) != xmm_ymm) return Isa::baseline;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & 1u << 5)) return Isa::baseline;

    const unsigned f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    if ((b & f_dq_bw_vl) != f_dq_bw_vl || (saved & opmask_zmm) != opmask_zmm) return Isa::avx2;
    return Isa::avx512;
}
#else
Isa machine_isa() { return Isa::baseline; }
#endif

// The instruction sets that this build and this machine both have, slowest first.
std::vector<Isa> usable() {
    std::vector<Isa> result{Isa::baseline};
    const Isa best = machine_isa();
    (void)best;  // a build for another architecture has nothing above the baseline
#ifdef PYCNN_HAS_AVX2
    if (best >= Isa::avx2) result.push_back(Isa::avx2);
#endif
#ifdef PYCNN_HAS_AVX512
    if (best >= Isa::avx512) result.push_back(Isa::avx512);
#endif
    return result;
}

Isa find(const std::string& asked, const char* argument, const char* otherwise) {
    std::string names;
    for (Isa isa : usable()) {
        if (asked == isa_name(isa)) return isa;
        names += (names.empty() ? "" : ", ") + std::string(isa_name(isa));
    }
    throw ValueError(refusal(argument, "'" + asked + "'", names + otherwise));
}

Isa choose() {
    const char* asked = std::getenv("PYCNN_ISA");
    if (asked == nullptr || *asked == '\0') return usable().back();
    return find(asked, "PYCNN_ISA", " (or unset)");
}

constexpr int kNotChosen = -1;
std::atomic<int> chosen{kNotChosen};

}  // namespace

const char* isa_name(Isa isa) {
    switch (isa) {
        case Isa::avx512: return "avx512";
        case Isa::avx2: return "avx2";
        default: return "baseline";
    }
}

std::vector<IsaBuild> isa_builds() {
    std::vector<IsaBuild> builds{baseline::isa_build()};
#ifdef PYCNN_HAS_AVX2
    builds.push_back(avx2::isa_build());
#endif
#ifdef PYCNN_HAS_AVX512
    builds.push_back(avx512::isa_build());
#endif
    return builds;
}

Isa active_isa() {
    int isa = chosen.load(std::memory_order_relaxed);
    if (isa == kNotChosen) {
        isa = static_cast<int>(choose());
        chosen.store(isa, std::memory_order_relaxed);
    }
    return static_cast<Isa>(isa);
}

void set_isa(const std::string& name) {
    chosen.store(static_cast<int>(find(name, "the instruction set", "")),
                 std::memory_order_relaxed);
}

}  // namespace pycnn
