use std::time::Duration;

use super::*;

fn sent(lines: &[&str]) -> Delivery {
    let mut delivery = Delivery::default();
    lines.iter().for_each(|line| delivery.sent(line, Instant::now()));
    delivery
}

/// Sends a ping. Returns its pong.
fn ask(delivery: &mut Delivery) -> String {
    let ping = delivery.ask();
    format!("* Pong {}", ping.strip_prefix("/ping ").unwrap())
}

fn hear(delivery: &mut Delivery, line: &str) -> bool {
    delivery.hear(ServerLine::parse(line), Instant::now()).is_pong
}

/// Sends a private message, and handles these lines. Returns its fate.
fn fate(lines: &[&str], line: &str) -> (Delivery, Option<Fate>) {
    let mut delivery = sent(&["/msg Alice hi"]);
    let pong = ask(&mut delivery);
    lines.iter().for_each(|line| {
        assert_eq!(delivery.hear(ServerLine::parse(line), Instant::now()), Heard::default(), "{line}")
    });
    let line = if line == "* Pong" { &pong } else { line };
    let private = delivery.hear(ServerLine::parse(line), Instant::now()).private;
    assert!(private.as_ref().is_none_or(|(line, _)| line == "/msg Alice hi"));
    assert_eq!(delivery.has_private(), private.is_none());
    (delivery, private.map(|(_, fate)| fate))
}

fn missing(lines: usize, first: Option<&str>) -> Option<(usize, Option<&str>)> {
    Some((lines, first))
}

#[test]
fn a_pong_confirms_the_lines_before_its_ping() {
    let mut delivery = sent(&["one", "two"]);
    let pong = ask(&mut delivery);
    assert!(delivery.is_waiting());
    delivery.sent("three", Instant::now());
    assert!(!hear(&mut delivery, "Alice: tick"), "what others say is no receipt");
    assert_eq!(delivery.missing(), missing(3, Some("one")));
    assert!(hear(&mut delivery, &pong));
    assert_eq!(delivery.missing(), missing(1, Some("three")));
    let pong = ask(&mut delivery);
    assert!(hear(&mut delivery, &pong));
    assert!(delivery.missing().is_none() && !delivery.is_waiting());
    assert!(!hear(&mut delivery, &pong), "there was no ping");
}

#[test]
fn a_ping_is_due_after_a_second_or_ten_lines() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let mut delivery = Delivery::default();
    assert_eq!(delivery.due(), None);
    delivery.sent("one", start);
    delivery.sent("two", start + second / 2);
    assert_eq!(delivery.due(), Some(start + second));
    let first = ask(&mut delivery);
    assert_eq!(delivery.due(), None);
    (0..9).for_each(|_| delivery.sent("three", start + second));
    assert_eq!(delivery.due(), Some(start + 2 * second));
    delivery.sent("four", start + second);
    assert_eq!(delivery.due(), Some(start + second));
    let second_pong = ask(&mut delivery);
    delivery.sent("five", start + second);
    for (pong, expected) in [(first, missing(11, Some("three"))), (second_pong, missing(1, Some("five")))] {
        assert!(hear(&mut delivery, &pong));
        assert_eq!(delivery.missing(), expected);
    }
}

#[test]
fn answers_to_the_persons_own_pings_are_shown() {
    let mut delivery = sent(&["/ping", "/ping 1"]);
    let pong = ask(&mut delivery);
    for own in ["* Pong", "* Pong 1", "* Pong 0000000000000000", "Alice: * Pong", "* You are Bob already."] {
        assert!(!hear(&mut delivery, own), "{own}");
    }
    assert_eq!(delivery.missing(), missing(2, Some("/ping")));
    assert!(hear(&mut delivery, &pong));
}

#[test]
fn after_a_lost_pong_the_next_one_confirms_all_lines() {
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let mut delivery = sent(&["one"]);
    let due = delivery.due();
    delivery.hear(ServerLine::parse("* You missed 7 lines."), start + 9 * second);
    assert_eq!(delivery.due(), due, "there was no ping");
    let lost = ask(&mut delivery);
    delivery.hear(ServerLine::parse("* You missed 7 lines."), start);
    assert_eq!(delivery.due(), Some(start + second));
    let pong = ask(&mut delivery);
    delivery.sent("two", start);
    assert!(hear(&mut delivery, &pong));
    assert_eq!(delivery.missing(), missing(1, Some("two")));
    assert!(!hear(&mut delivery, &lost));
    // The pong came, although other lines were lost.
    let pong = ask(&mut delivery);
    delivery.hear(ServerLine::parse("* You missed 7 lines."), start);
    assert!(hear(&mut delivery, &pong));
    assert_eq!((delivery.due(), delivery.missing()), (None, None));
}

#[test]
fn a_server_that_does_not_answer_gets_a_limited_number_of_pings() {
    let mut delivery = sent(&["hi"]);
    let mut pongs = Vec::new();
    while delivery.due().is_some() {
        pongs.push(ask(&mut delivery));
        hear(&mut delivery, "* You missed 3 lines.");
    }
    assert_eq!(pongs.len(), RECEIPTS_WAITING);
    assert!(hear(&mut delivery, &pongs[0]));
    assert!(delivery.due().is_some(), "one has its answer, so there is room for another");
}

