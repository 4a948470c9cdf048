// A layer in one pass: events of the input are gathered, summed, integrated and fired; currents are
// never written out. Without a population the currents are the output.
#pragma once

#include <utility>

#include "events_by_line.hpp"
#include "tile_rows.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

template <std::size_t lanes>
using Lane = std::integral_constant<std::size_t, lanes>;

// The events that one output pixel reads: copied side by side, or left in place if its window is one
// segment.
class Gathering {
  public:
    Gathering(const Slab& slab, Scratch& scratch)
        : slab_(slab), segments_(scratch.segments), scratch_(scratch) {
        if (segments_.size() == 1) return;
        std::size_t n = 0;
        for (const Segment& s : segments_)
            for (std::size_t list = 0; list < Slab::kLists; ++list) n += end(s)[list] - begin(s)[list];
        scratch_.rows.reserve(n + kLine, 0);
        scratch_.when.reserve(n + kLine, 0);
    }

    Rows gather(std::size_t list) {
        const std::uint32_t* codes = slab_.codes[list].data();
        const std::uint32_t* when = list == Slab::kMasked ? slab_.when.data() : nullptr;
        if (segments_.size() == 1) {
            const Segment& s = segments_[0];
            const std::uint32_t first = begin(s)[list];
            return {codes + first, when ? when + first : when, s.base, end(s)[list] - first};
        }
        const std::size_t before = used_;
        for (const Segment& s : segments_) {
            const std::uint32_t first = begin(s)[list], n = end(s)[list] - first;
            const ints base = std::uint32_t(s.base) - ints{};
            std::uint32_t* to = scratch_.rows.data() + used_;
            for (std::size_t i = 0; i < n; i += kInts)
                store(to + i, load<ints>(codes + first + i) + base);
            if (when) std::memcpy(scratch_.when.data() + used_, when + first, 4 * n);
            used_ += n;
        }
        return {scratch_.rows.data() + before, when ? scratch_.when.data() + before : when, 0,
                used_ - before};
    }

  private:
    const std::uint32_t* begin(const Segment& s) const {
        return slab_.offsets.data() + s.begin * Slab::kRow;
    }
    const std::uint32_t* end(const Segment& s) const {
        return slab_.offsets.data() + s.end * Slab::kRow;
    }

    const Slab& slab_;
    const std::vector<Segment>& segments_;
    Scratch& scratch_;
    std::size_t used_ = 0;
};

// All lists of a slab are gathered before any is summed: gathering waits for memory, and several
// lists wait together.
inline const Seen& see(const Slab& slab, std::size_t steps, Scratch& scratch) {
    Gathering gathering(slab, scratch);
    Seen& seen = scratch.seen;
    seen.most = most_spikes(slab, scratch.segments);
    seen.masked = gathering.gather(Slab::kMasked);  // first: so do their steps lie
    seen.always = gathering.gather(Slab::kAlways);
    for (std::size_t t = 0; t < steps; ++t) seen.steps[t] = gathering.gather(Slab::kFirstStep + t);
    return seen;
}

// The currents of one pixel. Sums of events become currents in the reference's order: both limbs
// together, times the factor, plus the shortcut, times gain, plus bias.
template <std::size_t lanes>
class Currents {
  public:
    // `first` of the task's lanes comes first.
    Currents(const LayerTask& task, std::size_t pixel, std::size_t first = 0)
        : has_low_(!task.op.layer->low.empty()), sums_(task.scratch.sums, task, first),
          low_(has_low_ ? task.scratch.low : task.scratch.sums, task, first),
          valid_(std::min(task.valid() - first, lanes)) {
        const Layer& l = *task.op.layer;
        const std::size_t channel = task.block.channel + first;
        scale_ = l.scale.data() + channel;
        if (!l.heights.empty()) {
            heights_ = l.heights.data(), ahead_ = l.ahead, steps_ = task.context.steps;
            listed_ = !task.frames(0).dense;  // tiles multiply counts with their heights
            if (task.frames(0).rows) arrivals_ = l.arrivals(steps_);
        }
        gain_ = l.has_gain ? l.gain.at(pixel, channel) : nullptr;
        bias_ = l.bias.at(pixel, channel);
        if (task.op.operands.empty()) return;
        const Context& c = task.context;
        const std::int32_t source = task.op.operands[0].source;
        const std::size_t at = pixel * std::size_t(l.out_channels) + channel;
        factor_ = l.joined.at(pixel, channel);
        if (c.kind(source) == Kind::counts) {
            counts_ = c.track<const std::int8_t>(source, task.sample, at);
            if (c.exceeds(source)) far_ = {&c, source, task.sample, at};
        }
        else
            values_ = c.track<const double>(source, task.sample, at);
    }

