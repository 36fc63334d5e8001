//! Figures that follow from a manifest's own: the one place that knows how.

use crate::TemplateError;
use systole_bundle::Manifest;

/// Figures derived from a manifest's totals and its predicted interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Derived {
    /// Numerator of the initiation interval: cycles.
    pub interval_cycles: u64,
    /// Denominator of the initiation interval: samples that take these cycles.
    pub interval_samples: u64,
    /// Products of the network over products that the multiply-accumulate lanes could compute in
    /// an interval: `macs / (multipliers * interval)`.
    pub mac_utilization: f64,
    /// The same over the multiplier budget, where one was given.
    pub budget_utilization: Option<f64>,
}

impl Derived {
    /// The derived figures of `manifest`.
    ///
    /// # Errors
    /// If the interval is not a positive number of cycles `p` or `p/q`.
    pub fn of(manifest: &Manifest) -> Result<Derived, TemplateError> {
        let text = &manifest.predicted.initiation_interval;
        let (interval_cycles, interval_samples) = fraction(text).ok_or_else(|| TemplateError::Manifest {
            reason: format!("the initiation interval `{text}` is not a positive number of cycles, `p` or `p/q`"),
        })?;
        let totals = &manifest.totals;
        // macs * q / (lanes * p): the products stay below 2^53 for every design that fits a device.
        // A design without multipliers (of paddings and pools alone) uses none of them.
        let over = |lanes: u64| match lanes {
            0 => 0.0,
            _ => totals.macs as f64 * interval_samples as f64 / (lanes as f64 * interval_cycles as f64),
        };
        Ok(Derived {
            interval_cycles,
            interval_samples,
            mac_utilization: over(totals.multipliers),
            budget_utilization: totals.budget.map(over),
        })
    }

    /// The initiation interval in cycles.
    pub fn interval(&self) -> f64 {
        self.interval_cycles as f64 / self.interval_samples as f64
    }
}

/// `p` or `p/q` with both positive.
fn fraction(text: &str) -> Option<(u64, u64)> {
    let (cycles, samples) = text.split_once('/').unwrap_or((text, "1"));
    let (cycles, samples): (u64, u64) = (cycles.parse().ok()?, samples.parse().ok()?);
    (cycles > 0 && samples > 0).then_some((cycles, samples))
}
