// Functions whose last bits differ between libraries: compiled once, for all instruction sets.
#pragma once

#include <cstddef>

namespace spikewright {

double expm1_of(double x);
void tanh_of(const double* from, double* to, std::size_t n);

}  // namespace spikewright
