// A block of lanes of integrate-and-fire neurons in a block of time: currents arrive, counts leave.
#pragma once

#include "bipolar.hpp"
#include "context.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

template <auto value>
using Constant = std::integral_constant<decltype(value), value>;

// Neurons that are advanced together: `valid` ones from a channel of a pixel on.
struct Place {
    std::size_t population, sample, pixel, channel, valid;
};

// The byte of a count of a population's step; one that it does not hold is kept.
inline std::int8_t put_count(const Context& c, const Place& at, std::size_t t, std::size_t k, double count) {
    const std::int8_t byte = clamped(count);
    const Population& p = c.job->plan->populations[at.population];
    if (count != byte) c.keep_large(p.output, at.sample, t, at.pixel * p.channels + at.channel + k, count);
    return byte;
}

// A step with counts that bytes do not hold, by the formula. Neurons that take spikes back have `sent`.
[[gnu::cold, gnu::noinline]] inline void fire_any(const Context& c, const Place& at, std::size_t t, double* v,
                                                  double* sent, std::int8_t* counts) {
    const Population& p = c.job->plan->populations[at.population];
    const double* threshold = p.threshold.at(at.pixel, at.channel);
    const double cap = p.cap > 0.0 ? p.cap : std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < at.valid; ++k) {
        const double least = sent ? std::max(-sent[k], -cap) : 0.0;
        const double spikes = spikes_of(v[k], threshold[k], p.tolerance, least, cap);
        v[k] = p.fixed && p.fixed->to_zero && spikes > 0.0 ? 0.0 : v[k] - spikes * threshold[k];
        if (sent) sent[k] += spikes;
        counts[k] = put_count(c, at, t, k, spikes);
    }
}

// The same of voltages in registers.
template <std::size_t lanes>
[[gnu::always_inline]] inline Counts<lanes> fire_any(const Context& c, const Place& at, std::size_t t,
                                                     Block<lanes>& v, Block<lanes>* sent = nullptr) {
    alignas(kBytes) double voltages[lanes], before[lanes];
    alignas(kBytes) std::int8_t bytes[lanes] = {};
    v.write(voltages);
    if (sent) sent->write(before);
    fire_any(c, at, t, voltages, sent ? before : nullptr, bytes);
    v.read(voltages);
    if (sent) sent->read(before);
    Counts<lanes> counts;
    counts.read(bytes);
    return counts;
}

// `current(t)` arrives, counts are written to `out(t)`. `checked`: whether a neuron may spike twice;
// `whole`: whether all is counted in whole numbers.
template <std::size_t lanes, bool uniform, bool checked, bool whole, class Current, class Out>
[[gnu::always_inline]] inline void run_one_way(const Context& c, const Place& at, Current&& current,
                                               Out&& out) {
    const Population& p = c.job->plan->populations[at.population];
    const auto state = c.state(at.population, at.sample, at.pixel, at.channel);
    const Limits<lanes, uniform> limits(p, at.pixel, at.channel);
    Block<lanes> v;
    v.read(state.voltage);
    [[maybe_unused]] const double* charge = whole ? p.charge.at(at.pixel, at.channel) : nullptr;
    Tally<lanes> tally;
    Most most = 1;
    for (std::size_t t = 0; t < c.steps; ++t) {
        Block<lanes> j = current(t);
        Counts<lanes> counts;
        if constexpr (whole) {
            take_charge(v, j, *p.fixed, charge);
            most = fire_whole(v, limits, p, at.pixel, at.channel, at.valid, counts);
        } else {
            if (p.rectify) j.rectify();
            v.add(j);
            most = most > 2 ? 0 : fire_few<lanes, uniform, checked>(v, limits, p, counts);
            if (checked && most == 0)
                most = fire_many(v, limits, p, at.pixel, at.channel, at.valid, counts);
        }
        if (most == kTooMany) [[unlikely]] {
            counts = fire_any(c, at, t, v);
            most = kMostCounts;
        }
        if (p.has_floor) hold_above<lanes>(v, p, at.pixel, at.channel);
        tally.add(counts, most);
        put_counts(counts, out(t), at.valid);
    }
    const std::size_t offset = at.pixel * p.padded + at.channel;
    if (c.job->brief) return tally.recent.write(c.brief_total(at.population, at.sample, offset));
    tally.flush();
    if (state.next_voltage) v.write(state.next_voltage);
    state.add_total(tally.sum, lanes);
}

