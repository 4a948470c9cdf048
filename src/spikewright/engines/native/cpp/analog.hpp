// Matrix products and convolutions of values in doubles, sparse maps, and pools of values.
//
// A frame of values is split into limbs as `engines/grid.py` says, so that every sum is exact and no
// order matters; what is zero is left out. Sparse maps add in the order of their entries.
#pragma once

#include <cmath>
#include <limits>

#include "context.hpp"
#include "layer.hpp"
#include "moves.hpp"
#include "parts.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr int kMostLimbs = 3;

// The values of one step of one sample that are not zero: positions, offsets per pixel, limbs.
struct Split {
    Array<std::uint32_t> codes, offsets;
    Array<double> parts[kMostLimbs];
    int limbs = 0;
};

// Power of two such that `largest / step` needs at most `bits` bits, sign included.
inline double limb_step(double largest, int bits) {
    int exponent = 0;
    const double mantissa = std::frexp(largest, &exponent);
    exponent = exponent - (mantissa == 0.5) - (bits - 1);
    return std::ldexp(1.0, exponent > -1000 ? exponent : -1000);
}

// To the nearest integer, ties to even, for magnitudes below 2^51.
inline double nearest(double x) {
    constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
    return (x + magic) - magic;
}

// Limbs are relative to the largest magnitude of the whole signal, of which `from` may be a part:
// `elsewhere` is that of the rest, or of all.
inline void split(const double* from, std::size_t pixels, std::size_t channels, int bits, int count,
                  Split& to, double elsewhere) {
    const std::size_t size = pixels * channels;
    to.codes.reserve(size + kLine, 0);
    to.offsets.reserve(pixels + 1, 0);
    for (int l = 0; l < count; ++l) to.parts[l].reserve(size + kLine, 0);
    std::uint32_t n = 0;
    double largest = elsewhere;
    double* rest = to.parts[0].data();
    for (std::size_t p = 0; p < pixels; ++p) {
        to.offsets[p] = n;
        for (std::size_t i = p * channels; i < (p + 1) * channels; ++i) {
            to.codes[n] = std::uint32_t(i);
            rest[n] = from[i];
            const double size_of = std::fabs(from[i]);
            largest = size_of > largest ? size_of : largest;
            n += from[i] != 0.0;
        }
    }
    to.offsets[pixels] = n;
    double step = limb_step(largest, bits);
    to.limbs = n > 0;
    for (int l = 0; l < count && n > 0; ++l) {
        double* part = to.parts[l].data();
        double* next = l + 1 < count ? to.parts[l + 1].data() : nullptr;
        bool left = false;
        for (std::uint32_t i = 0; i < n; ++i) {
            const double value = part[i];
            const double limb = nearest(value / step) * step;
            part[i] = limb;
            if (next) next[i] = value - limb;
            left |= value != limb;
        }
        to.limbs = l + 1;
        if (!left) break;
        step *= std::ldexp(1.0, -bits);
    }
}

// The sums of `width` lanes of a block of `lanes`, limb by limb, then added in order.
template <std::size_t lanes, std::size_t width, int limbs>
inline void sum_limbs(const std::int32_t* weights, const Split& frame,
                      const std::vector<Segment>& segments, double* to) {
    constexpr std::size_t n = width / kDoubles;
    doubles sums[limbs * n];
    each<limbs * n>(SPIKEWRIGHT_EACH(k) { sums[k] = doubles{}; });
    const std::uint32_t* codes = frame.codes.data();
    for (const Segment& s : segments) {
        const std::uint32_t end = frame.offsets[s.end];
        for (std::uint32_t i = frame.offsets[s.begin]; i < end; ++i) {
            const std::int32_t* row = weights + (std::int64_t(codes[i]) + s.base) * std::int64_t(lanes);
            doubles x[limbs];
            each<limbs>(SPIKEWRIGHT_EACH(l) { x[l] = splat(frame.parts[l][i]); });
            each<n>(SPIKEWRIGHT_EACH(k) {
                const doubles w = to_doubles(load<half_ints>(row + k * kDoubles));
                each<limbs>(SPIKEWRIGHT_EACH(l) {
                    sums[l * n + k] = add_exact_product(sums[l * n + k], x[l], w);
                });
            });
        }
    }
    each<n>(SPIKEWRIGHT_EACH(k) {
        doubles total = sums[k];
        for (std::size_t l = 1; l < limbs; ++l) total += sums[l * n + k];
        store(to + k * kDoubles, total);
    });
}

