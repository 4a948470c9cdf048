// A ring buffer for spikes with a delay for each synapse: every spike adds its list to the rows of the steps
// in which its entries arrive. In a loop a step's row is read at its start, and spikes are sent at its end.
#pragma once

#include "csc_sums.hpp"
#include "delayed_csc.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {

// Adds a list to the rows of a part, of which `now` is this step's.
template <class Weight>
inline void add_list(const DelayedCsc& m, const DelayedEntry<Weight>* list, std::size_t n, double count,
                     std::size_t now, double* part) {
    constexpr std::size_t ahead = 16;  // entries: rows lie in a far cache
    const auto place = [&](const DelayedEntry<Weight>& s) {
        const std::size_t row = now + s.delay;
        return part + (row < m.steps ? row : row - m.steps) * m.receivers + s.receiver;
    };
    for (std::size_t i = 0; i < n; ++i) {
        if (i + ahead < n) __builtin_prefetch(place(list[i + ahead]), 1);
        *place(list[i]) += count * double(list[i].weight);
    }
}

// The spikes of one step, or other values, to the receivers of some parts.
template <class T>
inline void send(const DelayedCsc& m, const T* counts, const std::vector<std::uint32_t>& spiking,
                 const Share& parts, std::size_t now, double* rows) {
    for (std::uint32_t sender : spiking)
        for (std::size_t p = parts.begin; p < parts.end; ++p) {
            const std::uint32_t* ends = m.starts.data() + sender * m.parts + p;
            const std::size_t n = ends[1] - ends[0];
            double *part = rows + m.first_of(p), count = counts[sender];
            if (m.wide.empty())
                add_list(m, m.narrow.data() + ends[0], n, count, now, part);
            else
                add_list(m, m.wide.data() + ends[0], n, count, now, part);
        }
}

template <bool releases, bool sends>
inline void run_arrivals(const Context& c, const Instruction& op, CscWorkspace& room) {
    const DelayedCsc& m = *op.delayed_csc;
    const Share parts = c.share(m.parts);
    const std::size_t first = m.first_of(parts.begin), n = m.first_of(parts.end) - first;
    for (std::size_t s = 0; s < c.samples; ++s) {
        const Context::Kept rows = c.memory(m.rows, s);
        if (sends && rows.from != rows.to)
            for (std::size_t at = first; at < m.steps * m.receivers; at += m.receivers)
                std::memcpy(rows.to + at, rows.from + at, n * sizeof(double));
        for (std::size_t t = 0; t < c.steps; ++t) {
            const std::size_t now = (c.job->first + c.first_step + t) % m.steps;
            const std::size_t row = now * m.receivers + first;
            if (releases) {
                const double* from = (sends ? rows.to : rows.from) + row;
                double* to = c.values(op.output, s, t) + first;
                for (std::size_t k = 0; k < n; ++k) to[k] = from[k] * m.factor;
            }
            if (sends) {
                std::memset(rows.to + row, 0, n * sizeof(double));
                room.spiking.clear();
                by_reading(c, op.input, [&](auto&& read) {
                    const auto* sent = read(s, t);
                    list_spiking(sent, m.count, room.spiking);
                    send(m, sent, room.spiking, parts, now, rows.to);
                });
            }
        }
    }
}

}  // namespace spikewright::SPIKEWRIGHT_ISA
