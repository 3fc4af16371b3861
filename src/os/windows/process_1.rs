//! Windows has no process 1 whose duties a program could have.

use std::io;
use std::process::{Child, ExitStatus};

pub(crate) fn start(_: bool) -> io::Result<()> {
    Ok(())
}

pub(crate) fn spawn<T>(start: impl FnOnce() -> io::Result<(Child, T)>) -> io::Result<(Child, T)> {
    start()
}

pub(crate) fn wait_for(child: &mut Child) -> io::Result<ExitStatus> {
    child.wait()
}
