//! The calls of the Windows API that no safe crate offers. This is the only unsafe code of the programs.
#![expect(unsafe_code, reason = "the functions are foreign; each call says why it is sound")]

use std::io;
use std::os::windows::io::{AsRawHandle, AsRawSocket};
use std::ptr::null_mut;
use std::sync::OnceLock;

use windows_sys::Win32::Foundation::{GENERIC_ALL, GENERIC_READ, GENERIC_WRITE, LocalFree};
use windows_sys::Win32::Networking::WinSock::{SO_EXCLUSIVEADDRUSE, SOCKET, SOL_SOCKET, WSAGetLastError, setsockopt};
use windows_sys::Win32::Security::Authorization::{GetSecurityInfo, SE_FILE_OBJECT};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACE_HEADER, ACL, DACL_SECURITY_INFORMATION, GetAce, INHERIT_ONLY_ACE, IsWellKnownSid,
    WinAuthenticatedUserSid, WinBuiltinGuestsSid, WinBuiltinUsersSid, WinInteractiveSid, WinWorldSid,
};
use windows_sys::Win32::Storage::FileSystem::{
    FILE_APPEND_DATA, FILE_READ_DATA, FILE_WRITE_DATA, WRITE_DAC, WRITE_OWNER,
};
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

/// Whether a group that everybody on this machine belongs to may read or change a file.
pub(crate) fn is_open_to_everybody(file: &impl AsRawHandle) -> io::Result<bool> {
    let (mut list, mut descriptor) = (null_mut(), null_mut());
    // SAFETY: the handle is open, and unwanted results are null. The list is a part of the descriptor.
    let error = unsafe {
        GetSecurityInfo(
            file.as_raw_handle(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION,
            null_mut(),
            null_mut(),
            &raw mut list,
            null_mut(),
            &raw mut descriptor,
        )
    };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error.cast_signed()));
    }
    // SAFETY: the list is valid until the descriptor is freed. Without a list, everybody may do everything.
    let is_open = unsafe { list.is_null() || (0..(*list).AceCount).any(|at| admits_everybody(list, at.into())) };
    // SAFETY: it was allocated by GetSecurityInfo, and nothing uses it any more.
    unsafe { LocalFree(descriptor) };
    Ok(is_open)
}

/// Whether an entry of an access control list lets such a group read or change the file.
///
/// # Safety
/// The list must be valid.
unsafe fn admits_everybody(list: *const ACL, at: u32) -> bool {
    const ALLOWED: u8 = 0;
    const READ_OR_CHANGE: u32 = FILE_READ_DATA
        | FILE_WRITE_DATA
        | FILE_APPEND_DATA
        | WRITE_DAC
        | WRITE_OWNER
        | GENERIC_READ
        | GENERIC_WRITE
        | GENERIC_ALL;
    const GROUPS: [i32; 5] =
        [WinWorldSid, WinAuthenticatedUserSid, WinBuiltinUsersSid, WinBuiltinGuestsSid, WinInteractiveSid];
    let mut entry = null_mut();
    // SAFETY: the list is valid. The kind of an entry tells its type, and its SID begins at `SidStart`.
    unsafe {
        if GetAce(list, at, &raw mut entry) == 0 {
            return false;
        }
        let header = &*entry.cast::<ACE_HEADER>();
        let is_about_this_file = u32::from(header.AceFlags) & INHERIT_ONLY_ACE == 0;
        let allowed = entry.cast::<ACCESS_ALLOWED_ACE>();
        header.AceType == ALLOWED
            && is_about_this_file
            && (*allowed).Mask & READ_OR_CHANGE != 0
            && GROUPS.iter().any(|&group| IsWellKnownSid((&raw mut (*allowed).SidStart).cast(), group) != 0)
    }
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
