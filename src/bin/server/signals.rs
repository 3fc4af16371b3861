//! Signals that stop the server or reload files.

use std::io;
use std::process::exit;

use async_std::task;
use futures::{Stream, StreamExt};
use linechat::limits::SIGNALS_PAUSE;
use linechat::log::{Log, Record};
use linechat::os::signals::{Signal, has_terminal, is_hangup_ignored};
use linechat::os::{io_error, signals};

#[derive(Debug)]
pub struct Signals {
    signals: signals::Signals,
    hangup: Hangup,
}

/// Decides whether SIGHUP stops the server or reloads files.
#[derive(Debug, Clone, Copy)]
struct Hangup {
    /// There are files to reload.
    can_reload: bool,
    /// It was ignored at startup, as by nohup(1), so a closed terminal must not stop the server.
    is_ignored: bool,
    /// There was a controlling terminal at the start.
    had_terminal: bool,
}

impl Signals {
    /// Listens for SIGINT, SIGTERM and SIGHUP. If SIGHUP was ignored and there is nothing to read again, it stays ignored.
    ///
    /// # Errors
    /// The error of the system.
    pub fn new(can_reload: bool) -> io::Result<Self> {
        let hangup = Hangup { can_reload, is_ignored: is_hangup_ignored(), had_terminal: has_terminal() };
        let listens = can_reload || !hangup.is_ignored;
        let signals = [Signal::Int, Signal::Term].into_iter().chain(listens.then_some(Signal::Hup));
        Ok(Self { signals: signals::Signals::new(signals)?, hangup })
    }

    /// Waits for a signal to stop, and calls `reload` at each signal to reload. After that, another signal to stop ends
    /// the process at once. SIGHUP is then ignored, because closing a terminal may send several.
    ///
    /// A reload may take forever, for example with a network file system. Signals are still handled.
    pub async fn until_stop<F>(self, log: Log, reload: impl Fn() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send,
    {
        let Self { mut signals, hangup } = self;
        until_stop(&mut signals, hangup, &log, reload).await;
        task::spawn(async move {
            // The log ends when its last handle is dropped.
            let log = Log::off();
            loop {
                match next(&mut signals, &log).await {
                    Signal::Hup => {}
                    signal => exit(128 + signal as i32),
                }
            }
        });
    }
}

async fn until_stop<F>(
    signals: &mut (impl Stream<Item = io::Result<Signal>> + Unpin),
    hangup: Hangup,
    log: &Log,
    reload: impl Fn() -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send,
{
    let (ask, asked) = async_channel::bounded(1);
    task::spawn(async move {
        while asked.recv().await.is_ok() {
            reload().await;
        }
    });
    while next(signals, log).await == Signal::Hup && !hangup.stops() {
        // If the channel is full, a reload is about to start anyway and will read the current files.
        let _ = ask.try_send(());
    }
}

impl Hangup {
    fn stops(self) -> bool {
        !self.is_ignored && (!self.can_reload || self.had_terminal && !has_terminal())
    }
}

/// The next signal. An error is logged, and after a pause the stream is read again.
async fn next(signals: &mut (impl Stream<Item = io::Result<Signal>> + Unpin), log: &Log) -> Signal {
    loop {
        match signals.next().await {
            Some(Ok(signal)) => return signal,
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            Some(Err(error)) => {
                log.note(Record::SignalsFailed { error: io_error::describe(&error) });
                task::sleep(SIGNALS_PAUSE).await;
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_std::future::timeout;
    use futures::channel::mpsc;
    use futures::{FutureExt, SinkExt, stream};

    use super::*;

    #[test]
    fn an_error_of_the_signal_stream_is_not_a_signal() {
        let errors = [io::ErrorKind::Interrupted, io::ErrorKind::Other].map(|kind| Err(kind.into()));
        let mut signals = stream::iter(errors.into_iter().chain([Ok(Signal::Term)]));
        assert_eq!(task::block_on(next(&mut signals, &Log::off())), Signal::Term);
    }

    async fn receive<T>(from: &async_channel::Receiver<T>) -> T {
        timeout(Duration::from_secs(20), from.recv()).await.unwrap().unwrap()
    }

    const RELOADS: Hangup = Hangup { can_reload: true, is_ignored: false, had_terminal: false };

    #[test]
    fn a_reload_that_does_not_end_does_not_keep_the_server_from_stopping() {
        let (mut send, mut signals) = mpsc::unbounded();
        let (begin, begun) = async_channel::unbounded();
        let reload = move || {
            begin.try_send(()).unwrap();
            std::future::pending()
        };
        let (stop, stopped) = async_channel::bounded(1);
        task::spawn(async move {
            until_stop(&mut signals, RELOADS, &Log::off(), reload).await;
            stop.try_send(()).unwrap();
        });
        task::block_on(async {
            send.send(Ok(Signal::Hup)).await.unwrap();
            receive(&begun).await;
            send.send(Ok(Signal::Term)).await.unwrap();
            receive(&stopped).await;
        });
    }

    #[test]
    fn a_reload_that_is_asked_for_during_another_follows_it() {
        let (mut send, mut signals) = mpsc::unbounded();
        let (begin, begun) = async_channel::unbounded();
        let (end, ends) = async_channel::unbounded::<()>();
        let reload = move || {
            begin.try_send(()).unwrap();
            let ends = ends.clone();
            async move { ends.recv().await.unwrap() }
        };
        task::spawn(async move { until_stop(&mut signals, RELOADS, &Log::off(), reload).await });
        task::block_on(async {
            send.send(Ok(Signal::Hup)).await.unwrap();
            receive(&begun).await;
            send.send(Ok(Signal::Hup)).await.unwrap();
            end.try_send(()).unwrap();
            receive(&begun).await;
        });
    }

    #[test]
    fn the_end_of_the_signal_stream_is_not_a_signal() {
        assert_eq!(next(&mut stream::empty(), &Log::off()).now_or_never(), None);
    }
}
