#include "packing.hpp"

#include "threads.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <functional>
#include <mutex>

namespace spikewright {
namespace {

constexpr int kMostBits = 27;  // of a limb of a weight, sign included; of each of two
constexpr std::int64_t kMostSum = (std::int64_t(1) << 31) - 1;

// The step of a channel's grid of so many bits, as `engines/grid.py` says.
double grid_step(double largest, int bits) {
    int exponent = 0;
    const double mantissa = std::frexp(largest, &exponent);
    exponent = exponent - (mantissa == 0.5) - (bits - 1);
    return std::ldexp(1.0, std::max(exponent, -1000));
}

// Integers without the zeros at the end of all of them: weights of few bits are small numbers. Returns by how much
// a unit grows.
double without_zeros(std::int32_t* values, std::size_t n) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < n; ++k) bits |= std::uint32_t(values[k]);
    if (bits == 0 || bits % 2) return 1.0;
    const int zeros = std::countr_zero(bits);
    for (std::size_t k = 0; k < n; ++k) values[k] >>= zeros;
    return std::ldexp(1.0, zeros);
}

// Integers of one channel, and what of them bounds the sums of events.
class Column {
  public:
    // Returns the value of one unit: `step`, or, where that is 0, one of the grid.
    template <class T>
    double read(const T* from, std::size_t n, const Order& order, int bits, double step, std::int32_t* to) {
        if (step == 0.0) step = grid_step(largest_of(from, n), bits);
        const double inverse = 1.0 / step;
        if (order.columns)
            for (std::size_t k = 0; k < order.rows; ++k)
                to[k] = std::int32_t(double(from[order.columns[k]]) * inverse + kWhole - kWhole);
        else
            for (std::size_t k = 0; k < order.rows; ++k)
                to[k] = std::int32_t(double(from[k]) * inverse + kWhole - kWhole);
        const double grown = without_zeros(to, order.rows);
        sum(to, order.rows);
        return step * grown;
    }

    // The same in two limbs, of which the first is in units of 2^27 of the second; returns that of the
    // first.
    template <class T>
    double read(const T* from, std::size_t n, const Order& order, std::int32_t* to, std::int32_t* low) {
        const double step = grid_step(largest_of(from, n), kMostBits), inverse = 1.0 / step;
        for (std::size_t k = 0; k < order.rows; ++k) {
            const double value = double(from[order.columns ? std::size_t(order.columns[k]) : k]) * inverse;
            const double whole = value + kWhole - kWhole;
            to[k] = std::int32_t(whole);
            low[k] = std::int32_t((value - whole) * kLimb + kWhole - kWhole);
        }
        return step;
    }

