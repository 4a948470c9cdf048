// Integrate-and-fire in whole numbers (`FixedPoint`): floor(v / threshold) spikes, no tolerance.
#pragma once

#include "neurons.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// A step's charge: voltages leak, currents arrive in whole numbers, and the sum stays within its bounds.
template <std::size_t lanes>
[[gnu::always_inline]] inline void take_charge(Block<lanes>& v, const Block<lanes>& current, const FixedPoint& f,
                                               const double* charge) {
    constexpr std::size_t n = Block<lanes>::n;
    const doubles low = splat(f.low), high = splat(f.high);
    if (f.leak > 0.0) each<n>(SPIKEWRIGHT_EACH(k) { v.v[k] -= floor_of(v.v[k] * f.leak); });
    each<n>(SPIKEWRIGHT_EACH(k) {
        const doubles added = current.v[k] * load<doubles>(charge + k * kDoubles);
        const doubles x = floor_of(v.v[k] + added + f.half);
        v.v[k] = smaller_of(larger_of(x, low), high);
    });
}

// Fire: voltages already hold this step's charge. With whole numbers v >= k threshold says the same as
// floor(v / threshold) >= k.
template <std::size_t lanes, bool uniform>
[[gnu::always_inline]] inline Most fire_whole(Block<lanes>& v, const Limits<lanes, uniform>& limits,
                                              const Population& p, std::size_t pixel, std::size_t channel,
                                              std::size_t valid, Counts<lanes>& counts) {
    constexpr std::size_t n = Block<lanes>::n;
    Where fired[n] = {};
    if (p.fixed->to_zero)
        each<n>(SPIKEWRIGHT_EACH(k) {
            fired[k] = at_least(v.v[k], limits.least[0][uniform ? 0 : std::size_t(k)]);
        });
    Most most = fire_few<lanes, uniform>(v, limits, p, counts);
    if (most == 0) most = fire_by_formula(v, p, pixel, channel, valid, counts);
    if (most == kTooMany) [[unlikely]] return most;
    if (p.fixed->to_zero) each<n>(SPIKEWRIGHT_EACH(k) { v.v[k] = chosen(v.v[k], doubles{}, fired[k]); });
    return most;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