    [[gnu::always_inline]] Block<lanes> at(std::size_t step) const {
        Block<lanes> b = heights_ ? so_far(sums_, step) : sums_.at(step);
        if (has_low_) {
            each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) { b.v[k] *= splat(kLimb); });
            b.add(heights_ ? so_far(low_, step) : low_.at(step));
        }
        each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
            b.v[k] *= load<doubles>(scale_ + k * kDoubles);
        });
        if (counts_.first) add_counts(b, step);
        if (values_.first) add_values(b, values_[step]);
        if (gain_)
            each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
                b.v[k] *= load<doubles>(gain_ + k * kDoubles);
            });
        each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) { b.v[k] += load<doubles>(bias_ + k * kDoubles); });
        return b;
    }

  private:
    // The sums of one limb.
    struct Limb {
        Limb(const SumBuffer& sums, const LayerTask& task, std::size_t first)
            : narrow(sums.narrow.data() + task.row * task.apart + first),
              wide(sums.wide.data() + task.row * task.apart + first), is_wide(sums.is_wide.data()),
              stride(task.pitch * task.apart) {}

        [[gnu::always_inline]] Block<lanes> at(std::size_t step) const {
            Block<lanes> b;
            if (is_wide[step])
                b.read(wide + step * stride);
            else
                each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
                    b.v[k] = to_doubles(load<half_ints>(narrow + step * stride + k * kDoubles));
                });
            return b;
        }

        const std::int32_t* narrow;
        const double* wide;
        const std::uint8_t* is_wide;
        std::size_t stride;
    };

    // What arrives in a step of digits: first all until then, last nothing. Sums of whole numbers are exact.
    template <class Sums>
    [[gnu::always_inline]] Block<lanes> so_far(const Sums& sums, std::size_t step) const {
        Block<lanes> b{};
        if (arrivals_) return step < arrivals_ ? sums.at(step) : b;
        for (std::size_t t = step ? step + ahead_ : 0; t <= step + ahead_ && t < steps_; ++t) {
            const Block<lanes> part = sums.at(t);
            const doubles height = splat(listed_ ? heights_[t] : 1.0);
            each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) { b.v[k] += part.v[k] * height; });
        }
        return b;
    }

    // The counts of digits that join, in the same way.
    [[gnu::always_inline]] void add_digits(Block<lanes>& b, std::size_t step) const {
        Block<lanes> count{};
        for (std::size_t t = step ? step + ahead_ : 0; t <= step + ahead_ && t < steps_; ++t) {
            const std::int8_t* from = counts_[t];
            each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) { count.v[k] += bytes_to_doubles(from + k * kDoubles); });
        }
        each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) { b.v[k] += count.v[k] * load<doubles>(factor_ + k * kDoubles); });
    }

    // Behind the last channel the factor is zero.
    [[gnu::always_inline]] void add_counts(Block<lanes>& b, std::size_t step) const {
        if (far_.context) [[unlikely]] return add_far_counts(b, step);
        if (heights_) return add_digits(b, step);
        const std::int8_t* from = counts_[step];
        each<Block<lanes>::n>(SPIKEWRIGHT_EACH(k) {
            const doubles count = bytes_to_doubles(from + k * kDoubles);
            b.v[k] += count * load<doubles>(factor_ + k * kDoubles);
        });
    }

    // The same of counts of any size.
    [[gnu::cold, gnu::noinline]] void add_far_counts(Block<lanes>& b, std::size_t step) const {
        Values read(*far_.context, far_.source);
        const double* counts = read(far_.sample, step, far_.at, valid_);
        alignas(kLine) double part[lanes] = {};
        for (std::size_t k = 0; k < valid_; ++k) part[k] = counts[k] * factor_[k];
        Block<lanes> other;
        other.read(part);
        b.add(other);
    }

    [[gnu::always_inline]] void add_values(Block<lanes>& b, const double* from) const {
        Block<lanes> other;
        if (valid_ == lanes) {
            other.read(from);
        } else {
            alignas(kLine) double part[lanes] = {};
            std::memcpy(part, from, valid_ * sizeof(double));
            other.read(part);
        }
        b.add(other);
    }

    // By value: compilers must assume that a write of counts changes anything behind a reference.
    bool has_low_, listed_ = false;
    std::size_t ahead_ = 0, steps_ = 0, arrivals_ = 0;  // the last of pixels that are rows
    const double* heights_ = nullptr;  // of digits
    Limb sums_, low_;
    std::size_t valid_;
    const double *scale_, *gain_, *bias_, *factor_ = nullptr;
    Track<const std::int8_t> counts_{};
    Track<const double> values_{};
    struct Far {
        const Context* context = nullptr;
        std::int32_t source = -1;
        std::size_t sample = 0, at = 0;
    };
    Far far_;  // of counts that bytes do not hold
};

