//! How many events of the state carry each word.
//!
//! Words are interned: each gets a number when it is first seen and keeps it for the life of
//! the process, so that a copy of all counts is a copy of an array.
//!
//! The digest of counts is the sum of the words' XXH3 hashes, each times its count, modulo 2^64:
//! it follows an event for an addition, and is the same whatever way the counts came about.

use std::sync::Arc;

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::state::look_ahead::touch;

/// A word and how many events of the state carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordCount {
    /// The word.
    pub word: Arc<str>,
    /// The number of events, at least 1.
    pub count: u64,
}

/// So many bytes of a word stand beside its count, so that most are compared in one look.
const BEGIN_BYTES: usize = 22;

/// The count of a word, and how the word begins.
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

    /// Whether the word has this length and begins like it.
    fn begins(&self, word: &str) -> bool {
        let inline = word.len().min(BEGIN_BYTES);
        usize::from(self.length) == word.len() && self.begin[..inline] == word.as_bytes()[..inline]
    }
}

/// The number of a word that has been seen, for the life of its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WordNumber(u32);

/// The hash of a word: XXH3.
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
    /// How many events carry a word whose hash is known, and [`Counts::likely_number`] of it at
    /// some time before.
    pub(crate) fn get_hashed(&self, word: &str, hash: u64, likely: Option<WordNumber>) -> u64 {
        self.known_number(word, hash, likely)
            .map_or(0, |WordNumber(number)| self.slots[number as usize].count)
    }

    /// Counts more events of a word, and returns the new count.
    pub(crate) fn add(&mut self, word: &str, events: u64) -> u64 {
        self.add_hashed(word, word_hash(word), None, events)
    }

    /// As [`Counts::add`], of a word of which as much is known as for [`Counts::get_hashed`].
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

    /// Takes back one event, and says whether one was counted with the word.
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

    /// The digest of the counts.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// How many different words have been seen, those with a count of 0 included.
    pub(crate) fn interned_words(&self) -> usize {
        self.words.len()
    }

    /// The counts that are not 0, in the order in which the words were first seen.
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

    /// The counts that are not 0, in byte order of the words.
    pub(crate) fn sorted(&self) -> Vec<WordCount> {
        let mut counts = self.present();
        sort_by_word(&mut counts);
        counts
    }

    /// As [`Counts::sorted`], of counts that are not needed any more: takes no more memory than
    /// they do.
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

    /// The number of a word with this hash, if one has been seen: that of another only where a few
    /// bits of the hashes are equal.
    pub(crate) fn likely_number(&self, hash: u64) -> Option<WordNumber> {
        self.numbers
            .find(hash, |_| true)
            .map(|&number| WordNumber(number))
    }

    /// Has the counts of a few words brought into the CPU's cache.
    pub(crate) fn touch(&self, numbers: impl Iterator<Item = WordNumber>) {
        touch(numbers.map(|WordNumber(number)| &self.slots[number as usize].count));
    }

    /// The number of a word, if it has been seen, tried first with the likely one.
    fn known_number(
        &self,
        word: &str,
        hash: u64,
        likely: Option<WordNumber>,
    ) -> Option<WordNumber> {
        let known = likely.filter(|number| self.is_word(number.0, word));
        known.or_else(|| self.number(word, hash))
    }

    /// The number of a word, if it has been seen.
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

/// Puts counts in byte order of their words, the order of every reply and of every stored block.
pub(crate) fn sort_by_word(counts: &mut [WordCount]) {
    counts.sort_unstable_by(|a, b| a.word.as_bytes().cmp(b.word.as_bytes()));
}
