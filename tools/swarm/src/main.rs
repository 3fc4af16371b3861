//! The swarm: many peers that drive a chat server over loopback, to measure its cost.
//!
//! Every peer checks that it receives every line, complete and in order. A server that loses one gets no figures.
#![allow(missing_docs, missing_debug_implementations)]

mod chart;
mod clients;
mod compare;
mod dialect;
mod floor;
mod ledger;
mod load;
mod target;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use linechat::os::descriptors::raise_descriptor_limit;

use compare::Compare;
use load::{Figures, Load};
use target::Target;

/// Puts a load on a chat server and measures its cost.
#[derive(Debug, Parser)]
struct Arguments {
    /// Our server's program
    #[arg(long, global = true, value_name = "FILE")]
    binary: Option<PathBuf>,

    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run one load on one server
    Drive {
        /// The server
        #[arg(long, value_enum, default_value_t = Target::Linechat)]
        server: Target,

        #[command(flatten)]
        load: Load,
    },
    /// Run many loads on all installed servers, and write the results to docs/performance.md
    Compare(Compare),
    /// Run the floor, the baseline for servers
    #[command(hide = true)]
    Floor { port: u16 },
}

fn main() -> Result<()> {
    let Arguments { binary, what } = Arguments::parse();
    let binary = move || binary.map_or_else(our_server, Ok);
    // The servers inherit this limit.
    raise_descriptor_limit();
    match what {
        What::Drive { server, load } => print(&load, &load.put_on(server, &binary()?)?),
        What::Compare(compare) => compare.run(&binary()?)?,
        What::Floor { port } => floor::serve(port)?,
    }
    Ok(())
}

/// The server program that was built next to this one.
fn our_server() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let server = this.with_file_name("server");
    ensure!(server.exists(), "{} is missing; build it with: cargo build --release --bin server", server.display());
    Ok(server)
}

fn print(load: &Load, figures: &Figures) {
    println!("{} peers in the room after   {:>10.0} ms", load.peers, figures.joining.ready.as_secs_f64() * 1e3);
    if let Some(informed) = figures.joining.informed {
        println!("all of them known to all    {:>10.0} ms", informed.as_secs_f64() * 1e3);
    }
    println!("server's CPU for each       {:>10.1} us", figures.cpu_per_join / 1e3);
    println!("memory for each             {:>10.1} KiB", figures.idle_memory / 1024.0);
    if let Some(talk) = figures.talk {
        println!("deliveries                  {:>10.0} /s", talk.deliveries_per_second);
        println!("server's CPU for each       {:>10.1} ns", talk.cpu_per_delivery);
        println!("latency p50                 {:>10.0} us", talk.latency.p50);
        println!("latency p99                 {:>10.0} us", talk.latency.p99);
        println!("latency max                 {:>10.0} us", talk.latency.max);
        println!("server's memory             {:>10.1} MiB", talk.memory / 1024.0 / 1024.0);
    }
}
