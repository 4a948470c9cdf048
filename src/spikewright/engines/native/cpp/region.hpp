// A region's plan, built from Python piece by piece.
#pragma once

#include <algorithm>
#include <functional>
#include <ranges>

#include "functions.hpp"
#include "argument_checks.hpp"
#include "packing.hpp"
#include "buffer_allocation.hpp"
#include "tiles.hpp"

namespace spikewright {

class Region {
  public:
    int buffer(bool counts, std::size_t size) {
        plan.buffers.push_back({counts ? Kind::counts : Kind::values, size});
        return int(plan.buffers.size()) - 1;
    }

    // A part of another buffer under a number of its own: of its signal, or a signal of its `own`.
    int view(int parent, std::size_t offset, std::size_t size, bool own) {
        require(offset + size <= size_of(parent), "a view lies in its buffer");
        const Buffer& whole = plan.buffers[std::size_t(parent)];
        require(whole.parent < 0, "a view is of a buffer itself");
        plan.buffers.push_back({whole.kind, size, parent, offset, own});
        return int(plan.buffers.size()) - 1;
    }

    // A population in blocks: `threshold`, `own` and `start` are `(pixels, channels)` or one row; `places` are
    // those of `(pixels, channels)` neurons among `whole` in the program's order.
    int population(const NeuronModel& model, const Doubles& threshold, const Doubles& own, const Doubles& start,
                   const Integers& places, std::size_t whole) {
        constexpr double inf = std::numeric_limits<double>::infinity();
        require(model.blocks, "neurons of this type run in pieces");
        require(places.ndim() == 2 && places.shape(0) > 0, "places are (pixels, channels)");
        require(own.is_valid() == model.has_own(), "numbers of each neuron");
        Population p;
        p.model = model;
        p.pixels = places.shape(0), p.channels = places.shape(1);
        p.padded = rounded_up(p.channels, p.pixels == 1 ? 64 : 16);  // alone, 64 lanes at once
        p.places = places_of(places, whole);
        const auto set = [&](Parameter& to, const Doubles& from, double behind, auto f) {
            to = parameter(from, p.pixels, p.channels, p.padded, behind, f);
        };
        set(p.threshold, threshold, 1.0, std::identity{});
        set(p.inverse, threshold, 1.0, [](double x) { return 1.0 / x; });
        const auto least = [&](int spikes) {
            return [=, tolerance = model.tolerance()](double x) { return least_voltage(x, spikes, tolerance); };
        };
        for (int i = 0; i < 3; ++i) set(p.least[i], threshold, inf, least(i + 1));
        for (int i = 0; i < 2 && model.neuron_kind == NeuronKind::bipolar; ++i) set(p.holds[i], threshold, -inf, least(-i));
        const bool whole_numbers = model.neuron_kind == NeuronKind::fixed_point;
        if (model.has_floor())
            set(p.lowest, threshold, -inf, [&](double x) {
                return whole_numbers ? std::floor(-model.floor * x) + 0.0 : -model.floor * x;  // not -0
            });
        if (own.is_valid()) set(p.own, own, 0.0, std::identity{});
        set(p.start, start, 0.0, std::identity{});
        plan.populations.push_back(std::move(p));
        return int(plan.populations.size()) - 1;
    }

    // `action`: `layer` (of counts), `analog` (of values), `signed_layer` (of counts of either sign, or
    // mostly: it has its channels twice, counts above zero and below) or `depthwise`. To its
    // sums `joined` is added, before gain and bias: values, or counts times `factor`. `limbs` split
    // input that is no counts, or counts that bytes do not hold. Weights come later, in so many limbs: returns the number to give them to.
    int layer(Action action, int input, int output, int population, const Geometry& geometry,
              const Doubles& gain, const Doubles& bias, int joined, const Doubles& factor,
              const Limbs& limbs, std::size_t weight_limbs, std::size_t ahead,
              const std::vector<double>& heights) {
        const std::size_t out = std::size_t(geometry.out_channels), padded = rounded_up(out, 64);
        require(size_of(input) >= geometry.input_pixels() * std::size_t(geometry.channels) &&
                    size_of(output) == geometry.pixels() * out,
                "a layer's buffers have its sizes");
        require(action != Action::depthwise || geometry.channels == geometry.out_channels,
                "depthwise layers keep channels");
        auto l = std::make_shared<Layer>(Layer{geometry});
        if (action == Action::signed_layer) l->channels *= 2;
        const auto set = [&](Parameter& to, const Doubles& from) {
            to = parameter(from, l->pixels(), out, padded, 0.0, std::identity{});
        };
        l->has_gain = gain.is_valid();
        if (l->has_gain) set(l->gain, gain);
        set(l->bias, bias);
        l->limbs = limbs;
        require(heights.empty() || action == Action::signed_layer, "digits have a sign");
        l->ahead = ahead, l->heights = heights;
        Instruction& op = add(action, input, output);
        require(op.lists(), "a layer sums weights");
        op.population = population;
        if (population >= 0) plan.populations.at(std::size_t(population)).output = output;
        if (joined >= 0) {
            require(action != Action::analog && size_of(joined) == l->pixels() * out,
                    "one signal of a layer's size joins it, of counts");
            set(l->joined, factor);
            op.operands.push_back({.source = joined});
        }
        op.layer = std::move(l);
        if (op.action != Action::depthwise && weight_limbs == 1) add_tiles(op);
        return last();
    }

