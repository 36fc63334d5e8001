//! Several bundles built as one Verilated top, so that many small accelerators cost one build.

use crate::build::{compile_flags, BuildStep, Plan, Simulator};
use crate::cache::Cache;
use crate::error::SimError;
use crate::verilator::Toolchain;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use systole_bundle::Manifest;
use systole_templates::simulation::{pack, ShimContext};

/// Builds the bundles in the folders `bundles` as one model, or finds it in `cache`, and gives a simulator of each.
/// The folder `work` takes the Verilog and ROM images of all of them, which must stay while models start. Files of
/// one name must be equal: give the designs' nodes names of their own.
///
/// Each simulator runs its accelerator alone, with all its streams watched, while the others' clocks stand still.
///
/// # Errors
/// As [`Simulator::build`], and if two bundles have different files of one name.
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
    let mut verilog = merged(bundles, "rtl", "v")?;
    verilog.insert(format!("{}.v", pack::TOP), pack::verilog(&borrowed)?);
    let images = work.join("rom");
    fs::create_dir_all(&images).map_err(SimError::io(&images))?;
    for (name, text) in merged(bundles, "rtl/rom", "hex")? {
        let path = images.join(name);
        fs::write(&path, text).map_err(SimError::io(&path))?;
    }
    let plan = Plan {
        toolchain,
        cache,
        flags: compile_flags(toolchain),
        format: None,
        verilog: verilog.into_iter().collect(),
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

/// Names and texts of the files with the ending `extension` in a folder of all bundles.
fn merged(bundles: &[PathBuf], folder: &str, extension: &str) -> Result<BTreeMap<String, String>, SimError> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for bundle in bundles {
        let folder = bundle.join(folder);
        let entries = fs::read_dir(&folder).map_err(SimError::io(&folder))?;
        for entry in entries {
            let path = entry.map_err(SimError::io(&folder))?.path();
            let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|found| found == extension))
            else {
                continue;
            };
            let (name, text) = (name.to_string_lossy(), fs::read_to_string(&path).map_err(SimError::io(&path))?);
            if files.get(&*name).is_some_and(|other| *other != text) {
                return Err(SimError::Clash { path });
            }
            files.insert(name.into_owned(), text);
        }
    }
    Ok(files)
}
