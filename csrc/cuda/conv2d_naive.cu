#include "cuda/conv2d_naive.cuh"

#include "common/dtypes.h"
#include "cuda/conv2d.h"
#include "cuda/launch.cuh"

namespace pycnn::cuda {
namespace {

template <class T>
Conv2dNaive<T> params_of(const Conv2dParams& g, const ArrayView& a, const ArrayView& b,
                         const ArrayView& out, const EpilogueView& epilogue) {
    Conv2dNaive<T> p{};
    p.a = static_cast<const T*>(a.data);
    p.b = static_cast<const T*>(b.data);
    p.out = static_cast<T*>(out.data);
    p.count = out.numel();
    for (int i = 0; i < 4; ++i) {
        p.a_steps[i] = a.strides[i], p.b_steps[i] = b.strides[i];
        p.out_steps[i] = out.strides[i];
        p.sizes[i] = out.shape[i];
        if (p.count < int64_t{1} << 31) p.divisions[i] = Division(out.shape[i]);
    }
    p.g = g;
    p.epilogue = epilogue_of<T>(epilogue);
    return p;
}

template <class T>
void run(void (*narrow)(Conv2dNaive<T>), void (*wide)(Conv2dNaive<T>), const Conv2dNaive<T>& p) {
    launch(p.count < int64_t{1} << 31 ? narrow : wide, blocks_for(p.count, kNaiveThreads),
           dim3(kNaiveThreads), 0, p);
}

}  // namespace

void conv2d_fprop_naive(const Conv2dParams& g, const ArrayView& x, const ArrayView& w,
                        const ArrayView& y, const EpilogueView& epilogue) {
    with_float_dtype(y.dtype, [&](auto t) {
        using T = decltype(t);
        run(conv2d_fprop_naive_kernel<T, uint32_t>, conv2d_fprop_naive_kernel<T, uint64_t>,
            params_of<T>(g, x, w, y, epilogue));
    });
}

void conv2d_dgrad_naive(const Conv2dParams& g, const ArrayView& dy, const ArrayView& w,
                        const ArrayView& dx, const EpilogueView& epilogue) {
    with_float_dtype(dx.dtype, [&](auto t) {
        using T = decltype(t);
        run(conv2d_dgrad_naive_kernel<T, uint32_t>, conv2d_dgrad_naive_kernel<T, uint64_t>,
            params_of<T>(g, dy, w, dx, epilogue));
    });
}

void conv2d_wgrad_naive(const Conv2dParams& g, const ArrayView& x, const ArrayView& dy,
                        const ArrayView& dw, const EpilogueView&) {
    with_float_dtype(dw.dtype, [&](auto t) {
        using T = decltype(t);
        run(conv2d_wgrad_naive_kernel<T, uint32_t>, conv2d_wgrad_naive_kernel<T, uint64_t>,
            params_of<T>(g, x, dy, dw, {}));
    });
}

}  // namespace pycnn::cuda
