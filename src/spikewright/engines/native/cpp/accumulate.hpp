// Sums of rows of integer weights: the input of a population in the steps of a slab.
//
// Sums wrap in 32 bits, which loses nothing while the final sum fits; longer sums are made of pieces
// that fit, added in doubles, where every integer up to 2^53 is exact. So no order matters.
#pragma once

#include <vector>

#include "events.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Rows of a weight matrix of one block of lanes: `rows[i] + base` for i below `n`, in all steps or,
// where that is given, those of which `when[i]` has the bit.
struct Rows {
    const std::uint32_t* rows;
    const std::uint32_t* when;
    std::int64_t base;
    std::size_t n;

    Rows part(std::size_t from, std::size_t count) const {
        return {rows + from, when ? when + from : nullptr, base, n - from < count ? n - from : count};
    }
};

// The events of a slab that one output pixel reads. No step adds up more than `most` weights.
struct Seen {
    Rows always, masked, steps[kSlab];
    std::size_t most;
};

template <std::size_t lanes>
struct Sums {
    static constexpr std::size_t n = lanes / kInts;
    ints sum[n];

    // From zero where `first` is null.
    [[gnu::always_inline]] void start(const std::int32_t* first) {
        if (first)
            each<n>(SPIKEWRIGHT_EACH(k) { sum[k] = load<ints>(first + k * kInts); });
        else
            each<n>(SPIKEWRIGHT_EACH(k) { sum[k] = ints{}; });
    }
    [[gnu::always_inline]] void add(const std::int32_t* row) {
        each<n>(SPIKEWRIGHT_EACH(k) { sum[k] += load<ints>(row + k * kInts); });
    }
    [[gnu::always_inline]] void write(std::int32_t* to) const {
        each<n>(SPIKEWRIGHT_EACH(k) { store(to + k * kInts, sum[k]); });
    }
};

// Functions of their own: in one with the neurons, GCC runs out of registers and sums in memory.
template <std::size_t lanes>
[[gnu::noinline]] void add_rows(const std::int32_t* weights, const Rows& list,
                                const std::int32_t* first, std::int32_t* sums) {
    Sums<lanes> sum;
    sum.start(first);
    const std::int32_t* base = weights + list.base * std::int64_t(lanes);
    for (std::size_t i = 0; i < list.n; ++i) sum.add(base + std::size_t(list.rows[i]) * lanes);
    sum.write(sums);
}

// Sums of `width` lanes for all steps of a slab.
template <std::size_t lanes, std::size_t width>
[[gnu::noinline]] void add_masked_rows(const std::int32_t* weights, const Rows& list,
                                       std::int32_t (*sums)[kSlab]) {
    Sixteen sum[width] = {};
    const std::int32_t* base = weights + list.base * std::int64_t(lanes);
    for (std::size_t i = 0; i < list.n; ++i) {
        const std::int32_t* row = base + std::size_t(list.rows[i]) * lanes;
        const std::uint32_t steps = list.when[i];
        each<width>(SPIKEWRIGHT_EACH(k) { sum[k].add_where(steps, row[k]); });
    }
    each<width>(SPIKEWRIGHT_EACH(k) { std::memcpy(sums[k], &sum[k], sizeof sum[k]); });
}

// The same for all lanes, step by step; `stride` from step to step.
template <std::size_t lanes>
inline void add_masked(const std::int32_t* weights, const Rows& list, std::int32_t* sums,
                       std::size_t stride) {
    constexpr std::size_t width = kBytes == 64 ? 16 : 4;
    alignas(kBytes) std::int32_t columns[16][kSlab];
    for (std::size_t lane = 0; lane < lanes; lane += 16) {
        for (std::size_t k = 0; k < 16; k += width)
            add_masked_rows<lanes, width>(weights + lane + k, list, columns + k);
        transpose(columns, sums + lane, stride);
    }
}

// Sums of a block of lanes, row by row: integers where they fit 32 bits, else doubles.
struct SumBuffer {
    Array<std::int32_t> narrow;
    Array<double> wide;
    std::vector<std::uint8_t> is_wide;

    void reserve(std::size_t rows) {
        const std::size_t whole = rounded_up(rows, kSlab);
        narrow.reserve(whole * 64, 0);
        wide.reserve(whole * 64, 0);
        is_wide.resize(whole);
    }

    // Where doubles for the sums of a step go.
    double* doubles_of(std::size_t step) {
        is_wide[step] = 1;
        return wide.data() + step * 64;
    }

    // The sums of a step as doubles, which may grow.
    template <std::size_t lanes>
    double* widened(std::size_t step) {
        const bool was_wide = is_wide[step];
        double* to = doubles_of(step);
        for (std::size_t k = 0; !was_wide && k < lanes; ++k) to[k] = double(narrow[step * 64 + k]);
        return to;
    }
};

// All steps of a slab, where every sum fits 32 bits.
template <std::size_t lanes>
void accumulate(const std::int32_t* weights, const Seen& seen, std::size_t steps,
                std::int32_t* sums) {
    alignas(kBytes) std::int32_t common[lanes];
    const std::int32_t* first = nullptr;
    if (seen.always.n) {
        add_rows<lanes>(weights, seen.always, nullptr, common);
        first = common;
    }
    if (!seen.masked.n) {
        for (std::size_t t = 0; t < steps; ++t)
            add_rows<lanes>(weights, seen.steps[t], first, sums + t * 64);
        return;
    }
    add_masked<lanes>(weights, seen.masked, sums, 64);
    for (std::size_t t = 0; t < steps; ++t) {
        std::int32_t* to = sums + t * 64;
        if (first)
            for (std::size_t k = 0; k < lanes; ++k) to[k] += first[k];
        if (seen.steps[t].n) add_rows<lanes>(weights, seen.steps[t], to, to);
    }
}

// The same in doubles: sums in pieces that fit 32 bits, `budget` events each.
template <std::size_t lanes>
[[gnu::noinline]] void accumulate_wide(const std::int32_t* weights, const Seen& seen,
                                       std::size_t steps, std::size_t budget, double* sums) {
    alignas(kBytes) std::int32_t part[kSlab][lanes];
    double common[lanes] = {};
    const auto each_piece = [&](const Rows& list, auto&& f) {
        for (std::size_t from = 0; from < list.n; from += budget) f(list.part(from, budget));
    };
    each_piece(seen.always, [&](const Rows& piece) {
        add_rows<lanes>(weights, piece, nullptr, part[0]);
        for (std::size_t k = 0; k < lanes; ++k) common[k] += part[0][k];
    });
    for (std::size_t t = 0; t < steps; ++t) std::memcpy(sums + t * 64, common, sizeof common);
    each_piece(seen.masked, [&](const Rows& piece) {
        add_masked<lanes>(weights, piece, part[0], lanes);
        for (std::size_t t = 0; t < steps; ++t)
            for (std::size_t k = 0; k < lanes; ++k) sums[t * 64 + k] += part[t][k];
    });
    for (std::size_t t = 0; t < steps; ++t)
        each_piece(seen.steps[t], [&](const Rows& piece) {
            add_rows<lanes>(weights, piece, nullptr, part[0]);
            for (std::size_t k = 0; k < lanes; ++k) sums[t * 64 + k] += part[0][k];
        });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
