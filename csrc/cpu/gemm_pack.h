// Copies of blocks of a and b, in the order in which the register tile reads them.
#pragma once

#include "cpu/gemm_core.h"
#include "cpu/gemm_tile.h"

namespace pycnn::PYCNN_ISA {

// A block of a as the tile reads it: element (i, k) at data[i*row + k*next].
template <class T>
struct RowBlock {
    const T* data;
    int64_t row, next;
};

// A row of a packed block of a is `depth` long and a little more: rows a power of two apart would
// fall into the same few sets of the cache.
template <class T>
int64_t packed_row(int64_t depth) {
    constexpr int64_t line = 64 / sizeof(T);
    return (depth + line - 1) / line * line + line;
}

template <class T>
int64_t packed_rows_size(int64_t depth) {
    return std::max(kTileRows * packed_row<T>(depth), kPanelRows<T> * depth);
}

// Whether rows that far apart fall into so few sets of a first-level cache (64 sets of lines, 8 to
// 12 ways) that a tile's rows push each other out.
template <class T>
bool rows_collide(int64_t row) {
    return std::abs(row) * static_cast<int64_t>(sizeof(T)) % 1024 == 0;
}

// Rows [m, m+rows) and terms [k, k+depth) of a: in place where that is fast, else copied to `to`.
template <class T>
RowBlock<T> block_of_a(const Gemm<T>& g, int64_t m, int64_t rows, int64_t k, int64_t depth,
                       int64_t reuse, T* to) {
    if (g.a_m.is_even(m, rows) && g.a_k.is_even(k, depth)) {
        const bool along_k = g.a_k.step == 1 && !rows_collide<T>(g.a_m.step);
        const bool along_m = g.a_m.step == 1 && g.a_k.step * sizeof(T) <= 256;
        if (along_k || along_m || reuse <= kTileColumns<T>)
            return {g.a + g.a_m.offset(m) + g.a_k.offset(k), g.a_m.step, g.a_k.step};
    }
    if (g.a_k.step == 1) {
        const int64_t row = packed_row<T>(depth);
        for (int64_t i = 0; i < rows; ++i) {
            const T* from = g.a + g.a_m.offset(m + i);
            g.a_k.for_each_run(k, k + depth, [&](int64_t at, int64_t count, int64_t offset) {
                std::memcpy(to + i * row + at - k, from + offset,
                            static_cast<size_t>(count) * sizeof(T));
            });
        }
        return {to, row, 1};
    }
    constexpr int64_t next = kPanelRows<T>;
    int64_t offsets[kTileRows];
    for (int64_t i = 0; i < rows; ++i) offsets[i] = g.a_m.offset(m + i);
    const bool dense = g.a_m.step == 1 && g.a_m.is_even(m, rows);
    g.a_k.for_each_run(k, k + depth, [&](int64_t at, int64_t count, int64_t offset) {
        T* put = to + (at - k) * next;
        for (int64_t j = 0; j < count; ++j, put += next) {
            const T* from = g.a + offset + j * g.a_k.step;
            if (dense)
                for (int64_t i = 0; i < rows; i += kLanes<T>) {
                    const int n = static_cast<int>(std::min<int64_t>(kLanes<T>, rows - i));
                    store(put + i, load(from + offsets[0] + i, n));
                }
            else
                for (int64_t i = 0; i < rows; ++i) put[i] = from[offsets[i]];
        }
    });
    return {to, 1, next};
}

// `count` terms of up to a vector's columns, one column after the other in memory, turned over.
template <class T>
void turn_columns(const T* const* columns, int count, int64_t depth, T* to) {
    constexpr int lanes = kLanes<T>;
    for (int64_t k = 0; k < depth; k += lanes) {
        const int terms = static_cast<int>(std::min<int64_t>(lanes, depth - k));
        for (int j = 0; j < count; ++j) __builtin_prefetch(columns[j] + k + 4 * lanes);
        Vec<T> rows[lanes];
#pragma GCC unroll 16
        for (int j = 0; j < lanes; ++j)
            rows[j] = j >= count       ? zero<T>()
                      : terms == lanes ? load(columns[j] + k)
                                       : load(columns[j] + k, terms);
        transpose<T>(rows);
#pragma GCC unroll 16
        for (int j = 0; j < lanes; ++j)
            if (j < terms) store(to + (k + j) * kTileColumns<T>, rows[j]);
    }
}

// Terms [k, k+depth) of columns [n, n+columns), at most kTileColumns: `depth` rows of kTileColumns
// elements, the missing columns zero.
template <class T>
void pack_panel(const Gemm<T>& g, int64_t n, int64_t columns, int64_t k, int64_t depth, T* to) {
    constexpr int width = kTileColumns<T>, lanes = kLanes<T>;
    const bool dense = g.b_n.step == 1 && g.b_n.is_even(n, columns);
    int64_t offsets[width];
    for (int64_t j = 0; j < columns; ++j) offsets[j] = g.b_n.offset(n + j);
    g.b_k.for_each_run(k, k + depth, [&](int64_t at, int64_t count, int64_t offset) {
        T* put = to + (at - k) * width;
        const T* from = g.b + offset;
        if (dense && columns == width) {
            from += offsets[0];
            for (int64_t i = 0; i < count; ++i, put += width, from += g.b_k.step)
                for (int v = 0; v < width; v += lanes) {
                    __builtin_prefetch(from + v + 16 * g.b_k.step);
                    store(put + v, load(from + v));
                }
        } else if (dense) {
            from += offsets[0];
            const int rest = static_cast<int>(columns) % lanes;
            for (int64_t i = 0; i < count; ++i, put += width, from += g.b_k.step) {
                store(put, columns < lanes ? load(from, rest) : load(from));
                store(put + lanes, columns > lanes ? load(from + lanes, rest) : zero<T>());
            }
        } else if (g.b_k.step == 1) {
            const T* pointers[width] = {};
            for (int64_t j = 0; j < columns; ++j) pointers[j] = from + offsets[j];
            for (int v = 0; v < width; v += lanes)
                turn_columns(pointers + v,
                             static_cast<int>(std::clamp<int64_t>(columns - v, 0, lanes)), count,
                             put + v);
        } else {
            for (int64_t i = 0; i < count; ++i, put += width, from += g.b_k.step) {
                for (int64_t j = 0; j < columns; ++j) put[j] = from[offsets[j]];
                for (int64_t j = columns; j < width; ++j) put[j] = 0;
            }
        }
    });
}

}  // namespace pycnn::PYCNN_ISA
