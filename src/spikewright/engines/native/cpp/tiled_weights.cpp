#include <stdexcept>

#include "plan.hpp"
#include "tiles.hpp"

namespace spikewright {

void TiledWeights::expect(std::int64_t largest) {
    limbs_in_use_ = 1;
    for (std::int64_t held = 127; held < largest; held = 256 * held + 127) ++limbs_in_use_;
    if (limbs_in_use_ > kWeightLimbs) throw std::invalid_argument("a weight has more than four limbs");
}

void TiledWeights::make(const Layer& l) {
    std::call_once(made_, [&] {
        limbs_.resize(bytes());
        shifts_.resize(lanes_ * kWeightLimbs);
        for (const Lanes& block : l.lanes)
            for (std::size_t lane = 0; lane < block.width; lane += kTileLanes)
                pack(l.weights.data() + block.offset + lane, block.width, block.channel + lane);
    });
}

void TiledWeights::pack(const std::int32_t* rows, std::size_t width, std::size_t lane) {
    auto* to = const_cast<std::int8_t*>(of(lane));
    auto* shifts = const_cast<std::int32_t*>(this->shifts(lane));
    for (std::size_t i = 0; i < inputs_; ++i) {
        const std::size_t row = i / channels_ * channels_ * halves_ + i % channels_;
        const std::size_t at = i / line_ * rounded_up(line_, kTileInputs) + i % line_;
        const std::size_t chunk = at / kTileInputs, in = at % kTileInputs;
        for (std::size_t n = 0; n < kTileLanes; ++n) {
            std::int64_t rest = rows[row * width + n];
            const std::size_t place = in / 4 * kTileInputs + 4 * n + in % 4;
            for (std::size_t limb = 0; rest != 0; ++limb) {
                const auto digit = std::int8_t(rest);
                to[limb_place(chunks(), chunk, limb) + place] = digit;
                shifts[limb * kTileLanes + n] += 128 * digit;
                rest = (rest - digit) / 256;
            }
        }
    }
}

}  // namespace spikewright
