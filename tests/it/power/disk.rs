//! A simulated disk that can lose power: its files and directories.
//!
//! A name is durable once its directory has been synced. A sync of the file is not enough, although
//! it is on ext4. A power cut leaves a directory with a prefix of its changes since its last sync.

use super::file::{Change, File, Mood};
use super::log::{Event, SyncId};
use super::tally::Tally;
use rand::{Rng, RngExt};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

type Node = usize;
const ROOT: Node = 0;

#[derive(Debug)]
pub struct Disk {
    nodes: Vec<Body>,
    /// The syncs in progress: the node that each syncs, and its number of changes at the start.
    syncing: HashMap<SyncId, (Node, usize)>,
}

#[derive(Debug)]
enum Body {
    File(File),
    Directory(Directory),
}

#[derive(Debug, Default)]
struct Directory {
    durable: BTreeMap<String, Node>,
    cached: BTreeMap<String, Node>,
    pending: VecDeque<Entry>,
    /// The number of changes in `durable`.
    applied: usize,
}

/// A change of a directory.
#[derive(Debug)]
enum Entry {
    Put(String, Node),
    Remove(String),
    Rename { from: String, to: String },
}

/// The files and directories of a disk by their paths; a directory has no content.
pub type Image = BTreeMap<String, Option<Vec<u8>>>;

impl Entry {
    fn apply(&self, names: &mut BTreeMap<String, Node>) {
        match self {
            Self::Put(name, node) => {
                names.insert(name.clone(), *node);
            }
            Self::Remove(name) => {
                names.remove(name);
            }
            Self::Rename { from, to } => {
                let node = names.remove(from).expect("what is renamed is there");
                names.insert(to.clone(), node);
            }
        }
    }
}

impl Directory {
    fn change(&mut self, entry: Entry) {
        entry.apply(&mut self.cached);
        self.pending.push_back(entry);
    }

    fn sync(&mut self, changes: usize) {
        while self.applied < changes {
            let entry = self.pending.pop_front().expect("they have been made");
            entry.apply(&mut self.durable);
            self.applied += 1;
        }
    }

    fn after_power_cut(&self, rng: &mut impl Rng, tally: &mut Tally) -> BTreeMap<String, Node> {
        let kept = match rng.random_range(0..3) {
            0 => 0,
            1 => self.pending.len(),
            _ => rng.random_range(0..=self.pending.len()),
        };
        tally.names_lost += (self.pending.len() - kept) as u64;
        let mut names = self.durable.clone();
        for entry in self.pending.iter().take(kept) {
            entry.apply(&mut names);
        }
        names
    }
}

impl Disk {
    pub fn new() -> Self {
        Self {
            nodes: vec![Body::Directory(Directory::default())],
            syncing: HashMap::new(),
        }
    }

    /// The disk after these events.
    pub fn after(events: &[Event]) -> Self {
        let mut disk = Self::new();
        events.iter().for_each(|event| disk.take(event));
        disk
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::Create(name) => self.create(name, Body::File(File::default())),
            Event::MakeDirectory(name) => self.create(name, Body::Directory(Directory::default())),
            Event::Unlink(name) => {
                let (directory, name) = self.place(name);
                directory.change(Entry::Remove(name));
            }
            Event::Rename { from, to } => {
                let to = self.place(to).1;
                let (directory, from) = self.place(from);
                directory.change(Entry::Rename { from, to });
            }
            Event::Write { name, at, bytes } => {
                let (at, bytes) = (*at, bytes.clone());
                self.file(name).change(Change::Write { at, bytes });
            }
            Event::Resize { name, len } => self.file(name).change(Change::Resize { len: *len }),
            Event::Sync { id, name } => {
                let node = self.find(name);
                let changes = match &self.nodes[node] {
                    Body::File(file) => file.changes(),
                    Body::Directory(names) => names.applied + names.pending.len(),
                };
                self.syncing.insert(*id, (node, changes));
            }
            Event::Synced { id, .. } => {
                let (node, changes) = self.syncing.remove(id).expect("it has begun");
                match &mut self.nodes[node] {
                    Body::File(file) => file.sync(changes),
                    Body::Directory(names) => names.sync(changes),
                }
            }
            Event::Reply { .. } => {}
        }
    }

    fn create(&mut self, name: &str, body: Body) {
        let node = self.nodes.len();
        self.nodes.push(body);
        let (directory, name) = self.place(name);
        directory.change(Entry::Put(name, node));
    }

    /// The directory that a path is in, and its name there.
    fn place(&mut self, name: &str) -> (&mut Directory, String) {
        let (parent, name) = name.rsplit_once('/').unwrap_or((".", name));
        let node = self.find(parent);
        match &mut self.nodes[node] {
            Body::Directory(directory) => (directory, name.to_owned()),
            Body::File(_) => panic!("{parent:?} is a file"),
        }
    }

    fn file(&mut self, name: &str) -> &mut File {
        let node = self.find(name);
        match &mut self.nodes[node] {
            Body::File(file) => file,
            Body::Directory(_) => panic!("{name:?} is a directory"),
        }
    }

    fn find(&self, name: &str) -> Node {
        let parts = name.split('/').filter(|part| *part != ".");
        parts.fold(ROOT, |node, part| match &self.nodes[node] {
            Body::Directory(directory) => directory.cached[part],
            Body::File(_) => panic!("{name:?} leads through a file"),
        })
    }

    /// The files that processes see while the power is on.
    pub fn cached(&self) -> Image {
        let mut image = Image::new();
        self.collect(ROOT, "", &mut Cached, &mut image);
        image
    }

    /// Files that a power cut may leave.
    pub fn after_power_cut(&self, rng: &mut impl Rng, tally: &mut Tally) -> Image {
        let mood = Mood::random(rng);
        let mut image = Image::new();
        self.collect(ROOT, "", &mut Cut { mood, rng, tally }, &mut image);
        image
    }

    fn collect(&self, node: Node, name: &str, view: &mut impl View, image: &mut Image) {
        let directory = match &self.nodes[node] {
            Body::File(file) => {
                image.insert(name.to_owned(), Some(view.content(file)));
                return;
            }
            Body::Directory(directory) => directory,
        };
        if node != ROOT {
            image.insert(name.to_owned(), None);
        }
        for (part, inner) in view.names(directory) {
            let path = format!("{name}/{part}");
            self.collect(inner, path.trim_start_matches('/'), view, image);
        }
    }
}

