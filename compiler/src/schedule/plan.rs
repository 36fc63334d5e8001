//! The engine of each operator before it is folded, and the form of its requantizer.

use crate::quant::{
    Conv, Dense, Depthwise, Join, Map, Pad, Pool, PoolKind, QuantError, QuantOp, QuantTensor, Repeat, Splice,
};
use std::sync::Arc;
use systole_arith::hardware::{pivots, Linear};
use systole_arith::{Formula, Requantizer, Window};
use systole_hdl::cells::Cells;
use systole_hdl::engine::{
    ArgMaxEngine, ConcatEngine, Engine, JoinEngine, JoinOperand, MatrixEngine, MatrixSpec, PassEngine, ReduceEngine,
    Reduction, RepeatEngine, Turns, VectorEngine, VectorOp, VectorSpec,
};

/// What a stage is made of, before folding.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Operator, for reports.
    pub op: &'static str,
    /// The engine; one of everything.
    pub engine: Engine,
    /// What its requantizer computes.
    pub form: Requantizer,
    /// Channels of the requantizer: a pixel's, a whole sample's where pixels differ, or 1 where all
    /// channels share one function.
    pub channels: usize,
    /// Products of the dense loop nest a sample.
    pub macs: u64,
    /// One line on the layer, for the emitted module.
    pub description: String,
}

/// Everything an operator's plan is made from.
pub struct Site<'q> {
    /// Name of the stage.
    pub name: &'q str,
    /// Its operands.
    pub inputs: Vec<&'q QuantTensor>,
    /// Its result.
    pub output: &'q QuantTensor,
    /// Technology.
    pub cells: Cells,
}

impl Plan {
    /// Channels and form of the requantizer with a number of lanes, where neighbouring pixels leave as one of `wide`
    /// channels.
    pub fn requantizer(&self, lanes: usize, wide: usize) -> (usize, Requantizer) {
        let times = |count: usize| self.form.select(&(0..count).map(|at| at % self.channels).collect::<Vec<_>>());
        match () {
            () if self.is_uniform() => (lanes, repeated(&self.form, lanes)),
            // As the pixels come, each with the same beats.
            () if self.channels >= wide || self.channels.is_multiple_of(lanes) => (self.channels, self.form.clone()),
            () if lanes.is_multiple_of(self.channels) && wide.is_multiple_of(lanes) => (lanes, times(lanes)),
            () => (wide, times(wide)),
        }
    }

    /// Whether `lanes` requantizers count through pixels of `wide` channels as the engine's results do.
    pub fn suits(&self, lanes: usize, wide: usize) -> bool {
        let pixel = self.engine.results().channels;
        let plain = self.channels == pixel && !self.is_uniform();
        plain || wide.is_multiple_of(lanes)
    }

    fn is_uniform(&self) -> bool {
        self.channels == 1 && self.form.channels() == 1
    }

    /// The plan of an operator; none for a reshape, which needs no hardware.
    ///
    /// # Errors
    /// If its accumulators are too wide, or no hardware form is exact.
    pub fn of(op: &QuantOp, site: &Site<'_>) -> Result<Option<Plan>, QuantError> {
        match (op, site.inputs.as_slice()) {
            (QuantOp::Reshape, _) => Ok(None),
            (QuantOp::Dense(product), [input]) => site.matrix("dense", None, product, input, 1),
            (QuantOp::Conv(Conv { window, groups, product }), [input]) => {
                let seen = crate::quant::padded(window, product.input_zero_point, input);
                let window = (!window.is_pointwise()).then_some(*window);
                site.matrix("conv", window, product, &seen, *groups)
            }
            (QuantOp::Depthwise(conv), [input]) => site.depthwise(conv, input),
            (QuantOp::Pool(pool), [input]) => site.pool(pool, input),
            (QuantOp::Pad(pad), [input]) => site.pad(pad, input),
            (QuantOp::Map(map), [input]) => site.map(map, input),
            (QuantOp::Join(join), [left, right]) => site.join(join, left, right),
            (QuantOp::Concat, inputs) => {
                let channels = inputs.iter().map(|tensor| tensor.channels()).collect();
                site.concat(site.output.pixels(), Turns::Channels(channels))
            }
            (QuantOp::Splice(Splice { runs }), _) => {
                let turns = Turns::Pixels { channels: site.output.channels(), runs: runs.clone() };
                site.concat(site.output.pixels() / runs.iter().sum::<usize>().max(1), turns)
            }
            (QuantOp::Repeat(repeat), [input]) => site.repeat(repeat, input),
            (QuantOp::ArgMax, [input]) => site.arg_max(input),
            (op, inputs) => {
                Err(QuantError::broken(site.name, format!("a {} has {} operands", op.name(), inputs.len())))
            }
        }
    }

    /// A stage that only hands its input on, to several readers.
    pub fn fork(tensor: &QuantTensor) -> Plan {
        Plan {
            op: "fork",
            engine: pass(tensor),
            form: unchanged(tensor.channels()),
            channels: tensor.channels(),
            macs: 0,
            description: format!("Hands `{}` on to its readers.", tensor.name),
        }
    }
}

