// Arrays into other layouts and dtypes.
#pragma once

#include <initializer_list>

#include "common/array.h"
#include "common/dtypes.h"
#include "common/half.h"
#include "cpu/memory.h"
#include "primitives/builds.h"

namespace pycnn {

// Copies the elements of one array into another of equal shape, any strides in both. Equal dtypes
// copy bit for bit, floating-point dtypes convert into each other; throws TypeError for other
// pairs.
PYCNN_PER_BUILD(void copy(const ArrayView& from, const ArrayView& to);)

// The elements of an array as T, dense in a layout: the array's own memory where it is that
// already, else a converted copy in a workspace.
template <class T>
class DenseInput {
  public:
    DenseInput(const ArrayView& a, Layout layout) {
        if (a.dtype == DTypeOf<T>::value && has_layout(a, layout)) {
            data_ = static_cast<const T*>(a.data);
            return;
        }
        workspace_ = Buffer<T>(a.numel());
        data_ = workspace_.data();
        PYCNN_BEST(copy)(a, dense_view(workspace_.data(), DTypeOf<T>::value, a, layout));
    }
    const T* data() const { return data_; }

  private:
    Buffer<T> workspace_;
    const T* data_;
};

// Where a kernel writes T, dense in a layout: the array's own memory where it is that, else a
// workspace, which finish() converts and copies into the array.
template <class T>
class DenseOutput {
  public:
    DenseOutput(const ArrayView& a, Layout layout) : array_(a), layout_(layout) {
        if (a.dtype == DTypeOf<T>::value && has_layout(a, layout)) {
            data_ = static_cast<T*>(a.data);
            return;
        }
        workspace_ = Buffer<T>(a.numel());
        data_ = workspace_.data();
    }
    T* data() const { return data_; }
    void finish() const {
        if (data_ == array_.data) return;
        PYCNN_BEST(copy)(dense_view(data_, DTypeOf<T>::value, array_, layout_), array_);
    }

  private:
    ArrayView array_;
    Layout layout_;
    Buffer<T> workspace_;
    T* data_;
};

}  // namespace pycnn
