#include "functions.hpp"

#include <cmath>
#include <limits>

namespace spikewright {

double expm1_of(double x) { return std::expm1(x); }
double log1p_of(double x) { return std::log1p(x); }

void tanh_of(const double* from, double* to, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) to[i] = std::tanh(from[i]);
}

void softplus_of(const double* from, double* to, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i)
        to[i] = (from[i] > 0.0 ? from[i] : 0.0) + std::log1p(std::exp(-std::fabs(from[i])));
}

void leaky_period_of(const double* from, double* to, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i)
        to[i] = from[i] > 1.0 ? std::log1p(1.0 / (from[i] - 1.0))
                              : std::numeric_limits<double>::infinity();
}

}  // namespace spikewright
