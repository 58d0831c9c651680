//! The transport of a link's packets: datagrams, or TCP with or without TLS.

use super::diagnostic::Diagnostics;
use super::file::{LinkTable, TlsTable};
use super::keywords::{CongestionKeyword, TlsKeyword, TransportKeyword};
use super::link::DirectionTable;
use super::quantities::{Bytes, Duration, Percent};
use super::value::{BoundedInt, Located, TextOrTable};
use qoslab_core::base::Span;
use qoslab_core::base::draw::Chance;
use qoslab_core::network::presets::UDP_HEADERS;
use qoslab_core::network::{
    CongestionControl, LinkSettings, SocketSettings, TcpSettings, TlsSettings, TlsVersion,
    Transport,
};

/// IPv4 (RFC 791) and TCP (RFC 9293), both without options: 20 bytes each.
const TCP_HEADERS: u32 = 40;

/// What an Ethernet frame of 1,500 bytes leaves after those headers (RFC 894).
const MSS: u32 = 1_460;

/// Linux's `TCP_RTO_MIN`.
const RTO_MIN: Span = Span::from_millis(200);

/// tcp(7) gives Linux's `tcp_retries2` as 15. With the least timeout of 200 ms, doubled each time
/// up to 120 s, that is 924.6 s (the kernel's `ip-sysctl`).
const USER_TIMEOUT: Span = Span::from_millis(924_600);

/// Sets what carries the link's packets. `nat_idle` is the preset's, which the link's own replaces.
pub(super) fn apply_transport(
    link: &LinkTable,
    nat_idle: Option<Span>,
    settings: &mut LinkSettings,
    errors: &mut Diagnostics,
) {
    let headers = |assumed: u32| link.headers.map_or(assumed, |Bytes(headers)| headers);
    if link.transport.value == TransportKeyword::Datagram {
        refuse_tcp_fields(link, errors);
        settings.transport = Transport::Datagram { headers: headers(UDP_HEADERS) };
        return;
    }
    refuse_datagram_fields(link, errors);
    // A preset's radio may duplicate; TCP hides that from its reader.
    for way in [&mut settings.up, &mut settings.down] {
        (way.duplicate, way.reorder) = (Chance::NEVER, None);
    }
    for (given, field) in [
        (&link.rto_min, "rto_min"),
        (&link.user_timeout, "user_timeout"),
        (&link.nat_idle, "nat_idle"),
    ] {
        if let Some(given) = given.as_ref().filter(|given| given.value.0 == Span::ZERO) {
            let title = format!("{field} must be more than zero");
            errors.error(&given.span, title, "this is no time at all");
        }
    }
    let span = |given: &Option<Located<Duration>>| given.as_ref().map(|given| given.value.0);
    settings.transport = Transport::Tcp(TcpSettings {
        headers: headers(TCP_HEADERS),
        mss: link.mss.as_ref().map_or(MSS, |mss| mss.value.0),
        tls: link.tls.as_ref().map(|tls| tls_settings(&tls.value)),
        rto_min: span(&link.rto_min).unwrap_or(RTO_MIN),
        user_timeout: span(&link.user_timeout).unwrap_or(USER_TIMEOUT),
        nat_idle: span(&link.nat_idle).or(nat_idle),
        congestion: link.congestion.as_ref().map_or(CongestionControl::Cubic, |it| it.value.into()),
        client: SocketSettings::LINUX,
        broker: SocketSettings::LINUX,
    });
}

fn refuse_tcp_fields(link: &LinkTable, errors: &mut Diagnostics) {
    let fields = [
        ("mss", link.mss.as_ref().map(|given| &given.span)),
        ("tls", link.tls.as_ref().map(|given| &given.span)),
        ("rto_min", link.rto_min.as_ref().map(|given| &given.span)),
        ("user_timeout", link.user_timeout.as_ref().map(|given| &given.span)),
        ("nat_idle", link.nat_idle.as_ref().map(|given| &given.span)),
        ("congestion", link.congestion.as_ref().map(|given| &given.span)),
    ];
    for (field, span) in fields {
        if let Some(span) = span {
            errors
                .error(span, format!("`{field}` needs tcp"), "this link carries datagrams")
                .help("add `transport = \"tcp\"` to the link, or leave this out");
        }
    }
}

