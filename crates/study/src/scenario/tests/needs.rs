//! Needs that a file cannot have: of nobody, of nothing, and two that exclude each other.

use super::SMALL;
use super::errors::error_text;

fn error_of(needs: &str) -> String {
    error_text(&format!("{SMALL}[expect]\nneed = [{needs}]\n"))
}

#[test]
fn a_need_on_a_client_or_topic_that_does_not_exist_names_the_nearest() {
    insta::assert_snapshot!(
        error_of(r#"'client.dashbord.lost <= 0', 'topic."u".lost <= 0', 'client.s-*.stuck < 1'"#),
        @r#"
    error: there is no client `dashbord`
      --> test.toml:15:9
       |
    15 | need = ['client.dashbord.lost <= 0', 'topic."u".lost <= 0', 'client.s-*.stuck < 1']
       |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^ so this need can never be judged
       |
    help: did you mean `dashboard`?

    error: nobody publishes to `u`
      --> test.toml:15:38
       |
    15 | need = ['client.dashbord.lost <= 0', 'topic."u".lost <= 0', 'client.s-*.stuck < 1']
       |                                      ^^^^^^^^^^^^^^^^^^^^^ so this need can never be judged
       |
    help: did you mean `t`?

    error: there is no client `s-*`
      --> test.toml:15:61
       |
    15 | need = ['client.dashbord.lost <= 0', 'topic."u".lost <= 0', 'client.s-*.stuck < 1']
       |                                                             ^^^^^^^^^^^^^^^^^^^^^^ so this need can never be judged
       |
    help: known here: dashboard, sensor
    "#
    );
}

#[test]
fn a_need_that_names_no_client_and_no_topic_is_refused() {
    insta::assert_snapshot!(
        error_of(r#"'client.x <= 0', 'topic."t#".lost <= 0', 'clinet.x.lost <= 0'"#),
        @r#"
    error: the need names no client
      --> test.toml:15:9
       |
    15 | need = ['client.x <= 0', 'topic."t#".lost <= 0', 'clinet.x.lost <= 0']
       |         ^^^^^^^^^^^^^^^ a name and a metric are due
       |
    help: write it as in 'client.dashboard.lost <= 0'

    error: the need names no topics
      --> test.toml:15:26
       |
    15 | need = ['client.x <= 0', 'topic."t#".lost <= 0', 'clinet.x.lost <= 0']
       |                          ^^^^^^^^^^^^^^^^^^^^^^ has a '#' that is not the whole of the last level [MQTT-4.7.1-2]

    error: the need names no metric
      --> test.toml:15:50
       |
    15 | need = ['client.x <= 0', 'topic."t#".lost <= 0', 'clinet.x.lost <= 0']
       |                                                  ^^^^^^^^^^^^^^^^^^^^ there is no metric `clinet`
       |
    help: did you mean `client`?
    "#
    );
}

#[test]
fn a_need_asks_for_what_is_kept_apart_and_names_each_part_once() {
    insta::assert_snapshot!(
        error_of("'client.sensor.bytes <= 9', 'qos1.client.sensor.qos2.lost <= 0'"),
        @r"
    error: the need asks too much
      --> test.toml:15:9
       |
    15 | need = ['client.sensor.bytes <= 9', 'qos1.client.sensor.qos2.lost <= 0']
       |         ^^^^^^^^^^^^^^^^^^^^^^^^^^ `bytes` is not kept apart by client or topic
       |
    help: known there: delivered, lost, duplicated, copies, unexpected, stuck, reordered, latency, completion

    error: the need asks too much
      --> test.toml:15:37
       |
    15 | need = ['client.sensor.bytes <= 9', 'qos1.client.sensor.qos2.lost <= 0']
       |                                     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `qos2` stands there twice
    "
    );
}

#[test]
fn needs_that_no_value_meets_are_refused() {
    insta::assert_snapshot!(
        error_of(r#""lost <= 1%", "qos1.lost >= 2%", "delivered > 100%""#),
        @r#"
    error: two needs contradict each other
      --> test.toml:15:23
       |
    15 | need = ["lost <= 1%", "qos1.lost >= 2%", "delivered > 100%"]
       |                       ^^^^^^^^^^^^^^^^^ no value meets `lost <= 1%` too

    error: the need can never be met
      --> test.toml:15:42
       |
    15 | need = ["lost <= 1%", "qos1.lost >= 2%", "delivered > 100%"]
       |                                          ^^^^^^^^^^^^^^^^^^ there is no such value
    "#
    );
    // Of other levels, clients or numbers nothing contradicts.
    for needs in [
        r#""qos0.lost >= 2%", "qos1.lost <= 1%""#,
        r#""client.sensor.lost >= 2%", "client.dashboard.lost <= 1%""#,
        r#""latency.p50 <= 1s", "latency.p99 >= 2s""#,
        r#""lost <= 1%", "lost >= 0""#,
    ] {
        super::parse(&format!("{SMALL}[expect]\nneed = [{needs}]\n"));
    }
}
