// Drives a verilated top through its two AXI4-Stream ports, many cycles a call, and watches every
// stream inside. Each cycle: inputs are set while the clock is low, everything settles, the
// streams are sampled, the clock rises.
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "device.h"
#include "interface.h"
#include "monitor.h"
#include "runtime.h"
#include "stall.h"
#include "verilated.h"

namespace systole {
namespace {

// Cycles for which the source must have made up before its last beat, after which it can stall no
// more while the pipeline empties into a sink that stalls on.
uint64_t emptying(const SystoleRunSpec& spec, const Stream& output) {
    return 4 * spec.latency_cycles + 8 * output.sample_beats + 2 * StallProcess::kLongestBurst;
}

// Probing starts with this many cycles in a row, then goes on at one cycle in sixteen.
constexpr uint64_t kDenseProbes = 256;

class Harness {
public:
    Harness(const char* rom_folder, uint64_t seed, const char* trace) : probe_random_(seed) {
        context_ = std::make_unique<VerilatedContext>();
        Verilated::threadContextp(context_.get());
        // Registers and memories without a reset or an image start with noise, so that a result
        // that rests on them differs from run to run instead of being 0 by luck.
        context_->randReset(2);
        context_->randSeed(static_cast<int>((seed & 0x3fffffff) + 1));
        if (trace != nullptr) context_->traceEverOn(true);
        const RomFolder folder(rom_folder);
        device_ = make_device(context_.get(), trace);
        focus(0);
    }

    void focus(uint32_t device) {
        Verilated::threadContextp(context_.get());
        device_->focus(device);
        monitors_.clear();
        for (const Stream& stream : device_->streams) monitors_.emplace_back(stream);
        *device_->clock = 0;
        *device_->resetn = 0;
        device_->eval();
    }

    void reset(uint32_t cycles) {
        Verilated::threadContextp(context_.get());
        *device_->resetn = 0;
        *device_->input_valid = 0;
        *device_->output_ready = 0;
        for (uint32_t i = 0; i < cycles; ++i) {
            low();
            high();
        }
        *device_->resetn = 1;
        cycle_ = 0;
        for (Monitor& monitor : monitors_) monitor.reset();
    }

    SystoleEnd run(const SystoleRunSpec& spec, SystoleRunReport& report);

    const std::vector<Stream>& streams() const { return device_->streams; }
    const Monitor& monitor(size_t stream) const { return monitors_[stream]; }
    const std::vector<uint64_t>& edges(bool output) const { return output ? output_edges_ : input_edges_; }

    std::string error;

private:
    void low() {
        *device_->clock = 0;
        device_->eval();
        device_->dump(time_++);
    }
    void high() {
        *device_->clock = 1;
        device_->eval();
        device_->dump(time_++);
    }

    void offer(const SystoleRunSpec& spec, uint64_t beat, bool misleading_last);
    void probe();
    bool sample();
    bool runaway(uint64_t samples) const;

