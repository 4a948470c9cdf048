// Populations of any type that is driven by currents in a buffer: a function of the current, then
// an integrator, leaky neurons, or nothing. Chunk by chunk, in passes that compilers vectorise.
#pragma once

#include <cmath>
#include <limits>

#include "filters.hpp"
#include "functions.hpp"
#include "neurons.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr double kTiny = 1e-200;  // keeps a division finite

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
        case Rate::softplus: softplus_of(from, to, n); break;
        case Rate::lif:
            leaky_period_of(from, to, n);
            for (std::size_t k = 0; k < n; ++k) to[k] = 1.0 / (p.tau_ref + p.tau_rc * to[k]);
            break;
        case Rate::parametric: {
            const double* slope = p.slopes.data() + at;
            for (std::size_t k = 0; k < n; ++k) to[k] = from[k] >= 0.0 ? from[k] : slope[k] * from[k];
            break;
        }
    }
    if (p.amplitude != 1.0)
        for (std::size_t k = 0; k < n; ++k) to[k] *= p.amplitude;
}

struct CellChunk {
    double v[kChunk], second[kChunk], third[kChunk], total[kChunk], net[kChunk];
    double charge[kChunk], spikes[kChunk];
    double* out = spikes;  // of the present step: here, or where the output lies

    static void get(const Context& c, std::int32_t memory, std::size_t s, std::size_t at,
                    std::size_t n, double* to) {
        if (memory >= 0) std::memcpy(to, c.memory(memory, s).from + at, n * sizeof(double));
    }
    static void put(const Context& c, std::int32_t memory, std::size_t s, std::size_t at,
                    std::size_t n, const double* from) {
        if (memory >= 0) std::memcpy(c.memory(memory, s).to + at, from, n * sizeof(double));
    }
    void read(const Context& c, const Cells& p, std::size_t s, std::size_t at, std::size_t n) {
        get(c, p.voltage, s, at, n, v);
        get(c, p.second, s, at, n, second);
        get(c, p.third, s, at, n, third);
        get(c, p.total, s, at, n, total);
        get(c, p.net, s, at, n, net);
    }
    void write(const Context& c, const Cells& p, std::size_t s, std::size_t at,
               std::size_t n) const {
        put(c, p.voltage, s, at, n, v);
        put(c, p.second, s, at, n, second);
        put(c, p.third, s, at, n, third);
        put(c, p.total, s, at, n, total);
        put(c, p.net, s, at, n, net);
    }

    // v += added; k = floor(v / threshold + tolerance); v -= k threshold.
    void integrate(const Cells& p, const double* added, std::size_t at, std::size_t n) {
        const double* threshold = p.threshold.data() + at;
        for (std::size_t k = 0; k < n; ++k) {
            v[k] += added[k];
            const double share = v[k] / threshold[k];
            if (!p.truncate) {
                out[k] = std::floor(share + kTolerance);
            } else {
                const double whole = std::floor(std::fabs(share) + kTolerance);
                out[k] = share > 0.0 ? whole : share < 0.0 ? -whole : 0.0 * whole;
            }
        }
        if (!p.negative)
            for (std::size_t k = 0; k < n; ++k) out[k] = out[k] < 0.0 ? 0.0 : out[k];
        if (p.cap > 0.0)
            for (std::size_t k = 0; k < n; ++k) out[k] = out[k] > p.cap ? p.cap : out[k];
        for (std::size_t k = 0; k < n; ++k) v[k] = v[k] - out[k] * threshold[k];
        if (p.has_floor)
            for (std::size_t k = 0; k < n; ++k) {
                const double lowest = -p.floor * threshold[k];
                v[k] = v[k] < lowest ? lowest : v[k];
            }
    }

