//! A console without a window, which programs and the test share.

use std::fs::File;
use std::os::windows::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use windows_sys::Win32::System::Threading::CREATE_NO_WINDOW;

use crate::api::{self, Key};
use crate::support::harness::DEADLINE;
use crate::support::program::{Program, without_time};

pub const BACKSPACE: Key = key(0x08, 0x08);
pub const TAB: Key = key(0x09, 0x09);
pub const ENTER: Key = key(0x0d, 0x0d);
pub const LEFT: Key = key(0x25, 0);
pub const UP: Key = key(0x26, 0);
pub const CTRL_C: Key = ctrl(b'C');
pub const CTRL_D: Key = ctrl(b'D');

const fn key(code: u16, unit: u16) -> Key {
    Key { code, unit, is_ctrl: false }
}

const fn ctrl(letter: u8) -> Key {
    Key { code: letter as u16, unit: (letter & 0x1f) as u16, is_ctrl: true }
}

/// A console of this test. This process is in it until the test ends, so there is only one at a time.
pub struct Console {
    keyboard: File,
    screen: File,
    /// The console ends with its last process, so this one stays.
    keeper: Child,
    _turn: MutexGuard<'static, ()>,
}

impl Console {
    pub fn open() -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        // It waits for a line of its input.
        let mut keeper = Command::new("cmd");
        keeper.args(["/c", "set /p line="]).creation_flags(CREATE_NO_WINDOW);
        let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("the console can be entered", || api::enter_console_of(keeper.id()).is_ok());
        let open = |name| File::options().read(true).write(true).open(name).unwrap();
        Self { keyboard: open("CONIN$"), screen: open("CONOUT$"), keeper, _turn: turn }
    }

    /// Starts a program that reads from this console and writes to it.
    pub fn start(&self, mut command: Command) -> Program {
        command.stdin(self.keyboard.try_clone().unwrap()).stdout(self.screen.try_clone().unwrap());
        Program::spawn(command)
    }

    pub fn press(&self, keys: &[Key]) {
        api::press(&self.keyboard, keys).unwrap();
    }

    pub fn type_in(&self, text: &str) {
        // The codes of other keys depend on the keyboard, and programs use the typed character.
        self.press(&text.encode_utf16().map(|unit| key(0, unit)).collect::<Vec<_>>());
    }

    /// The rows of the screen that are not empty, without the time, and the last of them up to the cursor.
    pub fn shown(&self) -> (Vec<String>, String) {
        let (rows, (row, column)) = api::screen(&self.screen).unwrap();
        let to_cursor = rows[row].chars().chain(std::iter::repeat(' ')).take(column).collect();
        (rows.iter().filter(|row| !row.is_empty()).map(|row| without_time(row).to_owned()).collect(), to_cursor)
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    pub fn shows(&self, what: &str, is_so: impl Fn(&[String], &str) -> bool) {
        let end = Instant::now() + DEADLINE;
        loop {
            let (rows, to_cursor) = self.shown();
            if is_so(&rows, &to_cursor) {
                return;
            }
            assert!(Instant::now() < end, "the screen never shows {what}: {rows:#?}, and {to_cursor:?} to the cursor");
            thread::sleep(POLL);
        }
    }

    /// Waits for a row that starts like this.
    #[track_caller]
    pub fn sees(&self, start: &str) {
        self.shows(start, |rows, _| rows.iter().any(|row| row.starts_with(start)));
    }

    /// Waits until this is being typed in the last row, with the cursor at its end.
    #[track_caller]
    pub fn has_typed(&self, line: &str) {
        let line = format!("> {line}");
        self.shows(&line, |rows, to_cursor| {
            rows.last().is_some_and(|row| *row == line.trim_end()) && to_cursor == line
        });
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = api::leave_console();
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

const POLL: Duration = Duration::from_millis(20);

#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !is_so() {
        assert!(Instant::now() < end, "it never happens that {what}");
        thread::sleep(POLL);
    }
}
