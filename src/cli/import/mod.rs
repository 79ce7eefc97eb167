//! `import`: reads data in its own form, and counts it.

mod batch;
mod channel;
mod counting;
mod json;
mod lines;
mod plan;
mod progress;
mod raw;
mod records;
pub(crate) mod selector;
mod source;
mod summary;
mod way;
mod words;

use std::path::PathBuf;

use clap::Args;
use exactly_once::client::ClientError;

use crate::cli::door::{Door, DoorArgs};
use crate::cli::status::WrongArguments;
use crate::cli::streams::stderr::say;
use crate::cli::streams::stdout;
use crate::cli::verbosity::Verbosity;
use batch::{Batches, EndedEarly};
use channel::Channel;
use counting::{Counting, Destination, Named, Printing};
use plan::{Plan, PlanArgs};
use progress::Progress;
use source::Source;
pub(crate) use summary::{Rotated, TooManySkipped};
use summary::{SummaryForm, Tally};
use way::Way;

/// Count the events of files: JSON lines, CSV, logs, texts
///
/// Takes an id and a word from each record by selectors: /POINTER for JSON, column:NAME or field:N
/// for a table, field:N for the fields of a line, group:NAME for a pattern. Files may be compressed
/// with gzip or zstd. The events go to the node that runs, or this command is the node itself, as
/// with `send`; then what is pending is committed. A summary of each file comes on standard error.
///
/// A record without the id or the word, or with one that is too long, is left out and named. All
/// others are counted, but the exit status is 7. A file that cannot be read to its end is named,
/// and the others are counted. A file may be imported again at any time: what was counted before is
/// not counted again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  exactly-once import --data-dir state --id /id --word /level app.jsonl
  exactly-once import --data-dir state --id column:order --word column:status orders.csv
  exactly-once import --data-dir state --id-by prefix --word field:4 access.log*
  exactly-once import --data-dir state --input-format words book.txt
  exactly-once import --print --input-format words --redeliver 0.2 book.txt > requests.jsonl")]
pub(crate) struct ImportArgs {
    /// Files to read; standard input for - or none
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    plan: PlanArgs,
    /// Accept up to this many bad records: the exit status is 0 all the same
    #[arg(long, value_name = "N", default_value_t = 0)]
    skip_bad: u64,
    /// Leave the outputs pending at the end
    #[arg(long)]
    no_commit: bool,
    /// Form of the summary on standard error
    #[arg(long, value_name = "FORM", default_value = "text")]
    summary: SummaryForm,
    /// Print the requests, and send nothing
    #[arg(long, group = "AddressArgs")]
    print: bool,
    /// Send each event again with this probability (0 to 1), within the next 1,000 events
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = parse_share,
          help_heading = "A flaky channel")]
    redeliver: f64,
    /// Send the events in random order, with all of them in memory
    #[arg(long, help_heading = "A flaky channel")]
    shuffle: bool,
    /// Seed of the random numbers; the same seed gives the same requests
    #[arg(long, default_value_t = 0, help_heading = "A flaky channel")]
    seed: u64,
    #[command(flatten)]
    door: DoorArgs,
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a share is a number from 0 to 1".to_owned()),
    }
}

/// Imports every file, in the order of the arguments.
pub(crate) fn run(args: &ImportArgs, verbosity: Verbosity) -> anyhow::Result<()> {
    let standard_input = [PathBuf::from("-")];
    let files = match &args.files[..] {
        [] => &standard_input[..],
        files => files,
    };
    let sources: Vec<Source> = files.iter().map(|file| Source::new(file)).collect();
    let plans = sources.iter().map(|source| args.plan.plan(source));
    let plans = plans.collect::<Result<Vec<Plan>, WrongArguments>>()?;
    let inputs = || sources.iter().zip(&plans);
    refuse_equal_names(inputs())?;
    if args.print {
        let mut printing = Printing::new(stdout::json_lines()?);
        let mut failures = Failures::default();
        for (source, plan) in inputs() {
            let imported = args.import(source, plan, verbosity, &mut printing);
            // What was read is printed, whatever follows.
            printing.pause()?;
            failures.add(args.checked(source, imported?).err());
        }
        return failures.first();
    }
    if sources.iter().all(Source::is_missing)
        && let Some(Err(error)) = sources.first().map(Source::open)
    {
        // Before a state is made of which nothing would come.
        return Err(error);
    }
    let mut door = Door::new(&args.door, verbosity);
    // Before anything is read, so that a wrong directory is told at once.
    let connected = door.client.connect();
    let imported = connected.map_err(anyhow::Error::from);
    let imported = imported.and_then(|()| args.count(inputs(), verbosity, &mut door));
    // A failed storage explains what else failed.
    door.close()?;
    imported
}

