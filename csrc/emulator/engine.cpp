// A fiber runs threads one after the other until one has to wait; then it changes to whoever may go
// on, or to another fiber that starts the next thread. A kernel without barriers therefore never
// changes fibers. They live as long as the system's thread that made them.
//
// This file is compiled without a sanitizer: what the engine does is no part of a kernel.
#include "emulator/engine.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

#include "cpu/parallel.h"
#include "cpu/threads.h"
#include "emulator/context.h"
#include "emulator/launch_limits.h"
#include "emulator/sanitizers.h"
#include "emulator/shared_arrays.h"

namespace pycnn::emulator {

std::string name_of(const Thread& t) {
    const auto text = [](const Index3& i) {
        return "(" + std::to_string(i.x) + ", " + std::to_string(i.y) + ", " + std::to_string(i.z) +
               ")";
    };
    return "thread " + text(t.index) + " of block " + text(t.block->index);
}

std::string text_of(const char* what, const Site& site) {
    return std::string(what) + " at " + site.file + ":" + std::to_string(site.line);
}

namespace {

constexpr const char* kBarrier = "__syncthreads()";

bool same(const Site& a, const Site& b) {
    return a.line == b.line && (a.file == b.file || std::strcmp(a.file, b.file) == 0);
}

// Lanes of one warp that wait for each other.
struct Meeting {
    unsigned mask = 0, arrived = 0;
    const char* what = nullptr;
    Site site{};
    uint64_t generation = 0;
};

struct Warp {
    unsigned open = 0;        // the places of meetings that somebody waits at
    Meeting meetings[kWarp];  // as many as there may be: a lane waits at one

    // The one with the mask, or else a free place.
    Meeting& of(unsigned mask) {
        for (unsigned rest = open; rest != 0; rest &= rest - 1) {
            Meeting& m = meetings[__builtin_ctz(rest)];
            if (m.mask == mask) return m;
        }
        return meetings[__builtin_ctz(~open)];
    }
};

enum class State : uint8_t { unstarted, running, waiting, finished };

struct FiberThread : Thread {
    State state = State::unstarted;
    int fiber = 0;
    const uint64_t* generation = nullptr;  // waiting, it may go on when this is no longer `seen`
    uint64_t seen = 0;
    const Meeting* meeting = nullptr;  // what it waits for; null: the block
    const char* what = nullptr;
    Site site{};

