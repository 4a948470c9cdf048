// A layer in one pass: events of the input are gathered, summed, integrated and fired; currents are
// never written out. Without a population the currents are the output.
#pragma once

#include "accumulate.hpp"
#include "context.hpp"
#include "neurons.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Pixels `begin` to `end` of a frame lie side by side in the window of an output pixel: their events,
// moved by `base`, are rows of the kernel.
struct Segment {
    std::uint32_t begin, end;
    std::int64_t base;
};

struct Scratch {
    std::vector<Segment> segments;
    Array<std::uint32_t> rows, counts;
    SumBuffer sums;
};

inline void find_segments(const Layer& l, std::size_t pixel, std::vector<Segment>& segments) {
    segments.clear();
    const std::int64_t oy = std::int64_t(pixel) / l.out_width, ox = std::int64_t(pixel) % l.out_width;
    const std::int64_t left = ox * l.stride_x - l.pad_x;
    for (std::int64_t ky = 0; ky < l.kernel_height; ++ky) {
        const std::int64_t y = oy * l.stride_y - l.pad_y + ky * l.dilation_y;
        if (y < 0 || y >= l.height) continue;
        if (l.dilation_x == 1) {
            const std::int64_t from = left < 0 ? 0 : left;
            const std::int64_t end = left + l.kernel_width;
            const std::int64_t to = end < l.width ? end : l.width;
            if (from < to)
                segments.push_back({std::uint32_t(y * l.width + from), std::uint32_t(y * l.width + to),
                                    (ky * l.kernel_width - (y * l.width + left)) * l.channels});
            continue;
        }
        for (std::int64_t kx = 0; kx < l.kernel_width; ++kx) {
            const std::int64_t x = left + kx * l.dilation_x;
            if (x < 0 || x >= l.width) continue;
            const std::int64_t at = y * l.width + x;
            segments.push_back({std::uint32_t(at), std::uint32_t(at + 1),
                                (ky * l.kernel_width + kx - at) * l.channels});
        }
    }
}

// What one output pixel sees in one step. A window of one segment is used where it lies.
inline Rows gather(const Layer& l, const Frame& frame, Scratch& scratch) {
    const std::int64_t budget = l.budgets[frame.repeats];
    const std::uint32_t* offsets = frame.offsets.data();
    const auto& segments = scratch.segments;
    if (segments.size() == 1) {
        const std::uint32_t begin = offsets[segments[0].begin], end = offsets[segments[0].end];
        return {frame.codes.data() + begin, frame.counted ? frame.counts.data() + begin : nullptr,
                segments[0].base, end - begin, budget};
    }
    std::size_t n = 0;
    for (const Segment& s : segments) {
        const std::uint32_t begin = offsets[s.begin], end = offsets[s.end];
        const std::uint32_t* codes = frame.codes.data() + begin;
        const ints base = std::uint32_t(s.base) - ints{};
        std::uint32_t* to = scratch.rows.data() + n;
        for (std::size_t i = 0; i < end - begin; i += kInts) store(to + i, load<ints>(codes + i) + base);
        if (frame.counted)
            std::memcpy(scratch.counts.data() + n, frame.counts.data() + begin, 4 * (end - begin));
        n += end - begin;
    }
    return {scratch.rows.data(), frame.counted ? scratch.counts.data() : nullptr, 0, n, budget};
}

// Sum of events -> current, in the reference's order: times the factor, times gain, plus bias.
template <std::size_t lanes>
[[gnu::always_inline]] inline Block<lanes> current_of(const SumBuffer& sums, std::size_t step,
                                                      const Layer& l, std::size_t pixel,
                                                      std::size_t channel) {
    Block<lanes> b;
    if (sums.is_wide[step])
        b.read(sums.wide.data() + step * 64);
    else
        each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
            b.v[k] = to_doubles(load<half_ints>(sums.narrow.data() + step * 64 + k * kDoubles));
        });
    const double* scale = l.scale.data() + channel;
    const double* bias = l.bias.at(pixel, channel);
    each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) { b.v[k] *= load<doubles>(scale + k * kDoubles); });
    if (l.has_gain) {
        const double* gain = l.gain.at(pixel, channel);
        each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) { b.v[k] *= load<doubles>(gain + k * kDoubles); });
    }
    each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) { b.v[k] += load<doubles>(bias + k * kDoubles); });
    return b;
}

// One block of lanes of one sample, some pixels of it.
struct Strip {
    const Context& context;
    const Instruction& op;
    const Lanes& block;
    std::size_t sample;
    Share pixels;
    const Frame* frames;
    Scratch& scratch;

    std::size_t valid() const {
        const std::size_t left = std::size_t(op.layer->out_channels) - block.channel;
        return left < block.width ? left : block.width;
    }
};

