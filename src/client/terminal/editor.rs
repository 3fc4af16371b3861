//! The editor of the typed line. It alone draws on the screen, so output cannot break the line.
//!
//! Enter does not end the editing. The line is removed from the editor and shown as a message, in order with those of
//! others.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Instant;

use async_channel::{Receiver, Sender, bounded};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Context, Editor, Event, EventContext,
    EventHandler, ExternalPrinter, Helper, KeyCode, KeyEvent, Modifiers, Movement, RepeatCount,
};

use crate::client::ClientError;
use crate::client::startup::no_thread;
use crate::client::terminal::completion::{Completion, commands_that_begin_with, takes_room};
use crate::client::terminal::foreground::is_foreground;
use crate::client::terminal::history::History;
use crate::client::terminal::keys::{Keys, Press, Typed};
use crate::client::terminal::password_prompt::{CANCELLED, KeyEffect, PasswordPrompt};
use crate::client::terminal::prompt::Prompt;
use crate::client::terminal::reflow::{Recent, Reflow, visible};
use crate::client::terminal::screen::Screen;
use crate::limits::{CLIENT_TYPED_LINES, KEY_PARTS};
use crate::os::system::terminal::{PROMPT_KEY, SavedModes};
use crate::protocol::words::find_slash;

/// What the key handlers need.
#[derive(Clone)]
pub(crate) struct Editing {
    typed: Sender<Typed>,
    completion: Completion,
    history: History,
    pub(crate) keys: Keys,
    pub(crate) password_prompt: PasswordPrompt,
    screen: Screen,
    prompt: Prompt,
    /// The text before and after the cursor, while the prompt changes.
    kept: Arc<Mutex<(String, String)>>,
    /// `None` before the editor starts.
    modes: Option<SavedModes>,
}

impl Editing {
    /// An editor that has not started, and the receiver of its input.
    pub(crate) fn new(
        completion: Completion,
        history: History,
        screen: Screen,
        prompt: Prompt,
    ) -> (Self, Receiver<Typed>) {
        let (typed, receiver) = bounded(CLIENT_TYPED_LINES);
        let (keys, password_prompt, kept) = (Keys::default(), PasswordPrompt::default(), Arc::default());
        (Self { typed, completion, history, keys, password_prompt, screen, prompt, kept, modes: None }, receiver)
    }

    /// Starts the editor on its own thread.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be used.
    pub(crate) fn start(
        mut self,
        modes: SavedModes,
        recent: Recent,
    ) -> Result<impl ExternalPrinter + Send + 'static, ClientError> {
        modes.begin_editing().map_err(|error| ClientError::Input(error.into()))?;
        self.modes = Some(modes.clone());
        let prompt = self.prompt.clone();
        let (ready, started) = mpsc::channel();
        let edit = move || {
            let mut editor = match self.editor(recent) {
                Ok(editor) => editor,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let _ = ready.send(editor.create_external_printer());
            // No key ends the editing. It ends for another prompt, or because the terminal is gone.
            while let Ok(_) | Err(ReadlineError::Interrupted) = self.read_line(&mut editor) {}
            self.prompt.draw(None);
            let _ = self.typed.send_blocking(Typed::Leave);
        };
        thread::Builder::new().spawn(edit).map_err(no_thread)?;
        let printer = started.recv().map_err(io::Error::other).map_err(ClientError::Output)?;
        let printer = printer.map_err(|error| ClientError::Output(io::Error::other(error)))?;
        Ok(Printer { printer, prompt, modes })
    }

    /// Edits until the prompt changes.
    fn read_line(&self, editor: &mut Editor<Assistant, History>) -> rustyline::Result<String> {
        let prompt = self.prompt.text();
        if let Some(assistant) = editor.helper() {
            if assistant.redraws.get() {
                // Its rows are above the cursor.
                write(&assistant.reflow.clear())?;
            }
            assistant.reflow.begin(&prompt);
        }
        let (before, after) = std::mem::take(&mut *self.kept());
        editor.readline_with_initial(&prompt, (&before, &after))
    }

