//! The calls of the Windows API that no safe crate offers. This is the only unsafe code of the project.
#![expect(unsafe_code, reason = "the functions are foreign; each call says why it is sound")]

use std::io;
use std::os::windows::io::{AsRawHandle, AsRawSocket};
use std::sync::OnceLock;

use windows_sys::Win32::Networking::WinSock::{SO_EXCLUSIVEADDRUSE, SOCKET, SOL_SOCKET, WSAGetLastError, setsockopt};
use windows_sys::Win32::System::Console::{
    CONSOLE_SCREEN_BUFFER_INFO, CTRL_BREAK_EVENT, CTRL_C_EVENT, GetConsoleMode, GetConsoleScreenBufferInfo,
    SetConsoleCtrlHandler, SetConsoleMode,
};
use windows_sys::core::BOOL;

/// An event of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsoleEvent {
    /// Ctrl-C or Ctrl-Break.
    Interrupt,
    /// The console is closing, the user logs off, or the machine shuts down.
    Closing,
}

static HANDLER: OnceLock<fn(ConsoleEvent) -> bool> = OnceLock::new();

/// Calls `handler` for each event of the console, on a thread of the system's. It returns whether the event is handled;
/// otherwise the system ends the process. Only the first call has an effect.
pub(crate) fn handle_console_events(handler: fn(ConsoleEvent) -> bool) -> io::Result<()> {
    let _ = HANDLER.set(handler);
    // SAFETY: the function has the right signature and lives as long as the process.
    check(unsafe { SetConsoleCtrlHandler(Some(on_console_event), 1) })
}

unsafe extern "system" fn on_console_event(event: u32) -> BOOL {
    let event = match event {
        CTRL_C_EVENT | CTRL_BREAK_EVENT => ConsoleEvent::Interrupt,
        _ => ConsoleEvent::Closing,
    };
    HANDLER.get().is_some_and(|handler| handler(event)).into()
}

/// Keeps other programs from listening at the same address.
pub(crate) fn set_exclusive_address_use(socket: &impl AsRawSocket) -> io::Result<()> {
    let on: BOOL = 1;
    let (socket, length) = (socket.as_raw_socket() as SOCKET, size_of::<BOOL>() as i32);
    // SAFETY: the socket is open, and the value is a BOOL of that length.
    let result = unsafe { setsockopt(socket, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, (&raw const on).cast(), length) };
    // SAFETY: it only reads the error of this thread.
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(unsafe { WSAGetLastError() })) }
}

/// The mode of a console: bits that say what it does with keys and text.
pub(crate) fn console_mode(console: &impl AsRawHandle) -> io::Result<u32> {
    let mut mode = 0;
    // SAFETY: a handle that is not a console gives an error.
    check(unsafe { GetConsoleMode(console.as_raw_handle(), &raw mut mode) })?;
    Ok(mode)
}

pub(crate) fn set_console_mode(console: &impl AsRawHandle, mode: u32) -> io::Result<()> {
    // SAFETY: a handle that is not a console gives an error.
    check(unsafe { SetConsoleMode(console.as_raw_handle(), mode) })
}

/// The columns and rows that are visible.
pub(crate) fn console_size(console: &impl AsRawHandle) -> io::Result<(u16, u16)> {
    let mut info = CONSOLE_SCREEN_BUFFER_INFO::default();
    // SAFETY: a handle that is not a console gives an error.
    check(unsafe { GetConsoleScreenBufferInfo(console.as_raw_handle(), &raw mut info) })?;
    let rows = info.srWindow.Bottom - info.srWindow.Top + 1;
    Ok((u16::try_from(info.dwSize.X).unwrap_or(0), u16::try_from(rows).unwrap_or(0)))
}

fn check(result: BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
