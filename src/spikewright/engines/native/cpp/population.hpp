// Description of a population for the kernels: its neuron type and the parameters of its neurons. It runs in one
// of two ways: integrate-and-fire types in blocks of lanes that stay in registers for many steps (`blocks.hpp`),
// with state in arrays of their own; or any type in pieces (`neuron_pieces.hpp`), with state in memories.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "stateful_ops.hpp"

namespace spikewright {

constexpr double kTolerance = 1.0 / 65536.0;  // of a spike: rounding that integrators absorb

SPIKEWRIGHT_ENUM(NeuronKind, rate, integrate, running_mean, leaky, bipolar, adaptive_leaky, adaptive_rate,
                 quadratic, grid_leaky, stochastic, poisson, fixed_point, digits)
SPIKEWRIGHT_ENUM(Rate, identity, bent, leaky, sigmoid, tanh, softplus, lif, parametric, soft_lif, gelu, silu)

// Fixed-point neurons: v -= floor(leak v); v = floor(v + q + half), within bounds; a spike subtracts its
// threshold, or resets the voltage to 0.
struct FixedPoint {
    double leak = 0.0;  // a power of two; 0 for none
    double half = 0.5;
    double low = -std::numeric_limits<double>::infinity(), high = -low;
    bool to_zero = false;
};

// A neuron type: a function of the current, and an integrator, leaky or quadratic neurons, or nothing.
struct NeuronModel {
    NeuronKind neuron_kind = NeuronKind::rate;
    Rate rate = Rate::identity;
    bool blocks = false;  // whether it may run in blocks of lanes
    double slope = 1.0, offset = 0.0, most = 0.0, tau_ref = 0.0, tau_rc = 0.0, amplitude = 1.0;  // of the function
    bool gated = false;                                                                          // of `bent`
    bool negative = false, truncate = false;                                                     // of integrators
    double floor = std::numeric_limits<double>::quiet_NaN(), cap = 0.0;  // NaN: no floor, 0: no cap
    std::vector<double> assumed;  // spikes that receivers assume in the first steps; 0 afterwards
    std::vector<double> heights;  // of spikes in the first steps; 1 afterwards
    std::vector<double> parts;    // of digits: the part of its height that is owed where a spike is sent
    bool responds = false;        // of digits: they encode the rate's values, of both signs
    double start = 0.0;           // of digits: steps before the first that sends; heights count from there
    double dt = 0.0, min_voltage = 0.0, decay = 0.0, most_share = 0.0;  // of leaky neurons
    double adapting = 0.0, added = 0.0;  // n += adapting (added y - n), of adaptive neurons
    double sigma = 0.0;                  // of rounded corners
    // v += pace (0.04 v^2 + 5 v + 140 - u + J); u += follow (coupling v - u), and jumps.
    double pace = 0.0, follow = 0.0, coupling = 0.0, reset = 0.0, jump = 0.0;
    FixedPoint fixed;
    bool differ = false;  // leaky neurons have rows of parameters

    bool has_floor() const { return !std::isnan(floor); }
    bool tilted() const { return slope != 1.0 || offset != 0.0; }
    double most_spikes() const { return cap > 0.0 ? cap : std::numeric_limits<double>::infinity(); }
    // The place of a step, which counts from 0, among the heights of digits; their number outside.
    std::size_t own(std::size_t step) const {
        const double place = double(step) - start;
        return place >= 0.0 && place < double(heights.size()) ? std::size_t(place) : heights.size();
    }
    double tolerance() const { return neuron_kind == NeuronKind::fixed_point ? 0.0 : kTolerance; }
    bool has_own() const { return rate == Rate::parametric || neuron_kind == NeuronKind::fixed_point; }
};

// Rows of parameters of leaky neurons that differ: exp(-dt / tau) - 1 of a whole step, -1 / tau, tau, the
// refractory period in seconds or steps, the share of a step, and the two parameters of adaptation.
enum OwnRow : std::size_t { kDecay, kPace, kTau, kSilence, kShare, kAdapting, kAdded, kOwnRows };

// A parameter by neuron, `(pixels, padded)`; it repeats with every pixel, or differs from pixel to pixel.
struct Parameter {
    Array<double> values;
    std::size_t pixel_stride = 0;    // 0 where they repeat
    std::size_t channel_stride = 1;  // 0 where one vector serves all channels
    bool uniform = false;            // one value for all neurons
    const double* at(std::size_t pixel, std::size_t channel) const {
        return values.data() + pixel * pixel_stride + channel * channel_stride;
    }
};

using Index = Array<std::int32_t>;

// The places of a population's neurons in the program's order: `first + k` of `whole`, or one channel after
// the other if `turned`, or `index[k]`.
struct Places {
    std::size_t first = 0, whole = 0;
    bool turned = false;
    Index index;
};

// Neurons of one type, stored as `pixels` times `channels`.
struct Population {
    NeuronModel model;
    std::size_t pixels = 1, channels = 0;
    Parameter threshold;  // of one spike
    // Further parameters: slopes of parametric rectifiers; the integer charge of a current of one; or the rows of
    // leaky neurons that differ.
    Parameter own;
    // In blocks: state has `padded` channels.
    std::size_t padded = 0;
    Parameter inverse;     // 1 / threshold
    Parameter least[3];    // the least voltage that gives one spike, two, three, tolerance included
    Parameter holds[2];    // the least voltages at which no spike is taken back, and at most one
    Parameter lowest;      // the voltage floor, if there is one
    Parameter start;       // voltages before the first step
    Places places;
    std::int32_t output = -1;  // the buffer of its counts

    bool has_running_mean() const { return model.neuron_kind == NeuronKind::running_mean; }
    bool has_sign() const {  // of spikes
        return has_running_mean() || model.neuron_kind == NeuronKind::bipolar ||
               model.neuron_kind == NeuronKind::digits;
    }
    std::size_t state_size() const { return pixels * padded; }
    std::size_t sent_size() const { return has_sign() ? state_size() : 0; }
    std::size_t followed_size() const { return has_running_mean() ? state_size() : 0; }
};

// Some neurons that are computed together, and the place of their input: a buffer, or an input of the
// region. With encoders, `weights` is the offset of theirs.
struct Piece {
    std::int32_t source;
    bool external;
    std::size_t from, at, n, weights;
    std::array<std::uint64_t, 2> key{};  // of random draws: its population's,
    std::size_t draw = 0;                // and the place of its first neuron in it
};

// Encoders from a represented vector x of `columns` values to currents:
// J = gain * (sum of x[c] w[c]) + bias. Weights lie limb by limb and column by column, a piece's in
// whole lines; sums are exact, values in limbs as `engines/grid.py` says.
struct Encoders {
    std::size_t columns = 0;  // 0: the input is currents
    Array<double> weights, gain, bias;
    bool has_gain = false;
    Limbs limbs;
};

// A population in pieces. `second` and `third` are the memories of its type's state beside the voltage, in its
// own order; `total` sums outputs without their sign, `net` with it; -1: none.
struct PiecewisePopulation : Population {
    std::vector<Piece> pieces;
    Encoders encoders;
    std::int32_t voltage = -1, second = -1, third = -1, total = -1, net = -1;
    std::array<std::int32_t, 3> recorded = {-1, -1, -1};  // buffers of voltage, second and third
    std::vector<std::int32_t> draws;  // places of draws, where neurons are stored in another order than theirs
};

}  // namespace spikewright
