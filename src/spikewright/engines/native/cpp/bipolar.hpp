// Integrate-and-fire that takes spikes back: v += J; k = floor(v / threshold + tolerance), no less than
// takes back all that was sent; v -= k threshold; sent += k.
#pragma once

#include "context.hpp"
#include "neurons.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Counts of one step: spikes less those taken back, and spikes of either sign.
template <std::size_t lanes>
struct BothCounts {
    Counts<lanes> net, all;
};

// The least voltages at which no spike is taken back, and no more than one.
template <std::size_t lanes, bool uniform>
struct Holds {
    static constexpr std::size_t n = uniform ? 1 : lanes / kDoubles;
    doubles none[n], one[n];

    Holds(const Population& p, std::size_t pixel, std::size_t channel) {
        for (std::size_t k = 0; k < n; ++k) {
            none[k] = load<doubles>(p.holds[0].at(pixel, channel + k * kDoubles));
            one[k] = load<doubles>(p.holds[1].at(pixel, channel + k * kDoubles));
        }
    }
};

// One spike a neuron at most, sent or taken back: voltages already hold this step's charge. Neurons that sent
// spikes before are in `owing`.
template <std::size_t lanes, bool uniform>
[[gnu::always_inline]] inline void fire_once_both_ways(Block<lanes>& v, const Where (&owing)[Block<lanes>::n],
                                                       const Limits<lanes, uniform>& limits,
                                                       const Holds<lanes, uniform>& holds,
                                                       Where (&given)[Block<lanes>::n],
                                                       Where (&taken)[Block<lanes>::n]) {
    constexpr auto at = [](std::size_t k) { return uniform ? 0 : k; };
    each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
        const doubles unit = limits.threshold[at(k)];
        given[k] = at_least(v.v[k], limits.least[0][at(k)]);
        taken[k] = owing[k] & ~at_least(v.v[k], holds.none[at(k)]);
        v.v[k] = minus_where(minus_where(v.v[k], unit, given[k]), -unit, taken[k]);
    });
}

// Steps in which some neuron sends two spikes or more, or takes them back: by the formula.
template <std::size_t lanes>
[[gnu::noinline]] Most fire_many_both_ways(double* v, double* sent, const Population& p,
                                           std::size_t pixel, std::size_t channel,
                                           std::size_t valid, std::int8_t* net, std::int8_t* all) {
    const double* threshold = p.threshold.at(pixel, channel);
    const doubles most = splat(p.cap > 0.0 && p.cap <= kMostCounts ? p.cap : kMostCounts + 1);
    alignas(kBytes) std::int32_t whole[lanes];
    for (std::size_t k = 0; k < lanes; k += kDoubles) {
        const doubles unit = load<doubles>(threshold + k), before = load<doubles>(sent + k);
        const doubles least = before < most ? -before : -most;
        doubles spikes = load<doubles>(v + k) / unit + kTolerance;
        spikes = spikes > least ? spikes : least;
        spikes = spikes < most ? spikes : most;
        doubles down = to_doubles(to_ints(spikes));  // towards zero
        down = minus_where(down, splat(1.0), ~at_least(spikes, down));
        store(whole + k, to_ints(down));
    }
    std::int32_t largest = 0;
    for (std::size_t k = valid; k < lanes; ++k) whole[k] = 0;
    for (std::size_t k = 0; k < lanes; ++k) {
        const std::int32_t size = whole[k] < 0 ? -whole[k] : whole[k];
        largest = size > largest ? size : largest;
        net[k] = std::int8_t(whole[k]);
        all[k] = std::int8_t(size);
    }
    if (largest > kMostCounts) return kTooMany;
    for (std::size_t k = 0; k < lanes; k += kDoubles) {
        const doubles down = to_doubles(load<half_ints>(whole + k));
        store(v + k, load<doubles>(v + k) - down * load<doubles>(threshold + k));
        store(sent + k, load<doubles>(sent + k) + down);
    }
    return Most(largest);
}

// Fire: voltages already hold this step's charge. One spike or none, sent or taken back, the usual
// case, takes comparisons alone.
template <std::size_t lanes, bool uniform>
[[gnu::always_inline]] inline Most fire_both_ways(Block<lanes>& v, Block<lanes>& sent,
                                                  const Limits<lanes, uniform>& limits,
                                                  const Holds<lanes, uniform>& holds,
                                                  const Population& p, std::size_t pixel,
                                                  std::size_t channel, std::size_t valid,
                                                  BothCounts<lanes>& counts) {
    constexpr std::size_t n = Block<lanes>::n;
    constexpr auto at = [](std::size_t k) { return uniform ? 0 : k; };
    const doubles unit = splat(1.0);
    Where one[n], back[n], more{};
    each<n>(SPIKEWRIGHT_EACH(k) {
        one[k] = at_least(v.v[k], limits.least[0][at(k)]);
        back[k] = at_least(sent.v[k], unit) & ~at_least(v.v[k], holds.none[at(k)]);
    });
    if (p.cap != 1.0) {
        each<n>(SPIKEWRIGHT_EACH(k) {
            more |= at_least(v.v[k], limits.least[1][at(k)]) |
                    (at_least(sent.v[k], unit + unit) & ~at_least(v.v[k], holds.one[at(k)]));
        });
        if (bits_of(more)) [[unlikely]] {
            alignas(kBytes) double voltages[lanes], before[lanes];
            alignas(kBytes) std::int8_t net[lanes], all[lanes];
            v.write(voltages);
            sent.write(before);
            const Most most = fire_many_both_ways<lanes>(voltages, before, p, pixel, channel, valid,
                                                         net, all);
            if (most == kTooMany) [[unlikely]] return most;
            v.read(voltages);
            sent.read(before);
            counts.net.read(net);
            counts.all.read(all);
            return most;
        }
    }
    each<n>(SPIKEWRIGHT_EACH(k) {
        const doubles spikes = chosen(chosen(doubles{}, unit, one[k]), -unit, back[k]);
        v.v[k] -= spikes * limits.threshold[at(k)];
        sent.v[k] += spikes;
    });
    const Counts<lanes> given = counts_of<lanes>(SPIKEWRIGHT_EACH(k) { return one[k]; });
    const Counts<lanes> taken = counts_of<lanes>(SPIKEWRIGHT_EACH(k) { return back[k]; });
    each<Counts<lanes>::n>(SPIKEWRIGHT_EACH(k) {
        counts.net.v[k] = given.v[k] - taken.v[k];
        counts.all.v[k] = given.v[k] + taken.v[k];
    });
    return 1;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
