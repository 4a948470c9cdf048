// The Python module: builds plans of regions piece by piece, and runs their states.

#include <cstring>
#include <iomanip>
#include <optional>
#include <sstream>
#include <system_error>

#include "callbacks.hpp"
#include "dispatch.hpp"
#include "region.hpp"
#include "run.hpp"

using namespace spikewright;
using namespace nb::literals;

namespace {

// The state of a region for a batch. A run that fails leaves it unchanged.
class RegionState {
  public:
    using Written = nb::ndarray<double, nb::c_contig, nb::device::cpu>;
    // An operator that Python computes in a run: a function of the step, arrays `(batch, ...)` that it
    // reads and `(steps or more, batch, ...)` that it writes. No reference is kept.
    using HostCall = std::tuple<nb::callable, std::vector<Written>, std::vector<Written>>;
    // The arrays for a population's totals; the second one is for neurons whose spikes have a sign.
    using TotalArrays = std::tuple<AnyArray, std::optional<AnyArray>>;

    RegionState(const Region& region, std::size_t batch)
        : region_(&region), batch_(batch), state_(region.plan, batch) {}

    int run(const std::vector<AnyArray>& inputs, const std::vector<AnyArray>& outputs, std::size_t steps,
            std::size_t block, std::size_t group, std::size_t threads, const std::string& isa,
            std::size_t first, bool last, const std::vector<HostCall>& calls,
            const std::vector<TotalArrays>& totals, double dense) {
        require(steps > 0 && block > 0 && group > 0 && threads > 0, "a run has steps and threads");
        Job job = job_of(inputs, outputs, steps);
        job.block = std::min(block, steps), job.group = std::min(group, batch_);
        job.threads = threads, job.first = first, job.last = last;
        job.callbacks = callbacks(calls, job);
        require(totals.empty() || (last && totals.size() == region_->plan.populations.size()),
                "a last run gives the sums of all populations");
        for (std::size_t i = 0; i < totals.size(); ++i)
            job.totals.push_back(totals_to(i, std::get<0>(totals[i]), std::get<1>(totals[i])));
        job.brief = fits_bytes(job);
        const Kernels& kernels = kernels_of(isa);
        job.dense = dense;
        return outcome_of(false, [&] { return spikewright::run(job, kernels, asked); });
    }

    static const Kernels& kernels_of(const std::string& isa) {
        const Kernels* kernels = find_kernels(isa);
        require(kernels != nullptr, "this processor cannot run those kernels");
        return *kernels;
    }

    // One block of this many steps, all samples and one thread.
    Job job_of(const std::vector<AnyArray>& inputs, const std::vector<AnyArray>& outputs, std::size_t steps) {
        Job job{&region_->plan, &state_, {}, {}, batch_, steps, steps, batch_, 1};
        for (const AnyArray& array : inputs) {
            job.inputs.push_back(input(array, steps));
            const Number number = job.inputs.back().number;
            const bool wide = number == Number::float64 || number == Number::int8;
            require(wide || region_->only_loads(job.inputs.size() - 1), "an input of such numbers is loaded");
        }
        for (const AnyArray& array : outputs)
            job.outputs.push_back({kind(array), const_cast<void*>(static_cast<const void*>(array.data())),
                                   array.size() / (batch_ * steps)});
        return job;
    }

    std::vector<Callback> callbacks(const std::vector<HostCall>& calls, const Job& job) const {
        std::vector<Callback> made;
        for (const HostCall& calling : calls) made.push_back(callback(calling, job.steps));
        check_callbacks(job, calls);
        return made;
    }

    // Whether the user interrupts a run, which has let go of the interpreter.
    static bool asked() {
        const nb::gil_scoped_acquire acquire;
        return PyErr_CheckSignals() != 0;
    }

    // A `brief` run keeps the interpreter: where others want it too, having it back would take longer.
    template <class F>
    static int outcome_of(bool brief, F&& run) {
        Outcome outcome;
        {
            std::optional<nb::gil_scoped_release> others;
            if (!brief) others.emplace();
            outcome = run();
        }
        if (PyErr_Occurred()) throw nb::python_error();
        return int(outcome);
    }

    // The counts of an output of the last run that bytes do not hold: rows of sample, step, place and count.
    nb::object large(std::size_t output) const {
        std::vector<std::array<double, 4>> rows;
        for (const State::LargeOutput& one : state_.large.at(output))
            rows.push_back({double(one.sample), double(one.step), double(one.place), one.count});
        return table(rows);
    }

