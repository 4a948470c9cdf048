// A unit of a layer's work: a block of lanes (output channels) of one sample, and the windows of its pixels.
#pragma once

#include "accumulate.hpp"
#include "count_bounds.hpp"
#include "frames.hpp"
#include "csc_sums.hpp"
#include "tiles.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Pixels `begin` to `end` of a frame lie side by side in the window of an output pixel: their events,
// moved by `base`, are rows of the kernel.
struct Segment {
    std::uint32_t begin, end;
    std::int64_t base;
};

// The outputs of a line that read each pixel of a line of the input, `most` of each. An event's row of weights lies
// so many rows behind its place in the line.
struct Readers {
    struct Reader {
        std::int32_t move;
        std::uint32_t out;
    };
    std::vector<Reader> all;
    std::size_t most = 0;
    std::uint64_t inverse = 0;  // of the channels, in 2^32
};

// Sums of a line of outputs in the steps of a slab: of which line, slab and lanes they are.
struct LineSums {
    Array<std::int32_t> narrow;
    Array<double> wide;
    bool is_wide[kSlab] = {};
    std::size_t number = 0;
    const Slab* slab = nullptr;
    const Lanes* block = nullptr;
};

// A thread's workspace for the sums of a pixel.
struct Scratch {
    std::vector<Segment> segments;
    Array<std::uint32_t> rows, when;
    Seen seen;
    SumBuffer sums, low;  // of the weights' first limb, and of the second
    Readers readers;
    std::vector<LineSums> lines;  // of each slab
    std::vector<std::uint32_t> in_windows;  // events of each output of a line
    Array<std::int8_t> halves;  // counts above zero and below, while they are listed
    CscWorkspace csc;
    std::vector<Divisor> numbers;  // of the steps
    std::vector<TileInput> tile_inputs;
    Array<std::int8_t> window;  // of counts, side by side
    // Sums of a pixel's values are rounded: `errors` are the most that this makes in the currents of all steps.
    // `values` and `fine` are those of a window, and their limbs.
    bool rough = false;
    alignas(kLine) double errors[64];
    Array<double> values;
    Split fine;
    Array<double> currents;  // of neurons that are advanced together, step by step
    // Groups of neurons whose counts were certain, and those that were followed step by step.
    std::size_t certain = 0, followed = 0;
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

// The largest number of spikes in a step that an output pixel reads.
inline std::size_t most_spikes(const Slab& slab, const std::vector<Segment>& segments) {
    std::uint32_t spikes[kSlab] = {}, most = 0;
    for (const Segment& s : segments) {
        const std::uint32_t* before = slab.offsets.data() + s.begin * Slab::kRow + Slab::kSpikes;
        const std::uint32_t* behind = slab.offsets.data() + s.end * Slab::kRow + Slab::kSpikes;
        for (std::size_t t = 0; t < kSlab; ++t) spikes[t] += behind[t] - before[t];
    }
    for (std::size_t t = 0; t < kSlab; ++t) most = spikes[t] > most ? spikes[t] : most;
    return most;
}

// The work on one block of lanes of one sample.
struct LayerTask {
    const Context& context;
    const Instruction& op;
    const Lanes& block;
    std::size_t sample;
    const Lists& lists;
    Scratch& scratch;
    std::size_t row = 0, pitch = 1;  // where the sums of a pixel lie: in every `pitch`-th row
    std::size_t apart = 64;          // distance of two rows
    std::size_t together = 1;        // pixels, side by side in the lanes
    bool exceeds = context.exceeds(op.input);  // some counts are beyond their bytes

    const Slab& slab(std::size_t t) const { return lists.events[first_slab() + t / kSlab]; }
    const Frames& frames(std::size_t t) const { return lists.frames[first_slab() + t / kSlab]; }
    const DenseValues& dense_values(std::size_t t) const { return lists.dense_values[first_slab() + t / kSlab]; }
    const Multiples& multiples(std::size_t t) const { return lists.multiples[first_slab() + t / kSlab]; }
    const Split& split(std::size_t t) const { return lists.values[sample * context.job->block + t]; }

    std::size_t valid() const {
        const std::size_t left = std::size_t(op.layer->out_channels) * together - block.channel;
        return left < block.width ? left : block.width;
    }

  private:
    std::size_t first_slab() const { return sample * slabs_in(context.job->block); }
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
