// Arguments of integrate-and-fire over a whole sequence of known currents, for training, in the
// precision of the arrays.
#pragma once

#include <cstddef>

#include "population.hpp"

namespace spikewright {

// Currents `(steps, samples, size)`, whose steps lie `apart` numbers apart (0: the same at all steps),
// thresholds and first voltages `(size)`. Written are what spikes carry, `(steps, samples, size)`,
// and spikes less those taken back, and of either sign where they are wanted, `(samples, size)`.
template <class Real>
struct SequenceIntegration {
    const NeuronModel* model;  // that integrates, or takes spikes back
    const Real *currents, *thresholds, *starts;
    std::size_t steps, samples, size, apart;
    Real *values, *net, *all;
};

}  // namespace spikewright
