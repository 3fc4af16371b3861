use std::time::Duration;

use super::*;

fn sent(lines: &[&str]) -> Delivery {
    let mut delivery = Delivery::default();
    lines.iter().for_each(|line| delivery.sent(line, &RoomName::lobby(), Instant::now()));
    delivery
}

/// Sends a ping. Returns its pong.
fn ask(delivery: &mut Delivery) -> String {
    let ping = delivery.ask();
    format!("* Pong {}", ping.strip_prefix("/ping ").unwrap())
}

fn hear_at(delivery: &mut Delivery, line: &str, now: Instant) -> Heard {
    delivery.hear(ServerLine::parse(line), &Name::parse("Bob").unwrap(), now)
}

/// Whether the line is a receipt.
fn hear(delivery: &mut Delivery, line: &str) -> bool {
    hear_at(delivery, line, Instant::now()).is_receipt
}

/// Sends a private message, and handles these lines. Returns its fate.
fn fate(lines: &[&str], line: &str) -> (Delivery, Option<Fate>) {
    let mut delivery = sent(&["/msg Alice hi"]);
    let pong = ask(&mut delivery);
    lines.iter().for_each(|line| assert_eq!(hear_at(&mut delivery, line, Instant::now()), Heard::default(), "{line}"));
    let line = if line == "* Pong" { &pong } else { line };
    let private = hear_at(&mut delivery, line, Instant::now()).alone;
    assert!(private.as_ref().is_none_or(|(line, _)| line == "/msg Alice hi"));
    assert_eq!(delivery.has_alone(), private.is_none());
    (delivery, private.map(|(_, fate)| fate))
}

fn missing(lines: usize, first: &str) -> Option<(usize, &str)> {
    Some((lines, first))
}

#[test]
fn a_pong_confirms_the_lines_before_its_ping() {
    let mut delivery = sent(&["one", "two"]);
    let pong = ask(&mut delivery);
    assert!(delivery.is_waiting());
    delivery.sent("three", &RoomName::lobby(), Instant::now());
    assert!(!hear(&mut delivery, "Alice: tick"), "what others say is no receipt");
    assert_eq!(delivery.missing(), missing(3, "one"));
    assert!(hear(&mut delivery, &pong));
    assert_eq!(delivery.missing(), missing(1, "three"));
    let pong = ask(&mut delivery);
    assert!(hear(&mut delivery, &pong));
    assert!(delivery.missing().is_none() && !delivery.is_waiting());
    assert!(!hear(&mut delivery, &pong), "there was no ping");
}

#[test]
fn a_ping_is_due_a_second_after_the_first_line_without_a_receipt() {
    let start = Instant::now();
    let second = Duration::from_secs(1);
    let mut delivery = Delivery::default();
    assert_eq!(delivery.due(), None);
    delivery.sent("/who", &RoomName::lobby(), start);
    delivery.sent("two", &RoomName::lobby(), start + second / 2);
    assert_eq!(delivery.due(), Some(start + second));
    let pong = ask(&mut delivery);
    assert_eq!(delivery.due(), None);
    delivery.sent("three", &RoomName::lobby(), start + second);
    assert_eq!(delivery.due(), Some(start + 2 * second));
    assert!(hear(&mut delivery, &pong));
    assert_eq!(delivery.missing(), missing(1, "three"));
    assert!(hear(&mut delivery, "[7 2026-11-26T12:03:11Z] Bob: three"));
    assert_eq!((delivery.due(), delivery.missing()), (None, None), "no ping is needed");
}