// Adds up the input of one pixel in the steps of one slab: weights of one limb, `budget` of which have
// a sum that fits.
template <std::size_t lanes>
void sum_limb(const std::int32_t* weights, const Seen& seen, std::int64_t budget, std::size_t first,
              std::size_t steps, SumBuffer& sums) {
    const bool fits = budget == kNoBudget || seen.most <= std::size_t(budget);
    if (fits)
        accumulate<lanes>(weights, seen, steps, sums.narrow.data() + first * 64);
    else
        accumulate_wide<lanes>(weights, seen, steps, std::size_t(budget),
                               sums.wide.data() + first * 64);
    for (std::size_t t = 0; t < steps; ++t) sums.is_wide[first + t] = !fits;
}

template <std::size_t lanes>
void sum_slab(const LayerTask& task, const Slab& slab, std::size_t pixel, std::size_t first, std::size_t steps) {
    if (slab.by_line) return sum_of_line<lanes>(task, slab, pixel, first, steps);
    const Layer& l = *task.op.layer;
    const std::size_t at = task.block.offset;
    const Seen& seen = see(slab, steps, task.scratch);
    const std::int64_t budget = budget_of(l, slab);
    sum_limb<lanes>(l.weights.data() + at, seen, budget, first, steps, task.scratch.sums);
    if (!l.low.empty())
        sum_limb<lanes>(l.low.data() + at, seen, l.low_budget, first, steps, task.scratch.low);
}

// Adds up one step's values, as limbs (`analog.hpp`).
template <std::size_t lanes>
void sum_values(const LayerTask& task, std::size_t t);

// The same of a slab whose counts are values.
template <std::size_t lanes>
[[gnu::cold, gnu::noinline]] void sum_split(const LayerTask& task, std::size_t first, std::size_t steps) {
    for (std::size_t t = first; t < first + steps; ++t) sum_values<lanes>(task, t);
}

// What bytes leave of a step's counts, times weights: a few of them, whose sums are exact.
template <std::size_t lanes>
[[gnu::cold, gnu::noinline]] void add_rests(const LayerTask& task, std::size_t t) {
    const Layer& l = *task.op.layer;
    const std::size_t inner = std::size_t(l.channels), halves = task.op.action == Action::signed_layer ? 2 : 1;
    const std::size_t channels = inner / halves;
    const auto add = [&](SumBuffer& sums, const std::int32_t* weights, double rest) {
        double* to = sums.widened<lanes>(t);
        for (std::size_t k = 0; k < lanes; ++k) to[k] += rest * double(weights[k]);
    };
    task.context.each_large(task.op.input, task.sample, t, [&](std::size_t index, double count) {
        const double rest = count - clamped(count);
        const std::size_t pixel = index / channels, below = halves > 1 && rest < 0.0 ? channels : 0;
        const auto code = std::int64_t(pixel * inner + below + index % channels);
        for (const Segment& s : task.scratch.segments) {
            if (pixel < s.begin || pixel >= s.end) continue;
            const std::size_t at = task.block.offset + std::size_t(code + s.base) * lanes;
            add(task.scratch.sums, l.weights.data() + at, below ? -rest : rest);
            if (!l.low.empty()) add(task.scratch.low, l.low.data() + at, below ? -rest : rest);
        }
    });
}

template <std::size_t lanes>
void sum_pixel(const LayerTask& task, std::size_t pixel) {
    find_segments(*task.op.layer, pixel, task.scratch.segments);
    const std::size_t all = task.context.steps;
    for (std::size_t first = 0, steps; first < all; first += steps) {
        if ((steps = dense_steps(task, first))) {
            multiply_steps<lanes>(task, first, steps);
            continue;
        }
        steps = all - first < kSlab ? all - first : kSlab;
        if (task.frames(first).whole) [[likely]]
            sum_slab<lanes>(task, task.slab(first), pixel, first, steps);
        else
            sum_split<lanes>(task, first, steps);
    }
    if (task.exceeds) [[unlikely]]
        for (std::size_t t = 0; t < all; ++t)
            if (!task.frames(t).split) add_rests<lanes>(task, t);
}

