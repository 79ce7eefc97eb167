//! One process from its start to its end, which is nearly always a SIGKILL.

use super::pattern::{Pattern, Shot, Timed};
use crate::kit::{Hit, Life, Node, Source, Stopped, binary};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// The paths and the setting of a process.
pub struct Home {
    pub data: PathBuf,
    /// The file that names the call that killed the process.
    pub note: PathBuf,
    pub autocommit: bool,
}

#[derive(Debug)]
pub enum End {
    /// By a kill at a call.
    Hit(Hit),
    /// By a kill from outside.
    Killed,
    /// Without a kill: all requests were answered before that call.
    Clean,
}

impl Home {
    pub fn below(home: &Path) -> Self {
        let home = home.canonicalize().expect("it is there");
        Self {
            autocommit: false,
            data: home.join("data"),
            note: home.join("note"),
        }
    }

    fn command(&self) -> Command {
        let mut command = binary();
        // Counts snapshots, runs and reopenings of sled are frequent enough that kills fall into
        // them too, and ids share fingerprints. The cache has a few blocks, and few requests are
        // read ahead together.
        command.args(["--snapshot-every", "40", "--run-every", "10"]);
        command.args(["--memory", "10000", "--read-ahead", "8"]);
        command.args([
            "--reopen-bytes",
            "30000",
            "--fingerprint-bits",
            "8",
            "--data-dir",
        ]);
        command.arg(&self.data);
        command.args(self.autocommit.then_some("--autocommit"));
        command
    }
}

/// Starts a process, sends it what `source` gives, and ends it as the pattern says.
pub fn live(home: &Home, pattern: Pattern, source: &mut Source) -> Result<(Life, End), String> {
    let mut life = Life::default();
    let end = match pattern {
        Pattern::AtCall(shot) => until_call(&mut life, home, shot, source)?,
        Pattern::AtTime(timed) => until_killed(&mut life, home, timed, source)?,
    };
    Ok((life, end))
}

fn until_call(
    life: &mut Life,
    home: &Home,
    shot: Shot,
    source: &mut Source,
) -> Result<End, String> {
    let mut command = home.command();
    shot.aim().arm(&mut command, &home.data, &home.note);
    let node = Node::start_as(&mut command);
    let request = |sent| (sent < shot.total).then(|| shot.request(sent, source));
    let is_over = |life: &Life| life.replies.len() == shot.total;
    match life.stream_of(&node, request, shot.window, is_over) {
        Ok(()) | Err(Stopped::Closed) => {}
        Err(stopped) => return Err(stopped.into()),
    }
    let ended = node.finish();
    life.take(&ended)?;
    match (Hit::take(&home.note), ended.status.signal()) {
        (Some(hit), Some(9)) => Ok(End::Hit(hit)),
        (None, None) if ended.status.success() && is_over(life) => Ok(End::Clean),
        (hit, _) => Err(format!(
            "{} of {} answered, hit {hit:?}, ended with {}: {}",
            life.replies.len(),
            life.sent.len(),
            ended.status,
            ended.stderr
        )),
    }
}

fn until_killed(
    life: &mut Life,
    home: &Home,
    timed: Timed,
    source: &mut Source,
) -> Result<End, String> {
    let node = Node::start_as(&mut home.command());
    let outcome = match timed {
        Timed::DuringOpen { requests, delay } => {
            (0..requests).for_each(|_| life.send(&node, source.next()));
            life.listen_until(&node, Instant::now() + delay)
        }
        Timed::AfterReplies { replies, window } => {
            let is_over = |life: &Life| life.replies.len() >= replies;
            life.stream(&node, source, window, is_over)
        }
        Timed::AfterDelay { delay, window } => {
            let mut end = None;
            let is_over = |life: &Life| {
                let now = Instant::now();
                !life.replies.is_empty() && now >= *end.get_or_insert(now + delay)
            };
            life.stream(&node, source, window, is_over)
        }
    };
    life.kill(node, outcome).map(|()| End::Killed)
}