    std::unique_ptr<VerilatedContext> context_;
    std::unique_ptr<Device> device_;
    std::vector<Monitor> monitors_;
    std::vector<uint64_t> input_edges_, output_edges_;
    Random probe_random_;
    uint64_t cycle_ = 0;
    uint64_t time_ = 0;
};

// Puts beat number `beat` of the run on the input port. The accelerator is told to ignore TLAST:
// `misleading_last` sends its opposite.
void Harness::offer(const SystoleRunSpec& spec, uint64_t beat, bool misleading_last) {
    const Stream& input = device_->streams[device_->input_stream];
    const uint64_t words = (input.beat_bits + 31) / 32;
    std::memcpy(device_->input_data, spec.input + beat * words, input.data_bytes);
    if (device_->input_last != nullptr) {
        const bool last = beat % input.sample_beats == input.sample_beats - 1;
        *device_->input_last = last != misleading_last;
    }
}

// Turns each ready over in turn, without a clock edge, and looks whether its valid follows.
void Harness::probe() {
    for (Monitor& monitor : monitors_) monitor.before_probe();
    uint8_t* overridden = nullptr;
    for (size_t i = 0; i < monitors_.size(); ++i) {
        const Stream& stream = device_->streams[i];
        if (stream.force_enable == nullptr) continue;
        if (overridden != nullptr) *overridden = 0;
        overridden = stream.force_enable;
        *stream.force_value = !monitors_[i].ready_before();
        *overridden = 1;
        device_->settle();
        monitors_[i].probed(cycle_);
    }
    if (overridden != nullptr) *overridden = 0;
    *device_->output_ready ^= 1;
    device_->settle();
    monitors_[device_->output_stream].probed(cycle_);
    *device_->output_ready ^= 1;
    device_->settle();
}

// Samples every stream; returns whether any beat moves at the coming edge.
bool Harness::sample() {
    bool moved = false;
    for (size_t i = 0; i < monitors_.size(); ++i) {
        if (!monitors_[i].sample(cycle_)) continue;
        moved = true;
        if (i == device_->input_stream) input_edges_.push_back(cycle_);
        if (i == device_->output_stream) output_edges_.push_back(cycle_);
    }
    return moved;
}

// Whether any stream has carried a whole sample more than `samples`.
bool Harness::runaway(uint64_t samples) const {
    for (size_t i = 0; i < monitors_.size(); ++i) {
        if (monitors_[i].beats() > (samples + 1) * device_->streams[i].sample_beats) return true;
    }
    return false;
}

SystoleEnd Harness::run(const SystoleRunSpec& spec, SystoleRunReport& report) {
    Verilated::threadContextp(context_.get());
    const Stream& input = device_->streams[device_->input_stream];
    const Stream& output = device_->streams[device_->output_stream];
    const uint64_t to_send = spec.samples * input.sample_beats;
    const uint64_t to_get = spec.samples * output.sample_beats;
    for (size_t i = 0; i < monitors_.size(); ++i) {
        monitors_[i].begin(spec.capture != 0 || i == device_->output_stream);
    }
    input_edges_.clear();
    output_edges_.clear();

    StallProcess source, sink;
    Random seeds(spec.stall_seed);
    const uint64_t source_seed = seeds.next(), sink_seed = seeds.next(), last_seed = seeds.next();
    if (spec.stall != 0) {
        source = StallProcess(source_seed, spec.interval_cycles);
        sink = StallProcess(sink_seed, spec.interval_cycles);
    }
    Random last_random(last_seed);

    report.first_cycle = cycle_;
    uint64_t sent = 0, got = 0, quiet = 0, drained = 0;
    bool offering = false;
    SystoleEnd end = SYSTOLE_DONE;
    while (true) {
        const uint64_t elapsed = cycle_ - report.first_cycle;
        const bool complete = sent == to_send && got >= to_get;
        if (!complete) {
            report.cycles = elapsed;
        } else if (drained == 0) {
            report.cycles = elapsed;
            ++drained;
        } else if (drained++ > spec.drain_cycles) {
            break;
        }

        // The source may hold back only between beats.
        bool excused = false;
        if (!offering && sent < to_send) {
            const uint64_t ahead = sent + 1 == to_send ? emptying(spec, output) : 0;
            const bool wish = source.wish(sent / input.sample_beats);
            const bool owes = source.owes(elapsed + ahead);
            if (wish || owes) {
                source.count();
                excused = owes || source.in_gap();
            } else {
                offer(spec, sent, spec.stall != 0 && last_random.below(4) == 0);
                offering = true;
            }
        } else {
            source.wish(sent / input.sample_beats);
        }
        bool ready = true;
        if (!complete) {
            const bool wish = sink.wish(got / output.sample_beats);
            const bool owes = sink.owes(elapsed);
            if (wish || owes) {
                sink.count();
                excused = excused || owes || sink.in_gap();
                ready = false;
            }
        }
        *device_->input_valid = offering;
        *device_->output_ready = ready;
        low();

        if (spec.probe != 0 && (elapsed < kDenseProbes || probe_random_.below(16) == 0)) probe();
        const bool moved = sample();
        if (input_edges_.size() > sent) {
            sent = input_edges_.size();
            offering = false;
        }
        got = output_edges_.size();
        high();
        ++cycle_;

        // A gap may outlast the limit, and so may cycles made up; neither counts towards a hang.
        if (moved) {
            quiet = 0;
        } else if (!excused) {
            ++quiet;
        }
        if (!complete && quiet >= spec.hang_cycles) {
            end = SYSTOLE_HANG;
            break;
        }
        if (moved && runaway(spec.samples)) {
            end = SYSTOLE_RUNAWAY;
            break;
        }
        if (spec.progress_cycles != 0 && cycle_ % spec.progress_cycles == 0 &&
            spec.progress(spec.user, cycle_, got) != 0) {
            end = SYSTOLE_CANCELLED;
            break;
        }
    }
    if (end != SYSTOLE_DONE) report.cycles = cycle_ - report.first_cycle;
    report.stalled_source = source.stalled();
    report.stalled_sink = sink.stalled();
    report.source_mode = static_cast<uint32_t>(source.mode());
    report.sink_mode = static_cast<uint32_t>(sink.mode());
    // A run that ended early may leave a beat on offer; the next starts without one.
    *device_->input_valid = 0;
    return end;
}

Harness& from(void* model) { return *static_cast<Harness*>(model); }

// Runs `action`; an exception becomes SYSTOLE_FAILED and a text, for none may leave this file.
template <class Action>
int32_t guarded(Harness& harness, Action action) {
    try {
        return action();
    } catch (const std::exception& failure) {
        harness.error = failure.what();
    } catch (...) {
        harness.error = "unknown failure of the simulation";
    }
    return SYSTOLE_FAILED;
}

}  // namespace
}  // namespace systole

