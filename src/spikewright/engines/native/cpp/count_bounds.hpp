// Counts from bounds: neurons that follow the running mean of their current (`running_mean.hpp`), in runs of
// which only counts are read. The number of spikes that they have sent is
//
//   floor((v - target + f(sum)) / threshold + tolerance)
//
// whatever the way there, with v and target as they were at first: neither means nor voltages are made.
// That is certain where no rounding, and no error of the currents, which is bounded, may lead over a whole
// number. Else all is done again, step by step.
#pragma once

#include "running_mean.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Of a spike. In so few steps rounding, here and step by step, makes less than 2^-40 of the largest sum, with
// which voltages begin, too. So it is less than this where these are no more than so many spikes.
constexpr double kSlack = 0x1p-22, kMostSent = 0x1p17;
constexpr double kUsual = 0x1p900;  // reciprocals of thresholds that are far from the smallest numbers
constexpr std::size_t kFewSteps = 128;
constexpr std::uint8_t kCertainCounts = 126;  // others, as bytes, may be larger

// Whether a block's counts are all that is read, and can be found from bounds.
inline bool leaves_counts(const Context& c, std::int32_t population) {
    if (population < 0 || !c.last() || c.steps > kFewSteps) return false;
    const Population& p = c.job->plan->populations[std::size_t(population)];
    return p.has_running_mean() && !p.model.gated && !p.model.tilted();
}

// Counts without their signs, and whether some may be larger than they look.
inline few_bytes sizes_of(few_bytes counts, std::uint64_t& beyond) {
    typedef std::uint8_t bytes __attribute__((vector_size(kMeanLanes)));
    const few_bytes sizes = counts > 0 ? counts : -counts;
    const auto far = bytes(sizes) > kCertainCounts;
    std::uint64_t halves[2];
    std::memcpy(halves, &far, sizeof halves);
    beyond |= halves[0] | halves[1];
    return sizes;
}

// `current(t)` arrives, and counts are written to `out(t)`. Sums of currents are off by `errors` at most (null:
// by rounding alone). False where some counts are not certain: then nothing is kept.
template <class Current, class Out>
[[gnu::always_inline]] inline bool count_certainly(const Context& c, const Place& at, const Divisor* numbers,
                                                   const double* errors, Current&& current, Out&& out) {
    constexpr std::size_t n = Block<kMeanLanes>::n;
    typedef std::int16_t shorts __attribute__((vector_size(2 * kMeanLanes)));
    const Population& p = population_of(c, at);
    const double* inverses = p.inverse.at(at.pixel, at.channel);
    const double cap = p.model.cap;
    const MeanState now(c, at);
    doubles inverse[n], before[n], sum[n], sent[n], largest[n], least[n], most[n];
    each<n>(SPIKEWRIGHT_EACH(k) {
        inverse[k] = load<doubles>(inverses + k * kDoubles);
        before[k] = (now.v.v[k] - now.target.v[k]) * inverse[k] + kTolerance;
        sum[k] = now.sum.v[k];
        sent[k] = largest[k] = most[k] = doubles{}, least[k] = splat(1.0);
    });
    shorts sizes{};
    std::uint64_t beyond = 0;
    for (std::size_t t = 0; t < c.steps; ++t) {
        const Block<kMeanLanes> j = current(t);
        const doubles top = splat(numbers[t].n * p.model.most);
        half_ints whole[n];
        each<n>(SPIKEWRIGHT_EACH(k) {
            sum[k] += j.v[k];
            largest[k] = larger_of(magnitude_of(sum[k]), largest[k]);
            const doubles target = smaller_of(larger_of(sum[k], doubles{}), top);
            const doubles share = about(before[k], target, inverse[k]), all = floor_of(share);
            least[k] = smaller_of(share - all, least[k]);
            most[k] = larger_of(share - all, most[k]);
            doubles spikes = all - sent[k];
            if (cap > 0.0) spikes = larger_of(smaller_of(spikes, splat(cap)), splat(-cap));
            sent[k] += spikes;
            whole[k] = to_ints(spikes);
        });
        const few_bytes counts = bytes_of(whole);
        sizes += __builtin_convertvector(sizes_of(counts, beyond), shorts);
        if (at.valid == kMeanLanes)
            store(out(t), counts);
        else
            std::memcpy(out(t), &counts, at.valid);
    }
    Where certain = ~Where{};
    each<n>(SPIKEWRIGHT_EACH(k) {
        const doubles error = errors ? load<doubles>(errors + k * kDoubles) : doubles{};
        const doubles margin = about(splat(kSlack), error, inverse[k]);
        certain &= at_least(least[k], margin) & at_least(1.0 - margin, most[k]);
        const doubles start = magnitude_of(now.v.v[k]) + magnitude_of(now.target.v[k]);
        const doubles span = start + magnitude_of(now.sum.v[k]) + largest[k] + error;
        certain &= at_least(splat(kMostSent), span * inverse[k]);
        certain &= at_least(largest[k], magnitude_of(sum[k]));  // not NaN
        certain &= at_least(splat(kUsual), inverse[k]) & at_least(inverse[k], splat(1.0 / kUsual));
    });
    if (!all_of(certain) || beyond) return false;
    alignas(kLine) double net[kMeanLanes];
    alignas(kLine) std::int16_t all[kMeanLanes];
    each<n>(SPIKEWRIGHT_EACH(k) { store(net + k * kDoubles, sent[k]); });
    store(all, sizes);
    add_on(passed(c, at, &State::total), all, kMeanLanes);
    add_on(passed(c, at, &State::sent), net, kMeanLanes);
    return true;
}

// A block of neurons, in the way that is enough: `counts` says whether it leaves nothing else, and `finely` makes
// currents anew whose errors matter. Returns whether all counts were certain.
template <class Current, class Out, class Finely>
[[gnu::always_inline]] inline bool follow(const Context& c, const Place& at, bool counts, const Divisor* numbers,
                                          const double* errors, Current&& current, Out&& out, Finely&& finely) {
    if (counts && count_certainly(c, at, numbers, errors, current, out)) return true;
    finely();
    run_following(c, at, numbers, current, out);
    return false;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
