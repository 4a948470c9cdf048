// Work that threads share.
#pragma once

#include <cstddef>
#include <functional>

namespace spikewright {

// f(0) to f(threads - 1), each on a thread of its own, the first on the calling one; returns when all are
// through. The first exception is thrown then; `failed` is called when it comes, so that others stop early.
// Where the system cannot start a thread, that is a std::system_error. Threads are made for each call, some
// 20 microseconds each: a pool that lives on would have to be remade after a fork.
void on_threads(std::size_t threads, const std::function<void(std::size_t)>& f,
                const std::function<void()>& failed = [] {});

}  // namespace spikewright