#[test]
fn the_refusal_of_an_unknown_ping_is_a_pong() {
    const UNKNOWN: &str = "! unknown-command: there is no /ping; /help lists the commands";
    let mut delivery = sent(&["one"]);
    assert!(!hear(&mut delivery, UNKNOWN), "there was no ping");
    ask(&mut delivery);
    delivery.sent("two", Instant::now());
    for other in ["/foo", "/pings", "/pin", "/ping2", "/ping-x"] {
        let unknown = UNKNOWN.replace("/ping", other);
        assert!(!hear(&mut delivery, &unknown), "{unknown}");
    }
    assert!(hear(&mut delivery, UNKNOWN));
    assert_eq!(delivery.missing(), missing(1, Some("two")));
}

#[test]
fn the_pong_decides_the_fate_of_a_private_message() {
    let refused = |code: &str| Some(Fate::Refused(code.to_owned()));
    let nobody = "! no-such-user: nobody here is called Alice; /who lists all";
    let muted = "! muted: you may listen, but say nothing";
    assert_eq!(fate(&["Bob: hi", "* Zoe has left"], "* Pong").1, Some(Fate::Accepted));
    assert_eq!(fate(&["Bob: hi", nobody], "* Pong").1, refused("no-such-user"));
    assert_eq!(fate(&[muted], "* Pong").1, refused("muted"));
    assert_eq!(fate(&["* You missed 7 lines."], "* Pong").1, Some(Fate::Unknown));
    assert_eq!(fate(&["* You missed 7 lines.", nobody], "* Pong").1, refused("no-such-user"));
}

#[test]
fn without_a_pong_the_goodbye_decides_the_fate_of_a_private_message() {
    let [none, one] = [0, 1].map(|count| format!("* Bye, Bob: {count} lines accepted, 0 refused."));
    let (kicked, ignored) = ("! kicked: you are sent out", "! ignored: Alice ignores you");
    assert_eq!(fate(&[], &one).1, Some(Fate::Accepted));
    assert_eq!(fate(&["* You missed 7 lines."], &one).1, Some(Fate::Accepted));
    assert_eq!(fate(&[kicked], &one).1, Some(Fate::Accepted));
    let (delivery, fate_by_then) = fate(&[ignored], &none);
    assert_eq!((fate_by_then, delivery.missing()), (Some(Fate::Refused("ignored".to_owned())), None));
    let (delivery, fate_by_then) = fate(&["* The server is shutting down"], &none);
    assert_eq!((fate_by_then, delivery.missing()), (None, missing(1, Some("/msg Alice hi"))));
}

#[test]
fn after_a_private_message_a_ping_is_due_at_once() {
    let now = Instant::now();
    for (line, is_due) in [("/msg Alice hi", true), ("/MSG Nobody hi", true), ("/msg Alice", false), ("hi", false)] {
        let mut delivery = Delivery::default();
        delivery.sent(line, now);
        assert_eq!((delivery.due() == Some(now), delivery.has_private()), (is_due, is_due), "{line}");
    }
}

#[test]
fn the_goodbye_tells_how_many_lines_were_accepted() {
    for (accepted, expected) in [(3, None), (2, missing(1, None)), (0, missing(3, None))] {
        let mut delivery = Delivery::default();
        for (line, refusal) in [
            ("/msg Alice two", None),
            ("/msg Nobody three", Some("! no-such-user: nobody here is called Nobody; /who lists all")),
            ("/msg Deaf hi", Some("! ignored: Deaf ignores you")),
            ("/kick Nobody", Some("! not-operator: only an operator may do that")),
            (&*format!("/msg Alice {}", "x".repeat(LINE_BYTES)), Some("! line-too-long: no")),
        ] {
            delivery.sent(line, Instant::now());
            let pong = ask(&mut delivery);
            refusal.iter().for_each(|refusal| drop(delivery.hear(ServerLine::parse(refusal), Instant::now())));
            hear(&mut delivery, &pong);
        }
        let too_long = "x".repeat(LINE_BYTES + 1);
        for line in ["one", "/who", "/kick Carol", "/ignore Al", &too_long, "four"] {
            delivery.sent(line, Instant::now());
        }
        hear(&mut delivery, "! no-such-user: nobody here is called Carol; /who lists all");
        hear(&mut delivery, "! line-too-long: no");
        hear(&mut delivery, &format!("* Bye, Bob: {accepted} lines accepted, 6 refused."));
        assert_eq!(delivery.missing(), expected);
    }
    let mut delivery = sent(&["one", "two"]);
    let pong = ask(&mut delivery);
    hear(&mut delivery, &pong);
    delivery.sent("three", Instant::now());
    hear(&mut delivery, "* Bye, Bob: 1 line accepted, 0 refused.");
    assert_eq!(delivery.missing(), missing(1, Some("three")), "the others have a receipt");
}

#[test]
fn a_refused_line_of_a_muted_person_is_not_lost() {
    let mut delivery = sent(&["hi", "/nick Carol", "hi again"]);
    for refusal in ["may listen, but say nothing", "keep your name", "may listen, but say nothing until 2030"] {
        hear(&mut delivery, &format!("! muted: you {refusal}"));
    }
    hear(&mut delivery, "* Bye, Bob: 0 lines accepted, 3 refused.");
    assert_eq!(delivery.missing(), None);
}