    // Gives a layer its weights; sums are taken `factor` times. `starts`, `rows` and `values` are residuals by
    // output channel: rows of the kernels' form, and parts of weights that the grid leaves out.
    void fill(int number, const Packed& packed, double factor, const std::vector<std::int64_t>& starts,
              const Integers& rows, const Doubles& values) {
        Instruction& op = plan.instructions.at(std::size_t(number));
        require(bool(op.layer), "a layer is filled");
        Layer& l = *op.layer;
        const std::size_t out = std::size_t(l.out_channels);
        const bool depthwise = op.action == Action::depthwise;
        const std::size_t channels = depthwise ? 1 : std::size_t(l.channels), size = l.taps() * channels;
        require(packed.units.size() == out, "weights have a unit per output channel");
        const Lanes& last = packed.lanes.back();
        require(packed.weights.size() == last.offset + size * last.width, "weights are of this layer");
        set_residuals(l, packed.units, depthwise, channels, starts, rows, values);
        l.lanes = packed.lanes, l.weights = packed.weights, l.low = packed.low;
        l.low_budget = packed.low_budget;
        for (const auto& tiled : {l.tiled, l.by_line})
            if (tiled) tiled->expect(packed.largest);
        l.scale.resize(rounded_up(out, 64));
        for (std::size_t i = 0; i < out * pixels_together(out); ++i) l.scale[i] = packed.units[i % out] * factor;
        for (std::size_t i = 0; i <= kMostRepeats; ++i) {
            require(packed.budgets[i] >= 1 || depthwise, "an event has a sum that fits");
            l.budgets[i] = packed.budgets[i];
        }
    }

    // Bytes of a layer's weights in tiles, once they are made.
    std::size_t tiled_bytes(int number) const {
        const Instruction& op = plan.instructions.at(std::size_t(number));
        if (!op.layer || !op.layer->tiled) return 0;
        const Layer& l = *op.layer;
        return l.tiled->bytes() + (l.by_line && l.by_line != l.tiled ? l.by_line->bytes() : 0);
    }

    // Bytes of populations, layers and indices beside weights.
    std::size_t bytes() const {
        std::size_t values = 0, indices = 0;
        for (const Population& p : plan.populations) {
            for (const Parameter* one : {&p.threshold, &p.own, &p.inverse, &p.least[0], &p.least[1], &p.least[2],
                                         &p.lowest, &p.holds[0], &p.holds[1], &p.start})
                values += one->values.size();
            indices += p.places.index.size();
        }
        for (const Instruction& op : plan.instructions) {
            indices += op.index.size();
            for (const Operand& term : op.operands) indices += term.index.size();
            if (op.readouts) values += op.readouts->weights.size();
            if (!op.layer) continue;
            for (const Parameter* one : {&op.layer->gain, &op.layer->bias, &op.layer->joined})
                values += one->values.size();
        }
        for (const Memory& memory : plan.memories) values += memory.size;
        return values * sizeof(double) + indices * sizeof(std::int32_t);
    }

    void fire(int input, bool external, int output, int population, const Integers& index) {
        Instruction& op = add(Action::fire, input, output);
        op.external = external, op.population = population;
        const std::size_t size = size_of(output);
        require(plan.populations.at(std::size_t(population)).channels == size, "a population's size");
        plan.populations[std::size_t(population)].output = output;
        op.index = index_of(index, size, external ? size : size_of(input));
    }

