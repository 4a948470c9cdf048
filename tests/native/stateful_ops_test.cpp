// Test of filters, populations of every type, analog layers, sparse maps, pools and recursive least
// squares, for sanitizers: a small loop is the same on every instruction set, however its work is shared,
// and step by step.
//
// scripts/sanitize.sh builds and runs it.

#include <cmath>
#include <cstdio>
#include <random>

#include "dispatch.hpp"
#include "run.hpp"

using namespace spikewright;

namespace {

constexpr std::size_t kSize = 150, kFew = 19, kBatch = 3, kSteps = 23;
std::mt19937 generator(2);

double draw(double least, double most) {
    return std::uniform_real_distribution<double>(least, most)(generator);
}

Parameter row(std::size_t channels, double value) {
    Parameter p;
    p.values.resize(rounded_up(channels, 64));
    for (std::size_t i = 0; i < channels; ++i) p.values[i] = value;
    return p;
}

std::int32_t add_memory(Plan& plan, std::size_t size) {
    plan.memories.push_back({size, Array<double>(size)});
    return std::int32_t(plan.memories.size()) - 1;
}

Instruction step(Action action, int input, int output) {
    Instruction op;
    op.action = action, op.input = input, op.output = output;
    return op;
}

// A matrix from kSize values to kFew.
std::shared_ptr<Layer> analog_layer() {
    auto l = std::make_shared<Layer>();
    l->channels = kSize, l->out_channels = kFew, l->limbs = {22, 2};
    l->lanes = {{0, 16, 0}, {16, 16, kSize * 16}};
    Array<std::int32_t> weights(kSize * 32);
    for (std::size_t i = 0; i < kSize * 32; ++i) {
        const bool inside = i < kSize * 16 || i % 16 < kFew - 16;
        weights[i] = inside ? std::int32_t(draw(-1.0, 1.0) * (1 << 24)) : 0;
    }
    l->weights = std::move(weights);
    l->scale.resize(64);
    for (std::size_t i = 0; i < kFew; ++i) l->scale[i] = std::ldexp(1.0, -26);
    l->gain = row(kFew, 1.0), l->bias = row(kFew, 0.5);
    return l;
}

std::shared_ptr<SparseRows> sparse_rows() {
    auto m = std::make_shared<SparseRows>();
    m->starts = {0};
    for (std::size_t r = 0; r < kSize; ++r) {
        for (int i = 0; i < 3; ++i) {
            m->columns.push_back(std::int32_t(draw(0.0, kFew - 0.01)));
            m->values.push_back(draw(-1.0, 1.0));
        }
        m->starts.push_back(std::int64_t(m->values.size()));
    }
    m->factor = 0.5;
    return m;
}

std::shared_ptr<PiecewisePopulation> piecewise(Plan& plan, NeuronKind neuron_kind, Rate rate, bool negative) {
    auto p = std::make_shared<PiecewisePopulation>();
    NeuronModel& m = p->model;
    m.neuron_kind = neuron_kind, m.rate = rate, m.negative = negative, p->channels = kFew;
    m.slope = 0.1, m.most = 6.0, m.tau_ref = 0.002, m.tau_rc = 0.02;
    m.dt = 0.001, m.decay = -0.048, m.most_share = 0.048;
    p->threshold.values.resize(kFew);
    for (std::size_t i = 0; i < kFew; ++i) p->threshold.values[i] = 1.0;
    p->voltage = add_memory(plan, kFew), p->second = add_memory(plan, kFew);
    p->third = add_memory(plan, kFew), p->total = add_memory(plan, kFew);
    m.adapting = 0.01, m.added = 10.0, m.sigma = 0.5;
    m.pace = 1.0, m.follow = 0.02, m.coupling = 0.2, m.reset = -65.0, m.jump = 8.0;
    p->pieces = {{2, false, 0, 0, 10, 0, {3, 4}, 0}, {2, false, 10, 10, kFew - 10, 0, {5, 6}, 0}};
    if (rate == Rate::leaky)  // stored in another order than that of their draws
        for (std::size_t i = 0; i < kFew; ++i) p->draws.push_back(std::int32_t(kFew - 1 - i));
    return p;
}

bool has_rate(NeuronKind neuron_kind) {
    return neuron_kind == NeuronKind::rate || neuron_kind == NeuronKind::integrate || neuron_kind == NeuronKind::running_mean ||
           neuron_kind == NeuronKind::adaptive_rate || neuron_kind == NeuronKind::stochastic || neuron_kind == NeuronKind::poisson;
}

// input -> + -> filter -> matrix -> neurons -> sparse map -> back to +; maxima beside.
Plan loop(NeuronKind neuron_kind, Rate rate, bool negative, std::size_t order) {
    Plan plan;
    const bool rates = neuron_kind == NeuronKind::rate || neuron_kind == NeuronKind::adaptive_rate;
    const Kind spikes = negative || rates ? Kind::values : Kind::counts;
    plan.buffers = {{Kind::values, kSize}, {Kind::values, kSize}, {Kind::values, kFew},
                    {spikes, kFew},        {Kind::values, kSize}, {Kind::values, kSize},
                    {Kind::values, 9},     {Kind::values, kFew}};
    auto f = std::make_shared<FilterOp>();
    f->order = order, f->direct = order == 2, f->D = 0.25;
    f->A.assign(order * order, 0.1), f->B.assign(order, 0.3), f->C.assign(order, 0.9);
    f->line = order > kMostOrder;
    for (std::size_t i = 0; i < order; ++i) f->states.push_back(add_memory(plan, kSize));
    f->output = add_memory(plan, kSize);
    Instruction emit = step(Action::emit, 5, 1), absorb = step(Action::absorb, 5, 1);
    emit.filter = absorb.filter = f;
    Instruction analog = step(Action::analog, 1, 2), fire = step(Action::piecewise, 2, 3);
    analog.layer = analog_layer();
    fire.piecewise = piecewise(plan, neuron_kind, rate, negative);
    Instruction sparse = step(Action::sparse, 3, 4), sum = step(Action::sum, -1, 5);
    sparse.sparse = sparse_rows();
    for (int source : {0, 4}) {
        Operand term;
        term.source = source;
        sum.operands.push_back(term);
    }
    Instruction pool = step(Action::running_max_pool, 5, 6);
    pool.pool = std::make_shared<Geometry>(Geometry{1, kSize, 1, 1, 9, 1, 1, 5, 1, 17, 0, 2, 1, 1});
    pool.memories = {add_memory(plan, kSize), add_memory(plan, 9)};
    Instruction recur = step(Action::recur, 2, 7);
    recur.recursion = std::make_shared<Recursion>(
        Recursion{add_memory(plan, kFew * kFew), add_memory(plan, kFew), add_memory(plan, kFew)});
    Memory& inverse = plan.memories[std::size_t(recur.recursion->inverse)];
    for (std::size_t i = 0; i < kFew; ++i) inverse.start[i * (kFew + 1)] = 0.1;
    plan.instructions = {emit, step(Action::load, 0, 0), analog, fire, sparse, sum, pool, recur, absorb,
                         step(Action::store, 1, 0), step(Action::store, 6, 1), step(Action::store, 7, 2)};
    return plan;
}

struct Result {
    Outcome outcome;
    std::vector<double> filtered, maxima, gains;
    bool operator==(const Result& other) const {
        return outcome == other.outcome &&
               (outcome != Outcome::done ||
                (filtered == other.filtered && maxima == other.maxima && gains == other.gains));
    }
};

Result result(const Plan& plan, const Kernels& kernels, const std::vector<double>& in,
              std::size_t threads, std::size_t group) {
    Result r{Outcome::done, std::vector<double>(kBatch * kSteps * kSize),
             std::vector<double>(kBatch * kSteps * 9), std::vector<double>(kBatch * kSteps * kFew)};
    State state(plan, kBatch);
    Job job{&plan, &state, {{Kind::values, in.data(), kSteps * kSize, kSize}},
            {{Kind::values, r.filtered.data(), kSize}, {Kind::values, r.maxima.data(), 9},
             {Kind::values, r.gains.data(), kFew}},
            kBatch, kSteps, 1, group, threads};
    r.outcome = run(job, kernels, [] { return false; });
    return r;
}

// The same step by step, each between the same arrays.
Result stepped(const Plan& plan, const Kernels& kernels, const std::vector<double>& in, std::size_t group) {
    Result r{Outcome::done, std::vector<double>(kBatch * kSteps * kSize),
             std::vector<double>(kBatch * kSteps * 9), std::vector<double>(kBatch * kSteps * kFew)};
    std::vector<double> now(kBatch * kSize), filtered(kBatch * kSize), maxima(kBatch * 9), gains(kBatch * kFew);
    State state(plan, kBatch);
    PreparedJob repeated({&plan, &state, {{Kind::values, now.data(), kSize, kSize}},
                       {{Kind::values, filtered.data(), kSize}, {Kind::values, maxima.data(), 9},
                        {Kind::values, gains.data(), kFew}},
                       kBatch, 1, 1, group, 1}, kernels);
    const auto moved = [](std::vector<double>& all, std::vector<double>& one, std::size_t t, bool out) {
        const std::size_t size = one.size() / kBatch;
        for (std::size_t b = 0; b < kBatch; ++b)
            for (std::size_t k = 0; k < size; ++k) {
                double& there = all[(b * kSteps + t) * size + k];
                out ? there = one[b * size + k] : one[b * size + k] = there;
            }
    };
    std::vector<double> given = in;
    for (std::size_t t = 0; t < kSteps && r.outcome == Outcome::done; ++t) {
        moved(given, now, t, false);
        r.outcome = repeated.run(t, {}, [] { return false; });
        moved(r.filtered, filtered, t, true), moved(r.maxima, maxima, t, true);
        moved(r.gains, gains, t, true);
    }
    return r;
}

}  // namespace

