//! `events`: turns text into `process` requests, and simulates an unreliable channel.

mod channel;
mod words;

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use crate::cli::status::WrongArguments;
use crate::cli::streams::stdin;
use crate::cli::streams::stdout;
use channel::{Channel, Event};
use words::Words;

/// Turn text into process requests, one for each word
///
/// Words are separated by white space (space, tab, newline, vertical tab, form feed, carriage
/// return). A word of more than 1,024 bytes is split. The id of a word is NAME:OFFSET, the name of
/// its file without folders and its byte offset there, so it is the same every time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once events book.txt | exactly-once run --data-dir state
  exactly-once events book.txt --redeliver 0.2 --shuffle --seed 7 > requests.jsonl
  tr -cs '[:alpha:]' '\\n' < book.txt | exactly-once events - --name book")]
pub(crate) struct EventsArgs {
    /// Text files to read; standard input for - or none
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Name of standard input in ids
    #[arg(long, value_name = "NAME", default_value = "stdin")]
    name: String,
    /// Send each event again with this probability (0 to 1), within the next 1,000 events
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    redeliver: f64,
    /// Send the events in random order, with the whole text in memory
    #[arg(long)]
    shuffle: bool,
    /// Seed of the random numbers; the same seed gives the same requests
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Writes the requests of every file, in the order of the arguments.
pub(crate) fn run(args: &EventsArgs) -> anyhow::Result<()> {
    let standard_input = [PathBuf::from("-")];
    let files = if args.files.is_empty() {
        &standard_input[..]
    } else {
        &args.files
    };
    let names = id_names(files, args)?;
    let mut channel = Channel::new(
        args.redeliver,
        args.shuffle,
        args.seed,
        stdout::json_lines()?,
    );
    for (file, name) in files.iter().zip(names) {
        let mut words = Words::new(open(file)?);
        let reading = || format!("reading {}", file.display());
        while let Some((offset, word)) = words.next().with_context(reading)? {
            channel.send(Event {
                event_id: format!("{name}:{offset}"),
                word,
            })?;
        }
    }
    Ok(channel.finish()?)
}

fn open(file: &Path) -> anyhow::Result<Box<dyn Read>> {
    if file == Path::new("-") {
        return Ok(Box::new(stdin::waiting()?));
    }
    Ok(Box::new(
        File::open(file).with_context(|| format!("opening {}", file.display()))?,
    ))
}

/// The names of the files in ids, which must all differ.
fn id_names(files: &[PathBuf], args: &EventsArgs) -> Result<Vec<String>, WrongArguments> {
    let mut names: Vec<String> = Vec::new();
    for file in files {
        let name = id_name(file, args)?;
        if let Some(other) = names.iter().position(|other| *other == name) {
            return Err(WrongArguments(format!(
                "{} and {} are both named {name:?}, so their ids would be the same; rename one, \
                 or send one through standard input with --name",
                files[other].display(),
                file.display()
            )));
        }
        names.push(name);
    }
    Ok(names)
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to 1".to_owned()),
    }
}

/// The name of a file in ids.
fn id_name(file: &Path, args: &EventsArgs) -> Result<String, WrongArguments> {
    const MAX_NAME_BYTES: usize = exactly_once::MAX_EVENT_ID_BYTES - ":18446744073709551615".len();
    let wrong = |why: String| WrongArguments(format!("{} {why}", file.display()));
    let name = if file == Path::new("-") {
        Some(OsStr::new(&args.name))
    } else {
        file.file_name()
    };
    let name = name.ok_or_else(|| wrong("is no file; name one".to_owned()))?;
    match name.to_str() {
        Some(name) if name.len() <= MAX_NAME_BYTES => Ok(name.to_owned()),
        Some(_) => Err(wrong(format!(
            "has a name of over {MAX_NAME_BYTES} bytes, which is part of ids; give a shorter one"
        ))),
        None => Err(wrong(
            "has a name that is not UTF-8, which is part of ids; rename it".to_owned(),
        )),
    }
}
