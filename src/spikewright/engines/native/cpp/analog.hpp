// Matrix products and convolutions of values in doubles: a frame of values is split into limbs, so that
// every sum is exact and no order matters.
#pragma once

#include <algorithm>
#include <bit>

#include "tile_products.hpp"
#include "dense_values.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// The weights of a block of lanes, limb by limb.
template <std::size_t count>
struct WeightLimbs {
    const std::int32_t* limb[count];
};

// The sum of limb `number` in units of the weights' last limb, of `count`.
template <std::size_t count>
[[gnu::always_inline]] inline doubles in_units(doubles sum, std::size_t number) {
    return number % count + 1 < count ? sum * splat(kLimb) : sum;
}

// The sums of `width` lanes of a block of `lanes`, limb by limb of values and weights, then added in
// order.
template <std::size_t lanes, std::size_t width, std::size_t values, std::size_t count>
inline void sum_limbs(const WeightLimbs<count>& weights, std::size_t at, const Split& frame,
                      const std::vector<Segment>& segments, double* to) {
    constexpr std::size_t n = width / kDoubles, limbs = values * count;
    doubles sums[limbs * n];
    each<limbs * n>(SPIKEWRIGHT_EACH(k) { sums[k] = doubles{}; });
    const std::uint32_t* codes = frame.codes.data();
    for (const Segment& s : segments) {
        const std::uint32_t end = frame.offsets[s.end];
        for (std::uint32_t i = frame.offsets[s.begin]; i < end; ++i) {
            const std::int64_t row = (std::int64_t(codes[i]) + s.base) * std::int64_t(lanes);
            doubles x[values];
            each<values>(SPIKEWRIGHT_EACH(l) { x[l] = splat(frame.parts[l][i]); });
            each<count * n>(SPIKEWRIGHT_EACH(j) {
                constexpr std::size_t h = j / n, k = j % n;
                const std::int32_t* from = weights.limb[h] + row + std::int64_t(at);
                const doubles w = to_doubles(load<half_ints>(from + k * kDoubles));
                each<values>(SPIKEWRIGHT_EACH(l) {
                    doubles& sum = sums[(l * count + h) * n + k];
                    sum = add_exact_product(sum, x[l], w);
                });
            });
        }
    }
    each<n>(SPIKEWRIGHT_EACH(k) {
        doubles total = in_units<count>(sums[k], 0);
        for (std::size_t l = 1; l < limbs; ++l) total += in_units<count>(sums[l * n + k], l);
        store(to + k * kDoubles, total);
    });
}

// As many lanes at once as registers hold sums of.
template <std::size_t lanes, std::size_t values, std::size_t count>
inline void sum_limbs_of(const WeightLimbs<count>& weights, const Split& frame,
                         const std::vector<Segment>& segments, double* to) {
    constexpr std::size_t registers = kBytes == 64 ? 24 : 12, widest = registers / 3;
    constexpr std::size_t n = std::min(widest, std::bit_floor(registers / (values * count)));
    constexpr std::size_t width = std::min(lanes, n * kDoubles);
    for (std::size_t at = 0; at < lanes; at += width)
        sum_limbs<lanes, width, values>(weights, at, frame, segments, to + at);
}

template <std::size_t lanes, std::size_t count>
inline void sum_frame(const WeightLimbs<count>& weights, const Split& frame,
                      const std::vector<Segment>& segments, double* to) {
    if (frame.limbs == 0) std::fill_n(to, lanes, 0.0);
    each<kMostLimbs>(SPIKEWRIGHT_EACH(l) {
        if (frame.limbs == int(l) + 1) sum_limbs_of<lanes, l + 1>(weights, frame, segments, to);
    });
}

// Adds up the weights of one step's values for a pixel whose segments are found. With two limbs the
// sum over both is that of the second.
template <std::size_t lanes>
void sum_values(const LayerTask& task, const Split& frame, std::size_t t) {
    const Layer& l = *task.op.layer;
    const std::int32_t* weights = l.weights.data() + task.block.offset;
    const auto& segments = task.scratch.segments;
    double* to = task.scratch.sums.doubles_of(t);
    if (l.low.empty()) return sum_frame<lanes>(WeightLimbs<1>{{weights}}, frame, segments, to);
    std::fill_n(to, lanes, 0.0);
    sum_frame<lanes>(WeightLimbs<2>{{weights, l.low.data() + task.block.offset}}, frame, segments,
                     task.scratch.low.doubles_of(t));
}

