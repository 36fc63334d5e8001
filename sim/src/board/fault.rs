//! Faults that a test can ask a board for: a small language of lines of text.

use super::queue::BoardError;
use std::fmt;
use std::str::{FromStr, SplitWhitespace};

/// A way through the DMA engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Host to card.
    H2c,
    /// Card to host.
    C2h,
}

/// What happens to a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeatFault {
    /// It carries TLAST, in the middle of a frame.
    Last,
    /// It disappears.
    Lose,
    /// A beat of noise goes in front of it.
    Extra,
    /// It comes twice.
    Duplicate,
    /// It waits so many cycles; forever without a number, until a soft reset.
    Stall(Option<u64>),
}

/// A line of a board's control file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Transfer number `transfer` from now, counted from 1, fails without moving a byte.
    Fail {
        /// Way of the transfer.
        direction: Direction,
        /// Its number.
        transfer: u64,
        /// How it fails.
        error: BoardError,
    },
    /// Transfer number `transfer` moves `bytes` and gives a short count; the next one fails.
    Short {
        /// Way of the transfer.
        direction: Direction,
        /// Its number.
        transfer: u64,
        /// Bytes it moves.
        bytes: usize,
        /// How the next one fails.
        error: BoardError,
    },
    /// Something happens to beat number `beat` from now, counted from 0.
    Beat {
        /// Way of the beat.
        direction: Direction,
        /// Its number.
        beat: u64,
        /// What happens.
        fault: BeatFault,
    },
    /// The engine keeps what the device sends, until a soft reset: then it is delivered, stale.
    Hold,
    /// Random TVALID and TREADY from this seed, or none.
    Stalls(Option<u64>),
    /// Registers read all ones and ignore writes, or work again.
    RegistersOnes(bool),
    /// So many interrupts are lost, from now.
    LoseInterrupts(u64),
    /// So many interrupts come that nothing caused.
    SpuriousInterrupts(u64),
    /// The board falls off the bus: registers read all ones, transfers fail with ENODEV.
    Kill,
    /// All faults end, but for `kill`.
    Clear,
}

/// The lines that a control file understands.
pub const HELP: &str = "\
h2c|c2h fail N EIO|ETIMEDOUT|EBUSY|ENODEV      transfer N from now (1: the next) fails
h2c|c2h short N BYTES EIO|ETIMEDOUT|...        transfer N moves BYTES only, the next one fails
h2c|c2h last|lose|extra|duplicate BEAT         TLAST on, loss of, noise before, doubling of beat BEAT from now (0: the next)
h2c|c2h stall BEAT CYCLES|forever              beat BEAT waits; forever: until a soft reset
c2h hold                                       answers are kept and delivered, stale, behind the next soft reset
stalls SEED|off                                random TVALID and TREADY
registers ones|good                            registers read all ones, or work again
interrupts lose|spurious N                     N interrupts are lost, or come without cause
kill                                           the board falls off the bus
clear                                          ends every fault but kill
";

/// A line that is no command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{line}` is no command of a simulated board; it understands\n{HELP}")]
pub struct NoCommand {
    line: String,
}

impl FromStr for Command {
    type Err = NoCommand;

    fn from_str(line: &str) -> Result<Command, NoCommand> {
        let mut words = line.split_whitespace();
        let command = parse(&mut words).filter(|_| words.next().is_none());
        command.ok_or_else(|| NoCommand { line: line.trim().chars().take(80).collect() })
    }
}

fn parse(words: &mut SplitWhitespace<'_>) -> Option<Command> {
    let direction = match words.next()? {
        "h2c" => Direction::H2c,
        "c2h" => Direction::C2h,
        "stalls" => {
            let seed = words.next()?;
            return Some(Command::Stalls(if seed == "off" { None } else { Some(seed.parse().ok()?) }));
        }
        "registers" => {
            return match words.next()? {
                "ones" => Some(Command::RegistersOnes(true)),
                "good" => Some(Command::RegistersOnes(false)),
                _ => None,
            }
        }
        "interrupts" => {
            let (kind, count) = (words.next()?, words.next()?.parse().ok()?);
            return match kind {
                "lose" => Some(Command::LoseInterrupts(count)),
                "spurious" => Some(Command::SpuriousInterrupts(count)),
                _ => None,
            };
        }
        "kill" => return Some(Command::Kill),
        "clear" => return Some(Command::Clear),
        _ => return None,
    };
    let kind = words.next()?;
    if kind == "hold" {
        return (direction == Direction::C2h).then_some(Command::Hold);
    }
    let number: u64 = words.next()?.parse().ok()?;
    let fault = match kind {
        "fail" | "short" if number == 0 => return None,
        "fail" => {
            return Some(Command::Fail { direction, transfer: number, error: BoardError::named(words.next()?)? });
        }
        "short" => {
            let (bytes, error) = (words.next()?.parse().ok()?, BoardError::named(words.next()?)?);
            return Some(Command::Short { direction, transfer: number, bytes, error });
        }
        "last" => BeatFault::Last,
        "lose" => BeatFault::Lose,
        "extra" => BeatFault::Extra,
        "duplicate" => BeatFault::Duplicate,
        "stall" => match words.next()? {
            "forever" => BeatFault::Stall(None),
            cycles => BeatFault::Stall(Some(cycles.parse().ok()?)),
        },
        _ => return None,
    };
    Some(Command::Beat { direction, beat: number, fault })
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Direction::H2c => "h2c",
            Direction::C2h => "c2h",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_help_is_understood() {
        let cases = [
            ("h2c fail 3 EIO", Command::Fail { direction: Direction::H2c, transfer: 3, error: BoardError::Io }),
            (
                " c2h  short 1 4096 ETIMEDOUT\n",
                Command::Short { direction: Direction::C2h, transfer: 1, bytes: 4096, error: BoardError::TimedOut },
            ),
            ("h2c last 7", Command::Beat { direction: Direction::H2c, beat: 7, fault: BeatFault::Last }),
            ("c2h lose 0", Command::Beat { direction: Direction::C2h, beat: 0, fault: BeatFault::Lose }),
            ("h2c extra 1", Command::Beat { direction: Direction::H2c, beat: 1, fault: BeatFault::Extra }),
            ("h2c duplicate 1", Command::Beat { direction: Direction::H2c, beat: 1, fault: BeatFault::Duplicate }),
            ("h2c stall 9 50", Command::Beat { direction: Direction::H2c, beat: 9, fault: BeatFault::Stall(Some(50)) }),
            (
                "c2h stall 9 forever",
                Command::Beat { direction: Direction::C2h, beat: 9, fault: BeatFault::Stall(None) },
            ),
            ("c2h hold", Command::Hold),
            ("stalls 12", Command::Stalls(Some(12))),
            ("stalls off", Command::Stalls(None)),
            ("registers ones", Command::RegistersOnes(true)),
            ("registers good", Command::RegistersOnes(false)),
            ("interrupts lose 2", Command::LoseInterrupts(2)),
            ("interrupts spurious 1", Command::SpuriousInterrupts(1)),
            ("kill", Command::Kill),
            ("clear", Command::Clear),
        ];
        for (line, command) in cases {
            assert_eq!(line.parse(), Ok(command), "{line}");
        }
    }

    #[test]
    fn other_lines_are_refused_with_the_help() {
        for line in
            ["", "explode", "h2c fail 0 EIO", "h2c fail 1 EPERM", "h2c hold", "h2c lose x", "kill kill", "c2h stall 1"]
        {
            let error = line.parse::<Command>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{line}` is no command")) && error.contains("c2h hold"), "{error}");
        }
    }
}
