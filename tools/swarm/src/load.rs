//! A load: a number of peers and senders, and what they cost a server.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;

use crate::clients::{Clients, Drive, Joining};
use crate::dialect::Words;
use crate::ledger::Ledger;
use crate::target::Target;

/// The maximum number of lines in flight at a fixed rate. More means that the server cannot keep up.
const WINDOW_AT_A_RATE: usize = 4096;

#[derive(Debug, Clone, Copy, Args)]
pub struct Load {
    /// Number of peers
    #[arg(long, default_value_t = 1000)]
    pub peers: usize,

    /// Number of rooms, each with the same number of peers and of senders
    #[arg(long, default_value_t = 1)]
    pub rooms: usize,

    /// Number of peers that send, in turn
    #[arg(long, default_value_t = 10)]
    pub senders: usize,

    /// Length of a line in bytes, without name and line ending
    #[arg(long, default_value_t = 64)]
    pub size: usize,

    /// Number of lines in flight: the next one is sent when one has reached everyone
    #[arg(long, default_value_t = 32)]
    pub in_flight: usize,

    /// Lines per second, instead of --in-flight
    #[arg(long, value_name = "LINES")]
    pub rate: Option<f64>,

    /// Seconds to measure, after a quarter of that to warm up; with 0, the peers only join
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
}

/// The cost of a load.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    pub joining: Joining,
    /// Nanoseconds of the server's CPU time per peer that joined, until everyone knew.
    pub cpu_per_join: f64,
    /// Bytes of memory per peer that has joined and is silent.
    pub idle_memory: f64,
    pub talk: Option<Talk>,
}

/// The cost of sending.
#[derive(Debug, Clone, Copy)]
pub struct Talk {
    pub deliveries_per_second: f64,
    /// Nanoseconds of the server's CPU time per line that reached a peer.
    pub cpu_per_delivery: f64,
    /// Latencies of lines to a peer.
    pub latency: Latency,
    /// Bytes of memory of the server at the end.
    pub memory: f64,
}

/// In microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

impl Load {
    /// Runs the load on a new server. `binary` is our server program.
    pub fn put_on(&self, target: Target, binary: &Path) -> Result<Figures> {
        ensure!(self.size >= Words::LEAST, "a line needs {} bytes", Words::LEAST);
        ensure!(
            self.peers >= 2 && (1..=self.peers).contains(&self.senders),
            "there must be senders among 2 peers or more"
        );
        ensure!(
            self.rooms == 1
                || target == Target::Linechat
                    && self.peers.is_multiple_of(self.rooms)
                    && self.senders.is_multiple_of(self.rooms)
                    && self.peers >= 2 * self.rooms,
            "only linechat has rooms, and each needs as many peers and senders as the others"
        );
        let server = target.start(binary, self.rooms)?;
        let (empty, idle_cpu) = (server.resident()?, server.cpu()?);
        let mut clients = Clients::new(target.dialect(), self.size, self.rooms)?;
        let joining = clients.join(server.address, self.peers, target.has_short_backlog())?;
        let cpu_per_join = (server.cpu()? - idle_cpu) as f64 / self.peers as f64;
        let idle_memory = (server.resident()? as f64 - empty as f64) / self.peers as f64;
        let mut figures = Figures { joining, cpu_per_join, idle_memory, talk: None };
        if self.seconds == 0.0 {
            return Ok(figures);
        }
        let (drive, window) = match self.rate {
            Some(rate) => (Drive::Rate(rate), WINDOW_AT_A_RATE),
            None => (Drive::Window, self.in_flight),
        };
        let mut ledger = Ledger::new(self.peers, self.senders, window, self.rooms);
        let (start, mut measured) = (Instant::now(), None);
        let (warm_up, seconds) = [self.seconds / 4.0, self.seconds].map(Duration::from_secs_f64).into();
        clients.talk(&mut ledger, drive, |ledger| {
            let (cpu, deliveries, now) = match (start.elapsed(), measured) {
                (elapsed, None) if elapsed >= warm_up => {
                    ledger.latency.reset();
                    measured = Some((server.cpu()?, ledger.deliveries, Instant::now()));
                    return Ok(ControlFlow::Continue(()));
                }
                (elapsed, Some(measured)) if elapsed >= warm_up + seconds => measured,
                _ => return Ok(ControlFlow::Continue(())),
            };
            let delivered = (ledger.deliveries - deliveries) as f64;
            let quantile = |part: f64| ledger.latency.value_at_quantile(part) as f64 / 1e3;
            figures.talk = Some(Talk {
                deliveries_per_second: delivered / now.elapsed().as_secs_f64(),
                cpu_per_delivery: (server.cpu()? - cpu) as f64 / delivered,
                latency: Latency { p50: quantile(0.5), p99: quantile(0.99), max: quantile(1.0) },
                memory: server.resident()? as f64,
            });
            Ok(ControlFlow::Break(()))
        })?;
        Ok(figures)
    }
}
