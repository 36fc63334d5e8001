//! Memories and their images.

use num_bigint::BigUint;
use std::fmt::Write;
use std::sync::Arc;

/// What a memory is built of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryStyle {
    /// Flip-flops.
    Registers,
    /// Look-up tables.
    Distributed,
    /// Block RAM: synchronous read ports only.
    Block,
}

impl MemoryStyle {
    /// The value of the `ram_style`/`rom_style` attribute that Vivado and Yosys read.
    pub(crate) fn attribute(self) -> &'static str {
        match self {
            MemoryStyle::Registers => "registers",
            MemoryStyle::Distributed => "distributed",
            MemoryStyle::Block => "block",
        }
    }
}

/// Contents of a memory, loaded by `$readmemh("rom/<file>", ...)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RomImage {
    /// File name inside the `rom` folder: letters, digits, underscores and dots.
    pub file: String,
    /// The words, the first at address 0; as many as the memory has.
    pub words: Arc<Vec<BigUint>>,
}

impl RomImage {
    /// The image's text: one word of `width` bits a line, hexadecimal with a fixed number of digits.
    pub fn hex(&self, width: u32) -> String {
        let digits = width.div_ceil(4) as usize;
        let mut text = String::with_capacity(self.words.len() * (digits + 1));
        for word in self.words.iter() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{word:0>digits$x}");
        }
        text
    }
}

/// A memory of `depth` words with at most one write port and any number of read ports.
///
/// A word that is read at the edge at which it is written has its old value. Reading at or above
/// `depth` gives an unspecified word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemorySpec {
    /// Name of the array.
    pub name: String,
    /// Bits a word.
    pub width: u32,
    /// Words.
    pub depth: usize,
    /// What it is built of.
    pub style: MemoryStyle,
    /// Contents at the start; without one, unspecified.
    pub init: Option<RomImage>,
}

impl MemorySpec {
    /// Checks the figures.
    ///
    /// # Panics
    /// If they do not fit each other: a bug of the hardware's author.
    pub(crate) fn check(&self) {
        let name = &self.name;
        super::names::check("memory", name);
        assert!(self.width > 0 && self.depth > 0, "memory `{name}`: {} words of {} bits", self.depth, self.width);
        let Some(image) = &self.init else { return };
        let file = &image.file;
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
        assert!(!file.is_empty() && file.bytes().all(legal), "memory `{name}`: image file `{file}`");
        assert!(
            image.words.len() == self.depth,
            "memory `{name}`: {} words in image `{file}` for a depth of {}",
            image.words.len(),
            self.depth
        );
        let widest = image.words.iter().map(BigUint::bits).max().unwrap_or(0);
        assert!(
            widest <= u64::from(self.width),
            "memory `{name}`: a word of {widest} bits in image `{file}` for a width of {}",
            self.width
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_one_word_a_line_with_fixed_digits() {
        let words = [0u32, 0x2a, 0x1ff].map(BigUint::from).to_vec();
        let image = RomImage { file: "w.hex".into(), words: Arc::new(words) };
        assert_eq!(image.hex(9), "000\n02a\n1ff\n");
        assert_eq!(image.hex(13), "0000\n002a\n01ff\n");
    }

    #[test]
    #[should_panic(expected = "a word of 9 bits")]
    fn a_word_that_is_too_wide_is_refused() {
        let words = Arc::new(vec![BigUint::from(0x1ffu32)]);
        let init = Some(RomImage { file: "w.hex".into(), words });
        MemorySpec { name: "m".into(), width: 8, depth: 1, style: MemoryStyle::Block, init }.check();
    }
}
