// Integrate-and-fire through all steps in one pass: voltages and what was sent stay in the cache of a
// block of neurons, and currents are read once.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "along.hpp"
#include "neurons.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr std::size_t kAlong = 64;  // neurons of a block

// One step of a block, in which receivers take so many spikes as sent, and each is worth its height: the
// multiple of it is sent that is nearest to what is owed.
template <bool takes_back, bool high, class Real>
inline void step_along(std::size_t n, const Real cap, const Real assumed, const Real height, const Real lowest,
                       const Real* __restrict thresholds, const Real* __restrict currents,
                       Real* __restrict voltages, Real* __restrict sent, Real* __restrict all,
                       Real* __restrict values) {
    const Real down = assumed - cap, most = cap + assumed;
    for (std::size_t i = 0; i < n; ++i) {
        const Real one = high ? thresholds[i] * height : thresholds[i];
        const Real rounding = high ? (height - Real(1)) * Real(0.5) * thresholds[i] : Real(0);
        const Real current = currents[i] < lowest ? lowest : currents[i];
        const Real voltage = high ? voltages[i] + current + rounding : voltages[i] + current;
        Real least = Real(0);
        if constexpr (takes_back) {
            const Real held = high ? std::floor(Real(0.5) - sent[i] / height) : Real(0) - sent[i];
            least = held < down ? down : held;
        }
        const Real count = spikes_of(voltage, one, Real(kTolerance), least, most);
        const Real value = count * one;
        voltages[i] = high ? voltage - value - rounding : voltage - value;
        sent[i] += high ? count * height : count;
        all[i] += count < assumed ? assumed - count : count - assumed;
        values[i] = value;
    }
}

template <bool takes_back, class Real>
inline void integrate_block(const Along<Real>& a, std::size_t sample, std::size_t from, std::size_t n) {
    alignas(64) Real voltages[kAlong], sent[kAlong] = {}, all[kAlong] = {};
    std::copy_n(a.starts + from, n, voltages);
    const Real lowest = a.rectifies ? Real(0) : -std::numeric_limits<Real>::infinity();
    const std::size_t at = sample * a.size + from;
    for (std::size_t t = 0; t < a.steps; ++t) {
        const auto step = t < a.high ? step_along<takes_back, true, Real> : step_along<takes_back, false, Real>;
        step(n, a.cap, t < a.assuming ? Real(a.assumed[t]) : Real(0), t < a.high ? Real(a.heights[t]) : Real(1),
             lowest, a.thresholds + from, a.currents + t * a.apart + at, voltages, sent, all,
             a.values + t * a.samples * a.size + at);
    }
    std::copy_n(sent, n, a.net + at);
    if (a.all) std::copy_n(all, n, a.all + at);
}

template <class Real>
void integrate_along(const Along<Real>& a) {
    for (std::size_t sample = 0; sample < a.samples; ++sample)
        for (std::size_t from = 0; from < a.size; from += kAlong) {
            const std::size_t n = a.size - from < kAlong ? a.size - from : kAlong;
            a.takes_back ? integrate_block<true>(a, sample, from, n)
                         : integrate_block<false>(a, sample, from, n);
        }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
