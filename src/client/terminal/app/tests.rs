use std::sync::mpsc;
use std::time::Duration;

use async_channel::{Sender, bounded};
use async_std::task::block_on;
use jiff::civil::date;
use rustyline::ExternalPrinter;
use zeroize::Zeroizing;

use super::*;
use crate::client::terminal::screen::Showing;
use crate::limits::RECONNECT_PAUSE;
use crate::protocol::AccountCommand;

struct PlainPrinter(mpsc::Sender<String>);

impl ExternalPrinter for PlainPrinter {
    fn print(&mut self, text: String) -> rustyline::Result<()> {
        self.0.send(text).map_err(|error| io::Error::other(error).into())
    }
}

/// A session on a connection, what it sends there, and what it shows.
struct Scene {
    app: App,
    sent: Receiver<Zeroizing<String>>,
    screen: Screen,
    showing: Showing,
    // Kept so that the channels stay open.
    _typed: Sender<Typed>,
    _events: Sender<Event>,
}

/// Gives the app a new connection. Returns what it sends there, and the sender of its events.
fn connect(app: &mut App) -> (Receiver<Zeroizing<String>>, Sender<Event>) {
    let ((lines, sent), (events, happening)) = (bounded(1), bounded(1));
    app.enter(State::LoggingIn(Login::new(Connection::new(happening, lines), app.theme.own_name().clone())));
    (sent, events)
}

fn secret(text: &str) -> Secret {
    Secret::parse(text).unwrap()
}

/// An account command with its password.
fn request(command: AccountCommand) -> Typed {
    let mut request = AccountRequest::new(command);
    while request.fill(secret("open sesame")).is_some() {}
    Typed::Account(request)
}

fn room(name: &str) -> RoomName {
    RoomName::parse(name).unwrap()
}

impl Scene {
    /// In the lobby.
    fn set() -> Self {
        Self::in_rooms(None, &[])
    }

    /// With `--room` and `--hear`.
    fn in_rooms(current: Option<&str>, heard: &[&str]) -> Self {
        let (screen, showing) = Screen::new(false, || date(2026, 11, 26));
        let config = Config::example(current, heard, crate::client::Wanted::default());
        let theme = Theme::new(config.name.clone(), false, false);
        let (typing, typed) = bounded(1);
        let typed = (typed, Completion::default(), Paste::default(), PasswordPrompt::default());
        let mut app = App::new(config, true, (screen.clone(), theme), typed);
        app.greeting = None;
        let (sent, events) = connect(&mut app);
        block_on(app.joined());
        Self { app, sent, screen, showing, _typed: typing, _events: events }
    }

    /// The next line that is sent, if any. Reports it as sent.
    fn next(&mut self) -> Option<String> {
        block_on(self.app.send_next());
        let line = self.sent.try_recv().ok()?.to_string();
        self.happens(Event::Sent);
        Some(line)
    }

    /// The next line, which must be a ping. Returns its pong.
    #[track_caller]
    fn next_ping(&mut self) -> String {
        let line = self.next().unwrap();
        let token = line.strip_prefix("/ping ").unwrap_or_else(|| panic!("{line:?} is not a ping"));
        format!("* Pong {token}\n")
    }

    #[track_caller]
    fn hears(&mut self, lines: &str) {
        self.happens(Event::Heard(lines.as_bytes().to_vec()));
    }

    #[track_caller]
    fn types(&mut self, typed: Typed) {
        assert!(block_on(self.app.type_in(typed)).is_continue());
    }

    /// Types a line, which is sent next.
    #[track_caller]
    fn says(&mut self, line: &str) {
        self.app.keep(vec![line.to_owned()]);
        assert_eq!(self.next().as_deref(), Some(line));
    }

    /// The next line, which goes alone and gets this answer before its pong.
    #[track_caller]
    fn sends_alone(&mut self, line: &str, answer: &str) {
        assert_eq!(self.next().as_deref(), Some(line));
        let pong = self.next_ping();
        assert_eq!(self.next(), None, "everything else waits");
        self.hears(&format!("{answer}\n{pong}"));
    }

    /// Loses the connection and makes another, in this room.
    #[track_caller]
    fn comes_back_to(&mut self, room: &str) {
        self.happens(Event::Ended(Ok(())));
        (self.sent, self._events) = connect(&mut self.app);
        self.hears(&format!("* Welcome to {room}, Bob. You are the first here. /help lists the commands.\n"));
    }

    fn online(&mut self) -> &mut Online {
        self.app.state.online().unwrap()
    }

    #[track_caller]
    fn happens(&mut self, event: Event) {
        assert!(block_on(self.app.happen(event)).is_continue());
    }

    /// Loses the connection and makes another. The server has yet to tell what was missed.
    #[track_caller]
    fn loses_connection(&mut self) {
        self.happens(Event::Ended(Ok(())));
        (self.sent, self._events) = connect(&mut self.app);
        self.hears("* Welcome, Bob.\n");
    }

    /// Loses the connection and makes another. Nothing was missed.
    #[track_caller]
    fn comes_back(&mut self) {
        self.loses_connection();
        self.hears("* Nothing was said after 7.\n");
    }

    /// The lines on the screen, without the times.
    fn shown(self) -> Vec<String> {
        let (paper, printed) = mpsc::channel();
        self.showing.start(PlainPrinter(paper), || None).unwrap();
        self.screen.finish();
        let printed = printed.try_iter().next().unwrap();
        let without_time =
            |line: &str| line.split_once(' ').filter(|(time, _)| *time != "--").map(|(_, rest)| rest.to_owned());
        let without_since = |line: &str| line.split(" You were away since ").next().unwrap().to_owned();
        printed.lines().map(|line| without_time(line).unwrap_or_else(|| without_since(line))).collect()
    }
}

