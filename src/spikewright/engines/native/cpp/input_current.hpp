// The input current of a piece of a population: read from a buffer, or computed from a represented vector
// by encoders; then it is never written to memory.
#pragma once

#include "limbs.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

class InputCurrent {
  public:
    InputCurrent(const Context& c, const PiecewisePopulation& p, const Piece& piece, std::size_t sample)
        : c_(c), p_(p.encoders), piece_(piece), sample_(sample) {}

    // Currents of step t; there is room for a whole vector behind the last one.
    const double* at(std::size_t t) {
        const double* from = source(t);
        if (p_.columns == 0 && !piece_.external) return from;
        if (t > 0 && from == last_) return current_;  // held: as in the last step
        last_ = piece_.external ? from : nullptr;
        if (p_.columns == 0)
            std::memcpy(current_, from, piece_.n * sizeof(double));
        else if (p_.columns == 1 && p_.limbs.weights == 1)
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
        const double* gain = p_.has_gain ? p_.gain.data() + piece_.at : nullptr;
        const double* bias = p_.bias.data() + piece_.at;
        for (std::size_t k = 0; k < piece_.n; k += kDoubles) {
            doubles j = sum(k);
            if (gain) j *= load<doubles>(gain + k);
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
        const double* weights = p_.weights.data() + piece_.weights;
        each_current([&](std::size_t k) {
            doubles total{};
            for (int l = 0; l < used_; ++l) {
                const double* limb = limbs_ + std::size_t(l) * p_.columns;
                const double* w = weights + k;
                for (int h = 0; h < p_.limbs.weights; ++h) {
                    doubles sum{};
                    for (std::size_t i = 0; i < p_.columns; ++i, w += line)
                        sum = add_exact_product(sum, splat(limb[i]), load<doubles>(w));
                    total = l || h ? total + sum : sum;
                }
            }
            return total;
        });
    }

    void split_vector(const double* x) {
        double most = 0.0;
        for (std::size_t i = 0; i < p_.columns; ++i) {
            limbs_[i] = x[i];
            most = larger(most, x[i]);
        }
        double* parts[kMostLimbs];
        for (std::size_t l = 0; l < std::size_t(kMostLimbs); ++l) parts[l] = limbs_ + l * p_.columns;
        used_ = take_limbs(parts, p_.columns, most, p_.limbs);
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
