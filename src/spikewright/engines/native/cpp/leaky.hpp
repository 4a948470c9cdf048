// Leaky integrate-and-fire neurons, which may tire. Few of them are between silence and integration
// in a step, and few fire: exponential and logarithm are computed of those alone, side by side.
#pragma once

#include "curves.hpp"
#include "input_current.hpp"
#include "events.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr double kTiny = 1e-200;  // keeps a division finite

// Lanes of which a[i] > b[i], or one is NaN.
inline Where more_than(doubles a, doubles b) { return ~at_least(b, a); }

// Bytes, as many as a vector has doubles, or fewer.
inline void put_bytes(std::uint64_t bytes, std::int8_t* to, std::size_t room) {
    if (room >= kDoubles)
        std::memcpy(to, &bytes, kDoubles);
    else
        std::memcpy(to, &bytes, room);
}

// A parameter of leaky neurons from the neuron k of a piece on: of each, or one for all.
template <bool differ>
class OwnParameters {
  public:
    OwnParameters(const PiecewisePopulation& p, const Piece& piece)
        : from_(differ ? p.own.at(0, piece.at) : nullptr), size_(p.channels) {}

    doubles at(OwnRow row, double same, std::size_t k) const {
        if constexpr (differ) return load<doubles>(from_ + row * size_ + k);
        return splat(same);
    }
    double of(OwnRow row, double same, std::size_t k) const {
        if constexpr (differ) return from_[row * size_ + k];
        return same;
    }

  private:
    const double* from_;
    std::size_t size_;
};

template <bool differ>
class LeakyChunk {
  public:
    LeakyChunk(const Context& c, const PiecewisePopulation& p, const Piece& piece, std::size_t sample)
        : c_(c), p_(p), m_(p.model), piece_(piece), own_(p, piece), sample_(sample) {
        each_kept([&](std::int32_t memory, double* x) {
            c.fetch(memory, sample, piece.at, piece.n, x);
            std::memset(x + piece.n, 0, kDoubles * sizeof(double));
        });
    }
    void write() {
        each_kept([&](std::int32_t memory, double* x) {
            c_.store(memory, sample_, piece_.at, piece_.n, x);
        });
    }
    // Voltage, second and third.
    const double* state(std::size_t i) const { return i == 0 ? v_ : i == 1 ? silent_ : tired_; }

    // One step of currents j, to an output of bytes.
    void step(const double* j, std::int32_t output, std::size_t t) {
        if (p_.third >= 0) j = less_adaptation(j);
        integrate(j);
        finish_partly(j);
        fire(j, c_.counts(output, sample_, t) + piece_.at);
        reset_clocks();
    }

  private:
    const double* less_adaptation(const double* j) {
        for (std::size_t k = 0; k < piece_.n; k += kDoubles)
            store(current_ + k, load<doubles>(j + k) - load<doubles>(tired_ + k));
        return current_;
    }

    // v -= (j - v) expm1(-active / tau), of those that are active in the whole step or not at all.
    void integrate(const double* j) {
        const doubles dt = splat(m_.dt), none{};
        partly_ = 0;
        for (std::size_t at = 0; at < piece_.n; at += 64) {
            const std::size_t end = piece_.n - at < 64 ? piece_.n : at + 64;
            std::uint64_t between = 0;
            for (std::size_t k = at; k < end; k += kDoubles) {
                const doubles silent = load<doubles>(silent_ + k) - dt, active = dt - silent;
                store(silent_ + k, silent);
                const Where whole = at_least(active, dt), some = more_than(active, none);
                between |= std::uint64_t(bits_of(some & ~whole)) << (k - at);
                const doubles v = load<doubles>(v_ + k);
                const doubles decay = own_.at(kDecay, m_.decay, k);
                store(v_ + k, v - (load<doubles>(j + k) - v) * chosen(none, decay, whole));
            }
            partly_ += listed(between, at, end, at_ + partly_);
        }
    }

