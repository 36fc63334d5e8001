// Seeded stalls of a stream's source or sink.
#pragma once

#include <cstdint>

namespace systole {

// splitmix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014).
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    // Uniform in 0..count-1 but for a bias below 2^-40; `count` is at most 2^24.
    uint64_t below(uint64_t count) { return (next() >> 40) * count >> 24; }

private:
    uint64_t state_;
};

enum class StallMode : uint32_t { None, Eighth, Half, SevenEighths, Bursts, Gaps };

// Decides in which cycles one side of a stream holds back. The seed chooses the mode:
//   Eighth, Half, SevenEighths: each cycle by itself, with that probability;
//   Bursts: runs of 1 to 2,000 stalled cycles between runs of as many free ones;
//   Gaps: before a sample, with probability 1/2 and before the first one surely, the length of
//   one or two samples.
// Whatever the mode, `owes` tells when fewer than one cycle in eight has been stalled.
class StallProcess {
public:
    static constexpr uint64_t kLongestBurst = 2000;

    StallProcess() : random_(0) {}
    StallProcess(uint64_t seed, uint64_t interval)
        : random_(seed), interval_(interval == 0 ? 1 : interval) {
        mode_ = static_cast<StallMode>(1 + random_.below(5));
    }

    StallMode mode() const { return mode_; }
    uint64_t stalled() const { return stalled_; }
    // Whether the wish of this cycle is a gap, which may last longer than any burst.
    bool in_gap() const { return mode_ == StallMode::Gaps && left_ > 0; }

    // The wish of one cycle; call it once a cycle. `sample` counts the samples that this side has begun or
    // finished; a gap opens when it changes.
    bool wish(uint64_t sample) {
        switch (mode_) {
            case StallMode::None: return false;
            case StallMode::Eighth: return random_.below(8) == 0;
            case StallMode::Half: return random_.below(8) < 4;
            case StallMode::SevenEighths: return random_.below(8) < 7;
            case StallMode::Bursts: return burst();
            case StallMode::Gaps: return gap(sample);
        }
        return false;
    }

    // Whether at least one cycle in eight must still be made up, of `cycles` in all.
    bool owes(uint64_t cycles) const { return mode_ != StallMode::None && stalled_ * 8 < cycles; }
    void count() { ++stalled_; }

private:
    bool burst() {
        if (left_ == 0) {
            stalling_ = !stalling_;
            // Short and long runs are equally likely: the bound is drawn before the length.
            const uint64_t bound = random_.below(2) == 0 ? 16 : kLongestBurst;
            left_ = 1 + random_.below(bound);
        }
        --left_;
        return stalling_;
    }

    bool gap(uint64_t sample) {
        if (!begun_ || sample != sample_) {
            left_ = !begun_ || random_.below(2) == 0 ? interval_ * (1 + random_.below(2)) : 0;
            sample_ = sample;
            begun_ = true;
        }
        if (left_ == 0) return false;
        --left_;
        return true;
    }

    Random random_;
    StallMode mode_ = StallMode::None;
    uint64_t interval_ = 1;
    uint64_t stalled_ = 0;
    uint64_t left_ = 0;
    uint64_t sample_ = 0;
    bool stalling_ = false;
    bool begun_ = false;
};

}  // namespace systole
