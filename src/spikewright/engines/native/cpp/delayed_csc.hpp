// Sparse weights with delays in compressed columns: a spike is added at its receivers, in a ring of one row
// a step (`delay_ring.hpp`). So the cost is that of the spikes, however many delays there are.
//
// Receivers are cut into parts, which threads share without locks. A list goes through the parts in
// order, in a part by delay. Waiting are doubles in the reference's units: sums of counts times weights
// on the grid are exact in any order; others are added in the order of their senders, as there.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "memory.hpp"

namespace spikewright {

constexpr std::size_t kMostPartReceivers = std::size_t(1) << 16;  // of a part
constexpr std::size_t kMostWaitingSteps = (std::size_t(1) << 16) - 1;

// An entry of a sender's list; its receiver is counted from the part's first.
template <class Weight>
struct DelayedEntry {
    std::uint16_t receiver, delay;
    Weight weight;
};

struct DelayedCsc {
    std::size_t count = 0, receivers = 0, steps = 1;  // senders, receivers, the longest delay
    std::size_t parts = 1, part_size = 1;
    std::int32_t rows = -1;  // memory: what arrives in step t lies in row t mod `steps` until then
    double factor = 1.0;
    std::vector<std::uint32_t> starts;   // of each sender's entries in each part, and their end
    Array<DelayedEntry<float>> narrow;        // where all weights are single, else
    Array<DelayedEntry<double>> wide;

    std::size_t first_of(std::size_t part) const { return std::min(part * part_size, receivers); }
};

// Entries in any order, as a matrix `(receivers, senders)` has them.
struct DelayedEntries {
    const std::int32_t *receivers, *senders, *delays;
    const double* values;
    std::size_t count;
    bool single() const {
        return std::all_of(values, values + count, [](double v) { return double(float(v)) == v; });
    }
};

template <class Weight>
void fill_lists(const DelayedCsc& to, const DelayedEntries& from, const std::vector<std::uint32_t>& order,
                Array<DelayedEntry<Weight>>& lists) {
    lists.resize(from.count);
    for (std::size_t k = 0; k < from.count; ++k) {
        const std::size_t i = order[k];
        const auto receiver = std::uint16_t(std::size_t(from.receivers[i]) % to.part_size);
        lists[k] = {receiver, std::uint16_t(from.delays[i]), Weight(from.values[i])};
    }
}

// Fills the lists. Entries are put in order by counting: first by delay, then by sender and part, each
// time in the order of before.
inline void fill_delayed_csc(DelayedCsc& to, const DelayedEntries& from) {
    const auto sorted = [&](const std::vector<std::uint32_t>& order, std::size_t keys, auto&& key_of) {
        std::vector<std::uint32_t> starts(keys + 1);
        for (std::size_t i = 0; i < from.count; ++i) ++starts[key_of(i) + 1];
        std::partial_sum(starts.begin(), starts.end(), starts.begin());
        std::vector<std::uint32_t> made(from.count), next = starts;
        for (std::uint32_t i : order) made[next[key_of(i)]++] = i;
        return std::pair(std::move(made), std::move(starts));
    };
    std::vector<std::uint32_t> order(from.count);
    std::iota(order.begin(), order.end(), 0);
    order = sorted(order, to.steps + 1, [&](std::size_t i) { return std::size_t(from.delays[i]); }).first;
    std::tie(order, to.starts) = sorted(order, to.count * to.parts, [&](std::size_t i) {
        return std::size_t(from.senders[i]) * to.parts + std::size_t(from.receivers[i]) / to.part_size;
    });
    if (from.single())
        fill_lists(to, from, order, to.narrow);
    else
        fill_lists(to, from, order, to.wide);
}

}  // namespace spikewright
