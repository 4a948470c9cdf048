// Vectors of the instruction set that this file is compiled for, and the few operations on them
// that the compiler's own vectors lack.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif
#if defined(SPIKEWRIGHT_NEON)  // of arm64; without it its kernels are the compiler's own vectors alone
#include <arm_neon.h>
#endif

#ifndef SPIKEWRIGHT_ISA
#error "kernels are compiled once per instruction set: define SPIKEWRIGHT_ISA"
#endif

namespace spikewright::SPIKEWRIGHT_ISA {

#if defined(__AVX512F__)
constexpr std::size_t kBytes = 64;
#elif defined(__AVX2__)
constexpr std::size_t kBytes = 32;
#else
constexpr std::size_t kBytes = 16;
#endif

constexpr std::size_t kInts = kBytes / 4, kDoubles = kBytes / 8;

typedef std::uint32_t ints __attribute__((vector_size(kBytes)));  // unsigned: sums may wrap
typedef std::int32_t half_ints __attribute__((vector_size(kBytes / 2)));
typedef double doubles __attribute__((vector_size(kBytes)));
typedef std::int64_t longs __attribute__((vector_size(kBytes)));
typedef std::uint64_t patterns __attribute__((vector_size(kBytes)));  // bits of doubles; sums may wrap
typedef std::uint8_t octets __attribute__((vector_size(kBytes)));

template <class V, class T>
inline V load(const T* from) {
    V v;
    std::memcpy(&v, from, sizeof v);
    return v;
}

template <class V, class T>
inline void store(T* to, V v) {
    std::memcpy(to, &v, sizeof v);
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// All bits of the first n lanes.
inline __m256i first_lanes(std::size_t n) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(std::int64_t(n)), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif

// Up to a vector of values, zeros behind the last one; nothing behind it is read.
inline doubles load_some(const double* from, std::size_t n) {
    if (n >= kDoubles) return load<doubles>(from);
#if defined(__AVX512F__)
    return doubles(_mm512_maskz_loadu_pd(__mmask8((1u << n) - 1), from));
#elif defined(__AVX2__)
    return doubles(_mm256_maskload_pd(from, first_lanes(n)));
#else
    double part[kDoubles] = {};
    std::memcpy(part, from, n * sizeof(double));
    return load<doubles>(part);
#endif
}

// Up to a vector of values; nothing behind the last one is written.
inline void store_some(double* to, std::size_t n, doubles v) {
    if (n >= kDoubles) return store(to, v);
#if defined(__AVX512F__)
    _mm512_mask_storeu_pd(to, __mmask8((1u << n) - 1), __m512d(v));
#elif defined(__AVX2__)
    _mm256_maskstore_pd(to, first_lanes(n), __m256d(v));
#else
    double part[kDoubles];
    store(part, v);
    std::memcpy(to, part, n * sizeof(double));
#endif
}

// Values at these places.
inline doubles gathered(const double* from, const std::uint32_t* places) {
    doubles v;
    for (std::size_t i = 0; i < kDoubles; ++i) v[i] = from[places[i]];
    return v;
}

// The sum of the first n values, or of all.
inline double sum_of(doubles v, std::size_t n) {
    double sum = 0.0;
    for (std::size_t i = 0; i < kDoubles && i < n; ++i) sum += v[i];
    return sum;
}

// The largest magnitude of counts.
inline std::uint8_t largest(const std::int8_t* from, std::size_t size) {
    octets most{};
    std::size_t i = 0;
    for (; i + kBytes <= size; i += kBytes) {
        const octets v = load<octets>(from + i), negated = octets{} - v;
        const octets magnitude = v < negated ? v : negated;
        most = magnitude > most ? magnitude : most;
    }
    std::uint8_t result = 0;
    for (std::size_t k = 0; k < kBytes; ++k) result = most[k] > result ? most[k] : result;
    for (; i < size; ++i) {
        const auto magnitude = std::uint8_t(from[i] < 0 ? -from[i] : from[i]);
        result = magnitude > result ? magnitude : result;
    }
    return result;
}

inline doubles to_doubles(half_ints x) {
#if defined(__AVX512F__)
    return doubles(_mm512_cvtepi32_pd(__m256i(x)));
#elif defined(__AVX2__)
    return doubles(_mm256_cvtepi32_pd(__m128i(x)));
#else
    return __builtin_convertvector(x, doubles);
#endif
}

// As many bytes as there are doubles in a vector.
inline doubles bytes_to_doubles(const std::int8_t* from) {
#if defined(__AVX512F__)
    return to_doubles(half_ints(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)))));
