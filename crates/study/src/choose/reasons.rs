//! Reasons why no level meets the needs, from the setups and the numbers.

use crate::result::Verdict;
use crate::scenario::{Bound, Comparison, Metric};
use crate::sweep::Study;
use qoslab_core::base::QoS;
use qoslab_sim::Setup;

use super::{Candidate, NeedJudgement};

/// The reasons, each once, in the order of the options.
pub(super) fn collect_reasons(study: &Study, options: &[Candidate]) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    let mut add = |reason: String| {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    };
    let setups = || {
        let scenarios = study.cells.iter().map(|cell| &cell.result.scenario);
        scenarios.flat_map(|scenario| &scenario.points).map(|point| &*point.setup)
    };
    for missed in options.iter().flat_map(Candidate::missed_needs) {
        setups().flat_map(|setup| qos_cap_reasons(setup, missed)).for_each(&mut add);
    }
    for option in options {
        let qos = option.qos;
        match option.verdict {
            Verdict::Holds => {}
            Verdict::Violated => add(format!(
                "With QoS {qos} an endpoint breaks a promise or a rule, so no number of it can be \
                 relied on: see qoslab run."
            )),
            Verdict::Inconclusive => add(format!(
                "With QoS {qos} a trial did not come to its end before the deadline: see qoslab \
                 run."
            )),
            Verdict::NotDeterministic | Verdict::Bug => {
                add(format!("With QoS {qos} qoslab itself failed: see qoslab run."));
            }
        }
    }
    reasons
}

/// The limit on the received QoS, where it is the cause of the need's failure.
fn qos_cap_reasons(setup: &Setup, missed: &NeedJudgement) -> Vec<String> {
    let need = &missed.result.need;
    let zero = matches!(need.bound, Bound::Number(n) | Bound::Share(n) if n <= 0.0)
        && need.comparison == Comparison::AtMost;
    let wanted = match need.metric {
        Metric::Lost | Metric::Delivered => QoS::AtLeastOnce,
        Metric::Duplicated | Metric::Copies if zero => QoS::ExactlyOnce,
        _ => return Vec::new(),
    };
    let mut reasons = Vec::new();
    let text = &need.text;
    let rule = "a message is received with the lower of the published and the subscribed QoS";
    for client in &setup.clients {
        for subscription in &client.subscriptions {
            let qos = subscription.request.qos;
            if qos < wanted {
                reasons.push(format!(
                    "The subscription of `{}` caps it at QoS {qos}: {rule}, and `{text}` takes at \
                     least QoS {wanted}. Subscribe with qos = {wanted} or more.",
                    client.name
                ));
            }
        }
    }
    if setup.broker.max_qos < wanted {
        let most = setup.broker.max_qos;
        reasons.push(format!(
            "The broker caps it at QoS {most}: `{text}` takes at least QoS {wanted}. Set \
             broker.max_qos = {wanted} or more."
        ));
    }
    reasons
}
