use futures::FutureExt;

use super::*;
use crate::model::RoomName;
use crate::model::{Message, Name, SafeText, Timestamp};
use crate::protocol::Reply;
use crate::room::Uses;

const A: PeerId = PeerId(1);
const B: PeerId = PeerId(2);

fn say(builder: &mut BatchBuilder, audience: Audience, text: &str) {
    let (from, text) = (Name::parse("X").unwrap(), SafeText::new(text.to_owned()));
    if !audience.is_public() {
        return builder.push(audience, &Reply::Said { from: &from, text: &text });
    }
    let message = Message { number: 0, at: Timestamp::from_millis(0), from, text };
    builder.say(audience, PeerId(0), &RoomName::lobby(), message);
}

fn publish(feed: &Feed, audience: Audience, text: &str) {
    let mut builder = BatchBuilder::default();
    say(&mut builder, audience, text);
    feed.publish(builder.take(Uses::default()).batch);
}

fn subscribe(feed: &Feed, peer: PeerId) -> Reader {
    feed.subscribe(peer, Dialect::Plain, &mut BatchBuilder::default())
}

/// What waits for the reader now: how many lines it missed, its text, and whether that was the last.
fn read(reader: &mut Reader) -> Option<(u64, String, bool)> {
    let portion = reader.next().now_or_never()??;
    let (text, then) = portion.text(&mut portion.start());
    Some((portion.missed(), String::from_utf8(text.concat()).unwrap(), matches!(then, Then::End)))
}

fn kept(feed: &Feed) -> (usize, usize) {
    let ring = lock(&feed.ring);
    (ring.entries.len(), ring.used.bytes())
}

#[test]
fn each_reader_reads_on_from_its_own_place() {
    let feed = Feed::new(&Budget::new(1 << 20));
    let mut a = subscribe(&feed, A);
    publish(&feed, Audience::Everyone, "one");
    let mut b = subscribe(&feed, B);
    publish(&feed, Audience::AllBut(B), "two");
    publish(&feed, Audience::AllButThese(Arc::new([B, PeerId(3)].into_iter().collect())), "more");
    assert_eq!(read(&mut a), Some((0, "X: one\nX: two\nX: more\n".into(), false)));
    assert_eq!(read(&mut a), None);
    assert_eq!(read(&mut b), None, "a batch that holds nothing for a reader does not wake it");
    publish(&feed, Audience::Everyone, "three");
    assert_eq!(read(&mut b), Some((0, "X: three\n".into(), false)));
}

#[test]
fn nothing_is_kept_that_all_have_read() {
    let feed = Feed::new(&Budget::new(1 << 20));
    let (mut a, mut b) = (subscribe(&feed, A), subscribe(&feed, B));
    for _ in 0..10 {
        publish(&feed, Audience::Everyone, "x");
    }
    read(&mut a).unwrap();
    assert_eq!(kept(&feed).0, 10);
    read(&mut b).unwrap();
    assert_eq!(kept(&feed), (0, 0));
    publish(&feed, Audience::Everyone, "x");
    read(&mut a).unwrap();
    drop(b);
    assert_eq!(kept(&feed), (0, 0));
    publish(&feed, Audience::Only(B), "x");
    assert_eq!(kept(&feed), (0, 0), "a batch for nobody is not kept");
}

#[test]
fn who_comes_in_the_middle_of_a_turn_hears_nothing_from_before() {
    let feed = Feed::new(&Budget::new(1 << 20));
    let mut builder = BatchBuilder::default();
    say(&mut builder, Audience::Everyone, "before");
    let mut a = feed.subscribe(A, Dialect::Plain, &mut builder);
    say(&mut builder, Audience::Everyone, "welcome");
    feed.publish(builder.take(Uses::default()).batch);
    // The segment before the join and the one after it have the same audience, and stay apart.
    assert_eq!(read(&mut a), Some((0, "X: welcome\n".into(), false)));
}

/// A feed that holds about ten of the batches that `publish` makes.
fn small_feed() -> Feed {
    let mut builder = BatchBuilder::default();
    say(&mut builder, Audience::Everyone, "00");
    Feed::new(&Budget::new(10 * builder.take(Uses::default()).batch.cost()))
}

