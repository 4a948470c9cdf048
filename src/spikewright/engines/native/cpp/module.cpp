// The Python module: plans are built piece by piece, states are run.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <limits>
#include <stdexcept>

#include "dispatch.hpp"
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

    std::size_t size_of(int buffer) const { return plan.buffers.at(std::size_t(buffer)).size; }

    Plan plan;

  private:
    static Array<double> parameter_row(const Doubles& values, std::size_t padded) {
        Array<double> row(padded);
        for (std::size_t i = 0; i < values.size(); ++i) row[i] = values.data()[i];
        return row;
    }
};

// State of a region for a batch. A run that fails leaves it as it was.
class Running {
  public:
    Running(const Region& region, std::size_t batch) : region_(&region), batch_(batch) {
        const std::size_t count = region.plan.populations.size();
        state_.voltage.resize(count);
        state_.total.resize(count);
        state_.next_voltage.resize(count);
        state_.next_total.resize(count);
    }

    int run(const std::vector<Taken>& inputs, const std::vector<Taken>& outputs, std::size_t steps,
            std::size_t block, std::size_t group, std::size_t threads, const std::string& isa) {
        const Kernels* kernels = find_kernels(isa);
        require(kernels != nullptr, "this processor cannot run those kernels");
        require(steps > 0 && block > 0 && group > 0 && threads > 0, "a run has steps and threads");
        for (std::size_t i = 0; i < state_.next_total.size(); ++i) {
            const std::size_t size = batch_ * region_->plan.populations[i].state_size();
            if (state_.next_voltage[i].empty()) state_.next_voltage[i] = Array<double>::raw(size);
            if (state_.next_total[i].empty()) state_.next_total[i] = Array<std::uint32_t>::raw(size);
        }
        Job job{&region_->plan, &state_, {}, {}, batch_, steps, std::min(block, steps),
                std::min(group, batch_), threads};
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
        if (outcome == Outcome::done) {
            std::swap(state_.voltage, state_.next_voltage);
            std::swap(state_.total, state_.next_total);
        }
        return int(outcome);
    }

    // `(batch, pixels, padded)`; None before the first run.
    nb::object voltage(std::size_t population) { return view(state_.voltage.at(population), population); }
    nb::object total(std::size_t population) { return view(state_.total.at(population), population); }

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
        if (values.empty()) return nb::none();
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
        .def("store", &Region::store);
    nb::class_<Running>(m, "Running")
        .def(nb::init<const Region&, std::size_t>(), nb::keep_alive<1, 2>())
        .def("run", &Running::run)
        .def("voltage", &Running::voltage)
        .def("total", &Running::total);
}
