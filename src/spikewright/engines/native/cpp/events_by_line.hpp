// Few events in wide frames: each adds its weights to the outputs that read it, a line of outputs at a time.
// Windows that gather theirs would look at many lists, most of them empty.
#pragma once

#include "dense.hpp"
#include "layer_task.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Events of a window in a step, on average, up to which lines pay.
constexpr double kFewEvents = 24.0;
// More lanes than these are read, added and written for each event, where windows keep them in registers.
constexpr std::int64_t kMostLineLanes = 32;

// Lists the events of a slab: line by line where they are few, else pixel by pixel.
inline void list_events(const Layer& l, const std::int8_t* from, std::size_t stride, std::size_t steps, Slab& to) {
    const auto channels = std::size_t(l.channels), line = std::size_t(l.width) * channels;
    const bool fits = l.low.empty() && l.taps() > 1 && l.out_width > 1 && l.out_channels <= kMostLineLanes &&
                      line * channels < (std::size_t(1) << 32);
    const double few = kFewEvents * double(l.pixels() * steps);
    if (fits && spikes_in({from, stride, steps, l.input_pixels() * channels, false}) * windows_of(l) <= few)
        to.list_lines(from, stride, std::size_t(l.height), line, steps);
    else
        to.list(from, stride, l.input_pixels(), channels, steps);
}

// The outputs of a line that read each pixel of a line of the input: as many of each, where some are beyond the line.
inline void find_readers(const Layer& l, Readers& to) {
    const auto beyond = std::uint32_t(l.out_width);
    to.most = 0;
    std::vector<Readers::Reader> found;
    const auto find = [&](std::int64_t x) {
        found.clear();
        for (std::int64_t kx = 0; kx < l.kernel_width; ++kx) {
            const std::int64_t left = x + l.pad_x - kx * l.dilation_x;
            if (left < 0 || left % l.stride_x || left / l.stride_x >= l.out_width) continue;
            found.push_back({std::int32_t((kx - x) * l.channels), std::uint32_t(left / l.stride_x)});
        }
        to.most = std::max(to.most, found.size());
    };
    for (std::int64_t x = 0; x < l.width; ++x) find(x);
    to.all.clear();
    for (std::int64_t x = 0, most = std::int64_t(to.most); x < l.width; ++x) {
        find(x);
        found.resize(std::size_t(most), {std::int32_t(-x * l.channels), beyond});
        to.all.insert(to.all.end(), found.begin(), found.end());
    }
    to.inverse = (std::uint64_t(1) << 32) / std::uint64_t(l.channels) + 1;
}

// f(row of weights, output) for each row that a line of outputs reads in a step; `fixed` readers a pixel.
template <std::size_t fixed, class F>
[[gnu::always_inline]] inline void each_reading(const Layer& l, const Readers& readers, const Slab& slab,
                                                std::size_t line, std::size_t t, F&& f) {
    const std::size_t row = std::size_t(l.width * l.channels), most = fixed ? fixed : readers.most;
    const std::uint32_t* codes = slab.codes[Slab::kFirstStep + t].data();
    const std::uint64_t inverse = readers.inverse;
    for (std::int64_t ky = 0; ky < l.kernel_height; ++ky) {
        const std::int64_t y = std::int64_t(line) * l.stride_y - l.pad_y + ky * l.dilation_y;
        if (y < 0 || y >= l.height) continue;
        const std::int64_t base = ky * l.kernel_width * l.channels;
        const std::uint32_t* begin = slab.offsets.data() + std::size_t(y) * Slab::kRow + Slab::kFirstStep + t;
        const std::uint32_t first = std::uint32_t(std::size_t(y) * row), end = begin[Slab::kRow];
        for (std::uint32_t i = *begin; i < end; ++i) {
            const std::uint32_t at = codes[i] - first;
            const Readers::Reader* reader = readers.all.data() + (at * inverse >> 32) * most;
            for (std::size_t k = 0; k < most; ++k) f(std::size_t(base + at + reader[k].move), reader[k].out);
        }
    }
}

