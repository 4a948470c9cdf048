// Populations of any type: a function of the current, then an integrator, leaky or quadratic neurons,
// or nothing. Piece by piece, in passes that compilers vectorise.
#pragma once

#include <cmath>
#include <limits>

#include "draws.hpp"
#include "functions.hpp"
#include "leaky.hpp"
#include "neurons.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr double kFarBelow = -20.0;

// to = f(from), lane by lane; nothing behind the last value is written.
template <class F>
[[gnu::always_inline]] inline void each_lane(const double* from, double* to, std::size_t n, F&& f) {
    std::size_t k = 0;
    for (; k + kDoubles <= n; k += kDoubles) store(to + k, f(load<doubles>(from + k)));
    if (k == n) return;
    store_some(to + k, n - k, f(load_some(from + k, n - k)));
}

inline doubles softplus(doubles x) {
    doubles less = x > 0.0 ? -x : x;
    less = less > -700.0 ? less : splat(-700.0);
    return (x > 0.0 ? x : doubles{}) + log1p_of(exp_of(less));
}

// to = f(from) of n neurons from `at` on, in the reference's order of operations.
inline void apply_rate(const Cells& p, const double* from, double* to, std::size_t at,
                       std::size_t n) {
    switch (p.rate) {
        case Rate::identity: std::memcpy(to, from, n * sizeof(double)); break;
        case Rate::rectified:
            for (std::size_t k = 0; k < n; ++k) to[k] = from[k] > 0.0 ? from[k] : 0.0;
            break;
        case Rate::leaky:
            for (std::size_t k = 0; k < n; ++k) to[k] = from[k] >= 0.0 ? from[k] : p.slope * from[k];
            break;
        case Rate::clipped:
            for (std::size_t k = 0; k < n; ++k) {
                const double above = from[k] > 0.0 ? from[k] : 0.0;
                to[k] = above < p.most ? above : p.most;
            }
            break;
        case Rate::sigmoid:
            for (std::size_t k = 0; k < n; ++k) to[k] = 0.5 * from[k];
            tanh_of(to, to, n);
            for (std::size_t k = 0; k < n; ++k) to[k] = (0.5 / p.tau_ref) * (1.0 + to[k]);
            break;
        case Rate::tanh:
            tanh_of(from, to, n);
            for (std::size_t k = 0; k < n; ++k) to[k] = (1.0 / p.tau_ref) * to[k];
            break;
        case Rate::softplus: each_lane(from, to, n, [](doubles x) { return softplus(x); }); break;
        case Rate::lif:
            each_lane(from, to, n, [&](doubles j) {
                const longs above = j > 1.0;
                const doubles period = log1p_of(1.0 / where(above, j - 1.0, splat(1.0)));
                return where(above, 1.0 / (p.tau_ref + p.tau_rc * period), doubles{});
            });
            break;
        case Rate::soft_lif:
            each_lane(from, to, n, [&](doubles current) {
                const doubles j = (current - 1.0) / p.sigma;
                const longs far = j < kFarBelow;  // there the softened excess is exp(j)
                const doubles excess = p.sigma * where(far, splat(1.0), softplus(j));
                const doubles inverse = where(far, -j - p.most, log1p_of(1.0 / excess));
                return 1.0 / (p.tau_ref + p.tau_rc * inverse);
            });
            break;
        case Rate::parametric: {
            const double* slope = p.own.data() + at;
            for (std::size_t k = 0; k < n; ++k) to[k] = from[k] >= 0.0 ? from[k] : slope[k] * from[k];
            break;
        }
    }
}

// The same times the amplitude of a rate that is integrated.
inline void apply_scaled_rate(const Cells& p, const double* from, double* to, std::size_t at,
                              std::size_t n) {
    apply_rate(p, from, to, at, n);
    if (p.amplitude != 1.0)
        for (std::size_t k = 0; k < n; ++k) to[k] *= p.amplitude;
}

