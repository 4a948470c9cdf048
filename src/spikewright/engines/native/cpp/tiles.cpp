// Tile products for one kind of tiles. CMake compiles this file once for each, with SPIKEWRIGHT_TILES
// as the name of its namespace: `amx` are the processor's, `dotprod` do the same by arm64's products of four
// bytes, `plain` in plain C++.

#include <type_traits>

#include "tiles.hpp"

#if defined(__AMX_INT8__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

namespace spikewright::SPIKEWRIGHT_TILES {
namespace {

// Numbers of tiles: sums of two limbs of up to 16 steps, and of as many further steps; counts of both;
// weights of the two limbs.
constexpr int kSums = 0, kCounts = 4, kWeights = 6;

#if defined(__AMX_INT8__)

// The tiles of a thread.
class Tiles {
  public:
    Tiles() = default;
    Tiles(const Tiles&) = delete;
    ~Tiles() { _tile_release(); }

    // Steps in the first and in the second tile of counts; all sums become zero.
    void start(std::size_t first, std::size_t second) {
        if (first == first_ && second == second_) return clear();
        first_ = first, second_ = second;
        alignas(64) Form form{};
        for (int i = 0; i < 8; ++i) form.columns[i] = 64;
        for (int i : {kSums, kSums + 1, kCounts}) form.rows[i] = std::uint8_t(first);
        for (int i : {kSums + 2, kSums + 3, kCounts + 1}) form.rows[i] = std::uint8_t(second ? second : 1);
        for (int i : {kWeights, kWeights + 1}) form.rows[i] = std::uint8_t(kTileRows);
        _tile_loadconfig(&form);
    }

    // Compilers' own functions take the number of a tile as text, which no template argument is.
    template <int tile>
    [[gnu::always_inline]] void load(const void* from, std::size_t stride) {
        asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(stride), "i"(tile) : "memory");
    }
    template <class Count, int sum, int counts, int weights>
    [[gnu::always_inline]] void add() {
        if constexpr (std::is_signed_v<Count>)
            asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(counts), "i"(weights));
        else
            asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(counts), "i"(weights));
    }
    template <int sum>
    [[gnu::always_inline]] void store(std::int32_t (*to)[kTileLanes]) const {
        asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(sizeof *to), "i"(sum) : "memory");
    }

  private:
    struct Form {
        std::uint8_t palette = 1, start = 0, reserved[14] = {};
        std::uint16_t columns[16] = {};
        std::uint8_t rows[16] = {};
    };

    static void clear() {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }

    std::size_t first_ = 0, second_ = 0;
};

#else

// The same where tiles are no more than places in memory.
class Tiles {
  public:
    void start(std::size_t first, std::size_t second) {
        rows_[0] = first, rows_[1] = second;
        std::memset(sums_, 0, sizeof sums_);
    }

    template <int tile>
    void load(const void* from, std::size_t stride) {
        tiles_[tile - kCounts] = {static_cast<const std::int8_t*>(from), stride};
    }

    template <class Count, int sum, int counts, int weights>
    void add() {
        const Tile by = tiles_[counts - kCounts];
        const std::int8_t* of = tiles_[weights - kCounts].from;
        std::size_t r = 0;
#if defined(__ARM_FEATURE_DOTPROD)
        for (; r + 4 <= rows_[counts - kCounts]; r += 4) add_rows<Count, 4>(by.row(r), by.stride, of, sums_[sum] + r);
        for (; r < rows_[counts - kCounts]; ++r) add_rows<Count, 1>(by.row(r), by.stride, of, sums_[sum] + r);
#else
        for (; r < rows_[counts - kCounts]; ++r)
            for (std::size_t i = 0; i < kTileInputs; ++i) {
                const std::int32_t count = Count(by.row(r)[i]);
                const std::int8_t* row = of + i / 4 * kTileInputs;
                for (std::size_t n = 0; n < kTileLanes; ++n) sums_[sum][r][n] += count * row[4 * n + i % 4];
            }
#endif
    }

    template <int sum>
    void store(std::int32_t (*to)[kTileLanes]) const {
        std::memcpy(to, sums_[sum], sizeof sums_[sum]);
    }

  private:
    struct Tile {
        const std::int8_t* from;
        std::size_t stride;
        const std::int8_t* row(std::size_t r) const { return from + r * stride; }
    };

#if defined(__ARM_FEATURE_DOTPROD)
    // A row's sums are four vectors of four lanes. Both factors must be signed: unsigned counts become so by taking
    // away 128, and what that lacks is added, as two products with 64.
    template <class Count, std::size_t rows>
    static void add_rows(const std::int8_t* counts, std::size_t stride, const std::int8_t* weights,
                         std::int32_t (*to)[kTileLanes]) {
        constexpr bool far = std::is_unsigned_v<Count>;
        const int8x16_t sign = vdupq_n_s8(far ? -128 : 0), half = vdupq_n_s8(64);
        int32x4_t sums[rows][4], lacking[4] = {};
        for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t q = 0; q < 4; ++q) sums[r][q] = vld1q_s32(to[r] + 4 * q);
        for (std::size_t four = 0; four < kTileInputs; four += 4, weights += kTileInputs) {
            int8x16_t w[4];
            for (std::size_t q = 0; q < 4; ++q) {
                w[q] = vld1q_s8(weights + 16 * q);
                if constexpr (far) lacking[q] = vdotq_s32(vdotq_s32(lacking[q], w[q], half), w[q], half);
            }
            for (std::size_t r = 0; r < rows; ++r) {
                std::int32_t same;
                std::memcpy(&same, counts + r * stride + four, sizeof same);
                const int8x16_t count = veorq_s8(vreinterpretq_s8_s32(vdupq_n_s32(same)), sign);
                for (std::size_t q = 0; q < 4; ++q) sums[r][q] = vdotq_s32(sums[r][q], w[q], count);
            }
        }
        for (std::size_t r = 0; r < rows; ++r)
            for (std::size_t q = 0; q < 4; ++q) vst1q_s32(to[r] + 4 * q, vaddq_s32(sums[r][q], lacking[q]));
    }
