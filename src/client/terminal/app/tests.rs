use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use async_channel::{Sender, bounded};
use async_std::task::block_on;
use jiff::civil::Date;
use rustyline::ExternalPrinter;
use zeroize::Zeroizing;

use super::*;
use crate::client::Endpoint;
use crate::client::recipient::RemoteEnd;
use crate::client::terminal::screen::Showing;
use crate::limits::RECONNECT_PAUSE;
use crate::protocol::AccountCommand;

struct PlainPrinter(mpsc::Sender<String>);

impl ExternalPrinter for PlainPrinter {
    fn print(&mut self, text: String) -> rustyline::Result<()> {
        self.0.send(text).map_err(|error| io::Error::other(error).into())
    }
}

/// A talk on a connection, what it sends there, and what it shows.
struct Scene {
    app: App,
    sent: Receiver<Zeroizing<String>>,
    screen: Screen,
    showing: Showing,
    // They are open as long as this.
    _typed: Sender<Typed>,
    _events: Sender<Event>,
}

/// Puts the talk on a new connection. What it sends there, and where its events come from.
fn connect(app: &mut App) -> (Receiver<Zeroizing<String>>, Sender<Event>) {
    let ((lines, sent), (events, happening)) = (bounded(1), bounded(1));
    app.enter(State::LoggingIn(Login::new(Connection::new(happening, lines))));
    (sent, events)
}

fn secret(text: &str) -> Secret {
    Secret::parse(text).unwrap()
}

/// A command, and the password for it.
fn request(command: AccountCommand) -> Typed {
    let mut request = AccountRequest::new(command);
    while request.fill(secret("open sesame")).is_some() {}
    Typed::Account(request)
}

impl Scene {
    fn set() -> Self {
        let name = Name::parse("Bob").unwrap();
        let theme = Theme::new(name.clone(), false, false);
        let (screen, showing) = Screen::new(false, Date::default);
        let config = Config {
            name,
            endpoint: Endpoint::Unix(PathBuf::new()),
            password: None,
            allow_plain_password: false,
            if_taken: None,
        };
        let (typing, typed) = bounded(1);
        let typed = (typed, Completion::default(), Paste::default(), PasswordPrompt::default());
        let mut app = App::new(config, true, (screen.clone(), theme), typed);
        app.greeting = None;
        let (sent, events) = connect(&mut app);
        app.joined();
        Self { app, sent, screen, showing, _typed: typing, _events: events }
    }

    /// The next line that is sent, if there is one, and the link says that it was.
    fn next(&mut self) -> Option<String> {
        block_on(self.app.send_next());
        let line = self.sent.try_recv().ok()?.to_string();
        self.happens(Event::Sent);
        Some(line)
    }

    /// The next one, which is a ping. What answers it.
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

    fn room(&mut self) -> &mut Room {
        self.app.state.room().unwrap()
    }

    #[track_caller]
    fn happens(&mut self, event: Event) {
        assert!(block_on(self.app.happen(event)).is_continue());
    }

    /// The connection is lost, and there is another one.
    #[track_caller]
    fn comes_back(&mut self) {
        self.happens(Event::Ended(Ok(())));
        (self.sent, self._events) = connect(&mut self.app);
        self.hears("* Welcome, Bob.\n");
    }

