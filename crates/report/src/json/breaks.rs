//! Declared breaks, with how often they were seen.

use serde::Serialize;

use crate::labels;
use qoslab_study::ScenarioResult;
use qoslab_study::scenario::BreakTarget;

#[derive(Serialize)]
pub(super) struct DeclaredBreakJson {
    promise: Option<&'static str>,
    kind: Option<&'static str>,
    rule: Option<String>,
    blame: &'static str,
    why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
    count: u64,
}

/// Breaks that must occur.
pub(super) fn expected_breaks(result: &ScenarioResult) -> Vec<DeclaredBreakJson> {
    let all = result.expected.iter();
    all.map(|(expected, count)| DeclaredBreakJson::new(&expected.what, &expected.why, *count))
        .collect()
}

/// Known breaks that the gate accepts.
pub(super) fn known_breaks(result: &ScenarioResult) -> Vec<DeclaredBreakJson> {
    let all = result.known.iter().map(|(known, count)| DeclaredBreakJson {
        url: Some(known.url.clone()),
        expires: Some(known.expires.to_string()),
        ..DeclaredBreakJson::new(&known.what, &known.why, *count)
    });
    all.collect()
}

impl DeclaredBreakJson {
    fn new(what: &BreakTarget, why: &str, count: u64) -> Self {
        let (promise, kind, rule, blame) = match what {
            BreakTarget::Promise(it) => (
                Some(labels::promise_keyword(it.promise)),
                Some(labels::breach_keyword(it.breach)),
                None,
                it.blame,
            ),
            BreakTarget::Rule(known) => (None, None, Some(known.rule.clone()), known.blame),
        };
        let (blame, why) = (labels::blame_keyword(blame), why.to_owned());
        Self { promise, kind, rule, blame, why, url: None, expires: None, count }
    }
}
