// Values from outside that are whole multiples of one unit, 0 to 255 times: pixels of 8 bits, spikes of one
// height. They are counts in bytes, whose sums over weights are whole numbers, times the unit. So no sum differs
// from that over limbs (`analog.hpp`), where these leave nothing out: both are rounded once, at the end.
#pragma once

#include "events.hpp"
#include "limbs.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// A pixel k / 255 in float32 is k times this and 0 to 128, in units of 2^-32.
constexpr double kPixel = 16843009.0, kPixelUnit = 0x1p-32;
constexpr double kMostMultiple = 255.0;

// The steps of a slab as such: `planes` of bytes, one after the other, and the limbs of the unit.
struct Multiples {
    Array<std::uint8_t> bytes;
    std::size_t stride = 0, planes = 0;
    double parts[kMostLimbs] = {};
    int limbs = 0;
    bool listed = false;  // as events: few of the values are not zero

    const std::int8_t* plane(std::size_t number) const {
        return reinterpret_cast<const std::int8_t*>(bytes.data() + number * kSlab * stride);
    }
    // Makes sums of counts, whole vectors of them, those of values.
    void scale(double* counts, std::size_t n) const {
        for (std::size_t k = 0; k < n; k += kDoubles) {
            const doubles count = load<doubles>(counts + k);
            doubles total = splat(parts[0]) * count;
            for (int l = 1; l < limbs; ++l) total += splat(parts[l]) * count;
            store(counts + k, total);
        }
    }
    // The same of pixels, whose second plane has its own.
    static void join(double* counts, const double* rests, std::size_t n) {
        for (std::size_t k = 0; k < n; ++k) counts[k] = std::fma(kPixel * kPixelUnit, counts[k], kPixelUnit * rests[k]);
    }
};

// Looks for the multiples of one unit in a slab of values, and makes their bytes.
class Multiplicity {
  public:
    std::size_t events = 0, used = 0, most = 0;  // counts added up, those beside zero, and the largest

    Multiplicity(const Context& c, const Instruction& op, std::size_t s, std::size_t t, std::size_t steps, Multiples& to)
        : values_(c.track<const double>(op.input, s)), first_(t), steps_(steps), size_(op.layer->input_pixels() * std::size_t(op.layer->channels)),
          limbs_(op.layer->limbs), to_(to) {}

    // Whether the values are multiples of a unit or, if `pixels` are wanted, such.
    bool find(bool pixels) {
        to_.planes = 0;
        double unit = 0.0;
        if (!look_at_first(unit, pixels)) return false;
        to_.stride = rounded_up(size_, kLine) + kLine;
        to_.bytes.reserve(2 * kSlab * to_.stride, 0);
        for (int tries = 0; unit > 0.0 && tries < kTries; ++tries) {
            const double other = to_counts(unit);
            if (other == 0.0) return fits(unit);
            unit = divisor(unit, other);
        }
        return pixels && are_pixels();
    }

  private:
    static constexpr int kTries = 8;
    static constexpr std::size_t kSeen = 16;  // values

    const double* row(std::size_t u) const { return values_[first_ + u]; }

    // Finds the unit of the first values; whether they are multiples of it or may be `pixels`. So most
    // others are left before anything is written.
    bool look_at_first(double& unit, bool& pixels) const {
        std::size_t seen = 0;
        for (std::size_t u = 0; u < steps_; ++u)
            for (std::size_t i = 0; i < size_; ++i) {
                const double x = row(u)[i];
                if (x == 0.0) continue;
                if (x < 0x1p-900) return false;  // negative, or without a reciprocal
                unit = seen ? (unit > 0.0 ? divisor(unit, x) : 0.0) : x;
                pixels = pixels && is_pixel(x);
                if (unit == 0.0 && !pixels) return false;
                if (++seen == kSeen) return true;
            }
        return seen > 0;
    }

    static bool is_pixel(double x) {
        const double units = x * (1.0 / kPixelUnit), count = nearest(units * (1.0 / kPixel)), rest = units - count * kPixel;
        return count <= kMostMultiple && rest >= 0.0 && rest <= 128.0 && nearest(rest) == rest;
    }

