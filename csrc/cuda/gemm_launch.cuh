// For launchers of matrix products: which tile, how many parts of the depth, and the launch.
#pragma once

#include <algorithm>
#include <cmath>

#include "common/checks.h"
#include "cuda/gemm_mma.cuh"
#include "cuda/launch.cuh"

namespace pycnn::cuda {

constexpr int64_t kProcessors = 132;  // of an H100; what tiles are chosen for
constexpr int64_t kStepsOfAPart = 8;  // a part of the depth has no fewer
constexpr int64_t kPartOverhead = 4;  // what starting and storing a tile costs, in steps

// A tile's speed: cycles of a step on a processor that is full of such tiles, and how many times
// slower a tile is that has a processor to itself than its share of a full one.
struct TileSpeed {
    int rows, cols, depth;
    double step_cycles, alone;
};

struct TilePlan {
    double cycles;
    int64_t splits;
};

// How long the tiles of one shape take for a batch of products, in waves over the processors. A
// depth is split where there are fewer tiles than processors; `split` says whether it may be.
inline TilePlan plan_tiles(const TileSpeed& tile, int64_t batches, int64_t rows, int64_t cols,
                           int64_t depth, bool split) {
    const auto ceil_div = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
    const int64_t tiles = batches * ceil_div(rows, tile.rows) * ceil_div(cols, tile.cols);
    const int64_t steps = ceil_div(depth, tile.depth);
    int64_t splits = 1;
    if (split && tiles < kProcessors)
        splits = std::max<int64_t>(1, std::min(2 * kProcessors / tiles, steps / kStepsOfAPart));
    const int64_t part = std::max<int64_t>(ceil_div(steps, splits), 1);
    splits = std::max<int64_t>(ceil_div(steps, part), 1);
    const double waves =
        std::max(tile.alone, static_cast<double>(ceil_div(tiles * splits, kProcessors)));
    double cycles = waves * tile.step_cycles * static_cast<double>(part + kPartOverhead);
    if (splits > 1)  // the parts are written and read once more, 16 bytes a cycle and processor
        cycles += 3000 + static_cast<double>(batches * rows * cols * splits) * 8 /
                             static_cast<double>(16 * kProcessors);
    return {cycles, splits};
}

// Launches `kernel` over the tiles of `p`, in `splits` parts of the depth whose sums a second
// kernel adds.
template <class P>
void launch_product(void (*kernel)(P), P p, const TileSpeed& tile, int threads, size_t shared_bytes,
                    int64_t splits) {
    const auto ceil_div = [](int64_t a, int64_t b) { return (a + b - 1) / b; };
    const int64_t row_tiles = ceil_div(p.out.row_count, tile.rows);
    const int64_t col_tiles = ceil_div(p.out.col_count, tile.cols);
    const int64_t blocks = checked_mul(checked_mul(row_tiles, col_tiles, "the tiles of a product"),
                                       p.batches * splits, "the tiles of a product");
    if (blocks >= int64_t{1} << 31)
        throw ValueError(refusal("the tiles of a product", std::to_string(blocks), "below 2^31"));
    p.row_tiles = static_cast<int>(row_tiles), p.col_tiles = static_cast<int>(col_tiles);
    const int64_t part = ceil_div(ceil_div(p.depth, tile.depth), splits);
    p.split_steps = static_cast<int>(std::max<int64_t>(part, 1));
    p.splits = static_cast<int>(splits);
    p.out.settle();
    const dim3 grid(static_cast<unsigned>(blocks));
    if (splits == 1) {
        p.out.partials = nullptr;
        launch(kernel, grid, dim3(static_cast<unsigned>(threads)), shared_bytes, p);
        return;
    }
    using A = typename P::Out::A;
    const int64_t matrices = p.batches * p.out.row_count;
    const Workspace<A> partials(splits * matrices * p.out.col_count);
    p.out.partials = partials.data();
    launch(kernel, grid, dim3(static_cast<unsigned>(threads)), shared_bytes, p);
    p.out.partials = nullptr;
    constexpr int N = P::Out::Columns::kCount;
    launch(sum_parts_kernel<typename P::Out>,
           blocks_for(matrices * ceil_div(p.out.col_count, N), kSumThreads), dim3(kSumThreads), 0,
           p.out, partials.data(), p.splits, p.batches);
}

// The tiles of SIMT products, largest first. A step of 16 of R x C sums is R*C*16/128 cycles of a
// processor's 128 multiply-adds, longer where a thread has few sums for what it reads.
template <class T>
struct SimtTiles {
    using Large = SimtTile<T, 128, 128, 8, 8>;
    using Middle = SimtTile<T, 64, 64, 8, 8>;
    using Small = SimtTile<T, 32, 32, 4, 4>;
    static constexpr bool kHasLarge = true;
};
template <>
struct SimtTiles<double> {
    using Large = SimtTile<double, 64, 64, 4, 4>;
    using Middle = SimtTile<double, 64, 64, 4, 4>;
    using Small = SimtTile<double, 32, 32, 4, 4>;
    static constexpr bool kHasLarge = false;
};
constexpr TileSpeed kLargeSpeed{128, 128, kTileDepth, 2048 / 0.9, 1.2};
constexpr TileSpeed kMiddleSpeed{64, 64, kTileDepth, 512 / 0.8, 3};
constexpr TileSpeed kSmallSpeed{32, 32, kTileDepth, 128 / 0.5, 5};

// Calls launch_one(Tile{}, speed, splits) with the tile that is expected to take the least time.
// Only products with vectors have large tiles: single elements take more registers.
template <class T, bool Vectors, class F>
void with_simt_tile(int64_t batches, int64_t rows, int64_t cols, int64_t depth, bool split,
                    F&& launch_one) {
    using Tiles = SimtTiles<T>;
    const auto plan = [&](const TileSpeed& tile) {
        return plan_tiles(tile, batches, rows, cols, depth, split);
    };
    const TilePlan middle = plan(kMiddleSpeed), small = plan(kSmallSpeed);
    if constexpr (Tiles::kHasLarge && Vectors) {
        const TilePlan large = plan(kLargeSpeed);
        if (large.cycles <= std::min(middle.cycles, small.cycles))
            return launch_one(typename Tiles::Large{}, kLargeSpeed, large.splits);
    }
    if (middle.cycles <= small.cycles)
        return launch_one(typename Tiles::Middle{}, kMiddleSpeed, middle.splits);
    launch_one(typename Tiles::Small{}, kSmallSpeed, small.splits);
}

// Launches `p` in the orders of the operands that are given: vectors where both have them.
template <bool LeftAlong, bool RightAlong, bool Vectors, class P>
void launch_simt(P p, bool split = true) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(p.left.data)>>;
    with_simt_tile<T, Vectors>(
        p.batches, p.out.row_count, p.out.col_count, p.depth, split,
        [&](auto tile, const TileSpeed& speed, int64_t splits) {
            using Tile = decltype(tile);
            p.left.depth.set_stride(
                TileLoader<Tile, Tile::kRows, LeftAlong, Vectors, typename P::Left>::kAdvance);
            p.right.depth.set_stride(
                TileLoader<Tile, Tile::kCols, RightAlong, Vectors, typename P::Right>::kAdvance);
            launch_product(simt_product_kernel<Tile, LeftAlong, RightAlong, Vectors, P>, p, speed,
                           Tile::kThreads, sizeof(SimtShared<Tile, P>), splits);
        });
}

