// Operators that are computed elsewhere, one step of all samples at a time: what they read is laid out,
// what they give is fetched.
#pragma once

#include "context.hpp"

namespace spikewright {

inline void run_call(const Context& c, const Call& call, const Desk& desk) {
    for (std::size_t i = 0; i < call.inputs.size(); ++i) {
        const std::int32_t buffer = call.inputs[i];
        const std::size_t size = c.size(buffer);
        for (std::size_t s = 0; s < c.samples; ++s) {
            double* to = desk.inputs[i] + s * size;
            if (c.kind(buffer) == Kind::counts)
                std::copy_n(c.counts(buffer, s, 0), size, to);
            else
                std::copy_n(c.values(buffer, s, 0), size, to);
        }
    }
    desk.f(c.first_step);
    for (std::size_t i = 0; i < call.outputs.size(); ++i) {
        const std::size_t size = c.size(call.outputs[i]);
        const double* from = desk.outputs[i] + c.first_step * c.samples * size;
        for (std::size_t s = 0; s < c.samples; ++s)
            std::copy_n(from + s * size, size, c.values(call.outputs[i], s, 0));
    }
}

// Whether weights have grown out of all bounds: what reads them is not to be called with that.
inline bool diverged(const Context& c, const Weights& w) {
    for (std::size_t s = 0; s < c.samples; ++s) {
        const double* weights = c.memory(w.weights, s).to;
        double sums[8] = {};  // of zeros, or of what is none
        const std::size_t size = w.out * w.in;
        for (std::size_t i = 0; i < size; ++i) sums[i % 8] += weights[i] * 0.0;
        for (double sum : sums)
            if (sum != 0.0) return true;
    }
    return false;
}

}  // namespace spikewright