    // A budget of the limb `values` that holds for any counts. Limbs are as good as random, so that
    // few more events fit than must.
    std::int64_t least_budget(const std::int32_t* values, std::size_t n, Reading reading) {
        sum(values, n);
        return budget_of(reading == Reading::depthwise ? up_ + down_ : largest_);
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

    std::int64_t largest() const { return largest_; }  // magnitude of the values

  private:
    static constexpr int kShift = 14;  // entries are sorted coarsely by their upper bits
    static constexpr std::size_t kBins = (std::size_t(1) << (kMostBits - 1 - kShift)) + 1;

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

    // By the entries of which `magnitude` is above zero; `total` is their sum. Most channels lower no
    // budget, which is known before entries are put in order.
    template <class F>
    void limit_by(std::int64_t total, const std::int32_t* values, std::size_t n, std::int64_t* budgets,
                  F&& magnitude) {
        if (total * std::int64_t(kMostRepeats) <= kMostSum) return;
        if (all_fit(values, n, budgets, magnitude)) return;
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
        for (std::size_t repeats = 1; repeats <= kMostRepeats; ++repeats) {
            const Fitting found = fitting(std::int64_t(repeats));
            if (found.events < budgets[repeats]) budgets[repeats] = found.events, levels_[repeats] = found.next;
        }
    }

    // Whether as many events as the budgets say surely fit. The sum of the K largest numbers is at most
    // K times any level and what each number is above it; it is as much where the level is the Kth. So
    // levels are those of the channels that lowered the budgets.
    template <class F>
    bool all_fit(const std::int32_t* values, std::size_t n, const std::int64_t* budgets, F&& magnitude) {
        const std::int32_t least = *std::min_element(levels_ + 1, levels_ + kMostRepeats + 1);
        entries_.resize(n);
        std::size_t above = 0;
        for (std::size_t k = 0; k < n; ++k) {
            entries_[above] = magnitude(values[k]);
            above += entries_[above] > least;
        }
        for (std::size_t repeats = 1; repeats <= kMostRepeats; ++repeats) {
            const std::int32_t level = levels_[repeats];
            std::int64_t sum = 0;
            for (std::size_t k = 0; k < above; ++k) sum += std::max(entries_[k] - level, 0);
            if (level * budgets[repeats] + std::int64_t(repeats) * sum > kMostSum) return false;
        }
        return true;
    }

    // The most events for which the largest entries, `repeats` times each, fit, and the next entry.
    struct Fitting {
        std::int64_t events;
        std::int32_t next;
    };
    Fitting fitting(std::int64_t repeats) const {
        std::int64_t left = kMostSum;
        for (std::size_t k = 0; k < entries_.size(); ++k) {
            const std::int64_t entry = entries_[k];
            if (entry * repeats > left) return {std::int64_t(k) * repeats + left / entry, entries_[k]};
            left -= entry * repeats;
        }
        return {kNoBudget, 0};
    }

    std::int64_t up_ = 0, down_ = 0, largest_ = 0;
    std::int64_t sums_[kBins];
    std::int32_t levels_[kMostRepeats + 1] = {};  // of entries, where budgets end; 0 where all fit
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

// One worker's blocks of lanes, taken as they come.
template <class T>
class Packer {
  public:
    Packer(const T* weights, const Scales& scales, std::size_t columns, const Order& order, Reading reading,
           std::size_t channels, int bits, std::size_t limbs, Packed& packed, Array<std::int32_t>* to)
        : weights_(weights), scales_(scales), columns_(columns), order_(order), reading_(reading),
          channels_(channels), limbs_(limbs), bits_(bits), packed_(packed), to_(to),
          made_(Array<std::int32_t>::raw(limbs * room())), scaled_(scales.heights ? columns : 0) {
        std::fill_n(budgets_, kMostRepeats + 1, kNoBudget);
    }

    void pack(const Lanes& block) {
        const std::size_t valid = std::min(block.width, packed_.units.size() - block.channel);
        for (std::size_t k = 0; k < valid; ++k) read(block.channel + k, made_.data() + k * order_.rows);
        for (std::size_t l = 0; l < limbs_; ++l) {
            std::int32_t* to = to_[l].data() + block.offset;
            if (valid < block.width) std::memset(to, 0, held() * block.width * sizeof(*to));
            interleave(made_.data() + l * room(), order_.rows, valid, block.width, channels_, to);
        }
    }

    // Lowers the budgets of all by those of this worker, and raises the largest magnitude.
    void limit() const {
        packed_.largest = std::max(packed_.largest, largest_);
        for (std::size_t i = 0; i <= kMostRepeats; ++i)
            packed_.budgets[i] = std::min(packed_.budgets[i], budgets_[i]);
        packed_.low_budget = std::min(packed_.low_budget, low_budget_);
    }

  private:
    std::size_t room() const { return order_.rows * 64; }
    std::size_t held() const { return reading_ == Reading::both ? 2 * order_.rows : order_.rows; }

    void read(std::size_t channel, std::int32_t* made) {
        const T* from = weights_ + channel * columns_;
        if (!scales_.heights) return read(channel, from, made);
        for (std::size_t k = 0; k < columns_; ++k) scaled_[k] = double(from[k]) * scales_.heights[k];
        read(channel, scaled_.data(), made);
    }

    template <class Number>
    void read(std::size_t channel, const Number* from, std::int32_t* made) {
        if (limbs_ == 1) {
            const double step = scales_.steps ? scales_.steps[channel] : 0.0;
            packed_.units[channel] = column_.read(from, columns_, order_, bits_, step, made);
            largest_ = std::max(largest_, column_.largest());
            return column_.limit(made, order_.rows, reading_, budgets_);
        }
        std::int32_t* low = made + room();
        packed_.units[channel] = column_.read(from, columns_, order_, made, low);
        const std::int64_t budget = column_.least_budget(made, order_.rows, reading_);
        for (std::int64_t& one : budgets_) one = std::min(one, budget);
        low_budget_ = std::min(low_budget_, column_.least_budget(low, order_.rows, reading_));
    }

    const T* weights_;
    Scales scales_;
    std::size_t columns_;
    const Order& order_;
    Reading reading_;
    std::size_t channels_, limbs_;
    int bits_;
    Packed& packed_;
    Array<std::int32_t>* to_;
    Array<std::int32_t> made_;
    std::vector<double> scaled_;  // a channel's weights times the heights
    Column column_;
    std::int64_t budgets_[kMostRepeats + 1], low_budget_ = kNoBudget, largest_ = 0;
};

}  // namespace

template <class T>
Packed pack(const T* weights, const Scales& scales, std::size_t out, std::size_t columns, const Order& order,
            const std::vector<std::size_t>& widths, Reading reading, std::size_t channels, int bits,
            std::size_t limbs, std::size_t threads) {
    const std::size_t held = reading == Reading::both ? 2 * order.rows : order.rows;
    Packed packed;
    std::size_t channel = 0, offset = 0;
    for (std::size_t width : widths) {
        packed.lanes.push_back({channel, width, offset});
        channel += width, offset += held * width;
    }
    Array<std::int32_t> integers[kMostWeightLimbs];
    for (std::size_t l = 0; l < limbs; ++l) {
        integers[l] = Array<std::int32_t>::raw(offset);
        std::memset(integers[l].data() + offset, 0, kSpare);
    }
    packed.units.resize(out);
    std::fill_n(packed.budgets, kMostRepeats + 1, kNoBudget);
    packed.low_budget = kNoBudget;
    std::mutex mutex;
    std::atomic<std::size_t> next{0};
    const auto work = [&](std::size_t) {
        Packer<T> packer(weights, scales, columns, order, reading, channels, bits, limbs, packed, integers);
        for (std::size_t b = next++; b < packed.lanes.size(); b = next++) packer.pack(packed.lanes[b]);
        const std::lock_guard lock(mutex);
        packer.limit();
    };
    on_threads(std::max(std::size_t(1), std::min(threads, packed.lanes.size())), work);
    packed.weights = std::move(integers[0]);
    if (packed.low_budget < kNoBudget) {  // something of the second limb is not zero
        packed.low = std::move(integers[1]);
        for (double& unit : packed.units) unit /= kLimb;
    }
    return packed;
}

template Packed pack(const float*, const Scales&, std::size_t, std::size_t, const Order&,
                     const std::vector<std::size_t>&, Reading, std::size_t, int, std::size_t, std::size_t);
template Packed pack(const double*, const Scales&, std::size_t, std::size_t, const Order&,
                     const std::vector<std::size_t>&, Reading, std::size_t, int, std::size_t, std::size_t);

}  // namespace spikewright
