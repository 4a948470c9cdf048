// Descriptions of operators beside layers and populations: filters, delays, decoders, learned weights, sparse
// maps and node functions, with the memories that hold their state.
#pragma once

#include <cstdint>
#include <vector>

#include "memory.hpp"

// An enumeration whose names Python reads, and these as one text: "a, b, c".
#define SPIKEWRIGHT_ENUM(name, ...)                 \
    enum class name : std::int32_t { __VA_ARGS__ }; \
    constexpr const char* names_of(name) { return #__VA_ARGS__; }

namespace spikewright {

// State that lasts from block to block: doubles of one sample, and their first values.
struct Memory {
    std::size_t size;
    Array<double> start;
    bool passing = false;  // nothing reads it behind a last step
};

constexpr std::size_t kMostOrder = 8;     // of a filter
constexpr std::size_t kMostColumns = 32;  // of encoders that drive neurons without a layer between
constexpr std::size_t kChunk = 256;       // values that are advanced together
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

// A signal, some `steps` later: step t of the simulation lies in row t mod `steps` of a memory until then.
struct DelayOp {
    std::size_t steps = 1;
    std::int32_t rows = -1;
};

// The numbers into which values are split for exact sums, as `engines/grid.py` says: at most `most`,
// of so many bits each. `most` is 0 where nothing is split. They meet `weights` limbs of every weight.
// Where a value is smaller than `wide` units of the first limb, remainders are added of the values that are
// smaller than `reach` units (`compensation.hpp`).
struct Limbs {
    int bits = 0, most = 0, weights = 1;
    double wide = 0.0, reach = 0.0;
};
constexpr int kMostLimbs = 5;
constexpr std::size_t kMostWeightLimbs = 2;
constexpr double kWhole = 0x1.8p52;  // added and taken away again, it rounds to the nearest integer, ties to even
constexpr double kLimb = 134217728.0;  // 2^27: the first limb of weights in two is in units of the second

// Outputs of few values from neurons of which few spike: decoders. Weights are whole numbers, a row of
// each limb a neuron, padded to whole lines where there are several outputs.
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

// Values that are added at their places, source by source, to a signal that is zero elsewhere.
struct Added {
    std::int32_t source = -1;
    std::vector<std::int32_t> from, to, count;  // runs of neighbours
};
struct Scatter {
    Array<double> start;  // zeros, below zero where every term has a value: those may be so too
    std::vector<Added> terms;
};

SPIKEWRIGHT_ENUM(Rule, outer, oja, voja)

// A learning rule at work. Of row o, with a the receivers' values, b the senders' and u its unit:
//
//   outer   (first * a[o]) * b, less where there is a theta: ((first * a[o]) * (a[o] - theta[o])) * b
//   oja     (first * a[o]) * b - (((first * second) * a[o]) * a[o]) * (W * u)
//   voja    ((first * signal) * a[o]) * (scale[o] * b - W * u)
struct RuleOp {
    Rule rule = Rule::outer;
    double first = 0.0, second = 0.0;
    std::int32_t receivers = -1, senders = -1, theta = -1, signal = -1;  // buffers
    std::int32_t delta = -1;  // buffer of a probe, filled in every so many steps
    std::size_t every = 1;
    Array<double> scale;
};

constexpr std::size_t kMostRules = 4;  // of one operator

// Recursive least squares: gain = P r / (1 + r P r), and P -= (P r) gain. The `inverse` P, `(n, n)`, is
// kept as it was before the last change; that follows from `along` = P r and `gain`, which are kept too.
struct Recursion {
    std::int32_t inverse = -1, along = -1, gain = -1;  // memories
    std::int32_t recorded = -1;  // the buffer of the matrix behind a step, of every so many steps
    std::size_t every = 1;
};

// y = factor * (W x) with weights that change: `weights` is a memory, `(out, in)`, `largest` the largest
// magnitude of each row, by which W is put on the grid. Where there are units, deltas are divided by
// the row's.
struct Weights {
    std::size_t out = 0, in = 0;
    std::int32_t weights = -1, largest = -1, recorded = -1;  // recorded: in every so many steps
    std::size_t every = 1;
    int weight_bits = 0;
    Limbs limbs;
    double factor = 1.0;
    Array<double> unit;
    std::vector<RuleOp> rules;
};

// Rows of a sparse matrix, each with its entries in the order in which they are added.
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

// A function of several values: of `rows` lines of `inner` values each; or products of matrices, `rows` times
// `inner` and `inner` times `columns`, which begin at `first` and `second` in the input.
struct FunctionKernel {
    FunctionKind kind = FunctionKind::normalise;
    std::size_t rows = 0, inner = 0, columns = 0;
    double epsilon = 0.0;
    bool transpose_a = false, transpose_b = false;
    std::vector<std::size_t> first, second;
    double once = 0.0;  // of what comes once: the steps over which means are taken; 0: all so far
};

}  // namespace spikewright
