// The fast engine: the threads of a block are fibers of one thread of the system.
//
// A fiber runs threads one after the other until one has to wait; then the scheduler resumes
// whoever may go on, or starts the next thread on another fiber. A kernel without barriers
// therefore never switches. Fibers start by makecontext and switch by _setjmp and _longjmp, which
// save only registers; they live as long as the system's thread that made them.
#ifndef PYCNN_EMULATOR_THREADS

#undef _FORTIFY_SOURCE  // its longjmp refuses to leave a stack for another
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "cpu/parallel.h"
#include "cpu/threads.h"
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

enum class State : uint8_t { unstarted, running, waiting, finished };

struct FiberThread : Thread {
    State state;
    int fiber;
    const char* what;  // what it waits at, and where
    Site site;
    const uint64_t* generation;  // it may go on when this is no longer `seen`
    uint64_t seen;
};

struct Fiber {
    jmp_buf context;
    bool started = false;
};

// Lanes of one warp that wait for each other.
struct Meeting {
    unsigned mask = 0, arrived = 0;
    const char* what = nullptr;
    Site site{};
    uint64_t generation = 0;
};
constexpr int kMeetings = 8;  // of disjoint masks at a time

struct Warp {
    Meeting meetings[kMeetings];
};

bool same(const Site& a, const Site& b) {
    return a.line == b.line && std::strcmp(a.file, b.file) == 0;
}

std::string text_of(const char* what, const Site& site) {
    return std::string(what) + " at " + site.file + ":" + std::to_string(site.line);
}

// Stacks with a page that faults below each.
class Stacks {
  public:
    static constexpr size_t kBytes = 128 * 1024;

    char* operator[](int i) {
        while (static_cast<size_t>(i) >= slabs_.size()) {
            void* slab = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
            if (slab == MAP_FAILED) throw std::bad_alloc();
            mprotect(slab, static_cast<size_t>(sysconf(_SC_PAGESIZE)), PROT_NONE);
            slabs_.push_back(static_cast<char*>(slab));
        }
        return slabs_[static_cast<size_t>(i)];
    }
    ~Stacks() {
        for (char* slab : slabs_) munmap(slab, kBytes);
    }

  private:
    std::vector<char*> slabs_;
};

class Engine {
  public:
    void run(const Block& block, size_t shared_bytes, void (*body)(const void*),
             const void* arguments) {
        body_ = body, arguments_ = arguments;
        block_ = block;
        prepare(shared_bytes);
        try {
            while (finished_ < count_) {
                if (!pass()) throw Fault(stuck());
                if (!fault_.empty()) throw Fault(std::exchange(fault_, {}));
            }
        } catch (...) {
            for (Fiber& fiber : fibers_) fiber.started = false;  // what they ran is abandoned
            current = nullptr;
            throw;
        }
        current = nullptr;
    }

    void meet_block(Site site) {
        FiberThread& me = self();
        if (block_arrived_ == 0) {
            block_site_ = site;
        } else if (!same(site, block_site_)) {
            throw Fault(name_of(me) + " waits in " + text_of("__syncthreads()", site) +
                        ", others of its block in " + text_of("__syncthreads()", block_site_));
        }
        if (++block_arrived_ == count_) {
            block_arrived_ = 0;
            ++block_generation_;
        } else {
            wait("__syncthreads()", site, block_generation_);
        }
    }