/// The server may or may not have received them.
#[test]
fn after_a_loss_messages_are_found_in_the_history_or_sent_again() {
    for is_written in [false, true] {
        let mut scene = Scene::set();
        scene.app.keep(vec!["one".to_owned(), "two".to_owned(), "three".to_owned()]);
        assert_eq!(scene.next().as_deref(), Some("one"));
        block_on(scene.app.send_next());
        // The sending task has not taken it yet, or has not reported that it was sent.
        assert!(!is_written || scene.sent.try_recv().is_ok());
        scene.loses_connection();
        assert_eq!(scene.next(), None, "it does not know yet what was accepted");
        scene.hears("[8 2026-11-26T12:03:11Z] Alice: meanwhile\n[9 2026-11-26T12:03:11Z] Bob: one\n");
        scene.hears("* That was 8 to 9, 2 lines.\n");
        assert_eq!(
            [scene.next(), scene.next(), scene.next()].map(|line| line.unwrap_or_default()),
            ["two", "three", ""]
        );
        assert_eq!(
            scene.shown(),
            [
                "Bob: one",
                "Bob: two",
                "-- The connection was lost. Trying to reconnect; what you type will be sent later.",
                "-- Reconnected.",
                "* Welcome, Bob.",
                "Alice: meanwhile",
                "* That was 8 to 9, 2 lines.",
                "Bob: three",
            ]
        );
    }
}

/// The sending task is gone.
#[test]
fn a_message_for_a_closed_connection_is_sent_again() {
    let mut scene = Scene::set();
    scene.sent = bounded(1).1;
    scene.app.keep(vec!["one".to_owned()]);
    assert_eq!(scene.next(), None);
    scene.comes_back();
    assert_eq!(scene.next().as_deref(), Some("one"));
}

#[test]
fn what_the_history_cannot_tell_is_reported_and_not_sent_again() {
    for answer in [
        "! no-history: this server does not record messages\n",
        "! history-failed: try again later\n",
        "* 7 of these lines are no longer kept.\n* That was 8 to 9, 2 lines.\n",
        "* 7 of these lines are no longer kept.\n* Nothing was said after 9.\n",
        "* You missed 7 lines.\n",
    ] {
        let mut scene = Scene::set();
        scene.app.keep(vec!["one".to_owned()]);
        assert_eq!(scene.next().as_deref(), Some("one"));
        scene.loses_connection();
        scene.app.keep(vec!["two".to_owned()]);
        scene.hears(answer);
        assert_eq!(scene.next().as_deref(), Some("two"), "{answer}");
        assert!(scene.shown().contains(&"-- A line that you sent may not have arrived: one".to_owned()), "{answer}");
    }
}

#[test]
fn leaving_without_the_goodbye_reports_unconfirmed_lines() {
    let mut scene = Scene::set();
    scene.app.keep(vec!["last words".to_owned(), "not sent".to_owned()]);
    let first = block_on(scene.app.leave(false));
    block_on(scene.app.send_next());
    let second = block_on(scene.app.leave(false));
    assert!(first.is_continue() && matches!(second, Break(Err(ClientError::NoFarewell))));
    assert_eq!(
        scene.shown(),
        ["Bob: last words", "-- Not sent: 1 line.", "-- A line that you sent may not have arrived: last words"]
    );
}

#[test]
fn a_cr_ends_a_line() {
    let mut scene = Scene::set();
    scene.app.keep(vec!["one\r\rtwo".to_owned()]);
    assert_eq!(scene.next().as_deref(), Some("one"));
    assert_eq!(scene.next().as_deref(), Some("two"));
}

/// The lines after it are meant as passwords.
#[test]
fn an_account_command_in_a_paste_and_the_lines_after_it_are_not_sent() {
    for (allow_plain_password, why) in [
        (true, "type a command about your account by itself."),
        (false, "others could read your password. Use --tls, or --allow-plain-password."),
    ] {
        let mut scene = Scene::set();
        scene.app.config.allow_plain_password = allow_plain_password;
        scene.app.keep(["one", "two\r/Password", "hunter2", "hunter3"].map(str::to_owned).to_vec());
        scene.app.keep(vec!["/register".to_owned()]);
        let sent = [scene.next(), scene.next(), scene.next()];
        assert_eq!(sent, [Some("one".to_owned()), Some("two".to_owned()), None]);
        assert_eq!(
            scene.shown(),
            [
                format!("-- Not sent: {why} Discarded 2 lines after it, because they might be passwords."),
                format!("-- Not sent: {why}"),
                "Bob: one".to_owned(),
                "Bob: two".to_owned(),
            ]
        );
    }
}

#[test]
fn a_private_message_is_shown_once_it_is_accepted() {
    let mut scene = Scene::set();
    scene.app.keep(["/msg Alice hi", "/msg Nobody hi", "hello"].map(str::to_owned).to_vec());
    assert_eq!(scene.next().as_deref(), Some("/msg Alice hi"));
    let pong = scene.next_ping();
    assert_eq!(scene.next(), None, "the next one waits");
    scene.hears("Carol: meanwhile\n");
    scene.hears(&pong);
    assert_eq!(scene.next().as_deref(), Some("/msg Nobody hi"));
    let pong = scene.next_ping();
    scene.hears("! no-such-user: nobody here is called Nobody; /who lists all\n");
    assert_eq!(scene.next(), None);
    scene.hears(&pong);
    assert_eq!(scene.next().as_deref(), Some("hello"));
    assert_eq!(
        scene.shown(),
        [
            "Carol: meanwhile",
            "Bob (to Alice): hi",
            "! no-such-user: nobody here is called Nobody; /who lists all",
            "Bob: hello"
        ]
    );
}

