// Which kernels run on this processor.
#pragma once

#include <string>
#include <vector>

#include "context.hpp"

namespace spikewright {

// Kernels that this processor can run, the most capable last.
const std::vector<Kernels>& usable_kernels();

// Kernels by name, or the most capable; null where the processor cannot run them or has none such.
const Kernels* find_kernels(const std::string& name);

}  // namespace spikewright
