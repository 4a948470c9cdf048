// Leaky neurons on the grid of steps: `tau_ref` of them are silent behind a spike, and `second` counts
// those that are left. State is read and written where it lies: a step of a loop does little else.
#pragma once

#include "leaky.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

template <bool differ>
class GridLeaky {
  public:
    GridLeaky(const Context& c, const Cells& p, const Piece& piece, std::size_t sample)
        : p_(p), own_(p, piece), n_(piece.n), memories_{c.memory(p.voltage, sample), c.memory(p.second, sample),
                                        c.memory(p.total, sample)} {
        for (Context::Kept& m : memories_) m.from += piece.at, m.to += piece.at;
    }

    // Voltage and second.
    const double* state(std::size_t i) const { return memories_[i].to; }

    void write() const {}  // the state is advanced where it lies

    // One step of currents j; `spikes` are bytes.
    void step(const double* j, std::int8_t* spikes) {
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
        const doubles none{}, one = splat(1.0), lowest = splat(p_.min_voltage);
        const doubles waits = load<doubles>(silent), before = load<doubles>(v);
        const doubles moved = before + (load<doubles>(j) - before) * own_.at(kShare, p_.most_share, at);
        const doubles x = chosen(moved, before, more_than(waits, none));
        const Where fired = more_than(x, one);
        const doubles left = waits - one;
        const doubles silence = own_.at(kSilence, p_.tau_ref, at);
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

    const Cells& p_;
    OwnParameters<differ> own_;
    std::size_t n_;
    Context::Kept memories_[3];  // voltage, second, total
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
