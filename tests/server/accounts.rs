//! Registered names, tested with bare sockets on this machine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use async_std::task::block_on;
use linechat::accounts::{Accounts, Hasher};
use linechat::database::Database;
use linechat::limits::WRONG_PASSWORD_PAUSE;
use linechat::model::limit_key::LimitKeys;
use linechat::model::{Name, Secret};
use linechat::room::Policy;
use linechat::server::Config;
use linechat::server::access::auth::Auth;

use crate::support::folder::Folder;
use crate::support::harness::{Peer, Server, Settings, skipped, unpaced, within};
use crate::support::lines::{assert_all_like, assert_like, bye, is_like};
use crate::support::program::ServerProgram;

const REQUIRED: &str = "! password-required";
const WRONG: &str = "! wrong-password";
const BUSY: &str = "! busy";
const UNFINISHED: &str = "! discarded";
const PASSWORD: &str = "correct horse";

/// A folder for this test, with the data of a server.
struct Setup {
    folder: Folder,
    hasher: Hasher,
}

impl Setup {
    fn new(test: &str) -> Self {
        let folder = Folder::absent(&format!("accounts-{test}"));
        Self { folder, hasher: Hasher::default() }
    }

    fn open(&self, registered_only: bool) -> Server {
        self.open_with_accounts(registered_only).0
    }

    /// Adds an account to the accounts file. No server may have it open.
    fn add_account(&self, name: &str) {
        let accounts = Accounts::open(&Database::open(&self.folder).unwrap(), SystemTime::now()).unwrap();
        let hash = block_on(self.hasher.hash(Secret::parse(PASSWORD).unwrap(), &networks("192.0.2.1"))).unwrap();
        block_on(accounts.register(Name::parse(name).unwrap(), hash, SystemTime::now())).unwrap();
    }

    fn open_with_accounts(&self, registered_only: bool) -> (Server, Accounts) {
        let accounts = Accounts::open(&Database::open(&self.folder).unwrap(), SystemTime::now()).unwrap();
        let hasher = self.hasher.clone();
        let policy = Policy { accounts: Some(accounts.clone()), registered_only, ..Policy::default() };
        (Server::start_with(Auth { policy, hasher, ..Auth::default() }), accounts)
    }

    /// A server with the default pause after a wrong password from this machine.
    fn open_with_pause(&self, registered_only: bool) -> Server {
        self.open_with_pause_of(WRONG_PASSWORD_PAUSE, registered_only)
    }

    fn open_with_pause_of(&self, wrong_password_pause: Duration, registered_only: bool) -> Server {
        let accounts = Some(Accounts::open(&Database::open(&self.folder).unwrap(), SystemTime::now()).unwrap());
        let policy = Policy { accounts, registered_only, ..Policy::default() };
        let auth = Auth { policy, hasher: self.hasher.clone(), ..Auth::default() };
        Server::start_with(Settings(Config { wrong_password_pause, ..unpaced() }, auth))
    }
}

/// The refusal after which this many lines were discarded.
fn discarded(lines: usize) -> String {
    format!("! discarded: discarded {lines} line…")
}

/// A peer in the room that has registered this name.
fn register(server: &Server, name: &str) -> Peer {
    let mut peer = server.join(name);
    peer.send("/register\n");
    peer.expect("* Send the new password as…");
    peer.send(&format!("{PASSWORD}\n"));
    peer.expect("* Send the new password again…");
    peer.send(&format!("{PASSWORD}\n"));
    peer.expect(&format!("* Registered: {name} …"));
    peer
}

fn networks(source: &str) -> LimitKeys {
    LimitKeys::of(source.parse().unwrap())
}

fn log_in(server: &Server, name: &str, password: &str) -> (Peer, String) {
    let mut peer = server.connect();
    peer.send(&format!("{name}\n"));
    peer.expect(REQUIRED);
    peer.send(&format!("{password}\n"));
    let answer = peer.line();
    (peer, answer)
}

