// Pixels as the rows of tiles, where a slab has too few steps to fill the rows. A row of a pixel's window is
// contiguous in a padded frame, so that nothing is copied for each pixel.
#pragma once

#include "tile_products.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// A frame padded for all windows. Pixels of the output are numbered by *places*: with stride 1 from
// one row of the frame on to the next, else along a row alone.
class PaddedFrame {
  public:
    explicit PaddedFrame(const Layer& l, std::size_t channels)
        : l_(l), channels_(channels),
          width_(std::size_t(std::max(l.pad_x + l.width, (l.out_width - 1) * l.stride_x + l.kernel_width))),
          height_(std::size_t(std::max(l.pad_y + l.height, (l.out_height - 1) * l.stride_y +
                                                               (l.kernel_height - 1) * l.dilation_y + 1))),
          goes_on_(l.stride_x == 1 && l.stride_y == 1) {}

    // Bytes of one step; rows of the last tile reach beyond the frame.
    std::size_t bytes() const {
        const std::size_t beyond = 2 * kTileRows * std::size_t(l_.stride_x) * channels_ + kTileInputs;
        return rounded_up(height_ * width_ * channels_ + beyond, kLine);
    }

    void copy(const std::int8_t* from, std::int8_t* to) const {
        std::memset(to, 0, bytes());
        each_row(from, to, [](const std::int8_t* row, std::int8_t* copied, std::size_t n) {
            std::memcpy(copied, row, n);
        });
    }

    // Adds what arrives in the same step.
    void add(const std::int8_t* from, std::int8_t* to) const {
        each_row(from, to, [](const std::int8_t* row, std::int8_t* sum, std::size_t n) {
            for (std::size_t i = 0; i < n; ++i) sum[i] = std::int8_t(sum[i] + row[i]);
        });
    }

    std::size_t place(std::size_t pixel) const {
        const std::size_t out = std::size_t(l_.out_width);
        return goes_on_ ? pixel / out * width_ + pixel % out : pixel;
    }

    // The first pixel whose rows do not belong to those from `pixel` on.
    std::size_t end(std::size_t pixel) const {
        const std::size_t out = std::size_t(l_.out_width);
        return goes_on_ ? l_.pixels() : (pixel / out + 1) * out;
    }

    // Where the window of a pixel begins, and the distance of its rows and of two places.
    std::size_t first(std::size_t pixel) const {
        const std::size_t out = std::size_t(l_.out_width);
        const std::size_t y = pixel / out * std::size_t(l_.stride_y), x = pixel % out * std::size_t(l_.stride_x);
        return (y * width_ + x) * channels_;
    }
    std::size_t line() const { return std::size_t(l_.dilation_y) * width_ * channels_; }
    std::size_t stride() const { return std::size_t(l_.stride_x) * channels_; }

    // Rows of all products, and how many of these there are.
    std::size_t rows() const { return goes_on_ ? place(l_.pixels() - 1) + 1 : l_.pixels(); }
    std::size_t products() const {
        const std::size_t lines = goes_on_ ? 1 : std::size_t(l_.out_height);
        return lines * ((rows() / lines + 2 * kTileRows - 1) / (2 * kTileRows));
    }

  private:
    // f(row, where it stands in a frame, bytes) for the rows of a step.
    template <class F>
    void each_row(const std::int8_t* from, std::int8_t* to, F&& f) const {
        const std::size_t row = std::size_t(l_.width) * channels_;
        to += (std::size_t(l_.pad_y) * width_ + std::size_t(l_.pad_x)) * channels_;
        for (std::int64_t y = 0; y < l_.height; ++y, from += row, to += width_ * channels_) f(from, to, row);
    }

    const Layer& l_;
    std::size_t channels_, width_, height_;
    bool goes_on_;
};

