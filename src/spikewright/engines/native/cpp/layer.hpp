// A layer in one pass: events of the input are gathered, summed, integrated and fired; currents are
// never written out. Without a population the currents are the output.
#pragma once

#include <utility>

#include "events_by_line.hpp"
#include "rows.hpp"

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
    // `first` of the strip's lanes comes first.
    Currents(const Strip& strip, std::size_t pixel, std::size_t first = 0)
        : has_low_(!strip.op.layer->low.empty()), sums_(strip.scratch.sums, strip, first),
          low_(has_low_ ? strip.scratch.low : strip.scratch.sums, strip, first),
          valid_(std::min(strip.valid() - first, lanes)) {
        const Layer& l = *strip.op.layer;
        const std::size_t channel = strip.block.channel + first;
        scale_ = l.scale.data() + channel;
        if (!l.heights.empty()) {
            heights_ = l.heights.data(), ahead_ = l.ahead, steps_ = strip.context.steps;
            listed_ = !strip.frames(0).dense;  // tiles multiply counts with their heights
            if (strip.frames(0).rows) arrivals_ = l.arrivals(steps_);
        }
        gain_ = l.has_gain ? l.gain.at(pixel, channel) : nullptr;
        bias_ = l.bias.at(pixel, channel);
        if (strip.op.operands.empty()) return;
        const Context& c = strip.context;
        const std::int32_t source = strip.op.operands[0].source;
        const std::size_t at = pixel * std::size_t(l.out_channels) + channel;
        factor_ = l.joined.at(pixel, channel);
        if (c.kind(source) == Kind::counts) {
            counts_ = c.track<const std::int8_t>(source, strip.sample, at);
            if (c.exceeds(source)) far_ = {&c, source, strip.sample, at};
        }
        else
            values_ = c.track<const double>(source, strip.sample, at);
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
        Limb(const SumBuffer& sums, const Strip& strip, std::size_t first)
            : narrow(sums.narrow.data() + strip.row * strip.apart + first),
              wide(sums.wide.data() + strip.row * strip.apart + first), is_wide(sums.is_wide.data()),
              stride(strip.pitch * strip.apart) {}

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
void sum_slab(const Strip& strip, const Slab& slab, std::size_t pixel, std::size_t first, std::size_t steps) {
    if (slab.by_line) return sum_of_line<lanes>(strip, slab, pixel, first, steps);
    const Layer& l = *strip.op.layer;
    const std::size_t at = strip.block.offset;
    const Seen& seen = see(slab, steps, strip.scratch);
    const std::int64_t budget = budget_of(l, slab);
    sum_limb<lanes>(l.weights.data() + at, seen, budget, first, steps, strip.scratch.sums);
    if (!l.low.empty())
        sum_limb<lanes>(l.low.data() + at, seen, l.low_budget, first, steps, strip.scratch.low);
}

// Adds up one step's values, as limbs (`analog.hpp`).
template <std::size_t lanes>
void sum_values(const Strip& strip, std::size_t t);

// The same of a slab whose counts are values.
template <std::size_t lanes>
[[gnu::cold, gnu::noinline]] void sum_split(const Strip& strip, std::size_t first, std::size_t steps) {
    for (std::size_t t = first; t < first + steps; ++t) sum_values<lanes>(strip, t);
}

// What bytes leave of a step's counts, times weights: a few of them, whose sums are exact.
template <std::size_t lanes>
[[gnu::cold, gnu::noinline]] void add_rests(const Strip& strip, std::size_t t) {
    const Layer& l = *strip.op.layer;
    const std::size_t inner = std::size_t(l.channels), halves = strip.op.action == Action::signed_layer ? 2 : 1;
    const std::size_t channels = inner / halves;
    const auto add = [&](SumBuffer& sums, const std::int32_t* weights, double rest) {
        double* to = sums.widened<lanes>(t);
        for (std::size_t k = 0; k < lanes; ++k) to[k] += rest * double(weights[k]);
    };
    strip.context.each_large(strip.op.input, strip.sample, t, [&](std::size_t index, double count) {
        const double rest = count - clamped(count);
        const std::size_t pixel = index / channels, below = halves > 1 && rest < 0.0 ? channels : 0;
        const auto code = std::int64_t(pixel * inner + below + index % channels);
        for (const Segment& s : strip.scratch.segments) {
            if (pixel < s.begin || pixel >= s.end) continue;
            const std::size_t at = strip.block.offset + std::size_t(code + s.base) * lanes;
            add(strip.scratch.sums, l.weights.data() + at, below ? -rest : rest);
            if (!l.low.empty()) add(strip.scratch.low, l.low.data() + at, below ? -rest : rest);
        }
    });
}

template <std::size_t lanes>
void sum_pixel(const Strip& strip, std::size_t pixel) {
    find_segments(*strip.op.layer, pixel, strip.scratch.segments);
    const std::size_t all = strip.context.steps;
    for (std::size_t first = 0, steps; first < all; first += steps) {
        if ((steps = dense_steps(strip, first))) {
            multiply_steps<lanes>(strip, first, steps);
            continue;
        }
        steps = all - first < kSlab ? all - first : kSlab;
        if (strip.frames(first).whole) [[likely]]
            sum_slab<lanes>(strip, strip.slab(first), pixel, first, steps);
        else
            sum_split<lanes>(strip, first, steps);
    }
    if (strip.exceeds) [[unlikely]]
        for (std::size_t t = 0; t < all; ++t)
            if (!strip.frames(t).split) add_rests<lanes>(strip, t);
}

// Asks for the lines that the counts of the next pixel go to, a line of each step: writes would wait for them.
inline void expect_next_pixel(const Strip& strip, std::size_t pixel) {
    const std::size_t at = (pixel + 1) * std::size_t(strip.op.layer->out_channels) + strip.block.channel;
    const auto out = strip.context.track<std::int8_t>(strip.op.output, strip.sample, at);
    for (std::size_t t = 0; t < strip.context.steps; ++t) __builtin_prefetch(out[t], 1);
}

// Adds up all limbs of the values of a pixel whose sums are rough (`sheets.hpp`).
template <std::size_t lanes>
void sum_finely(const Strip& strip, std::size_t pixel);

// The currents of all steps, one step after the other.
template <std::size_t lanes>
[[gnu::noinline]] double* currents_of(const Strip& strip, const Currents<lanes>& currents) {
    Array<double>& to = strip.scratch.currents;
    to.reserve(strip.context.steps * lanes, 0);
    for (std::size_t t = 0; t < strip.context.steps; ++t) currents.at(t).write(to.data() + t * lanes);
    return to.data();
}

// A pixel's neurons integrate its currents in all steps, `together` at a time; `sum` is that of all limbs.
template <std::size_t together, bool uniform, Cell cell>
[[gnu::noinline]] void fire_pixel(const Strip& strip, std::size_t pixel, void (*sum)(const Strip&, std::size_t)) {
    constexpr bool follows = cell == Cell::running_mean;
    const Context& c = strip.context;
    Scratch& scratch = strip.scratch;
    const std::size_t valid = strip.valid();
    [[maybe_unused]] const bool counts = follows && leaves_counts(c, strip.op.population);
    if constexpr (follows) expect_next_pixel(strip, pixel);
    for (std::size_t first = 0; first < valid; first += together) {
        const std::size_t channel = strip.block.channel + first;
        const std::size_t at = pixel * std::size_t(strip.op.layer->out_channels) + channel;
        const Currents<together> currents(strip, pixel, first);
        const auto track = c.track<std::int8_t>(strip.op.output, strip.sample, at);
        const Place place{std::size_t(strip.op.population), strip.sample, pixel, channel,
                          std::min(valid - first, together)};
        [[maybe_unused]] const auto current = [&](std::size_t t) __attribute__((always_inline)) { return currents.at(t); };
        const auto out = [&](std::size_t t) __attribute__((always_inline)) { return track[t]; };
        if constexpr (follows) {
            const double* errors = scratch.rough ? scratch.errors + first : nullptr;
            const auto finely = [&] { scratch.rough ? sum(strip, pixel) : void(); };
            const bool certain =
                follow<uniform>(c, place, counts, scratch.numbers.data(), errors, current, out, finely);
            ++(certain ? scratch.certain : scratch.followed);
        } else if constexpr (cell == Cell::digits) {  // whose states fill the registers
            const double* from = currents_of(strip, currents);
            run_block<together, uniform, cell>(c, place, SPIKEWRIGHT_EACH(t) {
                Block<together> now;
                now.read(from + t * together);
                return now;
            }, out);
        } else {
            run_block<together, uniform, cell>(c, place, current, out);
        }
    }
}

// Without a population: the currents themselves.
template <std::size_t lanes>
void write_pixel(const Strip& strip, std::size_t pixel) {
    const Context& c = strip.context;
    const Layer& l = *strip.op.layer;
    const std::size_t channel = strip.block.channel;
    const std::size_t at = pixel * std::size_t(l.out_channels) + channel;
    const Currents<lanes> currents(strip, pixel);
    const auto out = c.track<double>(strip.op.output, strip.sample, at);
    const std::size_t valid = strip.valid();
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
void finish_pixel(const Strip& strip, std::size_t pixel) {
    const std::int32_t number = strip.op.population;
    if (number < 0) return write_pixel<lanes>(strip, pixel);
    const Population& p = strip.context.job->plan->populations[std::size_t(number)];
    with_cell(p, [&](auto uniform, auto cell) {
        constexpr std::size_t together = cell() == Cell::running_mean ? kMeanLanes : std::min(lanes, kAdvanced);
        fire_pixel<together, uniform(), cell()>(strip, pixel, sum_finely<lanes>);
    });
}

// Pixels `begin` to `end`, as many at a time as tiles have rows.
template <std::size_t lanes>
void run_rows(const Strip& strip, std::size_t begin, std::size_t end) {
    const Bordered frame(*strip.op.layer, strip.op.layer->by_line->channels());
    const Lanes all{0, kVector, 0};
    const std::size_t together = neighbours(strip.op);
    Strip one = strip, several{strip.context, strip.op, all, strip.sample, strip.lists, strip.scratch};
    one.pitch = several.pitch = 2 * kTileRows;
    one.apart = several.apart = lanes;
    several.together = together;
    strip.scratch.sums.reserve(strip.context.steps * one.pitch);
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

// Runs a member's share of a layer's blocks of lanes and pixels, sample by sample: `sum(strip, pixel,
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
    if (op.population >= 0 && populations[std::size_t(op.population)].follows_mean())
        scratch.numbers = step_numbers(c);
    if (!l.low.empty()) scratch.low.reserve(c.steps);
    const std::size_t pixels = l.pixels();
    const Share share = c.share(l.lanes.size() * pixels);
    const auto each_pixel = [&](const Strip& strip, std::size_t begin, std::size_t end, auto lanes) {
        if (l.by_line && strip.frames(0).rows) return run_rows<lanes()>(strip, begin, end);
        for (std::size_t pixel = begin; pixel < end; ++pixel) {
            sum(strip, pixel, lanes);
            finish_pixel<lanes()>(strip, pixel);
        }
    };
    for (std::size_t i = share.begin; i < share.end;) {
        const Lanes& block = l.lanes[i / pixels];
        const std::size_t begin = i % pixels;
        const std::size_t left = share.end - i, end = begin + left < pixels ? begin + left : pixels;
        for (std::size_t s = 0; s < c.samples; ++s) {
            const Strip strip{c, op, block, s, lists, scratch};
            if (block.width == 64) each_pixel(strip, begin, end, Lane<64>{});
            if (block.width == 32) each_pixel(strip, begin, end, Lane<32>{});
            if (block.width == 16) each_pixel(strip, begin, end, Lane<16>{});
        }
        i += end - begin;
    }
    State::Followed& followed = c.job->state->followed[std::size_t(&op - c.job->plan->instructions.data())];
    followed.certain.fetch_add(std::exchange(scratch.certain, 0), std::memory_order_relaxed);
    followed.stepwise.fetch_add(std::exchange(scratch.followed, 0), std::memory_order_relaxed);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
