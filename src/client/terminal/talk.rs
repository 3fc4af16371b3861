//! The talk: what is typed goes to the server, what the server says goes to the screen, through every loss of the
//! connection.
//!
//! It knows neither keys nor the terminal. A typed line is sent, or kept until it can be, or refused in so many words.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Instant;

use async_channel::Receiver;
use async_io::Timer;
use async_std::future::timeout;
use futures::FutureExt;
use jiff::ZonedDateTime;

use super::backoff::Backoff;
use super::dialogue::{Dialogue, is_question};
use super::editor::Typed;
use super::link::{Event, Link, Sending};
use super::look::Look;
use super::paste::{Paste, Verdict};
use super::people::{People, renaming};
use super::receipts::{Missing, Receipts};
use super::screen::Screen;
use super::veil::{Veil, begins_dialogue};
use crate::client::connection::ConnectError;
use crate::client::message::Message;
use crate::client::tls::TlsError;
use crate::client::{Config, Lost, Outcome, lines};
use crate::fault;
use crate::limits::{CLIENT_UNSENT_LINES, GOODBYE_PATIENCE, QUOTED_CHARS, SECOND_INTERRUPT, WELCOME_LIMIT};
use crate::protocol::{BadSecret, Command, Line, SafeText, Secret};

const PASSWORD: &str = "Password? What you type is not shown; Enter sends it.";
const UNPROTECTED: &str = "Type no password here: it would be shown, and others could read it on its way.";
const UNASKED: &str =
    "No command of yours led to that. Type no password here: it would be shown, and sent as a message.";
const MISSED: &str =
    "The answer about your password may be among them: what you type stays hidden until it comes. Ctrl-D leaves.";

type Done = Result<Outcome, Lost>;

pub(super) struct Talk {
    config: Config,
    reconnect: bool,
    screen: Screen,
    look: Look,
    typed: Receiver<Typed>,
    people: People,
    paste: Paste,
    veil: Veil,
    dialogue: Dialogue,
    /// The password that was sent last, until the server says what it thinks of it.
    tried: Option<Secret>,
    /// What the server said when it did not take the remembered password any more.
    refusal: Option<SafeText>,
    /// The server has taken the name at least once.
    has_joined: bool,
    /// Lines that are to be sent; the first one perhaps at this moment.
    unsent: VecDeque<String>,
    /// How many of them are commands that lead to a password, without the one that is sent at this moment.
    commands: usize,
    /// The first of them is on the screen.
    is_shown: bool,
    link: Option<Link>,
    absence: Option<Absence>,
    interrupted: Option<Instant>,
    /// The person wanted to leave while a question was open, and knows what that would throw away.
    is_warned: bool,
    is_leaving: bool,
    /// When the person who leaves is told what is waited for.
    goodbye_due: Option<Instant>,
}

/// What happens next.
enum Next {
    Typed(Typed),
    Link(Event),
    Due,
}

/// The time without a connection.
struct Absence {
    /// When it began, as the person is told.
    since: String,
    backoff: Backoff,
    next_try: Instant,
    /// The person knows that the name is taken.
    told_of_ghost: bool,
    /// And that the server is not trusted.
    told_of_distrust: bool,
}

impl Talk {
    pub(super) fn new(
        config: Config,
        reconnect: bool,
        (screen, look): (Screen, Look),
        (typed, people, paste, veil): (Receiver<Typed>, People, Paste, Veil),
    ) -> Self {
        Self {
            config,
            reconnect,
            screen,
            look,
            typed,
            people,
            paste,
            veil,
            dialogue: Dialogue::default(),
            tried: None,
            refusal: None,
            has_joined: false,
            unsent: VecDeque::new(),
            commands: 0,
            is_shown: false,
            link: None,
            absence: None,
            interrupted: None,
            is_warned: false,
            is_leaving: false,
            goodbye_due: None,
        }
    }

    /// Joins, calls `sit_down`, and stays until the person leaves or cannot stay.
    pub(super) async fn run(mut self, sit_down: impl FnOnce() -> Result<(), Lost>) -> Done {
        let first = timeout(WELCOME_LIMIT, self.first_lines()).await.map_err(|_elapsed| Lost::NoWelcome)??;
        let Some(first) = first else { return self.link.expect("there was one").story.outcome() };
        self.settle_veil(0);
        sit_down()?;
        if !self.dialogue.is_open() {
            self.joined();
        }
        self.show(&first).await;
        loop {
            let done = match self.next().await {
                Next::Typed(typed) => self.type_in(typed).await,
                Next::Link(event) => self.happen(event).await,
                Next::Due => self.due().await,
            };
            if let Break(done) = done {
                return done;
            }
            self.send_next().await;
            self.settle_veil(0);
        }
    }

