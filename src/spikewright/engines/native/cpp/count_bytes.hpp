// Counts of spikes in bytes: packed from comparisons of vectors, and read as bits and as positions.
#pragma once

#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Eight bytes, 1 where a bit is set.
inline std::uint64_t spread(std::uint64_t bits) {
    bits = ((bits & 0xff) * 0x0101010101010101u) & 0x8040201008040201u;
    return ((bits + 0x7f7f7f7f7f7f7f7fu) >> 7) & 0x0101010101010101u;
}

// Counts of spikes of one step, in bytes, of a block of lanes.
template <std::size_t lanes>
struct Counts {
    static constexpr std::size_t width = lanes < kBytes ? lanes : kBytes, n = lanes / width;
    typedef std::uint8_t part __attribute__((vector_size(width)));
    part v[n];

    // GCC loses the vector of a dependent type as a template argument: no load<part>.
    [[gnu::always_inline]] void read(const std::int8_t* from) {
        each<n>(SPIKEWRIGHT_EACH(k) { std::memcpy(&v[k], from + width * k, width); });
    }
    [[gnu::always_inline]] void write(std::int8_t* to) const {
        each<n>(SPIKEWRIGHT_EACH(k) { std::memcpy(to + width * k, &v[k], width); });
    }
    // Without their signs.
    Counts sizes() const {
        std::int8_t bytes[lanes];
        write(bytes);
        for (std::int8_t& one : bytes) one = std::int8_t(one < 0 ? -one : one);
        Counts found;
        found.read(bytes);
        return found;
    }
};

// 1 in the lanes of `where(0)`, `where(1)` and so on: each is asked once, in order, and packed before many more are.
template <std::size_t lanes, class F>
[[gnu::always_inline]] inline Counts<lanes> counts_of(F&& where) {
    Counts<lanes> counts;
#if defined(__AVX2__) && !defined(__AVX512F__)
    // Of four lanes two lie in either half of a vector: so do those of all vectors, until the end.
    const __m256i order = _mm256_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15,  //
                                           0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
    each<Counts<lanes>::n>(SPIKEWRIGHT_EACH(part) {
        constexpr std::size_t pairs = Counts<lanes>::width / (2 * kDoubles);
        __m256i pair[pairs];
        each<pairs>(SPIKEWRIGHT_EACH(i) {
            constexpr std::size_t k = 2 * (part * pairs + i);
            const auto one = __m256(where(std::integral_constant<std::size_t, k>{}));
            const auto other = __m256(where(std::integral_constant<std::size_t, k + 1>{}));
            pair[i] = _mm256_castps_si256(_mm256_shuffle_ps(one, other, 0x88));
        });
        const __m256i low = _mm256_packs_epi32(pair[0], pair[1]);
        const __m256i high = _mm256_packs_epi32(pair[pairs - 2], pair[pairs - 1]);
        const __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
        const __m256i ones = _mm256_abs_epi8(_mm256_shuffle_epi8(bytes, order));
        std::memcpy(&counts.v[part], &ones, sizeof counts.v[part]);
    });
    return counts;
#elif defined(SPIKEWRIGHT_NEON)
    each<Counts<lanes>::n>(SPIKEWRIGHT_EACH(part) {
        static_assert(Counts<lanes>::width == 16);
        int8x16_t half[2];
        each<2>(SPIKEWRIGHT_EACH(i) {
            int16x8_t pair[2];
            each<2>(SPIKEWRIGHT_EACH(j) {
                constexpr std::size_t k = 8 * part + 4 * i + 2 * j;
                const auto one = int32x4_t(where(std::integral_constant<std::size_t, k>{}));
                const auto other = int32x4_t(where(std::integral_constant<std::size_t, k + 1>{}));
                pair[j] = int16x8_t(vuzp1q_s32(one, other));
            });
            half[i] = int8x16_t(vuzp1q_s16(pair[0], pair[1]));
        });
        const int8x16_t ones = vnegq_s8(vuzp1q_s8(half[0], half[1]));
        std::memcpy(&counts.v[part], &ones, sizeof ones);
    });
    return counts;
#else
    std::uint64_t bits = 0;
    each<lanes / kDoubles>(SPIKEWRIGHT_EACH(k) { bits |= std::uint64_t(bits_of(where(k))) << (k * kDoubles); });
#if defined(__AVX512BW__) && defined(__AVX512VL__)
    if constexpr (lanes == 64) {
        const __m512i one = _mm512_maskz_set1_epi8(bits, 1);
        std::memcpy(&counts.v[0], &one, 64);
        return counts;
    }
    if constexpr (lanes == 32) {
        const __m256i one = _mm256_maskz_set1_epi8(__mmask32(bits), 1);
        std::memcpy(&counts.v[0], &one, 32);
        return counts;
    }
    if constexpr (lanes == 16) {
        const __m128i one = _mm_maskz_set1_epi8(__mmask16(bits), 1);
        std::memcpy(&counts.v[0], &one, 16);
        return counts;
    }
#endif
    std::int8_t bytes[lanes];
    for (std::size_t i = 0; i < lanes; i += 8) {
        const std::uint64_t octet = spread(bits >> i);
        std::memcpy(bytes + i, &octet, 8);
    }
    counts.read(bytes);
    return counts;
#endif
}

