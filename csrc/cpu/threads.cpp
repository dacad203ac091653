#include "cpu/threads.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>

#include "common/checks.h"
#include "cpu/cores.h"

namespace pycnn {

namespace {

std::atomic<int> chosen{0};  // 0: not chosen yet

std::string accepted_counts() { return "an integer from 1 to " + std::to_string(kMaxThreads); }

int64_t default_threads() {
    const char* text = std::getenv("PYCNN_NUM_THREADS");
    if (text == nullptr || *text == '\0') return std::min(available_cores(), kMaxThreads);
    int64_t count = 0;
    for (const char* c = text; *c != '\0'; ++c) {
        count = *c >= '0' && *c <= '9' ? count * 10 + (*c - '0') : 0;
        if (count == 0 || count > kMaxThreads)
            throw ValueError(refusal("PYCNN_NUM_THREADS", "'" + std::string(text) + "'",
                                     accepted_counts() + " (or unset)"));
    }
    return count;
}

}  // namespace

int num_threads() {
    int count = chosen.load(std::memory_order_relaxed);
    if (count != 0) return count;
    int unset = 0;
    chosen.compare_exchange_strong(unset, static_cast<int>(default_threads()));
    return chosen.load(std::memory_order_relaxed);
}

void set_num_threads(int64_t count) {
    if (count < 1 || count > kMaxThreads)
        throw ValueError(
            refusal("the number of threads", std::to_string(count), accepted_counts()));
    chosen.store(static_cast<int>(count), std::memory_order_relaxed);
}

}  // namespace pycnn
