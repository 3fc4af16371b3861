use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};

use async_io::Async;
use async_std::task::block_on;
use futures::FutureExt;
use futures::channel::oneshot;

use super::*;
use crate::history::History;
use crate::limits::PORTION_BYTES;
use crate::log::Log;
use crate::model::address::PeerAddr;
use crate::model::{Name, PeerId};
use crate::net::transport::Transport;
use crate::protocol::{Command, JoinOptions, Line, LoginLine};
use crate::room::{Broker, Event, Join, Joined};
use crate::server::Config;
use crate::server::connection::pages::HistoryReader;
use crate::server::connection::state::ConnectionState;
use crate::server::shared::Shared;

/// A room whose feed keeps about ten lines, and whose history keeps all of them.
struct Room {
    broker: Broker,
    history: History,
}

impl Room {
    fn new() -> Self {
        let history = History::in_memory();
        let broker = Broker::new(1000, Log::off(), Instant::now()).with_history(history.clone(), 0);
        Self { broker, history }
    }

    fn join(&mut self, peer: u64, first_line: &str) -> Joined {
        let LoginLine { name, options, .. } = LoginLine::parse(first_line);
        let (answer, mut answered) = oneshot::channel();
        let join = Join {
            peer: PeerId(peer),
            from: PeerAddr::Net("192.0.2.1:7".parse().unwrap()),
            name: name.unwrap(),
            account_id: None,
            options: JoinOptions { replay: Some(0), ..options },
            is_waiting: false,
            throttle: Arc::default(),
        };
        self.broker.handle(Event::Join { join: Box::new(join), answer });
        self.broker.publish();
        answered.try_recv().unwrap().expect("every join is answered").expect("the name is free")
    }

    fn send(&mut self, peer: u64, line: &str) {
        let lines = vec![Command::parse(Line::Text(line.to_owned()))];
        self.broker.handle(Event::Lines { peer: PeerId(peer), lines, bytes: 0 });
        self.broker.publish();
    }

    /// Everything that a peer reads which begins now, and leaves.
    fn read(mut self, peer: u64, joined: Joined) -> Vec<String> {
        self.broker.handle(Event::Leave { peer: PeerId(peer), reason: None });
        self.broker.publish();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let transport = Transport::Unix(Arc::new(Async::new(theirs).unwrap()));
        let (inbox, _events) = async_channel::bounded(1);
        let (ping, _pings) = async_channel::bounded(1);
        let (alive, _) = async_channel::bounded(1);
        let stop = futures::future::pending().boxed().shared();
        let settings = (Config::default(), Default::default(), self.history.clone());
        let shared = Shared::new(settings, (inbox, ping), Log::off(), stop, alive);
        let from = PeerAddr::Net("192.0.2.1:7".parse().unwrap());
        let writer = Writer::new(transport, (PeerId(peer), from), &shared, Arc::<ConnectionState>::default());
        let reading = thread::spawn(move || BufReader::new(ours).lines().map(Result::unwrap).collect::<Vec<_>>());
        block_on(writer.follow(joined));
        reading.join().unwrap()
    }
}

#[test]
fn a_reader_that_falls_off_the_ring_continues_from_the_history() {
    let mut room = Room::new();
    let bob = room.join(1, "Bob");
    let _others = [room.join(2, "Alice"), room.join(3, "Carol")];
    room.send(1, "/ignore Carol");
    let mut expected = Vec::new();
    for number in 0..600 {
        match number % 6 {
            0 => room.send(1, "mine"),
            1 => room.send(3, "not for Bob"),
            2 => room.send(2, &format!("/msg Bob {number}")),
            _ => {
                room.send(2, &format!("{number}"));
                expected.push(format!("Alice: {number}"));
            }
        }
    }
    let heard = room.read(1, bob);
    let messages: Vec<_> = heard.iter().filter(|line| line.starts_with("Alice: ")).cloned().collect();
    assert_eq!(messages, expected, "every message once and in order");
    let private = heard.iter().filter(|line| line.starts_with("Alice (privately): ")).count();
    let missed: Vec<_> = heard.iter().filter(|line| line.starts_with("* You missed ")).collect();
    // The welcome, two notices of joins, and the reply to /ignore were lost with private messages.
    assert_eq!(missed, [&format!("* You missed {} lines.", 100 - private + 4)]);
    assert_eq!(heard.last().unwrap(), "* Bye, Bob: 100 lines accepted, 0 refused. since=500 brings you back here.");
    assert_eq!(heard.len(), 400 - 100 + private + 2);
}