    // The spikes of a population, without their sign, that are beyond the bytes of their steps and not among
    // its totals: rows of sample, place as the program orders neurons, and number.
    nb::object beyond(std::size_t population) const {
        const Population& p = region_->plan.populations.at(population);
        std::vector<std::array<double, 3>> rows;
        for (const auto& [where, spikes] : state_.beyond[population])
            rows.push_back({double(where.first), double(place_of(p, where.second)), spikes});
        return table(rows);
    }

    // Keeps the present state, to which `undo` returns.
    void save() {
        saved_started_ = state_.started;
        saved_beyond_ = state_.beyond;
        if (!state_.started) return;
        if (!saved_) saved_.emplace(region_->plan, batch_);
        each_array(*saved_, [](auto& to, const auto& from) {
            std::memcpy(to.data(), from.data(), from.size() * sizeof(from[0]));
        });
    }

    void undo() {
        state_.started = saved_started_;
        state_.beyond = saved_beyond_;
        if (saved_started_)
            each_array(*saved_, [](const auto& from, auto& to) {
                std::memcpy(to.data(), from.data(), from.size() * sizeof(from[0]));
            });
    }

    // All of the state, array by array, then rows of spikes beyond `total`, if any; None before the first run.
    nb::object arrays() {
        if (!state_.started) return nb::none();
        nb::list found;
        each_array(state_, [&](auto& values, auto&) {
            using T = std::remove_cvref_t<decltype(values[0])>;
            found.append(nb::cast(nb::ndarray<nb::numpy, T>(values.data(), {values.size()}),
                                  nb::rv_policy::copy));
        });
        const auto none = [](const auto& spikes) { return spikes.empty(); };
        if (std::ranges::all_of(state_.beyond, none)) return found;
        for (const auto& population : state_.beyond) {
            std::vector<std::array<double, 3>> rows;
            for (const auto& [where, spikes] : population)
                rows.push_back({double(where.first), double(where.second), spikes});
            found.append(table(rows));
        }
        return found;
    }

    // The state becomes that of these arrays.
    void restore(const std::vector<AnyArray>& given) {
        std::size_t n = 0;
        each_array(state_, [&](auto& values, auto&) {
            using T = std::remove_cvref_t<decltype(values[0])>;
            require(n < given.size() && given[n].size() == values.size(), "a state has the region's arrays");
            const AnyArray& from = given[n++];
            require(from.dtype() == nb::dtype<T>(), "a state has the region's arrays");
            std::memcpy(values.data(), from.data(), values.size() * sizeof(T));
        });
        const std::size_t populations = state_.beyond.size();
        require(n == given.size() || n + populations == given.size(), "a state has the region's arrays");
        for (std::size_t i = 0; i < populations; ++i) {
            state_.beyond[i].clear();
            if (n == given.size()) continue;
            const AnyArray& rows = given[n + i];
            require(rows.dtype() == nb::dtype<double>() && rows.size() % 3 == 0, "spikes are rows of three");
            const auto* row = static_cast<const double*>(rows.data());
            for (std::size_t k = 0; k < rows.size(); k += 3)
                state_.beyond[i][{std::size_t(row[k]), std::size_t(row[k + 1])}] = row[k + 2];
        }
        state_.started = true;
    }

    // Writes spikes of either sign so far and, of neurons whose spikes have a sign, their sum: see `Totals`.
    void totals(std::size_t population, const AnyArray& sent, const std::optional<AnyArray>& net) const {
        const Population& p = region_->plan.populations.at(population);
        const Totals to = totals_to(population, sent, net);
        const std::vector<std::uint32_t> none(p.state_size());
        const std::vector<double> nothing(p.sent_size());
        for (std::size_t b = 0; b < batch_; ++b)
            usable_kernels().back().write_totals(
                p, to, b, state_.started ? state_.total[population].data() + b * p.state_size() : none.data(),
                state_.started ? state_.sent[population].data() + b * p.sent_size() : nothing.data());
    }

    // `(batch, size)`, a part of a memory; None before the first run.
    nb::object memory(std::size_t number, std::size_t offset, std::size_t size) {
        const Array<double>& values = state_.memory.at(number);
        if (!state_.started) return nb::none();
        const std::size_t whole = region_->plan.memories[number].size;
        require(offset + size <= whole, "a part lies in its memory");
        auto* part = new double[batch_ * size];
        const nb::capsule owner(part, [](void* p) noexcept { delete[] static_cast<double*>(p); });
        for (std::size_t b = 0; b < batch_; ++b)
            std::copy_n(values.data() + b * whole + offset, size, part + b * size);
        return nb::cast(nb::ndarray<nb::numpy, double>(part, {batch_, size}, owner));
    }

    // Whether any count so far was beyond its byte.
    bool exceeded() const { return state_.exceeded; }

