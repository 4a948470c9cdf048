// Test of weights by sender and of delays, for sanitizers: random ones against sums as the equations
// read, on every instruction set.
//
// scripts/sanitize.sh builds and runs it.

#include <cstdio>
#include <random>
#include <vector>

#include "dispatch.hpp"
#include "run.hpp"

using namespace spikewright;

namespace {

constexpr std::size_t kBatch = 3, kSteps = 19;
std::mt19937 generator(5);

int draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(generator); }

Instruction step(Action action, int input, int output) {
    Instruction op;
    op.action = action, op.input = input, op.output = output;
    return op;
}

// Counts go through a delay and then through random entries, some of them repeated.
bool delayed_senders(const Kernels& kernels, std::size_t threads, int bits, bool alike, bool repeated) {
    const std::size_t senders = std::size_t(draw(1, 300)), receivers = std::size_t(draw(1, 500));
    const std::size_t late = std::size_t(draw(1, 30)), count = std::size_t(draw(0, 4000));
    std::vector<std::int32_t> to(count), from(count);
    std::vector<double> values(count), steps(receivers, 0.25), each(senders);
    for (double& one : each) one = 0.25 * draw(1, 1 << bits);
    for (std::size_t i = 0; i < count; ++i) {
        to[i] = repeated ? 0 : draw(0, int(receivers) - 1), from[i] = draw(0, int(senders) - 1);
        values[i] = alike ? each[std::size_t(from[i])] : 0.25 * draw(-(1 << bits), 1 << bits);
    }
    const Entries entries{to.data(), from.data(), values.data(), count, steps.data()};
    const CscFormat form = format_of(entries, senders);
    if (alike && form.width != 0) return false;
    auto lists = std::make_shared<CscMatrix>(
        csc_blocks(form, senders, receivers, std::size_t(draw(1, 9)), 0.5));
    fill_csc(*lists, entries, form.shift);

    std::vector<std::int8_t> in(kBatch * kSteps * senders);
    for (std::int8_t& x : in) x = std::int8_t(draw(0, 3) ? 0 : draw(-127, 127));
    std::vector<double> out(kBatch * kSteps * receivers);
    Plan plan;
    plan.buffers = {{Kind::counts, senders}, {Kind::counts, senders}, {Kind::values, receivers}};
    plan.memories.push_back({late * senders, Array<double>(late * senders)});
    Instruction waits = step(Action::delay, 0, 1), sums = step(Action::csc, 1, 2);
    waits.delay = std::make_shared<DelayOp>(DelayOp{late, 0});
    sums.csc = lists;
    plan.instructions = {step(Action::load, 0, 0), waits, sums, step(Action::store, 2, 0)};
    State state(plan, kBatch);
    Job job{&plan, &state, {{Kind::counts, in.data(), kSteps * senders, senders}},
            {{Kind::values, out.data(), receivers}}, kBatch, kSteps, 7, 2, threads};
    if (run(job, kernels, [] { return false; }) != Outcome::done) return false;

    for (std::size_t b = 0; b < kBatch; ++b)
        for (std::size_t t = 0; t < kSteps; ++t) {
            std::vector<double> wanted(receivers);
            for (std::size_t i = 0; t >= late && i < count; ++i)
                wanted[std::size_t(to[i])] +=
                    values[i] * in[(b * kSteps + t - late) * senders + std::size_t(from[i])];
            for (std::size_t k = 0; k < receivers; ++k)
                if (out[(b * kSteps + t) * receivers + k] != 0.5 * wanted[k]) return false;
        }
    return true;
}

