// The context of one worker in a run: its samples, its steps, and the buffers between instructions.
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "integrate_sequence.hpp"
#include "large_counts.hpp"
#include "tiles.hpp"

namespace spikewright {

// A signal of one sample, step by step. Its address is computed once, since in a loop the few instructions of a
// step would wait for it.
template <class T>
struct Track {
    T* first;
    std::size_t stride;
    T* operator[](std::size_t step) const { return first + step * stride; }
};

// A thread's share of the work of its team: units `begin` to `end`.
struct Share {
    std::size_t begin, end;
};

// Calls f with a value of the type in which a buffer of this kind holds its signal.
template <class F>
inline void by_kind(Kind kind, F&& f) {
    if (kind == Kind::counts)
        f(std::int8_t{});
    else
        f(double{});
}

// Calls f with a value of the number type of an input.
template <class F>
inline void by_number(Number number, F&& f) {
    switch (number) {
        case Number::float64: return f(double{});
        case Number::float32: return f(float{});
        case Number::int8: return f(std::int8_t{});
        case Number::uint8: return f(std::uint8_t{});
    }
}

struct Context {
    const Job* job = nullptr;
    std::size_t first_sample = 0, samples = 0;  // of the batch
    std::size_t first_step = 0, steps = 0;      // of the run
    std::vector<Array<std::uint8_t>>* buffers = nullptr;
    State* next = nullptr;     // of the group, from its first block of steps to its last
    void* frames = nullptr;    // of the instruction set: lists of events, shared by the team
    void* scratch = nullptr;   // of the instruction set: one per member
    std::size_t rank = 0, members = 1;
    LargeCounts* large = nullptr;    // of the group
    void (*integrate_floats)(const SequenceIntegration<float>&);
    void (*integrate_doubles)(const SequenceIntegration<double>&);
    Multiply multiply;  // by tiles

    Share share(std::size_t count) const {
        return {count * rank / members, count * (rank + 1) / members};
    }
    template <class T>
    SPIKEWRIGHT_INLINE T* at(std::int32_t buffer, std::size_t sample, std::size_t step) const {
        std::size_t offset = 0;
        const Buffer* b = &job->plan->buffers[std::size_t(buffer)];
        for (; b->parent >= 0; b = &job->plan->buffers[std::size_t(buffer)]) offset += b->offset, buffer = b->parent;
        const std::size_t slot = job->plan->slots.empty() ? std::size_t(buffer) : b->slot;
        auto* base = reinterpret_cast<T*>((*buffers)[slot].data());
        return base + (sample * job->block + step) * b->stride() + offset;
    }
    SPIKEWRIGHT_INLINE std::size_t stride(std::int32_t number) const {
        const Buffer* b = &job->plan->buffers[std::size_t(number)];
        while (b->parent >= 0) b = &job->plan->buffers[std::size_t(b->parent)];
        return b->stride();
    }
    Kind kind(std::int32_t b) const { return job->plan->buffers[std::size_t(b)].kind; }
    std::size_t size(std::int32_t b) const { return job->plan->buffers[std::size_t(b)].size; }
    template <class T>
    SPIKEWRIGHT_INLINE Track<T> track(std::int32_t buffer, std::size_t sample, std::size_t offset = 0) const {
        return {at<T>(buffer, sample, 0) + offset, stride(buffer)};
    }
    SPIKEWRIGHT_INLINE std::int8_t* counts(std::int32_t b, std::size_t s, std::size_t t) const {
        return at<std::int8_t>(b, s, t);
    }
    SPIKEWRIGHT_INLINE double* values(std::int32_t b, std::size_t s, std::size_t t) const { return at<double>(b, s, t); }

    // The whole buffer in which a buffer lies, and the place of its first value there.
    struct Spot {
        std::size_t buffer, offset;
    };
    SPIKEWRIGHT_INLINE Spot spot(std::int32_t buffer) const {
        const Buffer& b = job->plan->buffers[std::size_t(buffer)];
        return b.parent < 0 ? Spot{std::size_t(buffer), 0} : Spot{std::size_t(b.parent), b.offset};
    }
    // Whether some counts of a buffer, or of the one that it is a part of, exceed their bytes.
    SPIKEWRIGHT_INLINE bool exceeds(std::int32_t buffer) const { return large->any(spot(buffer).buffer); }
    // f(index, count) for the counts of a step that exceed their bytes.
    template <class F>
    SPIKEWRIGHT_INLINE void each_large(std::int32_t buffer, std::size_t s, std::size_t t, F&& f) const {
        const Spot at = spot(buffer);
        if (!large->any(at.buffer)) return;
        for (const LargeCount& one : large->of(at.buffer, s * job->block + t))
            if (one.index - at.offset < size(buffer)) f(one.index - at.offset, one.count);
    }
    SPIKEWRIGHT_INLINE void keep_large(std::int32_t buffer, std::size_t s, std::size_t t, std::size_t index, double count) const {
        const Spot at = spot(buffer);
        large->add(at.buffer, s * job->block + t, {at.offset + index, count});
    }