    void finish_partly(const double* j) {
        const double rate = -1.0 / m_.tau_rc;
        for (std::size_t i = 0; i < partly_; ++i)
            share_[i] = (m_.dt - silent_[at_[i]]) * own_.of(kPace, rate, at_[i]);
        each_vector(share_, share_, partly_, [](doubles x) { return expm1_of(x); });
        for (std::size_t i = 0; i < partly_; ++i) {
            const std::uint32_t k = at_[i];
            v_[k] = v_[k] - (j[k] - v_[k]) * share_[i];
        }
    }

    void fire(const double* j, std::int8_t* spikes) {
        const doubles one = splat(1.0), lowest = splat(m_.min_voltage);
        fired_ = 0;
        for (std::size_t at = 0; at < piece_.n; at += 64) {
            const std::size_t end = piece_.n - at < 64 ? piece_.n : at + 64;
            std::uint64_t above = 0;
            for (std::size_t k = at; k < end; k += kDoubles)
                above |= std::uint64_t(bits_of(more_than(load<doubles>(v_ + k), one))) << (k - at);
            const std::size_t n = listed(above, at, end, at_ + fired_);
            for (std::size_t i = fired_; i < fired_ + n; ++i) {
                const double drive = j[at_[i]] - 1.0;
                over_[i] = v_[at_[i]] - 1.0;
                share_[i] = drive > kTiny ? drive : kTiny;
            }
            fired_ += n;
            for (std::size_t k = at; k < end; k += kDoubles) {
                const auto bits = std::uint32_t(above >> (k - at)) & ((1u << kDoubles) - 1);
                const Where here = lanes_of(bits);
                const doubles v = load<doubles>(v_ + k);
                store(v_ + k, chosen(v < lowest ? lowest : v, doubles{}, here));
                if (p_.total >= 0)
                    store(total_ + k, load<doubles>(total_ + k) + chosen(doubles{}, one, here));
                if (p_.third >= 0) adapt(k, here);
                put_bytes(spread(bits), spikes + k, end - k);
            }
        }
    }

    void adapt(std::size_t k, Where fired) {
        const doubles n = load<doubles>(tired_ + k);
        const doubles added = chosen(doubles{}, own_.at(kAdded, m_.added, k), fired);
        store(tired_ + k, n + own_.at(kAdapting, m_.adapting, k) * (added - n));
    }

    // Silence counts from the crossing within the step: dt + tau ln(1 - (v - 1) / (j - 1)).
    void reset_clocks() {
        if constexpr (differ) return reset_each();
        const doubles most = splat(m_.most_share);
        const bool near = m_.most_share <= kNearOne;
        each_vector(share_, share_, fired_, [&, over = over_](doubles drive) mutable {
            const doubles share = load<doubles>(over) / drive;
            over += kDoubles;
            const doubles least = share < most ? share : most;
            const doubles crossing = near ? log_near_one(-least, doubles{}) : log1p_of(-least);
            return m_.tau_ref + (m_.dt + m_.tau_rc * crossing);
        });
        for (std::size_t i = 0; i < fired_; ++i) silent_[at_[i]] = share_[i];
    }

    // The same of neurons that differ: their parameters are gathered first.
    void reset_each() {
        alignas(kLine) double most[kRoom];
        bool near = true;
        for (std::size_t i = 0; i < fired_; ++i) {
            most[i] = own_.of(kShare, 0.0, at_[i]);
            near &= most[i] <= kNearOne;
        }
        each_vector(share_, share_, fired_, [&, over = over_, bound = most](doubles drive) mutable {
            const doubles share = load<doubles>(over) / drive, limit = load<doubles>(bound);
            over += kDoubles, bound += kDoubles;
            const doubles least = share < limit ? share : limit;
            return near ? log_near_one(-least, doubles{}) : log1p_of(-least);
        });
        for (std::size_t i = 0; i < fired_; ++i) {
            const std::uint32_t k = at_[i];
            silent_[k] = own_.of(kSilence, 0.0, k) + (m_.dt + own_.of(kTau, 0.0, k) * share_[i]);
        }
    }

    // Positions of set bits, from `at` on and below `end`.
    static std::size_t listed(std::uint64_t bits, std::size_t at, std::size_t end, std::uint32_t* to) {
        if (end - at < 64) bits &= (std::uint64_t(1) << (end - at)) - 1;
        return bits ? positions(bits, (end - at + 15) / 16, std::uint32_t(at), to) : 0;
    }

