// What drives a piece of a population: currents that somebody made, or a represented vector and the
// encoders, of which a step's currents are made here and never written out.
#pragma once

#include "analog.hpp"
#include "filters.hpp"
#include "parts.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

class Drive {
  public:
    Drive(const Context& c, const Cells& p, const Piece& piece, std::size_t sample)
        : c_(c), p_(p.encoders), piece_(piece), sample_(sample) {}

    // Currents of step t; there is room for a whole vector behind the last one.
    const double* at(std::size_t t) {
        const double* from = source(t);
        if (p_.columns == 0 && !piece_.external) return from;
        if (t > 0 && from == last_) return current_;  // what is held
        last_ = piece_.external ? from : nullptr;
        if (p_.columns == 0)
            std::memcpy(current_, from, piece_.n * sizeof(double));
        else if (p_.columns == 1)
            encode_value(from[0]);
        else
            encode(from);
        return current_;
    }

  private:
    const double* source(std::size_t t) const {
        const auto number = std::size_t(piece_.source);
        return (piece_.external ? c_.input<double>(number, sample_, t)
                                : c_.values(piece_.source, sample_, t)) + piece_.from;
    }

    template <class F>
    void each_current(F&& sum) {
        const double* gain = p_.gain.data() + piece_.at;
        const double* bias = p_.bias.data() + piece_.at;
        for (std::size_t k = 0; k < piece_.n; k += kDoubles) {
            doubles j = sum(k);
            if (p_.has_gain) j *= load<doubles>(gain + k);
            store(current_ + k, j + load<doubles>(bias + k));
        }
    }

    void encode_value(double x) {  // limbs of one value: their products add up to one product
        const double* w = p_.weights.data() + piece_.weights;
        each_current([&](std::size_t k) { return load<doubles>(w + k) * x; });
    }

    void encode(const double* x) {
        split_vector(x);
        const std::size_t line = rounded_up(piece_.n, kLineValues);
        const double* w = p_.weights.data() + piece_.weights;
        each_current([&](std::size_t k) {
            doubles total{};
            for (int l = 0; l < used_; ++l) {
                doubles sum{};
                const double* limb = limbs_ + std::size_t(l) * p_.columns;
                for (std::size_t i = 0; i < p_.columns; ++i)
                    sum = add_exact_product(sum, splat(limb[i]), load<doubles>(w + i * line + k));
                total = l ? total + sum : sum;
            }
            return total;
        });
    }

    void split_vector(const double* x) {
        double largest = 0.0;
        for (std::size_t i = 0; i < p_.columns; ++i)
            largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
        used_ = 0;
        if (largest == 0.0) return;
        double step = limb_step(largest, p_.limb_bits);
        const double* rest = x;
        for (int l = 0; l < p_.limbs; ++l) {
            double* limb = limbs_ + std::size_t(l) * p_.columns;
            double* next = l + 1 < p_.limbs ? limb + p_.columns : nullptr;
            bool left = false;
            for (std::size_t i = 0; i < p_.columns; ++i) {
                const double value = rest[i];
                limb[i] = nearest(value / step) * step;
                if (next) next[i] = value - limb[i];
                left |= value != limb[i];
            }
            used_ = l + 1;
            if (!left) return;
            rest = next;
            step *= std::ldexp(1.0, -p_.limb_bits);
        }
    }

    const Context& c_;
    const Encoders& p_;
    const Piece& piece_;
    std::size_t sample_;
    const double* last_ = nullptr;
    int used_ = 0;
    double limbs_[kMostLimbs * kMostColumns];
    alignas(kLine) double current_[kChunk + kDoubles];
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
