// A region's plan: buffers, populations, layers and a list of instructions.
//
// A region is a feed-forward part of a program. Its signals are in buffers of one worker, for some samples and
// a block of time: counts of spikes in bytes, everything else in doubles. A signal is *stored* in an order of
// the planner's choice (channels last for convolutions); where the order of the program differs, an index
// array maps one to the other.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "memory.hpp"
#include "population.hpp"
#include "csc.hpp"
#include "delayed_csc.hpp"

namespace spikewright {

// Up to this count an input is repeated in the list of events; above, lists have counts.
constexpr std::size_t kMostRepeats = 15;
constexpr std::size_t kVector = 64;  // the most channels that are computed together
constexpr int kMostCounts = 127;  // a count of spikes is a byte

// How many neighbouring pixels of so many channels are computed together.
constexpr std::size_t pixels_together(std::size_t channels) {
    return channels == 16 || channels == 32 ? kVector / channels : 1;
}

constexpr double kNeverDense = std::numeric_limits<double>::infinity();

constexpr std::int64_t kNoBudget = std::int64_t(1) << 40;  // any number of events fits

enum class Kind : std::int32_t { counts, values };

// A buffer for a signal. With a `parent` it is `size` values of that buffer, from `offset` on: a part of its
// signal, or a signal of its `own`. Buffers that are not in use at the same time may share a `slot`.
struct Buffer {
    Kind kind;
    std::size_t size;
    std::int32_t parent = -1;
    std::size_t offset = 0;
    bool own = false;
    std::size_t slot = 0;
    // Distance between two steps, in values.
    std::size_t stride() const { return rounded_up(size + 16, kLine); }
    std::size_t bytes() const {
        return parent >= 0 ? 0 : stride() * (kind == Kind::counts ? 1 : sizeof(double));
    }
};

// Channels of a layer that are computed together, and where their weights begin.
struct Lanes {
    std::size_t channel, width, offset;
};

// Windows over a frame, channels last.
struct Geometry {
    std::int64_t height = 1, width = 1, channels = 0;  // of the input
    std::int64_t out_height = 1, out_width = 1, out_channels = 0;
    std::int64_t kernel_height = 1, kernel_width = 1;
    std::int64_t stride_y = 1, stride_x = 1, pad_y = 0, pad_x = 0, dilation_y = 1, dilation_x = 1;
    std::size_t input_pixels() const { return std::size_t(height * width); }
    std::size_t pixels() const { return std::size_t(out_height * out_width); }
    std::size_t taps() const { return std::size_t(kernel_height * kernel_width); }

    // f(tap, pixel of the input) for each tap of the output pixel (oy, ox) that lies in the frame.
    template <class F>
    void each_tap(std::int64_t oy, std::int64_t ox, F&& f) const {
        for (std::int64_t ky = 0; ky < kernel_height; ++ky)
            for (std::int64_t kx = 0; kx < kernel_width; ++kx) {
                const std::int64_t y = oy * stride_y - pad_y + ky * dilation_y;
                const std::int64_t x = ox * stride_x - pad_x + kx * dilation_x;
                if (y < 0 || y >= height || x < 0 || x >= width) continue;
                f(ky * kernel_width + kx, std::size_t(y * width + x));
            }
    }
};

class TiledWeights;

// Packed weights, which several layers may share.
class SharedWeights {
  public:
    SharedWeights() = default;
    SharedWeights(Array<std::int32_t>&& values)
        : values_(std::make_shared<const Array<std::int32_t>>(std::move(values))) {}
    const std::int32_t* data() const { return values_ ? values_->data() : nullptr; }
    std::size_t size() const { return values_ ? values_->size() : 0; }
    bool empty() const { return size() == 0; }

