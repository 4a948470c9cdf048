// Commits the results of a group of samples: their next state, or only their totals.
#pragma once

#include "context.hpp"

namespace spikewright {

// Adds up the spikes of a block of time that exceed their bytes, of all populations.
inline void sum_large(const Context& c) {
    const Plan& plan = *c.job->plan;
    for (std::size_t i = 0; i < plan.populations.size(); ++i)
        for (std::size_t s = 0; s < c.samples && c.exceeds(plan.populations[i].output); ++s)
            for (std::size_t t = 0; t < c.steps; ++t)
                c.each_large(plan.populations[i].output, s, t, [&](std::size_t index, double count) {
                    c.next->beyond[i][{s, index}] += std::fabs(count - clamped(count));
                });
}

// Called after all steps of a group: its next state becomes its state. A last run that returns totals
// writes only these.
inline void commit_state(const Context& c, const Kernels& kernels) {
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
                kernels.write_byte_totals(p, to, row, c.brief_total(i, b, 0), c.brief_sent(i, b, 0));
            else
                kernels.write_totals(p, to, row, c.next->total[i].data() + b * p.state_size(),
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
        if (!job.last || !job.plan->memories[i].passing)
            put(s.memory[i], c.next->memory[i], job.plan->memories[i].size);
}

}  // namespace spikewright
