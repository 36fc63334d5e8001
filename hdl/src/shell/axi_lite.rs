//! The AXI4-Lite port of the register bank.

use super::flag::{drive_flag, flag};
use crate::typed::{bit, uint, Expr, HdlError, Module, ModuleBuilder};
use std::sync::Arc;
use systole_bundle::registers::SPACE_BYTES;

/// Bits of a byte address on the port.
pub(super) const ADDRESS_BITS: u32 = SPACE_BYTES.ilog2();

/// Bits of a word's index.
pub(super) const WORD_BITS: u32 = ADDRESS_BITS - 2;

/// The AXI4-Lite signals: name, bits, and whether the port drives it.
pub(super) const SIGNALS: [(&str, u32, bool); 19] = [
    ("s_axi_awaddr", ADDRESS_BITS, false),
    ("s_axi_awprot", 3, false),
    ("s_axi_awvalid", 1, false),
    ("s_axi_awready", 1, true),
    ("s_axi_wdata", 32, false),
    ("s_axi_wstrb", 4, false),
    ("s_axi_wvalid", 1, false),
    ("s_axi_wready", 1, true),
    ("s_axi_bresp", 2, true),
    ("s_axi_bvalid", 1, true),
    ("s_axi_bready", 1, false),
    ("s_axi_araddr", ADDRESS_BITS, false),
    ("s_axi_arprot", 3, false),
    ("s_axi_arvalid", 1, false),
    ("s_axi_arready", 1, true),
    ("s_axi_rdata", 32, true),
    ("s_axi_rresp", 2, true),
    ("s_axi_rvalid", 1, true),
    ("s_axi_rready", 1, false),
];

/// AXI4-Lite (AMBA AXI and ACE, ARM IHI 0022, part B) to words that are written and read.
///
/// Other ports: `write` for one cycle with `write_word` (a word's index), `write_data` and
/// `write_mask` (its bits that the strobes cover); `read_word`, for which `read_data` must show the
/// word within the cycle. Address and data of a write may come in either order. No output depends
/// on an input within a cycle. One write and one read are under way at a time; every response is
/// OKAY. *Reset* drops what is under way.
pub(super) fn module() -> Result<Arc<Module>, HdlError> {
    let mut m = ModuleBuilder::new("axi_lite_port");
    m.comment("AXI4-Lite port: one write and one read under way at a time, every response OKAY.");
    m.comment("A write needs its address and its data, in either order.");
    let awaddr = m.input("s_axi_awaddr", uint(ADDRESS_BITS));
    m.ignored_input("s_axi_awprot", uint(3));
    let awvalid = m.input("s_axi_awvalid", bit());
    let awready = m.output("s_axi_awready", bit());
    let wdata = m.input("s_axi_wdata", uint(32));
    let wstrb = m.input("s_axi_wstrb", uint(4));
    let wvalid = m.input("s_axi_wvalid", bit());
    let wready = m.output("s_axi_wready", bit());
    let bresp = m.output("s_axi_bresp", uint(2));
    let bvalid = m.output_register("s_axi_bvalid", bit());
    let bready = m.input("s_axi_bready", bit());
    let araddr = m.input("s_axi_araddr", uint(ADDRESS_BITS));
    m.ignored_input("s_axi_arprot", uint(3));
    let arvalid = m.input("s_axi_arvalid", bit());
    let arready = m.output("s_axi_arready", bit());
    let rdata = m.output_register("s_axi_rdata", uint(32));
    let rresp = m.output("s_axi_rresp", uint(2));
    let rvalid = m.output_register("s_axi_rvalid", bit());
    let rready = m.input("s_axi_rready", bit());

    let write = m.output("write", bit());
    let write_word = m.output_register("write_word", uint(WORD_BITS));
    let write_data = m.output_register("write_data", uint(32));
    let write_mask = m.output_register("write_mask", uint(32));
    let address_taken = m.let_("address_taken", awvalid & awready);
    let data_taken = m.let_("data_taken", wvalid & wready);
    let has_address = flag(&mut m, "has_address", address_taken, write);
    let has_data = flag(&mut m, "has_data", data_taken, write);
    m.assign(awready, !has_address);
    m.assign(wready, !has_data);
    m.assign(write, has_address & has_data & !bvalid);
    m.clock_if(write_word, address_taken, awaddr.expr().slice(2, WORD_BITS));
    m.clock_if(write_data, data_taken, wdata);
    let bytes: Vec<Expr> = (0..4).rev().map(|byte| wstrb.expr().bit(byte).as_signed().extend(8)).collect();
    m.clock_if(write_mask, data_taken, Expr::concat(&bytes));
    m.reset(bvalid, 0);
    drive_flag(&mut m, bvalid, write, bready);
    m.assign(bresp, Expr::zero(uint(2)));

    let read_word = m.output_register("read_word", uint(WORD_BITS));
    let read_data = m.input("read_data", uint(32));
    let asked = m.let_("asked", arvalid & arready);
    let reading = m.register("reading", bit());
    m.reset(reading, 0);
    m.clock(reading, asked);
    m.assign(arready, !reading & !rvalid);
    m.clock_if(read_word, asked, araddr.expr().slice(2, WORD_BITS));
    m.clock_if(rdata, reading, read_data);
    m.reset(rvalid, 0);
    drive_flag(&mut m, rvalid, reading, rready);
    m.assign(rresp, Expr::zero(uint(2)));
    m.build()
}
