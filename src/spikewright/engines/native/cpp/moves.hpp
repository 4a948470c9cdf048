// Signals that are pooled, added, reordered, and what enters and leaves a region.
#pragma once

#include "context.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Members of a team share the steps of all samples.
template <class F>
inline void each_step(const Context& c, F&& f) {
    const Share share = c.share(c.samples * c.steps);
    for (std::size_t i = share.begin; i < share.end; ++i) f(i / c.steps, i % c.steps);
}

inline bool fits(std::int32_t count) { return count <= kMostCounts && count >= -kMostCounts; }

// The largest magnitude.
inline std::uint8_t largest(const std::int8_t* from, std::size_t size) {
    octets most{};
    std::size_t i = 0;
    for (; i + kBytes <= size; i += kBytes) {
        const octets v = load<octets>(from + i), negated = octets{} - v;
        const octets magnitude = v < negated ? v : negated;
        most = magnitude > most ? magnitude : most;
    }
    std::uint8_t result = 0;
    for (std::size_t k = 0; k < kBytes; ++k) result = most[k] > result ? most[k] : result;
    for (; i < size; ++i) {
        const auto magnitude = std::uint8_t(from[i] < 0 ? -from[i] : from[i]);
        result = magnitude > result ? magnitude : result;
    }
    return result;
}

// Sums of a window's counts. Bytes hold them where the largest count times the taps fits.
inline bool pool_frame(const Pool& p, const std::int8_t* from, std::int8_t* to, bool small) {
    const std::size_t channels = std::size_t(p.channels);
    std::vector<std::int32_t> wide(small ? 0 : channels);
    for (std::int64_t oy = 0; oy < p.out_height; ++oy)
        for (std::int64_t ox = 0; ox < p.out_width; ++ox, to += channels) {
            if (small)
                std::memset(to, 0, channels);
            else
                wide.assign(channels, 0);
            for (std::int64_t ky = 0; ky < p.size_y; ++ky)
                for (std::int64_t kx = 0; kx < p.size_x; ++kx) {
                    const std::int64_t y = oy * p.stride_y - p.pad_y + ky * p.dilation_y;
                    const std::int64_t x = ox * p.stride_x - p.pad_x + kx * p.dilation_x;
                    if (y < 0 || y >= p.height || x < 0 || x >= p.width) continue;
                    const std::int8_t* pixel = from + std::size_t(y * p.width + x) * channels;
                    if (small)
                        for (std::size_t i = 0; i < channels; ++i)
                            to[i] = std::int8_t(to[i] + pixel[i]);
                    else
                        for (std::size_t i = 0; i < channels; ++i) wide[i] += pixel[i];
                }
            if (small) continue;
            for (std::size_t i = 0; i < channels; ++i) {
                if (!fits(wide[i])) return false;
                to[i] = std::int8_t(wide[i]);
            }
        }
    return true;
}

inline void run_pool(const Context& c, const Instruction& op) {
    const Pool& p = *op.pool;
    const std::size_t size = std::size_t(p.height * p.width * p.channels);
    each_step(c, [&](std::size_t s, std::size_t t) {
        const std::int8_t* from = c.counts(op.input, s, t);
        const bool small = largest(from, size) * p.size_y * p.size_x <= 127;
        if (!pool_frame(p, from, c.counts(op.output, s, t), small)) c.too_many_spikes();
    });
}

template <class T>
inline void copy_runs(const std::vector<Run>& runs, const T* from, T* to) {
    for (const Run& r : runs) std::memcpy(to + r.to, from + r.from, r.count * sizeof(T));
}

template <class T>
inline void take_signal(const Context& c, const Instruction& op) {
    each_step(c, [&](std::size_t s, std::size_t t) {
        const T* from = c.at<T>(op.input, s, t);
        T* to = c.at<T>(op.output, s, t);
        if (!op.runs.empty()) return copy_runs(op.runs, from, to);
        for (std::size_t k = 0; k < op.index.size(); ++k) to[k] = from[op.index[k]];
    });
}

inline void run_take(const Context& c, const Instruction& op) {
    if (c.kind(op.output) == Kind::counts)
        take_signal<std::int8_t>(c, op);
    else
        take_signal<double>(c, op);
}

// The input's values at places of the output, which is zero elsewhere.
template <class T>
inline void put_signal(const Context& c, const Instruction& op) {
    each_step(c, [&](std::size_t s, std::size_t t) {
        const T* from = c.at<T>(op.input, s, t);
        T* to = c.at<T>(op.output, s, t);
        if (!op.runs.empty() && !op.plus) return copy_runs(op.runs, from, to);
        for (std::size_t k = 0; k < op.index.size(); ++k)
            to[op.index[k]] = op.plus ? T(from[k] + T(0)) : from[k];  // -0 becomes 0
    });
}

