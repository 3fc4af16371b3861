use super::*;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

#[test]
fn durations_are_read_the_way_people_write_them() {
    for (text, seconds) in [
        ("10 minutes", 10 * MINUTE),
        ("10minutes", 10 * MINUTE),
        ("10-minutes", 10 * MINUTE),
        ("10 Minutes", 10 * MINUTE),
        ("10 MIN", 10 * MINUTE),
        ("10 mins", 10 * MINUTE),
        ("10m", 10 * MINUTE),
        ("for 10 minutes", 10 * MINUTE),
        ("2 h", 2 * HOUR),
        ("2H", 2 * HOUR),
        ("1.5h", HOUR + 30 * MINUTE),
        ("7d", 7 * DAY),
        ("7days", 7 * DAY),
        ("1 week", 7 * DAY),
        ("1h30m", HOUR + 30 * MINUTE),
        ("1h 30m", HOUR + 30 * MINUTE),
        ("1 h 30 m", HOUR + 30 * MINUTE),
        ("2 hours 30 minutes", 2 * HOUR + 30 * MINUTE),
        ("2 hours, 30 minutes", 2 * HOUR + 30 * MINUTE),
        ("2 hours and 30 minutes", 2 * HOUR + 30 * MINUTE),
        ("an hour", HOUR),
        ("A Day", DAY),
        ("0s", 0),
    ] {
        let time = Duration::from_secs(seconds);
        assert_eq!(split_duration(text), Ok((Some(time), "")), "{text:?}");
        for (between, reason) in [(" ", "spam"), (": ", "spam"), ("  ", "2 much"), (" ", "and out"), (" ", "1st time")]
        {
            let text = format!("{text}{between}{reason}");
            assert_eq!(split_duration(&text), Ok((Some(time), reason)), "{text:?}");
        }
    }
    assert_eq!(split_duration("1M").unwrap().0, humantime::parse_duration("1month").ok());
}

#[test]
fn forever_is_no_duration_and_no_reason() {
    assert_eq!(split_duration("forever"), Ok((None, "")));
    assert_eq!(split_duration("Forever spam"), Ok((None, "spam")));
    assert_eq!(split_duration("forever.net spam"), Ok((None, "forever.net spam")));
}

#[test]
fn a_reason_that_begins_with_a_number_is_a_reason() {
    for reason in [
        "2 much",
        "2 us citizens",
        "3 strikes",
        "3 more of these",
        "100% spam",
        "1st time",
        "2nd offence",
        "10:30 spam",
        "10 spam",
        "for 2 reasons",
        "2-faced",
        "two faces",
        "half a brain",
        "for spam",
        "a minor thing",
        "a m",
        "an attack",
        "one more",
        "spam",
        "spam 10 minutes",
        "/",
        "-",
        "",
        "é",
    ] {
        assert_eq!(split_duration(reason), Ok((None, reason)));
    }
}

#[test]
fn a_mistyped_duration_is_neither_a_reason_nor_no_duration() {
    for text in [
        "10",
        "10 30m",
        "-5m",
        "-5 minutes",
        "10 minuts",
        "10 mintues",
        "10 mnutes",
        "10minuts",
        "30mspam",
        "10m-spam",
        "2 hous",
        "2 houers",
        "3 dyas",
        "1,5 h",
        "1,5h",
        "0.5.5 hours",
        "99999999999999999999 years",
        "99999999999999999999y",
        "10us",
        "18-year-old",
        "five minutes",
        "Half an hour",
        "a couple of days",
        "for two weeks",
        "for 10 minuts",
        "10:30",
        "2 hours 30 minuts",
        "2 hours 30",
        "１０ minutes",
        "18446744073709551615s 1s",
    ] {
        assert_eq!(split_duration(text), Err(Mistyped), "{text:?}");
        if !text.ends_with(char::is_numeric) {
            assert_eq!(split_duration(&format!("{text} spam")), Err(Mistyped), "{text:?}");
        }
    }
}
