// Counts of spikes as lists of events: which inputs are not silent, and when.
#pragma once

#include "plan.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Steps whose events are listed together.
constexpr std::size_t kSlab = 16;

// Up to 64 inputs in the steps of a slab.
struct Chunk {
    const std::int8_t* from;
    std::size_t stride, steps, sixteens;
    std::uint64_t mine;  // bits of those inputs

    const std::int8_t* row(std::size_t t) const { return from + t * stride; }
};

// Which bits are set in more than `limit` of the words. A bit's number is counted in binary, 64 at
// once: three words of one digit make one of it and one of the next.
inline std::uint64_t set_often(const std::uint64_t (&words)[kSlab], unsigned limit) {
    std::uint64_t left[kSlab], more = 0, equal = ~std::uint64_t(0), digits[5];
    std::memcpy(left, words, sizeof left);
    for (std::size_t n = kSlab, d = 0; d < 5; n /= 2, ++d) {
        digits[d] = n == 1 ? left[0] : 0;
        for (std::size_t i = 0; i < n / 2; ++i) {
            const std::uint64_t a = left[2 * i], b = left[2 * i + 1], both = a ^ b;
            left[i] = (a & b) | (digits[d] & both);
            digits[d] ^= both;
        }
    }
    for (int d = 4; d >= 0; --d) {
        if (!(limit >> d & 1)) more |= equal & digits[d];
        equal &= limit >> d & 1 ? digits[d] : ~digits[d];
    }
    return more;
}

// The events of some steps of one sample, in lists of positions in the frame. An input that spikes n
// times in a step has an event at each of the levels 1 to n. Adding a weight to the sums of all steps
// at once costs as much as adding it in kMaskedCost of them, so an input's events at a level are
//
//   always   one entry, where they are in every step
//   masked   one entry, where they are many; a bit for each of their steps stands in `when`
//   steps    in the list of each step, where they are few
struct Slab {
    static constexpr std::size_t kAlways = 0, kMasked = 1, kFirstStep = 2;
    static constexpr std::size_t kLists = kFirstStep + kSlab;
    static constexpr std::size_t kSpikes = kLists, kRow = kSpikes + kSlab;

    Array<std::uint32_t> codes[kLists], when;
    // `(pixels + 1, kRow)`: where the events of a pixel begin in each list, and the number of spikes
    // before it in every step.
    Array<std::uint32_t> offsets;
    std::size_t most = 0;  // the largest count

    void list(const std::int8_t* from, std::size_t stride, std::size_t pixels, std::size_t channels,
              std::size_t steps) {
        most = 0;
        std::memset(n_, 0, sizeof n_);
        offsets.reserve((pixels + 1) * kRow, 0);
        for (std::size_t p = 0; p < pixels; ++p) {
            std::memcpy(offsets.data() + p * kRow, n_, sizeof n_);
            for (std::size_t c = 0; c < channels; c += 64)
                list_chunk(from + p * channels + c, stride, steps, channels - c,
                           std::uint32_t(p * channels + c));
        }
        std::memcpy(offsets.data() + pixels * kRow, n_, sizeof n_);
    }

  private:
    // Of less than 64 inputs what lies behind them is read and left out: frames have room behind the end.
    void list_chunk(const std::int8_t* from, std::size_t stride, std::size_t steps,
                    std::size_t width, std::uint32_t at) {
        const std::uint64_t mine = width >= 64 ? ~std::uint64_t(0) : (std::uint64_t(1) << width) - 1;
        const Chunk chunk{from, stride, steps, width >= 64 ? 4 : (width + 15) / 16, mine};
        if (steps == kSlab) return list_levels<kSlab>(chunk, at);
        list_levels<0>(chunk, at);
    }

    // `fixed`: the number of steps where it is known.
    template <std::size_t fixed>
    void list_levels(const Chunk& chunk, std::uint32_t at) {
        const std::size_t steps = fixed ? fixed : chunk.steps;
        for (std::size_t level = 0; level < std::size_t(kMostCounts); ++level) {
            std::uint64_t bits[kSlab] = {}, any = 0, throughout = chunk.mine;
            for (std::size_t t = 0; t < steps; ++t) {
                bits[t] = above(chunk.row(t), std::int8_t(level)) & chunk.mine;
                any |= bits[t];
                throughout &= bits[t];
            }
            if (!any) break;
            most = level >= most ? level + 1 : most;
            std::uint32_t events = 0;
            for (std::size_t t = 0; t < steps; ++t) {
                const auto spikes = std::uint32_t(__builtin_popcountll(bits[t]));
                n_[kSpikes + t] += spikes;
                events += spikes;
                bits[t] &= ~throughout;
            }
            add(kAlways, throughout, chunk.sixteens, at);
            std::uint64_t often = 0;
            if (kMaskedCost < kSlab && events > kMaskedCost) often = set_often(bits, kMaskedCost);
            if (often) add_masked(bits, often, at);
            for (std::size_t t = 0; t < steps; ++t)
                add(kFirstStep + t, bits[t] & ~often, chunk.sixteens, at);
        }
    }

    void add(std::size_t list, std::uint64_t bits, std::size_t sixteens, std::uint32_t at) {
        if (!bits) return;
        const std::uint32_t n = n_[list];
        codes[list].reserve(n + 2 * kLine, n);
        n_[list] += std::uint32_t(positions(bits, sixteens, at, codes[list].data() + n));
    }

    void add_masked(const std::uint64_t (&bits)[kSlab], std::uint64_t often, std::uint32_t at) {
        std::uint32_t n = n_[kMasked];
        codes[kMasked].reserve(n + 2 * kLine, n);
        when.reserve(n + 2 * kLine, n);
        for (; often; often &= often - 1, ++n) {
            const int i = __builtin_ctzll(often);
            std::uint32_t steps = 0;
            for (std::size_t t = 0; t < kSlab; ++t) steps |= std::uint32_t(bits[t] >> i & 1) << t;
            codes[kMasked][n] = at + std::uint32_t(i);
            when[n] = steps;
        }
        n_[kMasked] = n;
    }

    std::uint32_t n_[kRow];
};

inline std::size_t slabs_in(std::size_t steps) { return (steps + kSlab - 1) / kSlab; }

}  // namespace spikewright::SPIKEWRIGHT_ISA
