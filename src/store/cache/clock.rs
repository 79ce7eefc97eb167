//! Items of one memory budget. What is dropped is what was not used since the hand of a clock last
//! passed it (Corbató, "A paging experiment with the Multics system", 1968).

use smallvec::SmallVec;

use crate::state::look_ahead::LOOK_AHEAD;

/// Something that takes memory.
pub(super) trait Item {
    /// About how many bytes of memory it takes.
    fn bytes(&self) -> u64;
}

/// Items in places, which the hand of the clock passes in turn.
#[derive(Debug)]
pub(super) struct Clock<T> {
    places: Vec<Option<Kept<T>>>,
    free: Vec<u32>,
    /// The place that the hand passes next.
    hand: usize,
    bytes: u64,
}

#[derive(Debug)]
struct Kept<T> {
    item: T,
    /// True if it was used since the hand passed it.
    was_used: bool,
}

impl<T> Default for Clock<T> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
            hand: 0,
            bytes: 0,
        }
    }
}

impl<T: Item> Clock<T> {
    /// The bytes of all items.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Adds an item and returns its place.
    pub(super) fn insert(&mut self, item: T) -> u32 {
        self.bytes += item.bytes();
        let kept = Some(Kept {
            item,
            was_used: false,
        });
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = kept;
            return place;
        }
        self.places.push(kept);
        self.places.len() as u32 - 1
    }

    /// The item at a place that [`Clock::insert`] returned and that was not dropped.
    pub(super) fn get(&self, place: u32) -> &T {
        let kept = self.places[place as usize].as_ref();
        &kept.expect("places of dropped items are forgotten").item
    }

    /// The items at a few places; the CPU waits for all of them at once.
    pub(super) fn get_all(
        &self,
        places: SmallVec<[u32; LOOK_AHEAD]>,
    ) -> SmallVec<[&T; LOOK_AHEAD]> {
        let kept = || places.iter().map(|&place| &self.places[place as usize]);
        std::hint::black_box(kept().filter(|kept| kept.is_some()).count());
        kept().flatten().map(|kept| &kept.item).collect()
    }

    /// Replaces the item at such a place.
    pub(super) fn replace(&mut self, place: u32, item: T) {
        if let Some(kept) = &mut self.places[place as usize] {
            self.bytes += item.bytes();
            self.bytes -= kept.item.bytes();
            kept.item = item;
        }
    }

    /// Notes that an item is used.
    pub(super) fn note_use(&mut self, place: u32) {
        if let Some(kept) = &mut self.places[place as usize] {
            kept.was_used = true;
        }
    }

    /// Drops and returns the item that was not used for the longest time; `None` if there is none.
    pub(super) fn drop_one(&mut self) -> Option<T> {
        if self.bytes == 0 {
            return None;
        }
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.places.len();
            if let Some(kept) = self.places[place].take_if(|kept| !kept.was_used) {
                self.free.push(place as u32);
                self.bytes -= kept.item.bytes();
                return Some(kept.item);
            }
            if let Some(kept) = &mut self.places[place] {
                kept.was_used = false;
            }
        }
    }

    /// Drops the items that are not wanted. If none is left, gives back the memory of their places.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&T) -> bool) {
        for (place, kept) in self.places.iter_mut().enumerate() {
            if let Some(dropped) = kept.take_if(|kept| !is_wanted(&kept.item)) {
                self.free.push(place as u32);
                self.bytes -= dropped.item.bytes();
            }
        }
        if self.bytes == 0 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    impl Item for u64 {
        fn bytes(&self) -> u64 {
            *self
        }
    }

    proptest! {
        #[test]
        fn used_items_outlive_the_others_and_each_group_is_dropped_in_order(
            sizes in prop::collection::vec(1..20_u64, 1..60),
            used in prop::collection::btree_set(0..60_u32, 0..30),
            unwanted in 1..20_u64,
        ) {
            let mut clock = Clock::default();
            for (place, &size) in sizes.iter().enumerate() {
                prop_assert_eq!(clock.insert(size), place as u32);
            }
            prop_assert_eq!(clock.bytes(), sizes.iter().sum::<u64>());
            let places = || 0..sizes.len() as u32;
            let used: BTreeSet<u32> =
                used.into_iter().filter(|place| places().contains(place)).collect();
            used.iter().for_each(|&place| clock.note_use(place));
            let unused = places().filter(|place| !used.contains(place));
            for place in unused.chain(used.iter().copied()) {
                prop_assert_eq!(*clock.get(place), sizes[place as usize]);
                prop_assert_eq!(clock.drop_one(), Some(sizes[place as usize]));
            }
            prop_assert_eq!((clock.drop_one(), clock.bytes()), (None, 0));
            // Places are used again.
            let again: BTreeSet<u32> = sizes.iter().map(|&size| clock.insert(size)).collect();
            prop_assert!(again.into_iter().eq(places()));
            clock.retain(|&size| size != unwanted);
            let wanted = sizes.iter().filter(|&&size| size != unwanted);
            prop_assert_eq!(clock.bytes(), wanted.sum::<u64>());
        }
    }
}