#[test]
fn a_reader_that_falls_off_is_told_the_exact_number_of_lines_meant_for_it() {
    let feed = small_feed();
    let (mut a, mut b) = (subscribe(&feed, A), subscribe(&feed, B));
    for number in 10..50 {
        let audience = match number % 8 {
            0 => Audience::Everyone,
            1 => Audience::AllBut(A),
            2 => Audience::Only(A),
            3 => Audience::AllButThese(Arc::new([A, PeerId(3)].into_iter().collect())),
            4 => Audience::AllButThese(Arc::new([B, PeerId(3)].into_iter().collect())),
            5 => Audience::These(Arc::new([A, B].into_iter().collect())),
            6 => Audience::These(Arc::new([B, PeerId(3)].into_iter().collect())),
            _ => Audience::Only(B),
        };
        publish(&feed, audience, &number.to_string());
        // b keeps up, and misses nothing.
        while let Some((missed, ..)) = read(&mut b) {
            assert_eq!(missed, 0);
        }
    }
    let (missed, text, _) = read(&mut a).unwrap();
    let lines: Vec<_> = text.lines().map(|line| line["X: ".len()..].parse::<u64>().unwrap()).collect();
    let meant_for_a = (10..50).filter(|number| matches!(number % 8, 0 | 2 | 4 | 5));
    assert!(missed > 0 && !lines.is_empty());
    assert_eq!(meant_for_a.skip(missed as usize).collect::<Vec<_>>(), lines);
}

#[test]
fn a_feed_never_holds_more_than_its_bytes() {
    let feed = small_feed();
    let mut a = subscribe(&feed, A);
    for number in 10..99 {
        publish(&feed, Audience::Everyone, &number.to_string());
        assert!(kept(&feed).0 <= 10);
    }
    assert_eq!(read(&mut a).unwrap().0, 79);
}

#[test]
fn a_single_batch_beyond_the_bytes_is_still_delivered() {
    let feed = Feed::new(&Budget::new(1));
    let mut a = subscribe(&feed, A);
    publish(&feed, Audience::Everyone, "large");
    assert_eq!(read(&mut a), Some((0, "X: large\n".into(), false)));
}

#[test]
fn feeds_of_rooms_that_are_gone_share_a_limit_of_their_own_and_the_oldest_lose_lines() {
    let budget = Budget::new(1 << 20);
    let mut feeds = [(); 3].map(|()| Feed::new(&budget));
    let mut readers = feeds.each_ref().map(|feed| subscribe(feed, A));
    for feed in &feeds {
        (10..20).for_each(|number| publish(feed, Audience::Everyone, &number.to_string()));
        publish(feed, Audience::Farewell(A), "bye");
    }
    let one = kept(&feeds[0]).1;
    let mut former = FormerFeeds::new(one * 3 / 2);
    former.add(&Feed::new(&budget));
    feeds.iter().for_each(|feed| former.add(feed));
    assert_eq!((former.rings.len(), budget.holder().limit()), (2, 1 << 20), "the others have all of theirs");
    assert_eq!(read(&mut readers[0]), Some((11, String::new(), true)));
    let (missed, text, is_last) = read(&mut readers[1]).unwrap();
    assert!((3..9).contains(&missed) && text.ends_with("X: 19\nX: bye\n") && is_last, "{missed}: {text}");
    assert_eq!(read(&mut readers[2]).unwrap().0, 0);
    // Those that were read are forgotten, when there are many.
    for _ in 0..1000 {
        feeds[0] = Feed::new(&budget);
        let mut reader = subscribe(&feeds[0], A);
        publish(&feeds[0], Audience::Farewell(A), "bye");
        former.add(&feeds[0]);
        assert_eq!(read(&mut reader), Some((0, "X: bye\n".into(), true)));
    }
    assert!(former.rings.len() <= FormerFeeds::CLEANED_AT);
}

#[test]
fn a_newcomer_who_falls_off_is_not_charged_with_lines_from_before_its_join() {
    let feed = small_feed();
    let mut builder = BatchBuilder::default();
    say(&mut builder, Audience::Everyone, "before");
    let mut a = feed.subscribe(A, Dialect::Plain, &mut builder);
    say(&mut builder, Audience::Only(A), "welcome");
    say(&mut builder, Audience::AllBut(A), "A has joined");
    feed.publish(builder.take(Uses::default()).batch);
    for number in 10..40 {
        publish(&feed, Audience::Everyone, &number.to_string());
    }
    // The welcome and 20 of the 30 numbers.
    let (missed, text, _) = read(&mut a).unwrap();
    assert_eq!((missed, text.lines().next()), (21, Some("X: 30")));
}

