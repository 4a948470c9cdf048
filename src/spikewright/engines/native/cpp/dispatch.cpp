#include "dispatch.hpp"

#if defined(SPIKEWRIGHT_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(SPIKEWRIGHT_DOTPROD) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace spikewright {

namespace baseline {
extern const Kernels kernels;
}
namespace plain {
extern const Multiply multiply;
}
#ifdef SPIKEWRIGHT_X86
namespace avx2 {
extern const Kernels kernels;
extern const Multiply multiply;
}
namespace avx512 {
extern const Kernels kernels;
extern const Multiply multiply;
}
#endif
#ifdef SPIKEWRIGHT_VNNI
namespace vnni {
extern const Multiply multiply;
}
#endif
#ifdef SPIKEWRIGHT_AMX
namespace amx {
extern const Multiply multiply;
}
#endif

#ifdef SPIKEWRIGHT_ARM64
namespace neon {
extern const Kernels kernels;
}
#endif
#ifdef SPIKEWRIGHT_DOTPROD
namespace dotprod {
extern const Multiply multiply;
}
#endif

namespace {

// With a `name` where products are the processor's own.
Kernels with_tiles(Kernels kernels, Multiply multiply, const char* name = nullptr) {
    kernels.multiply = multiply;
    kernels.has_tiles = name != nullptr;
    if (name) kernels.name = name;
    return kernels;
}

// Whether the processor has tiles of bytes, and the system lets this process use them: it asks once.
[[maybe_unused]] bool may_use_tiles() {
#ifdef SPIKEWRIGHT_AMX
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned amx_tile = 1u << 24, amx_int8 = 1u << 25;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & amx_tile) || !(d & amx_int8)) return false;
    constexpr long request_permission = 0x1023, tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}

// Whether the processor has products of bytes; of Apple's all have.
[[maybe_unused]] bool has_dot_products() {
#if defined(SPIKEWRIGHT_DOTPROD) && defined(__linux__)
    constexpr unsigned long dot_products = 1ul << 20;
    return getauxval(AT_HWCAP) & dot_products;
#else
    return true;
#endif
}

std::vector<Kernels> find_usable() {
    std::vector<Kernels> found{with_tiles(baseline::kernels, plain::multiply)};
#ifdef SPIKEWRIGHT_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        found.push_back(with_tiles(avx2::kernels, avx2::multiply, "avx2"));
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
        found.push_back(with_tiles(avx512::kernels, avx512::multiply, "avx512"));
#ifdef SPIKEWRIGHT_VNNI
        if (__builtin_cpu_supports("avx512vnni"))
            found.push_back(with_tiles(avx512::kernels, vnni::multiply, "vnni"));
#endif
#ifdef SPIKEWRIGHT_AMX
        if (may_use_tiles()) found.push_back(with_tiles(avx512::kernels, amx::multiply, "amx"));
#endif
    }
#endif
#ifdef SPIKEWRIGHT_ARM64
    found.push_back(with_tiles(neon::kernels, plain::multiply));
#endif
#ifdef SPIKEWRIGHT_DOTPROD
    if (has_dot_products()) found.push_back(with_tiles(neon::kernels, dotprod::multiply, "dotprod"));
#endif
    return found;
}

}  // namespace

const std::vector<Kernels>& usable_kernels() {
    static const std::vector<Kernels> found = find_usable();
    return found;
}

const Kernels* find_kernels(const std::string& name) {
    if (name.empty()) return &usable_kernels().back();
    for (const Kernels& kernels : usable_kernels())
        if (name == kernels.name) return &kernels;
    return nullptr;
}

}  // namespace spikewright
