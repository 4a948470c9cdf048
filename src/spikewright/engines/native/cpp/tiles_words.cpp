// Products of weights in one limb by AVX2, or AVX-512 without VNNI, whose instructions add up products of two bytes in
// words of 16 bits, and saturate there. Counts are small as a rule, so that many products fit a word before words are
// added up in 32 bits; of the largest two do: 2 x 128 x 127 is 32,512.
//
// CMake compiles this file once for each, with SPIKEWRIGHT_TILES as the name of its namespace. Weights of more limbs
// are multiplied in plain C++, which never pays.

#include <immintrin.h>

#include "tiles.hpp"

namespace spikewright {
namespace plain {
extern const Multiply multiply;
}
namespace SPIKEWRIGHT_TILES {
namespace {

#if defined(__AVX512BW__)
using Bytes = __m512i;
constexpr std::size_t kMostRows = 12;

Bytes load(const std::int8_t* from) { return _mm512_loadu_si512(from); }
Bytes spread(std::int32_t four) { return _mm512_set1_epi32(four); }
Bytes magnitude(Bytes x) { return _mm512_abs_epi8(x); }
Bytes larger(Bytes x, Bytes y) { return _mm512_max_epu8(x, y); }
Bytes with_sign_of(Bytes x, Bytes sign) {
    return _mm512_mask_sub_epi8(x, _mm512_movepi8_mask(sign), _mm512_setzero_si512(), x);
}
Bytes products(Bytes counts, Bytes weights) { return _mm512_maddubs_epi16(counts, weights); }
Bytes plus(Bytes x, Bytes y) { return _mm512_add_epi16(x, y); }
void add_words(Bytes words, std::int32_t* to) {
    const Bytes sums = _mm512_madd_epi16(words, _mm512_set1_epi16(1));
    _mm512_storeu_si512(to, _mm512_add_epi32(_mm512_loadu_si512(to), sums));
}
#else
using Bytes = __m256i;
constexpr std::size_t kMostRows = 4;

Bytes load(const std::int8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
Bytes spread(std::int32_t four) { return _mm256_set1_epi32(four); }
Bytes magnitude(Bytes x) { return _mm256_abs_epi8(x); }
Bytes larger(Bytes x, Bytes y) { return _mm256_max_epu8(x, y); }
Bytes with_sign_of(Bytes x, Bytes sign) { return _mm256_sign_epi8(x, sign); }
Bytes products(Bytes counts, Bytes weights) { return _mm256_maddubs_epi16(counts, weights); }
Bytes plus(Bytes x, Bytes y) { return _mm256_add_epi16(x, y); }
void add_words(Bytes words, std::int32_t* to) {
    auto* at = reinterpret_cast<__m256i*>(to);
    const Bytes sums = _mm256_madd_epi16(words, _mm256_set1_epi16(1));
    _mm256_storeu_si256(at, _mm256_add_epi32(_mm256_loadu_si256(at), sums));
}
#endif

constexpr std::size_t kParts = kTileInputs / sizeof(Bytes);  // of 16 lanes
constexpr std::size_t kPartLanes = kTileLanes / kParts;

// What is known of all counts of a job.
struct Known {
    std::size_t most = 0;
    bool below = false;  // zero
};

Known look(const TileJob& job) {
    Bytes most{}, any{};
    for (std::size_t time = 0; time < job.times; ++time)
        for (std::size_t i = 0; i < job.n; ++i) {
            const std::int8_t* from = job.inputs[i].counts + time * job.further;
            for (std::size_t r = 0; r < job.rows; ++r, from += job.stride)
                for (std::size_t k = 0; k < kTileInputs; k += sizeof(Bytes)) {
                    const Bytes counts = load(from + k);
                    most = larger(most, magnitude(counts)), any |= counts;
                }
        }
    std::uint8_t sizes[sizeof(Bytes)], bits[sizeof(Bytes)];
    std::memcpy(sizes, &most, sizeof most), std::memcpy(bits, &any, sizeof any);
    Known known;
    for (std::size_t k = 0; k < sizeof(Bytes); ++k) {
        known.most = known.most < sizes[k] ? sizes[k] : known.most;
        known.below |= bits[k] > 127;
    }
    return known;
}

// Rows of a job from `counts` on behind their first ones; their sums begin at `at`. So many fours of inputs `fit` words.
struct Rows {
    std::size_t counts, at, fit;
};

template <std::size_t rows, bool signs>
[[gnu::noinline]] void multiply_rows(const TileJob& job, const std::int8_t* weights, const Rows& place) {
    alignas(kLine) std::int32_t sums[rows][kTileLanes] = {};
    Bytes words[rows][kParts] = {};
    const auto flush = [&] {
#pragma GCC unroll 12
        for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 2
            for (std::size_t part = 0; part < kParts; ++part) {
                add_words(words[r][part], sums[r] + part * kPartLanes);
                words[r][part] = Bytes{};
            }
    };
    std::size_t left = place.fit;
    for (std::size_t i = 0; i < job.n; ++i) {
        const std::int8_t* counts = job.inputs[i].counts + place.counts;
        const std::int8_t* from = weights + limb_place(job.chunks, job.inputs[i].chunk, 0);
        for (std::size_t four = 0; four < job.inputs[i].used; four += 4, from += kTileInputs) {
            Bytes w[kParts];
#pragma GCC unroll 2
            for (std::size_t part = 0; part < kParts; ++part) w[part] = load(from + part * sizeof(Bytes));
#pragma GCC unroll 12
            for (std::size_t r = 0; r < rows; ++r) {
                std::int32_t count;
                std::memcpy(&count, counts + r * job.stride + four, sizeof count);
                const Bytes each = spread(count);
#pragma GCC unroll 2
                for (std::size_t part = 0; part < kParts; ++part) {
                    const Bytes made = signs ? products(magnitude(each), with_sign_of(w[part], each))
                                             : products(each, w[part]);
                    words[r][part] = plus(words[r][part], made);
                }
            }
            if (--left == 0) flush(), left = place.fit;
        }
    }
    flush();
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t n = 0; n < kTileLanes; ++n)
            if (job.wide)
                job.wide[place.at + r * job.apart + n] = double(sums[r][n]);
            else
                job.narrow[place.at + r * job.apart + n] = sums[r][n];
}

// As many rows at a time as registers hold, then fewer, down to one.
template <bool signs, std::size_t rows = kMostRows>
void multiply_all(const TileJob& job, const std::int8_t* weights, Rows place, std::size_t left) {
    for (; left >= rows; left -= rows) {
        multiply_rows<rows, signs>(job, weights, place);
        place.counts += rows * job.stride, place.at += rows * job.apart;
    }
    if constexpr (rows > 1)
        if (left) multiply_all<signs, (rows > 4 ? 4 : rows / 2)>(job, weights, place, left);
}

void run(const TileJob& job) {
    if (job.limbs > 1) return plain::multiply.run(job);
    const Known known = look(job);
    constexpr std::size_t most_word = 32767, most_weight = 127;
    const std::size_t fit = most_word / (2 * most_weight * (known.most ? known.most : 1));
    const std::int8_t* weights = job.weights;
    for (std::size_t block = 0; block < job.blocks; ++block, weights += kWeightLimbs * job.chunks * kTileBytes)
        for (std::size_t time = 0; time < job.times; ++time) {
            const Rows place{time * job.further, time * job.pitch * job.apart + block * kTileLanes, fit};
            known.below ? multiply_all<true>(job, weights, place, job.rows)
                        : multiply_all<false>(job, weights, place, job.rows);
        }
}

// Values from outside have weights of more limbs.
void run_unsigned(const TileJob& job) { plain::multiply.run_unsigned(job); }

}  // namespace

extern const Multiply multiply;
const Multiply multiply{run, 0.0, kParts > 1 ? 36.0 : 28.0, run_unsigned, 1};

}  // namespace SPIKEWRIGHT_TILES
}  // namespace spikewright
