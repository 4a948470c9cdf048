// Node functions of several values: normalisations, softmax and matrix products. Sums over lines are in NumPy's
// order, those of products one term after the other, so that results are bit-identical to the reference engine's,
// as far as exp is.
#pragma once

#include <cmath>
#include <limits>

#include "curves.hpp"
#include "layout_ops.hpp"
#include "recursive_least_squares.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr double kMostFinite = std::numeric_limits<double>::max();
constexpr double kLeastExponent = -700.0;  // exp of less is nothing beside one

// One sample's room to compute in.
struct FunctionWorkspace {
    std::vector<double> ones, line, turned;
};

inline double sum_of(const double* x, const FunctionWorkspace& room, std::size_t n) {
    return 0.0 + products<1>({x}, room.ones.data(), n)[0];
}

// (x - mean) / sqrt(variance + epsilon), or without means x / sqrt(mean x^2 + epsilon).
inline void normalise_line(const FunctionKernel& f, const double* x, double* to, const FunctionWorkspace& room) {
    const std::size_t n = f.inner;
    const double count = double(n), mean = f.kind == FunctionKind::normalise ? sum_of(x, room, n) / count : 0.0;
    if (f.kind == FunctionKind::normalise)
        for (std::size_t k = 0; k < n; ++k) to[k] = x[k] - mean;
    else
        std::copy_n(x, n, to);
    const double variance = (0.0 + products<1>({to}, to, n)[0]) / count, by = std::sqrt(variance + f.epsilon);
    for (std::size_t k = 0; k < n; ++k) to[k] = to[k] / by;
}

// Lines of exp(x), x the values less the largest, over their sum: all exponentials at once.
inline void softmax(const FunctionKernel& f, const double* x, double* to, const FunctionWorkspace& room) {
    const std::size_t n = f.inner;
    for (std::size_t i = 0; i < f.rows; ++i) {
        const double *line = x + i * n, *last = line + (n < kDoubles ? 0 : n - kDoubles);
        doubles largest = n < kDoubles ? splat(line[0]) : load<doubles>(last);
        for (const double* from = line; from < last; from += kDoubles) largest = larger_of(largest, load<doubles>(from));
        double most = largest[0];
        for (std::size_t k = 1; k < std::min(n, kDoubles); ++k) most = larger_of(most, n < kDoubles ? line[k] : largest[k]);
        for (std::size_t k = 0; k < n; ++k) to[i * n + k] = line[k] - most;
    }
    each_lane(to, to, f.rows * n, [](doubles v) {
        const longs far = v < kLeastExponent;
        return where(far, doubles{}, exp_of(where(far, splat(kLeastExponent), v)));
    });
    for (double* line = to; line < to + f.rows * n; line += n) {
        const double all = sum_of(line, room, n);
        for (std::size_t k = 0; k < n; ++k) line[k] = line[k] / all;
    }
}

// Some columns of a product, `n` vectors of them, of which the last has `last` values; rows of b are `pitch` apart.
template <std::size_t n>
inline void multiply_columns(const FunctionKernel& f, const double* a, const double* b, std::size_t pitch, std::size_t last,
                             double* to) {
    const std::size_t next = f.transpose_a ? 1 : f.inner, step = f.transpose_a ? f.rows : 1;
    for (std::size_t i = 0; i < f.rows; ++i, a += next, to += f.columns) {
        doubles sums[n];
        each<n>(SPIKEWRIGHT_EACH(p) { sums[p] = splat(a[0]) * load<doubles>(b + p * kDoubles); });
        for (std::size_t k = 1; k < f.inner; ++k) {
            const doubles factor = splat(a[k * step]);
            each<n>(SPIKEWRIGHT_EACH(p) {
                sums[p] = sums[p] + factor * load<doubles>(b + k * pitch + p * kDoubles);
            });
        }
        each<n - 1>(SPIKEWRIGHT_EACH(p) { store(to + p * kDoubles, sums[p]); });
        store_some(to + (n - 1) * kDoubles, last, sums[n - 1]);
    }
}