// As many lanes at once as registers hold sums of.
template <std::size_t lanes, int limbs>
inline void sum_limbs_of(const std::int32_t* weights, const Split& frame,
                         const std::vector<Segment>& segments, double* to) {
    constexpr std::size_t most = (kBytes == 64 ? 8 : 4) * kDoubles;
    constexpr std::size_t width = lanes < most ? lanes : most;
    for (std::size_t at = 0; at < lanes; at += width)
        sum_limbs<lanes, width, limbs>(weights + at, frame, segments, to + at);
}

template <std::size_t lanes>
void analog_strip(const Context& c, const Instruction& op, const Lanes& block, std::size_t sample,
                  Share pixels, const Split* frames, Scratch& scratch) {
    const Layer& l = *op.layer;
    const std::size_t channels = std::size_t(l.out_channels);
    const std::size_t valid =
        block.channel + lanes <= channels ? lanes : channels - block.channel;
    const std::int32_t* weights = l.weights.data() + block.offset;
    const auto& segments = scratch.segments;
    for (std::size_t pixel = pixels.begin; pixel < pixels.end; ++pixel) {
        find_segments(l, pixel, scratch.segments);
        const double* scale = l.scale.data() + block.channel;
        const double* gain = l.gain.at(pixel, block.channel);
        const double* bias = l.bias.at(pixel, block.channel);
        for (std::size_t t = 0; t < c.steps; ++t) {
            alignas(kLine) double sums[lanes] = {};
            const Split& frame = frames[t];
            if (frame.limbs == 1) sum_limbs_of<lanes, 1>(weights, frame, segments, sums);
            if (frame.limbs == 2) sum_limbs_of<lanes, 2>(weights, frame, segments, sums);
            if (frame.limbs == 3) sum_limbs_of<lanes, 3>(weights, frame, segments, sums);
            double* to = c.values(op.output, sample, t) + pixel * channels + block.channel;
            for (std::size_t k = 0; k < valid; ++k) {
                double value = sums[k] * scale[k];
                if (l.has_gain) value *= gain[k];
                to[k] = value + bias[k];
            }
        }
    }
}

// The largest magnitude of the signal of which this buffer holds a part; 0 where it holds all.
inline double largest_elsewhere(const Context& c, std::int32_t buffer, std::size_t sample,
                                std::size_t step) {
    const Buffer& part = c.job->plan->buffers[std::size_t(buffer)];
    const std::int32_t whole = part.parent;
    double largest = 0.0;
    if (whole < 0 || part.own) return largest;
    const double* x = c.values(whole, sample, step);
    for (std::size_t i = 0; i < c.size(whole); ++i)
        largest = std::fabs(x[i]) > largest ? std::fabs(x[i]) : largest;
    return largest;
}

inline void list_analog(const Context& c, const Instruction& op, std::vector<Split>& frames) {
    const Layer& l = *op.layer;
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t t = 0; t < c.steps; ++t) {
            const std::size_t at = s * c.job->block + t;
            if (at % c.members == c.rank)
                split(c.values(op.input, s, t), std::size_t(l.height * l.width),
                      std::size_t(l.channels), l.limb_bits, l.limbs, frames[at],
                      largest_elsewhere(c, op.input, s, t));
        }
}

inline void run_analog(const Context& c, const Instruction& op, const std::vector<Split>& frames,
                       Scratch& scratch) {
    const Layer& l = *op.layer;
    const std::size_t pixels = l.pixels();
    const Share share = c.share(l.lanes.size() * pixels);
    for (std::size_t i = share.begin; i < share.end;) {
        const Lanes& block = l.lanes[i / pixels];
        const std::size_t begin = i % pixels;
        const std::size_t left = share.end - i, end = begin + left < pixels ? begin + left : pixels;
        for (std::size_t s = 0; s < c.samples; ++s) {
            const Split* of = frames.data() + s * c.job->block;
            if (block.width == 64) analog_strip<64>(c, op, block, s, {begin, end}, of, scratch);
            if (block.width == 32) analog_strip<32>(c, op, block, s, {begin, end}, of, scratch);
            if (block.width == 16) analog_strip<16>(c, op, block, s, {begin, end}, of, scratch);
        }
        i += end - begin;
    }
}

template <class T>
inline void sparse_steps(const Context& c, const Instruction& op) {
    const SparseRows& m = *op.sparse;
    const Share share = c.share(m.starts.size() - 1);
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t t = 0; t < c.steps; ++t) {
            const T* from = c.at<T>(op.input, s, t);
            double* to = c.values(op.output, s, t);
            for (std::size_t row = share.begin; row < share.end; ++row) {
                double sum = 0.0;
                for (std::int64_t i = m.starts[row]; i < m.starts[row + 1]; ++i)
                    sum += m.values[std::size_t(i)] * double(from[m.columns[std::size_t(i)]]);
                to[row] = m.factor == 1.0 ? sum : sum * m.factor;
            }
        }
}

