//! What happened in one turn of the broker.
//!
//! The broker builds batches and the feed keeps them. A finished batch never changes, so any number of writers share
//! it. Each takes the parts that are meant for its peer.
//!
//! Messages come in as values, because the history and each dialect need their number, time and author. They are
//! rendered once for each dialect that a reader uses. All other lines are the same in every dialect.

use std::fmt::Write;
use std::sync::Arc;

use crate::limits::BATCH_BYTES;
use crate::model::{Message, PeerId, RoomName};
use crate::protocol::{Dialect, Reply};
use crate::room::{PeerSet, Replay};

/// Larger sets of peers are not worth copying for [`Batch::left_out`].
const LEFT_OUT_SET: usize = 16;

/// Who receives a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    Everyone,
    AllBut(PeerId),
    /// Everyone but these: the sender and those who ignore it. Shared by all lines of the sender.
    AllButThese(Arc<PeerSet>),
    These(Arc<PeerSet>),
    Only(PeerId),
    /// One peer, as its last line: its writer closes the connection after it.
    Farewell(PeerId),
}

impl Audience {
    pub fn includes(&self, peer: PeerId) -> bool {
        match self {
            Self::Everyone => true,
            Self::AllBut(other) => *other != peer,
            Self::AllButThese(others) => !others.contains(peer),
            Self::These(peers) => peers.contains(peer),
            Self::Only(one) | Self::Farewell(one) => *one == peer,
        }
    }

    /// Whether it is everyone, or everyone but some peers.
    pub(crate) fn is_public(&self) -> bool {
        match self {
            Self::Everyone | Self::AllBut(_) | Self::AllButThese(_) => true,
            Self::These(_) | Self::Only(_) | Self::Farewell(_) => false,
        }
    }
}

/// Consecutive lines for the same audience: either messages or other lines.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) audience: Audience,
    pub(crate) lines: u32,
    /// Where it ends in the text of each dialect. It begins where the previous one ends.
    end: [u32; Dialect::COUNT],
    /// Its lines are messages, which have consecutive numbers.
    pub(crate) is_messages: bool,
}

/// Something that a reader does for its peer between two lines.
#[derive(Debug, Clone)]
pub(crate) enum Control {
    /// Its further messages are in this dialect.
    Use(Dialect),
    /// It sends messages from the history.
    Replay(Arc<Replay>),
    /// It sends these lines, which it shares with others.
    Send(Arc<str>),
    /// It looks which other room it reads.
    Move,
}

/// A control for one peer.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) peer: PeerId,
    pub(crate) control: Control,
    /// The number of segments before it.
    pub(crate) at: usize,
}

/// The lines of one turn, each with an LF, and their audiences.
#[derive(Debug, Default)]
pub struct Batch {
    /// In each dialect. Empty for a dialect that nobody used.
    text: [String; Dialect::COUNT],
    segments: Vec<Segment>,
    /// Rare, and in order.
    steps: Vec<Step>,
    public_lines: u64,
    /// The number of messages.
    messages: u64,
    /// If all lines are public: who does not get some of them, sorted. Everyone else gets the whole text.
    left_out: Option<Vec<PeerId>>,
    /// The memory of what its audiences and controls share with other batches, any of which can be the last to hold it.
    shared_bytes: usize,
}

/// A position of a reader within a batch, and its dialect there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) segment: usize,
    step: usize,
    pub(crate) dialect: Dialect,
}

impl Place {
    pub(crate) fn new(segment: usize, dialect: Dialect) -> Self {
        Self { segment, step: 0, dialect }
    }
}

/// Where a reader got to in a batch.
#[derive(Debug)]
pub(crate) enum Reached<'a> {
    End,
    Farewell,
    /// It has to do this before it continues.
    Replay(&'a Arc<Replay>),
}

impl Batch {
    /// The number of lines for everyone, or for everyone but some peers.
    pub(crate) fn public_lines(&self) -> u64 {
        self.public_lines
    }

