//! Errors of building and emitting modules.

use super::HwType;

/// Why a module or a design is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HdlError {
    /// Nothing drives a signal.
    #[error(
        "module `{module}`: nothing drives `{signal}` ({ty}); assign it, clock it or bind it to an instance's output"
    )]
    Undriven {
        /// The module.
        module: String,
        /// The signal.
        signal: String,
        /// Its type.
        ty: HwType,
    },
    /// A signal has several drivers.
    #[error("module `{module}`: `{signal}` is driven by {first} and by {second}; keep one")]
    MultiplyDriven {
        /// The module.
        module: String,
        /// The signal.
        signal: String,
        /// One driver.
        first: String,
        /// Another.
        second: String,
    },
    /// A signal depends on itself without a register in between.
    #[error("module `{module}`: combinational loop {}; put a register on the way", path.join(" -> "))]
    CombinationalLoop {
        /// The module.
        module: String,
        /// The signals on the loop, the first again at the end.
        path: Vec<String>,
    },
    /// An instance's port is not bound.
    #[error(
        "module `{module}`: port `{port}` of instance `{instance}` of `{child}` is bound {times} times; bind it once"
    )]
    PortBinding {
        /// The module.
        module: String,
        /// The instance.
        instance: String,
        /// Its definition.
        child: String,
        /// The port.
        port: String,
        /// How often it is bound.
        times: usize,
    },
    /// A memory that is read but holds nothing.
    #[error("module `{module}`: memory `{memory}` has neither a write port nor an image; give it one")]
    EmptyMemory {
        /// The module.
        module: String,
        /// The memory.
        memory: String,
    },
    /// RustHDL's own checks failed.
    #[error("module `{module}`: RustHDL's check fails: {reason}")]
    RustHdl {
        /// The module.
        module: String,
        /// What it found.
        reason: String,
    },
    /// Two different modules have one name.
    #[error("two different modules are named `{module}`: they differ first in `{first}` and `{second}`; put what differs into the name")]
    ModuleClash {
        /// The name.
        module: String,
        /// First differing line of the one.
        first: String,
        /// The same line of the other.
        second: String,
    },
    /// Two different memory images have one file name.
    #[error("two different memory images are named `{file}`; put what differs into the name")]
    ImageClash {
        /// The file name.
        file: String,
    },
}
