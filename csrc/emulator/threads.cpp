// The checked engine: every thread of a block is one of the system, one block runs at a time.
//
// Threads meet through a mutex and a condition variable per block and per warp, and nowhere else,
// so that ThreadSanitizer orders exactly what the kernel's own barriers order; a warp's operation
// orders the lanes of its mask, as __syncwarp() does. Who waits longer than
// PYCNN_EMULATOR_TIMEOUT seconds (60) waits for ever and is reported.
#ifdef PYCNN_EMULATOR_THREADS

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "emulator/engine.h"
#include "emulator/launch_limits.h"

namespace pycnn::emulator {

__thread Thread* current = nullptr;

std::string name_of(const Thread& t) {
    const auto text = [](const Index3& i) {
        return "(" + std::to_string(i.x) + ", " + std::to_string(i.y) + ", " + std::to_string(i.z) +
               ")";
    };
    return "thread " + text(t.index) + " of block " + text(t.block->index);
}

namespace {

std::string text_of(const char* what, const Site& site) {
    return std::string(what) + " at " + site.file + ":" + std::to_string(site.line);
}

bool same(const Site& a, const Site& b) {
    return a.line == b.line && std::strcmp(a.file, b.file) == 0;
}

std::chrono::seconds patience() {
    const char* text = std::getenv("PYCNN_EMULATOR_TIMEOUT");
    const int seconds = text == nullptr ? 0 : std::atoi(text);
    return std::chrono::seconds(seconds > 0 ? seconds : 60);
}

// Where `count` threads wait for each other.
struct Meeting {
    std::mutex mutex;
    std::condition_variable changed;
    unsigned arrived = 0;
    uint64_t generation = 0;
    Site site{};
};

struct WarpMeeting : Meeting {
    explicit WarpMeeting(unsigned mask_) : mask(mask_) {}
    unsigned mask;
};

struct Warp {
    std::mutex mutex;
    std::list<WarpMeeting> meetings;  // one per mask that was ever used

    WarpMeeting& of(unsigned mask) {
        const std::lock_guard<std::mutex> lock(mutex);
        for (WarpMeeting& m : meetings)
            if (m.mask == mask) return m;
        return meetings.emplace_back(mask);
    }
};

struct Running {
    explicit Running(unsigned count_) : count(count_), warps((count_ + kWarp - 1) / kWarp) {}
    unsigned count;
    Meeting block;    // the kernel's barrier
    Meeting between;  // the engine's own, between blocks
    std::vector<Warp> warps;
    std::vector<Thread> threads;
    std::mutex fault_mutex;
    std::string fault;

    void report(const std::string& sentence) {
        const std::lock_guard<std::mutex> lock(fault_mutex);
        if (fault.empty()) fault = sentence;
    }
};

Running* running = nullptr;

// Counts the caller in, or waits for the last of `count`; `last` runs before the others go on.
template <class F>
void meet(Meeting& m, unsigned count, const char* what, Site site, const F& last) {
    std::unique_lock<std::mutex> lock(m.mutex);
    if (m.arrived == 0)
        m.site = site;
    else if (!same(m.site, site))
        throw Fault(name_of(*current) + " waits in " + text_of(what, site) + ", others in " +
                    text_of(what, m.site));
    if (++m.arrived == count) {
        last();
        m.arrived = 0;
        ++m.generation;
        m.changed.notify_all();
        return;
    }
    const uint64_t seen = m.generation;
    const bool released =
        m.changed.wait_for(lock, patience(), [&] { return m.generation != seen; });
    if (!released)
        throw Fault(name_of(*current) + " waits for ever in " + text_of(what, site) + "; " +
                    std::to_string(m.arrived) + " of " + std::to_string(count) + " threads came");
}

}  // namespace

void meet_block(Site site) {
    meet(running->block, running->count, "__syncthreads()", site, [] {});
}

void meet_warp(unsigned mask, const char* what, Site site, Combine combine) {
    const unsigned first = current->warp * kWarp;
    const unsigned lanes = running->count - first < kWarp ? running->count - first : kWarp;
    if (!(mask >> current->lane & 1))
        throw Fault(name_of(*current) + " calls " + text_of(what, site) +
                    " with a mask without its lane " + std::to_string(current->lane));
    if (lanes < kWarp && mask >> lanes)
        throw Fault(name_of(*current) + " calls " + text_of(what, site) +
                    " with a mask that names lanes its warp does not have");
    unsigned count = 0;
    for (unsigned rest = mask; rest != 0; rest &= rest - 1) ++count;
    meet(running->warps[current->warp].of(mask), count, what, site, [&] {
        Thread* together[kWarp];
        for (unsigned i = 0; i < kWarp; ++i)
            together[i] = mask >> i & 1 ? &running->threads[first + i] : nullptr;
        combine(together);
    });
}

void run_grid(Size3 grid, Size3 block, size_t shared_bytes, void (*body)(const void*),
              const void* arguments) {
    check_launch(grid, block, shared_bytes);
    static std::mutex one_grid;
    const std::lock_guard<std::mutex> only(one_grid);
    const unsigned count = block.x * block.y * block.z;
    Running all(count);
    running = &all;
    all.threads.resize(count);
    const int64_t blocks = int64_t{1} * grid.x * grid.y * grid.z;
    Block now;
    now.size = block, now.grid = grid;
    // exactly as large as asked for, so that AddressSanitizer sees what is beyond
    std::unique_ptr<void, decltype(&std::free)> shared(
        shared_bytes ? std::aligned_alloc(128, shared_bytes) : nullptr, &std::free);
    now.dynamic_shared = shared.get();

    const auto live = [&](unsigned i) {
        Thread& me = all.threads[i];
        me.index = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
        me.lane = i % kWarp, me.warp = i / kWarp;
        me.block = &now;
        current = &me;
        for (int64_t at = 0; at < blocks; ++at) {
            me.copies.pending.clear();
            try {
                meet(all.between, count, "the start of a block", {"", 0}, [&] {
                    now.index = {static_cast<unsigned>(at % grid.x),
                                 static_cast<unsigned>(at / grid.x % grid.y),
                                 static_cast<unsigned>(at / grid.x / grid.y)};
                    if (shared_bytes) std::memset(now.dynamic_shared, 0xff, shared_bytes);
                });
                body(arguments);
            } catch (const std::exception& fault) {  // the others give up waiting for this thread
                all.report(fault.what());
                return;
            }
        }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < count; ++i) threads.emplace_back(live, i);
    for (std::thread& t : threads) t.join();
    running = nullptr;
    if (!all.fault.empty()) throw Fault(all.fault);
}

}  // namespace pycnn::emulator

#endif