inline void run_sparse(const Context& c, const Instruction& op) {
    if (c.kind(op.input) == Kind::counts)
        sparse_steps<std::int8_t>(c, op);
    else
        sparse_steps<double>(c, op);
}

// Sliding sums, of counts too where they may outgrow a byte, or maxima, taps in order.
template <bool maximum, class T, class Out>
inline void pool_values(const Pool& p, const T* from, Out* to) {
    constexpr Out least = std::numeric_limits<Out>::has_infinity
                              ? -std::numeric_limits<Out>::infinity()
                              : std::numeric_limits<Out>::lowest();
    const std::size_t channels = std::size_t(p.channels);
    for (std::int64_t oy = 0; oy < p.out_height; ++oy)
        for (std::int64_t ox = 0; ox < p.out_width; ++ox, to += channels) {
            for (std::size_t i = 0; i < channels; ++i) to[i] = maximum ? least : Out(0);
            for (std::int64_t ky = 0; ky < p.size_y; ++ky)
                for (std::int64_t kx = 0; kx < p.size_x; ++kx) {
                    const std::int64_t y = oy * p.stride_y - p.pad_y + ky * p.dilation_y;
                    const std::int64_t x = ox * p.stride_x - p.pad_x + kx * p.dilation_x;
                    if (y < 0 || y >= p.height || x < 0 || x >= p.width) continue;
                    const T* pixel = from + std::size_t(y * p.width + x) * channels;
                    for (std::size_t i = 0; i < channels; ++i)
                        if constexpr (maximum)
                            to[i] = pixel[i] > to[i] ? pixel[i] : to[i];
                        else
                            to[i] += Out(pixel[i]);
                }
        }
}

inline void run_pool_values(const Context& c, const Instruction& op) {
    const bool counts = c.kind(op.input) == Kind::counts;
    each_step(c, [&](std::size_t s, std::size_t t) {
        double* to = c.values(op.output, s, t);
        if (counts)
            pool_values<false>(*op.pool, c.counts(op.input, s, t), to);
        else
            pool_values<false>(*op.pool, c.values(op.input, s, t), to);
    });
}

inline void run_max_pool(const Context& c, const Instruction& op) {
    const bool counts = c.kind(op.input) == Kind::counts;
    each_step(c, [&](std::size_t s, std::size_t t) {
        if (counts)
            pool_values<true>(*op.pool, c.counts(op.input, s, t), c.counts(op.output, s, t));
        else
            pool_values<true>(*op.pool, c.values(op.input, s, t), c.values(op.output, s, t));
    });
}

// max_i X_i(t) - max_i X_i(t - 1), X the running sums. They grow by no more than what arrives, so
// that of counts the result is one. `sums` and `reached` are room for both.
template <class T, class Sum>
inline void run_running_max(const Context& c, const Instruction& op, std::size_t s, Sum* sums,
                            Sum* reached, Sum* sent) {
    const std::size_t size = c.size(op.input), out = c.size(op.output);
    const auto kept = c.memory(op.memories[0], s), last = c.memory(op.memories[1], s);
    std::copy_n(kept.from, size, sums);
    std::copy_n(last.from, out, sent);
    for (std::size_t t = 0; t < c.steps; ++t) {
        const T* x = c.at<T>(op.input, s, t);
        T* to = c.at<T>(op.output, s, t);
        for (std::size_t i = 0; i < size; ++i) sums[i] += x[i];
        pool_values<true>(*op.pool, sums, reached);
        for (std::size_t i = 0; i < out; ++i) {
            to[i] = T(reached[i] - sent[i]);
            sent[i] = reached[i];
        }
    }
    std::copy_n(sums, size, kept.to);
    std::copy_n(sent, out, last.to);
}

// Members of a team share the samples.
inline void run_running_max_pool(const Context& c, const Instruction& op) {
    constexpr double most = 1 << 30;  // so many are held in 32 bits, and what a block adds
    const std::size_t size = c.size(op.input), out = c.size(op.output);
    std::vector<double> wide;
    std::vector<std::int32_t> narrow;
    const auto run = [&]<class T, class Sum>(T, std::vector<Sum>& room, std::size_t s) {
        room.resize(size + 2 * out);
        run_running_max<T>(c, op, s, room.data(), room.data() + size, room.data() + size + out);
    };
    const bool counts = c.kind(op.input) == Kind::counts;
    const Share share = c.share(c.samples);
    for (std::size_t s = share.begin; s < share.end; ++s) {
        const double* sums = c.memory(op.memories[0], s).from;
        const auto held = [](double sum) { return std::fabs(sum) < most; };
        if (!counts)
            run(0.0, wide, s);
        else if (std::all_of(sums, sums + size, held))
            run(std::int8_t(0), narrow, s);
        else
            run(std::int8_t(0), wide, s);
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
