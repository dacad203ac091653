// What AddressSanitizer and ThreadSanitizer must be told of fibers; nothing in other builds.
#pragma once

#include <cstddef>
#include <string>

#include "emulator/engine.h"

#ifdef PYCNN_EMULATOR_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef PYCNN_EMULATOR_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace pycnn::emulator {

// To ThreadSanitizer every CUDA thread is a thread of its own, with a stack of its own: it would
// take two on one stack for one that races with itself.
#ifdef PYCNN_EMULATOR_TSAN
constexpr bool kStackPerThread = true;
#else
constexpr bool kStackPerThread = false;
#endif

// A stack that code runs on, as the sanitizers know it.
class WatchedStack {
  public:
    // A fiber's, the stack of the block's thread of that number where each has one.
    void begin(unsigned number, const char* lowest, size_t bytes);
    // The caller's own.
    void begin_here();
    // Nobody will go on where it was left.
    void end();
    // Around a change: before it, and after it on the stack that was changed to.
    static void leave(WatchedStack& from, WatchedStack& to);
    static void arrive(WatchedStack& here, WatchedStack& from);

  private:
#if defined(PYCNN_EMULATOR_ASAN)
    const void* lowest_ = nullptr;
    size_t bytes_ = 0;
    void* fake_ = nullptr;
#elif defined(PYCNN_EMULATOR_TSAN)
    void* thread_ = nullptr;
#endif
};

#if defined(PYCNN_EMULATOR_ASAN)

inline void WatchedStack::begin(unsigned, const char* lowest, size_t bytes) {
    lowest_ = lowest, bytes_ = bytes, fake_ = nullptr;
}
inline void WatchedStack::begin_here() {}
inline void WatchedStack::end() { __asan_unpoison_memory_region(lowest_, bytes_); }
inline void WatchedStack::leave(WatchedStack& from, WatchedStack& to) {
    __sanitizer_start_switch_fiber(&from.fake_, to.lowest_, to.bytes_);
}
inline void WatchedStack::arrive(WatchedStack& here, WatchedStack& from) {
    __sanitizer_finish_switch_fiber(here.fake_, &from.lowest_, &from.bytes_);
}

#elif defined(PYCNN_EMULATOR_TSAN)

inline void WatchedStack::begin(unsigned number, const char*, size_t) {
    thread_ = __tsan_create_fiber(0);
    __tsan_set_fiber_name(thread_, ("thread " + std::to_string(number) + " of its block").c_str());
}
inline void WatchedStack::begin_here() { thread_ = __tsan_get_current_fiber(); }
inline void WatchedStack::end() {
    void* const caller = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(thread_, 0);  // there and back: all it did happened before
    __tsan_switch_to_fiber(caller, 0);
    __tsan_destroy_fiber(thread_);
}
inline void WatchedStack::leave(WatchedStack&, WatchedStack& to) {
    __tsan_switch_to_fiber(to.thread_, __tsan_switch_to_fiber_no_sync);
}
inline void WatchedStack::arrive(WatchedStack&, WatchedStack&) {}

#else

inline void WatchedStack::begin(unsigned, const char*, size_t) {}
inline void WatchedStack::begin_here() {}
inline void WatchedStack::end() {}
inline void WatchedStack::leave(WatchedStack&, WatchedStack&) {}
inline void WatchedStack::arrive(WatchedStack&, WatchedStack&) {}

#endif

// What happened before let_go(x) happened before what follows a later take_up(x).
#ifdef PYCNN_EMULATOR_TSAN
inline void let_go(const void* x) { __tsan_release(const_cast<void*>(x)); }
inline void take_up(const void* x) { __tsan_acquire(const_cast<void*>(x)); }
#else
inline void let_go(const void*) {}
inline void take_up(const void*) {}
#endif

}  // namespace pycnn::emulator
