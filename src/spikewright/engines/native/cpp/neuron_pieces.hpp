// Populations of any type, piece by piece: a function of the current, then an integrator, leaky or quadratic
// neurons, or nothing, in passes that compilers vectorise.
#pragma once

#include <cmath>
#include <limits>

#include "draws.hpp"
#include "equations.hpp"
#include "leaky.hpp"
#include "rates.hpp"
#include "count_readers.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// to = f(from) of n neurons from `at` on.
inline void apply_rate(const PiecewisePopulation& piecewise, const double* from, double* to, std::size_t at, std::size_t n) {
    apply_rate(piecewise.model, piecewise.own, from, to, at, n);
}

// The same times the amplitude of a rate that is integrated.
inline void apply_scaled_rate(const PiecewisePopulation& p, const double* from, double* to, std::size_t at, std::size_t n) {
    apply_rate(p, from, to, at, n);
    if (p.model.amplitude != 1.0)
        for (std::size_t k = 0; k < n; ++k) to[k] *= p.model.amplitude;
}

class NeuronChunk {
  public:
    NeuronChunk(const Context& c, const PiecewisePopulation& piecewise, const Piece& piece, std::size_t sample)
        : c_(c), cells_(piecewise), m_(piecewise.model), piece_(piece), sample_(sample), n_(piece.n),
          threshold_(piecewise.threshold.at(0, piece.at)),
          own_(piecewise.own.values.empty() ? nullptr : piecewise.own.at(0, piece.at)) {
        each_kept([&](std::int32_t memory, double* x) { c.fetch(memory, sample, piece.at, n_, x); });
    }
    void write() {
        each_kept([&](std::int32_t memory, double* x) { c_.store(memory, sample_, piece_.at, n_, x); });
    }
    const double* state(std::size_t i) const { return i == 0 ? v : i == 1 ? second : third; }

    // One step of currents j, to an output.
    void step(const double* j, std::int32_t output, std::size_t t) {
        const double number = double(c_.job->first + c_.first_step + t + 1);
        const bool counts = c_.kind(output) == Kind::counts;
        out = counts ? spikes : c_.values(output, sample_, t) + piece_.at;
        advance(j, number);
        if (counts) put(c_, output, sample_, t, piece_.at, out, n_);
        sum(number);
    }

  private:
    // f(memory, values) for all that is kept of a population.
    template <class F>
    void each_kept(F&& f) {
        f(cells_.voltage, v), f(cells_.second, second), f(cells_.third, third);
        f(cells_.total, total), f(cells_.net, net);
    }

    void advance(const double* j, double number) {
        switch (m_.neuron_kind) {
            case NeuronKind::rate: return apply_rate(cells_, j, out, piece_.at, n_);
            case NeuronKind::integrate:
                if (m_.rate == Rate::identity && m_.amplitude == 1.0) return integrate(j);
                apply_scaled_rate(cells_, j, charge, piece_.at, n_);
                return integrate(charge);
            case NeuronKind::running_mean: return running_mean(j, number);
            case NeuronKind::bipolar: return take_back(j, number);
            case NeuronKind::fixed_point: return count(j);
            case NeuronKind::digits: return say_digit(j, number);
            case NeuronKind::adaptive_rate: return adaptive_rate(j);
            case NeuronKind::quadratic: return quadratic(j);
            case NeuronKind::stochastic:
            case NeuronKind::poisson: return draw(j, number);
            case NeuronKind::grid_leaky:
            case NeuronKind::leaky:
            case NeuronKind::adaptive_leaky: break;  // see leaky.hpp
        }
    }

    void integrate(const double* added) {
        const double most = m_.most_spikes(), least = m_.negative ? -most : 0.0;
        for (std::size_t k = 0; k < n_; ++k) v[k] += added[k];
        if (m_.truncate)
            for (std::size_t k = 0; k < n_; ++k) {  // as many as of the voltage's size
                double size = std::fabs(v[k]);
                const double whole = fire(size, threshold_[k], kTolerance, 0.0, most);
                out[k] = v[k] > 0.0 ? whole : v[k] < 0.0 ? -whole : 0.0 * whole;
                v[k] = v[k] - out[k] * threshold_[k];
            }
        else
            for (std::size_t k = 0; k < n_; ++k) out[k] = fire(v[k], threshold_[k], kTolerance, least, most);
        if (m_.has_floor())
            for (std::size_t k = 0; k < n_; ++k) hold_above(v[k], -m_.floor * threshold_[k]);
    }

