use std::fs;
use std::future::Future;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;

use async_std::task::block_on;
use futures::FutureExt;
use redb::{Database, ReadableDatabase, TableDefinition, WriteTransaction};

use super::*;

const S: Duration = Duration::from_secs(1);

/// A folder that is not there yet, and is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("linechat-accounts-{}-{count}", std::process::id())))
    }

    fn open(&self) -> Accounts {
        Accounts::open(&self.0, now()).unwrap()
    }

    fn refusal(&self) -> String {
        let refusal = Accounts::open(&self.0, now()).unwrap_err().to_string();
        refusal.replace(self.0.to_str().unwrap(), "DIR").replace('\\', "/")
    }

    fn file(&self) -> PathBuf {
        self.0.join("registry.redb")
    }

    #[cfg(unix)]
    fn set_mode(&self, mode: u32) {
        fs::set_permissions(self.file(), fs::Permissions::from_mode(mode)).unwrap();
    }

    #[cfg(windows)]
    fn set_mode(&self, _: u32) {}
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
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
    let accounts = folder.open();
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
    let accounts = folder.open();
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
        let accounts = folder.open();
        let bob = register(&accounts, "Bob").await.unwrap();
        accounts.unregister(bob.id).await.unwrap();
        assert_eq!(accounts.unregister(bob.id).await, Err(ChangeError::NotRegistered));
        bob.id
    });
    let accounts = folder.open();
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
    let accounts = folder.open();
    block_on(async {
        for text in ["Bob", "Zoe"] {
            register(&accounts, text).await.unwrap();
        }
        let zoe = accounts.account(&name("Zoe")).unwrap().id;
        assert_eq!(accounts.remove_unused(10 * DAY, now() + 9 * DAY).await.unwrap(), []);
        accounts.note_login(zoe, now() + 5 * DAY).await.unwrap();
    });
    drop(accounts);
    let accounts = folder.open();
    let removed = block_on(accounts.remove_unused(10 * DAY, now() + 10 * DAY)).unwrap();
    assert_eq!(names(removed), ["Bob"]);
    drop(accounts);
    let accounts = folder.open();
    assert_eq!(names(accounts.accounts()), ["Zoe"]);
    assert_eq!(names(block_on(accounts.remove_unused(10 * DAY, now() + 15 * DAY)).unwrap()), ["Zoe"]);
}

#[test]
fn a_login_is_written_once_a_day() {
    let folder = Folder::new();
    let accounts = folder.open();
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
fn accounts_of_an_older_program_count_as_used_when_logins_began_to_be_noted() {
    let folder = Folder::new();
    drop(filled(&folder));
    write(&folder, |transaction| {
        assert!(transaction.delete_table(TableDefinition::<u64, u64>::new("logins")).unwrap());
        let mut meta = transaction.open_table(TableDefinition::<&str, u64>::new("linechat")).unwrap();
        meta.remove("logins since").unwrap();
    });
    drop(Accounts::open(&folder.0, now() + 400 * DAY).unwrap());
    let accounts = Accounts::open(&folder.0, now() + 700 * DAY).unwrap();
    assert_eq!(block_on(accounts.remove_unused(365 * DAY, now() + 764 * DAY)).unwrap(), []);
    assert_eq!(names(block_on(accounts.remove_unused(365 * DAY, now() + 765 * DAY)).unwrap()), ["Zoë", "Eve"]);
}

#[test]
fn sanctions_that_are_over_leave_the_file_with_the_start_and_with_the_next_one() {
    let folder = Folder::new();
    drop(filled(&folder));
    let later = now() + 60 * S;
    drop(Accounts::open(&folder.0, later).unwrap());
    // The clock is set back: what was swept is still gone.
    let accounts = folder.open();
    assert_eq!(accounts.bans(now()), []);
    block_on(async {
        accounts.mute(name("Peggy"), sanction(Some(now() + S))).await.unwrap();
        assert_eq!(accounts.unban(Banned::Name(name("Nobody2")), later).await, Ok(false));
    });
    drop(accounts);
    assert_eq!(folder.open().mutes(now()).len(), 1);
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it() {
    let folder = Folder::new();
    drop(folder.open());
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(folder.0.clone()), mode(folder.file())), (0o700, 0o600));
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_or_write_is_refused() {
    let folder = Folder::new();
    drop(folder.open());
    for mode in [0o604, 0o640, 0o602, 0o620] {
        folder.set_mode(mode);
        assert_eq!(
            folder.refusal(),
            "others can read or write the accounts in DIR/registry.redb; run chmod 600 DIR/registry.redb",
            "{mode:o}"
        );
    }
    folder.set_mode(0o600);
    folder.open();
}

#[test]
fn accounts_in_use_are_refused_and_free_again_when_the_last_handle_is_dropped() {
    let folder = Folder::new();
    let accounts = folder.open();
    let other = accounts.clone();
    drop(accounts);
    assert_eq!(folder.refusal(), "the accounts in DIR/registry.redb are in use by another server");
    drop(other);
    folder.open();
}

#[test]
fn a_beginning_that_was_cut_short_is_begun_anew() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).unwrap();
    fs::write(folder.0.join("registry.new"), [0; 5000]).unwrap();
    block_on(register(&folder.open(), "Bob")).unwrap();
    assert!(folder.open().account(&name("Bob")).is_some());
    // The accounts file and its lock.
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);
}

