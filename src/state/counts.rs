//! The number of events of the state for each word.
//!
//! Words are interned: each gets a number when it is first counted and keeps it for the life of the
//! process, so copying all counts is copying an array.
//!
//! The digest of counts is the sum of each word's XXH3 hash times its count, modulo 2^64. One
//! addition updates it for an event, and it is the same however the counts were reached.

use std::sync::Arc;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::state::look_ahead::touch;

/// A word and the number of events of the state that carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordCount {
    /// The word.
    pub word: Arc<str>,
    /// The number of events, at least 1.
    pub count: u64,
}

/// Bytes of a word that are stored beside its count, so that most words are compared without
/// another read of memory.
const BEGIN_BYTES: usize = 22;

/// The count of a word, with its length and first bytes.
#[derive(Debug)]
struct Slot {
    count: u64,
    length: u16,
    begin: [u8; BEGIN_BYTES],
}

impl Slot {
    fn new(word: &str) -> Self {
        let mut begin = [0; BEGIN_BYTES];
        let inline = word.len().min(BEGIN_BYTES);
        begin[..inline].copy_from_slice(&word.as_bytes()[..inline]);
        Self {
            count: 0,
            length: word.len() as u16,
            begin,
        }
    }

    /// True if the slot's length and first bytes are those of this word.
    fn begins(&self, word: &str) -> bool {
        let inline = word.len().min(BEGIN_BYTES);
        usize::from(self.length) == word.len() && self.begin[..inline] == word.as_bytes()[..inline]
    }
}

/// The number of an interned word, valid as long as its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WordNumber(u32);

/// Returns the XXH3 hash of a word.
pub(crate) fn word_hash(word: &str) -> u64 {
    xxh3_64(word.as_bytes())
}

/// The counts of the present state.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    numbers: HashTable<u32>,
    words: Vec<Arc<str>>,
    slots: Vec<Slot>,
    digest: u64,
}

impl Counts {
    /// Returns the count of a word with its hash. `likely` is what [`Counts::likely_number`]
    /// returned for the hash at some time before.
    pub(crate) fn get_hashed(&self, word: &str, hash: u64, likely: Option<WordNumber>) -> u64 {
        self.known_number(word, hash, likely)
            .map_or(0, |WordNumber(number)| self.slots[number as usize].count)
    }

    /// Adds events of a word and returns the new count.
    pub(crate) fn add(&mut self, word: &str, events: u64) -> u64 {
        self.add_hashed(word, word_hash(word), None, events)
    }

    /// Like [`Counts::add`], with the arguments of [`Counts::get_hashed`].
    pub(crate) fn add_hashed(
        &mut self,
        word: &str,
        hash: u64,
        likely: Option<WordNumber>,
        events: u64,
    ) -> u64 {
        let known = self.known_number(word, hash, likely);
        let WordNumber(number) = known.unwrap_or_else(|| self.intern(word, hash));
        self.digest = self.digest.wrapping_add(hash.wrapping_mul(events));
        let count = &mut self.slots[number as usize].count;
        *count += events;
        *count
    }

    /// Takes back one event; false if no event with the word was counted.
    #[must_use]
    pub(crate) fn remove(&mut self, word: &str) -> bool {
        let hash = word_hash(word);
        let number = self.number(word, hash);
        let slot = number.map(|WordNumber(number)| &mut self.slots[number as usize]);
        let Some(slot) = slot.filter(|slot| slot.count > 0) else {
            return false;
        };
        slot.count -= 1;
        self.digest = self.digest.wrapping_sub(hash);
        true
    }

    /// Sets every count to 0; the words keep their numbers.
    pub(crate) fn clear(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.count = 0);
        self.digest = 0;
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Returns the number of interned words, including those with a count of 0.
    pub(crate) fn interned_words(&self) -> usize {
        self.words.len()
    }

    /// Returns the counts that are not 0, in the order in which their words were interned.
    pub(crate) fn present(&self) -> Vec<WordCount> {
        let pairs = self.words.iter().zip(&self.slots);
        pairs
            .filter(|(_, slot)| slot.count > 0)
            .map(|(word, slot)| WordCount {
                word: word.clone(),
                count: slot.count,
            })
            .collect()
    }

    /// Returns the counts that are not 0, in byte order of their words.
    pub(crate) fn sorted(&self) -> Vec<WordCount> {
        let mut counts = self.present();
        sort_by_word(&mut counts);
        counts
    }

    /// Like [`Counts::sorted`], but consumes the counts, so that it takes no more memory than they
    /// do.
    pub(crate) fn into_sorted(self) -> Vec<WordCount> {
        let Self {
            numbers,
            words,
            slots,
            ..
        } = self;
        drop(numbers);
        let mut counts: Vec<u64> = slots.into_iter().map(|slot| slot.count).collect();
        counts.shrink_to_fit();
        let mut sorted = Vec::with_capacity(counts.iter().filter(|&&count| count > 0).count());
        let pairs = words.into_iter().zip(counts);
        let present = pairs.filter(|&(_, count)| count > 0);
        sorted.extend(present.map(|(word, count)| WordCount { word, count }));
        sort_by_word(&mut sorted);
        sorted
    }

    /// Returns the number of the word with this hash, if it is interned; rarely that of another
    /// word, as only a few bits of the hashes are compared.
    pub(crate) fn likely_number(&self, hash: u64) -> Option<WordNumber> {
        self.numbers
            .find(hash, |_| true)
            .map(|&number| WordNumber(number))
    }

    /// Reads the counts of a few words into the CPU's cache.
    pub(crate) fn touch(&self, numbers: impl Iterator<Item = WordNumber>) {
        touch(numbers.map(|WordNumber(number)| &self.slots[number as usize].count));
    }

    /// Returns the number of a word, if it is interned. Tries the likely one first.
    fn known_number(
        &self,
        word: &str,
        hash: u64,
        likely: Option<WordNumber>,
    ) -> Option<WordNumber> {
        let known = likely.filter(|number| self.is_word(number.0, word));
        known.or_else(|| self.number(word, hash))
    }

    /// Returns the number of a word, if it is interned.
    fn number(&self, word: &str, hash: u64) -> Option<WordNumber> {
        self.numbers
            .find(hash, |&number| self.is_word(number, word))
            .map(|&number| WordNumber(number))
    }

    fn is_word(&self, number: u32, word: &str) -> bool {
        let number = number as usize;
        let begins = self.slots[number].begins(word);
        begins && (word.len() <= BEGIN_BYTES || &*self.words[number] == word)
    }

    fn intern(&mut self, word: &str, hash: u64) -> WordNumber {
        let number = u32::try_from(self.words.len())
            .expect("2^32 words would take more than 100 GB of memory");
        let words = &mut self.words;
        words.push(word.into());
        self.slots.push(Slot::new(word));
        let rehash = |&n: &u32| word_hash(&words[n as usize]);
        self.numbers.insert_unique(hash, number, rehash);
        WordNumber(number)
    }
}

/// Sorts counts by the bytes of their words, the order in all replies and stored blocks.
pub(crate) fn sort_by_word(counts: &mut [WordCount]) {
    counts.sort_unstable_by(|a, b| a.word.as_bytes().cmp(b.word.as_bytes()));
}