#elif defined(__AVX2__)
    return to_doubles(half_ints(_mm_cvtepi8_epi32(_mm_cvtsi32_si128(load<int>(from)))));
#elif defined(SPIKEWRIGHT_NEON)
    const int16x8_t pairs = vmovl_s8(vreinterpret_s8_s16(vdup_n_s16(load<std::int16_t>(from))));
    return to_doubles(half_ints(vget_low_s32(vmovl_s16(vget_low_s16(pairs)))));
#else
    typedef std::int8_t few __attribute__((vector_size(kDoubles)));
    return to_doubles(__builtin_convertvector(load<few>(from), half_ints));
#endif
}

// Towards zero; what does not fit becomes some other large number.
inline half_ints to_ints(doubles x) {
#if defined(__AVX512F__)
    return half_ints(_mm512_cvttpd_epi32(__m512d(x)));
#elif defined(__AVX2__)
    return half_ints(_mm256_cvttpd_epi32(__m256d(x)));
#elif defined(__SSE2__)
    return __builtin_convertvector(x, half_ints);
#elif defined(SPIKEWRIGHT_NEON)
    return half_ints(vqmovn_s64(vcvtq_s64_f64(float64x2_t(x))));
#else
    const doubles least = double(INT32_MIN) - doubles{}, most = double(INT32_MAX) - doubles{};
    return __builtin_convertvector(x < least ? least : x > most ? most : x, half_ints);
#endif
}

// f(0), f(1), ... f(n - 1) as straight code with constant arguments: arrays of vectors that are
// indexed so live in registers, those that a loop indexes do not (GCC splits arrays before it unrolls).
template <std::size_t n, class F>
[[gnu::always_inline]] inline void each(F&& f) {
    [&]<std::size_t... k>(std::index_sequence<k...>) __attribute__((always_inline)) {
        (f(std::integral_constant<std::size_t, k>{}), ...);
    }(std::make_index_sequence<n>{});
}

#define SPIKEWRIGHT_EACH(k) [&](auto k) __attribute__((always_inline))

// As many bytes as there are doubles in a vector: the lowest of each number.
inline void store_bytes(std::int8_t* to, half_ints x) {
#if defined(__AVX512VL__)
    _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm256_cvtepi32_epi8(__m256i(x)));
#elif defined(__AVX2__)
    const __m128i lowest = _mm_shuffle_epi8(__m128i(x), _mm_set1_epi32(0x0c080400));
    const int bytes = _mm_cvtsi128_si32(lowest);
    std::memcpy(to, &bytes, sizeof bytes);
#else
    for (std::size_t i = 0; i < kDoubles; ++i) to[i] = std::int8_t(x[i]);
#endif
}

inline doubles splat(double x) { return x - doubles{}; }

inline doubles magnitude_of(doubles x) { return doubles(longs(x) & INT64_MAX); }

// The larger and the smaller; `b` where one is NaN, and of two zeros.
inline doubles larger_of(doubles a, doubles b) {
#if defined(__AVX512F__)
    return doubles(_mm512_max_pd(__m512d(a), __m512d(b)));
#elif defined(__AVX2__)
    return doubles(_mm256_max_pd(__m256d(a), __m256d(b)));
#else
    return a > b ? a : b;
#endif
}
inline doubles smaller_of(doubles a, doubles b) {
#if defined(__AVX512F__)
    return doubles(_mm512_min_pd(__m512d(a), __m512d(b)));
#elif defined(__AVX2__)
    return doubles(_mm256_min_pd(__m256d(a), __m256d(b)));
#else
    return a < b ? a : b;
#endif
}

