// Sparse weights in compressed columns (CSC): a spike adds its sender's entries to the receivers' sums.
//
// Receivers are cut into blocks, whose sums stay in a near cache, and these into parts, which threads
// share without locks: a list goes through the parts in order. Entries are whole numbers of as many
// bytes as the largest needs, or none where all entries of a sender are one number. Entries of more bits
// than the grid of single precision has are doubles, which are added in the order of their senders, as
// the reference does.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "memory.hpp"

namespace spikewright {

// Entries in any order, as a matrix `(receivers, senders)` has them. A receiver's values are multiples
// of its step, a power of two.
struct Entries {
    const std::int32_t *receivers, *senders;
    const double* values;
    std::size_t count;
    const double* steps;
    // Whether all are whole numbers of steps, of the grid's bits.
    bool whole() const {
        for (std::size_t i = 0; i < count; ++i) {
            const double number = values[i] / steps[receivers[i]];
            if (std::fabs(number) > double(1 << 24) || number != std::floor(number)) return false;
        }
        return true;
    }
    std::int32_t whole(std::size_t i) const { return std::int32_t(values[i] / steps[receivers[i]]); }
};

// How entries are held: bytes of each one's number, 0 where a sender has one, and common factors of
// two that are taken out of all. Of 8 bytes they are doubles.
constexpr std::size_t kDoubleWidth = sizeof(double);

struct CscFormat {
    std::size_t width = 0;
    int shift = 0;
    std::int64_t largest = 0;
};

struct CscBlock {
    std::size_t first = 0, size = 0;     // receivers
    Array<std::uint32_t> starts;         // of each sender's entries in each part, and their end
    Array<std::uint16_t> receivers;      // counted from the first
    Array<std::uint8_t> numbers;         // `width` bytes an entry
};

struct CscMatrix {
    std::size_t count = 0, receivers = 0, width = 0;
    std::size_t parts = 1, part_size = 1;  // of a block: its number of parts, and their receivers
    std::vector<CscBlock> blocks;
    Array<std::int32_t> each;  // one number a sender, where entries have none
    Array<double> unit;        // of each receiver
    double factor = 1.0;
    std::int64_t largest = 0;  // of the numbers' magnitudes
    std::int64_t budget = 0;   // spikes whose sums fit 32 bits; 0: not even one's
};

constexpr std::size_t kMostReceivers = 16384;  // of a block: sums of 64 KiB

inline CscFormat format_of(const Entries& entries, std::size_t senders) {
    constexpr std::int32_t none = 1 << 30;
    std::vector<std::int32_t> each(senders, none);
    bool alike = true;
    std::uint32_t bits = 0;
    CscFormat form;
    if (!entries.whole()) return {kDoubleWidth};
    for (std::size_t i = 0; i < entries.count; ++i) {
        const std::int32_t number = entries.whole(i);
        std::int32_t& first = each[std::size_t(entries.senders[i])];
        if (first == none) first = number;
        alike = alike && first == number &&
                entries.steps[entries.receivers[i]] == entries.steps[entries.receivers[0]];
        bits |= std::uint32_t(std::abs(number));
        form.largest = std::max<std::int64_t>(form.largest, std::abs(number));
    }
    form.shift = bits ? std::countr_zero(bits) : 0;
    form.largest >>= form.shift;
    if (!alike) form.width = form.largest <= 127 ? 1 : form.largest <= 32767 ? 2 : 4;
    return form;
}

// Empty lists, in so many parts a block.
inline CscMatrix csc_blocks(const CscFormat& form, std::size_t senders, std::size_t receivers,
                             std::size_t parts, double factor) {
    CscMatrix made;
    made.count = senders, made.receivers = receivers, made.width = form.width, made.factor = factor;
    made.largest = form.largest;
    const std::size_t blocks = std::max<std::size_t>((receivers + kMostReceivers - 1) / kMostReceivers, 1);
    const std::size_t size = (receivers + blocks - 1) / blocks;
    made.parts = parts, made.part_size = std::max<std::size_t>((size + parts - 1) / parts, 1);
    for (std::size_t first = 0; first < receivers; first += size) {
        made.blocks.emplace_back();
        made.blocks.back().first = first, made.blocks.back().size = std::min(size, receivers - first);
    }
    return made;
}

template <class T, class Number>
void put_number(CscBlock& block, std::size_t place, Number number) {
    const T narrow = T(number);
    std::memcpy(block.numbers.data() + place * sizeof(T), &narrow, sizeof(T));
}

// The largest number of entries between one sender and one receiver.
inline std::int64_t most_repeats(const CscMatrix& lists) {
    std::int64_t most = 1;
    for (const CscBlock& block : lists.blocks) {
        std::vector<std::uint32_t> last(block.size), times(block.size);  // of the last sender, from 1
        for (std::uint32_t sender = 0; sender < lists.count; ++sender)
            for (std::uint32_t i = block.starts[sender * lists.parts];
                 i < block.starts[(sender + 1) * lists.parts]; ++i) {
                const std::size_t receiver = block.receivers[i];
                times[receiver] = last[receiver] == sender + 1 ? times[receiver] + 1 : 1;
                last[receiver] = sender + 1;
                most = std::max<std::int64_t>(most, times[receiver]);
            }
    }
    return most;
}

// Fills the lists: entries of a sender and part are counted, then put one behind the other.
inline void fill_csc(CscMatrix& to, const Entries& entries, int shift) {
    const std::size_t size = to.blocks.empty() ? 1 : to.blocks[0].size, lists = to.count * to.parts;
    const auto list_of = [&](std::size_t i) {
        const std::size_t part = std::size_t(entries.receivers[i]) % size / to.part_size;
        return std::size_t(entries.senders[i]) * to.parts + part;
    };
    for (CscBlock& block : to.blocks) block.starts.resize(lists + 2);
    for (std::size_t i = 0; i < entries.count; ++i)
        ++to.blocks[std::size_t(entries.receivers[i]) / size].starts[list_of(i) + 2];
    for (CscBlock& block : to.blocks) {
        for (std::size_t k = 2; k < lists + 2; ++k) block.starts[k] += block.starts[k - 1];
        block.receivers.resize(block.starts[lists + 1]);
        block.numbers.resize(block.receivers.size() * to.width);
    }
    if (to.width == 0) to.each.resize(to.count);
    for (std::size_t i = 0; i < entries.count; ++i) {
        const auto receiver = std::size_t(entries.receivers[i]), sender = std::size_t(entries.senders[i]);
        CscBlock& block = to.blocks[receiver / size];
        const std::size_t place = block.starts[list_of(i) + 1]++;  // ends where the next one starts
        block.receivers[place] = std::uint16_t(receiver - block.first);
        if (to.width == kDoubleWidth) {
            put_number<double>(block, place, entries.values[i]);
            continue;
        }
        const std::int32_t number = entries.whole(i) / (1 << shift);
        if (to.width == 0) to.each[sender] = number;
        if (to.width == 1) put_number<std::int8_t>(block, place, number);
        if (to.width == 2) put_number<std::int16_t>(block, place, number);
        if (to.width == 4) put_number<std::int32_t>(block, place, number);
    }
    const std::int64_t largest = to.largest * most_repeats(to);
    to.budget = largest ? ((std::int64_t(1) << 31) - 1) / largest : std::int64_t(1) << 40;
    to.unit.resize(to.receivers);
    for (std::size_t k = 0; k < to.receivers; ++k)
        to.unit[k] = to.width == kDoubleWidth ? 1.0 : std::ldexp(entries.steps[k], shift);
}

}  // namespace spikewright
