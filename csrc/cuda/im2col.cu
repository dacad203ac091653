#include "cuda/im2col.cuh"

#include "common/dtypes.h"
#include "cuda/im2col.h"
#include "cuda/launch.cuh"
#include "primitives/im2col.h"

namespace pycnn::cuda {
namespace {

template <class F>
void with_counter(bool narrow, F&& function) {
    if (narrow)
        function(int32_t{});
    else
        function(int64_t{});
}

template <class Bits, int N, class Int>
void unfold(const Conv2dParams& g, const ArrayView& x, const ArrayView& columns) {
    const int64_t chunks = (g.P * g.Q + N - 1) / N, items = g.N * g.C * chunks;
    Im2col<Bits, Int> p{};
    p.x = static_cast<const Bits*>(x.data);
    p.columns = static_cast<Bits*>(columns.data);
    std::copy_n(x.strides, 4, p.x_steps);
    std::copy_n(columns.strides, 3, p.steps);
    p.items = static_cast<Int>(items);
    p.chunks = Divisor<Int>(chunks), p.width = Divisor<Int>(g.Q), p.plane = Divisor<Int>(g.C);
    p.h = rows_axis<Int>(g, false), p.w = columns_axis<Int>(g, false);
    launch(im2col_kernel<Bits, N, Int>, blocks_for(items, kColumnsThreads), dim3(kColumnsThreads),
           0, p);
}

template <class Bits>
void unfold(const Conv2dParams& g, const ArrayView& x, const ArrayView& columns) {
    constexpr int N = kWidth<Bits>;
    const bool narrow = counts_in_32_bits(g) && g.N * g.C * g.P * g.Q < int64_t{1} << 31;
    if (!narrow) return unfold<Bits, 1, int64_t>(g, x, columns);
    const bool vectors = g.P * g.Q % N == 0 && (columns.strides[2] == 1) &&
                         columns.strides[1] % N == 0 && columns.strides[0] % N == 0 &&
                         aligned_to_vectors({columns.data});
    if (vectors) return unfold<Bits, N, int32_t>(g, x, columns);
    unfold<Bits, 1, int32_t>(g, x, columns);
}

template <class T, class C>
void fold(const Conv2dParams& g, const ArrayView& columns, const ArrayView& x,
          const EpilogueView& epilogue) {
    const int64_t items = x.numel();
    if (items == 0) return;
    with_counter(counts_in_32_bits(g) && items < int64_t{1} << 31, [&](auto int_) {
        using Int = decltype(int_);
        Col2im<T, C, Int> p{};
        p.columns = static_cast<const C*>(columns.data);
        p.x = static_cast<T*>(x.data);
        std::copy_n(columns.strides, 3, p.steps);
        std::copy_n(x.strides, 4, p.x_steps);
        p.items = static_cast<Int>(items);
        p.height = Divisor<Int>(g.H), p.width = Divisor<Int>(g.W), p.channels = Divisor<Int>(g.C);
        p.columns_width = static_cast<Int>(g.Q);
        p.h = rows_axis<Int>(g, true), p.w = columns_axis<Int>(g, true);
        p.epilogue = epilogue_of<T>(epilogue);
        launch(col2im_kernel<T, C, Int>, blocks_for(items, kColumnsThreads), dim3(kColumnsThreads),
               0, p);
    });
}

}  // namespace

void im2col(const Conv2dParams& g, const ArrayView& x, const ArrayView& columns) {
    if (columns.numel() == 0) return;
    switch (info(x.dtype).bytes) {
        case 2: return unfold<uint16_t>(g, x, columns);
        case 4: return unfold<uint32_t>(g, x, columns);
        default: return unfold<uint64_t>(g, x, columns);
    }
}

void col2im(const Conv2dParams& g, const ArrayView& columns, const ArrayView& x) {
    with_float_dtype(x.dtype, [&](auto t) { fold<decltype(t), decltype(t)>(g, columns, x, {}); });
}

void col2im_sums(const Conv2dParams& g, const ArrayView& columns, const ArrayView& x,
                 const EpilogueView& epilogue) {
    with_float_dtype(x.dtype, [&](auto t) {
        fold<decltype(t), Accumulation<decltype(t)>>(g, columns, x, epilogue);
    });
}

}  // namespace pycnn::cuda