// The tiles of tensor cores. A step of 32 of R x C sums is R*C*32/2048 cycles of a processor's
// tensor cores with mma.sync, half as fast in tf32.
constexpr TileSpeed kLargeMmaSpeed{128, 128, 32, 256 / 0.8, 1.5};
constexpr TileSpeed kSmallMmaSpeed{64, 64, 32, 64 / 0.55, 3};
template <class T>
using LargeMmaTile = MmaTile<T, 128, 128, 64, 32>;
template <class T>
using SmallMmaTile = MmaTile<T, 64, 64, 32, 32>;

template <class T, class F>
void with_mma_tile(int64_t batches, int64_t rows, int64_t cols, int64_t depth, bool split,
                   F&& launch_one) {
    const TilePlan large = plan_tiles(kLargeMmaSpeed, batches, rows, cols, depth, split);
    const TilePlan small = plan_tiles(kSmallMmaSpeed, batches, rows, cols, depth, split);
    if (large.cycles <= small.cycles)
        launch_one(LargeMmaTile<T>{}, kLargeMmaSpeed, large.splits);
    else
        launch_one(SmallMmaTile<T>{}, kSmallMmaSpeed, small.splits);
}

// Whether both operands of `p` hold vectors in the orders that are given.
template <class P>
bool holds_vectors(const P& p, bool left_along, bool right_along) {
    constexpr int N = 16 / static_cast<int>(sizeof(*p.left.data));
    return p.left.vectors_along(left_along, N) && p.right.vectors_along(right_along, N);
}

// Launches `p`, whose operands hold vectors, on tensor cores.
template <bool LeftAlong, bool RightAlong, class P>
void launch_mma(P p, bool split = true) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(p.left.data)>>;
    with_mma_tile<T>(p.batches, p.out.row_count, p.out.col_count, p.depth, split,
                     [&](auto tile, const TileSpeed& speed, int64_t splits) {
                         using Tile = decltype(tile);
                         p.left.depth.set_stride(
                             MmaLoader<Tile, Tile::kRows, LeftAlong, typename P::Left>::kAdvance);
                         p.right.depth.set_stride(
                             MmaLoader<Tile, Tile::kCols, RightAlong, typename P::Right>::kAdvance);
                         launch_product(mma_product_kernel<Tile, LeftAlong, RightAlong, P>, p,
                                        speed, Tile::kThreads, sizeof(MmaShared<Tile, P>), splits);
                     });
}

// Calls function(std::true_type{} or std::false_type{}).
template <class F>
void with_flag(bool flag, F&& function) {
    if (flag)
        function(std::true_type{});
    else
        function(std::false_type{});
}

}  // namespace pycnn::cuda
