#include "cuda/resize2d.cuh"

#include <cstring>

#include "common/dtypes.h"
#include "primitives/resize2d.h"

namespace pycnn::cuda {
namespace {

constexpr int kGroup = 4;               // channels of a thread that are not a vector
constexpr double kMostDirectTaps = 25;  // of an output

// The tables of both axes on the device, in one copy.
template <class A>
class Tables {
  public:
    Tables(const ResizeAxis& along_h, const ResizeAxis& along_w) {
        const size_t at[] = {add_taps(along_h), add_taps(along_w), add_numbers(along_h.first),
                             add_numbers(along_w.first)};
        device_ = upload(host_);
        const auto view = [&](size_t taps, size_t first) {
            return Taps<A>{reinterpret_cast<const Tap<A>*>(device_.data() + taps),
                           reinterpret_cast<const int*>(device_.data() + first)};
        };
        rows = view(at[0], at[2]);
        columns = view(at[1], at[3]);
    }
    Taps<A> rows, columns;

  private:
    template <class T>
    size_t add(const std::vector<T>& values) {
        const size_t at = (host_.size() + 15) / 16 * 16;
        host_.resize(at + values.size() * sizeof(T) + sizeof(T));
        if (!values.empty())
            std::memcpy(host_.data() + at, values.data(), values.size() * sizeof(T));
        return at;
    }
    size_t add_taps(const ResizeAxis& axis) {
        std::vector<Tap<A>> taps(axis.source.size());
        for (size_t i = 0; i < taps.size(); ++i)
            taps[i] = {static_cast<A>(axis.weight[i]), static_cast<int>(axis.source[i])};
        return add(taps);
    }
    size_t add_numbers(const std::vector<int64_t>& numbers) {
        return add(std::vector<int>(numbers.begin(), numbers.end()));
    }

