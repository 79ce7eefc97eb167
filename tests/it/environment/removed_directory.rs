//! A state directory that is taken away from a process that works on it.

use super::{expect_prefix, start, work, work_until_storage_fails};
use crate::kit::{Belief, Life, Node, Source, home_and_data_dir};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Single requests, and as many as the pipes hold.
const WINDOWS: [usize; 2] = [1, 1_000];
/// The number of replies before the directory is taken away.
const BEFORE: usize = 60;

/// A process with its directory, which has answered a few requests and waits for more.
struct Session {
    home: TempDir,
    data_dir: PathBuf,
    node: Node,
    source: Source,
    life: Life,
}

impl Session {
    fn begin(seed: u64) -> Self {
        let (home, data_dir) = home_and_data_dir();
        let node = start(&data_dir);
        let mut source = Source::new(seed);
        let mut life = Life::default();
        work(&mut life, &node, &mut source, 1, BEFORE);
        Self {
            home,
            data_dir,
            node,
            source,
            life,
        }
    }

    fn elsewhere(&self) -> PathBuf {
        self.home.path().join("elsewhere")
    }

    /// Renames the directory. Like an unmount, this takes it away with its content.
    fn rename(&self) {
        fs::rename(&self.data_dir, self.elsewhere()).expect("it is there");
    }
}

#[test]
fn a_directory_that_is_renamed_ends_the_process_and_holds_every_answer() {
    for (window, seed) in WINDOWS.into_iter().zip(1..) {
        let mut session = Session::begin(seed);
        session.rename();
        let elsewhere = session.elsewhere();
        let line =
            work_until_storage_fails(&mut session.life, session.node, &mut session.source, window);
        assert!(line.contains("free space"), "{line}");
        assert!(!session.data_dir.exists(), "nothing may be made there");
        expect_prefix(&mut Belief::new(), &elsewhere, &session.life);
    }
}

#[test]
fn a_directory_that_is_removed_ends_the_process_without_another_answer() {
    for (window, seed) in WINDOWS.into_iter().zip(10..) {
        let mut session = Session::begin(seed);
        fs::remove_dir_all(&session.data_dir).expect("it is there");
        let line =
            work_until_storage_fails(&mut session.life, session.node, &mut session.source, window);
        assert!(line.contains("free space"), "{line}");
        assert_eq!(session.life.replies.len(), BEFORE, "nothing can be durable");
        assert!(!session.data_dir.exists(), "nothing may be made there");
    }
}

#[test]
fn a_process_whose_directory_has_another_in_its_place_goes_on_in_its_own() {
    for (window, seed) in WINDOWS.into_iter().zip(20..) {
        let mut session = Session::begin(seed);
        session.rename();
        let elsewhere = session.elsewhere();
        fs::create_dir(&session.data_dir).expect("nothing is there");
        work(
            &mut session.life,
            &session.node,
            &mut session.source,
            window,
            3_000,
        );
        let ended = session.life.listen_to_the_end(&session.node);
        ended.unwrap_or_else(|reason| panic!("{reason}"));
        session.node.finish().expect_all_read();
        assert!(is_empty(&session.data_dir), "it belongs to another program");
        expect_prefix(&mut Belief::new(), &elsewhere, &session.life);
    }
}

#[test]
fn a_directory_that_is_removed_and_made_anew_gets_no_answer_that_is_nowhere() {
    for (window, seed) in WINDOWS.into_iter().zip(30..) {
        let mut session = Session::begin(seed);
        fs::remove_dir_all(&session.data_dir).expect("it is there");
        fs::create_dir(&session.data_dir).expect("nothing is there");
        work_until_storage_fails(&mut session.life, session.node, &mut session.source, window);
        assert_eq!(session.life.replies.len(), BEFORE, "nothing can be durable");
        assert!(is_empty(&session.data_dir), "it belongs to another program");
    }
}

fn is_empty(directory: &Path) -> bool {
    let mut entries = fs::read_dir(directory).expect("it is there");
    entries.next().is_none()
}