    // As `integrate`, but spikes are taken back, as many as were sent; `second` is how many.
    void take_back(const Cells& p, const double* added, std::size_t at, std::size_t n) {
        const double* threshold = p.threshold.data() + at;
        const double most = p.cap > 0.0 ? p.cap : std::numeric_limits<double>::infinity();
        for (std::size_t k = 0; k < n; ++k) {
            v[k] += added[k];
            const double down = std::floor(v[k] / threshold[k] + kTolerance);
            const double least = second[k] < most ? 0.0 - second[k] : -most;
            const double held = down > least ? down : least;
            out[k] = held < most ? held : most;
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
        apply_rate(p, charge, charge, at, n);
        for (std::size_t k = 0; k < n; ++k) {
            const double target = step * charge[k];
            charge[k] = target - third[k];
            third[k] = target;
        }
        integrate(p, charge, at, n);
    }

    // Leaky integrate-and-fire; `second` is the refractory time.
    void leaky(const Cells& p, const double* j, std::size_t n) {
        bool partly = false, any = false;
        for (std::size_t k = 0; k < n; ++k) {
            second[k] -= p.dt;
            double active = p.dt - second[k];
            active = active > 0.0 ? active : 0.0;
            active = active < p.dt ? active : p.dt;
            charge[k] = active == p.dt ? p.decay : 0.0;  // expm1(-active / tau_rc)
            out[k] = active;
            partly |= active > 0.0 && active < p.dt;
        }
        if (partly)
            for (std::size_t k = 0; k < n; ++k)
                if (out[k] > 0.0 && out[k] < p.dt) charge[k] = expm1_of(out[k] * (-1.0 / p.tau_rc));
        for (std::size_t k = 0; k < n; ++k) {
            v[k] = v[k] - (j[k] - v[k]) * charge[k];
            out[k] = v[k] > 1.0 ? 1.0 : 0.0;
            any |= v[k] > 1.0;
        }
        if (any)
            for (std::size_t k = 0; k < n; ++k)
                if (out[k] > 0.0) {
                    const double drive = j[k] - 1.0 > kTiny ? j[k] - 1.0 : kTiny;
                    const double share = (v[k] - 1.0) / drive;
                    const double least = share < p.most_share ? share : p.most_share;
                    second[k] = p.tau_ref + (p.dt + p.tau_rc * log1p_of(-least));
                }
        for (std::size_t k = 0; k < n; ++k) {
            const double held = v[k] < p.min_voltage ? p.min_voltage : v[k];
            v[k] = out[k] > 0.0 ? 0.0 : held;
        }
    }

    // Step by step: sums of rates depend on their order.
    void sum(const Cells& p, std::size_t n) {
        if (p.net >= 0)
            for (std::size_t k = 0; k < n; ++k) {
                total[k] += std::fabs(out[k]);
                net[k] += out[k];
            }
        else if (p.total >= 0)
            for (std::size_t k = 0; k < n; ++k) total[k] += std::fabs(out[k]);
    }

    void step(const Cells& p, const double* current, double number, std::size_t at,
              std::size_t n) {
        switch (p.cell) {
            case Cell::rate: return apply_rate(p, current, out, at, n);
            case Cell::integrate:
                if (p.rate == Rate::identity && p.amplitude == 1.0)
                    return integrate(p, current, at, n);
                apply_rate(p, current, charge, at, n);
                return integrate(p, charge, at, n);
            case Cell::running_mean: return running_mean(p, current, number, at, n);
            case Cell::leaky: return leaky(p, current, n);
            case Cell::bipolar: return take_back(p, current, at, n);
        }
    }
};

inline void run_cells(const Context& c, const Instruction& op) {
    const Cells& p = *op.cells;
    const bool counts = c.kind(op.output) == Kind::counts;
    each_chunk(c, p.size, [&](std::size_t s, std::size_t at, std::size_t n) {
        CellChunk chunk;
        chunk.read(c, p, s, at, n);
        for (std::size_t t = 0; t < c.steps; ++t) {
            const double number = double(c.job->first + c.first_step + t + 1);
            if (!counts) chunk.out = c.values(op.output, s, t) + at;
            chunk.step(p, c.values(op.input, s, t) + at, number, at, n);
            if (counts) {
                std::int8_t* to = c.counts(op.output, s, t) + at;
                bool fits = true;
                for (std::size_t k = 0; k < n; ++k) fits &= std::fabs(chunk.out[k]) <= kMostCounts;
                if (!fits) return c.too_many_spikes();
                for (std::size_t k = 0; k < n; ++k) to[k] = std::int8_t(chunk.out[k]);
            }
            if (p.voltage_out >= 0)
                std::memcpy(c.values(p.voltage_out, s, t) + at, chunk.v, n * sizeof(double));
            chunk.sum(p, n);
        }
        chunk.write(c, p, s, at, n);
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