    /// What is on the screen, without the times.
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

/// The server may have it, or not.
#[test]
fn a_line_that_was_handed_over_before_a_loss_is_not_sent_again_and_is_told() {
    for is_written in [false, true] {
        let mut scene = Scene::set();
        scene.app.keep(vec!["one".to_owned(), "two".to_owned(), "three".to_owned()]);
        assert_eq!(scene.next().as_deref(), Some("one"));
        block_on(scene.app.send_next());
        // The task that sends it has not taken it, or has not said that it was sent.
        assert!(!is_written || scene.sent.try_recv().is_ok());
        scene.comes_back();
        assert_eq!(scene.next().as_deref(), Some("three"));
        assert_eq!(scene.next(), None);
        assert_eq!(
            scene.shown(),
            [
                "Bob: one",
                "Bob: two",
                "-- The connection is lost. What you type is kept; trying to connect again.",
                "-- Up to 2 of the lines you sent may not have arrived; the first: one",
                "-- Back again.",
                "* Welcome, Bob.",
                "Bob: three",
            ]
        );
    }
}

/// Nobody takes it out there any more.
#[test]
fn a_line_for_a_connection_that_is_gone_is_not_sent_again_either() {
    let mut scene = Scene::set();
    scene.sent = bounded(1).1;
    scene.app.keep(vec!["one".to_owned()]);
    assert_eq!(scene.next(), None);
    scene.comes_back();
    assert_eq!(scene.next(), None);
    assert!(scene.shown().contains(&"-- A line that you sent may not have arrived: one".to_owned()));
}

#[test]
fn who_does_not_wait_for_the_goodbye_is_told_that_a_line_may_have_arrived() {
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
fn a_command_about_the_account_in_a_paste_is_not_sent_nor_is_what_follows_it() {
    for (allow_plain_password, why) in [
        (true, "type a command about your account by itself."),
        (false, "others could read a password on its way. Use --tls, or --allow-plain-password."),
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
fn a_private_message_is_shown_when_it_was_accepted() {
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
fn the_refusal_of_an_earlier_line_is_not_that_of_a_private_message() {
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
fn a_private_message_is_told_with_its_text_when_its_refusal_does_not_name_anybody_or_may_be_missed() {
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
            "-- You may have missed the answer to this, so it is not certain that it was accepted: /msg Alice hello",
        ]
    );
}

#[test]
fn a_private_message_before_a_loss_is_told_with_its_text_and_not_sent_again() {
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
            "-- The connection is lost. What you type is kept; trying to connect again.",
            "-- A line that you sent may not have arrived: /msg Alice hi",
            "-- Back again.",
            "* Welcome, Bob.",
            "Bob: later",
        ]
    );
}

#[test]
fn a_private_message_just_before_one_leaves_is_shown_before_the_farewell() {
    let mut scene = Scene::set();
    scene.app.keep(vec!["/msg Alice hi".to_owned()]);
    assert!(block_on(scene.app.leave(false)).is_continue());
    assert_eq!(scene.next().as_deref(), Some("/msg Alice hi"));
    assert_eq!(scene.next(), None);
    assert!(scene.sent.is_closed(), "that was all");
    scene.hears("* Bye, Bob: 1 line accepted, 0 refused.\n");
    assert_eq!(scene.shown(), ["Bob (to Alice): hi", "* Bye, Bob: 1 line accepted, 0 refused."]);
}

/// It would be taken for the password.
#[test]
fn nothing_else_is_sent_while_the_server_waits_for_a_password() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.types(request(AccountCommand::Register));
    scene.app.keep(vec!["hello".to_owned()]);
    assert_eq!(scene.next().as_deref(), Some("/register"));
    // Now there is a ping to send, too.
    let long_ago = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
    scene.room().delivery = Delivery::default();
    scene.room().delivery.sent("earlier", long_ago);
    assert_eq!(scene.next(), None, "the server has not asked yet");
    assert!(scene.app.next().now_or_never().is_none(), "it does nothing all the time");
    for question in ["* Send the new password as the next line.\n", "* Send the new password again.\n"] {
        scene.hears(question);
        assert_eq!(scene.next().as_deref(), Some("open sesame"));
        assert_eq!(scene.next(), None);
    }
    scene.hears("* Registered: Bob is yours.\n");
    assert!(scene.app.remembered.password.as_ref().unwrap().is(&secret("open sesame")));
    scene.next_ping();
    assert_eq!(scene.next().as_deref(), Some("hello"));
    let shown = ["* Registered: Bob is yours.", "Bob: hello"];
    assert_eq!(scene.shown(), shown, "questions that the client answers by itself are not shown");
}

#[test]
fn before_a_command_that_leads_to_a_password_all_that_was_sent_has_its_answer() {
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
    assert!(scene.room().account.is_none(), "this one is its own");
}

/// One of the lines could be the pong.
#[test]
fn when_answers_were_missed_a_command_that_leads_to_a_password_waits_for_another_pong() {
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
    // The question can be lost as well.
    scene.hears("* You missed 9 lines.\n");
    assert!(scene.room().account.is_some());
    assert_eq!(
        scene.shown(),
        ["* You missed 7 lines.".to_owned(), "* You missed 9 lines.".to_owned(), format!("-- {MISSED}")]
    );
}

/// A program of another user may listen there by now.
#[test]
fn a_remembered_password_is_not_sent_to_another_server_and_the_person_is_asked() {
    const ASKS: &str = "! password-required: send the password as the next line\n";
    let own = rustix::process::geteuid().as_raw();
    for is_typed in [false, true] {
        let mut scene = Scene::set();
        let returns_to = |scene: &mut Scene, owner| {
            scene.happens(Event::Ended(Ok(())));
            (scene.sent, scene._events) = connect(&mut scene.app);
            scene.app.state.connection().unwrap().remote_end = Some(RemoteEnd::Unix(Some(owner)));
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
            scene.app.remembered.password = Some(secret("open sesame"));
            returns_to(&mut scene, own);
        }
        sends_it(&mut scene);
        scene.hears("* Welcome, Bob.\n");
        returns_to(&mut scene, own + 1);
        assert!(scene.sent.is_empty() && scene.app.password_prompt.is_open(), "the person is asked");
        // It has told nothing of the password, so that is remembered.
        scene.hears("! wrong-password: no\n");
        returns_to(&mut scene, own);
        sends_it(&mut scene);
        scene.hears("* Welcome, Bob.\n");
        assert!(!scene.app.password_prompt.is_open());
        // A password that the person types is for the server that asks now.
        returns_to(&mut scene, own + 1);
        scene.types(Typed::Secret(secret("open sesame")));
        sends_it(&mut scene);
        scene.hears("* Welcome, Bob.\n");
        returns_to(&mut scene, own + 1);
        sends_it(&mut scene);
        let warning = "-- Your password was not sent again, because this may be another server than before";
        let warning = format!("{warning} (the same socket, user {}).", own + 1);
        assert_eq!(scene.shown().iter().filter(|line| **line == warning).count(), 2);
    }
}

/// It may be checking the first one, and closes the connection after a few.
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

/// Whoever is on the way can write such a line as well as the server.
#[test]
fn where_others_could_read_it_no_password_is_sent() {
    let mut scene = Scene::set();
    scene.types(request(AccountCommand::Register));
    assert_eq!(scene.next(), None);
    scene.hears("* Send the new password as the next line.\n");
    assert_eq!(scene.next(), None);
    assert_eq!(
        scene.shown(),
        [
            "-- Not sent: others could read a password on its way. Use --tls, or --allow-plain-password.".to_owned(),
            "* Send the new password as the next line.".to_owned(),
            format!("-- {UNASKED}"),
        ]
    );
}

#[test]
fn a_server_that_asks_for_more_than_the_command_needs_gets_nothing() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.types(request(AccountCommand::Register));
    assert_eq!(scene.next().as_deref(), Some("/register"));
    scene.hears("* Send the password of your name as the next line.\n");
    assert_eq!(scene.next(), None);
    // A question after the end gets nothing either, nor the next command what was meant for the first.
    scene.types(request(AccountCommand::Register));
    let pong = scene.next_ping();
    scene.hears(&pong);
    assert_eq!(scene.next().as_deref(), Some("/register"));
    scene.hears("* Send the new password as the next line.\n! busy: no\n* Send the new password again.\n");
    assert_eq!(scene.next(), None);
    assert_eq!(scene.shown().iter().filter(|line| **line == format!("-- {UNASKED}")).count(), 2);
}

