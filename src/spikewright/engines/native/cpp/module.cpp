// The Python module: plans are built piece by piece, states are run.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <stdexcept>

#include "dispatch.hpp"
#include "functions.hpp"
#include "run.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace spikewright;

namespace {

template <class T>
using Given = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
using Doubles = Given<double>;
using Integers = Given<std::int32_t>;
using Taken = nb::ndarray<nb::c_contig, nb::device::cpu>;

void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

template <class T>
Array<T> copied(const Given<T>& values) {
    return Array<T>(values.data(), values.size());
}

Index index_of(const Integers& values, std::size_t size, std::size_t limit) {
    require(values.size() == 0 || values.size() == size, "an index has one entry per value");
    for (std::size_t i = 0; i < values.size(); ++i)
        require(values.data()[i] >= 0 && std::size_t(values.data()[i]) < limit, "an index is outside");
    return copied(values);
}

// `(pixels or 1, channels)` values with padded channels, `behind` in the padding.
Parameter parameter(const Doubles& values, std::size_t pixels, std::size_t channels,
                    std::size_t padded, double behind) {
    Parameter p;
    require(values.ndim() == 2 && values.shape(1) == channels, "a parameter is (pixels, channels)");
    const std::size_t rows = values.shape(0);
    require(rows == pixels || rows == 1, "a parameter has one row, or one per pixel");
    p.values.resize(rows * padded);
    p.pixel_stride = rows == 1 ? 0 : padded;
    p.uniform = rows == 1;
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < padded; ++c) {
            const double value = c < channels ? values.data()[r * channels + c] : behind;
            p.values[r * padded + c] = value;
            p.uniform = p.uniform && (c >= channels || value == values.data()[0]);
        }
    // Spare room belongs to blocks that reach beyond the last channel: nothing fires there.
    for (std::size_t k = 0; k < kSpare / sizeof(double); ++k)
        p.values.data()[rows * padded + k] = behind;
    return p;
}

class Region {
  public:
    int buffer(bool counts, std::size_t size) {
        plan.buffers.push_back({counts ? Kind::counts : Kind::values, size});
        return int(plan.buffers.size()) - 1;
    }

    int population(std::size_t pixels, std::size_t channels, const Doubles& threshold,
                   const std::vector<Doubles>& least, const Doubles& lowest,
                   bool has_floor, bool rectify, double cap, const Doubles& start) {
        constexpr double inf = std::numeric_limits<double>::infinity();
        Population p;
        p.pixels = pixels;
        p.channels = channels;
        p.padded = rounded_up(channels, 64);
        p.threshold = parameter(threshold, pixels, channels, p.padded, 1.0);
        p.inverse = p.threshold;
        for (std::size_t i = 0; i < p.inverse.values.size(); ++i)
            p.inverse.values[i] = 1.0 / p.threshold.values[i];
        require(least.size() == 3, "least voltages are for one, two and three spikes");
        for (std::size_t i = 0; i < 3; ++i)
            p.least[i] = parameter(least[i], pixels, channels, p.padded, inf);
        p.lowest = parameter(lowest, pixels, channels, p.padded, -inf);
        p.has_floor = has_floor;
        p.rectify = rectify;
        p.cap = cap;
        p.start = parameter(start, pixels, channels, p.padded, 0.0).values;
        require(p.start.size() == p.state_size(), "voltages are (pixels, channels)");
        plan.populations.push_back(std::move(p));
        return int(plan.populations.size()) - 1;
    }

