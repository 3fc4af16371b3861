//! The queue of messages for the program.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use async_channel::{Receiver, Sender, bounded};

use crate::client::message::Message;
use crate::limits::EXEC_MESSAGES;
use crate::model::{Name, RoomName};
use crate::protocol::ServerLine;

/// The sending end of the queue.
#[derive(Debug)]
pub(crate) struct MessageQueue {
    messages: Sender<Message>,
    unrun: Rc<Cell<usize>>,
    room: Rc<RefCell<RoomName>>,
    /// The previous line has not ended yet. (Our server sends no line that long.)
    within_line: bool,
}

/// The receiving end of the queue.
pub(crate) struct Backlog {
    pub(crate) messages: Receiver<Message>,
    /// How many messages did not fit.
    pub(crate) unrun: Rc<Cell<usize>>,
    /// The room where the bot is.
    pub(crate) room: Rc<RefCell<RoomName>>,
}

/// Both ends of a queue.
pub(crate) fn message_queue() -> (MessageQueue, Backlog) {
    let (sender, receiver) = bounded(EXEC_MESSAGES);
    let (unrun, room): (Rc<Cell<usize>>, Rc<RefCell<RoomName>>) = Default::default();
    let queue = MessageQueue { messages: sender, unrun: unrun.clone(), room: room.clone(), within_line: false };
    (queue, Backlog { messages: receiver, unrun, room })
}

impl MessageQueue {
    /// Adds the message in a line of the server, after which the bot, called `own`, is in `room`. Ignores the bot's own
    /// messages, and a line that arrives in pieces: `ends` is false unless the line is complete.
    pub(crate) fn hear(&mut self, line: ServerLine<'_>, ends: bool, own: Option<&Name>, room: &RoomName) {
        self.room.replace(room.clone());
        let is_piece = std::mem::replace(&mut self.within_line, !ends) || !ends;
        let Some(message) = Message::of(line, room).filter(|_| !is_piece) else { return };
        if own == Some(&message.from) {
            return;
        }
        if self.messages.try_send(message).is_err() {
            self.unrun.set(self.unrun.get() + 1);
        }
    }
}

impl Backlog {
    /// How many messages were not handled, and never will be.
    pub(crate) fn left(&self) -> usize {
        self.messages.len() + self.unrun.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_line_is_not_a_message() {
        let (mut queue, backlog) = message_queue();
        let lines = ["* so long that ", "Mallory: it comes in pieces ", "Mallory: like these\n"];
        for line in lines.into_iter().chain(["Alice: hi\r\n", "Alice: "]) {
            queue.hear(ServerLine::parse(line), line.ends_with('\n'), None, &RoomName::lobby());
        }
        let message = backlog.messages.try_recv().unwrap();
        assert_eq!((message.from.as_str(), message.text.as_str()), ("Alice", "hi"));
        assert_eq!(backlog.left(), 0);
    }
}
