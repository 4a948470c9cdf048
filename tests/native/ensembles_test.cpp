// Test of encoders, decoders, sums of parts and weights that learn, for sanitizers: a block of time is
// the same on every instruction set, in whatever pieces, however its work is shared; and a loop that
// learns at the end of each step is that block.
//
// scripts/sanitize.sh builds and runs it.

#include <cmath>
#include <cstdio>
#include <random>

#include "dispatch.hpp"
#include "run.hpp"

using namespace spikewright;

namespace {

constexpr std::size_t kNeurons = 333, kBatch = 2, kSteps = 29;
std::mt19937 generator(3);

double draw(double least, double most) {
    return std::uniform_real_distribution<double>(least, most)(generator);
}

std::int32_t add_memory(Plan& plan, std::size_t size, double most = 0.0) {
    Array<double> start(size);
    for (std::size_t i = 0; i < size; ++i) start[i] = most == 0.0 ? 0.0 : draw(-most, most);
    plan.memories.push_back({size, start});
    return std::int32_t(plan.memories.size()) - 1;
}

Instruction step(Action action, int input, int output) {
    Instruction op;
    op.action = action, op.input = input, op.output = output;
    return op;
}

// Populations of 100, 3 and 230 leaky neurons, driven by parts of a vector through encoders.
std::shared_ptr<PiecewisePopulation> population(Plan& plan, std::size_t columns, int source, bool external,
                                  std::size_t limbs) {
    auto p = std::make_shared<PiecewisePopulation>();
    NeuronModel& m = p->model;
    m.neuron_kind = NeuronKind::leaky, p->channels = kNeurons;
    m.tau_ref = 0.002, m.tau_rc = 0.02, m.dt = 0.001, m.decay = std::expm1(-0.05);
    m.most_share = -m.decay;
    p->voltage = add_memory(plan, kNeurons), p->second = add_memory(plan, kNeurons);
    p->total = add_memory(plan, kNeurons);
    Encoders& e = p->encoders;
    e.columns = columns, e.has_gain = true, e.limbs = {24, 2, int(limbs)};
    e.gain.resize(kNeurons), e.bias.resize(kNeurons);
    for (std::size_t i = 0; i < kNeurons; ++i) e.gain[i] = draw(1.0, 9.0), e.bias[i] = draw(-4.0, 9.0);
    std::size_t at = 0, room = 0;
    for (std::size_t n : {std::size_t(100), std::size_t(3), std::size_t(230)}) {
        const std::size_t from = at == 0 ? 0 : columns;
        p->pieces.push_back({source, external, from, at, n, room});
        at += n;
        room += limbs * columns * rounded_up(n, kLineValues);
    }
    e.weights.resize(room);
    for (std::size_t i = 0; i < room; ++i)
        e.weights[i] = std::ldexp(std::nearbyint(draw(-1.0, 1.0) * (1 << 24)), -24);
    return p;
}

std::shared_ptr<Readouts> decoders(int source, std::size_t outputs, std::size_t limbs) {
    auto r = std::make_shared<Readouts>();
    const std::size_t row = limbs * (outputs == 1 ? 1 : rounded_up(outputs, kLineValues));
    r->limbs = limbs;
    std::size_t from = 0, to = 0;
    for (std::size_t n : {std::size_t(100), std::size_t(3), std::size_t(230)}) {
        r->members.push_back({source, from, n, to, outputs, from * row, {24, 2, int(limbs)}});
        from += n, to += outputs;
    }
    r->weights.resize(from * row);
    for (std::size_t k = 0; k < from; ++k)
        for (std::size_t i = 0; i < row; ++i)
            r->weights[k * row + i] = std::nearbyint(draw(-1.0, 1.0) * (1 << 24));
    r->scale.resize(to);
    for (std::size_t i = 0; i < to; ++i) r->scale[i] = std::ldexp(1.0, limbs == 1 ? -20 : -47);
    return r;
}

// vector -> encoders, neurons -> decoders -> parts at their places; beside, weights from the neurons
// that an error, the sum, changes.
struct Made {
    Plan plan;
    std::size_t places;
};

Made network(std::size_t columns, std::size_t outputs, std::size_t limbs, bool external, bool loops) {
    Made made{{}, 3 * outputs + 2};
    Plan& plan = made.plan;
    plan.buffers = {{Kind::values, 2 * columns}, {Kind::counts, kNeurons}, {Kind::values, 3 * outputs},
                    {Kind::values, made.places}, {Kind::values, kNeurons}, {Kind::values, made.places}};
    Instruction load = step(Action::load, 0, 0), fire = step(Action::piecewise, -1, 1);
    fire.piecewise = population(plan, columns, 0, external, limbs);
    Instruction read = step(Action::readout, -1, 2), scatter = step(Action::scatter, -1, 3);
    read.readouts = decoders(1, outputs, limbs);
    scatter.scatter = std::make_shared<Scatter>();
    scatter.scatter->start.resize(made.places);
    const auto count = std::int32_t(outputs);
    scatter.scatter->terms = {{2, {0, count}, {1, 0}, {count, count}}, {2, {2 * count}, {2}, {count}}};
    auto f = std::make_shared<FilterOp>();
    f->order = 1, f->A = {0.8}, f->B = {200.0}, f->C = {1.0};
    f->states = {add_memory(plan, kNeurons)}, f->output = add_memory(plan, kNeurons);
    Instruction smooth = step(Action::smooth, 1, 4);
    smooth.filter = f;
    auto w = std::make_shared<Weights>();
    w->out = made.places, w->in = kNeurons, w->weight_bits = 25, w->limbs = {20, 2, int(limbs)};
    w->weights = add_memory(plan, made.places * kNeurons, 1.0);
    w->largest = add_memory(plan, made.places);
    for (std::size_t o = 0; o < made.places; ++o) {
        double most = 0.0;
        for (std::size_t k = 0; k < kNeurons; ++k)
            most = std::max(most, std::fabs(plan.memories[std::size_t(w->weights)].start[o * kNeurons + k]));
        plan.memories[std::size_t(w->largest)].start[o] = most;
    }
    w->factor = 0.5;
    RuleOp outer, oja;
    outer.first = -1e-7, outer.receivers = 3, outer.senders = 4;
    oja.rule = Rule::oja, oja.first = 1e-9, oja.second = 2.0, oja.receivers = 3, oja.senders = 4;
    w->rules = {outer, oja};
    Instruction learn = step(loops ? Action::respond : Action::learn, 1, 5);
    Instruction finish = step(Action::finish, 1, 5);
    learn.weights = finish.weights = w;
    plan.instructions = {load, fire, read, scatter, smooth, learn};
    if (loops) plan.instructions.push_back(finish);
    plan.instructions.push_back(step(Action::store, 3, 0));
    plan.instructions.push_back(step(Action::store, 5, 1));
    return made;
}

struct Result {
    Outcome outcome;
    std::vector<double> sums, answers;
};

Result result(const Made& made, const Kernels& kernels, const std::vector<double>& in,
              std::size_t columns, std::size_t block, std::size_t threads) {
    const std::size_t values = kBatch * kSteps * made.places;
    Result r{Outcome::done, std::vector<double>(values), std::vector<double>(values)};
    State state(made.plan, kBatch);
    Job job{&made.plan, &state, {{Kind::values, in.data(), kSteps * 2 * columns, 2 * columns}},
            {{Kind::values, r.sums.data(), made.places}, {Kind::values, r.answers.data(), made.places}},
            kBatch, kSteps, block, 1, threads};
    r.outcome = run(job, kernels, [] { return false; });
    return r;
}

}  // namespace

