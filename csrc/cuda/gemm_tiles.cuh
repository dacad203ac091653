// Matrix products on the arithmetic units: the tile engine of gemm and of the convolutions that are
// matrix products.
//
// Computes   out[row, col] = epilogue(sum_d left[row, d] * right[d, col]), for a batch
// Arrays     left, right: Operands of matrix_axes.cuh, f16/bf16/f32/f64, any strides; out: an
//            Output of matrix_output.cuh. 16-byte loads where vectors lie along an operand's depth
//            or its lines, else single elements, neighbouring threads along the axis of the smaller
//            step
// Grid       x: tiles of out, 8 rows of them walked column by column, so that blocks that run
//            together share their operands in L2; for each batch and each part of the depth
// Tiling     128x128 (256 threads, 8x8 sums each), 64x64 (64 threads, 8x8; f64 256 threads, 4x4) or
//            32x32 (64 threads, 4x4). The depth goes by 16 through two buffers of shared memory in
//            the accumulators' type, the next step's loads in registers meanwhile; the sums leave
//            through the same memory
// Traffic    128x128 in f32: 16 KB for 524 kFLOP a step, 32 FLOP/byte of L2; 64 bytes of shared
//            memory for 64 multiply-adds of a thread
// Numerics   float32 sums (f64: float64), the depth in ascending order; where it is split, the
//            parts in ascending order; one rounding at the store
// Refuses    2^31 tiles, pixels or more
// Source     Kirk and Hwu 2016, Programming Massively Parallel Processors, chapter 4
#pragma once

#include "cuda/matrix_output.cuh"

namespace pycnn::cuda {

constexpr int kTileDepth = 16;
constexpr int kTilesTogether = 8;  // rows of tiles that are walked together

// A tile of Rows x Cols sums, ThreadRows x ThreadCols of them in each thread.
template <class T, int Rows, int Cols, int ThreadRows, int ThreadCols>
struct SimtTile {
    using Element = T;
    using A = Accumulation<T>;
    static constexpr int kRows = Rows, kCols = Cols, kDepth = kTileDepth;
    static constexpr int kThreadRows = ThreadRows, kThreadCols = ThreadCols;
    static constexpr int kThreads = Rows / ThreadRows * (Cols / ThreadCols);
    static constexpr int kBlocks = 1;  // of a processor; with two, sums leave the registers
    static constexpr int kPad = 4;     // shared rows shift by 4 banks and stay aligned
    static constexpr int kLeft = kDepth * (Rows + kPad), kRight = kDepth * (Cols + kPad);
    static constexpr int kShared = 2 * (kLeft + kRight);
    // The sums leave in as many parts as a thread has groups of 4 rows.
    static constexpr int kParts = ThreadRows / 4, kPartRows = Rows / kParts;

    static_assert(ThreadRows % 4 == 0 && ThreadCols % 4 == 0);
    static_assert(Rows / ThreadRows % 4 == 0 && Cols / ThreadCols % 8 == 0, "warps of 4x8 threads");
    static_assert(kPartRows * (Cols + kPad) <= kShared, "the sums fit where the operands were");
    static_assert(kThreads >= kPartRows || kPartRows % kThreads == 0);
    static_assert(kShared * sizeof(A) + Rows * 32 <= 48 * 1024, "what every launch may ask for");
};

// One operand's part of every step: from memory to registers, then to shared memory [depth][line].
template <class Tile, int Lines, bool AlongDepth, bool Vectors, class Op>
class TileLoader {
  public:
    using T = typename Tile::Element;
    using A = typename Tile::A;
    // elements that a thread takes together; how many of these lie side by side; how often it does
    static constexpr int kVector = Vectors ? kWidth<T> : AlongDepth ? 4 : 1;
    static constexpr int kAcross = (AlongDepth ? Tile::kDepth : Lines) / kVector;
    static constexpr int kGroups = Lines * Tile::kDepth / kVector / Tile::kThreads;
    static constexpr int kBetween = Tile::kThreads / kAcross;
    static constexpr int kPitch = Lines + Tile::kPad;
    // what the depth's cursor advances by
    static constexpr int kAdvance = !AlongDepth ? kBetween
                                    : Vectors   ? Tile::kDepth
                                                : Tile::kDepth - kVector;
    static_assert(kGroups >= 1 && kGroups * Tile::kThreads * kVector == Lines * Tile::kDepth);
    static_assert(Tile::kThreads % kAcross == 0);

