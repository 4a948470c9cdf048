// Callbacks: operators that Python computes, one step of all samples at a time. Their inputs are copied to
// arrays, their outputs are copied from arrays.
#pragma once

#include "context.hpp"

namespace spikewright {

inline void run_callback(const Context& c, const Call& call, const Callback& callback) {
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
        const std::int32_t buffer = call.inputs[i];
        const std::size_t size = c.size(buffer);
        for (std::size_t s = 0; s < c.samples; ++s) {
            double* to = callback.inputs[i] + s * size;
            if (c.kind(buffer) == Kind::counts)
                std::copy_n(c.counts(buffer, s, 0), size, to);
            else
                std::copy_n(c.values(buffer, s, 0), size, to);
            c.each_large(buffer, s, 0, [&](std::size_t index, double count) { to[index] = count; });
        }
    }
    callback.f(c.first_step);
    for (std::size_t i = 0; i < call.outputs.size(); ++i) {
        const std::size_t size = c.size(call.outputs[i]);
        const double* from = callback.outputs[i] + c.first_step * c.samples * size;
        for (std::size_t s = 0; s < c.samples; ++s)
            std::copy_n(from + s * size, size, c.values(call.outputs[i], s, 0));
    }
}

inline bool all_finite(const double* values, std::size_t size) {
    double sums[8] = {};  // zeros, if all values are finite
    for (std::size_t i = 0; i < size; ++i) sums[i % 8] += values[i] * 0.0;
    return std::ranges::all_of(sums, [](double sum) { return sum == 0.0; });
}

// Whether some weight is no longer finite. No call may read such weights.
inline bool diverged(const Context& c, const Weights& w) {
    for (std::size_t s = 0; s < c.samples; ++s)
        if (!all_finite(c.memory(w.weights, s).to, w.out * w.in)) return true;
    return false;
}

}  // namespace spikewright