#[test]
fn a_reader_with_numbers_gets_its_own_messages_from_the_history_too() {
    let mut room = Room::new();
    let bob = room.join(1, "Bob");
    let _alice = room.join(2, "Alice");
    room.send(1, "/ids on");
    for number in 2..100 {
        room.send(1 + number % 2, "hi");
    }
    let heard = room.read(1, bob);
    let numbers: Vec<_> = heard.iter().filter_map(|line| line.strip_prefix('[')?.split(' ').next()).collect();
    assert_eq!(numbers, (1..=98).map(|number: u64| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn a_reader_that_falls_off_gets_the_replay_that_it_has_asked_for() {
    let mut room = Room::new();
    let _alice = room.join(2, "Alice");
    for number in 1..=50 {
        room.send(2, &format!("{number}"));
    }
    let bob = room.join(1, "Bob since=20 ids=on");
    for number in 51..=100 {
        room.send(2, &format!("{number}"));
    }
    let heard = room.read(1, bob);
    let numbers: Vec<_> = heard.iter().filter_map(|line| line.strip_prefix('[')?.split(' ').next()).collect();
    assert_eq!(numbers, (21..=100).map(|number: u64| number.to_string()).collect::<Vec<_>>());
    assert_eq!(heard[30], "* That was 21 to 50, 30 lines.");
}

#[test]
fn messages_that_the_history_has_lost_as_well_are_counted() {
    let mut room = Room::new();
    let bob = room.join(1, "Bob");
    let _alice = room.join(2, "Alice");
    for number in 0..10_500 {
        room.send(2, &format!("{number}"));
    }
    let heard = room.read(1, bob);
    assert_eq!(heard[..2], ["* You missed 502 lines.", "Alice: 500"], "the welcome, a join, and 500 messages");
    assert_eq!(heard.iter().filter(|line| line.starts_with("Alice: ")).count(), 10_000);
}

#[test]
fn removed_messages_and_skipped_numbers_are_told_apart() {
    let history = History::in_memory();
    let message = |number| {
        let (from, text) = (Name::parse("Al").unwrap(), crate::model::SafeText::new("hi".to_owned()));
        Message { number, at: crate::model::Timestamp::from_millis(0), from, text }
    };
    block_on(history.append([11, 12, 500].map(message).into())).unwrap();
    let mut room = Room::new();
    let _alice = room.join(2, "Alice");
    for _ in 0..500 {
        room.send(2, "hi");
    }
    let mut bob = room.join(1, "Bob since=5 ids=on");
    // As if the room had been restarted since.
    bob.current.source.history = history;
    let heard = room.read(1, bob);
    assert_eq!(
        heard[..6],
        [
            "* 5 of these lines are no longer kept.",
            "* 487 numbers are missing here: the server crashed, or could not store their messages.",
            "[11 1970-01-01T00:00:00Z] Al: hi",
            "[12 1970-01-01T00:00:00Z] Al: hi",
            "[500 1970-01-01T00:00:00Z] Al: hi",
            "* That was 6 to 500, 3 lines.",
        ]
    );
}

#[test]
fn a_page_of_long_messages_is_sent_in_parts() {
    let (pages, history) = (HistoryReader::new(), History::in_memory());
    let text = crate::model::SafeText::new("x".repeat(PORTION_BYTES / 4));
    let message =
        |number| Message { number, at: SystemTime::now().into(), from: Name::parse("Al").unwrap(), text: text.clone() };
    let messages: Arc<[Message]> = (11..=20).map(message).collect();
    block_on(history.append(messages)).unwrap();
    let (mut after, mut parts) = (8, Vec::new());
    while after < 20 {
        let render = |message: &Message, text: &mut String| {
            text.push_str(message.text.as_str());
            message.number.is_multiple_of(2)
        };
        let part = block_on(pages.read(&history, (after, 20), render)).unwrap();
        assert!(part.text.len() <= 2 * PORTION_BYTES);
        parts.push((after, part.end, part.lines, part.missing));
        after = part.end;
    }
    assert_eq!(parts, [(8, 14, 2, 2), (14, 18, 2, 0), (18, 20, 1, 0)]);
    assert_eq!(block_on(pages.before_newest(&history, 3, 19)), Ok(Some(16)));
    assert_eq!(block_on(pages.before_newest(&history, 300, 20)), Ok(Some(10)));
    assert_eq!(block_on(pages.before_newest(&history, 0, 20)), Ok(None));
}