    // `geometry`: height, width, channels, out height, width, channels, then kernel, stride, padding
    // and dilation as (y, x). `weights` is `(rows, out)` integers, `widths` the lanes of each block.
    void layer(int input, int output, int population, const std::vector<std::int64_t>& geometry,
               const Integers& weights, const std::vector<std::size_t>& widths,
               const Doubles& scale, const std::vector<std::int64_t>& budgets, bool has_gain,
               const Doubles& gain, const Doubles& bias) {
        require(geometry.size() == 14, "a layer's geometry has 14 numbers");
        auto l = std::make_shared<Layer>();
        const std::int64_t* g = geometry.data();
        l->height = g[0], l->width = g[1], l->channels = g[2];
        l->out_height = g[3], l->out_width = g[4], l->out_channels = g[5];
        l->kernel_height = g[6], l->kernel_width = g[7], l->stride_y = g[8], l->stride_x = g[9];
        l->pad_y = g[10], l->pad_x = g[11], l->dilation_y = g[12], l->dilation_x = g[13];
        const std::size_t rows = l->rows(), out = std::size_t(l->out_channels);
        require(weights.ndim() == 2 && weights.shape(0) == rows && weights.shape(1) == out,
                "weights are (rows, out)");
        require(size_of(input) >= std::size_t(l->height * l->width * l->channels) &&
                    size_of(output) == l->pixels() * out,
                "a layer's buffers have its sizes");
        std::size_t channel = 0, offset = 0;
        for (std::size_t width : widths) {
            require(width == 16 || width == 32 || width == 64, "lanes are 16, 32 or 64 wide");
            l->lanes.push_back({channel, width, offset});
            channel += width;
            offset += rows * width;
        }
        require(channel >= out && channel < out + 64, "lanes cover the output channels");
        l->weights.resize(offset);
        for (const Lanes& block : l->lanes)
            for (std::size_t r = 0; r < rows; ++r)
                for (std::size_t c = 0; c < block.width && block.channel + c < out; ++c)
                    l->weights[block.offset + r * block.width + c] =
                        weights.data()[r * out + block.channel + c];
        require(scale.size() == out, "a scale has one number per output channel");
        l->scale = parameter_row(scale, channel);
        require(budgets.size() == kMostRepeats + 1, "budgets");
        for (std::size_t i = 0; i <= kMostRepeats; ++i) {
            require(budgets[i] >= 127, "a budget holds the largest count");
            l->budgets[i] = budgets[i];
        }
        l->has_gain = has_gain;
        const std::size_t padded = rounded_up(out, 64);
        l->gain = parameter(gain, l->pixels(), out, padded, 0.0);
        l->bias = parameter(bias, l->pixels(), out, padded, 0.0);
        Instruction op{Action::layer};
        op.input = input, op.output = output, op.population = population;
        op.layer = std::move(l);
        plan.instructions.push_back(std::move(op));
    }

    void fire(int input, bool external, int output, int population, const Integers& index) {
        Instruction op{Action::fire};
        op.input = input, op.external = external, op.output = output, op.population = population;
        const std::size_t size = size_of(output);
        require(plan.populations.at(std::size_t(population)).channels == size, "a population's size");
        op.index = index_of(index, size, external ? size : size_of(input));
        plan.instructions.push_back(std::move(op));
    }