    // As `integrate`, in whole numbers.
    void count(const double* current) {
        const double most = m_.most_spikes();
        for (std::size_t k = 0; k < n_; ++k) {
            v[k] = charged(v[k], current[k], own_[k], m_.fixed);
            out[k] = fire_whole(v[k], threshold_[k], most, m_.fixed);
        }
        if (m_.has_floor())
            for (std::size_t k = 0; k < n_; ++k)
                hold_above(v[k], std::floor(-m_.floor * threshold_[k]) + 0.0);  // not -0
    }

    static void hold_above(double& v, double lowest) { v = larger_of(lowest, v); }

    // The value of a step, which counts from 1, in a list for the first steps.
    static double listed(const std::vector<double>& values, double step, double last) {
        return step <= double(values.size()) ? values[std::size_t(step) - 1] : last;
    }
    // The worth of a spike in a step, and spikes that receivers take as sent then.
    double height(double step) const { return step > m_.start ? listed(m_.heights, step - m_.start, 1.0) : 1.0; }
    double taken_as_sent(double step) const { return listed(m_.assumed, step, 0.0); }

    // As `integrate`, but neurons take spikes back, as many as they sent: `second`.
    void take_back(const double* added, double step) {
        const double assumed = taken_as_sent(step), high = height(step);
        const double most = m_.most_spikes() + assumed, least = assumed - m_.most_spikes();
        for (std::size_t k = 0; k < n_; ++k) v[k] += added[k];
        if (m_.heights.empty())
            for (std::size_t k = 0; k < n_; ++k) out[k] = fire_both_ways(v[k], second[k], threshold_[k], least, most);
        else
            for (std::size_t k = 0; k < n_; ++k)
                out[k] = high * fire_of_height(v[k], second[k], threshold_[k], high, least, most);
    }

    // The digit of all that arrived so far, or of a function of it, less what was sent: `second`.
    void say_digit(const double* added, double step) {
        for (std::size_t k = 0; k < n_; ++k) v[k] += added[k];
        const std::size_t own = m_.own(std::size_t(step) - 1);
        if (own == m_.heights.size()) return void(std::fill_n(out, n_, 0.0));
        const double high = m_.heights[own], enough = high * m_.parts[own], scale = double(m_.heights.size());
        const bool follows = m_.responds;
        if (follows) {
            for (std::size_t k = 0; k < n_; ++k) charge[k] = (v[k] + (second[k] - 0.5) * threshold_[k]) / scale;
            apply_scaled_rate(cells_, charge, charge, piece_.at, n_);
            for (std::size_t k = 0; k < n_; ++k) charge[k] = charge[k] * scale - (second[k] - 0.5) * threshold_[k];
        }
        const double* known = follows ? charge : v;
        const double least = follows ? -std::numeric_limits<double>::infinity() : 0.0;
        for (std::size_t k = 0; k < n_; ++k) {
            const double up = known[k] >= (enough + 0.5) * threshold_[k] ? high : 0.0;
            const double down = known[k] < (0.5 - enough) * threshold_[k] && second[k] > least ? high : 0.0;
            out[k] = up - down;
        }
        for (std::size_t k = 0; k < n_; ++k) {
            v[k] = v[k] - out[k] * threshold_[k];
            second[k] += out[k];
        }
    }

    // Charge t f(m_t) - (t - 1) f(m_(t-1)), m_t the running mean: `second` sums currents.
    void running_mean(const double* current, double step) {
        for (std::size_t k = 0; k < n_; ++k) {
            second[k] += current[k];
            charge[k] = second[k] / step;
        }
        apply_scaled_rate(cells_, charge, charge, piece_.at, n_);
        for (std::size_t k = 0; k < n_; ++k) charge[k] = change(third[k], step * charge[k]);
        integrate(charge);
    }

    // Rates of currents less the adaptation, which is `second`.
    void adaptive_rate(const double* j) {
        for (std::size_t k = 0; k < n_; ++k) charge[k] = j[k] - second[k];
        apply_rate(cells_, charge, out, piece_.at, n_);
        for (std::size_t k = 0; k < n_; ++k)
            second[k] = second[k] + m_.adapting * (m_.added * (m_.amplitude * out[k]) - second[k]);
    }

    // Quadratic neurons (Izhikevich 2003); `second` is the recovery.
    void quadratic(const double* j) {
        for (std::size_t k = 0; k < n_; ++k) {
            const double drive = j[k] > -30.0 ? j[k] : -30.0;
            double u = second[k];
            double x = v[k] + m_.pace * (0.04 * v[k] * v[k] + 5.0 * v[k] + 140.0 - u + drive);
            const bool fired = x >= 30.0;
            x = fired ? m_.reset : x;
            u = u + m_.follow * (m_.coupling * x - u);
            v[k] = x;
            second[k] = fired ? u + m_.jump : u;
            out[k] = fired ? 1.0 : 0.0;
        }
    }