template <std::size_t lanes>
void sum_values(const LayerTask& task, std::size_t t) {
    sum_values<lanes>(task, task.split(t), t);
}

// Adds up all limbs of the window of a pixel, whose values are copied side by side and split step by step.
template <std::size_t lanes>
void sum_finely(const LayerTask& task, std::size_t pixel) {
    const Context& c = task.context;
    const Layer& l = *task.op.layer;
    const auto channels = std::size_t(l.channels);
    Scratch& scratch = task.scratch;
    std::vector<Segment> window;
    std::size_t size = 0;
    for (const Segment& s : scratch.segments) {
        const std::size_t end = size + s.end - s.begin;
        const auto base = s.base + (std::int64_t(s.begin) - std::int64_t(size)) * std::int64_t(channels);
        window.push_back({std::uint32_t(size), std::uint32_t(end), base});
        size = end;
    }
    scratch.rough = false;
    scratch.values.reserve(size * channels, 0);
    window.swap(scratch.segments);
    for (std::size_t t = 0; t < c.steps; ++t) {
        if (!task.dense_values(t).laid_out) continue;  // all limbs are listed
        double* to = scratch.values.data();
        for (const Segment& s : window)
            to = std::copy(c.values(task.op.input, task.sample, t) + s.begin * channels,
                           c.values(task.op.input, task.sample, t) + s.end * channels, to);
        split(scratch.values.data(), size, channels, l.limbs, scratch.fine, task.dense_values(t).extents[t % kSlab]);
        sum_values<lanes>(task, scratch.fine, t);
        compensate<lanes>(task, pixel, &scratch.fine, t);
    }
    window.swap(scratch.segments);
}

// Splits one step's values; zeros are left out.
inline void split_step(const Context& c, const Instruction& op, std::size_t channels, std::size_t s,
                       std::size_t t, Lists& to) {
    const Layer& l = *op.layer;
    split(Values(c, op.input)(s, t), l.input_pixels(), channels, l.limbs, to.values[s * c.job->block + t],
          extent_elsewhere(c, op.input, s, t));
}

// What it costs to add a value in two limbs, times the weights of 16 lanes, in times that an event takes.
constexpr double kValueCost = 3.0;

// Decides whether a slab is summed as multiples of a unit: as events, or by products; by which of both, too.
inline bool find_multiples(const Context& c, const Instruction& op, std::size_t s, std::size_t t, std::size_t steps,
                           Multiples& to, Slab& slab) {
    const Layer& l = *op.layer;
    const bool multiplies = l.tiled && c.job->dense < kNeverDense;
    to.planes = 0;
    if (l.limbs.weights != 1 || c.job->plan->buffers[std::size_t(op.input)].parent >= 0) return false;
    Multiplicity found(c, op, s, t, steps, to);
    if (!found.find(multiplies)) return false;
    constexpr double never = std::numeric_limits<double>::infinity();
    const std::size_t channels = std::size_t(l.channels);
    const double blocks = double(blocks_of(l));
    const double values = kValueCost * double(found.used) * windows_of(l) * blocks;
    const bool few = to.planes == 1 && found.most <= std::size_t(kMostCounts);
    const double listed = few ? listing_cost(l, channels, 1, double(found.events)) : never;
    double multiplied = never;
    if (multiplies) {
        const double tiles = double(l.tiled->chunks()) * blocks, products = double(to.planes * l.pixels());
        multiplied = c.job->dense * tiles * c.multiply.cost(products, products * double(steps), l.tiled->limbs());
    }
    to.listed = listed <= multiplied;
    if (std::min(listed, multiplied) > values) to.planes = 0;
    if (!to.planes) return false;
    if (to.listed)
        list_events(l, to.plane(0), to.stride, steps, slab);
    else
        l.tiled->make(l);
    State::Slabs& slabs = c.job->state->slabs[std::size_t(&op - c.job->plan->instructions.data())];
    (to.listed ? slabs.listed : slabs.dense).fetch_add(1, std::memory_order_relaxed);
    return true;
}

