// Direct convolution: register tiles over packed filters and over a copy of the input's window.
//
// Computes   fprop and dgrad of cpu/conv2d.h; dgrad phase by phase of the stride, each phase a
//            convolution of dy (cpu/conv2d_phases.h)
// Arrays     any strides; halves are widened as they are read and rounded once at the store
// Threads    tasks of (images or a block of one image's pixels) x a group of output channels
// Tiling     registers: 14 pixels x 2 vectors (cpu/conv2d_tile.h). A task copies the window of its
//            pixels, a block of channels at a time, with the padding as zeros, into a workspace
//            that stays in the L2 cache; there every tap is a constant distance. The filters are
//            packed as [output channels][channel block][tap][channel][2 vectors].
//            Shallow filters, a stem's, stay in the L1 cache: there a tile's pixels take all
//            output channels in turn, and are written whole.
// Traffic    the input once per group of output channels, with its halo; the filters once per block
//            of pixels, from the L3 cache; the output once, past the caches if it is large. VGG
//            conv1_2 at 224x224, 64 channels: 142 FLOP per byte, bound by fma(): 255 of 270 GFLOP/s
//            on one core of a Zen 5
// Numerics   one fma() per term, channel blocks outermost, then taps, then channels; deterministic
// Refuses    nothing
// Source     Georganas et al. 2018, arXiv:1808.05567; its phases: Dumoulin and Visin 2016,
//            arXiv:1603.07285
#include <algorithm>
#include <vector>

#include "cpu/conv2d.h"
#include "cpu/conv2d_direct_tiles.h"
#include "cpu/conv2d_pack.h"
#include "cpu/epilogue.h"
#include "cpu/parallel.h"
#include "cpu/stream.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {
namespace {

// What to correlate with what: fprop or dgrad of one group of channels like the other.
struct Problem {
    ArrayView in, out;  // (N, groups * depth, ...) and (N, groups * width, ...)
    ArrayView w;
    int64_t groups, depth, width;
    int64_t w_group, w_depth, w_width;  // strides of w along groups and channels
    Axis rows, columns;
};

// Output channels of one phase: what is summed and stored together.
struct Unit {
    const AxisPhase *rows, *columns;
    size_t phase;
    int64_t first, channels;  // of its group
    int vectors;
    int64_t packed;  // where its filters begin, per input channel of the group
};

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

template <class S>
class Direct {
    using T = Accumulation<S>;
    static constexpr int64_t kVector = kLanes<T>;
    static constexpr int64_t kTile = kTilePixels * kTileVectors * kVector;
    static constexpr int64_t kFiltersNear = 40 * 1024;  // of the units of a turn

  public:
    Direct(const Problem& problem, const EpilogueView& epilogue)
        : p_(problem),
          residual_(epilogue.residual),
          activation_(epilogue.activation),
          linear_(vectors_only(epilogue), Layout::contiguous) {
        make_units();
        cut();
        const ArrayView& out = p_.out;
        whole_ = std::is_same_v<S, T> && out.strides[1] == 1 && !residual_ &&
                 (activation_ == Activation::none || activation_ == Activation::relu ||
                  activation_ == Activation::relu6);
        stream_ = whole_ && is_channels_last(out) && p_.width > 0 && p_.width % kVector == 0 &&
                  streams(static_cast<const S*>(out.data), out.numel() / p_.width, p_.width);
    }

    void run() {
        if (!pack_in_task_) pack_all();
        const int64_t unit_groups = ceil_div(units(), task_units_);
        const int64_t tasks = blocks() * p_.groups * unit_groups;
        const double pixels = static_cast<double>(images_ * rows_ * columns_);
        const double cost = 0.02 * pixels * static_cast<double>(task_units_ * kVector) *
                            static_cast<double>(p_.depth + 1);
        parallel_for(tasks, cost, [&](int64_t task) {
            const int64_t units_from = task % unit_groups * task_units_;
            const int64_t group = task / unit_groups % p_.groups;
            work(task / unit_groups / p_.groups, group, units_from,
                 std::min(units(), units_from + task_units_));
        });
    }

