//! Several bundles built as one Verilated top, so that many small accelerators cost one build.

use crate::build::{compile_flags, BuildStep, Harness, Plan, Simulator};
use crate::cache::Cache;
use crate::error::SimError;
use crate::verilator::Toolchain;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use systole_bundle::Manifest;
use systole_templates::simulation::{pack, ShimContext};

/// Builds the bundles in the folders `bundles` as one model, or finds it in `cache`, and gives a simulator of each.
/// The folder `work` takes the ROM images of all of them, which must stay while models start. Modules of one name that
/// differ between bundles get other names.
///
/// Each simulator runs its accelerator alone, with all its streams watched, while the others' clocks stand still.
///
/// # Errors
/// As [`Simulator::build`].
pub fn build(
    bundles: &[PathBuf],
    work: &Path,
    toolchain: &Toolchain,
    cache: &Cache,
    on_step: &mut dyn FnMut(BuildStep),
) -> Result<Vec<Simulator>, SimError> {
    let begin = Instant::now();
    let manifests = bundles.iter().map(|bundle| Manifest::read(bundle)).collect::<Result<Vec<_>, _>>()?;
    let borrowed: Vec<&Manifest> = manifests.iter().collect();
    let context = ShimContext::of_pack(&borrowed)?;
    let (mut verilog, images) = merged(bundles)?;
    verilog.insert(format!("{}.v", pack::TOP), pack::verilog(&borrowed)?);
    let folder = work.join("rom");
    fs::create_dir_all(&folder).map_err(SimError::io(&folder))?;
    for (name, text) in images {
        let path = folder.join(name);
        fs::write(&path, text).map_err(SimError::io(&path))?;
    }
    let plan = Plan {
        toolchain,
        cache,
        flags: compile_flags(toolchain),
        format: None,
        verilog: verilog.into_iter().collect(),
        harness: Harness::Core,
        shim: context.shim()?,
        control: context.control()?,
        top: context.top().to_string(),
    };
    let (object, made) = plan.object(on_step)?;
    let simulators = manifests.into_iter().zip(0..).map(|(manifest, device)| Simulator {
        manifest,
        build_seconds: begin.elapsed().as_secs_f64(),
        cached: !made,
        object: object.clone(),
        rom_folder: work.to_path_buf(),
        device,
        trace: None,
    });
    Ok(simulators.collect())
}

/// Names and texts of files.
type Files = BTreeMap<String, String>;

/// The Verilog and the ROM images of all bundles, each file once. A module of which an earlier bundle has another, with
/// its image if it has one, is renamed throughout its bundle.
fn merged(bundles: &[PathBuf]) -> Result<(Files, Files), SimError> {
    let (mut verilog, mut images) = (Files::new(), Files::new());
    for (index, bundle) in bundles.iter().enumerate() {
        let rtl = bundle.join("rtl");
        let own = [files(&rtl, "v")?, files(&rtl.join("rom"), "hex")?];
        let mut clashing = BTreeSet::new();
        // Renaming a module changes those that instantiate it, so that they may differ now.
        loop {
            let more = differing(&own, [&verilog, &images], |text| renamed(text, &clashing, index));
            if more.is_empty() {
                break;
            }
            clashing.extend(more);
        }
        let rename = |text: &str| renamed(text, &clashing, index);
        verilog.extend(own[0].iter().map(|(name, text)| (rename(name), rename(text))));
        images.extend(own[1].iter().map(|(name, text)| (rename(name), text.clone())));
    }
    Ok((verilog, images))
}

/// Stems of the Verilog files and ROM images of which `all` has others once they are renamed.
fn differing(own: &[Files; 2], all: [&Files; 2], rename: impl Fn(&str) -> String) -> Vec<String> {
    let mut stems = Vec::new();
    for (kind, (own, all)) in own.iter().zip(all).enumerate() {
        for (name, text) in own {
            let text = if kind == 0 { rename(text) } else { text.clone() };
            if all.get(&rename(name)).is_some_and(|other| *other != text) {
                stems.extend(name.rsplit_once('.').map(|(stem, _)| stem.to_string()));
            }
        }
    }
    stems
}

/// `text` with `member{index}_` in front of each identifier that is one of `names`.
fn renamed(text: &str, names: &BTreeSet<String>, index: usize) -> String {
    if names.is_empty() {
        return text.to_string();
    }
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    while !rest.is_empty() {
        let word = &rest[..rest.find(|c| !part(c)).unwrap_or(rest.len())];
        if names.contains(word) {
            result.push_str(&format!("member{index}_"));
        }
        result.push_str(word);
        rest = &rest[word.len()..];
        let between = &rest[..rest.find(part).unwrap_or(rest.len())];
        result.push_str(between);
        rest = &rest[between.len()..];
    }
    result
}

/// Names and texts of the files in `folder` with the ending `extension`.
fn files(folder: &Path, extension: &str) -> Result<Files, SimError> {
    let mut files = Files::new();
    for entry in fs::read_dir(folder).map_err(SimError::io(folder))? {
        let path = entry.map_err(SimError::io(folder))?.path();
        if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|found| found == extension)) {
            let text = fs::read_to_string(&path).map_err(SimError::io(&path))?;
            files.insert(name.to_string_lossy().into_owned(), text);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_that_differ_are_renamed_with_their_images_and_equal_ones_kept_once() {
        let bundle = |constant: &str| {
            let folder = tempfile::tempdir().unwrap();
            let rom = folder.path().join("rtl/rom");
            fs::create_dir_all(&rom).unwrap();
            let top = "module t; part part_1 (); same s (); endmodule // $readmemh(\"rom/part.hex\")";
            fs::write(folder.path().join("rtl/part.v"), top).unwrap();
            fs::write(folder.path().join("rtl/same.v"), "module same; endmodule").unwrap();
            fs::write(rom.join("part.hex"), constant).unwrap();
            folder
        };
        let (one, two) = (bundle("01"), bundle("02"));
        let (verilog, images) = merged(&[one.path().into(), two.path().into()]).unwrap();
        assert_eq!(verilog.keys().collect::<Vec<_>>(), ["member1_part.v", "part.v", "same.v"]);
        let expected = "module t; member1_part part_1 (); same s (); endmodule // $readmemh(\"rom/member1_part.hex\")";
        assert_eq!(verilog["member1_part.v"], expected);
        assert_eq!((images["part.hex"].as_str(), images["member1_part.hex"].as_str()), ("01", "02"));
    }
}
