//! Text that is on every machine that can build this project: the sources of its dependencies.

use crate::kit::programs;
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const WANTED_WORDS: u64 = 120_000;
/// The program splits longer words and coreutils do not, so a file with one is left out.
const MAX_WORD_BYTES: usize = 1024;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    /// None for this project's own package.
    source: Option<String>,
}

/// Writes real text of over 100,000 words, the same whenever the dependencies are the same.
pub fn write(path: &Path) {
    let mut text = String::new();
    let mut words = 0;
    for file in source_files() {
        if words >= WANTED_WORDS {
            break;
        }
        let Ok(source) = fs::read_to_string(&file) else {
            continue;
        };
        let lengths: Vec<_> = split(&source).map(<[u8]>::len).collect();
        if lengths.iter().any(|&length| length > MAX_WORD_BYTES) {
            continue;
        }
        words += lengths.len() as u64;
        text.push_str(&source);
        text.push('\n');
    }
    fs::write(path, text).expect("the text can be written");
}

/// The words of a file, counted without coreutils.
pub fn word_count(path: &Path) -> u64 {
    let text = fs::read_to_string(path).expect("the text was written");
    split(&text).count() as u64
}

fn split(text: &str) -> impl Iterator<Item = &[u8]> {
    let is_space = |byte: &u8| b" \t\n\x0b\x0c\r".contains(byte);
    let words = text.as_bytes().split(is_space);
    words.filter(|word| !word.is_empty())
}

/// The Rust sources of the dependencies. Those of sled come first, because they are the most.
fn source_files() -> Vec<PathBuf> {
    let mut packages = packages();
    packages.retain(|package| package.source.is_some());
    packages.sort_by_key(|package| (package.name != "sled", package.manifest_path.clone()));
    let mut files = Vec::new();
    for package in packages {
        let directory = package.manifest_path.parent().expect("a manifest's folder");
        let mut of_package = Vec::new();
        collect(directory, &mut of_package);
        of_package.sort();
        files.extend(of_package);
    }
    files
}

fn packages() -> Vec<Package> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    command.args(["--filter-platform", &host()]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("cargo can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    metadata.packages
}

/// The platform of this machine. Dependencies of other platforms may not be downloaded.
fn host() -> String {
    let output = programs::rustc().arg("-vV").output();
    let text = output.expect("rustc can be started").stdout;
    let text = String::from_utf8(text).expect("rustc writes text");
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_owned()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the sources are there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
