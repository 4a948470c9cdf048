// Filters, populations of any type, sparse maps: parts of a plan whose state is kept in memories.
#pragma once

#include <cstdint>
#include <vector>

#include "memory.hpp"

namespace spikewright {

// State that lasts from block to block: doubles of one sample, and what they are at first.
struct Memory {
    std::size_t size;
    Array<double> start;
};

constexpr std::size_t kMostOrder = 8;  // of a filter

// x = A x + B u, y = C x (+ D u where `direct`, of the state before), elementwise over a signal.
struct Filtering {
    std::size_t order = 0;
    std::vector<double> A, B, C;  // A row by row
    bool direct = false;
    double D = 0.0;
    std::vector<std::int32_t> states;  // memories, one per order
    std::int32_t output = -1;          // memory: what the next step gives
};

enum class Cell : std::int32_t { rate, integrate, running_mean, leaky, bipolar };
enum class Rate : std::int32_t {
    identity, rectified, leaky, clipped, sigmoid, tanh, softplus, lif, parametric,
};

// A population of any type: a function of the current, and what is integrated.
struct Cells {
    Cell cell = Cell::rate;
    Rate rate = Rate::identity;
    std::size_t size = 0;
    double slope = 0.0, most = 0.0, tau_ref = 0.0, tau_rc = 0.0, amplitude = 1.0;  // of the function
    bool negative = false, truncate = false, has_floor = false;                    // of integrators
    double floor = 0.0, cap = 0.0;
    double dt = 0.0, min_voltage = 0.0, decay = 0.0, most_share = 0.0;  // of leaky neurons
    Array<double> threshold, slopes;  // slopes of parametric rectifiers, else empty
    // Memories, or -1. `second` is the refractory time, the sum of currents or, of bipolar neurons, the
    // spikes sent; `third` what was sent; `total` sums outputs without their sign, `net` with it.
    std::int32_t voltage = -1, second = -1, third = -1, total = -1, net = -1;
    std::int32_t voltage_out = -1;  // buffer
};

// Rows of a sparse matrix, each with its entries in the order in which they are added.
struct SparseRows {
    std::vector<std::int64_t> starts;
    std::vector<std::int32_t> columns;
    std::vector<double> values;
    double factor = 1.0;
};

// A matrix along one axis of `(outer, axis, inner)` values, by row; its values are on the grid.
struct AxisRows {
    std::size_t outer = 1, axis = 1, inner = 1, out = 1;
    std::vector<std::int64_t> starts;
    std::vector<std::int32_t> columns;
    std::vector<double> values;
    double factor = 1.0;
    int limb_bits = 0, limbs = 0;  // of values
};

}  // namespace spikewright
