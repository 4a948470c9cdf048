// Integrate-and-fire populations that currents in doubles drive: from outside, or a sum of the region.
#pragma once

#include "count_bounds.hpp"

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
inline bool at_most_once(const Context& c, const Place& place, const Population& p, Block<lanes> j) {
    const Limits<lanes, uniform> limits(p, place);
    Block<lanes> v;
    read_voltages(c, place, v);
    if (p.model.rate == Rate::bent) j.rectify();
    Where above{};
    each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
        const doubles most = limits.threshold[limits.at(k)] * 0.99;
        above |= at_least(v.v[k], limits.least[0][limits.at(k)]) | at_least(j.v[k], most);
    });
    return bits_of(above) == 0;
}

// Currents that are `held` arrive in every step.
template <bool uniform, NeuronKind neuron_kind>
void fire_currents(const Context& c, const Instruction& op, bool held) {
    constexpr bool follows = neuron_kind == NeuronKind::running_mean;
    constexpr std::size_t lanes = follows ? kMeanLanes : kAdvanced;
    const auto number = std::size_t(op.population);
    const Population& p = c.job->plan->populations[number];
    const Share share = c.share((p.channels + lanes - 1) / lanes);
    const std::vector<Divisor> numbers = follows ? step_numbers(c) : std::vector<Divisor>();
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t at = share.begin * lanes; at < share.end * lanes; at += lanes) {
            const Track<const double> from = op.external
                                                 ? c.input_track<double>(std::size_t(op.input), s)
                                                 : c.track<const double>(op.input, s);
            const Place place{number, s, 0, at, std::min(p.channels - at, lanes)};
            const auto track = c.track<std::int8_t>(op.output, s, at);
            const Block<lanes> first = load_currents<lanes>(from[0], op.index, at, p.channels);
            const auto current = [&](std::size_t t) __attribute__((always_inline)) {
                return held ? first : load_currents<lanes>(from[t], op.index, at, p.channels);
            };
            const auto out = [&](std::size_t t) __attribute__((always_inline)) { return track[t]; };
            if constexpr (follows) {
                const bool counts = leaves_counts(c, op.population);
                follow(c, place, counts, numbers.data(), nullptr, current, out, [] {});
            } else {
                if constexpr (neuron_kind == NeuronKind::integrate || neuron_kind == NeuronKind::bipolar)
                    if (held) {  // in registers, where a step takes little time
                        const auto same = [&](std::size_t) __attribute__((always_inline)) { return first; };
                        if constexpr (neuron_kind == NeuronKind::integrate)
                            if (at_most_once<lanes, uniform>(c, place, p, first)) {
                                run_block<lanes, uniform, neuron_kind, false>(c, place, same, out);
                                continue;
                            }
                        run_block<lanes, uniform, neuron_kind>(c, place, same, out);
                        continue;
                    }
                run_block<lanes, uniform, neuron_kind>(c, place, current, out);
            }
        }
}

inline void run_currents(const Context& c, const Instruction& op) {
    const bool held = op.external && c.job->inputs[std::size_t(op.input)].step_stride == 0;
    with_neuron_kind(c.job->plan->populations[std::size_t(op.population)], [&](auto uniform, auto neuron_kind) {
        fire_currents<uniform(), neuron_kind()>(c, op, held);
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