    // `geometry`: height, width, channels, out height and width, then size, stride, padding and
    // dilation as (y, x).
    void pool(int input, int output, const std::vector<std::int64_t>& g) {
        require(g.size() == 13, "a pool's geometry has 13 numbers");
        Instruction op{Action::pool};
        op.input = input, op.output = output;
        op.pool = std::make_shared<Pool>(Pool{g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8],
                                              g[9], g[10], g[11], g[12]});
        require(size_of(input) >= std::size_t(g[0] * g[1] * g[2]) &&
                    size_of(output) == std::size_t(g[3] * g[4] * g[2]),
                "a pool's buffers have its sizes");
        plan.instructions.push_back(std::move(op));
    }

    void take(int input, int output, const Integers& index) {
        Instruction op{Action::take};
        op.input = input, op.output = output;
        require(index.size() == size_of(output), "an index has one entry per value");
        op.index = index_of(index, size_of(output), size_of(input));
        plan.instructions.push_back(std::move(op));
    }

    void combine(bool counts, int output, const std::vector<int>& sources,
                 const std::vector<bool>& external, const std::vector<double>& factors,
                 const std::vector<Integers>& indices, const Doubles& gain, const Doubles& bias) {
        Instruction op{counts ? Action::add : Action::sum};
        op.output = output;
        const std::size_t size = size_of(output);
        for (std::size_t i = 0; i < sources.size(); ++i) {
            Operand term;
            term.source = sources[i], term.external = external[i], term.factor = factors[i];
            term.index = index_of(indices[i], size, external[i] ? size : size_of(sources[i]));
            op.operands.push_back(std::move(term));
        }
        op.has_gain = gain.size() > 0, op.has_bias = bias.size() > 0;
        require((!op.has_gain || gain.size() == size) && (!op.has_bias || bias.size() == size),
                "gain and bias have one number per value");
        op.gain.values = copied(gain);
        op.bias.values = copied(bias);
        plan.instructions.push_back(std::move(op));
    }

    void load(int input, int output, const Integers& index) {
        Instruction op{Action::load};
        op.input = input, op.output = output;
        op.index = index_of(index, size_of(output), size_of(output));
        plan.instructions.push_back(std::move(op));
    }

    void store(int input, int output, const Integers& index) {
        Instruction op{Action::store};
        op.input = input, op.output = output;
        op.index = index_of(index, size_of(input), size_of(input));
        plan.instructions.push_back(std::move(op));
    }

    // State of a population, filter or pool, one number per value of `start`.
    int memory(const Doubles& start) {
        plan.memories.push_back({start.size(), copied(start)});
        return int(plan.memories.size()) - 1;
    }

    // `when` is "block", "emit" (first in a step) or "absorb" (last); `matrix` is A.
    void filter(const std::string& when, int input, int output, const Doubles& matrix,
                const std::vector<double>& b, const std::vector<double>& c, bool direct, double d,
                const std::vector<std::int32_t>& states, std::int32_t kept) {
        auto f = std::make_shared<Filtering>();
        f->order = b.size();
        require(f->order <= kMostOrder, "a filter's order is limited");
        require(matrix.size() == b.size() * b.size() && c.size() == b.size() &&
                    states.size() == b.size(),
                "a filter's matrices have its order");
        f->A.assign(matrix.data(), matrix.data() + matrix.size());
        f->B = b, f->C = c, f->direct = direct, f->D = d, f->states = states, f->output = kept;
        for (std::int32_t state : states) require_memory(state, size_of(output));
        require_memory(kept, size_of(output));
        require(size_of(input) == size_of(output), "a filter keeps its signal's size");
        Instruction op{when == "emit"     ? Action::emit
                       : when == "absorb" ? Action::absorb
                                          : Action::filter};
        op.input = input, op.output = output, op.filter = std::move(f);
        plan.instructions.push_back(std::move(op));
    }

    // `numbers`: slope, most, tau_ref, tau_rc, amplitude, floor (NaN: none), cap, dt, min_voltage,
    // most_share. `memories`: voltage, second, third, total. See `Cells`.
    void cells(int input, int output, int cell, int rate, bool negative, bool truncate,
               const std::vector<double>& numbers, const Doubles& threshold,
               const std::vector<std::int32_t>& memories, int voltage_out) {
        require(numbers.size() == 10 && memories.size() == 4, "cells have 10 numbers, 4 memories");
        auto p = std::make_shared<Cells>();
        p->cell = Cell(cell), p->rate = Rate(rate), p->size = size_of(output);
        p->negative = negative, p->truncate = truncate;
        p->slope = numbers[0], p->most = numbers[1], p->tau_ref = numbers[2];
        p->tau_rc = numbers[3], p->amplitude = numbers[4];
        p->has_floor = numbers[5] == numbers[5], p->floor = numbers[5], p->cap = numbers[6];
        p->dt = numbers[7], p->min_voltage = numbers[8], p->most_share = numbers[9];
        p->decay = p->tau_rc > 0.0 ? expm1_of(p->dt * (-1.0 / p->tau_rc)) : 0.0;
        require(threshold.size() == p->size && size_of(input) == p->size, "a population's size");
        p->threshold = copied(threshold);
        for (std::int32_t memory : memories)
            if (memory >= 0) require_memory(memory, p->size);
        p->voltage = memories[0], p->second = memories[1], p->third = memories[2];
        p->total = memories[3], p->voltage_out = voltage_out;
        require(voltage_out < 0 || size_of(voltage_out) == p->size, "a voltage's size");
        Instruction op{Action::cells};
        op.input = input, op.output = output, op.cells = std::move(p);
        plan.instructions.push_back(std::move(op));
    }

    // The layer added last reads values, in so many limbs of so many bits.
    void analog(int bits, int limbs) {
        require(!plan.instructions.empty() && plan.instructions.back().layer, "a layer comes first");
        require(bits > 1 && bits < 52 && limbs > 0 && limbs <= 3, "limbs");
        plan.instructions.back().action = Action::analog;
        plan.instructions.back().layer->limb_bits = bits;
        plan.instructions.back().layer->limbs = limbs;
    }

    void sparse(int input, int output, const std::vector<std::int64_t>& starts,
                const Integers& columns, const Doubles& values, double factor) {
        auto m = std::make_shared<SparseRows>();
        require(starts.size() == size_of(output) + 1 && starts.front() == 0 &&
                    std::size_t(starts.back()) == values.size() && columns.size() == values.size(),
                "a sparse map has its entries by row");
        for (std::size_t i = 0; i < columns.size(); ++i)
            require(columns.data()[i] >= 0 && std::size_t(columns.data()[i]) < size_of(input),
                    "an entry is outside");
        m->starts = starts, m->factor = factor;
        m->columns.assign(columns.data(), columns.data() + columns.size());
        m->values.assign(values.data(), values.data() + values.size());
        Instruction op{Action::sparse};
        op.input = input, op.output = output, op.sparse = std::move(m);
        plan.instructions.push_back(std::move(op));
    }

    // The pool added last sums values ("sum"), or gives their maxima ("max", "running max").
    void pool_of_values(const std::string& how, const std::vector<std::int32_t>& memories) {
        require(!plan.instructions.empty() && plan.instructions.back().pool, "a pool comes first");
        Instruction& op = plan.instructions.back();
        op.action = how == "sum"   ? Action::pool_values
                    : how == "max" ? Action::max_pool
                                   : Action::running_max_pool;
        if (op.action == Action::running_max_pool) {
            require(memories.size() == 2, "running sums and what was sent");
            require_memory(memories[0], size_of(op.input));
            require_memory(memories[1], size_of(op.output));
        }
        op.memories = memories;
    }

    std::size_t size_of(int buffer) const { return plan.buffers.at(std::size_t(buffer)).size; }

    Plan plan;

  private:
    void require_memory(std::int32_t number, std::size_t size) const {
        require(plan.memories.at(std::size_t(number)).size == size, "a memory has its signal's size");
    }

    static Array<double> parameter_row(const Doubles& values, std::size_t padded) {
        Array<double> row(padded);
        for (std::size_t i = 0; i < values.size(); ++i) row[i] = values.data()[i];
        return row;
    }
};

