//! Small ONNX models, built field by field. Each test program uses a part of it.

#![allow(dead_code)]

use prost::Message;
use systole_compiler::frontend::onnx::proto::*;

/// A model under construction.
pub struct Model(pub ModelProto);

impl Model {
    /// No nodes; IR version 10, ONNX operators 13, QONNX operators 1.
    pub fn new() -> Self {
        let import = |domain: &str, version| OperatorSetIdProto { domain: Some(domain.into()), version: Some(version) };
        Model(ModelProto {
            ir_version: Some(10),
            graph: Some(GraphProto { name: Some("small".into()), ..GraphProto::default() }),
            opset_import: vec![import("", 13), import("qonnx.custom_op.general", 1)],
            ..ModelProto::default()
        })
    }

    /// `x [1,3] -> Quant -> MatMul with 3x2 quantized weights -> Add -> Relu -> Quant -> y [1,2]`.
    pub fn layer() -> Self {
        let mut model = Model::new();
        model.input("x", &[1, 3]).output("y", &[1, 2]);
        model.scalar("scale", 0.25).scalar("zero", 0.0).scalar("bits", 4.0);
        model.floats("w", &[3, 2], &[0.5, -0.25, 0.75, 0.0, -1.0, 1.0]).floats("b", &[2], &[0.125, -0.5]);
        model.quant("input_quant", "x", "xq");
        model.quant("weight_quant", "w", "wq");
        model.node("product", "MatMul", &["xq", "wq"], &["p"]);
        model.node("bias", "Add", &["p", "b"], &["s"]);
        model.node("relu", "Relu", &["s"], &["r"]);
        model.quant("output_quant", "r", "y");
        model
    }

    pub fn graph(&mut self) -> &mut GraphProto {
        self.0.graph.as_mut().expect("made in new")
    }

    pub fn input(&mut self, name: &str, dims: &[i64]) -> &mut Self {
        let info = value_info(name, dims);
        self.graph().input.push(info);
        self
    }

    pub fn output(&mut self, name: &str, dims: &[i64]) -> &mut Self {
        let info = value_info(name, dims);
        self.graph().output.push(info);
        self
    }

    pub fn floats(&mut self, name: &str, dims: &[i64], values: &[f32]) -> &mut Self {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, dims, 1, raw)
    }

    pub fn ints(&mut self, name: &str, values: &[i64]) -> &mut Self {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, &[values.len() as i64], 7, raw)
    }

    pub fn scalar(&mut self, name: &str, value: f32) -> &mut Self {
        self.floats(name, &[], &[value])
    }

    pub fn constant(&mut self, name: &str, dims: &[i64], data_type: i32, raw: Vec<u8>) -> &mut Self {
        self.graph().initializer.push(TensorProto {
            name: Some(name.into()),
            dims: dims.to_vec(),
            data_type: Some(data_type),
            raw_data: Some(raw),
            ..TensorProto::default()
        });
        self
    }

    pub fn node(&mut self, name: &str, op: &str, inputs: &[&str], outputs: &[&str]) -> &mut NodeProto {
        let list = |names: &[&str]| names.iter().map(|n| n.to_string()).collect();
        let nodes = &mut self.graph().node;
        nodes.push(NodeProto {
            name: Some(name.into()),
            op_type: Some(op.into()),
            input: list(inputs),
            output: list(outputs),
            ..NodeProto::default()
        });
        nodes.last_mut().expect("just pushed")
    }

    /// A Quant with the constants `scale`, `zero` and `bits`, signed.
    pub fn quant(&mut self, name: &str, from: &str, to: &str) -> &mut Self {
        let node = self.node(name, "Quant", &[from, "scale", "zero", "bits"], &[to]);
        node.domain = Some("qonnx.custom_op.general".into());
        node.attribute = vec![int("signed", 1), int("narrow", 0), text("rounding_mode", "ROUND")];
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
}

pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: Some(name.into()), i: Some(value), r#type: Some(2), ..AttributeProto::default() }
}

pub fn sizes(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: Some(name.into()), ints, r#type: Some(7), ..AttributeProto::default() }
}

pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: Some(name.into()),
        s: Some(value.as_bytes().to_vec()),
        r#type: Some(3),
        ..AttributeProto::default()
    }
}

pub fn value_info(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = dims.iter().map(|&d| DimensionProto { dim_value: Some(d), dim_param: None }).collect();
    let tensor = TensorTypeProto { elem_type: Some(1), shape: Some(TensorShapeProto { dim }) };
    ValueInfoProto { name: Some(name.into()), r#type: Some(TypeProto { tensor_type: Some(tensor) }) }
}
