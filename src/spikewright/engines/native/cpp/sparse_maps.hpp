// Sparse matrices by row, which add their entries in the given order, and matrices along one axis,
// mostly of few entries a row, as interpolation has: elementwise over all that lies behind the axis,
// values in limbs.
#pragma once

#include "limbs.hpp"
#include "layout_ops.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

inline void run_sparse(const Context& c, const Instruction& op) {
    const SparseRows& m = *op.sparse;
    const Share share = c.share(m.starts.size() - 1);
    by_reading(c, op.input, [&](auto&& read) {
        for (std::size_t s = 0; s < c.samples; ++s)
            for (std::size_t t = 0; t < c.steps; ++t) {
                const auto* from = read(s, t);
                double* to = c.values(op.output, s, t);
                for (std::size_t row = share.begin; row < share.end; ++row) {
                    double sum = 0.0;
                    for (std::int64_t i = m.starts[row]; i < m.starts[row + 1]; ++i)
                        sum += m.values[std::size_t(i)] * double(from[m.columns[std::size_t(i)]]);
                    to[row] = m.factor == 1.0 ? sum : sum * m.factor;
                }
            }
    });
}

// to = the sum of one row's entries, or their second limbs, times the lines of `from`.
template <class T>
inline void add_lines(const SparseRows& m, const std::vector<double>& values, std::size_t row,
                      const T* from, std::size_t inner, double* to) {
    std::fill_n(to, inner, 0.0);
    for (auto i = std::size_t(m.starts[row]); i < std::size_t(m.starts[row + 1]); ++i) {
        const T* line = from + std::size_t(m.columns[i]) * inner;
        const double weight = values[i];
        for (std::size_t k = 0; k < inner; ++k) to[k] += weight * double(line[k]);
    }
}

// Adds to each line of a frame's sums: remainders of values times weights, then residuals of weights times
// values, each in a sum of its own (`compensation.hpp`).
inline void compensate_frame(const AxisRows& m, const double* from, const Split& frame, double* to) {
    const std::size_t size = m.outer * m.axis * m.inner;
    std::vector<double> rest(size), line(m.inner), whole(m.values);
    for (std::size_t i = 0; i < frame.remainders.size(); ++i) rest[frame.remainder_codes[i]] = frame.remainders[i];
    for (std::size_t i = 0; i < m.low.size(); ++i) whole[i] += m.low[i];
    const auto add = [&](const SparseRows& rows, const std::vector<double>& values, const double* x, double* sums) {
        for (std::size_t row = 0; row < m.out; ++row) {
            if (rows.starts[row] == rows.starts[row + 1]) continue;
            add_lines(rows, values, row, x, m.inner, line.data());
            for (std::size_t k = 0; k < m.inner; ++k) sums[row * m.inner + k] += line[k];
        }
    };
    for (std::size_t o = 0; o < m.outer; ++o) {
        const std::size_t at = o * m.axis * m.inner;
        double* sums = to + o * m.out * m.inner;
        if (!frame.remainders.empty()) add(m, whole, rest.data() + at, sums);
        if (!m.residuals.values.empty()) add(m.residuals, m.residuals.values, from + at, sums);
    }
}

template <class T>
inline void map_frame(const AxisRows& m, const T* from, double* to, bool adds, double* line) {
    for (std::size_t o = 0; o < m.outer; ++o)
        for (std::size_t row = 0; row < m.out; ++row) {
            double* at = to + (o * m.out + row) * m.inner;
            const T* lines = from + o * m.axis * m.inner;
            const auto add = [&](const std::vector<double>& values, double* sums) {
                add_lines(m, values, row, lines, m.inner, sums);
                if (sums == line)
                    for (std::size_t k = 0; k < m.inner; ++k) at[k] += line[k];
            };
            add(m.values, adds ? line : at);
            if (!m.low.empty()) add(m.low, line);
        }
}

inline void run_axis_map(const Context& c, const Instruction& op) {
    const AxisRows& m = *op.axis_rows;
    const std::size_t size = m.outer * m.axis * m.inner, out = m.outer * m.out * m.inner;
    const bool bytes = are_bytes(c, op.input);
    Values read(c, op.input);
    std::vector<double> line(m.inner);
    Split frame;
    each_step(c, [&](std::size_t s, std::size_t t) {
        double* to = c.values(op.output, s, t);
        if (bytes) {
            map_frame(m, c.counts(op.input, s, t), to, false, line.data());
        } else {
            const double* from = read(s, t);
            split_dense(from, size, m.limbs, frame);
            if (frame.limbs == 0) std::fill_n(to, out, 0.0);
            for (int l = 0; l < frame.limbs; ++l)
                map_frame(m, frame.parts[l].data(), to, l > 0, line.data());
            if (!frame.remainders.empty() || !m.residuals.values.empty())
                compensate_frame(m, from, frame, to);
        }
        if (m.factor != 1.0)
            for (std::size_t k = 0; k < out; ++k) to[k] *= m.factor;
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
