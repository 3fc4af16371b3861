//! The history of typed lines, kept in a file.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustyline::history::{SearchDirection, SearchResult};
use rustyline::{Cmd, Result};

use crate::client::terminal::account::account_command;
use crate::limits::CLIENT_HISTORY_LINES;
use crate::os::io_error;
use crate::os::safe_file::{Links, open_regular};
use crate::os::system::files;

/// The position after the last line.
const END: usize = usize::MAX;

/// A handle to the history; clones share it.
#[derive(Clone)]
pub(crate) struct History(Arc<Mutex<Lines>>);

#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    file: Option<File>,
    /// The position while looking through the history, and the draft from before that.
    at: Option<usize>,
    draft: String,
    /// The line that the editor shows next.
    next: Option<String>,
}

impl History {
    /// Opens the history in this file, if any. On an error it returns a message, and keeps the history in memory.
    pub(crate) fn open(path: Option<PathBuf>) -> (Self, Option<String>) {
        let opened = path.map(|path| open(&path).map_err(|error| (path, error))).transpose();
        let (lines, complaint) = match opened {
            Ok(opened) => (opened.unwrap_or_default(), None),
            Err((path, error)) => {
                let why = io_error::describe(&error);
                (Lines::default(), Some(format!("Cannot use the history file {}: {why}", path.display())))
            }
        };
        (Self(Arc::new(Mutex::new(lines))), complaint)
    }

    /// Adds a typed line, unless it may contain a password or repeats the last line.
    pub(crate) fn keep(&self, line: &str) {
        let mut this = self.lock();
        this.at = None;
        if line.contains('\n') || account_command(line).is_some() || this.lines.last().is_some_and(|last| last == line)
        {
            return;
        }
        // A full disk does not end the client.
        let _ = this.file.as_mut().map(|file| file.write_all(format!("{line}\n").as_bytes()));
        this.lines.push(line.to_owned());
    }

    /// The previous line. `draft` is what has been typed.
    pub(crate) fn earlier(&self, draft: &str) -> Option<String> {
        self.back(draft, |at| at.checked_sub(1))
    }

    /// The first line.
    pub(crate) fn first(&self, draft: &str) -> Option<String> {
        self.back(draft, |at| (at > 0).then_some(0))
    }

    fn back(&self, draft: &str, to: impl FnOnce(usize) -> Option<usize>) -> Option<String> {
        let mut this = self.lock();
        let at = match this.at {
            None => {
                this.draft = draft.to_owned();
                this.lines.len()
            }
            Some(at) => at,
        };
        let at = to(at)?;
        this.at = Some(at);
        this.lines.get(at).cloned()
    }

    /// The next line, or the draft after the last one.
    pub(crate) fn later(&self) -> Option<String> {
        let mut this = self.lock();
        let at = this.at? + 1;
        let line = this.lines.get(at).cloned();
        this.at = line.is_some().then_some(at);
        Some(line.unwrap_or_else(|| this.draft.clone()))
    }

    /// The draft, if another line is shown.
    pub(crate) fn draft(&self) -> Option<String> {
        let mut this = self.lock();
        this.at.take()?;
        Some(this.draft.clone())
    }

    /// The command that puts this line into the editor, with the cursor at its end. `Cmd::Replace` would leave the
    /// cursor at its start, and its undo group open.
    pub(crate) fn put(&self, line: String) -> Cmd {
        self.lock().next = Some(line);
        Cmd::PreviousHistory
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path) -> io::Result<Lines> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut text = Vec::new();
    let file = private(path)?;
    (&file).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    let kept = lines[lines.len().saturating_sub(CLIENT_HISTORY_LINES)..].to_vec();
    if lines.len() <= 2 * CLIENT_HISTORY_LINES {
        return Ok(Lines { lines: kept, file: Some(file), ..Lines::default() });
    }
    // Another client may add a line just now. Losing one line of history does not matter.
    let shorter = path.with_extension("new");
    let mut file = private(&shorter)?;
    file.write_all(kept.iter().flat_map(|line| [line, "\n"]).collect::<String>().as_bytes())?;
    fs::rename(shorter, path)?;
    Ok(Lines { lines: kept, file: Some(file), ..Lines::default() })
}

/// Opens a file for reading and appending, readable only by this user. Refuses anything but a regular file.
fn private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    files::create_private(options.read(true).append(true));
    open_regular(path, &mut options, Links::Followed).map(|(file, _)| file)
}

/// The interface that the editor searches (Ctrl-R). It ignores additions. Its own position is always the end, however
/// many lines there are.
impl rustyline::history::History for History {
    fn get(&self, _: usize, _: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        Ok(self.lock().next.take().map(|line| found(&line, END, 0)))
    }

    fn search(&self, term: &str, start: usize, direction: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        // The match position is at the end of the line. The editor redraws its prompt only if the deleted text starts
        // before the cursor.
        self.look(start, direction, |line| (!term.is_empty() && line.contains(term)).then_some(line.len()))
    }

    fn starts_with(&self, term: &str, start: usize, direction: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        self.look(start, direction, |line| line.starts_with(term).then_some(term.len()))
    }

