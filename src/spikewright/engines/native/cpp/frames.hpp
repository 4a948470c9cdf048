// The input of a layer in a block of time: lists of events, bytes, or limbs.
#pragma once

#include "multiples.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Up to 64 values as whole numbers between -127 and 127; bits are set where one is not that.
inline std::uint64_t to_whole(const double* from, std::size_t n, std::int32_t* whole) {
    const doubles most = splat(127.0), least = splat(-127.0);
    std::uint64_t other = 0;
    for (std::size_t i = 0; i < n; i += kDoubles) {
        const doubles x = load<doubles>(from + i);
        doubles held = x < most ? x : most;  // NaN becomes 127, and differs
        held = held > least ? held : least;
        const half_ints v = to_ints(held);
        const doubles back = to_doubles(v);
        const std::uint32_t same = bits_of(at_least(back, x) & at_least(x, back));
        other |= std::uint64_t(same ^ ((1u << kDoubles) - 1)) << i;
        store(whole + i, v);
    }
    return n < 64 ? other & ((std::uint64_t(1) << n) - 1) : other;
}

// A frame of small whole numbers as bytes; whether it is that. `most` grows to the largest.
inline bool to_bytes(const double* from, std::size_t size, std::int8_t* to, std::int32_t& most) {
    alignas(kBytes) std::int32_t whole[64];
    for (std::size_t i = 0; i < size; i += 64) {
        const std::size_t n = size - i < 64 ? size - i : 64;
        if (to_whole(from + i, n, whole)) return false;
        for (std::size_t k = 0; k < n; ++k) {
            const std::int32_t magnitude = whole[k] < 0 ? -whole[k] : whole[k];
            most = magnitude > most ? magnitude : most;
            to[i + k] = std::int8_t(whole[k]);
        }
    }
    return true;
}

// The steps of a slab in bytes, if they are `whole` numbers; else they are in limbs. Counts that are
// `dense` are not listed; nor are those whose pixels are `rows` of tiles, in bytes with a border. Steps that
// are `split` hold counts of any size.
struct Frames {
    Array<std::int8_t> bytes;
    std::size_t stride = 0;
    bool whole = false, dense = false, rows = false, split = false;
};

// The steps of a slab of values as limbs side by side: `(values, most, kSlab)`, of which `limbs` are needed.
// First limbs are multiples of the `units` of their steps. Where sums may be rounded values are as they are, and
// `rest` is the most that sums over weights that add up to 1 differ in all steps.
struct DenseValues {
    Array<double> values;
    std::size_t most = 0, limbs = 0;
    Extent extents[kSlab];
    double units[kSlab] = {}, rest = 0.0;
    bool laid_out = false;
};

// The input of all samples: events, frames and multiples slab by slab, limbs step by step.
struct Lists {
    Lists(std::size_t samples, std::size_t steps)
        : events(samples * slabs_in(steps)), frames(events.size()), dense_values(events.size()),
          multiples(events.size()), values(samples * steps) {}
    std::vector<Slab> events;
    std::vector<Frames> frames;
    std::vector<DenseValues> dense_values;
    std::vector<Multiples> multiples;
    std::vector<Split> values;
};

// A member's turns among the slabs of all samples: f(slab, sample, first step, steps).
template <class F>
inline void each_slab(const Context& c, F&& f) {
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t t = 0; t < c.steps; t += kSlab) {
            const std::size_t slab = s * slabs_in(c.job->block) + t / kSlab;
            if (slab % c.members == c.rank) f(slab, s, t, c.steps - t < kSlab ? c.steps - t : kSlab);
        }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
