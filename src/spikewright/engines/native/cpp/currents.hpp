// Populations that are driven by currents in doubles: from outside, or a sum within the region.
#pragma once

#include "bipolar.hpp"

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
    std::uint32_t above = 0;
    each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
        constexpr std::size_t at = uniform ? 0 : k;
        above |= at_least(v.v[k], limits.least[0][at]) | at_least(j.v[k], limits.threshold[at] * 0.99);
    });
    return above == 0;
}

// The currents of a sample, from outside or from a buffer.
inline Track<const double> arriving(const Context& c, const Instruction& op, std::size_t sample) {
    return op.external ? c.input_track<double>(std::size_t(op.input), sample)
                       : c.track<const double>(op.input, sample);
}

template <std::size_t lanes, bool uniform, bool checked, bool held>
void fire_block(const Context& c, const Instruction& op, std::size_t sample, std::size_t at,
                Block<lanes> v, const Limits<lanes, uniform>& limits, Block<lanes> j) {
    const auto number = std::size_t(op.population);
    const Population& p = c.job->plan->populations[number];
    const std::size_t valid = at + lanes <= p.channels ? lanes : p.channels - at;
    const Track<const double> from = arriving(c, op, sample);
    const auto out = c.track<std::int8_t>(op.output, sample, at);
    Tally<lanes> tally;
    for (std::size_t t = 0; t < c.steps; ++t) {
        if constexpr (!held) {
            j = load_currents<lanes>(from[t], op.index, at, p.channels);
            if (p.rectify) j.rectify();
        }
        v.add(j);
        Counts<lanes> counts;
        const Most most = fire<lanes, uniform, checked>(v, limits, p, 0, at, valid, counts);
        if (most == kTooMany) [[unlikely]] return c.too_many_spikes();
        if (p.has_floor) hold_above<lanes>(v, p, 0, at);
        // Behind the last neuron lies spare room, which the next step overwrites or nobody reads.
        counts.write(out[t]);
        tally.add(counts, most);
    }
    tally.flush();
    const auto state = c.state(number, sample, at);
    v.write(state.next_voltage);
    state.add_total(tally.sum, lanes);
}

template <bool uniform>
void fire_currents(const Context& c, const Instruction& op) {
    constexpr std::size_t lanes = 64;
    const auto number = std::size_t(op.population);
    const Population& p = c.job->plan->populations[number];
    const bool held = op.external && c.job->inputs[std::size_t(op.input)].step_stride == 0;
    const Share share = c.share((p.channels + lanes - 1) / lanes);
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t at = share.begin * lanes; at < share.end * lanes; at += lanes) {
            const Limits<lanes, uniform> limits(p, 0, at);
            const auto state = c.state(number, s, at);
            Block<lanes> v, j{};
            v.read(state.voltage);
            if (!held) {
                fire_block<lanes, uniform, true, false>(c, op, s, at, v, limits, j);
                continue;
            }
            const double* from = c.input<double>(std::size_t(op.input), s, 0);
            j = load_currents<lanes>(from, op.index, at, p.channels);
            if (p.rectify) j.rectify();
            if (at_most_once<lanes>(v, j, limits))
                fire_block<lanes, uniform, false, true>(c, op, s, at, v, limits, j);
            else
                fire_block<lanes, uniform, true, true>(c, op, s, at, v, limits, j);
        }
}

// The same, of neurons that take spikes back.
template <bool uniform>
void fire_currents_both_ways(const Context& c, const Instruction& op) {
    constexpr std::size_t lanes = 64;
    const std::size_t size = c.job->plan->populations[std::size_t(op.population)].channels;
    const bool held = op.external && c.job->inputs[std::size_t(op.input)].step_stride == 0;
    const Share share = c.share((size + lanes - 1) / lanes);
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t at = share.begin * lanes; at < share.end * lanes; at += lanes) {
            Block<lanes> j{};
            const Track<const double> from = arriving(c, op, s);
            const auto current = [&](std::size_t t) {
                if (t > 0 && held) return j;
                return j = load_currents<lanes>(from[t], op.index, at, size);
            };
            const auto track = c.track<std::int8_t>(op.output, s, at);
            const auto out = [&](std::size_t t) { return track[t]; };
            const std::size_t valid = at + lanes <= size ? lanes : size - at;
            run_both_ways<lanes, uniform>(c, op, s, 0, at, valid, current, out);
        }
}

inline void run_currents(const Context& c, const Instruction& op) {
    const Population& p = c.job->plan->populations[std::size_t(op.population)];
    if (p.takes_back && p.threshold.uniform) return fire_currents_both_ways<true>(c, op);
    if (p.takes_back) return fire_currents_both_ways<false>(c, op);
    if (p.threshold.uniform) return fire_currents<true>(c, op);
    fire_currents<false>(c, op);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
