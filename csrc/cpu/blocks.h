// Blocks: pieces of strided arrays of any dtype, copied into dense workspaces of the type that a
// kernel computes in, and back.
#pragma once

#include "common/array.h"
#include "primitives/builds.h"

namespace pycnn {

// Copies an array of sizes[0..axes), the last innermost, from strided memory to dense memory, or
// from dense to strided; strides are in elements. Numbers convert as in C, halves round to nearest
// even, integers wrap, and a bool is whether the number is not 0.
using Gather = void (*)(const void* from, const int64_t* strides, const int64_t* sizes, int axes,
                        void* to);
using Scatter = void (*)(const void* from, void* to, const int64_t* strides, const int64_t* sizes,
                         int axes);

// To and from the types kernels compute in: float, double, int64_t, and uint8_t for masks.
PYCNN_PER_BUILD(template <class T> Gather gather_to(DType from);
                template <class T> Scatter scatter_from(DType to);)

}  // namespace pycnn