int main() {
    int failures = 0, done = 0;
    std::vector<double> in(kBatch * kSteps * kSize);
    for (double& x : in) x = draw(0.0, 1.0) < 0.5 ? 0.0 : draw(-1.0, 2.0);
    for (NeuronKind neuron_kind : {NeuronKind::rate, NeuronKind::integrate, NeuronKind::running_mean, NeuronKind::leaky, NeuronKind::bipolar,
                      NeuronKind::adaptive_leaky, NeuronKind::adaptive_rate, NeuronKind::quadratic, NeuronKind::stochastic,
                      NeuronKind::poisson})
        for (int rate = 0; rate <= int(Rate::soft_lif); ++rate)
            for (const std::size_t order : {1, 2, 3, 13}) {
                const bool drawn = neuron_kind == NeuronKind::stochastic || neuron_kind == NeuronKind::poisson;
                const bool negative = neuron_kind == NeuronKind::running_mean || neuron_kind == NeuronKind::bipolar ||
                                      (drawn && (rate == int(Rate::leaky) || rate == int(Rate::tanh)));
                if (rate == int(Rate::parametric) || (!has_rate(neuron_kind) && rate > 0)) continue;
                const Plan plan = loop(neuron_kind, Rate(rate), negative, order);
                const Result first = result(plan, usable_kernels()[0], in, 1, 1);
                for (const Kernels& kernels : usable_kernels())
                    for (std::size_t threads = 1; threads <= 4; ++threads, ++done) {
                        const std::size_t group = threads % 2 + 1;
                        if (result(plan, kernels, in, threads, group) == first &&
                            stepped(plan, kernels, in, group) == first)
                            continue;
                        ++failures;
                        std::printf("%s: neuron_kind %d, rate %d, order %zu, %zu threads differ\n",
                                    kernels.name, int(neuron_kind), rate, order, threads);
                    }
            }
    std::printf("%d passed, %d failed\n", done - failures, failures);
    return failures != 0;
}
