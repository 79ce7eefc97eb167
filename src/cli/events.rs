//! `events`: turns text into `process` requests, and plays the flaky channel.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;
use exactly_once::MAX_WORD_BYTES;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// Turn text into process requests, one a word
///
/// Words are separated by white space (space, tab, newline, vertical tab, form feed, carriage
/// return); one over 1,024 bytes is cut. A word's id is the name of its file, without folders,
/// and its byte offset there, so it is the same every time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once events book.txt | exactly-once run --data-dir state
  exactly-once events book.txt --redeliver 0.2 --shuffle --seed 7 > requests.jsonl
  tr -cs '[:alpha:]' '\\n' < book.txt | exactly-once events - --name book")]
pub(super) struct EventsArgs {
    /// Text to read; standard input for - or none
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The name that standard input has in ids
    #[arg(long, value_name = "NAME", default_value = "stdin")]
    name: String,
    /// Send this share of the events (0 to 1) once more, later
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share)]
    redeliver: f64,
    /// Send the events in random order; the whole text is then held in memory
    #[arg(long)]
    shuffle: bool,
    /// The seed of what is random: the same seed gives the same requests
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// A redelivery comes at most this many events after the first delivery.
const MAX_REDELIVERY_DELAY_EVENTS: u64 = 1_000;

/// Writes the requests of every file, in the order of the arguments.
pub(super) fn run(args: &EventsArgs) -> anyhow::Result<()> {
    let mut channel = Channel::new(args, io::stdout().lock());
    let mut names = BTreeMap::new();
    let standard_input = [PathBuf::from("-")];
    let files = if args.files.is_empty() {
        &standard_input[..]
    } else {
        &args.files
    };
    for file in files {
        let name = id_name(file, args)?;
        if let Some(other) = names.insert(name.clone(), file) {
            bail!(
                "{} and {} are both named {name:?}, so that their ids would be the same; rename \
                 one, or send one through standard input with --name",
                other.display(),
                file.display()
            );
        }
        let input: Box<dyn Read> = if file == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(file).with_context(|| format!("opening {}", file.display()))?)
        };
        let mut words = Words::new(input);
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

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to 1".to_owned()),
    }
}

/// The name that a file has in ids.
fn id_name(file: &Path, args: &EventsArgs) -> anyhow::Result<String> {
    const MAX_NAME_BYTES: usize = exactly_once::MAX_EVENT_ID_BYTES - ":18446744073709551615".len();
    let name = if file == Path::new("-") {
        Some(OsStr::new(&args.name))
    } else {
        file.file_name()
    };
    let name = name.with_context(|| format!("{} is no file", file.display()))?;
    let name = name.to_str().with_context(|| {
        format!(
            "the name of {} is not UTF-8; rename it, as it is part of ids",
            file.display()
        )
    })?;
    ensure!(
        name.len() <= MAX_NAME_BYTES,
        "the name {name:?} is over {MAX_NAME_BYTES} bytes"
    );
    Ok(name.to_owned())
}

/// The words of a text, in order, in bounded memory.
struct Words<R> {
    input: BufReader<R>,
    /// The offset of the next byte of the input.
    offset: u64,
    /// The first bytes of a character that was cut from the word before.
    carried: Vec<u8>,
}

impl<R: Read> Words<R> {
    fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(1 << 16, input),
            offset: 0,
            carried: Vec::new(),
        }
    }

    /// The next word and its byte offset.
    fn next(&mut self) -> anyhow::Result<Option<(u64, String)>> {
        let mut word = std::mem::take(&mut self.carried);
        let mut start = self.offset - word.len() as u64;
        while word.len() < MAX_WORD_BYTES {
            let Some(&byte) = self.input.fill_buf()?.first() else {
                break;
            };
            self.input.consume(1);
            self.offset += 1;
            match (is_space(byte), word.is_empty()) {
                (true, true) => start = self.offset,
                (true, false) => break,
                (false, _) => word.push(byte),
            }
        }
        if word.is_empty() {
            return Ok(None);
        }
        if let Err(error) = std::str::from_utf8(&word)
            && word.len() == MAX_WORD_BYTES
            && error.error_len().is_none()
        {
            self.carried = word.split_off(error.valid_up_to());
        }
        let word = String::from_utf8(word).map_err(|error| {
            let at = start + error.utf8_error().valid_up_to() as u64;
            anyhow::anyhow!("not UTF-8 at byte {at}; convert it, with iconv for example")
        })?;
        Ok(Some((start, word)))
    }
}

