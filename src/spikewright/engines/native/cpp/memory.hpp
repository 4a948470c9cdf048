// Arrays on cache-line boundaries, with room behind the end for whole vectors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace spikewright {

constexpr std::size_t kLine = 64;        // bytes of a cache line, and of the widest vector
constexpr std::size_t kSpare = 4 * kLine;  // bytes that may be read or written behind the end
constexpr std::size_t kPage = std::size_t(2) << 20;  // bytes of a large page

// Memory of so many bytes, or an OutOfMemory that says how many; aligned to a power of 2.
void* allocate_bytes(std::size_t bytes, std::size_t alignment);

class OutOfMemory : public std::bad_alloc {
  public:
    explicit OutOfMemory(std::size_t bytes) : bytes(bytes) {}
    const char* what() const noexcept override;
    const std::size_t bytes;
};

// Of functions that several objects hold, compiled for different instruction sets: the linker keeps one
// copy of those that are not part of their callers.
#define SPIKEWRIGHT_INLINE [[gnu::always_inline]] inline

template <class T>
class Array {
  public:
    Array() = default;
    SPIKEWRIGHT_INLINE explicit Array(std::size_t size) { resize(size); }
    SPIKEWRIGHT_INLINE Array(const T* values, std::size_t size) : Array(size) {
        if (size) std::memcpy(data_, values, size * sizeof(T));
    }
    SPIKEWRIGHT_INLINE Array(const Array& other) : Array(other.data_, other.size_) {}
    SPIKEWRIGHT_INLINE Array(Array&& other) noexcept { swap(other); }
    SPIKEWRIGHT_INLINE Array& operator=(Array other) noexcept {
        swap(other);
        return *this;
    }
    SPIKEWRIGHT_INLINE ~Array() { release(); }

    // Becomes zeros of this size.
    SPIKEWRIGHT_INLINE void resize(std::size_t size) {
        allocate(size);
        std::memset(static_cast<void*>(data_), 0, size * sizeof(T) + kSpare);
    }

    // An array whose values nobody has set.
    SPIKEWRIGHT_INLINE static Array raw(std::size_t size) {
        Array array;
        array.allocate(size);
        return array;
    }

    // Room for `size` values; the first `kept` are kept.
    SPIKEWRIGHT_INLINE void reserve(std::size_t size, std::size_t kept) {
        if (size <= capacity_) return;
        Array grown = raw(size + size / 2);
        if (kept) std::memcpy(grown.data_, data_, kept * sizeof(T));
        swap(grown);
    }

    SPIKEWRIGHT_INLINE void swap(Array& other) noexcept {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        std::swap(capacity_, other.capacity_);
    }

    T* data() { return data_; }
    const T* data() const { return data_; }
    std::size_t size() const { return size_; }
    bool empty() const { return size_ == 0; }
    T& operator[](std::size_t i) { return data_[i]; }
    const T& operator[](std::size_t i) const { return data_[i]; }

  private:
    SPIKEWRIGHT_INLINE void allocate(std::size_t size) {
        release();
        const std::size_t bytes = size * sizeof(T) + kSpare;
        data_ = static_cast<T*>(allocate_bytes(bytes, std::size_t(alignment(size))));
#if defined(__linux__)
        if (is_large(size)) madvise(data_, bytes / kPage * kPage, MADV_HUGEPAGE);  // or small ones
#endif
        size_ = capacity_ = size;
    }
    // Arrays that a run fills once cost more in page faults than in arithmetic: they take large pages.
    SPIKEWRIGHT_INLINE static bool is_large(std::size_t size) { return size * sizeof(T) + kSpare >= 2 * kPage; }
    SPIKEWRIGHT_INLINE static std::align_val_t alignment(std::size_t size) {
        return std::align_val_t(is_large(size) ? kPage : kLine);
    }
    SPIKEWRIGHT_INLINE void release() {
        if (data_) ::operator delete(data_, alignment(capacity_));
        data_ = nullptr;
        size_ = capacity_ = 0;
    }

    T* data_ = nullptr;
    std::size_t size_ = 0, capacity_ = 0;
};

inline std::size_t rounded_up(std::size_t n, std::size_t step) { return (n + step - 1) / step * step; }

}  // namespace spikewright
