// Layers of counts of either sign in bytes, and of doubles that are mostly such numbers: counts above
// zero and counts below are listed as events of their own, with weights of either sign. Slabs
// that hold anything else are summed as values; the weights are the same.
#pragma once

#include "analog.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Up to 64 values as counts above zero and below; bits are set where a value is not that.
inline std::uint64_t halve(const double* from, std::size_t n, std::int8_t* up, std::int8_t* down) {
    alignas(kBytes) std::int32_t whole[64];
    const std::uint64_t other = to_whole(from, n, whole);
    for (std::size_t i = 0; i < n; ++i) {
        const std::int32_t v = whole[i];
        up[i] = std::int8_t(v > 0 ? v : 0);
        down[i] = std::int8_t(v < 0 ? -v : 0);
    }
    return other;
}

// Pixels of `channels` values as counts above zero, then below; whether they are that.
inline bool halved(const double* from, std::size_t pixels, std::size_t channels, std::int8_t* to) {
    std::uint64_t other = 0;
    for (std::size_t p = 0; p < pixels; ++p, from += channels, to += 2 * channels)
        for (std::size_t i = 0; i < channels; i += 64) {
            const std::size_t n = channels - i < 64 ? channels - i : 64;
            other |= halve(from + i, n, to + i, to + channels + i);
        }
    return other == 0;
}

// The same of counts of either sign in bytes.
inline void halve_bytes(const std::int8_t* from, std::size_t pixels, std::size_t channels,
                        std::int8_t* to) {
    typedef std::int8_t sixteen __attribute__((vector_size(16)));
    for (std::size_t p = 0; p < pixels; ++p, from += channels, to += 2 * channels) {
        std::size_t i = 0;
        for (; i + 16 <= channels; i += 16) {
            const auto v = load<sixteen>(from + i), up = sixteen(v > 0);  // all bits set, or none
            store(to + i, v & up);
            store(to + channels + i, -v & ~up);
        }
        for (; i < channels; ++i) {
            const std::int8_t v = from[i];
            to[i] = v > 0 ? v : std::int8_t(0);
            to[channels + i] = v < 0 ? std::int8_t(-v) : std::int8_t(0);
        }
    }
}

inline void list_signed(const Context& c, const Instruction& op, Lists& to, Scratch& scratch) {
    const Layer& l = *op.layer;
    const auto pixels = l.input_pixels(), channels = std::size_t(l.channels) / 2;
    const std::size_t stride = rounded_up(pixels * 2 * channels, kLine);
    const bool bytes = c.kind(op.input) == Kind::counts;
    scratch.halves.reserve(kSlab * stride, 0);
    each_slab(c, [&](std::size_t slab, std::size_t s, std::size_t t, std::size_t steps) {
        if (is_dense(c, op, s, t, steps, to.frames[slab], to.events[slab])) return;
        bool counts = true;
        for (std::size_t u = 0; counts && u < steps; ++u) {
            std::int8_t* halves = scratch.halves.data() + u * stride;
            if (bytes)
                halve_bytes(c.counts(op.input, s, t + u), pixels, channels, halves);
            else
                counts = halved(c.values(op.input, s, t + u), pixels, channels, halves);
        }
        to.frames[slab].whole = counts;
        if (counts) return to.events[slab].list(scratch.halves.data(), stride, pixels, 2 * channels, steps);
        for (std::size_t u = t; u < t + steps; ++u) {
            split_step(c, op, channels, s, u, to);
            Split& frame = to.values[s * c.job->block + u];
            for (std::size_t p = 0; p < pixels; ++p)  // rows of weights of values above zero
                for (std::uint32_t i = frame.offsets[p]; i < frame.offsets[p + 1]; ++i)
                    frame.codes[i] += std::uint32_t(p * channels);
        }
    });
}

template <std::size_t lanes>
void sum_signed(const Strip& strip, std::size_t pixel) {
    find_segments(*strip.op.layer, pixel, strip.scratch.segments);
    const std::size_t all = strip.context.steps;
    for (std::size_t first = 0, steps; first < all; first += steps) {
        if ((steps = dense_steps(strip, first))) {
            multiply_steps<lanes>(strip, first, steps);
            continue;
        }
        steps = all - first < kSlab ? all - first : kSlab;
        if (strip.frames(first).whole)
            sum_slab<lanes>(strip, strip.slab(first), first, steps);
        else
            for (std::size_t t = first; t < first + steps; ++t) sum_values<lanes>(strip, t);
    }
}

inline void run_signed(const Context& c, const Instruction& op, const Lists& lists, Scratch& scratch) {
    run_weights(c, op, lists, scratch, [](const Strip& strip, std::size_t pixel, auto lanes) {
        sum_signed<lanes()>(strip, pixel);
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
