//! Delta debugging over a list.

/// Returns the fewest of the items for which `holds` is true, in their order: nothing, if it holds
/// for nothing, and else a list of which no single item can be taken out. It is known to hold for
/// all of them.
pub(super) fn minimise<T: Copy>(all: &[T], holds: &mut impl FnMut(&[T]) -> bool) -> Vec<T> {
    if all.is_empty() || holds(&[]) {
        return Vec::new();
    }
    let mut kept = all.to_vec();
    let mut size = kept.len().div_ceil(2);
    loop {
        let before = kept.len();
        let mut start = 0;
        while start < kept.len() && kept.len() > 1 {
            let end = (start + size).min(kept.len());
            let rest = [&kept[..start], &kept[end..]].concat();
            if !rest.is_empty() && holds(&rest) {
                kept = rest;
            } else {
                start = end;
            }
        }
        if size == 1 && kept.len() == before {
            return kept;
        }
        size = size.min(kept.len()).div_ceil(2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_what_is_needed_is_left(needed in prop::collection::btree_set(0..60_u32, 0..6)) {
            let all: Vec<_> = (0..60).collect();
            let mut holds = |kept: &[u32]| needed.iter().all(|one| kept.contains(one));
            let kept = minimise(&all, &mut holds);
            prop_assert_eq!(kept, needed.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn the_result_is_one_minimal(
            ways in prop::collection::vec(prop::collection::btree_set(0..20_u32, 1..5), 1..4)
        ) {
            let all: Vec<_> = (0..20).collect();
            let holds =
                |kept: &[u32]| ways.iter().any(|way| way.iter().all(|one| kept.contains(one)));
            let kept = minimise(&all, &mut |kept: &[u32]| holds(kept));
            prop_assert!(holds(&kept));
            for place in 0..kept.len() {
                let mut fewer = kept.clone();
                fewer.remove(place);
                prop_assert!(!holds(&fewer));
            }
        }
    }
}