// Asks for the lines that the counts of the next pixel go to, a line of each step: writes would wait for them.
inline void expect_next_pixel(const LayerTask& task, std::size_t pixel) {
    const std::size_t at = (pixel + 1) * std::size_t(task.op.layer->out_channels) + task.block.channel;
    const auto out = task.context.track<std::int8_t>(task.op.output, task.sample, at);
    for (std::size_t t = 0; t < task.context.steps; ++t) __builtin_prefetch(out[t], 1);
}

// Adds up all limbs of the values of a pixel whose sums are rough (`dense_values.hpp`).
template <std::size_t lanes>
void sum_finely(const LayerTask& task, std::size_t pixel);

// The currents of all steps, one step after the other.
template <std::size_t lanes>
[[gnu::noinline]] double* currents_of(const LayerTask& task, const Currents<lanes>& currents) {
    Array<double>& to = task.scratch.currents;
    to.reserve(task.context.steps * lanes, 0);
    for (std::size_t t = 0; t < task.context.steps; ++t) currents.at(t).write(to.data() + t * lanes);
    return to.data();
}

// A pixel's neurons integrate its currents in all steps, `together` at a time; `sum` is that of all limbs.
template <std::size_t together, bool uniform, NeuronKind neuron_kind>
[[gnu::noinline]] void fire_pixel(const LayerTask& task, std::size_t pixel, void (*sum)(const LayerTask&, std::size_t)) {
    constexpr bool follows = neuron_kind == NeuronKind::running_mean;
    const Context& c = task.context;
    Scratch& scratch = task.scratch;
    const std::size_t valid = task.valid();
    [[maybe_unused]] const bool counts = follows && leaves_counts(c, task.op.population);
    if constexpr (follows) expect_next_pixel(task, pixel);
    for (std::size_t first = 0; first < valid; first += together) {
        const std::size_t channel = task.block.channel + first;
        const std::size_t at = pixel * std::size_t(task.op.layer->out_channels) + channel;
        const Currents<together> currents(task, pixel, first);
        const auto track = c.track<std::int8_t>(task.op.output, task.sample, at);
        const Place place{std::size_t(task.op.population), task.sample, pixel, channel,
                          std::min(valid - first, together)};
        [[maybe_unused]] const auto current = [&](std::size_t t) __attribute__((always_inline)) { return currents.at(t); };
        const auto out = [&](std::size_t t) __attribute__((always_inline)) { return track[t]; };
        if constexpr (follows) {
            const double* errors = scratch.rough ? scratch.errors + first : nullptr;
            const auto finely = [&] { scratch.rough ? sum(task, pixel) : void(); };
            const bool certain =
                follow(c, place, counts, scratch.numbers.data(), errors, current, out, finely);
            ++(certain ? scratch.certain : scratch.followed);
        } else if constexpr (neuron_kind == NeuronKind::digits) {  // whose states fill the registers
            const double* from = currents_of(task, currents);
            run_block<together, uniform, neuron_kind>(c, place, SPIKEWRIGHT_EACH(t) {
                Block<together> now;
                now.read(from + t * together);
                return now;
            }, out);
        } else {
            run_block<together, uniform, neuron_kind>(c, place, current, out);
        }
    }
}

// Without a population: the currents themselves.
template <std::size_t lanes>
void write_pixel(const LayerTask& task, std::size_t pixel) {
    const Context& c = task.context;
    const Layer& l = *task.op.layer;
    const std::size_t channel = task.block.channel;
    const std::size_t at = pixel * std::size_t(l.out_channels) + channel;
    const Currents<lanes> currents(task, pixel);
    const auto out = c.track<double>(task.op.output, task.sample, at);
    const std::size_t valid = task.valid();
    for (std::size_t t = 0; t < c.steps; ++t) {
        const Block<lanes> made = currents.at(t);
        if (valid == lanes) {
            made.write(out[t]);
            continue;
        }
        alignas(kLine) double part[lanes];
        made.write(part);
        std::memcpy(out[t], part, valid * sizeof(double));
    }
}

