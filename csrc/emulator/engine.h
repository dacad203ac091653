// The CUDA execution model on a CPU: grids of blocks of threads that meet at barriers.
//
// The threads of a block are fibers of one thread of the system, so that a barrier costs a few
// nanoseconds; blocks are spread over the cores. engine.cpp tells AddressSanitizer and
// ThreadSanitizer about the fibers. Built for one of them (PYCNN_EMULATOR_ASAN, _TSAN), one block
// runs at a time: shared arrays are then ordinary static memory, which AddressSanitizer guards, and
// to ThreadSanitizer every CUDA thread is a thread that only the kernel's own barriers order.
//
// What a GPU would do silently or hang on is reported with file, line and thread: a barrier that
// some threads of the block reach at another place or never, a warp's operation whose mask names a
// lane that does not come, a lane outside its own mask. A thread that has returned does not count
// as having arrived: stricter than the hardware, which the programming guide leaves undefined.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#if defined(PYCNN_EMULATOR_ASAN) || defined(PYCNN_EMULATOR_TSAN)
#define PYCNN_EMULATOR_CHECKED
#endif

namespace pycnn::emulator {

constexpr unsigned kWarp = 32;
constexpr size_t kSlot = 64;  // bytes a lane may hand in or take out where its warp meets

struct Index3 {
    unsigned x = 0, y = 0, z = 0;
};

struct Size3 {
    unsigned x = 1, y = 1, z = 1;
    constexpr Size3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// Where in a kernel's source something was called.
struct Site {
    const char* file;
    int line;

    // As a parameter's default value: where the function was called.
    static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
        return {file, line};
    }
};

// What is wrong with a kernel, in one sentence.
struct Fault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Block {
    Index3 index;
    Size3 size, grid;
    void* dynamic_shared;
};

// The copies a thread has under way: see copies.h.
struct Copies {
    struct Copy {
        void* to;
        const void* from;
        size_t bytes;
        int64_t group;
    };
    std::vector<Copy> pending;  // in the order of their groups
    int64_t closed = 0;         // groups
};

// What a thread of the block sees of itself; the engine adds its own.
struct Thread {
    Index3 index;
    unsigned lane, warp;
    Block* block;
    Copies copies;
    alignas(16) std::byte operand[kSlot], result[kSlot];
};

// Fibers' stacks, a power of two in size and aligned to it: from any address on one follows where
// its last bytes are, which hold whose stack it is.
#ifdef PYCNN_EMULATOR_CHECKED
constexpr size_t kStack = 512 * 1024;  // the sanitizers' frames are large
#else
constexpr size_t kStack = 128 * 1024;
#endif
struct StackEnd {
    Thread* thread;
    void *engine, *fiber;
    void* padding[5];
};
static_assert(sizeof(StackEnd) == 64);

// The thread that runs now: current->lane. In a kernel only.
struct Current {
    static StackEnd& stack() {
        const auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
        return *reinterpret_cast<StackEnd*>((here | (kStack - 1)) + 1 - sizeof(StackEnd));
    }
    Thread* operator->() const { return stack().thread; }
    Thread& operator*() const { return *stack().thread; }
};
constexpr Current current{};

// A function over the operands of the lanes that have met: reads operand, writes result.
class Combine {
  public:
    template <class F>
    explicit Combine(const F& function)
        : object_(&function), call_([](const void* object, Thread* const* lanes) {
              (*static_cast<const F*>(object))(lanes);
          }) {}
    void operator()(Thread* const* lanes) const { call_(object_, lanes); }

  private:
    const void* object_;
    void (*call_)(const void*, Thread* const*);
};

// Waits until every thread of the block has called it at this place.
void meet_block(Site site);

// Waits until the lanes of `mask` have called it at this place; the last runs `combine` on the 32
// lanes' threads (null where a lane is not in the mask) before the others go on.
void meet_warp(unsigned mask, const char* what, Site site, Combine combine);

// Runs `body` once for every thread of the grid; throws the first exception of a thread. `kernel`
// tells kernels apart.
void run_grid(Size3 grid, Size3 block, size_t shared_bytes, const void* kernel,
              void (*body)(const void*), const void* arguments);

// What run_grid was told to run.
struct Launch {
    Size3 grid, block;
    size_t shared_bytes;  // dynamic
    const void* kernel;
};

// While one of these exists, the thread that made it runs no kernels: their launches are noted.
class Noting {
  public:
    Noting();
    ~Noting();
    Noting(const Noting&) = delete;
    Noting& operator=(const Noting&) = delete;
    std::vector<Launch> launches;
};
bool noting();

// "thread (3, 0, 0) of block (0, 1, 0)"
std::string name_of(const Thread& thread);
// "__syncthreads() at gemm.cuh:83"
std::string text_of(const char* what, const Site& site);

// What each lane hands in and takes out.
template <class T>
T& operand_of(Thread& t) {
    static_assert(sizeof(T) <= kSlot && std::is_trivially_copyable_v<T>);
    return *reinterpret_cast<T*>(t.operand);
}
template <class T>
T& result_of(Thread& t) {
    static_assert(sizeof(T) <= kSlot && std::is_trivially_copyable_v<T>);
    return *reinterpret_cast<T*>(t.result);
}

// The lanes of `mask` hand in a value each; combine(lanes) fills their results.
template <class Out, class In, class F>
Out exchange(unsigned mask, const char* what, Site site, const In& value, const F& combine) {
    Thread& me = *current;
    operand_of<In>(me) = value;
    meet_warp(mask, what, site, Combine(combine));
    return result_of<Out>(me);
}

}  // namespace pycnn::emulator
