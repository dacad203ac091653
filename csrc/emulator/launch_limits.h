// What a launch may ask for, the same for every GPU from sm_80 on.
#pragma once

#include <string>

#include "emulator/engine.h"

namespace pycnn::emulator {

// Throws Fault where a grid or a block is larger than a GPU takes.
inline void check_launch(Size3 grid, Size3 block, size_t shared_bytes) {
    const auto refuse = [](const char* what, unsigned long long value, unsigned long long most) {
        throw Fault(std::string(what) + " is " + std::to_string(value) + "; accepted: 1 to " +
                    std::to_string(most));
    };
    const auto check = [&](const char* what, unsigned long long value, unsigned long long most) {
        if (value < 1 || value > most) refuse(what, value, most);
    };
    check("grid.x", grid.x, 0x7fffffffu);
    check("grid.y", grid.y, 65535);
    check("grid.z", grid.z, 65535);
    check("block.z", block.z, 64);
    check("the threads of a block", 1ull * block.x * block.y * block.z, 1024);
    if (shared_bytes > 227 * 1024) refuse("dynamic shared memory", shared_bytes, 227 * 1024);
}

}  // namespace pycnn::emulator