    // Of each layer, but for depthwise ones: its number, and how many slabs of steps were listed and multiplied by
    // tiles; of these, how many with pixels as rows.
    std::vector<std::array<std::size_t, 5>> slabs() const {
        std::vector<std::array<std::size_t, 5>> found;
        for (std::size_t i = 0; i < region_->plan.instructions.size(); ++i) {
            const Action action = region_->plan.instructions[i].action;
            if (action == Action::layer || action == Action::signed_layer || action == Action::analog)
                found.push_back({i, state_.slabs[i].listed, state_.slabs[i].dense, state_.slabs[i].rows,
                                 state_.slabs[i].together});
        }
        return found;
    }

    // Of each layer: its number, and how many groups of neurons behind it had counts that were certain, and
    // were followed step by step.
    std::vector<std::array<std::size_t, 3>> followed() const {
        std::vector<std::array<std::size_t, 3>> found;
        for (std::size_t i = 0; i < region_->plan.instructions.size(); ++i)
            if (region_->plan.instructions[i].lists())
                found.push_back({i, state_.followed[i].certain, state_.followed[i].stepwise});
        return found;
    }

    // Whether all of a memory is; before the first run it is.
    bool finite(std::size_t number) const {
        const Array<double>& values = state_.memory.at(number);
        return !state_.started || all_finite(values.data(), values.size());
    }

  private:
    // f(array of the other state, array of this one), for all of them.
    template <class F>
    void each_array(State& other, F&& f) {
        const auto both = [&](auto& first, auto& second) {
            for (std::size_t i = 0; i < first.size(); ++i) f(first[i], second[i]);
        };
        both(other.voltage, state_.voltage);
        both(other.total, state_.total);
        both(other.sent, state_.sent);
        both(other.sum, state_.sum);
        both(other.target, state_.target);
        both(other.memory, state_.memory);
    }

    // Rows of so many numbers.
    template <std::size_t columns>
    static nb::object table(const std::vector<std::array<double, columns>>& rows) {
        const auto* numbers = reinterpret_cast<const double*>(rows.data());
        return nb::cast(nb::ndarray<nb::numpy, const double>(numbers, {rows.size(), columns}), nb::rv_policy::copy);
    }

    // The place of a neuron, as it is stored, among those of its layer in the program's order.
    static std::size_t place_of(const Population& p, std::size_t stored) {
        const Places& places = p.places;
        if (places.turned) return places.first + stored % p.channels * p.pixels + stored / p.channels;
        return places.index.empty() ? places.first + stored : std::size_t(places.index[stored]);
    }

    Totals totals_to(std::size_t population, const AnyArray& sent, const std::optional<AnyArray>& net) const {
        const Population& p = region_->plan.populations.at(population);
        require((p.sent_size() > 0) == net.has_value(), "both sums are of neurons whose spikes have a sign");
        const auto room = [&](const AnyArray& to) {
            require(to.size() == batch_ * p.places.whole && to.dtype() == sent.dtype(),
                    "totals are (batch, whole)");
            return const_cast<void*>(static_cast<const void*>(to.data()));
        };
        return {width_of(sent), room(sent), net ? room(*net) : nullptr};
    }

    static std::size_t width_of(const AnyArray& array) {
        if (array.dtype() == nb::dtype<double>()) return 0;
        require(array.dtype() == nb::dtype<std::int8_t>() || array.dtype() == nb::dtype<std::int16_t>() ||
                    array.dtype() == nb::dtype<std::int32_t>(),
                "totals are int8, int16, int32 or float64");
        return array.itemsize();
    }

    Callback callback(const HostCall& calling, std::size_t steps) const {
        const auto& [function, inputs, outputs] = calling;
        Callback made;
        made.f = [&function = function](std::size_t step) {
            const nb::gil_scoped_acquire acquire;
            function(step);
        };
        for (const Written& array : inputs) {
            require(array.ndim() > 0 && array.shape(0) == batch_, "what is read is (batch, ...)");
            made.inputs.push_back(array.data());
        }
        for (const Written& array : outputs) {
            require(array.ndim() > 1 && array.shape(0) >= steps && array.shape(1) == batch_,
                    "what is made is (steps, batch, ...)");
            made.outputs.push_back(array.data());
        }
        return made;
    }

    void check_callbacks(const Job& job, const std::vector<HostCall>& calls) const {
        std::size_t n = 0;
        for (const Instruction& op : job.plan->instructions) {
            if (!op.call) continue;
            require(n < calls.size(), "every call is answered");
            const auto& [function, inputs, outputs] = calls[n++];
            require(inputs.size() == op.call->inputs.size() &&
                        outputs.size() == op.call->outputs.size(),
                    "a call has arrays for all that it reads and gives");
            for (std::size_t i = 0; i < inputs.size(); ++i)
                require(inputs[i].size() == batch_ * region_->size_of(op.call->inputs[i]), "a call's sizes");
            for (std::size_t i = 0; i < outputs.size(); ++i)
                require(outputs[i].size() ==
                            outputs[i].shape(0) * batch_ * region_->size_of(op.call->outputs[i]),
                        "a call's sizes");
        }
        require(n == calls.size(), "every call is answered");
        require(n == 0 || (job.threads == 1 && job.block == 1 && job.group == batch_),
                "calls are made step by step, of all samples");
    }

