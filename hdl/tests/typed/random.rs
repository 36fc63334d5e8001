//! Random modules: what the evaluator computes is what Verilator computes from the Verilog.

use crate::simulator::{lint_with, simulate};
use num_bigint::BigUint;
use std::sync::Arc;
use systole_hdl::typed::{
    address_bits, bit, uint, Evaluator, Expr, HwType, MemorySpec, MemoryStyle, Module, ModuleBuilder, RomImage, Signal,
};

/// SplitMix64 (Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u32) -> u32 {
        (self.next() % u64::from(limit)) as u32
    }

    fn chance(&mut self, one_in: u32) -> bool {
        self.below(one_in) == 0
    }

    /// Mostly narrow, sometimes across one and two words.
    fn width(&mut self) -> u32 {
        match self.below(8) {
            0 => 1,
            1 => 60 + self.below(10),
            2 => 100 + self.below(40),
            _ => 1 + self.below(20),
        }
    }

    fn ty(&mut self) -> HwType {
        HwType { width: self.width(), signed: self.chance(2) }
    }

    /// Bits of which the extremes are as likely as all others together.
    fn bits(&mut self, width: u32) -> BigUint {
        let ones = (BigUint::from(1u8) << width) - 1u8;
        match self.below(6) {
            0 => BigUint::default(),
            1 => ones,
            2 => BigUint::from(1u8) << (width - 1),
            _ => BigUint::new((0..width.div_ceil(32)).map(|_| self.next() as u32).collect()) & ones,
        }
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u32) as usize]
    }
}

/// Widest expression: products and concatenations stop growing there.
const WIDEST: u32 = 150;

/// `expr` in exactly that type, by truncation, extension and reinterpretation.
fn fit(expr: &Expr, ty: HwType) -> Expr {
    let sized = match expr.ty().width.cmp(&ty.width) {
        std::cmp::Ordering::Greater => expr.truncate(ty.width),
        _ => expr.extend(ty.width),
    };
    if ty.signed {
        sized.as_signed()
    } else {
        sized.as_unsigned()
    }
}

struct Generator {
    random: Random,
    pool: Vec<Expr>,
}

impl Generator {
    fn any(&mut self) -> Expr {
        if self.random.chance(6) {
            let ty = self.random.ty();
            let bits = self.random.bits(ty.width);
            return fit(&Expr::lit(uint(ty.width), bits), ty);
        }
        // Recent values more often, so that expressions grow deep.
        let count = self.pool.len() as u32;
        let index =
            if self.random.chance(2) { self.random.below(count) } else { count - 1 - self.random.below(count.min(8)) };
        self.pool[index as usize].clone()
    }

    fn of(&mut self, ty: HwType) -> Expr {
        let expr = self.any();
        fit(&expr, ty)
    }

    /// Two values of one type, that of one of them.
    fn pair(&mut self) -> (Expr, Expr) {
        let a = self.any();
        let b = self.of(a.ty());
        match self.random.chance(2) {
            true => (a, b),
            false => (b, a),
        }
    }

    fn expression(&mut self) -> Expr {
        let (a, b) = self.pair();
        let width = a.ty().width;
        match self.random.below(26) {
            0 => a.add(b),
            1 => a.sub(b),
            2 => a.and(b),
            3 => a.or(b),
            4 => a.xor(b),
            5 => a.eq(b),
            6 => a.ne(b),
            7 => a.lt(b),
            8 => a.le(b),
            9 => a.gt(b),
            10 => a.ge(b),
            11 => a.not(),
            12 => a.neg(),
            13 => a.shl_const(self.random.below(width + 2)),
            14 => a.shr_const(self.random.below(width + 2)),
            15 => a.reduce_and(),
            16 => a.reduce_or(),
            17 => a.reduce_xor(),
            18 => {
                let condition = self.of(bit());
                Expr::mux(condition, a, b)
            }
            19 => {
                let lo = self.random.below(width);
                let slice = a.slice(lo, 1 + self.random.below(width - lo));
                if self.random.chance(2) {
                    slice.as_signed()
                } else {
                    slice
                }
            }
            20 => {
                let index = self.of(uint(address_bits(width as usize)));
                a.index(index)
            }
            21 => {
                let c = self.any();
                match width + c.ty().width <= WIDEST {
                    true => Expr::concat(&[a, c]),
                    false => c.is_zero(),
                }
            }
            22 => a.extend(width + self.random.below(12)),
            23 => {
                if a.ty().signed {
                    a.as_unsigned()
                } else {
                    a.as_signed()
                }
            }
            _ => {
                let c = self.any();
                let c = if a.ty().signed { c.as_signed() } else { c.as_unsigned() };
                match width + c.ty().width <= WIDEST {
                    true => a.mul(c),
                    false => a.truncate(1 + self.random.below(width)),
                }
            }
        }
    }

