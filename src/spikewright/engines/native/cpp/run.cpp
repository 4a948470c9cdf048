#include "run.hpp"

#include <barrier>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

namespace spikewright {
namespace {

using Clock = std::chrono::steady_clock;

// What a team shares: buffers, lists of events, and the state that its group comes to. `outcome` is the
// group's.
struct Bench {
    Bench(const Job& job, const Kernels& kernels)
        : kernels(kernels),
          frames(kernels.make_frames(job.group, job.block)),
          next(*job.plan, job.group) {
        const std::size_t frames_of = job.group * job.block;
        if (job.plan->slots.empty())
            for (const Buffer& b : job.plan->buffers) buffers.emplace_back(frames_of * b.bytes());
        for (const Slot& slot : job.plan->slots) {
            const std::size_t bytes = frames_of * slot.bytes;
            buffers.push_back(slot.zero ? Array<std::uint8_t>(bytes) : Array<std::uint8_t>::raw(bytes));
        }
    }
    Bench(const Bench&) = delete;
    ~Bench() { kernels.drop_frames(frames); }

    const Kernels& kernels;
    void* frames;
    std::vector<Array<std::uint8_t>> buffers;
    State next;
    std::atomic<int> outcome{int(Outcome::done)};
};

class Runner {
  public:
    Runner(const Job& job, const Kernels& kernels, const std::function<bool()>& interrupted)
        : job_(job), kernels_(kernels), interrupted_(interrupted) {}

    Outcome run() {
        std::ranges::fill(job_.state->finished, 0);
        const std::size_t groups = (job_.batch + job_.group - 1) / job_.group;
        const std::size_t threads = job_.threads;
        if (threads <= 1 || groups >= threads) {
            on_threads(threads, [&](std::size_t rank) {
                Bench bench(job_, kernels_);
                for (std::size_t g = next_++; g < groups; g = next_++)
                    if (!work(bench, g, rank == 0, 0, 1, nullptr)) return;
            });
        } else {
            Bench bench(job_, kernels_);
            std::barrier<> barrier{std::ptrdiff_t(threads)};
            on_threads(threads, [&](std::size_t rank) {
                for (std::size_t g = 0; g < groups; ++g)
                    if (!work(bench, g, rank == 0, rank, threads, &barrier)) return;
            });
        }
        if (failure_) std::rethrow_exception(failure_);
        if (stopped_) return Outcome::interrupted;
        job_.state->started = true;
        return overflown_ ? Outcome::too_many_spikes : Outcome::done;
    }

  private:
    // A failure in any thread is kept for the calling one; the others go on to their next barrier.
    template <class F>
    void guarded(F&& f) {
        try {
            f();
        } catch (...) {
            const std::lock_guard lock(mutex_);
            failure_ = std::current_exception();
            stopped_ = true;
        }
    }

    // The calling thread is number 0. Threads are made for each run, some 20 microseconds each: a
    // pool that lives on would have to be remade after a fork.
    template <class F>
    void on_threads(std::size_t threads, F&& f) {
        std::vector<std::thread> others;
        for (std::size_t rank = 1; rank < threads; ++rank)
            others.emplace_back([&, rank] { guarded([&] { f(rank); }); });
        guarded([&] { f(0); });
        for (std::thread& thread : others) thread.join();
    }

    // All blocks of time of one group; returns whether to go on with another.
    bool work(Bench& bench, std::size_t group, bool asks, std::size_t rank, std::size_t members,
              std::barrier<>* barrier) {
        std::unique_ptr<void, void (*)(void*)> scratch(kernels_.make_scratch(),
                                                       kernels_.drop_scratch);
        Context c;
        c.job = &job_;
        c.first_sample = group * job_.group;
        c.samples = std::min(job_.group, job_.batch - c.first_sample);
        c.buffers = &bench.buffers;
        c.next = &bench.next;
        c.frames = bench.frames;
        c.scratch = scratch.get();
        c.rank = rank;
        c.members = members;
        c.outcome = &bench.outcome;
        bool fits = true;
        for (; fits && c.first_step < job_.steps; c.first_step += job_.block) {
            c.steps = std::min(job_.block, job_.steps - c.first_step);
            for (const Instruction& op : job_.plan->instructions) {
                if (op.lists()) {
                    guarded([&] { kernels_.list(c, op); });
                    if (barrier) barrier->arrive_and_wait();
                }
                guarded([&] { kernels_.execute(c, op); });
                if (barrier) barrier->arrive_and_wait();
            }
            if (asks) ask();
            if (barrier) barrier->arrive_and_wait();  // all see the same outcome
            const bool stopped = stopped_.load();
            fits = bench.outcome.load() == int(Outcome::done);
            if (barrier) barrier->arrive_and_wait();  // before the next block changes it
            if (stopped) return false;
        }
        if (rank == 0) finish(c, bench, fits);
        if (barrier) barrier->arrive_and_wait();
        return true;
    }

    void finish(const Context& c, Bench& bench, bool fits) {
        if (fits) return c.keep();
        c.leave();
        overflown_ = true;
        bench.outcome = int(Outcome::done);  // of the next group
    }

    void ask() {
        const auto now = Clock::now();
        if (now - asked_ < std::chrono::milliseconds(100)) return;
        asked_ = now;
        if (interrupted_()) stopped_ = true;
    }

    const Job& job_;
    const Kernels& kernels_;
    const std::function<bool()>& interrupted_;
    std::atomic<std::size_t> next_{0};
    std::atomic<bool> stopped_{false}, overflown_{false};
    std::exception_ptr failure_;
    std::mutex mutex_;
    Clock::time_point asked_ = Clock::now();
};

}  // namespace

Outcome run(const Job& job, const Kernels& kernels, const std::function<bool()>& interrupted) {
    return Runner(job, kernels, interrupted).run();
}

}  // namespace spikewright