#[test]
fn a_refusal_ends_the_command_and_the_next_line_is_sent() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.types(request(AccountCommand::Register));
    scene.app.keep(vec!["hello".to_owned()]);
    // The answer can be here before the command is known to be sent.
    block_on(scene.app.send_next());
    scene.hears("! no-registry: no\n* Done.\n");
    assert_eq!(scene.sent.try_recv().unwrap().as_str(), "/register");
    scene.happens(Event::Sent);
    assert_eq!(scene.next().as_deref(), Some("hello"));
}

#[test]
fn a_command_for_a_password_is_not_kept_for_another_connection() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.types(request(AccountCommand::Register));
    scene.app.keep(vec!["hello".to_owned()]);
    scene.happens(Event::Ended(Ok(())));
    scene.types(request(AccountCommand::ChangePassword));
    scene.app.keep(vec!["later".to_owned()]);
    (scene.sent, scene._events) = connect(&mut scene.app);
    scene.hears("* Welcome, Bob.\n");
    assert_eq!([scene.next(), scene.next(), scene.next()], [Some("hello".to_owned()), Some("later".to_owned()), None]);
    assert_eq!(
        scene.shown()[..3],
        [
            "-- That was about a password, and is not done. Begin again when you are back.",
            "-- The connection is lost. What you type is kept; trying to connect again.",
            "-- Not connected; that has to wait until you are back.",
        ]
    );
}

