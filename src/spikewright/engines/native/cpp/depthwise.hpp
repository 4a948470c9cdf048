// Depthwise convolutions: every channel has a kernel of its own, so that sums are elementwise over
// channels and dense. Counts and small whole numbers of either sign add up in 32 bits where their sums
// fit, else in doubles; values in limbs as `engines/grid.py` says. No order matters.
#pragma once

#include "analog.hpp"
#include "pools.hpp"
#include "count_layers.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

inline ints widened(const std::int8_t* from) {
#if defined(__AVX512F__)
    return ints(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
#elif defined(__AVX2__)
    return ints(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
#elif defined(SPIKEWRIGHT_NEON)
    return ints(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(load<std::uint32_t>(from))))));
#else
    ints v;
    for (std::size_t i = 0; i < kInts; ++i) v[i] = std::uint32_t(std::int32_t(from[i]));
    return v;
#endif
}

// Segments of one pixel each: `begin` is where a tap reads, `base` which tap.
inline void find_taps(const Layer& l, std::size_t pixel, std::vector<Segment>& taps) {
    taps.clear();
    l.each_tap(std::int64_t(pixel) / l.out_width, std::int64_t(pixel) % l.out_width,
               [&](std::int64_t tap, std::size_t at) {
                   taps.push_back({std::uint32_t(at), std::uint32_t(at + 1), tap});
               });
}

template <std::size_t lanes>
[[gnu::always_inline]] inline void tap_counts(const std::int32_t* weights, const std::int8_t* frame,
                                              std::size_t channels,
                                              const std::vector<Segment>& taps,
                                              std::int32_t* sums) {
    constexpr std::size_t n = lanes / kInts;
    ints sum[n];
    each<n>(SPIKEWRIGHT_EACH(k) { sum[k] = ints{}; });
    for (const Segment& tap : taps) {
        const std::int8_t* x = frame + tap.begin * channels;
        const std::int32_t* w = weights + tap.base * std::int64_t(lanes);
        each<n>(SPIKEWRIGHT_EACH(k) {
            sum[k] += load<ints>(w + k * kInts) * widened(x + k * kInts);
        });
    }
    each<n>(SPIKEWRIGHT_EACH(k) { store(sums + k * kInts, sum[k]); });
}

template <std::size_t lanes>
inline void tap_counts_wide(const std::int32_t* weights, const std::int8_t* frame,
                            std::size_t channels, const std::vector<Segment>& taps, double* sums) {
    for (std::size_t k = 0; k < lanes; ++k) sums[k] = 0.0;
    for (const Segment& tap : taps) {
        const std::int8_t* x = frame + tap.begin * channels;
        const std::int32_t* w = weights + tap.base * std::int64_t(lanes);
        for (std::size_t k = 0; k < lanes; ++k) sums[k] += double(w[k]) * double(x[k]);
    }
}

// Values: limb by limb of values and weights, then added in order, in units of the weights' last limb.
template <std::size_t lanes, std::size_t count>
inline void tap_values(const WeightLimbs<count>& limbs, const Split& frame, std::size_t channel,
                       std::size_t channels, const std::vector<Segment>& taps, double* sums) {
    constexpr std::size_t n = lanes / kDoubles;
    for (std::size_t k = 0; k < lanes; ++k) sums[k] = 0.0;
    for (std::size_t l = 0; l < std::size_t(frame.limbs) * count; ++l) {
        doubles sum[n];
        each<n>(SPIKEWRIGHT_EACH(k) { sum[k] = doubles{}; });
        const double* part = frame.parts[l / count].data() + channel;
        const std::int32_t* weights = limbs.limb[l % count];
        for (const Segment& tap : taps) {
            const double* x = part + tap.begin * channels;
            const std::int32_t* w = weights + tap.base * std::int64_t(lanes);
            each<n>(SPIKEWRIGHT_EACH(k) {
                const doubles weight = to_doubles(load<half_ints>(w + k * kDoubles));
                sum[k] = add_exact_product(sum[k], load<doubles>(x + k * kDoubles), weight);
            });
        }
        each<n>(SPIKEWRIGHT_EACH(k) {
            const doubles made = in_units<count>(sum[k], l);
            store(sums + k * kDoubles, load<doubles>(sums + k * kDoubles) + made);
        });
    }
}

