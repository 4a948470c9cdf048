// Blocks of integrate-and-fire neurons (`equations.hpp`), advanced together, step by step, while their voltages
// stay in registers.
//
// The division is avoided: the least voltages that give one, two and three spikes are known. Only
// where some neuron of a block reaches three is the formula evaluated for all of them; so it is in the
// next step, which is likely to be alike.
#pragma once

#include <cmath>
#include <limits>

#include "context.hpp"
#include "count_bytes.hpp"
#include "equations.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr std::size_t kAdvanced = kBytes;  // neurons that are advanced together

// Neurons that are advanced together: `valid` ones from a channel of a pixel on.
struct Place {
    std::size_t population, sample, pixel, channel, valid;
};

inline const Population& population_of(const Context& c, const Place& at) {
    return c.job->plan->populations[at.population];
}

inline std::size_t offset_of(const Context& c, const Place& at) {
    return at.pixel * population_of(c, at).padded + at.channel;
}

// A state of theirs, such as `State::voltage`.
template <class T>
inline Context::Passed<T> passed(const Context& c, const Place& at, std::vector<Array<T>> State::*which) {
    return c.passed(which, at.population, at.sample, offset_of(c, at));
}

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

// A sum over all blocks of time: what it was, and what is added. That is asked once: a choice in each lane would be
// a load under a mask, which waits for hundreds of cycles where the address is none.
template <class T, class Added>
inline void add_on(const Context::Passed<T>& sum, const Added* added, std::size_t n) {
    if (sum.from)
        for (std::size_t k = 0; k < n; ++k) sum.to[k] = sum.from[k] + T(added[k]);
    else
        for (std::size_t k = 0; k < n; ++k) sum.to[k] = T(added[k]);
}

// Voltages of a block before its first step here.
template <std::size_t lanes>
[[gnu::always_inline]] inline void read_voltages(const Context& c, const Place& at, Block<lanes>& v) {
    const double* from = passed(c, at, &State::voltage).from;
    v.read(from ? from : population_of(c, at).start.at(at.pixel, at.channel));
}

// Parameters of a block of neurons, in vectors or one for all.
template <std::size_t lanes, bool uniform>
struct Limits {
    static constexpr std::size_t n = uniform ? 1 : lanes / kDoubles;
    static constexpr std::size_t at(std::size_t k) { return uniform ? 0 : k; }
    doubles threshold[n], least[3][n];

    Limits(const Population& p, const Place& place) {
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t channel = place.channel + k * kDoubles;
            threshold[k] = load<doubles>(p.threshold.at(place.pixel, channel));
            for (int spikes = 0; spikes < 3; ++spikes)
                least[spikes][k] = load<doubles>(p.least[spikes].at(place.pixel, channel));
        }
    }
};

// The largest count that a step may have given, as bytes hold it.
using Most = unsigned;

// The byte of a count of a population's step; one that it does not hold is kept.
inline std::int8_t put_count(const Context& c, const Place& at, std::size_t t, std::size_t k, double count) {
    const std::int8_t byte = clamped(count);
    const Population& p = population_of(c, at);
    if (count != byte) c.keep_large(p.output, at.sample, t, at.pixel * p.channels + at.channel + k, count);
    return byte;
}

[[gnu::cold, gnu::noinline]] inline void put_counts_of_any_size(const Context& c, const Place& at, std::size_t t,
                                                                const double* spikes, std::int8_t* counts) {
    for (std::size_t k = 0; k < at.valid; ++k) counts[k] = put_count(c, at, t, k, spikes[k]);
}

// Any number of spikes, by the formula. Neurons that take spikes back have `sent`.
template <std::size_t lanes, NeuronKind neuron_kind>
[[gnu::noinline]] Most fire_by_formula(const Context& c, const Place& at, std::size_t t, double* v,
                                       [[maybe_unused]] double* sent, std::int8_t* counts) {
    const Population& p = population_of(c, at);
    const double* threshold = p.threshold.at(at.pixel, at.channel);
    const doubles most = splat(p.model.most_spikes());
    alignas(kBytes) double spikes[lanes];
    doubles sizes{};
    for (std::size_t k = 0; k < lanes; k += kDoubles) {
        const doubles unit = load<doubles>(threshold + k);
        doubles x = load<doubles>(v + k), fired;
        if constexpr (neuron_kind == NeuronKind::bipolar) {
            doubles before = load<doubles>(sent + k);
            fired = fire_both_ways(x, before, unit, -most, most);
            store(sent + k, before);
        } else if constexpr (neuron_kind == NeuronKind::fixed_point) {
            fired = fire_whole(x, unit, most, p.model.fixed);
        } else {
            fired = fire(x, unit, splat(kTolerance), doubles{}, most);
        }
        sizes = larger_of(magnitude_of(fired), sizes);
        store(v + k, x), store(spikes + k, fired);
    }
    double largest = 0.0;
    for (std::size_t k = 0; k < kDoubles; ++k) largest = larger_of(sizes[k], largest);
    if (largest > kMostCounts) [[unlikely]] {
        std::memset(counts, 0, lanes);
        put_counts_of_any_size(c, at, t, spikes, counts);
        return kMostCounts;
    }
    for (std::size_t k = 0; k < lanes; k += kDoubles) store_bytes(counts + k, to_ints(load<doubles>(spikes + k)));
    std::memset(counts + at.valid, 0, lanes - at.valid);
    return Most(largest);
}

