#include "functions.hpp"

#include <cmath>

namespace spikewright {

double expm1_of(double x) { return std::expm1(x); }

void tanh_of(const double* from, double* to, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) to[i] = std::tanh(from[i]);
}

}  // namespace spikewright
