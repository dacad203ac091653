// The thread pool of the CPU kernels.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace pycnn {

// A reference to something callable with a task's number; it must outlive the call it is given to.
class TaskFunction {
  public:
    template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, TaskFunction>>>
    TaskFunction(F&& function)
        : object_(const_cast<void*>(static_cast<const void*>(&function))),
          call_([](void* object, int64_t task) {
              (*static_cast<std::remove_reference_t<F>*>(object))(task);
          }) {}
    void operator()(int64_t task) const { call_(object_, task); }

  private:
    void* object_;
    void (*call_)(void*, int64_t);
};

// Calls body(task) once for every task in [0, tasks) and returns when all are done.
//
// On up to num_threads() threads, the caller's among them. Each begins with a stretch of the tasks,
// the same in every call with as many, and then helps the others; `cost` is what one task takes, in
// nanoseconds or so: work too small to share is not shared.
// Which thread runs a task, and whether any other joins at all (another caller may hold the pool,
// or the call may come from inside a task), is open: only how the work was cut into tasks may show
// in a result. The first exception of a task is rethrown here, after the others have stopped.
void parallel_for(int64_t tasks, double cost, TaskFunction body);

// The least work worth a further thread, in nanoseconds; 0 shares everything, for tests.
void set_least_share(double nanoseconds);

// Cuts [0, size) into at most `parts` ranges of nearly equal length, in order, and calls
// body(begin, end) for each through parallel_for; `cost` is that of one element.
template <class F>
void parallel_ranges(int64_t size, int64_t parts, double cost, F&& body) {
    if (size <= 0) return;
    parts = parts < 1 ? 1 : parts > size ? size : parts;
    const int64_t each = size / parts, longer = size % parts;
    parallel_for(parts, cost * static_cast<double>(each), [&](int64_t part) {
        const int64_t begin = part * each + (part < longer ? part : longer);
        body(begin, begin + each + (part < longer ? 1 : 0));
    });
}

}  // namespace pycnn
