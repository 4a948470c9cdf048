// Allocation of buffers: those that are not in use at the same time share memory, which stays in caches
// and is less than that of all signals of a deep region together.
#pragma once

#include <algorithm>
#include <numeric>

#include "plan.hpp"

namespace spikewright {

// The first and the last instruction that use a buffer.
struct Lifetime {
    std::size_t first = ~std::size_t(0), last = 0;
    bool zero = false;  // parts of it are written and all of it is read
};

inline std::vector<Lifetime> lifetimes_of(const Plan& plan) {
    std::vector<Lifetime> lives(plan.buffers.size());
    for (std::size_t i = 0; i < plan.instructions.size(); ++i) {
        const Instruction& op = plan.instructions[i];
        const auto use = [&](std::int32_t buffer) -> Lifetime& {
            const std::int32_t parent = plan.buffers[std::size_t(buffer)].parent;
            Lifetime& life = lives[std::size_t(parent < 0 ? buffer : parent)];
            life.first = std::min(life.first, i);
            life.last = i;
            return life;
        };
        if (op.action != Action::load && !op.external && op.input >= 0) use(op.input);
        if (op.action != Action::store && op.output >= 0) use(op.output).zero |= op.action == Action::put;
        for (const Operand& term : op.operands)
            if (!term.external) use(term.source);
        if (op.piecewise)
            for (std::int32_t recorded : op.piecewise->recorded)
                if (recorded >= 0) use(recorded);
        if (op.recursion && op.recursion->recorded >= 0) use(op.recursion->recorded);
        if (op.readouts)
            for (const Readout& member : op.readouts->members) use(member.source);
        if (op.scatter)
            for (const Added& term : op.scatter->terms) use(term.source);
        if (op.weights) {
            if (op.weights->recorded >= 0) use(op.weights->recorded);
            for (const RuleOp& r : op.weights->rules)
                for (std::int32_t b : {r.receivers, r.senders, r.theta, r.signal, r.delta})
                    if (b >= 0) use(b);
        }
        if (op.piecewise)
            for (const Piece& piece : op.piecewise->pieces)
                if (!piece.external) use(piece.source);
    }
    return lives;
}

// Assigns each buffer, in the order of first use, to the free slot that fits best.
inline void allocate_buffers(Plan& plan) {
    const std::vector<Lifetime> lives = lifetimes_of(plan);
    std::vector<std::size_t> order(plan.buffers.size()), until;
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order, {}, [&](std::size_t b) { return lives[b].first; });
    plan.slots.clear();
    for (std::size_t b : order) {
        Buffer& buffer = plan.buffers[b];
        if (buffer.parent >= 0) continue;
        const std::size_t bytes = buffer.bytes();
        std::size_t best = plan.slots.size();
        const auto misfit = [&](std::size_t slot) {
            const std::size_t has = plan.slots[slot].bytes;
            return has < bytes ? bytes - has : has - bytes;
        };
        for (std::size_t slot = 0; slot < plan.slots.size(); ++slot) {
            const bool free = until[slot] < lives[b].first && !plan.slots[slot].zero;
            if (free && !lives[b].zero && (best == plan.slots.size() || misfit(slot) < misfit(best)))
                best = slot;
        }
        if (best == plan.slots.size()) {
            plan.slots.push_back({});
            until.push_back(0);
        }
        buffer.slot = best;
        plan.slots[best].bytes = std::max(plan.slots[best].bytes, bytes);
        plan.slots[best].zero = lives[b].zero;
        until[best] = std::max(until[best], lives[b].last);
    }
}

}  // namespace spikewright
