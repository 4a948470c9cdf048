// Dense values, of which most are not zero: limbs of all steps of a slab side by side, so that a weight is
// read once for many steps. Sums are those of `analog.hpp`, exact limb by limb. Weights in two limbs meet
// more limbs of values: registers hold no sums of several steps of them. Where counts follow from bounds
// (`count_bounds.hpp`) values are not split: sums are rounded, with known errors, and made again where these matter.
#pragma once

#include "compensation.hpp"
#include "layer.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr std::size_t kTogether = kBytes == 64 ? 8 : 4;  // steps whose sums stay in registers


// Whether sums of values may be rounded: counts follow from bounds.
inline bool is_rough(const Context& c, const Instruction& op) {
    return op.layer->limbs.weights == 1 && !op.layer->has_gain && leaves_counts(c, op.population);
}

// What is found out of a slab before it is split: the extent of each step, and how many values are not zero.
// Dense values cost the same for all places, whole groups of steps, so that single steps are listed.
struct SlabSurvey {
    Extent extents[kSlab];
    std::size_t used = 0;
    // Reciprocals of units of tiny values do not exist; remainders are added to lists.
    bool tiny = false, pays = false;

    SlabSurvey(const Context& c, const Instruction& op, std::size_t s, std::size_t t, std::size_t steps) {
        const std::size_t size = op.layer->input_pixels() * std::size_t(op.layer->channels);
        const std::size_t groups = rounded_up(steps, kTogether);
        if (op.layer->limbs.weights != 1 || 2 * steps < groups) return;
        const bool split = !is_rough(c, op);
        for (std::size_t u = 0; u < steps; ++u) {
            Extent& extent = extents[u] = extent_elsewhere(c, op.input, s, t + u);
            look(c.values(op.input, s, t + u), size, extent);
            if (extent.largest > 0.0 && extent.largest < 0x1p-900) tiny = true;
            if (split && extent.is_wide(op.layer->limbs)) tiny = true;
        }
        pays = 2 * used >= size * groups && !tiny;
    }

  private:
    void look(const double* from, std::size_t size, Extent& extent) {
        const doubles none = splat(extent.least);
        doubles most{}, least = none;
        std::size_t i = 0;
        for (; i + kDoubles <= size; i += kDoubles) {
            const doubles x = magnitude_of(load<doubles>(from + i));
            most = x > most ? x : most;
            const doubles used_size = x > doubles{} ? x : none;
            least = used_size < least ? used_size : least;
            used += std::size_t(__builtin_popcount(bits_of(at_least(x, splat(0x1p-1074)))));
        }
        for (std::size_t k = 0; k < kDoubles; ++k) {
            extent.largest = larger(extent.largest, most[k]);
            extent.least = std::min(extent.least, least[k]);
        }
        for (; i < size; ++i) {
            extent.add(from[i]);
            used += from[i] != 0.0;
        }
    }
};

// How the values of a step are split: by a power of two, and by finer ones from limb to limb.
struct ValueSplitter {
    double step = 1.0, finer = 1.0;
    std::size_t most = 0;

    // Up to a vector of values: limb l goes to `to[l * kSlab]` and on, `apart` from value to value. Returns
    // the number of limbs that they need.
    std::size_t operator()(const double* from, std::size_t n, double* to, std::size_t apart) const {
        alignas(kLine) double part[kDoubles] = {};
        std::memcpy(part, from, n * sizeof(double));
        doubles rest = load<doubles>(part);
        double unit = step;
        std::size_t needed = 1;
        for (std::size_t l = 0; l < most; ++l, unit *= finer) {
            const doubles limb = ((rest * (1.0 / unit) + kWhole) - kWhole) * unit;
            rest = rest - limb;
            store(part, limb);
            for (std::size_t k = 0; k < n; ++k) to[k * apart + l * kSlab] = part[k];
            if (!all_of(at_least(rest, doubles{}) & at_least(doubles{}, rest))) needed = l + 2;
        }
        return needed < most ? needed : most;
    }
};

using ValueSplitters = ValueSplitter[kSlab];

// Lays out `size` values, from one on, of the steps of a slab that begins at t.
inline void lay_out(const Context& c, const Instruction& op, std::size_t s, std::size_t t, std::size_t steps,
                    const ValueSplitters& splitters, std::size_t from, std::size_t size, DenseValues& dense, double* to) {
    const std::size_t apart = dense.most * kSlab;
    if (steps < kSlab) std::fill_n(to, size * apart, 0.0);
    for (std::size_t i = 0; i < size; i += kDoubles) {
        const std::size_t n = size - i < kDoubles ? size - i : kDoubles;
        for (std::size_t u = 0; u < steps; ++u)
            dense.limbs = std::max(dense.limbs, splitters[u](c.values(op.input, s, t + u) + from + i, n,
                                                             to + i * apart + u, apart));
    }
}

inline void find_splitters(const DenseValues& dense, int bits, std::size_t most, ValueSplitters& to) {
    for (std::size_t u = 0; u < kSlab; ++u) to[u] = {dense.units[u], std::ldexp(1.0, -bits), most};
}

// The same of values as they are.
inline void lay_out_whole(const Context& c, const Instruction& op, std::size_t s, std::size_t t,
                          std::size_t steps, std::size_t size, double* to) {
    if (steps < kSlab) std::fill_n(to, size * kSlab, 0.0);
    const Track<const double> values = c.track<const double>(op.input, s);
    for (std::size_t i = 0; i < size; ++i, to += kSlab)
        for (std::size_t u = 0; u < steps; ++u) to[u] = values[t + u][i];
}