using systole::from;
using systole::Harness;

#define SYSTOLE_EXPORT extern "C" __attribute__((visibility("default")))

SYSTOLE_EXPORT uint32_t systole_interface() { return SYSTOLE_INTERFACE; }

SYSTOLE_EXPORT void* systole_create(const char* rom_folder, uint64_t seed, const char* trace, char* error,
                                    uint64_t error_size) {
    try {
        return new Harness(rom_folder, seed, trace);
    } catch (const std::exception& failure) {
        if (error_size > 0) std::snprintf(error, error_size, "%s", failure.what());
    } catch (...) {
        if (error_size > 0) std::snprintf(error, error_size, "unknown failure of the simulation");
    }
    return nullptr;
}

SYSTOLE_EXPORT void systole_destroy(void* model) { delete static_cast<Harness*>(model); }

SYSTOLE_EXPORT int32_t systole_focus(void* model, uint32_t device) {
    return systole::guarded(from(model), [&] {
        from(model).focus(device);
        return SYSTOLE_DONE;
    });
}

SYSTOLE_EXPORT int32_t systole_reset(void* model, uint32_t cycles) {
    return systole::guarded(from(model), [&] {
        from(model).reset(cycles);
        return SYSTOLE_DONE;
    });
}

SYSTOLE_EXPORT int32_t systole_run(void* model, const SystoleRunSpec* spec, SystoleRunReport* report) {
    *report = SystoleRunReport{};
    return systole::guarded(from(model), [&] { return from(model).run(*spec, *report); });
}

SYSTOLE_EXPORT const char* systole_error(void* model) { return from(model).error.c_str(); }

SYSTOLE_EXPORT uint32_t systole_stream_count(void* model) {
    return static_cast<uint32_t>(from(model).streams().size());
}

SYSTOLE_EXPORT const char* systole_stream_name(void* model, uint32_t stream) {
    return from(model).streams()[stream].name;
}

SYSTOLE_EXPORT void systole_stream_report(void* model, uint32_t stream, SystoleStreamReport* report) {
    *report = from(model).monitor(stream).report();
}

SYSTOLE_EXPORT const uint32_t* systole_beats(void* model, uint32_t stream, uint64_t* words) {
    const std::vector<uint32_t>& beats = from(model).monitor(stream).kept();
    *words = beats.size();
    return beats.data();
}

SYSTOLE_EXPORT const uint64_t* systole_edges(void* model, uint32_t output, uint64_t* count) {
    const std::vector<uint64_t>& edges = from(model).edges(output != 0);
    *count = edges.size();
    return edges.data();
}