    fn editor(&self, recent: Recent) -> rustyline::Result<Editor<Assistant, History>> {
        let config = Config::builder()
            .completion_type(CompletionType::List)
            // `SavedModes` turns it on and off.
            .bracketed_paste(false)
            // The bytes of one key arrive together.
            .keyseq_timeout(Some(KEY_PARTS))
            // The assistant itself checks whether colours are allowed.
            .color_mode(ColorMode::Forced)
            .build();
        let mut editor = Editor::with_history(config, self.history.clone())?;
        let reflow = Reflow::new(recent);
        editor.set_helper(Some(Assistant {
            completion: self.completion.clone(),
            keys: self.keys.clone(),
            prompt: self.prompt.clone(),
            reflow,
            redraws: Cell::new(false),
        }));
        let up = KeyEvent(KeyCode::Up, Modifiers::NONE);
        let down = KeyEvent(KeyCode::Down, Modifiers::NONE);
        let earlier: Act = |this, context, _| this.recall(context, |history| history.earlier(context.line()));
        let later: Act = |this, context, _| this.recall(context, History::later);
        let first: Act = |this, context, _| this.recall(context, |history| history.first(context.line()));
        let draft: Act = |this, context, _| this.recall(context, History::draft);
        let keys: [(Event, Act); 15] = [
            (KeyEvent(KeyCode::Enter, Modifiers::NONE).into(), Self::enter),
            // At a Windows console this is another key; elsewhere it is the same.
            (KeyEvent::from('\r').into(), Self::enter),
            (KeyEvent::ctrl('J').into(), Self::enter),
            (KeyEvent::ctrl('C').into(), Self::interrupt),
            (KeyEvent::ctrl('\\').into(), Self::interrupt),
            (KeyEvent::ctrl('D').into(), Self::end),
            (KeyEvent::ctrl('L').into(), Self::clear_screen),
            (KeyEvent::ctrl('Z').into(), Self::stop),
            (up.into(), earlier),
            (KeyEvent::ctrl('P').into(), earlier),
            (down.into(), later),
            (KeyEvent::ctrl('N').into(), later),
            (KeyEvent::alt('<').into(), first),
            (KeyEvent::alt('>').into(), draft),
            // Any other key has its usual effect.
            (Event::Any, |_, _, _| None),
        ];
        for (key, act) in keys {
            let key_does = Key { editing: self.clone(), act };
            editor.bind_sequence(key, EventHandler::Conditional(Box::new(key_does)));
        }
        Ok(editor)
    }

    /// Ends the reading of the line, which then begins again with the same text.
    fn change_prompt(&self, context: &EventContext<'_>) -> Cmd {
        if self.keys.end_search() {
            return Cmd::Repaint; // It began just now. The prompt changes at the next attempt.
        }
        if !self.prompt.begin_change() {
            return Cmd::Noop;
        }
        let (before, after) = context.line().split_at(context.pos());
        *self.kept() = (before.to_owned(), after.to_owned());
        Cmd::AcceptLine
    }

    fn kept(&self) -> MutexGuard<'_, (String, String)> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, context: &EventContext<'_>, press: Press) -> Option<Cmd> {
        let line = context.line();
        Some(if self.take(line, press) { clear(line) } else { Cmd::Noop })
    }

    /// Takes the line from the editor. False if too many lines are waiting: then it stays, to be sent later.
    fn take(&self, line: &str, press: Press) -> bool {
        if self.typed.is_full() {
            return false;
        }
        if let Some(question) = self.password_prompt.open(line) {
            self.screen.say(question);
            return true;
        }
        let typed = if line.trim().is_empty() { Typed::Nothing(press) } else { Typed::Line(line.to_owned(), press) };
        // Only this thread sends, and there is room.
        let _ = self.typed.try_send(typed);
        self.history.keep(line.trim_end_matches('\n'));
        true
    }

    fn enter_secret(&self, text: &str) {
        match self.password_prompt.enter(text.as_bytes()) {
            // It is lost if thousands of lines are waiting. The person sees that nothing happens.
            Ok(typed) => drop(self.typed.try_send(typed)),
            Err(words) => self.screen.say(&words),
        }
    }

    fn interrupt(&self, context: &EventContext<'_>, press: Press) -> Option<Cmd> {
        if !press.in_search {
            let _ = self.typed.try_send(if context.line().is_empty() { Typed::Interrupt } else { Typed::Cleared });
        }
        Some(clear(context.line()))
    }

    fn end(&self, context: &EventContext<'_>, _: Press) -> Option<Cmd> {
        if !context.line().is_empty() {
            return None; // It deletes the character under the cursor.
        }
        let _ = self.typed.try_send(Typed::Leave);
        Some(Cmd::Noop)
    }

    /// Clears the screen. The editor itself would draw the line at the top, but it has to stay at the bottom (see
    /// `reflow`).
    fn clear_screen(&self, _: &EventContext<'_>, _: Press) -> Option<Cmd> {
        self.screen.clear();
        Some(Cmd::Noop)
    }

    /// Stops the client. If it continues in the background, the line is drawn when it returns to the foreground.
    fn stop(&self, _: &EventContext<'_>, _: Press) -> Option<Cmd> {
        self.modes.as_ref()?.stop();
        Some(if is_foreground() { Cmd::Repaint } else { Cmd::Noop })
    }

    fn recall(&self, context: &EventContext<'_>, line: impl FnOnce(&History) -> Option<String>) -> Option<Cmd> {
        if context.line().contains('\n') {
            return None; // It moves within a pasted text.
        }
        Some(line(&self.history).map_or(Cmd::Noop, |line| self.history.put(line)))
    }
}

