// Values as sums of limbs, few bits each, so that sums over weights are exact in any order; see
// `engines/grid.py`.
#pragma once

#include <cmath>

#include "context.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// The values of one step of one sample in limbs. Sparse ones leave zeros out: `codes` are positions,
// `offsets` where the values of each pixel begin.
struct Split {
    Array<std::uint32_t> codes, offsets;
    Array<double> parts[kMostLimbs];
    int limbs = 0;  // in use

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
inline double nearest(double x) {
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

// Splits a frame of values, zeros left out. Limbs are relative to the largest magnitude of the whole
// signal, of which `from` may be a part: `elsewhere` is that of the rest, or of all.
inline void split(const double* from, std::size_t pixels, std::size_t channels, const Limbs& limbs,
                  Split& to, double elsewhere) {
    to.codes.reserve(pixels * channels + kLine, 0);
    to.offsets.reserve(pixels + 1, 0);
    to.reserve(pixels * channels, limbs.most);
    std::uint32_t n = 0;
    double most = elsewhere;
    double* values = to.parts[0].data();
    for (std::size_t p = 0; p < pixels; ++p) {
        to.offsets[p] = n;
        for (std::size_t i = p * channels; i < (p + 1) * channels; ++i) {
            to.codes[n] = std::uint32_t(i);
            values[n] = from[i];
            most = larger(most, from[i]);
            n += from[i] != 0.0;
        }
    }
    to.offsets[pixels] = n;
    take_limbs(to, n, most, limbs);
}

// Splits a frame of values, each at its own place. Lanes behind the last channel read on: zeros.
inline void split_dense(const double* from, std::size_t size, const Limbs& limbs, Split& to) {
    to.reserve(size, limbs.most);
    double most = 0.0;
    double* values = to.parts[0].data();
    for (std::size_t i = 0; i < size; ++i) {
        values[i] = from[i];
        most = larger(most, from[i]);
    }
    take_limbs(to, size, most, limbs);
    for (int l = 0; l < limbs.most; ++l) std::fill_n(to.parts[l].data() + size, kLine, 0.0);
}

// The largest magnitude of the signal of which this buffer holds a part; 0 where it holds all.
inline double largest_elsewhere(const Context& c, std::int32_t buffer, std::size_t sample,
                                std::size_t step) {
    const Buffer& part = c.job->plan->buffers[std::size_t(buffer)];
    const std::int32_t whole = part.parent;
    double most = 0.0;
    if (whole < 0 || part.own) return most;
    const double* x = c.values(whole, sample, step);
    for (std::size_t i = 0; i < c.size(whole); ++i) most = larger(most, x[i]);
    return most;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