    /// Adds `count` expressions to the pool, in the module by name where it says.
    fn grow(&mut self, count: usize, mut name: impl FnMut(usize, Expr) -> Option<Expr>) {
        for index in 0..count {
            let expr = self.expression();
            let expr = if expr.ty().width > WIDEST { expr.slice(3, WIDEST / 2) } else { expr };
            let kept = match self.random.chance(3) {
                true => name(index, expr.clone()).unwrap_or(expr),
                false => expr,
            };
            self.pool.push(kept);
        }
    }

    /// A module whose inputs, of random types, are slices of `stimulus`.
    fn module(&mut self, name: &str, stimulus_bits: u32) -> Arc<Module> {
        let mut m = ModuleBuilder::new(name);
        let stimulus = m.input("stimulus", uint(stimulus_bits));
        let mut low = 0;
        while low < stimulus_bits {
            let ty = self.random.ty();
            let width = ty.width.min(stimulus_bits - low);
            let slice = stimulus.expr().slice(low, width);
            self.pool.push(if ty.signed { slice.as_signed() } else { slice });
            low += width;
        }
        let registers: Vec<Signal> =
            (0..6).map(|index| m.register(format!("state_{index}"), self.random.ty())).collect();
        self.pool.extend(registers.iter().map(|register| register.expr()));
        self.memory(&mut m, "constants", true);
        self.grow(120, |index, expr| Some(m.let_(format!("value_{index}"), expr).expr()));
        self.memory(&mut m, "store", false);
        for &register in &registers {
            let next = self.of(register.ty());
            if self.random.chance(2) {
                let value = register.ty().value_of(&self.random.bits(register.ty().width));
                m.reset(register, value);
            }
            match self.random.chance(2) {
                true => m.clock(register, next),
                false => {
                    let enable = self.of(bit());
                    m.clock_if(register, enable, next);
                }
            }
        }
        let mut parts: Vec<Expr> = self.pool.split_off(self.pool.len() - 24);
        parts.extend(registers.iter().map(|register| register.expr()));
        let all = Expr::concat(&parts);
        let response = m.output("response", all.ty());
        m.assign(response, all);
        let reset = m.areset();
        let _ = m.let_("in_reset", reset);
        self.pool.clear();
        m.build().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A memory with an image or a write port, and its read ports.
    fn memory(&mut self, m: &mut ModuleBuilder, name: &str, image: bool) {
        let (width, depth) = (self.random.width(), 1usize << self.random.below(5));
        let words = (0..depth).map(|_| self.random.bits(width)).collect();
        let file = format!("{name}_{:x}.hex", self.random.next());
        let style = *self.random.pick(&[MemoryStyle::Registers, MemoryStyle::Distributed, MemoryStyle::Block]);
        let init = image.then(|| RomImage { file, words: Arc::new(words) });
        let memory = m.memory(MemorySpec { name: name.into(), width, depth, style, init });
        let address = uint(address_bits(depth));
        // An address of a one-word memory has a bit that must be 0.
        let place = |generator: &mut Generator| match depth {
            1 => Expr::zero(address),
            _ => generator.of(address),
        };
        if !image || self.random.chance(2) {
            let (enable, at, data) = (self.of(bit()), place(self), self.of(uint(width)));
            m.write_port(memory, enable, at, data);
        }
        let (enable, at) = (self.random.chance(2).then(|| self.of(bit())), place(self));
        self.pool.push(m.read_port(memory, format!("{name}_word"), at, enable).expr());
        if style != MemoryStyle::Block {
            let at = place(self);
            self.pool.push(m.read_async(memory, format!("{name}_now"), at).expr());
        }
    }
}

/// Several random modules side by side.
fn design(name: &str, seed: u64, modules: usize) -> Arc<Module> {
    let mut generator = Generator { random: Random(seed), pool: Vec::new() };
    let stimulus_bits = 300;
    let children: Vec<Arc<Module>> =
        (0..modules).map(|index| generator.module(&format!("{name}_part_{index}"), stimulus_bits)).collect();
    let mut m = ModuleBuilder::new(name);
    let stimulus = m.input("stimulus", uint(stimulus_bits));
    let mut responses = Vec::new();
    for (index, child) in children.iter().enumerate() {
        let ty = child.port("response").expect("the port").ty;
        let response = m.wire(format!("response_{index}"), ty);
        // Each sees its own rotation of the stimulus.
        let at = 1 + 17 * index as u32;
        let turned = Expr::concat(&[stimulus.expr().slice(0, at), stimulus.expr().slice(at, stimulus_bits - at)]);
        m.instance(format!("part_{index}"), child, &[("stimulus", turned), ("response", response.expr())]);
        responses.push(response.expr());
    }
    let all = Expr::concat(&responses);
    let response = m.output("response", all.ty());
    m.assign(response, all);
    m.build().unwrap_or_else(|error| panic!("{error}"))
}

fn check(name: &str, seed: u64, modules: usize, cycles: usize) {
    let top = design(name, seed, modules);
    // Verilator finds comparisons that happen to be constant; everything else must be clean.
    assert_eq!(lint_with(&top, &["-Wno-UNSIGNED", "-Wno-CMPCONST"]), "", "seed {seed}");
    let mut random = Random(!seed);
    let width = top.port("stimulus").expect("the port").ty.width;
    let stimulus = |random: &mut Random| {
        // Pieces, so that each input sees its extremes.
        let pieces = (0..width.div_ceil(12)).fold(BigUint::default(), |all, _| (all << 12) | random.bits(12));
        pieces & ((BigUint::from(1u8) << width) - 1u8)
    };
    let stimuli: Vec<(bool, BigUint)> =
        (0..cycles).map(|cycle| (cycle == 0 || random.chance(50), stimulus(&mut random))).collect();
    let responses = simulate(&top, &stimuli);
    assert_eq!(responses.len(), stimuli.len());
    let mut evaluator = Evaluator::new(&top);
    let mut checked = 0u64;
    for (cycle, ((reset, stimulus), expected)) in stimuli.iter().zip(responses).enumerate() {
        evaluator.set("areset", u32::from(*reset));
        evaluator.set("stimulus", stimulus.clone());
        let got = evaluator.get("response");
        if got != expected {
            let first = (&got ^ &expected).trailing_zeros().unwrap_or(0);
            panic!("seed {seed}, cycle {cycle}: first difference in bit {first} of the response");
        }
        checked += got.bits();
        evaluator.clock();
    }
    assert!(checked > 100 * cycles as u64, "seed {seed}: the responses were all but empty");
}

#[test]
fn random_modules_compute_the_same_in_the_evaluator_and_in_verilator() {
    for seed in [1, 2] {
        check(&format!("random_design_{seed}"), seed, 8, 300);
    }
}

#[test]
fn simplified_constants_equal_what_the_hardware_computes() {
    for seed in 0..200 {
        let mut types = Random(seed);
        let inputs: Vec<(HwType, BigUint)> = (0..12)
            .map(|_| {
                let ty = types.ty();
                (ty, types.bits(ty.width))
            })
            .collect();
        let constants = inputs.iter().map(|(ty, bits)| Expr::lit(*ty, ty.value_of(bits))).collect();
        let mut folded = Generator { random: Random(!seed), pool: constants };
        folded.grow(60, |_, _| None);

        let mut m = ModuleBuilder::new("folding");
        let ports = inputs.iter().enumerate().map(|(index, (ty, _))| m.input(format!("x_{index}"), *ty).expr());
        let mut computed = Generator { random: Random(!seed), pool: ports.collect() };
        computed.grow(60, |_, _| None);
        let outputs: Vec<Signal> = computed
            .pool
            .iter()
            .map(|expr| expr.ty())
            .enumerate()
            .map(|(index, ty)| m.output(format!("y_{index}"), ty))
            .collect();
        for (output, expr) in outputs.iter().zip(&computed.pool) {
            m.assign(*output, expr);
        }
        let mut hardware = Evaluator::new(&m.build().unwrap_or_else(|error| panic!("{error}")));
        for (index, (_, bits)) in inputs.iter().enumerate() {
            hardware.set(&format!("x_{index}"), bits.clone());
        }
        for (index, constant) in folded.pool.iter().enumerate() {
            // A constant compared with itself is the constant 1: only constants can be.
            let same = constant.eq(Expr::lit(constant.ty(), hardware.get_value(&format!("y_{index}"))));
            assert_eq!(format!("{same:?}"), "1:u1", "seed {seed}, expression {index}: {constant:?}");
        }
    }
}