    // Sums of counts (`pool`) or values (`pool_values`), or maxima, of running sums too: these are
    // kept in the first of the `memories`, the sum of outputs in the second.
    void pool(Action action, int input, int output, const Geometry& g,
              const std::vector<std::int32_t>& memories) {
        require(g.channels == g.out_channels &&
                    size_of(input) >= g.input_pixels() * std::size_t(g.channels) &&
                    size_of(output) == g.pixels() * std::size_t(g.channels),
                "a pool's buffers have its sizes");
        Instruction& op = add(action, input, output);
        op.pool = std::make_shared<Geometry>(g);
        op.memories = memories;
        if (action != Action::running_max_pool) return;
        require(memories.size() == 2, "running sums and what was sent");
        require_memory(memories[0], size_of(input));
        require_memory(memories[1], size_of(output));
    }

    // `memories` are none, or running sums of the input, the sum of outputs, and whether that is known.
    void compute(int input, int output, const FunctionKernel& f, const std::vector<std::int32_t>& memories) {
        const bool product = f.kind == FunctionKind::product;
        require(f.inner > 0 && f.first.size() == f.second.size(), "a function has values");
        require(size_of(output) == f.rows * (product ? f.columns * f.first.size() : f.inner) &&
                    (product || size_of(input) == size_of(output)),
                "a function's buffers have its sizes");
        for (std::size_t i = 0; i < f.first.size(); ++i)
            require(f.first[i] + f.rows * f.inner <= size_of(input) &&
                        f.second[i] + f.inner * f.columns <= size_of(input),
                    "matrices lie in the input");
        Instruction& op = add(Action::compute, input, output);
        op.function = std::make_shared<FunctionKernel>(f);
        op.memories = memories;
        require(memories.empty() || memories.size() == 3, "running sums, what was sent and whether");
        for (const std::int32_t memory : memories) plan.memories.at(std::size_t(memory)).passing = true;
        for (std::size_t i = 0; i < memories.size(); ++i)
            require_memory(memories[i], i == 0 ? size_of(input) : i == 1 ? size_of(output) : 1);
    }

    void advance(int input, int output, std::size_t steps) {
        require(size_of(input) == size_of(output), "an advance keeps the size");
        add(Action::advance, input, output).every = steps;
    }

    void take(int input, int output, const Integers& index) {
        Instruction& op = add(Action::take, input, output);
        require(index.size() == size_of(output), "an index has one entry per value");
        op.index = index_of(index, size_of(output), size_of(input));
        op.runs = runs_of(op.index, false);
    }

    // Value k of the input goes to `index[k]`; nothing else of the output is ever written, so that
    // several may fill one. With `plus` zero is added, as a sum with zeros elsewhere does.
    void put(int input, int output, const Integers& index, bool plus) {
        Instruction& op = add(Action::put, input, output);
        op.plus = plus;
        require(index.size() == size_of(input), "an index has one entry per value");
        op.index = index_of(index, size_of(input), size_of(output));
        op.runs = runs_of(op.index, true);
    }

    // gain * (x_1 + x_2 + ...) + bias, as counts where the output is in bytes.
    void combine(int output, const std::vector<Operand>& terms, const Doubles& gain,
                 const Doubles& bias) {
        const bool counts = plan.buffers.at(std::size_t(output)).kind == Kind::counts;
        Instruction& op = add(counts ? Action::add : Action::sum, -1, output);
        const std::size_t size = size_of(output);
        for (const Operand& term : terms) {
            const std::size_t limit = term.external ? size : size_of(term.source);
            require(term.index.empty() || term.index.size() == size, "an index has one entry per value");
            for (std::size_t i = 0; i < term.index.size(); ++i)
                require(term.index[i] >= 0 && std::size_t(term.index[i]) < limit, "an index is outside");
        }
        op.operands = terms;
        op.has_gain = gain.size() > 0, op.has_bias = bias.size() > 0;
        require((!op.has_gain || gain.size() == size) && (!op.has_bias || bias.size() == size),
                "gain and bias have one number per value");
        op.gain.values = copied(gain);
        op.bias.values = copied(bias);
    }

    void load(int input, int output, const Integers& index) {
        add(Action::load, input, output).index = index_of(index, size_of(output), size_of(output));
    }

    void store(int input, int output, const Integers& index, std::size_t every) {
        require(every > 0, "a period has steps");
        Instruction& op = add(Action::store, input, output);
        op.index = index_of(index, size_of(input), size_of(input));
        op.every = every;
    }

    // State of a population, filter or pool, one number per value of `start`.
    int memory(const Doubles& start) {
        plan.memories.push_back({start.size(), copied(start)});
        return int(plan.memories.size()) - 1;
    }

