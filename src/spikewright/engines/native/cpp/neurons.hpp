// Integrate-and-fire: v += J; k = floor(v / threshold + tolerance); v -= k threshold.
//
// The division is avoided: the least voltages that give one, two and three spikes are known. Only
// where some neuron of a block reaches three is the formula evaluated for all of them.
#pragma once

#include <cmath>

#include "plan.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr double kTolerance = 1.0 / 65536.0;
constexpr double kMostCounts = 127.0;

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
        each<n>(SPIKEWRIGHT_EACH(k) { v[k] = v[k] > 0.0 ? v[k] : doubles{}; });
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

// The largest count that a step may have given; `kTooMany` where one does not fit a byte.
using Most = unsigned;
constexpr Most kTooMany = 128;

// The formula itself, for steps in which some neuron has three spikes or more, or more than a cap.
template <std::size_t lanes>
[[gnu::noinline]] Most fire_many(double* v, const Population& p, std::size_t pixel,
                                 std::size_t channel, std::size_t valid, std::int8_t* counts) {
    const double* threshold = p.threshold.at(pixel, channel);
    const doubles cap = splat(p.cap > 0.0 ? p.cap : kMostCounts + 1.0);
    alignas(kBytes) std::int32_t whole[lanes];
    for (std::size_t k = 0; k < lanes; k += kDoubles) {
        const doubles unit = load<doubles>(threshold + k);
        const doubles voltage = load<doubles>(v + k);
        doubles spikes = voltage / unit + kTolerance;
        spikes = spikes > 0.0 ? spikes : doubles{};  // spikes below zero, and none of NaN
        spikes = spikes < cap ? spikes : cap;
        const half_ints down = to_ints(spikes);
        store(whole + k, down);
        store(v + k, voltage - to_doubles(down) * unit);
    }
    std::int32_t most = 0;
    for (std::size_t k = 0; k < lanes; ++k) {
        if (k < valid) most = whole[k] > most ? whole[k] : most;
        counts[k] = std::int8_t(whole[k]);
    }
    return most > std::int32_t(kMostCounts) ? kTooMany : Most(kMostCounts);
}

// Fire: voltages already hold this step's charge. `checked` says whether a second spike is possible.
// One spike or two, the usual case, take comparisons alone: 2 threshold is exact, as in the formula.
template <std::size_t lanes, bool uniform, bool checked = true>
[[gnu::always_inline]] inline Most fire(Block<lanes>& b, const Limits<lanes, uniform>& limits,
                                        const Population& p, std::size_t pixel,
                                        std::size_t channel, std::size_t valid,
                                        std::int8_t* counts) {
    constexpr std::size_t n = Block<lanes>::n;
    constexpr auto at = [](std::size_t k) { return uniform ? 0 : k; };
    std::uint64_t once = 0, twice = 0;
    std::uint32_t more = 0;
    std::uint32_t one[n], two[n] = {};
    each<n>(SPIKEWRIGHT_EACH(k) {
        one[k] = at_least(b.v[k], limits.least[0][at(k)]);
        once |= std::uint64_t(one[k]) << (k * kDoubles);
        if constexpr (checked) {
            two[k] = at_least(b.v[k], limits.least[1][at(k)]);
            twice |= std::uint64_t(two[k]) << (k * kDoubles);
            more |= at_least(b.v[k], limits.least[2][at(k)]);
        }
    });
    if (checked && p.cap == 1.0) {
        twice = more = 0;
        each<n>(SPIKEWRIGHT_EACH(k) { two[k] = 0; });
    }
    if (checked && more) [[unlikely]] {
        alignas(kBytes) double v[lanes];
        b.write(v);
        const Most most = fire_many<lanes>(v, p, pixel, channel, valid, counts);
        b.read(v);
        return most;
    }
    each<n>(SPIKEWRIGHT_EACH(k) {
        const doubles unit = limits.threshold[at(k)];
        const doubles spent = checked ? chosen(unit, unit + unit, two[k]) : unit;
        b.v[k] = minus_where(b.v[k], spent, one[k]);
    });
    store_counts<lanes>(counts, once, twice);
    return checked ? 2 : 1;
}

// The voltage floor.
template <std::size_t lanes>
inline void hold_above(Block<lanes>& b, const Population& p, std::size_t pixel,
                       std::size_t channel) {
    const double* lowest = p.lowest.at(pixel, channel);
    each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
        const doubles low = load<doubles>(lowest + k * kDoubles);
        b.v[k] = b.v[k] > low ? b.v[k] : low;
    });
}

// Spikes of a block per neuron, summed over the steps of a block of time: in bytes while these hold.
template <std::size_t lanes>
struct Tally {
    static constexpr std::size_t width = lanes < kBytes ? lanes : kBytes, n = lanes / width;
    typedef std::uint8_t part __attribute__((vector_size(width)));
    part recent[n] = {};
    Most bound = 0;
    std::uint32_t sum[lanes] = {};

    void add(const std::int8_t* counts, Most most) {
        if (bound + most > 255) flush();
        bound += most;
        each<n>(SPIKEWRIGHT_EACH(k) {
            part now;  // GCC loses the vector of a dependent type as a template argument
            std::memcpy(&now, counts + width * k, width);
            recent[k] += now;
        });
    }
    void flush() {
        alignas(kBytes) std::uint8_t bytes[lanes];
        for (std::size_t k = 0; k < n; ++k) {
            std::memcpy(bytes + width * k, &recent[k], width);
            recent[k] = part{};
        }
        for (std::size_t k = 0; k < lanes; ++k) sum[k] += bytes[k];
        bound = 0;
    }
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
