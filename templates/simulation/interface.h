// The C interface of a simulated accelerator: plain structures and functions, so that a program in
// any language can load the shared object. Cycles are rising clock edges counted from the release
// of reset; beats are kept as whole 32-bit words, the lowest bits of the payload first.
#pragma once

#include <cstdint>

extern "C" {

// Rises when a structure or a function below changes.
enum : uint32_t { SYSTOLE_INTERFACE = 2 };

// Rules of a stream that are watched in every cycle, in the order of `SystoleStreamReport`.
enum SystoleRule : uint32_t {
    SYSTOLE_DROPPED_VALID = 0,    // valid fell before ready took the beat
    SYSTOLE_CHANGED_PAYLOAD = 1,  // payload or TLAST changed before ready took the beat
    SYSTOLE_WRONG_LAST = 2,       // TLAST is not exactly on the last beat of a sample
    SYSTOLE_VALID_WAITS = 3,      // valid depends on ready within a cycle
    SYSTOLE_IDLE_LANE = 4,        // an idle lane of a pixel's last beat is not 0
    SYSTOLE_RULES = 5,
};

// How a run ended.
enum SystoleEnd : int32_t {
    SYSTOLE_DONE = 0,       // every beat went in and came out
    SYSTOLE_HANG = 1,       // nothing moved anywhere for `hang_cycles`
    SYSTOLE_RUNAWAY = 2,    // a stream carried a whole sample more than it should
    SYSTOLE_CANCELLED = 3,  // the progress function said so
    SYSTOLE_FAILED = -1,    // the model stopped: see systole_error
};

// Called every `progress_cycles` with the cycle and the output beats so far; not 0 ends the run.
typedef int32_t (*SystoleProgress)(void* user, uint64_t cycle, uint64_t output_beats);

struct SystoleRunSpec {
    const uint32_t* input;     // `samples` times the input stream's beats
    uint64_t samples;          // whole samples to push through
    uint64_t hang_cycles;      // cycles without any transfer that count as a hang
    uint64_t drain_cycles;     // cycles to watch after the last beat, for beats too many
    uint64_t interval_cycles;  // expected cycles a sample: the length of a whole-sample gap
    uint64_t latency_cycles;   // expected cycles from first to last beat of a sample
    uint64_t stall_seed;       // draws both stall processes; used when `stall` is not 0
    uint32_t stall;            // whether source and sink stall
    uint32_t probe;            // whether to test that valid does not depend on ready
    uint32_t capture;          // whether to keep the beats of every stream
    uint32_t reserved;
    uint64_t progress_cycles;  // 0: never
    SystoleProgress progress;
    void* user;
};

struct SystoleRunReport {
    uint64_t cycles;          // from the run's first cycle to the one after its last transfer
    uint64_t first_cycle;     // cycle number at which the run began
    uint64_t stalled_source;  // cycles in which a beat was withheld on purpose
    uint64_t stalled_sink;    // cycles in which ready was withheld on purpose
    uint32_t source_mode;     // 0 none, 1-3 probability 1/8, 1/2, 7/8, 4 bursts, 5 whole-sample gaps
    uint32_t sink_mode;
};

struct SystoleStreamReport {
    uint64_t beats;                 // transfers of the run
    uint64_t waiting;               // 1 if a beat was on offer and not taken when the run ended
    uint64_t count[SYSTOLE_RULES];  // breaches of each rule
    uint64_t cycle[SYSTOLE_RULES];  // cycle of the first breach
};

uint32_t systole_interface();
// `rom_folder`: where the relative names of $readmemh lie. `trace`: waveform file or null.
// Null on failure, with the reason in `error`.
void* systole_create(const char* rom_folder, uint64_t seed, const char* trace, char* error, uint64_t error_size);
void systole_destroy(void* model);
// Turns to accelerator number `device` of those in the object, 0 at the start; the others stand still.
int32_t systole_focus(void* model, uint32_t device);
int32_t systole_reset(void* model, uint32_t cycles);
int32_t systole_run(void* model, const SystoleRunSpec* spec, SystoleRunReport* report);
// The accessors below speak of the last run; what they point to lasts until the next.
const char* systole_error(void* model);
uint32_t systole_stream_count(void* model);
const char* systole_stream_name(void* model, uint32_t stream);
void systole_stream_report(void* model, uint32_t stream, SystoleStreamReport* report);
const uint32_t* systole_beats(void* model, uint32_t stream, uint64_t* words);
const uint64_t* systole_edges(void* model, uint32_t output, uint64_t* count);
}
