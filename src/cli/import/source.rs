//! The inputs of an import: files or standard input, decompressed, without a byte order mark.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use exactly_once::program::remedy;
use flate2::bufread::MultiGzDecoder;

use crate::cli::streams::stdin;

/// Size of the read buffers.
const BUFFER_BYTES: usize = 256 << 10;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// How other compressed files begin, and the programs that read them.
const UNKNOWN: [(&[u8], &str); 2] = [(b"\xfd7zXZ", "xz"), (b"BZh91AY&SY", "bzip2")];
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Endings of compressed files, which come after that of the format.
const COMPRESSED: [&str; 3] = ["gz", "zst", "zstd"];

/// One input.
#[derive(Debug, Clone)]
pub(super) struct Source {
    path: PathBuf,
}

/// An input that is open.
pub(super) struct OpenSource {
    pub(super) input: Box<dyn BufRead + Send>,
    /// True if it was compressed, and so does not grow.
    pub(super) is_compressed: bool,
    /// Bytes of a byte order mark that were dropped.
    pub(super) dropped: u64,
    /// The file itself, which stays the same when its path is given to another one; `None` for
    /// standard input.
    pub(super) file: Option<File>,
    /// Bytes that were read so far, and in all if that is known.
    pub(super) read: Arc<AtomicU64>,
    pub(super) bytes: Option<u64>,
}

impl Source {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// True if it is standard input or a descriptor, whose path says nothing of its content.
    pub(super) fn has_no_name(&self) -> bool {
        self.is_standard_input() || self.path.starts_with("/dev") || self.path.starts_with("/proc")
    }

    fn is_standard_input(&self) -> bool {
        self.path == Path::new("-")
    }

    /// Its name in messages.
    pub(super) fn shown(&self) -> String {
        match self.is_standard_input() {
            true => "standard input".to_owned(),
            false => self.path.display().to_string(),
        }
    }

    /// Its path as text, as it was given; `None` if it is not UTF-8.
    pub(super) fn path(&self) -> Option<&str> {
        self.path.to_str()
    }

    /// The ending of its name, without that of a compression.
    pub(super) fn ending(&self) -> Option<&str> {
        let ending = self.path.extension()?.to_str()?;
        match COMPRESSED.contains(&ending) {
            true => Path::new(self.path.file_stem()?).extension()?.to_str(),
            false => Some(ending),
        }
    }

    /// True if it is certainly not there.
    pub(super) fn is_missing(&self) -> bool {
        let metadata = std::fs::metadata(&self.path);
        !self.is_standard_input()
            && metadata.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    pub(super) fn open(&self) -> anyhow::Result<OpenSource> {
        let read = Arc::new(AtomicU64::new(0));
        let mut of_path = None;
        let (file, bytes): (Box<dyn Read + Send>, _) = if self.is_standard_input() {
            (Box::new(stdin::waiting()?), None)
        } else {
            let file = File::open(&self.path).map_err(|error| {
                let cure = remedy(Some(&self.path), &error);
                anyhow::Error::new(error).context(format!("opening {}; {cure}", self.shown()))
            })?;
            let metadata = file.metadata().context("reading its size")?;
            let bytes = Some(metadata.len()).filter(|_| metadata.is_file());
            of_path = Some(file.try_clone().context("opening it once more")?);
            (Box::new(file), bytes)
        };
        let counted = Counted {
            input: file,
            read: Arc::clone(&read),
        };
        let decoded = decoded(counted).with_context(|| format!("reading {}", self.shown()))?;
        let Decoded {
            input,
            is_compressed,
            dropped,
        } = decoded;
        Ok(OpenSource {
            input,
            is_compressed,
            dropped,
            file: of_path,
            read,
            bytes,
        })
    }
}

/// The content of an input.
struct Decoded {
    input: Box<dyn BufRead + Send>,
    is_compressed: bool,
    /// Bytes of a byte order mark that were dropped.
    dropped: u64,
}

/// Decompresses an input if it begins like a compressed one, and drops a byte order mark.
fn decoded(input: impl Read + Send + 'static) -> io::Result<Decoded> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, Whole::new(input));
    let beginning = input.fill_buf()?;
    for (magic, name) in UNKNOWN {
        if beginning.starts_with(magic) {
            return Err(io::Error::other(format!(
                "it is compressed with {name}, and only gzip and zstd are known; decompress it: \
                 `{name} -dc FILE | exactly-once import ...`"
            )));
        }
    }
    let is_compressed = beginning.starts_with(&GZIP) || beginning.starts_with(&ZSTD);
    let mut input: Box<dyn BufRead + Send> = if beginning.starts_with(&GZIP) {
        let decoder = MultiGzDecoder::new(input);
        Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
    } else if beginning.starts_with(&ZSTD) {
        let decoder = zstd::stream::read::Decoder::with_buffer(input)?;
        Box::new(BufReader::with_capacity(BUFFER_BYTES, Whole::new(decoder)))
    } else {
        Box::new(input)
    };
    let has_mark = input.fill_buf()?.starts_with(&BYTE_ORDER_MARK);
    let dropped = if has_mark { BYTE_ORDER_MARK.len() } else { 0 };
    input.consume(dropped);
    Ok(Decoded {
        input,
        is_compressed,
        dropped: dropped as u64,
    })
}

/// An input whose first read gives at least four bytes, if it has them: enough to see what it is.
struct Whole<R> {
    input: R,
    has_begun: bool,
}

impl<R> Whole<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            has_begun: false,
        }
    }
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if std::mem::replace(&mut self.has_begun, true) {
            return self.input.read(buffer);
        }
        let mut read = 0;
        while read < buffer.len().min(ZSTD.len()) {
            match self.input.read(&mut buffer[read..]) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }
}

/// Counts the bytes that are read.
struct Counted<R> {
    input: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
