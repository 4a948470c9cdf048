// The parts of sums over values that limbs, and weights on the grid, leave out: remainders of values times
// weights on the grid, then residuals of weights times values. They are added one after the other, in the
// order of taps and channels; see `engines/compensation.py`.
#pragma once

#include "layer_task.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// f(code, remainder) for the remainders at places from one on up to another.
template <class F>
inline void each_remainder(const Split& frame, std::size_t begin, std::size_t end, F&& f) {
    const auto& codes = frame.remainder_codes;
    auto at = std::lower_bound(codes.begin(), codes.end(), std::uint32_t(begin));
    for (; at != codes.end() && *at < end; ++at)
        f(std::size_t(*at), frame.remainders[std::size_t(at - codes.begin())]);
}

// A step's sums as doubles, of both limbs of weights together, in units of the last one.
template <std::size_t lanes>
inline double* whole_sums(const LayerTask& task, std::size_t t) {
    double* high = task.scratch.sums.template widened<lanes>(t);
    if (task.op.layer->low.empty()) return high;
    double* low = task.scratch.low.template widened<lanes>(t);
    for (std::size_t k = 0; k < lanes; ++k) low[k] = high[k] * kLimb + low[k], high[k] = 0.0;
    return low;
}

// Weights of a row of lanes times a remainder.
template <std::size_t lanes>
inline double weighed(const LayerTask& task, std::int64_t row, std::size_t k, double remainder) {
    const Layer& l = *task.op.layer;
    const std::size_t at = task.block.offset + std::size_t(row) * lanes + k;
    const double weight = double(l.weights.data()[at]);
    return (l.low.empty() ? weight : weight * kLimb + double(l.low.data()[at])) * remainder;
}

// Remainders of a step's values in the window of a pixel, times weights on the grid.
template <std::size_t lanes>
inline void add_remainders(const LayerTask& task, const Split& frame, std::size_t t) {
    if (frame.remainders.empty()) return;
    const auto channels = std::size_t(task.op.layer->channels);
    const std::size_t channel = task.block.channel, valid = task.valid();
    double sums[lanes] = {};
    for (const Segment& s : task.scratch.segments) {
        if (task.op.action == Action::depthwise) {
            const std::size_t first = s.begin * channels + channel;
            each_remainder(frame, first, first + valid, [&](std::size_t code, double remainder) {
                sums[code - first] += weighed<lanes>(task, s.base, code - first, remainder);
            });
            continue;
        }
        each_remainder(frame, s.begin * channels, s.end * channels, [&](std::size_t code, double remainder) {
            for (std::size_t k = 0; k < lanes; ++k)
                sums[k] += weighed<lanes>(task, std::int64_t(code) + s.base, k, remainder);
        });
    }
    double* to = whole_sums<lanes>(task, t);
    for (std::size_t k = 0; k < lanes; ++k) to[k] += sums[k];
}

// Residuals of weights times the values of some steps of a slab, in the window of a pixel. Terms of a sum are
// added in their order; those of several steps are side by side.
template <std::size_t lanes>
inline void add_residuals(const LayerTask& task, std::size_t pixel, std::size_t t, std::size_t steps) {
    const Layer& l = *task.op.layer;
    const std::size_t first = task.block.channel, behind = first + task.valid();
    auto row = std::ranges::lower_bound(l.residuals.rows, first, {}, &ResidualRow::out);
    if (row == l.residuals.rows.end() || row->out >= behind) return;
    const Track<const double> values = task.context.track<const double>(task.op.input, task.sample);
    const double* from = values[t];
    double* to[kSlab];
    for (std::size_t u = 0; u < steps; ++u) to[u] = whole_sums<lanes>(task, t + u);
    const std::int64_t top = std::int64_t(pixel) / l.out_width * l.stride_y - l.pad_y;
    const std::int64_t left = std::int64_t(pixel) % l.out_width * l.stride_x - l.pad_x;
    for (; row != l.residuals.rows.end() && row->out < behind; ++row) {
        double sums[kSlab] = {};
        for (std::size_t i = row->begin; i < row->end; ++i) {
            const Residual& part = l.residuals.entries[i];
            const std::int64_t y = top + part.down, x = left + part.right;
            if (std::uint64_t(y) >= std::uint64_t(l.height) || std::uint64_t(x) >= std::uint64_t(l.width)) continue;
            const double* at = from + (y * l.width + x) * l.channels + part.channel;
            for (std::size_t u = 0; u < steps; ++u) sums[u] += part.value * at[u * values.stride];
        }
        for (std::size_t u = 0; u < steps; ++u) to[u][row->out - first] += sums[u];
    }
}

// Adds both for some steps of a pixel whose segments are found; for one where there is a `frame`, without which no
// value has a remainder that is added.
template <std::size_t lanes>
inline void compensate(const LayerTask& task, std::size_t pixel, const Split* frame, std::size_t t, std::size_t steps = 1) {
    if (frame) add_remainders<lanes>(task, *frame, t);
    if (!task.op.layer->residuals.rows.empty()) add_residuals<lanes>(task, pixel, t, steps);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
