// Sums and maxima over windows, of counts and of values.
#pragma once

#include <limits>

#include "layout_ops.hpp"

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

// Sums of counts that all fit their bytes; false where some do not. Bytes hold the sums on the way where the
// largest count times the taps fits.
inline bool pool_counts(const Geometry& p, const std::int8_t* from, std::int8_t* to) {
    const std::size_t channels = std::size_t(p.channels), out = p.pixels() * channels;
    if (largest(from, p.input_pixels() * channels) * p.taps() <= std::size_t(kMostCounts)) {
        pool_frame<false>(p, from, to);
        return true;
    }
    std::vector<std::int32_t> wide(out);
    pool_frame<false>(p, from, wide.data());
    if (!std::ranges::all_of(wide, fits)) return false;
    std::ranges::copy(wide, to);
    return true;
}
inline bool pool_counts(const Geometry&, const double*, std::int8_t*) { return false; }

inline void run_pool(const Context& c, const Instruction& op) {
    by_reading(c, op.input, [&](auto&& read) {
        each_step(c, [&](std::size_t s, std::size_t t) {
            const auto* from = read(s, t);
            if (pool_counts(*op.pool, from, c.counts(op.output, s, t))) return;
            make_step(c, op.output, s, t, [&](double* to) { pool_frame<false>(*op.pool, from, to); });
        });
    });
}

inline void run_pool_values(const Context& c, const Instruction& op) {
    by_reading(c, op.input, [&](auto&& read) {
        each_step(c, [&](std::size_t s, std::size_t t) {
            pool_frame<false>(*op.pool, read(s, t), c.values(op.output, s, t));
        });
    });
}

inline void run_max_pool(const Context& c, const Instruction& op) {
    if (are_bytes(c, op.input))
        return each_step(c, [&](std::size_t s, std::size_t t) {
            pool_frame<true>(*op.pool, c.counts(op.input, s, t), c.counts(op.output, s, t));
        });
    Values read(c, op.input);
    each_step(c, [&](std::size_t s, std::size_t t) {
        make_step(c, op.output, s, t, [&](double* to) { pool_frame<true>(*op.pool, read(s, t), to); });
    });
}

// max_i X_i(t) - max_i X_i(t - 1), X the running sums. They grow by no more than the input, so
// that of counts the result is one. `sums` and `reached` are room for both.
template <class Reading, class Sum>
inline void run_running_max(const Context& c, const Instruction& op, Reading& read, std::size_t s, Sum* sums,
                            Sum* reached, Sum* sent) {
    const std::size_t size = c.size(op.input), out = c.size(op.output);
    const auto kept = c.memory(op.memories[0], s), last = c.memory(op.memories[1], s);
    std::copy_n(kept.from, size, sums);
    std::copy_n(last.from, out, sent);
    for (std::size_t t = 0; t < c.steps; ++t) {
        const auto* x = read(s, t);
        for (std::size_t i = 0; i < size; ++i) sums[i] += x[i];
        pool_frame<true>(*op.pool, sums, reached);
        const auto put = [&]<class T>(T* to) {
            for (std::size_t i = 0; i < out; ++i) {
                to[i] = T(reached[i] - sent[i]);
                sent[i] = reached[i];
            }
        };
        if constexpr (std::is_same_v<Reading, Bytes>)
            put(c.counts(op.output, s, t));
        else
            make_step(c, op.output, s, t, put);
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
    const auto run = [&](auto& read, auto& room, std::size_t s) {
        room.resize(size + 2 * out);
        run_running_max(c, op, read, s, room.data(), room.data() + size, room.data() + size + out);
    };
    const Share share = c.share(c.samples);
    by_reading(c, op.input, [&](auto&& read) {
        for (std::size_t s = share.begin; s < share.end; ++s) {
            const double* sums = c.memory(op.memories[0], s).from;
            const auto held = [](double sum) { return std::fabs(sum) < most; };
            if constexpr (std::is_same_v<std::remove_cvref_t<decltype(read)>, Bytes>)
                if (std::all_of(sums, sums + size, held)) {
                    run(read, narrow, s);
                    continue;
                }
            run(read, wide, s);
        }
    });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