    __device__ __forceinline__ TileLoader(const Op& op, int64_t batch, int64_t first_line,
                                          int64_t first_depth)
        : op_(op), data_(op.data + batch * op.batch_step) {
        const int across = static_cast<int>(threadIdx.x) % kAcross;
        const int along = static_cast<int>(threadIdx.x) / kAcross;
        line_ = AlongDepth ? along : across * kVector;
        depth_ = AlongDepth ? across * kVector : along;
        place_ = op.depth.cursor(first_depth + depth_);
#pragma unroll
        for (int g = 0; g < kLines; ++g)
            lines_[g] = op.line.cursor(first_line + line_ + g * kBetween);
    }

    // This step's elements, to registers; zeros outside.
    __device__ __forceinline__ void load() {
        if constexpr (AlongDepth && !Vectors) {
#pragma unroll
            for (int j = 0; j < kVector; ++j) {
#pragma unroll
                for (int g = 0; g < kGroups; ++g) held_[g].v[j] = element(lines_[g]);
                op_.depth.next(place_);
            }
            op_.depth.template advance<kAdvance>(place_);
        } else {
#pragma unroll
            for (int g = 0; g < kGroups; ++g) {
                const auto& line = lines_[AlongDepth ? g : 0];
                if constexpr (Vectors) {
                    if (op_.inside(line, place_))
                        held_[g] = load_vector<T, kVector>(data_ + (line.at + place_.at));
                    else
                        held_[g] = Vector<T, kVector>{};
                } else {
                    held_[g].v[0] = element(line);
                }
                if (!AlongDepth) op_.depth.template advance<kAdvance>(place_);
            }
            if (AlongDepth) op_.depth.template advance<kAdvance>(place_);
        }
    }

    __device__ __forceinline__ void store(A* shared) const {
#pragma unroll
        for (int g = 0; g < kGroups; ++g) {
            if constexpr (AlongDepth) {
                A* to = shared + depth_ * kPitch + line_ + g * kBetween;
#pragma unroll
                for (int j = 0; j < kVector; ++j) to[j * kPitch] = convert<A>(held_[g].v[j]);
            } else if constexpr (Vectors) {
                constexpr int N = kWidth<A>;
                A* to = shared + (depth_ + g * kBetween) * kPitch + line_;
#pragma unroll
                for (int j = 0; j < kVector; j += N) {
                    Vector<A, N> part;
#pragma unroll
                    for (int i = 0; i < N; ++i) part.v[i] = convert<A>(held_[g].v[j + i]);
                    store_vector(to + j, part);
                }
            } else {
                shared[(depth_ + g * kBetween) * kPitch + line_] = convert<A>(held_[g].v[0]);
            }
        }
    }

  private:
    static constexpr int kLines = AlongDepth ? kGroups : 1;

    __device__ __forceinline__ T element(const typename Op::LineCursor& line) const {
        return op_.inside(line, place_) ? data_[line.at + place_.at] : T{};
    }

    const Op& op_;
    const T* data_;
    int line_, depth_;  // the first of the thread's, in the tile
    typename Op::LineCursor lines_[kLines];
    typename Op::DepthCursor place_;
    Vector<T, kVector> held_[kGroups] = {};
};

// A batch of products.
template <class Left_, class Right_, class Out_>
struct Product {
    using Left = Left_;
    using Right = Right_;
    using Out = Out_;

