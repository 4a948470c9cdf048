// Readers and writers of counts of any size: bytes, and the larger counts that are stored apart.
#pragma once

#include "context.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// A buffer as values: counts with what is beyond their bytes. All that reads counts of any size does so
// through it.
class Values {
  public:
    Values(const Context& c, std::int32_t buffer) : c_(c), buffer_(buffer) {
        if (c.kind(buffer) == Kind::counts) room_.resize(c.size(buffer) + kLine);
    }

    const double* operator()(std::size_t s, std::size_t t) { return (*this)(s, t, 0, c_.size(buffer_)); }
    // `n` of them, from one on.
    const double* operator()(std::size_t s, std::size_t t, std::size_t at, std::size_t n) {
        if (room_.empty()) return c_.values(buffer_, s, t) + at;
        const std::int8_t* from = c_.counts(buffer_, s, t) + at;
        for (std::size_t k = 0; k < n; ++k) room_[k] = double(from[k]);
        c_.each_large(buffer_, s, t, [&](std::size_t index, double count) {
            if (index - at < n) room_[index - at] = count;
        });
        return room_.data();
    }

  private:
    const Context& c_;
    std::int32_t buffer_;
    Array<double> room_;
};

// Counts that all fit their bytes, in the same way.
class Bytes {
  public:
    Bytes(const Context& c, std::int32_t buffer) : c_(c), buffer_(buffer) {}

    const std::int8_t* operator()(std::size_t s, std::size_t t) const { return c_.counts(buffer_, s, t); }
    const std::int8_t* operator()(std::size_t s, std::size_t t, std::size_t at, std::size_t) const {
        return c_.counts(buffer_, s, t) + at;
    }

  private:
    const Context& c_;
    std::int32_t buffer_;
};

// Whether a buffer's bytes are all of its counts.
inline bool are_bytes(const Context& c, std::int32_t buffer) {
    return c.kind(buffer) == Kind::counts && !c.exceeds(buffer);
}

// f(read), where `read` gives a buffer's bytes if these are all of its counts, else its values.
template <class F>
inline void by_reading(const Context& c, std::int32_t buffer, F&& f) {
    if (are_bytes(c, buffer))
        f(Bytes(c, buffer));
    else
        f(Values(c, buffer));
}

// Writes whole numbers of any size as counts, from one on.
inline void put(const Context& c, std::int32_t buffer, std::size_t s, std::size_t t, std::size_t at, const double* from,
                std::size_t n) {
    std::int8_t* to = c.counts(buffer, s, t) + at;
    bool fits = true;
    for (std::size_t k = 0; k < n; ++k) fits &= std::fabs(from[k]) <= kMostCounts;
    if (fits) {
        for (std::size_t k = 0; k < n; ++k) to[k] = std::int8_t(from[k]);
        return;
    }
    for (std::size_t k = 0; k < n; ++k) {
        to[k] = clamped(from[k]);
        if (from[k] != to[k]) c.keep_large(buffer, s, t, at + k, from[k]);
    }
}

// f(to) makes the values of a step: where they lie or, of counts, where they are put from.
template <class F>
inline void make_step(const Context& c, std::int32_t buffer, std::size_t s, std::size_t t, F&& f) {
    if (c.kind(buffer) == Kind::values) return f(c.values(buffer, s, t));
    Array<double> room(c.size(buffer));
    f(room.data());
    put(c, buffer, s, t, 0, room.data(), room.size());
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