// Bit i: from[i] > level, for 64 counts 0..127 and a level 0..126.
inline std::uint64_t above(const std::int8_t* from, std::int8_t level) {
#if defined(__AVX512BW__)
    return _mm512_cmpgt_epi8_mask(_mm512_loadu_si512(from), _mm512_set1_epi8(level));
#elif defined(__AVX2__)
    std::uint64_t bits = 0;
    for (int i = 0; i < 2; ++i) {
        const __m256i more = _mm256_cmpgt_epi8(load<__m256i>(from + 32 * i), _mm256_set1_epi8(level));
        bits |= std::uint64_t(std::uint32_t(_mm256_movemask_epi8(more))) << (32 * i);
    }
    return bits;
#elif defined(__SSE2__)
    std::uint64_t bits = 0;
    for (int i = 0; i < 4; ++i) {
        const __m128i more = _mm_cmpgt_epi8(load<__m128i>(from + 16 * i), _mm_set1_epi8(level));
        bits |= std::uint64_t(unsigned(_mm_movemask_epi8(more))) << (16 * i);
    }
    return bits;
#elif defined(SPIKEWRIGHT_NEON)
    const uint8x16_t bit = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201u));
    uint8x16_t more[4];
    for (int i = 0; i < 4; ++i) more[i] = vandq_u8(vcgtq_s8(vld1q_s8(from + 16 * i), vdupq_n_s8(level)), bit);
    const uint8x16_t sums = vpaddq_u8(vpaddq_u8(more[0], more[1]), vpaddq_u8(more[2], more[3]));
    return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)), 0);
#else
    std::uint64_t bits = 0;
    const std::uint64_t add = 0x0101010101010101u * std::uint64_t(127 - level);
    for (int i = 0; i < 8; ++i) {
        std::uint64_t eight;
        std::memcpy(&eight, from + 8 * i, 8);
        eight = ((eight + add) >> 7) & 0x0101010101010101u;
        bits |= ((eight * 0x0102040810204080u) >> 56) << (8 * i);
    }
    return bits;
#endif
}