#[test]
fn nothing_follows_a_farewell_not_even_in_later_batches() {
    let feed = Feed::new(&Budget::new(1 << 20));
    let mut a = subscribe(&feed, A);
    publish(&feed, Audience::Farewell(A), "bye");
    publish(&feed, Audience::Everyone, "later");
    assert_eq!(read(&mut a), Some((0, "X: bye\n".into(), true)));
}

#[test]
fn a_lost_farewell_still_ends_its_reader() {
    for later in [Audience::AllBut(A), Audience::Everyone, Audience::Only(A)] {
        let feed = small_feed();
        let mut a = subscribe(&feed, A);
        let _b = subscribe(&feed, B);
        let mut builder = BatchBuilder::default();
        say(&mut builder, Audience::Everyone, "before");
        say(&mut builder, Audience::AllBut(A), "not for it");
        say(&mut builder, Audience::Farewell(A), "bye");
        say(&mut builder, later.clone(), "in the same batch");
        feed.publish(builder.take(Uses::default()).batch);
        for number in 10..40 {
            publish(&feed, later.clone(), &number.to_string());
        }
        assert_eq!(read(&mut a), Some((2, String::new(), true)), "nothing after the farewell was meant for it");
        for number in 10..40 {
            publish(&feed, Audience::Everyone, &number.to_string());
        }
        assert_eq!(read(&mut a), Some((0, String::new(), true)), "the end stays the end");
    }
}

#[test]
fn a_portion_is_bounded_and_the_next_one_goes_on() {
    let feed = Feed::new(&Budget::new(1 << 30));
    let mut a = subscribe(&feed, A);
    let line = "y".repeat(PORTION_BYTES / 4);
    for _ in 0..10 {
        publish(&feed, Audience::Everyone, &line);
    }
    let mut lines = Vec::new();
    while let Some((0, text, _)) = read(&mut a) {
        lines.push(text.lines().count());
    }
    assert_eq!(lines, [4, 4, 2]);
}

#[test]
fn the_room_waits_for_those_who_read_and_not_for_those_who_have_stopped() {
    let feed = small_feed();
    let [mut a, mut b, mut c] = [A, B, PeerId(3)].map(|peer| subscribe(&feed, peer));
    let _never_read = subscribe(&feed, PeerId(4));
    publish(&feed, Audience::Everyone, "00");
    [&mut a, &mut b, &mut c].into_iter().for_each(|reader| drop(read(reader).unwrap()));
    for _ in 0..4 {
        publish(&feed, Audience::Everyone, "00");
    }
    assert_eq!(feed.slow_readers(Instant::now()), SlowReaders::None, "half a ring is not much");
    publish(&feed, Audience::Everyone, "00");
    publish(&feed, Audience::Everyone, "00");
    let now = Instant::now();
    assert_eq!(feed.slow_readers(now), SlowReaders::Most, "all who read are more than half a ring behind");
    assert_eq!(feed.slow_readers(now + 2 * ACTIVE), SlowReaders::None, "nobody reads any more");
    read(&mut a).unwrap();
    assert_eq!(feed.slow_readers(Instant::now()), SlowReaders::Most, "two of three are");
    read(&mut b).unwrap();
    assert_eq!(feed.slow_readers(Instant::now()), SlowReaders::None, "one of three is, but not by three quarters");
    publish(&feed, Audience::Everyone, "00");
    publish(&feed, Audience::Everyone, "00");
    [&mut a, &mut b].into_iter().for_each(|reader| drop(read(reader).unwrap()));
    let now = Instant::now();
    assert_eq!(feed.slow_readers(now), SlowReaders::Some, "one of three is about to lose lines");
    assert_eq!(feed.slow_readers(now + 2 * JUST_NOW), SlowReaders::None, "it has not read just now");
}