struct CellChunk {
    double v[kChunk], second[kChunk], third[kChunk], total[kChunk], net[kChunk];
    double charge[kChunk], spikes[kChunk];
    double* out = spikes;  // of the present step: here, or where the output lies

    const double* state(std::size_t i) const { return i == 0 ? v : i == 1 ? second : third; }

    // f(memory, values) for all that is kept of a population.
    template <class F>
    void each_kept(const Cells& p, F&& f) {
        f(p.voltage, v), f(p.second, second), f(p.third, third), f(p.total, total), f(p.net, net);
    }
    void read(const Context& c, const Cells& p, std::size_t s, const Piece& piece) {
        each_kept(p, [&](std::int32_t m, double* x) { c.fetch(m, s, piece.at, piece.n, x); });
    }
    void write(const Context& c, const Cells& p, std::size_t s, const Piece& piece) {
        each_kept(p, [&](std::int32_t m, double* x) { c.store(m, s, piece.at, piece.n, x); });
    }

    static double most_of(const Cells& p) { return p.cap > 0.0 ? p.cap : std::numeric_limits<double>::infinity(); }

    // v += added; k = floor(v / threshold + tolerance), or that of its size; v -= k threshold.
    void integrate(const Cells& p, const double* added, std::size_t at, std::size_t n) {
        const double* threshold = p.threshold.data() + at;
        const double most = most_of(p), least = p.negative ? -most : 0.0;
        for (std::size_t k = 0; k < n; ++k) v[k] += added[k];
        if (!p.truncate)
            for (std::size_t k = 0; k < n; ++k) out[k] = spikes_of(v[k], threshold[k], kTolerance, least, most);
        else
            for (std::size_t k = 0; k < n; ++k) {
                const double size = spikes_of(std::fabs(v[k]), threshold[k], kTolerance, 0.0, most);
                const double whole = v[k] > 0.0 ? size : v[k] < 0.0 ? -size : 0.0 * size;
                out[k] = whole < least ? least : whole;
            }
        for (std::size_t k = 0; k < n; ++k) v[k] = v[k] - out[k] * threshold[k];
        if (!std::isnan(p.floor))
            for (std::size_t k = 0; k < n; ++k) {
                const double lowest = -p.floor * threshold[k];
                v[k] = v[k] < lowest ? lowest : v[k];
            }
    }

    // As `integrate`, in whole numbers.
    void count(const Cells& p, const double* current, std::size_t at, std::size_t n) {
        const double *theta = p.threshold.data() + at, *threshold = p.own.data() + at;
        const FixedPoint& f = p.fixed;
        const double most = most_of(p);
        if (f.leak > 0.0)
            for (std::size_t k = 0; k < n; ++k) v[k] = v[k] - std::floor(v[k] * f.leak);
        for (std::size_t k = 0; k < n; ++k) {
            double x = std::floor(v[k] + current[k] * (threshold[k] / theta[k]) + f.half);
            x = x < f.low ? f.low : x;
            x = x > f.high ? f.high : x;
            out[k] = spikes_of(x, threshold[k], 0.0, 0.0, most);
            v[k] = f.to_zero ? (out[k] > 0.0 ? 0.0 : x) : x - out[k] * threshold[k];
        }
        if (!std::isnan(p.floor))
            for (std::size_t k = 0; k < n; ++k) {
                const double lowest = std::floor(-p.floor * threshold[k]) + 0.0;  // not -0
                v[k] = v[k] < lowest ? lowest : v[k];
            }
    }

    // The value of a step, which counts from 1, in a list for the first steps.
    static double listed(const std::vector<double>& values, double step, double last) {
        return step <= double(values.size()) ? values[std::size_t(step) - 1] : last;
    }
    // The worth of a spike in a step.
    static double height(const Cells& p, double step) {
        const double own = step - p.start;
        return own < 1.0 ? 1.0 : listed(p.heights, own, 1.0);
    }
    // Spikes that receivers take as sent in a step.
    static double taken_as_sent(const Cells& p, double step) { return listed(p.assumed, step, 0.0); }

