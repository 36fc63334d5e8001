// Watches one stream for the rules of ready/valid streams and keeps the beats that moved.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "device.h"
#include "interface.h"

namespace systole {

class Monitor {
public:
    explicit Monitor(const Stream& stream)
        : stream_(stream), words_((stream.beat_bits + 31) / 32), held_(stream.data_bytes), beat_(words_) {}

    // Forgets the last run; `keep` says whether the beats of the next are kept.
    void begin(bool keep) {
        report_ = SystoleStreamReport{};
        beats_.clear();
        keep_ = keep;
    }
    // Forgets the beat on offer, for the reset.
    void reset() { offering_ = false; }

    // Looks at the settled signals of one cycle. Returns whether a beat moves at its edge.
    bool sample(uint64_t cycle) {
        const bool valid = *stream_.valid, ready = *stream_.ready;
        if (offering_) {
            if (!valid) {
                breach(SYSTOLE_DROPPED_VALID, cycle);
            } else if (std::memcmp(held_.data(), stream_.data, held_.size()) != 0 || last() != held_last_) {
                breach(SYSTOLE_CHANGED_PAYLOAD, cycle);
            }
        }
        offering_ = valid && !ready;
        if (offering_) {
            std::memcpy(held_.data(), stream_.data, held_.size());
            held_last_ = last();
        }
        if (!valid || !ready) return false;
        take(cycle);
        return true;
    }

    // Notes valid and ready before any ready is turned over.
    void before_probe() {
        valid_before_ = *stream_.valid;
        ready_before_ = *stream_.ready;
    }
    bool ready_before() const { return ready_before_; }
    // Compares valid with what was noted, now that this stream's ready is turned over.
    void probed(uint64_t cycle) {
        if ((*stream_.valid != 0) != valid_before_) breach(SYSTOLE_VALID_WAITS, cycle);
    }

    uint64_t beats() const { return report_.beats; }
    SystoleStreamReport report() const {
        SystoleStreamReport report = report_;
        report.waiting = offering_;
        return report;
    }
    const std::vector<uint32_t>& kept() const { return beats_; }

private:
    bool last() const { return stream_.last != nullptr && *stream_.last; }

    void take(uint64_t cycle) {
        const uint64_t index = report_.beats++;
        if (stream_.last != nullptr && last() != (index % stream_.sample_beats == stream_.sample_beats - 1)) {
            breach(SYSTOLE_WRONG_LAST, cycle);
        }
        const bool closes_pixel = index % stream_.pixel_beats == stream_.pixel_beats - 1;
        const bool check_idle = closes_pixel && stream_.final_bits < stream_.beat_bits;
        if (!keep_ && !check_idle) return;
        std::memcpy(beat_.data(), stream_.data, stream_.data_bytes);
        if (check_idle && above_is_set(stream_.final_bits)) breach(SYSTOLE_IDLE_LANE, cycle);
        if (keep_) beats_.insert(beats_.end(), beat_.begin(), beat_.end());
    }

    bool above_is_set(uint32_t bit) const {
        uint32_t word = bit / 32;
        if (beat_[word] >> (bit % 32) != 0) return true;
        while (++word < words_) {
            if (beat_[word] != 0) return true;
        }
        return false;
    }

    void breach(SystoleRule rule, uint64_t cycle) {
        if (report_.count[rule]++ == 0) report_.cycle[rule] = cycle;
    }

    const Stream stream_;
    const uint32_t words_;
    std::vector<uint8_t> held_;
    std::vector<uint32_t> beat_;
    std::vector<uint32_t> beats_;
    SystoleStreamReport report_{};
    bool valid_before_ = false;
    bool ready_before_ = false;
    bool held_last_ = false;
    bool offering_ = false;
    bool keep_ = false;
};

}  // namespace systole
