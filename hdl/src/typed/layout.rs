//! Laying out Verilog text: line breaks, indentation, columns.

use super::HwType;

/// Columns of a line, at most, where the text has a place to break.
const COLUMNS: usize = 100;

/// `[width-1:0]`, or nothing for one bit.
pub(super) fn range(ty: HwType) -> String {
    match ty.width {
        1 => String::new(),
        width => format!("[{}:0]", width - 1),
    }
}

/// `target value;` with `target` ending in its operator, broken where it is too long: a chain of
/// conditionals at its alternatives, anything else at spaces.
pub(super) fn assignment(indent: usize, target: &str, value: &str) -> String {
    let margin = " ".repeat(indent);
    if indent + target.len() + value.len() < COLUMNS {
        return format!("{margin}{target}{value};\n");
    }
    let alternatives = alternatives(value);
    if alternatives.len() > 1 {
        let hang = format!("{margin}{}", " ".repeat(target.len().saturating_sub(2).min(24)));
        let mut text = fill(&format!("{margin}{target}"), &hang, alternatives[0]);
        for (index, alternative) in alternatives.iter().enumerate().skip(1) {
            let end = if index + 1 == alternatives.len() { ";" } else { "" };
            text.push('\n');
            text += &fill(&format!("{hang}: "), &hang, &format!("{alternative}{end}"));
        }
        return text + "\n";
    }
    fill(&format!("{margin}{target}"), &format!("{margin}    "), &format!("{value};")) + "\n"
}

/// Splits `a ? b : c ? d : e` at its outer colons.
fn alternatives(value: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0i32, 0);
    for (at, c) in value.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ':' if depth == 0 => {
                parts.push(value[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(value[start..].trim());
    parts
}

/// Fills lines with the words of `text`, the first after `first`, the others after `hang` and four
/// columns. A line ends where brackets are open least: before an operator or after a comma if there
/// is one in its second half, else at any space.
fn fill(first: &str, hang: &str, text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let mut out = String::new();
    let (mut line, mut start, mut at) = (first.to_string(), 0, 0);
    // Depth of brackets before each word of the line, and the line's length there.
    let mut marks: Vec<(i32, usize)> = Vec::new();
    let mut depth = 0;
    while at < words.len() {
        let space = usize::from(at > start);
        if at > start && line.len() + space + words[at].len() > COLUMNS {
            let good = |index: &usize| is_operator(words[*index]) || words[index - 1].ends_with(',');
            let late = |index: &usize| marks[index - start].1 > COLUMNS / 2;
            let here = (at, depth);
            let candidates = (start + 1..at).map(|index| (index, marks[index - start].0)).chain([here]);
            let candidates = candidates.filter(|(index, _)| good(index) && (*index == at || late(index)));
            let (cut, open) = candidates.min_by_key(|&(index, open)| (open, std::cmp::Reverse(index))).unwrap_or(here);
            if cut < at {
                line.truncate(marks[cut - start].1);
            }
            out += line.trim_end();
            out.push('\n');
            line = format!("{hang}    ");
            (start, at, depth) = (cut, cut, open);
            marks.clear();
            continue;
        }
        marks.push((depth, line.len()));
        if space == 1 {
            line.push(' ');
        }
        line += words[at];
        let brackets = words[at].bytes().map(|byte| match byte {
            b'(' | b'[' | b'{' => 1,
            b')' | b']' | b'}' => -1,
            _ => 0,
        });
        depth += brackets.sum::<i32>();
        at += 1;
    }
    out + line.trim_end()
}

/// Whether a word is a binary operator.
fn is_operator(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| b"+-*&|^<>=!?:".contains(&byte))
}

/// First words of comments that tools take for directives.
const DIRECTIVES: &[&str] = &["verilator", "synopsys", "synthesis", "pragma", "cadence", "xilinx", "altera", "vcs"];

/// Comment lines, filled. A line that a tool would take for a directive gains a dash.
pub(super) fn comment(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        for line in fill("// ", "//", line).lines() {
            let words = line.trim_start_matches('/').trim_start();
            let first = words.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or("");
            match DIRECTIVES.contains(&first.to_ascii_lowercase().as_str()) {
                true => text += &format!("// - {words}"),
                false => text += line.trim_end(),
            }
            text.push('\n');
        }
    }
    text
}

/// Shifts every line that is not empty to the right.
pub(super) fn indent(text: &str, by: usize) -> String {
    let margin = " ".repeat(by);
    let shift = |line: &str| if line.is_empty() { "\n".to_string() } else { format!("{margin}{line}\n") };
    text.lines().map(shift).collect()
}

/// Rows of cells as lines whose columns line up; columns without any text vanish. Cells of `right`
/// columns are aligned to the right.
pub(super) fn columns(rows: &[Vec<String>], right: &[usize]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..count)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().filter(|(column, _)| widths[*column] > 0);
        let cells = cells.map(|(column, cell)| match right.contains(&column) {
            true => format!("{cell:>width$}", width = widths[column]),
            false => format!("{cell:<width$}", width = widths[column]),
        });
        cells.collect::<Vec<_>>().join(" ").trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_conditionals_break_at_their_alternatives() {
        let long = |name: &str| format!("{name}_{}", "x".repeat(40));
        let value = format!("a ? {} : (b ? c : d) ? {} : {}", long("p"), long("q"), long("r"));
        let text = assignment(4, "assign y = ", &value);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].trim_start().starts_with(": (b ? c : d) ?"), "{text}");
        assert!(lines[2].ends_with(';'));
    }

    #[test]
    fn filled_lines_stay_within_the_columns() {
        let value = (0..60).map(|index| format!("operand_{index}")).collect::<Vec<_>>().join(" + ");
        let text = assignment(4, "assign y = ", &value);
        assert!(text.lines().count() > 1 && text.lines().all(|line| line.len() <= COLUMNS + 1), "{text}");
        assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), format!("assign y = {value};"));
    }

    #[test]
    fn lines_end_before_operators_where_brackets_are_closed() {
        let factor = |name: &str| format!("({name}_{} + {name})", "x".repeat(20));
        let text = assignment(4, "assign y = ", &format!("{} & {} & {}", factor("a"), factor("b"), factor("c")));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[1].trim_start().starts_with("& (c_"), "{text}");
    }

    #[test]
    fn comments_are_never_directives() {
        let lines = ["verilator lint_off WIDTH".to_string(), String::new(), "plain".to_string()];
        assert_eq!(comment(&lines), "// - verilator lint_off WIDTH\n//\n// plain\n");
    }

    #[test]
    fn empty_columns_vanish() {
        let row = |cells: [&str; 3]| cells.map(String::from).to_vec();
        let lines = columns(&[row(["a", "", "[7:0]"]), row(["bcd", "", "[1:0]"])], &[2]);
        assert_eq!(lines, ["a   [7:0]", "bcd [1:0]"]);
    }
}