#[test]
fn a_command_that_is_being_typed_ends_with_the_connection() {
    let mut scene = Scene::set();
    scene.app.config.allow_plain_password = true;
    scene.comes_back();
    assert!(scene.app.password_prompt.open("/register").is_some());
    scene.happens(Event::Ended(Ok(())));
    assert!(!scene.app.password_prompt.is_open() && scene.app.password_prompt.open("/register").is_none());
    let told = "-- That was about a password, and is not done. Begin again when you are back.".to_owned();
    assert!(scene.shown().contains(&told));
}

#[test]
fn an_orderly_shutdown_is_not_called_a_loss() {
    let mut scene = Scene::set();
    scene.hears("* The server is shutting down\n* Bye, Bob: 0 lines accepted, 0 refused.\n");
    scene.comes_back();
    assert_eq!(
        scene.shown()[2..],
        [
            "-- The server has shut down. What you type is kept; trying to connect again.",
            "-- Back again.",
            "* Welcome, Bob.",
        ]
    );
}

#[test]
fn too_many_lines_are_refused_aloud_and_the_others_wait() {
    let mut scene = Scene::set();
    let app = &mut scene.app;
    let lines = |from: usize, to: usize| (from..to).map(|line| line.to_string()).collect::<Vec<_>>();
    app.keep(lines(0, CLIENT_UNSENT_LINES - 1));
    app.keep(lines(CLIENT_UNSENT_LINES - 1, CLIENT_UNSENT_LINES + 500));
    app.keep(vec!["one more".to_owned()]);
    assert_eq!(app.outbox.len(), CLIENT_UNSENT_LINES);
    let why = "-- Not sent, for 10000 lines wait already: ";
    assert_eq!(scene.shown(), [format!("{why}500 lines from this one on: 10000"), format!("{why}one more")]);
}

#[test]
fn the_pause_before_a_connection_doubles_up_to_its_limit_and_half_of_it_is_chance() {
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
fn a_server_that_takes_no_name_and_talks_without_end_costs_no_memory() {
    let mut lines = Vec::new();
    for number in 0..10_000 {
        add_greeting(&mut lines, format!("* line {number} {}\n", "x".repeat(4000)).as_bytes());
        assert!(lines.len() <= CLIENT_GREETING_BYTES);
    }
    add_greeting(&mut lines, b"! server-full: no\n");
    assert!(lines.starts_with(b"* line ") && lines.ends_with(b"\n! server-full: no\n"));
}

#[test]
fn a_second_interrupt_that_comes_late_is_a_first_one() {
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
