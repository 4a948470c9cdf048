#include "memory.hpp"

namespace spikewright {

const char* OutOfMemory::what() const noexcept { return "out of memory"; }

void* allocate_bytes(std::size_t bytes, std::size_t alignment) {
    void* found = ::operator new(bytes, std::align_val_t(alignment), std::nothrow);
    if (!found) throw OutOfMemory(bytes);
    return found;
}

}  // namespace spikewright
