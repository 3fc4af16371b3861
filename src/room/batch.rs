//! What was said in one turn of the broker, rendered once for everyone.
//!
//! The broker builds batches and the feed keeps them. A finished batch never changes, so any number of writers share
//! it. Each takes the parts that are meant for its peer.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

use crate::limits::BATCH_BYTES;
use crate::model::PeerId;
use crate::protocol::Reply;
use crate::room::PeerSet;

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

/// Consecutive lines for the same audience.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) audience: Audience,
    pub(crate) lines: u64,
    /// Where it ends in the text. It begins where the previous one ends.
    end: usize,
}

/// The lines of one turn, each with an LF, and their audiences.
#[derive(Debug, Default)]
pub struct Batch {
    text: String,
    segments: Vec<Segment>,
    public_lines: u64,
    /// The memory of the peer sets in its audiences. Other batches may share the sets, but any batch can be the last to
    /// hold them.
    set_bytes: usize,
}

impl Batch {
    /// The number of lines for everyone, or for everyone but some peers.
    pub(crate) fn public_lines(&self) -> u64 {
        self.public_lines
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    pub(crate) fn len(&self) -> usize {
        self.text.len()
    }

    /// The approximate memory that it holds, in bytes.
    pub(crate) fn cost(&self) -> usize {
        let segments = self.segments.capacity() * size_of::<Segment>();
        size_of::<Self>() + self.text.capacity() + segments + self.set_bytes
    }

    /// The audience of all public lines, if they share one.
    pub(crate) fn public_audience(&self) -> Option<&Audience> {
        let mut public = self.segments.iter().map(|segment| &segment.audience).filter(|audience| audience.is_public());
        let first = public.next()?;
        public.all(|audience| audience == first).then_some(first)
    }

    /// Adds the text for `peer` to `pieces`, in as few pieces as possible. `from` is a byte offset at the start of a
    /// line. Returns whether the peer's farewell is the last line.
    pub(crate) fn portion_for<'a>(&'a self, peer: PeerId, from: usize, pieces: &mut Vec<&'a [u8]>) -> bool {
        let mut piece = from..from;
        let mut start = 0;
        for segment in &self.segments {
            let lines = start.max(from)..segment.end;
            start = segment.end;
            if lines.is_empty() || !segment.audience.includes(peer) {
                continue;
            }
            if piece.end != lines.start {
                pieces.extend(self.piece(&piece));
                piece.start = lines.start;
            }
            piece.end = lines.end;
            if matches!(segment.audience, Audience::Farewell(_)) {
                pieces.extend(self.piece(&piece));
                return true;
            }
        }
        pieces.extend(self.piece(&piece));
        false
    }

    fn piece(&self, range: &Range<usize>) -> Option<&[u8]> {
        (!range.is_empty()).then(|| &self.text.as_bytes()[range.clone()])
    }
}

/// A batch under construction.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    batch: Batch,
    /// The peer sets in it, each once.
    sets: Vec<Arc<PeerSet>>,
}

impl BatchBuilder {
    /// Adds a reply for `audience`. Lines are sent in the order in which they are added.
    pub fn push(&mut self, audience: Audience, reply: &Reply<'_>) {
        let batch = &mut self.batch;
        let start = batch.text.len();
        writeln!(batch.text, "{reply}").expect("a String takes all that is written to it");
        let end = batch.text.len();
        let lines = memchr::memchr_iter(b'\n', &batch.text.as_bytes()[start..]).count() as u64;
        if audience.is_public() {
            batch.public_lines += lines;
        }
        match batch.segments.last_mut() {
            Some(segment) if segment.audience == audience => {
                segment.end = end;
                segment.lines += lines;
            }
            _ => {
                if let Audience::AllButThese(peers) | Audience::These(peers) = &audience
                    && !self.sets.iter().any(|other| Arc::ptr_eq(other, peers))
                {
                    batch.set_bytes += peers.cost();
                    self.sets.push(Arc::clone(peers));
                }
                batch.segments.push(Segment { audience, lines, end });
            }
        }
    }

