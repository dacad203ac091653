#include "cpu/memory.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace pycnn {
namespace {

constexpr size_t kSmall = size_t{1} << 15;  // smaller blocks are the C library's: it is fast there
constexpr size_t kHugePage = size_t{1} << 21;  // blocks from here on are mapped, on huge pages
constexpr int kClassesPerDoubling = 8;         // at most an eighth of a block is unused
constexpr int kClasses = 64 * kClassesPerDoubling;

size_t rounded_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

struct SizeClass {
    int index;
    size_t bytes;
};

// The class of a block of at least kSmall bytes: 8, 9, ... 15 eighths of a power of two.
SizeClass size_class(size_t bytes) {
    const int doubling = 63 - __builtin_clzll(bytes - 1);
    const size_t step = (size_t{1} << doubling) / kClassesPerDoubling;
    const size_t size = rounded_up(bytes, step);
    const auto eighths = static_cast<int>(size / step) - kClassesPerDoubling;
    return {doubling * kClassesPerDoubling + eighths, size};
}

void* from_system(size_t bytes) {
    if (bytes < kHugePage) {
        void* block = std::aligned_alloc(kAlignment, rounded_up(bytes, kAlignment));
        if (block == nullptr) throw std::bad_alloc();
        return block;
    }
    // One huge page more than is needed, so that the block can start on a huge page's boundary.
    const size_t length = rounded_up(bytes, kHugePage) + kHugePage;
    void* mapped =
        mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    const auto begin = reinterpret_cast<uintptr_t>(mapped);
    const uintptr_t block = rounded_up(begin, kHugePage);
    const uintptr_t end = block + rounded_up(bytes, kHugePage);
    if (block > begin) munmap(mapped, block - begin);
    if (begin + length > end) munmap(reinterpret_cast<void*>(end), begin + length - end);
#ifdef MADV_HUGEPAGE
    madvise(reinterpret_cast<void*>(block), end - block, MADV_HUGEPAGE);
#endif
    return reinterpret_cast<void*>(block);
}

void to_system(void* block, size_t bytes) {
    if (bytes < kHugePage)
        std::free(block);
    else
        munmap(block, rounded_up(bytes, kHugePage));
}

// A free block, described in its own first bytes: a list per class and one of all, oldest first.
struct Free {
    Free *next_of_class, *previous_of_class;
    Free *newer, *older;
    SizeClass size;
};

class Cache {
  public:
    Cache() {
        const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGE_SIZE);
        const int64_t memory = pages > 0 && page > 0 ? int64_t{pages} * page : int64_t{4} << 30;
        stats_.limit = memory / 4;
    }

    void* allocate(size_t bytes) {
        const SizeClass size = size_class(bytes);
        {
            std::lock_guard<std::mutex> lock(mutex);
            stats_.allocated += static_cast<int64_t>(size.bytes);
            stats_.peak = std::max(stats_.peak, stats_.allocated);
            if (Free* block = of_class_[static_cast<size_t>(size.index)]) {
                ++stats_.hits;
                unlink(block);
                return block;
            }
            ++stats_.misses;
        }
        try {
            return from_system(size.bytes);
        } catch (const std::bad_alloc&) {
            clear();  // what is cached may be what is missing
        }
        try {
            return from_system(size.bytes);
        } catch (const std::bad_alloc&) {
            std::lock_guard<std::mutex> lock(mutex);
            stats_.allocated -= static_cast<int64_t>(size.bytes);
            throw;
        }
    }

    void release(void* memory, size_t bytes) noexcept {
        const SizeClass size = size_class(bytes);
        std::lock_guard<std::mutex> lock(mutex);
        stats_.allocated -= static_cast<int64_t>(size.bytes);
        link(new (memory) Free{nullptr, nullptr, nullptr, nullptr, size});
        while (stats_.cached > stats_.limit) drop(oldest_);
    }

    void clear() {
        std::lock_guard<std::mutex> lock(mutex);
        while (oldest_ != nullptr) drop(oldest_);
    }

    void set_limit(int64_t bytes) {
        std::lock_guard<std::mutex> lock(mutex);
        stats_.limit = bytes;
        while (stats_.cached > stats_.limit) drop(oldest_);
    }

    MemoryStats stats() {
        std::lock_guard<std::mutex> lock(mutex);
        return stats_;
    }

    std::mutex mutex;

  private:
    void link(Free* block) {
        Free*& first = of_class_[static_cast<size_t>(block->size.index)];
        block->next_of_class = first;
        if (first != nullptr) first->previous_of_class = block;
        first = block;
        block->older = newest_;
        (newest_ != nullptr ? newest_->newer : oldest_) = block;
        newest_ = block;
        stats_.cached += static_cast<int64_t>(block->size.bytes);
    }

    void unlink(Free* block) {
        if (block->next_of_class != nullptr)
            block->next_of_class->previous_of_class = block->previous_of_class;
        (block->previous_of_class != nullptr ? block->previous_of_class->next_of_class
                                             : of_class_[static_cast<size_t>(block->size.index)]) =
            block->next_of_class;
        (block->newer != nullptr ? block->newer->older : newest_) = block->older;
        (block->older != nullptr ? block->older->newer : oldest_) = block->newer;
        stats_.cached -= static_cast<int64_t>(block->size.bytes);
    }

    void drop(Free* block) {
        unlink(block);
        to_system(block, block->size.bytes);
    }

    std::array<Free*, kClasses> of_class_{};
    Free *newest_ = nullptr, *oldest_ = nullptr;
    MemoryStats stats_{};
};

// Never destroyed: arrays may outlive every static object. No thread holds its mutex across fork().
Cache& cache() {
    static Cache* const the_cache = [] {
        static Cache* made = new Cache;
        pthread_atfork([] { made->mutex.lock(); }, [] { made->mutex.unlock(); },
                       [] { made->mutex.unlock(); });
        return made;
    }();
    return *the_cache;
}

std::atomic<bool> poisoned{false};

void* allocate_block(size_t bytes) {
    if (bytes >= kSmall) {
        if (bytes > static_cast<size_t>(INT64_MAX) / 2) throw std::bad_alloc();
        return cache().allocate(bytes);
    }
    void* block =
        std::aligned_alloc(kAlignment, rounded_up(std::max<size_t>(bytes, 1), kAlignment));
    if (block == nullptr) throw std::bad_alloc();
    return block;
}

}  // namespace

void* allocate(size_t bytes) {
    void* block = allocate_block(bytes);
    if (poisoned.load(std::memory_order_relaxed)) std::memset(block, 0xff, bytes);
    return block;
}

void poison_allocations(bool poison) { poisoned.store(poison); }

void release(void* block, size_t bytes) noexcept {
    if (block == nullptr) return;
    if (bytes >= kSmall)
        cache().release(block, bytes);
    else
        std::free(block);
}

MemoryStats memory_stats() { return cache().stats(); }

void empty_cache() { cache().clear(); }

void set_cache_limit(int64_t bytes) { cache().set_limit(std::max<int64_t>(bytes, 0)); }

}  // namespace pycnn