    // `action`: `filter`, `emit`, `absorb` or `smooth`; without `D` nothing passes in the same step.
    void filter(Action action, int input, int output, const Doubles& A, const Doubles& B,
                const Doubles& C, std::optional<double> D, const std::vector<std::int32_t>& states,
                std::int32_t kept, bool line) {
        auto f = std::make_shared<FilterOp>();
        f->order = B.size();
        require(line ? f->order > 0 : f->order <= kMostOrder, "a filter's order is limited");
        f->line = line;
        require(A.size() == B.size() * B.size() && C.size() == B.size() && states.size() == B.size(),
                "a filter's matrices have its order");
        f->A.assign(A.data(), A.data() + A.size());
        f->B.assign(B.data(), B.data() + B.size());
        f->C.assign(C.data(), C.data() + C.size());
        f->direct = D.has_value(), f->D = D.value_or(0.0), f->states = states, f->output = kept;
        for (std::int32_t state : states) require_memory(state, size_of(output));
        require_memory(kept, size_of(output));
        require(size_of(input) == size_of(output), "a filter keeps its signal's size");
        add(action, input, output).filter = std::move(f);
    }

    // `action`: `delay`, `release` or `keep`; `rows` is a memory of the signal's size times the steps.
    void delay(Action action, int input, int output, std::size_t steps, std::int32_t rows) {
        require(steps > 0, "a delay has a step");
        require_memory(rows, steps * size_of(output));
        require(size_of(input) == size_of(output), "a delay keeps its signal's size");
        add(action, input, output).delay = std::make_shared<DelayOp>(DelayOp{steps, rows});
    }

    // A population in pieces, of which `pieces` has source, external, from, at and n; `own`: numbers of each neuron,
    // of types that have some. `memories` are of voltage, second, third, total and net; `recorded` are buffers.
    void piecewise(int output, const NeuronModel& model, const Doubles& threshold, const Doubles& own,
               const std::array<std::int32_t, 5>& memories, const std::array<std::int32_t, 3>& recorded,
               const Integers& pieces) {
        auto p = std::make_shared<PiecewisePopulation>();
        const std::size_t size = p->channels = size_of(output);
        require(threshold.size() == size, "a population's size");
        require(own.size() == (model.differ ? kOwnRows * size : model.has_own() ? size : 0),
                "numbers of each neuron");
        p->model = model, p->threshold.values = copied(threshold), p->own.values = copied(own);
        p->model.decay = model.tau_rc > 0.0 ? expm1_of(model.dt * (-1.0 / model.tau_rc)) : 0.0;
        double* rows = p->own.values.data();
        for (std::size_t k = 0; model.differ && k < size; ++k)
            rows[kDecay * size + k] = expm1_of(model.dt * rows[kPace * size + k]);
        for (std::int32_t memory : memories)
            if (memory >= 0) require_memory(memory, size);
        for (std::size_t i = 0; i < 3; ++i)
            require(recorded[i] < 0 || (memories[i] >= 0 && size_of(recorded[i]) == size), "what is recorded is kept");
        p->voltage = memories[0], p->second = memories[1], p->third = memories[2];
        p->total = memories[3], p->net = memories[4], p->recorded = recorded;
        require(pieces.ndim() == 2 && pieces.shape(1) == 5, "a piece has five numbers");
        for (std::size_t i = 0; i < pieces.shape(0); ++i) add_piece(*p, pieces.data() + 5 * i);
        add(Action::piecewise, -1, output).piecewise = std::move(p);
    }

    // The populations added last draw their spikes at random: from keys `(populations, 2)`, that of each
    // for the neurons from `starts` on. Neuron k, as stored, has the draw at `places[k]`, or at k.
    void draws(const ConstArray<std::uint64_t>& keys, const std::vector<std::size_t>& starts,
               const Integers& places) {
        require(!plan.instructions.empty() && plan.instructions.back().piecewise, "neurons come first");
        PiecewisePopulation& p = *plan.instructions.back().piecewise;
        require(keys.ndim() == 2 && keys.shape(0) == starts.size() && keys.shape(1) == 2 &&
                    !starts.empty() && starts[0] == 0 && std::ranges::is_sorted(starts),
                "keys are two numbers a population");
        for (Piece& piece : p.pieces) {
            const auto behind = std::ranges::upper_bound(starts, piece.at);
            const std::size_t i = std::size_t(behind - starts.begin()) - 1;
            piece.key = {keys.data()[2 * i], keys.data()[2 * i + 1]};
            piece.draw = piece.at - starts[i];
        }
        require(places.size() == 0 || (places.size() == p.channels && starts.size() == 1),
                "one population has an order");
        p.draws.assign(places.data(), places.data() + places.size());
    }