    template <class F>
    void each_kept(F&& f) {
        f(p_.voltage, v_), f(p_.second, silent_), f(p_.third, tired_), f(p_.total, total_);
    }

    static constexpr std::size_t kRoom = kChunk + kDoubles;
    const Context& c_;
    const PiecewisePopulation& p_;
    const NeuronModel& m_;
    const Piece& piece_;
    OwnParameters<differ> own_;
    std::size_t sample_, partly_ = 0, fired_ = 0;
    alignas(kLine) double v_[kRoom], silent_[kRoom], tired_[kRoom], total_[kRoom];
    alignas(kLine) double current_[kRoom], share_[kRoom], over_[kRoom];
    std::uint32_t at_[kChunk + 64];
};

// Leaky neurons on the grid of steps: `tau_ref` of them are silent behind a spike, and `second` counts
// those that are left. State is read and written where it lies: a step of a loop does little else.
template <bool differ>
class GridLeaky {
  public:
    GridLeaky(const Context& c, const PiecewisePopulation& p, const Piece& piece, std::size_t sample)
        : c_(c), m_(p.model), piece_(piece), own_(p, piece), sample_(sample), n_(piece.n),
          memories_{c.memory(p.voltage, sample), c.memory(p.second, sample), c.memory(p.total, sample)} {
        for (Context::Kept& m : memories_) m.from += piece.at, m.to += piece.at;
    }

    // Voltage and second.
    const double* state(std::size_t i) const { return memories_[i].to; }

    void write() const {}  // the state is advanced where it lies

    // One step of currents j, to an output of bytes.
    void step(const double* j, std::int32_t output, std::size_t t) {
        std::int8_t* spikes = c_.counts(output, sample_, t) + piece_.at;
        auto& [v, silent, total] = memories_;
        std::size_t k = 0;
        for (; k + kDoubles <= n_; k += kDoubles) {
            const std::uint32_t fired = advance(k, j + k, v.from + k, v.to + k, silent.from + k,
                                                silent.to + k, total.from + k, total.to + k);
            put_bytes(spread(fired), spikes + k, kDoubles);
        }
        if (k < n_) rest(j + k, spikes + k, k);
        for (Context::Kept& m : memories_) m.from = m.to;
    }

  private:
    // The neurons of a vector from `at` on; which of them fire.
    std::uint32_t advance(std::size_t at, const double* j, const double* v, double* next_v, const double* silent,
                          double* next_silent, const double* total, double* next_total) const {
        const doubles none{}, one = splat(1.0), lowest = splat(m_.min_voltage);
        const doubles waits = load<doubles>(silent), before = load<doubles>(v);
        const doubles moved = before + (load<doubles>(j) - before) * own_.at(kShare, m_.most_share, at);
        const doubles x = chosen(moved, before, more_than(waits, none));
        const Where fired = more_than(x, one);
        const doubles left = waits - one;
        const doubles silence = own_.at(kSilence, m_.tau_ref, at);
        store(next_silent, chosen(left > none ? left : none, silence, fired));
        store(next_v, chosen(x > lowest ? x : lowest, none, fired));
        store(next_total, load<doubles>(total) + chosen(none, one, fired));
        return bits_of(fired);
    }

    // The last neurons from `at` on, fewer than a vector: nothing behind them is read or written.
    void rest(const double* j, std::int8_t* spikes, std::size_t at) const {
        const std::size_t n = n_ - at, bytes = n * sizeof(double);
        alignas(kLine) double part[4][kDoubles] = {};
        std::memcpy(part[3], j, bytes);
        for (std::size_t i = 0; i < 3; ++i) std::memcpy(part[i], memories_[i].from + at, bytes);
        const std::uint32_t fired =
            advance(at, part[3], part[0], part[0], part[1], part[1], part[2], part[2]);
        for (std::size_t i = 0; i < 3; ++i) std::memcpy(memories_[i].to + at, part[i], bytes);
        put_bytes(spread(fired), spikes, n);
    }

    const Context& c_;
    const NeuronModel& m_;
    const Piece& piece_;
    OwnParameters<differ> own_;
    std::size_t sample_, n_;
    Context::Kept memories_[3];  // voltage, second, total
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