// Decides how the slabs of values are summed, and lays them out.
inline void list_analog(const Context& c, const Instruction& op, Lists& to) {
    each_slab(c, [&](std::size_t slab, std::size_t s, std::size_t t, std::size_t steps) {
        to.dense_values[slab].laid_out = false;
        if (find_multiples(c, op, s, t, steps, to.multiples[slab], to.events[slab])) return;
        const SlabSurvey found(c, op, s, t, steps);
        to.dense_values[slab].laid_out = found.pays;
        if (found.pays) return lay_out(c, op, s, t, steps, found, to.dense_values[slab]);
        for (std::size_t u = t; u < t + steps; ++u) split_step(c, op, std::size_t(op.layer->channels), s, u, to);
    });
}

// Sums of one plane of multiples by products.
template <std::size_t lanes>
void multiply_plane(const LayerTask& task, const std::int8_t* frame, std::size_t stride, std::size_t steps, double* to) {
    const TiledWeights& w = *task.op.layer->tiled;
    const std::size_t apart = find_inputs(task, frame, stride, steps);
    const std::vector<TileInput>& inputs = task.scratch.tile_inputs;
    task.context.multiply.run_unsigned({inputs.data(), inputs.size(), apart, steps, w.of(task.block.channel),
                                         w.chunks(), w.limbs(), lanes / kTileLanes, nullptr, to});
}

// Adds up the weights of a slab's multiples as those of counts, then times the unit.
template <std::size_t lanes>
void sum_multiples(const LayerTask& task, std::size_t pixel, std::size_t t, std::size_t steps) {
    const Multiples& m = task.multiples(t);
    SumBuffer& sums = task.scratch.sums;
    double* rests = task.scratch.low.wide.data() + t * 64;
    if (m.listed) {
        sum_slab<lanes>(task, task.slab(t), pixel, t, steps);
    } else {
        multiply_plane<lanes>(task, m.plane(0), m.stride, steps, sums.wide.data() + t * 64);
        std::fill_n(sums.is_wide.begin() + std::ptrdiff_t(t), steps, 1);
        if (m.planes > 1) multiply_plane<lanes>(task, m.plane(1), m.stride, steps, rests);
    }
    for (std::size_t u = t; u < t + steps; ++u, rests += 64) {
        double* to = sums.widened<lanes>(u);
        m.planes > 1 ? Multiples::join(to, rests, lanes) : m.scale(to, lanes);
    }
}

inline void run_analog(const Context& c, const Instruction& op, const Lists& lists, Scratch& scratch) {
    const bool rough = is_rough(c, op);
    const Lanes* block = nullptr;
    std::size_t sample = 0;
    scratch.low.reserve(c.steps);
    run_weights(c, op, lists, scratch, [&](const LayerTask& task, std::size_t pixel, auto lanes) {
        scratch.rough = rough;
        if (rough && (block != &task.block || sample != task.sample)) {
            find_errors<lanes()>(task, scratch.errors);
            block = &task.block, sample = task.sample;
        }
        find_segments(*op.layer, pixel, scratch.segments);
        for (std::size_t t = 0; t < c.steps; t += kSlab) {
            const std::size_t steps = c.steps - t < kSlab ? c.steps - t : kSlab;
            if (task.multiples(t).planes) {
                sum_multiples<lanes()>(task, pixel, t, steps);
                compensate<lanes()>(task, pixel, nullptr, t, steps);
            } else if (task.dense_values(t).laid_out) {
                sum_dense_values<lanes()>(task, pixel, task.dense_values(t), scratch.segments, t, steps);
            } else {
                for (std::size_t u = t; u < t + steps; ++u) {
                    sum_values<lanes()>(task, u);
                    compensate<lanes()>(task, pixel, &task.split(u), u);
                }
            }
        }
    });
    scratch.rough = false;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
