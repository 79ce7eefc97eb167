//! The inputs of an import: files or standard input, decompressed, without a byte order mark.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use exactly_once::program::remedy;
use flate2::bufread::MultiGzDecoder;
use memchr::memchr_iter;

use crate::cli::streams::stdin;

/// Size of the read buffers.
const BUFFER_BYTES: usize = 256 << 10;

/// A digest of the first lines reads no more of them than this.
const MAX_FIRST_LINES_BYTES: u64 = 64 << 10;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
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
    /// Bytes of a byte order mark that were dropped.
    pub(super) dropped: u64,
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

    /// True if it is a file that has no more than these bytes now.
    pub(super) fn ends_at(&self, bytes: u64) -> bool {
        let metadata = std::fs::metadata(&self.path);
        metadata.is_ok_and(|metadata| metadata.is_file() && metadata.len() <= bytes)
    }

    pub(super) fn open(&self) -> anyhow::Result<OpenSource> {
        let read = Arc::new(AtomicU64::new(0));
        let (file, bytes): (Box<dyn Read + Send>, _) = if self.is_standard_input() {
            (Box::new(stdin::waiting()?), None)
        } else {
            let file = File::open(&self.path).map_err(|error| {
                let cure = remedy(Some(&self.path), &error);
                anyhow::Error::new(error).context(format!("opening {}; {cure}", self.shown()))
            })?;
            let metadata = file.metadata().context("reading its size")?;
            let bytes = Some(metadata.len()).filter(|_| metadata.is_file());
            (Box::new(file), bytes)
        };
        let counted = Counted {
            input: file,
            read: Arc::clone(&read),
        };
        let (input, dropped) =
            decoded(counted).with_context(|| format!("reading {}", self.shown()))?;
        Ok(OpenSource {
            input,
            dropped,
            read,
            bytes,
        })
    }
}

impl OpenSource {
    /// The first lines with their newlines, which are read again later; `None` if fewer are
    /// whole yet. Of very long ones, the beginning is enough.
    pub(super) fn first_lines(&mut self, count: usize) -> io::Result<Option<Vec<u8>>> {
        let mut lines = Vec::new();
        let mut input = (&mut self.input).take(MAX_FIRST_LINES_BYTES);
        for _ in 0..count {
            input.read_until(b'\n', &mut lines)?;
        }
        let is_cut = input.limit() == 0;
        let input = std::mem::replace(&mut self.input, Box::new(io::empty()));
        self.input = Box::new(Cursor::new(lines.clone()).chain(input));
        let newlines = memchr_iter(b'\n', &lines).count();
        Ok((is_cut || newlines == count).then_some(lines))
    }
}

/// Decompresses an input if it begins like a compressed one, and drops a byte order mark.
fn decoded(input: impl Read + Send + 'static) -> io::Result<(Box<dyn BufRead + Send>, u64)> {
    let mut input = BufReader::with_capacity(BUFFER_BYTES, Whole(input));
    let beginning = input.fill_buf()?;
    let mut input: Box<dyn BufRead + Send> = if beginning.starts_with(&GZIP) {
        let decoder = MultiGzDecoder::new(input);
        Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
    } else if beginning.starts_with(&ZSTD) {
        let decoder = zstd::stream::read::Decoder::with_buffer(input)?;
        Box::new(BufReader::with_capacity(BUFFER_BYTES, Whole(decoder)))
    } else {
        Box::new(input)
    };
    let has_mark = input.fill_buf()?.starts_with(&BYTE_ORDER_MARK);
    let dropped = if has_mark { BYTE_ORDER_MARK.len() } else { 0 };
    input.consume(dropped);
    Ok((input, dropped as u64))
}

/// An input whose first read gives at least four bytes, if it has them: enough to see what it is.
struct Whole<R>(R);

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len().min(ZSTD.len()) {
            match self.0.read(&mut buffer[read..]) {
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
