// Integrate-and-fire through all steps of currents that are known, as training has them: in the
// precision that is given.
#pragma once

#include <cstddef>

#include "population.hpp"

namespace spikewright {

// Currents `(steps, samples, size)`, whose steps lie `apart` numbers apart (0: the same at all steps),
// thresholds and first voltages `(size)`. Written are what spikes carry, `(steps, samples, size)`,
// and spikes less those taken back, and of either sign where they are wanted, `(samples, size)`.
template <class Real>
struct Along {
    const NeuronModel* model;  // that integrates, or takes spikes back
    const Real *currents, *thresholds, *starts;
    std::size_t steps, samples, size, apart;
    Real *values, *net, *all;
};

}  // namespace spikewright