#endif

    std::size_t rows_[2] = {};
    std::int32_t sums_[4][kTileRows][kTileLanes];
    Tile tiles_[4] = {};
};

#endif

// Sums of two limbs, row by row.
struct Pair {
    std::int32_t low[2 * kTileRows][kTileLanes], high[2 * kTileRows][kTileLanes];
};

// Up to 32 rows of a job and 16 lanes of it: where their counts begin behind the first ones, and their
// sums.
struct Piece {
    std::size_t counts = 0, rows = 0, sums = 0;
};

// Adds up products of two limbs and counts, bytes with a sign or without.
template <class Count>
void add_pair(Tiles& tiles, const TileJob& job, const Piece& piece, const std::int8_t* weights, Pair& to) {
    const bool two = piece.rows > kTileRows;
    tiles.start(two ? kTileRows : piece.rows, two ? piece.rows - kTileRows : 0);
    for (std::size_t i = 0; i < job.n; ++i) {
        const std::int8_t* counts = job.inputs[i].counts + piece.counts;
        const std::int8_t* limbs = weights + job.inputs[i].chunk * 2 * kTileBytes;
        tiles.load<kCounts>(counts, job.stride);
        tiles.load<kWeights>(limbs, kTileInputs);
        tiles.add<Count, 0, kCounts, kWeights>();
        tiles.load<kWeights + 1>(limbs + kTileBytes, kTileInputs);
        tiles.add<Count, 1, kCounts, kWeights + 1>();
        if (!two) continue;
        tiles.load<kCounts + 1>(counts + kTileRows * job.stride, job.stride);
        tiles.add<Count, 2, kCounts + 1, kWeights>();
        tiles.add<Count, 3, kCounts + 1, kWeights + 1>();
    }
    tiles.store<0>(to.low);
    tiles.store<1>(to.high);
    if (!two) return;
    tiles.store<2>(to.low + kTileRows);
    tiles.store<3>(to.high + kTileRows);
}

// Sums of all limbs: they may wrap, and are right where the whole fits 32 bits.
void join(const Pair& low, const Pair& high, std::size_t rows, std::int32_t* to, std::size_t apart) {
    for (std::size_t t = 0; t < rows; ++t, to += apart)
        for (std::size_t n = 0; n < kTileLanes; ++n)
            to[n] = std::int32_t(std::uint32_t(low.low[t][n]) + (std::uint32_t(low.high[t][n]) << 8) +
                                 (std::uint32_t(high.low[t][n]) << 16) +
                                 (std::uint32_t(high.high[t][n]) << 24));
}

// The same in doubles, which hold every integer up to 2^53.
void join(const Pair& low, const Pair& high, std::size_t rows, double* to, std::size_t apart) {
    for (std::size_t t = 0; t < rows; ++t, to += apart)
        for (std::size_t n = 0; n < kTileLanes; ++n)
            to[n] = double(low.low[t][n]) + double(low.high[t][n]) * 0x1p8 +
                    double(high.low[t][n]) * 0x1p16 + double(high.high[t][n]) * 0x1p24;
}

// f(piece, weights) for each piece of a job; weights stay in cache for all pieces of a block.
template <class F>
void each_piece(const TileJob& job, F&& f) {
    const std::int8_t* weights = job.weights;
    for (std::size_t block = 0; block < job.blocks; ++block, weights += kWeightLimbs * job.chunks * kTileBytes)
        for (std::size_t time = 0; time < job.times; ++time)
            for (std::size_t row = 0; row < job.rows; row += 2 * kTileRows) {
                const std::size_t left = job.rows - row, rows = left < 2 * kTileRows ? left : 2 * kTileRows;
                f(Piece{time * job.further + row * job.stride, rows,
                        (time * job.pitch + row) * job.apart + block * kTileLanes},
                  weights);
            }
}

// Limbs of a piece are joined while the tiles of the next one are at work.
template <class Count>
void run(const TileJob& job) {
    Tiles tiles;
    alignas(kLine) Pair low[2], high[2];
    const bool pairs = job.limbs > 2;
    if (!pairs) std::memset(high, 0, sizeof high);
    Piece before;
    std::size_t turn = 0;
    const auto finish = [&] {
        if (job.wide)
            join(low[1 - turn], high[1 - turn], before.rows, job.wide + before.sums, job.apart);
        else
            join(low[1 - turn], high[1 - turn], before.rows, job.narrow + before.sums, job.apart);
    };
    each_piece(job, [&](const Piece& piece, const std::int8_t* weights) {
        add_pair<Count>(tiles, job, piece, weights, low[turn]);
        finish();
        if (pairs) add_pair<Count>(tiles, job, piece, weights + 2 * job.chunks * kTileBytes, high[turn]);
        before = piece, turn = 1 - turn;
    });
    finish();
}

}  // namespace

extern const Multiply multiply;
#if defined(__ARM_FEATURE_DOTPROD)
// Not measured: for each addition of a list as many instructions as VNNI has.
const Multiply multiply{run<std::int8_t>, 0.0, 22.0, run<std::uint8_t>};
#else
const Multiply multiply{run<std::int8_t>, 15.0, 2.0, run<std::uint8_t>};  // measured on processors with AMX
#endif

}  // namespace spikewright::SPIKEWRIGHT_TILES
