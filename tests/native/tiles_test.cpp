// Products of tiles, for sanitizers: random jobs of each kind that this processor has against loops.
//
// scripts/sanitize.sh builds and runs it.

#include <cstdio>
#include <random>

#include "dispatch.hpp"

using namespace spikewright;

namespace {

std::mt19937 generator(1);

int draw(int least, int most) { return std::uniform_int_distribution<int>(least, most)(generator); }

// Random counts and limbs, 64 inputs by 64, of which the last has fewer; sums that a job writes, in doubles or
// in 32 bits, where they may wrap. `far`: counts are from 0 to 255. `positive`: none is below zero. `shifts`: what 128
// in the place of every count gives is known.
bool same(const Multiply& multiply, std::size_t limbs, bool wide, bool far, bool positive, bool known) {
    const std::size_t chunks = std::size_t(draw(1, 4)), blocks = std::size_t(draw(1, 3));
    const std::size_t rows = std::size_t(draw(1, 40)), times = std::size_t(draw(1, 2));
    const std::size_t stride = chunks * kTileInputs + std::size_t(draw(0, 3)), further = rows * stride;
    const std::size_t apart = blocks * kTileLanes, pitch = rows + 1, size = times * pitch * apart;
    const std::size_t used = 4 * std::size_t(draw(1, 16));  // of the last chunk
    std::vector<std::int8_t> counts(times * further + kTileInputs);
    for (auto& one : counts) one = std::int8_t(draw(positive ? 0 : -128, 127));
    std::vector<std::int8_t> weights(kWeightLimbs * blocks * chunks * kTileBytes);
    std::vector<std::int64_t> sums(size);
    std::vector<std::int32_t> shifts(blocks * kWeightLimbs * kTileLanes);
    std::vector<TileInput> inputs;
    for (std::size_t chunk = 0; chunk < chunks; ++chunk)
        inputs.push_back({counts.data() + chunk * kTileInputs, chunk, chunk + 1 < chunks ? kTileInputs : used});
    for (std::size_t block = 0; block < blocks; ++block)
        for (std::size_t limb = 0; limb < limbs; ++limb)
            for (const TileInput& in : inputs)
                for (std::size_t i = 0; i < in.used; ++i)
                    for (std::size_t lane = 0; lane < kTileLanes; ++lane) {
                        const std::size_t place = block * kWeightLimbs * chunks * kTileBytes + limb_place(chunks, in.chunk, limb);
                        std::int8_t& w = weights[place + i / 4 * kTileInputs + 4 * lane + i % 4];
                        w = std::int8_t(draw(limb + 1 < limbs ? -128 : -127, 127));  // the last is at most 127
                        shifts[(block * kWeightLimbs + limb) * kTileLanes + lane] += 128 * w;
                        for (std::size_t row = 0; row < times * rows; ++row)
                            sums[(row / rows * pitch + row % rows) * apart + block * kTileLanes + lane] +=
                                (std::int64_t(w) << (8 * limb)) *
                                (far ? std::uint8_t(in.counts[row * stride + i]) : in.counts[row * stride + i]);
                    }
    std::vector<std::int32_t> narrow(wide ? 0 : size);
    std::vector<double> doubles(wide ? size : 0);
    const auto run = far ? multiply.run_unsigned : multiply.run;
    run({inputs.data(), inputs.size(), stride, rows, weights.data(), chunks, limbs, blocks,
         narrow.data(), wide ? doubles.data() : nullptr, apart, times, further, pitch,
         known ? shifts.data() : nullptr, positive});
    for (std::size_t i = 0; i < size; ++i)
        if (wide ? doubles[i] != double(sums[i]) : narrow[i] != std::int32_t(sums[i])) return false;
    return true;
}

}  // namespace

int main() {
    int failures = 0, done = 0;
    for (const Kernels& kernels : usable_kernels())
        for (int i = 0; i < 160; ++i, ++done)
            if (!same(kernels.multiply, std::size_t(1 + i % 4), i / 4 % 2, i / 8 % 2, i / 16 % 2, i / 32 % 2)) {
                ++failures;
                std::printf("%s: case %d differs\n", kernels.name, i);
            }
    std::printf("%d passed, %d failed\n", done - failures, failures);
    return failures != 0;
}