#[test]
fn an_accepted_message_comes_back_and_confirms_what_was_sent_before_it() {
    let mut delivery = sent(&["/who", "one", "//two\x07", "one", "three"]);
    for other in ["[1 2026-11-26T12:03:11Z] Alice: one", "Bob: one", "[1 2026-11-26T12:03:11Z] Bob: two"] {
        assert!(!hear(&mut delivery, other), "{other}");
    }
    assert!(hear(&mut delivery, "[2 2026-11-26T12:03:11Z] Bob: one"));
    assert_eq!(delivery.missing(), missing(3, "//two\x07"));
    // It comes back as the others read it.
    assert!(hear(&mut delivery, "[3 2026-11-26T12:03:11Z] Bob: /two^G"));
    assert!(hear(&mut delivery, "[4 2026-11-26T12:03:11Z] Bob: one"));
    assert_eq!(delivery.missing(), missing(1, "three"));
    let uncertain: Vec<_> = delivery.uncertain().into_iter().map(|uncertain| uncertain.line).collect();
    assert_eq!((uncertain.as_slice(), delivery.missing()), (&["three".to_owned()][..], None));
}

#[test]
fn a_message_comes_back_from_the_room_where_it_was_said() {
    let (dev, now) = (RoomName::parse("dev").unwrap(), Instant::now());
    let mut delivery = Delivery::default();
    delivery.sent("one", &dev, now);
    delivery.sent("/say ops one", &dev, now);
    assert!(!hear(&mut delivery, "[7 2026-11-26T12:03:11Z] Bob: one"));
    let heard = |line| Heard { is_receipt: true, is_new: line == "[ops 8 2026-11-26T12:03:11Z] Bob: one", alone: None };
    for line in ["[dev 7 2026-11-26T12:03:11Z] Bob: one", "[ops 8 2026-11-26T12:03:11Z] Bob: one"] {
        assert_eq!(hear_at(&mut delivery, line, now), heard(line));
    }
    assert!(delivery.missing().is_none());
}

#[test]
fn a_command_that_changes_the_rooms_goes_alone() {
    let now = Instant::now();
    for (line, is_alone) in [
        ("/join dev", true),
        ("/leave", true),
        ("/hear dev", true),
        ("/hear dev since=2h", true),
        ("/deaf dev", true),
        ("/hear", false),
        ("/rooms", false),
        ("/join Dev", false),
        ("/say dev hi", false),
    ] {
        let mut delivery = Delivery::default();
        delivery.sent(line, &RoomName::lobby(), now);
        assert_eq!((delivery.has_alone(), delivery.due() == Some(now)), (is_alone, is_alone), "{line}");
        assert_eq!(delivery.take_move(), is_alone.then(|| line.to_owned()));
    }
    let mut outbox = Outbox::default();
    outbox.add(["one", "/join dev", "two"].map(str::to_owned).to_vec());
    let mut delivery = Delivery::default();
    let mut next = |delivery: &mut Delivery| outbox.next(delivery, &RoomName::lobby(), false, now);
    assert_eq!(next(&mut delivery).unwrap().line(), "one");
    let Some(ToSend::Ping(ping)) = next(&mut delivery) else { panic!("the message is not confirmed") };
    assert!(next(&mut delivery).is_none());
    hear(&mut delivery, &format!("* Pong {}", ping.strip_prefix("/ping ").unwrap()));
    assert_eq!(next(&mut delivery).unwrap().line(), "/join dev");
}

#[test]
fn answers_to_the_persons_own_pings_are_shown() {
    let mut delivery = sent(&["/ping", "/ping 1"]);
    let pong = ask(&mut delivery);
    for own in ["* Pong", "* Pong 1", "* Pong 0000000000000000", "Alice: * Pong", "* You are Bob already."] {
        assert!(!hear(&mut delivery, own), "{own}");
    }
    assert_eq!(delivery.missing(), missing(2, "/ping"));
    assert!(hear(&mut delivery, &pong));
}

