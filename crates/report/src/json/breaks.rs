//! Breaks that are declared, with how often they were seen.

use serde::Serialize;

use crate::words;
use qoslab_study::result::ScenarioResult;
use qoslab_study::scenario::expect::Expected;

#[derive(Serialize)]
pub(super) struct Break {
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

/// Those that must occur.
pub(super) fn expected(result: &ScenarioResult) -> Vec<Break> {
    let all = result.expected.iter();
    all.map(|(expected, count)| Break::new(&expected.what, &expected.why, *count)).collect()
}

/// Those that the gate knows.
pub(super) fn known(result: &ScenarioResult) -> Vec<Break> {
    let all = result.known.iter().map(|(known, count)| Break {
        url: Some(known.url.clone()),
        expires: Some(known.expires.to_string()),
        ..Break::new(&known.what, &known.why, *count)
    });
    all.collect()
}

impl Break {
    fn new(what: &Expected, why: &str, count: u64) -> Self {
        let (promise, kind, rule, blame) = match what {
            Expected::Promise(it) => {
                (Some(words::promise(it.promise)), Some(words::breach(it.breach)), None, it.blame)
            }
            Expected::Rule(known) => (None, None, Some(known.rule.clone()), known.blame),
        };
        let (blame, why) = (words::blame(blame), why.to_owned());
        Self { promise, kind, rule, blame, why, url: None, expires: None, count }
    }
}
