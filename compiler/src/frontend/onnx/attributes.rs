//! Attributes of a node, read by name with their kind checked.

use super::constant::read_tensor;
use super::proto::{AttributeProto, NodeProto};
use crate::diagnostic::CompileError;
use crate::graph::Tensor;

/// The attributes of one node.
pub struct Attributes<'p> {
    node: &'p str,
    attributes: &'p [AttributeProto],
    operands: usize,
}

/// `AttributeProto.AttributeType` codes that are read; 0 where old files leave the kind out.
mod kind {
    pub const UNDEFINED: i32 = 0;
    pub const FLOAT: i32 = 1;
    pub const INT: i32 = 2;
    pub const STRING: i32 = 3;
    pub const TENSOR: i32 = 4;
    pub const FLOATS: i32 = 6;
    pub const INTS: i32 = 7;
}

impl<'p> Attributes<'p> {
    /// The attributes of `proto`, reported under the name `node`.
    pub fn new(node: &'p str, proto: &'p NodeProto) -> Self {
        let operands = proto.input.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
        Attributes { node, attributes: &proto.attribute, operands }
    }

    /// An integer, or `default` where the node leaves it out.
    ///
    /// # Errors
    /// If the attribute is of another kind.
    pub fn int(&self, name: &str, default: i64) -> Result<i64, CompileError> {
        match self.find(name, kind::INT)? {
            Some(attribute) => attribute.i.map_or_else(|| Err(self.wrong(name, "an integer")), Ok),
            None => Ok(default),
        }
    }

    /// An integer used as a truth value.
    ///
    /// # Errors
    /// If the attribute is of another kind or neither 0 nor 1.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, CompileError> {
        match self.int(name, i64::from(default))? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.wrong(name, "0 or 1")),
        }
    }

    /// A finite real number, or `default` where the node leaves it out.
    ///
    /// # Errors
    /// If the attribute is of another kind or not finite.
    pub fn float(&self, name: &str, default: f32) -> Result<f32, CompileError> {
        match self.find(name, kind::FLOAT)? {
            Some(attribute) => {
                attribute.f.filter(|v| v.is_finite()).ok_or_else(|| self.wrong(name, "a finite real number"))
            }
            None => Ok(default),
        }
    }

    /// A text, or `default` where the node leaves it out.
    ///
    /// # Errors
    /// If the attribute is of another kind or not UTF-8.
    pub fn text(&self, name: &str, default: &str) -> Result<String, CompileError> {
        match self.find(name, kind::STRING)? {
            Some(attribute) => attribute
                .s
                .clone()
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| self.wrong(name, "a text")),
            None => Ok(default.into()),
        }
    }

    /// A list of integers, none where the node leaves it out.
    ///
    /// # Errors
    /// If the attribute is of another kind.
    pub fn ints(&self, name: &str) -> Result<Option<Vec<i64>>, CompileError> {
        Ok(self.find(name, kind::INTS)?.map(|attribute| attribute.ints.clone()))
    }

    /// A list of real numbers, none where the node leaves it out.
    ///
    /// # Errors
    /// If the attribute is of another kind.
    pub fn floats(&self, name: &str) -> Result<Option<Vec<f32>>, CompileError> {
        Ok(self.find(name, kind::FLOATS)?.map(|attribute| attribute.floats.clone()))
    }

    /// A tensor, none where the node leaves it out.
    ///
    /// # Errors
    /// If the attribute is of another kind or its values cannot be read.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>, CompileError> {
        let Some(attribute) = self.find(name, kind::TENSOR)? else { return Ok(None) };
        let proto = attribute.t.as_ref().ok_or_else(|| self.wrong(name, "a tensor"))?;
        read_tensor(proto, &format!("{}.{name}", self.node)).map(Some)
    }

    /// Operands of the node, up to the last one that is present.
    pub fn operands(&self) -> usize {
        self.operands
    }

    /// An error on the node.
    pub fn error(&self, cause: impl Into<String>, remedy: impl Into<String>) -> CompileError {
        CompileError::node(self.node, cause, remedy)
    }

    fn find(&self, name: &str, wanted: i32) -> Result<Option<&'p AttributeProto>, CompileError> {
        let mut found = self.attributes.iter().filter(|a| a.name.as_deref() == Some(name));
        let Some(attribute) = found.next() else { return Ok(None) };
        if found.next().is_some() {
            return Err(CompileError::Damaged {
                format: "ONNX",
                cause: format!("node `{}` has attribute `{name}` twice", self.node),
            });
        }
        match attribute.r#type.unwrap_or(kind::UNDEFINED) {
            kind::UNDEFINED => Ok(Some(attribute)),
            found if found == wanted => Ok(Some(attribute)),
            _ => Err(self.wrong(name, "of the kind that the operator defines")),
        }
    }

    fn wrong(&self, name: &str, wanted: &str) -> CompileError {
        CompileError::node(self.node, format!("attribute `{name}` is not {wanted}"), "export the model again")
    }
}
