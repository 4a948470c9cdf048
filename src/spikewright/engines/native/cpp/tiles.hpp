// Dense products of counts and weights by tiles: what is multiplied, and in which form.
//
// A weight is up to four limbs, signed bytes: w = l0 + 256 l1 + 65536 l2 + ... Weights of few bits have
// fewer. A tile product adds up products of bytes in 32 bits, so that each limb's sums are exact, and so
// is their sum. Steps are rows of counts as they lie in a buffer; of weights a tile holds 64 inputs of one
// limb of 16 lanes, four inputs side by side, as the processors' instructions want them.
#pragma once

#include <mutex>

#include "plan.hpp"

namespace spikewright {

constexpr std::size_t kTileRows = 16, kTileInputs = 64, kTileLanes = 16, kTileBytes = 1024;
constexpr std::size_t kWeightLimbs = 4;
constexpr std::size_t kMostTiledInputs = std::size_t(1) << 16;  // 255 * 128 times that fits 32 bits

// Weights beyond that come from memory, not from a cache, whatever they are multiplied by.
constexpr std::size_t kMostTiledBytes = std::size_t(32) << 20;

// What listing the events of 64 inputs costs, and gathering one for a window, in times that it takes to add the
// weights of one to 16 lanes.
constexpr double kListCost = 60.0, kGatherCost = 1.0;

// The cost of products that never pay.
constexpr double kNeverPays = 1e300;

// So many events of an input cost as much as its events in all steps of a slab, which are added together.
constexpr double kMostEvents = 5.0;

// Where a limb of 64 inputs lies among the weights of 16 lanes: by pairs of limbs, by 64 inputs, limb by limb.
constexpr std::size_t limb_place(std::size_t chunks, std::size_t chunk, std::size_t limb) {
    return ((limb / 2 * chunks + chunk) * 2 + limb % 2) * kTileBytes;
}

// A layer's weights in tiles: by 16 lanes, by pairs of limbs, by 64 inputs. They are made when the
// first counts are found that they pay for.
class TiledWeights {
  public:
    // Inputs of a window in order of their rows; of a signed layer only what is above zero. Every
    // `line` inputs begin a chunk.
    TiledWeights(std::size_t inputs, std::size_t channels, std::size_t halves, std::size_t lanes,
                 std::size_t line)
        : inputs_(inputs), channels_(channels), halves_(halves), lanes_(lanes), line_(line) {}

    static std::size_t bytes(std::size_t inputs, std::size_t lanes) {
        return rounded_up(inputs, kTileInputs) * lanes * kWeightLimbs;
    }

    std::size_t bytes() const { return bytes(chunks() * kTileInputs, lanes_); }
    std::size_t limbs() const { return limbs_in_use_; }
    std::size_t inputs() const { return inputs_; }
    std::size_t channels() const { return channels_; }
    std::size_t lines() const { return inputs_ / line_; }
    std::size_t chunks() const { return lines() * ((line_ + kTileInputs - 1) / kTileInputs); }
    std::int64_t halves() const { return std::int64_t(halves_); }

    // Bytes of 16 lanes from one on.
    const std::int8_t* of(std::size_t lane) const {
        return limbs_.data() + lane / kTileLanes * kWeightLimbs * chunks() * kTileBytes;
    }

    // 128 times the sum over all inputs, of 16 lanes from one on, limb by limb.
    const std::int32_t* shifts(std::size_t lane) const { return shifts_.data() + lane * kWeightLimbs; }

    void expect(std::int64_t largest);  // the largest magnitude of the weights, which tells their limbs
    void make(const Layer& l);          // once, whoever asks

  private:
    // Sixteen lanes of rows of `width` weights.
    void pack(const std::int32_t* rows, std::size_t width, std::size_t lane);

    std::size_t inputs_, channels_, halves_, lanes_, line_, limbs_in_use_ = 1;
    Array<std::int8_t> limbs_;
    Array<std::int32_t> shifts_;
    std::once_flag made_;
};

// 64 counts in each step, and the number of their weights among the chunks. Weights behind those in use are zero.
struct TileInput {
    const std::int8_t* counts;
    std::size_t chunk, used = kTileInputs;
};

// Sums of `blocks` times 16 lanes, for `rows` of counts that are `stride` apart: steps of one pixel. The
// same again, `times` in all, with counts `further` and their sums `pitch` rows on. Rows of sums are
// `apart`, in doubles where `wide` is given. `shifts` are those of the weights (`TiledWeights`) where inputs are
// all that there are; `positive` says that no count is below zero.
struct TileJob {
    const TileInput* inputs;
    std::size_t n, stride, rows;
    const std::int8_t* weights;
    std::size_t chunks, limbs, blocks;
    std::int32_t* narrow;
    double* wide;
    std::size_t apart = 64, times = 1, further = 0, pitch = 0;
    const std::int32_t* shifts = nullptr;
    bool positive = false;
};

using Multiplier = void (*)(const TileJob&);

// What multiplies, and what that costs, in times that it takes to add the weights of an event to 16 lanes: a
// product of 64 inputs and 16 lanes in four limbs, and each row of it. `run_unsigned` is the same with counts from 0
// to 255. Weights of more limbs than `most` are never worth it.
struct Multiply {
    Multiplier run = nullptr;
    double product = 0.0, row = 0.0;
    Multiplier run_unsigned = nullptr;
    std::size_t most = kWeightLimbs;

    double cost(double products, double rows, std::size_t limbs = kWeightLimbs) const {
        if (limbs > most) return kNeverPays;
        return (product * products + row * rows) * double(limbs) / double(kWeightLimbs);
    }
};

}  // namespace spikewright
