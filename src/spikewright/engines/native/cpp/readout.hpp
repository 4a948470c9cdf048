// Decoders: few outputs of many neurons, spike by spike. Sums of whole numbers are exact in doubles, so
// no order matters. And values that are added at their places.
#pragma once

#include "count_bytes.hpp"
#include "limbs.hpp"
#include "layout_ops.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// f(neuron, count) for each of n that spikes.
template <class F>
[[gnu::always_inline]] inline void each_event(const std::int8_t* counts, std::size_t n, F&& f) {
    for (std::size_t at = 0; at < n; at += 64) {
        std::uint64_t bits = above(counts + at, 0);
        if (n - at < 64) bits &= (std::uint64_t(1) << (n - at)) - 1;
        for (; bits; bits &= bits - 1) {
            const std::size_t k = at + std::size_t(__builtin_ctzll(bits));
            f(k, double(counts[k]));
        }
    }
}

// Sums of `lines` lines of outputs. Both limbs of a sum are exact, so that it is rounded once.
template <std::size_t lines, std::size_t limbs>
inline void read_out(const Readouts& r, const Readout& m, const std::int8_t* counts, double* to) {
    constexpr std::size_t outputs = lines * kLineValues, row = limbs * outputs, n = row / kDoubles;
    doubles sums[n];
    each<n>(SPIKEWRIGHT_EACH(i) { sums[i] = doubles{}; });
    const double* weights = r.weights.data() + m.weights;
    each_event(counts, m.n, [&](std::size_t k, double count) __attribute__((always_inline)) {
        const double* w = weights + k * row;
        each<n>(SPIKEWRIGHT_EACH(i) {
            sums[i] = add_exact_product(sums[i], splat(count), load<doubles>(w + i * kDoubles));
        });
    });
    double whole[row];
    each<n>(SPIKEWRIGHT_EACH(i) { store(whole + i * kDoubles, sums[i]); });
    for (std::size_t i = 0; i < m.outputs; ++i)
        to[i] = (limbs == 1 ? whole[i] : whole[i] * kLimb + whole[row - outputs + i]) * r.scale[m.to + i];
}

template <std::size_t limbs>
inline void read_out_value(const Readouts& r, const Readout& m, const std::int8_t* counts,
                           double* to) {
    const double* weights = r.weights.data() + m.weights;
    double sum[limbs] = {};
    each_event(counts, m.n, [&](std::size_t k, double count) {
        for (std::size_t l = 0; l < limbs; ++l) sum[l] += count * weights[k * limbs + l];
    });
    *to = (limbs == 1 ? sum[0] : sum[0] * kLimb + sum[limbs - 1]) * r.scale[m.to];
}

// The same of counts of any size, limb by limb.
[[gnu::cold]] inline void read_out_any(const Readouts& r, const Readout& m, const double* counts, double* to) {
    Split frame;
    split_dense(counts, m.n, m.values, frame);
    const std::size_t row = m.outputs == 1 ? 1 : rounded_up(m.outputs, kLineValues);
    for (std::size_t i = 0; i < m.outputs; ++i) {
        double total = 0.0;
        for (std::size_t l = 0; l < std::size_t(frame.limbs) * r.limbs; ++l) {
            const std::size_t high = l % r.limbs;
            const double* weights = r.weights.data() + m.weights + high * row + i;
            double sum = 0.0;
            for (std::size_t k = 0; k < m.n; ++k) sum += frame.parts[l / r.limbs][k] * weights[k * r.limbs * row];
            total += high + 1 < r.limbs ? sum * kLimb : sum;
        }
        to[i] = total * r.scale[m.to + i];
    }
}

template <std::size_t limbs>
inline void read_out_member(const Readouts& r, const Readout& m, const std::int8_t* counts,
                            double* to) {
    if (m.outputs == 1)
        read_out_value<limbs>(r, m, counts, to);
    else if (m.outputs <= kLineValues)
        read_out<1, limbs>(r, m, counts, to);
    else
        read_out<2, limbs>(r, m, counts, to);
}

inline void run_readout(const Context& c, const Instruction& op) {
    const Readouts& r = *op.readouts;
    const Share share = c.share(r.members.size());
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t i = share.begin; i < share.end; ++i) {
            const Readout& m = r.members[i];
            if (c.exceeds(m.source)) {
                Values read(c, m.source);
                for (std::size_t t = 0; t < c.steps; ++t)
                    read_out_any(r, m, read(s, t) + m.from, c.values(op.output, s, t) + m.to);
                continue;
            }
            for (std::size_t t = 0; t < c.steps; ++t) {
                const std::int8_t* counts = c.counts(m.source, s, t) + m.from;
                double* to = c.values(op.output, s, t) + m.to;
                if (r.limbs == 1)
                    read_out_member<1>(r, m, counts, to);
                else
                    read_out_member<2>(r, m, counts, to);
            }
        }
}

inline void run_scatter(const Context& c, const Instruction& op) {
    const Scatter& scatter = *op.scatter;
    each_step(c, [&](std::size_t s, std::size_t t) {
        double* to = c.values(op.output, s, t);
        std::memcpy(to, scatter.start.data(), scatter.start.size() * sizeof(double));
        for (const Added& term : scatter.terms) {
            const double* from = c.values(term.source, s, t);
            for (std::size_t i = 0; i < term.from.size(); ++i) {
                const double* x = from + term.from[i];
                double* y = to + term.to[i];
                for (std::int32_t k = 0; k < term.count[i]; ++k) y[k] += x[k];
            }
        }
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
