//! Topic names, topic filters, and which filter matches which topic (section 4.7 of both
//! standards).
//!
//! Rule ids are those of MQTT 3.1.1; 5.0 numbers some of them differently.

use std::collections::BTreeMap;
use std::str::Split;

use crate::impl_fingerprint;
use thiserror::Error;

/// The longest topic name or filter in bytes: its length is written in 16 bits [MQTT-4.7.3-3].
pub const MAX_BYTES: usize = 65_535;

/// The most levels of a topic name or filter. The standard sets no limit; this is the default of
/// EMQX's `max_topic_levels`, and it bounds how deep [`FilterTree`] goes.
pub const MAX_LEVELS: usize = 128;

/// Prefix of the filter of a shared subscription (MQTT 5.0, section 4.8.2).
const SHARED_PREFIX: &str = "$share/";

/// Why a text is not a topic name or not a topic filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TopicError {
    /// At least one character is needed [MQTT-4.7.3-1].
    #[error("is empty [MQTT-4.7.3-1]")]
    Empty,
    /// More than [`MAX_BYTES`] [MQTT-4.7.3-3].
    #[error("is longer than {MAX_BYTES} bytes [MQTT-4.7.3-3]")]
    TooLong,
    /// More than [`MAX_LEVELS`], our own limit.
    #[error("has more than {MAX_LEVELS} levels")]
    TooManyLevels,
    /// U+0000 is in it [MQTT-4.7.3-2].
    #[error("contains the null character [MQTT-4.7.3-2]")]
    NullCharacter,
    /// A topic name has no wildcards [MQTT-4.7.1-1].
    #[error("contains a wildcard, which only a filter may [MQTT-4.7.1-1]")]
    Wildcard,
    /// `#` stands alone in the last level [MQTT-4.7.1-2].
    #[error("has a '#' that is not the whole of the last level [MQTT-4.7.1-2]")]
    MultiLevel,
    /// A shared subscription has a group and a filter ([MQTT-4.8.2-1] and [MQTT-4.8.2-2] of 5.0).
    #[error("is no shared subscription: write $share/GROUP/FILTER [MQTT-4.8.2-1]")]
    Shared,
    /// `+` stands alone in its level [MQTT-4.7.1-3].
    #[error("has a '+' that is not the whole of its level [MQTT-4.7.1-3]")]
    SingleLevel,
}

/// Checks a topic name, such as a PUBLISH carries.
///
/// # Errors
/// The first rule that `topic` breaks.
pub fn validate_topic(topic: &str) -> Result<(), TopicError> {
    validate_text(topic)?;
    if topic.contains(['+', '#']) { Err(TopicError::Wildcard) } else { Ok(()) }
}

/// Checks a topic filter, such as a SUBSCRIBE carries.
///
/// # Errors
/// The first rule that `filter` breaks.
pub fn validate_filter(filter: &str) -> Result<(), TopicError> {
    validate_text(filter)?;
    let filter = match filter.strip_prefix(SHARED_PREFIX) {
        None => filter,
        Some(_) => split_shared(filter).ok_or(TopicError::Shared)?.1,
    };
    let mut levels = filter.split('/');
    while let Some(level) = levels.next() {
        if level.contains('#') && (level != "#" || levels.next().is_some()) {
            return Err(TopicError::MultiLevel);
        }
        if level.contains('+') && level != "+" {
            return Err(TopicError::SingleLevel);
        }
    }
    Ok(())
}

/// Splits a shared subscription's `$share/GROUP/FILTER` into the group and the filter; `None` for
/// any other filter.
#[must_use]
pub fn split_shared(filter: &str) -> Option<(&str, &str)> {
    let (group, filter) = filter.strip_prefix(SHARED_PREFIX)?.split_once('/')?;
    let is_sound = !group.is_empty() && !group.contains(['+', '#']) && !filter.is_empty();
    is_sound.then_some((group, filter))
}

fn validate_text(text: &str) -> Result<(), TopicError> {
    if text.is_empty() {
        Err(TopicError::Empty)
    } else if text.len() > MAX_BYTES {
        Err(TopicError::TooLong)
    } else if text.contains('\0') {
        Err(TopicError::NullCharacter)
    } else if text.split('/').count() > MAX_LEVELS {
        Err(TopicError::TooManyLevels)
    } else {
        Ok(())
    }
}

/// Whether a valid `filter` matches a valid `topic`, byte for byte and level by level.
///
/// `+` matches one level, also an empty one; `#` matches all further levels and the parent level
/// itself. A filter that begins with a wildcard matches no topic that begins with `$`
/// [MQTT-4.7.2-1].
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