#[test]
fn after_a_lost_pong_the_next_one_confirms_all_lines() {
    let (start, second) = (Instant::now(), Duration::from_secs(1));
    let mut delivery = sent(&["one"]);
    let due = delivery.due();
    hear_at(&mut delivery, "* You missed 7 lines.", start + 9 * second);
    assert_eq!(delivery.due(), due, "there was no ping");
    let lost = ask(&mut delivery);
    hear_at(&mut delivery, "* You missed 7 lines.", start);
    assert_eq!(delivery.due(), Some(start + second));
    let pong = ask(&mut delivery);
    delivery.sent("two", &RoomName::lobby(), start);
    assert!(hear(&mut delivery, &pong));
    assert_eq!(delivery.missing(), missing(1, "two"));
    assert!(!hear(&mut delivery, &lost));
    // The pong came, although other lines were lost.
    let pong = ask(&mut delivery);
    hear_at(&mut delivery, "* You missed 7 lines.", start);
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
    delivery.sent("hi", &RoomName::lobby(), Instant::now());
    assert!(delivery.due().is_some(), "one has its answer, so there is room for another");
}

#[test]
fn the_refusal_of_an_unknown_ping_is_a_pong() {
    const UNKNOWN: &str = "! unknown-command: there is no /ping; /help lists the commands";
    let mut delivery = sent(&["one"]);
    assert!(!hear(&mut delivery, UNKNOWN), "there was no ping");
    ask(&mut delivery);
    delivery.sent("two", &RoomName::lobby(), Instant::now());
    for other in ["/foo", "/pings", "/pin", "/ping2", "/ping-x"] {
        let unknown = UNKNOWN.replace("/ping", other);
        assert!(!hear(&mut delivery, &unknown), "{unknown}");
    }
    assert!(hear(&mut delivery, UNKNOWN));
    assert_eq!(delivery.missing(), missing(1, "two"));
}

#[test]
fn the_pong_decides_the_fate_of_a_private_message() {
    let refused = |code: &str| Some(Fate::Refused(code.to_owned()));
    let nobody = "! no-such-user: nobody on this server is called Alice";
    let muted = "! muted: you may listen, but say nothing";
    assert_eq!(fate(&["Bob: hi", "* Zoe has left"], "* Pong").1, Some(Fate::Accepted));
    assert_eq!(fate(&["Bob: hi", nobody], "* Pong").1, refused("no-such-user"));
    assert_eq!(fate(&[muted], "* Pong").1, refused("muted"));
    assert_eq!(fate(&["* You missed 7 lines."], "* Pong").1, Some(Fate::Unknown));
    assert_eq!(fate(&["* You missed 7 lines in ops."], "* Pong").1, Some(Fate::Accepted));
    assert_eq!(fate(&["* You missed 7 lines.", nobody], "* Pong").1, refused("no-such-user"));
}

#[test]
fn after_the_goodbye_of_a_leaving_person_only_messages_are_uncertain() {
    for (refusal, expected) in [(None, Fate::Accepted), (Some("ignored"), Fate::Refused("ignored".to_owned()))] {
        let mut delivery = sent(&["one", "/who", "/msg Alice hi"]);
        if let Some(code) = refusal {
            assert!(!hear(&mut delivery, &format!("! {code}: Alice ignores you")));
        }
        assert_eq!(delivery.all_handled(), Some(("/msg Alice hi".to_owned(), expected)));
        assert_eq!(delivery.missing(), missing(1, "one"));
    }
}

#[test]
fn after_a_private_message_a_ping_is_due_at_once() {
    let now = Instant::now();
    for (line, is_due) in [("/msg Alice hi", true), ("/MSG Nobody hi", true), ("/msg Alice", false), ("hi", false)] {
        let mut delivery = Delivery::default();
        delivery.sent(line, &RoomName::lobby(), now);
        assert_eq!((delivery.due() == Some(now), delivery.has_alone()), (is_due, is_due), "{line}");
    }
}

#[test]
fn a_refused_line_of_a_muted_person_is_not_lost() {
    let mut delivery = sent(&["hi", "/nick Carol", "hi again"]);
    for refusal in ["may listen, but say nothing", "keep your name", "may listen, but say nothing until 2030"] {
        hear(&mut delivery, &format!("! muted: you {refusal}"));
    }
    assert_eq!(delivery.missing(), missing(1, "/nick Carol"));
}
