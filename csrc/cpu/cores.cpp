#include "cpu/cores.h"

#include <algorithm>
#include <thread>

#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace pycnn {

#ifdef __linux__
namespace {

// The cores a thread may run on.
class CoreSet {
  public:
    // The calling thread's; empty if the kernel does not tell.
    CoreSet() {
        // The kernel refuses a mask shorter than its own, so grow ours until it fits.
        for (int bits = 1024; bits <= 1 << 20; bits *= 2) {
            set_ = CPU_ALLOC(bits);
            if (set_ == nullptr) return;
            bytes_ = CPU_ALLOC_SIZE(bits);
            if (sched_getaffinity(0, bytes_, set_) == 0) return;
            const bool too_short = errno == EINVAL;
            CPU_FREE(set_);
            set_ = nullptr;
            if (!too_short) return;
        }
    }
    ~CoreSet() {
        if (set_ != nullptr) CPU_FREE(set_);
    }
    CoreSet(const CoreSet&) = delete;
    CoreSet& operator=(const CoreSet&) = delete;

    int count() const { return set_ == nullptr ? 0 : CPU_COUNT_S(bytes_, set_); }
    void remove(int core) {
        if (set_ != nullptr && core >= 0) CPU_CLR_S(static_cast<size_t>(core), bytes_, set_);
    }
    void give_to(int thread) const { sched_setaffinity(thread, bytes_, set_); }

  private:
    cpu_set_t* set_ = nullptr;
    size_t bytes_ = 0;
};

}  // namespace

int64_t available_cores() {
    const int count = CoreSet().count();
    return count > 0 ? count : std::max(1u, std::thread::hardware_concurrency());
}

int current_core() { return sched_getcpu(); }
int current_thread() { return static_cast<int>(syscall(SYS_gettid)); }

void keep_off(const std::vector<int>& threads, int core) {
    CoreSet others;
    others.remove(core);
    if (others.count() == 0) return;
    for (const int thread : threads) others.give_to(thread);
}

#else

int64_t available_cores() { return std::max(1u, std::thread::hardware_concurrency()); }
int current_core() { return -1; }
int current_thread() { return 0; }
void keep_off(const std::vector<int>&, int) {}

#endif

}  // namespace pycnn
