// Copies that are under way: cp.async.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "emulator/engine.h"

namespace pycnn::emulator {

// The current thread's copy of `bytes` to `to`, of zeros where `from` is null, in its open group.
inline void copy_later(void* to, const void* from, size_t bytes) {
    const auto off = [&](const void* p) { return reinterpret_cast<uintptr_t>(p) % bytes != 0; };
    if (off(to) || off(from))
        throw Fault(name_of(*current) + " copies " + std::to_string(bytes) +
                    " bytes with cp.async between addresses that are not aligned to them");
    std::memset(to, 0xff, bytes);
    Copies& mine = current->copies;
    mine.pending.push_back({to, from, bytes, mine.closed});
}

// Closes the current thread's open group.
inline void commit_copies() { ++current->copies.closed; }

// Carries out the current thread's closed groups but for the newest `most`.
inline void finish_copies(int64_t most) {
    Copies& mine = current->copies;
    size_t done = 0;
    for (; done < mine.pending.size(); ++done) {
        const Copies::Copy& c = mine.pending[done];
        if (c.group >= mine.closed - most) break;
        if (c.from != nullptr)
            std::memcpy(c.to, c.from, c.bytes);
        else
            std::memset(c.to, 0, c.bytes);
    }
    mine.pending.erase(mine.pending.begin(), mine.pending.begin() + static_cast<ptrdiff_t>(done));
}

}  // namespace pycnn::emulator