// The same of voltages in registers.
template <NeuronKind neuron_kind, std::size_t lanes>
[[gnu::always_inline]] inline Most fire_by_formula(const Context& c, const Place& at, std::size_t t, Block<lanes>& v,
                                                   std::type_identity_t<Block<lanes>>* sent,
                                                   Counts<lanes>& counts) {
    alignas(kBytes) double voltages[lanes], before[lanes];
    alignas(kBytes) std::int8_t bytes[lanes];
    v.write(voltages);
    if (sent) sent->write(before);
    const Most most = fire_by_formula<lanes, neuron_kind>(c, at, t, voltages, sent ? before : nullptr, bytes);
    v.read(voltages);
    if (sent) sent->read(before);
    counts.read(bytes);
    return most;
}

// Whole spikes by a product with the reciprocal, which differs from the quotient by a few units in the
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

// Fire: voltages already hold this step's charge. Any number of spikes; returns false, with nothing changed, where
// only the formula tells.
template <std::size_t lanes, bool uniform>
[[gnu::always_inline]] inline bool fire_many(Block<lanes>& b, const Limits<lanes, uniform>& limits,
                                             const Population& p, const Place& at, Counts<lanes>& counts,
                                             Most& most) {
    constexpr std::size_t n = Block<lanes>::n;
    half_ints whole[n];
    alignas(kBytes) std::int8_t bytes[lanes];
    const doubles cap = splat(smaller_of(p.model.most_spikes(), double(kMostCounts + 1)));
    if (at.valid < lanes || !count_by_product(b, p.inverse.at(at.pixel, at.channel), cap, whole)) return false;
    half_ints largest{};
    each<n>(SPIKEWRIGHT_EACH(k) { largest = whole[k] > largest ? whole[k] : largest; });
    std::int32_t found = 0;
    for (std::size_t i = 0; i < kDoubles; ++i) found = largest[i] > found ? largest[i] : found;
    if (found > kMostCounts) [[unlikely]] return false;
    each<n>(SPIKEWRIGHT_EACH(k) {
        b.v[k] -= to_doubles(whole[k]) * limits.threshold[limits.at(k)];
        store_bytes(bytes + k * kDoubles, whole[k]);
    });
    counts.read(bytes);
    most = Most(found);
    return true;
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
    if (checked && p.model.cap != 1.0 && some_reach<lanes, uniform>(b, limits.least[1])) {
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

// The least voltages at which no spike is taken back, and no more than one.
template <std::size_t lanes>
struct Holds {
    static constexpr std::size_t n = lanes / kDoubles;
    doubles none[n], one[n];

    Holds(const Population& p, const Place& at) {
        for (std::size_t k = 0; k < n; ++k) {
            none[k] = load<doubles>(p.holds[0].at(at.pixel, at.channel + k * kDoubles));
            one[k] = load<doubles>(p.holds[1].at(at.pixel, at.channel + k * kDoubles));
        }
    }
};

// Counts of one step: spikes less those taken back, and spikes of either sign.
template <std::size_t lanes>
struct Fired {
    Counts<lanes> net, all;
    Most most;
};

// One spike a neuron at most, sent or taken back: voltages already hold this step's charge. Neurons that sent
// spikes before are in `owing`.
template <std::size_t lanes>
[[gnu::always_inline]] inline void fire_once_both_ways(
    Block<lanes>& v, const Where (&owing)[Block<lanes>::n], const Limits<lanes, false>& limits,
    const Holds<lanes>& holds, Where (&given)[Block<lanes>::n], Where (&taken)[Block<lanes>::n],
    Fired<lanes>& fired) {
    each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
        const doubles unit = limits.threshold[k];
        given[k] = at_least(v.v[k], limits.least[0][k]);
        taken[k] = owing[k] & ~at_least(v.v[k], holds.none[k]);
        v.v[k] = minus_where(minus_where(v.v[k], unit, given[k]), -unit, taken[k]);
    });
    const Counts<lanes> up = counts_of<lanes>(SPIKEWRIGHT_EACH(k) { return given[k]; });
    const Counts<lanes> down = counts_of<lanes>(SPIKEWRIGHT_EACH(k) { return taken[k]; });
    each<Counts<lanes>::n>(SPIKEWRIGHT_EACH(k) {
        fired.net.v[k] = up.v[k] - down.v[k];
        fired.all.v[k] = up.v[k] + down.v[k];
    });
    fired.most = 1;
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

// Spikes of a block per neuron, summed over the steps of a block of time: in bytes while these hold.
template <std::size_t lanes>
struct Tally {
    static constexpr std::size_t n = Counts<lanes>::n;
    Counts<lanes> recent = {};
    Most bound = 0;
    bool whole = true;         // whether `recent` is all
    std::uint32_t sum[lanes];  // of what is not recent

    void add_to(const Context::Passed<std::uint32_t>& total) {
        flush();
        add_on(total, sum, lanes);
    }
    [[gnu::always_inline]] void add(const Counts<lanes>& counts, Most most) {
        if (bound + most > 255) flush();
        bound += most;
        each<n>(SPIKEWRIGHT_EACH(k) { recent.v[k] += counts.v[k]; });
    }
    [[gnu::noinline]] void flush() {
        std::int8_t bytes[lanes];
        recent.write(bytes);
        recent = {};
        for (std::size_t k = 0; k < lanes; ++k) sum[k] = (whole ? 0 : sum[k]) + std::uint8_t(bytes[k]);
        bound = 0, whole = false;
    }
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
