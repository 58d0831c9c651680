//! The set of states that were seen.

/// A set of fingerprints. They are hashes already: each is put at the place it says, or the next
/// that is free.
#[derive(Clone, Debug, Default)]
pub(super) struct StateSet {
    /// A power of two; 0 is no fingerprint.
    slots: Vec<u128>,
    len: usize,
}

impl StateSet {
    /// Whether a state was seen.
    pub(super) fn contains(&self, state: u128) -> bool {
        !self.slots.is_empty() && self.slots[self.slot_index(state.max(1))] != 0
    }

    /// Adds a state; whether it is new.
    pub(super) fn insert(&mut self, state: u128) -> bool {
        let state = state.max(1);
        if self.slots.len() < 2 * (self.len + 1) {
            self.grow();
        }
        let place = self.slot_index(state);
        let is_new = self.slots[place] == 0;
        self.slots[place] = state;
        self.len += usize::from(is_new);
        is_new
    }

    /// Forgets all, and keeps the room.
    pub(super) fn clear(&mut self) {
        self.slots.fill(0);
        self.len = 0;
    }

    fn grow(&mut self) {
        let larger = vec![0; (2 * self.slots.len()).max(64)];
        for state in std::mem::replace(&mut self.slots, larger) {
            if state != 0 {
                let place = self.slot_index(state);
                self.slots[place] = state;
            }
        }
    }

    /// Where a state is, or the free place where it would be.
    fn slot_index(&self, state: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut place = state as usize & mask;
        while self.slots[place] != 0 && self.slots[place] != state {
            place = (place + 1) & mask;
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_state_set_behaves_as_a_set(states in prop::collection::vec(0..500_u128, 0..600)) {
            let (mut ours, mut set) = (StateSet::default(), BTreeSet::new());
            for state in states {
                // 0 and 1 are one: that is no state's fingerprint but once in 2^127.
                let state = (state + 1) << 7;
                prop_assert_eq!(ours.contains(state), set.contains(&state));
                prop_assert_eq!(ours.insert(state), set.insert(state));
                prop_assert_eq!(ours.len, set.len());
            }
            ours.clear();
            prop_assert!(ours.len == 0 && !ours.contains(1 << 7));
        }
    }
}
