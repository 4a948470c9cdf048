// Descriptions of operators beside layers and populations: filters, delays, decoders, learned weights, sparse
// maps and node functions, with the memories that hold their state.
#pragma once

#include <cstdint>
#include <vector>

#include "memory.hpp"

// An enumeration, with its names as one text "a, b, c" for Python.
#define SPIKEWRIGHT_ENUM(name, ...)                 \
    enum class name : std::int32_t { __VA_ARGS__ }; \
    constexpr const char* names_of(name) { return #__VA_ARGS__; }

namespace spikewright {

// State that lasts from block to block: doubles of one sample, and their initial values.
struct Memory {
    std::size_t size;
    Array<double> start;
    bool passing = false;  // it is not read after a last step
};

constexpr std::size_t kMostOrder = 8;     // of a filter
constexpr std::size_t kMostColumns = 32;  // of encoders that drive neurons directly
constexpr std::size_t kChunk = 256;       // values that are computed together
constexpr std::size_t kLineValues = kLine / sizeof(double);

// x = A x + B u, y = C x (+ D u where `direct`, of the state before), elementwise over a signal.
struct FilterOp {
    std::size_t order = 0;
    std::vector<double> A, B, C;  // A row by row
    bool direct = false;
    double D = 0.0;
    std::vector<std::int32_t> states;  // memories, one per order
    std::int32_t output = -1;          // memory: the output of the next step
    bool line = false;  // x[0] = B u, and x[i] is x[i - 1] of the step before: a sum of earlier inputs
};

// A delay by `steps` steps, with a ring buffer: step t of the simulation is stored in row t mod `steps`.
struct DelayOp {
    std::size_t steps = 1;
    std::int32_t rows = -1;
};

// The limbs into which values are split for exact sums (see `engines/grid.py`): at most `most`, of `bits` bits
// each; `most` is 0 where nothing is split. They are multiplied by the `weights` limbs of every weight. In
// samples with a value below `wide` units of the first limb, the remainders of values below `reach` units are
// added (`compensation.hpp`).
struct Limbs {
    int bits = 0, most = 0, weights = 1;
    double wide = 0.0, reach = 0.0;
};
constexpr int kMostLimbs = 5;
constexpr std::size_t kMostWeightLimbs = 2;
constexpr double kWhole = 0x1.8p52;  // adding and subtracting it rounds to the nearest integer, ties to even
constexpr double kLimb = 134217728.0;  // 2^27: the first limb of weights in two is in units of the second

// Decoders: few outputs of many neurons, of which few spike. Weights are whole numbers, one row of each limb
// for each neuron, padded to whole cache lines if there are several outputs.
struct Readout {
    std::int32_t source = -1;
    std::size_t from = 0, n = 0, to = 0, outputs = 0, weights = 0;
    Limbs values;  // of counts that bytes do not hold
};
struct Readouts {
    std::vector<Readout> members;
    Array<double> weights, scale;  // scale: per output, the weights' step times the factor
    std::size_t limbs = 1;
};
constexpr std::size_t kMostOutputs = 16;

// A scatter: values are added at their places, source by source, to a signal that is zero elsewhere.
struct Added {
    std::int32_t source = -1;
    std::vector<std::int32_t> from, to, count;  // runs of neighbours
};
struct Scatter {
    Array<double> start;  // zeros; -0 where every term adds a value, since their sum may be -0
    std::vector<Added> terms;
};

SPIKEWRIGHT_ENUM(Rule, outer, oja, voja)

// A learning rule. The change of row o, with the receivers' values a, the senders' values b and the unit u, is:
//
//   outer   (first * a[o]) * b; with a theta: ((first * a[o]) * (a[o] - theta[o])) * b
//   oja     (first * a[o]) * b - (((first * second) * a[o]) * a[o]) * (W * u)
//   voja    ((first * signal) * a[o]) * (scale[o] * b - W * u)
struct RuleOp {
    Rule rule = Rule::outer;
    double first = 0.0, second = 0.0;
    std::int32_t receivers = -1, senders = -1, theta = -1, signal = -1;  // buffers
    std::int32_t delta = -1;  // buffer of a probe, written in every `every`-th step
    std::size_t every = 1;
    Array<double> scale;
};

constexpr std::size_t kMostRules = 4;  // of one operator

// Recursive least squares: gain = P r / (1 + r P r), and P -= (P r) gain. The `inverse` P, `(n, n)`, is stored
// without its last change, which is applied later: it follows from `along` = P r and `gain`, stored too.
struct Recursion {
    std::int32_t inverse = -1, along = -1, gain = -1;  // memories
    std::int32_t recorded = -1;  // the buffer of the matrix after a step, in every `every`-th step
    std::size_t every = 1;
};

// Learned weights, y = factor * (W x): `weights` is a memory, `(out, in)`, `largest` holds the largest
// magnitude of each row, which determines the grid of W. With units, deltas are divided by that of the row.
struct Weights {
    std::size_t out = 0, in = 0;
    std::int32_t weights = -1, largest = -1, recorded = -1;  // recorded: in every `every`-th step
    std::size_t every = 1;
    int weight_bits = 0;
    Limbs limbs;
    double factor = 1.0;
    Array<double> unit;
    std::vector<RuleOp> rules;
};

// A sparse matrix by row, with the entries of a row in the order in which they are added.
struct SparseRows {
    std::vector<std::int64_t> starts;
    std::vector<std::int32_t> columns;
    std::vector<double> values;
    double factor = 1.0;
};

// A matrix along one axis of `(outer, axis, inner)` values, by row; its values are on the grid, those
// of the second limb, if there is one, in `low`.
struct AxisRows : SparseRows {
    std::size_t outer = 1, axis = 1, inner = 1, out = 1;
    std::vector<double> low;
    Limbs limbs;  // of values
    SparseRows residuals;  // of the weights
};

SPIKEWRIGHT_ENUM(FunctionKind, normalise, normalise_size, softmax, product)

// A node function of several values: of `rows` lines of `inner` values each; or products of matrices, `rows` by
// `inner` and `inner` by `columns`, which begin at `first` and `second` in the input.
struct FunctionKernel {
    FunctionKind kind = FunctionKind::normalise;
    std::size_t rows = 0, inner = 0, columns = 0;
    double epsilon = 0.0;
    bool transpose_a = false, transpose_b = false;
    std::vector<std::size_t> first, second;
    double once = 0.0;  // for a node that fires once: the steps over which means are taken; 0: all so far
};

}  // namespace spikewright