    template <class T>
    SPIKEWRIGHT_INLINE const T* input(std::size_t number, std::size_t sample, std::size_t step) const {
        const Input& in = job->inputs[number];
        return static_cast<const T*>(in.data) + (first_sample + sample) * in.sample_stride +
               (first_step + step) * in.step_stride;
    }

    template <class T>
    SPIKEWRIGHT_INLINE Track<const T> input_track(std::size_t number, std::size_t sample) const {
        return {input<T>(number, sample, 0), job->inputs[number].step_stride};
    }

    // The state that this block reads (null at the start) and the state that it writes.
    template <class T>
    struct Passed {
        const T* from;
        T* to;
    };
    using Kept = Passed<double>;
    SPIKEWRIGHT_INLINE Kept memory(std::int32_t number, std::size_t sample) const {
        const State& s = *job->state;
        const auto slot = std::size_t(number);
        const Memory& m = job->plan->memories[slot];
        double* to = next->memory[slot].data() + sample * m.size;
        if (first_step) return {to, to};
        if (!s.started) return {m.start.data(), to};
        return {s.memory[slot].data() + (first_sample + sample) * m.size, to};
    }

    // Copies a part of a memory, `n` values from `at` on, if there is a memory (-1: none).
    SPIKEWRIGHT_INLINE void fetch(std::int32_t number, std::size_t sample, std::size_t at, std::size_t n, double* to) const {
        if (number >= 0) std::memcpy(to, memory(number, sample).from + at, n * sizeof(double));
    }
    SPIKEWRIGHT_INLINE void store(std::int32_t number, std::size_t sample, std::size_t at, std::size_t n,
               const double* from) const {
        if (number >= 0) std::memcpy(memory(number, sample).to + at, from, n * sizeof(double));
    }

    // Whether a probe with this period, in steps of the simulation, samples step `t` of the block.
    SPIKEWRIGHT_INLINE bool is_sampled(std::size_t t, std::size_t every) const {
        return every == 1 || (job->first + first_step + t + 1) % every == 0;
    }

    // Whether this is the last block of a last run, after which no state is read.
    bool last() const { return job->last && first_step + steps >= job->steps; }

    // A state of a population in blocks, such as `State::voltage`, from one neuron on.
    template <class T>
    SPIKEWRIGHT_INLINE Passed<T> passed(std::vector<Array<T>> State::*which, std::size_t population,
                                        std::size_t sample, std::size_t offset) const {
        const State& s = *job->state;
        const std::size_t size = job->plan->populations[population].state_size();
        T* to = (next->*which)[population].data() + sample * size + offset;
        if (first_step) return {to, to};
        if (!s.started) return {nullptr, to};
        return {(s.*which)[population].data() + (first_sample + sample) * size + offset, to};
    }

    // Sums in bytes, of a `brief` run.
    SPIKEWRIGHT_INLINE std::int8_t* brief_total(std::size_t population, std::size_t sample, std::size_t offset) const {
        return brief(next->total[population], population, sample) + offset;
    }
    SPIKEWRIGHT_INLINE std::int8_t* brief_sent(std::size_t population, std::size_t sample, std::size_t offset) const {
        return brief(next->sent[population], population, sample) + offset;
    }
    template <class T>
    SPIKEWRIGHT_INLINE std::int8_t* brief(Array<T>& sums, std::size_t population, std::size_t sample) const {
        return reinterpret_cast<std::int8_t*>(sums.data()) +
               sample * job->plan->populations[population].state_size();
    }
};

// The kernels of an instruction set. `list` runs first on all threads of a team, then `execute`.
struct Kernels {
    const char* name;
    void* (*make_frames)(std::size_t samples, std::size_t steps);
    void (*drop_frames)(void*);
    void* (*make_scratch)();
    void (*drop_scratch)(void*);
    void (*list)(const Context&, const Instruction&);
    void (*execute)(const Context&, const Instruction&);
    // Write the sums of one sample, from the stored order, to a row of a run's totals: from bytes, or wider sums.
    void (*write_byte_totals)(const Population&, const Totals&, std::size_t row, const std::int8_t* sent,
                       const std::int8_t* net);
    void (*write_totals)(const Population&, const Totals&, std::size_t row, const std::uint32_t* sent,
                 const double* net);
    void (*integrate_floats)(const SequenceIntegration<float>&);
    void (*integrate_doubles)(const SequenceIntegration<double>&);
    unsigned masked_cost;    // see `simd.hpp`
    Multiply multiply = {};  // by tiles, which `dispatch.cpp` adds
    bool has_tiles = false;  // of the processor
};

}  // namespace spikewright