    /// Connects for the first time. What the server says until it has taken the name, or asks for a password that only the
    /// person knows; or nothing if it has sent us away.
    async fn first_lines(&mut self) -> Result<Option<Vec<u8>>, Lost> {
        self.link = Some(Link::begin(&self.config, self.look.own_name()));
        let mut lines = Vec::new();
        loop {
            let link = self.link.as_mut().expect("it has begun");
            match link.next().await {
                Event::NotConnected(error) => return Err(error.into()),
                Event::Connected { is_private } => link.is_private = is_private,
                Event::Heard(heard) => {
                    link.hear(&heard);
                    lines.extend(heard);
                    self.answer_login();
                    let Some(link) = &self.link else { return Err(Lost::Cut) };
                    if link.story.is_turned_away() {
                        return Ok(None);
                    }
                    if link.story.joined || self.dialogue.is_open() {
                        return Ok(Some(lines));
                    }
                }
                Event::Ended(Ok(())) => return Err(Lost::Cut),
                Event::Ended(Err(error)) => return Err(Lost::Failed(error)),
                Event::Sent => link.sending = None,
            }
        }
    }

    async fn next(&mut self) -> Next {
        let link = self.link.as_ref();
        let next_try = self.absence.as_ref().filter(|_| link.is_none()).map(|absence| absence.next_try);
        let question = link.filter(|link| link.can_send()).and_then(|link| link.receipts.due());
        let welcome = link.filter(|link| self.is_unwelcomed(link)).map(|link| link.welcome_by);
        let due =
            self.paste.due().into_iter().chain(next_try).chain(question).chain(welcome).chain(self.goodbye_due).min();
        // All of these can be dropped without a loss.
        futures::select_biased! {
            typed = async {
                match self.typed.recv().await {
                    Ok(typed) => typed,
                    // Whoever leaves already is not impatient because the terminal is gone.
                    Err(_) if self.is_leaving => std::future::pending().await,
                    Err(_) => Typed::Leave,
                }
            }.fuse() => Next::Typed(typed),
            event = async {
                match link {
                    Some(link) => link.next().await,
                    None => std::future::pending().await,
                }
            }.fuse() => Next::Link(event),
            _ = async {
                match due {
                    Some(due) => Timer::at(due).await,
                    None => std::future::pending().await,
                }
            }.fuse() => Next::Due,
        }
    }

    // ---- What the person does ----

    async fn type_in(&mut self, typed: Typed) -> ControlFlow<Done> {
        let is_warned = std::mem::take(&mut self.is_warned);
        match typed {
            Typed::Line(text, enter) => {
                self.paste.add(&text, enter);
                self.settle_veil(text.lines().filter(|line| begins_dialogue(line)).count());
            }
            Typed::Unreadable(text) => {
                self.screen.tell(&format!("Not sent, because it is not valid UTF-8: {text}")).await;
            }
            Typed::Nothing(enter) => self.paste.confirm(enter),
            Typed::Secret(secret) => self.take_secret(secret),
            Typed::Cleared => {
                // What was in the editor is the rest of the paste.
                if let Some(count) = self.paste.discard() {
                    self.screen.say(&format!("{} thrown away.", lines(count + 1)));
                }
            }
            Typed::Interrupt => return self.interrupt().await,
            Typed::Leave => return self.leave(is_warned).await,
        }
        Continue(())
    }

    async fn interrupt(&mut self) -> ControlFlow<Done> {
        if let Some(count) = self.paste.discard() {
            self.screen.tell(&format!("{} thrown away.", lines(count))).await;
            return Continue(());
        }
        if self.interrupted.is_some_and(|then| then.elapsed() < SECOND_INTERRUPT) {
            return self.leave(false).await;
        }
        self.interrupted = Some(Instant::now());
        self.screen.say("Ctrl-C again leaves, and so does Ctrl-D.");
        Continue(())
    }

    /// Leaves, unless there is a question that the person has not been warned of.
    async fn leave(&mut self, is_warned: bool) -> ControlFlow<Done> {
        self.settle_paste().await;
        if let Some(count) = self.paste.question() {
            if !is_warned {
                self.is_warned = true;
                self.screen.tell(&format!("Not sent yet: {}. Ctrl-D again leaves without that.", lines(count))).await;
                return Continue(());
            }
            self.paste.discard();
            self.screen.tell(&format!("{} thrown away.", lines(count))).await;
        }
        let is_here = self.link.as_ref().is_some_and(|link| link.story.joined);
        if is_here && !self.is_leaving {
            // The last line that waits is sent, then the connection is half-closed, and the farewell awaited.
            self.begin_to_leave();
            return Continue(());
        }
        let lost = if self.is_leaving || !self.has_joined { Lost::NoFarewell } else { Lost::Cut };
        let receipts = self.link.take().map(|link| link.receipts).unwrap_or_default();
        Break(self.done(Err(lost), &receipts).await)
    }

