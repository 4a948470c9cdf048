// Test of integrate-and-fire populations of every kind behind values, of layers of values, and of integration
// along all steps, for sanitizers: random ones against the equations, on every instruction set.
//
// scripts/sanitize.sh builds and runs it.

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

#include "dispatch.hpp"
#include "run.hpp"

using namespace spikewright;

namespace {

constexpr std::size_t kBatch = 3;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
std::mt19937 generator(5);

int draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(generator); }

// A row of parameters, `behind` the last one up to whole vectors.
Parameter row(const std::vector<double>& values, double behind, bool uniform) {
    Parameter p;
    const std::size_t padded = rounded_up(values.size(), 64);
    p.values.resize(padded);
    for (std::size_t i = 0; i < padded + kSpare / sizeof(double); ++i)
        p.values.data()[i] = i < values.size() ? values[i] : behind;
    p.uniform = uniform;
    return p;
}

Instruction step(Action action, int input, int output) {
    Instruction op;
    op.action = action, op.input = input, op.output = output;
    return op;
}

// Neurons whose thresholds are powers of two, so that every voltage below is exact.
struct Neurons {
    NeuronKind neuron_kind = NeuronKind::integrate;
    bool uniform = false, rectify = false, has_floor = false;
    double cap = 0.0;
    FixedPoint whole;
    std::vector<double> threshold;

    double lowest(std::size_t i) const { return -threshold[i]; }

    Population population() const {
        const std::size_t n = threshold.size();
        Population p;
        NeuronModel& m = p.model;
        p.channels = n, p.padded = rounded_up(n, 64);
        m.neuron_kind = neuron_kind, m.cap = cap, m.fixed = whole;
        if (rectify) m.rate = Rate::bent;
        if (has_floor) m.floor = 1.0;
        const auto made = [&](double behind, auto f) {
            std::vector<double> values(n);
            for (std::size_t i = 0; i < n; ++i) values[i] = f(i);
            return row(values, behind, uniform);
        };
        p.threshold = made(1.0, [&](std::size_t i) { return threshold[i]; });
        p.inverse = made(1.0, [&](std::size_t i) { return 1.0 / threshold[i]; });
        for (int k = 0; k < 3; ++k)
            p.least[k] = made(kInfinity, [&](std::size_t i) { return (k + 1 - m.tolerance()) * threshold[i]; });
        for (int k = 0; k < 2; ++k)
            p.holds[k] = made(-kInfinity, [&](std::size_t i) { return (-k - kTolerance) * threshold[i]; });
        p.lowest = made(-kInfinity, [&](std::size_t i) { return lowest(i); });
        p.start = made(0.0, [](std::size_t) { return 0.0; });
        p.own = made(0.0, [](std::size_t) { return 4.0; });
        p.output = 1;
        return p;
    }

    // A step as the equations read; returns the count.
    double expected(std::size_t i, double current, double& v, double& sent) const {
        const double unit = threshold[i], most = cap > 0.0 ? cap : kInfinity;
        if (neuron_kind == NeuronKind::fixed_point) {
            if (whole.leak > 0.0) v -= std::floor(v * whole.leak);
            v = std::fmin(std::fmax(std::floor(v + current * 4.0 + whole.half), whole.low), whole.high);
            const double count = std::fmin(std::fmax(std::floor(v / unit), 0.0), most);
            v = whole.to_zero ? (v >= unit ? 0.0 : v) : v - count * unit;
            sent += count;
            return count;
        }
        v += rectify ? std::fmax(current, 0.0) : current;
        const double least = neuron_kind == NeuronKind::bipolar ? -std::fmin(sent, most) : 0.0;
        const double count = std::fmin(std::fmax(std::floor(v / unit + kTolerance), least), most);
        v -= count * unit;
        if (has_floor) v = std::fmax(v, lowest(i));
        sent += count;
        return count;
    }
};

Neurons some_neurons(NeuronKind neuron_kind, int i) {
    Neurons neurons;
    neurons.neuron_kind = neuron_kind, neurons.uniform = i % 2;
    neurons.cap = i % 3 == 0 ? 0.0 : i % 3 == 1 ? 1.0 : 3.0;
    neurons.rectify = neuron_kind == NeuronKind::integrate && i % 5 == 0;
    neurons.has_floor = neuron_kind == NeuronKind::integrate && i % 4 == 0;
    const bool whole = neuron_kind == NeuronKind::fixed_point;
    if (whole) neurons.whole = {i % 4 == 0 ? 0.0 : 0.25, i % 5 ? 0.5 : 0.0, -9.0, 300.0, i % 7 > 3};
    const double unit = whole ? double(draw(3, 9)) : 1.0;
    for (int n = draw(1, 150); n > 0; --n)
        neurons.threshold.push_back(neurons.uniform ? unit : whole ? double(draw(3, 9))
                                                                   : std::ldexp(1.0, draw(-1, 2)));
    return neurons;
}