    /// Whether there is enough text to end the turn.
    pub fn is_full(&self) -> bool {
        self.len() + size_of_val(&self.batch.segments[..]) + self.batch.set_bytes >= BATCH_BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.batch.segments.is_empty()
    }

    /// The number of bytes so far, which is where a peer that joins now starts to read.
    pub(crate) fn len(&self) -> usize {
        self.batch.len()
    }

    /// The number of public lines so far.
    pub(crate) fn public_lines(&self) -> u64 {
        self.batch.public_lines
    }

    /// Returns the finished batch and resets the builder.
    pub fn take(&mut self) -> Batch {
        self.sets.clear();
        std::mem::take(&mut self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, SafeText};

    fn push(batch: &mut BatchBuilder, audience: Audience, text: &str) {
        let (from, text) = (Name::parse("A").unwrap(), SafeText::new(text.to_owned()));
        batch.push(audience, &Reply::Said { from: &from, text: &text });
    }

    fn portion(batch: &Batch, peer: u64, from: usize) -> (String, usize, bool) {
        let mut pieces = Vec::new();
        let last = batch.portion_for(PeerId(peer), from, &mut pieces);
        (String::from_utf8(pieces.concat()).unwrap(), pieces.len(), last)
    }

    #[test]
    fn each_peer_finds_what_is_meant_for_it_in_order() {
        use Audience::*;
        let mut builder = BatchBuilder::default();
        push(&mut builder, AllBut(PeerId(1)), "one");
        push(&mut builder, AllBut(PeerId(1)), "two");
        push(&mut builder, Only(PeerId(2)), "three");
        push(&mut builder, Everyone, "four");
        let batch = builder.take();
        assert_eq!(batch.public_lines(), 3);
        assert_eq!(portion(&batch, 1, 0), ("A: four\n".into(), 1, false));
        assert_eq!(portion(&batch, 2, 0), ("A: one\nA: two\nA: three\nA: four\n".into(), 1, false));
        assert_eq!(portion(&batch, 3, 0), ("A: one\nA: two\nA: four\n".into(), 2, false));
        assert_eq!(portion(&batch, 3, "A: one\n".len()), ("A: two\nA: four\n".into(), 2, false));
        assert!(builder.is_empty());
    }

    #[test]
    fn who_is_left_out_with_others_finds_the_rest() {
        let deaf = Audience::AllButThese(Arc::new([1, 3].map(PeerId).into_iter().collect()));
        let mut builder = BatchBuilder::default();
        push(&mut builder, deaf.clone(), "one");
        push(&mut builder, deaf.clone(), "two");
        let batch = builder.take();
        assert_eq!((batch.segments().len(), batch.public_audience()), (1, Some(&deaf)));
        push(&mut builder, deaf, "three");
        push(&mut builder, Audience::AllBut(PeerId(2)), "four");
        let batch = builder.take();
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
        let batch = builder.take();
        let sets = batch.cost() - batch.text.capacity() - batch.segments.capacity() * size_of::<Segment>();
        assert!((1500 * 8..1500 * 8 + 200).contains(&sets), "{sets} bytes");
        push(&mut builder, one, "x");
        assert!(builder.take().cost() > 1000 * 8, "the next batch may be the last that has it");
        (0..9).for_each(|from| push(&mut builder, deaf(from), "x"));
        assert!(builder.is_full());
    }

    #[test]
    fn nothing_follows_a_farewell() {
        let mut builder = BatchBuilder::default();
        push(&mut builder, Audience::Farewell(PeerId(1)), "bye");
        push(&mut builder, Audience::Everyone, "later");
        let batch = builder.take();
        assert_eq!(portion(&batch, 1, 0), ("A: bye\n".into(), 1, true));
        assert_eq!(portion(&batch, 2, 0), ("A: later\n".into(), 1, false));
    }

    #[test]
    fn a_reply_of_several_lines_counts_as_several() {
        let mut builder = BatchBuilder::default();
        builder.push(Audience::Only(PeerId(1)), &Reply::Help);
        let lines = Reply::Help.to_string().lines().count();
        assert_eq!(builder.take().segments()[0].lines, lines as u64);
    }
}
