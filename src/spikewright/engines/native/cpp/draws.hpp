// Random draws of a counter-based generator (Philox 4x64 of ten rounds; Salmon, Moraes, Dror and Shaw
// 2011), as `engines/parameters.py` has them: a function of the key, the step and the index alone. And
// numbers of spikes drawn with them, as `network/neurons/wrappers.py` says.
#pragma once

#include <cmath>

#include "curves.hpp"
#include "stateful_ops.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

__extension__ typedef unsigned __int128 wide;

// Uniform draws of a population in one step, from 0 to 1; `index` numbers arrays of them.
class Draws {
  public:
    Draws(const std::array<std::uint64_t, 2>& key, std::uint64_t step) : key_(key), step_(step) {}

    // Those at `first` and after it.
    void fill(std::uint64_t index, std::size_t first, std::size_t n, double* to) const {
        double made[kTogether * 4];
        for (std::size_t at = first & ~std::size_t(3); at < first + n; at += kTogether * 4) {
            blocks(index, at / 4, made);
            const std::size_t begin = at < first ? first : at;
            const std::size_t end = at + kTogether * 4 < first + n ? at + kTogether * 4 : first + n;
            std::memcpy(to + (begin - first), made + (begin - at), (end - begin) * sizeof(double));
        }
    }

    double at(std::uint64_t index, std::size_t place) const {
        double one;
        fill(index, place, 1, &one);
        return one;
    }

  private:
    static constexpr std::size_t kTogether = 4;  // blocks of four numbers

    void blocks(std::uint64_t index, std::uint64_t first, double* to) const {
        std::uint64_t a[kTogether], b[kTogether], c[kTogether], d[kTogether];
        for (std::size_t i = 0; i < kTogether; ++i)
            a[i] = first + i + 1, b[i] = 0, c[i] = index, d[i] = step_;
        std::uint64_t left = key_[0], right = key_[1];
        for (int round = 0; round < 10; ++round) {
            for (std::size_t i = 0; i < kTogether; ++i) {
                const wide x = wide(0xD2E7470EE14C6C93u) * a[i], y = wide(0xCA5A826395121157u) * c[i];
                a[i] = std::uint64_t(y >> 64) ^ b[i] ^ left, b[i] = std::uint64_t(y);
                c[i] = std::uint64_t(x >> 64) ^ d[i] ^ right, d[i] = std::uint64_t(x);
            }
            left += 0x9E3779B97F4A7C15u, right += 0xBB67AE8584CAA73Bu;
        }
        for (std::size_t i = 0; i < kTogether; ++i) {
            const std::uint64_t bits[] = {a[i], b[i], c[i], d[i]};
            for (std::size_t j = 0; j < 4; ++j) to[4 * i + j] = double(bits[j] >> 11) * 0x1p-53;
        }
    }

    std::array<std::uint64_t, 2> key_;
    std::uint64_t step_;
};

constexpr double kManySpikes = 16.0;  // the mean above which numbers are drawn by rejection
constexpr int kMostSpikes = 100, kMostAttempts = 128;

inline bool any(longs lanes) {
    std::int64_t found = 0;
    for (std::size_t i = 0; i < kDoubles; ++i) found |= lanes[i];
    return found != 0;
}

inline doubles root_of(doubles x) {
    for (std::size_t i = 0; i < kDoubles; ++i) x[i] = std::sqrt(x[i]);
    return x;
}

// The number of spikes up to which the probabilities add up to less than the draw.
inline doubles by_inversion(doubles mean, doubles draw) {
    doubles probability = exp_of(-mean), cumulative = probability, counts{};
    for (int k = 1; k <= kMostSpikes; ++k) {
        const longs above = draw > cumulative;
        if (!any(above)) break;
        counts = counts + where(above, splat(1.0), doubles{});
        probability = probability * mean / double(k);
        cumulative = cumulative + probability;
    }
    return counts;
}

// ln(mean^k exp(-mean) / k!)
inline doubles log_probability(doubles counts, doubles mean) {
    const doubles n = counts + 8.0, away = (mean - n) / n;
    doubles between = (counts + 1.0) / mean;
    for (int i = 2; i <= 8; ++i) between = between * ((counts + double(i)) / mean);
    const doubles inverse = 1.0 / n, square = inverse * inverse;
    doubles series{};
    for (const double term : {-691.0 / 360360, 1.0 / 1188, -1.0 / 1680, 1.0 / 1260, -1.0 / 360, 1.0 / 12})
        series = term + square * series;
    const doubles stirling = 0.5 * log_of(2.0 * 3.14159265358979323846 * n) + inverse * series;
    return n * (log1p_of(away) - away) - stirling + log_of(between);
}

// Transformed rejection (Hoermann 1993) of the lanes that wait; draw(i) gives the i-th draw of each.
template <class F>
inline doubles by_rejection(doubles mean, longs waiting, F&& draw) {
    const doubles b = 0.931 + 2.53 * root_of(mean);
    const doubles a = -0.059 + 0.02483 * b, inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
    doubles counts = mean;
    for (int attempt = 0; attempt < kMostAttempts && any(waiting); ++attempt) {
        const doubles u = draw(2 * attempt) - 0.5, v = 1.0 - draw(2 * attempt + 1);
        const doubles size = u < 0.0 ? -u : u, far = 0.5 - size;
        const doubles edge = far > 0x1p-54 ? far : splat(0x1p-54);
        const doubles tried = floor_of((2.0 * a / edge + b) * u + mean + 0.43);
        const longs accepted = (edge >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2.0));
        const doubles height = log_of(v * inverse_alpha / (a / (edge * edge) + b));
        const longs within = (tried >= 0.0) & ((edge >= 0.013) | (v <= edge));
        const longs likely = height <= log_probability(tried > 0.0 ? tried : doubles{}, mean);
        const longs found = waiting & (accepted | (within & likely));
        counts = where(found, tried, counts);
        waiting = waiting & ~found;
    }
    return counts;
}

// Numbers of spikes with these means; draw(i, k) gives a vector of the i-th draws from neuron k on.
template <class F>
inline void poisson_counts(const double* means, std::size_t n, double* to, F&& draw) {
    for (std::size_t k = 0; k < n; k += kDoubles) {
        const doubles mean = load<doubles>(means + k);
        const longs finite = mean - mean == 0.0, large = finite & (mean > kManySpikes);
        doubles counts = by_inversion(where(finite & ~large, mean, doubles{}), draw(0, k));
        if (any(large)) {
            const auto drawn = [&](int index) { return draw(index, k); };
            const doubles more = by_rejection(where(large, mean, splat(kManySpikes)), large, drawn);
            counts = where(large, more, counts);
        }
        store(to + k, where(finite, counts, mean));
    }
}

// Whole numbers, and one more with the probability of what is left.
template <class F>
inline void stochastic_counts(const double* means, std::size_t n, double* to, F&& draw) {
    for (std::size_t k = 0; k < n; k += kDoubles) {
        const doubles mean = load<doubles>(means + k), whole = floor_of(mean);
        store(to + k, whole + where(draw(0, k) < mean - whole, splat(1.0), doubles{}));
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
