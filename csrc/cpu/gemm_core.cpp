// The blocked matrix product.
//
// Computes   Gemm<T> of cpu/gemm_core.h
// Arrays     a and b with any axes; a panel of b is two vectors of columns, packed term by term; a
//            is read in place where its rows or its columns are dense
// Threads    tasks are blocks of rows and of columns of c; a deep product of a small c is cut along
//            its terms, into partial sums that are added in order
// Tiling     registers 14 rows x 2 vectors (6 x 2 of 16 registers); 384 terms of 14 rows of a stay
//            in the first cache while the panels of b pass, 512 KB of which stay in the second
// Traffic    14*32 multiply-adds for 46 loads: the FMA units are the limit. With few rows b is read
//            once and not packed: 2*M FLOP per element, memory is
// Numerics   one accumulator per element and 384 terms, their sums added in order; with few rows
//            and dense columns of b, one per lane. Which of these depends on the sizes and the
//            number of threads alone
// Refuses    nothing
// Source     Goto and van de Geijn 2008, doi:10.1145/1356052.1356053
#include "cpu/gemm_core.h"

#include "cpu/gemm_pack.h"
#include "cpu/gemm_tile.h"
#include "cpu/memory.h"

namespace pycnn::PYCNN_ISA {
namespace {

constexpr int64_t kBlockDepth = 384;         // terms
constexpr int64_t kPanelBytes = 512 * 1024;  // of b in the second cache
constexpr int64_t kBlockRows = 32;           // tiles of rows in a task
constexpr int64_t kFewRows = 16;             // rows up to which dense columns of b are not packed
constexpr int64_t kFewTileRows = 8;          // rows up to which dense rows of b are not packed

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Stores sums, a row every `row` elements and readable in whole vectors, as rows [m, m+rows) and
// columns [n, n+columns) of c: on top of what is there with `add`, finished by the epilogue if
// these are the last terms.
template <class T>
void finish_rows(const Gemm<T>& g, const T* sums, int64_t row, int64_t m, int64_t rows, int64_t n,
                 int64_t columns, bool add, bool last) {
    constexpr int lanes = kLanes<T>;
    const Epilogue<T>& e = g.epilogue;
    const bool per_row = last && g.per_row && e.any(), per_column = last && !g.per_row && e.any();
    for (int64_t i = 0; i < rows; ++i) {
        const int64_t offset = g.c_m.offset(m + i) + g.c_n.offset(n);
        const T bias = per_row && e.bias ? e.bias[m + i] : T(0);
        const T scale = per_row && e.scale ? e.scale[m + i] : T(1);
        const T shift = per_row && e.shift ? e.shift[m + i] : T(0);
        for (int64_t j = 0; j < columns; j += lanes) {
            const int some = static_cast<int>(std::min<int64_t>(lanes, columns - j));
            T* to = g.c + offset + j;
            Vec<T> value = load(sums + i * row + j);
            if (add) value = value + (some == lanes ? load(to) : load(to, some));
            if (per_row) {
                if (e.bias) value = value + bias;
                if (e.scale) value = value * scale;
                if (e.shift) value = value + shift;
                if (e.residual) value = value + load(e.residual + offset + j, some);
                if (e.activates_inline()) value = activated<T>(value, e.activation);
            } else if (per_column) {
                value = e.finish(value, n + j, offset + j, some);
            }
            if (some == lanes)
                store(to, value);
            else
                store(to, value, some);
        }
        if (last && !e.activates_inline()) activate(g.c + offset, columns, e.activation);
    }
}

// --- one task ------------------------------------------------------------------------------------

struct Range {
    int64_t begin, end;
    int64_t size() const { return end - begin; }
};

int64_t block_depth(int64_t K) {
    const int64_t blocks = std::max<int64_t>(1, ceil_div(K, kBlockDepth));
    return std::max<int64_t>(1, ceil_div(ceil_div(K, blocks), 16) * 16);
}

// Rows of one tile, so that the tiles of M rows are nearly alike.
int64_t tile_height(int64_t M) { return ceil_div(M, ceil_div(M, kTileRows)); }

// b packed as a whole: for every block of terms, every panel.
template <class T>
struct PackedB {
    const T* data;
    int64_t columns;  // of all panels
    const T* panel(int64_t n, int64_t k, int64_t depth) const {
        return data + k * columns + n * depth;
    }
};

// Rows, columns and terms of a range each; `packed` may be null, `first` is false where c holds
// sums of earlier terms, `last` if these terms complete it.
template <class T>
class Task {
  public:
    Task(const Gemm<T>& g, const PackedB<T>* packed, int64_t depth, int64_t height)
        : g_(g), packed_(packed), depth_(depth), height_(height), a_(packed_rows_size<T>(depth)) {}

