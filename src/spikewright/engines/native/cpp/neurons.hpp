// Integrate-and-fire: v += J; k = floor(v / threshold + tolerance); v -= k threshold.
//
// The division is avoided: the least voltages that give one, two and three spikes are known. Only
// where some neuron of a block reaches three is the formula evaluated for all of them; so it is in the
// next step, which is likely to be alike.
#pragma once

#include <cmath>
#include <limits>

#include "counting.hpp"
#include "plan.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Neurons that are advanced together, step by step, while their voltages stay in registers.
constexpr std::size_t kAdvanced = kBytes;

template <std::size_t lanes>
struct Block {
    static constexpr std::size_t n = lanes / kDoubles;
    doubles v[n];

    [[gnu::always_inline]] void read(const double* from) {
        each<n>(SPIKEWRIGHT_EACH(k) { v[k] = load<doubles>(from + k * kDoubles); });
    }
    [[gnu::always_inline]] void write(double* to) const {
        each<n>(SPIKEWRIGHT_EACH(k) { store(to + k * kDoubles, v[k]); });
    }
    [[gnu::always_inline]] void rectify() {
        each<n>(SPIKEWRIGHT_EACH(k) { v[k] = larger_of(v[k], doubles{}); });
    }
    [[gnu::always_inline]] void add(const Block& other) {
        each<n>(SPIKEWRIGHT_EACH(k) { v[k] += other.v[k]; });
    }
};

// Parameters of a block of neurons, in vectors or one for all.
template <std::size_t lanes, bool uniform>
struct Limits {
    static constexpr std::size_t n = uniform ? 1 : lanes / kDoubles;
    doubles threshold[n], least[3][n];

    Limits(const Population& p, std::size_t pixel, std::size_t channel) {
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t at = channel + k * kDoubles;
            threshold[k] = load<doubles>(p.threshold.at(pixel, at));
            for (int spikes = 0; spikes < 3; ++spikes)
                least[spikes][k] = load<doubles>(p.least[spikes].at(pixel, at));
        }
    }
};

// Whole spikes of a voltage, within bounds. NaN stays: comparisons with it are false.
template <class Real>
inline Real spikes_of(Real v, Real threshold, Real tolerance, Real least, Real most) {
    const Real down = std::floor(v / threshold + tolerance), held = down < least ? least : down;
    return held > most ? most : held;
}

// The largest count that a step may have given; `kTooMany` where one does not fit a byte: then the step is not
// done.
using Most = unsigned;
constexpr Most kTooMany = 128;

// The cap, or the least number that does not fit a byte.
inline doubles most_of(const Population& p) {
    return splat(p.cap > 0.0 && p.cap <= kMostCounts ? p.cap : double(kMostCounts + 1));
}

// Whole spikes by the formula, between 0 and the cap.
template <std::size_t lanes>
[[gnu::noinline]] void count_by_division(const double* v, const double* threshold, double tolerance,
                                         doubles cap, std::int32_t* whole) {
    for (std::size_t k = 0; k < lanes; k += kDoubles) {
        doubles spikes = load<doubles>(v + k) / load<doubles>(threshold + k) + tolerance;
        spikes = spikes > 0.0 ? spikes : doubles{};
        spikes = spikes < cap ? spikes : cap;
        store(whole + k, to_ints(spikes));
    }
}

// The same by a product with the reciprocal, which differs from the quotient by a few units in the
// last place. Returns false where that may matter: some lane is close to a whole number.
template <std::size_t lanes>
[[gnu::always_inline]] inline bool count_by_product(const Block<lanes>& b, const double* inverse,
                                                    doubles cap, half_ints (&whole)[Block<lanes>::n]) {
    const doubles close = splat(1.0 / (1 << 30)), half = splat(0.5), most = cap + half;
    Where clear = ~Where{};
    each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
        doubles spikes = b.v[k] * load<doubles>(inverse + k * kDoubles) + kTolerance;
        spikes = spikes > close ? spikes : half;  // none, on whichever side of zero
        spikes = smaller_of(spikes, most);
        whole[k] = to_ints(spikes);
        const doubles rest = spikes - to_doubles(whole[k]);
        clear &= at_least(rest, close) & at_least(1.0 - rest, close);
    });
    return all_of(clear);
}

// Any number of spikes, by the formula: where a product does not tell, or the block is not full.
template <std::size_t lanes>
[[gnu::noinline]] Most fire_by_division(double* v, const Population& p, std::size_t pixel,
                                        std::size_t channel, std::size_t valid, std::int8_t* counts) {
    const double* threshold = p.threshold.at(pixel, channel);
    alignas(kBytes) std::int32_t whole[lanes];
    count_by_division<lanes>(v, threshold, p.tolerance, most_of(p), whole);
    std::int32_t most = 0;
    for (std::size_t k = valid; k < lanes; ++k) whole[k] = 0;
    for (std::size_t k = 0; k < lanes; ++k) most = whole[k] > most ? whole[k] : most;
    if (most > kMostCounts) return kTooMany;
    each<lanes / kDoubles>(SPIKEWRIGHT_EACH(k) {
        const std::size_t at = k * kDoubles;
        const doubles spent = to_doubles(load<half_ints>(whole + at)) * load<doubles>(threshold + at);
        store(v + at, load<doubles>(v + at) - spent);
    });
    for (std::size_t k = 0; k < lanes; ++k) counts[k] = std::int8_t(whole[k]);
    return Most(most);
}

