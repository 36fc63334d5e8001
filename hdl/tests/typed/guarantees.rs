//! What a module guarantees, and how its breach is told.

use std::sync::Arc;
use systole_hdl::typed::{
    bit, emit, sint, uint, Expr, HdlError, MemorySpec, MemoryStyle, Module, ModuleBuilder, RomImage,
};

fn message(result: Result<Arc<Module>, HdlError>) -> String {
    match result {
        Ok(module) => panic!("accepted:\n{module}"),
        Err(error) => error.to_string(),
    }
}

/// `y` depends on `a` combinationally; `q` on nothing but the register.
fn half_registered() -> Arc<Module> {
    let mut m = ModuleBuilder::new("half_registered");
    let a = m.input("a", bit());
    let b = m.input("b", bit());
    let y = m.output("y", bit());
    let q = m.output_register("q", bit());
    m.assign(y, !a);
    m.clock(q, a & b);
    m.build().expect("a legal module")
}

#[test]
fn an_undriven_signal_is_named() {
    let mut m = ModuleBuilder::new("m");
    m.wire("lonely", uint(4));
    assert_eq!(
        message(m.build()),
        "module `m`: nothing drives `lonely` (u4); assign it, clock it or bind it to an instance's output"
    );
    let mut m = ModuleBuilder::new("m");
    m.register("forgotten", bit());
    assert!(message(m.build()).contains("`forgotten`"));
}

#[test]
fn a_signal_with_two_drivers_is_named_with_both() {
    let mut m = ModuleBuilder::new("m");
    let a = m.input("a", bit());
    let y = m.output("y", bit());
    let q = m.wire("q", bit());
    m.assign(y, a);
    m.instance("u", &half_registered(), &[("a", a), ("b", a), ("y", y), ("q", q)]);
    let text = message(m.build());
    assert!(text.contains("`y` is driven by an assignment and by port `y` of instance `u`"), "{text}");

    let mut m = ModuleBuilder::new("m");
    let a = m.input("a", bit());
    m.assign(a, Expr::lit(bit(), 1));
    assert!(message(m.build()).contains("the module's surroundings"));

    let mut m = ModuleBuilder::new("m");
    let q = m.register("q", bit());
    m.clock(q, !q);
    m.clock(q, q);
    assert!(message(m.build()).contains("a register and by a register"));
}

#[test]
fn a_combinational_loop_is_told_with_its_path() {
    let mut m = ModuleBuilder::new("m");
    let a = m.input("a", bit());
    let x = m.wire("x", bit());
    let y = m.let_("y", a & x);
    let z = m.let_("z", !y);
    m.assign(x, z);
    let text = message(m.build());
    assert!(text.contains("combinational loop") && text.contains("put a register"), "{text}");
    for name in ["x", "y", "z"] {
        assert!(text.contains(name), "{text}");
    }
}

#[test]
fn a_loop_through_an_instance_is_found_and_one_through_its_register_is_none() {
    for (output, looped) in [("y", true), ("q", false)] {
        let mut m = ModuleBuilder::new("m");
        let b = m.input("b", bit());
        let fed_back = m.wire("fed_back", bit());
        let other = m.wire("other", bit());
        let (y, q) = if output == "y" { (fed_back, other) } else { (other, fed_back) };
        m.instance("u", &half_registered(), &[("a", fed_back), ("b", b), ("y", y), ("q", q)]);
        match m.build() {
            Ok(_) => assert!(!looped),
            Err(error) => assert!(looped && error.to_string().contains("combinational loop"), "{error}"),
        }
    }
}

#[test]
fn a_loop_through_an_asynchronous_read_is_found() {
    let memory = |clocked: bool| {
        let mut m = ModuleBuilder::new("m");
        let words = Arc::new(vec![1u32.into(), 0u32.into()]);
        let init = Some(RomImage { file: "w.hex".into(), words });
        let style = MemoryStyle::Distributed;
        let table = m.memory(MemorySpec { name: "words".into(), width: 1, depth: 2, style, init });
        let address = m.wire("address", bit());
        let word = if clocked { m.read_sync(table, "word", address) } else { m.read_async(table, "word", address) };
        m.assign(address, !word);
        m.build()
    };
    assert!(message(memory(false)).contains("combinational loop"));
    assert!(memory(true).is_ok());
}

