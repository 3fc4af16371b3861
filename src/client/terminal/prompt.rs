//! The prompt: the room where the person is, unless that is the lobby, or the prompt cannot change.
//!
//! The editor takes a prompt only when it begins to read a line. So when the prompt changes, the editor has to end the
//! reading, and begins again with the same text. Meanwhile nothing else may be shown, because the editor would not
//! notice. The thread that shows lines waits for that.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::limits::PROMPT_RETRY;
use crate::model::RoomName;
use crate::os::system::terminal::PROMPT_KEY;

/// Shared by the app, which knows the room, the editor, which draws the prompt, and the thread that shows lines.
#[derive(Clone)]
pub(crate) struct Prompt {
    shared: Arc<Shared>,
    pub(crate) color: bool,
    /// There is a connection. The colour says so.
    pub(crate) connected: Arc<AtomicBool>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The editor has drawn the prompt, or has ended.
    drawn: Condvar,
}

#[derive(Default)]
struct State {
    room: RoomName,
    /// What the editor has drawn. `None` before it starts, and after its end.
    drawn: Option<String>,
    /// The editor shows a prompt of its own, as for a search, which should not be disturbed.
    is_covered: bool,
    /// Nothing else is shown, so the editor may change the prompt.
    is_waiting: bool,
    /// The editor is changing the prompt.
    is_changing: bool,
}

impl State {
    fn text(&self) -> String {
        if self.room.is_lobby() || PROMPT_KEY.is_none() { "> ".to_owned() } else { format!("{}> ", self.room) }
    }

    /// Whether the editor has drawn another prompt.
    fn is_stale(&self) -> bool {
        self.drawn.as_ref().is_some_and(|drawn| *drawn != self.text())
    }
}

impl Prompt {
    pub(crate) fn new(color: bool) -> Self {
        Self { shared: Arc::default(), color, connected: Arc::default() }
    }

    pub(crate) fn set_room(&self, room: &RoomName) {
        self.lock().room = room.clone();
    }

    pub(crate) fn text(&self) -> String {
        self.lock().text()
    }

    /// The editor draws this prompt. `None` when it ends.
    pub(crate) fn draw(&self, text: Option<&str>) {
        let mut state = self.lock();
        (state.drawn, state.is_covered, state.is_changing) = (text.map(str::to_owned), false, false);
        self.shared.drawn.notify_all();
    }

    /// The editor draws a prompt of its own.
    pub(crate) fn cover(&self) {
        self.lock().is_covered = true;
    }

    /// Whether the editor has to change its prompt now. Then it does so.
    pub(crate) fn begin_change(&self) -> bool {
        let mut state = self.lock();
        // The room may have changed again since the editor was asked.
        state.is_changing = state.is_waiting && state.is_stale();
        state.is_changing
    }

    /// Waits until the editor has drawn the prompt. `change` asks it to do so, again and again because some keys make it
    /// ignore all others. Ends if that is not possible now.
    pub(crate) fn update(&self, change: impl Fn() -> bool) {
        let mut state = self.lock();
        state.is_waiting = true;
        while state.is_changing || state.is_stale() && (state.is_covered || change()) {
            let waited = self.shared.drawn.wait_timeout(state, PROMPT_RETRY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_waiting = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::cell::Cell;
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn the_prompt_names_the_room_but_not_the_lobby() {
        let prompt = Prompt::new(false);
        assert_eq!(prompt.text(), "> ");
        prompt.set_room(&RoomName::parse("dev").unwrap());
        assert_eq!(prompt.text(), "dev> ");
        prompt.set_room(&RoomName::lobby());
        assert_eq!(prompt.text(), "> ");
    }

    #[test]
    fn the_editor_is_asked_until_it_has_drawn_the_prompt() {
        let (prompt, asked) = (Prompt::new(false), Cell::new(0));
        let ask = |draws_at: usize| {
            asked.set(0);
            prompt.update(|| {
                asked.set(asked.get() + 1);
                if asked.get() == draws_at {
                    let drawing = prompt.clone();
                    std::thread::spawn(move || drawing.draw(Some(&drawing.text())));
                }
                asked.get() < 10
            });
            asked.get()
        };
        prompt.set_room(&RoomName::parse("dev").unwrap());
        assert_eq!(ask(1), 0, "it has not started");
        prompt.draw(Some("> "));
        assert!(ask(3) >= 3);
        assert_eq!(ask(1), 0, "it is drawn");
        prompt.set_room(&RoomName::lobby());
        assert_eq!(ask(99), 10, "it is not possible now");
        prompt.draw(None);
        assert_eq!(ask(1), 0, "it has ended");
    }

    /// Otherwise a message could be shown while the editor does not notice.
    #[test]
    fn the_editor_changes_its_prompt_only_while_nothing_else_is_shown() {
        let (prompt, dev) = (Prompt::new(false), RoomName::parse("dev").unwrap());
        prompt.draw(Some("> "));
        prompt.set_room(&dev);
        assert!(!prompt.begin_change(), "nobody waits for it");
        let (editing, is_over) = (Cell::new(None), Arc::new(AtomicBool::new(false)));
        prompt.update(|| {
            let (editor, is_over) = (prompt.clone(), is_over.clone());
            let edit = move || {
                assert!(editor.begin_change());
                // The person goes back at this moment. The change has to end all the same.
                editor.set_room(&RoomName::lobby());
                for _ in 0..1000 {
                    editor.shared.drawn.notify_all();
                    std::thread::yield_now();
                }
                assert!(!is_over.load(Ordering::SeqCst));
                editor.draw(Some("dev> "));
                while !editor.begin_change() {}
                editor.draw(Some("> "));
            };
            editing.set(Some(editing.take().unwrap_or_else(|| std::thread::spawn(edit))));
            true
        });
        is_over.store(true, Ordering::SeqCst);
        editing.take().unwrap().join().unwrap();
        assert!(!prompt.lock().is_changing && !prompt.begin_change());
    }

    #[test]
    fn the_editor_is_not_asked_during_a_search() {
        let prompt = Prompt::new(false);
        prompt.draw(Some("> "));
        prompt.set_room(&RoomName::parse("dev").unwrap());
        prompt.cover();
        let (searching, is_over) = (prompt.clone(), Arc::new(AtomicBool::new(false)));
        let over = is_over.clone();
        let search = std::thread::spawn(move || {
            over.store(true, Ordering::SeqCst);
            searching.draw(Some("> "));
        });
        prompt.update(|| {
            assert!(is_over.load(Ordering::SeqCst));
            false
        });
        search.join().unwrap();
    }
}