#[test]
fn a_registered_name_asks_for_its_password_also_after_a_restart() {
    let setup = Setup::new("restart");
    let mut server = setup.open(false);
    let mut alice = register(&server, "Alice");
    alice.send("/quit\n");
    alice.rest();
    server.begin_stop();
    server.wait().unwrap();
    drop(server);
    let server = setup.open(false);
    for name in ["Alice", "ALICE"] {
        let (mut alice, answer) = log_in(&server, name, "incorrect horse");
        assert_like(&answer, WRONG);
        alice.expect(REQUIRED);
        alice.send(&format!("{PASSWORD}\n"));
        assert!(alice.line().starts_with(&format!("* Welcome, {name}. ")));
        alice.send("/quit\n");
        alice.rest();
    }
}

#[test]
fn passwords_for_registering_reach_nobody_and_later_messages_do() {
    let setup = Setup::new("nobody");
    let server = setup.open(false);
    let mut bob = server.join("Bob");
    let mut alice = register(&server, "Alice");
    alice.send("hi\n");
    bob.expect("* Alice has joined");
    bob.expect("Alice: hi");
}

#[test]
fn a_registered_name_belongs_to_its_owner_in_every_spelling() {
    let setup = Setup::new("looks");
    let server = setup.open(false);
    for (owner, twins) in [("alice", ["aIice", "aiice", "A1ICE"]), ("Γιώργος", ["ΓΙΏΡΓΟΣ", "γιώργοσ", "Γιώργοσ"])]
    {
        let mut alice = register(&server, owner);
        alice.send("/quit\n");
        alice.rest();
        let mut mallory = server.join("Mallory");
        for twin in twins {
            let mut stranger = server.connect();
            stranger.send(&format!("{twin}\n"));
            let question = stranger.line();
            assert!(is_like(&question, REQUIRED), "{twin}: {question}");
            mallory.send(&format!("/nick {twin}\n"));
            let refusal = mallory.line();
            assert!(is_like(&refusal, "! name-registered"), "{twin}: {refusal}");
        }
        mallory.send("/quit\n");
        mallory.rest();
    }
    let mut stranger = server.connect();
    stranger.send("aIice\n");
    stranger.expect("! password-required: aIice …alice…");
    stranger.send(&format!("{PASSWORD}\n"));
    assert!(stranger.line().starts_with("* Welcome, aIice. "));
}

#[test]
fn the_owner_of_a_name_may_rename_and_rename_back() {
    let setup = Setup::new("nick");
    let server = setup.open(false);
    let mut alice = register(&server, "Alice");
    alice.send("/nick Al\n/nick A1ice\n/nick Alice\n");
    alice.expect("* Alice is now Al");
    alice.expect("* Al is now A1ice");
    alice.expect("* A1ice is now Alice");
}

#[test]
fn a_login_of_the_owner_replaces_an_old_connection() {
    let setup = Setup::new("ghost");
    let server = setup.open(false);
    let mut bob = server.join("Bob");
    let mut ghost = register(&server, "Alice");
    bob.expect("* Alice has joined");
    let (mut alice, welcome) = log_in(&server, "Alice", PASSWORD);
    assert_like(&welcome, "* Welcome, Alice. 1 other here: Bob. …");
    ghost.expect_rest(&["! replaced", &bye("Alice", 0, 1)]);
    bob.expect("* Alice has left: logged in from another connection");
    bob.expect("* Alice has joined");
    alice.send("me\n");
    bob.expect("Alice: me");
}

#[test]
fn a_peer_that_knows_the_old_password_can_change_it() {
    let setup = Setup::new("change");
    let server = setup.open(false);
    let mut alice = register(&server, "Alice");
    alice.send("/password\nincorrect horse\n");
    alice.expect("* Send the password…");
    alice.expect(WRONG);
    alice.send(&format!("/password\n{PASSWORD}\nbattery staple\nbattery staple\nhi\n"));
    alice.expect("* Send the password…");
    alice.expect("* Send the new password as…");
    alice.expect("* Send the new password again…");
    alice.expect("* Password changed: Alice …");
    assert_like(&log_in(&server, "Alice", PASSWORD).1, WRONG);
    assert!(log_in(&server, "Alice", "battery staple").1.starts_with("* Welcome, "));
    alice.expect_rest(&["! replaced", &bye("Alice", 1, 2)]);
}

