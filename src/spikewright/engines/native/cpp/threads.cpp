#include "threads.hpp"

#include <exception>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace spikewright {
namespace {

// Threads that are waited for, whatever happens.
struct Joined : std::vector<std::thread> {
    ~Joined() {
        for (std::thread& thread : *this) thread.join();
    }
};

}  // namespace

void on_threads(std::size_t threads, const std::function<void(std::size_t)>& f,
                const std::function<void()>& failed) {
    std::mutex mutex;
    std::exception_ptr failure;
    const auto keep = [&](std::exception_ptr found) {
        {
            const std::lock_guard lock(mutex);
            if (!failure) failure = std::move(found);
        }
        failed();
    };
    const auto guarded = [&](std::size_t rank) {
        try {
            f(rank);
        } catch (...) {
            keep(std::current_exception());
        }
    };
    {
        Joined others;
        others.reserve(threads ? threads - 1 : 0);
        bool started = true;
        for (std::size_t rank = 1; started && rank < threads; ++rank) {
            try {
                others.emplace_back(guarded, rank);
            } catch (const std::system_error& error) {
                const std::string which = std::to_string(rank + 1) + " of " + std::to_string(threads);
                keep(std::make_exception_ptr(std::system_error(error.code(), which)));
                started = false;
            } catch (...) {
                keep(std::current_exception());
                started = false;
            }
        }
        if (started) guarded(0);
    }
    if (failure) std::rethrow_exception(failure);
}

}  // namespace spikewright
