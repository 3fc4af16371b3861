//! Checks the decoding of telnet and lines. Splitting the input never changes the lines, the replies or the kind of
//! line ending. No line is longer than the limit or contains a line ending, and the number of replies is bounded.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linechat_fuzz::{input::Bytes, properties};

fuzz_target!(|input: Bytes<'_>| properties::decoder(&input.bytes(), &input.cuts()));