  private:
    static EpilogueView vectors_only(EpilogueView e) {
        e.residual.reset();
        e.activation = Activation::none;
        return e;
    }
    int64_t units() const { return static_cast<int64_t>(units_.size()); }
    int64_t blocks() const {
        return ceil_div(p_.in.shape[0], images_) * ceil_div(p_.rows.outputs, rows_) *
               ceil_div(p_.columns.outputs, columns_);
    }
    static int64_t taps(const Unit& u) {
        return static_cast<int64_t>(u.rows->taps.size() * u.columns->taps.size());
    }
    // Elements of a unit's filters for one input channel.
    static int64_t filter_row(const Unit& u) { return taps(u) * u.vectors * kVector; }

    // The end of the units from `from` that take turns tile by tile, so that a pixel is written at
    // one time: they are of one phase, and their filters stay in the first cache together.
    int64_t end_of_turn(int64_t from, int64_t to) const {
        const Unit& first = units_[static_cast<size_t>(from)];
        int64_t end = from + 1;
        for (; channel_blocks_ == 1 && end < to; ++end) {
            const Unit& u = units_[static_cast<size_t>(end)];
            const int64_t row = u.packed - first.packed + filter_row(u);
            if (u.phase != first.phase ||
                row * p_.depth * static_cast<int64_t>(sizeof(T)) > kFiltersNear)
                break;
        }
        return end;
    }

    void make_units() {
        packed_ = 0;
        size_t phase = 0;
        for (const AxisPhase& rows : p_.rows.phases)
            for (const AxisPhase& columns : p_.columns.phases) {
                for (int64_t k = 0; k < p_.width; k += kTileVectors * kVector) {
                    Unit u{&rows, &columns, phase, k, 0, 0, packed_};
                    u.channels = std::min(kTileVectors * kVector, p_.width - k);
                    u.vectors = static_cast<int>(ceil_div(u.channels, kVector));
                    packed_ += filter_row(u);
                    units_.push_back(u);
                }
                ++phase;
            }
        phases_ = phase;
    }

    // --- sizes of blocks and tasks ---

    // `whole` is in parts of `part`: the size of smaller ones, as even as can be.
    static int64_t one_part_more(int64_t whole, int64_t part) {
        return std::min(part - 1, ceil_div(whole, ceil_div(whole, part) + 1));
    }

    void cut() {
        // What a tile reads of the window, the window, and the sums of a task's tiles: the last two
        // live in the L2 cache, beside the filters that pass through it.
        constexpr int64_t kTileInput = 48 * 1024, kWindow = 640 * 1024, kSums = 320 * 1024;
        constexpr int64_t kPixels = 512;  // per task: each filter is read once for so many
        constexpr int64_t bytes = sizeof(T);
        const int64_t across = std::min<int64_t>(p_.columns.outputs, kTilePixels);
        const int64_t seen = Window(p_.rows, 1).slots * Window(p_.columns, across).slots;
        const int64_t most = std::max<int64_t>(kTileInput / bytes / std::max<int64_t>(seen, 1), 16);
        channel_blocks_ = std::max<int64_t>(ceil_div(p_.depth, most), 1);
        block_channels_ = ceil_div(p_.depth, channel_blocks_);
        if (channel_blocks_ > 1) {
            block_channels_ = ceil_div(block_channels_, 16) * 16;
            channel_blocks_ = ceil_div(p_.depth, block_channels_);
        }

        const auto fits = [&](int64_t rows, int64_t columns, int64_t images) {
            const int64_t slots = Window(p_.rows, rows).slots * Window(p_.columns, columns).slots;
            return images * slots * block_channels_ * bytes <= kWindow;
        };
        rows_ = p_.rows.outputs, columns_ = p_.columns.outputs, images_ = 1;
        while (columns_ > kTilePixels && !fits(1, columns_, 1)) columns_ = ceil_div(columns_, 2);
        // With one block of channels the sums never leave the tile: any number of pixels will do.
        int64_t pixels = channel_blocks_ == 1 ? int64_t{1} << 40 : kPixels;
        // Filters that stay in the first cache gain nothing by more of them.
        if (phases_ == 1 && packed_ * p_.depth * bytes <= kFiltersNear) pixels = 8 * kPixels;
        while (rows_ > 1 && (rows_ * columns_ > pixels || !fits(rows_, columns_, 1)))
            rows_ = one_part_more(p_.rows.outputs, rows_);
        const int64_t threads = num_threads(), plane = p_.rows.outputs * p_.columns.outputs;
        if (rows_ * columns_ == plane) {
            images_ = std::clamp<int64_t>(kPixels / plane, 1, p_.in.shape[0]);
            while (images_ > 1 && !fits(rows_, columns_, images_)) --images_;
        }
        task_units_ = units();
        if (channel_blocks_ > 1) {
            const int64_t sums = images_ * rows_ * columns_ * kTileVectors * kVector * bytes;
            task_units_ = std::clamp<int64_t>(kSums / sums, 1, units());
        }
        const auto tasks = [&] { return blocks() * p_.groups * ceil_div(units(), task_units_); };
        const int64_t wanted = threads == 1 ? 1 : 4 * threads;
        while (tasks() < wanted && images_ > 1 && images_ * plane > 16 * kTilePixels)
            images_ = one_part_more(p_.in.shape[0], images_);
        while (tasks() < wanted && rows_ > 1 && rows_ * columns_ > 16 * kTilePixels)
            rows_ = one_part_more(p_.rows.outputs, rows_);
        while (tasks() < wanted && task_units_ > 1)
            task_units_ = one_part_more(units(), task_units_);
        pack_in_task_ = blocks() == 1;
    }

