//! The sentinel: a small file that says what stage a state directory is in, and which of its
//! generations is the present one. If it names none, that is generation 0. If it names one, it also
//! says which group was the last in that database when it was built.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::OpenError;
use crate::store::bytes::{FORMAT, FORMAT_4};
use crate::store::directory::files::{replace_file, unusable};
use crate::store::directory::generation::Generation;
use crate::store::directory::watermark::Watermark;

pub(crate) const SENTINEL: &str = "sentinel";
/// The name of a new sentinel until it is whole.
pub(crate) const NEW_SENTINEL: &str = "sentinel.new";
const MAGIC: &str = "exactly-once";

/// The content of the sentinel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sentinel {
    /// The first database is not durable yet, so nothing was ever answered.
    Creating,
    /// The database exists, and must be there at every start.
    Ready {
        generation: Generation,
        /// The last group that was in the generation when it was built.
        built_at: u64,
    },
}

/// The sentinel of a directory that was neither compacted nor loaded from a dump.
pub(crate) const READY: Sentinel = Sentinel::Ready {
    generation: Generation::FIRST,
    built_at: 0,
};

/// Reads the sentinel of a directory; `None` if there is none.
pub(crate) fn read_sentinel(path: &Path) -> Result<Option<Sentinel>, OpenError> {
    let sentinel = path.join(SENTINEL);
    match fs::read_to_string(&sentinel) {
        Ok(text) => parse_sentinel(path, &text).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let found = format!("its file {SENTINEL:?} is not text");
            Err(OpenError::NotOurs {
                path: path.to_owned(),
                found,
            })
        }
        Err(error) => Err(unusable(&sentinel, "reading it")(error)),
    }
}

fn parse_sentinel(path: &Path, text: &str) -> Result<Sentinel, OpenError> {
    let not_ours = || OpenError::NotOurs {
        path: path.to_owned(),
        found: format!(
            "its file {SENTINEL:?} says {:?}",
            text.chars().take(80).collect::<String>()
        ),
    };
    let mut words = text.split_ascii_whitespace();
    let (Some(MAGIC), Some(format)) = (words.next(), words.next()) else {
        return Err(not_ours());
    };
    if ![FORMAT, FORMAT_4]
        .map(|known| known.to_string())
        .contains(&format.to_owned())
    {
        let found = format.to_owned();
        return Err(OpenError::UnknownFormat {
            path: path.to_owned(),
            found,
            known: FORMAT,
        });
    }
    let words: Vec<&str> = words.collect();
    match *words {
        ["creating"] => Ok(Sentinel::Creating),
        ["ready"] => Ok(READY),
        ["ready", generation, built_at] => {
            let numbers = generation.parse().ok().zip(built_at.parse().ok());
            let (generation, built_at) = numbers.ok_or_else(not_ours)?;
            Ok(Sentinel::Ready {
                generation: Generation(generation),
                built_at,
            })
        }
        _ => Err(not_ours()),
    }
}

/// Replaces the sentinel of a directory whose present database has this format.
pub(crate) fn write_sentinel(
    path: &Path,
    sentinel: Sentinel,
    format: u32,
) -> Result<(), OpenError> {
    let says = match sentinel {
        Sentinel::Creating => "creating".to_owned(),
        READY => "ready".to_owned(),
        Sentinel::Ready {
            generation,
            built_at,
        } => format!("ready {generation} {built_at}"),
    };
    let text = format!("{MAGIC} {format} {says}\n");
    replace_file(path, SENTINEL, NEW_SENTINEL, text.as_bytes())
}

/// Refuses a directory of format 4, which only a view can read.
///
/// # Errors
///
/// [`OpenError::OldFormat`] if it has format 4.
pub(crate) fn check_present_format(path: &Path) -> Result<(), OpenError> {
    let text = fs::read_to_string(path.join(SENTINEL)).unwrap_or_default();
    match text.starts_with(&format!("{MAGIC} {FORMAT_4} ")) {
        true => Err(OpenError::OldFormat {
            path: path.to_owned(),
            found: FORMAT_4,
            known: FORMAT,
        }),
        false => Ok(()),
    }
}

/// Makes the sentinel name a generation of this format, which must be whole.
pub(crate) fn name_generation(
    path: &Path,
    generation: Generation,
    format: u32,
) -> Result<(), OpenError> {
    let mark = Watermark::read(&generation.folder(path))?;
    let built_at = mark.map_or(0, |mark| mark.group);
    let sentinel = match generation {
        Generation::FIRST => READY,
        generation => Sentinel::Ready {
            generation,
            built_at,
        },
    };
    write_sentinel(path, sentinel, format)
}

/// True if a directory has a sentinel of this program, of any format.
pub(crate) fn has_sentinel(path: &Path) -> bool {
    let sentinel = fs::read(path.join(SENTINEL));
    sentinel.is_ok_and(|text| text.starts_with(MAGIC.as_bytes()))
}