/// Deletes the whole line, and the prompt of a search. The editor does not draw if there is nothing to delete.
fn clear(line: &str) -> Cmd {
    if line.is_empty() { Cmd::Repaint } else { Cmd::Kill(Movement::WholeBuffer) }
}

type Act = fn(&Editing, &EventContext<'_>, Press) -> Option<Cmd>;

/// A key and its effect.
struct Key {
    editing: Editing,
    act: Act,
}

impl ConditionalEventHandler for Key {
    fn handle(&self, event: &Event, count: RepeatCount, ahead: bool, context: &EventContext<'_>) -> Option<Cmd> {
        let key = *event.get(0)?;
        if PROMPT_KEY.is_some_and(|prompt_key| key == KeyEvent::from(prompt_key)) {
            return Some(self.editing.change_prompt(context));
        }
        // Before this key, the editor asked a question about completions, and did not end the reading.
        drop(std::mem::take(&mut *self.editing.kept()));
        let press = self.editing.keys.press(key, Instant::now());
        let count = if ahead { count } else { 0 };
        match self.editing.password_prompt.press(key, count) {
            KeyEffect::Usual => return (self.act)(&self.editing, context, press),
            KeyEffect::None => {}
            KeyEffect::Entered(text) => self.editing.enter_secret(&text),
            KeyEffect::Cancelled => self.editing.screen.say(CANCELLED),
        }
        // Any key ends a search, and removes its prompt.
        Some(if press.in_search { Cmd::Repaint } else { Cmd::Noop })
    }
}

/// The callbacks of the editor while a line is typed.
struct Assistant {
    completion: Completion,
    keys: Keys,
    prompt: Prompt,
    reflow: Reflow,
    /// The editor redraws all of the line when the cursor moves.
    redraws: Cell<bool>,
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(&self, line: &str, position: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(complete(&line[..position], &self.completion))
    }
}

/// Where the word before the cursor starts, and its completions.
fn complete(line: &str, completion: &Completion) -> (usize, Vec<Pair>) {
    let start = line.rfind(' ').map_or(0, |blank| blank + 1);
    let word = &line[start..];
    if find_slash(line) == Some(start) {
        let pair = |command: String| Pair { display: command.trim_end().to_owned(), replacement: command };
        return (start, commands_that_begin_with(word).into_iter().map(pair).collect());
    }
    if command_before(line, start).is_some_and(takes_room) {
        let pair = |room: String| Pair { replacement: format!("{room} "), display: room };
        return (start, completion.rooms_that_begin_with(word).into_iter().map(pair).collect());
    }
    let end = if start == 0 { ": " } else { " " };
    let pair = |name: String| Pair { replacement: format!("{name}{end}"), display: name };
    (start, completion.that_begin_with(word).into_iter().map(pair).collect())
}

/// The command, without its slash, if its first argument starts here.
fn command_before(line: &str, start: usize) -> Option<&str> {
    line.get(find_slash(line)? + 1..start).map(str::trim_end)
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, is_default: bool) -> Cow<'b, str> {
        if is_default {
            self.prompt.draw(Some(prompt))
        } else {
            self.prompt.cover()
        }
        let prompt = visible(prompt);
        let mend = self.reflow.prompt(&prompt);
        if !self.prompt.color {
            return format!("{mend}{prompt}").into();
        }
        let color = if self.prompt.connected.load(Ordering::Relaxed) { 32 } else { 31 };
        format!("{mend}\x1b[{color}m{prompt}\x1b[0m").into()
    }

    fn highlight<'l>(&self, line: &'l str, cursor: usize) -> Cow<'l, str> {
        self.reflow.line(line, cursor);
        visible(line)
    }

    fn highlight_char(&self, line: &str, cursor: usize, _: CmdKind) -> bool {
        self.redraws.set(self.reflow.line(line, cursor));
        self.redraws.get()
    }
}

impl Hinter for Assistant {
    type Hint = String;

    /// Called after each change of the line. There is never a hint.
    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.keys.now_typed(line);
        None
    }
}