// All steps of one pixel: what arrives.
template <std::size_t lanes>
void sum_pixel(const Strip& strip, std::size_t pixel) {
    const Layer& l = *strip.op.layer;
    const std::int32_t* weights = l.weights.data() + strip.block.offset;
    find_segments(l, pixel, strip.scratch.segments);
    for (std::size_t t = 0; t < strip.context.steps; ++t)
        accumulate<lanes>(weights, gather(l, strip.frames[t], strip.scratch), strip.scratch.sums, t);
}

// All steps of one pixel: what its neurons make of that.
template <std::size_t lanes, bool uniform>
[[gnu::noinline]] void fire_pixel(const Strip& strip, std::size_t pixel) {
    const Context& c = strip.context;
    const Layer& l = *strip.op.layer;
    const std::size_t channel = strip.block.channel, valid = strip.valid();
    const auto number = std::size_t(strip.op.population);
    const Population& p = c.job->plan->populations[number];
    const auto state = c.state(number, strip.sample, pixel * p.padded + channel);
    const Limits<lanes, uniform> limits(p, pixel, channel);
    Block<lanes> v;
    v.read(state.voltage);
    Tally<lanes> tally;
    const std::size_t at = pixel * std::size_t(l.out_channels) + channel;
    for (std::size_t t = 0; t < c.steps; ++t) {
        Block<lanes> current = current_of<lanes>(strip.scratch.sums, t, l, pixel, channel);
        if (p.rectify) current.rectify();
        v.add(current);
        alignas(kLine) std::int8_t part[lanes];
        std::int8_t* out = c.counts(strip.op.output, strip.sample, t) + at;
        std::int8_t* counts = valid == lanes ? out : part;
        const Most most = fire<lanes>(v, limits, p, pixel, channel, valid, counts);
        if (most == kTooMany) [[unlikely]] return c.too_many_spikes();
        if (p.has_floor) hold_above<lanes>(v, p, pixel, channel);
        tally.add(counts, most);
        if (valid < lanes) std::memcpy(out, part, valid);
    }
    tally.flush();
    v.write(state.next_voltage);
    state.add_total(tally.sum, lanes);
}

// Without a population: the currents themselves.
template <std::size_t lanes>
void write_pixel(const Strip& strip, std::size_t pixel) {
    const Context& c = strip.context;
    const Layer& l = *strip.op.layer;
    const std::size_t channel = strip.block.channel;
    const std::size_t at = pixel * std::size_t(l.out_channels) + channel;
    for (std::size_t t = 0; t < c.steps; ++t) {
        alignas(kLine) double part[lanes];
        current_of<lanes>(strip.scratch.sums, t, l, pixel, channel).write(part);
        std::memcpy(c.values(strip.op.output, strip.sample, t) + at, part,
                    strip.valid() * sizeof(double));
    }
}

template <std::size_t lanes>
void run_strip(const Strip& strip) {
    const std::int32_t number = strip.op.population;
    const auto& populations = strip.context.job->plan->populations;
    const bool uniform = number >= 0 && populations[std::size_t(number)].threshold.uniform;
    for (std::size_t pixel = strip.pixels.begin; pixel < strip.pixels.end; ++pixel) {
        sum_pixel<lanes>(strip, pixel);
        if (number < 0)
            write_pixel<lanes>(strip, pixel);
        else if (uniform)
            fire_pixel<lanes, true>(strip, pixel);
        else
            fire_pixel<lanes, false>(strip, pixel);
    }
}

// Lists of events of every sample and step; members of a team take turns.
inline void list_layer(const Context& c, const Instruction& op, std::vector<Frame>& frames) {
    const Layer& l = *op.layer;
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t t = 0; t < c.steps; ++t) {
            const std::size_t at = s * c.job->block + t;
            if (at % c.members == c.rank)
                list_events(c.counts(op.input, s, t), std::size_t(l.height * l.width),
                            std::size_t(l.channels), frames[at]);
        }
}

// Lanes outermost: their weights stay in cache for all samples, pixels and steps.
inline void run_layer(const Context& c, const Instruction& op, const std::vector<Frame>& frames,
                      Scratch& scratch) {
    const Layer& l = *op.layer;
    scratch.rows.reserve(l.rows() * kMostRepeats, 0);
    scratch.counts.reserve(l.rows(), 0);
    scratch.sums.reserve(c.steps);
    const std::size_t pixels = l.pixels();
    const Share share = c.share(l.lanes.size() * pixels);
    for (std::size_t i = share.begin; i < share.end;) {
        const Lanes& block = l.lanes[i / pixels];
        const std::size_t begin = i % pixels;
        const std::size_t left = share.end - i, end = begin + left < pixels ? begin + left : pixels;
        for (std::size_t s = 0; s < c.samples; ++s) {
            const Frame* of = frames.data() + s * c.job->block;
            const Strip strip{c, op, block, s, {begin, end}, of, scratch};
            if (block.width == 64) run_strip<64>(strip);
            if (block.width == 32) run_strip<32>(strip);
            if (block.width == 16) run_strip<16>(strip);
        }
        i += end - begin;
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
