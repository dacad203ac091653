#include "cuda/max_unpool2d.cuh"

#include "primitives/max_unpool2d.h"

namespace pycnn::cuda {
namespace {

constexpr int64_t kMostMapped = int64_t{1} << 26;  // pixels of one workspace, or an image
constexpr int64_t kBlockPixels = 4096;             // of several planes in one block

// Calls function(Bits{}) with an integer of `bytes` bytes.
template <class F>
void with_bits(int64_t bytes, F&& function) {
    switch (bytes) {
        case 2: return function(uint16_t{});
        case 4: return function(uint32_t{});
        default: return function(uint64_t{});
    }
}

Division by(int64_t n) { return Division(std::max<int64_t>(n, 1)); }

int64_t pixels_of(const ArrayView& a) { return a.shape[2] * a.shape[3]; }

// ValueError if a kernel met an index outside the image; waits for it.
void check_indices(const Workspace<Outside>& outside, const ArrayView& large) {
    Outside found[2];
    download(found, outside.data(), 2);
    if (found[0] != 0)
        throw ValueError(refusal("an element of indices",
                                 std::to_string(static_cast<int64_t>(found[1])),
                                 "integers from 0 to " + std::to_string(pixels_of(large) - 1)));
}

template <class Bits>
MaxUnpool2d<Bits> params_of(const ArrayView& x, const ArrayView& indices, const ArrayView& y,
                            Outside* outside) {
    return {static_cast<const Bits*>(x.data),
            static_cast<const int64_t*>(indices.data),
            static_cast<Bits*>(y.data),
            nullptr,
            outside,
            image_steps(x),
            image_steps(indices),
            image_steps(y),
            {},
            {},
            by(x.shape[3]),
            by(y.shape[3]),
            static_cast<int>(x.shape[1]),
            static_cast<int>(pixels_of(x)),
            static_cast<int>(pixels_of(y))};
}

template <class Bits>
void fprop_planes(const ArrayView& x, const ArrayView& indices, const ArrayView& y,
                  Outside* outside) {
    const int64_t planes = x.shape[0] * x.shape[1], pixels = pixels_of(y);
    const int64_t most = std::max(pixels, pixels_of(x));
    const int64_t each =
        std::min(planes, std::max<int64_t>(kBlockPixels / std::max<int64_t>(most, 1), 1));
    const MaxUnpool2dPlanes<Bits> p{params_of<Bits>(x, indices, y, outside),
                                    planes,
                                    static_cast<int>(each),
                                    by(x.shape[1]),
                                    by(pixels_of(x)),
                                    by(pixels)};
    launch(max_unpool2d_fprop_planes_kernel<Bits>, blocks_for(planes, each), dim3(kUnpoolThreads),
           static_cast<size_t>(each * pixels) * sizeof(int), p);
}

template <class Bits>
void fprop_mapped(const ArrayView& x, const ArrayView& indices, const ArrayView& y,
                  Outside* outside) {
    const int64_t C = x.shape[1], pixels = pixels_of(y), elements = pixels_of(x);
    const bool inner = channels_inner(y);
    const int64_t most = std::max<int64_t>(std::max(pixels, elements) * C, 1),
                  images = std::max<int64_t>(kMostMapped / most, 1);
    auto p = params_of<Bits>(x, indices, y, outside);
    for (int64_t n = 0; n < x.shape[0]; n += images) {
        const int64_t some = std::min(images, x.shape[0] - n);
        const auto numbered = [&](const ArrayView& a) {
            return Pixels{static_cast<uint32_t>(some * C * pixels_of(a)), by(a.shape[2]),
                          by(a.shape[3]), by(C), inner};
        };
        p.x = static_cast<const Bits*>(x.data) + n * x.strides[0];
        p.indices = static_cast<const int64_t*>(indices.data) + n * indices.strides[0];
        p.y = static_cast<Bits*>(y.data) + n * y.strides[0];
        p.small = numbered(x);
        p.large = numbered(y);
        const Workspace<int> map(some * C * pixels);
        p.map = map.data();
        if (p.large.count > 0) fill_zero(p.map, p.large.count);
        if (p.small.count > 0)
            launch(max_unpool2d_fprop_find_kernel<Bits>, blocks_for(p.small.count, kUnpoolThreads),
                   dim3(kUnpoolThreads), 0, p);
        if (p.large.count > 0)
            launch(max_unpool2d_fprop_fill_kernel<Bits>, blocks_for(p.large.count, kUnpoolThreads),
                   dim3(kUnpoolThreads), 0, p);
    }
}

}  // namespace

void max_unpool2d_fprop(const ArrayView& x, const ArrayView& indices, const ArrayView& y) {
    const Workspace<Outside> outside(2);
    fill_zero(outside.data(), 2);
    each_fitting_part<3>({x, indices, y}, [&](const std::array<ArrayView, 3>& a) {
        const bool planes = !channels_inner(a[2]) && pixels_of(a[2]) <= kMapPixels &&
                            pixels_of(a[0]) <= int64_t{1} << 24 &&
                            a[0].shape[0] * a[0].shape[1] <= kMostItems;
        with_bits(info(a[0].dtype).bytes, [&](auto bits) {
            using Bits = decltype(bits);
            if (planes)
                fprop_planes<Bits>(a[0], a[1], a[2], outside.data());
            else
                fprop_mapped<Bits>(a[0], a[1], a[2], outside.data());
        });
    });
    check_indices(outside, y);
}

void max_unpool2d_dgrad(const ArrayView& dy, const ArrayView& indices, const ArrayView& dx) {
    const Workspace<Outside> outside(2);
    fill_zero(outside.data(), 2);
    each_fitting_part<3>({dy, indices, dx}, [&](const std::array<ArrayView, 3>& a) {
        with_bits(info(dx.dtype).bytes, [&](auto bits) {
            using Bits = decltype(bits);
            each_batch(dx.shape[0], dx.shape[2], dx.shape[3], a[2].shape[1], channels_inner(dx),
                       [&](int64_t n, const Pixels& pixels) {
                           const MaxUnpool2dDgrad<Bits> p{
                               static_cast<const Bits*>(a[0].data) + n * a[0].strides[0],
                               static_cast<const int64_t*>(a[1].data) + n * a[1].strides[0],
                               static_cast<Bits*>(a[2].data) + n * a[2].strides[0],
                               outside.data(),
                               image_steps(a[0]),
                               image_steps(a[1]),
                               image_steps(a[2]),
                               pixels,
                               by(dy.shape[3]),
                               static_cast<int>(pixels_of(dy))};
                           launch(max_unpool2d_dgrad_kernel<Bits>,
                                  blocks_for(pixels.count, kUnpoolThreads), dim3(kUnpoolThreads), 0,
                                  p);
                       });
        });
    });
    check_indices(outside, dy);
}

}  // namespace pycnn::cuda