#[test]
fn the_refusal_of_an_earlier_line_does_not_refuse_a_private_message() {
    let mut scene = Scene::set();
    scene.app.keep(["/foo", "/msg Alice hi"].map(str::to_owned).to_vec());
    assert_eq!(scene.next().as_deref(), Some("/foo"));
    let pong = scene.next_ping();
    assert_eq!(scene.next(), None);
    scene.hears("! unknown-command: there is no /foo\n");
    scene.hears(&pong);
    assert_eq!(scene.next().as_deref(), Some("/msg Alice hi"));
    let pong = scene.next_ping();
    scene.hears(&pong);
    assert_eq!(scene.shown(), ["! unknown-command: there is no /foo", "Bob (to Alice): hi"]);
}

#[test]
fn a_private_message_is_quoted_if_its_refusal_is_unclear_or_may_be_lost() {
    let mut scene = Scene::set();
    scene.app.keep(["/msg Alice hi", "/msg Alice hello"].map(str::to_owned).to_vec());
    for answer in ["! muted: you may listen, but say nothing", "* You missed 7 lines."] {
        scene.next().unwrap();
        let pong = scene.next_ping();
        scene.hears(&format!("{answer}\n{pong}"));
    }
    assert_eq!(
        scene.shown(),
        [
            "! muted: you may listen, but say nothing",
            "-- Refused: /msg Alice hi",
            "* You missed 7 lines.",
            "-- The answer may have been lost, so this may have been refused: /msg Alice hello",
        ]
    );
}

#[test]
fn a_private_message_before_a_loss_is_quoted_and_not_sent_again() {
    let mut scene = Scene::set();
    scene.app.keep(["hello", "/msg Alice hi", "later"].map(str::to_owned).to_vec());
    assert_eq!(scene.next().as_deref(), Some("hello"));
    let pong = scene.next_ping();
    scene.hears(&pong);
    assert_eq!(scene.next().as_deref(), Some("/msg Alice hi"));
    scene.comes_back();
    assert_eq!(scene.next().as_deref(), Some("later"));
    assert_eq!(
        scene.shown(),
        [
            "Bob: hello",
            "-- The connection was lost. Trying to reconnect; what you type will be sent later.",
            "-- A line that you sent may not have arrived: /msg Alice hi",
            "-- Reconnected.",
            "* Welcome, Bob.",
            "Bob: later",
        ]
    );
}

#[test]
fn a_private_message_before_leaving_is_shown_before_the_goodbye() {
    let mut scene = Scene::set();
    scene.app.keep(vec!["/msg Alice hi".to_owned()]);
    assert!(block_on(scene.app.leave(false)).is_continue());
    assert_eq!(scene.next().as_deref(), Some("/msg Alice hi"));
    assert_eq!(scene.next(), None);
    assert!(scene.sent.is_closed(), "that was all");
    scene.hears("* Bye, Bob: 1 line accepted, 0 refused.\n");
    assert_eq!(scene.shown(), ["Bob (to Alice): hi", "* Bye, Bob: 1 line accepted, 0 refused."]);
}

/// The server would take it for the password.
#[test]
fn nothing_else_is_sent_while_the_server_waits_for_a_password() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.types(request(AccountCommand::Register));
    scene.app.keep(vec!["hello".to_owned()]);
    assert_eq!(scene.next().as_deref(), Some("/register"));
    // Now a ping is also due.
    let long_ago = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
    scene.online().delivery = Delivery::default();
    scene.online().delivery.sent("earlier", &RoomName::lobby(), long_ago);
    assert_eq!(scene.next(), None, "the server has not asked yet");
    assert!(scene.app.next().now_or_never().is_none(), "it does nothing all the time");
    for question in ["* Send the new password as the next line.\n", "* Send the new password again.\n"] {
        scene.hears(question);
        assert_eq!(scene.next().as_deref(), Some("open sesame"));
        assert_eq!(scene.next(), None);
    }
    scene.hears("* Registered: Bob is yours.\n");
    assert!(scene.app.remembered.has_one_for(&Name::parse("Bob").unwrap()));
    scene.next_ping();
    assert_eq!(scene.next().as_deref(), Some("hello"));
    let shown = ["* Registered: Bob is yours.", "Bob: hello"];
    assert_eq!(scene.shown(), shown, "questions that the client answers by itself are not shown");
}

#[test]
fn an_account_command_waits_for_the_answers_to_earlier_lines() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.app.keep(["/nick Alice", "/nick Carol"].map(str::to_owned).to_vec());
    scene.types(request(AccountCommand::Register));
    assert_eq!(scene.next().as_deref(), Some("/nick Alice"));
    assert_eq!(scene.next().as_deref(), Some("/nick Carol"));
    let pong = scene.next_ping();
    for late in ["! name-registered: Alice is registered\n", "! not-kept: the disk\n", "! line-too-long: no\n"] {
        scene.hears(late);
        assert_eq!(scene.next(), None, "there is no pong yet");
    }
    scene.hears(&pong);
    assert_eq!(scene.next().as_deref(), Some("/register"));
    scene.hears("! name-registered: Bob is registered\n");
    assert!(scene.online().account.is_none(), "this one is its own");
}

