// Functions whose last bits differ between libraries: compiled once, for all instruction sets.
#pragma once

#include <cstddef>

namespace spikewright {

double expm1_of(double x);
double log1p_of(double x);
void tanh_of(const double* from, double* to, std::size_t n);
void softplus_of(const double* from, double* to, std::size_t n);

// ln(1 + 1 / (x - 1)) where x > 1, else infinity.
void leaky_period_of(const double* from, double* to, std::size_t n);

}  // namespace spikewright
