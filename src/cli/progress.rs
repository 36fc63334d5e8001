//! Progress bars of the long steps, on a terminal only.

use super::table::grouped;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::Cell;
use std::io::IsTerminal;
use std::time::Duration;
use systole::sim::BuildStep;

/// Time between two turns of a spinner.
const TICK: Duration = Duration::from_millis(120);

/// A progress bar on standard error; it draws nothing where that is no terminal.
pub struct Progress {
    bar: ProgressBar,
    phase: Cell<Phase>,
}

/// What the bar counts at the moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Steps,
    Samples,
}

impl Progress {
    /// A bar that says `what` is going on.
    pub fn new(what: &str) -> Progress {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_style(style("{spinner} {msg}"));
        bar.set_message(what.to_string());
        bar.enable_steady_tick(TICK);
        Progress { bar, phase: Cell::new(Phase::Steps) }
    }

    /// Shows a step of a Verilator build.
    pub fn build_step(&self, step: BuildStep) {
        match step {
            BuildStep::Verilate => self.bar.set_message("Verilator translates the Verilog"),
            BuildStep::Compile { done, total } => {
                self.share("compiling the simulation", done as u64, total as u64, "files");
            }
            BuildStep::Link => self.bar.set_message("linking the simulation"),
        }
    }

    /// Shows how many cycles are simulated.
    pub fn cycles(&self, cycles: u64) {
        self.bar.set_style(style("{spinner} {msg}"));
        self.bar.set_message(format!("simulating, cycle {}", grouped(cycles)));
    }

    /// Shows how many samples are through, of how many where that is known, and how many a second.
    pub fn samples(&self, done: u64, total: Option<u64>) {
        if self.phase.replace(Phase::Samples) != Phase::Samples {
            self.bar.set_message("running");
            self.bar.set_style(style("{spinner} {msg} {pos} samples, {per_sec}"));
            self.bar.reset();
        }
        if total.is_some() && self.bar.length() != total {
            self.bar.set_length(total.unwrap_or(0));
            self.bar.set_style(style("{spinner} {msg} [{bar:30}] {pos}/{len} samples, {per_sec}, {eta} left"));
        }
        self.bar.set_position(done);
    }

    /// Shows that `done` of `total` are through.
    pub fn share(&self, what: &str, done: u64, total: u64, unit: &str) {
        if self.bar.length() != Some(total) {
            self.bar.set_length(total);
            self.bar.set_style(style(&format!("{{spinner}} {{msg}} [{{bar:30}}] {{pos}}/{{len}} {unit}")));
        }
        self.bar.set_message(what.to_string());
        self.bar.set_position(done);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A style from a template; the default one if the template is malformed, which is a bug here.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner()).progress_chars("=> ")
}
