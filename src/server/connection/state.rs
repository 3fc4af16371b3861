//! What the reader and the writer of one connection share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use futures::future::poll_fn;
use futures::task::AtomicWaker;

/// Shared by the reader and the writer of one peer.
#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    crlf: AtomicBool,
    broken: AtomicBool,
    stalled: AtomicBool,
    /// Something was sent since the watch last looked.
    has_sent: AtomicBool,
    /// The watch, when it waits for that.
    watch: AtomicWaker,
    has_answers: AtomicBool,
    /// Bytes that the writer is to send as they are: answers to telnet commands, of which there are few.
    answers: Mutex<Vec<u8>>,
    /// The writer, when it waits for them.
    writer: AtomicWaker,
}

impl ConnectionState {
    /// The reader has seen that this peer's lines are to end in CR LF.
    pub(crate) fn want_crlf(&self) {
        self.crlf.store(true, Ordering::Relaxed);
    }

    pub(crate) fn wants_crlf(&self) -> bool {
        self.crlf.load(Ordering::Relaxed)
    }

    /// The reader has something for the writer to send.
    pub(crate) fn answer(&self, bytes: &[u8]) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        self.has_answers.store(true, Ordering::Release);
        self.writer.wake();
    }

    /// What the reader has to send, without waiting.
    pub(crate) fn take_answers(&self) -> Vec<u8> {
        if !self.has_answers.load(Ordering::Relaxed) || !self.has_answers.swap(false, Ordering::Acquire) {
            return Vec::new();
        }
        std::mem::take(&mut self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the reader has something to send.
    pub(crate) async fn has_answers(&self) {
        poll_fn(|context| {
            self.writer.register(context.waker());
            if self.has_answers.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await
    }

    /// Something is sent to the peer.
    pub(crate) fn note_sent(&self) {
        if !self.has_sent.load(Ordering::Relaxed) {
            self.has_sent.store(true, Ordering::Release);
            self.watch.wake();
        }
    }

    /// Waits until something is sent. Dropping the future loses nothing.
    pub(crate) async fn sent(&self) {
        poll_fn(|context| {
            self.watch.register(context.waker());
            if self.has_sent.swap(false, Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await
    }

    /// The writer has found the connection broken: when its input ends now, that is no half-close.
    pub(crate) fn note_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// The writer has given the peer up, because it took nothing for too long.
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
