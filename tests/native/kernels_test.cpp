// The kernels' own test, for sanitizers: random layers against loops as the equations read.
//
// scripts/sanitize.sh builds and runs it.

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>

#include "dispatch.hpp"
#include "run.hpp"

using namespace spikewright;

namespace {

std::mt19937 generator(1);

int draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(generator); }

Parameter one_row(std::size_t channels, double value, double behind) {
    Parameter p;
    const std::size_t padded = rounded_up(channels, 64);
    p.values.resize(padded);
    for (std::size_t i = 0; i < padded + kSpare / sizeof(double); ++i)
        p.values.data()[i] = i < channels ? value : behind;
    p.uniform = true;
    return p;
}

struct Case {
    std::int64_t height, width, channels, out, kernel_y, kernel_x, stride, pad, dilation;
    std::int64_t extent(std::int64_t n, std::int64_t k) const {
        return (n + 2 * pad - dilation * (k - 1) - 1) / stride + 1;
    }
};

constexpr double kHeight = 0.375;  // of what a shortcut brings

// Spikes of one step, and voltages, as the equation reads, which `takes_back` spikes where that is set.
// `beside` are the counts of a shortcut, or null.
void expected_step(const Case& k, const std::vector<std::int64_t>& weights, const std::int8_t* in,
                   const std::int8_t* beside, double scale, bool takes_back, std::vector<double>& v, std::vector<double>& sent,
                   std::vector<std::int8_t>& out) {
    const std::int64_t oh = k.extent(k.height, k.kernel_y), ow = k.extent(k.width, k.kernel_x);
    for (std::int64_t oy = 0; oy < oh; ++oy)
        for (std::int64_t ox = 0; ox < ow; ++ox)
            for (std::int64_t o = 0; o < k.out; ++o) {
                __int128 sum = 0;
                for (std::int64_t ky = 0; ky < k.kernel_y; ++ky)
                    for (std::int64_t kx = 0; kx < k.kernel_x; ++kx) {
                        const std::int64_t y = oy * k.stride - k.pad + ky * k.dilation;
                        const std::int64_t x = ox * k.stride - k.pad + kx * k.dilation;
                        if (y < 0 || y >= k.height || x < 0 || x >= k.width) continue;
                        for (std::int64_t c = 0; c < k.channels; ++c)
                            sum += __int128(in[(y * k.width + x) * k.channels + c]) *
                                   weights[((ky * k.kernel_x + kx) * k.channels + c) * k.out + o];
                    }
                const std::size_t at = std::size_t((oy * ow + ox) * k.out + o);
                v[at] += (double(sum) * scale + (beside ? beside[at] * kHeight : 0.0)) + 0.25;
                const double least = takes_back ? -sent[at] : 0.0;
                const double count = std::fmax(least, std::floor(v[at] + 1.0 / 65536));
                v[at] -= count;
                sent[at] += count;
                out[at] = std::int8_t(count);
            }
}

