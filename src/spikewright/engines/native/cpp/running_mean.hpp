// Integrate-and-fire neurons that follow a function of the running mean of their current; the function is
// piecewise linear or parabolic (`bent`):
//
//   sum += J; target' = t f(sum / t); v += target' - target; target = target';
//   k = floor(v / threshold + tolerance), of either sign; v -= k threshold
//
// Divisions cost more than all the rest, so products with reciprocals stand for them where it is certain
// that they give the same: a step in which a neuron is near a doubtful number is taken by the formula.
#pragma once

#include <cmath>

#include "blocks.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

constexpr std::size_t kMeanLanes = 16;  // whose state stays in registers
constexpr int kFewSpikes = 15;          // of either sign: more are rare, and taken by the formula
constexpr Most kTooMany = 128;          // where a count does not fit a byte

// Quotients by a whole number below 2^31, rounded once: the remainder, which is exact, corrects a product
// with the reciprocal. A quotient is never half way between two doubles (53 bits times an odd number is
// longer than 53 bits), nor nearer to it than 2^-32 of the last place.
struct Divisor {
    double n, inverse;

    explicit Divisor(double n) : n(n), inverse(1.0 / n) {}

    doubles operator()(doubles x) const {
#if defined(__AVX512F__)
        const __m512d by = _mm512_set1_pd(n), reciprocal = _mm512_set1_pd(inverse);
        const __m512d near = _mm512_mul_pd(__m512d(x), reciprocal);
        return doubles(_mm512_fmadd_pd(_mm512_fnmadd_pd(by, near, __m512d(x)), reciprocal, near));
#else
        return x / n;
#endif
    }

    // The lanes in which that may be wrong: NaN, as of infinity, and numbers below the normal.
    static Where doubtful(doubles quotient) {
#if defined(__AVX512DQ__)
        constexpr int nan = 0x81, denormal = 0x20;
        return _mm512_fpclass_pd_mask(__m512d(quotient), nan | denormal);
#else
        (void)quotient;
        return Where{};
#endif
    }
};

typedef std::int8_t few_bytes __attribute__((vector_size(kMeanLanes)));

// Whole numbers as bytes, those that do not fit as other large ones.
inline few_bytes bytes_of(const half_ints (&whole)[kMeanLanes / kDoubles]) {
#if defined(__AVX512F__)
    const __m512i low = _mm512_castsi256_si512(__m256i(whole[0]));
    return few_bytes(_mm512_cvtsepi32_epi8(_mm512_inserti64x4(low, __m256i(whole[1]), 1)));
#elif defined(__AVX2__)
    const __m128i low = _mm_packs_epi32(__m128i(whole[0]), __m128i(whole[1]));
    const __m128i high = _mm_packs_epi32(__m128i(whole[2]), __m128i(whole[3]));
    return few_bytes(_mm_packs_epi16(low, high));
#elif defined(SPIKEWRIGHT_NEON)
    int16x4_t four[4];
    each<4>(SPIKEWRIGHT_EACH(k) {
        four[k] = vqmovn_s32(vcombine_s32(int32x2_t(whole[2 * k]), int32x2_t(whole[2 * k + 1])));
    });
    return few_bytes(vqmovn_high_s16(vqmovn_s16(vcombine_s16(four[0], four[1])), vcombine_s16(four[2], four[3])));
#else
    std::int32_t wide[kMeanLanes];
    few_bytes bytes;
    each<kMeanLanes / kDoubles>(SPIKEWRIGHT_EACH(k) { store(wide + k * kDoubles, whole[k]); });
    for (std::size_t i = 0; i < kMeanLanes; ++i)
        bytes[i] = std::int8_t(wide[i] > 127 ? 127 : wide[i] < -128 ? -128 : wide[i]);
    return bytes;
#endif
}

// Neurons between two steps.
struct MeanState {
    Block<kMeanLanes> v{}, sum{}, target{};

    MeanState(const Context& c, const Place& at) {
        read_voltages(c, at, v);
        const auto sums = passed(c, at, &State::sum), targets = passed(c, at, &State::target);
        if (sums.from) sum.read(sums.from), target.read(targets.from);
    }
    void keep(const Context& c, const Place& at) const {
        v.write(passed(c, at, &State::voltage).to);
        sum.write(passed(c, at, &State::sum).to);
        target.write(passed(c, at, &State::target).to);
    }
};

// What is the same in all steps.
struct MeanConstants {
    const Population& p;
    const double *threshold, *inverse;

    // A step by the formula. Where a count does not fit a byte `rests` has what is left of all.
    [[gnu::noinline]] Most step_exactly(const Context& c, const Place& at, std::size_t t, MeanState& now,
                                        const Block<kMeanLanes>& j, double number, few_bytes& counts,
                                        double* rests) const {
        alignas(kLine) double v[kMeanLanes], sum[kMeanLanes], target[kMeanLanes], added[kMeanLanes];
        double spikes[kMeanLanes], largest = 0.0;
        bool fits = true;
        now.v.write(v), now.sum.write(sum), now.target.write(target), j.write(added);
        const double most = p.model.most_spikes();
        for (std::size_t k = 0; k < at.valid; ++k) {
            sum[k] += added[k];
            v[k] += change(target[k], number * bent(p.model, sum[k] / number));
            spikes[k] = fire(v[k], threshold[k], kTolerance, -most, most);
            largest = larger_of(std::fabs(spikes[k]), largest);
            fits &= std::fabs(spikes[k]) <= kMostCounts;  // NaN does not
        }
        now.v.read(v), now.sum.read(sum), now.target.read(target);
        counts = few_bytes{};
        for (std::size_t k = 0; k < at.valid; ++k) {
            counts[k] = fits ? std::int8_t(spikes[k]) : put_count(c, at, t, k, spikes[k]);
            rests[k] = spikes[k] - counts[k];
        }
        return fits ? Most(largest) : kTooMany;
    }

