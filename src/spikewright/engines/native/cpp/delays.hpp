// Delays: a signal waits in a memory of one row a step. In a loop the row of a step is released at its
// start, and the step's own values are kept there at its end.
#pragma once

#include "filters.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

inline void release(const Context& c, const Instruction& op, std::size_t s, std::size_t t, std::size_t at,
                    const double* from, std::size_t n) {
    if (c.kind(op.output) == Kind::counts)
        put(c, op.output, s, t, at, from, n);
    else
        std::memcpy(c.values(op.output, s, t) + at, from, n * sizeof(double));
}

template <bool releases, bool keeps>
inline void run_delay(const Context& c, const Instruction& op) {
    const Delaying& d = *op.delay;
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