    // The population added last is driven by vectors of `columns` values: `weights` are
    // `(limbs, columns, neurons)`, on the grid.
    void encoders(const Doubles& weights, const Doubles& gain, const Doubles& bias, const Limbs& limbs) {
        require(!plan.instructions.empty() && plan.instructions.back().piecewise, "neurons come first");
        PiecewisePopulation& p = *plan.instructions.back().piecewise;
        Encoders& e = p.encoders;
        const auto count = std::size_t(limbs.weights);
        require(weights.ndim() == 3 && weights.shape(0) == count && weights.shape(2) == p.channels &&
                    weights.shape(1) > 0 && weights.shape(1) <= kMostColumns,
                "encoders are (limbs, columns, neurons)");
        require((!gain.is_valid() || gain.size() == p.channels) && bias.size() == p.channels,
                "one gain and bias a neuron");
        e.columns = weights.shape(1), e.has_gain = gain.is_valid(), e.limbs = limbs;
        e.gain = copied(gain), e.bias = copied(bias);
        std::size_t room = 0;
        for (Piece& piece : p.pieces) {
            piece.weights = room;
            room += count * e.columns * rounded_up(piece.n, kLineValues);
            require(piece.external || piece.from + e.columns <= size_of(piece.source),
                    "a piece's vector lies in its buffer");
        }
        e.weights.resize(room);
        for (const Piece& piece : p.pieces)
            for (std::size_t c = 0; c < count * e.columns; ++c)
                std::copy_n(weights.data() + c * p.channels + piece.at, piece.n,
                            e.weights.data() + piece.weights + c * rounded_up(piece.n, kLineValues));
    }