// The same of numbers, so that an equation may be one of either.
template <class Real>
    requires std::is_floating_point_v<Real>
inline Real larger_of(Real a, Real b) {
    return a > b ? a : b;
}
template <class Real>
    requires std::is_floating_point_v<Real>
inline Real smaller_of(Real a, Real b) {
    return a < b ? a : b;
}

// sum + x * y where it does not matter how often that is rounded.
inline doubles about(doubles sum, doubles x, doubles y) {
#if defined(__AVX512F__)
    return doubles(_mm512_fmadd_pd(__m512d(x), __m512d(y), __m512d(sum)));
#elif defined(__FMA__)
    return doubles(_mm256_fmadd_pd(__m256d(x), __m256d(y), __m256d(sum)));
#elif defined(SPIKEWRIGHT_NEON)
    return doubles(vfmaq_f64(float64x2_t(sum), float64x2_t(x), float64x2_t(y)));
#else
    return sum + x * y;
#endif
}

// The same where the result is exact, so that it is no other however often it is rounded.
inline doubles add_exact_product(doubles sum, doubles x, doubles y) { return about(sum, x, y); }

inline doubles floor_of(doubles x) {
#if defined(__AVX512F__)
    return doubles(_mm512_roundscale_pd(__m512d(x), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
#elif defined(__AVX2__)
    return doubles(_mm256_floor_pd(__m256d(x)));
#elif defined(SPIKEWRIGHT_NEON)
    return doubles(vrndmq_f64(float64x2_t(x)));
#else
    for (std::size_t i = 0; i < kDoubles; ++i) x[i] = std::floor(x[i]);
    return x;
#endif
}

template <class Real>
    requires std::is_floating_point_v<Real>
inline Real floor_of(Real x) {
    return std::floor(x);
}

// A number, or a vector of it.
template <class Real>
inline Real same(double x) {
    if constexpr (std::is_floating_point_v<Real>)
        return Real(x);
    else
        return splat(x);
}

// The cost of adding a weight to some of sixteen sums at once, in weights that are added one by one.
// Only AVX-512 adds under a mask.
#if defined(__AVX512F__)
constexpr unsigned kMaskedCost = 8;
#else
constexpr unsigned kMaskedCost = 16;
#endif

// Sixteen sums, and the same number added to those whose bit is set.
struct Sixteen {
    static constexpr std::size_t n = 16 / kInts;
    ints v[n];

    [[gnu::always_inline]] void add_where(std::uint32_t bits, std::int32_t value) {
        const ints same = std::uint32_t(value) - ints{};
#if defined(__AVX512F__)
        v[0] = ints(_mm512_mask_add_epi32(__m512i(v[0]), __mmask16(bits), __m512i(v[0]), __m512i(same)));
#else
        each<n>(SPIKEWRIGHT_EACH(k) {
            ints bit;
            for (std::size_t i = 0; i < kInts; ++i) bit[i] = 1u << (k * kInts + i);
            v[k] += ints((bit & bits) != 0) & same;
        });
#endif
    }
};

// to[t * stride + k] = from[k][t], for 16 times 16 values.
inline void transpose(const std::int32_t (*from)[16], std::int32_t* to, std::size_t stride) {
#if defined(__AVX512F__)
    __m512i a[16], b[16];
    each<16>(SPIKEWRIGHT_EACH(k) { a[k] = _mm512_loadu_si512(from[k]); });
    each<8>(SPIKEWRIGHT_EACH(k) {
        b[2 * k] = _mm512_unpacklo_epi32(a[2 * k], a[2 * k + 1]);
        b[2 * k + 1] = _mm512_unpackhi_epi32(a[2 * k], a[2 * k + 1]);
    });
    each<4>(SPIKEWRIGHT_EACH(k) {
        each<2>(SPIKEWRIGHT_EACH(i) {
            a[4 * k + 2 * i] = _mm512_unpacklo_epi64(b[4 * k + i], b[4 * k + 2 + i]);
            a[4 * k + 2 * i + 1] = _mm512_unpackhi_epi64(b[4 * k + i], b[4 * k + 2 + i]);
        });
    });  // a[4 k + j], lane i of four: rows 4 k to 4 k + 3 of column 4 i + j
    each<4>(SPIKEWRIGHT_EACH(j) {
        each<2>(SPIKEWRIGHT_EACH(k) {
            b[4 * j + k] = _mm512_shuffle_i32x4(a[8 * k + j], a[8 * k + 4 + j], 0x88);
            b[4 * j + 2 + k] = _mm512_shuffle_i32x4(a[8 * k + j], a[8 * k + 4 + j], 0xdd);
        });
        each<2>(SPIKEWRIGHT_EACH(i) {  // columns j and 8 + j, then 4 + j and 12 + j
            const __m512i low = b[4 * j + 2 * i], high = b[4 * j + 2 * i + 1];
            const std::size_t column = 4 * i + j;
            _mm512_storeu_si512(to + column * stride, _mm512_shuffle_i32x4(low, high, 0x88));
            _mm512_storeu_si512(to + (column + 8) * stride, _mm512_shuffle_i32x4(low, high, 0xdd));
        });
    });
#else
    for (std::size_t k = 0; k < 16; ++k)
        for (std::size_t t = 0; t < 16; ++t) to[t * stride + k] = from[k][t];
#endif
}

// Some lanes of a vector: their bits where the processor compares into bits, else all bits of a lane or none.
#if defined(__AVX512F__)
typedef std::uint32_t Where;
#else
typedef longs Where;
#endif

// Lanes of which a[i] >= b[i].
inline Where at_least(doubles a, doubles b) {
#if defined(__AVX512F__)
    return _mm512_cmp_pd_mask(__m512d(a), __m512d(b), _CMP_GE_OQ);
#else
    return a >= b;
#endif
}

// Bit i: lane i is among them.
inline std::uint32_t bits_of(Where where) {
#if defined(__AVX512F__)
    return where & 0xff;
#elif defined(__AVX2__)
    return std::uint32_t(_mm256_movemask_pd(__m256d(where)));
#elif defined(__SSE2__)
    return std::uint32_t(_mm_movemask_pd(__m128d(where)));
#elif defined(SPIKEWRIGHT_NEON)
    return std::uint32_t((where[0] & 1) | (where[1] & 2));
#else
    std::uint32_t bits = 0;
    for (std::size_t i = 0; i < kDoubles; ++i) bits |= std::uint32_t(where[i] != 0) << i;
    return bits;
#endif
}

// The lanes whose bits are set.
inline Where lanes_of(std::uint32_t bits) {
#if defined(__AVX512F__)
    return bits;
#else
    longs bit;
    for (std::size_t i = 0; i < kDoubles; ++i) bit[i] = std::int64_t(1) << i;
    return (bit & (std::int64_t(bits) - longs{})) != 0;
#endif
}

inline bool all_of(Where where) { return bits_of(where) == (1u << kDoubles) - 1; }

// b in the lanes of `where`, else a.
inline doubles chosen(doubles a, doubles b, Where where) {
#if defined(__AVX512F__)
    return doubles(_mm512_mask_blend_pd(__mmask8(where), __m512d(a), __m512d(b)));
#else
    return doubles((longs(a) & ~where) | (longs(b) & where));
#endif
}

// a - b in the lanes of `where`, else a.
inline doubles minus_where(doubles a, doubles b, Where where) {
#if defined(__AVX512F__)
    return doubles(_mm512_mask_sub_pd(__m512d(a), __mmask8(where), __m512d(a), __m512d(b)));
#elif defined(__AVX2__)
    return a - doubles(_mm256_and_pd(__m256d(where), __m256d(b)));
#else
    return a - doubles(where & longs(b));
#endif
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