/// One of the lost lines could be the pong.
#[test]
fn after_lost_answers_an_account_command_waits_for_another_pong() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.app.keep(vec!["/who".to_owned()]);
    scene.types(request(AccountCommand::Register));
    assert_eq!(scene.next().as_deref(), Some("/who"));
    scene.next_ping();
    assert_eq!(scene.next(), None);
    scene.hears("* You missed 7 lines.\n");
    let pong = scene.next_ping();
    assert_eq!(scene.next(), None);
    scene.hears(&pong);
    assert_eq!(scene.next().as_deref(), Some("/register"));
    // The question can also be lost, but not in another room.
    scene.hears("* You missed 9 lines in ops.\n* You missed 9 lines.\n");
    assert!(scene.online().account.is_some());
    let missed = ["* You missed 7 lines.", "* You missed 9 lines in ops.", "* You missed 9 lines."];
    assert_eq!(
        scene.shown(),
        missed.map(str::to_owned).into_iter().chain([format!("-- {MISSED}")]).collect::<Vec<_>>()
    );
}

/// A program of another user may be listening there by now.
#[cfg(unix)]
#[test]
fn a_remembered_password_is_not_sent_to_another_server() {
    const ASKS: &str = "! password-required: send the password as the next line\n";
    let own = crate::os::system::user::id().unwrap();
    for is_typed in [false, true] {
        let mut scene = Scene::set();
        let returns_to = |scene: &mut Scene, owner| {
            scene.happens(Event::Ended(Ok(())));
            (scene.sent, scene._events) = connect(&mut scene.app);
            scene.app.state.connection().unwrap().remote_end =
                Some(crate::client::recipient::RemoteEnd::Unix(Some(owner)));
            scene.hears(ASKS);
        };
        let sends_it = |scene: &mut Scene| {
            assert_eq!(scene.sent.try_recv().unwrap().as_str(), "open sesame");
            scene.happens(Event::Sent);
        };
        returns_to(&mut scene, own);
        if is_typed {
            scene.types(Typed::Secret(secret("open sesame")));
        } else {
            scene.app.remembered = Remembered::new(Some(secret("open sesame")), Name::parse("Bob").unwrap());
            returns_to(&mut scene, own);
        }
        sends_it(&mut scene);
        scene.hears("* Welcome, Bob.\n");
        returns_to(&mut scene, own + 1);
        assert!(scene.sent.is_empty() && scene.app.password_prompt.is_open(), "the person is asked");
        // That says nothing about the remembered password, so it is kept.
        scene.hears("! wrong-password: no\n");
        returns_to(&mut scene, own);
        sends_it(&mut scene);
        scene.hears("* Welcome, Bob.\n");
        assert!(!scene.app.password_prompt.is_open());
        // A typed password is for the server that is asking now.
        returns_to(&mut scene, own + 1);
        scene.types(Typed::Secret(secret("open sesame")));
        sends_it(&mut scene);
        scene.hears("* Welcome, Bob.\n");
        returns_to(&mut scene, own + 1);
        sends_it(&mut scene);
        let warning = "-- Your password was not sent again, because this may be a different server";
        let warning = format!("{warning} (the same socket, user {}).", own + 1);
        assert_eq!(scene.shown().iter().filter(|line| **line == warning).count(), 2);
    }
}

/// The server may still be checking the first password, and closes the connection after a few attempts.
#[test]
fn a_second_password_is_not_sent_before_the_server_asks_again() {
    const ASKS: &str = "! password-required: send the password as the next line\n";
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.happens(Event::Ended(Ok(())));
    (scene.sent, scene._events) = connect(&mut scene.app);
    scene.hears(ASKS);
    for answer in [&format!("! wrong-password: no\n{ASKS}"), "* Welcome, Bob.\n"] {
        scene.types(Typed::Secret(secret("open sesame")));
        assert_eq!(scene.sent.try_recv().unwrap().as_str(), "open sesame");
        scene.happens(Event::Sent);
        scene.types(Typed::Secret(secret("too early")));
        assert!(scene.sent.is_empty() && scene.app.password_prompt.is_open());
        scene.hears(answer);
    }
    assert!(!scene.app.password_prompt.is_open());
}

/// An attacker in the middle can send such a line too.
#[test]
fn no_password_is_sent_where_others_could_read_it() {
    let mut scene = Scene::set();
    scene.types(request(AccountCommand::Register));
    assert_eq!(scene.next(), None);
    scene.hears("* Send the new password as the next line.\n");
    assert_eq!(scene.next(), None);
    assert_eq!(
        scene.shown(),
        [
            "-- Not sent: others could read your password. Use --tls, or --allow-plain-password.".to_owned(),
            "* Send the new password as the next line.".to_owned(),
            format!("-- {UNASKED}"),
        ]
    );
}

#[test]
fn a_server_that_asks_for_an_unneeded_password_gets_nothing() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.types(request(AccountCommand::Register));
    assert_eq!(scene.next().as_deref(), Some("/register"));
    scene.hears("* Send the password of your name as the next line.\n");
    assert_eq!(scene.next(), None);
    // A question after the end gets nothing either. The next command does not get a password of the first.
    scene.types(request(AccountCommand::Register));
    let pong = scene.next_ping();
    scene.hears(&pong);
    assert_eq!(scene.next().as_deref(), Some("/register"));
    scene.hears("* Send the new password as the next line.\n! busy: no\n* Send the new password again.\n");
    assert_eq!(scene.next(), None);
    assert_eq!(scene.shown().iter().filter(|line| **line == format!("-- {UNASKED}")).count(), 2);
}

#[test]
fn a_refusal_ends_the_account_command_and_the_next_line_is_sent() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.types(request(AccountCommand::Register));
    scene.app.keep(vec!["hello".to_owned()]);
    // The answer can arrive before the app knows that the command was sent.
    block_on(scene.app.send_next());
    scene.hears("! no-registry: no\n* Done.\n");
    assert_eq!(scene.sent.try_recv().unwrap().as_str(), "/register");
    scene.happens(Event::Sent);
    assert_eq!(scene.next().as_deref(), Some("hello"));
}

