// Joining arrays along one axis, and cutting one into parts.
//
// Computes   concat and split of cpu/concat.h
// Arrays     any dtype and strides; an axis whose slices are runs of memory in every array (the
//            channels of channels-last arrays, those of contiguous ones) is walked row by row, the
//            rest part by part through copy()
// Threads    ranges of rows
// Tiling     a row is the run of every part for one index of the axes outside; short runs are
//            copied here, vector by vector, as the call of a library costs what they take
// Traffic    every element read once, written once; a large joined array past the caches
// Numerics   exact
// Refuses    nothing
#include "primitives/concat.h"

#include <algorithm>
#include <cstring>

#include "cpu/copy.h"
#include "cpu/parallel.h"
#include "cpu/simd.h"
#include "cpu/threads.h"

namespace pycnn::PYCNN_ISA {
namespace {

// The part of `whole` that starts at `begin` and has the shape of `part`.
ArrayView slice(const ArrayView& whole, const ArrayView& part, int axis, int64_t begin) {
    ArrayView view = whole;
    view.shape[axis] = part.shape[axis];
    view.data =
        static_cast<char*>(whole.data) + begin * whole.strides[axis] * info(whole.dtype).bytes;
    return view;
}

// An array as rows of bytes without gaps: for every index of the axes outside, in the order of
// their strides in `whole`, one run that ends with the axis itself.
struct Rows {
    char* data;
    int64_t run, pitch;  // bytes
};

// The axes from the largest step of `whole` to the smallest; those of size 1 left out, but for
// `axis`. Returns their number.
int order_of(const ArrayView& whole, int axis, int* order) {
    int count = 0;
    for (int i = 0; i < whole.ndim; ++i) {
        if (whole.shape[i] == 1 && i != axis) continue;
        int at = count++;
        for (; at > 0 && whole.strides[order[at - 1]] < whole.strides[i]; --at)
            order[at] = order[at - 1];
        order[at] = i;
    }
    return count;
}

// Whether the axes order[0..count) are packed in `a`; its rows, `inside` being the axes that come
// after the joined one, then are its runs.
bool packed_rows(const ArrayView& a, const int* order, int count, int joined, Rows& rows) {
    const int64_t bytes = info(a.dtype).bytes;
    int64_t expected = 1;
    for (int i = count - 1; i >= joined; --i) {
        if (a.shape[order[i]] != 1 && a.strides[order[i]] != expected) return false;
        expected *= a.shape[order[i]];
    }
    rows = {static_cast<char*>(a.data), expected * bytes, expected * bytes};
    bool first = true;
    for (int i = joined - 1; i >= 0; --i) {
        if (first)
            rows.pitch = a.strides[order[i]] * bytes;
        else if (a.strides[order[i]] != expected)
            return false;
        expected = a.strides[order[i]] * a.shape[order[i]];
        first = false;
    }
    return true;
}

// Vectors of bytes; those past the caches go to whole vectors of memory.
template <bool Stream>
PYCNN_INLINE void copy_run(char* to, const char* from, int64_t bytes) {
    constexpr int64_t kAtOnce = 4 * kVectorBytes, kShort = 2048;
    if (!Stream && bytes > kShort) {
        std::memcpy(to, from, static_cast<size_t>(bytes));
        return;
    }
    const auto vector = [&](int64_t at) {
        Vec<float> v;
        std::memcpy(&v, from + at, sizeof v);
        if constexpr (Stream)
            stream(reinterpret_cast<float*>(to + at), v);
        else
            std::memcpy(to + at, &v, sizeof v);
    };
    int64_t i = 0;
    for (; i + kAtOnce <= bytes; i += kAtOnce)
#pragma GCC unroll 4
        for (int64_t k = 0; k < kAtOnce; k += kVectorBytes) vector(i + k);
    for (; i + kVectorBytes <= bytes; i += kVectorBytes) vector(i);
    if (i < bytes) std::memcpy(to + i, from + i, static_cast<size_t>(bytes - i));
}

// Rows [first, last) of the whole from those of its parts. The rows to come are fetched: of many
// short runs the processor does not see that they go on.
template <bool Stream>
void join_rows(const Rows& all, const std::vector<Rows>& some, int64_t first, int64_t last) {
    constexpr int64_t kLine = 64, kShort = 1024;
    const int64_t ahead = std::clamp<int64_t>(16384 / all.run, 1, 16);
    for (int64_t r = first; r < last; ++r) {
        char* at = all.data + r * all.pitch;
        for (const Rows& part : some) {
            const char* from = part.data + r * part.pitch;
            if (part.run <= kShort)
                for (int64_t i = 0; i < part.run; i += kLine)
                    __builtin_prefetch(from + ahead * part.pitch + i);
            copy_run<Stream>(at, from, part.run);
            at += part.run;
        }
    }
}

void cut_rows(const Rows& all, const std::vector<Rows>& some, int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) {
        const char* at = all.data + r * all.pitch;
        for (const Rows& part : some) {
            copy_run<false>(part.data + r * part.pitch, at, part.run);
            at += part.run;
        }
    }
}

// Whether the whole is written past the caches: with its parts it fills them, and it is made of
// whole vectors.
bool streams(const Rows& all, const std::vector<Rows>& some, int64_t rows) {
    constexpr int64_t kLeast = 12 * 1024 * 1024;
    if (rows * all.run < kLeast || all.pitch % kVectorBytes != 0) return false;
    if (reinterpret_cast<uintptr_t>(all.data) % kVectorBytes != 0) return false;
    return std::all_of(some.begin(), some.end(),
                       [](const Rows& part) { return part.run % kVectorBytes == 0; });
}

template <class F>
void for_rows(int64_t rows, int64_t row_bytes, F&& body) {
    const int64_t parts = std::clamp<int64_t>(rows * row_bytes / 65536, 1, 4 * num_threads());
    parallel_ranges(rows, parts, 0.05 * static_cast<double>(row_bytes) + 2, body);
}

// Copies between `whole` and its parts, row by row; false where an array has no such rows.
bool by_rows(const std::vector<ArrayView>& parts, const ArrayView& whole, int axis, bool joins) {
    int order[kMaxDims];
    const int count = order_of(whole, axis, order);
    int joined = 0;
    while (order[joined] != axis) ++joined;
    Rows all;
    if (!packed_rows(whole, order, count, joined, all)) return false;
    std::vector<Rows> some;
    for (const ArrayView& part : parts) {
        if (part.shape[axis] == 0) continue;
        some.emplace_back();
        if (!packed_rows(part, order, count, joined, some.back())) return false;
    }
    int64_t rows = 1;
    for (int i = 0; i < joined; ++i) rows *= whole.shape[order[i]];
    if (rows < 4 * num_threads() && all.run > 65536) return false;  // copy() shares long runs
    const auto run = !joins                     ? cut_rows
                     : streams(all, some, rows) ? join_rows<true>
                                                : join_rows<false>;
    for_rows(rows, all.run, [&](int64_t first, int64_t last) { run(all, some, first, last); });
    return true;
}

}  // namespace

void concat(const std::vector<ArrayView>& parts, const ArrayView& whole, int axis) {
    if (whole.numel() == 0 || by_rows(parts, whole, axis, true)) return;
    int64_t begin = 0;
    for (const ArrayView& part : parts) {
        copy(part, slice(whole, part, axis, begin));
        begin += part.shape[axis];
    }
}

void split(const ArrayView& whole, const std::vector<ArrayView>& parts, int axis) {
    if (whole.numel() == 0 || by_rows(parts, whole, axis, false)) return;
    int64_t begin = 0;
    for (const ArrayView& part : parts) {
        copy(slice(whole, part, axis, begin), part);
        begin += part.shape[axis];
    }
}

}  // namespace pycnn::PYCNN_ISA
