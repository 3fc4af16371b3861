//! What the reader and the writer of one connection share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use futures::future::poll_fn;
use futures::task::AtomicWaker;

#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    crlf: AtomicBool,
    broken: AtomicBool,
    stalled: AtomicBool,
    /// Data was sent since the last liveness check.
    has_sent: AtomicBool,
    /// Wakes the liveness check when data is sent.
    watch: AtomicWaker,
    /// The number of pages of the history that were sent.
    pages: AtomicU64,
    has_answers: AtomicBool,
    /// Bytes for the writer to send: replies to telnet commands, of which there are few.
    answers: Mutex<Vec<u8>>,
    /// Wakes the writer when there are some.
    writer: AtomicWaker,
}

impl ConnectionState {
    /// Makes the writer end lines with CR LF.
    pub(crate) fn want_crlf(&self) {
        self.crlf.store(true, Ordering::Relaxed);
    }

    pub(crate) fn wants_crlf(&self) -> bool {
        self.crlf.load(Ordering::Relaxed)
    }

    /// Gives the writer bytes to send.
    pub(crate) fn answer(&self, bytes: &[u8]) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        self.has_answers.store(true, Ordering::Release);
        self.writer.wake();
    }

    /// Takes the bytes to send. Does not wait.
    pub(crate) fn take_answers(&self) -> Vec<u8> {
        if !self.has_answers.load(Ordering::Relaxed) || !self.has_answers.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until there are bytes to send.
    pub(crate) async fn has_answers(&self) {
        poll_fn(|context| {
            self.writer.register(context.waker());
            if self.has_answers.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await
    }

    /// Records that data is being sent.
    pub(crate) fn note_sent(&self) {
        if !self.has_sent.load(Ordering::Relaxed) {
            self.has_sent.store(true, Ordering::Release);
            self.watch.wake();
        }
    }

    /// Waits until data is sent. Cancel-safe.
    pub(crate) async fn sent(&self) {
        poll_fn(|context| {
            self.watch.register(context.waker());
            if self.has_sent.swap(false, Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await
    }

    /// Records that a page of the history was sent.
    pub(crate) fn note_page(&self) {
        self.pages.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn pages(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }

    /// Records that the connection is broken, so that the end of its input is not taken for a half-close.
    pub(crate) fn note_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// Records that the peer has read nothing for too long.
    pub(crate) fn note_stalled(&self) {
        self.stalled.store(true, Ordering::Release);
    }

    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Acquire)
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}