    void meet_warp(unsigned mask, const char* what, Site site, Combine combine) {
        FiberThread& me = self();
        const unsigned bit = 1u << me.lane;
        const unsigned lanes = std::min(kWarp, count_ - me.warp * kWarp);
        if (!(mask & bit))
            throw Fault(name_of(me) + " calls " + text_of(what, site) +
                        " with a mask without its lane " + std::to_string(me.lane));
        if (lanes < kWarp && mask >> lanes)
            throw Fault(name_of(me) + " calls " + text_of(what, site) +
                        " with a mask that names lanes its warp does not have");
        Meeting* meeting = nullptr;
        for (Meeting& m : warps_[me.warp].meetings) {
            if (m.arrived == 0) {
                if (meeting == nullptr) meeting = &m;
            } else if (m.mask & mask) {
                meeting = &m;
                break;
            }
        }
        if (meeting == nullptr)
            throw Fault("more than " + std::to_string(kMeetings) +
                        " groups of a warp wait at once");
        Meeting& m = *meeting;
        if (m.arrived == 0) {
            m.mask = mask, m.site = site, m.what = what;
        } else if (m.mask != mask || !same(m.site, site)) {
            throw Fault(
                name_of(me) + " is in " + text_of(what, site) + " with another mask or at " +
                "another place than lanes it shares it with, in " + text_of(m.what, m.site));
        }
        m.arrived |= bit;
        if (m.arrived != m.mask) {
            wait(what, site, m.generation);
            return;
        }
        Thread* together[kWarp];
        for (unsigned i = 0; i < kWarp; ++i)
            together[i] = mask >> i & 1 ? &threads_[me.warp * kWarp + i] : nullptr;
        combine(together);
        m.arrived = 0;
        ++m.generation;
    }

  private:
    static FiberThread& self() { return *static_cast<FiberThread*>(current); }

    void prepare(size_t shared_bytes) {
        count_ = block_.size.x * block_.size.y * block_.size.z;
        if (threads_.size() < count_) threads_.resize(count_);
        for (unsigned i = 0; i < count_; ++i) {
            FiberThread& t = threads_[i];
            t.index = {i % block_.size.x, i / block_.size.x % block_.size.y,
                       i / (block_.size.x * block_.size.y)};
            t.lane = i % kWarp, t.warp = i / kWarp;
            t.block = &block_;
            t.state = State::unstarted;
        }
        warps_.resize((count_ + kWarp - 1) / kWarp);
        for (Warp& warp : warps_)
            for (Meeting& m : warp.meetings) m.arrived = 0;
        next_ = finished_ = block_arrived_ = 0;
        idle_.clear();
        for (int i = static_cast<int>(fibers_.size()); i-- > 0;) idle_.push_back(i);
        if (shared_.size() < shared_bytes + 128) shared_.resize(shared_bytes + 128);
        const auto start = reinterpret_cast<uintptr_t>(shared_.data());
        block_.dynamic_shared = shared_.data() + (128 - start % 128) % 128;
        std::memset(block_.dynamic_shared, 0xff, shared_bytes);  // NaN in every float type
    }

    // Lets every thread that can go on do so; false if there was none.
    bool pass() {
        bool any = false;
        for (unsigned first = 0; first < count_; first += kWarp) {
            const unsigned last = std::min(first + kWarp, count_);
            for (bool moved = true; moved;) {
                moved = false;
                for (unsigned i = first; i < last; ++i) {
                    FiberThread& t = threads_[i];
                    if (t.state == State::unstarted) {
                        start(i);
                    } else if (t.state == State::waiting && *t.generation != t.seen) {
                        resume(t);
                    } else {
                        continue;
                    }
                    moved = any = true;
                    if (!fault_.empty()) return true;
                }
            }
        }
        return any;
    }

    void start(unsigned i) {
        if (idle_.empty()) {
            fibers_.emplace_back();
            idle_.push_back(static_cast<int>(fibers_.size()) - 1);
        }
        const int fiber = idle_.back();
        idle_.pop_back();
        next_ = i;
        switch_to(fiber);
    }

    void resume(FiberThread& t) {
        t.state = State::running;
        current = &t;
        switch_to(t.fiber);
    }

    void switch_to(int fiber) {
        running_ = fiber;
        if (_setjmp(scheduler_) != 0) return;
        Fiber& f = fibers_[static_cast<size_t>(fiber)];
        if (f.started) _longjmp(f.context, 1);
        f.started = true;
        ucontext_t context;
        getcontext(&context);
        context.uc_stack.ss_sp = stacks_[fiber];
        context.uc_stack.ss_size = Stacks::kBytes;
        context.uc_link = nullptr;
        const auto address = reinterpret_cast<uintptr_t>(this);
        makecontext(&context, reinterpret_cast<void (*)()>(&Engine::enter), 2,
                    static_cast<unsigned>(address), static_cast<unsigned>(address >> 32));
        setcontext(&context);
    }

