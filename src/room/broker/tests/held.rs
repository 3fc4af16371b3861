//! Turns with several rooms: a busy room holds what its own peers send, and nobody else waits.

use super::*;
use crate::limits::BATCH_BYTES;

fn flood(peer: u64) -> Event {
    let lines = vec![Ok(Command::Say(SafeText::new("x".repeat(1000)))); BATCH_BYTES / 500];
    Event::Lines { peer: PeerId(peer), lines, bytes: 0 }
}

fn two_rooms() -> Room {
    let mut room = room(&["Alice", "Bob"]);
    for (peer, name) in [(3, "Carol"), (4, "Dan")] {
        let options = JoinOptions { room: Some(RoomName::parse("dev").unwrap()), ..Default::default() };
        let throttle = Arc::clone(room.throttles.entry(peer).or_default());
        room.join_with(Join { options, throttle, ..a_join(peer, name) }).unwrap();
    }
    room.publish();
    room.heard.clear();
    room
}

fn line(room: &mut Room, peer: u64, text: &str) {
    let lines = vec![Command::parse(Line::Text(text.to_owned()))];
    room.broker.take(Event::Lines { peer: PeerId(peer), lines, bytes: 0 });
}

#[test]
fn a_full_room_holds_the_rest_and_another_room_goes_on() {
    let mut room = two_rooms();
    room.broker.take(flood(1));
    line(&mut room, 1, "/join dev");
    line(&mut room, 1, "hi");
    line(&mut room, 3, "quiet");
    assert!(room.throttles[&1].is_held() && !room.throttles[&3].is_held());
    assert_eq!(room.heard(4), ["Carol: quiet"]);
    assert_eq!(room.broker.peers[&PeerId(1)].held.map(|(_, events)| events), Some(2));
    room.broker.end_turn(Instant::now());
    room.broker.take_held();
    assert!(!room.throttles[&1].is_held());
    assert_eq!(room.heard(4), ["* Alice has joined", "Alice: hi"]);
    let heard = room.heard(2);
    assert_eq!((heard.len(), heard.last().unwrap().as_str()), (BATCH_BYTES / 500 + 1, "* Alice has gone to dev"));
    assert!(room.broker.held.is_empty());
}

#[test]
fn a_full_room_also_holds_what_is_said_there_from_another_room() {
    let mut room = two_rooms();
    line(&mut room, 1, "/hear dev");
    line(&mut room, 2, "/hear dev");
    room.publish();
    room.heard.clear();
    room.broker.take(flood(3));
    line(&mut room, 1, "/say dev one");
    // Alice's next line must not overtake it. Bob's line is for the lobby.
    line(&mut room, 1, "two");
    line(&mut room, 2, "three");
    assert!(room.throttles[&1].is_held() && !room.throttles[&2].is_held());
    assert_eq!(room.heard(1).last().unwrap(), "Bob: three");
    room.broker.end_turn(Instant::now());
    room.broker.take_held();
    assert!(!room.throttles[&1].is_held());
    assert_eq!(room.heard(4).last().unwrap(), "Alice: one");
    assert!(room.heard(2).contains(&"Alice: two".to_owned()));
}

#[test]
fn what_is_held_by_a_room_that_is_closed_is_said_there_and_not_in_the_lobby() {
    let mut room = two_rooms();
    room.broker.take(flood(3));
    line(&mut room, 3, "one");
    let (answer, _answered) = oneshot::channel();
    let request =
        crate::room::AdminRequest::CloseRoom { room: RoomName::parse("dev").unwrap(), by: None, reason: None, answer };
    room.broker.take(Event::AdminRequest(Box::new(request)));
    let said = |lines: Vec<String>| lines.into_iter().filter(|line| line == "Carol: one").count();
    assert_eq!((said(room.heard(2)), said(room.heard(4))), (0, 1));
    assert!(!room.throttles[&3].is_held());
    assert_eq!(room.broker.rooms.iter().count(), 1);
    // The broker waits for the rooms that still hold something. This one is gone.
    assert!(room.broker.until_due().now_or_never().is_none());
}

#[test]
fn at_a_shutdown_everything_that_is_held_is_still_said() {
    let mut room = two_rooms();
    room.broker.take(flood(1));
    line(&mut room, 1, "held");
    room.broker.take(Event::Shutdown);
    line(&mut room, 1, "last words");
    let heard = room.heard(2);
    assert_eq!(heard[heard.len() - 3..], ["Alice: held", "* The server is shutting down", "Alice: last words"]);
}

/// Bob reads a little, and then nothing more: most of those who read the lobby lag.
fn slow_down_lobby(room: &mut Room) {
    let feed_bytes = 1 << 24;
    let mut sent = 0;
    while sent <= feed_bytes / 2 {
        room.broker.handle(flood(1));
        room.broker.publish();
        sent += 2 * BATCH_BYTES;
    }
    let reader = &mut room.readers.get_mut(&2).unwrap().current.reader;
    assert!(reader.next().now_or_never().is_some());
}

#[test]
fn a_room_whose_readers_are_slow_waits_for_them_alone() {
    let mut room = two_rooms();
    slow_down_lobby(&mut room);
    room.broker.end_turn(Instant::now());
    line(&mut room, 1, "later");
    line(&mut room, 3, "now");
    room.broker.take_held();
    assert_eq!(room.broker.lobby().held.len(), 1);
    assert_eq!(room.broker.peers[&PeerId(3)].held, None);
    assert_eq!(room.heard(4), ["Carol: now"], "by now, Bob has read everything too");
    room.broker.take_held();
    assert_eq!(room.heard(2).last().map(String::as_str), Some("Alice: later"));
}

/// Otherwise systemd would end a server that waits for a slow reader.
#[test]
fn a_ping_is_answered_while_the_lobby_waits_for_its_readers() {
    let mut room = room(&["Alice", "Bob"]);
    room.broker = room.broker.wait_for_readers(true);
    slow_down_lobby(&mut room);
    let (inbox, events) = async_channel::unbounded();
    let (pings, asked) = async_channel::bounded(1);
    let mut running = Box::pin(room.broker.run(events, asked));
    inbox.try_send(flood(1)).unwrap();
    assert!((&mut running).now_or_never().is_none());
    let (answer, answered) = oneshot::channel();
    pings.try_send(answer).unwrap();
    inbox.try_send(flood(1)).unwrap();
    let counts = futures::executor::block_on(async {
        futures::select! {
            counts = answered.fuse() => counts.unwrap(),
            () = running.fuse() => panic!("somebody is still there"),
        }
    });
    assert_eq!(counts, Counts { people: 2, rooms: 1 });
    assert_eq!(inbox.len(), 1, "it still waits");
}
