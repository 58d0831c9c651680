//! Each thing that can be wrong in one value or field, as it is shown.

use super::super::*;
use super::SMALL;

pub(super) fn error_text(text: &str) -> String {
    Scenario::parse("test.toml", text).expect_err("this should be refused").render(false)
}

/// The small scenario with one text replaced.
pub(super) fn error_after_replacing(old: &str, new: &str) -> String {
    assert!(SMALL.contains(old), "{old} is not in the scenario");
    error_text(&SMALL.replace(old, new))
}

#[test]
fn values_out_of_range_or_without_a_unit() {
    let all = error_after_replacing(
        "delay = \"20ms\"",
        "delay = 40\nloss = \"120%\"\nrate = \"0kbit/s\"\nduplicate = \"2\"",
    );
    insta::assert_snapshot!(all, @r#"
    error: delay needs a unit
      --> test.toml:13:9
       |
    13 | delay = 40
       |         ^^ `40` has no unit
       |
    help: write "40ms" or "40s"

    error: loss must be between 0 and 100 percent
      --> test.toml:14:8
       |
    14 | loss = "120%"
       |        ^^^^^^ this is 120 %

    error: rate must be more than zero
      --> test.toml:15:8
       |
    15 | rate = "0kbit/s"
       |        ^^^^^^^^^ nothing would ever leave
       |
    help: write "unlimited" for no limit

    error: duplicate needs a unit
      --> test.toml:16:13
       |
    16 | duplicate = "2"
       |             ^^^ `2` has no unit
       |
    help: write "2%"
    "#);
}

#[test]
fn numbers_out_of_range() {
    let text = SMALL
        .replace("count = 3", "count = 0")
        .replace("every = \"1s\"", "every = \"0s\"")
        .replace(
            "name = \"small\"",
            "name = \"small\"\nseeds = { count = -1 }\ndeadline = \"200000d\"",
        );
    insta::assert_snapshot!(error_text(&text), @r#"
    error: count must be from 1 to 1,000,000
     --> test.toml:4:19
      |
    4 | seeds = { count = -1 }
      |                   ^^ this is -1

    error: deadline is too large
     --> test.toml:5:12
      |
    5 | deadline = "200000d"
      |            ^^^^^^^^^ `200000d` is too large
      |
    help: at most 100 years (36500d)

    error: count must be from 1 to 100,000,000
     --> test.toml:8:52
      |
    8 | publish = [{ topic = "t", qos = [0, 1, 2], count = 0, every = "0s" }]
      |                                                    ^ this is 0

    error: every must be more than zero
     --> test.toml:8:63
      |
    8 | publish = [{ topic = "t", qos = [0, 1, 2], count = 0, every = "0s" }]
      |                                                               ^^^^ this is no time at all
    "#);
}

#[test]
fn all_misspelt_fields_and_words_at_once() {
    let text = SMALL
        .replace("delay =", "dealy =")
        .replace("filter =", "fliter =")
        .replace("name = \"dashboard\"", "name = \"dashboard\"\nsession = \"persistant\"\nids = 3");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: there is no field `fliter` here
      --> test.toml:11:16
       |
    11 | subscribe = [{ fliter = "t", qos = 2 }]
       |                ^^^^^^ unknown field
       |
    help: did you mean `filter`?

    error: there is no field `dealy` here
      --> test.toml:15:1
       |
    15 | dealy = "20ms"
       | ^^^^^ unknown field
       |
    help: did you mean `delay`?

    error: session cannot be `persistant`
     --> test.toml:9:11
      |
    9 | session = "persistant"
      |           ^^^^^^^^^^^^ unknown word
      |
    help: did you mean `persistent`?

    error: ids must be one of its known words, in quotes
      --> test.toml:10:7
       |
    10 | ids = 3
       |       ^ this is no text
    "#);
}

#[test]
fn a_misspelt_field_is_shown_before_what_follows_from_it() {
    let fault = "[[fault]]\nat = \"1s\"\non = \"sensor\"\ndo = \"cut\"\n[[link]]";
    let text =
        SMALL.replacen("[[link]]", fault, 1).replace("delay =", "transprot = \"tcp\"\ndelay =");
    let errors = error_text(&text);
    let titles: Vec<_> = errors.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(titles[0], "error: there is no field `transprot` here", "{errors}");
    assert!(titles[1..].contains(&"error: `cut` needs a connection of tcp"), "{errors}");
}

#[test]
fn a_link_says_what_carries_its_packets() {
    insta::assert_snapshot!(error_after_replacing("transport = \"datagram\"\n", ""), @r#"
    error: the field `transport` is missing
      --> test.toml:10:1
       |
    10 | [[link]]
       | ^^^^^^^^ `transport` is needed here
       |
    help: write `transport = "tcp"` for MQTT as it is, in which loss costs time; or `transport = "datagram"` for MQTT-SN and the textbook picture, in which each packet may be lost
    "#);
    let misspelt = error_after_replacing("transport =", "transprot =");
    assert!(misspelt.contains("did you mean `transport`?"), "{misspelt}");
    assert!(!misspelt.contains("is missing"), "{misspelt}");
}

#[test]
fn invalid_toml_is_refused() {
    insta::assert_snapshot!(error_text("schema = = 1\nname = \"x\nseeds"), @r#"
    error: this is not TOML: extra `=`, expected nothing
     --> test.toml:1:10
      |
    1 | schema = = 1
      |          ^

    error: this is not TOML: unexpected key or value, expected newline, `#`
     --> test.toml:1:12
      |
    1 | schema = = 1
      |            ^

    error: this is not TOML: invalid basic string, expected `"`
     --> test.toml:2:10
      |
    2 | name = "x
      |          ^

    error: this is not TOML: key with no value, expected `=`
     --> test.toml:3:6
      |
    3 | seeds
      |      ^
    "#);
}

#[test]
fn an_empty_file_and_a_missing_field() {
    insta::assert_snapshot!(error_text(""), @r"
    error: the field `schema` is missing
     --> test.toml:1:1
      |
    1 |
      | ^ `schema` is needed here
      |
    help: write `schema = 1`: the version of the format
    ");
    insta::assert_snapshot!(error_after_replacing("topic = \"t\", ", ""), @r#"
    error: the field `topic` is missing
     --> test.toml:6:12
      |
    6 | publish = [{ qos = [0, 1, 2], count = 3, every = "1s" }]
      |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ `topic` is needed here
    "#);
}

#[test]
fn invalid_names_are_refused() {
    let text = SMALL.replace("\"small\"", "\"../up\"").replace("\"sensor\"", "\"broker\"");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: the name cannot name a folder
     --> test.toml:3:8
      |
    3 | name = "../up"
      |        ^^^^^^^ results are kept under it
      |
    help: use up to 64 letters, digits, `-`, `_` and `.`, not beginning with `.`

    error: a client needs a name of its own
     --> test.toml:5:8
      |
    5 | name = "broker"
      |        ^^^^^^^^ this is the broker's
      |
    help: use letters, digits, `-`, `_` and `.`, and `{i}` for the number in a fleet
    "#);
}

#[test]
fn topics_against_the_rules() {
    let text = SMALL
        .replace("topic = \"t\"", "topic = \"t/#\"")
        .replace("filter = \"t\"", "filter = \"t+\"");
    insta::assert_snapshot!(error_text(&text), @r#"
    error: the topic contains a wildcard, which only a filter may [MQTT-4.7.1-1]
     --> test.toml:6:22
      |
    6 | publish = [{ topic = "t/#", qos = [0, 1, 2], count = 3, every = "1s" }]
      |                      ^^^^^ not a topic name

    error: the topic filter has a '+' that is not the whole of its level [MQTT-4.7.1-3]
     --> test.toml:9:25
      |
    9 | subscribe = [{ filter = "t+", qos = 2 }]
      |                         ^^^^ not a topic filter
    "#);
}

#[test]
fn a_message_that_fits_no_datagram() {
    insta::assert_snapshot!(error_after_replacing("count = 3,", "count = 3, payload = \"1MB\","), @r#"
    error: the message does not fit a datagram
     --> test.toml:6:65
      |
    6 | publish = [{ topic = "t", qos = [0, 1, 2], count = 3, payload = "1MB", every = "1s" }]
      |                                                                 ^^^^^ up to 1,000,000 bytes
      |
    help: a PUBLISH can have 65,507 bytes in all
    "#);
}

#[test]
fn a_retry_timer_of_zero_is_refused() {
    let text = SMALL.replace(
        "name = \"sensor\"",
        "name = \"sensor\"\nretry = { every = \"0s\", backoff = 0.5 }\nkeep_alive = \"1.5s\"",
    );
    insta::assert_snapshot!(error_text(&text), @r#"
    error: a retry must wait for some time
     --> test.toml:6:9
      |
    6 | retry = { every = "0s", backoff = 0.5 }
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ less than 1 µs

    error: backoff must be from 1 to 100
     --> test.toml:6:9
      |
    6 | retry = { every = "0s", backoff = 0.5 }
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ this is 0.5

    error: keep_alive must be whole seconds, at most 65535s
     --> test.toml:7:14
      |
    7 | keep_alive = "1.5s"
      |              ^^^^^^ this cannot be written in a CONNECT
      |
    help: see MQTT 3.1.1, section 3.1.2.10
    "#);
}

#[test]
fn files_that_are_no_scenarios() {
    let folder = tempfile::tempdir().unwrap();
    let shown = |errors: Diagnostics| {
        errors.render(false).replace(&folder.path().display().to_string(), "FOLDER")
    };
    let load = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        shown(Scenario::load(&path).unwrap_err())
    };
    insta::assert_snapshot!(shown(find_scenarios(folder.path()).unwrap_err()), @r"
    error: there is no scenario in this folder
    --> FOLDER
     |
    help: scenarios are files that end in `.toml`
    ");
    insta::assert_snapshot!(shown(Scenario::load(&folder.path().join("none.toml")).unwrap_err()), @r"
    error: failed to read the scenario: No such file or directory (os error 2)
    --> FOLDER/none.toml
     |
    help: check the path
    ");
    insta::assert_snapshot!(load("binary.toml", &[0xff, 0xfe, 0, 1]), @r"
    error: this is not text (UTF-8): not a scenario
    --> FOLDER/binary.toml
     |
    help: a scenario is a TOML file
    ");
    insta::assert_snapshot!(load("large.toml", &vec![b'#'; 1_000_001]), @r"
    error: this is larger than 1 MB: not a scenario
    --> FOLDER/large.toml
     |
    help: fleets are written with `count`
    ");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let shown =
        error_after_replacing("name = \"small\"", "name = \"\\u001b[31m\"\n\"\\u001b[2J\" = 1");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn colour_is_a_choice() {
    let errors = Scenario::parse("test.toml", "").unwrap_err();
    assert!(errors.render(true).contains('\u{1b}'));
    assert!(!errors.render(false).contains('\u{1b}'));
}
