//! What goes wrong with a user's file, each with the node, the numbers and a remedy.

use std::path::PathBuf;

/// A diagnostic of the compiler. All of these are the input's fault: exit status 2.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CompileError {
    /// A file cannot be read or written.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        cause: String,
    },
    /// The file is not what its name says, or is damaged.
    #[error("{format} file is damaged: {cause}; export the model again")]
    Damaged {
        /// `TFLite` or `ONNX`.
        format: &'static str,
        /// What does not fit, with offsets or names.
        cause: String,
    },
    /// A node cannot be compiled.
    #[error("node `{node}`: {cause}; {remedy}")]
    Node {
        /// Name in the file, or operator and index where it has none.
        node: String,
        /// What is wrong, with numbers.
        cause: String,
        /// What to do.
        remedy: String,
    },
    /// Operators that are not supported, all of them at once.
    #[error("{} of the model's operators cannot be compiled:\n{}", .0.len(), .0.iter().map(|u| format!("  node `{}`: {}", u.node, u.reason)).collect::<Vec<_>>().join("\n"))]
    Unsupported(Vec<Unsupported>),
    /// The model as a whole cannot be compiled.
    #[error("{cause}; {remedy}")]
    Model {
        /// What is wrong.
        cause: String,
        /// What to do.
        remedy: String,
    },
    /// An internal guarantee does not hold: our bug, named after the pass that broke it.
    #[error("internal error after pass `{pass}`: {cause}; please report this with the model file")]
    Internal {
        /// The pass.
        pass: &'static str,
        /// The broken guarantee.
        cause: String,
    },
}

/// One unsupported node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsupported {
    /// Name in the file, or operator and index where it has none.
    pub node: String,
    /// Why, and the rewrite that would help where there is one.
    pub reason: String,
}

impl CompileError {
    /// A diagnostic on one node.
    pub fn node(node: impl Into<String>, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        CompileError::Node { node: node.into(), cause: cause.into(), remedy: remedy.into() }
    }

    /// A diagnostic on the whole model.
    pub fn model(cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        CompileError::Model { cause: cause.into(), remedy: remedy.into() }
    }

    /// All that is wrong with a model's nodes as one diagnostic, none where nothing is: a single error stays
    /// as it is, several become one list. An error that is no node's comes first and alone.
    pub fn all(errors: Vec<CompileError>) -> Option<CompileError> {
        let of_nodes = |error: &CompileError| matches!(error, CompileError::Node { .. } | CompileError::Unsupported(_));
        if let Some(other) = errors.iter().find(|error| !of_nodes(error)) {
            return Some(other.clone());
        }
        if let [single] = errors.as_slice() {
            return Some(single.clone());
        }
        let list: Vec<Unsupported> = errors
            .into_iter()
            .flat_map(|error| match error {
                CompileError::Node { node, cause, remedy } => {
                    vec![Unsupported { node, reason: format!("{cause}; {remedy}") }]
                }
                CompileError::Unsupported(list) => list,
                _ => vec![],
            })
            .collect();
        (!list.is_empty()).then_some(CompileError::Unsupported(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_errors_of_nodes_become_one_list_with_each_remedy() {
        let unsupported = |node: &str| Unsupported { node: node.into(), reason: "RNN is not supported".into() };
        let errors = vec![
            CompileError::node("a", "it has 3 operands", "give 2"),
            CompileError::Unsupported(vec![unsupported("b")]),
        ];
        assert_eq!(CompileError::all(errors[..1].to_vec()), Some(errors[0].clone()));
        assert_eq!(CompileError::all(vec![]), None);
        let text = CompileError::all(errors.clone()).map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("2 of the model's operators") && text.contains("3 operands; give 2"), "{text}");
        assert!(text.contains("`b`: RNN"), "{text}");
        let other = CompileError::model("it has no input", "add one");
        assert_eq!(CompileError::all([errors, vec![other.clone()]].concat()), Some(other));
    }
}