// State of a region for a batch. A run that fails leaves it as it was.
class Running {
  public:
    Running(const Region& region, std::size_t batch)
        : region_(&region), batch_(batch), state_(region.plan, batch) {}

    int run(const std::vector<Taken>& inputs, const std::vector<Taken>& outputs, std::size_t steps,
            std::size_t block, std::size_t group, std::size_t threads, const std::string& isa,
            std::size_t first, bool last) {
        const Kernels* kernels = find_kernels(isa);
        require(kernels != nullptr, "this processor cannot run those kernels");
        require(steps > 0 && block > 0 && group > 0 && threads > 0, "a run has steps and threads");
        Job job{&region_->plan, &state_, {}, {}, batch_, steps, std::min(block, steps),
                std::min(group, batch_), threads, first, last};
        for (const Taken& array : inputs) job.inputs.push_back(input(array, steps));
        for (const Taken& array : outputs)
            job.outputs.push_back({kind(array), const_cast<void*>(static_cast<const void*>(array.data())),
                                   array.size() / (batch_ * steps)});
        Outcome outcome;
        {
            const nb::gil_scoped_release release;
            outcome = spikewright::run(job, *kernels, [] {
                const nb::gil_scoped_acquire acquire;
                return PyErr_CheckSignals() != 0;
            });
        }
        if (PyErr_Occurred()) throw nb::python_error();
        return int(outcome);
    }

    // `(batch,)`: which samples the last run has brought through all its steps.
    nb::object finished() {
        return nb::cast(nb::ndarray<nb::numpy, std::uint8_t>(state_.finished.data(), {batch_}),
                        nb::rv_policy::copy);
    }

