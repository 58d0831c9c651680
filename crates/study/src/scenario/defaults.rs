//! Defaults that depend on the rest of the file: above all on the transport.

use super::client::ClientTable;
use super::diagnostic::Diagnostics;
use super::file::{LinkTable, RetryKeyword, RetrySetting, ScenarioFile};
use super::keywords::TransportKeyword;
use super::links::client_end;
use super::nodes::{CONNECT_TIMEOUT, MAX_CLIENTS, fleet_size, with_fleet_number};
use super::quantities::Duration;
use super::socket;
use super::value::{Located, TextOrTable};
use qoslab_core::base::{Span, matches_pattern};

/// The transport of one or more links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct TransportsUsed {
    tcp: bool,
    datagram: bool,
}

impl TransportsUsed {
    fn add(&mut self, word: TransportKeyword) {
        match word {
            TransportKeyword::Tcp => self.tcp = true,
            TransportKeyword::Datagram => self.datagram = true,
        }
    }

    const fn is_all_tcp(self) -> bool {
        self.tcp && !self.datagram
    }

    /// Over tcp nothing is lost while a connection lasts, so its end is when to send again; over
    /// datagrams only a timer can know.
    const fn default_retry(self) -> Option<RetrySetting> {
        match (self.tcp, self.datagram) {
            (true, true) => None,
            (true, false) => Some(TextOrTable::Text(RetryKeyword::Reconnect)),
            (false, _) => Some(TextOrTable::Text(RetryKeyword::Every(Span::from_secs(1)))),
        }
    }
}

/// Fills in every default that another part of the file decides.
pub(super) fn fill_defaults(file: &mut ScenarioFile, errors: &mut Diagnostics) {
    let mut all = TransportsUsed::default();
    for link in &file.link {
        all.add(link.value.transport.value);
    }
    file.expect.order.get_or_insert(all.is_all_tcp());
    if file.broker.retry.is_none() {
        file.broker.retry = all.default_retry().map(Located::from_default);
        if file.broker.retry.is_none() {
            refuse_mixed_broker(file, errors);
        }
    }
    socket::fill_socket(&mut file.broker.socket, all.tcp, errors);
    let patterns: Vec<_> = file
        .link
        .iter()
        .filter_map(|link| Some((client_end(&link.value.between.value)?.to_owned(), link)))
        .map(|(pattern, link)| (pattern, link.value.transport.value))
        .collect();
    for client in &mut file.client {
        fill_client_defaults(&mut client.value, &patterns, errors);
    }
}

fn refuse_mixed_broker(file: &ScenarioFile, errors: &mut Diagnostics) {
    let is_datagram =
        |link: &&Located<LinkTable>| link.value.transport.value == TransportKeyword::Datagram;
    let datagram = file.link.iter().find(is_datagram);
    let span = datagram.map_or(0..0, |link| link.value.transport.span.clone());
    errors
        .error(&span, "the broker needs a `retry`", "datagrams here, and tcp on another link")
        .help(
            "write `transport = \"tcp\"` here too, if this is MQTT as it is. Else the broker, \
             which has one retry rule for all its sessions, needs `retry = \"1s\"` or `retry = \
             \"reconnect\"`. To compare the two transports, give each a scenario of its own",
        );
}

fn fill_client_defaults(
    table: &mut ClientTable,
    links: &[(String, TransportKeyword)],
    errors: &mut Diagnostics,
) {
    let mut own = TransportsUsed::default();
    for number in 1..=fleet_size(table).min(MAX_CLIENTS) {
        let name = with_fleet_number(&table.name.value, number);
        for (_, word) in links.iter().filter(|(pattern, _)| matches_pattern(pattern, &name)) {
            own.add(*word);
        }
    }
    if table.retry.is_none() {
        table.retry = own.default_retry().map(Located::from_default);
        if table.retry.is_none() {
            let title = format!("`{}` needs a `retry`", table.name.value);
            errors
                .error(&table.name.span, title, "some of these have tcp and some datagrams")
                .help(
                    "write `retry = \"1s\"` or `retry = \"reconnect\"`, or make two clients of it",
                );
        }
    }
    for (timeout, title, label, help) in [
        (
            &mut table.connect_timeout,
            "`connect_timeout` needs tcp",
            "over datagrams CONNECT is repeated",
            "set `retry`, after which CONNECT is sent again, or leave this out",
        ),
        (
            &mut table.ping_timeout,
            "`ping_timeout` needs tcp",
            "over datagrams PINGRESP may be lost",
            "leave it out: there a missing PINGRESP says nothing",
        ),
    ] {
        let needless = timeout.take_if(|_| !own.tcp);
        if let Some(given) = needless.filter(|given| !given.is_from_default()) {
            errors.error(&given.span, title, label).help(help);
        }
    }
    socket::fill_socket(&mut table.socket, own.tcp, errors);
    if own.is_all_tcp() {
        table.connect_timeout.get_or_insert(Located::from_default(Duration(CONNECT_TIMEOUT)));
    }
}
