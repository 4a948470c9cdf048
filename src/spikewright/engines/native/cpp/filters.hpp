// DelayedCsc: filters in time, and delays, elementwise over a signal. A filter's output in a step follows from
// earlier steps alone. Operations and their order are those of the reference engine.
#pragma once

#include "stateful_ops.hpp"
#include "count_readers.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Members of a team share the chunks of a signal; f(sample, first, count).
template <class F>
inline void each_chunk(const Context& c, std::size_t size, F&& f) {
    const Share share = c.share((size + kChunk - 1) / kChunk);
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t i = share.begin; i < share.end; ++i) {
            const std::size_t at = i * kChunk;
            f(s, at, size - at < kChunk ? size - at : kChunk);
        }
}

struct FilterChunk {
    double x[kMostOrder][kChunk];
    double y[kChunk];

    void read(const Context& c, const FilterOp& f, std::size_t s, std::size_t at, std::size_t n) {
        for (std::size_t i = 0; i < f.order; ++i) c.fetch(f.states[i], s, at, n, x[i]);
        c.fetch(f.output, s, at, n, y);
    }
    void write(const Context& c, const FilterOp& f, std::size_t s, std::size_t at,
               std::size_t n) const {
        for (std::size_t i = 0; i < f.order; ++i) c.store(f.states[i], s, at, n, x[i]);
        c.store(f.output, s, at, n, y);
    }

    template <class T>
    void absorb(const FilterOp& f, const T* u, std::size_t n) {
        if (f.order == 1 && !f.direct) return absorb_first_order(f, u, n);
        if (!f.direct) advance(f, u, n);
        for (std::size_t k = 0; k < n; ++k) y[k] = 0.0;
        for (std::size_t i = 0; i < f.order; ++i)
            for (std::size_t k = 0; k < n; ++k) y[k] += f.C[i] * x[i][k];
        if (!f.direct) return;
        for (std::size_t k = 0; k < n; ++k) y[k] += f.D * double(u[k]);
        advance(f, u, n);
    }

  private:
    template <class T>
    void absorb_first_order(const FilterOp& f, const T* u, std::size_t n) {
        const double a = f.A[0], b = f.B[0], out = f.C[0];
        if (a != 0.0)
            for (std::size_t k = 0; k < n; ++k) x[0][k] = b * double(u[k]) + a * x[0][k];
        else
            for (std::size_t k = 0; k < n; ++k) x[0][k] = b * double(u[k]);
        for (std::size_t k = 0; k < n; ++k) y[k] = 0.0 + out * x[0][k];
    }

    // Each line of A x + B u, zero entries skipped, in a fixed order.
    template <class T>
    void advance(const FilterOp& f, const T* u, std::size_t n) {
        double next[kMostOrder][kChunk];
        for (std::size_t i = 0; i < f.order; ++i) {
            for (std::size_t k = 0; k < n; ++k) next[i][k] = f.B[i] * double(u[k]);
            for (std::size_t j = 0; j < f.order; ++j) {
                const double a = f.A[i * f.order + j];
                if (a == 0.0) continue;
                for (std::size_t k = 0; k < n; ++k) next[i][k] += a * x[j][k];
            }
        }
        for (std::size_t i = 0; i < f.order; ++i) std::memcpy(x[i], next[i], n * sizeof(double));
    }
};

// When a filter writes its output: before it takes a step's input, behind it, or not at all.
enum class Writes { before, behind, never };

// Sums of a filter whose states are its last inputs: rows of a chunk, the newest last.
class Line {
  public:
    static constexpr std::size_t kTile = 2;  // vectors that are summed side by side

    Line(const Context& c, const FilterOp& f, std::size_t s, std::size_t at, std::size_t n)
        : f_(f), n_(n), stride_(rounded_up(n, kTile * kDoubles)),
          rows_((f.order + c.steps) * stride_), used_(f.order) {
        for (std::size_t i = 0; i < f.order; ++i) c.fetch(f.states[i], s, at, n, row(i));
    }
    void write(const Context& c, std::size_t s, std::size_t at) {
        for (std::size_t i = 0; i < f_.order; ++i) c.store(f_.states[i], s, at, n_, row(i));
    }