    bool may_run() const {
        return state == State::unstarted || (state == State::waiting && *generation != seen);
    }
};

struct Fiber {
    Context context;
    WatchedStack watched;
    char* stack = nullptr;
    bool started = false;
    unsigned thread = 0;  // the one to start on it
};

// A stack, with a page that faults below it.
char* new_stack() {
    // twice as much as it takes, to cut an aligned part out of
    void* slab = mmap(nullptr, 2 * kStack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (slab == MAP_FAILED) throw std::bad_alloc();
    char* first = static_cast<char*>(slab);
    char* stack = first + (kStack - reinterpret_cast<uintptr_t>(first) % kStack) % kStack;
    if (stack != first) munmap(first, static_cast<size_t>(stack - first));
    munmap(stack + kStack, static_cast<size_t>(first + kStack - stack));
    mprotect(stack, static_cast<size_t>(sysconf(_SC_PAGESIZE)), PROT_NONE);
    return stack;
}

class Engine {
  public:
    ~Engine() {
        for (Fiber& fiber : fibers_) munmap(fiber.stack, kStack);
    }

    void run(const Block& block, size_t shared_bytes, const void* kernel, void (*body)(const void*),
             const void* arguments) {
        struct Busy {
            bool& busy;
            explicit Busy(bool& b) : busy(b) { busy = true; }
            ~Busy() { busy = false; }
        } const now(busy_);
        body_ = body, arguments_ = arguments;
        prepare(block, shared_bytes, kernel);
        let_go(&block_);
        change(host_, for_start(0));
        shared_arrays_.done();
        if (error_ != nullptr || finished_ < count_) {
            if (error_ == nullptr) error_ = std::make_exception_ptr(Fault(stuck()));
            abandon();
            std::rethrow_exception(std::exchange(error_, nullptr));
        }
        take_up(&finished_);
    }

    bool busy() const { return busy_; }

    void meet_block(Site site) {
        FiberThread& me = self();
        if (block_arrived_ == 0) {
            block_site_ = site;
        } else if (!same(site, block_site_)) {
            throw Fault(name_of(me) + " waits in " + text_of(kBarrier, site) +
                        ", others of its block in " + text_of(kBarrier, block_site_));
        }
        // two in turn: who is late to take up one must not see what others let go in the next
        const uint64_t* const barrier = &barriers_[block_generation_ % 2];
        let_go(barrier);
        if (++block_arrived_ == count_) {
            block_arrived_ = 0;
            ++block_generation_;
        } else {
            wait(nullptr, kBarrier, site, block_generation_);
        }
        take_up(barrier);
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
        Warp& warp = warps_[me.warp];
        Meeting& m = warp.of(mask);
        const unsigned place = 1u << (&m - warp.meetings);
        if (!(warp.open & place)) {
            m.mask = mask, m.arrived = 0, m.what = what, m.site = site;
            warp.open |= place;
        } else if (!same(m.site, site) || m.what != what) {
            throw Fault(name_of(me) + " waits in " + text_of(what, site) +
                        ", lanes of the same mask in " + text_of(m.what, m.site));
        }
        m.arrived |= bit;
        let_go(me.operand);
        if (m.arrived == mask) {
            Thread* together[kWarp];
            FiberThread* const first = &threads_[me.warp * kWarp];
            for (unsigned i = 0; i < kWarp; ++i) {
                together[i] = mask >> i & 1 ? first + i : nullptr;
                if (together[i] != nullptr) take_up(together[i]->operand);
            }
            combine(together);
            for (Thread* t : together)
                if (t != nullptr) let_go(t->result);
            ++m.generation;
            warp.open &= ~place;
        } else {
            wait(&m, what, site, m.generation);
            take_up(me.result);
        }
    }

  private:
    static FiberThread& self() { return static_cast<FiberThread&>(*current); }

    void prepare(const Block& block, size_t shared_bytes, const void* kernel) {
        const Size3 size = block.size;
        const bool reshaped = size.x != block_.size.x || size.y != block_.size.y ||
                              count_ != size.x * size.y * size.z;
        block_ = block;
        if (reshaped) {
            count_ = size.x * size.y * size.z;
            if (threads_.size() < count_) threads_.resize(count_);
            if (warps_.size() * kWarp < count_) warps_.resize((count_ + kWarp - 1) / kWarp);
            for (unsigned i = 0; i < count_; ++i) {
                FiberThread& t = threads_[i];
                t.index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
                t.lane = i % kWarp, t.warp = i / kWarp;
                t.block = &block_;
            }
        }
        for (unsigned i = 0; i < count_; ++i) threads_[i].state = State::unstarted;
        finished_ = 0;
        while (kStackPerThread && fibers_.size() < count_) add_fiber();
        // exactly as large as asked for, so that AddressSanitizer sees what is beyond
        if (shared_bytes != shared_.bytes) shared_.resize(shared_bytes);
        block_.dynamic_shared = shared_.data;
        if (shared_bytes != 0) std::memset(shared_.data, 0xff, shared_bytes);  // NaN in any float
        shared_arrays_.poison(kernel);
    }

    // Changes to the fiber of a thread that may run; there is none: to the host.
    void go_on(Fiber& from, FiberThread* next) {
        if (next == nullptr)
            change(from, host_);
        else if (next->state == State::unstarted)
            change(from, for_start(static_cast<unsigned>(next - threads_.data())));
        else
            change(from, fibers_[static_cast<size_t>(next->fiber)]);
    }

    void change(Fiber& from, Fiber& to) {
        if (&from == &host_) host_.watched.begin_here();
        WatchedStack::leave(from.watched, to.watched);
        left_ = &from;
        Context::change(from.context, to.context);
        WatchedStack::arrive(from.watched, left_->watched);
    }

    // A fiber that starts the thread when it is changed to.
    Fiber& for_start(unsigned thread) {
        if (!kStackPerThread && idle_.empty()) {
            add_fiber();
            idle_.push_back(static_cast<int>(fibers_.size()) - 1);
        }
        const int i = kStackPerThread ? static_cast<int>(thread) : idle_.back();
        if (!kStackPerThread) idle_.pop_back();
        Fiber& fiber = fibers_[static_cast<size_t>(i)];
        fiber.thread = thread;
        threads_[thread].fiber = i;
        if (!fiber.started) {
            fiber.started = true;
            new (fiber.stack + kStack - sizeof(StackEnd)) StackEnd{nullptr, this, &fiber, {}};
            fiber.context.prepare(fiber.stack, kStack - sizeof(StackEnd), &Engine::enter);
        }
        return fiber;
    }

    void add_fiber() {
        Fiber fiber;
        fiber.stack = new_stack();
        fiber.watched.begin(static_cast<unsigned>(fibers_.size()), fiber.stack, kStack);
        fibers_.push_back(fiber);
    }

    static void enter() {
        const StackEnd& mine = Current::stack();
        static_cast<Engine*>(mine.engine)->work(*static_cast<Fiber*>(mine.fiber));
    }

    // What a fiber does: threads that have not started, one after the other, then it rests.
    [[noreturn]] void work(Fiber& fiber) {
        WatchedStack::arrive(fiber.watched, left_->watched);
        for (;;) {
            FiberThread& t = threads_[fiber.thread];
            t.state = State::running;
            t.copies.pending.clear();
            Current::stack().thread = &t;
            take_up(&block_);
            try {
                body_(arguments_);
            } catch (...) {  // below lies the end of the fiber's stack
                error_ = std::current_exception();
            }
            if (error_ != nullptr) change(fiber, host_);  // and never back
            let_go(&finished_);
            t.state = State::finished;
            ++finished_;
            FiberThread* const next = next_after(t);
            if (!kStackPerThread && next != nullptr && next->state == State::unstarted) {
                fiber.thread = static_cast<unsigned>(next - threads_.data());
                next->fiber = t.fiber;
                continue;
            }
            if (!kStackPerThread) idle_.push_back(t.fiber);
            go_on(fiber, next);
        }
    }

    // Who may run, looked for in the warp of `t` first; null: nobody.
    FiberThread* next_after(const FiberThread& t) {
        const auto me = static_cast<unsigned>(&t - threads_.data());
        const unsigned first = t.warp * kWarp, last = std::min(first + kWarp, count_);
        const auto look = [&](unsigned begin, unsigned end) -> FiberThread* {
            for (unsigned i = begin; i < end; ++i)
                if (threads_[i].may_run()) return &threads_[i];
            return nullptr;
        };
        if (FiberThread* found = look(me + 1, last)) return found;
        if (FiberThread* found = look(first, me)) return found;
        if (FiberThread* found = look(last, count_)) return found;
        return look(0, first);
    }

    void wait(const Meeting* meeting, const char* what, Site site, const uint64_t& generation) {
        FiberThread& me = self();
        me.meeting = meeting, me.what = what, me.site = site;
        me.generation = &generation, me.seen = generation;
        me.state = State::waiting;
        go_on(fibers_[static_cast<size_t>(me.fiber)], next_after(me));
        me.state = State::running;
    }

    // After a fault: what fibers ran is left where it is.
    void abandon() {
        idle_.clear();
        for (size_t i = fibers_.size(); i-- > 0;) {
            Fiber& fiber = fibers_[i];
            fiber.started = false;
            fiber.watched.end();
            fiber.watched.begin(static_cast<unsigned>(i), fiber.stack, kStack);
            idle_.push_back(static_cast<int>(i));
        }
        block_arrived_ = 0;
        for (Warp& warp : warps_) warp.open = 0;
    }

    // Why no thread can go on.
    std::string stuck() const {
        const auto waits =
            std::find_if(threads_.begin(), threads_.begin() + count_,
                         [](const FiberThread& t) { return t.state == State::waiting; });
        std::string text =
            name_of(*waits) + " waits for ever in " + text_of(waits->what, waits->site);
        for (unsigned i = 0; i < count_; ++i) {  // the first that it waits for
            const FiberThread& t = threads_[i];
            const Meeting* m = waits->meeting;
            const bool awaited =
                m == nullptr ? t.state == State::finished || t.meeting != nullptr
                             : t.warp == waits->warp && (m->mask & ~m->arrived) >> t.lane & 1;
            if (!awaited) continue;
            text += "; " + name_of(t);
            return text + (t.state == State::finished ? " has returned"
                                                      : " waits in " + text_of(t.what, t.site));
        }
        return text;
    }

    // What the launch gave the block, aligned as on a GPU.
    struct Dynamic {
        ~Dynamic() { std::free(data); }
        void resize(size_t wanted) {
            std::free(data);
            data = nullptr, bytes = 0;
            if (wanted != 0 && posix_memalign(&data, 128, wanted) != 0) throw std::bad_alloc();
            bytes = wanted;
        }
        void* data = nullptr;
        size_t bytes = 0;
    };

    bool busy_ = false;
    Block block_{};
    void (*body_)(const void*) = nullptr;
    const void* arguments_ = nullptr;
    std::vector<FiberThread> threads_;
    std::vector<Warp> warps_;
    std::deque<Fiber> fibers_;  // they stay where they are
    std::vector<int> idle_;     // fibers
    Fiber host_;                // who called run()
    Fiber* left_ = nullptr;     // the fiber before the last change
    Dynamic shared_;
    SharedArrays shared_arrays_;
    unsigned count_ = 0, finished_ = 0, block_arrived_ = 0;
    uint64_t block_generation_ = 0, barriers_[2] = {};
    Site block_site_{};
    std::exception_ptr error_;
};

Engine& engine() {
    thread_local Engine engine;
    return engine;
}

thread_local Noting* notes = nullptr;

// Of the fiber that calls, without a look at the system's thread.
Engine& engine_of_fiber() { return *static_cast<Engine*>(Current::stack().engine); }

}  // namespace

Noting::Noting() {
    if (notes != nullptr) throw Fault("launches are noted already");
    notes = this;
}
Noting::~Noting() { notes = nullptr; }
bool noting() { return notes != nullptr; }

void meet_block(Site site) { engine_of_fiber().meet_block(site); }

void meet_warp(unsigned mask, const char* what, Site site, Combine combine) {
    engine_of_fiber().meet_warp(mask, what, site, combine);
}

void run_grid(Size3 grid, Size3 block, size_t shared_bytes, const void* kernel,
              void (*body)(const void*), const void* arguments) {
    if (engine().busy()) throw Fault(name_of(*current) + " launches a kernel");
    check_launch(grid, block, shared_bytes);
    if (notes != nullptr) return notes->launches.push_back({grid, block, shared_bytes, kernel});
    const auto run = [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
            Block b{};
            b.index = {static_cast<unsigned>(i % grid.x),
                       static_cast<unsigned>(i / grid.x % grid.y),
                       static_cast<unsigned>(i / grid.x / grid.y)};
            b.size = block, b.grid = grid;
            engine().run(b, shared_bytes, kernel, body, arguments);
        }
    };
    const int64_t blocks = int64_t{1} * grid.x * grid.y * grid.z;
#ifdef PYCNN_EMULATOR_CHECKED
    static std::mutex one_block;
    const std::lock_guard<std::mutex> only(one_block);
    run(0, blocks);
#else
    const double cost = 20.0 * block.x * block.y * block.z;
    parallel_ranges(blocks, 8 * num_threads(), cost, run);
#endif
}

}  // namespace pycnn::emulator
