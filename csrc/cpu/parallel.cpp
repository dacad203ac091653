#include "cpu/parallel.h"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <iterator>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "cpu/cores.h"
#include "cpu/threads.h"

namespace pycnn {
namespace {

std::atomic<double> least_share{4000};  // nanoseconds of work that are worth a further thread
constexpr double kAsleep = 6;  // times that: the least work for which sleeping threads are woken
constexpr auto kSpin = std::chrono::microseconds(1000);  // how long an idle thread looks for work

void relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// One job at a time. A worker joins by adding itself to `state_` while the job is open; the caller
// closes the job when no task is left and waits only for those inside, so that a worker that was
// slow to wake delays nobody.
//
// The tasks are dealt out in order, to each thread a stretch of its own, the same one in every job:
// what a thread wrote is in its core's cache when the next job reads it. A thread that has done its
// own takes from the others' stretches.
//
// A system that saves cores wakes a thread on that of the caller, where it waits for milliseconds.
// So sleeping workers are kept off the caller's core before they are woken.
class Pool {
  public:
    Pool() { std::fill(std::begin(off_), std::end(off_), -1); }

    // False if another caller holds the pool.
    bool run(int64_t tasks, int helpers, TaskFunction body) {
        std::unique_lock<std::mutex> held(caller_, std::try_to_lock);
        if (!held.owns_lock()) return false;
        start_workers(helpers);
        body_ = &body;
        error_ = nullptr;
        deal(tasks, helpers + 1);
        if (sleepers_.load() > 0) keep_off_core(current_core(), helpers);
        state_.fetch_and(~kClosed);
        epoch_.fetch_add(1);
        if (sleepers_.load() > 0) {
            std::lock_guard<std::mutex> lock(sleep_);
            wake_.notify_all();
        }
        work(0);
        state_.fetch_or(kClosed);
        for (int looked = 0; state_.load(std::memory_order_acquire) != kClosed; ++looked) {
            relax();
            if (looked > 2000) std::this_thread::yield();
        }
        const std::exception_ptr error = std::exchange(error_, nullptr);
        held.unlock();
        if (error) std::rethrow_exception(error);
        return true;
    }

    // Whether there is no thread that would notice work by itself.
    bool asleep() const { return sleepers_.load() >= workers_.load(); }

  private:
    static constexpr unsigned kClosed = 1u << 31;  // the other bits count the workers inside

    void start_workers(int wanted) {
        while (workers_.load() < wanted) {
            const int me = workers_.load() + 1;
            try {
                std::thread(&Pool::serve, this, me).detach();
            } catch (const std::system_error&) {
                return;  // the caller and the workers there are do it all
            }
            workers_.store(me);
        }
    }

    void keep_off_core(int core, int helpers) {
        std::vector<int> moved;
        for (int i = 1; i <= helpers; ++i) {
            const int thread = system_threads_[i].load(std::memory_order_relaxed);
            if (thread != 0 && std::exchange(off_[i], core) != core) moved.push_back(thread);
        }
        if (!moved.empty()) keep_off(moved, core);
    }

    void serve(int me) {
        system_threads_[me].store(current_thread(), std::memory_order_relaxed);
        unsigned seen = epoch_.load() - 1;
        for (;;) {
            wait_for_change(seen);
            seen = epoch_.load();
            if (!(state_.fetch_add(1) & kClosed) && me < threads_) work(me);
            state_.fetch_sub(1);
        }
    }

    void wait_for_change(unsigned seen) {
        const auto give_up = std::chrono::steady_clock::now() + kSpin;
        do {
            for (int i = 0; i < 64; ++i) {
                if (epoch_.load(std::memory_order_relaxed) != seen) return;
                relax();
            }
        } while (std::chrono::steady_clock::now() < give_up);
        std::unique_lock<std::mutex> lock(sleep_);
        sleepers_.fetch_add(1);
        wake_.wait(lock, [&] { return epoch_.load() != seen; });
        sleepers_.fetch_sub(1);
    }

    // Cuts the tasks into a stretch for each thread.
    void deal(int64_t tasks, int threads) {
        if (threads > room_) {
            stretches_.reset(new Stretch[static_cast<size_t>(threads)]);
            room_ = threads;
        }
        threads_ = threads;
        for (int i = 0; i < threads; ++i) {
            stretches_[i].next.store(tasks * i / threads, std::memory_order_relaxed);
            stretches_[i].end = tasks * (i + 1) / threads;
        }
    }

    // The work of thread `me`: its own stretch, then what is left of the others'.
    void work(int me) {
        const TaskFunction& body = *body_;
        const int threads = threads_;
        try {
            for (int i = 0; i < threads; ++i) {
                Stretch& stretch = stretches_[(me + i) % threads];
                for (;;) {
                    const int64_t task = stretch.next.fetch_add(1, std::memory_order_relaxed);
                    if (task >= stretch.end) break;
                    body(task);
                }
            }
        } catch (...) {
            for (int i = 0; i < threads; ++i)
                stretches_[i].next.store(stretches_[i].end, std::memory_order_relaxed);
            std::lock_guard<std::mutex> lock(sleep_);
            if (!error_) error_ = std::current_exception();
        }
    }

    std::mutex caller_;
    struct alignas(64) Stretch {
        std::atomic<int64_t> next{0};
        int64_t end = 0;
    };

    const TaskFunction* body_ = nullptr;
    std::unique_ptr<Stretch[]> stretches_;
    int room_ = 0, threads_ = 0;
    std::exception_ptr error_;
    std::atomic<unsigned> state_{kClosed};
    std::atomic<unsigned> epoch_{0};
    std::atomic<int> sleepers_{0};
    std::mutex sleep_;
    std::condition_variable wake_;
    std::atomic<int> workers_{0};
    // By worker: its number in the system, 0 before it runs; the core that it is kept off.
    std::atomic<int> system_threads_[kMaxThreads] = {};
    int off_[kMaxThreads];
};

// Never destroyed: its workers run until the process ends. A child of fork() has none of them, and
// gets a pool of its own.
std::atomic<Pool*> the_pool{nullptr};

Pool& pool() {
    static const bool once = [] {
        the_pool.store(new Pool);
        pthread_atfork(nullptr, nullptr, [] { the_pool.store(new Pool); });
        return true;
    }();
    (void)once;
    return *the_pool.load();
}

thread_local bool inside_a_task = false;

struct InsideATask {
    InsideATask() { inside_a_task = true; }
    ~InsideATask() { inside_a_task = false; }
};

}  // namespace

void set_least_share(double nanoseconds) { least_share.store(std::max(nanoseconds, 1e-9)); }

void parallel_for(int64_t tasks, double cost, TaskFunction body) {
    if (tasks <= 0) return;
    double worth = cost * static_cast<double>(tasks) / least_share.load();
    if (worth < kAsleep && pool().asleep()) worth = 1;
    const int64_t threads = std::min<int64_t>(
        {num_threads(), tasks, worth < 1024 ? static_cast<int64_t>(worth) : 1024});
    if (threads > 1 && !inside_a_task) {
        const auto marked = [&](int64_t task) {
            const InsideATask here;
            body(task);
        };
        if (pool().run(tasks, static_cast<int>(threads) - 1, marked)) return;
    }
    for (int64_t task = 0; task < tasks; ++task) body(task);
}

}  // namespace pycnn
