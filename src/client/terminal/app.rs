//! The terminal client: what is typed goes to the server, and what the server says goes to the screen, also when the
//! connection is lost and made again.
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

use crate::client::connection::ConnectError;
use crate::client::message::Message;
use crate::client::recipient::{Recipient, RemoteEnd};
use crate::client::taken::Tries;
use crate::client::terminal::attempt::{Attempt, Event};
use crate::client::terminal::backoff::Backoff;
use crate::client::terminal::completion::{Completion, renaming};
use crate::client::terminal::delivery::{Delivery, Fate, Heard, Missing, is_private};
use crate::client::terminal::password_flow::PasswordFlow;
use crate::client::terminal::password_prompt::{PasswordPrompt, begins_password_flow};
use crate::client::terminal::paste::{Paste, Verdict};
use crate::client::terminal::screen::Screen;
use crate::client::terminal::theme::Theme;
use crate::client::terminal::typed::Typed;
use crate::client::tls::TlsError;
use crate::client::{ClientError, Config, Outcome, lines};
use crate::limits::{
    CLIENT_GREETING_BYTES, CLIENT_UNSENT_LINES, GOODBYE_PATIENCE, QUOTED_CHARS, SECOND_INTERRUPT, WELCOME_LIMIT,
};
use crate::model::{BadSecret, Name, SafeText, Secret};
use crate::os::io_error;
use crate::protocol::{Command, Line, ServerLine};

const PASSWORD: &str = "Password? What you type is not shown; Enter sends it.";
const UNPROTECTED: &str = "Type no password here: it would be shown, and others could read it on its way.";
const UNASKED: &str =
    "No command of yours led to that. Type no password here: it would be shown, and sent as a message.";
const MISSED: &str =
    "The answer about your password may be among them: what you type stays hidden until it comes. Ctrl-D leaves.";
const ANOTHER_SERVER: &str = "Your password was not sent again, because this may be another server than before";
const ANOTHER_NAME: &str = "Type another name and press Enter; Ctrl-D leaves.";

type Done = Result<Outcome, ClientError>;

pub(crate) struct App {
    config: Config,
    reconnect: bool,
    screen: Screen,
    look: Theme,
    typed: Receiver<Typed>,
    completion: Completion,
    paste: Paste,
    password_prompt: PasswordPrompt,
    password_flow: PasswordFlow,
    /// The password that was sent last, and to whom, until the server says what it thinks of it.
    tried: Option<(Secret, Option<Recipient>)>,
    /// Who got the password that is remembered, and may have it again.
    given_to: Option<Recipient>,
    /// What the server said when it did not take the remembered password any more.
    refusal: Option<SafeText>,
    /// The server refused the first name. The next line that is typed is another one.
    needs_name: bool,
    /// What the server said to the first name.
    refused_name: Option<SafeText>,
    /// What to do when the name is taken, unless the person is to be asked.
    tries: Option<Tries>,
    /// The server has taken the name at least once.
    has_joined: bool,
    /// Lines that are to be sent, and of which the server certainly has nothing.
    unsent: VecDeque<String>,
    /// How many of them are commands that lead to a password.
    commands: usize,
    attempt: Option<Attempt>,
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
    Attempt(Event),
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

impl App {
    pub(crate) fn new(
        config: Config,
        reconnect: bool,
        (screen, look): (Screen, Theme),
        (typed, completion, paste, password_prompt): (Receiver<Typed>, Completion, Paste, PasswordPrompt),
    ) -> Self {
        let tries = config.if_taken.map(|if_taken| Tries::new(config.name.clone(), if_taken));
        Self {
            config,
            reconnect,
            screen,
            look,
            typed,
            completion,
            paste,
            password_prompt,
            password_flow: PasswordFlow::default(),
            tried: None,
            given_to: None,
            refusal: None,
            needs_name: false,
            refused_name: None,
            tries,
            has_joined: false,
            unsent: VecDeque::new(),
            commands: 0,
            attempt: None,
            absence: None,
            interrupted: None,
            is_warned: false,
            is_leaving: false,
            goodbye_due: None,
        }
    }

