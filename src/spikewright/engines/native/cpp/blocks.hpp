// A block of lanes of integrate-and-fire neurons in a block of time: currents arrive, counts leave.
#pragma once

#include <bit>

#include "neurons.hpp"
#include "rates.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

template <auto value>
using Constant = std::integral_constant<decltype(value), value>;

// What a block of neurons is between two steps. `step` takes the currents of one; `keep` leaves what is kept
// beside the voltage, and `keep_brief` the same in bytes. `checked`: whether a neuron may spike twice.
template <NeuronKind neuron_kind, std::size_t lanes, bool uniform, bool checked = true>
struct Neurons {
    static_assert(neuron_kind == NeuronKind::integrate || neuron_kind == NeuronKind::fixed_point);
    const Population& p;
    const Limits<lanes, uniform> limits;
    Block<lanes> v;
    Most most = 1;

    Neurons(const Context& c, const Place& at) : p(population_of(c, at)), limits(p, at) {}

    [[gnu::always_inline]] void step(const Context& c, const Place& at, std::size_t t, Block<lanes> j,
                                     Fired<lanes>& fired) {
        if constexpr (neuron_kind == NeuronKind::fixed_point) {
            const double* charge = p.own.at(at.pixel, at.channel);
            each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
                v.v[k] = charged(v.v[k], j.v[k], load<doubles>(charge + k * kDoubles), p.model.fixed);
            });
            const Block<lanes> before = v;
            most = fire_few(v, limits, p, fired.net);
            if (most && p.model.fixed.to_zero)
                each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
                    v.v[k] = chosen(v.v[k], doubles{}, at_least(before.v[k], limits.least[0][limits.at(k)]));
                });
        } else {
            if (p.model.rate == Rate::bent) j.rectify();
            v.add(j);
            most = most > 2 ? 0 : fire_few<lanes, uniform, checked>(v, limits, p, fired.net);
        }
        if (checked && most == 0) {
            const bool fast = neuron_kind == NeuronKind::integrate && fire_many(v, limits, p, at, fired.net, most);
            if (!fast) [[unlikely]] most = fire_by_formula<neuron_kind>(c, at, t, v, nullptr, fired.net);
        }
        if (p.model.has_floor()) {
            const double* lowest = p.lowest.at(at.pixel, at.channel);
            each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
                v.v[k] = larger_of(v.v[k], load<doubles>(lowest + k * kDoubles));
            });
        }
        fired.all = fired.net, fired.most = most;
    }
    void keep_brief(const Context&, const Place&) const {}
    void keep(const Context&, const Place&) const {}
};

// What is kept of neurons that take back what they sent.
template <std::size_t lanes>
struct BothWays {
    static constexpr std::size_t n = Block<lanes>::n;
    const Population& p;
    const Limits<lanes, false> limits;
    Block<lanes> v, sent{};

    BothWays(const Context& c, const Place& at) : p(population_of(c, at)), limits(p, at) {
        const double* before = passed(c, at, &State::sent).from;
        if (before) sent.read(before);
    }
    void keep_brief(const Context& c, const Place& at) const {
        std::int8_t* to = c.brief_sent(at.population, at.sample, offset_of(c, at));
        each<n>(SPIKEWRIGHT_EACH(k) { store_bytes(to + k * kDoubles, to_ints(sent.v[k])); });
    }
    void keep(const Context& c, const Place& at) const { sent.write(passed(c, at, &State::sent).to); }
};

// Neurons that take spikes back. One spike or none, sent or taken back, the usual case, takes comparisons alone.
template <std::size_t lanes>
struct Neurons<NeuronKind::bipolar, lanes, false> : BothWays<lanes> {
    using Base = BothWays<lanes>;
    using Base::limits, Base::n, Base::p, Base::sent, Base::v;
    const Holds<lanes> holds;

    Neurons(const Context& c, const Place& at) : Base(c, at), holds(p, at) {}

    [[gnu::always_inline]] void step(const Context& c, const Place& at, std::size_t t, const Block<lanes>& j,
                                     Fired<lanes>& fired) {
        const doubles one = splat(1.0), two = splat(2.0);
        v.add(j);
        Where owing[n], given[n], taken[n], more{};
        each<n>(SPIKEWRIGHT_EACH(k) { owing[k] = at_least(sent.v[k], one); });
        if (p.model.cap != 1.0) {
            each<n>(SPIKEWRIGHT_EACH(k) {
                more |= at_least(v.v[k], limits.least[1][k]) |
                        (at_least(sent.v[k], two) & ~at_least(v.v[k], holds.one[k]));
            });
            if (bits_of(more)) [[unlikely]] {
                fired.most = fire_by_formula<NeuronKind::bipolar>(c, at, t, v, &sent, fired.net);
                fired.all = fired.net.sizes();
                return;
            }
        }
        fire_once_both_ways<lanes>(v, owing, limits, holds, given, taken, fired);
        each<n>(SPIKEWRIGHT_EACH(k) {
            sent.v[k] = minus_where(minus_where(sent.v[k], -one, given[k]), one, taken[k]);
        });
    }
};

