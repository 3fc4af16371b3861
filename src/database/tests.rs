use std::fs;
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::executor::block_on;

use super::*;

/// A folder that is not there yet, and is removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self(std::env::temp_dir().join(format!("linechat-database-{}-{count}", std::process::id())))
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    /// An error, without the path of the folder.
    pub(crate) fn shown(&self, error: impl ToString) -> String {
        error.to_string().replace(self.0.to_str().unwrap(), "DIR").replace('\\', "/")
    }

    pub(crate) fn open(&self) -> Database {
        Database::open(&self.0).unwrap()
    }

    fn refusal(&self) -> String {
        self.shown(Database::open(&self.0).unwrap_err())
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
        let removed = fs::remove_dir_all(&self.0);
        // On Windows a file cannot be removed while it is open, and the writer's thread may have just begun to close it.
        assert!(removed.is_ok() || cfg!(windows), "{removed:?}");
    }
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_it() {
    let folder = Folder::new();
    let database = folder.open();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.0), 0o700);
    for file in fs::read_dir(&folder.0).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    drop(database);
    // The database and its lock.
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_or_write_is_refused() {
    let folder = Folder::new();
    drop(folder.open());
    for mode in [0o604, 0o640, 0o602, 0o620] {
        folder.set_mode(mode);
        let refusal = "others can read or write DIR/linechat.db; run chmod 600 DIR/linechat.db";
        assert_eq!(folder.refusal(), refusal, "{mode:o}");
    }
    folder.set_mode(0o600);
    folder.open();
}

#[test]
fn a_file_in_use_is_refused_and_free_again_when_the_last_handle_is_dropped() {
    let folder = Folder::new();
    let database = folder.open();
    let other = database.clone();
    drop(database);
    assert_eq!(folder.refusal(), "DIR/linechat.db is in use by another server");
    drop(other);
    folder.open();
}

#[test]
fn a_beginning_that_was_cut_short_is_begun_anew() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).unwrap();
    fs::write(folder.0.join("linechat.new"), [0; 5000]).unwrap();
    fs::write(folder.0.join("linechat.new-journal"), [0; 5000]).unwrap();
    drop(folder.open());
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 2);
}

#[test]
fn a_file_of_something_else_is_refused_and_not_touched() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).unwrap();
    for content in ["", "hello", &"SQLite format 3\0".repeat(1000)] {
        fs::write(folder.file(), content).unwrap();
        folder.set_mode(0o600);
        assert_eq!(folder.refusal(), "DIR/linechat.db is not a linechat database", "{content:.20}");
        assert_eq!(fs::read_to_string(folder.file()).unwrap(), content);
    }
    fs::remove_file(folder.file()).unwrap();
    Connection::open(folder.file()).unwrap().execute("CREATE TABLE others (id)", []).unwrap();
    folder.set_mode(0o600);
    assert_eq!(folder.refusal(), "DIR/linechat.db is not a linechat database");
}

/// Format 1 had no topics and no time to keep for each room. Formats 1 and 2 did not say where the numbers of a room
/// begin, which was always at 1.
#[test]
fn a_database_of_an_older_format_is_opened_with_everything_in_it() {
    let only_1 = "ALTER TABLE rooms DROP COLUMN topic; ALTER TABLE rooms DROP COLUMN keep; PRAGMA user_version = 1;";
    for before in [only_1, "PRAGMA user_version = 2;"] {
        let folder = Folder::new();
        drop(folder.open());
        let old = Connection::open(folder.file()).unwrap();
        old.execute_batch(&format!(
            "ALTER TABLE rooms DROP COLUMN first; DROP TABLE numbers; {before} UPDATE rooms SET ceiling = 512;
            INSERT INTO messages VALUES (1 << 44 | 7, 1700000000000, 'Alice', 'hello');"
        ))
        .unwrap();
        old.close().unwrap();
        for _ in 0..2 {
            drop(folder.open());
            let now = Connection::open(folder.file()).unwrap();
            let shown = |sql| now.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap();
            assert_eq!(shown("SELECT user_version || '' FROM pragma_user_version"), "3");
            assert_eq!(shown("SELECT name || ceiling || (topic IS NULL AND keep IS NULL) FROM rooms"), "lobby5121");
            assert_eq!(shown("SELECT group_concat(first || ' ' || floor) FROM rooms, numbers"), "1 0");
            assert_eq!(shown("SELECT room || number || name || text FROM history"), "lobby7Alicehello");
        }
    }
}

#[test]
fn a_newer_format_is_refused() {
    let folder = Folder::new();
    drop(folder.open());
    Connection::open(folder.file()).unwrap().pragma_update(None, "user_version", 7).unwrap();
    assert_eq!(folder.refusal(), "DIR/linechat.db was written by a newer linechat: its format is 7, not 3");
}

#[test]
fn a_folder_that_cannot_be_used_is_told() {
    let folder = Folder::new();
    fs::create_dir(&folder.0).unwrap();
    let refusal = |path: &str| Database::open(&folder.0.join(path)).unwrap_err().to_string().replace('\\', "/");
    assert!(refusal("no/such").ends_with("/no does not exist"), "{}", refusal("no/such"));
    fs::write(folder.0.join("file"), "").unwrap();
    assert!(refusal("file").ends_with("/file: Not a directory"), "{}", refusal("file"));
    fs::create_dir(folder.file()).unwrap();
    assert_eq!(folder.refusal(), "cannot use DIR/linechat.db: it is not a regular file");
}

#[test]
fn work_that_fails_changes_nothing_and_the_next_is_done() {
    let folder = Folder::new();
    let database = folder.open();
    let set = |value: i64| {
        let sql = "INSERT OR REPLACE INTO settings VALUES ('x', ?1)";
        move |connection: &Connection| connection.execute(sql, [value]).map(drop)
    };
    let get = |database: &Database| {
        let sql = "SELECT value FROM settings WHERE name = 'x'";
        database.read_blocking(|connection| connection.query_row(sql, [], |row| row.get::<_, i64>(0))).unwrap()
    };
    block_on(database.write(set(1))).unwrap();
    let failed = database.write(move |connection| {
        set(2)(connection)?;
        connection.execute("INSERT INTO absent VALUES (1)", []).map(drop)
    });
    let why = block_on(failed).unwrap_err().to_string();
    assert!(why.contains("no such table"), "{why}");
    assert_eq!(get(&database), 1);
    block_on(database.write(set(3))).unwrap();
    assert_eq!(get(&database), 3);
    // Nobody waits for this.
    drop(database.write(set(4)));
    drop(database);
    assert_eq!(get(&folder.open()), 4);
}

#[test]
fn work_that_panics_closes_the_database_instead_of_blocking_it() {
    let folder = Folder::new();
    let database = folder.open();
    let closed = Err(DatabaseError::closed());
    assert_eq!(block_on(database.write(|_| panic!("as a test"))), closed);
    assert_eq!(block_on(database.write(|_| Ok(()))), closed);
}