    /// Joins, calls `sit_down`, and stays until the person leaves or cannot stay. `sit_down` is told whether the server has
    /// taken the name, or asks for a password.
    pub(crate) async fn run(mut self, sit_down: impl FnOnce(bool) -> Result<(), ClientError>) -> Done {
        let first = timeout(WELCOME_LIMIT, self.first_lines()).await.map_err(|_elapsed| ClientError::NoWelcome)??;
        let Some(first) = first else { return self.attempt.expect("there was one").session_state.outcome() };
        self.settle_veil(0);
        let needs_name = self.refuses_name();
        sit_down(!needs_name)?;
        if needs_name {
            self.ask_for_name().await;
        } else {
            if !self.password_flow.is_open() {
                self.joined();
            }
            self.show(&first).await;
        }
        loop {
            let done = match self.next().await {
                Next::Typed(typed) => self.type_in(typed).await,
                Next::Attempt(event) => self.happen(event).await,
                Next::Due => self.due().await,
            };
            if let Break(done) = done {
                return done;
            }
            self.send_next().await;
            self.settle_veil(0);
        }
    }

    /// Connects for the first time. What the server says until it has taken the name, or refused it, or asks for a password
    /// that only the person knows; or nothing if it has sent us away.
    async fn first_lines(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        self.attempt = Some(Attempt::begin(&self.config, self.look.own_name()));
        let mut lines = Vec::new();
        loop {
            let attempt = self.attempt.as_mut().expect("it has begun");
            match attempt.next().await {
                Event::NotConnected(error) => return Err(error.into()),
                Event::Connected(remote_end) => attempt.remote_end = remote_end,
                Event::Heard(heard) => {
                    attempt.hear(&heard);
                    add_greeting(&mut lines, heard);
                    self.answer_login().await;
                    let Some(attempt) = &self.attempt else { return Err(ClientError::Cut) };
                    if attempt.session_state.is_turned_away() {
                        if self.try_next_name().await {
                            lines.clear();
                            continue;
                        }
                        return Ok(self.refuses_name().then_some(lines));
                    }
                    if attempt.session_state.joined || self.password_flow.is_open() {
                        return Ok(Some(lines));
                    }
                }
                Event::Ended(Ok(())) => return Err(ClientError::Cut),
                Event::Ended(Err(error)) => return Err(ClientError::Failed(error)),
                Event::Sent => attempt.is_sending = false,
            }
        }
    }

    async fn next(&mut self) -> Next {
        let attempt = self.attempt.as_ref();
        let next_try = self.absence.as_ref().filter(|_| attempt.is_none()).map(|absence| absence.next_try);
        // Nothing is asked during a dialogue.
        let can_ask = |attempt: &&Attempt| attempt.can_send() && !self.password_flow.is_open();
        let question = attempt.filter(can_ask).and_then(|attempt| attempt.delivery.due());
        let welcome = attempt.filter(|attempt| self.is_unwelcomed(attempt)).map(|attempt| attempt.welcome_by);
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
                match attempt {
                    Some(attempt) => attempt.next().await,
                    None => std::future::pending().await,
                }
            }.fuse() => Next::Attempt(event),
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
            Typed::Line(text, _) if self.needs_name => self.take_name(&text),
            Typed::Line(text, enter) => {
                self.paste.add(&text, enter);
                self.settle_veil(text.lines().filter(|line| begins_password_flow(line)).count());
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
        if let Some(refusal) = self.refused_name.clone().filter(|_| self.needs_name) {
            return Break(self.done(Ok(Outcome::NameRefused(refusal)), &Delivery::default()).await);
        }
        let is_here = self.attempt.as_ref().is_some_and(|attempt| attempt.session_state.joined);
        if is_here && !self.is_leaving {
            // The last line that waits is sent, then the connection is half-closed, and the farewell awaited.
            self.begin_to_leave();
            return Continue(());
        }
        let lost = if self.is_leaving || !self.has_joined { ClientError::NoFarewell } else { ClientError::Cut };
        let delivery = self.attempt.take().map(|attempt| attempt.delivery).unwrap_or_default();
        Break(self.done(Err(lost), &delivery).await)
    }

    /// How it ends: well only if nothing is left that was not said, and not without a word about it.
    async fn done(&self, done: Done, delivery: &Delivery) -> Done {
        let unsent = self.unsent.len() + self.paste.len();
        if unsent > 0 {
            self.screen.tell(&format!("Not sent: {}.", lines(unsent))).await;
        }
        self.tell_missing(delivery).await;
        let unsaid = unsent + delivery.missing().map_or(0, |missing| missing.lines);
        if unsaid == 0 { done } else { done.and(Err(ClientError::Unsaid(unsaid))) }
    }

    fn begin_to_leave(&mut self) {
        self.is_leaving = true;
        self.goodbye_due = Some(Instant::now() + GOODBYE_PATIENCE);
    }