    /// How it ends: well only if nothing is left that was not said, and not without a word about it.
    async fn done(&self, done: Done, receipts: &Receipts) -> Done {
        let unsent = self.unsent.len() + self.paste.len();
        if unsent > 0 {
            self.screen.tell(&format!("Not sent: {}.", lines(unsent))).await;
        }
        self.tell_missing(receipts).await;
        let unsaid = unsent + receipts.missing().map_or(0, |missing| missing.lines);
        if unsaid == 0 { done } else { done.and(Err(Lost::Unsaid(unsaid))) }
    }

    fn begin_to_leave(&mut self) {
        self.is_leaving = true;
        self.goodbye_due = Some(Instant::now() + GOODBYE_PATIENCE);
    }

    /// Takes in lines that are to be sent.
    fn keep(&mut self, mut typed: Vec<String>) {
        if self.absence.is_some() && typed.iter().any(|line| begins_dialogue(line)) {
            typed.retain(|line| !begins_dialogue(line));
            self.settle_veil(0);
            self.screen.say("Not connected; that has to wait until you are back.");
        }
        let was_empty = self.unsent.is_empty();
        let refused = typed.split_off(typed.len().min(CLIENT_UNSENT_LINES.saturating_sub(self.unsent.len())));
        self.commands += typed.iter().filter(|line| begins_dialogue(line)).count();
        self.unsent.extend(typed);
        if let Some(first) = refused.first() {
            let all =
                if refused.len() == 1 { String::new() } else { format!("{} from this one on: ", lines(refused.len())) };
            self.screen.say(&format!("Not sent, for {CLIENT_UNSENT_LINES} lines wait already: {all}{first}"));
        }
        if self.absence.is_some() && was_empty && !self.unsent.is_empty() {
            self.screen.say("Not connected; your line will be sent when you are back.");
        }
    }

    /// What was typed quickly has come to an end.
    async fn settle_paste(&mut self) {
        let verdict = self.paste.settle();
        self.follow(verdict).await;
    }

    async fn follow(&mut self, verdict: Option<Verdict>) {
        match verdict {
            Some(Verdict::Send(lines)) => self.keep(lines),
            Some(Verdict::Ask(count)) => {
                let question = format!("Send {}? Enter sends them, Ctrl-C throws them away.", lines(count));
                self.screen.tell(&question).await;
            }
            None => {}
        }
    }

    async fn due(&mut self) -> ControlFlow<Done> {
        let now = Instant::now();
        let verdict = self.paste.look(now);
        self.follow(verdict).await;
        if self.goodbye_due.take_if(|due| *due <= now).is_some() {
            let what = match self.unsent.len() {
                0 => "say goodbye".to_owned(),
                count => format!("take {}", lines(count)),
            };
            self.screen.say(&format!("Waiting for the server to {what}. Ctrl-D leaves without that."));
        }
        if self.link.as_ref().is_some_and(|link| self.is_unwelcomed(link) && link.welcome_by <= now) {
            if !self.has_joined {
                return Break(Err(Lost::NoWelcome));
            }
            self.give_up().await?;
            self.try_later();
        }
        if self.link.is_none() && self.absence.as_ref().is_some_and(|absence| absence.next_try <= now) {
            self.link = Some(Link::begin(&self.config, self.look.own_name()));
        }
        Continue(())
    }

    /// The server should have taken the name, and it is not the person who is waited for.
    fn is_unwelcomed(&self, link: &Link) -> bool {
        !link.story.joined && !self.dialogue.waits()
    }

    // ---- Passwords ----

    /// Answers the server's question for a password before the name is taken, if that can be done without the person.
    fn answer_login(&mut self) {
        let Some(link) = self.link.as_mut() else { return };
        if !std::mem::take(&mut link.story.wants_password) || link.story.joined {
            return;
        }
        if !link.is_private && !self.config.allow_plain_password {
            return link.story.keep_password();
        }
        let has_tried = std::mem::replace(&mut link.has_tried_password, true);
        // It was wrong, and will be wrong the next time.
        self.config.password.take_if(|_| has_tried);
        match self.config.password.clone() {
            Some(password) => self.give(password),
            None => {
                self.dialogue.ask();
                self.settle_veil(0);
            }
        }
    }

    /// Forgets the remembered password when it is wrong now. Who is asked for another may not be there.
    fn forget_wrong(&mut self) {
        let Some(link) = self.link.as_mut().filter(|link| link.has_tried_password) else { return };
        let Some(wrong) = link.story.wrong_password.take().filter(|_| !link.has_typed_password) else { return };
        if self.config.password.take().is_some() {
            self.refusal = Some(wrong);
        }
    }

    /// Leaves with the refusal if the remembered password was wrong, and nobody has typed one when this connection wanted
    /// it. Nobody would the next time, and each time is held against the address.
    async fn give_up(&mut self) -> ControlFlow<Done> {
        let Some(refusal) = self.refusal.clone() else { return Continue(()) };
        match self.link.take_if(|link| link.has_tried_password && !link.has_typed_password) {
            Some(link) => Break(self.done(Ok(Outcome::NameRefused(refusal)), &link.receipts).await),
            None => Continue(()),
        }
    }