fn refuse_datagram_fields(link: &LinkTable, errors: &mut Diagnostics) {
    let mut refuse = |field: &str, span: &std::ops::Range<usize>, cure: &str| {
        errors
            .error(span, format!("`{field}` cannot happen over tcp"), "TCP repairs this unseen")
            .help(format!("{cure}; or write `transport = \"datagram\"`"));
    };
    let mut check = |duplicate: Option<&Located<Percent>>, own: Option<&DirectionTable>| {
        let duplicate = own.map_or(duplicate, |own| own.duplicate.as_ref());
        if let Some(given) = duplicate.filter(|given| given.value.0 > 0.0) {
            let help = "to make endpoints repeat themselves, cut the connection: a [[fault]] with \
                        `do = \"cut\"`";
            refuse("duplicate", &given.span, help);
        }
    };
    check(link.duplicate.as_ref(), None);
    let ways = [&link.up, &link.down].map(|way| way.as_ref().map(|way| &way.value));
    for way in ways.into_iter().flatten() {
        check(None, Some(way));
    }
    let reorder = ways.into_iter().flatten().map(|way| way.reorder.as_ref());
    for given in reorder.chain([link.reorder.as_ref()]).flatten() {
        let percent = match &given.value {
            TextOrTable::Text(percent) => *percent,
            TextOrTable::Table(table) => table.percent,
        };
        if percent.0 > 0.0 {
            refuse("reorder", &given.span, "for a delay that varies, give it `jitter`");
        }
    }
}

const fn tls_settings(tls: &TextOrTable<TlsKeyword, TlsTable>) -> TlsSettings {
    let (version, resumption) = match tls {
        TextOrTable::Text(version) => (*version, true),
        TextOrTable::Table(table) => (table.version, table.resumption),
    };
    let version = match version {
        TlsKeyword::V12 => TlsVersion::V12,
        TlsKeyword::V13 => TlsVersion::V13,
    };
    TlsSettings { version, resumption }
}

/// The fields of a link that say what carries its packets.
pub(super) struct TransportFields {
    pub keyword: TransportKeyword,
    pub headers: u32,
    pub mss: Option<Located<BoundedInt<1, 65_495>>>,
    pub tls: Option<Located<TextOrTable<TlsKeyword, TlsTable>>>,
    pub rto_min: Option<Located<Duration>>,
    pub user_timeout: Option<Located<Duration>>,
    pub nat_idle: Option<Located<Duration>>,
    pub congestion: Option<Located<CongestionKeyword>>,
}

impl TransportFields {
    pub(super) fn is_tcp(&self) -> bool {
        self.keyword == TransportKeyword::Tcp
    }
}

/// The fields that come to this transport, with everything written out.
pub(super) fn transport_fields(transport: Transport) -> TransportFields {
    let tcp = match transport {
        Transport::Datagram { headers } => {
            return TransportFields {
                keyword: TransportKeyword::Datagram,
                headers,
                mss: None,
                tls: None,
                rto_min: None,
                user_timeout: None,
                nat_idle: None,
                congestion: None,
            };
        }
        Transport::Tcp(tcp) => tcp,
    };
    let span = |span| Located::from_default(Duration(span));
    let tls = tcp.tls.map(|tls| {
        let version = match tls.version {
            TlsVersion::V12 => TlsKeyword::V12,
            TlsVersion::V13 => TlsKeyword::V13,
        };
        Located::from_default(TextOrTable::Table(TlsTable { version, resumption: tls.resumption }))
    });
    TransportFields {
        keyword: TransportKeyword::Tcp,
        headers: tcp.headers,
        mss: Some(Located::from_default(BoundedInt(tcp.mss))),
        tls,
        rto_min: Some(span(tcp.rto_min)),
        user_timeout: Some(span(tcp.user_timeout)),
        nat_idle: tcp.nat_idle.map(span),
        congestion: Some(Located::from_default(tcp.congestion.into())),
    }
}
