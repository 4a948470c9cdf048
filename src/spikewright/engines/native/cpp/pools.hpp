// Sums and maxima over windows, of counts and of values.
#pragma once

#include <limits>

#include "moves.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Sums or maxima over windows, taps in order.
template <bool maximum, class T, class Out>
inline void pool_frame(const Geometry& p, const T* from, Out* to) {
    constexpr Out least = std::numeric_limits<Out>::has_infinity
                              ? -std::numeric_limits<Out>::infinity()
                              : std::numeric_limits<Out>::lowest();
    const std::size_t channels = std::size_t(p.channels);
    for (std::int64_t oy = 0; oy < p.out_height; ++oy)
        for (std::int64_t ox = 0; ox < p.out_width; ++ox, to += channels) {
            for (std::size_t i = 0; i < channels; ++i) to[i] = maximum ? least : Out(0);
            p.each_tap(oy, ox, [&](std::int64_t, std::size_t pixel) {
                const T* x = from + pixel * channels;
                for (std::size_t i = 0; i < channels; ++i)
                    if constexpr (maximum)
                        to[i] = x[i] > to[i] ? x[i] : to[i];
                    else
                        to[i] = Out(to[i] + Out(x[i]));
            });
        }
}

// Sums of counts that stay counts; whether they do. Bytes hold the sums on the way where the largest
// count times the taps fits.
inline bool pool_counts(const Geometry& p, const std::int8_t* from, std::int8_t* to) {
    const std::size_t channels = std::size_t(p.channels), out = p.pixels() * channels;
    if (largest(from, p.input_pixels() * channels) * p.taps() <= std::size_t(kMostCounts)) {
        pool_frame<false>(p, from, to);
        return true;
    }
    std::vector<std::int32_t> wide(out);
    pool_frame<false>(p, from, wide.data());
    bool all = true;
    for (std::size_t i = 0; i < out; ++i) {
        all = all && fits(wide[i]);
        to[i] = std::int8_t(fits(wide[i]) ? wide[i] : kMostCounts);
    }
    return all;
}

inline void run_pool(const Context& c, const Instruction& op) {
    each_step(c, [&](std::size_t s, std::size_t t) {
        if (!pool_counts(*op.pool, c.counts(op.input, s, t), c.counts(op.output, s, t)))
            c.too_many_spikes(op.output);
    });
}

inline void run_pool_values(const Context& c, const Instruction& op) {
    by_kind(c.kind(op.input), [&]<class T>(T) {
        each_step(c, [&](std::size_t s, std::size_t t) {
            pool_frame<false>(*op.pool, c.at<T>(op.input, s, t), c.values(op.output, s, t));
        });
    });
}

inline void run_max_pool(const Context& c, const Instruction& op) {
    by_kind(c.kind(op.input), [&]<class T>(T) {
        each_step(c, [&](std::size_t s, std::size_t t) {
            pool_frame<true>(*op.pool, c.at<T>(op.input, s, t), c.at<T>(op.output, s, t));
        });
    });
}

// max_i X_i(t) - max_i X_i(t - 1), X the running sums. They grow by no more than the input, so
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
        pool_frame<true>(*op.pool, sums, reached);
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
    constexpr double most = 1 << 30;  // 32 bits hold so many and the counts of a block
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