    /// Sends the password for the name.
    fn give(&mut self, password: Secret) {
        let Some(link) = self.link.as_mut() else { return };
        link.welcome_by = Instant::now() + WELCOME_LIMIT;
        link.send(Sending::Secret, password.expose());
        self.tried = Some(password);
    }

    /// Sends what was typed for the name, if it is asked for.
    fn give_typed(&mut self) {
        let Some(password) = self.dialogue.answer() else { return };
        self.link.iter_mut().for_each(|link| link.has_typed_password = true);
        self.give(password);
    }

    fn take_secret(&mut self, secret: Result<Secret, BadSecret>) {
        match secret {
            Err(why) => self.screen.say(&format!("Not sent: {why}.")),
            Ok(_) if !self.is_secretive() => self.screen.say("Not sent: nobody asks for a password any more."),
            Ok(secret) => {
                if !self.dialogue.add(secret) {
                    self.screen.say("Not sent: nobody has asked for so many passwords yet.");
                }
            }
        }
    }

    /// A password is asked for, or will be.
    fn is_secretive(&self) -> bool {
        self.dialogue.is_open() || self.commands > 0 || self.paste.leads_to_password()
    }

    /// What is typed from now on is shown or not, which is settled before the person sees why. So many commands that lead to a password have been taken in.
    fn settle_veil(&mut self, commands: usize) {
        self.veil.settle(commands, self.is_secretive());
    }

    /// Nobody else can read a password on its way, or that is taken into account.
    fn is_protected(&self) -> bool {
        self.config.allow_plain_password || self.link.as_ref().is_some_and(|link| link.is_private)
    }

    /// Throws away commands that lead to a password where others could read it, and what was typed for them.
    fn refuse_unprotected(&mut self) {
        let is_protected = self.is_protected();
        while !is_protected && self.unsent.front().is_some_and(|line| begins_dialogue(line)) {
            self.take_first();
            self.commands -= 1;
            self.dialogue.end();
            self.settle_veil(0);
            self.screen.say("Not sent: others could read a password on its way. Use --tls, or --allow-plain-password.");
        }
    }

    /// The connection is gone, and with it what was said about passwords.
    fn break_dialogue(&mut self) {
        let was_open = self.dialogue.is_open() && self.absence.is_none();
        self.dialogue.end();
        let (count, first) = (self.unsent.len(), self.unsent.front().cloned());
        self.unsent.retain(|line| !begins_dialogue(line));
        self.commands = 0;
        self.is_shown &= self.unsent.front() == first.as_ref();
        self.settle_veil(0);
        if was_open || self.unsent.len() < count {
            self.screen.say("That was about a password, and is not done. Begin again when you are back.");
        }
    }

    // ---- What happens on the connection ----

    async fn happen(&mut self, event: Event) -> ControlFlow<Done> {
        match event {
            Event::Heard(bytes) => {
                if let Some(link) = &mut self.link {
                    link.hear(&bytes);
                }
                self.forget_wrong();
                self.answer_login();
                let Some(link) = &self.link else { return Continue(()) };
                if link.story.is_turned_away() {
                    return self.turned_away(&bytes).await;
                }
                if link.story.joined && (self.absence.is_some() || !self.has_joined) {
                    self.back();
                }
                self.show(&bytes).await;
            }
            Event::Connected { is_private } => {
                if let Some(link) = &mut self.link {
                    link.is_private = is_private;
                }
            }
            Event::Sent => self.sent(),
            Event::Ended(how) => return self.ended(how).await,
            Event::NotConnected(error) => {
                self.tell_distrust(&error);
                self.try_later();
            }
        }
        Continue(())
    }

    async fn show(&mut self, bytes: &[u8]) {
        let mut is_asked = false;
        for raw in String::from_utf8_lossy(bytes).lines() {
            if self.link.as_mut().is_some_and(|link| link.receipts.hear(raw, self.look.own_name())) {
                continue;
            }
            if raw.starts_with("! password-required: ") {
                is_asked = true;
                continue;
            }
            let warning = self.hear_of_password(raw);
            // Names are read of the line as it came: what was made safe could be a name again. A `Name` is safe itself.
            let message = Message::parse(raw.as_bytes());
            match &message {
                Some(message) => self.people.hear_message(message),
                None => self.people.hear(raw),
            }
            if let Some((old, new)) = renaming(raw) {
                self.look.rename(&old, new);
            }
            let shown = self.look.show(&SafeText::new(raw.to_owned()), message.as_ref());
            self.screen.show(shown).await;
            if let Some(warning) = warning {
                self.screen.tell(warning).await;
            }
        }
        // The server's question is for programs; a person gets one that says what to do.
        if is_asked && self.dialogue.waits() {
            self.screen.tell(PASSWORD).await;
        }
    }