    // --- filters ---

    void pack(const Unit& u, int64_t group, int64_t channel, int64_t channels, T* out) const {
        const auto* w = static_cast<const S*>(p_.w.data) + group * p_.w_group +
                        channel * p_.w_depth + u.first * p_.w_width;
        const int64_t padded = u.vectors * kVector;
        const auto& columns = u.columns->taps;
        const auto filter_at = [&](size_t tap) {
            return u.rows->taps[tap / columns.size()].index * p_.w.strides[2] +
                   columns[tap % columns.size()].index * p_.w.strides[3];
        };
        for (size_t tap = 0; tap < static_cast<size_t>(taps(u)); ++tap) {
            const int64_t at = filter_at(tap);
            const int64_t next =
                tap + 1 < static_cast<size_t>(taps(u)) ? filter_at(tap + 1) - at : 0;
            pack_tap(TapMatrix<S>{w + at, p_.w_depth, p_.w_width, channels, u.channels, next},
                     padded, out);
            out += channels * padded;
        }
    }

    // Of unit u in group g, block of channels from `channel`.
    int64_t packed_at(const Unit& u, int64_t group, int64_t channel) const {
        return (group * packed_ + u.packed) * p_.depth + filter_row(u) * channel;
    }

    void pack_all() {
        filters_ = Buffer<T>(p_.groups * packed_ * p_.depth);
        const int64_t pieces = units() * channel_blocks_;
        const double cost =
            0.3 * static_cast<double>(packed_ * p_.depth) / static_cast<double>(pieces);
        parallel_for(p_.groups * pieces, cost, [&](int64_t task) {
            const Unit& u = units_[static_cast<size_t>(task % units())];
            const int64_t group = task / pieces, block = task / units() % channel_blocks_;
            const int64_t channel = block * block_channels_;
            pack(u, group, channel, std::min(block_channels_, p_.depth - channel),
                 filters_.data() + packed_at(u, group, channel));
        });
    }

    // --- one task ---

    Block block_at(int64_t i) const {
        const int64_t across = ceil_div(p_.columns.outputs, columns_);
        const int64_t down = ceil_div(p_.rows.outputs, rows_);
        const int64_t image = i / across / down * images_;
        return {image, std::min(images_, p_.in.shape[0] - image), i / across % down * rows_,
                i % across * columns_};
    }