/// Refuses inputs whose names in ids are equal: their events would be taken for the same ones.
fn refuse_equal_names<'a>(
    inputs: impl Iterator<Item = (&'a Source, &'a Plan)>,
) -> Result<(), WrongArguments> {
    let mut named: Vec<(&str, String)> = Vec::new();
    for (source, plan) in inputs {
        let Some(name) = plan.name() else {
            continue;
        };
        if let Some((_, other)) = named.iter().find(|(other, _)| *other == name) {
            return Err(WrongArguments(format!(
                "{other} and {} are both named {name:?}, so their ids would be the same; import \
                 them one by one, each with its own --source NAME",
                source.shown()
            )));
        }
        named.push((name, source.shown()));
    }
    Ok(())
}

impl ImportArgs {
    /// Sends the events of all inputs to a node, and commits.
    fn count<'a>(
        &self,
        inputs: impl Iterator<Item = (&'a Source, &'a Plan)>,
        verbosity: Verbosity,
        door: &mut Door,
    ) -> anyhow::Result<()> {
        let mut failures = Failures::default();
        for (source, plan) in inputs {
            let way = match door.own_handle() {
                Some(handle) => Way::own(handle),
                None => Way::Client(&mut door.client),
            };
            let mut counting = Counting::new(way);
            let imported = self.import(source, plan, verbosity, &mut counting)?;
            if let Ok(tally) = &imported {
                tally.tell(source, plan, self.summary, verbosity);
            }
            failures.add(self.checked(source, imported).err());
        }
        if !self.no_commit {
            commit(door)?;
        }
        failures.first()
    }

    /// Fails if an input failed, or has too many bad records.
    fn checked(&self, source: &Source, imported: anyhow::Result<Tally>) -> anyhow::Result<()> {
        Ok(imported?.check(source, self.skip_bad)?)
    }

    /// Imports one input. The inner error is one of this input alone.
    fn import(
        &self,
        source: &Source,
        plan: &Plan,
        verbosity: Verbosity,
        destination: &mut impl Destination,
    ) -> anyhow::Result<anyhow::Result<Tally>> {
        let mut open = match source.open() {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        let plan = &Plan {
            // A compressed file does not grow.
            is_growing: plan.is_growing && !open.is_compressed,
            ..plan.clone()
        };
        destination.begin(plan.name().map(|name| Named {
            name: name.to_owned(),
            shown: source.shown(),
            file: open.file.take(),
            read: open.read.clone(),
        }));
        let progress = Progress::start(&open, source, verbosity);
        let batches = Batches::read(open, plan.clone())?;
        let mut tally = Tally::default();
        let passed = self.pass_on(&batches, destination, &mut tally);
        progress.finish();
        match passed {
            Ok(Ok(())) => Ok(Ok(tally)),
            Ok(Err(error)) => {
                tally.tell(source, plan, self.summary, verbosity);
                Ok(Err(error.of(source)))
            }
            Err(error) if error.is::<Rotated>() => {
                destination.give_up()?;
                Ok(Err(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Passes the batches of an input on. The inner error says why there are no more.
    fn pass_on(
        &self,
        batches: &Batches,
        destination: &mut impl Destination,
        tally: &mut Tally,
    ) -> anyhow::Result<Result<(), EndedEarly>> {
        let mut end = None;
        let mut channel = (self.redeliver > 0.0 || self.shuffle)
            .then(|| Channel::new(self.redeliver, self.shuffle, self.seed));
        let read = loop {
            let Some(batch) = batches.next(|| destination.pause())? else {
                break Ok(());
            };
            let batch = match batch {
                Ok(batch) => batch,
                Err(error) => break Err(error),
            };
            tally.add(&batch);
            end = batch.end;
            match &mut channel {
                None => destination.take(&batch)?,
                Some(channel) => destination.take(&channel.send(&batch))?,
            }
        };
        if let Some(channel) = channel {
            destination.take(&channel.finish())?;
        }
        destination.end(end, tally)?;
        Ok(read)
    }
}

/// What went wrong with some of the inputs.
#[derive(Default)]
struct Failures(Option<anyhow::Error>);

impl Failures {
    /// Keeps the first one, which decides the exit status, and tells the others.
    fn add(&mut self, failure: Option<anyhow::Error>) {
        match (failure, &self.0) {
            (Some(failure), Some(_)) => say(format_args!("{failure:#}")),
            (Some(failure), None) => self.0 = Some(failure),
            (None, _) => {}
        }
    }

    fn first(self) -> anyhow::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Commits. If the connection ends before the reply, commits again: that releases only what is
/// still pending.
fn commit(door: &mut Door) -> Result<(), ClientError> {
    door.client
        .send_again_if_lost(&exactly_once::Request::Commit)?;
    while let Some(reply) = door.client.receive()? {
        reply.map_err(ClientError::Refused)?;
    }
    Ok(())
}