    static Kind kind(const AnyArray& array) {
        if (array.dtype() == nb::dtype<std::int8_t>()) return Kind::counts;
        require(array.dtype() == nb::dtype<double>(), "signals are int8 or float64");
        return Kind::values;
    }

    static Number number_of(const AnyArray& array) {
        if (array.dtype() == nb::dtype<double>()) return Number::float64;
        if (array.dtype() == nb::dtype<float>()) return Number::float32;
        if (array.dtype() == nb::dtype<std::int8_t>()) return Number::int8;
        require(array.dtype() == nb::dtype<std::uint8_t>(), "an input is float64, float32, int8 or uint8");
        return Number::uint8;
    }

    Input input(const AnyArray& array, std::size_t steps) const {
        require(array.ndim() == 3, "an input is (batch or 1, steps or 1, size)");
        const std::size_t samples = array.shape(0), count = array.shape(1), size = array.shape(2);
        require((samples == batch_ || samples == 1) && (count == steps || count == 1),
                "an input has the batch's samples, and the run's steps");
        const Number number = number_of(array);
        return {number == Number::int8 ? Kind::counts : Kind::values, array.data(), samples == 1 ? 0 : count * size,
                count == 1 ? 0 : size, number};
    }

    const Region* region_;
    std::size_t batch_;
    State state_;
    std::optional<State> saved_;  // once something has been
    decltype(State::beyond) saved_beyond_;
    bool saved_started_ = false;
};

// Steps of a region one by one, on arrays that stay the same: `inputs` are `(batch or 1, 1, size)`,
// `outputs` `(batch, 1, size)`.
class StepRunner {
  public:
    StepRunner(RegionState& running, std::vector<AnyArray> inputs, std::vector<AnyArray> outputs, std::size_t group,
             const std::string& isa)
        : running_(running), inputs_(std::move(inputs)), outputs_(std::move(outputs)),
          job_(running.job_of(inputs_, outputs_, 1)), repeated_(grouped(group), running.kernels_of(isa)) {}

    int step(std::size_t first, bool brief, const std::vector<RegionState::HostCall>& calls) {
        std::vector<Callback> callbacks = running_.callbacks(calls, job_);
        return RegionState::outcome_of(
            brief, [&] { return repeated_.run(first, std::move(callbacks), RegionState::asked); });
    }

  private:
    const Job& grouped(std::size_t group) {
        require(group > 0, "a group has samples");
        job_.group = std::min(group, job_.batch);
        return job_;
    }

