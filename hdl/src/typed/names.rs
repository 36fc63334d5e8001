//! Identifiers: what every Verilog, SystemVerilog and C++ tool accepts.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words that a signal, an instance or a module must not be named: keywords of Verilog (IEEE
/// 1364-2005, annex B) and SystemVerilog (IEEE 1800-2017, annex B), and of C++, which simulators
/// translate to.
static RESERVED: LazyLock<HashSet<&str>> = LazyLock::new(|| WORDS.split_whitespace().collect());

const WORDS: &str = "
    abort accept_on alias always always_comb always_ff always_latch and and_eq asm assert assign assume
    atomic_cancel atomic_commit atomic_noexcept auto automatic before begin bind bins binsof bit bitand bitor bool
    break buf bufif0 bufif1 byte case casex casez catch cell chandle char char16_t char32_t checker class clocking
    cmos co_await co_return co_yield compl concept config const const_cast constexpr constraint context continue
    cover covergroup coverpoint cross deassign decltype default defparam delete design disable dist do double
    dynamic_cast edge else end endcase endchecker endclass endclocking endconfig endfunction endgenerate endgroup
    endinterface endmodule endpackage endprimitive endprogram endproperty endsequence endspecify endtable endtask
    enum event eventually expect explicit export extends extern false final first_match float for force foreach
    forever fork forkjoin friend function generate genvar global goto highz0 highz1 if iff ifnone ignore_bins
    illegal_bins implements implies import incdir include initial inline inout input inside instance int integer
    interconnect interface intersect join join_any join_none large let liblist library local localparam logic long
    longint macromodule main matches medium modport module mutable namespace nand negedge nettype new nexttime nmos
    noexcept nor noshowcancelled not not_eq notif0 notif1 null nullptr operator or or_eq output override package
    packed parameter pmos posedge primitive priority private program property protected public pull0 pull1 pulldown
    pullup pulsestyle_ondetect pulsestyle_onevent pure rand randc randcase randsequence rcmos real realtime ref reg
    register reinterpret_cast reject_on release repeat requires restrict return rnmos rpmos rtran rtranif0 rtranif1
    s_always s_eventually s_nexttime s_until s_until_with scalared sequence short shortint shortreal showcancelled
    signed sizeof small soft solve specify specparam static static_assert static_cast string strong strong0 strong1
    struct super supply0 supply1 switch sync_accept_on sync_reject_on synchronized table tagged task template this
    thread_local throughout throw time timeprecision timeunit tran tranif0 tranif1 transaction_safe
    transaction_safe_dynamic tri tri0 tri1 triand trior trireg true try type typedef typeid typename union unique
    unique0 unsigned until until_with untyped use using uwire var vectored virtual void volatile wait wait_order
    wand wchar_t weak weak0 weak1 while wildcard wire with within wor xnor xor xor_eq
";

/// Why a word is no identifier of ours, or `None` if it is one: letters, digits and single
/// underscores between them, a letter first, no reserved word.
pub(crate) fn objection(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        Some("it has a character other than letters, digits and underscores")
    } else if !name.as_bytes()[0].is_ascii_alphabetic() {
        Some("it does not start with a letter")
    } else if name.contains("__") || name.ends_with('_') {
        Some("it has a double or a trailing underscore")
    } else if RESERVED.contains(name) {
        Some("it is a reserved word of Verilog, SystemVerilog or C++")
    } else {
        None
    }
}

/// Checks a name that the hardware's author gives.
///
/// # Panics
/// If it is no identifier.
pub(crate) fn check(kind: &str, name: &str) {
    if let Some(reason) = objection(name) {
        panic!("{kind} `{name}`: {reason}");
    }
}

/// Makes an identifier of any text: other characters become single underscores, a text that does
/// not start with a letter or is a reserved word gains the prefix `n_`. Different texts may give
/// one identifier.
pub fn identifier(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let name = name.trim_end_matches('_').to_string();
    match objection(&name) {
        None => name,
        Some(_) if name.is_empty() => "unnamed".to_string(),
        Some(_) => format!("n_{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_an_identifier() {
        for text in ["", "3x3", "wire", "a__b", "model/dense 1:0", "_x_", "größe", "-", "ok_1"] {
            assert_eq!(objection(&identifier(text)), None, "{text:?} -> {}", identifier(text));
        }
        assert_eq!(identifier("ok_1"), "ok_1");
        assert_eq!(identifier("model/dense 1:0"), "model_dense_1_0");
        assert_eq!(identifier("3x3"), "n_3x3");
    }

    #[test]
    fn bad_names_are_told_apart() {
        for name in ["", "a b", "1a", "a__b", "a_", "reg", "logic", "delete"] {
            assert!(objection(name).is_some(), "{name}");
        }
        assert!(objection("areset").is_none());
    }
}