    /// What is typed behind a line is hidden, or not, before that line is seen. What the person is to be told behind it: a
    /// server may only want to have a password.
    fn hear_of_password(&mut self, line: &str) -> Option<&'static str> {
        if is_question(line) && !self.is_protected() {
            self.dialogue.end();
            self.settle_veil(0);
            return Some(UNPROTECTED);
        }
        let was_open = self.dialogue.is_open();
        // Not whether there was a welcome in a former visit: what is said at the door of this one ends no dialogue.
        let is_in_room = self.link.as_ref().is_some_and(|link| link.story.joined);
        if is_in_room && let Some(password) = self.dialogue.hear(line, self.look.own_name()) {
            self.config.password = Some(password);
        }
        if self.dialogue.is_open() != was_open {
            self.settle_veil(0);
        }
        if self.dialogue.is_open() && line.starts_with("* You missed ") {
            return Some(MISSED);
        }
        (is_question(line) && !self.dialogue.is_open()).then_some(UNASKED)
    }

    /// Sends what waits, a line at a time. It is shown first, for the answer can be here before we know that it was sent.
    async fn send_next(&mut self) {
        if self.link.as_ref().is_some_and(|link| !link.story.joined && link.sending.is_none()) {
            self.give_typed();
        }
        self.refuse_unprotected();
        let Some(link) = self.link.as_mut().filter(|link| link.can_send()) else { return };
        if self.dialogue.is_open() {
            // Whatever else is sent now would be taken for a password.
            match self.dialogue.answer() {
                _ if self.is_leaving => link.lines = None,
                Some(secret) => link.send(Sending::Secret, secret.expose()),
                None => {}
            }
            return;
        }
        let leads_to_password = self.unsent.front().is_some_and(|line| begins_dialogue(line));
        // The refusal of a line before it could be taken for its own.
        if leads_to_password && link.receipts.is_waiting() {
            return;
        }
        let is_due = link.receipts.due().is_some_and(|due| leads_to_password || due <= Instant::now());
        // Who leaves gets a farewell, which is better.
        if is_due && !(self.is_leaving && self.unsent.is_empty()) {
            let question = link.receipts.ask(self.look.own_name());
            return link.send(Sending::Question, question);
        }
        let Some(line) = self.unsent.front() else {
            if self.is_leaving {
                link.lines = None;
            }
            return;
        };
        if !std::mem::replace(&mut self.is_shown, true)
            && let Some(shown) = self.look.said(line)
        {
            self.screen.show_own(shown).await;
        }
        let has_quit = is_quit(line);
        link.has_quit = has_quit;
        if leads_to_password {
            self.dialogue.begin(link.receipts.is_doubtful());
            self.commands -= 1;
        }
        link.send(Sending::Line, line.clone());
        if has_quit {
            self.begin_to_leave();
        }
    }

    fn sent(&mut self) {
        let Some(link) = &mut self.link else { return };
        if link.sending.take() != Some(Sending::Line) {
            return;
        }
        let Some(line) = self.take_first() else { return };
        let Some(link) = &mut self.link else { return };
        link.receipts.sent(&line, Instant::now());
    }

    /// Takes the first of the lines that wait away.
    fn take_first(&mut self) -> Option<String> {
        let line = self.unsent.pop_front()?;
        self.is_shown = false;
        Some(line)
    }

    fn joined(&mut self) {
        self.has_joined = true;
        self.refusal = None;
        if let Some(password) = self.tried.take() {
            self.config.password = Some(password);
        }
        self.dialogue.end();
        self.settle_veil(0);
        self.look.prompt().set_connected(true);
        self.people.clear();
    }

    fn back(&mut self) {
        self.joined();
        if let Some(absence) = self.absence.take() {
            self.screen.say(&format!("Back again. You were away since {}.", absence.since));
        }
    }

    /// The name is not to be had at this moment, most likely because the lost connection still has it.
    /// At the first attempt that is the end, and so is a way on which others could read the password.
    async fn turned_away(&mut self, lines: &[u8]) -> ControlFlow<Done> {
        if let Some(link) = self.link.take_if(|link| !self.has_joined || link.story.is_unprotected) {
            return Break(self.done(link.story.outcome(), &link.receipts).await);
        }
        self.give_up().await?;
        let refusal =
            String::from_utf8_lossy(lines).lines().find(|line| line.starts_with("! ")).unwrap_or_default().to_owned();
        let own = self.look.own_name().clone();
        if let Some(absence) = &mut self.absence
            && !std::mem::replace(&mut absence.told_of_ghost, true)
        {
            self.screen.say(&format!("Not yet back as {own} ({refusal}); trying again."));
        }
        self.try_later();
        Continue(())
    }

    /// Why the server is not trusted any more, which no time mends: it has another certificate, or somebody is in between.
    fn tell_distrust(&mut self, error: &ConnectError) {
        if let ConnectError::Tls(error @ (TlsError::Untrusted { .. } | TlsError::AnotherOne { .. })) = error
            && let Some(absence) = &mut self.absence
            && !std::mem::replace(&mut absence.told_of_distrust, true)
        {
            self.screen.say(&format!("Not yet back: {error}; trying again."));
        }
    }

    async fn ended(&mut self, how: io::Result<()>) -> ControlFlow<Done> {
        // A line that was sent is not to be sent again.
        while let Some(Event::Sent) = self.link.as_ref().and_then(|link| link.events.try_recv().ok()) {
            self.sent();
        }
        self.give_up().await?;
        let Some(link) = self.link.take() else { return Continue(()) };
        if self.is_leaving || link.story.was_dismissed() || !self.reconnect || !self.has_joined {
            let done = match how {
                // After the goodbye it does not matter how it ended.
                Err(error) if !link.story.is_over() => Err(Lost::Failed(error)),
                _ => link.story.outcome(),
            };
            return Break(self.done(done, &link.receipts).await);
        }
        self.break_dialogue();
        if self.absence.is_none() {
            self.tell_loss(&how).await;
            self.tell_missing(&link.receipts).await;
        }
        self.try_later();
        Continue(())
    }

    async fn tell_loss(&mut self, how: &io::Result<()>) {
        self.look.prompt().set_connected(false);
        let why = how.as_ref().err().map(|error| format!(": {}", fault::describe(error))).unwrap_or_default();
        self.screen
            .tell(&format!("The connection is lost{why}. What you type is kept; trying to connect again."))
            .await;
        let since = ZonedDateTime::now().strftime("%H:%M").to_string();
        self.absence = Some(Absence {
            since,
            backoff: Backoff::new(),
            next_try: Instant::now(),
            told_of_ghost: false,
            told_of_distrust: false,
        });
    }

    async fn tell_missing(&self, receipts: &Receipts) {
        let Some(Missing { lines, first }) = receipts.missing() else { return };
        let first = first.map(|first| SafeText::excerpt(first, QUOTED_CHARS));
        let words = match (lines, first) {
            (1, Some(line)) => format!("A line that you sent may not have arrived: {line}"),
            (1, None) => "The last line that you sent may not have arrived.".to_owned(),
            (_, Some(first)) => format!("Up to {lines} of the lines you sent may not have arrived; the first: {first}"),
            (_, None) => format!("Up to {lines} of the lines you sent may not have arrived, the last ones."),
        };
        self.screen.tell(&words).await;
    }

    fn try_later(&mut self) {
        self.link = None;
        self.tried = None;
        self.dialogue.end();
        if let Some(absence) = &mut self.absence {
            absence.next_try = Instant::now() + absence.backoff.next(fastrand::f64());
        }
    }
}

