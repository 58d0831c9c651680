//! Assignment of links to clients.

use std::ops::Range;
use std::sync::Arc;

use super::diagnostic::Diagnostics;
use super::file::ScenarioFile;
use super::link;
use qoslab_core::base::matches_pattern;
use qoslab_core::network::LinkSettings;

/// The links by the names they are for.
pub(super) struct LinksByName {
    entries: Vec<LinkEntry>,
}

struct LinkEntry {
    pattern: String,
    settings: Arc<LinkSettings>,
    /// The price of a million bytes.
    price: Option<f64>,
    line: usize,
    span: Range<usize>,
    is_used: bool,
}

/// A client's link.
pub(super) struct ClientLink {
    /// Its position in the file.
    pub number: usize,
    pub settings: Arc<LinkSettings>,
    /// The price of a million bytes.
    pub price: Option<f64>,
    line: usize,
}

impl LinksByName {
    pub(super) fn new(file: &ScenarioFile, errors: &mut Diagnostics) -> Self {
        let mut list = Vec::new();
        for link in &file.link {
            let between = &link.value.between;
            let settings = Arc::new(link::link_settings(&link.value, errors));
            let Some(pattern) = client_end(&between.value) else {
                errors
                    .error(&between.span, "a link is between a client and the broker", "")
                    .help("write it as in `between = [\"sensor-*\", \"broker\"]`");
                continue;
            };
            let pattern = pattern.to_owned();
            let line =
                errors.source[..between.span.start.min(errors.source.len())].matches('\n').count()
                    + 1;
            list.push(LinkEntry {
                pattern,
                settings,
                price: link.value.price.as_ref().map(|price| price.value.per_megabyte),
                line,
                span: between.span.clone(),
                is_used: false,
            });
        }
        Self { entries: list }
    }

    pub(super) fn link_for(
        &mut self,
        name: &str,
        span: &Range<usize>,
        errors: &mut Diagnostics,
    ) -> Option<ClientLink> {
        let mut found: Option<ClientLink> = None;
        let entries = self.entries.iter_mut().enumerate();
        for (number, link) in entries.filter(|(_, link)| matches_pattern(&link.pattern, name)) {
            link.is_used = true;
            if let Some(found) = found {
                let line = found.line;
                let label = format!("the one at line {line} is for it too");
                errors.error(&link.span, format!("`{name}` has two links"), label);
                return None;
            }
            let (settings, line) = (Arc::clone(&link.settings), link.line);
            found = Some(ClientLink { number, settings, price: link.price, line });
        }
        if found.is_none() {
            errors
                .error(span, format!("`{name}` has no link"), "it could reach nobody")
                .help(format!("add a [[link]] with `between = [\"{name}\", \"broker\"]`"));
        }
        found
    }

    /// Reports links that no client uses; where clients were refused one may be theirs, unless no
    /// client at all has such a name.
    pub(super) fn check_all_used(
        &self,
        file: &ScenarioFile,
        all_clients_valid: bool,
        errors: &mut Diagnostics,
    ) {
        let names = file.client.iter().map(|client| client.value.name.value.replace("{i}", "*"));
        let names: Vec<_> = names.collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        for link in self.entries.iter().filter(|link| !link.is_used) {
            let may_be = |name: &&str| name.contains('*') || matches_pattern(&link.pattern, name);
            if all_clients_valid || !names.iter().any(may_be) {
                let title = format!("there is no client `{}`", link.pattern);
                errors
                    .error(&link.span, title, "a link to nobody")
                    .suggest_name(&link.pattern, &names);
            }
        }
    }
}

/// The end of a link that is not the broker.
pub(super) fn client_end(between: &[String]) -> Option<&str> {
    match between {
        [client, broker] | [broker, client] if broker == "broker" => Some(client),
        _ => None,
    }
}
