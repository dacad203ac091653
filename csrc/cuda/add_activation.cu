#include "cuda/add_activation.cuh"

#include "common/dtypes.h"
#include "cuda/launch.cuh"
#include "primitives/add_activation.h"

namespace pycnn::cuda {

void add_activation(const ArrayView& a, const ArrayView& b, const ArrayView& out,
                    Activation activation) {
    if (out.numel() == 0) return;
    with_float_dtype(out.dtype, [&](auto t) {
        using T = decltype(t);
        AddActivation<T> p{static_cast<const T*>(a.data), static_cast<const T*>(b.data),
                           static_cast<T*>(out.data), activation,
                           walk_of<3>(out, {out.strides, a.strides, b.strides})};
        if (p.walk.dense() && aligned_to_vectors({p.a, p.b, p.out})) {
            launch(add_activation_vector_kernel<T>,
                   blocks_for(p.walk.count, kAddThreads * kWidth<T>), dim3(kAddThreads), 0, p);
            return;
        }
        with_index(p.walk.count, [&](auto index) {
            launch(add_activation_strided_kernel<T, decltype(index)>,
                   blocks_for(p.walk.count, kAddThreads), dim3(kAddThreads), 0, p);
        });
    });
}

}  // namespace pycnn::cuda
