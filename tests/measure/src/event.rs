//! Events from a counter: which id and word it stands for can be told again at any time, so that
//! nobody has to remember what was sent.

use uuid::Uuid;

/// Any odd constant far from another keeps two spaces, and ids and words, apart.
const MAIN_KEY: u64 = 0x5851_f42d_4c95_7f2d;
const BACK_KEY: u64 = 0xda3e_39cb_94b9_5bdb;
const WORD_KEY: u64 = 0x2545_f491_4f6c_dd1d;
const DRAW_KEY: u64 = 0x9fb2_1c65_1e98_df25;

/// An event as numbers, which is how many of them fit into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// The id; in requests it is its lower-case hyphenated text of 36 bytes.
    pub id: Uuid,
    /// The number of the word; in requests it is `word{number}`.
    pub word: u32,
}

impl Event {
    /// The event as the texts that a request has; `words` has the text of each word by its number.
    #[must_use]
    pub fn decoded(self, words: &[String]) -> Decoded<'_> {
        Decoded {
            id: self.id.to_string(),
            word: &words[self.word as usize],
        }
    }
}

/// An event as a store gets it that has no request to decode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<'w> {
    /// The id: any text, here one of 36 bytes.
    pub id: String,
    /// The word.
    pub word: &'w str,
}

/// The texts of all words, by their numbers.
#[must_use]
pub fn words(count: u32) -> Vec<String> {
    (0..count.max(1))
        .map(|word| format!("word{word}"))
        .collect()
}

/// A space of ids, in which a counter stands for one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// The ids that a measurement is about.
    Main,
    /// Ids that are sent, restored away and sent again.
    Back,
}

impl Space {
    /// The event that a counter stands for, its word one of `words`.
    #[must_use]
    pub fn event(self, counter: u64, words: u32) -> Event {
        Event {
            id: self.id(counter),
            word: word(counter, words),
        }
    }

    /// A UUID of version 4. The first half is a bijection of the counter before the six fixed bits
    /// of a UUID are laid over it, so two counters share an id with a chance of 2^-122.
    fn id(self, counter: u64) -> Uuid {
        let key = match self {
            Self::Main => MAIN_KEY,
            Self::Back => BACK_KEY,
        };
        let high = mix(counter ^ key);
        let low = mix(high ^ counter);
        let bits = u128::from(high) << 64 | u128::from(low);
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }
}

/// The number of the word, below `words`, that goes with a counter.
#[must_use]
pub fn word(counter: u64, words: u32) -> u32 {
    (mix(counter ^ WORD_KEY) % u64::from(words.max(1))) as u32
}

/// `count` counters below `below`, each drawn evenly, the same for the same two numbers.
pub fn draws(count: u64, below: u64) -> impl Iterator<Item = u64> {
    let seed = mix(below ^ DRAW_KEY);
    (0..count).map(move |number| mix(seed ^ number) % below.max(1))
}

/// An endless stream in which a share of the events repeats an earlier one, drawn evenly from
/// all before it.
#[derive(Debug, Clone)]
pub struct Mixture {
    duplicates: f64,
    words: u32,
    drawn: u64,
    fresh: u64,
}

impl Mixture {
    /// A stream with a share of `duplicates` (from 0 to 1) and that many words.
    #[must_use]
    pub fn new(duplicates: f64, words: u32) -> Self {
        Self {
            duplicates,
            words,
            drawn: 0,
            fresh: 0,
        }
    }

    /// How many different ids there were so far.
    #[must_use]
    pub fn distinct(&self) -> u64 {
        self.fresh
    }

    fn counter(&mut self) -> u64 {
        let chance = mix(self.drawn ^ DRAW_KEY);
        self.drawn += 1;
        if self.fresh > 0 && (chance as f64) < self.duplicates * u64::MAX as f64 {
            return mix(chance) % self.fresh;
        }
        self.fresh += 1;
        self.fresh - 1
    }
}

impl Iterator for Mixture {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let counter = self.counter();
        Some(Space::Main.event(counter, self.words))
    }
}

/// splitmix64, a bijection (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014).
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_counter_of_every_space_has_its_own_id() {
        let spaces = [Space::Main, Space::Back];
        let ids = spaces.map(|space| (0..100_000).map(move |counter| space.event(counter, 1).id));
        assert_eq!(
            ids.into_iter().flatten().collect::<HashSet<_>>().len(),
            200_000
        );
    }

    #[test]
    fn an_id_is_the_same_in_every_run() {
        let ids = [0, 1, u64::MAX].map(|counter| Space::Main.event(counter, 1).id.to_string());
        let expected = [
            "ba8894fa-3be5-4747-bfda-6c1630271e37",
            "c1b4bb72-8dd9-4dc3-9028-e5f3e0843baf",
            "0959e03b-1e78-4fce-bd5f-e86f5a5856e8",
        ];
        assert_eq!(ids, expected);
    }

    #[test]
    fn a_mixture_has_the_share_of_duplicates_that_was_asked_for() {
        let mut mixture = Mixture::new(0.02, 100);
        let events: Vec<Event> = mixture.by_ref().take(100_000).collect();
        let ids: HashSet<Uuid> = events.iter().map(|event| event.id).collect();
        assert_eq!(ids.len() as u64, mixture.distinct());
        assert!((97_700..98_300).contains(&ids.len()), "{}", ids.len());
        assert!(events.iter().all(|event| event.word < 100));
    }

    #[test]
    fn a_mixture_repeats_an_event_with_its_word() {
        let mut words = std::collections::HashMap::new();
        for event in Mixture::new(0.5, 1000).take(10_000) {
            assert_eq!(*words.entry(event.id).or_insert(event.word), event.word);
        }
    }

    #[test]
    fn draws_reach_all_parts_of_their_range() {
        let tenths: HashSet<u64> = draws(1000, 1_000_000).map(|draw| draw / 100_000).collect();
        assert_eq!(tenths.len(), 10);
    }
}
