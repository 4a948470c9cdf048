// Test of layers of signed spikes, depthwise layers, layers on parts of buffers, maps along an axis and
// moves, for sanitizers: random ones against sums as the equations read, on every instruction set.
//
// scripts/sanitize.sh builds and runs it.

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

#include "dispatch.hpp"
#include "run.hpp"
#include "buffer_allocation.hpp"

using namespace spikewright;

namespace {

constexpr std::size_t kBatch = 3, kSteps = 19;
std::mt19937 generator(3);

int draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(generator); }

Parameter row(std::size_t channels, double value) {
    Parameter p;
    p.values.resize(rounded_up(channels, 64));
    for (std::size_t i = 0; i < channels; ++i) p.values[i] = value;
    p.uniform = true;
    return p;
}

Instruction step(Action action, int input, int output) {
    Instruction op;
    op.action = action, op.input = input, op.output = output;
    return op;
}

// Doubles of one buffer for all samples and steps: whole numbers up to `most`, some of them halved.
std::vector<double> signal(std::size_t size, int least, int most, bool halves) {
    std::vector<double> values(kBatch * kSteps * size);
    for (double& x : values) {
        x = draw(0, 2) ? 0.0 : double(draw(least, most));
        if (halves && !draw(0, 99)) x *= 0.5;
    }
    return values;
}

// Runs the plan's instructions between loading `in` and storing what is in the buffer `last`.
bool run_plan(Plan& plan, const Kernels& kernels, const std::vector<double>& in, bool counts,
              std::size_t threads, int last, std::vector<double>& out) {
    std::vector<std::int8_t> bytes(in.begin(), in.end());
    const std::size_t size = in.size() / kBatch / kSteps, made = plan.buffers[std::size_t(last)].size;
    plan.instructions.insert(plan.instructions.begin(), step(Action::load, 0, 0));
    plan.instructions.push_back(step(Action::store, last, 0));
    if (threads % 2) allocate_buffers(plan);
    out.assign(kBatch * kSteps * made, 0.0);
    State state(plan, kBatch);
    const void* data = counts ? static_cast<const void*>(bytes.data()) : in.data();
    Job job{&plan, &state, {{plan.buffers[0].kind, data, kSteps * size, size}},
            {{Kind::values, out.data(), made}}, kBatch, kSteps, 7, 2, threads};
    return run(job, kernels, [] { return false; }) == Outcome::done;
}

std::shared_ptr<Layer> layer_of(std::int64_t height, std::int64_t width, std::int64_t channels,
                                std::int64_t out, std::int64_t kernel) {
    auto l = std::make_shared<Layer>();
    l->height = height, l->width = width, l->channels = channels, l->out_channels = out;
    l->kernel_height = l->kernel_width = kernel, l->pad_y = l->pad_x = draw(0, 1);
    l->stride_y = l->stride_x = draw(1, 2);
    l->out_height = (height + 2 * l->pad_y - kernel) / l->stride_y + 1;
    l->out_width = (width + 2 * l->pad_x - kernel) / l->stride_x + 1;
    l->limbs = {14, 3};
    l->scale = row(std::size_t(out), 0.5).values;
    l->gain = row(std::size_t(out), 1.0), l->bias = row(std::size_t(out), 0.25);
    for (auto& budget : l->budgets) budget = 31;
    l->low_budget = 31;
    return l;
}

using Weight = std::int64_t;

// Weights `(rows, out)` in blocks of lanes; those of more than 25 bits are two limbs.
void set_weights(Layer& l, std::size_t rows, const std::vector<Weight>& weights) {
    const std::size_t out = std::size_t(l.out_channels);
    std::size_t channel = 0, offset = 0;
    while (channel < out) {
        const std::size_t left = out - channel, lanes = left >= 64 ? 64 : left >= 32 ? 32 : 16;
        l.lanes.push_back({channel, lanes, offset});
        channel += lanes, offset += rows * lanes;
    }
    bool wide = false;
    for (Weight w : weights) wide = wide || w > (1 << 24) || w < -(1 << 24);
    Array<std::int32_t> packed(offset);
    Array<std::int32_t> rest(wide ? offset : 0);
    for (const Lanes& b : l.lanes)
        for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t c = 0; c < b.width && b.channel + c < out; ++c) {
                const Weight w = weights[r * out + b.channel + c];
                const Weight high = wide ? (w + (1 << 26)) >> 27 : w;
                packed[b.offset + r * b.width + c] = std::int32_t(high);
                if (wide) rest[b.offset + r * b.width + c] = std::int32_t(w - (high << 27));
            }
    l.weights = std::move(packed), l.low = std::move(rest);
}

// Wide ones are small enough for doubles to hold all sums.
std::vector<Weight> random_weights(std::size_t n, bool wide) {
    std::vector<Weight> weights(n);
    for (auto& w : weights) {
        w = draw(-(1 << 24), 1 << 24);
        if (wide) w = (w << 10) + draw(0, 1 << 10);
    }
    return weights;
}