    fn len(&self) -> usize {
        END
    }

    fn is_empty(&self) -> bool {
        let this = self.lock();
        this.lines.is_empty() && this.next.is_none()
    }

    fn add(&mut self, _: &str) -> Result<bool> {
        Ok(false)
    }

    fn add_owned(&mut self, _: String) -> Result<bool> {
        Ok(false)
    }

    fn set_max_len(&mut self, _: usize) -> Result<()> {
        Ok(())
    }

    fn ignore_dups(&mut self, _: bool) -> Result<()> {
        Ok(())
    }

    fn ignore_space(&mut self, _: bool) {}

    fn save(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn append(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn load(&mut self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
        Ok(())
    }
}

impl History {
    fn look(
        &self,
        start: usize,
        direction: SearchDirection,
        matches: impl Fn(&str) -> Option<usize>,
    ) -> Result<Option<SearchResult<'static>>> {
        let this = self.lock();
        let mut lines = this.lines.iter().enumerate();
        let hit = |(at, line): (usize, &String)| matches(line).map(|endpoint| found(line, at, endpoint));
        Ok(match direction {
            SearchDirection::Forward => lines.skip(start).find_map(hit),
            SearchDirection::Reverse => lines.by_ref().take(start.saturating_add(1)).rev().find_map(hit),
        })
    }
}

fn found(line: &str, idx: usize, pos: usize) -> SearchResult<'static> {
    SearchResult { entry: Cow::Owned(line.to_owned()), idx, pos }
}

#[cfg(test)]
mod tests {
    use rustyline::history::History as _;

    use super::*;

    fn typed(lines: &[&str]) -> History {
        let (history, _) = History::open(None);
        lines.iter().for_each(|line| history.keep(line));
        history
    }

    #[test]
    fn the_draft_returns_after_the_last_line() {
        let history = typed(&["one", "two", "two"]);
        assert_eq!(history.earlier("draft").unwrap(), "two");
        assert_eq!(history.earlier("two").unwrap(), "one");
        assert_eq!(history.earlier("one"), None);
        assert_eq!(history.later().unwrap(), "two");
        assert_eq!(history.later().unwrap(), "draft");
        assert_eq!(history.later(), None);
    }

    #[test]
    fn passwords_and_pastes_are_not_kept() {
        let history =
            typed(&["/register hunter2", " /PASSWORD a b", "\u{a0}/register\thunter2", "two\nlines", "/registers"]);
        assert_eq!(history.lock().lines, ["/registers"]);
    }

    #[test]
    fn a_search_starts_at_the_current_line() {
        let history = typed(&["alpha", "beta", "gamma"]);
        let at = |term, start, direction| history.search(term, start, direction).unwrap().map(|found| found.idx);
        assert_eq!(at("a", 2, SearchDirection::Reverse), Some(2));
        assert_eq!(at("a", 1, SearchDirection::Reverse), Some(1));
        assert_eq!(at("ph", 2, SearchDirection::Reverse), Some(0));
        assert_eq!(at("mm", 0, SearchDirection::Forward), Some(2));
        assert_eq!(at("mm", 1, SearchDirection::Reverse), None);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_private_and_its_size_is_bounded() {
        use std::os::unix::fs::PermissionsExt;

        let folder = std::env::temp_dir().join(format!("linechat-history-{}", std::process::id()));
        let path = folder.join("deep/history");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let many: String = (0..=2 * CLIENT_HISTORY_LINES).map(|line| format!("{line}\n")).collect();
        fs::write(&path, many).unwrap();
        let (history, complaint) = History::open(Some(path.clone()));
        assert_eq!(complaint, None);
        history.keep("new");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), CLIENT_HISTORY_LINES + 1);
        assert_eq!(text.lines().last(), Some("new"));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let (again, _) = History::open(Some(path));
        assert_eq!(again.earlier("").unwrap(), "new");
        let (_, complaint) = History::open(Some("/dev/null/history".into()));
        assert!(complaint.unwrap().starts_with("Cannot use the history file /dev/null/history:"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_history_that_is_not_a_regular_file_is_refused() {
        use std::os::unix::fs::symlink;
        use std::os::unix::net::UnixListener;
        use std::sync::mpsc;
        use std::thread;
        use std::time::Duration;

        use rustix::fs::{CWD, FileType, Mode, mknodat};

        let folder = std::env::temp_dir().join(format!("linechat-history-kinds-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (fifo, attempt) = (folder.join("fifo"), folder.join("link"));
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
        symlink(&fifo, &attempt).unwrap();
        let _socket = UnixListener::bind(folder.join("socket")).unwrap();
        for path in [fifo, attempt, folder.join("socket"), folder.clone(), "/dev/null".into()] {
            let (sender, opened) = mpsc::channel();
            let history = path.clone();
            thread::spawn(move || sender.send(History::open(Some(history)).1));
            let complaint = opened.recv_timeout(Duration::from_secs(20)).expect("opening it blocks");
            let path = path.display();
            assert_eq!(complaint, Some(format!("Cannot use the history file {path}: it is not a regular file")));
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
