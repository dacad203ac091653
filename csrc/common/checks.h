// Argument checks, shared by every C++ entry point; no Python in sight.
//
// Whatever a caller hands in is either accepted or refused in one sentence that names the argument,
// its value and what is accepted, before anything is computed. Sizes are 64-bit and every product
// and sum of them is checked, so a dilation of 2^31-1 is refused and never wraps.
#pragma once

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

namespace pycnn {

// Python's ValueError and TypeError; the bindings translate them.
struct ValueError : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};
struct TypeError : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

// "stride[0] is 0; accepted: an integer of at least 1"
inline std::string refusal(const std::string& name, const std::string& value,
                           const std::string& accepted) {
    return name + " is " + value + "; accepted: " + accepted;
}

inline std::string element(const std::string& name, size_t i) {
    return name + "[" + std::to_string(i) + "]";
}

// "(2, 3, 5)", as Python prints it.
inline std::string tuple_text(const int64_t* values, size_t count) {
    std::string text = "(";
    for (size_t i = 0; i < count; ++i) text += (i ? ", " : "") + std::to_string(values[i]);
    return text + (count == 1 ? ",)" : ")");
}

inline void check_at_least(const std::string& name, int64_t value, int64_t least) {
    if (value < least)
        throw ValueError(refusal(name, std::to_string(value),
                                 "an integer of at least " + std::to_string(least)));
}

// Sums and products of sizes, none of them negative; `what` names the quantity that may not fit.
inline int64_t checked_add(int64_t a, int64_t b, const char* what) {
    if (a > std::numeric_limits<int64_t>::max() - b)
        throw ValueError(refusal(what, std::to_string(a) + " + " + std::to_string(b),
                                 "a size that fits in 63 bits"));
    return a + b;
}

inline int64_t checked_mul(int64_t a, int64_t b, const char* what) {
    if (b != 0 && a > std::numeric_limits<int64_t>::max() / b)
        throw ValueError(refusal(what, std::to_string(a) + " * " + std::to_string(b),
                                 "a size that fits in 63 bits"));
    return a * b;
}

// The number of elements, refused if the widest of them (8 bytes each) could not be addressed.
inline int64_t checked_numel(const int64_t* shape, size_t ndim, const char* what) {
    for (size_t i = 0; i < ndim; ++i)
        if (shape[i] == 0) return 0;
    int64_t numel = 1;
    for (size_t i = 0; i < ndim; ++i) numel = checked_mul(numel, shape[i], what);
    checked_mul(numel, 8, what);
    return numel;
}

}  // namespace pycnn