    // The greatest common divisor of a number above zero and another one, exact; 0 where there is none of which
    // they are few multiples.
    static double divisor(double a, double b) {
        const double least = std::max(a, b) * (0.999 / kMostMultiple);
        while (b >= least) {
            const double rest = std::fmod(a, b);
            a = b, b = rest;
        }
        return b == 0.0 ? a : 0.0;
    }

    // f(values, where bytes of a plane go) for the vectors of all steps, until it says no: then the place of the
    // vector, else null.
    template <class F>
    const double* each_vector(std::size_t planes, F&& f) {
        for (std::size_t u = 0; u < steps_; ++u) {
            const double* from = row(u);
            std::int8_t* to = reinterpret_cast<std::int8_t*>(to_.bytes.data()) + u * to_.stride;
            for (std::size_t i = 0; i < size_; i += kDoubles)
                if (!f(load_some(from + i, size_ - i), to + i)) return from + i;
            for (std::size_t p = 0; p < planes; ++p) std::memset(to + p * kSlab * to_.stride + size_, 0, to_.stride - size_);
        }
        return nullptr;
    }

    // Makes bytes of multiples. Returns 0, or the first value that is none.
    double to_counts(double unit) {
        const double inverse = 1.0 / unit;
        const double* other = each_vector(1, [&](doubles x, std::int8_t* to) {
            const doubles count = (x * inverse + kWhole) - kWhole, value = count * unit;
            store_bytes(to, to_ints(count));
            return all_of(at_least(value, x) & at_least(x, value) & at_least(count, doubles{}) &
                          at_least(splat(kMostMultiple), count));
        });
        if (!other) return 0.0;
        const auto is_other = [&](double x) {
            const double count = (x * inverse + kWhole) - kWhole;
            return count * unit != x || count < 0.0 || count > kMostMultiple;
        };
        while (!is_other(*other)) ++other;
        return *other;
    }

    // Makes two planes of bytes, if the values are pixels.
    bool are_pixels() {
        const double finest = finest_limb(1.0);
        if (limbs_.most < 2 || std::fmod(kPixelUnit, finest) != 0.0) return false;
        const bool are = !each_vector(2, [&](doubles x, std::int8_t* to) {
            const doubles units = x * (1.0 / kPixelUnit);
            const doubles count = (units * (1.0 / kPixel) + kWhole) - kWhole, rest = units - count * kPixel;
            const doubles whole = (rest + kWhole) - kWhole;
            store_bytes(to, to_ints(count));
            store_bytes(to + kSlab * to_.stride, to_ints(rest));
            return all_of(at_least(count, doubles{}) & at_least(splat(kMostMultiple), count) & at_least(rest, doubles{}) &
                          at_least(splat(128.0), rest) & at_least(whole, rest) & at_least(rest, whole));
        });
        if (are) look(2);
        return are;
    }

    // The unit of the second limbs, or of the only ones, of values up to the largest.
    double finest_limb(double largest) const {
        return std::ldexp(limb_step(largest, limbs_.bits), limbs_.most > 1 ? -limbs_.bits : 0);
    }

    // Whether sums of multiples are those over limbs: the unit has two of them at most, or all values are the unit.
    bool fits(double unit) {
        look(1);
        Extent extent;
        extent.add(unit);
        to_.limbs = 1, to_.parts[0] = unit;
        if (std::fmod(unit, finest_limb(unit * double(most))) == 0.0) return true;
        to_.planes = most == 1 && !extent.is_wide(limbs_);
        double* parts[kMostLimbs];
        for (int l = 0; l < kMostLimbs; ++l) parts[l] = to_.parts + l;
        to_.limbs = take_limbs(parts, 1, unit, limbs_);
        return to_.planes > 0;
    }

    void look(std::size_t planes) {
        to_.planes = planes;
        for (std::size_t u = 0; u < steps_; ++u) {
            const std::uint8_t* from = to_.bytes.data() + u * to_.stride;
            std::uint32_t sum = 0, beside = 0;
            std::uint8_t largest = 0;
            for (std::size_t i = 0; i < size_; ++i) {
                sum += from[i], beside += from[i] != 0;
                largest = from[i] > largest ? from[i] : largest;
            }
            events += sum, used += beside, most = std::max<std::size_t>(most, largest);
        }
    }

    Track<const double> values_;
    std::size_t first_, steps_, size_;
    const Limbs& limbs_;
    Multiples& to_;
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