#[test]
fn an_account_command_is_not_kept_for_another_connection() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.types(request(AccountCommand::Register));
    scene.app.keep(vec!["hello".to_owned()]);
    scene.happens(Event::Ended(Ok(())));
    scene.types(request(AccountCommand::ChangePassword));
    scene.app.keep(vec!["later".to_owned()]);
    (scene.sent, scene._events) = connect(&mut scene.app);
    scene.hears("* Welcome, Bob.\n* Nothing was said after 7.\n");
    assert_eq!([scene.next(), scene.next(), scene.next()], [Some("hello".to_owned()), Some("later".to_owned()), None]);
    assert_eq!(
        scene.shown()[..3],
        [
            "-- The account command was not completed. Try again after reconnecting.",
            "-- The connection was lost. Trying to reconnect; what you type will be sent later.",
            "-- Not sent: wait until you are connected again.",
        ]
    );
}

#[test]
fn a_password_question_ends_with_the_connection() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.comes_back();
    assert!(scene.app.password_prompt.open("/register").is_some());
    scene.happens(Event::Ended(Ok(())));
    assert!(!scene.app.password_prompt.is_open() && scene.app.password_prompt.open("/register").is_none());
    let told = "-- The account command was not completed. Try again after reconnecting.".to_owned();
    assert!(scene.shown().contains(&told));
}

#[test]
fn a_shutdown_is_not_reported_as_a_lost_connection() {
    let mut scene = Scene::set();
    scene.hears("* The server is shutting down\n* Bye, Bob: 0 lines accepted, 0 refused.\n");
    scene.comes_back();
    assert_eq!(
        scene.shown()[2..],
        [
            "-- The server has shut down. Trying to reconnect; what you type will be sent later.",
            "-- Reconnected.",
            "* Welcome, Bob.",
        ]
    );
}

#[test]
fn lines_beyond_the_limit_are_refused_with_a_notice() {
    let mut scene = Scene::set();
    let app = &mut scene.app;
    let lines = |from: usize, to: usize| (from..to).map(|line| line.to_string()).collect::<Vec<_>>();
    app.keep(lines(0, CLIENT_UNSENT_LINES - 1));
    app.keep(lines(CLIENT_UNSENT_LINES - 1, CLIENT_UNSENT_LINES + 500));
    app.keep(vec!["one more".to_owned()]);
    assert_eq!(app.outbox.len(), CLIENT_UNSENT_LINES);
    let why = "-- Not sent, because 10000 lines are already waiting: ";
    assert_eq!(scene.shown(), [format!("{why}500 lines from this one on: 10000"), format!("{why}one more")]);
}

#[test]
fn the_pause_between_attempts_doubles_up_to_its_limit_and_half_is_random() {
    let mut app = Scene::set().app;
    assert!(block_on(app.happen(Event::Ended(Ok(())))).is_continue());
    let mut expected = RECONNECT_PAUSE.0;
    for _ in 0..10 {
        let State::Away { next_try } = app.state else { panic!("it is connected") };
        let pause = next_try.duration_since(Instant::now());
        assert!(pause <= expected && pause > expected / 2 - Duration::from_millis(200), "{pause:?}, {expected:?}");
        app.try_later();
        expected = (2 * expected).min(RECONNECT_PAUSE.1);
    }
    assert_eq!(expected, RECONNECT_PAUSE.1);
}

#[test]
fn endless_output_before_the_welcome_uses_bounded_memory() {
    let mut lines = Vec::new();
    for number in 0..10_000 {
        add_greeting(&mut lines, format!("* line {number} {}\n", "x".repeat(4000)).as_bytes());
        assert!(lines.len() <= CLIENT_GREETING_BYTES);
    }
    add_greeting(&mut lines, b"! server-full: no\n");
    assert!(lines.starts_with(b"* line ") && lines.ends_with(b"\n! server-full: no\n"));
}

#[test]
fn a_late_second_interrupt_counts_as_the_first() {
    let mut app = Scene::set().app;
    let leaves = |app: &mut App| {
        assert!(block_on(app.interrupt()).is_continue());
        matches!(app.state, State::Leaving { .. })
    };
    assert!(!leaves(&mut app));
    app.interrupted = Some(Instant::now().checked_sub(SECOND_INTERRUPT).unwrap());
    assert!(!leaves(&mut app));
    assert!(leaves(&mut app));
}

// ---- Rooms ----

const NOON: &str = "2026-11-26T12:03:11Z";

#[test]
fn the_next_line_waits_until_the_person_is_in_the_other_room() {
    let mut scene = Scene::set();
    scene.says("one");
    scene.app.keep(["/join dev", "two"].map(str::to_owned).to_vec());
    let pong = scene.next_ping();
    assert_eq!(scene.next(), None, "nobody knows yet where it was said");
    scene.hears(&format!("[7 {NOON}] Bob: one\n{pong}"));
    scene.sends_alone("/join dev", "* You are now in dev. 1 other here: Al.");
    assert_eq!(scene.next().as_deref(), Some("two"));
    scene.hears(&format!("[dev 1 {NOON}] Bob: two\n[dev 2 {NOON}] Al: hi\n"));
    assert!(scene.online().delivery.missing().is_none());
    assert_eq!(scene.app.rooms.login(&scene.app.config.wanted), " #dev ids=on since=2");
    assert_eq!(scene.shown(), ["Bob: one", "* You are now in dev. 1 other here: Al.", "Bob: two", "Al: hi"]);
}

