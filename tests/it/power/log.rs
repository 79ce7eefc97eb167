//! The log of the recorder: the changes, syncs and replies of some processes, in one order.

/// A path relative to the recorded directory, which itself is `.`.
pub type Name = String;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Create(Name),
    MakeDirectory(Name),
    Unlink(Name),
    Rename {
        from: Name,
        to: Name,
    },
    Write {
        name: Name,
        at: usize,
        bytes: Vec<u8>,
    },
    Resize {
        name: Name,
        len: usize,
    },
    /// A sync begins; it covers the changes before it.
    Sync {
        id: SyncId,
        name: Name,
    },
    /// That sync has succeeded.
    Synced {
        id: SyncId,
        name: Name,
    },
    /// A write of this many bytes of replies begins.
    Reply {
        bytes: usize,
    },
}

/// A process and the number of one of its syncs.
pub type SyncId = [usize; 2];

/// Reads a whole log.
pub fn read(mut log: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while !log.is_empty() {
        events.push(read_one(&mut log));
    }
    events
}

fn read_one(log: &mut &[u8]) -> Event {
    let end = log.iter().position(|&byte| byte == b'\n');
    let (line, rest) = log.split_at(end.expect("a record begins with a line"));
    *log = &rest[1..];
    let line = std::str::from_utf8(line).expect("the line is text");
    let words: Vec<_> = line.split(' ').collect();
    let [kind, first, second, names @ ..] = &*words else {
        panic!("a record has a kind, two numbers and a path: {line:?}");
    };
    let number = |word: &str| word.parse::<usize>().expect("it is a number");
    let (first, second) = (number(first), number(second));
    let id = [first, second];
    let name = |index: usize| names[index].to_owned();
    match *kind {
        "create" => Event::Create(name(0)),
        "mkdir" => Event::MakeDirectory(name(0)),
        "unlink" => Event::Unlink(name(0)),
        "rename" => Event::Rename {
            from: name(0),
            to: name(1),
        },
        "resize" => Event::Resize {
            name: name(0),
            len: first,
        },
        "sync" => Event::Sync { id, name: name(0) },
        "synced" => Event::Synced { id, name: name(0) },
        "reply" => Event::Reply { bytes: first },
        "write" => {
            let (bytes, rest) = log.split_at(second);
            *log = rest;
            Event::Write {
                name: name(0),
                at: first,
                bytes: bytes.to_vec(),
            }
        }
        _ => panic!("unknown in a log: {line:?}"),
    }
}

/// The last part of a path.
pub fn file_name(name: &str) -> &str {
    name.rsplit('/').next().expect("a split has a part")
}

#[test]
fn a_log_is_read_as_the_recorder_writes_it() {
    let log = b"create 0 0 d/f\nwrite 7 3 d/f\na\nbreply 9 0 -\nrename 0 0 d/f d/g\n";
    let bytes = b"a\nb".to_vec();
    let (from, to) = ("d/f".to_owned(), "d/g".to_owned());
    let expected = [
        Event::Create(from.clone()),
        Event::Write {
            name: from.clone(),
            at: 7,
            bytes,
        },
        Event::Reply { bytes: 9 },
        Event::Rename { from, to },
    ];
    assert_eq!(read(log), expected);
}
