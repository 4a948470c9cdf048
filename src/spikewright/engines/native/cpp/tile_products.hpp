// The sums of a pixel in steps whose counts are dense: products by tiles.
#pragma once

#include "dense.hpp"
#include "layer_task.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// The window of a pixel as inputs of tiles, in `steps` frames that are `stride` apart: where it lies if chunks of
// it are whole there, else copied side by side. Returns the distance between two steps.
inline std::size_t find_inputs(const LayerTask& task, const std::int8_t* frame, std::size_t stride, std::size_t steps) {
    const TiledWeights& w = *task.op.layer->tiled;
    const std::vector<Segment>& segments = task.scratch.segments;
    std::vector<TileInput>& inputs = task.scratch.tile_inputs;
    const std::size_t channels = w.channels();
    inputs.clear();
    const bool whole =
        segments.size() == 1 && (segments[0].end - segments[0].begin) * channels == w.inputs();
    const auto row_of = [&](std::size_t at, const Segment& s) {  // of weights
        return std::size_t(std::int64_t(at) + s.base / w.halves());
    };
    if (channels % kTileInputs == 0 || whole) {
        for (const Segment& s : segments) {
            const std::size_t end = s.end * channels;
            for (std::size_t at = s.begin * channels; at < end; at += kTileInputs)
                inputs.push_back({frame + at, row_of(at, s) / kTileInputs});
        }
        return stride;
    }
    const std::size_t row = w.chunks() * kTileInputs;
    task.scratch.window.reserve(steps * row, 0);
    std::int8_t* to = task.scratch.window.data();
    for (std::size_t t = 0; t < steps; ++t, to += row, frame += stride) {
        std::memset(to, 0, row);
        for (const Segment& s : segments)
            std::memcpy(to + row_of(s.begin * channels, s), frame + s.begin * channels,
                        (s.end - s.begin) * channels);
    }
    for (std::size_t i = 0; i < w.chunks(); ++i)
        inputs.push_back({task.scratch.window.data() + i * kTileInputs, i});
    return row;
}

// How many steps from `first` on are of slabs that are dense.
inline std::size_t dense_steps(const LayerTask& task, std::size_t first) {
    const std::size_t steps = task.context.steps;
    std::size_t t = first;
    while (t < steps && task.frames(t).dense) t += kSlab;
    return (t < steps ? t : steps) - first;
}

// Whether the sums of a pixel fit 32 bits in all of these steps.
inline bool sums_fit(const LayerTask& task, std::size_t first, std::size_t steps) {
    for (std::size_t t = first; t < first + steps; t += kSlab) {
        const std::int64_t budget = budget_of(*task.op.layer, task.slab(t));
        if (budget == kNoBudget) continue;
        if (most_spikes(task.slab(t), task.scratch.segments) > std::size_t(budget)) return false;
    }
    return true;
}

// Adds up the input of one pixel in steps whose slabs are dense.
template <std::size_t lanes>
void multiply_steps(const LayerTask& task, std::size_t first, std::size_t steps) {
    const TiledWeights& w = *task.op.layer->tiled;
    SumBuffer& sums = task.scratch.sums;
    const bool fits = sums_fit(task, first, steps);
    const Context& c = task.context;
    const std::size_t stride =
        find_inputs(task, c.counts(task.op.input, task.sample, first), c.stride(task.op.input), steps);
    const std::vector<TileInput>& inputs = task.scratch.tile_inputs;
    c.multiply.run({.inputs = inputs.data(), .n = inputs.size(), .stride = stride, .rows = steps,
                    .weights = w.of(task.block.channel), .chunks = w.chunks(), .limbs = w.limbs(),
                    .blocks = lanes / kTileLanes, .narrow = sums.narrow.data() + first * 64,
                    .wide = fits ? nullptr : sums.wide.data() + first * 64,
                    .shifts = inputs.size() == w.chunks() ? w.shifts(task.block.channel) : nullptr,
                    .positive = w.halves() == 1});
    for (std::size_t t = first; t < first + steps; ++t) sums.is_wide[t] = !fits;
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