#[test]
fn what_was_meant_for_a_room_is_not_said_elsewhere() {
    let mut scene = Scene::set();
    scene.app.keep(["/join dev", "secret", "/who"].map(str::to_owned).to_vec());
    scene.sends_alone("/join dev", "! no-such-room: there is no room called dev; /rooms lists them");
    assert_eq!(scene.next(), None);
    scene.says("hello");
    assert_eq!(
        scene.shown(),
        [
            "! no-such-room: there is no room called dev; /rooms lists them",
            "-- Not sent, because you are in lobby: 2 lines from this one on: secret",
            "Bob: hello"
        ]
    );
}

#[test]
fn what_was_meant_for_a_closed_room_is_not_said_in_the_lobby() {
    let mut scene = Scene::in_rooms(Some("dev"), &[]);
    scene.app.keep(vec!["secret".to_owned()]);
    scene.hears("* dev was closed by Olga: done\n");
    assert_eq!(scene.next(), None);
    assert_eq!(scene.shown(), ["* dev was closed by Olga: done", "-- Not sent, because you are in lobby: secret"]);
}

#[test]
fn after_a_loss_the_person_is_in_the_same_room_and_a_join_without_answer_is_sent_again() {
    let mut scene = Scene::in_rooms(Some("dev"), &[]);
    scene.hears(&format!("[dev 7 {NOON}] Al: hi\n"));
    scene.app.keep(["/join ops", "for ops"].map(str::to_owned).to_vec());
    assert_eq!(scene.next().as_deref(), Some("/join ops"));
    scene.app.keep(vec!["also for ops".to_owned()]);
    assert_eq!(scene.app.rooms.login(&scene.app.config.wanted), " #dev ids=on since=7");
    scene.comes_back_to("dev");
    assert_eq!(scene.next(), None, "it does not know yet what was missed");
    scene.hears("* Nothing was said after 7.\n");
    scene.sends_alone("/join ops", "* You are now in ops. You are the first here.");
    assert_eq!([scene.next(), scene.next()].map(Option::unwrap), ["for ops", "also for ops"]);
    assert!(!scene.shown().iter().any(|line| line.contains("may not have arrived")));
}

#[test]
fn a_join_that_is_typed_without_a_connection_keeps_its_place() {
    let mut scene = Scene::set();
    scene.happens(Event::Ended(Ok(())));
    scene.app.keep(["one", "/join dev", "two", "/leave", "three"].map(str::to_owned).to_vec());
    (scene.sent, scene._events) = connect(&mut scene.app);
    scene.hears("* Welcome, Bob.\n* Nothing was said after 7.\n");
    assert_eq!(scene.next().as_deref(), Some("one"));
    let pong = scene.next_ping();
    scene.hears(&format!("[8 {NOON}] Bob: one\n{pong}"));
    scene.sends_alone("/join dev", "* You are now in dev. You are the first here.");
    assert_eq!(scene.next().as_deref(), Some("two"));
    let pong = scene.next_ping();
    scene.hears(&format!("[dev 1 {NOON}] Bob: two\n{pong}"));
    scene.sends_alone("/leave", "* You are now in lobby. You are the first here.");
    assert_eq!(scene.next().as_deref(), Some("three"));
}

#[test]
fn a_join_whose_answer_was_lost_is_sent_again() {
    let mut scene = Scene::set();
    scene.app.keep(["/join dev", "two"].map(str::to_owned).to_vec());
    scene.sends_alone("/join dev", "* You missed 7 lines.");
    scene.sends_alone("/join dev", "* You are already in dev.");
    assert_eq!(scene.next().as_deref(), Some("two"));
    assert_eq!(scene.app.rooms.current(), &room("dev"));
}

#[test]
fn rooms_are_heard_after_the_welcome_and_again_after_a_loss() {
    let mut scene = Scene::in_rooms(Some("dev"), &["ops", "log"]);
    scene.app.keep(vec!["hello".to_owned()]);
    scene.sends_alone("/hear log", "* You also hear log now.");
    scene.sends_alone("/hear ops", "! no-such-room: there is no room called ops; /rooms lists them");
    assert_eq!(scene.next().as_deref(), Some("hello"));
    scene.hears(&format!("[dev 3 {NOON}] Bob: hello\n[log 8 {NOON}] Al: hi\n"));
    scene.comes_back_to("dev");
    assert_eq!(scene.next(), None);
    scene.hears("* Nothing was said after 3.\n");
    let missed = format!("* You also hear log now.\n[log 9 {NOON}] Al: there\n* That was 9 to 9 in log, 1 line.");
    scene.sends_alone("/hear log since=8", &missed);
    assert_eq!(scene.next(), None);
    assert_eq!(scene.app.rooms.hear_command(&room("log")), "/hear log since=9");
    assert_eq!(
        scene.shown(),
        [
            "* You also hear log now.",
            "! no-such-room: there is no room called ops; /rooms lists them",
            "Bob: hello",
            "#log Al: hi",
            "-- The connection was lost. Trying to reconnect; what you type will be sent later.",
            "-- Reconnected.",
            "* Welcome to dev, Bob. You are the first here. /help lists the commands.",
            "#log Al: there",
            "* That was 9 to 9 in log, 1 line.",
        ]
    );
}

