// Matrix products and convolutions of values in doubles: a frame of values is split into limbs, so that
// every sum is exact and no order matters.
#pragma once

#include <algorithm>
#include <bit>

#include "sheets.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// The weights of a block of lanes, limb by limb.
template <std::size_t count>
struct WeightLimbs {
    const std::int32_t* limb[count];
};

// The sum of limb `number` in units of the weights' last limb, of `count`.
template <std::size_t count>
[[gnu::always_inline]] inline doubles in_units(doubles sum, std::size_t number) {
    return number % count + 1 < count ? sum * splat(kLimb) : sum;
}

// The sums of `width` lanes of a block of `lanes`, limb by limb of values and weights, then added in
// order.
template <std::size_t lanes, std::size_t width, std::size_t values, std::size_t count>
inline void sum_limbs(const WeightLimbs<count>& weights, std::size_t at, const Split& frame,
                      const std::vector<Segment>& segments, double* to) {
    constexpr std::size_t n = width / kDoubles, limbs = values * count;
    doubles sums[limbs * n];
    each<limbs * n>(SPIKEWRIGHT_EACH(k) { sums[k] = doubles{}; });
    const std::uint32_t* codes = frame.codes.data();
    for (const Segment& s : segments) {
        const std::uint32_t end = frame.offsets[s.end];
        for (std::uint32_t i = frame.offsets[s.begin]; i < end; ++i) {
            const std::int64_t row = (std::int64_t(codes[i]) + s.base) * std::int64_t(lanes);
            doubles x[values];
            each<values>(SPIKEWRIGHT_EACH(l) { x[l] = splat(frame.parts[l][i]); });
            each<count * n>(SPIKEWRIGHT_EACH(j) {
                constexpr std::size_t h = j / n, k = j % n;
                const std::int32_t* from = weights.limb[h] + row + std::int64_t(at);
                const doubles w = to_doubles(load<half_ints>(from + k * kDoubles));
                each<values>(SPIKEWRIGHT_EACH(l) {
                    doubles& sum = sums[(l * count + h) * n + k];
                    sum = add_exact_product(sum, x[l], w);
                });
            });
        }
    }
    each<n>(SPIKEWRIGHT_EACH(k) {
        doubles total = in_units<count>(sums[k], 0);
        for (std::size_t l = 1; l < limbs; ++l) total += in_units<count>(sums[l * n + k], l);
        store(to + k * kDoubles, total);
    });
}

// As many lanes at once as registers hold sums of.
template <std::size_t lanes, std::size_t values, std::size_t count>
inline void sum_limbs_of(const WeightLimbs<count>& weights, const Split& frame,
                         const std::vector<Segment>& segments, double* to) {
    constexpr std::size_t registers = kBytes == 64 ? 24 : 12, widest = registers / 3;
    constexpr std::size_t n = std::min(widest, std::bit_floor(registers / (values * count)));
    constexpr std::size_t width = std::min(lanes, n * kDoubles);
    for (std::size_t at = 0; at < lanes; at += width)
        sum_limbs<lanes, width, values>(weights, at, frame, segments, to + at);
}

template <std::size_t lanes, std::size_t count>
inline void sum_frame(const WeightLimbs<count>& weights, const Split& frame,
                      const std::vector<Segment>& segments, double* to) {
    if (frame.limbs == 0) std::fill_n(to, lanes, 0.0);
    each<kMostLimbs>(SPIKEWRIGHT_EACH(l) {
        if (frame.limbs == int(l) + 1) sum_limbs_of<lanes, l + 1>(weights, frame, segments, to);
    });
}

// Adds up the weights of one step's values for a pixel whose segments are found. With two limbs the
// sum over both is that of the second.
template <std::size_t lanes>
void sum_values(const Strip& strip, std::size_t t) {
    const Layer& l = *strip.op.layer;
    const std::int32_t* weights = l.weights.data() + strip.block.offset;
    const Split& frame = strip.split(t);
    const auto& segments = strip.scratch.segments;
    double* to = strip.scratch.sums.doubles_of(t);
    if (l.low.empty()) return sum_frame<lanes>(WeightLimbs<1>{{weights}}, frame, segments, to);
    std::fill_n(to, lanes, 0.0);
    sum_frame<lanes>(WeightLimbs<2>{{weights, l.low.data() + strip.block.offset}}, frame, segments,
                     strip.scratch.low.doubles_of(t));
}

// Splits one step's values; zeros are left out.
inline void split_step(const Context& c, const Instruction& op, std::size_t channels, std::size_t s,
                       std::size_t t, Lists& to) {
    const Layer& l = *op.layer;
    split(Values(c, op.input)(s, t), l.input_pixels(), channels, l.limbs, to.values[s * c.job->block + t],
          extent_elsewhere(c, op.input, s, t));
}

// Every member finds out how a slab is split; sheets are laid out by one, lists are made by all.
inline void list_analog(const Context& c, const Instruction& op, Lists& to) {
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t t = 0; t < c.steps; t += kSlab) {
            const std::size_t slab = s * slabs_in(c.job->block) + t / kSlab;
            const std::size_t steps = c.steps - t < kSlab ? c.steps - t : kSlab;
            const Survey found(c, op, s, t, steps);
            if (slab % c.members == c.rank) {
                to.sheets[slab].laid_out = found.pays;
                if (found.pays) lay_out(c, op, s, t, steps, found, to.sheets[slab]);
            }
            for (std::size_t u = t; !found.pays && u < t + steps; ++u)
                if ((s * c.job->block + u) % c.members == c.rank)
                    split_step(c, op, std::size_t(op.layer->channels), s, u, to);
        }
}

inline void run_analog(const Context& c, const Instruction& op, const Lists& lists, Scratch& scratch) {
    const bool rough = is_rough(c, op);
    const Lanes* block = nullptr;
    std::size_t sample = 0;
    run_weights(c, op, lists, scratch, [&](const Strip& strip, std::size_t pixel, auto lanes) {
        scratch.rough = rough;
        if (rough && (block != &strip.block || sample != strip.sample)) {
            find_errors<lanes()>(strip, scratch.errors);
            block = &strip.block, sample = strip.sample;
        }
        find_segments(*op.layer, pixel, scratch.segments);
        for (std::size_t t = 0; t < c.steps; t += kSlab) {
            const std::size_t steps = c.steps - t < kSlab ? c.steps - t : kSlab;
            if (strip.sheet(t).laid_out)
                sum_sheet<lanes()>(strip, pixel, strip.sheet(t), scratch.segments, t, steps);
            else
                for (std::size_t u = t; u < t + steps; ++u) {
                    sum_values<lanes()>(strip, u);
                    compensate<lanes()>(strip, pixel, &strip.split(u), u);
                }
        }
    });
    scratch.rough = false;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
