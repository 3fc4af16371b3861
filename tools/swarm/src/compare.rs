//! The comparison: runs the same loads on every server in turn, and relates the costs to those of the floor.
//!
//! Machines differ, and one machine differs from minute to minute. So only ratios count: each is of two consecutive
//! runs, and the result is the median of several ratios.

use std::collections::HashMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use crate::chart::{Curve, draw};
use crate::load::{Figures, Load, Talk};
use crate::target::Target;

#[derive(Debug, Args)]
pub struct Compare {
    /// How many times to run each load on each server
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// Seconds to measure each time
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,

    /// The page whose tables and charts are updated
    #[arg(long, value_name = "FOLDER", default_value = "docs")]
    docs: PathBuf,
}

/// The loads of the table: the number of peers, and the number of lines in flight.
const LOADS: [(usize, usize); 5] = [(1000, 512), (1000, 32), (100, 1), (5000, 64), (15_000, 64)];

/// The curves: the numbers of peers with 10 senders, and of senders among 1000 peers.
const PEERS: [usize; 8] = [10, 30, 100, 300, 1000, 3000, 5000, 15_000];
const SENDERS: [usize; 4] = [1, 10, 100, 1000];
const CURVES: [Target; 3] = [Target::Floor, Target::Linechat, Target::Nats];

/// The number of lines in flight for the curves.
const IN_FLIGHT: usize = 64;

/// The summary of several rounds.
type Rounds = HashMap<Target, Vec<Figures>>;

impl Compare {
    pub fn run(&self, binary: &Path) -> Result<()> {
        let mut tables = String::new();
        self.table(binary, &mut tables)?;
        let by_peers = self.curves(binary, &PEERS, |peers| self.load(peers, 10, IN_FLIGHT))?;
        let by_senders = self.curves(binary, &SENDERS, |senders| self.load(1000, senders, IN_FLIGHT))?;
        write_curves(&mut tables, "peers, 10 of them senders", &PEERS, &by_peers)?;
        write_curves(&mut tables, "senders among 1000 peers", &SENDERS, &by_senders)?;
        draw(&self.docs.join("performance-peers.svg"), "peers", &by_peers)?;
        draw(&self.docs.join("performance-senders.svg"), "senders among 1000 peers", &by_senders)?;
        replace_tables(&self.docs.join("performance.md"), &tables)
    }

    fn load(&self, peers: usize, senders: usize, in_flight: usize) -> Load {
        Load { peers, rooms: 1, senders: senders.min(peers), size: 64, in_flight, rate: None, seconds: self.seconds }
    }

    fn table(&self, binary: &Path, out: &mut String) -> Result<()> {
        writeln!(
            out,
            "| peers | lines in flight | server | CPU / floor | p99 / floor | deliveries/s / floor | CPU a delivery |\n\
             |---|---|---|---|---|---|---|"
        )?;
        let mut joining = String::new();
        for (peers, in_flight) in LOADS {
            let targets: Vec<_> = all_targets().filter(|target| peers <= target.most_peers()).collect();
            let rounds = self.rounds(binary, &targets, &self.load(peers, 10, in_flight))?;
            for target in targets {
                write_row(out, peers, in_flight, target, &rounds)?;
            }
            write_joining(&mut joining, peers, &rounds[&Target::Linechat])?;
        }
        write!(
            out,
            "\n| peers | all in the room | all known to all | CPU of a join | memory of a silent peer | memory at the end of the load |\n\
             |---|---|---|---|---|---|\n\
             {joining}"
        )?;
        Ok(())
    }

    fn curves(&self, binary: &Path, points: &[usize], load: impl Fn(usize) -> Load) -> Result<Vec<Curve>> {
        let targets: Vec<_> = CURVES.into_iter().filter(|target| target.is_installed()).collect();
        let mut curves: Vec<_> =
            targets.iter().map(|target| Curve { name: target.name(), points: Vec::new() }).collect();
        for &point in points {
            let rounds = self.rounds(binary, &targets, &load(point))?;
            for (target, curve) in targets.iter().zip(&mut curves) {
                curve
                    .points
                    .extend(median(talks(&rounds[target]).map(|talk| talk.cpu_per_delivery)).map(|ns| (point, ns)));
            }
        }
        Ok(curves)
    }

