#include "dispatch.hpp"

namespace spikewright {

namespace baseline {
extern const Kernels kernels;
}
#ifdef SPIKEWRIGHT_X86
namespace avx2 {
extern const Kernels kernels;
}
namespace avx512 {
extern const Kernels kernels;
}
#endif

std::vector<const Kernels*> usable_kernels() {
    std::vector<const Kernels*> found{&baseline::kernels};
#ifdef SPIKEWRIGHT_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2")) found.push_back(&avx2::kernels);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        found.push_back(&avx512::kernels);
#endif
    return found;
}

const Kernels* find_kernels(const std::string& name) {
    const auto found = usable_kernels();
    if (name.empty()) return found.back();
    for (const Kernels* kernels : found)
        if (name == kernels->name) return kernels;
    return nullptr;
}

}  // namespace spikewright