    // As `integrate`, but neurons take spikes back, as many as they sent: `second`.
    void take_back(const Cells& p, const double* added, double step, std::size_t at, std::size_t n) {
        const double* threshold = p.threshold.data() + at;
        const double cap = most_of(p);
        const double assumed = taken_as_sent(p, step), most = cap + assumed, lowest = assumed - cap;
        if (!p.heights.empty()) return take_back_of(p, height(p, step), lowest, most, added, at, n);
        for (std::size_t k = 0; k < n; ++k) {
            v[k] += added[k];
            const double back = 0.0 - second[k], least = back > lowest ? back : lowest;
            out[k] = spikes_of(v[k], threshold[k], kTolerance, least, most);
            v[k] = v[k] - out[k] * threshold[k];
            second[k] += out[k];
        }
    }

    // Behind `take_back`: what was sent and the voltage are not below zero together.
    void lose_debt(const Cells& p, std::size_t at, std::size_t n) {
        const double* threshold = p.threshold.data() + at;
        for (std::size_t k = 0; k < n; ++k) {
            const double none = 0.0 - second[k] * threshold[k];
            v[k] = v[k] < none ? none : v[k];
        }
    }

    // As `take_back`, of spikes of a height: the multiple of it that is nearest to what is owed.
    void take_back_of(const Cells& p, const double height, const double lowest, const double most,
                      const double* added, std::size_t at, std::size_t n) {
        const double* threshold = p.threshold.data() + at;
        for (std::size_t k = 0; k < n; ++k) {
            const double rounding = (height - 1.0) * 0.5 * threshold[k];
            const double one = threshold[k] * height;
            v[k] = v[k] + added[k] + rounding;
            const double back = std::floor(0.5 - second[k] / height), least = back > lowest ? back : lowest;
            const double spikes = spikes_of(v[k], one, kTolerance, least, most);
            out[k] = spikes * height;
            v[k] = v[k] - spikes * one - rounding;
            second[k] += out[k];
        }
    }

    // The digits of all that arrived so far, or of a function of it, less what was sent: `second`.
    void digit(const Cells& p, const double* added, double step, std::size_t at, std::size_t n) {
        const double* threshold = p.threshold.data() + at;
        for (std::size_t k = 0; k < n; ++k) v[k] += added[k];
        const double own = step - p.start;
        if (own < 1.0 || own > double(p.heights.size())) {
            for (std::size_t k = 0; k < n; ++k) out[k] = 0.0;
            return;
        }
        const double height = p.heights[std::size_t(own) - 1], enough = height * p.parts[std::size_t(own) - 1];
        const double scale = double(p.heights.size());
        const bool bent = p.rate != Rate::identity;
        if (bent) {
            for (std::size_t k = 0; k < n; ++k) charge[k] = (v[k] + (second[k] - 0.5) * threshold[k]) / scale;
            apply_scaled_rate(p, charge, charge, at, n);
            for (std::size_t k = 0; k < n; ++k) charge[k] = charge[k] * scale - (second[k] - 0.5) * threshold[k];
        }
        const double* known = bent ? charge : v;
        const double least = bent ? -std::numeric_limits<double>::infinity() : 0.0;
        for (std::size_t k = 0; k < n; ++k) {
            const double up = known[k] >= (enough + 0.5) * threshold[k] ? height : 0.0;
            const double down = known[k] < (0.5 - enough) * threshold[k] && second[k] > least ? height : 0.0;
            out[k] = up - down;
        }
        for (std::size_t k = 0; k < n; ++k) {
            v[k] = v[k] - out[k] * threshold[k];
            second[k] += out[k];
        }
    }