    // `(batch, pixels, padded)`; None before the first run.
    nb::object voltage(std::size_t population) { return view(state_.voltage.at(population), population); }

    // Spikes so far, as `(batch, size)` doubles: element k of a sample is stored at `where[k]`, or at k
    // where that is empty.
    void total(std::size_t population, const Integers& where, const Taken& to) const {
        const Population& p = region_->plan.populations.at(population);
        const std::size_t size = p.pixels * p.channels;
        require(to.size() == batch_ * size && kind(to) == Kind::values, "totals are (batch, size)");
        require(where.size() == 0 || where.size() == size, "every neuron is stored somewhere");
        std::vector<std::uint32_t> at(size);
        for (std::size_t k = 0; k < size; ++k) {
            const std::size_t place = where.size() ? std::size_t(where.data()[k]) : k;
            require(place < size, "every neuron is stored somewhere");
            at[k] = std::uint32_t(place / p.channels * p.padded + place % p.channels);
        }
        auto* values = const_cast<double*>(static_cast<const double*>(to.data()));
        for (std::size_t b = 0; b < batch_; ++b) {
            const std::uint32_t* from = state_.total[population].data() + b * p.state_size();
            for (std::size_t k = 0; k < size; ++k)
                values[b * size + k] = state_.started ? double(from[at[k]]) : 0.0;
        }
    }

    // `(batch, size)`; None before the first run.
    nb::object memory(std::size_t number) {
        Array<double>& values = state_.memory.at(number);
        if (!state_.started) return nb::none();
        const std::size_t size = region_->plan.memories[number].size;
        return nb::cast(nb::ndarray<nb::numpy, double>(values.data(), {batch_, size}),
                        nb::rv_policy::copy);
    }

  private:
    static Kind kind(const Taken& array) {
        if (array.dtype() == nb::dtype<std::int8_t>()) return Kind::counts;
        require(array.dtype() == nb::dtype<double>(), "signals are int8 or float64");
        return Kind::values;
    }

    Input input(const Taken& array, std::size_t steps) const {
        require(array.ndim() == 3, "an input is (batch or 1, steps or 1, size)");
        const std::size_t samples = array.shape(0), count = array.shape(1), size = array.shape(2);
        require((samples == batch_ || samples == 1) && (count == steps || count == 1),
                "an input has the batch's samples, and the run's steps");
        return {kind(array), array.data(), samples == 1 ? 0 : count * size, count == 1 ? 0 : size};
    }

    template <class T>
    nb::object view(Array<T>& values, std::size_t population) {
        if (!state_.started) return nb::none();
        const Population& p = region_->plan.populations[population];
        return nb::cast(nb::ndarray<nb::numpy, T>(values.data(), {batch_, p.pixels, p.padded}),
                        nb::rv_policy::copy);
    }

    const Region* region_;
    std::size_t batch_;
    State state_;
};

}  // namespace

NB_MODULE(_kernels, m) {
    m.doc() = "Kernels of the native engine; see the files in `cpp`.";
    m.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (const Kernels* kernels : usable_kernels()) names.emplace_back(kernels->name);
        return names;
    });
    nb::class_<Region>(m, "Region")
        .def(nb::init<>())
        .def("buffer", &Region::buffer)
        .def("population", &Region::population)
        .def("layer", &Region::layer)
        .def("fire", &Region::fire)
        .def("pool", &Region::pool)
        .def("take", &Region::take)
        .def("combine", &Region::combine)
        .def("load", &Region::load)
        .def("store", &Region::store)
        .def("memory", &Region::memory)
        .def("filter", &Region::filter)
        .def("cells", &Region::cells)
        .def("analog", &Region::analog)
        .def("sparse", &Region::sparse)
        .def("pool_of_values", &Region::pool_of_values);
    nb::class_<Running>(m, "Running")
        .def(nb::init<const Region&, std::size_t>(), nb::keep_alive<1, 2>())
        .def("run", &Running::run)
        .def("finished", &Running::finished)
        .def("voltage", &Running::voltage)
        .def("total", &Running::total)
        .def("memory", &Running::memory);
}
