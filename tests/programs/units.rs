//! The units for systemd in packaging/, as systemd-analyze(1) sees them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::harness::skipped;
use crate::support::program::SERVER;

const UNITS: [&str; 3] = ["linechat-server.service", "linechat-server.socket", "linechat-server-tls.socket"];

/// The units in a folder of their own. They start the server that is tested.
fn units(test: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("linechat-units-{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for unit in UNITS {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(unit)).unwrap();
        fs::write(folder.join(unit), text.replace("/usr/bin/linechat-server", SERVER)).unwrap();
    }
    folder
}

/// What systemd-analyze says about units. `None` if it is not installed, or cannot do that; this prints a message then.
fn analyze(arguments: &[&str], folder: &Path, units: &[&str]) -> Option<Output> {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).args(units.iter().map(|unit| folder.join(unit)));
    match command.output() {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("unrecognized option") => Some(output),
        _ => {
            skipped("the units of systemd: systemd-analyze is not installed, or too old");
            None
        }
    }
}

#[test]
fn systemd_finds_no_mistake_in_the_units() {
    let folder = units("verify");
    if let Some(output) = analyze(&["verify", "--man=no"], &folder, &UNITS) {
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_service_has_few_rights() {
    let folder = units("security");
    // It was 1.5 when it was written.
    if let Some(output) = analyze(&["security", "--offline=yes", "--threshold=15"], &folder, &UNITS[..1]) {
        assert!(output.status.success(), "{output:?}");
    }
    fs::remove_dir_all(folder).unwrap();
}
