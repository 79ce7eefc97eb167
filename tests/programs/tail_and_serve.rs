//! Follows a growing file and serves any number of clients, over one handle.
//!
//!     tail_and_serve DIRECTORY LOG
//!
//! Each line of the log, `ID WORD`, is an event. The place in the log is the source position, so
//! the program continues where it stopped before, even after a crash. It first prints its port on
//! 127.0.0.1. A client sends lines:
//!
//!     POST ID WORD         counts an event, and replies after it is on stable storage
//!     COUNT WORD           the number of events with the word
//!     SEEN ID              true if the state has an event with the id
//!     OUTPUTS FROM LIMIT   the released outputs from an offset on, then END

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use exactly_once::{Engine, Handle, Options, Request};

type Failure = Box<dyn Error + Send + Sync>;

/// The most lines of the log that are sent as one batch.
const BATCH: usize = 100;
const PAUSE: Duration = Duration::from_millis(20);

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (Some(directory), Some(log)) = (arguments.next(), arguments.next()) else {
        return Err("name a directory and a log".into());
    };
    let mut options = Options::default();
    options.autocommit = true;
    let handle = Engine::open(directory, &options)?.share()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    let tailer = handle.clone();
    thread::spawn(move || {
        if let Err(failure) = tail(&tailer, &log) {
            eprintln!("the log is followed no more: {failure}");
            std::process::exit(1);
        }
    });
    for client in listener.incoming() {
        let (handle, client) = (handle.clone(), client?);
        thread::spawn(move || {
            if let Err(failure) = serve(&handle, client) {
                eprintln!("a client is gone: {failure}");
            }
        });
    }
    Ok(())
}

/// Follows the log, from the source position of the state on.
fn tail(handle: &Handle, log: &str) -> Result<(), Failure> {
    let mut place: u64 = match handle.source().wait()? {
        Some(source) => String::from_utf8(source)?.parse()?,
        None => 0,
    };
    let mut file = BufReader::new(File::open(log)?);
    loop {
        file.seek(SeekFrom::Start(place))?;
        let lines = whole_lines(&mut file)?;
        let next = place + lines.iter().map(|line| line.len() as u64).sum::<u64>();
        let is_told = next > place && tell(handle, &lines, next)?;
        if is_told {
            place = next;
        } else {
            thread::sleep(PAUSE);
        }
    }
}

/// Returns the next complete lines.
fn whole_lines(file: &mut impl BufRead) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    while lines.len() < BATCH {
        let mut line = String::new();
        file.read_line(&mut line)?;
        if !line.ends_with('\n') {
            break;
        }
        lines.push(line);
    }
    Ok(lines)
}

/// Counts the events of lines, and advances the source position with them. Returns false if this is
/// refused for now, because the disk is nearly full.
fn tell(handle: &Handle, lines: &[String], next: u64) -> Result<bool, Failure> {
    let mut requests = Vec::new();
    for line in lines {
        let event = line.trim_end().split_once(' ');
        let event = event.map(|(event_id, word)| Request::Process { event_id, word });
        match event.filter(|event| event.check_lengths().is_ok()) {
            Some(event) => requests.push(event),
            None => eprintln!("this line is no event: {line}"),
        }
    }
    let source = next.to_string();
    let source = source.as_bytes();
    requests.push(Request::Advance { source });
    let answers = handle.submit(&requests).wait()?;
    // The source position is refused if an event before it was.
    Ok(answers.last().is_some_and(Result::is_ok))
}

fn serve(handle: &Handle, client: TcpStream) -> Result<(), Failure> {
    let mut out = BufWriter::new(client.try_clone()?);
    for line in BufReader::new(client).lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["POST", event_id, word] => match handle.process(event_id, word).wait()? {
                Ok(processed) => {
                    let is_duplicate = processed.outcome.was_duplicate();
                    writeln!(out, "{} {is_duplicate}", processed.count)?;
                }
                Err(refusal) => writeln!(out, "ERROR {refusal}")?,
            },
            ["COUNT", word] => writeln!(out, "{}", handle.count(word).wait()?)?,
            ["SEEN", event_id] => writeln!(out, "{}", handle.contains(event_id).wait()?)?,
            ["OUTPUTS", from, limit] => {
                let view = handle.view().wait()?;
                view.outputs(from.parse()?, limit.parse()?, |output| {
                    let (offset, count) = (output.offset, output.count);
                    writeln!(out, "{offset} {} {} {count}", output.event_id, output.word)?;
                    Ok::<(), Failure>(())
                })?;
                writeln!(out, "END")?;
            }
            _ => writeln!(out, "ERROR unknown: {line}")?,
        }
        out.flush()?;
    }
    Ok(())
}
