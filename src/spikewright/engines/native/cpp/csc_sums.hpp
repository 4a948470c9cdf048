// Sums over sparse weights in compressed columns: each spike adds its sender's list. Sums are whole numbers,
// so their order does not matter; those that may exceed 32 bits continue in doubles, which are exact here.
// Weights in doubles are added in the order of their senders.
#pragma once

#include "count_readers.hpp"
#include "csc.hpp"
#include "simd.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// A thread's workspace: the senders that spike in each step of each sample, and a block's sums.
struct CscWorkspace {
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

inline void list_spiking(const double* values, std::size_t n, std::vector<std::uint32_t>& to) {
    for (std::size_t i = 0; i < n; ++i)
        if (values[i] != 0.0) to.push_back(std::uint32_t(i));
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

// Some parts of a block of receivers, and the range of their entries in a sender's list.
struct StepSpan {
    const CscMatrix& m;
    const CscBlock& block;
    std::size_t part, parts;  // from this part on, so many

    std::size_t first() const { return part * m.part_size; }
    std::size_t size() const {
        const std::size_t end = (part + parts) * m.part_size;
        return first() < block.size ? (end < block.size ? end : block.size) - first() : 0;
    }
    std::size_t begin(std::uint32_t sender) const { return block.starts[sender * m.parts + part]; }
    std::size_t end(std::uint32_t sender) const { return block.starts[sender * m.parts + part + parts]; }

    // Asks for the beginning of a list before it is read; what follows comes by itself.
    void expect(std::uint32_t sender) const {
        const std::uint16_t* list = block.receivers.data() + begin(sender);
        const std::size_t lines = (end(sender) - begin(sender)) * 2 / kLine + 1;
        for (std::size_t i = 0; i < lines && i < 8; ++i) __builtin_prefetch(list + i * kLine / 2);
        if (m.width) __builtin_prefetch(block.numbers.data() + begin(sender) * m.width);
    }

    template <class Sum>
    void add(std::uint32_t sender, Sum count, Sum* sums) const {
        const std::size_t at = begin(sender), n = end(sender) - at;
        const std::uint16_t* receivers = block.receivers.data() + at;
        const auto weighted = [&]<class T>(T) {
            const auto* numbers = reinterpret_cast<const T*>(block.numbers.data()) + at;
            add_weighted(receivers, numbers, n, count, sums);
        };
        if (m.width == 0) add_alike(receivers, n, Sum(count * Sum(m.each[sender])), sums);
        if (m.width == 1) weighted(std::int8_t{});
        if (m.width == 2) weighted(std::int16_t{});
        if (m.width == 4) weighted(std::int32_t{});
        if constexpr (std::is_same_v<Sum, double>)
            if (m.width == kDoubleWidth) weighted(double{});
    }
};

// The sums of a span in one step: in 32 bits while they surely fit, then carried on in doubles.
class SpanSums {
  public:
    // `any`: counts are of any size, and all is summed in doubles.
    SpanSums(const StepSpan& span, CscWorkspace& room, bool any)
        : stretch_(span), budget_(span.m.budget), sums_(room.sums.data()),
          carried_(room.carried.data()) {
        std::fill_n(sums_ + span.first(), span.size(), 0);
        if (any || span.m.width == kDoubleWidth) carry();
    }

    void add(std::uint32_t sender, std::int32_t count) {
        if (stretch_.m.width == kDoubleWidth) return stretch_.add(sender, double(count), carried_);
        const std::int64_t cost = count < 0 ? -count : count;
        if (cost > budget_) return carry(), stretch_.add(sender, double(count), carried_);
        if (spent_ + cost > budget_) carry();
        spent_ += cost;
        stretch_.add(sender, count, sums_);
    }

    void add(std::uint32_t sender, double count) { stretch_.add(sender, count, carried_); }

    void write(double* to) {
        if (carries_) carry();
        const double *unit = stretch_.m.unit.data() + stretch_.block.first, factor = stretch_.m.factor;
        each([&](std::size_t k) {
            to[k] = (carries_ ? carried_[k] : double(sums_[k])) * unit[k] * factor;
        });
    }

  private:
    template <class F>
    void each(F&& f) const {
        for (std::size_t k = stretch_.first(); k < stretch_.first() + stretch_.size(); ++k) f(k);
    }
    void carry() {
        each([&](std::size_t k) {
            carried_[k] = (carries_ ? carried_[k] : 0.0) + double(sums_[k]);
            sums_[k] = 0;
        });
        carries_ = true, spent_ = 0;
    }

    const StepSpan& stretch_;
    const std::int64_t budget_;
    std::int32_t* sums_;
    double* carried_;
    std::int64_t spent_ = 0;
    bool carries_ = false;
};

template <class T>
inline void sum_span(const StepSpan& span, const T* counts, const std::uint32_t* spiking, std::size_t n,
                        CscWorkspace& room, double* to) {
    using Count = std::conditional_t<std::is_same_v<T, double>, double, std::int32_t>;
    SpanSums sums(span, room, std::is_same_v<T, double>);
    for (std::size_t i = 0; i < n; ++i) {
        if (i + 1 < n) span.expect(spiking[i + 1]);
        sums.add(spiking[i], Count(counts[spiking[i]]));
    }
    sums.write(to);
}

template <class Reading>
inline void run_csc(const Context& c, const Instruction& op, Reading& read, CscWorkspace& room) {
    const CscMatrix& m = *op.csc;
    room.spiking.clear();
    room.ends.assign(1, 0);
    for (std::size_t s = 0; s < c.samples; ++s)
        for (std::size_t t = 0; t < c.steps; ++t) {
            list_spiking(read(s, t), m.count, room.spiking);
            room.ends.push_back(room.spiking.size());
        }
    const Share share = c.share(m.blocks.size() * m.parts);
    room.sums.reserve(kMostReceivers, 0);
    room.carried.reserve(kMostReceivers, 0);
    for (std::size_t i = share.begin; i < share.end;) {
        const std::size_t part = i % m.parts, left = share.end - i;
        const std::size_t parts = left < m.parts - part ? left : m.parts - part;
        const StepSpan span{m, m.blocks[i / m.parts], part, parts};
        for (std::size_t s = 0; s < c.samples; ++s)
            for (std::size_t t = 0; t < c.steps; ++t) {
                const std::size_t* ends = room.ends.data() + s * c.steps + t;
                sum_span(span, read(s, t), room.spiking.data() + ends[0],
                            ends[1] - ends[0], room, c.values(op.output, s, t) + span.block.first);
            }
        i += parts;
    }
}

inline void run_csc(const Context& c, const Instruction& op, CscWorkspace& room) {
    by_reading(c, op.input, [&](auto&& read) { run_csc(c, op, read, room); });
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
