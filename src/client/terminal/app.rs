//! The terminal client: sends what is typed, shows what the server says, and reconnects after a loss.
//!
//! It knows neither keys nor the terminal. A typed line is sent, kept until it can be sent, or refused with a reason.

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::atomic::Ordering;
use std::time::Instant;

use async_channel::Receiver;
use async_io::Timer;
use futures::FutureExt;
use jiff::tz::TimeZone;

use crate::client::connection::ConnectError;
use crate::client::message::Message;
use crate::client::recipient::Recipient;
use crate::client::session_state::ServerRefusal;
use crate::client::taken::Tries;
use crate::client::terminal::account::{AccountRequest, Step, account_command};
use crate::client::terminal::completion::{Completion, renaming};
use crate::client::terminal::keys::Typed;
use crate::client::terminal::login::{Login, Remembered};
use crate::client::terminal::outbox::{Delivery, Fate, Heard, Outbox, ToSend, Uncertain, is_private, parse};
use crate::client::terminal::password_prompt::PasswordPrompt;
use crate::client::terminal::paste::{Paste, Verdict};
use crate::client::terminal::reconnect::{Absence, Connection, Event};
use crate::client::terminal::rooms::Rooms;
use crate::client::terminal::screen::Screen;
use crate::client::terminal::theme::Theme;
use crate::client::tls::TlsError;
use crate::client::{ClientError, Config, Outcome};
use crate::limits::{CLIENT_GREETING_BYTES, CLIENT_UNSENT_LINES, GOODBYE_WAIT, QUOTED_CHARS, SECOND_INTERRUPT};
use crate::model::{Name, RoomName, SafeText, Secret};
use crate::os::io_error;
use crate::protocol::words::lines;
use crate::protocol::{Command, Refusal, ServerLine};

const UNASKED: &str =
    "No command of yours asked for this. Do not type a password here: it would be shown, and sent as a message.";
const MISSED: &str =
    "They may include the answer about your password. Nothing else is sent until it arrives; Ctrl-D leaves.";
const ANOTHER_NAME: &str = "Type another name and press Enter; Ctrl-D leaves.";

type Done = Result<Outcome, ClientError>;

pub(crate) struct App {
    config: Config,
    reconnect: bool,
    screen: Screen,
    theme: Theme,
    typed: Receiver<Typed>,
    completion: Completion,
    paste: Paste,
    password_prompt: PasswordPrompt,
    remembered: Remembered,
    /// The server's refusal of the first name.
    refused_name: Option<SafeText>,
    /// What to do when the name is taken. `None` to ask the person.
    tries: Option<Tries>,
    outbox: Outbox,
    /// The messages that were sent on a lost connection, until the history tells whether they were accepted.
    uncertain: VecDeque<Uncertain>,
    rooms: Rooms,
    state: State,
    /// From the loss of the connection until the server has taken the name again. `None` at the first login.
    absence: Option<Absence>,
    /// The server's lines before the terminal was set up. `None` after that.
    greeting: Option<Vec<u8>>,
    interrupted: Option<Instant>,
    /// The person tried to leave during the question about a paste, and was warned.
    is_warned: bool,
}

enum State {
    Connecting(Login),
    LoggingIn(Login),
    /// The server refused the first name. The next typed line is another name.
    AskingName,
    Online(Online),
    Leaving {
        online: Online,
        /// When to tell the person what the client is waiting for.
        goodbye_due: Option<Instant>,
    },
    /// The connection is lost.
    Away {
        next_try: Instant,
    },
}

/// A connection on which the server has taken the name.
struct Online {
    connection: Connection,
    delivery: Delivery,
    /// `/quit` was sent. The server reads nothing after it.
    has_quit: bool,
    /// The account request that the server has not finished yet.
    account: Option<AccountRequest>,
    /// The server is sending what was missed. Nothing else is sent before its end, which tells what was accepted.
    resuming: Option<Resuming>,
}

/// What was missed comes in one room after another.
#[derive(Debug, Default)]
struct Resuming {
    /// The room of which it comes now.
    room: RoomName,
    /// The person is in that room. Otherwise they hear it.
    is_here: bool,
    /// Some of it is no longer stored, or was lost.
    has_gap: bool,
    /// All of it has come.
    has_end: bool,
    /// The server has accepted the command that asks for it. In a room that the person hears, the end may come before or
    /// after the answer to the command.
    is_accepted: bool,
    /// The other rooms that the person hears, of which it has not come yet.
    left: VecDeque<RoomName>,
    /// The person heard them before, and need not be told.
    is_again: bool,
    /// The command that asks for it.
    outbox: Outbox,
    /// It asks for what was missed, and not only to hear the room.
    has_since: bool,
}

enum Next {
    Typed(Typed),
    Event(Event),
    Due,
}

impl State {
    fn connection(&mut self) -> Option<&mut Connection> {
        match self {
            Self::Connecting(login) | Self::LoggingIn(login) => Some(&mut login.connection),
            Self::Online(online) | Self::Leaving { online, .. } => Some(&mut online.connection),
            Self::AskingName | Self::Away { .. } => None,
        }
    }

