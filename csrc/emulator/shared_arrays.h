// Static shared arrays hold NaN when a block begins, as if nobody had used them before.
//
// They are thread-local variables inside of kernels, and so the module's symbol table knows them: a
// module that was stripped of it keeps what the block before left. Which of them a kernel uses
// shows after its first block on a thread of the system, and only these are filled again.
#pragma once

#include <cstddef>
#include <unordered_map>
#include <vector>

#include "emulator/engine.h"

namespace pycnn::emulator {

class SharedArrays {
  public:
#ifdef PYCNN_EMULATOR_CHECKED  // ordinary variables, which are not told from others
    void poison(const void*) {}
    void done() {}
#else
    // Before a block of the kernel.
    void poison(const void* kernel);
    // After it.
    void done();

  private:
    struct Span {
        char* data;
        size_t bytes;
    };
    static std::vector<Span> find();

    bool found_ = false;
    std::vector<Span> all_;                                  // every kernel's, on this thread
    std::unordered_map<const void*, std::vector<Span>> of_;  // a kernel's
    const void* kernel_ = nullptr;                           // the last one, and its own
    std::vector<Span>* now_ = nullptr;
    bool first_ = false;
#endif
};

}  // namespace pycnn::emulator
