//! The control socket: other processes send requests to a running node.
//!
//! Each client has one thread that reads and applies its requests, as standard input has, and one
//! that writes its replies. A client cannot delay the node: while many of its replies wait, its
//! requests are not read.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle, Scope};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{info, warn};

use crate::driver::{Health, ReadAhead};
use crate::engine::Handle;
use crate::error::StorageError;
use crate::inspect::Query;
use crate::node::client::{self, ClientStream};
use crate::node::decoded::Decoded;
use crate::node::outbox::Outbox;
use crate::node::places::{PlaceKind, Places};
use crate::node::service::Service;
use crate::node::socket::Listener;
use crate::node::{Monitor, Stop, Stoppable};
use crate::protocol::{Batch, BatchReader, Body};
use crate::store::threads;

/// Clients that are served at a time by default.
pub const DEFAULT_MAX_CLIENTS: usize = 1024;

/// File descriptors that are left for other uses. Each client takes one.
const OTHER_DESCRIPTORS: u64 = 64;

/// Pause after a failed accept.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Time between two checks if the extra place is free again.
const LOOK_FOR_PLACE_EVERY: Duration = Duration::from_millis(2);

/// Time between two checks if a server's thread has ended.
const LOOK_FOR_END_EVERY: Duration = Duration::from_millis(2);

/// Refused connections that are kept open, so that their clients can read the refusal.
const REFUSED_CONNECTIONS: usize = 16;

/// Time for the client in the extra place to send its queries.
const TIME_TO_ASK: Duration = Duration::from_secs(10);

/// The control socket of a state directory, which only its owner can open, and perhaps another
/// socket. Dropping it removes the files.
#[derive(Debug)]
pub struct ControlSocket {
    listeners: Vec<Listener>,
    max_clients: usize,
}

impl ControlSocket {
    /// Creates the socket in a directory that this process has locked. It replaces a socket that a
    /// killed process has left.
    ///
    /// # Errors
    ///
    /// The error of the operating system, for example if the file system has no sockets.
    pub fn bind(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            listeners: vec![Listener::in_directory(directory)?],
            max_clients: DEFAULT_MAX_CLIENTS,
        })
    }

    /// Also listens on a socket at `path`, whose file gets this mode: who may write to the file may
    /// connect. It replaces a socket on which no process listens, as a killed process leaves it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AddrInUse`] if another process listens there, [`ErrorKind::AlreadyExists`] if
    /// the file is no socket, and any error of the operating system.
    pub fn and_bind(mut self, path: &Path, mode: u32) -> io::Result<Self> {
        self.listeners.push(Listener::at(path, mode)?);
        Ok(self)
    }

    /// Sets how many clients are served at a time. One more client may send queries once.
    #[must_use]
    pub fn with_max_clients(mut self, max_clients: usize) -> Self {
        self.max_clients = max_clients;
        self
    }

    /// Answers clients over a handle until the result is dropped, and keeps the directory open
    /// until then. `monitor` must belong to the same handle.
    ///
    /// # Errors
    ///
    /// [`StorageError::Thread`] if a thread cannot be started or a pipe cannot be created.
    pub fn serve(self, handle: &Handle, monitor: &Monitor) -> Result<ControlServer, StorageError> {
        let stop = Stop::new().map_err(StorageError::Thread)?;
        let (stopped, monitor) = (stop.clone(), monitor.clone());
        let pipeline = handle.pipeline().clone();
        // Otherwise clients would wait for replies that never come.
        stop.request_on_failure(&pipeline);
        let serve = move || {
            let low_space = Mutex::new(None);
            let service = Service {
                pipeline,
                monitor: &monitor,
                stop: &stopped,
                low_space: &low_space,
            };
            thread::scope(|scope| self.take_clients(scope, service));
        };
        Ok(ControlServer {
            thread: threads::start("control", serve)?,
            stop,
            health: handle.pipeline().health(),
        })
    }

    /// Accepts clients until a stop is requested.
    pub(super) fn take_clients<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        service: Service<'scope>,
    ) {
        let max_clients = self.max_clients.min(max_descriptors());
        let mut places = Places::new(max_clients, service.monitor.clients());
        let mut refused = VecDeque::with_capacity(REFUSED_CONNECTIONS);
        while let Some(listener) = next_ready(&self.listeners, service.stop) {
            let stream = match listener.accept() {
                Ok(stream) => ClientStream::new(stream),
                Err(error) => {
                    warn!("a client could not be taken: {error}");
                    // What is missing now, such as descriptors, may be there a moment later.
                    thread::sleep(TRY_AGAIN_AFTER);
                    continue;
                }
            };
            if let Err(why) = start(scope, &stream, &service, &mut places) {
                stream.refuse(&why, service.monitor.errors());
                refused.truncate(REFUSED_CONNECTIONS - 1);
                refused.push_front(stream);
            }
        }
        // The files must be removed before the directory is unlocked: another process may then
        // create them again.
        drop(self);
    }
}

/// Serves the clients of a control socket until it is dropped.
#[derive(Debug)]
pub struct ControlServer {
    thread: JoinHandle<()>,
    stop: Stop,
    health: Health,
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.stop.request();
        // If the storage is stuck, a thread that reads it for a query may never end.
        while !self.thread.is_finished() && !self.health.is_stuck() {
            thread::sleep(LOOK_FOR_END_EVERY);
        }
    }
}

/// Waits for a client, and returns the listener to which it has come; `None` if a stop is requested
/// first.
fn next_ready<'a>(listeners: &'a [Listener], stop: &Stop) -> Option<&'a Listener> {
    loop {
        match stop.wait_for_any(listeners, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            waited => return waited.ok().flatten(),
        }
    }
}

