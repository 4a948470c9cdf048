// Gathers, scatters and sums of signals, and the loads and stores at a region's border.
#pragma once

#include "count_readers.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Members of a team share the steps of all samples.
template <class F>
inline void each_step(const Context& c, F&& f) {
    const Share share = c.share(c.samples * c.steps);
    for (std::size_t i = share.begin; i < share.end; ++i) f(i / c.steps, i % c.steps);
}

inline bool fits(std::int32_t count) { return count <= kMostCounts && count >= -kMostCounts; }

template <class T>
inline void copy_runs(const std::vector<Run>& runs, const T* from, T* to) {
    for (const Run& r : runs) std::memcpy(to + r.to, from + r.from, r.count * sizeof(T));
}

// to[k] = from[index[k]], or from[k] without an index.
template <class T, class U>
inline void pick(const Index& index, const T* from, U* to, std::size_t n) {
    if (index.empty())
        std::copy_n(from, n, to);
    else
        for (std::size_t k = 0; k < n; ++k) to[k] = U(from[index[k]]);
}

inline void run_take(const Context& c, const Instruction& op) {
    const auto take = [&](const auto* from, auto* to) {
        if (!op.runs.empty()) return copy_runs(op.runs, from, to);
        pick(op.index, from, to, op.index.size());
    };
    if (are_bytes(c, op.input))
        return each_step(c, [&](std::size_t s, std::size_t t) {
            take(c.counts(op.input, s, t), c.counts(op.output, s, t));
        });
    Values read(c, op.input);
    each_step(c, [&](std::size_t s, std::size_t t) {
        make_step(c, op.output, s, t, [&](double* to) { take(read(s, t), to); });
    });
}

// Values some steps before they come, all of a run in one block: first the sum of all until then, last zeros.
inline void run_advance(const Context& c, const Instruction& op) {
    const std::size_t size = c.size(op.output), ahead = op.every;
    const bool bytes = are_bytes(c, op.input) && c.kind(op.output) == Kind::counts;
    const auto made = [&](auto&& read) {
        each_step(c, [&](std::size_t s, std::size_t t) {
            const std::size_t begin = t ? t + ahead : 0, end = std::min(t + ahead + 1, c.steps);
            const auto sum = [&](auto* to) {
                std::fill_n(to, size, 0);
                for (std::size_t u = begin; u < end; ++u) {
                    const auto* from = read(s, u);
                    for (std::size_t k = 0; k < size; ++k) to[k] = std::decay_t<decltype(*to)>(to[k] + from[k]);
                }
            };
            int most = 0;
            for (std::size_t u = begin; bytes && u < end; ++u) most += largest(c.counts(op.input, s, u), size);
            if (bytes && most <= kMostCounts) return sum(c.counts(op.output, s, t));
            make_step(c, op.output, s, t, sum);
        });
    };
    by_reading(c, op.input, made);
}

// The input's values at places of the output, which is zero elsewhere.
inline void run_put(const Context& c, const Instruction& op) {
    if (c.exceeds(op.input))
        each_step(c, [&](std::size_t s, std::size_t t) {
            c.each_large(op.input, s, t, [&](std::size_t index, double count) {
                c.keep_large(op.output, s, t, std::size_t(op.index[index]), count);
            });
        });
    by_kind(c.kind(op.output), [&]<class T>(T) {
        each_step(c, [&](std::size_t s, std::size_t t) {
            const T* from = c.at<T>(op.input, s, t);
            T* to = c.at<T>(op.output, s, t);
            if (!op.runs.empty() && !op.plus) return copy_runs(op.runs, from, to);
            for (std::size_t k = 0; k < op.index.size(); ++k)
                to[op.index[k]] = op.plus ? T(from[k] + T(0)) : from[k];  // -0 becomes 0
        });
    });
}

template <class T, class F>
inline void each_term(const T* from, const Index& index, std::size_t size, F&& f) {
    if (index.empty())
        for (std::size_t k = 0; k < size; ++k) f(k, double(from[k]));
    else
        for (std::size_t k = 0; k < size; ++k) f(k, double(from[index[k]]));
}

// Sums of counts, as counts of any size.
inline void add_any(const Context& c, const Instruction& op, std::size_t s, std::size_t t) {
    make_step(c, op.output, s, t, [&](double* to) {
        for (const Operand& term : op.operands) {
            Values read(c, term.source);
            each_term(read(s, t), term.index, c.size(op.output), [&](std::size_t k, double x) { to[k] += x; });
        }
    });
}

// The same that mostly fit their bytes.
inline void run_add(const Context& c, const Instruction& op) {
    const std::size_t size = c.job->plan->buffers[std::size_t(op.output)].size;
    const bool exceeds = std::ranges::any_of(op.operands, [&](const Operand& term) { return c.exceeds(term.source); });
    each_step(c, [&](std::size_t s, std::size_t t) {
        if (exceeds) return add_any(c, op, s, t);
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
        if (!fits(most)) add_any(c, op, s, t);
    });
}

