// Recursive least squares, as `network/learning/base.py` has it. Sums are taken in NumPy's order, which
// is pairwise: so they are the reference engine's bits.
#pragma once

#include <array>

#include "context.hpp"
#include "stateful_ops.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr std::size_t kSummed = 8;    // sums side by side
constexpr std::size_t kPairs = 128;   // values beyond which halves are summed by themselves

// Sums of `n` products a[i] b[i] for each of the rows a.
template <std::size_t rows>
using Several = std::array<const double*, rows>;
template <std::size_t rows>
using Totals = std::array<double, rows>;

template <std::size_t rows>
inline Totals<rows> few_products(const Several<rows>& a, const double* b, std::size_t n) {
    Totals<rows> sums;
    for (std::size_t r = 0; r < rows; ++r) {
        sums[r] = -0.0;
        for (std::size_t i = 0; i < n; ++i) sums[r] += a[r][i] * b[i];
    }
    return sums;
}

template <std::size_t rows>
inline Totals<rows> some_products(const Several<rows>& a, const double* b, std::size_t n) {
    constexpr std::size_t parts = kSummed / kDoubles;
    doubles sums[rows][parts];
    for (std::size_t i = 0; i + kSummed <= n; i += kSummed)
        each<parts>(SPIKEWRIGHT_EACH(p) {
            const doubles factor = load<doubles>(b + i + p * kDoubles);
            each<rows>(SPIKEWRIGHT_EACH(r) {
                const doubles product = load<doubles>(a[r] + i + p * kDoubles) * factor;
                sums[r][p] = i ? sums[r][p] + product : product;
            });
        });
    Totals<rows> found;
    for (std::size_t r = 0; r < rows; ++r) {
        double s[kSummed];
        std::memcpy(s, sums[r], sizeof s);
        found[r] = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
        for (std::size_t i = n - n % kSummed; i < n; ++i) found[r] += a[r][i] * b[i];
    }
    return found;
}

template <std::size_t rows>
inline Totals<rows> products(Several<rows> a, const double* b, std::size_t n) {
    if (n < kSummed) return few_products<rows>(a, b, n);
    if (n <= kPairs) return some_products<rows>(a, b, n);
    const std::size_t half = n / 2 - n / 2 % kSummed;
    Totals<rows> sums = products<rows>(a, b, half);
    for (const double*& row : a) row += half;
    const Totals<rows> more = products<rows>(a, b + half, n - half);
    for (std::size_t r = 0; r < rows; ++r) sums[r] += more[r];
    return sums;
}

// to = from - along gain, of one row; along and gain are those of the step before.
inline void change_row(const double* from, double along, const double* gain, double* to, std::size_t n) {
    for (std::size_t k = 0; k < n; ++k) to[k] = from[k] - along * gain[k];
}

// Samples are shared among threads: each step of one needs all of its rows.
inline void run_recursion(const Context& c, const Instruction& op) {
    constexpr std::size_t together = 4;
    const Recursion& r = *op.recursion;
    const std::size_t n = c.size(op.input);
    const Share share = c.share(c.samples);
    for (std::size_t s = share.begin; s < share.end; ++s) {
        const auto inverse = c.memory(r.inverse, s), along = c.memory(r.along, s);
        const auto gain = c.memory(r.gain, s);
        Array<double> next(n);
        for (std::size_t t = 0; t < c.steps; ++t) {
            const double* activities = c.values(op.input, s, t);
            const double* rows = t ? inverse.to : inverse.from;
            const double* moved = t ? along.to : along.from;
            const double* by = t ? gain.to : gain.from;
            const auto change = [&](std::size_t i) {
                change_row(rows + i * n, moved[i], by, inverse.to + i * n, n);
                return inverse.to + i * n;
            };
            std::size_t i = 0;
            for (; i + together <= n; i += together) {
                Several<together> changed;
                for (std::size_t j = 0; j < together; ++j) changed[j] = change(i + j);
                const Totals<together> sums = products<together>(changed, activities, n);
                for (std::size_t j = 0; j < together; ++j) next[i + j] = 0.0 + sums[j];
            }
            for (; i < n; ++i) next[i] = 0.0 + products<1>({change(i)}, activities, n)[0];
            const double share_of = 1.0 / (1.0 + (0.0 + products<1>({activities}, next.data(), n)[0]));
            double* out = c.values(op.output, s, t);
            for (std::size_t k = 0; k < n; ++k) {
                along.to[k] = next[k];
                gain.to[k] = out[k] = next[k] * share_of;
            }
            if (r.recorded >= 0 && c.is_sampled(t, r.every)) {
                double* behind = c.values(r.recorded, s, t);
                for (std::size_t k = 0; k < n; ++k)
                    change_row(inverse.to + k * n, along.to[k], gain.to, behind + k * n, n);
            }
        }
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
