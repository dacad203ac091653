// Arrays whose memory comes from the caching allocator: ordinary arrays of NumPy, which own it.
#define NPY_NO_DEPRECATED_API NPY_1_22_API_VERSION
#define NPY_TARGET_VERSION NPY_1_22_API_VERSION
#include <numpy/arrayobject.h>

#include <cstring>

#include <pybind11/numpy.h>

#include "bindings/kernels.h"
#include "cpu/memory.h"

namespace pycnn {
namespace {

constexpr size_t kMostAxes = 32;  // of NumPy before its version 2

void* handler_malloc(void*, size_t bytes) {
    try {
        return allocate(bytes);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

void* handler_calloc(void*, size_t count, size_t size) {
    if (size != 0 && count > SIZE_MAX / size) return nullptr;
    void* block = handler_malloc(nullptr, count * size);
    if (block != nullptr) std::memset(block, 0, count * size);
    return block;
}

// NumPy resizes arrays in place (ndarray.resize) without saying how long they were. None of ours
// has been handed the bytes beyond its class, so it is refused as if memory had run out.
void* handler_realloc(void*, void*, size_t) { return nullptr; }

void handler_free(void*, void* block, size_t bytes) { release(block, bytes); }

// NEP 49. An array remembers the handler that allocated it.
PyDataMem_Handler handler = {
    "pycnn_cache", 1, {nullptr, handler_malloc, handler_calloc, handler_realloc, handler_free}};

// Makes NumPy allocate from the cache while it lives.
class FromCache {
  public:
    FromCache() {
        static PyObject* const capsule = PyCapsule_New(&handler, "mem_handler", nullptr);
        if (capsule == nullptr) throw py::error_already_set();
        before_ = PyDataMem_SetHandler(capsule);
        if (before_ == nullptr) throw py::error_already_set();
    }
    ~FromCache() {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        Py_XDECREF(PyDataMem_SetHandler(before_));
        Py_DECREF(before_);
        PyErr_Restore(type, value, traceback);
    }

  private:
    PyObject* before_;
};

py::object empty(py::handle shape, py::handle dtype, bool channels_last) {
    const py::tuple sizes = sequence_arg(shape, "shape", "a sequence of integers");
    const size_t ndim = sizes.size();
    if (ndim > kMostAxes) throw ValueError(refusal("shape", text_of(shape), "at most 32 sizes"));
    if (!PyArray_DescrCheck(dtype.ptr()))
        throw TypeError(refusal("dtype", text_of(dtype), "a numpy.dtype"));
    npy_intp dims[kMostAxes], strides[4];
    for (size_t i = 0; i < ndim; ++i) {
        dims[i] = int64_arg(sizes[i], element("shape", i));
        check_at_least(element("shape", i), dims[i], 0);
    }
    channels_last = channels_last && ndim == 4;
    if (channels_last) {
        const int order[] = {1, 3, 2, 0};
        const py::dtype kind = py::reinterpret_borrow<py::dtype>(dtype);
        npy_intp stride = kind.itemsize();
        for (const int axis : order) {
            strides[axis] = stride;
            stride = checked_mul(stride, dims[axis] > 0 ? dims[axis] : 1, "the number of bytes");
        }
    }
    Py_INCREF(dtype.ptr());  // NewFromDescr takes it
    const FromCache cache;
    PyObject* array = PyArray_NewFromDescr(
        &PyArray_Type, reinterpret_cast<PyArray_Descr*>(dtype.ptr()), static_cast<int>(ndim), dims,
        channels_last ? strides : nullptr, nullptr, 0, nullptr);
    if (array == nullptr) throw py::error_already_set();
    return py::reinterpret_steal<py::object>(array);
}

py::dict stats() {
    const MemoryStats s = memory_stats();
    py::dict result;
    result["allocated"] = s.allocated;
    result["peak"] = s.peak;
    result["cached"] = s.cached;
    result["limit"] = s.limit;
    result["hits"] = s.hits;
    result["misses"] = s.misses;
    return result;
}

}  // namespace

void bind_memory(py::module_& m) {
    if (_import_array() < 0) throw py::error_already_set();
    m.def("empty", &empty, py::arg("shape"), py::arg("dtype"), py::arg("channels_last") = false,
          "An uninitialised array in memory of the caching allocator.");
    m.def("memory_stats", &stats,
          "Bytes of the caching allocator: allocated, peak, cached and its limit; hits and misses\n"
          "of the cache.");
    m.def(
        "set_cache_limit", [](py::handle bytes) { set_cache_limit(int64_arg(bytes, "bytes")); },
        py::arg("bytes"), "Sets the most bytes of freed memory that are kept.");
    m.def("poison_allocations", &poison_allocations, py::arg("poison"),
          "From now on, whether fresh memory is filled with NaN: for tests.");
    m.def("empty_cache", &empty_cache, "Returns to the system all memory that nobody uses.");
}

}  // namespace pycnn