    // Charge t f(m_t) - (t - 1) f(m_(t-1)), m_t the running mean: `second` sums currents.
    void running_mean(const Cells& p, const double* current, double step, std::size_t at,
                      std::size_t n) {
        for (std::size_t k = 0; k < n; ++k) {
            second[k] += current[k];
            charge[k] = second[k] / step;
        }
        apply_scaled_rate(p, charge, charge, at, n);
        for (std::size_t k = 0; k < n; ++k) {
            const double target = step * charge[k];
            charge[k] = target - third[k];
            third[k] = target;
        }
        integrate(p, charge, at, n);
    }

    // Rates of currents less the adaptation, which is `second`.
    void adaptive_rate(const Cells& p, const double* j, std::size_t at, std::size_t n) {
        for (std::size_t k = 0; k < n; ++k) charge[k] = j[k] - second[k];
        apply_rate(p, charge, out, at, n);
        for (std::size_t k = 0; k < n; ++k)
            second[k] = second[k] + p.adapting * (p.added * (p.amplitude * out[k]) - second[k]);
    }

    // Quadratic neurons (Izhikevich 2003); `second` is the recovery.
    void quadratic(const Cells& p, const double* j, std::size_t n) {
        for (std::size_t k = 0; k < n; ++k) {
            const double drive = j[k] > -30.0 ? j[k] : -30.0;
            double u = second[k];
            double x = v[k] + p.pace * (0.04 * v[k] * v[k] + 5.0 * v[k] + 140.0 - u + drive);
            const bool fired = x >= 30.0;
            x = fired ? p.reset : x;
            u = u + p.follow * (p.coupling * x - u);
            v[k] = x;
            second[k] = fired ? u + p.jump : u;
            out[k] = fired ? 1.0 : 0.0;
        }
    }

    // Spikes drawn at random with the mean |f(J)| / threshold, with the sign of f(J).
    void draw(const Cells& p, const double* j, double number, const Piece& piece) {
        const std::size_t at = piece.at, n = piece.n;
        const double* threshold = p.threshold.data() + at;
        alignas(kLine) double mean[kChunk + kDoubles] = {}, drawn[kChunk + kDoubles];
        apply_scaled_rate(p, j, charge, at, n);
        for (std::size_t k = 0; k < n; ++k) mean[k] = std::fabs(charge[k]) / threshold[k];
        const Draws draws(piece.key, std::uint64_t(number));
        const auto uniform = [&](std::uint64_t index, std::size_t k) {
            double found[kDoubles] = {};
            if (p.places.empty())
                draws.fill(index, piece.draw + k, kDoubles, found);
            else
                for (std::size_t i = 0; i < kDoubles && k + i < n; ++i)
                    found[i] = draws.at(index, std::size_t(p.places[at + k + i]));
            return load<doubles>(found);
        };
        alignas(kLine) double first[kChunk + kDoubles];
        if (p.places.empty()) draws.fill(0, piece.draw, n, first);
        const auto draw = [&](std::uint64_t index, std::size_t k) {
            return index || !p.places.empty() ? uniform(index, k) : load<doubles>(first + k);
        };
        if (p.cell == Cell::poisson)
            poisson_counts(mean, n, drawn, draw);
        else
            stochastic_counts(mean, n, drawn, draw);
        for (std::size_t k = 0; k < n; ++k) {
            const double r = charge[k], sign = r > 0.0 ? 1.0 : r < 0.0 ? -1.0 : r == 0.0 ? 0.0 : r;
            out[k] = drawn[k] * sign;
        }
    }

    // Step by step: sums of rates depend on their order.
    void sum(const Cells& p, double step, std::size_t n) {
        const double high = height(p, step), assumed = taken_as_sent(p, step) * high;
        if (p.net >= 0)
            for (std::size_t k = 0; k < n; ++k) net[k] += out[k];
        if (p.total < 0) return;
        if (high == 1.0)
            for (std::size_t k = 0; k < n; ++k) total[k] += std::fabs(out[k] - assumed);
        else
            for (std::size_t k = 0; k < n; ++k) total[k] += std::fabs(out[k] - assumed) / high;
    }

