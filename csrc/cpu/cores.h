// The cores of the machine: how many this process may use, and keeping a thread off one.
#pragma once

#include <cstdint>
#include <vector>

namespace pycnn {

// The cores the calling thread may run on: a container or taskset often grants fewer than exist.
int64_t available_cores();

// The core that runs the calling thread, or -1 where the system does not say.
int current_core();

// The system's number of the calling thread; 0 where it has none.
int current_thread();

// Lets these threads run wherever the calling one may, but for `core`; if that leaves nothing, it
// does nothing.
void keep_off(const std::vector<int>& threads, int core);

}  // namespace pycnn
