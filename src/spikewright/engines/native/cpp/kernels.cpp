// All kernels for one instruction set. CMake compiles this file once for each, with
// SPIKEWRIGHT_ISA as the name of its namespace.

#include "analog.hpp"
#include "delay_ring.hpp"
#include "neuron_pieces.hpp"
#include "node_functions.hpp"
#include "currents.hpp"
#include "depthwise.hpp"
#include "filters.hpp"
#include "sequence_kernel.hpp"
#include "layer.hpp"
#include "learned.hpp"
#include "sparse_maps.hpp"
#include "layout_ops.hpp"
#include "pools.hpp"
#include "readout.hpp"
#include "recursive_least_squares.hpp"
#include "csc_sums.hpp"
#include "count_layers.hpp"
#include "totals.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {
namespace {

Lists& lists(const Context& c) { return *static_cast<Lists*>(c.frames); }
Scratch& scratch(const Context& c) { return *static_cast<Scratch*>(c.scratch); }

void list(const Context& c, const Instruction& op) {
    if (op.action == Action::layer) list_layer(c, op, lists(c));
    if (op.action == Action::analog) list_analog(c, op, lists(c));
    if (op.action == Action::depthwise) list_depthwise(c, op, lists(c));
    if (op.action == Action::signed_layer) list_signed(c, op, lists(c), scratch(c));
}

void execute(const Context& c, const Instruction& op) {
    switch (op.action) {
        case Action::layer:
        case Action::signed_layer: return run_layer(c, op, lists(c), scratch(c));
        case Action::analog: return run_analog(c, op, lists(c), scratch(c));
        case Action::depthwise: return run_depthwise(c, op, lists(c), scratch(c));
        case Action::fire: return run_currents(c, op);
        case Action::pool: return run_pool(c, op);
        case Action::take: return run_take(c, op);
        case Action::put: return run_put(c, op);
        case Action::sum: return run_sum(c, op);
        case Action::add: return run_add(c, op);
        case Action::load: return run_load(c, op);
        case Action::store: return run_store(c, op);
        case Action::filter: return run_filter(c, op, Writes::before);
        case Action::emit: return run_emit(c, op);
        case Action::absorb: return run_filter(c, op, Writes::never);
        case Action::piecewise: return run_piecewise(c, op);
        case Action::sparse: return run_sparse(c, op);
        case Action::axis_map: return run_axis_map(c, op);
        case Action::pool_values: return run_pool_values(c, op);
        case Action::max_pool: return run_max_pool(c, op);
        case Action::running_max_pool: return run_running_max_pool(c, op);
        case Action::readout: return run_readout(c, op);
        case Action::scatter: return run_scatter(c, op);
        case Action::smooth: return run_filter(c, op, Writes::behind);
        case Action::learn: return run_learned<true, true>(c, op);
        case Action::respond: return run_learned<true, false>(c, op);
        case Action::finish: return run_learned<false, true>(c, op);
        case Action::recur: return run_recursion(c, op);
        case Action::delay: return run_delay<true, true>(c, op);
        case Action::release: return run_delay<true, false>(c, op);
        case Action::keep: return run_delay<false, true>(c, op);
        case Action::csc: return run_csc(c, op, scratch(c).csc);
        case Action::arrive: return run_arrivals<true, true>(c, op, scratch(c).csc);
        case Action::receive: return run_arrivals<true, false>(c, op, scratch(c).csc);
        case Action::send: return run_arrivals<false, true>(c, op, scratch(c).csc);
        case Action::advance: return run_advance(c, op);
        case Action::compute: return run_function(c, op);
        case Action::call: return;  // not run here
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
    []() -> void* { return new Scratch; },
    [](void* scratch) { delete static_cast<Scratch*>(scratch); },
    list,
    execute,
    write_totals<std::int8_t, std::int8_t>,
    write_totals<std::uint32_t, double>,
    integrate_sequence<float>,
    integrate_sequence<double>,
    kMaskedCost,
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
