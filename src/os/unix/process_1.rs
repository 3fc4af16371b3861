//! The duties of process 1 of a container.
//!
//! The kernel ignores a signal to process 1 that has no handler. It also makes process 1 the parent of all orphans,
//! which stay as zombies until process 1 waits for them.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, exit};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use async_signal::{Signal, Signals};
use async_std::task::block_on;
use futures::StreamExt;
use rustix::process::{Pid, WaitOptions, getpid, wait};

/// The signals that end a program that does not handle them.
const ENDING: [Signal; 4] = [Signal::Term, Signal::Int, Signal::Hup, Signal::Quit];

/// The running program that the client waits for, and its status once it has ended.
static PROGRAM: Mutex<Option<(Pid, Option<ExitStatus>)>> = Mutex::new(None);
static HAS_ENDED: Condvar = Condvar::new();

/// Takes over the duties of process 1. Does nothing in any other process.
///
/// `ends_by_signals` is for a client that does not handle these signals itself.
///
/// # Errors
///
/// When the handlers or the thread cannot be set up.
pub(crate) fn start(ends_by_signals: bool) -> io::Result<()> {
    if !getpid().is_init() {
        return Ok(());
    }
    let ending: &[Signal] = if ends_by_signals { &ENDING } else { &[] };
    let handled = [Signal::Child].iter().chain(ending);
    let mut signals = Signals::new(handled)?;
    let work = async move {
        // Some children may have ended before the handler was set up.
        reap();
        while let Some(Ok(signal)) = signals.next().await {
            match signal {
                Signal::Child => reap(),
                _ => exit(128 + signal as i32),
            }
        }
    };
    thread::Builder::new().name("process 1".to_owned()).spawn(|| block_on(work))?;
    Ok(())
}

/// Starts a program. No child is reaped until this returns, so that its status cannot get lost.
///
/// # Errors
///
/// Those of `start`.
pub(crate) fn spawn<T>(start: impl FnOnce() -> io::Result<(Child, T)>) -> io::Result<(Child, T)> {
    let mut program = program();
    let started = start()?;
    *program = Some((Pid::from_child(&started.0), None));
    Ok(started)
}

/// Waits until that program has ended. This blocks.
///
/// # Errors
///
/// When its status is not available.
pub(crate) fn wait_for(child: &mut Child) -> io::Result<ExitStatus> {
    if !getpid().is_init() {
        return child.wait();
    }
    let ended = HAS_ENDED.wait_while(program(), |program| matches!(program, Some((_, None))));
    let status = ended.unwrap_or_else(PoisonError::into_inner).take().and_then(|(_, status)| status);
    status.ok_or_else(|| io::Error::other("its exit status is lost"))
}

/// Waits for all children that have ended.
fn reap() {
    let mut program = program();
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        if let Some((waited_for, ended)) = &mut *program
            && *waited_for == pid
        {
            *ended = Some(ExitStatus::from_raw(status.as_raw()));
            HAS_ENDED.notify_all();
        }
    }
}

fn program() -> MutexGuard<'static, Option<(Pid, Option<ExitStatus>)>> {
    PROGRAM.lock().unwrap_or_else(PoisonError::into_inner)
}
