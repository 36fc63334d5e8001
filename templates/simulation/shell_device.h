// What the board's harness needs of a verilated register shell. The generated shim fills the
// pointers in; they lead into the model and stay valid as long as it lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

class VerilatedContext;

namespace systole {

// A port of one beat: payload, byte enables, end mark and handshake.
struct BeatPort {
    void* data = nullptr;
    void* keep = nullptr;
    size_t data_bytes = 0;
    size_t keep_bytes = 0;
    uint8_t* last = nullptr;
    uint8_t* valid = nullptr;
    uint8_t* ready = nullptr;
};

class ShellDevice {
public:
    virtual ~ShellDevice() = default;
    virtual void eval() = 0;
    // Appends the present state to the waveform; nothing without one.
    virtual void dump(uint64_t time) { (void)time; }

    uint8_t* clock = nullptr;
    uint8_t* resetn = nullptr;
    uint8_t* irq = nullptr;
    BeatPort input, output;

    // AXI4-Lite: write address, write data, write response, read address, read data.
    uint16_t* awaddr = nullptr;
    uint8_t* awvalid = nullptr;
    uint8_t* awready = nullptr;
    uint32_t* wdata = nullptr;
    uint8_t* wstrb = nullptr;
    uint8_t* wvalid = nullptr;
    uint8_t* wready = nullptr;
    uint8_t* bresp = nullptr;
    uint8_t* bvalid = nullptr;
    uint8_t* bready = nullptr;
    uint16_t* araddr = nullptr;
    uint8_t* arvalid = nullptr;
    uint8_t* arready = nullptr;
    uint32_t* rdata = nullptr;
    uint8_t* rresp = nullptr;
    uint8_t* rvalid = nullptr;
    uint8_t* rready = nullptr;
};

// Defined by the generated shim. `trace` is a waveform file or null.
std::unique_ptr<ShellDevice> make_shell_device(VerilatedContext* context, const char* trace);

}  // namespace systole