impl Validator for Assistant {
    /// Called before the reading ends, which moves the cursor to the next row. A line of one row is drawn again in the
    /// same row, so that nothing scrolls. Before that, the editor may move the cursor within the row, or redraw all rows.
    fn validate(&self, _: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        if !self.redraws.get() {
            write("\x1b[A")?;
        }
        Ok(ValidationResult::Valid(None))
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

impl Helper for Assistant {}

/// Shows lines above the typed line, and makes the editor change its prompt.
struct Printer<P> {
    printer: P,
    prompt: Prompt,
    modes: SavedModes,
}

impl<P: ExternalPrinter> ExternalPrinter for Printer<P> {
    fn print(&mut self, text: String) -> rustyline::Result<()> {
        self.printer.print(text)?;
        // The line that tells why the prompt changes has just been shown.
        self.prompt.update(|| is_foreground() && self.modes.change_prompt());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;

    use super::*;
    use crate::protocol::ServerLine;

    #[test]
    fn a_line_stays_in_the_editor_when_the_queue_is_full() {
        let (history, _) = History::open(None);
        let (editing, typed) = Editing::new(
            Completion::default(),
            history.clone(),
            Screen::new(false, Date::default).0,
            Prompt::new(false),
        );
        let enter = editing.keys.press(KeyEvent::from('\r'), Instant::now());
        (0..CLIENT_TYPED_LINES).for_each(|line| assert!(editing.take(&line.to_string(), enter)));
        assert!(!editing.take("too many", enter));
        assert_eq!(history.earlier(""), Some((CLIENT_TYPED_LINES - 1).to_string()), "it is not in the history yet");
        assert!(matches!(typed.try_recv(), Ok(Typed::Line(line, _)) if line == "0"));
        assert!(editing.take("too many", enter));
    }

    #[test]
    fn names_and_commands_are_completed() {
        let completion = Completion::default();
        ["* Alice has joined", "* alan has joined"].iter().for_each(|line| completion.hear(ServerLine::parse(line)));
        let complete = |line| {
            let (start, pairs) = super::complete(line, &completion);
            (start, pairs.into_iter().map(|pair| pair.replacement).collect::<Vec<_>>())
        };
        assert_eq!(complete("ali"), (0, vec!["Alice: ".to_owned()]));
        assert_eq!(complete("al"), (0, vec!["Alice: ".to_owned(), "alan: ".to_owned()]));
        assert_eq!(complete("hello ali"), (6, vec!["Alice ".to_owned()]));
        assert_eq!(complete("/m"), (0, vec!["/me ".to_owned(), "/msg ".to_owned()]));
        assert_eq!(complete(" /ms"), (1, vec!["/msg ".to_owned()]));
        assert_eq!(complete("/wh"), (0, vec!["/whisper ".to_owned(), "/who ".to_owned()]));
        assert_eq!(complete("x /m"), (2, vec![]));
        assert_eq!(complete("/msg ali"), (5, vec!["Alice ".to_owned()]));
        assert_eq!(complete("/ig"), (0, vec!["/ignore ".to_owned()]));
        assert_eq!(complete("/unignore ali"), (10, vec!["Alice ".to_owned()]));
        assert_eq!(complete("zoë"), (0, vec![]));
    }

    #[test]
    fn rooms_are_completed_where_a_command_takes_one() {
        let completion = Completion::default();
        let lines = ["* Devin has joined", "* 3 rooms: lobby (12), dev (4), design (1)."];
        lines.iter().for_each(|line| completion.hear(ServerLine::parse(line)));
        let complete = |line: &str| {
            let (start, pairs) = super::complete(line, &completion);
            (start, pairs.into_iter().map(|pair| pair.replacement).collect::<Vec<_>>())
        };
        let rooms = || vec!["design ".to_owned(), "dev ".to_owned()];
        for command in ["/join", "/JOIN", "/hear", "/deaf", "/say", "/who", "/names", "/close", " /join"] {
            assert_eq!(complete(&format!("{command} de")), (command.len() + 1, rooms()), "{command}");
        }
        assert_eq!(complete("/join #dev"), (6, vec!["#dev ".to_owned()]));
        assert_eq!(complete("/join  l"), (7, vec!["lobby ".to_owned()]));
        for line in ["/topic de", "/keep de", "/msg de", "//join de", "/say dev de", "join de", "x /join de"] {
            assert_eq!(complete(line), (line.len() - 2, vec!["Devin ".to_owned()]), "{line}");
        }
        assert_eq!(complete("/join"), (0, vec!["/join ".to_owned()]));
    }
}
