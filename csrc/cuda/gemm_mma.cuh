// Matrix products on tensor cores: the same tiles of gemm and of the convolutions, by mma.sync.
//
// Computes   out[row, col] = epilogue(sum_d left[row, d] * right[d, col]), for a batch
// Arrays     left, right: Operands of matrix_axes.cuh with 16-byte vectors along their depth or
//            their lines, f16/bf16, or f32 whose operands are rounded to tf32; out: any Output
// Grid       as gemm_tiles.cuh
// Tiling     128x128 (8 warps of 64x32 sums) or 64x64 (4 warps of 32x32). The depth goes by 64
//            bytes (32 halves, four stages of shared memory) or 128 bytes (32 floats, three) that
//            cp.async fills, one barrier a step. 16-byte chunks of shared rows are swizzled so that
//            neither the copies nor ldmatrix meet in a bank. The sums leave through the same memory
// Traffic    128x128 in f16: 16 KB for 1.05 MFLOP a step, 64 FLOP/byte of L2
// Numerics   exact products of halves, float32 sums; one rounding at the store
// Refuses    operands that hold no vectors; what gemm_tiles.cuh refuses
// Source     mma.sync and ldmatrix: PTX ISA; swizzled stages: Kerr et al. 2017, CUTLASS
#pragma once

#include <cstring>

#include "cuda/gemm_tiles.cuh"

namespace pycnn::cuda {

// A tile of Rows x Cols sums, WarpRows x WarpCols of them in each warp.
template <class T, int Rows, int Cols, int WarpRows, int WarpCols>
struct MmaTile {
    using Element = T;
    static constexpr bool kTf32 = std::is_same_v<T, float>;
    static constexpr int kRows = Rows, kCols = Cols, kDepth = 32;
    static constexpr int kWarpRows = WarpRows, kWarpCols = WarpCols;
    static constexpr int kThreads = Rows / WarpRows * (Cols / WarpCols) * 32;
    static constexpr int kStages = kTf32 ? 3 : 4;
    static constexpr int kStage = (Rows + Cols) * kDepth;  // elements
    static constexpr int kPitch = Cols + 4;                // of the sums in shared memory
    static constexpr int kBytes = kStages * kStage * static_cast<int>(sizeof(T));
    // Blocks of a processor: tf32 takes more registers, to round what it has read.
    static constexpr int kBlocks = kTf32 ? 1 : 2;
    static_assert(WarpRows % 16 == 0 && WarpCols % 16 == 0);
    static_assert(kBlocks * ((kBytes > Rows * kPitch * 4 ? kBytes : Rows * kPitch * 4) + Rows * 32 +
                             1024) <=
                      164 * 1024,
                  "shared memory of a processor of sm_80");
};

// One operand's part of a stage. Along the depth a shared row is a line and holds kDepth elements,
// else it is one depth and holds all lines; chunk c of row r lies at c ^ swizzle(r).
template <class Tile, int Lines, bool AlongDepth, class Op>
class MmaLoader {
  public:
    using T = typename Tile::Element;
    static constexpr int kVector = kWidth<T>;
    static constexpr int kChunks = (AlongDepth ? Tile::kDepth : Lines) / kVector;  // of a row
    static constexpr int kGroups = Lines * Tile::kDepth / kVector / Tile::kThreads;
    static constexpr int kBetween = Tile::kThreads / kChunks;
    static constexpr int kAdvance = AlongDepth ? Tile::kDepth : kBetween;
    static_assert(kGroups >= 1 && kGroups * Tile::kThreads * kVector == Lines * Tile::kDepth);
    static_assert(Tile::kThreads % kChunks == 0 && (kChunks == 4 || kChunks % 8 == 0));

    __device__ __forceinline__ MmaLoader(const Op& op, int64_t batch, int64_t first_line,
                                         int64_t first_depth)
        : op_(op), data_(op.data + batch * op.batch_step) {
        chunk_ = static_cast<int>(threadIdx.x) % kChunks;
        row_ = static_cast<int>(threadIdx.x) / kChunks;
        const int line = AlongDepth ? row_ : chunk_ * kVector;
        const int depth = AlongDepth ? chunk_ * kVector : row_;
        place_ = op.depth.cursor(first_depth + depth);
#pragma unroll
        for (int g = 0; g < kLines; ++g)
            lines_[g] = op.line.cursor(first_line + line + g * kBetween);
    }