    // Spikes drawn at random with the mean |f(J)| / threshold, with the sign of f(J).
    void draw(const double* j, double number) {
        const std::vector<std::int32_t>& places = cells_.draws;
        alignas(kLine) double mean[kChunk + kDoubles] = {}, drawn[kChunk + kDoubles], first[kChunk + kDoubles];
        apply_scaled_rate(cells_, j, charge, piece_.at, n_);
        for (std::size_t k = 0; k < n_; ++k) mean[k] = std::fabs(charge[k]) / threshold_[k];
        const Draws draws(piece_.key, std::uint64_t(number));
        const auto uniform = [&](std::uint64_t index, std::size_t k) {
            double found[kDoubles] = {};
            if (places.empty())
                draws.fill(index, piece_.draw + k, kDoubles, found);
            else
                for (std::size_t i = 0; i < kDoubles && k + i < n_; ++i)
                    found[i] = draws.at(index, std::size_t(places[piece_.at + k + i]));
            return load<doubles>(found);
        };
        if (places.empty()) draws.fill(0, piece_.draw, n_, first);
        const auto one = [&](std::uint64_t index, std::size_t k) {
            return index || !places.empty() ? uniform(index, k) : load<doubles>(first + k);
        };
        if (m_.neuron_kind == NeuronKind::poisson)
            poisson_counts(mean, n_, drawn, one);
        else
            stochastic_counts(mean, n_, drawn, one);
        for (std::size_t k = 0; k < n_; ++k) {
            const double r = charge[k], sign = r > 0.0 ? 1.0 : r < 0.0 ? -1.0 : r == 0.0 ? 0.0 : r;
            out[k] = drawn[k] * sign;
        }
    }

    // Step by step: sums of rates depend on their order.
    void sum(double step) {
        const double high = height(step), assumed = taken_as_sent(step) * high;
        if (cells_.net >= 0)
            for (std::size_t k = 0; k < n_; ++k) net[k] += out[k];
        if (cells_.total < 0) return;
        if (high == 1.0)
            for (std::size_t k = 0; k < n_; ++k) total[k] += std::fabs(out[k] - assumed);
        else
            for (std::size_t k = 0; k < n_; ++k) total[k] += std::fabs(out[k] - assumed) / high;
    }

    const Context& c_;
    const PiecewisePopulation& cells_;
    const NeuronModel& m_;
    const Piece& piece_;
    const std::size_t sample_, n_;
    const double *threshold_, *own_;
    double v[kChunk], second[kChunk], third[kChunk], total[kChunk], net[kChunk];
    double charge[kChunk], spikes[kChunk];
    double* out = spikes;  // of the present step: here, or where the output lies
};

// Runs neurons piece by piece: `NeuronChunk`, or `LeakyChunk` and `GridLeaky`, which write bytes.
template <class Neurons>
inline void run_pieces(const Context& c, const Instruction& op) {
    const PiecewisePopulation& p = *op.piecewise;
    const Share share = c.share(p.pieces.size());
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t i = share.begin; i < share.end; ++i) {
            const Piece& piece = p.pieces[i];
            InputCurrent drive(c, p, piece, s);
            Neurons neurons(c, p, piece, s);
            for (std::size_t t = 0; t < c.steps; ++t) {
                neurons.step(drive.at(t), op.output, t);
                for (std::size_t k = 0; k < 3; ++k)  // what is recorded of the state
                    if (p.recorded[k] >= 0)
                        std::memcpy(c.values(p.recorded[k], s, t) + piece.at, neurons.state(k),
                                    piece.n * sizeof(double));
            }
            neurons.write();
        }
}

inline void run_piecewise(const Context& c, const Instruction& op) {
    const NeuronModel& m = op.piecewise->model;
    switch (m.neuron_kind) {
        case NeuronKind::leaky:
        case NeuronKind::adaptive_leaky:
            return m.differ ? run_pieces<LeakyChunk<true>>(c, op) : run_pieces<LeakyChunk<false>>(c, op);
        case NeuronKind::grid_leaky:
            return m.differ ? run_pieces<GridLeaky<true>>(c, op) : run_pieces<GridLeaky<false>>(c, op);
        default: return run_pieces<NeuronChunk>(c, op);
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
