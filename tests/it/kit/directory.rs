//! Directories: new ones, their contents, and copies.

use super::process::{binary, run};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use tempfile::TempDir;

/// A new empty directory, below the one that `EXACTLY_ONCE_TEST_DIR` names if it is set.
pub fn scratch_dir() -> TempDir {
    let made = match std::env::var_os("EXACTLY_ONCE_TEST_DIR") {
        Some(parent) => TempDir::new_in(parent),
        None => TempDir::new(),
    };
    made.expect("a temporary directory can be made")
}

/// A new directory, and the path of a state directory in it that does not exist yet.
pub fn home_and_data_dir() -> (TempDir, PathBuf) {
    let home = scratch_dir();
    let data_dir = home.path().join("data");
    (home, data_dir)
}

/// A path as an argument of a command.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}

/// The path of a file or folder of the repository that earlier runs of the program made.
pub fn golden(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("data/golden").join(name)
}

/// The names of the entries of a directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("it is there");
    let names = entries.map(|entry| entry.expect("it can be listed").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("the test owns it");
}

/// Flips one bit of a byte of a file.
pub fn flip_a_bit(file: &Path, at: usize) {
    let mut bytes = fs::read(file).expect("it is there");
    bytes[at] ^= 1;
    fs::write(file, bytes).expect("it can be written");
}

/// Everything in a directory, with the times of the last changes.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, (SystemTime, Option<Vec<u8>>)>);

impl Snapshot {
    pub fn of(directory: &Path) -> Self {
        let mut entries = BTreeMap::new();
        Self::add(directory, &mut entries);
        Self(entries)
    }

    fn add(path: &Path, entries: &mut BTreeMap<String, (SystemTime, Option<Vec<u8>>)>) {
        let metadata = fs::symlink_metadata(path).expect("it can be looked at");
        let changed = metadata.modified().expect("the system knows it");
        let bytes = metadata
            .is_file()
            .then(|| fs::read(path).expect("it can be read"));
        entries.insert(path.display().to_string(), (changed, bytes));
        if metadata.is_dir() {
            for entry in fs::read_dir(path).expect("it can be read") {
                Self::add(&entry.expect("it can be read").path(), entries);
            }
        }
    }
}

/// The bytes of every file in a directory by its path there. The lock is left out, as it names the
/// process that has locked the directory.
#[derive(PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

/// Shows names and lengths only.
impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lengths = self.0.iter().map(|(name, bytes)| (name, bytes.len()));
        f.debug_map().entries(lengths).finish()
    }
}

impl Files {
    pub fn of(directory: &Path) -> Self {
        let Snapshot(entries) = Snapshot::of(directory);
        let prefix = format!("{}/", directory.display());
        let files = entries.into_iter().filter_map(|(path, (_, bytes))| {
            let name = path.strip_prefix(&prefix)?.to_owned();
            bytes
                .filter(|_| Path::new(&name).file_name() != Some("lock".as_ref()))
                .map(|bytes| (name, bytes))
        });
        Self(files.collect())
    }
}

/// Copies the files of a state directory that no process has open to a new one.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("it is new");
    for entry in fs::read_dir(from).expect("it is there") {
        let path = entry.expect("it can be listed").path();
        let name = path.file_name().expect("it has a name");
        if path.is_file() {
            fs::copy(&path, to.join(name)).expect("it can be copied");
        } else if name.to_string_lossy().starts_with("generation-") {
            copy(&path, &to.join(name));
        }
    }
}

/// Copies everything in a directory into another one, and keeps links and rights.
pub fn copy_everything(from: &Path, to: &Path) {
    let mut copy = Command::new("cp");
    run(copy.arg("-a").args([&from.join("."), to]), "").expect_quiet_success();
}

/// Puts the program into a directory where every user finds it, and returns its path.
pub fn install_program(directory: &Path) -> PathBuf {
    let program = directory.join("exactly-once");
    // Another process writes the file: a child of this one could have it open for writing.
    let mut install = Command::new("install");
    install.args(["-m", "755"]).arg(binary().get_program());
    run(install.arg(&program), "").expect_quiet_success();
    program
}
