// A region's plan, built from Python piece by piece.
#pragma once

#include <algorithm>
#include <ranges>

#include "functions.hpp"
#include "given.hpp"
#include "slots.hpp"

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

    int population(std::size_t pixels, std::size_t channels, const Doubles& threshold,
                   const std::vector<Doubles>& least, const Doubles& lowest,
                   bool has_floor, bool rectify, double cap, const Doubles& start,
                   const std::vector<Doubles>& holds) {
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
        p.takes_back = !holds.empty();
        require(holds.empty() || holds.size() == 2, "voltages that hold are for none and one spike");
        for (std::size_t i = 0; i < holds.size(); ++i)
            p.holds[i] = parameter(holds[i], pixels, channels, p.padded, -inf);
        p.start = parameter(start, pixels, channels, p.padded, 0.0).values;
        require(p.start.size() == p.state_size(), "voltages are (pixels, channels)");
        plan.populations.push_back(std::move(p));
        return int(plan.populations.size()) - 1;
    }

    // `how` is "events" (of counts), "signed" (of counts of either sign, or mostly: channels are in `geometry` and
    // weights twice, for what is above zero and below) or "depthwise" (weights are `(taps, out)`). Its weights
    // come later: returns the number to give them to.
    int layer(int input, int output, int population, const std::string& how,
              const std::vector<std::int64_t>& geometry, bool has_gain, const Doubles& gain,
              const Doubles& bias) {
        auto l = layer_of(geometry);
        const bool depthwise = how == "depthwise", whole = how == "signed";
        set_gain(*l, has_gain, gain, bias);
        const std::int64_t channels = whole ? l->channels / 2 : l->channels;
        require(size_of(input) >= std::size_t(l->height * l->width * channels) &&
                    size_of(output) == l->pixels() * std::size_t(l->out_channels),
                "a layer's buffers have its sizes");
        require(!depthwise || l->channels == l->out_channels, "depthwise layers keep channels");
        Instruction op{depthwise ? Action::depthwise : whole ? Action::signed_layer : Action::layer};
        op.input = input, op.output = output, op.population = population;
        op.layer = std::move(l);
        plan.instructions.push_back(std::move(op));
        return int(plan.instructions.size()) - 1;
    }

    // Gives a layer its weights, as integers, and what a unit of them is worth.
    void fill(int number, const Integers& weights, const std::vector<std::size_t>& widths,
              const Doubles& scale, const std::vector<std::int64_t>& budgets) {
        Instruction& op = plan.instructions.at(std::size_t(number));
        require(bool(op.layer), "a layer is filled");
        Layer& l = *op.layer;
        const bool depthwise = op.action == Action::depthwise;
        set_weights(l, depthwise ? std::size_t(l.kernel_height * l.kernel_width) : l.rows(), weights,
                    widths);
        require(scale.size() == std::size_t(l.out_channels), "a scale has one number per output channel");
        l.scale = parameter_row(scale, rounded_up(std::size_t(l.out_channels), 64));
        require(budgets.size() == kMostRepeats + 1, "budgets");
        for (std::size_t i = 0; i <= kMostRepeats; ++i) {
            require(budgets[i] >= 127 || depthwise, "a budget holds the largest count");
            l.budgets[i] = budgets[i];
        }
    }

    // What populations, layers and indices take up beside weights.
    std::size_t bytes() const {
        std::size_t values = 0, indices = 0;
        for (const Population& p : plan.populations) {
            for (const Parameter* one : {&p.threshold, &p.inverse, &p.least[0], &p.least[1], &p.least[2],
                                         &p.lowest, &p.holds[0], &p.holds[1]})
                values += one->values.size();
            values += p.start.size();
        }
        for (const Instruction& op : plan.instructions) {
            indices += op.index.size();
            for (const Operand& term : op.operands) indices += term.index.size();
            if (!op.layer) continue;
            for (const Parameter* one : {&op.layer->gain, &op.layer->bias, &op.layer->joined})
                values += one->values.size();
        }
        return values * sizeof(double) + indices * sizeof(std::int32_t);
    }

    // To the sums of the layer added last `source` is added, before gain and bias: values, or counts
    // times `factor`.
    void join(int source, const Doubles& factor) {
        require(!plan.instructions.empty() && plan.instructions.back().layer, "a layer comes first");
        Instruction& op = plan.instructions.back();
        Layer& l = *op.layer;
        const auto out = std::size_t(l.out_channels);
        require(op.action != Action::analog, "nothing joins a layer of values");
        require(size_of(source) == l.pixels() * out && op.operands.empty(),
                "one signal of a layer's size joins it");
        l.joined = parameter(factor, l.pixels(), out, rounded_up(out, 64), 0.0);
        Operand term;
        term.source = source;
        op.operands.push_back(std::move(term));
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
        op.runs = runs_of(op.index, false);
        plan.instructions.push_back(std::move(op));
    }

    // Value k of the input goes to `index[k]`; nothing else of the output is ever written, so that
    // several may fill one. With `plus` zero is added: what a sum with zeros elsewhere gives.
    void put(int input, int output, const Integers& index, bool plus) {
        Instruction op{Action::put};
        op.input = input, op.output = output, op.plus = plus;
        require(index.size() == size_of(input), "an index has one entry per value");
        op.index = index_of(index, size_of(input), size_of(output));
        op.runs = runs_of(op.index, true);
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

    // `when` is "block", "emit" (first in a step), "absorb" (last) or "smooth" (without delay); `matrix`
    // is A.
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
                       : when == "smooth" ? Action::smooth
                                          : Action::filter};
        op.input = input, op.output = output, op.filter = std::move(f);
        plan.instructions.push_back(std::move(op));
    }

    // `numbers`: slope, most, tau_ref, tau_rc, amplitude, floor (NaN: none), cap, dt, min_voltage,
    // most_share, adapting, added, sigma, pace, follow, coupling, reset, jump. `memories`: voltage,
    // second, third, total, net; `recorded`: buffers of the first three. `pieces`: source, external,
    // from, at, n of each. See `Cells`.
    void cells(int output, int cell, int rate, bool negative, bool truncate,
               const std::vector<double>& numbers, const Doubles& slopes, const Doubles& threshold,
               const std::vector<std::int32_t>& memories, const std::vector<std::int32_t>& recorded,
               const Integers& pieces) {
        require(numbers.size() == 18 && memories.size() == 5, "cells have 18 numbers, 5 memories");
        require(recorded.size() == 3, "three memories may be recorded");
        auto p = std::make_shared<Cells>();
        p->cell = Cell(cell), p->rate = Rate(rate), p->size = size_of(output);
        p->negative = negative, p->truncate = truncate;
        p->slope = numbers[0], p->most = numbers[1], p->tau_ref = numbers[2];
        p->tau_rc = numbers[3], p->amplitude = numbers[4];
        p->has_floor = numbers[5] == numbers[5], p->floor = numbers[5], p->cap = numbers[6];
        p->dt = numbers[7], p->min_voltage = numbers[8], p->most_share = numbers[9];
        p->adapting = numbers[10], p->added = numbers[11], p->sigma = numbers[12];
        p->pace = numbers[13], p->follow = numbers[14], p->coupling = numbers[15];
        p->reset = numbers[16], p->jump = numbers[17];
        p->decay = p->tau_rc > 0.0 ? expm1_of(p->dt * (-1.0 / p->tau_rc)) : 0.0;
        require(threshold.size() == p->size, "a population's size");
        require(slopes.size() == (p->rate == Rate::parametric ? p->size : 0), "one slope a neuron");
        p->slopes = copied(slopes);
        p->threshold = copied(threshold);
        for (std::int32_t memory : memories)
            if (memory >= 0) require_memory(memory, p->size);
        p->voltage = memories[0], p->second = memories[1], p->third = memories[2];
        p->total = memories[3], p->net = memories[4];
        for (std::size_t i = 0; i < 3; ++i) {
            p->recorded[i] = recorded[i];
            require(recorded[i] < 0 || (memories[i] >= 0 && size_of(recorded[i]) == p->size),
                    "what is recorded is kept");
        }
        require(pieces.ndim() == 2 && pieces.shape(1) == 5, "a piece has five numbers");
        for (std::size_t i = 0; i < pieces.shape(0); ++i) add_piece(*p, pieces.data() + 5 * i);
        Instruction op{Action::cells};
        op.output = output, op.cells = std::move(p);
        plan.instructions.push_back(std::move(op));
    }

    // The population added last is driven by vectors of `columns` values: `weights` are
    // `(columns, neurons)`, on the grid.
    void encoders(const Doubles& weights, bool has_gain, const Doubles& gain, const Doubles& bias,
                  int bits, int limbs) {
        require(!plan.instructions.empty() && plan.instructions.back().cells, "neurons come first");
        Cells& p = *plan.instructions.back().cells;
        Encoders& e = p.encoders;
        require(weights.ndim() == 2 && weights.shape(1) == p.size && weights.shape(0) > 0 &&
                    weights.shape(0) <= kMostColumns,
                "encoders are (columns, neurons)");
        require(gain.size() == p.size && bias.size() == p.size, "one gain and bias a neuron");
        require(bits > 1 && bits < 52 && limbs > 0 && limbs <= 3, "limbs");
        e.columns = weights.shape(0), e.has_gain = has_gain, e.limb_bits = bits, e.limbs = limbs;
        e.gain = copied(gain), e.bias = copied(bias);
        std::size_t room = 0;
        for (Piece& piece : p.pieces) {
            piece.weights = room;
            room += e.columns * rounded_up(piece.n, kLineValues);
            require(piece.external || piece.from + e.columns <= size_of(piece.source),
                    "a piece's vector lies in its buffer");
        }
        e.weights.resize(room);
        for (const Piece& piece : p.pieces)
            for (std::size_t c = 0; c < e.columns; ++c)
                std::copy_n(weights.data() + c * p.size + piece.at, piece.n,
                            e.weights.data() + piece.weights + c * rounded_up(piece.n, kLineValues));
    }

    // Decoders: `members` are source, from and n of each; `weights` are `(n, outputs)` whole numbers of
    // each, whose outputs lie one after the other; `scale` is one number per output.
    void readout(int output, const Integers& members, const std::vector<Integers>& weights,
                 const Doubles& scale) {
        auto r = std::make_shared<Readouts>();
        require(members.ndim() == 2 && members.shape(1) == 3 && members.shape(0) == weights.size(),
                "a readout has three numbers and weights");
        std::size_t to = 0, room = 0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const std::int32_t* given = members.data() + 3 * i;
            const std::size_t n = std::size_t(given[2]), outputs = weights[i].shape(1);
            require(weights[i].ndim() == 2 && weights[i].shape(0) == n && outputs > 0 &&
                        outputs <= kMostOutputs,
                    "weights are (neurons, outputs), which are few");
            require(std::size_t(given[1]) + n <= size_of(given[0]), "a readout lies in its buffer");
            r->members.push_back({given[0], std::size_t(given[1]), n, to, outputs, room});
            to += outputs;
            room += n * row_of(outputs);
        }
        require(to == size_of(output) && scale.size() == to, "readouts fill their output");
        r->weights.resize(room);
        for (std::size_t i = 0; i < weights.size(); ++i) {
            const Readout& m = r->members[i];
            double* row = r->weights.data() + m.weights;
            for (std::size_t k = 0; k < m.n; ++k, row += row_of(m.outputs))
                for (std::size_t j = 0; j < m.outputs; ++j)
                    row[j] = double(weights[i].data()[k * m.outputs + j]);
        }
        r->scale = copied(scale);
        Instruction op{Action::readout};
        op.output = output, op.readouts = std::move(r);
        plan.instructions.push_back(std::move(op));
    }

    // What is added up at its places: `runs` are from, to and count of each term's values.
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
        Instruction op{Action::scatter};
        op.output = output, op.scatter = std::move(made);
        plan.instructions.push_back(std::move(op));
    }

    // Weights that change, and where they are kept; in a loop they answer here, and learn at the end of
    // a step. Returns the number by which rules are added. `bits`: of a weight, of a limb, limbs.
    int weights(bool loops, int input, int output, std::int32_t held, std::int32_t largest,
                int recorded, double factor, const Doubles& unit, const std::vector<int>& bits) {
        auto w = std::make_shared<Weights>();
        w->out = size_of(output), w->in = size_of(input);
        require_memory(held, w->out * w->in);
        require_memory(largest, w->out);
        require(unit.size() == 0 || unit.size() == w->out, "one unit a row");
        require(recorded < 0 || size_of(recorded) == w->out * w->in, "recorded weights' size");
        require(bits.size() == 3 && bits[2] > 0 && bits[2] <= 3, "bits of weights and limbs");
        w->weights = held, w->largest = largest, w->recorded = recorded, w->factor = factor;
        w->weight_bits = bits[0], w->limb_bits = bits[1], w->limbs = bits[2];
        w->unit = copied(unit);
        Instruction op{loops ? Action::respond : Action::learn};
        op.input = input, op.output = output, op.weights = std::move(w);
        plan.instructions.push_back(std::move(op));
        return int(plan.instructions.size()) - 1;
    }

    // `how` is "outer", "oja" or "voja"; `buffers`: receivers, senders, theta, signal, delta.
    void rule(int number, const std::string& how, double first, double second,
              const std::vector<std::int32_t>& buffers, const Doubles& scale) {
        Weights& w = *weights_of(number).weights;
        require(buffers.size() == 5, "a rule has five buffers");
        Learning r;
        r.rule = how == "oja" ? Rule::oja : how == "voja" ? Rule::voja : Rule::outer;
        r.first = first, r.second = second, r.receivers = buffers[0], r.senders = buffers[1];
        r.theta = buffers[2], r.signal = buffers[3], r.delta = buffers[4];
        require(size_of(r.receivers) == w.out && size_of(r.senders) == w.in, "a rule's signals");
        require(r.theta < 0 || size_of(r.theta) == w.out, "a rule's signals");
        require(r.delta < 0 || size_of(r.delta) == w.out * w.in, "a delta's size");
        require(r.rule != Rule::voja || (r.signal >= 0 && scale.size() == w.out), "a rule's scale");
        require(w.rules.size() < kMostRules, "rules are few");
        r.scale = copied(scale);
        w.rules.push_back(std::move(r));
    }

    // The end of a loop's step, where weights learn.
    void finish(int number) {
        Instruction op{Action::finish};
        op.input = weights_of(number).input, op.output = weights_of(number).output;
        op.weights = weights_of(number).weights;
        plan.instructions.push_back(std::move(op));
    }

    // What is computed elsewhere, of a step of all samples; see `Call`.
    void call(const std::vector<std::int32_t>& inputs, const std::vector<std::int32_t>& outputs) {
        for (std::int32_t b : outputs)
            require(plan.buffers.at(std::size_t(b)).kind == Kind::values, "calls give values");
        for (std::int32_t b : inputs) size_of(b);
        Instruction op{Action::call};
        op.call = std::make_shared<Call>(Call{inputs, outputs});
        plan.instructions.push_back(std::move(op));
    }

    // The layer added last reads values, or may, in so many limbs of so many bits.
    void analog(int bits, int limbs) {
        require(!plan.instructions.empty() && plan.instructions.back().layer, "a layer comes first");
        require(bits > 1 && bits < 52 && limbs > 0 && limbs <= 3, "limbs");
        Action& action = plan.instructions.back().action;
        if (action == Action::layer) action = Action::analog;
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

    // y[o] = factor * (sum of values x[column] of row o) along one axis of `(outer, axis, inner)`.
    void axis_map(int input, int output, const std::vector<std::size_t>& sizes,
                  const std::vector<std::int64_t>& starts, const Integers& columns,
                  const Doubles& values, double factor, int bits, int limbs) {
        require(sizes.size() == 3 && starts.size() > 0, "an axis map has three sizes");
        auto m = std::make_shared<AxisRows>();
        m->outer = sizes[0], m->axis = sizes[1], m->inner = sizes[2], m->out = starts.size() - 1;
        require(size_of(input) == m->outer * m->axis * m->inner &&
                    size_of(output) == m->outer * m->out * m->inner,
                "an axis map's buffers have its sizes");
        require(starts.front() == 0 && std::size_t(starts.back()) == values.size() &&
                    columns.size() == values.size() && std::ranges::is_sorted(starts),
                "an axis map has its entries by row");
        for (std::size_t i = 0; i < columns.size(); ++i)
            require(columns.data()[i] >= 0 && std::size_t(columns.data()[i]) < m->axis,
                    "an entry is outside");
        require(bits > 1 && bits < 52 && limbs > 0 && limbs <= 3, "limbs");
        m->starts = starts, m->factor = factor, m->limb_bits = bits, m->limbs = limbs;
        m->columns.assign(columns.data(), columns.data() + columns.size());
        m->values.assign(values.data(), values.data() + values.size());
        Instruction op{Action::axis_map};
        op.input = input, op.output = output, op.axis_rows = std::move(m);
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

    // The plan is complete: places for its buffers, shared where the instructions run one after the
    // other. Returns the bytes of a step of a sample.
    std::size_t arrange(bool shared) {
        for (const Instruction& op : plan.instructions)
            if (op.cells) require_currents(*op.cells);
        require(!shared || !plan.calls(), "calls are made step by step");
        if (shared) share_slots(plan);
        std::size_t bytes = 0;
        for (const Slot& slot : plan.slots) bytes += slot.bytes;
        if (plan.slots.empty())
            for (const Buffer& b : plan.buffers) bytes += b.bytes();
        return bytes;
    }

    std::size_t size_of(int buffer) const { return plan.buffers.at(std::size_t(buffer)).size; }

    Plan plan;

  private:
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
    void add_piece(Cells& p, const std::int32_t* given) const {
        const bool external = given[1] != 0;
        const auto from = std::size_t(given[2]), at = std::size_t(given[3]), n = std::size_t(given[4]);
        require(n > 0 && n <= kChunk && at + n <= p.size, "a piece fits a chunk and its population");
        require(external || from < size_of(given[0]), "a piece's source lies in its buffer");
        p.pieces.push_back({given[0], external, from, at, n, 0});
    }
    void require_currents(const Cells& p) const {
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
    void require_memory(std::int32_t number, std::size_t size) const {
        require(plan.memories.at(std::size_t(number)).size == size, "a memory has its signal's size");
    }
};

}  // namespace spikewright
