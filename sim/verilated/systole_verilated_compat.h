// Force-included when the crate `verilated` 0.1.2 is compiled (feature `verilated`). The crate was
// written for Verilator 4 and chooses its calls by that version; Verilator 5 has kept the
// calls of 4.038 and renamed one. Its version macros are pinned to 4.038 here, on whatever 5.x is
// installed, and the renamed call is mapped.
#pragma once
#ifdef VERILATOR_VERSION_MAJOR
#undef VERILATOR_VERSION_MAJOR
#undef VERILATOR_VERSION_MINOR
#define VERILATOR_VERSION_MAJOR 4
#define VERILATOR_VERSION_MINOR 38
#endif
#ifdef __cplusplus
#define rolloverMB(megabytes) rolloverSize((megabytes)*1000000ULL)
#endif
