// All kernels for one instruction set. CMake compiles this file once for each, with
// SPIKEWRIGHT_ISA as the name of its namespace.

#include "currents.hpp"
#include "layer.hpp"
#include "moves.hpp"

namespace spikewright::SPIKEWRIGHT_ISA {
namespace {

void list(const Context& c, const Instruction& op) {
    if (op.action == Action::layer)
        list_layer(c, op, *static_cast<std::vector<Frame>*>(c.frames));
}

void execute(const Context& c, const Instruction& op) {
    switch (op.action) {
        case Action::layer:
            return run_layer(c, op, *static_cast<std::vector<Frame>*>(c.frames),
                             *static_cast<Scratch*>(c.scratch));
        case Action::fire: return run_currents(c, op);
        case Action::pool: return run_pool(c, op);
        case Action::take: return run_take(c, op);
        case Action::sum: return run_sum(c, op);
        case Action::add: return run_add(c, op);
        case Action::load: return run_load(c, op);
        case Action::store: return run_store(c, op);
    }
}

#define SPIKEWRIGHT_TEXT_(x) #x
#define SPIKEWRIGHT_TEXT(x) SPIKEWRIGHT_TEXT_(x)

}  // namespace

extern const Kernels kernels;
const Kernels kernels{
    SPIKEWRIGHT_TEXT(SPIKEWRIGHT_ISA),
    [](std::size_t count) -> void* { return new std::vector<Frame>(count); },
    [](void* frames) { delete static_cast<std::vector<Frame>*>(frames); },
    []() -> void* { return new Scratch; },
    [](void* scratch) { delete static_cast<Scratch*>(scratch); },
    list,
    execute,
};

}  // namespace spikewright::SPIKEWRIGHT_ISA