    static void enter(unsigned low, unsigned high) {
        reinterpret_cast<Engine*>(static_cast<uintptr_t>(high) << 32 | low)->work();
    }

    // What a fiber does: threads that have not started, one after the other, then it rests.
    void work() {
        for (;;) {
            while (next_ < count_ && threads_[next_].state == State::unstarted) {
                FiberThread& t = threads_[next_++];
                t.state = State::running;
                t.fiber = running_;
                t.copies.pending.clear();
                current = &t;
                run_one();
                self().state = State::finished;
                ++finished_;
            }
            idle_.push_back(self().fiber);
            leave();
        }
    }

    // An exception ends here: below lies the end of the fiber's stack.
    void run_one() {
        try {
            body_(arguments_);
            return;
        } catch (const std::exception& error) {
            fault_ = error.what();
        }
        _longjmp(scheduler_, 1);
    }

    // Back to the scheduler; returns when the fiber is switched to again.
    void leave() {
        if (_setjmp(fibers_[static_cast<size_t>(self().fiber)].context) == 0)
            _longjmp(scheduler_, 1);
    }

    void wait(const char* what, Site site, const uint64_t& generation) {
        FiberThread& me = self();
        me.what = what, me.site = site;
        me.generation = &generation, me.seen = generation;
        me.state = State::waiting;
        leave();
    }

    // Why no thread can go on.
    std::string stuck() const {
        const FiberThread* waits = nullptr;
        for (unsigned i = 0; i < count_ && waits == nullptr; ++i)
            if (threads_[i].state == State::waiting) waits = &threads_[i];
        std::string text =
            name_of(*waits) + " waits for ever in " + text_of(waits->what, waits->site);
        for (unsigned i = 0; i < count_; ++i) {
            const FiberThread& t = threads_[i];
            if (t.state == State::finished) return text + "; " + name_of(t) + " has returned";
            if (!same(t.site, waits->site))
                return text + "; " + name_of(t) + " waits in " + text_of(t.what, t.site);
        }
        return text;
    }

    Block block_;
    void (*body_)(const void*) = nullptr;
    const void* arguments_ = nullptr;
    std::vector<FiberThread> threads_;
    std::vector<Warp> warps_;
    std::vector<Fiber> fibers_;
    std::vector<int> idle_;
    std::vector<char> shared_;
    Stacks stacks_;
    jmp_buf scheduler_;
    unsigned count_ = 0, next_ = 0, finished_ = 0, block_arrived_ = 0;
    int running_ = 0;
    uint64_t block_generation_ = 0;
    Site block_site_{};
    std::string fault_;
};

Engine& engine() {
    thread_local Engine engine;
    return engine;
}

}  // namespace

void meet_block(Site site) { engine().meet_block(site); }

void meet_warp(unsigned mask, const char* what, Site site, Combine combine) {
    engine().meet_warp(mask, what, site, combine);
}

void run_grid(Size3 grid, Size3 block, size_t shared_bytes, void (*body)(const void*),
              const void* arguments) {
    check_launch(grid, block, shared_bytes);
    const int64_t blocks = int64_t{1} * grid.x * grid.y * grid.z;
    const double cost = 20.0 * block.x * block.y * block.z;
    parallel_ranges(blocks, 8 * num_threads(), cost, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            Block b;
            b.index = {static_cast<unsigned>(i % grid.x),
                       static_cast<unsigned>(i / grid.x % grid.y),
                       static_cast<unsigned>(i / grid.x / grid.y)};
            b.size = block, b.grid = grid;
            engine().run(b, shared_bytes, body, arguments);
        }
    });
}

}  // namespace pycnn::emulator

#endif