#[test]
fn readers_take_what_is_left_in_a_closed_feed_and_then_its_end() {
    let feed = Feed::new(&Budget::new(1 << 20));
    let mut a = subscribe(&feed, A);
    publish(&feed, Audience::Everyone, "last");
    feed.close();
    assert!(a.next().now_or_never().unwrap().is_some());
    assert!(a.next().now_or_never().unwrap().is_none());
}

#[test]
fn a_waiting_reader_is_woken_by_what_is_for_it_alone_and_by_the_end() {
    let feed = Feed::new(&Budget::new(1 << 20));
    let (mut a, mut b) = (subscribe(&feed, A), subscribe(&feed, B));
    let (waker_a, count_a) = counting_waker();
    let (waker_b, count_b) = counting_waker();
    let mut next_a = Box::pin(a.next());
    let mut next_b = Box::pin(b.next());
    assert!(next_a.poll_unpin(&mut std::task::Context::from_waker(&waker_a)).is_pending());
    assert!(next_b.poll_unpin(&mut std::task::Context::from_waker(&waker_b)).is_pending());
    publish(&feed, Audience::Only(A), "psst");
    assert_eq!((count_a.get(), count_b.get()), (1, 0));
    feed.close();
    assert_eq!((count_a.get(), count_b.get()), (1, 1));
}

#[test]
fn a_round_is_over_when_all_who_were_woken_have_come() {
    let feed = Feed::new(&Budget::new(1 << 20));
    let (mut a, mut b, _idle) = (subscribe(&feed, A), subscribe(&feed, B), subscribe(&feed, PeerId(3)));
    let (waker, count) = counting_waker();
    let mut context = Context::from_waker(&waker);
    let (mut next_a, mut next_b) = (Box::pin(a.next()), Box::pin(b.next()));
    assert!(next_a.poll_unpin(&mut context).is_pending());
    assert!(next_b.poll_unpin(&mut context).is_pending());
    assert!(feed.round().now_or_never().is_some(), "nobody was woken yet");
    publish(&feed, Audience::Everyone, "one");
    publish(&feed, Audience::Everyone, "two");
    let mut round = Box::pin(feed.round());
    assert!(round.poll_unpin(&mut context).is_pending());
    assert!(next_a.poll_unpin(&mut context).is_ready());
    assert!(round.poll_unpin(&mut context).is_pending(), "one has still to come");
    let woken = count.get();
    assert!(next_b.poll_unpin(&mut context).is_ready());
    assert_eq!(count.get(), woken + 1, "the last one wakes who waits");
    assert!(round.poll_unpin(&mut context).is_ready(), "one that did not wait for anything is not waited for");
}

#[test]
fn a_round_does_not_wait_for_one_that_is_not_going_to_come() {
    let feed = Feed::new(&Budget::new(1 << 20));
    let (mut a, mut b) = (subscribe(&feed, A), subscribe(&feed, B));
    let (waker, count) = counting_waker();
    let mut context = Context::from_waker(&waker);
    // One gives up before it is woken, as a writer does that has something else to send, and one after.
    assert!(Box::pin(a.next()).poll_unpin(&mut context).is_pending());
    let mut next_b = Box::pin(b.next());
    assert!(next_b.poll_unpin(&mut context).is_pending());
    publish(&feed, Audience::Everyone, "one");
    assert_eq!(count.get(), 1);
    let mut round = Box::pin(feed.round());
    assert!(round.poll_unpin(&mut context).is_pending());
    drop(next_b);
    assert!(round.poll_unpin(&mut context).is_ready());
    assert_eq!(read(&mut a), Some((0, "X: one\n".into(), false)), "it has lost nothing");
    assert_eq!(read(&mut b), Some((0, "X: one\n".into(), false)), "nor has the other");
    assert!(a.next().now_or_never().is_none());
    let mut next_a = Box::pin(a.next());
    assert!(next_a.poll_unpin(&mut context).is_pending());
    publish(&feed, Audience::Everyone, "two");
    drop(next_a);
    drop(a);
    drop(b);
    assert!(feed.round().now_or_never().is_some(), "those who have left are not waited for");
}

/// A waker and how often it was used.
fn counting_waker() -> (Waker, Arc<Count>) {
    let count = Arc::new(Count::default());
    (Waker::from(Arc::clone(&count)), count)
}

#[derive(Default)]
struct Count(std::sync::atomic::AtomicUsize);

impl Count {
    fn get(&self) -> usize {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl std::task::Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    }
}