    /// Takes in lines that are to be sent. For the server, a CR ends one, too.
    fn keep(&mut self, typed: Vec<String>) {
        let pieces = typed.iter().flat_map(|line| line.split('\r')).filter(|line| !line.trim().is_empty());
        let mut typed: Vec<_> = pieces.map(str::to_owned).collect();
        if self.absence.is_some() && typed.iter().any(|line| begins_password_flow(line)) {
            typed.retain(|line| !begins_password_flow(line));
            self.settle_veil(0);
            self.screen.say("Not connected; that has to wait until you are back.");
        }
        let was_empty = self.unsent.is_empty();
        let refused = typed.split_off(typed.len().min(CLIENT_UNSENT_LINES.saturating_sub(self.unsent.len())));
        self.commands += typed.iter().filter(|line| begins_password_flow(line)).count();
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
        if self.attempt.as_ref().is_some_and(|attempt| self.is_unwelcomed(attempt) && attempt.welcome_by <= now) {
            if !self.has_joined {
                return Break(Err(ClientError::NoWelcome));
            }
            self.give_up().await?;
            self.try_later();
        }
        if self.attempt.is_none() && self.absence.as_ref().is_some_and(|absence| absence.next_try <= now) {
            self.attempt = Some(Attempt::begin(&self.config, self.look.own_name()));
        }
        Continue(())
    }

    /// The server should have taken the name, and it is not the person who is waited for.
    fn is_unwelcomed(&self, attempt: &Attempt) -> bool {
        !attempt.session_state.joined && !self.password_flow.waits()
    }

    // ---- Another name ----

    /// Connects again if the name is taken and `--if-taken` says what to do then. False to give up.
    async fn try_next_name(&mut self) -> bool {
        let Some(tries) = &mut self.tries else { return false };
        if !self.attempt.as_ref().is_some_and(|attempt| attempt.session_state.is_name_taken()) {
            return false;
        }
        let Some(name) = tries.next().await else { return false };
        self.use_name(name);
        true
    }

    /// Connects with another name.
    fn use_name(&mut self, name: Name) {
        let old = self.look.own_name().clone();
        self.look.rename(&old, name);
        self.attempt = Some(Attempt::begin(&self.config, self.look.own_name()));
    }

    /// Whether the server refused the first name, and the person can be asked for another one.
    fn refuses_name(&self) -> bool {
        self.tries.is_none()
            && !self.has_joined
            && self.attempt.as_ref().is_some_and(|attempt| attempt.session_state.refused_name().is_some())
    }

    /// Gives up the connection, since the server does not wait as long as a person may think.
    async fn ask_for_name(&mut self) {
        let Some(refusal) = self.attempt.take().and_then(|attempt| attempt.session_state.refused_name().cloned())
        else {
            return;
        };
        self.needs_name = true;
        self.tried = None;
        self.password_flow.end();
        self.settle_veil(0);
        self.screen.tell(&format!("{}. {ANOTHER_NAME}", refusal.text)).await;
        self.refused_name.get_or_insert(refusal.shown());
    }

    fn take_name(&mut self, text: &str) {
        // What was typed could have been a command that leads to a password.
        self.settle_veil(text.lines().filter(|line| begins_password_flow(line)).count());
        match Name::parse(text) {
            Ok(name) => {
                self.needs_name = false;
                self.use_name(name);
            }
            Err(why) => self.screen.say(&format!("{why}. {ANOTHER_NAME}")),
        }
    }

    // ---- Passwords ----

    /// Answers the server's question for a password before the name is taken, if that can be done without the person.
    async fn answer_login(&mut self) {
        let Some(attempt) = self.attempt.as_mut() else { return };
        if !std::mem::take(&mut attempt.session_state.wants_password) || attempt.session_state.joined {
            return;
        }
        if !attempt.is_private() && !self.config.allow_plain_password {
            return attempt.session_state.keep_password();
        }
        attempt.was_asked_for_password = true;
        // It was wrong, and will be wrong the next time.
        self.config.password.take_if(|_| attempt.has_remembered_password);
        let mut warning = None;
        if let Some(password) = self.config.password.clone() {
            let recipient = attempt.remote_end.map(RemoteEnd::recipient);
            let first = self.given_to.or(recipient);
            if recipient.zip(first).is_some_and(|(recipient, first)| recipient.may_have(first)) {
                attempt.has_remembered_password = true;
                self.given_to = first;
                return self.give(password);
            }
            let now = recipient.map(|recipient| format!(" ({recipient})")).unwrap_or_default();
            warning = (!attempt.has_typed_password).then(|| format!("{ANOTHER_SERVER}{now}."));
        }
        self.password_flow.ask();
        self.settle_veil(0);
        if let Some(warning) = warning {
            self.screen.tell(&warning).await;
        }
    }