    // A step; the largest count that it may have given.
    [[gnu::always_inline]] Most step(const Context& c, const Place& at, std::size_t t, MeanState& now,
                                     const Block<kMeanLanes>& j, const Divisor& number, few_bytes& counts,
                                     double* rests) const {
        constexpr std::size_t n = Block<kMeanLanes>::n;
        MeanState next = now;
        doubles share[n], spikes[n], units[n];
        half_ints whole[n];
        Where doubtful{};
        each<n>(SPIKEWRIGHT_EACH(k) {
            next.sum.v[k] += j.v[k];
            const doubles mean = number(next.sum.v[k]);
            doubtful |= Divisor::doubtful(mean);
            next.v.v[k] += change(next.target.v[k], number.n * bent(p.model, mean));
            units[k] = load<doubles>(threshold + k * kDoubles);
            const doubles reciprocal = load<doubles>(inverse + k * kDoubles);
            share[k] = next.v.v[k] * reciprocal + kTolerance;
            spikes[k] = floor_of(share[k]);
        });
        // A product differs from the quotient by some units in the last place: its floor is another only
        // next to a whole number.
        each<n>(SPIKEWRIGHT_EACH(k) {
            const doubles rest = share[k] - spikes[k] - 0.5;
            const auto size = doubles(longs(rest) & INT64_MAX);
            doubtful |= ~at_least(splat(0.5 - 1.0 / (1 << 30)), size);  // of NaN, too
        });
        const double cap = p.model.cap;
        if (cap > 0.0)
            each<n>(SPIKEWRIGHT_EACH(k) {
                spikes[k] = larger_of(smaller_of(spikes[k], splat(cap)), splat(-cap));
            });
        each<n>(SPIKEWRIGHT_EACH(k) {
            next.v.v[k] -= spikes[k] * units[k];
            whole[k] = to_ints(spikes[k]);
        });
        counts = bytes_of(whole);
        if (bits_of(doubtful) || outside(counts)) [[unlikely]] {
            next = now;
            const Most most = step_exactly(c, at, t, next, j, number.n, counts, rests);
            now = next;
            return most;
        }
        now = next;
        return kFewSpikes;
    }

    // Whether some count is not among the few.
    static bool outside(few_bytes counts) {
        typedef std::uint8_t bytes __attribute__((vector_size(kMeanLanes)));
        const auto far = bytes(counts + std::int8_t(kFewSpikes)) > std::uint8_t(2 * kFewSpikes);
        std::uint64_t halves[2];
        std::memcpy(halves, &far, sizeof halves);
        return (halves[0] | halves[1]) != 0;
    }
};

// Counts of either sign, summed over steps: in bytes while these hold.
class SignedTally {
  public:
    SignedTally(const Context& c, const Place& at)
        : total_(passed(c, at, &State::total)), sent_(passed(c, at, &State::sent)) {}

    [[gnu::always_inline]] void add(few_bytes counts, Most most) {
        if (bound_ + most > 127) flush();
        bound_ += most;
        net_ += counts;
        sizes_ += counts > 0 ? counts : -counts;
    }

    // The part of a count that its byte leaves.
    void add_rest(std::size_t k, double rest) {
        flush();
        sent_.to[k] += rest;
    }

    void flush() {
        std::int8_t sizes[kMeanLanes], net[kMeanLanes];
        store(sizes, sizes_), store(net, net_);
        add_on(total_, sizes, kMeanLanes);
        add_on(sent_, net, kMeanLanes);
        total_.from = total_.to, sent_.from = sent_.to;
        net_ = sizes_ = few_bytes{};
        bound_ = 0;
    }

  private:
    Context::Passed<std::uint32_t> total_;
    Context::Passed<double> sent_;
    few_bytes net_{}, sizes_{};
    Most bound_ = 0;
};

// The numbers of a block's steps.
inline std::vector<Divisor> step_numbers(const Context& c) {
    std::vector<Divisor> numbers;
    numbers.reserve(c.steps);
    for (std::size_t t = 0; t < c.steps; ++t) numbers.emplace_back(double(c.job->first + c.first_step + t + 1));
    return numbers;
}

// `current(t)` arrives, counts are written to `out(t)`.
template <class Current, class Out>
[[gnu::always_inline]] inline void run_following(const Context& c, const Place& at, const Divisor* numbers,
                                                 Current&& current, Out&& out) {
    const Population& p = population_of(c, at);
    const MeanConstants followers{p, p.threshold.at(at.pixel, at.channel), p.inverse.at(at.pixel, at.channel)};
    SignedTally tally(c, at);
    MeanState now(c, at);
    for (std::size_t t = 0; t < c.steps; ++t) {
        few_bytes counts;
        double rests[kMeanLanes];  // written where they do not fit
        Most most = followers.step(c, at, t, now, current(t), numbers[t], counts, rests);
        if (most == kTooMany) [[unlikely]] {
            for (std::size_t k = 0; k < at.valid; ++k) tally.add_rest(k, rests[k]);
            most = kMostCounts;
        }
        tally.add(counts, most);
        if (at.valid == kMeanLanes)
            store(out(t), counts);
        else
            std::memcpy(out(t), &counts, at.valid);
    }
    tally.flush();
    if (!c.last()) now.keep(c, at);
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