// `both`: inputs are counts of either sign, and the neurons take spikes back. `joined`: a shortcut brings
// counts, in bytes or, as values, already times their height. `wide`: weights are two limbs.
bool same(const Case& k, const Kernels& kernels, std::size_t threads, int most, bool both,
          std::size_t block, bool joined, bool values, bool wide) {
    const std::int64_t oh = k.extent(k.height, k.kernel_y), ow = k.extent(k.width, k.kernel_x);
    const std::size_t rows = std::size_t(k.kernel_y * k.kernel_x * k.channels);
    const std::size_t size_in = std::size_t(k.height * k.width * k.channels);
    const std::size_t size_out = std::size_t(oh * ow * k.out), batch = 3, steps = 19;
    const int bits = wide ? 26 : 24;  // of a limb's magnitude
    std::vector<std::int64_t> weights(rows * std::size_t(k.out));
    for (auto& w : weights) {
        w = draw(-(1 << bits), 1 << bits);
        if (wide) w = (w << 27) + draw(-(1 << bits), 1 << bits);
    }
    const double scale = std::ldexp(1.0, wide ? -53 : -24) / std::sqrt(double(rows)) / most;

    Plan plan;
    const Kind kind = values ? Kind::values : Kind::counts;
    plan.buffers = {{Kind::counts, size_in}, {Kind::counts, size_out}, {kind, size_out}};
    const double inf = std::numeric_limits<double>::infinity();
    Population p;
    p.pixels = std::size_t(oh * ow), p.channels = std::size_t(k.out);
    p.padded = rounded_up(p.channels, 64);
    p.threshold = one_row(p.channels, 1.0, 1.0), p.inverse = p.threshold;
    for (int n = 0; n < 3; ++n)
        p.least[n] = one_row(p.channels, n + 1 - 1.0 / 65536, inf);
    p.model.neuron_kind = both ? NeuronKind::bipolar : NeuronKind::integrate, p.output = 1;
    for (int n = 0; n < 2; ++n) p.holds[n] = one_row(p.channels, -n - 1.0 / 65536, -inf);
    p.start = one_row(p.channels, 0.0, 0.0);
    plan.populations.push_back(p);
    auto l = std::make_shared<Layer>();
    const std::size_t halves = both ? 2 : 1, inner = std::size_t(k.channels);
    l->height = k.height, l->width = k.width, l->channels = k.channels * std::int64_t(halves);
    l->out_height = oh, l->out_width = ow, l->out_channels = k.out;
    l->kernel_height = k.kernel_y, l->kernel_width = k.kernel_x;
    l->stride_y = l->stride_x = k.stride, l->pad_y = l->pad_x = k.pad;
    l->dilation_y = l->dilation_x = k.dilation;
    std::size_t channel = 0, offset = 0;
    while (channel < std::size_t(k.out)) {
        const std::size_t left = std::size_t(k.out) - channel;
        const std::size_t lanes = left >= 64 ? 64 : left >= 32 ? 32 : 16;
        l->lanes.push_back({channel, lanes, offset});
        channel += lanes, offset += halves * rows * lanes;
    }
    Array<std::int32_t> packed(offset);
    Array<std::int32_t> rest(wide ? offset : 0);
    for (const Lanes& b : l->lanes)
        for (std::size_t r = 0; r < halves * rows; ++r)  // what is above zero, then what is below
            for (std::size_t c = 0; c < b.width && b.channel + c < std::size_t(k.out); ++c) {
                const std::size_t tap = r / (halves * inner), half = r / inner % halves;
                const std::size_t row = tap * inner + r % inner;
                const std::int64_t w = weights[row * std::size_t(k.out) + b.channel + c];
                const std::int64_t high = wide ? (w + (1 << 26)) >> 27 : w, low = w - (high << 27);
                const std::size_t at = b.offset + r * b.width + c;
                packed[at] = std::int32_t(half ? -high : high);
                if (wide) rest[at] = std::int32_t(half ? -low : low);
            }
    l->weights = std::move(packed), l->low = std::move(rest);
    l->scale.resize(rounded_up(channel, 64));
    for (std::size_t c = 0; c < std::size_t(k.out); ++c) l->scale[c] = scale;
    for (auto& budget : l->budgets) budget = wide ? 31 : 127;
    l->low_budget = 31;
    l->bias = one_row(std::size_t(k.out), 0.25, 0.0), l->gain = one_row(std::size_t(k.out), 1.0, 0.0);
    l->joined = one_row(std::size_t(k.out), kHeight, 0.0);
    Instruction load, brought, layer, store;
    load.action = brought.action = Action::load, store.action = Action::store;
    brought.input = 1, brought.output = 2;
    Operand operand;
    operand.source = 2;
    if (joined) layer.operands.push_back(operand);
    layer.action = both ? Action::signed_layer : Action::layer;
    load.input = 0, load.output = 0;
    layer.input = 0, layer.output = 1, layer.population = 0, layer.layer = l;
    store.input = 1, store.output = 0;
    plan.instructions = {load, brought, layer, store};

    std::vector<std::int8_t> in(batch * steps * size_in), out(batch * steps * size_out);
    for (auto& count : in) count = std::int8_t(draw(0, 3) ? 0 : draw(both ? -most : 0, most));
    std::vector<std::int8_t> beside(out.size());
    for (auto& count : beside) count = std::int8_t(draw(0, 3) ? 0 : draw(both ? -2 : 0, 2));
    std::vector<double> heights(beside.begin(), beside.end());
    for (auto& value : heights) value *= kHeight;
    const void* given = values ? static_cast<const void*>(heights.data()) : beside.data();
    State state(plan, batch);
    Job job{&plan, &state,
            {{Kind::counts, in.data(), steps * size_in, size_in},
             {kind, given, steps * size_out, size_out}},
            {{Kind::counts, out.data(), size_out}}, batch, steps, block, 2, threads};
    if (run(job, kernels, [] { return false; }) != Outcome::done) return false;
    std::vector<std::int8_t> expected(size_out);
    for (std::size_t b = 0; b < batch; ++b) {
        std::vector<double> v(size_out, 0.0), sent(size_out, 0.0);
        for (std::size_t t = 0; t < steps; ++t) {
            const std::size_t at = (b * steps + t) * size_out;
            expected_step(k, weights, in.data() + (b * steps + t) * size_in,
                          joined ? beside.data() + at : nullptr, scale, both, v, sent, expected);
            if (std::memcmp(expected.data(), out.data() + at, size_out)) return false;
        }
    }
    return true;
}

}  // namespace

int main() {
    int failures = 0, done = 0;
    std::printf("instruction sets:");
    for (const Kernels& kernels : usable_kernels()) std::printf(" %s", kernels.name);
    std::printf("\n");
    for (const Kernels& kernels : usable_kernels())
        for (int i = 0; i < 60; ++i, ++done) {
            Case k{draw(1, 7), draw(1, 7), draw(1, 70), draw(1, 100), 1, 1, draw(1, 3), draw(0, 2),
                   draw(1, 2)};
            if (i % 3) k.kernel_y = k.kernel_x = draw(1, 3);
            if (i % 5 == 0) k.channels = 16 * draw(1, 3);  // several pixels are listed at once
            if (k.extent(k.height, k.kernel_y) < 1 || k.extent(k.width, k.kernel_x) < 1) continue;
            const int most = i % 4 == 0 ? 1 : i % 4 == 1 ? 3 : 100;
            const std::size_t block = i % 2 ? 4 : 17;
            if (!same(k, kernels, std::size_t(1 + i % 4), most, i / 4 % 2, block, i % 7 > 2,
                      i % 7 > 4, i / 8 % 2)) {
                ++failures;
                std::printf("%s: case %d differs\n", kernels.name, i);
            }
        }
    std::printf("%d passed, %d failed\n", done - failures, failures);
    return failures != 0;
}