    /// Forgets the remembered password when it is wrong now. Who is asked for another may not be there.
    fn forget_wrong(&mut self) {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.has_remembered_password) else { return };
        let Some(wrong) = attempt.session_state.wrong_password.take().filter(|_| !attempt.has_typed_password) else {
            return;
        };
        if self.config.password.take().is_some() {
            self.refusal = Some(wrong.shown());
        }
    }

    /// Leaves with the refusal if the remembered password was wrong, and nobody has typed one when this connection wanted
    /// it. Nobody would the next time, and each time is held against the address.
    async fn give_up(&mut self) -> ControlFlow<Done> {
        let Some(refusal) = self.refusal.clone() else { return Continue(()) };
        match self.attempt.take_if(|attempt| attempt.was_asked_for_password && !attempt.has_typed_password) {
            Some(attempt) => Break(self.done(Ok(Outcome::NameRefused(refusal)), &attempt.delivery).await),
            None => Continue(()),
        }
    }

    /// Sends the password for the name.
    fn give(&mut self, password: Secret) {
        let Some(attempt) = self.attempt.as_mut() else { return };
        attempt.welcome_by = Instant::now() + WELCOME_LIMIT;
        attempt.send(password.expose());
        self.tried = Some((password, attempt.remote_end.map(RemoteEnd::recipient)));
    }

    /// Sends what was typed for the name, if it is asked for.
    fn give_typed(&mut self) {
        let Some(password) = self.password_flow.answer() else { return };
        self.attempt.iter_mut().for_each(|attempt| attempt.has_typed_password = true);
        self.give(password);
    }

    fn take_secret(&mut self, secret: Result<Secret, BadSecret>) {
        match secret {
            Err(why) => self.screen.say(&format!("Not sent: {why}.")),
            Ok(_) if !self.is_secretive() => self.screen.say("Not sent: nobody asks for a password any more."),
            Ok(secret) => {
                if !self.password_flow.add(secret) {
                    self.screen.say("Not sent: nobody has asked for so many passwords yet.");
                }
            }
        }
    }

    /// A password is asked for, or will be.
    fn is_secretive(&self) -> bool {
        self.password_flow.is_open() || self.commands > 0 || self.paste.leads_to_password()
    }

    /// What is typed from now on is shown or not, which is settled before the person sees why. So many commands that lead to a password have been taken in.
    fn settle_veil(&mut self, commands: usize) {
        self.password_prompt.settle(commands, self.is_secretive());
    }

    /// Nobody else can read a password on its way, or that is taken into account.
    fn is_protected(&self) -> bool {
        self.config.allow_plain_password || self.attempt.as_ref().is_some_and(Attempt::is_private)
    }

    /// Throws away commands that lead to a password where others could read it, and what was typed for them.
    fn refuse_unprotected(&mut self) {
        let is_protected = self.is_protected();
        while !is_protected && self.unsent.front().is_some_and(|line| begins_password_flow(line)) {
            self.unsent.pop_front();
            self.commands -= 1;
            self.password_flow.end();
            self.settle_veil(0);
            self.screen.say("Not sent: others could read a password on its way. Use --tls, or --allow-plain-password.");
        }
    }

    /// The connection is gone, and with it what was said about passwords.
    fn break_dialogue(&mut self) {
        let was_open = self.password_flow.is_open() && self.absence.is_none();
        self.password_flow.end();
        let count = self.unsent.len();
        self.unsent.retain(|line| !begins_password_flow(line));
        self.commands = 0;
        self.settle_veil(0);
        if was_open || self.unsent.len() < count {
            self.screen.say("That was about a password, and is not done. Begin again when you are back.");
        }
    }

    // ---- What happens on the connection ----