/// What `isspace` of the C locale says, and so the class `[:space:]` of `tr`.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// One event on its way.
#[derive(Clone)]
struct Event {
    event_id: String,
    word: String,
}

/// A channel that delivers every event at least once.
struct Channel<W: Write> {
    output: BufWriter<W>,
    random: ChaCha8Rng,
    redeliver: f64,
    /// Events held back until all are known, if they are to be shuffled.
    held: Option<Vec<Event>>,
    /// Events to be sent once more, each when this many first deliveries have been made.
    again: BTreeMap<(u64, u64), Event>,
    first_deliveries: u64,
    msg_id: u64,
}

#[derive(Serialize)]
struct Request<'a> {
    src: &'static str,
    dest: &'static str,
    body: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    msg_id: u64,
    event_id: &'a str,
    word: &'a str,
}

impl<W: Write> Channel<W> {
    fn new(args: &EventsArgs, output: W) -> Self {
        Self {
            output: BufWriter::with_capacity(1 << 16, output),
            random: ChaCha8Rng::seed_from_u64(args.seed),
            redeliver: args.redeliver,
            held: args.shuffle.then(Vec::new),
            again: BTreeMap::new(),
            first_deliveries: 0,
            msg_id: 0,
        }
    }

    fn send(&mut self, event: Event) -> io::Result<()> {
        self.first_deliveries += 1;
        if self.random.random_bool(self.redeliver) {
            let delay = self.random.random_range(1..=MAX_REDELIVERY_DELAY_EVENTS);
            let due = (self.first_deliveries + delay, self.first_deliveries);
            self.again.insert(due, event.clone());
        }
        self.deliver(event)?;
        while let Some(next) = self.again.first_entry()
            && next.key().0 <= self.first_deliveries
        {
            let event = next.remove();
            self.deliver(event)?;
        }
        Ok(())
    }

    fn deliver(&mut self, event: Event) -> io::Result<()> {
        match &mut self.held {
            Some(held) => held.push(event),
            None => self.write(&event)?,
        }
        Ok(())
    }

    fn write(&mut self, event: &Event) -> io::Result<()> {
        self.msg_id += 1;
        let (event_id, word) = (event.event_id.as_str(), event.word.as_str());
        let body = Body {
            r#type: "process",
            msg_id: self.msg_id,
            event_id,
            word,
        };
        let request = Request {
            src: "stream",
            dest: "processor",
            body,
        };
        serde_json::to_writer(&mut self.output, &request).map_err(io::Error::from)?;
        self.output.write_all(b"\n")
    }

    fn finish(mut self) -> io::Result<()> {
        for event in std::mem::take(&mut self.again).into_values() {
            self.deliver(event)?;
        }
        let mut held = self.held.take().unwrap_or_default();
        held.shuffle(&mut self.random);
        for event in &held {
            self.write(event)?;
        }
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &[u8]) -> Vec<(u64, String)> {
        let mut words = Words::new(text);
        std::iter::from_fn(|| words.next().expect("it is text")).collect()
    }

    #[test]
    fn a_word_has_its_byte_offset() {
        let expected = [(1, "a"), (3, "\u{e4}b"), (8, "c")].map(|(at, word)| (at, word.to_owned()));
        assert_eq!(words(" a \u{e4}b\u{b}\nc".as_bytes()), expected);
        assert_eq!(words(b" \r\n"), []);
    }

    #[test]
    fn a_long_word_is_cut_between_characters_and_loses_nothing() {
        let text = format!("x{}", "\u{1f600}".repeat(600));
        let pieces = words(text.as_bytes());
        assert_eq!(pieces.len(), 3);
        assert!(pieces.iter().all(|(_, word)| word.len() <= MAX_WORD_BYTES));
        let mut end = 0;
        for (at, word) in &pieces {
            assert_eq!(*at, end);
            end += word.len() as u64;
        }
        assert_eq!(
            pieces.into_iter().map(|(_, word)| word).collect::<String>(),
            text
        );
    }

    #[test]
    fn text_that_is_not_utf_8_is_an_error_that_says_where() {
        let mut words = Words::new(&b"abc d\xffe"[..]);
        words.next().expect("abc is text");
        let error = words.next().expect_err("the next word is not").to_string();
        assert_eq!(
            error,
            "not UTF-8 at byte 5; convert it, with iconv for example"
        );
    }
}