    // Starts the copies of the next stage into `shared`.
    __device__ __forceinline__ void copy(T* shared) {
#pragma unroll
        for (int g = 0; g < kGroups; ++g) {
            const auto& line = lines_[AlongDepth ? g : 0];
            const bool inside = op_.inside(line, place_);
            const T* from = inside ? data_ + (line.at + place_.at) : data_;
            cp_async_16(shared + at(row_ + g * kBetween, chunk_), from, inside);
            if (!AlongDepth) op_.depth.template advance<kAdvance>(place_);
        }
        if (AlongDepth) op_.depth.template advance<kAdvance>(place_);
    }

    // Where a chunk lies, in elements.
    static __device__ __forceinline__ int at(int row, int chunk) {
        // eight rows that ldmatrix reads together, or the four of floats read one by one, take
        // different banks
        const int swizzle = Tile::kTf32 && !AlongDepth ? row % 4 * 2
                            : kChunks == 4             ? row / 2 % 4
                                                       : row % 8;
        return (row * kChunks + (chunk ^ swizzle)) * kVector;
    }

    // The fragments of the 8 lines from `line` on and of the next 8, for one mma: the lower half of
    // its depth and the upper. A left operand has the two blocks of lines side by side in r, a
    // right one the two halves.
    template <bool Right>
    static __device__ __forceinline__ void fragments(uint32_t (&r)[4], const T* shared, int line,
                                                     int depth) {
        const int l = static_cast<int>(lane());
        // which of the two line blocks and of the two halves of the depth this lane's row is of
        const int block = Right ? l / 16 : l / 8 % 2, half = Right ? l / 8 % 2 : l / 16;
        if constexpr (AlongDepth) {
            ldmatrix_x4(r, shared + at(line + block * 8 + l % 8, depth / kVector + half));
        } else if constexpr (!Tile::kTf32) {
            ldmatrix_x4_trans(r, shared + at(depth + half * 8 + l % 8, line / kVector + block));
        } else {
            // element (line l / 4, depth l % 4) of each block
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                const int b = Right ? i / 2 : i % 2, h = Right ? i % 2 : i / 2;
                const int of_line = line + b * 8 + l / 4;
                const float f =
                    shared[at(depth + h * 4 + l % 4, of_line / kVector) + of_line % kVector];
                r[i] = round_to_tf32(f);
            }
        }
        if constexpr (AlongDepth && Tile::kTf32) {
#pragma unroll
            for (int i = 0; i < 4; ++i) {
                float f;
                memcpy(&f, &r[i], sizeof f);
                r[i] = round_to_tf32(f);
            }
        }
    }

  private:
    static constexpr int kLines = AlongDepth ? kGroups : 1;

    const Op& op_;
    const T* data_;
    int row_, chunk_;
    typename Op::LineCursor lines_[kLines];
    typename Op::DepthCursor place_;
};

template <class T>
__device__ __forceinline__ void multiply_fragments(float (&d)[4], const uint32_t (&a)[4],
                                                   const uint32_t (&b)[2]) {
    if constexpr (std::is_same_v<T, float>)
        mma_m16n8k8_tf32(d, a, b);
    else
        mma_m16n8k16(d, a, b, T{});
}

// The shared memory of a block.
template <class Tile, class P>
struct alignas(128) MmaShared {
    union {
        typename Tile::Element operands[Tile::kStages * Tile::kStage];
        float sums[Tile::kRows * Tile::kPitch];
    };
    typename P::Out::Row rows[Tile::kRows];
};

// One tile, by a block.
template <class Tile, bool LeftAlong, bool RightAlong, class P>
__device__ __forceinline__ void mma_tile(const P& p, const TilePlace& place) {
    using T = typename Tile::Element;
    using LeftLoader = MmaLoader<Tile, Tile::kRows, LeftAlong, typename P::Left>;
    using RightLoader = MmaLoader<Tile, Tile::kCols, RightAlong, typename P::Right>;
    constexpr int kMmaDepth = Tile::kTf32 ? 8 : 16;
    constexpr int kRowBlocks = Tile::kWarpRows / 16, kColBlocks = Tile::kWarpCols / 8;
    auto& shared = *dynamic_shared<MmaShared<Tile, P>>();
    const int64_t first_row = int64_t{place.row} * Tile::kRows;
    const int64_t first_col = int64_t{place.col} * Tile::kCols;
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32;
    const int row = warp / (Tile::kCols / Tile::kWarpCols) * Tile::kWarpRows;
    const int col = warp % (Tile::kCols / Tile::kWarpCols) * Tile::kWarpCols;

    float sums[kRowBlocks][kColBlocks][4];
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i)
#pragma unroll
        for (int j = 0; j < kColBlocks; ++j)
