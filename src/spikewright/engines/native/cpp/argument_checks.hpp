// Checks and copies of the arguments that Python passes: indices, parameters of neurons, weights of layers.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "plan.hpp"

namespace spikewright {

namespace nb = nanobind;

template <class T>
using ConstArray = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;
using Doubles = ConstArray<double>;
using Integers = ConstArray<std::int32_t>;  // as an index, None leaves all elements where they are
using AnyArray = nb::ndarray<nb::c_contig, nb::device::cpu>;

inline void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

template <class T>
Array<T> copied(const ConstArray<T>& values) {
    return Array<T>(values.data(), values.size());
}

inline Index index_of(const Integers& values, std::size_t size, std::size_t limit) {
    require(values.size() == 0 || values.size() == size, "an index has one entry per value");
    for (std::size_t i = 0; i < values.size(); ++i)
        require(values.data()[i] >= 0 && std::size_t(values.data()[i]) < limit, "an index is outside");
    return copied(values);
}

// Sets `rows` to the entries `values` of columns below `limit`, row by row.
inline void set_entries(SparseRows& rows, const std::vector<std::int64_t>& starts,
                        const Integers& columns, const Doubles& values, double factor,
                        std::size_t limit) {
    require(!starts.empty() && starts.front() == 0 && std::ranges::is_sorted(starts) &&
                std::size_t(starts.back()) == values.size() && columns.size() == values.size(),
            "a sparse map has its entries by row");
    index_of(columns, columns.size(), limit);
    rows.starts = starts, rows.factor = factor;
    rows.columns.assign(columns.data(), columns.data() + columns.size());
    rows.values.assign(values.data(), values.data() + values.size());
}

// Sets residuals of a layer's weights, in `units` of each output channel; a row is a tap and one of its
// `channels`, which is the output channel itself in depthwise layers.
inline void set_residuals(Layer& l, const std::vector<double>& units, bool depthwise, std::size_t channels,
                          const std::vector<std::int64_t>& starts, const Integers& rows, const Doubles& values) {
    SparseRows found;
    set_entries(found, starts, rows, values, 1.0, l.taps() * channels);
    require(starts.size() == units.size() + 1, "residuals are by output channel");
    l.residuals = {};
    for (std::size_t out = 0; out < units.size(); ++out) {
        const auto begin = std::size_t(starts[out]), end = std::size_t(starts[out + 1]);
        if (begin < end) l.residuals.rows.push_back({out, begin, end});
        for (std::size_t i = begin; i < end; ++i) {
            const auto tap = found.columns[i] / std::int32_t(channels), width = std::int32_t(l.kernel_width);
            const auto channel = depthwise ? std::int32_t(out) : found.columns[i] % std::int32_t(channels);
            l.residuals.entries.push_back({tap / width * std::int32_t(l.dilation_y),
                                           tap % width * std::int32_t(l.dilation_x), channel,
                                           found.values[i] / units[out]});
        }
    }
}

// Whether all are from `least` up to `limit`, without it.
inline bool within(const Integers& index, std::int64_t least, std::size_t limit) {
    return std::all_of(index.data(), index.data() + index.size(), [&](std::int32_t i) {
        return i >= least && std::int64_t(i) < std::int64_t(limit);
    });
}

// Entries of a sparse matrix with delays from 1 to `steps`.
inline DelayedEntries delayed_entries(const Integers& receivers, const Integers& senders,
                                      const Integers& delays, const Doubles& values, std::size_t to,
                                      std::size_t from, std::size_t steps) {
    const std::size_t n = values.size();
    require(receivers.size() == n && senders.size() == n && delays.size() == n && n < 0xffffffff,
            "an entry has a receiver, a sender, a delay and a value");
    require(within(receivers, 0, to) && within(senders, 0, from) && within(delays, 1, steps + 1),
            "an entry is outside");
    return {receivers.data(), senders.data(), delays.data(), values.data(), n};
}

// Entries of a sparse matrix with one step a receiver.
inline Entries entries_of(const Integers& receivers, const Integers& senders, const Doubles& values,
                          const Doubles& steps, std::size_t count) {
    require(receivers.size() == values.size() && senders.size() == values.size(),
            "an entry has a receiver, a sender and a value");
    require(within(receivers, 0, steps.size()) && within(senders, 0, count), "an entry is outside");
    return {receivers.data(), senders.data(), values.data(), values.size(), steps.data()};
}

// `(pixels or 1, channels)` values with padded channels, `behind` in the padding; or `(1, 1)`, the
// value of all; each is given to `f`. Where several pixels are lanes side by side, a row stands once for each.
template <class F>
Parameter parameter(const Doubles& values, std::size_t pixels, std::size_t channels, std::size_t padded,
                    double behind, F&& f) {
    Parameter p;
    const bool one = values.size() == 1;
    require(values.ndim() == 2 && (one || values.shape(1) == channels),
            "a parameter is (pixels, channels)");
    const std::size_t rows = values.shape(0);
    require(rows == pixels || rows == 1, "a parameter has one row, or one per pixel");
    const std::size_t given = channels;
    if (one && channels % kVector == 0) padded = channels = kVector, p.channel_stride = 0;
    p.pixel_stride = rows == 1 ? 0 : padded;
    if (rows == 1 && pixels > 1 && pixels_together(channels) > 1) padded = channels = kVector;
    p.values.resize(rows * padded);
    p.uniform = rows == 1;
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t c = 0; c < padded; ++c) {
            const double value = c < channels ? f(values.data()[one ? 0 : r * given + c % given]) : behind;
            p.values[r * padded + c] = value;
            p.uniform = p.uniform && (c >= channels || value == p.values[0]);
        }
    // Spare room belongs to blocks that reach beyond the last channel: nothing fires there.
    for (std::size_t k = 0; k < kSpare / sizeof(double); ++k)
        p.values.data()[rows * padded + k] = behind;
    return p;
}