    // Decoders: `members` are source, from and n of each; `weights` are
    // `(limbs, n, outputs)` whole numbers of each, whose outputs lie one after the other; `scale` is one number per output.
    void readout(int output, const Integers& members, const std::vector<Integers>& weights,
                 const Doubles& scale, const std::vector<Limbs>& limbs) {
        auto r = std::make_shared<Readouts>();
        require(members.ndim() == 2 && members.shape(1) == 3 && members.shape(0) == weights.size() &&
                    limbs.size() == weights.size(),
                "a readout has three numbers and weights");
        std::size_t to = 0, room = 0;
        r->limbs = weights.empty() ? 1 : weights[0].shape(0);
        require(r->limbs >= 1 && r->limbs <= kMostWeightLimbs, "weights are one limb or two");
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const std::int32_t* given = members.data() + 3 * i;
            require(weights[i].ndim() == 3 && weights[i].shape(0) == r->limbs,
                    "weights are (limbs, neurons, outputs)");
            const std::size_t n = std::size_t(given[2]), outputs = weights[i].shape(2);
            require(weights[i].shape(1) == n && outputs > 0 && outputs <= kMostOutputs,
                    "weights are those of all neurons, and outputs few");
            require(std::size_t(given[1]) + n <= size_of(given[0]), "a readout lies in its buffer");
            r->members.push_back({given[0], std::size_t(given[1]), n, to, outputs, room, limbs[i]});
            to += outputs;
            room += r->limbs * n * row_of(outputs);
        }
        require(to == size_of(output) && scale.size() == to, "readouts fill their output");
        r->weights.resize(room);
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const Readout& m = r->members[i];
            double* row = r->weights.data() + m.weights;
            for (std::size_t k = 0; k < m.n; ++k)
                for (std::size_t l = 0; l < r->limbs; ++l, row += row_of(m.outputs))
                    for (std::size_t j = 0; j < m.outputs; ++j)
                        row[j] = double(weights[i].data()[(l * m.n + k) * m.outputs + j]);
        }
        r->scale = copied(scale);
        add(Action::readout, -1, output).readouts = std::move(r);
    }

    // Adds terms at their places: `runs` are from, to and count of each term's values.
    void scatter(int output, const Doubles& start, const std::vector<int>& sources,
                 const std::vector<Integers>& runs) {
        auto made = std::make_shared<Scatter>();
        require(start.size() == size_of(output) && sources.size() == runs.size(), "a term has runs");
        made->start = copied(start);
        for (std::size_t i = 0; i < sources.size(); ++i) {
            require(runs[i].ndim() == 2 && runs[i].shape(1) == 3, "a run has three numbers");
            Added term;
            term.source = sources[i];
            for (std::size_t k = 0; k < runs[i].shape(0); ++k) {
                const std::int32_t* run = runs[i].data() + 3 * k;
                require(run[0] >= 0 && run[1] >= 0 && run[2] > 0 &&
                            std::size_t(run[0] + run[2]) <= size_of(sources[i]) &&
                            std::size_t(run[1] + run[2]) <= size_of(output),
                        "a run lies in its buffers");
                term.from.push_back(run[0]), term.to.push_back(run[1]), term.count.push_back(run[2]);
            }
            made->terms.push_back(std::move(term));
        }
        add(Action::scatter, -1, output).scatter = std::move(made);
    }

    // Weights that change, and where they are kept; in a loop they answer here, and learn at the end of
    // a step. Returns the number by which rules are added.
    int weights(bool loops, int input, int output, std::int32_t held, std::int32_t largest,
                int recorded, std::size_t every, double factor, const Doubles& unit, int weight_bits, const Limbs& limbs) {
        auto w = std::make_shared<Weights>();
        w->out = size_of(output), w->in = size_of(input);
        require_memory(held, w->out * w->in);
        require_memory(largest, w->out);
        require(unit.size() == 0 || unit.size() == w->out, "one unit a row");
        require(recorded < 0 || size_of(recorded) == w->out * w->in, "recorded weights' size");
        require(every > 0, "a period has steps");
        w->weights = held, w->largest = largest, w->recorded = recorded, w->every = every, w->factor = factor;
        w->weight_bits = weight_bits, w->limbs = limbs, w->unit = copied(unit);
        add(loops ? Action::respond : Action::learn, input, output).weights = std::move(w);
        return last();
    }

    // Adds a rule; `receivers`, `senders`, `theta`, `signal` and `delta` are buffers.
    void rule(int number, Rule rule, double first, double second, int receivers, int senders, int theta,
              int signal, int delta, std::size_t every, const Doubles& scale) {
        Weights& w = *weights_of(number).weights;
        require(size_of(receivers) == w.out && size_of(senders) == w.in, "a rule's signals");
        require(theta < 0 || size_of(theta) == w.out, "a rule's signals");
        require(delta < 0 || size_of(delta) == w.out * w.in, "a delta's size");
        require(every > 0, "a period has steps");
        require(rule != Rule::voja || (signal >= 0 && scale.size() == w.out), "a rule's scale");
        require(w.rules.size() < kMostRules, "rules are few");
        w.rules.push_back({rule, first, second, receivers, senders, theta, signal, delta, every, copied(scale)});
    }

    // The end of a loop's step, where weights learn.
    void finish(int number) {
        const Instruction of = weights_of(number);
        add(Action::finish, of.input, of.output).weights = of.weights;
    }

    // Calls an operator that Python computes, a step of all samples at a time; see `Call`.
    void call(const std::vector<std::int32_t>& inputs, const std::vector<std::int32_t>& outputs) {
        for (std::int32_t b : outputs)
            require(plan.buffers.at(std::size_t(b)).kind == Kind::values, "calls give values");
        for (std::int32_t b : inputs) size_of(b);
        add(Action::call, -1, -1).call = std::make_shared<Call>(Call{inputs, outputs});
    }

    void sparse(int input, int output, const std::vector<std::int64_t>& starts,
                const Integers& columns, const Doubles& values, double factor) {
        auto m = std::make_shared<SparseRows>();
        set_entries(*m, starts, columns, values, factor, size_of(input));
        require(starts.size() == size_of(output) + 1, "a sparse map has its entries by row");
        add(Action::sparse, input, output).sparse = std::move(m);
    }

    // Weights by sender, which are given later: returns the number to give them to. Receivers are
    // cut into `parts` that threads share.
    int csc(int input, int output, const CscFormat& form, std::size_t parts, double factor) {
        require(plan.buffers.at(std::size_t(input)).kind == Kind::counts, "senders spike");
        require(parts > 0, "receivers are a part at least");
        auto made = csc_blocks(form, size_of(input), size_of(output), parts, factor);
        add(Action::csc, input, output).csc = std::make_shared<CscMatrix>(std::move(made));
        return last();
    }

    void fill_csc(int number, const Integers& receivers, const Integers& senders, const Doubles& values,
                      const Doubles& steps, const CscFormat& form) {
        Instruction& op = plan.instructions.at(std::size_t(number));
        require(bool(op.csc), "senders are filled");
        require(steps.size() == op.csc->receivers, "one step a receiver");
        const Entries entries = entries_of(receivers, senders, values, steps, op.csc->count);
        const CscFormat found = format_of(entries, op.csc->count);
        require(found.width == form.width && found.shift == form.shift && found.largest == form.largest,
                "entries are those whose form was asked for");
        spikewright::fill_csc(*op.csc, entries, form.shift);
    }

    // Weights by sender with delays of up to so many steps, which are given later: returns the number to
    // give them to. `rows` is a memory of the receivers' number times the steps. In a loop `send` adds
    // the end of a step.
    int delayed_csc(bool loops, int input, int output, std::size_t senders, std::size_t steps,
                 std::size_t parts, std::int32_t rows, double factor) {
        const std::size_t receivers = size_of(output);
        require(parts > 0 && steps > 0 && steps <= kMostWaitingSteps, "delays have steps");
        require_memory(rows, steps * receivers);
        auto made = std::make_shared<DelayedCsc>();
        made->count = senders, made->receivers = receivers, made->steps = steps, made->rows = rows;
        made->factor = factor;
        made->part_size = std::max<std::size_t>((receivers + parts - 1) / parts, 1);
        made->parts = (receivers + made->part_size - 1) / made->part_size;
        require(made->part_size <= kMostPartReceivers, "a part's receivers are counted by 16 bits");
        if (!loops) require_senders(*made, input);
        add(loops ? Action::receive : Action::arrive, loops ? -1 : input, output).delayed_csc = std::move(made);
        return last();
    }

    void send(int number, int input) {
        const auto delayed_csc = delayed_csc_of(number);
        require_senders(*delayed_csc, input);
        add(Action::send, input, -1).delayed_csc = delayed_csc;
    }

    void fill_delayed_csc(int number, const Integers& receivers, const Integers& senders,
                       const Integers& delays, const Doubles& values) {
        DelayedCsc& to = *delayed_csc_of(number);
        const DelayedEntries entries =
            delayed_entries(receivers, senders, delays, values, to.receivers, to.count, to.steps);
        spikewright::fill_delayed_csc(to, entries);
    }

    // y[o] = factor * (sum of values x[column] of row o) along one axis of `(outer, axis, inner)`; `low`
    // are the values' second limbs, if they have two. Residuals are what the grid leaves out of weights.
    void axis_map(int input, int output, std::size_t outer, std::size_t axis, std::size_t inner,
                  const std::vector<std::int64_t>& starts, const Integers& columns,
                  const Doubles& values, const Doubles& low, double factor, const Limbs& limbs,
                  const std::vector<std::int64_t>& residual_starts, const Integers& residual_columns,
                  const Doubles& residuals) {
        auto m = std::make_shared<AxisRows>();
        require(low.size() == 0 || low.size() == values.size(), "a second limb of every value");
        m->low.assign(low.data(), low.data() + low.size());
        set_entries(*m, starts, columns, values, factor, axis);
        set_entries(m->residuals, residual_starts, residual_columns, residuals, 1.0, axis);
        require(residual_starts.size() == starts.size(), "residuals have the rows of the weights");
        m->outer = outer, m->axis = axis, m->inner = inner, m->out = starts.size() - 1, m->limbs = limbs;
        require(size_of(input) == outer * axis * inner && size_of(output) == outer * m->out * inner,
                "an axis map's buffers have its sizes");
        add(Action::axis_map, input, output).axis_rows = std::move(m);
    }

    // Recursive least squares: the gain of `(n,)` activities, from memories of n * n, n and n numbers.
    void recursion(int input, int output, std::int32_t inverse, std::int32_t along, std::int32_t gain,
                   std::int32_t recorded, std::size_t every) {
        const std::size_t n = size_of(input);
        require(size_of(output) == n, "a gain for each activity");
        require_memory(inverse, n * n);
        require_memory(along, n);
        require_memory(gain, n);
        require(every > 0 && (recorded < 0 || size_of(recorded) == n * n), "a matrix is recorded");
        add(Action::recur, input, output).recursion =
            std::make_shared<Recursion>(Recursion{inverse, along, gain, recorded, every});
    }

    // The plan is complete: places for its buffers, shared where the instructions run one after the
    // other. Returns the bytes of a step of a sample.
    std::size_t arrange(bool shared) {
        for (const Instruction& op : plan.instructions)
            if (op.piecewise) require_currents(*op.piecewise);
        require(!shared || !plan.calls(), "calls are made step by step");
        if (shared) allocate_buffers(plan);
        std::size_t bytes = 0;
        for (const Slot& slot : plan.slots) bytes += slot.bytes;
        if (plan.slots.empty())
            for (const Buffer& b : plan.buffers) bytes += b.bytes();
        return bytes;
    }

    // Whether nothing but loads reads an input: these take any type of numbers.
    bool only_loads(std::size_t input) const {
        return std::ranges::none_of(plan.instructions, [&](const Instruction& op) {
            const auto reads = [&](const auto& one) { return one.external && std::size_t(one.source) == input; };
            return (op.external && std::size_t(op.input) == input) || std::ranges::any_of(op.operands, reads) ||
                   (op.piecewise && std::ranges::any_of(op.piecewise->pieces, reads));
        });
    }

    std::size_t size_of(int buffer) const { return plan.buffers.at(std::size_t(buffer)).size; }

    Plan plan;

  private:
    // Room for a layer's weights in tiles, if it reads counts in bytes, or values from outside, which may be such,
    // and weights are not too many.
    void add_tiles(const Instruction& op) const {
        Layer& l = *op.layer;
        const bool counts = plan.buffers[std::size_t(op.input)].kind == Kind::counts;
        if (op.action == Action::analog ? !is_loaded(op.input) : !counts) return;
        const std::size_t halves = op.action == Action::signed_layer ? 2 : 1;
        const std::size_t channels = std::size_t(l.channels) / halves, inputs = l.taps() * channels;
        const std::size_t lanes = rounded_up(std::size_t(l.out_channels), kTileLanes);
        if (inputs > kMostTiledInputs || TiledWeights::bytes(inputs, lanes) > kMostTiledBytes) return;
        const std::size_t line = std::size_t(l.kernel_width) * channels;
        const auto made = [&](std::size_t n) {
            return std::make_shared<TiledWeights>(inputs, channels, halves, lanes, n);
        };
        l.tiled = made(line % kTileInputs ? inputs : line);
        if (counts && l.dilation_x == 1 && l.out_width > 1) l.by_line = line % kTileInputs ? made(line) : l.tiled;
    }
    bool is_loaded(int buffer) const {
        const auto loads = [&](const Instruction& op) { return op.action == Action::load && op.output == buffer; };
        return std::ranges::any_of(plan.instructions, loads);
    }
    Instruction& add(Action action, int input, int output) {
        Instruction op{action};
        op.input = input, op.output = output;
        plan.instructions.push_back(std::move(op));
        return plan.instructions.back();
    }
    int last() const { return int(plan.instructions.size()) - 1; }
    static std::size_t row_of(std::size_t outputs) {
        return outputs == 1 ? 1 : rounded_up(outputs, kLineValues);
    }
    // Neighbours that move together, where they are many.
    static std::vector<Run> runs_of(const Index& index, bool puts) {
        std::vector<Run> runs;
        for (std::size_t k = 0; k < index.size(); ++k) {
            const auto at = std::uint32_t(index[k]), here = std::uint32_t(k);
            const bool joined = k > 0 && index[k] == index[k - 1] + 1;
            if (joined)
                ++runs.back().count;
            else
                runs.push_back({puts ? here : at, puts ? at : here, 1});
        }
        if (runs.size() * 4 > index.size()) runs.clear();
        return runs;
    }
    void add_piece(PiecewisePopulation& p, const std::int32_t* given) const {
        const bool external = given[1] != 0;
        const auto from = std::size_t(given[2]), at = std::size_t(given[3]), n = std::size_t(given[4]);
        require(n > 0 && n <= kChunk && at + n <= p.channels, "a piece fits a chunk and its population");
        require(external || from < size_of(given[0]), "a piece's source lies in its buffer");
        p.pieces.push_back({given[0], external, from, at, n, 0});
    }
    void require_currents(const PiecewisePopulation& p) const {
        for (const Piece& piece : p.pieces)
            require(piece.external || p.encoders.columns > 0 ||
                        piece.from + piece.n <= size_of(piece.source),
                    "a piece's currents lie in its buffer");
    }
    const Instruction& weights_of(int number) const {
        const Instruction& op = plan.instructions.at(std::size_t(number));
        require(op.weights != nullptr, "weights come first");
        return op;
    }
    const std::shared_ptr<DelayedCsc>& delayed_csc_of(int number) const {
        const Instruction& op = plan.instructions.at(std::size_t(number));
        require(op.delayed_csc != nullptr, "weights with delays come first");
        return op.delayed_csc;
    }
    void require_senders(const DelayedCsc& of, int input) const {
        require(size_of(input) == of.count, "senders are those of the weights");
    }
    void require_memory(std::int32_t number, std::size_t size) const {
        require(plan.memories.at(std::size_t(number)).size == size, "a memory has its signal's size");
    }
};

}  // namespace spikewright
