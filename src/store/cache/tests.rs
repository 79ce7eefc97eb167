//! The cache as a whole: several engines, blocks that grow, and excerpts.

use super::*;
use crate::state::counts::word_hash;
use crate::store::bytes::block::{OpenBlock, Stamp};
use crate::store::bytes::entry::{Entry as JournalEntry, EventId};

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
fn excerpts_stay_for_as_long_as_half_of_the_budget_is_read_after_them() {
    let cache = Cache::alone(100_000);
    let whole = block(1, 500);
    let excerpt = |position| whole.excerpt(Position(position)).expect("it is there");
    for position in 1..=500 {
        cache.keep_excerpts([excerpt(position)]);
        for before in position.saturating_sub(80).max(1)..=position {
            let found = cache.excerpt(Position(before)).expect("it is not old");
            assert_eq!(found.last(), Position(before));
        }
        assert!(cache.bytes().used <= 50_000);
    }
    assert!(cache.excerpt(Position(1)).is_none());
}

#[test]
fn excerpts_of_all_engines_share_half_of_the_budget_and_go_with_their_engine() {
    let contents = Arc::default();
    let caches = [(); 4].map(|()| Cache::join(Arc::clone(&contents), 100_000));
    let whole = block(1, 500);
    let excerpt = |position| whole.excerpt(Position(position)).expect("it is there");
    for position in 1..=500 {
        for cache in &caches {
            cache.keep_excerpts([excerpt(position)]);
            assert!(cache.excerpt(Position(position)).is_some());
            assert!(cache.bytes().used <= 50_000);
        }
    }
    let [first, others @ ..] = caches;
    assert_eq!(first.share_of_engine(5), 5_000);
    let used = first.bytes().used;
    drop(others);
    assert_eq!(first.share_of_engine(5), 20_000);
    assert!(first.bytes().used < used / 2);
    assert!(first.excerpt(Position(500)).is_some());
    let next = Cache::join(Arc::clone(&contents), 100_000);
    assert!(next.excerpt(Position(500)).is_none());
}

#[test]
fn excerpts_go_when_the_budget_shrinks_and_when_as_much_was_read_after_them() {
    let contents = Arc::default();
    let small = Cache::join(Arc::clone(&contents), 50_000);
    let large = Cache::join(Arc::clone(&contents), 500_000);
    let whole = block(1, 500);
    let excerpt = |position| whole.excerpt(Position(position)).expect("it is there");
    small.keep_excerpts((1..=400).map(excerpt));
    assert!(small.bytes().used > 50_000);
    drop(large);
    assert!(small.bytes().used <= 50_000);
    small.keep_excerpts((1..=50).map(excerpt));
    assert!(small.excerpt(Position(50)).is_some());
    for first in 0..500 {
        small.keep_block(block(1_000 + 10 * first, 10));
    }
    assert!(small.excerpt(Position(50)).is_none());
    assert!(has(&small, 5_990) && small.bytes().used > 40_000);
}