    Left left;
    Right right;
    Out out;
    int64_t depth;
    int batches, row_tiles, col_tiles;
    int splits, split_steps;  // parts of the depth, and the steps of each
};

// Which tile of a product a block makes.
struct TilePlace {
    int64_t batch;
    int split, row, col;
};

template <class P>
__device__ __forceinline__ TilePlace tile_place(const P& p, unsigned block) {
    const auto tiles = static_cast<unsigned>(p.row_tiles) * static_cast<unsigned>(p.col_tiles);
    const unsigned matrix = block / tiles, tile = block % tiles;
    const unsigned band = tile / (kTilesTogether * static_cast<unsigned>(p.col_tiles));
    const unsigned within = tile % (kTilesTogether * static_cast<unsigned>(p.col_tiles));
    const unsigned left = static_cast<unsigned>(p.row_tiles) - band * kTilesTogether;
    const unsigned height = left < kTilesTogether ? left : kTilesTogether;
    TilePlace place;
    place.batch = matrix % static_cast<unsigned>(p.batches);
    place.split = static_cast<int>(matrix / static_cast<unsigned>(p.batches));
    place.row = static_cast<int>(band * kTilesTogether + within % height);
    place.col = static_cast<int>(within / height);
    return place;
}

// The steps of a part of the depth.
template <class P>
__device__ __forceinline__ int steps_of(const P& p, int split, int step_depth) {
    const int64_t all = (p.depth + step_depth - 1) / step_depth;
    const int64_t rest = all - int64_t{split} * p.split_steps;
    return static_cast<int>(rest < p.split_steps ? rest : p.split_steps);
}

// Writes Rows x Cols sums that lie in shared memory, `pitch` apart: rows of the product from
// `first_row` on, whose places are `rows`.
template <int Threads, int Rows, int Cols, class Out>
__device__ __forceinline__ void write_tile(const Out& out, const typename Out::A* shared, int pitch,
                                           const typename Out::Row* rows, int64_t first_row,
                                           int64_t first_col, const TilePlace& place, int batches) {
    using A = typename Out::A;
    constexpr int N = Out::Columns::kCount, kGroups = Cols / N;
    static_assert(Rows * kGroups % Threads == 0 || Rows * kGroups < Threads);
    typename Out::Columns columns;
    int loaded = -1;
#pragma unroll 1
    for (int i = static_cast<int>(threadIdx.x); i < Rows * kGroups; i += Threads) {
        const int row = out.along_rows ? i % Rows : i / kGroups;
        const int group = out.along_rows ? i / Rows : i % kGroups;
        if (group != loaded)
            columns = out.columns(first_col + group * N, place.batch), loaded = group;
        A sums[N];
#pragma unroll
        for (int j = 0; j < N; j += kWidth<A>) {
            const auto part = load_vector<A, kWidth<A>>(shared + row * pitch + group * N + j);
#pragma unroll
            for (int k = 0; k < kWidth<A>; ++k) sums[j + k] = part.v[k];
        }
        if (out.partials != nullptr)
            out.keep(first_row + row, rows[row], columns,
                     int64_t{place.split} * batches + place.batch, sums);
        else
            out.store(rows[row], columns, sums);
    }
}

// The shared memory of a block.
template <class Tile, class P>
struct alignas(128) SimtShared {
    typename Tile::A operands[Tile::kShared];
    typename P::Out::Row rows[Tile::kRows];
};

// One tile, by a block.
template <class Tile, bool LeftAlong, bool RightAlong, bool Vectors, class P>
__device__ __forceinline__ void simt_tile(const P& p, const TilePlace& place) {
    using A = typename Tile::A;
    auto& shared = *dynamic_shared<SimtShared<Tile, P>>();
    A* const left_buffer = shared.operands;
    A* const right_buffer = shared.operands + 2 * Tile::kLeft;
    const int64_t first_row = int64_t{place.row} * Tile::kRows;
    const int64_t first_col = int64_t{place.col} * Tile::kCols;

    // warps of 4x8 threads; a thread's rows and columns are groups of 4, evenly spread
    constexpr int kAcross = Tile::kCols / Tile::kThreadCols;
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, in_warp = thread % 32;
    const int down = warp / (kAcross / 8) * 4 + in_warp / 8;
    const int across = warp % (kAcross / 8) * 8 + in_warp % 8;
    constexpr int kRowGroups = Tile::kThreadRows / 4, kColGroups = Tile::kThreadCols / 4;
    constexpr int kRowApart = Tile::kRows / kRowGroups, kColApart = Tile::kCols / kColGroups;

    A sums[Tile::kThreadRows][Tile::kThreadCols];
#pragma unroll
    for (int i = 0; i < Tile::kThreadRows; ++i)
#pragma unroll
        for (int j = 0; j < Tile::kThreadCols; ++j) sums[i][j] = 0;

    const int steps = steps_of(p, place.split, Tile::kDepth);
    const int64_t first_depth = int64_t{place.split} * p.split_steps * Tile::kDepth;
    TileLoader<Tile, Tile::kRows, LeftAlong, Vectors, typename P::Left> left(
        p.left, place.batch, first_row, first_depth);
    TileLoader<Tile, Tile::kCols, RightAlong, Vectors, typename P::Right> right(
        p.right, place.batch, first_col, first_depth);
    if (steps > 0) {
        left.load(), right.load();
        left.store(left_buffer), right.store(right_buffer);
    }
    for (int row = thread; row < Tile::kRows; row += Tile::kThreads)
        shared.rows[row] = p.out.row(first_row + row, place.batch);
    __syncthreads();
#pragma unroll 1
    for (int step = 0; step < steps; ++step) {
        if (step + 1 < steps) left.load(), right.load();
        const A* rows = left_buffer + step % 2 * Tile::kLeft + down * 4;
        const A* cols = right_buffer + step % 2 * Tile::kRight + across * 4;
#pragma unroll
        for (int d = 0; d < Tile::kDepth; ++d) {
            Vector<A, 4> a[kRowGroups], b[kColGroups];
#pragma unroll
            for (int g = 0; g < kRowGroups; ++g)
                a[g] = load_vector<A, 4>(rows + d * (Tile::kRows + Tile::kPad) + g * kRowApart);
#pragma unroll
            for (int g = 0; g < kColGroups; ++g)
                b[g] = load_vector<A, 4>(cols + d * (Tile::kCols + Tile::kPad) + g * kColApart);
#pragma unroll
            for (int i = 0; i < Tile::kThreadRows; ++i)
#pragma unroll
                for (int j = 0; j < Tile::kThreadCols; ++j)
                    sums[i][j] += a[i / 4].v[i % 4] * b[j / 4].v[j % 4];
        }
        if (step + 1 < steps) {
            left.store(left_buffer + (step + 1) % 2 * Tile::kLeft);
            right.store(right_buffer + (step + 1) % 2 * Tile::kRight);
        }
        __syncthreads();
    }

    constexpr int kPitch = Tile::kCols + Tile::kPad;
#pragma unroll
    for (int part = 0; part < Tile::kParts; ++part) {
        if (part > 0) __syncthreads();
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
            for (int g = 0; g < kColGroups; ++g) {
                Vector<A, 4> four;
#pragma unroll
                for (int j = 0; j < 4; ++j) four.v[j] = sums[part * 4 + i][g * 4 + j];
                store_vector(shared.operands + (down * 4 + i) * kPitch + g * kColApart + across * 4,
                             four);
            }
        __syncthreads();
        write_tile<Tile::kThreads, Tile::kPartRows, Tile::kCols>(
            p.out, shared.operands, kPitch, shared.rows + part * Tile::kPartRows,
            first_row + part * Tile::kPartRows, first_col, place, p.batches);
    }
}

// The engine of this file, for operands in the orders that are given.
template <bool LeftAlong, bool RightAlong, bool Vectors>
struct Simt {
    static constexpr bool kVectors = Vectors;
    template <class Tile, class P>
    using Left = TileLoader<Tile, Tile::kRows, LeftAlong, Vectors, typename P::Left>;
    template <class Tile, class P>
    using Right = TileLoader<Tile, Tile::kCols, RightAlong, Vectors, typename P::Right>;
    template <class Tile, class P>
    using Shared = SimtShared<Tile, P>;

