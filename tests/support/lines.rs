//! Compares lines of the server with what a test expects: codes and fields. So sentences can be reworded without
//! changing tests. `src/protocol/reply/tests.rs` tests the exact sentences.

/// The text without what a server adds because it has a history: to the welcome, after it, and to the farewell. Nearly all tests are about
/// something else; `tests/server/history.rs` tests the additions.
pub fn without_history(text: &str) -> String {
    let mut text = text.replace(" The newest 10000 messages are recorded.", "");
    if let Some(start) = text.find("* Earlier messages:\n")
        && let Some(end) = text.find("* That was ")
        && let Some(line_end) = text[end..].find('\n')
    {
        text.replace_range(start..end + line_end + 1, "");
    }
    while let Some(end) = text.find(" brings you back here.") {
        let start = text[..end].rfind(" since=").expect("a farewell says since which message");
        text.replace_range(start..end + " brings you back here.".len(), "");
    }
    text
}

/// Whether a line matches a pattern, apart from [what a history adds](without_history). In a pattern, `…` stands for any text, and `! code` for that refusal with any
/// text. Everything else is compared exactly.
pub fn is_like(line: &str, pattern: &str) -> bool {
    let is_code = pattern.starts_with("! ") && !pattern.contains(':');
    if is_code {
        line.strip_prefix(pattern).is_some_and(|text| text.starts_with(": "))
    } else {
        matches(line, pattern) || matches(&without_history(line), pattern)
    }
}

fn matches(line: &str, pattern: &str) -> bool {
    let Some((start, pattern)) = pattern.split_once('…') else { return line == pattern };
    let Some(line) = line.strip_prefix(start) else { return false };
    let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    ends.map(|at| &line[at..]).any(|rest| matches(rest, pattern))
}

/// The farewell to this peer.
pub fn bye(name: &str, accepted: usize, refused: usize) -> String {
    let lines = if accepted == 1 { "line" } else { "lines" };
    format!("* Bye, {name}: {accepted} {lines} accepted, {refused} refused.")
}

#[track_caller]
pub fn assert_like(line: &str, pattern: &str) {
    assert!(is_like(line, pattern), "expected {pattern:?}, got {line:?}");
}

#[track_caller]
pub fn assert_all_like<L: AsRef<str>, P: AsRef<str>>(lines: &[L], patterns: &[P]) {
    let [lines, patterns] =
        [Vec::from_iter(lines.iter().map(L::as_ref)), Vec::from_iter(patterns.iter().map(P::as_ref))];
    let are_like = lines.len() == patterns.len() && lines.iter().zip(&patterns).all(|(line, like)| is_like(line, like));
    assert!(are_like, "expected {patterns:#?}, got {lines:#?}");
}

#[test]
fn a_pattern_matches_its_code_and_fields_only() {
    let line = "! banned: …forever: spam";
    for pattern in ["! banned", "! banned: …", "! banned: …forever: spam", "! banned: …forever…", line] {
        assert!(is_like(line, pattern), "{pattern}");
    }
    for pattern in ["! ban", "! banned:", "! muted", "! banned: …forever", "! banned: …until…", "banned", "* banned"]
    {
        assert!(!is_like(line, pattern), "{pattern}");
    }
}
