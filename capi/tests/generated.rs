//! `include/systole.h` and the tables of `docs/board.md` are what the definitions give. With
//! `SYSTOLE_UPDATE` set (`cargo xtask header`), they are written instead.

use std::path::Path;
use std::process::Command;
use systole_templates::{board_tables, c_header};

fn compare(name: &str, generated: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    if std::env::var_os("SYSTOLE_UPDATE").is_some() {
        std::fs::write(path, generated).unwrap();
    } else {
        let committed = std::fs::read_to_string(path).unwrap();
        assert!(committed == generated, "{name} is stale: run `cargo xtask header`");
    }
}

#[test]
fn the_committed_header_is_the_one_that_the_source_gives() {
    compare("include/systole.h", &c_header::render(include_str!("../src/lib.rs")).unwrap());
}

#[test]
fn the_tables_in_the_document_are_those_of_the_definitions() {
    compare("docs/board.md", &board_tables::refreshed(include_str!("../../docs/board.md")).unwrap());
}

#[test]
fn the_header_is_valid_in_c_and_in_cpp() {
    let header = concat!(env!("CARGO_MANIFEST_DIR"), "/../include/systole.h");
    for language in ["c", "c++"] {
        let checked = Command::new("cc")
            .args(["-x", language, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", header])
            .output()
            .unwrap();
        assert!(checked.status.success(), "{language}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn registers_and_frames_stand_in_the_header_as_the_contract_has_them() {
    let header = c_header::render(include_str!("../src/lib.rs")).unwrap();
    for line in [
        "#define SYSTOLE_REG_MAGIC 0x00u",
        "#define SYSTOLE_MAGIC_VALUE 0x53595354u",
        "#define SYSTOLE_REG_CTRL 0x40u",
        "#define SYSTOLE_REG_CTRL_SOFT_RESET 0x4u",
        "#define SYSTOLE_REG_ERROR_WATCHDOG 0x100u",
        "#define SYSTOLE_REG_DROPPED 0xb0u",
        "#define SYSTOLE_FRAME_CRC 60",
        "#define SYSTOLE_FRAME_MAGIC_VALUE 0x46535953u",
    ] {
        assert!(header.lines().any(|found| found.starts_with(line)), "{line}");
    }
}
