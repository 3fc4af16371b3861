//! `server admin backup`, `history` and `export`: they read the database themselves, whether a server runs or not.

use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use linechat::history::Archive;
use linechat::model::{Message, RoomName};
use linechat::os::io_error;
use linechat::os::safe_file;
use linechat::os::safe_file::create_new_private;
use linechat::protocol::{Reply, Since};

#[derive(Debug, Args)]
pub struct Backup {
    /// A new file; a server with a copy of it as linechat.db has the same messages and accounts
    file: PathBuf,
}

#[derive(Debug, Args)]
pub struct Statistics {
    /// Of this room
    #[arg(long, value_name = "ROOM", default_value = "lobby", value_parser = RoomName::parse)]
    room: RoomName,
}

#[derive(Debug, Args)]
pub struct Export {
    /// The messages of this room
    #[arg(long, value_name = "ROOM", default_value = "lobby", value_parser = RoomName::parse)]
    room: RoomName,

    /// Only messages after this number, time or duration, such as 88120, 2026-11-26T12:00:00Z or 2h
    #[arg(long, value_name = "WHEN")]
    since: Option<Since>,

    /// Lines as clients see them, or a JSON object per line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// A new file [default: standard output]
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Jsonl,
}

pub fn backup(data: &Path, Backup { file }: &Backup) -> anyhow::Result<String> {
    Archive::backup(data, file)?;
    Ok(format!("Saved to {}.\n", file.display()))
}

pub fn history(data: &Path, Statistics { room }: &Statistics) -> anyhow::Result<String> {
    let statistics = as_owner(data, || Ok(open(data, room)?.statistics()?))?;
    let mut text = format!("room\t{room}\nmessages\t{}\nbytes\t{}\n", statistics.messages, statistics.bytes);
    if let Some(range) = statistics.range {
        for (what, (number, at)) in ["oldest", "newest"].into_iter().zip(range) {
            text += &format!("{what}\t{number}\t{at}\n");
        }
    }
    Ok(text)
}

pub fn export(data: &Path, export: &Export) -> anyhow::Result<()> {
    let Some(file) = &export.file else {
        return as_owner(data, || write_all(data, export, &mut io::stdout().lock()));
    };
    let mut output = create(file)?;
    let exported = as_owner(data, || write_all(data, export, &mut output));
    if exported.is_err() && output.metadata().is_ok_and(|metadata| metadata.len() == 0) {
        // So that the next try can create it.
        let _ = fs::remove_file(file);
    }
    exported
}

/// Reads as the owner of the folder, if root does that.
fn as_owner<T>(data: &Path, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    safe_file::as_owner(data, work).map_err(|error| anyhow!("cannot use {}: {error}", data.display()))?
}

fn write_all(data: &Path, export: &Export, output: &mut dyn Write) -> anyhow::Result<()> {
    let archive = open(data, &export.room)?;
    let Some(extent) = archive.extent()? else { return Ok(()) };
    let mut after = match export.since.map(|since| since.resolve(SystemTime::now())) {
        None => 0,
        Some(Ok(number)) => number,
        Some(Err(at)) => archive.last_before(at)?,
    };
    after = after.max(extent.oldest - 1);
    let mut output = BufWriter::with_capacity(64 * 1024, output);
    let bar = progress_bar(extent.newest.saturating_sub(after));
    let (mut text, mut unreadable) = (String::new(), 0);
    while after < extent.newest {
        let page = archive.page(after, extent.newest)?;
        unreadable += page.unreadable;
        text.clear();
        page.messages.iter().for_each(|message| write_message(&mut text, &export.room, message, export.format));
        match output.write_all(text.as_bytes()) {
            // The reader has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot write")?,
        }
        bar.inc(page.end - after);
        after = page.end;
    }
    bar.finish_and_clear();
    match output.flush() {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error).context("cannot write"),
        _ => {}
    }
    if unreadable > 0 {
        let lines = if unreadable == 1 { "1 message".to_owned() } else { format!("{unreadable} messages") };
        bail!("the database is damaged: {lines} cannot be read; all others were exported");
    }
    Ok(())
}

/// Opens the history of a room. It fails if nothing is stored of such a room, which is probably mistyped.
fn open(data: &Path, room: &RoomName) -> anyhow::Result<Archive> {
    let archive = Archive::open(data, room)?;
    // The server may have such a room, without messages and a topic.
    if archive.has_room() { Ok(archive) } else { bail!("no-such-room: nothing is stored of a room called {room}") }
}

fn create(file: &Path) -> anyhow::Result<File> {
    let created = create_new_private(file);
    created.map_err(|error| anyhow!("cannot create {}: {}", file.display(), io_error::describe_at(file, &error)))
}

/// A bar on standard error, if that is a terminal and the messages do not go to one too.
fn progress_bar(messages: u64) -> ProgressBar {
    if io::stdout().is_terminal() && io::stderr().is_terminal() && messages < 100_000 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} messages, {eta} left");
    // indicatif hides it if standard error is not a terminal.
    ProgressBar::new(messages).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn write_message(text: &mut String, room: &RoomName, message: &Message, format: Format) {
    let Message { number, at, from, text: said } = message;
    *text += &match format {
        Format::Text => format!("{}\n", Reply::Numbered { room, message }),
        Format::Jsonl => {
            let (from, said) = (json(from.as_str()), json(said.as_str()));
            format!("{{\"room\":\"{room}\",\"number\":{number},\"time\":\"{at}\",\"name\":{from},\"text\":{said}}}\n")
        }
    };
}

/// A text as a JSON string (RFC 8259, section 7).
fn json(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    json.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => json.extend(['\\', char]),
            '\0'..='\x1f' => json.push_str(&format!("\\u{:04x}", u32::from(char))),
            _ => json.push(char),
        }
    }
    json.push('"');
    json
}
