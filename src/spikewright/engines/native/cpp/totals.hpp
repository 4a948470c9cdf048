// Sums over a run, from the order in which neurons are stored to that of the program.
#pragma once

#include <algorithm>
#include <limits>
#include <type_traits>

#include "plan.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// 16 rows of 16 bytes become columns: each of four times halves are interleaved.
inline void transpose_bytes(std::uint8_t (*rows)[16]) {
    typedef std::uint8_t sixteen __attribute__((vector_size(16)));
    sixteen a[16], b[16];
    std::memcpy(a, rows, sizeof a);
    for (int round = 0; round < 4; ++round) {
        for (int k = 0; k < 8; ++k) {
            b[2 * k] = __builtin_shufflevector(a[k], a[k + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21,
                                               6, 22, 7, 23);
            b[2 * k + 1] = __builtin_shufflevector(a[k], a[k + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28,
                                                   13, 29, 14, 30, 15, 31);
        }
        std::memcpy(a, b, sizeof a);
    }
    std::memcpy(rows, a, sizeof a);
}

// A number of another type: the nearest one of those that are beyond it, as sums are whose spikes are.
template <class To, class From>
inline To narrowed(From number) {
    if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
        constexpr From most = From(std::numeric_limits<To>::max()), least = From(std::numeric_limits<To>::lowest());
        return number < most ? number > least ? To(number) : std::numeric_limits<To>::lowest()
                             : std::numeric_limits<To>::max();
    } else {
        return To(number);
    }
}

// to[channel * pixels + pixel] for up to 16 channels and 16 pixels, stored one pixel after the other.
template <class To, class From>
inline void turn(const From* from, std::size_t padded, std::size_t channels, std::size_t count, To* to,
                 std::size_t pixels) {
    if (sizeof(To) == 1 && channels == 16 && count == 16) {
        typedef From sixteen __attribute__((vector_size(16 * sizeof(From))));
        typedef std::int8_t bytes __attribute__((vector_size(16)));
        alignas(16) std::uint8_t rows[16][16];
        for (std::size_t p = 0; p < 16; ++p) {
            sixteen row;
            std::memcpy(&row, from + p * padded, sizeof row);
            const bytes narrow = __builtin_convertvector(row, bytes);
            std::memcpy(rows[p], &narrow, 16);
        }
        transpose_bytes(rows);
        for (std::size_t c = 0; c < 16; ++c) std::memcpy(to + c * pixels, rows[c], 16);
        return;
    }
    for (std::size_t c = 0; c < channels; ++c)
        for (std::size_t p = 0; p < count; ++p) to[c * pixels + p] = narrowed<To>(from[p * padded + c]);
}

// One sample's sums of a population, to a row of those of the whole layer. Numbers fit their type.
template <class To, class From>
inline void unpack(const Population& p, const From* from, To* to) {
    const Places& places = p.places;
    if (places.turned) {
        for (std::size_t c = 0; c < p.channels; c += 16)
            for (std::size_t i = 0; i < p.pixels; i += 16)
                turn(from + i * p.padded + c, p.padded, std::min<std::size_t>(16, p.channels - c),
                     std::min<std::size_t>(16, p.pixels - i), to + places.first + c * p.pixels + i, p.pixels);
        return;
    }
    for (std::size_t i = 0; i < p.pixels; ++i, from += p.padded) {
        const std::size_t at = i * p.channels;
        if (places.index.empty())
            std::transform(from, from + p.channels, to + places.first + at, narrowed<To, From>);
        else
            for (std::size_t c = 0; c < p.channels; ++c) to[places.index[at + c]] = narrowed<To>(from[c]);
    }
}

// Sample `row` gets the sums `sent` of either sign, and `net` of those that take spikes back.
template <class Sent, class Net>
inline void write_totals(const Population& p, const spikewright::Totals& to, std::size_t row, const Sent* sent,
                 const Net* net) {
    const auto put = [&]<class T>(T) {
        const std::size_t at = row * p.places.whole;
        unpack(p, sent, static_cast<T*>(to.sent) + at);
        if (to.net) unpack(p, net, static_cast<T*>(to.net) + at);
    };
    if (to.bytes == 1) return put(std::int8_t{});
    if (to.bytes == 2) return put(std::int16_t{});
    if (to.bytes == 4) return put(std::int32_t{});
    put(double{});
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