  private:
    std::shared_ptr<const Array<std::int32_t>> values_;
};

// Residuals of weights that the grid leaves out, in units of the weights' last limb. Rows are the output channels
// that have some; each residual has its place in the window, and its input channel.
struct Residual {
    std::int32_t down, right, channel;  // pixels from the window's first one
    double value;
};
struct ResidualRow {
    std::size_t out, begin, end;
};
struct Residuals {
    std::vector<ResidualRow> rows;
    std::vector<Residual> entries;
};

// A matrix product or convolution of counts with integer weights.
struct Layer : Geometry {
    std::vector<Lanes> lanes;
    // Per `lanes`: (ky, kx, channel) rows of `width` integers; of depthwise layers (ky, kx) rows.
    SharedWeights weights;
    // The second limb of weights in two, in the same places; else empty. Its budget is one number.
    SharedWeights low;
    std::int64_t low_budget = 0;
    Array<double> scale;          // per output channel: the weights' step times the factor
    // How many events have a sum that fits 32 bits: where no count is above the index, and at 0 for
    // any counts. Of depthwise layers the first is the largest count that fits.
    std::int64_t budgets[kMostRepeats + 1] = {};
    bool has_gain = false;
    Parameter gain, bias;
    Parameter joined;             // of the counts that join the sums, where an operand does
    // Of digits: the input is read so many steps ahead, and spikes of each step have a height.
    std::size_t ahead = 0;
    std::vector<double> heights;
    // In how many of its steps there is input: the digits read ahead come together, in the first step.
    std::size_t arrivals(std::size_t steps) const {
        return heights.empty() ? steps : steps - std::min(ahead, steps - 1);
    }
    Limbs limbs;                  // of values, or of counts that bytes do not hold
    Residuals residuals;          // of weights that meet values
    std::shared_ptr<TiledWeights> tiled;  // the weights in tiles; null where these are never faster
    std::shared_ptr<TiledWeights> by_line;  // each row of a window in tiles of its own; of convolutions
};

// A run of contiguous values that are copied together.
struct Run {
    std::uint32_t from, to, count;
};

// One term of a sum: a buffer or an input of the region, read through `index` where that is given.
struct Operand {
    bool external = false;
    std::int32_t source = 0;
    double factor = 1.0;  // of counts
    Index index;
};

// Kinds of instructions. A filter is run over a block (`filter`), without delay (`smooth`), or, in a
// loop, at the start (`emit`) and the end (`absorb`) of a step; so is a delay (`delay`, or `release`
// and `keep`), and so are weights with delays (`arrive`, or `receive` and `send`).
SPIKEWRIGHT_ENUM(Action, layer, fire, pool, take, put, sum, add, load, store, filter, emit, absorb,
                 piecewise, analog, signed_layer, depthwise, sparse, axis_map, pool_values, max_pool,
                 running_max_pool, readout, scatter, smooth, learn, respond, finish, recur, call, delay,
                 release, keep, csc, arrive, receive, send, advance, compute)

// An operator that has no kernel here: Python computes it from buffers into buffers.
struct Call {
    std::vector<std::int32_t> inputs, outputs;
};

struct Instruction {
    Action action = Action::layer;
    std::int32_t input = -1;   // buffer; of `load` and `fire` from outside: number of the input
    std::int32_t output = -1;  // buffer; of `store`: number of the output
    std::int32_t population = -1;
    bool external = false;     // `fire`: whether the currents come from outside
    std::shared_ptr<Layer> layer;
    std::shared_ptr<Geometry> pool;
    std::shared_ptr<FilterOp> filter;
    std::shared_ptr<DelayOp> delay;
    std::shared_ptr<PiecewisePopulation> piecewise;
    std::shared_ptr<SparseRows> sparse;
    std::shared_ptr<CscMatrix> csc;
    std::shared_ptr<DelayedCsc> delayed_csc;
    std::shared_ptr<Readouts> readouts;
    std::shared_ptr<Scatter> scatter;
    std::shared_ptr<Weights> weights;
    std::shared_ptr<Recursion> recursion;
    std::shared_ptr<AxisRows> axis_rows;
    std::shared_ptr<FunctionKernel> function;
    std::shared_ptr<Call> call;
    std::vector<std::int32_t> memories;
    std::vector<Operand> operands;  // of a layer at most one, stored as its output is
    Parameter gain, bias;      // `sum`: over the whole signal
    bool has_gain = false, has_bias = false;
    bool plus = false;         // `put`: zero is added
    // `store`: of every so many steps of the simulation the last one; `advance`: steps ahead.
    std::size_t every = 1;
    Index index;
    std::vector<Run> runs;     // of `index`, where neighbours move together

