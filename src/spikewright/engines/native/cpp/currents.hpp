// Integrate-and-fire populations that currents in doubles drive: from outside, or a sum of the region.
#pragma once

#include "certain.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

template <std::size_t lanes>
inline Block<lanes> load_currents(const double* from, const Index& index, std::size_t at,
                                  std::size_t size) {
    Block<lanes> j;
    if (index.empty() && at + lanes <= size) {
        j.read(from + at);
        return j;
    }
    alignas(kLine) double part[lanes] = {};
    for (std::size_t k = 0; k < lanes && at + k < size; ++k)
        part[k] = from[index.empty() ? at + k : std::size_t(index[at + k])];
    j.read(part);
    return j;
}

// Whether no neuron can spike twice in a step: all start below one spike, and receive less than
// one. With v < (1 - 2^-16) threshold and J < 0.99 threshold, v + J is below two.
template <std::size_t lanes, bool uniform>
inline bool at_most_once(const Block<lanes>& v, const Block<lanes>& j,
                         const Limits<lanes, uniform>& limits) {
    Where above{};
    each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
        constexpr std::size_t at = uniform ? 0 : k;
        above |= at_least(v.v[k], limits.least[0][at]) | at_least(j.v[k], limits.threshold[at] * 0.99);
    });
    return bits_of(above) == 0;
}

// Currents that are `held` arrive in every step.
template <bool uniform, Firing firing, bool held>
void fire_currents(const Context& c, const Instruction& op) {
    constexpr std::size_t lanes = kAdvanced;
    const auto number = std::size_t(op.population);
    const Population& p = c.job->plan->populations[number];
    const Share share = c.share((p.channels + lanes - 1) / lanes);
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t at = share.begin * lanes; at < share.end * lanes; at += lanes) {
            const Track<const double> from = op.external
                                                 ? c.input_track<double>(std::size_t(op.input), s)
                                                 : c.track<const double>(op.input, s);
            const Place place{number, s, 0, at, at + lanes <= p.channels ? lanes : p.channels - at};
            const auto track = c.track<std::int8_t>(op.output, s, at);
            const auto out = [&](std::size_t t) { return track[t]; };
            if constexpr (!held) {
                const auto current = [&](std::size_t t) __attribute__((always_inline)) {
                    return load_currents<lanes>(from[t], op.index, at, p.channels);
                };
                run_block<lanes, uniform, firing>(c, place, current, out);
                continue;
            }
            Block<lanes> j = load_currents<lanes>(from[0], op.index, at, p.channels);
            if (p.rectify) j.rectify();
            const auto current = [j](std::size_t) __attribute__((always_inline)) { return j; };
            Block<lanes> v;
            v.read(c.state(number, s, 0, at).voltage);
            constexpr bool one_way = firing == Firing::one_way;
            if (one_way && at_most_once<lanes>(v, j, Limits<lanes, uniform>(p, 0, at)))
                run_block<lanes, uniform, firing, !one_way>(c, place, current, out);
            else
                run_block<lanes, uniform, firing>(c, place, current, out);
        }
}

// The same of neurons that follow the mean of their current.
template <bool uniform, bool held>
void follow_currents(const Context& c, const Instruction& op) {
    const auto number = std::size_t(op.population);
    const std::size_t channels = c.job->plan->populations[number].channels;
    const Share share = c.share((channels + kMeanLanes - 1) / kMeanLanes);
    const std::vector<Divisor> numbers = step_numbers(c);
    const bool counts = leaves_counts(c, op.population);
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t at = share.begin * kMeanLanes; at < share.end * kMeanLanes; at += kMeanLanes) {
            const Track<const double> from = op.external
                                                 ? c.input_track<double>(std::size_t(op.input), s)
                                                 : c.track<const double>(op.input, s);
            const Place place{number, s, 0, at, std::min(channels - at, kMeanLanes)};
            const auto track = c.track<std::int8_t>(op.output, s, at);
            const Block<kMeanLanes> first = load_currents<kMeanLanes>(from[0], op.index, at, channels);
            const auto current = [&](std::size_t t) __attribute__((always_inline)) {
                return held ? first : load_currents<kMeanLanes>(from[t], op.index, at, channels);
            };
            const auto out = [&](std::size_t t) __attribute__((always_inline)) { return track[t]; };
            if (!counts || !count_certainly<uniform>(c, place, numbers.data(), nullptr, current, out))
                run_following<uniform>(c, place, numbers.data(), current, out);
        }
}

inline void follow_currents(const Context& c, const Instruction& op, bool held) {
    const bool uniform = c.job->plan->populations[std::size_t(op.population)].threshold.uniform;
    if (uniform) return held ? follow_currents<true, true>(c, op) : follow_currents<true, false>(c, op);
    return held ? follow_currents<false, true>(c, op) : follow_currents<false, false>(c, op);
}

inline void run_currents(const Context& c, const Instruction& op) {
    const Population& p = c.job->plan->populations[std::size_t(op.population)];
    const bool held = op.external && c.job->inputs[std::size_t(op.input)].step_stride == 0;
    if (p.follows_mean) return follow_currents(c, op, held);
    with_firing(p, [&](auto uniform, auto firing) {
        held ? fire_currents<uniform(), firing(), true>(c, op) : fire_currents<uniform(), firing(), false>(c, op);
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