#[test]
fn messages_of_two_rooms_are_found_in_their_histories_or_sent_again() {
    let mut scene = Scene::in_rooms(Some("dev"), &["ops"]);
    scene.sends_alone("/hear ops", "* You also hear ops now.");
    for line in ["one", "/say ops two", "/say ops three", "three", "/say ops four", "/say dev five"] {
        scene.says(line);
    }
    scene.hears(&format!("[dev 3 {NOON}] Bob: one\n"));
    scene.comes_back_to("dev");
    // The same text in another room, or of another person, is another message.
    scene.hears("* That was 1 to 9 in ops, 9 lines.\n* 7 of these lines are no longer kept in ops.\n");
    assert_eq!(scene.next(), None, "this is not the end");
    scene.hears(&format!("[dev 4 {NOON}] Bob: three\n* That was 4 to 4, 1 line.\n"));
    scene.app.keep(vec!["six".to_owned()]);
    let missed = format!(
        "* You also hear ops now.\n[ops 8 {NOON}] Al: four\n[ops 9 {NOON}] Bob: two\n* That was 8 to 9 in ops, 2 lines."
    );
    scene.sends_alone("/hear ops since=1s", &missed);
    assert_eq!(
        [scene.next(), scene.next(), scene.next(), scene.next()].map(Option::unwrap),
        ["/say ops three", "/say ops four", "/say dev five", "six"]
    );
    scene.hears(&format!("[ops 10 {NOON}] Bob: four\n[dev 6 {NOON}] Bob: five\n[dev 7 {NOON}] Bob: six\n"));
    let shown = scene.shown();
    let messages: Vec<_> = shown.iter().filter(|line| line.contains(": ") && !line.starts_with(['-', '*'])).collect();
    assert_eq!(
        messages,
        ["Bob: one", "Bob: three", "#ops Al: four", "#ops Bob: two", "Bob: six", "#ops Bob: four", "Bob: five"]
    );
}

#[test]
fn what_the_history_of_a_room_cannot_tell_is_reported_and_not_sent_again() {
    for answer in [
        "* You also hear ops now.\n* 7 of these lines are no longer kept in ops.\n* That was 8 to 9 in ops, 2 lines.",
        "* You also hear ops now.\n* You missed 7 lines in ops.",
        "* You also hear ops now.\n* You no longer hear ops.",
        "* You also hear ops now.\n! history-failed: the server cannot read its history; try again later",
        "* You missed 7 lines.",
        "! no-such-room: there is no room called ops; /rooms lists them",
    ] {
        let mut scene = Scene::in_rooms(None, &["ops"]);
        scene.sends_alone("/hear ops", "* You also hear ops now.");
        scene.says("/say ops one");
        scene.says("two");
        scene.comes_back();
        scene.sends_alone("/hear ops since=1s", answer);
        assert_eq!(scene.next().as_deref(), Some("two"), "{answer}");
        let is_heard = !answer.contains("no longer hear") && !answer.contains("no-such-room");
        assert_eq!(scene.app.rooms.heard().count(), usize::from(is_heard), "{answer}");
        let told = "-- A line that you sent may not have arrived: /say ops one".to_owned();
        assert!(scene.shown().contains(&told), "{answer}");
    }
}

#[test]
fn a_room_that_is_closed_meanwhile_does_not_hold_anything_up() {
    // The room where the person is.
    let mut scene = Scene::in_rooms(Some("dev"), &[]);
    scene.says("one");
    scene.comes_back_to("dev");
    scene.app.keep(vec!["secret".to_owned()]);
    scene.hears("* dev was closed by Olga\n");
    scene.says("two");
    let shown = scene.shown();
    for told in ["-- A line that you sent may not have arrived: one", "-- Not sent, because you are in lobby: secret"] {
        assert!(shown.iter().any(|line| line == told), "{shown:#?}");
    }
    // One that they hear, and one where they get.
    for closed in ["* You no longer hear ops.", "* dev was closed"] {
        let mut scene = Scene::in_rooms(Some("dev"), &["lobby", "ops"]);
        scene.sends_alone("/hear lobby", "* You also hear lobby now.");
        scene.sends_alone("/hear ops", "* You also hear ops now.");
        scene.comes_back_to("dev");
        scene.hears("* Nothing was said after 7.\n");
        scene.sends_alone("/hear lobby since=1s", &format!("* You also hear lobby now.\n{closed}"));
        let is_lobby = scene.app.rooms.current().is_lobby();
        if is_lobby {
            scene.sends_alone("/hear ops since=1s", "* You also hear ops now.\n* Nothing was said after 7 in ops.");
        } else {
            scene.hears("* Nothing was said after 7 in lobby.\n");
        }
        scene.says("hello");
        assert_eq!(scene.app.rooms.heard().next(), Some(&room(if is_lobby { "ops" } else { "lobby" })));
    }
}

/// What belongs to another room may come before or after the answer to the command.
#[test]
fn the_end_of_what_was_missed_in_a_room_may_come_after_the_pong() {
    let mut scene = Scene::in_rooms(None, &["ops"]);
    assert_eq!(scene.next().as_deref(), Some("/hear ops"));
    let pong = scene.next_ping();
    scene.hears(&format!("[ops 7 {NOON}] Al: hi\n{pong}* You also hear ops now.\n"));
    scene.says("/say ops one");
    scene.says("two");
    scene.comes_back();
    scene.sends_alone("/hear ops since=7", "* Al has joined");
    assert_eq!(scene.next(), None, "it may have been accepted");
    scene.hears(&format!("* You also hear ops now.\n[ops 8 {NOON}] Bob: one\n"));
    assert_eq!(scene.next(), None, "the end is to come");
    scene.hears("* That was 8 to 8 in ops, 1 line.\n");
    assert_eq!([scene.next(), scene.next()], [Some("two".to_owned()), None]);
}

