// The C interface of a simulated board: an accelerator in its register shell, reached through
// AXI4-Lite registers and two AXI4-Streams. Cycles are rising clock edges; bytes of a beat are
// little-endian, byte 0 in the low bits of TDATA.
#pragma once

#include <cstdint>

extern "C" {

// Rises when a structure or a function below changes.
enum : uint32_t { SYSTOLE_SHELL_INTERFACE = 1 };

struct SystoleShellRun {
    uint64_t cycles;       // run at most so many
    const uint8_t* input;  // bytes of one transfer towards the board
    uint64_t input_bytes;  // if no multiple of the beat, the final beat has TKEEP low above its bytes
    uint8_t* output;       // where output beats go
    uint64_t room;         // bytes of it: as many whole beats are taken as fit
    uint32_t input_last;   // whether the final beat carries TLAST
    uint32_t reserved;
};

// A run ends early behind the last beat of `input`, behind a beat with TLAST, and when `output` is full.
struct SystoleShellMoved {
    uint64_t cycles;      // cycles run
    uint64_t taken;       // bytes of `input` put on the port; a beat there stays until the board takes it
    uint64_t given;       // bytes written to `output`
    uint64_t interrupts;  // rising edges of irq
    uint32_t ended;       // whether the last beat given carries TLAST
    uint32_t interrupt;   // level of irq
};

uint32_t systole_shell_interface();
// As systole_create of interface.h.
void* systole_shell_create(const char* rom_folder, uint64_t seed, const char* trace, char* error, uint64_t error_size);
void systole_shell_destroy(void* board);
uint32_t systole_shell_beat_bytes(void* board);
// The functions below return 0, or -1 if the board stopped: see systole_shell_error.
// Holds aresetn low.
int32_t systole_shell_reset(void* board, uint32_t cycles);
int32_t systole_shell_run(void* board, const SystoleShellRun* run, SystoleShellMoved* moved);
// One AXI4-Lite access; streams wait meanwhile, but for a beat that is on the input port.
int32_t systole_shell_read(void* board, uint32_t offset, uint32_t* value, SystoleShellMoved* moved);
int32_t systole_shell_write(void* board, uint32_t offset, uint32_t value, SystoleShellMoved* moved);
// From now on TVALID towards the board and TREADY from the board are held low at random, as
// `seed` says; not `on`: never.
void systole_shell_stall(void* board, uint32_t on, uint64_t seed);
const char* systole_shell_error(void* board);
}
