// Copies that are under way: cp.async.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "emulator/engine.h"

namespace pycnn::emulator {

// Bytes that one instruction of the kernel reads or writes. ThreadSanitizer sees an assignment;
// functions of the C library it leaves out where Python and its libraries are not built for it.
template <size_t Bytes>
struct __attribute__((may_alias)) Piece {
    uint32_t words[Bytes / 4];
};
template <size_t Bytes>
Piece<Bytes>& piece(void* at) {
    return *static_cast<Piece<Bytes>*>(at);
}
template <size_t Bytes>
const Piece<Bytes>& piece(const void* at) {
    return *static_cast<const Piece<Bytes>*>(at);
}

// The current thread's copy of `Bytes` to `to`, of zeros where `from` is null, in its open group.
template <size_t Bytes>
void copy_later(void* to, const void* from) {
    const auto off = [](const void* p) { return reinterpret_cast<uintptr_t>(p) % Bytes != 0; };
    if (off(to) || off(from))
        throw Fault(name_of(*current) + " copies " + std::to_string(Bytes) +
                    " bytes with cp.async between addresses that are not aligned to them");
    Piece<Bytes> nan;
    for (uint32_t& word : nan.words) word = 0xffffffffu;
    piece<Bytes>(to) = nan;
    Copies& mine = current->copies;
    mine.pending.push_back({to, from, Bytes, mine.closed});
}

// Closes the current thread's open group.
inline void commit_copies() { ++current->copies.closed; }

template <size_t Bytes>
void finish(const Copies::Copy& c) {
    piece<Bytes>(c.to) = c.from != nullptr ? piece<Bytes>(c.from) : Piece<Bytes>{};
}

// Carries out the current thread's closed groups but for the newest `most`.
inline void finish_copies(int64_t most) {
    Copies& mine = current->copies;
    size_t done = 0;
    for (; done < mine.pending.size() && mine.pending[done].group < mine.closed - most; ++done) {
        const Copies::Copy& c = mine.pending[done];
        if (c.bytes == 16)
            finish<16>(c);
        else
            finish<4>(c);
    }
    mine.pending.erase(mine.pending.begin(), mine.pending.begin() + static_cast<ptrdiff_t>(done));
}

}  // namespace pycnn::emulator
