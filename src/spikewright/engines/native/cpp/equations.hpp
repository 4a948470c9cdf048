// Equations of neurons that integrate, each once: `Real` is a number or a vector of numbers. Where kernels do
// something else (`neurons.hpp`, `running_mean.hpp`), they take one of these wherever it may matter.
#pragma once

#include "population.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Integrate-and-fire, of voltages that hold this step's charge: whole spikes of a voltage, within bounds, take
// their thresholds away. NaN stays.
template <class Real>
SPIKEWRIGHT_INLINE Real fire(Real& v, Real threshold, Real tolerance, Real least, Real most) {
    const Real spikes = smaller_of(most, larger_of(least, floor_of(v / threshold + tolerance)));
    v = v - spikes * threshold;
    return spikes;
}

// The same where spikes are taken back too, no more than were `sent`.
template <class Real>
SPIKEWRIGHT_INLINE Real fire_both_ways(Real& v, Real& sent, Real threshold, Real least, Real most) {
    const Real back = Real{} - sent;
    const Real spikes = fire(v, threshold, same<Real>(kTolerance), larger_of(back, least), most);
    sent = sent + spikes;
    return spikes;
}

// The same of spikes of a height: the multiple of it that is nearest to what is owed. Returns how many.
template <class Real>
SPIKEWRIGHT_INLINE Real fire_of_height(Real& v, Real& sent, Real threshold, Real height, Real least, Real most) {
    const Real half = same<Real>(0.5), one = threshold * height;
    const Real rounding = (height - same<Real>(1.0)) * half * threshold;
    const Real back = floor_of(half - sent / height);
    v = v + rounding;
    const Real spikes = fire(v, one, same<Real>(kTolerance), larger_of(back, least), most);
    v = v - rounding;
    sent = sent + spikes * height;
    return spikes;
}

// In whole numbers: a step's charge arrives at voltages that leak, and the sum stays within its bounds.
template <class Real>
SPIKEWRIGHT_INLINE Real charged(Real v, Real current, Real charge, const FixedPoint& f) {
    if (f.leak > 0.0) v = v - floor_of(v * f.leak);
    const Real x = floor_of(v + current * charge + f.half);
    return smaller_of(same<Real>(f.high), larger_of(same<Real>(f.low), x));
}

template <class Real>
SPIKEWRIGHT_INLINE Real fire_whole(Real& v, Real threshold, Real most, const FixedPoint& f) {
    const Real before = v, spikes = fire(v, threshold, Real{}, Real{}, most);
    if (f.to_zero) v = spikes > Real{} ? Real{} : before;
    return spikes;
}

// g = min(max(slope x + offset, 0), most), or x g where it is `gated`; of NaN a number.
template <class Real>
SPIKEWRIGHT_INLINE Real bent(const NeuronModel& m, Real x) {
    const Real tilted = m.tilted() ? m.slope * x + m.offset : x;
    const Real held = smaller_of(larger_of(tilted, Real{}), same<Real>(m.most));
    return m.gated ? x * held : held;
}

// What neurons integrate that follow what the running mean of their current calls for: how much that changes.
template <class Real>
SPIKEWRIGHT_INLINE Real change(Real& target, Real wanted) {
    const Real charge = wanted - target;
    target = wanted;
    return charge;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