// By how much a rounded sum differs at most from the sum over limbs, for weights that add up to 1 and values
// up to the largest: the last limb leaves half a unit, and each product and sum rounds once.
inline double rounding(const Layer& l, double largest, double unit) {
    const double last = std::ldexp(unit, -l.limbs.bits * (l.limbs.most - 1));
    return last * (0.5 + 0x1p-10) + largest * double(l.taps() * std::size_t(l.channels) + 16) * 0x1p-53;
}

// Lays out the steps of a slab: rough ones as they are.
inline void lay_out(const Context& c, const Instruction& op, std::size_t s, std::size_t t, std::size_t steps,
                    const SlabSurvey& found, DenseValues& to) {
    const Layer& l = *op.layer;
    const std::size_t size = l.input_pixels() * std::size_t(l.channels);
    const bool rough = is_rough(c, op);
    to.most = rough ? 1 : std::size_t(l.limbs.most), to.limbs = 1, to.rest = 0.0;
    std::copy_n(found.extents, kSlab, to.extents);
    for (std::size_t u = 0; u < kSlab; ++u) {
        const double largest = u < steps ? found.extents[u].largest : 0.0;
        to.units[u] = largest > 0.0 ? limb_step(largest, l.limbs.bits) : 1.0;
        if (rough && largest > 0.0) to.rest += rounding(l, largest, to.units[u]);
    }
    to.values.reserve(size * to.most * kSlab, 0);
    if (rough) return lay_out_whole(c, op, s, t, steps, size, to.values.data());
    ValueSplitters splitters;
    find_splitters(to, l.limbs.bits, to.most, splitters);
    lay_out(c, op, s, t, steps, splitters, 0, size, to, to.values.data());
}

// Sums of a vector of lanes in some steps; of values as they are they are rounded.
template <std::size_t lanes, std::size_t limbs, std::size_t together = kTogether>
[[gnu::noinline]] void add_dense_values(const std::int32_t* weights, const DenseValues& dense, std::size_t channels,
                                 const std::vector<Segment>& segments, std::size_t first, double* to) {
    doubles sums[limbs * together];
    each<limbs * together>(SPIKEWRIGHT_EACH(k) { sums[k] = doubles{}; });
    const std::size_t apart = dense.most * kSlab;
    for (const Segment& s : segments) {
        const std::size_t at = s.begin * channels, end = s.end * channels;
        const double* x = dense.values.data() + at * apart + first;
        const std::int32_t* row = weights + (std::int64_t(at) + s.base) * std::int64_t(lanes);
        for (std::size_t i = at; i < end; ++i, x += apart, row += lanes) {
            const doubles w = to_doubles(load<half_ints>(row));
            each<limbs * together>(SPIKEWRIGHT_EACH(k) {
                sums[k] = about(sums[k], splat(x[k / together * kSlab + k % together]), w);
            });
        }
    }
    each<together>(SPIKEWRIGHT_EACH(t) {
        doubles total = sums[t];
        for (std::size_t l = 1; l < limbs; ++l) total += sums[l * together + t];
        store(to + t * 64, total);
    });
}

// Adds up the weights of a slab in the segments of a window.
template <std::size_t lanes>
inline void sum_dense_values(const LayerTask& task, std::size_t pixel, const DenseValues& dense,
                      const std::vector<Segment>& segments, std::size_t t, std::size_t steps) {
    const std::int32_t* weights = task.op.layer->weights.data() + task.block.offset;
    const auto channels = std::size_t(task.op.layer->channels);
    SumBuffer& sums = task.scratch.sums;
    const std::size_t together = dense.limbs == 1 && steps > kTogether ? 2 * kTogether : kTogether;
    for (std::size_t lane = 0; lane < lanes; lane += kDoubles)
        for (std::size_t u = 0; u < steps; u += together) {
            double* to = sums.wide.data() + (t + u) * 64 + lane;
            const auto add = [&](auto by) { by(weights + lane, dense, channels, segments, u, to); };
            if (together > kTogether) add(add_dense_values<lanes, 1, 2 * kTogether>);
            else if (dense.limbs == 1) add(add_dense_values<lanes, 1>);
            else if (dense.limbs == 2) add(add_dense_values<lanes, 2>);
            else add(add_dense_values<lanes, 3>);
        }
    std::fill_n(sums.is_wide.begin() + std::ptrdiff_t(t), steps, 1);
    if (!task.scratch.rough) compensate<lanes>(task, pixel, nullptr, t, steps);
}

// The most that currents are off in all steps, of a block of lanes of a sample: residuals of weights are left out.
template <std::size_t lanes>
inline void find_errors(const LayerTask& task, double* errors) {
    const Layer& l = *task.op.layer;
    double rest = 0.0, sizes = 0.0;
    for (std::size_t t = 0; t < task.context.steps; t += kSlab)
        if (task.dense_values(t).laid_out) {
            rest += task.dense_values(t).rest;
            for (const Extent& extent : task.dense_values(t).extents) sizes += extent.largest;
        }
    const std::int32_t* row = l.weights.data() + task.block.offset;
    std::fill_n(errors, 64, 0.0);
    for (std::size_t i = 0; i < l.taps() * std::size_t(l.channels); ++i, row += lanes)
        for (std::size_t k = 0; k < lanes; ++k) errors[k] += std::fabs(double(row[k]));
    for (std::size_t k = 0; k < lanes; ++k) errors[k] *= rest;
    for (const ResidualRow& left : l.residuals.rows)
        if (left.out >= task.block.channel && left.out < task.block.channel + task.valid())
            for (std::size_t i = left.begin; i < left.end; ++i)
                errors[left.out - task.block.channel] += sizes * std::fabs(l.residuals.entries[i].value);
    for (std::size_t k = 0; k < lanes; ++k) errors[k] *= std::fabs(l.scale[task.block.channel + k]);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