#[test]
fn combinational_inputs_go_through_instances_and_stop_at_registers() {
    let child = half_registered();
    let of = |module: &Module, output: &str| {
        module.combinational_inputs_of(output).map(|inputs| inputs.iter().cloned().collect::<Vec<_>>())
    };
    assert_eq!(of(&child, "y"), Some(vec!["a".to_string()]));
    assert_eq!(of(&child, "q"), Some(vec![]));
    assert_eq!(of(&child, "a"), None);
    let mut m = ModuleBuilder::new("m");
    let [c, d] = ["c", "d"].map(|name| m.input(name, bit()));
    let [v, w] = ["v", "w"].map(|name| m.output(name, bit()));
    let y = m.wire("y", bit());
    m.instance("u", &child, &[("a", c & d), ("b", d.expr()), ("y", y.expr()), ("q", w.expr())]);
    m.assign(v, y ^ c);
    let module = m.build().expect("a legal module");
    assert_eq!(of(&module, "v"), Some(vec!["c".to_string(), "d".to_string()]));
    assert_eq!(of(&module, "w"), Some(vec![]));
}

#[test]
fn an_unbound_port_is_named() {
    let mut m = ModuleBuilder::new("m");
    let a = m.input("a", bit());
    let y = m.output("y", bit());
    m.instance("u", &half_registered(), &[("a", a), ("y", y), ("b", a)]);
    let text = message(m.build());
    assert!(text.contains("port `q` of instance `u` of `half_registered` is bound 0 times"), "{text}");
}

#[test]
fn a_memory_that_holds_nothing_is_named() {
    let mut m = ModuleBuilder::new("m");
    let style = MemoryStyle::Block;
    let memory = m.memory(MemorySpec { name: "void_words".into(), width: 4, depth: 8, style, init: None });
    let address = m.input("address", uint(3));
    let word = m.read_sync(memory, "word", address);
    let y = m.output("y", uint(4));
    m.assign(y, word);
    assert!(message(m.build()).contains("memory `void_words` has neither"));
}

#[test]
fn unread_bits_are_reported() {
    let mut m = ModuleBuilder::new("m");
    let a = m.input("a", uint(8));
    m.input("b", sint(3));
    m.ignored_input("c", bit());
    let y = m.output("y", uint(2));
    m.assign(y, a.expr().slice(3, 2));
    assert_eq!(m.build().expect("a legal module").unread(), ["a[2:0]", "a[7:5]", "b"]);
}

#[test]
fn different_modules_of_one_name_are_refused() {
    let child = |invert: bool| {
        let mut m = ModuleBuilder::new("child");
        let a = m.input("a", bit());
        let y = m.output("y", bit());
        m.assign(y, if invert { !a } else { a.expr() });
        m.build().expect("a legal module")
    };
    let parent = |second: bool| {
        let mut m = ModuleBuilder::new("parent");
        let a = m.input("a", bit());
        let [y, z] = ["y", "z"].map(|name| m.output(name, bit()));
        m.instance("one", &child(false), &[("a", a), ("y", y)]);
        m.instance("two", &child(second), &[("a", a), ("y", z)]);
        m.build().expect("a legal module")
    };
    assert_eq!(emit(&parent(false)).expect("no clash").len(), 2);
    let error = emit(&parent(true)).expect_err("a clash").to_string();
    assert!(error.contains("`child`") && error.contains("assign y = ~a;"), "{error}");
}

#[test]
#[should_panic(expected = "u4 and s4")]
fn operands_of_different_signs_are_refused() {
    let _ = Expr::lit(uint(4), 1).add(Expr::lit(sint(4), 1));
}

#[test]
#[should_panic(expected = "a signal of another module")]
fn signals_of_another_module_are_refused() {
    let mut other = ModuleBuilder::new("other");
    let a = other.input("a", bit());
    ModuleBuilder::new("m").let_("x", a);
}

#[test]
#[should_panic(expected = "the name `a` is taken")]
fn a_name_is_given_once() {
    let mut m = ModuleBuilder::new("m");
    m.input("a", bit());
    m.wire("a", bit());
}

#[test]
fn a_subexpression_used_often_is_computed_once() {
    let mut m = ModuleBuilder::new("m");
    let a = m.input("a", uint(8));
    let y = m.output("y", uint(8));
    // Each level uses the one below twice: as a tree, 2^40 terms.
    let deep = (0..40).fold(a.expr(), |x, level| x.add(x.xor(Expr::lit(uint(8), level + 1))));
    m.assign(y, deep);
    let text = m.build().expect("a legal module").verilog();
    assert!(text.lines().count() < 200, "{} lines", text.lines().count());
}

#[test]
fn a_comparison_that_a_constant_wire_decides_is_replaced_and_the_wire_kept() {
    let mut m = ModuleBuilder::new("m");
    let a = m.input("a", uint(4));
    let least = m.let_("least", Expr::zero(uint(3)));
    let limit = m.let_("limit", least.expr().extend(4));
    let [y, z] = ["y", "z"].map(|name| m.output(name, bit()));
    m.assign(y, a.expr().ge(limit));
    m.assign(z, a.expr().eq(limit));
    let module = m.build().expect("a legal module");
    let text = module.verilog();
    assert!(text.contains("assign y = 1'b1;") && text.contains("assign z = a == limit;"), "{text}");
    assert_eq!(crate::simulator::lint(&module), "");
}
