//! The evaluator's instructions.

use super::words;

/// Where a value lies in the state: its first word and its width in bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub at: u32,
    pub width: u32,
}

impl Place {
    fn range(self) -> std::ops::Range<usize> {
        self.at as usize..self.at as usize + words::count(self.width)
    }

    pub fn of(self, state: &[u64]) -> &[u64] {
        &state[self.range()]
    }

    pub fn of_mut(self, state: &mut [u64]) -> &mut [u64] {
        &mut state[self.range()]
    }
}

/// What an instruction does with operands `a`, `b` and the constant `c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// `a`, zero- or sign-extended.
    Extend {
        signed: bool,
    },
    Not,
    Neg,
    Add,
    Sub,
    And,
    Or,
    Xor,
    Mul {
        signed: bool,
    },
    Eq,
    Ne,
    Lt {
        signed: bool,
    },
    Le {
        signed: bool,
    },
    /// By `c`.
    ShiftLeft,
    /// By `c`.
    ShiftRight {
        signed: bool,
    },
    /// From bit `c` on.
    Slice,
    /// Bit `b` of `a`.
    Index,
    /// Writes `a` into the destination from bit `c` on, leaving its other bits.
    Insert,
    /// `a` if the word `c` is not 0, else `b`.
    Mux,
    ReduceAnd,
    ReduceOr,
    ReduceXor,
    /// Word `a` of memory `c`.
    Read,
}

/// One instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub operation: Operation,
    pub to: Place,
    pub a: Place,
    pub b: Place,
    pub c: u32,
}

impl Step {
    /// Whether all values fit one word.
    fn is_narrow(&self) -> bool {
        self.to.width <= 64 && self.a.width <= 64 && self.b.width <= 64
    }
}

/// Contents of a memory.
#[derive(Clone, Debug)]
pub(super) struct MemoryState {
    pub words: Vec<u64>,
    pub depth: usize,
    pub width: u32,
}

impl MemoryState {
    /// The word at `address`; zeros where there is none.
    pub fn read(&self, address: &[u64], out: &mut [u64]) {
        let stride = words::count(self.width);
        match self.place(address) {
            Some(index) => out.copy_from_slice(&self.words[index * stride..(index + 1) * stride]),
            None => out.fill(0),
        }
    }

    /// The index of an address that exists.
    pub fn place(&self, address: &[u64]) -> Option<usize> {
        let index = usize::try_from(*address.first()?).ok()?;
        (index < self.depth).then_some(index)
    }
}

/// Runs the steps in order.
pub(super) fn run(steps: &[Step], state: &mut [u64], memories: &[MemoryState], scratch: &mut Vec<u64>) {
    for step in steps {
        if step.operation == Operation::Read {
            scratch.clear();
            scratch.resize(words::count(step.to.width), 0);
            memories[step.c as usize].read(step.a.of(state), scratch);
            step.to.of_mut(state).copy_from_slice(scratch);
        } else if step.is_narrow() {
            state[step.to.at as usize] = narrow(step, state);
        } else {
            wide(step, state, scratch);
        }
    }
}

fn sign_extended(value: u64, width: u32) -> i64 {
    let unused = 64 - width;
    ((value << unused) as i64) >> unused
}