    async fn happen(&mut self, event: Event) -> ControlFlow<Done> {
        match event {
            Event::Heard(bytes) => {
                if let Some(attempt) = &mut self.attempt {
                    attempt.hear(&bytes);
                }
                self.forget_wrong();
                self.answer_login().await;
                let Some(attempt) = &self.attempt else { return Continue(()) };
                if attempt.session_state.is_turned_away() {
                    return self.turned_away(&bytes).await;
                }
                if attempt.session_state.joined && (self.absence.is_some() || !self.has_joined) {
                    self.back();
                }
                self.show(&bytes).await;
            }
            Event::Connected(remote_end) => self.attempt.iter_mut().for_each(|attempt| attempt.remote_end = remote_end),
            Event::Sent => self.attempt.iter_mut().for_each(|attempt| attempt.is_sending = false),
            Event::Ended(how) => return self.ended(how).await,
            Event::NotConnected(error) if !self.has_joined => {
                return Break(self.done(Err(error.into()), &Delivery::default()).await);
            }
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
            let read = ServerLine::parse(raw);
            let heard = self.attempt.as_mut().map(|attempt| attempt.delivery.hear(read, Instant::now()));
            let Heard { is_pong, private } = heard.unwrap_or_default();
            if let Some((line, fate)) = private {
                self.show_private(&line, fate).await;
            }
            if is_pong {
                continue;
            }
            if matches!(read, ServerLine::Refused { code: "password-required", .. }) {
                is_asked = true;
                continue;
            }
            let warning = self.hear_of_password(read);
            // Names are read of the line as it came: what was made safe could be a name again. A `Name` is safe itself.
            let message = Message::of(read);
            match &message {
                Some(message) => self.completion.hear_message(message),
                None => self.completion.hear(read),
            }
            if let Some((old, new)) = renaming(read) {
                self.look.rename(&old, new);
            }
            let shown = self.look.show(raw, read, message.as_ref());
            self.screen.show(shown).await;
            if let Some(warning) = warning {
                self.screen.tell(warning).await;
            }
        }
        // The server's question is for programs; a person gets one that says what to do.
        if is_asked && self.password_flow.waits() {
            self.screen.tell(PASSWORD).await;
        }
    }

    /// Shows a private message of one's own, if it was accepted.
    async fn show_private(&self, line: &str, fate: Fate) {
        let quoted = || SafeText::excerpt(line, QUOTED_CHARS);
        match fate {
            Fate::Accepted => {
                if let Some(shown) = self.look.said(line) {
                    self.screen.show_own(shown).await;
                }
            }
            // These say to whom it was.
            Fate::Refused(code) if matches!(&*code, "no-such-user" | "ignored") => {}
            Fate::Refused(_) => self.screen.tell(&format!("Refused: {}", quoted())).await,
            Fate::Unknown => {
                let words = "You may have missed the answer to this, so it is not certain that it was accepted";
                self.screen.tell(&format!("{words}: {}", quoted())).await;
            }
        }
    }

    /// What is typed behind a line is hidden, or not, before that line is seen. What the person is to be told behind it: a
    /// server may only want to have a password.
    fn hear_of_password(&mut self, line: ServerLine<'_>) -> Option<&'static str> {
        if line.is_password_question() && !self.is_protected() {
            self.password_flow.end();
            self.settle_veil(0);
            return Some(UNPROTECTED);
        }
        let was_open = self.password_flow.is_open();
        // Not whether there was a welcome in a former session: what is said before the welcome of this one ends no password dialogue.
        let is_in_room = self.attempt.as_ref().is_some_and(|attempt| attempt.session_state.joined);
        if is_in_room && let Some(password) = self.password_flow.hear(line) {
            self.config.password = Some(password);
            self.given_to = self.attempt.as_ref().and_then(|attempt| attempt.remote_end).map(RemoteEnd::recipient);
        }
        if self.password_flow.is_open() != was_open {
            self.settle_veil(0);
        }
        if self.password_flow.is_open() && matches!(line, ServerLine::Missed(_)) {
            return Some(MISSED);
        }
        (line.is_password_question() && !self.password_flow.is_open()).then_some(UNASKED)
    }

    /// Sends what waits, a line at a time. What was handed over once is never sent again, for the server may have it.
    async fn send_next(&mut self) {
        if self.attempt.as_ref().is_some_and(|attempt| !attempt.session_state.joined && !attempt.is_sending) {
            self.give_typed();
        }
        self.refuse_unprotected();
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.can_send()) else { return };
        if self.password_flow.is_open() {
            // Whatever else is sent now would be taken for a password.
            match self.password_flow.answer() {
                _ if self.is_leaving => attempt.lines = None,
                Some(secret) => attempt.send(secret.expose()),
                None => {}
            }
            return;
        }
        let leads_to_password = self.unsent.front().is_some_and(|line| begins_password_flow(line));
        // Its refusal has to be told from those of other lines.
        let is_alone = leads_to_password || self.unsent.front().is_some_and(|line| is_private(line));
        let is_due = attempt.delivery.due().is_some_and(|due| is_alone || due <= Instant::now());
        // Who leaves gets a farewell, which is better.
        if is_due && !(self.is_leaving && self.unsent.is_empty()) {
            let ping = attempt.delivery.ask();
            return attempt.send(ping);
        }
        if !self.unsent.is_empty() && (attempt.delivery.has_private() || is_alone && attempt.delivery.is_waiting()) {
            return;
        }
        let Some(line) = self.unsent.pop_front() else {
            if self.is_leaving {
                attempt.lines = None;
            }
            return;
        };
        let has_quit = is_quit(&line);
        attempt.has_quit = has_quit;
        // Before its first byte can be written: after a loss nobody knows whether it was.
        attempt.delivery.sent(&line, Instant::now());
        if leads_to_password {
            self.password_flow.begin();
            self.commands -= 1;
        }
        if has_quit {
            self.begin_to_leave();
        }
        // Nothing is heard meanwhile, so its answer comes after it. A private message is shown when it was accepted.
        if !is_private(&line)
            && let Some(shown) = self.look.said(&line)
        {
            self.screen.show_own(shown).await;
        }
        self.attempt.iter_mut().for_each(|attempt| attempt.send(line.as_str()));
    }

