//! `cargo xtask spec` writes what is generated from the declarations of the wire; with `--check`, it says whether that is
//! what is there, and what is wrong with the requirements of spec.md and their matrix.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use anyhow::{Context, Result, bail};
use xtask::{File, generated, matrix};

const USAGE: &str = "usage: cargo xtask spec [--check]";

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["spec"] => write().map(|()| ExitCode::SUCCESS),
        ["spec", "--check"] => check(),
        _ => bail!(USAGE),
    }
}

fn write() -> Result<()> {
    for File { path, content } in generated()? {
        let path = xtask::root().join(path);
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn check() -> Result<ExitCode> {
    let stale = xtask::stale()?;
    for (path, line) in &stale {
        println!("{path}: line {line} is not what the declarations make it");
    }
    if !stale.is_empty() {
        println!("run `cargo xtask spec`, and look at what changes");
    }
    let faults = matrix::faults_here(&xtask::root())?;
    faults.iter().for_each(|fault| println!("{fault}"));
    Ok(if stale.is_empty() && faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
