//! Finds and reads the messages in sled's log of which its pages consist.
//!
//! A page of sled's is a base and the fragments that change it. Each of these is a message. sled's
//! own snapshot file says for each page where its messages are.
//!
//! The formats are those of sled 0.34.7, read from its source. Numbers of a fixed size are
//! little-endian; [`Bytes::varint`] reads the others.
//!
//! ```text
//! snapshot  position in the log i64, segment varint, one state for each page from page 0 on,
//!           length of all this u64, crc32 of all this u32
//! state     0, position i64, pointer       a free page, whose message sled never reads
//!           n, then n times: position i64, pointer, length varint      a base, n - 1 fragments;
//!           the length is that of the header and the body
//! pointer   0, offset in db varint
//!           1, offset in db varint, name i64        the content is in a file in blobs
//! db        segments of 512 KiB, each a header and then messages
//! message   crc32 u32, kind u8, body length varint, segment number varint, page varint, body;
//!           the crc32 is of the body and then of the header without the crc32, inverted
//! ```

pub(crate) const SEGMENT_BYTES: u64 = 512 << 10;
/// The length and the checksum at the end of a snapshot file.
const SNAPSHOT_END_BYTES: usize = 8 + 4;
const CRC_BYTES: usize = 4;

/// sled's own pages: the roots of the trees, and the last id that it generated.
const META_PAGE: u64 = 0;
const COUNTER_PAGE: u64 = 1;

const COUNTER: u8 = 5;
const META: u8 = 6;
const NODE: u8 = 8;
const FRAGMENT: u8 = 10;

/// A message that is part of a page, as the snapshot file describes it.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) page: u64,
    pub(crate) kind: u8,
    /// The log number of the segment that it was written to. A place in the file gets another
    /// number each time it is used again.
    pub(crate) segment: u64,
    /// Where it begins in `db`.
    pub(crate) offset: u64,
    /// Length in bytes, including the header.
    pub(crate) length: u64,
}

impl Message {
    pub(crate) fn segment_start(&self) -> u64 {
        self.offset / SEGMENT_BYTES * SEGMENT_BYTES
    }

    /// Returns what is wrong with the message, if anything; `segment` has the bytes of its segment
    /// that are in the file.
    pub(crate) fn flaw(&self, segment: &[u8]) -> Option<&'static str> {
        let start = (self.offset - self.segment_start()) as usize;
        let bytes = segment.get(start..).unwrap_or_default();
        let Some(found) = StoredMessage::read(bytes) else {
            return Some("a message does not end where its segment or the file does");
        };
        if found.crc != found.right_crc() {
            return Some("a checksum is wrong");
        }
        let is_it = (found.page, found.kind, found.segment) == (self.page, self.kind, self.segment);
        (!is_it).then_some("another message is in the place of one of its own")
    }
}

/// Returns the messages of all pages, given a snapshot file; `None` if it is not one.
pub(crate) fn messages(snapshot: &[u8]) -> Option<Vec<Message>> {
    let length = snapshot.len().checked_sub(SNAPSHOT_END_BYTES)?;
    let mut bytes = Bytes(&snapshot[..length]);
    let _position = bytes.u64()?;
    let _segment = bytes.varint()?;
    let mut messages = Vec::new();
    let mut page = 0;
    while !bytes.0.is_empty() {
        let count = bytes.byte()?;
        if count == 0 {
            let _position = bytes.u64()?;
            let _offset = bytes.pointer()?;
        }
        for number in 0..count {
            let position = bytes.u64()?;
            let offset = bytes.pointer()?;
            let length = bytes.varint()?;
            let kind = match (number, page) {
                (1.., _) => FRAGMENT,
                (0, META_PAGE) => META,
                (0, COUNTER_PAGE) => COUNTER,
                (0, _) => NODE,
            };
            messages.push(Message {
                page,
                kind,
                segment: position / SEGMENT_BYTES,
                offset,
                length,
            });
        }
        page += 1;
    }
    Some(messages)
}

/// A message as it is in the file.
struct StoredMessage<'a> {
    crc: u32,
    kind: u8,
    segment: u64,
    page: u64,
    /// Without the checksum.
    header: &'a [u8],
    body: &'a [u8],
}

impl<'a> StoredMessage<'a> {
    /// Reads the message that these bytes begin with; `None` if they end too early.
    fn read(message: &'a [u8]) -> Option<Self> {
        let mut bytes = Bytes(message);
        let crc = bytes.take(CRC_BYTES)?;
        let kind = bytes.byte()?;
        let length = bytes.varint()?;
        let segment = bytes.varint()?;
        let page = bytes.varint()?;
        let header = &message[CRC_BYTES..message.len() - bytes.0.len()];
        Some(Self {
            crc: u32::from_le_bytes(crc.try_into().ok()?),
            kind,
            segment,
            page,
            header,
            body: bytes.take(usize::try_from(length).ok()?)?,
        })
    }

    fn right_crc(&self) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(self.body);
        hasher.update(self.header);
        !hasher.finalize()
    }
}

/// The bytes that are still to be read. Each method returns `None` if they end too early.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?;
        bytes.try_into().ok().map(u64::from_le_bytes)
    }

    /// Reads a number of sled's, of one to nine bytes; the first byte gives the length.
    fn varint(&mut self) -> Option<u64> {
        let first = u64::from(self.byte()?);
        match first {
            0..=240 => Some(first),
            241..=248 => Some(240 + 256 * (first - 241) + u64::from(self.byte()?)),
            249 => Some(2288 + 256 * u64::from(self.byte()?) + u64::from(self.byte()?)),
            _ => {
                let mut bytes = [0; 8];
                let count = first as usize - 247;
                bytes[..count].copy_from_slice(self.take(count)?);
                Some(u64::from_le_bytes(bytes))
            }
        }
    }

    /// Returns the offset of a message in `db`. A message whose content is in `blobs` has another
    /// kind than the expected ones, so [`Message::flaw`] reports it: this program writes none.
    fn pointer(&mut self) -> Option<u64> {
        let is_in_blobs = match self.byte()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let offset = self.varint()?;
        if is_in_blobs {
            let _name = self.u64()?;
        }
        Some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_length_are_read() {
        let read = |bytes: &[u8]| Bytes(bytes).varint();
        assert_eq!(read(&[240]), Some(240));
        assert_eq!(read(&[241, 1]), Some(241));
        assert_eq!(read(&[248, 255]), Some(2287));
        assert_eq!(read(&[249, 0, 1]), Some(2289));
        assert_eq!(read(&[250, 1, 2, 3]), Some(0x03_02_01));
        assert_eq!(read(&[255; 9]), Some(u64::MAX));
        for too_short in [&[][..], &[241], &[249, 1], &[250, 1, 2], &[255; 8]] {
            assert_eq!(read(too_short), None);
        }
    }
}
