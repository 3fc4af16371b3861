//! The work of the room: `cargo bench --bench room`. One item is one line, or one line for one reader.
#![allow(missing_docs)]

use std::time::Instant;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use futures::FutureExt;
use futures::channel::oneshot;
use linechat::log::Log;
use linechat::model::PeerId;
use linechat::model::address::PeerAddr;
use linechat::model::{Message, Name, RoomName, SafeText, Timestamp};
use linechat::protocol::{Command, Line};
use linechat::room::{Audience, BatchBuilder, Broker, Event, Join, Reader, Uses};

/// The number of lines in a turn.
const LINES: usize = 32;

fn main() {
    divan::main();
}

/// A room with this many peers that have read everything.
fn room(peers: usize) -> (Broker, Vec<Reader>) {
    let mut broker = Broker::new(1 << 24, Log::off(), Instant::now());
    let mut readers: Vec<_> = (0..peers)
        .map(|peer| {
            let (answer, mut answered) = oneshot::channel();
            let join = Join {
                peer: PeerId(peer as u64),
                from: PeerAddr::Net("192.0.2.1:7".parse().expect("it is an address")),
                name: Name::parse(&format!("peer{peer}")).expect("it is a name"),
                account_id: None,
                options: Default::default(),
                is_waiting: false,
                throttle: Default::default(),
            };
            broker.handle(Event::Join { join: Box::new(join), answer });
            answered.try_recv().ok().flatten().expect("a join is answered").expect("the name is free").current.reader
        })
        .collect();
    broker.publish();
    read_all(&mut readers);
    (broker, readers)
}

/// Does the work of the writers, except writing.
fn read_all(readers: &mut [Reader]) {
    for reader in readers {
        while let Some(Some(portion)) = reader.next().now_or_never() {
            black_box(portion.text(&mut portion.start()));
        }
    }
}

fn said() -> Event {
    let line = Line::Text("a line as people type it, and a bit more to make it sixty-four.".to_owned());
    let lines = (0..LINES).map(|_| Command::parse(line.clone())).collect();
    Event::Lines { peer: PeerId(0), lines, bytes: 0 }
}

/// A turn of the broker with no readers: numbering and rendering.
#[divan::bench]
fn turn(bencher: Bencher<'_, '_>) {
    let (mut broker, _readers) = room(1);
    bencher.counter(ItemsCount::new(LINES)).with_inputs(said).bench_local_values(|event| {
        broker.handle(event);
        broker.publish();
    });
}

/// A turn, after which all readers take their portions.
#[divan::bench(args = [10, 100, 1000, 5000])]
fn turn_and_readers(bencher: Bencher<'_, '_>, peers: usize) {
    let (mut broker, mut readers) = room(peers);
    bencher.counter(ItemsCount::new(LINES * (peers - 1))).with_inputs(said).bench_local_values(|event| {
        broker.handle(event);
        broker.publish();
        read_all(&mut readers);
    });
}

/// The same in a room where a tenth of the peers ignore the sender.
#[divan::bench(args = [10, 100, 1000, 5000])]
fn turn_and_readers_ignored(bencher: Bencher<'_, '_>, peers: usize) {
    let (mut broker, mut readers) = room(peers);
    for peer in (1..peers as u64).step_by(10) {
        let lines = vec![Command::parse(Line::Text("/ignore peer0".to_owned()))];
        broker.handle(Event::Lines { peer: PeerId(peer), lines, bytes: 0 });
    }
    broker.publish();
    read_all(&mut readers);
    bencher.counter(ItemsCount::new(LINES * (peers - 1))).with_inputs(said).bench_local_values(|event| {
        broker.handle(event);
        broker.publish();
        read_all(&mut readers);
    });
}

/// Only rendering, by the number of senders that alternate: each change of the sender begins a segment.
#[divan::bench(args = [1, 2, 32])]
fn render(bencher: Bencher<'_, '_>, senders: u64) {
    let (name, text) = (Name::parse("Alice").expect("it is a name"), SafeText::new("x".repeat(64)));
    let message = Message { number: 1, at: Timestamp::from_millis(0), from: name, text };
    let messages = || vec![message.clone(); LINES];
    bencher.counter(ItemsCount::new(LINES)).with_inputs(messages).bench_local_values(|messages| {
        let mut batch = BatchBuilder::default();
        for (message, sender) in messages.into_iter().zip((0..senders).cycle().map(PeerId)) {
            batch.say(Audience::AllBut(sender), sender, &RoomName::lobby(), message);
        }
        batch.take(Uses::default())
    });
}
