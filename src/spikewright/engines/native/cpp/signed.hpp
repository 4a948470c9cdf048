// Layers of counts of either sign in bytes, and of doubles that are mostly such numbers: what is above
// zero and what is below are listed as events of their own, with weights of either sign. Slabs
// that hold anything else are summed as values; the weights are the same.
#pragma once

#include "frames.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// One member's room for counts that are listed.
struct Workspace : Scratch {
    Array<std::int8_t> halves;
};

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

inline void list_signed(const Context& c, const Instruction& op, std::vector<Slab>& slabs,
                        std::vector<Frames>& frames, std::vector<Split>& splits, Workspace& work) {
    const Layer& l = *op.layer;
    const auto pixels = std::size_t(l.height * l.width), channels = std::size_t(l.channels) / 2;
    const std::size_t stride = rounded_up(pixels * 2 * channels, kLine);
    const bool bytes = c.kind(op.input) == Kind::counts;
    work.halves.reserve(kSlab * stride, 0);
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t t = 0; t < c.steps; t += kSlab) {
            const std::size_t at = s * slabs_in(c.job->block) + t / kSlab;
            if (at % c.members != c.rank) continue;
            const std::size_t steps = c.steps - t < kSlab ? c.steps - t : kSlab;
            bool counts = true;
            for (std::size_t u = 0; counts && u < steps; ++u) {
                std::int8_t* to = work.halves.data() + u * stride;
                if (bytes)
                    halve_bytes(c.counts(op.input, s, t + u), pixels, channels, to);
                else
                    counts = halved(c.values(op.input, s, t + u), pixels, channels, to);
            }
            frames[at].whole = counts;
            if (counts) {
                slabs[at].list(work.halves.data(), stride, pixels, 2 * channels, steps);
                continue;
            }
            for (std::size_t u = t; u < t + steps; ++u) {
                Split& frame = splits[s * c.job->block + u];
                split(c.values(op.input, s, u), pixels, channels, l.limb_bits, l.limbs, frame,
                      largest_elsewhere(c, op.input, s, u));
                for (std::size_t p = 0; p < pixels; ++p)  // rows of what is above zero
                    for (std::uint32_t i = frame.offsets[p]; i < frame.offsets[p + 1]; ++i)
                        frame.codes[i] += std::uint32_t(p * channels);
            }
        }
}

template <std::size_t lanes>
void sum_signed(const Strip& strip, const Frames* frames, const Split* splits, std::size_t pixel) {
    const Layer& l = *strip.op.layer;
    SumBuffer& sums = strip.scratch.sums;
    const auto& segments = strip.scratch.segments;
    const std::int32_t* weights = l.weights.data() + strip.block.offset;
    const std::size_t all = strip.context.steps;
    find_segments(l, pixel, strip.scratch.segments);
    for (std::size_t first = 0; first < all; first += kSlab) {
        const std::size_t slab = first / kSlab, steps = all - first < kSlab ? all - first : kSlab;
        if (frames[slab].whole) {
            sum_slab<lanes>(strip, strip.slabs[slab], first, steps);
            continue;
        }
        for (std::size_t t = first; t < first + steps; ++t) {
            double* to = sums.wide.data() + t * 64;
            std::fill_n(to, lanes, 0.0);
            if (splits[t].limbs == 1) sum_limbs_of<lanes, 1>(weights, splits[t], segments, to);
            if (splits[t].limbs == 2) sum_limbs_of<lanes, 2>(weights, splits[t], segments, to);
            if (splits[t].limbs == 3) sum_limbs_of<lanes, 3>(weights, splits[t], segments, to);
            sums.is_wide[t] = 1;
        }
    }
}

inline void run_signed(const Context& c, const Instruction& op, const std::vector<Slab>& slabs,
                       const std::vector<Frames>& frames, const std::vector<Split>& splits,
                       Scratch& scratch) {
    each_strip(c, op, slabs, scratch, [&](const Strip& strip, auto lanes) {
        const Frames* of = frames.data() + strip.sample * slabs_in(c.job->block);
        const Split* limbs = splits.data() + strip.sample * c.job->block;
        for (std::size_t pixel = strip.pixels.begin; pixel < strip.pixels.end; ++pixel) {
            sum_signed<lanes()>(strip, of, limbs, pixel);
            finish_pixel<lanes()>(strip, pixel);
        }
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
