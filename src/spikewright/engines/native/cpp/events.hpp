// Frames of counts as lists of events: which inputs are not silent.
#pragma once

#include "plan.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// The events of one step of one sample. `codes` are positions in the frame; those of pixel p are
// `offsets[p]` to `offsets[p + 1]`, in no order that matters. An input with a count above 1 is repeated, or, where
// `counted`, stands once with its count beside it.
struct Frame {
    Array<std::uint32_t> codes, counts;
    Array<std::uint32_t> offsets;
    bool counted = false;
    std::uint8_t repeats = 0;  // the largest count, or 0 where `counted`
};

inline std::uint8_t largest(const std::int8_t* from, std::size_t size) {
    octets most{};
    std::size_t i = 0;
    for (; i + kBytes <= size; i += kBytes) {
        const octets v = load<octets>(from + i);
        most = v > most ? v : most;
    }
    std::uint8_t result = 0;
    for (std::size_t k = 0; k < kBytes; ++k) result = most[k] > result ? most[k] : result;
    for (; i < size; ++i) result = std::uint8_t(from[i]) > result ? std::uint8_t(from[i]) : result;
    return result;
}

// List a frame of `pixels` times `channels` counts.
inline void list_events(const std::int8_t* from, std::size_t pixels, std::size_t channels,
                        Frame& frame) {
    const std::uint8_t most = largest(from, pixels * channels);
    frame.counted = most > kMostRepeats;
    frame.repeats = frame.counted ? 0 : most;
    const std::size_t repeats = frame.repeats ? frame.repeats : 1;
    const std::size_t room = pixels * channels * repeats + kLine;
    frame.codes.reserve(room, 0);
    if (frame.counted) frame.counts.reserve(room, 0);
    frame.offsets.reserve(pixels + 1, 0);
    std::uint32_t* codes = frame.codes.data();
    std::uint32_t* counts = frame.counts.data();
    std::uint32_t n = 0;
    for (std::size_t p = 0; p < pixels; ++p) {
        frame.offsets[p] = n;
        for (std::size_t c = 0; c < channels; c += 64) {
            const std::size_t at = p * channels + c;
            const std::uint64_t inside =
                channels - c < 64 ? (std::uint64_t(1) << (channels - c)) - 1 : ~std::uint64_t(0);
            const std::size_t sixteens = channels - c < 64 ? (channels - c + 15) / 16 : 4;
            std::uint64_t bits = above(from + at, 0) & inside;
            if (!frame.counted) {  // those with one spike, then once more those with two ...
                for (std::int8_t level = 1; bits; ++level) {
                    n += std::uint32_t(positions(bits, sixteens, std::uint32_t(at), codes + n));
                    if (level >= most) break;
                    bits = above(from + at, level) & inside;
                }
                continue;
            }
            for (; bits; bits &= bits - 1) {
                const std::uint32_t code = std::uint32_t(at) + std::uint32_t(__builtin_ctzll(bits));
                counts[n] = std::uint8_t(from[code]);
                codes[n++] = code;
            }
        }
    }
    frame.offsets[pixels] = n;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
