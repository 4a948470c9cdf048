// Enumerations whose names Python reads: each is listed once.
#pragma once

#include <cstdint>

// An enumeration, and its names as one text: "a, b, c".
#define SPIKEWRIGHT_ENUM(name, ...)                 \
    enum class name : std::int32_t { __VA_ARGS__ }; \
    constexpr const char* names_of(name) { return #__VA_ARGS__; }