    RegionState& running_;
    std::vector<AnyArray> inputs_, outputs_;  // whose memory the job reads and writes
    Job job_;
    PreparedJob repeated_;
};

// Binds an enumeration with the names that its declaration lists.
template <class E>
void bind_enum(nb::module_& m, const char* name) {
    nb::enum_<E> bound(m, name);
    std::istringstream names(names_of(E{}));
    std::int32_t number = 0;
    for (std::string one; std::getline(names >> std::ws, one, ',');) bound.value(one.c_str(), E(number++));
}

// Weights `(out, ...)` of a network, times the heights of their columns, as kernels read them: on the grid, or whole
// numbers of the `steps` of their channels. Row k of the lanes is column `order[k]`.
Packed packed(const nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>& weights, const Integers& order,
              const Doubles& heights, const Doubles& steps, const std::vector<std::size_t>& widths, Reading reading,
              std::size_t channels, int bits, std::size_t limbs, std::size_t threads) {
    require(bits > 1 && bits <= 27, "a limb of a weight has at most 27 bits");
    require(limbs >= 1 && limbs <= kMostWeightLimbs, "weights are one limb or two");
    require(weights.ndim() > 0 && weights.shape(0) > 0, "weights are (out, ...)");
    const std::size_t out = weights.shape(0), columns = weights.size() / out;
    const std::size_t rows = order.size() ? order.size() : columns;
    index_of(order, order.size(), columns);
    require(!heights.size() || heights.size() == columns, "heights are one a column");
    require(!steps.size() || (steps.size() == out && limbs == 1), "steps are one an output channel, of one limb");
    std::size_t covered = 0;
    for (std::size_t width : widths) {
        require(width == 16 || width == 32 || width == 64, "lanes are 16, 32 or 64 wide");
        covered += width;
    }
    require(covered >= out && covered < out + 64, "lanes cover the output channels");
    require((reading == Reading::both) == (channels > 0) && (!channels || rows % channels == 0),
            "counts of either sign have their channels in every tap");
    const Order held{order.size() ? order.data() : nullptr, rows};
    const Scales scales{heights.size() ? heights.data() : nullptr, steps.size() ? steps.data() : nullptr};
    const auto make = [&](const auto* values) {
        const nb::gil_scoped_release release;
        return pack(values, scales, out, columns, held, widths, reading, channels, bits, limbs, threads);
    };
    if (weights.dtype() == nb::dtype<float>()) return make(static_cast<const float*>(weights.data()));
    require(weights.dtype() == nb::dtype<double>(), "weights are float32 or float64");
    return make(static_cast<const double*>(weights.data()));
}

nb::object copy_of(const SharedWeights& weights) {
    return nb::cast(nb::ndarray<nb::numpy, const std::int32_t>(weights.data(), {weights.size()}),
                    nb::rv_policy::copy);
}

void bind_packing(nb::module_& m) {
    nb::enum_<Reading>(m, "Reading")
        .value("plain", Reading::plain)
        .value("both", Reading::both)
        .value("depthwise", Reading::depthwise);
    nb::class_<Packed>(m, "Packed")
        .def_prop_ro("units", [](const Packed& p) { return p.units; })
        .def_prop_ro("budgets", [](const Packed& p) {
            return std::vector<std::int64_t>(p.budgets, p.budgets + kMostRepeats + 1);
        })
        .def_ro("low_budget", &Packed::low_budget)
        .def_prop_ro("weights", [](const Packed& p) { return copy_of(p.weights); })
        .def_prop_ro("low", [](const Packed& p) { return copy_of(p.low); });
    m.def("pack", &packed, "weights"_a, nb::kw_only(), "order"_a = nb::none(), "heights"_a = nb::none(),
          "steps"_a = nb::none(), "widths"_a, "reading"_a, "channels"_a = 0, "bits"_a, "limbs"_a = 1, "threads"_a = 1);
}

// Integrators through all steps; arrays of one precision.
template <class Real>
void bind_integrate_sequence(nb::module_& m, void (*Kernels::*kernel)(const SequenceIntegration<Real>&)) {
    using Currents = nb::ndarray<const Real, nb::ndim<3>, nb::device::cpu>;
    using Row = nb::ndarray<const Real, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
    using Values = nb::ndarray<Real, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
    using Sums = nb::ndarray<Real, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
    m.def("integrate_sequence", [kernel](const NeuronModel& model, const Currents& currents, const Row& thresholds,
                                      const Row& starts, const Values& values, const Sums& net,
                                      const std::optional<Sums>& all, const std::string& isa) {
        const Kernels* kernels = find_kernels(isa);
        require(kernels != nullptr, "this processor cannot run those kernels");
        const std::size_t steps = currents.shape(0), samples = currents.shape(1), size = currents.shape(2);
        const auto sums = [&](const Sums& s) { return s.shape(0) == samples && s.shape(1) == size; };
        require(currents.stride(2) == 1 && currents.stride(1) == std::int64_t(size) &&
                    currents.stride(0) >= 0, "samples of currents lie one behind the other");
        require(thresholds.shape(0) == size && starts.shape(0) == size, "a threshold and start a neuron");
        require(values.shape(0) == steps && values.shape(1) == samples && values.shape(2) == size &&
                    sums(net) && (!all || sums(*all)), "results have the shape of currents");
        require(model.neuron_kind == NeuronKind::integrate || model.neuron_kind == NeuronKind::bipolar, "neurons integrate");
        const SequenceIntegration<Real> job{&model, currents.data(), thresholds.data(), starts.data(), steps, samples, size,
                                std::size_t(currents.stride(0)), values.data(), net.data(),
                                all ? all->data() : nullptr};
        const nb::gil_scoped_release release;
        (kernels->*kernel)(job);
    }, nb::kw_only(), "model"_a, "currents"_a.noconvert(), "thresholds"_a, "starts"_a, "values"_a.noconvert(),
       "net"_a.noconvert(),
       "all"_a.noconvert().none(), "isa"_a = "");
}

void bind_limits(nb::module_& m) {
    m.attr("CHUNK") = kChunk;
    m.attr("MOST_COLUMNS") = kMostColumns;
    m.attr("MOST_COUNTS") = kMostCounts;
    m.attr("MOST_LIMBS") = kMostLimbs;
    m.attr("MOST_ORDER") = kMostOrder;
    m.attr("MOST_OUTPUTS") = kMostOutputs;
    m.attr("MOST_RECEIVERS") = kMostReceivers;
    m.attr("MOST_REPEATS") = kMostRepeats;
    m.attr("MOST_PART_RECEIVERS") = kMostPartReceivers;
    m.attr("MOST_WAITING_STEPS") = kMostWaitingSteps;
    m.attr("MOST_RULES") = kMostRules;
    m.attr("NO_BUDGET") = kNoBudget;
    m.attr("TOLERANCE") = kTolerance;
}

// Descriptions that Python makes field by field, all by name.
void bind_descriptions(nb::module_& m) {
    using Two = std::array<std::int64_t, 2>;
    using Three = std::array<std::int64_t, 3>;
    nb::class_<Limbs>(m, "Limbs")
        .def("__init__", [](Limbs* to, int bits, int most, int weights, double wide, double reach) {
            require(bits > 1 && bits < 52 && most > 0 && most <= kMostLimbs, "limbs");
            require(weights >= 1 && weights <= int(kMostWeightLimbs), "limbs of weights");
            new (to) Limbs{bits, most, weights, wide, reach};
        }, nb::kw_only(), "bits"_a, "most"_a, "weights"_a, "wide"_a = 0.0,
           "reach"_a = 0.0);
    nb::class_<CscFormat>(m, "CscFormat")
        .def("__init__", [](CscFormat* to, const Integers& receivers, const Integers& senders,
                            const Doubles& values, const Doubles& steps, std::size_t count) {
            new (to) CscFormat{format_of(entries_of(receivers, senders, values, steps, count), count)};
        }, nb::kw_only(), "receivers"_a, "senders"_a, "values"_a, "steps"_a, "count"_a)
        .def_ro("width", &CscFormat::width);
    nb::class_<FixedPoint>(m, "FixedPoint")
        .def("__init__", [](FixedPoint* to, double leak, double half, double low, double high, bool to_zero) {
            new (to) FixedPoint{leak, half, low, high, to_zero};
        }, nb::kw_only(), "leak"_a, "half"_a, "low"_a, "high"_a, "to_zero"_a);
    nb::class_<Geometry>(m, "Geometry")
        .def("__init__", [](Geometry* to, Three in, Three out, Two kernel, Two stride, Two padding,
                            Two dilation) {
            new (to) Geometry{in[0], in[1], in[2], out[0], out[1], out[2], kernel[0], kernel[1],
                              stride[0], stride[1], padding[0], padding[1], dilation[0], dilation[1]};
        }, nb::kw_only(), "input"_a, "output"_a, "kernel"_a = Two{1, 1}, "stride"_a = Two{1, 1},
           "padding"_a = Two{0, 0}, "dilation"_a = Two{1, 1})
        .def_ro("channels", &Geometry::channels)
        .def_ro("out_channels", &Geometry::out_channels)
        .def_prop_ro("input_pixels", &Geometry::input_pixels)
        .def_prop_ro("taps", &Geometry::taps);
    nb::class_<Operand>(m, "Term")
        .def("__init__", [](Operand* to, int source, bool external, double factor, const Integers& index) {
            new (to) Operand{external, source, factor, copied(index)};
        }, nb::kw_only(), "source"_a, "external"_a = false, "factor"_a = 1.0, "index"_a = nb::none());
#define FIELD(name) def_rw(#name, &NeuronModel::name)
    nb::class_<NeuronModel>(m, "NeuronModel")
        .def(nb::init<>())
        .FIELD(neuron_kind).FIELD(rate).FIELD(blocks).FIELD(slope).FIELD(offset).FIELD(most).FIELD(gated)
        .FIELD(tau_ref).FIELD(tau_rc).FIELD(amplitude).FIELD(negative).FIELD(truncate).FIELD(floor)
        .FIELD(cap).FIELD(assumed).FIELD(heights).FIELD(parts).FIELD(responds).FIELD(start).FIELD(dt).FIELD(differ)
        .FIELD(min_voltage).FIELD(most_share).FIELD(adapting).FIELD(added).FIELD(sigma).FIELD(pace)
        .FIELD(follow).FIELD(coupling).FIELD(reset).FIELD(jump).FIELD(fixed);
#undef FIELD
#define FIELD(name) def_rw(#name, &FunctionKernel::name)
    nb::class_<FunctionKernel>(m, "FunctionKernel")
        .def(nb::init<>())
        .FIELD(kind).FIELD(rows).FIELD(inner).FIELD(columns).FIELD(epsilon).FIELD(transpose_a)
        .FIELD(transpose_b).FIELD(first).FIELD(second).FIELD(once);
#undef FIELD
}

}  // namespace