inline void run_put(const Context& c, const Instruction& op) {
    if (c.kind(op.output) == Kind::counts)
        put_signal<std::int8_t>(c, op);
    else
        put_signal<double>(c, op);
}

// Sums of counts that stay counts.
inline void run_add(const Context& c, const Instruction& op) {
    const std::size_t size = c.job->plan->buffers[std::size_t(op.output)].size;
    each_step(c, [&](std::size_t s, std::size_t t) {
        std::int8_t* to = c.counts(op.output, s, t);
        std::int32_t most = 0;
        for (std::size_t k = 0; k < size; ++k) {
            std::int32_t sum = 0;
            for (const Operand& term : op.operands) {
                const std::int8_t* from = c.counts(term.source, s, t);
                sum += from[term.index.empty() ? k : std::size_t(term.index[k])];
            }
            const std::int32_t magnitude = sum < 0 ? -sum : sum;
            most = magnitude > most ? magnitude : most;
            to[k] = std::int8_t(sum);
        }
        if (!fits(most)) c.too_many_spikes();
    });
}

template <class T, class F>
inline void each_term(const T* from, const Index& index, std::size_t size, F&& f) {
    if (index.empty())
        for (std::size_t k = 0; k < size; ++k) f(k, double(from[k]));
    else
        for (std::size_t k = 0; k < size; ++k) f(k, double(from[index[k]]));
}

template <class F>
inline void each_value(const Context& c, const Operand& term, std::size_t s, std::size_t t,
                       std::size_t size, F&& f) {
    const auto source = std::size_t(term.source);
    if (term.external)
        each_term(c.input<double>(source, s, t), term.index, size, f);
    else if (c.job->plan->buffers[source].kind == Kind::values)
        each_term(c.values(term.source, s, t), term.index, size, f);
    else
        each_term(c.counts(term.source, s, t), term.index, size,
                  [&](std::size_t k, double x) { f(k, x * term.factor); });
}

// gain * (x_1 + x_2 + ...) + bias, in the order of the terms.
inline void run_sum(const Context& c, const Instruction& op) {
    const std::size_t size = c.job->plan->buffers[std::size_t(op.output)].size;
    each_step(c, [&](std::size_t s, std::size_t t) {
        double* to = c.values(op.output, s, t);
        bool first = true;
        for (const Operand& term : op.operands) {
            if (first)
                each_value(c, term, s, t, size, [&](std::size_t k, double x) { to[k] = x; });
            else
                each_value(c, term, s, t, size, [&](std::size_t k, double x) { to[k] += x; });
            first = false;
        }
        if (op.has_gain)
            for (std::size_t k = 0; k < size; ++k) to[k] *= op.gain.values[k];
        if (op.has_bias)
            for (std::size_t k = 0; k < size; ++k) to[k] += op.bias.values[k];
    });
}

template <class T>
inline void load_signal(const Context& c, const Instruction& op) {
    const std::size_t size = c.size(op.output);
    each_step(c, [&](std::size_t s, std::size_t t) {
        const T* from = c.input<T>(std::size_t(op.input), s, t);
        T* to = c.at<T>(op.output, s, t);
        if (op.index.empty())
            std::memcpy(to, from, size * sizeof(T));
        else
            for (std::size_t k = 0; k < size; ++k) to[k] = from[op.index[k]];
    });
}

inline void run_load(const Context& c, const Instruction& op) {
    if (c.kind(op.output) == Kind::counts)
        load_signal<std::int8_t>(c, op);
    else
        load_signal<double>(c, op);
}

template <class T>
inline void store_signal(const Context& c, const Instruction& op) {
    const Output& out = c.job->outputs[std::size_t(op.output)];
    each_step(c, [&](std::size_t s, std::size_t t) {
        const T* from = c.at<T>(op.input, s, t);
        const std::size_t row = (c.first_sample + s) * c.job->steps + c.first_step + t;
        T* to = static_cast<T*>(out.data) + row * out.size;
        if (op.index.empty())
            std::memcpy(to, from, out.size * sizeof(T));
        else
            for (std::size_t k = 0; k < out.size; ++k) to[k] = from[op.index[k]];
    });
}

inline void run_store(const Context& c, const Instruction& op) {
    if (c.job->outputs[std::size_t(op.output)].kind == Kind::counts)
        store_signal<std::int8_t>(c, op);
    else
        store_signal<double>(c, op);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
