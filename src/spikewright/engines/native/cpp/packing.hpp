// Weights of a layer as kernels read them: on the grid, as integers, in blocks of lanes. They are made
// straight from the network's, a block of output channels at a time, by several threads.
#pragma once

#include <vector>

#include "plan.hpp"

namespace spikewright {

// How a layer reads its weights: as they are, of counts of either sign, or a row a tap.
enum class Reading : int { plain, both, depthwise };

struct Order {
    const std::int32_t* columns = nullptr;  // of each row of lanes; null: row k is column k
    std::size_t rows = 0;
};

// What weights are multiplied by, one a column, and the steps of which they are whole numbers, one a channel; null:
// none, and steps of the grid.
struct Scales {
    const double *heights = nullptr, *steps = nullptr;
};

struct Packed {
    std::vector<Lanes> lanes;
    SharedWeights weights, low;  // low: the second limb; empty where all of it is zero
    std::vector<double> units;   // per output channel: the value of one unit of the last limb
    std::int64_t largest = 0;    // magnitude of weights in one limb
    // Numbers of events whose sums fit 32 bits, as a layer has them.
    std::int64_t budgets[kMostRepeats + 1], low_budget;
};

// Weights `(out, columns)` in blocks of these widths, as so many limbs; one limb has so many `bits`, at most
// 27, with the sign, where scales have no steps. `channels` is 0,
// or the number of the input's where counts of either sign are read.
template <class T>
Packed pack(const T* weights, const Scales& scales, std::size_t out, std::size_t columns, const Order& order,
            const std::vector<std::size_t>& widths, Reading reading, std::size_t channels, int bits,
            std::size_t limbs, std::size_t threads);

extern template Packed pack(const float*, const Scales&, std::size_t, std::size_t, const Order&,
                            const std::vector<std::size_t>&, Reading, std::size_t, int, std::size_t, std::size_t);
extern template Packed pack(const double*, const Scales&, std::size_t, std::size_t, const Order&,
                            const std::vector<std::size_t>&, Reading, std::size_t, int, std::size_t, std::size_t);

}  // namespace spikewright
