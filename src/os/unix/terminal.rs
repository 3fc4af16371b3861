//! The terminal: job control, its modes, its echo and its size.
//!
//! The system stops a background process that reads its terminal or changes the terminal's modes. A stopped process cannot
//! handle SIGTERM. So the client blocks those stop signals, and waits for the foreground before it uses the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, PipeWriter, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use nix::sys::signal::{SigSet, Signal as Blocked};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Signal, getpgrp, getpid, kill_current_process_group, kill_process};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush,
    tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr,
};

use crate::limits::STOP_TAKES;
use crate::os::unix::keyboard;

/// The key that makes the editor change its prompt, if the editor can get it.
pub(crate) const PROMPT_KEY: Option<char> = Some(keyboard::PROMPT_KEY);

/// Turns on bracketed paste, as the editor does.
const BRACKETS: &[u8] = b"\x1b[?2004h";

/// Turns off bracketed paste, resets the colours, and clears the line under the cursor.
const RESET: &[u8] = b"\x1b[?2004l\x1b[0m\r\x1b[J";

/// The modes before the editor changed them. They are not changed in the background.
#[derive(Clone)]
pub(crate) struct SavedModes {
    /// The original standard input. The editor reads a pseudo-terminal in its place.
    terminal: Arc<OwnedFd>,
    before: Arc<Termios>,
    /// The editor has started.
    is_edited: Arc<AtomicBool>,
    /// Makes the editor change its prompt, once it has started.
    prompts: Arc<OnceLock<PipeWriter>>,
}

impl SavedModes {
    /// Remembers the modes.
    pub(crate) fn save() -> io::Result<Self> {
        let terminal = Arc::new(io::stdin().as_fd().try_clone_to_owned()?);
        Ok(Self {
            before: Arc::new(tcgetattr(&terminal)?),
            terminal,
            is_edited: Arc::default(),
            prompts: Arc::default(),
        })
    }

    /// Restores the modes. It fails when the terminal is gone.
    pub(crate) fn restore(&self) {
        if is_foreground() {
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
            let _ = io::stdout().write_all(RESET).and_then(|()| io::stdout().flush());
        }
    }

    /// Sets the editor's modes, and does so again after each stop. From now on, the editor reads filtered input.
    pub(crate) fn begin_editing(&self) -> io::Result<()> {
        self.is_edited.store(true, Ordering::Relaxed);
        self.take_back();
        let prompts = keyboard::start(self.terminal.try_clone()?)?;
        // The editing begins once.
        let _ = self.prompts.set(prompts);
        Ok(())
    }

    /// Gives the editor [`PROMPT_KEY`]. False if it cannot get it now.
    pub(crate) fn change_prompt(&self) -> bool {
        self.prompts.get().is_some_and(|mut prompts| prompts.write_all(b"p").is_ok())
    }

    /// Sets the editor's modes if the editor has started.
    pub(crate) fn take_back(&self) {
        if self.is_edited.load(Ordering::Relaxed) && is_foreground() {
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &of_editor(&self.before));
            let _ = io::stdout().write_all(BRACKETS).and_then(|()| io::stdout().flush());
        }
    }

    /// Stops the process group, as Ctrl-Z does in the original modes. Returns when the process continues.
    pub(crate) fn stop(&self) {
        self.restore();
        let _ = kill_current_process_group(Signal::TSTP);
        // The stop may take effect a moment later, in this sleep.
        thread::sleep(STOP_TAKES);
        // Without job control the signal is ignored, and no SIGCONT follows.
        self.take_back();
        // The terminal may have another size now.
        let _ = kill_process(getpid(), Signal::WINCH);
    }
}

/// The editor's modes, as rustyline makes them.
pub(crate) fn of_editor(before: &Termios) -> Termios {
    let mut modes = before.clone();
    modes.input_modes -=
        InputModes::BRKINT | InputModes::ICRNL | InputModes::INPCK | InputModes::ISTRIP | InputModes::IXON;
    modes.control_modes |= ControlModes::CS8;
    modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    modes
}

/// Blocks SIGTTIN and SIGTTOU in this thread and in the threads that it starts. In the background, reading the terminal then
/// fails with EIO instead of stopping the process. This covers the moment between checking for the foreground and reading.
pub(crate) fn never_stop() {
    let mut signals = SigSet::empty();
    signals.add(Blocked::SIGTTIN);
    signals.add(Blocked::SIGTTOU);
    // It does not fail with valid signal numbers.
    let _ = signals.thread_block();
}

/// Whether this process may use the terminal. True without job control. It asks standard output, because the editor's
/// standard input is a pseudo-terminal.
pub(crate) fn is_foreground() -> bool {
    tcgetpgrp(io::stdout()).map_or(true, |group| group == getpgrp())
}

/// The columns and rows of the screen, 0 if unknown.
pub(crate) fn size() -> (u16, u16) {
    tcgetwinsize(io::stdout()).map_or((0, 0), |size| (size.ws_col, size.ws_row))
}

/// Whether the terminal shows what is typed.
///
/// # Errors
/// If the terminal is gone.
pub(crate) fn has_echo() -> io::Result<bool> {
    Ok(tcgetattr(io::stdin())?.local_modes.contains(LocalModes::ECHO))
}

/// # Errors
/// If the terminal is gone.
pub(crate) fn set_echo(is_on: bool) -> io::Result<()> {
    let mut modes = tcgetattr(io::stdin())?;
    modes.local_modes.set(LocalModes::ECHO, is_on);
    Ok(tcsetattr(io::stdin(), OptionalActions::Now, &modes)?)
}

/// Discards what was typed and not read yet.
pub(crate) fn discard_input() {
    // It fails when the terminal is gone.
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
}

/// Whether the terminal cannot move its cursor, according to `TERM`.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Reopens the terminal for each standard stream that is one, in blocking mode. Another program may have set
/// O_NONBLOCK, which all programs that share the stream inherit.
pub(crate) fn make_blocking() {
    own(io::stdin(), dup2_stdin);
    own(io::stdout(), dup2_stdout);
    own(io::stderr(), dup2_stderr);
}

fn own(stream: impl AsFd + AsRawFd + IsTerminal, replace: impl FnOnce(File) -> rustix::io::Result<()>) {
    if stream.is_terminal() && open_again(&stream).map(|file| replace(file).is_ok()).is_err() {
        // The terminal belongs to another user (su), or there is no /proc.
        let _ = fcntl_getfl(&stream).and_then(|flags| fcntl_setfl(&stream, flags - OFlags::NONBLOCK));
    }
}

fn open_again(stream: &impl AsRawFd) -> io::Result<File> {
    let flags = OFlags::NOCTTY.bits().cast_signed();
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}
