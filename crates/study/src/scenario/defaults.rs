//! The defaults that depend on the rest of the file: above all on what carries the packets.

use super::client::ClientTable;
use super::diagnostic::Diagnostics;
use super::file::{File, Retry, RetryWord};
use super::links::{client_of, matches_name};
use super::nodes::{CONNECT_TIMEOUT, MOST_CLIENTS, numbered, size};
use super::texts::Duration;
use super::value::{Either, Given};
use super::words::TransportWord;
use qoslab_core::base::time::Span;

/// What carries the packets of one or more links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Carriers {
    tcp: bool,
    datagram: bool,
}

impl Carriers {
    fn add(&mut self, word: TransportWord) {
        match word {
            TransportWord::Tcp => self.tcp = true,
            TransportWord::Datagram => self.datagram = true,
        }
    }

    const fn all_tcp(self) -> bool {
        self.tcp && !self.datagram
    }

    /// Over tcp nothing is lost while a connection lasts, so its end is when to send again; over
    /// datagrams only a timer can know.
    const fn retry(self) -> Option<Retry> {
        match (self.tcp, self.datagram) {
            (true, true) => None,
            (true, false) => Some(Either::Text(RetryWord::Reconnect)),
            (false, _) => Some(Either::Text(RetryWord::Every(Span::from_secs(1)))),
        }
    }
}

/// Fills in every default that another part of the file decides.
pub(super) fn complete(file: &mut File, errors: &mut Diagnostics) {
    let mut all = Carriers::default();
    for link in &file.link {
        all.add(link.value.transport.value);
    }
    file.expect.order.get_or_insert(all.all_tcp());
    if file.broker.retry.is_none() {
        file.broker.retry = all.retry().map(Given::assumed);
        if file.broker.retry.is_none() {
            refuse_mixed_broker(file, errors);
        }
    }
    let patterns: Vec<_> = file
        .link
        .iter()
        .filter_map(|link| Some((client_of(&link.value.between.value)?.to_owned(), link)))
        .map(|(pattern, link)| (pattern, link.value.transport.value))
        .collect();
    for client in &mut file.client {
        complete_client(&mut client.value, &patterns, errors);
    }
}

fn refuse_mixed_broker(file: &File, errors: &mut Diagnostics) {
    let mut tcp = file.link.iter().filter(|link| link.value.transport.value == TransportWord::Tcp);
    let span = tcp.next().map_or(0..0, |link| link.value.transport.span.clone());
    errors
        .error(&span, "the broker needs a `retry`", "tcp here, and datagrams on another link")
        .help(
            "the broker has one retry rule for all its sessions: write `retry = \"1s\"` or \
             `retry = \"reconnect\"` in [broker]. To compare the two transports, give each a \
             scenario of its own",
        );
}

fn complete_client(
    table: &mut ClientTable,
    links: &[(String, TransportWord)],
    errors: &mut Diagnostics,
) {
    let mut own = Carriers::default();
    for number in 1..=size(table).min(MOST_CLIENTS) {
        let name = numbered(&table.name.value, number);
        for (_, word) in links.iter().filter(|(pattern, _)| matches_name(pattern, &name)) {
            own.add(*word);
        }
    }
    if table.retry.is_none() {
        table.retry = own.retry().map(Given::assumed);
        if table.retry.is_none() {
            let title = format!("`{}` needs a `retry`", table.name.value);
            errors
                .error(&table.name.span, title, "some of these have tcp and some datagrams")
                .help(
                    "write `retry = \"1s\"` or `retry = \"reconnect\"`, or make two clients of it",
                );
        }
    }
    if let Some(given) =
        table.connect_timeout.as_ref().filter(|given| !own.tcp && !given.is_assumed())
    {
        errors
            .error(&given.span, "`connect_timeout` needs tcp", "over datagrams CONNECT is repeated")
            .help("set `retry`, after which CONNECT is sent again, or leave this out");
    }
    if !own.tcp {
        table.connect_timeout = None;
    }
    if own.all_tcp() {
        table.connect_timeout.get_or_insert(Given::assumed(Duration(CONNECT_TIMEOUT)));
    }
}