namespace {

// Raises a SimulationError.
void raise(const std::string& message) {
    PyErr_SetString(nb::module_::import_("spikewright.errors").attr("SimulationError").ptr(), message.c_str());
}

std::string of_memory(std::size_t bytes) {
    std::ostringstream text;
    text << "the system has no memory left for " << bytes << " bytes";
    if (bytes >= std::size_t(1) << 30) text << std::fixed << std::setprecision(1) << " (" << double(bytes) / (1 << 30) << " GiB)";
    return text.str();
}

// What C++ throws, as Python's errors: nothing else leaves the extension.
void translate(const std::exception_ptr& thrown, void*) {
    const std::string advice = "; run fewer samples or steps at once (batch_size=, block=), or on fewer threads=";
    try {
        std::rethrow_exception(thrown);
    } catch (const OutOfMemory& error) {
        raise("native engine: " + of_memory(error.bytes) + advice);
    } catch (const std::bad_alloc&) {
        raise("native engine: the system has no memory left" + advice);
    } catch (const std::length_error&) {
        raise("native engine: an array would be larger than any memory" + advice);
    } catch (const std::system_error& error) {
        raise(std::string("native engine: the system cannot start thread ") + error.what() + "; give fewer threads=");
    }
}

}  // namespace

NB_MODULE(_kernels, m) {
    m.doc() = "Kernels of the native engine; see the files in `cpp`.";
    nb::register_exception_translator(translate);
    // A program may end while something still holds a network; that is nothing to warn of.
    nb::set_leak_warnings(false);
    m.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (const Kernels& kernels : usable_kernels()) names.emplace_back(kernels.name);
        return names;
    });
    m.def("has_tiles", [](const std::string& isa) {
        const Kernels* kernels = find_kernels(isa);
        return kernels && kernels->has_tiles;
    });
    // What adding a weight to the sums of sixteen steps at once costs, in additions to one.
    m.def("masked_cost", [](const std::string& isa) {
        const Kernels* kernels = find_kernels(isa);
        return kernels ? kernels->masked_cost : 0;
    });
    // The share of inputs that spike in a step from which on tiles pay, of 16 steps and weights of so many limbs.
    m.def("tile_share", [](const std::string& isa, std::size_t limbs) {
        const Kernels* kernels = find_kernels(isa);
        return kernels ? kernels->multiply.cost(1.0, kTileRows, limbs) / double(kTileRows * kTileInputs) : 0.0;
    }, "isa"_a, "limbs"_a = kWeightLimbs);
    m.def("least_voltage", &least_voltage);
    bind_enum<Action>(m, "Action");
    bind_enum<NeuronKind>(m, "NeuronKind");
    bind_enum<Rate>(m, "Rate");
    bind_enum<Rule>(m, "Rule");
    bind_enum<FunctionKind>(m, "FunctionKind");
    bind_limits(m);
    bind_packing(m);
    bind_descriptions(m);
    bind_integrate_sequence<float>(m, &Kernels::integrate_floats);
    bind_integrate_sequence<double>(m, &Kernels::integrate_doubles);
    constexpr nb::kw_only by_name;
    const auto input = "input"_a, output = "output"_a;
    nb::class_<Region>(m, "Region")
        .def(nb::init<>())
        .def("buffer", &Region::buffer)
        .def("only_loads", &Region::only_loads)
        .def("view", &Region::view, "parent"_a, by_name, "offset"_a, "size"_a, "own"_a = false)
        .def("population", &Region::population, by_name, "model"_a, "threshold"_a, "own"_a.none(),
             "start"_a, "places"_a, "whole"_a)
        .def("layer", &Region::layer, by_name, "action"_a, input, output, "population"_a, "geometry"_a,
             "gain"_a.none(), "bias"_a, "joined"_a, "factor"_a.none(), "limbs"_a,
             "weight_limbs"_a, "ahead"_a = 0, "heights"_a = std::vector<double>())
        .def("fill", &Region::fill, "number"_a, by_name, "packed"_a, "factor"_a, "starts"_a,
             "rows"_a, "values"_a)
        .def("bytes", &Region::bytes)
        .def("tiled_bytes", &Region::tiled_bytes)
        .def("fire", &Region::fire, by_name, input, "external"_a, output, "population"_a,
             "index"_a = nb::none())
        .def("pool", &Region::pool, by_name, "action"_a, input, output, "geometry"_a,
             "memories"_a = std::vector<std::int32_t>())
        .def("compute", &Region::compute, by_name, input, output, "function"_a, "memories"_a)
        .def("advance", &Region::advance, by_name, input, output, "steps"_a)
        .def("take", &Region::take, by_name, input, output, "index"_a)
        .def("put", &Region::put, by_name, input, output, "index"_a, "plus"_a)
        .def("combine", &Region::combine, by_name, output, "terms"_a, "gain"_a = nb::none(),
             "bias"_a = nb::none())
        .def("load", &Region::load, by_name, input, output, "index"_a = nb::none())
        .def("store", &Region::store, by_name, input, output, "index"_a = nb::none(), "every"_a = 1)
        .def("memory", &Region::memory)
        .def("filter", &Region::filter, by_name, "action"_a, input, output, "A"_a, "B"_a, "C"_a,
             "D"_a.none(), "states"_a, "kept"_a, "line"_a)
        .def("delay", &Region::delay, by_name, "action"_a, input, output, "steps"_a, "rows"_a)
        .def("piecewise", &Region::piecewise, by_name, output, "model"_a, "threshold"_a, "own"_a.none(),
             "memories"_a, "recorded"_a, "pieces"_a)
        .def("draws", &Region::draws, by_name, "keys"_a, "starts"_a, "places"_a = nb::none())
        .def("encoders", &Region::encoders, by_name, "weights"_a, "gain"_a.none(), "bias"_a, "limbs"_a)
        .def("readout", &Region::readout, by_name, output, "members"_a, "weights"_a, "scale"_a, "limbs"_a)
        .def("scatter", &Region::scatter, by_name, output, "start"_a, "sources"_a, "runs"_a)
        .def("weights", &Region::weights, by_name, "loops"_a, input, output, "held"_a, "largest"_a,
             "recorded"_a, "every"_a, "factor"_a, "unit"_a.none(), "weight_bits"_a, "limbs"_a)
        .def("rule", &Region::rule, "number"_a, by_name, "rule"_a, "first"_a, "second"_a, "receivers"_a,
             "senders"_a, "theta"_a, "signal"_a, "delta"_a, "every"_a, "scale"_a.none())
        .def("finish", &Region::finish)
        .def("recursion", &Region::recursion, by_name, input, output, "inverse"_a, "along"_a, "gain"_a, "recorded"_a = -1, "every"_a = 1)
        .def("call", &Region::call, by_name, "inputs"_a, "outputs"_a)
        .def("sparse", &Region::sparse, by_name, input, output, "starts"_a, "columns"_a, "values"_a,
             "factor"_a)
        .def("csc", &Region::csc, by_name, input, output, "form"_a, "parts"_a, "factor"_a)
        .def("fill_csc", &Region::fill_csc, "number"_a, by_name, "receivers"_a, "senders"_a,
             "values"_a, "steps"_a, "form"_a)
        .def("delayed_csc", &Region::delayed_csc, by_name, "loops"_a, input, output, "senders"_a, "steps"_a,
             "parts"_a, "rows"_a, "factor"_a)
        .def("send", &Region::send, "number"_a, by_name, input)
        .def("fill_delayed_csc", &Region::fill_delayed_csc, "number"_a, by_name, "receivers"_a, "senders"_a,
             "delays"_a, "values"_a)
        .def("axis_map", &Region::axis_map, by_name, input, output, "outer"_a, "axis"_a, "inner"_a,
             "starts"_a, "columns"_a, "values"_a, "low"_a.none(), "factor"_a, "limbs"_a,
             "residual_starts"_a, "residual_columns"_a, "residuals"_a)
        .def("arrange", &Region::arrange);
    nb::class_<RegionState>(m, "RegionState")
        .def(nb::init<const Region&, std::size_t>(), nb::keep_alive<1, 2>())
        .def("run", &RegionState::run, by_name, "inputs"_a, "outputs"_a, "steps"_a, "block"_a, "group"_a,
             "threads"_a, "isa"_a, "first"_a, "last"_a, "calls"_a, "totals"_a,
             "dense"_a)
        .def("large", &RegionState::large)
        .def("exceeded", &RegionState::exceeded)
        .def("beyond", &RegionState::beyond)
        .def("slabs", &RegionState::slabs)
        .def("followed", &RegionState::followed)
        .def("save", &RegionState::save)
        .def("undo", &RegionState::undo)
        .def("arrays", &RegionState::arrays)
        .def("restore", &RegionState::restore)
        .def("totals", &RegionState::totals, "population"_a, by_name, "sent"_a, "net"_a.none())
        .def("memory", &RegionState::memory, "number"_a, by_name, "offset"_a, "size"_a)
        .def("finite", &RegionState::finite);
    nb::class_<StepRunner>(m, "StepRunner")
        .def(nb::init<RegionState&, std::vector<AnyArray>, std::vector<AnyArray>, std::size_t, const std::string&>(),
             nb::keep_alive<1, 2>(), by_name, "state"_a, "inputs"_a, "outputs"_a, "group"_a, "isa"_a)
        .def("step", &StepRunner::step);
}