// Decides whether pixels are rows; then what arrives in each step is copied into a frame with a border.
inline bool find_rows(const Context& c, const Instruction& op, std::size_t sample, Frames& frames, Slab& slab) {
    const Layer& l = *op.layer;
    if (!l.by_line || c.steps >= kTileRows) return false;
    const std::size_t channels = l.by_line->channels();
    const PaddedFrame frame(l, channels);
    const CountRows rows{c.counts(op.input, sample, 0), c.stride(op.input), c.steps,
                         l.input_pixels() * channels, !l.heights.empty()};
    const std::size_t arrivals = l.arrivals(c.steps);
    const double steps = double(arrivals);
    if (!tiles_pay(c, l, *l.by_line, spikes_in(rows), steps * double(frame.products()),
                   steps * double(frame.rows())))
        return false;
    l.by_line->make(l);
    frames.stride = frame.bytes();
    frames.bytes.reserve(arrivals * frames.stride, 0);
    slab.most = 0;
    const std::size_t first = c.steps - arrivals;  // those until then come at once
    for (std::size_t t = 0; t < arrivals; ++t) {
        std::int8_t* to = frames.bytes.data() + t * frames.stride;
        frame.copy(rows.row(first + t), to);
        for (std::size_t earlier = 0; t == 0 && earlier < first; ++earlier) frame.add(rows.row(earlier), to);
        slab.most = std::max<std::size_t>(slab.most, largest(to, frames.stride));
    }
    return true;
}

// How many neighbours in a line are lanes side by side: where they have no parameters of their own.
inline std::size_t neighbours(const Instruction& op) {
    const Layer& l = *op.layer;
    const std::size_t together = pixels_together(std::size_t(l.out_channels));
    const bool own = (l.has_gain && l.gain.pixel_stride) || l.bias.pixel_stride ||
                     (!op.operands.empty() && l.joined.pixel_stride);
    return own || std::size_t(l.out_width) % together ? 1 : together;
}

// Decides by what a slab is summed; where that is by tiles it need not be listed.
inline bool is_dense(const Context& c, const Instruction& op, std::size_t sample, std::size_t t,
                     std::size_t steps, Frames& frames, Slab& slab) {
    const bool never = !(c.job->dense < kNeverDense);
    frames.rows = !never && !c.exceeds(op.input) && find_rows(c, op, sample, frames, slab);
    frames.dense = frames.rows || (!never && find_dense(c, op, sample, t, steps, slab));
    State::Slabs& slabs = c.job->state->slabs[std::size_t(&op - c.job->plan->instructions.data())];
    (frames.dense ? slabs.dense : slabs.listed).fetch_add(1, std::memory_order_relaxed);
    if (frames.rows) slabs.rows.fetch_add(1, std::memory_order_relaxed);
    if (frames.rows && neighbours(op) > 1) slabs.together.fetch_add(1, std::memory_order_relaxed);
    return frames.dense;
}

// Adds up the input of neighbouring pixels in all steps: rows of sums, step by step.
template <std::size_t lanes>
void multiply_rows(const LayerTask& task, const PaddedFrame& frame, std::size_t pixel, std::size_t rows) {
    const TiledWeights& w = *task.op.layer->by_line;
    const Frames& frames = task.frames(0);
    SumBuffer& sums = task.scratch.sums;
    std::vector<TileInput>& inputs = task.scratch.tile_inputs;
    const std::int64_t budget = budget_of(*task.op.layer, task.slab(0));
    const bool fits = budget == kNoBudget || w.inputs() * task.slab(0).most <= std::size_t(budget);
    const std::size_t chunks = w.chunks() / w.lines();
    const std::size_t steps = task.op.layer->arrivals(task.context.steps);
    const std::int8_t* from = frames.bytes.data() + frame.first(pixel);
    inputs.clear();
    const std::size_t line = w.inputs() / w.lines();
    for (std::size_t i = 0; i < w.chunks(); ++i) {
        const std::size_t at = i % chunks * kTileInputs;
        inputs.push_back({from + i / chunks * frame.line() + at, i, std::min(line - at, kTileInputs)});
    }
    task.context.multiply.run({inputs.data(), inputs.size(), frame.stride(), rows, w.of(task.block.channel),
                                w.chunks(), w.limbs(), lanes / kTileLanes, sums.narrow.data(),
                                fits ? nullptr : sums.wide.data(), task.apart, steps, frames.stride,
                                task.pitch, w.shifts(task.block.channel), w.halves() == 1});
    std::fill_n(sums.is_wide.begin(), steps, !fits);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
