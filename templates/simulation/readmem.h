// Force-included into the verilated design: $readmemh goes through a wrapper that knows the
// bundle's folder and rejects images that do not fill their memory.
#pragma once

#include <string>

#include "verilated.h"

void systole_readmem(bool hex, int bits, QData depth, int array_lsb, const std::string& filename, void* memory,
                     QData start, QData end);

#define VL_READMEM_N systole_readmem
