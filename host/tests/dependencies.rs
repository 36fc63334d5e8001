//! What an application takes in by linking the driver.

use std::collections::BTreeSet;
use std::process::Command;

#[test]
fn the_driver_alone_stays_under_40_crates_and_needs_no_simulator_and_no_model_reader() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let tree = Command::new(cargo)
        .args(["tree", "--offline", "--package", "systole-host", "--edges", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let lines: BTreeSet<&str> = tree.lines().collect();
    // Repeated crates are listed once more with a mark; even so.
    assert!(lines.len() < 40, "{} lines:\n{tree}", lines.len());
    let names: BTreeSet<&str> = lines.iter().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("systole-host") && names.contains("systole-bundle"), "{names:?}");
    for unwanted in
        ["systole-hdl", "systole-compiler", "systole-sim", "rust-hdl", "prost", "npyz", "fuser", "libloading"]
    {
        assert!(!names.contains(unwanted), "{unwanted}");
    }
}