// The same of voltages in registers.
template <std::size_t lanes>
[[gnu::always_inline]] inline Most fire_by_formula(Block<lanes>& b, const Population& p, std::size_t pixel,
                                                   std::size_t channel, std::size_t valid,
                                                   Counts<lanes>& counts) {
    alignas(kBytes) double v[lanes];
    alignas(kBytes) std::int8_t bytes[lanes];
    b.write(v);
    const Most most = fire_by_division<lanes>(v, p, pixel, channel, valid, bytes);
    b.read(v);
    counts.read(bytes);
    return most;
}

// Fire: voltages already hold this step's charge. Any number of spikes.
template <std::size_t lanes, bool uniform>
[[gnu::always_inline]] inline Most fire_many(Block<lanes>& b, const Limits<lanes, uniform>& limits,
                                             const Population& p, std::size_t pixel, std::size_t channel,
                                             std::size_t valid, Counts<lanes>& counts) {
    constexpr std::size_t n = Block<lanes>::n;
    half_ints whole[n];
    alignas(kBytes) std::int8_t bytes[lanes];
    if (valid < lanes || !count_by_product(b, p.inverse.at(pixel, channel), most_of(p), whole)) [[unlikely]]
        return fire_by_formula(b, p, pixel, channel, valid, counts);
    half_ints largest{};
    each<n>(SPIKEWRIGHT_EACH(k) { largest = whole[k] > largest ? whole[k] : largest; });
    std::int32_t most = 0;
    for (std::size_t i = 0; i < kDoubles; ++i) most = largest[i] > most ? largest[i] : most;
    if (most > kMostCounts) [[unlikely]] return kTooMany;
    each<n>(SPIKEWRIGHT_EACH(k) {
        b.v[k] -= to_doubles(whole[k]) * limits.threshold[uniform ? 0 : std::size_t(k)];
        store_bytes(bytes + k * kDoubles, whole[k]);
    });
    counts.read(bytes);
    return Most(most);
}

// Whether some neuron of a block reaches its limit, which may be the same for all.
template <std::size_t lanes, bool uniform>
[[gnu::always_inline]] inline bool some_reach(const Block<lanes>& b, const doubles* limit) {
    Where some{};
    if constexpr (uniform) {
        doubles most = splat(-std::numeric_limits<double>::infinity());
        each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) { most = larger_of(b.v[k], most); });
        some = at_least(most, limit[0]);
    } else {
        each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) { some |= at_least(b.v[k], limit[k]); });
    }
    return bits_of(some) != 0;
}

// The same where no neuron reaches three spikes, by comparisons alone; else 0, and nothing is changed.
// `checked` says whether a second spike is possible. 2 threshold is exact, as in the formula.
template <std::size_t lanes, bool uniform, bool checked = true>
[[gnu::always_inline]] inline Most fire_few(Block<lanes>& b, const Limits<lanes, uniform>& limits,
                                            const Population& p, Counts<lanes>& counts) {
    constexpr auto at = [](std::size_t k) { return uniform ? 0 : k; };
    if (checked && p.cap != 1.0 && some_reach<lanes, uniform>(b, limits.least[1])) {
        if (some_reach<lanes, uniform>(b, limits.least[2])) return 0;
        const Counts<lanes> again =
            counts_of<lanes>(SPIKEWRIGHT_EACH(k) { return at_least(b.v[k], limits.least[1][at(k)]); });
        counts = counts_of<lanes>(SPIKEWRIGHT_EACH(k) {
            const Where one = at_least(b.v[k], limits.least[0][at(k)]), two = at_least(b.v[k], limits.least[1][at(k)]);
            const doubles unit = limits.threshold[at(k)];
            b.v[k] = minus_where(b.v[k], chosen(unit, unit + unit, two), one);
            return one;
        });
        each<Counts<lanes>::n>(SPIKEWRIGHT_EACH(k) { counts.v[k] += again.v[k]; });
        return 2;
    }
    counts = counts_of<lanes>(SPIKEWRIGHT_EACH(k) {
        const Where one = at_least(b.v[k], limits.least[0][at(k)]);
        b.v[k] = minus_where(b.v[k], limits.threshold[at(k)], one);
        return one;
    });
    return 1;
}

// The first `valid` counts of a block.
template <std::size_t lanes>
[[gnu::always_inline]] inline void put_counts(const Counts<lanes>& counts, std::int8_t* out,
                                              std::size_t valid) {
    if (valid == lanes) return counts.write(out);
    alignas(kLine) std::int8_t part[lanes];
    counts.write(part);
    std::memcpy(out, part, valid);
}

// The voltage floor.
template <std::size_t lanes>
inline void hold_above(Block<lanes>& b, const Population& p, std::size_t pixel,
                       std::size_t channel) {
    const double* lowest = p.lowest.at(pixel, channel);
    each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
        const doubles low = load<doubles>(lowest + k * kDoubles);
        b.v[k] = larger_of(b.v[k], low);
    });
}

// Spikes of a block per neuron, summed over the steps of a block of time: in bytes while these hold.
template <std::size_t lanes>
struct Tally {
    static constexpr std::size_t n = Counts<lanes>::n;
    Counts<lanes> recent = {};
    Most bound = 0;
    std::uint32_t sum[lanes] = {};

    [[gnu::always_inline]] void add(const Counts<lanes>& counts, Most most) {
        if (bound + most > 255) flush();
        bound += most;
        each<n>(SPIKEWRIGHT_EACH(k) { recent.v[k] += counts.v[k]; });
    }
    [[gnu::noinline]] void flush() {
        std::int8_t bytes[lanes];
        recent.write(bytes);
        recent = {};
        for (std::size_t k = 0; k < lanes; ++k) sum[k] += std::uint8_t(bytes[k]);
        bound = 0;
    }
};

// In whole numbers (`FixedPoint`): floor(v / threshold) spikes, no tolerance.

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
