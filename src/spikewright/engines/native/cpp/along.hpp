// Integrate-and-fire through all steps of currents that are known, as training has them: in the
// precision that is given.
#pragma once

#include <cstddef>

namespace spikewright {

// Currents `(steps, samples, size)`, whose steps lie `apart` numbers apart (0: the same at all steps),
// thresholds and first voltages `(size)`. Written are what spikes carry, `(steps, samples, size)`,
// and spikes less those taken back, and of either sign where they are wanted, `(samples, size)`.
template <class Real>
struct Along {
    const Real *currents, *thresholds, *starts;
    std::size_t steps, samples, size, apart;
    Real cap;        // infinite where a step may send any number
    const double* assumed;  // spikes that receivers take as sent in the first steps; 0 afterwards
    std::size_t assuming;   // the number of these steps
    const double* heights;  // of spikes in the first steps; 1 afterwards
    std::size_t high;       // the number of these steps
    bool rectifies;  // negative current is thrown away
    bool takes_back;
    Real *values, *net, *all;
};

}  // namespace spikewright
