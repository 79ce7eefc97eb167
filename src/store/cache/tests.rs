//! The cache as a whole: several engines, blocks that grow, and excerpts.

use super::*;
use crate::state::counts::word_hash;
use crate::store::bytes::block::{OpenBlock, Stamp};
use crate::store::bytes::entry::{Entry as JournalEntry, EventId};
use crate::store::bytes::run::RunHeader;

/// A block with this many entries from a position on.
fn block(first: u64, entries: u64) -> Block {
    let mut open = OpenBlock::new(Position(first), 0);
    let entry = JournalEntry {
        event_id: EventId::new("e"),
        word: "w",
        count: 1,
    };
    for _ in 0..entries {
        open.push(&entry, word_hash(entry.word), Stamp::default());
    }
    open.seal()
}

fn has(cache: &Cache, position: u64) -> bool {
    let block = cache.block(Position(position));
    block.is_some_and(|block| (block.first..=block.last()).contains(&Position(position)))
}

#[test]
fn engines_share_the_largest_budget_and_find_only_their_own() {
    let contents = Arc::default();
    let small = Cache::join(Arc::clone(&contents), 0);
    small.keep_block(block(1, 10));
    assert!(!has(&small, 1), "there is no room");
    let large = Cache::join(Arc::clone(&contents), 3_000);
    small.keep_block(block(1, 10));
    assert!(has(&small, 10) && !has(&small, 11) && !has(&large, 1));
    for first in 0..100 {
        large.keep_block(block(1 + 10 * first, 10));
        assert!(large.bytes().used <= 3_000);
    }
    assert!(
        !has(&small, 1),
        "what was used long ago is dropped, whose it may be"
    );
    assert!(has(&large, 1_000) && !has(&large, 1));
    large.set_held(3_000);
    assert!(!has(&large, 1_000), "what is held counts");
    drop(large);
    assert_eq!(small.bytes(), CacheBytes { budget: 0, used: 0 });
}

#[test]
fn a_block_that_has_grown_replaces_the_shorter_one() {
    let cache = Cache::alone(10_000);
    for entries in [5, 9, 7] {
        cache.keep_block(block(20, entries));
    }
    assert!(has(&cache, 28) && !has(&cache, 29));
    let used = cache.bytes().used;
    let other = Cache::alone(10_000);
    other.keep_block(block(20, 9));
    assert_eq!(used, other.bytes().used);
}

#[test]
fn as_many_new_blocks_are_kept_as_earlier_ones_were_looked_for() {
    let cache = Cache::alone(100_000_000);
    let new = |number: u32| cache.keep_new_block(block(1 + 10 * u64::from(number), 10));
    new(0);
    assert_eq!(cache.bytes().used, 0, "nothing was looked for before");
    assert!(!has(&cache, 1));
    (1..=NEW_BLOCKS_A_LOOKUP + 1).for_each(new);
    let last = 10 * u64::from(NEW_BLOCKS_A_LOOKUP);
    assert!(has(&cache, 11) && has(&cache, last + 1) && !has(&cache, last + 11));
    for _ in 0..MAX_NEW_BLOCKS {
        has(&cache, 1);
    }
    let from = NEW_BLOCKS_A_LOOKUP + 2;
    (from..=from + MAX_NEW_BLOCKS).for_each(new);
    let last = 10 * u64::from(from + MAX_NEW_BLOCKS);
    assert!(has(&cache, last - 9) && !has(&cache, last + 1));
}

/// Excerpts of a block, from the first position on.
fn excerpts(positions: u64) -> Vec<Block> {
    let whole = block(1, positions);
    let excerpt = |position| whole.excerpt(Position(position)).expect("it is there");
    (1..=positions).map(excerpt).collect()
}

#[test]
fn excerpts_are_found_while_they_are_used_and_only_there() {
    let contents = Arc::default();
    let [cache, other] = [(); 2].map(|()| Cache::join(Arc::clone(&contents), 100_000));
    let (present, next) = (cache.excerpts(), cache.excerpts());
    let [first, second] = excerpts(2).try_into().expect("there are two");
    present.keep_blocks(vec![first]);
    next.keep_blocks(vec![second]);
    let parts = RunParts::of(&RunHeader {
        run: RunNumber(0),
        first: Position(1),
        last: Position(2),
        first_fingerprint: Fingerprint(0),
        blocks: 1,
        digest: 0,
    });
    present.keep_found(
        parts.run,
        vec![(Fingerprint(7), SmallVec::from_slice(&[Position(2)]))],
    );
    let find = |cache: &Cache, fingerprint| {
        let mut found = Positions::new();
        let is_known = cache.find_in_run(parts, Fingerprint(fingerprint), &mut found);
        is_known.then(|| found.to_vec())
    };
    assert!(cache.excerpt(Position(1)).is_none());
    let used = cache.using(Some(&present));
    let found = cache.excerpt(Position(1)).expect("it is used");
    assert_eq!((found.first, found.last()), (Position(1), Position(1)));
    assert!(cache.excerpt(Position(2)).is_none() && other.excerpt(Position(1)).is_none());
    assert_eq!(find(&cache, 7), Some(vec![Position(2)]));
    assert_eq!((find(&cache, 8), find(&other, 7)), (None, None));
    drop(used);
    assert_eq!(find(&cache, 7), None);
    let _used = cache.using(Some(&next));
    assert!(cache.excerpt(Position(1)).is_none() && cache.excerpt(Position(2)).is_some());
}

#[test]
fn all_excerpts_together_take_at_most_half_of_the_budget_until_they_are_dropped() {
    let contents = Arc::default();
    let caches = [(); 2].map(|()| Cache::join(Arc::clone(&contents), 100_000));
    let bytes = || caches[0].bytes().used;
    let kept = caches.each_ref().map(Cache::excerpts);
    for excerpt in excerpts(400) {
        for kept in &kept {
            kept.keep_blocks(vec![excerpt.clone()]);
            assert!(bytes() <= 50_000);
        }
    }
    assert!(bytes() > 49_000);
    let [first, second] = kept;
    let part = bytes();
    drop(first);
    assert!(bytes() < part * 2 / 3);
    second.keep_blocks(excerpts(10));
    drop(second);
    assert_eq!(bytes(), 0);
}

#[test]
fn room_that_excerpts_have_taken_once_is_not_filled_by_reading_ahead_again() {
    let contents = Arc::default();
    let cache = Cache::join(Arc::clone(&contents), 100_000);
    let blocks = |from: u64| (from..from + 600).map(|number| block(1 + 10 * number, 10));
    cache.keep_blocks(blocks(0));
    assert!(!cache.has_room() && cache.bytes().used > 95_000);
    let kept = cache.excerpts();
    kept.keep_blocks(excerpts(150));
    assert!(cache.bytes().used <= 100_000 && has(&cache, 6_000));
    drop(kept);
    assert!(cache.bytes().used < 90_000 && !cache.has_room());
    cache.keep_blocks(blocks(600));
    assert!(
        cache.bytes().used > 95_000,
        "what is applied may take the room"
    );
    let other = Cache::join(contents, 200_000);
    assert!(other.has_room());
}