// Neurons integrate the sums of a pixel, or its currents are written.
template <std::size_t lanes>
void finish_pixel(const LayerTask& task, std::size_t pixel) {
    const std::int32_t number = task.op.population;
    if (number < 0) return write_pixel<lanes>(task, pixel);
    const Population& p = task.context.job->plan->populations[std::size_t(number)];
    with_neuron_kind(p, [&](auto uniform, auto neuron_kind) {
        constexpr std::size_t together = neuron_kind() == NeuronKind::running_mean ? kMeanLanes : std::min(lanes, kAdvanced);
        fire_pixel<together, uniform(), neuron_kind()>(task, pixel, sum_finely<lanes>);
    });
}

// Pixels `begin` to `end`, as many at a time as tiles have rows.
template <std::size_t lanes>
void run_rows(const LayerTask& task, std::size_t begin, std::size_t end) {
    const PaddedFrame frame(*task.op.layer, task.op.layer->by_line->channels());
    const Lanes all{0, kVector, 0};
    const std::size_t together = neighbours(task.op);
    LayerTask one = task, several{task.context, task.op, all, task.sample, task.lists, task.scratch};
    one.pitch = several.pitch = 2 * kTileRows;
    one.apart = several.apart = lanes;
    several.together = together;
    task.scratch.sums.reserve(task.context.steps * one.pitch);
    for (std::size_t pixel = begin; pixel < end;) {
        const std::size_t first = frame.place(pixel), limit = std::min(end, frame.end(pixel));
        std::size_t behind = pixel + 1;
        while (behind < limit && frame.place(behind) - first < one.pitch) ++behind;
        multiply_rows<lanes>(one, frame, pixel, frame.place(behind - 1) - first + 1);
        while (pixel < behind) {
            one.row = several.row = frame.place(pixel) - first;
            const bool fits = pixel % together == 0 && behind - pixel >= together;
            if (together > 1 && fits)
                finish_pixel<kVector>(several, pixel);
            else
                finish_pixel<lanes>(one, pixel);
            pixel += fits ? together : 1;
        }
    }
}

// Runs a member's share of a layer's blocks of lanes and pixels, sample by sample: `sum(task, pixel,
// lanes)` adds up a pixel's weights. Lanes are outermost: their weights stay in cache for all samples,
// pixels and steps.
template <class Sum>
inline void run_weights(const Context& c, const Instruction& op, const Lists& lists, Scratch& scratch,
                        Sum&& sum) {
    const Layer& l = *op.layer;
    scratch.sums.reserve(c.steps);
    scratch.readers.all.clear();
    scratch.lines.resize(std::max(scratch.lines.size(), slabs_in(c.steps)));
    for (LineSums& line : scratch.lines) line.slab = nullptr;
    const auto& populations = c.job->plan->populations;
    if (op.population >= 0 && populations[std::size_t(op.population)].has_running_mean())
        scratch.numbers = step_numbers(c);
    if (!l.low.empty()) scratch.low.reserve(c.steps);
    const std::size_t pixels = l.pixels();
    const Share share = c.share(l.lanes.size() * pixels);
    const auto each_pixel = [&](const LayerTask& task, std::size_t begin, std::size_t end, auto lanes) {
        if (l.by_line && task.frames(0).rows) return run_rows<lanes()>(task, begin, end);
        for (std::size_t pixel = begin; pixel < end; ++pixel) {
            sum(task, pixel, lanes);
            finish_pixel<lanes()>(task, pixel);
        }
    };
    for (std::size_t i = share.begin; i < share.end;) {
        const Lanes& block = l.lanes[i / pixels];
        const std::size_t begin = i % pixels;
        const std::size_t left = share.end - i, end = begin + left < pixels ? begin + left : pixels;
        for (std::size_t s = 0; s < c.samples; ++s) {
            const LayerTask task{c, op, block, s, lists, scratch};
            if (block.width == 64) each_pixel(task, begin, end, Lane<64>{});
            if (block.width == 32) each_pixel(task, begin, end, Lane<32>{});
            if (block.width == 16) each_pixel(task, begin, end, Lane<16>{});
        }
        i += end - begin;
    }
    State::Followed& followed = c.job->state->followed[std::size_t(&op - c.job->plan->instructions.data())];
    followed.certain.fetch_add(std::exchange(scratch.certain, 0), std::memory_order_relaxed);
    followed.stepwise.fetch_add(std::exchange(scratch.followed, 0), std::memory_order_relaxed);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