    // workspace[image][slot of rows][slot of columns][channel]
    void gather(const Block& b, const Window& down, const Window& across, int64_t channel,
                int64_t channels, T* workspace) const {
        if (down.slots == 0 || across.slots == 0) return;
        const ArrayView& in = p_.in;
        const int64_t parts = across.grouped ? across.slots / across.count : 1;
        const int64_t count = across.slots / parts, step = across.grouped ? p_.columns.stride : 1;
        for (int64_t n = 0; n < b.images; ++n)
            for (int64_t slot = 0; slot < down.slots; ++slot) {
                const int64_t h = down.input(slot, b.row);
                for (int64_t part = 0; part < parts; ++part, workspace += count * channels) {
                    const int64_t v = across.input(part * count, b.column);
                    int64_t from = std::clamp<int64_t>(ceil_div_floor(-v, step), 0, count);
                    int64_t to =
                        std::clamp<int64_t>(ceil_div_floor(in.shape[3] - v, step), from, count);
                    if (h < 0 || h >= in.shape[2]) from = to = 0;
                    std::fill(workspace, workspace + from * channels, T{0});
                    std::fill(workspace + to * channels, workspace + count * channels, T{0});
                    if (from == to) continue;
                    const auto* data = static_cast<const S*>(in.data) +
                                       (b.image + n) * in.strides[0] + channel * in.strides[1] +
                                       h * in.strides[2] + (v + from * step) * in.strides[3];
                    gather_pixels<T, S>(
                        {data, step * in.strides[3], in.strides[1], to - from, channels},
                        workspace + from * channels);
                }
            }
    }
    static int64_t ceil_div_floor(int64_t a, int64_t b) {
        return a >= 0 ? ceil_div(a, b) : -(-a / b);
    }

    // Where each tap of a unit lies in the workspace. Neighbouring taps of one row, if they read
    // whole pixels that lie side by side, are one tap of more depth.
    struct Offsets {
        std::vector<int64_t> of_taps;
        int64_t per_row = 0, depth = 0;
    };
    Offsets offsets_of(const AxisPhase& rows, const AxisPhase& columns, const Window& down,
                       const Window& across, int64_t channels) const {
        const auto& s = columns.taps;
        Offsets o{{}, static_cast<int64_t>(s.size()), channels};
        bool adjacent = channel_blocks_ == 1 && !across.grouped && !s.empty();
        if (adjacent)
            adjacent = s.back().offset - s.front().offset == static_cast<int64_t>(s.size()) - 1;
        if (adjacent) o.per_row = 1, o.depth = channels * static_cast<int64_t>(s.size());
        for (const AxisTap& r : rows.taps)
            for (const AxisTap& t : s) {
                o.of_taps.push_back((down.slot(r.offset) * across.slots + across.slot(t.offset)) *
                                    channels);
                if (adjacent) break;
            }
        return o;
    }