/// Values by topic filter, found by topic name.
///
/// A filter holds one value for each key, such as a session's number. Looking up a topic walks
/// its levels, each a search among the level's children, so it does not grow with the number of
/// filters that do not match. Filters and topics must be valid.
#[derive(Clone, Debug)]
pub struct FilterTree<K, T> {
    root: FilterNode<K, T>,
}

impl_fingerprint! { struct FilterTree<K, T> { plain root; } }

/// One level of the tree: what is subscribed here and below.
#[derive(Clone, Debug)]
struct FilterNode<K, T> {
    /// By the level's name.
    children: BTreeMap<Box<str>, Self>,
    /// The child of `+`.
    single_level: Option<Box<Self>>,
    /// The values of the filter that ends here.
    exact: BTreeMap<K, T>,
    /// The values of this node's filter followed by `#`, which match here and below.
    multi_level: BTreeMap<K, T>,
}

impl_fingerprint! {
    struct FilterNode<K, T> {
        plain children, single_level, exact, multi_level;
    }
}

impl<K, T> Default for FilterTree<K, T> {
    fn default() -> Self {
        Self { root: FilterNode::default() }
    }
}

impl<K, T> Default for FilterNode<K, T> {
    fn default() -> Self {
        Self {
            children: BTreeMap::new(),
            single_level: None,
            exact: BTreeMap::new(),
            multi_level: BTreeMap::new(),
        }
    }
}

impl<K: Ord, T> FilterTree<K, T> {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether no filter is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// Stores `value` for `filter` and `key`, and returns the one it replaces.
    pub fn insert(&mut self, filter: &str, key: K, value: T) -> Option<T> {
        let mut node = &mut self.root;
        for level in filter.split('/') {
            if level == "#" {
                return node.multi_level.insert(key, value);
            }
            node = node.child_or_insert(level);
        }
        node.exact.insert(key, value)
    }

    /// Takes out and returns the value of `filter` and `key`, if there is one.
    pub fn remove(&mut self, filter: &str, key: &K) -> Option<T> {
        self.root.remove(filter.split('/'), key)
    }

    /// Calls `visit_matches` with the key and value of every filter that matches `topic`.
    ///
    /// The order depends on what is stored, never on when: at every level first `#`, then the
    /// level by name, then `+`; equal filters by key. Allocates nothing.
    pub fn for_each_match(&self, topic: &str, mut visit: impl FnMut(&K, &T)) {
        let mut levels = topic.split('/');
        if topic.starts_with('$') {
            // [MQTT-4.7.2-1]: the root's wildcards do not match.
            let first = levels.next().unwrap_or_default();
            if let Some(child) = self.root.children.get(first) {
                child.visit_matches(levels, &mut visit);
            }
        } else {
            self.root.visit_matches(levels, &mut visit);
        }
    }
}

impl<K: Ord, T> FilterNode<K, T> {
    fn is_empty(&self) -> bool {
        self.children.is_empty()
            && self.single_level.is_none()
            && self.exact.is_empty()
            && self.multi_level.is_empty()
    }

    fn child_or_insert(&mut self, level: &str) -> &mut Self {
        if level == "+" {
            return self.single_level.get_or_insert_default();
        }
        if !self.children.contains_key(level) {
            self.children.insert(level.into(), Self::default());
        }
        self.children.get_mut(level).expect("it was there or has just been inserted")
    }

    /// Removes along the rest of a filter, and on the way back every child left empty.
    fn remove(&mut self, mut levels: Split<'_, char>, key: &K) -> Option<T> {
        match levels.next() {
            None => self.exact.remove(key),
            Some("#") => self.multi_level.remove(key),
            Some("+") => {
                let child = self.single_level.as_mut()?;
                let value = child.remove(levels, key);
                if child.is_empty() {
                    self.single_level = None;
                }
                value
            }
            Some(level) => {
                let child = self.children.get_mut(level)?;
                let value = child.remove(levels, key);
                if child.is_empty() {
                    self.children.remove(level);
                }
                value
            }
        }
    }

