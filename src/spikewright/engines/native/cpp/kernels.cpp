// All kernels for one instruction set. CMake compiles this file once for each, with
// SPIKEWRIGHT_ISA as the name of its namespace.

#include "analog.hpp"
#include "axis_map.hpp"
#include "cells.hpp"
#include "currents.hpp"
#include "depthwise.hpp"
#include "filters.hpp"
#include "layer.hpp"
#include "learned.hpp"
#include "moves.hpp"
#include "readout.hpp"
#include "signed.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {
namespace {

// What one step of one sample of a layer's input holds, for all samples and steps of a block.
struct Lists {
    Lists(std::size_t samples, std::size_t steps)
        : events(samples * slabs_in(steps)), frames(events.size()), values(samples * steps) {}
    std::vector<Slab> events;
    std::vector<Frames> frames;  // one a slab
    std::vector<Split> values;
};

Lists& lists(const Context& c) { return *static_cast<Lists*>(c.frames); }
Workspace& workspace(const Context& c) { return *static_cast<Workspace*>(c.scratch); }

void list(const Context& c, const Instruction& op) {
    Lists& to = lists(c);
    if (op.action == Action::layer) list_layer(c, op, to.events);
    if (op.action == Action::analog) list_analog(c, op, to.values);
    if (op.action == Action::depthwise) list_depthwise(c, op, to.events, to.frames, to.values);
    if (op.action == Action::signed_layer)
        list_signed(c, op, to.events, to.frames, to.values, workspace(c));
}

void execute(const Context& c, const Instruction& op) {
    switch (op.action) {
        case Action::layer:
            return run_layer(c, op, lists(c).events, workspace(c));
        case Action::fire: return run_currents(c, op);
        case Action::pool: return run_pool(c, op);
        case Action::take: return run_take(c, op);
        case Action::put: return run_put(c, op);
        case Action::sum: return run_sum(c, op);
        case Action::add: return run_add(c, op);
        case Action::load: return run_load(c, op);
        case Action::store: return run_store(c, op);
        case Action::filter: return run_filter(c, op);
        case Action::emit: return run_emit(c, op);
        case Action::absorb: return run_absorb(c, op);
        case Action::cells: return run_cells(c, op);
        case Action::analog:
            return run_analog(c, op, lists(c).values, workspace(c));
        case Action::signed_layer:
            return run_signed(c, op, lists(c).events, lists(c).frames, lists(c).values, workspace(c));
        case Action::depthwise:
            return run_depthwise(c, op, lists(c).events, lists(c).frames, lists(c).values,
                                 workspace(c));
        case Action::sparse: return run_sparse(c, op);
        case Action::axis_map: return run_axis_map(c, op);
        case Action::pool_values: return run_pool_values(c, op);
        case Action::max_pool: return run_max_pool(c, op);
        case Action::running_max_pool: return run_running_max_pool(c, op);
        case Action::readout: return run_readout(c, op);
        case Action::scatter: return run_scatter(c, op);
        case Action::smooth: return run_smooth(c, op);
        case Action::learn: return run_weights<true, true>(c, op);
        case Action::respond: return run_weights<true, false>(c, op);
        case Action::finish: return run_weights<false, true>(c, op);
        case Action::call: return;  // none of a kernel's
    }
}

#define SPIKEWRIGHT_TEXT_(x) #x
#define SPIKEWRIGHT_TEXT(x) SPIKEWRIGHT_TEXT_(x)

}  // namespace

extern const Kernels kernels;
const Kernels kernels{
    SPIKEWRIGHT_TEXT(SPIKEWRIGHT_ISA),
    [](std::size_t samples, std::size_t steps) -> void* { return new Lists(samples, steps); },
    [](void* frames) { delete static_cast<Lists*>(frames); },
    []() -> void* { return new Workspace; },
    [](void* scratch) { delete static_cast<Workspace*>(scratch); },
    list,
    execute,
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