// f(x) of a block, of functions that take more than a comparison.
template <std::size_t lanes>
[[gnu::noinline]] void respond(const Population& p, const Place& at, Block<lanes>& x) {
    alignas(kBytes) double values[lanes];
    x.write(values);
    apply_rate(p.model, p.own, values, values, at.channel, lanes, at.pixel);
    x.read(values);
}

// What digits encode: a sum above zero; or, with both signs, a sum, or a function of it.
enum class DigitInput { positive, sum, function };

// Signed digits of the input so far, or of a function of it, less what was sent.
template <std::size_t lanes, DigitInput input>
struct Digits : BothWays<lanes> {
    using Base = BothWays<lanes>;
    using Base::Base, Base::limits, Base::n, Base::p, Base::sent, Base::v;

    // What the sum of all inputs is divided by, and whether products with its inverse are the same.
    const double steps = double(p.model.heights.size()), inverse = 1.0 / steps;
    const bool exact = std::has_single_bit(p.model.heights.size());

    [[gnu::always_inline]] doubles owed(std::size_t k) const {
        return (sent.v[k] - 0.5) * limits.threshold[k];
    }

    // The voltages of neurons that follow a function, in the reference's order of operations; or nearly so, where
    // all are as certainly on the same side of so many thresholds, `above` and `below`.
    [[gnu::always_inline]] Block<lanes> followed(const Place& at, double above, double below) const {
        Block<lanes> known;
        each<n>(SPIKEWRIGHT_EACH(k) {
            const doubles total = v.v[k] + owed(k);
            known.v[k] = exact ? total * inverse : total / steps;
        });
        if (p.model.rate == Rate::gelu) {
            Block<lanes> near;
            Where clear = ~Where{};
            each<n>(SPIKEWRIGHT_EACH(k) {
                const doubles unit = limits.threshold[k], x = known.v[k];
                near.v[k] = gelu_nearly(x) * steps - owed(k);
                const doubles error = 0x1p-21 * (steps * magnitude_of(x) + magnitude_of(owed(k)));
                for (const double one : {above, below})
                    clear &= at_least(magnitude_of(near.v[k] - one * unit), error);
            });
            if (all_of(clear)) return near;
        }
        if (p.model.rate != Rate::identity) respond(p, at, known);
        each<n>(SPIKEWRIGHT_EACH(k) { known.v[k] = known.v[k] * steps - owed(k); });
        return known;
    }

    [[gnu::always_inline]] void step(const Context& c, const Place& at, std::size_t t, const Block<lanes>& j,
                                     Fired<lanes>& fired) {
        const NeuronModel& m = p.model;
        v.add(j);
        fired = {}, fired.most = 1;
        const std::size_t own = m.own(c.job->first + c.first_step + t);
        if (own == m.heights.size()) return;
        const double height = m.heights[own], enough = height * m.parts[own];
        const double above = enough + 0.5, below = 0.5 - enough;
        const doubles high = splat(height), one = splat(1.0);
        Block<lanes> known;
        if constexpr (input == DigitInput::function) known = followed(at, above, below);
        Where taken[n];
        const Counts<lanes> up = counts_of<lanes>(SPIKEWRIGHT_EACH(k) {
            const doubles unit = limits.threshold[k];
            doubles now = input == DigitInput::function ? known.v[k] : v.v[k];
            if constexpr (input == DigitInput::sum) now = (now + owed(k)) - owed(k);  // as a function does
            const Where given = at_least(now, above * unit);
            taken[k] = ~at_least(now, below * unit);
            if constexpr (input == DigitInput::positive) taken[k] &= at_least(sent.v[k], one);
            const doubles digit = minus_where(minus_where(doubles{}, -high, given), high, taken[k]);
            v.v[k] -= digit * unit;
            sent.v[k] += digit;
            return given;
        });
        const Counts<lanes> down = counts_of<lanes>(SPIKEWRIGHT_EACH(k) { return taken[k]; });
        const auto worth = std::uint8_t(height);
        each<Counts<lanes>::n>(SPIKEWRIGHT_EACH(k) {
            fired.net.v[k] = (-up.v[k] & worth) - (-down.v[k] & worth);
            fired.all.v[k] = up.v[k] + down.v[k];
        });
    }
};

