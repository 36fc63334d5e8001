//! The top module: AXI4-Stream ports around the stages.

use crate::cells::Cells;
use crate::stage::{port_name, StageSpec};
use crate::stream::{bits_for, FifoSpec, RegroupBuildError, RegroupSpec};
use crate::typed::{bit, uint, Expr, Module, ModuleBuilder, Signal};
use std::collections::HashMap;
use std::sync::Arc;
use systole_arith::IntType;

/// One end of the accelerator: an AXI4-Stream port and the tensor on it.
#[derive(Clone, Debug)]
pub struct PortSpec {
    /// Element type.
    pub element: IntType,
    /// Elements a beat.
    pub lanes: usize,
    /// Channels of a pixel.
    pub channels: usize,
    /// Pixels of a sample.
    pub pixels: usize,
}

impl PortSpec {
    /// Bits of a lane at the port: whole bytes.
    pub fn lane_bits(&self) -> u32 {
        self.element.bits().div_ceil(8) * 8
    }

    /// Beats of a sample.
    pub fn beats(&self) -> usize {
        self.pixels * self.channels.div_ceil(self.lanes)
    }
}

/// The top module of a design: stages and the streams between them.
///
/// Ports: `aclk`, `aresetn`, `s_axis_tdata/tvalid/tready/tlast`, `m_axis_tdata/tvalid/tready/tlast`.
/// Lanes take whole bytes, sign- or zero-extended; idle lanes are ignored on input and 0 on output;
/// TLAST is ignored on input and marks the last beat of each sample on output. A two-entry buffer
/// registers the input's handshake; the output's comes from the last stage's FIFO, or from such a
/// buffer behind a regrouping block.
#[derive(Clone, Debug)]
pub struct TopSpec {
    /// Name of the design and of the module.
    pub name: String,
    /// Header lines.
    pub comments: Vec<String>,
    /// Technology.
    pub cells: Cells,
    /// The input.
    pub input: PortSpec,
    /// Name of the stream behind the input buffer.
    pub input_stream: String,
    /// Stages in data order.
    pub stages: Vec<TopStage>,
    /// Name of the stream in front of the output port.
    pub output_stream: String,
    /// The output.
    pub output: PortSpec,
    /// The block between the last stage's lanes and the output's, where they differ.
    pub output_regroup: Option<RegroupSpec>,
    /// Entries of the buffers at the ports.
    pub port_buffer_depth: usize,
}

/// A stage with the streams it is connected to.
#[derive(Clone, Debug)]
pub struct TopStage {
    /// The stage.
    pub spec: StageSpec,
    /// Names of the streams it reads, in the order of its inputs.
    pub inputs: Vec<String>,
    /// Names of the streams it drives, one a reader.
    pub outputs: Vec<String>,
}

/// Why a top module cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// A block cannot be built.
    #[error(transparent)]
    Block(#[from] RegroupBuildError),
    /// A stream that nothing drives, or several read.
    #[error("stream `{0}` is not driven once and read once")]
    Stream(String),
}

impl From<crate::typed::HdlError> for TopError {
    fn from(error: crate::typed::HdlError) -> Self {
        TopError::Block(error.into())
    }
}

/// Wires of one stream.
#[derive(Clone, Copy)]
struct Wires {
    valid: Signal,
    ready: Signal,
    data: Signal,
}

impl Wires {
    /// Connections of a stage's port.
    fn ports(&self, side: &str, index: usize) -> [(String, Expr); 3] {
        [("valid", self.valid), ("ready", self.ready), ("data", self.data)]
            .map(|(name, signal)| (port_name(side, index, name), signal.expr()))
    }
}

impl TopSpec {
    /// The top module.
    ///
    /// # Errors
    /// If a stream cannot be regrouped or is not driven once and read once, which the scheduler excludes.
    pub fn module(&self) -> Result<Arc<Module>, TopError> {
        let mut m = ModuleBuilder::new(self.name.clone());
        for comment in &self.comments {
            m.comment(comment.clone());
        }
        let reset = m.active_low_reset("aresetn");
        m.drive_reset(reset);
        let mut streams = HashMap::from([(self.input_stream.clone(), self.input_port(&mut m)?)]);
        for stage in &self.stages {
            let mut ports = Vec::new();
            for (index, name) in stage.inputs.iter().enumerate() {
                let stream = streams.remove(name).ok_or_else(|| TopError::Stream(name.clone()))?;
                ports.extend(stream.ports("in", index));
            }
            for (index, name) in stage.outputs.iter().enumerate() {
                let stream = wires(&mut m, name, stage.spec.out_width());
                ports.extend(stream.ports("out", index));
                if streams.insert(name.clone(), stream).is_some() {
                    return Err(TopError::Stream(name.clone()));
                }
            }
            m.instance(stage.spec.name.clone(), &stage.spec.module()?, &ports);
        }
        let last = streams.remove(&self.output_stream).ok_or_else(|| TopError::Stream(self.output_stream.clone()))?;
        if let Some(name) = streams.into_keys().min() {
            return Err(TopError::Stream(name));
        }
        self.output_port(&mut m, last)?;
        Ok(m.build()?)
    }

