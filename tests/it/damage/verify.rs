//! Reads and checks the result of `exactly-once verify`.

use crate::kit::{Finished, exit, run_on};
use crate::oracle::Oracle;
use serde::Deserialize;
use std::path::Path;

/// The result of `verify` for a directory.
pub struct Verdict {
    pub is: Is,
    /// Its line: on stderr if nothing can be verified, else on stdout.
    pub line: String,
}

pub enum Is {
    Clean(Figures),
    Damaged,
    /// The directory cannot be verified.
    Unusable,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Figures {
    words: usize,
    pending: usize,
    outputs: usize,
    checkpoints: usize,
}

#[derive(Deserialize)]
struct Line {
    r#type: String,
    clean: bool,
    #[serde(flatten)]
    figures: Figures,
    findings: Vec<Finding>,
    /// The number of findings that are not listed.
    more_findings: u64,
}

#[derive(Deserialize)]
struct Finding {
    class: String,
    text: String,
}

/// Verifies a directory that no process has open.
pub fn verify(data_dir: &Path) -> Result<Verdict, String> {
    let finished = run_on("verify", data_dir, &[]);
    verdict(&finished).map_err(|reason| format!("verify: {reason}: {finished:?}"))
}

fn verdict(finished: &Finished) -> Result<Verdict, String> {
    let said = finished.stderr.lines().count();
    let status = finished.code().ok_or("it was killed by a signal")?;
    if status == exit::UNUSABLE {
        if !finished.stdout.is_empty() || said != 1 {
            return Err("a refusal is one line on stderr".to_owned());
        }
        return Ok(Verdict {
            is: Is::Unusable,
            line: finished.stderr.clone(),
        });
    }
    let line: Line = serde_json::from_str(&finished.stdout).map_err(|e| e.to_string())?;
    if finished.stdout.lines().count() != 1 || line.r#type != "verified" {
        return Err("it should write one line".to_owned());
    }
    let expected = status_of(&line.findings)?;
    let is_clean = expected == 0;
    if status != expected || line.clean != is_clean || said != line.said() {
        return Err(format!("its findings mean status {expected}"));
    }
    Ok(Verdict {
        is: if is_clean {
            Is::Clean(line.figures)
        } else {
            Is::Damaged
        },
        line: finished.stdout.clone(),
    })
}

impl Line {
    /// The number of lines on stderr that report the findings.
    fn said(&self) -> usize {
        self.findings.len() + usize::from(self.more_findings > 0)
    }
}

/// The lowest status of any finding.
fn status_of(findings: &[Finding]) -> Result<i32, String> {
    let mut status = None;
    for Finding { class, text } in findings {
        let known = exit::CLASSES.iter().find(|(name, _)| name == class);
        let (_, number) = known.ok_or_else(|| format!("an unknown class {class:?}"))?;
        if text.is_empty() {
            return Err("a finding without a text".to_owned());
        }
        status = Some(status.map_or(*number, |lowest: i32| lowest.min(*number)));
    }
    Ok(status.unwrap_or(0))
}

impl Figures {
    /// Fails if the figures differ from the oracle's.
    pub fn compare(&self, oracle: &Oracle) -> Result<(), String> {
        let found = [self.words, self.pending, self.outputs, self.checkpoints];
        let expected = [
            oracle.counts().len(),
            oracle.pending().len(),
            oracle.log().len(),
            oracle.checkpoints().count(),
        ];
        if found == expected {
            return Ok(());
        }
        Err(format!(
            "words, pending, outputs, checkpoints: verified {found:?}, expected {expected:?}"
        ))
    }
}