    fn joined(&mut self) {
        self.has_joined = true;
        self.refusal = None;
        if let Some((password, recipient)) = self.tried.take() {
            (self.config.password, self.given_to) = (Some(password), recipient);
        }
        self.password_flow.end();
        self.settle_veil(0);
        self.look.prompt().set_connected(true);
        self.completion.clear();
    }

    fn back(&mut self) {
        self.joined();
        if let Some(absence) = self.absence.take() {
            self.screen.say(&format!("Back again. You were away since {}.", absence.since));
        }
    }

    /// The name is not to be had at this moment, most likely because the lost connection still has it.
    /// At the first attempt another one is asked for, or that is the end, and so is a way on which others could read the
    /// password.
    async fn turned_away(&mut self, lines: &[u8]) -> ControlFlow<Done> {
        if self.refuses_name() {
            self.ask_for_name().await;
            return Continue(());
        }
        if let Some(attempt) = self.attempt.take_if(|attempt| !self.has_joined || attempt.session_state.is_unprotected)
        {
            return Break(self.done(attempt.session_state.outcome(), &attempt.delivery).await);
        }
        self.give_up().await?;
        let lines = String::from_utf8_lossy(lines);
        let refusal = lines.lines().find(|line| matches!(ServerLine::parse(line), ServerLine::Refused { .. }));
        let refusal = refusal.unwrap_or_default();
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
        self.give_up().await?;
        let Some(attempt) = self.attempt.take() else { return Continue(()) };
        if self.is_leaving || attempt.session_state.was_dismissed() || !self.reconnect || !self.has_joined {
            let done = match how {
                // After the goodbye it does not matter how it ended.
                Err(error) if !attempt.session_state.is_over() => Err(ClientError::Failed(error)),
                _ => attempt.session_state.outcome(),
            };
            return Break(self.done(done, &attempt.delivery).await);
        }
        self.break_dialogue();
        if self.absence.is_none() {
            self.tell_loss(&how).await;
            self.tell_missing(&attempt.delivery).await;
        }
        self.try_later();
        Continue(())
    }

    async fn tell_loss(&mut self, how: &io::Result<()>) {
        self.look.prompt().set_connected(false);
        let why = how.as_ref().err().map(|error| format!(": {}", io_error::describe(error))).unwrap_or_default();
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

    async fn tell_missing(&self, delivery: &Delivery) {
        let Some(Missing { lines, first }) = delivery.missing() else { return };
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
        self.attempt = None;
        self.tried = None;
        self.password_flow.end();
        if let Some(absence) = &mut self.absence {
            absence.next_try = Instant::now() + absence.backoff.next(fastrand::f64());
        }
    }
}

/// Adds whole lines to what a server has said before it took the name. If that is too much, what came before is dropped: its
/// last words say why it sends us away.
fn add_greeting(lines: &mut Vec<u8>, heard: Vec<u8>) {
    if lines.len() + heard.len() > CLIENT_GREETING_BYTES {
        lines.clear();
    }
    lines.extend(heard);
}

fn is_quit(line: &str) -> bool {
    matches!(Command::parse(Line::Text(line.to_owned())), Ok(Command::Quit(_)))
}

#[cfg(test)]
mod tests;