    /// The number of messages. Their numbers follow those of the batch before.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(crate) fn len(&self) -> usize {
        self.text[Dialect::Plain as usize].len()
    }

    /// The approximate memory that it holds, in bytes.
    pub(crate) fn cost(&self) -> usize {
        let segments = self.segments.capacity() * size_of::<Segment>() + self.steps.capacity() * size_of::<Step>();
        let left_out = self.left_out.as_ref().map_or(0, |peers| peers.capacity() * size_of::<PeerId>());
        let text = self.text.iter().map(String::capacity).sum::<usize>();
        size_of::<Self>() + text + segments + left_out + self.shared_bytes
    }

    /// The audience of all public lines, if they share one.
    pub(crate) fn public_audience(&self) -> Option<&Audience> {
        let mut public = self.segments.iter().map(|segment| &segment.audience).filter(|audience| audience.is_public());
        let first = public.next()?;
        public.all(|audience| audience == first).then_some(first)
    }

    /// Who does not get all lines, if all lines are public and leave out few peers.
    fn who_is_left_out(&self) -> Option<Vec<PeerId>> {
        if !self.steps.is_empty() || self.segments.is_empty() {
            return None;
        }
        let mut peers = Vec::new();
        for segment in &self.segments {
            match &segment.audience {
                Audience::Everyone => {}
                Audience::AllBut(peer) => peers.push(*peer),
                Audience::AllButThese(others) if others.len() <= LEFT_OUT_SET => peers.extend(others.iter()),
                Audience::AllButThese(_) | Audience::These(_) | Audience::Only(_) | Audience::Farewell(_) => {
                    return None;
                }
            }
        }
        peers.sort_unstable();
        peers.dedup();
        Some(peers)
    }

    /// The batch with messages that nobody hears. Their numbers stay used.
    pub(crate) fn without_messages(mut self) -> Self {
        let nobody = Audience::These(Arc::default());
        self.left_out = None;
        for segment in self.segments.iter_mut().filter(|segment| segment.is_messages) {
            self.public_lines -= u64::from(segment.lines);
            segment.audience = nobody.clone();
        }
        self
    }

    /// Adds the text for `peer` from `place` on to `pieces`, in as few pieces as possible, and moves `place`.
    pub(crate) fn portion_for<'a>(
        &'a self,
        peer: PeerId,
        place: &mut Place,
        pieces: &mut Vec<&'a [u8]>,
    ) -> Reached<'a> {
        if place.segment == 0
            && let Some(left_out) = &self.left_out
            && left_out.binary_search(&peer).is_err()
        {
            pieces.push(self.text[place.dialect as usize].as_bytes());
            return Reached::End;
        }
        while let Some(step) = self.steps.get(place.step) {
            place.step += 1;
            if step.peer != peer || step.at < place.segment {
                continue;
            }
            if self.pieces_for(peer, place, step.at, pieces) {
                return Reached::Farewell;
            }
            match &step.control {
                Control::Use(dialect) => place.dialect = *dialect,
                Control::Move => {}
                Control::Send(text) => pieces.push(text.as_bytes()),
                Control::Replay(replay) => return Reached::Replay(replay),
            }
        }
        if self.pieces_for(peer, place, self.segments.len(), pieces) { Reached::Farewell } else { Reached::End }
    }

    /// Adds the text of the segments up to `to`. Returns whether the peer's farewell is the last line.
    fn pieces_for<'a>(&'a self, peer: PeerId, place: &mut Place, to: usize, pieces: &mut Vec<&'a [u8]>) -> bool {
        let dialect = place.dialect as usize;
        let text = self.text[dialect].as_bytes();
        let first = std::mem::replace(&mut place.segment, to);
        let mut start = first.checked_sub(1).map_or(0, |before| self.segments[before].end[dialect] as usize);
        let mut piece = start..start;
        for segment in &self.segments[first..to] {
            let lines = start..segment.end[dialect] as usize;
            start = lines.end;
            if !segment.audience.includes(peer) {
                continue;
            }
            if piece.end != lines.start {
                pieces.extend((!piece.is_empty()).then(|| &text[piece.clone()]));
                piece.start = lines.start;
            }
            piece.end = lines.end;
            if matches!(segment.audience, Audience::Farewell(_)) {
                pieces.extend((!piece.is_empty()).then(|| &text[piece]));
                return true;
            }
        }
        pieces.extend((!piece.is_empty()).then(|| &text[piece]));
        false
    }
}