fn is_quit(line: &str) -> bool {
    matches!(Command::parse(Line::Text(line.to_owned())), Ok(Command::Quit(_)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc;
    use std::time::Duration;

    use async_channel::bounded;
    use async_std::task::block_on;
    use rustyline::ExternalPrinter;
    use zeroize::Zeroizing;

    use super::*;
    use crate::client::Place;
    use crate::client::terminal::Options;
    use crate::client::terminal::screen::Showing;
    use crate::limits::RECONNECT_PAUSE;
    use crate::protocol::Name;

    struct Paper(mpsc::Sender<String>);

    impl ExternalPrinter for Paper {
        fn print(&mut self, text: String) -> rustyline::Result<()> {
            self.0.send(text).map_err(|error| io::Error::other(error).into())
        }
    }

    /// A talk on a connection, what it sends there, and what it shows.
    struct Scene {
        talk: Talk,
        sent: Receiver<Zeroizing<String>>,
        screen: Screen,
        showing: Showing,
    }

    impl Scene {
        fn set() -> Self {
            let name = Name::parse("Bob").unwrap();
            let look = Look::new(
                name.clone(),
                &Options { history: None, color: false, bell: false, reconnect: true, greeting: true },
            );
            let (screen, showing) = Screen::new(false);
            let config =
                Config { name, place: Place::Unix(PathBuf::new()), password: None, allow_plain_password: false };
            let typing = (bounded(1).1, People::default(), Paste::default(), Veil::default());
            let mut talk = Talk::new(config, true, (screen.clone(), look), typing);
            let (lines, sent) = bounded(1);
            let mut link = Link::new(bounded(1).1, lines);
            link.story.hear(b"* Welcome, Bob.");
            talk.link = Some(link);
            talk.has_joined = true;
            Self { talk, sent, screen, showing }
        }

        /// What is on the screen, without the times.
        fn shown(self) -> Vec<String> {
            let (paper, printed) = mpsc::channel();
            self.showing.start(Paper(paper));
            self.screen.finish();
            let printed = printed.try_iter().next().unwrap();
            let without_time =
                |line: &str| line.split_once(' ').filter(|(time, _)| *time != "--").map(|(_, rest)| rest.to_owned());
            printed.lines().map(|line| without_time(line).unwrap_or_else(|| line.to_owned())).collect()
        }
    }

    /// The server is quicker than the task that says that the line was sent.
    #[test]
    fn an_answer_never_stands_before_the_line_that_it_answers() {
        let mut scene = Scene::set();
        let Scene { talk, sent, .. } = &mut scene;
        talk.keep(vec!["/msg Dave hi".to_owned()]);
        block_on(async {
            talk.send_next().await;
            assert_eq!(**sent.recv().await.unwrap(), *"/msg Dave hi");
            assert!(talk.happen(Event::Heard(b"! no-such-user: Dave\n".to_vec())).await.is_continue());
            assert!(talk.happen(Event::Sent).await.is_continue());
            talk.send_next().await;
        });
        assert_eq!(scene.shown(), ["Bob (to Dave): hi", "! no-such-user: Dave"]);
    }

    /// It would be taken for the password.
    #[test]
    fn nothing_else_is_sent_while_the_server_waits_for_a_password() {
        let mut scene = Scene::set();
        let Scene { talk, sent, .. } = &mut scene;
        talk.config.allow_plain_password = true;
        talk.keep(vec!["/register".to_owned(), "hello".to_owned()]);
        let next = || sent.try_recv().ok().map(|line| line.to_string());
        block_on(async {
            talk.send_next().await;
            assert_eq!(next().as_deref(), Some("/register"));
            assert!(talk.happen(Event::Sent).await.is_continue());
            // Now there is a question to ask, too.
            let long_ago = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
            talk.link.as_mut().unwrap().receipts.sent("earlier", long_ago);
            talk.take_secret(Secret::parse("open sesame"));
            talk.send_next().await;
            assert_eq!(next(), None, "the server has not asked yet");
            assert!(talk.happen(Event::Heard(b"* Send the password.\n".to_vec())).await.is_continue());
            for expected in [Some("open sesame"), None] {
                talk.send_next().await;
                assert_eq!(next().as_deref(), expected);
                assert!(talk.happen(Event::Sent).await.is_continue());
            }
            assert!(talk.happen(Event::Heard(b"* Registered: yes.\n".to_vec())).await.is_continue());
            talk.send_next().await;
            assert!(next().is_some());
        });
    }

    /// Whoever is on the way can write such a line as well as the server.
    #[test]
    fn where_others_could_read_it_no_question_gets_a_password_not_even_one_that_was_typed_for_a_command() {
        let mut scene = Scene::set();
        let Scene { talk, sent, .. } = &mut scene;
        talk.keep(vec!["/register".to_owned()]);
        talk.take_secret(Secret::parse("open sesame"));
        block_on(async {
            talk.send_next().await;
            assert!(talk.happen(Event::Heard(b"* Send the new password.\n".to_vec())).await.is_continue());
            assert!(!talk.is_secretive());
            talk.take_secret(Secret::parse("open sesame"));
            talk.send_next().await;
        });
        assert!(sent.try_recv().is_err());
        assert_eq!(
            scene.shown(),
            [
                "-- Not sent: others could read a password on its way. Use --tls, or --allow-plain-password.",
                "* Send the new password.",
                "-- Type no password here: it would be shown, and others could read it on its way.",
                "-- Not sent: nobody asks for a password any more.",
            ]
        );
    }

    /// The client cannot ask any more what has its answer.
    #[test]
    fn behind_lost_lines_a_late_refusal_does_not_make_the_question_one_that_nobody_asked_for() {
        let mut scene = Scene::set();
        let Scene { talk, sent, .. } = &mut scene;
        talk.config.allow_plain_password = true;
        let next = || sent.try_recv().ok().map(|line| line.to_string());
        talk.keep(vec!["/register".to_owned(), "hello".to_owned()]);
        block_on(async {
            let link = talk.link.as_mut().unwrap();
            link.receipts.sent("/msg Dave hi", Instant::now());
            link.receipts.ask(talk.look.own_name());
            assert!(talk.happen(Event::Heard(b"* You missed 7 lines.\n".to_vec())).await.is_continue());
            talk.send_next().await;
            assert_eq!(next().as_deref(), Some("/register"));
            assert!(talk.happen(Event::Sent).await.is_continue());
            let late = b"! no-such-user: Dave\n* Send the new password as the next line.\n";
            assert!(talk.happen(Event::Heard(late.to_vec())).await.is_continue());
            talk.send_next().await;
            assert_eq!(next(), None, "it would be taken for the password");
            talk.take_secret(Secret::parse("open sesame"));
            talk.send_next().await;
            assert_eq!(next().as_deref(), Some("open sesame"));
            // What the server thinks of it can be lost as well.
            assert!(talk.happen(Event::Heard(b"* You missed 9 lines.\n".to_vec())).await.is_continue());
        });
        assert!(talk.is_secretive());
        assert_eq!(
            scene.shown(),
            [
                "* You missed 7 lines.",
                "! no-such-user: Dave",
                "* Send the new password as the next line.",
                "* You missed 9 lines.",
                "-- The answer about your password may be among them: what you type stays hidden until it comes. Ctrl-D leaves.",
            ]
        );
    }

    #[test]
    fn a_refusal_with_a_notice_behind_it_is_followed_by_the_next_line() {
        let mut scene = Scene::set();
        let Scene { talk, sent, .. } = &mut scene;
        talk.config.allow_plain_password = true;
        talk.keep(vec!["/register".to_owned(), "hello".to_owned()]);
        let next = || sent.try_recv().ok().map(|line| line.to_string());
        block_on(async {
            talk.send_next().await;
            assert_eq!(next().as_deref(), Some("/register"));
            assert!(talk.happen(Event::Sent).await.is_continue());
            let refused = b"! busy: no\n* 1 lines that were sent behind it were thrown away.\n";
            assert!(talk.happen(Event::Heard(refused.to_vec())).await.is_continue());
            talk.send_next().await;
            assert_eq!(next().as_deref(), Some("hello"));
        });
        assert!(!talk.is_secretive());
    }

    #[test]
    fn an_answer_that_is_here_before_the_command_is_known_to_be_sent_ends_the_dialogue() {
        let mut scene = Scene::set();
        let Scene { talk, sent, .. } = &mut scene;
        talk.config.allow_plain_password = true;
        talk.keep(vec!["/register".to_owned()]);
        block_on(async {
            talk.send_next().await;
            assert_eq!(sent.try_recv().ok().map(|line| line.to_string()).as_deref(), Some("/register"));
            assert!(talk.is_secretive());
            assert!(talk.happen(Event::Heard(b"! no-registry: no\n".to_vec())).await.is_continue());
            assert!(!talk.is_secretive());
            assert!(talk.happen(Event::Sent).await.is_continue());
        });
        assert!(!talk.is_secretive());
    }

    #[test]
    fn a_command_for_a_password_is_not_kept_for_another_connection() {
        let mut scene = Scene::set();
        let talk = &mut scene.talk;
        talk.keep(vec!["/register".to_owned(), "hello".to_owned()]);
        assert!(talk.is_secretive());
        assert!(block_on(talk.happen(Event::Ended(Ok(())))).is_continue());
        talk.keep(vec!["/password".to_owned(), "later".to_owned()]);
        assert!(!talk.is_secretive());
        assert_eq!(talk.unsent, ["hello", "later"]);
        assert_eq!(
            scene.shown(),
            [
                "-- That was about a password, and is not done. Begin again when you are back.",
                "-- The connection is lost. What you type is kept; trying to connect again.",
                "-- Not connected; that has to wait until you are back.",
            ]
        );
    }

    #[test]
    fn too_many_lines_are_refused_aloud_and_the_others_wait() {
        let mut scene = Scene::set();
        let talk = &mut scene.talk;
        let lines = |from: usize, to: usize| (from..to).map(|line| line.to_string()).collect::<Vec<_>>();
        talk.keep(lines(0, CLIENT_UNSENT_LINES - 1));
        talk.keep(lines(CLIENT_UNSENT_LINES - 1, CLIENT_UNSENT_LINES + 500));
        talk.keep(vec!["one more".to_owned()]);
        assert!(talk.unsent.iter().eq(&lines(0, CLIENT_UNSENT_LINES)));
        let why = "-- Not sent, for 10000 lines wait already: ";
        assert_eq!(scene.shown(), [format!("{why}500 lines from this one on: 10000"), format!("{why}one more")]);
    }

    #[test]
    fn the_pause_before_a_connection_doubles_up_to_its_limit_and_half_of_it_is_chance() {
        let mut talk = Scene::set().talk;
        assert!(block_on(talk.happen(Event::Ended(Ok(())))).is_continue());
        let mut expected = RECONNECT_PAUSE.0;
        for _ in 0..10 {
            let pause = talk.absence.as_ref().unwrap().next_try.duration_since(Instant::now());
            assert!(pause <= expected && pause > expected / 2 - Duration::from_millis(200), "{pause:?}, {expected:?}");
            talk.try_later();
            expected = (2 * expected).min(RECONNECT_PAUSE.1);
        }
        assert_eq!(expected, RECONNECT_PAUSE.1);
    }

    #[test]
    fn a_second_interrupt_that_comes_late_is_a_first_one() {
        let mut talk = Scene::set().talk;
        assert!(block_on(talk.interrupt()).is_continue() && !talk.is_leaving);
        talk.interrupted = Some(Instant::now().checked_sub(SECOND_INTERRUPT).unwrap());
        assert!(block_on(talk.interrupt()).is_continue() && !talk.is_leaving);
        assert!(block_on(talk.interrupt()).is_continue() && talk.is_leaving);
    }
}
