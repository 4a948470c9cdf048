// exp, expm1 and log1p in vectors, of additions, multiplications and divisions alone: the same bits on
// every instruction set, within two units of the last place. The reductions and polynomials are
// those of W. Kahan and K. C. Ng (fdlibm, Sun Microsystems 1993), here without branches.
#pragma once

#include "parts.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr double kLn2High = 6.93147180369123816490e-01, kLn2Low = 1.90821492927058770002e-10;

inline doubles where(longs lanes, doubles yes, doubles no) {
    return doubles((longs(yes) & lanes) | (longs(no) & ~lanes));
}

// x = k ln 2 + r: expm1(r), and 2^k, for magnitudes of x below 700.
struct Reduced {
    doubles rest, power;
};

inline Reduced reduced_exponent(doubles x) {
    const doubles shifted = x * 1.44269504088896338700 + kWhole, k = shifted - kWhole;
    const doubles high = x - k * kLn2High, low = k * kLn2Low, r = high - low;
    const doubles lost = (high - r) - low;
    const doubles half = 0.5 * r, square = r * half;
    const doubles q =
        1.0 + square * (-3.33333333333331316428e-02 +
                        square * (1.58730158725481460165e-03 +
                                  square * (-7.93650757867487942473e-05 +
                                            square * (4.00821782732936239552e-06 +
                                                      square * -2.01099218183624371326e-07))));
    const doubles t = 3.0 - q * half;
    const doubles e = square * ((q - t) / (6.0 - r * t));
    const patterns bits = (patterns(shifted) << 52) + (std::uint64_t(1023) << 52);
    return {r - ((r * (e - lost) - lost) - square), doubles(bits)};
}

inline doubles expm1_of(doubles x) {
    const Reduced at = reduced_exponent(x);
    return at.power * at.rest + (at.power - 1.0);
}

inline doubles exp_of(doubles x) {
    const Reduced at = reduced_exponent(x);
    return at.power * (1.0 + at.rest);
}

// ln(1 + f) for 1 + f between sqrt(1/2) and sqrt(2), less `more`: f - (f^2 / 2 - s (...)).
inline doubles log_near_one(doubles f, doubles more) {
    const doubles half = 0.5 * f * f, s = f / (2.0 + f), z = s * s, w = z * z;
    const doubles even = w * (3.999999999940941908e-01 +
                              w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
    const doubles odd =
        z * (6.666666666666735130e-01 +
             w * (2.857142874366239149e-01 +
                  w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
    return f - (half - (s * (half + (odd + even)) + more));
}

constexpr double kNearOne = 0.29;  // log1p of smaller magnitudes needs no reduction

// For x from -1 to 2^50.
inline doubles log1p_of(doubles x) {
    const doubles u = 1.0 + x;
    constexpr std::int64_t root = std::int64_t(0x3fe6a09e) << 32;  // of one half
    const longs bits = longs(u) + ((std::int64_t(0x3ff00000) << 32) - root);
    const longs exponent = (bits >> 52) - 1023;
    const doubles k = doubles(exponent + longs(splat(kWhole))) - kWhole;
    const doubles m = doubles((bits & ((std::int64_t(1) << 52) - 1)) + root);
    const longs near = exponent == 0;
    const doubles lost = (k > 1.0 ? 1.0 - (u - x) : x - (u - 1.0)) / u;
    const doubles f = where(near, x, m - 1.0);
    return log_near_one(f, where(near, doubles{}, k * kLn2Low + lost)) + k * kLn2High;
}

// For normal x above zero.
inline doubles log_of(doubles x) {
    constexpr std::int64_t root = std::int64_t(0x3fe6a09e) << 32;  // of one half
    const longs bits = longs(x) + ((std::int64_t(0x3ff00000) << 32) - root);
    const doubles k = doubles((bits >> 52) - 1023 + longs(splat(kWhole))) - kWhole;
    const doubles m = doubles((bits & ((std::int64_t(1) << 52) - 1)) + root);
    return log_near_one(m - 1.0, k * kLn2Low) + k * kLn2High;
}

// to = f(from), vector by vector; both have room for a whole vector behind the last value.
template <class F>
inline void each_vector(const double* from, double* to, std::size_t n, F&& f) {
    for (std::size_t k = 0; k < n; k += kDoubles) store(to + k, f(load<doubles>(from + k)));
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
