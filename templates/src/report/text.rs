//! Numbers and names as text in a Markdown table.

/// `text` as it may stand in a table cell: names come from model files, so that neither a bar nor
/// a line break nor markup in them may end the cell.
pub fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '|' | '<' | '>' | '*' | '\\' | '[' | ']' | '#' => {
                safe.push('\\');
                safe.push(c);
            }
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// `text` as inline code; characters that would end it become spaces.
pub fn code(text: &str) -> String {
    let safe: String = text.chars().map(|c| if c.is_control() || c == '`' || c == '|' { ' ' } else { c }).collect();
    match safe.trim().is_empty() {
        true => "–".into(),
        false => format!("`{safe}`"),
    }
}

/// A number with a comma between groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bits of a memory, with KiB beside them from 1 KiB on.
pub fn bits(number: u64) -> String {
    match number {
        0..8192 => grouped(number),
        _ => format!("{} ({:.1} KiB)", grouped(number), number as f64 / 8192.0),
    }
}

/// A share as a percentage with one digit behind the point.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Dimensions, outermost first.
pub fn shape(dimensions: &[usize]) -> String {
    let dimensions: Vec<String> = dimensions.iter().map(|dimension| dimension.to_string()).collect();
    format!("\\[{}\\]", dimensions.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_from_a_model_file_cannot_leave_their_cell() {
        assert_eq!(cell("a|b\n| c <b>*"), "a\\|b \\| c \\<b\\>\\*");
        assert_eq!(code("x`y|z"), "`x y z`");
        assert_eq!(code(""), "–");
    }

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        let given = [0, 999, 1_000, 12_345, 123_456, 1_234_567];
        let expected = ["0", "999", "1,000", "12,345", "123,456", "1,234,567"];
        assert_eq!(given.map(grouped), expected);
    }

    #[test]
    fn memories_from_a_kibibyte_on_are_given_in_both_units() {
        assert_eq!(bits(8_191), "8,191");
        assert_eq!(bits(8_192), "8,192 (1.0 KiB)");
    }
}