// `to` = a b, with axes that change places first.
inline void multiply(const FunctionKernel& f, const double* a, const double* b, double* to, FunctionWorkspace& room) {
    const std::size_t inner = f.inner, columns = f.columns, pitch = rounded_up(columns, kDoubles);
    if (f.transpose_b || pitch > columns) {
        room.turned.resize(inner * pitch);
        const std::size_t row = f.transpose_b ? 1 : columns, column = f.transpose_b ? inner : 1;
        for (std::size_t k = 0; k < inner; ++k)
            for (std::size_t j = 0; j < columns; ++j) room.turned[k * pitch + j] = b[k * row + j * column];
        b = room.turned.data();
    }
    constexpr std::size_t together = 6;
    for (std::size_t j = 0; j < columns; j += together * kDoubles) {
        const std::size_t left = columns - j, vectors = std::min(together, (left + kDoubles - 1) / kDoubles);
        each<together>(SPIKEWRIGHT_EACH(n) {
            if (vectors == n + 1) multiply_columns<n + 1>(f, a, b + j, pitch, std::min(left - n * kDoubles, kDoubles), to + j);
        });
    }
}

inline void compute(const FunctionKernel& f, const double* x, double* to, FunctionWorkspace& room) {
    if (f.kind == FunctionKind::softmax) return softmax(f, x, to, room);
    if (f.kind == FunctionKind::product) {
        const std::size_t each = f.rows * f.columns;
        for (std::size_t i = 0; i < f.first.size(); ++i)
            multiply(f, x + f.first[i], x + f.second[i], to + i * each, room);
        return;
    }
    for (std::size_t i = 0; i < f.rows; ++i, x += f.inner, to += f.inner) normalise_line(f, x, to, room);
}

// Of present values; or t f(X / t) less what was sent, X the running sums, which are kept with what was sent and
// whether it is `f` of them. Of what comes once t stays, so that nothing is sent where nothing comes.
inline void run_function(const Context& c, const Instruction& op) {
    const FunctionKernel& f = *op.function;
    const std::size_t size = c.size(op.input), out = c.size(op.output);
    FunctionWorkspace room;
    room.ones.assign(f.inner, 1.0);
    Values read(c, op.input);
    if (op.memories.empty())
        return each_step(c, [&](std::size_t s, std::size_t t) {
            compute(f, read(s, t), c.values(op.output, s, t), room);
        });
    Array<double> means(size), last(size + out + 1);
    const Share share = c.share(c.samples);
    for (std::size_t s = share.begin; s < share.end; ++s) {
        // A memory's values, where they are from now on: in no memory where no step follows.
        const auto held = [&](std::size_t number, std::size_t at, std::size_t n) {
            const auto memory = c.memory(op.memories[number], s);
            double* to = c.last() ? last.data() + at : memory.to;
            if (memory.from != to) std::copy_n(memory.from, n, to);
            return to;
        };
        double *sums = held(0, 0, size), *sent = held(1, size, out), *known = held(2, size + out, 1);
        int exponent = 0;
        for (std::size_t t = 0; t < c.steps; ++t) {
            const double* x = read(s, t);
            double* to = c.values(op.output, s, t);
            if (known[0] != 0.0 && std::all_of(x, x + size, [](double v) { return v == 0.0; })) {
                std::fill_n(to, out, 0.0);
                continue;
            }
            const double over = f.once > 0.0 ? f.once : double(c.job->first + c.first_step + t + 1);
            const double inverse = 1.0 / over;
            const bool exact = std::frexp(over, &exponent) == 0.5;  // products with the inverse are
            for (std::size_t k = 0; k < size; ++k) {
                sums[k] = sums[k] + x[k];
                means[k] = exact ? sums[k] * inverse : sums[k] / over;
            }
            compute(f, means.data(), to, room);
            for (std::size_t k = 0; k < out; ++k) {
                const double value = over * to[k], reached = std::fabs(value) <= kMostFinite ? value : sent[k];
                to[k] = reached - sent[k];
                sent[k] = reached;
            }
            known[0] = f.once > 0.0 ? 1.0 : 0.0;
        }
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