    fn online(&mut self) -> Option<&mut Online> {
        match self {
            Self::Online(online) | Self::Leaving { online, .. } => Some(online),
            _ => None,
        }
    }

    /// Moves the state out. The caller puts another one in its place.
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::AskingName)
    }

    /// When to call [`App::due`].
    fn due(&self) -> Option<Instant> {
        match self {
            // The server limits how long a person may take to type a password.
            Self::Connecting(login) | Self::LoggingIn(login) => (!login.is_asked).then_some(login.welcome_by),
            Self::AskingName => None,
            Self::Online(online) => online.ping_due(),
            Self::Leaving { online, goodbye_due } => online.ping_due().into_iter().chain(*goodbye_due).min(),
            Self::Away { next_try } => Some(*next_try),
        }
    }
}

impl Online {
    fn can_send(&self) -> bool {
        self.connection.can_send() && !self.has_quit
    }

    fn ping_due(&self) -> Option<Instant> {
        self.delivery.due().filter(|_| self.can_send() && self.account.is_none())
    }
}

impl App {
    pub(crate) fn new(
        config: Config,
        reconnect: bool,
        (screen, theme): (Screen, Theme),
        (typed, completion, paste, password_prompt): (Receiver<Typed>, Completion, Paste, PasswordPrompt),
    ) -> Self {
        let rooms = Rooms::new(&config);
        Self {
            tries: config.if_taken.map(|if_taken| Tries::new(config.name.clone(), if_taken)),
            remembered: Remembered::new(config.password.clone(), config.name.clone()),
            config,
            reconnect,
            screen,
            theme,
            typed,
            completion,
            paste,
            password_prompt,
            refused_name: None,
            outbox: Outbox::default(),
            uncertain: VecDeque::new(),
            rooms,
            state: State::AskingName,
            absence: None,
            greeting: Some(Vec::new()),
            interrupted: None,
            is_warned: false,
        }
    }

    /// Joins the room and runs until the end. Calls `start_terminal` when the server has taken the name or the person is
    /// needed. Its argument is false if the server refused the name.
    pub(crate) async fn run(mut self, start_terminal: impl FnOnce(bool) -> Result<(), ClientError>) -> Done {
        self.connect();
        let mut start_terminal = Some(start_terminal);
        loop {
            let needs_person = match &self.state {
                State::LoggingIn(login) => login.is_asked,
                state => !matches!(state, State::Connecting(_)),
            };
            if let Some(start_terminal) = start_terminal.take_if(|_| needs_person) {
                start_terminal(!matches!(self.state, State::AskingName))?;
                let greeting = self.greeting.take().unwrap_or_default();
                self.show(&greeting).await;
            }
            let done = match self.next().await {
                Next::Typed(typed) => self.type_in(typed).await,
                Next::Event(event) => self.happen(event).await,
                Next::Due => self.due().await,
            };
            if let Break(done) = done {
                return done;
            }
            self.send_next().await;
        }
    }

    async fn next(&mut self) -> Next {
        let due = self.paste.due().into_iter().chain(self.state.due()).min();
        let is_leaving = matches!(self.state, State::Leaving { .. });
        // Dropping any of these futures loses nothing.
        futures::select_biased! {
            typed = async {
                match self.typed.recv().await {
                    Ok(typed) => typed,
                    // The terminal is gone. That is not a second Ctrl-D.
                    Err(_) if is_leaving => std::future::pending().await,
                    Err(_) => Typed::Leave,
                }
            }.fuse() => Next::Typed(typed),
            event = async {
                match self.state.connection() {
                    Some(connection) => connection.next().await,
                    None => std::future::pending().await,
                }
            }.fuse() => Next::Event(event),
            _ = due.map_or_else(Timer::never, Timer::at).fuse() => Next::Due,
        }
    }

    async fn due(&mut self) -> ControlFlow<Done> {
        let now = Instant::now();
        let verdict = self.paste.look(now);
        self.follow(verdict).await;
        match &mut self.state {
            State::Leaving { goodbye_due, .. } if goodbye_due.is_some_and(|due| due <= now) => {
                *goodbye_due = None;
                let what = match self.outbox.len() {
                    0 => "say goodbye".to_owned(),
                    count => format!("accept {}", lines(count)),
                };
                self.screen.say(&format!("Waiting for the server to {what}. Ctrl-D leaves without waiting."));
            }
            state @ (State::Connecting(_) | State::LoggingIn(_)) if state.due().is_some_and(|due| due <= now) => {
                if self.absence.is_none() {
                    return Break(Err(ClientError::NoWelcome));
                }
                self.give_up().await?;
                self.try_later();
            }
            State::Away { next_try } if *next_try <= now => self.connect(),
            _ => {}
        }
        Continue(())
    }

    fn connect(&mut self) {
        let (endpoint, name) = (self.config.endpoint.clone(), self.theme.own_name().clone());
        let has_password = self.remembered.has_one_for(&name);
        let login = (name.clone(), self.rooms.login(&self.config.wanted));
        let connection = Connection::begin(endpoint, login, has_password, self.config.allow_plain_password);
        self.enter(State::Connecting(Login::new(connection, name)));
    }

