// Integrate-and-fire over a whole sequence in one pass: the voltages and sums of a block of neurons stay in
// cache, and currents are read once.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "integrate_sequence.hpp"
#include "equations.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr std::size_t kSequenceBlock = 64;  // neurons of a block

// One step of a block, in which receivers take so many spikes as sent, and each is worth its height.
template <bool takes_back, bool high, class Real>
inline void step_sequence(std::size_t n, const Real cap, const Real assumed, const Real height, const Real lowest,
                       const Real* __restrict thresholds, const Real* __restrict currents,
                       Real* __restrict voltages, Real* __restrict sent, Real* __restrict all,
                       Real* __restrict values) {
    const Real least = assumed - cap, most = cap + assumed;
    for (std::size_t i = 0; i < n; ++i) {
        Real v = voltages[i] + larger_of(lowest, currents[i]), before = sent[i], count;
        if constexpr (high)
            count = fire_of_height(v, before, thresholds[i], height, least, most);
        else if constexpr (takes_back)
            count = fire_both_ways(v, before, thresholds[i], least, most);
        else
            before += count = fire(v, thresholds[i], Real(kTolerance), Real(0), most);
        voltages[i] = v, sent[i] = before;
        all[i] += count < assumed ? assumed - count : count - assumed;
        values[i] = count * (high ? thresholds[i] * height : thresholds[i]);
    }
}

template <bool takes_back, class Real>
inline void integrate_block(const SequenceIntegration<Real>& a, std::size_t sample, std::size_t from, std::size_t n) {
    alignas(64) Real voltages[kSequenceBlock], sent[kSequenceBlock] = {}, all[kSequenceBlock] = {};
    std::copy_n(a.starts + from, n, voltages);
    const NeuronModel& m = *a.model;
    const Real lowest = m.rate == Rate::bent ? Real(0) : -std::numeric_limits<Real>::infinity();
    const std::size_t at = sample * a.size + from;
    for (std::size_t t = 0; t < a.steps; ++t) {
        const bool high = t < m.heights.size();  // only spikes that are taken back have heights
        const auto step = high ? step_sequence<true, true, Real> : step_sequence<takes_back, false, Real>;
        step(n, Real(m.most_spikes()), t < m.assumed.size() ? Real(m.assumed[t]) : Real(0),
             high ? Real(m.heights[t]) : Real(1), lowest, a.thresholds + from, a.currents + t * a.apart + at,
             voltages, sent, all, a.values + t * a.samples * a.size + at);
    }
    std::copy_n(sent, n, a.net + at);
    if (a.all) std::copy_n(all, n, a.all + at);
}

template <class Real>
void integrate_sequence(const SequenceIntegration<Real>& a) {
    for (std::size_t sample = 0; sample < a.samples; ++sample)
        for (std::size_t from = 0; from < a.size; from += kSequenceBlock) {
            const std::size_t n = a.size - from < kSequenceBlock ? a.size - from : kSequenceBlock;
            a.model->neuron_kind == NeuronKind::bipolar ? integrate_block<true>(a, sample, from, n)
                                           : integrate_block<false>(a, sample, from, n);
        }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