    void work(int64_t block, int64_t group, int64_t units_from, int64_t units_to) const {
        const Block b = block_at(block);
        const Window down(p_.rows, std::min(rows_, p_.rows.outputs - b.row));
        const Window across(p_.columns, std::min(columns_, p_.columns.outputs - b.column));
        std::vector<std::vector<TilePixels>> tiles(phases_);
        int64_t all_tiles = 0, largest = 0;
        for (int64_t i = units_from, end; i < units_to; i = end) {
            const Unit& first = units_[static_cast<size_t>(i)];
            auto& of_phase = tiles[first.phase];
            if (of_phase.empty())
                of_phase = tiles_of_block(b, *first.rows, *first.columns, down, across);
            end = end_of_turn(i, units_to);
            const Unit& last = units_[static_cast<size_t>(end - 1)];
            all_tiles += (end - i) * static_cast<int64_t>(of_phase.size());
            largest = std::max(largest, last.packed + filter_row(last) - first.packed);
        }
        const Buffer<T> workspace(b.images * down.slots * across.slots * block_channels_);
        const Buffer<T> sums((channel_blocks_ == 1 ? 1 : all_tiles) * kTile);
        const Buffer<T> own_filters(pack_in_task_ ? largest * block_channels_ : 0);

        for (int64_t c = 0; c < channel_blocks_; ++c) {
            const int64_t channel = c * block_channels_;
            const int64_t channels = std::min(block_channels_, p_.depth - channel);
            const bool complete = c == channel_blocks_ - 1;
            gather(b, down, across, group * p_.depth + channel, channels, workspace.data());
            T* at = sums.data();
            size_t phase = phases_;
            Offsets offsets;
            for (int64_t i = units_from, end; i < units_to; i = end) {
                end = end_of_turn(i, units_to);
                const Unit& first = units_[static_cast<size_t>(i)];
                if (first.phase != phase)
                    offsets = offsets_of(*first.rows, *first.columns, down, across, channels);
                phase = first.phase;
                TileInput<T> in{};
                in.step = across.step * channels;
                in.depth = offsets.depth;
                const T* filters = own_filters.data();
                if (!pack_in_task_) {
                    filters = filters_.data() + packed_at(first, group, channel);
                } else {
                    for (int64_t j = i; j < end; ++j) {
                        const Unit& u = units_[static_cast<size_t>(j)];
                        pack(u, group, channel, channels,
                             own_filters.data() + (u.packed - first.packed) * channels);
                    }
                }
                const int64_t row_taps = offsets.per_row;
                for (const TilePixels& t : tiles[phase]) {
                    in.run0 = workspace.data() + t.runs[0].slot * channels;
                    in.run1 = workspace.data() + t.runs[1].slot * channels;
                    in.offsets = offsets.of_taps.data() + t.taps_from * row_taps;
                    in.taps = (t.taps_to - t.taps_from) * row_taps;
                    for (int64_t j = i; j < end; ++j) {
                        const Unit& u = units_[static_cast<size_t>(j)];
                        const int64_t row_filters = row_taps * offsets.depth * u.vectors * kVector;
                        in.weights = filters + (u.packed - first.packed) * channels +
                                     t.taps_from * row_filters;
                        run_tile(in, t, u, group, at, c > 0, complete);
                        if (channel_blocks_ > 1) at += kTile;
                    }
                }
            }
        }
    }

    // One tile of a unit; its sums stay in `sums` until they are complete.
    void run_tile(const TileInput<T>& in, const TilePixels& t, const Unit& u, int64_t group,
                  T* sums, bool resume, bool complete) const {
        const Tile<T> run = tile_of<T>(t.pixels, u.vectors);
        const T* earlier = resume ? sums : nullptr;
        const TileOutput<T> own = dense_tile(sums, t.pixels, u.vectors);
        if (!complete) return run(in, earlier, own);
        if (!whole_ || u.channels % kVector != 0) {
            run(in, earlier, own);
            return finish(t, u, group, sums);
        }
        const int64_t channel = group * p_.width + u.first, step = u.columns->step;
        const TileOutput<T> out{pixels_of<T>(p_.out, t.runs[0], step, channel, 0, 0).data,
                                pixels_of<T>(p_.out, t.runs[1], step, channel, 0, 0).data,
                                step * p_.out.strides[3], stream_};
        if (!linear_.epilogue.linear() && activation_ == Activation::none)
            return run(in, earlier, out);
        run(in, earlier, own);
        finish_whole(t, u, channel, sums, out);
    }

    // --- the end of a tile: epilogue and store ---

    template <class E>
    static PixelRun<E> pixels_of(const ArrayView& a, const TilePixels::Run& run, int64_t step,
                                 int64_t channel, int64_t pixels, int64_t channels) {
        E* data = static_cast<E*>(a.data) + run.image * a.strides[0] + channel * a.strides[1] +
                  run.row * a.strides[2] + run.column * a.strides[3];
        return {data, step * a.strides[3], a.strides[1], pixels, channels};
    }

    // The end of a tile of whole vectors, in T, without a residual.
    void finish_whole(const TilePixels& t, const Unit& u, int64_t channel, const T* sums,
                      const TileOutput<T>& out) const {
        Epilogue<T> e = linear_.epilogue;
        e.activation = activation_;
        const int64_t first = first_run(static_cast<int>(t.pixels));
        for (int64_t i = 0; i < t.pixels; ++i) {
            T* to = i < first ? out.run0 + i * out.step : out.run1 + (i - first) * out.step;
            for (int64_t k = 0; k < u.channels; k += kVector, sums += kVector) {
                const Vec<T> value = e.finish(load(sums), channel + k, 0, kVector);
                if (out.stream)
                    stream(to + k, value);
                else
                    store(to + k, value);
            }
        }
    }

