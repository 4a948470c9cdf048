// Values as sums of limbs, few bits each, so that sums over weights are exact in any order; see
// `engines/grid.py`.
#pragma once

#include <cmath>
#include <limits>

#include "count_readers.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// The values of one step of one sample in limbs. Sparse ones leave zeros out: `codes` are positions,
// `offsets` where the values of each pixel begin.
struct Split {
    Array<std::uint32_t> codes, offsets;
    Array<double> parts[kMostLimbs];
    int limbs = 0;  // in use
    // What limbs leave of values, where a value is so small that it may matter; by ascending position.
    std::vector<std::uint32_t> remainder_codes;
    std::vector<double> remainders;

    void reserve(std::size_t size, int most) {
        for (int l = 0; l < most; ++l) parts[l].reserve(size + kLine, 0);
    }
};

// A power of two such that `largest / step` needs at most `bits` bits, sign included.
inline double limb_step(double largest, int bits) {
    int exponent = 0;
    const double mantissa = std::frexp(largest, &exponent);
    exponent = exponent - (mantissa == 0.5) - (bits - 1);
    return std::ldexp(1.0, exponent > -1000 ? exponent : -1000);
}

// To the nearest integer, ties to even, for magnitudes below 2^51.
template <class Real>
inline Real nearest(Real x) {
    return (x + kWhole) - kWhole;
}

// The larger of a magnitude and that of a value.
inline double larger(double magnitude, double value) {
    const double size = std::fabs(value);
    return size > magnitude ? size : magnitude;
}

// Splits the `n` values in the first of the parts; returns the number of limbs that they need.
inline int take_limbs(double* const* parts, std::size_t n, double largest, const Limbs& limbs) {
    if (n == 0 || largest == 0.0) return 0;
    double step = limb_step(largest, limbs.bits);
    for (int l = 0; l < limbs.most; ++l) {
        double* part = parts[l];
        double* next = l + 1 < limbs.most ? parts[l + 1] : nullptr;
        std::int64_t left = 0;
        const double inverse = 1.0 / step;        // exact: a power of two
        const bool tiny = !std::isfinite(inverse);  // below the normal numbers: there is none
        for (std::size_t i = 0; i < n; ++i) {
            const double value = part[i], limb = nearest(tiny ? value / step : value * inverse) * step;
            const double remains = value - limb;
            left |= remains != 0.0;
            if (next) next[i] = remains;
            part[i] = limb;
        }
        if (!left) return l + 1;
        step *= std::ldexp(1.0, -limbs.bits);
    }
    return limbs.most;
}

inline void take_limbs(Split& to, std::size_t n, double largest, const Limbs& limbs) {
    double* parts[kMostLimbs];
    for (int l = 0; l < kMostLimbs; ++l) parts[l] = to.parts[l].data();
    to.limbs = take_limbs(parts, n, largest, limbs);
}

// The smallest magnitude beside zero, and the largest.
struct Extent {
    double least = std::numeric_limits<double>::infinity(), largest = 0.0;

    void add(double value) {
        const double size = std::fabs(value);
        largest = size > largest ? size : largest;
        least = (size != 0.0) & (size < least) ? size : least;
    }
    void add(const double* from, std::size_t size) {
        const doubles none = splat(std::numeric_limits<double>::infinity());
        doubles most{}, few = none;
        std::size_t i = 0;
        for (; i + kDoubles <= size; i += kDoubles) {
            const doubles x = magnitude_of(load<doubles>(from + i)), used = x > doubles{} ? x : none;
            most = x > most ? x : most;
            few = used < few ? used : few;
        }
        for (std::size_t k = 0; k < kDoubles; ++k) {
            largest = larger(largest, most[k]);
            least = std::min(least, few[k]);
        }
        for (; i < size; ++i) add(from[i]);
    }
    // Whether a value is so small that what limbs leave of it may matter.
    bool is_wide(const Limbs& limbs) const { return least < limb_step(largest, limbs.bits) * limbs.wide; }
};

// Finds the remainders of a frame in limbs; limb i is that of value `place(i)`.
template <class Position>
inline void find_remainders(const double* from, std::size_t n, const Extent& extent, const Limbs& limbs, Split& to,
                            Position&& position) {
    to.remainder_codes.clear(), to.remainders.clear();
    if (to.limbs < limbs.most || !extent.is_wide(limbs)) return;
    const double least = limb_step(extent.largest, limbs.bits) * limbs.reach;
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint32_t code = position(i);
        double rest = from[code];
        if (std::fabs(rest) >= least) continue;
        for (int l = 0; l < to.limbs; ++l) rest -= to.parts[l][i];
        if (rest == 0.0) continue;
        to.remainder_codes.push_back(code);
        to.remainders.push_back(rest);
    }
}

// Splits a frame of values, zeros left out. Limbs are relative to the largest magnitude of the whole
// signal, of which `from` may be a part: `extent` is that of the rest, or of all.
inline void split(const double* from, std::size_t pixels, std::size_t channels, const Limbs& limbs,
                  Split& to, Extent extent) {
    to.codes.reserve(pixels * channels + kLine, 0);
    to.offsets.reserve(pixels + 1, 0);
    to.reserve(pixels * channels, limbs.most);
    extent.add(from, pixels * channels);
    std::uint32_t n = 0;
    double* values = to.parts[0].data();
    for (std::size_t p = 0; p < pixels; ++p) {
        to.offsets[p] = n;
        for (std::size_t i = p * channels; i < (p + 1) * channels; ++i) {
            to.codes[n] = std::uint32_t(i);
            values[n] = from[i];
            n += from[i] != 0.0;
        }
    }
    to.offsets[pixels] = n;
    take_limbs(to, n, extent.largest, limbs);
    find_remainders(from, n, extent, limbs, to, [&](std::size_t i) { return to.codes[i]; });
}

// The same, each value at its own place. Lanes behind the last channel read on: zeros.
inline void split_dense(const double* from, std::size_t size, const Limbs& limbs, Split& to,
                        Extent extent = {}) {
    to.reserve(size, limbs.most);
    extent.add(from, size);
    std::copy_n(from, size, to.parts[0].data());
    take_limbs(to, size, extent.largest, limbs);
    for (int l = 0; l < limbs.most; ++l) std::fill_n(to.parts[l].data() + size, kLine, 0.0);
    find_remainders(from, size, extent, limbs, to, [](std::size_t i) { return std::uint32_t(i); });
}

// The extent of the signal of which this buffer holds a part; none where it holds all.
inline Extent extent_elsewhere(const Context& c, std::int32_t buffer, std::size_t sample,
                               std::size_t step) {
    const Buffer& part = c.job->plan->buffers[std::size_t(buffer)];
    const std::int32_t whole = part.parent;
    Extent extent;
    if (whole >= 0 && !part.own) extent.add(Values(c, whole)(sample, step), c.size(whole));
    return extent;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
