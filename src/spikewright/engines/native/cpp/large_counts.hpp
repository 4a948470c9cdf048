// Counts beyond their bytes: a buffer holds the nearest numbers that bytes hold, and the counts themselves lie
// in lists of a block of time, frame by frame. Where there are none, a look at one list tells so.
#pragma once

#include <cmath>
#include <cstdint>
#include <mutex>
#include <vector>

#include "plan.hpp"

namespace spikewright {

// The nearest count that a byte holds; 0 for what is no number.
SPIKEWRIGHT_INLINE std::int8_t clamped(double count) {
    if (count > kMostCounts) return std::int8_t(kMostCounts);
    if (count < -kMostCounts) return std::int8_t(-kMostCounts);
    return count == count ? std::int8_t(count) : std::int8_t(0);
}

struct LargeCount {
    std::size_t index;
    double count;
};

// Those of every buffer, in a block of time of a group.
class LargeCounts {
  public:
    LargeCounts(std::size_t buffers, std::size_t frames) : frames_(frames), lists_(buffers) {}

    SPIKEWRIGHT_INLINE bool any() const { return !used_.empty(); }
    SPIKEWRIGHT_INLINE bool any(std::size_t buffer) const { return !lists_[buffer].empty(); }
    SPIKEWRIGHT_INLINE const std::vector<LargeCount>& of(std::size_t buffer, std::size_t frame) const {
        return lists_[buffer][frame];
    }

    void add(std::size_t buffer, std::size_t frame, LargeCount one);
    void clear();

  private:
    std::size_t frames_;
    std::vector<std::vector<std::vector<LargeCount>>> lists_;  // of buffers, frame by frame; or none
    std::vector<std::size_t> used_;
    std::mutex mutex_;
};

}  // namespace spikewright