/// Starts to serve a client, or returns why it is not served.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    stream: &ClientStream,
    service: &Service<'scope>,
    places: &mut Places<'_>,
) -> Result<(), String> {
    let kind = match is_own(stream) {
        true => PlaceKind::Own,
        false => find_place(places, service.stop).ok_or_else(|| too_many(places))?,
    };
    let max_clients = places.max_clients();
    let place = |backlog: &_| places.take(kind, backlog);
    let started = client::start(scope, stream, service, place);
    let started = started.and_then(|outbox| {
        let (service, stream) = (service.clone(), stream.clone());
        let reading = move || match kind {
            PlaceKind::Extra => read_one(stream, &outbox, &service, max_clients),
            PlaceKind::Normal | PlaceKind::Own => read(stream, &outbox, &service),
        };
        thread::Builder::new().spawn_scoped(scope, reading)
    });
    started.map(drop).map_err(|error| {
        warn!("a client could not be served: {error}");
        StorageError::Thread(error).to_string()
    })
}

/// Returns the place for a new client, after a short wait if that may help.
fn find_place(places: &mut Places<'_>, stop: &Stop) -> Option<PlaceKind> {
    loop {
        let found = places.find();
        if found.is_some() || stop.is_requested() {
            return found;
        }
        if !places.is_one_free_soon() {
            // The client in the extra place may have left it since.
            return places.find();
        }
        thread::sleep(LOOK_FOR_PLACE_EVERY);
    }
}

fn too_many(places: &Places<'_>) -> String {
    format!(
        "too many clients: all {} places and the one that is kept for a single answer are taken; \
         try again later, or start the node with a higher --max-clients",
        places.max_clients()
    )
}

/// True if the client is this process.
fn is_own(stream: &ClientStream) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(stream.as_fd());
    peer.is_ok_and(|peer| peer.pid == rustix::process::getpid())
}

/// Number of clients that the limit of descriptors allows.
fn max_descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let for_clients = limit.unwrap_or(u64::MAX).saturating_sub(OTHER_DESCRIPTORS);
    for_clients as usize
}

/// Reads requests from a client until it ends or a stop is requested.
fn read(stream: ClientStream, outbox: &Arc<Outbox>, service: &Service<'_>) {
    let mut reader = BatchReader::for_control(Stoppable::new(stream, service.stop.clone()));
    let mut reads_ahead = false;
    while outbox.wait_until_taken(service.stop) {
        // If the pipeline has failed, the node reports why.
        match reader.read() {
            Ok(Some(batch)) => {
                let Ok(is_worth_it) = apply(batch, reads_ahead, outbox, service) else {
                    return;
                };
                reads_ahead = is_worth_it;
            }
            Ok(None) if service.stop.is_requested() => return,
            Ok(None) => {
                apply(reader.finish(), reads_ahead, outbox, service).unwrap_or_default();
                return;
            }
            Err(error) => {
                info!("a client is gone: {error}");
                return;
            }
        }
    }
}

/// Applies a batch; reads ahead what it needs of the store if `reads_ahead`. Returns true
/// if the next batch should be read ahead.
fn apply(
    batch: Batch,
    reads_ahead: bool,
    outbox: &Arc<Outbox>,
    service: &Service<'_>,
) -> Result<bool, Arc<StorageError>> {
    if batch.lines.is_empty() {
        return Ok(reads_ahead);
    }
    let decoded = Decoded::new(batch, service.pipeline.preparer(), Arc::clone(outbox));
    let read = match reads_ahead {
        true => service.pipeline.read_ahead(decoded.preparations())?,
        false => ReadAhead::default(),
    };
    let announced = service.pipeline.announce();
    let excerpts = read.excerpts.as_ref();
    let (_, needed_reads) = decoded.apply(announced, service, excerpts, || false)?;
    Ok(needed_reads || read.is_worth_it())
}

/// Serves the client in the extra place: reads requests once, and answers them if all are queries.
fn read_one(stream: ClientStream, outbox: &Arc<Outbox>, service: &Service<'_>, max_clients: usize) {
    let deadline = Some(Instant::now() + TIME_TO_ASK);
    let input = Stoppable::new(stream.clone(), service.stop.clone()).until(deadline);
    let mut reader = BatchReader::for_control(input);
    let mut batch = loop {
        match reader.read() {
            Ok(Some(batch)) if batch.lines.is_empty() => {}
            Ok(Some(batch)) => break batch,
            Ok(None) => break reader.finish(),
            Err(error) if error.kind() == ErrorKind::TimedOut => break Batch::default(),
            Err(_) => return,
        }
    };
    if only_asks(&batch) {
        answer_at_once(&mut batch);
        // If the pipeline has failed, the node reports why.
        apply(batch, false, outbox, service).unwrap_or_default();
    } else {
        let why = format!(
            "all {max_clients} places for clients are taken, and the one that is left is for a \
             query at once; try again later, or start the node with a higher --max-clients"
        );
        stream.refuse(&why, service.monitor.errors());
    }
}

/// Makes no query wait for outputs.
fn answer_at_once(batch: &mut Batch) {
    for line in &mut batch.lines {
        if let Body::Query(query) = &mut line.body
            && let Query::Outputs { wait_ms, .. } = &mut **query
        {
            *wait_ms = None;
        }
    }
}

/// True if there is at least one line and all lines are queries.
fn only_asks(batch: &Batch) -> bool {
    let mut lines = batch.lines.iter();
    !batch.lines.is_empty() && lines.all(|line| matches!(line.body, Body::Query(_)))
}