    template <class Tile, class P>
    static __device__ __forceinline__ void tile(const P& p, const TilePlace& place) {
        simt_tile<Tile, LeftAlong, RightAlong, Vectors>(p, place);
    }
};

// Blocks of a processor between which the registers are shared: places in an image take more.
template <class Tile, class P>
constexpr int kBlocksOf = P::Left::kImage ? 1 : Tile::kBlocks;

// A product by an engine.
template <class Engine, class Tile, class P>
__global__ void __launch_bounds__(Tile::kThreads, (kBlocksOf<Tile, P>)) product_kernel(P p) {
    Engine::template tile<Tile>(p, tile_place(p, blockIdx.x));
}

constexpr int kSumThreads = 128;

// The parts of a split depth, added up in their order, and the epilogue.
template <class Out>
__global__ void __launch_bounds__(kSumThreads)
    sum_parts_kernel(Out out, typename Out::A* partials, int splits, int batches) {
    using A = typename Out::A;
    constexpr int N = Out::Columns::kCount;
    const int64_t groups = (out.col_count + N - 1) / N;
    const int64_t index = int64_t{blockIdx.x} * kSumThreads + threadIdx.x;
    const int64_t row = index / groups % out.row_count, batch = index / groups / out.row_count;
    if (batch >= batches) return;
    const auto r = out.row(row, batch);
    const auto c = out.columns(index % groups * N, batch);
    A sums[N];
#pragma unroll
    for (int j = 0; j < N; ++j) sums[j] = 0;
    for (int split = 0; split < splits; ++split) {
        const A* from = partials +
                        ((int64_t{split} * batches + batch) * out.row_count + row) * out.col_count +
                        c.first;
#pragma unroll
        for (int j = 0; j < N; ++j)
            if (c.first + j < out.col_count) sums[j] += from[j];
    }
    out.store(r, c, sums);
}

}  // namespace pycnn::cuda
