//! One test for each encoding.

use super::*;
use crate::base::ConnectionNumber;
use crate::base::time::Span;
use crate::impl_fingerprint;

/// Where "now" is.
const NOW: u64 = 10;

fn at(nanos: u64) -> Time {
    Time::from_nanos(nanos)
}

/// A value that counts as a function writes it.
struct As<'a, T>(T, &'a dyn Fn(&mut Fingerprinter, &T));

impl<T> Fingerprint for As<'_, T> {
    fn fingerprint(&self, into: &mut Fingerprinter) {
        (self.1)(into, &self.0);
    }
}

/// Which of the values count as the first does.
fn equal_to_first<T: Clone, const N: usize>(
    options: FingerprintOptions,
    encoding: impl Fn(&mut Fingerprinter, &T),
    values: [T; N],
) -> [bool; N] {
    let mut fingerprinter = Fingerprinter::new(options);
    let prints = values.map(|it| fingerprinter.fingerprint_of(at(NOW), &As(it, &encoding)));
    prints.map(|print| print == prints[0])
}

/// Whether a value counts by an encoding without any options, and with all of them.
fn counts<T: Clone>(encoding: impl Fn(&mut Fingerprinter, &T), values: &[T; 2]) -> [bool; 2] {
    let all = FingerprintOptions { transmissions: true, loss_recovery: true, published: true };
    [FingerprintOptions::default(), all]
        .map(|options| !equal_to_first(options, &encoding, values.clone())[1])
}

fn none() -> FingerprintOptions {
    FingerprintOptions::default()
}

#[test]
fn a_plain_time_counts_from_now_on() {
    let times = [at(20), at(21), at(9), Time::NEVER];
    assert_eq!(equal_to_first(none(), Fingerprinter::plain, times), [true, false, false, false]);
    let fingerprint_at = |now| Fingerprinter::default().fingerprint_of(at(now), &at(now + 7));
    assert_eq!(fingerprint_at(1), fingerprint_at(1_000));
    let never_at = |now| Fingerprinter::default().fingerprint_of(at(now), &Time::NEVER);
    assert_eq!(never_at(1), never_at(1_000));
}

#[test]
fn a_past_time_counts_as_now_if_it_only_matters_in_future() {
    let times = [at(3), at(9), at(NOW), at(11), Time::NEVER];
    let equal = equal_to_first(none(), Fingerprinter::future_only, times);
    assert_eq!(equal, [true, true, true, false, false]);
}

#[test]
fn a_time_that_is_compared_with_now_counts_as_past_or_not() {
    let times = [at(3), at(9), at(NOW), at(11)];
    let equal = equal_to_first(none(), Fingerprinter::compared_with_now, times);
    assert_eq!(equal, [true, true, false, false]);
}

#[test]
fn an_attempt_counts_as_the_first_or_not() {
    let equal = equal_to_first(none(), Fingerprinter::attempt, [1, 2, 0]);
    assert_eq!(equal, [true, true, false]);
}

#[test]
fn some_things_count_by_an_option_alone() {
    assert_eq!(counts(Fingerprinter::published, &[at(1), at(2)]), [false, true]);
    assert_eq!(counts(Fingerprinter::transmissions, &[1, 2]), [false, true]);
    let measured = [None, Some(Span::from_secs(1))];
    assert_eq!(counts(Fingerprinter::loss_recovery, &measured), [false, true]);
}

#[test]
fn connections_and_timers_count_by_the_order_in_which_they_are_seen() {
    let connections = [[7, 2, 7], [1, 9, 1], [7, 2, 2]].map(|them| them.map(ConnectionNumber));
    let equal = equal_to_first(none(), Fingerprinter::plain, connections);
    assert_eq!(equal, [true, true, false]);
    let write = |into: &mut Fingerprinter, timers: &[u64; 3]| {
        for timer in timers {
            into.timer_generation(timer);
        }
    };
    let equal = equal_to_first(none(), write, [[4, 0, 5], [8, 0, 1], [4, 0, 4], [4, 5, 0]]);
    assert_eq!(equal, [true, true, false, false]);
}

#[test]
fn copies_count_by_the_order_in_which_they_are_seen_and_by_kind() {
    let write = |into: &mut Fingerprinter, copies: &[u32; 3]| {
        for copy in copies {
            into.copy(copy);
        }
    };
    let lists = [[7, 2, 7], [1, 9, 1], [7, 2, 2], [7, 2, 7 | COPY_KIND]];
    assert_eq!(equal_to_first(none(), write, lists), [true, true, false, false]);
}

#[derive(Clone)]
struct Session {
    queued: Vec<u32>,
    words: (Option<u8>, &'static str),
    expires_at: Time,
    attempts: Vec<u32>,
    client_id: u32,
}

fn write_length(list: &[u32], into: &mut Fingerprinter) {
    into.plain(&list.len());
}

impl_fingerprint! {
    struct Session {
        plain queued, words;
        future_only expires_at;
        with(write_length) attempts;
        skip client_id: "the same in all states of a trial";
    }
}

#[test]
fn a_field_makes_another_state_unless_it_is_skipped() {
    let session = Session {
        queued: vec![1, 2],
        words: (None, "a"),
        expires_at: at(3),
        attempts: vec![1],
        client_id: 1,
    };
    let changes: [fn(&mut Session); 8] = [
        |_| {},
        |it| it.client_id = 2,
        |it| it.expires_at = at(4),
        |it| it.attempts = vec![2],
        |it| it.queued = vec![1],
        |it| it.words = (Some(0), "a"),
        |it| it.expires_at = at(11),
        |it| it.attempts = Vec::new(),
    ];
    let sessions = changes.map(|change| {
        let mut other = session.clone();
        change(&mut other);
        other
    });
    let equal = equal_to_first(none(), Fingerprinter::plain, sessions);
    assert_eq!(equal, [true, true, true, true, false, false, false, false]);
}

#[derive(Clone, Copy)]
enum Side {
    Client,
    Broker,
}

#[derive(Clone)]
enum Answer {
    None,
    Accepted(u8),
    Refused { code: u8, by: Side },
}

impl_fingerprint! { fieldless Side }
impl_fingerprint! { enum Answer { None, Accepted(code), Refused { code, by } } }

#[test]
fn variants_and_their_fields_make_other_states() {
    let answers = [
        Answer::Refused { code: 1, by: Side::Client },
        Answer::Refused { code: 1, by: Side::Client },
        Answer::Refused { code: 2, by: Side::Client },
        Answer::Refused { code: 1, by: Side::Broker },
        Answer::Accepted(1),
        Answer::None,
    ];
    let equal = equal_to_first(none(), Fingerprinter::plain, answers);
    assert_eq!(equal, [true, true, false, false, false, false]);
}

#[test]
fn ranks_keep_the_order_and_nothing_else() {
    let rank = ranks([9, 3, 9].into_iter());
    assert_eq!([0, 3, 9].map(&rank), [0, 1, 2]);
    assert_eq!(ranks([0, 7].into_iter())(7), 1);
}