    /// Changes the state. Call it before a message to the person, so that what they type next is hidden or shown
    /// correctly.
    fn enter(&mut self, state: State) {
        self.state = state;
        self.password_prompt.close_login();
        self.password_prompt.set_ready(self.account_obstacle().is_none());
    }

    // ---- What the person does ----

    async fn type_in(&mut self, typed: Typed) -> ControlFlow<Done> {
        let is_warned = std::mem::take(&mut self.is_warned);
        match typed {
            Typed::Line(text, _) if matches!(self.state, State::AskingName) => self.take_name(&text),
            Typed::Line(text, enter) => self.paste.add(&text, enter),
            Typed::Nothing(enter) => self.paste.confirm(enter),
            Typed::Secret(secret) => self.give_typed(secret),
            Typed::Account(request) => {
                self.settle_paste().await;
                match self.account_obstacle() {
                    Some(why) => self.screen.say(why),
                    None => self.outbox.add_account(request),
                }
            }
            Typed::Cleared => {
                // The line that was in the editor belonged to the paste.
                if let Some(count) = self.paste.discard() {
                    self.screen.say(&format!("{} discarded.", lines(count + 1)));
                }
            }
            Typed::Interrupt => return self.interrupt().await,
            Typed::Leave => return self.leave(is_warned).await,
        }
        Continue(())
    }

    async fn interrupt(&mut self) -> ControlFlow<Done> {
        if let Some(count) = self.paste.discard() {
            self.screen.tell(&format!("{} discarded.", lines(count))).await;
            return Continue(());
        }
        if self.interrupted.is_some_and(|then| then.elapsed() < SECOND_INTERRUPT) {
            return self.leave(false).await;
        }
        self.interrupted = Some(Instant::now());
        self.screen.say("Press Ctrl-C again or Ctrl-D to leave.");
        Continue(())
    }

    /// Leaves. During the question about a paste, the first call only warns.
    async fn leave(&mut self, is_warned: bool) -> ControlFlow<Done> {
        self.settle_paste().await;
        if let Some(count) = self.paste.question() {
            if !is_warned {
                self.is_warned = true;
                self.screen
                    .tell(&format!("Not sent yet: {}. Ctrl-D again leaves without sending.", lines(count)))
                    .await;
                return Continue(());
            }
            self.paste.discard();
            self.screen.tell(&format!("{} discarded.", lines(count))).await;
        }
        Break(match &self.state {
            // `send_next` sends the waiting lines, and then half-closes the connection. The server says goodbye.
            State::Online(_) => {
                self.begin_to_leave();
                return Continue(());
            }
            State::AskingName => {
                let refusal = self.refused_name.clone().map(Outcome::NameRefused);
                self.done(refusal.ok_or(ClientError::NoFarewell)).await
            }
            State::Connecting(_) | State::LoggingIn(_) | State::Away { .. } if self.absence.is_some() => {
                self.done(Err(ClientError::Cut)).await
            }
            _ => self.done(Err(ClientError::NoFarewell)).await,
        })
    }

    /// The final result. Tells the person about lines that were not sent or may not have arrived, which make it an error.
    async fn done(&mut self, done: Done) -> Done {
        let unsent = self.outbox.len() + self.paste.len();
        if unsent > 0 {
            self.screen.tell(&format!("Not sent: {}.", lines(unsent))).await;
        }
        match unsent + self.tell_missing().await + self.tell_uncertain(|_| true).await {
            0 => done,
            unsaid => done.and(Err(ClientError::Unsaid(unsaid))),
        }
    }

    fn begin_to_leave(&mut self) {
        let goodbye_due = Some(Instant::now() + GOODBYE_WAIT);
        let state = match self.state.take() {
            State::Online(online) => State::Leaving { online, goodbye_due },
            state => state,
        };
        self.enter(state);
    }

    /// Adds lines to the outbox. Splits them at CR, as the server does.
    fn keep(&mut self, typed: Vec<String>) {
        let pieces = typed.iter().flat_map(|line| line.split('\r')).filter(|line| !line.trim().is_empty());
        let mut typed: Vec<_> = pieces.map(str::to_owned).collect();
        if let Some(at) = typed.iter().position(|line| account_command(line).is_some()) {
            let count = typed.drain(at..).count();
            let why = self.account_obstacle().unwrap_or("Not sent: type a command about your account by itself.");
            let more = match count - 1 {
                0 => String::new(),
                more => format!(" Discarded {} after it, because they might be passwords.", lines(more)),
            };
            self.screen.say(&format!("{why}{more}"));
        }
        let (was_empty, is_any) = (self.outbox.len() == 0, !typed.is_empty());
        let refused = self.outbox.add(typed);
        self.say_unsent(&format!("{CLIENT_UNSENT_LINES} lines are already waiting"), &refused);
        if self.absence.is_some() && was_empty && is_any {
            self.screen.say("Not connected; your line will be sent after reconnecting.");
        }
    }

