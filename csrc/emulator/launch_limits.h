// What a launch may ask for on sm_80.
#pragma once

#include <string>

#include "emulator/engine.h"

namespace pycnn::emulator {

constexpr size_t kMostShared = 163 * 1024;  // sm_90 has more, the smaller sm_86 and sm_89 99 KiB

// Throws Fault where a grid or a block is larger than a GPU takes.
inline void check_launch(Size3 grid, Size3 block, size_t shared_bytes) {
    const auto check = [](const char* what, unsigned long long value, unsigned long long most) {
        if (value < 1 || value > most)
            throw Fault(std::string(what) + " is " + std::to_string(value) + "; accepted: 1 to " +
                        std::to_string(most));
    };
    check("grid.x", grid.x, 0x7fffffffu);
    check("grid.y", grid.y, 65535);
    check("grid.z", grid.z, 65535);
    check("block.x", block.x, 1024);
    check("block.y", block.y, 1024);
    check("block.z", block.z, 64);
    check("the threads of a block", 1ull * block.x * block.y * block.z, 1024);
    if (shared_bytes > kMostShared)
        throw Fault("dynamic shared memory is " + std::to_string(shared_bytes) +
                    " bytes; accepted: at most " + std::to_string(kMostShared));
}

}  // namespace pycnn::emulator
