//! Statistics of a process from /proc (proc(5)).

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;

/// The process to look at.
#[derive(Clone, Copy)]
pub struct ProcessStats(pub Pid);

impl ProcessStats {
    /// The number of its open descriptors.
    pub fn descriptors(self) -> usize {
        fs::read_dir(self.path("fd")).unwrap().count()
    }

    /// The CPU time that it has used, to 10 ms.
    pub fn cpu(self) -> Duration {
        let stat = self.read("stat");
        // The second field, the name, may contain blanks. Fields 14 and 15 are ticks of 1/100 s (USER_HZ).
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(10 * ticks)
    }

    /// Its memory in RAM, in bytes.
    pub fn resident(self) -> u64 {
        self.bytes("VmRSS:")
    }

    /// The maximum of that so far.
    pub fn peak_resident(self) -> u64 {
        self.bytes("VmHWM:")
    }

    fn bytes(self, field: &str) -> u64 {
        let kib = value(&self.read("status"), field);
        kib.strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
    }

    /// How often its thread of this name has waited for something.
    pub fn waits_of_thread(self, name: &str) -> u64 {
        let threads = fs::read_dir(self.path("task")).unwrap().map(|thread| thread.unwrap().path());
        // Another thread may have ended meanwhile.
        let status = |thread: PathBuf| fs::read_to_string(thread.join("status")).ok();
        let found = threads.filter_map(status).find(|status| value(status, "Name:") == name);
        value(&found.expect("there is such a thread"), "voluntary_ctxt_switches:").parse().unwrap()
    }

    fn read(self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    fn path(self, file: &str) -> String {
        format!("/proc/{}/{file}", self.0.as_raw_nonzero())
    }
}

/// The value of a field in /proc/PID/status.
fn value(status: &str, field: &str) -> String {
    status.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim().to_owned()
}
