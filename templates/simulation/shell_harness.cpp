// Drives a verilated register shell as a DMA engine would: bytes in and out many cycles a call,
// registers in between. Each cycle: inputs are set while the clock is low, everything settles,
// handshakes are sampled, the clock rises.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "runtime.h"
#include "shell_device.h"
#include "shell_interface.h"
#include "stall.h"
#include "verilated.h"

namespace systole {
namespace {

// A register access that takes longer is a fault of the shell.
constexpr uint64_t kAccessCycles = 10000;
// Length of a whole-sample gap of the stall processes, which know no samples here.
constexpr uint64_t kGapCycles = 500;

// As many low bits set as there are `bytes`, at most 64.
uint64_t ones(size_t bytes) { return bytes >= 64 ? ~uint64_t{0} : (uint64_t{1} << bytes) - 1; }

class Board {
public:
    Board(const char* rom_folder, uint64_t seed, const char* trace) {
        context_ = std::make_unique<VerilatedContext>();
        Verilated::threadContextp(context_.get());
        context_->randReset(2);
        context_->randSeed(static_cast<int>((seed & 0x3fffffff) + 1));
        if (trace != nullptr) context_->traceEverOn(true);
        const RomFolder folder(rom_folder);
        device_ = make_shell_device(context_.get(), trace);
        ShellDevice& device = *device_;
        for (uint8_t* low : {device.clock, device.resetn, device.input.valid, device.output.ready, device.awvalid,
                             device.wvalid, device.bready, device.arvalid, device.rready}) {
            *low = 0;
        }
        *device.wstrb = 0xf;
        device.eval();
    }

    uint32_t beat_bytes() const { return static_cast<uint32_t>(device_->input.data_bytes); }

    void reset(uint32_t cycles) {
        Verilated::threadContextp(context_.get());
        *device_->resetn = 0;
        offering_ = false;
        SystoleShellMoved ignored{};
        for (uint32_t i = 0; i < cycles; ++i) {
            low(false, ignored);
            high();
        }
        *device_->resetn = 1;
    }

    void run(const SystoleShellRun& run, SystoleShellMoved& moved);
    uint32_t read(uint32_t offset, SystoleShellMoved& moved);
    void write(uint32_t offset, uint32_t value, SystoleShellMoved& moved);

    void stall(bool on, uint64_t seed) {
        Random seeds(seed);
        const uint64_t source = seeds.next(), sink = seeds.next();
        source_ = on ? StallProcess(source, kGapCycles) : StallProcess();
        sink_ = on ? StallProcess(sink, kGapCycles) : StallProcess();
    }