/// The number itself.
fn unchanged(channels: usize) -> Requantizer {
    Requantizer::Linear(Linear { stride: 1, offsets: vec![0; channels] })
}

fn pass(tensor: &QuantTensor) -> Engine {
    Engine::Pass(PassEngine { pixels: tensor.pixels(), channels: tensor.channels(), lanes: 1, element: tensor.element })
}

fn no_form(error: impl std::fmt::Display) -> QuantError {
    QuantError::broken("requantization", error.to_string())
}

/// One channel's form for `channels` of them.
fn repeated(form: &Requantizer, channels: usize) -> Requantizer {
    form.select(&vec![0; channels])
}

impl Site<'_> {
    fn plan(&self, op: &'static str, engine: Engine, form: Requantizer, description: String) -> Plan {
        let channels = engine.results().channels;
        Plan { op, engine, form, channels, macs: 0, description }
    }

    fn matrix(
        &self,
        op: &'static str,
        window: Option<Window>,
        product: &Dense,
        input: &QuantTensor,
        groups: usize,
    ) -> Result<Option<Plan>, QuantError> {
        let spec = MatrixSpec {
            pixels: self.output.pixels(),
            window,
            padding: product.input_zero_point,
            tap_lanes: 1,
            pixel_lanes: 1,
            beat_pixels: 1,
            inputs: input.channels(),
            outputs: self.output.channels(),
            pe: 1,
            simd: 1,
            input: input.element,
            weight: product.weight_type,
            accumulator_bits: product.raw_range(input)?.signed_bits(),
            cells: self.cells,
        };
        let weights = Arc::new(product.weights.clone());
        let (outputs, columns) = product.weights.dim();
        let shape = match window {
            Some(window) => format!("convolution {window}, {} to {outputs} channels", spec.inputs),
            None => format!("{outputs} x {columns} matrix product on {} pixel(s)", spec.pixels),
        };
        let description = format!("{shape}, {} by {}, to {}.", input.element, product.weight_type, self.output.element);
        let macs = (spec.pixels * outputs * columns / groups.max(1)) as u64;
        let engine = Engine::Matrix(MatrixEngine { name: self.name.to_string(), spec, weights });
        Ok(Some(Plan { macs, ..self.plan(op, engine, product.hardware_form(input)?, description) }))
    }

    fn depthwise(&self, conv: &Depthwise, input: &QuantTensor) -> Result<Option<Plan>, QuantError> {
        let (input, product) = (conv.input(input), &conv.product);
        let spec = VectorSpec {
            window: conv.window,
            padding: product.input_zero_point,
            channels: self.output.channels(),
            lanes: 1,
            tap_lanes: 1,
            pixel_lanes: 1,
            beat_pixels: 1,
            input: input.element,
            op: VectorOp::Multiply(product.weight_type),
            accumulator_bits: product.raw_range(&input)?.signed_bits(),
            cells: self.cells,
        };
        let description = format!(
            "depthwise convolution {}, {} channels, {} by {}, to {}.",
            conv.window, spec.channels, input.element, product.weight_type, self.output.element
        );
        let weights = Some(Arc::new(product.weights.clone()));
        let macs = (conv.window.output_pixels() * product.weights.len()) as u64;
        let engine = Engine::Vector(VectorEngine { name: self.name.to_string(), spec, weights });
        Ok(Some(Plan { macs, ..self.plan("depthwise", engine, product.hardware_form(&input)?, description) }))
    }

    fn window(&self, reduction: Reduction, window: Window, padding: i64, input: &QuantTensor) -> Engine {
        let spec = VectorSpec {
            window,
            padding,
            channels: input.channels(),
            lanes: 1,
            tap_lanes: 1,
            pixel_lanes: 1,
            beat_pixels: 1,
            input: input.element,
            op: VectorOp::Reduce(reduction),
            accumulator_bits: reduction.bits(input.element.range(), window.taps()),
            cells: self.cells,
        };
        Engine::Vector(VectorEngine { name: self.name.to_string(), spec, weights: None })
    }

    fn pool(&self, pool: &Pool, input: &QuantTensor) -> Result<Option<Plan>, QuantError> {
        let channels = input.channels();
        let (taps, zero_point) = (pool.window.taps() as i64, pool.input_zero_point);
        let whole = pool.window.is_global();
        let reduction = match pool.kind {
            PoolKind::Max => Reduction::Max,
            PoolKind::Sum => Reduction::Sum,
        };
        let padding = match pool.kind {
            PoolKind::Max => input.element.range().lo,
            PoolKind::Sum => zero_point,
        };
        if pool.window.reads_padding() && !input.element.contains(padding) {
            return Err(QuantError::broken(
                "pooling",
                format!("padding reads {padding}, which is no {}", input.element),
            ));
        }
        let engine = match whole {
            true => Engine::Reduce(ReduceEngine {
                pixels: pool.window.input_pixels(),
                channels,
                lanes: 1,
                element: input.element,
                reduction,
                accumulator_bits: reduction.bits(input.range, pool.window.input_pixels()),
                cells: self.cells,
            }),
            false => self.window(reduction, pool.window, padding, input),
        };
        let name = match reduction {
            Reduction::Max => "max_pool",
            Reduction::Sum => "sum_pool",
        };
        let description = format!("{name} {}, {channels} channels, to {}.", pool.window, self.output.element);
        // Padding adds the zero point: acc = raw - taps * zero point in every window.
        let offset = -taps * zero_point;
        let form = match (&pool.map, pool.kind, &pool.formula) {
            (_, PoolKind::Max, _) => unchanged(channels),
            (None, _, Formula::Identity { .. }) => {
                Requantizer::Linear(Linear { stride: 1, offsets: vec![offset; channels] })
            }
            (None, ..) => return Err(QuantError::broken("requantization", "its exact map has not been derived")),
            (Some(map), ..) => {
                let offsets = vec![offset; map.channels.len()];
                let raw =
                    |domain: systole_arith::Range| systole_arith::Range::new(domain.lo - offset, domain.hi - offset);
                let domains: Vec<_> = map.channels.iter().map(|channel| raw(channel.domain)).collect();
                let raw = map.pull_back(1, &offsets, &domains).map_err(no_form)?;
                let form = Requantizer::search(&raw, &pivots(1, &offsets)).map_err(no_form)?;
                if pool.counts.len() == 1 {
                    return Ok(Some(self.plan(name, engine, repeated(&form, channels), description)));
                }
                // Windows at the border divide by other numbers: each pixel has its own class.
                let pixels = 0..pool.window.output_pixels();
                let classes: Vec<usize> =
                    pixels.flat_map(|pixel| std::iter::repeat_n(pool.class(pixel), channels)).collect();
                let plan = self.plan(name, engine, form.select(&classes), description);
                return Ok(Some(Plan { channels: classes.len(), ..plan }));
            }
        };
        Ok(Some(self.plan(name, engine, form, description)))
    }

    fn pad(&self, pad: &Pad, input: &QuantTensor) -> Result<Option<Plan>, QuantError> {
        let engine = self.window(Reduction::Max, pad.window, pad.value, input);
        let description = format!("padding {} with {}.", pad.window, pad.value);
        Ok(Some(self.plan("pad", engine, unchanged(input.channels()), description)))
    }

    fn map(&self, map: &Map, input: &QuantTensor) -> Result<Option<Plan>, QuantError> {
        let Some(table) = &map.table else {
            return Err(QuantError::broken("requantization", "its exact table has not been derived"));
        };
        let form = Requantizer::table(table, input.channels()).map_err(no_form)?;
        let description = format!("function of each element, {} to {}.", input.element, table.output);
        Ok(Some(self.plan("map", pass(input), form, description)))
    }

    fn join(&self, join: &Join, left: &QuantTensor, right: &QuantTensor) -> Result<Option<Plan>, QuantError> {
        let Some(map) = &join.map else {
            return Err(QuantError::broken("requantization", "its exact map has not been derived"));
        };
        let operand = |tensor: &QuantTensor| JoinOperand { element: tensor.element, range: tensor.range };
        let engine = Engine::Join(JoinEngine {
            name: self.name.to_string(),
            pixels: left.pixels(),
            channels: left.channels(),
            lanes: 1,
            left: operand(left),
            right: operand(right),
            combine: map.combine.clone(),
            cells: self.cells,
        });
        let form = Requantizer::search(&map.step, &pivots(1, &[0])).map_err(no_form)?;
        let description = format!("join of {} and {}, to {}.", left.element, right.element, self.output.element);
        Ok(Some(Plan { channels: 1, ..self.plan("join", engine, form, description) }))
    }

    fn concat(&self, rounds: usize, turns: Turns) -> Result<Option<Plan>, QuantError> {
        let description = format!("concatenation of {} tensors.", self.inputs.len());
        let engine = Engine::Concat(ConcatEngine { rounds, turns, lanes: 1, element: self.output.element });
        Ok(Some(self.plan("concat", engine, unchanged(self.output.channels()), description)))
    }

    fn repeat(&self, repeat: &Repeat, input: &QuantTensor) -> Result<Option<Plan>, QuantError> {
        let Repeat { image, factors: [rows, columns] } = *repeat;
        let engine = Engine::Repeat(RepeatEngine {
            image,
            factors: repeat.factors,
            channels: input.channels(),
            lanes: 1,
            element: input.element,
            cells: self.cells,
        });
        let description = format!("each pixel {columns} time(s) along its row, each row {rows} time(s).");
        Ok(Some(self.plan("repeat", engine, unchanged(input.channels()), description)))
    }

    fn arg_max(&self, input: &QuantTensor) -> Result<Option<Plan>, QuantError> {
        let (pixels, channels) = (input.pixels(), input.channels());
        let engine = Engine::ArgMax(ArgMaxEngine { pixels, channels, lanes: 1, element: input.element });
        let description = format!("index of the greatest of {channels} {}.", input.element);
        Ok(Some(self.plan("arg_max", engine, unchanged(1), description)))
    }
}