// The least voltage v with floor(v / threshold + tolerance) >= spikes. The left side is a rounded division and a
// rounded sum, each monotone in v, so that this voltage exists; it is found by bisection over the numbers
// between two that bracket it. With `spikes` above 0 it is positive, else negative or, without tolerance, 0.
inline double least_voltage(double threshold, int spikes, double tolerance) {
    const double sign = spikes > 0 ? 1.0 : -1.0, near = sign * (spikes - tolerance) * threshold;
    auto low = std::bit_cast<std::int64_t>(near * (1.0 - 1e-12));
    auto high = std::bit_cast<std::int64_t>(near * (1.0 + 1e-12));
    while (high - low > 1) {  // doubles above 0 are ordered as their bits are
        const std::int64_t middle = low + (high - low) / 2;
        const double voltage = sign * std::bit_cast<double>(middle);
        const bool reached = std::floor(voltage / threshold + tolerance) >= spikes;
        // The one that is looked for lies at or below the middle.
        (reached == (sign > 0.0) ? high : low) = middle;
    }
    return sign * std::bit_cast<double>(sign > 0.0 ? high : low);
}

// Places `(pixels, channels)` among `whole` ones; regular ones need no index.
inline Places places_of(const Integers& given, std::size_t whole) {
    const std::size_t pixels = given.shape(0), channels = given.shape(1), size = given.size();
    const Index index = index_of(given, size, whole);
    Places places{std::size_t(size ? index[0] : 0), whole};
    bool straight = true, turned = true;
    for (std::size_t k = 0; k < size; ++k) {
        const std::size_t at = std::size_t(index[k]) - places.first;
        straight = straight && at == k;
        turned = turned && at == k % channels * pixels + k / channels;
    }
    places.turned = turned && !straight;
    if (!turned && !straight) places.index = index;
    return places;
}

}  // namespace spikewright