    std::string error;

private:
    void offer(const uint8_t* bytes, size_t count, bool last);
    bool low(bool ready, SystoleShellMoved& moved);
    void high();
    void take(uint8_t* bytes, SystoleShellMoved& moved) const;

    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<ShellDevice> device_;
    StallProcess source_, sink_;
    uint64_t time_ = 0;
    bool offering_ = false;  // a beat is on the input port and not yet taken
    bool interrupt_ = false;
};

// Puts a beat on the input port, where it stays until the board takes it.
void Board::offer(const uint8_t* bytes, size_t count, bool last) {
    const BeatPort& port = device_->input;
    std::memset(port.data, 0, port.data_bytes);
    std::memcpy(port.data, bytes, count);
    const uint64_t keep = ones(count);
    std::memcpy(port.keep, &keep, port.keep_bytes);
    *port.last = last;
    *port.valid = 1;
    offering_ = true;
}

// The low half of a cycle: everything settles. Returns whether an output beat moves at the coming edge.
bool Board::low(bool ready, SystoleShellMoved& moved) {
    *device_->input.valid = offering_;
    *device_->output.ready = ready;
    *device_->clock = 0;
    device_->eval();
    device_->dump(time_++);
    if (offering_ && *device_->input.ready) offering_ = false;
    const bool interrupt = *device_->irq;
    if (interrupt && !interrupt_) ++moved.interrupts;
    interrupt_ = interrupt;
    moved.interrupt = interrupt;
    ++moved.cycles;
    return ready && *device_->output.valid;
}

// The rising edge and the high half.
void Board::high() {
    *device_->clock = 1;
    device_->eval();
    device_->dump(time_++);
}

// Copies the beat that the board sends at the coming edge.
void Board::take(uint8_t* bytes, SystoleShellMoved& moved) const {
    const BeatPort& port = device_->output;
    uint64_t kept = 0;
    std::memcpy(&kept, port.keep, port.keep_bytes);
    if (kept != ones(port.data_bytes)) throw std::runtime_error("the shell sent a beat with TKEEP low in places");
    std::memcpy(bytes, port.data, port.data_bytes);
    moved.given += port.data_bytes;
    moved.ended = *port.last;
}

void Board::run(const SystoleShellRun& run, SystoleShellMoved& moved) {
    Verilated::threadContextp(context_.get());
    const uint64_t beat = beat_bytes();
    bool full = run.room < beat;
    while (moved.cycles < run.cycles) {
        // The stall processes wish once a cycle; a beat on the port stays there all the same.
        const bool hold = source_.wish(0);
        if (!offering_ && !hold && moved.taken < run.input_bytes) {
            const uint64_t count = std::min(beat, run.input_bytes - moved.taken);
            offer(run.input + moved.taken, count, run.input_last != 0 && moved.taken + count == run.input_bytes);
            moved.taken += count;
        }
        const bool given = low(!sink_.wish(0) && !full, moved);
        if (given) take(run.output + moved.given, moved);
        high();
        full = moved.given + beat > run.room;
        if (given && (full || moved.ended)) break;
        if (run.input_bytes > 0 && moved.taken == run.input_bytes) break;
    }
}

uint32_t Board::read(uint32_t offset, SystoleShellMoved& moved) {
    Verilated::threadContextp(context_.get());
    ShellDevice& device = *device_;
    *device.araddr = static_cast<uint16_t>(offset);
    *device.arvalid = 1;
    *device.rready = 1;
    for (uint64_t i = 0; i < kAccessCycles; ++i) {
        low(false, moved);
        const bool addressed = *device.arvalid && *device.arready;
        const bool answered = *device.rvalid;
        const uint32_t value = *device.rdata;
        const uint8_t response = *device.rresp;
        high();
        if (addressed) *device.arvalid = 0;
        if (!answered) continue;
        *device.rready = 0;
        if (response != 0) throw std::runtime_error("register read: RRESP is not OKAY");
        return value;
    }
    throw std::runtime_error("register read: no answer on AXI4-Lite");
}

void Board::write(uint32_t offset, uint32_t value, SystoleShellMoved& moved) {
    Verilated::threadContextp(context_.get());
    ShellDevice& device = *device_;
    *device.awaddr = static_cast<uint16_t>(offset);
    *device.wdata = value;
    *device.awvalid = *device.wvalid = *device.bready = 1;
    for (uint64_t i = 0; i < kAccessCycles; ++i) {
        low(false, moved);
        const bool addressed = *device.awvalid && *device.awready;
        const bool written = *device.wvalid && *device.wready;
        const bool answered = *device.bvalid;
        const uint8_t response = *device.bresp;
        high();
        if (addressed) *device.awvalid = 0;
        if (written) *device.wvalid = 0;
        if (!answered) continue;
        *device.bready = 0;
        if (response != 0) throw std::runtime_error("register write: BRESP is not OKAY");
        return;
    }
    throw std::runtime_error("register write: no answer on AXI4-Lite");
}

Board& from(void* board) { return *static_cast<Board*>(board); }

// Runs `action`; an exception becomes -1 and a text, for none may leave this file.
template <class Action>
int32_t guarded(Board& board, Action action) {
    try {
        action();
        return 0;
    } catch (const std::exception& failure) {
        board.error = failure.what();
    } catch (...) {
        board.error = "unknown failure of the simulation";
    }
    return -1;
}

}  // namespace
}  // namespace systole

using systole::Board;
using systole::from;
using systole::guarded;

#define SYSTOLE_EXPORT extern "C" __attribute__((visibility("default")))

SYSTOLE_EXPORT uint32_t systole_shell_interface() { return SYSTOLE_SHELL_INTERFACE; }

SYSTOLE_EXPORT void* systole_shell_create(const char* rom_folder, uint64_t seed, const char* trace, char* error,
                                          uint64_t error_size) {
    try {
        return new Board(rom_folder, seed, trace);
    } catch (const std::exception& failure) {
        if (error_size > 0) std::snprintf(error, error_size, "%s", failure.what());
    } catch (...) {
        if (error_size > 0) std::snprintf(error, error_size, "unknown failure of the simulation");
    }
    return nullptr;
}

SYSTOLE_EXPORT void systole_shell_destroy(void* board) { delete static_cast<Board*>(board); }

SYSTOLE_EXPORT uint32_t systole_shell_beat_bytes(void* board) { return from(board).beat_bytes(); }

SYSTOLE_EXPORT int32_t systole_shell_reset(void* board, uint32_t cycles) {
    return guarded(from(board), [&] { from(board).reset(cycles); });
}

SYSTOLE_EXPORT int32_t systole_shell_run(void* board, const SystoleShellRun* run, SystoleShellMoved* moved) {
    *moved = SystoleShellMoved{};
    return guarded(from(board), [&] { from(board).run(*run, *moved); });
}

SYSTOLE_EXPORT int32_t systole_shell_read(void* board, uint32_t offset, uint32_t* value, SystoleShellMoved* moved) {
    *moved = SystoleShellMoved{};
    return guarded(from(board), [&] { *value = from(board).read(offset, *moved); });
}

SYSTOLE_EXPORT int32_t systole_shell_write(void* board, uint32_t offset, uint32_t value, SystoleShellMoved* moved) {
    *moved = SystoleShellMoved{};
    return guarded(from(board), [&] { from(board).write(offset, value, *moved); });
}

SYSTOLE_EXPORT void systole_shell_stall(void* board, uint32_t on, uint64_t seed) { from(board).stall(on != 0, seed); }

SYSTOLE_EXPORT const char* systole_shell_error(void* board) { return from(board).error.c_str(); }
