// The caching allocator of host memory: what tensors and kernels' workspaces live in.
//
// The C library returns large blocks to the system when they are freed, and every page of the next
// one is then faulted in and zeroed again: for a large activation that costs more than the kernel
// that fills it. Freed blocks are kept here instead, by size class, up to a bound.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace pycnn {

constexpr size_t kAlignment = 64;  // of every block: a cache line and a vector of AVX-512

// Uninitialised memory, aligned to kAlignment; throws std::bad_alloc.
void* allocate(size_t bytes);
// Gives back what allocate(bytes) returned; null is allowed.
void release(void* block, size_t bytes) noexcept;

struct MemoryStats {
    int64_t allocated;  // bytes in use, rounded up to their size classes
    int64_t peak;       // the most of these at any time
    int64_t cached;     // bytes kept for the next caller
    int64_t limit;      // the most bytes kept
    int64_t hits;       // blocks served from the cache
    int64_t misses;     // blocks fetched from the system
};
MemoryStats memory_stats();
// Returns to the system all memory that nobody uses.
void empty_cache();

// Sets the most bytes kept, and gives back at once what is beyond.
void set_cache_limit(int64_t bytes);

// From now on, whether allocate() fills what it returns with NaN (all bits set): for tests.
void poison_allocations(bool poison);

// A workspace of `count` uninitialised elements.
template <class T>
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(int64_t count)
        : bytes_(static_cast<size_t>(count) * sizeof(T)),
          data_(static_cast<T*>(allocate(bytes_))) {}
    Buffer(Buffer&& other) noexcept
        : bytes_(std::exchange(other.bytes_, 0)), data_(std::exchange(other.data_, nullptr)) {}
    Buffer& operator=(Buffer&& other) noexcept {
        std::swap(bytes_, other.bytes_);
        std::swap(data_, other.data_);
        return *this;
    }
    ~Buffer() { release(data_, bytes_); }

    T* data() const { return data_; }
    T& operator[](int64_t i) const { return data_[i]; }

  private:
    size_t bytes_ = 0;
    T* data_ = nullptr;
};

}  // namespace pycnn