int main() {
    int failures = 0, done = 0;
    for (std::size_t columns : {1, 3, 32})
        for (std::size_t outputs : {1, 5, 16})
            for (std::size_t kind = 0; kind < 4; ++kind) {
                const bool external = kind % 2;
                const std::size_t limbs = 1 + kind / 2;
                std::vector<double> in(kBatch * kSteps * 2 * columns);
                for (double& x : in) x = draw(-1.0, 1.0);
                generator.seed(unsigned(columns * 100 + outputs));
                const Made blocks = network(columns, outputs, limbs, external, false);
                generator.seed(unsigned(columns * 100 + outputs));
                const Made loops = network(columns, outputs, limbs, external, true);
                const Result first = result(blocks, usable_kernels()[0], in, columns, kSteps, 1);
                double spread = 0.0;
                for (double x : first.answers) spread += std::fabs(x);
                failures += !(spread > 0.0 && spread < 1e12);  // learned, and stable
                for (const Kernels& kernels : usable_kernels())
                    for (std::size_t threads = 1; threads <= 4; ++threads, ++done) {
                        const bool loop = threads % 2 == 0;
                        const Result r = result(loop ? loops : blocks, kernels, in, columns,
                                                loop ? 1 : 3 * threads, threads);
                        if (r.outcome == first.outcome && r.sums == first.sums &&
                            r.answers == first.answers)
                            continue;
                        ++failures;
                        std::printf("%s: %zu columns, %zu outputs, %zu threads differ\n", kernels.name,
                                    columns, outputs, threads);
                    }
            }
    std::printf("%d passed, %d failed\n", done - failures, failures);
    return failures != 0;
}