// Counts or values meet entries with delays, over blocks of steps or, as in a loop, step by step; in two
// runs. Weights are singles, or doubles where they are `wide`.
bool arriving(const Kernels& kernels, std::size_t threads, bool split, bool wide, Kind kind) {
    const std::size_t senders = std::size_t(draw(1, 300)), receivers = std::size_t(draw(1, 500));
    const std::size_t steps = std::size_t(draw(1, 30)), count = std::size_t(draw(0, 4000));
    std::vector<std::int32_t> to(count), from(count), delays(count);
    std::vector<double> values(count);
    for (std::size_t i = 0; i < count; ++i) {
        to[i] = draw(0, int(receivers) - 1), from[i] = draw(0, int(senders) - 1);
        delays[i] = draw(1, int(steps)), values[i] = 0.25 * draw(-99, 99) * (wide ? 1.0 + 0x1p-26 : 1.0);
    }
    auto delayed_csc = std::make_shared<DelayedCsc>();
    delayed_csc->count = senders, delayed_csc->receivers = receivers, delayed_csc->steps = steps;
    delayed_csc->part_size = (receivers + 4) / 5, delayed_csc->rows = 0, delayed_csc->factor = 0.5;
    delayed_csc->parts = (receivers + delayed_csc->part_size - 1) / delayed_csc->part_size;
    fill_delayed_csc(*delayed_csc, {to.data(), from.data(), delays.data(), values.data(), count});
    if (count > 100 && wide == delayed_csc->wide.empty()) return false;

    std::vector<std::int8_t> in(kBatch * kSteps * senders);
    for (std::int8_t& x : in) x = std::int8_t(draw(0, 3) ? 0 : draw(-127, 127));
    const std::vector<double> as_values(in.begin(), in.end());
    const void* given = in.data();
    if (kind == Kind::values) given = as_values.data();
    std::vector<double> out(kBatch * kSteps * receivers);
    Plan plan;
    plan.buffers = {{kind, senders}, {Kind::values, receivers}};
    plan.memories.push_back({steps * receivers, Array<double>(steps * receivers)});
    Instruction whole = step(Action::arrive, 0, 1), now = step(Action::receive, -1, 1);
    Instruction end = step(Action::send, 0, -1);
    for (Instruction* op : {&whole, &now, &end}) op->delayed_csc = delayed_csc;
    const Instruction load = step(Action::load, 0, 0), store = step(Action::store, 1, 0);
    plan.instructions = {load, whole, store};
    if (split) plan.instructions = {now, load, store, end};
    State state(plan, kBatch);
    const std::size_t first = std::size_t(draw(1, int(kSteps) - 1)), item = kind == Kind::counts ? 1 : 8;
    for (std::size_t begin : {std::size_t(0), first}) {
        const std::size_t n = begin ? kSteps - first : first;
        std::vector<double> part(kBatch * n * receivers);
        const void* data = static_cast<const std::uint8_t*>(given) + begin * senders * item;
        Job job{&plan, &state, {{kind, data, kSteps * senders, senders}},
                {{Kind::values, part.data(), receivers}}, kBatch, n, split ? 1u : 7u, 2, threads, begin};
        if (run(job, kernels, [] { return false; }) != Outcome::done) return false;
        for (std::size_t b = 0; b < kBatch; ++b)
            std::copy_n(part.data() + b * n * receivers, n * receivers,
                        out.data() + (b * kSteps + begin) * receivers);
    }
    for (std::size_t b = 0; b < kBatch; ++b) {
        std::vector<double> wanted((kSteps + steps) * receivers);
        for (std::size_t t = 0; t < kSteps; ++t)
            for (std::size_t i = 0; i < count; ++i)
                wanted[(t + std::size_t(delays[i])) * receivers + std::size_t(to[i])] +=
                    values[i] * in[(b * kSteps + t) * senders + std::size_t(from[i])];
        for (std::size_t k = 0; k < kSteps * receivers; ++k)
            if (out[b * kSteps * receivers + k] != 0.5 * wanted[k]) return false;
    }
    return true;
}

}  // namespace

int main() {
    int failures = 0, done = 0;
    for (const Kernels& kernels : usable_kernels())
        for (int i = 0; i < 48; ++i) {
            ++done;
            const Kind kind = i % 3 ? Kind::counts : Kind::values;
            if (arriving(kernels, std::size_t(1 + i % 4), i % 2 == 0, i % 5 == 0, kind)) continue;
            ++failures;
            std::printf("%s: delayed_csc, case %d differs\n", kernels.name, i);
        }
    for (const Kernels& kernels : usable_kernels())
        for (int i = 0; i < 48; ++i) {
            const int bits[] = {6, 14, 24};
            ++done;
            if (delayed_senders(kernels, std::size_t(1 + i % 4), bits[i % 3], i % 8 == 0, i % 5 == 0))
                continue;
            ++failures;
            std::printf("%s: senders, case %d differs\n", kernels.name, i);
        }
    std::printf("%d passed, %d failed\n", done - failures, failures);
    return failures != 0;
}
