// fprop and dgrad as one thing: along each axis, output positions in phases, each phase a
// correlation of the input with its own subset of the filter's taps.
//
// fprop is one phase: output i reads the input at i * stride + offset for every tap, with
// offset = tap * dilation - padding. In dgrad the outputs h with h mod stride = phase read dy at
// i + (phase + padding - tap * dilation) / stride, for the taps that this divides: as many phases
// as the stride, with stride 1 in each and the taps in reverse order. A phase may have no taps.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace pycnn::PYCNN_ISA {

struct AxisTap {
    int64_t index;   // in the filter
    int64_t offset;  // output i of the phase reads the input at i * stride + offset
};

struct AxisPhase {
    int64_t first, step, count;  // the output positions: first + i * step, i < count
    std::vector<AxisTap> taps;   // offsets ascending; only taps that reach the input for some i
};

struct Axis {
    int64_t inputs;   // the input's size
    int64_t outputs;  // the largest count
    int64_t stride;
    std::vector<AxisPhase> phases;
    std::vector<int64_t> offsets;  // of all phases: ascending, distinct
};

inline void finish_axis(Axis& axis) {
    axis.outputs = 0;
    for (AxisPhase& phase : axis.phases) {
        const int64_t reach = (phase.count - 1) * axis.stride;
        const auto misses = [&](const AxisTap& t) {
            return t.offset >= axis.inputs || t.offset + reach < 0;
        };
        auto& taps = phase.taps;
        taps.erase(std::remove_if(taps.begin(), taps.end(), misses), taps.end());
        for (const AxisTap& t : taps) axis.offsets.push_back(t.offset);
        axis.outputs = std::max(axis.outputs, phase.count);
    }
    std::sort(axis.offsets.begin(), axis.offsets.end());
    axis.offsets.erase(std::unique(axis.offsets.begin(), axis.offsets.end()), axis.offsets.end());
}

inline Axis fprop_axis(int64_t inputs, int64_t outputs, int64_t taps, int64_t stride,
                       int64_t before, int64_t dilation) {
    Axis axis{inputs, 0, stride, {}, {}};
    AxisPhase phase{0, 1, outputs, {}};
    for (int64_t r = 0; r < taps; ++r) phase.taps.push_back({r, r * dilation - before});
    axis.phases.push_back(std::move(phase));
    finish_axis(axis);
    return axis;
}

// `inputs` and `outputs` as dgrad sees them: the sizes of dy and of dx.
inline Axis dgrad_axis(int64_t inputs, int64_t outputs, int64_t taps, int64_t stride,
                       int64_t before, int64_t dilation) {
    Axis axis{inputs, 0, 1, {}, {}};
    for (int64_t first = 0; first < std::min(stride, outputs); ++first) {
        AxisPhase phase{first, stride, (outputs - first + stride - 1) / stride, {}};
        for (int64_t r = taps - 1; r >= 0; --r) {
            const int64_t from = first + before - r * dilation;
            if (from % stride == 0) phase.taps.push_back({r, from / stride});
        }
        axis.phases.push_back(std::move(phase));
    }
    finish_axis(axis);
    return axis;
}

// The part of one axis of the input that `count` neighbouring outputs of every phase read, as slots
// of a workspace: either all positions from the first to the last, or, where that is more than what
// is read, a group of `count` slots per tap offset. Either way a tap is a constant distance and so
// is the next output.
struct Window {
    Window(const Axis& axis, int64_t outputs) : axis(&axis), count(outputs) {
        if (axis.offsets.empty()) return;
        const int64_t between = axis.offsets.back() - axis.offsets.front();
        const int64_t all = (count - 1) * axis.stride + between + 1;
        const int64_t groups = static_cast<int64_t>(axis.offsets.size()) * count;
        grouped = groups < all;
        slots = std::min(groups, all);
        step = grouped ? 1 : axis.stride;
    }
    // The slot that output 0 of the window reads for a tap.
    int64_t slot(int64_t offset) const {
        if (!grouped) return offset - axis->offsets.front();
        const auto& all = axis->offsets;
        return (std::lower_bound(all.begin(), all.end(), offset) - all.begin()) * count;
    }
    // The input position that a slot holds, outside the input where that is padding, when output 0
    // of the window is output `first` of its phase.
    int64_t input(int64_t slot, int64_t first) const {
        if (!grouped) return first * axis->stride + axis->offsets.front() + slot;
        return (first + slot % count) * axis->stride +
               axis->offsets[static_cast<size_t>(slot / count)];
    }

    const Axis* axis;
    int64_t count;
    bool grouped = false;
    int64_t slots = 0;
    int64_t step = 1;  // in slots, from an output to the next
};

}  // namespace pycnn::PYCNN_ISA