    /// Runs the load on all servers in turn. If one fails, it gets no figures, and the reason is printed.
    fn rounds(&self, binary: &Path, targets: &[Target], load: &Load) -> Result<Rounds> {
        let mut rounds: Rounds = targets.iter().map(|&target| (target, Vec::new())).collect();
        for _ in 0..self.rounds {
            for &target in targets {
                eprint!(
                    "{} peers, {} senders, {} in flight, {}: ",
                    load.peers,
                    load.senders,
                    load.in_flight,
                    target.name()
                );
                match load.put_on(target, binary) {
                    Ok(figures) => {
                        eprintln!("{:.1} ns", figures.talk.map_or(0.0, |talk| talk.cpu_per_delivery));
                        rounds.get_mut(&target).context("it was put in above")?.push(figures);
                    }
                    // Our server and the floor must not fail.
                    Err(error) if matches!(target, Target::Linechat | Target::Floor) => return Err(error),
                    Err(error) => eprintln!("{error:#}"),
                }
            }
        }
        Ok(rounds)
    }
}

fn all_targets() -> impl Iterator<Item = Target> {
    use clap::ValueEnum;
    Target::value_variants().iter().copied().filter(|target| target.is_installed())
}

fn talks(figures: &[Figures]) -> impl Iterator<Item = Talk> {
    figures.iter().filter_map(|figures| figures.talk)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn write_row(out: &mut String, peers: usize, in_flight: usize, target: Target, rounds: &Rounds) -> Result<()> {
    let (own, floor) = (&rounds[&target], &rounds[&Target::Floor]);
    let name = target.name();
    // A server that failed once has no complete pairs.
    if own.len() < floor.len() {
        writeln!(out, "| {peers} | {in_flight} | {name} | lost lines, or ended | | | |")?;
        return Ok(());
    }
    let pairs = || talks(own).zip(talks(floor));
    let cell = |value: Option<f64>, digits: usize| value.map_or(String::new(), |value| format!("{value:.digits$}"));
    writeln!(
        out,
        "| {peers} | {in_flight} | {name} | {} | {} | {} | {} ns |",
        cell(median(pairs().map(|(own, floor)| own.cpu_per_delivery / floor.cpu_per_delivery)), 2),
        cell(median(pairs().map(|(own, floor)| own.latency.p99 / floor.latency.p99)), 2),
        cell(median(pairs().map(|(own, floor)| own.deliveries_per_second / floor.deliveries_per_second)), 2),
        cell(median(talks(own).map(|talk| talk.cpu_per_delivery)), 0),
    )?;
    Ok(())
}

fn write_joining(out: &mut String, peers: usize, figures: &[Figures]) -> Result<()> {
    let ready = median(figures.iter().map(|figures| figures.joining.ready.as_secs_f64())).unwrap_or_default();
    let informed = figures.iter().filter_map(|figures| figures.joining.informed);
    let informed = median(informed.map(|time| time.as_secs_f64())).unwrap_or_default();
    let cpu = median(figures.iter().map(|figures| figures.cpu_per_join / 1e3)).unwrap_or_default();
    let idle = median(figures.iter().map(|figures| figures.idle_memory / 1024.0)).unwrap_or_default();
    let busy = median(talks(figures).map(|talk| talk.memory / 1024.0 / 1024.0)).unwrap_or_default();
    writeln!(out, "| {peers} | {ready:.2} s | {informed:.2} s | {cpu:.0} us | {idle:.1} KiB | {busy:.0} MiB |")?;
    Ok(())
}

fn write_curves(out: &mut String, what: &str, points: &[usize], curves: &[Curve]) -> Result<()> {
    write!(out, "\n| {what} |")?;
    points.iter().try_for_each(|point| write!(out, " {point} |"))?;
    writeln!(out, "\n|---|{}", "---|".repeat(points.len()))?;
    for curve in curves {
        write!(out, "| {} |", curve.name)?;
        for point in points {
            let ns = curve.points.iter().find(|(at, _)| at == point).map(|(_, ns)| format!("{ns:.0} ns"));
            write!(out, " {} |", ns.unwrap_or_default())?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The tables are between two comments, which stay.
fn replace_tables(page: &Path, tables: &str) -> Result<()> {
    const BEGIN: &str = "<!-- written by benches/compare: begin -->\n";
    const END: &str = "<!-- end -->";
    let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    let (before, rest) = text.split_once(BEGIN).context("the page has no place for the tables")?;
    let (_, after) = rest.split_once(END).context("the place for the tables has no end")?;
    Ok(fs::write(page, format!("{before}{BEGIN}{tables}{END}{after}"))?)
}
