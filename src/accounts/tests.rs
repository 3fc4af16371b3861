use std::future::Future;
use std::time::UNIX_EPOCH;

use async_std::task::block_on;
use futures::FutureExt;
use rusqlite::{Connection, params};

use super::*;
use crate::database::tests::Folder;

const S: Duration = Duration::from_secs(1);

fn try_open(folder: &Folder, now: SystemTime) -> Result<Accounts, OpenError> {
    Accounts::open(&Database::open(&folder.0)?, now)
}

fn open(folder: &Folder) -> Accounts {
    try_open(folder, now()).unwrap()
}

fn refusal(folder: &Folder) -> String {
    folder.shown(try_open(folder, now()).unwrap_err())
}

fn now() -> SystemTime {
    UNIX_EPOCH + 1_000_000 * S + Duration::from_nanos(123_456_789)
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn sanction(until: Option<SystemTime>) -> Sanction {
    Sanction::new("Olga", Some("noise"), now(), until)
}

async fn register(accounts: &Accounts, text: &str) -> Result<Account, ChangeError> {
    accounts.register(name(text), format!("hash of {text}"), now()).await
}

fn link(address: &str) -> Network {
    address.parse().unwrap()
}

/// Accounts, bans and mutes of every kind.
fn filled(folder: &Folder) -> Accounts {
    let accounts = open(folder);
    block_on(async {
        let bob = register(&accounts, "Bob").await.unwrap();
        let zoe = register(&accounts, "Zoë").await.unwrap();
        register(&accounts, "Eve").await.unwrap();
        accounts.set_operator(&zoe.name, true).await.unwrap();
        accounts.change_password(zoe.id, None, "another hash".to_owned()).await.unwrap();
        accounts.unregister(bob.id).await.unwrap();
        let places = [Network::V4([192, 0, 2, 1]), Network::V6([7; 8]), link("fe80::1%2"), Network::User(1000)];
        let places = places.map(Banned::Network);
        for banned in [Banned::Name(name("Bob")), Banned::Name(name("Mallory"))].into_iter().chain(places) {
            accounts.ban(banned, sanction(Some(now() + 60 * S))).await.unwrap();
        }
        accounts.ban(Banned::Name(name("B0b")), sanction(Some(now() + 30 * S))).await.unwrap();
        accounts.mute(name("Trudy"), sanction(None)).await.unwrap();
        accounts.mute(name("Peggy"), sanction(None)).await.unwrap();
        assert_eq!(accounts.unmute(name("Peggy"), now()).await, Ok(true));
        assert_eq!(accounts.unban(Banned::Name(name("Mallory")), now()).await, Ok(true));
    });
    accounts
}

#[test]
fn changes_survive_a_restart() {
    let folder = Folder::new();
    let accounts = filled(&folder);
    let before = accounts.read().clone();
    drop(accounts);
    let accounts = open(&folder);
    assert_eq!(*accounts.read(), before);
    assert!(accounts.account(&name("ZOË")).unwrap().is_operator);
    assert_eq!(accounts.account(&name("ZOË")).unwrap().hash, "another hash");
    assert_eq!(accounts.account(&name("Bob")), None);
    assert_eq!(accounts.account(&name("Zoe")), None);
    assert_eq!(accounts.bans(now()).len(), 5);
    assert_eq!(accounts.ban_on(link("fe80::1%2"), now()), Some(sanction(Some(now() + 60 * S))));
    assert_eq!(accounts.ban_on(link("fe80::1%3"), now()), None);
    assert_eq!(accounts.ban_of(&name("Bob"), now()), Some(sanction(Some(now() + 30 * S))), "it is that of B0b");
    assert_eq!(accounts.ban_on(Network::User(1000), now()), Some(sanction(Some(now() + 60 * S))));
    assert_eq!(accounts.mutes(now()), [(Banned::Name(name("Trudy")), sanction(None))]);
    assert_eq!(accounts.mute_of(&name("TRUDY"), now()), Some(sanction(None)));
}

#[test]
fn the_number_of_a_lost_account_is_not_given_again_after_a_restart() {
    let folder = Folder::new();
    let lost = block_on(async {
        let accounts = open(&folder);
        let bob = register(&accounts, "Bob").await.unwrap();
        accounts.unregister(bob.id).await.unwrap();
        assert_eq!(accounts.unregister(bob.id).await, Err(ChangeError::NotRegistered));
        bob.id
    });
    let accounts = open(&folder);
    assert!(block_on(register(&accounts, "Bob")).unwrap().id > lost);
    assert_eq!(block_on(accounts.change_password(lost, None, String::new())), Err(ChangeError::NotRegistered));
    assert_eq!(block_on(accounts.set_operator(&name("Eve"), true)), Err(ChangeError::NotRegistered));
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn names(accounts: Vec<Account>) -> Vec<String> {
    accounts.into_iter().map(|account| account.name.to_string()).collect()
}

#[test]
fn an_account_that_nobody_logs_in_with_is_removed_also_after_a_restart_and_no_other_is() {
    let folder = Folder::new();
    let accounts = open(&folder);
    block_on(async {
        for text in ["Bob", "Zoe"] {
            register(&accounts, text).await.unwrap();
        }
        let zoe = accounts.account(&name("Zoe")).unwrap().id;
        assert_eq!(accounts.remove_unused(10 * DAY, now() + 9 * DAY).await.unwrap(), []);
        accounts.note_login(zoe, now() + 5 * DAY).await.unwrap();
    });
    drop(accounts);
    let accounts = open(&folder);
    let removed = block_on(accounts.remove_unused(10 * DAY, now() + 10 * DAY)).unwrap();
    assert_eq!(names(removed), ["Bob"]);
    drop(accounts);
    let accounts = open(&folder);
    assert_eq!(names(accounts.accounts()), ["Zoe"]);
    assert_eq!(names(block_on(accounts.remove_unused(10 * DAY, now() + 15 * DAY)).unwrap()), ["Zoe"]);
}

#[test]
fn a_login_is_written_once_a_day() {
    let folder = Folder::new();
    let accounts = open(&folder);
    let bob = block_on(register(&accounts, "Bob")).unwrap().id;
    let used = |after| {
        block_on(accounts.note_login(bob, now() + after)).unwrap();
        accounts.account_of(bob).unwrap().used
    };
    assert_eq!(used(DAY - S), now());
    assert_eq!(used(DAY), now() + DAY);
    assert_eq!(used(2 * DAY - S), now() + DAY);
}

#[test]
fn sanctions_that_are_over_leave_the_file_with_the_start_and_with_the_next_one() {
    let folder = Folder::new();
    drop(filled(&folder));
    let later = now() + 60 * S;
    drop(try_open(&folder, later).unwrap());
    // The clock is set back: what was swept is still gone.
    let accounts = open(&folder);
    assert_eq!(accounts.bans(now()), []);
    block_on(async {
        accounts.mute(name("Peggy"), sanction(Some(now() + S))).await.unwrap();
        assert_eq!(accounts.unban(Banned::Name(name("Nobody2")), later).await, Ok(false));
    });
    drop(accounts);
    assert_eq!(open(&folder).mutes(now()).len(), 1);
}

/// Writes into the database as another program would. Without a checksum, all rows are trusted.
fn write(folder: &Folder, rows: impl FnOnce(&Connection)) {
    let connection = Connection::open(folder.file()).unwrap();
    rows(&connection);
    connection.execute("DELETE FROM settings WHERE name = 'checksum'", []).unwrap();
}

#[test]
fn a_name_that_is_none_any_more_is_told_instead_of_forgotten() {
    let folder = Folder::new();
    drop(open(&folder));
    write(&folder, |connection| {
        connection.execute("INSERT INTO accounts VALUES (1, 'admin', '', 0, 0, 0)", []).unwrap();
    });
    assert_eq!(
        refusal(&folder),
        "DIR/linechat.db is corrupt (\"admin\" is not a valid name: that name is reserved); restore a backup, or move it away to start with an empty one"
    );
}

#[test]
fn of_two_bans_that_have_come_to_look_alike_the_longer_one_holds_and_is_lifted_for_good() {
    let folder = Folder::new();
    drop(open(&folder));
    write(&folder, |connection| {
        for (name, until) in [("B0b", Some(i64::MAX)), ("Bob", None), ("bob", Some(i64::MAX))] {
            let sql = "INSERT INTO sanctions VALUES ('ban', 'name', ?1, 'Olga', NULL, 0, ?2)";
            connection.execute(sql, params![name, until]).unwrap();
        }
    });
    let accounts = open(&folder);
    assert_eq!(accounts.ban_of(&name("B0b"), now()).unwrap().until(), None);
    assert_eq!(block_on(accounts.unban(Banned::Name(name("bob")), now())), Ok(true));
    drop(accounts);
    assert_eq!(open(&folder).bans(now()), []);
}

#[test]
fn a_row_that_was_changed_or_removed_is_detected() {
    let folder = Folder::new();
    for change in [
        "UPDATE accounts SET is_operator = 1 WHERE name = 'Eve'",
        "DELETE FROM accounts WHERE name = 'Eve'",
        "INSERT INTO accounts VALUES (9, 'Mallory', '', 1, 0, 0)",
        "DELETE FROM sanctions WHERE kind = 'mute'",
        "UPDATE settings SET value = 0 WHERE name = 'next account'",
    ] {
        drop(filled(&folder));
        Connection::open(folder.file()).unwrap().execute(change, []).unwrap();
        assert!(refusal(&folder).contains("is corrupt (the checksum of the accounts is wrong)"), "{change}");
        std::fs::remove_file(folder.file()).unwrap();
    }
}

#[test]
fn a_damaged_file_is_refused_or_read_and_never_a_panic() {
    let folder = Folder::new();
    let accounts = filled(&folder);
    let whole = accounts.read().clone();
    drop(accounts);
    let intact = std::fs::read(folder.file()).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut refused = 0;
    for _ in 0..100 {
        let mut bytes = intact.clone();
        for _ in 0..random.usize(1..20) {
            // Most of what is in use is at the beginning.
            let at = random.usize(0..64) * random.usize(0..intact.len() / 64);
            bytes[at] ^= random.u8(1..);
        }
        if random.u8(..) < 64 {
            bytes.truncate(random.usize(0..bytes.len()));
        }
        std::fs::write(folder.file(), bytes).unwrap();
        match try_open(&folder, now()) {
            Ok(accounts) => assert_eq!(*accounts.read(), whole),
            Err(_) => refused += 1,
        }
    }
    assert!((1..100).contains(&refused), "{refused} were refused");
}

#[test]
fn an_act_that_nobody_waits_for_is_done_altogether_or_not_at_all() {
    let folder = Folder::new();
    let accounts = open(&folder);
    for number in 0..50 {
        let other = format!("other-{number}");
        // It may have begun, or wait for its turn.
        let _ = register(&accounts, &other).now_or_never();
    }
    block_on(register(&accounts, "Zoe")).unwrap();
    let before = accounts.read().clone();
    assert!(before.account(&name("Zoe")).is_some());
    drop(accounts);
    assert_eq!(*open(&folder).read(), before);
}

#[test]
fn of_two_concurrent_registrations_of_a_name_one_succeeds() {
    let folder = Folder::new();
    let accounts = open(&folder);
    let acts = (0..20).map(|_| register(&accounts, "Bob"));
    let outcomes = block_on(futures::future::join_all(acts));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let refusals: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
    assert_eq!(refusals, vec![ChangeError::AlreadyRegistered(name("Bob")); 19]);
}

#[test]
fn a_future_of_an_act_may_go_to_another_thread() {
    fn is_send(_: &(impl Future + Send)) {}
    let folder = Folder::new();
    is_send(&register(&open(&folder), "Bob"));
}
