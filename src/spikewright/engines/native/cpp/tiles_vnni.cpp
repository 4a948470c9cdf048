// Tile products by AVX-512 VNNI, whose instructions add up products of four bytes in each of 16 lanes: those of
// a few rows of counts and all limbs of 16 lanes stay in registers.
//
// One factor must be unsigned: counts become so by adding 128, and what that adds to the sums is taken away. Counts
// from 0 to 255 are unsigned as they are.

#include <immintrin.h>

#include <utility>

#include "tiles.hpp"

namespace spikewright::vnni {
namespace {

template <std::size_t limbs>
struct Sums {
    __m512i of[limbs];
};

// What 128 in the place of every count gives, taken away.
template <std::size_t limbs>
Sums<limbs> offsets(const TileJob& job, const std::int8_t* weights, std::size_t block) {
    Sums<limbs> sums{};
    if (job.shifts) {
        const std::int32_t* of = job.shifts + block * kWeightLimbs * kTileLanes;
        for (std::size_t limb = 0; limb < limbs; ++limb)
            sums.of[limb] = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_loadu_si512(of + limb * kTileLanes));
        return sums;
    }
    const __m512i all = _mm512_set1_epi8(char(0x80));
    for (std::size_t i = 0; i < job.n; ++i)
        for (std::size_t limb = 0; limb < limbs; ++limb) {
            const std::int8_t* from = weights + limb_place(job.chunks, job.inputs[i].chunk, limb);
            for (std::size_t four = 0; four < job.inputs[i].used; four += 4, from += 64)
                sums.of[limb] = _mm512_dpbusd_epi32(sums.of[limb], all, _mm512_loadu_si512(from));
        }
    for (__m512i& sum : sums.of) sum = _mm512_sub_epi32(_mm512_setzero_si512(), sum);
    return sums;
}

// Sums of all limbs: they may wrap, and are right where the whole fits 32 bits.
template <std::size_t limbs>
[[gnu::always_inline]] inline void join(const __m512i (&sums)[limbs], std::int32_t* to) {
    __m512i whole = sums[limbs - 1];
    for (std::size_t limb = limbs - 1; limb-- > 0;)
        whole = _mm512_add_epi32(_mm512_slli_epi32(whole, 8), sums[limb]);
    _mm512_storeu_si512(to, whole);
}

// The same in doubles, which hold every integer up to 2^53.
template <std::size_t limbs>
[[gnu::always_inline]] inline void join(const __m512i (&sums)[limbs], double* to) {
    const __m512d next = _mm512_set1_pd(256.0);
    for (int half = 0; half < 2; ++half) {
        __m512d whole = _mm512_setzero_pd();
        for (std::size_t limb = limbs; limb-- > 0;) {
            const __m256i part = half ? _mm512_extracti64x4_epi64(sums[limb], 1) : _mm512_castsi512_si256(sums[limb]);
            whole = _mm512_add_pd(_mm512_mul_pd(whole, next), _mm512_cvtepi32_pd(part));
        }
        _mm512_storeu_pd(to + 8 * half, whole);
    }
}

// Rows of a job from `counts` on behind their first ones; their sums begin at `at`.
struct Rows {
    std::size_t counts, at;
};

// A function of its own: in one with others GCC runs out of registers and sums in memory.
template <std::size_t limbs, bool signs, std::size_t rows>
[[gnu::noinline]] void multiply_rows(const TileJob& job, const std::int8_t* weights, const Sums<limbs>& start, const Rows& place) {
    [[maybe_unused]] const __m512i sign = _mm512_set1_epi8(char(0x80));
    __m512i sums[rows][limbs];
#pragma GCC unroll 16
    for (std::size_t r = 0; r < rows; ++r)
#pragma GCC unroll 4
        for (std::size_t limb = 0; limb < limbs; ++limb) sums[r][limb] = start.of[limb];
    for (std::size_t i = 0; i < job.n; ++i) {
        const std::int8_t* counts = job.inputs[i].counts + place.counts;
        const std::int8_t* from = weights + limb_place(job.chunks, job.inputs[i].chunk, 0);
        for (std::size_t four = 0; four < job.inputs[i].used; four += 4, from += 64) {
            __m512i w[limbs];
#pragma GCC unroll 4
            for (std::size_t limb = 0; limb < limbs; ++limb)
                w[limb] = _mm512_loadu_si512(from + limb_place(job.chunks, 0, limb));
#pragma GCC unroll 16
            for (std::size_t r = 0; r < rows; ++r) {
                std::int32_t count;
                std::memcpy(&count, counts + r * job.stride + four, sizeof count);
                __m512i whole = _mm512_set1_epi32(count);
                if constexpr (signs) whole = _mm512_xor_si512(whole, sign);
#pragma GCC unroll 4
                for (std::size_t limb = 0; limb < limbs; ++limb)
                    sums[r][limb] = _mm512_dpbusd_epi32(sums[r][limb], whole, w[limb]);
            }
        }
    }
#pragma GCC unroll 16
    for (std::size_t r = 0; r < rows; ++r) {
        if (job.wide)
            join<limbs>(sums[r], job.wide + place.at + r * job.apart);
        else
            join<limbs>(sums[r], job.narrow + place.at + r * job.apart);
    }
}

// So many rows of sums fit the 32 registers beside weights and counts.
template <std::size_t limbs>
constexpr std::size_t kMostRows = limbs == 1 ? 16 : limbs == 2 ? 12 : limbs == 3 ? 8 : 6;

// As many rows at a time as registers hold, then fewer, down to one.
template <std::size_t limbs, bool signs, std::size_t rows = kMostRows<limbs>>
void multiply_all(const TileJob& job, const std::int8_t* weights, const Sums<limbs>& start, Rows place,
                  std::size_t left) {
    for (; left >= rows; left -= rows) {
        multiply_rows<limbs, signs, rows>(job, weights, start, place);
        place.counts += rows * job.stride, place.at += rows * job.apart;
    }
    if constexpr (rows > 1)
        if (left) multiply_all<limbs, signs, (rows > 4 ? 4 : rows / 2)>(job, weights, start, place, left);
}

template <std::size_t limbs, bool signs>
void multiply_blocks(const TileJob& job) {
    const std::int8_t* weights = job.weights;
    for (std::size_t block = 0; block < job.blocks; ++block, weights += kWeightLimbs * job.chunks * kTileBytes) {
        const Sums<limbs> start = signs ? offsets<limbs>(job, weights, block) : Sums<limbs>{};
        for (std::size_t time = 0; time < job.times; ++time) {
            const Rows place{time * job.further, time * job.pitch * job.apart + block * kTileLanes};
            multiply_all<limbs, signs>(job, weights, start, place, job.rows);
        }
    }
}

template <bool signs>
void run(const TileJob& job) {
    if (signs && job.positive) return run<false>(job);
    switch (job.limbs) {
        case 1: return multiply_blocks<1, signs>(job);
        case 2: return multiply_blocks<2, signs>(job);
        case 3: return multiply_blocks<3, signs>(job);
        default: return multiply_blocks<4, signs>(job);
    }
}

}  // namespace

extern const Multiply multiply;
const Multiply multiply{run<true>, 0.0, 22.0, run<false>};

}  // namespace spikewright::vnni