// One step's values; with two limbs the sum over both is that of the second.
template <std::size_t lanes>
void sum_tap_values(const LayerTask& task, std::size_t t) {
    const Layer& l = *task.op.layer;
    const std::size_t channel = task.block.channel, channels = std::size_t(l.channels);
    const std::int32_t* weights = l.weights.data() + task.block.offset;
    const Split& frame = task.split(t);
    const auto& taps = task.scratch.segments;
    double* to = task.scratch.sums.doubles_of(t);
    if (l.low.empty())
        return tap_values<lanes>(WeightLimbs<1>{{weights}}, frame, channel, channels, taps, to);
    std::fill_n(to, lanes, 0.0);
    tap_values<lanes>(WeightLimbs<2>{{weights, l.low.data() + task.block.offset}}, frame, channel,
                      channels, taps, task.scratch.low.doubles_of(t));
}

// One step's counts, at most `most`, and weights of one limb; sums fit for counts up to `budget`.
template <std::size_t lanes>
void sum_tap_counts(const LayerTask& task, const std::int32_t* weights, const std::int8_t* frame,
                    std::size_t most, std::int64_t budget, std::size_t t, SumBuffer& sums) {
    const auto channels = std::size_t(task.op.layer->channels);
    const auto& taps = task.scratch.segments;
    if (most > std::size_t(budget))
        return tap_counts_wide<lanes>(weights, frame, channels, taps, sums.doubles_of(t));
    tap_counts<lanes>(weights, frame, channels, taps, sums.narrow.data() + t * 64);
    sums.is_wide[t] = 0;
}

// Adds up the weights of a block of lanes of a pixel in all steps.
template <std::size_t lanes>
void sum_depthwise(const LayerTask& task, std::size_t pixel) {
    const Context& c = task.context;
    const Layer& l = *task.op.layer;
    const std::size_t at = task.block.offset;
    const bool counts = c.kind(task.op.input) == Kind::counts;
    find_taps(l, pixel, task.scratch.segments);
    for (std::size_t t = 0; t < c.steps; ++t) {
        const Frames& slab = task.frames(t);
        if (!slab.whole) {
            sum_tap_values<lanes>(task, t);
            compensate<lanes>(task, pixel, &task.split(t), t);
            continue;
        }
        const std::int8_t* frame = (counts ? c.counts(task.op.input, task.sample, t)
                                           : slab.bytes.data() + t % kSlab * slab.stride) +
                                   task.block.channel;
        const std::size_t most = task.slab(t).most;
        sum_tap_counts<lanes>(task, l.weights.data() + at, frame, most, l.budgets[0], t,
                              task.scratch.sums);
        if (!l.low.empty())
            sum_tap_counts<lanes>(task, l.low.data() + at, frame, most, l.low_budget, t,
                                  task.scratch.low);
        if (!counts) compensate<lanes>(task, pixel, nullptr, t);
    }
}

// Counts are only measured; values become bytes where they are small whole numbers, else limbs.
inline void list_depthwise(const Context& c, const Instruction& op, Lists& lists) {
    const Layer& l = *op.layer;
    const std::size_t size = l.input_pixels() * std::size_t(l.channels);
    const bool counts = c.kind(op.input) == Kind::counts;
    each_slab(c, [&](std::size_t slab, std::size_t s, std::size_t t, std::size_t steps) {
        Frames& to = lists.frames[slab];
        std::int32_t most = 0;
        to.whole = true;
        if (!counts) {
            to.stride = rounded_up(size, kLine);
            to.bytes.reserve(kSlab * to.stride, 0);
        }
        for (std::size_t u = 0; to.whole && u < steps; ++u)
            if (counts && exceeds(c, op.input, s, t + u, 1))
                to.whole = false;
            else if (counts)
                most = std::max<std::int32_t>(most, largest(c.counts(op.input, s, t + u), size));
            else
                to.whole = to_bytes(c.values(op.input, s, t + u), size, to.bytes.data() + u * to.stride,
                                    most);
        lists.events[slab].most = std::size_t(most);
        for (std::size_t u = t; !to.whole && u < t + steps; ++u)
            split_dense(Values(c, op.input)(s, u), size, l.limbs, lists.values[s * c.job->block + u]);
    });
}

inline void run_depthwise(const Context& c, const Instruction& op, const Lists& lists, Scratch& scratch) {
    run_weights(c, op, lists, scratch, [](const LayerTask& task, std::size_t pixel, auto lanes) {
        sum_depthwise<lanes()>(task, pixel);
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