// Lanes whose counts, 0..127, are above zero.
template <std::size_t lanes>
[[gnu::always_inline]] inline void find_positive(const Counts<lanes>& counts, Where (&where)[lanes / kDoubles]) {
#if defined(__AVX512F__)
    alignas(64) std::int8_t bytes[64] = {};
    counts.write(bytes);
    const std::uint64_t bits = above(bytes, 0);
    each<lanes / kDoubles>(SPIKEWRIGHT_EACH(k) { where[k] = std::uint32_t(bits >> (k * kDoubles)) & 0xff; });
#elif defined(__AVX2__)
    alignas(kBytes) std::int8_t bytes[lanes];
    counts.write(bytes);
    each<lanes / kDoubles>(SPIKEWRIGHT_EACH(k) {
        const __m128i four = _mm_cvtsi32_si128(load<int>(bytes + k * kDoubles));
        where[k] = Where(_mm256_cvtepi8_epi64(_mm_cmpgt_epi8(four, _mm_setzero_si128())));
    });
#elif defined(SPIKEWRIGHT_NEON)
    each<lanes / 8>(SPIKEWRIGHT_EACH(part) {
        int8x8_t eight;
        std::memcpy(&eight, reinterpret_cast<const char*>(counts.v) + 8 * part, 8);
        const int16x8_t wide = vmovl_s8(int8x8_t(vcgtz_s8(eight)));
        each<2>(SPIKEWRIGHT_EACH(i) {
            const int32x4_t four = vmovl_s16(i ? vget_high_s16(wide) : vget_low_s16(wide));
            where[4 * part + 2 * i] = Where(vmovl_s32(vget_low_s32(four)));
            where[4 * part + 2 * i + 1] = Where(vmovl_s32(vget_high_s32(four)));
        });
    });
#else
    alignas(kBytes) std::int8_t bytes[lanes];
    counts.write(bytes);
    each<lanes / kDoubles>(SPIKEWRIGHT_EACH(k) {
        where[k] = at_least(bytes_to_doubles(bytes + k * kDoubles), splat(1.0));
    });
#endif
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// Positions of the bits of a byte, for each.
struct BitsOfBytes {
    std::uint8_t at[256][8] = {};
    constexpr BitsOfBytes() {
        for (std::size_t byte = 0; byte < 256; ++byte)
            for (std::size_t i = 0, n = 0; i < 8; ++i)
                if (byte >> i & 1) at[byte][n++] = std::uint8_t(i);
    }
};
alignas(64) inline constexpr BitsOfBytes kBitsOfBytes;
#endif

// Write base + i for every set bit i, in order; returns how many. Bits lie in the first `sixteens`
// times 16; as many values are written, and some more.
inline std::size_t positions(std::uint64_t bits, std::size_t sixteens, std::uint32_t base,
                             std::uint32_t* to) {
#if defined(__AVX512F__)
    const __m512i sixteen = _mm512_set1_epi32(16);
    __m512i lane = _mm512_add_epi32(
        _mm512_set1_epi32(int(base)),
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    std::uint32_t* at = to;
    for (std::size_t i = 0; i < sixteens; ++i) {
        const __mmask16 part = __mmask16(bits >> (16 * i));
        _mm512_storeu_si512(at, _mm512_maskz_compress_epi32(part, lane));
        at += __builtin_popcount(part);
        lane = _mm512_add_epi32(lane, sixteen);
    }
    return std::size_t(at - to);
#else
    const std::size_t count = std::size_t(__builtin_popcountll(bits));
#if defined(__AVX2__)
    if (sixteens == 1 || count > 4 * sixteens) {  // byte by byte, whether it has bits or none
        std::uint32_t* at = to;
        for (std::size_t i = 0; i < 2 * sixteens; ++i, bits >>= 8, base += 8) {
            const auto* from = reinterpret_cast<const __m128i*>(kBitsOfBytes.at[bits & 0xff]);
            store(at, ints(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from))) + base);
            at += __builtin_popcountll(bits & 0xff);
        }
        return count;
    }
#endif
    (void)sixteens;
    for (std::size_t done = 0; done < count; done += 4)
        for (int i = 0; i < 4; ++i) {  // some too many rather than a branch for each
            to[done + i] = base + std::uint32_t(bits ? __builtin_ctzll(bits) : 0);
            bits &= bits - 1;
        }
    return count;
#endif
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