#[test]
fn a_file_of_something_else_is_refused_and_not_touched() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).unwrap();
    for content in ["", "hello", &"SQLite format 3\0".repeat(1000)] {
        fs::write(folder.file(), content).unwrap();
        folder.set_mode(0o600);
        assert_eq!(folder.refusal(), "DIR/registry.redb is not a linechat accounts file", "{content:.20}");
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), content);
    }
    fs::remove_file(folder.file()).unwrap();
    write(&folder, |transaction| {
        transaction.open_table(TableDefinition::<u64, u64>::new("others")).unwrap().insert(1, 1).unwrap();
    });
    folder.set_mode(0o600);
    assert_eq!(folder.refusal(), "DIR/registry.redb is not a linechat accounts file");
}

#[test]
fn a_newer_format_is_refused() {
    let folder = Folder::new();
    drop(folder.open());
    set_format(&folder, 7);
    assert_eq!(folder.refusal(), "DIR/registry.redb was written by a newer linechat: its format is 7, not 2");
}

#[test]
fn a_file_of_the_first_format_is_converted_only_once_an_older_program_could_not_read_it() {
    let folder = Folder::new();
    let ban = |banned: Network| {
        let accounts = folder.open();
        block_on(accounts.ban(Banned::Network(banned), sanction(None))).unwrap();
    };
    ban(Network::V6([0xfe, 0x80, 0, 0, 0, 0, 0, 0]));
    set_format(&folder, 1);
    ban(Network::User(1000));
    assert_eq!(format(&folder), 1);
    let accounts = folder.open();
    assert_eq!(accounts.bans(now()).len(), 2);
    assert_eq!(accounts.ban_on(link("fe80::1%2"), now()), Some(sanction(None)), "the ban on all links still holds");
    drop(accounts);
    ban(link("fe80::1%2"));
    assert_eq!(format(&folder), 2);
    assert_eq!(folder.open().bans(now()).len(), 3);
}

fn format(folder: &Folder) -> u64 {
    let database = Database::create(folder.file()).unwrap();
    let meta = database.begin_read().unwrap().open_table(TableDefinition::<&str, u64>::new("linechat")).unwrap();
    meta.get("format").unwrap().unwrap().value()
}

fn set_format(folder: &Folder, format: u64) {
    write(folder, |transaction| {
        let mut meta = transaction.open_table(TableDefinition::<&str, u64>::new("linechat")).unwrap();
        meta.insert("format", format).unwrap();
    });
}

/// Writes into the file as another program would.
fn write(folder: &Folder, rows: impl FnOnce(&WriteTransaction)) {
    let database = Database::create(folder.file()).unwrap();
    let transaction = database.begin_write().unwrap();
    rows(&transaction);
    transaction.commit().unwrap();
}

/// Writes bans as they are in the file: what is banned, and until when.
fn write_bans(folder: &Folder, bans: &[(u8, &[u8], Option<u64>)]) {
    write(folder, |transaction| {
        let table = TableDefinition::<(u8, &[u8]), (&str, Option<&str>, u64, Option<u64>)>::new("bans");
        let mut rows = transaction.open_table(table).unwrap();
        for &(kind, banned, until) in bans {
            rows.insert((kind, banned), ("Olga", None, 0, until)).unwrap();
        }
    });
}

