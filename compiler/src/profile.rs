//! Arithmetic profiles: which runtime's results are reproduced.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The runtime whose integer results the accelerator reproduces bit by bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// TensorFlow Lite Micro.
    Tflm,
    /// LiteRT with its reference kernels (`BUILTIN_REF`).
    LitertRef,
    /// LiteRT with its optimized kernels (`BUILTIN_WITHOUT_DEFAULT_DELEGATES`).
    LitertOpt,
    /// LiteRT with its default delegate, XNNPACK.
    Xnnpack,
    /// ONNX Runtime.
    Ort,
    /// The QONNX executor.
    Qonnx,
}

impl Profile {
    /// Every profile, in the order of the command line's help.
    pub const ALL: [Profile; 6] =
        [Profile::Tflm, Profile::LitertRef, Profile::LitertOpt, Profile::Xnnpack, Profile::Ort, Profile::Qonnx];

    /// Name on the command line; array names replace `-` by `_`.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Tflm => "tflm",
            Profile::LitertRef => "litert-ref",
            Profile::LitertOpt => "litert-opt",
            Profile::Xnnpack => "xnnpack",
            Profile::Ort => "ort",
            Profile::Qonnx => "qonnx",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Profile::ALL.into_iter().find(|profile| profile.name() == text).ok_or_else(|| {
            let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.name()).collect();
            format!("no profile `{text}`; there are {}", names.join(", "))
        })
    }
}