// Populations behind currents of the region or from outside, which may be the same in all steps. A `last` run
// gives totals.
bool population(const Kernels& kernels, const Neurons& neurons, std::size_t threads, std::size_t block, bool outside,
                bool held, bool last) {
    const std::size_t n = neurons.threshold.size(), steps = 19, given = held ? 1 : steps;
    const bool much = neurons.cap == 0.0 && draw(0, 1);
    std::vector<double> in(kBatch * given * n);
    for (double& x : in) x = draw(-100, much ? 900 : 200) / 128.0;
    if (neurons.cap == 0.0 && draw(0, 2) == 0)  // some counts do not fit a byte
        for (double& x : in) x *= draw(0, 5) ? 1.0 : 1e5;
    Plan plan;
    plan.buffers = {{Kind::values, n}, {Kind::counts, n}};
    plan.populations = {neurons.population()};
    plan.populations[0].places.whole = n;
    Instruction fire = step(Action::fire, 0, 1);
    fire.population = 0, fire.external = outside;
    if (!outside) plan.instructions.push_back(step(Action::load, 0, 0));
    plan.instructions.push_back(fire);
    plan.instructions.push_back(step(Action::store, 1, 0));
    std::vector<std::int8_t> out(kBatch * steps * n);
    std::vector<std::int32_t> sent(kBatch * n), net(kBatch * n);
    State state(plan, kBatch);
    Job job{&plan, &state, {{Kind::values, in.data(), given * n, held ? 0 : n}},
            {{Kind::counts, out.data(), n}}, kBatch, steps, block, 2, threads};
    if (last) {
        job.last = true;
        job.totals = {{4, sent.data(), neurons.neuron_kind == NeuronKind::bipolar ? net.data() : nullptr}};
        job.brief = fits_bytes(job);
    }
    const Outcome outcome = run(job, kernels, [] { return false; });
    std::vector<double> counts(out.begin(), out.end());
    for (const State::LargeOutput& one : state.large[0]) counts[(one.sample * steps + one.step) * n + one.place] = one.count;
    if (outcome != (state.large[0].empty() ? Outcome::done : Outcome::exceeded)) return false;
    for (std::size_t b = 0; b < kBatch; ++b)
        for (std::size_t i = 0; i < n; ++i) {
            double v = 0.0, sum = 0.0, all = 0.0;
            for (std::size_t t = 0; t < steps; ++t) {
                const double current = in[(b * given + (held ? 0 : t)) * n + i];
                const double count = neurons.expected(i, current, v, sum);
                all += std::fabs(count);
                if (counts[(b * steps + t) * n + i] != count) return false;
            }
            if (!last && state.voltage[0].data()[b * plan.populations[0].padded + i] != v) return false;
            const auto rest = state.beyond[0].find({b, i});
            const double beyond = rest == state.beyond[0].end() ? 0.0 : rest->second;
            if (last && sent[b * n + i] + beyond != all) return false;
            if (last && neurons.neuron_kind == NeuronKind::bipolar && net[b * n + i] != sum) return false;
        }
    return true;
}

// Sums of values of 20 bits, zeros among them, over weights of 24 bits: exact limb by limb.
bool values(const Kernels& kernels, std::size_t threads, int zeros, bool few_bits) {
    const int height = draw(1, 5), width = draw(1, 5), channels = draw(1, 20), out = draw(1, 100);
    const std::size_t size = std::size_t(height * width * channels), steps = 19;
    auto l = std::make_shared<Layer>();
    l->height = height, l->width = width, l->channels = channels, l->out_channels = out;
    l->kernel_height = height, l->kernel_width = width, l->limbs = {14, 3};
    const auto ones = [&](double value) { return row(std::vector<double>(std::size_t(out), value), value, true); };
    l->scale = ones(0.5).values, l->gain = ones(1.0), l->bias = ones(0.25);
    std::size_t offset = 0;
    for (std::size_t channel = 0; channel < std::size_t(out);) {
        const std::size_t left = std::size_t(out) - channel, lanes = left >= 64 ? 64 : left >= 32 ? 32 : 16;
        l->lanes.push_back({channel, lanes, offset});
        channel += lanes, offset += size * lanes;
    }
    std::vector<std::int32_t> weights(size * std::size_t(out));
    for (auto& w : weights) w = draw(-(1 << 24), 1 << 24);
    Array<std::int32_t> packed(offset);
    for (const Lanes& b : l->lanes)
        for (std::size_t r = 0; r < size; ++r)
            for (std::size_t c = 0; c < b.width && b.channel + c < std::size_t(out); ++c)
                packed[b.offset + r * b.width + c] = weights[r * std::size_t(out) + b.channel + c];
    l->weights = std::move(packed);
    for (auto& budget : l->budgets) budget = 31;  // of weights of 26 bits
    std::vector<std::int32_t> whole(kBatch * steps * size);
    const int most = few_bits ? 100 : 1 << 19;
    for (auto& x : whole) x = draw(0, 9) < zeros ? 0 : draw(-most, most);
    const std::vector<double> in(whole.begin(), whole.end());
    std::vector<double> made(kBatch * steps * std::size_t(out));
    Plan plan;
    plan.buffers = {{Kind::values, size}, {Kind::values, std::size_t(out)}};
    Instruction layer = step(Action::analog, 0, 1);
    layer.layer = l;
    plan.instructions = {step(Action::load, 0, 0), layer, step(Action::store, 1, 0)};
    State state(plan, kBatch);
    Job job{&plan, &state, {{Kind::values, in.data(), steps * size, size}},
            {{Kind::values, made.data(), std::size_t(out)}}, kBatch, steps, 17, 2, threads};
    if (run(job, kernels, [] { return false; }) != Outcome::done) return false;
    for (std::size_t f = 0; f < kBatch * steps; ++f)
        for (std::size_t o = 0; o < std::size_t(out); ++o) {
            __int128 sum = 0;
            for (std::size_t r = 0; r < size; ++r)
                sum += __int128(whole[f * size + r]) * weights[r * std::size_t(out) + o];
            if (made[f * std::size_t(out) + o] != double(sum) * 0.5 + 0.25) return false;
        }
    return true;
}

