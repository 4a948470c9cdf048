// What a run leaves: the state of its samples, or their sums alone.
#pragma once

#include "context.hpp"

namespace spikewright {

// The group has been through all steps: its next state becomes its state. Where a last run gives sums,
// these are all that is left of it.
inline void keep(const Context& c, const Kernels& kernels) {
    const Job& job = *c.job;
    State& s = *job.state;
    const auto put = [&](auto& to, auto& from, std::size_t size) {
        if (c.samples == job.batch) return to.swap(from);
        std::memcpy(to.data() + c.first_sample * size, from.data(), c.samples * size * sizeof(from[0]));
    };
    for (std::size_t i = 0; i < s.voltage.size(); ++i) {
        const Population& p = job.plan->populations[i];
        for (std::size_t b = 0; b < c.samples && !job.totals.empty(); ++b) {
            const Totals& to = job.totals[i];
            const std::size_t row = c.first_sample + b;
            if (job.brief)
                kernels.tell_bytes(p, to, row, c.brief_total(i, b, 0), c.brief_sent(i, b, 0));
            else
                kernels.tell(p, to, row, c.next->total[i].data() + b * p.state_size(),
                             c.next->sent[i].data() + b * p.sent_size());
        }
        if (!job.totals.empty()) continue;
        if (!job.last) {
            put(s.voltage[i], c.next->voltage[i], p.state_size());
            put(s.sum[i], c.next->sum[i], p.followed_size());
            put(s.target[i], c.next->target[i], p.followed_size());
        }
        put(s.total[i], c.next->total[i], p.state_size());
        put(s.sent[i], c.next->sent[i], p.sent_size());
    }
    for (std::size_t i = 0; i < s.memory.size(); ++i)
        put(s.memory[i], c.next->memory[i], job.plan->memories[i].size);
    std::fill_n(s.finished.begin() + std::ptrdiff_t(c.first_sample), c.samples, 1);
}

// Some samples are at the beginning.
inline void begin(const Plan& plan, State& s, std::size_t first, std::size_t samples) {
    for (std::size_t b = first; b < first + samples; ++b) {
        for (std::size_t i = 0; i < s.voltage.size(); ++i) {
            const Population& p = plan.populations[i];
            const std::size_t size = p.state_size();
            for (std::size_t pixel = 0; pixel < p.pixels; ++pixel)
                for (std::size_t at = 0; at < p.padded; at += kVector)
                    std::copy_n(p.start.at(pixel, at), std::min(kVector, p.padded - at),
                                s.voltage[i].data() + b * size + pixel * p.padded + at);
            std::fill_n(s.total[i].data() + b * size, size, 0);
            std::fill_n(s.sent[i].data() + b * p.sent_size(), p.sent_size(), 0);
            std::fill_n(s.sum[i].data() + b * p.followed_size(), p.followed_size(), 0.0);
            std::fill_n(s.target[i].data() + b * p.followed_size(), p.followed_size(), 0.0);
        }
        for (std::size_t i = 0; i < s.memory.size(); ++i) {
            const Memory& m = plan.memories[i];
            std::copy_n(m.start.data(), m.size, s.memory[i].data() + b * m.size);
        }
    }
}

// The group stays where it was, which is the beginning before a state has started.
inline void leave(const Context& c) {
    if (!c.job->state->started) begin(*c.job->plan, *c.job->state, c.first_sample, c.samples);
}

}  // namespace spikewright
