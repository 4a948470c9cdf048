// Runs a job: samples in groups, steps in blocks, threads over groups or, with fewer, within each.
#pragma once

#include <functional>

#include "context.hpp"

namespace spikewright {

// `interrupted` is asked from the calling thread, some ten times a second.
Outcome run(const Job& job, const Kernels& kernels, const std::function<bool()>& interrupted);

}  // namespace spikewright
