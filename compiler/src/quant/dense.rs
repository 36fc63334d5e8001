//! The matrix product on integers.

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use systole_arith::{Formula, IntType, Step};

/// `acc[m] = sum over c of (x[c] - input_zero_point) * weights[m][c] + bias[m]` on every pixel,
/// then `y[m] = formula(m, acc[m])`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dense {
    /// Integer weights, `[M, C]`. Stored beside the graph, not in its JSON.
    #[serde(skip)]
    pub weights: Array2<i64>,
    /// Type of the weights as stored.
    pub weight_type: IntType,
    /// Stored input value that stands for 0.
    pub input_zero_point: i64,
    /// Added to each output channel, `[M]`.
    pub bias: Vec<i64>,
    /// What the profile computes from an accumulator.
    pub formula: Formula,
    /// The same function in canonical form over the reachable accumulators; none where the
    /// formula is the identity.
    pub map: Option<Step>,
}