    template <class T>
    void absorb(const T* u, double* y) {
        if (!f_.direct) push(u);
        for (std::size_t k = 0; k < stride_; k += kTile * kDoubles) sum(k, y);
        if (!f_.direct) return;
        for (std::size_t k = 0; k < n_; ++k) y[k] += f_.D * double(u[k]);
        push(u);
    }

  private:
    double* row(std::size_t age) { return rows_.data() + (used_ - 1 - age) * stride_; }

    template <class T>
    void push(const T* u) {
        ++used_;
        double* to = row(0);
        for (std::size_t k = 0; k < n_; ++k) to[k] = f_.B[0] * double(u[k]);
    }

    void sum(std::size_t k, double* y) {
        doubles total[kTile] = {};
        const double* from = row(0) + k;
        for (std::size_t i = 0; i < f_.order; ++i, from -= stride_)
            each<kTile>(SPIKEWRIGHT_EACH(j) {
                total[j] += f_.C[i] * load<doubles>(from + j * kDoubles);
            });
        each<kTile>(SPIKEWRIGHT_EACH(j) { store(y + k + j * kDoubles, total[j]); });
    }

    const FilterOp& f_;
    std::size_t n_, stride_;
    Array<double> rows_;
    std::size_t used_;
};

// Runs a filter over a block of time: outside of loops all steps, in a loop the end of one.
inline void run_filter(const Context& c, const Instruction& op, Writes writes) {
    const FilterOp& f = *op.filter;
    by_reading(c, op.input, [&](auto&& read) {
        each_chunk(c, c.size(op.input), [&](std::size_t s, std::size_t at, std::size_t n) {
            const auto run = [&](double* y, auto&& absorb) {
                const auto write = [&](std::size_t t) {
                    std::memcpy(c.values(op.output, s, t) + at, y, n * sizeof(double));
                };
                for (std::size_t t = 0; t < c.steps; ++t) {
                    if (writes == Writes::before) write(t);
                    absorb(read(s, t, at, n));
                    if (writes == Writes::behind) write(t);
                }
            };
            if (f.line) {
                Line line(c, f, s, at, n);
                double y[kChunk + Line::kTile * kDoubles];
                c.fetch(f.output, s, at, n, y);
                run(y, [&](const auto* u) { line.absorb(u, y); });
                line.write(c, s, at);
                c.store(f.output, s, at, n, y);
            } else {
                FilterChunk chunk;
                chunk.read(c, f, s, at, n);
                run(chunk.y, [&](const auto* u) { chunk.absorb(f, u, n); });
                chunk.write(c, f, s, at, n);
            }
        });
    });
}

// One step's output, at its start.
inline void run_emit(const Context& c, const Instruction& op) {
    each_chunk(c, c.size(op.output), [&](std::size_t s, std::size_t at, std::size_t n) {
        c.fetch(op.filter->output, s, at, n, c.values(op.output, s, 0) + at);
    });
}

// Delays: a signal waits in a memory of one row a step. In a loop the row of a step is released at its
// start, and the step's own values are kept there at its end.

inline void release(const Context& c, const Instruction& op, std::size_t s, std::size_t t, std::size_t at,
                    const double* from, std::size_t n) {
    if (c.kind(op.output) == Kind::counts)
        put(c, op.output, s, t, at, from, n);
    else
        std::memcpy(c.values(op.output, s, t) + at, from, n * sizeof(double));
}

template <bool releases, bool keeps>
inline void run_delay(const Context& c, const Instruction& op) {
    const DelayOp& d = *op.delay;
    const std::size_t size = c.size(op.output);
    each_chunk(c, size, [&](std::size_t s, std::size_t at, std::size_t n) {
        const Context::Kept rows = c.memory(d.rows, s);
        if (keeps && rows.from != rows.to)
            for (std::size_t i = 0; i < d.steps; ++i)
                std::memcpy(rows.to + i * size + at, rows.from + i * size + at, n * sizeof(double));
        for (std::size_t t = 0; t < c.steps; ++t) {
            const std::size_t row = (c.job->first + c.first_step + t) % d.steps * size + at;
            if (releases)
                release(c, op, s, t, at, (keeps ? rows.to : rows.from) + row, n);
            if (keeps)
                by_reading(c, op.input, [&](auto&& read) {
                    const auto* from = read(s, t, at, n);
                    for (std::size_t k = 0; k < n; ++k) rows.to[row + k] = double(from[k]);
                });
        }
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
