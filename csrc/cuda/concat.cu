#include "cuda/concat.cuh"

#include <numeric>

#include "cuda/launch.cuh"
#include "primitives/concat.h"

namespace pycnn::cuda {
namespace {

struct Copy {
    const void* from;
    void* to;
    Walk<2> walk;  // to, from
};

// From one array to another of its shape.
Copy copy_of(const ArrayView& from, const ArrayView& to) {
    return {from.data, to.data, walk_of<2>(to, {to.strides, from.strides})};
}

// The part of `whole` that starts at `begin` and has the shape of `part`.
ArrayView slice(const ArrayView& whole, const ArrayView& part, int axis, int64_t begin) {
    ArrayView view = whole;
    view.shape[axis] = part.shape[axis];
    view.data =
        static_cast<char*>(whole.data) + begin * whole.strides[axis] * info(whole.dtype).bytes;
    return view;
}

// Whether a copy goes row by row, of elements side by side.
bool in_rows(const Walk<2>& w) {
    const int last = w.axes - 1;
    return w.axes <= 2 && w.count < int64_t{1} << 31 && w.steps[0][last] == 1 &&
           w.steps[1][last] == 1;
}

// The widest unit in bytes that pointers, rows and pitches of a copy are multiples of.
int64_t unit_of(const Copy& c, int64_t bytes) {
    const Walk<2>& w = c.walk;
    int64_t all = int64_t{16} | static_cast<int64_t>(reinterpret_cast<uintptr_t>(c.from)) |
                  static_cast<int64_t>(reinterpret_cast<uintptr_t>(c.to)) |
                  w.sizes[w.axes - 1] * bytes;
    if (w.axes == 2) all |= w.steps[0][0] * bytes | w.steps[1][0] * bytes;
    return all & -all;  // its lowest bit
}

uint32_t blocks_of(int64_t units) { return blocks_for(units, kCopyBlock).x; }

// Launches of at most `Most` parts; add(part, copy) describes one and returns its units.
template <class Part, int Most, class F>
void launch_parts(void (*kernel)(CopyParts<Part, Most>), const std::vector<Copy>& copies, F&& add) {
    for (size_t first = 0; first < copies.size(); first += Most) {
        CopyParts<Part, Most> p{};
        uint32_t blocks = 0;
        for (size_t i = first; i < copies.size() && p.count < Most; ++i) {
            Part& part = p.parts[p.count++];
            part.from = copies[i].from;
            part.to = copies[i].to;
            part.first_block = blocks;
            blocks += blocks_of(add(part, copies[i]));
        }
        launch(kernel, dim3(blocks), dim3(kCopyThreads), 0, p);
    }
}

template <class Unit>
void copy_rows(const std::vector<Copy>& copies, int64_t bytes) {
    constexpr int64_t unit = sizeof(Unit);
    const auto add = [&](CopyRows& part, const Copy& c) {
        const Walk<2>& w = c.walk;
        if (w.axes == 2) {
            part.to_pitch = w.steps[0][0] * bytes / unit;
            part.from_pitch = w.steps[1][0] * bytes / unit;
        }
        part.count = w.count * bytes / unit;
        part.run = Division(w.sizes[w.axes - 1] * bytes / unit);
        return part.count;
    };
    copies.size() <= kFewRows ? launch_parts(concat_rows_kernel<Unit, kFewRows>, copies, add)
                              : launch_parts(concat_rows_kernel<Unit, kMostRows>, copies, add);
}

template <class Unit>
void copy_strided(const std::vector<Copy>& copies) {
    const auto add = [](CopyStrided& part, const Copy& c) {
        part.walk = c.walk;
        return c.walk.count;
    };
    copies.size() <= kFewStrided
        ? launch_parts(concat_strided_kernel<Unit, kFewStrided>, copies, add)
        : launch_parts(concat_strided_kernel<Unit, kMostStrided>, copies, add);
}

void copy_all(const std::vector<Copy>& copies, int64_t bytes) {
    if (copies.empty()) return;
    if (std::all_of(copies.begin(), copies.end(), [](const Copy& c) { return in_rows(c.walk); })) {
        int64_t unit = 16;
        for (const Copy& c : copies) unit = std::min(unit, unit_of(c, bytes));
        switch (unit) {
            case 16: return copy_rows<Vector<uint32_t, 4>>(copies, bytes);
            case 8: return copy_rows<uint64_t>(copies, bytes);
            case 4: return copy_rows<uint32_t>(copies, bytes);
            case 2: return copy_rows<uint16_t>(copies, bytes);
            default: return copy_rows<uint8_t>(copies, bytes);
        }
    }
    switch (bytes) {
        case 8: return copy_strided<uint64_t>(copies);
        case 4: return copy_strided<uint32_t>(copies);
        case 2: return copy_strided<uint16_t>(copies);
        default: return copy_strided<uint8_t>(copies);
    }
}

}  // namespace

void concat(const std::vector<ArrayView>& parts, const ArrayView& whole, int axis) {
    std::vector<Copy> copies;
    int64_t begin = 0;
    for (const ArrayView& part : parts) {
        if (part.numel() > 0) copies.push_back(copy_of(part, slice(whole, part, axis, begin)));
        begin += part.shape[axis];
    }
    copy_all(copies, info(whole.dtype).bytes);
}

void split(const ArrayView& whole, const std::vector<ArrayView>& parts, int axis) {
    std::vector<Copy> copies;
    int64_t begin = 0;
    for (const ArrayView& part : parts) {
        if (part.numel() > 0) copies.push_back(copy_of(slice(whole, part, axis, begin), part));
        begin += part.shape[axis];
    }
    copy_all(copies, info(whole.dtype).bytes);
}

}  // namespace pycnn::cuda