    void finish(const TilePixels& t, const Unit& u, int64_t group, T* sums) const {
        const int64_t channel = group * p_.width + u.first, padded = u.vectors * kVector;
        const int64_t first = first_run(static_cast<int>(t.pixels));
        const int64_t counts[] = {first, t.pixels - first};
        if (linear_.epilogue.linear()) {
            for (int64_t k = 0; k < u.channels; k += kVector) {
                const int there = static_cast<int>(std::min(kVector, u.channels - k));
                for (int64_t i = 0; i < t.pixels; ++i) {
                    T* at = sums + i * padded + k;
                    store(at, linear_.epilogue.finish(load(at), channel + k, 0, there));
                }
            }
        }
        if (residual_) {
            alignas(kAlignment) T added[kTile];
            std::fill(added, added + kTile, T{0});
            T* at = sums;
            for (int i = 0; i < 2; ++i) {
                gather_pixels<T, S>(pixels_of<const S>(*residual_, t.runs[i], u.columns->step,
                                                       channel, counts[i], u.channels),
                                    added);
                for (int64_t pixel = 0; pixel < counts[i]; ++pixel, at += padded)
                    for (int64_t k = 0; k < u.channels; ++k) at[k] += added[pixel * u.channels + k];
            }
        }
        if (activation_ != Activation::none) activate(sums, t.pixels * padded, activation_);
        const T* at = sums;
        for (int i = 0; i < 2; ++i) {
            scatter_pixels<T, S>(
                at, padded,
                pixels_of<S>(p_.out, t.runs[i], u.columns->step, channel, counts[i], u.channels));
            at += counts[i] * padded;
        }
    }

    const Problem& p_;
    const std::optional<ArrayView>& residual_;
    const Activation activation_;
    const DenseEpilogue<T> linear_;
    std::vector<Unit> units_;
    size_t phases_ = 0;
    int64_t packed_ = 0;  // elements of filters per group and input channel
    Buffer<T> filters_;
    bool pack_in_task_ = false;
    bool whole_ = false;   // vectors of sums may be stored as they are
    bool stream_ = false;  // and past the caches
    int64_t channel_blocks_ = 1, block_channels_ = 1;
    int64_t images_ = 1, rows_ = 1, columns_ = 1;  // of a block
    int64_t task_units_ = 1;
};

void run_direct(const Problem& problem, const EpilogueView& epilogue) {
    with_float_dtype(problem.out.dtype,
                     [&](auto s) { Direct<decltype(s)>(problem, epilogue).run(); });
}

}  // namespace

void conv2d_fprop_direct(const Conv2dParams& p, const ArrayView& x, const ArrayView& w,
                         const ArrayView& y, const EpilogueView& epilogue) {
    run_direct(
        {x, y, w, p.G, p.C / p.G, p.K / p.G, p.K / p.G * w.strides[0], w.strides[1], w.strides[0],
         fprop_axis(p.H, p.P, p.C > 0 ? p.R : 0, p.stride_h, p.top, p.dilation_h),
         fprop_axis(p.W, p.Q, p.C > 0 ? p.S : 0, p.stride_w, p.left, p.dilation_w)},
        epilogue);
}

void conv2d_dgrad_direct(const Conv2dParams& p, const ArrayView& dy, const ArrayView& w,
                         const ArrayView& dx, const EpilogueView& epilogue) {
    run_direct(
        {dy, dx, w, p.G, p.K / p.G, p.C / p.G, p.K / p.G * w.strides[0], w.strides[0], w.strides[1],
         dgrad_axis(p.P, p.H, p.K > 0 ? p.R : 0, p.stride_h, p.top, p.dilation_h),
         dgrad_axis(p.Q, p.W, p.K > 0 ? p.S : 0, p.stride_w, p.left, p.dilation_w)},
        epilogue);
}

}  // namespace pycnn::PYCNN_ISA