/// The version of contents and names in which a disk is shown.
trait View {
    fn content(&mut self, file: &File) -> Vec<u8>;
    fn names(&mut self, directory: &Directory) -> BTreeMap<String, Node>;
}

struct Cached;

impl View for Cached {
    fn content(&mut self, file: &File) -> Vec<u8> {
        file.cached()
    }

    fn names(&mut self, directory: &Directory) -> BTreeMap<String, Node> {
        directory.cached.clone()
    }
}

struct Cut<'a, R> {
    mood: Mood,
    rng: &'a mut R,
    tally: &'a mut Tally,
}

impl<R: Rng> View for Cut<'_, R> {
    fn content(&mut self, file: &File) -> Vec<u8> {
        file.after_power_cut(self.mood, self.rng, self.tally)
    }

    fn names(&mut self, directory: &Directory) -> BTreeMap<String, Node> {
        directory.after_power_cut(self.rng, self.tally)
    }
}

/// Makes the files of an image below a directory.
pub fn write_image(image: &Image, root: &Path) {
    // An image has a directory before its entries.
    for (name, content) in image {
        let path = root.join(name);
        match content {
            Some(content) => fs::write(path, content).expect("there is room"),
            None => fs::create_dir(path).expect("there is room"),
        }
    }
}

/// The files below a directory.
pub fn read_image(root: &Path) -> Image {
    let mut image = Image::new();
    let mut unread = vec![root.to_owned()];
    while let Some(directory) = unread.pop() {
        for entry in fs::read_dir(directory).expect("it is there") {
            let path = entry.expect("it can be read").path();
            let name = path.strip_prefix(root).expect("it is below the root");
            let name = name.to_str().expect("names are text").to_owned();
            let kind = path.symlink_metadata().expect("it is there").file_type();
            if kind.is_socket() {
                // A socket has no content, and the next start makes it again.
                continue;
            }
            if kind.is_dir() {
                image.insert(name, None);
                unread.push(path);
            } else {
                image.insert(name, Some(fs::read(path).expect("it is there")));
            }
        }
    }
    image
}

#[test]
fn a_name_is_durable_with_its_directory_and_later_ones_come_in_order() {
    use rand::SeedableRng;
    let name = |name: &str| name.to_owned();
    let create = |path| Event::Create(name(path));
    let sync = |id, path| Event::Sync {
        id,
        name: name(path),
    };
    let synced = |id, path| Event::Synced {
        id,
        name: name(path),
    };
    let rename = Event::Rename {
        from: name("d/b"),
        to: name("d/a"),
    };
    let disk = Disk::after(&[
        Event::MakeDirectory(name("d")),
        sync([1, 0], "."),
        synced([1, 0], "."),
        create("d/a"),
        sync([1, 1], "d"),
        // It is too late for the sync in progress, and its own sync does not keep its name.
        create("d/b"),
        synced([1, 1], "d"),
        sync([1, 2], "d/b"),
        synced([1, 2], "d/b"),
        rename,
        Event::Unlink(name("d/a")),
    ]);
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut cut = || {
        let image = disk.after_power_cut(&mut rng, &mut Tally::default());
        image.into_keys().collect::<Vec<_>>().join(" ")
    };
    let possible: std::collections::BTreeSet<_> = (0..200).map(|_| cut()).collect();
    assert_eq!(Vec::from_iter(possible), ["d", "d d/a", "d d/a d/b"]);
    assert_eq!(Vec::from_iter(disk.cached().into_keys()), ["d"]);
}
