// Says with which instruction set this file was compiled: it is compiled once for each, with
// PYCNN_ISA set to the namespace, as the kernel families beside it are.
#include "cpu/isa.h"

namespace pycnn::PYCNN_ISA {

#define PYCNN_TEXT_OF(x) #x
#define PYCNN_TEXT(x) PYCNN_TEXT_OF(x)

IsaBuild isa_build() {
    IsaBuild build{PYCNN_TEXT(PYCNN_ISA), 1, false};
#if defined(__AVX512F__)
    build.float_lanes = 16;
#elif defined(__AVX2__)
    build.float_lanes = 8;
#elif defined(__SSE2__) || defined(__ARM_NEON)
    build.float_lanes = 4;
#endif
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
    build.fma = true;
#endif
    return build;
}

}  // namespace pycnn::PYCNN_ISA
