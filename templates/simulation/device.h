// What the harness needs of a verilated top: its clock, its ports, and every ready/valid stream
// inside it. A top may hold several accelerators side by side, each with a clock of its own; one at a
// time is in focus. The generated shim fills these in; nothing here depends on a design.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

class VerilatedContext;

namespace systole {

// One ready/valid stream. Pointers lead into the model and stay valid as long as it lives.
struct Stream {
    const char* name;
    const uint8_t* valid;
    const uint8_t* ready;
    const uint8_t* last;     // TLAST; null on streams that have none
    const void* data;        // payload, as Verilator keeps it: 1, 2, 4, 8 or a multiple of 4 bytes
    uint8_t* force_enable;   // overrides ready while 1; null on the ports of the top
    uint8_t* force_value;
    uint32_t data_bytes;
    uint32_t beat_bits;
    uint32_t pixel_beats;    // beats a pixel
    uint32_t final_bits;     // payload bits in use on the last beat of a pixel; above them 0
    uint64_t sample_beats;   // beats a sample
};

class Device {
public:
    virtual ~Device() = default;
    // Makes all members below those of accelerator number `device`.
    virtual void focus(uint32_t device) = 0;
    virtual void eval() = 0;
    // Works out all combinational logic afresh: eval() looks only at what ports and clocks reach,
    // and an overridden ready is neither.
    virtual void settle() = 0;
    // Appends the present state to the waveform; nothing without one.
    virtual void dump(uint64_t time) { (void)time; }

    uint8_t* clock = nullptr;
    uint8_t* resetn = nullptr;
    uint8_t* input_valid = nullptr;
    uint8_t* input_last = nullptr;  // null where the top has no such port
    void* input_data = nullptr;
    uint8_t* output_ready = nullptr;
    uint32_t input_stream = 0;  // positions in `streams`
    uint32_t output_stream = 0;
    std::vector<Stream> streams;
};

// Defined by the generated shim. `trace` is a waveform file or null.
std::unique_ptr<Device> make_device(VerilatedContext* context, const char* trace);

}  // namespace systole
