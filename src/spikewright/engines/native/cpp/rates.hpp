// Functions of the current, which neurons follow or integrate.
#pragma once

#include <cstring>

#include "curves.hpp"
#include "equations.hpp"
#include "functions.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr double kFarBelow = -20.0;

inline doubles softplus(doubles x) {
    doubles less = x > 0.0 ? -x : x;
    less = less > -700.0 ? less : splat(-700.0);
    return (x > 0.0 ? x : doubles{}) + log1p_of(exp_of(less));
}

// to = f(from) of n neurons, in the reference's order of operations; `own` has slopes of a pixel from channel `at` on.
inline void apply_rate(const NeuronModel& p, const Parameter& own, const double* from, double* to, std::size_t at,
                       std::size_t n, std::size_t pixel = 0) {
    switch (p.rate) {
        case Rate::identity: std::memcpy(to, from, n * sizeof(double)); break;
        case Rate::bent:
            for (std::size_t k = 0; k < n; ++k) to[k] = bent(p, from[k]);
            break;
        case Rate::leaky:
            for (std::size_t k = 0; k < n; ++k) to[k] = from[k] >= 0.0 ? from[k] : p.slope * from[k];
            break;
        case Rate::sigmoid:
            for (std::size_t k = 0; k < n; ++k) to[k] = 0.5 * from[k];
            tanh_of(to, to, n);
            for (std::size_t k = 0; k < n; ++k) to[k] = (0.5 / p.tau_ref) * (1.0 + to[k]);
            break;
        case Rate::tanh:
            tanh_of(from, to, n);
            for (std::size_t k = 0; k < n; ++k) to[k] = (1.0 / p.tau_ref) * to[k];
            break;
        case Rate::softplus: each_lane(from, to, n, [](doubles x) { return softplus(x); }); break;
        case Rate::gelu: each_lane(from, to, n, [](doubles x) { return 0.5 * x * (1.0 + erf_of(kRootHalf * x)); }); break;
        case Rate::silu: {
            double part[kChunk];
            for (std::size_t k = 0; k < n; ++k) part[k] = 0.5 * (p.slope * from[k]);
            tanh_of(part, part, n);
            for (std::size_t k = 0; k < n; ++k) to[k] = from[k] * (0.5 * (1.0 + part[k]));
            break;
        }
        case Rate::lif:
            each_lane(from, to, n, [&](doubles j) {
                const longs above = j > 1.0;
                const doubles period = log1p_of(1.0 / where(above, j - 1.0, splat(1.0)));
                return where(above, 1.0 / (p.tau_ref + p.tau_rc * period), doubles{});
            });
            break;
        case Rate::soft_lif:
            each_lane(from, to, n, [&](doubles current) {
                const doubles j = (current - 1.0) / p.sigma;
                const longs far = j < kFarBelow;  // there the softened excess is exp(j)
                const doubles excess = p.sigma * where(far, splat(1.0), softplus(j));
                const doubles inverse = where(far, -j - p.most, log1p_of(1.0 / excess));
                return 1.0 / (p.tau_ref + p.tau_rc * inverse);
            });
            break;
        case Rate::parametric: {
            const double* slope = own.at(pixel, at);
            for (std::size_t k = 0; k < n; ++k) to[k] = from[k] >= 0.0 ? from[k] : slope[k] * from[k];
            break;
        }
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
