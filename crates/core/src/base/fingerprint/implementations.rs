//! The fingerprints of the standard library's types and of those beside this module.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU16;
use std::sync::Arc;

use super::{Fingerprint, Fingerprinter};
use crate::base::time::{Span, Time};

impl Fingerprint for Time {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        into.time(*self);
    }
}

impl Fingerprint for Span {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        into.plain(&self.as_nanos());
    }
}

macro_rules! impl_for_numbers {
    ($($number:ty),+) => {$(
        impl Fingerprint for $number {
            fn fingerprint(&self, into: &mut Fingerprinter) {
                into.write(&self.to_le_bytes());
            }
        }
    )+};
}

impl_for_numbers!(u8, u16, u32, u64, usize);

impl Fingerprint for bool {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        into.plain(&u8::from(*self));
    }
}

impl Fingerprint for NonZeroU16 {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        into.plain(&self.get());
    }
}

impl Fingerprint for str {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        into.plain(&self.len());
        into.write(self.as_bytes());
    }
}

impl Fingerprint for f64 {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        into.plain(&self.to_bits());
    }
}

impl<T: Fingerprint> Fingerprint for std::ops::Range<T> {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        into.plain(&self.start);
        into.plain(&self.end);
    }
}

impl<T: Fingerprint> Fingerprint for Option<T> {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        into.plain(&self.is_some());
        if let Some(value) = self {
            into.plain(value);
        }
    }
}

impl<T: Fingerprint, const N: usize> Fingerprint for [T; N] {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        for item in self {
            into.plain(item);
        }
    }
}

macro_rules! impl_for_lists {
    ($($list:ty),+) => {$(
        impl<T: Fingerprint> Fingerprint for $list {
            fn fingerprint(&self, into: &mut Fingerprinter) {
                into.list(self.iter());
            }
        }
    )+};
}

impl_for_lists!([T], Vec<T>, VecDeque<T>, BTreeSet<T>);

impl<K: Fingerprint, V: Fingerprint> Fingerprint for BTreeMap<K, V> {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        into.list(self.iter());
    }
}

macro_rules! impl_for_pointers {
    ($($pointer:ty),+) => {$(
        impl<T: Fingerprint + ?Sized> Fingerprint for $pointer {
            fn fingerprint(&self, into: &mut Fingerprinter) {
                into.plain(&**self);
            }
        }
    )+};
}

impl_for_pointers!(&T, Box<T>, Arc<T>);

macro_rules! impl_for_tuples {
    ($(($($part:ident),+))+) => {$(
        impl<$($part: Fingerprint),+> Fingerprint for ($($part,)+) {
            #[expect(non_snake_case, reason = "a part is named as its type")]
            fn fingerprint(&self, into: &mut Fingerprinter) {
                let ($($part,)+) = self;
                $(into.plain($part);)+
            }
        }
    )+};
}

impl_for_tuples! { (A, B) (A, B, C) (A, B, C, D) (A, B, C, D, E) (A, B, C, D, E, F) }
