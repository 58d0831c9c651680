//! A row of the table of rules, built from what it has in common with most.

use super::{CheckedAt, Citation, Rule, RuleFacts, Strength};

/// A MUST of all three versions, wherever a wire can show it.
pub(super) const fn must_rule(
    rule: Rule,
    name: &'static str,
    at: CheckedAt,
    (v311, v5): (Citation, Citation),
) -> RuleFacts {
    RuleFacts {
        rule,
        name,
        strength: Strength::Must,
        checked_at: at,
        in_v31: true,
        v311,
        v5,
        tcp_only: false,
        second_pass: false,
        description: "",
    }
}

impl RuleFacts {
    /// What an endpoint did that broke it.
    pub(super) const fn description(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    /// MQTT 3.1 does not have it.
    pub(super) const fn not_in_31(self) -> Self {
        Self { in_v31: false, ..self }
    }

    /// Over datagrams it may break without any endpoint at fault.
    pub(super) const fn tcp_only(self) -> Self {
        Self { tcp_only: true, ..self }
    }

    /// Looked for only where a promise broke.
    pub(super) const fn in_second_pass(self) -> Self {
        Self { second_pass: true, ..self }
    }

    pub(super) const fn strength(self, strength: Strength) -> Self {
        Self { strength, ..self }
    }
}