fn narrow(step: &Step, state: &[u64]) -> u64 {
    let (a, b, c) = (state[step.a.at as usize], state[step.b.at as usize], step.c);
    let signed_a = || sign_extended(a, step.a.width);
    let signed_b = || sign_extended(b, step.b.width);
    let value = match step.operation {
        Operation::Extend { signed: false } => a,
        Operation::Extend { signed: true } => signed_a() as u64,
        Operation::Not => !a,
        Operation::Neg => a.wrapping_neg(),
        Operation::Add => a.wrapping_add(b),
        Operation::Sub => a.wrapping_sub(b),
        Operation::And => a & b,
        Operation::Or => a | b,
        Operation::Xor => a ^ b,
        Operation::Mul { signed: false } => a.wrapping_mul(b),
        Operation::Mul { signed: true } => signed_a().wrapping_mul(signed_b()) as u64,
        Operation::Eq => u64::from(a == b),
        Operation::Ne => u64::from(a != b),
        Operation::Lt { signed: false } => u64::from(a < b),
        Operation::Lt { signed: true } => u64::from(signed_a() < signed_b()),
        Operation::Le { signed: false } => u64::from(a <= b),
        Operation::Le { signed: true } => u64::from(signed_a() <= signed_b()),
        Operation::ShiftLeft => a << c,
        Operation::ShiftRight { signed: false } | Operation::Slice => a >> c,
        Operation::ShiftRight { signed: true } => (signed_a() >> c) as u64,
        Operation::Index if b < u64::from(step.a.width) => a >> b & 1,
        Operation::Index => 0,
        Operation::Insert => {
            let keep = words::mask(step.a.width) << c;
            state[step.to.at as usize] & !keep | a << c
        }
        Operation::Mux => match state[c as usize] {
            0 => b,
            _ => a,
        },
        Operation::ReduceAnd => u64::from(a == words::mask(step.a.width)),
        Operation::ReduceOr => u64::from(a != 0),
        Operation::ReduceXor => u64::from(a.count_ones() % 2),
        Operation::Read => 0,
    };
    value & words::mask(step.to.width)
}

fn wide(step: &Step, state: &mut [u64], out: &mut Vec<u64>) {
    out.clear();
    out.resize(words::count(step.to.width), 0);
    let (a, b, c) = (step.a.of(state), step.b.of(state), step.c);
    let order = |signed| words::compare(a, b, step.a.width, signed);
    let flag = |value: bool, out: &mut Vec<u64>| out[0] = u64::from(value);
    match step.operation {
        Operation::Extend { signed } => words::extend(out, a, step.a.width, signed),
        Operation::Not => out.iter_mut().zip(a).for_each(|(out, a)| *out = !a),
        Operation::Neg => words::add(out, &[], a, true),
        Operation::Add => words::add(out, a, b, false),
        Operation::Sub => words::add(out, a, b, true),
        Operation::And => out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = a & b),
        Operation::Or => out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = a | b),
        Operation::Xor => out.iter_mut().zip(a.iter().zip(b)).for_each(|(out, (a, b))| *out = a ^ b),
        Operation::Mul { signed } => words::mul(out, (a, step.a.width), (b, step.b.width), signed),
        Operation::Eq => flag(a == b, out),
        Operation::Ne => flag(a != b, out),
        Operation::Lt { signed } => flag(order(signed).is_lt(), out),
        Operation::Le { signed } => flag(order(signed).is_le(), out),
        Operation::ShiftLeft => words::shift_left(out, a, c),
        Operation::ShiftRight { signed } => {
            let width = step.a.width;
            words::slice(out, a, c);
            if signed && words::bit(a, width - 1) {
                let ones = vec![u64::MAX; out.len()];
                words::insert(out, &ones, width - c, c);
            }
        }
        Operation::Slice => words::slice(out, a, c),
        Operation::Index => {
            let index = u32::try_from(b[0]).unwrap_or(u32::MAX);
            flag(index < step.a.width && words::bit(a, index), out);
        }
        Operation::Insert => {
            out.copy_from_slice(step.to.of(state));
            words::insert(out, a, c, step.a.width);
        }
        Operation::Mux => out.copy_from_slice(if state[c as usize] == 0 { b } else { a }),
        Operation::ReduceAnd => {
            let mut ones = vec![u64::MAX; a.len()];
            words::trim(&mut ones, step.a.width);
            flag(a == ones, out);
        }
        Operation::ReduceOr => flag(a.iter().any(|&word| word != 0), out),
        Operation::ReduceXor => flag(a.iter().map(|word| word.count_ones()).sum::<u32>() % 2 == 1, out),
        Operation::Read => {}
    }
    words::trim(out, step.to.width);
    step.to.of_mut(state).copy_from_slice(out);
}