/// Somebody may have logged in, or been asked for the password, before the owner or `server admin` changed it.
#[test]
fn an_old_password_is_worthless_once_it_is_changed() {
    let setup = Setup::new("old");
    let (server, accounts) = setup.open_with_accounts(false);
    let mut thief = register(&server, "Alice");
    thief.send(&format!("/password\n{PASSWORD}\n"));
    thief.expect("* Send the password…");
    thief.expect("* Send the new password as…");
    let mut second = server.connect();
    second.send("Alice\n");
    second.expect(REQUIRED);
    let id = accounts.account(&Name::parse("Alice").unwrap()).unwrap().id;
    let hash = block_on(setup.hasher.hash(Secret::parse("battery staple").unwrap(), &networks("192.0.2.1"))).unwrap();
    block_on(accounts.change_password(id, None, hash)).unwrap();
    thief.send("correct donkey\ncorrect donkey\n");
    thief.expect("* Send the new password again…");
    thief.expect(WRONG);
    second.send(&format!("{PASSWORD}\n"));
    second.expect(WRONG);
    assert!(log_in(&server, "Alice", "battery staple").1.starts_with("* Welcome, "));
}

/// A slow machine can only reply later, never earlier.
#[test]
fn a_wrong_password_from_this_machine_is_answered_after_a_pause() {
    assert_eq!(Config::default().wrong_password_pause, WRONG_PASSWORD_PAUSE);
    let setup = Setup::new("pause");
    let pause = Duration::from_secs(1);
    let server = setup.open_with_pause_of(pause, false);
    let mut alice = register(&server, "Alice");
    let begun = Instant::now();
    assert_like(&log_in(&server, "Alice", "incorrect horse").1, WRONG);
    assert!(begun.elapsed() >= pause, "at the login: {:?}", begun.elapsed());
    let begun = Instant::now();
    alice.send("/password\nincorrect horse\n");
    alice.expect("* Send the password…");
    alice.expect(WRONG);
    assert!(begun.elapsed() >= pause, "in the room: {:?}", begun.elapsed());
}

#[test]
fn a_short_line_cancels_a_password_question_without_counting_as_a_guess() {
    let setup = Setup::new("way-out");
    let server = setup.open(false);
    let mut alice = register(&server, "Alice");
    let runs = setup.hasher.runs();
    for _ in 0..5 {
        alice.send("/password\n");
        alice.expect("* Send the password…");
        alice.send("no\n");
        alice.expect("! bad-password: …8…");
    }
    assert_eq!(setup.hasher.runs(), runs);
}

#[test]
fn an_unregistered_name_is_free() {
    let setup = Setup::new("unregister");
    let server = setup.open(false);
    let mut alice = register(&server, "Alice");
    alice.send(&format!("/unregister\n{PASSWORD}\n/unregister\n"));
    alice.expect("* Send the password…");
    alice.expect("* Unregistered: Alice …");
    alice.expect("! not-registered");
    alice.send("/quit\n");
    alice.expect_rest(&[&bye("Alice", 0, 1)]);
    server.join("Alice");
}

#[test]
fn registering_needs_a_valid_password_twice() {
    let setup = Setup::new("good");
    let server = setup.open(false);
    let mut alice = server.join("Alice");
    alice.send("/register\nshort\n");
    alice.expect("* Send the new password as…");
    alice.expect("! bad-password: …8…");
    alice.send("/register\ncorrect horse\ncorrect hearse\n");
    alice.expect("* Send the new password as…");
    alice.expect("* Send the new password again…");
    alice.expect("! passwords-differ");
    alice.send("/password\n");
    alice.expect("! not-registered");
    alice = register_again(alice);
    alice.send("/register\n");
    alice.expect("! already-registered: …Alice…");
}

fn register_again(mut alice: Peer) -> Peer {
    alice.send("/register\ncorrect horse\ncorrect horse\n");
    alice.expect("* Send the new password as…");
    alice.expect("* Send the new password again…");
    alice.expect("* Registered: Alice …");
    alice
}

#[test]
fn without_data_names_cannot_be_registered() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    alice.send("/register\n");
    alice.expect("! no-registry");
    alice.send("/kick Bob\n");
    alice.expect("! not-operator");
}

