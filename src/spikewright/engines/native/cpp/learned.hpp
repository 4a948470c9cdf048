// Weights that change from step to step. As they are applied they lie on a grid, row by row, so that
// sums over spikes or limbs are exact; weights of silent neurons are not read.
#pragma once

#include "limbs.hpp"
#include "readout.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// A step's input in limbs, as many as there are values beside zero: neurons that spike and how often, few
// values at their places, or, where most are not zero, all of them.
class Sent {
  public:
    Sent(const Context& c, const Instruction& op, std::size_t sample)
        : c_(c), op_(op), sample_(sample), spikes_(are_bytes(c, op.input)), values_(c, op.input) {}

    void read(std::size_t t) {
        const Weights& w = *op_.weights;
        if (spikes_)
            list(c_.counts(op_.input, sample_, t), w.in);
        else
            take(values_(sample_, t), w, extent_elsewhere(c_, op_.input, sample_, t));
        for (int l = 0; l < frame_.limbs; ++l) std::fill_n(frame_.parts[l].data() + used_, kDoubles, 0.0);
        if (!all_) std::fill_n(frame_.codes.data() + used_, kDoubles, 0);
    }

    // The sum of a row whose largest magnitude is known, the weights on the grid.
    double times(const double* row, double largest) const {
        if (frame_.limbs == 0) return 0.0;
        const double step = limb_step(largest, op_.weights->weight_bits);
        if (op_.weights->limbs.weights == 1) return all_ ? sum<1, true>(row, step) : sum<1, false>(row, step);
        return all_ ? sum<2, true>(row, step) : sum<2, false>(row, step);
    }

  private:
    void list(const std::int8_t* counts, std::size_t n) {
        frame_.codes.reserve(n + kLine, 0);
        frame_.reserve(n, 1);
        used_ = 0;
        each_event(counts, n, [&](std::size_t k, double count) {
            frame_.codes[used_] = std::uint32_t(k);
            frame_.parts[0][used_++] = count;
        });
        frame_.limbs = used_ > 0;
    }

    void take(const double* values, const Weights& w, const Extent& extent) {
        all_ = 2 * std::size_t(std::count(values, values + w.in, 0.0)) < w.in;
        if (all_)
            split_dense(values, w.in, w.limbs, frame_, extent);
        else
            split(values, 1, w.in, w.limbs, frame_, extent);
        used_ = all_ ? w.in : frame_.offsets[1];
    }

    // Every weight is read once for all limbs of its input, the sums of which are exact in any order.
    template <std::size_t limbs, bool all, std::size_t parts = 1>
    double sum(const double* row, double step) const {
        if constexpr (parts < kMostLimbs)
            if (std::size_t(frame_.limbs) > parts) return sum<limbs, all, parts + 1>(row, step);
        const doubles inverse = splat(1.0 / step);
        doubles high[parts], low[parts];
        each<parts>(SPIKEWRIGHT_EACH(p) { high[p] = low[p] = doubles{}; });
        for (std::size_t i = 0; i < used_; i += kDoubles) {
            const doubles read = all ? load_some(row + i, used_ - i) : gathered(row, frame_.codes.data() + i);
            const doubles weight = read * inverse, whole = nearest(weight), rest = nearest((weight - whole) * kLimb);
            each<parts>(SPIKEWRIGHT_EACH(p) {
                const doubles input = load<doubles>(frame_.parts[p].data() + i);
                high[p] = add_exact_product(high[p], whole, input);
                if constexpr (limbs == 2) low[p] = add_exact_product(low[p], rest, input);
            });
        }
        double total = 0.0;
        each<parts>(SPIKEWRIGHT_EACH(p) {
            total += sum_of(high[p], used_) * step;
            if constexpr (limbs == 2) total += sum_of(low[p], used_) * (step / kLimb);
        });
        return total;
    }

    const Context& c_;
    const Instruction& op_;
    std::size_t sample_;
    bool spikes_;       // they all fit bytes
    bool all_ = false;  // values, zeros too
    Values values_;
    std::size_t used_ = 0;
    Split frame_;
};

