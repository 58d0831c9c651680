//! What devices send and receive in a month, and what that costs.
//!
//! Counted are all wire bytes on the links of the billed devices since the traffic began: both
//! ways, resends, keep alive, connecting again, acknowledgements and headers. A month has 30 days,
//! in which each publisher goes on at the mean rate that the scenario gives it.

use crate::result::{TrialRow, TrialSummary};
use crate::statistics::{self, ConfidenceInterval, to_f64};
use qoslab_core::network::IntervalDistribution;
use qoslab_sim::{PublisherSetup, Setup};

/// Seconds of a month of 30 days.
const SECONDS_PER_MONTH: f64 = 30.0 * 86_400.0;

/// What one billed device sends and receives in a month.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MonthlyBill {
    /// The number of billed devices in the scenario.
    pub devices: u64,
    /// Megabytes of one device, a million bytes each: the mean over the runs.
    pub megabytes: ConfidenceInterval,
    /// What they cost, in the scenario's currency; `None` without a price.
    pub cost: Option<f64>,
}

/// What a scenario says of the bill of one of its points.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BillingFacts {
    /// How many messages the publishers publish in a month; `None` where their number has no end,
    /// or the scenario leaves some out.
    messages_per_month: Option<f64>,
    devices: u64,
    has_price: bool,
}

impl BillingFacts {
    pub(crate) fn new(setup: &Setup) -> Self {
        let streams = || setup.publishers.iter().filter(|stream| !stream.is_will);
        let messages = streams().map(rate).sum::<f64>() * SECONDS_PER_MONTH;
        let is_whole = streams().all(|stream| stream.only_sequences.is_none());
        let is_known = is_whole && messages > 0.0 && messages.is_finite();
        let billed = || setup.clients.iter().filter_map(|client| client.billed);
        Self {
            messages_per_month: is_known.then_some(messages),
            devices: billed().count() as u64,
            has_price: billed().any(|price| price > 0.0),
        }
    }

    /// The bill of one device; `None` if nothing is billed, or nothing was published or sent.
    pub(crate) fn monthly_bill(self, trials: &[TrialRow]) -> Option<MonthlyBill> {
        let per_device = self.messages_per_month? / to_f64(self.devices);
        let a_month = |amount: &dyn Fn(&TrialSummary) -> f64| -> Vec<f64> {
            let rows = trials.iter().filter_map(|row| {
                let messages = to_f64(row.qos.iter().map(|row| row.counts.messages).sum());
                let amount = amount(row.summary.as_ref()?);
                (messages > 0.0).then_some(amount / messages * per_device)
            });
            rows.collect()
        };
        let megabytes = a_month(&|summary| to_f64(summary.bill.bytes) / 1e6);
        if megabytes.iter().all(|megabytes| *megabytes <= 0.0) {
            return None;
        }
        let cost = self.has_price.then(|| statistics::mean(&a_month(&|it| it.bill.cost)).value);
        let megabytes = statistics::mean(&megabytes);
        Some(MonthlyBill { devices: self.devices, megabytes, cost })
    }
}

/// Messages a second.
pub(crate) fn rate(stream: &PublisherSetup) -> f64 {
    let every = match stream.every {
        IntervalDistribution::Fixed(span) | IntervalDistribution::Exponential(span) => {
            span.as_secs_f64()
        }
        IntervalDistribution::Uniform(least, most) => {
            f64::midpoint(least.as_secs_f64(), most.as_secs_f64())
        }
    };
    1.0 / every
}

#[cfg(test)]
mod tests {
    use crate::fixtures::study_of;
    use crate::scenario::Scenario;
    use qoslab_core::base::QoS;

    /// A sensor that reports each five minutes and pings each minute, and a dashboard on a LAN.
    fn scenario(sensor: &str, link: &str, lan: &str) -> String {
        format!(
            r#"
            schema = 1
            name = "month"
            deadline = "30d"
            seeds = {{ from = 1, count = 1 }}
            [[client]]
            name = "sensor"
            {sensor}
            [[client.publish]]
            topic = "t"
            qos = 1
            count = 1000
            every = "5m"
            payload = "100B"
            [[client]]
            name = "dashboard"
            keep_alive = "5s"
            [[client.subscribe]]
            filter = "t"
            qos = 1
            [[link]]
            between = ["sensor", "broker"]
            transport = "tcp"
            delay = "50ms"
            {link}
            [[link]]
            between = ["dashboard", "broker"]
            transport = "tcp"
            delay = "1ms"
            {lan}
            "#
        )
    }

    fn megabytes_and_cost(text: &str) -> (f64, Option<f64>) {
        let study = study_of(text);
        let bill = study.cells[0].result.points[0].monthly_bill().unwrap();
        assert_eq!(bill.devices, 1);
        (bill.megabytes.value, bill.cost)
    }

    #[track_caller]
    fn assert_near(found: f64, by_hand: f64) {
        let share = (found - by_hand) / by_hand;
        assert!(share.abs() < 0.002, "{found}, by hand {by_hand}");
    }

    #[test]
    fn a_device_pays_for_keep_alive_and_acknowledgements_and_not_for_the_dashboards_lan() {
        // PUBLISH of 107 B and PUBACK of 4 B, with TCP's headers, and the bare acknowledgement of
        // the latter; 8,640 times a month.
        let message = f64::from(107 + 40 + 4 + 40 + 40) * 8_640.0 / 1e6;
        let (quiet, cost) = megabytes_and_cost(&scenario("", "", ""));
        assert_near(quiet, message);
        assert_eq!(cost, None);
        // Four pings between two messages: PINGREQ, PINGRESP and its acknowledgement.
        let pings = 4.0 * f64::from(42 + 42 + 40) * 8_640.0 / 1e6;
        let keep_alive = "keep_alive = \"60s\"";
        let (pinging, cost) =
            megabytes_and_cost(&scenario(keep_alive, "price = \"0.40EUR/MB\"", ""));
        assert_near(pinging, message + pings);
        assert_near(cost.unwrap(), 0.4 * (message + pings));
    }

    #[test]
    fn a_named_link_without_publishers_is_billed_and_the_others_are_not() {
        // A ping each five seconds, and a message forwarded each five minutes.
        let (dashboard, cost) = megabytes_and_cost(&scenario("", "", "price = \"$2/GB\""));
        let pings = f64::from(42 + 42 + 40) * 86_400.0 * 30.0 / 5.0 / 1e6;
        assert!((0.97..1.05).contains(&(dashboard / pings)), "{dashboard} and {pings}");
        assert_near(cost.unwrap(), dashboard * 0.002);
    }

    #[test]
    fn prices_need_one_currency_and_a_link_that_exists() {
        let two = scenario("", "price = \"0.40EUR/MB\"", "price = \"$2/GB\"");
        let error = Scenario::parse("month.toml", &two).unwrap_err().to_string();
        assert!(error.contains("prices need one currency"), "{error}");
        let scenario = Scenario::parse("month.toml", &scenario("", "", "")).unwrap();
        let error = scenario.price_settings(Some("sensr"), "1EUR/MB").unwrap_err();
        assert_eq!(error.help, "did you mean `sensor`?");
        let all = scenario.price_settings(None, "1EUR/MB").unwrap();
        let paths: Vec<_> = all.iter().map(|setting| setting.path.as_str()).collect();
        assert_eq!(paths, ["link.sensor.price"]);
        assert_eq!(scenario.points[0].published, Some(QoS::AtLeastOnce));
    }
}