#[test]
fn with_registered_only_an_unknown_name_is_like_a_wrong_password() {
    let setup = Setup::new("closed");
    let mut server = setup.open(false);
    register(&server, "Alice");
    server.begin_stop();
    server.wait().unwrap();
    drop(server);
    let server = setup.open(true);
    let runs = setup.hasher.runs();
    assert_like(&log_in(&server, "Alice", "incorrect horse").1, WRONG);
    assert_eq!(setup.hasher.runs(), runs + 1);
    assert_like(&log_in(&server, "Mallory", "incorrect horse").1, WRONG);
    assert_eq!(setup.hasher.runs(), runs + 2);
    let (mut alice, welcome) = log_in(&server, "Alice", PASSWORD);
    assert!(welcome.starts_with("* Welcome, Alice. "));
    alice.send("/nick Al\n");
    alice.expect("! registered-only");
}

#[test]
fn lines_after_a_refused_account_command_are_discarded() {
    let setup = Setup::new("behind");
    let server = setup.open(false);
    let mut bob = server.join("Bob");
    let mut alice = server.join("Alice");
    alice.send("/register\nshort\nshort\n");
    alice.expect("* Send the new password as…");
    alice.expect("! bad-password: …8…");
    alice.expect(&discarded(1));
    alice.send("/password\nincorrect horse\nbattery staple\nbattery staple\n");
    alice.expect("! not-registered");
    alice.expect(&discarded(3));
    alice.send("hi\n");
    bob.expect("* Alice has joined");
    bob.expect("Alice: hi");
}

#[test]
fn the_rest_of_an_unfinished_line_after_a_refused_account_command_is_discarded() {
    let setup = Setup::new("rest");
    let server = setup.open(false);
    let mut bob = server.join("Bob");
    let mut alice = register(&server, "Alice");
    bob.expect("* Alice has joined");
    // A refused command, and a refused password.
    alice.send("/register\nhunter2-is-my-pass\nhunter2-is");
    alice.expect("! already-registered: …Alice…");
    alice.expect(&discarded(2));
    alice.send("-my-pass\r\nhi\n");
    bob.expect("Alice: hi");
    alice.send("/password\nincorrect horse\nhunter2-is");
    alice.expect("* Send the password…");
    alice.expect(WRONG);
    alice.expect(&discarded(1));
    for piece in ["-my", "-pass", "\nhello\n"] {
        alice.send(piece);
    }
    bob.expect("Alice: hello");
}

/// More lines than the server takes from one read.
#[test]
fn any_number_of_lines_after_a_refused_account_command_is_discarded() {
    let setup = Setup::new("much");
    let server = setup.open(false);
    let mut bob = server.join("Bob");
    let mut alice = server.join("Alice");
    bob.expect("* Alice has joined");
    alice.send(&format!("/password\n{}hunter2-is", "x\n".repeat(3000)));
    alice.expect("! not-registered");
    alice.expect(&discarded(3001));
    alice.send("-my-pass\nhi\n");
    bob.expect("Alice: hi");
}

#[test]
fn an_unfinished_line_at_the_end_of_input_is_not_a_password_and_reaches_nobody() {
    let setup = Setup::new("unfinished");
    let server = setup.open(false);
    let mut bob = server.join("Bob");
    drop(register(&server, "Alice"));
    bob.expect("* Alice has joined");
    bob.expect("* Alice has left");
    for name in ["Carol", "Dave"] {
        let mut peer = server.join(name);
        bob.expect(&format!("* {name} has joined"));
        if name == "Dave" {
            // Everything is there before the server has asked.
            peer.send(&format!("/register\n{PASSWORD}\n{PASSWORD}"));
        } else {
            peer.send("/register\n");
            peer.expect("* Send the new password as…");
            peer.send(&format!("{PASSWORD}\n"));
            peer.expect("* Send the new password again…");
            peer.send(PASSWORD);
        }
        peer.half_close();
        let rest = peer.rest();
        let bye = bye(name, 0, 1);
        assert_all_like(&rest[rest.len() - 2..], &[UNFINISHED, &bye]);
        bob.expect(&format!("* {name} has left"));
    }
    let mut alice = server.connect();
    alice.send(&format!("Alice\n{PASSWORD}"));
    alice.half_close();
    alice.expect_rest(&[REQUIRED, UNFINISHED]);
    bob.expect_nothing_new();
}

