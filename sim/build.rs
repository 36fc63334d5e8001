//! With the feature `verilated`: compiles the part of Verilator's runtime that the crate
//! `verilated` leaves out, the thread pool.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=VERILATOR_ROOT");
    #[cfg(feature = "verilated")]
    threads();
}

#[cfg(feature = "verilated")]
fn threads() {
    let root = std::env::var("VERILATOR_ROOT").ok().filter(|root| !root.is_empty()).unwrap_or_else(|| {
        let output = std::process::Command::new("verilator").args(["--getenv", "VERILATOR_ROOT"]).output();
        let output = output.unwrap_or_else(|error| {
            panic!("feature `verilated` needs Verilator at build time ({error}); install it or set VERILATOR_ROOT")
        });
        String::from_utf8_lossy(&output.stdout).trim().to_string()
    });
    let include = std::path::Path::new(&root).join("include");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").warnings(false).include(&include).include(include.join("vltstd"));
    // Nothing of this crate refers to the thread pool, only `verilated`'s objects behind it on
    // the linker's command line do; so the archive must be taken whole.
    build.cargo_metadata(false).file(include.join("verilated_threads.cpp")).compile("systole_verilated_threads");
    println!("cargo::rustc-link-search=native={}", std::env::var("OUT_DIR").unwrap_or_default());
    println!("cargo::rustc-link-lib=static:+whole-archive=systole_verilated_threads");
    println!("cargo::rustc-link-lib=stdc++");
}
