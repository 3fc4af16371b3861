//! The calls of the Windows API that a test needs to stand in for a person at a console.
#![allow(unsafe_code, reason = "no safe crate offers them; each call says why it is sound")]

use std::ffi::c_void;
use std::io;
use std::os::windows::io::AsRawHandle;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::CloseHandle;
use windows_sys::Win32::System::Console::{
    AttachConsole, CONSOLE_SCREEN_BUFFER_INFO, COORD, FreeConsole, GetConsoleScreenBufferInfo, GetStdHandle,
    INPUT_RECORD, INPUT_RECORD_0, KEY_EVENT, KEY_EVENT_RECORD, KEY_EVENT_RECORD_0, LEFT_CTRL_PRESSED,
    ReadConsoleOutputCharacterW, STD_ERROR_HANDLE, STD_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetStdHandle,
    WriteConsoleInputW,
};
use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
use windows_sys::Win32::System::Threading::{CreateRemoteThread, LPTHREAD_START_ROUTINE};
use windows_sys::core::{BOOL, w};

/// A key, the UTF-16 unit that it types (0 if none), and whether Ctrl is held.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub code: u16,
    pub unit: u16,
    pub is_ctrl: bool,
}

/// Leaves the console of this process, and enters that of another one.
pub fn enter_console_of(process: u32) -> io::Result<()> {
    with_the_same_streams(|| {
        // SAFETY: nothing of the old console is used any more. It fails if there is none, which is fine.
        unsafe { FreeConsole() };
        // SAFETY: the argument is only a number.
        check(unsafe { AttachConsole(process) })
    })
}

/// Leaves the console of this process.
pub fn leave_console() -> io::Result<()> {
    // SAFETY: nothing of the console is used any more.
    with_the_same_streams(|| check(unsafe { FreeConsole() }))
}

/// Keeps the system from closing the standard streams of this process, or setting them to a console.
fn with_the_same_streams<T>(change: impl FnOnce() -> T) -> T {
    const STREAMS: [STD_HANDLE; 3] = [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE];
    let streams = STREAMS.map(|stream| {
        // SAFETY: without a handle, the stream is not there.
        let handle = unsafe { (GetStdHandle(stream), SetStdHandle(stream, null_mut())) }.0;
        (stream, handle)
    });
    let changed = change();
    for (stream, handle) in streams {
        // SAFETY: it is what the stream was before.
        unsafe { SetStdHandle(stream, handle) };
    }
    changed
}

/// Presses and releases keys.
pub fn press(input: &impl AsRawHandle, keys: &[Key]) -> io::Result<()> {
    let record = |key: &Key, is_down: bool| {
        let event = KEY_EVENT_RECORD {
            bKeyDown: is_down.into(),
            wRepeatCount: 1,
            wVirtualKeyCode: key.code,
            wVirtualScanCode: 0,
            uChar: KEY_EVENT_RECORD_0 { UnicodeChar: key.unit },
            dwControlKeyState: if key.is_ctrl { LEFT_CTRL_PRESSED } else { 0 },
        };
        INPUT_RECORD { EventType: KEY_EVENT as u16, Event: INPUT_RECORD_0 { KeyEvent: event } }
    };
    let records: Vec<_> = keys.iter().flat_map(|key| [record(key, true), record(key, false)]).collect();
    let (length, mut written) = (u32::try_from(records.len()).expect("there are few keys"), 0);
    // SAFETY: the records are valid for that length.
    check(unsafe { WriteConsoleInputW(input.as_raw_handle(), records.as_ptr(), length, &raw mut written) })?;
    assert_eq!(written, length, "keys that were pressed");
    Ok(())
}

/// All rows of the screen, with those that have scrolled away, and the row and column of the cursor.
pub fn screen(output: &impl AsRawHandle) -> io::Result<(Vec<String>, (usize, usize))> {
    let output = output.as_raw_handle();
    let mut info = CONSOLE_SCREEN_BUFFER_INFO::default();
    // SAFETY: a handle that is not a console gives an error.
    check(unsafe { GetConsoleScreenBufferInfo(output, &raw mut info) })?;
    let columns = u32::try_from(info.dwSize.X).expect("a width");
    let mut rows = Vec::new();
    for at in 0..info.dwSize.Y {
        let (mut row, mut count) = (vec![0; columns as usize], 0);
        let start = COORD { X: 0, Y: at };
        // SAFETY: the row has room for that many units.
        check(unsafe { ReadConsoleOutputCharacterW(output, row.as_mut_ptr(), columns, start, &raw mut count) })?;
        rows.push(String::from_utf16_lossy(&row[..count as usize]).trim_end().to_owned());
    }
    let place = |at: i16| usize::try_from(at).expect("a cursor on the screen");
    Ok((rows, (place(info.dwCursorPosition.Y), place(info.dwCursorPosition.X))))
}

/// Makes a process handle an event of the console as the system does it: a new thread in that process calls its handlers.
///
/// `GenerateConsoleCtrlEvent` cannot send all events, and Wine loses those that it can, apart from Ctrl-C.
pub fn handle_event(process: &impl AsRawHandle, event: u32) -> io::Result<()> {
    // SAFETY: the name is valid, and that library stays loaded.
    let library = unsafe { GetModuleHandleW(w!("kernel32.dll")) };
    // SAFETY: the library is loaded, and the name ends with 0.
    let Some(routine) = (unsafe { GetProcAddress(library, c"CtrlRoutine".as_ptr().cast()) }) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: this function is what the system starts threads with for such events. It has this signature.
    let routine: LPTHREAD_START_ROUTINE = Some(unsafe {
        std::mem::transmute::<unsafe extern "system" fn() -> isize, unsafe extern "system" fn(*mut c_void) -> u32>(
            routine,
        )
    });
    let event = std::ptr::without_provenance(event as usize);
    // SAFETY: the library has the same address in every process, and the function takes a number.
    let thread = unsafe { CreateRemoteThread(process.as_raw_handle(), null(), 0, routine, event, 0, null_mut()) };
    if thread.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is open and is not used any more.
    check(unsafe { CloseHandle(thread) })
}

fn check(result: BOOL) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
