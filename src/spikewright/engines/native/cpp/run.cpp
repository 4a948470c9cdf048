#include "run.hpp"

#include "callbacks.hpp"
#include "commit.hpp"
#include "threads.hpp"

#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

namespace spikewright {
namespace {

using Clock = std::chrono::steady_clock;

// What the threads of a team share: buffers, lists of events, and the next state of its group.
struct TeamWorkspace {
    TeamWorkspace(const Job& job, const Kernels& kernels)
        : kernels(kernels),
          frames(kernels.make_frames(job.group, job.block)),
          next(*job.plan, job.group),
          large(job.plan->buffers.size(), job.group * job.block) {
        const std::size_t frames_of = job.group * job.block;
        if (job.plan->slots.empty())
            for (const Buffer& b : job.plan->buffers) buffers.emplace_back(frames_of * b.bytes());
        for (const Slot& slot : job.plan->slots) {
            const std::size_t bytes = frames_of * slot.bytes;
            buffers.push_back(slot.zero ? Array<std::uint8_t>(bytes) : Array<std::uint8_t>::raw(bytes));
        }
    }
    TeamWorkspace(const TeamWorkspace&) = delete;
    ~TeamWorkspace() { kernels.drop_frames(frames); }

    const Kernels& kernels;
    void* frames;
    std::vector<Array<std::uint8_t>> buffers;
    State next;
    LargeCounts large;
};

// The workspace of one thread of a team.
using Scratch = std::unique_ptr<void, void (*)(void*)>;

Scratch make_scratch(const Kernels& kernels) { return {kernels.make_scratch(), kernels.drop_scratch}; }

// Tasks that threads take as they are free, phase by phase: no phase begins before the last one is done. Unlike
// at a barrier, nobody waits for a thread that has not started yet, which takes long on a busy machine.
class Team {
  public:
    // One thread's way through the phases, which is the same for all.
    class Member {
      public:
        explicit Member(Team& team) : team_(team) {}

        // f(0) to f(tasks - 1), each on some thread; returns when all are done.
        template <class F>
        void operator()(std::size_t tasks, F&& f) {
            const std::uint64_t end = first_ + tasks;
            std::uint64_t next = team_.taken_.load();
            while (next < end)
                if (team_.taken_.compare_exchange_weak(next, next + 1)) {
                    f(std::size_t(next - first_));
                    team_.done_.fetch_add(1);
                    next = team_.taken_.load();
                }
            first_ = end;
            for (int spins = 0; team_.done_.load() < end; ++spins)
                if (spins > kSpins) std::this_thread::yield();
        }

      private:
        Team& team_;
        std::uint64_t first_ = 0;
    };

  private:
    static constexpr int kSpins = 4000;  // some microseconds
    std::atomic<std::uint64_t> taken_{0}, done_{0};
};

class Runner {
  public:
    Runner(const Job& job, const Kernels& kernels, const std::function<bool()>& interrupted)
        : job_(job), kernels_(kernels), interrupted_(interrupted) {
        job_.state->large.assign(job_.outputs.size(), {});
    }

    Outcome run() {
        const std::size_t threads = job_.threads;
        const auto stop = [this] { stopped_ = true; };
        if (threads <= 1 || groups() >= threads) {
            on_threads(threads, [&](std::size_t rank) {
                TeamWorkspace workspace(job_, kernels_);
                const Scratch scratch = make_scratch(kernels_);
                each_group(workspace, scratch.get(), rank);
            }, stop);
        } else {
            TeamWorkspace workspace(job_, kernels_);
            Team team;
            on_threads(threads, [&](std::size_t rank) {
                const Scratch scratch = make_scratch(kernels_);
                Team::Member member(team);
                for (std::size_t g = 0; g < groups() && !stopped_; ++g)
                    work(workspace, scratch.get(), {g, rank, kTasks * threads}, member);
            }, stop);
        }
        return outcome();
    }

    // The same on the calling thread and a workspace that is there.
    Outcome run_on(TeamWorkspace& workspace, void* scratch) {
        forget(workspace);  // an earlier run may have failed
        guarded([&] { each_group(workspace, scratch, 0); });
        return outcome();
    }

  private:
    static constexpr std::size_t kTasks = 2;  // of an instruction, a thread

    std::size_t groups() const { return (job_.batch + job_.group - 1) / job_.group; }

    Outcome outcome() {
        if (failure_) std::rethrow_exception(failure_);
        if (stopped_) return Outcome::interrupted;
        job_.state->started = true;
        const auto fits = [](const auto& large) { return large.empty(); };
        return std::ranges::all_of(job_.state->large, fits) ? Outcome::done : Outcome::exceeded;
    }

    // All groups that no other thread takes.
    void each_group(TeamWorkspace& workspace, void* scratch, std::size_t rank) {
        const auto alone = [](std::size_t tasks, auto&& f) {
            for (std::size_t i = 0; i < tasks; ++i) f(i);
        };
        for (std::size_t g = next_++; g < groups() && !stopped_; g = next_++) {
            work(workspace, scratch, {g, rank, 1}, alone);
        }
    }