#[test]
fn after_auth_the_next_line_is_always_a_password() {
    let setup = Setup::new("auth");
    let server = setup.open(false);
    let mut bob = server.join("Bob");
    let mut alice = register(&server, "Alice");
    alice.send("/quit\n");
    alice.rest();
    bob.expect("* Alice has joined");
    bob.expect("* Alice has left");
    let runs = setup.hasher.runs();
    // Sent in advance, in one piece and in several.
    let mut carol = server.connect();
    carol.send("Carol auth\nhunter2-is-my-pass\nhi\n");
    carol.expect(REQUIRED);
    carol.expect("* Welcome, Carol. 1 other here: Bob. …");
    bob.expect("* Carol has joined");
    bob.expect("Carol: hi");
    let mut dave = server.connect();
    for piece in ["Dave AUTH\n", "hunter2", "-is-my-pass\nhi\n"] {
        dave.send(piece);
    }
    dave.expect(REQUIRED);
    dave.expect("* Welcome, Dave. 2 others here: Bob, Carol. …");
    bob.expect("* Dave has joined");
    bob.expect("Dave: hi");
    assert_eq!(setup.hasher.runs(), runs, "nothing was compared with it");
    // A registered name is still protected, and its owner can join.
    let mut mallory = server.connect();
    mallory.send("Alice auth\n");
    mallory.expect(REQUIRED);
    mallory.send("incorrect horse\n");
    mallory.expect(WRONG);
    mallory.expect(REQUIRED);
    let mut alice = server.connect();
    alice.send(&format!("Alice auth\n{PASSWORD}\nhi\n"));
    alice.expect(REQUIRED);
    assert!(alice.line().starts_with("* Welcome, Alice. "));
    bob.expect("* Alice has joined");
    bob.expect("Alice: hi");
}

#[test]
fn after_auth_with_a_refused_name_the_password_does_not_become_a_name() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    for (line, refusal) in [("B:b auth", "! bad-name: …':'…"), ("Bob auth =dev", "! bad-option: …\"=dev\"…")] {
        let mut peer = server.connect();
        peer.send(&format!("{line}\n"));
        peer.expect(refusal);
        peer.send("hunter2\n");
        peer.expect_rest(&[]);
    }
    // The password is read before the name can turn out to be taken, so another name may follow.
    let mut peer = server.connect();
    peer.send("Bob auth\n");
    peer.expect(REQUIRED);
    peer.send("hunter2\n");
    peer.expect("! name-taken: Bob …");
    peer.expect("* Send another name.");
    peer.send("Carol\n");
    peer.expect("* Welcome, Carol. 1 other here: Bob. …");
    bob.expect("* Carol has joined");
}

#[test]
fn a_silence_does_not_split_a_password() {
    let setup = Setup::new("silence");
    let accounts = Some(Accounts::open(&Database::open(&setup.folder).unwrap(), SystemTime::now()).unwrap());
    let policy = Policy { accounts, ..Policy::default() };
    let auth = Auth { policy, hasher: setup.hasher.clone(), ..Auth::default() };
    let silence = Duration::from_millis(50);
    let server = Server::start_with(Settings(Config { idle_line: Some(silence), ..unpaced() }, auth));
    let mut bob = server.join("Bob");
    // A line of this peer takes longer than the silence that ends the lines of others.
    let mut witness = server.join("Witness");
    let mut wait = || {
        for _ in 0..4 {
            witness.send("/ping");
            while witness.line() != "* Pong" {}
        }
    };
    let mut alice = server.join("Alice");
    bob.expect("* Witness has joined");
    bob.expect("* Alice has joined");
    alice.send("/register\ncorrect");
    alice.expect("* Send the new password as…");
    wait();
    alice.send(" horse\n");
    alice.expect("* Send the new password again…");
    alice.send("correct ");
    wait();
    alice.send("horse\n");
    alice.expect("* Registered: Alice …");
    // Nor does silence end a discarded line.
    alice.send("/register\nhunter2-is");
    alice.expect("! already-registered: …Alice…");
    alice.expect(&discarded(1));
    wait();
    alice.send("-my-pass");
    wait();
    alice.send("\nhi");
    bob.expect("Alice: hi");
    alice.send("/quit\n");
    alice.rest();
    bob.expect("* Alice has left");
    let mut alice = server.connect();
    alice.send("Alice");
    alice.expect(REQUIRED);
    alice.send("correct");
    wait();
    alice.send(" horse\n");
    assert!(alice.line().starts_with("* Welcome, Alice. "));
    bob.expect("* Alice has joined");
}