    void run(Range rows, Range columns, Range terms, bool add, bool complete) {
        constexpr int64_t width = kTileColumns<T>;
        const int64_t at_once =
            std::max<int64_t>(1, kPanelBytes / (depth_ * width * static_cast<int64_t>(sizeof(T))));
        if (!packed_) {
            const int64_t panels = std::min(at_once, ceil_div(columns.size(), width));
            b_ = Buffer<T>(panels * width * depth_);
        }
        for (int64_t n = columns.begin; n < columns.end; n += at_once * width) {
            const Range some{n, std::min(columns.end, n + at_once * width)};
            int64_t k = terms.begin;
            do {  // once even without terms
                const int64_t depth = std::min(depth_, terms.end - k);
                const bool add_here = add || k > terms.begin;
                block(rows, some, k, depth, add_here, complete && k + depth == terms.end);
                k += depth;
            } while (k < terms.end);
        }
    }

  private:
    void block(Range rows, Range columns, int64_t k, int64_t depth, bool add, bool last) {
        constexpr int64_t width = kTileColumns<T>;
        if (!packed_)
            for (int64_t n = columns.begin; n < columns.end; n += width)
                pack_panel(g_, n, std::min(width, columns.end - n), k, depth,
                           b_.data() + (n - columns.begin) * depth);
        for (int64_t m = rows.begin; m < rows.end; m += height_) {
            const int64_t height = std::min(height_, rows.end - m);
            const RowBlock<T> a = block_of_a(g_, m, height, k, depth, columns.size(), a_.data());
            for (int64_t n = columns.begin; n < columns.end; n += width) {
                const int64_t some = std::min(width, columns.end - n);
                const T* panel =
                    packed_ ? packed_->panel(n, k, depth) : b_.data() + (n - columns.begin) * depth;
                one_tile(a, panel, width, m, height, n, some, depth, add, last);
            }
        }
    }

    void one_tile(const RowBlock<T>& a, const T* b, int64_t b_next, int64_t m, int64_t height,
                  int64_t n, int64_t columns, int64_t depth, bool add, bool last) {
        constexpr int64_t width = kTileColumns<T>, lanes = kLanes<T>;
        const Tile<T> run =
            find_tile<T>(static_cast<int>(height), columns > lanes ? kTileVectors : 1);
        const bool even = g_.c_m.is_even(m, height);
        T* to = g_.c + g_.c_m.offset(m) + g_.c_n.offset(n);
        if (even)  // c's lines come while the sums are made
            for (int64_t i = 0; i < height; ++i) {
                __builtin_prefetch(to + i * g_.c_m.step, 1);
                if (columns > lanes) __builtin_prefetch(to + i * g_.c_m.step + lanes, 1);
            }
        const bool whole = columns == width || columns == lanes;
        if (whole && even && !(last && g_.epilogue.any())) {
            run(depth, a.data, a.row, a.next, b, b_next, to, g_.c_m.step, add);
            return;
        }
        alignas(64) T sums[kTileRows * width];
        run(depth, a.data, a.row, a.next, b, b_next, sums, width, false);
        finish_rows(g_, sums, width, m, height, n, columns, add, last);
    }

