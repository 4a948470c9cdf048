#include "packing.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <mutex>
#include <thread>

namespace spikewright {
namespace {

constexpr int kWeightBits = 25;  // of a weight on the grid, sign included
constexpr std::int64_t kMostSum = (std::int64_t(1) << 31) - 1;

// The step of a channel's grid, as `engines/grid.py` says.
double grid_step(double largest) {
    int exponent = 0;
    const double mantissa = std::frexp(largest, &exponent);
    exponent = exponent - (mantissa == 0.5) - (kWeightBits - 1);
    return std::ldexp(1.0, std::max(exponent, -1000));
}

// Integers of one channel, and what of them bounds the sums of events.
class Column {
  public:
    // Returns the value of one unit.
    template <class T>
    double read(const T* from, std::size_t n, const Order& order, std::int32_t* to) {
        const double step = grid_step(largest_of(from, n)), inverse = 1.0 / step;
        constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52: to the nearest integer, ties to even
        if (order.columns)
            for (std::size_t k = 0; k < order.rows; ++k)
                to[k] = std::int32_t(double(from[order.columns[k]]) * inverse + magic - magic);
        else
            for (std::size_t k = 0; k < order.rows; ++k)
                to[k] = std::int32_t(double(from[k]) * inverse + magic - magic);
        sum(to, order.rows);
        return step;
    }

    // Lowers budgets to the numbers of events whose sums fit 32 bits: for counts of any size, then of
    // 1, 2, ... spikes. Sums wrap and are right at the end, so what bounds them is the sum of a
    // channel's largest entries of one sign, each taken as often as an input may be listed.
    void limit(const std::int32_t* values, std::size_t n, Reading reading, std::int64_t* budgets) {
        if (reading == Reading::depthwise) {
            const std::int64_t most = budget_of(up_ + down_);
            for (std::size_t i = 0; i <= kMostRepeats; ++i) budgets[i] = std::min(budgets[i], most);
            return;
        }
        budgets[0] = std::min(budgets[0], budget_of(largest_));
        if (reading == Reading::both)
            return limit_by(up_ + down_, values, n, budgets, [](std::int32_t v) { return std::abs(v); });
        limit_by(up_, values, n, budgets, [](std::int32_t v) { return v; });
        limit_by(down_, values, n, budgets, [](std::int32_t v) { return -v; });
    }

  private:
    static constexpr int kShift = 14;  // entries are sorted coarsely by their upper bits
    static constexpr std::size_t kBins = (std::size_t(1) << (kWeightBits - 1 - kShift)) + 1;

    static std::int64_t budget_of(std::int64_t sum) { return sum ? kMostSum / sum : kNoBudget; }

    template <class T>
    static double largest_of(const T* from, std::size_t n) {
        constexpr std::size_t lanes = 16;
        T most[lanes] = {};
        std::size_t i = 0;
        for (; i + lanes <= n; i += lanes)
            for (std::size_t k = 0; k < lanes; ++k) {
                const T magnitude = std::abs(from[i + k]);
                most[k] = most[k] > magnitude ? most[k] : magnitude;
            }
        for (; i < n; ++i) most[0] = std::max(most[0], std::abs(from[i]));
        return double(*std::max_element(most, most + lanes));
    }

    void sum(const std::int32_t* values, std::size_t n) {
        up_ = down_ = largest_ = 0;
        for (std::size_t k = 0; k < n; ++k) {
            const std::int64_t value = values[k];
            up_ += value > 0 ? value : 0;
            down_ -= value < 0 ? value : 0;
            largest_ = std::max(largest_, value < 0 ? -value : value);
        }
    }

    // By the entries of which `magnitude` is above zero; `total` is their sum.
    template <class F>
    void limit_by(std::int64_t total, const std::int32_t* values, std::size_t n, std::int64_t* budgets,
                  F&& magnitude) {
        if (total * std::int64_t(kMostRepeats) <= kMostSum) return;
        std::fill_n(sums_, kBins, 0);
        for (std::size_t k = 0; k < n; ++k)
            if (const std::int32_t v = magnitude(values[k]); v > 0) sums_[v >> kShift] += v;
        std::size_t bin = kBins;
        for (std::int64_t sum = 0; bin > 0 && sum <= kMostSum;) sum += sums_[--bin];
        entries_.clear();
        const std::int32_t least = std::max<std::int32_t>(1, std::int32_t(bin << kShift));
        for (std::size_t k = 0; k < n; ++k)
            if (const std::int32_t v = magnitude(values[k]); v >= least) entries_.push_back(v);
        std::sort(entries_.begin(), entries_.end(), std::greater<>());
        for (std::size_t repeats = 1; repeats <= kMostRepeats; ++repeats)
            budgets[repeats] = std::min(budgets[repeats], fitting(std::int64_t(repeats)));
    }