// What one pixel of one frame receives; `weight(tap, channel in, channel out)`.
template <class F>
double expected(const Layer& l, std::int64_t channels, const double* x, std::int64_t pixel,
                std::int64_t out, F&& weight) {
    double sum = 0.0;
    for (std::int64_t ky = 0; ky < l.kernel_height; ++ky)
        for (std::int64_t kx = 0; kx < l.kernel_width; ++kx) {
            const std::int64_t iy = pixel / l.out_width * l.stride_y - l.pad_y + ky;
            const std::int64_t ix = pixel % l.out_width * l.stride_x - l.pad_x + kx;
            if (iy < 0 || iy >= l.height || ix < 0 || ix >= l.width) continue;
            for (std::int64_t c = 0; c < channels; ++c)
                sum += weight(ky * l.kernel_width + kx, c, out) *
                       x[(iy * l.width + ix) * channels + c];
        }
    return sum * 0.5 + 0.25;
}

template <class F>
bool same_layer(const Layer& l, std::int64_t channels, const std::vector<double>& in,
                const std::vector<double>& out, F&& weight) {
    const std::size_t made = l.pixels() * std::size_t(l.out_channels);
    const std::size_t size = in.size() / kBatch / kSteps;
    for (std::size_t f = 0; f < kBatch * kSteps; ++f)
        for (std::size_t i = 0; i < made; ++i) {
            const auto pixel = std::int64_t(i) / l.out_channels, o = std::int64_t(i) % l.out_channels;
            const double wanted = expected(l, channels, in.data() + f * size, pixel, o, weight);
            if (out[f * made + i] != wanted) return false;
        }
    return true;
}

bool signed_layer(const Kernels& kernels, std::size_t threads, int most, bool halves, bool wide) {
    const int channels = draw(1, 70), out = draw(1, 100), kernel = draw(1, 3);
    auto l = layer_of(draw(3, 6), draw(3, 6), channels, out, kernel);
    const std::size_t taps = std::size_t(kernel * kernel);
    const auto weights = random_weights(taps * std::size_t(channels * out), wide);
    std::vector<Weight> rows;
    for (std::size_t t = 0; t < taps; ++t)
        for (int sign : {1, -1})
            for (std::size_t i = 0; i < std::size_t(channels * out); ++i)
                rows.push_back(sign * weights[t * std::size_t(channels * out) + i]);
    set_weights(*l, 2 * taps * std::size_t(channels), rows);
    const auto in = signal(std::size_t(l->height * l->width * channels), -most, most, halves);
    Plan plan;
    plan.buffers = {{Kind::values, in.size() / kBatch / kSteps},
                    {Kind::values, l->pixels() * std::size_t(out)}};
    Instruction op = step(Action::signed_layer, 0, 1);
    l->channels = 2 * channels, op.layer = l;
    plan.instructions = {op};
    std::vector<double> made;
    if (!run_plan(plan, kernels, in, false, threads, 1, made)) return false;
    return same_layer(*l, channels, in, made, [&](auto tap, auto c, auto o) {
        return double(weights[std::size_t((tap * channels + c) * out + o)]);
    });
}

bool depthwise(const Kernels& kernels, std::size_t threads, int most, bool counts, bool halves,
               bool wide) {
    const int channels = draw(1, 100), kernel = draw(1, 3);
    auto l = layer_of(draw(3, 6), draw(3, 6), channels, channels, kernel);
    const auto weights = random_weights(std::size_t(kernel * kernel * channels), wide);
    set_weights(*l, std::size_t(kernel * kernel), weights);
    l->budgets[0] = 7, l->low_budget = 3;  // with 9 taps of 24 bits, and of 26
    const auto in = signal(std::size_t(l->height * l->width * channels), counts ? 0 : -most, most,
                           halves);
    Plan plan;
    plan.buffers = {{counts ? Kind::counts : Kind::values, in.size() / kBatch / kSteps},
                    {Kind::values, l->pixels() * std::size_t(channels)}};
    Instruction op = step(Action::depthwise, 0, 1);
    op.layer = l;
    plan.instructions = {op};
    std::vector<double> made;
    if (!run_plan(plan, kernels, in, counts, threads, 1, made)) return false;
    return same_layer(*l, channels, in, made, [&](auto tap, auto c, auto o) {
        return c == o ? double(weights[std::size_t(tap * channels + c)]) : 0.0;
    });
}

