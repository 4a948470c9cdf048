// Values of which most are not zero: limbs of all steps of a slab side by side, so that a weight is read
// once for many steps. Sums are those of `analog.hpp`, exact limb by limb. Weights in two limbs meet more
// limbs of values: registers hold no sums of several steps of them.
#pragma once

#include "layer.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr std::size_t kTogether = kBytes == 64 ? 8 : 4;  // steps whose sums stay in registers

inline doubles magnitude_of(doubles x) { return doubles(longs(x) & INT64_MAX); }

// What is found out of a slab before it is split: the largest magnitude of each step, and how many values
// are not zero. A sheet costs its places, whole groups of steps, so that single steps are listed.
struct Survey {
    double largest[kSlab] = {};
    std::size_t used = 0;
    bool tiny = false, pays = false;  // reciprocals of units of tiny values do not exist

    Survey(const Context& c, const Instruction& op, std::size_t s, std::size_t t, std::size_t steps) {
        const std::size_t size = op.layer->input_pixels() * std::size_t(op.layer->channels);
        const std::size_t groups = rounded_up(steps, kTogether);
        if (op.layer->limbs.weights != 1 || 2 * steps < groups) return;
        for (std::size_t u = 0; u < steps; ++u) {
            largest[u] = largest_elsewhere(c, op.input, s, t + u);
            look(c.values(op.input, s, t + u), size, u);
            if (largest[u] > 0.0 && largest[u] < 0x1p-900) tiny = true;
        }
        pays = 2 * used >= size * groups && !tiny;
    }

  private:
    void look(const double* from, std::size_t size, std::size_t t) {
        doubles most{};
        std::size_t i = 0;
        for (; i + kDoubles <= size; i += kDoubles) {
            const doubles x = magnitude_of(load<doubles>(from + i));
            most = x > most ? x : most;
            used += std::size_t(__builtin_popcount(at_least(x, splat(0x1p-1074))));
        }
        for (std::size_t k = 0; k < kDoubles; ++k) largest[t] = larger(largest[t], most[k]);
        for (; i < size; ++i) {
            largest[t] = larger(largest[t], from[i]);
            used += from[i] != 0.0;
        }
    }
};

// How the values of a step are split: by a power of two, and by finer ones from limb to limb.
struct Splitter {
    double step = 1.0, finer = 1.0;
    std::size_t most = 0;

    // Up to a vector of values: limb l goes to `to[l * kSlab]` and on, `apart` from value to value. Returns
    // the number of limbs that they need.
    std::size_t operator()(const double* from, std::size_t n, double* to, std::size_t apart) const {
        constexpr std::uint32_t every = (1u << kDoubles) - 1;
        const doubles magic = splat(6755399441055744.0);  // 1.5 * 2^52: to the nearest, ties to even
        alignas(kLine) double part[kDoubles] = {};
        std::memcpy(part, from, n * sizeof(double));
        doubles rest = load<doubles>(part);
        double unit = step;
        std::size_t needed = 1;
        for (std::size_t l = 0; l < most; ++l, unit *= finer) {
            const doubles limb = ((rest * (1.0 / unit) + magic) - magic) * unit;
            rest = rest - limb;
            store(part, limb);
            for (std::size_t k = 0; k < n; ++k) to[k * apart + l * kSlab] = part[k];
            const std::uint32_t zero = at_least(rest, doubles{}) & at_least(doubles{}, rest);
            if ((zero & every) != every) needed = l + 2;
        }
        return needed < most ? needed : most;
    }
};

// Lays out the steps of a slab.
inline void lay_out(const Context& c, const Instruction& op, std::size_t s, std::size_t t, std::size_t steps,
                    const Survey& found, Sheet& to) {
    const Layer& l = *op.layer;
    const std::size_t size = l.input_pixels() * std::size_t(l.channels);
    to.most = std::size_t(l.limbs.most), to.limbs = 1;
    const std::size_t apart = to.most * kSlab;
    to.values.reserve(size * apart, 0);
    if (steps < kSlab) std::fill_n(to.values.data(), size * apart, 0.0);
    Splitter splitters[kSlab];
    for (std::size_t u = 0; u < steps; ++u) {
        const double largest = found.largest[u];
        splitters[u] = {largest > 0.0 ? limb_step(largest, l.limbs.bits) : 1.0, std::ldexp(1.0, -l.limbs.bits),
                        to.most};
    }
    for (std::size_t i = 0; i < size; i += kDoubles) {
        const std::size_t n = size - i < kDoubles ? size - i : kDoubles;
        for (std::size_t u = 0; u < steps; ++u)
            to.limbs = std::max(to.limbs, splitters[u](c.values(op.input, s, t + u) + i, n,
                                                       to.values.data() + i * apart + u, apart));
    }
}

// Sums of a vector of lanes in some steps.
template <std::size_t lanes, int limbs>
[[gnu::noinline]] void add_sheet(const std::int32_t* weights, const Sheet& sheet, std::size_t channels,
                                 const std::vector<Segment>& segments, std::size_t first, double* to) {
    doubles sums[limbs * kTogether];
    each<limbs * kTogether>(SPIKEWRIGHT_EACH(k) { sums[k] = doubles{}; });
    const std::size_t apart = sheet.most * kSlab;
    for (const Segment& s : segments) {
        const std::size_t at = s.begin * channels, end = s.end * channels;
        const double* x = sheet.values.data() + at * apart + first;
        const std::int32_t* row = weights + (std::int64_t(at) + s.base) * std::int64_t(lanes);
        for (std::size_t i = at; i < end; ++i, x += apart, row += lanes) {
            const doubles w = to_doubles(load<half_ints>(row));
            each<limbs * kTogether>(SPIKEWRIGHT_EACH(k) {
                sums[k] = add_exact_product(sums[k], splat(x[k / kTogether * kSlab + k % kTogether]), w);
            });
        }
    }
    each<kTogether>(SPIKEWRIGHT_EACH(t) {
        doubles total = sums[t];
        for (std::size_t l = 1; l < limbs; ++l) total += sums[l * kTogether + t];
        store(to + t * 64, total);
    });
}

// Adds up the weights of a slab for a pixel whose segments are found.
template <std::size_t lanes>
inline void sum_sheet(const Strip& strip, const Sheet& sheet, std::size_t t, std::size_t steps) {
    const std::int32_t* weights = strip.op.layer->weights.data() + strip.block.offset;
    const auto channels = std::size_t(strip.op.layer->channels);
    const auto& segments = strip.scratch.segments;
    SumBuffer& sums = strip.scratch.sums;
    for (std::size_t lane = 0; lane < lanes; lane += kDoubles)
        for (std::size_t u = 0; u < steps; u += kTogether) {
            double* to = sums.wide.data() + (t + u) * 64 + lane;
            if (sheet.limbs == 1) add_sheet<lanes, 1>(weights + lane, sheet, channels, segments, u, to);
            if (sheet.limbs == 2) add_sheet<lanes, 2>(weights + lane, sheet, channels, segments, u, to);
            if (sheet.limbs == 3) add_sheet<lanes, 3>(weights + lane, sheet, channels, segments, u, to);
        }
    std::fill_n(sums.is_wide.begin() + std::ptrdiff_t(t), steps, 1);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
