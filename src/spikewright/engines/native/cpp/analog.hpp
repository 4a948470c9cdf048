// Matrix products and convolutions of values in doubles: a frame of values is split into limbs, so that
// every sum is exact and no order matters.
#pragma once

#include "sheets.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// The sums of `width` lanes of a block of `lanes`, limb by limb, then added in order.
template <std::size_t lanes, std::size_t width, int limbs>
inline void sum_limbs(const std::int32_t* weights, const Split& frame,
                      const std::vector<Segment>& segments, double* to) {
    constexpr std::size_t n = width / kDoubles;
    doubles sums[limbs * n];
    each<limbs * n>(SPIKEWRIGHT_EACH(k) { sums[k] = doubles{}; });
    const std::uint32_t* codes = frame.codes.data();
    for (const Segment& s : segments) {
        const std::uint32_t end = frame.offsets[s.end];
        for (std::uint32_t i = frame.offsets[s.begin]; i < end; ++i) {
            const std::int32_t* row = weights + (std::int64_t(codes[i]) + s.base) * std::int64_t(lanes);
            doubles x[limbs];
            each<limbs>(SPIKEWRIGHT_EACH(l) { x[l] = splat(frame.parts[l][i]); });
            each<n>(SPIKEWRIGHT_EACH(k) {
                const doubles w = to_doubles(load<half_ints>(row + k * kDoubles));
                each<limbs>(SPIKEWRIGHT_EACH(l) {
                    sums[l * n + k] = add_exact_product(sums[l * n + k], x[l], w);
                });
            });
        }
    }
    each<n>(SPIKEWRIGHT_EACH(k) {
        doubles total = sums[k];
        for (std::size_t l = 1; l < limbs; ++l) total += sums[l * n + k];
        store(to + k * kDoubles, total);
    });
}

// As many lanes at once as registers hold sums of.
template <std::size_t lanes, int limbs>
inline void sum_limbs_of(const std::int32_t* weights, const Split& frame,
                         const std::vector<Segment>& segments, double* to) {
    constexpr std::size_t most = (kBytes == 64 ? 8 : 4) * kDoubles;
    constexpr std::size_t width = lanes < most ? lanes : most;
    for (std::size_t at = 0; at < lanes; at += width)
        sum_limbs<lanes, width, limbs>(weights + at, frame, segments, to + at);
}

// Adds up the weights of one step's values for a pixel whose segments are found.
template <std::size_t lanes>
inline void sum_values(const Strip& strip, std::size_t t) {
    const std::int32_t* weights = strip.op.layer->weights.data() + strip.block.offset;
    const Split& frame = strip.split(t);
    const auto& segments = strip.scratch.segments;
    SumBuffer& sums = strip.scratch.sums;
    double* to = sums.wide.data() + t * 64;
    if (frame.limbs == 0) std::fill_n(to, lanes, 0.0);
    if (frame.limbs == 1) sum_limbs_of<lanes, 1>(weights, frame, segments, to);
    if (frame.limbs == 2) sum_limbs_of<lanes, 2>(weights, frame, segments, to);
    if (frame.limbs == 3) sum_limbs_of<lanes, 3>(weights, frame, segments, to);
    sums.is_wide[t] = 1;
}

// Splits one step's values; zeros are left out.
inline void split_step(const Context& c, const Instruction& op, std::size_t channels, std::size_t s,
                       std::size_t t, Lists& to) {
    const Layer& l = *op.layer;
    split(c.values(op.input, s, t), l.input_pixels(), channels, l.limbs,
          to.values[s * c.job->block + t], largest_elsewhere(c, op.input, s, t));
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
    run_weights(c, op, lists, scratch, [&](const Strip& strip, std::size_t pixel, auto lanes) {
        find_segments(*op.layer, pixel, scratch.segments);
        for (std::size_t t = 0; t < c.steps; t += kSlab) {
            const std::size_t steps = c.steps - t < kSlab ? c.steps - t : kSlab;
            if (strip.sheet(t).laid_out)
                sum_sheet<lanes()>(strip, strip.sheet(t), t, steps);
            else
                for (std::size_t u = t; u < t + steps; ++u) sum_values<lanes()>(strip, u);
        }
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