/// A batch under construction.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    batch: Batch,
    messages: Vec<Message>,
    /// The author of each message.
    authors: Vec<PeerId>,
    uses: Uses,
    /// The number of segments to which nothing may be added.
    closed: usize,
    /// The peer sets in it, each once.
    sets: Vec<Arc<PeerSet>>,
    /// The peers that get only messages of the public lines, if there are any.
    hearers: Option<Arc<PeerSet>>,
}

/// What a batch has to provide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uses {
    /// By dialect: some reader uses it. The plain one is always provided.
    pub dialects: [bool; Dialect::COUNT],
    /// The messages are stored.
    pub values: bool,
}

/// A finished batch, and its messages as values.
#[derive(Debug, Default)]
pub struct Turn {
    pub batch: Batch,
    pub messages: Vec<Message>,
    pub(crate) authors: Vec<PeerId>,
}

impl BatchBuilder {
    /// Adds a reply for `audience`. Lines are sent in the order in which they are added.
    pub fn push(&mut self, audience: Audience, reply: &Reply<'_>) {
        let [plain, others @ ..] = &mut self.batch.text;
        let start = plain.len();
        writeln!(plain, "{reply}").expect("a String takes all that is written to it");
        let line = &plain[start..];
        let lines = memchr::memchr_iter(b'\n', line.as_bytes()).count() as u32;
        for (text, _) in others.iter_mut().zip(&self.uses.dialects[1..]).filter(|(_, is_used)| **is_used) {
            text.push_str(line);
        }
        let audience = self.without_hearers(audience);
        self.add(audience, lines, false);
    }

    /// The audience of a line that is not a message.
    fn without_hearers(&self, audience: Audience) -> Audience {
        let Some(hearers) = &self.hearers else { return audience };
        let but = |others: &mut dyn Iterator<Item = PeerId>| {
            Audience::AllButThese(Arc::new(hearers.iter().chain(others).collect()))
        };
        match audience {
            Audience::Everyone => Audience::AllButThese(Arc::clone(hearers)),
            Audience::AllBut(peer) => but(&mut [peer].into_iter()),
            Audience::AllButThese(peers) => but(&mut peers.iter()),
            Audience::These(_) | Audience::Only(_) | Audience::Farewell(_) => audience,
        }
    }

    /// Adds a message of `author` in `room`.
    pub fn say(&mut self, audience: Audience, author: PeerId, room: &RoomName, message: Message) {
        for (dialect, is_used) in Dialect::ALL.into_iter().zip(self.uses.dialects) {
            if is_used || dialect == Dialect::Plain {
                let text = &mut self.batch.text[dialect as usize];
                writeln!(text, "{}", dialect.said(room, &message)).expect("a String takes all that is written to it");
            }
        }
        self.batch.messages += 1;
        if self.uses.values {
            self.messages.push(message);
            self.authors.push(author);
        }
        self.add(audience, 1, true);
    }

    /// Adds lines that were just written to the texts.
    fn add(&mut self, audience: Audience, lines: u32, is_messages: bool) {
        let batch = &mut self.batch;
        let end = std::array::from_fn(|dialect| batch.text[dialect].len() as u32);
        if audience.is_public() {
            batch.public_lines += u64::from(lines);
        }
        let is_open = batch.segments.len() > self.closed;
        match batch.segments.last_mut() {
            Some(segment) if is_open && segment.is_messages == is_messages && segment.audience == audience => {
                segment.end = end;
                segment.lines += lines;
            }
            _ => {
                if let Audience::AllButThese(peers) | Audience::These(peers) = &audience
                    && !self.sets.iter().any(|other| Arc::ptr_eq(other, peers))
                {
                    batch.shared_bytes += peers.cost();
                    self.sets.push(Arc::clone(peers));
                }
                batch.segments.push(Segment { audience, lines, end, is_messages });
            }
        }
    }