    /// Drops the lines that wait, because the person meant them for another room.
    fn drop_unsent(&mut self) {
        let unsent = self.outbox.take_lines();
        self.say_unsent(&format!("you are in {}", self.rooms.current()), &unsent);
    }

    fn say_unsent(&self, why: &str, unsent: &[String]) {
        let Some(first) = unsent.first() else { return };
        let all = if unsent.len() == 1 { String::new() } else { format!("{} from this one on: ", lines(unsent.len())) };
        self.screen.say(&format!("Not sent, because {why}: {all}{first}"));
    }

    /// Why an account command cannot be sent now.
    fn account_obstacle(&self) -> Option<&'static str> {
        match &self.state {
            State::Online(online) if self.config.allow_plain_password || online.connection.is_private() => None,
            State::Online(_) => {
                Some("Not sent: others could read your password. Use --tls, or --allow-plain-password.")
            }
            State::Leaving { .. } => Some("Not sent: you are leaving."),
            _ => Some("Not sent: wait until you are connected again."),
        }
    }

    /// Stops waiting for more lines of a paste.
    async fn settle_paste(&mut self) {
        let verdict = self.paste.settle();
        self.follow(verdict).await;
    }

    async fn follow(&mut self, verdict: Option<Verdict>) {
        match verdict {
            Some(Verdict::Send(lines)) => self.keep(lines),
            Some(Verdict::Ask(count)) => {
                let question = format!("Send {}? Enter sends them, Ctrl-C discards them.", lines(count));
                self.screen.tell(&question).await;
            }
            None => {}
        }
    }

    // ---- The name and its password ----

    /// Connects with another name.
    fn use_name(&mut self, name: Name) {
        let old = self.theme.own_name().clone();
        self.theme.rename(&old, name);
        self.greeting.iter_mut().for_each(Vec::clear);
        self.connect();
    }

    /// Asks for another name. Drops the connection, because the server would not wait as long as a person may need.
    async fn ask_for_name(&mut self, refusal: &ServerRefusal) {
        self.enter(State::AskingName);
        self.greeting.iter_mut().for_each(Vec::clear);
        self.screen.tell(&format!("{}. {ANOTHER_NAME}", refusal.text)).await;
        self.refused_name.get_or_insert(refusal.shown());
    }

    fn take_name(&mut self, text: &str) {
        match Name::parse(text) {
            Ok(name) => self.use_name(name),
            Err(why) => self.screen.say(&format!("{why}. {ANOTHER_NAME}")),
        }
    }

    fn give_typed(&mut self, password: Secret) {
        let is_sent = match &mut self.state {
            State::LoggingIn(login) => login.give_typed(password),
            _ => false,
        };
        if !is_sent {
            self.screen.say("Not sent: the server is not asking for a password.");
        }
    }

    /// Leaves if the remembered password is wrong, and nobody has typed another.
    async fn give_up(&mut self) -> ControlFlow<Done> {
        let State::LoggingIn(login) = &self.state else { return Continue(()) };
        let Some(refusal) = login.hopeless_refusal(&self.remembered) else { return Continue(()) };
        Break(self.done(Ok(Outcome::NameRefused(refusal))).await)
    }

    /// The server refused the login. After a loss, the old connection may still hold the name, so the client tries
    /// again. At the first login, it tries or asks for another name, or ends. It also ends where others could read a
    /// password.
    async fn turned_away(&mut self) -> ControlFlow<Done> {
        let State::LoggingIn(login) = &mut self.state else { return Continue(()) };
        let session = std::mem::take(&mut login.connection.session_state);
        let is_first = self.absence.is_none();
        if is_first
            && session.is_name_taken()
            && let Some(tries) = &mut self.tries
            && let Some(name) = tries.next().await
        {
            self.use_name(name);
            return Continue(());
        }
        if let Some(refusal) = session.refused_name().filter(|_| is_first && self.tries.is_none()) {
            self.ask_for_name(refusal).await;
            return Continue(());
        }
        if !is_first && session.last_refusal.code == "bad-since" {
            self.rooms.make_void();
            self.tell_uncertain(|_| true).await;
            self.connect();
            return Continue(());
        }
        // Muted people may not open it again.
        let is_about_room =
            matches!(&*session.last_refusal.code, "no-such-room" | "too-many-rooms" | "registered-only" | "muted");
        if !is_first && is_about_room && !self.rooms.current().is_lobby() {
            // The server was restarted and does not know it any more.
            let (room, refusal) = (self.rooms.current().clone(), session.last_refusal.shown());
            self.screen.tell(&format!("You are no longer in {room} (! {refusal}).")).await;
            self.rooms.enter(RoomName::lobby(), Instant::now());
            self.tell_uncertain(|at| *at == room).await;
            self.drop_unsent();
            self.connect();
            return Continue(());
        }
        if is_first || session.is_unprotected {
            return Break(self.done(session.outcome()).await);
        }
        self.give_up().await?;
        let (own, refusal) = (self.theme.own_name(), session.last_refusal.shown());
        if let Some(absence) = &mut self.absence
            && !std::mem::replace(&mut absence.told_of_ghost, true)
        {
            self.screen.say(&format!("Cannot rejoin as {own} yet (! {refusal}); trying again."));
        }
        self.try_later();
        Continue(())
    }

    /// The server has accepted the name.
    async fn joined(&mut self) {
        let State::LoggingIn(login) = self.state.take() else { return };
        let connection = login.into_joined(&mut self.remembered);
        let is_resuming = self.rooms.joined(Instant::now()) && self.absence.is_some();
        let resuming = Some(Resuming {
            room: self.rooms.current().clone(),
            is_here: true,
            is_accepted: true,
            left: self.rooms.heard().cloned().collect(),
            is_again: self.absence.is_some(),
            ..Resuming::default()
        });
        let delivery = Delivery::default();
        self.enter(State::Online(Online { connection, delivery, has_quit: false, account: None, resuming }));
        self.theme.prompt.connected.store(true, Ordering::Relaxed);
        self.theme.prompt.set_room(self.rooms.current());
        self.completion.clear();
        if let Some(absence) = self.absence.take() {
            self.screen.say(&format!("Reconnected. You were away since {}.", absence.since));
        }
        if !is_resuming {
            self.resume_next().await;
        }
    }

    // ---- What happens on the connection ----

    async fn happen(&mut self, event: Event) -> ControlFlow<Done> {
        match event {
            Event::Connected(remote_end) => {
                let State::Connecting(mut login) = self.state.take() else { return Continue(()) };
                login.connection.remote_end = remote_end;
                self.enter(State::LoggingIn(login));
            }
            Event::NotConnected(error) if self.absence.is_none() => {
                return Break(self.done(Err(error.into())).await);
            }
            Event::NotConnected(error) => {
                self.tell_distrust(&error);
                self.try_later();
            }
            Event::Heard(bytes) => return self.hear(&bytes).await,
            Event::Sent => self.state.connection().into_iter().for_each(|it| it.is_sending = false),
            Event::Ended(how) => return self.ended(how).await,
        }
        Continue(())
    }

    async fn hear(&mut self, bytes: &[u8]) -> ControlFlow<Done> {
        if let State::LoggingIn(login) = &mut self.state {
            let warning = login.hear(bytes, &mut self.remembered, self.config.allow_plain_password);
            if login.is_asked {
                self.password_prompt.open_login();
            }
            if let Some(warning) = warning {
                self.screen.tell(&warning).await;
            }
            let session = &login.connection.session_state;
            if session.is_turned_away() {
                return self.turned_away().await;
            }
            if session.joined {
                self.joined().await;
            }
        } else if let Some(online) = self.state.online() {
            online.connection.hear(bytes);
        }
        self.show(bytes).await;
        Continue(())
    }

    async fn show(&mut self, bytes: &[u8]) {
        if let Some(greeting) = &mut self.greeting {
            return add_greeting(greeting, bytes);
        }
        let mut is_asked = false;
        for raw in String::from_utf8_lossy(bytes).lines() {
            let line = ServerLine::parse(raw);
            let is_leaving = matches!(&self.state, State::Leaving { .. });
            let own = self.theme.own_name();
            let mut heard =
                self.state.online().map(|online| online.delivery.hear(line, own, Instant::now())).unwrap_or_default();
            if is_leaving && matches!(line, ServerLine::Bye { .. }) {
                heard.alone = self.state.online().and_then(|online| online.delivery.all_handled());
            }
            let Heard { is_receipt, is_new, alone } = heard;
            if let Some((line, fate)) = alone {
                self.settle_alone(&line, fate).await;
            }
            let is_closed = self.follow_room(line);
            if is_receipt && !is_new || self.resume(line).await {
                continue;
            }
            if let ServerLine::Refused { code: "password-required", text } = line {
                is_asked = true;
                let is_person_asked = matches!(&self.state, State::LoggingIn(login) if login.is_asked);
                // Other words say that the name looks like a registered one, whose password is needed.
                if !is_person_asked || text == Refusal::PasswordRequired.to_string() {
                    continue;
                }
            }
            let warning = self.hear_of_account(line);
            if self.answers(line) {
                continue;
            }
            // Names are parsed from the raw line, because escaping could turn invalid text into a name. A `Name` is
            // always safe.
            let message = Message::of(line, self.rooms.current());
            self.completion.hear(line);
            if let Some((old, new)) = renaming(line) {
                self.theme.rename(&old, new);
            }
            let shown = self.theme.show(raw, line, message.as_ref(), self.rooms.current());
            match message.and_then(|message| message.at) {
                _ if is_new => self.screen.show_own(shown).await,
                Some(at) => self.screen.show_at(at.to_zoned_datetime(TimeZone::system()).date(), shown).await,
                None => self.screen.show(shown).await,
            }
            if let Some(warning) = warning {
                self.screen.tell(warning).await;
            }
            if is_closed {
                self.drop_unsent();
            }
        }
        // The server's question is meant for programs. A person gets one that says what to do.
        if is_asked && matches!(&self.state, State::LoggingIn(login) if login.is_asked) {
            let whose = self.remembered.whose(self.theme.own_name());
            self.screen.tell(&format!("Password of {whose}? What you type is not shown; Enter sends it.")).await;
        }
    }

    /// Follows the person to another room. Returns whether the old one was closed.
    fn follow_room(&mut self, line: ServerLine<'_>) -> bool {
        let is_moved = self.rooms.hear(line, Instant::now());
        if is_moved {
            // The server names those who are there.
            self.completion.clear();
            self.theme.prompt.set_room(self.rooms.current());
        }
        is_moved && matches!(line, ServerLine::RoomClosed { .. })
    }

    /// Handles a line of what was missed. Returns whether the line is not to be shown.
    async fn resume(&mut self, line: ServerLine<'_>) -> bool {
        let own = self.theme.own_name();
        let Some(resuming) = self.state.online().and_then(|online| online.resuming.as_mut()) else { return false };
        let (room, is_again) = (resuming.room.clone(), resuming.is_again);
        let is_of_room = |named: Option<&str>| named.map_or(resuming.is_here, |named| named == room.as_str());
        match line {
            // A closed room has moved the person away, or to the room that they only heard. The rest may not come.
            _ if resuming.is_here != (room == *self.rooms.current()) => {
                resuming.has_gap = true;
                self.resumed().await;
            }
            ServerLine::Numbered { from, .. } if from == own.as_str() => {
                let accepted = self.uncertain.iter().position(|uncertain| uncertain.said.came_back(line, own));
                let accepted = accepted.and_then(|at| self.uncertain.remove(at));
                return accepted.is_some_and(|uncertain| uncertain.said.is_shown);
            }
            ServerLine::Unavailable { room: named, .. } if is_of_room(named) => resuming.has_gap = true,
            ServerLine::ThatWas { room: named, .. } | ServerLine::NothingAfter { room: named, .. }
                if is_of_room(named) =>
            {
                resuming.has_end = true;
                self.resumed().await;
            }
            // What was missed may include the end.
            ServerLine::Missed { room: named, .. } if is_of_room(named) => {
                resuming.has_gap = true;
                self.resumed().await;
            }
            ServerLine::Refused { code: "no-history" | "history-failed", .. } => {
                resuming.has_gap = true;
                self.resumed().await;
            }
            ServerLine::NoLongerHearing(named) if named == room.as_str() => {
                resuming.has_gap = true;
                self.resumed().await;
            }
            _ => {}
        }
        // Nobody has asked for it.
        match line {
            ServerLine::Hearing(named) => is_again && named == room.as_str(),
            _ => matches!(line, ServerLine::NothingAfter { .. }),
        }
    }

    /// What was missed in a room has come, as far as the server can tell. Goes on with the next room, unless the command
    /// has no answer yet.
    async fn resumed(&mut self) {
        let Some(resuming) = self.state.online().and_then(|online| online.resuming.as_ref()) else { return };
        if !resuming.is_accepted {
            return;
        }
        if resuming.has_gap || !resuming.has_end {
            let room = resuming.room.clone();
            self.tell_uncertain(|at| *at == room).await;
        }
        self.resume_next().await;
    }

    /// Asks for what was missed in the next room. After the last one, sends again what the server has not accepted.
    async fn resume_next(&mut self) {
        let Some(online) = self.state.online() else { return };
        let Some(Resuming { mut left, is_again, .. }) = online.resuming.take() else { return };
        while let Some(room) = left.pop_front() {
            // It may be closed by now.
            if self.rooms.heard().any(|heard| *heard == room) {
                let (command, mut outbox) = (self.rooms.hear_command(&room), Outbox::default());
                let has_since = command.contains(" since=");
                outbox.add_first(vec![command]);
                online.resuming = Some(Resuming { room, left, is_again, outbox, has_since, ..Resuming::default() });
                return;
            }
        }
        let heard: Vec<_> = self.rooms.heard().chain([self.rooms.current()]).cloned().collect();
        self.tell_uncertain(|at| !heard.contains(at)).await;
        let again = self.uncertain.drain(..).map(|uncertain| uncertain.line).collect();
        self.outbox.add_first(again);
    }

    /// The server has answered the command that asks for what was missed in a room that the person hears.
    async fn heard_again(&mut self, room: RoomName, fate: Fate) {
        let Some(resuming) = self.state.online().and_then(|online| online.resuming.as_mut()) else { return };
        let has_since = resuming.has_since;
        resuming.is_accepted = true;
        match &fate {
            Fate::Accepted if has_since && !resuming.has_end && !resuming.has_gap => return,
            Fate::Accepted if self.rooms.heard().any(|heard| *heard == room) => {
                self.rooms.begin_to_hear(room, Instant::now());
            }
            // It was closed at once.
            Fate::Accepted => {}
            // The messages could not be read, but those to come will be heard.
            Fate::Refused(code) if code == "history-failed" => resuming.has_gap = true,
            Fate::Refused(code) if matches!(&**code, "bad-since" | "no-history") && has_since => {
                self.rooms.forget_position(&room);
                resuming.has_gap = true;
                resuming.left.push_front(room);
            }
            Fate::Refused(_) => {
                self.rooms.give_up(&room);
                resuming.has_gap = true;
            }
            Fate::Unknown => resuming.has_gap = true,
        }
        self.resumed().await;
    }

    /// Handles the fate of a line that was sent alone.
    async fn settle_alone(&mut self, line: &str, fate: Fate) {
        let resuming = self.state.online().and_then(|online| online.resuming.as_ref());
        match (parse(line), fate) {
            // Nothing else is sent meanwhile.
            (Ok(Command::Hear(room, _)), fate) if resuming.is_some() => {
                self.heard_again(room, fate).await;
            }
            // The answer may have been lost. The command has the same effect again, and another answer.
            (Ok(Command::Join(_) | Command::Hear(..) | Command::Deaf(_)), Fate::Unknown) => {
                self.outbox.add_first(vec![line.to_owned()]);
            }
            (Ok(Command::Join(_)), Fate::Refused(_)) => self.drop_unsent(),
            (Ok(Command::Hear(room, _)), Fate::Accepted) => self.rooms.begin_to_hear(room, Instant::now()),
            (Ok(Command::Join(_) | Command::Hear(..) | Command::Deaf(_)), _) => {}
            (_, fate) => self.show_private(line, fate).await,
        }
    }

    /// Tells which messages in these rooms may not have arrived, and forgets them. Returns their number.
    async fn tell_uncertain(&mut self, is_meant: impl Fn(&RoomName) -> bool) -> usize {
        let uncertain = std::mem::take(&mut self.uncertain).into_iter();
        let (lost, others): (VecDeque<_>, _) = uncertain.partition(|uncertain| is_meant(&uncertain.said.room));
        self.uncertain = others;
        if let Some(first) = lost.front() {
            self.tell_lost(lost.len(), &first.line).await;
        }
        lost.len()
    }

    /// Shows a private message that this person sent, if it was accepted.
    async fn show_private(&self, line: &str, fate: Fate) {
        let quoted = || SafeText::excerpt(line, QUOTED_CHARS);
        match fate {
            Fate::Accepted => {
                if let Some(shown) = self.theme.said(line) {
                    self.screen.show_own(shown).await;
                }
            }
            // These refusals name the recipient.
            Fate::Refused(code) if matches!(&*code, "no-such-user" | "ignored") => {}
            Fate::Refused(_) => self.screen.tell(&format!("Refused: {}", quoted())).await,
            Fate::Unknown => {
                let words = "The answer may have been lost, so this may have been refused";
                self.screen.tell(&format!("{words}: {}", quoted())).await;
            }
        }
    }

    /// Handles a line about a password. Returns a warning to show after it, because a hostile server may also ask.
    fn hear_of_account(&mut self, line: ServerLine<'_>) -> Option<&'static str> {
        // During a login with a password, input is hidden anyway.
        let is_hidden = matches!(&self.state, State::LoggingIn(login) if login.was_asked());
        let Some(online) = self.state.online().filter(|online| online.account.is_some()) else {
            return (line.is_password_question() && !is_hidden).then_some(UNASKED);
        };
        let step = online.account.as_mut().and_then(|request| request.hear(line));
        if step.is_some() {
            online.account = None;
        }
        match step {
            Some(Step::Done(password)) => {
                let recipient = online.connection.recipient();
                self.remember(line, password, recipient);
                None
            }
            Some(Step::Unasked) => Some(UNASKED),
            None => matches!(line, ServerLine::Missed { room: None, .. }).then_some(MISSED),
        }
    }

    /// Remembers the new password of a name, or forgets the previous one.
    fn remember(&mut self, line: ServerLine<'_>, password: Option<Secret>, recipient: Option<Recipient>) {
        let (ServerLine::Registered(name) | ServerLine::PasswordChanged(name) | ServerLine::Unregistered(name)) = line
        else {
            return;
        };
        let Ok(name) = Name::parse(name) else { return };
        match (line, password) {
            (ServerLine::Registered(_), Some(password)) => self.remembered.registered(name, password, recipient),
            (_, Some(password)) => self.remembered.password_changed(name, password, recipient),
            (_, None) => self.remembered.unregistered(&name),
        }
    }

    /// Whether the client answers this question itself. Such a question is not shown: people might type the password
    /// again, as a message to the room.
    fn answers(&mut self, line: ServerLine<'_>) -> bool {
        let request = self.state.online().and_then(|online| online.account.as_ref());
        line.is_password_question() && request.is_some_and(|request| request.answer.is_some())
    }

    /// Sends the next line, unless the previous one is still being sent.
    async fn send_next(&mut self) {
        let is_leaving = matches!(self.state, State::Leaving { .. });
        let Some(online) = self.state.online().filter(|online| online.can_send()) else { return };
        if let Some(request) = &mut online.account {
            // The server would take anything else for a password.
            match request.answer.take() {
                _ if is_leaving => online.connection.finish(),
                Some(secret) => online.connection.send(secret.expose()),
                None => {}
            }
            return;
        }
        let (outbox, is_leaving) = match &mut online.resuming {
            Some(resuming) => (&mut resuming.outbox, false),
            None => (&mut self.outbox, is_leaving),
        };
        let Some(next) = outbox.next(&mut online.delivery, self.rooms.current(), is_leaving, Instant::now()) else {
            if is_leaving && self.outbox.len() == 0 {
                online.connection.finish();
            }
            return;
        };
        online.connection.send(next.line());
        match next {
            ToSend::Ping(_) | ToSend::Again(_) => {}
            ToSend::Account(request) => online.account = Some(request),
            ToSend::Line(line) => {
                online.has_quit = is_quit(&line);
                if online.has_quit {
                    self.begin_to_leave();
                }
                // No input is handled meanwhile, so the line is shown before its answer. A private message is shown
                // once it is accepted.
                if !is_private(&line)
                    && let Some(shown) = self.theme.said(&line)
                {
                    self.screen.show_own(shown).await;
                }
            }
        }
    }

    async fn ended(&mut self, how: io::Result<()>) -> ControlFlow<Done> {
        self.give_up().await?;
        let is_leaving = matches!(self.state, State::Leaving { .. });
        let Some(connection) = self.state.connection() else { return Continue(()) };
        let session = std::mem::take(&mut connection.session_state);
        let is_first = self.absence.is_none() && self.state.online().is_none();
        if is_leaving || session.was_dismissed() || !self.reconnect || is_first {
            let done = match how {
                // After the goodbye an error does not matter.
                Err(error) if !session.bye => Err(ClientError::Failed(error)),
                _ => session.outcome(),
            };
            return Break(self.done(done).await);
        }
        if let Some(online) = self.state.online() {
            // It had no effect, because the next login continues in the same rooms. A resumption begins again by itself.
            let is_resuming = online.resuming.is_some();
            let again = online.delivery.take_move().filter(|_| !is_resuming);
            self.outbox.add_first(again.into_iter().collect());
        }
        let is_typing = self.state.online().is_some() && self.password_prompt.is_open();
        self.password_prompt.close();
        let is_unfinished = self.state.online().is_some_and(|online| online.account.is_some());
        if self.outbox.drop_account_requests() || is_typing || is_unfinished {
            self.screen.say("The account command was not completed. Try again after reconnecting.");
        }
        if self.absence.is_none() {
            self.theme.prompt.connected.store(false, Ordering::Relaxed);
            let what = match how {
                _ if session.stopping => "The server has shut down".to_owned(),
                Err(error) => format!("The connection was lost: {}", io_error::describe(&error)),
                Ok(()) => "The connection was lost".to_owned(),
            };
            self.screen.tell(&format!("{what}. Trying to reconnect; what you type will be sent later.")).await;
            self.tell_missing().await;
        }
        self.try_later();
        Continue(())
    }

    /// Tells how many of the sent lines may not have arrived, and returns that number. The history will tell about
    /// messages.
    async fn tell_missing(&mut self) -> usize {
        let Some(online) = self.state.online() else { return 0 };
        self.uncertain.extend(online.delivery.uncertain());
        let Some((count, first)) = online.delivery.missing() else { return 0 };
        let first = first.to_owned();
        self.tell_lost(count, &first).await;
        count
    }

    async fn tell_lost(&self, count: usize, first: &str) {
        let first = SafeText::excerpt(first, QUOTED_CHARS);
        let words = match count {
            1 => format!("A line that you sent may not have arrived: {first}"),
            _ => format!("Up to {count} of the lines you sent may not have arrived, starting with: {first}"),
        };
        self.screen.tell(&words).await;
    }

    /// Tells the person once that the server's certificate is not trusted, because waiting does not help.
    fn tell_distrust(&mut self, error: &ConnectError) {
        if let ConnectError::Tls(error @ (TlsError::Untrusted { .. } | TlsError::AnotherOne { .. })) = error
            && let Some(absence) = &mut self.absence
            && !std::mem::replace(&mut absence.told_of_distrust, true)
        {
            self.screen.say(&format!("Cannot reconnect yet: {error}; trying again."));
        }
    }

    fn try_later(&mut self) {
        let pause = self.absence.get_or_insert_with(Absence::new).pause(fastrand::f64());
        self.enter(State::Away { next_try: Instant::now() + pause });
    }
}

/// Adds complete lines to what the server said before the login. If there are too many, the earliest are dropped,
/// because the last ones say why a login was refused.
fn add_greeting(lines: &mut Vec<u8>, heard: &[u8]) {
    if lines.len() + heard.len() > CLIENT_GREETING_BYTES {
        lines.clear();
    }
    lines.extend_from_slice(heard);
}

fn is_quit(line: &str) -> bool {
    matches!(parse(line), Ok(Command::Quit(_)))
}

#[cfg(test)]
mod tests;
