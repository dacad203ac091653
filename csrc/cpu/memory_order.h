// Arrays of one shape walked as they lie in memory, whatever the order of their axes.
#pragma once

#include <initializer_list>

#include "cpu/copy.h"

namespace pycnn::PYCNN_ISA {

// The axes from the innermost in memory to the outermost.
inline void memory_order(const ArrayView& a, int* order) {
    for (int i = 0; i < a.ndim; ++i) {
        int at = i;
        for (; at > 0 && a.strides[order[at - 1]] >= a.strides[i]; --at) order[at] = order[at - 1];
        order[at] = i;
    }
}

// Whether the elements fill a stretch of memory.
inline bool fills_memory(const ArrayView& a) {
    int order[kMaxDims];
    memory_order(a, order);
    return packed(a, order);
}

inline bool steps_alike(const ArrayView& a, const ArrayView& b) {
    for (int i = 0; i < a.ndim; ++i)
        if (a.shape[i] != 1 && a.strides[i] != b.strides[i]) return false;
    return true;
}

// The layout of the first array that fills memory, in the steps a dense array has; contiguous if
// none does.
inline ArrayView without_gaps(std::initializer_list<const ArrayView*> arrays) {
    const ArrayView& first = **arrays.begin();
    for (const ArrayView* a : arrays) {
        if (!fills_memory(*a)) continue;
        ArrayView walk = *a;
        int order[kMaxDims];
        memory_order(*a, order);
        int64_t stride = 1;
        for (int i = 0; i < a->ndim; ++i) {  // axes of size 1 may have any stride
            walk.strides[order[i]] = stride;
            stride *= a->shape[order[i]];
        }
        return walk;
    }
    return dense_view(nullptr, first.dtype, first, Layout::contiguous);
}

// The elements of an array as T in the order of `walk`: its own memory, or a copy.
template <class T>
class OrderedInput {
  public:
    OrderedInput(const ArrayView& a, const ArrayView& walk) {
        data_ = static_cast<const T*>(a.data);
        if (a.dtype == DTypeOf<T>::value && steps_alike(a, walk)) return;
        workspace_ = Buffer<T>(a.numel());
        ArrayView to = walk;
        to.data = workspace_.data();
        to.dtype = DTypeOf<T>::value;
        copy(a, to);
        data_ = workspace_.data();
    }
    const T* data() const { return data_; }

  private:
    Buffer<T> workspace_;
    const T* data_;
};

// Where a kernel writes T in the order of `walk`; finish() copies what is not there yet.
template <class T>
class OrderedOutput {
  public:
    OrderedOutput(const ArrayView& a, const ArrayView& walk) : array_(a), walk_(walk) {
        data_ = static_cast<T*>(a.data);
        if (a.dtype == DTypeOf<T>::value && steps_alike(a, walk)) return;
        workspace_ = Buffer<T>(a.numel());
        data_ = workspace_.data();
    }
    T* data() const { return data_; }
    void finish() const {
        if (workspace_.data() == nullptr) return;
        ArrayView from = walk_;
        from.data = workspace_.data();
        from.dtype = DTypeOf<T>::value;
        copy(from, array_);
    }

  private:
    ArrayView array_, walk_;
    Buffer<T> workspace_;
    T* data_;
};

// A walk cut at one axis: element (o, i, j) lies at (o * size + i) * inner + j.
struct Cut {
    int64_t outer, size, inner;
};

inline Cut cut_at(const ArrayView& walk, int axis) {
    Cut cut{1, walk.shape[axis], 1};
    for (int i = 0; i < walk.ndim; ++i) {
        if (i == axis) continue;
        // a size of 1 may step like the axis: it is no factor anyway
        (walk.strides[i] >= walk.strides[axis] ? cut.outer : cut.inner) *= walk.shape[i];
    }
    return cut;
}

}  // namespace pycnn::PYCNN_ISA