template <class F>
inline void each_value(const Context& c, const Operand& term, std::size_t s, std::size_t t,
                       std::size_t size, F&& f) {
    const auto source = std::size_t(term.source);
    if (term.external)
        each_term(c.input<double>(source, s, t), term.index, size, f);
    else if (c.job->plan->buffers[source].kind == Kind::values)
        each_term(c.values(term.source, s, t), term.index, size, f);
    else if (c.exceeds(term.source))
        each_term(Values(c, term.source)(s, t), term.index, size,
                  [&](std::size_t k, double x) { f(k, x * term.factor); });
    else
        each_term(c.counts(term.source, s, t), term.index, size,
                  [&](std::size_t k, double x) { f(k, x * term.factor); });
}

// Values that are read as they lie; null for others.
inline const double* plain_values(const Context& c, const Operand& term, std::size_t s, std::size_t t) {
    if (!term.index.empty()) return nullptr;
    if (term.external) return c.input<double>(std::size_t(term.source), s, t);
    return c.kind(term.source) == Kind::values ? c.values(term.source, s, t) : nullptr;
}

// The sum of the first terms; how many these are.
inline std::size_t sum_first(const Context& c, const Instruction& op, std::size_t s, std::size_t t,
                             std::size_t size, double* to) {
    const double* a = plain_values(c, op.operands[0], s, t);
    const double* b = op.operands.size() > 1 ? plain_values(c, op.operands[1], s, t) : nullptr;
    if (a && b) {
        for (std::size_t k = 0; k < size; ++k) to[k] = a[k] + b[k];
        return 2;
    }
    each_value(c, op.operands[0], s, t, size, [&](std::size_t k, double x) { to[k] = x; });
    return 1;
}

// gain * (x_1 + x_2 + ...) + bias, in the order of the terms.
inline void run_sum(const Context& c, const Instruction& op) {
    const std::size_t size = c.job->plan->buffers[std::size_t(op.output)].size;
    each_step(c, [&](std::size_t s, std::size_t t) {
        double* to = c.values(op.output, s, t);
        for (std::size_t i = sum_first(c, op, s, t, size, to); i < op.operands.size(); ++i)
            each_value(c, op.operands[i], s, t, size, [&](std::size_t k, double x) { to[k] += x; });
        if (op.has_gain)
            for (std::size_t k = 0; k < size; ++k) to[k] *= op.gain.values[k];
        if (op.has_bias)
            for (std::size_t k = 0; k < size; ++k) to[k] += op.bias.values[k];
    });
}

inline void run_load(const Context& c, const Instruction& op) {
    const auto number = std::size_t(op.input);
    const Input& in = c.job->inputs[number];
    by_number(in.kind == Kind::counts ? Number::int8 : in.number, [&]<class T>(T) {
        each_step(c, [&](std::size_t s, std::size_t t) {
            const T* from = c.input<T>(number, s, t);
            if constexpr (std::is_same_v<T, std::int8_t>)
                if (c.kind(op.output) == Kind::counts) return pick(op.index, from, c.counts(op.output, s, t), c.size(op.output));
            // Of counts, too, that bytes do not hold.
            make_step(c, op.output, s, t, [&](double* to) { pick(op.index, from, to, c.size(op.output)); });
        });
    });
}

// The counts of an output that bytes do not hold. One member does it for all.
[[gnu::cold]] inline void store_large(const Context& c, const Instruction& op) {
    if (c.rank > 0) return;
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t t = 0; t < c.steps; ++t) {
            if (!c.is_sampled(t, op.every)) continue;
            c.each_large(op.input, s, t, [&](std::size_t index, double count) {
                std::size_t place = 0;
                if (op.index.empty()) place = index;
                while (!op.index.empty() && std::size_t(op.index[place]) != index) ++place;
                c.job->state->keep(std::size_t(op.output), {c.first_sample + s, c.first_step + t, place, count});
            });
        }
}

inline void run_store(const Context& c, const Instruction& op) {
    const Output& out = c.job->outputs[std::size_t(op.output)];
    by_kind(out.kind, [&]<class T>(T) {
        each_step(c, [&](std::size_t s, std::size_t t) {
            if (!c.is_sampled(t, op.every)) return;
            const std::size_t row = (c.first_sample + s) * c.job->steps + c.first_step + t;
            T* to = static_cast<T*>(out.data) + row * out.size;
            pick(op.index, c.at<T>(op.input, s, t), to, out.size);
        });
    });
    if (c.exceeds(op.input)) store_large(c, op);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
