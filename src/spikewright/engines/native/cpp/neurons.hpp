// Integrate-and-fire: v += J; k = floor(v / threshold + tolerance); v -= k threshold.
//
// The division is avoided: the least voltages that give one spike and two are known. Only where some
// neuron of a block reaches two is the formula evaluated, and it gives the others what they had.
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
};

// Parameters of a block of neurons, in vectors or one for all.
template <std::size_t lanes, bool uniform>
struct Limits {
    static constexpr std::size_t n = uniform ? 1 : lanes / kDoubles;
    doubles threshold[n], first[n], second[n];

    Limits(const Population& p, std::size_t pixel, std::size_t channel) {
        for (std::size_t k = 0; k < n; ++k) {
            const std::size_t at = channel + k * kDoubles;
            threshold[k] = load<doubles>(p.threshold.at(pixel, at));
            first[k] = load<doubles>(p.first.at(pixel, at));
            second[k] = load<doubles>(p.second.at(pixel, at));
        }
    }
    static constexpr std::size_t at(std::size_t k) { return uniform ? 0 : k; }
};

// The largest count that a step may have given; `kTooMany` where one does not fit a byte.
using Most = unsigned;
constexpr Most kTooMany = 128;

// Every lane by the formula, for steps with several spikes.
template <std::size_t lanes>
[[gnu::noinline]] Most fire_many(double* v, const Population& p, std::size_t pixel,
                                 std::size_t channel, std::size_t valid, std::int8_t* counts) {
    const double* threshold = p.threshold.at(pixel, channel);
    Most most = unsigned(kMostCounts);
    for (std::size_t k = 0; k < lanes; ++k) {
        double count = std::floor(v[k] / threshold[k] + kTolerance);
        count = count > 0.0 ? count : 0.0;
        if (p.cap > 0.0 && count > p.cap) count = p.cap;
        if (!(count <= kMostCounts)) {
            if (k < valid) most = kTooMany;
            count = 0.0;
        }
        v[k] -= count * threshold[k];
        counts[k] = std::int8_t(count);
    }
    return most;
}

// Fire: voltages already hold this step's charge. `checked` says whether a second spike is possible.
template <std::size_t lanes, bool uniform, bool checked = true>
inline Most fire(Block<lanes>& b, const Limits<lanes, uniform>& limits, const Population& p,
                 std::size_t pixel, std::size_t channel, std::size_t valid, std::int8_t* counts) {
    using L = Limits<lanes, uniform>;
    std::uint64_t spikes = 0;
    std::uint32_t twice = 0;
    std::uint32_t mask[Block<lanes>::n];
    for (std::size_t k = 0; k < Block<lanes>::n; ++k) {
        mask[k] = at_least(b.v[k], limits.first[L::at(k)]);
        spikes |= std::uint64_t(mask[k]) << (k * kDoubles);
        if constexpr (checked) twice |= at_least(b.v[k], limits.second[L::at(k)]);
    }
    if (checked && twice && p.cap != 1.0) [[unlikely]] {
        alignas(kBytes) double v[lanes];
        for (std::size_t k = 0; k < Block<lanes>::n; ++k) store(v + k * kDoubles, b.v[k]);
        const Most most = fire_many<lanes>(v, p, pixel, channel, valid, counts);
        for (std::size_t k = 0; k < Block<lanes>::n; ++k) b.v[k] = load<doubles>(v + k * kDoubles);
        return most;
    }
    for (std::size_t k = 0; k < Block<lanes>::n; ++k)
        b.v[k] = minus_where(b.v[k], limits.threshold[L::at(k)], limits.first[L::at(k)], mask[k]);
    store_bits<lanes>(counts, spikes);
    return 1;
}

// The voltage floor.
template <std::size_t lanes>
inline void hold_above(Block<lanes>& b, const Population& p, std::size_t pixel,
                       std::size_t channel) {
    const double* lowest = p.lowest.at(pixel, channel);
    for (std::size_t k = 0; k < Block<lanes>::n; ++k) {
        const doubles low = load<doubles>(lowest + k * kDoubles);
        b.v[k] = b.v[k] > low ? b.v[k] : low;
    }
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
        for (std::size_t k = 0; k < n; ++k) {
            part now;  // GCC loses the vector of a dependent type as a template argument
            std::memcpy(&now, counts + width * k, width);
            recent[k] += now;
        }
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
