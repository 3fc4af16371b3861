#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;

use async_std::task::block_on;
use redb::WriteTransaction;

use super::*;
use crate::accounts::Accounts;
use crate::database;
use crate::database::tests::Folder;
use crate::model::Name;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn open(folder: &Folder) -> Result<Accounts, OpenError> {
    Accounts::open(&database::Database::open(&folder.0)?, now())
}

fn refusal(folder: &Folder) -> String {
    folder.shown(open(folder).unwrap_err())
}

/// Writes a file as an earlier version did.
fn write(folder: &Folder, rows: impl FnOnce(&WriteTransaction)) {
    let _ = fs::create_dir(&folder.0);
    let path = folder.0.join(FILE);
    let database = Database::create(&path).unwrap();
    #[cfg(unix)]
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", 2).unwrap();
    transaction.open_table(ACCOUNTS).unwrap();
    transaction.open_table(BANS).unwrap();
    transaction.open_table(MUTES).unwrap();
    rows(&transaction);
    transaction.commit().unwrap();
}

fn write_bans(folder: &Folder, bans: &[(u8, &[u8], Option<u64>)]) {
    write(folder, |transaction| {
        let mut rows = transaction.open_table(BANS).unwrap();
        for &(kind, banned, until) in bans {
            rows.insert((kind, banned), ("Olga", Some("noise"), 0, until)).unwrap();
        }
    });
}

fn filled() -> Folder {
    let folder = Folder::new();
    let link = [&[0xfe, 0x80][..], &[0; 13], &[1], &2u32.to_be_bytes()].concat();
    let networks: [(u8, &[u8]); 4] = [(1, &1000u32.to_be_bytes()), (4, &[192, 0, 2, 1]), (6, &[7; 8]), (7, &link)];
    let bans = [(0, &b"Mallory"[..])].into_iter().chain(networks);
    write_bans(&folder, &bans.map(|(kind, banned)| (kind, banned, None)).collect::<Vec<_>>());
    write(&folder, |transaction| {
        let mut accounts = transaction.open_table(ACCOUNTS).unwrap();
        accounts.insert(3, ("Bob", "a hash", true, 5_000_000_123)).unwrap();
        accounts.insert(7, ("Zoë", "another hash", false, 0)).unwrap();
        transaction.open_table(LOGINS).unwrap().insert(3, 6_000_000_000).unwrap();
        transaction.open_table(META).unwrap().insert("logins since", 7_000_000_000).unwrap();
        transaction.open_table(META).unwrap().insert("next account", 12).unwrap();
        transaction.open_table(MUTES).unwrap().insert((0, &b"Trudy"[..]), ("Olga", None, 0, Some(u64::MAX))).unwrap();
    });
    folder
}

#[test]
fn a_file_of_an_earlier_version_is_imported_once_and_renamed() {
    let folder = filled();
    let accounts = open(&folder).unwrap();
    let bob = accounts.account(&name("Bob")).unwrap();
    assert_eq!((bob.id, bob.hash.as_str(), bob.is_operator), (AccountId(3), "a hash", true));
    assert_eq!(bob.registered, UNIX_EPOCH + Duration::from_nanos(5_000_000_123));
    assert_eq!(bob.used, UNIX_EPOCH + Duration::from_secs(6));
    assert_eq!(accounts.account(&name("Zoë")).unwrap().used, UNIX_EPOCH + Duration::from_secs(7));
    let mut bans: Vec<_> = accounts.bans(now()).into_iter().map(|(banned, _)| banned.to_string()).collect();
    bans.sort();
    assert_eq!(bans, ["192.0.2.1", "707:707:707:707::/64", "Mallory", "fe80::1%2", "user:1000"]);
    assert_eq!(accounts.bans(now())[0].1.reason().unwrap().as_str(), "noise");
    assert!(accounts.mute_of(&name("Trudy"), now()).is_some());
    assert!(!folder.0.join(FILE).exists() && folder.0.join(DONE).exists());
    block_on(accounts.unregister(AccountId(3))).unwrap();
    let peggy = block_on(accounts.register(name("Peggy"), String::new(), now())).unwrap();
    assert_eq!(peggy.id, AccountId(12));
    drop(accounts);
    // As after a crash before the file was renamed.
    fs::rename(folder.0.join(DONE), folder.0.join(FILE)).unwrap();
    let accounts = open(&folder).unwrap();
    assert_eq!(accounts.account(&name("Bob")), None);
    assert!(accounts.account(&name("Peggy")).is_some());
    assert!(!folder.0.join(FILE).exists());
}

#[test]
fn accounts_of_the_oldest_program_count_as_used_when_they_are_imported() {
    let folder = Folder::new();
    write(&folder, |transaction| {
        transaction.open_table(ACCOUNTS).unwrap().insert(0, ("Bob", "", false, 0)).unwrap();
        transaction.open_table(META).unwrap().insert("format", 1).unwrap();
    });
    let accounts = open(&folder).unwrap();
    assert_eq!(block_on(accounts.remove_unused(365 * DAY, now() + 364 * DAY)).unwrap(), []);
    assert_eq!(block_on(accounts.remove_unused(365 * DAY, now() + 365 * DAY)).unwrap().len(), 1);
}

#[test]
fn of_bans_of_the_same_thing_the_longest_is_imported() {
    let folder = Folder::new();
    write_bans(
        &folder,
        &[
            (4, &[127, 0, 0, 2], Some(u64::MAX)),
            (4, &[127, 0, 0, 3], None),
            (6, &[0; 8], Some(u64::MAX)),
            (0, b"B0b", Some(u64::MAX)),
            (0, b"Bob", None),
        ],
    );
    let accounts = open(&folder).unwrap();
    assert_eq!(accounts.ban_on(Network::Loopback, now()).unwrap().until(), None);
    assert_eq!(accounts.ban_of(&name("B0b"), now()).unwrap().until(), None);
    assert_eq!(accounts.bans(now()).len(), 2);
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_imported_is_refused_and_kept() {
    let folder = filled();
    let path = folder.0.join(FILE);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(refusal(&folder).starts_with("others can read or write DIR/registry.redb; "));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let intact = fs::read(&path).unwrap();
    for content in ["", "hello", &"SQLite format 3\0".repeat(1000)] {
        fs::write(&path, content).unwrap();
        assert_eq!(refusal(&folder), "DIR/registry.redb is not a linechat database", "{content:.20}");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    fs::write(&path, intact).unwrap();
    write(&folder, |transaction| {
        transaction.open_table(ACCOUNTS).unwrap().insert(9, ("admin", "", false, 0)).unwrap();
    });
    assert!(refusal(&folder).contains("\"admin\" is not a valid name"));
    write(&folder, |transaction| {
        transaction.open_table(META).unwrap().insert("format", 3).unwrap();
    });
    assert_eq!(refusal(&folder), "cannot use DIR/registry.redb: its format 3 is not known");
}

#[test]
fn nothing_is_imported_over_existing_accounts() {
    let folder = Folder::new();
    block_on(open(&folder).unwrap().register(name("Alice"), String::new(), now())).unwrap();
    write(&folder, |_| {});
    assert_eq!(
        refusal(&folder),
        "cannot use DIR/registry.redb: linechat.db contains accounts already; move one of the two files away"
    );
}