// Neurons that take spikes back, one a step at most, in a run whose sums fit bytes.
template <std::size_t lanes>
struct OnceBothWays {
    const Limits<lanes, false> limits;
    const Holds<lanes> holds;
    Block<lanes> v;
    Counts<lanes> sent{};

    OnceBothWays(const Context& c, const Place& at)
        : limits(population_of(c, at), at), holds(population_of(c, at), at) {}

    [[gnu::always_inline]] void step(const Context&, const Place&, std::size_t, const Block<lanes>& j,
                                     Fired<lanes>& fired) {
        v.add(j);
        Where owing[Block<lanes>::n], given[Block<lanes>::n], taken[Block<lanes>::n];
        find_positive(sent, owing);
        fire_once_both_ways<lanes>(v, owing, limits, holds, given, taken, fired);
        each<Counts<lanes>::n>(SPIKEWRIGHT_EACH(k) { sent.v[k] += fired.net.v[k]; });
    }
    void keep_brief(const Context& c, const Place& at) const {
        sent.write(c.brief_sent(at.population, at.sample, offset_of(c, at)));
    }
    void keep(const Context&, const Place&) const {}
};

// `current(t)` arrives, counts are written to `out(t)`.
template <class Neurons, std::size_t lanes, class Current, class Out>
[[gnu::always_inline]] inline void run_neurons(const Context& c, const Place& at, Current&& current, Out&& out) {
    Neurons neurons(c, at);
    read_voltages(c, at, neurons.v);
    Tally<lanes> tally;
    for (std::size_t t = 0; t < c.steps; ++t) {
        Fired<lanes> fired;
        neurons.step(c, at, t, current(t), fired);
        tally.add(fired.all, fired.most);
        put_counts(fired.net, out(t), at.valid);
    }
    if (c.job->brief) {
        neurons.keep_brief(c, at);
        return tally.recent.write(c.brief_total(at.population, at.sample, offset_of(c, at)));
    }
    if (!c.last()) neurons.v.write(passed(c, at, &State::voltage).to);
    neurons.keep(c, at);
    tally.add_to(passed(c, at, &State::total));
}

template <std::size_t lanes, bool uniform, NeuronKind neuron_kind, bool checked = true, class Current, class Out>
[[gnu::always_inline]] inline void run_block(const Context& c, const Place& at, Current&& current, Out&& out) {
    if constexpr (neuron_kind == NeuronKind::bipolar)
        if (c.job->brief && population_of(c, at).model.cap == 1.0)
            return run_neurons<OnceBothWays<lanes>, lanes>(c, at, current, out);
    if constexpr (neuron_kind == NeuronKind::digits) {
        const NeuronModel& m = population_of(c, at).model;
        if (!m.responds) return run_neurons<Digits<lanes, DigitInput::positive>, lanes>(c, at, current, out);
        if (m.rate == Rate::identity && std::has_single_bit(m.heights.size()))
            return run_neurons<Digits<lanes, DigitInput::sum>, lanes>(c, at, current, out);
        return run_neurons<Digits<lanes, DigitInput::function>, lanes>(c, at, current, out);
    } else {
        run_neurons<Neurons<neuron_kind, lanes, uniform, checked>, lanes>(c, at, current, out);
    }
}

// f(uniform, neuron_kind) with a population's own as constants. One threshold for all is a constant where that makes
// layers faster, as it does not where states fill the registers: each kernel twice is a fourth of a build's time.
template <class F>
inline void with_neuron_kind(const Population& p, F&& f) {
    const auto of = [&]<NeuronKind kind>(Constant<kind> own) {
        if constexpr (kind == NeuronKind::integrate)
            if (p.threshold.uniform) return f(std::true_type{}, own);
        f(std::false_type{}, own);
    };
    switch (p.model.neuron_kind) {
        case NeuronKind::integrate: return of(Constant<NeuronKind::integrate>{});
        case NeuronKind::bipolar: return of(Constant<NeuronKind::bipolar>{});
        case NeuronKind::fixed_point: return of(Constant<NeuronKind::fixed_point>{});
        case NeuronKind::digits: return of(Constant<NeuronKind::digits>{});
        case NeuronKind::running_mean: return of(Constant<NeuronKind::running_mean>{});
        default: return;  // all others run in pieces
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