    // Whether it lists or splits all of its input before it computes.
    bool lists() const {
        return action == Action::layer || action == Action::analog || action == Action::depthwise ||
               action == Action::signed_layer;
    }
};

// Memory that buffers share in turn; with `zero` it must be zero initially.
struct Slot {
    std::size_t bytes = 0;  // of a step of a sample
    bool zero = false;
};

struct Plan {
    std::vector<Buffer> buffers;
    std::vector<Slot> slots;  // none: each buffer has one of its own
    std::vector<Population> populations;
    std::vector<Memory> memories;
    std::vector<Instruction> instructions;
    bool calls() const {
        return std::ranges::any_of(instructions, [](const Instruction& op) { return op.call != nullptr; });
    }
    // Whether bytes hold what neurons in blocks send in so many steps: their spikes have a cap.
    bool fits_bytes(std::size_t steps) const {
        return std::ranges::all_of(populations, [&](const Population& p) {
            return !p.has_running_mean() && p.model.cap > 0.0 && p.model.cap * double(steps) <= kMostCounts;
        });
    }
};

// The type of the numbers of an input.
enum class Number { float64, float32, int8, uint8 };

// An array from outside, `(batch or 1, steps or 1, size)`; a stride of 0 repeats.
struct Input {
    Kind kind;
    const void* data;
    std::size_t sample_stride, step_stride;
    Number number = Number::float64;  // of values; counts are int8
};

struct Output {
    Kind kind;
    void* data;
    std::size_t size;
};

// The state of some samples: `(batch, state_size)` per population, `(batch, size)` per memory. Until it has
// `started` it is uninitialised: every sample is at its population's `start`, without spikes so far.
struct State {
    std::vector<Array<double>> voltage;
    std::vector<Array<std::uint32_t>> total;
    std::vector<Array<double>> sent;  // with their sign, of types whose spikes have one
    std::vector<Array<double>> sum, target;  // of currents, and the outputs that follow from them
    std::vector<Array<double>> memory;
    bool started = false;
    // Slabs of steps of each instruction that were listed, and that were multiplied by tiles; of these,
    // those with pixels as rows, and of these, those of which several are lanes side by side.
    struct Slabs {
        std::atomic<std::size_t> listed{0}, dense{0}, rows{0}, together{0};
    };
    std::unique_ptr<Slabs[]> slabs;
    // Groups of neurons behind each instruction whose counts were certain, and that were followed stepwise.
    struct Followed {
        std::atomic<std::size_t> certain{0}, stepwise{0};
    };
    std::unique_ptr<Followed[]> followed;
    // Magnitudes of spikes that exceed their bytes and are not in `total`: by sample and by place among the
    // neurons in the stored order.
    std::vector<std::map<std::pair<std::size_t, std::size_t>, double>> beyond;
    // The counts of each output of the last run that exceed their bytes.
    struct LargeOutput {
        std::size_t sample, step, place;
        double count;
    };
    std::vector<std::vector<LargeOutput>> large;
    void keep(std::size_t output, LargeOutput one);
    std::atomic<bool> exceeded{false};  // whether any count so far exceeded its byte
    std::mutex mutex;  // of what groups of samples share

    State(const Plan& plan, std::size_t batch)
        : slabs(std::make_unique<Slabs[]>(plan.instructions.size())),
          followed(std::make_unique<Followed[]>(plan.instructions.size())), beyond(plan.populations.size()) {
        for (const Population& p : plan.populations) {
            voltage.push_back(Array<double>::raw(batch * p.state_size()));
            total.push_back(Array<std::uint32_t>::raw(batch * p.state_size()));
            sent.push_back(Array<double>::raw(batch * p.sent_size()));
            sum.push_back(Array<double>::raw(batch * p.followed_size()));
            target.push_back(Array<double>::raw(batch * p.followed_size()));
        }
        for (const Memory& m : plan.memories) memory.push_back(Array<double>::raw(batch * m.size));
    }
};

// The arrays for a population's totals: `(batch, whole)` whole numbers of 1, 2 or 4 bytes, or doubles.
struct Totals {
    std::size_t bytes = 0;
    void *sent = nullptr, *net = nullptr;  // of neurons whose spikes have a sign, the second too
};

// The callback of a call in one run, with arrays `(batch, size)` of each input and `(steps, batch, size)` of
// each output; `f` gets the step of the run, and may throw.
struct Callback {
    std::function<void(std::size_t)> f;
    std::vector<double*> inputs;
    std::vector<const double*> outputs;
};

struct Job {
    const Plan* plan;
    State* state;
    std::vector<Input> inputs;
    std::vector<Output> outputs;
    std::size_t batch, steps, block, group, threads;
    std::size_t first = 0;  // steps done before this run
    bool last = false;      // no run follows: voltages need not be stored
    std::vector<Totals> totals{};  // of each population, if a last run returns them; then none are stored
    bool brief = false;  // the run is one block and all sums fit bytes, in which the next state holds them
    std::vector<Callback> callbacks{};  // of the plan's calls, in their order
    double dense = kNeverDense;  // tiles are used where events cost more than so many times as much
};

// Whether all totals that a run returns fit bytes: it is the first, and one block of capped neurons.
inline bool fits_bytes(const Job& job) {
    return !job.totals.empty() && job.steps <= job.block && !job.state->started && job.plan->fits_bytes(job.steps);
}

// `exceeded`: some counts of outputs exceed their bytes; they are in `State::large`.
enum class Outcome : int { done = 0, exceeded = 1, interrupted = 2 };

}  // namespace spikewright
