// Layers of counts in bytes: of events. Of counts of either sign, and of doubles that are mostly such numbers,
// counts above zero and counts below are listed as events of their own, with weights of either sign. Slabs
// that hold anything else, or counts that bytes do not hold, are summed as values; the weights are the same.
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

// The same of counts of either sign in bytes; with `ones` of their signs alone.
inline void halve_bytes(const std::int8_t* from, std::size_t pixels, std::size_t channels, bool ones,
                        std::int8_t* to) {
    const std::int8_t most = ones ? std::int8_t(1) : std::int8_t(127);
    typedef std::int8_t sixteen __attribute__((vector_size(16)));
    for (std::size_t p = 0; p < pixels; ++p, from += channels, to += 2 * channels) {
        std::size_t i = 0;
        for (; i + 16 <= channels; i += 16) {
            const auto v = load<sixteen>(from + i), up = sixteen(v > 0), down = sixteen(v < 0);  // all bits set, or none
            const sixteen size = ones ? most - sixteen{} : (v & up) - (v & ~up);
            store(to + i, size & up);
            store(to + channels + i, size & down);
        }
        for (; i < channels; ++i) {
            const std::int8_t v = from[i];
            to[i] = v > 0 ? std::min(v, most) : std::int8_t(0);
            to[channels + i] = v < 0 ? std::min(std::int8_t(-v), most) : std::int8_t(0);
        }
    }
}

// Whether counts of some steps are beyond their bytes.
inline bool exceeds(const Context& c, std::int32_t buffer, std::size_t s, std::size_t t, std::size_t steps) {
    bool some = false;
    for (std::size_t u = t; u < t + steps && c.exceeds(buffer); ++u)
        c.each_large(buffer, s, u, [&](std::size_t, double) { some = true; });
    return some;
}

constexpr std::size_t kFewRests = 32;      // of a step, that are added one by one
constexpr double kExactCounts = 0x1p26;    // so many spikes times weights of a limb are exact sums

// Whether they are so many, or so large, that their sums are those of values.
inline bool exceeds_by_far(const Context& c, const Instruction& op, std::size_t s, std::size_t t, std::size_t steps) {
    bool far = false;
    for (std::size_t u = t; u < t + steps && c.exceeds(op.input); ++u) {
        std::size_t n = 0;
        double sum = double(kMostCounts) * double(op.layer->taps()) * double(op.layer->channels);
        c.each_large(op.input, s, u, [&](std::size_t, double count) { ++n, sum += std::fabs(count); });
        far |= n > kFewRests || (n > 0 && !(sum < kExactCounts));
    }
    return far;
}

// Splits the steps of a slab whose sums are those of values; `halves` of the rows are of values below zero.
inline void split_slab(const Context& c, const Instruction& op, std::size_t slab, std::size_t s, std::size_t t,
                       std::size_t steps, std::size_t halves, Lists& to) {
    const auto pixels = op.layer->input_pixels(), channels = std::size_t(op.layer->channels) / halves;
    to.frames[slab].whole = to.frames[slab].dense = to.frames[slab].rows = false;
    to.frames[slab].split = true;
    for (std::size_t u = t; u < t + steps; ++u) {
        split_step(c, op, channels, s, u, to);
        Split& frame = to.values[s * c.job->block + u];
        for (std::size_t p = 0; p < pixels && halves > 1; ++p)  // rows of weights of values above zero
            for (std::uint32_t i = frame.offsets[p]; i < frame.offsets[p + 1]; ++i)
                frame.codes[i] += std::uint32_t(p * channels);
    }
}

// Lists the events of every slab of every sample.
inline void list_layer(const Context& c, const Instruction& op, Lists& to) {
    const Layer& l = *op.layer;
    each_slab(c, [&](std::size_t slab, std::size_t s, std::size_t t, std::size_t steps) {
        if (exceeds_by_far(c, op, s, t, steps)) return split_slab(c, op, slab, s, t, steps, 1, to);
        to.frames[slab].whole = true, to.frames[slab].split = false;
        if (is_dense(c, op, s, t, steps, to.frames[slab], to.events[slab])) return;
        list_events(l, c.counts(op.input, s, t), c.stride(op.input), steps, to.events[slab]);
    });
}

inline void list_signed(const Context& c, const Instruction& op, Lists& to, Scratch& scratch) {
    const Layer& l = *op.layer;
    const auto pixels = l.input_pixels(), channels = std::size_t(l.channels) / 2;
    const std::size_t stride = rounded_up(pixels * 2 * channels, kLine);
    const bool bytes = c.kind(op.input) == Kind::counts;
    scratch.halves.reserve(kSlab * stride, 0);
    each_slab(c, [&](std::size_t slab, std::size_t s, std::size_t t, std::size_t steps) {
        if (exceeds_by_far(c, op, s, t, steps)) return split_slab(c, op, slab, s, t, steps, 2, to);
        to.frames[slab].split = false;
        if (is_dense(c, op, s, t, steps, to.frames[slab], to.events[slab])) return;
        bool counts = true;
        for (std::size_t u = 0; counts && u < steps; ++u) {
            std::int8_t* halves = scratch.halves.data() + u * stride;
            if (bytes)
                halve_bytes(c.counts(op.input, s, t + u), pixels, channels, !l.heights.empty(), halves);
            else
                counts = halved(c.values(op.input, s, t + u), pixels, channels, halves);
        }
        if (!counts) return split_slab(c, op, slab, s, t, steps, 2, to);
        to.frames[slab].whole = true, to.frames[slab].split = false;
        list_events(l, scratch.halves.data(), stride, steps, to.events[slab]);
    });
}

inline void run_layer(const Context& c, const Instruction& op, const Lists& lists, Scratch& scratch) {
    run_weights(c, op, lists, scratch, [](const LayerTask& task, std::size_t pixel, auto lanes) {
        sum_pixel<lanes()>(task, pixel);
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