    // The most events for which the largest entries, `repeats` times each, fit.
    std::int64_t fitting(std::int64_t repeats) const {
        std::int64_t left = kMostSum;
        for (std::size_t k = 0; k < entries_.size(); ++k) {
            const std::int64_t entry = entries_[k];
            if (entry * repeats > left) return std::int64_t(k) * repeats + left / entry;
            left -= entry * repeats;
        }
        return kNoBudget;
    }

    std::int64_t up_ = 0, down_ = 0, largest_ = 0;
    std::int64_t sums_[kBins];
    std::vector<std::int32_t> entries_;
};

// Integers of a block's channels, row by row; of counts of either sign, each tap's `channels` rows are
// followed by the same for counts below zero.
void interleave(const std::int32_t* from, std::size_t rows, std::size_t valid, std::size_t width,
                       std::size_t channels, std::int32_t* to) {
    constexpr std::size_t tile = 16;  // rows whose values of all channels stay in cache
    for (std::size_t first = 0; first < rows; first += tile)
        for (std::size_t k = 0; k < valid; ++k)
            for (std::size_t r = first; r < std::min(first + tile, rows); ++r) {
                const std::int32_t value = from[k * rows + r];
                if (!channels) {
                    to[r * width + k] = value;
                    continue;
                }
                const std::size_t row = r / channels * 2 * channels + r % channels;
                to[row * width + k] = value;
                to[(row + channels) * width + k] = -value;
            }
}

}  // namespace

template <class T>
Packed pack(const T* weights, std::size_t out, std::size_t columns, const Order& order,
            const std::vector<std::size_t>& widths, Reading reading, std::size_t channels,
            std::size_t threads) {
    const std::size_t rows = order.rows, held = reading == Reading::both ? 2 * rows : rows;
    Packed packed;
    std::size_t channel = 0, offset = 0;
    for (std::size_t width : widths) {
        packed.lanes.push_back({channel, width, offset});
        channel += width, offset += held * width;
    }
    auto integers = Array<std::int32_t>::raw(offset);
    std::memset(integers.data() + offset, 0, kSpare);
    packed.units.resize(out);
    std::fill_n(packed.budgets, kMostRepeats + 1, kNoBudget);
    std::mutex mutex;
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
        auto columns_of = Array<std::int32_t>::raw(rows * 64);
        Column column;
        std::int64_t budgets[kMostRepeats + 1];
        std::fill_n(budgets, kMostRepeats + 1, kNoBudget);
        for (std::size_t b = next++; b < packed.lanes.size(); b = next++) {
            const Lanes& block = packed.lanes[b];
            const std::size_t valid = std::min(block.width, out - block.channel);
            std::int32_t* to = integers.data() + block.offset;
            if (valid < block.width) std::memset(to, 0, held * block.width * sizeof(*to));
            for (std::size_t k = 0; k < valid; ++k) {
                const std::size_t at = block.channel + k;
                std::int32_t* made = columns_of.data() + k * rows;
                packed.units[at] = column.read(weights + at * columns, columns, order, made);
                column.limit(made, rows, reading, budgets);
            }
            interleave(columns_of.data(), rows, valid, block.width, channels, to);
        }
        const std::lock_guard lock(mutex);
        for (std::size_t i = 0; i <= kMostRepeats; ++i)
            packed.budgets[i] = std::min(packed.budgets[i], budgets[i]);
    };
    std::vector<std::thread> others;
    for (std::size_t i = 1; i < std::min(threads, packed.lanes.size()); ++i) others.emplace_back(work);
    work();
    for (std::thread& thread : others) thread.join();
    packed.weights = std::move(integers);
    return packed;
}

template Packed pack(const float*, std::size_t, std::size_t, const Order&,
                     const std::vector<std::size_t>&, Reading, std::size_t, std::size_t);
template Packed pack(const double*, std::size_t, std::size_t, const Order&,
                     const std::vector<std::size_t>&, Reading, std::size_t, std::size_t);

}  // namespace spikewright
