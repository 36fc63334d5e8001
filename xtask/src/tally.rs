//! Counts tests and time from what `cargo test` prints.

use std::fmt::Write;
use std::time::{Duration, Instant};

/// Tests of one program.
#[derive(Debug)]
struct Part {
    name: String,
    start: Instant,
    time: Duration,
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Tests of a run, program by program.
#[derive(Debug)]
pub struct Tally {
    build: Duration,
    parts: Vec<Part>,
}

impl Tally {
    /// An empty tally behind a build that took `build`.
    pub fn new(build: Duration) -> Tally {
        Tally { build, parts: Vec::new() }
    }

    /// Takes in a line that was printed at `now`.
    pub fn line(&mut self, line: &str, now: Instant) {
        if let Some(name) = program(line) {
            self.parts.push(Part { name, start: now, time: Duration::ZERO, passed: 0, failed: 0, ignored: 0 });
        }
        let (Some(counts), Some(part)) = (line.strip_prefix("test result: "), self.parts.last_mut()) else { return };
        // Doc-tests of one crate may print several results.
        part.passed += count(counts, "passed");
        part.failed += count(counts, "failed");
        part.ignored += count(counts, "ignored");
        part.time = now.duration_since(part.start);
    }

    /// Tests passed.
    pub fn passed(&self) -> u64 {
        self.parts.iter().map(|part| part.passed).sum()
    }

    /// Tests failed.
    pub fn failed(&self) -> u64 {
        self.parts.iter().map(|part| part.failed).sum()
    }

    /// The closing account: minutes a part, Verilator builds, and `N passed, N failed` as last line.
    pub fn account(&self, verilator_builds: usize) -> String {
        let minutes = |time: Duration| time.as_secs_f64() / 60.0;
        let mut text = format!("{:>7}  {:>7}  {:>7}  part\n", "minutes", "passed", "ignored");
        let _ = writeln!(text, "{:>7.1}  {:>7}  {:>7}  build", minutes(self.build), "", "");
        for part in self.parts.iter().filter(|part| part.passed + part.failed + part.ignored > 0) {
            let _ =
                writeln!(text, "{:>7.1}  {:>7}  {:>7}  {}", minutes(part.time), part.passed, part.ignored, part.name);
        }
        let _ = writeln!(text, "Verilator builds: {verilator_builds} accelerators that were not cached");
        let _ = writeln!(text, "{} passed, {} failed", self.passed(), self.failed());
        text
    }
}

/// The test program that a line of cargo announces: `Running unittests src/lib.rs
/// (target/release/deps/systole_arith-0123456789abcdef)` or `Doc-tests systole_arith`.
fn program(line: &str) -> Option<String> {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{name} (documentation)"));
    }
    let path = line.strip_prefix("Running ")?.strip_suffix(')')?.rsplit_once('(')?.1;
    let file = path.rsplit(['/', '\\']).next()?;
    Some(file.rsplit_once('-').map_or(file, |(name, _)| name).to_string())
}

/// The number in front of `word` in `ok. 12 passed; 0 failed; ...`.
fn count(counts: &str, word: &str) -> u64 {
    let number = counts.split([';', '.']).find_map(|part| part.trim().strip_suffix(word));
    number.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "     Running unittests src/lib.rs (target/release/deps/systole_arith-0123456789abcdef)

running 3 tests
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s

     Running tests/cli.rs (target/release/deps/cli-fedcba9876543210)
test result: FAILED. 4 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 2.00s
   Doc-tests systole_hdl
test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running unittests src/main.rs (target/release/deps/xtask-00)
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";

    #[test]
    fn results_are_counted_program_by_program() {
        let mut tally = Tally::new(Duration::from_secs(90));
        let start = Instant::now();
        for (second, line) in LOG.lines().enumerate() {
            tally.line(line, start + Duration::from_secs(second as u64 * 6));
        }
        assert_eq!((tally.passed(), tally.failed()), (12, 3));
        let account = tally.account(7);
        let lines: Vec<&str> = account.lines().collect();
        assert_eq!(lines[1], "    1.5                    build");
        assert_eq!(lines[2], "    0.3        2        1  systole_arith");
        assert_eq!(lines[3], "    0.1        4        0  cli");
        assert_eq!(lines[4], "    0.2        6        0  systole_hdl (documentation)");
        assert_eq!(lines[5..], ["Verilator builds: 7 accelerators that were not cached", "12 passed, 3 failed"]);
    }

    #[test]
    fn lines_that_only_look_like_results_are_left_out() {
        let mut tally = Tally::new(Duration::ZERO);
        tally.line("test result: ok. 9 passed; 0 failed", Instant::now());
        tally.line("Running away", Instant::now());
        assert_eq!((tally.passed(), tally.failed()), (0, 0));
    }
}