// All steps of known currents, in either precision.
template <class Real>
bool sequence(void (*integrate)(const SequenceIntegration<Real>&), int i) {
    const std::size_t n = std::size_t(draw(1, 150)), steps = 13, samples = 2;
    const bool held = i % 3 == 0, takes_back = i % 2, all = i % 5 != 0;
    std::vector<Real> currents((held ? 1 : steps) * samples * n), thresholds(n), starts(n);
    for (Real& x : currents) x = Real(draw(-100, 300)) / Real(128);
    for (Real& x : thresholds) x = std::ldexp(Real(1), draw(-1, 2));
    for (Real& x : starts) x = Real(draw(0, 63)) / Real(128);
    std::vector<Real> carried(steps * samples * n), net(samples * n), both(samples * n);
    const Real cap = i % 4 ? std::numeric_limits<Real>::infinity() : Real(1);
    NeuronModel m;
    m.neuron_kind = takes_back ? NeuronKind::bipolar : NeuronKind::integrate, m.cap = i % 4 ? 0.0 : 1.0;
    if (i % 7 == 0) m.rate = Rate::bent;
    SequenceIntegration<Real> a{&m, currents.data(), thresholds.data(), starts.data(), steps, samples, n,
                  held ? 0 : samples * n, carried.data(), net.data(), all ? both.data() : nullptr};
    integrate(a);
    for (std::size_t at = 0; at < samples * n; ++at) {
        const Real unit = thresholds[at % n];
        Real v = starts[at % n], sent = 0, sizes = 0;
        for (std::size_t t = 0; t < steps; ++t) {
            const Real current = currents[(held ? 0 : t * samples * n) + at];
            v += m.rate == Rate::bent ? std::fmax(current, Real(0)) : current;
            const Real least = takes_back ? -std::fmin(sent, cap) : Real(0);
            const Real count = std::fmin(std::fmax(std::floor(v / unit + Real(kTolerance)), least), cap);
            v -= count * unit, sent += count, sizes += std::fabs(count);
            if (carried[t * samples * n + at] != count * unit) return false;
        }
        if (net[at] != sent || (all && both[at] != sizes)) return false;
    }
    return true;
}

}  // namespace

int main() {
    int failures = 0, done = 0;
    const auto check = [&](bool passed, const Kernels& kernels, const char* what, int i) {
        ++done;
        if (passed) return;
        ++failures;
        std::printf("%s: %s, case %d differs\n", kernels.name, what, i);
    };
    for (const Kernels& kernels : usable_kernels())
        for (int i = 0; i < 60; ++i) {
            const auto threads = std::size_t(1 + i % 4);
            const std::size_t block = i % 5 ? 32 : 7;
            for (NeuronKind neuron_kind : {NeuronKind::integrate, NeuronKind::bipolar, NeuronKind::fixed_point})
                check(population(kernels, some_neurons(neuron_kind, i), threads, block, i / 2 % 2, i / 2 % 2 && i % 3 == 0,
                                 i / 4 % 2),
                      kernels, "population", i);
            check(values(kernels, threads, i % 11, i / 2 % 2), kernels, "values", i);
            check(sequence<float>(kernels.integrate_floats, i), kernels, "integrate_floats", i);
            check(sequence<double>(kernels.integrate_doubles, i), kernels, "integrate_doubles", i);
        }
    std::printf("%d passed, %d failed\n", done - failures, failures);
    return failures != 0;
}
