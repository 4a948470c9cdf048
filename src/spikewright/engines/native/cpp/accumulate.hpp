// Sums of rows of integer weights: what a population receives in one step.
//
// Sums wrap in 32 bits, which loses nothing while the final sum fits; longer sums are made of pieces
// that fit, added in doubles, where every integer up to 2^53 is exact. So no order matters.
#pragma once

#include <vector>

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
struct Sums {
    static constexpr std::size_t n = lanes / kInts;
    ints sum[n];

    [[gnu::always_inline]] void clear() {
        each<n>(SPIKEWRIGHT_EACH(k) { sum[k] = ints{}; });
    }
    [[gnu::always_inline]] void add(const std::int32_t* row) {
        each<n>(SPIKEWRIGHT_EACH(k) { sum[k] += load<ints>(row + k * kInts); });
    }
    [[gnu::always_inline]] void add(const std::int32_t* row, std::uint32_t times) {
        const ints count = times - ints{};
        each<n>(SPIKEWRIGHT_EACH(k) { sum[k] += load<ints>(row + k * kInts) * count; });
    }
    [[gnu::always_inline]] void write(std::int32_t* to) const {
        each<n>(SPIKEWRIGHT_EACH(k) { store(to + k * kInts, sum[k]); });
    }
};

template <std::size_t lanes>
[[gnu::always_inline]] inline void add_rows(const std::int32_t* weights, const Rows& list,
                                            std::size_t from, std::size_t to, std::int32_t* sums) {
    Sums<lanes> sum;
    sum.clear();
    const std::int32_t* base = weights + list.base * std::int64_t(lanes);
    const std::uint32_t* rows = list.rows;
    for (std::size_t i = from; i < to; ++i) sum.add(base + std::size_t(rows[i]) * lanes);
    sum.write(sums);
}

template <std::size_t lanes>
inline void add_counted_rows(const std::int32_t* weights, const Rows& list, std::size_t from,
                             std::size_t to, std::int32_t* sums) {
    Sums<lanes> sum;
    sum.clear();
    const std::int32_t* base = weights + list.base * std::int64_t(lanes);
    for (std::size_t i = from; i < to; ++i)
        sum.add(base + std::size_t(list.rows[i]) * lanes, list.counts[i]);
    sum.write(sums);
}

// A long sum in pieces, in doubles.
template <std::size_t lanes>
[[gnu::noinline]] void add_long(const std::int32_t* weights, const Rows& list, double* sums) {
    alignas(kBytes) std::int32_t piece[lanes];
    for (std::size_t k = 0; k < lanes; ++k) sums[k] = 0.0;
    for (std::size_t from = 0; from < list.n;) {  // pieces of some hundred rows
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

// Sums of a block of lanes, step by step: integers where they fit 32 bits, else doubles.
struct SumBuffer {
    Array<std::int32_t> narrow;
    Array<double> wide;
    std::vector<std::uint8_t> is_wide;

    void reserve(std::size_t steps) {
        narrow.reserve(steps * 64, 0);
        wide.reserve(steps * 64, 0);
        is_wide.resize(steps);
    }
};

// A function of its own: in one with the neurons, GCC runs out of registers and sums in memory.
template <std::size_t lanes>
[[gnu::noinline]] void accumulate(const std::int32_t* weights, const Rows& list, SumBuffer& sums,
                                  std::size_t step) {
    sums.is_wide[step] = list.counts || list.n > std::size_t(list.budget);
    if (sums.is_wide[step])
        add_long<lanes>(weights, list, sums.wide.data() + step * 64);
    else
        add_rows<lanes>(weights, list, 0, list.n, sums.narrow.data() + step * 64);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
