// Steps of a layer's input in doubles as small whole numbers or as limbs, for layers that are summed in
// other ways than lists of events.
#pragma once

#include "analog.hpp"
#include "layer.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// A frame of values as dense limbs.
inline void split_dense(const double* from, std::size_t size, int bits, int count, Split& to) {
    double largest = 0.0;
    for (std::size_t i = 0; i < size; ++i) {
        const double size_of = std::fabs(from[i]);
        largest = size_of > largest ? size_of : largest;
    }
    to.limbs = 0;
    if (largest == 0.0) return;
    double step = limb_step(largest, bits);  // a power of two: its reciprocal is exact
    const double* rest = from;
    for (int l = 0; l < count; ++l) {
        // Lanes behind the last channel read on: weights are zero there.
        to.parts[l].reserve(size + kLine, 0);
        double* part = to.parts[l].data();
        std::fill_n(part + size, kLine, 0.0);
        double* next = nullptr;
        if (l + 1 < count) {
            to.parts[l + 1].reserve(size + kLine, 0);
            next = to.parts[l + 1].data();
        }
        double left = 0.0;
        const double inverse = 1.0 / step;
        for (std::size_t i = 0; i < size; ++i) {
            const double value = rest[i], limb = nearest(value * inverse) * step;
            const double remains = value - limb;
            left += std::fabs(remains);
            if (next) next[i] = remains;
            part[i] = limb;
        }
        to.limbs = l + 1;
        if (left == 0.0) return;
        rest = next;
        step *= std::ldexp(1.0, -bits);
    }
}

// Up to 64 values as whole numbers between -127 and 127; bits are set where one is not that.
inline std::uint64_t to_whole(const double* from, std::size_t n, std::int32_t* whole) {
    const doubles most = splat(127.0), least = splat(-127.0);
    std::uint64_t other = 0;
    for (std::size_t i = 0; i < n; i += kDoubles) {
        const doubles x = load<doubles>(from + i);
        doubles held = x < most ? x : most;  // NaN becomes 127, and differs
        held = held > least ? held : least;
        const half_ints v = to_ints(held);
        const doubles back = to_doubles(v);
        const std::uint32_t same = at_least(back, x) & at_least(x, back);
        other |= std::uint64_t(same ^ ((1u << kDoubles) - 1)) << i;
        store(whole + i, v);
    }
    return n < 64 ? other & ((std::uint64_t(1) << n) - 1) : other;
}

// A frame of small whole numbers as bytes; whether it is that. `most` grows to the largest.
inline bool to_bytes(const double* from, std::size_t size, std::int8_t* to, std::int32_t& most) {
    alignas(kBytes) std::int32_t whole[64];
    for (std::size_t i = 0; i < size; i += 64) {
        const std::size_t n = size - i < 64 ? size - i : 64;
        if (to_whole(from + i, n, whole)) return false;
        for (std::size_t k = 0; k < n; ++k) {
            const std::int32_t magnitude = whole[k] < 0 ? -whole[k] : whole[k];
            most = magnitude > most ? magnitude : most;
            to[i + k] = std::int8_t(whole[k]);
        }
    }
    return true;
}

// What the steps of a slab of a layer hold: bytes, or limbs.
struct Frames {
    Array<std::int8_t> bytes;
    std::size_t stride = 0;
    bool whole = false;
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