    // A failure in any thread is kept for the calling one; the others stop at the next block.
    template <class F>
    void guarded(F&& f) {
        try {
            f();
        } catch (...) {
            const std::lock_guard lock(mutex_);
            if (!failure_) failure_ = std::current_exception();
            stopped_ = true;
        }
    }

    struct Place {
        std::size_t group, rank, shares;  // shares: in how many tasks an instruction is done
    };

    // All blocks of time of one group.
    template <class Phase>
    void work(TeamWorkspace& workspace, void* scratch, const Place& at, Phase&& phase) {
        Context c;
        c.job = &job_;
        c.first_sample = at.group * job_.group;
        c.samples = std::min(job_.group, job_.batch - c.first_sample);
        c.buffers = &workspace.buffers;
        c.next = &workspace.next;
        c.frames = workspace.frames;
        c.scratch = scratch;
        c.members = at.shares;
        c.large = &workspace.large;
        c.multiply = kernels_.multiply;
        const auto shared = [&](auto&& f) {
            phase(at.shares, [&](std::size_t task) {
                c.rank = task;
                guarded(f);
            });
        };
        for (; c.first_step < job_.steps; c.first_step += job_.block) {
            c.steps = std::min(job_.block, job_.steps - c.first_step);
            std::size_t call = 0;
            bool wild = false;  // some weights are no longer finite: no call reads their output
            for (const Instruction& op : job_.plan->instructions) {
                if (op.call) {
                    const Callback& callback = job_.callbacks[call++];
                    if (!wild) guarded([&] { run_callback(c, *op.call, callback); });
                    if (stopped_) return;
                    continue;
                }
                if (op.lists()) shared([&] { kernels_.list(c, op); });
                shared([&] { kernels_.execute(c, op); });
                if (op.action == Action::finish && !job_.callbacks.empty())
                    wild = wild || diverged(c, *op.weights);
            }
            if (at.rank == 0) ask();
            if (stopped_) return;
            phase(1, [&](std::size_t) { end_block(c); });
            if (wild) break;
        }
        phase(1, [&](std::size_t) { finish(c, workspace); });
    }

    // The end of a block of time.
    void end_block(const Context& c) {
        if (!c.large->any()) return;
        guarded([&] {
            sum_large(c);
            c.large->clear();
            job_.state->exceeded = true;
        });
    }

    void finish(const Context& c, TeamWorkspace& workspace) {
        guarded([&] {
            commit_state(c, kernels_);
            const std::lock_guard lock(job_.state->mutex);
            for (std::size_t i = 0; i < workspace.next.beyond.size(); ++i)
                for (const auto& [place, spikes] : workspace.next.beyond[i])
                    job_.state->beyond[i][{c.first_sample + place.first, place.second}] += spikes;
        });
        forget(workspace);
    }

    static void forget(TeamWorkspace& workspace) {
        workspace.large.clear();
        for (auto& beyond : workspace.next.beyond) beyond.clear();
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
    std::atomic<bool> stopped_{false};
    std::exception_ptr failure_;
    std::mutex mutex_;
    Clock::time_point asked_ = Clock::now();
};

}  // namespace

void LargeCounts::add(std::size_t buffer, std::size_t frame, LargeCount one) {
    const std::lock_guard lock(mutex_);
    if (lists_[buffer].empty()) lists_[buffer].resize(frames_), used_.push_back(buffer);
    lists_[buffer][frame].push_back(one);
}

void LargeCounts::clear() {
    for (std::size_t buffer : used_) lists_[buffer].clear();
    used_.clear();
}

void State::keep(std::size_t output, LargeOutput one) {
    const std::lock_guard lock(mutex);
    large[output].push_back(one);
}

Outcome run(const Job& job, const Kernels& kernels, const std::function<bool()>& interrupted) {
    return Runner(job, kernels, interrupted).run();
}

struct PreparedJob::Inside {
    Inside(Job job, const Kernels& kernels)
        : job(std::move(job)), workspace(this->job, kernels), scratch(make_scratch(kernels)) {}

    Job job;
    TeamWorkspace workspace;
    Scratch scratch;
};

PreparedJob::PreparedJob(Job job, const Kernels& kernels)
    : inside_(std::make_unique<Inside>(std::move(job), kernels)) {}

PreparedJob::~PreparedJob() = default;

Outcome PreparedJob::run(std::size_t first, std::vector<Callback> callbacks,
                      const std::function<bool()>& interrupted) {
    inside_->job.first = first;
    inside_->job.callbacks = std::move(callbacks);
    return Runner(inside_->job, inside_->workspace.kernels, interrupted)
        .run_on(inside_->workspace, inside_->scratch.get());
}

}  // namespace spikewright