#[test]
fn a_busy_refusal_does_not_count_as_a_wrong_password() {
    let mut setup = Setup::new("busy");
    let mut server = setup.open(false);
    drop(register(&server, "Alice"));
    server.begin_stop();
    server.wait().unwrap();
    setup.hasher = Hasher::new(0, 0);
    let server = setup.open(false);
    // More often than the limit on guesses allows.
    for _ in 0..10 {
        let (mut alice, answer) = log_in(&server, "Alice", PASSWORD);
        assert_like(&answer, BUSY);
        alice.rest();
    }
    let mut bob = server.join("Bob");
    for _ in 0..10 {
        bob.send(&format!("/register\n{PASSWORD}\n{PASSWORD}\n"));
        bob.expect("* Send the new password as…");
        bob.expect("* Send the new password again…");
        bob.expect(BUSY);
    }
}

#[test]
fn a_peer_kicked_during_hashing_registers_nothing() {
    let mut setup = Setup::new("kicked");
    setup.hasher = Hasher::new(1, 2);
    let (server, accounts) = setup.open_with_accounts(false);
    let mut olga = register(&server, "Olga");
    block_on(accounts.set_operator(&Name::parse("Olga").unwrap(), true)).unwrap();
    let mut bob = server.join("Bob");
    olga.expect("* Bob has joined");
    let runs = setup.hasher.runs();
    let turn = block_on(setup.hasher.turn(&networks("192.0.2.1"))).unwrap();
    bob.send(&format!("/register\n{PASSWORD}\n{PASSWORD}\n"));
    bob.expect("* Send the new password as…");
    bob.expect("* Send the new password again…");
    olga.send("/kick Bob\n");
    bob.expect_rest(&["! kicked", &bye("Bob", 0, 1)]);
    drop(turn);
    // After Bob's, if that is hashed at all, and a while before this one is registered.
    drop(register(&server, "Carol"));
    assert_eq!(setup.hasher.runs(), runs + 2, "Bob's was not hashed, so this shows nothing");
    drop(server.join("Bob"));
}

#[test]
fn a_look_alike_of_the_owners_name_is_replaced_by_the_owner() {
    let setup = Setup::new("squatter");
    let (server, accounts) = setup.open_with_accounts(false);
    let mut squatter = server.join("A1ice");
    let hash = block_on(setup.hasher.hash(Secret::parse(PASSWORD).unwrap(), &networks("192.0.2.1"))).unwrap();
    block_on(accounts.register(Name::parse("Alice").unwrap(), hash, SystemTime::now())).unwrap();
    let (_alice, welcome) = log_in(&server, "Alice", PASSWORD);
    assert_like(&welcome, "* Welcome, Alice. …");
    squatter.expect("! replaced");
}

#[test]
fn many_may_log_in_at_once_from_one_address() {
    let setup = Setup::new("many");
    let names: Vec<_> = (0..12).map(|at| format!("member{}", char::from(b'm' + at))).collect();
    names.iter().for_each(|name| setup.add_account(name));
    let server = setup.open(false);
    let connect = |name: &String| {
        let mut peer = server.connect();
        peer.send(&format!("{name}\n{PASSWORD}\n"));
        peer
    };
    let mut peers: Vec<_> = names.iter().map(connect).collect();
    for peer in &mut peers {
        peer.expect(REQUIRED);
        assert!(peer.line().starts_with("* Welcome, "));
    }
}

