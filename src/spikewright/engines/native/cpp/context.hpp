// One worker's part of a run: some samples, some steps, and the buffers between instructions.
#pragma once

#include <atomic>
#include <vector>

#include "plan.hpp"

namespace spikewright {

// A share of work: units `begin` to `end` of `count`, for one member of a team.
struct Share {
    std::size_t begin, end;
};

struct Context {
    const Job* job = nullptr;
    std::size_t first_sample = 0, samples = 0;  // of the batch
    std::size_t first_step = 0, steps = 0;      // of the run
    std::vector<Array<std::uint8_t>>* buffers = nullptr;
    void* frames = nullptr;    // of the instruction set: lists of events, shared by the team
    void* scratch = nullptr;   // of the instruction set: one per member
    std::size_t rank = 0, members = 1;
    std::atomic<int>* outcome = nullptr;

    Share share(std::size_t count) const {
        return {count * rank / members, count * (rank + 1) / members};
    }
    void too_many_spikes() const {
        outcome->store(int(Outcome::too_many_spikes), std::memory_order_relaxed);
    }

    template <class T>
    T* at(std::int32_t buffer, std::size_t sample, std::size_t step) const {
        const Buffer& b = job->plan->buffers[std::size_t(buffer)];
        auto* base = reinterpret_cast<T*>((*buffers)[std::size_t(buffer)].data());
        return base + (sample * job->block + step) * b.stride();
    }
    Kind kind(std::int32_t b) const { return job->plan->buffers[std::size_t(b)].kind; }
    std::size_t size(std::int32_t b) const { return job->plan->buffers[std::size_t(b)].size; }
    std::int8_t* counts(std::int32_t b, std::size_t s, std::size_t t) const {
        return at<std::int8_t>(b, s, t);
    }
    double* values(std::int32_t b, std::size_t s, std::size_t t) const { return at<double>(b, s, t); }

    template <class T>
    const T* input(std::size_t number, std::size_t sample, std::size_t step) const {
        const Input& in = job->inputs[number];
        return static_cast<const T*>(in.data) + (first_sample + sample) * in.sample_stride +
               (first_step + step) * in.step_stride;
    }

    // State that this block reads, and state that it writes. `total` is null at the start.
    struct Kept {
        const double* from;
        double* to;
    };
    Kept memory(std::int32_t number, std::size_t sample) const {
        State& s = *job->state;
        const auto slot = std::size_t(number);
        const Memory& m = job->plan->memories[slot];
        const std::size_t at = (first_sample + sample) * m.size;
        double* next = s.next_memory[slot].data() + at;
        if (first_step) return {next, next};
        return {s.memory[slot].empty() ? m.start.data() : s.memory[slot].data() + at, next};
    }

    struct Stretch {
        const double* voltage;
        double* next_voltage;
        const std::uint32_t* total;
        std::uint32_t* next_total;

        void add_total(const std::uint32_t* sums, std::size_t lanes) const {
            for (std::size_t k = 0; k < lanes; ++k)
                next_total[k] = (total ? total[k] : 0) + sums[k];
        }
    };
    Stretch state(std::size_t population, std::size_t sample, std::size_t offset) const {
        State& s = *job->state;
        const Population& p = job->plan->populations[population];
        const std::size_t at = (first_sample + sample) * p.state_size() + offset;
        double* next = s.next_voltage[population].data() + at;
        std::uint32_t* next_total = s.next_total[population].data() + at;
        if (first_step) return {next, next, next_total, next_total};
        if (s.voltage[population].empty()) return {p.start.data() + offset, next, nullptr, next_total};
        return {s.voltage[population].data() + at, next, s.total[population].data() + at,
                next_total};
    }
};

// What an instruction set provides. `list` runs first for all members of a team, then `execute`.
struct Kernels {
    const char* name;
    void* (*make_frames)(std::size_t count);
    void (*drop_frames)(void*);
    void* (*make_scratch)();
    void (*drop_scratch)(void*);
    void (*list)(const Context&, const Instruction&);
    void (*execute)(const Context&, const Instruction&);
};

}  // namespace spikewright
