#include "cuda/dropout.cuh"

#include "common/dtypes.h"
#include "cuda/launch.cuh"
#include "primitives/dropout.h"

namespace pycnn::cuda {
namespace {

// Whether the walk is one of vectors whose masks begin at a multiple of `grain`.
bool in_vectors(const Walk<3>& w, int width, int64_t step_of_mask, int grain) {
    const int last = w.axes - 1;
    bool whole = w.count < int64_t{1} << 31 && w.sizes[last] % width == 0 &&
                 w.steps[0][last] == 1 && w.steps[1][last] == 1 && w.steps[2][last] == step_of_mask;
    for (int axis = 0; axis < last; ++axis)
        whole = whole && w.steps[0][axis] % width == 0 && w.steps[1][axis] % width == 0 &&
                w.steps[2][axis] % grain == 0;
    return whole;
}

void count_in_vectors(Walk<3>& w, int width) {
    const int last = w.axes - 1;
    w.count /= width;
    w.sizes[last] /= width;
    w.divisions[last] = Division(std::max<int64_t>(w.sizes[last], 1));
    for (auto& steps : w.steps) steps[last] *= width;
}

}  // namespace

void dropout(const ArrayView& x, const ArrayView& out, const DropoutMask& mask) {
    if (out.numel() == 0) return;
    int64_t indices[kMaxDims]{}, step = 1;
    for (int axis = mask.axes; axis-- > 0; step *= x.shape[axis]) indices[axis] = step;
    with_float_dtype(out.dtype, [&](auto t) {
        using T = decltype(t);
        constexpr int width = kDropoutWidth<T>;
        Dropout<T> p{static_cast<const T*>(x.data),
                     static_cast<T*>(out.data),
                     static_cast<const int64_t*>(mask.key.data),
                     mask.key.strides[0],
                     mask.threshold,
                     static_cast<Accumulation<T>>(mask.scale),
                     walk_of<3>(out, {out.strides, x.strides, indices})};
        const bool aligned = aligned_to_vectors({p.x, p.out});
        if (const bool fours = in_vectors(p.walk, width, 1, 4);
            aligned && (fours || in_vectors(p.walk, width, 0, 1))) {
            count_in_vectors(p.walk, width);
            launch(fours ? dropout_vector_kernel<T, Words::fours>
                         : dropout_vector_kernel<T, Words::one>,
                   blocks_for(p.walk.count, kDropoutThreads), dim3(kDropoutThreads), 0, p);
            return;
        }
        with_index(p.walk.count, [&](auto index) {
            launch(dropout_strided_kernel<T, decltype(index)>,
                   blocks_for(p.walk.count, kDropoutThreads), dim3(kDropoutThreads), 0, p);
        });
    });
}

}  // namespace pycnn::cuda
