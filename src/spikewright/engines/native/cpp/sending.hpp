// Sums over sparse weights: each spike adds its sender's list. Sums are whole numbers, so that their
// order does not matter; those that may leave 32 bits are carried on in doubles, which hold them all.
#pragma once

#include "context.hpp"
#include "senders.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// One member's room: the senders that spike in each step of each sample, and a block's sums.
struct Sending {
    std::vector<std::uint32_t> spiking;
    std::vector<std::size_t> ends;
    Array<std::int32_t> sums;
    Array<double> carried;
};

// Positions of what is not zero.
inline void list_spiking(const std::int8_t* counts, std::size_t n, std::vector<std::uint32_t>& to) {
    for (std::size_t at = 0; at < n; at += 64) {
        std::uint64_t eight[8] = {}, any = 0;
        std::memcpy(eight, counts + at, n - at < 64 ? n - at : 64);
        for (std::uint64_t one : eight) any |= one;
        if (!any) continue;
        for (std::size_t i = at; i < n && i < at + 64; ++i)
            if (counts[i]) to.push_back(std::uint32_t(i));
    }
}

// sums[receiver] += number, entry by entry.
template <class Sum>
inline void add_alike(const std::uint16_t* receivers, std::size_t n, Sum number, Sum* sums) {
    std::size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        std::uint64_t four;
        std::memcpy(&four, receivers + i, sizeof four);
        sums[four & 0xffff] += number;
        sums[four >> 16 & 0xffff] += number;
        sums[four >> 32 & 0xffff] += number;
        sums[four >> 48] += number;
    }
    for (; i < n; ++i) sums[receivers[i]] += number;
}

// sums[receiver] += count * its number.
template <class T, class Sum>
inline void add_weighted(const std::uint16_t* receivers, const T* numbers, std::size_t n, Sum count,
                         Sum* sums) {
    if (count == Sum(1))
        for (std::size_t i = 0; i < n; ++i) sums[receivers[i]] += Sum(numbers[i]);
    else
        for (std::size_t i = 0; i < n; ++i) sums[receivers[i]] += count * Sum(numbers[i]);
}

template <class Sum>
inline void add_sender(const Senders& m, const SenderBlock& block, std::uint32_t sender, Sum count,
                       Sum* sums) {
    const std::size_t start = block.starts[sender], n = block.starts[sender + 1] - start;
    const std::uint16_t* receivers = block.receivers.data() + start;
    const auto weighted = [&]<class T>(T) {
        const auto* numbers = reinterpret_cast<const T*>(block.numbers.data()) + start;
        add_weighted(receivers, numbers, n, count, sums);
    };
    if (m.width == 0) add_alike(receivers, n, Sum(count * Sum(m.each[sender])), sums);
    if (m.width == 1) weighted(std::int8_t{});
    if (m.width == 2) weighted(std::int16_t{});
    if (m.width == 4) weighted(std::int32_t{});
}

// The sums of one block in one step: in 32 bits while they surely fit, then carried on in doubles.
class BlockSums {
  public:
    BlockSums(const Senders& m, const SenderBlock& block, Sending& room)
        : m_(m), block_(block), sums_(room.sums.data()), carried_(room.carried.data()) {
        std::fill_n(sums_, block.size, 0);
    }

    void add(std::uint32_t sender, std::int32_t count) {
        const std::int64_t cost = count < 0 ? -count : count;
        if (cost > m_.budget) return carry(), add_sender(m_, block_, sender, double(count), carried_);
        if (spent_ + cost > m_.budget) carry();
        spent_ += cost;
        add_sender(m_, block_, sender, count, sums_);
    }

    void write(double* to) {
        if (carries_) carry();
        const double* unit = m_.unit.data() + block_.first;
        for (std::size_t k = 0; k < block_.size; ++k)
            to[k] = (carries_ ? carried_[k] : double(sums_[k])) * unit[k] * m_.factor;
    }

  private:
    void carry() {
        if (!carries_) std::fill_n(carried_, block_.size, 0.0);
        carries_ = true, spent_ = 0;
        for (std::size_t k = 0; k < block_.size; ++k) carried_[k] += double(sums_[k]);
        std::fill_n(sums_, block_.size, 0);
    }

    const Senders& m_;
    const SenderBlock& block_;
    std::int32_t* sums_;
    double* carried_;
    std::int64_t spent_ = 0;
    bool carries_ = false;
};

inline void sum_block(const Senders& m, const SenderBlock& block, const std::int8_t* counts,
                      const std::uint32_t* spiking, std::size_t n, Sending& room, double* to) {
    BlockSums sums(m, block, room);
    for (std::size_t i = 0; i < n; ++i) {
        if (i + 1 < n) __builtin_prefetch(block.receivers.data() + block.starts[spiking[i + 1]]);
        sums.add(spiking[i], counts[spiking[i]]);
    }
    sums.write(to + block.first);
}

inline void run_senders(const Context& c, const Instruction& op, Sending& room) {
    const Senders& m = *op.senders;
    room.spiking.clear();
    room.ends.assign(1, 0);
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t t = 0; t < c.steps; ++t) {
            list_spiking(c.counts(op.input, s, t), m.count, room.spiking);
            room.ends.push_back(room.spiking.size());
        }
    const Share share = c.share(m.blocks.size());
    room.sums.reserve(kMostReceivers, 0);
    room.carried.reserve(kMostReceivers, 0);
    for (std::size_t i = share.begin; i < share.end; ++i)
        for (std::size_t s = 0; s < c.samples; ++s)
            for (std::size_t t = 0; t < c.steps; ++t) {
                const std::size_t* ends = room.ends.data() + s * c.steps + t;
                sum_block(m, m.blocks[i], c.counts(op.input, s, t), room.spiking.data() + ends[0],
                          ends[1] - ends[0], room, c.values(op.output, s, t));
            }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