#[test]
fn a_name_that_is_none_any_more_is_told_instead_of_forgotten() {
    let folder = Folder::new();
    drop(folder.open());
    write(&folder, |transaction| {
        let accounts = TableDefinition::<u64, (&str, &str, bool, u64)>::new("accounts");
        transaction.open_table(accounts).unwrap().insert(1, ("admin", "", false, 0)).unwrap();
    });
    assert_eq!(
        folder.refusal(),
        "the accounts in DIR/registry.redb are corrupt (\"admin\" is not a valid name: that name is reserved); restore a backup"
    );
}

#[test]
fn of_two_bans_that_have_come_to_look_alike_the_longer_one_holds_and_is_lifted_for_good() {
    let folder = Folder::new();
    drop(folder.open());
    write_bans(&folder, &[(0, b"B0b", Some(u64::MAX)), (0, b"Bob", None), (0, b"bob", Some(u64::MAX))]);
    let accounts = folder.open();
    assert_eq!(accounts.ban_of(&name("B0b"), now()).unwrap().until(), None);
    assert_eq!(block_on(accounts.unban(Banned::Name(name("bob")), now())), Ok(true));
    drop(accounts);
    assert_eq!(folder.open().bans(now()), []);
}

#[test]
fn bans_of_single_loopback_addresses_are_one_ban_and_are_lifted_for_good() {
    let folder = Folder::new();
    drop(folder.open());
    write_bans(
        &folder,
        &[
            (4, &[127, 0, 0, 2], Some(u64::MAX)),
            (4, &[127, 0, 0, 3], None),
            (4, &[127, 9, 0, 1], Some(u64::MAX)),
            (6, &[0; 8], Some(u64::MAX)),
        ],
    );
    drop(folder.open());
    let accounts = folder.open();
    assert_eq!(accounts.ban_on(Network::Loopback, now()).unwrap().until(), None);
    assert_eq!(accounts.bans(now()).len(), 1);
    assert_eq!(block_on(accounts.unban(Banned::Network(Network::Loopback), now())), Ok(true));
    drop(accounts);
    assert_eq!(folder.open().bans(now()), []);
}

#[test]
fn a_folder_that_cannot_be_used_is_told() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).unwrap();
    let refusal = |path: &str| Accounts::open(&folder.0.join(path), now()).unwrap_err().to_string().replace('\\', "/");
    assert!(refusal("no/such").ends_with("/no does not exist"), "{}", refusal("no/such"));
    fs::write(folder.0.join("file"), "").unwrap();
    assert!(refusal("file").ends_with("/file: Not a directory"), "{}", refusal("file"));
    fs::create_dir(folder.file()).unwrap();
    assert_eq!(folder.refusal(), "cannot use the accounts in DIR/registry.redb: it is not a regular file");
}

#[test]
fn a_damaged_file_is_refused_or_read_and_never_a_panic() {
    let folder = Folder::new();
    let accounts = filled(&folder);
    let whole = accounts.read().clone();
    drop(accounts);
    let intact = fs::read(folder.file()).unwrap();
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
        fs::write(folder.file(), bytes).unwrap();
        match Accounts::open(&folder.0, now()) {
            Ok(accounts) => assert_eq!(*accounts.read(), whole),
            Err(_) => refused += 1,
        }
    }
    assert!((1..100).contains(&refused), "{refused} were refused");
}

#[test]
fn an_act_that_nobody_waits_for_is_done_altogether_or_not_at_all() {
    let folder = Folder::new();
    let accounts = folder.open();
    for number in 0..50 {
        let other = format!("other-{number}");
        // It may have begun, or wait for its turn.
        let _ = register(&accounts, &other).now_or_never();
    }
    block_on(register(&accounts, "Zoe")).unwrap();
    let before = accounts.read().clone();
    assert!(before.account(&name("Zoe")).is_some());
    drop(accounts);
    assert_eq!(*folder.open().read(), before);
}

#[test]
fn of_two_concurrent_registrations_of_a_name_one_succeeds() {
    let folder = Folder::new();
    let accounts = folder.open();
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
    is_send(&register(&folder.open(), "Bob"));
}