    void step(const Cells& p, const double* current, double number, const Piece& piece) {
        const std::size_t at = piece.at, n = piece.n;
        switch (p.cell) {
            case Cell::rate: return apply_rate(p, current, out, at, n);
            case Cell::integrate:
                if (p.rate == Rate::identity && p.amplitude == 1.0)
                    return integrate(p, current, at, n);
                apply_scaled_rate(p, current, charge, at, n);
                return integrate(p, charge, at, n);
            case Cell::running_mean: return running_mean(p, current, number, at, n);
            case Cell::bipolar:
                take_back(p, current, number, at, n);
                if (!p.debt) lose_debt(p, at, n);
                return;
            case Cell::digits: return digit(p, current, number, at, n);
            case Cell::fixed_point: return count(p, current, at, n);
            case Cell::adaptive_rate: return adaptive_rate(p, current, at, n);
            case Cell::quadratic: return quadratic(p, current, n);
            case Cell::stochastic:
            case Cell::poisson: return draw(p, current, number, piece);
            case Cell::grid_leaky:
            case Cell::leaky:
            case Cell::adaptive_leaky: break;  // see leaky.hpp
        }
    }
};

template <class F>
inline void each_piece(const Context& c, const Cells& p, F&& f) {
    const Share share = c.share(p.pieces.size());
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t i = share.begin; i < share.end; ++i) f(s, p.pieces[i]);
}

// Copies the recorded part of a step's state.
template <class Chunk>
inline void record(const Context& c, const Cells& p, const Piece& piece, std::size_t s, std::size_t t,
                   const Chunk& chunk) {
    for (std::size_t i = 0; i < 3; ++i)
        if (p.recorded[i] >= 0)
            std::memcpy(c.values(p.recorded[i], s, t) + piece.at, chunk.state(i),
                        piece.n * sizeof(double));
}

// Neurons that write their spikes as bytes: `LeakyChunk` or `GridLeaky`.
template <class Neurons>
inline void run_in_bytes(const Context& c, const Instruction& op) {
    const Cells& p = *op.cells;
    each_piece(c, p, [&](std::size_t s, const Piece& piece) {
        Drive drive(c, p, piece, s);
        Neurons neurons(c, p, piece, s);
        for (std::size_t t = 0; t < c.steps; ++t) {
            neurons.step(drive.at(t), c.counts(op.output, s, t) + piece.at);
            record(c, p, piece, s, t, neurons);
        }
        neurons.write();
    });
}

inline void run_cells(const Context& c, const Instruction& op) {
    const Cells& p = *op.cells;
    if (p.cell == Cell::leaky || p.cell == Cell::adaptive_leaky)
        return p.differ ? run_in_bytes<LeakyChunk<true>>(c, op) : run_in_bytes<LeakyChunk<false>>(c, op);
    if (p.cell == Cell::grid_leaky)
        return p.differ ? run_in_bytes<GridLeaky<true>>(c, op) : run_in_bytes<GridLeaky<false>>(c, op);
    const bool counts = c.kind(op.output) == Kind::counts;
    each_piece(c, p, [&](std::size_t s, const Piece& piece) {
        const std::size_t at = piece.at, n = piece.n;
        Drive drive(c, p, piece, s);
        CellChunk chunk;
        chunk.read(c, p, s, piece);
        for (std::size_t t = 0; t < c.steps; ++t) {
            const double number = double(c.job->first + c.first_step + t + 1);
            if (!counts) chunk.out = c.values(op.output, s, t) + at;
            chunk.step(p, drive.at(t), number, piece);
            if (counts) put(c, op.output, s, t, at, chunk.out, n);
            record(c, p, piece, s, t, chunk);
            chunk.sum(p, number, n);
        }
        chunk.write(c, p, s, piece);
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
