//! The log during a flood.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use linechat::limits::{LOG_PERIOD, REASON_CHARS, RECORDS_LOGGED};
use rustix::process::Signal;

use super::scene::trouble;
use crate::support::harness::{DEADLINE, Peer};
use crate::support::program::ServerProgram;

const STORM: usize = 1000;
const WITNESSES: usize = 10;

/// One network joins and leaves as fast as it can, with the longest reasons. A user of another network also does so,
/// meanwhile and afterwards, and none of that is missing.
#[test]
fn a_flood_of_leaves_is_bounded_in_the_log_and_hides_no_other_records() {
    let path = std::env::temp_dir().join(format!("linechat-log-{}.socket", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let mut server = ServerProgram::start(&["--log-level", "info", "--unix", path.to_str().unwrap()]);
    let (address, begun) = (server.address, Instant::now());
    let reason = "x".repeat(4000);
    trouble(STORM + WITNESSES, |number| match number.checked_sub(STORM / 2) {
        Some(witness @ 0..WITNESSES) => {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream.write_all(format!("witness{witness}\n/quit seen{witness}\n").as_bytes()).unwrap();
            stream.read_to_string(&mut String::new()).unwrap();
        }
        _ => {
            let mut peer = Peer::connect(address);
            peer.send(&format!("storm{number}\n/quit {reason}\n"));
            peer.rest();
        }
    });
    server.program.signal(Signal::TERM);
    let finished = server.program.finish();
    let periods = (begun.elapsed().as_nanos() / LOG_PERIOD.as_nanos()) as usize + 2;
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    let records = Record::all(&finished.stdout);
    let of = |kind: &str, key: &str, start: &str| {
        let hits = |record: &&Record| record.kind == kind && record.field(key).starts_with(start);
        records.iter().filter(hits).collect::<Vec<_>>()
    };
    for kind in ["joined", "left"] {
        let written = of(kind, "name", "storm").len();
        assert!(written <= periods * RECORDS_LOGGED as usize, "{written} of {kind} in {periods} periods");
        let suppressed: usize = of("log records suppressed", "kind", kind)
            .into_iter()
            .map(|record| {
                assert_eq!(record.field("network"), "loopback");
                record.field("count").parse::<usize>().unwrap()
            })
            .sum();
        assert_eq!(written + suppressed, STORM, "{kind}");
        assert_eq!(of(kind, "name", "witness").len(), WITNESSES, "{kind}");
    }
    for left in of("left", "name", "storm") {
        assert_eq!(left.field("user_reason"), format!("{}…", "x".repeat(REASON_CHARS)));
    }
    for witness in of("left", "name", "witness") {
        assert_eq!(witness.field("user_reason"), witness.field("name").replace("witness", "seen"));
    }
    assert_eq!(of("log records dropped", "count", "").len(), 0);
}

/// A record in the format of a test build.
struct Record {
    kind: String,
    fields: HashMap<String, String>,
}

impl Record {
    fn all(log: &str) -> Vec<Self> {
        let styles = ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m"];
        let plain = styles.iter().fold(log.to_owned(), |log, style| log.replace(style, ""));
        let mut records: Vec<Self> = Vec::new();
        for line in plain.lines() {
            if let Some(kind) = line.strip_prefix("linechat::log ") {
                records.push(Self { kind: kind.to_owned(), fields: HashMap::new() });
            } else if let (Some(record), Some((key, value))) = (records.last_mut(), line.trim_start().split_once(' ')) {
                record.fields.insert(key.to_owned(), value.to_owned());
            }
        }
        records
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}