// The change of one row by one rule.
class RowRule {
  public:
    RowRule() = default;
    RowRule(const Context& c, const RuleOp& r, std::size_t s, std::size_t t, std::size_t o,
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
        if (r.delta >= 0 && c.is_sampled(t, r.every)) delta_ = c.values(r.delta, s, t) + o * c.size(r.senders);
    }

    // f of the rule as a constant.
    template <class F>
    [[gnu::always_inline]] auto by_rule(F&& f) const {
        if (rule_ == Rule::oja) return f(std::integral_constant<Rule, Rule::oja>{});
        if (rule_ == Rule::voja) return f(std::integral_constant<Rule, Rule::voja>{});
        return f(std::integral_constant<Rule, Rule::outer>{});
    }

    template <Rule rule>
    [[gnu::always_inline]] doubles delta(std::size_t k, doubles weights, std::size_t n) const {
        const doubles b = load<doubles>(senders_ + k);
        doubles made = grow_ * b;
        if constexpr (rule == Rule::oja) made = made - forget_ * (weights * unit_);
        if constexpr (rule == Rule::voja) made = grow_ * (forget_ * b - weights * unit_);
        if (delta_) store_some(delta_ + k, n - k, made);
        return made;
    }

    doubles delta(std::size_t k, doubles weights, std::size_t n) const {
        return by_rule(SPIKEWRIGHT_EACH(rule) { return delta<rule>(k, weights, n); });
    }

  private:
    Rule rule_ = Rule::outer;
    double unit_ = 1.0, grow_ = 0.0, forget_ = 0.0;
    const double* senders_ = nullptr;
    double* delta_ = nullptr;
};

// Adds `change(k, weights)` to a row of n weights, from weight k on; returns its largest magnitude then.
template <class F>
[[gnu::always_inline]] inline double add_to_row(const double* from, double* to, std::size_t n, F&& change) {
    constexpr std::size_t together = 4;
    doubles largest[together];
    each<together>(SPIKEWRIGHT_EACH(i) { largest[i] = doubles{}; });
    std::size_t k = 0;
    for (; k + together * kDoubles <= n; k += together * kDoubles)
        each<together>(SPIKEWRIGHT_EACH(i) {
            const std::size_t at = k + i * kDoubles;
            const doubles before = load<doubles>(from + at), after = before + change(at, before);
            store(to + at, after);
            largest[i] = larger_of(magnitude_of(after), largest[i]);
        });
    for (; k < n; k += kDoubles) {
        const doubles before = load_some(from + k, n - k);  // the next row may be written
        doubles after = before + change(k, before);
        store_some(to + k, n - k, after);
        for (std::size_t i = n - k; i < kDoubles; ++i) after[i] = 0.0;
        largest[0] = larger_of(magnitude_of(after), largest[0]);
    }
    each<together - 1>(SPIKEWRIGHT_EACH(i) { largest[0] = larger_of(largest[i + 1], largest[0]); });
    double most = 0.0;
    for (std::size_t j = 0; j < std::min(n, kDoubles); ++j) most = largest[0][j] > most ? largest[0][j] : most;
    return most;
}

// One row at the end of a step; returns its largest magnitude then.
inline double learn_row(const Context& c, const Weights& w, std::size_t s, std::size_t t,
                        std::size_t o, const double* from, double* to) {
    const double unit = w.unit.empty() ? 1.0 : w.unit[o];
    const std::size_t in = w.in;
    if (w.rules.size() == 1 && w.unit.empty()) {
        const RowRule only(c, w.rules[0], s, t, o, unit);
        return only.by_rule([=](auto rule) __attribute__((always_inline)) {
            return add_to_row(from, to, in, [=](std::size_t k, doubles weights) __attribute__((always_inline)) {
                return only.delta<rule>(k, weights, in);
            });
        });
    }
    RowRule rules[kMostRules];
    std::size_t n = 0;
    for (const RuleOp& r : w.rules) rules[n++] = RowRule(c, r, s, t, o, unit);
    return add_to_row(from, to, in, [&](std::size_t k, doubles weights) {
        doubles change = rules[0].delta(k, weights, in);
        for (std::size_t i = 1; i < n; ++i) change += rules[i].delta(k, weights, in);
        if (!w.unit.empty()) change = unit != 0.0 ? change / unit : doubles{};
        return change;
    });
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
                    if (w.recorded >= 0 && c.is_sampled(t, w.every))
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
