// exp, expm1 and log1p in vectors, of additions, multiplications and divisions alone: the same bits on
// every instruction set, within two units of the last place. The reductions and polynomials are
// those of W. Kahan and K. C. Ng (fdlibm, Sun Microsystems 1993), here without branches.
#pragma once

#include "stateful_ops.hpp"
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

template <std::size_t n>
SPIKEWRIGHT_INLINE doubles polynomial(const double (&coefficients)[n], doubles x) {
    doubles value = coefficients[0] * x + coefficients[1];
    for (std::size_t i = 2; i < n; ++i) value = value * x + coefficients[i];
    return value;
}

constexpr double kRootHalf = 0.70710678118654757;  // math.sqrt(0.5)

// The error function, as `_base/equations/namespace.py` computes it, operation by operation (Cody 1969).
inline doubles erf_of(doubles x) {
    constexpr double top[] = {1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2,
                              3.77485237685302021e2, 3.20937758913846947e3};
    constexpr double bottom[] = {1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3,
                                 2.84423683343917062e3};
    constexpr double outer_top[] = {2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0,
                                    6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
                                    1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3};
    constexpr double outer_bottom[] = {1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
                                       1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
                                       3.43936767414372164e3, 1.23033935480374942e3};
    const doubles split = splat(0.46875), size = magnitude_of(x);
    const doubles magnitude = size < 6.0 ? size : splat(6.0), small = magnitude < split ? magnitude : split;
    const doubles square = small * small;
    const doubles inner = x * (polynomial(top, square) / polynomial(bottom, square));
    const doubles ratio = polynomial(outer_top, magnitude) / polynomial(outer_bottom, magnitude);
    const doubles outer = 1.0 - exp_of(-magnitude * magnitude) * ratio;
    return magnitude <= split ? inner : x < 0.0 ? -outer : outer;
}

// x (1 + erf(sqrt(1/2) x)) / 2 within 2^-22 |x|, for a seventh of the time (Abramowitz and Stegun 1964, 7.1.28).
inline doubles gelu_nearly(doubles x) {
    constexpr double part[] = {0.0000430638, 0.0002765672, 0.0001520143, 0.0092705272, 0.0422820123, 0.0705230784, 1.0};
    const doubles size = magnitude_of(x), z = kRootHalf * size;
    doubles root = splat(part[0]);
    for (std::size_t i = 1; i < 7; ++i) root = about(splat(part[i]), root, z);
    for (int i = 0; i < 4; ++i) root = root * root;
    return larger_of(x, doubles{}) - 0.5 * size / root;
}

// to = f(from), lane by lane; nothing behind the last value is written.
template <class F>
[[gnu::always_inline]] inline void each_lane(const double* from, double* to, std::size_t n, F&& f) {
    std::size_t k = 0;
    for (; k + kDoubles <= n; k += kDoubles) store(to + k, f(load<doubles>(from + k)));
    if (k == n) return;
    store_some(to + k, n - k, f(load_some(from + k, n - k)));
}

// to = f(from), vector by vector; both have room for a whole vector behind the last value.
template <class F>
inline void each_vector(const double* from, double* to, std::size_t n, F&& f) {
    for (std::size_t k = 0; k < n; k += kDoubles) store(to + k, f(load<doubles>(from + k)));
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