// The same, of neurons that take spikes back, one a step at most, in a run whose sums fit bytes.
template <std::size_t lanes, bool uniform, class Current, class Out>
[[gnu::always_inline]] inline void run_once_both_ways(const Context& c, const Place& at, Current&& current,
                                                      Out&& out) {
    const Population& p = c.job->plan->populations[at.population];
    const std::size_t offset = at.pixel * p.padded + at.channel;
    const Limits<lanes, uniform> limits(p, at.pixel, at.channel);
    const Holds<lanes, uniform> holds(p, at.pixel, at.channel);
    Block<lanes> v;
    v.read(c.state(at.population, at.sample, at.pixel, at.channel).voltage);
    Counts<lanes> sent{}, all{};
    for (std::size_t t = 0; t < c.steps; ++t) {
        v.add(current(t));
        Where owing[Block<lanes>::n], given[Block<lanes>::n], taken[Block<lanes>::n];
        find_positive(sent, owing);
        fire_once_both_ways<lanes, uniform>(v, owing, limits, holds, given, taken);
        const Counts<lanes> up = counts_of<lanes>(SPIKEWRIGHT_EACH(k) { return given[k]; });
        const Counts<lanes> down = counts_of<lanes>(SPIKEWRIGHT_EACH(k) { return taken[k]; });
        Counts<lanes> net;
        each<Counts<lanes>::n>(SPIKEWRIGHT_EACH(k) {
            net.v[k] = up.v[k] - down.v[k];
            sent.v[k] += net.v[k];
            all.v[k] += up.v[k] + down.v[k];
        });
        put_counts(net, out(t), at.valid);
    }
    sent.write(c.brief_sent(at.population, at.sample, offset));
    all.write(c.brief_total(at.population, at.sample, offset));
}

// The same of any number of spikes, in any run.
template <std::size_t lanes, bool uniform, class Current, class Out>
[[gnu::always_inline]] inline void run_both_ways(const Context& c, const Place& at, Current&& current,
                                                 Out&& out) {
    constexpr std::size_t n = Block<lanes>::n;
    const Population& p = c.job->plan->populations[at.population];
    const std::size_t offset = at.pixel * p.padded + at.channel;
    const auto state = c.state(at.population, at.sample, at.pixel, at.channel);
    const auto kept = c.sent(at.population, at.sample, offset);
    const Limits<lanes, uniform> limits(p, at.pixel, at.channel);
    const Holds<lanes, uniform> holds(p, at.pixel, at.channel);
    Block<lanes> v, sent{};
    v.read(state.voltage);
    if (kept.from) sent.read(kept.from);
    Tally<lanes> tally;
    for (std::size_t t = 0; t < c.steps; ++t) {
        v.add(current(t));
        BothCounts<lanes> counts;
        Most most = fire_both_ways<lanes, uniform>(v, sent, limits, holds, p, at.pixel, at.channel,
                                                   at.valid, counts);
        if (most == kTooMany) [[unlikely]] {
            counts.net = fire_any(c, at, t, v, &sent);
            counts.all = counts.net.sizes();
            most = kMostCounts;
        }
        tally.add(counts.all, most);
        put_counts(counts.net, out(t), at.valid);
    }
    if (c.job->brief) {
        std::int8_t* to = c.brief_sent(at.population, at.sample, offset);
        each<n>(SPIKEWRIGHT_EACH(k) { store_bytes(to + k * kDoubles, to_ints(sent.v[k])); });
        return tally.recent.write(c.brief_total(at.population, at.sample, offset));
    }
    tally.flush();
    if (state.next_voltage) v.write(state.next_voltage);
    sent.write(kept.to);
    state.add_total(tally.sum, lanes);
}

template <std::size_t lanes, bool uniform, Firing firing, bool checked = true, class Current, class Out>
[[gnu::always_inline]] inline void run_block(const Context& c, const Place& at, Current&& current,
                                             Out&& out) {
    if constexpr (firing == Firing::both_ways) {
        if (c.job->brief && c.job->plan->populations[at.population].cap == 1.0)
            run_once_both_ways<lanes, uniform>(c, at, current, out);
        else
            run_both_ways<lanes, uniform>(c, at, current, out);
    } else
        run_one_way<lanes, uniform, checked, firing == Firing::in_whole_numbers>(c, at, current, out);
}

// f(uniform, firing) with a population's own as constants.
template <class F>
inline void with_firing(const Population& p, F&& f) {
    const auto fire = [&](auto uniform) {
        switch (p.firing()) {
            case Firing::one_way: return f(uniform, Constant<Firing::one_way>{});
            case Firing::both_ways: return f(uniform, Constant<Firing::both_ways>{});
            case Firing::in_whole_numbers: return f(uniform, Constant<Firing::in_whole_numbers>{});
        }
    };
    p.threshold.uniform ? fire(std::true_type{}) : fire(std::false_type{});
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