    /// Makes the reader of `peer` do something at this point.
    pub(crate) fn control(&mut self, peer: PeerId, control: Control) {
        let shared = match &control {
            Control::Use(dialect) => {
                self.use_dialect(*dialect);
                0
            }
            Control::Replay(replay) => replay.cost(),
            Control::Move => 0,
            Control::Send(text) => {
                let before = self.batch.steps.iter().rev().find_map(|step| match &step.control {
                    Control::Send(text) => Some(text),
                    _ => None,
                });
                if before.is_some_and(|before| Arc::ptr_eq(before, text)) { 0 } else { text.len() }
            }
        };
        self.batch.shared_bytes += shared;
        let at = self.close_segment();
        self.batch.steps.push(Step { peer, control, at });
    }

    /// Makes the next line begin a new segment, and returns its number, which is where a peer that joins now starts to
    /// read.
    pub(crate) fn close_segment(&mut self) -> usize {
        self.closed = self.batch.segments.len();
        self.closed
    }

    /// Ends what the reader of `peer` reads here, without a line.
    pub(crate) fn end(&mut self, peer: PeerId) {
        self.add(Audience::Farewell(peer), 0, false);
    }

    /// Provides a dialect from here on.
    pub(crate) fn use_dialect(&mut self, dialect: Dialect) {
        self.uses.dialects[dialect as usize] = true;
    }

    /// Of the public lines, these peers get only messages.
    pub(crate) fn only_hear(&mut self, peers: impl Iterator<Item = PeerId>) {
        self.hearers = Some(Arc::new(peers.collect::<PeerSet>())).filter(|peers| peers.len() > 0);
    }

    /// The messages so far.
    pub(crate) fn values(&self) -> &[Message] {
        &self.messages
    }

    /// Whether there is enough text to end the turn.
    pub fn is_full(&self) -> bool {
        let text = self.batch.text.iter().map(String::len).sum::<usize>();
        let lists = size_of_val(&self.batch.segments[..]) + size_of_val(&self.batch.steps[..]);
        text + lists + self.batch.shared_bytes >= BATCH_BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.batch.segments.is_empty() && self.batch.steps.is_empty()
    }

    /// The number of bytes so far, as a reader without numbers sees them.
    pub(crate) fn len(&self) -> usize {
        self.batch.len()
    }

    /// The number of public lines so far.
    pub(crate) fn public_lines(&self) -> u64 {
        self.batch.public_lines
    }

    /// The number of messages so far.
    pub(crate) fn messages(&self) -> u64 {
        self.batch.messages
    }