    /// Trims the port's lanes to elements, clears idle lanes and registers the handshake.
    fn input_port(&self, m: &mut ModuleBuilder) -> Result<Wires, RegroupBuildError> {
        let (port, bits) = (&self.input, self.input.element.bits());
        let lanes = port.lanes as u32;
        let tdata = m.input("s_axis_tdata", uint(lanes * port.lane_bits()));
        let tvalid = m.input("s_axis_tvalid", bit());
        let tready = m.output("s_axis_tready", bit());
        m.ignored_input("s_axis_tlast", bit());
        let trimmed =
            (0..lanes).rev().map(|lane| tdata.expr().slice(lane * port.lane_bits(), bits)).collect::<Vec<_>>();
        let mut payload = m.let_("s_axis_elements", Expr::concat(&trimmed)).expr();
        let rest = (port.channels % port.lanes) as u32;
        if rest > 0 {
            let accepted = m.let_("s_axis_accepted", tvalid.expr().and(tready.expr()));
            let last = beat_counter(m, "s_axis_beat", port.channels.div_ceil(port.lanes), accepted.expr());
            let high = payload.slice(rest * bits, (lanes - rest) * bits);
            let cleared = Expr::mux(&last, Expr::lit(high.ty(), 0), &high);
            payload = m.let_("s_axis_cleared", Expr::concat(&[cleared, payload.slice(0, rest * bits)])).expr();
        }
        let out = wires(m, &self.input_stream, lanes * bits);
        self.buffer(m, "input_buffer", (tvalid.expr(), tready.expr(), payload), out)?;
        Ok(out)
    }

    /// Regroups to the port's lanes where asked for, extends each to whole bytes and adds TLAST.
    fn output_port(&self, m: &mut ModuleBuilder, mut stream: Wires) -> Result<(), RegroupBuildError> {
        let (port, bits) = (&self.output, self.output.element.bits());
        if let Some(block) = &self.output_regroup {
            let regrouped = wires(m, "regrouped", block.out_lanes as u32 * block.element_bits);
            m.instance(
                "output_regroup",
                &block.module()?,
                &[
                    ("in_valid", stream.valid.expr()),
                    ("in_ready", stream.ready.expr()),
                    ("in_data", stream.data.expr()),
                    ("out_valid", regrouped.valid.expr()),
                    ("out_ready", regrouped.ready.expr()),
                    ("out_data", regrouped.data.expr()),
                ],
            );
            let buffered = wires(m, "buffered", block.out_lanes as u32 * block.element_bits);
            let entering = (regrouped.valid.expr(), regrouped.ready.expr(), regrouped.data.expr());
            self.buffer(m, "output_buffer", entering, buffered)?;
            stream = buffered;
        }
        let tdata = m.output("m_axis_tdata", uint(port.lanes as u32 * port.lane_bits()));
        let tvalid = m.output("m_axis_tvalid", bit());
        let tready = m.input("m_axis_tready", bit());
        let tlast = m.output("m_axis_tlast", bit());
        let lane = |lane: u32| {
            let element = stream.data.expr().slice(lane * bits, bits);
            match port.element {
                IntType::Signed(_) => element.as_signed().extend(port.lane_bits()).as_unsigned(),
                _ => element.extend(port.lane_bits()),
            }
        };
        let lanes: Vec<Expr> = (0..port.lanes as u32).rev().map(lane).collect();
        m.assign(tdata, Expr::concat(&lanes));
        m.assign(tvalid, stream.valid.expr());
        m.assign(stream.ready, tready.expr());
        let sent = m.let_("m_axis_sent", stream.valid.expr().and(tready.expr()));
        let last = beat_counter(m, "m_axis_beat", port.beats(), sent.expr());
        m.assign(tlast, last);
        Ok(())
    }

    fn buffer(
        &self,
        m: &mut ModuleBuilder,
        name: &str,
        (valid, ready, data): (Expr, Expr, Expr),
        out: Wires,
    ) -> Result<(), RegroupBuildError> {
        let fifo = FifoSpec { depth: self.port_buffer_depth, width: u64::from(data.ty().width), credited: false };
        m.instance(
            name,
            &fifo.module(&self.cells)?,
            &[
                ("in_valid", valid),
                ("in_ready", ready),
                ("in_data", data),
                ("out_valid", out.valid.expr()),
                ("out_ready", out.ready.expr()),
                ("out_data", out.data.expr()),
            ],
        );
        Ok(())
    }
}

/// Counts accepted beats modulo `beats`; true at the last one.
fn beat_counter(m: &mut ModuleBuilder, name: &str, beats: usize, accepted: Expr) -> Expr {
    if beats == 1 {
        return Expr::lit(bit(), 1);
    }
    let ty = uint(bits_for(beats as u64 - 1));
    let count = m.register(name, ty);
    m.reset(count, 0);
    let last = m.let_(format!("{name}_is_last"), count.expr().eq(Expr::lit(ty, beats as i64 - 1)));
    let up = count.expr().add(Expr::lit(ty, 1));
    m.clock_if(count, accepted, Expr::mux(last.expr(), Expr::lit(ty, 0), &up));
    last.expr()
}

fn wires(m: &mut ModuleBuilder, name: &str, width: u32) -> Wires {
    Wires {
        valid: m.wire(format!("{name}_valid"), bit()),
        ready: m.wire(format!("{name}_ready"), bit()),
        data: m.wire(format!("{name}_data"), uint(width)),
    }
}