#pragma unroll
            for (int k = 0; k < 4; ++k) sums[i][j][k] = 0;

    const int steps = steps_of(p, place.split, Tile::kDepth);
    const int64_t first_depth = int64_t{place.split} * p.split_steps * Tile::kDepth;
    LeftLoader left(p.left, place.batch, first_row, first_depth);
    RightLoader right(p.right, place.batch, first_col, first_depth);
    const auto copy = [&](int step) {
        if (step < steps) {
            T* stage = shared.operands + step % Tile::kStages * Tile::kStage;
            left.copy(stage);
            right.copy(stage + Tile::kRows * Tile::kDepth);
        }
        cp_async_commit();
    };
#pragma unroll
    for (int step = 0; step < Tile::kStages - 1; ++step) copy(step);
    for (int i = thread; i < Tile::kRows; i += Tile::kThreads)
        shared.rows[i] = p.out.row(first_row + i, place.batch);

#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        cp_async_wait<Tile::kStages - 2>();
        __syncthreads();  // the stage has come for all, and all are done with the one before it
        copy(step + Tile::kStages - 1);
        const T* rows = shared.operands + step % Tile::kStages * Tile::kStage;
        const T* cols = rows + Tile::kRows * Tile::kDepth;
#pragma unroll
        for (int depth = 0; depth < Tile::kDepth; depth += kMmaDepth) {
            uint32_t a[kRowBlocks][4], b[kColBlocks / 2][4];
#pragma unroll
            for (int i = 0; i < kRowBlocks; ++i)
                LeftLoader::template fragments<false>(a[i], rows, row + i * 16, depth);
#pragma unroll
            for (int j = 0; j < kColBlocks / 2; ++j)
                RightLoader::template fragments<true>(b[j], cols, col + j * 16, depth);
#pragma unroll
            for (int i = 0; i < kRowBlocks; ++i)
#pragma unroll
                for (int j = 0; j < kColBlocks; ++j) {
                    const uint32_t one[2] = {b[j / 2][j % 2 * 2], b[j / 2][j % 2 * 2 + 1]};
                    multiply_fragments<T>(sums[i][j], a[i], one);
                }
        }
    }
    cp_async_wait<0>();
    __syncthreads();

    const int l = static_cast<int>(lane());
    float* to = shared.sums + (row + l / 4) * Tile::kPitch + col + l % 4 * 2;
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i)
#pragma unroll
        for (int j = 0; j < kColBlocks; ++j)
#pragma unroll
            for (int half = 0; half < 2; ++half)
                store_vector(to + (i * 16 + half * 8) * Tile::kPitch + j * 8,
                             Vector<float, 2>{{sums[i][j][half * 2], sums[i][j][half * 2 + 1]}});
    __syncthreads();
    write_tile<Tile::kThreads, Tile::kRows, Tile::kCols>(
        p.out, shared.sums, Tile::kPitch, shared.rows, first_row, first_col, place, p.batches);
}

// The engine of this file, for operands in the orders that are given.
template <bool LeftAlong, bool RightAlong>
struct TensorCores {
    template <class Tile, class P>
    using Left = MmaLoader<Tile, Tile::kRows, LeftAlong, typename P::Left>;
    template <class Tile, class P>
    using Right = MmaLoader<Tile, Tile::kCols, RightAlong, typename P::Right>;
    template <class Tile, class P>
    using Shared = MmaShared<Tile, P>;

    template <class Tile, class P>
    static __device__ __forceinline__ void tile(const P& p, const TilePlace& place) {
        mma_tile<Tile, LeftAlong, RightAlong>(p, place);
    }
};

}  // namespace pycnn::cuda
