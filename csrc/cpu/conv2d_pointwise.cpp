// Convolution with 1x1 filters and no padding: a matrix product over the pixels.
//
// Computes   fprop y[n,k,p,q] = sum_c x[n, c, p*stride_h, q*stride_w] * w[k,c], and its gradients
// Arrays     channels-last: (N*P*Q, C) x (C, K), the pixels that a stride skips stepped over;
//            contiguous: for each image (K, C) x (C, P*Q). Inputs of either are read where they
//            lie, whatever the output's layout; halves and outputs of other layouts go through
//            copies
// Threads    cpu/gemm_core.cpp; contiguous images side by side
// Tiling     cpu/gemm_core.cpp
// Traffic    2*C*K FLOP for C + K elements of a pixel: 56x56x64 -> 256 in float32, 26 FLOP per byte
// Numerics   cpu/gemm_core.cpp; wgrad adds up pixels in the order n, p, q
// Refuses    filters larger than 1x1, padding, groups. A strided dgrad is a pixel shuffle with gaps
// Source     Lin, Chen and Yan 2014, arXiv:1312.4400
#include "cpu/conv2d.h"
#include "cpu/gemm_core.h"

namespace pycnn::PYCNN_ISA {
namespace {

void check_pointwise(const Conv2dParams& p) {
    if (p.R != 1 || p.S != 1 || p.G != 1 || p.top != 0 || p.left != 0 || p.bottom > 0 ||
        p.right > 0)
        throw ValueError(
            "geometry: the pointwise algorithm takes 1x1 filters without padding or "
            "groups");
}

// Images as T, where they lie or as a dense copy of the pixels that a stride leaves.
template <class T>
class Images {
  public:
    Images(const ArrayView& a, const Conv2dParams& p, bool strided) : view_(a) {
        view_.shape[2] = p.P, view_.shape[3] = p.Q;
        if (strided) view_.strides[2] *= p.stride_h, view_.strides[3] *= p.stride_w;
        if (a.dtype != DTypeOf<T>::value) {
            const bool last = view_.strides[1] == 1 || view_.shape[1] == 1;
            copy_ = Buffer<T>(view_.numel());
            const ArrayView dense = dense_view(copy_.data(), DTypeOf<T>::value, view_,
                                               last ? Layout::channels_last : Layout::contiguous);
            copy(view_, dense);
            view_ = dense;
        }
        if (view_.shape[1] == 1) view_.strides[1] = 1;
    }
    bool channels_last() const { return view_.strides[1] == 1; }
    const T* data(int64_t n = 0) const {
        return static_cast<const T*>(view_.data) + n * view_.strides[0];
    }
    Axis channels() const { return Axis::even(view_.strides[1]); }
    Axis pixels() const { return pixels_of(view_.shape[0]); }
    Axis pixels_of_one() const { return pixels_of(1); }

  private:
    Axis pixels_of(int64_t N) const {
        return Axis::pixels(N, view_.shape[2], view_.shape[3], view_.strides[0], view_.strides[2],
                            view_.strides[3]);
    }
    ArrayView view_;
    Buffer<T> copy_;
};

// A filter bank as a matrix: its channels and filters as axes.
template <class T>
struct Filters {
    explicit Filters(const ArrayView& w) : dense(w, Layout::contiguous), data(dense.data()) {
        filters = Axis::even(w.shape[1]), channels = Axis::even(1);
    }
    DenseInput<T> dense;
    const T* data;
    Axis filters, channels;
};

// out = epilogue(product over the channels of `in`), `depth` of them, `width` channels out. The
// matrix w has an axis along each.
template <class T>
void product(const Conv2dParams& p, const Images<T>& in, const T* w, const Axis& along_depth,
             const Axis& along_width, int64_t depth, int64_t width, const ArrayView& out,
             const EpilogueView& epilogue) {
    const int64_t pixels = p.P * p.Q;
    const bool last = is_channels_last(out) || (!is_contiguous(out) && in.channels_last());
    const Layout layout = last ? Layout::channels_last : Layout::contiguous;
    const DenseOutput<T> to(out, layout);
    const DenseEpilogue<T> e(epilogue, layout);
    Gemm<T> g{};
    g.K = depth;
    g.epilogue = e.epilogue;
    if (last) {
        g.M = p.N * pixels, g.N = width;
        g.a = in.data(), g.a_m = in.pixels(), g.a_k = in.channels();
        g.b = w, g.b_k = along_depth, g.b_n = along_width;
        g.c = to.data(), g.c_m = Axis::even(width);
        multiply(g);
    } else {
        g.M = width, g.N = pixels;
        g.a = w, g.a_m = along_width, g.a_k = along_depth;
        g.b_k = in.channels(), g.b_n = in.pixels_of_one();
        g.c_m = Axis::even(pixels);
        g.per_row = true;
        multiply_each(p.N, [&](int64_t n) {
            Gemm<T> one = g;
            const int64_t offset = n * width * pixels;
            one.b = in.data(n);
            one.c = to.data() + offset;
            if (one.epilogue.residual) one.epilogue.residual += offset;
            return one;
        });
    }
    to.finish();
}

template <class T>
void wgrad(const Conv2dParams& p, const ArrayView& x, const ArrayView& dy, const ArrayView& dw) {
    const Images<T> in(x, p, true), out(dy, p, false);
    const DenseOutput<T> to(dw, Layout::contiguous);
    Gemm<T> g{};
    g.M = p.K, g.N = p.C, g.K = p.N * p.P * p.Q;
    g.a = out.data(), g.a_m = out.channels(), g.a_k = out.pixels();
    g.b = in.data(), g.b_k = in.pixels(), g.b_n = in.channels();
    g.c = to.data(), g.c_m = Axis::even(p.C);
    multiply(g);
    to.finish();
}

}  // namespace

void conv2d_fprop_pointwise(const Conv2dParams& p, const ArrayView& x, const ArrayView& w,
                            const ArrayView& y, const EpilogueView& epilogue) {
    check_pointwise(p);
    with_accumulation(y.dtype, [&](auto t) {
        using T = decltype(t);
        const Filters<T> f(w);
        product<T>(p, Images<T>(x, p, true), f.data, f.channels, f.filters, p.C, p.K, y, epilogue);
    });
}

void conv2d_dgrad_pointwise(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w,
                            const ArrayView& dx, const EpilogueView& epilogue) {
    check_pointwise(p);
    if (p.P != p.H || p.Q != p.W) return conv2d_dgrad_pixel_shuffle(p, dy, w, dx, epilogue);
    with_accumulation(dx.dtype, [&](auto t) {
        using T = decltype(t);
        const Filters<T> f(w);
        product<T>(p, Images<T>(dy, p, false), f.data, f.filters, f.channels, p.K, p.C, dx,
                   epilogue);
    });
}

void conv2d_wgrad_pointwise(const Conv2dParams& p, const ArrayView& x, const ArrayView& dy,
                            const ArrayView& dw, const EpilogueView&) {
    check_pointwise(p);
    with_accumulation(dw.dtype, [&](auto t) { wgrad<decltype(t)>(p, x, dy, dw); });
}

}  // namespace pycnn::PYCNN_ISA
