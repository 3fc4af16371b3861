//! The messages that wait for the program.

use std::cell::Cell;
use std::rc::Rc;

use async_channel::{Receiver, Sender, bounded};

use crate::client::message::Message;
use crate::limits::EXEC_MESSAGES;
use crate::protocol::ServerLine;

/// Takes in what is said, for as much of it as can wait.
#[derive(Debug)]
pub(crate) struct MessageQueue {
    messages: Sender<Message>,
    unrun: Rc<Cell<usize>>,
    /// The end of the line before has not come. (No line of our server is that long.)
    within_line: bool,
}

/// What waits for the program.
pub(crate) struct Backlog {
    pub(crate) messages: Receiver<Message>,
    /// How many did not fit.
    pub(crate) unrun: Rc<Cell<usize>>,
}

/// A queue, and the end that the program takes messages from.
pub(crate) fn message_queue() -> (MessageQueue, Backlog) {
    let (sender, receiver) = bounded(EXEC_MESSAGES);
    let unrun = Rc::new(Cell::new(0));
    let queue = MessageQueue { messages: sender, unrun: unrun.clone(), within_line: false };
    (queue, Backlog { messages: receiver, unrun })
}

impl MessageQueue {
    /// Takes in a line of the server, which may be only a piece of one: then it does not begin, or does not end there.
    pub(crate) fn hear(&mut self, line: ServerLine<'_>, ends: bool) {
        let is_piece = std::mem::replace(&mut self.within_line, !ends) || !ends;
        let Some(message) = Message::of(line).filter(|_| !is_piece) else { return };
        if self.messages.try_send(message).is_err() {
            self.unrun.set(self.unrun.get() + 1);
        }
    }
}

impl Backlog {
    /// How many messages have not been run, and will not be.
    pub(crate) fn left(&self) -> usize {
        self.messages.len() + self.unrun.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_line_is_no_message() {
        let (mut queue, backlog) = message_queue();
        let lines = ["* so long that ", "Mallory: it comes in pieces ", "Mallory: like these\n"];
        for line in lines.into_iter().chain(["Alice: hi\r\n", "Alice: "]) {
            queue.hear(ServerLine::parse(line), line.ends_with('\n'));
        }
        let message = backlog.messages.try_recv().unwrap();
        assert_eq!((message.from.as_str(), message.text.as_str()), ("Alice", "hi"));
        assert_eq!(backlog.left(), 0);
    }
}
