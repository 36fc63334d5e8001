//! Integers of any width as little-endian 64-bit words; bits above the width are 0.

/// Words of `width` bits.
pub(super) fn count(width: u32) -> usize {
    width.div_ceil(64) as usize
}

/// All-ones of `width` bits, at most 64.
pub(super) fn mask(width: u32) -> u64 {
    u64::MAX >> (64 - width.clamp(1, 64))
}

/// Clears bits at and above `width`.
pub(super) fn trim(words: &mut [u64], width: u32) {
    if let Some(last) = words.last_mut() {
        *last &= mask((width - 1) % 64 + 1);
    }
}

/// A word of the operand, 0 above it.
fn word(words: &[u64], at: usize) -> u64 {
    words.get(at).copied().unwrap_or(0)
}

pub(super) fn bit(words: &[u64], at: u32) -> bool {
    word(words, at as usize / 64) >> (at % 64) & 1 == 1
}

/// Word `at` of `words`, sign-extended from `width` bits if `negative`.
fn extended(words: &[u64], width: u32, negative: bool, at: usize) -> u64 {
    let value = word(words, at);
    if !negative {
        return value;
    }
    match (at * 64).cmp(&(width as usize)) {
        std::cmp::Ordering::Less if (at + 1) * 64 > width as usize => value | !mask(width % 64),
        std::cmp::Ordering::Less => value,
        _ => u64::MAX,
    }
}

/// `out = a` of `width` bits, sign-extended if `signed`.
pub(super) fn extend(out: &mut [u64], a: &[u64], width: u32, signed: bool) {
    let negative = signed && bit(a, width - 1);
    for (at, out) in out.iter_mut().enumerate() {
        *out = extended(a, width, negative, at);
    }
}

/// `out = a + b + carry`, modulo the words.
pub(super) fn add(out: &mut [u64], a: &[u64], b: &[u64], complement_b: bool) {
    let mut carry = u64::from(complement_b);
    for (at, out) in out.iter_mut().enumerate() {
        let addend = if complement_b { !word(b, at) } else { word(b, at) };
        let (sum, first) = word(a, at).overflowing_add(addend);
        let (sum, second) = sum.overflowing_add(carry);
        carry = u64::from(first || second);
        *out = sum;
    }
}

/// `out = a * b` of factors that are sign-extended if `signed`, modulo the words.
pub(super) fn mul(out: &mut [u64], a: (&[u64], u32), b: (&[u64], u32), signed: bool) {
    let negative = [a, b].map(|(words, width)| signed && bit(words, width - 1));
    out.fill(0);
    for i in 0..out.len() {
        let x = u128::from(extended(a.0, a.1, negative[0], i));
        let mut carry = 0u128;
        for j in 0..out.len() - i {
            let y = u128::from(extended(b.0, b.1, negative[1], j));
            let sum = x * y + u128::from(out[i + j]) + carry;
            out[i + j] = sum as u64;
            carry = sum >> 64;
        }
    }
}

/// `out` = the bits of `a` from bit `lo` on.
pub(super) fn slice(out: &mut [u64], a: &[u64], lo: u32) {
    let (skip, shift) = (lo as usize / 64, lo % 64);
    for (at, out) in out.iter_mut().enumerate() {
        let low = word(a, at + skip) >> shift;
        *out = if shift == 0 { low } else { low | word(a, at + skip + 1) << (64 - shift) };
    }
}

/// Replaces `width` bits of `out` from bit `lo` on by those of `a`.
pub(super) fn insert(out: &mut [u64], a: &[u64], lo: u32, width: u32) {
    let mut done = 0;
    while done < width {
        let at = lo + done;
        let (place, shift) = (at as usize / 64, at % 64);
        let room = (64 - shift).min(width - done);
        let mut part = [0];
        slice(&mut part, a, done);
        let keep = mask(room) << shift;
        out[place] = out[place] & !keep | (part[0] << shift) & keep;
        done += room;
    }
}

/// `out = a << by`, modulo the words.
pub(super) fn shift_left(out: &mut [u64], a: &[u64], by: u32) {
    let (skip, shift) = (by as usize / 64, by % 64);
    for at in (0..out.len()).rev() {
        let high = if at >= skip { word(a, at - skip) << shift } else { 0 };
        let low = if shift > 0 && at > skip { word(a, at - skip - 1) >> (64 - shift) } else { 0 };
        out[at] = high | low;
    }
}

/// Order of two numbers of `width` bits.
pub(super) fn compare(a: &[u64], b: &[u64], width: u32, signed: bool) -> std::cmp::Ordering {
    if signed && bit(a, width - 1) != bit(b, width - 1) {
        return bit(b, width - 1).cmp(&bit(a, width - 1));
    }
    a.iter().rev().cmp(b.iter().rev())
}
