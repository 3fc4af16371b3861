//! Signals: to stop, at once if need be, and to read files again.

use std::io;
use std::process::exit;

use async_signal::Signal;
use async_std::task;
use futures::StreamExt;

/// What the operator tells this process.
#[derive(Debug)]
pub struct Signals(async_signal::Signals);

impl Signals {
    /// Listens for SIGINT and SIGTERM, and for SIGHUP if there is something to read again. If there is not, it ends the
    /// process, as it does when a terminal is closed.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(can_reload: bool) -> io::Result<Self> {
        let hangup = can_reload.then_some(Signal::Hup);
        Ok(Self(async_signal::Signals::new([Signal::Int, Signal::Term].into_iter().chain(hangup))?))
    }

    /// Waits for the signal to stop, and reloads at each one to do that. From then on another one to stop ends the process
    /// at once.
    ///
    /// A reload may take for ever, where a file is at the other end of a network; signals are heard all the same.
    pub async fn until_stop<F>(mut self, reload: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let (ask, asked) = async_channel::bounded(1);
        task::spawn(async move {
            while asked.recv().await.is_ok() {
                reload().await;
            }
        });
        while let Some(Ok(Signal::Hup)) = self.0.next().await {
            // If it is full, a reload is still to begin, and reads what is there by then.
            let _ = ask.try_send(());
        }
        task::spawn(async move {
            while let Some(Ok(signal)) = self.0.next().await {
                if signal != Signal::Hup {
                    exit(128 + signal as i32);
                }
            }
        });
    }
}