    /// Returns what was said and resets the builder, which has to provide this from now on.
    pub fn take(&mut self, uses: Uses) -> Turn {
        let next = Self { uses, hearers: self.hearers.clone(), ..Self::default() };
        let Self { mut batch, messages, authors, .. } = std::mem::replace(self, next);
        batch.left_out = batch.who_is_left_out();
        Turn { batch, messages, authors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, SafeText, Timestamp};

    fn push(batch: &mut BatchBuilder, audience: Audience, text: &str) {
        let (from, text) = (Name::parse("A").unwrap(), SafeText::new(text.to_owned()));
        let number = batch.messages() + 1;
        batch.say(
            audience,
            PeerId(0),
            &RoomName::lobby(),
            Message { number, at: Timestamp::from_millis(0), from, text },
        );
    }

    fn portion(batch: &Batch, peer: u64, from: usize) -> (String, usize, bool) {
        let (mut pieces, mut place) = (Vec::new(), Place { segment: from, ..Place::default() });
        let reached = batch.portion_for(PeerId(peer), &mut place, &mut pieces);
        (String::from_utf8(pieces.concat()).unwrap(), pieces.len(), matches!(reached, Reached::Farewell))
    }

    #[test]
    fn each_peer_finds_what_is_meant_for_it_in_order() {
        use Audience::*;
        let mut builder = BatchBuilder::default();
        push(&mut builder, AllBut(PeerId(1)), "one");
        assert_eq!(builder.close_segment(), 1);
        push(&mut builder, AllBut(PeerId(1)), "two");
        push(&mut builder, Only(PeerId(2)), "three");
        push(&mut builder, Everyone, "four");
        let batch = builder.take(Uses::default()).batch;
        assert_eq!(batch.public_lines(), 3);
        assert_eq!(portion(&batch, 1, 0), ("A: four\n".into(), 1, false));
        assert_eq!(portion(&batch, 2, 0), ("A: one\nA: two\nA: three\nA: four\n".into(), 1, false));
        assert_eq!(portion(&batch, 3, 0), ("A: one\nA: two\nA: four\n".into(), 2, false));
        assert_eq!(portion(&batch, 3, 1), ("A: two\nA: four\n".into(), 2, false));
        assert!(builder.is_empty());
    }

    #[test]
    fn who_is_left_out_with_others_finds_the_rest() {
        let deaf = Audience::AllButThese(Arc::new([1, 3].map(PeerId).into_iter().collect()));
        let mut builder = BatchBuilder::default();
        push(&mut builder, deaf.clone(), "one");
        push(&mut builder, deaf.clone(), "two");
        let batch = builder.take(Uses::default()).batch;
        assert_eq!((batch.segments().len(), batch.public_audience()), (1, Some(&deaf)));
        push(&mut builder, deaf, "three");
        push(&mut builder, Audience::AllBut(PeerId(2)), "four");
        let batch = builder.take(Uses::default()).batch;
        assert_eq!((batch.public_lines(), batch.public_audience()), (2, None));
        assert_eq!(portion(&batch, 1, 0).0, "A: four\n");
        assert_eq!(portion(&batch, 2, 0).0, "A: three\n");
        assert_eq!(portion(&batch, 3, 0).0, "A: four\n");
        assert_eq!(portion(&batch, 4, 0).0, "A: three\nA: four\n");
    }

    #[test]
    fn a_set_of_peers_is_paid_for_once_in_a_batch_and_many_end_the_turn() {
        let deaf = |from| Audience::AllButThese(Arc::new((from..1000).map(PeerId).collect()));
        let (one, other) = (deaf(0), deaf(500));
        let mut builder = BatchBuilder::default();
        for _ in 0..20 {
            push(&mut builder, one.clone(), "x");
            push(&mut builder, other.clone(), "x");
        }
        assert!(!builder.is_full());
        let batch = builder.take(Uses::default()).batch;
        let left_out = batch.left_out.as_ref().map_or(0, Vec::capacity);
        assert_eq!(left_out, 0, "large sets are not copied");
        let sets = batch.cost() - batch.text[0].capacity() - batch.segments.capacity() * size_of::<Segment>();
        assert!((1500 * 8..1500 * 8 + 250).contains(&sets), "{sets} bytes");
        push(&mut builder, one, "x");
        assert!(builder.take(Uses::default()).batch.cost() > 1000 * 8, "the next batch may be the last that has it");
        (0..9).for_each(|from| push(&mut builder, deaf(from), "x"));
        assert!(builder.is_full());
    }

    #[test]
    fn nothing_follows_a_farewell() {
        let mut builder = BatchBuilder::default();
        push(&mut builder, Audience::Farewell(PeerId(1)), "bye");
        push(&mut builder, Audience::Everyone, "later");
        let batch = builder.take(Uses::default()).batch;
        assert_eq!(portion(&batch, 1, 0), ("A: bye\n".into(), 1, true));
        assert_eq!(portion(&batch, 2, 0), ("A: later\n".into(), 1, false));
    }

    #[test]
    fn a_reply_of_several_lines_counts_as_several() {
        let mut builder = BatchBuilder::default();
        builder.push(Audience::Only(PeerId(1)), &Reply::Help);
        let lines = Reply::Help.to_string().lines().count();
        assert_eq!(builder.take(Uses::default()).batch.segments()[0].lines, lines as u32);
    }
}