    std::vector<char> host_;
    Workspace<char> device_;
};

// Where every output has one tap: its source.
ResizeAxis sources_of(const ResizeAxis& axis) {
    ResizeAxis sources;
    sources.first = axis.source;
    return sources;
}

// An axis that stays as it is.
ResizeAxis identity(int64_t size) {
    ResizeAxis axis;
    axis.first.push_back(0);
    for (int64_t i = 0; i < size; ++i) {
        axis.source.push_back(i);
        axis.weight.push_back(1.0);
        axis.first.push_back(i + 1);
    }
    return axis;
}

// Whether every output has `count` taps.
bool has_taps(const ResizeAxis& axis, int64_t count) {
    for (size_t i = 0; i + 1 < axis.first.size(); ++i)
        if (axis.first[i + 1] - axis.first[i] != count) return false;
    return true;
}

double mean_taps(const ResizeAxis& axis) {
    return static_cast<double>(axis.source.size()) /
           static_cast<double>(std::max<int64_t>(axis.outputs(), 1));
}

// Planes of several images as those of one, where the steps between them are the same.
void join_planes(ArrayView& x, ArrayView& y) {
    const int64_t planes = x.shape[0] * x.shape[1],
                  pixels = std::max(x.shape[2] * x.shape[3], y.shape[2] * y.shape[3]);
    for (const ArrayView* a : {&x, &y})
        if (a->shape[0] > 1 && a->strides[0] != a->shape[1] * a->strides[1]) return;
    ArrayView joined_x = x, joined_y = y;
    joined_x.shape[0] = joined_y.shape[0] = 1;
    joined_x.shape[1] = joined_y.shape[1] = planes;
    if (planes * pixels > kMostItems || !image_steps_fit(joined_x) || !image_steps_fit(joined_y))
        return;
    x = joined_x;
    y = joined_y;
}

// Launches run(std::bool_constant<VECTORS>, G) for x and y.
template <class In, class Out, class F>
void each_launch(ArrayView x, ArrayView y, const Taps<Accumulation<In>>& rows,
                 const Taps<Accumulation<In>>& columns, F&& kernel_of) {
    const bool inner = channels_inner(y);
    const auto run = [&](auto vectors, auto group) {
        constexpr int G = decltype(group)::value;
        each_batch(y.shape[0], y.shape[2], y.shape[3], (y.shape[1] + G - 1) / G, inner,
                   [&](int64_t n, const Pixels& pixels) {
                       const Resize2d<In, Out> p{static_cast<const In*>(x.data) + n * x.strides[0],
                                                 static_cast<Out*>(y.data) + n * y.strides[0],
                                                 image_steps(x),
                                                 image_steps(y),
                                                 pixels,
                                                 rows,
                                                 columns,
                                                 static_cast<int>(y.shape[1])};
                       launch(kernel_of(vectors, group), blocks_for(pixels.count, kResizeThreads),
                              dim3(kResizeThreads), 0, p);
                   });
    };
    constexpr int V = kWidth<Out>;
    if constexpr (sizeof(In) == sizeof(Out))
        if (in_channel_vectors(x, V) && in_channel_vectors(y, V))
            return run(std::true_type{}, std::integral_constant<int, V>{});
    if (!inner) join_planes(x, y);
    run(std::false_type{}, std::integral_constant<int, kGroup>{});
}

template <class In, class Out>
void resample(const ResizeAxis& along_h, const ResizeAxis& along_w, const ArrayView& x,
              const ArrayView& y) {
    const Tables<Accumulation<In>> tables(along_h, along_w);
    const auto run = [&](auto taps) {
        each_launch<In, Out>(x, y, tables.rows, tables.columns, [](auto vectors, auto group) {
            return resize2d_taps_kernel<In, Out, decltype(taps)::value, decltype(group)::value,
                                        decltype(vectors)::value>;
        });
    };
    if constexpr (std::is_same_v<In, Out>) {
        if (has_taps(along_h, 2) && has_taps(along_w, 2))
            return run(std::integral_constant<int, 2>{});
        if (has_taps(along_h, 4) && has_taps(along_w, 4))
            return run(std::integral_constant<int, 4>{});
    }
    run(std::integral_constant<int, 0>{});
}

// Along W into a workspace, then along H.
template <class T>
void resample_apart(const ResizeAxis& along_h, const ResizeAxis& along_w, const ArrayView& x,
                    const ArrayView& y) {
    using A = Accumulation<T>;
    ArrayView like = x;
    like.shape[3] = y.shape[3];
    const Workspace<A> workspace(like.numel());
    const ArrayView lines =
        dense_view(workspace.data(), DTypeOf<A>::value, like,
                   channels_inner(y) ? Layout::channels_last : Layout::contiguous);
    resample<T, A>(identity(x.shape[2]), along_w, x, lines);
    resample<A, T>(along_h, identity(y.shape[3]), lines, y);
}

template <class Bits>
void copy(const ResizeAxis& along_h, const ResizeAxis& along_w, const ArrayView& x,
          const ArrayView& y) {
    const Tables<Bits> tables(sources_of(along_h), sources_of(along_w));
    each_launch<Bits, Bits>(x, y, tables.rows, tables.columns, [](auto vectors, auto group) {
        return resize2d_copy_kernel<Bits, decltype(group)::value, decltype(vectors)::value>;
    });
}

}  // namespace

void resize2d(const ResizeAxis& along_h, const ResizeAxis& along_w, const ArrayView& x,
              const ArrayView& y) {
    const bool copies = along_h.copies() && along_w.copies();
    const bool apart = mean_taps(along_h) * mean_taps(along_w) > kMostDirectTaps;
    each_fitting_part<2>({x, y}, [&](const std::array<ArrayView, 2>& a) {
        if (copies) {
            switch (info(x.dtype).bytes) {
                case 1: return copy<uint8_t>(along_h, along_w, a[0], a[1]);
                case 2: return copy<uint16_t>(along_h, along_w, a[0], a[1]);
                case 4: return copy<uint32_t>(along_h, along_w, a[0], a[1]);
                default: return copy<uint64_t>(along_h, along_w, a[0], a[1]);
            }
        }
        with_float_dtype(x.dtype, [&](auto t) {
            using T = decltype(t);
            if (apart)
                resample_apart<T>(along_h, along_w, a[0], a[1]);
            else
                resample<T, T>(along_h, along_w, a[0], a[1]);
        });
    });
}

}  // namespace pycnn::cuda
