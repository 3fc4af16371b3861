//! What the docs say about the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use linechat::protocol::command::{Access, COMMANDS};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// All files of a folder and of those in it, as paths from the root of the repository.
fn files(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

#[test]
fn architecture_lists_every_source_file_once_and_says_what_it_is() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/architecture.md")).unwrap();
    let mut listed = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("src/")) {
        let (path, what) = line.split_once(' ').unwrap_or((line, ""));
        assert!(!what.trim().is_empty(), "{path}: what is it?");
        assert!(listed.insert(path.to_owned()), "{path} is listed twice");
    }
    // A `tests.rs` belongs to the file whose unit tests it holds.
    let described = files("src").into_iter().filter(|path| !path.ends_with("/tests.rs"));
    assert_eq!(listed, described.collect());
}

/// Compares a table of a page with what the code says, or rewrites it if `LINECHAT_UPDATE_DOCS` is set.
#[track_caller]
fn check_table(page: &str, name: &str, expected: &str) {
    let path = Path::new(ROOT).join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->\n"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no {begin}"));
    let (table, after) = rest.split_once(&end).unwrap_or_else(|| panic!("{page} has no {end}"));
    if std::env::var_os("LINECHAT_UPDATE_DOCS").is_some() {
        fs::write(path, [before, &begin, expected, &end, after].concat()).unwrap();
    } else {
        assert!(table == expected, "the table in {page} is out of date: LINECHAT_UPDATE_DOCS=1 makes it\n\n{expected}");
    }
}

#[test]
fn protocol_lists_every_command_of_the_room() {
    let mut table = "| command | for | what it does |\n|---|---|---|\n".to_owned();
    for command in COMMANDS {
        let who = match command.access {
            Access::Everyone(_) => "everyone",
            Access::Operator(_) => "operators",
            Access::Administrator(_) => continue,
        };
        let aliases: String = command.aliases.iter().map(|alias| format!(", `/{alias}`")).collect();
        // Also within code, a bar would begin the next cell.
        let usage = command.usage.replace('|', "\\|");
        table += &format!("| `{usage}`{aliases} | {who} | {} |\n", command.help);
    }
    check_table("docs/protocol.md", "commands", &table);
}