    fn visit_matches(&self, mut levels: Split<'_, char>, visit: &mut impl FnMut(&K, &T)) {
        self.multi_level.iter().for_each(|(key, value)| visit(key, value));
        let Some(level) = levels.next() else {
            self.exact.iter().for_each(|(key, value)| visit(key, value));
            return;
        };
        if let Some(child) = self.children.get(level) {
            child.visit_matches(levels.clone(), visit);
        }
        if let Some(child) = &self.single_level {
            child.visit_matches(levels, visit);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(tree: &FilterTree<u32, u32>, topic: &str) -> Vec<u32> {
        let mut found = Vec::new();
        tree.for_each_match(topic, |_, value| found.push(*value));
        found
    }

    #[test]
    fn a_shared_subscription_has_a_group_and_a_filter() {
        assert_eq!(split_shared("$share/g/a/+"), Some(("g", "a/+")));
        assert_eq!(validate_filter("$share/g/a/+"), Ok(()));
        assert_eq!(split_shared("share/g/a"), None);
        for wrong in ["$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/#"] {
            assert_eq!(split_shared(wrong), None, "{wrong}");
            assert_eq!(validate_filter(wrong), Err(TopicError::Shared), "{wrong}");
        }
        assert_eq!(validate_filter("$share/g/a#"), Err(TopicError::MultiLevel));
    }

    #[test]
    fn the_standards_examples_match_as_it_says() {
        // MQTT 3.1.1, sections 4.7.1 and 4.7.2.
        for (filter, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/uptime", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/monitor", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("accounts", "Accounts", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} and {topic}");
            let mut tree = FilterTree::new();
            tree.insert(filter, 0, 1);
            assert_eq!(found(&tree, topic).len(), usize::from(expected), "{filter} and {topic}");
        }
    }

    #[test]
    fn malformed_topics_and_filters_are_refused_by_their_rule() {
        use TopicError::{
            Empty, MultiLevel, NullCharacter, SingleLevel, TooLong, TooManyLevels, Wildcard,
        };
        assert_eq!(validate_topic(""), Err(Empty));
        assert_eq!(validate_topic("a\0b"), Err(NullCharacter));
        assert_eq!(validate_topic(&"x".repeat(65_536)), Err(TooLong));
        assert_eq!(validate_topic(&"x".repeat(65_535)), Ok(()));
        assert_eq!(validate_topic(&"/".repeat(128)), Err(TooManyLevels));
        assert_eq!(validate_topic("a/+"), Err(Wildcard));
        assert_eq!(validate_topic("/"), Ok(()));
        for filter in ["a#", "a/#/b", "#/a", "a/b#"] {
            assert_eq!(validate_filter(filter), Err(MultiLevel), "{filter}");
        }
        for filter in ["a+", "a/+b/c", "++"] {
            assert_eq!(validate_filter(filter), Err(SingleLevel), "{filter}");
        }
        for filter in ["#", "+", "+/tennis/#", "/+/", "$SYS/#", "/"] {
            assert_eq!(validate_filter(filter), Ok(()), "{filter}");
        }
    }

    #[test]
    fn one_filter_holds_one_value_for_each_key() {
        let mut tree = FilterTree::new();
        assert_eq!(tree.insert("a/+", 7, 1), None);
        assert_eq!(tree.insert("a/+", 3, 2), None);
        assert_eq!(tree.insert("a/+", 7, 3), Some(1));
        assert_eq!(found(&tree, "a/b"), [2, 3]);
        assert_eq!(tree.remove("a/+", &3), Some(2));
        assert_eq!(tree.remove("a/+", &3), None);
        assert_eq!(tree.remove("a/b", &7), None);
        assert_eq!(found(&tree, "a/b"), [3]);
        assert_eq!(tree.remove("a/+", &7), Some(3));
        assert!(tree.is_empty(), "empty levels are pruned");
    }

    #[test]
    fn one_topic_among_a_hundred_thousand_is_found() {
        let mut tree = FilterTree::new();
        for i in 0..100_000 {
            tree.insert(&format!("plant/{i}/temp"), i, i);
        }
        tree.insert("plant/+/temp", 0, 100_000);
        for i in (0..100_000).step_by(997) {
            assert_eq!(found(&tree, &format!("plant/{i}/temp")), [i, 100_000]);
        }
    }

    /// Few levels and few names, so that filters and topics often meet.
    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just(""), Just("a"), Just("b"), Just("$c"), Just("+")];
        (proptest::collection::vec(level, 1..5), any::<bool>())
            .prop_map(|(levels, all)| levels.join("/") + if all { "/#" } else { "" })
            .prop_filter("not empty", |filter| !filter.is_empty())
    }

    fn topic() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just(""), Just("a"), Just("b"), Just("$c")];
        proptest::collection::vec(level, 1..6)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("not empty", |topic| !topic.is_empty())
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_matches(
            filters in proptest::collection::vec(filter(), 0..40),
            gone in proptest::collection::vec(any::<bool>(), 40),
            topic in topic(),
        ) {
            let mut tree = FilterTree::new();
            for (key, filter) in (0..).zip(&filters) {
                validate_filter(filter).expect("the strategy makes valid filters");
                tree.insert(filter, key, key);
            }
            for ((key, filter), gone) in (0..).zip(&filters).zip(&gone) {
                if *gone {
                    prop_assert_eq!(tree.remove(filter, &key), Some(key));
                }
            }
            let mut found = found(&tree, &topic);
            found.sort_unstable();
            let expected: Vec<u32> = (0..).zip(&filters).zip(&gone)
                .filter(|((_, filter), gone)| !**gone && matches(filter, &topic))
                .map(|((key, _), _)| key)
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
