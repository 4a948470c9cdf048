// Layers of counts as dense products, where so many inputs spike that listing them does not pay.
#pragma once

#include "frames.hpp"
#include "tiles.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// The sum of counts without their signs, or of their signs alone, where they are `once` a step at most.
inline std::uint32_t spikes_of(const std::int8_t* from, std::size_t n, bool once = false) {
#if defined(__AVX512BW__)
    __m512i sums = _mm512_setzero_si512();
    const __m512i most = _mm512_set1_epi8(once ? 1 : 127);
    for (std::size_t i = 0; i < n; i += 64) {
        __m512i counts = _mm512_abs_epi8(_mm512_maskz_loadu_epi8(first_bits(n - i), from + i));
        counts = _mm512_min_epu8(counts, most);
        sums = _mm512_add_epi64(sums, _mm512_sad_epu8(counts, _mm512_setzero_si512()));
    }
    return std::uint32_t(_mm512_reduce_add_epi64(sums));
#else
    std::size_t sum = 0, i = 0;
#if defined(SPIKEWRIGHT_NEON)
    uint32x4_t sums = vdupq_n_u32(0);
    const uint8x16_t most = vdupq_n_u8(once ? 1 : 255);
    for (; i + 16 <= n; i += 16) {
        const uint8x16_t counts = vminq_u8(vreinterpretq_u8_s8(vabsq_s8(vld1q_s8(from + i))), most);
        sums = vpadalq_u16(sums, vpaddlq_u8(counts));
    }
    sum = vaddvq_u32(sums);
#endif
    for (; i < n; ++i) {
        const std::size_t count = std::size_t(from[i] < 0 ? -from[i] : from[i]);
        sum += once ? count > 0 : count;
    }
    return std::uint32_t(sum);
#endif
}

// How many events have a sum that fits 32 bits, with counts as a slab's.
inline std::int64_t budget_of(const Layer& l, const Slab& slab) {
    return l.budgets[slab.most > kMostRepeats ? 0 : slab.most];
}

// The steps of a slab as they lie in a buffer.
struct CountRows {
    const std::int8_t* from;
    std::size_t stride, steps, size;
    bool once;  // digits, each of which is one spike of some height

    const std::int8_t* row(std::size_t t) const { return from + t * stride; }
};

// Spikes in a slab, by a sample of some hundred inputs; an odd distance between them meets all channels.
inline double spikes_in(const CountRows& slab) {
    constexpr std::size_t at_least = 16;
    const std::size_t chunks = slab.size / 64;
    const std::size_t distance = chunks > at_least ? chunks / at_least | 1 : 1;
    std::size_t seen = 0, sum = 0;
    for (std::size_t at = 0; at < chunks || at == 0; at += distance) {
        const std::size_t n = chunks ? 64 : slab.size;
        for (std::size_t t = 0; t < slab.steps; ++t) sum += spikes_of(slab.row(t) + at * 64, n, slab.once);
        seen += n;
    }
    return double(sum) * double(slab.size) / double(seen);
}

// Blocks of lanes as tiles have them.
inline std::size_t blocks_of(const Layer& l) {
    std::size_t blocks = 0;
    for (const Lanes& block : l.lanes) blocks += block.width / kTileLanes;
    return blocks;
}

// How many windows read an input, on average.
inline double windows_of(const Layer& l) { return double(l.pixels() * l.taps()) / double(l.input_pixels()); }

// What it costs to list so many spikes once for all windows that read them, where those above zero are apart from
// those below, and to add their weights.
inline double listing_cost(const Layer& l, std::size_t channels, std::size_t halves, double spikes) {
    const double blocks = double(blocks_of(l)), inputs = double(l.input_pixels() * channels);
    const double windows = windows_of(l);
    const double gathering = windows > 1.0 ? kGatherCost : 0.0;
    return spikes * windows * (blocks + gathering) + kListCost * double(halves) * inputs / kTileInputs;
}

// Whether tiles pay for so many spikes: so many products of some rows each, and the rows of all of them.
inline bool tiles_pay(const Context& c, const Layer& l, const TiledWeights& w, double spikes, double products,
                      double rows) {
    const double tiles = double(w.chunks()) * double(blocks_of(l));
    const double events = listing_cost(l, w.channels(), std::size_t(w.halves()), spikes);
    return events > c.job->dense * tiles * c.multiply.cost(products, rows, w.limbs());
}

// What is known of a slab that is not listed: the largest count, and the spikes before each pixel if
// the sums of some windows may not fit 32 bits.
inline void measure(const Layer& l, const CountRows& slab, Slab& to) {
    to.most = 0;
    for (std::size_t t = 0; t < slab.steps; ++t)
        to.most = std::max<std::size_t>(to.most, largest(slab.row(t), slab.size));
    if (budget_of(l, to) == kNoBudget) return;
    const std::size_t pixels = l.input_pixels(), channels = l.tiled->channels();
    to.offsets.reserve((pixels + 1) * Slab::kRow, 0);
    std::uint32_t* before = to.offsets.data() + Slab::kSpikes;
    std::fill_n(before, kSlab, 0);
    for (std::size_t p = 0; p < pixels; ++p, before += Slab::kRow)
        for (std::size_t t = 0; t < kSlab; ++t)
            before[Slab::kRow + t] =
                before[t] + (t < slab.steps ? spikes_of(slab.row(t) + p * channels, channels) : 0);
}

// Decides whether the steps of a slab are the rows of tiles; weights are ready then.
inline bool find_dense(const Context& c, const Instruction& op, std::size_t sample, std::size_t t,
                       std::size_t steps, Slab& slab) {
    const Layer& l = *op.layer;
    if (!l.tiled) return false;
    const CountRows rows{c.counts(op.input, sample, t), c.stride(op.input), steps,
                         l.input_pixels() * l.tiled->channels(), !l.heights.empty()};
    const double pixels = double(l.pixels()), spikes = std::min(spikes_in(rows), kMostEvents * double(rows.size));
    if (!tiles_pay(c, l, *l.tiled, spikes, pixels, pixels * double(steps))) return false;
    l.tiled->make(l);
    measure(l, rows, slab);
    return true;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
