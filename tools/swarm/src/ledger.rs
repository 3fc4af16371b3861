//! The ledger of a load: which lines are in flight, who has received them, and how long that took.

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use crate::dialect::Words;

/// What every peer must receive, and has received.
#[derive(Debug)]
pub struct Ledger {
    peers: usize,
    /// The first peers are the senders.
    senders: usize,
    /// Each peer is in the room of its number, counted around.
    rooms: usize,
    window: usize,
    /// The number of lines that each sender has sent.
    sent: Vec<u32>,
    /// The lines in flight: `window` places for each sender.
    flights: Vec<Flight>,
    /// For each peer, the number of the next line of each sender.
    next: Vec<u32>,
    /// The number of lines in flight.
    in_flight: usize,
    /// The number of lines received, by all peers together.
    pub deliveries: u64,
    /// The latencies of lines to a peer, in nanoseconds.
    pub latency: Histogram<u64>,
}

#[derive(Debug, Clone, Default)]
struct Flight {
    /// The number of peers that have yet to receive it.
    left: usize,
    /// When it was sent, in nanoseconds.
    sent_at: u64,
}

impl Ledger {
    pub fn new(peers: usize, senders: usize, window: usize, rooms: usize) -> Self {
        Self {
            peers,
            senders,
            rooms,
            window,
            sent: vec![0; senders],
            flights: vec![Flight::default(); senders * window],
            next: vec![0; peers * senders],
            in_flight: 0,
            deliveries: 0,
            latency: Histogram::new_with_bounds(1_000, 600_000_000_000, 3).expect("the bounds are in order"),
        }
    }

    pub fn senders(&self) -> usize {
        self.senders
    }

    /// How many more lines may be sent.
    pub fn room(&self) -> usize {
        self.window - self.in_flight
    }

    /// The next line of a sender, which is sent now.
    pub fn send(&mut self, sender: usize, now: u64) -> Words {
        let number = self.sent[sender];
        self.sent[sender] += 1;
        self.in_flight += 1;
        self.flights[sender * self.window + number as usize % self.window] =
            Flight { left: self.peers / self.rooms - 1, sent_at: now };
        Words { sender, number }
    }

    /// Records that a peer received this.
    ///
    /// # Errors
    /// If it should have received something else: a line is lost, duplicated or out of order.
    pub fn hear(&mut self, peer: usize, words: &Words, now: u64) -> Result<()> {
        let &Words { sender, number } = words;
        let is_there = sender % self.rooms == peer % self.rooms;
        ensure!(sender < self.senders && sender != peer && is_there, "{peer} heard {words:?}, which nobody said to it");
        let next = &mut self.next[peer * self.senders + sender];
        ensure!(*next == number, "{peer} heard {words:?} instead of line {next}");
        *next += 1;
        let flight = &mut self.flights[sender * self.window + number as usize % self.window];
        flight.left -= 1;
        self.in_flight -= usize::from(flight.left == 0);
        self.deliveries += 1;
        self.latency.saturating_record(now.saturating_sub(flight.sent_at));
        Ok(())
    }

    /// Whether no lines are in flight.
    pub fn is_quiet(&self) -> bool {
        self.in_flight == 0
    }

    /// Whether everyone has received everything.
    pub fn is_settled(&self) -> bool {
        let has_all = |peer: usize| {
            let heard = &self.next[peer * self.senders..][..self.senders];
            heard.iter().zip(&self.sent).enumerate().all(|(sender, (heard, sent))| {
                heard == sent || sender == peer || sender % self.rooms != peer % self.rooms
            })
        };
        (0..self.peers).all(has_all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_lost_or_twice_is_found() {
        let mut ledger = Ledger::new(3, 2, 4, 1);
        let (first, second) = (ledger.send(0, 0), ledger.send(0, 0));
        ledger.hear(1, &first, 5).unwrap();
        assert!(ledger.hear(1, &first, 5).is_err(), "twice");
        assert!(ledger.hear(2, &second, 5).is_err(), "the first is lost");
        assert!(ledger.hear(0, &first, 5).is_err(), "its own");
        assert!(!ledger.is_settled());
        ledger.hear(2, &first, 9).unwrap();
        assert_eq!((ledger.in_flight, ledger.deliveries, ledger.latency.max()), (1, 2, ledger.latency.max()));
        ledger.hear(1, &second, 9).unwrap();
        ledger.hear(2, &second, 9).unwrap();
        assert!(ledger.is_settled());
        assert_eq!(ledger.in_flight, 0);
    }
}
