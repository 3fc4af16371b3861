//! Decoding of lines and commands: `cargo bench --bench codec`.
#![allow(missing_docs)]

use std::collections::VecDeque;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use linechat::model::SafeText;
use linechat::protocol::{Command, Line, LineDecoder, Piece, Telnet};

fn main() {
    divan::main();
}

/// About 64 KiB of lines of 64 bytes.
fn input() -> Vec<u8> {
    format!("{}\n", "a line as people type it, ".repeat(3)[..63].trim_end()).repeat(1024).into_bytes()
}

/// Decodes bytes through telnet and lines, in reads of this many bytes.
#[divan::bench(args = [1, 16, 64, 256, 1024, 8192])]
fn decode(bencher: Bencher<'_, '_>, chunk: usize) {
    let input = input();
    bencher.counter(BytesCount::new(input.len())).bench_local(|| {
        let (mut telnet, mut decoder, mut lines) = (Telnet::default(), LineDecoder::default(), VecDeque::new());
        for bytes in input.chunks(chunk) {
            telnet.decode(black_box(bytes), |piece| {
                if let Piece::Text(text) = piece {
                    decoder.decode(text, &mut lines);
                }
            });
            lines.clear();
        }
    });
}

#[divan::bench(args = ["hello, everybody", "/msg Bob hello", "grüße, 你好, 👋🏽"])]
fn parse(bencher: Bencher<'_, '_>, line: &str) {
    bencher.counter(ItemsCount::new(1usize)).with_inputs(|| Line::Text(line.to_owned())).bench_values(Command::parse);
}

/// Makes text safe to show.
#[divan::bench(args = ["plain", "foreign", "hostile"])]
fn make_safe(bencher: Bencher<'_, '_>, kind: &str) {
    let text = match kind {
        "plain" => "plain ASCII, as most lines are",
        "foreign" => "grüße, 你好, 👋🏽",
        _ => "\x1b[2J\u{202e}hostile\u{7}",
    };
    bencher.counter(BytesCount::of_str(text)).with_inputs(|| text.to_owned()).bench_values(SafeText::new);
}
