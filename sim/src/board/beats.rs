//! Where in a direction's beats a fault waits.

use super::fault::BeatFault;

/// Beats of one direction, counted, and the faults that wait for them.
#[derive(Debug, Default)]
pub struct Beats {
    /// Beats since the board was started.
    passed: u64,
    /// Number of a beat and what happens to it, by number.
    faults: Vec<(u64, BeatFault)>,
    /// Cycles for which the beat at hand is still held; none: until released.
    held: Option<Option<u64>>,
}

impl Beats {
    /// Beats since the board was started.
    pub fn passed(&self) -> u64 {
        self.passed
    }

    /// A fault for beat number `beat` from now, counted from 0.
    pub fn plan(&mut self, beat: u64, fault: BeatFault) {
        let number = self.passed.saturating_add(beat);
        let at = self.faults.partition_point(|&(other, _)| other <= number);
        self.faults.insert(at, (number, fault));
    }

    /// Beats that may pass until one that a fault waits for.
    pub fn free(&self) -> u64 {
        self.faults.first().map_or(u64::MAX, |&(number, _)| number.saturating_sub(self.passed))
    }

    /// The fault of the next beat, if one waits for it. It is over with this call.
    pub fn take(&mut self) -> Option<BeatFault> {
        (self.free() == 0).then(|| self.faults.remove(0).1)
    }

    /// Counts beats that passed.
    pub fn pass(&mut self, beats: u64) {
        self.passed += beats;
    }

    /// Holds the next beat for some cycles, or until released.
    pub fn hold(&mut self, cycles: Option<u64>) {
        self.held = Some(cycles);
    }

    /// Whether the next beat is held.
    pub fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the next beat is held for some cycles.
    pub fn is_delayed(&self) -> bool {
        matches!(self.held, Some(Some(_)))
    }

    /// Lets time pass for a held beat.
    pub fn wait(&mut self, cycles: u64) {
        if let Some(Some(left)) = &mut self.held {
            *left = left.saturating_sub(cycles);
            if *left == 0 {
                self.held = None;
            }
        }
    }

    /// Lets the beat go that is held without an end.
    pub fn release(&mut self) {
        if self.held == Some(None) {
            self.held = None;
        }
    }

    /// Forgets all faults.
    pub fn clear(&mut self) {
        self.faults.clear();
        self.held = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_wait_for_their_beat_in_order() {
        let mut beats = Beats::default();
        beats.pass(10);
        beats.plan(5, BeatFault::Lose);
        beats.plan(2, BeatFault::Extra);
        assert_eq!((beats.free(), beats.take()), (2, None));
        beats.pass(2);
        assert_eq!(beats.take(), Some(BeatFault::Extra));
        assert_eq!(beats.free(), 3);
        beats.pass(3);
        assert_eq!((beats.take(), beats.free()), (Some(BeatFault::Lose), u64::MAX));
    }

    #[test]
    fn a_beat_is_held_for_its_cycles_or_until_it_is_released() {
        let mut beats = Beats::default();
        beats.hold(Some(10));
        beats.release();
        beats.wait(9);
        assert!(beats.is_held());
        beats.wait(1);
        assert!(!beats.is_held());
        beats.hold(None);
        beats.wait(1 << 40);
        assert!(beats.is_held());
        beats.release();
        assert!(!beats.is_held());
    }
}
