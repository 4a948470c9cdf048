// Weights that change from step to step. As they are applied they lie on a grid, row by row, so that
// sums over spikes or limbs are exact; weights of silent neurons are not read.
#pragma once

#include "limbs.hpp"
#include "readout.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// A step's input: neurons that spike and how often, or limbs of values.
class Sent {
  public:
    Sent(const Context& c, const Instruction& op, std::size_t sample)
        : c_(c), op_(op), sample_(sample), spikes_(are_bytes(c, op.input)), values_(c, op.input) {}

    void read(std::size_t t) {
        const Weights& w = *op_.weights;
        if (spikes_) {
            const std::int8_t* counts = c_.counts(op_.input, sample_, t);
            which_.clear(), often_.clear();
            each_event(counts, w.in, [&](std::size_t k, double count) {
                which_.push_back(k), often_.push_back(count);
            });
            return;
        }
        split(values_(sample_, t), 1, w.in, w.limbs, frame_,
              extent_elsewhere(c_, op_.input, sample_, t));
    }

    // The sum of a row whose largest magnitude is known, the weights on the grid.
    double times(const double* row, double largest) const {
        const double step = limb_step(largest, op_.weights->weight_bits);
        return op_.weights->limbs.weights == 1 ? times<1>(row, step) : times<2>(row, step);
    }

  private:
    template <int limbs>
    double times(const double* row, double step) const {
        if (spikes_)
            return sum<limbs>(row, step, 0.0, which_.data(), often_.data(), which_.size());
        double total = 0.0;
        for (int l = 0; l < frame_.limbs; ++l)
            total = sum<limbs>(row, step, total, frame_.codes.data(), frame_.parts[l].data(),
                               frame_.offsets[1]);
        return total;
    }

    // `total` and the `n` inputs at `codes` times their weights, limb by limb.
    template <int limbs, class Code>
    static double sum(const double* row, double step, double total, const Code* codes,
                      const double* inputs, std::size_t n) {
        const double inverse = 1.0 / step;
        double high = 0.0, low = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            const double weight = row[codes[i]] * inverse, whole = nearest(weight);
            high += whole * inputs[i];
            if constexpr (limbs == 2) low += nearest((weight - whole) * kLimb) * inputs[i];
        }
        total += high * step;
        return limbs == 1 ? total : total + low * (step / kLimb);
    }

    const Context& c_;
    const Instruction& op_;
    std::size_t sample_;
    bool spikes_;  // they all fit bytes
    Values values_;
    std::vector<std::size_t> which_;
    std::vector<double> often_;
    Split frame_;
};

// The change of one row by one rule.
class RowRule {
  public:
    RowRule() = default;
    RowRule(const Context& c, const Learning& r, std::size_t s, std::size_t t, std::size_t o,
            double unit)
        : rule_(r.rule), unit_(unit), senders_(c.values(r.senders, s, t)) {
        const double a = c.values(r.receivers, s, t)[o];
        if (rule_ == Rule::outer) {
            grow_ = r.first * a;
            if (r.theta >= 0) grow_ = grow_ * (a - c.values(r.theta, s, t)[o]);
        } else if (rule_ == Rule::oja) {
            grow_ = r.first * a;
            forget_ = r.first * r.second * a * a;
        } else {
            grow_ = r.first * c.values(r.signal, s, t)[0] * a;
            forget_ = r.scale[o];
        }
        if (r.delta >= 0) delta_ = c.values(r.delta, s, t) + o * c.size(r.senders);
    }

    doubles delta(std::size_t k, doubles weights, std::size_t n) {
        const doubles b = load<doubles>(senders_ + k);
        doubles made = grow_ * b;
        if (rule_ == Rule::oja) made = made - forget_ * (weights * unit_);
        if (rule_ == Rule::voja) made = grow_ * (forget_ * b - weights * unit_);
        if (delta_) store_some(delta_ + k, n - k, made);
        return made;
    }

  private:
    Rule rule_ = Rule::outer;
    double unit_ = 1.0, grow_ = 0.0, forget_ = 0.0;
    const double* senders_ = nullptr;
    double* delta_ = nullptr;
};

// One row at the end of a step; returns its largest magnitude then.
inline double learn_row(const Context& c, const Weights& w, std::size_t s, std::size_t t,
                        std::size_t o, const double* from, double* to) {
    const double unit = w.unit.empty() ? 1.0 : w.unit[o];
    RowRule rules[kMostRules];
    std::size_t n = 0;
    for (const Learning& r : w.rules) rules[n++] = RowRule(c, r, s, t, o, unit);
    doubles largest{};
    for (std::size_t k = 0; k < w.in; k += kDoubles) {
        const doubles before = load_some(from + k, w.in - k);  // the next row may be written
        doubles change{};
        for (std::size_t i = 0; i < n; ++i) {
            const doubles made = rules[i].delta(k, before, w.in);
            change = i ? change + made : made;
        }
        if (!w.unit.empty()) change = unit != 0.0 ? change / unit : doubles{};
        doubles after = n ? before + change : before;
        store_some(to + k, w.in - k, after);
        for (std::size_t i = w.in - k; i < kDoubles; ++i) after[i] = 0.0;
        const doubles magnitude = after < 0.0 ? -after : after;
        largest = magnitude > largest ? magnitude : largest;
    }
    double most = 0.0;
    for (std::size_t i = 0; i < kDoubles; ++i) most = largest[i] > most ? largest[i] : most;
    return most;
}

// Steps one after the other, rows shared: each answers, learns, or both.
template <bool responds, bool learns>
inline void run_learned(const Context& c, const Instruction& op) {
    const Weights& w = *op.weights;
    const Share share = c.share(w.out);
    for (std::size_t s = 0; s < c.samples; ++s) {
        const auto held = c.memory(w.weights, s), largest = c.memory(w.largest, s);
        Sent sent(c, op, s);
        for (std::size_t t = 0; t < c.steps; ++t) {
            const double* rows = t ? held.to : held.from;
            const double* most = t ? largest.to : largest.from;
            if constexpr (responds) sent.read(t);
            for (std::size_t o = share.begin; o < share.end; ++o) {
                const double* row = rows + o * w.in;
                if constexpr (responds) {
                    c.values(op.output, s, t)[o] = sent.times(row, most[o]) * w.factor;
                    if (w.recorded >= 0)
                        std::memcpy(c.values(w.recorded, s, t) + o * w.in, row,
                                    w.in * sizeof(double));
                }
                if constexpr (learns)
                    largest.to[o] = learn_row(c, w, s, t, o, row, held.to + o * w.in);
            }
        }
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