/// Guesses passwords until it is dropped, over this many connections, each as this user if one is given.
struct Guessers {
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Guessers {
    /// Each connection guesses the password of the next name, and then a new one is made.
    fn start(server: SocketAddr, user: Option<u32>, name: impl Fn(usize) -> String + Clone + Send + 'static) -> Self {
        let (is_over, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let guess = move |is_over: Arc<AtomicBool>, count: Arc<AtomicUsize>| {
            while !is_over.load(Ordering::Relaxed) {
                let mut peer = Peer::connect(server);
                user.inspect(|&user| assert!(peer.belongs_to(user)));
                peer.send(&format!("{}\nincorrect horse\n", name(count.fetch_add(1, Ordering::Relaxed))));
                peer.half_close();
                peer.rest();
            }
        };
        let start = |_| {
            let (guess, is_over, count) = (guess.clone(), Arc::clone(&is_over), Arc::clone(&count));
            thread::spawn(move || guess(is_over, count))
        };
        let threads = (0..80).map(start).collect();
        Self { is_over, threads }
    }
}

impl Drop for Guessers {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// Logs Alice in again and again while others guess.
fn expect_no_delay(server: &Server, setup: &Setup, guessers: &Guessers) {
    let runs = setup.hasher.runs();
    while setup.hasher.runs() < runs + 3 {
        assert!(guessers.threads.iter().all(|thread| !thread.is_finished()), "a guesser has ended");
        thread::yield_now();
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..20 {
        let begun = Instant::now();
        let (_alice, answer) = log_in(server, "Alice", PASSWORD);
        slowest = slowest.max(begun.elapsed());
        assert!(answer.starts_with("* Welcome, Alice. "), "{answer}");
    }
    println!("the owner got in within {slowest:?}");
}

#[test]
fn an_owner_gets_in_while_eighty_connections_of_the_same_user_guess_at_other_names() {
    let setup = Setup::new("other-names");
    setup.add_account("Alice");
    let server = setup.open_with_pause(true);
    // A number in letters that do not look alike.
    let name = |number: usize| {
        number.to_string().bytes().map(|digit| char::from(b"abefghjkpq"[usize::from(digit - b'0')])).collect()
    };
    let guessers = Guessers::start(server.address, None, name);
    expect_no_delay(&server, &setup, &guessers);
}

#[test]
fn an_owner_gets_in_while_another_user_of_the_machine_guesses_at_the_same_name() {
    let setup = Setup::new("same-name");
    setup.add_account("Alice");
    let server = setup.open_with_pause(false);
    if !server.connect().belongs_to(12_345) {
        return skipped("another user of this machine: only root can make a connection of theirs");
    }
    let guessers = Guessers::start(server.address, Some(12_345), |_| "Alice".to_owned());
    expect_no_delay(&server, &setup, &guessers);
}

#[test]
fn a_user_of_the_machine_registers_three_names_and_then_has_to_wait_and_may_still_log_in() {
    let setup = Setup::new("three");
    let server = setup.open(false);
    for name in ["Alice", "Bob", "Carol"] {
        let mut peer = register(&server, name);
        peer.send("/quit\n");
        peer.rest();
    }
    let mut dave = server.join("Dave");
    dave.send("/register\n");
    dave.expect("! penalized");
    assert!(log_in(&server, "Alice", PASSWORD).1.starts_with("* Welcome, Alice. "));
}

#[test]
fn an_account_that_nobody_has_used_for_long_is_removed_at_the_start_and_logged() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let setup = Setup::new("unused");
    let now = SystemTime::now();
    let accounts = Accounts::open(&Database::open(&setup.folder).unwrap(), now - 400 * DAY).unwrap();
    block_on(async {
        for (name, since) in [("Alice", now - 300 * DAY), ("Bob", now - 400 * DAY)] {
            accounts.register(Name::parse(name).unwrap(), String::new(), since).await.unwrap();
        }
    });
    drop(accounts);
    let folder = setup.folder.to_str().unwrap();
    let mut server = ServerProgram::start(&["--log-level", "info", "--data", folder, "--account-unused", "1year"]);
    while !server.program.stdout.line().contains("account expired") {}
    server.join("Bob");
    let mut stranger = Peer::connect(server.address);
    stranger.send("Alice\n");
    stranger.expect(REQUIRED);
}

#[test]
fn a_login_is_noted() {
    let setup = Setup::new("noted");
    let past = SystemTime::now() - Duration::from_secs(3 * 24 * 60 * 60);
    let accounts = Accounts::open(&Database::open(&setup.folder).unwrap(), past).unwrap();
    let hash = block_on(setup.hasher.hash(Secret::parse(PASSWORD).unwrap(), &networks("192.0.2.1"))).unwrap();
    let id = block_on(accounts.register(Name::parse("Alice").unwrap(), hash, past)).unwrap().id;
    drop(accounts);
    let (server, accounts) = setup.open_with_accounts(false);
    let used = move || accounts.account_of(id).unwrap().used;
    assert_eq!(used(), past);
    assert!(log_in(&server, "Alice", PASSWORD).1.starts_with("* Welcome, Alice. "));
    within(move || {
        while used() == past {
            thread::yield_now();
        }
    });
}
