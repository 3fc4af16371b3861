//! Checks the docs against the code.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use linechat::protocol::command::{Access, COMMANDS};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// All files of a folder and its subfolders, as paths from the root of the repository.
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

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

#[test]
fn architecture_lists_every_source_file_once_with_its_purpose() {
    let page = read("docs/architecture.md");
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

/// The pages, as paths from the root of the repository.
fn pages() -> BTreeSet<String> {
    let names = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(str::to_owned);
    names.into_iter().chain(files("docs").into_iter().filter(|path| path.ends_with(".md"))).collect()
}

/// A page without its blocks of code.
fn text_of(page: &str) -> String {
    let mut is_code = false;
    let mut is_text = |line: &&str| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_fence && !is_code
    };
    read(page).lines().filter(|line| is_text(line)).flat_map(|line| [line, "\n"]).collect()
}

/// The anchor of a heading on GitHub.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|&char| char.is_alphanumeric() || matches!(char, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn links_lead_to_pages_and_headings_that_exist() {
    for page in pages() {
        let text = text_of(&page);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file = match file {
                "" => page.clone(),
                _ => Path::new(&page).parent().unwrap().join(file).to_str().unwrap().to_owned(),
            };
            assert!(Path::new(ROOT).join(&file).exists(), "{page}: there is no {target}");
            let text = text_of(&file);
            let mut headings = text.lines().filter_map(|line| line.split_once("# ")).map(|(_, title)| anchor(title));
            assert!(heading.is_empty() || headings.any(|other| other == heading), "{page}: there is no {target}");
        }
    }
}

#[test]
fn files_that_the_pages_name_exist() {
    for page in pages() {
        let text = text_of(&page);
        let code = text.split('`').skip(1).step_by(2);
        for path in code.filter(|code| ["src/", "tests/", "docs/"].iter().any(|folder| code.starts_with(folder))) {
            assert!(path.contains([' ', '\n']) || Path::new(ROOT).join(path).exists(), "{page}: there is no {path}");
        }
    }
}

/// A constant's type and the expression of its value.
type Constants<'a> = HashMap<&'a str, (&'a str, &'a str)>;

/// The public constants of limits.rs.
fn constants(source: &str) -> Constants<'_> {
    let declarations = source.lines().filter_map(|line| line.strip_prefix("pub const "));
    declarations
        .map(|declaration| {
            let (name, rest) = declaration.split_once(": ").unwrap();
            let (kind, value) = rest.split_once(" = ").unwrap();
            (name, (kind, value.strip_suffix(';').unwrap()))
        })
        .collect()
}

/// The parts of an expression between separators that are not in parentheses.
fn split(expression: &str, separator: char) -> Vec<&str> {
    let mut depth = 0;
    let is_separator = |found| {
        depth += i32::from(found == '(') - i32::from(found == ')');
        found == separator && depth == 0
    };
    expression.split(is_separator).map(str::trim).collect()
}

/// The numbers of a constant: bytes, seconds or counts. A tuple has several.
fn evaluate(expression: &str, constants: &Constants<'_>) -> Vec<f64> {
    let one = |expression| evaluate(expression, constants)[0];
    let call = |function| expression.strip_prefix(function)?.strip_prefix('(')?.strip_suffix(')');
    if let [_, _, ..] = split(expression, '+')[..] {
        return vec![split(expression, '+').into_iter().map(one).sum()];
    }
    if let [_, _, ..] = split(expression, '*')[..] {
        return vec![split(expression, '*').into_iter().map(one).product()];
    }
    if let Some(values) = call("") {
        return split(values, ',').into_iter().flat_map(|value| evaluate(value, constants)).collect();
    }
    for (function, scale) in
        [("Duration::from_secs", 1.0), ("Duration::from_millis", 1e3), ("Duration::from_micros", 1e6)]
    {
        if let Some(value) = call(function) {
            return vec![one(value) / scale];
        }
    }
    if let Some(text) = expression.strip_prefix('"') {
        return vec![text.strip_suffix("\".len()").unwrap().len() as f64];
    }
    match expression.replace('_', "").parse() {
        Ok(number) => vec![number],
        Err(_) => evaluate(constants.get(expression).unwrap_or_else(|| panic!("{expression}")).1, constants),
    }
}

/// The numbers in a table cell, such as 65536 and 3 in "64 KiB, 3 times".
fn numbers(cell: &str, is_time: bool, is_bytes: bool) -> Vec<f64> {
    let words: Vec<&str> = cell.split_whitespace().map(|word| word.trim_end_matches(',')).collect();
    let unit = |word: Option<&&str>| match word.copied() {
        Some("KiB") if is_bytes => 1024.0,
        Some("MiB") if is_bytes => 1024.0 * 1024.0,
        Some("µs") if is_time => 1e-6,
        Some("ms") if is_time => 1e-3,
        Some("min") if is_time => 60.0,
        Some("day" | "days") if is_time => 24.0 * 60.0 * 60.0,
        Some("%") => 0.01,
        _ => 1.0,
    };
    let number = |(at, word): (usize, &&str)| {
        let number: f64 = word.replace(',', "").parse().ok()?;
        Some(number * unit(words.get(at + 1)))
    };
    words.iter().enumerate().filter_map(number).collect()
}

#[test]
fn limits_page_lists_every_limit_with_its_value() {
    let (source, page) = (read("src/limits.rs"), read("docs/limits.md"));
    let constants = constants(&source);
    let mut listed = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, _, names, value, _, _] = cells[..] else { continue };
        let names: Vec<&str> = names.split(", ").filter_map(|name| name.strip_prefix('`')?.strip_suffix('`')).collect();
        if names.is_empty() {
            continue;
        }
        let mut expected = Vec::new();
        let (mut is_time, mut is_bytes) = (false, false);
        for name in names {
            let (kind, expression) = constants.get(name).unwrap_or_else(|| panic!("{name} is not in src/limits.rs"));
            expected.extend(evaluate(expression, &constants));
            is_time |= kind.contains("Duration");
            is_bytes |= name.contains("BYTES") || name.contains("BUFFER");
            assert!(listed.insert(name), "{name} is listed twice");
        }
        let found = numbers(value, is_time, is_bytes);
        let are_equal = |(a, b): (&f64, &f64)| (a - b).abs() <= b.abs() * 1e-9;
        assert!(
            found.len() == expected.len() && found.iter().zip(&expected).all(are_equal),
            "{row}: src/limits.rs says {expected:?}"
        );
    }
    let missing: Vec<_> = constants.keys().filter(|name| !listed.contains(**name)).collect();
    assert!(missing.is_empty(), "docs/limits.md does not list {missing:?}");
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
fn manual_lists_every_command_of_server_admin() {
    let page = read("docs/manual.md");
    for command in COMMANDS.iter().filter(|command| !matches!(command.access, Access::Everyone(_))) {
        // In a table. A bar would begin the next cell, even within code.
        let usage = command.usage.trim_start_matches('/').replace('|', "\\|");
        let is_listed = page.lines().any(|line| line.starts_with('|') && line.contains(&format!("`{usage}`")));
        assert!(is_listed, "docs/manual.md does not list `{usage}`");
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
        // A bar would begin the next cell, even within code.
        let usage = command.usage.replace('|', "\\|");
        table += &format!("| `{usage}`{aliases} | {who} | {} |\n", command.help);
    }
    check_table("docs/protocol.md", "commands", &table);
}
