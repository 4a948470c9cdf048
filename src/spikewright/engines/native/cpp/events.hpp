// Counts of spikes as lists of events: which inputs are not silent, and when.
#pragma once

#include "count_bytes.hpp"
#include "plan.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Steps whose events are listed together.
constexpr std::size_t kSlab = 16;

// The first `n` bits, or all 64.
inline std::uint64_t first_bits(std::size_t n) {
    return n >= 64 ? ~std::uint64_t(0) : (std::uint64_t(1) << n) - 1;
}

// Up to 64 inputs in the steps of a slab.
struct Chunk {
    const std::int8_t* from;
    std::size_t stride, steps;
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

// Bit t of column i is bit i of row t.
inline void columns_of(const std::uint64_t (&rows)[kSlab], std::uint16_t (&columns)[64]) {
#if defined(__SSE2__)
    alignas(16) std::uint8_t bytes[8][kSlab];  // eight columns of all rows
    for (std::size_t t = 0; t < kSlab; ++t)
        for (std::size_t i = 0; i < 8; ++i) bytes[i][t] = std::uint8_t(rows[t] >> (8 * i));
    for (std::size_t i = 0; i < 8; ++i) {
        __m128i eight = load<__m128i>(bytes[i]);
        for (std::size_t k = 8; k-- > 0; eight = _mm_add_epi8(eight, eight))  // the next bit comes to the top
            columns[8 * i + k] = std::uint16_t(_mm_movemask_epi8(eight));
    }
#else
    std::memset(columns, 0, sizeof columns);
    for (std::size_t t = 0; t < kSlab; ++t)
        for (std::size_t i = 0; i < 64; ++i) columns[i] |= std::uint16_t((rows[t] >> i & 1) << t);
#endif
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
    bool by_line = false;  // only in steps, and the pixels of `offsets` are lines of the frame

    void list(const std::int8_t* from, std::size_t stride, std::size_t pixels, std::size_t channels,
              std::size_t steps) {
        most = 0, by_line = false;
        std::memset(n_, 0, sizeof n_);
        offsets.reserve((pixels + 1) * kRow, 0);
        const std::size_t together = channels < 64 ? 64 / channels : 1;
        for (std::size_t p = 0; p < pixels;) {
            const std::size_t n = pixels - p < together ? pixels - p : together;
            if (n > 1 && list_together(from, stride, steps, p, n, channels)) {
                p += n;
                continue;
            }
            begin(p);
            for (std::size_t c = 0; c < channels; c += 64)
                list_chunk(from + p * channels + c, stride, steps, channels - c,
                           std::uint32_t(p * channels + c));
            ++p;
        }
        begin(pixels);
    }

    // The same of frames of `lines`, of few events.
    void list_lines(const std::int8_t* from, std::size_t stride, std::size_t lines, std::size_t line, std::size_t steps) {
        most = 0, by_line = true;
        offsets.reserve((lines + 1) * kRow, 0);
        for (std::size_t t = 0; t < steps; ++t) {
            const std::int8_t* row = from + t * stride;
            Array<std::uint32_t>& to = codes[kFirstStep + t];
            std::uint32_t* begin = offsets.data() + kFirstStep + t;
            std::size_t n = 0;
            for (std::size_t y = 0; y < lines; ++y, begin += kRow) {
                *begin = std::uint32_t(n);
                for (std::size_t i = y * line; i < (y + 1) * line; i += 64) {
                    const std::uint64_t mine = first_bits((y + 1) * line - i);
                    std::size_t level = 0;
                    for (std::uint64_t bits; (bits = above(row + i, std::int8_t(level)) & mine); ++level) {
                        to.reserve(n + 2 * kLine, n);
                        n += positions(bits, 4, std::uint32_t(i), to.data() + n);
                        if (level + 1 == std::size_t(kMostCounts)) break;
                    }
                    most = std::max(most, level);
                }
            }
            *begin = std::uint32_t(n);
        }
    }

  private:
    static constexpr std::size_t kMostLevels = 8;  // of pixels that are listed together

    // Bits of inputs with an event at one level: in each step, in all steps, in many.
    struct Level {
        std::uint64_t bits[kSlab], any, throughout, often;
        std::uint32_t steps;  // a bit for each that has some
    };

    void begin(std::size_t pixel) { std::memcpy(offsets.data() + pixel * kRow, n_, sizeof n_); }

    // Values behind the last of less than 64 inputs are read and left out: frames have room there.
    void list_chunk(const std::int8_t* from, std::size_t stride, std::size_t steps,
                    std::size_t width, std::uint32_t at) {
        const Chunk chunk{from, stride, steps, first_bits(width)};
        Level found;
        for (std::size_t level = 0; level < std::size_t(kMostCounts); ++level) {
            if (!look(chunk, level, found)) return;
            put(found, 0, width, at);
        }
    }

    // Neighbouring pixels of few channels, which 64 bits hold; false where there are many levels.
    bool list_together(const std::int8_t* from, std::size_t stride, std::size_t steps,
                       std::size_t pixel, std::size_t n, std::size_t channels) {
        const Chunk chunk{from + pixel * channels, stride, steps, first_bits(n * channels)};
        Level found[kMostLevels];
        std::size_t levels = 0;
        while (look(chunk, levels, found[levels]))
            if (++levels == kMostLevels) return false;
        for (std::size_t p = 0; p < n; ++p) {
            begin(pixel + p);
            for (std::size_t level = 0; level < levels; ++level)
                put(found[level], p * channels, channels, std::uint32_t((pixel + p) * channels));
        }
        return true;
    }

    // Finds the events of a level; whether there are any.
    bool look(const Chunk& chunk, std::size_t level, Level& found) {
        return chunk.steps == kSlab ? look_at<kSlab>(chunk, level, found)
                                    : look_at<0>(chunk, level, found);
    }

    // `fixed`: the number of steps where it is known.
    template <std::size_t fixed>
    bool look_at(const Chunk& chunk, std::size_t level, Level& found) {
        const std::size_t steps = fixed ? fixed : chunk.steps;
        std::memset(found.bits, 0, sizeof found.bits);
        found.any = 0, found.throughout = chunk.mine, found.often = 0, found.steps = 0;
        std::size_t events = 0;
        for (std::size_t t = 0; t < steps; ++t) {
            found.bits[t] = above(chunk.row(t), std::int8_t(level)) & chunk.mine;
            found.any |= found.bits[t];
            found.steps |= std::uint32_t(found.bits[t] != 0) << t;
            found.throughout &= found.bits[t];
            events += std::size_t(__builtin_popcountll(found.bits[t]));
        }
        if (!found.any) return false;
        most = level >= most ? level + 1 : most;
        if (kMaskedCost < kSlab && events > kMaskedCost)
            found.often = set_often(found.bits, kMaskedCost) & ~found.throughout;
        return true;
    }

    // The events of `width` inputs, from one on: their bits are moved to the first place.
    void put(const Level& level, std::size_t from, std::size_t width, std::uint32_t at) {
        const std::uint64_t mine = first_bits(width);
        if (!(level.any >> from & mine)) return;
        const std::size_t sixteens = width >= 64 ? 4 : (width + 15) / 16;
        const std::uint64_t throughout = level.throughout >> from & mine;
        const std::uint64_t often = level.often >> from & mine;
        add(kAlways, throughout, sixteens, at);
        if (often) add_masked(level, from, often, at);
        const std::uint64_t few = mine & ~(throughout | often);
        for (std::uint32_t steps = level.steps; steps; steps &= steps - 1) {
            const auto t = std::size_t(__builtin_ctz(steps));
            const std::uint64_t bits = level.bits[t] >> from & mine;
            n_[kSpikes + t] += std::uint32_t(__builtin_popcountll(bits));
            add(kFirstStep + t, bits & few, sixteens, at);
        }
    }

    void add(std::size_t list, std::uint64_t bits, std::size_t sixteens, std::uint32_t at) {
        if (!bits) return;
        const std::uint32_t n = n_[list];
        codes[list].reserve(n + 2 * kLine, n);
        n_[list] += std::uint32_t(positions(bits, sixteens, at, codes[list].data() + n));
    }

    void add_masked(const Level& level, std::size_t from, std::uint64_t often, std::uint32_t at) {
        std::uint32_t n = n_[kMasked];
        codes[kMasked].reserve(n + 2 * kLine, n);
        when.reserve(n + 2 * kLine, n);
        std::uint16_t steps[64];
        columns_of(level.bits, steps);
        for (; often; often &= often - 1, ++n) {
            const auto i = std::uint32_t(__builtin_ctzll(often));
            codes[kMasked][n] = at + i;
            when[n] = steps[from + i];
        }
        n_[kMasked] = n;
    }

    std::uint32_t n_[kRow];
};

inline std::size_t slabs_in(std::size_t steps) { return (steps + kSlab - 1) / kSlab; }

}  // namespace spikewright::SPIKEWRIGHT_ISA