// Two layers, each on its half of the input, side by side in the output.
bool layers_on_parts(const Kernels& kernels, std::size_t threads) {
    const int channels = draw(1, 40), out = draw(1, 40);
    auto l = layer_of(1, draw(1, 5), channels, out, 1);
    l->pad_y = l->pad_x = 0, l->stride_x = 1, l->out_height = 1, l->out_width = l->width;
    const auto weights = random_weights(std::size_t(channels * out), draw(0, 1));
    set_weights(*l, std::size_t(channels), weights);
    const auto half = std::size_t(l->width * channels), made = std::size_t(l->width * out);
    const auto in = signal(2 * half, 0, 3, false);
    Plan plan;
    plan.buffers = {{Kind::counts, 2 * half}, {Kind::values, 2 * made}};
    for (std::size_t i = 0; i < 2; ++i) {
        plan.buffers.push_back({Kind::counts, half, 0, i * half});
        plan.buffers.push_back({Kind::values, made, 1, i * made});
        Instruction op = step(Action::layer, int(2 * i + 2), int(2 * i + 3));
        op.layer = l;
        plan.instructions.push_back(op);
    }
    std::vector<double> result, part_in, part_out;
    if (!run_plan(plan, kernels, in, true, threads, 1, result)) return false;
    for (std::size_t i = 0; i < 2; ++i) {
        part_in.clear(), part_out.clear();
        for (std::size_t f = 0; f < kBatch * kSteps; ++f) {
            const double *a = in.data() + (2 * f + i) * half, *b = result.data() + (2 * f + i) * made;
            part_in.insert(part_in.end(), a, a + half), part_out.insert(part_out.end(), b, b + made);
        }
        if (!same_layer(*l, channels, part_in, part_out, [&](auto, auto c, auto o) {
                return double(weights[std::size_t(c * out + o)]);
            }))
            return false;
    }
    return true;
}

// A map along an axis, then its values put behind zeros and taken in reverse.
bool axis_map(const Kernels& kernels, std::size_t threads, bool counts, bool halves, bool wide) {
    auto m = std::make_shared<AxisRows>();
    m->outer = std::size_t(draw(1, 4)), m->axis = std::size_t(draw(1, 6));
    m->inner = std::size_t(draw(1, 40)), m->out = std::size_t(draw(1, 6));
    m->limbs = {27, 2}, m->factor = 0.5;
    m->starts = {0};
    for (std::size_t r = 0; r < m->out; ++r) {
        for (int i = draw(0, 3); i > 0; --i) {
            m->columns.push_back(draw(0, int(m->axis) - 1));
            m->values.push_back(double(draw(-(1 << 24), 1 << 24)));
            if (wide) m->low.push_back(std::ldexp(double(draw(-8, 8)), -6));
        }
        m->starts.push_back(std::int64_t(m->values.size()));
    }
    const std::size_t size = m->outer * m->axis * m->inner, made = m->outer * m->out * m->inner;
    const std::size_t apart = std::size_t(draw(0, 9));
    const auto in = signal(size, counts ? 0 : -100, 100, halves);
    Plan plan;
    plan.buffers = {{counts ? Kind::counts : Kind::values, size}, {Kind::values, made},
                    {Kind::values, made + apart}, {Kind::values, made + apart}};
    Instruction op = step(Action::axis_map, 0, 1), put = step(Action::put, 1, 2);
    Instruction take = step(Action::take, 2, 3);
    op.axis_rows = m;
    put.index.resize(made), take.index.resize(made + apart);
    for (std::size_t k = 0; k < made; ++k) put.index[k] = std::int32_t(k + apart);
    if (draw(0, 1)) put.runs = {{0, std::uint32_t(apart), std::uint32_t(made)}};
    put.plus = draw(0, 1);
    for (std::size_t k = 0; k < made + apart; ++k)
        take.index[k] = std::int32_t(made + apart - 1 - k);
    plan.instructions = {op, put, take};
    std::vector<double> result;
    if (!run_plan(plan, kernels, in, counts, threads, 3, result)) return false;
    for (std::size_t f = 0; f < kBatch * kSteps; ++f)
        for (std::size_t k = 0; k < made + apart; ++k) {
            double wanted = 0.0;
            const std::size_t i = made + apart - 1 - k - apart;
            if (k < made) {
                const std::size_t o = i / (m->out * m->inner), r = i / m->inner % m->out;
                for (auto e = std::size_t(m->starts[r]); e < std::size_t(m->starts[r + 1]); ++e)
                    wanted += (m->values[e] + (wide ? m->low[e] : 0.0)) *
                              in[f * size + (o * m->axis + std::size_t(m->columns[e])) * m->inner +
                                 i % m->inner];
                wanted *= 0.5;
            }
            if (result[f * (made + apart) + k] != wanted) return false;
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
        for (int i = 0; i < 24; ++i) {
            const std::size_t threads = std::size_t(1 + i % 4);
            const int most = i % 3 == 0 ? 1 : i % 3 == 1 ? 100 : 200;
            const bool wide = i / 2 % 2;
            check(signed_layer(kernels, threads, most, i % 2, wide), kernels, "signed layer", i);
            check(depthwise(kernels, threads, i % 3 ? 100 : 7, true, false, wide), kernels,
                  "depthwise", i);
            check(depthwise(kernels, threads, most, false, i % 2, wide), kernels, "depthwise values", i);
            check(layers_on_parts(kernels, threads), kernels, "layers on parts", i);
            check(axis_map(kernels, threads, i % 2, false, wide), kernels, "axis map", i);
            check(axis_map(kernels, threads, false, true, wide), kernels, "axis map of values", i);
        }
    std::printf("%d passed, %d failed\n", done - failures, failures);
    return failures != 0;
}
