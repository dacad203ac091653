// The pixels of a block of the direct convolution's outputs, cut into register tiles.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "cpu/conv2d_phases.h"
#include "cpu/conv2d_tile.h"

namespace pycnn::PYCNN_ISA {

// Rows and columns from (row, column) on of each phase, of some images.
struct Block {
    int64_t image, images, row, column;
};

// Two runs of neighbouring pixels, the second of which may be empty.
struct TilePixels {
    int64_t pixels;              // of both
    int64_t taps_from, taps_to;  // of the phase's rows: those that reach the input in either run
    struct Run {
        int64_t slot;                // of the workspace
        int64_t image, row, column;  // of the output
    } runs[2];
};

// The rows of a phase's taps that lie inside the input for one row of outputs: one range, for the
// offsets ascend.
inline std::pair<int64_t, int64_t> taps_inside(const Axis& axis, const AxisPhase& rows, int64_t i) {
    const int64_t all = static_cast<int64_t>(rows.taps.size());
    int64_t from = 0, to = all;
    const auto input = [&](int64_t tap) {
        return i * axis.stride + rows.taps[static_cast<size_t>(tap)].offset;
    };
    while (from < all && input(from) < 0) ++from;
    while (to > from && input(to - 1) >= axis.inputs) --to;
    return {from, to};
}

// Cuts a block's pixels of one phase into tiles.
inline std::vector<TilePixels> tiles_of_block(const Block& b, const AxisPhase& rows,
                                              const AxisPhase& columns, const Window& down,
                                              const Window& across) {
    std::vector<TilePixels> tiles;
    std::optional<size_t> waiting[kTilePixels / 2 + 1];  // tiles of one run, by its pixels
    const int64_t height = std::clamp<int64_t>(rows.count - b.row, 0, down.count);
    const int64_t width = std::clamp<int64_t>(columns.count - b.column, 0, across.count);
    const int64_t parts = (width + kTilePixels - 1) / kTilePixels;
    // Rows outermost: runs that are joined are in like rows, with like taps in the padding.
    for (int64_t i = 0; i < height; ++i) {
        const auto [taps_from, taps_to] = taps_inside(*down.axis, rows, b.row + i);
        for (int64_t n = 0; n < b.images; ++n)
            for (int64_t part = 0; part < parts; ++part) {
                const int64_t from = width * part / parts, to = width * (part + 1) / parts;
                const int64_t pixels = to - from, first = first_run(static_cast<int>(pixels));
                const auto run_at = [&](int64_t j) {
                    return TilePixels::Run{
                        (n * down.slots + i * down.step) * across.slots + j * across.step,
                        b.image + n, rows.first + (b.row + i) * rows.step,
                        columns.first + (b.column + j) * columns.step};
                };
                if (pixels > kTilePixels / 2) {
                    tiles.push_back(
                        {pixels, taps_from, taps_to, {run_at(from), run_at(from + first)}});
                    continue;
                }
                std::optional<size_t>& other = waiting[pixels];
                if (other) {
                    TilePixels& tile = tiles[*other];
                    tile.pixels *= 2;
                    tile.taps_from = std::min(tile.taps_from, taps_from);
                    tile.taps_to = std::max(tile.taps_to, taps_to);
                    tile.runs[1] = run_at(from);
                    other.reset();
                } else {
                    other = tiles.size();
                    tiles.push_back(
                        {pixels, taps_from, taps_to, {run_at(from), run_at(from + first)}});
                }
            }
    }
    return tiles;
}

}  // namespace pycnn::PYCNN_ISA