#[test]
fn a_room_that_is_heard_by_command_is_heard_again_after_a_loss() {
    let mut scene = Scene::set();
    for (line, answer) in [
        ("/hear ops", "* You also hear ops now."),
        ("/hear dev", "! no-such-room: no"),
        ("/hear lobby", "* You are already in lobby."),
        ("/hear log", "* You also hear log now."),
        ("/deaf log", "* You no longer hear log."),
    ] {
        scene.app.keep(vec![line.to_owned()]);
        scene.sends_alone(line, answer);
    }
    scene.comes_back();
    scene.sends_alone("/hear ops since=1s", "* You also hear ops now.\n* Nothing was said after 7 in ops.");
    assert_eq!(scene.next(), None);
}

#[test]
fn a_message_in_a_room_that_is_no_longer_heard_may_be_lost() {
    let mut scene = Scene::in_rooms(None, &["ops"]);
    scene.sends_alone("/hear ops", "* You also hear ops now.");
    scene.says("/say ops one");
    scene.hears("* You no longer hear ops.\n");
    scene.says("two");
    scene.comes_back();
    assert_eq!([scene.next(), scene.next()], [Some("two".to_owned()), None]);
    assert!(scene.shown().contains(&"-- A line that you sent may not have arrived: /say ops one".to_owned()));
}

#[test]
fn a_loss_while_a_room_is_asked_for_begins_again() {
    let mut scene = Scene::in_rooms(None, &["ops"]);
    assert_eq!(scene.next().as_deref(), Some("/hear ops"));
    scene.comes_back();
    scene.sends_alone("/hear ops", "* You also hear ops now.");
    assert_eq!(scene.next(), None, "it is not asked for twice");
}

#[test]
fn a_room_is_heard_again_without_its_position_if_the_server_does_not_know_it() {
    for code in ["bad-since", "no-history"] {
        let mut scene = Scene::in_rooms(None, &["ops"]);
        scene.sends_alone("/hear ops", &format!("* You also hear ops now.\n[ops 8 {NOON}] Al: hi"));
        scene.comes_back();
        scene.sends_alone("/hear ops since=8", &format!("! {code}: no"));
        scene.sends_alone("/hear ops", &format!("! {code}: no"));
        assert_eq!((scene.next(), scene.app.rooms.heard().count()), (None, 0), "it does not try forever");
    }
}

#[test]
fn a_room_that_is_gone_after_a_loss_leaves_the_person_in_the_lobby() {
    // The second one is for a muted person, who may not open it again.
    for refusal in ["no-such-room: there is no room called dev; /rooms lists them", "muted: you are muted forever"] {
        let mut scene = Scene::in_rooms(Some("dev"), &[]);
        scene.says("one");
        scene.app.keep(vec!["secret".to_owned()]);
        scene.happens(Event::Ended(Ok(())));
        (scene.sent, scene._events) = connect(&mut scene.app);
        scene.hears(&format!("! {refusal}\n"));
        assert!(matches!(scene.app.state, State::Connecting(_)) && scene.app.rooms.current().is_lobby());
        assert_eq!(
            scene.shown()[1..],
            [
                "-- The connection was lost. Trying to reconnect; what you type will be sent later.",
                &format!("-- You are no longer in dev (! {refusal})."),
                "-- A line that you sent may not have arrived: one",
                "-- Not sent, because you are in lobby: secret",
            ]
        );
    }
}

#[test]
fn what_is_said_in_a_room_is_shown_once_it_is_accepted() {
    let mut scene = Scene::in_rooms(Some("dev"), &[]);
    for (line, answer) in [
        ("/say ops hi", "[ops 7 2026-11-26T12:03:11Z] Bob: hi"),
        ("/say log hi", "! not-hearing: you do not hear log; /hear log first"),
        ("/say dev /me waves", "[dev 7 2026-11-26T12:03:11Z] Bob: /me waves"),
    ] {
        scene.says(line);
        scene.hears(&format!("{answer}\n"));
    }
    assert_eq!(scene.shown(), ["#ops Bob: hi", "! not-hearing: you do not hear log; /hear log first", "~ Bob waves"]);
}

/// What was typed there is still on the screen.
#[test]
fn what_is_said_in_a_room_is_not_shown_again_at_a_plain_terminal() {
    let mut scene = Scene::set();
    let (screen, showing) = Screen::new(true, || date(2026, 11, 26));
    (scene.app.screen, scene.screen, scene.showing) = (screen.clone(), screen, showing);
    scene.says("/say ops hi");
    scene.hears(&format!("[ops 7 {NOON}] Bob: hi\n[ops 8 {NOON}] Al: hi\n"));
    assert_eq!(scene.shown(), ["#ops Al: hi"]);
}

/// The client waits for the end of what was missed in all rooms.
#[test]
fn a_person_who_leaves_meanwhile_still_sends_what_was_not_accepted() {
    let mut scene = Scene::in_rooms(None, &["ops"]);
    scene.sends_alone("/hear ops", "* You also hear ops now.");
    scene.says("one");
    scene.loses_connection();
    assert!(block_on(scene.app.leave(false)).is_continue());
    assert_eq!(scene.next(), None);
    scene.hears("* Nothing was said after 7.\n");
    scene.sends_alone("/hear ops since=1s", "* You also hear ops now.\n* Nothing was said after 8 in ops.");
    assert_eq!(scene.next().as_deref(), Some("one"));
    assert_eq!(scene.next(), None);
    assert!(scene.sent.is_closed(), "that was all");
}

#[test]
fn people_of_the_old_room_are_not_completed_in_the_new_one() {
    let mut scene = Scene::set();
    scene.hears("* Alice has joined\n* You are now in dev. 1 other here: Carol.\n* Dora has joined\n");
    assert_eq!(scene.app.completion.that_begin_with(""), ["Carol", "Dora"]);
    scene.hears("* dev was closed\n* You are now in lobby. 1 other here: Alice.\n");
    assert_eq!(scene.app.completion.that_begin_with(""), ["Alice"]);
}