    const Gemm<T>& g_;
    const PackedB<T>* packed_;
    int64_t depth_, height_;
    Buffer<T> a_, b_;
};

// --- few rows, dense rows of b: rows of c in the first cache, b read in the order it lies --------

constexpr int kStreams = 8;                    // rows of b at a time
constexpr int64_t kStreamedBytes = 24 * 1024;  // of c

// sums += a * b for kRows rows and `terms` rows of b, kStreams at most; a is term after term, a row
// of kStreams of them after the other, the missing ones zero.
template <class T, int kRows>
void stream(const T* a, const T* const* b, int64_t columns, T* sums, int64_t sums_row) {
    const auto at = [&](int64_t n, int some) __attribute__((always_inline)) {
        Vec<T> row[kStreams];
#pragma GCC unroll 8
        for (int k = 0; k < kStreams; ++k)
            row[k] = some == kLanes<T> ? load(b[k] + n) : load(b[k] + n, some);
#pragma GCC unroll 8
        for (int i = 0; i < kRows; ++i) {
            T* to = sums + i * sums_row + n;
            Vec<T> sum = load(to);
#pragma GCC unroll 8
            for (int k = 0; k < kStreams; ++k)
                sum = fma(broadcast(a[i * kStreams + k]), row[k], sum);
            store(to, sum);
        }
    };
    int64_t n = 0;
    for (; n + kLanes<T> <= columns; n += kLanes<T>) at(n, kLanes<T>);
    if (n < columns) at(n, static_cast<int>(columns - n));
}

template <class T>
void multiply_streaming(const Gemm<T>& g) {
    constexpr int64_t lanes = kLanes<T>;
    constexpr void (*kernels[kFewTileRows])(const T*, const T* const*, int64_t, T*, int64_t) = {
        stream<T, 1>, stream<T, 2>, stream<T, 3>, stream<T, 4>,
        stream<T, 5>, stream<T, 6>, stream<T, 7>, stream<T, 8>};
    const int64_t threads = num_threads();
    const int64_t most = kStreamedBytes / static_cast<int64_t>(sizeof(T)) / g.M;
    const int64_t width = std::max(lanes, std::min(most, ceil_div(g.N, threads)) / lanes * lanes);
    const double cost = static_cast<double>(g.K * width) * (0.03 * sizeof(T) / 4);
    parallel_for(ceil_div(g.N, width), cost, [&](int64_t task) {
        const int64_t first = task * width, columns = std::min(width, g.N - first);
        const int64_t row = ceil_div(columns, lanes) * lanes;
        const Buffer<T> sums(g.M * row);
        std::fill_n(sums.data(), g.M * row, T(0));
        Buffer<T> none;  // in place of the rows that the last few terms are short of
        if (g.K % kStreams != 0) none = Buffer<T>(row), std::fill_n(none.data(), row, T(0));
        alignas(64) T a[kFewTileRows * kStreams];
        for (int64_t k = 0; k < g.K; k += kStreams) {
            const T* rows[kStreams];
            for (int64_t j = 0; j < kStreams; ++j) {
                const bool there = k + j < g.K;
                rows[j] = there ? g.b + g.b_k.offset(k + j) + first : none.data();
                for (int64_t i = 0; i < g.M; ++i)
                    a[i * kStreams + j] = there ? g.a[g.a_m.offset(i) + g.a_k.offset(k + j)] : T(0);
            }
            kernels[g.M - 1](a, rows, columns, sums.data(), row);
        }
        finish_rows(g, sums.data(), row, 0, g.M, first, columns, g.add, true);
    });
}

// --- few rows, dense columns of b: inner products ------------------------------------------------

constexpr int kDotRows = 4, kDotColumns = 4;

// kRows x 4 inner products of rows of a and columns of b, all dense, into sums[i*4 + j].
template <class T, int kRows>
void dots(const T* const* a, const T* const* b, int64_t depth, T* sums) {
    constexpr int lanes = kLanes<T>, count = kDotRows * kDotColumns;
    Vec<T> acc[count];
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) acc[i] = zero<T>();
    const auto step = [&](auto&& read) __attribute__((always_inline)) {
        Vec<T> column[kDotColumns];
#pragma GCC unroll 4
        for (int j = 0; j < kDotColumns; ++j) column[j] = read(b[j]);
#pragma GCC unroll 4
        for (int i = 0; i < kRows; ++i) {
            const Vec<T> x = read(a[i]);
#pragma GCC unroll 4
            for (int j = 0; j < kDotColumns; ++j)
                acc[i * kDotColumns + j] = fma(x, column[j], acc[i * kDotColumns + j]);
        }
    };
    int64_t k = 0;
    for (; k + lanes <= depth; k += lanes) step([k](const T* from) { return load(from + k); });
    const int rest = static_cast<int>(depth - k);
    if (rest > 0) step([k, rest](const T* from) { return load(from + k, rest); });
    if constexpr (count % lanes == 0) {
#pragma GCC unroll 16
        for (int i = 0; i < count; i += lanes) {
            transpose<T>(acc + i);
            Vec<T> sum = acc[i];
#pragma GCC unroll 16
            for (int j = 1; j < lanes; ++j) sum = sum + acc[i + j];
            store(sums + i, sum);
        }
    }
}

template <class T>
void multiply_few_rows(const Gemm<T>& g) {
    Buffer<T> dense;
    const T* rows[kFewRows + kDotRows] = {};
    const bool in_place = g.a_k.step == 1 && g.a_k.is_even(0, g.K);
    if (!in_place) dense = Buffer<T>(g.M * g.K);
    for (int64_t m = 0; m < g.M; ++m) {
        const T* from = g.a + g.a_m.offset(m);
        rows[m] = in_place ? from : dense.data() + m * g.K;
        if (!in_place)
            for (int64_t k = 0; k < g.K; ++k) dense[m * g.K + k] = from[g.a_k.offset(k)];
    }
    constexpr void (*kernels[])(const T* const*, const T* const*, int64_t, T*) = {
        dots<T, 1>, dots<T, 2>, dots<T, 3>, dots<T, 4>};
    const double cost =
        static_cast<double>(g.K) * (0.05 * sizeof(T) + kTermCost<T> * static_cast<double>(g.M));
    const int64_t parts = std::min<int64_t>(ceil_div(g.N, kDotColumns), 8 * num_threads());
    const int64_t groups = ceil_div(g.N, kDotColumns);
    parallel_ranges(groups, parts, kDotColumns * cost, [&](int64_t begin, int64_t end) {
        for (int64_t group = begin; group < end; ++group) {
            const int64_t n = group * kDotColumns;
            const int64_t columns = std::min<int64_t>(kDotColumns, g.N - n);
            const T* pointers[kDotColumns];
            for (int64_t j = 0; j < kDotColumns; ++j)  // the last column again, for those missing
                pointers[j] = g.b + g.b_n.offset(n + std::min(j, columns - 1));
            for (int64_t m = 0; m < g.M; m += kDotRows) {
                const int64_t height = std::min<int64_t>(kDotRows, g.M - m);
                alignas(64) T sums[kDotRows * kDotColumns + kLanes<T>];
                kernels[height - 1](rows + m, pointers, g.K, sums);
                finish_rows(g, sums, kDotColumns, m, height, n, columns, g.add, true);
            }
        }
    });
}

// --- many terms, few elements of c ---------------------------------------------------------------

template <class T>
void multiply_split(const Gemm<T>& g, int64_t parts) {
    constexpr int64_t lanes = kLanes<T>;
    const int64_t row = ceil_div(g.N, lanes) * lanes, size = g.M * row;
    const int64_t depth = block_depth(g.K), height = tile_height(g.M);
    Buffer<T> sums(parts * size);
    const double terms = static_cast<double>(g.M) * static_cast<double>(g.N);
    const int64_t blocks = ceil_div(g.K, depth);
    parallel_for(parts, terms * kTermCost<T> * static_cast<double>(g.K / parts), [&](int64_t part) {
        Gemm<T> own = g;
        own.c = sums.data() + part * size;
        own.c_m = Axis::even(row);
        own.epilogue = {};
        const Range own_terms{std::min(g.K, blocks * part / parts * depth),
                              std::min(g.K, blocks * (part + 1) / parts * depth)};
        Task<T>(own, nullptr, depth, height).run({0, g.M}, {0, g.N}, own_terms, false, true);
    });
    parallel_ranges(g.M, num_threads(), static_cast<double>(g.N * parts) * 0.1,
                    [&](int64_t begin, int64_t end) {
                        for (int64_t i = begin * row; i < end * row; i += lanes) {
                            Vec<T> sum = load(sums.data() + i);
                            for (int64_t part = 1; part < parts; ++part)
                                sum = sum + load(sums.data() + part * size + i);
                            store(sums.data() + i, sum);
                        }
                        finish_rows(g, sums.data() + begin * row, row, begin, end - begin, 0, g.N,
                                    g.add, true);
                    });
}

// --- the general case ----------------------------------------------------------------------------

template <class T>
void multiply_blocked(const Gemm<T>& g) {
    constexpr int64_t width = kTileColumns<T>;
    const int64_t threads = num_threads();
    const int64_t height = tile_height(g.M), depth = block_depth(g.K);
    const int64_t tiles = ceil_div(g.M, height), panels = ceil_div(g.N, width);
    const double cost = static_cast<double>(g.M) * static_cast<double>(g.N) *
                        static_cast<double>(std::max<int64_t>(g.K, 1)) * kTermCost<T>;

    // Few rows: every task packs its own columns of b, and uses them at once.
    int64_t column_parts = 1, row_parts = 1;
    if (tiles <= kBlockRows && (panels >= 2 * threads || threads == 1)) {
        column_parts =
            threads == 1 ? 1 : std::min(panels, panels >= 8 * threads ? 4 * threads : threads);
    } else if (tiles > 1) {
        row_parts = std::max(ceil_div(tiles, kBlockRows), std::min(tiles, 4 * threads));
        if (threads == 1) row_parts = ceil_div(tiles, kBlockRows);
    } else {
        column_parts = std::min(panels, threads);
    }

    Buffer<T> whole;
    PackedB<T> packed{nullptr, panels * width};
    const bool share = row_parts > 1;
    if (share) {
        whole = Buffer<T>(std::max<int64_t>(g.K, 1) * packed.columns);
        packed.data = whole.data();
        const int64_t blocks = ceil_div(g.K, depth);
        parallel_for(blocks * panels, static_cast<double>(depth * width) * 0.1, [&](int64_t task) {
            const int64_t n = task % panels * width, k = task / panels * depth;
            const int64_t terms = std::min(depth, g.K - k);
            pack_panel(g, n, std::min(width, g.N - n), k, terms,
                       whole.data() + k * packed.columns + n * terms);
        });
    }
    parallel_for(row_parts * column_parts, cost / static_cast<double>(row_parts * column_parts),
                 [&](int64_t task) {
                     const int64_t i = task / column_parts, j = task % column_parts;
                     const Range rows{tiles * i / row_parts * height,
                                      std::min(g.M, tiles * (i + 1) / row_parts * height)};
                     const Range columns{panels * j / column_parts * width,
                                         std::min(g.N, panels * (j + 1) / column_parts * width)};
                     if (rows.size() <= 0 || columns.size() <= 0) return;
                     Task<T>(g, share ? &packed : nullptr, depth, height)
                         .run(rows, columns, {0, g.K}, g.add, true);
                 });
}

// The same product with rows and columns exchanged, where c allows it: c must be a vector.
template <class T>
Gemm<T> turned(const Gemm<T>& g) {
    Gemm<T> t = g;
    std::swap(t.M, t.N);
    t.a = g.b, t.a_m = g.b_n, t.a_k = g.b_k;
    t.b = g.a, t.b_k = g.a_k, t.b_n = g.a_m;
    t.c_m = Axis::even(0);
    t.per_row = !g.per_row;
    return t;
}

}  // namespace

template <class T>
void multiply(const Gemm<T>& g) {
    if (g.M <= 0 || g.N <= 0) return;
    if (g.N == 1 && g.M > 1 && g.c_m.step == 1 && g.c_m.is_even(0, g.M)) return multiply(turned(g));
    if (g.M <= kFewRows && g.K > 0 && g.c_n.run == Axis::kEndless && g.b_k.step == 1 &&
        g.b_k.is_even(0, g.K))
        return multiply_few_rows(g);
    const bool plain = g.c_n.run == Axis::kEndless;
    if (g.M <= kFewTileRows && g.K > 0 && plain && g.b_n.step == 1 && g.b_n.is_even(0, g.N))
        return multiply_streaming(g);
    const int64_t threads = num_threads();
    if (threads > 1 && plain && g.K >= 4096 && g.M * g.N <= 65536 && g.M >= 4)
        return multiply_split(g, std::min<int64_t>(threads, 16));
    multiply_blocked(g);
}

template void multiply(const Gemm<float>&);
template void multiply(const Gemm<double>&);

}  // namespace pycnn::PYCNN_ISA
