// Sums of rows of integer weights: what a population receives in one step.
//
// Sums wrap in 32 bits, which loses nothing while the final sum fits; longer sums are made of pieces
// that fit, added in doubles, where every integer up to 2^53 is exact. So no order matters.
#pragma once

#include "events.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Rows of a weight matrix of one block of lanes: `rows[i] + base` for i below `n`; with `counts`
// each is taken that many times.
struct Rows {
    const std::uint32_t* rows;
    const std::uint32_t* counts;  // or null
    std::int64_t base;
    std::size_t n;
    std::int64_t budget;  // events, or counts, whose sum fits 32 bits
};

template <std::size_t lanes>
inline void add_rows(const std::int32_t* weights, const Rows& list, std::size_t from,
                     std::size_t to, std::int32_t* sums) {
    ints sum[lanes / kInts] = {};
    const std::int32_t* base = weights + list.base * std::int64_t(lanes);
    std::size_t i = from;
    for (; i + 2 <= to; i += 2) {
        const std::int32_t* one = base + std::size_t(list.rows[i]) * lanes;
        const std::int32_t* two = base + std::size_t(list.rows[i + 1]) * lanes;
        for (std::size_t k = 0; k < lanes / kInts; ++k) sum[k] += load<ints>(one + k * kInts);
        for (std::size_t k = 0; k < lanes / kInts; ++k) sum[k] += load<ints>(two + k * kInts);
    }
    if (i < to) {
        const std::int32_t* one = base + std::size_t(list.rows[i]) * lanes;
        for (std::size_t k = 0; k < lanes / kInts; ++k) sum[k] += load<ints>(one + k * kInts);
    }
    for (std::size_t k = 0; k < lanes / kInts; ++k) store(sums + k * kInts, sum[k]);
}

template <std::size_t lanes>
inline void add_counted_rows(const std::int32_t* weights, const Rows& list, std::size_t from,
                             std::size_t to, std::int32_t* sums) {
    ints sum[lanes / kInts] = {};
    const std::int32_t* base = weights + list.base * std::int64_t(lanes);
    for (std::size_t i = from; i < to; ++i) {
        const std::int32_t* row = base + std::size_t(list.rows[i]) * lanes;
        const ints count = list.counts[i] - ints{};
        for (std::size_t k = 0; k < lanes / kInts; ++k)
            sum[k] += load<ints>(row + k * kInts) * count;
    }
    for (std::size_t k = 0; k < lanes / kInts; ++k) store(sums + k * kInts, sum[k]);
}

// A long sum in pieces, in doubles.
template <std::size_t lanes>
[[gnu::noinline]] void add_long(const std::int32_t* weights, const Rows& list, double* sums) {
    alignas(kBytes) std::int32_t piece[lanes];
    for (std::size_t k = 0; k < lanes; ++k) sums[k] = 0.0;
    for (std::size_t from = 0; from < list.n;) {
        std::size_t to = from;
        if (list.counts) {
            for (std::int64_t left = list.budget; to < list.n && left >= list.counts[to]; ++to)
                left -= list.counts[to];
            add_counted_rows<lanes>(weights, list, from, to, piece);
        } else {
            const std::size_t most = std::size_t(list.budget);
            to = from + most < list.n ? from + most : list.n;
            add_rows<lanes>(weights, list, from, to, piece);
        }
        for (std::size_t k = 0; k < lanes; ++k) sums[k] += piece[k];
        from = to;
    }
}

// The sum as doubles, `lanes / kDoubles` vectors.
template <std::size_t lanes>
inline void accumulate(const std::int32_t* weights, const Rows& list, doubles* sums) {
    if (!list.counts && list.n <= std::size_t(list.budget)) {
        alignas(kBytes) std::int32_t whole[lanes];
        add_rows<lanes>(weights, list, 0, list.n, whole);
        for (std::size_t k = 0; k < lanes / kDoubles; ++k)
            sums[k] = __builtin_convertvector(load<half_ints>(whole + k * kDoubles), doubles);
        return;
    }
    alignas(kBytes) double whole[lanes];
    add_long<lanes>(weights, list, whole);
    for (std::size_t k = 0; k < lanes / kDoubles; ++k)
        sums[k] = load<doubles>(whole + k * kDoubles);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