template <class F>
[[gnu::always_inline]] inline void each_reading(const Layer& l, const Readers& readers, const Slab& slab,
                                                std::size_t line, std::size_t t, F&& f) {
    if (readers.most == 2) return each_reading<2>(l, readers, slab, line, t, f);
    if (readers.most == 3) return each_reading<3>(l, readers, slab, line, t, f);
    each_reading<0>(l, readers, slab, line, t, f);
}

// Sums of a line of outputs in a step, in 32 bits; whether they fit.
template <std::size_t lanes>
[[gnu::noinline]] bool sum_line(const Layer& l, const std::int32_t* weights, const Slab& slab, std::size_t number,
                                std::size_t t, std::int64_t budget, Scratch& scratch, LineSums& to) {
    const auto width = std::size_t(l.out_width);
    std::int32_t* sums = to.narrow.data() + t * (width + 1) * lanes;
    std::fill_n(sums, width * lanes, 0);
    const auto add = [&](std::size_t row, std::uint32_t out) __attribute__((always_inline)) {
        const std::int32_t* from = weights + row * lanes;
        std::int32_t* sum = sums + out * lanes;
        each<lanes / kInts>(SPIKEWRIGHT_EACH(k) {
            store(sum + k * kInts, load<ints>(sum + k * kInts) + load<ints>(from + k * kInts));
        });
    };
    if (budget == kNoBudget) {
        each_reading(l, scratch.readers, slab, number, t, add);
        return true;
    }
    scratch.in_windows.assign(width + 1, 0);
    std::uint32_t* seen = scratch.in_windows.data();
    each_reading(l, scratch.readers, slab, number, t, [&](std::size_t row, std::uint32_t out) {
        ++seen[out];
        add(row, out);
    });
    return *std::max_element(seen, seen + width) <= std::size_t(budget);
}

// The same in doubles.
template <std::size_t lanes>
[[gnu::cold, gnu::noinline]] void sum_line_wide(const Layer& l, const std::int32_t* weights, const Slab& slab,
                                                std::size_t number, std::size_t t, const Readers& readers, LineSums& to) {
    const auto width = std::size_t(l.out_width);
    to.wide.reserve(kSlab * (width + 1) * lanes, 0);
    double* sums = to.wide.data() + t * (width + 1) * lanes;
    std::fill_n(sums, width * lanes, 0.0);
    each_reading(l, readers, slab, number, t, [&](std::size_t row, std::uint32_t out) {
        for (std::size_t k = 0; k < lanes; ++k) sums[out * lanes + k] += double(weights[row * lanes + k]);
    });
}

// The sums of a pixel in the steps of a slab, of those of its line, which its first pixel makes.
template <std::size_t lanes>
void sum_of_line(const LayerTask& task, const Slab& slab, std::size_t pixel, std::size_t first, std::size_t steps) {
    const Layer& l = *task.op.layer;
    const auto width = std::size_t(l.out_width);
    const std::size_t number = pixel / width, at = pixel % width * lanes;
    Scratch& scratch = task.scratch;
    LineSums& line = scratch.lines[first / kSlab];
    if (line.number != number || line.slab != &slab || line.block != &task.block) {
        line.number = number, line.slab = &slab, line.block = &task.block;
        if (scratch.readers.all.empty()) find_readers(l, scratch.readers);
        line.narrow.reserve(kSlab * (width + 1) * lanes, 0);
        const std::int32_t* weights = l.weights.data() + task.block.offset;
        for (std::size_t t = 0; t < steps; ++t) {
            line.is_wide[t] = !sum_line<lanes>(l, weights, slab, number, t, budget_of(l, slab), scratch, line);
            if (line.is_wide[t]) sum_line_wide<lanes>(l, weights, slab, number, t, scratch.readers, line);
        }
    }
    SumBuffer& sums = task.scratch.sums;
    for (std::size_t t = 0; t < steps; ++t) {
        const std::size_t from = t * (width + 1) * lanes + at;
        sums.is_wide[first + t] = line.is_wide[t];
        if (line.is_wide[t])
            std::copy_n(line.wide.data() + from, lanes, sums.wide.data() + (first + t) * 64);
        else
            std::copy_n(line.narrow.data() + from, lanes, sums.narrow.data() + (first + t) * 64);
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
